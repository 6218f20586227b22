//! Deployments from CreateDeployment to their end.

use super::*;

const ALL_AT_ONCE: &str = "CodeDeployDefault.ECSAllAtOnce";
const CANARY: &str = "CodeDeployDefault.ECSCanary10Percent5Minutes";
const LINEAR: &str = "CodeDeployDefault.ECSLinear10PercentEvery1Minutes";

#[test]
fn a_canary_from_beginning_to_end() {
    let mut account = Account::new(Setup::default());
    let definition = account.register("shop/web:v2", json!([]));
    let began = account.world.now_ms();
    let id = account.deploy(&definition, CANARY, &[]);

    let created = account.deployment(&id);
    assert_eq!(created["status"], "Created");
    assert_eq!(created["creator"], "user");
    assert!(created["deploymentOverview"].is_null());
    assert!(created["revision"]["appSpecContent"]["content"].is_null());
    assert_eq!(
        text(&created["revision"]["appSpecContent"]["sha256"]).len(),
        64
    );
    let target = json!({"deploymentId": id, "targetId": "prod:web"});
    let error = account.refused("codedeploy", "GetDeploymentTarget", target);
    assert_eq!(error.code, "DeploymentNotStartedException");

    assert_eq!(account.until_status(&id, "InProgress"), 3 * SECOND);
    account.until_event(&id, "Install", "InProgress");
    assert_eq!(account.production_weights(), (100, 0));
    let sets = account.service()["taskSets"].clone();
    let green = sets
        .as_array()
        .expect("task sets")
        .iter()
        .find(|set| set["externalId"] == id.as_str());
    assert_eq!(green.expect("a green task set")["startedBy"], "CODE_DEPLOY");

    account.until_event(&id, "AllowTraffic", "InProgress");
    let install = account.event(&id, "Install");
    let took =
        install["endTime"].as_i64().expect("end") - install["startTime"].as_i64().expect("start");
    assert!(
        (60 * SECOND..115 * SECOND).contains(&took),
        "Install took {took} ms"
    );
    let test = account.test.clone();
    assert_eq!(account.weights(&test), (0, 1));
    assert_eq!(account.production_weights(), (90, 10));
    assert_eq!(
        account.task_sets()[0],
        ("PRIMARY".to_string(), "1".to_string())
    );
    let infos = account.target(&id)["taskSetsInfo"].clone();
    assert_eq!(infos[0]["taskSetLabel"], "Blue");
    assert_eq!(infos[0]["trafficWeight"], 90.0);
    assert_eq!(infos[1]["taskSetLabel"], "Green");
    assert_eq!(infos[1]["trafficWeight"], 10.0);
    assert_eq!(infos[1]["runningCount"], 2);
    assert_eq!(infos[1]["targetGroup"]["name"], "web-green");

    let start = account.event(&id, "AllowTraffic")["startTime"]
        .as_i64()
        .expect("start");
    account.world.advance_to(start + 5 * MINUTE - 1);
    assert_eq!(account.production_weights(), (90, 10));
    account.world.advance_to(start + 5 * MINUTE);
    assert_eq!(account.production_weights(), (0, 100));
    assert_eq!(
        account.task_sets()[0],
        ("PRIMARY".to_string(), "2".to_string())
    );

    account.until_event(&id, "AfterAllowTraffic", "Succeeded");
    let waiting = account.deployment(&id);
    assert_eq!(waiting["status"], "InProgress");
    assert_eq!(waiting["instanceTerminationWaitTimeStarted"], true);
    assert_eq!(account.events(&id).len(), 8);
    assert!(
        account
            .events(&id)
            .iter()
            .all(|(_, status)| status == "Succeeded")
    );
    assert!(
        account
            .task_sets()
            .contains(&("ACTIVE".to_string(), "1".to_string()))
    );

    let waited = account.until_status(&id, "Succeeded");
    assert!(
        (5 * MINUTE..5 * MINUTE + 10 * SECOND).contains(&waited),
        "waited {waited} ms"
    );
    assert!(
        account
            .task_sets()
            .contains(&("DRAINING".to_string(), "1".to_string()))
    );
    account.until("blue is gone", 10 * MINUTE, |account| {
        account.task_sets().len() == 1
    });
    assert_eq!(account.production_weights(), (0, 100));
    assert_eq!(
        account.deployment(&id)["completeTime"]
            .as_i64()
            .map(|at| at > began),
        Some(true)
    );
    let group = json!({"applicationName": "app", "deploymentGroupName": "group"});
    let group = account.ok("codedeploy", "GetDeploymentGroup", group);
    assert_eq!(
        group["deploymentGroupInfo"]["lastSuccessfulDeployment"]["deploymentId"],
        id.as_str()
    );

    // The next one goes the other way round.
    let third = account.register("shop/web:v3", json!([]));
    let next = account.deploy(&third, ALL_AT_ONCE, &[]);
    account.until_event(&next, "AfterAllowTraffic", "Succeeded");
    assert_eq!(account.production_weights(), (100, 0));
    let previous = account.deployment(&next)["previousRevision"].clone();
    assert_eq!(previous, account.deployment(&id)["revision"]);
}

