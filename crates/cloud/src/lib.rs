//! What Switchback needs of one AWS account and region, in its own words.
//!
//! The trait is here so that AWS's vocabulary is turned into ours at one place and the SDK stays out of
//! the build of `switchback-control`. It is not here for mocking: tests run the real adapter against a
//! simulated account over HTTP.

pub mod calls;
pub mod events;
pub mod ledger;

use crate::calls::CallsMade;
use async_trait::async_trait;
use serde::Deserialize;
use serde::Serialize;
use switchback_domain::deployment::Reading;
use switchback_domain::deployment::Stage;
use switchback_domain::digest::Digest;
use switchback_domain::gate::Verdict;
use switchback_domain::metrics::Series;
use switchback_domain::moment::Moment;
use switchback_domain::previous::TaskSet;
use switchback_domain::revision::Revision;
use switchback_domain::revision::RevisionArn;
use switchback_domain::service::Controller;

/// The call by which the credentials of another account are had.
pub const ASSUME_ROLE: &str = "sts:AssumeRole";

/// The call by which AWS tells which account this is.
pub const GET_CALLER_IDENTITY: &str = "sts:GetCallerIdentity";

/// The code of an answer that is no error document of AWS's, and that says that there is no such thing.
pub const NOT_OFFERED: &str = "NotOffered";

/// The code of an account that is not the one that its role's ARN names.
pub const ANOTHER_ACCOUNT: &str = "AnotherAccount";

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WhatToDo {
    /// Nothing happened; the same call may be made again later (throttled, refused connection, 5xx before any effect is possible).
    Retry,
    /// AWS refused; the same call will be refused again.
    Never,
    /// It is not known whether the call had its effect (no answer, a 5xx of a mutating call).
    Unknown,
}

/// How ECS says that a PAUSE hook no longer waits, or that its deployment has ended. It has no code of its own. (aws.md
/// §2.3, \[D\] troubleshooting-blue-green)
const HOOK_IS_OVER: [&str; 2] = ["is either completed", "in terminal states"];

/// A call to AWS that did not succeed. `Display` says what was tried and AWS's own code and text; no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {code}: {message}")]
pub struct CloudError {
    /// `codedeploy:CreateDeployment`
    pub operation: String,
    /// What to do about it.
    pub kind: WhatToDo,
    /// AWS's code, for example `DeploymentLimitExceededException`, or `NoAnswer`, `NoConnection`, `NotOffered`, `Malformed`.
    pub code: String,
    /// AWS's text.
    pub message: String,
    /// AWS's request id, when there was an answer.
    pub request_id: Option<String>,
}

impl CloudError {
    /// Whether AWS says that the caller may not, which an administrator can change.
    pub fn is_about_permission(&self) -> bool {
        matches!(
            self.code.as_str(),
            "AccessDenied"
                | "AccessDeniedException"
                | "UnauthorizedOperation"
                | "UnrecognizedClientException"
                | "InvalidClientTokenId"
                | "InvalidSignatureException"
                | "SignatureDoesNotMatch"
        )
    }

    /// Whether AWS says "not now": too many calls in too short a time.
    pub fn says_slow_down(&self) -> bool {
        matches!(
            self.code.as_str(),
            "Throttling"
                | "ThrottlingException"
                | "ThrottledException"
                | "RequestThrottled"
                | "RequestThrottledException"
                | "RequestLimitExceeded"
                | "TooManyRequestsException"
                | "SlowDown"
        )
    }

    /// Whether what answers in AWS's place does not have this call: an emulator, or an AWS of another partition.
    pub fn is_not_offered(&self) -> bool {
        matches!(
            self.code.as_str(),
            NOT_OFFERED | "NotImplemented" | "UnknownOperationException" | "InvalidAction"
        )
    }

    /// Whether the account itself could not be reached: its role was not given, its credentials no longer count, or
    /// there is no way to it. Then every other call fails the same way.
    pub fn is_about_the_account(&self) -> bool {
        self.operation == ASSUME_ROLE
            || self.operation == GET_CALLER_IDENTITY
            || matches!(
                self.code.as_str(),
                "NoConnection"
                    | "ExpiredToken"
                    | "ExpiredTokenException"
                    | "UnrecognizedClientException"
                    | "InvalidClientTokenId"
            )
    }

