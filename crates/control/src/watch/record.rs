//! First sight: a deployment that is not recorded yet is recorded with the revision it replaces.

use crate::Control;
use crate::accounts::key;
use crate::error::StepError;
use crate::lock;
use crate::operations::ecs::undone_by;
use crate::watch::Trouble;
use crate::watch::append;
use crate::watch::ecs::target_groups_of;
use crate::watch::import::ReadingOf;
use crate::watch::observed;
use crate::watch::readable;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeSet;
use switchback_cloud::Cloud;
use switchback_cloud::CloudError;
use switchback_cloud::DeploymentReading;
use switchback_cloud::LifecycleReading;
use switchback_cloud::TaskSetReading;
use switchback_domain::appspec;
use switchback_domain::audit::AuditEvent;
use switchback_domain::coverage::FirstSeen;
use switchback_domain::deployment::AwsStatus;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::Phase;
use switchback_domain::deployment::Reading;
use switchback_domain::deployment::Stage;
use switchback_domain::deployment::StageStatus;
use switchback_domain::deployment::Standing;
use switchback_domain::digest::Digest;
use switchback_domain::ids::DeploymentId;
use switchback_domain::import::ImportState;
use switchback_domain::moment::Moment;
use switchback_domain::operation;
use switchback_domain::previous;
use switchback_domain::previous::EarlierDeployment;
use switchback_domain::previous::PreviousEvidence;
use switchback_domain::previous::PreviousFacts;
use switchback_domain::previous::PreviousUnknown;
use switchback_domain::previous::TaskSet;
use switchback_domain::revision::RevisionArn;
use switchback_domain::service::Service;
use switchback_store::DeploymentQuery;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::Sight;
use switchback_store::records::WatchRecord;

/// AWS may list a deployment a little after its creation time; new ones are looked for from this far back.
pub(super) const OVERLAP_SECONDS: i64 = 120;

/// How many earlier deployments are looked through for one that kept its traffic.
const EARLIER_LOOKED_AT: i64 = 50;

/// ECS keeps stopped tasks about an hour (aws.md §2); they are asked for a little longer.
const STOPPED_TASKS_KEPT_SECONDS: i64 = 2 * 3600;

/// How often it is written down until when everything is recorded, in seconds.
const MARK_INTERVAL_SECONDS: i64 = 60;

/// What is known of a deployment that is about to be recorded.
pub(super) struct Found<'a> {
    pub(super) account: &'a str,
    pub(super) service: &'a Service,
    pub(super) reading: &'a DeploymentReading,
    /// Read once it has ended.
    pub(super) lifecycle: Option<&'a LifecycleReading>,
    /// The service's task sets now.
    pub(super) task_sets: Vec<TaskSet>,
    pub(super) first_seen: FirstSeen,
}

/// The deployment that another one undoes, recorded or not.
struct Undone {
    id: DeploymentId,
    target: Option<RevisionArn>,
    target_group_old: Option<String>,
    target_group_new: Option<String>,
}

