//! AWS CodeDeploy: deployment groups, deployments and the four calls that change something (aws.md §1).

use crate::AwsAccount;
use crate::calls;
use crate::calls::Call;
use crate::date_time;
use crate::error::failed;
use crate::error::from_sdk;
use crate::error::malformed;
use crate::moment;
use crate::watch::Sent;
use crate::watch::exactly_once;
use aws_sdk_codedeploy::config::Builder;
use aws_sdk_codedeploy::types::AppSpecContent;
use aws_sdk_codedeploy::types::AutoRollbackEvent;
use aws_sdk_codedeploy::types::ComputePlatform;
use aws_sdk_codedeploy::types::DeploymentGroupInfo;
use aws_sdk_codedeploy::types::DeploymentInfo;
use aws_sdk_codedeploy::types::DeploymentReadyAction;
use aws_sdk_codedeploy::types::DeploymentStatus;
use aws_sdk_codedeploy::types::DeploymentWaitType;
use aws_sdk_codedeploy::types::EcsTarget;
use aws_sdk_codedeploy::types::InstanceAction;
use aws_sdk_codedeploy::types::LifecycleEvent;
use aws_sdk_codedeploy::types::LifecycleEventStatus;
use aws_sdk_codedeploy::types::RevisionLocation;
use aws_sdk_codedeploy::types::RevisionLocationType;
use aws_sdk_codedeploy::types::TargetLabel;
use aws_sdk_codedeploy::types::TimeRange;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;
use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream;
use std::error::Error;
use switchback_cloud::CloudError;
use switchback_cloud::DeploymentIdPage;
use switchback_cloud::DeploymentReading;
use switchback_cloud::DeploymentWait;
use switchback_cloud::LifecycleReading;
use switchback_cloud::NewDeployment;
use switchback_cloud::Receipt;
use switchback_cloud::WhatToDo;
use switchback_domain::deployment::AwsStatus;
use switchback_domain::deployment::Reading;
use switchback_domain::deployment::Stage;
use switchback_domain::deployment::StageStatus;
use switchback_domain::digest::Digest;
use switchback_domain::gate::Verdict;
use switchback_domain::moment::Moment;
use switchback_domain::service::DeploymentGroup;
use switchback_domain::service::TrafficRoutes;

/// Groups in one BatchGetDeploymentGroups. [K]
const GROUPS_AT_ONCE: usize = 100;
/// Deployments in one BatchGetDeployments, targets in one BatchGetDeploymentTargets. [M]
const DEPLOYMENTS_AT_ONCE: usize = 25;
/// Applications that are looked through side by side. CodeDeploy's rates are not published.
const APPLICATIONS_AT_ONCE: usize = 4;

/// The codes by which AWS says that a deployment has no target of this id.
const TARGET_UNKNOWN: [&str; 2] = [
    "DeploymentTargetDoesNotExistException",
    "InvalidDeploymentTargetIdException",
];

/// The statuses of deployments that have not ended. ListDeployments is not documented to take `Baking`, which was never
/// seen with ECS (aws.md §1.5).
const UNDER_WAY: [DeploymentStatus; 4] = [
    DeploymentStatus::Created,
    DeploymentStatus::Queued,
    DeploymentStatus::InProgress,
    DeploymentStatus::Ready,
];

/// A deployment group with the ECS service it deploys.
pub(crate) struct GroupOfService {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The service's name.
    pub(crate) service: String,
    /// The group.
    pub(crate) group: DeploymentGroup,
}

impl AwsAccount {
    /// Every group that deploys an ECS service.
    pub(crate) async fn ecs_groups(&self) -> Result<Vec<GroupOfService>, CloudError> {
        let applications: Vec<String> = self
            .codedeploy
            .list_applications()
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed(calls::LIST_APPLICATIONS))?;
        let groups: Vec<Vec<GroupOfService>> = stream::iter(applications)
            .map(|application| self.ecs_groups_of(application))
            .buffered(APPLICATIONS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(groups.into_iter().flatten().collect())
    }

