//! Rollbacks of services of the deployment controller ECS: planned, carried out, and found again when an answer is lost.

use serde_json::Value;
use serde_json::json;

use crate::account::Account;
use crate::account::Json;
use crate::account::PRODUCT_KEY;
use crate::ecs_services::CLUSTER;
use crate::ecs_services::EcsTeam;
use crate::ecs_services::balancers;
use crate::ecs_services::encoded;
use crate::ecs_services::rolling;
use crate::ecs_services::text;
use crate::wait::SOON;
use crate::wait::until;
use crate::window::Screen;
use crate::window::Window;
use crate::world::USER;
use crate::world::World;

/// A service with two recorded revisions that both served; gives the ARNs of `:1` and `:2`, and of what brought `:2`.
async fn released(world: &World, team: &EcsTeam) -> (String, String, String) {
    team.is_found(world).await;
    let second = team.registers("2", &[("COLOUR", "red")]).await;
    let aws_id = team.updates(&second).await;
    let ended = world.ends(&encoded(&aws_id)).await;
    assert_eq!(ended["outcome"], "succeeded", "{ended}");
    (second.replace(":2", ":1"), second, aws_id)
}

async fn blue_green(account: &Account, service: &str) -> EcsTeam {
    let balancers = balancers(account, service).await;
    let configuration = json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1 });
    EcsTeam::build(account, service, configuration, balancers).await
}

/// The plan of going back.
async fn plans(world: &World, service: &str, target: &str) -> Value {
    let ask = json!({ "target": target });
    let path = format!("/services/{service}/rollbacks/plan");
    world.api.post(&path, &ask).await.is(200)
}

/// Asks for a rollback as it was planned just now; gives the operation.
async fn rolls_back(world: &World, service: &str, target: &str, reason: &str) -> Value {
    let plan = plans(world, service, target).await;
    let ask = json!({ "target": target, "reason": reason, "plan_digest": plan["digest"] });
    let path = format!("/services/{service}/rollbacks");
    world.api.post(&path, &ask).await.is(202)
}

fn check(plan: &Value, name: &str) -> String {
    let checks = plan["preflight"].as_array();
    let found = checks.and_then(|checks| checks.iter().find(|check| check["check"] == name));
    let found = found.unwrap_or_else(|| panic!("no {name} in {plan}"));
    text(&found["result"])
}

async fn serving(world: &World, service: &str) -> Value {
    let path = format!("/services/{service}");
    world.api.get(&path).await.is(200)["serving_revision"].clone()
}

/// How many deployments of a service AWS has.
async fn deployments_at_aws(world: &World, service: &str) -> usize {
    let input = json!({ "cluster": CLUSTER, "service": service });
    let listed = world
        .account
        .call(Json::Ecs, "ListServiceDeployments", input)
        .await;
    listed["serviceDeployments"].as_array().map_or(0, Vec::len)
}

async fn is_called(world: &World, count: usize) {
    until("AWS was called", SOON, async || {
        let calls = world.calls_of_the_product().await;
        if calls.len() == count {
            Ok(())
        } else {
            Err(format!("{calls:?}"))
        }
    })
    .await;
}

