//! The first start: what the account still has is taken in while it changes, and what nobody saw is said.

use serde_json::Value;
use serde_json::json;

use crate::account::Account;
use crate::account::Json;
use crate::account::seconds;
use crate::team::AT_ONCE;
use crate::team::CANARY;
use crate::team::GATE;
use crate::team::NO_HOOK;
use crate::team::Team;
use crate::wait::SOON;
use crate::wait::until;
use crate::world::Api;
use crate::world::World;

/// What the account itself showed of a deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    pub aws_id: String,
    previous: Value,
    target: Value,
    outcome: &'static str,
}

/// Lives through one deployment to its end, with nobody watching.
pub async fn past(account: &Account, team: &Team, revision: &str) -> Truth {
    let serving = team.serving().await;
    let aws_id = team.deploys(revision, AT_ONCE, NO_HOOK, "before").await;
    account.advance(900).await;
    let info = account.deployment_info(&aws_id).await;
    assert_eq!(info["status"], "Succeeded", "{info}");
    Truth {
        aws_id,
        previous: json!(serving),
        target: json!(revision),
        outcome: "succeeded",
    }
}

/// Lives through one that fails at a hook; CodeDeploy rolls it back by a second one.
async fn failed_past(account: &Account, team: &Team, revision: &str) -> [Truth; 2] {
    let serving = json!(team.serving().await);
    let hook = Some(("BeforeAllowTraffic", "sim-fail"));
    let aws_id = team.deploys(revision, AT_ONCE, hook, "before, bad").await;
    account.advance(900).await;
    let info = account.deployment_info(&aws_id).await;
    let rollback = info["rollbackInfo"]["rollbackDeploymentId"]
        .as_str()
        .unwrap_or_else(|| panic!("it is not rolled back: {info}"));
    [
        Truth {
            aws_id,
            previous: serving.clone(),
            target: json!(revision),
            outcome: "rolled_back",
        },
        Truth {
            aws_id: rollback.to_string(),
            previous: json!(revision),
            target: serving,
            outcome: "succeeded",
        },
    ]
}

/// The coverage of the one region.
pub async fn coverage(api: &Api) -> Value {
    let items = api.items("/coverage").await;
    items.first().cloned().unwrap_or(Value::Null)
}

/// Waits until the import stands as it should; gives the coverage.
pub async fn import_is(api: &Api, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    until(&format!("the import {what}"), SOON * 3, async || {
        let coverage = coverage(api).await;
        if is(&coverage["import"]) {
            Ok(coverage)
        } else {
            Err(coverage.to_string())
        }
    })
    .await
}

