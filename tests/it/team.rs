//! A team that owns one ECS service and knows nothing of Switchback: it registers task definitions
//! and begins deployments with AWS's own calls.

use serde_json::Value;
use serde_json::json;

use crate::account::ACCOUNT;
use crate::account::Account;
use crate::account::AwsRefusal;
use crate::account::Json;
use crate::account::REGION;
use crate::account::tag;

/// Ten per cent for five minutes, then all.
pub const CANARY: &str = "CodeDeployDefault.ECSCanary10Percent5Minutes";
/// All at once.
pub const AT_ONCE: &str = "CodeDeployDefault.ECSAllAtOnce";
/// The hook that asks Switchback before production traffic moves.
pub const GATE: Option<(&str, &str)> = Some(("BeforeAllowTraffic", "switchback-relay"));
/// No hook.
pub const NO_HOOK: Option<(&str, &str)> = None;

/// The container's name in every revision.
const CONTAINER: &str = "app";

/// The team.
pub struct Team {
    account: Account,
    /// The service, and the family of its revisions.
    pub service: String,
    pub cluster: String,
    pub application: String,
    pub group: String,
    /// The alarms over each target group.
    pub alarms: [String; 2],
    /// The revision the service was made with.
    pub first_revision: String,
}

impl Team {
    /// Builds a service with two target groups, production and test listener, alarms and a CodeDeploy
    /// group that rolls back on failures and alarms. Its first revision is `:1`.
    pub async fn build(account: &Account, service: &str) -> Team {
        let mut team = Team {
            account: account.clone(),
            service: service.to_string(),
            cluster: "prod".to_string(),
            application: format!("{service}-application"),
            group: format!("{service}-group"),
            alarms: [
                format!("{service}-5xx-blue"),
                format!("{service}-5xx-green"),
            ],
            first_revision: String::new(),
        };
        let balancer = account
            .balancer_call(
                "CreateLoadBalancer",
                &[
                    ("Name", service),
                    ("Subnets.member.1", "subnet-a"),
                    ("Subnets.member.2", "subnet-b"),
                ],
            )
            .await;
        let balancer = tag(&balancer, "LoadBalancerArn");
        let group_names = [format!("{service}-blue"), format!("{service}-green")];
        let mut groups = Vec::new();
        for name in &group_names {
            let made = account
                .balancer_call(
                    "CreateTargetGroup",
                    &[
                        ("Name", name.as_str()),
                        ("Protocol", "HTTP"),
                        ("Port", "80"),
                        ("VpcId", "vpc-1"),
                        ("TargetType", "ip"),
                    ],
                )
                .await;
            groups.push(tag(&made, "TargetGroupArn"));
        }
        let mut listeners = Vec::new();
        for port in ["80", "8080"] {
            let made = account
                .balancer_call(
                    "CreateListener",
                    &[
                        ("LoadBalancerArn", balancer.as_str()),
                        ("Protocol", "HTTP"),
                        ("Port", port),
                        ("DefaultActions.member.1.Type", "forward"),
                        ("DefaultActions.member.1.TargetGroupArn", groups[0].as_str()),
                    ],
                )
                .await;
            listeners.push(tag(&made, "ListenerArn"));
        }
        account
            .call(
                Json::Ecs,
                "CreateCluster",
                json!({ "clusterName": team.cluster }),
            )
            .await;
        team.first_revision = team.registers("1", &[]).await;
        account
            .call(
                Json::Ecs,
                "CreateService",
                json!({
                    "cluster": team.cluster,
                    "serviceName": service,
                    "taskDefinition": team.first_revision,
                    "desiredCount": 2,
                    "launchType": "FARGATE",
                    "deploymentController": { "type": "CODE_DEPLOY" },
                    "loadBalancers": [{
                        "targetGroupArn": groups[0], "containerName": CONTAINER, "containerPort": 80,
                    }],
                    "networkConfiguration": { "awsvpcConfiguration": {
                        "subnets": ["subnet-a"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED",
                    } },
                }),
            )
            .await;
        let balancer_dimension = balancer.split("loadbalancer/").nth(1).unwrap_or_default();
        for (alarm, group) in team.alarms.iter().zip(&groups) {
            let group_dimension = group.rsplit(':').next().unwrap_or_default();
            account
                .call(
                    Json::CloudWatch,
                    "PutMetricAlarm",
                    json!({
                        "AlarmName": alarm,
                        "Namespace": "AWS/ApplicationELB",
                        "MetricName": "HTTPCode_Target_5XX_Count",
                        "Dimensions": [
                            { "Name": "LoadBalancer", "Value": balancer_dimension },
                            { "Name": "TargetGroup", "Value": group_dimension },
                        ],
                        "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 5,
                        "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
                    }),
                )
                .await;
        }
        account
            .call(
                Json::CodeDeploy,
                "CreateApplication",
                json!({ "applicationName": team.application, "computePlatform": "ECS" }),
            )
            .await;
        let group = team.group_settings(&listeners, &group_names);
        account
            .call(Json::CodeDeploy, "CreateDeploymentGroup", group)
            .await;
        team
    }

    fn group_settings(&self, listeners: &[String], groups: &[String; 2]) -> Value {
        json!({
            "applicationName": self.application,
            "deploymentGroupName": self.group,
            "serviceRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/codedeploy"),
            "deploymentConfigName": AT_ONCE,
            "deploymentStyle": {
                "deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL",
            },
            "blueGreenDeploymentConfiguration": {
                "deploymentReadyOption": {
                    "actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0,
                },
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": "TERMINATE", "terminationWaitTimeInMinutes": 1,
                },
            },
            "alarmConfiguration": {
                "enabled": true,
                "alarms": [{ "name": self.alarms[0] }, { "name": self.alarms[1] }],
            },
            "autoRollbackConfiguration": {
                "enabled": true, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
            },
            "ecsServices": [{ "clusterName": self.cluster, "serviceName": self.service }],
            "loadBalancerInfo": { "targetGroupPairInfoList": [{
                "targetGroups": [{ "name": groups[0] }, { "name": groups[1] }],
                "prodTrafficRoute": { "listenerArns": [listeners[0]] },
                "testTrafficRoute": { "listenerArns": [listeners[1]] },
            }] },
        })
    }

    /// Makes one more alarm, which ends a deployment too.
    pub async fn watches_alarm(&self, name: &str) {
        self.account
            .call(
                Json::CloudWatch,
                "PutMetricAlarm",
                json!({
                    "AlarmName": name, "Namespace": "Team", "MetricName": "Complaints", "Statistic": "Sum",
                    "Period": 60, "EvaluationPeriods": 1, "Threshold": 5,
                    "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
                }),
            )
            .await;
        let alarms: Vec<Value> = self
            .alarms
            .iter()
            .map(String::as_str)
            .chain([name])
            .map(|name| json!({ "name": name }))
            .collect();
        self.account
            .call(
                Json::CodeDeploy,
                "UpdateDeploymentGroup",
                json!({
                    "applicationName": self.application, "currentDeploymentGroupName": self.group,
                    "alarmConfiguration": { "enabled": true, "alarms": alarms },
                }),
            )
            .await;
    }

    /// Registers the next revision, with an image of this tag; gives its ARN.
    pub async fn registers(&self, tag: &str, environment: &[(&str, &str)]) -> String {
        let environment: Vec<Value> = environment
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let image = format!(
            "{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{}:{tag}",
            self.service
        );
        let made = self
            .account
            .call(
                Json::Ecs,
                "RegisterTaskDefinition",
                json!({
                    "family": self.service,
                    "executionRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/execution"),
                    "networkMode": "awsvpc",
                    "requiresCompatibilities": ["FARGATE"],
                    "cpu": "256",
                    "memory": "512",
                    "containerDefinitions": [{
                        "name": CONTAINER,
                        "image": image,
                        "environment": environment,
                        "portMappings": [{ "containerPort": 80, "protocol": "tcp" }],
                    }],
                }),
            )
            .await;
        made["taskDefinition"]["taskDefinitionArn"]
            .as_str()
            .expect("RegisterTaskDefinition answers the ARN")
            .to_string()
    }

    /// Begins a deployment; gives AWS's id.
    pub async fn deploys(
        &self,
        revision: &str,
        strategy: &str,
        hook: Option<(&str, &str)>,
        description: &str,
    ) -> String {
        let begun = self
            .tries_to_deploy(&app_spec(revision, hook), strategy, description)
            .await;
        begun.unwrap_or_else(|refusal| panic!("CreateDeployment: {refusal:?}"))
    }

    /// Begins a deployment with this AppSpec, which AWS may refuse.
    pub async fn tries_to_deploy(
        &self,
        app_spec: &str,
        strategy: &str,
        description: &str,
    ) -> Result<String, AwsRefusal> {
        let begun = self
            .account
            .ask(
                Json::CodeDeploy,
                "CreateDeployment",
                json!({
                    "applicationName": self.application,
                    "deploymentGroupName": self.group,
                    "deploymentConfigName": strategy,
                    "description": description,
                    "revision": {
                        "revisionType": "AppSpecContent",
                        "appSpecContent": { "content": app_spec },
                    },
                }),
            )
            .await?;
        Ok(begun["deploymentId"]
            .as_str()
            .expect("an id is answered")
            .to_string())
    }

    /// What the service's traffic reaches, by AWS: the task definition of its PRIMARY task set.
    pub async fn serving(&self) -> String {
        let answer = self
            .account
            .call(
                Json::Ecs,
                "DescribeServices",
                json!({ "cluster": self.cluster, "services": [self.service] }),
            )
            .await;
        let sets = answer["services"][0]["taskSets"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let primary: Vec<&Value> = sets
            .iter()
            .filter(|set| set["status"] == "PRIMARY")
            .collect();
        assert_eq!(primary.len(), 1, "{answer}");
        primary[0]["taskDefinition"]
            .as_str()
            .unwrap_or_default()
            .to_string()
    }
}

/// An AppSpec as people write it.
pub fn app_spec(revision: &str, hook: Option<(&str, &str)>) -> String {
    let hooks = match hook {
        Some((event, function)) => format!("Hooks:\n  - {event}: \"{function}\"\n"),
        None => String::new(),
    };
    format!(
        "version: 0.0\nResources:\n  - TargetService:\n      Type: AWS::ECS::Service\n      \
         Properties:\n        TaskDefinition: \"{revision}\"\n        LoadBalancerInfo:\n          \
         ContainerName: \"{CONTAINER}\"\n          ContainerPort: 80\n{hooks}"
    )
}
