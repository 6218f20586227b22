//! Faults that can be switched on: what goes wrong between a caller and AWS, on purpose.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::door::buckets::Buckets;
use crate::value::Value;
use crate::world::{EventFault, EventHarm};

/// How late a late event is unless told, in simulated milliseconds.
const LATE_MS: u64 = 300_000;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Refused with `ThrottlingException` (Query: `Throttling`), HTTP 400. Nothing is done.
    Throttle,
    /// Refused with `AccessDeniedException` (Query, S3 and STS: `AccessDenied`, HTTP 403) as if no policy allowed the
    /// action. Nothing is done.
    AccessDenied,
    /// HTTP 500. Nothing is done.
    ErrorBefore,
    /// Done, then HTTP 500.
    ErrorAfter,
    /// Done, then the connection is closed without an answer.
    ResponseLost,
    /// The connection is closed without an answer. Nothing is done.
    ConnectionCut,
    /// Done at once, answered after `delay_ms` of wall time.
    Slow,
    /// A read is answered as it was answered before, for up to `stale_s` simulated seconds. Not in DynamoDB and S3.
    Stale,
    /// DynamoDB only: another transaction holds the item. `TransactWriteItems` is cancelled with the reason
    /// `TransactionConflict`, any other call refused with `TransactionConflictException`. Nothing is done.
    Conflict,
    /// Refused like [`FaultKind::Throttle`], but only when a token bucket of AWS's size is empty
    /// ([`crate::door::buckets`]). Nothing is done.
    ThrottleAsAws,
    /// A hook that would be posted to the relay is not, and nobody says so: its fuse burns down. The service is
    /// `codedeploy`, the operation the function's bare name.
    HookSilent,
    /// An event never arrives. For faults of events the service is that which tells it (`codedeploy`, `ecs`,
    /// `monitoring`) and the operation its detail-type.
    EventLost,
    /// An event arrives twice with the same id.
    EventDuplicated,
    /// An event arrives `delay_ms` of simulated time later, 300 000 unless told.
    EventLate,
    /// An event arrives after the one that follows it.
    EventOutOfOrder,
}

impl FaultKind {
    /// What happens to an event, if this is a fault of events.
    fn event_harm(self, delay_ms: Option<u64>) -> Option<EventHarm> {
        let late_ms = i64::try_from(delay_ms.unwrap_or(LATE_MS)).unwrap_or(i64::MAX);
        Some(match self {
            FaultKind::EventLost => EventHarm::Lost,
            FaultKind::EventDuplicated => EventHarm::Duplicated,
            FaultKind::EventLate => EventHarm::Late(late_ms),
            FaultKind::EventOutOfOrder => EventHarm::OutOfOrder,
            _ => return None,
        })
    }

    /// Whether it happens to calls, and not to events or hooks.
    fn strikes_calls(self) -> bool {
        self != FaultKind::HookSilent
            && self != FaultKind::ThrottleAsAws
            && self.event_harm(None).is_none()
    }
}

/// The `source` of the events that a service tells.
fn event_source(service: &str) -> Option<&'static str> {
    Some(match service {
        "codedeploy" => "aws.codedeploy",
        "ecs" => "aws.ecs",
        "monitoring" => "aws.cloudwatch",
        _ => return None,
    })
}

/// One rule: to which calls which fault happens, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `codedeploy`, `dynamodb`, `ecs`, `elasticloadbalancing`, `events`, `monitoring`, `s3`, `sqs`, `sts`; `None` or
    /// `*` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The operation as AWS names it; `None` or `*` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Only calls to this account, by its number; `None` for all. `AssumeRole` counts as a call to the role's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What goes wrong.
    pub fault: FaultKind,
    /// Only each N-th matching call; `None` for every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// At most so many calls in all; `None` for no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// For [`FaultKind::Slow`]: milliseconds of wall time, 1000 unless told. For [`FaultKind::EventLate`]: of
    /// simulated time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// For [`FaultKind::Stale`]: how old an answer may be in simulated seconds, 60 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_s: Option<u64>,
}

impl Fault {
    fn applies_to(&self, service: &str, operation: &str) -> bool {
        let applies = |wanted: &Option<String>, found: &str| {
            wanted
                .as_deref()
                .is_none_or(|wanted| wanted == "*" || wanted == found)
        };
        applies(&self.service, service) && applies(&self.operation, operation)
    }
}

/// A rule in force, with what it has done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActiveFault {
    /// Its number, counted from 1 and never used again.
    pub id: u64,
    /// The rule.
    #[serde(flatten)]
    pub fault: Fault,
    /// How many calls it applied to.
    pub matched: u64,
    /// How many of them it harmed.
    pub fired: u64,
}

