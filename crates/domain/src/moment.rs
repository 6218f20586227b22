//! A moment in time, the only form of time that crosses crates.

use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::json_schema;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use std::borrow::Cow;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// A moment: milliseconds since 1970-01-01T00:00:00Z. Serialized as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

/// The text was not an RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an RFC 3339 time such as 2026-11-21T10:00:00Z")]
pub struct NotAMoment {
    /// What was given.
    pub text: String,
}

impl Moment {
    /// From milliseconds since 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Moment {
        Moment(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This moment plus a number of milliseconds (negative goes back); saturates at the ends.
    pub const fn plus_millis(self, millis: i64) -> Moment {
        Moment(self.0.saturating_add(millis))
    }

    /// This moment plus a number of seconds.
    pub const fn plus_seconds(self, seconds: i64) -> Moment {
        self.plus_millis(seconds.saturating_mul(1000))
    }

    /// Milliseconds from `earlier` to this moment; negative when `earlier` is later.
    pub const fn millis_since(self, earlier: Moment) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The start of the minute that holds this moment.
    pub const fn minute(self) -> Moment {
        Moment(self.0 - self.0.rem_euclid(60_000))
    }

    /// Parses an RFC 3339 time.
    pub fn parse(text: &str) -> Result<Moment, NotAMoment> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| NotAMoment {
            text: text.to_string(),
        })?;
        Ok(Moment((at.unix_timestamp_nanos() / 1_000_000) as i64))
    }

    fn date_time(self) -> OffsetDateTime {
        // Out of range only beyond the year 9999; such a moment shows as 1970 rather than ending the process.
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    fn formatted(self, form: &(impl time::formatting::Formattable + ?Sized)) -> String {
        // Formatting numbers into a string has no failing case for these forms.
        self.date_time().format(form).unwrap_or_default()
    }

    /// `2026-11-21T10:00:00.123Z`
    pub fn rfc3339(self) -> String {
        self.formatted(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
    }

    /// `10:00:00`, in UTC.
    pub fn clock_time(self) -> String {
        self.formatted(format_description!("[hour]:[minute]:[second]"))
    }

    /// `10:00`, in UTC.
    pub fn clock_minute(self) -> String {
        self.formatted(format_description!("[hour]:[minute]"))
    }

    /// `Sat 21 Nov 2026`, in UTC.
    pub fn calendar_date(self) -> String {
        self.formatted(format_description!(
            "[weekday repr:short] [day padding:none] [month repr:short] [year]"
        ))
    }

    /// `21 Nov 10:00:00`, in UTC.
    pub fn date_and_time(self) -> String {
        self.formatted(format_description!(
            "[day padding:none] [month repr:short] [hour]:[minute]:[second]"
        ))
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.rfc3339())
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        let text = String::deserialize(deserializer)?;
        Moment::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A duration in words: `16 m 20 s`, `1 h 05 m`, `3 d 04 h`, `0.4 s` under ten seconds.
pub fn duration_words(millis: i64) -> String {
    let millis = millis.max(0);
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if seconds < 10 {
        format!("{}.{} s", seconds, (millis % 1000) / 100)
    } else if minutes == 0 {
        format!("{seconds} s")
    } else if hours == 0 {
        format!("{minutes} m {:02} s", seconds % 60)
    } else if days == 0 {
        format!("{hours} h {:02} m", minutes % 60)
    } else {
        format!("{days} d {:02} h", hours % 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_there_and_back() {
        for millis in [0, 1, 999, 1_795_000_000_123, -1] {
            let moment = Moment::from_millis(millis);
            assert_eq!(Moment::parse(&moment.rfc3339()), Ok(moment));
        }
        assert_eq!(Moment::from_millis(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert!(Moment::parse("yesterday").is_err());
    }

    #[test]
    fn durations_are_words() {
        for (millis, words) in [
            (400, "0.4 s"),
            (12_000, "12 s"),
            (980_000, "16 m 20 s"),
            (3_900_000, "1 h 05 m"),
            (273_600_000, "3 d 04 h"),
            (-5, "0.0 s"),
        ] {
            assert_eq!(duration_words(millis), words);
        }
    }
}
