#![doc = include_str!("../README.md")]

mod budget;
mod calls;
mod clock;
mod cloudwatch;
mod codedeploy;
mod ecs;
mod ecs_changes;
mod ecs_deployments;
mod elb;
mod error;
mod events;
mod ledger;
mod meter;
mod observe;
mod watch;

use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_config::Region;
use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_codedeploy::config::Credentials;
use aws_sdk_codedeploy::config::SharedCredentialsProvider;
use aws_smithy_types::DateTime;
use budget::Budget;
use clock::AccountClock;
pub use events::AwsEventQueue;
pub use ledger::AwsLedger;
use meter::CallMeter;
use observe::CallObserver;
use std::sync::Arc;
use std::time::Duration;
use switchback_cloud::ANOTHER_ACCOUNT;
use switchback_cloud::AlarmReading;
use switchback_cloud::AssumedAccount;
use switchback_cloud::Cloud;
use switchback_cloud::CloudError;
use switchback_cloud::DeploymentIdPage;
use switchback_cloud::DeploymentReading;
use switchback_cloud::DeploymentWait;
use switchback_cloud::LifecycleReading;
use switchback_cloud::MetricReading;
use switchback_cloud::NewDeployment;
use switchback_cloud::Receipt;
use switchback_cloud::ServiceReading;
use switchback_cloud::ServiceUpdate;
use switchback_cloud::TargetGroupReading;
use switchback_cloud::TargetHealth;
use switchback_cloud::TaskSetReading;
use switchback_cloud::UpdatedService;
use switchback_cloud::WhatToDo;
use switchback_cloud::calls::CallsMade;
use switchback_domain::digest::Digest;
use switchback_domain::ecs::is_service_deployment;
use switchback_domain::gate::Verdict;
use switchback_domain::moment::Moment;
use switchback_domain::revision::Revision;
use switchback_domain::revision::RevisionArn;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one attempt of a reading call may take.
const READ_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take with all its attempts.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the one attempt of a changing call may take. Longer than a read: giving up early turns an
/// answer that is only slow into an unknown outcome.
const CHANGE_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a reading call is tried.
const READ_ATTEMPTS: u32 = 3;
/// The wait before the second attempt is at most this long, before the third at most twice as long.
const READ_BACKOFF: Duration = Duration::from_millis(250);

/// How long the credentials of another account count: the longest that AWS gives to whoever is a role already.
const SESSION_LENGTH: Duration = Duration::from_secs(60 * 60);

/// How to reach an account. Whatever is `None` is found as every AWS SDK finds it
/// (`AWS_REGION`, `AWS_ENDPOINT_URL`, profiles, roles of the container or the machine).
#[derive(Clone)]
pub struct AwsSettings {
    /// The region, for example `eu-central-1`.
    pub region: Option<String>,
    /// Where every service of the account answers, for example `http://127.0.0.1:4566`.
    pub endpoint_url: Option<String>,
    /// Access key id and secret access key. For an account whose keys are no secret, such as a
    /// simulated one; a real account's keys belong where the SDK looks for them.
    pub credentials: Option<(String, String)>,
    /// The role of another account that is assumed with these credentials; `None` for their own account.
    pub role: Option<AwsRole>,
    /// The machine's time, told until AWS has answered for the first time.
    pub machine_clock: Arc<dyn Fn() -> Moment + Send + Sync>,
}

/// A role of another account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsRole {
    /// Which one, in which account.
    pub account: AssumedAccount,
    /// The external id that the role's trust policy asks for. Not a secret, AWS says, but a word that only the two
    /// sides use.
    pub external_id: Option<String>,
    /// The name of the session, as the account's CloudTrail shows it.
    pub session_name: String,
}

/// One account and region on the AWS SDK.
#[derive(Clone, Debug)]
pub struct AwsAccount {
    region: String,
    assumed: Option<AssumedAccount>,
    clock: AccountClock,
    meter: CallMeter,
    budget: Budget,
    codedeploy: aws_sdk_codedeploy::Client,
    ecs: aws_sdk_ecs::Client,
    elb: aws_sdk_elasticloadbalancingv2::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    sts: aws_sdk_sts::Client,
}

