//! Rolling deployments of the ECS controller, as a client sees them in DescribeServices and in the history.

use serde_json::{Value as Json, json};

use super::{Account, MINUTE, SECOND, text};

impl Account {
    /// A service `web` of the ECS controller with `desired` tasks of `web:1`, its first deployment complete.
    pub(super) fn ecs(desired: i64, configuration: Json) -> Account {
        let mut account = Account::empty(11);
        account.network();
        account.ok("ecs", "CreateCluster", json!({"clusterName": "prod"}));
        account.register("shop/web:v1", json!([]));
        account.ok(
            "ecs",
            "CreateService",
            json!({
                "cluster": "prod", "serviceName": "web", "taskDefinition": "web", "desiredCount": desired,
                "launchType": "FARGATE", "deploymentConfiguration": configuration,
                "loadBalancers": [{"targetGroupArn": account.blue, "containerName": "web", "containerPort": 80}],
                "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            }),
        );
        account.until_over();
        assert_eq!(account.latest()["status"], "SUCCESSFUL");
        account
    }

    /// UpdateService with these members; the service as it answers.
    pub(super) fn update(&mut self, members: Json) -> Json {
        let input = Account::update_input(members);
        self.ok("ecs", "UpdateService", input)["service"].clone()
    }

    pub(super) fn update_input(members: Json) -> Json {
        let mut input = json!({"cluster": "prod", "service": "web"});
        for (key, value) in members.as_object().expect("members") {
            input[key] = value.clone();
        }
        input
    }

    /// Every service deployment, newest first.
    pub(super) fn history(&mut self) -> Vec<Json> {
        let input = json!({"cluster": "prod", "service": "web"});
        let list = self.ok("ecs", "ListServiceDeployments", input)["serviceDeployments"].clone();
        list.as_array().cloned().unwrap_or_default()
    }

    /// One service deployment.
    pub(super) fn service_deployment(&mut self, arn: &str) -> Json {
        let input = json!({"serviceDeploymentArns": [arn]});
        self.ok("ecs", "DescribeServiceDeployments", input)["serviceDeployments"][0].clone()
    }

    /// The newest service deployment.
    pub(super) fn latest(&mut self) -> Json {
        let arn = text(&self.history()[0]["serviceDeploymentArn"]);
        self.service_deployment(&arn)
    }

    /// Lets time pass until no service deployment goes on.
    pub(super) fn until_over(&mut self) {
        self.until("every service deployment is over", 90 * MINUTE, |account| {
            let over = |one: &Json| is_over(one["status"].as_str().unwrap_or_default());
            account.history().iter().all(over)
        });
    }

    pub(super) fn messages(&mut self) -> Vec<String> {
        let events = self.service()["events"].clone();
        let events = events.as_array().cloned().unwrap_or_default();
        events.iter().map(|event| text(&event["message"])).collect()
    }
}

pub(super) fn is_over(status: &str) -> bool {
    [
        "SUCCESSFUL",
        "STOPPED",
        "ROLLBACK_SUCCESSFUL",
        "ROLLBACK_FAILED",
    ]
    .contains(&status)
}

fn crashing() -> Json {
    json!([{"name": "SIM_CRASH_ON_START", "value": "1"}])
}

#[test]
fn a_wave_never_leaves_the_band_of_minimum_and_maximum() {
    for (desired, least, most) in [
        (4, 100, 200),
        (4, 50, 100),
        (10, 75, 125),
        (3, 0, 100),
        (5, 100, 120),
        (1, 0, 100),
    ] {
        let mut account = Account::ecs(
            desired,
            json!({"minimumHealthyPercent": least, "maximumPercent": most}),
        );
        account.register("shop/web:v2", json!([]));
        let service = account.update(json!({"taskDefinition": "web:2"}));
        assert_eq!(service["deployments"][0]["status"], "PRIMARY");
        assert_eq!(service["deployments"][0]["rolloutState"], "IN_PROGRESS");
        assert_eq!(service["deployments"][1]["status"], "ACTIVE");
        assert_eq!(service["deployments"][1]["rolloutState"], "COMPLETED");
        let mut waves = Vec::new();
        account.until("it is over", 60 * MINUTE, |account| {
            let service = account.service();
            let running = service["runningCount"].as_i64().expect("a number");
            let pending = service["pendingCount"].as_i64().expect("a number");
            let floor = (desired * least + 99) / 100;
            assert!(running >= floor, "{desired} {least}..{most}: {running} run");
            let ceiling = desired * most / 100;
            assert!(
                running + pending <= ceiling,
                "{desired} {least}..{most}: {running} and {pending}"
            );
            let new = service["deployments"][0]["desiredCount"].as_i64();
            if waves.last() != Some(&new) {
                waves.push(new);
            }
            is_over(account.latest()["status"].as_str().expect("a status"))
        });
        let tight = desired > 1 && (most - least) * desired / 100 < desired;
        assert_eq!(
            waves.len() > 2,
            tight,
            "{desired} {least}..{most}: {waves:?}"
        );
        let service = account.service();
        assert_eq!(service["deployments"].as_array().map(Vec::len), Some(1));
        assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
        assert_eq!(service["runningCount"], desired);
        assert!(text(&service["taskDefinition"]).ends_with("web:2"));
        assert_eq!(account.latest()["status"], "SUCCESSFUL");
    }
}

#[test]
fn the_circuit_breaker_brings_the_old_deployment_back_under_its_own_id() {
    let mut account = Account::ecs(
        2,
        json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}}),
    );
    let old = account.service()["deployments"][0]["id"].clone();
    account.register("shop/web:v2", crashing());
    let service = account.update(json!({"taskDefinition": "web:2"}));
    let new = service["deployments"][0]["id"].clone();
    assert_ne!(old, new);
    account.until("the circuit breaker opens", 30 * MINUTE, |account| {
        let one = account.latest();
        let breaker = &one["deploymentCircuitBreaker"];
        assert_eq!(breaker["threshold"], 3);
        let failures = breaker["failureCount"].as_i64().expect("a number");
        let open = one["status"] != "PENDING" && one["status"] != "IN_PROGRESS";
        assert_eq!(open, failures >= 3, "{one}");
        assert_eq!(
            breaker["status"],
            if open { "TRIGGERED" } else { "MONITORING" }
        );
        assert!(account.service()["runningCount"].as_i64() >= Some(2));
        open
    });
    let service = account.service();
    let primary = &service["deployments"]
        .as_array()
        .and_then(|list| list.iter().find(|one| one["status"] == "PRIMARY"))
        .cloned()
        .expect("a primary deployment");
    assert_eq!(primary["id"], old);
    account.until_over();
    let one = account.latest();
    assert_eq!(one["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(
        one["statusReason"],
        "Service deployment rolled back because the circuit breaker threshold was exceeded."
    );
    assert_eq!(
        one["rollback"]["serviceRevisionArn"],
        one["sourceServiceRevisions"][0]["arn"]
    );
    let service = account.service();
    assert_eq!(service["deployments"][0]["id"], old);
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
    assert!(text(&service["taskDefinition"]).ends_with("web:1"));
    let messages = account.messages();
    let (old, new) = (text(&old), text(&new));
    for wanted in [
        format!("(service web) (deployment {new}) deployment failed: tasks failed to start."),
        format!("(service web) rolling back to deployment {old}."),
        format!("(service web) (deployment {old}) deployment completed."),
    ] {
        assert!(messages.contains(&wanted), "{wanted}\n{messages:#?}");
    }
}

