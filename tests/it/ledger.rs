//! The ledger: what a rollback needs stands in DynamoDB too, and comes back from there.

use http::Method;
use serde_json::Value;
use serde_json::json;

use crate::account::ACCOUNT;
use crate::account::Json;
use crate::account::REGION;
use crate::team::AT_ONCE;
use crate::team::GATE;
use crate::team::NO_HOOK;
use crate::team::Team;
use crate::wait::SOON;
use crate::wait::until;
use crate::world::LEDGER;
use crate::world::World;

/// Everything the table has of the service, as plain JSON: DynamoDB's types around strings and numbers are taken off.
async fn partition(world: &World, team: &Team) -> Vec<Value> {
    let key = format!("SVC#{ACCOUNT}#{REGION}#{}#{}", team.cluster, team.service);
    let query = json!({
        "TableName": LEDGER, "ConsistentRead": true, "KeyConditionExpression": "PK = :pk",
        "ExpressionAttributeValues": {":pk": {"S": key}},
    });
    let answer = world.account.call(Json::DynamoDb, "Query", query).await;
    let items = answer["Items"].as_array().expect("a query answers items");
    items.iter().map(plain).collect()
}

fn plain(item: &Value) -> Value {
    let members = item.as_object().expect("an item is an object");
    members
        .iter()
        .map(|(name, value)| {
            let (kind, inner) = value
                .as_object()
                .and_then(|typed| typed.iter().next())
                .expect("a typed value");
            let value = match kind.as_str() {
                "M" => plain(inner),
                _ => inner.clone(),
            };
            (name.clone(), value)
        })
        .collect::<serde_json::Map<String, Value>>()
        .into()
}

fn starting<'a>(items: &'a [Value], with: &str) -> Vec<&'a Value> {
    items
        .iter()
        .filter(|item| item["SK"].as_str().is_some_and(|key| key.starts_with(with)))
        .collect()
}

async fn ledger_is(world: &World, state: &str) {
    until(&format!("the ledger is {state}"), SOON, async || {
        let ready = world.api.send(Method::GET, "/readyz", &[], "").await.json();
        if ready["ledger"]["state"] == state {
            Ok(())
        } else {
            Err(ready.to_string())
        }
    })
    .await;
}

/// Waits until the head says that this serves and nothing is going on, and every deployment has its end; gives all.
async fn settled(world: &World, team: &Team, serving: &str) -> Vec<Value> {
    until(
        &format!("the ledger says that {serving} serves"),
        SOON,
        async || {
            let items = partition(world, team).await;
            let heads = starting(&items, "HEAD");
            let head = heads.first().ok_or("there is no head")?;
            let ended = starting(&items, "REV#")
                .iter()
                .all(|item| item["deployment"].is_null() || item["ended"].is_object());
            if head["serving_revision"] == serving && head["active_operation"].is_null() && ended {
                Ok(items)
            } else {
                Err(format!("{items:?}"))
            }
        },
    )
    .await
}

/// Asks for the rollback of web to this revision; gives the operation's id.
async fn rolls_back(world: &World, target: &str, reason: &str) -> String {
    let plan = world
        .api
        .post("/services/web/rollbacks/plan", &json!({ "target": target }))
        .await
        .is(200);
    let command = json!({ "target": target, "reason": reason, "plan_digest": plan["digest"] });
    let operation = world.api.post("/services/web/rollbacks", &command).await;
    let operation = operation.is(202);
    operation["id"].as_str().expect("an id").to_string()
}

async fn succeeds(world: &World, team: &Team, tag: &str) -> (String, String) {
    let revision = team.registers(tag, &[]).await;
    let reason = format!("release {tag}");
    let aws_id = team.deploys(&revision, AT_ONCE, NO_HOOK, &reason).await;
    assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
    (revision, aws_id)
}