impl AwsAccount {
    /// Reads the SDK's settings and builds the clients. Nothing is sent to the account yet, so this
    /// cannot fail; without a region or credentials it is the calls that say so.
    pub async fn connect(settings: AwsSettings) -> AwsAccount {
        let clock = AccountClock::new(settings.machine_clock.clone());
        let assumed = settings.role.as_ref().map(|role| role.account.clone());
        let shared = shared(settings).await;
        let region = shared.region().map(Region::to_string).unwrap_or_default();
        let (meter, budget) = (CallMeter::new(), Budget::new());
        let observer = |service| CallObserver::new(service, &region, &meter, &budget);
        AwsAccount {
            codedeploy: aws_sdk_codedeploy::Client::from_conf(
                aws_sdk_codedeploy::config::Builder::from(&shared)
                    .interceptor(clock.clone())
                    .interceptor(observer("codedeploy"))
                    .build(),
            ),
            ecs: aws_sdk_ecs::Client::from_conf(
                aws_sdk_ecs::config::Builder::from(&shared)
                    .interceptor(clock.clone())
                    .interceptor(observer("ecs"))
                    .build(),
            ),
            elb: aws_sdk_elasticloadbalancingv2::Client::from_conf(
                aws_sdk_elasticloadbalancingv2::config::Builder::from(&shared)
                    .interceptor(clock.clone())
                    .interceptor(observer("elasticloadbalancing"))
                    .build(),
            ),
            cloudwatch: aws_sdk_cloudwatch::Client::from_conf(
                aws_sdk_cloudwatch::config::Builder::from(&shared)
                    .interceptor(clock.clone())
                    .interceptor(observer("cloudwatch"))
                    .build(),
            ),
            sts: aws_sdk_sts::Client::from_conf(
                aws_sdk_sts::config::Builder::from(&shared)
                    .interceptor(clock.clone())
                    .interceptor(observer("sts"))
                    .build(),
            ),
            clock,
            meter,
            budget,
            assumed,
            region,
        }
    }
}

/// What every client of an account shares.
async fn shared(settings: AwsSettings) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(READ_ATTEMPTS)
                .with_initial_backoff(READ_BACKOFF),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(READ_ATTEMPT_TIMEOUT)
                .operation_timeout(OPERATION_TIMEOUT)
                .build(),
        );
    if let Some(region) = settings.region {
        loader = loader.region(Region::new(region));
    }
    if let Some(endpoint_url) = settings.endpoint_url {
        loader = loader.endpoint_url(endpoint_url);
    }
    if let Some((key, secret)) = settings.credentials {
        loader = loader.credentials_provider(Credentials::new(
            key,
            secret,
            None,
            None,
            "switchback-settings",
        ));
    }
    let own = loader.load().await;
    match settings.role {
        None => own,
        Some(role) => with_role(own, role).await,
    }
}

/// The same with the credentials of the role, which the SDK renews before they expire. All clients of the account
/// share them: one AssumeRole an hour.
async fn with_role(own: SdkConfig, role: AwsRole) -> SdkConfig {
    let mut provider = AssumeRoleProvider::builder(role.account.role_arn)
        .configure(&own)
        .session_name(role.session_name)
        .session_length(SESSION_LENGTH);
    if let Some(external_id) = role.external_id {
        provider = provider.external_id(external_id);
    }
    let provider = provider.build().await;
    own.into_builder()
        .credentials_provider(SharedCredentialsProvider::new(provider))
        .identity_cache(IdentityCache::lazy().build())
        .build()
}

/// A time stamp of AWS's as a moment, to the nearest millisecond: in JSON it is a floating-point
/// number of seconds, and .123 arrives as .122999907.
fn moment(at: &DateTime) -> Moment {
    let millis = at.secs().saturating_mul(1000);
    let fraction = (i64::from(at.subsec_nanos()) + 500_000) / 1_000_000;
    Moment::from_millis(millis.saturating_add(fraction))
}

/// A moment as the SDK wants it.
fn date_time(at: Moment) -> DateTime {
    DateTime::from_millis(at.millis())
}

#[async_trait]
impl Cloud for AwsAccount {
    fn region(&self) -> &str {
        &self.region
    }

    fn assumed(&self) -> Option<&AssumedAccount> {
        self.assumed.as_ref()
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }

    fn calls(&self) -> CallsMade {
        self.meter.last_hour()
    }

    async fn account(&self) -> Result<String, CloudError> {
        let identity = self
            .sts
            .get_caller_identity()
            .send()
            .await
            .map_err(error::failed(calls::GET_CALLER_IDENTITY))?;
        let account = identity.account.ok_or_else(|| {
            error::malformed(calls::GET_CALLER_IDENTITY, "The answer has no Account.")
        })?;
        match &self.assumed {
            Some(assumed) if assumed.account != account => Err(CloudError {
                operation: calls::GET_CALLER_IDENTITY.name.to_string(),
                kind: WhatToDo::Never,
                code: ANOTHER_ACCOUNT.to_string(),
                message: format!(
                    "These credentials are of account {account}, and {} is a role of account {}.",
                    assumed.role_arn, assumed.account
                ),
                request_id: None,
            }),
            Some(_) | None => Ok(account),
        }
    }

    async fn services(&self) -> Result<Vec<ServiceReading>, CloudError> {
        self.all_services().await
    }

    async fn service(
        &self,
        cluster: &str,
        name: &str,
    ) -> Result<Option<(Vec<TaskSetReading>, i64, i64)>, CloudError> {
        self.one_service(cluster, name).await
    }

    async fn ecs_services(&self) -> Result<Vec<ServiceReading>, CloudError> {
        self.find_ecs_services().await
    }

    async fn ecs_services_named(
        &self,
        cluster: &str,
        names: &[String],
    ) -> Result<Vec<ServiceReading>, CloudError> {
        self.read_ecs_services(cluster, names).await
    }

