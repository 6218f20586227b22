//! Gates without a browser: fuses, and requests that are made twice.

use serde_json::Value;
use serde_json::json;

use crate::account::seconds;
use crate::team::AT_ONCE;
use crate::team::CANARY;
use crate::team::GATE;
use crate::team::NO_HOOK;
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fuse_that_burns_out_rejects() {
    let world = World::start().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "nobody looks").await;
    let gate = world.holds(&aws_id).await;
    let at = |member: &str| seconds(gate[member].as_str().unwrap_or_default());
    assert_eq!(at("expires_at") - at("opened_at"), 15 * 60, "{gate}");
    assert!(
        (3500..=3600).contains(&(at("wall_at") - at("opened_at"))),
        "{gate}"
    );
    assert_eq!(gate["at_expiry"], "reject");

    let id = gate["id"].as_str().unwrap_or_default();
    let before = world.account.now().await;
    let expired = world
        .passing("the fuse burns out", 1200, async || {
            let gate = world.api.gate(id).await;
            if gate["state"] == "open" {
                Err(gate.to_string())
            } else {
                Ok(gate)
            }
        })
        .await;
    assert_eq!(expired["state"], "expired", "{expired}");
    assert_eq!(expired["decisions"], json!([]), "{expired}");
    assert!(
        world.account.now().await >= at("expires_at"),
        "it closed early, looked at from {before}"
    );
    world
        .api
        .decides(&expired, "approve", None)
        .await
        .refused(409, "gate_closed");

    world.confirmed(&gate).await;
    let deployment = world.ends(&aws_id).await;
    assert_eq!(
        (&deployment["outcome"], &deployment["outcome_cause"]),
        (&json!("rolled_back"), &json!("gate")),
        "{deployment}"
    );
    assert_eq!(team.serving().await, team.first_revision);
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_twice_with_one_key_is_done_once() {
    let world = World::start().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, AT_ONCE, NO_HOOK, "release 2").await;
    assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
    let gated = team
        .deploys(&team.first_revision, CANARY, GATE, "release 1 again")
        .await;
    let gate = world.holds(&gated).await;

    let path = format!(
        "/gates/{}/decisions",
        gate["id"].as_str().unwrap_or_default()
    );
    let body = json!({
        "verdict": "approve", "reason": "looks good", "evidence_digest": gate["evidence_digest"],
    });
    let key = [("idempotency-key", "decision-1")];
    let first = world.api.post_with(&path, &body, &key).await;
    let first = first.is(200);
    let again = world.api.post_with(&path, &body, &key).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.is(200), first);
    world
        .api
        .post(&path, &body)
        .await
        .refused(409, "gate_closed");
    let other = json!({ "verdict": "reject", "reason": "no", "evidence_digest": "0" });
    let reused = world.api.post_with(&path, &other, &key).await;
    reused.refused(422, "idempotency_key_reused");
    world.confirmed(&gate).await;
    assert_eq!(world.ends(&gated).await["outcome"], "succeeded");

    let plan = world
        .api
        .post(
            "/services/web/rollbacks/plan",
            &json!({ "target": revision }),
        )
        .await
        .is(200);
    assert_eq!(
        (&plan["kind"], &plan["target"]),
        (&json!("redeploy"), &json!(revision)),
        "{plan}"
    );
    let command = json!({ "target": revision, "reason": "INC-9", "plan_digest": plan["digest"] });
    let key = [("idempotency-key", "rollback-1")];
    let post = || {
        world
            .api
            .post_with("/services/web/rollbacks", &command, &key)
    };
    let (first, second) = tokio::join!(post(), post());
    let (first, second) = (first.is(202), second.is(202));
    assert_eq!(first, second, "two operations for one key");
    let done = world
        .operation_ends(first["id"].as_str().unwrap_or_default())
        .await;
    assert_eq!(done["state"], "done", "{done}");
    assert_eq!(team.serving().await, revision);
    let stale = world.api.post("/services/web/rollbacks", &command).await;
    assert!(
        matches!(
            (stale.status, &stale.json()["code"]),
            (409, Value::String(_))
        ),
        "{}",
        stale.body
    );
    world
        .finish(&["PutLifecycleEventHookExecutionStatus", "CreateDeployment"])
        .await;
}
