//! The services and people of a generated history, and what happens to them.

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use serde_json::json;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::audit::chain_hash;
use switchback_domain::audit::chain_start;
use switchback_domain::digest::Digest;
use switchback_domain::digest::canonical_json;
use switchback_domain::gate::GatePolicy;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::GateId;
use switchback_domain::ids::ServiceId;
use switchback_domain::moment::Moment;
use switchback_domain::revision::RevisionArn;

use crate::history::rows::Batches;

/// Regions that no bench's server watches, so that nothing asks AWS about deployments that it never had.
const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-southeast-2"];
const ACCOUNTS: [&str; 4] = [
    "111122223333",
    "222233334444",
    "333344445555",
    "444455556666",
];
const TEAMS: [&str; 40] = [
    "payments", "checkout", "cart", "catalog", "search", "pricing", "stock", "orders", "invoices",
    "refunds", "ledger", "accounts", "identity", "sessions", "profile", "mail", "push", "sms",
    "chat", "reviews", "media", "images", "video", "maps", "routes", "fleet", "parcel", "returns",
    "fraud", "risk", "credit", "loans", "savings", "cards", "quotes", "claims", "policy",
    "tickets", "venues", "events",
];
const KINDS: [&str; 50] = [
    "api",
    "web",
    "worker",
    "admin",
    "gateway",
    "indexer",
    "mailer",
    "importer",
    "exporter",
    "reporter",
    "scheduler",
    "consumer",
    "producer",
    "proxy",
    "cache",
    "auth",
    "audit",
    "batch",
    "billing",
    "bridge",
    "broker",
    "collector",
    "connector",
    "crawler",
    "dispatcher",
    "encoder",
    "feed",
    "filter",
    "forwarder",
    "hooks",
    "ingest",
    "jobs",
    "loader",
    "matcher",
    "merger",
    "metrics",
    "notifier",
    "planner",
    "poller",
    "publisher",
    "queue",
    "reader",
    "relay",
    "renderer",
    "resolver",
    "router",
    "scorer",
    "sync",
    "tracker",
    "writer",
];
const NAMES: [&str; 20] = [
    "dana", "otto", "vera", "adam", "mira", "jonas", "lena", "felix", "nora", "paul", "ines",
    "emil", "clara", "anton", "greta", "karl", "marie", "theo", "hanna", "oskar",
];
const WORK: [&str; 16] = [
    "raise the connection limit",
    "lower the timeout",
    "new rounding of totals",
    "upgrade the runtime",
    "fix the leak in the pool",
    "retry once on 503",
    "log the request id",
    "drop the old column",
    "smaller image",
    "cache the price list",
    "feature flag on for ten per cent",
    "hotfix for the outage",
    "monthly dependency update",
    "translate the labels",
    "move to the new queue",
    "remove dead code",
];
const STRATEGIES: [&str; 3] = [
    "CodeDeployDefault.ECSCanary10Percent5Minutes",
    "CodeDeployDefault.ECSAllAtOnce",
    "CodeDeployDefault.ECSLinear10PercentEvery1Minutes",
];
const STAGES: [&str; 5] = [
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "AllowTraffic",
    "AfterAllowTraffic",
];

struct Made {
    id: ServiceId,
    name: String,
    account: &'static str,
    region: &'static str,
    cluster: &'static str,
    newest: u64,
    serving: u64,
    serving_since: i64,
}

impl Made {
    fn arn(&self) -> String {
        format!(
            "arn:aws:ecs:{}:{}:service/{}/{}",
            self.region, self.account, self.cluster, self.name
        )
    }

    fn revision(&self, number: u64) -> String {
        format!(
            "arn:aws:ecs:{}:{}:task-definition/{}:{number}",
            self.region, self.account, self.name
        )
    }
}

/// Everything that the next row depends on.
pub struct World {
    random: ChaCha8Rng,
    services: Vec<Made>,
    /// Sums of the services' weights, for choosing one.
    weights: Vec<f64>,
    people: Vec<String>,
    at: i64,
    step: i64,
    count: u64,
    audit_sequence: i64,
    audit_hash: Digest,
    /// A deployment that was rolled back, and by which AWS id it will be undone.
    to_undo: Option<(usize, String, String, u64)>,
}