#[test]
fn without_rollback_a_failed_deployment_stops_and_starts_no_more_tasks() {
    let mut account = Account::ecs(
        2,
        json!({"deploymentCircuitBreaker": {"enable": true, "rollback": false}}),
    );
    account.register("shop/web:v2", crashing());
    account.update(json!({"taskDefinition": "web:2"}));
    account.until_over();
    let one = account.latest();
    assert_eq!(one["status"], "STOPPED");
    assert!(one["stoppedAt"].is_i64(), "{one}");
    assert_eq!(one["rollback"], Json::Null);
    let deployments = account.service()["deployments"].clone();
    assert_eq!(deployments[0]["rolloutState"], "FAILED");
    assert_eq!(
        deployments[0]["rolloutStateReason"],
        "ECS deployment circuit breaker: tasks failed to start."
    );
    account.pass(MINUTE);
    let before = account.service()["events"].clone();
    account.pass(60 * MINUTE);
    let service = account.service();
    assert_eq!(service["events"], before);
    assert_eq!(service["deployments"][0]["runningCount"], 0);
    assert_eq!(service["deployments"][0]["pendingCount"], 0);
    assert_eq!(service["deployments"][1]["runningCount"], 2);
}

#[test]
fn the_breakers_settings_decide_how_many_failures_open_it() {
    for (breaker, threshold) in [
        (
            json!({"thresholdConfiguration": {"type": "COUNT", "value": 1}}),
            1,
        ),
        (
            json!({"thresholdConfiguration": {"type": "UNBOUNDED_PERCENT", "value": 100}}),
            2,
        ),
        (json!({"resetOnHealthyTask": false}), 3),
    ] {
        let mut breaker = breaker;
        breaker["enable"] = json!(true);
        breaker["rollback"] = json!(true);
        let mut account = Account::ecs(2, json!({"deploymentCircuitBreaker": breaker}));
        account.register(
            "shop/web:v2",
            json!([{"name": "SIM_UNHEALTHY", "value": "1"}]),
        );
        account.update(json!({"taskDefinition": "web:2"}));
        account.until_over();
        let one = account.latest();
        assert_eq!(one["status"], "ROLLBACK_SUCCESSFUL", "{breaker}");
        assert_eq!(one["deploymentCircuitBreaker"]["threshold"], threshold);
        let failures = one["deploymentCircuitBreaker"]["failureCount"].as_i64();
        assert!(failures >= Some(threshold), "{one}");
    }
}

