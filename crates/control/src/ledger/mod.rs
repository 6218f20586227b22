//! The ledger: what a rollback needs is kept in DynamoDB too, so that it needs nothing but AWS.
//!
//! The mirror finds its work in the database: deployments whose outcome, and operations whose generation, the ledger
//! does not have, and services that were not compared with it yet. It writes one entry at a time, each with the
//! service's head in one transaction, and begins again where the head has moved. What stands in the ledger already
//! is never overwritten by something older; where the two differ, that is written into the audit log.

mod entries;
mod restore;

use crate::Control;
use crate::error::StepError;
use crate::lock;
use crate::watch;
use serde_json::Value;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use switchback_cloud::CloudError;
use switchback_cloud::WhatToDo;
use switchback_cloud::ledger::ENTRY_TOO_LARGE;
use switchback_cloud::ledger::Ledger;
use switchback_cloud::ledger::LedgerHead;
use switchback_cloud::ledger::LedgerPartition;
use switchback_cloud::ledger::LedgerWrite;
use switchback_cloud::ledger::LedgerWritten;
use switchback_domain::audit::AuditEvent;
use switchback_domain::deployment::Outcome;
use switchback_domain::ids::ServiceId;
use switchback_domain::moment::Moment;
use switchback_domain::operation::OperationState;
use switchback_domain::revision::Revision;
use switchback_domain::service::Service;
use switchback_store::DeploymentQuery;
use switchback_store::LedgerHeadRecord;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::OperationRecord;
use tokio_util::sync::CancellationToken;

/// How long an operation waits for its intent to stand in the ledger before it goes on without. On-call waits too.
const INTENT_LIMIT: Duration = Duration::from_secs(2);

/// The same for a service that is seen for the first time and may have a past in the ledger.
const RESTORE_LIMIT: Duration = Duration::from_secs(5);

/// How often the database is asked for work.
const MIRROR_INTERVAL: Duration = Duration::from_millis(500);

/// How long the mirror waits after the ledger did not do what was asked, at first and at most.
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How many entries are written before the database is asked again.
const BATCH: i64 = 25;

/// How often a write begins again because the head moved, before the next activation does.
const TRIES: usize = 8;

/// The wait before a write that met somebody else's transaction or a throttle is tried again.
const CONFLICT_WAIT: Duration = Duration::from_millis(50);

/// How many earlier deployments are looked through for the one that brought a revision.
const EARLIER: i64 = 200;

/// How it stands with the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LedgerState {
    /// The table's name.
    pub table: String,
    /// When everything that was due was last found written (the account's clock).
    pub complete_at: Option<Moment>,
    /// Why it is not complete: the call and AWS's code, or an entry that it refused.
    pub trouble: Option<String>,
    /// How many deployments and operations it does not have as they stand.
    pub due: i64,
}

impl LedgerState {
    /// Whether it has everything, as far as is known.
    pub fn is_complete(&self) -> bool {
        self.complete_at.is_some() && self.due == 0 && self.trouble.is_none()
    }
}

