//! CloudWatch as a client sees it.

use proptest::prelude::*;

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
    CloudWatch::new("123456789012", "eu-central-1")
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
fn data_is_answered_newest_first_and_a_gap_stays_a_gap() {
    let mut cloudwatch = cloudwatch();
    for minute in 0..10 {
        record(&mut cloudwatch, minute, "RequestCount", minute as f64);
    }
    cloudwatch.withhold("RequestCount", START + 4 * MINUTE, START + 6 * MINUTE);
    let queries = serde_json::json!([metric_stat("m1", "RequestCount", "Sum", 60)]);
    let now = START + 20 * MINUTE;
    let answer = call(
        &mut cloudwatch,
        "GetMetricData",
        get(queries.clone(), 2, 8),
        now,
    );
    let result = &answer.get("MetricDataResults").as_list()[0];
    // The start is inclusive, the end exclusive.
    assert_eq!(points(result), [(7, 7.0), (6, 6.0), (3, 3.0), (2, 2.0)]);
    assert_eq!(result.get("StatusCode").as_str(), Some("Complete"));
    assert_eq!(result.get("Label").as_str(), Some("RequestCount"));
    cloudwatch.stop_withholding("RequestCount");
    let mut input = get(queries, 2, 8);
    input["ScanBy"] = "TimestampAscending".into();
    let answer = call(&mut cloudwatch, "GetMetricData", input, now);
    let shown = points(&answer.get("MetricDataResults").as_list()[0]);
    assert_eq!(
        shown.iter().map(|(minute, _)| *minute).collect::<Vec<_>>(),
        [2, 3, 4, 5, 6, 7]
    );
}

#[test]
fn the_last_minutes_are_not_there_yet() {
    let mut cloudwatch = cloudwatch();
    for minute in 0..10 {
        record(&mut cloudwatch, minute, "RequestCount", 1.0);
    }
    let queries = serde_json::json!([metric_stat("m1", "RequestCount", "Sum", 60)]);
    let answer = call(
        &mut cloudwatch,
        "GetMetricData",
        get(queries, 0, 10),
        START + 10 * MINUTE,
    );
    let newest = points(&answer.get("MetricDataResults").as_list()[0])[0].0;
    assert!((7..=8).contains(&newest), "{newest}");
}

#[test]
fn queries_mean_the_same_in_every_protocol() {
    let mut cloudwatch = cloudwatch();
    for minute in 0..10 {
        record(&mut cloudwatch, minute, "RequestCount", 100.0);
        if minute % 3 == 0 {
            record(&mut cloudwatch, minute, "HTTPCode_Target_5XX_Count", 10.0);
        }
    }
    let mut hidden = metric_stat("m1", "RequestCount", "Sum", 60);
    hidden["ReturnData"] = false.into();
    let mut errors = metric_stat("m2", "HTTPCode_Target_5XX_Count", "Sum", 60);
    errors["ReturnData"] = false.into();
    let input = get(
        serde_json::json!([{ "Id": "e1", "Expression": "100 * FILL(m2, 0) / m1", "Label": "share" }, hidden, errors]),
        0,
        4,
    );
    let now = START + 20 * MINUTE;
    let typed = call(&mut cloudwatch, "GetMetricData", input.clone(), now);
    let result = &typed.get("MetricDataResults").as_list()[0];
    assert_eq!(points(result), [(3, 10.0), (2, 0.0), (1, 0.0), (0, 10.0)]);
    assert_eq!(result.get("Label").as_str(), Some("share"));
    let mut text = as_query(value(input));
    if let Value::Map(members) = &mut text {
        members.insert("StartTime".into(), "2026-11-21T10:00:00Z".into());
        members.insert("EndTime".into(), "2026-11-21T10:04:00Z".into());
    }
    assert_eq!(
        cloudwatch.call(&caller(), "GetMetricData", &text, now),
        Ok(typed)
    );
}

#[test]
fn longer_periods_are_aligned_and_keep_percentiles() {
    let mut cloudwatch = cloudwatch();
    for minute in 0..10 {
        record(&mut cloudwatch, minute, "TargetResponseTime", minute as f64);
    }
    let queries = serde_json::json!([
        metric_stat("a", "TargetResponseTime", "p80", 300),
        metric_stat("b", "TargetResponseTime", "SampleCount", 300),
        metric_stat("c", "TargetResponseTime", "Average", 1),
    ]);
    let answer = call(
        &mut cloudwatch,
        "GetMetricData",
        get(queries, 0, 10),
        START + 30 * MINUTE,
    );
    let results = answer.get("MetricDataResults").as_list();
    assert_eq!(points(&results[0]), [(5, 8.0), (0, 3.0)]);
    assert_eq!(points(&results[1]), [(5, 5.0), (0, 5.0)]);
    assert_eq!(points(&results[2]).len(), 10);
}

