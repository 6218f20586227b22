//! Metrics and their data: what is put and recorded, and what is read of it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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