impl Control {
    /// Finds deployments that are not recorded yet and records them, oldest first. Those from before the watch began
    /// are the import's, but for those that are under way.
    pub(super) async fn record_new(
        &self,
        cloud: &dyn Cloud,
        account: &str,
    ) -> Result<usize, StepError> {
        let began = cloud.now();
        let watch = self.watch(cloud, account, began).await?;
        // A policy without the one controller's calls must not keep the other's deployments from being recorded.
        let mut refused = Trouble::default();
        let of_ecs = self.new_of_ecs(cloud, account, &watch).await;
        let listed_well = match &of_ecs {
            Ok(_) => true,
            Err(StepError::Cloud(error)) => error.is_about_permission() || error.is_not_offered(),
            Err(StepError::Store(_)) => false,
        };
        let (of_ecs, read) = refused.note(of_ecs).unwrap_or_default();
        let mark = watch.listed_until;
        let since = mark.plus_seconds(-OVERLAP_SECONDS);
        let first = !lock(&self.inner.looked)
            .get(&key(cloud))
            .is_some_and(|looked| looked.under_way_listed);
        let listed = match listed_by_codedeploy(cloud, since, first).await {
            Err(error) if error.is_about_permission() && listed_well => {
                refused.note::<Vec<String>, _>(Err(error))
            }
            listed => Some(listed?),
        };
        let codedeploy_listed = listed.is_some();
        let listed = listed.unwrap_or_default();
        let mut unknown = Vec::new();
        for aws_id in listed {
            let id = DeploymentId::derive(account, cloud.region(), &aws_id);
            if self.inner.store.deployment_fetch(&id).await?.is_none() && !unknown.contains(&aws_id)
            {
                unknown.push(aws_id);
            }
        }
        let mut readings = if unknown.is_empty() {
            Vec::new()
        } else {
            cloud.deployments(&unknown).await?
        };
        if listed_well {
            self.looked_well(cloud, &watch, began).await?;
        }
        readings.extend(of_ecs);
        let readings = of_the_watch(readings, &watch);
        let mut trouble = Trouble::default();
        // What began before anybody here looked could not be told by an event.
        for reading in readings.iter().filter(|_| !first) {
            self.found_by_a_look(cloud, began.millis_since(reading.created_at));
        }
        // Only when all are recorded, and seldom: the mark is written for the next start, not for every look.
        let due = began.millis_since(mark) >= MARK_INTERVAL_SECONDS * 1000;
        let (recorded, of_failed) = self
            .record_readings(cloud, account, &readings, &mut trouble)
            .await;
        let mut complete = read;
        complete.retain(|service| !of_failed.contains(&service.arn));
        // One service's trouble does not keep the others from being known as recorded, and so from being rolled back.
        trouble.note(self.recorded_of_ecs(cloud, account, complete).await);
        let recorded = trouble.or(recorded)?;
        if first && codedeploy_listed {
            lock(&self.inner.looked)
                .entry(key(cloud))
                .or_default()
                .under_way_listed = true;
        }
        if codedeploy_listed && (due || recorded > 0) {
            let mut tx = self.begin().await?;
            tx.watch_mark_set(account, cloud.region(), began).await?;
            tx.commit().await?;
        }
        refused.or(recorded)
    }

    /// Records deployments in this order: how many there were of watched services, and the ARNs of those services of
    /// ECS of which one could not be recorded. That one does not keep the others from it.
    pub(super) async fn record_readings(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        readings: &[DeploymentReading],
        trouble: &mut Trouble,
    ) -> (usize, BTreeSet<String>) {
        let mut recorded = 0;
        let mut of_failed = BTreeSet::new();
        for reading in readings {
            match trouble.note(self.record_one(cloud, account, reading).await) {
                Some(Some(record)) => {
                    recorded += 1;
                    self.saw_new(cloud, &record);
                    // What already ended is settled at once: the next one's previous revision follows from it.
                    trouble.note(self.follow_one(cloud, &record, Some(reading)).await);
                }
                Some(None) => {}
                None => of_failed.extend(reading.service.as_ref().map(|of| of.arn.clone())),
            }
        }
        (recorded, of_failed)
    }

    /// Remembers how long after its beginning a deployment was seen.
    fn saw_new(&self, cloud: &dyn Cloud, record: &DeploymentRecord) {
        if record.sight.first_seen == Some(FirstSeen::AsItHappened) {
            lock(&self.inner.looked)
                .entry(key(cloud))
                .or_default()
                .behind_millis = Some(cloud.now().millis_since(record.started_at));
        }
    }

    /// The watched service that a deployment moves; `None` when Switchback watches none.
    pub(super) async fn service_of(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        reading: &DeploymentReading,
    ) -> Result<Option<Service>, StepError> {
        if let Some(of) = &reading.service {
            return self.ecs_service_of(cloud, account, of).await;
        }
        let by_group = || {
            self.inner.store.service_fetch_by_group(
                account,
                cloud.region(),
                &reading.application,
                &reading.group,
            )
        };
        if let Some(service) = by_group().await? {
            return Ok(Some(service));
        }
        let group = (
            key(cloud),
            reading.application.clone(),
            reading.group.clone(),
        );
        if lock(&self.inner.unwatched).contains(&group) {
            return Ok(None);
        }
        // A group that was made since the last full look, or one that deploys no ECS service.
        self.read_codedeploy_services(cloud, account).await?;
        let service = by_group().await?;
        if service.is_none() {
            lock(&self.inner.unwatched).insert(group);
        }
        Ok(service)
    }

