"""Runs last: every operation that the account has was answered in this run, as its model says.

An operation is there if asking for it with nothing in it is not refused as unknown. That is found out in
a region of its own, and is itself held against the models: a refusal of nothing is typed as well.
"""

import unittest

import botocore.exceptions
import botocore.session
from botocore import xform_name
from botocore.config import Config

from support import UNKNOWN, answers, client, has_s3, say

REGION = "ap-northeast-3"
BARE = Config(parameter_validation=False, retries={"total_max_attempts": 1})

# Whatever of AWS's services the account may have. DynamoDB is not among them: it is an emulator by others.
SERVICES = ("cloudwatch", "codedeploy", "ecs", "elbv2", "events", "s3", "sqs", "sts")

# What cannot be answered without a signature that these clients do not send, or without an HTTP door.
NOT_CALLED = {
    ("sts", "AssumeRoleWithSAML"): "is called unsigned, and everything unsigned is refused",
    ("sts", "AssumeRoleWithWebIdentity"): "is called unsigned, and everything unsigned is refused",
    ("codedeploy", "PutLifecycleEventHookExecutionStatus"):
        "succeeds only with the id that the hook function got; the relay's and the Rust SDK's tests have it",
}


def bare(service, operation):
    """What S3 must have in a path."""
    shape = service.meta.service_model.operation_model(operation).input_shape
    members = shape.members if shape is not None else {}
    return {name: "nothing" for name, member in members.items() if member.serialization.get("location") == "uri"}


def implemented(service):
    """The operations that the account has of a service."""
    found = set()
    probe = client(service, region=REGION, config=BARE)
    if service == "s3" and not has_s3():
        return found
    for operation in probe.meta.service_model.operation_names:
        try:
            getattr(probe, xform_name(operation))(**bare(probe, operation))
        except botocore.exceptions.ClientError as refusal:
            if refusal.response["Error"]["Code"] in UNKNOWN:
                continue
        found.add(operation)
    return found


class Coverage(unittest.TestCase):
    def test_every_operation_was_answered_as_its_model_says(self):
        before = answers()
        self.assertEqual([each["wrong"] for each in before if "wrong" in each], [])
        answered = {(each["service"], each["operation"]) for each in before if each.get("error") is None}
        refused = {(each["service"], each["operation"]) for each in before if each.get("error")}
        missing, there = [], 0
        for service in SERVICES:
            operations = implemented(service)
            there += len(operations)
            if operations:
                say(f"{service}: {len(operations)} operations")
            missing += [f"{service} {operation}" for operation in sorted(operations)
                        if (service, operation) not in answered and (service, operation) not in NOT_CALLED]
        self.assertEqual(missing, [], "these were never answered in this run")
        self.assertGreater(there, 90)
        say(f"{there} operations, {len(before)} answers, {len(refused)} operations with typed refusals")


if __name__ == "__main__":
    unittest.main()