    async fn ecs_groups_of(&self, application: String) -> Result<Vec<GroupOfService>, CloudError> {
        let listed: Result<Vec<String>, CloudError> = self
            .codedeploy
            .list_deployment_groups()
            .application_name(&application)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed(calls::LIST_DEPLOYMENT_GROUPS));
        let names = match listed {
            Ok(names) => names,
            // Deleted since the applications were listed.
            Err(error) if error.code == "ApplicationDoesNotExistException" => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for names in names.chunks(GROUPS_AT_ONCE) {
            let answer = self
                .codedeploy
                .batch_get_deployment_groups()
                .application_name(&application)
                .set_deployment_group_names(Some(names.to_vec()))
                .send()
                .await
                .map_err(failed(calls::BATCH_GET_DEPLOYMENT_GROUPS))?;
            for info in answer.deployment_groups_info() {
                if info.compute_platform() == Some(&ComputePlatform::Ecs) {
                    found.extend(services_of(info));
                }
            }
        }
        Ok(found)
    }

    pub(crate) async fn list_deployments(
        &self,
        group: Option<(&str, &str)>,
        since: Option<Moment>,
    ) -> Result<Vec<String>, CloudError> {
        let created = since.map(|since| TimeRange::builder().start(date_time(since)).build());
        self.codedeploy
            .list_deployments()
            .set_application_name(group.map(|(application, _)| application.to_string()))
            .set_deployment_group_name(group.map(|(_, group)| group.to_string()))
            .set_create_time_range(created)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed(calls::LIST_DEPLOYMENTS))
    }

    pub(crate) async fn list_deployment_page(
        &self,
        until: Moment,
        token: Option<&str>,
    ) -> Result<DeploymentIdPage, CloudError> {
        let page = self
            .codedeploy
            .list_deployments()
            .create_time_range(TimeRange::builder().end(date_time(until)).build())
            .set_next_token(token.map(str::to_string))
            .send()
            .await
            .map_err(failed(calls::LIST_DEPLOYMENTS))?;
        Ok(DeploymentIdPage {
            aws_ids: page.deployments.unwrap_or_default(),
            next_token: page.next_token.filter(|token| !token.is_empty()),
        })
    }

    pub(crate) async fn list_deployments_under_way(&self) -> Result<Vec<String>, CloudError> {
        self.codedeploy
            .list_deployments()
            .set_include_only_statuses(Some(UNDER_WAY.to_vec()))
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed(calls::LIST_DEPLOYMENTS))
    }

    pub(crate) async fn get_deployments(
        &self,
        aws_ids: &[String],
    ) -> Result<Vec<DeploymentReading>, CloudError> {
        let mut readings = Vec::new();
        for ids in aws_ids.chunks(DEPLOYMENTS_AT_ONCE) {
            match self.get_some_deployments(ids).await {
                Ok(found) => readings.extend(found),
                // One id that AWS does not take spoils the answer for all: ask for each alone.
                Err(error) if error.is_missing() => {
                    for id in ids {
                        match self.get_some_deployments(std::slice::from_ref(id)).await {
                            Ok(found) => readings.extend(found),
                            Err(error) if error.is_missing() => {}
                            Err(error) => return Err(error),
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(readings)
    }

    async fn get_some_deployments(
        &self,
        aws_ids: &[String],
    ) -> Result<Vec<DeploymentReading>, CloudError> {
        let answer = self
            .codedeploy
            .batch_get_deployments()
            .set_deployment_ids(Some(aws_ids.to_vec()))
            .send()
            .await
            .map_err(failed(calls::BATCH_GET_DEPLOYMENTS))?;
        answer
            .deployments_info()
            .iter()
            .map(deployment_reading)
            .collect()
    }

    pub(crate) async fn get_lifecycle(&self, aws_id: &str) -> Result<LifecycleReading, CloudError> {
        match self.get_ecs_target(aws_id).await {
            Ok(target) => Ok(target.as_ref().map(lifecycle_reading).unwrap_or_default()),
            Err(error) if error.code == "DeploymentNotStartedException" => {
                Ok(LifecycleReading::default())
            }
            Err(error) => Err(error),
        }
    }

    /// The lifecycle where the target's id is known: `cluster:service` (aws.md §1.5). Where AWS knows the target by
    /// another id, it is listed.
    pub(crate) async fn get_lifecycle_of_target(
        &self,
        aws_id: &str,
        target_id: String,
    ) -> Result<LifecycleReading, CloudError> {
        match self.get_ecs_target_of(aws_id, vec![target_id]).await {
            Ok(Some(target)) => Ok(lifecycle_reading(&target)),
            Ok(None) => self.get_lifecycle(aws_id).await,
            Err(error) if error.code == "DeploymentNotStartedException" => {
                Ok(LifecycleReading::default())
            }
            Err(error) if TARGET_UNKNOWN.contains(&error.code.as_str()) => {
                self.get_lifecycle(aws_id).await
            }
            Err(error) => Err(error),
        }
    }

    /// The one target of an ECS deployment.
    async fn get_ecs_target(&self, aws_id: &str) -> Result<Option<EcsTarget>, CloudError> {
        let mut target_ids: Vec<String> = Vec::new();
        let mut next_token = None;
        loop {
            let page = self
                .codedeploy
                .list_deployment_targets()
                .deployment_id(aws_id)
                .set_next_token(next_token)
                .send()
                .await
                .map_err(failed(calls::LIST_DEPLOYMENT_TARGETS))?;
            target_ids.extend(page.target_ids.unwrap_or_default());
            next_token = page.next_token.filter(|token| !token.is_empty());
            if next_token.is_none() {
                break;
            }
        }
        for ids in target_ids.chunks(DEPLOYMENTS_AT_ONCE) {
            if let Some(target) = self.get_ecs_target_of(aws_id, ids.to_vec()).await? {
                return Ok(Some(target));
            }
        }
        Ok(None)
    }

    async fn get_ecs_target_of(
        &self,
        aws_id: &str,
        target_ids: Vec<String>,
    ) -> Result<Option<EcsTarget>, CloudError> {
        let answer = self
            .codedeploy
            .batch_get_deployment_targets()
            .deployment_id(aws_id)
            .set_target_ids(Some(target_ids))
            .send()
            .await
            .map_err(failed(calls::BATCH_GET_DEPLOYMENT_TARGETS))?;
        let targets = answer.deployment_targets.unwrap_or_default();
        Ok(targets.into_iter().find_map(|target| target.ecs_target))
    }

    pub(crate) async fn get_app_spec(
        &self,
        application: &str,
        digest: &Digest,
    ) -> Result<String, CloudError> {
        let location = RevisionLocation::builder()
            .revision_type(RevisionLocationType::AppSpecContent)
            .app_spec_content(AppSpecContent::builder().sha256(digest.as_str()).build())
            .build();
        match self.get_app_spec_at(application, location).await {
            // The digest alone does not say whether the text was given in the older form.
            Err(error) if error.is_missing() => {
                match self
                    .get_app_spec_at(application, older_location(digest))
                    .await
                {
                    // AWS may refuse the older form outright; what is missing is the revision.
                    Err(second) if second.kind == WhatToDo::Never => Err(error),
                    found => found,
                }
            }
            found => found,
        }
    }

    async fn get_app_spec_at(
        &self,
        application: &str,
        location: RevisionLocation,
    ) -> Result<String, CloudError> {
        let answer = self
            .codedeploy
            .get_application_revision()
            .application_name(application)
            .revision(location)
            .send()
            .await
            .map_err(failed(calls::GET_APPLICATION_REVISION))?;
        answer
            .revision()
            .and_then(|revision| {
                let content = revision
                    .app_spec_content()
                    .and_then(AppSpecContent::content);
                content.or_else(|| revision.string().and_then(|text| text.content()))
            })
            .map(str::to_string)
            .ok_or_else(|| {
                malformed(
                    calls::GET_APPLICATION_REVISION,
                    "The revision has no AppSpec content.",
                )
            })
    }

    pub(crate) async fn put_hook_status(
        &self,
        aws_id: &str,
        execution_id: &str,
        verdict: Verdict,
    ) -> Result<Receipt, CloudError> {
        let sent = Sent::default();
        let answer = self
            .codedeploy
            .put_lifecycle_event_hook_execution_status()
            .deployment_id(aws_id)
            .lifecycle_event_hook_execution_id(execution_id)
            .status(match verdict {
                Verdict::Approve => LifecycleEventStatus::Succeeded,
                Verdict::Reject => LifecycleEventStatus::Failed,
            })
            .customize()
            .config_override(exactly_once!(Builder, &sent))
            .send()
            .await;
        changed(
            calls::PUT_LIFECYCLE_EVENT_HOOK_EXECUTION_STATUS,
            &sent,
            answer,
        )
        .map(|(_, receipt)| receipt)
    }

    pub(crate) async fn end_wait(
        &self,
        aws_id: &str,
        wait: DeploymentWait,
    ) -> Result<Receipt, CloudError> {
        let sent = Sent::default();
        let wait = match wait {
            DeploymentWait::Ready => DeploymentWaitType::ReadyWait,
            DeploymentWait::Termination => DeploymentWaitType::TerminationWait,
        };
        let answer = self
            .codedeploy
            .continue_deployment()
            .deployment_id(aws_id)
            .deployment_wait_type(wait)
            .customize()
            .config_override(exactly_once!(Builder, &sent))
            .send()
            .await;
        changed(calls::CONTINUE_DEPLOYMENT, &sent, answer).map(|(_, receipt)| receipt)
    }

    pub(crate) async fn stop_deployment(&self, aws_id: &str) -> Result<Receipt, CloudError> {
        let sent = Sent::default();
        let answer = self
            .codedeploy
            .stop_deployment()
            .deployment_id(aws_id)
            .auto_rollback_enabled(true)
            .customize()
            .config_override(exactly_once!(Builder, &sent))
            .send()
            .await;
        changed(calls::STOP_DEPLOYMENT, &sent, answer).map(|(_, receipt)| receipt)
    }

    pub(crate) async fn begin_deployment(
        &self,
        new: &NewDeployment,
    ) -> Result<(String, Receipt), CloudError> {
        let sent = Sent::default();
        let content = AppSpecContent::builder()
            .content(&new.app_spec)
            .sha256(Digest::of_bytes(new.app_spec.as_bytes()).as_str())
            .build();
        let revision = RevisionLocation::builder()
            .revision_type(RevisionLocationType::AppSpecContent)
            .app_spec_content(content)
            .build();
        let answer = self
            .codedeploy
            .create_deployment()
            .application_name(&new.application)
            .deployment_group_name(&new.group)
            .deployment_config_name(&new.config_name)
            .description(&new.description)
            .revision(revision)
            .customize()
            .config_override(exactly_once!(Builder, &sent))
            .send()
            .await;
        let (answer, receipt) = changed(calls::CREATE_DEPLOYMENT, &sent, answer)?;
        let id = answer.deployment_id.ok_or_else(|| CloudError {
            request_id: receipt.request_id.clone(),
            ..malformed(calls::CREATE_DEPLOYMENT, "The answer has no deploymentId.")
        })?;
        Ok((id, receipt))
    }
}

/// The answer to a call that changes something, with its receipt.
pub(crate) fn changed<O, E>(
    call: Call,
    sent: &Sent,
    answer: Result<O, SdkError<E, HttpResponse>>,
) -> Result<(O, Receipt), CloudError>
where
    O: RequestId,
    E: ProvideErrorMetadata + Error + 'static,
{
    match answer {
        Ok(answer) => {
            let request_id = answer.request_id().map(str::to_string);
            Ok((answer, Receipt { request_id }))
        }
        Err(error) => Err(from_sdk(call, sent.began(), &error)),
    }
}

/// The name at the end of an ARN; a bare name is itself. Groups hold either.
pub(crate) fn name_of(arn_or_name: &str) -> &str {
    arn_or_name
        .rsplit_once('/')
        .map_or(arn_or_name, |(_, name)| name)
}

fn services_of(info: &DeploymentGroupInfo) -> Vec<GroupOfService> {
    let group = deployment_group(info);
    info.ecs_services()
        .iter()
        .filter_map(|service| {
            Some(GroupOfService {
                cluster: name_of(service.cluster_name()?).to_string(),
                service: name_of(service.service_name()?).to_string(),
                group: group.clone(),
            })
        })
        .collect()
}

fn deployment_group(info: &DeploymentGroupInfo) -> DeploymentGroup {
    // An ECS group has exactly one pair of target groups and one listener a route (aws.md §1.10).
    let pair = info
        .load_balancer_info()
        .and_then(|info| info.target_group_pair_info_list().first());
    let routes = pair.map_or_else(TrafficRoutes::default, |pair| TrafficRoutes {
        production_listener: pair
            .prod_traffic_route()
            .and_then(|route| route.listener_arns().first().cloned()),
        test_listener: pair
            .test_traffic_route()
            .and_then(|route| route.listener_arns().first().cloned()),
        target_groups: pair
            .target_groups()
            .iter()
            .filter_map(|group| group.name().map(str::to_string))
            .collect(),
    });
    let alarms = info
        .alarm_configuration()
        .filter(|configuration| configuration.enabled());
    let rollback = info
        .auto_rollback_configuration()
        .filter(|rollback| rollback.enabled());
    let rolls_back_on = |event| rollback.is_some_and(|rollback| rollback.events().contains(&event));
    let blue_green = info.blue_green_deployment_configuration();
    let ready = blue_green.and_then(|blue_green| blue_green.deployment_ready_option());
    let termination = blue_green
        .and_then(|blue_green| blue_green.terminate_blue_instances_on_deployment_success());
    DeploymentGroup {
        application: info.application_name().unwrap_or_default().to_string(),
        group: info.deployment_group_name().unwrap_or_default().to_string(),
        config_name: info
            .deployment_config_name()
            .unwrap_or_default()
            .to_string(),
        routes,
        alarms: alarms
            .map(|configuration| configuration.alarms())
            .unwrap_or_default()
            .iter()
            .filter_map(|alarm| alarm.name().map(str::to_string))
            .collect(),
        rolls_back_on_failure: rolls_back_on(AutoRollbackEvent::DeploymentFailure),
        rolls_back_on_alarm: rolls_back_on(AutoRollbackEvent::DeploymentStopOnAlarm),
        // CONTINUE_DEPLOYMENT never waits: AWS refuses it together with a wait (aws.md §1.7).
        ready_wait_minutes: ready
            .filter(|ready| {
                ready.action_on_timeout() == Some(&DeploymentReadyAction::StopDeployment)
            })
            .map_or(0, |ready| i64::from(ready.wait_time_in_minutes())),
        termination_wait_minutes: match termination {
            Some(termination) if termination.action() == Some(&InstanceAction::KeepAlive) => None,
            Some(termination) => Some(i64::from(termination.termination_wait_time_in_minutes())),
            // AWS's own default: at once.
            None => Some(0),
        },
    }
}

fn deployment_reading(info: &DeploymentInfo) -> Result<DeploymentReading, CloudError> {
    let aws_id = info.deployment_id().ok_or_else(|| {
        malformed(
            calls::BATCH_GET_DEPLOYMENTS,
            "A deployment has no deploymentId.",
        )
    })?;
    let created_at = info.create_time().map(moment).ok_or_else(|| {
        malformed(
            calls::BATCH_GET_DEPLOYMENTS,
            format!("{aws_id} has no createTime."),
        )
    })?;
    let rollback = info.rollback_info();
    Ok(DeploymentReading {
        aws_id: aws_id.to_string(),
        application: info.application_name().unwrap_or_default().to_string(),
        group: info.deployment_group_name().unwrap_or_default().to_string(),
        config_name: info
            .deployment_config_name()
            .unwrap_or_default()
            .to_string(),
        creator: info
            .creator()
            .map(|creator| creator.as_str().to_string())
            .unwrap_or_default(),
        description: info
            .description()
            .filter(|text| !text.is_empty())
            .map(str::to_string),
        created_at,
        completed_at: info.complete_time().map(moment),
        app_spec_digest: info.revision().and_then(app_spec_digest),
        previous_app_spec_digest: info.previous_revision().and_then(app_spec_digest),
        service: None,
        reading: Reading {
            status: info.status().map_or(AwsStatus::Unknown, aws_status),
            error_code: info
                .error_information()
                .and_then(|error| error.code())
                .map(|code| code.as_str().to_string()),
            error_message: info
                .error_information()
                .and_then(|error| error.message())
                .map(str::to_string),
            rolled_back_by: rollback
                .and_then(|rollback| rollback.rollback_deployment_id())
                .filter(|id| !id.is_empty())
                .map(str::to_string),
            rolls_back: rollback
                .and_then(|rollback| rollback.rollback_triggering_deployment_id())
                .filter(|id| !id.is_empty())
                .map(str::to_string),
            stages: Vec::new(),
            ecs: None,
        },
    })
}

fn aws_status(status: &DeploymentStatus) -> AwsStatus {
    match status {
        DeploymentStatus::Created
        | DeploymentStatus::Queued
        | DeploymentStatus::InProgress
        // Without documentation and never seen with ECS; it is not an end (aws.md §1.5).
        | DeploymentStatus::Baking => AwsStatus::Running,
        DeploymentStatus::Ready => AwsStatus::Ready,
        DeploymentStatus::Succeeded => AwsStatus::Succeeded,
        DeploymentStatus::Failed => AwsStatus::Failed,
        DeploymentStatus::Stopped => AwsStatus::Stopped,
        _ => AwsStatus::Unknown,
    }
}

#[expect(
    deprecated,
    reason = "AWS still lists deployments that were given their AppSpec this way"
)]
fn older_location(digest: &Digest) -> RevisionLocation {
    let text = aws_sdk_codedeploy::types::RawString::builder()
        .sha256(digest.as_str())
        .build();
    RevisionLocation::builder()
        .revision_type(RevisionLocationType::String)
        .string(text)
        .build()
}

/// The digest of an AppSpec that was given as text. One in S3 has none that AWS would tell.
fn app_spec_digest(revision: &RevisionLocation) -> Option<Digest> {
    let digest = match revision.app_spec_content() {
        Some(content) => content.sha256(),
        None => revision.string().and_then(|text| text.sha256()),
    };
    digest.map(Digest::new)
}

fn lifecycle_reading(target: &EcsTarget) -> LifecycleReading {
    LifecycleReading {
        stages: target.lifecycle_events().iter().map(stage).collect(),
        replaced_task_set: target
            .task_sets_info()
            .iter()
            .find(|task_set| task_set.task_set_label() == Some(&TargetLabel::Blue))
            // AWS's spelling. [M: ECSTaskSet]
            .and_then(|task_set| task_set.identifer())
            .map(str::to_string),
    }
}

fn stage(event: &LifecycleEvent) -> Stage {
    Stage {
        name: event.lifecycle_event_name().unwrap_or_default().to_string(),
        status: match event.status() {
            Some(LifecycleEventStatus::Pending) => StageStatus::Pending,
            Some(LifecycleEventStatus::InProgress) => StageStatus::InProgress,
            Some(LifecycleEventStatus::Succeeded) => StageStatus::Succeeded,
            Some(LifecycleEventStatus::Failed) => StageStatus::Failed,
            Some(LifecycleEventStatus::Skipped) => StageStatus::Skipped,
            _ => StageStatus::Unknown,
        },
        started_at: event.start_time().map(moment),
        ended_at: event.end_time().map(moment),
        message: event
            .diagnostics()
            .and_then(|diagnostics| diagnostics.message())
            .filter(|message| !message.is_empty())
            .map(str::to_string),
    }
}