#[test]
fn a_linear_deployment_takes_equal_steps_at_the_interval() {
    let mut account = Account::new(Setup {
        test_listener: false,
        ..Setup::default()
    });
    let definition = account.register("shop/web:v2", json!([]));
    let id = account.deploy(&definition, LINEAR, &[]);
    account.until_event(&id, "AllowTraffic", "InProgress");
    let start = account.event(&id, "AllowTraffic")["startTime"]
        .as_i64()
        .expect("start");
    for step in 0..10 {
        account.world.advance_to(start + step * MINUTE);
        assert_eq!(
            account.production_weights(),
            (90 - 10 * step, 10 + 10 * step)
        );
    }
    let names: Vec<String> = account
        .events(&id)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let expected = [
        "BeforeInstall",
        "Install",
        "AfterInstall",
        "BeforeAllowTraffic",
        "AllowTraffic",
        "AfterAllowTraffic",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_custom_configuration_shifts_as_it_says() {
    let mut account = Account::new(Setup::default());
    account.ok(
        "codedeploy",
        "CreateDeploymentConfig",
        json!({"deploymentConfigName": "thirds", "computePlatform": "ECS", "trafficRoutingConfig": {
            "type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": 33, "linearInterval": 2}}}),
    );
    let definition = account.register("shop/web:v2", json!([]));
    let id = account.deploy(&definition, "thirds", &[]);
    account.until_event(&id, "AllowTraffic", "InProgress");
    let start = account.event(&id, "AllowTraffic")["startTime"]
        .as_i64()
        .expect("start");
    for (step, green) in [33, 66, 99, 100].into_iter().enumerate() {
        account.world.advance_to(start + step as i64 * 2 * MINUTE);
        assert_eq!(account.production_weights(), (100 - green, green));
    }
}

#[test]
fn hook_functions_decide() {
    // Function, how the event ends, and the diagnostics' code.
    let cases = [
        ("sim-succeed", "Succeeded", ""),
        ("sim-succeed-after-90", "Succeeded", ""),
        (
            "arn:aws:lambda:eu-central-1:123456789012:function:sim-succeed",
            "Succeeded",
            "",
        ),
        ("sim-fail", "Failed", "ScriptFailed"),
        ("sim-silent", "Failed", "ScriptTimedOut"),
        ("no-such-function", "Failed", "ScriptMissing"),
    ];
    for (function, end, code) in cases {
        let mut account = Account::new(Setup::default());
        let definition = account.register("shop/web:v2", json!([]));
        let id = account.deploy(
            &definition,
            ALL_AT_ONCE,
            &[("AfterAllowTestTraffic", function)],
        );
        account.until_event(&id, "AfterAllowTestTraffic", end);
        let event = account.event(&id, "AfterAllowTestTraffic");
        let took =
            event["endTime"].as_i64().expect("end") - event["startTime"].as_i64().expect("start");
        match function {
            "sim-succeed-after-90" => assert_eq!(took, 90 * SECOND),
            "sim-silent" => assert_eq!(took, 60 * MINUTE),
            _ => assert!(took < 2 * SECOND, "{function} took {took} ms"),
        }
        if end == "Succeeded" {
            account.until_status(&id, "Succeeded");
            continue;
        }
        assert_eq!(event["diagnostics"]["errorCode"], code, "{function}");
        let failed = account.deployment(&id);
        assert_eq!(failed["status"], "Failed");
        assert_eq!(failed["errorInformation"]["code"], "HOOK_EXECUTION_FAILURE");
        // No automatic rollback: everything stays as it is, and no second deployment appears.
        assert!(failed["rollbackInfo"].is_null());
        account.pass(2 * MINUTE);
        assert_eq!(account.task_sets().len(), 2);
        assert_eq!(account.event_status(&id, "BeforeAllowTraffic"), "Skipped");
        let all = account.ok("codedeploy", "ListDeployments", json!({}));
        assert_eq!(all["deployments"], json!([id]));
    }
}

#[test]
fn a_hook_reports_through_the_api_exactly_once() {
    for (status, end) in [("Succeeded", "Succeeded"), ("Failed", "Failed")] {
        let mut account = Account::new(Setup {
            rollback: vec!["DEPLOYMENT_FAILURE"],
            ..Setup::default()
        });
        let definition = account.register("shop/web:v2", json!([]));
        let id = account.deploy(
            &definition,
            ALL_AT_ONCE,
            &[("AfterAllowTestTraffic", "switchback-relay")],
        );
        account.until_event(&id, "AfterAllowTestTraffic", "InProgress");
        let invoked = account.invoked();
        assert_eq!(invoked.len(), 1);
        assert_eq!(invoked[0].0, id);
        account.pass(10 * MINUTE);
        assert_eq!(
            account.event_status(&id, "AfterAllowTestTraffic"),
            "InProgress"
        );
        let report = |status: &str, execution: &str| json!({"deploymentId": id, "lifecycleEventHookExecutionId": execution, "status": status});
        let operation = "PutLifecycleEventHookExecutionStatus";
        let error = account.refused(
            "codedeploy",
            operation,
            report("Succeeded", "something else"),
        );
        assert_eq!(error.code, "InvalidLifecycleEventHookExecutionIdException");
        let error = account.refused("codedeploy", operation, report("Skipped", &invoked[0].1));
        assert_eq!(
            error.code,
            "InvalidLifecycleEventHookExecutionStatusException"
        );
        let answer = account.ok("codedeploy", operation, report(status, &invoked[0].1));
        assert_eq!(
            answer["lifecycleEventHookExecutionId"],
            invoked[0].1.as_str()
        );
        let error = account.refused("codedeploy", operation, report("Succeeded", &invoked[0].1));
        assert_eq!(error.code, "LifecycleEventAlreadyCompletedException");
        assert_eq!(account.event_status(&id, "AfterAllowTestTraffic"), end);
        if status == "Succeeded" {
            account.until_status(&id, "Succeeded");
            continue;
        }
        let failed = account.deployment(&id);
        assert_eq!(failed["status"], "Failed");
        let rollback = text(&failed["rollbackInfo"]["rollbackDeploymentId"]);
        account.until_status(&rollback, "Succeeded");
        assert_eq!(account.production_weights(), (100, 0));
        let test = account.test.clone();
        assert_eq!(account.weights(&test), (1, 0));
    }
}

#[test]
fn a_function_that_cannot_be_reached_fails_its_event() {
    let mut account = Account::new(Setup::default());
    let definition = account.register("shop/web:v2", json!([]));
    let id = account.deploy(
        &definition,
        ALL_AT_ONCE,
        &[("BeforeInstall", "CodeDeployHook_switchback-relay")],
    );
    account.until_event(&id, "BeforeInstall", "InProgress");
    let (deployment, execution) = account.invoked()[0].clone();
    account
        .world
        .hook_invocation_failed(&deployment, &execution, "no relay");
    assert_eq!(account.status(&id), "Failed");
    let diagnostics = account.event(&id, "BeforeInstall")["diagnostics"].clone();
    assert!(text(&diagnostics["message"]).contains("no relay"));
    assert_eq!(account.task_sets().len(), 1);
}

#[test]
fn a_named_behaviour_holds_for_functions_of_that_name() {
    let mut account = Account::new(Setup::default());
    assert!(!account.world.set_hook_behaviour("smoke", "explode"));
    assert!(
        account
            .world
            .set_hook_behaviour("smoke", "succeed-after-30")
    );
    let definition = account.register("shop/web:v2", json!([]));
    let id = account.deploy(&definition, ALL_AT_ONCE, &[("BeforeAllowTraffic", "smoke")]);
    account.until_event(&id, "BeforeAllowTraffic", "Succeeded");
    let event = account.event(&id, "BeforeAllowTraffic");
    let took =
        event["endTime"].as_i64().expect("end") - event["startTime"].as_i64().expect("start");
    assert_eq!(took, 30 * SECOND);
}

fn ready_wait(minutes: i64) -> Setup {
    Setup {
        blue_green: json!({
            "terminateBlueInstancesOnDeploymentSuccess":
                {"action": "TERMINATE", "terminationWaitTimeInMinutes": 60},
            "deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": minutes},
        }),
        ..Setup::default()
    }
}

