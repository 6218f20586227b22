//! Gates at PAUSE hooks of ECS: the same inbox, decisions and delivery as CodeDeploy's, with AWS's own fuse.

use serde_json::Value;
use serde_json::json;

use crate::account::Json;
use crate::account::seconds;
use crate::ecs_services::EcsTeam;
use crate::ecs_services::balancers;
use crate::ecs_services::encoded;
use crate::wait::SOON;
use crate::wait::until;
use crate::world::Api;
use crate::world::PASSWORD;
use crate::world::USER;
use crate::world::World;

const CONTINUE: &str = "ContinueServiceDeployment";

/// A PAUSE hook at a stage, with what ECS does after so many minutes.
pub fn pause(stage: &str, minutes: u32, action: &str) -> Value {
    json!({
        "targetType": "PAUSE", "lifecycleStages": [stage],
        "timeoutConfiguration": { "timeoutInMinutes": minutes, "action": action },
    })
}

/// Half of the traffic, then all of it, each after somebody said so.
pub fn in_two_steps(hook: Value) -> Value {
    json!({
        "strategy": "LINEAR", "bakeTimeInMinutes": 1, "lifecycleHooks": [hook],
        "linearConfiguration": { "stepPercent": 50.0, "stepBakeTimeInMinutes": 1 },
    })
}

pub fn blue_green(hook: Value) -> Value {
    json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1, "lifecycleHooks": [hook] })
}

pub async fn team(world: &World, service: &str, configuration: Value) -> EcsTeam {
    let balancers = balancers(&world.account, service).await;
    // The first deployment of a service has hooks too; it is let through before anybody watches.
    let team = EcsTeam::build_through(&world.account, service, configuration, balancers).await;
    team.is_found(world).await;
    team
}

/// Waits until the gate is no longer open; gives it.
async fn closes(world: &World, gate: &Value) -> Value {
    let id = gate["id"].as_str().unwrap_or_default();
    world
        .passing("the gate closes", 2400, async || {
            let gate = world.api.gate(id).await;
            match gate["state"].as_str() {
                Some("open") => Err(gate.to_string()),
                _ => Ok(gate),
            }
        })
        .await
}

pub fn outcome(deployment: &Value) -> (&str, &str) {
    let member = |name: &str| deployment[name].as_str().unwrap_or("null");
    (member("outcome"), member("outcome_cause"))
}

