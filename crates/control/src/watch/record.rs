//! First sight: a deployment that is not recorded yet is recorded with the revision it replaces.

use crate::Control;
use crate::error::StepError;
use crate::lock;
use crate::watch::Trouble;
use crate::watch::append;
use crate::watch::observed;
use crate::watch::readable;
use serde_json::Value;
use serde_json::json;
use switchback_cloud::Cloud;
use switchback_cloud::DeploymentReading;
use switchback_domain::appspec;
use switchback_domain::audit::AuditEvent;
use switchback_domain::deployment::AwsStatus;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::Phase;
use switchback_domain::deployment::Reading;
use switchback_domain::deployment::StageStatus;
use switchback_domain::deployment::Standing;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::OperationId;
use switchback_domain::operation;
use switchback_domain::previous;
use switchback_domain::previous::EarlierDeployment;
use switchback_domain::previous::PreviousEvidence;
use switchback_domain::previous::PreviousFacts;
use switchback_domain::previous::TaskSet;
use switchback_domain::revision::RevisionArn;
use switchback_domain::service::Service;
use switchback_store::DeploymentQuery;
use switchback_store::records::DeploymentRecord;

/// AWS may list a deployment a little after its creation time; new ones are looked for from this far back.
const OVERLAP_SECONDS: i64 = 120;

/// How often it is written down until when everything is recorded, in seconds.
const MARK_INTERVAL_SECONDS: i64 = 60;

