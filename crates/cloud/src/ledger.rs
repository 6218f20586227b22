//! The ledger: the durable record of revisions and intents outside of the database, so that a rollback needs
//! nothing but AWS.
//!
//! It is one table of a key-value store with conditional writes. Everything about one service is one partition:
//! its head, its recorded deployments and its intents, and reading it needs no SQL. What it holds is plain JSON as
//! AWS gave it, environment values of task definitions included: whoever may read the table may read those.

use crate::CloudError;
use async_trait::async_trait;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::OutcomeCause;
use switchback_domain::ids::OperationId;
use switchback_domain::moment::Moment;
use switchback_domain::operation::OperationKind;
use switchback_domain::operation::OperationState;
use switchback_domain::previous::PreviousEvidence;
use switchback_domain::revision::ContainerImage;
use switchback_domain::revision::RevisionArn;

/// The code of the [`CloudError`] of an entry that is larger than the table takes.
pub const ENTRY_TOO_LARGE: &str = "EntryTooLarge";

/// Which service a part of the ledger is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LedgerService {
    /// The account number.
    pub account: String,
    /// The region.
    pub region: String,
    /// The cluster's name.
    pub cluster: String,
    /// The service's name.
    pub service: String,
}

impl std::fmt::Display for LedgerService {
    /// `ACCOUNT/REGION/CLUSTER/SERVICE`
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let LedgerService {
            account,
            region,
            cluster,
            service,
        } = self;
        write!(formatter, "{account}/{region}/{cluster}/{service}")
    }
}

/// What a service runs and ran, and what Switchback is doing to it. The one contended entry: each write names the
/// version it replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerHead {
    /// Grows by one with every write, from 1.
    #[serde(rename = "ver")]
    pub version: i64,
    /// How many deployments and found revisions were recorded; the latest one's number.
    #[serde(rename = "seq")]
    pub sequence: i64,
    /// What serves.
    pub serving_revision: Option<RevisionArn>,
    /// What served before it.
    pub previous_revision: Option<RevisionArn>,
    /// The operation that has not ended.
    pub active_operation: Option<OperationId>,
    /// When that was so (the account's clock).
    pub as_of: Moment,
    /// Names the write, so that whoever lost its answer can see whether it happened. Random.
    pub write_id: String,
}

/// A deployment at first sight, or a revision that was found serving without one. Written once, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRevision {
    /// Its number in the order of recording, from 1 without gaps.
    #[serde(rename = "seq")]
    pub sequence: i64,
    /// AWS's id of the deployment; `None` for a revision that was found serving.
    pub deployment: Option<String>,
    /// When AWS created the deployment, or when the revision was found (the account's clock).
    pub at: Moment,
    /// What the deployment moves to, or what was found.
    pub revision: Option<RevisionArn>,
    /// The task definition as AWS describes it, from which it can be registered again.
    pub task_definition: Option<Value>,
    /// The images of its containers, with digests as far as they are named.
    pub images: Vec<ContainerImage>,
    /// What was serving when it started.
    pub previous_revision: Option<RevisionArn>,
    /// What that was read from.
    pub previous_evidence: Option<PreviousEvidence>,
    /// The AppSpec's text.
    pub app_spec: Option<String>,
    /// The deployment configuration's name.
    pub strategy: Option<String>,
    /// The CodeDeploy application and group.
    pub deployment_group: Option<(String, String)>,
    /// The names of the alarms that watched it.
    pub alarms: Vec<String>,
    /// Who began it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// AWS's description.
    pub description: Option<String>,
    /// The operation of Switchback that began it.
    pub operation: Option<OperationId>,
    /// AWS's id of the deployment that it undoes.
    pub rollback_of: Option<String>,
}

/// How a recorded deployment ended. Written beside it; a later look replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerOutcome {
    /// When it was seen (the account's clock).
    pub seen_at: Moment,
    /// How.
    pub outcome: Outcome,
    /// Why.
    pub cause: Option<OutcomeCause>,
    /// AWS's own text.
    pub detail: Option<String>,
    /// When it ended.
    pub ended_at: Option<Moment>,
}

