//! Amazon ECS as its own deployment controller: services found by cluster, service deployments with their revisions
//! (aws.md §2.1, §2.3). A deployment is read with the two service revisions it is about: they alone know the task
//! definition, the images by digest and the target group that was really used.

use crate::AwsAccount;
use crate::calls;
use crate::codedeploy::name_of;
use crate::date_time;
use crate::error::failed;
use crate::error::malformed;
use crate::moment;
use aws_sdk_ecs::types::CreatedAt;
use aws_sdk_ecs::types::Deployment;
use aws_sdk_ecs::types::DeploymentConfiguration;
use aws_sdk_ecs::types::DeploymentControllerType;
use aws_sdk_ecs::types::DeploymentLifecycleHookDetail;
use aws_sdk_ecs::types::DeploymentLifecycleHookTargetType;
use aws_sdk_ecs::types::DeploymentRolloutState;
use aws_sdk_ecs::types::DeploymentStrategy;
use aws_sdk_ecs::types::Service;
use aws_sdk_ecs::types::ServiceDeployment;
use aws_sdk_ecs::types::ServiceDeploymentRollbackMonitorsStatus;
use aws_sdk_ecs::types::ServiceRevision;
use aws_sdk_ecs::types::ServiceRevisionSummary;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use switchback_cloud::CloudError;
use switchback_cloud::DeployedService;
use switchback_cloud::DeploymentReading;
use switchback_cloud::ServiceReading;
use switchback_domain::deployment::AwsStatus;
use switchback_domain::deployment::Reading;
use switchback_domain::ecs::EcsConfiguration;
use switchback_domain::ecs::EcsContainerPort;
use switchback_domain::ecs::EcsHook;
use switchback_domain::ecs::EcsHookExpiry;
use switchback_domain::ecs::EcsHookKind;
use switchback_domain::ecs::EcsHookStatus;
use switchback_domain::ecs::EcsReading;
use switchback_domain::ecs::EcsService;
use switchback_domain::ecs::EcsSide;
use switchback_domain::ecs::EcsStatus;
use switchback_domain::ecs::EcsStrategy;
use switchback_domain::ecs::INITIATOR_NOT_TOLD;
use switchback_domain::moment::Moment;
use switchback_domain::revision::ContainerImage;
use switchback_domain::revision::RevisionArn;
use switchback_domain::service::Controller;

/// Services in one DescribeServices. [M]
const SERVICES_AT_ONCE: usize = 10;
/// Service deployments, and service revisions, in one call. [M]
const DESCRIBED_AT_ONCE: usize = 20;
/// Entries of one page of a list. [M]
const PAGE: i32 = 100;

