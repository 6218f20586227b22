//! How the reader is signed in, and the sessions that are theirs.

use crate::Moment;
use crate::Refusal;
use async_trait::async_trait;
use serde::Deserialize;
use serde::Serialize;
use std::sync::Arc;
pub use switchback_domain::sign_in::LocalSignIn;
pub use switchback_domain::sign_in::SignInMethod;

/// One session of a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// `ses-…`; names it and proves nothing.
    pub id: String,
    /// Whether it is the one that asks.
    pub is_current: bool,
    /// How it was begun.
    pub method: SignInMethod,
    /// The browser, in a few words.
    pub browser: String,
    /// The address that it was begun from.
    pub client_address: String,
    /// When it was begun.
    pub created_at: Moment,
    /// When it was last used, to the minute.
    pub last_used_at: Moment,
    /// When it ends at the latest.
    pub ends_at: Moment,
}

/// The page of one's own sessions. Times are by Switchback's own clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsPage {
    /// When it was read.
    pub now: Moment,
    /// Minutes without a request after which a session ends.
    pub idle_minutes: u64,
    /// The current one first, then the last used first.
    pub sessions: Vec<SessionView>,
}

/// How the reader is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInView {
    /// Whether the session is an emergency's.
    pub is_break_glass: bool,
}

/// The ways in that the sign-in page offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaysIn {
    /// Who may sign in with a password.
    pub local: LocalSignIn,
    /// What the button of the OpenID Connect provider says, where there is one.
    pub single_sign_on: Option<String>,
}

/// What the page says on which somebody proves again who they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInAgain {
    /// Who is signed in.
    pub name: String,
    /// What the button of the OpenID Connect provider says; `None` where the password is asked for.
    pub single_sign_on: Option<String>,
    /// Minutes within which the proof must have been given; `None` where any is enough.
    pub minutes: Option<u64>,
}

/// What concerns the reader's own way in.
#[async_trait]
pub trait SignInDesk: Send + Sync {
    /// The ways in, for anybody.
    async fn ways_in(&self) -> Result<WaysIn, Refusal>;

    /// How the reader proves again who they are.
    async fn sign_in_again(&self) -> Result<SignInAgain, Refusal>;

    /// How the reader is signed in.
    async fn sign_in(&self) -> Result<SignInView, Refusal>;

    /// The reader's own sessions.
    async fn sessions(&self) -> Result<SessionsPage, Refusal>;
}

/// How pages hold it.
pub type SignInHandle = Arc<dyn SignInDesk>;