async fn audit_tells(world: &World, event: &str) {
    until(&format!("the audit log tells {event}"), SOON, async || {
        let audit = world.api.get("/audit?limit=200").await.is(200).to_string();
        if audit.contains(event) {
            Ok(())
        } else {
            Err(audit)
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_follows_a_gate_and_a_redeployment() {
    let world = World::start_with_ledger().await;
    let team = world.team("web").await;
    // Its AppSpec has no hook, and so the way back to it waits for nobody.
    let (second, _) = succeeds(&world, &team, "2").await;
    let revision = team.registers("3", &[]).await;
    let aws_id = team.deploys(&revision, AT_ONCE, GATE, "release 3").await;
    let gate = world.holds(&aws_id).await;

    // At first sight: what it moves to and what served, while it is still held.
    let of_deployment = until("the deployment is in the ledger", SOON, async || {
        let items = partition(&world, &team).await;
        let found = starting(&items, "REV#")
            .into_iter()
            .find(|item| item["deployment"] == aws_id.as_str())
            .cloned();
        found.ok_or_else(|| format!("{items:?}"))
    })
    .await;
    assert_eq!(of_deployment["revision"], revision);
    assert_eq!(of_deployment["previous_revision"], second);
    assert_eq!(of_deployment["ended"], Value::Null);
    let text = of_deployment["task_definition"].as_str().expect("a text");
    let registered: Value = serde_json::from_str(text).expect("JSON");
    assert!(
        registered["containerDefinitions"][0]["image"].is_string(),
        "{registered}"
    );
    assert!(
        of_deployment["app_spec"]
            .as_str()
            .is_some_and(|text| text.contains(&revision))
    );
    assert_eq!(
        of_deployment["app_spec_sha256"].as_str().map(str::len),
        Some(64)
    );

    world
        .api
        .decides(&gate, "approve", Some("fine"))
        .await
        .is(200);
    assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
    settled(&world, &team, &revision).await;

    // The intent stands in the ledger while its write is still being answered, and nothing was called yet.
    let slow = json!({
        "service": "dynamodb", "operation": "TransactWriteItems", "fault": "slow", "delay_ms": 1800, "times": 1,
    });
    world.account.tell("faults", slow).await;
    let operation = rolls_back(&world, &second, "INC-1").await;
    let key = format!("OP#{operation}");
    let intent = until("the intent stands in the ledger", SOON, async || {
        let items = partition(&world, &team).await;
        let found = starting(&items, &key).first().map(|item| (*item).clone());
        found.ok_or_else(|| format!("{items:?}"))
    })
    .await;
    assert_eq!(
        world.calls_of_the_product().await,
        ["PutLifecycleEventHookExecutionStatus"],
        "the call was made before the intent's write was answered"
    );
    assert_eq!(
        (&intent["state"], &intent["reason"]),
        (&json!("intended"), &json!("INC-1"))
    );
    assert_eq!(world.operation_ends(&operation).await["state"], "done");
    let items = settled(&world, &team, &second).await;
    ledger_is(&world, "complete").await;
    let head = starting(&items, "HEAD")[0];
    assert_eq!(head["previous_revision"], revision, "{head}");
    assert_eq!(starting(&items, &key)[0]["state"], "done");
    let revisions = starting(&items, "REV#");
    let numbers: Vec<i64> = {
        let mut numbers: Vec<i64> = revisions
            .iter()
            .filter_map(|item| item["seq"].as_str()?.parse().ok())
            .collect();
        numbers.sort_unstable();
        numbers
    };
    // The revision it began with, the releases, the rollback; numbered without a gap.
    assert_eq!(numbers, [1, 2, 3, 4], "{revisions:?}");
    assert_eq!(head["seq"], "4");
    for item in revisions
        .iter()
        .filter(|item| item["deployment"].is_string())
    {
        assert_eq!(item["ended"]["outcome"], "succeeded", "{item}");
    }
    world
        .finish(&["PutLifecycleEventHookExecutionStatus", "CreateDeployment"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_goes_on_while_the_ledger_is_down_and_is_made_up_for() {
    let world = World::start_with_ledger().await;
    let team = world.team("web").await;
    let (second, _) = succeeds(&world, &team, "2").await;
    settled(&world, &team, &second).await;
    let down = json!({ "service": "dynamodb", "fault": "error_before" });
    world.account.tell("faults", down).await;
    let operation = rolls_back(&world, &team.first_revision, "INC-2").await;
    assert_eq!(world.operation_ends(&operation).await["state"], "done");
    assert_eq!(team.serving().await, team.first_revision);
    audit_tells(&world, "ledger_missed").await;
    ledger_is(&world, "incomplete").await;

    world.account.heal().await;
    audit_tells(&world, "ledger_caught_up").await;
    let items = settled(&world, &team, &team.first_revision).await;
    ledger_is(&world, "complete").await;
    assert_eq!(
        starting(&items, &format!("OP#{operation}"))[0]["state"],
        "done"
    );
    world.finish(&["CreateDeployment"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_database_knows_what_the_ledger_knows() {
    let mut world = World::start_with_ledger().await;
    let team = world.team("web").await;
    let (second, _) = succeeds(&world, &team, "2").await;
    let operation = rolls_back(&world, &team.first_revision, "INC-3").await;
    let done = world.operation_ends(&operation).await;
    settled(&world, &team, &team.first_revision).await;
    let id = done["deployment_id"]
        .as_str()
        .expect("it began one")
        .to_string();
    let before = world.api.deployment(&id).await;

    world.kill_server();
    world.lose_database();
    world.start_server().await;
    let after = until("the deployment is back", SOON, async || {
        let answer = world.api.get(&format!("/deployments/{id}")).await;
        if answer.status == 200 {
            Ok(answer.json())
        } else {
            Err(answer.body)
        }
    })
    .await;
    for member in [
        "aws_id",
        "previous_revision",
        "target_revision",
        "initiator",
        "reason",
        "outcome",
        "rollback_of",
        "started_at",
        "ended_at",
    ] {
        assert_eq!(after[member], before[member], "{member}");
    }
    // AWS alone cannot tell who asked, and why: that is the operation's.
    let back = world
        .api
        .get(&format!("/operations/{operation}"))
        .await
        .is(200);
    for member in ["state", "actor", "reason", "aws_id"] {
        assert_eq!(back[member], done[member], "{member}");
    }
    audit_tells(&world, "ledger_restored").await;

    // And the way back from there works.
    let forward = rolls_back(&world, &second, "INC-3 was not its fault").await;
    assert_eq!(world.operation_ends(&forward).await["state"], "done");
    assert_eq!(team.serving().await, second);
    settled(&world, &team, &second).await;
    world
        .finish(&["CreateDeployment", "CreateDeployment"])
        .await;
}
