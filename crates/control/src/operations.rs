//! Operations: rollbacks, and ends of bakes, that were asked for are carried out, exactly once or visibly unknown.
//!
//! The intent is committed with everything the call needs. Then: the state *calling* is committed, the
//! call is made once without retries, its answer is committed. Whoever finds an operation in *calling*
//! or *unknown* asks AWS before anything else: CreateDeployment has no idempotency token, but the
//! description carries the operation's marker (aws.md §0.1). Only when AWS, after long enough, lists no
//! such deployment is the call made again. Before AWS has answered this process once, nothing is carried
//! out: how long ago a call was begun is told by the account's clock. What is different where ECS itself deploys is
//! in [`ecs`].

pub(crate) mod ecs;

use crate::Control;
use crate::error::StepError;
use crate::operations::ecs::Updated;
use crate::watch;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use switchback_cloud::Cloud;
use switchback_cloud::CloudError;
use switchback_cloud::DeploymentReading;
use switchback_cloud::DeploymentWait;
use switchback_cloud::NewDeployment;
use switchback_cloud::WhatToDo;
use switchback_domain::actor::Actor;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::audit::AwsCall;
use switchback_domain::deployment::AwsStatus;
use switchback_domain::deployment::Outcome;
use switchback_domain::ecs::is_service_deployment;
use switchback_domain::ids::DeploymentId;
use switchback_domain::moment::Moment;
use switchback_domain::operation;
use switchback_domain::operation::OperationEvent;
use switchback_domain::operation::OperationKind;
use switchback_domain::operation::OperationState;
use switchback_domain::operation::update_service::UpdateIntent;
use switchback_domain::operation::update_service::UpdateShown;
use switchback_domain::operation::update_service::WHOSE_IT_IS;
use switchback_store::records::OperationRecord;

/// What the call of an operation needs, fixed when the intent is committed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OperationCall {
    /// The region it goes to.
    pub(crate) region: String,
    /// The AWS id of the deployment that is stopped or rejected, or whose bake is ended.
    pub(crate) deployment_aws_id: Option<String>,
    /// What is created.
    pub(crate) new: Option<NewDeploymentCall>,
    /// How a service of ECS is moved.
    #[serde(default)]
    pub(crate) update: Option<UpdateIntent>,
    /// The deployment (our id) that is undone by it.
    pub(crate) undoes: Option<String>,
}

/// The members of CreateDeployment, as they are sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NewDeploymentCall {
    pub(crate) application: String,
    pub(crate) group: String,
    pub(crate) config_name: String,
    pub(crate) description: String,
    pub(crate) app_spec: String,
}

/// How far before the call AWS is asked for a deployment with the marker: clocks differ a little.
const LOOK_BACK_SECONDS: i64 = 120;

/// What AWS showed about a call whose answer is not known.
enum Shown {
    /// It had its effect: AWS's id.
    Effect(String),
    /// It had none.
    NoEffect,
    /// It had an effect, as far as can be told: AWS's id, and what is not known of it.
    InDoubt(String, String),
    /// It had none and can have none any more, and why.
    Over(String),
    /// Too early to tell.
    TooEarly,
}

