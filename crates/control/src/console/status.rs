//! How the watching goes: what the page Status shows.

use crate::accounts::AccountLook;
use crate::accounts::health;
use crate::accounts::key;
use crate::console::Desk;
use crate::error::store_refusal;
use crate::events::EventsHeard;
use crate::events::QueueHeard;
use crate::lock;
use crate::watch::Looked;
use switchback_cloud::calls::CallsMade;
use switchback_contract::CallsView;
use switchback_contract::EventsState;
use switchback_contract::EventsView;
use switchback_contract::NotWatchedView;
use switchback_contract::OperationCallsView;
use switchback_contract::QueueView;
use switchback_contract::Refusal;
use switchback_contract::RegionStatus;
use switchback_contract::StatusPage;
use switchback_domain::deployment::Outcome;

impl Desk {
    pub(super) async fn status(&self) -> Result<StatusPage, Refusal> {
        let store = self.store();
        let counts = store.service_counts().await.map_err(store_refusal)?;
        let active = store
            .deployment_list_active()
            .await
            .map_err(store_refusal)?;
        let looks = self.control.account_looks();
        let mut regions = Vec::new();
        for (cloud, look) in self.control.inner.clouds.iter().zip(&looks) {
            let looked = lock(&self.control.inner.looked)
                .get(&key(&**cloud))
                .cloned()
                .unwrap_or_default();
            let is_here = |account: &str, of: &str| {
                of == look.region
                    && match &look.account {
                        Some(own) => own == account,
                        // Of the own account, before AWS has told its number, is what is no other's.
                        None => !looks
                            .iter()
                            .any(|other| other.account.as_deref() == Some(account)),
                    }
            };
            let services = counts
                .iter()
                .filter(|(account, of, _)| is_here(account, of))
                .map(|(_, _, count)| count)
                .sum();
            let moving = active.iter().filter(|record| {
                is_here(&record.account, &record.region)
                    && record.standing.outcome == Outcome::InProgress
            });
            regions.push(region_status(look, &looked, services, moving.count()));
        }
        Ok(StatusPage {
            now: self.now(),
            regions,
            accounts: looks.into_iter().map(health).collect(),
        })
    }
}

fn region_status(
    look: &AccountLook,
    looked: &Looked,
    services: i64,
    moving: usize,
) -> RegionStatus {
    RegionStatus {
        account: look.account.clone(),
        region: look.region.clone(),
        last_look_at: looked.at,
        trouble: looked.trouble.clone(),
        services,
        moving: moving as i64,
        look_interval_seconds: looked.pace_millis as f64 / 1000.0,
        seconds_behind: looked.behind_millis.map(|millis| millis as f64 / 1000.0),
        calls: calls_view(&looked.calls, services),
        events: events_view(&looked.events),
    }
}

fn calls_view(calls: &CallsMade, services: i64) -> CallsView {
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut operations: Vec<OperationCallsView> = calls
        .operations
        .iter()
        .map(|one| OperationCallsView {
            operation: one.operation.clone(),
            requests: whole(one.requests),
            throttled: whole(one.throttled),
            failed: whole(one.failed),
        })
        .collect();
    operations.sort_by_key(|one| std::cmp::Reverse(one.requests));
    let requests: i64 = operations.iter().map(|one| one.requests).sum();
    let is_told = calls.seconds >= crate::PACE_AFTER_SECONDS && services > 0;
    CallsView {
        seconds: whole(calls.seconds),
        requests,
        per_service_hour: is_told
            .then(|| requests as f64 * 3600.0 / calls.seconds as f64 / services as f64),
        throttled: operations.iter().map(|one| one.throttled).sum(),
        failed: operations.iter().map(|one| one.failed).sum(),
        operations,
    }
}

fn events_view(heard: &EventsHeard) -> EventsView {
    let in_trouble = heard
        .queue
        .as_ref()
        .is_some_and(|queue| queue.trouble.is_some());
    let state = if heard.on {
        EventsState::On
    } else if in_trouble {
        EventsState::Failing
    } else if heard.queue.is_some() || heard.through.is_some() || heard.by_webhook > 0 {
        EventsState::Unproven
    } else {
        EventsState::Off
    };
    EventsView {
        state,
        queue: heard.queue.as_ref().map(queue_view),
        last_at: heard.last_at,
        last_type: heard.last_type.clone(),
        taken: heard.taken,
        by_webhook: heard.by_webhook,
        repeated: heard.repeated,
        ignored: heard.ignored,
        missed: heard.missed,
    }
}

fn queue_view(queue: &QueueHeard) -> QueueView {
    let not_watched = queue.not_watched.iter().map(|(name, count)| {
        let (account, region) = name.split_once(' ').unwrap_or((name, ""));
        NotWatchedView {
            account: account.to_string(),
            region: region.to_string(),
            count: *count,
        }
    });
    QueueView {
        name: queue.name.clone(),
        answered_at: queue.answered_at,
        trouble: queue.trouble.clone(),
        waiting: queue.attributes.as_ref().map(|all| all.waiting),
        dead_letter_queue: queue
            .attributes
            .as_ref()
            .and_then(|all| all.dead_letter_queue.clone()),
        unreadable: queue.unreadable,
        unreadable_because: queue.unreadable_because.clone(),
        not_watched: not_watched.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchback_cloud::calls::OperationCalls;

    #[test]
    fn the_pace_is_told_for_a_service_and_an_hour() {
        let calls = |seconds| CallsMade {
            seconds,
            operations: vec![
                OperationCalls {
                    operation: "ecs:ListServices".to_string(),
                    requests: 20,
                    throttled: 1,
                    failed: 2,
                },
                OperationCalls {
                    operation: "ecs:DescribeServices".to_string(),
                    requests: 100,
                    ..OperationCalls::default()
                },
            ],
        };
        let view = calls_view(&calls(1800), 10);
        assert_eq!((view.requests, view.throttled, view.failed), (120, 1, 2));
        assert_eq!(view.per_service_hour, Some(24.0));
        assert_eq!(view.operations[0].operation, "ecs:DescribeServices");
        // Too early to say, and nothing to divide by.
        assert_eq!(calls_view(&calls(599), 10).per_service_hour, None);
        assert_eq!(calls_view(&calls(1800), 0).per_service_hour, None);
    }

    #[test]
    fn how_it_stands_with_events() {
        let queue = |trouble: Option<&str>| {
            Some(QueueHeard {
                trouble: trouble.map(str::to_string),
                ..QueueHeard::default()
            })
        };
        let state = |heard: EventsHeard| events_view(&heard).state;
        let none = EventsHeard::default();
        assert_eq!(state(none.clone()), EventsState::Off);
        for (queue, on, by_webhook, expected) in [
            (queue(None), false, 0, EventsState::Unproven),
            (queue(None), true, 0, EventsState::On),
            (queue(Some("gone")), false, 0, EventsState::Failing),
            // A queue elsewhere brings this region's events.
            (None, true, 0, EventsState::On),
            (None, false, 1, EventsState::Unproven),
        ] {
            let heard = EventsHeard {
                queue,
                on,
                by_webhook,
                ..none.clone()
            };
            assert_eq!(state(heard.clone()), expected, "{heard:?}");
        }
    }
}
