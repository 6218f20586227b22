//! Sessions of browsers: how one was begun, whether it still stands, and whether its holder proved themselves lately.

use crate::moment::Moment;
use serde::Deserialize;
use serde::Serialize;
use std::time::Duration;

/// How somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInMethod {
    /// A local user with a password.
    Password,
    /// A local administrator with a password, where local sign-in is for emergencies only.
    BreakGlass,
    /// By the OpenID Connect provider.
    Oidc,
}

impl SignInMethod {
    /// Every method.
    pub const ALL: [SignInMethod; 3] = [
        SignInMethod::Password,
        SignInMethod::BreakGlass,
        SignInMethod::Oidc,
    ];

    /// The word used in the store and the API.
    pub const fn word(self) -> &'static str {
        match self {
            SignInMethod::Password => "password",
            SignInMethod::BreakGlass => "break_glass",
            SignInMethod::Oidc => "oidc",
        }
    }

    /// The method with this word.
    pub fn parse(word: &str) -> Option<SignInMethod> {
        SignInMethod::ALL
            .into_iter()
            .find(|method| method.word() == word)
    }
}

/// Who may sign in with a password that Switchback keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalSignIn {
    /// Every local user.
    #[default]
    On,
    /// Only local administrators, and it counts as breaking the glass.
    BreakGlassOnly,
    /// Nobody.
    Off,
}

impl LocalSignIn {
    /// By the word of the setting.
    pub fn parse(word: &str) -> Option<LocalSignIn> {
        match word {
            "on" => Some(LocalSignIn::On),
            "break_glass_only" => Some(LocalSignIn::BreakGlassOnly),
            "off" => Some(LocalSignIn::Off),
            _ => None,
        }
    }

    /// How somebody signs in with the right password: `None` when they may not.
    pub const fn method(self, is_administrator: bool) -> Option<SignInMethod> {
        match (self, is_administrator) {
            (LocalSignIn::On, _) => Some(SignInMethod::Password),
            (LocalSignIn::BreakGlassOnly, true) => Some(SignInMethod::BreakGlass),
            (LocalSignIn::BreakGlassOnly, false) | (LocalSignIn::Off, _) => None,
        }
    }
}

/// The times of a session, all by Switchback's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimes {
    /// When it was last used; written at most once a minute.
    pub last_used_at: Moment,
    /// When it ends at the latest.
    pub ends_at: Moment,
    /// When its holder last proved who they are.
    pub fresh_at: Moment,
}

impl SessionTimes {
    /// Whether the session can still be used.
    pub fn stands(&self, now: Moment, idle: Duration) -> bool {
        now < self.ends_at && now < after(self.last_used_at, idle)
    }

    /// Whether its holder proved who they are within the last `limit`.
    pub fn is_fresh(&self, now: Moment, limit: Duration) -> bool {
        now < after(self.fresh_at, limit)
    }
}

/// The moment so much later.
pub fn after(moment: Moment, time: Duration) -> Moment {
    moment.plus_seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 2000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Moment = Moment::from_millis(1_795_000_000_000);

    #[test]
    fn a_session_ends_by_idleness_and_by_age() {
        let times = SessionTimes {
            last_used_at: NOON,
            ends_at: NOON.plus_seconds(3600),
            fresh_at: NOON,
        };
        let idle = Duration::from_secs(600);
        assert!(times.stands(NOON.plus_seconds(599), idle));
        assert!(!times.stands(NOON.plus_seconds(600), idle));
        let used = SessionTimes {
            last_used_at: NOON.plus_seconds(3500),
            ..times
        };
        assert!(used.stands(NOON.plus_seconds(3599), idle));
        assert!(!used.stands(NOON.plus_seconds(3600), idle));
    }

    #[test]
    fn a_proof_is_fresh_for_its_time_only() {
        let times = SessionTimes {
            last_used_at: NOON,
            ends_at: NOON.plus_seconds(3600),
            fresh_at: NOON,
        };
        let limit = Duration::from_secs(300);
        assert!(times.is_fresh(NOON.plus_seconds(299), limit));
        assert!(!times.is_fresh(NOON.plus_seconds(300), limit));
    }

    #[test]
    fn who_may_sign_in_with_a_password() {
        use LocalSignIn::BreakGlassOnly;
        use LocalSignIn::Off;
        use LocalSignIn::On;
        for (setting, is_administrator, method) in [
            (On, false, Some(SignInMethod::Password)),
            (On, true, Some(SignInMethod::Password)),
            (BreakGlassOnly, false, None),
            (BreakGlassOnly, true, Some(SignInMethod::BreakGlass)),
            (Off, false, None),
            (Off, true, None),
        ] {
            assert_eq!(setting.method(is_administrator), method, "{setting:?}");
        }
        for method in SignInMethod::ALL {
            assert_eq!(SignInMethod::parse(method.word()), Some(method));
        }
    }
}
