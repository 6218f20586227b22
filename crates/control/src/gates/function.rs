//! Gates at Lambda hooks of ECS whose function is the relay, for those who cannot use PAUSE. (aws.md §2.3)
//!
//! ECS runs the function again and again until it says SUCCEEDED or FAILED, and takes what it *returns*: so nothing is
//! called to deliver a verdict, it is the answer to the next run. The same run is answered the same however often it asks.
//! The hook's fuse is ECS's own, as a PAUSE hook's is.

use crate::Control;
use crate::error::StepError;
use crate::error::store_refusal;
use crate::gates::hook_claim;
use crate::gates::insert_gate;
use crate::gates::pause;
use crate::gates::use_signature;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::sync::Arc;
use switchback_cloud::Cloud;
use switchback_cloud::DeploymentReading;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_domain::ecs::EcsHook;
use switchback_domain::ecs::EcsHookKind;
use switchback_domain::ecs::EcsHookStatus;
use switchback_domain::gate::Delivery;
use switchback_domain::gate::DeliveryEvent;
use switchback_domain::gate::GateKind;
use switchback_domain::gate::Verdict;
use switchback_domain::ids::GateId;
use switchback_store::StoreError;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::GateRecord;

/// A run of a Lambda hook's function, as ECS gives it to the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionRun {
    /// The ARN of the service deployment.
    pub deployment_aws_id: String,
    /// The hook's execution: the same for every time that ECS asks again.
    pub execution_id: String,
    /// The lifecycle stage by AWS's name.
    pub stage: String,
}

/// What the function returns to ECS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionAnswer {
    /// Let the deployment go on.
    Succeeded,
    /// Roll it back.
    Failed,
    /// Ask again after so many seconds.
    InProgress(u32),
}

/// After how many seconds ECS asks again at a gate: a verdict waits for that at most.
const ASK_AGAIN_SECONDS: u32 = 10;

/// After how many seconds ECS asks again about a deployment that is not recorded yet.
const ASK_SOON_SECONDS: u32 = 5;

/// The name of the function, or a part of it, that the relay is known by.
const RELAY: &str = "switchback-relay";

