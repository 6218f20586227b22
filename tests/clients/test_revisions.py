"""An AppSpec in a bucket, as the articles have it: `aws s3 mb`, `aws s3 cp`, `create-deployment --s3-location`."""

import pathlib
import tempfile

from support import ENDPOINT, REGION, RUN, CliError, SpedUp, aws, client, say, wait_for

APPLICATION = f"revisions-{RUN}"
CLUSTER = f"revisions-{RUN}"
BUCKET = f"revisions-{RUN}"
ALL_AT_ONCE = "CodeDeployDefault.ECSAllAtOnce"


class Revisions(SpedUp):
    def build(self):
        elb, ecs, deploy = client("elbv2"), client("ecs"), client("codedeploy")
        balancer = elb.create_load_balancer(Name=f"rev-{RUN}", Subnets=["subnet-1", "subnet-2"])
        balancer = balancer["LoadBalancers"][0]["LoadBalancerArn"]
        groups = []
        for colour in ("blue", "green"):
            made = elb.create_target_group(
                Name=f"rev-{colour}-{RUN}", Protocol="HTTP", Port=80, VpcId="vpc-1", TargetType="ip"
            )
            groups.append(made["TargetGroups"][0]["TargetGroupArn"])
        listener = elb.create_listener(
            LoadBalancerArn=balancer, Protocol="HTTP", Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": groups[0]}],
        )["Listeners"][0]["ListenerArn"]
        ecs.create_cluster(clusterName=CLUSTER)
        for tag in ("1", "2"):
            self.definition = ecs.register_task_definition(
                family=f"rev-{RUN}", networkMode="awsvpc", cpu="256", memory="512",
                requiresCompatibilities=["FARGATE"],
                containerDefinitions=[
                    {"name": "web", "image": f"web:{tag}", "portMappings": [{"containerPort": 80}]}
                ],
            )["taskDefinition"]["taskDefinitionArn"]
        ecs.create_service(
            cluster=CLUSTER, serviceName="web", taskDefinition=f"rev-{RUN}:1", desiredCount=1,
            launchType="FARGATE", deploymentController={"type": "CODE_DEPLOY"},
            loadBalancers=[{"targetGroupArn": groups[0], "containerName": "web", "containerPort": 80}],
            networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        )
        deploy.create_application(applicationName=APPLICATION, computePlatform="ECS")
        deploy.create_deployment_group(
            applicationName=APPLICATION, deploymentGroupName="group",
            serviceRoleArn="arn:aws:iam::123456789012:role/codedeploy",
            deploymentStyle={"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            blueGreenDeploymentConfiguration={
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": "TERMINATE", "terminationWaitTimeInMinutes": 0,
                },
                "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0},
            },
            loadBalancerInfo={"targetGroupPairInfoList": [{
                "targetGroups": [{"name": f"rev-blue-{RUN}"}, {"name": f"rev-green-{RUN}"}],
                "prodTrafficRoute": {"listenerArns": [listener]},
            }]},
            ecsServices=[{"serviceName": "web", "clusterName": CLUSTER}],
        )

    def deploy(self, location):
        made = aws(
            "deploy", "create-deployment", "--application-name", APPLICATION,
            "--deployment-group-name", "group", "--deployment-config-name", ALL_AT_ONCE,
            "--s3-location", location,
        )
        return made["deploymentId"]

    def ended(self, deployment_id):
        def look():
            info = aws("deploy", "get-deployment", "--deployment-id", deployment_id)["deploymentInfo"]
            return info if info["status"] in ("Succeeded", "Failed", "Stopped") else None

        return wait_for(f"the end of {deployment_id}", look, 90)

    def test_an_app_spec_in_a_bucket_is_deployed(self):
        self.build()
        appspec = (
            "version: 0.0\nResources:\n  - TargetService:\n      Type: AWS::ECS::Service\n      Properties:\n"
            f"        TaskDefinition: {self.definition}\n"
            "        LoadBalancerInfo:\n          ContainerName: web\n          ContainerPort: 80\n"
        )
        say("aws s3 mb, aws s3 cp, aws s3 ls")
        aws("s3", "mb", f"s3://{BUCKET}", "--output", "text")
        aws(
            "s3api", "put-bucket-versioning", "--bucket", BUCKET,
            "--versioning-configuration", "Status=Enabled",
        )
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "appspec.yaml"
            file.write_text(appspec)
            aws("s3", "cp", str(file), f"s3://{BUCKET}/web/appspec.yaml", "--output", "text")
        self.assertIn("appspec.yaml", aws("s3", "ls", f"s3://{BUCKET}/web/", "--output", "text"))
        head = aws("s3api", "head-object", "--bucket", BUCKET, "--key", "web/appspec.yaml")
        etag = head["ETag"].strip('"')
        self.assertNotEqual(head["VersionId"], "null")

        say("create-deployment --s3-location, with the version and the ETag of what was uploaded")
        location = f"bucket={BUCKET},key=web/appspec.yaml,bundleType=YAML"
        first = self.deploy(f"{location},version={head['VersionId']},eTag={etag}")
        info = self.ended(first)
        self.assertEqual(info["status"], "Succeeded", info)
        self.assertEqual(info["revision"]["s3Location"]["eTag"], etag)

        say("a wrong ETag fails the deployment, a zip file is refused")
        info = self.ended(self.deploy(f"{location},eTag={'0' * 32}"))
        self.assertEqual(info["errorInformation"]["code"], "INVALID_REVISION")
        with self.assertRaisesRegex(CliError, "InvalidRevisionException"):
            self.deploy(f"bucket={BUCKET},key=web/appspec.zip,bundleType=zip")

    def test_boto3_finds_its_typed_exceptions_in_both_styles_of_address(self):
        # A host of its own for each bucket, where the endpoint has a name and not a number.
        named = ENDPOINT.replace("127.0.0.1", "localhost")
        for style, endpoint in (("path", ENDPOINT), ("host", named)):
            s3 = client("s3", endpoint_url=endpoint)
            bucket = f"{style}-{RUN}"
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            with self.assertRaises(s3.exceptions.BucketAlreadyOwnedByYou):
                s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            for algorithm in ("CRC32", "SHA1", "SHA256"):
                s3.put_object(
                    Bucket=bucket, Key=f"a b/{algorithm}", Body=b"hello", ChecksumAlgorithm=algorithm,
                    Metadata={"team": "shop"},
                )
            found = s3.get_object(Bucket=bucket, Key="a b/SHA256", ChecksumMode="ENABLED")
            self.assertEqual(found["Body"].read(), b"hello")
            self.assertEqual(found["Metadata"], {"team": "shop"})
            with self.assertRaises(s3.exceptions.NoSuchKey):
                s3.get_object(Bucket=bucket, Key="nothing")
            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, PaginationConfig={"PageSize": 2}
            )
            keys = [one["Key"] for page in pages for one in page["Contents"]]
            self.assertEqual(keys, ["a b/CRC32", "a b/SHA1", "a b/SHA256"])
            s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
            s3.delete_bucket(Bucket=bucket)
            with self.assertRaises(s3.exceptions.NoSuchBucket):
                s3.list_objects_v2(Bucket=bucket)
