//! What a browser or an API client may see and ask.
//!
//! Views are a promise to tabs that are already open and to programs that we do not know: fields are
//! added, never renamed or removed. [`Console`] is already bound to one actor; whoever holds one needs
//! no further permission check and cannot forget any.

mod accounts;
mod audit;
mod bake;
mod ecs;
mod guide;
mod reference;
mod sign_in;
mod status;

pub use crate::accounts::AccountHealth;
pub use crate::accounts::AccountNames;
pub use crate::accounts::AccountState;
pub use crate::audit::*;
pub use crate::bake::EndBakeCommand;
pub use crate::bake::EndBakePage;
pub use crate::ecs::EcsView;
pub use crate::ecs::TaskCounts;
pub use crate::guide::Guide;
pub use crate::guide::GuideHandle;
pub use crate::guide::GuideView;
pub use crate::guide::TryView;
pub use crate::guide::TryWay;
pub use crate::reference::*;
pub use crate::sign_in::LocalSignIn;
pub use crate::sign_in::SessionView;
pub use crate::sign_in::SessionsPage;
pub use crate::sign_in::SignInAgain;
pub use crate::sign_in::SignInDesk;
pub use crate::sign_in::SignInHandle;
pub use crate::sign_in::SignInMethod;
pub use crate::sign_in::SignInView;
pub use crate::sign_in::WaysIn;
pub use crate::status::*;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use std::sync::Arc;

pub use switchback_domain::actor::Role;
pub use switchback_domain::actor::Verb;
pub use switchback_domain::coverage::FirstSeen;
pub use switchback_domain::coverage::GapCause;
pub use switchback_domain::deployment::Outcome;
pub use switchback_domain::deployment::OutcomeCause;
pub use switchback_domain::deployment::Phase;
pub use switchback_domain::deployment::Stage;
pub use switchback_domain::deployment::StageStatus;
pub use switchback_domain::diff::Difference;
pub use switchback_domain::diff::FieldChange;
pub use switchback_domain::diff::FieldGroup;
pub use switchback_domain::gate::Delivery;
pub use switchback_domain::gate::GateKind;
pub use switchback_domain::gate::GateState;
pub use switchback_domain::gate::Verdict;
pub use switchback_domain::import::ImportPart;
pub use switchback_domain::import::ImportState;
pub use switchback_domain::metrics::MetricPoint;
pub use switchback_domain::metrics::Series;
pub use switchback_domain::metrics::Side;
pub use switchback_domain::moment::Moment;
pub use switchback_domain::moment::duration_words;
pub use switchback_domain::operation::OperationKind;
pub use switchback_domain::operation::OperationState;
pub use switchback_domain::path::PathPlace;
pub use switchback_domain::path::PathStep;
pub use switchback_domain::plan::PlannedCall;
pub use switchback_domain::plan::PreflightCheck;
pub use switchback_domain::plan::PreflightResult;
pub use switchback_domain::previous::PreviousUnknown;
pub use switchback_domain::strategy::strategy_words;

/// Why something that was asked is not done. `code` is stable; `message` says what happened, to what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Decides the HTTP status.
    pub kind: RefusalKind,
    /// Stable, for programs: `evidence_changed`, `gate_closed`, `plan_changed`, …
    pub code: String,
    /// For people.
    pub message: String,
}

/// The kinds of refusal, each with one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// 401: nobody is signed in.
    SignInNeeded,
    /// 403: the actor may not.
    Forbidden,
    /// 404.
    NotFound,
    /// 409: what the request was based on has changed, or it was done already.
    Conflict,
    /// 422: the request itself is wrong.
    Invalid,
    /// 503: AWS or the database does not answer now.
    Unavailable,
    /// 500: our own fault; the text tells nothing of the inside.
    Internal,
}

impl RefusalKind {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            RefusalKind::SignInNeeded => 401,
            RefusalKind::Forbidden => 403,
            RefusalKind::NotFound => 404,
            RefusalKind::Conflict => 409,
            RefusalKind::Invalid => 422,
            RefusalKind::Unavailable => 503,
            RefusalKind::Internal => 500,
        }
    }
}

