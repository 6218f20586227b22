//! The first start and a gap, as they are seen.

use std::time::Duration;

use serde_json::json;

use crate::importing::coverage;
use crate::importing::import_is;
use crate::importing::is_complete;
use crate::importing::past;
use crate::team::Team;
use crate::window::Screen;
use crate::window::Window;
use crate::world::World;

/// A page that is pushed to, on a loaded machine.
const A_WHILE: Duration = Duration::from_secs(60);

/// Keeps pictures of a page in both themes and at both widths.
async fn keeps_pictures(window: &Window, path: &str, text: &str, name: &str) {
    for (screen, theme, suffix) in [
        (Screen::Desktop, "light", "-light"),
        (Screen::Desktop, "dark", "-dark"),
        (Screen::Phone, "light", "-phone"),
    ] {
        window.looks_through(screen).await;
        window.wears(theme).await;
        window.goes_to(path).await;
        window.sees(text).await;
        window.is_live().await;
        window.fits().await;
        window.keeps_picture(&format!("{name}{suffix}")).await;
    }
    window.looks_through(Screen::Desktop).await;
    window.wears("light").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_shows_its_progress_and_the_history_its_gaps() {
    let mut world = World::start_without_server().await;
    let account = world.account.clone();
    let team = Team::build(&account, "web").await;
    let mut revisions = vec![team.first_revision.clone()];
    for number in 2..=4 {
        revisions.push(team.registers(&number.to_string(), &[]).await);
    }
    for number in 0..24 {
        past(&account, &team, &revisions[(number + 1) % 3]).await;
    }
    let read = |fault: &str, delay_ms: Option<u32>| {
        let mut fault = json!({
            "service": "codedeploy", "operation": "BatchGetDeploymentTargets", "fault": fault,
        });
        if let Some(delay_ms) = delay_ms {
            fault["delay_ms"] = json!(delay_ms);
        }
        fault
    };
    account.tell("faults", read("slow", Some(1500))).await;
    world.start_server().await;
    import_is(&world.api, "has recorded ten", |import| {
        import["settled"].as_i64() >= Some(10)
    })
    .await;
    account.heal().await;
    account.tell("faults", read("throttle", None)).await;
    let held = import_is(&world.api, "is held up", |import| {
        import["trouble"].is_string()
    })
    .await;
    let words = format!(
        "Taking in the history of eu-central-1: {} of 24 deployments",
        held["import"]["settled"]
    );
    let window = world.signed_in_window().await;
    for (path, name) in [("/", "importing-now"), ("/history", "importing-history")] {
        keeps_pictures(&window, path, &words, name).await;
    }

    // It goes on, and is told to the open page.
    window.goes_to("/").await;
    window.sees(&words).await;
    window.is_live().await;
    account.heal().await;
    import_is(&world.api, "is complete", is_complete).await;
    window.sees_within("record begins", A_WHILE).await;
    crate::wait::until("the progress is gone", A_WHILE, async || {
        window
            .shows("Taking in")
            .await
            .map_or(Ok(()), |()| Err("it is still there".to_string()))
    })
    .await;

    // Nobody looked for a while.
    world.kill_server();
    past(&account, &team, &revisions[3]).await;
    world.start_server().await;
    crate::wait::until("the gap is told", A_WHILE, async || {
        let coverage = coverage(&world.api).await;
        match coverage["gaps"][0]["seen_late"].as_i64() {
            Some(1) => Ok(()),
            _ => Err(coverage.to_string()),
        }
    })
    .await;
    keeps_pictures(
        &window,
        "/history",
        "1 deployment was seen afterwards",
        "gap-history",
    )
    .await;
    keeps_pictures(&window, "/", "watching since", "imported-now").await;
    let late = world.api.items("/deployments?limit=1").await;
    let path = format!(
        "/deployments/{}",
        late[0]["id"].as_str().unwrap_or_default()
    );
    keeps_pictures(&window, &path, "Seen late", "seen-late-deployment").await;
    // The open page lost its server once.
    window.finish(&["ERR_"]).await;
    world.finish(&[]).await;
}
