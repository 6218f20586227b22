//! The services that are measured with: of ten, four deploy by CodeDeploy, two by ECS's rolling strategy, two by its
//! blue/green, and one each by its linear and canary strategies.

use serde_json::{Value as Json, json};

use crate::caller::{Caller, Failure};

/// How many services share a load balancer, each with two ports of its own.
const SHARED_BY: usize = 20;

/// The one cluster.
pub const CLUSTER: &str = "load";

/// The queue that every event arrives in.
pub const QUEUE: &str = "/123456789012/told";

/// How a service deploys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    CodeDeploy {
        /// What of `CodeDeployDefault.`.
        config: &'static str,
        /// A function that validates test traffic.
        hook: bool,
        /// Whether somebody must continue the deployment before production traffic moves.
        ready_wait: bool,
    },
    Rolling,
    Native {
        strategy: &'static str,
        /// Whether somebody must answer a PAUSE hook after test traffic moved.
        pause: bool,
    },
}

/// The kinds of ten services in a row.
const KINDS: [Kind; 10] = [
    Kind::CodeDeploy {
        config: "ECSCanary10Percent5Minutes",
        hook: false,
        ready_wait: false,
    },
    Kind::Rolling,
    Kind::Native {
        strategy: "BLUE_GREEN",
        pause: false,
    },
    Kind::CodeDeploy {
        config: "ECSCanary10Percent5Minutes",
        hook: true,
        ready_wait: false,
    },
    Kind::Native {
        strategy: "CANARY",
        pause: false,
    },
    Kind::CodeDeploy {
        config: "ECSLinear10PercentEvery1Minutes",
        hook: true,
        ready_wait: false,
    },
    Kind::Rolling,
    Kind::Native {
        strategy: "LINEAR",
        pause: false,
    },
    Kind::CodeDeploy {
        config: "ECSAllAtOnce",
        hook: false,
        ready_wait: true,
    },
    Kind::Native {
        strategy: "BLUE_GREEN",
        pause: true,
    },
];

/// One service and what is asked about it.
pub struct Service {
    pub name: String,
    pub kind: Kind,
    pub balancer: String,
    /// One where the strategy is rolling, or else blue and green.
    pub groups: Vec<String>,
    /// The production listener.
    pub listener: String,
    /// How many images it was given.
    images: usize,
}

/// All services.
pub struct Fleet {
    pub services: Vec<Service>,
}

impl Fleet {
    pub async fn build(caller: &Caller, count: usize) -> Result<Fleet, Failure> {
        let cluster = json!({ "clusterName": CLUSTER });
        caller.call("ecs", "CreateCluster", &cluster).await?;
        listen(caller).await?;
        let mut balancer = String::new();
        let mut services = Vec::new();
        for index in 0..count {
            if index % SHARED_BY == 0 {
                let name = format!("load-{:03}", index / SHARED_BY);
                let fields = [
                    ("Name", &*name),
                    ("Subnets.member.1", "subnet-1"),
                    ("Subnets.member.2", "subnet-2"),
                ];
                balancer = caller
                    .make("CreateLoadBalancer", "LoadBalancerArn", &fields)
                    .await?;
            }
            services.push(build(caller, index, &balancer).await?);
        }
        Ok(Fleet { services })
    }
}

/// Lets every event of ECS, CodeDeploy and CloudWatch arrive in a queue.
async fn listen(caller: &Caller) -> Result<(), Failure> {
    let queue = "arn:aws:sqs:eu-central-1:123456789012:told";
    let policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "Service": "events.amazonaws.com" },
        "Action": "sqs:SendMessage", "Resource": queue,
    }]});
    let attributes = json!({ "QueueName": "told", "Attributes": { "Policy": policy.to_string() } });
    caller.call("sqs", "CreateQueue", &attributes).await?;
    let pattern = json!({ "source": ["aws.ecs", "aws.codedeploy", "aws.cloudwatch"] });
    let rule = json!({ "Name": "told", "EventPattern": pattern.to_string() });
    caller.call("events", "PutRule", &rule).await?;
    let targets = json!({ "Rule": "told", "Targets": [{ "Id": "1", "Arn": queue }] });
    caller.call("events", "PutTargets", &targets).await?;
    Ok(())
}