    /// Records one deployment at first sight. `None` when it is not of a service that Switchback watches.
    pub(crate) async fn record_one(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        reading: &DeploymentReading,
    ) -> Result<Option<DeploymentRecord>, StepError> {
        let id = DeploymentId::derive(account, cloud.region(), &reading.aws_id);
        if let Some(record) = self.inner.store.deployment_fetch(&id).await? {
            return Ok(Some(record));
        }
        let Some(service) = self.service_of(cloud, account, reading).await? else {
            return Ok(None);
        };
        let lifecycle = if is_in_progress(reading) || reading.reading.ecs.is_some() {
            None
        } else {
            readable(cloud.lifecycle(&reading.aws_id).await)?
        };
        let found = Found {
            account,
            service: &service,
            reading,
            lifecycle: lifecycle.as_ref(),
            task_sets: rules_of(&self.task_sets(cloud, &service).await?),
            first_seen: self.first_seen(cloud, account, reading.created_at).await?,
        };
        let record = self.first_record(cloud, found).await?;
        let rollback_of = record.rollback_of.clone();
        self.insert(cloud, &service, record, rollback_of)
            .await
            .map(Some)
    }

    /// The service's task sets now.
    pub(super) async fn task_sets(
        &self,
        cloud: &dyn Cloud,
        service: &Service,
    ) -> Result<Vec<TaskSetReading>, StepError> {
        if service.controller.ecs().is_some() {
            return Ok(Vec::new());
        }
        let read = cloud.service(&service.cluster, &service.name).await?;
        Ok(read.map_or_else(Vec::new, |(task_sets, _, _)| task_sets))
    }

    /// The text of an AppSpec, which AWS is asked for once; `None` when it will not tell.
    pub(super) async fn app_spec(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        application: &str,
        digest: Option<&Digest>,
    ) -> Result<Option<String>, StepError> {
        let Some(digest) = digest else {
            return Ok(None);
        };
        let store = &self.inner.store;
        let region = cloud.region();
        let known = store
            .app_spec_fetch(account, region, application, digest)
            .await?;
        if known.is_some() {
            return Ok(known);
        }
        let read = readable(cloud.app_spec(application, digest).await)?;
        if let Some(content) = &read {
            let mut tx = self.begin().await?;
            tx.app_spec_insert(account, region, application, digest, content)
                .await?;
            tx.commit().await?;
        }
        Ok(read)
    }

    /// The revision that an AppSpec names.
    async fn revision_of(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        application: &str,
        digest: Option<&Digest>,
    ) -> Result<Option<RevisionArn>, StepError> {
        let text = self.app_spec(cloud, account, application, digest).await?;
        Ok(revision_in(text.as_deref()))
    }

    /// What the import read of a deployment, or what AWS tells now; `None` when it knows it no longer.
    pub(super) async fn reading_of(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        aws_id: &str,
    ) -> Result<Option<DeploymentReading>, StepError> {
        let store = &self.inner.store;
        if let Some(import) = store.import_fetch(account, cloud.region()).await?
            && let Some(item) = store.import_item_fetch(&import, aws_id).await?
            && let Some(reading) = item.reading()
        {
            return Ok(Some(reading));
        }
        let read = cloud.deployments(&[aws_id.to_string()]).await?;
        Ok(read.into_iter().find(|reading| reading.aws_id == aws_id))
    }