#[test]
fn metric_data_requests_are_checked() {
    let mut cloudwatch = cloudwatch();
    let ask = |cloudwatch: &mut CloudWatch, queries: serde_json::Value| {
        try_call(cloudwatch, "GetMetricData", get(queries, 0, 1), START)
    };
    let fine = metric_stat("m1", "RequestCount", "Sum", 60);
    assert!(ask(&mut cloudwatch, serde_json::json!([fine])).is_ok());
    for wrong in [
        serde_json::json!([]),
        serde_json::json!([fine, fine]),
        serde_json::json!([metric_stat("M1", "RequestCount", "Sum", 60)]),
        serde_json::json!([metric_stat("m1", "RequestCount", "Sum", 61)]),
        serde_json::json!([metric_stat("m1", "RequestCount", "tm99", 60)]),
        serde_json::json!([{ "Id": "e1", "Expression": "m1 +" }]),
        serde_json::json!([{ "Id": "e1", "Expression": "m1" }]),
        serde_json::json!([{ "Id": "e1", "Expression": "e2" }, { "Id": "e2", "Expression": "e1" }]),
        serde_json::json!([fine, { "Id": "e1", "Expression": "SUM(m1)" }]),
        serde_json::json!([{ "Id": "e1" }]),
    ] {
        let error = ask(&mut cloudwatch, wrong.clone()).expect_err("refused");
        assert_eq!(error.code, "ValidationError", "{wrong}");
    }
    let many: Vec<_> = (0..501)
        .map(|index| metric_stat(&format!("m{index}"), "RequestCount", "Sum", 60))
        .collect();
    assert!(ask(&mut cloudwatch, serde_json::json!(many[..500])).is_ok());
    assert!(ask(&mut cloudwatch, serde_json::json!(many)).is_err());
    let mut backwards = get(serde_json::json!([fine]), 5, 5);
    assert_eq!(
        code(&mut cloudwatch, "GetMetricData", backwards.clone()),
        "ValidationError"
    );
    backwards = get(serde_json::json!([fine]), 0, 5);
    backwards["NextToken"] = "nonsense".into();
    assert_eq!(
        code(&mut cloudwatch, "GetMetricData", backwards),
        "InvalidNextToken"
    );
    let huge = serde_json::json!({
        "MetricDataQueries": [fine], "StartTime": i64::MIN, "EndTime": i64::MAX,
    });
    assert_eq!(
        code(&mut cloudwatch, "GetMetricData", huge),
        "ValidationError"
    );
    // Sixty years of minutes are not written out to be filled.
    let fill = serde_json::json!({
        "MetricDataQueries": [fine, { "Id": "e1", "Expression": "FILL(m1, 0)" }],
        "StartTime": 0, "EndTime": 4_000_000_000i64,
    });
    let answer = call(&mut cloudwatch, "GetMetricData", fill, START);
    let filled = points(&answer.get("MetricDataResults").as_list()[1]);
    assert_eq!(filled.len(), 15 * 24 * 60 + 1);
}

