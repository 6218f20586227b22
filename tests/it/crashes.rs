//! Power cuts: whatever was promised is kept, and nothing is done twice.

use serde_json::Value;
use serde_json::json;

use crate::account::Json;
use crate::account::PRODUCT_KEY;
use crate::team::AT_ONCE;
use crate::team::CANARY;
use crate::team::GATE;
use crate::team::NO_HOOK;
use crate::wait::SOON;
use crate::wait::until;
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_outlives_the_server() {
    let mut world = World::start().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "release 2").await;
    let gate = world.holds(&aws_id).await;
    world.kill_server();
    world.start_server().await;
    let after = world
        .api
        .gate(gate["id"].as_str().unwrap_or_default())
        .await;
    for member in [
        "state",
        "opened_at",
        "expires_at",
        "evidence_digest",
        "deployment_id",
    ] {
        assert_eq!(
            after[member], gate[member],
            "{member} changed with the restart"
        );
    }

    // Decided, and killed before AWS heard of it.
    let fault = json!({
        "service": "codedeploy", "operation": "PutLifecycleEventHookExecutionStatus",
        "fault": "error_before",
    });
    world.account.tell("faults", fault).await;
    world
        .api
        .decides(&after, "approve", Some("before the power cut"))
        .await
        .is(200);
    until("AWS was told, and failed", SOON, async || {
        let calls = world.calls_of_the_product().await;
        if calls.is_empty() {
            Err(format!("{calls:?}"))
        } else {
            Ok(())
        }
    })
    .await;
    world.kill_server();
    world.account.heal().await;
    world.start_server().await;
    let confirmed = world.confirmed(&gate).await;
    assert_eq!(confirmed["state"], "approved", "{confirmed}");
    assert_eq!(confirmed["decisions"][0]["reason"], "before the power cut");
    let deployment = world.ends(&aws_id).await;
    assert_eq!(deployment["outcome"], "succeeded", "{deployment}");

    let calls = world.account.journal(PRODUCT_KEY).await;
    let effects: Vec<&Value> = calls
        .iter()
        .filter(|call| call["error"].is_null())
        .collect();
    assert_eq!(effects.len(), 1, "{calls:?}");
    let names: Vec<&str> = vec!["PutLifecycleEventHookExecutionStatus"; calls.len()];
    world.finish(&names).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_came_while_the_server_was_down_opens_its_gate_later() {
    let mut world = World::start().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    world.kill_server();
    // The function is run again a minute later by the account's clock, which only speed shortens.
    world.account.tell("clock", json!({ "speed": 60 })).await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "release 2").await;
    world
        .passing("AWS waits at the hook", 600, async || {
            let input = json!({
                "deploymentId": aws_id, "targetId": format!("{}:{}", team.cluster, team.service),
            });
            let answer = world
                .account
                .ask(Json::CodeDeploy, "GetDeploymentTarget", input)
                .await;
            let answer = answer.map_err(|refusal| format!("{refusal:?}"))?;
            let events = &answer["deploymentTarget"]["ecsTarget"]["lifecycleEvents"];
            let waits = events.as_array().into_iter().flatten().any(|event| {
                event["lifecycleEventName"] == "BeforeAllowTraffic"
                    && event["status"] == "InProgress"
            });
            if waits {
                Ok(())
            } else {
                Err(events.to_string())
            }
        })
        .await;
    world.start_server().await;
    let gate = world.holds(&aws_id).await;
    world.account.tell("clock", json!({ "speed": 1 })).await;
    assert_eq!(gate["stage"], "BeforeAllowTraffic");
    world
        .api
        .decides(&gate, "reject", Some("not tonight"))
        .await
        .is(200);
    world.confirmed(&gate).await;
    assert_eq!(world.ends(&aws_id).await["outcome"], "rolled_back");
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_in_flight_outlives_the_server_and_happens_once() {
    let mut world = World::start().await;
    let team = world.team("web").await;
    let mut revisions = vec![team.first_revision.clone()];
    for tag in ["2", "3"] {
        let revision = team.registers(tag, &[]).await;
        let aws_id = team
            .deploys(&revision, AT_ONCE, NO_HOOK, &format!("release {tag}"))
            .await;
        assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
        revisions.push(revision);
    }
    let faults = [
        // Killed while the call is under way; AWS has done it.
        (
            json!({ "fault": "slow", "delay_ms": 20_000 }),
            &revisions[1],
        ),
        // The answer was lost, and killed after that.
        (json!({ "fault": "response_lost" }), &revisions[0]),
    ];
    for (before, (mut fault, target)) in faults.into_iter().enumerate() {
        fault["service"] = json!("codedeploy");
        fault["operation"] = json!("CreateDeployment");
        fault["times"] = json!(1);
        world.account.tell("faults", fault.clone()).await;
        let plan = world
            .api
            .post("/services/web/rollbacks/plan", &json!({ "target": target }))
            .await
            .is(200);
        let command =
            json!({ "target": target, "reason": "INC-10", "plan_digest": plan["digest"] });
        let operation = world
            .api
            .post("/services/web/rollbacks", &command)
            .await
            .is(202);
        let id = operation["id"].as_str().unwrap_or_default().to_string();
        until("AWS has begun the deployment", SOON, async || {
            let calls = world.calls_of_the_product().await;
            if calls.len() == before + 1 {
                Ok(())
            } else {
                Err(format!("{calls:?}"))
            }
        })
        .await;
        world.kill_server();
        world.account.heal().await;
        world.start_server().await;

        let done = world.operation_ends(&id).await;
        assert_eq!(done["state"], "done", "{fault}: {done}");
        assert_eq!(team.serving().await, *target, "{fault}");
        let begun = world
            .api
            .deployment(done["deployment_id"].as_str().unwrap_or_default())
            .await;
        assert_eq!(begun["outcome"], "succeeded", "{fault}: {begun}");
        assert_eq!(begun["target_revision"], *target, "{fault}: {begun}");
        assert_eq!(begun["reason"], "INC-10", "{fault}: {begun}");
    }
    world
        .finish(&["CreateDeployment", "CreateDeployment"])
        .await;
}
