//! The way in and out.

use crate::window::Screen;
use crate::world::PASSWORD;
use crate::world::USER;
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_password_leads_to_the_page_that_was_asked_for() {
    let world = World::start().await;
    let team = world.team("web").await;
    let window = world.window().await;

    window.goes_to("/services").await;
    window.is_at("/sign-in?to=%2Fservices").await;
    window.types("username", USER).await;
    window.types("password", "not the password").await;
    window.presses("Sign in").await;
    window.sees("The name or the password is wrong.").await;
    window.is_at("/sign-in").await;

    window.types("username", USER).await;
    window.types("password", PASSWORD).await;
    window.presses("Sign in").await;
    window.is_at("/services").await;
    window.sees(&team.service).await;

    // Leads nowhere but to this server.
    window.goes_to("/sign-in?to=//evil.example/").await;
    window.types("username", USER).await;
    window.types("password", PASSWORD).await;
    window.presses("Sign in").await;
    window.is_at("/").await;
    window.sees("Needs you").await;

    window
        .run("document.querySelector('details.menu').open = true; return null;")
        .await;
    window.presses("Sign out").await;
    window.is_at("/sign-in").await;
    window.goes_to("/services").await;
    window.is_at("/sign-in").await;

    let events = world.api.items("/audit").await;
    let words: Vec<&str> = events
        .iter()
        .filter_map(|entry| entry["event"].as_str())
        .collect();
    for event in ["sign_in_refused", "signed_in", "signed_out"] {
        assert!(
            words.contains(&event),
            "{event} is not in the audit log: {words:?}"
        );
    }
    window.finish(&[]).await;
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_theme_is_chosen_by_a_form_and_kept() {
    let world = World::start().await;
    world.team("web").await;
    let window = world.signed_in_window().await;
    let theme = async || {
        let theme = window
            .run("return document.documentElement.dataset.theme ?? 'device';")
            .await;
        theme.as_str().unwrap_or_default().to_string()
    };
    assert_eq!(theme().await, "device");
    for (button, expected) in [("Dark", "dark"), ("Light", "light"), ("System", "device")] {
        window
            .run("document.querySelector('details.menu').open = true; return null;")
            .await;
        window.presses(button).await;
        crate::wait::until("the theme is worn", crate::wait::SOON, async || {
            let worn = theme().await;
            if worn == expected { Ok(()) } else { Err(worn) }
        })
        .await;
        window.goes_to("/services").await;
        window.sees("problems first").await;
        assert_eq!(theme().await, expected, "on the next page");
    }
    window.looks_through(Screen::Phone).await;
    for path in [
        "/",
        "/services",
        "/services/web",
        "/services/web/rollback",
        "/approvals",
        "/history",
        "/audit",
    ] {
        window.goes_to(path).await;
        window.fits().await;
    }
    window.finish(&[]).await;
    world.finish(&[]).await;
}