    /// The deployment with this id as the one that another undoes.
    async fn undone(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        aws_id: &str,
    ) -> Result<Option<Undone>, StepError> {
        let id = DeploymentId::derive(account, cloud.region(), aws_id);
        if let Some(record) = self.inner.store.deployment_fetch(&id).await? {
            return Ok(Some(Undone {
                id,
                target: record.target_revision,
                target_group_old: record.target_group_old,
                target_group_new: record.target_group_new,
            }));
        }
        let Some(reading) = self.reading_of(cloud, account, aws_id).await? else {
            return Ok(None);
        };
        let digest = reading.app_spec_digest.as_ref();
        let target = self
            .revision_of(cloud, account, &reading.application, digest)
            .await?;
        Ok(Some(Undone {
            id,
            target,
            target_group_old: None,
            target_group_new: None,
        }))
    }

    /// The record of a deployment as it is at first sight.
    pub(super) async fn first_record(
        &self,
        cloud: &dyn Cloud,
        found: Found<'_>,
    ) -> Result<DeploymentRecord, StepError> {
        let Found {
            account,
            service,
            reading,
            first_seen,
            ..
        } = found;
        let app_spec = self
            .app_spec(
                cloud,
                account,
                &reading.application,
                reading.app_spec_digest.as_ref(),
            )
            .await?;
        let ecs = reading.reading.ecs.as_ref();
        let target = match ecs {
            Some(ecs) => ecs.target.revision.clone(),
            None => revision_in(app_spec.as_deref()),
        };
        let marked = reading.description.as_deref().and_then(operation::marker);
        let operation = match &marked {
            Some((operation, _)) => self.inner.store.operation_fetch(operation).await?,
            None if ecs.is_some() => self.operation_behind(service, reading).await?,
            None => None,
        };
        let rolls_back = match &reading.reading.rolls_back {
            Some(aws_id) => Some(self.undone(cloud, account, aws_id).await?),
            None => None,
        };
        // An AppSpec in S3 is not read; the task set that the deployment created tells the same.
        let target = target.or_else(|| created_by(&found.task_sets, &reading.aws_id));
        let previous = match &rolls_back {
            // What a rollback deployment replaces is what the undone one had brought (in a
            // rollback the bad revision is the old one), even while the PRIMARY task set never changed.
            Some(Some(original)) => original
                .target
                .clone()
                .map(|arn| (arn, PreviousEvidence::EarlierDeployment))
                .ok_or(PreviousUnknown::EarlierUnreadable),
            Some(None) => Err(PreviousUnknown::UndoneForgotten),
            None if ecs.is_some() => self.replaced(service, reading).await?,
            None => {
                let in_progress = is_in_progress(reading);
                let facts = self.previous_facts(cloud, found).await?;
                previous::previous(&reading.aws_id, reading.created_at, in_progress, &facts)
            }
        };
        let rolls_back = rolls_back.flatten();
        let rollback_of = match (&rolls_back, &operation) {
            (Some(original), _) => Some(original.id.clone()),
            (None, Some(operation)) => undone_by(operation),
            (None, None) => None,
        };
        let initiator = match &operation {
            Some(operation) => operation.actor.clone(),
            None => match &reading.reading.rolls_back {
                Some(_) => "CodeDeploy".to_string(),
                None => reading.creator.clone(),
            },
        };
        let reason = match (&marked, &operation) {
            (Some((_, reason)), _) => Some((*reason).to_string()),
            (None, Some(operation)) => Some(operation.reason.clone()),
            (None, None) => match (&reading.description, &reading.reading.rolls_back) {
                (Some(description), _) if !description.is_empty() => Some(description.clone()),
                (_, Some(aws_id)) => Some(format!("Rolls back {aws_id}")),
                _ => None,
            },
        };
        // A rollback deployment creates no task set: it moves back between the groups of the one it undoes.
        let (target_group_old, target_group_new) = match rolls_back {
            Some(original) => (original.target_group_new, original.target_group_old),
            None => (None, None),
        };
        let (replaced_group, new_group) = ecs.map(target_groups_of).unwrap_or_default();
        Ok(DeploymentRecord {
            id: DeploymentId::derive(account, cloud.region(), &reading.aws_id),
            aws_id: reading.aws_id.clone(),
            service_id: service.id.clone(),
            service_name: service.name.clone(),
            cluster: service.cluster.clone(),
            account: account.to_string(),
            region: cloud.region().to_string(),
            controller: service.controller.word().to_string(),
            strategy: reading.config_name.clone(),
            previous_revision: previous.as_ref().ok().map(|(arn, _)| arn.clone()),
            previous_evidence: previous.as_ref().ok().map(|(_, evidence)| *evidence),
            sight: Sight {
                first_seen: Some(first_seen),
                previous_unknown: previous.err(),
            },
            target_revision: target,
            app_spec,
            standing: Standing::started(),
            outcome_detail: None,
            initiator,
            reason,
            description: reading.description.clone(),
            started_at: reading.created_at,
            ended_at: None,
            rollback_of,
            rolled_back_by: None,
            operation_id: operation.map(|operation| operation.id),
            share_new_permille: None,
            target_group_old: target_group_old.or(replaced_group),
            target_group_new: target_group_new.or(new_group),
            reading: Reading {
                status: AwsStatus::Running,
                ..reading.reading.clone()
            },
            alarms: json!([]),
            metrics_until: None,
            observed_at: cloud.now(),
            generation: 1,
        })
    }