    /// Whether AWS says that what was to be ended has ended already.
    pub fn says_already_over(&self) -> bool {
        matches!(
            self.code.as_str(),
            "LifecycleEventAlreadyCompletedException"
                | "DeploymentAlreadyCompletedException"
                | "DeploymentIsNotInReadyStateException"
        ) || (self.operation == "ecs:ContinueServiceDeployment"
            && HOOK_IS_OVER
                .iter()
                .any(|words| self.message.contains(words)))
    }

    /// Whether AWS no longer takes the token of a list's next page.
    pub fn says_token_lost(&self) -> bool {
        self.code == "InvalidNextTokenException"
    }

    /// Whether AWS says that the thing asked about does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(
            self.code.as_str(),
            "DeploymentDoesNotExistException"
                | "InvalidDeploymentIdException"
                | "ServiceNotFoundException"
                | "ClusterNotFoundException"
                | "RevisionDoesNotExistException"
                | "TargetGroupNotFound"
                | "ListenerNotFound"
        ) || (self.code == "ClientException"
            && self.message.contains("Unable to describe task definition"))
    }
}

/// What AWS answered to a call that changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// AWS's request id, for the audit log and CloudTrail.
    pub request_id: Option<String>,
}

/// An account that is reached by assuming a role in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedAccount {
    /// The account number, out of the role's ARN.
    pub account: String,
    /// The role's ARN.
    pub role_arn: String,
    /// What people call the account, where the settings say so.
    pub name: Option<String>,
}

/// An ECS service with the controller that deploys it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceReading {
    /// The ECS service's name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The cluster's name.
    pub cluster: String,
    /// Who deploys it, and how.
    pub controller: Controller,
    /// What serves: the PRIMARY task set's revision, or that of ECS's last completed deployment.
    pub serving: Option<RevisionArn>,
    /// Its task sets; empty where ECS itself deploys.
    pub task_sets: Vec<TaskSetReading>,
    /// Tasks wanted.
    pub desired_count: i64,
    /// Tasks running.
    pub running_count: i64,
}

/// A task set with the target group it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSetReading {
    /// What the rules need.
    pub task_set: TaskSet,
    /// The ARN of the target group its tasks are registered with.
    pub target_group_arn: Option<String>,
    /// Tasks wanted.
    pub desired_count: i64,
    /// Tasks running.
    pub running_count: i64,
}

/// The service that a deployment of ECS moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedService {
    /// The cluster's name.
    pub cluster: String,
    /// The service's name.
    pub name: String,
    /// The service's ARN.
    pub arn: String,
}

/// One deployment: CodeDeploy's, or a service deployment of ECS (`reading.ecs`), which has no application and no group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentReading {
    /// `d-XXXXXXXXX`, or the ARN of the service deployment.
    pub aws_id: String,
    /// The application's name; empty for one of ECS.
    pub application: String,
    /// The group's name; empty for one of ECS.
    pub group: String,
    /// The deployment configuration's name, or the word of ECS's strategy.
    pub config_name: String,
    /// AWS's word for who began it: `user`, `codeDeployRollback`, … (aws.md §1.5)
    pub creator: String,
    /// The description.
    pub description: Option<String>,
    /// When AWS created it.
    pub created_at: Moment,
    /// When it ended.
    pub completed_at: Option<Moment>,
    /// Where the AppSpec's text is found: its SHA-256, for [`Cloud::app_spec`].
    pub app_spec_digest: Option<Digest>,
    /// The same for CodeDeploy's own "previous revision".
    pub previous_app_spec_digest: Option<Digest>,
    /// The service, where AWS names it: for one of ECS.
    #[serde(default)]
    pub service: Option<DeployedService>,
    /// The whole, without its stages (see [`Cloud::lifecycle`]).
    pub reading: Reading,
}

/// One page of the list of deployments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentIdPage {
    /// The ids, in AWS's order: newest first. (aws.md §1.8 [K])
    pub aws_ids: Vec<String>,
    /// Where the list goes on; `None` at its end.
    pub next_token: Option<String>,
}

/// A target group and its load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroupReading {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The ARNs of the load balancers that forward to it.
    pub load_balancer_arns: Vec<String>,
}

/// An alarm's state.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmReading {
    /// Its name.
    pub name: String,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub state: String,
    /// Since when.
    pub since: Option<Moment>,
    /// CloudWatch's own reason.
    pub reason: Option<String>,
    /// The threshold, when it is a single number.
    pub threshold: Option<f64>,
}

