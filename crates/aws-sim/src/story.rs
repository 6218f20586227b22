//! The pretend teams of an account that does not start empty: what they built, what they deployed in
//! the last hour, and what they deploy next.
//!
//! The teams only call operations, as anybody does, and everything they do stands in the journal.
//! They decide *when* something is deployed and *what*; how it ends is never written here: it follows
//! from the traffic, the error rates, the alarms and the hooks of the account. Which revision a team
//! makes next comes from the seed and the order of their own work alone.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc::UnboundedSender;
use tracing::{debug, warn};

use crate::door::json::from_json;
use crate::door::simulation::{ACCOUNT, REGION, Simulation};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::{Caller, Effect};

/// The cluster that all services of the story run in.
const CLUSTER: &str = "prod-eu";

/// How much past the account has when it starts.
const PAST_MS: i64 = 75 * MINUTE_MS;

/// How often the teams look at their deployments.
const LOOK_MS: i64 = 10_000;

/// How long a service rests after a deployment before its team starts the next one.
const REST_MS: i64 = 2 * MINUTE_MS;

/// Until a deployment of this account was measured: how long it takes from CreateDeployment to the
/// first traffic.
const USUAL_LEAD_MS: i64 = 150_000;

const MINUTE_MS: i64 = 60_000;

const CANARY: &str = "CodeDeployDefault.ECSCanary10Percent5Minutes";
const LINEAR: &str = "CodeDeployDefault.ECSLinear10PercentEvery1Minutes";
const AT_ONCE: &str = "CodeDeployDefault.ECSAllAtOnce";

/// The statuses of a deployment that is still in the way of the next one.
const UNFINISHED: [&str; 5] = ["Created", "Queued", "InProgress", "Baking", "Ready"];

/// Why the account could not be filled.
#[derive(Debug, thiserror::Error)]
#[error("{team} was refused {operation}")]
pub struct StoryError {
    /// Whose call it was.
    pub team: String,
    /// The operation as AWS names it.
    pub operation: String,
    /// The account's answer.
    #[source]
    pub source: AwsError,
}

/// An account with its teams and their past, at `start_ms` (milliseconds since 1970 UTC).
pub fn begin(
    seed: u64,
    start_ms: i64,
    effects: UnboundedSender<Effect>,
) -> Result<Simulation, StoryError> {
    // On a whole minute, so that metrics and alarms fall alike in every run.
    let origin_ms = (start_ms - PAST_MS).div_euclid(MINUTE_MS) * MINUTE_MS;
    let mut simulation = Simulation::new(seed, origin_ms, effects);
    let mut story = Story {
        teams: teams(),
        random: ChaCha8Rng::seed_from_u64(seed ^ 0x0005_7013_u64),
        start_ms,
        due_ms: origin_ms + LOOK_MS,
        refused: None,
    };
    story.build(&mut simulation)?;
    // The teams' first steps are taken here and not by the simulation, so that a refusal is noticed.
    while story.due_ms <= start_ms {
        simulation.advance_to(story.due_ms);
        story.step(&mut simulation);
        if let Some(refused) = story.refused.take() {
            return Err(refused);
        }
    }
    simulation.advance_to(start_ms);
    simulation.tell(story);
    Ok(simulation)
}

/// The teams at work.
pub struct Story {
    teams: Vec<Team>,
    random: ChaCha8Rng,
    start_ms: i64,
    due_ms: i64,
    refused: Option<StoryError>,
}

/// One team with its one service.
struct Team {
    service: &'static str,
    repository: &'static str,
    port: i64,
    tasks: i64,
    cpu: &'static str,
    memory: &'static str,
    log_router: bool,
    /// Errors in one minute, over both target groups, at which the alarm goes off.
    alarm_at: f64,
    environment: Vec<(String, String)>,
    secrets: &'static [(&'static str, &'static str)],
    version: (u32, u32),
    past: Vec<Release>,
    future: Vec<Release>,
    made: usize,
    lead_ms: Option<i64>,
}

/// One deployment that a team has in mind.
#[derive(Clone)]
struct Release {
    when: When,
    strategy: &'static str,
    hook: Option<(&'static str, &'static str)>,
    description: &'static str,
    /// What changes in the environment and stays.
    lasting: &'static [(&'static str, &'static str)],
    /// What is wrong with this very revision and is gone in the next.
    fleeting: &'static [(&'static str, &'static str)],
}

