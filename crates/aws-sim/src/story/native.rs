//! The teams whose services ECS deploys itself: rolling, linear with a pause before each step, and canary, each with a
//! circuit breaker and an alarm.
//!
//! They keep to a simple calendar: a release every few days at working hours, one of them bad, one under way when the
//! account is looked at, and from then on the next some time after the last has ended.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};
use tracing::debug;

use super::calendar;
use super::services::{Pairs, Place};
use super::team::{Author, first_arn, set};
use super::{DAY_MS, MINUTE_MS, StoryError};
use crate::door::simulation::{ACCOUNT, Simulation};

/// A release whose service is busy is tried again after this long.
const BUSY_MS: i64 = 5 * MINUTE_MS;

/// Nothing ordinary is released so shortly before the account is looked at.
const QUIET_MS: i64 = 6 * 60 * MINUTE_MS;

/// Pauses are set up so long before the account is looked at: in the month before, nobody waits for people.
const PAUSES_FROM_MS: i64 = 30 * MINUTE_MS;

/// The statuses of a service deployment that is still in the way of the next one.
const UNFINISHED: [&str; 5] = [
    "PENDING",
    "IN_PROGRESS",
    "STOP_REQUESTED",
    "ROLLBACK_REQUESTED",
    "ROLLBACK_IN_PROGRESS",
];

/// How ECS deploys a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Tasks replace tasks, with a circuit breaker.
    Rolling,
    /// A quarter of the traffic every three minutes; from shortly before the account is looked at, each step waits at a
    /// PAUSE hook.
    LinearWithPauses,
    /// A tenth of the traffic for ten minutes.
    Canary,
}

/// One service and what its team does.
#[derive(Clone, Copy, Debug)]
pub(super) struct NativeHabits {
    pub(super) place: &'static Place,
    pub(super) service: &'static str,
    pub(super) port: i64,
    pub(super) tasks: i64,
    pub(super) way: Way,
    pub(super) environment: Pairs,
    /// Working days between two releases.
    pub(super) every_days: i64,
    /// What the releases change, in turn.
    pub(super) changes: &'static [Pairs],
    /// What is wrong with one of them, so many days before the account is looked at.
    pub(super) bad: (i64, Pairs),
    /// How long before the account is looked at a release is begun, in seconds.
    pub(super) opens_s: i64,
    /// How long the service rests between two releases from then on, in minutes.
    pub(super) rest_minutes: i64,
}

/// One release that is planned.
#[derive(Clone, Copy, Debug)]
struct Planned {
    at_ms: i64,
    fleeting: Pairs,
}

/// One team with its one service.
pub(super) struct NativeTeam {
    habits: NativeHabits,
    environment: Vec<(String, String)>,
    /// What is released before the account is looked at, the next one last.
    past: Vec<Planned>,
    due_ms: i64,
    pauses_at_ms: Option<i64>,
    made: usize,
}

/// Every team whose service ECS deploys itself.
pub(super) fn teams(seed: u64, start_ms: i64, all: &[NativeHabits]) -> Vec<NativeTeam> {
    let mut teams = Vec::new();
    for habits in all {
        let mut random = calendar::random(seed, habits.service);
        let mut past = month(habits, start_ms, &mut random);
        past.reverse();
        teams.push(NativeTeam {
            environment: habits
                .environment
                .iter()
                .map(|(name, value)| ((*name).to_string(), (*value).to_string()))
                .collect(),
            due_ms: past.last().map_or(start_ms, |planned| planned.at_ms),
            past,
            pauses_at_ms: (habits.way == Way::LinearWithPauses)
                .then_some(start_ms - PAUSES_FROM_MS),
            made: 0,
            habits: *habits,
        });
    }
    teams
}

