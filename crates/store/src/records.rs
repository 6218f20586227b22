//! What the store keeps, as the rest of Switchback sees it. Rows are private to this crate.

use serde_json::Value;
use switchback_domain::actor::Role;
use switchback_domain::coverage::FirstSeen;
use switchback_domain::coverage::GapCause;
use switchback_domain::deployment::Reading;
use switchback_domain::deployment::Standing;
use switchback_domain::digest::Digest;
use switchback_domain::gate::Delivery;
use switchback_domain::gate::GateKind;
use switchback_domain::gate::GatePolicy;
use switchback_domain::gate::GateState;
use switchback_domain::gate::Verdict;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::GateId;
use switchback_domain::ids::OperationId;
use switchback_domain::ids::ServiceId;
use switchback_domain::ids::SessionId;
use switchback_domain::ids::UserId;
use switchback_domain::import::ImportPart;
use switchback_domain::import::ImportState;
use switchback_domain::lease::Lease;
use switchback_domain::moment::Moment;
use switchback_domain::operation::OperationKind;
use switchback_domain::operation::OperationState;
use switchback_domain::previous::PreviousEvidence;
use switchback_domain::previous::PreviousUnknown;
use switchback_domain::revision::RevisionArn;
use switchback_domain::sign_in::SessionTimes;
use switchback_domain::sign_in::SignInMethod;

/// A deployment as recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct DeploymentRecord {
    /// Ours.
    pub id: DeploymentId,
    /// AWS's.
    pub aws_id: String,
    /// The service it moves.
    pub service_id: ServiceId,
    /// The service's name, for lists.
    pub service_name: String,
    /// The cluster's name.
    pub cluster: String,
    /// The account number.
    pub account: String,
    /// The region.
    pub region: String,
    /// The controller's word.
    pub controller: String,
    /// The deployment configuration's name.
    pub strategy: String,
    /// What was serving when it started.
    pub previous_revision: Option<RevisionArn>,
    /// What that was read from.
    pub previous_evidence: Option<PreviousEvidence>,
    /// How it came into the record.
    pub sight: Sight,
    /// What it moves to.
    pub target_revision: Option<RevisionArn>,
    /// The AppSpec's text.
    pub app_spec: Option<String>,
    /// Phase, outcome and cause.
    pub standing: Standing,
    /// AWS's own text about a failure, or the alarm's name.
    pub outcome_detail: Option<String>,
    /// Who began it.
    pub initiator: String,
    /// Why.
    pub reason: Option<String>,
    /// AWS's description as it stands there.
    pub description: Option<String>,
    /// When AWS created it.
    pub started_at: Moment,
    /// When it ended.
    pub ended_at: Option<Moment>,
    /// The deployment this one undoes.
    pub rollback_of: Option<DeploymentId>,
    /// The deployment that undid this one.
    pub rolled_back_by: Option<DeploymentId>,
    /// The operation that began it.
    pub operation_id: Option<OperationId>,
    /// Share of production traffic on the new revision in thousandths, when known.
    pub share_new_permille: Option<i64>,
    /// The last reading, with stages.
    pub reading: Reading,
    /// The ARNs of the target groups of old and new, once known.
    pub target_group_old: Option<String>,
    /// The new one's.
    pub target_group_new: Option<String>,
    /// The last alarm states, as JSON `[{"name","state","since","threshold"}]`.
    pub alarms: Value,
    /// Up to which minute metrics were read.
    pub metrics_until: Option<Moment>,
    /// When AWS was last read for it (the account's clock).
    pub observed_at: Moment,
    /// Grows with every change.
    pub generation: i64,
}

/// How a deployment came into the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Whether its beginning was seen; `None` in what an earlier version recorded.
    pub first_seen: Option<FirstSeen>,
    /// Why nothing says what served before it, where nothing does.
    pub previous_unknown: Option<PreviousUnknown>,
}

/// The watch over an account and region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRecord {
    /// The account number.
    pub account: String,
    /// The region.
    pub region: String,
    /// Until when the deployments are all recorded.
    pub listed_until: Moment,
    /// Since when they are seen as they happen; `None` in what an earlier version recorded.
    pub watched_since: Option<Moment>,
    /// When AWS was last looked at well, to half a minute.
    pub good_look_at: Option<Moment>,
}

/// A time in which nobody looked at an account and region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapRecord {
    /// The account number.
    pub account: String,
    /// The region.
    pub region: String,
    /// The last good look before.
    pub from: Moment,
    /// The first good look after.
    pub to: Moment,
    /// Why.
    pub cause: GapCause,
    /// AWS's call and code.
    pub detail: Option<String>,
}

