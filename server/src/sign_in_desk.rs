//! What pages ask about the reader's own way in.

use crate::Deps;
use crate::front::Caller;
use crate::front::Proof;
use crate::session::OpenSession;
use async_trait::async_trait;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_contract::SessionView;
use switchback_contract::SessionsPage;
use switchback_contract::SignInAgain;
use switchback_contract::SignInDesk;
use switchback_contract::SignInMethod;
use switchback_contract::SignInView;
use switchback_contract::WaysIn;
use switchback_store::records::SessionRecord;

/// Bound to one reader.
pub struct Desk {
    deps: Deps,
    caller: Caller,
}

impl Desk {
    /// For the reader of a page.
    pub fn new(deps: Deps, caller: Caller) -> Desk {
        Desk { deps, caller }
    }

    fn session(&self) -> Result<&OpenSession, Refusal> {
        match &self.caller.proof {
            Proof::Session(session) => Ok(session),
            Proof::None | Proof::Token(_) => Err(Refusal::new(
                RefusalKind::SignInNeeded,
                "sign_in_needed",
                "Sign in first.",
            )),
        }
    }
}

#[async_trait]
impl SignInDesk for Desk {
    async fn ways_in(&self) -> Result<WaysIn, Refusal> {
        let settings = &self.deps.sign_in;
        Ok(WaysIn {
            local: settings.local,
            single_sign_on: settings.oidc.as_ref().map(|oidc| oidc.label.clone()),
        })
    }

    async fn sign_in_again(&self) -> Result<SignInAgain, Refusal> {
        let session = self.session()?;
        let actor = self.caller.actor.as_ref();
        let settings = &self.deps.sign_in;
        let of_provider = session.record.method == SignInMethod::Oidc;
        Ok(SignInAgain {
            name: actor.map(|actor| actor.name.clone()).unwrap_or_default(),
            single_sign_on: settings
                .oidc
                .as_ref()
                .filter(|_| of_provider)
                .map(|oidc| oidc.label.clone()),
            minutes: settings.step_up.map(|limit| limit.as_secs() / 60),
        })
    }

    async fn sign_in(&self) -> Result<SignInView, Refusal> {
        let session = self.session()?;
        Ok(SignInView {
            is_break_glass: session.record.method == SignInMethod::BreakGlass,
        })
    }

    async fn sessions(&self) -> Result<SessionsPage, Refusal> {
        let current = &self.session()?.record;
        let now = self.deps.now();
        let idle = self.deps.sign_in.session_idle;
        let found = self
            .deps
            .store
            .session_list(&current.user_id)
            .await
            .map_err(|error| {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the sessions of a user could not be read"
                );
                Refusal::new(
                    RefusalKind::Unavailable,
                    "database_unavailable",
                    "The database does not answer now. Try again in a moment.",
                )
            })?;
        let (mine, others): (Vec<SessionRecord>, Vec<SessionRecord>) = found
            .into_iter()
            .filter(|session| session.times.stands(now, idle))
            .partition(|session| session.id == current.id);
        let sessions = mine
            .into_iter()
            .chain(others)
            .map(|session| SessionView {
                is_current: session.id == current.id,
                id: session.id.to_string(),
                method: session.method,
                browser: session.user_agent,
                client_address: session.client_address,
                created_at: session.created_at,
                last_used_at: session.times.last_used_at,
                ends_at: session.times.ends_at,
            })
            .collect();
        Ok(SessionsPage {
            now,
            idle_minutes: idle.as_secs() / 60,
            sessions,
        })
    }
}