/// What is to be written beside the head.
enum Entry<'a> {
    Deployment(&'a DeploymentRecord),
    Operation(&'a OperationRecord),
    /// Nothing: only what serves has changed.
    Head,
}

impl Control {
    /// Keeps this ledger from now on. A second one is not taken.
    pub fn keep_ledger(&self, ledger: Arc<dyn Ledger>) {
        lock(&self.inner.ledger_state).table = ledger.table().to_string();
        if self.inner.ledger.set(ledger).is_err() {
            tracing::error!("a second ledger was given; the first one is kept");
        }
    }

    /// How it stands with the ledger; `None` when none is kept.
    pub fn ledger_state(&self) -> Option<LedgerState> {
        self.inner.ledger.get()?;
        Some(lock(&self.inner.ledger_state).clone())
    }

    /// Writes what is due until `stop` is cancelled.
    pub(crate) async fn mirror_until(&self, stop: CancellationToken) {
        let Some(ledger) = self.inner.ledger.get().cloned() else {
            return;
        };
        let mut wait_after_trouble = SHORTEST_WAIT;
        loop {
            let wait = match self.mirror(&*ledger).await {
                Ok(more) => {
                    wait_after_trouble = SHORTEST_WAIT;
                    if more {
                        Duration::ZERO
                    } else {
                        MIRROR_INTERVAL
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the ledger is not complete yet"
                    );
                    let due = self.inner.store.ledger_count_due().await;
                    let mut state = lock(&self.inner.ledger_state);
                    state.trouble = Some(error.words());
                    state.due = due.unwrap_or(state.due).max(1);
                    drop(state);
                    let wait = wait_after_trouble;
                    wait_after_trouble = (wait * 2).min(LONGEST_WAIT);
                    wait
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One activation. Says whether there may be more to do at once. Every entry is tried even when one before it
    /// failed; the first failure is told.
    async fn mirror(&self, ledger: &dyn Ledger) -> Result<bool, StepError> {
        let mut trouble: Option<StepError> = None;
        let mut note = |result: Result<(), StepError>| {
            if let Err(error) = result {
                trouble.get_or_insert(error);
            }
        };
        let operations = self.inner.store.operation_list_not_in_ledger(BATCH).await?;
        for operation in &operations {
            note(self.mirror_operation(ledger, operation).await);
        }
        let deployments = self
            .inner
            .store
            .deployment_list_not_in_ledger(BATCH)
            .await?;
        for deployment in &deployments {
            note(self.mirror_deployment(ledger, deployment).await);
        }
        let heads = self.inner.store.ledger_head_list().await?;
        for service in self.inner.store.service_list().await? {
            let known = heads.iter().find(|head| head.service_id == service.id);
            match known {
                None => note(self.compare(ledger, &service).await.map(|_| ())),
                Some(known) => {
                    let head = head_of(known);
                    let serving = head.as_ref().and_then(|head| head.serving_revision.clone());
                    let later = head.is_none_or(|head| {
                        service.serving_since.unwrap_or(service.observed_at) > head.as_of
                    });
                    if service.serving_revision != serving && later {
                        note(self.append(ledger, &service, &Entry::Head).await);
                    }
                }
            }
        }
        if let Some(error) = trouble {
            return Err(error);
        }
        let more = !operations.is_empty() || !deployments.is_empty();
        let due = if more {
            self.inner.store.ledger_count_due().await?
        } else {
            0
        };
        let refused = self.inner.store.ledger_refused().await?;
        let mut state = lock(&self.inner.ledger_state);
        state.due = due;
        state.trouble =
            refused.map(|(count, why)| format!("{count} deployments are not in the ledger. {why}"));
        if due == 0 {
            state.complete_at = Some(self.clock());
        }
        Ok(due > 0)
    }

    /// The intent of an operation stands in the ledger when this ends, or it is written down that it does not:
    /// a ledger that is out of reach must not keep a rollback from happening.
    pub(crate) async fn intent_to_ledger(&self, record: &OperationRecord) -> Result<(), StepError> {
        let Some(ledger) = self.inner.ledger.get() else {
            return Ok(());
        };
        let written = tokio::time::timeout(INTENT_LIMIT, async {
            loop {
                match self.mirror_operation(&**ledger, record).await {
                    Err(StepError::Cloud(error)) if error.kind != WhatToDo::Never => {
                        lock(&self.inner.ledger_state).trouble = Some(error.to_string());
                        tokio::time::sleep(CONFLICT_WAIT).await;
                    }
                    other => return other,
                }
            }
        })
        .await;
        let why = match written {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.words(),
            Err(_) => lock(&self.inner.ledger_state)
                .trouble
                .clone()
                .unwrap_or_else(|| format!("No answer within {} s", INTENT_LIMIT.as_secs())),
        };
        if record.attempts > 0 {
            return Ok(());
        }
        tracing::warn!(operation.id = %record.id, why, "an operation goes on although its intent is not in the ledger");
        let detail = format!(
            "{why}. The call is made without it; the entry follows when the ledger answers."
        );
        self.tell(
            record,
            AuditEvent::LedgerMissed {
                operation: record.id.clone(),
                detail: detail.clone(),
            },
            format!("The intent could not be written to the ledger: {detail}"),
        )
        .await
    }

    async fn tell(
        &self,
        record: &OperationRecord,
        event: AuditEvent,
        line: String,
    ) -> Result<(), StepError> {
        let now = self.clock();
        let mut tx = self.begin().await?;
        tx.audit_append(&watch::observed(now, event)).await?;
        if let Some(deployment) = &record.deployment_id {
            let data = json!({ "operation": record.id });
            watch::append(
                &mut tx,
                deployment,
                now,
                "operation",
                line,
                Some("switchback"),
                data,
            )
            .await?;
        }
        tx.change_append(
            "operation",
            record.id.as_str(),
            record.deployment_id.as_ref(),
            now,
        )
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn mirror_operation(
        &self,
        ledger: &dyn Ledger,
        record: &OperationRecord,
    ) -> Result<(), StepError> {
        let Some(service) = self.inner.store.service_fetch(&record.service_id).await? else {
            return Ok(());
        };
        let had = self.inner.store.ledger_generation_of(&record.id).await?;
        self.append(ledger, &service, &Entry::Operation(record))
            .await?;
        // The call had begun before the ledger knew of it.
        if had == 0 && record.called_at.is_some() {
            self.tell(
                record,
                AuditEvent::LedgerCaughtUp {
                    operation: record.id.clone(),
                },
                "The ledger has the operation now.".to_string(),
            )
            .await?;
        }
        Ok(())
    }

    async fn mirror_deployment(
        &self,
        ledger: &dyn Ledger,
        record: &DeploymentRecord,
    ) -> Result<(), StepError> {
        let Some(service) = self.inner.store.service_fetch(&record.service_id).await? else {
            return Ok(());
        };
        match self
            .append(ledger, &service, &Entry::Deployment(record))
            .await
        {
            Err(StepError::Cloud(error)) if error.code == ENTRY_TOO_LARGE => {
                tracing::error!(deployment.id = %record.id, %error, "a deployment cannot be kept in the ledger");
                let outcome = record.standing.outcome.word();
                let mut tx = self.begin().await?;
                tx.ledger_has_deployment(&record.id, outcome, Some(&error.message))
                    .await?;
                tx.commit().await?;
                Ok(())
            }
            other => other,
        }
    }

    /// What the ledger knows of a service that the database sees for the first time; `None` when it does not answer
    /// soon enough. Then the two are compared later.
    pub(crate) async fn ledger_remembers(&self, service: &Service) -> Option<LedgerPartition> {
        let ledger = self.inner.ledger.get()?;
        let key = entries::service(service);
        match tokio::time::timeout(RESTORE_LIMIT, ledger.partition(&key)).await {
            Ok(Ok(partition)) => Some(partition),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    service.id = %service.id,
                    "what the ledger knows of a new service could not be read; it is compared later"
                );
                None
            }
            Err(_) => None,
        }
    }

    /// Takes over from the ledger what the database does not have, and remembers the head. From here on the mirror writes.
    async fn compare(
        &self,
        ledger: &dyn Ledger,
        service: &Service,
    ) -> Result<LedgerHeadRecord, StepError> {
        let partition = ledger.partition(&entries::service(service)).await?;
        let mut tx = self.begin().await?;
        let head = restore::restore(&mut tx, service, &partition, self.clock(), false).await?;
        tx.commit().await?;
        Ok(head)
    }

    /// Takes over in the transaction that records the service, before anything else is recorded of it.
    pub(crate) async fn restore_new(
        &self,
        tx: &mut switchback_store::Tx,
        service: &Service,
        partition: &LedgerPartition,
        now: Moment,
    ) -> Result<(), StepError> {
        restore::restore(tx, service, partition, now, true)
            .await
            .map(|_| ())
    }

    /// Writes one entry with the head that goes with it, and remembers that it stands there.
    async fn append(
        &self,
        ledger: &dyn Ledger,
        service: &Service,
        entry: &Entry<'_>,
    ) -> Result<(), StepError> {
        let key = entries::service(service);
        let mut known = match self.inner.store.ledger_head_fetch(&service.id).await? {
            Some(known) => known,
            None => self.compare(ledger, service).await?,
        };
        let served = self.inner.store.served_list(&service.id).await?;
        let standing = entries::standing(service, &served);
        let mut draft = self.draft(service, entry).await?;
        for _ in 0..TRIES {
            let before = head_of(&known);
            let active = self
                .active_operation(service, entry, before.as_ref())
                .await?;
            let recorded = i64::try_from(draft.revisions.len()).unwrap_or_default();
            let name = [(self.inner.random)(), (self.inner.random)()]
                .map(hex_of)
                .concat();
            let head = entries::next_head(&standing, active, before.as_ref(), recorded, name);
            for (index, revision) in (0_i64..).zip(&mut draft.revisions) {
                revision.sequence = head.sequence - recorded + index + 1;
            }
            let write = LedgerWrite {
                head: head.clone(),
                ..draft.clone()
            };
            match ledger.write(&key, &write).await {
                Ok(LedgerWritten::Done) => {
                    return self.remember(service, Some(head), entry).await;
                }
                Ok(LedgerWritten::HeadMoved) => {
                    let theirs = ledger.head(&key).await?;
                    if let Some(theirs) = &theirs {
                        let members = entries::head_differences(&standing, theirs);
                        if !members.is_empty() {
                            let kept = if theirs.as_of > standing.as_of {
                                "ledger"
                            } else {
                                "database"
                            };
                            self.differ(service, "head", members, kept).await?;
                        }
                    }
                    known = seen(&service.id, theirs);
                }
                Ok(LedgerWritten::RecordedAlready) => {
                    let partition = ledger.partition(&key).await?;
                    self.drop_recorded(service, &mut draft, &partition).await?;
                    known = seen(&service.id, partition.head);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Cloud(CloudError {
            operation: "dynamodb:TransactWriteItems".to_string(),
            kind: WhatToDo::Retry,
            code: "HeadMoved".to_string(),
            message: format!("The head of {key} moved {TRIES} times while it was being written"),
            request_id: None,
        }))
    }

    /// What is to be written for an entry, before it is known what stands there; the head in it is made for each try.
    async fn draft(&self, service: &Service, entry: &Entry<'_>) -> Result<LedgerWrite, StepError> {
        let mut draft = LedgerWrite {
            head: LedgerHead {
                version: 0,
                sequence: 0,
                serving_revision: None,
                previous_revision: None,
                active_operation: None,
                as_of: service.observed_at,
                write_id: String::new(),
            },
            revisions: Vec::new(),
            outcome: None,
            intent: None,
        };
        match entry {
            Entry::Head => {}
            Entry::Operation(record) => draft.intent = Some(entries::intent(record)),
            Entry::Deployment(record) => {
                if let Some(found) = self.unrecorded_previous(record).await? {
                    draft
                        .revisions
                        .push(entries::found(&found, record.started_at, 0));
                }
                let target = match &record.target_revision {
                    Some(arn) => self.inner.store.revision_fetch(arn).await?,
                    None => None,
                };
                let rollback_of = match &record.rollback_of {
                    Some(id) => self
                        .inner
                        .store
                        .deployment_fetch(id)
                        .await?
                        .map(|original| original.aws_id),
                    None => None,
                };
                let revision =
                    entries::deployment(record, service, target.as_ref(), rollback_of, 0);
                // A transaction names each entry once: the end of one that is not there yet follows by itself.
                let had = self.inner.store.ledger_outcome_of(&record.id).await?;
                match (had, entries::outcome(record)) {
                    (Some(_), Some(outcome)) => draft.outcome = Some((revision, outcome)),
                    (Some(_), None) => {}
                    (None, _) => draft.revisions.push(revision),
                }
            }
        }
        Ok(draft)
    }

    /// The revision that a deployment replaces, when no recorded deployment brought it.
    async fn unrecorded_previous(
        &self,
        record: &DeploymentRecord,
    ) -> Result<Option<Revision>, StepError> {
        let Some(previous) = &record.previous_revision else {
            return Ok(None);
        };
        let query = DeploymentQuery {
            service: Some(record.service_id.clone()),
            to: Some(record.started_at),
            limit: EARLIER,
            ..DeploymentQuery::default()
        };
        let earlier = self.inner.store.deployment_list(&query).await?;
        let brought =
            |earlier: &DeploymentRecord| earlier.target_revision.as_ref() == Some(previous);
        if earlier.iter().any(brought) {
            return Ok(None);
        }
        Ok(self.inner.store.revision_fetch(previous).await?)
    }

    /// The operation that a service's head names: ours that has not ended, or another's that we know nothing of.
    async fn active_operation(
        &self,
        service: &Service,
        entry: &Entry<'_>,
        before: Option<&LedgerHead>,
    ) -> Result<Option<switchback_domain::ids::OperationId>, StepError> {
        let ended = |record: &OperationRecord| {
            matches!(record.state, OperationState::Done | OperationState::Failed)
        };
        if let Entry::Operation(record) = entry
            && !ended(record)
        {
            return Ok(Some(record.id.clone()));
        }
        let latest = self
            .inner
            .store
            .operation_list_by_service(&service.id, 10)
            .await?;
        if let Some(active) = latest.iter().find(|record| !ended(record)) {
            return Ok(Some(active.id.clone()));
        }
        match before.and_then(|before| before.active_operation.clone()) {
            Some(theirs) if self.inner.store.operation_fetch(&theirs).await?.is_none() => {
                Ok(Some(theirs))
            }
            _ => Ok(None),
        }
    }

    /// Takes out of a write what stands in the ledger already, and writes down where that differs.
    async fn drop_recorded(
        &self,
        service: &Service,
        draft: &mut LedgerWrite,
        partition: &LedgerPartition,
    ) -> Result<(), StepError> {
        let mut differing: Vec<(String, Vec<String>)> = Vec::new();
        draft.revisions.retain(|ours| {
            let there = partition
                .revisions
                .iter()
                .find(|(theirs, _)| theirs.key() == ours.key());
            if let Some((theirs, _)) = there {
                let members = entries::differences(theirs, ours);
                if !members.is_empty() {
                    differing.push((ours.key(), members));
                }
            }
            there.is_none()
        });
        if let Some((revision, outcome)) = &draft.outcome {
            let there = partition
                .revisions
                .iter()
                .find(|(theirs, _)| theirs.key() == revision.key());
            match there {
                Some((_, Some(theirs))) if theirs.seen_at >= outcome.seen_at => {
                    if theirs.outcome != outcome.outcome {
                        let member = format!(
                            "outcome: {} there, {} here",
                            theirs.outcome.word(),
                            outcome.outcome.word()
                        );
                        differing.push((revision.key(), vec![member]));
                    }
                    draft.outcome = None;
                }
                Some(_) => {}
                // It was taken out of the ledger by hand: it is written again, its end with the next activation.
                None => {
                    draft.revisions.push(revision.clone());
                    draft.outcome = None;
                }
            }
        }
        if let Some(intent) = &draft.intent {
            let there = partition
                .intents
                .iter()
                .find(|theirs| theirs.operation == intent.operation);
            if let Some(theirs) = there.filter(|theirs| theirs.generation >= intent.generation) {
                if theirs.state != intent.state {
                    let member = format!(
                        "state: {} there, {} here",
                        theirs.state.word(),
                        intent.state.word()
                    );
                    differing.push((intent.operation.to_string(), vec![member]));
                }
                draft.intent = None;
            }
        }
        for (entry, members) in differing {
            self.differ(service, &entry, members, "ledger").await?;
        }
        Ok(())
    }

    async fn differ(
        &self,
        service: &Service,
        entry: &str,
        members: Vec<String>,
        kept: &str,
    ) -> Result<(), StepError> {
        tracing::warn!(service.id = %service.id, entry, ?members, kept, "the ledger and the database differ");
        let now = self.clock();
        let mut tx = self.begin().await?;
        tx.audit_append(&watch::observed(
            now,
            AuditEvent::LedgerDiffered {
                service: service.id.clone(),
                entry: entry.to_string(),
                members,
                kept: kept.to_string(),
            },
        ))
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Writes down that the ledger has an entry, and the head it has now.
    async fn remember(
        &self,
        service: &Service,
        head: Option<LedgerHead>,
        entry: &Entry<'_>,
    ) -> Result<(), StepError> {
        let mut tx = self.begin().await?;
        tx.ledger_head_set(&seen(&service.id, head)).await?;
        match entry {
            Entry::Head => {}
            Entry::Operation(record) => {
                tx.ledger_has_operation(&record.id, record.generation)
                    .await?;
            }
            Entry::Deployment(record) => {
                // What was written first is that it began; its end is the next write.
                let had = self.inner.store.ledger_outcome_of(&record.id).await?;
                let outcome = match had {
                    Some(_) => record.standing.outcome,
                    None => Outcome::InProgress,
                };
                tx.ledger_has_deployment(&record.id, outcome.word(), None)
                    .await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }
}

fn hex_of(bytes: [u8; 8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn seen(service: &ServiceId, head: Option<LedgerHead>) -> LedgerHeadRecord {
    LedgerHeadRecord {
        service_id: service.clone(),
        version: head.as_ref().map_or(0, |head| head.version),
        head: head.map_or(Value::Null, |head| json!(head)),
    }
}

fn head_of(known: &LedgerHeadRecord) -> Option<LedgerHead> {
    serde_json::from_value(known.head.clone()).ok()
}