    async fn service_deployment_ids(
        &self,
        cluster: &str,
        service: &str,
        since: Option<Moment>,
    ) -> Result<Vec<String>, CloudError> {
        self.list_service_deployments(cluster, service, since).await
    }

    async fn deployment_ids(
        &self,
        group: Option<(&str, &str)>,
        since: Option<Moment>,
    ) -> Result<Vec<String>, CloudError> {
        self.list_deployments(group, since).await
    }

    async fn deployment_id_page(
        &self,
        until: Moment,
        token: Option<&str>,
    ) -> Result<DeploymentIdPage, CloudError> {
        self.list_deployment_page(until, token).await
    }

    async fn deployment_ids_under_way(&self) -> Result<Vec<String>, CloudError> {
        self.list_deployments_under_way().await
    }

    async fn deployments(&self, aws_ids: &[String]) -> Result<Vec<DeploymentReading>, CloudError> {
        let (of_ecs, of_codedeploy): (Vec<String>, Vec<String>) = aws_ids
            .iter()
            .cloned()
            .partition(|aws_id| is_service_deployment(aws_id));
        let mut readings = self.get_deployments(&of_codedeploy).await?;
        readings.extend(self.describe_service_deployments(&of_ecs).await?);
        Ok(readings)
    }

    async fn lifecycle(&self, aws_id: &str) -> Result<LifecycleReading, CloudError> {
        self.get_lifecycle(aws_id).await
    }

    async fn lifecycle_of_service(
        &self,
        aws_id: &str,
        cluster: &str,
        service: &str,
    ) -> Result<LifecycleReading, CloudError> {
        self.get_lifecycle_of_target(aws_id, format!("{cluster}:{service}"))
            .await
    }

    async fn app_spec(&self, application: &str, digest: &Digest) -> Result<String, CloudError> {
        self.get_app_spec(application, digest).await
    }

    async fn revision(&self, arn: &RevisionArn) -> Result<Option<Revision>, CloudError> {
        self.describe_revision(arn).await
    }

    async fn revision_arns(
        &self,
        family: &str,
        active: bool,
        limit: usize,
    ) -> Result<Vec<RevisionArn>, CloudError> {
        self.list_revisions(family, active, limit).await
    }

    async fn stopped_task_revision(
        &self,
        cluster: &str,
        service: &str,
        task_set_id: &str,
    ) -> Result<Option<RevisionArn>, CloudError> {
        self.find_stopped_task(cluster, service, task_set_id).await
    }

    async fn listener_weights(&self, listener_arn: &str) -> Result<Vec<(String, i64)>, CloudError> {
        self.describe_listener(listener_arn).await
    }

    async fn target_groups(&self, names: &[String]) -> Result<Vec<TargetGroupReading>, CloudError> {
        self.describe_target_groups(names).await
    }

    async fn target_health(&self, target_group_arn: &str) -> Result<TargetHealth, CloudError> {
        self.describe_target_health(target_group_arn).await
    }

    async fn alarms(&self, names: &[String]) -> Result<Vec<AlarmReading>, CloudError> {
        self.describe_alarms(names).await
    }

    async fn metrics(
        &self,
        target_groups: &[TargetGroupReading],
        from: Moment,
        to: Moment,
    ) -> Result<Vec<MetricReading>, CloudError> {
        self.get_metric_data(target_groups, from, to).await
    }

    async fn answer_hook(
        &self,
        aws_id: &str,
        execution_id: &str,
        verdict: Verdict,
    ) -> Result<Receipt, CloudError> {
        self.put_hook_status(aws_id, execution_id, verdict).await
    }

    async fn continue_deployment(
        &self,
        aws_id: &str,
        wait: DeploymentWait,
    ) -> Result<Receipt, CloudError> {
        self.end_wait(aws_id, wait).await
    }

    async fn continue_service_deployment(
        &self,
        aws_id: &str,
        hook_id: &str,
        verdict: Verdict,
    ) -> Result<Receipt, CloudError> {
        self.answer_pause_hook(aws_id, hook_id, verdict).await
    }

    async fn stop_and_roll_back(&self, aws_id: &str) -> Result<Receipt, CloudError> {
        self.stop_deployment(aws_id).await
    }

    async fn stop_service_deployment(&self, aws_id: &str) -> Result<Receipt, CloudError> {
        self.stop_deployment_of_service(aws_id).await
    }

    async fn update_service(
        &self,
        update: &ServiceUpdate,
    ) -> Result<(UpdatedService, Receipt), CloudError> {
        self.move_service(update).await
    }

    async fn create_deployment(
        &self,
        new: &NewDeployment,
    ) -> Result<(String, Receipt), CloudError> {
        self.begin_deployment(new).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_keep_their_milliseconds_both_ways() {
        let at = Moment::from_millis(1_763_719_200_123);
        assert_eq!(moment(&date_time(at)), at);
        assert_eq!(
            moment(&DateTime::from_secs_f64(-0.5)),
            Moment::from_millis(-500)
        );
    }
}
