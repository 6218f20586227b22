//! Where requests come from; signing in and out.

use super::*;

#[tokio::test]
async fn another_site_can_do_nothing_with_our_cookie() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    let evil = [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ];
    for path in [
        "/gates/gate-1/decisions",
        "/services/svc-1/rollbacks",
        "/theme",
        "/sign-in",
        "/sign-out",
    ] {
        for header in evil {
            let headers = [
                ("cookie", &*cookie),
                header,
                ("content-type", "application/x-www-form-urlencoded"),
            ];
            let answer = world
                .send("POST", path, &headers, "verdict=approve&evidence_digest=e1")
                .await;
            assert_eq!(answer.status, 403, "{path} {header:?}");
            assert!(answer.body.contains("another site"), "{}", answer.body);
        }
    }
    let headers = [
        ("cookie", &*cookie),
        evil[1],
        ("content-type", "application/json"),
    ];
    let answer = world
        .send("POST", "/api/v1/gates/gate-1/decisions", &headers, DECISION)
        .await;
    assert_eq!(answer.problem(), (403, "cross_origin".to_string()));
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 0);

    // A token is sent on purpose, never by a browser on its own.
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", &*bearer),
        evil[0],
        evil[1],
        ("content-type", "application/json"),
    ];
    let answer = world
        .send("POST", "/api/v1/gates/gate-1/decisions", &headers, DECISION)
        .await;
    assert_eq!(answer.status, 200);
    // A token that is wrong does not fall back to the cookie.
    let headers = [
        ("authorization", "Bearer wrong"),
        ("cookie", &*cookie),
        ("content-type", "application/json"),
    ];
    let answer = world
        .send("POST", "/api/v1/gates/gate-1/decisions", &headers, DECISION)
        .await;
    assert_eq!(answer.problem(), (401, "token_unknown".to_string()));
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 1);
    assert_eq!(world.get("/", &cookie).await.status, 200, "still signed in");
}
#[tokio::test]
async fn signing_in_and_out() {
    let world = world().await;
    let refused = world
        .form(
            "/sign-in",
            "",
            &[
                ("username", "dana"),
                ("password", "wrong"),
                ("to", "/gates/gate-1"),
            ],
        )
        .await;
    assert_eq!(refused.status, 303);
    let expected = "/sign-in?to=%2Fgates%2Fgate-1&problem=sign_in_refused&message=The+name+or+the+password+is+wrong.";
    assert_eq!(refused.location(), expected);
    assert!(refused.headers.get(header::SET_COOKIE).is_none());
    let unknown = world
        .form(
            "/sign-in",
            "",
            &[
                ("username", "nobody"),
                ("password", PASSWORD),
                ("to", "/gates/gate-1"),
            ],
        )
        .await;
    assert_eq!(
        unknown.location(),
        expected,
        "a name that does not exist looks the same"
    );

    let answer = world
        .form(
            "/sign-in",
            "",
            &[
                ("username", "dana"),
                ("password", PASSWORD),
                ("to", "/gates/gate-1"),
            ],
        )
        .await;
    assert_eq!((answer.status, answer.location()), (303, "/gates/gate-1"));
    let set = answer.header(header::SET_COOKIE);
    for part in [
        "switchback_session=",
        "HttpOnly",
        "SameSite=Lax",
        "Path=/",
        "Max-Age=86400",
    ] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure"), "{set}");
    let cookie = answer.cookie();
    assert_eq!(world.get("/audit", &cookie).await.status, 200);
    assert_eq!(
        world.get("/api/v1/me", &cookie).await.json()["name"],
        "dana"
    );

    let again = world
        .form(
            "/sign-in",
            &cookie,
            &[("username", "vera"), ("password", PASSWORD)],
        )
        .await
        .cookie();
    assert_ne!(again, cookie, "a sign-in has an identifier of its own");
    assert_eq!(world.get("/api/v1/me", &again).await.json()["name"], "vera");
    assert_eq!(
        world.get("/api/v1/me", &cookie).await.status,
        401,
        "the identifier before is worth nothing"
    );

    let out = world.form("/sign-out", &again, &[]).await;
    assert_eq!((out.status, out.location()), (303, "/sign-in"));
    assert!(
        out.header(header::SET_COOKIE).contains("Max-Age=0"),
        "{:?}",
        out.headers
    );
    assert_eq!(world.get("/api/v1/me", &again).await.status, 401);
    assert_eq!(
        world.form("/sign-out", &again, &[]).await.location(),
        "/sign-in",
        "twice is no error"
    );
    assert_eq!(
        world.audit_words().await[4..],
        [
            "dana sign_in_refused",
            "nobody sign_in_refused",
            "dana signed_in",
            "vera signed_in",
            "vera signed_out"
        ]
    );
}