/// How far the import of an account's past is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRecord {
    /// The account number.
    pub account: String,
    /// The region.
    pub region: String,
    /// Where it stands.
    pub state: ImportState,
    /// Deployments created after this are the watcher's.
    pub created_until: Moment,
    /// Where AWS's list goes on, while it is read.
    pub next_token: Option<String>,
    /// The parts of the list that are not read to their end yet.
    pub unlisted: Vec<ImportPart>,
    /// How many deployments AWS listed so far.
    pub listed: i64,
    /// How many of them nothing is left to do about.
    pub settled: i64,
    /// How many of the settled AWS no longer knew.
    pub forgotten: i64,
    /// How many of the settled are of no watched service.
    pub not_watched: i64,
    /// How many further task definitions are to be read.
    pub definitions_listed: i64,
    /// How many of them nothing is left to do about.
    pub definitions_settled: i64,
    /// What holds it up: AWS's call and code.
    pub trouble: Option<String>,
    /// When it began (the account's clock).
    pub began_at: Moment,
    /// When everything was taken in (the account's clock).
    pub completed_at: Option<Moment>,
    /// Grows with every change.
    pub generation: i64,
}

impl ImportRecord {
    /// An import that has just begun.
    pub fn begun(account: &str, region: &str, at: Moment) -> ImportRecord {
        ImportRecord {
            account: account.to_string(),
            region: region.to_string(),
            state: ImportState::Listing,
            created_until: at,
            next_token: None,
            unlisted: ImportPart::ALL.to_vec(),
            listed: 0,
            settled: 0,
            forgotten: 0,
            not_watched: 0,
            definitions_listed: 0,
            definitions_settled: 0,
            trouble: None,
            began_at: at,
            completed_at: None,
            generation: 1,
        }
    }

    /// `ACCOUNT/REGION`
    pub fn id(&self) -> String {
        format!("{}/{}", self.account, self.region)
    }
}

/// What can be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportItemKind {
    /// A deployment, by AWS's id.
    Deployment,
    /// A task definition, by its ARN.
    TaskDefinition,
}

impl ImportItemKind {
    /// The word used in the store.
    pub const fn word(self) -> &'static str {
        match self {
            ImportItemKind::Deployment => "deployment",
            ImportItemKind::TaskDefinition => "task_definition",
        }
    }
}

/// One thing to be taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportItem {
    /// AWS's id or ARN.
    pub subject: String,
    /// Its place in AWS's list.
    pub position: i64,
    /// When AWS created it; `None` before it was read.
    pub created_at: Option<Moment>,
    /// What was read of it, as JSON.
    pub reading: Option<String>,
}

/// A gate as recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct GateRecord {
    /// Ours.
    pub id: GateId,
    /// The deployment that waits.
    pub deployment_id: DeploymentId,
    /// The deployment's AWS id.
    pub deployment_aws_id: String,
    /// What AWS waits with.
    pub kind: GateKind,
    /// The lifecycle event.
    pub stage: String,
    /// The hook execution id, or what else names the wait.
    pub wait: String,
    /// Where it stands.
    pub state: GateState,
    /// Its policy.
    pub policy: GatePolicy,
    /// When it began to wait.
    pub opened_at: Moment,
    /// When the fuse burns out.
    pub expires_at: Moment,
    /// AWS's own end of the wait.
    pub wall_at: Moment,
    /// When it closed.
    pub closed_at: Option<Moment>,
    /// The digest a decision must name now.
    pub evidence_digest: Digest,
    /// The verdict to be delivered: `Some` with `delivery`.
    pub verdict: Option<Verdict>,
    /// How far the verdict got.
    pub delivery: Option<Delivery>,
    /// AWS's answer or error.
    pub delivery_detail: Option<String>,
    /// How often AWS was called for it.
    pub delivery_attempts: i64,
    /// When the call was begun whose answer is not known (the account's clock); `None` while no call is open.
    pub delivery_called_at: Option<Moment>,
    /// Grows with every change.
    pub generation: i64,
}

/// One person's decision at a gate, with the evidence frozen.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRecord {
    /// The gate.
    pub gate_id: GateId,
    /// Who.
    pub actor: String,
    /// What.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<String>,
    /// What was shown.
    pub evidence_digest: Digest,
    /// All that was shown, numbers included.
    pub evidence: Value,
    /// When.
    pub at: Moment,
}

/// An intent to change something in AWS.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationRecord {
    /// Ours; its marker is in the description of what it begins.
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
    /// The service.
    pub service_id: ServiceId,
    /// The deployment it rejects, stops, or (later) began.
    pub deployment_id: Option<DeploymentId>,
    /// The revision it puts back.
    pub target_revision: Option<RevisionArn>,
    /// Who asked.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The plan as it was read, with its digest inside.
    pub plan: Value,
    /// Everything the call needs, fixed at the intent.
    pub call: Value,
    /// Where it stands.
    pub state: OperationState,
    /// AWS's deployment id, request id or error.
    pub detail: Option<String>,
    /// AWS's id of what it began.
    pub aws_id: Option<String>,
    /// When it was asked for (the account's clock).
    pub created_at: Moment,
    /// When the call was last begun (the account's clock).
    pub called_at: Option<Moment>,
    /// How often AWS was called.
    pub attempts: i64,
    /// Grows with every change.
    pub generation: i64,
}