impl Refusal {
    /// A refusal of this kind.
    pub fn new(kind: RefusalKind, code: &str, message: impl Into<String>) -> Refusal {
        Refusal {
            kind,
            code: code.to_string(),
            message: message.into(),
        }
    }

    /// There is no such thing.
    pub fn not_found(what: &str, id: &str) -> Refusal {
        Refusal::new(
            RefusalKind::NotFound,
            "not_found",
            format!("There is no {what} {id}."),
        )
    }
}

/// A page of a list. `next_cursor` is opaque and is given back unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next_cursor: Option<String>,
    /// What the reader should know of the answer, one sentence; not written when there is nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Me {
    /// The user name, or `token:NAME`.
    pub name: String,
    /// The roles, by their words.
    #[schemars(with = "Vec<String>")]
    pub roles: Vec<Role>,
    /// What they may do, by the verbs' words.
    #[schemars(with = "Vec<String>")]
    pub verbs: Vec<Verb>,
}

/// One deployment, as in the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeploymentView {
    /// Switchback's identifier.
    pub id: String,
    /// `d-XXXXXXXXX` or a service deployment ARN.
    pub aws_id: String,
    /// The service's name.
    pub service: String,
    /// The service's identifier.
    pub service_id: String,
    /// The cluster's name.
    pub cluster: String,
    /// The account number.
    pub account: String,
    /// What the account is called on the pages, where several are watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    /// The region.
    pub region: String,
    /// `codedeploy` or `ecs`
    pub controller: String,
    /// The deployment configuration's name; for `ecs` `rolling`, `blue-green`, `linear`, `canary` or `unknown`.
    pub strategy: String,
    /// What was serving when it started (task definition ARN).
    pub previous_revision: Option<String>,
    /// What that was read from, see `PreviousEvidence`; `None` while unknown.
    pub previous_revision_from: Option<String>,
    /// Why nothing says what was serving, where nothing does.
    #[serde(default)]
    pub previous_unknown_because: Option<PreviousUnknown>,
    /// Whether its beginning was seen, or it was recorded afterwards; `None` in what an earlier version recorded.
    #[serde(default)]
    pub first_seen: Option<FirstSeen>,
    /// What it moves to (task definition ARN).
    pub target_revision: Option<String>,
    /// Where it is; `None` once ended.
    pub phase: Option<Phase>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub outcome_cause: Option<OutcomeCause>,
    /// AWS's own text about a failure, or the alarm's name.
    pub outcome_detail: Option<String>,
    /// Who began it, in AWS's words or by the operation's actor.
    pub initiator: String,
    /// Why it was begun.
    pub reason: Option<String>,
    /// When AWS created it.
    pub started_at: Moment,
    /// When it ended.
    pub ended_at: Option<Moment>,
    /// The deployment that this one undoes (our id).
    pub rollback_of: Option<String>,
    /// The deployment that undid this one (our id).
    pub rolled_back_by: Option<String>,
    /// The share of production traffic on the new revision, 0 to 1; `None` when not known.
    pub share_new: Option<f64>,
    /// The tasks of old and new; absent where CodeDeploy deploys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<TaskCounts>,
}

/// A decision at a gate, as in the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionView {
    /// Who.
    pub actor: String,
    /// What.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Moment,
}

/// One gate, as in the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateView {
    /// Switchback's identifier.
    pub id: String,
    /// The deployment's identifier.
    pub deployment_id: String,
    /// What AWS waits with.
    pub kind: GateKind,
    /// The lifecycle event.
    pub stage: String,
    /// Where it stands.
    pub state: GateState,
    /// When it began to wait.
    pub opened_at: Moment,
    /// When the fuse burns out (the account's clock).
    pub expires_at: Moment,
    /// AWS's own end of the wait (the account's clock).
    pub wall_at: Moment,
    /// What happens then: `reject` or `approve`.
    pub at_expiry: Verdict,
    /// The digest that a decision must name.
    pub evidence_digest: String,
    /// The decisions so far.
    pub decisions: Vec<DecisionView>,
    /// How far the verdict got; `None` while open or when none is to be delivered.
    pub delivery: Option<Delivery>,
    /// AWS's answer or error, when there is one.
    pub delivery_detail: Option<String>,
    /// How many approvals the policy asks for.
    pub required_approvals: u32,
    /// The deployment, for lists.
    pub deployment: DeploymentView,
    /// What approving does, one sentence each.
    pub on_approve: Vec<String>,
    /// What rejecting does, one sentence each.
    pub on_reject: Vec<String>,
    /// What doing nothing does, one sentence.
    pub on_nothing: String,
    /// The exact call after an approval.
    pub approve_call: Option<PlannedCall>,
    /// The exact call after a rejection.
    pub reject_call: Option<PlannedCall>,
    /// Why the reader may not decide; `None` when they may.
    pub may_not_decide: Option<String>,
}

