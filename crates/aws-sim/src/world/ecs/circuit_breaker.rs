//! The deployment circuit breaker: its settings, its threshold, its counter.
//!
//! * The threshold is `clamp(ceil(value % of the latest desired count), 3, 200)`, with a value of 50 unless told;
//!   `UNBOUNDED_PERCENT` leaves the bounds away and `COUNT` is the number itself: \[D\] deployment-circuit-breaker,
//!   \[M\] ThresholdConfiguration.
//! * Only failures in a row count, unless `resetOnHealthyTask` is false: \[D\]\[M\].
//! * Our choice: a threshold is never below one task, and a `COUNT` has no upper limit.

use super::operations::bad;
use crate::error::AwsError;
use crate::value::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threshold {
    BoundedPercent,
    UnboundedPercent,
    Count,
}

/// A service's circuit breaker as its deployment configuration has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CircuitBreaker {
    pub(super) enabled: bool,
    pub(super) rolls_back: bool,
    /// Whether a task that gets healthy sets the counter to zero.
    pub(super) resets: bool,
    threshold: Threshold,
    value: i64,
}

impl CircuitBreaker {
    /// Reads `deploymentConfiguration.deploymentCircuitBreaker`; what is not there has AWS's default.
    pub(super) fn read(configuration: &Value) -> CircuitBreaker {
        let given = configuration.get("deploymentCircuitBreaker");
        let threshold = given.get("thresholdConfiguration");
        CircuitBreaker {
            enabled: given.get("enable").as_bool() == Some(true),
            rolls_back: given.get("rollback").as_bool() == Some(true),
            resets: given.get("resetOnHealthyTask").as_bool() != Some(false),
            threshold: match threshold.get("type").as_str() {
                Some("COUNT") => Threshold::Count,
                Some("UNBOUNDED_PERCENT") => Threshold::UnboundedPercent,
                _ => Threshold::BoundedPercent,
            },
            value: threshold.get("value").as_i64().unwrap_or(50),
        }
    }

    /// How many failed tasks open it, for a service that wants `desired` tasks.
    pub(super) fn threshold(&self, desired: i64) -> i64 {
        let share = desired.saturating_mul(self.value);
        let percent = share / 100 + i64::from(share % 100 > 0);
        match self.threshold {
            Threshold::BoundedPercent => percent.clamp(3, 200),
            Threshold::UnboundedPercent => percent.max(1),
            Threshold::Count => self.value,
        }
    }
}

/// Refuses settings that AWS would refuse.
pub(super) fn check(given: &Value) -> Result<(), AwsError> {
    if given.is_null() {
        return Ok(());
    }
    for member in ["enable", "rollback"] {
        if given.get(member).as_bool().is_none() {
            return Err(bad(format!(
                "deploymentCircuitBreaker.{member} must be specified."
            )));
        }
    }
    let threshold = given.get("thresholdConfiguration");
    if threshold.is_null() {
        return Ok(());
    }
    let kind = threshold.get("type").as_str().unwrap_or_default();
    let most = match kind {
        "BOUNDED_PERCENT" | "UNBOUNDED_PERCENT" => 100,
        "COUNT" => i64::from(i32::MAX),
        _ => {
            return Err(bad(
                "Invalid thresholdConfiguration type. Valid values are: COUNT, BOUNDED_PERCENT, UNBOUNDED_PERCENT",
            ));
        }
    };
    match threshold.get("value").as_i64() {
        Some(value) if (1..=most).contains(&value) => Ok(()),
        _ => Err(bad(format!(
            "thresholdConfiguration value for {kind} must be between 1 and {most}."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(kind: Option<&str>, value: i64) -> CircuitBreaker {
        let threshold = kind.map(|kind| structure! { "type": kind, "value": value });
        CircuitBreaker::read(&structure! {
            "deploymentCircuitBreaker": structure! {
                "enable": true, "rollback": true, "thresholdConfiguration": threshold,
            },
        })
    }

    #[test]
    fn the_threshold_follows_its_kind_and_the_desired_count() {
        let bounded = Some("BOUNDED_PERCENT");
        let unbounded = Some("UNBOUNDED_PERCENT");
        // Kind, value, desired count, threshold. The first four are the documentation's own examples.
        for (kind, value, desired, expected) in [
            (None, 0, 1, 3),
            (None, 0, 25, 13),
            (None, 0, 400, 200),
            (None, 0, 800, 200),
            (None, 0, 0, 3),
            (None, 0, 6, 3),
            (None, 0, 7, 4),
            (None, 0, 399, 200),
            (bounded, 50, 25, 13),
            (bounded, 1, 100, 3),
            (bounded, 100, 5, 5),
            (bounded, 100, 201, 200),
            (bounded, 33, 10, 4),
            (unbounded, 50, 1, 1),
            (unbounded, 50, 0, 1),
            (unbounded, 10, 15, 2),
            (unbounded, 100, 800, 800),
            (unbounded, 1, 5000, 50),
            (Some("COUNT"), 1, 1, 1),
            (Some("COUNT"), 7, 500, 7),
            (Some("COUNT"), 500, 1, 500),
        ] {
            assert_eq!(
                breaker(kind, value).threshold(desired),
                expected,
                "{kind:?} {value} of {desired}"
            );
        }
    }

    #[test]
    fn settings_outside_their_bounds_are_refused() {
        let with = |kind: &str, value: i64| {
            structure! { "enable": true, "rollback": false,
            "thresholdConfiguration": structure! { "type": kind, "value": value } }
        };
        for (kind, value, fine) in [
            ("BOUNDED_PERCENT", 1, true),
            ("BOUNDED_PERCENT", 100, true),
            ("BOUNDED_PERCENT", 101, false),
            ("BOUNDED_PERCENT", 0, false),
            ("UNBOUNDED_PERCENT", 101, false),
            ("COUNT", 5000, true),
            ("COUNT", 0, false),
            ("PERCENT", 50, false),
        ] {
            assert_eq!(check(&with(kind, value)).is_ok(), fine, "{kind} {value}");
        }
        assert!(check(&structure! { "enable": true }).is_err());
        assert!(check(&Value::Null).is_ok());
    }

    #[test]
    fn what_is_not_said_has_the_documented_default() {
        let bare = CircuitBreaker::read(&Value::map());
        assert!(!bare.enabled && !bare.rolls_back && bare.resets);
        assert_eq!(bare.threshold(25), 13);
    }
}
