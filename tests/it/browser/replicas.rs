//! Two servers on one database, and a browser at the one that does not watch.

use crate::team::CANARY;
use crate::team::GATE;
use crate::wait::SOON;
use crate::window::Window;
use crate::world::PASSWORD;
use crate::world::USER;
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_appears_in_the_browser_of_either_server() {
    let world = World::start_on_postgres().await;
    let team = world.team("web").await;
    let replica = world.start_replica().await;
    let here = world.signed_in_window().await;
    let there = Window::open(&replica.api.base).await;
    there.signs_in(USER, PASSWORD).await;
    for window in [&here, &there] {
        window.goes_to("/").await;
        window.is_live().await;
        window
            .run("window.keptSinceThePageWasLoaded = true; return null;")
            .await;
    }
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "release 2").await;
    let gate = world.holds(&aws_id).await;
    for window in [&here, &there] {
        window.sees_within("Review", SOON).await;
        let kept = window
            .run("return window.keptSinceThePageWasLoaded === true;")
            .await;
        assert_eq!(kept, true, "the page was loaded anew, which is not live");
    }
    // Decided where nobody watches; seen by the other one, and delivered once.
    there.presses("Review").await;
    there.is_at("/gates/").await;
    there.types("reason", "looks good from here").await;
    there.presses("Approve").await;
    world.confirmed(&gate).await;
    here.goes_to(&format!(
        "/gates/{}",
        gate["id"].as_str().unwrap_or_default()
    ))
    .await;
    here.sees("looks good from here").await;
    assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
    here.finish(&[]).await;
    there.finish(&[]).await;
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}