#[test]
fn another_account_is_forbidden_and_another_unit_is_empty() {
    let mut cloudwatch = cloudwatch();
    record(&mut cloudwatch, 0, "RequestCount", 1.0);
    let mut foreign = metric_stat("m1", "RequestCount", "Sum", 60);
    foreign["AccountId"] = "999999999999".into();
    let mut unit = metric_stat("m2", "RequestCount", "Sum", 60);
    unit["MetricStat"]["Unit"] = "Seconds".into();
    let queries = serde_json::json!([foreign, unit, metric_stat("m3", "RequestCount", "Sum", 60)]);
    let answer = call(
        &mut cloudwatch,
        "GetMetricData",
        get(queries, 0, 5),
        START + 9 * MINUTE,
    );
    let results = answer.get("MetricDataResults").as_list();
    assert_eq!(results[0].get("StatusCode").as_str(), Some("Forbidden"));
    assert_eq!(points(&results[1]), []);
    assert_eq!(points(&results[2]), [(0, 1.0)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pages_of_metric_data_hold_everything_once(
        present in prop::collection::vec(prop::collection::vec(any::<bool>(), 12), 1..4),
        page in 1usize..9,
        ascending in any::<bool>(),
    ) {
        let mut cloudwatch = cloudwatch();
        let mut queries = Vec::new();
        for (metric, minutes) in present.iter().enumerate() {
            let name = format!("Metric{metric}");
            for (minute, there) in minutes.iter().enumerate() {
                if *there {
                    record(&mut cloudwatch, minute as i64, &name, minute as f64);
                }
            }
            queries.push(metric_stat(&format!("m{metric}"), &name, "Sum", 60));
        }
        queries.push(serde_json::json!({ "Id": "all", "Expression": "METRICS() * 1" }));
        let mut input = get(serde_json::json!(queries), 0, 12);
        input["ScanBy"] =
            if ascending { "TimestampAscending" } else { "TimestampDescending" }.into();
        // The last minutes are published while the pages are read, and do not slip in.
        let now = START + 12 * MINUTE;
        let whole = call(&mut cloudwatch, "GetMetricData", input.clone(), now);
        prop_assert!(whole.get("NextToken").is_null());
        input["MaxDatapoints"] = page.into();
        let mut collected: BTreeMap<(String, String), Vec<(i64, f64)>> = BTreeMap::new();
        let mut pages = 0;
        loop {
            let answer = call(&mut cloudwatch, "GetMetricData", input.clone(), now + pages * MINUTE);
            let mut count = 0;
            for result in answer.get("MetricDataResults").as_list() {
                let text = |key: &str| result.get(key).as_str().expect("text").to_string();
                let found = points(result);
                count += found.len();
                collected.entry((text("Id"), text("Label"))).or_default().extend(found);
            }
            prop_assert!(count <= page);
            pages += 1;
            prop_assert!(pages < 100);
            match answer.get("NextToken").as_str() {
                Some(token) => input["NextToken"] = token.into(),
                None => break,
            }
        }
        let mut expected: BTreeMap<(String, String), Vec<(i64, f64)>> = BTreeMap::new();
        for result in whole.get("MetricDataResults").as_list() {
            let text = |key: &str| result.get(key).as_str().expect("text").to_string();
            expected.insert((text("Id"), text("Label")), points(result));
        }
        prop_assert_eq!(collected, expected);
    }
}

#[test]
fn custom_metrics_are_put_listed_and_read_at_once() {
    let mut cloudwatch = cloudwatch();
    let datum = |extra: serde_json::Value| {
        let mut datum = serde_json::json!({
            "MetricName": "Orders", "Dimensions": [{ "Name": "Shop", "Value": "one" }], "Unit": "Count",
        });
        for (key, member) in extra.as_object().expect("object") {
            datum[key] = member.clone();
        }
        serde_json::json!({ "Namespace": "Shop", "MetricData": [datum] })
    };
    for extra in [
        serde_json::json!({ "Value": 4.0 }),
        serde_json::json!({ "Values": [1.0, 2.0], "Counts": [3.0, 1.0] }),
        serde_json::json!({ "StatisticValues": { "SampleCount": 2.0, "Sum": 7.0, "Minimum": 3.0, "Maximum": 4.0 } }),
    ] {
        call(
            &mut cloudwatch,
            "PutMetricData",
            datum(extra),
            START + 5_000,
        );
    }
    let statistics = serde_json::json!({
        "Namespace": "Shop", "MetricName": "Orders", "Dimensions": [{ "Name": "Shop", "Value": "one" }],
        "StartTime": START / 1000 + 1, "EndTime": START / 1000 + 600, "Period": 60,
        "Statistics": ["Sum", "SampleCount", "Minimum", "Maximum", "Average"],
    });
    let answer = call(
        &mut cloudwatch,
        "GetMetricStatistics",
        statistics.clone(),
        START + 5_000,
    );
    let [point] = answer.get("Datapoints").as_list() else {
        panic!("{answer:?}")
    };
    assert_eq!(point.get("Sum").as_f64(), Some(16.0));
    assert_eq!(point.get("SampleCount").as_f64(), Some(7.0));
    assert_eq!(point.get("Minimum").as_f64(), Some(1.0));
    assert_eq!(point.get("Maximum").as_f64(), Some(4.0));
    assert_eq!(point.get("Unit").as_str(), Some("Count"));
    assert_eq!(point.get("Timestamp"), &Value::Time(START));

    for (wrong, expected) in [
        (serde_json::json!({}), "MissingParameter"),
        (
            serde_json::json!({ "Value": 1.0, "Values": [1.0] }),
            "InvalidParameterCombination",
        ),
        (
            serde_json::json!({ "Value": "NaN" }),
            "InvalidParameterValue",
        ),
        (
            serde_json::json!({ "Values": [1.0], "Counts": [1.0, 2.0] }),
            "InvalidParameterValue",
        ),
        (
            serde_json::json!({ "Value": 1.0, "Unit": "Bananas" }),
            "InvalidParameterValue",
        ),
        (
            serde_json::json!({ "Value": 1.0, "Timestamp": 1 }),
            "InvalidParameterValue",
        ),
    ] {
        assert_eq!(
            code(&mut cloudwatch, "PutMetricData", datum(wrong)),
            expected
        );
    }
    let mut reserved = datum(serde_json::json!({ "Value": 1.0 }));
    reserved["Namespace"] = "AWS/ApplicationELB".into();
    assert_eq!(
        code(&mut cloudwatch, "PutMetricData", reserved),
        "InvalidParameterValue"
    );
    let mut wide = statistics;
    wide["EndTime"] = (START / 1000 + 60 * 1500).into();
    assert_eq!(
        code(&mut cloudwatch, "GetMetricStatistics", wide),
        "InvalidParameterCombination"
    );
}

#[test]
fn metrics_are_listed_by_filter_in_pages_each_once() {
    let mut cloudwatch = cloudwatch();
    for index in 0..1_200 {
        let dimensions = [("Id".to_string(), index.to_string())];
        cloudwatch.record(START, "Many", "Metric", &dimensions, &[(1.0, 1.0)]);
    }
    record(&mut cloudwatch, 0, "RequestCount", 1.0);
    let now = START + 5 * MINUTE;
    let mut seen = BTreeSet::new();
    let mut input = serde_json::json!({});
    loop {
        let answer = call(&mut cloudwatch, "ListMetrics", input.clone(), now);
        for metric in answer.get("Metrics").as_list() {
            assert!(seen.insert(format!("{metric:?}")));
        }
        match answer.get("NextToken").as_str() {
            Some(token) => input["NextToken"] = token.into(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 1_201);
    let mut count = |input: serde_json::Value, now: i64| {
        call(&mut cloudwatch, "ListMetrics", input, now)
            .get("Metrics")
            .as_list()
            .len()
    };
    assert_eq!(
        count(serde_json::json!({ "MetricName": "RequestCount" }), now),
        1
    );
    let by_value = serde_json::json!({ "Dimensions": [{ "Name": "Id", "Value": "7" }] });
    assert_eq!(count(by_value, now), 1);
    let by_name = serde_json::json!({ "Dimensions": [{ "Name": "TargetGroup" }] });
    assert_eq!(count(by_name, now), 1);
    let recent = serde_json::json!({ "RecentlyActive": "PT3H", "MetricName": "RequestCount" });
    assert_eq!(count(recent.clone(), now), 1);
    assert_eq!(count(recent, now + 4 * 60 * MINUTE), 0);
    // Not yet published is not yet listed.
    assert_eq!(
        count(
            serde_json::json!({ "MetricName": "RequestCount" }),
            START + MINUTE
        ),
        0
    );
}

#[test]
fn an_alarm_follows_the_first_bad_minute_after_two_to_three_minutes_and_a_half() {
    // The moment within the minute at which an alarm is evaluated comes from its name.
    for name in ["five-xx", "errors", "a", "b", "c", "d", "e", "f"] {
        let mut cloudwatch = cloudwatch();
        call(&mut cloudwatch, "PutMetricAlarm", alarm(name), START);
        assert_eq!(
            cloudwatch.alarm_state(name),
            Some(AlarmState::InsufficientData)
        );
        let fresh = described(&mut cloudwatch, name, START);
        assert_eq!(
            fresh.get("StateReason").as_str(),
            Some("Unchecked: Initial alarm creation")
        );
        for minute in 0..30 {
            let errors = if minute == 10 { 7.0 } else { 0.0 };
            record(&mut cloudwatch, minute, "HTTPCode_Target_5XX_Count", errors);
        }
        when(
            &mut cloudwatch,
            name,
            AlarmState::Ok,
            START,
            START + 5 * MINUTE,
        );
        let bad = START + 10 * MINUTE;
        let at = when(
            &mut cloudwatch,
            name,
            AlarmState::Alarm,
            START + 5 * MINUTE,
            bad + 5 * MINUTE,
        );
        assert!(
            (120_000..=220_000).contains(&(at - bad)),
            "{name}: {}",
            at - bad
        );
        let described = described(&mut cloudwatch, name, at);
        assert_eq!(
            described.get("StateReason").as_str(),
            Some(
                "Threshold Crossed: 1 out of the last 1 datapoints [7.0 (21/11/26 10:10:00)] was greater than the \
                 threshold (5.0) (minimum 1 datapoint for OK -> ALARM transition)."
            )
        );
        let data = described.get("StateReasonData").as_str().expect("data");
        let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(data["recentDatapoints"], serde_json::json!([7.0]));
        assert_eq!(data["startDate"], "2026-11-21T10:10:00.000+0000");
        assert_eq!(data["evaluatedDatapoints"][0]["sampleCount"], 1.0);
        assert_eq!(data["statistic"], "Sum");
        when(&mut cloudwatch, name, AlarmState::Ok, at, at + 3 * MINUTE);
    }
}

#[test]
fn one_long_step_ends_as_many_short_ones() {
    let prepare = || {
        let mut cloudwatch = cloudwatch();
        call(&mut cloudwatch, "PutMetricAlarm", alarm("errors"), START);
        for minute in [3, 4, 9, 10, 11, 20] {
            record(&mut cloudwatch, minute, "HTTPCode_Target_5XX_Count", 7.0);
        }
        for minute in [5, 12] {
            record(&mut cloudwatch, minute, "HTTPCode_Target_5XX_Count", 1.0);
        }
        cloudwatch
    };
    let end = START + 40 * MINUTE;
    let history = |cloudwatch: &mut CloudWatch| {
        let input = serde_json::json!({ "HistoryItemType": "StateUpdate" });
        call(cloudwatch, "DescribeAlarmHistory", input, end)
    };
    let (mut long, mut short) = (prepare(), prepare());
    long.evaluate(end);
    let mut now = START;
    while now <= end {
        short.evaluate(now);
        now += 7_000;
    }
    assert_eq!(history(&mut long), history(&mut short));
    assert!(history(&mut long).get("AlarmHistoryItems").as_list().len() >= 6);
}

#[test]
fn an_alarm_without_new_data_stays_for_the_evaluation_range_and_then_knows_nothing() {
    let mut cloudwatch = cloudwatch();
    call(&mut cloudwatch, "PutMetricAlarm", alarm("errors"), START);
    record(&mut cloudwatch, 1, "HTTPCode_Target_5XX_Count", 7.0);
    let on = when(
        &mut cloudwatch,
        "errors",
        AlarmState::Alarm,
        START,
        START + 10 * MINUTE,
    );
    let off = when(
        &mut cloudwatch,
        "errors",
        AlarmState::InsufficientData,
        on,
        START + 20 * MINUTE,
    );
    assert!(off > on);
    // The data point of minute 1 is within the last three whole minutes until 10:05.
    assert!(
        (off - (START + 5 * MINUTE)).abs() <= MINUTE + 10_000,
        "{}",
        off - START
    );
    let described = described(&mut cloudwatch, "errors", off);
    assert_eq!(
        described.get("StateReason").as_str(),
        Some("Insufficient Data: 1 datapoint was unknown.")
    );
}

#[test]
fn missing_data_is_treated_as_the_alarm_says() {
    for (treat, expected) in [
        ("missing", AlarmState::InsufficientData),
        ("ignore", AlarmState::Alarm),
        ("notBreaching", AlarmState::Ok),
        ("breaching", AlarmState::Alarm),
    ] {
        let mut cloudwatch = cloudwatch();
        let mut input = alarm("errors");
        input["TreatMissingData"] = treat.into();
        call(&mut cloudwatch, "PutMetricAlarm", input, START);
        record(&mut cloudwatch, 1, "HTTPCode_Target_5XX_Count", 7.0);
        when(
            &mut cloudwatch,
            "errors",
            AlarmState::Alarm,
            START,
            START + 10 * MINUTE,
        );
        cloudwatch.evaluate(START + 30 * MINUTE);
        assert_eq!(cloudwatch.alarm_state("errors"), Some(expected), "{treat}");
    }
}

#[test]
fn an_alarm_on_an_expression_watches_both_target_groups() {
    let mut cloudwatch = cloudwatch();
    let mut requests = metric_stat("requests", "RequestCount", "Sum", 60);
    requests["ReturnData"] = false.into();
    let mut errors = metric_stat("errors", "HTTPCode_Target_5XX_Count", "Sum", 60);
    errors["ReturnData"] = false.into();
    let input = serde_json::json!({
        "AlarmName": "share", "EvaluationPeriods": 2, "DatapointsToAlarm": 2, "Threshold": 10,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "notBreaching",
        "Metrics": [
            requests, errors,
            { "Id": "share", "Expression": "100 * FILL(errors, 0) / requests", "Label": "Share of errors" },
        ],
    });
    call(&mut cloudwatch, "PutMetricAlarm", input.clone(), START);
    for minute in 0..40 {
        record(&mut cloudwatch, minute, "RequestCount", 100.0);
        if [5, 7, 10, 11].contains(&minute) {
            record(&mut cloudwatch, minute, "HTTPCode_Target_5XX_Count", 20.0);
        }
    }
    let at = when(
        &mut cloudwatch,
        "share",
        AlarmState::Alarm,
        START,
        START + 30 * MINUTE,
    );
    // Single bad minutes are not enough; the second of two in a row is.
    let bad = START + 11 * MINUTE;
    assert!(
        (2 * MINUTE..=4 * MINUTE).contains(&(at - bad)),
        "{}",
        at - bad
    );
    let described = described(&mut cloudwatch, "share", at);
    assert_eq!(described.get("Metrics").as_list().len(), 3);
    assert!(described.get("MetricName").is_null());

    let mut wrong = input.clone();
    wrong["Metrics"][0]["ReturnData"] = true.into();
    assert_eq!(
        code(&mut cloudwatch, "PutMetricAlarm", wrong),
        "ValidationError"
    );
    let mut wrong = input.clone();
    wrong["Metrics"][2]["Expression"] = "METRICS()".into();
    assert_eq!(
        code(&mut cloudwatch, "PutMetricAlarm", wrong),
        "ValidationError"
    );
    let mut wrong = input;
    wrong["MetricName"] = "RequestCount".into();
    assert_eq!(
        code(&mut cloudwatch, "PutMetricAlarm", wrong),
        "ValidationError"
    );
}

#[test]
fn alarm_requests_are_checked() {
    let mut cloudwatch = cloudwatch();
    for (member, wrong) in [
        ("AlarmName", serde_json::json!("")),
        ("ComparisonOperator", serde_json::json!("Greater")),
        ("EvaluationPeriods", serde_json::json!(0)),
        ("EvaluationPeriods", serde_json::json!(1_441)),
        ("DatapointsToAlarm", serde_json::json!(2)),
        ("Period", serde_json::json!(61)),
        ("Period", serde_json::json!(i64::MAX / 60 * 60)),
        ("Period", serde_json::Value::Null),
        ("Threshold", serde_json::Value::Null),
        ("Threshold", serde_json::json!("NaN")),
        ("Statistic", serde_json::json!("p99")),
        ("ExtendedStatistic", serde_json::json!("p99")),
        ("TreatMissingData", serde_json::json!("maybe")),
        ("AlarmActions", serde_json::json!(["topic"])),
        ("ThresholdMetricId", serde_json::json!("ad1")),
    ] {
        let mut input = alarm("errors");
        input[member] = wrong.clone();
        assert_eq!(
            code(&mut cloudwatch, "PutMetricAlarm", input),
            "ValidationError",
            "{member}"
        );
    }
    let text = as_query(value(alarm("errors")));
    assert!(
        cloudwatch
            .call(&caller(), "PutMetricAlarm", &text, START)
            .is_ok()
    );
    let described = described(&mut cloudwatch, "errors", START);
    assert_eq!(described.get("Period"), &Value::Int(60));
    assert_eq!(described.get("Threshold"), &Value::Double(5.0));
    assert_eq!(described.get("ActionsEnabled"), &Value::Bool(true));
    assert_eq!(
        described.get("AlarmArn").as_str(),
        Some("arn:aws:cloudwatch:eu-central-1:123456789012:alarm:errors")
    );
    assert_eq!(
        code(&mut cloudwatch, "Nonsense", serde_json::json!({})),
        "UnknownOperationException"
    );
}

#[test]
fn a_forced_state_lasts_until_the_next_evaluation() {
    let mut cloudwatch = cloudwatch();
    call(&mut cloudwatch, "PutMetricAlarm", alarm("errors"), START);
    for minute in 0..30 {
        record(&mut cloudwatch, minute, "HTTPCode_Target_5XX_Count", 0.0);
    }
    let now = when(
        &mut cloudwatch,
        "errors",
        AlarmState::Ok,
        START,
        START + 9 * MINUTE,
    );
    let force = serde_json::json!({
        "AlarmName": "errors", "StateValue": "ALARM", "StateReason": "game day", "StateReasonData": "{\"a\":1}",
    });
    call(&mut cloudwatch, "SetAlarmState", force.clone(), now);
    let described = described(&mut cloudwatch, "errors", now);
    assert_eq!(described.get("StateValue").as_str(), Some("ALARM"));
    assert_eq!(described.get("StateReason").as_str(), Some("game day"));
    assert_eq!(
        described.get("StateTransitionedTimestamp"),
        &Value::Time(now)
    );
    let back = when(
        &mut cloudwatch,
        "errors",
        AlarmState::Ok,
        now + 1,
        now + 2 * MINUTE,
    );
    assert!(back - now <= MINUTE + 10_000);

    let mut wrong = force.clone();
    wrong["StateReasonData"] = "{".into();
    assert_eq!(
        code(&mut cloudwatch, "SetAlarmState", wrong),
        "InvalidFormat"
    );
    let mut wrong = force;
    wrong["AlarmName"] = "nobody".into();
    let error = try_call(&mut cloudwatch, "SetAlarmState", wrong, now).expect_err("unknown");
    assert_eq!(
        (error.code.as_str(), error.status),
        ("ResourceNotFound", 404)
    );
}

#[test]
fn the_history_tells_every_change_once_in_pages() {
    let mut cloudwatch = cloudwatch();
    call(&mut cloudwatch, "PutMetricAlarm", alarm("errors"), START);
    for (index, state) in ["ALARM", "OK", "OK", "ALARM"].into_iter().enumerate() {
        let input = serde_json::json!({
            "AlarmName": "errors", "StateValue": state, "StateReason": format!("step {index}"),
        });
        call(
            &mut cloudwatch,
            "SetAlarmState",
            input,
            START + index as i64,
        );
    }
    call(
        &mut cloudwatch,
        "DeleteAlarms",
        serde_json::json!({ "AlarmNames": ["errors"] }),
        START + 9,
    );
    let mut collect = |ascending: bool| {
        let mut input = serde_json::json!({ "MaxRecords": 2, "AlarmName": "errors" });
        if ascending {
            input["ScanBy"] = "TimestampAscending".into();
        }
        let mut summaries = Vec::new();
        loop {
            let answer = call(
                &mut cloudwatch,
                "DescribeAlarmHistory",
                input.clone(),
                START + 10,
            );
            for item in answer.get("AlarmHistoryItems").as_list() {
                summaries.push(
                    item.get("HistorySummary")
                        .as_str()
                        .expect("text")
                        .to_string(),
                );
            }
            match answer.get("NextToken").as_str() {
                Some(token) => input["NextToken"] = token.into(),
                None => return summaries,
            }
        }
    };
    let mut ascending = collect(true);
    assert_eq!(
        ascending,
        [
            "Alarm \"errors\" created",
            "Alarm updated from INSUFFICIENT_DATA to ALARM",
            "Alarm updated from ALARM to OK",
            "Alarm updated from OK to ALARM",
            "Alarm \"errors\" deleted",
        ]
    );
    ascending.reverse();
    assert_eq!(collect(false), ascending);
}

#[test]
fn alarms_are_described_by_filter_and_composite_ones_only_when_asked_for() {
    let mut cloudwatch = cloudwatch();
    for index in 0..120 {
        call(
            &mut cloudwatch,
            "PutMetricAlarm",
            alarm(&format!("alarm-{index:03}")),
            START,
        );
    }
    call(
        &mut cloudwatch,
        "PutCompositeAlarm",
        serde_json::json!({ "AlarmName": "either", "AlarmRule": "ALARM(alarm-000) OR ALARM(\"alarm-001\")" }),
        START,
    );
    let mut names = BTreeSet::new();
    let mut input = serde_json::json!({ "MaxRecords": 7 });
    loop {
        let answer = call(&mut cloudwatch, "DescribeAlarms", input.clone(), START);
        assert!(answer.get("CompositeAlarms").as_list().is_empty());
        for alarm in answer.get("MetricAlarms").as_list() {
            assert!(names.insert(alarm.get("AlarmName").as_str().expect("name").to_string()));
        }
        match answer.get("NextToken").as_str() {
            Some(token) => input["NextToken"] = token.into(),
            None => break,
        }
    }
    assert_eq!(names.len(), 120);
    let mut count = |input: serde_json::Value| {
        let answer = call(&mut cloudwatch, "DescribeAlarms", input, START);
        (
            answer.get("MetricAlarms").as_list().len(),
            answer.get("CompositeAlarms").as_list().len(),
        )
    };
    assert_eq!(count(serde_json::json!({})), (50, 0));
    assert_eq!(
        count(serde_json::json!({ "AlarmNamePrefix": "alarm-11" })),
        (10, 0)
    );
    assert_eq!(
        count(serde_json::json!({ "AlarmNames": ["either"] })),
        (0, 0)
    );
    assert_eq!(
        count(
            serde_json::json!({ "AlarmNames": ["either", "none"], "AlarmTypes": ["CompositeAlarm"] })
        ),
        (0, 1)
    );
    assert_eq!(
        count(serde_json::json!({ "AlarmTypes": ["LogAlarm"] })),
        (0, 0)
    );
    assert_eq!(count(serde_json::json!({ "StateValue": "ALARM" })), (0, 0));
    assert_eq!(
        count(serde_json::json!({ "ChildrenOfAlarmName": "either" })),
        (2, 0)
    );
    assert_eq!(
        count(serde_json::json!({ "ParentsOfAlarmName": "alarm-001" })),
        (0, 1)
    );
    let many: Vec<String> = (0..101).map(|index| index.to_string()).collect();
    let input = serde_json::json!({ "AlarmNames": many });
    assert_eq!(
        code(&mut cloudwatch, "DescribeAlarms", input),
        "ValidationError"
    );
    let input = serde_json::json!({ "NextToken": "x" });
    assert_eq!(
        code(&mut cloudwatch, "DescribeAlarms", input),
        "InvalidNextToken"
    );
    let mut for_metric = serde_json::json!({
        "Namespace": "AWS/ApplicationELB", "MetricName": "HTTPCode_Target_5XX_Count",
        "Dimensions": alarm("x")["Dimensions"],
    });
    let answer = call(
        &mut cloudwatch,
        "DescribeAlarmsForMetric",
        for_metric.clone(),
        START,
    );
    assert_eq!(answer.get("MetricAlarms").as_list().len(), 120);
    for_metric["Dimensions"] = serde_json::json!([]);
    let answer = call(
        &mut cloudwatch,
        "DescribeAlarmsForMetric",
        for_metric,
        START,
    );
    assert_eq!(answer.get("MetricAlarms").as_list().len(), 0);
}

#[test]
fn a_composite_alarm_follows_its_children() {
    let mut cloudwatch = cloudwatch();
    for name in ["blue", "green"] {
        let mut input = alarm(name);
        input["TreatMissingData"] = "ignore".into();
        call(&mut cloudwatch, "PutMetricAlarm", input, START);
    }
    let composite = |rule: &str| serde_json::json!({ "AlarmName": "either", "AlarmRule": rule });
    let put = |cloudwatch: &mut CloudWatch, rule: &str, now: i64| {
        call(cloudwatch, "PutCompositeAlarm", composite(rule), now)
    };
    put(&mut cloudwatch, "ALARM(blue) OR ALARM(green)", START);
    assert_eq!(
        cloudwatch.alarm_state("either"),
        Some(AlarmState::InsufficientData)
    );
    cloudwatch.evaluate(START + 10_000);
    let arn = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm";
    let fresh = described(&mut cloudwatch, "either", START + 10_000);
    assert_eq!(
        fresh.get("StateReason").as_str(),
        Some(format!("{arn}:either was created and its alarm rule evaluates to OK").as_str())
    );
    let force =
        serde_json::json!({ "AlarmName": "green", "StateValue": "ALARM", "StateReason": "x" });
    call(&mut cloudwatch, "SetAlarmState", force, START + MINUTE);
    let fired = described(&mut cloudwatch, "either", START + MINUTE);
    assert_eq!(fired.get("StateValue").as_str(), Some("ALARM"));
    let expected =
        format!("{arn}:green transitioned to ALARM at Saturday 21 November, 2026 10:01:00 UTC");
    assert_eq!(fired.get("StateReason").as_str(), Some(expected.as_str()));
    let above = serde_json::json!({ "AlarmName": "above", "AlarmRule": "ALARM(either)" });
    call(&mut cloudwatch, "PutCompositeAlarm", above, START + MINUTE);
    cloudwatch.evaluate(START + 2 * MINUTE);
    assert_eq!(cloudwatch.alarm_state("above"), Some(AlarmState::Alarm));
    put(
        &mut cloudwatch,
        "ALARM(blue) AND ALARM(green)",
        START + 2 * MINUTE,
    );
    assert_eq!(cloudwatch.alarm_state("either"), Some(AlarmState::Alarm));
    cloudwatch.evaluate(START + 3 * MINUTE);
    assert_eq!(cloudwatch.alarm_state("either"), Some(AlarmState::Ok));
    // The alarm above it follows although no metric alarm changed.
    assert_eq!(cloudwatch.alarm_state("above"), Some(AlarmState::Ok));
    let updated = described(&mut cloudwatch, "either", START + 3 * MINUTE);
    assert_eq!(
        updated.get("StateReason").as_str(),
        Some(format!("{arn}:either was updated and its new alarm rule evaluates to OK").as_str())
    );
    let gone = serde_json::json!({ "AlarmNames": ["above"] });
    call(&mut cloudwatch, "DeleteAlarms", gone, START + 3 * MINUTE);

    for wrong in ["ALARM(nobody)", " ALARM(blue)", "ALARM(blue", "blue"] {
        assert_eq!(
            code(&mut cloudwatch, "PutCompositeAlarm", composite(wrong)),
            "ValidationError"
        );
    }
    let delete = |names: &[&str]| serde_json::json!({ "AlarmNames": names });
    let error = try_call(&mut cloudwatch, "DeleteAlarms", delete(&["blue"]), START)
        .expect_err("still needed");
    assert_eq!(
        error.message,
        "Cannot delete blue as there are composite alarm(s) depending on it."
    );
    call(
        &mut cloudwatch,
        "DeleteAlarms",
        delete(&["blue", "either"]),
        START + 3 * MINUTE,
    );
    let gone = try_call(
        &mut cloudwatch,
        "DeleteAlarms",
        delete(&["green", "blue"]),
        START,
    )
    .expect_err("gone");
    assert_eq!(gone.code, "ResourceNotFound");
    assert_eq!(cloudwatch.alarm_state("green"), None);
}

#[test]
fn composite_alarms_in_a_circle_come_to_an_end() {
    let mut cloudwatch = cloudwatch();
    call(&mut cloudwatch, "PutMetricAlarm", alarm("errors"), START);
    let put = |cloudwatch: &mut CloudWatch, name: &str, rule: &str| {
        let input = serde_json::json!({ "AlarmName": name, "AlarmRule": rule });
        call(cloudwatch, "PutCompositeAlarm", input, START);
    };
    put(&mut cloudwatch, "one", "ALARM(errors)");
    put(&mut cloudwatch, "two", "NOT ALARM(one)");
    put(&mut cloudwatch, "one", "ALARM(two) OR ALARM(errors)");
    let force =
        serde_json::json!({ "AlarmName": "errors", "StateValue": "ALARM", "StateReason": "x" });
    call(&mut cloudwatch, "SetAlarmState", force, START + MINUTE);
    assert_eq!(cloudwatch.alarm_state("one"), Some(AlarmState::Alarm));
}

#[test]
fn an_update_keeps_the_state_and_actions_and_tags_are_kept_too() {
    let mut cloudwatch = cloudwatch();
    let mut input = alarm("errors");
    input["Tags"] = serde_json::json!([{ "Key": "team", "Value": "shop" }]);
    call(&mut cloudwatch, "PutMetricAlarm", input, START);
    let force =
        serde_json::json!({ "AlarmName": "errors", "StateValue": "ALARM", "StateReason": "x" });
    call(&mut cloudwatch, "SetAlarmState", force, START + 1);
    let mut input = alarm("errors");
    input["Threshold"] = 9.into();
    call(&mut cloudwatch, "PutMetricAlarm", input, START + 2);
    let after = described(&mut cloudwatch, "errors", START + 3);
    assert_eq!(after.get("StateValue").as_str(), Some("ALARM"));
    assert_eq!(after.get("Threshold"), &Value::Double(9.0));
    let arn = after.get("AlarmArn").as_str().expect("arn").to_string();
    let list = serde_json::json!({ "ResourceARN": arn });
    let tags = call(
        &mut cloudwatch,
        "ListTagsForResource",
        list.clone(),
        START + 3,
    );
    assert_eq!(tags.get("Tags").as_list().len(), 1);
    let untag = serde_json::json!({ "ResourceARN": arn, "TagKeys": ["team"] });
    call(&mut cloudwatch, "UntagResource", untag, START + 3);
    let tags = call(&mut cloudwatch, "ListTagsForResource", list, START + 3);
    assert!(tags.get("Tags").as_list().is_empty());
    let names = serde_json::json!({ "AlarmNames": ["errors"] });
    call(
        &mut cloudwatch,
        "DisableAlarmActions",
        names.clone(),
        START + 4,
    );
    let off = described(&mut cloudwatch, "errors", START + 4);
    assert_eq!(off.get("ActionsEnabled"), &Value::Bool(false));
    call(&mut cloudwatch, "EnableAlarmActions", names, START + 5);
    let on = described(&mut cloudwatch, "errors", START + 5);
    assert_eq!(on.get("ActionsEnabled"), &Value::Bool(true));
}

#[test]
fn a_longer_period_is_not_judged_before_it_is_published() {
    let mut cloudwatch = cloudwatch();
    let mut input = alarm("traffic");
    input["MetricName"] = "RequestCount".into();
    input["Period"] = 300.into();
    input["Threshold"] = 500.into();
    input["ComparisonOperator"] = "LessThanThreshold".into();
    for minute in -30..60 {
        record(&mut cloudwatch, minute, "RequestCount", 100.0);
    }
    call(&mut cloudwatch, "PutMetricAlarm", input, START);
    let mut now = START;
    while now < START + 40 * MINUTE {
        cloudwatch.evaluate(now);
        assert_ne!(
            cloudwatch.alarm_state("traffic"),
            Some(AlarmState::Alarm),
            "{}",
            now - START
        );
        now += 10_000;
    }
    assert_eq!(cloudwatch.alarm_state("traffic"), Some(AlarmState::Ok));
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