impl AwsAccount {
    /// Every service of every cluster that ECS itself deploys.
    pub(crate) async fn find_ecs_services(&self) -> Result<Vec<ServiceReading>, CloudError> {
        self.budget.turn(calls::LIST_CLUSTERS).await;
        let clusters: Vec<String> = self
            .ecs
            .list_clusters()
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed(calls::LIST_CLUSTERS))?;
        let mut readings = Vec::new();
        for cluster in clusters {
            self.budget.turn(calls::LIST_SERVICES).await;
            let services: Result<Vec<String>, CloudError> = self
                .ecs
                .list_services()
                .cluster(&cluster)
                .max_results(PAGE)
                .into_paginator()
                .items()
                .send()
                .try_collect()
                .await
                .map_err(failed(calls::LIST_SERVICES));
            match services {
                Ok(services) => readings.extend(self.read_ecs_services(&cluster, &services).await?),
                // Deleted since the clusters were listed.
                Err(error) if error.code == "ClusterNotFoundException" => {}
                Err(error) => return Err(error),
            }
        }
        Ok(readings)
    }

    /// Those of these services (names or ARNs) that exist and that ECS itself deploys.
    pub(crate) async fn read_ecs_services(
        &self,
        cluster: &str,
        names: &[String],
    ) -> Result<Vec<ServiceReading>, CloudError> {
        let mut readings = Vec::new();
        for names in names.chunks(SERVICES_AT_ONCE) {
            for service in self.describe_services(cluster, names.to_vec()).await? {
                if is_deployed_by_ecs(&service) && service.status() != Some("DRAINING") {
                    readings.push(service_reading(&service, cluster)?);
                }
            }
        }
        Ok(readings)
    }

    /// The ARNs of a service's deployments created after `since`, all that AWS keeps when `None`; newest first.
    pub(crate) async fn list_service_deployments(
        &self,
        cluster: &str,
        service: &str,
        since: Option<Moment>,
    ) -> Result<Vec<String>, CloudError> {
        let created = since.map(|since| CreatedAt::builder().after(date_time(since)).build());
        let mut arns = Vec::new();
        let mut token = None;
        // The SDK has no paginator for it.
        loop {
            self.budget.turn(calls::LIST_SERVICE_DEPLOYMENTS).await;
            let answer = self
                .ecs
                .list_service_deployments()
                .cluster(cluster)
                .service(service)
                .set_created_at(created.clone())
                .max_results(PAGE)
                .set_next_token(token)
                .send()
                .await
                .map_err(failed(calls::LIST_SERVICE_DEPLOYMENTS));
            let answer = match answer {
                Ok(answer) => answer,
                // Its deployments are deleted with the service.
                Err(error) if error.is_missing() => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            let briefs = answer.service_deployments().iter();
            arns.extend(
                briefs.filter_map(|brief| brief.service_deployment_arn().map(str::to_string)),
            );
            token = answer.next_token;
            if token.is_none() {
                return Ok(arns);
            }
        }
    }

    /// The service deployments with these ARNs, those that AWS does not know left out.
    pub(crate) async fn describe_service_deployments(
        &self,
        arns: &[String],
    ) -> Result<Vec<DeploymentReading>, CloudError> {
        let mut found = Vec::new();
        for arns in arns.chunks(DESCRIBED_AT_ONCE) {
            self.budget.turn(calls::DESCRIBE_SERVICE_DEPLOYMENTS).await;
            let answer = self
                .ecs
                .describe_service_deployments()
                .set_service_deployment_arns(Some(arns.to_vec()))
                .send()
                .await
                .map_err(failed(calls::DESCRIBE_SERVICE_DEPLOYMENTS))?;
            found.extend(answer.service_deployments.unwrap_or_default());
        }
        let wanted: BTreeSet<String> = found
            .iter()
            .flat_map(|one| {
                one.source_service_revisions()
                    .iter()
                    .chain(one.target_service_revision())
            })
            .filter_map(|summary| summary.arn().map(str::to_string))
            .collect();
        let revisions = self
            .describe_service_revisions(wanted.into_iter().collect())
            .await?;
        found
            .iter()
            .map(|one| deployment_reading(one, &revisions))
            .collect()
    }

    async fn describe_service_revisions(
        &self,
        arns: Vec<String>,
    ) -> Result<BTreeMap<String, ServiceRevision>, CloudError> {
        let mut revisions = BTreeMap::new();
        for arns in arns.chunks(DESCRIBED_AT_ONCE) {
            self.budget.turn(calls::DESCRIBE_SERVICE_REVISIONS).await;
            let answer = self
                .ecs
                .describe_service_revisions()
                .set_service_revision_arns(Some(arns.to_vec()))
                .send()
                .await
                .map_err(failed(calls::DESCRIBE_SERVICE_REVISIONS))?;
            for revision in answer.service_revisions.unwrap_or_default() {
                if let Some(arn) = revision.service_revision_arn.clone() {
                    revisions.insert(arn, revision);
                }
            }
        }
        Ok(revisions)
    }
}