#[tokio::test]
async fn a_cookie_that_fits_nothing_is_no_session() {
    let world = world().await;
    for cookie in [
        "switchback_session=",
        "switchback_session=nonsense",
        "switchback_session=AAAAAAAAAAAAAAAAAAAAAA",
        "other=1",
    ] {
        let answer = world.get("/history?q=a", cookie).await;
        assert_eq!(
            (answer.status, answer.location()),
            (303, "/sign-in?to=%2Fhistory%3Fq%3Da"),
            "{cookie}"
        );
    }
}

#[tokio::test]
async fn nobody_is_sent_elsewhere_after_signing_in() {
    let world = world().await;
    for (to, location) in [
        ("/gates/gate-1?x=1", "/gates/gate-1?x=1"),
        ("", "/"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("/\t/evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("gates", "/"),
        ("/sign-in", "/"),
    ] {
        let answer = world
            .form(
                "/sign-in",
                "",
                &[("username", "dana"), ("password", PASSWORD), ("to", to)],
            )
            .await;
        assert_eq!(
            (answer.status, answer.location()),
            (303, location),
            "{to:?}"
        );
    }
    let cookie = world.sign_in("dana").await;
    for path in ["/theme", "/gates/gate-1/decisions"] {
        let fields = [
            ("theme", "dark"),
            ("verdict", "approve"),
            ("evidence_digest", "e1"),
            ("to", "//evil.example"),
        ];
        let answer = world.form(path, &cookie, &fields).await;
        assert!(
            answer.location().starts_with('/') && !answer.location().contains("evil"),
            "{}",
            answer.location()
        );
    }
}

#[tokio::test]
async fn too_many_attempts_are_refused_even_with_the_right_password() {
    let world = world().await;
    for _ in 0..10 {
        assert_eq!(
            world
                .form(
                    "/sign-in",
                    "",
                    &[("username", "dana"), ("password", "wrong")]
                )
                .await
                .status,
            303
        );
    }
    let answer = world
        .form(
            "/sign-in",
            "",
            &[("username", "Dana"), ("password", PASSWORD)],
        )
        .await;
    assert_eq!(
        (answer.status, answer.header(header::RETRY_AFTER)),
        (429, "300")
    );
    assert!(
        answer.body.contains("too many failed attempts"),
        "{}",
        answer.body
    );
    world.sign_in("vera").await;
}

#[tokio::test]
async fn behind_https_cookies_say_so() {
    let world = world_with(None, Some("https://switchback.example.com")).await;
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("origin", "https://switchback.example.com"),
    ];
    let answer = world
        .send(
            "POST",
            "/sign-in",
            &headers,
            format!("username=dana&password={PASSWORD}"),
        )
        .await;
    assert_eq!(answer.status, 303);
    let set = answer.header(header::SET_COOKIE);
    assert!(
        set.starts_with("__Host-switchback_session=") && set.contains("; Secure"),
        "{set}"
    );
    assert!(
        set.contains("; Path=/;") && !set.contains("Domain"),
        "{set}"
    );
    // The name without the prefix, which another host of the domain could set, is not read.
    let cookie = answer.cookie();
    assert_eq!(world.get("/api/v1/me", &cookie).await.status, 200);
    let unprefixed = cookie.replace("__Host-", "");
    assert_eq!(world.get("/api/v1/me", &unprefixed).await.status, 401);
    assert_eq!(
        answer.header(header::STRICT_TRANSPORT_SECURITY),
        "max-age=31536000"
    );
}
