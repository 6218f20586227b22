"""EventBridge and SQS as their clients see them: boto3 over JSON, older clients over Query.

Also what can be made to go wrong with events, and throttling by AWS's own token buckets.
"""

import hashlib
import json
import time
import unittest
import urllib.parse
import urllib.request
import xml.etree.ElementTree as xml

from botocore.exceptions import ClientError

from support import ENDPOINT, REGION, RUN, client, say, sim

ACCOUNT = "123456789012"


def queue_arn(name):
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def policy(queue, rule):
    return json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
        "Resource": queue_arn(queue),
        "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"}},
    }]})


def query(**parameters):
    """One Query request as clients of SQS wrote it until 2023."""
    form = urllib.parse.urlencode({"Version": "2012-11-05", **parameters}).encode()
    scope = f"AKIDOLD/20230101/{REGION}/sqs/aws4_request"
    request = urllib.request.Request(ENDPOINT, data=form, headers={
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00",
        "Content-Type": "application/x-www-form-urlencoded",
    })
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, xml.fromstring(response.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, xml.fromstring(refusal.read())


def texts(document, name):
    return [element.text for element in document.iter() if element.tag.split("}")[-1] == name]


class Queues(unittest.TestCase):
    def setUp(self):
        self.sqs = client("sqs")

    def queue(self, name, **attributes):
        name = f"{name}-{RUN}"
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        return name, url

    def test_messages_keep_what_was_sent(self):
        name, url = self.queue("kept")
        self.assertEqual(url, f"{ENDPOINT}/{ACCOUNT}/{name}")
        self.assertEqual(self.sqs.get_queue_url(QueueName=name)["QueueUrl"], url)
        self.assertIn(url, self.sqs.list_queues(QueueNamePrefix="kept")["QueueUrls"])
        sent = self.sqs.send_message(QueueUrl=url, MessageBody="hällo & <all>", MessageAttributes={
            "n": {"DataType": "Number", "StringValue": "1"},
            "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        })
        self.assertEqual(sent["MD5OfMessageBody"], hashlib.md5("hällo & <all>".encode()).hexdigest())
        [found] = self.sqs.receive_message(
            QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"],
        )["Messages"]
        self.assertEqual(found["Body"], "hällo & <all>")
        self.assertEqual(found["MessageAttributes"]["b"]["BinaryValue"], b"\x00\xff")
        self.assertEqual(found["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"])
        self.assertEqual(found["Attributes"]["ApproximateReceiveCount"], "1")
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=found["ReceiptHandle"])
        attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        self.assertEqual(attributes["QueueArn"], queue_arn(name))
        self.assertEqual(attributes["ApproximateNumberOfMessagesNotVisible"], "0")
        say("a message comes back as it was sent, with SQS's digests")

    def test_a_long_poll_ends_with_the_first_message_or_with_its_time(self):
        _, url = self.queue("polled")
        began = time.monotonic()
        self.assertNotIn("Messages", self.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1))
        self.assertGreaterEqual(time.monotonic() - began, 0.9)
        self.sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=1)
        found = self.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=15)
        self.assertEqual(found["Messages"][0]["Body"], "later")

    def test_refusals_are_typed(self):
        missing = f"{ENDPOINT}/{ACCOUNT}/none-{RUN}"
        with self.assertRaises(self.sqs.exceptions.QueueDoesNotExist) as refused:
            self.sqs.receive_message(QueueUrl=missing)
        self.assertEqual(refused.exception.response["Error"]["Code"], "AWS.SimpleQueueService.NonExistentQueue")
        _, url = self.queue("typed")
        with self.assertRaises(self.sqs.exceptions.ReceiptHandleIsInvalid):
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle="nonsense")
        with self.assertRaises(self.sqs.exceptions.EmptyBatchRequest):
            self.sqs.send_message_batch(QueueUrl=url, Entries=[])

    def test_older_clients_are_answered_in_xml(self):
        name = f"old-{RUN}"
        status, made = query(**{"Action": "CreateQueue", "QueueName": name,
                                "Attribute.1.Name": "VisibilityTimeout", "Attribute.1.Value": "7"})
        [url] = texts(made, "QueueUrl")
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        self.assertEqual((status, url), (200, f"{ENDPOINT}/{ACCOUNT}/{name}"))
        _, sent = query(**{"Action": "SendMessageBatch", "QueueUrl": url,
                           "SendMessageBatchRequestEntry.1.Id": "a",
                           "SendMessageBatchRequestEntry.1.MessageBody": "one",
                           "SendMessageBatchRequestEntry.1.MessageAttribute.1.Name": "k",
                           "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType": "String",
                           "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue": "v"})
        self.assertEqual(texts(sent, "MD5OfMessageBody"), [hashlib.md5(b"one").hexdigest()])
        _, found = query(**{"Action": "ReceiveMessage", "QueueUrl": url, "MessageAttributeName.1": "All",
                            "AttributeName.1": "ApproximateReceiveCount"})
        self.assertEqual((texts(found, "Body"), texts(found, "StringValue")), (["one"], ["v"]))
        self.assertIn("ApproximateReceiveCount", texts(found, "Name"))
        _, attributes = query(**{"Action": "GetQueueAttributes", "QueueUrl": url,
                                 "AttributeName.1": "VisibilityTimeout"})
        self.assertEqual((texts(attributes, "Name"), texts(attributes, "Value")), (["VisibilityTimeout"], ["7"]))
        status, refused = query(Action="GetQueueUrl", QueueName="none")
        self.assertEqual((status, texts(refused, "Code")), (400, ["AWS.SimpleQueueService.NonExistentQueue"]))


