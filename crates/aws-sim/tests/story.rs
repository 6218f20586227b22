//! What a visitor finds in an account that does not start empty, and that it goes on by itself.

use std::collections::BTreeMap;

use serde_json::json;
use switchback_aws_sim::door::json::from_json;
use switchback_aws_sim::door::simulation::{ACCOUNT, REGION, Simulation};
use switchback_aws_sim::story;
use switchback_aws_sim::value::Value;
use switchback_aws_sim::world::{Caller, Effect};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// 21 November 2026, 10:00:07.400 UTC: not on a whole minute, as machines are.
const START_MS: i64 = 1_795_255_207_400;

const MINUTE_MS: i64 = 60_000;

fn begin(seed: u64) -> (Simulation, UnboundedReceiver<Effect>) {
    let (effects, wanted) = unbounded_channel();
    (
        story::begin(seed, START_MS, effects).expect("the story"),
        wanted,
    )
}

fn call(
    simulation: &mut Simulation,
    service: &str,
    operation: &str,
    input: serde_json::Value,
) -> Value {
    let caller = Caller {
        account: ACCOUNT.to_string(),
        region: REGION.to_string(),
        principal: format!("arn:aws:iam::{ACCOUNT}:user/visitor"),
    };
    simulation
        .call_as(&caller, service, operation, &from_json(input))
        .unwrap_or_else(|error| panic!("{operation}: {error}"))
}

/// All deployments of a service, oldest first.
fn deployments(simulation: &mut Simulation, service: &str) -> Vec<Value> {
    let group = json!({
        "applicationName": format!("AppECS-prod-eu-{service}"),
        "deploymentGroupName": format!("DgpECS-prod-eu-{service}"),
    });
    let listed = call(simulation, "codedeploy", "ListDeployments", group);
    let ids: Vec<String> = listed
        .get("deployments")
        .as_list()
        .iter()
        .filter_map(|id| id.as_str().map(str::to_string))
        .collect();
    let mut deployments: Vec<Value> = ids
        .iter()
        .map(|id| {
            let answer = call(
                simulation,
                "codedeploy",
                "GetDeployment",
                json!({ "deploymentId": id }),
            );
            answer.get("deploymentInfo").clone()
        })
        .collect();
    deployments.sort_by_key(|deployment| deployment.get("createTime").as_time_ms());
    deployments
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).as_str().unwrap_or("")
}

fn statuses(deployments: &[Value]) -> Vec<&str> {
    deployments
        .iter()
        .map(|deployment| text(deployment, "status"))
        .collect()
}

/// Lifecycle events by name with their status.
fn events(
    simulation: &mut Simulation,
    service: &str,
    deployment: &Value,
) -> BTreeMap<String, String> {
    let target = json!({
        "deploymentId": text(deployment, "deploymentId"),
        "targetId": format!("prod-eu:{service}"),
    });
    let answer = call(simulation, "codedeploy", "GetDeploymentTarget", target);
    let events = answer
        .get("deploymentTarget")
        .get("ecsTarget")
        .get("lifecycleEvents");
    events
        .as_list()
        .iter()
        .map(|event| {
            (
                text(event, "lifecycleEventName").to_string(),
                text(event, "status").to_string(),
            )
        })
        .collect()
}

