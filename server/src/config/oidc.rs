//! The settings of signing in by OpenID Connect.

use super::PUBLIC_URL;
use super::Reader;
use super::Setting;
use super::plain;
use super::secret;
use secrecy::SecretString;
use switchback_domain::actor::Role;

pub(super) const ISSUER: Setting = plain("SWITCHBACK_OIDC_ISSUER", "oidc.issuer");
pub(super) const CLIENT_ID: Setting = plain("SWITCHBACK_OIDC_CLIENT_ID", "oidc.client_id");
pub(super) const CLIENT_SECRET: Setting =
    secret("SWITCHBACK_OIDC_CLIENT_SECRET", "oidc.client_secret");
pub(super) const SCOPES: Setting = plain("SWITCHBACK_OIDC_SCOPES", "oidc.scopes");
pub(super) const NAME_CLAIM: Setting = plain("SWITCHBACK_OIDC_NAME_CLAIM", "oidc.name_claim");
pub(super) const GROUPS_CLAIM: Setting = plain("SWITCHBACK_OIDC_GROUPS_CLAIM", "oidc.groups_claim");
pub(super) const ROLES: Setting = plain("SWITCHBACK_OIDC_ROLES", "oidc.roles");
pub(super) const EMAIL_DOMAINS: Setting =
    plain("SWITCHBACK_OIDC_EMAIL_DOMAINS", "oidc.email_domains");
pub(super) const LABEL: Setting = plain("SWITCHBACK_OIDC_LABEL", "oidc.label");

/// The provider, and what its claims mean here.
#[derive(Clone, Debug)]
pub struct Oidc {
    /// The issuer, exactly as the provider's discovery document and its tokens write it. `SWITCHBACK_OIDC_ISSUER`
    pub issuer: String,
    /// `SWITCHBACK_OIDC_CLIENT_ID`
    pub client_id: String,
    /// Without one Switchback is a public client, proven by PKCE alone. `SWITCHBACK_OIDC_CLIENT_SECRET`
    pub client_secret: Option<SecretString>,
    /// What is asked for beside `openid`. `SWITCHBACK_OIDC_SCOPES`
    pub scopes: Vec<String>,
    /// The claim whose value is the user's name. `SWITCHBACK_OIDC_NAME_CLAIM`
    pub name_claim: String,
    /// The claim that lists groups; dots lead into objects. `SWITCHBACK_OIDC_GROUPS_CLAIM`
    pub groups_claim: String,
    /// Which group has which role. `SWITCHBACK_OIDC_ROLES`
    pub roles: Vec<(String, Role)>,
    /// The domains whose addresses may sign in; any when there are none. `SWITCHBACK_OIDC_EMAIL_DOMAINS`
    pub email_domains: Vec<String>,
    /// What the button says. `SWITCHBACK_OIDC_LABEL`
    pub label: String,
    /// The URL that people use, without a slash at its end; from `SWITCHBACK_PUBLIC_URL`.
    pub public_url: String,
}

impl Oidc {
    /// The roles that these groups have here, weakest first.
    pub fn roles_of(&self, groups: &[String]) -> Vec<Role> {
        let mut roles: Vec<Role> = self
            .roles
            .iter()
            .filter(|(group, _)| groups.contains(group))
            .map(|(_, role)| *role)
            .collect();
        roles.sort();
        roles.dedup();
        roles
    }
}

/// `None` without an issuer; then none of the others may be given either.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Oidc> {
    let issuer = reader.parsed(
        &ISSUER,
        "the provider's issuer, an https URL such as https://id.example.com/realms/main",
        |text| is_issuer(text).then(|| text.to_string()),
    );
    let client_id = reader.value(&CLIENT_ID);
    let client_secret = reader.secret(&CLIENT_SECRET).map(SecretString::from);
    let scopes = reader.parsed(
        &SCOPES,
        "scopes with commas or spaces between, such as profile,email,groups",
        scopes_of,
    );
    let roles = reader.parsed(
        &ROLES,
        "groups with their roles, commas between: release-managers=approver,on-call=operator (viewer, approver, operator, \
         admin)",
        roles_of,
    );
    let email_domains = reader.parsed(
        &EMAIL_DOMAINS,
        "domains with commas between, such as example.com,example.org",
        domains_of,
    );
    if reader.value(&ISSUER).is_none() {
        for setting in [
            &CLIENT_ID,
            &CLIENT_SECRET,
            &SCOPES,
            &NAME_CLAIM,
            &GROUPS_CLAIM,
            &ROLES,
            &EMAIL_DOMAINS,
            &LABEL,
        ] {
            if reader.value(setting).is_some() {
                reader.problems.push(format!(
                    "{} is given without SWITCHBACK_OIDC_ISSUER",
                    setting.variable
                ));
            }
        }
        return None;
    }
    let public_url = reader.value(&PUBLIC_URL);
    for (setting, is_given) in [
        (&CLIENT_ID, client_id.is_some()),
        (&PUBLIC_URL, public_url.is_some()),
    ] {
        if !is_given {
            reader.problems.push(format!(
                "SWITCHBACK_OIDC_ISSUER is given without {}",
                setting.variable
            ));
        }
    }
    Some(Oidc {
        issuer: issuer?,
        client_id: client_id?,
        client_secret,
        scopes: scopes.unwrap_or_else(|| vec!["profile".to_string(), "email".to_string()]),
        name_claim: reader
            .value(&NAME_CLAIM)
            .unwrap_or_else(|| "preferred_username".to_string()),
        groups_claim: reader
            .value(&GROUPS_CLAIM)
            .unwrap_or_else(|| "groups".to_string()),
        roles: roles.unwrap_or_default(),
        email_domains: email_domains.unwrap_or_default(),
        label: reader
            .value(&LABEL)
            .unwrap_or_else(|| "Sign in with single sign-on".to_string()),
        public_url: public_url?.trim_end_matches('/').to_string(),
    })
}

