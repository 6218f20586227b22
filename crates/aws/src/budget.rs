//! Our own share of what AWS lets an account and region ask.
//!
//! ECS counts requests in token buckets that everything in the account shares: pipelines, autoscaling, consoles
//! (aws.md §2.5). Watching takes at most half of each bucket's pace and a quarter of its burst, so that it never keeps
//! a deployment from being made. When AWS throttles all the same, the pace is halved, down to an eighth, and comes back
//! step by step.

use crate::calls;
use crate::calls::Call;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::Instant;

/// The pace is never less than this part of our share.
const SLOWEST: f64 = 0.125;

/// How long after a throttled request the pace begins to come back.
const PENALTY: Duration = Duration::from_secs(10);

/// How much of the pace comes back in a second.
const RECOVERY_A_SECOND: f64 = 0.05;

/// One of AWS's buckets: what it is filled with, and which calls take from it. [D request-throttling]
///
/// Those of what watching asks again and again. What is read once (task definitions, stopped tasks) is left to the
/// SDK's own pauses.
struct Bucket {
    calls: &'static [Call],
    burst: f64,
    a_second: f64,
}

const BUCKETS: [Bucket; 4] = [
    Bucket {
        calls: &[calls::DESCRIBE_SERVICES, calls::LIST_SERVICES],
        burst: 100.0,
        a_second: 20.0,
    },
    Bucket {
        calls: &[
            calls::LIST_SERVICE_DEPLOYMENTS,
            calls::DESCRIBE_SERVICE_DEPLOYMENTS,
        ],
        burst: 50.0,
        a_second: 20.0,
    },
    Bucket {
        calls: &[calls::DESCRIBE_SERVICE_REVISIONS],
        burst: 50.0,
        a_second: 20.0,
    },
    Bucket {
        calls: &[calls::LIST_CLUSTERS],
        burst: 50.0,
        a_second: 20.0,
    },
];

/// Our part of a bucket's burst.
const SHARE_OF_BURST: f64 = 0.25;

/// Our part of its pace.
const SHARE_OF_PACE: f64 = 0.5;

/// What is left of one bucket's share; negative while calls wait for their turn.
#[derive(Clone, Copy, Debug)]
struct Share {
    left: f64,
    filled_at: Instant,
    /// The part of our pace that AWS lets us have.
    pace: f64,
    throttled_at: Option<Instant>,
}

/// The shares of one account and region. All clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    shares: Arc<Mutex<Vec<Share>>>,
}

impl Budget {
    pub(crate) fn new() -> Budget {
        let now = Instant::now();
        let full = |bucket: &Bucket| Share {
            left: bucket.burst * SHARE_OF_BURST,
            filled_at: now,
            pace: 1.0,
            throttled_at: None,
        };
        Budget {
            shares: Arc::new(Mutex::new(BUCKETS.iter().map(full).collect())),
        }
    }

    /// Waits until it is this call's turn. Calls that no bucket is known for go at once.
    pub(crate) async fn turn(&self, call: Call) {
        if let Some(wait) = self.take(call.name, Instant::now()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes one from the share of the call's bucket; how long to wait for it.
    fn take(&self, action: &str, now: Instant) -> Option<Duration> {
        let (index, bucket) = bucket_of(action)?;
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let share = shares.get_mut(index)?;
        let elapsed = now.saturating_duration_since(share.filled_at).as_secs_f64();
        if let Some(at) = share.throttled_at {
            let since = now.saturating_duration_since(at);
            if since > PENALTY {
                let recovered = since.saturating_sub(PENALTY).as_secs_f64().min(elapsed);
                share.pace = (share.pace + recovered * RECOVERY_A_SECOND).min(1.0);
            }
        }
        let a_second = bucket.a_second * SHARE_OF_PACE * share.pace;
        let burst = bucket.burst * SHARE_OF_BURST;
        share.left = (share.left + elapsed * a_second).min(burst) - 1.0;
        share.filled_at = now;
        (share.left < 0.0).then(|| Duration::from_secs_f64(-share.left / a_second))
    }

    /// AWS throttled a call: its bucket's pace is halved, once for all requests of a moment.
    pub(crate) fn throttled(&self, action: &str) {
        self.throttled_at(action, Instant::now());
    }

    fn throttled_at(&self, action: &str, now: Instant) {
        let Some((index, _)) = bucket_of(action) else {
            return;
        };
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(share) = shares.get_mut(index) else {
            return;
        };
        let is_new = share
            .throttled_at
            .is_none_or(|at| now.saturating_duration_since(at) >= Duration::from_secs(1));
        if is_new {
            share.pace = (share.pace / 2.0).max(SLOWEST);
            // What has gathered until now is gone: AWS's bucket is empty.
            share.left = share.left.min(0.0);
            share.filled_at = share.filled_at.max(now);
            share.throttled_at = Some(now);
        }
    }
}

fn bucket_of(action: &str) -> Option<(usize, &'static Bucket)> {
    BUCKETS
        .iter()
        .enumerate()
        .find(|(_, bucket)| bucket.calls.iter().any(|call| call.name == action))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIBE: &str = calls::DESCRIBE_SERVICES.name;

    /// To the nearest millisecond: a little time passes before the test's own moment.
    fn rounded(wait: Duration) -> Duration {
        Duration::from_millis((wait.as_secs_f64() * 1000.0).round() as u64)
    }

    /// How many calls go without waiting at a moment, and how long the next would wait.
    fn burst(budget: &Budget, action: &str, now: Instant) -> (usize, Duration) {
        for count in 0..1000 {
            if let Some(wait) = budget.take(action, now) {
                return (count, rounded(wait));
            }
        }
        panic!("there is no limit");
    }

    #[test]
    fn watching_takes_a_quarter_of_the_burst_and_half_of_the_pace() {
        let (budget, now) = (Budget::new(), Instant::now());
        let (count, wait) = burst(&budget, DESCRIBE, now);
        assert_eq!((count, wait), (25, Duration::from_millis(100)));
        // Another bucket is another share; what has none is free.
        assert_eq!(burst(&budget, calls::LIST_CLUSTERS.name, now).0, 12);
        assert_eq!(budget.take(calls::DESCRIBE_ALARMS.name, now), None);
        // Ten a second from here on.
        let waits: Vec<Duration> = (0..10)
            .filter_map(|_| budget.take(DESCRIBE, now).map(rounded))
            .collect();
        assert_eq!(waits.last(), Some(&Duration::from_millis(1100)));
        let (count, _) = burst(&budget, DESCRIBE, now + Duration::from_secs(60));
        assert_eq!(count, 25);
    }

    #[test]
    fn being_throttled_slows_down_and_wears_off() {
        let (budget, now) = (Budget::new(), Instant::now());
        for _ in 0..5 {
            budget.throttled_at(DESCRIBE, now);
        }
        // Five answers of one moment halve the pace once: five a second.
        assert_eq!(
            burst(&budget, DESCRIBE, now),
            (0, Duration::from_millis(200))
        );
        for second in 1..10 {
            budget.throttled_at(DESCRIBE, now + Duration::from_secs(second));
        }
        let later = now + Duration::from_secs(9);
        let wait = budget.take(DESCRIBE, later).unwrap();
        assert!(wait >= Duration::from_millis(800), "{wait:?}");
        for second in 10..60 {
            budget.take(DESCRIBE, now + Duration::from_secs(second));
        }
        let (_, wait) = burst(&budget, DESCRIBE, now + Duration::from_secs(120));
        assert_eq!(wait, Duration::from_millis(100));
    }
}
