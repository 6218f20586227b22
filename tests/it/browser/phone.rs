//! On call, with a phone: three taps from an alarm's link to a rollback.

use serde_json::json;

use crate::team::AT_ONCE;
use crate::team::NO_HOOK;
use crate::window::Screen;
use crate::world::World;

/// The dock's button: where it stands, how high it is, and whether it may be pressed.
const DOCK: &str = "const button = document.querySelector('.dock button.destroy');\
     const place = button.getBoundingClientRect();\
     const bar = document.querySelector('.bottombar').getBoundingClientRect();\
     return { height: Math.round(place.height), in_reach: place.bottom <= bar.top && place.top > innerHeight / 2, \
     disabled: button.getAttribute('aria-disabled') === 'true', said: button.innerText.trim(), \
     beside: document.getElementById(button.getAttribute('aria-describedby')).innerText.trim() };";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_call_rolls_back_with_one_thumb() {
    let world = World::start().await;
    let team = world.team("web").await;
    let mut last = String::new();
    for tag in ["2", "3", "4"] {
        last = team.registers(tag, &[]).await;
        let aws_id = team
            .deploys(&last, AT_ONCE, NO_HOOK, &format!("release {tag}"))
            .await;
        assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
    }
    let window = world.signed_in_window().await;
    window.looks_through(Screen::Phone).await;
    window.goes_to("/services/web/rollback").await;
    window.is_live().await;
    window.fits().await;
    let dock = window.run(DOCK).await;
    assert_eq!(
        (&dock["disabled"], &dock["in_reach"], &dock["beside"]),
        (
            &json!(true),
            &json!(true),
            &json!("Missing: the revision, and why.")
        ),
        "{dock}"
    );

    window.presses("web:3").await;
    window.is_at("/services/").await;
    window.sees("Redeploy a recorded revision").await;
    window.is_live().await;
    // The others are folded away, so that the plan follows what was chosen.
    window.does_not_see("web:1").await;
    window.presses("that cannot be chosen").await;
    window.sees("It serves now.").await;
    let dock = window.run(DOCK).await;
    assert_eq!(dock["said"], "Roll back web to :3", "{dock}");
    assert!(dock["height"].as_i64() >= Some(48), "{dock}");
    assert_eq!(dock["in_reach"], true, "{dock}");
    assert_eq!(
        dock["beside"],
        "Missing: why. Write the reason or press one above."
    );
    // Pressed too early it sends nothing and leads to what is missing.
    window.presses("Roll back web to :3").await;
    let focused = window.run("return document.activeElement.name;").await;
    assert_eq!(focused, "reason");
    assert!(world.calls_of_the_product().await.is_empty());

    window.presses(&format!("Alarm {}", team.alarms[0])).await;
    let dock = window.run(DOCK).await;
    assert_eq!(
        dock["beside"],
        "1 AWS call. A second press cannot send it twice."
    );
    // What has the focus is not behind the dock.
    let is_hidden = window
        .run(
            "const field = document.activeElement; field.scrollIntoView({ block: 'nearest' });\
             return field.getBoundingClientRect().bottom > document.querySelector('.dock').getBoundingClientRect().top;",
        )
        .await;
    assert_eq!(is_hidden, false, "the reason is behind the dock");
    window.presses("Roll back web to :3").await;
    window.sees("The rollback is recorded.").await;
    world
        .passing("web:3 serves again", 1800, async || {
            let serving = team.serving().await;
            if serving.ends_with(":3") {
                Ok(())
            } else {
                Err(serving)
            }
        })
        .await;
    assert_ne!(team.serving().await, last);
    let newest = world.api.items("/deployments?service=web&limit=1").await;
    world
        .ends(newest[0]["id"].as_str().unwrap_or_default())
        .await;
    window.finish(&[]).await;
    world.finish(&["CreateDeployment"]).await;
}