fn month(habits: &NativeHabits, start_ms: i64, random: &mut ChaCha8Rng) -> Vec<Planned> {
    let midnight_ms = |day: i64| (start_ms - day * DAY_MS).div_euclid(DAY_MS) * DAY_MS;
    let (bad_day, fleeting) = habits.bad;
    let mut planned = Vec::new();
    let (mut worked, mut was_bad) = (0, false);
    for day in (1..super::PAST_MS / DAY_MS - 1).rev() {
        let at_ms = midnight_ms(day) + random.random_range(8 * 60..16 * 60) * MINUTE_MS;
        if calendar::is_weekend(at_ms) || at_ms > start_ms - QUIET_MS {
            continue;
        }
        worked += 1;
        // That day, or the first working day after it.
        let is_bad = day <= bad_day && !was_bad;
        was_bad |= is_bad;
        if is_bad || worked % habits.every_days == 0 {
            planned.push(Planned {
                at_ms,
                fleeting: if is_bad { fleeting } else { &[] },
            });
        }
    }
    planned.push(Planned {
        at_ms: start_ms - habits.opens_s * 1000,
        fleeting: &[],
    });
    planned
}

impl NativeTeam {
    /// How many deployments the team has begun.
    pub(super) fn begun(&self) -> usize {
        self.made
    }

    /// When the team acts next.
    pub(super) fn due_ms(&self) -> i64 {
        self.due_ms.min(self.pauses_at_ms.unwrap_or(i64::MAX))
    }

