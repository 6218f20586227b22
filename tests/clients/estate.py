"""What a deployment needs, made by boto3: a load balancer, a service, and a deployment group."""

import json

from support import RUN, client, wait_for

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/codedeploy"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-aaaa1111"], "assignPublicIp": "ENABLED"}}
OVER = ("Succeeded", "Failed", "Stopped")


def tagged(*pairs):
    return [{"Key": key, "Value": value} for key, value in pairs]


class Estate:
    """A load balancer, a service with CodeDeploy's controller, and what deploys it; made once for a class."""

    def __init__(self, name, listeners=("80", "8080")):
        self.name = f"{name}-{RUN}"
        self.ecs, self.elb = client("ecs"), client("elbv2")
        self.codedeploy, self.cloudwatch = client("codedeploy"), client("cloudwatch")
        self.balancer = self.elb.create_load_balancer(
            Name=self.name, Subnets=["subnet-aaaa1111", "subnet-bbbb2222"])["LoadBalancers"][0]["LoadBalancerArn"]
        self.groups = {}
        for colour in ("blue", "green"):
            made = self.elb.create_target_group(
                Name=f"{self.name}-{colour}", Protocol="HTTP", Port=80, VpcId="vpc-1", TargetType="ip",
                HealthCheckIntervalSeconds=10, HealthyThresholdCount=2, HealthCheckTimeoutSeconds=5)["TargetGroups"][0]
            self.groups[colour] = made["TargetGroupArn"]
            self.elb.modify_target_group_attributes(
                TargetGroupArn=made["TargetGroupArn"],
                Attributes=tagged(("deregistration_delay.timeout_seconds", "5")))
        self.listeners = [self.elb.create_listener(
            LoadBalancerArn=self.balancer, Protocol="HTTP", Port=int(port),
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.groups["blue"]}],
        )["Listeners"][0]["ListenerArn"] for port in listeners]
        self.ecs.create_cluster(clusterName=self.name)
        self.revisions = [self.register("v1")]
        self.ecs.create_service(
            cluster=self.name, serviceName="web", taskDefinition=self.revisions[0], desiredCount=2,
            launchType="FARGATE", deploymentController={"type": "CODE_DEPLOY"}, networkConfiguration=NETWORK,
            loadBalancers=[{"targetGroupArn": self.groups["blue"], "containerName": "web", "containerPort": 80}])
        self.codedeploy.create_application(applicationName=self.name, computePlatform="ECS")
        self.group()

    def group(self, **changed):
        settings = {
            "serviceRoleArn": ROLE, "deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce",
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "blueGreenDeploymentConfiguration": {
                "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0},
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": "TERMINATE", "terminationWaitTimeInMinutes": 1}},
            "autoRollbackConfiguration": {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]},
            "ecsServices": [{"clusterName": self.name, "serviceName": "web"}],
            "loadBalancerInfo": {"targetGroupPairInfoList": [{
                "targetGroups": [{"name": f"{self.name}-blue"}, {"name": f"{self.name}-green"}],
                "prodTrafficRoute": {"listenerArns": [self.listeners[0]]},
                "testTrafficRoute": {"listenerArns": [self.listeners[1]]}}]}, **changed}
        return self.codedeploy.create_deployment_group(
            applicationName=self.name, deploymentGroupName="web", **settings)

    def register(self, tag):
        return self.ecs.register_task_definition(
            family=self.name, networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            executionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/execution",
            containerDefinitions=[{"name": "web", "image": f"registry.example/web:{tag}", "essential": True,
                                   "portMappings": [{"containerPort": 80, "protocol": "tcp"}]}],
        )["taskDefinition"]["taskDefinitionArn"]

    def app_spec(self, revision, hooks=()):
        return json.dumps({"version": 0.0, "Resources": [{"TargetService": {
            "Type": "AWS::ECS::Service", "Properties": {
                "TaskDefinition": revision,
                "LoadBalancerInfo": {"ContainerName": "web", "ContainerPort": 80}}}}], "Hooks": list(hooks)})

    def deploy(self, revision, hooks=(), **more):
        return self.codedeploy.create_deployment(
            applicationName=self.name, deploymentGroupName="web", revision={
                "revisionType": "AppSpecContent", "appSpecContent": {"content": self.app_spec(revision, hooks)}},
            **more)["deploymentId"]

    def info(self, deployment):
        return self.codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]

    def ended(self, deployment):
        def look():
            info = self.info(deployment)
            return info if info["status"] in OVER else None
        return wait_for(f"{deployment} ends", look, 120)

    def started(self, deployment):
        wait_for(f"{deployment} starts", lambda: self.info(deployment)["status"] not in ("Created", "Queued"))

    def events(self, deployment):
        target = self.codedeploy.get_deployment_target(deploymentId=deployment, targetId=f"{self.name}:web")
        return {each["lifecycleEventName"]: each
                for each in target["deploymentTarget"]["ecsTarget"]["lifecycleEvents"]}

    def weights(self, listener=0):
        found = self.elb.describe_listeners(ListenerArns=[self.listeners[listener]])["Listeners"][0]
        action = found["DefaultActions"][0]
        pairs = {each["TargetGroupArn"]: each.get("Weight", 1) for each in action["ForwardConfig"]["TargetGroups"]}
        return {colour: pairs.get(arn, 0) for colour, arn in self.groups.items()}

    def targets(self, colour):
        found = self.elb.describe_target_health(TargetGroupArn=self.groups[colour])
        return [each["TargetHealth"]["State"] for each in found["TargetHealthDescriptions"]]

    def service(self):
        return self.ecs.describe_services(
            cluster=self.name, services=["web"], include=["TAGS"])["services"][0]

    def steady(self):
        wait_for("the service is steady", lambda: all(
            each["stabilityStatus"] == "STEADY_STATE" for each in self.service()["taskSets"]), 120)