#[test]
fn a_visitor_finds_a_gate_a_shift_a_bad_canary_and_a_quiet_service() {
    let (mut simulation, mut wanted) = begin(1);

    let checkout = deployments(&mut simulation, "checkout-api");
    assert_eq!(statuses(&checkout), ["Succeeded"; 4]);

    let payments = deployments(&mut simulation, "payments");
    assert_eq!(
        statuses(&payments),
        [
            "Succeeded",
            "Stopped",
            "Succeeded",
            "Succeeded",
            "InProgress"
        ]
    );
    assert_eq!(
        text(payments[1].get("errorInformation"), "code"),
        "ALARM_ACTIVE"
    );
    assert_eq!(text(&payments[2], "creator"), "codeDeployRollback");
    let gate = events(&mut simulation, "payments", &payments[4]);
    assert_eq!(gate["BeforeAllowTraffic"], "InProgress", "{gate:?}");
    let Ok(Effect::InvokeHook {
        function,
        deployment_id,
        ..
    }) = wanted.try_recv()
    else {
        panic!("no hook is invoked at the start");
    };
    assert_eq!(function, "switchback-relay");
    assert_eq!(deployment_id, text(&payments[4], "deploymentId"));
    assert!(wanted.try_recv().is_err(), "only one gate is open");

    let catalog = deployments(&mut simulation, "catalog");
    assert_eq!(statuses(&catalog), ["Succeeded", "Succeeded", "InProgress"]);
    let shift = events(&mut simulation, "catalog", &catalog[2]);
    assert_eq!(shift["AllowTraffic"], "InProgress", "{shift:?}");

    let search = deployments(&mut simulation, "search");
    assert_eq!(statuses(&search), ["Succeeded", "Succeeded", "InProgress"]);
    let bad = events(&mut simulation, "search", &search[2]);
    assert_eq!(bad["AllowTraffic"], "InProgress", "{bad:?}");
    simulation.advance_to(START_MS + 6 * MINUTE_MS);
    let search = deployments(&mut simulation, "search");
    assert_eq!(
        text(search[2].get("errorInformation"), "code"),
        "ALARM_ACTIVE"
    );
    assert_eq!(text(&search[3], "creator"), "codeDeployRollback");
}

#[test]
fn the_gate_is_open_at_the_start_whatever_the_seed() {
    for seed in 0..8 {
        let (mut simulation, mut wanted) = begin(seed);
        assert!(
            wanted.try_recv().is_ok(),
            "no hook is invoked with seed {seed}"
        );
        let search = deployments(&mut simulation, "search");
        let bad = events(&mut simulation, "search", &search[2]);
        assert_eq!(
            bad["AllowTraffic"], "InProgress",
            "{bad:?} with seed {seed}"
        );
    }
}

#[test]
fn the_teams_go_on_for_hours_whether_or_not_the_gate_is_answered() {
    let (mut simulation, mut wanted) = begin(1);
    let mut answered = 0;
    for minute in 1..=180 {
        simulation.advance_to(START_MS + minute * MINUTE_MS);
        while let Ok(Effect::InvokeHook {
            deployment_id,
            execution_id,
            ..
        }) = wanted.try_recv()
        {
            answered += 1;
            // The second gate is left to its fuse.
            if answered != 2 {
                let verdict = json!({
                    "deploymentId": deployment_id,
                    "lifecycleEventHookExecutionId": execution_id,
                    "status": "Succeeded",
                });
                call(
                    &mut simulation,
                    "codedeploy",
                    "PutLifecycleEventHookExecutionStatus",
                    verdict,
                );
            }
        }
    }
    assert!(answered >= 5, "{answered} gates in three hours");
    for service in ["payments", "catalog", "search"] {
        let ended = deployments(&mut simulation, service)
            .iter()
            .filter_map(|deployment| deployment.get("completeTime").as_time_ms())
            .filter(|completed_ms| *completed_ms > START_MS)
            .count();
        assert!(
            ended >= 6,
            "{service}: {ended} deployments ended in three hours"
        );
    }
    let search = deployments(&mut simulation, "search");
    let by_alarm = search
        .iter()
        .filter(|deployment| text(deployment.get("errorInformation"), "code") == "ALARM_ACTIVE");
    assert!(by_alarm.count() >= 3, "{:?}", statuses(&search));
    let good = search.iter().filter(|deployment| {
        text(deployment, "creator") == "user" && text(deployment, "status") == "Succeeded"
    });
    assert!(good.count() >= 5, "{:?}", statuses(&search));
    assert_eq!(deployments(&mut simulation, "checkout-api").len(), 4);
    let refused = simulation
        .journal()
        .iter()
        .find(|entry| entry.error.is_some());
    assert_eq!(refused, None);
}

#[test]
fn a_seed_decides_the_whole_story_however_time_is_cut() {
    let (mut one, _) = begin(5);
    let (mut other, _) = begin(5);
    one.advance_to(START_MS + 40 * MINUTE_MS);
    for second in 0..=40 * 60 {
        other.advance_to(START_MS + second * 1000);
    }
    assert_eq!(one.journal(), other.journal());
    assert_eq!(one.state(), other.state());
    let (mut different, _) = begin(6);
    different.advance_to(START_MS + 40 * MINUTE_MS);
    assert_ne!(one.state(), different.state());
}