    async fn insert(
        &self,
        cloud: &dyn Cloud,
        service: &Service,
        record: DeploymentRecord,
        rollback_of: Option<DeploymentId>,
    ) -> Result<DeploymentRecord, StepError> {
        let mut revisions = Vec::new();
        for arn in [&record.previous_revision, &record.target_revision]
            .into_iter()
            .flatten()
        {
            let known = self.inner.store.revision_fetch(arn).await?;
            match known {
                Some(revision) => revisions.push(revision),
                None => revisions.extend(readable(cloud.revision(arn).await)?.flatten()),
            }
        }
        let now = cloud.now();
        let mut tx = self.begin().await?;
        if !tx.deployment_insert(&record).await? {
            return Ok(record);
        }
        for revision in &revisions {
            tx.revision_upsert(Some(&service.id), revision).await?;
        }
        if let (Some(original), Some(_)) = (&rollback_of, &record.reading.rolls_back)
            && let Some(mut original) = tx.deployment_fetch(original).await?
        {
            original.rolled_back_by = Some(record.id.clone());
            original.reading.rolled_back_by = Some(record.aws_id.clone());
            if matches!(
                original.standing.outcome,
                Outcome::Failed | Outcome::Stopped
            ) {
                // AWS attached the rollback a moment after the stop: it is not over yet.
                original.standing = Standing {
                    phase: Some(Phase::CleaningUp),
                    outcome: Outcome::InProgress,
                    cause: original.standing.cause,
                };
                original.ended_at = None;
            }
            tx.deployment_update(&original).await?;
            tx.change_append("deployment", original.id.as_str(), Some(&original.id), now)
                .await?;
        }
        if let (Some(previous), None) = (&record.previous_revision, &record.reading.rolls_back) {
            // It served at least from here on; since when, nobody saw.
            tx.served_record(&service.id, previous, record.started_at, 1000)
                .await?;
        }
        append(
            &mut tx,
            &record.id,
            record.started_at,
            "started",
            started_line(&record),
            Some(&record.initiator),
            Value::Null,
        )
        .await?;
        tx.audit_append(&observed(
            now,
            AuditEvent::DeploymentRecorded {
                deployment: record.id.clone(),
                aws_id: record.aws_id.clone(),
                previous_revision: record.previous_revision.clone(),
                target_revision: record.target_revision.clone(),
            },
        ))
        .await?;
        tx.change_append("deployment", record.id.as_str(), Some(&record.id), now)
            .await?;
        tx.commit().await?;
        self.inner.wake_acts.notify_one();
        Ok(record)
    }