/// When a release starts.
#[derive(Clone, Copy)]
enum When {
    /// So many minutes before the account's start.
    MinutesBefore(i64),
    /// So that production traffic (or the hook before it) is due about so many seconds before the
    /// start: new tasks take a minute more or less to come up.
    TrafficSecondsBefore(i64),
    /// After the rest that follows the deployment before.
    Rested,
}

fn release(when: When, strategy: &'static str, description: &'static str) -> Release {
    Release {
        when,
        strategy,
        hook: None,
        description,
        lasting: &[],
        fleeting: &[],
    }
}

impl Release {
    fn hook(mut self, event: &'static str, function: &'static str) -> Release {
        self.hook = Some((event, function));
        self
    }

    fn lasting(mut self, lasting: &'static [(&'static str, &'static str)]) -> Release {
        self.lasting = lasting;
        self
    }

    fn fleeting(mut self, fleeting: &'static [(&'static str, &'static str)]) -> Release {
        self.fleeting = fleeting;
        self
    }
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_string(), (*value).to_string()))
        .collect()
}

fn teams() -> Vec<Team> {
    use When::{MinutesBefore, Rested, TrafficSecondsBefore};
    const PASSES: &str = "sim-succeed";
    const GATE: &str = "switchback-relay";
    vec![
        Team {
            service: "checkout-api",
            repository: "shop/checkout-api",
            port: 8080,
            tasks: 4,
            cpu: "1024",
            memory: "2048",
            log_router: true,
            alarm_at: 60.0,
            environment: environment(&[
                ("APP_ENV", "production"),
                ("CART_TTL_SECONDS", "1800"),
                ("PAYMENTS_URL", "http://payments.prod-eu.internal:8443"),
                ("SIM_RPS", "60"),
                ("SIM_ERROR_RATE", "0.0008"),
                ("SIM_P50_MS", "42"),
                ("SIM_P99_MS", "310"),
            ]),
            secrets: &[
                ("DATABASE_URL", "checkout/database-url"),
                ("SESSION_KEY", "checkout/session-key"),
            ],
            version: (4, 17),
            past: vec![
                release(
                    MinutesBefore(72),
                    CANARY,
                    "Keep abandoned carts for 48 hours",
                )
                .hook("BeforeAllowTraffic", PASSES)
                .lasting(&[("CART_TTL_SECONDS", "172800")]),
                release(
                    MinutesBefore(55),
                    CANARY,
                    "Show delivery estimates at checkout",
                )
                .hook("BeforeAllowTraffic", PASSES)
                .lasting(&[("FEATURE_DELIVERY_ESTIMATE", "on")]),
                release(MinutesBefore(38), AT_ONCE, "Raise database pool to 40")
                    .lasting(&[("DATABASE_POOL", "40")]),
                release(MinutesBefore(21), CANARY, "Validate VAT ids asynchronously")
                    .hook("BeforeAllowTraffic", PASSES)
                    .lasting(&[("VAT_CHECK", "async"), ("SIM_P99_MS", "240")]),
            ],
            future: Vec::new(),
            made: 0,
            lead_ms: None,
        },
        Team {
            service: "payments",
            repository: "shop/payments",
            port: 8443,
            tasks: 3,
            cpu: "512",
            memory: "1024",
            log_router: true,
            alarm_at: 25.0,
            environment: environment(&[
                ("APP_ENV", "production"),
                ("PSP_CLIENT", "v4"),
                ("PSP_TIMEOUT_MS", "4000"),
                ("LEDGER_STREAM", "payments-prod-eu"),
                ("SIM_RPS", "35"),
                ("SIM_ERROR_RATE", "0.0005"),
                ("SIM_P50_MS", "95"),
                ("SIM_P99_MS", "620"),
            ]),
            secrets: &[
                ("PSP_API_KEY", "payments/psp-api-key"),
                ("DATABASE_URL", "payments/database-url"),
            ],
            version: (2, 31),
            past: vec![
                release(MinutesBefore(71), CANARY, "Record settlement currency")
                    .hook("BeforeAllowTraffic", PASSES)
                    .lasting(&[("SETTLEMENT_CURRENCY", "recorded")]),
                release(
                    MinutesBefore(48),
                    CANARY,
                    "Retry card authorisations without back-off",
                )
                .hook("BeforeAllowTraffic", PASSES)
                .fleeting(&[
                    ("AUTHORISATION_RETRY", "immediate"),
                    ("SIM_ERROR_RATE", "0.35"),
                ]),
                release(
                    MinutesBefore(30),
                    AT_ONCE,
                    "Retry card authorisations with back-off",
                )
                .lasting(&[("AUTHORISATION_RETRY", "exponential")]),
                release(TrafficSecondsBefore(60), CANARY, "Rotate PSP client to v5")
                    .hook("BeforeAllowTraffic", GATE)
                    .lasting(&[("PSP_CLIENT", "v5"), ("PSP_TIMEOUT_MS", "2500")]),
            ],
            future: vec![
                release(Rested, CANARY, "Send 3-D Secure results to the ledger")
                    .hook("BeforeAllowTraffic", GATE)
                    .lasting(&[("LEDGER_3DS", "on")]),
                release(Rested, CANARY, "Open a new PSP connection for every charge")
                    .hook("BeforeAllowTraffic", GATE)
                    .fleeting(&[
                        ("PSP_KEEPALIVE", "off"),
                        ("SIM_P50_MS", "240"),
                        ("SIM_P99_MS", "2900"),
                    ]),
                release(Rested, CANARY, "Lower PSP timeout to 2 s")
                    .hook("BeforeAllowTraffic", GATE)
                    .lasting(&[("PSP_TIMEOUT_MS", "2000")]),
                release(Rested, CANARY, "Batch refunds every 30 s")
                    .hook("BeforeAllowTraffic", GATE)
                    .lasting(&[("REFUND_BATCH_SECONDS", "30")]),
            ],
            made: 0,
            lead_ms: None,
        },
        Team {
            service: "catalog",
            repository: "shop/catalog",
            port: 8080,
            tasks: 6,
            cpu: "512",
            memory: "1024",
            log_router: false,
            alarm_at: 120.0,
            environment: environment(&[
                ("APP_ENV", "production"),
                ("IMAGE_CDN", "https://img.shop.example"),
                ("CACHE_TTL_SECONDS", "60"),
                ("SIM_RPS", "120"),
                ("SIM_ERROR_RATE", "0.0004"),
                ("SIM_P50_MS", "18"),
                ("SIM_P99_MS", "140"),
            ]),
            secrets: &[("DATABASE_URL", "catalog/database-url")],
            version: (11, 3),
            past: vec![
                release(MinutesBefore(66), LINEAR, "Serve AVIF thumbnails")
                    .lasting(&[("THUMBNAILS", "avif")]),
                release(
                    MinutesBefore(42),
                    LINEAR,
                    "Cache category pages for five minutes",
                )
                .lasting(&[("CACHE_TTL_SECONDS", "300"), ("SIM_P50_MS", "14")]),
                release(
                    TrafficSecondsBefore(260),
                    LINEAR,
                    "Read stock levels from the replica",
                )
                .lasting(&[("STOCK_SOURCE", "replica")]),
            ],
            future: vec![
                release(Rested, LINEAR, "Add energy labels to product pages")
                    .lasting(&[("ENERGY_LABELS", "on")]),
                release(Rested, LINEAR, "Compress category responses with Brotli")
                    .lasting(&[("COMPRESSION", "br"), ("SIM_P99_MS", "115")]),
                release(Rested, LINEAR, "Raise category cache to ten minutes")
                    .lasting(&[("CACHE_TTL_SECONDS", "600")]),
                release(Rested, LINEAR, "Paginate reviews by cursor")
                    .lasting(&[("REVIEW_PAGING", "cursor")]),
            ],
            made: 0,
            lead_ms: None,
        },
        Team {
            service: "search",
            repository: "shop/search",
            port: 9200,
            tasks: 3,
            cpu: "2048",
            memory: "4096",
            log_router: false,
            alarm_at: 30.0,
            environment: environment(&[
                ("APP_ENV", "production"),
                ("INDEX", "products-v7"),
                ("SYNONYMS", "2026-10"),
                ("SIM_RPS", "80"),
                ("SIM_ERROR_RATE", "0.001"),
                ("SIM_P50_MS", "33"),
                ("SIM_P99_MS", "280"),
            ]),
            secrets: &[("INDEX_PASSWORD", "search/index-password")],
            version: (7, 8),
            past: vec![
                release(MinutesBefore(69), CANARY, "Rank in-stock products higher")
                    .lasting(&[("RANK_IN_STOCK", "1.4")]),
                release(MinutesBefore(45), CANARY, "Refresh synonyms for November")
                    .lasting(&[("SYNONYMS", "2026-11")]),
                release(
                    TrafficSecondsBefore(60),
                    CANARY,
                    "Query the products-v8 index",
                )
                .fleeting(&[("INDEX", "products-v8"), ("SIM_ERROR_RATE", "0.14")]),
            ],
            future: vec![
                release(Rested, CANARY, "Log slow queries above 200 ms")
                    .lasting(&[("SLOW_QUERY_MS", "200")]),
                release(
                    Rested,
                    CANARY,
                    "Query the products-v8 index with its new mapping",
                )
                .fleeting(&[("INDEX", "products-v8"), ("SIM_ERROR_RATE", "0.11")]),
                release(Rested, CANARY, "Suggest spelling corrections")
                    .lasting(&[("SPELLING", "on")]),
                release(Rested, CANARY, "Shard suggestions by locale")
                    .fleeting(&[("SUGGEST_SHARDS", "locale"), ("SIM_ERROR_RATE", "0.16")]),
            ],
            made: 0,
            lead_ms: None,
        },
    ]
}

