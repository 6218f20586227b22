//! Scenarios driven as a client would drive them: calls and passing time. Assertions read AWS's answers only.

mod deployments;
mod ecs_history;
mod ecs_invariants;
mod ecs_native;
mod ecs_rolling;
mod invariants;
mod limits;
mod load;
mod operations;
mod queues;
mod revisions;
mod targets;
mod told;
mod traces;

use serde_json::{Value as Json, json};

use super::{Caller, Effect, World};
use crate::door::json::from_json;
use crate::error::AwsError;
use crate::value::Value;

const START: i64 = 1_800_000_000_000;
const SECOND: i64 = 1_000;
const MINUTE: i64 = 60_000;

/// An account with one client.
struct Account {
    world: World,
    caller: Caller,
    production: String,
    test: String,
    balancer: String,
    blue: String,
    green: String,
    effects: Vec<Effect>,
}

/// What a scenario wants different from the usual deployment group.
struct Setup {
    seed: u64,
    test_listener: bool,
    alarms: Vec<&'static str>,
    rollback: Vec<&'static str>,
    blue_green: Json,
    first_environment: Json,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            seed: 7,
            test_listener: true,
            alarms: Vec::new(),
            rollback: Vec::new(),
            blue_green: json!({
                "terminateBlueInstancesOnDeploymentSuccess":
                    {"action": "TERMINATE", "terminationWaitTimeInMinutes": 5},
                "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0},
            }),
            first_environment: json!([]),
        }
    }
}

impl Account {
    /// An account with nothing in it.
    fn empty(seed: u64) -> Account {
        Account {
            world: World::new(seed, START),
            caller: Caller {
                account: "123456789012".to_string(),
                region: "eu-central-1".to_string(),
                principal: "arn:aws:iam::123456789012:user/tester".to_string(),
            },
            production: String::new(),
            test: String::new(),
            balancer: String::new(),
            blue: String::new(),
            green: String::new(),
            effects: Vec::new(),
        }
    }