impl Control {
    /// Does what is due for every operation that has not ended.
    pub(crate) async fn carry_out_operations(&self) {
        let operations = match self.inner.store.operation_list_unfinished().await {
            Ok(operations) => operations,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "unfinished operations could not be read"
                );
                return;
            }
        };
        for operation in operations {
            let Some(claim) = self.claim(operation.id.as_str()) else {
                continue;
            };
            let (control, attempts) = (self.clone(), operation.attempts);
            let span = tracing::info_span!(
                "operation",
                operation.id = %operation.id,
                operation.kind = operation.kind.word(),
            );
            self.spawn_work(claim, span, async move {
                let id = operation.id.clone();
                if let Err(error) = control.carry_out(operation).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, operation.id = %id, "an operation is not carried out yet");
                    control.pause(attempts).await;
                }
            });
        }
    }

    async fn carry_out(&self, listed: OperationRecord) -> Result<(), StepError> {
        // The list may be older than what another activation has done since.
        let Some(record) = self.inner.store.operation_fetch(&listed.id).await? else {
            return Ok(());
        };
        let Ok(call) = serde_json::from_value::<OperationCall>(record.call.clone()) else {
            tracing::error!(operation.id = %record.id, "an operation's call cannot be read; it is left for a person");
            return Ok(());
        };
        let Some(service) = self.inner.store.service_fetch(&record.service_id).await? else {
            return Ok(());
        };
        let Some(cloud) = self.cloud_of(&service.account, &call.region) else {
            return Ok(());
        };
        match record.state {
            OperationState::Intended => self.call(&*cloud, &service.account, record, &call).await,
            OperationState::Calling | OperationState::Unknown => {
                self.look_for_effect(&*cloud, record, &call).await
            }
            OperationState::Submitted => self.look_for_end(record).await,
            OperationState::Done | OperationState::Failed => Ok(()),
        }
    }

    /// Makes the call, once.
    async fn call(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        mut record: OperationRecord,
        call: &OperationCall,
    ) -> Result<(), StepError> {
        let age = cloud.now().millis_since(record.created_at);
        if age > operation::INTENT_LIFETIME_SECONDS * 1000 {
            // An earlier call that AWS did not show in time may be shown now.
            if record.attempts > 0 {
                match self.shown_effect(cloud, &record, call).await? {
                    Shown::Effect(aws_id) => return self.found(record, aws_id, None).await,
                    Shown::InDoubt(aws_id, doubt) => {
                        return self.found(record, aws_id, Some(doubt)).await;
                    }
                    Shown::NoEffect | Shown::Over(_) | Shown::TooEarly => {}
                }
            }
            let detail = "It could not be sent within 15 minutes, and the plan may no longer hold. Nothing was changed. Ask again.";
            return self
                .moved(
                    &mut record,
                    OperationEvent::Abandon,
                    Some(detail.to_string()),
                )
                .await;
        }
        if let Some(intent) = &call.update
            && let Some(why) = self.overtaken(cloud, intent).await?
        {
            return self
                .moved(&mut record, OperationEvent::Abandon, Some(why))
                .await;
        }
        // The intent outside of the database too, so that another can see what was about to happen.
        self.intent_to_ledger(&record).await?;
        record.called_at = Some(cloud.now());
        record.attempts += 1;
        self.moved(&mut record, OperationEvent::Call, None).await?;
        let answer = self.send(cloud, &record, call).await;
        let request_id = match &answer {
            Ok((_, request_id)) => request_id.clone(),
            Err(error) => error.request_id.clone(),
        };
        let aws = aws_call(account, &record, call, request_id);
        match answer {
            Ok((Some(aws_id), request_id)) => {
                let detail = match (&aws_id, request_id) {
                    (Some(aws_id), Some(request)) => format!("{aws_id}, AWS request {request}"),
                    (None, Some(request)) => format!("AWS request {request}"),
                    (aws_id, None) => aws_id.clone().unwrap_or_default(),
                };
                record.aws_id = aws_id;
                self.moved_by(
                    &mut record,
                    OperationEvent::Accepted,
                    Some(detail),
                    Some(aws),
                )
                .await?;
            }
            Ok((None, _)) => {
                let detail = "AWS accepted the call, but began no deployment: the service is where it was. Nothing was changed.";
                self.moved_by(
                    &mut record,
                    OperationEvent::Refused,
                    Some(detail.to_string()),
                    Some(aws),
                )
                .await?;
            }
            Err(error) => match error.kind {
                // AWS throttled or was not reached: nothing happened, and the next activation calls again.
                WhatToDo::Retry => {
                    let detail = Some(error.to_string());
                    self.moved_by(&mut record, OperationEvent::Absent, detail, Some(aws))
                        .await?;
                    return Err(error.into());
                }
                WhatToDo::Unknown => {
                    let detail = Some(error.to_string());
                    self.moved_by(&mut record, OperationEvent::Lost, detail, Some(aws))
                        .await?;
                }
                WhatToDo::Never => self.refused(cloud, &mut record, call, &error, aws).await?,
            },
        }
        self.inner.wake_watch.notify_waiters();
        Ok(())
    }

    /// A refusal may come from our own earlier call having had its effect ("already has an active deployment",
    /// "already completed"): AWS is asked before the operation is called failed, for as long as it takes AWS to show it.
    async fn refused(
        &self,
        cloud: &dyn Cloud,
        record: &mut OperationRecord,
        call: &OperationCall,
        error: &CloudError,
        aws: AwsCall,
    ) -> Result<(), StepError> {
        // UpdateService is never refused for what an earlier one did, and what another began is not ours.
        let certain = call.update.is_some() && record.attempts <= 1;
        let shown = loop {
            if certain {
                break Shown::NoEffect;
            }
            match self.shown_effect(cloud, record, call).await? {
                Shown::TooEarly if record.attempts > 1 => {
                    if let Some(aws_id) = self.named_in(cloud, record, error).await? {
                        break Shown::Effect(aws_id);
                    }
                    self.pause(0).await;
                }
                shown => break shown,
            }
        };
        let (aws_id, detail) = match shown {
            Shown::Effect(aws_id) => (Some(aws_id.clone()), aws_id),
            Shown::InDoubt(aws_id, doubt) => (Some(aws_id), doubt),
            Shown::NoEffect | Shown::Over(_) | Shown::TooEarly => (None, String::new()),
        };
        if aws_id.is_some() {
            record.aws_id = aws_id;
            return self
                .moved_by(record, OperationEvent::Accepted, Some(detail), Some(aws))
                .await;
        }
        let detail = format!("AWS refused: {error}. Nothing was changed.");
        self.moved_by(record, OperationEvent::Refused, Some(detail), Some(aws))
            .await
    }

    /// The deployment that a refusal names as the one in the way, when it carries the operation's own marker: AWS knows
    /// it by its id before it lists it.
    async fn named_in(
        &self,
        cloud: &dyn Cloud,
        record: &OperationRecord,
        error: &CloudError,
    ) -> Result<Option<String>, StepError> {
        if record.kind != OperationKind::Redeploy || ecs::intent_of(record).is_some() {
            return Ok(None);
        }
        let named: Vec<String> = deployment_ids_in(&error.message);
        if named.is_empty() {
            return Ok(None);
        }
        let readings = cloud.deployments(&named).await?;
        Ok(marked(readings, record))
    }

    async fn found(
        &self,
        mut record: OperationRecord,
        aws_id: String,
        doubt: Option<String>,
    ) -> Result<(), StepError> {
        record.aws_id = Some(aws_id.clone());
        let detail = doubt.unwrap_or(aws_id);
        self.moved(&mut record, OperationEvent::Found, Some(detail))
            .await?;
        self.inner.wake_watch.notify_waiters();
        Ok(())
    }

    /// Sends it. Gives AWS's id of what it began or ended, in case that is told, and AWS's request id; the outer `None`
    /// says that AWS accepted a call that changed nothing.
    async fn send(
        &self,
        cloud: &dyn Cloud,
        record: &OperationRecord,
        call: &OperationCall,
    ) -> Result<(Option<Option<String>>, Option<String>), CloudError> {
        if let (OperationKind::Redeploy, Some(intent)) = (record.kind, &call.update) {
            let (updated, request_id) = self.send_update(cloud, intent).await?;
            let began = match updated {
                Updated::Began(aws_id) => Some(aws_id),
                Updated::Nothing => None,
            };
            return Ok((began, request_id));
        }
        match (record.kind, &call.new, &call.deployment_aws_id) {
            (OperationKind::Redeploy, Some(new), _) => {
                let new = NewDeployment {
                    application: new.application.clone(),
                    group: new.group.clone(),
                    config_name: new.config_name.clone(),
                    description: new.description.clone(),
                    app_spec: new.app_spec.clone(),
                };
                cloud
                    .create_deployment(&new)
                    .await
                    .map(|(aws_id, receipt)| (Some(Some(aws_id)), receipt.request_id))
            }
            (OperationKind::StopInFlight | OperationKind::RejectAtGate, _, Some(aws_id)) => {
                let receipt = match is_service_deployment(aws_id) {
                    true => cloud.stop_service_deployment(aws_id).await?,
                    false => cloud.stop_and_roll_back(aws_id).await?,
                };
                Ok((Some(Some(aws_id.clone())), receipt.request_id))
            }
            (OperationKind::EndBake, _, Some(aws_id)) => {
                let receipt = cloud
                    .continue_deployment(aws_id, DeploymentWait::Termination)
                    .await?;
                Ok((Some(Some(aws_id.clone())), receipt.request_id))
            }
            (OperationKind::Redeploy, None, _)
            | (
                OperationKind::StopInFlight | OperationKind::RejectAtGate | OperationKind::EndBake,
                _,
                None,
            ) => Err(CloudError {
                operation: record.kind.word().to_string(),
                kind: WhatToDo::Never,
                code: "Malformed".to_string(),
                message: "The recorded intent lacks what its call needs.".to_string(),
                request_id: None,
            }),
        }
    }

    /// Asks AWS whether a call whose answer is not known had its effect.
    async fn look_for_effect(
        &self,
        cloud: &dyn Cloud,
        mut record: OperationRecord,
        call: &OperationCall,
    ) -> Result<(), StepError> {
        match self.shown_effect(cloud, &record, call).await? {
            Shown::Effect(aws_id) => self.found(record, aws_id, None).await,
            Shown::InDoubt(aws_id, doubt) => self.found(record, aws_id, Some(doubt)).await,
            Shown::Over(detail) => {
                self.moved(&mut record, OperationEvent::Refused, Some(detail))
                    .await
            }
            Shown::NoEffect => {
                self.moved(
                    &mut record,
                    OperationEvent::Absent,
                    Some("AWS shows no effect of the first call.".to_string()),
                )
                .await
            }
            Shown::TooEarly => {
                self.pause(0).await;
                Ok(())
            }
        }
    }

    async fn shown_effect(
        &self,
        cloud: &dyn Cloud,
        record: &OperationRecord,
        call: &OperationCall,
    ) -> Result<Shown, StepError> {
        if let (OperationKind::Redeploy, Some(intent)) = (record.kind, &call.update) {
            return Ok(match self.update_shown(cloud, record, intent).await? {
                UpdateShown::Begun(aws_id, count) => {
                    let among = match count {
                        1 => String::new(),
                        more => format!(" It is the first of {more}."),
                    };
                    let doubt = format!(
                        "A deployment to {} began after the call: {aws_id}.{among} {WHOSE_IT_IS}",
                        intent.task_definition.short()
                    );
                    Shown::InDoubt(aws_id, doubt)
                }
                UpdateShown::Absent => Shown::NoEffect,
                UpdateShown::Overtaken => Shown::Over(format!(
                    "The answer to the call was lost and it had no effect; since then something else has moved {}. Nothing was changed by it. Read the plan again.",
                    intent.service
                )),
                UpdateShown::TooEarly => Shown::TooEarly,
            });
        }
        if let Some(aws_id) = call
            .deployment_aws_id
            .as_ref()
            .filter(|aws_id| is_service_deployment(aws_id))
        {
            return self.stop_shown(cloud, record, aws_id).await;
        }
        let called_at = record.called_at.unwrap_or(record.created_at);
        let found = match (record.kind, &call.new, &call.deployment_aws_id) {
            (OperationKind::Redeploy, Some(new), _) => {
                // From before the first of its calls, whichever of them had the effect.
                let since = record.created_at.plus_seconds(-LOOK_BACK_SECONDS);
                let ids = cloud
                    .deployment_ids(Some((&new.application, &new.group)), Some(since))
                    .await?;
                marked(cloud.deployments(&ids).await?, record)
            }
            (OperationKind::EndBake, _, Some(aws_id)) => {
                let readings = cloud.deployments(std::slice::from_ref(aws_id)).await?;
                match readings.first().map(|reading| reading.reading.status) {
                    Some(AwsStatus::Succeeded) => Some(aws_id.clone()),
                    Some(AwsStatus::Stopped | AwsStatus::Failed) => {
                        return Ok(Shown::Over(format!(
                            "The deployment {aws_id} had been stopped before its bake could be ended. Nothing was changed."
                        )));
                    }
                    Some(AwsStatus::Running | AwsStatus::Ready | AwsStatus::Unknown) | None => None,
                }
            }
            (_, _, Some(aws_id)) => {
                let readings = cloud.deployments(std::slice::from_ref(aws_id)).await?;
                match readings.first().map(|reading| reading.reading.status) {
                    Some(AwsStatus::Stopped | AwsStatus::Failed) => Some(aws_id.clone()),
                    Some(AwsStatus::Succeeded) => {
                        return Ok(Shown::Over(format!(
                            "The deployment {aws_id} had succeeded before it could be stopped. Nothing was changed."
                        )));
                    }
                    Some(AwsStatus::Running | AwsStatus::Ready | AwsStatus::Unknown) | None => None,
                }
            }
            (_, _, None) => None,
        };
        let grace = match record.kind {
            OperationKind::Redeploy => operation::LISTING_GRACE_SECONDS,
            OperationKind::StopInFlight | OperationKind::RejectAtGate => {
                operation::STOP_GRACE_SECONDS
            }
            OperationKind::EndBake => operation::END_BAKE_GRACE_SECONDS,
        };
        Ok(match found {
            Some(aws_id) => Shown::Effect(aws_id),
            None if cloud.now().millis_since(called_at) >= grace * 1000 => Shown::NoEffect,
            None => Shown::TooEarly,
        })
    }

    /// Ends an operation when the deployment it began, stopped or rejected has ended.
    async fn look_for_end(&self, mut record: OperationRecord) -> Result<(), StepError> {
        let deployment = match (&record.deployment_id, &record.aws_id) {
            (Some(id), _) if record.kind != OperationKind::Redeploy => {
                self.inner.store.deployment_fetch(id).await?
            }
            (_, Some(aws_id)) => self.inner.store.deployment_find(aws_id).await?,
            (_, None) => None,
        };
        let Some(deployment) = deployment else {
            if record.aws_id.is_none() {
                self.name_what_began(&mut record).await?;
            }
            self.pause(0).await;
            return Ok(());
        };
        let good = match record.kind {
            OperationKind::Redeploy | OperationKind::EndBake => Outcome::Succeeded,
            OperationKind::StopInFlight | OperationKind::RejectAtGate => Outcome::RolledBack,
        };
        let outcome = deployment.standing.outcome;
        if record.kind == OperationKind::Redeploy && record.deployment_id.is_none() {
            record.deployment_id = Some(deployment.id.clone());
            let mut tx = self.begin().await?;
            self.attribute(&mut tx, &record, &deployment).await?;
            record.generation = tx.operation_update(&record).await?;
            tx.commit().await?;
        }
        if outcome == good {
            self.moved(&mut record, OperationEvent::Finished, None)
                .await
        } else if outcome.is_final() {
            let detail = format!(
                "The deployment {} ended as {}.",
                deployment.aws_id,
                outcome.word()
            );
            self.moved(&mut record, OperationEvent::Broken, Some(detail))
                .await
        } else {
            self.pause(0).await;
            Ok(())
        }
    }

    /// Moves an operation and writes it with its audit entry. A lost race is an error; the next activation sees the winner's state.
    async fn moved(
        &self,
        record: &mut OperationRecord,
        event: OperationEvent,
        detail: Option<String>,
    ) -> Result<(), StepError> {
        self.moved_by(record, event, detail, None).await
    }

    /// The same by AWS's answer to a call, which the audit entry tells where to find in CloudTrail.
    async fn moved_by(
        &self,
        record: &mut OperationRecord,
        event: OperationEvent,
        detail: Option<String>,
        aws: Option<AwsCall>,
    ) -> Result<(), StepError> {
        let state = match operation::operation_after(record.state, event) {
            Ok(state) => state,
            Err(refused) => {
                tracing::error!(operation.id = %record.id, %refused, "an operation was to move where it cannot");
                return Ok(());
            }
        };
        let now = self.clock();
        record.state = state;
        if detail.is_some() {
            record.detail = detail.clone();
        }
        let mut tx = self.begin().await?;
        record.generation = tx.operation_update(record).await?;
        let mut entry = watch::observed(
            now,
            AuditEvent::OperationMoved {
                operation: record.id.clone(),
                state,
                detail,
            },
        );
        entry.context.aws = aws;
        tx.audit_append(&entry).await?;
        if let Some(deployment) = &record.deployment_id {
            let text = moved_words(record);
            watch::append(
                &mut tx,
                deployment,
                now,
                "operation",
                text,
                Some("switchback"),
                json!({ "operation": record.id, "state": state }),
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
}

/// The call of an operation as CloudTrail will have it.
fn aws_call(
    account: &str,
    record: &OperationRecord,
    call: &OperationCall,
    request_id: Option<String>,
) -> AwsCall {
    let ecs = match (record.kind, &call.deployment_aws_id) {
        (OperationKind::Redeploy, _) => call.update.is_some(),
        (_, Some(aws_id)) => is_service_deployment(aws_id),
        (_, None) => false,
    };
    let (event_source, event_name) = match (record.kind, ecs) {
        (OperationKind::Redeploy, true) => (AwsCall::ECS, "UpdateService"),
        (OperationKind::Redeploy, false) => (AwsCall::CODEDEPLOY, "CreateDeployment"),
        (OperationKind::EndBake, _) => (AwsCall::CODEDEPLOY, "ContinueDeployment"),
        (OperationKind::StopInFlight | OperationKind::RejectAtGate, true) => {
            (AwsCall::ECS, "StopServiceDeployment")
        }
        (OperationKind::StopInFlight | OperationKind::RejectAtGate, false) => {
            (AwsCall::CODEDEPLOY, "StopDeployment")
        }
    };
    AwsCall {
        event_source: event_source.to_string(),
        event_name: event_name.to_string(),
        account: account.to_string(),
        region: call.region.clone(),
        request_id,
        at: record.called_at.unwrap_or(record.created_at),
    }
}

/// The deployment that carries the operation's marker.
fn marked(readings: Vec<DeploymentReading>, record: &OperationRecord) -> Option<String> {
    readings.into_iter().find_map(|reading| {
        let (marked, _) = operation::marker(reading.description.as_deref()?)?;
        (marked == record.id).then_some(reading.aws_id)
    })
}

/// The ids of deployments that a text of AWS's names: `d-` and nine letters or digits.
fn deployment_ids_in(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-')
        .filter(|word| word.len() == 11 && word.starts_with("d-"))
        .map(str::to_string)
        .collect()
}

fn moved_words(record: &OperationRecord) -> String {
    let what = match record.kind {
        OperationKind::RejectAtGate => "The rejection",
        OperationKind::StopInFlight => "The stop with rollback",
        OperationKind::Redeploy => "The redeployment",
        OperationKind::EndBake => "The end of the bake",
    };
    let how = match record.state {
        OperationState::Intended => "is recorded and waits to be sent",
        OperationState::Calling => "is being sent to AWS",
        OperationState::Submitted => "was accepted by AWS",
        OperationState::Done => "is done",
        OperationState::Failed => "failed",
        OperationState::Unknown => {
            "was sent, but not confirmed. Do not repeat it; AWS is being asked"
        }
    };
    match (&record.detail, record.state) {
        (Some(detail), OperationState::Failed | OperationState::Unknown) => {
            format!("{what} {how}: {detail}")
        }
        _ => format!("{what} {how}."),
    }
}

/// The intent's own entries: the operation, its audit entry and a line on the deployment it acts on.
pub(crate) async fn record_intent(
    tx: &mut switchback_store::Tx,
    actor: &Actor,
    record: &OperationRecord,
    plan: switchback_domain::digest::Digest,
    now: Moment,
) -> Result<(), StepError> {
    tx.operation_insert(record).await?;
    let event = AuditEvent::OperationIntended {
        operation: record.id.clone(),
        kind: record.kind,
        service: record.service_id.clone(),
        target_revision: record.target_revision.clone(),
        plan,
    };
    tx.audit_append(&AuditEntry {
        reason: Some(record.reason.clone()),
        ..AuditEntry::of(now, actor, event)
    })
    .await?;
    let on: Option<&DeploymentId> = record.deployment_id.as_ref();
    if let Some(deployment) = on {
        let verb = match record.kind {
            OperationKind::RejectAtGate => "asked to reject and roll back",
            OperationKind::StopInFlight => "asked to stop and roll back",
            OperationKind::Redeploy => "asked to redeploy",
            OperationKind::EndBake => "asked to end the bake",
        };
        let text = format!("{} {verb}: “{}”", record.actor, record.reason);
        watch::append(
            tx,
            deployment,
            now,
            "operation",
            text,
            Some(&record.actor),
            Value::Null,
        )
        .await?;
    }
    tx.change_append("operation", record.id.as_str(), on, now)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_deployment_in_the_way() {
        let text =
            "The Deployment Group 'web-group' already has an active Deployment 'd-ABC123DEF'";
        assert_eq!(deployment_ids_in(text), ["d-ABC123DEF"]);
        assert_eq!(
            deployment_ids_in("AccessDenied: d-, d-1, id-ABC123DEF"),
            [""; 0]
        );
    }
}
