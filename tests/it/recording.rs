//! What is recorded of deployments that others begin, whether anybody watched or not.

use serde_json::Value;
use serde_json::json;

use crate::team::AT_ONCE;
use crate::team::CANARY;
use crate::team::GATE;
use crate::team::NO_HOOK;
use crate::team::Team;
use crate::world::World;

/// The AWS id and the revisions of all recorded deployments, oldest first.
async fn recorded(world: &World, count: usize) -> Vec<(String, Value, Value)> {
    world
        .passing(
            &format!("{count} deployments are recorded and have ended"),
            60,
            async || {
                let items = world.api.items("/deployments").await;
                let ended = items.iter().all(|item| item["outcome"] != "in_progress");
                if items.len() != count || !ended {
                    return Err(format!("{items:?}"));
                }
                let facts = |item: &Value| {
                    (
                        item["aws_id"].as_str().unwrap_or_default().to_string(),
                        item["previous_revision"].clone(),
                        item["target_revision"].clone(),
                    )
                };
                Ok(items.iter().rev().map(facts).collect())
            },
        )
        .await
}

async fn revisions(team: &Team, last: usize) -> Vec<String> {
    let mut revisions = vec![String::new(), team.first_revision.clone()];
    for number in 2..=last {
        let revision = team.registers(&number.to_string(), &[]).await;
        assert!(revision.ends_with(&format!(":{number}")), "{revision}");
        revisions.push(revision);
    }
    revisions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_previous_revision_is_what_served_whether_anybody_watched_or_not() {
    let mut world = World::start().await;
    let team = world.team("web").await;
    let revisions = revisions(&team, 5).await;
    let mut expected = Vec::new();

    // Watched: from :1 to :3. By arithmetic the previous one would be :2.
    let jump = team
        .deploys(&revisions[3], AT_ONCE, NO_HOOK, "watched")
        .await;
    let deployment = world.ends(&jump).await;
    assert_eq!(deployment["outcome"], "succeeded", "{deployment}");
    assert_eq!(deployment["reason"], "watched", "{deployment}");
    assert_eq!(deployment["strategy"], AT_ONCE, "{deployment}");
    expected.push((jump, json!(revisions[1]), json!(revisions[3])));

    // Not watched: to :2 and to :5.
    world.kill_server();
    for (from, to) in [(3, 2), (2, 5)] {
        let aws_id = team
            .deploys(&revisions[to], AT_ONCE, NO_HOOK, "unwatched")
            .await;
        assert_eq!(world.ends_at_aws(&aws_id).await["status"], "Succeeded");
        expected.push((aws_id, json!(revisions[from]), json!(revisions[to])));
    }
    world.start_server().await;
    assert_eq!(recorded(&world, 3).await, expected);

    // Watched again: back to :4, which never served.
    let back = team
        .deploys(&revisions[4], AT_ONCE, NO_HOOK, "watched again")
        .await;
    assert_eq!(world.ends(&back).await["outcome"], "succeeded");
    expected.push((back, json!(revisions[5]), json!(revisions[4])));
    assert_eq!(recorded(&world, 4).await, expected);
    assert_eq!(
        world.api.get("/services/web").await.is(200)["serving_revision"],
        revisions[4]
    );
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_with_a_past_is_recorded_rightly_at_the_first_start() {
    let mut world = World::start_without_server().await;
    let team = Team::build(&world.account, "web").await;
    let revisions = revisions(&team, 3).await;
    let first = team
        .deploys(&revisions[3], AT_ONCE, NO_HOOK, "before Switchback")
        .await;
    assert_eq!(world.ends_at_aws(&first).await["status"], "Succeeded");
    let second = team.deploys(&revisions[2], CANARY, GATE, "under way").await;
    // The hook finds nobody and is tried again.
    world.account.advance(60).await;
    world.start_server().await;

    let deployment = world.recorded(&second).await;
    assert_eq!(
        deployment["previous_revision"], revisions[3],
        "{deployment}"
    );
    assert_eq!(deployment["target_revision"], revisions[2], "{deployment}");
    assert_eq!(
        deployment["previous_revision_from"], "task_set",
        "{deployment}"
    );
    let deployment = world.recorded(&first).await;
    assert_eq!(deployment["outcome"], "succeeded", "{deployment}");
    assert_eq!(deployment["target_revision"], revisions[3], "{deployment}");
    assert_eq!(
        deployment["previous_revision"], revisions[1],
        "{deployment}"
    );

    let gate = world.holds(&second).await;
    world.api.decides(&gate, "approve", None).await.is(200);
    world.confirmed(&gate).await;
    assert_eq!(world.ends(&second).await["outcome"], "succeeded");
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_app_spec_is_refused_by_aws_and_leaves_nothing_behind() {
    let world = World::start().await;
    let team = world.team("web").await;
    let before = world.api.audit_length().await;
    for malformed in [
        "",
        "version: 0.0",
        "version: 0.0\nResources: [",
        "{\"version\": 0.0, \"Resources\": []}",
        "version: 0.0\nResources:\n  - TargetService:\n      Type: AWS::Lambda::Function\n",
    ] {
        let refusal = team.tries_to_deploy(malformed, AT_ONCE, "malformed").await;
        let refusal = refusal.expect_err(malformed);
        let codes = ["InvalidRevisionException", "RevisionRequiredException"];
        assert!(
            codes.contains(&refusal.code.as_str()),
            "{malformed:?}: {refusal:?}"
        );
        assert!(!refusal.message.is_empty());
    }
    // A deployment that is begun after them is the first and only one that is seen.
    let revision = team.registers("2", &[]).await;
    let aws_id = team
        .deploys(&revision, AT_ONCE, NO_HOOK, "well-formed")
        .await;
    assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
    assert_eq!(world.api.items("/deployments").await.len(), 1);
    let audit = world.api.items("/audit").await;
    let new = audit
        .iter()
        .filter(|entry| entry["sequence"].as_i64() > Some(before));
    // The import of an account without a past may end at any time.
    let events: Vec<&str> = new
        .filter_map(|entry| entry["event"].as_str())
        .filter(|event| event.starts_with("deployment_"))
        .collect();
    assert_eq!(events, ["deployment_ended", "deployment_recorded"]);
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_is_filtered_and_read_page_by_page() {
    let world = World::start().await;
    let team = world.team("web").await;
    let revisions = revisions(&team, 4).await;
    let mut ids = Vec::new();
    for number in [2, 3, 4] {
        let description = format!("release {number}");
        let aws_id = team
            .deploys(&revisions[number], AT_ONCE, NO_HOOK, &description)
            .await;
        assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
        ids.insert(0, aws_id);
    }
    let mut path = "/deployments?limit=1".to_string();
    let mut read = Vec::new();
    loop {
        let page = world.api.get(&path).await.is(200);
        for item in page["items"].as_array().into_iter().flatten() {
            read.push(item["aws_id"].as_str().unwrap_or_default().to_string());
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/deployments?limit=1&cursor={cursor}"),
            None => break,
        }
        assert!(read.len() <= ids.len(), "the pages go on: {read:?}");
    }
    assert_eq!(read, ids);
    for (filter, expected) in [
        ("service=web", 3),
        ("service=other", 0),
        ("outcome=succeeded", 3),
        ("outcome=failed", 0),
        ("phase=shifting", 0),
        ("q=release+3", 1),
        ("from=2020-01-01", 3),
        ("to=2020-01-01", 0),
    ] {
        let items = world.api.items(&format!("/deployments?{filter}")).await;
        assert_eq!(items.len(), expected, "{filter}");
    }
    world.finish(&[]).await;
}