/// One service, as in the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceView {
    /// Switchback's identifier.
    pub id: String,
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// The cluster's name.
    pub cluster: String,
    /// The account number.
    pub account: String,
    /// What the account is called on the pages, where several are watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    /// The region.
    pub region: String,
    /// `codedeploy` or `ecs`
    pub controller: String,
    /// The default deployment configuration; for `ecs` the strategy's word, as in a deployment.
    pub strategy: String,
    /// The strategy as it will run, in words; absent where CodeDeploy deploys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy_detail: Option<String>,
    /// What serves now (task definition ARN).
    pub serving_revision: Option<String>,
    /// Since when, as far as recorded.
    pub serving_since: Option<Moment>,
    /// Tasks wanted.
    pub desired_count: i64,
    /// Tasks running.
    pub running_count: i64,
    /// When AWS was last read for it.
    pub observed_at: Moment,
    /// The deployment in progress.
    pub active_deployment: Option<DeploymentView>,
    /// The last one that ended.
    pub last_deployment: Option<DeploymentView>,
    /// How many recorded revisions served all traffic and were not rolled back.
    pub known_good_count: i64,
    /// The CodeDeploy application; absent where ECS itself deploys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The CodeDeploy group; absent where ECS itself deploys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The alarms that end a deployment.
    pub alarms: Vec<String>,
}

/// One container's image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageView {
    /// The container's name.
    pub container: String,
    /// The image as registered.
    pub image: String,
    /// `sha256:…` when it is known.
    pub digest: Option<String>,
}

/// A time in which a revision took traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServedView {
    /// From when.
    pub from: Moment,
    /// Until when; `None` while it still does.
    pub to: Option<Moment>,
    /// The largest share of production traffic it had, 0 to 1.
    pub share: f64,
}

/// How proven a recorded revision is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// It took all traffic and no deployment of it was rolled back.
    KnownGood,
    /// It never took all traffic.
    NotProven,
    /// A deployment of it was rolled back.
    KnownBad,
}

/// A recorded revision of a service, as in the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RevisionView {
    /// The task definition ARN.
    pub arn: String,
    /// The family.
    pub family: String,
    /// The revision number.
    pub number: u64,
    /// The images.
    pub images: Vec<ImageView>,
    /// `active`, `inactive`, `delete_in_progress`, `unknown`
    pub status: String,
    /// When AWS registered it.
    pub registered_at: Option<Moment>,
    /// Who registered it.
    pub registered_by: Option<String>,
    /// When it took traffic.
    pub served: Vec<ServedView>,
    /// What became of its deployments, newest first: outcome words with their cause.
    pub verdicts: Vec<String>,
    /// How proven it is.
    pub proof: Proof,
    /// Whether it serves now.
    pub serving: bool,
    /// Why it cannot be chosen for a rollback; `None` when it can.
    pub cannot_be_chosen: Option<String>,
}

/// A rollback's plan, as in the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanView {
    /// What the execution must name.
    pub digest: String,
    /// Which kind.
    pub kind: OperationKind,
    /// The revision to put back (task definition ARN).
    pub target: String,
    /// What was checked.
    pub preflight: Vec<PreflightCheck>,
    /// The exact calls.
    pub calls: Vec<PlannedCall>,
    /// What it means.
    pub consequences: Vec<String>,
    /// The expected time to full traffic, in seconds.
    pub expected_seconds: Option<i64>,
    /// What that is based on.
    pub expected_basis: String,
    /// Whether nothing blocks it.
    pub may_run: bool,
    /// When it was made (the account's clock).
    pub made_at: Moment,
    /// The revision that goes (task definition ARN): what serves now, or what the deployment under way would bring.
    pub replaces: Option<String>,
    /// What comes back: from the revision that goes to the target.
    pub difference: Option<Difference>,
}

