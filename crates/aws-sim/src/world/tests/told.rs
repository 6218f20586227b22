//! What the account tells EventBridge, who gets it, and what can go wrong on the way.

use crate::world::{EventFault, EventHarm};

use super::*;

const SENDER: &str = "arn:aws:events:eu-central-1:123456789012:rule/told";

fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:eu-central-1:123456789012:{name}")
}

fn policy(queue: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": queue_arn(queue),
        "Condition": {"ArnEquals": {"aws:SourceArn": SENDER}},
    }]})
    .to_string()
}

impl Account {
    /// A queue that gets every event that the pattern picks.
    pub(super) fn listen(&mut self, pattern: &Json) -> String {
        let queue = self.queue(
            "told",
            json!({"Policy": policy("told"), "VisibilityTimeout": "43200"}),
        );
        let rule = json!({"Name": "told", "EventPattern": pattern.to_string()});
        assert_eq!(self.ok("events", "PutRule", rule)["RuleArn"], SENDER);
        let targets = json!({"Rule": "told", "Targets": [{"Id": "1", "Arn": queue_arn("told")}]});
        assert_eq!(
            self.ok("events", "PutTargets", targets)["FailedEntryCount"],
            0
        );
        queue
    }

    /// The events that have arrived since this was last asked.
    pub(super) fn told(&mut self, queue: &str) -> Vec<Json> {
        let mut found = Vec::new();
        loop {
            let messages = self.receive(queue, 10);
            if messages.is_empty() {
                return found;
            }
            let bodies = messages.iter().map(|message| text(&message["Body"]));
            found.extend(bodies.map(|body| serde_json::from_str::<Json>(&body).expect("an event")));
        }
    }