#[test]
fn a_ready_wait_goes_on_when_told_and_stops_when_not() {
    let mut account = Account::new(ready_wait(30));
    let definition = account.register("shop/web:v2", json!([]));
    let id = account.deploy(&definition, ALL_AT_ONCE, &[]);
    let go_on = |wait: &str| json!({"deploymentId": id, "deploymentWaitType": wait});
    let error = account.refused("codedeploy", "ContinueDeployment", go_on("READY_WAIT"));
    assert_eq!(error.code, "DeploymentIsNotInReadyStateException");
    account.until_status(&id, "Ready");
    assert_eq!(
        account.event_status(&id, "AfterAllowTestTraffic"),
        "Succeeded"
    );
    assert_eq!(account.event_status(&id, "BeforeAllowTraffic"), "Pending");
    assert_eq!(account.target(&id)["status"], "Ready");
    account.pass(29 * MINUTE);
    let error = account.refused(
        "codedeploy",
        "ContinueDeployment",
        go_on("TERMINATION_WAIT"),
    );
    assert_eq!(error.code, "InvalidDeploymentStatusException");
    let error = account.refused("codedeploy", "ContinueDeployment", go_on("SOME_WAIT"));
    assert_eq!(error.code, "InvalidDeploymentWaitTypeException");
    account.ok("codedeploy", "ContinueDeployment", go_on("READY_WAIT"));
    assert_eq!(account.status(&id), "InProgress");
    account.until_event(&id, "AfterAllowTraffic", "Succeeded");
    assert_eq!(account.production_weights(), (0, 100));

    // The termination wait of an hour ends early, and only then is the group free.
    let input = Account::deployment_input(&definition, ALL_AT_ONCE, &[]);
    let error = account.refused("codedeploy", "CreateDeployment", input.clone());
    assert_eq!(error.code, "DeploymentLimitExceededException");
    assert_eq!(
        error.message,
        format!("The Deployment Group 'group' already has an active Deployment '{id}'")
    );
    account.ok(
        "codedeploy",
        "ContinueDeployment",
        go_on("TERMINATION_WAIT"),
    );
    assert!(account.until_status(&id, "Succeeded") < 10 * SECOND);
    let error = account.refused(
        "codedeploy",
        "ContinueDeployment",
        go_on("TERMINATION_WAIT"),
    );
    assert_eq!(error.code, "DeploymentAlreadyCompletedException");

    // Not told to go on, the next one stops after the wait.
    let next = text(&account.ok("codedeploy", "CreateDeployment", input)["deploymentId"]);
    account.until_status(&next, "Ready");
    let waited = account.until_status(&next, "Stopped");
    assert_eq!(waited, 30 * MINUTE);
    assert_eq!(account.production_weights(), (0, 100));
}