impl World {
    /// Services only; nothing has happened.
    pub fn new(seed: u64, services: usize, first: i64, step: i64) -> World {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut sum = 0.0;
        let mut weights = Vec::new();
        let mut made = Vec::new();
        for index in 0..services {
            // 7 and 40 * 50 have no common divisor: every pair of words once, the busy ones spread over the teams.
            let place = index * 7 % (TEAMS.len() * KINDS.len());
            let name = format!(
                "{}-{}",
                TEAMS[place % TEAMS.len()],
                KINDS[place / TEAMS.len()]
            );
            sum += 1.0 / (index + 1) as f64;
            weights.push(sum);
            let mut service = Made {
                id: ServiceId::new(""),
                name,
                account: ACCOUNTS[index % 4],
                region: REGIONS[index % 3],
                cluster: if index % 5 == 4 { "staging" } else { "prod" },
                newest: 1,
                serving: 1,
                serving_since: first,
            };
            service.id = ServiceId::derive(&service.arn());
            made.push(service);
        }
        let mut people = vec!["codedeploy".to_string()];
        people.extend(
            TEAMS
                .iter()
                .map(|team| format!("arn:aws:iam::{}:role/ci-{team}", ACCOUNTS[0])),
        );
        people.extend((0..280).map(|number| format!("{}.{:02}", NAMES[number % 20], number / 20)));
        let _ = random.random::<u64>();
        World {
            random,
            services: made,
            weights,
            people,
            at: first,
            step,
            count: 0,
            audit_sequence: 0,
            audit_hash: chain_start(),
            to_undo: None,
        }
    }

    /// Time has passed.
    pub fn go_on_from(&mut self, at: i64) {
        self.at = at;
        // Revisions of a later run must not be those of an earlier one.
        let later = u64::try_from(at / 1000).unwrap_or(0) % 1_000_000_000;
        for service in &mut self.services {
            service.newest = later;
        }
    }

    /// The services' own rows.
    pub fn services(&mut self, batches: &mut Batches) {
        for service in &self.services {
            let group = json!({
                "application": format!("{}-app", service.name), "group": "main", "config_name": STRATEGIES[0],
                "routes": { "production_listener": format!("arn:aws:elasticloadbalancing:{}:{}:listener/app/{}/1/1", service.region, service.account, service.name),
                    "test_listener": null, "target_groups": [format!("{}-blue", service.name), format!("{}-green", service.name)] },
                "alarms": [format!("{}-5xx", service.name), format!("{}-p99", service.name)],
                "rolls_back_on_failure": true, "rolls_back_on_alarm": true, "ready_wait_minutes": 0, "termination_wait_minutes": 30,
            });
            batches.services.push(json!([
                service.id,
                service.name,
                service.arn(),
                service.cluster,
                service.account,
                service.region,
                "codedeploy",
                format!("{}-app", service.name),
                "main",
                group.to_string(),
                service.revision(1),
                service.serving_since,
                4,
                4,
                service.serving_since,
                1
            ]));
        }
    }

    fn chosen_service(&mut self) -> usize {
        let total = self.weights.last().copied().unwrap_or(1.0);
        let point = self.random.random::<f64>() * total;
        self.weights
            .partition_point(|sum| *sum < point)
            .min(self.services.len() - 1)
    }

    fn chosen_person(&mut self) -> String {
        let point: f64 = self.random.random();
        let last = (self.people.len() - 1) as f64;
        // The square root's inverse: a few do much, most do something.
        let index = 1 + (point * point * (last - 1.0)) as usize;
        self.people[index].clone()
    }

    fn aws_id(&mut self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let id: String = (0..9)
            .map(|_| char::from(LETTERS[self.random.random_range(0..LETTERS.len())]))
            .collect();
        format!("d-{id}")
    }

