//! One team: what it builds once, how it deploys, and how its people look at what is under way.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};
use tracing::debug;

use super::services::{Act, CANARY, GATE, Habits, Place, Release, When};
use super::{MINUTE_MS, Started, StoryError};
use crate::door::json::from_json;
use crate::door::simulation::{ACCOUNT, Simulation};
use crate::value::Value;
use crate::world::Caller;

/// How often a team looks at a deployment that it waits for.
const LOOK_MS: i64 = 10_000;

/// Until a deployment of this account was measured: how long it takes from CreateDeployment to the
/// first traffic.
const USUAL_LEAD_MS: i64 = 150_000;

/// So long before it could have to start an opening release, a team works out when exactly.
const AHEAD_MS: i64 = 5 * MINUTE_MS;

/// A release whose service is busy is tried again after this long.
const BUSY_MS: i64 = 5 * MINUTE_MS;

/// The statuses of a deployment that is still in the way of the next one.
const UNFINISHED: [&str; 5] = ["Created", "Queued", "InProgress", "Baking", "Ready"];

/// Who makes a call.
#[derive(Clone, Copy)]
pub(super) struct Author {
    session: &'static str,
    role: &'static str,
    place: &'static Place,
}

impl Author {
    /// What makes infrastructure.
    pub(super) fn infrastructure(session: &'static str, place: &'static Place) -> Author {
        let role = "platform-terraform";
        Author {
            session,
            role,
            place,
        }
    }

    /// What deploys.
    pub(super) fn pipeline(session: &'static str, place: &'static Place) -> Author {
        let role = "ci-deploy";
        Author {
            session,
            role,
            place,
        }
    }

    pub(super) fn call(
        &self,
        simulation: &mut Simulation,
        service: &str,
        operation: &str,
        parameters: Json,
    ) -> Result<Value, StoryError> {
        let caller = Caller {
            account: ACCOUNT.to_string(),
            region: self.place.region.to_string(),
            principal: format!(
                "arn:aws:sts::{ACCOUNT}:assumed-role/{}/{}",
                self.role, self.session
            ),
        };
        simulation
            .call_as(&caller, service, operation, &from_json(parameters))
            .map_err(|source| StoryError {
                team: self.session.to_string(),
                operation: operation.to_string(),
                source,
            })
    }
}

/// One team with its one service.
pub(super) struct Team {
    habits: Habits,
    random: ChaCha8Rng,
    environment: Vec<(String, String)>,
    version: (u32, u32),
    /// What is released before the account is looked at, oldest first.
    past: Vec<Release>,
    made: usize,
    begun: usize,
    /// Nothing is released after the rest alone before this.
    idle_from_ms: i64,
    look_ms: i64,
    lead_ms: Option<i64>,
    /// The AppSpecs of what was released, oldest first.
    released: Vec<String>,
    /// What a person means to do, when, and with which deployment.
    intends: Option<(i64, Act, String)>,
}

impl Team {
    pub(super) fn new(
        habits: Habits,
        past: Vec<Release>,
        random: ChaCha8Rng,
        start_ms: i64,
    ) -> Team {
        let mut team = Team {
            environment: habits
                .environment
                .iter()
                .map(|(name, value)| ((*name).to_string(), (*value).to_string()))
                .collect(),
            version: habits.version,
            habits,
            random,
            past,
            made: 0,
            begun: 0,
            idle_from_ms: start_ms,
            look_ms: 0,
            lead_ms: None,
            released: Vec::new(),
            intends: None,
        };
        team.look_ms = team.first_look_ms(start_ms);
        team
    }