/// One deployment of an image with an error rate under an alarm; how it ended.
fn judged(error_rate: f64, threshold: f64, config: &str) -> (Account, String) {
    let mut account = Account::new(Setup {
        alarms: vec!["green-5xx"],
        rollback: vec!["DEPLOYMENT_STOP_ON_ALARM"],
        ..Setup::default()
    });
    let group = account.green.clone();
    account.alarm("green-5xx", &group, threshold);
    let environment = json!([{"name": "SIM_ERROR_RATE", "value": error_rate.to_string()}]);
    let definition = account.register("shop/web:v2", environment);
    let id = account.deploy(&definition, config, &[]);
    account.until("the deployment ends", 60 * MINUTE, |account| {
        !["Created", "InProgress"].contains(&account.status(&id).as_str())
    });
    (account, id)
}

#[test]
fn error_rate_threshold_and_weight_decide_what_an_alarm_does() {
    // 20 requests a second; with 10 % of them on green and a tenth more from the test listener,
    // green sees about 240 a minute.
    assert_eq!(status_of(judged(0.0, 10.0, CANARY)), "Succeeded");
    assert_eq!(status_of(judged(0.2, 10.0, CANARY)), "Stopped");
    assert_eq!(status_of(judged(0.2, 1000.0, CANARY)), "Succeeded");
    // 1 % of all requests is above what 1 % of a tenth of them stays below.
    assert_eq!(
        status_of(judged(0.01, 8.5, "CodeDeployDefault.ECSAllAtOnce")),
        "Stopped"
    );
}

fn status_of((mut account, id): (Account, String)) -> String {
    account.status(&id)
}

