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
    let world = world_of(Some(RELAY_SECRET), None, Some(demo_routes::guide())).await;
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
    let world = world_of(Some(RELAY_SECRET), None, Some(demo_routes::guide())).await;
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
async fn one_account_that_is_slow_leaves_the_server_ready() {
    let world = world().await;
    world.work.look_age.store(4000, Ordering::Relaxed);
    let alone = world.send("GET", "/readyz", &[], "").await;
    assert_eq!(alone.status, 503, "{}", alone.body);
    let fresh = Look {
        account: Some("staging".to_string()),
        region: "eu-central-1".to_string(),
        at: Some(NOW),
        age: Some(Duration::from_secs(1)),
        ..Look::default()
    };
    world.work.others.lock().unwrap().push(fresh);
    let ready = world.send("GET", "/readyz", &[], "").await;
    assert_eq!(ready.status, 200, "{}", ready.body);
    let ready = ready.json();
    assert_eq!(ready["aws"][1]["account"], "staging");
    assert!(
        ready["warnings"].to_string().contains("stands still"),
        "{ready}"
    );
    let numbers = world.send("GET", "/metrics", &[], "").await.body;
    let line =
        "switchback_aws_last_look_age_seconds{account=\"staging\",region=\"eu-central-1\"} 1";
    assert!(numbers.contains(line), "{numbers}");
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
    world.work.look_age.store(7, Ordering::Relaxed);
    let metrics = world.send("GET", "/metrics", &[], "").await;
    for line in [
        "switchback_ready 1\n",
        "switchback_event_streams 0\n",
        "switchback_database_up 1\n",
        "switchback_open_gates 0\n",
        "switchback_active_deployments 0\n",
        "switchback_undelivered_verdicts 0\n",
        "switchback_operations{state=\"unknown\"} 0\n",
        "switchback_database_connections{pool=\"write\",state=\"idle\"} 1\n",
        "switchback_aws_trouble{region=\"eu-central-1\"} 0\n",
        "switchback_aws_last_look_age_seconds{region=\"eu-central-1\"} 7\n",
        "switchback_panics_total{task=\"watching\"} 0\n",
        "switchback_http_request_duration_seconds_bucket{method=\"GET\",route=\"/api/v1/me\",status=\"401\",le=\"0.005\"} ",
        "switchback_http_request_duration_seconds_count{method=\"GET\",route=\"/readyz\",status=\"200\"} ",
        "process_resident_memory_bytes ",
        "process_open_fds ",
    ] {
        assert!(metrics.body.contains(line), "{line} in\n{}", metrics.body);
    }
    assert!(!metrics.body.contains("switchback_gate_fuse_seconds_left"));
    // Every family is described once and typed once, as the format asks.
    let mut described = BTreeSet::new();
    for line in metrics.body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert!(
                described.insert(rest.split(' ').next().unwrap_or_default()),
                "{line}"
            );
        }
    }

    world.work.look_age.store(301, Ordering::Relaxed);
    let stale = world.send("GET", "/readyz", &[], "").await;
    assert_eq!(stale.status, 503);
    assert_eq!(
        stale.json()["reasons"],
        json!([
            "The last look at eu-central-1 is older than 300 s, and nothing is known to be wrong: the watcher stands still."
        ])
    );
    // With a known reason, another server would be no better off.
    *world.work.trouble.lock().unwrap() = Some("ecs:ListTasks: NoAnswer: x".to_string());
    let failing = world.send("GET", "/readyz", &[], "").await;
    assert_eq!(failing.status, 200);
    assert_eq!(
        failing.json()["warnings"],
        json!(["The last look at eu-central-1 failed."])
    );
    world.deps.stop.cancel();
    let ending = world.send("GET", "/readyz", &[], "").await;
    assert_eq!(
        (ending.status, &ending.json()["reasons"]),
        (503, &json!(["The server is ending."]))
    );
    world.deps.store.close().await;
    let unready = world.send("GET", "/readyz", &[], "").await;
    assert_eq!(
        (unready.status, &unready.json()["database"]),
        (503, &json!("does not answer"))
    );
    let metrics = world.send("GET", "/metrics", &[], "").await;
    assert_eq!(metrics.status, 200);
    for line in ["switchback_database_up 0\n", "switchback_ready 0\n"] {
        assert!(metrics.body.contains(line), "{line} in\n{}", metrics.body);
    }
    assert_eq!(world.send("GET", "/healthz", &[], "").await.status, 200);
}

#[tokio::test]
async fn every_answer_has_its_trace_and_goes_on_with_the_callers() {
    let world = world().await;
    let first = world.send("GET", "/api/v1/nothing", &[], "").await;
    let second = world.send("GET", "/api/v1/nothing", &[], "").await;
    let id = |answer: &Answer| answer.headers["trace-id"].to_str().unwrap().to_string();
    assert_eq!(id(&first).len(), 32);
    assert_ne!(id(&first), id(&second));
    assert_eq!(first.json()["trace_id"], json!(id(&first)));

    let theirs = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{theirs}-b7ad6b7169203331-01");
    let called = world
        .send("GET", "/healthz", &[("traceparent", &parent)], "")
        .await;
    assert_eq!(id(&called), theirs);
    for nonsense in [
        "",
        "00-0-0-00",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    ] {
        let called = world
            .send("GET", "/healthz", &[("traceparent", nonsense)], "")
            .await;
        assert_eq!(id(&called).len(), 32, "{nonsense}");
        assert!(!id(&called).trim_matches('0').is_empty(), "{nonsense}");
    }
}

#[tokio::test]
async fn a_panic_in_a_request_is_a_problem_with_its_trace_and_is_counted() {
    let world = world().await;
    // As every start does; before it nothing is counted.
    telemetry::numbers();
    let router = Router::new()
        .route("/api/v1/panics", axum::routing::get(panics))
        .route("/panics", axum::routing::get(panics))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(
            world.deps.clone(),
            front::finish,
        ));
    let ask = async |path: &str| {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 100_000).await.unwrap();
        (head, String::from_utf8(body.to_vec()).unwrap())
    };
    let (head, body) = ask("/api/v1/panics").await;
    assert_eq!(head.status, 500);
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document["code"], "internal");
    assert_eq!(
        document["trace_id"],
        json!(head.headers["trace-id"].to_str().unwrap())
    );
    assert!(!body.contains("on purpose"), "{body}");
    let (head, body) = ask("/panics").await;
    assert!(
        body.contains(head.headers["trace-id"].to_str().unwrap()),
        "{body}"
    );
    let metrics = world.send("GET", "/metrics", &[], "").await;
    let counted = metrics
        .body
        .lines()
        .find_map(|line| line.strip_prefix("switchback_panics_total{task=\"request\"} "));
    assert!(counted.unwrap().parse::<u64>().unwrap() >= 2, "{counted:?}");
}

async fn panics() -> StatusCode {
    panic!("on purpose")
}
