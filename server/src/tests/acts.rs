//! Idempotency, forms and pages.

use super::*;

#[tokio::test]
async fn one_effect_for_one_key() {
    let world = world().await;
    let path = "/api/v1/gates/gate-1/decisions";
    let first = world.keyed(path, "k1", DECISION).await;
    assert_eq!(
        (first.status, first.header(idempotency::REPLAYED)),
        (200, "")
    );
    let second = world.keyed(path, "k1", DECISION).await;
    assert_eq!(
        (second.status, second.header(idempotency::REPLAYED)),
        (200, "true")
    );
    assert_eq!(first.body, second.body);
    let other_body = world
        .keyed(
            path,
            "k1",
            r#"{"verdict":"reject","reason":"no","evidence_digest":"e1"}"#,
        )
        .await;
    assert_eq!(
        other_body.problem(),
        (422, "idempotency_key_reused".to_string())
    );
    let other_path = world
        .keyed("/api/v1/gates/gate-2/decisions", "k1", DECISION)
        .await;
    assert_eq!(
        other_path.problem(),
        (422, "idempotency_key_reused".to_string())
    );
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 1);

    let stale = r#"{"verdict":"approve","evidence_digest":"e0"}"#;
    let refused = world.keyed(path, "k2", stale).await;
    let repeated = world.keyed(path, "k2", stale).await;
    assert_eq!(refused.problem(), (409, "evidence_changed".to_string()));
    assert_eq!(repeated.problem(), refused.problem());
    assert_eq!(repeated.header(idempotency::REPLAYED), "true");

    // Another actor's key is another key.
    let cookie = world.sign_in("dana").await;
    let headers = [
        ("cookie", &*cookie),
        ("content-type", "application/json"),
        ("idempotency-key", "k1"),
    ];
    let answer = world.send("POST", path, &headers, DECISION).await;
    assert_eq!(
        (answer.status, answer.header(idempotency::REPLAYED)),
        (200, "")
    );
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_at_the_same_time_has_one_effect() {
    let world = world().await;
    let path = "/api/v1/services/svc-1/rollbacks";
    let body = r#"{"target":"previous","reason":"5xx","plan_digest":"p1"}"#;
    let answers = futures::future::join_all((0..12).map(|_| world.keyed(path, "k1", body))).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 202 && answer.json()["id"] == "op-1")
    );
    let replayed = answers
        .iter()
        .filter(|answer| answer.header(idempotency::REPLAYED) == "true")
        .count();
    assert_eq!(
        (replayed, world.work.rollbacks.lock().unwrap().len()),
        (11, 1)
    );
}