/// Looks at the page in both themes, at both widths.
async fn is_looked_at(window: &Window, name: &str) {
    for (screen, width) in [(Screen::Desktop, "desktop"), (Screen::Phone, "phone")] {
        window.looks_through(screen).await;
        for theme in ["light", "dark"] {
            window.wears(theme).await;
            window.sees("Exact call").await;
            window.hinders_nobody().await;
            window
                .keeps_picture(&format!("{name}-{width}-{theme}"))
                .await;
        }
    }
    window.looks_through(Screen::Desktop).await;
    window.wears("light").await;
    window.sees("Exact call").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_service_is_put_back_from_its_page() {
    let world = World::start().await;
    let team = EcsTeam::build(&world.account, "orders", rolling(), json!([])).await;
    let (good, bad, undone) = released(&world, &team).await;

    let window = world.signed_in_window().await;
    window.goes_to("/services/orders").await;
    window.presses("Roll back to :1").await;
    window.sees("Redeploy a recorded revision").await;
    window.sees("aws ecs update-service").await;
    window
        .sees("at least 2 healthy and at most 6 running at a time")
        .await;
    window.sees("The circuit breaker is on").await;
    is_looked_at(&window, "rollback-ecs-rolling").await;
    assert!(
        world.calls_of_the_product().await.is_empty(),
        "looking at a plan changed something"
    );
    window.types("reason", "INC-8: wrong colour").await;
    window.presses("Roll back orders to :1").await;
    window.sees("The rollback is recorded.").await;

    let undone = encoded(&undone);
    let undone = world
        .passing(
            "the rollback is linked to what it undoes",
            1800,
            async || {
                let undone = world.api.deployment(&undone).await;
                match undone["rolled_back_by"].is_string() {
                    true => Ok(undone),
                    false => Err(undone.to_string()),
                }
            },
        )
        .await;
    let rollback = world.ends(&text(&undone["rolled_back_by"])).await;
    assert_eq!(rollback["outcome"], "succeeded", "{rollback}");
    assert_eq!(rollback["rollback_of"], undone["id"], "{rollback}");
    assert_eq!(rollback["previous_revision"], bad, "{rollback}");
    assert_eq!(rollback["target_revision"], good, "{rollback}");
    assert_eq!(rollback["initiator"], USER, "{rollback}");
    assert_eq!(rollback["reason"], "INC-8: wrong colour", "{rollback}");
    assert_eq!(serving(&world, "orders").await, good);
    let calls = world.account.journal(PRODUCT_KEY).await;
    assert_eq!(
        calls[0]["parameters"],
        json!({ "cluster": CLUSTER, "service": "orders", "taskDefinition": good }),
        "nothing else of the service is touched, and nothing forced"
    );
    window.goes_to("/services/orders").await;
    window.sees("Known bad").await;
    window.finish(&[]).await;
    world.finish(&["UpdateService"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blue_green_service_is_put_back_with_its_bake() {
    let world = World::start().await;
    let team = blue_green(&world.account, "cart").await;
    let (good, _, undone) = released(&world, &team).await;
    let plan = plans(&world, "cart", "previous").await;
    assert_eq!(plan["kind"], "redeploy", "{plan}");
    let words = plan["consequences"].to_string();
    assert!(words.contains("moves at once"), "{words}");
    assert!(words.contains("its bake are waited for again"), "{words}");
    let operation = rolls_back(&world, "cart", "previous", "INC-9").await;
    let done = world.operation_ends(&text(&operation["id"])).await;
    assert_eq!(done["state"], "done", "{done}");
    let rollback = world.api.deployment(&text(&done["deployment_id"])).await;
    assert_eq!(rollback["initiator"], operation["actor"], "{rollback}");
    assert_eq!(rollback["target_revision"], good, "{rollback}");
    let undone = world.api.deployment(&encoded(&undone)).await;
    assert_eq!(rollback["rollback_of"], undone["id"], "{rollback}");
    assert_eq!(undone["rolled_back_by"], rollback["id"], "{undone}");
    assert_eq!(serving(&world, "cart").await, good);
    world.finish(&["UpdateService"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_in_flight_is_stopped_from_its_page() {
    let world = World::start().await;
    let balancers = balancers(&world.account, "cart").await;
    let canary = json!({
        "strategy": "CANARY", "bakeTimeInMinutes": 2,
        "canaryConfiguration": { "canaryPercent": 10.0, "canaryBakeTimeInMinutes": 8 },
    });
    let team = EcsTeam::build(&world.account, "cart", canary, balancers).await;
    team.is_found(&world).await;
    let revision = team.registers("2", &[]).await;
    let arn = team.updates(&revision).await;
    let aws_id = encoded(&arn);
    world.recorded(&aws_id).await;
    world
        .passing("a tenth is on the new one", 900, async || {
            let deployment = world.api.deployment(&aws_id).await;
            match deployment["share_new"] == 0.1 {
                true => Ok(()),
                false => Err(deployment.to_string()),
            }
        })
        .await;
    let window = world.signed_in_window().await;
    window.goes_to(&format!("/deployments/{aws_id}")).await;
    window.presses("Stop and roll back").await;
    window.is_at("/services/").await;
    window.sees("Stop in flight").await;
    window.sees("aws ecs stop-service-deployment").await;
    is_looked_at(&window, "rollback-ecs-stop").await;
    window.types("reason", "INC-7: checkout is slow").await;
    window.presses("Stop and roll back cart to :1").await;
    window.is_at("/deployments/").await;
    window.sees("The rollback is recorded.").await;
    let ended = world.ends(&aws_id).await;
    assert_eq!(
        (&ended["outcome"], &ended["outcome_cause"]),
        (&json!("rolled_back"), &json!("operator")),
        "{ended}"
    );
    window.sees("Rolled back: operator").await;
    window.sees("Done").await;
    assert_eq!(serving(&world, "cart").await, revision.replace(":2", ":1"));
    let stops = world.account.journal(PRODUCT_KEY).await;
    assert_eq!(
        stops[0]["parameters"],
        json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" })
    );
    window.finish(&[]).await;
    world.finish(&["StopServiceDeployment"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_aws_would_refuse_and_what_is_out_of_date_changes_nothing() {
    let world = World::start().await;
    let team = EcsTeam::build(&world.account, "orders", rolling(), json!([])).await;
    let (first, _, _) = released(&world, &team).await;
    let path = "/services/orders/rollbacks";
    let plan = plans(&world, "orders", &first).await;
    assert_eq!(check(&plan, "Revision ACTIVE"), "ok", "{plan}");
    assert_eq!(check(&plan, "Record complete"), "ok", "{plan}");

    // Somebody else moves the service after the plan was read.
    let third = team.registers("3", &[]).await;
    let moved = encoded(&team.updates(&third).await);
    let stale = json!({ "target": first, "reason": "INC-1", "plan_digest": plan["digest"] });
    let refused = world.api.post(path, &stale).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert_eq!(refused.json()["code"], "plan_changed", "{}", refused.body);
    let moving = world.recorded(&moved).await;
    assert_eq!(moving["target_revision"], third, "{moving}");
    let plan = until("the record is complete", SOON, async || {
        let plan = plans(&world, "orders", &first).await;
        match check(&plan, "Record complete").as_str() {
            "ok" => Ok(plan),
            _ => Err(plan.to_string()),
        }
    })
    .await;
    assert_eq!(plan["kind"], "redeploy", "it is not what :3 replaces");
    assert_eq!(check(&plan, "No other deployment"), "warning", "{plan}");
    world.ends(&moved).await;

    // A revision that ECS would refuse.
    let input = json!({ "taskDefinition": first });
    world
        .account
        .call(Json::Ecs, "DeregisterTaskDefinition", input)
        .await;
    let plan = plans(&world, "orders", &first).await;
    assert_eq!(check(&plan, "Revision ACTIVE"), "blocking", "{plan}");
    let ask = json!({ "target": first, "reason": "INC-1", "plan_digest": plan["digest"] });
    let refused = world.api.post(path, &ask).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert_eq!(refused.json()["code"], "plan_blocked", "{}", refused.body);
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_double_click_has_one_effect() {
    let world = World::start().await;
    let team = EcsTeam::build(&world.account, "orders", rolling(), json!([])).await;
    let (first, _, _) = released(&world, &team).await;
    let plan = plans(&world, "orders", &first).await;
    let ask = json!({ "target": first, "reason": "INC-2", "plan_digest": plan["digest"] });
    let path = "/services/orders/rollbacks";
    let key = [("idempotency-key", "one-click")];
    // The same form twice, and somebody else's at the same moment.
    let (one, again, other) = tokio::join!(
        world.api.post_with(path, &ask, &key),
        world.api.post_with(path, &ask, &key),
        world.api.post(path, &ask),
    );
    let accepted: Vec<String> = [&one, &again, &other]
        .iter()
        .filter(|answer| answer.status == 202)
        .map(|answer| text(&answer.json()["id"]))
        .collect();
    let Some(id) = accepted.first() else {
        panic!("{} {} {}", one.body, again.body, other.body);
    };
    assert!(accepted.iter().all(|one| one == id), "{accepted:?}");
    let done = world.operation_ends(id).await;
    assert_eq!(done["state"], "done", "{done}");
    assert_eq!(deployments_at_aws(&world, "orders").await, 3);
    world.finish(&["UpdateService"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_of_update_service_is_one_deployment() {
    let mut world = World::start().await;
    let team = EcsTeam::build(&world.account, "orders", rolling(), json!([])).await;
    let (first, second, _) = released(&world, &team).await;
    let faults = [
        // The answer is lost; the server goes on.
        (json!({ "fault": "response_lost" }), &first, false),
        // The answer is lost, and the server is killed.
        (json!({ "fault": "response_lost" }), &second, true),
        // Killed while the call is under way; AWS has done it.
        (json!({ "fault": "slow", "delay_ms": 20_000 }), &first, true),
    ];
    for (before, (mut fault, target, killed)) in faults.into_iter().enumerate() {
        fault["service"] = json!("ecs");
        fault["operation"] = json!("UpdateService");
        fault["times"] = json!(1);
        world.account.tell("faults", fault.clone()).await;
        let operation = rolls_back(&world, "orders", target, "INC-10").await;
        is_called(&world, before + 1).await;
        if killed {
            world.kill_server();
            world.account.heal().await;
            world.start_server().await;
        }
        let done = world.operation_ends(&text(&operation["id"])).await;
        assert_eq!(done["state"], "done", "{fault}: {done}");
        assert_eq!(serving(&world, "orders").await, *target, "{fault}");
        let begun = world.api.deployment(&text(&done["deployment_id"])).await;
        assert_eq!(begun["outcome"], "succeeded", "{fault}: {begun}");
        assert_eq!(begun["reason"], "INC-10", "{fault}: {begun}");
        assert_eq!(begun["initiator"], operation["actor"], "{fault}: {begun}");
        assert_eq!(
            deployments_at_aws(&world, "orders").await,
            before + 3,
            "{fault}"
        );
        let page = world
            .api
            .get(&format!("/deployments/{}", text(&begun["id"])))
            .await;
        assert_eq!(page.status, 200);
    }
    world.finish(&["UpdateService"; 3]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_an_effect_is_made_again_once_that_is_certain() {
    let world = World::start().await;
    let team = EcsTeam::build(&world.account, "orders", rolling(), json!([])).await;
    let (first, _, _) = released(&world, &team).await;
    let fault = json!({
        "service": "ecs", "operation": "UpdateService", "fault": "error_before", "times": 1,
    });
    world.account.tell("faults", fault).await;
    let operation = rolls_back(&world, "orders", &first, "INC-11").await;
    is_called(&world, 1).await;
    let done = world.operation_ends(&text(&operation["id"])).await;
    assert_eq!(done["state"], "done", "{done}");
    let calls = world.account.journal(PRODUCT_KEY).await;
    let failed: Vec<bool> = calls.iter().map(|call| !call["error"].is_null()).collect();
    assert_eq!(failed, [true, false], "{calls:?}");
    assert_eq!(deployments_at_aws(&world, "orders").await, 3);
    world.finish(&["UpdateService"; 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_identical_deployment_is_not_added_to() {
    let world = World::start().await;
    let team = EcsTeam::build(&world.account, "orders", rolling(), json!([])).await;
    let (first, _, _) = released(&world, &team).await;
    let fault = json!({
        "service": "ecs", "operation": "UpdateService", "fault": "error_before", "times": 1,
    });
    world.account.tell("faults", fault).await;
    let operation = rolls_back(&world, "orders", &first, "INC-12").await;
    is_called(&world, 1).await;
    let theirs = team.updates(&first).await;
    let done = world.operation_ends(&text(&operation["id"])).await;
    assert_eq!(done["state"], "done", "{done}");
    let detail = text(&done["detail"]);
    assert!(detail.contains(&theirs), "{detail}");
    assert!(
        detail.contains("AWS does not tell whose call began"),
        "what is not known is said: {detail}"
    );
    assert_eq!(deployments_at_aws(&world, "orders").await, 3);
    world.finish(&["UpdateService"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_of_a_stop_is_one_stop() {
    let mut world = World::start().await;
    let team = blue_green(&world.account, "cart").await;
    team.is_found(&world).await;
    for (number, killed) in [("2", false), ("3", true)] {
        let revision = team.registers(number, &[]).await;
        let aws_id = encoded(&team.updates(&revision).await);
        world.recorded(&aws_id).await;
        let fault = json!({
            "service": "ecs", "operation": "StopServiceDeployment", "fault": "response_lost",
            "times": 1,
        });
        world.account.tell("faults", fault).await;
        until("it can be stopped", SOON, async || {
            let plan = plans(&world, "cart", "previous").await;
            if plan["kind"] != "stop_in_flight" || check(&plan, "Record complete") != "ok" {
                return Err(plan.to_string());
            }
            Ok(())
        })
        .await;
        let operation = rolls_back(&world, "cart", "previous", "INC-13").await;
        is_called(&world, if killed { 2 } else { 1 }).await;
        if killed {
            world.kill_server();
            world.start_server().await;
        }
        let done = world.operation_ends(&text(&operation["id"])).await;
        assert_eq!(done["state"], "done", "{done}");
        let ended = world.ends(&aws_id).await;
        assert_eq!(
            (&ended["outcome"], &ended["outcome_cause"]),
            (&json!("rolled_back"), &json!("operator")),
            "{ended}"
        );
    }
    world.finish(&["StopServiceDeployment"; 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_without_a_rollback_is_left_by_going_back_to_what_serves() {
    let world = World::start().await;
    let without = json!({
        "strategy": "ROLLING", "minimumHealthyPercent": 50, "maximumPercent": 150,
        "deploymentCircuitBreaker": { "enable": true, "rollback": false },
    });
    let team = EcsTeam::build(&world.account, "orders", without, json!([])).await;
    let (_, good, _) = released(&world, &team).await;
    let bad = team.registers("3", &[("SIM_CRASH_ON_START", "1")]).await;
    let failed = encoded(&team.updates(&bad).await);
    let failed = world.ends(&failed).await;
    assert_eq!(failed["outcome"], "failed", "{failed}");
    assert_eq!(serving(&world, "orders").await, good);

    // The service still names :3, so forcing would be needed only to try that again.
    let again = plans(&world, "orders", &bad).await;
    assert_eq!(
        again["calls"][0]["parameters"]["forceNewDeployment"], true,
        "{again}"
    );
    let operation = rolls_back(&world, "orders", "previous", "INC-14").await;
    assert_eq!(operation["target"], good, "{operation}");
    let done = world.operation_ends(&text(&operation["id"])).await;
    assert_eq!(done["state"], "done", "{done}");
    let rollback = world.api.deployment(&text(&done["deployment_id"])).await;
    assert_eq!(rollback["rollback_of"], failed["id"], "{rollback}");
    let calls = world.account.journal(PRODUCT_KEY).await;
    assert!(
        calls[0]["parameters"].get("forceNewDeployment").is_none(),
        "{calls:?}"
    );
    world.finish(&["UpdateService"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_asked_for_at_a_pause_hook_rejects_there() {
    let world = World::start().await;
    let balancers = balancers(&world.account, "cart").await;
    let configuration = json!({
        "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1,
        "lifecycleHooks": [{ "targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"] }],
    });
    let team = EcsTeam::build_through(&world.account, "cart", configuration, balancers).await;
    team.is_found(&world).await;
    let revision = team.registers("2", &[]).await;
    let arn = team.updates(&revision).await;
    let aws_id = encoded(&arn);
    let gate = world.holds(&aws_id).await;
    let plan = plans(&world, "cart", "previous").await;
    assert_eq!(plan["kind"], "reject_at_gate", "{plan}");
    let call = plan["calls"][0].clone();
    assert_eq!(call["operation"], "ContinueServiceDeployment", "{plan}");
    assert_eq!(call["parameters"]["action"], "ROLLBACK", "{plan}");
    let operation = rolls_back(&world, "cart", "previous", "INC-15").await;
    let done = world.operation_ends(&text(&operation["id"])).await;
    assert_eq!(done["state"], "done", "{done}");
    let gate = world.confirmed(&gate).await;
    assert_eq!(gate["state"], "rejected", "{gate}");
    assert_eq!(gate["decisions"][0]["reason"], "INC-15", "{gate}");
    let ended = world.ends(&aws_id).await;
    assert_eq!(
        (&ended["outcome"], &ended["outcome_cause"]),
        (&json!("rolled_back"), &json!("gate")),
        "{ended}"
    );
    let calls = world.account.journal(PRODUCT_KEY).await;
    assert_eq!(calls[0]["parameters"], call["parameters"]);
    world.finish(&["ContinueServiceDeployment"]).await;
}