/// How many targets of a group are healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetHealth {
    /// In state healthy.
    pub healthy: i64,
    /// Registered and not draining.
    pub registered: i64,
}

/// One value of one minute of one target group.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricReading {
    /// The target group's ARN.
    pub target_group_arn: String,
    /// What was measured; times in milliseconds.
    pub series: Series,
    /// The start of the minute.
    pub minute: Moment,
    /// The value.
    pub value: f64,
}

/// What ContinueDeployment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentWait {
    /// `READY_WAIT`: before production traffic shifts.
    Ready,
    /// `TERMINATION_WAIT`: before the old tasks are removed.
    Termination,
}

/// Everything CreateDeployment is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDeployment {
    /// The application's name.
    pub application: String,
    /// The group's name.
    pub group: String,
    /// The deployment configuration's name.
    pub config_name: String,
    /// The description with the operation's marker.
    pub description: String,
    /// The AppSpec's text.
    pub app_spec: String,
}

/// Everything UpdateService is given to bring a service of ECS to another revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUpdate {
    /// The cluster's name.
    pub cluster: String,
    /// The service's name.
    pub service: String,
    /// The revision.
    pub task_definition: RevisionArn,
    /// Whether a deployment begins although the service names that revision already.
    pub force_new_deployment: bool,
}

/// How a service stands in the answer to UpdateService.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct UpdatedService {
    /// The id of its PRIMARY deployment (`ecs-svc/…`): another one than before where a deployment began.
    pub primary: Option<String>,
    /// The ARN of its latest service deployment, where AWS tells it already.
    pub current: Option<String>,
}