#[test]
fn an_alarm_stops_the_deployment_and_a_second_one_rolls_back() {
    let (mut account, id) = judged(0.2, 10.0, CANARY);
    let stopped = account.deployment(&id);
    let rollback = text(&stopped["rollbackInfo"]["rollbackDeploymentId"]);
    assert_eq!(stopped["errorInformation"]["code"], "ALARM_ACTIVE");
    assert_eq!(
        stopped["errorInformation"]["message"],
        "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and the \
         affected deployments have been stopped. Activated alarms: green-5xx"
    );
    assert_eq!(
        stopped["rollbackInfo"]["rollbackMessage"],
        format!(
            "Deployment {id} terminated. Automatic rollback is triggered with a DeploymentId {rollback}."
        )
    );
    assert_eq!(account.event_status(&id, "AllowTraffic"), "Failed");
    assert_eq!(account.event_status(&id, "AfterAllowTraffic"), "Skipped");

    // The group is busy until the rollback is over.
    let definition = account.register("shop/web:v3", json!([]));
    let input = Account::deployment_input(&definition, CANARY, &[]);
    let error = account.refused("codedeploy", "CreateDeployment", input.clone());
    assert_eq!(
        error.message,
        format!("The Deployment Group 'group' already has an active Deployment '{rollback}'")
    );
    assert!(account.until_status(&rollback, "Succeeded") <= 10 * SECOND);
    let done = account.deployment(&rollback);
    assert_eq!(done["creator"], "codeDeployRollback");
    assert_eq!(done["deploymentConfigName"], ALL_AT_ONCE);
    assert_eq!(
        done["rollbackInfo"]["rollbackTriggeringDeploymentId"],
        id.as_str()
    );
    assert_eq!(
        done["rollbackInfo"]["rollbackMessage"],
        format!("Deployment {rollback} is triggered to roll back deployment {id}.")
    );
    assert_eq!(account.production_weights(), (100, 0));
    let sets = account.task_sets();
    assert_eq!(sets[0], ("PRIMARY".to_string(), "1".to_string()));
    assert_eq!(sets[1], ("DRAINING".to_string(), "2".to_string()));
    // No task set was made for the rollback.
    assert_eq!(sets.len(), 2);
    let green = account.target(&rollback)["taskSetsInfo"][1].clone();
    assert_eq!(green["taskSetLabel"], "Green");
    assert_eq!(green["trafficWeight"], 100.0);
    account.ok("codedeploy", "CreateDeployment", input);
}

#[test]
fn an_alarm_that_fires_already_stops_the_deployment_at_install() {
    let mut account = Account::new(Setup {
        alarms: vec!["forced"],
        ..Setup::default()
    });
    let group = account.green.clone();
    account.alarm("forced", &group, 10.0);
    account.ok(
        "monitoring",
        "SetAlarmState",
        json!({"AlarmName": "forced", "StateValue": "ALARM", "StateReason": "a game day"}),
    );
    let definition = account.register("shop/web:v2", json!([]));
    let id = account.deploy(&definition, CANARY, &[]);
    account.until_status(&id, "Stopped");
    assert_eq!(account.event_status(&id, "Install"), "Failed");
    assert_eq!(
        account.deployment(&id)["errorInformation"]["code"],
        "ALARM_ACTIVE"
    );
    assert!(account.deployment(&id)["rollbackInfo"].is_null());
}

#[test]
fn an_alarm_that_cannot_be_read_stops_unless_that_is_ignored() {
    for (ignore, end) in [(false, "Stopped"), (true, "Succeeded")] {
        let mut account = Account::new(Setup::default());
        let definition = account.register("shop/web:v2", json!([]));
        let mut input = Account::deployment_input(&definition, ALL_AT_ONCE, &[]);
        input["overrideAlarmConfiguration"] = json!({"enabled": true, "ignorePollAlarmFailure": ignore, "alarms": [{"name": "nowhere"}]});
        let id = text(&account.ok("codedeploy", "CreateDeployment", input)["deploymentId"]);
        account.until_status(&id, end);
    }
}

#[test]
fn a_stop_leaves_everything_or_rolls_back_as_asked() {
    for rolls_back in [false, true] {
        let mut account = Account::new(Setup::default());
        let definition = account.register("shop/web:v2", json!([]));
        let id = account.deploy(&definition, CANARY, &[]);
        account.until_event(&id, "AllowTraffic", "InProgress");
        let stop = json!({"deploymentId": id, "autoRollbackEnabled": rolls_back});
        let answer = account.ok("codedeploy", "StopDeployment", stop.clone());
        assert_eq!(answer["status"], "Pending");
        assert!(account.until_status(&id, "Stopped") < 25 * SECOND);
        let stopped = account.deployment(&id);
        assert_eq!(stopped["errorInformation"]["code"], "MANUAL_STOP");
        assert_eq!(
            account.ok("codedeploy", "StopDeployment", stop)["status"],
            "Succeeded"
        );
        account.pass(MINUTE);
        if rolls_back {
            let rollback = text(&stopped["rollbackInfo"]["rollbackDeploymentId"]);
            assert_eq!(account.status(&rollback), "Succeeded");
            assert_eq!(account.production_weights(), (100, 0));
            let error = account.refused(
                "codedeploy",
                "StopDeployment",
                json!({"deploymentId": rollback}),
            );
            assert_eq!(error.code, "DeploymentAlreadyCompletedException");
        } else {
            assert!(stopped["rollbackInfo"].is_null());
            assert_eq!(account.production_weights(), (90, 10));
            assert_eq!(account.task_sets().len(), 2);
            // The next deployment begins from there all the same.
            let next = account.deploy(&definition, ALL_AT_ONCE, &[]);
            account.until_status(&next, "Succeeded");
            assert_eq!(account.production_weights(), (0, 100));
        }
    }
}

