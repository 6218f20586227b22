//! Sessions: begun, used, seen by their holders, ended; by passwords, in emergencies, proven again.

use super::*;
use crate::config::SignIn;
use switchback_domain::sign_in::LocalSignIn;

async fn world_with_sign_in(sign_in: SignIn) -> World {
    world_of_all(Some(RELAY_SECRET), None, None, sign_in).await
}

fn with_step_up() -> SignIn {
    SignIn {
        step_up: Some(Duration::from_secs(300)),
        ..SignIn::default()
    }
}

const ROLLBACK: [(&str, &str); 3] = [
    ("target", "previous"),
    ("reason", "errors since 14:00"),
    ("plan_digest", "p1"),
];

#[tokio::test]
async fn a_cookie_that_somebody_planted_is_worth_nothing_after_the_sign_in() {
    let world = world().await;
    let planted = format!("{}={}", session::COOKIE, "ab".repeat(32));
    let fields = [("username", "dana"), ("password", PASSWORD)];
    let own = world.form("/sign-in", &planted, &fields).await.cookie();
    assert_ne!(own, planted);
    assert_eq!(world.get("/api/v1/me", &planted).await.status, 401);
    assert_eq!(world.get("/api/v1/me", &own).await.status, 200);
    let stored = world.sessions_of("dana").await;
    assert_eq!(stored.len(), 1);
    let token = own.split('=').nth(1).unwrap();
    assert_eq!(token.len(), 64);
    assert_ne!(
        stored[0].token_sha256, token,
        "the cookie itself is kept nowhere"
    );
}

#[tokio::test]
async fn a_session_ends_by_idleness_and_by_age() {
    let world = world().await;
    let (idle, busy) = (world.sign_in("dana").await, world.sign_in("dana").await);
    let hour = 3600;
    for hours in [11, 22] {
        world.later.store(hours * hour, Ordering::SeqCst);
        assert_eq!(
            world.get("/api/v1/me", &busy).await.status,
            200,
            "{hours} h"
        );
    }
    assert_eq!(
        world.get("/api/v1/me", &idle).await.status,
        401,
        "idle for 22 h"
    );
    world.later.store(24 * hour + 1, Ordering::SeqCst);
    assert_eq!(
        world.get("/api/v1/me", &busy).await.status,
        401,
        "a day old"
    );
}

#[tokio::test]
async fn people_see_and_end_their_own_sessions_and_nobody_elses() {
    let world = world().await;
    let (here, there, vera) = (
        world.sign_in("dana").await,
        world.sign_in("dana").await,
        world.sign_in("vera").await,
    );
    let page = world.get("/sessions", &here).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.body.matches("/revoke\"").count(), 2, "{}", page.body);
    assert!(page.body.contains("This session, in use now"));

    let veras = world.sessions_of("vera").await.remove(0).id;
    let refused = world
        .form(&format!("/sessions/{veras}/revoke"), &here, &[])
        .await;
    assert!(
        refused.location().contains("problem=session_gone"),
        "{}",
        refused.location()
    );
    assert_eq!(world.get("/api/v1/me", &vera).await.status, 200);

    let sha256 = front::token_sha256(there.split('=').nth(1).unwrap());
    let id = world
        .deps
        .store
        .session_fetch(&sha256)
        .await
        .unwrap()
        .unwrap()
        .id;
    let done = world
        .form(&format!("/sessions/{id}/revoke"), &here, &[])
        .await;
    assert_eq!(
        (done.status, done.location()),
        (303, "/sessions?done=session_revoked")
    );
    assert_eq!(world.get("/api/v1/me", &there).await.status, 401);

    for _ in 0..2 {
        world.sign_in("dana").await;
    }
    let done = world.form("/sessions/revoke-others", &here, &[]).await;
    assert_eq!(
        (done.status, done.location()),
        (303, "/sessions?done=sessions_revoked")
    );
    assert_eq!(world.sessions_of("dana").await.len(), 1);
    assert_eq!(world.get("/api/v1/me", &here).await.status, 200);

    let own = world.sessions_of("dana").await.remove(0).id;
    let out = world
        .form(&format!("/sessions/{own}/revoke"), &here, &[])
        .await;
    assert_eq!(out.location(), "/sign-in");
    assert!(out.header(header::SET_COOKIE).contains("Max-Age=0"));
    assert_eq!(
        world.audit_words().await[10..],
        ["dana sessions_revoked", "dana session_revoked"][..],
        "{:?}",
        world.audit_words().await
    );
}

#[tokio::test]
async fn local_sign_in_can_be_for_emergencies_only_or_off() {
    for (local, dana, ada) in [
        (LocalSignIn::On, "/", "/"),
        (LocalSignIn::BreakGlassOnly, "/sign-in?", "/"),
        (LocalSignIn::Off, "/sign-in?", "/sign-in?"),
    ] {
        let world = world_with_sign_in(SignIn {
            local,
            ..SignIn::default()
        })
        .await;
        for (username, location) in [("dana", dana), ("ada", ada)] {
            let fields = [("username", username), ("password", PASSWORD)];
            let answer = world.form("/sign-in", "", &fields).await;
            assert!(
                answer.location().starts_with(location),
                "{local:?} {username}: {}",
                answer.location()
            );
        }
        let page = world.get("/sign-in", "").await.body;
        assert_eq!(
            page.contains("type=\"password\""),
            local != LocalSignIn::Off,
            "{page}"
        );
        assert_eq!(
            page.contains("Emergency sign-in"),
            local == LocalSignIn::BreakGlassOnly
        );
    }
}

