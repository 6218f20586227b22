//! What is answered where no view of the contract is: written through these types, and described by them.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use switchback_contract::AuditPage;
use switchback_contract::AuditProof;
use switchback_contract::AuditView;
use switchback_contract::GapView;
use switchback_contract::Moment;

/// A page of the audit log, and how far its chain was verified.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditPage")]
pub struct AuditAnswer {
    /// The entries, newest first.
    items: Vec<AuditView>,
    /// Where the next page begins; `null` at the end.
    next_cursor: Option<String>,
    /// The number of the last entry of the chain.
    length: i64,
    /// The number of the first entry that does not fit the chain; `null` when all do.
    broken_at: Option<i64>,
    /// The number of the last entry up to which the chain was verified by this server.
    verified_to: i64,
    /// When (the account's clock); `null` before the first time.
    verified_at: Option<Moment>,
    /// What is wrong with the first entry that does not fit.
    fault: Option<String>,
    /// How the log is proven.
    proof: AuditProof,
    /// When nobody looked at an account, within the time that was asked for.
    gaps: Vec<GapView>,
}

impl From<AuditPage> for AuditAnswer {
    fn from(audit: AuditPage) -> AuditAnswer {
        AuditAnswer {
            items: audit.page.items,
            next_cursor: audit.page.next_cursor,
            length: audit.length,
            broken_at: audit.broken_at,
            verified_to: audit.verified_to,
            verified_at: audit.verified_at,
            fault: audit.fault,
            proof: audit.proof,
            gaps: audit.gaps,
        }
    }
}

/// What became of a hook.
#[derive(Serialize, JsonSchema)]
pub struct HookAnswer {
    /// `gate` when it opened one, `waiting` when its deployment has yet to be read from AWS.
    pub state: String,
    /// The gate's identifier.
    pub gate_id: Option<String>,
}

/// What the function of an ECS hook returns to ECS.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EcsFunctionAnswer {
    /// `SUCCEEDED`, `FAILED` or `IN_PROGRESS`.
    pub hook_status: &'static str,
    /// Seconds after which ECS asks again; only with `IN_PROGRESS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_back_delay: Option<i64>,
}

/// What became of an event.
#[derive(Serialize, JsonSchema)]
pub struct EventAnswer {
    /// `taken`, `repeated`, `ignored` or `not_watched`.
    pub state: &'static str,
}

/// The process answers.
#[derive(Serialize, JsonSchema)]
pub struct AliveAnswer {
    /// Always `true`.
    pub alive: bool,
}

/// Whether requests can be served.
#[derive(Serialize, JsonSchema)]
pub struct ReadyAnswer {
    /// Whether they can.
    pub ready: bool,
    /// Why not, one sentence each.
    pub reasons: Vec<String>,
    /// What else is wrong, one sentence each.
    pub warnings: Vec<String>,
    /// `answers` or `does not answer`.
    pub database: &'static str,
    /// `current`, `behind`, `ahead`, `too new` or `unknown`.
    pub schema: &'static str,
    /// How the last look at each account and region went.
    pub aws: Vec<Value>,
    /// How it stands with the ledger.
    pub ledger: Value,
}

/// A problem, as RFC 9457 writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemDocument {
    /// `urn:switchback:problem:CODE`
    pub r#type: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// What happened, to what, and what to do.
    pub detail: String,
    /// Stable, for programs.
    pub code: String,
    /// The path that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The number by which the server's log tells more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}
