//! CloudWatch: metrics from simulated traffic, GetMetricData, alarms that evaluate.
//!
//! Three choices of ours where AWS gives no promise, all adjustable or named:
//! - a minute that a service publishes appears 60 to 90 seconds after it ended, fixed by metric and
//!   minute ([`CloudWatch::set_publication_delay`]); what PutMetricData brings is visible at once;
//! - an alarm is evaluated once a minute, always at the same second of the minute, over
//!   EvaluationPeriods and two periods more;
//! - actions are recorded but not carried out: nothing in the simulation receives them.

mod alarms;
mod data;
mod evaluation;
mod math;
pub(crate) mod observed;
mod operations;
mod queries;
mod rule;
mod store;
#[cfg(test)]
mod tests;
mod told;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::alarms::{Alarm, HistoryItem};
use self::observed::{Flow, Hosts, Place};
use self::store::{MetricKey, Store, Withheld};
pub use self::wire::shape_name;
use crate::error::AwsError;
use crate::value::Value;

/// The state of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmState {
    /// `OK`
    Ok,
    /// `ALARM`
    Alarm,
    /// `INSUFFICIENT_DATA`
    InsufficientData,
}

impl AlarmState {
    /// The state as AWS writes it.
    pub fn as_aws(self) -> &'static str {
        match self {
            AlarmState::Ok => "OK",
            AlarmState::Alarm => "ALARM",
            AlarmState::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    /// The state that AWS writes so.
    pub fn parse(text: &str) -> Option<AlarmState> {
        Some(match text {
            "OK" => AlarmState::Ok,
            "ALARM" => AlarmState::Alarm,
            "INSUFFICIENT_DATA" => AlarmState::InsufficientData,
            _ => return None,
        })
    }
}

/// CloudWatch of one account in one region.
#[derive(Clone, Debug)]
pub struct CloudWatch {
    account: String,
    region: String,
    store: Store,
    alarms: BTreeMap<String, Alarm>,
    /// When which alarm is evaluated next.
    due: BTreeSet<(i64, String)>,
    history: VecDeque<HistoryItem>,
    history_count: u64,
    prune_at_ms: i64,
    /// Changes of alarms' states that nobody has taken yet.
    transitions: Vec<Transition>,
}

/// The change of an alarm's state, as EventBridge is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Transition {
    /// Of the alarm.
    pub(crate) arn: String,
    /// When, in milliseconds since 1970 UTC.
    pub(crate) at_ms: i64,
    /// The detail of `CloudWatch Alarm State Change`.
    pub(crate) detail: serde_json::Value,
}

impl CloudWatch {
    /// CloudWatch without metrics and alarms. `account` has twelve digits, `region` is for example `eu-central-1`.
    /// Traffic is drawn from `seed`.
    pub fn new(account: &str, region: &str, seed: u64) -> CloudWatch {
        CloudWatch {
            account: account.to_string(),
            region: region.to_string(),
            store: Store::new(seed),
            alarms: BTreeMap::new(),
            due: BTreeSet::new(),
            history: VecDeque::new(),
            history_count: 0,
            prune_at_ms: i64::MIN,
            transitions: Vec::new(),
        }
    }

    /// Accumulates what a service saw in the minute that contains `minute_start_ms` (milliseconds
    /// since 1970 UTC). `values` are pairs of a value and how often it was seen; without any, the
    /// minute stays without a data point.
    pub fn record(
        &mut self,
        minute_start_ms: i64,
        namespace: &str,
        metric: &str,
        dimensions: &[(String, String)],
        values: &[(f64, f64)],
    ) {
        let key = MetricKey::new(namespace, metric, dimensions);
        self.store.record(&key, minute_start_ms, values);
    }

    /// From `now_ms` on, requests go so and targets are so, at these places; elsewhere as before.
    pub(crate) fn plan_traffic(
        &mut self,
        now_ms: i64,
        flows: Vec<(Place, Vec<Flow>)>,
        hosts: Vec<(Place, Option<Hosts>)>,
    ) {
        self.store.observed.plan(now_ms, flows, hosts);
    }

