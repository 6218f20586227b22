//! Measured deployments on AWS, replayed in stepped time.
//!
//! The traces are those of a laboratory log of August 2026 \[O\]: one Fargate task,
//! `ECSLinear10PercentEvery1Minutes`, five minutes of termination wait; and an alarm that was forced
//! while the traffic shifted. Order and statuses must be those of the trace. Times may differ by what a
//! second account would differ as well: `Install` is as long as a task takes to start (60 s), a
//! step of the shift by 2 s, the ends of a deployment by 15 s.

use super::*;

const LINEAR: &str = "CodeDeployDefault.ECSLinear10PercentEvery1Minutes";

fn near(what: &str, found_ms: i64, expected_s: i64, tolerance_s: i64) {
    let off = (found_ms - expected_s * SECOND).abs();
    assert!(
        off <= tolerance_s * SECOND,
        "{what}: {} s instead of {expected_s} s ± {tolerance_s} s",
        found_ms / SECOND
    );
}

/// One look at everything the trace's author looked at.
#[derive(Clone, Debug, PartialEq)]
struct Look {
    status: String,
    weights: (i64, i64),
    task_sets: Vec<(String, String)>,
}

fn look(account: &mut Account, id: &str) -> Look {
    Look {
        status: account.status(id),
        weights: account.production_weights(),
        task_sets: account.task_sets(),
    }
}

/// Every change of what is seen, with the time since `start`.
fn changes(account: &mut Account, id: &str, until_ms: i64) -> Vec<(i64, Look)> {
    let start = account.world.now_ms();
    let mut seen: Vec<(i64, Look)> = vec![(0, look(account, id))];
    while account.world.now_ms() < start + until_ms {
        account.pass(SECOND);
        let now = look(account, id);
        if seen.last().is_none_or(|(_, last)| *last != now) {
            seen.push((account.world.now_ms() - start, now));
        }
    }
    seen
}