impl Control {
    pub(crate) async fn take_function_run(
        &self,
        run: FunctionRun,
        signature: &str,
    ) -> Result<FunctionAnswer, Refusal> {
        let claim = self.claim(&hook_claim(&run.execution_id));
        let mut tx = self.begin().await.map_err(store_refusal)?;
        use_signature(&mut tx, signature, self.clock()).await?;
        tx.commit().await.map_err(store_refusal)?;
        if claim.is_none() {
            // An earlier run is still being looked into.
            return Ok(FunctionAnswer::InProgress(ASK_SOON_SECONDS));
        }
        match self.answer_function(&run).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Refusal::new(
                RefusalKind::NotFound,
                "deployment_unknown",
                format!(
                    "AWS knows no deployment {} in the watched accounts and regions.",
                    run.deployment_aws_id
                ),
            )),
            Err(error) => {
                // The deployment waits, and the hook's fuse decides if it stays so.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    deployment.aws_id = run.deployment_aws_id,
                    "a hook of ECS could not be answered yet"
                );
                Ok(FunctionAnswer::InProgress(ASK_SOON_SECONDS))
            }
        }
    }

    /// `None` when every account says that there is no such deployment.
    async fn answer_function(
        &self,
        run: &FunctionRun,
    ) -> Result<Option<FunctionAnswer>, StepError> {
        let soon = FunctionAnswer::InProgress(ASK_SOON_SECONDS);
        let recorded = self
            .inner
            .store
            .deployment_find(&run.deployment_aws_id)
            .await?;
        if let Some(record) = &recorded {
            let id = GateId::derive(&record.id, &run.execution_id);
            if let Some(gate) = self.inner.store.gate_fetch(&id).await? {
                return self.answer_at(gate).await.map(Some);
            }
        }
        let Some((cloud, reading)) = self.find_run(&run.deployment_aws_id).await? else {
            return Ok(None);
        };
        let Some(mut record) = recorded else {
            // It is recorded by watching; that should be now.
            self.inner.wake_watch.notify_waiters();
            return Ok(Some(soon));
        };
        record.reading.ecs = reading.reading.ecs;
        let Some(ecs) = &record.reading.ecs else {
            return Ok(Some(soon));
        };
        if !pause::goes_on(ecs) {
            // On the way back ECS runs the hooks of the traffic shifts again; nobody is asked there.
            return Ok(Some(FunctionAnswer::Succeeded));
        }
        let gates = self.inner.store.gate_list_by_deployment(&record.id).await?;
        let hook = own_hook(&record, &gates, run);
        let now = cloud.now();
        let gate = GateRecord {
            id: GateId::derive(&record.id, &run.execution_id),
            kind: GateKind::EcsHook,
            stage: run.stage.clone(),
            ..pause::at_hook(&record, &hook, self.inner.policy, now)
        };
        let mut tx = self.begin().await?;
        insert_gate(&mut tx, &gate).await?;
        tx.commit().await?;
        // The watcher shows the phase "holding" at its next look; that should be now.
        self.inner.wake_watch.notify_waiters();
        Ok(Some(FunctionAnswer::InProgress(ASK_AGAIN_SECONDS)))
    }

    /// What a gate says: its verdict, which counts as sent from now on, or to ask again.
    async fn answer_at(&self, gate: GateRecord) -> Result<FunctionAnswer, StepError> {
        let (answer, word) = match gate.verdict {
            Some(Verdict::Approve) => (FunctionAnswer::Succeeded, "SUCCEEDED"),
            Some(Verdict::Reject) => (FunctionAnswer::Failed, "FAILED"),
            // Open; or ECS ends it by itself, whatever is said now.
            None => return Ok(FunctionAnswer::InProgress(ASK_AGAIN_SECONDS)),
        };
        if gate.delivery == Some(Delivery::Recorded) {
            let detail = format!("The hook's function said {word}.");
            match self
                .delivered(gate, DeliveryEvent::Answered, Some(detail), None)
                .await
            {
                // Somebody wrote how it went on in the same instant; the verdict is the same.
                Ok(()) | Err(StepError::Store(StoreError::Conflict { .. })) => {}
                Err(error) => return Err(error),
            }
            self.inner.wake_watch.notify_waiters();
        }
        Ok(answer)
    }

    /// The deployment as AWS shows it now, from the first account that knows it.
    async fn find_run(
        &self,
        aws_id: &str,
    ) -> Result<Option<(Arc<dyn Cloud>, DeploymentReading)>, StepError> {
        let id = [aws_id.to_string()];
        let ask = |cloud: Arc<dyn Cloud>| async {
            let read = cloud.deployments(&id).await;
            (cloud, read)
        };
        let mut unheard = None;
        let mut answers: FuturesUnordered<_> = self.inner.clouds.iter().cloned().map(ask).collect();
        while let Some((cloud, read)) = answers.next().await {
            match read {
                Ok(readings) => {
                    if let Some(reading) = readings.into_iter().next() {
                        return Ok(Some((cloud, reading)));
                    }
                }
                Err(error) if error.is_missing() => {}
                // It may be another account's or region's.
                Err(error) => {
                    unheard.get_or_insert(error);
                }
            }
        }
        match unheard {
            Some(error) => Err(error.into()),
            None => Ok(None),
        }
    }
}

/// The hook whose function runs. AWS names the hook in what it shows and the execution in what it gives the function, and
/// nothing that joins the two: it is the one that no gate has yet, the relay's before another function's. Where AWS does not
/// show it, the execution stands for it, with AWS's own default fuse.
fn own_hook(record: &DeploymentRecord, gates: &[GateRecord], run: &FunctionRun) -> EcsHook {
    let free: Vec<&EcsHook> = record
        .reading
        .ecs
        .iter()
        .flat_map(|ecs| ecs.running_functions())
        .filter(|hook| !gates.iter().any(|gate| gate.wait == hook.id))
        .collect();
    let is_relay = |hook: &&&EcsHook| {
        hook.function
            .as_deref()
            .is_some_and(|function| function.contains(RELAY))
    };
    let found = free.iter().find(is_relay).or(free.first());
    match found {
        Some(hook) => (*hook).clone(),
        None => EcsHook {
            id: run.execution_id.clone(),
            kind: EcsHookKind::Lambda,
            status: EcsHookStatus::InProgress,
            expires_at: None,
            at_expiry: None,
            function: None,
        },
    }
}