async fn promoted_step_by_step(world: World) {
    let hook = pause("PRE_PRODUCTION_TRAFFIC_SHIFT", 60, "ROLLBACK");
    let team = team(&world, "checkout", in_two_steps(hook)).await;
    let revision = team.registers("2", &[]).await;
    let aws_id = encoded(&team.updates(&revision).await);
    let mut seen: Vec<String> = Vec::new();
    for share in [0.0, 0.5] {
        let gate = world.holds(&aws_id).await;
        assert_eq!(gate["kind"], "ecs_pause", "{gate}");
        assert_eq!(gate["stage"], "PRE_PRODUCTION_TRAFFIC_SHIFT", "{gate}");
        assert_eq!(gate["at_expiry"], "reject", "{gate}");
        let at = |member: &str| seconds(gate[member].as_str().unwrap_or_default());
        let left = at("expires_at") - at("opened_at");
        assert!((3000..=3600).contains(&left), "AWS's own end: {gate}");
        let id = gate["id"].as_str().unwrap_or_default().to_string();
        assert!(!seen.contains(&id), "each step has a gate of its own");
        seen.push(id);
        let deployment = world.api.deployment(&aws_id).await;
        assert_eq!(deployment["phase"], "holding", "{deployment}");
        assert_eq!(deployment["share_new"], share, "{deployment}");
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
    world.finish(&[CONTINUE, CONTINUE]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linear_deployment_is_promoted_step_by_step() {
    promoted_step_by_step(World::start_on_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linear_deployment_is_promoted_step_by_step_on_postgres() {
    promoted_step_by_step(World::start_on_postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejection_at_the_second_step_puts_all_traffic_back() {
    let world = World::start().await;
    let hook = pause("PRE_PRODUCTION_TRAFFIC_SHIFT", 60, "CONTINUE");
    let team = team(&world, "checkout", in_two_steps(hook)).await;
    let revision = team.registers("2", &[]).await;
    let aws_id = encoded(&team.updates(&revision).await);
    let first = world.holds(&aws_id).await;
    assert_eq!(first["at_expiry"], "approve", "{first}");
    world.api.decides(&first, "approve", None).await.is(200);
    world.confirmed(&first).await;
    let second = world.holds(&aws_id).await;
    world
        .api
        .decides(&second, "reject", Some("p99 doubled"))
        .await
        .is(200);
    world.confirmed(&second).await;
    let ended = world.ends(&aws_id).await;
    assert_eq!(outcome(&ended), ("rolled_back", "gate"), "{ended}");
    assert_eq!(ended["share_new"], 0.0, "{ended}");
    world.finish(&[CONTINUE, CONTINUE]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ecs_does_when_nobody_decides_is_written_down() {
    let world = World::start().await;
    for (service, action, ends) in [
        ("back", "ROLLBACK", ("rolled_back", "timeout")),
        ("on", "CONTINUE", ("succeeded", "null")),
    ] {
        let hook = pause("POST_TEST_TRAFFIC_SHIFT", 20, action);
        let team = team(&world, service, blue_green(hook)).await;
        let revision = team.registers("2", &[]).await;
        let aws_id = encoded(&team.updates(&revision).await);
        let gate = world.holds(&aws_id).await;
        let closed = closes(&world, &gate).await;
        assert_eq!(closed["state"], "expired", "{closed}");
        assert_eq!(closed["delivery"], Value::Null, "{closed}");
        let late = world.api.decides(&closed, "approve", None).await;
        late.refused(409, "gate_closed");
        let ended = world.ends(&aws_id).await;
        assert_eq!(outcome(&ended), ends, "{ended}");
    }
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_is_answered_in_aws_closes_its_gate() {
    let world = World::start().await;
    let hook = pause("POST_TEST_TRAFFIC_SHIFT", 600, "ROLLBACK");
    let team = team(&world, "cart", blue_green(hook)).await;
    let second = team.registers("2", &[]).await;
    let aws_id = encoded(&team.updates(&second).await);
    let gate = world.holds(&aws_id).await;
    team.answers(&team.described().await, "CONTINUE").await;
    let closed = closes(&world, &gate).await;
    assert_eq!(closed["state"], "superseded", "{closed}");
    let ended = world.ends(&aws_id).await;
    assert_eq!(outcome(&ended), ("succeeded", "null"), "{ended}");
    let id = ended["id"].as_str().unwrap_or_default();
    let person = Api::signed_in(&world.api.base, USER, PASSWORD).await;
    let page = person.of_root(&format!("/deployments/{id}")).await.body;
    assert!(
        page.contains("Somebody let it go on at POST_TEST_TRAFFIC_SHIFT in AWS"),
        "{page}"
    );

    // A newer deployment takes the place of one that waits, and has a gate of its own.
    let third = team.registers("3", &[]).await;
    let waiting = encoded(&team.updates(&third).await);
    let gate = world.holds(&waiting).await;
    let newer = encoded(&team.updates(&second).await);
    let closed = closes(&world, &gate).await;
    assert_eq!(closed["state"], "superseded", "{closed}");
    let ended = world.ends(&waiting).await;
    assert_eq!(outcome(&ended), ("superseded", "null"), "{ended}");
    let own = world.holds(&newer).await;
    assert_ne!(own["id"], gate["id"]);
    world
        .api
        .decides(&own, "reject", Some("not now"))
        .await
        .is(200);
    world.confirmed(&own).await;
    let ended = world.ends(&newer).await;
    assert_eq!(outcome(&ended), ("rolled_back", "gate"), "{ended}");
    world.finish(&[CONTINUE]).await;
}

/// What goes wrong on the way of a verdict to ECS, and how often it is sent then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_reaches_ecs_once_whatever_happens_on_the_way() {
    let world = World::start().await;
    let hook = pause("POST_TEST_TRAFFIC_SHIFT", 600, "ROLLBACK");
    let team = team(&world, "cart", blue_green(hook)).await;
    let mut calls = 0;
    for (number, (fault, verdict, sent)) in [
        ("response_lost", "approve", 1),
        ("error_after", "reject", 1),
        ("error_before", "approve", 2),
        ("connection_cut", "reject", 2),
        ("throttle", "approve", 2),
        ("access_denied", "approve", 2),
    ]
    .into_iter()
    .enumerate()
    {
        let revision = team.registers(&format!("{}", number + 2), &[]).await;
        let aws_id = encoded(&team.updates(&revision).await);
        let gate = world.holds(&aws_id).await;
        let rule = json!({ "service": "ecs", "operation": CONTINUE, "fault": fault, "times": 1 });
        world.account.tell("faults", rule).await;
        world
            .api
            .decides(&gate, verdict, Some("as planned"))
            .await
            .is(200);
        world.confirmed(&gate).await;
        let ended = world.ends(&aws_id).await;
        let expected = match verdict {
            "approve" => ("succeeded", "null"),
            _ => ("rolled_back", "gate"),
        };
        assert_eq!(outcome(&ended), expected, "{fault}: {ended}");
        calls += sent;
        let made = world.calls_of_the_product().await.len();
        assert_eq!(made, calls, "{fault}");
        world.account.heal().await;
    }
    world.finish(&vec![CONTINUE; calls]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_that_comes_too_late_says_so() {
    let world = World::start().await;
    let hook = pause("POST_TEST_TRAFFIC_SHIFT", 600, "ROLLBACK");
    let team = team(&world, "cart", blue_green(hook)).await;
    let revision = team.registers("2", &[]).await;
    let aws_id = encoded(&team.updates(&revision).await);
    let gate = world.holds(&aws_id).await;
    let waiting = team.described().await;
    // Nothing is seen of AWS while somebody else is faster.
    let blind = json!({
        "service": "ecs", "operation": "DescribeServiceDeployments", "fault": "throttle",
    });
    world.account.tell("faults", blind).await;
    team.answers(&waiting, "CONTINUE").await;
    world
        .api
        .decides(&gate, "reject", Some("too late"))
        .await
        .is(200);
    until("the verdict was tried", SOON, async || {
        match world.calls_of_the_product().await.len() {
            0 => Err("no call".to_string()),
            _ => Ok(()),
        }
    })
    .await;
    world.account.heal().await;
    let id = gate["id"].as_str().unwrap_or_default();
    let failed = world
        .passing("the delivery fails", 120, async || {
            let gate = world.api.gate(id).await;
            match gate["delivery"].as_str() {
                Some("failed") => Ok(gate),
                _ => Err(gate.to_string()),
            }
        })
        .await;
    assert_eq!(failed["state"], "rejected", "{failed}");
    let ended = world.ends(&aws_id).await;
    assert_eq!(outcome(&ended).0, "succeeded", "{ended}");
    world.finish(&[CONTINUE]).await;
}

impl EcsTeam {
    /// Answers the PAUSE hook that waits, as a person at the AWS CLI does.
    async fn answers(&self, deployment: &Value, action: &str) {
        let hook = deployment["lifecycleHookDetails"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|hook| hook["status"] == "AWAITING_ACTION")
            .unwrap_or_else(|| panic!("no hook waits: {deployment}"));
        let input = json!({
            "serviceDeploymentArn": deployment["serviceDeploymentArn"], "hookId": hook["hookId"], "action": action,
        });
        self.account.call(Json::Ecs, CONTINUE, input).await;
    }
}