/// A service without a controller of its own has ECS's. [D]
fn is_deployed_by_ecs(service: &Service) -> bool {
    service
        .deployment_controller()
        .is_none_or(|controller| *controller.r#type() == DeploymentControllerType::Ecs)
}

fn service_reading(service: &Service, cluster: &str) -> Result<ServiceReading, CloudError> {
    let missing = |what| {
        malformed(
            calls::DESCRIBE_SERVICES,
            format!("A service has no {what}."),
        )
    };
    let mut target_groups = BTreeSet::new();
    for balancer in service.load_balancers() {
        let alternate = balancer
            .advanced_configuration()
            .and_then(|advanced| advanced.alternate_target_group_arn());
        let arns = balancer.target_group_arn().into_iter().chain(alternate);
        target_groups.extend(arns.map(target_group_name));
    }
    let primary = service
        .deployments()
        .iter()
        .find(|one| one.status() == Some("PRIMARY"));
    Ok(ServiceReading {
        name: service
            .service_name()
            .ok_or_else(|| missing("serviceName"))?
            .to_string(),
        arn: service
            .service_arn()
            .ok_or_else(|| missing("serviceArn"))?
            .to_string(),
        cluster: service.cluster_arn().map_or(cluster, name_of).to_string(),
        controller: Controller::Ecs(EcsService {
            configuration: service
                .deployment_configuration()
                .map(configuration)
                .unwrap_or_default(),
            target_groups: target_groups.into_iter().collect(),
            container_ports: container_ports(service),
            task_definition: revision(service.task_definition())?,
            primary: primary.and_then(|one| one.id()).map(str::to_string),
            current: service.current_service_deployment().map(str::to_string),
            recorded_primary: None,
        }),
        serving: serving(service.deployments())?,
        task_sets: Vec::new(),
        desired_count: i64::from(service.desired_count()),
        running_count: i64::from(service.running_count()),
    })
}

/// What serves: the task definition of the latest deployment that is COMPLETED. What is IN_PROGRESS does not yet, and
/// what FAILED never did.
fn serving(deployments: &[Deployment]) -> Result<Option<RevisionArn>, CloudError> {
    let mut completed: Vec<&Deployment> = deployments
        .iter()
        .filter(|one| one.rollout_state() == Some(&DeploymentRolloutState::Completed))
        .collect();
    completed.sort_by_key(|one| one.created_at().map(|at| (at.secs(), at.subsec_nanos())));
    revision(completed.last().and_then(|one| one.task_definition()))
}

fn revision(arn: Option<&str>) -> Result<Option<RevisionArn>, CloudError> {
    arn.map(RevisionArn::parse)
        .transpose()
        .map_err(|error| malformed(calls::DESCRIBE_SERVICES, error.to_string()))
}

/// What the service's load balancers reach; a port that cannot be one is left out.
fn container_ports(service: &Service) -> Vec<EcsContainerPort> {
    let balancers = service.load_balancers().iter();
    balancers
        .filter_map(|balancer| {
            Some(EcsContainerPort {
                container: balancer.container_name()?.to_string(),
                port: u16::try_from(balancer.container_port()?).ok()?,
            })
        })
        .collect()
}

/// `arn:…:targetgroup/NAME/ID`
fn target_group_name(arn: &str) -> String {
    arn.split('/').nth(1).unwrap_or(arn).to_string()
}

fn configuration(given: &DeploymentConfiguration) -> EcsConfiguration {
    let strategy = match given.strategy() {
        None | Some(DeploymentStrategy::Rolling) => EcsStrategy::Rolling,
        Some(DeploymentStrategy::BlueGreen) => EcsStrategy::BlueGreen,
        Some(DeploymentStrategy::Linear) => EcsStrategy::Linear,
        Some(DeploymentStrategy::Canary) => EcsStrategy::Canary,
        Some(_) => EcsStrategy::Unknown,
    };
    let (step_percent, step_minutes) = match strategy {
        EcsStrategy::Canary => given.canary_configuration().map_or((None, None), |canary| {
            (
                canary.canary_percent(),
                canary.canary_bake_time_in_minutes(),
            )
        }),
        EcsStrategy::Linear => given.linear_configuration().map_or((None, None), |linear| {
            (linear.step_percent(), linear.step_bake_time_in_minutes())
        }),
        EcsStrategy::Rolling | EcsStrategy::BlueGreen | EcsStrategy::Unknown => (None, None),
    };
    let alarms = given.alarms().filter(|alarms| alarms.enable());
    let breaker = given.deployment_circuit_breaker();
    let (pauses, functions): (Vec<_>, Vec<_>) = given
        .lifecycle_hooks()
        .iter()
        .partition(|hook| hook.target_type() == Some(&DeploymentLifecycleHookTargetType::Pause));
    let pause_stages: BTreeSet<&str> = pauses
        .iter()
        .flat_map(|hook| hook.lifecycle_stages())
        .map(|stage| stage.as_str())
        .collect();
    let count = |hooks: &[_]| i64::try_from(hooks.len()).unwrap_or(i64::MAX);
    EcsConfiguration {
        strategy,
        minimum_healthy_percent: given.minimum_healthy_percent().map(i64::from),
        maximum_percent: given.maximum_percent().map(i64::from),
        bake_minutes: given.bake_time_in_minutes().map(i64::from),
        step_permille: step_percent.map(permille),
        step_minutes: step_minutes.map(i64::from),
        alarms: alarms
            .map(|alarms| alarms.alarm_names().to_vec())
            .unwrap_or_default(),
        rolls_back_on_alarm: alarms.is_some_and(|alarms| alarms.rollback()),
        circuit_breaker: breaker.is_some_and(|breaker| breaker.enable()),
        rolls_back_on_circuit_breaker: breaker
            .is_some_and(|breaker| breaker.enable() && breaker.rollback()),
        early_success_percent: given
            .early_success_criteria()
            .filter(|criteria| criteria.enable())
            .map(|criteria| criteria.healthy_percent().map_or(100, i64::from)),
        pause_hooks: count(&pauses),
        pause_stages: pause_stages.into_iter().map(str::to_string).collect(),
        lambda_hooks: count(&functions),
    }
}

/// Per cent with at most one decimal as thousandths. [M: multiples of 0.1]
fn permille(percent: f64) -> i64 {
    (percent * 10.0).round().clamp(0.0, 1000.0) as i64
}

fn deployment_reading(
    one: &ServiceDeployment,
    revisions: &BTreeMap<String, ServiceRevision>,
) -> Result<DeploymentReading, CloudError> {
    let missing = |what| {
        malformed(
            calls::DESCRIBE_SERVICE_DEPLOYMENTS,
            format!("A service deployment has no {what}."),
        )
    };
    let aws_id = one
        .service_deployment_arn()
        .ok_or_else(|| missing("serviceDeploymentArn"))?;
    let service_arn = one.service_arn().ok_or_else(|| missing("serviceArn"))?;
    let cluster_arn = one.cluster_arn().ok_or_else(|| missing("clusterArn"))?;
    let created_at = one
        .created_at()
        .map(moment)
        .ok_or_else(|| missing("createdAt"))?;
    let status = one
        .status()
        .and_then(|status| EcsStatus::parse(status.as_str()))
        .unwrap_or(EcsStatus::Unknown);
    let configuration = one
        .deployment_configuration()
        .map(configuration)
        .unwrap_or_default();
    let side = |summary| side(summary, revisions);
    let mut sources: Vec<EcsSide> = one
        .source_service_revisions()
        .iter()
        .map(side)
        .collect::<Result<_, _>>()?;
    // What carries the most served: a deployment that is replaced half-way leaves two.
    sources.sort_by_key(|side| std::cmp::Reverse((side.production_permille, side.running)));
    let breaker = one.deployment_circuit_breaker();
    let monitored = |status: Option<&ServiceDeploymentRollbackMonitorsStatus>| {
        status != Some(&ServiceDeploymentRollbackMonitorsStatus::Disabled)
    };
    let ecs = EcsReading {
        status,
        stage: one
            .lifecycle_stage()
            .map(|stage| stage.as_str().to_string()),
        sources,
        target: one
            .target_service_revision()
            .map(side)
            .transpose()?
            .unwrap_or_default(),
        rolls_back: one.rollback().is_some(),
        breaker: breaker
            .filter(|breaker| monitored(breaker.status()))
            .map(|breaker| {
                (
                    i64::from(breaker.failure_count()),
                    i64::from(breaker.threshold()),
                )
            }),
        breaker_open: breaker.and_then(|breaker| breaker.status())
            == Some(&ServiceDeploymentRollbackMonitorsStatus::Triggered),
        fired_alarms: one
            .alarms()
            .map(|alarms| alarms.triggered_alarm_names().to_vec())
            .unwrap_or_default(),
        hooks: one.lifecycle_hook_details().iter().map(hook).collect(),
        superseded: false,
        service_deleted: false,
        configuration,
    };
    Ok(DeploymentReading {
        aws_id: aws_id.to_string(),
        application: String::new(),
        group: String::new(),
        config_name: ecs.configuration.strategy.word().to_string(),
        creator: INITIATOR_NOT_TOLD.to_string(),
        description: None,
        created_at,
        completed_at: one.finished_at().or(one.stopped_at()).map(moment),
        app_spec_digest: None,
        previous_app_spec_digest: None,
        service: Some(DeployedService {
            cluster: name_of(cluster_arn).to_string(),
            name: name_of(service_arn).to_string(),
            arn: service_arn.to_string(),
        }),
        reading: Reading {
            status: match status {
                EcsStatus::Pending
                | EcsStatus::InProgress
                | EcsStatus::StopRequested
                | EcsStatus::RollbackRequested
                | EcsStatus::RollbackInProgress => AwsStatus::Running,
                EcsStatus::Successful => AwsStatus::Succeeded,
                EcsStatus::Stopped | EcsStatus::RollbackSuccessful => AwsStatus::Stopped,
                EcsStatus::RollbackFailed => AwsStatus::Failed,
                EcsStatus::Unknown => AwsStatus::Unknown,
            },
            error_code: None,
            error_message: one
                .status_reason()
                .or_else(|| one.rollback().and_then(|rollback| rollback.reason()))
                .map(str::to_string),
            rolled_back_by: None,
            rolls_back: None,
            stages: Vec::new(),
            ecs: Some(ecs),
        },
    })
}

fn side(
    summary: &ServiceRevisionSummary,
    revisions: &BTreeMap<String, ServiceRevision>,
) -> Result<EcsSide, CloudError> {
    let arn = summary.arn().unwrap_or_default();
    let revision = revisions.get(arn);
    let task_definition = revision.and_then(|revision| revision.task_definition());
    let images = revision
        .map(|revision| revision.container_images())
        .unwrap_or_default();
    Ok(EcsSide {
        service_revision: arn.to_string(),
        revision: task_definition
            .map(RevisionArn::parse)
            .transpose()
            .map_err(|error| malformed(calls::DESCRIBE_SERVICE_REVISIONS, error.to_string()))?,
        images: images
            .iter()
            .map(|image| ContainerImage {
                container: image.container_name().unwrap_or_default().to_string(),
                image: image.image().unwrap_or_default().to_string(),
                digest: image.image_digest().map(str::to_string),
            })
            .collect(),
        target_group: revision
            .and_then(|revision| revision.resolved_configuration())
            .and_then(|resolved| resolved.load_balancers().first())
            .and_then(|balancer| balancer.target_group_arn())
            .map(str::to_string),
        requested: i64::from(summary.requested_task_count()),
        running: i64::from(summary.running_task_count()),
        pending: i64::from(summary.pending_task_count()),
        production_permille: summary.requested_production_traffic_weight().map(permille),
    })
}

fn hook(detail: &DeploymentLifecycleHookDetail) -> EcsHook {
    EcsHook {
        id: detail.hook_id().unwrap_or_default().to_string(),
        kind: match detail.target_type() {
            Some(DeploymentLifecycleHookTargetType::AwsLambda) => EcsHookKind::Lambda,
            Some(DeploymentLifecycleHookTargetType::Pause) => EcsHookKind::Pause,
            _ => EcsHookKind::Unknown,
        },
        status: detail
            .status()
            .and_then(|status| EcsHookStatus::parse(status.as_str()))
            .unwrap_or(EcsHookStatus::Unknown),
        expires_at: detail.expires_at().map(moment),
        at_expiry: detail
            .timeout_action()
            .map(|action| EcsHookExpiry::parse(action.as_str()).unwrap_or(EcsHookExpiry::Unknown)),
        function: detail.target_arn().map(str::to_string),
    }
}
