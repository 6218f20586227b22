//! Gates: hooks become gates, fuses burn out, verdicts are delivered.
//!
//! A verdict is committed before AWS is told. The delivery is found in the store by whoever looks next,
//! so it survives the death of the process at any point. Telling AWS twice is harmless: the second
//! answer to a hook is refused with LifecycleEventAlreadyCompletedException, and then the lifecycle
//! shows what the first one did (aws.md §1.2).

mod delivery;
mod function;
pub(crate) mod pause;

pub use crate::gates::function::FunctionAnswer;
pub use crate::gates::function::FunctionRun;

use crate::Control;
use crate::error::StepError;
use crate::error::store_refusal;
use crate::evidence;
use crate::gates::delivery::delivery_event;
use crate::gates::delivery::move_delivery;
use crate::gates::delivery::save_delivery;
use crate::watch;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use switchback_cloud::Cloud;
use switchback_cloud::CloudError;
use switchback_cloud::DeploymentReading;
use switchback_cloud::DeploymentWait;
use switchback_cloud::WhatToDo;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_domain::actor::Actor;
use switchback_domain::appspec;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::audit::AwsCall;
use switchback_domain::deployment::AwsStatus;
use switchback_domain::deployment::StageStatus;
use switchback_domain::digest::Digest;
use switchback_domain::gate;
use switchback_domain::gate::Delivery;
use switchback_domain::gate::DeliveryEvent;
use switchback_domain::gate::GateEvent;
use switchback_domain::gate::GateKind;
use switchback_domain::gate::GateState;
use switchback_domain::gate::Verdict;
use switchback_domain::ids::GateId;
use switchback_domain::moment::Moment;
use switchback_domain::operation;
use switchback_domain::service::Service;
use switchback_store::StoreError;
use switchback_store::Tx;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::GateRecord;
use switchback_store::records::HookRecord;

/// A hook as the relay posts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookMessage {
    /// `d-XXXXXXXXX`
    pub deployment_aws_id: String,
    /// What AWS must be answered with.
    pub execution_id: String,
}

/// What became of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookReceived {
    /// The gate it opened, once it did.
    pub gate: Option<String>,
    /// `gate`, or `waiting` while AWS could not be asked about it yet.
    pub state: String,
}

/// What AWS names the wait of a ready-wait gate by: a deployment has one.
const READY_WAIT: &str = "ready-wait";

/// The stage's name of a ready-wait gate.
const READY_STAGE: &str = "Ready";

/// How long a hook is kept waiting for its lifecycle event to show, in seconds: AWS's own five minutes to start.
const HOOK_PATIENCE_SECONDS: i64 = 300;

/// What failed is tried again no sooner than this; the pause doubles with every attempt up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A change to a gate that following its deployment brought up.
pub(crate) enum GateChange {
    /// AWS no longer waits, without a verdict of ours.
    Superseded(GateRecord),
    /// What a decision is about has changed.
    Evidence(GateRecord),
    /// AWS waited until its own end, and did then what it was set up to do.
    Expired(GateRecord),
    /// AWS shows how the wait ended.
    Delivered(GateRecord, DeliveryEvent),
    /// A ready-wait or a PAUSE hook began to wait.
    Opened(GateRecord),
}

impl Control {
    // ---- hooks ----------------------------------------------------------------------------------

