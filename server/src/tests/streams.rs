//! Hooks and the event stream.

use super::*;

#[tokio::test]
async fn hooks_are_taken_once_and_only_when_signed() {
    let world = world().await;
    let body = r#"{"DeploymentId":"d-1","LifecycleEventHookExecutionId":"e-1"}"#;
    let unknown = body.replace("d-1", "d-UNKNOWN");
    let sign =
        |at: Moment, body: &str| signature::sign(RELAY_SECRET.as_bytes(), at, body.as_bytes());
    let post = async |header: &str, body: &str| {
        let headers = [
            ("content-type", "application/json"),
            ("switchback-signature", header),
        ];
        world
            .send(
                "POST",
                "/api/v1/hooks/codedeploy",
                &headers,
                body.to_string(),
            )
            .await
    };
    let good = sign(NOW, body);
    let answer = post(&good, body).await;
    assert_eq!(
        (answer.status, answer.json()),
        (202, json!({ "state": "gate", "gate_id": "gate-1" }))
    );
    for (header, body, expected) in [
        (good.clone(), body, (409, "signature_repeated")),
        (sign(NOW, &unknown), &unknown, (404, "deployment_unknown")),
        (sign(NOW, "other"), body, (401, "signature_wrong")),
        (
            signature::sign(b"other secret", NOW, body.as_bytes()),
            body,
            (401, "signature_wrong"),
        ),
        (
            sign(NOW.plus_seconds(-301), body),
            body,
            (401, "signature_too_old"),
        ),
        (
            sign(NOW.plus_seconds(301), body),
            body,
            (401, "signature_too_old"),
        ),
        (String::new(), body, (401, "signature_malformed")),
        (
            "t=now,v1=zz".to_string(),
            body,
            (401, "signature_malformed"),
        ),
        (sign(NOW, "{"), "{", (400, "malformed_json")),
        (
            sign(NOW, r#"{"DeploymentId":"d-1"}"#),
            r#"{"DeploymentId":"d-1"}"#,
            (422, "invalid_body"),
        ),
    ] {
        let answer = post(&header, body).await;
        assert_eq!(
            answer.problem(),
            (expected.0, expected.1.to_string()),
            "{body}"
        );
    }
    let large = format!("{body}{}", " ".repeat(hooks::LARGEST_MESSAGE));
    assert_eq!(
        post(&sign(NOW, &large), &large).await.problem(),
        (413, "body_too_large".to_string())
    );
    let extra = body.replace('}', r#","x":1}"#);
    assert_eq!(
        post(&sign(NOW, &extra), &extra).await.problem(),
        (422, "invalid_body".to_string())
    );
    assert_eq!(
        world.work.hooks.lock().unwrap().len(),
        2,
        "only well-signed, well-formed messages got through"
    );

    assert_eq!(
        world.work.refreshes.load(Ordering::SeqCst),
        4,
        "AWS is asked for its time by those only who know the secret"
    );

    let without = world_with(None, None).await;
    let headers = [
        ("content-type", "application/json"),
        ("switchback-signature", &*good),
    ];
    let answer = without
        .send("POST", "/api/v1/hooks/codedeploy", &headers, body)
        .await;
    assert_eq!(answer.problem(), (503, "relay_secret_missing".to_string()));
}

#[tokio::test]
async fn the_function_of_a_hook_of_ecs_is_answered_with_what_it_returns() {
    let world = world().await;
    let arn =
        "arn:aws:ecs:eu-central-1:123456789012:service-deployment/prod/web/0123456789abcdefghijk";
    let post = async |run: &Value| {
        let body = run.to_string();
        let signature = signature::sign(RELAY_SECRET.as_bytes(), NOW, body.as_bytes());
        let headers = [
            ("content-type", "application/json"),
            ("switchback-signature", &*signature),
        ];
        world
            .send("POST", "/api/v1/hooks/codedeploy", &headers, body)
            .await
    };
    let run = |stage: &str, arn: &str, execution: &str| {
        json!({
            "executionId": execution, "lifecycleStage": stage, "resourceArn": arn, "hookDetails": {"team": "web"},
            "executionDetails": { "testTrafficWeights": {}, "productionTrafficWeights": {} },
        })
    };
    for (stage, expected) in [
        ("PRE_SCALE_UP", json!({ "hookStatus": "SUCCEEDED" })),
        ("POST_SCALE_UP", json!({ "hookStatus": "FAILED" })),
        (
            "A_STAGE_OF_TOMORROW",
            json!({ "hookStatus": "IN_PROGRESS", "callBackDelay": 10 }),
        ),
    ] {
        let answer = post(&run(stage, arn, "e-1")).await;
        assert_eq!((answer.status, answer.json()), (200, expected));
    }
    let unknown = post(&run("RECONCILE_SERVICE", arn, "e-1")).await;
    assert_eq!(unknown.problem(), (404, "deployment_unknown".to_string()));
    let heard = world.work.hooks.lock().unwrap().len();
    for wrong in [
        run("PRE_SCALE_UP", "d-ABCDEFGHI", "e-1"),
        run("PRE_SCALE_UP", arn, ""),
        run("", arn, "e-1"),
        run("PRE_SCALE_UP", arn, &"e".repeat(201)),
        json!({ "lifecycleStage": "PRE_SCALE_UP" }),
    ] {
        let answer = post(&wrong).await;
        assert_eq!(
            answer.problem(),
            (422, "invalid_body".to_string()),
            "{wrong}"
        );
    }
    assert_eq!(world.work.hooks.lock().unwrap().len(), heard);
}

/// Posts a hook that was signed at `signed` by the account's clock.
async fn hook(world: &World, signed: Moment) -> Answer {
    let body = r#"{"DeploymentId":"d-1","LifecycleEventHookExecutionId":"e-1"}"#;
    let signature = signature::sign(RELAY_SECRET.as_bytes(), signed, body.as_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("switchback-signature", &*signature),
    ];
    world
        .send("POST", "/api/v1/hooks/codedeploy", &headers, body)
        .await
}

/// The account's clock is hours from this machine's, as a simulated account's is.
const THERE: Moment = NOW.plus_seconds(6 * 3600);

#[tokio::test]
async fn a_hook_right_after_the_start_is_held_against_the_accounts_clock() {
    let world = world().await;
    let set = |account: Account| *world.work.account.lock().unwrap() = account;
    let unheard = || Account {
        hears_aws: false,
        ..Account::default()
    };

    // AWS does not answer: not a word of refusal, which the relay would take as the last one. Also when
    // the signature fits this machine's time, for that proves nothing.
    set(unheard());
    for signed in [THERE, NOW] {
        let answer = hook(&world, signed).await;
        assert_eq!(answer.problem(), (503, "aws_not_heard".to_string()));
        assert_eq!(answer.header(header::RETRY_AFTER), "5");
    }
    assert_eq!(world.work.refreshes.load(Ordering::SeqCst), 2);
    assert!(world.work.hooks.lock().unwrap().is_empty());

    // It answers when it is asked.
    set(Account {
        comes: Some((3, THERE)),
        ..unheard()
    });
    assert_eq!(hook(&world, THERE).await.status, 202);
    assert_eq!(world.work.refreshes.load(Ordering::SeqCst), 3);

    // Once it has answered, nothing is asked for a signature that fits.
    assert_eq!(hook(&world, THERE.plus_seconds(-300)).await.status, 202);
    assert_eq!(world.work.refreshes.load(Ordering::SeqCst), 3);
    // This machine's time never was the account's.
    set(unheard());
    world.work.account.lock().unwrap().comes = Some((4, THERE));
    assert_eq!(
        hook(&world, NOW).await.problem(),
        (401, "signature_too_old".to_string())
    );
}

#[tokio::test]
async fn nothing_is_too_old_by_a_clock_that_was_only_carried_forward() {
    let world = world().await;
    // A jump of the account's clock is believed with the second answer.
    world.work.account.lock().unwrap().comes = Some((2, THERE));
    assert_eq!(hook(&world, THERE).await.status, 202);
    assert_eq!(world.work.refreshes.load(Ordering::SeqCst), 2);
    assert_eq!(
        hook(&world, NOW).await.problem(),
        (401, "signature_too_old".to_string())
    );
    assert_eq!(world.work.refreshes.load(Ordering::SeqCst), 4);
}

struct Listening {
    stream: axum::body::BodyDataStream,
    text: String,
}

impl World {
    async fn listen(&self, headers: &[(&str, &str)]) -> Listening {
        let bearer = format!("Bearer {TOKEN}");
        let by_cookie = headers.iter().any(|(name, _)| *name == "cookie");
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .copied()
            .chain([("authorization", &*bearer)])
            // A token goes before a cookie.
            .filter(|(name, _)| *name != "authorization" || !by_cookie)
            .collect();
        let response = self.response("GET", "/api/v1/events", &headers, "").await;
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/event-stream"
        );
        Listening {
            stream: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    async fn change(&self, subject: &str) -> i64 {
        let mut tx = self.deps.store.begin().await.unwrap();
        let sequence = tx.change_append("gate", subject, None, NOW).await.unwrap();
        tx.commit().await.unwrap();
        sequence
    }

    fn run_feed(&self) {
        let deps = self.deps.clone();
        tokio::spawn(async move {
            deps.feed
                .run(
                    deps.store.clone(),
                    deps.consoles.clone(),
                    || deps.now(),
                    deps.stop.clone(),
                )
                .await
        });
    }
}

impl Listening {
    /// Reads until the text is there; false when the stream ends before.
    async fn until(&mut self, wanted: &str) -> bool {
        let reading = async {
            while !self.text.contains(wanted) {
                match self.stream.next().await {
                    Some(part) => self
                        .text
                        .push_str(std::str::from_utf8(&part.unwrap()).unwrap()),
                    None => return false,
                }
            }
            true
        };
        tokio::time::timeout(BOUND, reading)
            .await
            .expect("something in time")
    }
}

#[tokio::test]
async fn changes_are_heard_and_a_broken_stream_is_resumed() {
    let world = world().await;
    world.run_feed();
    let before = world.change("gate-0").await;
    let mut first = world.listen(&[]).await;
    assert!(
        first
            .until(&format!(
                "id: {before}\nevent: clock\ndata: {{\"now\":\"{NOW}\"}}\n\n"
            ))
            .await
    );
    let one = world.change("gate-1").await;
    assert!(
        first
            .until(&format!("event: change\nid: {one}\ndata: {{"))
            .await
    );
    assert!(first.until("\"subject\":\"gate-1\"").await);
    assert!(
        !first.text.contains("gate-0"),
        "what was before is not repeated: {}",
        first.text
    );
    drop(first);
    let two = world.change("gate-2").await;
    let three = world.change("gate-3").await;
    for headers in [
        [("last-event-id", one.to_string())],
        [("last-event-id", two.to_string())],
    ] {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let mut resumed = world.listen(&headers).await;
        assert!(resumed.until(&format!("id: {three}\n")).await);
        assert_eq!(
            resumed.text.contains("gate-2"),
            headers[0].1 == one.to_string(),
            "{}",
            resumed.text
        );
        assert!(
            !resumed.text.contains("gate-1") && !resumed.text.contains("event: reset"),
            "{}",
            resumed.text
        );
    }
}

#[tokio::test]
async fn a_listener_that_missed_too_much_is_told_so() {
    let world = world().await;
    let latest = world.change("gate-1").await;
    let mut listening = world.listen(&[("last-event-id", "4711")]).await;
    assert!(
        listening
            .until(&format!("event: reset\nid: {latest}\ndata: {{}}\n\n"))
            .await
    );
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let world = world().await;
    world.run_feed();
    let mut listening = world.listen(&[]).await;
    assert!(listening.until("event: clock").await);
    world.deps.stop.cancel();
    assert!(!listening.until("never written").await, "the stream ends");
}

#[tokio::test]
async fn what_was_proven_is_asked_again() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    let headers = HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())]);
    let proof = session::caller(&world.deps, &headers).await.unwrap().proof;
    assert!(matches!(proof, front::Proof::Session(_)));
    assert!(session::still_holds(&world.deps, &proof).await.unwrap());
    world.form("/sign-out", &cookie, &[]).await;
    assert!(!session::still_holds(&world.deps, &proof).await.unwrap());
    let token = |text| front::Proof::Token(front::token_sha256(text));
    assert!(
        session::still_holds(&world.deps, &token(TOKEN))
            .await
            .unwrap()
    );
    assert!(
        !session::still_holds(&world.deps, &token("other"))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn the_stream_of_a_session_that_is_ended_ends_at_once() {
    let world = world().await;
    world.run_feed();
    let (mine, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    let mut ended = world.listen(&[("cookie", &other)]).await;
    let mut stays = world.listen(&[("cookie", &mine)]).await;
    assert!(ended.until("event: clock").await && stays.until("event: clock").await);
    world.form("/sessions/revoke-others", &mine, &[]).await;
    assert!(!ended.until("never written").await, "the stream ends");
    let gate = world.change("gate-after").await;
    assert!(
        stays.until(&format!("id: {gate}\n")).await,
        "the other one goes on"
    );
}