    fn put_rule(&mut self, number: usize) {
        let entry = json!({"Source": "shop", "DetailType": "Order", "Detail": format!(r#"{{"n":{number}}}"#)});
        let answer = self.ok("events", "PutEvents", json!({"Entries": [entry]}));
        assert_eq!(answer["FailedEntryCount"], 0);
    }

    fn state_value(&self) -> Json {
        plain(&self.world.state())["regions"][0].clone()
    }
}

fn numbers(events: &[Json]) -> Vec<i64> {
    events
        .iter()
        .map(|event| event["detail"]["n"].as_i64().expect("a number"))
        .collect()
}

#[test]
fn a_deployment_tells_its_start_its_wait_and_its_end() {
    let mut account = Account::new(Setup {
        blue_green: json!({
            "terminateBlueInstancesOnDeploymentSuccess":
                {"action": "TERMINATE", "terminationWaitTimeInMinutes": 0},
            "deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 30},
        }),
        ..Setup::default()
    });
    let queue = account.listen(&json!({"source": ["aws.codedeploy"]}));
    let revision = account.register("shop/web:v2", json!([]));
    let first = account.deploy(&revision, "CodeDeployDefault.ECSAllAtOnce", &[]);
    account.until_status(&first, "Ready");
    account.ok(
        "codedeploy",
        "ContinueDeployment",
        json!({"deploymentId": first, "deploymentWaitType": "READY_WAIT"}),
    );
    account.until_status(&first, "Succeeded");
    let second = account.deploy(&revision, "CodeDeployDefault.ECSAllAtOnce", &[]);
    account.until_status(&second, "Ready");
    account.ok(
        "codedeploy",
        "StopDeployment",
        json!({"deploymentId": second}),
    );
    account.until_status(&second, "Stopped");
    let failing = [("BeforeInstall", "sim-fail")];
    let third = account.deploy(&revision, "CodeDeployDefault.ECSAllAtOnce", &failing);
    account.until_status(&third, "Failed");
    account.pass(SECOND);

    let events = account.told(&queue);
    let states: Vec<(String, String)> = events
        .iter()
        .map(|event| {
            (
                text(&event["detail"]["deploymentId"]),
                text(&event["detail"]["state"]),
            )
        })
        .collect();
    let expected = [
        (&first, "START"),
        (&first, "READY"),
        (&first, "SUCCESS"),
        (&second, "START"),
        (&second, "READY"),
        (&second, "STOP"),
        (&third, "START"),
        (&third, "FAILURE"),
    ];
    assert_eq!(
        states,
        expected.map(|(id, state)| (id.clone(), state.to_string()))
    );
    let group = account.ok(
        "codedeploy",
        "GetDeploymentGroup",
        json!({"applicationName": "app", "deploymentGroupName": "group"}),
    );
    let mut event = events[0].clone();
    for (name, length) in [("id", 36), ("time", 20)] {
        assert_eq!(text(&event[name]).len(), length, "{event}");
        event[name] = json!("");
    }
    assert_eq!(
        event,
        json!({
            "version": "0", "id": "", "detail-type": "CodeDeploy Deployment State-change Notification",
            "source": "aws.codedeploy", "account": "123456789012", "time": "", "region": "eu-central-1",
            "resources": [
                "arn:aws:codedeploy:eu-central-1:123456789012:application:app",
                "arn:aws:codedeploy:eu-central-1:123456789012:deploymentgroup:app/group",
            ],
            "detail": {
                "instanceGroupId": group["deploymentGroupInfo"]["deploymentGroupId"], "region": "eu-central-1",
                "application": "app", "deploymentId": first, "state": "START", "deploymentGroup": "group",
            },
        })
    );
}

#[test]
fn alarms_tell_each_change_and_are_evaluated_although_nobody_looks() {
    let mut account = Account::new(Setup::default());
    let blue = account.blue.clone();
    account.alarm("errors", &blue, 5.0);
    let queue = account.listen(
        &json!({"source": ["aws.cloudwatch"], "detail": {"state": {"value": ["OK", "ALARM"]}}}),
    );
    account.pass(4 * MINUTE);
    let set = json!({"AlarmName": "errors", "StateValue": "ALARM", "StateReason": "a drill"});
    account.ok("monitoring", "SetAlarmState", set);
    account.pass(4 * MINUTE);
    let events = account.told(&queue);
    let values: Vec<(&str, &str)> = events
        .iter()
        .filter_map(|event| {
            let detail = &event["detail"];
            Some((
                detail["previousState"]["value"].as_str()?,
                detail["state"]["value"].as_str()?,
            ))
        })
        .collect();
    assert_eq!(
        values,
        [
            ("INSUFFICIENT_DATA", "OK"),
            ("OK", "ALARM"),
            ("ALARM", "OK")
        ]
    );
    let event = &events[1];
    assert_eq!(event["detail-type"], "CloudWatch Alarm State Change");
    assert_eq!(
        event["resources"],
        json!(["arn:aws:cloudwatch:eu-central-1:123456789012:alarm:errors"])
    );
    assert_eq!(event["detail"]["state"]["reason"], "a drill");
    let metric = &event["detail"]["configuration"]["metrics"][0];
    assert_eq!(metric["returnData"], true);
    assert_eq!(metric["metricStat"]["stat"], "Sum");
    assert_eq!(
        metric["metricStat"]["metric"]["name"],
        "HTTPCode_Target_5XX_Count"
    );
    assert!(metric["metricStat"]["metric"]["dimensions"]["TargetGroup"].is_string());
    let reason = text(&events[2]["detail"]["state"]["reasonData"]);
    assert!(
        serde_json::from_str::<Json>(&reason).expect("JSON in a text")["threshold"].is_number()
    );
}

#[test]
fn ecs_tells_tasks_and_steadiness_from_the_moment_that_somebody_listens() {
    let mut account = Account::new(Setup::default());
    let queue = account.listen(&json!({"source": ["aws.ecs"]}));
    account.pass(MINUTE);
    assert_eq!(account.told(&queue), Vec::<Json>::new());
    account.ok(
        "ecs",
        "UpdateService",
        json!({"cluster": "prod", "service": "web", "desiredCount": 3}),
    );
    account.pass(5 * MINUTE);
    let events = account.told(&queue);
    let of = |kind: &str, member: &str| -> Vec<String> {
        let chosen = events.iter().filter(|event| event["detail-type"] == kind);
        chosen.map(|event| text(&event["detail"][member])).collect()
    };
    assert_eq!(
        of("ECS Task State Change", "lastStatus"),
        ["PROVISIONING", "PENDING", "RUNNING"]
    );
    assert_eq!(
        of("ECS Service Action", "eventName"),
        ["SERVICE_STEADY_STATE", "TASKSET_STEADY_STATE"]
    );
    let running = events
        .iter()
        .find(|event| event["detail"]["lastStatus"] == "RUNNING")
        .expect("one");
    assert_eq!(running["resources"], json!([running["detail"]["taskArn"]]));
    assert_eq!(running["detail"]["version"], 3);
    assert!(text(&running["detail"]["createdAt"]).ends_with('Z'));
}

#[test]
fn listening_changes_nothing_that_happens() {
    let run = |listens: bool| {
        let mut account = Account::new(Setup {
            alarms: vec!["errors"],
            ..Setup::default()
        });
        let green = account.green.clone();
        account.alarm("errors", &green, 5.0);
        if listens {
            account.listen(&json!({"source": [{"prefix": "aws."}]}));
        }
        let bad = account.register("shop/web:bad", json!([]));
        let id = account.deploy(&bad, "CodeDeployDefault.ECSCanary10Percent5Minutes", &[]);
        let took = account.until_status(&id, "Stopped");
        account.pass(10 * MINUTE);
        (
            took,
            account.deployment(&id),
            account.target(&id),
            account.service(),
        )
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn a_queue_without_a_policy_gets_nothing_and_the_dead_letter_queue_gets_it() {
    let mut account = Account::empty(1);
    let queue = account.listen(&json!({"source": ["shop"]}));
    let dead = account.queue("dead", json!({"Policy": policy("dead")}));
    account.put_rule(1);
    account.pass(SECOND);
    assert_eq!(numbers(&account.told(&queue)), [1]);
    account.ok(
        "sqs",
        "SetQueueAttributes",
        json!({"QueueUrl": queue, "Attributes": {"Policy": ""}}),
    );
    account.put_rule(2);
    account.pass(SECOND);
    assert_eq!(account.told(&queue), Vec::<Json>::new());
    let rule = account.state_value()["rules"][0].clone();
    assert_eq!(
        (&rule["delivered"], &rule["failed"]),
        (&json!(1), &json!(1))
    );
    assert!(
        text(&rule["lastFailure"]).starts_with("NO_PERMISSIONS"),
        "{rule}"
    );
    let target = json!({"Id": "1", "Arn": queue_arn("told"), "DeadLetterConfig": {"Arn": queue_arn("dead")}});
    account.ok(
        "events",
        "PutTargets",
        json!({"Rule": "told", "Targets": [target]}),
    );
    account.put_rule(3);
    account.pass(SECOND);
    let found = account.receive(&dead, 10);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0]["MessageAttributes"]["ERROR_CODE"]["StringValue"],
        "NO_PERMISSIONS"
    );
    assert_eq!(
        found[0]["MessageAttributes"]["RULE_ARN"]["StringValue"],
        SENDER
    );
}

#[test]
fn a_target_gets_the_event_a_part_of_it_or_a_constant() {
    let mut account = Account::empty(1);
    let queue =
        account.listen(&json!({"source": ["shop"], "detail": {"n": [{"numeric": [">", 1]}]}}));
    account.put_rule(1);
    for change in [
        json!({}),
        json!({"InputPath": "$.detail"}),
        json!({"Input": "{\"fixed\":true}"}),
    ] {
        let mut target = json!({"Id": "1", "Arn": queue_arn("told")});
        target
            .as_object_mut()
            .expect("one")
            .extend(change.as_object().cloned().unwrap_or_default());
        account.ok(
            "events",
            "PutTargets",
            json!({"Rule": "told", "Targets": [target]}),
        );
        account.put_rule(2);
        account.pass(SECOND);
    }
    account.ok("events", "DisableRule", json!({"Name": "told"}));
    account.put_rule(3);
    account.pass(SECOND);
    let told = account.told(&queue);
    assert_eq!(told[0]["detail"], json!({"n": 2}));
    assert_eq!(told[1..], [json!({"n": 2}), json!({"fixed": true})]);
}

#[test]
fn events_are_lost_doubled_late_and_out_of_order_on_demand() {
    for (harm, every, at_once, later) in [
        (EventHarm::Lost, 2, vec![1, 3], vec![]),
        (EventHarm::Duplicated, 3, vec![1, 2, 3, 3], vec![]),
        (EventHarm::Late(120_000), 2, vec![1, 3], vec![2, 4]),
        (EventHarm::OutOfOrder, 2, vec![1, 3, 2], vec![4]),
    ] {
        let mut account = Account::empty(1);
        let queue = account.listen(&json!({"source": ["shop"]}));
        account.world.event_faults.push(EventFault {
            id: 1,
            harm,
            source: Some("shop".to_string()),
            detail_type: Some("Order".to_string()),
            every,
            times: None,
            matched: 0,
            fired: 0,
        });
        let last = if harm == EventHarm::Duplicated { 3 } else { 4 };
        for number in 1..=last {
            account.put_rule(number);
            account.pass(SECOND);
        }
        let found = account.told(&queue);
        assert_eq!(numbers(&found), at_once, "{harm:?}");
        if harm == EventHarm::Duplicated {
            assert_eq!(found[2], found[3]);
        }
        account.pass(2 * MINUTE);
        assert_eq!(numbers(&account.told(&queue)), later, "{harm:?}");
        let counted = &account.world.event_faults[0];
        assert_eq!(
            (counted.matched, counted.fired),
            (last as u64, last as u64 / every),
            "{harm:?}"
        );
    }
}

#[test]
fn rules_and_targets_are_refused_in_the_words_of_eventbridge() {
    let mut account = Account::empty(1);
    account.listen(&json!({"source": ["shop"]}));
    let many: Vec<Json> = (0..6)
        .map(|n| json!({"Id": n.to_string(), "Arn": queue_arn("told")}))
        .collect();
    let target = |more: Json| {
        let mut target = json!({"Id": "9", "Arn": queue_arn("told")});
        target
            .as_object_mut()
            .expect("one")
            .extend(more.as_object().cloned().unwrap_or_default());
        json!({"Rule": "told", "Targets": [target]})
    };
    for (operation, input, code) in [
        (
            "PutRule",
            json!({"Name": "x", "EventPattern": "{"}),
            "InvalidEventPatternException",
        ),
        (
            "PutRule",
            json!({"Name": "x", "EventPattern": r#"{"source":"x"}"#}),
            "InvalidEventPatternException",
        ),
        ("PutRule", json!({"Name": "x"}), "ValidationException"),
        (
            "PutRule",
            json!({"Name": "a b", "EventPattern": r#"{"a":["b"]}"#}),
            "ValidationException",
        ),
        (
            "PutRule",
            json!({"Name": "x", "ScheduleExpression": "rate(1 minute)"}),
            "ValidationException",
        ),
        (
            "PutRule",
            json!({"Name": "x", "EventPattern": r#"{"a":["b"]}"#, "EventBusName": "other"}),
            "ResourceNotFoundException",
        ),
        (
            "DescribeRule",
            json!({"Name": "x"}),
            "ResourceNotFoundException",
        ),
        ("DeleteRule", json!({"Name": "told"}), "ValidationException"),
        (
            "PutTargets",
            json!({"Rule": "x", "Targets": many}),
            "ResourceNotFoundException",
        ),
        (
            "PutTargets",
            json!({"Rule": "told", "Targets": many}),
            "LimitExceededException",
        ),
        (
            "PutTargets",
            target(json!({"Arn": "arn:aws:lambda:eu-central-1:123456789012:function:f"})),
            "ValidationException",
        ),
        (
            "PutTargets",
            target(json!({"InputTransformer": {"InputTemplate": "x"}})),
            "ValidationException",
        ),
        (
            "PutTargets",
            target(json!({"Input": "{"})),
            "ValidationException",
        ),
        ("PutEvents", json!({"Entries": []}), "ValidationException"),
        (
            "ListRules",
            json!({"NextToken": "nonsense"}),
            "ValidationException",
        ),
        (
            "CreateEventBus",
            json!({"Name": "x"}),
            "UnknownOperationException",
        ),
    ] {
        assert_eq!(
            account.refused("events", operation, input.clone()).code,
            code,
            "{operation} {input}"
        );
    }
    let entries = json!({"Entries": [
        {"Source": "aws.ecs", "DetailType": "x", "Detail": "{}"},
        {"Source": "shop", "DetailType": "x", "Detail": "[]"},
        {"DetailType": "x", "Detail": "{}"},
        {"Source": "shop", "DetailType": "x", "Detail": "{}"},
    ]});
    let answer = account.ok("events", "PutEvents", entries);
    assert_eq!(answer["FailedEntryCount"], 3);
    let codes: Vec<String> = answer["Entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| text(&entry["ErrorCode"]))
        .collect();
    assert_eq!(
        codes,
        [
            "NotAuthorizedForSource",
            "MalformedDetail",
            "InvalidArgument",
            ""
        ]
    );
    assert!(answer["Entries"][3]["EventId"].is_string());
    let removed = account.ok(
        "events",
        "RemoveTargets",
        json!({"Rule": "told", "Ids": ["1", "2"]}),
    );
    assert_eq!(removed["FailedEntries"][0]["TargetId"], "2");
    account.ok("events", "DeleteRule", json!({"Name": "told"}));
    let test = json!({"EventPattern": r#"{"source":["a"]}"#, "Event":
        r#"{"id":"1","account":"1","source":"a","time":"2026-11-21T10:00:00Z","region":"r","resources":[],"detail-type":"t","detail":{}}"#});
    assert_eq!(
        account.ok("events", "TestEventPattern", test)["Result"],
        true
    );
}
