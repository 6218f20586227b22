//! How often somebody may try to sign in.
//!
//! Kept in memory: a restart forgives, which an attacker cannot cause. Counted per name and address,
//! so that nobody can lock another person out, and per address, so that nobody can try one password
//! on every name.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use switchback_domain::moment::Moment;

/// The time in which failures are counted, in seconds.
pub const WINDOW_SECONDS: u64 = 5 * 60;

/// Failures in the window after which a name is refused from one address.
const PER_NAME_AND_ADDRESS: usize = 10;

/// Failures in the window after which an address is refused.
const PER_ADDRESS: usize = 100;

/// Keys above which old ones are looked for and dropped.
const TIDY_ABOVE: usize = 10_000;

/// Who tries from where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The name as typed, in lower case.
    pub username: String,
    /// The address that connected. Behind a proxy this is the proxy.
    pub address: IpAddr,
}

/// What is counted: a name from an address, or all of an address.
type Key = (Option<String>, IpAddr);

/// When the failures of each key were.
type Failures = HashMap<Key, VecDeque<Moment>>;

/// The attempts of the last minutes.
#[derive(Default)]
pub struct Attempts {
    failed: Mutex<Failures>,
}

impl Attempts {
    /// Counts an attempt as failed before it is judged, so that many at once count too. False when
    /// there were too many.
    pub fn begin(&self, attempt: &Attempt, now: Moment) -> bool {
        let mut failed = self.lock();
        let oldest = now.plus_seconds(-(WINDOW_SECONDS as i64));
        if failed.len() > TIDY_ABOVE {
            failed.retain(|_, times| times.back().is_some_and(|time| *time > oldest));
        }
        let keys = keys(attempt);
        for (key, most) in keys.iter().zip([PER_NAME_AND_ADDRESS, PER_ADDRESS]) {
            let times = failed.entry(key.clone()).or_default();
            while times.front().is_some_and(|time| *time <= oldest) {
                times.pop_front();
            }
            if times.len() >= most {
                return false;
            }
        }
        for key in keys {
            failed.entry(key).or_default().push_back(now);
        }
        true
    }

    /// The attempt succeeded: its name and address start anew.
    pub fn forgive(&self, attempt: &Attempt) {
        let [name, address] = keys(attempt);
        let mut failed = self.lock();
        failed.remove(&name);
        if let Some(times) = failed.get_mut(&address) {
            times.pop_back();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keys(attempt: &Attempt) -> [Key; 2] {
    [
        (Some(attempt.username.clone()), attempt.address),
        (None, attempt.address),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_millis(1_795_000_000_000);

    fn attempt(username: &str, last: u8) -> Attempt {
        Attempt {
            username: username.to_string(),
            address: IpAddr::from([10, 0, 0, last]),
        }
    }

    #[test]
    fn ten_failures_and_then_five_minutes() {
        let attempts = Attempts::default();
        let dana = attempt("dana", 1);
        for _ in 0..PER_NAME_AND_ADDRESS {
            assert!(attempts.begin(&dana, NOW));
        }
        assert!(!attempts.begin(&dana, NOW.plus_seconds(299)));
        assert!(
            attempts.begin(&attempt("dana", 2), NOW),
            "another address is not locked out"
        );
        assert!(
            attempts.begin(&attempt("otto", 1), NOW),
            "another name is not locked out"
        );
        assert!(attempts.begin(&dana, NOW.plus_seconds(300)));
    }

    #[test]
    fn a_success_forgives() {
        let attempts = Attempts::default();
        let dana = attempt("dana", 1);
        for _ in 0..3 * PER_NAME_AND_ADDRESS {
            assert!(attempts.begin(&dana, NOW));
            attempts.forgive(&dana);
        }
    }

    #[test]
    fn one_address_cannot_try_every_name() {
        let attempts = Attempts::default();
        let admitted = (0..200)
            .filter(|n| attempts.begin(&attempt(&format!("user{n}"), 1), NOW))
            .count();
        assert_eq!(admitted, PER_ADDRESS);
    }
}
