//! Services in the simulated account, made with AWS's own requests, written by hand in its two oldest protocols: the
//! product's adapter must not make what it is then measured with.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use anyhow::Context;
use anyhow::Result;
use serde_json::Value;
use serde_json::json;

use crate::machine::REGION;
use crate::wire::Http;

const ACCOUNT: &str = "123456789012";

/// Every lifecycle event at which a hook may wait.
pub const HOOKS: [&str; 5] = [
    "BeforeInstall",
    "AfterInstall",
    "AfterAllowTestTraffic",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
];

/// The account.
#[derive(Clone)]
pub struct Account {
    http: Http,
}

/// One service with its deployment group.
pub struct Team {
    account: Account,
    service: String,
    deployments: AtomicUsize,
}

impl Account {
    /// At this endpoint.
    pub fn new(endpoint: &str) -> Account {
        Account {
            http: Http::new(endpoint),
        }
    }

    async fn call(&self, service: &str, operation: &str, input: Value) -> Result<Value> {
        let (name, target, form) = match service {
            "codedeploy" => ("codedeploy", "CodeDeploy_20141006", "1.1"),
            "events" => ("events", "AWSEvents", "1.1"),
            "sqs" => ("sqs", "AmazonSQS", "1.0"),
            _ => ("ecs", "AmazonEC2ContainerServiceV20141113", "1.1"),
        };
        let form = format!("application/x-amz-json-{form}");
        let target = format!("{target}.{operation}");
        let authorization = authorization(name);
        let headers = [
            ("content-type", form.as_str()),
            ("x-amz-target", target.as_str()),
            ("authorization", authorization.as_str()),
        ];
        let answer = self
            .http
            .send(hyper::Method::POST, "/", &headers, input.to_string())
            .await?;
        let body = answer.success_of(operation)?;
        Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn balancer(
        &self,
        action: &str,
        members: &[(&str, &str)],
        wanted: &str,
    ) -> Result<String> {
        let mut body = format!("Action={action}&Version=2015-12-01");
        for (name, value) in members {
            let value = value
                .replace('%', "%25")
                .replace(':', "%3A")
                .replace('/', "%2F");
            body.push_str(&format!("&{name}={value}"));
        }
        let authorization = authorization("elasticloadbalancing");
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", authorization.as_str()),
        ];
        let answer = self
            .http
            .send(hyper::Method::POST, "/", &headers, body)
            .await?;
        let text = String::from_utf8_lossy(&answer.is(200, action)?).to_string();
        text.split_once(&format!("<{wanted}>"))
            .and_then(|(_, rest)| rest.split_once('<'))
            .map(|(inner, _)| inner.to_string())
            .with_context(|| format!("{action} answered without {wanted}"))
    }

    /// Lets simulated time pass at once.
    pub async fn advance(&self, seconds: u32) -> Result<()> {
        self.http
            .post("/_sim/clock", &json!({ "advance_s": seconds }))
            .await
            .map(drop)
    }

    /// A queue with a rule that fills it with what ECS and CodeDeploy tell; gives its URL.
    pub async fn events(&self) -> Result<String> {
        let queue = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:switchback-events");
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow", "Principal": { "Service": "events.amazonaws.com" },
                "Action": "sqs:SendMessage", "Resource": queue,
            }],
        });
        let input = json!({
            "QueueName": "switchback-events", "Attributes": { "Policy": policy.to_string() },
        });
        let made = self.call("sqs", "CreateQueue", input).await?;
        let pattern = json!({
            "source": ["aws.codedeploy", "aws.ecs"],
            "detail-type": [
                "CodeDeploy Deployment State-change Notification", "ECS Deployment State Change",
                "ECS Service Action", "ECS Hook State Change",
            ],
        });
        let rule = json!({ "Name": "switchback-events", "EventPattern": pattern.to_string() });
        self.call("events", "PutRule", rule).await?;
        let targets = json!({
            "Rule": "switchback-events", "Targets": [{ "Id": "queue", "Arn": queue }],
        });
        self.call("events", "PutTargets", targets).await?;
        let url = made["QueueUrl"].as_str();
        url.map(str::to_string)
            .context("CreateQueue answered no QueueUrl")
    }

    /// Makes a service without a balancer that ECS itself deploys, task by task.
    pub async fn rolling_service(&self, cluster: &str, service: &str) -> Result<RollingService> {
        self.call("ecs", "CreateCluster", json!({ "clusterName": cluster }))
            .await?;
        let made = RollingService {
            cluster: cluster.to_string(),
            team: Team {
                account: self.clone(),
                service: service.to_string(),
                deployments: AtomicUsize::new(0),
            },
        };
        let first = made.team.registers("1").await?;
        let input = json!({
            "cluster": cluster, "serviceName": service, "taskDefinition": first, "desiredCount": 2,
            "launchType": "FARGATE",
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-a"] } },
        });
        self.call("ecs", "CreateService", input).await?;
        Ok(made)
    }

    /// Builds a service behind a load balancer, with a deployment group.
    pub async fn team(&self, service: &str) -> Result<Team> {
        let balancer = self
            .balancer(
                "CreateLoadBalancer",
                &[
                    ("Name", service),
                    ("Subnets.member.1", "subnet-a"),
                    ("Subnets.member.2", "subnet-b"),
                ],
                "LoadBalancerArn",
            )
            .await?;
        let names = [format!("{service}-blue"), format!("{service}-green")];
        let mut groups = Vec::new();
        for name in &names {
            let members = [
                ("Name", name.as_str()),
                ("Protocol", "HTTP"),
                ("Port", "80"),
                ("VpcId", "vpc-1"),
                ("TargetType", "ip"),
            ];
            groups.push(
                self.balancer("CreateTargetGroup", &members, "TargetGroupArn")
                    .await?,
            );
        }
        let mut listeners = Vec::new();
        for port in ["80", "8080"] {
            let members = [
                ("LoadBalancerArn", balancer.as_str()),
                ("Protocol", "HTTP"),
                ("Port", port),
                ("DefaultActions.member.1.Type", "forward"),
                ("DefaultActions.member.1.TargetGroupArn", groups[0].as_str()),
            ];
            listeners.push(
                self.balancer("CreateListener", &members, "ListenerArn")
                    .await?,
            );
        }
        self.call("ecs", "CreateCluster", json!({ "clusterName": "prod" }))
            .await?;
        let team = Team {
            account: self.clone(),
            service: service.to_string(),
            deployments: AtomicUsize::new(0),
        };
        let first = team.registers("1").await?;
        let service_input = json!({
            "cluster": "prod", "serviceName": service, "taskDefinition": first, "desiredCount": 2, "launchType": "FARGATE",
            "deploymentController": { "type": "CODE_DEPLOY" },
            "loadBalancers": [{ "targetGroupArn": groups[0], "containerName": "app", "containerPort": 80 }],
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-a"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED" } },
        });
        self.call("ecs", "CreateService", service_input).await?;
        let application = json!({ "applicationName": format!("{service}-application"), "computePlatform": "ECS" });
        self.call("codedeploy", "CreateApplication", application)
            .await?;
        let group = json!({
            "applicationName": format!("{service}-application"), "deploymentGroupName": "main",
            "serviceRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/codedeploy"),
            "deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce",
            "deploymentStyle": { "deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL" },
            "blueGreenDeploymentConfiguration": {
                "deploymentReadyOption": { "actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0 },
                "terminateBlueInstancesOnDeploymentSuccess": { "action": "TERMINATE", "terminationWaitTimeInMinutes": 1 },
            },
            "ecsServices": [{ "clusterName": "prod", "serviceName": service }],
            "loadBalancerInfo": { "targetGroupPairInfoList": [{
                "targetGroups": [{ "name": names[0] }, { "name": names[1] }],
                "prodTrafficRoute": { "listenerArns": [listeners[0]] },
                "testTrafficRoute": { "listenerArns": [listeners[1]] },
            }] },
        });
        self.call("codedeploy", "CreateDeploymentGroup", group)
            .await?;
        Ok(team)
    }
}