    /// The service's name.
    pub(super) fn name(&self) -> &'static str {
        self.habits.service
    }

    /// How many deployments the team has begun.
    pub(super) fn begun(&self) -> usize {
        self.begun
    }

    /// Whether its next releases wait at a gate for people.
    pub(super) fn has_gate(&self) -> bool {
        let mut future = self.habits.future.iter();
        future.any(|release| matches!(release.hook, Some((_, function)) if function == GATE))
    }

    /// When the team looks next.
    pub(super) fn due_ms(&self) -> i64 {
        let intends_ms = self.intends.as_ref().map_or(i64::MAX, |(at_ms, ..)| *at_ms);
        self.look_ms.min(intends_ms)
    }

    /// When the next release is first thought of; `start_ms` is when the account is first looked at.
    fn first_look_ms(&self, start_ms: i64) -> i64 {
        match self.past.get(self.made).map(|release| release.when) {
            Some(When::At(at_ms)) => at_ms,
            Some(When::TrafficSecondsBefore(seconds)) => {
                start_ms.saturating_sub(seconds * 1000 + USUAL_LEAD_MS + AHEAD_MS)
            }
            Some(When::Rested) => i64::MIN,
            None if self.habits.future.is_empty() => i64::MAX,
            None => start_ms,
        }
    }

    /// The team does what is due at `now_ms`.
    pub(super) fn step(
        &mut self,
        simulation: &mut Simulation,
        start_ms: i64,
        now_ms: i64,
    ) -> Result<(), StoryError> {
        if self
            .intends
            .as_ref()
            .is_some_and(|(at_ms, ..)| *at_ms <= now_ms)
            && let Some((_, act, deployment)) = self.intends.take()
        {
            self.act(simulation, act, deployment, now_ms)?;
        }
        if self.look_ms > now_ms {
            return Ok(());
        }
        let Some(release) = self.past.get(self.made).copied() else {
            self.look_ms = now_ms + LOOK_MS;
            if let Some(release) = self.next_rested(simulation, now_ms)? {
                self.start(simulation, &release)?;
            }
            return Ok(());
        };
        if let When::TrafficSecondsBefore(seconds) = release.when {
            if self.lead_ms.is_none() {
                self.measure_lead(simulation)?;
            }
            let lead_ms = self.lead_ms.unwrap_or(USUAL_LEAD_MS);
            let exactly_ms = start_ms - seconds * 1000 - lead_ms;
            if exactly_ms > now_ms {
                self.look_ms = exactly_ms;
                return Ok(());
            }
        }
        if self.rested_since(simulation)?.is_none() {
            self.look_ms = now_ms + BUSY_MS;
            return Ok(());
        }
        let begun = self.start(simulation, &release);
        self.look_ms = self.first_look_ms(start_ms).max(now_ms + LOOK_MS);
        begun.map(|_| ())
    }

    /// What is released now that the past is over, if anything.
    fn next_rested(
        &self,
        simulation: &mut Simulation,
        now_ms: i64,
    ) -> Result<Option<Release>, StoryError> {
        let due = self
            .next_release_ms(simulation)?
            .is_some_and(|at_ms| at_ms <= now_ms);
        let next = (self.made - self.past.len()) % self.habits.future.len().max(1);
        let release = self.habits.future.get(next).copied();
        if !due || !self.is_quiet(simulation)? {
            return Ok(None);
        }
        Ok(release)
    }

    /// When the next release starts by itself; `None` while something is under way.
    pub(super) fn next_release_ms(
        &self,
        simulation: &mut Simulation,
    ) -> Result<Option<i64>, StoryError> {
        if self.made < self.past.len() || self.habits.future.is_empty() {
            return Ok(None);
        }
        let since = self.rested_since(simulation)?;
        Ok(since.map(|since| {
            // Those that had nothing under way when the account was first looked at rest from then on.
            since.max(self.idle_from_ms) + self.habits.rest_minutes * MINUTE_MS
        }))
    }

    /// Starts the next release without waiting for the rest; `None` while something is under way or the
    /// service's alarm rings.
    pub(super) fn start_now(
        &mut self,
        simulation: &mut Simulation,
        now_ms: i64,
    ) -> Result<Option<Started>, StoryError> {
        if self.next_release_ms(simulation)?.is_none() || !self.is_quiet(simulation)? {
            return Ok(None);
        }
        let next = (self.made - self.past.len()) % self.habits.future.len().max(1);
        let Some(release) = self.habits.future.get(next).copied() else {
            return Ok(None);
        };
        self.look_ms = now_ms + LOOK_MS;
        let deployment_id = self.start(simulation, &release)?;
        Ok(Some(Started {
            service: self.habits.service.to_string(),
            region: self.habits.place.region.to_string(),
            deployment_id,
        }))
    }

    fn pipeline(&self) -> Author {
        Author::pipeline(self.habits.service, self.habits.place)
    }

    /// Whoever is on call this month.
    fn person(&self) -> Author {
        Author {
            session: "lena.fischer",
            role: "on-call",
            place: self.habits.place,
        }
    }

    fn application(&self) -> String {
        format!(
            "AppECS-{}-{}",
            self.habits.place.cluster, self.habits.service
        )
    }

    fn alarm_name(&self) -> String {
        format!("{}-5xx", self.habits.service)
    }

    fn group(&self) -> String {
        format!(
            "DgpECS-{}-{}",
            self.habits.place.cluster, self.habits.service
        )
    }

    fn group_named(&self) -> Json {
        json!({
            "applicationName": self.application(),
            "deploymentGroupName": self.group(),
        })
    }

    /// Since when no deployment of this service is unfinished, whoever started it. `None`: one is.
    fn rested_since(&self, simulation: &mut Simulation) -> Result<Option<i64>, StoryError> {
        let pipeline = self.pipeline();
        let mut unfinished = self.group_named();
        unfinished["includeOnlyStatuses"] = json!(UNFINISHED);
        let answer = pipeline.call(simulation, "codedeploy", "ListDeployments", unfinished)?;
        if !answer.get("deployments").as_list().is_empty() {
            return Ok(None);
        }
        let group = self.group_named();
        let answer = pipeline.call(simulation, "codedeploy", "GetDeploymentGroup", group)?;
        let last = answer
            .get("deploymentGroupInfo")
            .get("lastAttemptedDeployment");
        Ok(Some(last.get("endTime").as_time_ms().unwrap_or(0)))
    }

    /// Whether the service's alarm does not ring: CodeDeploy stops what is started while it does.
    fn is_quiet(&self, simulation: &mut Simulation) -> Result<bool, StoryError> {
        let alarm = json!({ "AlarmNames": [self.alarm_name()] });
        let answer = self
            .pipeline()
            .call(simulation, "monitoring", "DescribeAlarms", alarm)?;
        let mut alarms = answer.get("MetricAlarms").as_list().iter();
        Ok(alarms.all(|alarm| alarm.get("StateValue").as_str() != Some("ALARM")))
    }

    /// Measures, on the last deployment that succeeded, how long it takes until the traffic may move.
    fn measure_lead(&mut self, simulation: &mut Simulation) -> Result<(), StoryError> {
        let pipeline = self.pipeline();
        let group = self.group_named();
        let answer = pipeline.call(simulation, "codedeploy", "GetDeploymentGroup", group)?;
        let last = answer
            .get("deploymentGroupInfo")
            .get("lastSuccessfulDeployment");
        let (Some(id), Some(created_ms)) = (
            last.get("deploymentId").as_str(),
            last.get("createTime").as_time_ms(),
        ) else {
            return Ok(());
        };
        let target = json!({
            "deploymentId": id,
            "targetId": format!("{}:{}", self.habits.place.cluster, self.habits.service),
        });
        let answer = pipeline.call(simulation, "codedeploy", "GetDeploymentTarget", target)?;
        let events = answer
            .get("deploymentTarget")
            .get("ecsTarget")
            .get("lifecycleEvents");
        self.lead_ms = events
            .as_list()
            .iter()
            .find(|event| event.get("lifecycleEventName").as_str() == Some("AfterAllowTestTraffic"))
            // A rollback deployment skips it, and so does not measure.
            .filter(|event| event.get("status").as_str() == Some("Succeeded"))
            .and_then(|event| event.get("endTime").as_time_ms())
            .map(|ended_ms| ended_ms - created_ms);
        Ok(())
    }

    /// A person looks at a deployment and does what was meant, if it can still be done.
    fn act(
        &mut self,
        simulation: &mut Simulation,
        act: Act,
        deployment: String,
        now_ms: i64,
    ) -> Result<(), StoryError> {
        let person = self.person();
        let named = json!({ "deploymentId": deployment });
        let answer = person.call(simulation, "codedeploy", "GetDeployment", named)?;
        let status = answer.get("deploymentInfo").get("status").as_str();
        let (operation, parameters) = match act {
            Act::Stop => (
                "StopDeployment",
                json!({ "deploymentId": deployment, "autoRollbackEnabled": true }),
            ),
            Act::Continue => (
                "ContinueDeployment",
                json!({ "deploymentId": deployment, "deploymentWaitType": "READY_WAIT" }),
            ),
        };
        match (status, act) {
            (Some("Ready"), _) | (Some("Created" | "Queued" | "InProgress"), Act::Stop) => {
                person.call(simulation, "codedeploy", operation, parameters)?;
            }
            (Some("Created" | "Queued" | "InProgress"), Act::Continue) => {
                self.intends = Some((now_ms + MINUTE_MS, act, deployment));
            }
            _ => {}
        }
        Ok(())
    }

    /// Registers a revision and deploys it, and says under which id.
    fn start(
        &mut self,
        simulation: &mut Simulation,
        release: &Release,
    ) -> Result<String, StoryError> {
        // Counted before anything can be refused: a team does not try the same release for ever.
        self.made += 1;
        let (author, appspec) = if release.again {
            // The last one is what serves.
            let before = self.released.iter().rev().nth(1).cloned();
            (self.person(), before.unwrap_or_default())
        } else {
            (self.pipeline(), self.new_revision(simulation, release)?)
        };
        let mut deployment = self.group_named();
        deployment["deploymentConfigName"] = json!(release.strategy);
        deployment["description"] = json!(release.what);
        deployment["revision"] =
            json!({ "revisionType": "AppSpecContent", "appSpecContent": { "content": appspec } });
        let answer = author.call(simulation, "codedeploy", "CreateDeployment", deployment)?;
        let id = answer.get("deploymentId").as_str().unwrap_or_default();
        debug!(
            service = self.habits.service,
            deployment = id,
            release.what,
            "a pretend team deploys"
        );
        self.begun += 1;
        let now_ms = simulation.world.now_ms();
        self.intends = release
            .then
            .map(|(minutes, act)| (now_ms + minutes * MINUTE_MS, act, id.to_string()));
        Ok(id.to_string())
    }

    /// Registers what a release is made of, and says with which AppSpec it is deployed.
    fn new_revision(
        &mut self,
        simulation: &mut Simulation,
        release: &Release,
    ) -> Result<String, StoryError> {
        self.version.1 += 1;
        for (name, value) in release.lasting {
            set(&mut self.environment, name, value);
        }
        let mut environment = self.environment.clone();
        for (name, value) in release.fleeting {
            set(&mut environment, name, value);
        }
        // A variable that is set to nothing is taken out.
        environment.retain(|(_, value)| !value.is_empty());
        let revision = self.register(simulation, &environment, release.commit)?;
        let appspec = self.appspec(&revision, release.hook);
        self.released.push(appspec.clone());
        Ok(appspec)
    }

    fn appspec(&self, revision: &str, hook: Option<(&str, &str)>) -> String {
        let mut appspec = format!(
            "version: 0.0\n\
             Resources:\n\
             \x20 - TargetService:\n\
             \x20     Type: AWS::ECS::Service\n\
             \x20     Properties:\n\
             \x20       TaskDefinition: \"{revision}\"\n\
             \x20       LoadBalancerInfo:\n\
             \x20         ContainerName: \"{}\"\n\
             \x20         ContainerPort: {}\n",
            self.habits.service, self.habits.port
        );
        if let Some((event, function)) = hook {
            appspec.push_str(&format!("Hooks:\n  - {event}: \"{function}\"\n"));
        }
        appspec
    }

    /// Seven digits of a commit. None contains `bad`: such an image would fail one request in five.
    fn commit(&mut self) -> String {
        loop {
            let commit: u32 = self.random.random();
            let commit = format!("{:07x}", commit & 0x0fff_ffff);
            if !commit.contains("bad") {
                return commit;
            }
        }
    }

    fn register(
        &mut self,
        simulation: &mut Simulation,
        environment: &[(String, String)],
        commit: Option<&str>,
    ) -> Result<String, StoryError> {
        let Place { region, cluster } = *self.habits.place;
        let commit = commit.map_or_else(|| self.commit(), str::to_string);
        let (major, minor) = self.version;
        let image = format!(
            "{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/{}:{major}.{minor}.0-{commit}",
            self.habits.repository,
        );
        let variables: Vec<Json> = environment
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let secrets: Vec<Json> = self
            .habits
            .secrets
            .iter()
            .map(|(name, secret)| {
                let arn =
                    format!("arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{secret}-Xk2vQ9");
                json!({ "name": name, "valueFrom": arn })
            })
            .collect();
        let group = format!("/ecs/{cluster}/{}", self.habits.service);
        let logs = if self.habits.log_router {
            json!({ "logDriver": "awsfirelens", "options": { "Name": "cloudwatch_logs",
                "region": region, "log_group_name": group, "log_stream_prefix": "app/" } })
        } else {
            json!({ "logDriver": "awslogs", "options": { "awslogs-region": region,
                "awslogs-group": group, "awslogs-stream-prefix": "app" } })
        };
        let mut containers = vec![json!({
            "name": self.habits.service,
            "image": image,
            "essential": true,
            "cpu": 0,
            "portMappings": [{ "containerPort": self.habits.port, "hostPort": self.habits.port, "protocol": "tcp" }],
            "environment": variables,
            "secrets": secrets,
            "readonlyRootFilesystem": true,
            "healthCheck": { "command": ["CMD-SHELL", "wget -qO- http://localhost/healthz || exit 1"],
                "interval": 15, "timeout": 5, "retries": 3, "startPeriod": 30 },
            "logConfiguration": logs,
        })];
        if self.habits.log_router {
            containers.push(json!({
                "name": "log-router",
                "image": "public.ecr.aws/aws-observability/aws-for-fluent-bit:2.34.0",
                "essential": true,
                "cpu": 0,
                "memoryReservation": 64,
                "firelensConfiguration": { "type": "fluentbit" },
            }));
        }
        let definition = json!({
            "family": self.habits.service,
            "taskRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/{}-task", self.habits.service),
            "executionRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/ecs-task-execution"),
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "runtimePlatform": { "cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX" },
            "cpu": self.habits.cpu,
            "memory": self.habits.memory,
            "containerDefinitions": containers,
            "tags": [{ "key": "team", "value": self.habits.service }],
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
        let Place { cluster, .. } = *self.habits.place;
        let terraform = Author::infrastructure(self.habits.service, self.habits.place);
        let balancer = terraform.call(
            simulation,
            "elasticloadbalancing",
            "CreateLoadBalancer",
            json!({
                "Name": format!("{}-alb", self.habits.service),
                "Type": "application",
                "Scheme": "internal",
                "Subnets": ["subnet-0a1f5c0d9e3b77a10", "subnet-0b2e6d1c8f4a66b21"],
                "SecurityGroups": ["sg-0c3d7e2b9a5f55c32"],
            }),
        )?;
        let balancer_arn = first_arn(&balancer, "LoadBalancers", "LoadBalancerArn");
        let mut groups = Vec::new();
        for colour in ["blue", "green"] {
            let group = terraform.call(
                simulation,
                "elasticloadbalancing",
                "CreateTargetGroup",
                json!({
                    "Name": format!("{}-{colour}", self.habits.service),
                    "Protocol": "HTTP",
                    "Port": self.habits.port,
                    "VpcId": "vpc-0d4c8f3a7b2e44d43",
                    "TargetType": "ip",
                    "HealthCheckPath": "/healthz",
                    "HealthCheckIntervalSeconds": 10,
                    "HealthyThresholdCount": 2,
                }),
            )?;
            groups.push(first_arn(&group, "TargetGroups", "TargetGroupArn"));
        }
        let mut listeners = Vec::new();
        for port in [80, 8080] {
            let listener = terraform.call(
                simulation,
                "elasticloadbalancing",
                "CreateListener",
                json!({
                    "LoadBalancerArn": balancer_arn,
                    "Protocol": "HTTP",
                    "Port": port,
                    "DefaultActions": [{ "Type": "forward", "TargetGroupArn": groups[0] }],
                }),
            )?;
            listeners.push(first_arn(&listener, "Listeners", "ListenerArn"));
        }
        let revision = self.register(simulation, &self.environment.clone(), None)?;
        self.released.push(self.appspec(&revision, None));
        terraform.call(
            simulation,
            "ecs",
            "CreateService",
            json!({
                "cluster": cluster,
                "serviceName": self.habits.service,
                "taskDefinition": revision,
                "desiredCount": self.habits.tasks,
                "launchType": "FARGATE",
                "platformVersion": "LATEST",
                "deploymentController": { "type": "CODE_DEPLOY" },
                "healthCheckGracePeriodSeconds": 30,
                "loadBalancers": [{
                    "targetGroupArn": groups[0],
                    "containerName": self.habits.service,
                    "containerPort": self.habits.port,
                }],
                "networkConfiguration": { "awsvpcConfiguration": {
                    "subnets": ["subnet-0a1f5c0d9e3b77a10", "subnet-0b2e6d1c8f4a66b21"],
                    "securityGroups": ["sg-0e5b9a4c6d1f33e54"],
                    "assignPublicIp": "DISABLED",
                } },
                "tags": [{ "key": "team", "value": self.habits.service }],
            }),
        )?;
        let alarm = self.alarm_name();
        terraform.call(
            simulation,
            "monitoring",
            "PutMetricAlarm",
            self.alarm(&alarm, &balancer_arn, &groups),
        )?;
        let ready = match self.habits.ready_wait_minutes {
            0 => json!({ "actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0 }),
            minutes => {
                json!({ "actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": minutes })
            }
        };
        let pair = json!({
            "targetGroups": [
                { "name": format!("{}-blue", self.habits.service) },
                { "name": format!("{}-green", self.habits.service) },
            ],
            "prodTrafficRoute": { "listenerArns": [listeners[0]] },
            "testTrafficRoute": { "listenerArns": [listeners[1]] },
        });
        terraform.call(
            simulation,
            "codedeploy",
            "CreateApplication",
            json!({ "applicationName": self.application(), "computePlatform": "ECS" }),
        )?;
        terraform.call(
            simulation,
            "codedeploy",
            "CreateDeploymentGroup",
            json!({
                "applicationName": self.application(),
                "deploymentGroupName": self.group(),
                "deploymentConfigName": CANARY,
                "serviceRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/codedeploy-ecs"),
                "deploymentStyle": {
                    "deploymentType": "BLUE_GREEN",
                    "deploymentOption": "WITH_TRAFFIC_CONTROL",
                },
                "blueGreenDeploymentConfiguration": {
                    "deploymentReadyOption": ready,
                    "terminateBlueInstancesOnDeploymentSuccess": {
                        "action": "TERMINATE", "terminationWaitTimeInMinutes": self.habits.bake_minutes },
                },
                "alarmConfiguration": { "enabled": true, "alarms": [{ "name": alarm }] },
                "autoRollbackConfiguration": {
                    "enabled": true,
                    "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
                },
                "ecsServices": [{ "clusterName": cluster, "serviceName": self.habits.service }],
                "loadBalancerInfo": { "targetGroupPairInfoList": [pair] },
            }),
        )?;
        Ok(())
    }

    /// One alarm over both target groups, because they change roles with every deployment.
    /// It must not fill what is missing: the minute that is not published yet would count as quiet.
    fn alarm(&self, name: &str, balancer_arn: &str, groups: &[String]) -> Json {
        let errors = |id: &str, group_arn: &str| {
            json!({
                "Id": id,
                "ReturnData": false,
                "MetricStat": {
                    "Period": 60,
                    "Stat": "Sum",
                    "Metric": {
                        "Namespace": "AWS/ApplicationELB",
                        "MetricName": "HTTPCode_Target_5XX_Count",
                        "Dimensions": [
                            { "Name": "LoadBalancer",
                              "Value": balancer_arn.split_once("loadbalancer/").map(|(_, tail)| tail) },
                            { "Name": "TargetGroup", "Value": group_arn.rsplit(':').next() },
                        ],
                    },
                },
            })
        };
        json!({
            "AlarmName": name,
            "AlarmDescription": format!("Server errors of {} in one minute, old and new together", self.habits.service),
            "ActionsEnabled": false,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": self.habits.alarm_at,
            "EvaluationPeriods": 1,
            "DatapointsToAlarm": 1,
            "TreatMissingData": "notBreaching",
            "Metrics": [
                errors("blue", &groups[0]),
                errors("green", &groups[1]),
                { "Id": "errors", "Label": "Server errors", "ReturnData": true,
                  "Expression": "SUM(METRICS())" },
            ],
        })
    }
}

pub(super) fn set(environment: &mut Vec<(String, String)>, name: &str, value: &str) {
    match environment.iter_mut().find(|(known, _)| known == name) {
        Some((_, present)) => *present = value.to_string(),
        None => environment.push((name.to_string(), value.to_string())),
    }
}

/// The ARN of the only thing that a create operation of ELBv2 answers with.
pub(super) fn first_arn(answer: &Value, list: &str, member: &str) -> String {
    let made = answer.get(list).as_list().first();
    made.and_then(|made| made.get(member).as_str())
        .unwrap_or_default()
        .to_string()
}