    /// A steady CODE_DEPLOY service `web` with two tasks, and its deployment group.
    fn new(setup: Setup) -> Account {
        let mut account = Account::empty(setup.seed);
        account.network();
        account.ok("ecs", "CreateCluster", json!({"clusterName": "prod"}));
        account.register("shop/web:v1", setup.first_environment.clone());
        account.ok(
            "ecs",
            "CreateService",
            json!({
                "cluster": "prod", "serviceName": "web", "taskDefinition": "web:1", "desiredCount": 2,
                "launchType": "FARGATE",
                "deploymentController": {"type": "CODE_DEPLOY"},
                "loadBalancers": [{"targetGroupArn": account.blue, "containerName": "web", "containerPort": 80}],
                "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            }),
        );
        account.ok(
            "codedeploy",
            "CreateApplication",
            json!({"applicationName": "app", "computePlatform": "ECS"}),
        );
        let group = account.group(&setup);
        account.ok("codedeploy", "CreateDeploymentGroup", group);
        account.until("the service is steady", 5 * MINUTE, |account| {
            account.service()["runningCount"] == 2
                && account.service()["taskSets"][0]["stabilityStatus"] == "STEADY_STATE"
        });
        account
    }

    fn network(&mut self) {
        let made = self.ok(
            "elasticloadbalancing",
            "CreateLoadBalancer",
            json!({"Name": "edge", "Subnets": ["subnet-1", "subnet-2"]}),
        );
        self.balancer = text(&made["LoadBalancers"][0]["LoadBalancerArn"]);
        for (name, blue) in [("web-blue", true), ("web-green", false)] {
            let made = self.ok(
                "elasticloadbalancing",
                "CreateTargetGroup",
                json!({
                    "Name": name, "Protocol": "HTTP", "Port": "80", "VpcId": "vpc-1", "TargetType": "ip",
                    "HealthCheckIntervalSeconds": "10", "HealthyThresholdCount": "2",
                }),
            );
            let arn = text(&made["TargetGroups"][0]["TargetGroupArn"]);
            if blue {
                self.blue = arn
            } else {
                self.green = arn
            }
        }
        for (port, production) in [("80", true), ("8080", false)] {
            let made = self.ok(
                "elasticloadbalancing",
                "CreateListener",
                json!({
                    "LoadBalancerArn": self.balancer, "Protocol": "HTTP", "Port": port,
                    "DefaultActions": [{"Type": "forward", "TargetGroupArn": self.blue}],
                }),
            );
            let arn = text(&made["Listeners"][0]["ListenerArn"]);
            if production {
                self.production = arn
            } else {
                self.test = arn
            }
        }
    }

    fn group(&self, setup: &Setup) -> Json {
        let mut pair = json!({
            "targetGroups": [{"name": "web-blue"}, {"name": "web-green"}],
            "prodTrafficRoute": {"listenerArns": [self.production]},
        });
        if setup.test_listener {
            pair["testTrafficRoute"] = json!({"listenerArns": [self.test]});
        }
        let alarms: Vec<Json> = setup
            .alarms
            .iter()
            .map(|name| json!({"name": name}))
            .collect();
        json!({
            "applicationName": "app", "deploymentGroupName": "group",
            "serviceRoleArn": "arn:aws:iam::123456789012:role/codedeploy",
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "blueGreenDeploymentConfiguration": setup.blue_green,
            "loadBalancerInfo": {"targetGroupPairInfoList": [pair]},
            "ecsServices": [{"clusterName": "prod", "serviceName": "web"}],
            "alarmConfiguration": {"enabled": !alarms.is_empty(), "alarms": alarms},
            "autoRollbackConfiguration": {"enabled": !setup.rollback.is_empty(), "events": setup.rollback},
        })
    }

    /// Registers a revision of the family `web`; its ARN.
    fn register(&mut self, image: &str, environment: Json) -> String {
        let made = self.ok(
            "ecs",
            "RegisterTaskDefinition",
            json!({
                "family": "web", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
                "requiresCompatibilities": ["FARGATE"],
                "containerDefinitions": [{
                    "name": "web", "image": image, "environment": environment,
                    "portMappings": [{"containerPort": 80}],
                }],
            }),
        );
        text(&made["taskDefinition"]["taskDefinitionArn"])
    }

    fn call(&mut self, service: &str, operation: &str, input: Json) -> Result<Json, AwsError> {
        let answer = self
            .world
            .call(&self.caller, service, operation, &from_json(input));
        self.effects.append(&mut self.world.take_effects());
        answer.map(|value| plain(&value))
    }

    fn ok(&mut self, service: &str, operation: &str, input: Json) -> Json {
        match self.call(service, operation, input) {
            Ok(answer) => answer,
            Err(error) => panic!("{operation}: {error}"),
        }
    }

    fn refused(&mut self, service: &str, operation: &str, input: Json) -> AwsError {
        match self.call(service, operation, input) {
            Ok(answer) => panic!("{operation} was not refused: {answer}"),
            Err(error) => error,
        }
    }

    fn pass(&mut self, ms: i64) {
        self.world.advance_to(self.world.now_ms() + ms);
        self.effects.append(&mut self.world.take_effects());
        for region in self.world.regions.values() {
            assert_eq!(region.overlooked(), Vec::<String>::new());
        }
    }

    /// Lets time pass until `reached`, for at most `bound` milliseconds; how long it took.
    fn until(
        &mut self,
        what: &str,
        bound: i64,
        mut reached: impl FnMut(&mut Account) -> bool,
    ) -> i64 {
        let start = self.world.now_ms();
        while !reached(self) {
            assert!(
                self.world.now_ms() < start + bound,
                "not within {bound} ms: {what}"
            );
            self.pass(SECOND);
        }
        self.world.now_ms() - start
    }

    fn service(&mut self) -> Json {
        self.ok(
            "ecs",
            "DescribeServices",
            json!({"cluster": "prod", "services": ["web"]}),
        )["services"][0]
            .clone()
    }

    fn appspec(definition: &str, hooks: &[(&str, &str)]) -> String {
        let hooks: Vec<Json> = hooks
            .iter()
            .map(|(event, function)| {
                Json::Object(
                    [((*event).to_string(), json!(function))]
                        .into_iter()
                        .collect(),
                )
            })
            .collect();
        json!({
            "version": 0.0,
            "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": {
                "TaskDefinition": definition,
                "LoadBalancerInfo": {"ContainerName": "web", "ContainerPort": 80},
            }}}],
            "Hooks": hooks,
        })
        .to_string()
    }

    fn deployment_input(definition: &str, config: &str, hooks: &[(&str, &str)]) -> Json {
        json!({
            "applicationName": "app", "deploymentGroupName": "group",
            "deploymentConfigName": config,
            "revision": {"revisionType": "AppSpecContent",
                         "appSpecContent": {"content": Account::appspec(definition, hooks)}},
        })
    }

    fn deploy(&mut self, definition: &str, config: &str, hooks: &[(&str, &str)]) -> String {
        let input = Account::deployment_input(definition, config, hooks);
        text(&self.ok("codedeploy", "CreateDeployment", input)["deploymentId"])
    }

    fn deployment(&mut self, id: &str) -> Json {
        self.ok("codedeploy", "GetDeployment", json!({"deploymentId": id}))["deploymentInfo"]
            .clone()
    }

    fn status(&mut self, id: &str) -> String {
        text(&self.deployment(id)["status"])
    }

    fn target(&mut self, id: &str) -> Json {
        let input = json!({"deploymentId": id, "targetId": "prod:web"});
        self.ok("codedeploy", "GetDeploymentTarget", input)["deploymentTarget"]["ecsTarget"].clone()
    }

    fn events(&mut self, id: &str) -> Vec<(String, String)> {
        let target = self.target(id);
        let list = target["lifecycleEvents"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        list.iter()
            .map(|event| (text(&event["lifecycleEventName"]), text(&event["status"])))
            .collect()
    }

    fn event(&mut self, id: &str, name: &str) -> Json {
        let target = self.target(id);
        let list = target["lifecycleEvents"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        list.into_iter()
            .find(|event| event["lifecycleEventName"] == name)
            .unwrap_or(Json::Null)
    }

    fn event_status(&mut self, id: &str, name: &str) -> String {
        if self.status(id) == "Created" {
            return "Created".to_string();
        }
        text(&self.event(id, name)["status"])
    }

    fn until_event(&mut self, id: &str, name: &str, status: &str) -> i64 {
        self.until(&format!("{name} is {status}"), 3 * 60 * MINUTE, |account| {
            account.event_status(id, name) == status
        })
    }

    fn until_status(&mut self, id: &str, status: &str) -> i64 {
        self.until(&format!("{id} is {status}"), 50 * 60 * MINUTE, |account| {
            account.status(id) == status
        })
    }

    /// Weights of a listener's forward, blue and green.
    fn weights(&mut self, listener: &str) -> (i64, i64) {
        let input = json!({"ListenerArns": [listener]});
        let answer = self.ok("elasticloadbalancing", "DescribeListeners", input);
        let action = &answer["Listeners"][0]["DefaultActions"][0];
        let groups = action["ForwardConfig"]["TargetGroups"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let weight = |arn: &str| {
            groups
                .iter()
                .find(|group| group["TargetGroupArn"] == arn)
                .map_or(0, |group| group["Weight"].as_i64().expect("a weight"))
        };
        assert_eq!(
            action["TargetGroupArn"].is_string(),
            groups.len() == 1,
            "{action}"
        );
        (weight(&self.blue), weight(&self.green))
    }

    fn production_weights(&mut self) -> (i64, i64) {
        let listener = self.production.clone();
        self.weights(&listener)
    }

    /// Status and task definition number of every task set, PRIMARY first.
    fn task_sets(&mut self) -> Vec<(String, String)> {
        let service = self.service();
        let mut sets: Vec<(String, String)> = service["taskSets"]
            .as_array()
            .cloned()
            .unwrap_or_default()
            .iter()
            .map(|set| {
                let definition = text(&set["taskDefinition"]);
                let number = definition
                    .rsplit(':')
                    .next()
                    .unwrap_or_default()
                    .to_string();
                (text(&set["status"]), number)
            })
            .collect();
        sets.sort_by_key(|(status, _)| status != "PRIMARY");
        sets
    }

    /// An alarm on the sum of 5xx of both target groups of the last minute.
    fn alarm(&mut self, name: &str, group: &str, threshold: f64) {
        let dimension = |arn: &str| {
            arn.rsplit(':')
                .next()
                .unwrap_or_default()
                .replace("loadbalancer/", "")
        };
        self.ok(
            "monitoring",
            "PutMetricAlarm",
            json!({
                "AlarmName": name, "Namespace": "AWS/ApplicationELB", "MetricName": "HTTPCode_Target_5XX_Count",
                "Dimensions": [
                    {"Name": "LoadBalancer", "Value": dimension(&self.balancer)},
                    {"Name": "TargetGroup", "Value": dimension(group)},
                ],
                "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": threshold,
                "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
            }),
        );
    }

    /// Executions that were handed to the relay, newest last: deployment and execution id.
    fn invoked(&self) -> Vec<(String, String)> {
        self.effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::InvokeHook {
                    deployment_id,
                    execution_id,
                    ..
                } => Some((deployment_id.clone(), execution_id.clone())),
                Effect::InvokeLifecycleHook { .. } => None,
            })
            .collect()
    }
}

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_string()
}

/// A value as JSON; times in milliseconds.
fn plain(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Int(number) | Value::Time(number) => json!(number),
        Value::Double(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::List(list) => Json::Array(list.iter().map(plain).collect()),
        Value::Map(map) => Json::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), plain(value)))
                .collect(),
        ),
    }
}