    /// The next deployments, each with everything that hangs on it.
    pub fn deployments(&mut self, count: u64, batches: &mut Batches) {
        for _ in 0..count {
            self.at += self.random.random_range(1..self.step * 2);
            self.count += 1;
            self.deployment(batches);
        }
    }

    fn deployment(&mut self, batches: &mut Batches) {
        let undoing = self.to_undo.take();
        let (index, aws_id) = match &undoing {
            Some((index, aws_id, _, _)) => (*index, aws_id.clone()),
            None => (self.chosen_service(), self.aws_id()),
        };
        let roll: f64 = if undoing.is_some() {
            0.0
        } else {
            self.random.random()
        };
        let (outcome, cause, status, code) = match roll {
            x if x < 0.88 => ("succeeded", None, "succeeded", None),
            x if x < 0.93 => (
                "failed",
                Some("hook"),
                "failed",
                Some("HOOK_EXECUTION_FAILURE"),
            ),
            x if x < 0.955 => ("stopped", Some("operator"), "stopped", Some("MANUAL_STOP")),
            x if x < 0.995 => (
                "rolled_back",
                Some("alarm"),
                "stopped",
                Some("ALARM_ACTIVE"),
            ),
            x if x < 0.998 => (
                "rollback_failed",
                Some("timeout"),
                "failed",
                Some("TIMEOUT"),
            ),
            _ => ("superseded", None, "stopped", None),
        };
        let minutes = self.random.random_range(4..40);
        let initiator = if undoing.is_some() {
            self.people[0].clone()
        } else {
            self.chosen_person()
        };
        let reason = match (&undoing, self.random.random_range(0..100)) {
            (Some(_), _) | (None, 85..) => None,
            (None, _) => Some(format!(
                "{}-{}: {}",
                TEAMS[self.random.random_range(0..TEAMS.len())][..3].to_uppercase(),
                self.random.random_range(1..40_000),
                WORK[self.random.random_range(0..WORK.len())]
            )),
        };
        let back = self.random.random_range(0..100) < 10;
        let strategy = STRATEGIES[self.random.random_range(0..3)];
        let undone_by = (outcome == "rolled_back").then(|| self.aws_id());

        let service = &mut self.services[index];
        let previous = service.serving;
        let target = match &undoing {
            Some((_, _, _, number)) => *number,
            None if back && service.newest > 2 => service.newest - 1,
            None => {
                service.newest += 1;
                service.newest
            }
        };
        let id = DeploymentId::derive(service.account, service.region, &aws_id);
        let (started, ended) = (self.at, self.at + minutes * 60_000);
        let stages: Vec<Value> = STAGES
            .iter()
            .enumerate()
            .map(|(place, name)| {
                let began = started + (ended - started) * place as i64 / 5;
                let done = started + (ended - started) * (place as i64 + 1) / 5;
                let stage = match (status, place) {
                    ("succeeded", _) | (_, 0..=2) => "succeeded",
                    (_, 3) => "failed",
                    _ => "skipped",
                };
                json!({ "name": name, "status": stage, "started_at": Moment::from_millis(began), "ended_at": Moment::from_millis(done), "message": null })
            })
            .collect();
        let reading = json!({
            "status": status, "error_code": code, "error_message": code.map(|code| format!("The deployment ended with {code}.")),
            "rolled_back_by": undone_by, "rolls_back": undoing.as_ref().map(|(_, _, undone, _)| undone), "stages": stages,
        });
        let rollback_of = undoing
            .as_ref()
            .map(|(_, _, undone, _)| DeploymentId::derive(service.account, service.region, undone));
        let rolled_back_by = undone_by
            .as_ref()
            .map(|other| DeploymentId::derive(service.account, service.region, other));
        let (target_arn, previous_arn) = (service.revision(target), service.revision(previous));
        let app_spec = format!(
            "version: 0.0\nResources:\n  - TargetService:\n      Type: AWS::ECS::Service\n      Properties:\n        TaskDefinition: \"{target_arn}\"\n        LoadBalancerInfo:\n          ContainerName: \"app\"\n          ContainerPort: 8080\nHooks:\n  - BeforeAllowTraffic: \"switchback-relay\"\n"
        );
        let alarms = json!([
            { "name": format!("{}-5xx", service.name), "state": "OK", "since": null, "threshold": 5.0 },
            { "name": format!("{}-p99", service.name), "state": "OK", "since": null, "threshold": 800.0 },
        ]);
        batches.deployments.push(json!([
            id,
            started,
            outcome,
            null,
            cause,
            service.id,
            service.name,
            initiator,
            aws_id,
            target_arn,
            reason,
            service.cluster,
            service.account,
            service.region,
            "codedeploy",
            strategy,
            previous_arn,
            "task_set",
            code.map(|code| format!("{code} at AllowTraffic")),
            reason
                .as_ref()
                .map(|reason| format!("pipeline run: {reason}")),
            ended,
            rollback_of,
            rolled_back_by,
            (outcome == "succeeded").then_some(1000),
            ended,
            9,
            alarms.to_string(),
            reading.to_string(),
            app_spec
        ]));
        if target == service.newest {
            batches.revisions.push(json!([
                target_arn,
                service.name,
                target,
                "active",
                started - 120_000,
                format!("arn:aws:iam::{}:role/ci", service.account),
                task_definition(service, target).to_string()
            ]));
            batches
                .service_revisions
                .push(json!([service.id, target_arn]));
        }
        if outcome == "succeeded" && target != service.serving {
            batches.served.push(json!([
                service.id,
                service.revision(service.serving),
                service.serving_since,
                ended,
                1000
            ]));
            service.serving = target;
            service.serving_since = ended;
        } else if outcome == "rolled_back" {
            batches.served.push(json!([
                service.id,
                target_arn,
                started + 60_000,
                ended,
                100
            ]));
        }
        let details = (
            self.count.is_multiple_of(50),
            self.count.is_multiple_of(2_000),
        );
        if details.0 {
            hang_on(
                &mut self.random,
                &id,
                &aws_id,
                started,
                ended,
                details.1,
                &initiator,
                batches,
            );
        }
        if self.count.is_multiple_of(5) {
            let parse = |arn: &str| RevisionArn::parse(arn).ok();
            self.append(
                started,
                "codedeploy",
                AuditEvent::DeploymentRecorded {
                    deployment: id.clone(),
                    aws_id: aws_id.clone(),
                    previous_revision: parse(&previous_arn),
                    target_revision: parse(&target_arn),
                },
                batches,
            );
            self.append(
                ended,
                "codedeploy",
                AuditEvent::DeploymentEnded {
                    deployment: id,
                    outcome: outcome.to_string(),
                    cause: cause.map(str::to_string),
                },
                batches,
            );
        }
        if let Some(undone_by) = undone_by {
            self.to_undo = Some((index, undone_by, aws_id, previous));
        }
    }

