"""A blue/green and canary workshop, typed as its readers type it, with the AWS CLI.

The infrastructure that the workshop takes from a CloudFormation template is made first, with the
same names; then come its commands: register-task-definition, create-deployment from an appspec.yaml,
all at once, back again, and a canary whose errors trip the alarm.
"""

import json
import pathlib
import tempfile

from support import REGION, RUN, CliError, SpedUp, aws, say, sim, wait_for

ACCOUNT = "123456789012"
CLUSTER = f"workshop-cluster-{RUN}"
SERVICE = "fastapi-service"
APPLICATION = f"AppECS-{CLUSTER}-{SERVICE}"
GROUP = f"DgpECS-{CLUSTER}-{SERVICE}"
FAMILY = f"codedeploy-workshop-task-{RUN}"
CONTAINER = "fastapi-container"
ALARM = f"workshop-5xx-{RUN}"
REPOSITORY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/codedeploy-workshop"

ALL_AT_ONCE = "CodeDeployDefault.ECSAllAtOnce"
CANARY = "CodeDeployDefault.ECSCanary10Percent5Minutes"

EVENTS = [
    "BeforeInstall", "Install", "AfterInstall", "AllowTestTraffic", "AfterAllowTestTraffic",
    "BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic",
]


class Workshop(SpedUp):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    # The parts of the workshop's template.

    def build(self):
        subnets = ["--subnets", "subnet-aaaa1111", "subnet-bbbb2222"]
        balancer = aws("elbv2", "create-load-balancer", "--name", f"workshop-{RUN}", *subnets)
        self.balancer = balancer["LoadBalancers"][0]["LoadBalancerArn"]
        self.groups = {}
        for colour in ("blue", "green"):
            made = aws(
                "elbv2", "create-target-group", "--name", f"workshop-{colour}-{RUN}", "--protocol", "HTTP",
                "--port", "80", "--vpc-id", "vpc-cccc3333", "--target-type", "ip",
                "--health-check-path", "/health",
            )
            self.groups[colour] = made["TargetGroups"][0]["TargetGroupArn"]
        self.listeners = []
        for port in ("80", "8080"):
            made = aws(
                "elbv2", "create-listener", "--load-balancer-arn", self.balancer, "--protocol", "HTTP",
                "--port", port, "--default-actions", f"Type=forward,TargetGroupArn={self.groups['blue']}",
            )
            self.listeners.append(made["Listeners"][0]["ListenerArn"])
        aws("ecs", "create-cluster", "--cluster-name", CLUSTER)
        first = self.register("v1")
        aws(
            "ecs", "create-service", "--cluster", CLUSTER, "--service-name", SERVICE,
            "--task-definition", first, "--desired-count", "2", "--launch-type", "FARGATE",
            "--deployment-controller", "type=CODE_DEPLOY",
            "--load-balancers",
            f"targetGroupArn={self.groups['blue']},containerName={CONTAINER},containerPort=80",
            "--network-configuration",
            "awsvpcConfiguration={subnets=[subnet-aaaa1111],securityGroups=[sg-dddd4444],assignPublicIp=ENABLED}",
        )
        for colour, arn in self.groups.items():
            aws(
                "cloudwatch", "put-metric-alarm", "--alarm-name", f"{ALARM}-{colour}",
                "--namespace", "AWS/ApplicationELB", "--metric-name", "HTTPCode_Target_5XX_Count",
                "--dimensions", f"Name=LoadBalancer,Value={self.balancer.split('loadbalancer/')[1]}",
                f"Name=TargetGroup,Value={arn.split(':')[-1]}",
                "--statistic", "Sum", "--period", "60", "--evaluation-periods", "1", "--threshold", "5",
                "--comparison-operator", "GreaterThanThreshold", "--treat-missing-data", "notBreaching",
            )
        aws("deploy", "create-application", "--application-name", APPLICATION, "--compute-platform", "ECS")
        group = {
            "applicationName": APPLICATION,
            "deploymentGroupName": GROUP,
            "serviceRoleArn": f"arn:aws:iam::{ACCOUNT}:role/codedeploy",
            "deploymentConfigName": ALL_AT_ONCE,
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "blueGreenDeploymentConfiguration": {
                "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0},
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": "TERMINATE", "terminationWaitTimeInMinutes": 1},
            },
            "alarmConfiguration": {
                "enabled": True, "alarms": [{"name": f"{ALARM}-blue"}, {"name": f"{ALARM}-green"}]},
            "autoRollbackConfiguration": {
                "enabled": True, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]},
            "ecsServices": [{"clusterName": CLUSTER, "serviceName": SERVICE}],
            "loadBalancerInfo": {"targetGroupPairInfoList": [{
                "targetGroups": [{"name": f"workshop-blue-{RUN}"}, {"name": f"workshop-green-{RUN}"}],
                "prodTrafficRoute": {"listenerArns": [self.listeners[0]]},
                "testTrafficRoute": {"listenerArns": [self.listeners[1]]},
            }]},
        }
        file = self.folder / "group.json"
        file.write_text(json.dumps(group))
        aws("deploy", "create-deployment-group", "--cli-input-json", f"file://{file}")
        return first

    # The commands of the workshop.

    def register(self, tag):
        file = self.folder / "task-def.json"
        file.write_text(json.dumps({
            "family": FAMILY,
            "executionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/ecsTaskExecutionRole",
            "networkMode": "awsvpc",
            "containerDefinitions": [{
                "name": CONTAINER,
                "image": f"{REPOSITORY}:{tag}",
                "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
            }],
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
        }))
        made = aws("ecs", "register-task-definition", "--cli-input-json", f"file://{file}")
        return made["taskDefinition"]["taskDefinitionArn"]

    def appspec(self, task_definition):
        file = self.folder / "appspec.yaml"
        file.write_text(
            "version: 0.0\n"
            "Resources:\n"
            "- TargetService:\n"
            "    Type: AWS::ECS::Service\n"
            "    Properties:\n"
            "      # Update this to the new revision you just generated in Step 3\n"
            f'      TaskDefinition: "{task_definition}"\n'
            "      LoadBalancerInfo:\n"
            f'        ContainerName: "{CONTAINER}"\n'
            "        ContainerPort: 80\n"
        )
        return file

    def create_deployment(self, config, task_definition):
        revision = {
            "revisionType": "AppSpecContent",
            "appSpecContent": {"content": self.appspec(task_definition).read_text()},
        }
        made = aws(
            "deploy", "create-deployment", "--application-name", APPLICATION,
            "--deployment-group-name", GROUP, "--deployment-config-name", config,
            "--revision", json.dumps(revision),
        )
        self.assertRegex(made["deploymentId"], r"^d-[A-Z0-9]{9}$")
        return made["deploymentId"]

    def deployment(self, deployment_id):
        return aws("deploy", "get-deployment", "--deployment-id", deployment_id)["deploymentInfo"]

    def target(self, deployment_id):
        answer = aws("deploy", "get-deployment-target", "--deployment-id", deployment_id,
                     "--target-id", f"{CLUSTER}:{SERVICE}")
        return answer["deploymentTarget"]["ecsTarget"]

    def ended(self, deployment_id):
        info = self.deployment(deployment_id)
        return info if info["status"] in ("Succeeded", "Failed", "Stopped") else None

    def serving(self):
        service = aws("ecs", "describe-services", "--cluster", CLUSTER, "--services", SERVICE)["services"][0]
        primary = [each for each in service["taskSets"] if each["status"] == "PRIMARY"]
        self.assertEqual(len(primary), 1)
        return primary[0]["taskDefinition"]

    def weights(self):
        listener = aws("elbv2", "describe-listeners", "--listener-arns", self.listeners[0])["Listeners"][0]
        groups = listener["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
        return {each["TargetGroupArn"]: each.get("Weight", 1) for each in groups if each.get("Weight", 1)}

    def alarm_state(self):
        alarms = aws("cloudwatch", "describe-alarms", "--alarm-name-prefix", ALARM)["MetricAlarms"]
        return {each["StateValue"] for each in alarms}

    def test_the_workshop(self):
        first = self.build()
        wait_for("version 1 runs", lambda: aws(
            "ecs", "describe-services", "--cluster", CLUSTER, "--services", SERVICE,
        )["services"][0]["runningCount"] == 2)

        say("blue/green: version 2 all at once")
        second = self.register("v2")
        self.assertEqual(int(second.split(":")[-1]), int(first.split(":")[-1]) + 1)
        forward = self.create_deployment(ALL_AT_ONCE, second)

        say("a second deployment is refused while one is active")
        with self.assertRaises(CliError) as refused:
            self.create_deployment(ALL_AT_ONCE, first)
        self.assertIn("DeploymentLimitExceededException", str(refused.exception))
        self.assertIn(forward, str(refused.exception))

        info = wait_for("the deployment ends", lambda: self.ended(forward))
        self.assertEqual(info["status"], "Succeeded", info)
        aws("deploy", "wait", "deployment-successful", "--deployment-id", forward)
        events = self.target(forward)["lifecycleEvents"]
        self.assertEqual([each["lifecycleEventName"] for each in events], EVENTS)
        self.assertEqual({each["status"] for each in events}, {"Succeeded"})
        self.assertEqual(self.serving(), second)
        self.assertEqual(list(self.weights()), [self.groups["green"]])

        say("the AppSpec is answered as a digest and read by it")
        revision = info["revision"]["appSpecContent"]
        self.assertNotIn("content", revision)
        stored = aws(
            "deploy", "get-application-revision", "--application-name", APPLICATION, "--revision",
            json.dumps({"revisionType": "AppSpecContent", "appSpecContent": {"sha256": revision["sha256"]}}))
        self.assertIn(second, stored["revision"]["appSpecContent"]["content"])

        say("back to version 1")
        back = self.create_deployment(ALL_AT_ONCE, first)
        info = wait_for("the way back ends", lambda: self.ended(back))
        self.assertEqual(info["status"], "Succeeded", info)
        self.assertEqual(self.serving(), first)
        self.assertEqual(list(self.weights()), [self.groups["blue"]])

        say("canary: a version that crashes for one request in five")
        third = self.register("v3-bad")
        canary = self.create_deployment(CANARY, third)
        self.stepped("10 % go to the new version", lambda: self.weights() == {
            self.groups["blue"]: 90, self.groups["green"]: 10}, step_s=20)
        sets = {each["taskSetLabel"]: each for each in self.target(canary)["taskSetsInfo"]}
        self.assertEqual(sets["Green"]["trafficWeight"], 10.0)
        self.assertEqual(sets["Blue"]["trafficWeight"], 90.0)
        self.stepped("the alarm goes off", lambda: "ALARM" in self.alarm_state(), step_s=20)
        self.resume()

        say("the alarm stops it and rolls it back")
        info = wait_for("the canary ends", lambda: self.ended(canary))
        self.assertEqual(info["status"], "Stopped", info)
        self.assertEqual(info["errorInformation"]["code"], "ALARM_ACTIVE")
        self.assertIn(f"{ALARM}-green", info["errorInformation"]["message"])
        rollback = info["rollbackInfo"]["rollbackDeploymentId"]
        info = wait_for("the rollback ends", lambda: self.ended(rollback))
        self.assertEqual(info["status"], "Succeeded", info)
        self.assertEqual(info["creator"], "codeDeployRollback")
        self.assertEqual(info["rollbackInfo"]["rollbackTriggeringDeploymentId"], canary)
        self.assertEqual(self.serving(), first)
        self.assertEqual(list(self.weights()), [self.groups["blue"]])

        say("the alarm recovers, and `aws ecs deploy` brings a good version")
        wait_for("the alarm is quiet again", lambda: "ALARM" not in self.alarm_state())
        self.register("v4")
        output = aws(
            "ecs", "deploy", "--service", SERVICE, "--cluster", CLUSTER,
            "--task-definition", str(self.folder / "task-def.json"),
            "--codedeploy-appspec", str(self.appspec(first)),
            "--codedeploy-application", APPLICATION, "--codedeploy-deployment-group", GROUP,
            "--output", "text",
        )
        self.assertIn("Successfully deployed", output)
        self.assertEqual(int(self.serving().split(":")[-1]), int(first.split(":")[-1]) + 4)

        say("the journal tells the same story")
        _, journal = sim("journal")
        mine = [each for each in journal if each["operation"] == "CreateDeployment"
                and each["parameters"].get("applicationName") == APPLICATION]
        self.assertEqual([each["error"] for each in mine], [
            None, "DeploymentLimitExceededException", None, None, None])