    pub(crate) async fn take_hook(
        &self,
        hook: HookMessage,
        signature: &str,
    ) -> Result<HookReceived, Refusal> {
        let now = self.clock();
        // While this request opens the gate, the reconciler of waiting hooks keeps its hands off.
        let _claim = self.claim(&hook_claim(&hook.execution_id));
        let mut tx = self.begin().await.map_err(store_refusal)?;
        use_signature(&mut tx, signature, now).await?;
        let record = HookRecord {
            deployment_aws_id: hook.deployment_aws_id.clone(),
            execution_id: hook.execution_id.clone(),
            received_at: now,
            state: "waiting".to_string(),
            detail: None,
        };
        tx.hook_insert(&record).await.map_err(store_refusal)?;
        tx.commit().await.map_err(store_refusal)?;
        match self.open_gate(&record).await {
            Ok(Opened::Gate(gate)) => Ok(HookReceived {
                gate: Some(gate.to_string()),
                state: "gate".to_string(),
            }),
            Ok(Opened::NotYet) => Ok(HookReceived {
                gate: None,
                state: "waiting".to_string(),
            }),
            Ok(Opened::Refused(message)) => Err(Refusal::new(
                RefusalKind::NotFound,
                "deployment_unknown",
                message,
            )),
            Err(error) => {
                // The hook is kept; the reconciler opens the gate as soon as AWS and the database answer.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    deployment.aws_id = hook.deployment_aws_id,
                    "a hook waits to become a gate"
                );
                Ok(HookReceived {
                    gate: None,
                    state: "waiting".to_string(),
                })
            }
        }
    }

    /// Opens the gates of hooks that could not be opened when they came.
    pub(crate) async fn open_waiting_gates(&self) {
        let hooks = match self.inner.store.hook_list_waiting().await {
            Ok(hooks) => hooks,
            Err(error) => return log_store("waiting hooks could not be read", &error),
        };
        for hook in hooks {
            let Some(claim) = self.claim(&hook_claim(&hook.execution_id)) else {
                continue;
            };
            let control = self.clone();
            let span = tracing::info_span!("hook", deployment.aws_id = hook.deployment_aws_id);
            self.spawn_work(claim, span, async move {
                match control.open_gate(&hook).await {
                    Ok(Opened::Gate(_) | Opened::Refused(_)) => {}
                    Ok(Opened::NotYet) => control.pause(0).await,
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            deployment.aws_id = hook.deployment_aws_id,
                            "a hook still waits to become a gate"
                        );
                        control.pause(0).await;
                    }
                }
            });
        }
    }

    async fn open_gate(&self, hook: &HookRecord) -> Result<Opened, StepError> {
        let mut unheard = None;
        // All at once: no account waits for another that is slow.
        let aws_id = std::slice::from_ref(&hook.deployment_aws_id);
        let ask = |cloud: Arc<dyn Cloud>| async move {
            let read = cloud.deployments(aws_id).await;
            (cloud, read)
        };
        let mut answers: FuturesUnordered<_> = self.inner.clouds.iter().cloned().map(ask).collect();
        while let Some((cloud, read)) = answers.next().await {
            match read {
                Ok(readings) => {
                    if let Some(reading) = readings.first() {
                        return self.open_gate_in(&*cloud, hook, reading).await;
                    }
                }
                Err(error) if error.is_missing() => {}
                // It may be another account's or region's.
                Err(error) => {
                    unheard.get_or_insert(error);
                }
            }
        }
        if let Some(error) = unheard {
            return Err(error.into());
        }
        let message = format!(
            "AWS knows no deployment {} in the watched accounts and regions.",
            hook.deployment_aws_id
        );
        self.refuse_hook(hook, &message).await?;
        Ok(Opened::Refused(message))
    }

    async fn open_gate_in(
        &self,
        cloud: &dyn Cloud,
        hook: &HookRecord,
        reading: &DeploymentReading,
    ) -> Result<Opened, StepError> {
        let account = self.account_of(cloud).await?;
        let Some(record) = self.record_one(cloud, &account, reading).await? else {
            let message = format!(
                "Deployment {} is not of an ECS service that Switchback watches.",
                hook.deployment_aws_id
            );
            self.refuse_hook(hook, &message).await?;
            return Ok(Opened::Refused(message));
        };
        let id = GateId::derive(&record.id, &hook.execution_id);
        if self.inner.store.gate_fetch(&id).await?.is_some() {
            match self.mark_hook(hook, "gate", None).await {
                // It was marked when the gate opened.
                Ok(()) | Err(StepError::Store(StoreError::Conflict { .. })) => {}
                Err(error) => return Err(error),
            }
            return Ok(Opened::Gate(id));
        }
        let lifecycle = cloud.lifecycle(&hook.deployment_aws_id).await?;
        // An event that names no function in the AppSpec is nobody's to answer, whoever signed the hook.
        let hooks = record
            .app_spec
            .as_deref()
            .and_then(|text| appspec::parse(text).ok())
            .map(|spec| spec.hooks);
        let named = |name: &str| {
            hooks
                .as_ref()
                .is_none_or(|hooks| hooks.iter().any(|(event, _)| event == name))
        };
        let stage = lifecycle.stages.iter().find(|stage| {
            gate::is_hook_event(&stage.name)
                && stage.status == StageStatus::InProgress
                && named(&stage.name)
        });
        let now = cloud.now();
        let Some(stage) = stage else {
            let over = !matches!(
                reading.reading.status,
                AwsStatus::Running | AwsStatus::Ready
            );
            if over || now.millis_since(hook.received_at) > HOOK_PATIENCE_SECONDS * 1000 {
                let message = format!(
                    "Deployment {} does not wait at a hook (any more).",
                    hook.deployment_aws_id
                );
                self.refuse_hook(hook, &message).await?;
                return Ok(Opened::Refused(message));
            }
            return Ok(Opened::NotYet);
        };
        let wall_at = stage
            .started_at
            .unwrap_or(hook.received_at)
            .plus_seconds(gate::CODEDEPLOY_HOOK_WALL_SECONDS);
        let mut fresh = self
            .inner
            .store
            .deployment_fetch(&record.id)
            .await?
            .unwrap_or(record);
        fresh.reading.stages = lifecycle.stages.clone();
        let policy = self.inner.policy;
        let gate = GateRecord {
            id: id.clone(),
            deployment_id: fresh.id.clone(),
            deployment_aws_id: fresh.aws_id.clone(),
            kind: GateKind::CodedeployHook,
            stage: stage.name.clone(),
            wait: hook.execution_id.clone(),
            state: GateState::Open,
            policy,
            opened_at: now,
            expires_at: gate::fuse_end(&policy, now, wall_at),
            wall_at,
            closed_at: None,
            evidence_digest: evidence::basis(&fresh, &hook.execution_id, &policy).digest(),
            verdict: None,
            delivery: None,
            delivery_detail: None,
            delivery_attempts: 0,
            delivery_called_at: None,
            generation: 1,
        };
        let mut tx = self.begin().await?;
        insert_gate(&mut tx, &gate).await?;
        tx.hook_update(&hook.deployment_aws_id, &hook.execution_id, "gate", None)
            .await?;
        tx.commit().await?;
        // The watcher shows the phase "holding" at its next look; that should be now.
        self.inner.wake_watch.notify_waiters();
        Ok(Opened::Gate(id))
    }

    async fn refuse_hook(&self, hook: &HookRecord, message: &str) -> Result<(), StepError> {
        self.mark_hook(hook, "refused", Some(message)).await
    }

    async fn mark_hook(
        &self,
        hook: &HookRecord,
        state: &str,
        detail: Option<&str>,
    ) -> Result<(), StepError> {
        let mut tx = self.begin().await?;
        tx.hook_update(&hook.deployment_aws_id, &hook.execution_id, state, detail)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    // ---- fuses ----------------------------------------------------------------------------------

    /// Gives the policy's answer at every gate whose fuse has burned out.
    pub(crate) async fn expire_gates(&self) {
        let gates = match self.inner.store.gate_list_open().await {
            Ok(gates) => gates,
            Err(error) => return log_store("open gates could not be read", &error),
        };
        for gate in gates {
            if let Err(error) = self.expire_gate(gate).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a fuse could not be looked at"
                );
            }
        }
    }

    async fn expire_gate(&self, mut gate: GateRecord) -> Result<(), StepError> {
        if gate.kind.is_of_ecs() {
            // ECS itself ends its wait.
            return Ok(());
        }
        let Some(record) = self
            .inner
            .store
            .deployment_fetch(&gate.deployment_id)
            .await?
        else {
            return Ok(());
        };
        // Before AWS has answered once, the clock is the machine's and says nothing about the fuse.
        let Some(cloud) = self.cloud_of(&record.account, &record.region) else {
            return Ok(());
        };
        if cloud.now() < gate.expires_at {
            return Ok(());
        }
        let Ok(state) = gate::gate_after(gate.state, GateEvent::Expire) else {
            return Ok(());
        };
        let now = cloud.now();
        gate.state = state;
        gate.closed_at = Some(now);
        gate.verdict = Some(gate.policy.at_expiry);
        gate.delivery = Some(Delivery::Recorded);
        let mut tx = self.begin().await?;
        match close(&mut tx, &gate, now).await {
            // Somebody decided at the same instant: theirs stands.
            Err(StepError::Store(StoreError::Conflict { .. })) => return Ok(()),
            other => other?,
        }
        tx.commit().await?;
        Ok(())
    }

    // ---- delivery -------------------------------------------------------------------------------

    /// Tells AWS every verdict that it has not answered yet.
    pub(crate) async fn deliver_verdicts(&self) {
        let gates = match self.inner.store.gate_list_undelivered().await {
            Ok(gates) => gates,
            Err(error) => return log_store("undelivered verdicts could not be read", &error),
        };
        for gate in gates {
            let Some(claim) = self.claim(gate.id.as_str()) else {
                continue;
            };
            let attempts = gate.delivery_attempts;
            let control = self.clone();
            let span = tracing::info_span!("gate_delivery", gate.id = %gate.id);
            self.spawn_work(claim, span, async move {
                if let Err(error) = control.deliver(gate).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a verdict is not delivered yet"
                    );
                    control.pause(attempts).await;
                }
            });
        }
    }

    async fn deliver(&self, listed: GateRecord) -> Result<(), StepError> {
        // The list may be older than what another activation has done since.
        let Some(mut gate) = self.inner.store.gate_fetch(&listed.id).await? else {
            return Ok(());
        };
        let (Some(verdict), Some(delivery)) = (gate.verdict, gate.delivery) else {
            return Ok(());
        };
        let Some(record) = self
            .inner
            .store
            .deployment_fetch(&gate.deployment_id)
            .await?
        else {
            return Ok(());
        };
        // Before AWS has answered once, the clock that tells when an earlier call was begun is not the account's.
        let Some(cloud) = self.cloud_of(&record.account, &record.region) else {
            return Ok(());
        };
        match delivery {
            // The function is answered when ECS runs it again.
            Delivery::Recorded if gate.kind == GateKind::EcsHook => {
                return self.settle_sent(gate, &record).await;
            }
            Delivery::Recorded => {}
            Delivery::Sent => return self.settle_sent(gate, &record).await,
            Delivery::Confirmed | Delivery::Failed => return Ok(()),
        }
        if gate.delivery_attempts > 0 {
            if let Some(event) = self.shown(&*cloud, &gate, &record).await? {
                return self.delivered(gate, event, None, None).await;
            }
            // AWS takes a while to show a stop, and would take the same stop again.
            let by_a_stop =
                (gate.kind, verdict) == (GateKind::CodedeployReadyWait, Verdict::Reject);
            if let Some(called_at) = gate.delivery_called_at
                && by_a_stop
                && cloud.now().millis_since(called_at) < operation::STOP_GRACE_SECONDS * 1000
            {
                self.pause(0).await;
                return Ok(());
            }
        }
        // Written before the call, so that a crash in between leads to a look before the next call.
        gate.delivery_attempts += 1;
        gate.delivery_called_at = Some(cloud.now());
        let mut tx = self.begin().await?;
        gate.generation = tx.gate_update(&gate).await?;
        tx.commit().await?;
        let answer = match (gate.kind, verdict) {
            (GateKind::EcsPause, verdict) => {
                cloud
                    .continue_service_deployment(&gate.deployment_aws_id, &gate.wait, verdict)
                    .await
            }
            (GateKind::CodedeployHook, _) => {
                cloud
                    .answer_hook(&gate.deployment_aws_id, &gate.wait, verdict)
                    .await
            }
            (GateKind::CodedeployReadyWait, Verdict::Approve) => {
                cloud
                    .continue_deployment(&gate.deployment_aws_id, DeploymentWait::Ready)
                    .await
            }
            (GateKind::CodedeployReadyWait, Verdict::Reject) => {
                cloud.stop_and_roll_back(&gate.deployment_aws_id).await
            }
            // Nothing is called for it.
            (GateKind::EcsHook, _) => return Ok(()),
        };
        let request_id = match &answer {
            Ok(receipt) => receipt.request_id.clone(),
            Err(error) => error.request_id.clone(),
        };
        let aws = delivery::aws_call(&gate, &record, verdict, cloud.now(), request_id);
        let result = match answer {
            Ok(receipt) => {
                let detail = receipt.request_id.map(|id| format!("AWS request {id}"));
                self.delivered(gate, DeliveryEvent::Answered, detail, aws)
                    .await
            }
            Err(error) if error.kind == WhatToDo::Never && error.says_already_over() => {
                // Our own earlier call may have ended the wait; until AWS shows how it ended, it was heard.
                let event = self
                    .shown(&*cloud, &gate, &record)
                    .await?
                    .unwrap_or(DeliveryEvent::Answered);
                self.delivered(gate, event, Some(error.to_string()), aws)
                    .await
            }
            // Any other refusal (a missing permission, for one) may pass while AWS still waits: the verdict stays
            // recorded, with AWS's words, until AWS shows that the wait is over.
            Err(error) => {
                gate.delivery_detail = Some(error.to_string());
                if error.kind != WhatToDo::Unknown {
                    gate.delivery_called_at = None;
                }
                let mut tx = self.begin().await?;
                tx.gate_update(&gate).await?;
                tx.change_append(
                    "gate",
                    gate.id.as_str(),
                    Some(&gate.deployment_id),
                    cloud.now(),
                )
                .await?;
                tx.commit().await?;
                return Err(error.into());
            }
        };
        self.inner.wake_watch.notify_waiters();
        result
    }

    /// A verdict that AWS has answered is confirmed by following its deployment. When the answer came after the last
    /// look at it, what was recorded at its end tells how the wait ended.
    async fn settle_sent(
        &self,
        gate: GateRecord,
        record: &DeploymentRecord,
    ) -> Result<(), StepError> {
        if !record.standing.outcome.is_final() {
            self.pause(0).await;
            return Ok(());
        }
        let event = delivery_event(&gate, record).unwrap_or(DeliveryEvent::Refused);
        self.delivered(gate, event, None, None).await
    }

    /// What AWS shows about how the wait ended; `None` while it goes on.
    async fn shown(
        &self,
        cloud: &dyn Cloud,
        gate: &GateRecord,
        record: &DeploymentRecord,
    ) -> Result<Option<DeliveryEvent>, CloudError> {
        let mut after = record.clone();
        if !gate.kind.is_of_ecs() {
            after.reading.stages = cloud.lifecycle(&gate.deployment_aws_id).await?.stages;
        }
        match cloud
            .deployments(std::slice::from_ref(&gate.deployment_aws_id))
            .await?
            .first()
        {
            Some(reading) => {
                after.reading.status = reading.reading.status;
                after.reading.ecs = reading.reading.ecs.clone();
            }
            None => after.reading.status = AwsStatus::Unknown,
        }
        Ok(delivery_event(gate, &after))
    }

    async fn delivered(
        &self,
        mut gate: GateRecord,
        event: DeliveryEvent,
        detail: Option<String>,
        aws: Option<AwsCall>,
    ) -> Result<(), StepError> {
        let now = self.clock();
        let mut tx = self.begin().await?;
        if move_delivery(&mut gate, event, detail) {
            save_delivery(&mut tx, &gate, now, aws).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    // ---- what following a deployment brings up --------------------------------------------------

    /// What the new reading of a deployment means for its gates.
    pub(crate) fn gate_changes(
        &self,
        cloud: &dyn Cloud,
        service: &Service,
        record: &DeploymentRecord,
        gates: &[GateRecord],
    ) -> Vec<GateChange> {
        let mut changes = Vec::new();
        for gate in gates {
            if gate.state == GateState::Open {
                if gate.kind.is_of_ecs() && pause::timed_out(gate, record) {
                    changes.push(GateChange::Expired(gate.clone()));
                } else if watch::wait_is_over(gate, record) {
                    changes.push(GateChange::Superseded(gate.clone()));
                } else {
                    let digest = watch::evidence_digest(record, gate);
                    if digest != gate.evidence_digest {
                        changes.push(GateChange::Evidence(GateRecord {
                            evidence_digest: digest,
                            ..gate.clone()
                        }));
                    }
                }
            } else if delivery::is_awaited(gate)
                && let Some(event) = delivery_event(gate, record)
            {
                changes.push(GateChange::Delivered(gate.clone(), event));
            }
        }
        changes.extend(pause::opened(record, gates, self.inner.policy, cloud.now()));
        let waits = record.reading.status == AwsStatus::Ready;
        if waits
            && !gates
                .iter()
                .any(|gate| gate.kind == GateKind::CodedeployReadyWait)
        {
            changes.push(GateChange::Opened(
                self.ready_wait_gate(cloud, service, record),
            ));
        }
        changes
    }

    fn ready_wait_gate(
        &self,
        cloud: &dyn Cloud,
        service: &Service,
        record: &DeploymentRecord,
    ) -> GateRecord {
        let now = cloud.now();
        // CodeDeploy does not tell when its wait began; it was not there at the look before this one.
        let wall_at = now.plus_seconds(
            service
                .controller
                .group()
                .map_or(0, |group| group.ready_wait_minutes)
                * 60,
        );
        let policy = self.inner.policy;
        GateRecord {
            id: GateId::derive(&record.id, READY_WAIT),
            deployment_id: record.id.clone(),
            deployment_aws_id: record.aws_id.clone(),
            kind: GateKind::CodedeployReadyWait,
            stage: READY_STAGE.to_string(),
            wait: READY_WAIT.to_string(),
            state: GateState::Open,
            policy,
            opened_at: now,
            expires_at: gate::fuse_end(&policy, now, wall_at),
            wall_at,
            closed_at: None,
            evidence_digest: evidence::basis(record, READY_WAIT, &policy).digest(),
            verdict: None,
            delivery: None,
            delivery_detail: None,
            delivery_attempts: 0,
            delivery_called_at: None,
            generation: 1,
        }
    }

    /// Writes the changes in the transaction of the deployment's own.
    pub(crate) async fn save_gate_changes(
        &self,
        tx: &mut Tx,
        record: &DeploymentRecord,
        changes: Vec<GateChange>,
        now: Moment,
    ) -> Result<(), StepError> {
        for change in changes {
            match change {
                GateChange::Evidence(gate) => {
                    tx.gate_update(&gate).await?;
                    tx.change_append("gate", gate.id.as_str(), Some(&record.id), now)
                        .await?;
                }
                GateChange::Superseded(mut gate) => {
                    let Ok(state) = gate::gate_after(gate.state, GateEvent::Supersede) else {
                        continue;
                    };
                    gate.state = state;
                    gate.closed_at = Some(now);
                    let text = pause::gone_words(&gate, record).unwrap_or_else(|| {
                        format!("AWS no longer waits at {}; the gate is gone.", gate.stage)
                    });
                    save_closed(tx, &gate, now, text, None).await?;
                }
                GateChange::Delivered(mut gate, event) => {
                    if move_delivery(&mut gate, event, None) {
                        save_delivery(tx, &gate, now, None).await?;
                    }
                }
                GateChange::Expired(mut gate) => {
                    let Ok(state) = gate::gate_after(gate.state, GateEvent::Expire) else {
                        continue;
                    };
                    gate.state = state;
                    gate.closed_at = Some(now);
                    // Nothing is to be delivered: ECS has done it.
                    close(tx, &gate, now).await?;
                }
                GateChange::Opened(gate) => insert_gate(tx, &gate).await?,
            }
        }
        Ok(())
    }
}

/// A gate whose fuse has burned out: what became of it, and who saw to that.
async fn close(tx: &mut Tx, gate: &GateRecord, now: Moment) -> Result<(), StepError> {
    let (by, answer) = match (gate.kind, gate.policy.at_expiry) {
        (GateKind::EcsPause | GateKind::EcsHook, Verdict::Approve) => {
            ("ECS", "ECS lets the deployment go on")
        }
        (GateKind::EcsPause | GateKind::EcsHook, Verdict::Reject) => {
            ("ECS", "ECS rolls the deployment back")
        }
        (GateKind::CodedeployHook | GateKind::CodedeployReadyWait, Verdict::Approve) => {
            ("switchback", "The policy approves")
        }
        (GateKind::CodedeployHook | GateKind::CodedeployReadyWait, Verdict::Reject) => {
            ("switchback", "The policy rejects")
        }
    };
    let text = format!("Nobody decided at {} in time. {answer}.", gate.stage);
    save_closed(tx, gate, now, text, Some(by)).await
}

/// Every signature counts once.
pub(crate) async fn use_signature(
    tx: &mut Tx,
    signature: &str,
    now: Moment,
) -> Result<(), Refusal> {
    match tx.signature_use(signature, now).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refusal::new(
            RefusalKind::Conflict,
            "signature_repeated",
            "This signature was used before. Sign every attempt anew.",
        )),
        Err(error) => Err(store_refusal(error)),
    }
}