    fn append(&mut self, at: i64, actor: &str, event: AuditEvent, batches: &mut Batches) {
        let entry = AuditEntry::new(Moment::from_millis(at), actor, event);
        self.audit_sequence += 1;
        self.audit_hash = chain_hash(&self.audit_hash, self.audit_sequence, &entry);
        batches.audit.push(json!([
            self.audit_sequence,
            at,
            entry.actor,
            entry.event.word(),
            entry.event.subject(),
            null,
            canonical_json(&entry.event),
            self.audit_hash,
            null,
            null
        ]));
    }

    /// What has not ended: what every service runs now, a few deployments under way, and open gates before some.
    pub fn open_ends(&mut self, batches: &mut Batches) {
        for service in &self.services {
            batches.served.push(json!([
                service.id,
                service.revision(service.serving),
                service.serving_since,
                null,
                1000
            ]));
        }
        let phases = ["preparing", "testing", "holding", "shifting", "baking"];
        for number in 0..12.min(self.services.len()) {
            let aws_id = self.aws_id();
            let service = &self.services[number];
            let id = DeploymentId::derive(service.account, service.region, &aws_id);
            let phase = phases[number % phases.len()];
            let reading = json!({ "status": "running", "error_code": null, "error_message": null, "rolled_back_by": null, "rolls_back": null, "stages": [] });
            let target = service.revision(service.newest);
            batches.deployments.push(json!([
                id,
                self.at,
                "in_progress",
                phase,
                null,
                service.id,
                service.name,
                self.people[number + 1],
                aws_id,
                target,
                "OPS-1: under way",
                service.cluster,
                service.account,
                service.region,
                "codedeploy",
                STRATEGIES[0],
                service.revision(service.serving),
                "task_set",
                null,
                null,
                null,
                null,
                null,
                100,
                self.at,
                3,
                "[]",
                reading.to_string(),
                null
            ]));
            if phase == "holding" {
                batches.gates.push(gate(&id, &aws_id, self.at, "open"));
            }
        }
    }
}

