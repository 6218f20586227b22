//! How often somebody may try to sign in.
//!
//! Kept in memory: a restart forgives, which an attacker cannot cause. Counted per name and address,
//! so that nobody can lock another person out easily, per address, so that nobody can try one password
//! on every name, and per name from anywhere, so that many addresses are no way around (as ASVS asks, a hundred in
//! an hour).

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

/// Failures in an hour after which a name is refused from everywhere.
const PER_NAME: usize = 100;

/// The time in which failures of a name from anywhere are counted, in seconds.
const NAME_WINDOW_SECONDS: u64 = 3600;

/// Sign-ins by the provider that an address may begin in the window without ending one: each costs a row.
const ELSEWHERE: usize = 300;

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

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    NameAndAddress(String, IpAddr),
    Address(IpAddr),
    Name(String),
    Elsewhere(IpAddr),
}

impl Key {
    /// How many are let through, and in how many seconds.
    const fn limit(&self) -> (usize, u64) {
        match self {
            Key::NameAndAddress(..) => (PER_NAME_AND_ADDRESS, WINDOW_SECONDS),
            Key::Address(_) => (PER_ADDRESS, WINDOW_SECONDS),
            Key::Name(_) => (PER_NAME, NAME_WINDOW_SECONDS),
            Key::Elsewhere(_) => (ELSEWHERE, WINDOW_SECONDS),
        }
    }
}

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
        self.count(&keys(attempt), now)
    }

    /// The attempt succeeded: its name starts anew from its address.
    pub fn forgive(&self, attempt: &Attempt) {
        let [both, address, name] = keys(attempt);
        let mut failed = self.lock();
        failed.remove(&both);
        for key in [address, name] {
            if let Some(times) = failed.get_mut(&key) {
                times.pop_back();
            }
        }
    }

    /// Counts a sign-in by the provider. False when too many were begun.
    pub fn begin_elsewhere(&self, address: IpAddr, now: Moment) -> bool {
        self.count(&[Key::Elsewhere(address)], now)
    }

    /// A sign-in by the provider succeeded.
    pub fn forgive_elsewhere(&self, address: IpAddr) {
        if let Some(times) = self.lock().get_mut(&Key::Elsewhere(address)) {
            times.pop_back();
        }
    }

    fn count(&self, keys: &[Key], now: Moment) -> bool {
        let mut failed = self.lock();
        let oldest = |seconds: u64| now.plus_seconds(-(seconds as i64));
        if failed.len() > TIDY_ABOVE {
            failed.retain(|key, times| {
                let (_, seconds) = key.limit();
                times.back().is_some_and(|time| *time > oldest(seconds))
            });
        }
        for key in keys {
            let (most, seconds) = key.limit();
            let times = failed.entry(key.clone()).or_default();
            while times.front().is_some_and(|time| *time <= oldest(seconds)) {
                times.pop_front();
            }
            if times.len() >= most {
                return false;
            }
        }
        for key in keys {
            failed.entry(key.clone()).or_default().push_back(now);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keys(attempt: &Attempt) -> [Key; 3] {
    let name = attempt.username.clone();
    [
        Key::NameAndAddress(name.clone(), attempt.address),
        Key::Address(attempt.address),
        Key::Name(name),
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
    fn a_name_cannot_be_tried_from_every_address() {
        let attempts = Attempts::default();
        let admitted = (0..200)
            .filter(|last| attempts.begin(&attempt("dana", *last), NOW))
            .count();
        assert_eq!(admitted, PER_NAME);
        assert!(!attempts.begin(&attempt("dana", 201), NOW.plus_seconds(3599)));
        assert!(attempts.begin(&attempt("dana", 201), NOW.plus_seconds(3600)));
    }

    #[test]
    fn an_address_cannot_begin_any_number_of_sign_ins_elsewhere() {
        let attempts = Attempts::default();
        let address = attempt("", 1).address;
        let begin = |seconds: i64| attempts.begin_elsewhere(address, NOW.plus_seconds(seconds));
        assert_eq!((0..ELSEWHERE + 5).filter(|_| begin(0)).count(), ELSEWHERE);
        attempts.forgive_elsewhere(address);
        assert!(begin(1) && !begin(1) && begin(300));
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
