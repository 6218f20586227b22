//! The table of routes against the router, and health.

use super::*;

#[tokio::test]
async fn the_pages_are_those_of_the_table() {
    let in_app: BTreeSet<String> = pages::listed()
        .iter()
        .map(|listing| listing.path().to_string())
        .collect();
    let in_table: BTreeSet<String> = ROUTES
        .iter()
        .filter(|route| matches!(route.serves, Serves::Page))
        .map(|route| route.path.to_string())
        .collect();
    assert_eq!(in_app, in_table);
}

#[test]
fn server_functions_are_reads_under_one_prefix() {
    let functions: Vec<(&str, Method)> = leptos::server_fn::axum::server_fn_paths().collect();
    assert!(!functions.is_empty());
    for (path, method) in functions {
        assert!(path.starts_with("/ask/"), "{path}");
        assert_eq!(method, Method::GET, "{path}: acts are forms or the API");
        assert_eq!(routes::who(&method, path), Who::SignedIn, "{path}");
    }
}

#[tokio::test]
async fn without_signing_in_only_the_open_routes_answer() {
    let world = world().await;
    for route in ROUTES {
        let path = route
            .path
            .replace("{id}", "x-1")
            .replace("{*file}", "switchback.css")
            .replace("{*name}", "me");
        let answer = world.send(route.method.as_str(), &path, &[], "").await;
        let line = format!(
            "{} {}: {} {}",
            route.method, path, answer.status, answer.body
        );
        match route.who {
            Who::SignedIn if path.starts_with("/api/") => {
                assert_eq!(
                    answer.problem(),
                    (401, "sign_in_needed".to_string()),
                    "{line}"
                );
                assert_eq!(answer.header(header::WWW_AUTHENTICATE), "Bearer");
            }
            Who::SignedIn if path.starts_with("/ask/") => {
                assert_eq!(answer.status, 401, "{line}");
                let error: switchback_app::error::AppError =
                    serde_json::from_str(&answer.body).unwrap();
                assert!(error.is_sign_in_needed(), "{line}");
            }
            Who::SignedIn if route.method == Method::GET => {
                let back = local::with_parameters("/sign-in", &[("to", &path)]);
                assert_eq!((answer.status, answer.location()), (303, &*back), "{line}");
            }
            Who::SignedIn => assert_eq!(
                (answer.status, answer.location()),
                (303, "/sign-in?to=%2F"),
                "{line}"
            ),
            Who::Hook => assert_eq!(
                answer.problem(),
                (401, "signature_malformed".to_string()),
                "{line}"
            ),
            Who::Public => assert_ne!(answer.status, 401, "{line}"),
        }
    }
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn every_line_of_the_table_is_answered() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    for route in ROUTES {
        if route.path == "/api/v1/events" || route.path == "/sign-out" {
            continue;
        }
        let path = route
            .path
            .replace("{id}", "x-1")
            .replace("{*file}", "switchback.css")
            .replace("{*name}", "me");
        let headers = [("cookie", &*cookie), ("sec-fetch-site", "same-origin")];
        let answer = world.send(route.method.as_str(), &path, &headers, "").await;
        let line = format!(
            "{} {}: {} {}",
            route.method, path, answer.status, answer.body
        );
        assert!(!answer.body.contains("There is nothing at"), "{line}");
        assert!(answer.status != 405 && answer.status < 500, "{line}");
    }
}

/// Leptos lets no page ask for anything while it looks for the pages of an app, and then that page is
/// never answered.
#[tokio::test]
async fn a_page_is_answered_while_another_router_is_made() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    let (deps, done) = (world.deps.clone(), CancellationToken::new());
    let stop = done.clone().drop_guard();
    let made = std::thread::spawn(move || {
        let mut made = 0;
        while !done.is_cancelled() {
            drop(router(deps.clone()));
            made += 1;
        }
        made
    });
    for _ in 0..20 {
        assert_eq!(world.get("/approvals", &cookie).await.status, 200);
    }
    drop(stop);
    assert!(made.join().unwrap() > 0);
}

#[tokio::test]
async fn whoever_asks_whether_it_is_ready_hears_nothing_of_the_account() {
    let world = world().await;
    let look = async || world.send("GET", "/readyz", &[], "").await.json()["aws"][0].clone();
    let at = json!(NOW.plus_seconds(-2));
    assert_eq!(
        look().await,
        json!({ "region": "eu-central-1", "last_look_at": at, "last_look": "ended well", "code": null })
    );
    *world.work.trouble.lock().unwrap() = Some(
        "codedeploy:ListDeployments: AccessDeniedException: User: arn:aws:iam::123456789012:user/desk is not authorized"
            .to_string(),
    );
    assert_eq!(
        look().await,
        json!({
            "region": "eu-central-1", "last_look_at": at, "last_look": "failed", "code": "AccessDeniedException"
        })
    );
}

#[tokio::test]
async fn health_readiness_and_numbers() {
    let world = world().await;
    assert_eq!(
        world.send("GET", "/healthz", &[], "").await.json(),
        json!({ "alive": true })
    );
    let ready = world.send("GET", "/readyz", &[], "").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["aws"][0]["region"], "eu-central-1");
    world.send("GET", "/api/v1/me", &[], "").await;
    let metrics = world.send("GET", "/metrics", &[], "").await;
    for line in [
        "switchback_http_requests_total{status=\"200\"} 2\n",
        "switchback_http_requests_total{status=\"401\"} 1\n",
        "switchback_http_request_duration_seconds_count 3\n",
        "switchback_open_gates 0\n",
        "switchback_active_deployments 0\n",
        "switchback_aws_trouble{region=\"eu-central-1\"} 0\n",
        "switchback_aws_last_look_age_seconds{region=\"eu-central-1\"} 2\n",
    ] {
        assert!(metrics.body.contains(line), "{line} in\n{}", metrics.body);
    }
    world.deps.store.close().await;
    let unready = world.send("GET", "/readyz", &[], "").await;
    assert_eq!(
        (unready.status, &unready.json()["database"]),
        (503, &json!("does not answer"))
    );
    assert_eq!(world.send("GET", "/healthz", &[], "").await.status, 200);
}
