//! EventBridge: what the account tells when something happens, the rules that pick from it, and the
//! delivery to queues.
//!
//! * The envelope and the details of AWS's own events: \[D\] (`told.rs` and `world/ecs/told.rs` name the pages).
//! * Delivery is at least once, without any order \[D\]. Here an event arrives once and in order, half a
//!   second after it happened (our choice), unless a fault of events says otherwise ([`faults`]).
//! * A queue takes an event only if its policy lets `events.amazonaws.com` send; otherwise, and where
//!   there is no such queue, the event goes to the target's dead-letter queue at once, without retries,
//!   or is lost \[D\].
//! * Only the bus `default`, only rules with patterns, only targets that are standard queues.

pub(crate) mod faults;
mod operations;
mod pattern;
mod told;

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value as Json;

use self::pattern::Pattern;
pub(crate) use self::told::{ToldServices, ToldTasks, as_json, milliseconds};
use super::ids;
use super::region::Region;

/// From an event to its arrival in a queue.
const DELIVERY_MS: i64 = 500;

/// The rules of one account in one region, and what is on its way to their targets.
pub(crate) struct Events {
    /// Of its own, so that listening to a world does not change what happens in it.
    rng: ChaCha8Rng,
    rules: BTreeMap<String, Rule>,
    /// By the moment of arrival and a running number.
    pending: BTreeMap<(i64, u64), Delivery>,
    /// What was emitted and has not yet met the faults of events.
    fresh: Vec<Delivery>,
    numbered: u64,
    /// What of ECS was last told, so that only changes are.
    pub(crate) told: Option<ToldServices>,
}

struct Rule {
    arn: String,
    /// As it was put.
    text: String,
    pattern: Pattern,
    enabled: bool,
    description: Option<String>,
    role: Option<String>,
    tags: BTreeMap<String, String>,
    targets: BTreeMap<String, Target>,
    /// How many events were delivered and how many could not be, with the last reason.
    delivered: i64,
    failed: i64,
    last_failure: Option<String>,
}

struct Target {
    arn: String,
    role: Option<String>,
    /// A constant to send instead of the event, or the path of the part to send.
    input: Option<String>,
    input_path: Option<String>,
    dead_letter: Option<String>,
    /// Kept and answered as given: nothing is retried here.
    retry: crate::value::Value,
}

/// One event on its way to one target.
pub(crate) struct Delivery {
    due: i64,
    rule: String,
    target: String,
    dead_letter: Option<String>,
    body: String,
    source: String,
    detail_type: String,
    /// Waits for the one after it to overtake it.
    held: bool,
}

impl Events {
    pub(crate) fn new(seed: u64) -> Events {
        Events {
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x6576_656e_7473),
            rules: BTreeMap::new(),
            pending: BTreeMap::new(),
            fresh: Vec::new(),
            numbered: 0,
            told: None,
        }
    }

    /// Whether any rule could pick anything: without one there is nothing to tell.
    pub(crate) fn is_listened_to(&self) -> bool {
        self.rules
            .values()
            .any(|rule| rule.enabled && !rule.targets.is_empty())
    }

    /// When the next event arrives.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.pending.keys().next().map(|(due, _)| *due)
    }

    fn put(&mut self, delivery: Delivery) {
        self.numbered += 1;
        self.pending.insert((delivery.due, self.numbered), delivery);
    }
}

/// An event before it has its envelope.
pub(crate) struct Told<'a> {
    /// For example `aws.ecs`.
    pub(crate) source: &'a str,
    /// For example `ECS Service Action`.
    pub(crate) detail_type: &'a str,
    /// ARNs.
    pub(crate) resources: Vec<String>,
    /// When it happened, in milliseconds since 1970 UTC.
    pub(crate) at_ms: i64,
    /// What is particular to the kind.
    pub(crate) detail: Json,
}

impl Region {
    /// The account tells that something happened, now. `detail` is AWS's own shape for `detail_type`.
    /// Where no rule listens this does nothing and draws nothing.
    pub(crate) fn emit(
        &mut self,
        source: &str,
        detail_type: &str,
        resources: Vec<String>,
        detail: Json,
    ) {
        if !self.events.is_listened_to() {
            return;
        }
        let at_ms = self.now;
        self.tell(&Told {
            source,
            detail_type,
            resources,
            at_ms,
            detail,
        });
    }

    /// Sends an event to the targets of every rule that picks it, and gives the event its id.
    pub(crate) fn tell(&mut self, told: &Told<'_>) -> String {
        let id = ids::uuid(&mut self.events.rng);
        let event = self.envelope(told, &id);
        let mut fresh = Vec::new();
        for (name, rule) in &self.events.rules {
            if !rule.enabled || rule.targets.is_empty() || !rule.pattern.matches(&event) {
                continue;
            }
            for target in rule.targets.values() {
                fresh.push(Delivery {
                    due: self.now + DELIVERY_MS,
                    rule: name.clone(),
                    target: target.arn.clone(),
                    dead_letter: target.dead_letter.clone(),
                    body: target.body(&event),
                    source: told.source.to_string(),
                    detail_type: told.detail_type.to_string(),
                    held: false,
                });
            }
        }
        self.events.fresh.extend(fresh);
        id
    }

    /// \[D\] eb-events-structure. The time has whole seconds.
    fn envelope(&self, told: &Told<'_>, id: &str) -> Json {
        serde_json::json!({
            "version": "0",
            "id": id,
            "detail-type": told.detail_type,
            "source": told.source,
            "account": self.account,
            "time": told::whole_seconds(told.at_ms),
            "region": self.region,
            "resources": told.resources,
            "detail": told.detail,
        })
    }

    /// Puts what has arrived into the queues. Whether anything did.
    pub(crate) fn step_events(&mut self) -> bool {
        let mut moved = false;
        while let Some(entry) = self.events.pending.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let delivery = entry.remove();
            moved = true;
            let Some(rule) = self.events.rules.get_mut(&delivery.rule) else {
                continue;
            };
            let outcome =
                self.sqs
                    .deliver(&delivery.target, &rule.arn, delivery.body.clone(), self.now);
            let Err((code, message)) = outcome else {
                rule.delivered += 1;
                continue;
            };
            rule.failed += 1;
            rule.last_failure = Some(format!("{code}: {message}"));
            if let Some(queue) = &delivery.dead_letter {
                let why = [
                    ("ERROR_CODE", code),
                    ("ERROR_MESSAGE", message.as_str()),
                    ("RULE_ARN", rule.arn.as_str()),
                    ("TARGET_ARN", delivery.target.as_str()),
                ];
                let arn = rule.arn.clone();
                let kept = self
                    .sqs
                    .deliver_dead(queue, &arn, delivery.body, &why, self.now);
                if let Err((code, message)) = kept {
                    rule.last_failure = Some(format!("dead-letter queue: {code}: {message}"));
                }
            }
        }
        moved
    }
}

impl Target {
    /// What is sent: the event, a part of it, or a constant.
    fn body(&self, event: &Json) -> String {
        if let Some(constant) = &self.input {
            return constant.clone();
        }
        let path = self.input_path.as_deref().unwrap_or("$");
        let part = path
            .trim_start_matches('$')
            .split('.')
            .filter(|name| !name.is_empty())
            .try_fold(event, |at, name| at.get(name));
        part.map_or_else(|| "null".to_string(), Json::to_string)
    }
}
