//! The way in by a real OpenID Connect provider, one's own sessions, and proving again who one is.

use serde_json::Value;
use serde_json::json;
use sqlx::Connection;

use crate::oidc::Provider;
use crate::team::AT_ONCE;
use crate::team::NO_HOOK;
use crate::window::Screen;
use crate::window::Window;
use crate::world::PASSWORD;
use crate::world::USER;
use crate::world::World;

/// Signs in at the provider, from wherever its button is.
async fn signs_in_as(window: &Window, name: &str) {
    window.presses("Sign in with Example ID").await;
    window.sees("Sign in at the provider").await;
    window.types("login", name).await;
    window.presses("Continue").await;
}

/// Signs in by the form, beside which there is the provider's button.
async fn signs_in_by_password(window: &Window) {
    window.types("username", USER).await;
    window.types("password", PASSWORD).await;
    window
        .run("document.querySelector('form[action=\"/sign-in\"] button').click(); return null;")
        .await;
}

async fn opens_menu(window: &Window) {
    window
        .run("document.querySelector('details.menu').open = true; return null;")
        .await;
}

/// Who the window is signed in as, by the API.
async fn me(window: &Window) -> Value {
    let script = "const request = new XMLHttpRequest(); request.open('GET', '/api/v1/me', false); request.send(); \
                  return JSON.parse(request.responseText);";
    window.run(script).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_sign_in_at_the_provider_and_their_groups_give_them_roles() {
    let mut world = World::start_without_server().await;
    let mut provider = Provider::start(&mut world).await;
    provider.has_in("mira", &["release", "choir"]).await;
    world.start_server().await;
    world.team("web").await;
    let window = world.window().await;

    // Lands where one wanted to go, without scripts of ours.
    window.goes_to("/services?q=we").await;
    window.is_at("/sign-in?to=").await;
    for (screen, width) in [(Screen::Phone, "phone"), (Screen::Desktop, "desktop")] {
        window.looks_through(screen).await;
        for theme in ["light", "dark"] {
            window.wears(theme).await;
            window.sees("Sign in with Example ID").await;
            window.fits().await;
            window.hinders_nobody().await;
            window
                .keeps_picture(&format!("single-sign-on-{theme}-{width}"))
                .await;
        }
    }
    signs_in_as(&window, "mira").await;
    window.is_at("/services?q=we").await;
    window.sees("web").await;
    let seen = me(&window).await;
    assert_eq!(
        (&seen["name"], &seen["roles"]),
        (&json!("mira"), &json!(["approver"])),
        "{seen}"
    );

    // Taken away at the provider: gone at the next sign-in, in the session that was open before as well.
    provider.has_in("mira", &["engineering"]).await;
    assert_eq!(me(&window).await["roles"], json!(["approver"]));
    let elsewhere = world.window().await;
    elsewhere.goes_to("/approvals").await;
    signs_in_as(&elsewhere, "mira").await;
    elsewhere.is_at("/approvals").await;
    assert_eq!(me(&elsewhere).await["roles"], json!(["viewer"]));
    assert_eq!(me(&window).await["roles"], json!(["viewer"]));

    // A name that a local user has is not taken over.
    let stranger = world.window().await;
    stranger.goes_to("/sign-in").await;
    signs_in_as(&stranger, USER).await;
    stranger.is_at("/sign-in?").await;
    stranger
        .sees("Another user of Switchback has your name.")
        .await;
    stranger.sees("oidc_name_taken").await;

    // The provider knows them still, and nothing changes.
    stranger.goes_to("/sign-in?to=/history").await;
    stranger.presses("Sign in with Example ID").await;
    stranger.is_at("/sign-in?").await;
    stranger
        .sees("Another user of Switchback has your name.")
        .await;
    stranger.finish(&[]).await;

    // Out, here and there.
    opens_menu(&window).await;
    window.presses("Sign out").await;
    window.sees("Sign out of the provider?").await;
    window.presses("Yes, sign me out").await;
    window.is_at("/sign-in").await;
    window.goes_to("/services").await;
    window.is_at("/sign-in?to=").await;
    window.presses("Sign in with Example ID").await;
    window.sees("Sign in at the provider").await;
    window.presses("Refuse").await;
    window.is_at("/sign-in?").await;
    window
        .sees("The sign-in service did not sign you in.")
        .await;

    // An outage there: it is said, sessions go on, and local users come in.
    provider.goes_down();
    window.presses("Sign in with Example ID").await;
    window.is_at("/sign-in?").await;
    window
        .sees("The sign-in service does not answer as it should.")
        .await;
    signs_in_by_password(&window).await;
    window.is_at("/services").await;
    assert_eq!(me(&elsewhere).await["name"], "mira");
    opens_menu(&elsewhere).await;
    elsewhere.presses("Sign out").await;
    elsewhere.is_at("/sign-in").await;
    // New keys: those of before are worth nothing, and the new ones are found.
    provider.comes_up().await;
    provider.has_in("mira", &["on-call"]).await;
    elsewhere.goes_to("/").await;
    signs_in_as(&elsewhere, "mira").await;
    elsewhere.sees("Needs you").await;
    assert_eq!(me(&elsewhere).await["roles"], json!(["operator"]));

    let words: Vec<String> = world
        .api
        .items("/audit")
        .await
        .iter()
        .filter_map(|entry| {
            Some(format!(
                "{} {}",
                entry["actor"].as_str()?,
                entry["event"].as_str()?
            ))
        })
        .collect();
    for told in [
        "mira signed_in_by_oidc".to_string(),
        "mira signed_out".to_string(),
        format!("{USER} sign_in_by_oidc_refused"),
        "somebody sign_in_by_oidc_refused".to_string(),
    ] {
        assert!(words.contains(&told), "{told} is not in {words:?}");
    }
    assert!(!world.log().contains("eyJ"), "a token is in the log");
    // The page that was closed behind the provider's back, and what asked meanwhile.
    window.finish(&["401"]).await;
    elsewhere.finish(&["401"]).await;
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_ended_elsewhere_ends_its_open_page_at_once() {
    let world = World::start().await;
    world.team("web").await;
    let (here, there) = (
        world.signed_in_window().await,
        world.signed_in_window().await,
    );
    there.is_live().await;
    for (screen, width) in [(Screen::Phone, "phone"), (Screen::Desktop, "desktop")] {
        here.looks_through(screen).await;
        for theme in ["light", "dark"] {
            here.wears(theme).await;
            here.goes_to("/sessions").await;
            here.sees("This session, in use now").await;
            here.sees("Chrome on Linux").await;
            here.fits().await;
            here.hinders_nobody().await;
            here.keeps_picture(&format!("sessions-{theme}-{width}"))
                .await;
        }
    }
    here.presses("End all other sessions").await;
    here.sees("All other sessions are ended.").await;
    here.sees("You are signed in nowhere else.").await;
    there.sees("Not live").await;
    there.goes_to("/services").await;
    there.is_at("/sign-in").await;
    here.goes_to("/services").await;
    here.sees("web").await;
    here.finish(&[]).await;
    there.finish(&["401", "EventSource"]).await;
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_asks_for_a_fresh_sign_in_and_keeps_what_was_typed() {
    let mut world = World::start_on_sqlite_without_server().await;
    let provider = Provider::start(&mut world).await;
    provider.has_in("otto", &["on-call"]).await;
    world
        .variables
        .push(("SWITCHBACK_STEP_UP_MINUTES".to_string(), "5".to_string()));
    world.start_server().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, AT_ONCE, NO_HOOK, "release 2").await;
    world.ends(&aws_id).await;

    let mut done = Vec::new();
    for (name, reason) in [(USER, "INC-8: errors"), ("otto", "INC-9: errors again")] {
        let window = world.window().await;
        window.goes_to("/").await;
        let by_provider = name != USER;
        if by_provider {
            signs_in_as(&window, name).await;
            window.sees("Needs you").await;
        } else {
            signs_in_by_password(&window).await;
            window.sees("Needs you").await;
        }
        no_longer_fresh(&world).await;
        window.goes_to("/services/web/rollback?to=previous").await;
        window.sees("Exact call").await;
        window.types("reason", reason).await;
        window.presses("Roll back web to").await;
        window.is_at("/sign-in/again?to=").await;
        window.sees("within the last 5 minutes").await;
        assert!(
            !window.path().await.contains("INC-"),
            "{}",
            window.path().await
        );
        window.looks_through(Screen::Phone).await;
        window.fits().await;
        window.hinders_nobody().await;
        window
            .keeps_picture(&format!(
                "sign-in-again-{}",
                if by_provider { "provider" } else { "password" }
            ))
            .await;
        window.looks_through(Screen::Desktop).await;
        if by_provider {
            // Somebody else at the provider does not do.
            window.presses("Sign in with Example ID").await;
            window.sees("prompt login").await;
            window.types("login", "mallory").await;
            window.presses("Continue").await;
            window.is_at("/sign-in/again?").await;
            window
                .sees("Somebody else signed in at the sign-in service.")
                .await;
            window.presses("Sign in with Example ID").await;
            window.sees("prompt login").await;
            window.types("login", name).await;
            window.presses("Continue").await;
        } else {
            window.types("password", PASSWORD).await;
            window.presses("Sign in again").await;
        }
        window.is_at("/services/").await;
        window.sees("Exact call").await;
        assert_eq!(
            window.value_of("reason").await,
            reason,
            "what was typed is there again"
        );
        if done.is_empty() {
            window.presses("Roll back web to").await;
            window.sees("The rollback is recorded.").await;
            done.push("CreateDeployment");
            let path = window.path().await;
            let (_, rest) = path
                .split_once("operation=")
                .expect("it names the operation");
            let operation = rest.split('&').next().unwrap_or_default().to_string();
            world.operation_ends(&operation).await;
        }
        window.finish(&["401"]).await;
    }
    world.finish(&done).await;
}

/// As if all who are signed in had done so an hour ago.
async fn no_longer_fresh(world: &World) {
    let url = format!("sqlite:{}", world.file("switchback.db").display());
    let mut database = sqlx::SqliteConnection::connect(&url)
        .await
        .expect("the database opens");
    sqlx::query("update browser_sessions set fresh_at = fresh_at - 3600000")
        .execute(&mut database)
        .await
        .expect("the sessions can be changed");
}