#[test]
fn without_a_circuit_breaker_a_deployment_goes_on_until_somebody_stops_it() {
    let mut account = Account::ecs(1, json!({}));
    account.register("shop/web:v2", crashing());
    account.update(json!({"taskDefinition": "web:2"}));
    account.pass(3 * 60 * MINUTE);
    let one = account.latest();
    assert_eq!(one["status"], "IN_PROGRESS");
    assert_eq!(one["deploymentCircuitBreaker"]["status"], "DISABLED");
    let arn = text(&one["serviceDeploymentArn"]);
    let stop = json!({"serviceDeploymentArn": arn, "stopType": "ROLLBACK"});
    account.ok("ecs", "StopServiceDeployment", stop.clone());
    assert_eq!(account.latest()["status"], "ROLLBACK_REQUESTED");
    let error = account.refused("ecs", "StopServiceDeployment", stop);
    assert_eq!(error.code, "ConflictException");
    account.until_over();
    let one = account.latest();
    assert_eq!(one["status"], "ROLLBACK_SUCCESSFUL");
    assert!(text(&account.service()["taskDefinition"]).ends_with("web:1"));
    let ended = account.refused(
        "ecs",
        "StopServiceDeployment",
        json!({"serviceDeploymentArn": arn}),
    );
    assert_eq!(ended.code, "InvalidParameterException");
}