/// Writes a gate that is no longer open, with a line of the timeline.
async fn save_closed(
    tx: &mut Tx,
    gate: &GateRecord,
    now: Moment,
    text: String,
    by: Option<&str>,
) -> Result<(), StepError> {
    tx.gate_update(gate).await?;
    let data = gate_data(gate);
    watch::append(tx, &gate.deployment_id, now, "gate", text, by, data).await?;
    let event = AuditEvent::GateClosed {
        gate: gate.id.clone(),
        state: gate.state,
    };
    tx.audit_append(&about(gate, watch::observed(now, event)))
        .await?;
    tx.change_append("gate", gate.id.as_str(), Some(&gate.deployment_id), now)
        .await?;
    Ok(())
}

enum Opened {
    Gate(GateId),
    NotYet,
    Refused(String),
}

async fn insert_gate(tx: &mut Tx, gate: &GateRecord) -> Result<(), StepError> {
    if !tx.gate_insert(gate).await? {
        return Ok(());
    }
    let text = format!(
        "Gate opened at {}: waits until {} UTC.",
        gate.stage,
        gate.expires_at.clock_time()
    );
    watch::append(
        tx,
        &gate.deployment_id,
        gate.opened_at,
        "gate",
        text,
        Some("switchback"),
        gate_data(gate),
    )
    .await?;
    let event = AuditEvent::GateOpened {
        gate: gate.id.clone(),
        deployment: gate.deployment_id.clone(),
        stage: gate.stage.clone(),
        expires_at: gate.expires_at,
    };
    tx.audit_append(&about(gate, watch::observed(gate.opened_at, event)))
        .await?;
    tx.change_append(
        "gate",
        gate.id.as_str(),
        Some(&gate.deployment_id),
        gate.opened_at,
    )
    .await?;
    Ok(())
}

