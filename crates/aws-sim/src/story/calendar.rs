//! A month of releases, made out of a team's habits.
//!
//! Teams work from Monday to Friday between seven and seventeen, UTC. How often and when exactly comes from
//! the seed and the service's name, so that a change to one team moves no other. The last hours before the
//! account is looked at are free of ordinary releases: what is under way then is the story's opening.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::services::{Act, Habits, Release, When, release};
use super::{DAY_MS, MINUTE_MS};

/// The month's first day begins with building the services.
const FIRST_MS: i64 = 2 * 60 * MINUTE_MS;
/// Ordinary releases are started no later than this before the account is looked at.
const QUIET_MS: i64 = 5 * 60 * MINUTE_MS;
/// Two releases of one service are at least so far apart.
const APART_MS: i64 = 150 * MINUTE_MS;
/// A day of the week with work, of seven.
const WORKING_DAYS: f64 = 5.0;

/// What teams release when they have nothing new.
const UPKEEP: [&str; 4] = [
    "Update dependencies",
    "Rebuild on the patched base image",
    "Update the runtime",
    "Rotate the certificate bundle",
];

/// The random numbers of one team.
pub(super) fn random(seed: u64, service: &str) -> ChaCha8Rng {
    // FNV-1a: the same in every run.
    let hash = service
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    ChaCha8Rng::seed_from_u64(hash ^ seed)
}

/// Everything that a team releases before `start_ms`, oldest first, its opening last.
pub(super) fn month(habits: &Habits, start_ms: i64, random: &mut ChaCha8Rng) -> Vec<Release> {
    let mut planned: Vec<(i64, Release)> = Vec::new();
    for incident in habits.incidents {
        let at_ms =
            start_ms - incident.days_before * DAY_MS + random.random_range(0..90) * MINUTE_MS;
        planned.push((at_ms, incident.release));
        if let Some((minutes, repair)) = incident.repair {
            planned.push((at_ms + minutes * MINUTE_MS, repair));
        }
    }
    let mut changes = habits.changes.iter();
    for day in (0..super::PAST_MS / DAY_MS).rev() {
        let wanted = habits.a_week / WORKING_DAYS;
        let times = wanted.floor() as usize + usize::from(random.random_bool(wanted.fract()));
        for _ in 0..times {
            let minute = random.random_range(7 * 60..17 * 60);
            let midnight_ms = (start_ms - day * DAY_MS).div_euclid(DAY_MS) * DAY_MS;
            let at_ms = midnight_ms + minute * MINUTE_MS + random.random_range(0..60) * 1000;
            let lasts_ms = (habits.bake_minutes + habits.ready_wait_minutes) * MINUTE_MS;
            let crowded = planned
                .iter()
                .any(|(other_ms, _)| (other_ms - at_ms).abs() < APART_MS + lasts_ms);
            let within = start_ms - super::PAST_MS + FIRST_MS..start_ms - QUIET_MS - lasts_ms;
            if crowded || is_weekend(at_ms) || !within.contains(&at_ms) {
                continue;
            }
            let upkeep = random.random_range(0..UPKEEP.len());
            // Every third release is upkeep, and so is everything once nothing new is left.
            let change = (random.random_range(0..3) > 0)
                .then(|| changes.next())
                .flatten();
            let mut ordinary = release(When::Rested, habits.strategy, UPKEEP[upkeep]);
            if let Some(change) = change {
                ordinary.what = change.what;
                ordinary.lasting = change.lasting;
            }
            ordinary.hook = habits.hook;
            if habits.ready_wait_minutes > 0 {
                ordinary.then = Some((random.random_range(6..30), Act::Continue));
            }
            planned.push((at_ms, ordinary));
        }
    }
    planned.sort_by_key(|(at_ms, _)| *at_ms);
    let past = planned.into_iter().map(|(at_ms, mut release)| {
        release.when = When::At(at_ms);
        release
    });
    past.chain(habits.opening).collect()
}

/// Saturdays and Sundays. 1 January 1970 was a Thursday.
pub(super) fn is_weekend(at_ms: i64) -> bool {
    matches!((at_ms.div_euclid(DAY_MS) + 3).rem_euclid(7), 5 | 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weekend_is_saturday_and_sunday() {
        // 21 November 2026 is a Saturday.
        let saturday_ms = 1_795_219_200_000;
        let days: Vec<bool> = (-1..3)
            .map(|day| is_weekend(saturday_ms + day * DAY_MS))
            .collect();
        assert_eq!(days, [false, true, true, false]);
    }
}