/// One service that ECS itself deploys.
pub struct RollingService {
    cluster: String,
    team: Team,
}

impl RollingService {
    /// The service's name.
    pub fn name(&self) -> &str {
        &self.team.service
    }

    /// Moves it to a new revision with this image.
    pub async fn moves(&self, tag: &str) -> Result<()> {
        let revision = self.team.registers(tag).await?;
        let input = json!({
            "cluster": self.cluster, "service": self.team.service, "taskDefinition": revision,
        });
        self.team
            .account
            .call("ecs", "UpdateService", input)
            .await
            .map(drop)
    }
}

impl Team {
    async fn registers(&self, tag: &str) -> Result<String> {
        let input = json!({
            "family": self.service, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "executionRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/execution"),
            "containerDefinitions": [{
                "name": "app", "image": format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{}:{tag}", self.service),
                "portMappings": [{ "containerPort": 80, "protocol": "tcp" }],
            }],
        });
        let made = self
            .account
            .call("ecs", "RegisterTaskDefinition", input)
            .await?;
        let arn = made["taskDefinition"]["taskDefinitionArn"].as_str();
        arn.map(str::to_string)
            .context("RegisterTaskDefinition answered no ARN")
    }

    /// Begins a deployment of a new revision that waits for the relay at each of [`HOOKS`], unless one is under way.
    ///
    /// It asks the account: the server may not have seen the end of the last one, nor the beginning of the next.
    pub async fn keeps_deploying(&self) -> Result<()> {
        let input = json!({
            "applicationName": format!("{}-application", self.service), "deploymentGroupName": "main",
            "includeOnlyStatuses": ["Created", "Queued", "InProgress", "Ready"],
        });
        let active = self
            .account
            .call("codedeploy", "ListDeployments", input)
            .await?;
        match active["deployments"].as_array() {
            Some(deployments) if !deployments.is_empty() => Ok(()),
            _ => self.deploys().await,
        }
    }

    async fn deploys(&self) -> Result<()> {
        let number = self.deployments.fetch_add(1, Ordering::Relaxed) + 2;
        let revision = self.registers(&number.to_string()).await?;
        let hooks: String = HOOKS
            .iter()
            .map(|event| format!("  - {event}: \"switchback-relay\"\n"))
            .collect();
        let content = format!(
            "version: 0.0\nResources:\n  - TargetService:\n      Type: AWS::ECS::Service\n      Properties:\n        \
             TaskDefinition: \"{revision}\"\n        LoadBalancerInfo:\n          ContainerName: \"app\"\n          \
             ContainerPort: 80\nHooks:\n{hooks}"
        );
        let input = json!({
            "applicationName": format!("{}-application", self.service), "deploymentGroupName": "main",
            "revision": { "revisionType": "AppSpecContent", "appSpecContent": { "content": content } },
        });
        self.account
            .call("codedeploy", "CreateDeployment", input)
            .await
            .map(drop)
    }
}

/// What a signed request carries. The simulation reads who calls and never checks the signature.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDTEAM/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=00"
    )
}