impl Control {
    /// Finds deployments that are not recorded yet and records them, oldest first.
    pub(super) async fn record_new(
        &self,
        cloud: &dyn Cloud,
        account: &str,
    ) -> Result<usize, StepError> {
        let began = cloud.now();
        let mark = self
            .inner
            .store
            .watch_mark_fetch(account, cloud.region())
            .await?;
        let since = mark.map(|at| at.plus_seconds(-OVERLAP_SECONDS));
        let mut unknown = Vec::new();
        for aws_id in cloud.deployment_ids(None, since).await? {
            let id = DeploymentId::derive(account, cloud.region(), &aws_id);
            if self.inner.store.deployment_fetch(&id).await?.is_none() {
                unknown.push(aws_id);
            }
        }
        let mut readings = if unknown.is_empty() {
            Vec::new()
        } else {
            cloud.deployments(&unknown).await?
        };
        readings.sort_by(|a, b| (a.created_at, &a.aws_id).cmp(&(b.created_at, &b.aws_id)));
        let mut trouble = Trouble::default();
        let mut recorded = 0;
        for reading in readings {
            let new = trouble.note(self.record_one(cloud, account, &reading).await);
            if let Some(Some(record)) = new {
                recorded += 1;
                // What already ended is settled at once: the next one's previous revision follows from it.
                trouble.note(self.follow_one(cloud, &record, Some(&reading)).await);
            }
        }
        // Only when all are recorded, and seldom: the mark is written for the next start, not for every look.
        let due = mark.is_none_or(|mark| began.millis_since(mark) >= MARK_INTERVAL_SECONDS * 1000);
        let recorded = trouble.or(recorded)?;
        if due || recorded > 0 {
            let mut tx = self.begin().await?;
            tx.watch_mark_set(account, cloud.region(), began).await?;
            tx.commit().await?;
        }
        Ok(recorded)
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
        let by_group = || {
            self.inner.store.service_fetch_by_group(
                account,
                cloud.region(),
                &reading.application,
                &reading.group,
            )
        };
        let service = match by_group().await? {
            Some(service) => service,
            None => {
                let group = (
                    cloud.region().to_string(),
                    reading.application.clone(),
                    reading.group.clone(),
                );
                if lock(&self.inner.unwatched).contains(&group) {
                    return Ok(None);
                }
                // A group that was made since the last full look, or one that deploys no ECS service.
                self.read_services(cloud, account).await?;
                match by_group().await? {
                    Some(service) => service,
                    None => {
                        lock(&self.inner.unwatched).insert(group);
                        return Ok(None);
                    }
                }
            }
        };
        let in_progress = matches!(
            reading.reading.status,
            AwsStatus::Running | AwsStatus::Ready
        );
        let app_spec = match &reading.app_spec_digest {
            Some(digest) => readable(cloud.app_spec(&reading.application, digest).await)?,
            None => None,
        };
        let target = app_spec
            .as_deref()
            .and_then(|text| appspec::parse(text).ok())
            .map(|spec| spec.task_definition);
        let marked = reading.description.as_deref().and_then(operation::marker);
        let operation = match &marked {
            Some((operation, _)) => self.inner.store.operation_fetch(operation).await?,
            None => None,
        };
        let rolls_back = match &reading.reading.rolls_back {
            Some(aws_id) => {
                self.inner
                    .store
                    .deployment_fetch(&DeploymentId::derive(account, cloud.region(), aws_id))
                    .await?
            }
            None => None,
        };
        let task_sets = match cloud.service(&service.cluster, &service.name).await? {
            Some((task_sets, _, _)) => task_sets.into_iter().map(|set| set.task_set).collect(),
            None => Vec::new(),
        };
        // An AppSpec in S3 is not read; the task set that the deployment created tells the same.
        let target = target.or_else(|| created_by(&task_sets, &reading.aws_id));
        let previous = match &rolls_back {
            // What a rollback deployment replaces is what the undone one had brought (in a
            // rollback the bad revision is the old one), even while the PRIMARY task set never changed.
            Some(original) => original
                .target_revision
                .clone()
                .map(|arn| (arn, PreviousEvidence::EarlierDeployment)),
            None => {
                let facts = self
                    .previous_facts(cloud, &service, reading, task_sets)
                    .await?;
                previous::previous(&reading.aws_id, reading.created_at, in_progress, &facts)
            }
        };
        let rollback_of = match (&rolls_back, &operation) {
            (Some(original), _) => Some(original.id.clone()),
            (None, Some(operation)) => operation.call["undoes"].as_str().map(DeploymentId::new),
            (None, None) => None,
        };
        // A rollback deployment creates no task set: it moves back between the groups of the one it undoes.
        let (target_group_old, target_group_new) = match &rolls_back {
            Some(original) => (
                original.target_group_new.clone(),
                original.target_group_old.clone(),
            ),
            None => (None, None),
        };
        let initiator = match &operation {
            Some(operation) => operation.actor.clone(),
            None => match &rolls_back {
                Some(_) => "CodeDeploy".to_string(),
                None => reading.creator.clone(),
            },
        };
        let reason = match &marked {
            Some((_, reason)) => Some((*reason).to_string()),
            None => match (&reading.description, &reading.reading.rolls_back) {
                (Some(description), _) if !description.is_empty() => Some(description.clone()),
                (_, Some(aws_id)) => Some(format!("Rolls back {aws_id}")),
                _ => None,
            },
        };
        let record = DeploymentRecord {
            id: id.clone(),
            aws_id: reading.aws_id.clone(),
            service_id: service.id.clone(),
            service_name: service.name.clone(),
            cluster: service.cluster.clone(),
            account: account.to_string(),
            region: cloud.region().to_string(),
            controller: service.controller.word().to_string(),
            strategy: reading.config_name.clone(),
            previous_revision: previous.as_ref().map(|(arn, _)| arn.clone()),
            previous_evidence: previous.map(|(_, evidence)| evidence),
            target_revision: target,
            app_spec,
            standing: Standing::started(),
            outcome_detail: None,
            initiator,
            reason,
            description: reading.description.clone(),
            started_at: reading.created_at,
            ended_at: None,
            rollback_of: rollback_of.clone(),
            rolled_back_by: None,
            operation_id: marked
                .map(|(operation, _): (OperationId, &str)| operation)
                .filter(|_| operation.is_some()),
            share_new_permille: None,
            reading: Reading {
                status: AwsStatus::Running,
                ..reading.reading.clone()
            },
            target_group_old,
            target_group_new,
            alarms: json!([]),
            metrics_until: None,
            observed_at: cloud.now(),
            generation: 1,
        };
        self.insert(cloud, &service, record, rollback_of)
            .await
            .map(Some)
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
        let change = match (&record.previous_revision, &record.target_revision) {
            (Some(old), Some(new)) => format!("{} → {}", old.short(), new.short()),
            (None, Some(new)) => format!("→ {}", new.short()),
            _ => "its revision is not known".to_string(),
        };
        append(
            &mut tx,
            &record.id,
            record.started_at,
            "started",
            format!("Deployment {} created: {change}.", record.aws_id),
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
        service: &Service,
        reading: &DeploymentReading,
        task_sets: Vec<TaskSet>,
    ) -> Result<PreviousFacts, StepError> {
        let mut facts = PreviousFacts {
            task_sets,
            ..PreviousFacts::default()
        };
        let in_progress = matches!(
            reading.reading.status,
            AwsStatus::Running | AwsStatus::Ready
        );
        if !in_progress {
            facts.replaced_task_set = readable(cloud.lifecycle(&reading.aws_id).await)?
                .and_then(|lifecycle| lifecycle.replaced_task_set);
            if let Some(task_set) = &facts.replaced_task_set {
                facts.stopped_task = readable(
                    cloud
                        .stopped_task_revision(&service.cluster, &service.name, task_set)
                        .await,
                )?
                .flatten();
            }
        }
        let query = DeploymentQuery {
            service: Some(service.id.clone()),
            to: Some(reading.created_at),
            limit: 50,
            ..DeploymentQuery::default()
        };
        facts.earlier = self
            .inner
            .store
            .deployment_list(&query)
            .await?
            .into_iter()
            .filter_map(|record| {
                Some(EarlierDeployment {
                    created_at: record.started_at,
                    target: record.target_revision.clone()?,
                    kept_its_traffic: kept_its_traffic(&record),
                })
            })
            .collect();
        facts.observed = self
            .inner
            .store
            .served_list(&service.id)
            .await?
            .into_iter()
            .filter(|served| served.from < reading.created_at && served.share_permille >= 1000)
            .max_by_key(|served| served.from)
            .map(|served| (served.revision, served.from));
        if let Some(digest) = &reading.previous_app_spec_digest {
            facts.previous_revision = readable(cloud.app_spec(&reading.application, digest).await)?
                .and_then(|text| appspec::parse(&text).ok())
                .map(|spec| spec.task_definition);
        }
        Ok(facts)
    }
}

/// What the task set runs that the deployment created.
fn created_by(task_sets: &[TaskSet], aws_id: &str) -> Option<RevisionArn> {
    task_sets
        .iter()
        .find(|set| set.created_by_deployment.as_deref() == Some(aws_id))
        .map(|set| set.revision.clone())
}

/// Whether what the deployment moved the service to was what served in the end.
fn kept_its_traffic(record: &DeploymentRecord) -> bool {
    match record.standing.outcome {
        Outcome::Succeeded => true,
        Outcome::Failed | Outcome::Stopped => {
            let all = record.reading.stages.iter().any(|stage| {
                stage.name == "AllowTraffic" && stage.status == StageStatus::Succeeded
            });
            all && record.reading.rolled_back_by.is_none()
        }
        Outcome::InProgress
        | Outcome::RolledBack
        | Outcome::RollbackFailed
        | Outcome::Superseded
        | Outcome::Unknown => false,
    }
}
