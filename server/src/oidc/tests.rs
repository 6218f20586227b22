//! Forged tokens against local keys.

use super::*;
use openidconnect::IdTokenClaims;
use openidconnect::JsonWebKeyId;
use openidconnect::JsonWebKeySet;
use openidconnect::PrivateSigningKey;
use openidconnect::core::CoreEdDsaPrivateSigningKey;
use openidconnect::core::CoreHmacKey;
use serde_json::json;

const NOW: Moment = Moment::from_millis(1_795_000_000_000);
const ISSUER: &str = "https://id.example.com";
const SECRET: &str = "the client's secret";

/// Two keys that are used nowhere else.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIIn3nonv8qOC+aFQt5vla5/eNDt3nhlFbO7QRuuemDXp
-----END PRIVATE KEY-----
";
const OTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIDnB+9NjdCrFsOI6/FjAd0UUjmalAl6BzuYWkDK0M9Cj
-----END PRIVATE KEY-----
";

fn settings() -> Oidc {
    Oidc {
        issuer: ISSUER.to_string(),
        client_id: "switchback".to_string(),
        client_secret: Some(SECRET.into()),
        scopes: Vec::new(),
        name_claim: "preferred_username".to_string(),
        groups_claim: "groups".to_string(),
        roles: Vec::new(),
        email_domains: Vec::new(),
        label: String::new(),
        public_url: "https://desk.example.com".to_string(),
    }
}

fn key(pem: &str, id: &str) -> CoreEdDsaPrivateSigningKey {
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(pem, Some(JsonWebKeyId::new(id.to_string())))
        .unwrap()
}

fn metadata() -> ProviderMetadataWithLogout {
    let document = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://id.example.com/auth",
        "token_endpoint": "https://id.example.com/token",
        "jwks_uri": "https://id.example.com/keys",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "HS256", "none", "of-the-future"],
    });
    let metadata: ProviderMetadataWithLogout = serde_json::from_value(document).unwrap();
    metadata.set_jwks(JsonWebKeySet::new(vec![
        key(KEY, "one").as_verification_key(),
    ]))
}

/// The claims of a token that is as it must be, with others in the place of some.
fn claims(others: Value) -> IdTokenClaims<Others, CoreGenderClaim> {
    let seconds = NOW.millis() / 1000;
    let mut claims = json!({
        "iss": ISSUER, "aud": "switchback", "sub": "s-1", "nonce": "the nonce",
        "iat": seconds, "exp": seconds + 300, "preferred_username": "mira", "groups": ["release"],
    });
    for (name, value) in others.as_object().unwrap() {
        claims[name] = value.clone();
    }
    serde_json::from_value(claims).unwrap()
}

fn signed(others: Value, pem: &str, id: &str) -> Token {
    Token::new(
        claims(others),
        &key(pem, id),
        CoreJwsSigningAlgorithm::EdDsa,
        None,
        None,
    )
    .unwrap()
}

fn judged(token: &Token, fresh_since: Option<Moment>) -> Result<Value, NotVerified> {
    let nonce = Nonce::new("the nonce".to_string());
    let times = Times {
        now: NOW,
        fresh_since,
    };
    verified(&settings(), &metadata(), token, &nonce, times)
}

#[test]
fn a_token_that_is_as_it_must_be() {
    let claims = judged(&signed(json!({ "azp": "switchback" }), KEY, "one"), None).unwrap();
    let person = claims::person(&settings(), &claims).unwrap();
    assert_eq!(
        (person.name.as_str(), &*person.groups),
        ("mira", &["release".to_string()][..])
    );
}

#[test]
fn every_wrong_claim_is_refused() {
    let seconds = NOW.millis() / 1000;
    for (expected, others) in [
        (Ok(()), json!({ "exp": seconds - 59 })),
        (Err(NotVerified::Claims), json!({ "exp": seconds - 61 })),
        (Ok(()), json!({ "iat": seconds + 59 })),
        (Err(NotVerified::Claims), json!({ "iat": seconds + 61 })),
        (Ok(()), json!({ "iat": seconds - 600 })),
        (Err(NotVerified::Claims), json!({ "iat": seconds - 602 })),
        (Ok(()), json!({ "nbf": seconds + 59 })),
        (Err(NotVerified::Claims), json!({ "nbf": seconds + 61 })),
        (Err(NotVerified::Claims), json!({ "nonce": "another" })),
        (Err(NotVerified::Claims), json!({ "nonce": null })),
        (
            Err(NotVerified::Claims),
            json!({ "iss": "https://id.example.com/" }),
        ),
        (
            Err(NotVerified::Claims),
            json!({ "iss": "https://evil.example" }),
        ),
        (Err(NotVerified::Claims), json!({ "aud": "another" })),
        (Err(NotVerified::Claims), json!({ "aud": [] })),
        (
            Err(NotVerified::Claims),
            json!({ "aud": ["switchback", "another"] }),
        ),
        (Ok(()), json!({ "aud": ["switchback"] })),
        (Err(NotVerified::Claims), json!({ "azp": "another" })),
    ] {
        let judged = judged(&signed(others.clone(), KEY, "one"), None).map(|_| ());
        assert_eq!(judged, expected, "{others}");
    }
}

#[test]
fn only_a_key_of_the_provider_signs() {
    for (pem, id) in [(OTHER_KEY, "one"), (OTHER_KEY, "two"), (KEY, "two")] {
        let judged = judged(&signed(json!({}), pem, id), None);
        assert_eq!(judged, Err(NotVerified::Signature), "{id}");
    }
    // The provider offers it, and whoever knows the client's secret could sign so.
    let by_secret = Token::new(
        claims(json!({})),
        &CoreHmacKey::new(SECRET),
        CoreJwsSigningAlgorithm::HmacSha256,
        None,
        None,
    )
    .unwrap();
    assert_eq!(judged(&by_secret, None), Err(NotVerified::Signature));
    // A token in which another name was put under an honest signature, and one without any.
    let honest = signed(json!({}), KEY, "one").to_string();
    let evil = signed(json!({ "preferred_username": "admin" }), OTHER_KEY, "one").to_string();
    let parts: Vec<&str> = honest.split('.').collect();
    let other: Vec<&str> = evil.split('.').collect();
    for text in [
        format!("{}.{}.{}", parts[0], other[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
    ] {
        let forged: Token = serde_json::from_value(json!(text)).unwrap();
        assert_eq!(judged(&forged, None), Err(NotVerified::Signature), "{text}");
    }
}

#[test]
fn a_fresh_sign_in_is_one_that_happened_since() {
    let seconds = NOW.millis() / 1000;
    let since = NOW.plus_seconds(-30);
    for (expected, others) in [
        (Ok(()), json!({ "auth_time": seconds - 10 })),
        // The provider's clock may be a minute behind.
        (Ok(()), json!({ "auth_time": seconds - 90 })),
        (
            Err(NotVerified::NotFresh),
            json!({ "auth_time": seconds - 91 }),
        ),
        (
            Err(NotVerified::NotFresh),
            json!({ "auth_time": seconds + 61 }),
        ),
        (Err(NotVerified::NotFresh), json!({})),
    ] {
        let judged = judged(&signed(others.clone(), KEY, "one"), Some(since)).map(|_| ());
        assert_eq!(judged, expected, "{others}");
    }
}

#[test]
fn nothing_that_is_said_to_people_tells_of_a_token() {
    for refused in Refused::ALL {
        let said = refused.message();
        assert!(said.ends_with('.') && said.len() > 40, "{said}");
        assert!(refused.code().starts_with("oidc_"), "{}", refused.code());
    }
}