/// One line of what happened to a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineRecord {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// When (the account's clock).
    pub at: Moment,
    /// `started`, `stage`, `weights`, `alarm`, `gate`, `decision`, `delivery`, `operation`, `ended`
    pub kind: String,
    /// One sentence.
    pub text: String,
    /// Who or what did it.
    pub by: Option<String>,
    /// Numbers that are drawn: `{"share_new_permille": 100}` for weights, `{"name","state"}` for an alarm.
    pub data: Value,
}

/// A change that open browsers hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRecord {
    /// Its number; the event id of the stream.
    pub sequence: i64,
    /// `deployment`, `gate`, `service`, `operation`, `metrics`, `coverage`
    pub kind: String,
    /// The identifier of what changed.
    pub subject: String,
    /// The deployment it belongs to, if any.
    pub deployment_id: Option<String>,
    /// When.
    pub at: Moment,
}

/// A hook that was received and whose signature was good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRecord {
    /// AWS's deployment id.
    pub deployment_aws_id: String,
    /// The hook execution id.
    pub execution_id: String,
    /// When it came (the account's clock).
    pub received_at: Moment,
    /// `waiting` until it became a gate, then `gate`, or `refused` with the detail.
    pub state: String,
    /// Why it was refused.
    pub detail: Option<String>,
}

/// A time in which a revision took traffic of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedRecord {
    /// The service.
    pub service_id: ServiceId,
    /// The revision.
    pub revision: RevisionArn,
    /// From when.
    pub from: Moment,
    /// Until when.
    pub to: Option<Moment>,
    /// The largest share it had, in thousandths.
    pub share_permille: i64,
}

/// A local user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRecord {
    /// Ours.
    pub id: UserId,
    /// The name they sign in with.
    pub username: String,
    /// Argon2id, in PHC form.
    pub password_hash: String,
    /// The roles.
    pub roles: Vec<Role>,
}

/// A session of a browser.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its name.
    pub id: SessionId,
    /// SHA-256 of the cookie's text, 64 hex digits.
    pub token_sha256: String,
    /// Whose it is.
    pub user_id: UserId,
    /// How it was begun.
    pub method: SignInMethod,
    /// The groups that the OpenID Connect provider named; none otherwise.
    pub groups: Vec<String>,
    /// When it was begun.
    pub created_at: Moment,
    /// When it was last used, when freshly proven, and when it ends at the latest.
    pub times: SessionTimes,
    /// When it was ended.
    pub ended_at: Option<Moment>,
    /// The address it was begun from.
    pub client_address: String,
    /// The browser, in a few words.
    pub user_agent: String,
    /// What the OpenID Connect provider issued, for signing out there.
    pub id_token: Option<String>,
    /// What was typed into a form that needed a fresh sign-in first: its own JSON.
    pub kept_form: Option<String>,
}

impl std::fmt::Debug for SessionRecord {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SessionRecord")
            .field("id", &self.id)
            .field("user_id", &self.user_id)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// A sign-in by OpenID Connect that was begun. What it keeps is worth nothing without the provider's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInFlowRecord {
    /// SHA-256 of `state`, 64 hex digits.
    pub state_sha256: String,
    /// SHA-256 of the cookie of the browser in which it was begun, 64 hex digits.
    pub browser_sha256: String,
    /// What the ID token has to repeat.
    pub nonce: String,
    /// What proves to the provider that the same server asks for the token.
    pub pkce_verifier: String,
    /// The path to go to afterwards.
    pub return_to: String,
    /// The session whose holder proves again who they are; `None` for a new one.
    pub session: Option<SessionId>,
    /// When it was begun.
    pub begun_at: Moment,
    /// Until when it can be ended.
    pub ends_at: Moment,
}

/// An API token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its name.
    pub name: String,
    /// SHA-256 of its text, 64 hex digits.
    pub token_sha256: String,
    /// The roles.
    pub roles: Vec<Role>,
}

/// One entry of the audit log as it stands in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number, from 1 without gaps.
    pub sequence: i64,
    /// The entry.
    pub entry: switchback_domain::audit::AuditEntry,
    /// Its hash.
    pub hash: Digest,
}

/// A lease with what its holder tells.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseRecord {
    /// Who holds it.
    pub lease: Lease,
    /// How the holder's looks at AWS went: its own JSON.
    pub looks: Value,
}
