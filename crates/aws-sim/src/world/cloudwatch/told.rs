//! What EventBridge is told when an alarm changes its state: `CloudWatch Alarm State Change`.
//!
//! \[D\] `cloudwatch-and-eventbridge`. Changes of an alarm's configuration are not told.

use serde_json::{Map, Value as Json, json};

use super::alarms::{Alarm, State, Watch};
use super::evaluation::long_date;
use super::store::stable_hash;
use super::wire::as_json;
use super::{CloudWatch, Transition};

impl CloudWatch {
    /// Keeps a change of state until the account tells it.
    pub(super) fn note_transition(&mut self, name: &str, before: &State, at_ms: i64) {
        let Some(alarm) = self.alarms.get(name) else {
            return;
        };
        let detail = json!({
            "alarmName": name,
            "configuration": configuration(alarm),
            "previousState": state(before),
            "state": state(&alarm.common.state),
        });
        self.transitions.push(Transition {
            arn: alarm.common.arn.clone(),
            at_ms,
            detail,
        });
    }
}

fn state(state: &State) -> Json {
    let mut json = json!({
        "value": state.value.as_aws(),
        "reason": state.reason,
        "timestamp": long_date(state.updated_ms),
    });
    if let (Some(data), Some(members)) = (&state.reason_data, json.as_object_mut()) {
        // JSON in a text, not a part of the event.
        members.insert("reasonData".into(), data.as_str().into());
    }
    json
}

fn configuration(alarm: &Alarm) -> Json {
    let mut json = Map::new();
    if let Some(description) = &alarm.common.description {
        json.insert("description".into(), description.as_str().into());
    }
    match &alarm.watch {
        Watch::Alarms(_) => {
            json.insert(
                "alarmRule".into(),
                as_json(alarm.configuration.get("AlarmRule")),
            );
        }
        Watch::Metrics { .. } => {
            let given = alarm.configuration.get("Metrics").as_list();
            let metrics: Vec<Json> = if given.is_empty() {
                vec![plain_metric(alarm)]
            } else {
                given.iter().map(query).collect()
            };
            json.insert("metrics".into(), metrics.into());
        }
    }
    Json::Object(json)
}

/// The dimensions are an object here, not a list of pairs.
fn metric(given: &crate::value::Value) -> Json {
    let dimensions: Map<String, Json> = given
        .get("Dimensions")
        .as_list()
        .iter()
        .filter_map(|one| {
            let name = one.get("Name").as_str()?;
            Some((name.to_string(), one.get("Value").as_str()?.into()))
        })
        .collect();
    json!({
        "namespace": given.get("Namespace").as_str(),
        "name": given.get("MetricName").as_str(),
        "dimensions": dimensions,
    })
}

/// The form of a UUID, the same for the same alarm.
fn drawn_id(arn: &str) -> String {
    let (first, second) = (stable_hash([arn, "1"]), stable_hash([arn, "2"]));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        first >> 32,
        (first >> 16) & 0xffff,
        first & 0xfff,
        second >> 52,
        second & 0xffff_ffff_ffff
    )
}

/// An alarm on one metric is told as a list of one query, with an id that AWS draws and nobody needs.
fn plain_metric(alarm: &Alarm) -> Json {
    let given = &alarm.configuration;
    let stat = given
        .get("Statistic")
        .as_str()
        .or_else(|| given.get("ExtendedStatistic").as_str());
    json!({
        "id": drawn_id(&alarm.common.arn),
        "metricStat": {
            "metric": metric(given),
            "period": given.get("Period").as_i64(),
            "stat": stat,
        },
        "returnData": true,
    })
}

fn query(given: &crate::value::Value) -> Json {
    let mut json = Map::new();
    json.insert("id".into(), as_json(given.get("Id")));
    for (name, key) in [
        ("expression", "Expression"),
        ("label", "Label"),
        ("period", "Period"),
    ] {
        if !given.get(key).is_null() {
            json.insert(name.into(), as_json(given.get(key)));
        }
    }
    let stat = given.get("MetricStat");
    if !stat.is_null() {
        json.insert(
            "metricStat".into(),
            json!({
                "metric": metric(stat.get("Metric")),
                "period": stat.get("Period").as_i64(),
                "stat": stat.get("Stat").as_str(),
            }),
        );
    }
    let returns = given.get("ReturnData").as_bool().unwrap_or(true);
    json.insert("returnData".into(), returns.into());
    Json::Object(json)
}