    /// Everything that may tell what served when the deployment started.
    async fn previous_facts(
        &self,
        cloud: &dyn Cloud,
        found: Found<'_>,
    ) -> Result<PreviousFacts, StepError> {
        let (service, reading) = (found.service, found.reading);
        let mut facts = PreviousFacts {
            replaced_task_set: found
                .lifecycle
                .and_then(|lifecycle| lifecycle.replaced_task_set.clone()),
            ..PreviousFacts::default()
        };
        let stopped_tasks_are_kept = reading
            .completed_at
            .is_none_or(|at| cloud.now().millis_since(at) <= STOPPED_TASKS_KEPT_SECONDS * 1000);
        if let Some(task_set) = facts
            .replaced_task_set
            .as_ref()
            .filter(|_| stopped_tasks_are_kept)
        {
            facts.stopped_task = readable(
                cloud
                    .stopped_task_revision(&service.cluster, &service.name, task_set)
                    .await,
            )?
            .flatten();
        }
        (facts.earlier, facts.forgotten_between) = self.earlier(cloud, &found).await?;
        // Before the watch began, nobody saw what served; what is recorded of it was derived.
        if found.first_seen != FirstSeen::Imported || is_in_progress(reading) {
            facts.observed = self
                .inner
                .store
                .served_list(&service.id)
                .await?
                .into_iter()
                .filter(|served| served.from < reading.created_at && served.share_permille >= 1000)
                .max_by_key(|served| served.from)
                .map(|served| (served.revision, served.from));
        }
        let digest = reading.previous_app_spec_digest.as_ref();
        facts.previous_revision = self
            .revision_of(cloud, found.account, &reading.application, digest)
            .await?;
        facts.task_sets = found.task_sets;
        Ok(facts)
    }

    /// The last earlier deployment of the group that kept its traffic, from the record and from what the import has
    /// read and not recorded yet; and whether one between the two is not known.
    async fn earlier(
        &self,
        cloud: &dyn Cloud,
        found: &Found<'_>,
    ) -> Result<(Vec<EarlierDeployment>, bool), StepError> {
        let store = &self.inner.store;
        let reading = found.reading;
        let query = DeploymentQuery {
            service: Some(found.service.id.clone()),
            to: Some(reading.created_at),
            limit: EARLIER_LOOKED_AT,
            ..DeploymentQuery::default()
        };
        let recorded = store.deployment_list(&query).await?;
        let import = store.import_fetch(found.account, cloud.region()).await?;
        let (import, items) = match import {
            Some(import) if import.state != ImportState::Complete => {
                let items = store
                    .import_item_list_before(
                        &import,
                        &reading.application,
                        &reading.group,
                        reading.created_at,
                        EARLIER_LOOKED_AT,
                    )
                    .await?;
                (Some(import), items)
            }
            Some(_) | None => (None, Vec::new()),
        };
        let read: Vec<DeploymentReading> = items
            .iter()
            .filter_map(ReadingOf::reading)
            .filter(|item| !recorded.iter().any(|record| record.aws_id == item.aws_id))
            .collect();
        let mut all: Vec<(Moment, Result<&DeploymentRecord, &DeploymentReading>)> = recorded
            .iter()
            .map(|record| (record.started_at, Ok(record)))
            .chain(read.iter().map(|read| (read.created_at, Err(read))))
            .collect();
        all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        for (created_at, one) in all {
            let (aws_id, kept, target) = match one {
                Ok(record) => (
                    &record.aws_id,
                    kept_its_traffic(record),
                    record.target_revision.clone(),
                ),
                Err(read) => {
                    let kept = self.kept_by_reading(cloud, found.service, read).await?;
                    let digest = read.app_spec_digest.as_ref().filter(|_| kept);
                    let target = self
                        .revision_of(cloud, found.account, &read.application, digest)
                        .await?;
                    (&read.aws_id, kept, target)
                }
            };
            if !kept {
                continue;
            }
            let mut forgotten_between = false;
            if let Some(import) = &import
                && let Some(own) = store.import_item_fetch(import, &reading.aws_id).await?
                && let Some(other) = store.import_item_fetch(import, aws_id).await?
            {
                forgotten_between = store
                    .import_has_forgotten_between(import, own.position, other.position)
                    .await?;
            }
            let earlier = EarlierDeployment {
                created_at,
                target,
                kept_its_traffic: true,
            };
            return Ok((vec![earlier], forgotten_between));
        }
        Ok((Vec::new(), false))
    }

