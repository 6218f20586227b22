//! Simulated time: where it started, how fast it runs, and how far it was pushed.

use std::time::{Duration, Instant};

use time::{
    OffsetDateTime, UtcDateTime, format_description::BorrowedFormatItem, macros::format_description,
};

/// The fastest that time may run: an hour passes each second. Beyond it a single tick would skip
/// whole lifecycle events, and nothing outside could take part any more.
pub const FASTEST: f64 = 3600.0;

/// The account's clock: simulated now = base + wall time passed since × speed.
#[derive(Clone, Debug)]
pub struct SimulatedClock {
    base_ms: i64,
    since: Instant,
    speed: f64,
}

impl SimulatedClock {
    /// A clock that shows `start_ms` (milliseconds since 1970 UTC) at the instant `since`.
    pub fn new(start_ms: i64, since: Instant, speed: f64) -> SimulatedClock {
        SimulatedClock {
            base_ms: start_ms,
            since,
            speed,
        }
    }

    /// What the clock shows at `instant`, in milliseconds since 1970 UTC.
    pub fn at(&self, instant: Instant) -> i64 {
        let passed = instant.saturating_duration_since(self.since).as_secs_f64();
        self.base_ms + (passed * self.speed * 1000.0) as i64
    }

    /// How fast it runs: simulated seconds each second of wall time.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// From `instant` on, time runs at `speed`; what the clock shows does not jump.
    pub fn set_speed(&mut self, speed: f64, instant: Instant) {
        self.base_ms = self.at(instant);
        self.since = instant;
        self.speed = speed;
    }

    /// Pushes the clock forward by `ms` milliseconds.
    pub fn push(&mut self, ms: i64) {
        self.base_ms = self.base_ms.saturating_add(ms);
    }

    /// How long `simulated` takes on the wall clock.
    pub fn wall(&self, simulated: Duration) -> Duration {
        if self.speed > 0.0 {
            simulated.div_f64(self.speed)
        } else {
            simulated
        }
    }
}

/// RFC 3339 in UTC with milliseconds, for example `2026-11-21T10:09:08.007Z`.
pub fn rfc3339(ms: i64) -> String {
    const FORM: &[BorrowedFormatItem<'static>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    utc(ms)
        .format(FORM)
        .unwrap_or_else(|_| "1970-01-01T00:00:00.000Z".to_string())
}

/// The form of the `Date` header, for example `Sat, 21 Nov 2026 10:09:08 GMT`.
pub fn http_date(ms: i64) -> String {
    const FORM: &[BorrowedFormatItem<'static>] = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    utc(ms)
        .format(FORM)
        .unwrap_or_else(|_| "Thu, 01 Jan 1970 00:00:00 GMT".to_string())
}

/// A moment out of the calendar's range can only come from a caller's own nonsense; it reads as 1970.
fn utc(ms: i64) -> UtcDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .to_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_speed_does_not_jump() {
        let since = Instant::now();
        let mut clock = SimulatedClock::new(1_000_000, since, 60.0);
        assert_eq!(clock.at(since + Duration::from_secs(2)), 1_120_000);
        clock.set_speed(1.0, since + Duration::from_secs(2));
        assert_eq!(clock.at(since + Duration::from_secs(2)), 1_120_000);
        assert_eq!(clock.at(since + Duration::from_secs(5)), 1_123_000);
        clock.push(600_000);
        assert_eq!(clock.at(since + Duration::from_secs(5)), 1_723_000);
        clock.set_speed(0.0, since + Duration::from_secs(5));
        assert_eq!(clock.at(since + Duration::from_secs(500)), 1_723_000);
    }

    #[test]
    fn times_are_written_in_both_forms() {
        assert_eq!(rfc3339(1_763_683_200_007), "2025-11-21T00:00:00.007Z");
        assert_eq!(
            http_date(1_763_683_200_007),
            "Fri, 21 Nov 2025 00:00:00 GMT"
        );
        assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00.000Z");
    }
}
