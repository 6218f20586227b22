//! How the watching goes, for the page Status and `GET /api/v1/status`.

use crate::AccountHealth;
use crate::Moment;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// The page Status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusPage {
    /// The account's clock.
    pub now: Moment,
    /// Every account and region that is watched.
    pub regions: Vec<RegionStatus>,
    /// How each of them answers, in the same order.
    pub accounts: Vec<AccountHealth>,
}

/// How the watching of one account and region goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionStatus {
    /// The account number, once AWS told.
    pub account: Option<String>,
    /// The region.
    pub region: String,
    /// When the last look ended well.
    pub last_look_at: Option<Moment>,
    /// What went wrong since: AWS's call and code.
    pub trouble: Option<String>,
    /// Services that are watched.
    pub services: i64,
    /// Deployments in progress.
    pub moving: i64,
    /// Seconds between two looks now; more where events arrive and nothing moves.
    pub look_interval_seconds: f64,
    /// How many seconds after it began (by AWS's clock) the latest new deployment was seen.
    pub seconds_behind: Option<f64>,
    /// What AWS was asked.
    pub calls: CallsView,
    /// What events told.
    pub events: EventsView,
}

/// The requests to AWS of an account and region in the last hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallsView {
    /// Over how many seconds they were counted: an hour, or less after a start.
    pub seconds: i64,
    /// All of them.
    pub requests: i64,
    /// Requests for each watched service in an hour, at the pace of these seconds; `None` in the first ten
    /// minutes, which the first looks and the import are in, and where no service is watched.
    pub per_service_hour: Option<f64>,
    /// Those that AWS throttled.
    pub throttled: i64,
    /// Those that failed in another way.
    pub failed: i64,
    /// By operation, the most frequent first.
    pub operations: Vec<OperationCallsView>,
}

/// The requests of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationCallsView {
    /// The IAM action, for example `ecs:DescribeServices`.
    pub operation: String,
    /// All of them.
    pub requests: i64,
    /// Those that AWS throttled.
    pub throttled: i64,
    /// Those that failed in another way.
    pub failed: i64,
}

/// Whether events say where to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventsState {
    /// No queue is read that could tell of this region, and none came by the webhook.
    #[default]
    Off,
    /// A queue is read, or the webhook was used, and looks keep their usual pace: no event has proved yet that events
    /// of this region arrive through the queue, or one was missed.
    Unproven,
    /// They arrive, and idle services are looked at seldom.
    On,
    /// The queue cannot be read; looks keep their usual pace.
    Failing,
}

/// What events told of an account and region, since the process that watches it began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventsView {
    /// How it stands.
    pub state: EventsState,
    /// The queue in this region.
    pub queue: Option<QueueView>,
    /// When the last event of this region came.
    pub last_at: Option<Moment>,
    /// Its detail-type.
    pub last_type: Option<String>,
    /// Events that made us look.
    pub taken: i64,
    /// Of these, by the webhook.
    pub by_webhook: i64,
    /// Events that came more than once.
    pub repeated: i64,
    /// Events of other kinds.
    pub ignored: i64,
    /// Deployments that a look found although no event had told of them half a minute after they began.
    pub missed: i64,
}

/// A queue of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueView {
    /// Its name.
    pub name: String,
    /// When it last answered, with events or without.
    pub answered_at: Option<Moment>,
    /// What went wrong since: AWS's call and code.
    pub trouble: Option<String>,
    /// About how many messages wait in it.
    pub waiting: Option<i64>,
    /// Where messages go that cannot be read.
    pub dead_letter_queue: Option<String>,
    /// Messages that could not be read, and were left for the dead-letter queue.
    pub unreadable: i64,
    /// Why the last of them could not be read.
    pub unreadable_because: Option<String>,
    /// Events of accounts and regions that are not watched: which, and how many.
    pub not_watched: Vec<NotWatchedView>,
}

/// Events of an account and region that are not watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotWatchedView {
    /// The account number.
    pub account: String,
    /// The region.
    pub region: String,
    /// How many events came.
    pub count: i64,
}