#[tokio::test]
async fn a_session_of_an_emergency_is_visible_and_every_act_in_it_is_recorded_as_one() {
    let world = world_with_sign_in(SignIn {
        local: LocalSignIn::BreakGlassOnly,
        ..SignIn::default()
    })
    .await;
    let cookie = world.sign_in("ada").await;
    for path in ["/", "/approvals", "/sessions", "/nowhere"] {
        let page = world.get(path, &cookie).await.body;
        assert!(page.contains("Break-glass session."), "{path}");
    }
    let fields = [("verdict", "approve"), ("evidence_digest", "e1")];
    world
        .form("/gates/gate-1/decisions", &cookie, &fields)
        .await;
    let headers = [("cookie", &*cookie), ("content-type", "application/json")];
    world
        .send("POST", "/api/v1/gates/gate-1/decisions", &headers, DECISION)
        .await;
    let words = world.audit_words().await;
    assert_eq!(
        words[words.len() - 3..],
        [
            "ada break_glass_signed_in",
            "ada break_glass_used",
            "ada break_glass_used"
        ]
    );
    let usual = super::world().await;
    let cookie = usual.sign_in("ada").await;
    assert!(!usual.get("/", &cookie).await.body.contains("Break-glass"));
}

#[tokio::test]
async fn a_rollback_needs_a_fresh_sign_in_and_comes_back_to_what_was_typed() {
    let world = world_with_sign_in(with_step_up()).await;
    let cookie = world.sign_in("dana").await;
    let rolled = world
        .form("/services/svc-1/rollbacks", &cookie, &ROLLBACK)
        .await;
    assert!(
        rolled.location().contains("done=rollback"),
        "fresh: {}",
        rolled.location()
    );

    world.later.store(301, Ordering::SeqCst);
    let stale = world
        .form("/services/svc-1/rollbacks", &cookie, &ROLLBACK)
        .await;
    let back = "/sign-in/again?to=%2Fservices%2Fsvc-1%2Frollback%3Fto%3Dprevious";
    assert_eq!(
        (stale.status, stale.location()),
        (303, back),
        "nothing typed is in the address"
    );
    assert_eq!(world.work.rollbacks.lock().unwrap().len(), 1);
    let kept = world.sessions_of("dana").await.remove(0).kept_form.unwrap();
    assert!(kept.contains("errors since 14:00"), "{kept}");
    let headers = [("cookie", &*cookie), ("content-type", "application/json")];
    let body = r#"{"target":"previous","reason":"x","plan_digest":"p1"}"#;
    let api = world
        .send("POST", "/api/v1/services/svc-1/rollbacks", &headers, body)
        .await;
    assert_eq!(api.problem(), (403, "fresh_sign_in_needed".to_string()));
    // A decision needs none.
    let decided = world
        .form(
            "/gates/gate-1/decisions",
            &cookie,
            &[("verdict", "approve"), ("evidence_digest", "e1")],
        )
        .await;
    assert!(
        decided.location().contains("done=decided"),
        "{}",
        decided.location()
    );

    let page = world.get(back, &cookie).await;
    assert!(
        page.body.contains("within the last 5 minutes"),
        "{}",
        page.body
    );
    let to = ("to", "/services/svc-1/rollback?to=previous");
    let wrong = world
        .form("/sign-in/again", &cookie, &[("password", "wrong"), to])
        .await;
    assert!(
        wrong.location().starts_with("/sign-in/again?to=") && wrong.location().contains("seal="),
        "{}",
        wrong.location()
    );
    let right = world
        .form("/sign-in/again", &cookie, &[("password", PASSWORD), to])
        .await;
    assert_eq!((right.status, right.location()), (303, to.1));
    let renewed = right.cookie();
    assert_ne!(renewed, cookie, "the identifier is another one");
    assert_eq!(world.get("/api/v1/me", &cookie).await.status, 401);
    assert_eq!(
        world.sessions_of("dana").await.len(),
        1,
        "and the session the same"
    );
    let rolled = world
        .form("/services/svc-1/rollbacks", &renewed, &ROLLBACK)
        .await;
    assert!(
        rolled.location().contains("done=rollback"),
        "{}",
        rolled.location()
    );
    assert_eq!(
        world.sessions_of("dana").await.remove(0).kept_form,
        None,
        "done, so forgotten"
    );
    assert!(
        world
            .audit_words()
            .await
            .contains(&"dana signed_in_again".to_string())
    );
}

#[tokio::test]
async fn tokens_are_spared_a_fresh_sign_in_unless_told_otherwise() {
    let body = r#"{"target":"previous","reason":"x","plan_digest":"p1"}"#;
    for (step_up_spares_tokens, status) in [(true, 202), (false, 403)] {
        let world = world_with_sign_in(SignIn {
            step_up_spares_tokens,
            ..with_step_up()
        })
        .await;
        let answer = world
            .api("POST", "/api/v1/services/svc-1/rollbacks", body)
            .await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}

#[tokio::test]
async fn proving_it_again_is_limited_as_signing_in_is() {
    let world = world_with_sign_in(with_step_up()).await;
    let cookie = world.sign_in("dana").await;
    let wrong = [("password", "wrong"), ("to", "/")];
    for _ in 0..10 {
        assert_eq!(
            world.form("/sign-in/again", &cookie, &wrong).await.status,
            303
        );
    }
    let answer = world
        .form("/sign-in/again", &cookie, &[("password", PASSWORD)])
        .await;
    assert_eq!(
        (answer.status, answer.header(header::RETRY_AFTER)),
        (429, "300")
    );
}

#[tokio::test]
async fn without_a_provider_its_paths_lead_nowhere() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    for path in [
        "/sign-in/oidc?to=/",
        "/sign-in/oidc/callback?state=x&code=y",
        "/sign-in/again/oidc",
    ] {
        assert_eq!(world.get(path, &cookie).await.status, 404, "{path}");
    }
}