fn one_task() -> Account {
    let mut account = Account::new(Setup {
        alarms: vec!["errors"],
        rollback: vec!["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
        ..Setup::default()
    });
    let green = account.green.clone();
    account.alarm("errors", &green, 1_000_000.0);
    account.ok(
        "ecs",
        "UpdateService",
        json!({"cluster": "prod", "service": "web", "desiredCount": 1}),
    );
    account.until("one task runs", 10 * MINUTE, |account| {
        account.service()["runningCount"] == 1
    });
    account.pass(5 * MINUTE);
    account
}

#[test]
fn a_linear_deployment_goes_as_it_was_measured() {
    let mut account = one_task();
    let definition = account.register("shop/web:v2", json!([]));
    let start = account.world.now_ms();
    let id = account.deploy(&definition, LINEAR, &[]);
    let seen = changes(&mut account, &id, 20 * MINUTE);
    let at = |what: &str, is: &dyn Fn(&Look) -> bool| {
        seen.iter()
            .find(|(_, look)| is(look))
            .map(|(at, _)| *at)
            .unwrap_or_else(|| panic!("never: {what}"))
    };

    near(
        "InProgress",
        at("InProgress", &|look| look.status == "InProgress"),
        3,
        1,
    );
    let first = at("the first 10 %", &|look| look.weights == (90, 10));
    near("the first 10 %", first, 140, 60);
    for step in 1..10 {
        let green = 10 + 10 * step;
        let found = at("a step", &|look| look.weights == (100 - green, green));
        near(
            &format!("{green} % after the first 10 %"),
            found - first,
            60 * step,
            2,
        );
    }
    // Measured: 692 s - 140 s from the first 10 % to 100 %.
    let whole = at("100 %", &|look| look.weights == (0, 100));
    near("100 % after the first 10 %", whole - first, 552, 15);
    // Measured: 976 s - 692 s, the termination wait of 300 s and what is around it.
    let succeeded = at("Succeeded", &|look| look.status == "Succeeded");
    near("Succeeded after 100 %", succeeded - whole, 284, 40);
    near("the whole deployment", succeeded, 976, 75);

    // Statuses in their order, each once.
    let mut statuses: Vec<&str> = seen.iter().map(|(_, look)| look.status.as_str()).collect();
    statuses.dedup();
    assert_eq!(statuses, ["Created", "InProgress", "Succeeded"]);
    // During the wait both task sets stand; afterwards blue drains.
    let waiting = seen
        .iter()
        .rfind(|(at, _)| *at < succeeded)
        .map(|(_, look)| look.task_sets.clone());
    let sets = |blue: &str| {
        Some(vec![
            ("PRIMARY".to_string(), "2".to_string()),
            (blue.to_string(), "1".to_string()),
        ])
    };
    assert!(seen.iter().any(|(at, look)| *at >= whole
        && *at < succeeded
        && Some(look.task_sets.clone()) == sets("ACTIVE")));
    assert!(
        waiting == sets("ACTIVE") || waiting == sets("DRAINING"),
        "{waiting:?}"
    );
    let ended = seen.iter().find(|(_, look)| look.status == "Succeeded");
    assert_eq!(
        ended.map(|(_, look)| look.task_sets.clone()),
        sets("DRAINING")
    );

    let begun = |account: &mut Account, name: &str| {
        let event = account.event(&id, name);
        let time = |member: &str| event[member].as_i64().expect("a time") - start;
        (time("startTime"), time("endTime"))
    };
    let events = account.events(&id);
    assert_eq!(events.len(), 8);
    assert!(events.iter().all(|(_, status)| status == "Succeeded"));
    let before = begun(&mut account, "BeforeInstall");
    assert_eq!(before.1 - before.0, 200);
    let mut last = 0;
    for (name, _) in &events {
        let (from, to) = begun(&mut account, name);
        assert!(from >= last && to >= from, "{name} from {from} to {to}");
        last = to;
    }
    let listener = account.test.clone();
    assert_eq!(account.weights(&listener), (0, 1));
    assert_eq!(
        account.target(&id)["targetId"],
        json!("prod:web"),
        "the target is named by cluster and service"
    );
}

#[test]
fn an_alarm_during_the_shift_stops_and_restores_as_it_was_measured() {
    let mut account = one_task();
    let definition = account.register("shop/web:v2", json!([]));
    let id = account.deploy(&definition, LINEAR, &[]);
    account.until_event(&id, "AllowTraffic", "InProgress");
    account.pass(2 * MINUTE + 7 * SECOND);
    assert_eq!(account.production_weights(), (70, 30));
    account.ok(
        "monitoring",
        "SetAlarmState",
        json!({"AlarmName": "errors", "StateValue": "ALARM", "StateReason": "forced"}),
    );
    // A forced state lasts until the next evaluation; AWS was seen to act before that.
    let forced = account.world.now_ms();
    let stopped = account.until_status(&id, "Stopped");
    let found = account.deployment(&id);
    let rollback = text(&found["rollbackInfo"]["rollbackDeploymentId"]);
    assert_eq!(found["errorInformation"]["code"], "ALARM_ACTIVE");
    assert_eq!(
        found["errorInformation"]["message"],
        "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and \
         the affected deployments have been stopped. Activated alarms: errors"
    );
    assert_eq!(
        found["rollbackInfo"]["rollbackMessage"],
        format!(
            "Deployment {id} terminated. Automatic rollback is triggered with a DeploymentId {rollback}."
        )
    );
    assert!(stopped <= 15 * SECOND, "{stopped}");
    account.until("the weights are restored", MINUTE, |account| {
        account.production_weights() == (100, 0)
    });
    // Measured: 23 s from the forced alarm to Stopped with the weights restored.
    near(
        "stopped and restored",
        account.world.now_ms() - forced,
        23,
        13,
    );
    account.until_status(&rollback, "Succeeded");
    near("rolled back", account.world.now_ms() - forced, 23, 15);
    let second = account.deployment(&rollback);
    assert_eq!(second["creator"], "codeDeployRollback");
    assert_eq!(
        second["deploymentConfigName"],
        "CodeDeployDefault.ECSAllAtOnce"
    );
    assert_eq!(
        second["rollbackInfo"],
        json!({
            "rollbackTriggeringDeploymentId": id,
            "rollbackMessage": format!("Deployment {rollback} is triggered to roll back deployment {id}."),
        })
    );
    assert_eq!(
        account.task_sets(),
        [
            ("PRIMARY".to_string(), "1".to_string()),
            ("DRAINING".to_string(), "2".to_string()),
        ]
    );
    let events = account.events(&id);
    let status = |name: &str| {
        events
            .iter()
            .find(|(event, _)| event == name)
            .map(|(_, status)| status.as_str())
    };
    assert_eq!(status("BeforeAllowTraffic"), Some("Succeeded"));
    assert_eq!(status("AllowTraffic"), Some("Failed"));
    assert_eq!(status("AfterAllowTraffic"), Some("Skipped"));
}