fn is_issuer(text: &str) -> bool {
    let Ok(url) = text.parse::<http::Uri>() else {
        return false;
    };
    url.query().is_none() && is_safe_url(&url)
}

/// Whether something secret may be sent there: by HTTPS, or within this machine.
pub fn is_safe_url(url: &http::Uri) -> bool {
    match (url.scheme_str(), url.host()) {
        (Some("https"), Some(host)) => !host.is_empty(),
        (Some("http"), Some(host)) => matches!(host, "127.0.0.1" | "localhost" | "[::1]"),
        _ => false,
    }
}

fn scopes_of(text: &str) -> Option<Vec<String>> {
    let scopes: Vec<String> = text
        .split([',', ' '])
        .map(str::trim)
        .filter(|scope| !scope.is_empty() && *scope != "openid")
        .map(str::to_string)
        .collect();
    let fine = scopes
        .iter()
        .all(|scope| scope.bytes().all(|byte| byte.is_ascii_graphic()));
    fine.then_some(scopes)
}

fn roles_of(text: &str) -> Option<Vec<(String, Role)>> {
    text.split(',')
        .map(|pair| {
            // Groups may have the sign in their names, roles do not.
            let (group, role) = pair.rsplit_once('=')?;
            let group = group.trim();
            let role = Role::parse(role.trim())?;
            (!group.is_empty()).then(|| (group.to_string(), role))
        })
        .collect()
}

fn domains_of(text: &str) -> Option<Vec<String>> {
    text.split(',')
        .map(|domain| {
            let domain = domain.trim().to_ascii_lowercase();
            let fine = domain.contains('.')
                && domain.bytes().all(|byte| {
                    byte.is_ascii_lowercase()
                        || byte.is_ascii_digit()
                        || matches!(byte, b'.' | b'-')
                });
            fine.then_some(domain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::collections::BTreeMap;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<Oidc>, Vec<String>> {
        let given: BTreeMap<String, String> = pairs
            .iter()
            .map(|(name, value)| (format!("SWITCHBACK_{name}"), value.to_string()))
            .collect();
        Config::read("", &given)
            .map(|config| config.sign_in.oidc)
            .map_err(|problems| problems.0)
    }

    const LEAST: [(&str, &str); 3] = [
        ("OIDC_ISSUER", "https://id.example.com/"),
        ("OIDC_CLIENT_ID", "switchback"),
        ("PUBLIC_URL", "https://desk.example.com/"),
    ];

    #[test]
    fn the_least_that_is_needed() {
        assert!(read(&[]).unwrap().is_none());
        let oidc = read(&LEAST).unwrap().unwrap();
        assert_eq!(oidc.issuer, "https://id.example.com/", "as it was given");
        assert_eq!(oidc.public_url, "https://desk.example.com");
        assert_eq!(oidc.scopes, ["profile", "email"]);
        for (left_out, (name, _)) in LEAST.iter().enumerate() {
            let mut given = LEAST.to_vec();
            given.remove(left_out);
            assert!(read(&given).is_err(), "without {name}");
        }
    }

    #[test]
    fn groups_have_roles() {
        let mut given = LEAST.to_vec();
        let roles = "/prod/on-call=operator, release=approver,cn=admins=admin,release=viewer";
        given.push(("OIDC_ROLES", roles));
        let oidc = read(&given).unwrap().unwrap();
        let of = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|group| group.to_string()).collect();
            oidc.roles_of(&groups)
        };
        assert_eq!(
            of(&["release", "/prod/on-call"]),
            [Role::Viewer, Role::Approver, Role::Operator]
        );
        assert_eq!(of(&["cn=admins"]), [Role::Admin]);
        assert_eq!(of(&["Release", "on-call"]), []);
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        for (name, value) in [
            ("OIDC_ISSUER", "http://id.example.com"),
            ("OIDC_ISSUER", "id.example.com"),
            ("OIDC_ROLES", "release"),
            ("OIDC_ROLES", "release=boss"),
            ("OIDC_ROLES", "=admin"),
            ("OIDC_EMAIL_DOMAINS", "example"),
            ("OIDC_EMAIL_DOMAINS", "@example.com"),
        ] {
            let mut given: BTreeMap<&str, &str> = LEAST.into_iter().collect();
            given.insert(name, value);
            let given: Vec<(&str, &str)> = given.into_iter().collect();
            let problems = read(&given).unwrap_err();
            assert!(
                problems[0].starts_with(&format!("SWITCHBACK_{name} ")),
                "{problems:?}"
            );
        }
        assert!(read(&[("OIDC_LABEL", "x")]).is_err(), "a label of nothing");
        assert!(
            read(&[("LOCAL_SIGN_IN", "off")]).is_err(),
            "nobody could sign in"
        );
    }
}