/// Records one person's verdict in the caller's transaction. The gate must be open and its evidence as named.
pub(crate) async fn record_decision(
    tx: &mut Tx,
    actor: &Actor,
    gate: &mut GateRecord,
    record: &DeploymentRecord,
    decision: switchback_store::records::DecisionRecord,
    approvals_before: u32,
) -> Result<(), StepError> {
    let completes = decision.verdict == Verdict::Reject
        || approvals_before + 1 >= gate.policy.required_approvals;
    if completes {
        let event = match decision.verdict {
            Verdict::Approve => GateEvent::Approve,
            Verdict::Reject => GateEvent::Reject,
        };
        if let Ok(state) = gate::gate_after(gate.state, event) {
            gate.state = state;
            gate.closed_at = Some(decision.at);
            gate.verdict = Some(decision.verdict);
            gate.delivery = Some(Delivery::Recorded);
        }
    }
    tx.decision_insert(&decision).await?;
    gate.generation = tx.gate_update(gate).await?;
    let verb = match decision.verdict {
        Verdict::Approve => "approved",
        Verdict::Reject => "rejected",
    };
    let text = match &decision.reason {
        Some(reason) => format!("{} {verb} at {}: “{reason}”", decision.actor, gate.stage),
        None => format!("{} {verb} at {}.", decision.actor, gate.stage),
    };
    watch::append(
        tx,
        &record.id,
        decision.at,
        "decision",
        text,
        Some(&decision.actor),
        gate_data(gate),
    )
    .await?;
    let event = AuditEvent::GateDecided {
        gate: gate.id.clone(),
        verdict: decision.verdict,
        state: gate.state,
        evidence: decision.evidence_digest.clone(),
    };
    let entry = AuditEntry {
        reason: decision.reason.clone(),
        ..AuditEntry::of(decision.at, actor, event)
    };
    tx.audit_append(&about(gate, entry)).await?;
    tx.change_append("gate", gate.id.as_str(), Some(&record.id), decision.at)
        .await?;
    Ok(())
}

/// The entry with the gate's policy and the evidence that was in force.
fn about(gate: &GateRecord, mut entry: AuditEntry) -> AuditEntry {
    entry.context.policy = Some(Digest::of(&gate.policy));
    entry.context.evidence = Some(gate.evidence_digest.clone());
    entry
}

fn hook_claim(execution_id: &str) -> String {
    format!("hook {execution_id}")
}

fn gate_data(gate: &GateRecord) -> Value {
    json!({ "gate": gate.id, "state": gate.state })
}

fn log_store(what: &str, error: &StoreError) {
    tracing::error!(error = error as &dyn std::error::Error, "{what}");
}

impl Control {
    /// Holds a claim a little longer after a failure, so that a failing call is not made four times a second. Ends
    /// at once when the server ends.
    pub(crate) async fn pause(&self, attempts: i64) {
        let doublings = u32::try_from(attempts.clamp(0, 5)).unwrap_or_default();
        let wait = (SHORTEST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
        tokio::select! {
            () = self.inner.stopping.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
