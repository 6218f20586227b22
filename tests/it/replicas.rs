//! Several servers on one database: one watches, either serves, and one that dies is replaced.

use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::account::PRODUCT_KEY;
use crate::machine::Process;
use crate::team::AT_ONCE;
use crate::team::CANARY;
use crate::team::GATE;
use crate::team::NO_HOOK;
use crate::wait::SOON;
use crate::wait::until;
use crate::world::Replica;
use crate::world::World;
use crate::world::assert_no_errors;

/// How long a dead server's work may rest. The lease's patience is four seconds.
const REPLACED_WITHIN: Duration = Duration::from_secs(10);

/// How often the server has begun to watch the account.
fn times_leading(server: &Process) -> usize {
    let output = server.output();
    output.matches("this process watches the account").count()
}

async fn leads(server: &Process) {
    until("the other server takes over", REPLACED_WITHIN, async || {
        if times_leading(server) > 0 {
            Ok(())
        } else {
            Err("it still waits".to_string())
        }
    })
    .await;
}

/// The gate as the replica tells it.
async fn gate_at(replica: &Replica, gate: &Value) -> Value {
    let id = gate["id"].as_str().unwrap_or_default();
    replica.api.gate(id).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_watches_and_either_decides() {
    let world = World::start_on_postgres().await;
    let replica = world.start_replica().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "release 2").await;
    let gate = world.holds(&aws_id).await;
    // Either tells the same, down to how fresh it is; a look may come between two questions.
    until(
        "either tells the same of the gate",
        REPLACED_WITHIN,
        async || {
            let id = gate["id"].as_str().unwrap_or_default();
            let (here, there) = (world.api.gate(id).await, gate_at(&replica, &gate).await);
            if here == there {
                Ok(())
            } else {
                Err(format!("{here} here and {there} there"))
            }
        },
    )
    .await;
    let ready = replica.api.of_root("/readyz").await.is(200);
    assert_eq!(ready["aws"][0]["last_look"], "ended well", "{ready}");

    // Both at the same instant: one of them decided, the other was told that somebody else was first.
    let (here, there) = tokio::join!(
        world.api.decides(&gate, "approve", Some("fine here")),
        replica.api.decides(&gate, "reject", Some("not fine there")),
    );
    let statuses = [here.status, there.status];
    assert!(
        statuses == [200, 409] || statuses == [409, 200],
        "{statuses:?}: {} {}",
        here.body,
        there.body
    );
    let confirmed = world.confirmed(&gate).await;
    assert_eq!(confirmed["decisions"].as_array().map(Vec::len), Some(1));
    let ended = world.ends(&aws_id).await;
    let expected = if statuses[0] == 200 {
        "succeeded"
    } else {
        "rolled_back"
    };
    assert_eq!(ended["outcome"], expected, "{ended}");
    assert_eq!(
        times_leading(world.server()) + times_leading(&replica.process),
        1,
        "one of them watches"
    );
    assert_no_errors(&replica.process.output());
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_one_is_replaced_within_seconds() {
    let mut world = World::start_on_postgres().await;
    let team = world.team("web").await;
    let replica = world.start_replica().await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "release 2").await;
    let gate = world.holds(&aws_id).await;
    assert_eq!(times_leading(&replica.process), 0);

    world.kill_server();
    // What was decided while nobody watches is a fact, and is delivered by who takes over.
    let killed = Instant::now();
    let answer = replica.api.decides(&gate, "approve", None).await;
    answer.is(200);
    leads(&replica.process).await;
    until("AWS was told", SOON, async || {
        match world.calls_of_the_product().await.len() {
            1 => Ok(()),
            calls => Err(format!("{calls} calls")),
        }
    })
    .await;
    eprintln!(
        "delivered {} ms after the kill",
        killed.elapsed().as_millis()
    );

    // The one that comes back waits, serves, and tells what the other one saw.
    world.start_server().await;
    assert_eq!(world.confirmed(&gate).await["state"], "approved");
    assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
    assert_eq!(times_leading(world.server()), 1, "before it was killed");
    assert_no_errors(&replica.process.output());
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}

/// The hardest one: it is not dead, it only stood still, and goes on where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_stood_still_changes_nothing_when_it_goes_on() {
    let world = World::start_on_postgres().await;
    let team = world.team("web").await;
    let replica = world.start_replica().await;
    let mut revisions = vec![team.first_revision.clone()];
    for tag in ["2", "3"] {
        let revision = team.registers(tag, &[]).await;
        let aws_id = team.deploys(&revision, AT_ONCE, NO_HOOK, tag).await;
        assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
        revisions.push(revision);
    }
    world.server().pause();
    let target = &revisions[1];
    let plan = serde_json::json!({ "target": target });
    let plan = replica
        .api
        .post("/services/web/rollbacks/plan", &plan)
        .await;
    let plan = plan.is(200);
    let command = serde_json::json!({
        "target": target, "reason": "INC-11", "plan_digest": plan["digest"],
    });
    let operation = replica.api.post("/services/web/rollbacks", &command).await;
    let operation = operation.is(202);
    leads(&replica.process).await;
    until("the rollback is under way", SOON, async || {
        match world.calls_of_the_product().await.len() {
            1 => Ok(()),
            calls => Err(format!("{calls} calls")),
        }
    })
    .await;
    world.server().resume();
    until("it stands down", REPLACED_WITHIN, async || {
        let output = world.server().output();
        if output.contains("this process no longer watches the account") {
            Ok(())
        } else {
            Err("it has not noticed".to_string())
        }
    })
    .await;
    let id = operation["id"].as_str().unwrap_or_default();
    assert_eq!(world.operation_ends(id).await["state"], "done");
    assert_eq!(team.serving().await, *target);
    let effects = world.account.journal(PRODUCT_KEY).await;
    assert_eq!(effects.len(), 1, "{effects:?}");
    assert_no_errors(&replica.process.output());
    world.finish(&["CreateDeployment"]).await;
}