#[tokio::test]
async fn a_plan_is_made_anew_and_kept_nowhere() {
    let world = world().await;
    let path = "/api/v1/services/svc-1/rollbacks/plan";
    let body = r#"{"target":"previous"}"#;
    for digest in ["p1", "p2"] {
        let answer = world.keyed(path, "k1", body).await;
        assert_eq!(
            (answer.status, answer.header(idempotency::REPLAYED)),
            (200, "")
        );
        assert_eq!(answer.json()["digest"], digest);
    }
    let refused = world.keyed(path, "k2", r#"{"target":"current"}"#).await;
    assert_eq!(refused.problem(), (409, "already_serving".to_string()));
    for key in ["k1", "k2"] {
        let kept = world.deps.store.idempotency_fetch("token:ci", key).await;
        assert!(kept.unwrap().is_none(), "{key}");
    }
    let malformed = world.keyed(path, "a b", body).await;
    assert_eq!(
        malformed.problem(),
        (422, "idempotency_key_malformed".to_string())
    );
}

#[tokio::test]
async fn what_failed_for_now_is_done_with_the_same_key_later() {
    let world = world().await;
    let path = "/api/v1/services/svc-1/rollbacks";
    let body = r#"{"target":"previous","reason":"5xx","plan_digest":"p1"}"#;
    world.work.unavailable.store(2, Ordering::SeqCst);
    for _ in 0..2 {
        let answer = world.keyed(path, "k1", body).await;
        assert_eq!(answer.problem(), (503, "aws_unavailable".to_string()));
        assert_eq!(answer.header(idempotency::REPLAYED), "");
    }
    let done = world.keyed(path, "k1", body).await;
    assert_eq!((done.status, done.header(idempotency::REPLAYED)), (202, ""));
    let again = world.keyed(path, "k1", body).await;
    assert_eq!(
        (again.status, again.header(idempotency::REPLAYED)),
        (202, "true")
    );
    assert_eq!(world.work.rollbacks.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_is_not_told_again_to_who_may_no_longer_do_it() {
    let world = world().await;
    let path = "/api/v1/gates/gate-1/decisions";
    let cookie = world.sign_in("vera").await;
    // From when vera was an approver.
    let mut tx = world.deps.store.begin().await.unwrap();
    let digest = switchback_domain::digest::Digest::of_bytes(DECISION.as_bytes());
    let kept = r#"{"id":"gate-1","kept":true}"#;
    tx.idempotency_insert("vera", "k1", path, digest.as_str(), 200, kept, NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let headers = [
        ("cookie", &*cookie),
        ("content-type", "application/json"),
        ("idempotency-key", "k1"),
    ];
    let answer = world.send("POST", path, &headers, DECISION).await;
    assert_eq!(answer.problem(), (403, "forbidden".to_string()));
    assert!(!answer.body.contains("kept"), "{}", answer.body);
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 0);
}

/// The process ended after the effect was committed with its key, and before its answer was.
#[tokio::test]
async fn who_repeats_a_request_after_a_crash_is_told_what_it_did() {
    let world = world().await;
    let path = "/api/v1/gates/gate-1/decisions";
    let digest = switchback_domain::digest::Digest::of_bytes(DECISION.as_bytes());
    let mut tx = world.deps.store.begin().await.unwrap();
    let unanswered = switchback_store::IdempotencyRecord::UNANSWERED;
    tx.idempotency_insert(
        "token:ci",
        "k1",
        path,
        digest.as_str(),
        unanswered,
        "gate-1",
        NOW,
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    for _ in 0..2 {
        let answer = world.keyed(path, "k1", DECISION).await;
        assert_eq!(
            (answer.status, answer.header(idempotency::REPLAYED)),
            (200, "true"),
            "{}",
            answer.body
        );
        assert_eq!(answer.json()["id"], "gate-1");
    }
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 0);
    let kept = world.deps.store.idempotency_fetch("token:ci", "k1").await;
    assert_eq!(kept.unwrap().map(|kept| kept.status), Some(200));
}

/// Where a refused form leads, without the seal that it must have.
fn unsealed(answer: &Answer) -> &str {
    let (location, seal) = answer.location().split_once("&seal=").expect("a seal");
    assert!(seal.len() == 64 && seal.bytes().all(|byte| byte.is_ascii_hexdigit()));
    location
}

#[tokio::test]
async fn pages_show_only_what_this_server_has_to_say() {
    let world = world().await;
    let (dana, vera) = (world.sign_in("dana").await, world.sign_in("vera").await);
    let fields = [
        ("verdict", "approve"),
        ("evidence_digest", "e0"),
        ("to", "/gates/gate-1?x=1"),
    ];
    let stale = world.form("/gates/gate-1/decisions", &dana, &fields).await;
    let sealed = stale.location().to_string();
    let shown = world.get(&sealed, &dana).await;
    assert_eq!(shown.status, 200);
    let words = "Evidence changed. Review again.";
    assert!(shown.body.contains(words), "{}", shown.body);

    // The link of one reader says nothing to another.
    let other = world.get(&sealed, &vera).await;
    assert_eq!((other.status, other.location()), (303, "/gates/gate-1?x=1"));
    let evil = "problem=x&message=Call+0900+now.";
    for (asked, again) in [
        (format!("/?x=1&{evil}"), "/?x=1"),
        (
            format!("/gates/x-1?{evil}&seal={}", "0".repeat(64)),
            "/gates/x-1",
        ),
        (format!("/no/such/page?{evil}"), "/no/such/page"),
        (format!("/sign-in?to=%2F&{evil}"), "/sign-in?to=%2F"),
        (sealed.replace("Evidence", "Nothing"), "/gates/gate-1?x=1"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = world.send(method, &asked, &[("cookie", &*dana)], "").await;
            assert_eq!((answer.status, answer.location()), (303, again), "{asked}");
        }
    }
    let stranger = world
        .send("GET", &format!("/sign-in?{evil}"), &[], "")
        .await;
    assert_eq!((stranger.status, stranger.location()), (303, "/sign-in"));
    let wrong = [("username", "dana"), ("password", "wrong")];
    let refused = world.form("/sign-in", "", &wrong).await;
    let page = world.send("GET", refused.location(), &[], "").await;
    assert_eq!(page.status, 200);
    let words = "The name or the password is wrong.";
    assert!(page.body.contains(words), "{}", page.body);
}

#[tokio::test]
async fn a_decision_by_form() {
    let world = world().await;
    let (dana, vera) = (world.sign_in("dana").await, world.sign_in("vera").await);
    let path = "/gates/gate-1/decisions";
    let fields = |digest, to| {
        [
            ("verdict", "approve"),
            ("reason", " "),
            ("evidence_digest", digest),
            ("to", to),
        ]
    };
    let done = world
        .form(path, &dana, &fields("e1", "/deployments/dep-1?x=1#gate"))
        .await;
    assert_eq!(
        (done.status, done.location()),
        (303, "/deployments/dep-1?x=1&done=decided#gate")
    );
    let stale = world
        .form(path, &dana, &fields("e0", "/gates/gate-1?done=decided"))
        .await;
    assert_eq!(
        unsealed(&stale),
        "/gates/gate-1?problem=evidence_changed&message=Evidence+changed.+Review+again."
    );
    let forbidden = world.form(path, &vera, &fields("e1", "")).await;
    assert_eq!(
        unsealed(&forbidden),
        "/gates/gate-1?problem=forbidden&message=You+may+not+decide."
    );
    let stranger = world.form(path, "", &fields("e1", "/gates/gate-1")).await;
    assert_eq!(stranger.location(), "/sign-in?to=%2F");
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_rollback_by_form() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    let path = "/services/svc-1/rollbacks";
    let fields = |reason| {
        [
            ("target", "previous"),
            ("reason", reason),
            ("plan_digest", "p1"),
            ("idempotency_key", "f1"),
        ]
    };
    let refused = world.form(path, &cookie, &fields("")).await;
    assert_eq!(
        unsealed(&refused),
        "/services/svc-1/rollback?to=previous&problem=reason_missing&message=Say+why."
    );
    let done = world.form(path, &cookie, &fields("5xx")).await;
    assert_eq!(
        (done.status, done.location()),
        (303, "/services/svc-1?done=rollback&operation=op-1"),
        "a corrected form passes"
    );
    let twice = world.form(path, &cookie, &fields("5xx")).await;
    assert_eq!(twice.location(), done.location());
    assert_eq!(world.work.rollbacks.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn colours_are_chosen_and_kept() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    let answer = world
        .form("/theme", &cookie, &[("theme", "dark"), ("to", "/history")])
        .await;
    assert_eq!((answer.status, answer.location()), (303, "/history"));
    let set: Vec<&str> = answer
        .headers
        .get_all(header::SET_COOKIE)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert!(
        set.iter()
            .any(|cookie| cookie.starts_with("theme=dark; Path=/; Max-Age=31536000; SameSite=Lax")),
        "{set:?}"
    );
    let dark = world.get("/", &format!("{cookie}; theme=dark")).await;
    assert!(dark.body.contains("data-theme=\"dark\""), "{}", dark.body);
    assert!(
        !world.get("/", &cookie).await.body.contains("data-theme"),
        "the device decides"
    );
}
#[tokio::test]
async fn a_page_has_its_policy_its_nonce_and_its_files() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    let page = world.get("/", &cookie).await;
    assert_eq!(page.status, 200);
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    let nonce = policy
        .split("'nonce-")
        .nth(1)
        .and_then(|rest| rest.split('\'').next())
        .unwrap();
    assert_eq!(
        policy,
        format!(
            "default-src 'self'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; style-src 'self'; \
             img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'none'"
        )
    );
    assert!(
        page.body.contains(&format!("nonce=\"{nonce}\"")),
        "{}",
        page.body
    );
    assert!(
        !world.get("/", &cookie).await.body.contains(nonce),
        "every page has its own"
    );
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        assert_eq!(page.header(&name), value, "{name}");
    }
    let style = page
        .body
        .split("href=\"")
        .map(|rest| rest.split('"').next().unwrap())
        .find(|href| href.ends_with(".css"));
    let style = world.send("GET", style.unwrap(), &[], "").await;
    assert_eq!((style.status, &*style.body), (200, "body{}"));
    assert!(style.header(header::CACHE_CONTROL).contains("immutable"));
    assert_eq!(
        world.send("GET", "/robots.txt", &[], "").await.body,
        "User-agent: *"
    );
    assert_eq!(
        world
            .send("GET", "/favicon.ico", &[], "")
            .await
            .header(header::CONTENT_TYPE),
        "image/svg+xml"
    );
}

#[tokio::test]
async fn the_sign_in_page_needs_nobody_and_a_missing_thing_is_missing() {
    let world = world().await;
    let page = world.send("GET", "/sign-in?to=%2Fhistory", &[], "").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.header(header::CONTENT_TYPE).starts_with("text/html"));
    let cookie = world.sign_in("dana").await;
    assert_eq!(world.get("/ask/me", &cookie).await.status, 200);
    assert_eq!(
        world
            .send("HEAD", "/", &[("cookie", &*cookie)], "")
            .await
            .status,
        200
    );
}