#[test]
fn a_group_may_roll_back_every_stop() {
    let mut account = Account::new(Setup {
        rollback: vec!["DEPLOYMENT_STOP_ON_REQUEST"],
        ..Setup::default()
    });
    let definition = account.register("shop/web:v2", json!([]));
    let id = account.deploy(&definition, ALL_AT_ONCE, &[]);
    account.until_event(&id, "AfterAllowTraffic", "Succeeded");
    assert_eq!(account.task_sets()[0].1, "2");
    account.ok("codedeploy", "StopDeployment", json!({"deploymentId": id}));
    account.until_status(&id, "Stopped");
    let rollback = text(&account.deployment(&id)["rollbackInfo"]["rollbackDeploymentId"]);
    account.until_status(&rollback, "Succeeded");
    // Blue was still warm in the termination wait, and is PRIMARY again.
    assert_eq!(
        account.task_sets()[0],
        ("PRIMARY".to_string(), "1".to_string())
    );
    assert_eq!(account.production_weights(), (100, 0));
}

#[test]
fn a_stop_before_install_has_nothing_to_roll_back() {
    let mut account = Account::new(Setup::default());
    let definition = account.register("shop/web:v2", json!([]));
    let id = account.deploy(&definition, CANARY, &[("BeforeInstall", "sim-silent")]);
    account.until_event(&id, "BeforeInstall", "InProgress");
    account.ok(
        "codedeploy",
        "StopDeployment",
        json!({"deploymentId": id, "autoRollbackEnabled": true}),
    );
    account.until_status(&id, "Stopped");
    assert!(account.deployment(&id)["rollbackInfo"].is_null());
    assert_eq!(account.task_sets().len(), 1);
}

#[test]
fn blue_stays_when_the_group_keeps_it() {
    let mut account = Account::new(Setup {
        blue_green: json!({"terminateBlueInstancesOnDeploymentSuccess": {"action": "KEEP_ALIVE"}}),
        ..Setup::default()
    });
    let definition = account.register("shop/web:v2", json!([]));
    let id = account.deploy(&definition, ALL_AT_ONCE, &[]);
    account.until_status(&id, "Succeeded");
    account.pass(20 * MINUTE);
    assert_eq!(account.task_sets().len(), 2);
    assert_eq!(account.service()["runningCount"], 4);
}

#[test]
fn a_revision_that_never_becomes_healthy_fails_after_an_hour() {
    for variable in ["SIM_CRASH_ON_START", "SIM_UNHEALTHY"] {
        let mut account = Account::new(Setup {
            rollback: vec!["DEPLOYMENT_FAILURE"],
            ..Setup::default()
        });
        let definition = account.register("shop/web:v2", json!([{"name": variable, "value": "1"}]));
        let id = account.deploy(&definition, ALL_AT_ONCE, &[]);
        account.until_event(&id, "Install", "InProgress");
        account.pass(30 * MINUTE);
        assert_eq!(account.event_status(&id, "Install"), "InProgress");
        let stopped = account.ok(
            "ecs",
            "ListTasks",
            json!({"cluster": "prod", "desiredStatus": "STOPPED"}),
        );
        let tasks = account.ok(
            "ecs",
            "DescribeTasks",
            json!({"cluster": "prod", "tasks": stopped["taskArns"]}),
        );
        let task = &tasks["tasks"][0];
        assert_eq!(task["taskDefinitionArn"], definition.as_str());
        assert_eq!(task["group"], "service:web");
        if variable == "SIM_UNHEALTHY" {
            assert_eq!(task["stopCode"], "ServiceSchedulerInitiated");
            assert!(
                text(&task["stoppedReason"]).starts_with("Task failed ELB health checks"),
                "{task}"
            );
        } else {
            assert_eq!(task["stopCode"], "EssentialContainerExited");
            assert_eq!(task["containers"][0]["exitCode"], 1);
        }
        account.until_status(&id, "Failed");
        let event = account.event(&id, "Install");
        let took =
            event["endTime"].as_i64().expect("end") - event["startTime"].as_i64().expect("start");
        assert_eq!(took, 60 * MINUTE);
        let rollback = text(&account.deployment(&id)["rollbackInfo"]["rollbackDeploymentId"]);
        account.until_status(&rollback, "Succeeded");
        assert_eq!(account.production_weights(), (100, 0));
        assert_eq!(account.service()["runningCount"], 2);
    }
}