/// One account and region.
///
/// Reading calls retry throttling and connection errors a little by themselves; the calls at the end,
/// which change something, are sent exactly once.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// The region, for example `eu-central-1`.
    fn region(&self) -> &str;

    /// The account whose role this assumes; `None` for the account of the process's own credentials, of which only
    /// AWS tells the number.
    fn assumed(&self) -> Option<&AssumedAccount>;

    /// The account's clock: the latest `Date` that AWS answered with, carried forward by elapsed time.
    /// Before the first answer it is the machine's clock.
    fn now(&self) -> Moment;

    /// The requests of the last hour.
    fn calls(&self) -> CallsMade;

    /// The account number (STS GetCallerIdentity).
    async fn account(&self) -> Result<String, CloudError>;

    /// Every ECS service that a CodeDeploy group of this account and region deploys, with its task sets.
    async fn services(&self) -> Result<Vec<ServiceReading>, CloudError>;

    /// The task sets and counts of one service; `None` when AWS no longer knows it.
    async fn service(
        &self,
        cluster: &str,
        name: &str,
    ) -> Result<Option<(Vec<TaskSetReading>, i64, i64)>, CloudError>;

    /// Every service of every cluster that ECS itself deploys.
    async fn ecs_services(&self) -> Result<Vec<ServiceReading>, CloudError>;

    /// Those of a cluster's services with these names that exist and that ECS itself deploys.
    async fn ecs_services_named(
        &self,
        cluster: &str,
        names: &[String],
    ) -> Result<Vec<ServiceReading>, CloudError>;

    /// The ids of a service's deployments of ECS created after `since` (all that AWS keeps when `None`), newest first;
    /// none when AWS no longer knows the service.
    async fn service_deployment_ids(
        &self,
        cluster: &str,
        service: &str,
        since: Option<Moment>,
    ) -> Result<Vec<String>, CloudError>;

    /// The ids of deployments of CodeDeploy created at or after `since` (all that AWS lists when `None`), of one group or of all.
    async fn deployment_ids(
        &self,
        group: Option<(&str, &str)>,
        since: Option<Moment>,
    ) -> Result<Vec<String>, CloudError>;

    /// One page of the ids of all deployments created at or before `until`, from a token of the page before.
    /// A token that AWS no longer takes is an error that [`CloudError::says_token_lost`].
    async fn deployment_id_page(
        &self,
        until: Moment,
        token: Option<&str>,
    ) -> Result<DeploymentIdPage, CloudError>;

    /// The ids of the deployments that have not ended.
    async fn deployment_ids_under_way(&self) -> Result<Vec<String>, CloudError>;

    /// The deployments with these ids, CodeDeploy's and ECS's; those AWS does not know are left out.
    async fn deployments(&self, aws_ids: &[String]) -> Result<Vec<DeploymentReading>, CloudError>;

    /// The lifecycle of a deployment and the ids of the task set it replaces (Blue), in order; empty before it has begun.
    async fn lifecycle(&self, aws_id: &str) -> Result<LifecycleReading, CloudError>;

    /// The same for a deployment of a known service, with one call less.
    async fn lifecycle_of_service(
        &self,
        aws_id: &str,
        cluster: &str,
        service: &str,
    ) -> Result<LifecycleReading, CloudError>;

    /// The text of an application's AppSpec by its digest.
    async fn app_spec(&self, application: &str, digest: &Digest) -> Result<String, CloudError>;

    /// A task definition; `None` when AWS does not know it.
    async fn revision(&self, arn: &RevisionArn) -> Result<Option<Revision>, CloudError>;

    /// The revisions of a family that ECS still lists, the latest first, at most `limit`: the ACTIVE ones, or
    /// the INACTIVE ones.
    async fn revision_arns(
        &self,
        family: &str,
        active: bool,
        limit: usize,
    ) -> Result<Vec<RevisionArn>, CloudError>;

    /// The revision that a stopped task of this task set ran, while AWS still keeps one (about an hour).
    async fn stopped_task_revision(
        &self,
        cluster: &str,
        service: &str,
        task_set_id: &str,
    ) -> Result<Option<RevisionArn>, CloudError>;

    /// The weights a listener forwards with, by target group ARN.
    async fn listener_weights(&self, listener_arn: &str) -> Result<Vec<(String, i64)>, CloudError>;

    /// Target groups by name.
    async fn target_groups(&self, names: &[String]) -> Result<Vec<TargetGroupReading>, CloudError>;

    /// How many targets are healthy.
    async fn target_health(&self, target_group_arn: &str) -> Result<TargetHealth, CloudError>;

    /// The states of alarms by name, metric and composite.
    async fn alarms(&self, names: &[String]) -> Result<Vec<AlarmReading>, CloudError>;

    /// The golden signals of target groups, one value a minute, from `from` (inclusive) to `to` (exclusive).
    /// A minute without a value is left out.
    async fn metrics(
        &self,
        target_groups: &[TargetGroupReading],
        from: Moment,
        to: Moment,
    ) -> Result<Vec<MetricReading>, CloudError>;

    /// PutLifecycleEventHookExecutionStatus: Succeeded for approve, Failed for reject.
    async fn answer_hook(
        &self,
        aws_id: &str,
        execution_id: &str,
        verdict: Verdict,
    ) -> Result<Receipt, CloudError>;

    /// ContinueDeployment: traffic begins to shift, or the old tasks are removed now.
    async fn continue_deployment(
        &self,
        aws_id: &str,
        wait: DeploymentWait,
    ) -> Result<Receipt, CloudError>;

    /// ContinueServiceDeployment at a PAUSE hook: CONTINUE for approve, ROLLBACK for reject.
    async fn continue_service_deployment(
        &self,
        aws_id: &str,
        hook_id: &str,
        verdict: Verdict,
    ) -> Result<Receipt, CloudError>;

    /// StopDeployment with autoRollbackEnabled true.
    async fn stop_and_roll_back(&self, aws_id: &str) -> Result<Receipt, CloudError>;

    /// StopServiceDeployment with stop type ROLLBACK, of a deployment of ECS.
    async fn stop_service_deployment(&self, aws_id: &str) -> Result<Receipt, CloudError>;

    /// UpdateService with a task definition; gives how the service stands in the answer.
    async fn update_service(
        &self,
        update: &ServiceUpdate,
    ) -> Result<(UpdatedService, Receipt), CloudError>;

    /// CreateDeployment; gives the deployment's id.
    async fn create_deployment(&self, new: &NewDeployment)
    -> Result<(String, Receipt), CloudError>;
}

/// A deployment's lifecycle as GetDeploymentTarget shows it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LifecycleReading {
    /// The lifecycle events, in order.
    pub stages: Vec<Stage>,
    /// The id of the task set that is replaced (label Blue), when AWS tells.
    pub replaced_task_set: Option<String>,
}
