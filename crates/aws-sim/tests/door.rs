//! The door over real sockets: protocols, refusals, faults, `/_sim` and the relay.

use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value as Json, json};
use switchback_aws_sim::door::faults::{Fault, FaultKind};
use switchback_aws_sim::door::{Options, Running, ServeError, serve};

/// 21 November 2026, 10:00 UTC.
const START_MS: i64 = 1_795_255_200_000;

const SIGNED: (&str, &str) = (
    "authorization",
    "AWS4-HMAC-SHA256 Credential=AKIDTEST/20261121/eu-central-1/codedeploy/aws4_request, \
     SignedHeaders=host, Signature=00",
);
const JSON_1_1: (&str, &str) = ("content-type", "application/x-amz-json-1.1");

fn options() -> Options {
    Options {
        listen: "127.0.0.1:0".parse().expect("an address"),
        speed: 0.0,
        seed: 7,
        empty: true,
        relay_url: None,
        relay_secret: None,
        start_ms: START_MS,
        progress: |_| {},
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// `None`: the connection was closed without an answer.
async fn send(
    running: &Running,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Answer> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut request = Request::builder()
        .method(method)
        .uri(running.endpoint() + path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(Bytes::from(body.to_string())))
        .expect("a request");
    let response = client.request(request).await.ok()?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    Some(Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

async fn codedeploy(running: &Running, operation: &str, parameters: Json) -> Option<Answer> {
    let target = format!("CodeDeploy_20141006.{operation}");
    let headers = [SIGNED, JSON_1_1, ("x-amz-target", &*target)];
    send(
        running,
        Method::POST,
        "/",
        &headers,
        &parameters.to_string(),
    )
    .await
}

async fn get(running: &Running, path: &str) -> Answer {
    send(running, Method::GET, path, &[], "")
        .await
        .expect("an answer")
}

async fn post(running: &Running, path: &str, body: &str) -> Answer {
    send(running, Method::POST, path, &[], body)
        .await
        .expect("an answer")
}

fn fault(operation: &str, kind: FaultKind) -> Fault {
    Fault {
        service: Some("codedeploy".to_string()),
        operation: Some(operation.to_string()),
        account: None,
        fault: kind,
        every: None,
        times: None,
        delay_ms: None,
        stale_s: None,
    }
}

fn application(name: &str) -> Json {
    json!({ "applicationName": name, "computePlatform": "ECS" })
}

#[tokio::test]
async fn answers_carry_simulated_time_and_ids_that_a_seed_decides() {
    let mut ids = Vec::new();
    for _ in 0..2 {
        let running = serve(options()).await.expect("a simulation");
        let answer = codedeploy(&running, "ListApplications", json!({}))
            .await
            .expect("an answer");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["date"], "Sat, 21 Nov 2026 10:00:00 GMT");
        assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.1");
        ids.push(
            answer.headers["x-amzn-requestid"]
                .to_str()
                .expect("text")
                .to_string(),
        );
        running.shutdown().await;
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[0].len(), 36);
}

#[tokio::test]
async fn refusals_before_the_account_are_told_in_the_protocol_of_the_request() {
    let running = serve(options()).await.expect("a simulation");
    let target = ("x-amz-target", "CodeDeploy_20141006.ListApplications");
    let kind = |answer: &Answer| {
        answer.json()["__type"]
            .as_str()
            .expect("a type")
            .to_string()
    };

    let unsigned = send(&running, Method::POST, "/", &[JSON_1_1, target], "{}").await;
    assert_eq!(
        kind(&unsigned.expect("an answer")),
        "MissingAuthenticationTokenException"
    );
    let broken = send(
        &running,
        Method::POST,
        "/",
        &[SIGNED, JSON_1_1, target],
        "{",
    )
    .await;
    let broken = broken.expect("an answer");
    assert_eq!(
        (broken.status.as_u16(), &*kind(&broken)),
        (400, "SerializationException")
    );
    let unknown = codedeploy(&running, "MakeCoffee", json!({}))
        .await
        .expect("an answer");
    assert_eq!(
        (unknown.status.as_u16(), &*kind(&unknown)),
        (400, "UnknownOperationException")
    );
    assert!(unknown.headers.contains_key("x-amzn-requestid"));

    let form = ("content-type", "application/x-www-form-urlencoded");
    let query = "Action=DescribeRules&Version=2015-12-01";
    let unsigned = send(&running, Method::POST, "/", &[form], query)
        .await
        .expect("an answer");
    assert_eq!(unsigned.status, 403);
    assert!(
        unsigned
            .body
            .contains("<Code>MissingAuthenticationToken</Code>"),
        "{}",
        unsigned.body
    );
    let query = "Action=MakeCoffee&Version=2015-12-01";
    let unknown = send(&running, Method::POST, "/", &[form, SIGNED], query).await;
    let unknown = unknown.expect("an answer");
    assert!(
        unknown.body.contains("<Code>InvalidAction</Code>"),
        "{}",
        unknown.body
    );

    let large = "x".repeat(9 * 1024 * 1024);
    let large = send(
        &running,
        Method::POST,
        "/",
        &[SIGNED, JSON_1_1, target],
        &large,
    )
    .await;
    // The answer may be lost while the client still writes; it must never be accepted.
    assert!(large.is_none_or(|answer| answer.status == 413));
    assert_eq!(get(&running, "/hello").await.status, 404);
    running.shutdown().await;
}

#[tokio::test]
async fn the_journal_holds_every_change_and_no_reading() {
    let running = serve(options()).await.expect("a simulation");
    codedeploy(&running, "CreateApplication", application("one"))
        .await
        .expect("an answer");
    codedeploy(
        &running,
        "GetApplication",
        json!({ "applicationName": "one" }),
    )
    .await;
    let again = codedeploy(&running, "CreateApplication", application("one")).await;
    let again = again.expect("an answer");
    assert_eq!(again.json()["__type"], "ApplicationAlreadyExistsException");

    let journal = get(&running, "/_sim/journal").await.json();
    let entries = journal.as_array().expect("a list");
    assert_eq!(entries.len(), 2, "{journal}");
    assert_eq!(entries[0]["at"], "2026-11-21T10:00:00.000Z");
    assert_eq!(entries[0]["service"], "codedeploy");
    assert_eq!(entries[0]["operation"], "CreateApplication");
    assert_eq!(entries[0]["parameters"], application("one"));
    assert_eq!(entries[0]["error"], Json::Null);
    assert!(
        entries[0]
            .as_object()
            .expect("an entry")
            .contains_key("error")
    );
    assert_eq!(entries[1]["error"], "ApplicationAlreadyExistsException");
    assert_eq!(
        entries[1]["request_id"],
        again.headers["x-amzn-requestid"].to_str().expect("text")
    );
    running.shutdown().await;
}

#[tokio::test]
async fn faults_strike_before_or_after_the_effect() {
    let running = serve(options()).await.expect("a simulation");
    let exists = async |name: &str| {
        let answer = codedeploy(
            &running,
            "GetApplication",
            json!({ "applicationName": name }),
        )
        .await;
        answer.expect("an answer").status == 200
    };
    let cases = [
        (FaultKind::Throttle, Some(400), false),
        (FaultKind::ErrorBefore, Some(500), false),
        (FaultKind::ErrorAfter, Some(500), true),
        (FaultKind::ResponseLost, None, true),
        (FaultKind::ConnectionCut, None, false),
        (FaultKind::Slow, Some(200), true),
    ];
    for (kind, status, done) in cases {
        let name = format!("app-{kind:?}");
        let delay_ms = (kind == FaultKind::Slow).then_some(20);
        let rule = Fault {
            times: Some(1),
            delay_ms,
            ..fault("CreateApplication", kind)
        };
        running.add_fault(rule).expect("a lawful fault");
        let answer = codedeploy(&running, "CreateApplication", application(&name)).await;
        // A client may send a lost request again by itself; the fault struck once all the same.
        if let Some(status) = status {
            assert_eq!(
                answer.expect("an answer").status.as_u16(),
                status,
                "{kind:?}"
            );
        } else {
            assert!(answer.is_none(), "{kind:?}");
        }
        assert_eq!(exists(&name).await, done, "{kind:?}");
        assert_eq!(running.faults()[0].fired, 1, "{kind:?}");
        let journal = running.journal();
        let entry = journal.last().expect("an entry");
        assert_eq!(
            (entry.error.is_none(), entry.fault),
            (done, Some(kind)),
            "{entry:?}"
        );
        assert_eq!(running.remove_faults(None), 1);
    }
    running.shutdown().await;
}

#[tokio::test]
async fn a_stale_read_is_what_was_read_before() {
    let running = serve(options()).await.expect("a simulation");
    let rule = Fault {
        stale_s: Some(30),
        ..fault("ListApplications", FaultKind::Stale)
    };
    running.add_fault(rule).expect("a lawful fault");
    let count = async || {
        let answer = codedeploy(&running, "ListApplications", json!({}))
            .await
            .expect("an answer");
        answer.json()["applications"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(count().await, 0);
    codedeploy(&running, "CreateApplication", application("new"))
        .await
        .expect("an answer");
    assert_eq!(count().await, 0);
    running.advance(29.0).expect("a lawful push");
    assert_eq!(count().await, 0);
    running.advance(2.0).expect("a lawful push");
    assert_eq!(count().await, 1);
    running.shutdown().await;
}

#[tokio::test]
async fn the_clock_is_read_pushed_and_sped_up() {
    let running = serve(options()).await.expect("a simulation");
    let clock = get(&running, "/_sim/clock").await.json();
    assert_eq!(
        clock,
        json!({ "now": "2026-11-21T10:00:00.000Z", "speed": 0.0 })
    );
    let clock = post(&running, "/_sim/clock", r#"{"advance_s": 90}"#)
        .await
        .json();
    assert_eq!(clock["now"], "2026-11-21T10:01:30.000Z");
    let clock = post(&running, "/_sim/clock", r#"{"speed": 3600}"#)
        .await
        .json();
    assert_eq!(clock["speed"], 3600.0);
    let begun = running.now_ms();
    let moved = async || {
        while running.now_ms() < begun + 60_000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), moved())
        .await
        .expect("time passes");
    for wrong in [
        "",
        "{}",
        "[]",
        "{\"advance_s\": -1}",
        "{\"advance_s\": \"ten\"}",
        "{\"speed\": -1}",
        "{\"speed\": 1e9}",
        "{\"advance_s\": 1e12}",
        "{\"advance_s\": 1, \"speed\": 1}",
        "{\"spede\": 1}",
    ] {
        let answer = post(&running, "/_sim/clock", wrong).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(
            answer.json()["error"]
                .as_str()
                .is_some_and(|text| text.len() > 10),
            "{wrong}"
        );
    }
    running.shutdown().await;
}

#[tokio::test]
async fn faults_and_hooks_are_steered_over_http() {
    let running = serve(options()).await.expect("a simulation");
    let rule = r#"{"service": "deploy", "operation": "ListApplications", "fault": "throttle", "every": 2}"#;
    let added = post(&running, "/_sim/faults", rule).await.json();
    assert_eq!(
        (&added["id"], &added["service"]),
        (&json!(1), &json!("codedeploy"))
    );
    let mut codes = Vec::new();
    for _ in 0..4 {
        let answer = codedeploy(&running, "ListApplications", json!({}))
            .await
            .expect("an answer");
        codes.push(answer.status.as_u16());
    }
    assert_eq!(codes, [200, 400, 200, 400]);
    let listed = get(&running, "/_sim/faults").await.json();
    assert_eq!(
        (&listed[0]["matched"], &listed[0]["fired"]),
        (&json!(4), &json!(2))
    );

    let two = r#"[{"fault": "slow", "delay_ms": 1}, {"fault": "throttle", "service": "lambda"}]"#;
    assert_eq!(post(&running, "/_sim/faults", two).await.status, 400);
    assert_eq!(
        get(&running, "/_sim/faults")
            .await
            .json()
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    for wrong in [
        "{}",
        "{\"fault\": \"explode\"}",
        "{\"fault\": \"slow\", \"evry\": 1}",
        "7",
    ] {
        assert_eq!(
            post(&running, "/_sim/faults", wrong).await.status,
            400,
            "{wrong}"
        );
    }
    let removed = send(&running, Method::DELETE, "/_sim/faults?id=1", &[], "").await;
    assert_eq!(removed.expect("an answer").json(), json!({ "removed": 1 }));

    let lawful = r#"{"function": "smoke-test", "behaves": "succeed-after-30"}"#;
    assert_eq!(post(&running, "/_sim/hooks", lawful).await.status, 200);
    let wrong = r#"{"function": "smoke-test", "behaves": "dance"}"#;
    assert_eq!(post(&running, "/_sim/hooks", wrong).await.status, 400);
    assert_eq!(
        get(&running, "/_sim/state").await.json()["now"],
        "2026-11-21T10:00:00.000Z"
    );
    assert_eq!(get(&running, "/_sim/nothing").await.status, 404);
    running.shutdown().await;
}

#[tokio::test]
async fn a_role_in_another_account_makes_its_holder_a_caller_there() {
    let running = serve(options()).await.expect("a simulation");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let assume = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=review\
                  &RoleArn=arn%3Aaws%3Aiam%3A%3A210987654321%3Arole%2Fdeploy";
    let answer = send(&running, Method::POST, "/", &[form, SIGNED], assume).await;
    let answer = answer.expect("an answer").body;
    let key = answer
        .split("<AccessKeyId>")
        .nth(1)
        .and_then(|rest| rest.split('<').next());
    let key = key.unwrap_or_else(|| panic!("no key in {answer}"));
    let scope = format!("AWS4-HMAC-SHA256 Credential={key}/20261121/eu-west-1/sts/aws4_request");
    let who = "Action=GetCallerIdentity&Version=2011-06-15";
    let headers = [form, ("authorization", &*scope)];
    let answer = send(&running, Method::POST, "/", &headers, who)
        .await
        .expect("an answer")
        .body;
    assert!(
        answer.contains("<Account>210987654321</Account>"),
        "{answer}"
    );
    assert!(
        answer.contains("arn:aws:sts::210987654321:assumed-role/deploy/review"),
        "{answer}"
    );
    running.shutdown().await;
}

#[tokio::test]
async fn options_that_cannot_work_are_refused() {
    let speed = serve(Options {
        speed: f64::NAN,
        ..options()
    })
    .await;
    assert!(matches!(speed, Err(ServeError::Speed(_))));
    let relay = Some("https://relay.example".to_string());
    let relay = serve(Options {
        relay_url: relay,
        ..options()
    })
    .await;
    assert!(matches!(relay, Err(ServeError::RelayUrl(_))));
    let first = serve(options()).await.expect("a simulation");
    let second = serve(Options {
        listen: first.address,
        ..options()
    })
    .await;
    assert!(matches!(second, Err(ServeError::Listen { .. })));
    first.shutdown().await;
}