impl Story {
    /// When the teams look at their deployments next, in milliseconds since 1970 UTC.
    pub fn due_ms(&self) -> i64 {
        self.due_ms
    }

    /// The teams look, and start what is due.
    pub fn step(&mut self, simulation: &mut Simulation) {
        let now_ms = self.due_ms;
        self.due_ms += LOOK_MS;
        for index in 0..self.teams.len() {
            let outcome = self.teams[index].look(simulation, self.start_ms, now_ms);
            let started = match outcome {
                Ok(Some(release)) => {
                    self.teams[index].start(simulation, &release, &mut self.random)
                }
                Ok(None) => continue,
                Err(refused) => Err(refused),
            };
            if let Err(refused) = started {
                // Somebody else may have taken the application away: that is their right.
                warn!(team = refused.team, operation = refused.operation, error = %refused.source,
                      "a pretend team was refused");
                self.refused = Some(refused);
            }
        }
        // The releases around the start are due to the second, not to the next look.
        for team in &self.teams {
            if let Some(due_ms) = team.next_due_ms(self.start_ms)
                && due_ms > now_ms
                && due_ms < self.due_ms
            {
                self.due_ms = due_ms;
            }
        }
    }

    fn build(&mut self, simulation: &mut Simulation) -> Result<(), StoryError> {
        let platform = Author {
            team: "platform",
            role: "platform-terraform",
        };
        platform.call(
            simulation,
            "ecs",
            "CreateCluster",
            json!({
                "clusterName": CLUSTER,
                "settings": [{ "name": "containerInsights", "value": "enabled" }],
            }),
        )?;
        for team in &mut self.teams {
            team.build(simulation, &mut self.random)?;
        }
        Ok(())
    }
}

