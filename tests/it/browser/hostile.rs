//! What comes from AWS and from people may be anything. Here it is HTML that wants to run: in descriptions, image
//! names, environment variables, alarm names, reasons, user names, filters. It is shown as the text that it is.

use http::Method;
use serde_json::json;

use crate::browser::pages;
use crate::browser::pages::Subjects;
use crate::team::AT_ONCE;
use crate::team::CANARY;
use crate::team::GATE;
use crate::team::NO_HOOK;
use crate::world::Api;
use crate::world::World;

/// Leaves an element, an attribute in either quote, and a script; runs at once if anything of it is taken for HTML.
const HOSTILE: &str = "\"'></title></script><img src=x onerror=harmed=1><script>harmed=1</script><svg onload=harmed=1>";

/// What of it can be seen on a page.
const SEEN: &str = "<img src=x onerror=harmed=1>";

/// The two revisions that differ by it.
const DIFF: &str = "/services/web/diff?a=web:1&b=web:2";

/// Whether anything ran or became an element, and whether the text is there.
const LOOK: &str = "return [typeof harmed, document.querySelectorAll('img[src=x], svg[onload]').length, \
     document.body.innerText.includes('<img src=x onerror=harmed=1>')];";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_from_aws_and_from_people_is_text_and_never_runs() {
    let world = World::start().await;
    let team = world.team("web").await;
    let alarm = "web\"'><img src=x onerror=harmed=1>";
    team.watches_alarm(alarm).await;
    let image = format!("2{SEEN}");
    let second = team.registers(&image, &[("COLOUR", HOSTILE)]).await;
    let ended = team.deploys(&second, AT_ONCE, NO_HOOK, HOSTILE).await;
    assert_eq!(world.ends(&ended).await["outcome"], "succeeded");
    let third = team
        .registers("3", &[("COLOUR", "red"), ("NAME", HOSTILE)])
        .await;
    let live = team.deploys(&third, CANARY, GATE, HOSTILE).await;
    let decided = world.holds(&live).await;
    world
        .api
        .decides(&decided, "approve", Some(HOSTILE))
        .await
        .is(200);
    world.confirmed(&decided).await;
    let other = world.team("cart").await;
    let cart = other.registers(&image, &[("COLOUR", HOSTILE)]).await;
    let holding = other.deploys(&cart, CANARY, GATE, HOSTILE).await;
    let gate = world.holds(&holding).await;
    // A name that nobody has is written down too.
    let form = format!(
        "username={}&password=x",
        HOSTILE.replace('<', "%3C").replace('>', "%3E")
    );
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let refused = Api::of_nobody(&world.api.base)
        .send(Method::POST, "/sign-in", &headers, form)
        .await;
    assert_ne!(refused.header("location"), "/");
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
    let mut paths: Vec<String> = pages::all(&subjects)
        .into_iter()
        .map(|page| page.path)
        .collect();
    paths.push(format!("/gates/{}", id(&decided)));
    // While a deployment is under way, what serves is also what served before it: the sides are named.
    paths.push(DIFF.to_string());
    let typed = "%22%27%3E%3Cimg%20src=x%20onerror=harmed=1%3E";
    for place in [
        "/history?q=",
        "/services?q=",
        "/audit?actor=",
        "/deployments/",
        "/services/",
        "/?done=",
        "/?problem=x&message=",
    ] {
        paths.push(format!("{place}{typed}"));
    }
    let window = world.signed_in_window().await;
    let mut shown = Vec::new();
    for path in &paths {
        window.goes_to(path).await;
        window.is_live().await;
        let found = window.run(LOOK).await;
        assert_eq!(
            (&found[0], &found[1]),
            (&json!("undefined"), &json!(0)),
            "{path}: {found}"
        );
        if found[2] == true {
            shown.push(path.as_str());
        }
    }
    // It was there to be shown, or this would prove nothing.
    for path in ["/", "/history", "/audit", DIFF, "/approvals"] {
        assert!(shown.contains(&path), "{path} is not among {shown:?}");
    }

    // Nor do addresses lead away.
    let nobody = Api::of_nobody(&world.api.base);
    for to in [
        "//evil.example",
        "https://evil.example/",
        "/%5Cevil.example",
        "javascript:alert(1)",
        "/%09/evil.example",
    ] {
        let form = format!(
            "username={}&password={}&to={to}",
            crate::world::USER,
            crate::world::PASSWORD.replace(' ', "+")
        );
        let answer = nobody.send(Method::POST, "/sign-in", &headers, form).await;
        let location = answer.header("location");
        assert!(
            answer.status == 303 && !location.contains("evil") && !location.contains("script"),
            "{to}: {location}"
        );
    }
    window.finish(&["404"]).await;
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}