fn gate(id: &DeploymentId, aws_id: &str, at: i64, state: &str) -> Value {
    let wait = format!("hook-{aws_id}");
    let verdict = match state {
        "approved" => Some("approve"),
        "rejected" => Some("reject"),
        _ => None,
    };
    json!([
        GateId::derive(id, &wait),
        id,
        aws_id,
        "codedeploy_hook",
        "BeforeAllowTraffic",
        wait,
        state,
        json!(GatePolicy::default()).to_string(),
        at,
        at + 900_000,
        at + 3_600_000,
        verdict.map(|_| at + 120_000),
        Digest::of_bytes(aws_id.as_bytes()),
        verdict,
        verdict.map(|_| "confirmed"),
        i64::from(verdict.is_some()),
        4
    ])
}

#[expect(clippy::too_many_arguments, reason = "one call, and each is a column")]
fn hang_on(
    random: &mut ChaCha8Rng,
    id: &DeploymentId,
    aws_id: &str,
    started: i64,
    ended: i64,
    with_signals: bool,
    initiator: &str,
    batches: &mut Batches,
) {
    let kinds = [
        "started", "stage", "stage", "gate", "decision", "delivery", "weights", "stage", "weights",
        "stage", "ended",
    ];
    for (position, kind) in kinds.into_iter().enumerate() {
        let at = started + (ended - started) * position as i64 / 10;
        let data = if kind == "weights" {
            json!({ "share_new_permille": position * 100 })
        } else {
            json!({})
        };
        batches.timeline.push(json!([
            id,
            position,
            at,
            kind,
            format!("{kind} of {aws_id}"),
            initiator,
            data.to_string()
        ]));
    }
    let state = if random.random_range(0..10) == 0 {
        "rejected"
    } else {
        "approved"
    };
    let gate = gate(id, aws_id, started + 60_000, state);
    let verdict = if state == "approved" {
        "approve"
    } else {
        "reject"
    };
    batches.decisions.push(json!([
        gate[0],
        "dana.00",
        verdict,
        "checked the canary",
        gate[12],
        "{}",
        started + 120_000
    ]));
    batches.gates.push(gate);
    if with_signals {
        for minute in 0..30 {
            for series in ["requests", "errors", "p50", "p95", "p99", "healthy"] {
                for side in ["old", "new"] {
                    let value: f64 = random.random_range(1.0..900.0);
                    batches.metrics.push(json!([
                        id,
                        (started / 60_000 + minute) * 60_000,
                        series,
                        side,
                        value
                    ]));
                }
            }
        }
    }
}

fn task_definition(service: &Made, number: u64) -> Value {
    json!({
        "family": service.name, "revision": number, "networkMode": "awsvpc", "cpu": "512", "memory": "1024",
        "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": format!("arn:aws:iam::{}:role/execution", service.account),
        "containerDefinitions": [{
            "name": "app", "essential": true,
            "image": format!("{}.dkr.ecr.{}.amazonaws.com/{}:{number}", service.account, service.region, service.name),
            "portMappings": [{ "containerPort": 8080, "protocol": "tcp" }],
            "environment": [
                { "name": "LOG_LEVEL", "value": "info" }, { "name": "POOL_SIZE", "value": "20" }, { "name": "RELEASE", "value": number.to_string() },
            ],
        }],
    })
}
