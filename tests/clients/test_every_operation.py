"""Every operation of the account, called by boto3 so that it succeeds, and some so that they are refused.

Each answer is held against the service's model (conformance.py). Which operations there are is found by
asking for all that the models have: what is not refused as unknown is there, and must be called here or
elsewhere in the suite. So an operation without a test fails test_zz_coverage.py.
"""

import datetime
import http.server
import json
import queue
import threading
import unittest
import urllib.parse

from botocore.exceptions import WaiterError

from estate import ACCOUNT, NETWORK, Estate, tagged
from support import REGION, RELAY, RUN, SpedUp, client, say, wait_for


class Deployments(SpedUp):
    """CodeDeploy, from the first application to the last rollback."""

    speed = 300

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.estate = Estate("ops")
        cls.estate.steady()

    def test_applications_groups_and_configurations(self):
        codedeploy, name = self.estate.codedeploy, f"opsmeta-{RUN}"
        say("applications")
        self.assertTrue(codedeploy.create_application(
            applicationName=name, computePlatform="ECS", tags=tagged(("team", "a")))["applicationId"])
        self.assertEqual(codedeploy.get_application(applicationName=name)["application"]["applicationName"], name)
        found = codedeploy.batch_get_applications(applicationNames=[name])["applicationsInfo"]
        self.assertEqual([each["applicationName"] for each in found], [name])
        self.assertIn(name, codedeploy.list_applications()["applications"])
        arn = f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:application:{name}"
        codedeploy.tag_resource(ResourceArn=arn, Tags=tagged(("cost", "1")))
        codedeploy.untag_resource(ResourceArn=arn, TagKeys=["team"])
        self.assertEqual(codedeploy.list_tags_for_resource(ResourceArn=arn)["Tags"], tagged(("cost", "1")))
        codedeploy.update_application(applicationName=name, newApplicationName=f"{name}-b")
        with self.assertRaises(codedeploy.exceptions.ApplicationDoesNotExistException):
            codedeploy.get_application(applicationName=name)
        say("revisions")
        revision = {"revisionType": "AppSpecContent", "appSpecContent": {
            "content": self.estate.app_spec(self.estate.revisions[0])}}
        codedeploy.register_application_revision(applicationName=f"{name}-b", revision=revision, description="x")
        listed = codedeploy.list_application_revisions(applicationName=f"{name}-b")["revisions"]
        self.assertEqual(len(listed), 1)
        asked = {"revisionType": "AppSpecContent",
                 "appSpecContent": {"sha256": listed[0]["appSpecContent"]["sha256"]}}
        one = codedeploy.get_application_revision(applicationName=f"{name}-b", revision=asked)
        self.assertEqual(one["revisionInfo"]["description"], "x")
        many = codedeploy.batch_get_application_revisions(applicationName=f"{name}-b", revisions=[asked])
        self.assertEqual(len(many["revisions"]), 1)
        codedeploy.delete_application(applicationName=f"{name}-b")
        say("deployment configurations")
        routing = {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 7, "canaryInterval": 2}}
        codedeploy.create_deployment_config(
            deploymentConfigName=name, computePlatform="ECS", trafficRoutingConfig=routing)
        with self.assertRaises(codedeploy.exceptions.DeploymentConfigAlreadyExistsException):
            codedeploy.create_deployment_config(
                deploymentConfigName=name, computePlatform="ECS", trafficRoutingConfig=routing)
        got = codedeploy.get_deployment_config(deploymentConfigName=name)["deploymentConfigInfo"]
        self.assertEqual(got["trafficRoutingConfig"], routing)
        self.assertIn(name, codedeploy.list_deployment_configs()["deploymentConfigsList"])
        codedeploy.delete_deployment_config(deploymentConfigName=name)
        say("deployment groups")
        estate = self.estate
        got = codedeploy.get_deployment_group(applicationName=estate.name, deploymentGroupName="web")
        self.assertEqual(got["deploymentGroupInfo"]["computePlatform"], "ECS")
        got = codedeploy.batch_get_deployment_groups(
            applicationName=estate.name, deploymentGroupNames=["web"])["deploymentGroupsInfo"]
        self.assertEqual(len(got), 1)
        self.assertEqual(codedeploy.list_deployment_groups(applicationName=estate.name)["deploymentGroups"], ["web"])
        codedeploy.update_deployment_group(
            applicationName=estate.name, currentDeploymentGroupName="web",
            alarmConfiguration={"enabled": False, "alarms": []})
        with self.assertRaises(codedeploy.exceptions.DeploymentGroupDoesNotExistException):
            codedeploy.get_deployment_group(applicationName=estate.name, deploymentGroupName="none")
        with self.assertRaises(codedeploy.exceptions.DeploymentGroupAlreadyExistsException):
            estate.group()
        spare = Estate("spare")
        spare.steady()
        codedeploy.delete_deployment_group(applicationName=spare.name, deploymentGroupName="web")
        self.assertEqual(codedeploy.list_deployment_groups(applicationName=spare.name)["deploymentGroups"], [])

    def test_paging_loses_nothing(self):
        codedeploy = self.estate.codedeploy
        names = sorted(f"page-{RUN}-{number:03}" for number in range(130))
        for name in names:
            codedeploy.create_application(applicationName=name, computePlatform="ECS")
        found = [name for page in codedeploy.get_paginator("list_applications").paginate()
                 for name in page["applications"]]
        self.assertEqual(sorted(each for each in found if each in names), names)
        self.assertEqual(len(found), len(set(found)))
        for name in names:
            codedeploy.delete_application(applicationName=name)

    def test_a_deployment_moves_the_traffic(self):
        estate = self.estate
        before = estate.weights()
        serving = next(colour for colour, weight in before.items() if weight)
        other = "green" if serving == "blue" else "blue"
        second = estate.register("v2")
        with self.slowly():
            deployment = estate.deploy(second, description="conformance")
            with self.assertRaises(estate.codedeploy.exceptions.DeploymentLimitExceededException):
                estate.deploy(second)
        waiter = estate.codedeploy.get_waiter("deployment_successful")
        waiter.wait(deploymentId=deployment, WaiterConfig={"Delay": 1, "MaxAttempts": 240})
        info = estate.info(deployment)
        self.assertEqual(info["status"], "Succeeded")
        self.assertEqual(info["creator"], "user")
        with self.assertRaises(estate.codedeploy.exceptions.DeploymentAlreadyCompletedException):
            estate.codedeploy.stop_deployment(deploymentId=deployment)
        self.assertLess(info["createTime"], info["completeTime"])
        weights = estate.weights()
        self.assertEqual((weights[serving], weights[other] > 0), (0, True), "the traffic moved")
        self.assertEqual(sorted(estate.targets(other)), ["healthy", "healthy"], "the new tasks are targets")
        primary = [each for each in estate.service()["taskSets"] if each["status"] == "PRIMARY"]
        self.assertEqual([each["taskDefinition"] for each in primary], [second])
        got = estate.codedeploy.batch_get_deployments(deploymentIds=[deployment])["deploymentsInfo"]
        self.assertEqual([each["deploymentId"] for each in got], [deployment])
        listed = estate.codedeploy.list_deployments(applicationName=estate.name, deploymentGroupName="web")
        self.assertIn(deployment, listed["deployments"])
        targets = estate.codedeploy.list_deployment_targets(deploymentId=deployment)["targetIds"]
        got = estate.codedeploy.batch_get_deployment_targets(deploymentId=deployment, targetIds=targets)
        self.assertEqual(got["deploymentTargets"][0]["deploymentTargetType"], "ECSTarget")

    def test_a_hook_is_reported_and_a_stop_gives_the_traffic_back(self):
        estate = self.estate
        estate.steady()
        before = estate.weights()
        third = estate.register("v3")
        # The hook's function says nothing by itself; the test reports for it.
        deployment = estate.deploy(
            third, [{"AfterAllowTraffic": "sim-silent"}],
            deploymentConfigName="CodeDeployDefault.ECSAllAtOnce")
        estate.started(deployment)
        wait_for("the last hook waits",
                 lambda: estate.events(deployment)["AfterAllowTraffic"]["status"] == "InProgress", 120)
        with self.slowly():
            self.assertNotEqual(estate.weights(), before, "the traffic has moved")
            with self.assertRaises(estate.codedeploy.exceptions.InvalidLifecycleEventHookExecutionIdException):
                estate.codedeploy.put_lifecycle_event_hook_execution_status(
                    deploymentId=deployment, lifecycleEventHookExecutionId="nonsense", status="Succeeded")
            stopped = estate.codedeploy.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)
        self.assertIn(stopped["status"], ("Pending", "Succeeded"))
        info = estate.ended(deployment)
        self.assertEqual(info["status"], "Stopped")
        self.assertIn("completeTime", info)
        rollback = info["rollbackInfo"]["rollbackDeploymentId"]
        info = estate.ended(rollback)
        self.assertEqual((info["status"], info["creator"]), ("Succeeded", "codeDeployRollback"))
        back = {colour: bool(weight) for colour, weight in estate.weights().items()}
        self.assertEqual(back, {colour: bool(weight) for colour, weight in before.items()}, "the weights are back")
        again = estate.codedeploy.stop_deployment(deploymentId=deployment)
        self.assertEqual(again["status"], "Succeeded", "a stop that is over is told again")
        with self.assertRaises(WaiterError):
            estate.codedeploy.get_waiter("deployment_successful").wait(
                deploymentId=deployment, WaiterConfig={"Delay": 1, "MaxAttempts": 3})

    @unittest.skipUnless(RELAY, "SWITCHBACK_RELAY_URL does not say where the account posts its hooks")
    def test_a_function_reports_for_its_hook(self):
        estate, posted = self.estate, queue.Queue()
        estate.steady()

        class Function(http.server.BaseHTTPRequestHandler):
            """What a function of AWS Lambda is given, and what it does later."""

            def do_POST(self):
                posted.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(202)
                self.end_headers()

            def log_message(self, *_):
                pass

        url = urllib.parse.urlsplit(RELAY)
        server = http.server.ThreadingHTTPServer((url.hostname, url.port), Function)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        deployment = estate.deploy(estate.register("v5"), [{"BeforeAllowTraffic": "switchback-relay"}])
        hook = posted.get(timeout=120)
        report = {"deploymentId": deployment, "lifecycleEventHookExecutionId": hook["LifecycleEventHookExecutionId"]}
        put = estate.codedeploy.put_lifecycle_event_hook_execution_status
        with self.slowly():
            self.assertEqual(hook["DeploymentId"], deployment)
            with self.assertRaises(estate.codedeploy.exceptions.InvalidLifecycleEventHookExecutionStatusException):
                put(**report, status="Skipped")
            answer = put(**report, status="Succeeded")
            self.assertEqual(answer["lifecycleEventHookExecutionId"], hook["LifecycleEventHookExecutionId"])
            with self.assertRaises(estate.codedeploy.exceptions.LifecycleEventAlreadyCompletedException):
                put(**report, status="Succeeded")
        self.assertEqual(estate.ended(deployment)["status"], "Succeeded")
        self.assertEqual(estate.events(deployment)["BeforeAllowTraffic"]["status"], "Succeeded")

    def test_waiting_for_traffic(self):
        estate = self.estate
        estate.steady()
        revision = estate.register("v4")
        estate.codedeploy.update_deployment_group(
            applicationName=estate.name, currentDeploymentGroupName="web",
            blueGreenDeploymentConfiguration={
                "deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 2000},
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": "TERMINATE", "terminationWaitTimeInMinutes": 2800}})
        deployment = estate.deploy(revision)
        wait_for("it is ready", lambda: estate.info(deployment)["status"] == "Ready", 120)
        estate.codedeploy.continue_deployment(deploymentId=deployment, deploymentWaitType="READY_WAIT")
        wait_for("its old tasks are kept", lambda: estate.info(deployment).get("instanceTerminationWaitTimeStarted"))
        estate.codedeploy.skip_wait_time_for_instance_termination(deploymentId=deployment)
        self.assertEqual(estate.ended(deployment)["status"], "Succeeded")
        estate.codedeploy.update_deployment_group(
            applicationName=estate.name, currentDeploymentGroupName="web",
            blueGreenDeploymentConfiguration={
                "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0},
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": "TERMINATE", "terminationWaitTimeInMinutes": 1}})

    def test_a_refusal_of_a_deployment_that_is_not_there(self):
        codedeploy = self.estate.codedeploy
        with self.assertRaises(codedeploy.exceptions.DeploymentDoesNotExistException):
            codedeploy.put_lifecycle_event_hook_execution_status(
                deploymentId="d-ZZZZZZZZZ", lifecycleEventHookExecutionId="x", status="Succeeded")
        with self.assertRaises(codedeploy.exceptions.DeploymentDoesNotExistException):
            codedeploy.get_deployment(deploymentId="d-ZZZZZZZZZ")


class Containers(SpedUp):
    """ECS: clusters, revisions, services of each controller, tasks and task sets."""

    speed = 300

    def test_ecs(self):
        ecs, name = client("ecs"), f"opsecs-{RUN}"
        made = ecs.create_cluster(clusterName=name, tags=[{"key": "a", "value": "1"}])["cluster"]
        found = ecs.describe_clusters(clusters=[name, "missing"], include=["TAGS", "SETTINGS", "STATISTICS"])
        self.assertEqual(found["failures"][0]["reason"], "MISSING")
        self.assertIn(made["clusterArn"], ecs.list_clusters()["clusterArns"])
        ecs.tag_resource(resourceArn=made["clusterArn"], tags=[{"key": "b", "value": "2"}])
        ecs.untag_resource(resourceArn=made["clusterArn"], tagKeys=["a"])
        self.assertEqual(ecs.list_tags_for_resource(resourceArn=made["clusterArn"])["tags"],
                         [{"key": "b", "value": "2"}])

        say("task definitions")
        arns = [ecs.register_task_definition(
            family=name, networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            tags=[{"key": "n", "value": str(number)}],
            containerDefinitions=[{"name": "web", "image": f"web:{number}"}],
        )["taskDefinition"]["taskDefinitionArn"] for number in range(3)]
        one = ecs.describe_task_definition(taskDefinition=name, include=["TAGS"])
        self.assertEqual(one["taskDefinition"]["taskDefinitionArn"], arns[2])
        self.assertEqual(ecs.list_task_definitions(familyPrefix=name)["taskDefinitionArns"], arns)
        self.assertEqual(ecs.list_task_definition_families(familyPrefix=name)["families"], [name])
        gone = ecs.deregister_task_definition(taskDefinition=arns[2])["taskDefinition"]
        self.assertEqual(gone["status"], "INACTIVE")

        say("a rolling service, with the waiters of the SDK")
        ecs.create_service(cluster=name, serviceName="rolling", taskDefinition=arns[0], desiredCount=2,
                           launchType="FARGATE", networkConfiguration=NETWORK)
        waits = {"Delay": 1, "MaxAttempts": 120}
        ecs.get_waiter("services_stable").wait(cluster=name, services=["rolling"], WaiterConfig=waits)
        ecs.update_service(cluster=name, service="rolling", taskDefinition=arns[1], forceNewDeployment=True)
        ecs.get_waiter("services_stable").wait(cluster=name, services=["rolling"], WaiterConfig=waits)
        service = ecs.describe_services(cluster=name, services=["rolling"])["services"][0]
        self.assertEqual([each["taskDefinition"] for each in service["deployments"]], [arns[1]])
        self.assertEqual(len(ecs.list_services(cluster=name)["serviceArns"]), 1)
        tasks = ecs.list_tasks(cluster=name, serviceName="rolling")["taskArns"]
        ecs.get_waiter("tasks_running").wait(cluster=name, tasks=tasks, WaiterConfig=waits)
        found = ecs.describe_tasks(cluster=name, tasks=tasks)["tasks"]
        self.assertEqual({each["lastStatus"] for each in found}, {"RUNNING"})
        say("a task that is stopped is replaced")
        stopped = ecs.stop_task(cluster=name, task=tasks[0], reason="a drill")["task"]
        self.assertEqual((stopped["desiredStatus"], stopped["stopCode"]), ("STOPPED", "UserInitiated"))
        ecs.get_waiter("tasks_stopped").wait(cluster=name, tasks=[tasks[0]], WaiterConfig=waits)
        ended = ecs.describe_tasks(cluster=name, tasks=[tasks[0]])["tasks"][0]
        self.assertEqual(ended["stoppedReason"], "a drill")
        ecs.get_waiter("services_stable").wait(cluster=name, services=["rolling"], WaiterConfig=waits)
        self.assertEqual(len(ecs.list_tasks(cluster=name, serviceName="rolling")["taskArns"]), 2)
        with self.assertRaises(ecs.exceptions.InvalidParameterException):
            ecs.stop_task(cluster=name, task="0" * 32)

        say("task sets of an external controller")
        ecs.create_service(cluster=name, serviceName="external", desiredCount=1,
                           deploymentController={"type": "EXTERNAL"})
        sets = [ecs.create_task_set(
            cluster=name, service="external", taskDefinition=arn, launchType="FARGATE",
            networkConfiguration=NETWORK, scale={"unit": "PERCENT", "value": 100})["taskSet"] for arn in arns[:2]]
        ecs.update_service_primary_task_set(cluster=name, service="external", primaryTaskSet=sets[0]["id"])
        changed = ecs.update_task_set(cluster=name, service="external", taskSet=sets[1]["id"],
                                      scale={"unit": "PERCENT", "value": 50})["taskSet"]
        self.assertEqual(changed["scale"]["value"], 50.0)
        found = ecs.describe_task_sets(cluster=name, service="external", include=["TAGS"])["taskSets"]
        self.assertEqual(len(found), 2)
        ecs.delete_task_set(cluster=name, service="external", taskSet=sets[1]["id"], force=True)

        say("and away with it")
        with self.assertRaises(ecs.exceptions.ClusterContainsServicesException):
            ecs.delete_cluster(cluster=name)
        for service in ("rolling", "external"):
            ecs.delete_service(cluster=name, service=service, force=True)
        ecs.get_waiter("services_inactive").wait(cluster=name, services=["rolling"], WaiterConfig=waits)
        wait_for("all tasks are gone", lambda: not ecs.list_tasks(cluster=name)["taskArns"])
        with self.assertRaises(ecs.exceptions.ServiceNotActiveException):
            ecs.update_service(cluster=name, service="rolling", desiredCount=1)
        ecs.delete_cluster(cluster=name)


class LoadBalancing(unittest.TestCase):
    """Elastic Load Balancing v2, every operation."""

    def test_elb(self):
        elb, name = client("elbv2"), f"opselb-{RUN}"
        balancer = elb.create_load_balancer(
            Name=name, Subnets=["subnet-1", "subnet-2"], Tags=tagged(("a", "1")))["LoadBalancers"][0]
        arn = balancer["LoadBalancerArn"]
        self.assertEqual(elb.describe_load_balancers(Names=[name])["LoadBalancers"][0]["LoadBalancerArn"], arn)
        elb.get_waiter("load_balancer_available").wait(
            LoadBalancerArns=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 5})
        elb.modify_load_balancer_attributes(
            LoadBalancerArn=arn, Attributes=tagged(("idle_timeout.timeout_seconds", "30")))
        attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        self.assertIn({"Key": "idle_timeout.timeout_seconds", "Value": "30"}, attributes)
        groups = [elb.create_target_group(
            Name=f"{name}-{number}", Protocol="HTTP", Port=80, VpcId="vpc-1", TargetType="ip",
        )["TargetGroups"][0]["TargetGroupArn"] for number in range(2)]
        with self.assertRaises(elb.exceptions.DuplicateTargetGroupNameException):
            elb.create_target_group(Name=f"{name}-0", Protocol="HTTP", Port=81, VpcId="vpc-1", TargetType="ip")
        found = elb.describe_target_groups(Names=[f"{name}-0"])["TargetGroups"]
        self.assertEqual([each["TargetGroupArn"] for each in found], groups[:1])
        changed = elb.modify_target_group(TargetGroupArn=groups[0], HealthCheckPath="/well")["TargetGroups"][0]
        self.assertEqual(changed["HealthCheckPath"], "/well")
        elb.modify_target_group_attributes(
            TargetGroupArn=groups[0], Attributes=tagged(("deregistration_delay.timeout_seconds", "30")))
        self.assertIn({"Key": "deregistration_delay.timeout_seconds", "Value": "30"},
                      elb.describe_target_group_attributes(TargetGroupArn=groups[0])["Attributes"])
        target = {"Id": "10.9.9.9", "Port": 80}
        elb.register_targets(TargetGroupArn=groups[0], Targets=[target])
        health = elb.describe_target_health(TargetGroupArn=groups[0])["TargetHealthDescriptions"]
        self.assertEqual(health[0]["TargetHealth"]["State"], "unused")
        elb.deregister_targets(TargetGroupArn=groups[0], Targets=[target])

        forward = [{"Type": "forward", "TargetGroupArn": groups[0]}]
        listener = elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward)
        listener = listener["Listeners"][0]["ListenerArn"]
        weighted = [{"Type": "forward", "ForwardConfig": {"TargetGroups": [
            {"TargetGroupArn": groups[0], "Weight": 90}, {"TargetGroupArn": groups[1], "Weight": 10}]}}]
        elb.modify_listener(ListenerArn=listener, DefaultActions=weighted)
        found = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"][0]["DefaultActions"][0]["ForwardConfig"]
        self.assertEqual({each["TargetGroupArn"]: each["Weight"] for each in found["TargetGroups"]},
                         {groups[0]: 90, groups[1]: 10})
        condition = [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a*"]}}]
        rule = elb.create_rule(ListenerArn=listener, Priority=5, Conditions=condition, Actions=forward)
        rule = rule["Rules"][0]["RuleArn"]
        elb.modify_rule(RuleArn=rule, Actions=weighted)
        elb.set_rule_priorities(RulePriorities=[{"RuleArn": rule, "Priority": 7}])
        found = elb.describe_rules(ListenerArn=listener)["Rules"]
        self.assertEqual([each["Priority"] for each in found], ["7", "default"])
        elb.add_tags(ResourceArns=[arn], Tags=tagged(("b", "2")))
        elb.remove_tags(ResourceArns=[arn], TagKeys=["a"])
        self.assertEqual(elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"], tagged(("b", "2")))
        with self.assertRaises(elb.exceptions.ResourceInUseException):
            elb.delete_target_group(TargetGroupArn=groups[0])
        elb.delete_rule(RuleArn=rule)
        elb.delete_listener(ListenerArn=listener)
        elb.delete_load_balancer(LoadBalancerArn=arn)
        with self.assertRaises(elb.exceptions.LoadBalancerNotFoundException):
            elb.describe_load_balancers(LoadBalancerArns=[arn])
        for group in groups:
            elb.delete_target_group(TargetGroupArn=group)


class Watching(unittest.TestCase):
    """CloudWatch in each of its protocols, and STS."""

    def test_cloudwatch(self):
        for protocol in ("json", "smithy-rpc-v2-cbor", "query"):
            with self.subTest(protocol=protocol):
                self.each(client("cloudwatch", protocol), f"ops-{protocol}-{RUN}")

    def each(self, cloudwatch, name):
        now = datetime.datetime.now(datetime.timezone.utc)
        metric = {"Namespace": f"Ops/{name}", "MetricName": "Errors", "Dimensions": [{"Name": "d", "Value": "<&>"}]}
        data = {"MetricName": "Errors", "Dimensions": metric["Dimensions"], "Timestamp": now - datetime.timedelta(
            minutes=10), "Value": 3.5}
        cloudwatch.put_metric_data(Namespace=metric["Namespace"], MetricData=[data])
        self.assertEqual(cloudwatch.list_metrics(Namespace=metric["Namespace"])["Metrics"], [metric])
        span = {"StartTime": now - datetime.timedelta(hours=1), "EndTime": now + datetime.timedelta(hours=1)}
        points = cloudwatch.get_metric_statistics(**metric, **span, Period=60, Statistics=["Sum", "Average"])
        self.assertEqual([each["Sum"] for each in points["Datapoints"]], [3.5])
        queries = [
            {"Id": "m1", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "p99"}},
            {"Id": "twice", "Expression": "m1*2"}]
        results = cloudwatch.get_metric_data(MetricDataQueries=queries, **span)["MetricDataResults"]
        self.assertEqual({each["Id"]: each["Values"] for each in results}, {"m1": [3.5], "twice": [7.0]})
        cloudwatch.put_metric_alarm(
            AlarmName=name, **metric, Statistic="Sum", Period=60, EvaluationPeriods=2, DatapointsToAlarm=1,
            Threshold=1.5, ComparisonOperator="GreaterThanThreshold", TreatMissingData="notBreaching",
            Tags=tagged(("a", "1")))
        cloudwatch.put_composite_alarm(AlarmName=f"{name}-all", AlarmRule=f'ALARM("{name}")')
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a drill")
        alarms = cloudwatch.describe_alarms(AlarmNamePrefix=name, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        self.assertEqual(len(alarms["MetricAlarms"]) + len(alarms["CompositeAlarms"]), 2)
        self.assertEqual(len(cloudwatch.describe_alarms_for_metric(**metric)["MetricAlarms"]), 1)
        history = cloudwatch.describe_alarm_history(AlarmName=name)["AlarmHistoryItems"]
        self.assertIn("StateUpdate", {each["HistoryItemType"] for each in history})
        cloudwatch.disable_alarm_actions(AlarmNames=[name])
        cloudwatch.enable_alarm_actions(AlarmNames=[name])
        arn = alarms["MetricAlarms"][0]["AlarmArn"]
        cloudwatch.tag_resource(ResourceARN=arn, Tags=tagged(("b", "2")))
        cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["a"])
        self.assertEqual(cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"], tagged(("b", "2")))
        with self.assertRaises(cloudwatch.exceptions.ResourceNotFound):
            cloudwatch.set_alarm_state(AlarmName="none", StateValue="OK", StateReason="x")
        cloudwatch.delete_alarms(AlarmNames=[f"{name}-all"])
        cloudwatch.delete_alarms(AlarmNames=[name])

    def test_sts(self):
        sts = client("sts")
        self.assertEqual(sts.get_caller_identity()["Account"], ACCOUNT)
        role = sts.assume_role(RoleArn="arn:aws:iam::210987654321:role/there", RoleSessionName="ops")
        self.assertEqual(role["AssumedRoleUser"]["Arn"], "arn:aws:sts::210987654321:assumed-role/there/ops")


class Messages(unittest.TestCase):
    """SQS and EventBridge."""

    def test_queues(self):
        sqs = client("sqs")
        letters = sqs.create_queue(QueueName=f"letters-{RUN}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
        url = sqs.create_queue(QueueName=f"ops-{RUN}", Attributes={"RedrivePolicy": redrive},
                               tags={"a": "1"})["QueueUrl"]
        self.assertEqual(sqs.get_queue_url(QueueName=f"ops-{RUN}")["QueueUrl"], url)
        self.assertIn(url, sqs.list_queues(QueueNamePrefix="ops-")["QueueUrls"])
        self.assertEqual(sqs.list_dead_letter_source_queues(QueueUrl=letters)["queueUrls"], [url])
        sqs.tag_queue(QueueUrl=url, Tags={"b": "2"})
        sqs.untag_queue(QueueUrl=url, TagKeys=["a"])
        self.assertEqual(sqs.list_queue_tags(QueueUrl=url)["Tags"], {"b": "2"})
        # Half a day of simulated time, so that no message becomes visible again however slow this machine is.
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "40000"})
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        self.assertEqual(attributes["VisibilityTimeout"], "40000")
        sqs.send_message(QueueUrl=url, MessageBody="one <&>")
        sent = sqs.send_message_batch(QueueUrl=url, Entries=[
            {"Id": "2", "MessageBody": "two"}, {"Id": "3", "MessageBody": "three"}])
        self.assertEqual(sorted(each["Id"] for each in sent["Successful"]), ["2", "3"])
        received = {}

        def receive():
            for each in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                received[each["Body"]] = each["ReceiptHandle"]
            return len(received) == 3
        wait_for("all three are received", receive)
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=received["two"], VisibilityTimeout=40_000)
        sqs.change_message_visibility_batch(QueueUrl=url, Entries=[
            {"Id": "3", "ReceiptHandle": received["three"], "VisibilityTimeout": 40_000}])
        sqs.delete_message(QueueUrl=url, ReceiptHandle=received["one <&>"])
        sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": "2", "ReceiptHandle": received["two"]}])
        with self.assertRaises(sqs.exceptions.QueueDoesNotExist):
            sqs.get_queue_url(QueueName="none")
        sqs.purge_queue(QueueUrl=url)
        sqs.delete_queue(QueueUrl=url)

    def test_rules(self):
        events = client("events")
        name = f"ops-{RUN}"
        self.assertEqual(events.describe_event_bus()["Name"], "default")
        self.assertEqual([each["Name"] for each in events.list_event_buses()["EventBuses"]], ["default"])
        events.put_rule(Name=name, EventPattern=json.dumps({"source": ["ops"]}), State="ENABLED")
        self.assertIn(name, [each["Name"] for each in events.list_rules(NamePrefix="ops-")["Rules"]])
        target = f"arn:aws:sqs:{REGION}:{ACCOUNT}:events-{RUN}"
        client("sqs").create_queue(QueueName=f"events-{RUN}")
        self.assertEqual(events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": target}])["FailedEntryCount"], 0)
        self.assertEqual(events.list_targets_by_rule(Rule=name)["Targets"][0]["Arn"], target)
        self.assertEqual(events.list_rule_names_by_target(TargetArn=target)["RuleNames"], [name])
        rule = events.describe_rule(Name=name)["Arn"]
        events.tag_resource(ResourceARN=rule, Tags=tagged(("a", "1"), ("b", "2")))
        events.untag_resource(ResourceARN=rule, TagKeys=["a"])
        self.assertEqual(events.list_tags_for_resource(ResourceARN=rule)["Tags"], tagged(("b", "2")))
        event = {"id": "1", "detail-type": "a drill", "source": "ops", "account": ACCOUNT, "region": REGION,
                 "time": "2026-11-21T10:00:00Z", "resources": [], "detail": {}}
        self.assertTrue(events.test_event_pattern(
            EventPattern=json.dumps({"source": ["ops"]}), Event=json.dumps(event))["Result"])
        events.disable_rule(Name=name)
        self.assertEqual(events.describe_rule(Name=name)["State"], "DISABLED")
        events.enable_rule(Name=name)
        put = events.put_events(Entries=[{"Source": "ops", "DetailType": "a drill", "Detail": "{}"}])
        self.assertEqual(put["FailedEntryCount"], 0)
        with self.assertRaises(events.exceptions.ResourceNotFoundException):
            events.describe_rule(Name="none")
        self.assertEqual(events.remove_targets(Rule=name, Ids=["q"])["FailedEntryCount"], 0)
        events.delete_rule(Name=name)


class Objects(unittest.TestCase):
    """S3, as far as a revision in a bucket needs it."""

    def test_s3(self):
        s3, name = client("s3"), f"ops-{RUN}"
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.head_bucket(Bucket=name)
        self.assertIn(name, [each["Name"] for each in s3.list_buckets()["Buckets"]])
        self.assertEqual(s3.get_bucket_location(Bucket=name)["LocationConstraint"], REGION)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        self.assertEqual(s3.get_bucket_versioning(Bucket=name)["Status"], "Enabled")
        put = [s3.put_object(Bucket=name, Key="a/ü", Body=body) for body in (b"one", b"two")]
        self.assertEqual(s3.get_object(Bucket=name, Key="a/ü")["Body"].read(), b"two")
        first = s3.get_object(Bucket=name, Key="a/ü", VersionId=put[0]["VersionId"])
        self.assertEqual(first["Body"].read(), b"one")
        head = s3.head_object(Bucket=name, Key="a/ü")
        self.assertEqual((head["ContentLength"], head["ETag"]), (3, put[1]["ETag"]))
        listed = s3.list_objects_v2(Bucket=name, Delimiter="/")
        self.assertEqual([each["Prefix"] for each in listed["CommonPrefixes"]], ["a/"])
        with self.assertRaises(s3.exceptions.NoSuchKey):
            s3.get_object(Bucket=name, Key="none")
        with self.assertRaises(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        marker = s3.delete_object(Bucket=name, Key="a/ü")
        self.assertTrue(marker["DeleteMarker"])
        gone = [{"Key": "a/ü", "VersionId": each["VersionId"]} for each in (*put, marker)]
        self.assertEqual(len(s3.delete_objects(Bucket=name, Delete={"Objects": gone})["Deleted"]), 3)
        s3.delete_bucket(Bucket=name)
        with self.assertRaises(s3.exceptions.NoSuchBucket):
            s3.list_objects_v2(Bucket=name)


if __name__ == "__main__":
    unittest.main()
