//! The import: what AWS still has of an account's past is taken in, beside the watching and never before it.
//!
//! It runs as a task of its own, so that no gate and no new deployment waits for it. All it knows is in the database:
//! whoever goes on after it needs nothing else. Two at once do no harm, since every step names the generation it began at.

use crate::Control;
use crate::accounts::key;
use crate::error::StepError;
use crate::lock;
use crate::watch::ServicesRead;
use crate::watch::Trouble;
use crate::watch::append;
use crate::watch::ecs::is_of_ecs;
use crate::watch::follow::outcome_detail;
use crate::watch::lines::differences;
use crate::watch::observed;
use crate::watch::readable;
use crate::watch::record::Found;
use crate::watch::record::rules_of;
use crate::watch::record::started_line;
use futures::StreamExt;
use futures::stream;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use switchback_cloud::Cloud;
use switchback_cloud::DeploymentReading;
use switchback_cloud::LifecycleReading;
use switchback_cloud::TaskSetReading;
use switchback_domain::audit::AuditEvent;
use switchback_domain::coverage::FirstSeen;
use switchback_domain::deployment;
use switchback_domain::deployment::AwsStatus;
use switchback_domain::deployment::Known;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::Reading;
use switchback_domain::deployment::Standing;
use switchback_domain::digest::Digest;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::ServiceId;
use switchback_domain::import::ImportEvent;
use switchback_domain::import::ImportPart;
use switchback_domain::import::ImportState;
use switchback_domain::import::import_after;
use switchback_domain::import::pause_millis;
use switchback_domain::revision::Revision;
use switchback_domain::revision::RevisionArn;
use switchback_domain::service::Service;
use switchback_store::Tx;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::ImportItem;
use switchback_store::records::ImportItemKind;
use switchback_store::records::ImportRecord;
use tokio_util::sync::CancellationToken;

/// Deployments in one BatchGetDeployments. [M]
const READ_AT_ONCE: i64 = 25;

/// Deployments that are recorded in one transaction. Small, so that the watcher never waits long for the database.
const RECORDED_AT_ONCE: i64 = 10;

/// Calls under way at the same time. CodeDeploy's rates are not published; the watcher needs its share.
const CALLS_AT_ONCE: usize = 4;

/// How many task definitions of one family are looked at, the latest first. What a deployment names is read in any case.
const DEFINITIONS_OF_A_FAMILY: usize = 100;

/// How long the import waits for the watch to begin.
const NOT_BEGUN_PAUSE: Duration = Duration::from_millis(250);

/// How long the import waits before it looks again whether the services can be read.
const REFUSED_PAUSE: Duration = Duration::from_secs(2);

/// What a step came to.
enum Stepped {
    /// The watch has not begun, or services have yet to be read.
    NotYet,
    /// Only what AWS does not let be listed is left.
    Refused,
    /// It went on.
    Went,
    /// Nothing is left.
    Complete,
}

/// What one run of the import keeps in memory: only what AWS need not be asked for twice.
#[derive(Default)]
struct Kept {
    /// The task sets of each service. A task set never changes what it runs, so old ones tell the same.
    task_sets: BTreeMap<ServiceId, Vec<TaskSetReading>>,
}

/// A deployment that is ready to be recorded.
struct Past {
    aws_id: String,
    service: Service,
    record: DeploymentRecord,
}

/// What is to be listed next.
enum ToList {
    /// Nothing: the list is complete.
    Nothing,
    /// A page of this part.
    Part(ImportPart),
    /// Services have yet to be read.
    NotYet,
    /// AWS does not let what is left be listed, in its words.
    Refused(String),
}

/// What became of one item.
enum Prepared {
    /// To be recorded.
    Past(Box<Past>),
    /// It is recorded.
    Recorded,
    /// It is of no watched service.
    NotWatched,
}

