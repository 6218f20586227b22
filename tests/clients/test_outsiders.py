"""Clients that know nothing of Switchback: the commands of public articles, as scripts, and ecs-deploy.

The scripts in transcripts/ are the command blocks of the articles with what is wrong in them put right
(each says what). They run in a shell of their own, in an empty folder, with the AWS CLI on the PATH
before anything else.
"""

import os
import pathlib
import stat
import subprocess
import sys
import tempfile
import unittest

from estate import NETWORK, Estate
from support import HERE, REGION, RUN, SpedUp, aws, client, say, wait_for

# Stands in for `jq -Rs .`, which is no client of AWS: standard input as one JSON string.
JQ = "import json, sys; print(json.dumps(sys.stdin.read()))"


class Outsiders(SpedUp):
    speed = 300

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.programs = self.folder / "bin"
        self.programs.mkdir()
        self.program("aws", f'exec "{sys.executable}" "{HERE}/checked.py" aws "$@"')
        self.program("jq", f"test \"$1 $2\" = '-Rs .' && exec \"{sys.executable}\" -c '{JQ}'")

    def program(self, name, text):
        file = self.programs / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    def run_script(self, name, **variables):
        say(f"transcript {name}")
        work = self.folder / "work"
        work.mkdir()
        run = subprocess.run(
            ["bash", str(HERE / "transcripts" / name)], cwd=work, capture_output=True, text=True, timeout=300,
            check=False, env={**os.environ, **variables, "AWS_DEFAULT_REGION": REGION,
                              "PATH": f"{self.programs}:{os.environ['PATH']}"})
        self.assertEqual(run.returncode, 0, f"{name}\n{run.stdout}\n{run.stderr}")

    def estate(self, name):
        estate = Estate(name)
        estate.steady()
        return estate

    def kept(self, estate, revision):
        """A deployment whose old tasks are kept for a while after the traffic moved."""
        estate.codedeploy.update_deployment_group(
            applicationName=estate.name, currentDeploymentGroupName="web",
            blueGreenDeploymentConfiguration={
                "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0},
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": "TERMINATE", "terminationWaitTimeInMinutes": 2000}})
        deployment = estate.deploy(revision)
        wait_for("the traffic has moved", lambda: estate.weights()["green"] and estate.info(deployment).get(
            "instanceTerminationWaitTimeStarted"), 120)
        return deployment

    def test_seed_000_the_workshop(self):
        estate = self.estate("seed0")
        self.run_script("000-workshop.sh", FAMILY=estate.name, CLUSTER=estate.name, APPLICATION=estate.name)

    def test_seed_001_watching(self):
        estate = self.estate("seed1")
        deployment = self.kept(estate, estate.register("v2"))
        self.run_script("001-watching.sh", DEPLOYMENT=deployment, GREEN=estate.groups["green"])
        info = estate.ended(deployment)
        self.assertEqual(info["status"], "Stopped")
        self.assertEqual(estate.ended(info["rollbackInfo"]["rollbackDeploymentId"])["status"], "Succeeded")
        self.assertGreater(estate.weights()["blue"], 0)

    def test_seed_001_a_script_of_ones_own(self):
        estate = self.estate("seed1s")
        self.run_script("001-own-script.sh", FAMILY=estate.name, CLUSTER=estate.name, APPLICATION=estate.name,
                        BUCKET=f"artifacts-1-{RUN}")

    def test_seed_002_a_deployment_file(self):
        estate = self.estate("seed2")
        self.run_script("002-deployment-file.sh", APPLICATION=estate.name, REVISION=estate.register("v2"),
                        BUCKET=f"artifacts-2-{RUN}")

    def test_seed_003_the_rollback_strategy(self):
        estate = self.estate("seed3")
        deployment = self.kept(estate, estate.register("v2"))
        self.run_script("003-rollback.sh", APPLICATION=estate.name, DEPLOYMENT=deployment,
                        BLUE=estate.groups["blue"], OLD=estate.revisions[0])
        self.assertEqual(estate.info(deployment)["status"], "Stopped")

    def rolling(self, name):
        ecs = client("ecs")
        ecs.create_cluster(clusterName=name)
        arns = [ecs.register_task_definition(
            family=name, networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            containerDefinitions=[{"name": "web", "image": f"registry.example/web:v{number}"}],
        )["taskDefinition"]["taskDefinitionArn"] for number in (1, 2)]
        ecs.create_service(cluster=name, serviceName="rolling", taskDefinition=arns[1], desiredCount=1,
                           launchType="FARGATE", networkConfiguration=NETWORK)
        ecs.get_waiter("services_stable").wait(
            cluster=name, services=["rolling"], WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        return arns

    def test_seed_003_the_rolling_way_back(self):
        arns = self.rolling(f"seed3r-{RUN}")
        self.run_script("003-rolling.sh", CLUSTER=f"seed3r-{RUN}", OLD=arns[0])

    def test_the_waiters_of_the_cli(self):
        estate = self.estate("waits")
        aws("ecs", "wait", "tasks-running", "--cluster", estate.name, "--tasks",
            *aws("ecs", "list-tasks", "--cluster", estate.name, "--service-name", "web")["taskArns"])
        aws("elbv2", "wait", "load-balancer-available", "--load-balancer-arns", estate.balancer)
        aws("elbv2", "wait", "target-in-service", "--target-group-arn", estate.groups["blue"])
        name = f"waits-{RUN}"
        aws("cloudwatch", "put-metric-alarm", "--alarm-name", name, "--namespace", "N", "--metric-name", "M",
            "--statistic", "Sum", "--period", "60", "--evaluation-periods", "1", "--threshold", "1",
            "--comparison-operator", "GreaterThanThreshold")
        aws("cloudwatch", "wait", "alarm-exists", "--alarm-names", name)

    def test_ecs_deploy(self):
        """A deployment tool of others, for ECS's own controller, as its users run it."""
        name = f"tool-{RUN}"
        arns = self.rolling(name)

        def ecs(*arguments):
            run = subprocess.run(
                [sys.executable, str(HERE / "checked.py"), "ecs", *arguments], capture_output=True, text=True,
                timeout=240, check=False)
            self.assertEqual(run.returncode, 0, f"ecs {arguments}\n{run.stdout}\n{run.stderr}")
            return run.stdout

        told = ecs("deploy", name, "rolling", "--tag", "v3", "-e", "web", "MODE", "new", "--region", REGION,
                   "--timeout", "200", "--sleep-time", "1", "--no-deregister")
        self.assertIn("Deployment successful", told)
        found = aws("ecs", "describe-services", "--cluster", name, "--services", "rolling")["services"][0]
        serving = found["deployments"][0]["taskDefinition"]
        self.assertEqual(serving, arns[1].rsplit(":", 1)[0] + ":3")
        revision = aws("ecs", "describe-task-definition", "--task-definition", serving)["taskDefinition"]
        container = revision["containerDefinitions"][0]
        self.assertEqual(container["image"], "registry.example/web:v3")
        self.assertEqual(container["environment"], [{"name": "MODE", "value": "new"}])
        ecs("scale", name, "rolling", "2", "--region", REGION, "--timeout", "200", "--sleep-time", "1")
        found = aws("ecs", "describe-services", "--cluster", name, "--services", "rolling")["services"][0]
        self.assertEqual((found["desiredCount"], found["runningCount"]), (2, 2))


if __name__ == "__main__":
    unittest.main()
