//! What every answer has to have so that a browser is safe with it, whatever was asked and whatever came of it.

use super::*;

/// Directives by which a page could run what it was not sent to run.
const UNSAFE: [&str; 5] = [
    "'unsafe-inline'",
    "'unsafe-eval'",
    "http:",
    "https:",
    "script-src *",
];

/// Holds an answer to the headers that every answer has.
pub(super) fn hold(method: &str, path: &str, answer: &Answer) {
    let line = format!("{method} {path}: {} {:?}", answer.status, answer.headers);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(answer.header(name), value, "{line}");
    }
    let policies: Vec<&str> = answer
        .headers
        .get_all(header::CONTENT_SECURITY_POLICY)
        .iter()
        .map(|policy| policy.to_str().unwrap())
        .collect();
    let [policy] = policies.as_slice() else {
        panic!("not one policy: {line}");
    };
    for directive in [
        "default-src",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(directive), "{directive}: {line}");
    }
    for directive in UNSAFE {
        assert!(!policy.contains(directive), "{directive}: {line}");
    }
    if policy.contains("script-src") {
        let nonce = policy.split("'nonce-").nth(1).expect(&line);
        let nonce = nonce.split('\'').next().unwrap();
        assert!(nonce.len() >= 22, "{nonce} is too short: {line}");
        for script in answer.body.split("<script").skip(1) {
            let tag = script.split('>').next().unwrap();
            assert!(tag.contains(nonce), "a script without the nonce: {tag}");
        }
    } else {
        assert!(!answer.body.contains("<script"), "a script: {line}");
    }
    for attribute in [" onclick=", " onerror=", " onload=", "javascript:"] {
        let is_page = answer.header(header::CONTENT_TYPE).starts_with("text/html");
        assert!(
            !is_page || !answer.body.contains(attribute),
            "{attribute} in {method} {path}"
        );
    }
    let cache = answer.header(header::CACHE_CONTROL);
    let is_the_same_for_all = path.starts_with("/pkg/")
        || path.starts_with("/fonts/")
        || ["/favicon.svg", "/favicon.ico", "/robots.txt"].contains(&path);
    assert!(
        is_the_same_for_all || ["no-store", "private, no-cache"].contains(&cache),
        "{cache:?}: {line}"
    );
    for cookie in answer.headers.get_all(header::SET_COOKIE) {
        let cookie = cookie.to_str().unwrap().to_ascii_lowercase();
        if cookie.contains("max-age=0") {
            // It is taken back, and holds nothing.
            continue;
        }
        assert!(cookie.contains("samesite="), "{cookie}");
        if cookie.starts_with(session::COOKIE) {
            assert!(cookie.contains("httponly"), "{cookie}");
        }
    }
    // What tells a visitor which software answers helps only whoever looks for a hole.
    for name in ["server", "x-powered-by"] {
        assert!(!answer.headers.contains_key(name), "{line}");
    }
}

/// Two pages never share a nonce: one that could be foreseen would be none.
#[tokio::test]
async fn every_page_has_a_nonce_of_its_own() {
    let world = world().await;
    let dana = world.sign_in("dana").await;
    let mut nonces = BTreeSet::new();
    for _ in 0..3 {
        for path in ["/", "/approvals", "/sign-in", "/api"] {
            let page = world.get(path, &dana).await;
            let policy = page.header(header::CONTENT_SECURITY_POLICY).to_string();
            let nonce = policy.split("'nonce-").nth(1).map(str::to_string);
            if let Some(nonce) = nonce {
                assert!(nonces.insert(nonce), "{path}: {policy}");
            }
        }
    }
    assert!(nonces.len() >= 9, "{nonces:?}");
}