/// All rules in force.
#[derive(Debug, Default)]
pub struct Faults {
    active: Vec<ActiveFault>,
    numbered: u64,
    remembered: BTreeMap<String, (i64, Value)>,
    buckets: Buckets,
}

/// What to do to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Harm {
    /// What goes wrong.
    pub kind: FaultKind,
    /// How long a slow answer takes on the wall clock.
    pub delay: Duration,
    /// How old a stale answer may be, in simulated milliseconds.
    pub stale_ms: i64,
}

impl Harm {
    /// Refused because a bucket of AWS's is empty.
    pub fn throttled() -> Harm {
        Harm {
            kind: FaultKind::ThrottleAsAws,
            delay: Duration::ZERO,
            stale_ms: 0,
        }
    }
}

/// The other names that people know the services by.
fn canonical_service(name: &str) -> Option<&'static str> {
    Some(match name {
        "codedeploy" | "deploy" => "codedeploy",
        "dynamodb" => "dynamodb",
        "ecs" => "ecs",
        "elasticloadbalancing" | "elbv2" => "elasticloadbalancing",
        "events" | "eventbridge" => "events",
        "monitoring" | "cloudwatch" => "monitoring",
        "s3" => "s3",
        "sqs" => "sqs",
        "sts" => "sts",
        _ => return None,
    })
}

