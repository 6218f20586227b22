//! When an alarm changes its state, and when it does not.

use super::*;

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