/// The part of an ARN that a dimension of CloudWatch names.
fn dimension(arn: &str) -> String {
    let tail = arn.rsplit(':').next().unwrap_or_default();
    tail.strip_prefix("loadbalancer/")
        .unwrap_or(tail)
        .to_string()
}

impl Service {
    /// A metric of a target group of this service.
    pub fn metric(&self, group: &str, name: &str) -> Json {
        json!({ "Namespace": "AWS/ApplicationELB", "MetricName": name, "Dimensions": [
            { "Name": "LoadBalancer", "Value": dimension(&self.balancer) },
            { "Name": "TargetGroup", "Value": dimension(group) },
        ]})
    }

    /// Registers a revision of an image, and answers its ARN.
    async fn register(&mut self, caller: &Caller, bad: bool) -> Result<String, Failure> {
        self.images += 1;
        let image = format!("shop/web:{}{}", if bad { "bad-" } else { "v" }, self.images);
        let definition = json!({
            "family": self.name, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
            "cpu": "256", "memory": "512",
            "containerDefinitions": [{
                "name": "web", "image": image, "essential": true,
                "portMappings": [{ "containerPort": 80 }],
                "environment": [{ "name": "VERSION", "value": image }],
                "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": self.name } },
            }],
        });
        let made = caller
            .call("ecs", "RegisterTaskDefinition", &definition)
            .await?;
        let arn = made["taskDefinition"]["taskDefinitionArn"].as_str();
        Ok(arn.unwrap_or_default().to_string())
    }

    /// Begins a deployment of a new image, and answers what CodeDeploy or ECS calls it.
    pub async fn deploy(&mut self, caller: &Caller, bad: bool) -> Result<String, Failure> {
        let revision = self.register(caller, bad).await?;
        let Kind::CodeDeploy { hook, .. } = self.kind else {
            let update =
                json!({ "cluster": CLUSTER, "service": self.name, "taskDefinition": revision });
            let made = caller.call("ecs", "UpdateService", &update).await?;
            let id = made["service"]["currentServiceDeployment"].as_str();
            return Ok(id.ok_or("no service deployment began")?.to_string());
        };
        let hooks = if hook {
            json!([{ "AfterAllowTestTraffic": "sim-succeed-after-30" }])
        } else {
            json!([])
        };
        let spec = json!({
            "version": 0.0,
            "Resources": [{ "TargetService": { "Type": "AWS::ECS::Service", "Properties": {
                "TaskDefinition": revision,
                "LoadBalancerInfo": { "ContainerName": "web", "ContainerPort": 80 },
            }}}],
            "Hooks": hooks,
        });
        let input = json!({
            "applicationName": self.name, "deploymentGroupName": "web",
            "revision": { "revisionType": "AppSpecContent", "appSpecContent": { "content": spec.to_string() } },
        });
        let made = caller
            .call("codedeploy", "CreateDeployment", &input)
            .await?;
        let id = made["deploymentId"].as_str();
        Ok(id.ok_or("no deployment began")?.to_string())
    }

    /// An alarm over the errors of all target groups together.
    fn alarm(&self) -> Json {
        let metrics = self.groups.iter().enumerate().map(|(index, group)| {
            json!({ "Id": format!("m{index}"), "ReturnData": false, "MetricStat": {
                "Metric": self.metric(group, "HTTPCode_Target_5XX_Count"), "Period": 60, "Stat": "Sum",
            }})
        });
        let sum = json!({ "Id": "all", "Expression": "SUM(METRICS())", "ReturnData": true });
        json!({
            "AlarmName": self.name, "Metrics": metrics.chain([sum]).collect::<Vec<Json>>(),
            "EvaluationPeriods": 1, "Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
        })
    }

    /// The first deployment, which makes the service, has no hooks: nobody looks after it yet.
    fn configuration(&self, hooks: bool) -> Json {
        let alarms = json!({ "alarmNames": [self.name], "enable": true, "rollback": true });
        let breaker = json!({ "enable": true, "rollback": true });
        let mut configuration = json!({ "alarms": alarms, "deploymentCircuitBreaker": breaker });
        let Kind::Native { strategy, pause } = self.kind else {
            return configuration;
        };
        configuration["strategy"] = json!(strategy);
        configuration["bakeTimeInMinutes"] = json!(2);
        match strategy {
            "LINEAR" => {
                configuration["linearConfiguration"] =
                    json!({ "stepPercent": 20.0, "stepBakeTimeInMinutes": 1 });
            }
            "CANARY" => {
                configuration["canaryConfiguration"] =
                    json!({ "canaryPercent": 10.0, "canaryBakeTimeInMinutes": 5 });
            }
            _ => {}
        }
        let hook = if pause {
            json!({ "targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"],
                    "timeoutConfiguration": { "timeoutInMinutes": 60, "action": "ROLLBACK" } })
        } else {
            json!({
                "hookTargetArn": "arn:aws:lambda:eu-central-1:123456789012:function:sim-succeed-after-30",
                "roleArn": "arn:aws:iam::123456789012:role/hooks",
                "lifecycleStages": ["POST_SCALE_UP", "POST_TEST_TRAFFIC_SHIFT"],
            })
        };
        configuration["lifecycleHooks"] = if hooks { json!([hook]) } else { json!([]) };
        configuration
    }
}

