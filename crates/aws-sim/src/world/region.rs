//! One account in one region: the services' states side by side, and how time passes for them.
//!
//! A change in one service causes changes in others (a target turns healthy, so a task set is steady,
//! so a deployment goes on, so a listener changes), all at the same moment. [`Region::settle`]
//! therefore repeats every part until none of them moves.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::cloudwatch::CloudWatch;
use super::codedeploy::{CodeDeploy, HookBehaviour};
use super::ecs::Ecs;
use super::elb::Elb;
use super::events::Events;
use super::s3::S3;
use super::sqs::Sqs;
use super::traffic::Traffic;
use super::{Caller, Effect, sts};
use crate::error::AwsError;
use crate::value::Value;

/// While EventBridge is listened to, changes of alarms are told at most this much late.
const ALARMS_TOLD_MS: i64 = 5_000;

/// How often the parts of a region were looked at, to see that what is at rest costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Moments at which something happened.
    pub moments: u64,
    /// Looks of the scheduler at a service.
    pub services: u64,
    /// Looks of health checks at a target group.
    pub target_groups: u64,
    /// Services whose traffic was planned.
    pub plans: u64,
    /// Deployments of CodeDeploy that were worked on.
    pub deployments: u64,
}

/// Everything of one account in one region.
pub(crate) struct Region {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) now: i64,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) ecs: Ecs,
    pub(crate) elb: Elb,
    pub(crate) codedeploy: CodeDeploy,
    pub(crate) cloudwatch: CloudWatch,
    pub(crate) s3: S3,
    pub(crate) events: Events,
    pub(crate) sqs: Sqs,
    pub(crate) traffic: Traffic,
    pub(crate) work: Work,
    /// Revisions whose tasks answer this share of their requests with a 5xx, whatever they were made for.
    pub(crate) disturbed: BTreeMap<String, f64>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) behaviours: BTreeMap<String, HookBehaviour>,
    pub(crate) page_limit: usize,
}

impl Region {
    pub(crate) fn new(seed: u64, now: i64, account: &str, region: &str) -> Region {
        // FNV-1a keeps the streams of two regions apart whatever the order in which they are first used.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
        for byte in account.bytes().chain([b'/']).chain(region.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Region {
            account: account.to_string(),
            region: region.to_string(),
            now,
            rng: ChaCha8Rng::seed_from_u64(hash),
            ecs: Ecs::default(),
            elb: Elb::default(),
            codedeploy: CodeDeploy::new(now),
            cloudwatch: CloudWatch::new(account, region, hash),
            s3: S3::default(),
            events: Events::new(hash),
            sqs: Sqs::new(account, region, hash),
            traffic: Traffic::default(),
            work: Work::default(),
            disturbed: BTreeMap::new(),
            effects: Vec::new(),
            behaviours: BTreeMap::new(),
            page_limit: usize::MAX,
        }
    }

    /// An ARN of this account and region.
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:aws:{service}:{}:{}:{resource}",
            self.region, self.account
        )
    }

    /// The next moment at which something happens by itself, `None` while nothing moves. Alarms have
    /// moments of their own, but nothing follows from them unless a deployment looks, which is due then,
    /// or unless EventBridge is listened to.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        let alarms = self
            .cloudwatch
            .next_evaluation_ms()
            .filter(|_| self.events.is_listened_to())
            .map(|at| (at.div_euclid(ALARMS_TOLD_MS) + 1) * ALARMS_TOLD_MS);
        [self.next_change_ms(), alarms].into_iter().flatten().min()
    }

    fn next_change_ms(&self) -> Option<i64> {
        [
            self.ecs.next_due_ms(),
            self.elb.next_due_ms(),
            self.codedeploy.next_due_ms(),
            self.events.next_due_ms(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time becomes `now`, which is never later than [`Region::next_due_ms`] was.
    pub(crate) fn step(&mut self, now: i64) {
        let is_due = |region: &Region| region.next_change_ms().is_some_and(|at| at <= now);
        let due = is_due(self);
        self.now = now;
        self.cloudwatch.evaluate(now);
        self.tell_alarms();
        if due {
            self.poll_quiet_alarms();
            if is_due(self) {
                self.settle();
            }
        }
    }

    /// Does everything that is due now, until nothing moves any more.
    pub(crate) fn settle(&mut self) {
        self.work.moments += 1;
        // Every round either moves a finite state machine forward or ends the loop. The bound turns a
        // mistake into a slow simulation instead of a hang.
        for _ in 0..100 {
            let mut moved = self.step_tasks();
            moved |= self.step_targets();
            moved |= self.step_services();
            moved |= self.step_deployments();
            moved |= self.step_events();
            if !moved {
                break;
            }
        }
        let changed = self.ecs.services.take_changed();
        self.tell_ecs(&changed);
        self.plan_traffic(changed);
    }

    /// The tasks of a revision answer this share of their requests with a 5xx from now on; `None` ends it.
    pub(crate) fn disturb(&mut self, task_definition: &str, error_rate: Option<f64>) -> bool {
        if self.ecs.task_definition(task_definition).is_none() {
            return false;
        }
        match error_rate {
            Some(rate) => self.disturbed.insert(task_definition.to_string(), rate),
            None => self.disturbed.remove(task_definition),
        };
        self.plan_all_traffic();
        true
    }

    /// One operation at the current time.
    pub(crate) fn call(
        &mut self,
        caller: &Caller,
        service: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let answer = match service {
            "ecs" => self.call_ecs(caller, operation, input),
            "elasticloadbalancing" => self.call_elb(operation, input),
            "codedeploy" => self.call_codedeploy(operation, input),
            "monitoring" => self.cloudwatch.call(caller, operation, input, self.now),
            "events" => self.call_events(caller, operation, input),
            "sqs" => self
                .sqs
                .call(caller, operation, input, self.now, self.page_limit),
            "sts" => sts::call(caller, operation),
            _ => Err(AwsError::caller(
                "UnknownOperationException",
                format!("The service {service} is not simulated"),
            )),
        };
        self.tell_alarms();
        let reads = ["Describe", "List", "Get", "BatchGet"];
        // Nothing in the account follows from what happens in a queue.
        if answer.is_ok()
            && service != "sqs"
            && !reads.iter().any(|prefix| operation.starts_with(prefix))
        {
            self.settle();
        }
        answer
    }

    /// The refusal of an operation that AWS or this simulation does not have.
    pub(crate) fn unknown_operation(service: &str, operation: &str) -> AwsError {
        AwsError::caller(
            "UnknownOperationException",
            format!("The operation {operation} of {service} is not simulated"),
        )
    }
}
