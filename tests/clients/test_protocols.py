"""The same operations in every protocol that a client of today speaks, with typed exceptions."""

import datetime
import email.utils
import http.client
import json
import unittest
import urllib.parse

from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from support import ENDPOINT, REGION, RUN, aws, client, say, sim


def application(name):
    return {"applicationName": f"{name}-{RUN}", "computePlatform": "ECS"}


class TypedExceptions(unittest.TestCase):
    def test_codedeploy(self):
        for protocol in ("json", "smithy-rpc-v2-cbor"):
            say(f"CodeDeploy over {protocol}")
            codedeploy = client("codedeploy", protocol)
            kind = codedeploy.meta.service_model.resolved_protocol
            self.assertEqual(kind, protocol)
            made = codedeploy.create_application(**application(f"typed-{protocol}"))
            self.assertTrue(made["applicationId"])
            with self.assertRaises(codedeploy.exceptions.ApplicationAlreadyExistsException):
                codedeploy.create_application(**application(f"typed-{protocol}"))
            found = codedeploy.get_application(applicationName=f"typed-{protocol}-{RUN}")["application"]
            self.assertEqual(found["computePlatform"], "ECS")
            self.assertIsInstance(found["createTime"], datetime.datetime)
            with self.assertRaises(codedeploy.exceptions.ApplicationDoesNotExistException):
                codedeploy.get_application(applicationName="nothing-of-that-name")
            with self.assertRaises(codedeploy.exceptions.DeploymentDoesNotExistException):
                codedeploy.get_deployment(deploymentId="d-ZZZZZZZZZ")
            with self.assertRaises(codedeploy.exceptions.InvalidDeploymentIdException):
                codedeploy.get_deployment(deploymentId="nonsense")
            configs = codedeploy.get_deployment_config(
                deploymentConfigName="CodeDeployDefault.ECSCanary10Percent5Minutes")
            canary = configs["deploymentConfigInfo"]["trafficRoutingConfig"]["timeBasedCanary"]
            self.assertEqual(canary, {"canaryPercentage": 10, "canaryInterval": 5})

    def test_ecs(self):
        say("ECS over JSON 1.1")
        ecs = client("ecs")
        with self.assertRaises(ecs.exceptions.ClusterNotFoundException):
            ecs.describe_services(cluster="nothing-of-that-name", services=["x"])
        with self.assertRaises(ecs.exceptions.ClientException):
            ecs.describe_task_definition(taskDefinition="nothing-of-that-name:1")
        ecs.create_cluster(clusterName=f"typed-{RUN}")
        missing = ecs.describe_services(cluster=f"typed-{RUN}", services=["x"])
        self.assertEqual(missing["failures"][0]["reason"], "MISSING")

    def test_elbv2(self):
        say("ELBv2 over Query")
        elbv2 = client("elbv2")
        with self.assertRaises(elbv2.exceptions.TargetGroupNotFoundException):
            elbv2.describe_target_groups(Names=["nothing-of-that-name"])
        group = elbv2.create_target_group(
            Name=f"typed-{RUN}", Protocol="HTTP", Port=80, VpcId="vpc-1", TargetType="ip",
            Tags=[{"Key": "a&b", "Value": "<c> \u00e9"}])["TargetGroups"][0]
        self.assertEqual(group["Port"], 80)
        missing = group["TargetGroupArn"][:-4] + "0000"
        with self.assertRaises(elbv2.exceptions.TargetGroupNotFoundException):
            elbv2.describe_target_health(TargetGroupArn=missing)
        healthy = elbv2.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
        self.assertEqual(healthy["TargetHealthDescriptions"], [])
        self.assertTrue(healthy["ResponseMetadata"]["RequestId"])

    def test_cloudwatch(self):
        for protocol in ("json", "smithy-rpc-v2-cbor", "query"):
            say(f"CloudWatch over {protocol}")
            cloudwatch = client("cloudwatch", protocol)
            self.assertEqual(cloudwatch.meta.service_model.resolved_protocol, protocol)
            name = f"typed-{protocol}-{RUN}"
            cloudwatch.put_metric_alarm(
                AlarmName=name, Namespace="AWS/ApplicationELB", MetricName="HTTPCode_Target_5XX_Count",
                Dimensions=[{"Name": "LoadBalancer", "Value": "app/x/1"}], Statistic="Sum", Period=60,
                EvaluationPeriods=1, Threshold=2.5, ComparisonOperator="GreaterThanThreshold")
            alarm = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
            self.assertEqual(alarm["Threshold"], 2.5)
            self.assertEqual(alarm["StateValue"], "INSUFFICIENT_DATA")
            self.assertIsInstance(alarm["StateUpdatedTimestamp"], datetime.datetime)
            self.assertEqual(alarm["Dimensions"], [{"Name": "LoadBalancer", "Value": "app/x/1"}])
            cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a drill <&>")
            with self.assertRaises(cloudwatch.exceptions.ResourceNotFound):
                cloudwatch.set_alarm_state(AlarmName="nothing", StateValue="OK", StateReason="x")
            now = alarm["StateUpdatedTimestamp"]
            data = cloudwatch.get_metric_data(
                StartTime=now - datetime.timedelta(hours=1), EndTime=now,
                MetricDataQueries=[{"Id": "q", "MetricStat": {
                    "Metric": {"Namespace": "AWS/ApplicationELB", "MetricName": "RequestCount", "Dimensions": []},
                    "Period": 60, "Stat": "Sum"}}])
            self.assertEqual(data["MetricDataResults"][0]["Values"], [])
            cloudwatch.delete_alarms(AlarmNames=[name])
            self.assertEqual(cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"], [])

    def test_sts(self):
        say("STS over Query, and a role in another account")
        sts = client("sts")
        self.assertEqual(sts.get_caller_identity()["Account"], "123456789012")
        role = sts.assume_role(RoleArn="arn:aws:iam::210987654321:role/deploy", RoleSessionName="suite")
        keys = role["Credentials"]
        self.assertIsInstance(keys["Expiration"], datetime.datetime)
        import boto3
        other = boto3.client(
            "sts", region_name=REGION, aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"])
        self.assertEqual(other.get_caller_identity()["Account"], "210987654321")


class DynamoDb(unittest.TestCase):
    def test_a_table_by_boto3_and_by_the_cli(self):
        say("DynamoDB over JSON 1.0")
        dynamodb = client("dynamodb")
        table = f"clients-{RUN}"
        self.addCleanup(sim, "faults", None, "DELETE")
        made = aws(
            "dynamodb", "create-table", "--table-name", table, "--billing-mode", "PAY_PER_REQUEST",
            "--attribute-definitions", "AttributeName=PK,AttributeType=S",
            "--key-schema", "AttributeName=PK,KeyType=HASH",
        )["TableDescription"]
        self.assertIn(f":dynamodb:{REGION}:123456789012:table/{table}", made["TableArn"])
        dynamodb.get_waiter("table_exists").wait(TableName=table)
        put = {"TableName": table, "Item": {"PK": {"S": "a"}, "n": {"N": "1"}}, "ConditionExpression": "attribute_not_exists(PK)"}
        dynamodb.put_item(**put)
        with self.assertRaises(dynamodb.exceptions.ConditionalCheckFailedException):
            dynamodb.put_item(**put)
        found = aws("dynamodb", "get-item", "--table-name", table, "--key", '{"PK":{"S":"a"}}', "--consistent-read")
        self.assertEqual(found["Item"]["n"], {"N": "1"})

        say("transactions, their reasons, and conflicts on purpose")
        with self.assertRaises(dynamodb.exceptions.TransactionCanceledException) as refused:
            dynamodb.transact_write_items(TransactItems=[{"Put": put}])
        self.assertEqual(refused.exception.response["CancellationReasons"][0]["Code"], "ConditionalCheckFailed")
        sim("faults", {"service": "dynamodb", "operation": "TransactWriteItems", "fault": "conflict", "times": 1})
        free = {"TableName": table, "Item": {"PK": {"S": "b"}}}
        with self.assertRaises(dynamodb.exceptions.TransactionCanceledException) as refused:
            dynamodb.transact_write_items(TransactItems=[{"Put": free}])
        self.assertEqual(refused.exception.response["CancellationReasons"][0]["Code"], "TransactionConflict")
        dynamodb.transact_write_items(TransactItems=[{"Put": free}])

        say("point-in-time recovery; another region has tables of its own")
        with self.assertRaises(dynamodb.exceptions.TableNotFoundException):
            dynamodb.describe_continuous_backups(TableName="nothing-of-that-name")
        wanted = {"PointInTimeRecoveryEnabled": True}
        dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=wanted)
        backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        self.assertEqual(backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"], "ENABLED")
        self.assertNotIn(table, aws("dynamodb", "list-tables", "--region", "sa-east-1")["TableNames"])
        _, journal = sim("journal")
        self.assertFalse([call for call in journal if call["service"] == "dynamodb"])
        dynamodb.delete_table(TableName=table)


class Faults(unittest.TestCase):
    def setUp(self):
        self.addCleanup(sim, "faults", None, "DELETE")

    def strike(self, fault, **more):
        status, answer = sim("faults", {
            "service": "codedeploy", "operation": "CreateApplication", "fault": fault, "times": 1, **more})
        self.assertEqual(status, 200, answer)

    def exists(self, name):
        codedeploy = client("codedeploy")
        try:
            codedeploy.get_application(applicationName=f"{name}-{RUN}")
            return True
        except codedeploy.exceptions.ApplicationDoesNotExistException:
            return False

    def test_each_fault_as_boto3_sees_it(self):
        codedeploy = client("codedeploy")
        cases = [
            ("throttle", ClientError, "ThrottlingException", False),
            ("access_denied", ClientError, "AccessDeniedException", False),
            ("error_before", ClientError, "InternalFailure", False),
            ("error_after", ClientError, "InternalFailure", True),
            ("response_lost", ConnectionClosedError, None, True),
            ("connection_cut", ConnectionClosedError, None, False),
        ]
        for fault, exception, code, done in cases:
            say(f"{fault}: effect {'done' if done else 'not done'}")
            self.strike(fault)
            with self.assertRaises(exception) as raised:
                codedeploy.create_application(**application(fault))
            if code:
                self.assertEqual(raised.exception.response["Error"]["Code"], code)
            self.assertEqual(self.exists(fault), done)
            _, journal = sim("journal")
            self.assertEqual((journal[-1]["fault"], journal[-1]["error"] is None), (fault, done))

    def test_a_slow_answer_is_an_effect_all_the_same(self):
        from botocore.config import Config
        import boto3
        hasty = boto3.client("codedeploy", region_name=REGION, config=Config(
            read_timeout=1.5, retries={"total_max_attempts": 1}))
        self.strike("slow", delay_ms=5000)
        with self.assertRaises(ReadTimeoutError):
            hasty.create_application(**application("slow"))
        self.assertTrue(self.exists("slow"))


class Raw(unittest.TestCase):
    """What no client would send."""

    SCOPE = f"AWS4-HMAC-SHA256 Credential=AKID/20261121/{REGION}/codedeploy/aws4_request, SignedHeaders=host, Signature=0"

    def send(self, headers, body):
        address = urllib.parse.urlsplit(ENDPOINT)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        self.addCleanup(connection.close)
        connection.request("POST", "/", body=body, headers=headers)
        response = connection.getresponse()
        return response, response.read()

    def test_refusals(self):
        headers = {"X-Amz-Target": "CodeDeploy_20141006.ListApplications",
                   "Content-Type": "application/x-amz-json-1.1", "Authorization": self.SCOPE}
        cases = [
            ("a body that is no JSON", headers, b"{", "SerializationException"),
            ("no signature", {**headers, "Authorization": ""}, b"{}", "MissingAuthenticationTokenException"),
            ("an unknown operation", {**headers, "X-Amz-Target": "CodeDeploy_20141006.Brew"}, b"{}",
             "UnknownOperationException"),
            ("an unknown service", {**headers, "X-Amz-Target": "Kettle_2026.Brew"}, b"{}",
             "UnknownOperationException"),
        ]
        for what, sent, body, code in cases:
            say(f"{what} is {code}")
            response, answer = self.send(sent, body)
            self.assertEqual((response.status, json.loads(answer)["__type"]), (400, code))
            self.assertTrue(response.headers["x-amzn-RequestId"])

    def test_the_date_is_simulated_time(self):
        say("the Date header and /_sim/clock agree")
        response, _ = self.send({}, b"")
        told = email.utils.parsedate_to_datetime(response.headers["Date"])
        _, clock = sim("clock")
        now = datetime.datetime.fromisoformat(clock["now"].replace("Z", "+00:00"))
        self.assertLess(abs((now - told).total_seconds()), 5 + 2 * clock["speed"])
        status, answer = sim("clock", {"advance_s": "soon"})
        self.assertEqual(status, 400)
        self.assertIn("advance_s", answer["error"])


if __name__ == "__main__":
    unittest.main()