#[test]
fn an_alarm_rolls_back_unless_it_fired_before() {
    for fired_before in [false, true] {
        let mut account = Account::ecs(2, json!({}));
        account.ok(
            "monitoring",
            "PutMetricAlarm",
            json!({"AlarmName": "mine", "Namespace": "own", "MetricName": "m", "Statistic": "Sum", "Period": 60,
                   "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
                   "TreatMissingData": "ignore"}),
        );
        let fire =
            json!({"AlarmName": "mine", "StateValue": "ALARM", "StateReason": "because I say so"});
        if fired_before {
            account.ok("monitoring", "SetAlarmState", fire.clone());
        }
        account.register("shop/web:v2", json!([]));
        account.update(json!({
            "taskDefinition": "web:2",
            "deploymentConfiguration": {"alarms": {"alarmNames": ["mine"], "enable": true, "rollback": true}},
        }));
        account.pass(30 * SECOND);
        let watching = account.latest()["alarms"]["status"].clone();
        assert_eq!(
            watching,
            if fired_before {
                "DISABLED"
            } else {
                "MONITORING"
            }
        );
        account.ok("monitoring", "SetAlarmState", fire);
        account.until_over();
        let one = account.latest();
        if fired_before {
            assert_eq!(one["status"], "SUCCESSFUL");
            continue;
        }
        assert_eq!(one["status"], "ROLLBACK_SUCCESSFUL");
        assert_eq!(one["alarms"]["status"], "TRIGGERED");
        assert_eq!(one["alarms"]["triggeredAlarmNames"], json!(["mine"]));
        let failed = account
            .messages()
            .iter()
            .any(|text| text.ends_with("deployment failed: alarm detected."));
        assert!(failed);
    }
}

#[test]
fn early_success_comes_before_the_last_task() {
    let mut took = Vec::new();
    for cleanup in ["DEFERRED", "BLOCKING"] {
        let mut account = Account::ecs(
            4,
            json!({
                "minimumHealthyPercent": 50, "maximumPercent": 100,
                "earlySuccessCriteria": {"enable": true, "healthyPercent": 50,
                                         "sourceServiceRevisionCleanup": cleanup},
            }),
        );
        account.until("all four run", 5 * MINUTE, |account| {
            account.service()["runningCount"] == 4
        });
        account.register("shop/web:v2", json!([]));
        account.update(json!({"taskDefinition": "web:2"}));
        let start = account.world.now_ms();
        account.until_over();
        took.push(account.world.now_ms() - start);
        assert_eq!(account.latest()["status"], "SUCCESSFUL");
        let service = account.service();
        let new = service["deployments"][0]["runningCount"].as_i64();
        if cleanup == "DEFERRED" {
            assert!((2..4).contains(&new.expect("a number")), "{service}");
        }
        account.until("the rest follows", 20 * MINUTE, |account| {
            let service = account.service();
            service["deployments"].as_array().map(Vec::len) == Some(1)
                && service["runningCount"] == 4
        });
    }
    // The old tasks drain for five minutes before they are gone.
    assert!(took[1] > took[0] + 4 * MINUTE, "{took:?}");
}

#[test]
fn a_bake_keeps_a_rolling_deployment_going_after_its_tasks_are_replaced() {
    let mut account = Account::ecs(1, json!({"bakeTimeInMinutes": 7}));
    account.register("shop/web:v2", json!([]));
    account.update(json!({"taskDefinition": "web:2"}));
    account.until("the new task serves alone", 15 * MINUTE, |account| {
        let service = account.service();
        service["runningCount"] == 1 && service["deployments"][0]["runningCount"] == 1
    });
    let baked = account.until("it is over", 20 * MINUTE, |account| {
        account.latest()["status"] == "SUCCESSFUL"
    });
    assert!(
        (6 * MINUTE..8 * MINUTE).contains(&baked),
        "baked for {baked} ms"
    );
}

#[test]
fn a_newer_deployment_stops_the_one_that_goes_on() {
    let mut account = Account::ecs(2, json!({}));
    account.register("shop/web:v2", crashing());
    account.register("shop/web:v3", json!([]));
    account.update(json!({"taskDefinition": "web:2"}));
    account.pass(MINUTE);
    account.update(json!({"taskDefinition": "web:3"}));
    let history = account.history();
    assert_eq!(history[0]["status"], "PENDING");
    assert_eq!(history[1]["status"], "STOP_REQUESTED");
    account.pass(3 * SECOND);
    let history = account.history();
    assert_eq!(history[0]["status"], "IN_PROGRESS");
    assert_eq!(history[1]["status"], "STOPPED");
    account.until_over();
    assert_eq!(account.latest()["status"], "SUCCESSFUL");
    assert!(text(&account.service()["taskDefinition"]).ends_with("web:3"));
}

