//! Lists as CSV: the same rows, the same filters, the same doors.

use serde_json::Value;

use crate::team::AT_ONCE;
use crate::team::CANARY;
use crate::team::GATE;
use crate::team::NO_HOOK;
use crate::world::Api;
use crate::world::World;

/// The rows of a file, without its header; no cell of these journeys holds a line break.
async fn rows(api: &Api, path: &str) -> (String, Vec<String>) {
    let answer = api.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    assert_eq!(
        answer.header("content-type"),
        "text/csv; charset=utf-8; header=present"
    );
    let mut lines = answer.body.split_terminator("\r\n").map(str::to_string);
    let header = lines.next().expect("a file has a header");
    (header, lines.collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_list_is_taken_along_as_csv() {
    let world = World::start().await;
    let team = world.team("web").await;
    let second = team.registers("2", &[]).await;
    let formula = "=HYPERLINK(\"https://evil.example\",\"release 2\")";
    let ended = team.deploys(&second, AT_ONCE, NO_HOOK, formula).await;
    assert_eq!(world.ends(&ended).await["outcome"], "succeeded");
    let third = team.registers("3", &[]).await;
    let holding = team.deploys(&third, CANARY, GATE, "release 3").await;
    let gate = world.holds(&holding).await;

    let (header, lines) = rows(&world.api, "/deployments?format=csv").await;
    assert!(
        header.starts_with("started_at,ended_at,service,cluster,"),
        "{header}"
    );
    let items = world.api.items("/deployments").await;
    assert_eq!(lines.len(), items.len(), "{lines:?}");
    for (line, item) in lines.iter().zip(&items) {
        let id = item["id"].as_str().unwrap_or_default();
        assert!(line.ends_with(id), "{line} is not {id}");
    }
    let reasoned = lines
        .iter()
        .find(|line| line.contains("HYPERLINK"))
        .expect("the reason is there");
    assert!(
        reasoned.contains("\"'=HYPERLINK(\"\"https://evil.example\"\",\"\"release 2\"\")\""),
        "{reasoned}"
    );

    // The filters of the list, and the pages behind the first are followed.
    let (_, lines) = rows(&world.api, "/deployments?outcome=succeeded&format=csv").await;
    let filtered = world.api.items("/deployments?outcome=succeeded").await;
    assert_eq!(lines.len(), filtered.len());
    let (_, none) = rows(&world.api, "/deployments?q=nothing+like+it&format=csv").await;
    assert_eq!(none, Vec::<String>::new());
    let length = world.api.audit_length().await;
    let (_, entries) = rows(&world.api, "/audit?format=csv&limit=1").await;
    assert!(
        i64::try_from(entries.len()).unwrap_or_default() >= length,
        "{} of {length}",
        entries.len()
    );

    let (_, services) = rows(&world.api, "/services?format=csv").await;
    assert!(services[0].starts_with("web,prod,"), "{services:?}");
    for (query, count) in [
        ("q=WEB", 1),
        ("q=prod", 1),
        ("q=nothing+like+it", 0),
        ("moving=1", 1),
    ] {
        let (_, found) = rows(&world.api, &format!("/services?{query}&format=csv")).await;
        assert_eq!(found.len(), count, "{query}: {found:?}");
        let found = world.api.items(&format!("/services?{query}")).await;
        assert_eq!(found.len(), count, "{query}: {found:?}");
    }
    let (_, revisions) = rows(&world.api, "/services/web/revisions?format=csv").await;
    assert_eq!(
        revisions.len(),
        world.api.items("/services/web/revisions").await.len()
    );
    let (_, open) = rows(&world.api, "/gates?state=open&format=csv").await;
    assert_eq!(open.len(), 1);
    assert!(open[0].ends_with(gate["id"].as_str().unwrap_or_default()));
    let (_, closed) = rows(&world.api, "/gates?state=closed&format=csv").await;
    assert_eq!(closed, Vec::<String>::new());

    // The same doors: nobody gets nothing, and what is not known is refused, not guessed.
    let nobody = Api::of_nobody(&world.api.base);
    for path in [
        "/services",
        "/deployments",
        "/gates",
        "/audit",
        "/services/web/revisions",
    ] {
        let refused = nobody.get(&format!("{path}?format=csv")).await;
        refused.refused(401, "sign_in_needed");
        let refused = world.api.get(&format!("{path}?format=xls")).await;
        refused.refused(422, "invalid_parameter");
    }
    world
        .api
        .get("/deployments?format=csv&outcome=fine")
        .await
        .refused(422, "invalid_parameter");
    world
        .api
        .get("/services/nothing/revisions?format=csv")
        .await
        .refused(404, "not_found");
    assert_eq!(gate["state"], Value::from("open"));
    world.finish(&[]).await;
}