/// Who makes a call.
struct Author {
    team: &'static str,
    role: &'static str,
}

impl Author {
    fn call(
        &self,
        simulation: &mut Simulation,
        service: &str,
        operation: &str,
        parameters: Json,
    ) -> Result<Value, StoryError> {
        let caller = Caller {
            account: ACCOUNT.to_string(),
            region: REGION.to_string(),
            principal: format!(
                "arn:aws:sts::{ACCOUNT}:assumed-role/{}/{}",
                self.role, self.team
            ),
        };
        simulation
            .call_as(&caller, service, operation, &from_json(parameters))
            .map_err(|source| StoryError {
                team: self.team.to_string(),
                operation: operation.to_string(),
                source,
            })
    }
}

impl Team {
    fn infrastructure(&self) -> Author {
        Author {
            team: self.service,
            role: "platform-terraform",
        }
    }

    fn pipeline(&self) -> Author {
        Author {
            team: self.service,
            role: "ci-deploy",
        }
    }

    fn application(&self) -> String {
        format!("AppECS-{CLUSTER}-{}", self.service)
    }

    fn alarm_name(&self) -> String {
        format!("{}-5xx", self.service)
    }

    fn group(&self) -> String {
        format!("DgpECS-{CLUSTER}-{}", self.service)
    }

    /// When the next release of the past is due; `None` when only the future is left.
    fn next_due_ms(&self, start_ms: i64) -> Option<i64> {
        match self.past.get(self.made)?.when {
            When::MinutesBefore(minutes) => Some(start_ms - minutes * MINUTE_MS),
            When::TrafficSecondsBefore(seconds) => {
                Some(start_ms - seconds * 1000 - self.lead_ms.unwrap_or(USUAL_LEAD_MS))
            }
            When::Rested => None,
        }
    }

