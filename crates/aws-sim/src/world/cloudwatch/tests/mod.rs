//! CloudWatch as a client sees it: the words that its tests are written in.

mod alarms;
mod data;
mod evaluation;

use super::*;
use crate::world::Caller;

const MINUTE: i64 = 60_000;

/// 2026-11-21 10:00:00 UTC.
const START: i64 = 1_795_255_200_000;

fn caller() -> Caller {
    Caller {
        account: "123456789012".into(),
        region: "eu-central-1".into(),
        principal: "arn:aws:iam::123456789012:user/test".into(),
    }
}

fn cloudwatch() -> CloudWatch {
    CloudWatch::new("123456789012", "eu-central-1", 1)
}

/// Writes a request the way JSON or CBOR would decode it.
fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::Double(number.as_f64().expect("f64")), Value::Int),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(list) => Value::List(list.into_iter().map(value).collect()),
        serde_json::Value::Object(map) => Value::Map(
            map.into_iter()
                .map(|(key, member)| (key, value(member)))
                .collect(),
        ),
    }
}

/// The same request as Query decodes it: every number and flag is text.
fn as_query(input: Value) -> Value {
    match input {
        Value::Int(number) => Value::Text(number.to_string()),
        Value::Double(number) => Value::Text(number.to_string()),
        Value::Bool(flag) => Value::Text(flag.to_string()),
        Value::List(list) => Value::List(list.into_iter().map(as_query).collect()),
        Value::Map(map) => Value::Map(
            map.into_iter()
                .map(|(key, member)| (key, as_query(member)))
                .collect(),
        ),
        other => other,
    }
}

fn try_call(
    cloudwatch: &mut CloudWatch,
    operation: &str,
    json: serde_json::Value,
    now: i64,
) -> Result<Value, AwsError> {
    cloudwatch.call(&caller(), operation, &value(json), now)
}

fn call(cloudwatch: &mut CloudWatch, operation: &str, json: serde_json::Value, now: i64) -> Value {
    try_call(cloudwatch, operation, json, now)
        .unwrap_or_else(|error| panic!("{operation}: {error}"))
}

fn code(cloudwatch: &mut CloudWatch, operation: &str, json: serde_json::Value) -> String {
    match try_call(cloudwatch, operation, json, START) {
        Ok(answer) => panic!("{operation} was accepted: {answer:?}"),
        Err(error) => error.code,
    }
}

fn dimensions() -> Vec<(String, String)> {
    vec![
        (
            "TargetGroup".to_string(),
            "targetgroup/green/0123".to_string(),
        ),
        ("LoadBalancer".to_string(), "app/shop/4567".to_string()),
    ]
}

fn record(cloudwatch: &mut CloudWatch, minute: i64, metric: &str, value: f64) {
    cloudwatch.record(
        START + minute * MINUTE,
        "AWS/ApplicationELB",
        metric,
        &dimensions(),
        &[(value, 1.0)],
    );
}

fn metric_stat(id: &str, metric: &str, stat: &str, period: i64) -> serde_json::Value {
    serde_json::json!({ "Id": id, "MetricStat": {
        "Metric": { "Namespace": "AWS/ApplicationELB", "MetricName": metric, "Dimensions": [
            { "Name": "LoadBalancer", "Value": "app/shop/4567" },
            { "Name": "TargetGroup", "Value": "targetgroup/green/0123" },
        ] },
        "Period": period, "Stat": stat,
    } })
}

fn get(queries: serde_json::Value, from: i64, to: i64) -> serde_json::Value {
    serde_json::json!({
        "MetricDataQueries": queries,
        "StartTime": (START + from * MINUTE) / 1000,
        "EndTime": (START + to * MINUTE) / 1000,
    })
}

/// What a result holds, as minutes after the start and values.
fn points(result: &Value) -> Vec<(i64, f64)> {
    let times = result
        .get("Timestamps")
        .as_list()
        .iter()
        .map(|at| match at {
            Value::Time(ms) => (ms - START) / MINUTE,
            other => panic!("no time: {other:?}"),
        });
    let values = result
        .get("Values")
        .as_list()
        .iter()
        .map(|value| value.as_f64().expect("f64"));
    times.zip(values).collect()
}

fn alarm(name: &str) -> serde_json::Value {
    serde_json::json!({
        "AlarmName": name, "Namespace": "AWS/ApplicationELB", "MetricName": "HTTPCode_Target_5XX_Count",
        "Dimensions": [
            { "Name": "LoadBalancer", "Value": "app/shop/4567" },
            { "Name": "TargetGroup", "Value": "targetgroup/green/0123" },
        ],
        "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold",
    })
}

fn described(cloudwatch: &mut CloudWatch, name: &str, now: i64) -> Value {
    let input = serde_json::json!({
        "AlarmNames": [name], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"],
    });
    let answer = call(cloudwatch, "DescribeAlarms", input, now);
    let mut all = answer.get("MetricAlarms").as_list().to_vec();
    all.extend_from_slice(answer.get("CompositeAlarms").as_list());
    assert_eq!(all.len(), 1, "{answer:?}");
    all.remove(0)
}

/// Advances in steps of ten seconds until the alarm has the state, and tells when.
fn when(cloudwatch: &mut CloudWatch, name: &str, state: AlarmState, from: i64, to: i64) -> i64 {
    let mut now = from;
    while now <= to {
        cloudwatch.evaluate(now);
        if cloudwatch.alarm_state(name) == Some(state) {
            return now;
        }
        now += 10_000;
    }
    panic!(
        "{name} did not become {state:?}; it is {:?}",
        cloudwatch.alarm_state(name)
    );
}

#[test]
fn codes_and_shapes_are_told_apart() {
    for (code, shape) in [
        ("InvalidParameterValue", "InvalidParameterValueException"),
        (
            "InvalidParameterCombination",
            "InvalidParameterCombinationException",
        ),
        ("MissingParameter", "MissingRequiredParameterException"),
        ("LimitExceeded", "LimitExceededFault"),
        ("InvalidFormat", "InvalidFormatFault"),
        ("InternalServiceError", "InternalServiceFault"),
        ("ValidationError", "ValidationException"),
        ("ResourceNotFound", "ResourceNotFound"),
        ("InvalidNextToken", "InvalidNextToken"),
    ] {
        assert_eq!(shape_name(code), shape);
    }
}
