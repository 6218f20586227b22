//! What is different about services and deployments of the deployment controller ECS: they are noticed service by
//! service, since ECS has no list of all deployments, and one call tells everything about a deployment.

use crate::Control;
use crate::accounts::key;
use crate::error::StepError;
use crate::lock;
use crate::watch::record::OVERLAP_SECONDS;
use crate::watch::record::kept_its_traffic;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use switchback_cloud::Cloud;
use switchback_cloud::DeployedService;
use switchback_cloud::DeploymentReading;
use switchback_cloud::ServiceReading;
use switchback_domain::deployment::AwsStatus;
use switchback_domain::ecs;
use switchback_domain::ecs::EcsReading;
use switchback_domain::ecs::EcsStatus;
use switchback_domain::ecs::EcsStrategy;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::ServiceId;
use switchback_domain::previous::PreviousEvidence;
use switchback_domain::previous::PreviousUnknown;
use switchback_domain::revision::RevisionArn;
use switchback_domain::service::Controller;
use switchback_domain::service::Service;
use switchback_store::DeploymentQuery;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::ImportRecord;
use switchback_store::records::WatchRecord;

/// Services that are looked at for each second since the last time: ten calls, half of what AWS allows an account
/// (aws.md §2.5).
const SERVICES_A_SECOND: usize = 100;

/// How many services one call reads; fewer are not worth one, while their turn may wait.
const SERVICES_A_CALL: usize = 10;

/// Services whose past is listed in one step of the import.
const LISTED_AT_ONCE: usize = 20;

/// The import's mark for where the list of ECS's past goes on: after the service with this id.
const IMPORT_AFTER: &str = "ecs-services-after/";

/// How many earlier deployments are looked through for one that kept its traffic.
const EARLIER_LOOKED_AT: i64 = 50;

impl Control {
    /// The region's services that ECS itself deploys, by id.
    async fn services_of_ecs(
        &self,
        account: &str,
        region: &str,
    ) -> Result<Vec<Service>, StepError> {
        let mut services = self.inner.store.service_list().await?;
        services.retain(|service| {
            service.account == account
                && service.region == region
                && service.controller.ecs().is_some()
        });
        services.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
        Ok(services)
    }

    /// Deployments that are not recorded, and what was read of the services they were looked for at. A service whose
    /// PRIMARY deployment is the one up to which its deployments are recorded has had no other.
    pub(super) async fn new_of_ecs(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        watch: &WatchRecord,
    ) -> Result<(Vec<DeploymentReading>, Vec<ServiceReading>), StepError> {
        let services = self.services_of_ecs(account, cloud.region()).await?;
        let active = self.inner.store.deployment_list_active().await?;
        let moving: BTreeSet<&ServiceId> = active.iter().map(|one| &one.service_id).collect();
        let due = self.due(cloud, &services, &moving);
        self.new_at_services(cloud, account, watch, &due).await
    }

    /// The same at these services only.
    pub(super) async fn new_at_services(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        watch: &WatchRecord,
        services: &[&Service],
    ) -> Result<(Vec<DeploymentReading>, Vec<ServiceReading>), StepError> {
        let mut by_cluster: BTreeMap<&str, Vec<&Service>> = BTreeMap::new();
        for service in services {
            by_cluster
                .entry(service.cluster.as_str())
                .or_default()
                .push(service);
        }
        let (mut unknown, mut looked_at) = (Vec::new(), Vec::new());
        for (cluster, services) in by_cluster {
            let names: Vec<String> = services
                .iter()
                .map(|service| service.name.clone())
                .collect();
            for reading in cloud.ecs_services_named(cluster, &names).await? {
                let Some(service) = services.iter().find(|service| service.arn == reading.arn)
                else {
                    continue;
                };
                let recorded = service
                    .controller
                    .ecs()
                    .and_then(|ecs| ecs.recorded_primary.as_ref());
                let primary = reading
                    .controller
                    .ecs()
                    .and_then(|ecs| ecs.primary.as_ref());
                if primary.is_some() && primary == recorded {
                    continue;
                }
                let query = DeploymentQuery {
                    service: Some(service.id.clone()),
                    limit: 1,
                    ..DeploymentQuery::default()
                };
                let last = self.inner.store.deployment_list(&query).await?;
                let last = last.first().map(|record| record.started_at);
                // What is older than the watch is the import's, but for what is under way.
                let since = last.max(watch.watched_since);
                let since = since.map(|since| since.plus_seconds(-OVERLAP_SECONDS));
                let mut listed = cloud
                    .service_deployment_ids(cluster, &service.name, since)
                    .await?;
                let current = reading.controller.ecs().and_then(|ecs| ecs.current.clone());
                listed.extend(current.filter(|current| !listed.contains(current)));
                for aws_id in listed {
                    let id = DeploymentId::derive(account, cloud.region(), &aws_id);
                    if self.inner.store.deployment_fetch(&id).await?.is_none() {
                        unknown.push(aws_id);
                    }
                }
                looked_at.push(reading);
            }
        }
        let readings = match unknown.is_empty() {
            true => Vec::new(),
            false => cloud.deployments(&unknown).await?,
        };
        Ok((readings, looked_at))
    }

