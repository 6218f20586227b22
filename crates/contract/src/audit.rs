//! The audit log as people and programs see it.

use crate::GapView;
use crate::Moment;
use crate::Page;
use crate::Refusal;
use crate::reference;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

pub use switchback_domain::audit::AwsCall;

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditView {
    /// Its number in the chain.
    pub sequence: i64,
    /// When.
    pub at: Moment,
    /// Who.
    pub actor: String,
    /// The address that the actor's request came from: of the connection, which behind a proxy is the proxy's.
    pub address: Option<String>,
    /// The event's word.
    pub event: String,
    /// What it is about.
    pub subject: Option<String>,
    /// The service it belongs to, by its identifier.
    pub service_id: Option<String>,
    /// The reason that was given.
    pub reason: Option<String>,
    /// The event as recorded.
    pub detail: Value,
    /// The digest of the gate's policy.
    pub policy_digest: Option<String>,
    /// The digest of the evidence that was in force.
    pub evidence_digest: Option<String>,
    /// The call to AWS, with what finds it in CloudTrail.
    pub aws: Option<AwsCall>,
    /// Its hash.
    pub hash: String,
}

/// What of the audit log is asked for. Empty text means no filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AuditFilter {
    /// RFC 3339 time or date: at or after.
    #[schemars(schema_with = "reference::time_or_date")]
    pub from: Option<String>,
    /// RFC 3339 time or date: before.
    #[schemars(schema_with = "reference::time_or_date")]
    pub to: Option<String>,
    /// Exactly this actor.
    pub actor: Option<String>,
    /// Exactly this subject.
    pub subject: Option<String>,
    /// Words of events, with commas between: one of them.
    pub event: Option<String>,
    /// The service's name, ARN or identifier.
    pub service: Option<String>,
    /// Part of the reason.
    pub reason: Option<String>,
    /// From `next_cursor`.
    pub cursor: Option<String>,
    /// 1 to 200, 50 by default.
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// `again`: verify the chain from its first entry.
    #[schemars(extend("enum" = ["again", ""]))]
    pub verify: Option<String>,
}

/// A signed checkpoint, as far as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointView {
    /// The number of the last entry it covers.
    pub sequence: i64,
    /// When it was signed.
    pub at: Moment,
    /// Its digest.
    pub digest: String,
}

/// How the log is proven.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditProof {
    /// The number of the first entry that is kept; those before were removed by their age.
    pub first: i64,
    /// The name of the key that signs; `None` before the first checkpoint.
    pub key_id: Option<String>,
    /// The key that signatures are checked with, 64 hex digits.
    pub public_key: Option<String>,
    /// The latest checkpoint.
    pub checkpoint: Option<CheckpointView>,
    /// What keeps the log from being sealed or shortened, as far as this server knows.
    pub trouble: Option<String>,
}

/// The audit log's page: newest first, and how far the chain was verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The entries.
    pub page: Page<AuditView>,
    /// The number of the last entry of the chain.
    pub length: i64,
    /// The number of the last entry up to which the chain was verified by this server.
    pub verified_to: i64,
    /// When (the account's clock); `None` before the first time.
    pub verified_at: Option<Moment>,
    /// The number of the first entry that does not fit the chain; `None` when all do.
    pub broken_at: Option<i64>,
    /// What is wrong with that entry.
    pub fault: Option<String>,
    /// How the log is proven.
    pub proof: AuditProof,
    /// When nobody looked at an account, within the time that was asked for: the latest first, a hundred at most.
    pub gaps: Vec<GapView>,
}

/// What an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditExportForm {
    /// Entries only, those that the filter lets through.
    Entries,
    /// Everything that proves the entries of a time: they, all checkpoints, the evidence of their decisions, gaps, keys
    /// and the signed manifest.
    Bundle,
}

/// A part of an export.
#[derive(Clone, Debug)]
pub enum AuditPart {
    /// Entries, oldest first.
    Entries(Vec<AuditView>),
    /// A file of the bundle.
    File {
        /// Its name.
        name: String,
        /// What is in it.
        bytes: Vec<u8>,
    },
}

/// An export that is under way.
#[async_trait]
pub trait AuditExport: Send {
    /// The next part; `None` at the end.
    async fn next(&mut self) -> Result<Option<AuditPart>, Refusal>;
}
