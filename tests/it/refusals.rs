//! Bad input from outside: each is answered by its documented problem, and nothing is written.

use hmac::Hmac;
use hmac::Mac;
use http::Method;
use serde_json::Value;
use serde_json::json;
use sha2::Sha256;

use crate::team::CANARY;
use crate::team::GATE;
use crate::wire::Answer;
use crate::world::Api;
use crate::world::RELAY_SECRET;
use crate::world::World;

const HOOKS: &str = "/api/v1/hooks/codedeploy";

pub fn signature(secret: &str, at: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key fits HMAC");
    mac.update(format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
}

pub async fn post_hook(api: &Api, signature: &str, body: &str) -> Answer {
    let headers = [
        ("content-type", "application/json"),
        ("switchback-signature", signature),
    ];
    api.send(Method::POST, HOOKS, &headers, body.to_string())
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_that_cannot_be_trusted_open_nothing() {
    let world = World::start().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team
        .deploys(&revision, CANARY, None, "no hook of ours")
        .await;
    world.recorded(&aws_id).await;
    let nobody = Api::of_nobody(&world.api.base);
    let now = world.account.now().await;
    let hook = |deployment: &str| {
        json!({ "DeploymentId": deployment, "LifecycleEventHookExecutionId": "forged-1" })
            .to_string()
    };
    let body = hook(&aws_id);
    let good = signature(RELAY_SECRET, now, &body);

    let before = world.api.audit_length().await;
    for malformed in ["", "t=1", "v1=00", "t=x,v1=00", "t=1,v1=zz", "sha256=abc"] {
        post_hook(&nobody, malformed, &body)
            .await
            .refused(401, "signature_malformed");
    }
    let missing = nobody
        .send(
            Method::POST,
            HOOKS,
            &[("content-type", "application/json")],
            body.clone(),
        )
        .await;
    missing.refused(401, "signature_malformed");
    let wrong = signature("another secret", now, &body);
    post_hook(&nobody, &wrong, &body)
        .await
        .refused(401, "signature_wrong");
    post_hook(&nobody, &good, &hook("d-OTHERBODY"))
        .await
        .refused(401, "signature_wrong");
    for distance in [-301 - 60, 301 + 60] {
        let old = signature(RELAY_SECRET, now + distance, &body);
        post_hook(&nobody, &old, &body)
            .await
            .refused(401, "signature_too_old");
    }
    let unknown = hook("d-NOSUCHONE");
    let sign = |body: &str| signature(RELAY_SECRET, now, body);
    let once = sign(&unknown);
    post_hook(&nobody, &once, &unknown)
        .await
        .refused(404, "deployment_unknown");
    post_hook(&nobody, &once, &unknown)
        .await
        .refused(409, "signature_repeated");
    for (status, code, body) in [
        (400, "malformed_json", "{\"DeploymentId\":"),
        (422, "invalid_body", "{}"),
        (
            422,
            "invalid_body",
            "{\"DeploymentId\":\"\",\"LifecycleEventHookExecutionId\":\"x\"}",
        ),
        (
            422,
            "invalid_body",
            "{\"DeploymentId\":1,\"LifecycleEventHookExecutionId\":\"x\"}",
        ),
        (
            422,
            "invalid_body",
            "{\"DeploymentId\":\"d-1\",\"LifecycleEventHookExecutionId\":\"x\",\"more\":1}",
        ),
    ] {
        post_hook(&nobody, &sign(body), body)
            .await
            .refused(status, code);
    }
    let huge = format!("{{\"DeploymentId\":\"{}\"}}", "d".repeat(100_000));
    post_hook(&nobody, &sign(&huge), &huge)
        .await
        .refused(413, "body_too_large");
    let large = format!("{{\"DeploymentId\":\"{}\"}}", "d".repeat(70_000));
    post_hook(&nobody, &sign(&large), &large)
        .await
        .refused(413, "body_too_large");
    assert_eq!(
        world.api.audit_length().await,
        before,
        "a refused hook was written down"
    );
    assert_eq!(world.api.items("/gates").await, Vec::<Value>::new());

    // A signed hook for a deployment that waits at none: it is taken, since AWS may show the wait a
    // little later, and it changes nothing.
    let taken = post_hook(&nobody, &good, &body).await;
    assert!(matches!(taken.status, 202 | 404), "{}", taken.body);
    assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
    assert_eq!(
        world.api.items("/gates?state=open").await,
        Vec::<Value>::new()
    );
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_wrong_are_refused_and_change_nothing() {
    let world = World::start().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "release 2").await;
    let gate = world.holds(&aws_id).await;
    let id = gate["id"].as_str().unwrap_or_default();
    let api = &world.api;
    let nobody = Api::of_nobody(&api.base);
    let decisions = format!("/gates/{id}/decisions");
    let decision = json!({ "verdict": "approve", "evidence_digest": gate["evidence_digest"] });
    let before = api.audit_length().await;

    // Nobody, or somebody who cannot be.
    for path in [
        "/services",
        "/deployments",
        "/gates",
        "/audit",
        "/me",
        "/events",
    ] {
        nobody.get(path).await.refused(401, "sign_in_needed");
        let token = [("authorization", "Bearer not-a-token")];
        let answer = nobody
            .send(Method::GET, &format!("/api/v1{path}"), &token, "")
            .await;
        answer.refused(401, "token_unknown");
    }
    for authorization in ["Bearer", "Basic ZGFuYTpkYW5h", "Bearer \u{e4}", ""] {
        let headers = [("authorization", authorization)];
        let answer = nobody
            .send(Method::GET, "/api/v1/services", &headers, "")
            .await;
        answer.refused(401, "token_unknown");
    }
    for cookie in [
        "switchback_session=AAAAAAAAAAAAAAAAAAAAAA",
        "switchback_session=\"; drop",
        "=;;=",
    ] {
        let headers = [("cookie", cookie)];
        let answer = nobody
            .send(Method::GET, "/api/v1/services", &headers, "")
            .await;
        answer.refused(401, "sign_in_needed");
        let page = nobody.send(Method::GET, "/history?q=x", &headers, "").await;
        assert_eq!(
            (page.status, page.header("location")),
            (303, "/sign-in?to=%2Fhistory%3Fq%3Dx")
        );
    }
    nobody
        .post(&decisions, &decision)
        .await
        .refused(401, "sign_in_needed");

    // Another site.
    let form = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    for path in ["/sign-in", "/sign-out", "/theme"] {
        let answer = nobody
            .send(Method::POST, path, &form, "username=dana&password=x")
            .await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.body);
    }

    // Bodies.
    let json_form = [("content-type", "application/json")];
    let path = format!("/api/v1{decisions}");
    for (status, code, body) in [
        (400, "malformed_json", "{\"verdict\":".to_string()),
        (400, "malformed_json", String::new()),
        (422, "invalid_body", "[]".to_string()),
        (
            422,
            "invalid_body",
            "{\"verdict\":\"perhaps\",\"evidence_digest\":\"0\"}".to_string(),
        ),
        (422, "invalid_body", "{\"verdict\":\"approve\"}".to_string()),
        (
            413,
            "body_too_large",
            format!("{{\"verdict\":\"{}\"}}", "x".repeat(70_000)),
        ),
    ] {
        api.send(Method::POST, &path, &json_form, body)
            .await
            .refused(status, code);
    }
    let plain = [("content-type", "text/plain")];
    api.send(Method::POST, &path, &plain, decision.to_string())
        .await
        .refused(415, "unsupported_media_type");

    // Decisions and rollbacks.
    api.decides(&gate, "reject", None)
        .await
        .refused(422, "reason_missing");
    api.decides(&gate, "reject", Some("  \n "))
        .await
        .refused(422, "reason_missing");
    api.decides(&gate, "reject", Some(&"x".repeat(2001)))
        .await
        .refused(422, "reason_too_long");
    let wrong = json!({ "id": id, "evidence_digest": "0".repeat(64) });
    api.decides(&wrong, "approve", None)
        .await
        .refused(409, "evidence_changed");
    let unknown = json!({ "id": "gate-0000000000000000", "evidence_digest": "0" });
    api.decides(&unknown, "approve", None)
        .await
        .refused(404, "not_found");
    let key = [("idempotency-key", "a key with spaces")];
    api.post_with(&decisions, &decision, &key)
        .await
        .refused(422, "idempotency_key_malformed");
    let plan = "/services/web/rollbacks/plan";
    api.post(plan, &json!({ "target": "web:77" }))
        .await
        .refused(422, "target_unknown");
    api.post(plan, &json!({ "target": "\u{0}" }))
        .await
        .refused(422, "target_unknown");
    api.post(
        "/services/nowhere/rollbacks/plan",
        &json!({ "target": "previous" }),
    )
    .await
    .refused(404, "not_found");
    let planned = api
        .post(plan, &json!({ "target": "previous" }))
        .await
        .is(200);
    assert_eq!(planned["kind"], "reject_at_gate", "{planned}");
    let rollback = |reason: &str, digest: &Value| json!({ "target": "previous", "reason": reason, "plan_digest": digest });
    let rollbacks = "/services/web/rollbacks";
    api.post(rollbacks, &rollback("", &planned["digest"]))
        .await
        .refused(422, "reason_missing");
    api.post(rollbacks, &rollback("why", &json!("0")))
        .await
        .refused(409, "plan_changed");

    // Queries and paths.
    for query in [
        "outcome=splendid",
        "phase=later",
        "limit=0",
        "limit=201",
        "limit=x",
        "from=yesterday",
    ] {
        let answer = api.get(&format!("/deployments?{query}")).await;
        answer.refused(422, "invalid_parameter");
    }
    api.get("/deployments?outcom=failed")
        .await
        .refused(422, "unknown_parameter");
    api.get("/coverage?limit=1")
        .await
        .refused(422, "unknown_parameter");
    for cursor in ["x", "x.y", ".", "%00", "99999999999999999999.d"] {
        for list in ["deployments", "services", "gates", "gates?state=open"] {
            let joint = if list.contains('?') { '&' } else { '?' };
            let answer = api.get(&format!("/{list}{joint}cursor={cursor}")).await;
            answer.refused(422, "filter_invalid");
        }
    }
    for query in [
        "services?limit=0",
        "services?moving=maybe",
        "gates?limit=201",
    ] {
        let answer = api.get(&format!("/{query}")).await;
        answer.refused(422, "invalid_parameter");
    }
    for path in [
        "/deployments/d-NOSUCHONE",
        "/gates/gate-x",
        "/services/x",
        "/operations/op-x",
    ] {
        api.get(path).await.refused(404, "not_found");
    }
    let missing = api.get("/no-such-path").await;
    missing.refused(404, "not_found");
    let method = api.send(Method::DELETE, "/api/v1/services", &[], "").await;
    assert_eq!(method.status, 405, "{}", method.body);

    assert_eq!(
        api.audit_length().await,
        before,
        "a refused request was written down"
    );
    assert_eq!(api.gate(id).await["state"], "open");
    assert_eq!(world.calls_of_the_product().await, Vec::<String>::new());

    // A gate that is closed stays closed.
    api.decides(&gate, "reject", Some("enough")).await.is(200);
    for verdict in ["approve", "reject"] {
        api.decides(&gate, verdict, Some("again"))
            .await
            .refused(409, "gate_closed");
    }
    world.confirmed(&gate).await;
    assert_eq!(world.ends(&aws_id).await["outcome"], "rolled_back");
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}
