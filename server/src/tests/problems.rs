//! What is refused, and in which words.

use super::*;

#[tokio::test]
async fn the_api_refuses_in_problem_documents() {
    let world = world().await;
    let bearer = format!("Bearer {TOKEN}");
    let bearer: &str = &bearer;
    let decisions = "/api/v1/gates/gate-1/decisions";
    let large = "x".repeat(front::LARGEST_BODY + 1);
    let json_type = ("content-type", "application/json");
    for (method, path, headers, body, status, code) in [
        (
            "GET",
            "/api/v1/nothing",
            vec![("authorization", bearer)],
            "",
            404,
            "not_found",
        ),
        ("GET", "/api/v1/nothing", vec![], "", 404, "not_found"),
        ("GET", "/api/v1", vec![], "", 404, "not_found"),
        (
            "DELETE",
            "/api/v1/me",
            vec![("authorization", bearer)],
            "",
            405,
            "method_not_allowed",
        ),
        ("GET", "/api/v1/me", vec![], "", 401, "sign_in_needed"),
        (
            "GET",
            "/api/v1/me",
            vec![("authorization", "Bearer wrong")],
            "",
            401,
            "token_unknown",
        ),
        (
            "GET",
            "/api/v1/me",
            vec![("authorization", "Basic ZGFuYTp4")],
            "",
            401,
            "token_unknown",
        ),
        (
            "GET",
            "/api/v1/me",
            vec![("authorization", "Bearer")],
            "",
            401,
            "token_unknown",
        ),
        (
            "GET",
            "/api/v1/gates/gate-9",
            vec![("authorization", bearer)],
            "",
            404,
            "not_found",
        ),
        (
            "GET",
            "/api/v1/gates/%FF",
            vec![("authorization", bearer)],
            "",
            400,
            "malformed_path",
        ),
        (
            "GET",
            "/api/v1/gates?state=ajar",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?outcome=good",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?phase=good",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?from=now",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?to=now",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?limit=0",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?limit=201",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?outcom=failed",
            vec![("authorization", bearer)],
            "",
            422,
            "unknown_parameter",
        ),
        (
            "GET",
            "/api/v1/events?last_event_id=x",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer)],
            DECISION,
            415,
            "unsupported_media_type",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), ("content-type", "text/json")],
            DECISION,
            415,
            "unsupported_media_type",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            "{",
            400,
            "malformed_json",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            "",
            400,
            "malformed_json",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            "{}",
            422,
            "invalid_body",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            "[]",
            422,
            "invalid_body",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            r#"{"verdict":"maybe","evidence_digest":"e1"}"#,
            422,
            "invalid_body",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            r#"{"verdict":"approve","evidence_digest":"e0"}"#,
            409,
            "evidence_changed",
        ),
        (
            "POST",
            decisions,
            vec![
                ("authorization", bearer),
                json_type,
                ("idempotency-key", "a b"),
            ],
            DECISION,
            422,
            "idempotency_key_malformed",
        ),
        (
            "POST",
            decisions,
            vec![
                ("authorization", bearer),
                json_type,
                ("content-length", "65537"),
            ],
            &large,
            413,
            "body_too_large",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            &large,
            413,
            "body_too_large",
        ),
    ] {
        let answer = world.send(method, path, &headers, body.to_string()).await;
        assert_eq!(
            answer.problem(),
            (status, code.to_string()),
            "{method} {path} {headers:?}"
        );
        assert_eq!(answer.json()["instance"], path.split('?').next().unwrap());
        if status == 422 && code == "invalid_parameter" {
            let name = path.split(['?', '=']).nth(1).unwrap();
            assert!(
                answer.json()["detail"].as_str().unwrap().contains(name),
                "{}",
                answer.body
            );
        }
    }
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn lists_filters_and_encoded_identifiers() {
    let world = world().await;
    let answer = world
        .api("GET", "/api/v1/deployments?service=checkout&outcome=failed&phase=&q=a%20b&from=2026-11-01&limit=7&cursor=c", "")
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        (
            &answer.json()["next_cursor"],
            &answer.json()["items"][0]["id"]
        ),
        (&json!("next"), &json!("dep-1"))
    );
    let expected = DeploymentFilter {
        service: Some("checkout".to_string()),
        outcome: Some("failed".to_string()),
        q: Some("a b".to_string()),
        from: Some("2026-11-01".to_string()),
        limit: Some(7),
        cursor: Some("c".to_string()),
        ..DeploymentFilter::default()
    };
    assert_eq!(*world.work.filters.lock().unwrap(), [expected]);

    let services = world
        .api(
            "GET",
            "/api/v1/services?q=pay&account=210987654321&moving=1&limit=3&cursor=c",
            "",
        )
        .await;
    assert_eq!(services.json(), json!({ "items": [], "next_cursor": null }));
    let expected = ServiceFilter {
        account: Some("210987654321".to_string()),
        q: Some("pay".to_string()),
        moving: true,
        cursor: Some("c".to_string()),
        limit: Some(3),
    };
    assert_eq!(*world.work.service_filters.lock().unwrap(), [expected]);
    let gates = world
        .api(
            "GET",
            "/api/v1/gates?state=open&may_decide=true&limit=3&cursor=c",
            "",
        )
        .await;
    assert_eq!(gates.json()["items"][0]["id"], "gate-1");
    let expected = GateFilter {
        state: Some("open".to_string()),
        may_decide: true,
        cursor: Some("c".to_string()),
        limit: Some(3),
    };
    assert_eq!(*world.work.gate_filters.lock().unwrap(), [expected]);
    let audit = world.api("GET", "/api/v1/audit", "").await;
    assert_eq!(
        audit.json(),
        json!({
            "items": [], "next_cursor": null, "length": 7, "broken_at": null, "verified_to": 7, "verified_at": NOW,
            "fault": null, "gaps": [], "proof": {
                "first": 0, "key_id": null, "public_key": null, "checkpoint": null, "trouble": null
            }
        })
    );
    let me = world.api("GET", "/api/v1/me", "").await;
    assert_eq!(
        (&me.json()["name"], &me.json()["roles"]),
        (&json!("token:ci"), &json!(["admin"]))
    );

    let arn = "arn%3Aaws%3Aecs%3Aeu-central-1%3A123456789012%3Aservice%2Fprod%2Fcheckout";
    let answer = world
        .api("GET", &format!("/api/v1/services/{arn}"), "")
        .await;
    let detail = "There is no service arn:aws:ecs:eu-central-1:123456789012:service/prod/checkout.";
    assert_eq!(answer.json()["detail"], detail);
}

