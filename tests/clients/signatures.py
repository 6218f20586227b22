"""An account that verifies signatures (`--verify-signatures`): `python -m unittest signatures`.

It is no part of the other suite, because AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be those that the
account was started with.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import botocore.exceptions

from support import HERE, REGION, RUN, CliError, aws, client, say

# One call that only reads, for each service and protocol, and how a wrong signature is refused there. Clients of
# CloudWatch and SQS take the code of the Query protocol, which x-amzn-query-error carries.
CALLS = [
    ("cloudwatch", "json", "describe_alarms", "SignatureDoesNotMatch"),
    ("cloudwatch", "smithy-rpc-v2-cbor", "describe_alarms", "SignatureDoesNotMatch"),
    ("cloudwatch", "query", "describe_alarms", "SignatureDoesNotMatch"),
    ("codedeploy", "json", "list_applications", "InvalidSignatureException"),
    ("codedeploy", "smithy-rpc-v2-cbor", "list_applications", "InvalidSignatureException"),
    ("dynamodb", None, "list_tables", "InvalidSignatureException"),
    ("ecs", None, "list_clusters", "InvalidSignatureException"),
    ("elbv2", None, "describe_load_balancers", "SignatureDoesNotMatch"),
    ("events", None, "list_rules", "InvalidSignatureException"),
    ("s3", None, "list_buckets", "SignatureDoesNotMatch"),
    ("sqs", None, "list_queues", "SignatureDoesNotMatch"),
    ("sts", None, "get_caller_identity", "SignatureDoesNotMatch"),
]
WRONG = {"aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": "wrong"}


class Signatures(unittest.TestCase):
    def refused(self, code, call, **parameters):
        with self.assertRaises(botocore.exceptions.ClientError) as refusal:
            call(**parameters)
        self.assertEqual(refusal.exception.response["Error"]["Code"], code)

    def test_boto3(self):
        for service, protocol, call, code in CALLS:
            with self.subTest(service=service, protocol=protocol):
                getattr(client(service, protocol), call)()
                self.refused(code, getattr(client(service, protocol, **WRONG), call))
        unknown = client("ecs", aws_access_key_id="AKIDUNKNOWN", aws_secret_access_key="wrong")
        self.refused("UnrecognizedClientException", unknown.list_clusters)

    def test_the_credentials_of_a_role(self):
        role = client("sts").assume_role(
            RoleArn="arn:aws:iam::210987654321:role/there", RoleSessionName="signed")["Credentials"]
        session = {"aws_access_key_id": role["AccessKeyId"], "aws_session_token": role["SessionToken"]}
        there = client("sts", aws_secret_access_key=role["SecretAccessKey"], **session)
        self.assertEqual(there.get_caller_identity()["Account"], "210987654321")
        self.refused("SignatureDoesNotMatch", client(
            "sts", aws_secret_access_key="wrong", **session).get_caller_identity)

    def test_a_key_with_letters_that_must_be_written_otherwise(self):
        s3, bucket, key = client("s3"), f"signed-{RUN}", "a b/ü+&=~*'().yaml"
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=bucket, Key=key, Body=b"hello", Metadata={"note": "two  spaces"})
        self.assertEqual(s3.get_object(Bucket=bucket, Key=key)["Body"].read(), b"hello")
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="a b/", Delimiter="/")
        self.assertEqual([each["Key"] for each in listed["Contents"]], [key])
        self.refused("SignatureDoesNotMatch", client("s3", **WRONG).put_object, Bucket=bucket, Key=key, Body=b"x")
        self.assertEqual(s3.get_object(Bucket=bucket, Key=key)["Body"].read(), b"hello")

    def test_the_cli(self):
        say("aws s3 mb, aws s3 cp, aws s3 ls")
        bucket = f"signed-cli-{RUN}"
        aws("s3", "mb", f"s3://{bucket}", "--output", "text")
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "appspec.yaml"
            file.write_text("version: 0.0\n")
            aws("s3", "cp", str(file), f"s3://{bucket}/web/appspec.yaml", "--output", "text")
            self.assertIn("appspec.yaml", aws("s3", "ls", f"s3://{bucket}/web/", "--output", "text"))
            self.assertEqual(aws("ecs", "list-clusters")["clusterArns"], [])
            say("and with a wrong secret")
            for command in (["ecs", "list-clusters"], ["elbv2", "describe-load-balancers"],
                            ["s3", "cp", str(file), f"s3://{bucket}/other"]):
                run = subprocess.run(
                    [sys.executable, str(HERE / "checked.py"), "aws", *command], capture_output=True, text=True,
                    timeout=60, check=False, env={**os.environ, "AWS_SECRET_ACCESS_KEY": "wrong"})
                self.assertNotEqual(run.returncode, 0, command)
                self.assertRegex(run.stderr, "InvalidSignatureException|SignatureDoesNotMatch")
            with self.assertRaises(CliError):
                aws("s3api", "head-object", "--bucket", bucket, "--key", "other")


if __name__ == "__main__":
    unittest.main()