impl Control {
    /// Takes in the past of one account and region until everything is, or `stop` is cancelled.
    pub(crate) async fn import_until(&self, cloud: Arc<dyn Cloud>, stop: CancellationToken) {
        let mut kept = Kept::default();
        let mut interruptions = 0;
        loop {
            // A step that is left half-way has written nothing.
            let stepped = tokio::select! {
                () = stop.cancelled() => return,
                stepped = self.import_step(&*cloud, &mut kept) => stepped,
            };
            let pause = match stepped {
                Ok(Stepped::Complete) => return,
                Ok(Stepped::NotYet) => NOT_BEGUN_PAUSE,
                Ok(Stepped::Refused) => REFUSED_PAUSE,
                Ok(Stepped::Went) => {
                    interruptions = 0;
                    Duration::ZERO
                }
                // Another one took the step.
                Err(StepError::Store(switchback_store::StoreError::Conflict { .. })) => {
                    NOT_BEGUN_PAUSE
                }
                Err(error) => {
                    interruptions += 1;
                    self.import_interrupted(&*cloud, &error).await;
                    Duration::from_millis(pause_millis(interruptions))
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn import_step(&self, cloud: &dyn Cloud, kept: &mut Kept) -> Result<Stepped, StepError> {
        let account = lock(&self.inner.looked)
            .get(&key(cloud))
            .and_then(|looked| looked.account.clone());
        let Some(account) = account else {
            return Ok(Stepped::NotYet);
        };
        let import = self
            .inner
            .store
            .import_fetch(&account, cloud.region())
            .await?;
        let Some(import) = import else {
            return Ok(Stepped::NotYet);
        };
        match import.state {
            ImportState::Listing => return self.import_list(cloud, import).await,
            ImportState::Reading => {
                let listed = self
                    .inner
                    .store
                    .import_item_list_listed(&import, ImportItemKind::Deployment, READ_AT_ONCE)
                    .await?;
                let read = self
                    .inner
                    .store
                    .import_item_list_read(&import, RECORDED_AT_ONCE)
                    .await?;
                if !listed.is_empty() {
                    self.import_read(cloud, import, listed).await?;
                } else if !read.is_empty() {
                    self.import_record(cloud, kept, import, read).await?;
                } else {
                    self.import_list_definitions(cloud, import).await?;
                }
            }
            ImportState::ReadingDefinitions => {
                let listed = self
                    .inner
                    .store
                    .import_item_list_listed(
                        &import,
                        ImportItemKind::TaskDefinition,
                        RECORDED_AT_ONCE,
                    )
                    .await?;
                if listed.is_empty() {
                    self.import_complete(cloud, import).await?;
                } else {
                    self.import_definitions(cloud, import, listed).await?;
                }
            }
            ImportState::Complete if import.unlisted.is_empty() => return Ok(Stepped::Complete),
            ImportState::Complete => return self.import_list(cloud, import).await,
        }
        Ok(Stepped::Went)
    }

    /// One page of the list. A part that AWS refuses is left for later; when nothing else is to be listed, what is
    /// listed is taken in without it.
    async fn import_list(
        &self,
        cloud: &dyn Cloud,
        mut import: ImportRecord,
    ) -> Result<Stepped, StepError> {
        let part = match self.part_to_list(cloud, &import) {
            ToList::Part(part) => part,
            ToList::NotYet => return Ok(Stepped::NotYet),
            ToList::Nothing if import.state == ImportState::Listing => {
                let tx = self.begin().await?;
                self.advance(cloud, tx, import, ImportEvent::Listed).await?;
                return Ok(Stepped::Went);
            }
            ToList::Nothing => return Ok(Stepped::Complete),
            ToList::Refused(_)
                if import.state == ImportState::Listing
                    && import.unlisted.len() < ImportPart::ALL.len() =>
            {
                let tx = self.begin().await?;
                self.advance(cloud, tx, import, ImportEvent::Listed).await?;
                return Ok(Stepped::Went);
            }
            ToList::Refused(words) => {
                if import.trouble.as_ref() != Some(&words) {
                    import.trouble = Some(words);
                    let mut tx = self.begin().await?;
                    tx.import_update(&import).await?;
                    tx.change_append("coverage", &import.region, None, cloud.now())
                        .await?;
                    tx.commit().await?;
                }
                return Ok(Stepped::Refused);
            }
        };
        let mut listed = import.clone();
        let page = match part {
            ImportPart::Codedeploy => self.import_list_codedeploy(cloud, &mut listed).await,
            ImportPart::Ecs => self.import_list_ecs(cloud, &mut listed).await,
        };
        let page = match page {
            Err(StepError::Cloud(error))
                if import.next_token.is_some() && error.says_token_lost() =>
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    aws.region = cloud.region(),
                    "AWS no longer takes the token of the next page; the list begins again"
                );
                import.next_token = None;
                let tx = self.begin().await?;
                self.advance(cloud, tx, import, ImportEvent::ListLost)
                    .await?;
                return Ok(Stepped::Went);
            }
            // The next look at all services tries again.
            Err(StepError::Cloud(error))
                if error.is_about_permission() || error.is_not_offered() =>
            {
                let words = StepError::Cloud(error).words();
                self.services_read(cloud, part, ServicesRead::Failed(words));
                if import.next_token.take().is_some() {
                    let tx = self.begin().await?;
                    self.advance(cloud, tx, import, ImportEvent::ListLost)
                        .await?;
                }
                return Ok(Stepped::Went);
            }
            page => page?,
        };
        let mut import = listed;
        if import.next_token.is_none() {
            import.unlisted.retain(|unlisted| *unlisted != part);
        }
        let mut tx = self.begin().await?;
        import.listed += tx
            .import_item_add(&import, ImportItemKind::Deployment, &page, import.listed)
            .await?;
        let event = match import.state {
            ImportState::Complete => ImportEvent::ListResumed,
            _ => ImportEvent::PageListed,
        };
        self.advance(cloud, tx, import, event).await?;
        Ok(Stepped::Went)
    }

    /// The part whose list goes on or begins: CodeDeploy's first.
    fn part_to_list(&self, cloud: &dyn Cloud, import: &ImportRecord) -> ToList {
        let mut looked = lock(&self.inner.looked);
        let looked = looked.entry(key(cloud)).or_default();
        let begun = import
            .next_token
            .as_deref()
            .map(|token| match is_of_ecs(token) {
                true => ImportPart::Ecs,
                false => ImportPart::Codedeploy,
            });
        let mut refused = None;
        for part in &import.unlisted {
            if begun.is_some_and(|begun| begun != *part) {
                continue;
            }
            match looked.services_of(*part) {
                ServicesRead::NotYet => return ToList::NotYet,
                ServicesRead::Read => return ToList::Part(*part),
                ServicesRead::Failed(words) => {
                    refused.get_or_insert(words.clone());
                }
            }
        }
        refused.map_or(ToList::Nothing, ToList::Refused)
    }

    /// A page of CodeDeploy's list.
    async fn import_list_codedeploy(
        &self,
        cloud: &dyn Cloud,
        import: &mut ImportRecord,
    ) -> Result<Vec<String>, StepError> {
        let page = cloud
            .deployment_id_page(import.created_until, import.next_token.as_deref())
            .await?;
        import.next_token = page.next_token;
        Ok(page.aws_ids)
    }

    /// What BatchGetDeployments tells of some that are listed. What is recorded already is not read.
    async fn import_read(
        &self,
        cloud: &dyn Cloud,
        mut import: ImportRecord,
        items: Vec<ImportItem>,
    ) -> Result<(), StepError> {
        let mut recorded = Vec::new();
        let mut unknown = Vec::new();
        for item in items {
            let id = DeploymentId::derive(&import.account, &import.region, &item.subject);
            if self.inner.store.deployment_fetch(&id).await?.is_some() {
                recorded.push(item.subject);
            } else {
                unknown.push(item.subject);
            }
        }
        let readings = if unknown.is_empty() {
            Vec::new()
        } else {
            cloud.deployments(&unknown).await?
        };
        let kind = ImportItemKind::Deployment;
        let mut tx = self.begin().await?;
        for aws_id in &recorded {
            tx.import_item_settle(&import, kind, aws_id).await?;
            import.settled += 1;
        }
        for aws_id in &unknown {
            match readings.iter().find(|reading| &reading.aws_id == aws_id) {
                Some(reading) => {
                    tx.import_item_read(
                        &import,
                        aws_id,
                        &reading.application,
                        &reading.group,
                        reading.created_at,
                        &serde_json::to_string(reading).unwrap_or_default(),
                    )
                    .await?;
                }
                None => {
                    // AWS listed it and forgot it since.
                    tx.import_item_forget(&import, kind, aws_id).await?;
                    import.settled += 1;
                    import.forgotten += 1;
                }
            }
        }
        self.advance(cloud, tx, import, ImportEvent::Settled).await
    }

    /// Records some of those that were read.
    async fn import_record(
        &self,
        cloud: &dyn Cloud,
        kept: &mut Kept,
        mut import: ImportRecord,
        items: Vec<ImportItem>,
    ) -> Result<(), StepError> {
        let mut trouble = Trouble::default();
        let mut found: Vec<(DeploymentReading, Service)> = Vec::new();
        let mut prepared: Vec<(String, Option<Prepared>)> = Vec::new();
        for item in &items {
            let Some(reading) = item.reading() else {
                // Written by another version: it is read again.
                let read = cloud
                    .deployments(std::slice::from_ref(&item.subject))
                    .await?;
                let mut tx = self.begin().await?;
                match read.first() {
                    Some(reading) => {
                        tx.import_item_read(
                            &import,
                            &item.subject,
                            &reading.application,
                            &reading.group,
                            reading.created_at,
                            &serde_json::to_string(reading).unwrap_or_default(),
                        )
                        .await?;
                    }
                    None => {
                        tx.import_item_forget(&import, ImportItemKind::Deployment, &item.subject)
                            .await?;
                        import.settled += 1;
                        import.forgotten += 1;
                    }
                }
                return self.advance(cloud, tx, import, ImportEvent::Settled).await;
            };
            let id = DeploymentId::derive(&import.account, &import.region, &item.subject);
            if self.inner.store.deployment_fetch(&id).await?.is_some() {
                prepared.push((item.subject.clone(), Some(Prepared::Recorded)));
                continue;
            }
            match trouble.note(self.service_of(cloud, &import.account, &reading).await) {
                Some(Some(service)) => found.push((reading, service)),
                Some(None) => prepared.push((item.subject.clone(), Some(Prepared::NotWatched))),
                None => prepared.push((item.subject.clone(), None)),
            }
        }
        let targets: Vec<(String, String, String)> = found
            .iter()
            .filter(|(reading, _)| reading.service.is_none())
            .map(|(reading, service)| {
                let (cluster, name) = (service.cluster.clone(), service.name.clone());
                (reading.aws_id.clone(), cluster, name)
            })
            .collect();
        let lifecycles: Vec<Result<LifecycleReading, StepError>> = stream::iter(targets)
            .map(|(aws_id, cluster, name)| async move {
                let read = cloud.lifecycle_of_service(&aws_id, &cluster, &name).await;
                Ok(readable(read)?.unwrap_or_default())
            })
            .buffered(CALLS_AT_ONCE)
            .collect()
            .await;
        trouble.note(self.import_app_specs(cloud, &import, &found).await);
        let mut lifecycles = lifecycles.into_iter();
        for (reading, service) in found {
            let aws_id = reading.aws_id.clone();
            let lifecycle = match &reading.service {
                // One of ECS has been read as a whole.
                Some(_) => Ok(LifecycleReading::default()),
                None => lifecycles.next().unwrap_or(Ok(LifecycleReading::default())),
            };
            let made = match trouble.note(lifecycle) {
                Some(lifecycle) => trouble.note(
                    self.prepare(cloud, kept, &import, reading, service, lifecycle)
                        .await,
                ),
                None => None,
            };
            prepared.push((aws_id, made));
        }
        let revisions = match trouble.note(self.import_revisions(cloud, &prepared).await) {
            Some(revisions) => revisions,
            None => {
                // Without their task definitions none is recorded; they are tried again.
                for (_, made) in &mut prepared {
                    if let Some(Prepared::Past(_)) = made {
                        *made = None;
                    }
                }
                Vec::new()
            }
        };
        let mut tx = self.begin().await?;
        let kind = ImportItemKind::Deployment;
        let mut settled = 0;
        let mut services = BTreeSet::new();
        for (aws_id, made) in prepared {
            match made {
                None => {
                    tx.import_item_postpone(&import, kind, &aws_id).await?;
                    continue;
                }
                Some(Prepared::Past(past)) => {
                    services.insert(past.service.id.clone());
                    self.insert_past(cloud, &mut tx, *past, &revisions).await?;
                }
                Some(Prepared::NotWatched) => import.not_watched += 1,
                Some(Prepared::Recorded) => {}
            }
            tx.import_item_settle(&import, kind, &aws_id).await?;
            settled += 1;
        }
        for service in &services {
            tx.change_append("service", service.as_str(), None, cloud.now())
                .await?;
        }
        import.settled += settled;
        if settled > 0 {
            self.advance(cloud, tx, import, ImportEvent::Settled)
                .await?;
        } else {
            tx.commit().await?;
        }
        trouble.or(())
    }

    /// Reads the AppSpecs that are not known, each once.
    async fn import_app_specs(
        &self,
        cloud: &dyn Cloud,
        import: &ImportRecord,
        found: &[(DeploymentReading, Service)],
    ) -> Result<(), StepError> {
        let wanted: HashSet<(String, Digest)> = found
            .iter()
            .filter_map(|(reading, _)| {
                let digest = reading.app_spec_digest.clone()?;
                Some((reading.application.clone(), digest))
            })
            .collect();
        let account = import.account.as_str();
        let mut reads = stream::iter(wanted)
            .map(|(application, digest)| async move {
                self.app_spec(cloud, account, &application, Some(&digest))
                    .await
            })
            .buffered(CALLS_AT_ONCE);
        let mut trouble = Trouble::default();
        while let Some(read) = reads.next().await {
            trouble.note(read);
        }
        trouble.or(())
    }

    /// The task definitions that some deployments name and that are not recorded, each once.
    async fn import_revisions(
        &self,
        cloud: &dyn Cloud,
        prepared: &[(String, Option<Prepared>)],
    ) -> Result<Vec<Revision>, StepError> {
        let mut wanted = BTreeSet::new();
        for (_, made) in prepared {
            if let Some(Prepared::Past(past)) = made {
                wanted.extend(past.record.previous_revision.clone());
                wanted.extend(past.record.target_revision.clone());
            }
        }
        self.read_revisions(cloud, wanted.into_iter().collect())
            .await
    }

    /// Task definitions, those that are not recorded from AWS.
    async fn read_revisions(
        &self,
        cloud: &dyn Cloud,
        arns: Vec<RevisionArn>,
    ) -> Result<Vec<Revision>, StepError> {
        let mut reads = stream::iter(arns)
            .map(|arn| async move {
                match self.inner.store.revision_fetch(&arn).await? {
                    Some(revision) => Ok(Some(revision)),
                    None => Ok(readable(cloud.revision(&arn).await)?.flatten()),
                }
            })
            .buffered(CALLS_AT_ONCE);
        let mut revisions = Vec::new();
        let mut trouble = Trouble::default();
        while let Some(read) = reads.next().await {
            let read: Option<Option<Revision>> = trouble.note::<_, StepError>(read);
            revisions.extend(read.flatten());
        }
        trouble.or(revisions)
    }

    /// Makes the record of one that has ended; one that has not is the watcher's.
    async fn prepare(
        &self,
        cloud: &dyn Cloud,
        kept: &mut Kept,
        import: &ImportRecord,
        reading: DeploymentReading,
        service: Service,
        lifecycle: LifecycleReading,
    ) -> Result<Prepared, StepError> {
        let rollback = match &reading.reading.rolled_back_by {
            Some(aws_id) => self.standing_of(cloud, &import.account, aws_id).await?,
            None => None,
        };
        let mut read = Reading {
            stages: lifecycle.stages.clone(),
            ..reading.reading.clone()
        };
        let superseded = self.superseded(cloud, &service, &reading).await?;
        if let Some(ecs) = &mut read.ecs {
            ecs.superseded = superseded;
        }
        let undone_by = read.rolled_back_by.clone();
        if rollback.is_none() {
            // What undid it is forgotten: how that ended is not known, and nothing will tell.
            read.rolled_back_by = None;
        }
        let known = Known {
            rollback,
            ..Known::default()
        };
        let standing = deployment::standing(&read, known);
        if standing.outcome == Outcome::InProgress {
            if let Some(record) = self.record_one(cloud, &import.account, &reading).await? {
                self.follow_one(cloud, &record, Some(&reading)).await?;
            }
            return Ok(Prepared::Recorded);
        }
        let task_sets = match kept.task_sets.get(&service.id) {
            Some(task_sets) => task_sets.clone(),
            None => {
                let task_sets = self.task_sets(cloud, &service).await?;
                kept.task_sets.insert(service.id.clone(), task_sets.clone());
                task_sets
            }
        };
        let found = Found {
            account: &import.account,
            service: &service,
            reading: &reading,
            lifecycle: Some(&lifecycle),
            task_sets: rules_of(&task_sets),
            first_seen: FirstSeen::Imported,
        };
        let mut record = self.first_record(cloud, found).await?;
        record.standing = standing;
        record.reading = read;
        record.rolled_back_by = match rollback {
            Some(_) => undone_by
                .as_deref()
                .map(|aws_id| DeploymentId::derive(&import.account, &import.region, aws_id)),
            None => None,
        };
        record.ended_at = reading.completed_at.or_else(|| {
            let ends = record
                .reading
                .stages
                .iter()
                .filter_map(|stage| stage.ended_at);
            ends.max()
        });
        let own = task_sets
            .into_iter()
            .find(|set| set.task_set.created_by_deployment.as_deref() == Some(&reading.aws_id));
        if let Some(target_group) = own.and_then(|set| set.target_group_arn) {
            // What it brought still runs, so CloudWatch can tell its side; the watcher reads that afterwards.
            record.target_group_new = Some(target_group);
            record.metrics_until = Some(record.started_at.minute());
        }
        record.outcome_detail = match (&undone_by, rollback) {
            (Some(aws_id), None) => Some(format!(
                "AWS began to roll it back by {aws_id}, of which it tells no more"
            )),
            _ => outcome_detail(&record),
        };
        record.share_new_permille = match standing.outcome {
            Outcome::Succeeded => Some(1000),
            Outcome::RolledBack => Some(0),
            _ => None,
        };
        Ok(Prepared::Past(Box::new(Past {
            aws_id: reading.aws_id,
            service,
            record,
        })))
    }

    /// How a deployment stands by what is recorded or was read of it; `None` when AWS knows it no longer.
    async fn standing_of(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        aws_id: &str,
    ) -> Result<Option<Outcome>, StepError> {
        let id = DeploymentId::derive(account, cloud.region(), aws_id);
        if let Some(record) = self.inner.store.deployment_fetch(&id).await? {
            return Ok(Some(record.standing.outcome));
        }
        let reading = self.reading_of(cloud, account, aws_id).await?;
        Ok(reading.map(|reading| deployment::standing(&reading.reading, Known::default()).outcome))
    }

    /// Records one with everything that is known of it, in one piece: it is over.
    async fn insert_past(
        &self,
        cloud: &dyn Cloud,
        tx: &mut Tx,
        past: Past,
        revisions: &[Revision],
    ) -> Result<(), StepError> {
        let Past {
            service,
            record,
            aws_id,
        } = past;
        let now = cloud.now();
        if !tx.deployment_insert(&record).await? {
            // The watcher or a hook was quicker.
            tracing::debug!(aws_id, "recorded meanwhile");
            return Ok(());
        }
        for arn in [&record.previous_revision, &record.target_revision]
            .into_iter()
            .flatten()
        {
            if let Some(revision) = revisions.iter().find(|revision| &revision.arn == arn) {
                tx.revision_upsert(Some(&service.id), revision).await?;
            }
        }
        if let (Some(previous), None) = (&record.previous_revision, &record.reading.rolls_back) {
            tx.served_all_at(&service.id, previous, record.started_at)
                .await?;
        }
        if record.standing.outcome == Outcome::Succeeded
            && let (Some(target), Some(ended_at)) = (&record.target_revision, record.ended_at)
        {
            tx.served_all_at(&service.id, target, ended_at).await?;
            tx.service_serving_since_its_period(&service.id, target)
                .await?;
        }
        append(
            tx,
            &record.id,
            record.started_at,
            "started",
            started_line(&record),
            Some(&record.initiator),
            serde_json::Value::Null,
        )
        .await?;
        let before = DeploymentRecord {
            standing: Standing::started(),
            reading: Reading {
                status: AwsStatus::Running,
                stages: Vec::new(),
                ..record.reading.clone()
            },
            // What share it carried when, nobody saw.
            share_new_permille: record.share_new_permille,
            ..record.clone()
        };
        for line in differences(&before, &record, record.ended_at.unwrap_or(now)) {
            append(
                tx, &record.id, line.at, line.kind, line.text, line.by, line.data,
            )
            .await?;
        }
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
        if record.standing.outcome.is_final() {
            tx.audit_append(&observed(
                now,
                AuditEvent::DeploymentEnded {
                    deployment: record.id.clone(),
                    outcome: record.standing.outcome.word().to_string(),
                    cause: record.standing.cause.map(|cause| cause.word().to_string()),
                },
            ))
            .await?;
        }
        Ok(())
    }

    /// All deployments are settled: lists what ECS still has of the watched services' families.
    async fn import_list_definitions(
        &self,
        cloud: &dyn Cloud,
        mut import: ImportRecord,
    ) -> Result<(), StepError> {
        let store = &self.inner.store;
        let mut families = BTreeSet::new();
        for service in store.service_list().await? {
            if service.account == import.account && service.region == import.region {
                families.extend(service.serving_revision.map(|arn| arn.family().to_string()));
            }
        }
        let limit = DEFINITIONS_OF_A_FAMILY;
        let mut wanted = Vec::new();
        for family in families {
            let mut arns = cloud.revision_arns(&family, true, limit).await?;
            if arns.len() < DEFINITIONS_OF_A_FAMILY {
                arns.extend(cloud.revision_arns(&family, false, limit).await?);
            }
            arns.sort_by_key(|arn| std::cmp::Reverse(arn.number()));
            arns.truncate(DEFINITIONS_OF_A_FAMILY);
            for arn in arns {
                if store.revision_fetch(&arn).await?.is_none() {
                    wanted.push(arn.to_string());
                }
            }
        }
        let mut tx = self.begin().await?;
        import.definitions_listed = tx
            .import_item_add(&import, ImportItemKind::TaskDefinition, &wanted, 0)
            .await?;
        self.advance(cloud, tx, import, ImportEvent::DefinitionsListed)
            .await
    }

    /// Records some task definitions. They belong to no service before a deployment names them.
    async fn import_definitions(
        &self,
        cloud: &dyn Cloud,
        mut import: ImportRecord,
        items: Vec<ImportItem>,
    ) -> Result<(), StepError> {
        let arns = items
            .iter()
            .filter_map(|item| RevisionArn::parse(&item.subject).ok())
            .collect();
        let revisions = self.read_revisions(cloud, arns).await?;
        let mut tx = self.begin().await?;
        for revision in &revisions {
            tx.revision_upsert(None, revision).await?;
        }
        for item in &items {
            // One that AWS no longer knows is settled too: nothing is left to do about it.
            tx.import_item_settle(&import, ImportItemKind::TaskDefinition, &item.subject)
                .await?;
            import.definitions_settled += 1;
        }
        self.advance(cloud, tx, import, ImportEvent::Settled).await
    }

    async fn import_complete(
        &self,
        cloud: &dyn Cloud,
        mut import: ImportRecord,
    ) -> Result<(), StepError> {
        let now = cloud.now();
        let first = self
            .inner
            .store
            .deployment_first(&import.account, &import.region)
            .await?;
        import.completed_at = Some(now);
        let mut tx = self.begin().await?;
        tx.import_item_clear(&import).await?;
        tx.audit_append(&observed(
            now,
            AuditEvent::ImportCompleted {
                account: import.account.clone(),
                region: import.region.clone(),
                listed: import.listed,
                forgotten: import.forgotten,
                not_watched: import.not_watched,
                begins_at: first.map(|(_, at)| at),
            },
        ))
        .await?;
        self.advance(cloud, tx, import, ImportEvent::AllSettled)
            .await
    }

    /// Moves the import by an event, tells open browsers, and commits.
    pub(super) async fn advance(
        &self,
        cloud: &dyn Cloud,
        mut tx: Tx,
        mut import: ImportRecord,
        event: ImportEvent,
    ) -> Result<(), StepError> {
        match import_after(import.state, event) {
            Ok(state) => import.state = state,
            Err(refused) => {
                let what = refused.to_string();
                return Err(switchback_store::StoreError::Conflict { what }.into());
            }
        }
        if event != ImportEvent::Interrupted {
            import.trouble = None;
        }
        tx.import_update(&import).await?;
        tx.change_append("coverage", &import.region, None, cloud.now())
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Writes down what holds the import up.
    async fn import_interrupted(&self, cloud: &dyn Cloud, error: &StepError) {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            aws.region = cloud.region(),
            "the import was interrupted; it goes on"
        );
        let account = lock(&self.inner.looked)
            .get(&key(cloud))
            .and_then(|looked| looked.account.clone());
        let words = error.words();
        let written = async {
            let Some(account) = account else {
                return Ok::<(), StepError>(());
            };
            let import = self
                .inner
                .store
                .import_fetch(&account, cloud.region())
                .await?;
            if let Some(mut import) = import
                && import.state != ImportState::Complete
                && import.trouble.as_deref() != Some(words.as_str())
            {
                import.trouble = Some(words);
                let tx = self.begin().await?;
                self.advance(cloud, tx, import, ImportEvent::Interrupted)
                    .await?;
            }
            Ok(())
        };
        if let Err(error) = written.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                aws.region = cloud.region(),
                "what holds the import up could not be written down"
            );
        }
    }
}

/// Reads an item's reading back.
pub(super) trait ReadingOf {
    /// What was read; `None` when nothing was, or another version wrote it.
    fn reading(&self) -> Option<DeploymentReading>;
}

impl ReadingOf for ImportItem {
    fn reading(&self) -> Option<DeploymentReading> {
        serde_json::from_str(self.reading.as_deref()?).ok()
    }
}
