//! The settings of signing in: who may come by a password, and how long a session lasts.

use super::Oidc;
use super::Reader;
use super::Setting;
use super::oidc;
use super::plain;
use std::time::Duration;
use switchback_domain::sign_in::LocalSignIn;

pub(super) const LOCAL: Setting = plain("SWITCHBACK_LOCAL_SIGN_IN", "sign_in.local");
pub(super) const SESSION_IDLE: Setting = plain(
    "SWITCHBACK_SESSION_IDLE_MINUTES",
    "sign_in.session_idle_minutes",
);
pub(super) const SESSION_ABSOLUTE: Setting = plain(
    "SWITCHBACK_SESSION_ABSOLUTE_MINUTES",
    "sign_in.session_absolute_minutes",
);

pub(super) const STEP_UP: Setting = plain("SWITCHBACK_STEP_UP_MINUTES", "sign_in.step_up_minutes");
pub(super) const STEP_UP_TOKENS: Setting =
    plain("SWITCHBACK_STEP_UP_TOKENS", "sign_in.step_up_tokens");

/// How people sign in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Who may sign in with a password that Switchback keeps. `SWITCHBACK_LOCAL_SIGN_IN`
    pub local: LocalSignIn,
    /// How long a session lasts without a request. `SWITCHBACK_SESSION_IDLE_MINUTES`
    pub session_idle: Duration,
    /// How long a session lasts at most. `SWITCHBACK_SESSION_ABSOLUTE_MINUTES`
    pub session_absolute: Duration,
    /// How old the proof of who somebody is may be for a rollback; however old when it is not given.
    /// `SWITCHBACK_STEP_UP_MINUTES`
    pub step_up: Option<Duration>,
    /// Whether tokens, which cannot prove anything again, may roll back all the same. `SWITCHBACK_STEP_UP_TOKENS`
    pub step_up_spares_tokens: bool,
    /// The OpenID Connect provider.
    pub oidc: Option<Oidc>,
}

impl Default for SignIn {
    fn default() -> SignIn {
        SignIn {
            local: LocalSignIn::On,
            session_idle: Duration::from_secs(12 * 3600),
            session_absolute: Duration::from_secs(24 * 3600),
            step_up: None,
            step_up_spares_tokens: true,
            oidc: None,
        }
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> SignIn {
    let usual = SignIn::default();
    let local = reader.parsed(&LOCAL, "on, break_glass_only or off", LocalSignIn::parse);
    let session_idle = minutes(reader, &SESSION_IDLE, 5).unwrap_or(usual.session_idle);
    let session_absolute = minutes(reader, &SESSION_ABSOLUTE, 5).unwrap_or(usual.session_absolute);
    let step_up = minutes(reader, &STEP_UP, 1);
    let step_up_spares_tokens =
        reader.parsed(&STEP_UP_TOKENS, "exempt or refused", |text| match text {
            "exempt" => Some(true),
            "refused" => Some(false),
            _ => None,
        });
    let names_provider = reader.value(&oidc::ISSUER).is_some();
    if local == Some(LocalSignIn::Off) && !names_provider {
        reader.problems.push(
            "SWITCHBACK_LOCAL_SIGN_IN is off, and no provider is named (SWITCHBACK_OIDC_ISSUER): nobody could sign in"
                .to_string(),
        );
    }
    SignIn {
        local: local.unwrap_or_default(),
        session_idle,
        session_absolute,
        step_up,
        step_up_spares_tokens: step_up_spares_tokens.unwrap_or(true),
        oidc: oidc::read(reader),
    }
}

/// A number of minutes, at most a month of them.
fn minutes(reader: &mut Reader<'_>, setting: &Setting, least: u64) -> Option<Duration> {
    let expected = format!("a number of minutes from {least} to 43200");
    reader.parsed(setting, &expected, |text| {
        let minutes: u64 = text.parse().ok()?;
        (least..=43_200)
            .contains(&minutes)
            .then(|| Duration::from_secs(minutes * 60))
    })
}