    /// The services that are looked at now: those that move, and of the others as many as are due, so that each has its
    /// turn once in the time that passes between two looks while nothing moves.
    fn due<'a>(
        &self,
        cloud: &dyn Cloud,
        services: &'a [Service],
        moving: &BTreeSet<&ServiceId>,
    ) -> Vec<&'a Service> {
        let interval = self.idle_pace(cloud);
        let now = tokio::time::Instant::now();
        let mut looked = lock(&self.inner.looked);
        let looked = looked.entry(key(cloud)).or_default();
        let since = looked.ecs_turn.map(|(last, _)| now.duration_since(last));
        let turn = looked.ecs_turn.map_or(0, |(_, turn)| turn);
        let count = due_count(services.len(), since, interval);
        if count > 0 || looked.ecs_turn.is_none() {
            looked.ecs_turn = Some((now, turn.wrapping_add(count)));
        }
        let turn = turn.checked_rem(services.len()).unwrap_or(0);
        let mut due: Vec<&Service> = services.iter().cycle().skip(turn).take(count).collect();
        let known: BTreeSet<&ServiceId> = due.iter().map(|service| &service.id).collect();
        let others = services
            .iter()
            .filter(|service| moving.contains(&service.id) && !known.contains(&service.id));
        due.extend(others);
        due
    }

    /// Everything that was found at these services is recorded: it is written down up to which deployment.
    pub(super) async fn recorded_of_ecs(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        looked_at: Vec<ServiceReading>,
    ) -> Result<(), StepError> {
        for mut reading in looked_at {
            if let Controller::Ecs(ecs) = &mut reading.controller {
                ecs.recorded_primary = ecs.primary.clone();
            }
            self.save_service(cloud, account, &reading).await?;
        }
        Ok(())
    }

    /// The service that a deployment of ECS moves; one that is not recorded is read first.
    pub(super) async fn ecs_service_of(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        of: &DeployedService,
    ) -> Result<Option<Service>, StepError> {
        let id = ServiceId::derive(&of.arn);
        if let Some(service) = self.inner.store.service_fetch(&id).await? {
            return Ok(Some(service));
        }
        let names = [of.name.clone()];
        let read = cloud.ecs_services_named(&of.cluster, &names).await?;
        match read.first() {
            Some(reading) => self.save_service(cloud, account, reading).await.map(Some),
            None => Ok(None),
        }
    }

    /// What a deployment of ECS replaced, by its source service revisions.
    pub(super) async fn replaced(
        &self,
        service: &Service,
        reading: &DeploymentReading,
    ) -> Result<Result<(RevisionArn, PreviousEvidence), PreviousUnknown>, StepError> {
        let sources = reading
            .reading
            .ecs
            .as_ref()
            .map(|ecs| ecs.sources.as_slice())
            .unwrap_or_default();
        let is_source = |arn: &RevisionArn| {
            sources
                .iter()
                .any(|side| side.revision.as_ref() == Some(arn))
        };
        if sources.len() > 1 {
            // The one before was replaced half-way, so two were running: what had kept its traffic served.
            let query = DeploymentQuery {
                service: Some(service.id.clone()),
                to: Some(reading.created_at),
                limit: EARLIER_LOOKED_AT,
                ..DeploymentQuery::default()
            };
            let earlier = self.inner.store.deployment_list(&query).await?;
            let earlier = earlier.iter().find(|record| kept_its_traffic(record));
            if let Some(arn) = earlier.and_then(|record| record.target_revision.clone())
                && is_source(&arn)
            {
                return Ok(Ok((arn, PreviousEvidence::EarlierDeployment)));
            }
            if let Some(arn) = service.serving_revision.clone().filter(is_source) {
                return Ok(Ok((arn, PreviousEvidence::ObservedServing)));
            }
        }
        Ok(match sources.first() {
            None => Err(PreviousUnknown::NothingEarlier),
            Some(side) => side
                .revision
                .clone()
                .map(|arn| (arn, PreviousEvidence::PreviousRevision))
                .ok_or(PreviousUnknown::EarlierUnreadable),
        })
    }

    /// Puts what ECS shows of a deployment into its record; `None` when AWS no longer knows it.
    pub(super) async fn read_ecs(
        &self,
        cloud: &dyn Cloud,
        service: &Service,
        reading: Option<&DeploymentReading>,
        record: &mut DeploymentRecord,
    ) -> Result<(), StepError> {
        let before = record.reading.stages.clone();
        match reading {
            Some(reading) => {
                record.reading = reading.reading.clone();
                record.ended_at = reading.completed_at;
                let superseded = self.superseded(cloud, service, reading).await?;
                if let Some(ecs) = &mut record.reading.ecs {
                    ecs.superseded = superseded;
                }
            }
            None => {
                let names = [service.name.clone()];
                let gone = cloud
                    .ecs_services_named(&service.cluster, &names)
                    .await?
                    .is_empty();
                if record.reading.ecs.is_none() {
                    record.reading.status = AwsStatus::Unknown;
                }
                if let Some(ecs) = &mut record.reading.ecs {
                    ecs.service_deleted = gone;
                    if !gone {
                        ecs.status = EcsStatus::Unknown;
                    }
                }
            }
        }
        let Some(ecs) = &record.reading.ecs else {
            return Ok(());
        };
        if ecs.configuration.strategy != EcsStrategy::Rolling
            && let Some(share) = ecs.target.production_permille
        {
            record.share_new_permille = Some(share);
        }
        let (old, new) = target_groups_of(ecs);
        if record.target_group_new.is_none() && new.is_some() {
            (record.target_group_old, record.target_group_new) = (old, new);
            record.metrics_until = None;
        }
        record.reading.stages = ecs::stages(&before, ecs, cloud.now());
        Ok(())
    }

    /// Whether a deployment was stopped because a newer one of its service took its place.
    pub(super) async fn superseded(
        &self,
        cloud: &dyn Cloud,
        service: &Service,
        reading: &DeploymentReading,
    ) -> Result<bool, StepError> {
        let stopped = reading
            .reading
            .ecs
            .as_ref()
            .is_some_and(|ecs| ecs.status == EcsStatus::Stopped);
        if !stopped {
            return Ok(false);
        }
        let since = Some(reading.created_at);
        let mut newer = cloud
            .service_deployment_ids(&service.cluster, &service.name, since)
            .await?;
        newer.retain(|aws_id| aws_id != &reading.aws_id);
        let newer = match newer.is_empty() {
            true => Vec::new(),
            false => cloud.deployments(&newer).await?,
        };
        Ok(newer.iter().any(|newer| {
            newer.created_at > reading.created_at
                && reading
                    .completed_at
                    .is_none_or(|ended| newer.created_at <= ended)
        }))
    }

    /// A page of the list of ECS's past: the deployments of some services.
    pub(super) async fn import_list_ecs(
        &self,
        cloud: &dyn Cloud,
        import: &mut ImportRecord,
    ) -> Result<Vec<String>, StepError> {
        let after = import
            .next_token
            .as_deref()
            .and_then(|token| token.strip_prefix(IMPORT_AFTER))
            .unwrap_or_default();
        let services = self
            .services_of_ecs(&import.account, cloud.region())
            .await?;
        let some: Vec<&Service> = services
            .iter()
            .filter(|service| service.id.as_str() > after)
            .take(LISTED_AT_ONCE)
            .collect();
        let mut listed = Vec::new();
        for service in &some {
            let ids = cloud
                .service_deployment_ids(&service.cluster, &service.name, None)
                .await?;
            listed.extend(ids);
        }
        let last = some.last().filter(|_| some.len() == LISTED_AT_ONCE);
        import.next_token = last.map(|service| format!("{IMPORT_AFTER}{}", service.id));
        Ok(listed)
    }
}

