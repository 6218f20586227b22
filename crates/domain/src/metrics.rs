//! Golden signals of a deployment, old against new, one point a minute.

use crate::moment::Moment;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// Which revision a number belongs to. Old is what served when the deployment started, new is its target.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The previous revision.
    Old,
    /// The target revision.
    New,
}

/// What is measured, per target group and minute (aws.md §3.2).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Series {
    /// Requests in the minute (RequestCount, Sum).
    Requests,
    /// Target 5xx answers in the minute (HTTPCode_Target_5XX_Count, Sum).
    Errors,
    /// Response time, median, in milliseconds.
    P50,
    /// Response time, 95th percentile, in milliseconds.
    P95,
    /// Response time, 99th percentile, in milliseconds.
    P99,
    /// Healthy targets (HealthyHostCount, Minimum).
    Healthy,
}

impl Series {
    /// Every series, in the order they are drawn.
    pub const ALL: [Series; 6] = [
        Series::Requests,
        Series::Errors,
        Series::P99,
        Series::P95,
        Series::P50,
        Series::Healthy,
    ];

    /// The word used in the store and the API.
    pub const fn word(self) -> &'static str {
        match self {
            Series::Requests => "requests",
            Series::Errors => "errors",
            Series::P50 => "p50",
            Series::P95 => "p95",
            Series::P99 => "p99",
            Series::Healthy => "healthy",
        }
    }

    /// The series with this word.
    pub fn parse(word: &str) -> Option<Series> {
        Series::ALL.into_iter().find(|series| series.word() == word)
    }
}

impl Side {
    /// The word used in the store and the API.
    pub const fn word(self) -> &'static str {
        match self {
            Side::Old => "old",
            Side::New => "new",
        }
    }

    /// The side with this word.
    pub fn parse(word: &str) -> Option<Side> {
        match word {
            "old" => Some(Side::Old),
            "new" => Some(Side::New),
            _ => None,
        }
    }
}

/// One value of one minute. A minute without a value has no point: missing is a gap, never a zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricPoint {
    /// The start of the minute.
    pub minute: Moment,
    /// What was measured.
    pub series: Series,
    /// Old or new.
    pub side: Side,
    /// Requests and errors as counts in the minute, times in milliseconds, healthy as targets.
    pub value: f64,
}