/// An intent to change something in AWS, written before the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerIntent {
    /// The operation; its marker is in the description of what it begins.
    pub operation: OperationId,
    /// Grows with every change.
    pub generation: i64,
    /// What it does.
    pub kind: OperationKind,
    /// Where it stands.
    pub state: OperationState,
    /// The revision it puts back.
    pub target_revision: Option<RevisionArn>,
    /// Who asked.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The plan that was read.
    pub plan: Value,
    /// Everything its call needs.
    pub call: Value,
    /// AWS's id of what it began.
    pub aws_id: Option<String>,
    /// AWS's answer or error.
    pub detail: Option<String>,
    /// When it was asked for (the account's clock).
    pub created_at: Moment,
    /// When the call was last begun.
    pub called_at: Option<Moment>,
    /// How often AWS was called.
    pub attempts: i64,
}

/// Everything the ledger has of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerPartition {
    /// Its head; `None` when nothing was ever written.
    pub head: Option<LedgerHead>,
    /// Its deployments with their ends, oldest first.
    pub revisions: Vec<(LedgerRevision, Option<LedgerOutcome>)>,
    /// Its intents, oldest first.
    pub intents: Vec<LedgerIntent>,
}

/// One write: all of it happens, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerWrite {
    /// The head as it will be. It replaces the one of the version before; version 1 replaces none.
    pub head: LedgerHead,
    /// What is recorded for the first time.
    pub revisions: Vec<LedgerRevision>,
    /// The end of a recorded deployment.
    pub outcome: Option<(LedgerRevision, LedgerOutcome)>,
    /// An intent as it stands.
    pub intent: Option<LedgerIntent>,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerWritten {
    /// It stands there.
    Done,
    /// Nothing was written: the head is at another version. Read it and begin again.
    HeadMoved,
    /// Nothing was written: what was to be recorded is recorded already, or stands there newer. Read the partition.
    RecordedAlready,
}

impl LedgerRevision {
    /// What names it within its service: the moment and AWS's id of the deployment, or the revision that was found.
    pub fn key(&self) -> String {
        let name = match (&self.deployment, &self.revision) {
            (Some(aws_id), _) => aws_id.as_str(),
            (None, Some(revision)) => revision.short(),
            (None, None) => "unknown",
        };
        format!("{}#{name}", self.at)
    }
}

/// The table as AWS describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerTable {
    /// `ACTIVE`, `CREATING`, …
    pub status: String,
    /// Whether its keys are the strings `PK` and `SK`.
    pub keys_fit: bool,
    /// Whether it is protected from deletion.
    pub deletion_protection: bool,
    /// Whether point-in-time recovery is on; `None` when AWS would not tell.
    pub point_in_time_recovery: Option<bool>,
}

/// The ledger's table.
///
/// Reads are strongly consistent and retried a little; a write is sent exactly once. A write whose answer is lost
/// is looked for before this answers, so that [`switchback_domain`]'s rules never meet a write that may have
/// happened, unless the table cannot be read either: then the error says that the outcome is unknown.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The table's name.
    fn table(&self) -> &str;

    /// How the table stands; `None` when there is none.
    async fn inspect(&self) -> Result<Option<LedgerTable>, CloudError>;

    /// Makes the table with deletion protection and point-in-time recovery, and waits until it can be used.
    /// A table that exists is left as it is.
    async fn create(&self) -> Result<(), CloudError>;

    /// Every service that something was written about.
    async fn services(&self) -> Result<Vec<LedgerService>, CloudError>;

    /// The head of one service.
    async fn head(&self, service: &LedgerService) -> Result<Option<LedgerHead>, CloudError>;

    /// Everything of one service.
    async fn partition(&self, service: &LedgerService) -> Result<LedgerPartition, CloudError>;

    /// Writes, all or nothing. An entry above the table's limit is refused with [`ENTRY_TOO_LARGE`] before anything is sent.
    async fn write(
        &self,
        service: &LedgerService,
        write: &LedgerWrite,
    ) -> Result<LedgerWritten, CloudError>;
}
