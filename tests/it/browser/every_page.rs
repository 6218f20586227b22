//! Every page, in both themes and at both widths, looked at with axe-core.

use serde_json::json;

use crate::browser::pages;
use crate::browser::pages::Page;
use crate::browser::pages::Pictures;
use crate::browser::pages::Subjects;
use crate::team::AT_ONCE;
use crate::team::CANARY;
use crate::team::GATE;
use crate::team::NO_HOOK;
use crate::window::Screen;
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_account_says_what_will_appear_and_a_wrong_address_what_to_do() {
    let world = World::start().await;
    let window = world.window().await;
    for (screen, width) in [(Screen::Desktop, "desktop"), (Screen::Phone, "phone")] {
        window.looks_through(screen).await;
        window.goes_to("/sign-in").await;
        for theme in ["light", "dark"] {
            window.wears(theme).await;
            window.sees("Sign in").await;
            window.fits().await;
            window.hinders_nobody().await;
            window
                .keeps_picture(&format!("sign-in-{theme}-{width}"))
                .await;
        }
    }
    window
        .signs_in(crate::world::USER, crate::world::PASSWORD)
        .await;
    pages::look_at(&window, &pages::empty(), Pictures::Kept).await;
    pages::look_at(&window, &pages::astray(), Pictures::Kept).await;
    window.finish(&["404"]).await;
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_hinders_anybody() {
    let world = World::start().await;
    let team = world.team("web").await;
    let second = team.registers("2", &[("COLOUR", "green")]).await;
    let ended = team.deploys(&second, AT_ONCE, NO_HOOK, "release 2").await;
    assert_eq!(world.ends(&ended).await["outcome"], "succeeded");
    let third = team.registers("3", &[("COLOUR", "red")]).await;
    let live = team.deploys(&third, CANARY, GATE, "release 3").await;
    let decided = world.holds(&live).await;
    world.api.decides(&decided, "approve", None).await.is(200);
    world.confirmed(&decided).await;
    world
        .passing(
            "a tenth of the traffic is on the new one",
            600,
            async || {
                let deployment = world.api.deployment(&live).await;
                if deployment["share_new"] == 0.1 {
                    Ok(())
                } else {
                    Err(deployment.to_string())
                }
            },
        )
        .await;
    // Held still, so that the canary stays one while another comes to its gate.
    let other = world.team("cart").await;
    let cart = other.registers("2", &[]).await;
    let holding = other.deploys(&cart, CANARY, GATE, "release 2").await;
    let gate = world.holds(&holding).await;
    world.account.tell("clock", json!({ "speed": 0 })).await;

    let id = |value: &serde_json::Value| value["id"].as_str().unwrap_or_default().to_string();
    let subjects = Subjects {
        service: "web".to_string(),
        rollback_of: "web".to_string(),
        live,
        holding,
        ended,
        gate: id(&gate),
    };
    let mut pages = pages::all(&subjects);
    pages.push(Page {
        name: "gate-decided",
        path: format!("/gates/{}", id(&decided)),
        text: "The decision",
        is_live: true,
    });
    let window = world.signed_in_window().await;
    pages::look_at(&window, &pages, Pictures::NotKept).await;

    // One heading, one main part, a name for every list of rows.
    for page in &pages {
        window.goes_to(&page.path).await;
        let told = window
            .run(
                "const all = selector => [...document.querySelectorAll(selector)];\
                 return [all('h1').length, all('main').length, all('table:not(:has(caption))').length, \
                 all('table.rows th:not([scope])').length];",
            )
            .await;
        assert_eq!(told, json!([1, 1, 0, 0]), "{}", page.path);
    }

    // The check itself finds what is wrong, or it would prove nothing.
    window
        .run("document.querySelector('main').insertAdjacentHTML('beforeend', '<button></button>'); return null;")
        .await;
    let found = window.hindrances().await;
    assert!(
        found.iter().any(|one| one.contains("button-name")),
        "{found:?}"
    );
    window.finish(&[]).await;
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}