#[test]
fn what_ecs_refuses_fails_at_install() {
    let cases = [
        ("web:2", "web", 80, "TaskDefinition is inactive"),
        (
            "web:latest",
            "web",
            80,
            "Invalid revision number. Number: latest",
        ),
        (
            "web:3",
            "api",
            80,
            "The container does not exist in the task definition.",
        ),
        (
            "web:3",
            "web",
            443,
            "The container web did not have a container port 443 defined.",
        ),
    ];
    for (definition, container, port, message) in cases {
        let mut account = Account::new(Setup::default());
        let inactive = account.register("shop/web:v2", json!([]));
        account.register("shop/web:v3", json!([]));
        account.ok(
            "ecs",
            "DeregisterTaskDefinition",
            json!({"taskDefinition": inactive}),
        );
        let mut spec: Json =
            serde_json::from_str(&Account::appspec(definition, &[])).expect("an AppSpec");
        let properties = &mut spec["Resources"][0]["TargetService"]["Properties"];
        properties["LoadBalancerInfo"] = json!({"ContainerName": container, "ContainerPort": port});
        let mut input = Account::deployment_input(definition, ALL_AT_ONCE, &[]);
        input["revision"]["appSpecContent"]["content"] = json!(spec.to_string());
        let id = text(&account.ok("codedeploy", "CreateDeployment", input)["deploymentId"]);
        account.until_status(&id, "Failed");
        let error = account.deployment(&id)["errorInformation"].clone();
        assert_eq!(error["code"], "ECS_UPDATE_ERROR");
        let start = "The ECS service cannot be updated due to an unexpected error: ";
        let text = text(&error["message"]);
        assert!(text.starts_with(&format!("{start}{message}")), "{text}");
        assert!(text.ends_with("Check your ECS service status."), "{text}");
        assert_eq!(account.event_status(&id, "Install"), "Failed");
        assert_eq!(account.task_sets().len(), 1);
    }
}

#[test]
fn create_deployment_refuses_in_its_own_words() {
    let mut account = Account::new(Setup::default());
    let definition = account.register("shop/web:v2", json!([]));
    let good = Account::deployment_input(&definition, CANARY, &[]);
    let spec = "/revision/appSpecContent";
    let cases = [
        (
            "/applicationName",
            json!(null),
            "ApplicationNameRequiredException",
        ),
        (
            "/applicationName",
            json!("a b"),
            "InvalidApplicationNameException",
        ),
        (
            "/applicationName",
            json!("other"),
            "ApplicationDoesNotExistException",
        ),
        (
            "/deploymentGroupName",
            json!(null),
            "DeploymentGroupNameRequiredException",
        ),
        (
            "/deploymentGroupName",
            json!("other"),
            "DeploymentGroupDoesNotExistException",
        ),
        (
            "/deploymentConfigName",
            json!("other"),
            "DeploymentConfigDoesNotExistException",
        ),
        ("/revision", json!(null), "RevisionRequiredException"),
        (
            "/revision/revisionType",
            json!("S3"),
            "InvalidRevisionException",
        ),
        (
            "/deploymentConfigName",
            json!("a b"),
            "InvalidDeploymentConfigNameException",
        ),
        (
            "/revision/revisionType",
            json!("GitHub"),
            "InvalidRevisionException",
        ),
        (
            spec,
            json!({"content": "version: 0.0"}),
            "InvalidRevisionException",
        ),
        (
            spec,
            json!({"content": "x", "sha256": "0000"}),
            "InvalidRevisionException",
        ),
        (
            spec,
            json!({"sha256": "0000"}),
            "RevisionDoesNotExistException",
        ),
    ];
    for (place, value, code) in cases {
        let mut input = good.clone();
        *input.pointer_mut(place).expect(place) = value.clone();
        assert_eq!(
            account
                .refused("codedeploy", "CreateDeployment", input)
                .code,
            code,
            "{place} {value}"
        );
    }
    let more = [
        (
            "description",
            json!("x".repeat(600)),
            "DescriptionTooLongException",
        ),
        (
            "deploymentMode",
            json!("RESTART"),
            "InvalidComputePlatformException",
        ),
        (
            "autoRollbackConfiguration",
            json!({"enabled": true}),
            "InvalidAutoRollbackConfigException",
        ),
        (
            "overrideAlarmConfiguration",
            json!({"enabled": true}),
            "InvalidAlarmConfigException",
        ),
        (
            "targetInstances",
            json!({"autoScalingGroups": ["a"]}),
            "InvalidTargetInstancesException",
        ),
    ];
    for (member, value, code) in more {
        let mut input = good.clone();
        input[member] = value;
        assert_eq!(
            account
                .refused("codedeploy", "CreateDeployment", input)
                .code,
            code,
            "{member}"
        );
    }
    // Nothing of all this left anything behind.
    assert_eq!(
        account.ok("codedeploy", "ListDeployments", json!({}))["deployments"],
        json!([])
    );
    let revisions = account.ok(
        "codedeploy",
        "ListApplicationRevisions",
        json!({"applicationName": "app"}),
    );
    assert_eq!(revisions["revisions"], json!([]));

    // The content comes back only where the revision itself is asked for, and can be deployed by its digest.
    let id = text(&account.ok("codedeploy", "CreateDeployment", good.clone())["deploymentId"]);
    let revision = account.deployment(&id)["revision"].clone();
    let asked = json!({"applicationName": "app", "revision": revision});
    let answer = account.ok("codedeploy", "GetApplicationRevision", asked);
    assert_eq!(
        answer["revision"]["appSpecContent"]["content"],
        good["revision"]["appSpecContent"]["content"]
    );
    account.until_status(&id, "Succeeded");
    let mut again = good;
    again["revision"] = revision;
    account.ok("codedeploy", "CreateDeployment", again);
}

