//! The server goes away while somebody looks: the page says so, goes on counting, and comes back.

use std::time::Duration;

use serde_json::json;

use crate::account::Json;
use crate::team::CANARY;
use crate::team::GATE;
use crate::wait::SOON;
use crate::wait::until;
use crate::window::Window;
use crate::world::World;

/// What the fuse shows, in seconds.
async fn left(window: &Window) -> u64 {
    let shown = window
        .run("return document.querySelector('.fuse-left').innerText;")
        .await;
    let shown = shown.as_str().unwrap_or_default().to_string();
    shown.split(':').fold(0, |seconds, part| {
        seconds * 60
            + part
                .parse::<u64>()
                .unwrap_or_else(|_| panic!("the fuse shows {shown}"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_outlives_its_server_and_catches_up() {
    let mut world = World::start().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "release 2").await;
    let gate = world.holds(&aws_id).await;
    let window = world.signed_in_window().await;
    window
        .goes_to(&format!(
            "/gates/{}",
            gate["id"].as_str().unwrap_or_default()
        ))
        .await;
    window.is_live().await;
    window.does_not_see("Not live").await;
    window
        .run("window.keptSinceThePageWasLoaded = true; return null;")
        .await;
    window.types("reason", "half a sentence").await;

    // Fast enough that 90 s without data pass soon; the page learns the pace before the outage.
    world.account.tell("clock", json!({ "speed": 20 })).await;
    let before = left(&window).await;
    until(
        "the page's clock runs at the account's pace",
        SOON,
        async || {
            let now = left(&window).await;
            if before >= now + 30 {
                Ok(())
            } else {
                Err(format!("{now} of {before}"))
            }
        },
    )
    .await;
    world.kill_server();
    window.sees("Not live since").await;
    window.sees("trying again in").await;
    let then = left(&window).await;
    window
        .sees_within("Last data", Duration::from_secs(30))
        .await;
    assert!(left(&window).await < then, "the fuse does not count on");
    assert_eq!(window.value_of("reason").await, "half a sentence");

    // Meanwhile somebody else undoes the deployment; the gate is gone when the server is back.
    world.account.tell("clock", json!({ "speed": 1 })).await;
    let stop = json!({ "deploymentId": aws_id, "autoRollbackEnabled": true });
    world
        .account
        .call(Json::CodeDeploy, "StopDeployment", stop)
        .await;
    world.start_server().await;
    window.presses("Try now").await;
    window.is_live().await;
    window.does_not_see("Not live since").await;
    world.ends(&aws_id).await;
    until("the gate is shown as gone", SOON, async || {
        match window.shows("Approve :2").await {
            Ok(()) => Err("it is still offered".to_string()),
            Err(_) => Ok(()),
        }
    })
    .await;
    let kept = window
        .run("return window.keptSinceThePageWasLoaded === true;")
        .await;
    assert_eq!(
        kept, true,
        "the page was loaded anew, which is no reconnection"
    );
    let resumed = window
        .run(
            "return performance.getEntriesByType('resource').map(entry => entry.name)\
             .filter(name => /events\\?last_event_id=\\d+$/.test(name)).length;",
        )
        .await;
    assert!(
        resumed.as_u64() > Some(0),
        "the stream began anew instead of going on"
    );
    window
        .finish(&["/api/v1/events", "/ask/", "ERR_CONNECTION_REFUSED"])
        .await;
    world.finish(&[]).await;
}