    /// What the team starts now, if anything.
    fn look(
        &mut self,
        simulation: &mut Simulation,
        start_ms: i64,
        now_ms: i64,
    ) -> Result<Option<Release>, StoryError> {
        if let Some(release) = self.past.get(self.made).cloned() {
            if self.made > 0 && matches!(release.when, When::TrafficSecondsBefore(_)) {
                self.measure_lead(simulation)?;
            }
            let due = self
                .next_due_ms(start_ms)
                .is_some_and(|due_ms| due_ms <= now_ms);
            return Ok((due && self.rested_since(simulation)?.is_some()).then_some(release));
        }
        if self.future.is_empty() {
            return Ok(None);
        }
        let rested = self
            .rested_since(simulation)?
            .is_some_and(|since| now_ms - since >= REST_MS);
        if !rested || !self.is_quiet(simulation)? {
            return Ok(None);
        }
        let next = (self.made - self.past.len()) % self.future.len();
        Ok(Some(self.future[next].clone()))
    }

    /// Since when no deployment of this service is unfinished, whoever started it. `None`: one is.
    fn rested_since(&self, simulation: &mut Simulation) -> Result<Option<i64>, StoryError> {
        let pipeline = self.pipeline();
        let mut unfinished = json!({
            "applicationName": self.application(),
            "deploymentGroupName": self.group(),
            "includeOnlyStatuses": UNFINISHED,
        });
        let answer = pipeline.call(
            simulation,
            "codedeploy",
            "ListDeployments",
            unfinished.take(),
        )?;
        if !answer.get("deployments").as_list().is_empty() {
            return Ok(None);
        }
        let group = json!({
            "applicationName": self.application(),
            "deploymentGroupName": self.group(),
        });
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

    /// Measures, on the deployment before, how long it takes until the first production traffic.
    fn measure_lead(&mut self, simulation: &mut Simulation) -> Result<(), StoryError> {
        if self.lead_ms.is_some() {
            return Ok(());
        }
        let pipeline = self.pipeline();
        let group = json!({
            "applicationName": self.application(),
            "deploymentGroupName": self.group(),
        });
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
            "targetId": format!("{CLUSTER}:{}", self.service),
        });
        let answer = pipeline.call(simulation, "codedeploy", "GetDeploymentTarget", target)?;
        let events = answer
            .get("deploymentTarget")
            .get("ecsTarget")
            .get("lifecycleEvents");
        self.lead_ms = events
            .as_list()
            .iter()
            .find(|event| event.get("lifecycleEventName").as_str() == Some("BeforeAllowTraffic"))
            .and_then(|event| event.get("startTime").as_time_ms())
            .map(|begun_ms| begun_ms - created_ms);
        Ok(())
    }

    /// Registers a revision and deploys it.
    fn start(
        &mut self,
        simulation: &mut Simulation,
        release: &Release,
        random: &mut ChaCha8Rng,
    ) -> Result<(), StoryError> {
        // Counted before anything can be refused: a team does not try the same release for ever.
        self.made += 1;
        self.version.1 += 1;
        for (name, value) in release.lasting {
            set(&mut self.environment, name, value);
        }
        let mut environment = self.environment.clone();
        for (name, value) in release.fleeting {
            set(&mut environment, name, value);
        }
        let revision = self.register(simulation, &environment, random)?;
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
            self.service, self.port
        );
        if let Some((event, function)) = release.hook {
            appspec.push_str(&format!("Hooks:\n  - {event}: \"{function}\"\n"));
        }
        let deployment = json!({
            "applicationName": self.application(),
            "deploymentGroupName": self.group(),
            "deploymentConfigName": release.strategy,
            "description": release.description,
            "revision": { "revisionType": "AppSpecContent", "appSpecContent": { "content": appspec } },
        });
        let answer =
            self.pipeline()
                .call(simulation, "codedeploy", "CreateDeployment", deployment)?;
        debug!(
            service = self.service,
            deployment = answer.get("deploymentId").as_str(),
            release.description,
            "a pretend team deploys"
        );
        Ok(())
    }

    fn register(
        &self,
        simulation: &mut Simulation,
        environment: &[(String, String)],
        random: &mut ChaCha8Rng,
    ) -> Result<String, StoryError> {
        let commit: u32 = random.random();
        let (major, minor) = self.version;
        let image = format!(
            "{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{}:{major}.{minor}.0-{:07x}",
            self.repository,
            commit & 0x0fff_ffff
        );
        let variables: Vec<Json> = environment
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let secrets: Vec<Json> = self
            .secrets
            .iter()
            .map(|(name, secret)| {
                let arn =
                    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{secret}-Xk2vQ9");
                json!({ "name": name, "valueFrom": arn })
            })
            .collect();
        let group = format!("/ecs/{CLUSTER}/{}", self.service);
        let logs = if self.log_router {
            json!({ "logDriver": "awsfirelens", "options": { "Name": "cloudwatch_logs",
                "region": REGION, "log_group_name": group, "log_stream_prefix": "app/" } })
        } else {
            json!({ "logDriver": "awslogs", "options": { "awslogs-region": REGION,
                "awslogs-group": group, "awslogs-stream-prefix": "app" } })
        };
        let mut containers = vec![json!({
            "name": self.service,
            "image": image,
            "essential": true,
            "cpu": 0,
            "portMappings": [{ "containerPort": self.port, "hostPort": self.port, "protocol": "tcp" }],
            "environment": variables,
            "secrets": secrets,
            "readonlyRootFilesystem": true,
            "healthCheck": { "command": ["CMD-SHELL", "wget -qO- http://localhost/healthz || exit 1"],
                "interval": 15, "timeout": 5, "retries": 3, "startPeriod": 30 },
            "logConfiguration": logs,
        })];
        if self.log_router {
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
            "family": self.service,
            "taskRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/{}-task", self.service),
            "executionRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/ecs-task-execution"),
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "runtimePlatform": { "cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX" },
            "cpu": self.cpu,
            "memory": self.memory,
            "containerDefinitions": containers,
            "tags": [{ "key": "team", "value": self.service }],
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
    fn build(
        &mut self,
        simulation: &mut Simulation,
        random: &mut ChaCha8Rng,
    ) -> Result<(), StoryError> {
        let terraform = self.infrastructure();
        let balancer = terraform.call(
            simulation,
            "elasticloadbalancing",
            "CreateLoadBalancer",
            json!({
                "Name": format!("{}-alb", self.service),
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
                    "Name": format!("{}-{colour}", self.service),
                    "Protocol": "HTTP",
                    "Port": self.port,
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
        let revision = self.register(simulation, &self.environment, random)?;
        terraform.call(
            simulation,
            "ecs",
            "CreateService",
            json!({
                "cluster": CLUSTER,
                "serviceName": self.service,
                "taskDefinition": revision,
                "desiredCount": self.tasks,
                "launchType": "FARGATE",
                "platformVersion": "LATEST",
                "deploymentController": { "type": "CODE_DEPLOY" },
                "healthCheckGracePeriodSeconds": 30,
                "loadBalancers": [{
                    "targetGroupArn": groups[0],
                    "containerName": self.service,
                    "containerPort": self.port,
                }],
                "networkConfiguration": { "awsvpcConfiguration": {
                    "subnets": ["subnet-0a1f5c0d9e3b77a10", "subnet-0b2e6d1c8f4a66b21"],
                    "securityGroups": ["sg-0e5b9a4c6d1f33e54"],
                    "assignPublicIp": "DISABLED",
                } },
                "tags": [{ "key": "team", "value": self.service }],
            }),
        )?;
        let alarm = self.alarm_name();
        terraform.call(
            simulation,
            "monitoring",
            "PutMetricAlarm",
            self.alarm(&alarm, &balancer_arn, &groups),
        )?;
        let pair = json!({
            "targetGroups": [
                { "name": format!("{}-blue", self.service) },
                { "name": format!("{}-green", self.service) },
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
                    "deploymentReadyOption": { "actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0 },
                    "terminateBlueInstancesOnDeploymentSuccess": {
                        "action": "TERMINATE", "terminationWaitTimeInMinutes": 5 },
                },
                "alarmConfiguration": { "enabled": true, "alarms": [{ "name": alarm }] },
                "autoRollbackConfiguration": {
                    "enabled": true,
                    "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
                },
                "ecsServices": [{ "clusterName": CLUSTER, "serviceName": self.service }],
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
            "AlarmDescription": format!("Server errors of {} in one minute, old and new together", self.service),
            "ActionsEnabled": false,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": self.alarm_at,
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

fn set(environment: &mut Vec<(String, String)>, name: &str, value: &str) {
    match environment.iter_mut().find(|(known, _)| known == name) {
        Some((_, present)) => *present = value.to_string(),
        None => environment.push((name.to_string(), value.to_string())),
    }
}

/// The ARN of the only thing that a create operation of ELBv2 answers with.
fn first_arn(answer: &Value, list: &str, member: &str) -> String {
    let made = answer.get(list).as_list().first();
    made.and_then(|made| made.get(member).as_str())
        .unwrap_or_default()
        .to_string()
}
