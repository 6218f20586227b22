//! The requests to one account and region in the last hour, minute by minute.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use switchback_cloud::calls::CallsMade;
use switchback_cloud::calls::OperationCalls;

/// How long a request counts.
const KEPT: Duration = Duration::from_secs(3600);

/// How finely the past is kept.
const MINUTE: u64 = 60;

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    Throttled,
    Badly,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    throttled: u64,
    failed: u64,
}

/// Counts the requests of every client of an account and region. All clones are one.
#[derive(Clone, Debug)]
pub(crate) struct CallMeter {
    began: Instant,
    /// By operation, the minutes in which there were requests, the latest last.
    counted: Arc<Mutex<BTreeMap<String, Minutes>>>,
}

/// Minutes since the start, each with what was counted in it.
type Minutes = VecDeque<(u64, Counts)>;

impl CallMeter {
    pub(crate) fn new() -> CallMeter {
        CallMeter {
            began: Instant::now(),
            counted: Arc::default(),
        }
    }

    /// Counts a request that has just ended.
    pub(crate) fn count(&self, operation: &str, ended: Ended) {
        self.count_at(operation, ended, self.began.elapsed());
    }

    fn count_at(&self, operation: &str, ended: Ended, since_start: Duration) {
        let minute = since_start.as_secs() / MINUTE;
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let minutes = counted.entry(operation.to_string()).or_default();
        if minutes.back().is_none_or(|(last, _)| *last != minute) {
            minutes.push_back((minute, Counts::default()));
        }
        forget(minutes, minute);
        if let Some((_, counts)) = minutes.back_mut() {
            counts.requests += 1;
            counts.throttled += u64::from(ended == Ended::Throttled);
            counts.failed += u64::from(ended == Ended::Badly);
        }
    }

    /// The requests of the last hour.
    pub(crate) fn last_hour(&self) -> CallsMade {
        self.until(self.began.elapsed())
    }

    fn until(&self, since_start: Duration) -> CallsMade {
        let minute = since_start.as_secs() / MINUTE;
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let operations = counted.iter_mut().filter_map(|(operation, minutes)| {
            forget(minutes, minute);
            let mut all = OperationCalls {
                operation: operation.clone(),
                ..OperationCalls::default()
            };
            for (_, counts) in minutes.iter() {
                all.requests += counts.requests;
                all.throttled += counts.throttled;
                all.failed += counts.failed;
            }
            (all.requests > 0).then_some(all)
        });
        CallsMade {
            seconds: since_start.min(KEPT).as_secs(),
            operations: operations.collect(),
        }
    }
}

/// Drops the minutes that are more than an hour ago.
fn forget(minutes: &mut Minutes, now: u64) {
    let kept = KEPT.as_secs() / MINUTE;
    while minutes
        .front()
        .is_some_and(|(minute, _)| minute + kept <= now)
    {
        minutes.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_an_hour_ago_no_longer_counts() {
        let meter = CallMeter::new();
        let at = Duration::from_secs;
        meter.count_at("ecs:DescribeServices", Ended::Well, at(0));
        meter.count_at("ecs:DescribeServices", Ended::Throttled, at(59 * 60));
        meter.count_at("ecs:ListTasks", Ended::Badly, at(30));
        let all = |made: &CallsMade| -> Vec<(String, u64, u64, u64)> {
            let of = |one: &OperationCalls| {
                (
                    one.operation.clone(),
                    one.requests,
                    one.throttled,
                    one.failed,
                )
            };
            made.operations.iter().map(of).collect()
        };
        let made = meter.until(at(59 * 60 + 59));
        assert_eq!(made.seconds, 3599);
        assert_eq!(
            all(&made),
            [
                ("ecs:DescribeServices".to_string(), 2, 1, 0),
                ("ecs:ListTasks".to_string(), 1, 0, 1),
            ]
        );
        let made = meter.until(at(60 * 60));
        assert_eq!(made.seconds, 3600);
        assert_eq!(all(&made), [("ecs:DescribeServices".to_string(), 1, 1, 0)]);
        assert_eq!(all(&meter.until(at(3 * 3600))), []);
    }
}