/// A rollback that was asked for, as in the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationView {
    /// Its identifier.
    pub id: String,
    /// Which kind.
    pub kind: OperationKind,
    /// The service's identifier.
    pub service_id: String,
    /// The revision that is put back.
    pub target: Option<String>,
    /// Where it stands.
    pub state: OperationState,
    /// AWS's answer or error.
    pub detail: Option<String>,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub created_at: Moment,
    /// The deployment it stops, rejects or began (our id), once known.
    pub deployment_id: Option<String>,
}

/// An alarm of a deployment as last read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmView {
    /// Its name.
    pub name: String,
    /// `OK`, `ALARM`, `INSUFFICIENT_DATA`
    pub state: String,
    /// Since when.
    pub since: Option<Moment>,
    /// The threshold, when it is one number.
    pub threshold: Option<f64>,
    /// The states over the deployment, oldest first: from when, state.
    pub history: Vec<(Moment, String)>,
}

/// A step in the share of production traffic on the new revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightStep {
    /// From when.
    pub at: Moment,
    /// 0 to 1.
    pub share_new: f64,
}

/// One line of "what happened".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When (the account's clock).
    pub at: Moment,
    /// `started`, `stage`, `weights`, `alarm`, `gate`, `decision`, `delivery`, `operation`, `ended`
    pub kind: String,
    /// One sentence.
    pub text: String,
    /// Who or what did it, when known: a user name, `CodeDeploy`, `CloudWatch`.
    pub by: Option<String>,
}

/// Everything the page of one deployment shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeploymentPage {
    /// The deployment.
    pub deployment: DeploymentView,
    /// The account's clock when this was read.
    pub now: Moment,
    /// The lifecycle, in order.
    pub stages: Vec<Stage>,
    /// The share of traffic over time.
    pub weights: Vec<WeightStep>,
    /// The shares whose time is known beforehand, while it is in progress.
    #[serde(default)]
    pub planned_weights: Vec<WeightStep>,
    /// How its traffic is set up to move, with its place on it; empty once it has ended, or where nothing tells.
    #[serde(default)]
    pub path: Vec<(PathStep, PathPlace)>,
    /// All points kept, oldest first.
    pub points: Vec<MetricPoint>,
    /// The alarms.
    pub alarms: Vec<AlarmView>,
    /// The gates, oldest first; an open one is last.
    pub gates: Vec<GateView>,
    /// What changes; environment values masked if the reader may not see them.
    pub difference: Option<Difference>,
    /// What happened, newest first.
    pub timeline: Vec<TimelineEntry>,
    /// Operations on it or begun by it, newest first.
    pub operations: Vec<OperationView>,
    /// What only a deployment of the controller `ecs` has.
    #[serde(default)]
    pub ecs: Option<EcsView>,
    /// The AppSpec's text.
    pub app_spec: Option<String>,
    /// The hooks in the AppSpec: lifecycle event and function.
    pub hooks: Vec<(String, String)>,
    /// Whether the reader may roll back.
    pub may_roll_back: bool,
    /// Whether there is a bake that the reader may end early.
    #[serde(default)]
    pub may_end_bake: bool,
    /// When AWS was last read for it (the account's clock).
    pub observed_at: Moment,
}

/// Everything the page Now shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NowPage {
    /// The account's clock when this was read.
    pub now: Moment,
    /// Open gates by fuse, at most 20.
    pub needs_you: Vec<GateView>,
    /// How many gates are open.
    #[serde(default)]
    pub needs_you_count: i64,
    /// Deployments in progress, newest first, at most 50, with the last complete minute of old and new.
    pub moving: Vec<MovingView>,
    /// How many deployments are in progress.
    #[serde(default)]
    pub moving_count: i64,
    /// What ended in the last 24 hours, newest first, at most 20.
    pub ended: Vec<DeploymentView>,
    /// How the watching goes.
    pub coverage: Coverage,
}

/// A deployment in progress with its numbers of the last complete minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MovingView {
    /// The deployment.
    pub deployment: DeploymentView,
    /// 5xx in per cent of requests, old and new.
    pub error_percent: (Option<f64>, Option<f64>),
    /// p99 in ms, old and new.
    pub p99_ms: (Option<f64>, Option<f64>),
}