#[test]
fn a_third_deployment_that_fails_during_a_rollback_has_nothing_to_go_back_to() {
    let mut account = Account::ecs(
        2,
        json!({"minimumHealthyPercent": 0, "maximumPercent": 100,
               "deploymentCircuitBreaker": {"enable": true, "rollback": true}}),
    );
    account.register("shop/web:v2", crashing());
    account.update(json!({"taskDefinition": "web:2"}));
    account.until("it rolls back", 30 * MINUTE, |account| {
        account.latest()["status"] == "ROLLBACK_IN_PROGRESS"
    });
    account.update(json!({"taskDefinition": "web:2"}));
    account.until_over();
    let one = account.latest();
    assert_eq!(one["status"], "ROLLBACK_FAILED");
    assert_eq!(
        one["statusReason"],
        "No rollback candidate was found to run the rollback."
    );
}

#[test]
fn what_begins_a_deployment_and_what_does_not() {
    let mut account = Account::ecs(1, json!({}));
    let first = account.service()["currentServiceDeployment"].clone();
    for members in [
        json!({"desiredCount": 2}),
        json!({"deploymentConfiguration": {"maximumPercent": 150}}),
        json!({"healthCheckGracePeriodSeconds": 30}),
        json!({"taskDefinition": "web:1"}),
        json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}}),
    ] {
        let service = account.update(members.clone());
        assert_eq!(service["currentServiceDeployment"], first, "{members}");
    }
    for members in [
        json!({"forceNewDeployment": true}),
        json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-2"]}}}),
        json!({"platformVersion": "1.4.0"}),
        json!({"serviceRegistries": [{"registryArn": "arn:aws:servicediscovery:eu-central-1:123456789012:service/s"}]}),
    ] {
        let before = account.service()["currentServiceDeployment"].clone();
        let service = account.update(members.clone());
        assert_ne!(service["currentServiceDeployment"], before, "{members}");
        account.until_over();
    }
}

#[test]
fn a_deleted_service_ends_its_deployment_and_takes_its_history_along() {
    let mut account = Account::ecs(1, json!({}));
    account.register("shop/web:v2", crashing());
    account.update(json!({"taskDefinition": "web:2"}));
    account.pass(MINUTE);
    let arn = text(&account.latest()["serviceDeploymentArn"]);
    account.ok(
        "ecs",
        "DeleteService",
        json!({"cluster": "prod", "service": "web", "force": true}),
    );
    assert_eq!(account.service_deployment(&arn)["status"], "STOPPED");
    account.until("the service is gone", 20 * MINUTE, |account| {
        account.service()["status"] == "INACTIVE"
    });
    let input = json!({"serviceDeploymentArns": [arn]});
    let answer = account.ok("ecs", "DescribeServiceDeployments", input);
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
    let error = account.refused(
        "ecs",
        "ListServiceDeployments",
        json!({"cluster": "prod", "service": "web"}),
    );
    assert_eq!(error.code, "ServiceNotFoundException");
}

#[test]
fn the_grace_period_keeps_an_unhealthy_task() {
    let mut account = Account::ecs(1, json!({}));
    account.register(
        "shop/web:v2",
        json!([{"name": "SIM_UNHEALTHY", "value": "1"}]),
    );
    account.update(json!({"taskDefinition": "web:2", "healthCheckGracePeriodSeconds": 600}));
    account.until("it runs", 5 * MINUTE, |account| {
        account.service()["deployments"][0]["runningCount"] == 1
    });
    account.pass(9 * MINUTE);
    let service = account.service();
    assert_eq!(service["deployments"][0]["failedTasks"], 0, "{service}");
    account.pass(90 * SECOND);
    let service = account.service();
    assert_eq!(service["deployments"][0]["failedTasks"], 1, "{service}");
}