    /// Whether what a deployment moved the service to was what served in the end, by what was read of it.
    async fn kept_by_reading(
        &self,
        cloud: &dyn Cloud,
        service: &Service,
        reading: &DeploymentReading,
    ) -> Result<bool, StepError> {
        match reading.reading.status {
            AwsStatus::Succeeded => Ok(true),
            AwsStatus::Failed | AwsStatus::Stopped if reading.reading.rolled_back_by.is_none() => {
                let lifecycle = cloud
                    .lifecycle_of_service(&reading.aws_id, &service.cluster, &service.name)
                    .await;
                let stages = readable(lifecycle)?.unwrap_or_default().stages;
                Ok(took_all_traffic(&stages))
            }
            AwsStatus::Failed
            | AwsStatus::Stopped
            | AwsStatus::Running
            | AwsStatus::Ready
            | AwsStatus::Unknown => Ok(false),
        }
    }
}

/// What the rules need of task sets.
pub(super) fn rules_of(task_sets: &[TaskSetReading]) -> Vec<TaskSet> {
    task_sets.iter().map(|set| set.task_set.clone()).collect()
}

/// Whether AWS says that it has not ended.
/// What belongs to the watch, oldest first. What ended before it began belongs to the import: AWS is listed from a
/// little earlier.
pub(super) fn of_the_watch(
    mut readings: Vec<DeploymentReading>,
    watch: &WatchRecord,
) -> Vec<DeploymentReading> {
    readings.retain(|reading| {
        is_in_progress(reading)
            || watch
                .watched_since
                .is_none_or(|at| reading.created_at >= at)
    });
    readings.sort_by(|a, b| (a.created_at, &a.aws_id).cmp(&(b.created_at, &b.aws_id)));
    readings
}

fn is_in_progress(reading: &DeploymentReading) -> bool {
    matches!(
        reading.reading.status,
        AwsStatus::Running | AwsStatus::Ready
    )
}

/// The revision that an AppSpec names.
fn revision_in(app_spec: Option<&str>) -> Option<RevisionArn> {
    appspec::parse(app_spec?)
        .ok()
        .map(|spec| spec.task_definition)
}

/// The first line of a deployment's timeline.
pub(super) fn started_line(record: &DeploymentRecord) -> String {
    let change = match (&record.previous_revision, &record.target_revision) {
        (Some(old), Some(new)) => format!("{} → {}", old.short(), new.short()),
        (None, Some(new)) => format!("→ {}", new.short()),
        _ => "its revision is not known".to_string(),
    };
    format!("Deployment {} created: {change}.", record.aws_id)
}

/// What the task set runs that the deployment created.
fn created_by(task_sets: &[TaskSet], aws_id: &str) -> Option<RevisionArn> {
    task_sets
        .iter()
        .find(|set| set.created_by_deployment.as_deref() == Some(aws_id))
        .map(|set| set.revision.clone())
}

/// Whether what the deployment moved the service to was what served in the end.
pub(super) fn kept_its_traffic(record: &DeploymentRecord) -> bool {
    match record.standing.outcome {
        Outcome::Succeeded => true,
        Outcome::Failed | Outcome::Stopped => {
            took_all_traffic(&record.reading.stages) && record.reading.rolled_back_by.is_none()
        }
        Outcome::InProgress
        | Outcome::RolledBack
        | Outcome::RollbackFailed
        | Outcome::Superseded
        | Outcome::Unknown => false,
    }
}

/// Whether all production traffic was moved.
fn took_all_traffic(stages: &[Stage]) -> bool {
    stages
        .iter()
        .any(|stage| stage.name == "AllowTraffic" && stage.status == StageStatus::Succeeded)
}

/// The ids of CodeDeploy's deployments since a moment, with those under way when nobody has listed them yet.
async fn listed_by_codedeploy(
    cloud: &dyn Cloud,
    since: Moment,
    under_way: bool,
) -> Result<Vec<String>, CloudError> {
    let mut listed = cloud.deployment_ids(None, Some(since)).await?;
    if under_way {
        listed.extend(cloud.deployment_ids_under_way().await?);
    }
    Ok(listed)
}
