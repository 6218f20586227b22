//! The keys, each with what it does, and that none of them changes anything.

use serde_json::json;

use crate::team::AT_ONCE;
use crate::team::CANARY;
use crate::team::GATE;
use crate::team::NO_HOOK;
use crate::wait::SOON;
use crate::wait::until;
use crate::window::Window;
use crate::world::World;

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// Waits until what has the focus matches this selector.
async fn focus_is_on(window: &Window, selector: &str) {
    until(&format!("the focus is on {selector}"), SOON, async || {
        let script = format!("return document.activeElement.matches({selector:?}) || document.activeElement.outerHTML.slice(0, 200);");
        match window.run(&script).await {
            serde_json::Value::Bool(true) => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
}

async fn list_is_open(window: &Window) -> bool {
    window
        .run("return document.querySelector('#keys').matches(':popover-open');")
        .await
        == json!(true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_reached_and_every_row_opened_without_a_mouse() {
    let world = World::start().await;
    let team = world.team("web").await;
    for tag in ["2", "3"] {
        let revision = team.registers(tag, &[("COLOUR", tag)]).await;
        let aws_id = team
            .deploys(&revision, AT_ONCE, NO_HOOK, &format!("release {tag}"))
            .await;
        assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
    }
    let fourth = team.registers("4", &[]).await;
    let aws_id = team.deploys(&fourth, CANARY, GATE, "release 4").await;
    let gate = world.holds(&aws_id).await;
    let window = world.signed_in_window().await;
    window.is_live().await;

    for (second, path) in [
        ("s", "/services"),
        ("a", "/approvals"),
        ("h", "/history"),
        ("u", "/audit"),
        ("n", "/"),
    ] {
        window.keys("g").await;
        window.keys(second).await;
        until(&format!("g {second} leads to {path}"), SOON, async || {
            let at = window.path().await;
            if at == path { Ok(()) } else { Err(at) }
        })
        .await;
        window.is_live().await;
    }

    // The list, by its key and by its button.
    window.keys("?").await;
    window.sees("No key approves, rejects or rolls back.").await;
    window.keys(ESCAPE).await;
    assert!(!list_is_open(&window).await);
    window
        .run("document.querySelector('.keys-button').click(); return null;")
        .await;
    assert!(list_is_open(&window).await);
    window.presses("Close").await;
    assert!(!list_is_open(&window).await);

    window.keys("/").await;
    focus_is_on(&window, "#find").await;
    // In a field a letter is a letter.
    window.keys("gh?").await;
    assert_eq!(window.value_of("q").await, "gh?");
    window.keys(ESCAPE).await;
    focus_is_on(&window, "body").await;

    window.goes_to("/history").await;
    window.is_live().await;
    window.keys("f").await;
    focus_is_on(&window, ".filters input").await;
    window.keys(ESCAPE).await;
    window.keys("j").await;
    focus_is_on(&window, "tbody tr:nth-child(2) .row-link").await;
    window.keys("j").await;
    focus_is_on(&window, "tbody tr:nth-child(3) .row-link").await;
    window.keys("k").await;
    window.keys(ENTER).await;
    window.is_at("/deployments/").await;
    window.sees("release 4").await;
    window.is_live().await;

    window.keys("t").await;
    window.sees("by the minute, newest first").await;
    window.keys("r").await;
    focus_is_on(&window, "textarea[name=reason]").await;
    window.keys("a d x t").await;
    assert_eq!(window.value_of("reason").await, "a d x t");
    window.keys(ESCAPE).await;
    window.keys("d").await;
    window.is_at("/services/").await;
    window.sees("Compare revisions of web").await;
    window.sees("web:3").await;
    window.sees("web:4").await;

    // Two marked rows of one service are compared, the older one on the old side.
    window.goes_to("/history").await;
    window.is_live().await;
    window.keys("j").await;
    window.keys("x").await;
    window.keys("j").await;
    window.keys("j").await;
    window.keys("x").await;
    window.is_at("/services/").await;
    window.sees("Compare revisions of web").await;
    let sides = window
        .run("return [...document.querySelectorAll('.title-row .revision')].map(side => side.innerText.trim());")
        .await;
    assert_eq!(sides, json!(["web:2", "web:4"]));

    // Switched off, no key does anything; Tab and Enter always do.
    window.is_live().await;
    window.keys("?").await;
    window.presses("Switch the keys off").await;
    window.sees("They are off in this browser.").await;
    window.presses("Close").await;
    window.keys("gh").await;
    window.keys("/").await;
    focus_is_on(&window, "body, .keys-button, button").await;
    assert!(window.path().await.starts_with("/services/"));

    let id = gate["id"].as_str().unwrap_or_default();
    assert_eq!(world.api.gate(id).await["state"], "open");
    window.finish(&[]).await;
    world.finish(&[]).await;
}
