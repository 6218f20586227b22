//! What a verified ID token says about a person, and what of it Switchback takes. Pure; the quirks of the known providers
//! are told in `docs/sign-in.md` and held by the tests here.

use crate::config::Oidc;
use crate::oidc::Refused;
use serde_json::Value;

/// More groups than this are a list that somebody should have narrowed.
const MOST_GROUPS: usize = 1000;

/// The longest name.
const LONGEST_NAME: usize = 100;

/// Google's issuer, whose `hd` claim alone says that an account belongs to an organisation.
const GOOGLE: &str = "https://accounts.google.com";

/// Who came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The provider's own name for them, which never changes.
    pub subject: String,
    /// What they are called here.
    pub name: String,
    /// Their groups.
    pub groups: Vec<String>,
}

/// Whether something that is needed is missing in the ID token and may be at the provider's userinfo endpoint.
pub fn lacks_something(settings: &Oidc, claims: &Value) -> bool {
    let absent = |name: &str| find(claims, name).is_none();
    absent(&settings.name_claim)
        || !settings.roles.is_empty() && absent(&settings.groups_claim)
        || !settings.email_domains.is_empty() && absent("email") && absent("hd")
}

/// The claims of the ID token, and of the userinfo answer those that it lacks.
pub fn merged(mut claims: Value, userinfo: Value) -> Value {
    if let (Some(claims), Value::Object(more)) = (claims.as_object_mut(), userinfo) {
        for (name, value) in more {
            claims.entry(name).or_insert(value);
        }
    }
    claims
}

/// Reads the claims of a verified token.
pub fn person(settings: &Oidc, claims: &Value) -> Result<Person, Refused> {
    let subject = claims
        .get("sub")
        .and_then(Value::as_str)
        .filter(|subject| !subject.is_empty() && subject.len() <= 255)
        .ok_or(Refused::Token)?;
    if !is_of_domain(settings, claims) {
        return Err(Refused::Domain);
    }
    let name = find(claims, &settings.name_claim)
        .and_then(Value::as_str)
        .filter(|name| is_name(name))
        .ok_or(Refused::NameMissing)?;
    Ok(Person {
        subject: subject.to_string(),
        name: name.to_string(),
        groups: groups(settings, claims)?,
    })
}

/// A claim by its name; where no claim has it, dots lead into objects (`realm_access.roles`).
fn find<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    let whole = claims.get(name);
    whole
        .or_else(|| {
            name.split('.')
                .try_fold(claims, |inside, part| inside.get(part))
        })
        .filter(|value| !value.is_null())
}

/// Names stand in the audit log and in sentences: no spaces, nothing that looks like another letter, and nothing that
/// another kind of actor is called.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name != "switchback"
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b':')
}

fn groups(settings: &Oidc, claims: &Value) -> Result<Vec<String>, Refused> {
    let name = settings.groups_claim.as_str();
    // Entra names a place instead of the groups when there are more than about 200.
    let elsewhere = claims
        .get("_claim_names")
        .is_some_and(|names| names.get(name).is_some());
    let has_groups = name == "groups" && claims.get("hasgroups").is_some_and(is_true);
    if elsewhere || has_groups {
        return Err(Refused::GroupsOverage);
    }
    let groups: Vec<String> = match find(claims, name) {
        None => Vec::new(),
        Some(Value::String(group)) => vec![group.clone()],
        Some(Value::Array(groups)) => groups
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_string)
            .collect(),
        Some(_) => return Err(Refused::Groups),
    };
    if groups.len() > MOST_GROUPS {
        return Err(Refused::GroupsOverage);
    }
    Ok(groups)
}

fn is_of_domain(settings: &Oidc, claims: &Value) -> bool {
    let domains = &settings.email_domains;
    if domains.is_empty() {
        return true;
    }
    let allowed = |domain: &str| {
        domains
            .iter()
            .any(|known| known.eq_ignore_ascii_case(domain))
    };
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if let Some(hosted) = text("hd") {
        return allowed(hosted);
    }
    // A private account at Google may have an address of any domain.
    if settings.issuer == GOOGLE {
        return false;
    }
    // Entra does not say `email_verified`; `xms_edov` is its word for that the domain's owner was verified.
    let verified = ["email_verified", "xms_edov"]
        .iter()
        .any(|name| claims.get(*name).is_some_and(is_true));
    let domain = text("email").and_then(|email| email.rsplit_once('@'));
    verified && domain.is_some_and(|(_, domain)| allowed(domain))
}