#[tokio::test]
async fn people_get_pages_and_not_documents() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    let missing = world.get("/no/such/page", &cookie).await;
    assert_eq!(missing.status, 404);
    assert!(
        missing
            .header(header::CONTENT_TYPE)
            .starts_with("text/html")
    );
    assert!(
        missing
            .header(header::CONTENT_SECURITY_POLICY)
            .contains("nonce-"),
        "the app's own page"
    );
    for (fields, content_type) in [
        ("verdict=maybe&evidence_digest=e1", true),
        ("", true),
        ("verdict=approve", false),
    ] {
        let kind = if content_type {
            "application/x-www-form-urlencoded"
        } else {
            "text/plain"
        };
        let headers = [
            ("cookie", &*cookie),
            ("content-type", kind),
            ("sec-fetch-site", "same-origin"),
        ];
        let answer = world
            .send("POST", "/gates/gate-1/decisions", &headers, fields)
            .await;
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        assert!(
            answer.header(header::CONTENT_TYPE).starts_with("text/html"),
            "{}",
            answer.body
        );
        assert!(
            answer.body.contains("The form could not be read."),
            "{}",
            answer.body
        );
    }
    let large = vec![b'x'; front::LARGEST_BODY + 1];
    let headers = [
        ("cookie", &*cookie),
        ("content-type", "application/x-www-form-urlencoded"),
        ("sec-fetch-site", "same-origin"),
    ];
    let answer = world
        .send("POST", "/gates/gate-1/decisions", &headers, large)
        .await;
    assert_eq!(answer.status, 413);
    assert!(
        answer.body.contains("larger than 65536 bytes"),
        "{}",
        answer.body
    );
}