    /// Evaluates the alarms up to `now_ms`, each at the moments it is due. Call it before anything reads an
    /// alarm's state, after recording what happened until then.
    pub fn evaluate(&mut self, now_ms: i64) {
        self.evaluate_until(now_ms);
    }

    /// The state of the alarm `name`, metric or composite; `None` if there is no such alarm.
    pub fn alarm_state(&self, name: &str) -> Option<AlarmState> {
        self.alarms.get(name).map(|alarm| alarm.common.state.value)
    }

    /// The changes of alarms' states since this was last asked.
    pub(crate) fn take_transitions(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.transitions)
    }

    /// When an alarm is evaluated next.
    pub(crate) fn next_evaluation_ms(&self) -> Option<i64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Hides the minutes of every metric named `metric` that begin from `from_ms` (inclusive) to
    /// `to_ms` (exclusive), so that a gap shows. They stay hidden until [`CloudWatch::stop_withholding`].
    pub fn withhold(&mut self, metric: &str, from_ms: i64, to_ms: i64) {
        self.store.withheld.push(Withheld {
            metric: metric.to_string(),
            from_ms,
            to_ms,
        });
    }

    /// Shows again whatever [`CloudWatch::withhold`] hides of the metric.
    pub fn stop_withholding(&mut self, metric: &str) {
        self.store
            .withheld
            .retain(|withheld| withheld.metric != metric);
    }

    /// A minute that a service publishes appears `after_ms` after it ended, or up to `spread_ms` later.
    pub fn set_publication_delay(&mut self, after_ms: i64, spread_ms: i64) {
        self.store.publication_delay_ms = after_ms.max(0);
        self.store.publication_spread_ms = spread_ms.max(0);
    }

    /// One operation. An unknown one is `UnknownOperationException`.
    pub fn call(
        &mut self,
        caller: &super::Caller,
        operation: &str,
        input: &Value,
        now_ms: i64,
    ) -> Result<Value, AwsError> {
        self.evaluate_until(now_ms);
        match operation {
            "PutMetricData" => self.put_metric_data(input, now_ms),
            "ListMetrics" => self.list_metrics(input, now_ms),
            "GetMetricData" => self.get_metric_data(&caller.account, input, now_ms),
            "GetMetricStatistics" => self.get_metric_statistics(input, now_ms),
            "PutMetricAlarm" => self.put_metric_alarm(&caller.account, input, now_ms),
            "PutCompositeAlarm" => self.put_composite_alarm(input, now_ms),
            "DescribeAlarms" => self.describe_alarms(input),
            "DescribeAlarmsForMetric" => self.describe_alarms_for_metric(input),
            "DescribeAlarmHistory" => self.describe_alarm_history(input),
            "DeleteAlarms" => self.delete_alarms(input, now_ms),
            "SetAlarmState" => self.set_alarm_state(input, now_ms),
            "EnableAlarmActions" => self.switch_actions(input, true, now_ms),
            "DisableAlarmActions" => self.switch_actions(input, false, now_ms),
            "TagResource" => self.tag_resource(input),
            "UntagResource" => self.untag_resource(input),
            "ListTagsForResource" => self.list_tags_for_resource(input),
            other => Err(AwsError::caller(
                "UnknownOperationException",
                format!("CloudWatch has no operation {other} here."),
            )),
        }
    }

    /// Metrics, alarms and what is withheld, for the control page.
    pub fn state(&self) -> Value {
        let withheld = self.store.withheld.iter().map(|withheld| {
            Value::map()
                .with("MetricName", withheld.metric.as_str())
                .with("From", Value::Time(withheld.from_ms))
                .with("To", Value::Time(withheld.to_ms))
        });
        Value::map()
            .with("Metrics", data::metric_state(&self.store))
            .with(
                "Alarms",
                Value::List(self.alarms.values().map(Alarm::describe).collect()),
            )
            .with("Withheld", Value::List(withheld.collect()))
            .with("PublicationDelayMs", self.store.publication_delay_ms)
            .with("PublicationSpreadMs", self.store.publication_spread_ms)
    }
}