    /// The team does what is due at `now_ms`.
    pub(super) fn step(
        &mut self,
        simulation: &mut Simulation,
        now_ms: i64,
    ) -> Result<(), StoryError> {
        if self.pauses_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.pauses_at_ms = None;
            let mut update = self.service_named();
            update["deploymentConfiguration"] = self.configuration(true);
            self.terraform()
                .call(simulation, "ecs", "UpdateService", update)?;
        }
        if self.due_ms > now_ms {
            return Ok(());
        }
        // Set before anything can be refused: a team does not try the same for ever.
        self.due_ms = now_ms + BUSY_MS;
        if let Some(rested_ms) = self.busy_until(simulation)? {
            self.due_ms = rested_ms.max(now_ms + MINUTE_MS);
            return Ok(());
        }
        let fleeting = self.past.pop().map_or(&[][..], |planned| planned.fleeting);
        self.release(simulation, fleeting)?;
        self.due_ms = match self.past.last() {
            Some(planned) => planned.at_ms,
            None => now_ms + BUSY_MS,
        };
        Ok(())
    }

    /// When to look again, while the last deployment has not ended, or not rested after it; `None` when the next one may
    /// begin.
    fn busy_until(&self, simulation: &mut Simulation) -> Result<Option<i64>, StoryError> {
        let now_ms = simulation.world.now_ms();
        let listed = self.pipeline().call(
            simulation,
            "ecs",
            "ListServiceDeployments",
            json!({ "cluster": self.habits.place.cluster, "service": self.habits.service, "maxResults": 1 }),
        )?;
        let Some(last) = listed.get("serviceDeployments").as_list().first() else {
            return Ok(None);
        };
        let status = last.get("status").as_str().unwrap_or_default();
        if UNFINISHED.contains(&status) {
            return Ok(Some(now_ms + BUSY_MS));
        }
        // The month's calendar is its own rest.
        let rests_ms = match self.past.is_empty() {
            true => self.habits.rest_minutes * MINUTE_MS,
            false => 0,
        };
        let ended_ms = last.get("finishedAt").as_time_ms().unwrap_or(0);
        Ok((ended_ms + rests_ms > now_ms).then_some(ended_ms + rests_ms))
    }

    fn release(&mut self, simulation: &mut Simulation, fleeting: Pairs) -> Result<(), StoryError> {
        if let Some(change) = self.habits.changes.get(
            self.made
                .checked_rem(self.habits.changes.len())
                .unwrap_or(0),
        ) {
            for (name, value) in *change {
                set(&mut self.environment, name, value);
            }
        }
        self.made += 1;
        let mut environment = self.environment.clone();
        for (name, value) in fleeting {
            set(&mut environment, name, value);
        }
        let revision = self.register(simulation, &environment)?;
        let mut update = self.service_named();
        update["taskDefinition"] = json!(revision);
        debug!(
            service = self.habits.service,
            revision, "a pretend team deploys with ECS"
        );
        self.pipeline()
            .call(simulation, "ecs", "UpdateService", update)?;
        Ok(())
    }

    fn register(
        &self,
        simulation: &mut Simulation,
        environment: &[(String, String)],
    ) -> Result<String, StoryError> {
        let NativeHabits { service, port, .. } = self.habits;
        let Place { region, cluster } = *self.habits.place;
        let variables: Vec<Json> = environment
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let definition = json!({
            "family": service,
            "taskRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/{service}-task"),
            "executionRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/ecs-task-execution"),
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "runtimePlatform": { "cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX" },
            "cpu": "512",
            "memory": "1024",
            "containerDefinitions": [{
                "name": service,
                "image": format!("{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/shop/{service}:1.{}.0", self.made),
                "essential": true,
                "portMappings": [{ "containerPort": port, "hostPort": port, "protocol": "tcp" }],
                "environment": variables,
                "readonlyRootFilesystem": true,
                "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-region": region,
                    "awslogs-group": format!("/ecs/{cluster}/{service}"), "awslogs-stream-prefix": "app" } },
            }],
            "tags": [{ "key": "team", "value": service }],
        });
        let answer =
            self.pipeline()
                .call(simulation, "ecs", "RegisterTaskDefinition", definition)?;
        let arn = answer
            .get("taskDefinition")
            .get("taskDefinitionArn")
            .as_str();
        Ok(arn.unwrap_or_default().to_string())
    }

    /// Everything the service needs, as an infrastructure tool makes it.
    pub(super) fn build(&mut self, simulation: &mut Simulation) -> Result<(), StoryError> {
        let NativeHabits {
            service, port, way, ..
        } = self.habits;
        let terraform = self.terraform();
        let balancing = "elasticloadbalancing";
        let balancer = terraform.call(
            simulation,
            balancing,
            "CreateLoadBalancer",
            json!({ "Name": format!("{service}-alb"), "Type": "application", "Scheme": "internal",
                "Subnets": ["subnet-0a1f5c0d9e3b77a10", "subnet-0b2e6d1c8f4a66b21"],
                "SecurityGroups": ["sg-0c3d7e2b9a5f55c32"] }),
        )?;
        let balancer_arn = first_arn(&balancer, "LoadBalancers", "LoadBalancerArn");
        let colours: &[&str] = match way {
            Way::Rolling => &["tasks"],
            Way::LinearWithPauses | Way::Canary => &["blue", "green"],
        };
        let mut groups = Vec::new();
        for colour in colours {
            let group = terraform.call(
                simulation,
                balancing,
                "CreateTargetGroup",
                json!({ "Name": format!("{service}-{colour}"), "Protocol": "HTTP", "Port": port,
                    "VpcId": "vpc-0d4c8f3a7b2e44d43", "TargetType": "ip", "HealthCheckPath": "/healthz",
                    "HealthCheckIntervalSeconds": 10, "HealthyThresholdCount": 2 }),
            )?;
            groups.push(first_arn(&group, "TargetGroups", "TargetGroupArn"));
        }
        let listener = terraform.call(
            simulation,
            balancing,
            "CreateListener",
            json!({ "LoadBalancerArn": balancer_arn, "Protocol": "HTTP", "Port": 80,
                "DefaultActions": [{ "Type": "forward", "TargetGroupArn": groups[0] }] }),
        )?;
        let mut load_balancer = json!({
            "targetGroupArn": groups[0], "containerName": service, "containerPort": port,
        });
        if let [blue, green] = groups.as_slice() {
            let forward = json!([{ "Type": "forward", "ForwardConfig": { "TargetGroups": [
                { "TargetGroupArn": blue, "Weight": 1 }, { "TargetGroupArn": green, "Weight": 0 } ] } }]);
            let rule = terraform.call(
                simulation,
                balancing,
                "CreateRule",
                json!({ "ListenerArn": first_arn(&listener, "Listeners", "ListenerArn"), "Priority": 10,
                    "Conditions": [{ "Field": "path-pattern", "Values": ["/*"] }], "Actions": forward }),
            )?;
            load_balancer["advancedConfiguration"] = json!({
                "alternateTargetGroupArn": green,
                "productionListenerRule": first_arn(&rule, "Rules", "RuleArn"),
                "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/ecs-infrastructure"),
            });
        }
        terraform.call(
            simulation,
            "monitoring",
            "PutMetricAlarm",
            self.alarm(&balancer_arn),
        )?;
        let revision = self.register(simulation, &self.environment.clone())?;
        let mut service_input = self.service_named();
        service_input["serviceName"] = service_input["service"].take();
        if let Some(members) = service_input.as_object_mut() {
            members.remove("service");
        }
        service_input["taskDefinition"] = json!(revision);
        service_input["desiredCount"] = json!(self.habits.tasks);
        service_input["launchType"] = json!("FARGATE");
        service_input["healthCheckGracePeriodSeconds"] = json!(30);
        service_input["loadBalancers"] = json!([load_balancer]);
        service_input["deploymentConfiguration"] = self.configuration(false);
        service_input["networkConfiguration"] = json!({ "awsvpcConfiguration": {
            "subnets": ["subnet-0a1f5c0d9e3b77a10", "subnet-0b2e6d1c8f4a66b21"],
            "securityGroups": ["sg-0e5b9a4c6d1f33e54"], "assignPublicIp": "DISABLED" } });
        service_input["tags"] = json!([{ "key": "team", "value": service }]);
        terraform.call(simulation, "ecs", "CreateService", service_input)?;
        Ok(())
    }

    fn configuration(&self, pauses: bool) -> Json {
        let breaker = json!({ "enable": true, "rollback": true });
        let alarms = json!({ "enable": true, "rollback": true, "alarmNames": [self.alarm_name()] });
        match self.habits.way {
            Way::Rolling => json!({
                "strategy": "ROLLING", "minimumHealthyPercent": 100, "maximumPercent": 150,
                "alarms": alarms, "deploymentCircuitBreaker": breaker,
            }),
            Way::LinearWithPauses => {
                let hook = json!({
                    "targetType": "PAUSE", "lifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"],
                    "timeoutConfiguration": { "timeoutInMinutes": 120, "action": "ROLLBACK" },
                });
                let hooks = if pauses { vec![hook] } else { Vec::new() };
                json!({
                    "strategy": "LINEAR", "bakeTimeInMinutes": 5, "lifecycleHooks": hooks,
                    "linearConfiguration": { "stepPercent": 25.0, "stepBakeTimeInMinutes": 3 },
                    "alarms": alarms, "deploymentCircuitBreaker": breaker,
                })
            }
            Way::Canary => json!({
                "strategy": "CANARY", "bakeTimeInMinutes": 10,
                "canaryConfiguration": { "canaryPercent": 10.0, "canaryBakeTimeInMinutes": 10 },
                "alarms": alarms,
                "deploymentCircuitBreaker": breaker,
            }),
        }
    }

    /// Server errors of the whole load balancer, which both target groups are behind.
    fn alarm(&self, balancer_arn: &str) -> Json {
        json!({
            "AlarmName": self.alarm_name(),
            "AlarmDescription": format!("Server errors of {} in one minute", self.habits.service),
            "ActionsEnabled": false,
            "Namespace": "AWS/ApplicationELB",
            "MetricName": "HTTPCode_Target_5XX_Count",
            "Dimensions": [{ "Name": "LoadBalancer",
                "Value": balancer_arn.split_once("loadbalancer/").map(|(_, tail)| tail) }],
            "Statistic": "Sum",
            "Period": 60,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 30.0,
            "EvaluationPeriods": 1,
            "DatapointsToAlarm": 1,
            "TreatMissingData": "notBreaching",
        })
    }

    fn alarm_name(&self) -> String {
        format!("{}-5xx", self.habits.service)
    }

    fn service_named(&self) -> Json {
        json!({ "cluster": self.habits.place.cluster, "service": self.habits.service })
    }

    fn pipeline(&self) -> Author {
        Author::pipeline(self.habits.service, self.habits.place)
    }

    fn terraform(&self) -> Author {
        Author::infrastructure(self.habits.service, self.habits.place)
    }
}
