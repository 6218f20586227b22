//! Faults of events: lost, duplicated, late, out of order. AWS promises none of the opposite.

use super::{Delivery, Events};

/// How long an event is held back for another to overtake it, when none comes.
const HELD_MS: i64 = 60_000;

/// What goes wrong with an event on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventHarm {
    /// It never arrives.
    Lost,
    /// It arrives twice, with the same id.
    Duplicated,
    /// It arrives so many milliseconds of simulated time later.
    Late(i64),
    /// It arrives after the event that follows it, or after a minute if none does.
    OutOfOrder,
}

/// One rule: which events are harmed, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFault {
    /// Its number.
    pub id: u64,
    /// What goes wrong.
    pub harm: EventHarm,
    /// The events' source, for example `aws.codedeploy`; `None` for all.
    pub source: Option<String>,
    /// The events' detail-type; `None` for all.
    pub detail_type: Option<String>,
    /// Only each N-th matching event.
    pub every: u64,
    /// At most so many in all.
    pub times: Option<u64>,
    /// How many events it applied to.
    pub matched: u64,
    /// How many of them it harmed.
    pub fired: u64,
}

/// Sends what was emitted on its way, harmed where a fault strikes. The oldest fault that fires decides.
pub(crate) fn dispatch(faults: &mut [EventFault], events: &mut Events) {
    for mut delivery in std::mem::take(&mut events.fresh) {
        match strike(faults, &delivery) {
            Some(EventHarm::Lost) => continue,
            Some(EventHarm::Duplicated) => {
                let copy = Delivery {
                    rule: delivery.rule.clone(),
                    target: delivery.target.clone(),
                    dead_letter: delivery.dead_letter.clone(),
                    body: delivery.body.clone(),
                    source: delivery.source.clone(),
                    detail_type: delivery.detail_type.clone(),
                    ..delivery
                };
                events.put(copy);
            }
            Some(EventHarm::Late(by_ms)) => delivery.due = delivery.due.saturating_add(by_ms),
            Some(EventHarm::OutOfOrder) => {
                delivery.held = true;
                delivery.due += HELD_MS;
            }
            None => {}
        }
        let (held, due, target) = (delivery.held, delivery.due, delivery.target.clone());
        events.put(delivery);
        if !held {
            release(events, &target, due);
        }
    }
}

/// Lets what was held back for this target arrive right after `due`.
fn release(events: &mut Events, target: &str, due: i64) {
    let waiting: Vec<(i64, u64)> = events
        .pending
        .iter()
        .filter(|(_, one)| one.held && one.target == target)
        .map(|(key, _)| *key)
        .collect();
    for key in waiting {
        if let Some(mut delivery) = events.pending.remove(&key) {
            delivery.held = false;
            delivery.due = due + 1;
            events.put(delivery);
        }
    }
}

fn strike(faults: &mut [EventFault], delivery: &Delivery) -> Option<EventHarm> {
    let mut harm = None;
    for fault in faults {
        let applies = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        if !applies(&fault.source, &delivery.source)
            || !applies(&fault.detail_type, &delivery.detail_type)
        {
            continue;
        }
        fault.matched += 1;
        let due = fault.matched.is_multiple_of(fault.every);
        let spent = fault.times.is_some_and(|times| fault.fired >= times);
        if due && !spent && harm.is_none() {
            fault.fired += 1;
            harm = Some(fault.harm);
        }
    }
    harm
}