/// How many of the services have their turn, when the last turn was `since` ago (`None` at the first) and each has one
/// in an `interval`.
fn due_count(services: usize, since: Option<Duration>, interval: Duration) -> usize {
    let Some(since) = since else {
        return services.min(SERVICES_A_SECOND);
    };
    let seconds = usize::try_from(since.as_secs())
        .unwrap_or(usize::MAX)
        .max(1);
    let most = services.min(seconds.saturating_mul(SERVICES_A_SECOND));
    if since >= interval {
        return most;
    }
    let share = since.as_secs_f64() / interval.as_secs_f64() * services as f64;
    // Smaller than `services`, and not negative.
    match share as usize {
        few if few < SERVICES_A_CALL => 0,
        share => share.min(most),
    }
}

/// Whether the import's mark for where the list goes on is of ECS's part.
pub(super) fn is_of_ecs(token: &str) -> bool {
    token.starts_with(IMPORT_AFTER)
}

/// The target groups of what is replaced and of what is new; the latter is that of both where there is one only.
pub(super) fn target_groups_of(ecs: &EcsReading) -> (Option<String>, Option<String>) {
    let old = ecs
        .sources
        .first()
        .and_then(|side| side.target_group.clone());
    let new = ecs.target.target_group.clone();
    // Rolling keeps both behind one group, which tells nothing apart: it has the signals of all tasks.
    if old == new { (None, new) } else { (old, new) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_its_turn_once_in_an_interval() {
        let (second, idle, seldom) = (
            Duration::from_secs(1),
            Duration::from_secs(30),
            Duration::from_secs(300),
        );
        for (services, since, interval, count) in [
            (5, None, idle, 5),
            (2000, None, idle, 100),
            // Nothing moved: all of them.
            (5, Some(idle), idle, 5),
            (2000, Some(idle), idle, 2000),
            (4000, Some(idle), idle, 3000),
            // Something moves, and looks come each second: a share, and not less than one call's worth.
            (5, Some(second), idle, 0),
            (5, Some(second * 29), idle, 0),
            (2000, Some(second), idle, 66),
            (2000, Some(second), seldom, 0),
            (2000, Some(second * 2), seldom, 13),
            (20_000, Some(second), idle, 100),
            (0, Some(idle), idle, 0),
        ] {
            assert_eq!(
                due_count(services, since, interval),
                count,
                "{services} {since:?} {interval:?}"
            );
        }
    }
}