#[test]
fn deployments_are_listed_newest_first_and_filtered() {
    let mut account = Account::new(Setup::default());
    let definition = account.register("shop/web:v2", json!([]));
    let mut ids = Vec::new();
    for _ in 0..5 {
        let id = account.deploy(&definition, ALL_AT_ONCE, &[("BeforeInstall", "sim-fail")]);
        account.until_status(&id, "Failed");
        ids.insert(0, id);
    }
    account.world.set_page_limit(2);
    let mut found = Vec::new();
    let mut token = Json::Null;
    loop {
        let input = json!({"applicationName": "app", "deploymentGroupName": "group", "nextToken": token,
                           "includeOnlyStatuses": ["Failed"]});
        let page = account.ok("codedeploy", "ListDeployments", input);
        found.extend(
            page["deployments"]
                .as_array()
                .expect("ids")
                .iter()
                .map(text),
        );
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(found, ids);
    let none = account.ok(
        "codedeploy",
        "ListDeployments",
        json!({"includeOnlyStatuses": ["Succeeded"]}),
    );
    assert_eq!(none["deployments"], json!([]));
    let since = account.deployment(&ids[1])["createTime"]
        .as_f64()
        .expect("a time")
        / 1000.0;
    let recent = account.ok(
        "codedeploy",
        "ListDeployments",
        json!({"createTimeRange": {"start": since}}),
    );
    assert_eq!(recent["deployments"], json!([ids[0], ids[1]]));
    let cases = [
        (
            json!({"applicationName": "app"}),
            "DeploymentGroupNameRequiredException",
        ),
        (
            json!({"deploymentGroupName": "group"}),
            "ApplicationNameRequiredException",
        ),
        (
            json!({"includeOnlyStatuses": ["Done"]}),
            "InvalidDeploymentStatusException",
        ),
        (json!({"nextToken": "x"}), "InvalidNextTokenException"),
        (
            json!({"createTimeRange": {"start": 2, "end": 1}}),
            "InvalidTimeRangeException",
        ),
    ];
    for (input, code) in cases {
        assert_eq!(
            account.refused("codedeploy", "ListDeployments", input).code,
            code
        );
    }
    let batch = account.ok(
        "codedeploy",
        "BatchGetDeployments",
        json!({"deploymentIds": ids}),
    );
    assert_eq!(batch["deploymentsInfo"].as_array().map(Vec::len), Some(5));
    let many: Vec<&String> = ids.iter().cycle().take(26).collect();
    let error = account.refused(
        "codedeploy",
        "BatchGetDeployments",
        json!({"deploymentIds": many}),
    );
    assert_eq!(error.code, "BatchLimitExceededException");
    let cases = [
        (json!({}), "DeploymentIdRequiredException"),
        (
            json!({"deploymentId": "d-1"}),
            "InvalidDeploymentIdException",
        ),
        (
            json!({"deploymentId": "d-AAAAAAAAA"}),
            "DeploymentDoesNotExistException",
        ),
    ];
    for (input, code) in cases {
        for operation in ["GetDeployment", "StopDeployment", "ContinueDeployment"] {
            assert_eq!(
                account.refused("codedeploy", operation, input.clone()).code,
                code,
                "{operation}"
            );
        }
    }
}

#[test]
fn the_same_seed_and_calls_give_the_same_world_however_time_is_cut() {
    let run = |step: i64| {
        let (mut account, id) = {
            let mut account = Account::new(Setup {
                alarms: vec!["a"],
                ..Setup::default()
            });
            let group = account.green.clone();
            account.alarm("a", &group, 10.0);
            let definition = account.register("shop/web:bad", json!([]));
            let id = account.deploy(&definition, CANARY, &[]);
            (account, id)
        };
        let end = account.world.now_ms() + 15 * MINUTE;
        while account.world.now_ms() < end {
            let next = (account.world.now_ms() + step).min(end);
            account.world.advance_to(next);
        }
        (
            account.target(&id),
            account.deployment(&id),
            plain(&account.world.state()),
        )
    };
    assert_eq!(run(15 * MINUTE), run(777));
}