impl Faults {
    /// Puts a rule in force and gives its number, or says what is wrong with it.
    pub fn add(&mut self, mut fault: Fault) -> Result<ActiveFault, String> {
        if let Some(name) = fault.service.as_deref().filter(|name| *name != "*") {
            let known = canonical_service(name).ok_or_else(|| {
                format!(
                    "there is no service {name:?}: use codedeploy, dynamodb, ecs, elasticloadbalancing, \
                     events, monitoring, s3, sqs, sts or *"
                )
            })?;
            fault.service = Some(known.to_string());
        }
        if let Some(account) = &fault.account {
            if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err("account must be an account number of 12 digits".to_string());
            }
            if fault.fault == FaultKind::HookSilent || fault.fault.event_harm(None).is_some() {
                return Err(
                    "account belongs to faults of calls, not of hooks and events".to_string(),
                );
            }
        }
        if fault.every == Some(0) || fault.times == Some(0) {
            return Err("every and times must be 1 or more".to_string());
        }
        let delayed = [FaultKind::Slow, FaultKind::EventLate];
        if fault.delay_ms.is_some() && !delayed.contains(&fault.fault) {
            return Err("delay_ms belongs to the faults slow and event_late".to_string());
        }
        let service = fault.service.as_deref().filter(|name| *name != "*");
        if fault.fault.event_harm(None).is_some()
            && service.is_some_and(|service| event_source(service).is_none())
        {
            return Err("faults of events belong to codedeploy, ecs, monitoring or *".to_string());
        }
        if fault.stale_s.is_some() && fault.fault != FaultKind::Stale {
            return Err("stale_s belongs to the fault stale".to_string());
        }
        if fault.fault == FaultKind::Conflict && fault.service.as_deref() != Some("dynamodb") {
            return Err("the fault conflict belongs to the service dynamodb".to_string());
        }
        self.numbered += 1;
        let active = ActiveFault {
            id: self.numbered,
            fault,
            matched: 0,
            fired: 0,
        };
        self.active.push(active.clone());
        if active.fault.fault == FaultKind::ThrottleAsAws {
            self.buckets.fill();
        }
        Ok(active)
    }

    /// A rule as the account keeps it, if it is one about events.
    pub fn for_events(active: &ActiveFault) -> Option<EventFault> {
        let rule = &active.fault;
        let named = |text: &Option<String>| text.clone().filter(|text| text != "*");
        Some(EventFault {
            id: active.id,
            harm: rule.fault.event_harm(rule.delay_ms)?,
            source: named(&rule.service)
                .and_then(|service| event_source(&service))
                .map(str::to_string),
            detail_type: named(&rule.operation),
            every: rule.every.unwrap_or(1),
            times: rule.times,
            matched: 0,
            fired: 0,
        })
    }

    /// Whether a rule throttles as AWS does and the bucket of this call is empty. `place` is account and region.
    pub fn overdrawn(
        &mut self,
        place: (&str, &str),
        service: &str,
        operation: &str,
        now_ms: i64,
    ) -> bool {
        let rule = self.active.iter_mut().find(|active| {
            let only = active.fault.account.as_deref();
            active.fault.fault == FaultKind::ThrottleAsAws
                && active.fault.applies_to(service, operation)
                && only.is_none_or(|only| only == place.0)
        });
        let Some(active) = rule else {
            return false;
        };
        active.matched += 1;
        let has_token = self.buckets.take(place, (service, operation), now_ms);
        let spent = active
            .fault
            .times
            .is_some_and(|times| active.fired >= times);
        if has_token || spent {
            return false;
        }
        active.fired += 1;
        true
    }

    /// Whether the hook of a function is to stay silent.
    pub fn silences(&mut self, function: &str) -> bool {
        let mut silent = false;
        for active in &mut self.active {
            let rule = &active.fault;
            if rule.fault != FaultKind::HookSilent || !rule.applies_to("codedeploy", function) {
                continue;
            }
            active.matched += 1;
            let due = active.matched.is_multiple_of(rule.every.unwrap_or(1));
            let spent = rule.times.is_some_and(|times| active.fired >= times);
            if due && !spent && !silent {
                active.fired += 1;
                silent = true;
            }
        }
        silent
    }

    /// The rules in force, oldest first.
    pub fn list(&self) -> &[ActiveFault] {
        &self.active
    }

    /// Takes one rule out of force, or all; says how many.
    pub fn remove(&mut self, id: Option<u64>) -> usize {
        let before = self.active.len();
        self.active
            .retain(|active| id.is_some_and(|id| active.id != id));
        if !self
            .active
            .iter()
            .any(|active| active.fault.fault == FaultKind::Stale)
        {
            self.remembered.clear();
        }
        before - self.active.len()
    }

    /// What happens to this call to an account. Every rule that applies counts it; the oldest that fires decides.
    /// [`FaultKind::Stale`] never applies to a call that changes something.
    pub fn strike(
        &mut self,
        account: &str,
        service: &str,
        operation: &str,
        read_only: bool,
    ) -> Option<Harm> {
        let mut harm = None;
        for active in &mut self.active {
            let rule = &active.fault;
            if !rule.fault.strikes_calls()
                || !rule.applies_to(service, operation)
                || rule.account.as_deref().is_some_and(|only| only != account)
                || (rule.fault == FaultKind::Stale && !read_only)
            {
                continue;
            }
            active.matched += 1;
            let due = active.matched.is_multiple_of(rule.every.unwrap_or(1));
            let spent = rule.times.is_some_and(|times| active.fired >= times);
            if due && !spent && harm.is_none() {
                active.fired += 1;
                harm = Some(Harm {
                    kind: rule.fault,
                    delay: Duration::from_millis(rule.delay_ms.unwrap_or(1000)),
                    stale_ms: i64::try_from(rule.stale_s.unwrap_or(60))
                        .map_or(i64::MAX, |seconds| seconds.saturating_mul(1000)),
                });
            }
        }
        harm
    }

    /// The answer that was given to the same question, if it is not too old.
    pub fn recall(&self, question: &str, now_ms: i64, stale_ms: i64) -> Option<Value> {
        let (at, answer) = self.remembered.get(question)?;
        (now_ms - at <= stale_ms).then(|| answer.clone())
    }

    /// Keeps an answer while some rule may want it back.
    pub fn remember(&mut self, question: String, now_ms: i64, answer: &Value) {
        self.remembered.insert(question, (now_ms, answer.clone()));
    }

    /// Whether some rule makes reads stale.
    pub fn any_stale(&self) -> bool {
        self.active
            .iter()
            .any(|active| active.fault.fault == FaultKind::Stale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultKind) -> Fault {
        Fault {
            service: None,
            operation: None,
            account: None,
            fault: kind,
            every: None,
            times: None,
            delay_ms: None,
            stale_s: None,
        }
    }

    #[test]
    fn a_rule_for_one_account_leaves_the_others_alone() {
        let mut faults = Faults::default();
        let rule = Fault {
            account: Some("210987654321".to_string()),
            ..fault(FaultKind::Throttle)
        };
        faults.add(rule.clone()).unwrap();
        assert_eq!(
            faults.strike("123456789012", "ecs", "ListClusters", true),
            None
        );
        assert!(
            faults
                .strike("210987654321", "ecs", "ListClusters", true)
                .is_some()
        );
        assert_eq!(faults.list()[0].matched, 1);
        let wrong = Fault {
            account: Some("2109".to_string()),
            ..rule.clone()
        };
        assert!(faults.add(wrong).is_err());
        let event = Fault {
            fault: FaultKind::EventLost,
            ..rule
        };
        assert!(faults.add(event).is_err());
    }

    #[test]
    fn every_and_times_are_counted_over_matching_calls_only() {
        let mut faults = Faults::default();
        let rule = Fault {
            service: Some("deploy".to_string()),
            operation: Some("CreateDeployment".to_string()),
            every: Some(2),
            times: Some(2),
            ..fault(FaultKind::Throttle)
        };
        faults.add(rule).unwrap();
        let fired: Vec<bool> = (0..8)
            .map(|_| {
                assert_eq!(
                    faults.strike("123456789012", "ecs", "CreateDeployment", false),
                    None
                );
                faults
                    .strike("123456789012", "codedeploy", "CreateDeployment", false)
                    .is_some()
            })
            .collect();
        assert_eq!(
            fired,
            [false, true, false, true, false, false, false, false]
        );
        assert_eq!((faults.list()[0].matched, faults.list()[0].fired), (8, 2));
        assert_eq!(faults.remove(Some(7)), 0);
        assert_eq!(faults.remove(None), 1);
    }

    #[test]
    fn nonsense_is_refused() {
        let mut faults = Faults::default();
        let wrong_service = Fault {
            service: Some("lambda".to_string()),
            ..fault(FaultKind::Throttle)
        };
        assert!(faults.add(wrong_service).is_err());
        assert!(faults.add(fault(FaultKind::Conflict)).is_err());
        assert!(
            faults
                .add(Fault {
                    every: Some(0),
                    ..fault(FaultKind::Throttle)
                })
                .is_err()
        );
        assert!(
            faults
                .add(Fault {
                    delay_ms: Some(5),
                    ..fault(FaultKind::Throttle)
                })
                .is_err()
        );
        assert!(
            faults
                .add(Fault {
                    stale_s: Some(5),
                    ..fault(FaultKind::Slow)
                })
                .is_err()
        );
    }

    #[test]
    fn faults_of_events_and_hooks_strike_no_call() {
        let mut faults = Faults::default();
        let silent = Fault {
            operation: Some("smoke-test".to_string()),
            every: Some(2),
            ..fault(FaultKind::HookSilent)
        };
        faults.add(silent).unwrap();
        let late = faults.add(Fault {
            service: Some("cloudwatch".to_string()),
            delay_ms: Some(7),
            ..fault(FaultKind::EventLate)
        });
        let of_events = Faults::for_events(&late.unwrap()).unwrap();
        assert_eq!(of_events.harm, EventHarm::Late(7));
        assert_eq!(of_events.source.as_deref(), Some("aws.cloudwatch"));
        assert_eq!(
            faults.strike("123456789012", "codedeploy", "smoke-test", false),
            None
        );
        let silenced: Vec<bool> = (0..4)
            .map(|_| {
                assert!(!faults.silences("another"));
                faults.silences("smoke-test")
            })
            .collect();
        assert_eq!(silenced, [false, true, false, true]);
        let wrong = Fault {
            service: Some("sqs".to_string()),
            ..fault(FaultKind::EventLost)
        };
        assert!(faults.add(wrong).is_err());
    }

    #[test]
    fn aws_throttles_only_an_empty_bucket() {
        let mut faults = Faults::default();
        let register = "RegisterTaskDefinition";
        assert!(!faults.overdrawn(("1", "eu"), "ecs", register, 0));
        let rule = Fault {
            service: Some("ecs".to_string()),
            times: Some(3),
            ..fault(FaultKind::ThrottleAsAws)
        };
        faults.add(rule).unwrap();
        let mut struck = |now_ms| {
            (0..25)
                .filter(|_| faults.overdrawn(("1", "eu"), "ecs", register, now_ms))
                .count()
        };
        // Twenty at once, and only three refusals in all.
        assert_eq!(struck(0), 3);
        assert_eq!(struck(1000), 0);
        assert!(!faults.overdrawn(("1", "eu"), "codedeploy", "CreateDeployment", 0));
    }

    #[test]
    fn changes_are_never_stale() {
        let mut faults = Faults::default();
        faults.add(fault(FaultKind::Stale)).unwrap();
        assert_eq!(
            faults.strike("123456789012", "ecs", "UpdateService", false),
            None
        );
        assert!(
            faults
                .strike("123456789012", "ecs", "DescribeServices", true)
                .is_some()
        );
        faults.remember("q".to_string(), 1000, &Value::Bool(true));
        assert_eq!(faults.recall("q", 61_000, 60_000), Some(Value::Bool(true)));
        assert_eq!(faults.recall("q", 61_001, 60_000), None);
    }
}
