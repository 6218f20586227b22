//! What operators rely on: an orderly end, a log and traces that lead to what happened, copies that work.

use std::convert::Infallible;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;

use http::Method;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use serde_json::json;

use crate::team::AT_ONCE;
use crate::team::NO_HOOK;
use crate::wait::SOON;
use crate::wait::until;
use crate::world::World;

/// Exit code, standard output and standard error.
fn run(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_string();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Asks for a rollback of `web` to this revision; gives the operation's id.
async fn rolls_back(world: &World, target: &str) -> String {
    let plan = world
        .api
        .post("/services/web/rollbacks/plan", &json!({ "target": target }))
        .await
        .is(200);
    let command = json!({ "target": target, "reason": "INC-10", "plan_digest": plan["digest"] });
    let operation = world
        .api
        .post("/services/web/rollbacks", &command)
        .await
        .is(202);
    operation["id"].as_str().unwrap_or_default().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_to_end_loses_nothing_that_is_in_the_air() {
    let mut world = World::start().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, AT_ONCE, NO_HOOK, "release 2").await;
    assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");

    let stream = tokio::spawn({
        let api = world.api.clone();
        async move { api.get("/events").await }
    });
    until("the stream is open", SOON, async || {
        let metrics = world.api.send(Method::GET, "/metrics", &[], "").await;
        let open = metrics.body.contains("switchback_event_streams 1\n");
        open.then_some(()).ok_or(metrics.body)
    })
    .await;
    let fault = json!({
        "service": "codedeploy", "operation": "CreateDeployment", "fault": "slow", "delay_ms": 4000, "times": 1,
    });
    world.account.tell("faults", fault).await;
    let id = rolls_back(&world, &team.first_revision).await;
    until("AWS has the call", SOON, async || {
        let calls = world.calls_of_the_product().await;
        if calls.len() == 1 {
            Ok(())
        } else {
            Err(format!("{calls:?}"))
        }
    })
    .await;
    assert_eq!(world.terminate_server().await, Some(0));

    // The stream ended with a word and a hint when to come back.
    let body = stream.await.expect("the stream is read").body;
    let farewell = body
        .rsplit(": the server ends\n")
        .next()
        .unwrap_or_default();
    assert!(farewell.starts_with("retry: "), "{body}");
    // The answer was awaited and recorded: nobody has to ask AWS what became of the call.
    let log = world.log();
    assert!(log.contains("AWS was told"), "{log}");
    world.start_server().await;
    let audit = world.api.items(&format!("/audit?subject={id}")).await;
    let told: Vec<String> = audit.iter().map(Value::to_string).collect();
    assert!(
        told.iter().any(|entry| entry.contains("AWS request")),
        "{told:?}"
    );
    assert_eq!(world.operation_ends(&id).await["state"], "done");
    world.finish(&["CreateDeployment"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_taken_while_the_server_works_serves_after_it_was_put_back() {
    let mut world = World::start_on_sqlite().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, AT_ONCE, NO_HOOK, "release 2").await;
    world.recorded(&aws_id).await;
    let copy = world.file("copy.db");
    let copy = copy.to_str().expect("a path in UTF-8");
    let backup = || run(world.command(&["backup", "--to", copy, "--json"]));
    let (code, out, err) = backup();
    assert_eq!(code, Some(0), "{err}");
    let copied: Value = serde_json::from_str(&out).expect("the result is JSON");
    assert!(
        copied["deployments"].as_i64() > Some(0) && copied["audit_entries"].as_i64() > Some(0),
        "{copied}"
    );
    let (code, _, err) = backup();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("copy.db exists already"), "{err}");
    assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");

    let restore = |arguments: &[&str]| {
        let all = [&["restore", "--from", copy], arguments].concat();
        run(world.command(&all))
    };
    let (code, _, err) = restore(&[]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("--replace"), "{err}");
    let (code, _, err) = restore(&["--replace"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("A process has"), "{err}");

    assert_eq!(world.terminate_server().await, Some(0));
    let (code, out, err) = run(world.command(&["restore", "--from", copy, "--replace"]));
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("switchback.db.replaced-1"), "{out}");
    world.start_server().await;
    assert!(world.api.audit_length().await >= copied["audit_entries"].as_i64().unwrap_or_default());
    // What happened since the copy is read from AWS again.
    assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
    world.finish(&[]).await;
}

/// What a collector was sent: path, content type and body of each request.
type Sent = Arc<Mutex<Vec<(String, String, Bytes)>>>;

/// An OpenTelemetry collector that keeps what it is sent; its address.
async fn collector() -> (String, Sent) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("an address");
    let sent = Sent::default();
    let keeping = sent.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let keeping = keeping.clone();
            let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let keeping = keeping.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.map(|body| body.to_bytes());
                    let kind = head.headers.get("content-type");
                    keeping.lock().expect("no panic").push((
                        head.uri.path().to_string(),
                        kind.and_then(|kind| kind.to_str().ok())
                            .unwrap_or_default()
                            .to_string(),
                        body.unwrap_or_default(),
                    ));
                    Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::new())))
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (format!("http://{address}"), sent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_found_again_in_the_log_and_in_its_trace() {
    let (endpoint, sent) = collector().await;
    let mut world = World::start_without_server().await;
    for (name, value) in [
        ("SWITCHBACK_LOG", "json"),
        ("RUST_LOG", "warn,switchback=debug"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
    ] {
        world.variables.push((name.to_string(), value.to_string()));
    }
    world.start_server().await;
    let theirs = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{theirs}-b7ad6b7169203331-01");
    let answer = world
        .api
        .post_with(
            "/gates/none/decisions",
            &json!({}),
            &[("traceparent", &parent)],
        )
        .await;
    assert_eq!(answer.header("trace-id"), theirs);
    let document: Value = serde_json::from_str(&answer.body).expect("a problem document");
    assert_eq!(document["trace_id"], theirs, "{document}");

    let line = until("the line is written", SOON, async || {
        let log = world.log();
        log.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["message"] == "answered" && line.to_string().contains(theirs))
            .ok_or(log)
    })
    .await;
    assert_eq!(line["level"], "INFO", "{line}");
    assert_eq!(line["status"], answer.status, "{line}");
    assert_eq!(line["spans"][0]["trace_id"], theirs, "{line}");
    assert_eq!(
        line["spans"][0]["http.route"], "/api/v1/gates/{id}/decisions",
        "{line}"
    );

    let id = hex::decode(theirs).expect("hex digits");
    let holds = |body: &Bytes, part: &[u8]| body.windows(part.len()).any(|window| window == part);
    until("the spans arrive", SOON, async || {
        let sent = sent.lock().expect("no panic");
        let all: [&[u8]; 5] = [
            &id,
            b"POST /api/v1/gates/{id}/decisions",
            b"look",
            b"sts:GetCallerIdentity",
            b"aws.request_id",
        ];
        let missing: Vec<String> = all
            .iter()
            .filter(|part| !sent.iter().any(|(_, _, body)| holds(body, part)))
            .map(|part| String::from_utf8_lossy(part).to_string())
            .collect();
        let fits = sent
            .iter()
            .all(|(path, kind, _)| path == "/v1/traces" && kind == "application/x-protobuf");
        assert!(fits, "{sent:?}");
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{missing:?} of {} requests", sent.len()))
        }
    })
    .await;
    let metrics = world.api.send(Method::GET, "/metrics", &[], "").await.body;
    for part in [
        "switchback_aws_call_duration_seconds_count{region=\"eu-central-1\",operation=\"sts:GetCallerIdentity\",outcome=\"ok\"} ",
        "switchback_look_duration_seconds_count{region=\"eu-central-1\",outcome=\"ok\"} ",
    ] {
        assert!(metrics.contains(part), "{part} in\n{metrics}");
    }
    // No secret of the server's went anywhere.
    let secrets = [
        crate::world::TOKEN,
        crate::world::PASSWORD,
        crate::world::RELAY_SECRET,
    ];
    let log = world.log();
    for secret in secrets {
        assert!(!log.contains(secret), "a secret is in the log");
        let told = sent.lock().expect("no panic");
        assert!(
            !told
                .iter()
                .any(|(_, _, body)| holds(body, secret.as_bytes()))
        );
    }
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_at_the_start_is_told_all_at_once() {
    let world = World::start().await;
    let check = |pairs: &[(&str, &str)]| {
        let mut command = world.command(&["serve", "--check"]);
        command.envs(pairs.iter().copied());
        run(command)
    };
    let (code, _, err) = check(&[]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("another program listens on"), "{err}");
    let (code, _, err) = check(&[("SWITCHBACK_LISTEN", "127.0.0.1:0")]);
    assert_eq!(code, Some(0), "{err}");
    let (code, _, err) = check(&[
        ("SWITCHBACK_LISTEN", "127.0.0.1:0"),
        ("SWITCHBACK_SITE", "/nonexistent/site"),
        ("SWITCHBACK_DATABASE_URL", "sqlite:/nonexistent/folder/x.db"),
    ]);
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains("/nonexistent/site") && err.contains("/nonexistent/folder"),
        "{err}"
    );
    let (code, _, err) = check(&[
        ("SWITCHBACK_LISTEN", "here"),
        ("SWITCHBACK_LOG", "loud"),
        (
            "SWITCHBACK_DATABASE_URL",
            "postgres://desk:hunter2@db:port/x",
        ),
        ("SWITCHBACK_BOOTSTRAP_TOKEN_FILE", "/nonexistent/token"),
    ]);
    assert_eq!(code, Some(2), "{err}");
    for name in [
        "SWITCHBACK_LISTEN",
        "SWITCHBACK_LOG",
        "SWITCHBACK_DATABASE_URL",
        "SWITCHBACK_BOOTSTRAP_TOKEN_FILE",
    ] {
        assert!(err.contains(name), "{name} in {err}");
    }
    assert!(!err.contains("hunter2"), "{err}");
    world.finish(&[]).await;
}
