"""Deployments of the ECS controller through boto3: history, stopping, pausing, typed exceptions."""

import datetime

from support import RUN, SpedUp, client, say, sim, wait_for

OVER = {"SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"}


class Deployments(SpedUp):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ecs = client("ecs")
        cls.cluster = f"native-{RUN}"
        cls.ecs.create_cluster(clusterName=cls.cluster)
        for image in ("shop/web:v1", "shop/web:v2"):
            cls.ecs.register_task_definition(
                family=f"native-{RUN}", networkMode="awsvpc", cpu="256", memory="512",
                requiresCompatibilities=["FARGATE"],
                containerDefinitions=[{"name": "web", "image": image, "portMappings": [{"containerPort": 80}]}])

    def service(self, name, **configuration):
        made = self.ecs.create_service(
            cluster=self.cluster, serviceName=name, taskDefinition=f"native-{RUN}:1", desiredCount=1,
            launchType="FARGATE", deploymentConfiguration=configuration,
            networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}})
        self.until_over(made["service"]["currentServiceDeployment"])

    def describe(self, arn):
        answer = self.ecs.describe_service_deployments(serviceDeploymentArns=[arn])
        self.assertEqual(answer["failures"], [])
        return answer["serviceDeployments"][0]

    def until_over(self, arn):
        def look():
            one = self.describe(arn)
            if one["status"] in OVER:
                return one
            # Pushed forward, so that a busy machine does not decide how long this takes.
            sim("clock", {"advance_s": 20})
            return None
        return wait_for("the end of a service deployment", look)

    def deploy(self, name, revision, **more):
        answer = self.ecs.update_service(
            cluster=self.cluster, service=name, taskDefinition=f"native-{RUN}:{revision}", **more)
        return answer["service"]["currentServiceDeployment"]

    def test_rolling(self):
        say("a rolling deployment, its history and its revisions")
        self.service("rolling", deploymentCircuitBreaker={
            "enable": True, "rollback": True, "resetOnHealthyTask": False,
            "thresholdConfiguration": {"type": "COUNT", "value": 5}})
        arn = self.deploy("rolling", 2)
        one = self.until_over(arn)
        self.assertEqual(one["status"], "SUCCESSFUL")
        self.assertIsInstance(one["finishedAt"], datetime.datetime)
        self.assertEqual(one["deploymentCircuitBreaker"],
                         {"status": "MONITORING_COMPLETE", "failureCount": 0, "threshold": 5})
        listed = self.ecs.list_service_deployments(
            cluster=self.cluster, service="rolling", status=["SUCCESSFUL"], maxResults=1,
            createdAt={"after": datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)})
        self.assertEqual([brief["serviceDeploymentArn"] for brief in listed["serviceDeployments"]], [arn])
        rest = self.ecs.list_service_deployments(
            cluster=self.cluster, service="rolling", nextToken=listed["nextToken"])
        self.assertEqual(len(rest["serviceDeployments"]), 1)
        revisions = self.ecs.describe_service_revisions(
            serviceRevisionArns=[one["targetServiceRevision"]["arn"], one["sourceServiceRevisions"][0]["arn"]])
        images = [revision["containerImages"][0] for revision in revisions["serviceRevisions"]]
        self.assertEqual([image["image"] for image in images], ["shop/web:v2", "shop/web:v1"])
        self.assertTrue(all(image["imageDigest"].startswith("sha256:") for image in images))
        with self.assertRaises(self.ecs.exceptions.InvalidParameterException):
            self.ecs.stop_service_deployment(serviceDeploymentArn=arn)

    def test_stopped(self):
        say("a deployment that is stopped goes back")
        self.service("stopped", bakeTimeInMinutes=60)
        arn = self.deploy("stopped", 2)
        answer = self.ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
        self.assertEqual(answer, {"serviceDeploymentArn": arn, "ResponseMetadata": answer["ResponseMetadata"]})
        self.assertEqual(self.describe(arn)["status"], "ROLLBACK_REQUESTED")
        one = self.until_over(arn)
        self.assertEqual(one["status"], "ROLLBACK_SUCCESSFUL")
        self.assertEqual(one["rollback"]["serviceRevisionArn"], one["sourceServiceRevisions"][0]["arn"])

    def test_paused(self):
        say("a blue/green deployment holds at a pause hook")
        self.service("paused", strategy="BLUE_GREEN", bakeTimeInMinutes=1)
        pause = {"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"],
                 "timeoutConfiguration": {"timeoutInMinutes": 20160, "action": "CONTINUE"}}
        arn = self.deploy("paused", 2, deploymentConfiguration={"lifecycleHooks": [pause]})

        def waiting():
            hooks = self.describe(arn).get("lifecycleHookDetails", [])
            found = [hook for hook in hooks if hook["status"] == "AWAITING_ACTION"]
            if not found:
                sim("clock", {"advance_s": 20})
            return found
        hook = wait_for("a hook that waits", waiting)[0]
        self.assertEqual((hook["targetType"], hook["timeoutAction"]), ("PAUSE", "CONTINUE"))
        self.assertIsInstance(hook["expiresAt"], datetime.datetime)
        for wrong in ("nonsense", "ecs-pause-" + "x" * 43):
            with self.assertRaises(self.ecs.exceptions.InvalidParameterException):
                self.ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=wrong)
        self.ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook["hookId"])
        one = self.until_over(arn)
        self.assertEqual(one["status"], "SUCCESSFUL")
        self.assertEqual(one["targetServiceRevision"]["requestedProductionTrafficWeight"], 100.0)

    def test_refusals(self):
        say("typed exceptions of service deployments")
        nowhere = f"arn:aws:ecs:{self.ecs.meta.region_name}:123456789012:service-deployment/{self.cluster}/x/" + "A" * 21
        with self.assertRaises(self.ecs.exceptions.ServiceDeploymentNotFoundException):
            self.ecs.stop_service_deployment(serviceDeploymentArn=nowhere)
        with self.assertRaises(self.ecs.exceptions.ServiceDeploymentNotFoundException):
            self.ecs.continue_service_deployment(serviceDeploymentArn=nowhere, hookId="ecs-pause-x")
        with self.assertRaises(self.ecs.exceptions.ServiceNotFoundException):
            self.ecs.list_service_deployments(cluster=self.cluster, service="nothing")
        with self.assertRaises(self.ecs.exceptions.ClusterNotFoundException):
            self.ecs.list_service_deployments(cluster="nothing", service="nothing")
        missing = self.ecs.describe_service_deployments(serviceDeploymentArns=[nowhere])
        self.assertEqual(missing["failures"], [{"arn": nowhere, "reason": "MISSING"}])