/// How the watching goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Services watched.
    pub services: i64,
    /// Accounts watched.
    pub accounts: i64,
    /// When the last full look at AWS ended (the account's clock); `None` before the first.
    pub last_look_at: Option<Moment>,
    /// What went wrong at the last look: AWS's call and code.
    pub trouble: Option<String>,
    /// How it stands with the ledger in DynamoDB, in one sentence; that there is none, too.
    pub ledger: String,
    /// Whether the ledger is complete.
    pub ledger_complete: bool,
    /// What is recorded of each account and region, and since when.
    #[serde(default)]
    pub regions: Vec<RegionCoverage>,
    /// How the watching of each account and region goes.
    #[serde(default)]
    pub health: Vec<AccountHealth>,
}

/// What is recorded of one account and region, as in the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegionCoverage {
    /// The account number.
    pub account: String,
    /// The region.
    pub region: String,
    /// When the first deployment of the record began: before it, AWS told nothing. `None` while there is none.
    pub record_begins_at: Option<Moment>,
    /// That deployment (our id).
    pub record_begins_with: Option<String>,
    /// Since when deployments are seen as they happen.
    pub watched_since: Option<Moment>,
    /// When AWS was last looked at well, to half a minute.
    pub good_look_at: Option<Moment>,
    /// The import of what was before.
    pub import: Option<ImportView>,
    /// When nobody looked since, the latest first, at most 100.
    pub gaps: Vec<GapView>,
}

/// How far the import of an account's past is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportView {
    /// Where it stands.
    pub state: ImportState,
    /// The parts of the list that are not read to their end yet.
    pub unlisted: Vec<ImportPart>,
    /// How many deployments AWS listed so far.
    pub listed: i64,
    /// How many of them nothing is left to do about.
    pub settled: i64,
    /// How many of the settled AWS no longer knew when they were read.
    pub forgotten: i64,
    /// How many of the settled are of no watched service.
    pub not_watched: i64,
    /// How many further task definitions are to be read.
    pub definitions_listed: i64,
    /// How many of them nothing is left to do about.
    pub definitions_settled: i64,
    /// What holds it up: AWS's call and code.
    pub trouble: Option<String>,
    /// When it began.
    pub began_at: Moment,
    /// When everything was taken in.
    pub completed_at: Option<Moment>,
}

/// A time in which nobody looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GapView {
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
    /// How many deployments that began in it were recorded afterwards.
    pub seen_late: i64,
}

/// The page History.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The deployments.
    pub page: Page<DeploymentView>,
    /// The gaps that end where these deployments lie, the latest first.
    pub gaps: Vec<GapView>,
    /// What is recorded; on the last page it says where the record begins.
    pub regions: Vec<RegionCoverage>,
    /// The accounts that can be filtered by.
    #[serde(default)]
    pub accounts: AccountNames,
}

/// The page Services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServicesPage {
    /// A page of the services, by name.
    pub page: Page<ServiceView>,
    /// How many services fit the filters.
    pub total: i64,
    /// What is recorded.
    pub regions: Vec<RegionCoverage>,
    /// The accounts that can be filtered by.
    #[serde(default)]
    pub accounts: AccountNames,
}

/// The page Approvals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovalsPage {
    /// The account's clock when this was read.
    pub now: Moment,
    /// A page of the gates.
    pub page: Page<GateView>,
    /// How many open gates fit the filters; `None` where closed ones are asked for, which are not counted.
    pub total: Option<i64>,
}

/// The page of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServicePage {
    /// The account's clock when this was read.
    pub now: Moment,
    /// The service.
    pub service: ServiceView,
    /// Its deployments, newest first, at most 20.
    pub deployments: Vec<DeploymentView>,
    /// Its recorded revisions, newest first.
    pub revisions: Vec<RevisionView>,
    /// Whether the reader may roll back.
    pub may_roll_back: bool,
}