pub fn is_complete(import: &Value) -> bool {
    import["state"] == "complete"
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

async fn count_of_events(api: &Api, event: &str) -> usize {
    let entries = api.items("/audit?limit=200").await;
    entries
        .iter()
        .filter(|entry| entry["event"] == event)
        .count()
}

/// Holds the record against what the account showed: everything once, with what served before it.
async fn holds_the_truth(api: &Api, truth: &[Truth]) -> Vec<Value> {
    let items = api.items("/deployments?limit=200").await;
    for one in truth {
        let found: Vec<&Value> = items
            .iter()
            .filter(|item| item["aws_id"] == one.aws_id.as_str())
            .collect();
        assert_eq!(found.len(), 1, "{one:?} in {items:?}");
        let item = found[0];
        let recorded = Truth {
            aws_id: one.aws_id.clone(),
            previous: item["previous_revision"].clone(),
            target: item["target_revision"].clone(),
            outcome: one.outcome,
        };
        assert_eq!((&recorded, &item["outcome"]), (one, &json!(one.outcome)));
    }
    assert_eq!(items.len(), truth.len(), "{items:?}");
    items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_past_is_taken_in_while_the_account_changes_and_the_server_is_killed() {
    let mut world = World::start_without_server().await;
    let account = world.account.clone();
    let web = Team::build(&account, "web").await;
    let worker = Team::build(&account, "worker").await;
    let batch = Team::build(&account, "batch").await;
    let mut revisions = vec![web.first_revision.clone()];
    let mut jobs = vec![worker.first_revision.clone()];
    for number in 2..=7 {
        revisions.push(web.registers(&number.to_string(), &[]).await);
        jobs.push(worker.registers(&number.to_string(), &[]).await);
    }
    // Forwards, back, over what failed; the two services in turn. The last but one of each is never deployed.
    let mut truth = vec![past(&account, &batch, &batch.registers("2", &[]).await).await];
    for (number, job) in [(2, 1), (1, 4), (4, 3), (0, 2), (3, 1), (1, 0)] {
        truth.push(past(&account, &web, &revisions[number]).await);
        truth.push(past(&account, &worker, &jobs[job]).await);
    }
    // What served before the first of each, nothing tells any more: its tasks are long gone.
    for first in &mut truth[..3] {
        first.previous = Value::Null;
    }
    truth.extend(failed_past(&account, &web, &revisions[4]).await);
    for number in [2, 4, 3, 1, 3] {
        truth.push(past(&account, &web, &revisions[number]).await);
    }
    let input = json!({ "taskDefinition": jobs[6] });
    account
        .call(Json::Ecs, "DeregisterTaskDefinition", input)
        .await;
    // One is under way; its hook finds nobody and is tried again.
    let serving = web.serving().await;
    let under_way = web.deploys(&revisions[0], CANARY, GATE, "under way").await;
    account.advance(60).await;

    // The list is read in small pages, slowly, and AWS forgets a deployment at which a page ends.
    account.tell("pages", json!({ "items": 3 })).await;
    let slow_list = json!({
        "service": "codedeploy", "operation": "ListDeployments", "fault": "slow", "delay_ms": 700,
    });
    account.tell("faults", slow_list).await;
    world.start_server().await;
    let listing = import_is(&world.api, "lists", |import| {
        import["state"] == "listing" && number(&import["listed"]) >= 3
    })
    .await;
    // AWS lists the newest first: the one under way, then the past. The page that is being answered
    // now ends here.
    let position = number(&listing["import"]["listed"]) as usize + 2;
    let forgotten = truth[truth.len() - position].clone();
    account
        .tell("forget", json!({ "deployment": forgotten.aws_id }))
        .await;
    truth.retain(|one| one != &forgotten);
    account.heal().await;

    // The deployments are read slowly; what is last to be read cannot be, until the end.
    for fault in [
        json!({ "service": "codedeploy", "operation": "BatchGetDeploymentTargets", "fault": "slow", "delay_ms": 400 }),
        json!({ "service": "ecs", "operation": "ListTaskDefinitions", "fault": "throttle" }),
    ] {
        account.tell("faults", fault).await;
    }
    // Killed before the past is taken in, and again.
    let reading = import_is(&world.api, "has recorded some", |import| {
        number(&import["settled"]) > 1
    })
    .await;
    world.kill_server();
    world.start_server().await;
    let before = number(&reading["import"]["settled"]);
    let further = import_is(&world.api, "goes on", |import| {
        number(&import["settled"]) > before
    })
    .await;
    assert!(
        number(&further["import"]["settled"]) <= number(&further["import"]["listed"]),
        "{further}"
    );
    world.kill_server();
    world.start_server().await;

    // What is throttled slows the import down, and says so; nothing else waits for it.
    let held = import_is(&world.api, "is held up", |import| {
        import["trouble"]
            .as_str()
            .is_some_and(|trouble| trouble.contains("ListTaskDefinitions"))
    })
    .await;
    assert_eq!(held["import"]["state"], "reading", "{held}");
    let fresh = worker
        .deploys(&jobs[5], AT_ONCE, NO_HOOK, "meanwhile")
        .await;
    let gate = world.holds(&under_way).await;
    world.api.decides(&gate, "approve", None).await.is(200);
    world.confirmed(&gate).await;
    assert_eq!(world.ends(&under_way).await["outcome"], "succeeded");
    assert_eq!(world.ends(&fresh).await["outcome"], "succeeded");
    assert!(!is_complete(&coverage(&world.api).await["import"]));

    account.heal().await;
    let coverage = import_is(&world.api, "is complete", is_complete).await;
    let import = &coverage["import"];
    assert_eq!(import["trouble"], Value::Null, "{coverage}");
    assert_eq!(import["forgotten"], 1, "{coverage}");
    assert_eq!(import["settled"], import["listed"], "{coverage}");
    // Those that no deployment named: two of one team, of the other one that is INACTIVE, and what the third began with.
    assert_eq!(
        import["definitions_settled"], import["definitions_listed"],
        "{coverage}"
    );
    assert_eq!(import["definitions_listed"], 4, "{coverage}");
    assert_eq!(coverage["gaps"], json!([]), "{coverage}");

    truth.push(Truth {
        aws_id: under_way.clone(),
        previous: json!(serving),
        target: json!(revisions[0]),
        outcome: "succeeded",
    });
    truth.push(Truth {
        aws_id: fresh.clone(),
        previous: json!(jobs[0]),
        target: json!(jobs[5]),
        outcome: "succeeded",
    });
    let items = holds_the_truth(&world.api, &truth).await;
    for item in &items {
        let seen = if item["aws_id"] == fresh.as_str() {
            "as_it_happened"
        } else {
            "imported"
        };
        assert_eq!(item["first_seen"], seen, "{item}");
        let (known, why) = (
            !item["previous_revision"].is_null(),
            &item["previous_unknown_because"],
        );
        assert_eq!(item["previous_revision_from"].is_string(), known, "{item}");
        let expected = if known {
            Value::Null
        } else {
            json!("nothing_earlier")
        };
        assert_eq!(why, &expected, "{item}");
    }
    let oldest = items.last().cloned().unwrap_or_default();
    assert_eq!(coverage["record_begins_at"], oldest["started_at"]);
    assert_eq!(coverage["record_begins_with"], oldest["id"]);
    let watched = seconds(coverage["watched_since"].as_str().unwrap_or_default());
    assert!(watched > seconds(oldest["started_at"].as_str().unwrap_or_default()));
    for event in ["import_began", "import_completed"] {
        assert_eq!(count_of_events(&world.api, event).await, 1, "{event}");
    }
    // What served when follows from the past although it was read backwards.
    let served = world.api.items("/services/web/revisions").await;
    let open: Vec<&Value> = served
        .iter()
        .filter(|revision| {
            let periods = revision["served"].as_array().into_iter().flatten();
            periods.into_iter().any(|period| period["to"].is_null())
        })
        .map(|revision| &revision["arn"])
        .collect();
    assert_eq!(open, [&json!(revisions[0])], "{served:?}");
    // Nothing was deployed to this service since it is watched: since when it serves what it does, its past tells.
    let batch = world.api.get("/services/batch").await.is(200);
    assert_eq!(batch["serving_revision"], oldest["target_revision"]);
    assert_eq!(batch["serving_since"], oldest["ended_at"], "{batch}");
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_in_which_nobody_looked_is_told() {
    let mut world = World::start().await;
    let account = world.account.clone();
    let team = world.team("web").await;
    let mut revisions = vec![team.first_revision.clone()];
    for number in 2..=5 {
        revisions.push(team.registers(&number.to_string(), &[]).await);
    }
    let watched = team
        .deploys(&revisions[2], AT_ONCE, NO_HOOK, "watched")
        .await;
    let deployment = world.ends(&watched).await;
    assert_eq!(deployment["first_seen"], "as_it_happened", "{deployment}");
    import_is(&world.api, "is complete", is_complete).await;

    // No server runs.
    world.kill_server();
    let mut truth = Vec::new();
    for number in [1, 3] {
        truth.push(past(&account, &team, &revisions[number]).await);
    }
    world.start_server().await;
    let gap = until("the gap is told", SOON, async || {
        let coverage = coverage(&world.api).await;
        match coverage["gaps"].as_array().map(Vec::as_slice) {
            Some([gap]) if gap["seen_late"] == 2 => Ok(gap.clone()),
            _ => Err(coverage.to_string()),
        }
    })
    .await;
    assert_eq!(gap["cause"], "not_running", "{gap}");
    for one in &truth {
        let item = world.ends(&one.aws_id).await;
        assert_eq!(item["first_seen"], "seen_late", "{item}");
        assert_eq!(item["previous_revision"], one.previous, "{item}");
        let from = item["previous_revision_from"].as_str();
        assert!(
            matches!(from, Some("earlier_deployment" | "stopped_task")),
            "{item}"
        );
        for (edge, inside) in [("from", true), ("to", false)] {
            let at = seconds(gap[edge].as_str().unwrap_or_default());
            let started = seconds(item["started_at"].as_str().unwrap_or_default());
            assert_eq!(at <= started, inside, "{edge}: {gap} {item}");
        }
    }
    assert_eq!(count_of_events(&world.api, "watch_gap").await, 1);

    // AWS does not answer.
    let fault = json!({
        "service": "codedeploy", "operation": "ListDeployments", "fault": "throttle",
    });
    account.tell("faults", fault).await;
    until("looks fail", SOON, async || {
        let ready = world
            .api
            .send(http::Method::GET, "/readyz", &[], "")
            .await
            .json();
        match ready["aws"][0]["last_look"].as_str() {
            Some("failed") => Ok(()),
            _ => Err(ready.to_string()),
        }
    })
    .await;
    let unseen = past(&account, &team, &revisions[4]).await;
    // Whatever the clock shows is believed once several answers agree.
    let fired = async || number(&account.read("faults").await[0]["fired"]);
    let before = fired().await;
    until("looks go on failing", SOON, async || match fired().await {
        now if now >= before + 9 => Ok(()),
        now => Err(format!("{now} after {before}")),
    })
    .await;
    account.heal().await;
    let item = world.ends(&unseen.aws_id).await;
    assert_eq!(item["first_seen"], "seen_late", "{item}");
    assert_eq!(item["previous_revision"], unseen.previous, "{item}");
    let coverage = coverage(&world.api).await;
    let latest = &coverage["gaps"][0];
    assert_eq!(latest["cause"], "look_failed", "{coverage}");
    assert!(
        latest["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("ListDeployments")),
        "{coverage}"
    );
    assert_eq!(latest["seen_late"], 1, "{coverage}");
    assert_eq!(count_of_events(&world.api, "watch_gap").await, 2);
    world.finish(&[]).await;
}