/// A listener; with a rule of its own where ECS steers the rule, and its ARN then.
async fn listener(
    caller: &Caller,
    balancer: &str,
    port: usize,
    groups: &[String],
    ruled: bool,
) -> Result<(String, String), Failure> {
    let port = port.to_string();
    let mut fields = vec![
        ("LoadBalancerArn", balancer),
        ("Protocol", "HTTP"),
        ("Port", &*port),
    ];
    let [first, others @ ..] = groups else {
        return Err("a service without target groups".into());
    };
    if ruled {
        fields.extend([
            ("DefaultActions.member.1.Type", "fixed-response"),
            (
                "DefaultActions.member.1.FixedResponseConfig.StatusCode",
                "404",
            ),
        ]);
    } else {
        fields.extend([
            ("DefaultActions.member.1.Type", "forward"),
            ("DefaultActions.member.1.TargetGroupArn", first.as_str()),
        ]);
    }
    let made = caller
        .make("CreateListener", "ListenerArn", &fields)
        .await?;
    let (true, [other]) = (ruled, others) else {
        return Ok((made.clone(), made));
    };
    const FORWARD: &str = "Actions.member.1.ForwardConfig.TargetGroups.member";
    let member = |index: usize, name: &str| format!("{FORWARD}.{index}.{name}");
    let (one, two) = (member(1, "TargetGroupArn"), member(2, "TargetGroupArn"));
    let (weight, none) = (member(1, "Weight"), member(2, "Weight"));
    let fields = [
        ("ListenerArn", &*made),
        ("Priority", "10"),
        ("Conditions.member.1.Field", "path-pattern"),
        ("Conditions.member.1.Values.member.1", "/*"),
        ("Actions.member.1.Type", "forward"),
        (&*one, first.as_str()),
        (&*weight, "1"),
        (&*two, other.as_str()),
        (&*none, "0"),
    ];
    let rule = caller.make("CreateRule", "RuleArn", &fields).await?;
    Ok((made, rule))
}