/// The page that compares two recorded revisions of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiffPage {
    /// The account's clock when this was read.
    pub now: Moment,
    /// The service.
    pub service: ServiceView,
    /// Its recorded revisions, newest first.
    pub revisions: Vec<RevisionView>,
    /// The older side (task definition ARN): what was asked for, else what served before.
    pub old: Option<String>,
    /// The newer side (task definition ARN): what was asked for, else what serves now.
    pub new: Option<String>,
    /// What differs, environment values masked if the reader may not see them; `None` when one of the
    /// two sides is not known.
    pub difference: Option<Difference>,
}

/// The page on which a rollback is chosen, read and asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollbackPage {
    /// The account's clock when this was read.
    pub now: Moment,
    /// The service.
    pub service: ServiceView,
    /// What can be chosen and what cannot, newest first.
    pub revisions: Vec<RevisionView>,
    /// The plan for the chosen revision; `None` before one is chosen.
    pub plan: Option<PlanView>,
    /// Why there is no plan for the chosen revision.
    pub plan_refused: Option<Refusal>,
    /// Why the reader may not roll back; `None` when they may.
    pub may_not: Option<String>,
    /// The reason that the reader typed before they had to sign in again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_reason: Option<String>,
}

/// What of the history is asked for. Empty text means no filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DeploymentFilter {
    /// The service's name, ARN or identifier.
    pub service: Option<String>,
    /// The account number.
    pub account: Option<String>,
    /// An outcome's word.
    #[schemars(with = "Option<Outcome>")]
    pub outcome: Option<String>,
    /// A phase's word.
    #[schemars(with = "Option<Phase>")]
    pub phase: Option<String>,
    /// Part of who began it.
    pub actor: Option<String>,
    /// Part of reason, AWS id, service or revision.
    pub q: Option<String>,
    /// RFC 3339 time or date: started at or after.
    #[schemars(schema_with = "reference::time_or_date")]
    pub from: Option<String>,
    /// RFC 3339 time or date: started before.
    #[schemars(schema_with = "reference::time_or_date")]
    pub to: Option<String>,
    /// From `next_cursor`.
    pub cursor: Option<String>,
    /// 1 to 200, 50 by default.
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
}

/// Which services are asked for. Empty text means no filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServiceFilter {
    /// Part of the name, the cluster or the ARN.
    pub q: Option<String>,
    /// The account number.
    pub account: Option<String>,
    /// Only those with a deployment in progress.
    pub moving: bool,
    /// From `next_cursor`.
    pub cursor: Option<String>,
    /// 1 to 200, 50 by default.
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
}

/// Which gates are asked for. Empty text means no filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GateFilter {
    /// `open`, `closed` or `all`.
    #[schemars(extend("enum" = ["open", "closed", "all", ""]))]
    pub state: Option<String>,
    /// Without the open ones that the reader may not decide.
    pub may_decide: bool,
    /// From `next_cursor`.
    pub cursor: Option<String>,
    /// 1 to 200, 50 by default.
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
}

/// What makes a request count once: its Idempotency-Key with what it stands for. Committed with the effect, so that a
/// crash between the effect and its answer leads to the same answer, never to a second effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestMark {
    /// The Idempotency-Key.
    pub key: String,
    /// The request's path.
    pub route: String,
    /// SHA-256 of the request's body, 64 hex digits.
    pub body_sha256: String,
}

/// A decision as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionCommand {
    /// Approve or reject.
    pub verdict: Verdict,
    /// Needed to reject.
    #[serde(default)]
    pub reason: Option<String>,
    /// What the person was shown.
    pub evidence_digest: String,
    /// The request that it came with, when that has an Idempotency-Key. Set by the server, never sent.
    #[serde(skip)]
    pub request: Option<RequestMark>,
}

/// A rollback as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RollbackCommand {
    /// A task definition ARN, `FAMILY:NUMBER`, or `previous`.
    pub target: String,
    /// Why. Needed.
    pub reason: String,
    /// The digest of the plan that was read.
    pub plan_digest: String,
    /// The request that it came with, when that has an Idempotency-Key. Set by the server, never sent.
    #[serde(skip)]
    pub request: Option<RequestMark>,
}

