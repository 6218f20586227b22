//! Coverage: since when an account is watched, when nobody looked, and how each deployment came into the record.
//!
//! Times are the account's. A simulated account's clock may run fast or be pushed ahead: as long as this process looked
//! and no look failed, time that only the clock passed is no gap.

use crate::deployment::words;
use crate::moment::Moment;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// How a deployment came into the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FirstSeen {
    /// Its beginning was seen as it happened.
    AsItHappened,
    /// It began while Switchback did not look.
    SeenLate,
    /// It began before Switchback watched the account.
    Imported,
}

words!(FirstSeen {
    AsItHappened => "as_it_happened",
    SeenLate => "seen_late",
    Imported => "imported",
});

/// Why nobody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// No server ran, or none could.
    NotRunning,
    /// Looks failed: AWS did not answer or refused, or the database did not answer.
    LookFailed,
}

words!(GapCause {
    NotRunning => "not_running",
    LookFailed => "look_failed",
});

/// It is written down at most this often that a look went well, in seconds of the account's clock.
pub const GOOD_LOOK_INTERVAL_SECONDS: i64 = 30;

/// Anything shorter is no gap, in milliseconds.
const SHORTEST_GAP_MILLIS: i64 = 90_000;

/// How long nobody may look before it is a gap, in milliseconds, where an idle account is looked at this often.
pub fn gap_limit_millis(poll_idle_millis: i64) -> i64 {
    poll_idle_millis.saturating_mul(3).max(SHORTEST_GAP_MILLIS)
}

/// The gap between the last good look and one at `now`. `unbroken` is whether the process that looks now made the last
/// good look too, in time by its own machine and with no failed look in between.
pub fn gap(
    last_good_look: Moment,
    unbroken: bool,
    now: Moment,
    poll_idle_millis: i64,
) -> Option<(Moment, Moment)> {
    let missed = now.millis_since(last_good_look);
    (!unbroken && missed > gap_limit_millis(poll_idle_millis)).then_some((last_good_look, now))
}

/// How a deployment that is recorded now comes into the record. `watched_since` is `None` before the watch has begun;
/// `gaps` are those that may hold its beginning.
pub fn first_seen(
    started_at: Moment,
    watched_since: Option<Moment>,
    gaps: &[(Moment, Moment)],
) -> FirstSeen {
    match watched_since {
        None => FirstSeen::Imported,
        Some(since) if started_at < since => FirstSeen::Imported,
        Some(_) => {
            let in_gap = |(from, to): &(Moment, Moment)| *from <= started_at && started_at < *to;
            if gaps.iter().any(in_gap) {
                FirstSeen::SeenLate
            } else {
                FirstSeen::AsItHappened
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    #[test]
    fn what_is_a_gap() {
        // Seconds since the last good look, unbroken, idle interval in seconds, whether it is a gap.
        for (seconds, unbroken, poll_idle, is_gap) in [
            (90, false, 1, false),
            (91, false, 1, true),
            (91, false, 31, false),
            (94, false, 31, true),
            (100_000, true, 1, false),
            // The account's clock was set back.
            (-500, false, 1, false),
        ] {
            let found = gap(at(1000), unbroken, at(1000 + seconds), poll_idle * 1000);
            let expected = is_gap.then_some((at(1000), at(1000 + seconds)));
            assert_eq!(found, expected, "{seconds} {unbroken} {poll_idle}");
        }
    }

    #[test]
    fn how_a_deployment_came_into_the_record() {
        let gaps = [(at(200), at(300))];
        for (started, since, seen) in [
            (150, None, FirstSeen::Imported),
            (99, Some(100), FirstSeen::Imported),
            (100, Some(100), FirstSeen::AsItHappened),
            (199, Some(100), FirstSeen::AsItHappened),
            (200, Some(100), FirstSeen::SeenLate),
            (299, Some(100), FirstSeen::SeenLate),
            (300, Some(100), FirstSeen::AsItHappened),
        ] {
            assert_eq!(
                first_seen(at(started), since.map(at), &gaps),
                seen,
                "{started} {since:?}"
            );
        }
    }
}
