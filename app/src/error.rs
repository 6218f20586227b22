//! What can go wrong when a page asks.

use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::FromServerFnError;
use leptos::server_fn::error::ServerFnErrorErr;
use serde::Deserialize;
use serde::Serialize;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;

/// Why a question of a page has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppError {
    /// The console understood the question and refused it.
    Refused(Refusal),
    /// The question or the answer did not arrive.
    Transport(String),
}

impl AppError {
    /// Whether the reader is not signed in (any more).
    pub fn is_sign_in_needed(&self) -> bool {
        matches!(self, AppError::Refused(refusal) if refusal.kind == RefusalKind::SignInNeeded)
    }

    /// Whether what was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, AppError::Refused(refusal) if refusal.kind == RefusalKind::NotFound)
    }

    /// The refusal's code, or `no_answer`.
    pub fn code(&self) -> &str {
        match self {
            AppError::Refused(refusal) => &refusal.code,
            AppError::Transport(_) => "no_answer",
        }
    }
}

impl std::fmt::Display for AppError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AppError::Refused(refusal) => formatter.write_str(&refusal.message),
            AppError::Transport(message) => {
                write!(formatter, "Switchback did not answer: {message}")
            }
        }
    }
}

impl std::error::Error for AppError {}

impl From<Refusal> for AppError {
    fn from(refusal: Refusal) -> AppError {
        AppError::Refused(refusal)
    }
}

impl FromServerFnError for AppError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> AppError {
        AppError::Transport(error.to_string())
    }
}