/// Everything that can be asked, by one actor. Implemented in `switchback-control`.
#[async_trait]
pub trait Console: Send + Sync {
    /// Who asks.
    async fn me(&self) -> Result<Me, Refusal>;
    /// The page Now.
    async fn now_page(&self) -> Result<NowPage, Refusal>;
    /// The services, by name.
    async fn services(&self, filter: ServiceFilter) -> Result<Page<ServiceView>, Refusal>;
    /// One service by identifier, ARN or unambiguous name.
    async fn service(&self, service: String) -> Result<ServiceView, Refusal>;
    /// The page of one service.
    async fn service_page(&self, service: String) -> Result<ServicePage, Refusal>;
    /// The recorded revisions of a service, newest first.
    async fn revisions(&self, service: String) -> Result<Vec<RevisionView>, Refusal>;
    /// The history, newest first.
    async fn deployments(&self, filter: DeploymentFilter) -> Result<Page<DeploymentView>, Refusal>;
    /// The page History: the history with the times in which nobody looked.
    async fn history_page(&self, filter: DeploymentFilter) -> Result<HistoryPage, Refusal>;
    /// What is recorded of each account and region.
    async fn coverage(&self) -> Result<Vec<RegionCoverage>, Refusal>;
    /// How the watching of each account and region goes.
    async fn status_page(&self) -> Result<StatusPage, Refusal>;
    /// How the watching of each account and region goes.
    async fn accounts(&self) -> Result<Vec<AccountHealth>, Refusal>;
    /// The page Services.
    async fn services_page(&self, filter: ServiceFilter) -> Result<ServicesPage, Refusal>;
    /// One deployment by our id or AWS's.
    async fn deployment(&self, id: String) -> Result<DeploymentView, Refusal>;
    /// The page of one deployment.
    async fn deployment_page(&self, id: String) -> Result<DeploymentPage, Refusal>;
    /// The metric points of one deployment, oldest first.
    async fn deployment_metrics(&self, id: String) -> Result<Vec<MetricPoint>, Refusal>;
    /// Gates: the open ones by fuse; closed ones and all of them newest first.
    async fn gates(&self, filter: GateFilter) -> Result<Page<GateView>, Refusal>;
    /// The page Approvals.
    async fn approvals_page(&self, filter: GateFilter) -> Result<ApprovalsPage, Refusal>;
    /// How many gates are open.
    async fn open_gate_count(&self) -> Result<i64, Refusal>;
    /// One gate.
    async fn gate(&self, id: String) -> Result<GateView, Refusal>;
    /// Decides. Committed when this returns; the delivery to AWS follows.
    async fn decide(&self, gate: String, command: DecisionCommand) -> Result<GateView, Refusal>;
    /// The plan of a rollback.
    async fn plan_rollback(&self, service: String, target: String) -> Result<PlanView, Refusal>;
    /// The page that compares two recorded revisions of a service. A side is an ARN or `FAMILY:NUMBER`;
    /// without one it is what serves now, and what served before.
    async fn diff_page(
        &self,
        service: String,
        old: Option<String>,
        new: Option<String>,
    ) -> Result<DiffPage, Refusal>;
    /// The page on which a rollback is chosen, read and asked for.
    async fn rollback_page(
        &self,
        service: String,
        target: Option<String>,
    ) -> Result<RollbackPage, Refusal>;
    /// Asks for the rollback. The intent is committed when this returns; the call to AWS follows.
    async fn roll_back(
        &self,
        service: String,
        command: RollbackCommand,
    ) -> Result<OperationView, Refusal>;
    /// The page on which CodeDeploy's bake is ended early.
    async fn end_bake_page(&self, deployment: String) -> Result<EndBakePage, Refusal>;
    /// Asks for the end of the bake. The intent is committed when this returns; the call to AWS follows.
    async fn end_bake(
        &self,
        deployment: String,
        command: EndBakeCommand,
    ) -> Result<OperationView, Refusal>;
    /// One operation.
    async fn operation(&self, id: String) -> Result<OperationView, Refusal>;
    /// The audit log.
    async fn audit(&self, filter: AuditFilter) -> Result<AuditPage, Refusal>;

    /// The audit log as files, part by part. What it holds is fixed by now: a range once exported never changes.
    async fn audit_export(
        &self,
        filter: AuditFilter,
        form: AuditExportForm,
    ) -> Result<Box<dyn AuditExport>, Refusal>;
}

/// How pages hold the console.
pub type ConsoleHandle = Arc<dyn Console>;
