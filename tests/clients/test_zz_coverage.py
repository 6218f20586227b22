"""Runs last: every operation that the account has was answered in this run, as its model says.

An operation is there if asking for it with nothing in it is not refused as unknown. That is found out in
a region of its own, and is itself held against the models: a refusal of nothing is typed as well.
"""

import unittest

import botocore.exceptions
import botocore.session
from botocore import xform_name
from botocore.config import Config

from support import RELAY, UNKNOWN, answers, client, say

REGION = "ap-northeast-3"
BARE = Config(parameter_validation=False, retries={"total_max_attempts": 1})

# Whatever of AWS's services the account may have. DynamoDB is not among them: it is an emulator by others.
SERVICES = ("cloudwatch", "codedeploy", "ecs", "elbv2", "events", "s3", "sqs", "sts")

# What is there and has no answer for these clients, and why.
NOT_CALLED = {
    ("sts", "AssumeRoleWithSAML"): "is called unsigned, and everything unsigned is refused",
    ("sts", "AssumeRoleWithWebIdentity"): "is called unsigned, and everything unsigned is refused",
    ("codedeploy", "BatchGetDeploymentInstances"): "is refused for every deployment of ECS",
    ("codedeploy", "GetDeploymentInstance"): "is refused for every deployment of ECS",
    ("codedeploy", "ListDeploymentInstances"): "is refused for every deployment of ECS",
}
# What clients send to another service than its model's.
ELSEWHERE = {
    ("s3", "ListDirectoryBuckets"): "is S3 Express, which has a name of its own in signatures",
    ("s3", "WriteGetObjectResponse"): "is answered by S3 Object Lambda at a host of its own",
}
if not RELAY:
    NOT_CALLED["codedeploy", "PutLifecycleEventHookExecutionStatus"] = "only the function of a hook knows its id"


def bare(service, operation):
    """What S3 must have outside of a body, without which a request is that of another operation."""
    shape = service.meta.service_model.operation_model(operation).input_shape
    if shape is None:
        return {}
    return {name: 1 if member.type_name == "integer" else "nothing/nothing" if name == "CopySource" else "nothing"
            for name, member in shape.members.items()
            if name in shape.required_members and member.serialization.get("location")}


def implemented(service):
    """The operations that the account has of a service."""
    found = set()
    probe = client(service, region=REGION, config=BARE)
    for operation in probe.meta.service_model.operation_names:
        if (service, operation) in ELSEWHERE:
            continue
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