class Events(unittest.TestCase):
    def setUp(self):
        self.sqs, self.events = client("sqs"), client("events")
        self.rule, self.name = f"rule-{RUN}-{self._testMethodName[-8:]}", f"told-{RUN}-{self._testMethodName[-8:]}"
        self.url = self.sqs.create_queue(
            QueueName=self.name, Attributes={"Policy": policy(self.name, self.rule)})["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=self.url)
        pattern = json.dumps({"source": [f"shop-{RUN}"], "detail": {"kind": [{"anything-but": "noise"}]}})
        self.events.put_rule(Name=self.rule, EventPattern=pattern, Description="for the suite")
        put = self.events.put_targets(Rule=self.rule, Targets=[{"Id": "1", "Arn": queue_arn(self.name)}])
        self.assertEqual(put["FailedEntryCount"], 0)
        self.addCleanup(self.clean)

    def clean(self):
        self.events.remove_targets(Rule=self.rule, Ids=["1"])
        self.events.delete_rule(Name=self.rule)
        sim("faults", method="DELETE")

    def put(self, kind):
        entry = {"Source": f"shop-{RUN}", "DetailType": "Order", "Detail": json.dumps({"kind": kind})}
        [result] = self.events.put_events(Entries=[entry])["Entries"]
        return result["EventId"]

    def receive(self):
        sim("clock", {"advance_s": 2})
        found = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in found.get("Messages", [])]

    def test_a_rule_picks_and_a_queue_gets(self):
        self.put("noise")
        wanted = self.put("order")
        [event] = self.receive()
        self.assertEqual((event["id"], event["source"], event["detail-type"], event["region"], event["account"]),
                         (wanted, f"shop-{RUN}", "Order", REGION, ACCOUNT))
        described = self.events.describe_rule(Name=self.rule)
        self.assertEqual((described["State"], described["Description"]), ("ENABLED", "for the suite"))
        [target] = self.events.list_targets_by_rule(Rule=self.rule)["Targets"]
        self.assertEqual(target, {"Id": "1", "Arn": queue_arn(self.name)})
        with self.assertRaises(self.events.exceptions.InvalidEventPatternException):
            self.events.put_rule(Name=self.rule, EventPattern="{}")
        with self.assertRaises(self.events.exceptions.ResourceNotFoundException):
            self.events.describe_rule(Name="none")

    def test_faults_strike_events(self):
        for fault, expected in [("event_lost", 0), ("event_duplicated", 2)]:
            status, added = sim("faults", {"fault": fault, "operation": "Order", "times": 1})
            self.assertEqual(status, 200, added)
            self.put("order")
            self.assertEqual(len(self.receive()), expected, fault)
            [listed] = sim("faults")[1]
            self.assertEqual((listed["matched"], listed["fired"]), (1, 1), fault)
            sim("faults", method="DELETE")
        status, _ = sim("faults", {"fault": "event_lost", "service": "dynamodb"})
        self.assertEqual(status, 400)


class Buckets(unittest.TestCase):
    def test_calls_beyond_the_bucket_are_throttled_as_ecs_does(self):
        ecs = client("ecs")
        _, clock = sim("clock")
        sim("clock", {"speed": 0})
        self.addCleanup(sim, "clock", {"speed": clock["speed"]})
        _, fault = sim("faults", {"fault": "throttle_as_aws", "service": "ecs"})
        self.addCleanup(sim, f"faults?id={fault['id']}", method="DELETE")
        for _ in range(20):
            ecs.register_task_definition(family=f"bucket-{RUN}", containerDefinitions=[{"name": "a", "image": "b", "memory": 128}])
        with self.assertRaises(ClientError) as refused:
            ecs.register_task_definition(family=f"bucket-{RUN}", containerDefinitions=[{"name": "a", "image": "b", "memory": 128}])
        error = refused.exception.response["Error"]
        self.assertEqual((error["Code"], error["Message"]), ("ThrottlingException", "Rate exceeded."))
        sim("clock", {"advance_s": 1})
        ecs.register_task_definition(family=f"bucket-{RUN}", containerDefinitions=[{"name": "a", "image": "b", "memory": 128}])


if __name__ == "__main__":
    unittest.main()
