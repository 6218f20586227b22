//! Alarms as they are put, described and remembered.

use std::collections::BTreeSet;

use super::*;

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
