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
use super::traffic::Traffic;
use super::{Caller, Effect, sts};
use crate::error::AwsError;
use crate::value::Value;

/// Alarms are evaluated on this grid, and no step of time crosses a whole minute, in milliseconds.
const TICK_MS: i64 = 10_000;

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
    pub(crate) traffic: Traffic,
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
            cloudwatch: CloudWatch::new(account, region),
            traffic: Traffic::new(now, hash),
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

    /// The next moment at which something happens by itself.
    pub(crate) fn next_due_ms(&self) -> i64 {
        let tick = (self.now.div_euclid(TICK_MS) + 1) * TICK_MS;
        [
            self.ecs.next_due_ms(),
            self.elb.next_due_ms(),
            self.codedeploy.next_due_ms(),
        ]
        .into_iter()
        .flatten()
        .chain([tick])
        .min()
        .unwrap_or(tick)
        .max(self.now + 1)
    }

    /// Time becomes `now`, which is never later than [`Region::next_due_ms`] was.
    pub(crate) fn step(&mut self, now: i64) {
        self.traffic.accrue(now);
        self.now = now;
        if now.rem_euclid(60_000) == 0 {
            self.publish_metrics(now - 60_000);
        }
        if now.rem_euclid(TICK_MS) == 0 {
            self.cloudwatch.evaluate(now);
        }
        let due = [
            self.ecs.next_due_ms(),
            self.elb.next_due_ms(),
            self.codedeploy.next_due_ms(),
        ]
        .into_iter()
        .flatten()
        .any(|at| at <= now);
        if due {
            self.settle();
        }
    }

    /// Does everything that is due now, until nothing moves any more.
    pub(crate) fn settle(&mut self) {
        // Every round either moves a finite state machine forward or ends the loop. The bound turns a
        // mistake into a slow simulation instead of a hang.
        for _ in 0..100 {
            let mut moved = self.step_tasks();
            moved |= self.step_targets();
            moved |= self.step_services();
            moved |= self.step_deployments();
            if !moved {
                break;
            }
        }
        self.plan_traffic();
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
            "sts" => sts::call(caller, operation),
            _ => Err(AwsError::caller(
                "UnknownOperationException",
                format!("The service {service} is not simulated"),
            )),
        };
        let reads = ["Describe", "List", "Get", "BatchGet"];
        if answer.is_ok() && !reads.iter().any(|prefix| operation.starts_with(prefix)) {
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