/// Some providers write truth as a text or a number.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::String(text) => text == "true" || text == "1",
        Value::Number(number) => number.as_i64() == Some(1),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use switchback_domain::actor::Role;

    fn settings() -> Oidc {
        Oidc {
            issuer: "https://id.example.com".to_string(),
            client_id: "switchback".to_string(),
            client_secret: None,
            scopes: Vec::new(),
            name_claim: "preferred_username".to_string(),
            groups_claim: "groups".to_string(),
            roles: vec![("release".to_string(), Role::Approver)],
            email_domains: Vec::new(),
            label: String::new(),
            public_url: "https://desk.example.com".to_string(),
        }
    }

    fn claims(more: Value) -> Value {
        merged(
            more,
            json!({ "sub": "s-1", "preferred_username": "mira", "groups": ["release", "all"] }),
        )
    }

    #[test]
    fn the_usual_claims() {
        let person = person(&settings(), &claims(json!({}))).unwrap();
        assert_eq!(
            (person.subject.as_str(), person.name.as_str()),
            ("s-1", "mira")
        );
        assert_eq!(person.groups, ["release", "all"]);
        assert_eq!(settings().roles_of(&person.groups), [Role::Approver]);
        assert!(!lacks_something(&settings(), &claims(json!({}))));
        assert!(lacks_something(
            &settings(),
            &json!({ "sub": "s-1", "preferred_username": "mira" })
        ));
        assert!(lacks_something(
            &settings(),
            &json!({ "sub": "s-1", "groups": [] })
        ));
    }

    #[test]
    fn the_token_goes_before_userinfo() {
        let both = merged(
            json!({ "sub": "s-1", "groups": [] }),
            json!({ "sub": "s-2", "groups": ["x"], "email": "e" }),
        );
        assert_eq!(both, json!({ "sub": "s-1", "groups": [], "email": "e" }));
    }

    #[test]
    fn keycloak_lists_roles_in_an_object_and_groups_by_their_path() {
        let mut settings = settings();
        settings.groups_claim = "realm_access.roles".to_string();
        let claims = claims(json!({ "realm_access": { "roles": ["release"] } }));
        assert_eq!(person(&settings, &claims).unwrap().groups, ["release"]);
        settings.groups_claim = "https://example.com/groups".to_string();
        let claims = self::claims(json!({ "https://example.com/groups": ["/prod/release"] }));
        assert_eq!(
            person(&settings, &claims).unwrap().groups,
            ["/prod/release"]
        );
    }

    #[test]
    fn entra_with_too_many_groups_is_refused_and_not_taken_for_none() {
        for overage in [
            json!({ "_claim_names": { "groups": "src1" }, "_claim_sources": { "src1": { "endpoint": "https://graph" } } }),
            json!({ "hasgroups": true }),
            json!({ "hasgroups": "true" }),
            json!({ "groups": vec!["g"; MOST_GROUPS + 1] }),
        ] {
            assert_eq!(
                person(&settings(), &claims(overage.clone())),
                Err(Refused::GroupsOverage),
                "{overage}"
            );
        }
        let mut by_roles = settings();
        by_roles.groups_claim = "roles".to_string();
        let claims = claims(json!({ "hasgroups": true, "roles": ["Release.Approve"] }));
        assert_eq!(
            person(&by_roles, &claims).unwrap().groups,
            ["Release.Approve"],
            "app roles"
        );
    }

    #[test]
    fn okta_and_google_send_no_groups_unless_told_to() {
        let claims = json!({ "sub": "s-1", "preferred_username": "mira" });
        assert_eq!(
            person(&settings(), &claims).unwrap().groups,
            Vec::<String>::new()
        );
        let claims = json!({ "sub": "s-1", "preferred_username": "mira", "groups": "release" });
        assert_eq!(
            person(&settings(), &claims).unwrap().groups,
            ["release"],
            "one group as a text"
        );
        let claims = json!({ "sub": "s-1", "preferred_username": "mira", "groups": { "a": 1 } });
        assert_eq!(person(&settings(), &claims), Err(Refused::Groups));
    }

    #[test]
    fn only_addresses_of_the_domains_that_were_verified() {
        let mut settings = settings();
        settings.email_domains = vec!["example.com".to_string()];
        for (is_let_in, more) in [
            (
                true,
                json!({ "email": "m@example.com", "email_verified": true }),
            ),
            (
                true,
                json!({ "email": "m@EXAMPLE.com", "email_verified": "true" }),
            ),
            (true, json!({ "email": "m@example.com", "xms_edov": 1 })),
            (false, json!({ "email": "m@example.com" })),
            (
                false,
                json!({ "email": "m@example.com", "email_verified": false }),
            ),
            (
                false,
                json!({ "email": "m@sub.example.com", "email_verified": true }),
            ),
            (
                false,
                json!({ "email": "m@example.com@evil.example", "email_verified": true }),
            ),
            (
                false,
                json!({ "email": "example.com", "email_verified": true }),
            ),
            (
                false,
                json!({ "hd": "evil.example", "email": "m@example.com", "email_verified": true }),
            ),
            (true, json!({ "hd": "example.com" })),
            (false, json!({})),
        ] {
            let found = person(&settings, &claims(more.clone()));
            assert_eq!(found.is_ok(), is_let_in, "{more}");
        }
        settings.issuer = GOOGLE.to_string();
        let private = claims(json!({ "email": "m@example.com", "email_verified": true }));
        assert_eq!(
            person(&settings, &private),
            Err(Refused::Domain),
            "a private account at Google"
        );
    }

    #[test]
    fn names_that_could_be_taken_for_another_are_refused() {
        for name in [
            "",
            "switchback",
            "token:ci",
            "mira m",
            "m\u{456}ra",
            "a\nb",
            &"x".repeat(101),
        ] {
            let claims = json!({ "sub": "s-1", "preferred_username": name });
            assert_eq!(
                person(&settings(), &claims),
                Err(Refused::NameMissing),
                "{name:?}"
            );
        }
        for subject in [json!(null), json!(""), json!(7), json!("x".repeat(256))] {
            let claims = json!({ "sub": subject, "preferred_username": "mira" });
            assert_eq!(
                person(&settings(), &claims),
                Err(Refused::Token),
                "{claims}"
            );
        }
        let mut by_address = settings();
        by_address.name_claim = "email".to_string();
        let claims = json!({ "sub": "s-1", "email": "mira@example.com" });
        assert_eq!(
            person(&by_address, &claims).unwrap().name,
            "mira@example.com"
        );
    }
}
