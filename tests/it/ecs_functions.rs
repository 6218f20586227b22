//! Gates at Lambda hooks of ECS whose function is the relay: what the function returns is the verdict.

use serde_json::Value;
use serde_json::json;

use crate::account::ACCOUNT;
use crate::account::REGION;
use crate::ecs_gates::blue_green;
use crate::ecs_gates::in_two_steps;
use crate::ecs_gates::outcome;
use crate::ecs_gates::team;
use crate::ecs_services::encoded;
use crate::world::World;

/// A Lambda hook at a stage whose function is the relay.
fn relay(stage: &str, minutes: u32) -> Value {
    json!({
        "targetType": "AWS_LAMBDA", "lifecycleStages": [stage],
        "hookTargetArn": format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:switchback-relay"),
        "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/hooks"),
        "timeoutConfiguration": { "timeoutInMinutes": minutes, "action": "ROLLBACK" },
    })
}

async fn steps_are_let_through(world: World) {
    let hook = relay("PRE_PRODUCTION_TRAFFIC_SHIFT", 60);
    let team = team(&world, "checkout", in_two_steps(hook)).await;
    let revision = team.registers("2", &[]).await;
    let aws_id = encoded(&team.updates(&revision).await);
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..2 {
        let gate = world.holds(&aws_id).await;
        assert_eq!(gate["kind"], "ecs_hook", "{gate}");
        assert_eq!(gate["stage"], "PRE_PRODUCTION_TRAFFIC_SHIFT", "{gate}");
        assert_eq!(gate["at_expiry"], "reject", "{gate}");
        let id = gate["id"].as_str().unwrap_or_default().to_string();
        assert!(!seen.contains(&id), "each step has a gate of its own");
        seen.push(id);
        world
            .passing("the deployment is shown as holding", 120, async || {
                let deployment = world.api.deployment(&aws_id).await;
                match deployment["phase"].as_str() {
                    Some("holding") => Ok(()),
                    _ => Err(deployment.to_string()),
                }
            })
            .await;
        world
            .api
            .decides(&gate, "approve", Some("looks good"))
            .await
            .is(200);
        let confirmed = world.confirmed(&gate).await;
        assert_eq!(confirmed["state"], "approved", "{confirmed}");
    }
    let ended = world.ends(&aws_id).await;
    assert_eq!(outcome(&ended), ("succeeded", "null"), "{ended}");
    // What the function returns is no call of the product.
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_asks_its_function_and_is_let_through() {
    steps_are_let_through(World::start_on_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_asks_its_function_and_is_let_through_on_postgres() {
    steps_are_let_through(World::start_on_postgres().await).await;
}

/// At the stage of the production shift ECS runs the hook again on its way back, where nobody is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejection_is_what_the_function_returns() {
    let world = World::start().await;
    let hook = relay("PRODUCTION_TRAFFIC_SHIFT", 600);
    let team = team(&world, "cart", blue_green(hook)).await;
    let revision = team.registers("2", &[]).await;
    let aws_id = encoded(&team.updates(&revision).await);
    let gate = world.holds(&aws_id).await;
    world
        .api
        .decides(&gate, "reject", Some("p99 doubled"))
        .await
        .is(200);
    world.confirmed(&gate).await;
    let ended = world.ends(&aws_id).await;
    assert_eq!(outcome(&ended), ("rolled_back", "gate"), "{ended}");
    let gates = world.api.items("/gates?state=open").await;
    assert_eq!(gates, Vec::<Value>::new());
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_waits_while_switchback_is_down_and_holds_when_it_is_back() {
    let mut world = World::start().await;
    let hook = relay("POST_TEST_TRAFFIC_SHIFT", 600);
    let team = team(&world, "cart", blue_green(hook)).await;
    world.kill_server();
    let revision = team.registers("2", &[]).await;
    let aws_id = encoded(&team.updates(&revision).await);
    // Long enough for the function to be run more than once with nobody to answer it.
    world
        .passing("the function runs", 900, async || {
            let hooks = team.described().await["lifecycleHookDetails"].clone();
            match hooks[0]["status"].as_str() {
                Some("IN_PROGRESS") => Ok(()),
                _ => Err(hooks.to_string()),
            }
        })
        .await;
    world.account.advance(120).await;
    assert_eq!(team.described().await["status"], "IN_PROGRESS");
    world.start_server().await;
    let gate = world.holds(&aws_id).await;
    world.api.decides(&gate, "approve", None).await.is(200);
    world.confirmed(&gate).await;
    let ended = world.ends(&aws_id).await;
    assert_eq!(outcome(&ended), ("succeeded", "null"), "{ended}");
    world.finish(&[]).await;
}