async fn build(caller: &Caller, index: usize, balancer: &str) -> Result<Service, Failure> {
    let name = format!("service-{index:04}");
    let kind = KINDS[index % KINDS.len()];
    let port = 10_000 + 2 * (index % SHARED_BY);
    let colours: &[&str] = match kind {
        Kind::Rolling => &["all"],
        Kind::CodeDeploy { .. } | Kind::Native { .. } => &["blue", "green"],
    };
    let mut groups = Vec::new();
    for colour in colours {
        let fields = [
            ("Name", &*format!("{name}-{colour}")),
            ("Protocol", "HTTP"),
            ("Port", "80"),
            ("VpcId", "vpc-1"),
            ("TargetType", "ip"),
        ];
        let made = caller
            .make("CreateTargetGroup", "TargetGroupArn", &fields)
            .await?;
        // Draining of five minutes, as it is unless told, would make every deployment last mostly so.
        let attributes = [
            ("TargetGroupArn", &*made),
            (
                "Attributes.member.1.Key",
                "deregistration_delay.timeout_seconds",
            ),
            ("Attributes.member.1.Value", "30"),
        ];
        caller
            .elb("ModifyTargetGroupAttributes", &attributes)
            .await?;
        groups.push(made);
    }
    let ruled = matches!(kind, Kind::Native { .. });
    let (production, rule) = listener(caller, balancer, port, &groups, ruled).await?;
    let mut service = Service {
        name,
        kind,
        balancer: balancer.to_string(),
        groups,
        listener: production,
        images: 0,
    };
    let alarm = service.alarm();
    caller.call("monitoring", "PutMetricAlarm", &alarm).await?;
    let revision = service.register(caller, false).await?;
    let mut balancers = json!({
        "targetGroupArn": service.groups[0], "containerName": "web", "containerPort": 80,
    });
    let mut input = json!({
        "cluster": CLUSTER, "serviceName": service.name, "taskDefinition": revision, "desiredCount": 2,
        "launchType": "FARGATE",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
    });
    match kind {
        Kind::CodeDeploy { .. } => {
            input["deploymentController"] = json!({ "type": "CODE_DEPLOY" });
        }
        Kind::Rolling => input["deploymentConfiguration"] = service.configuration(false),
        Kind::Native { .. } => {
            input["deploymentConfiguration"] = service.configuration(false);
            let (_, test) = listener(caller, balancer, port + 1, &service.groups, true).await?;
            balancers["advancedConfiguration"] = json!({
                "alternateTargetGroupArn": service.groups[1],
                "productionListenerRule": rule, "testListenerRule": test,
                "roleArn": "arn:aws:iam::123456789012:role/ecs-infrastructure",
            });
        }
    }
    input["loadBalancers"] = json!([balancers]);
    caller.call("ecs", "CreateService", &input).await?;
    if let Kind::CodeDeploy {
        config, ready_wait, ..
    } = kind
    {
        let (test, _) = listener(caller, balancer, port + 1, &service.groups, false).await?;
        group(caller, &service, config, ready_wait, &test).await?;
    }
    Ok(service)
}

async fn group(
    caller: &Caller,
    service: &Service,
    config: &str,
    ready_wait: bool,
    test_listener: &str,
) -> Result<(), Failure> {
    let name = &service.name;
    let application = json!({ "applicationName": name, "computePlatform": "ECS" });
    caller
        .call("codedeploy", "CreateApplication", &application)
        .await?;
    let ready = if ready_wait {
        json!({ "actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 60 })
    } else {
        json!({ "actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0 })
    };
    let input = json!({
        "applicationName": name, "deploymentGroupName": "web",
        "serviceRoleArn": "arn:aws:iam::123456789012:role/codedeploy",
        "deploymentConfigName": format!("CodeDeployDefault.{config}"),
        "deploymentStyle": { "deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL" },
        "alarmConfiguration": { "enabled": true, "alarms": [{ "name": name }] },
        "autoRollbackConfiguration": {
            "enabled": true, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
        },
        "blueGreenDeploymentConfiguration": {
            "deploymentReadyOption": ready,
            "terminateBlueInstancesOnDeploymentSuccess": {
                "action": "TERMINATE", "terminationWaitTimeInMinutes": 2,
            },
        },
        "ecsServices": [{ "clusterName": CLUSTER, "serviceName": name }],
        "loadBalancerInfo": { "targetGroupPairInfoList": [{
            "targetGroups": [{ "name": format!("{name}-blue") }, { "name": format!("{name}-green") }],
            "prodTrafficRoute": { "listenerArns": [service.listener] },
            "testTrafficRoute": { "listenerArns": [test_listener] },
        }]},
    });
    caller
        .call("codedeploy", "CreateDeploymentGroup", &input)
        .await?;
    Ok(())
}
