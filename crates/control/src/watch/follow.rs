//! Following: a recorded deployment is read again until it has ended, and a little longer for its metrics.

use crate::Control;
use crate::error::StepError;
use crate::watch::Trouble;
use crate::watch::append;
use crate::watch::lines::Line;
use crate::watch::lines::differences;
use crate::watch::observed;
use crate::watch::readable;
use crate::watch::still_waits;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use switchback_cloud::AlarmReading;
use switchback_cloud::Cloud;
use switchback_cloud::DeploymentReading;
use switchback_cloud::LifecycleReading;
use switchback_cloud::TargetGroupReading;
use switchback_cloud::TaskSetReading;
use switchback_domain::audit::AuditEvent;
use switchback_domain::deployment;
use switchback_domain::deployment::AwsStatus;
use switchback_domain::deployment::Known;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::Reading;
use switchback_domain::ecs::EcsStrategy;
use switchback_domain::ecs::is_service_deployment;
use switchback_domain::gate::GateKind;
use switchback_domain::gate::GateState;
use switchback_domain::gate::Verdict;
use switchback_domain::ids::DeploymentId;
use switchback_domain::metrics::MetricPoint;
use switchback_domain::metrics::Side;
use switchback_domain::operation;
use switchback_domain::operation::OperationKind;
use switchback_domain::operation::OperationState;
use switchback_domain::service::Service;
use switchback_store::DeploymentQuery;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::GateRecord;

/// Metrics are drawn from this long before a deployment started.
const METRICS_BEFORE_SECONDS: i64 = 15 * 60;

/// A minute's numbers may still change for this long, so they are read again until then.
const METRICS_SETTLE_SECONDS: i64 = 5 * 60;

/// CloudWatch is about this far behind; a deployment's metrics are read until this long after its end.
const METRICS_AFTER_SECONDS: i64 = 4 * 60;

impl Control {
    /// Reads every deployment that is under way in the region again.
    pub(super) async fn follow_active(
        &self,
        cloud: &dyn Cloud,
        account: &str,
    ) -> Result<(), StepError> {
        self.follow_those(cloud, account, |_| true).await
    }

    /// Reads those of them again that are meant.
    pub(super) async fn follow_those(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        is_meant: impl Fn(&DeploymentRecord) -> bool,
    ) -> Result<(), StepError> {
        let mut records = self.inner.store.deployment_list_active().await?;
        records.retain(|record| {
            record.account == account && record.region == cloud.region() && is_meant(record)
        });
        if records.is_empty() {
            return Ok(());
        }
        let mut trouble = Trouble::default();
        let mut readings: BTreeMap<String, DeploymentReading> = BTreeMap::new();
        // Apart, so that one controller's failure does not keep the other's deployments from being followed.
        for of_ecs in [false, true] {
            let is_one =
                |record: &DeploymentRecord| is_service_deployment(&record.aws_id) == of_ecs;
            let these = records.iter().filter(|record| is_one(record));
            let ids: Vec<String> = these.map(|record| record.aws_id.clone()).collect();
            if ids.is_empty() {
                continue;
            }
            match trouble.note(cloud.deployments(&ids).await) {
                Some(read) => {
                    let read = read.into_iter();
                    readings.extend(read.map(|reading| (reading.aws_id.clone(), reading)));
                }
                // Not read is not forgotten by AWS.
                None => records.retain(|record| !is_one(record)),
            }
        }
        // Rollback deployments come after what they undo; newest first lets one look settle both.
        records.sort_by_key(|record| std::cmp::Reverse(record.started_at));
        for record in records {
            let reading = readings.get(&record.aws_id);
            match self.follow_one(cloud, &record, reading).await {
                // Somebody else wrote the row in the meantime: the next look sees it.
                Ok(()) | Err(StepError::Store(switchback_store::StoreError::Conflict { .. })) => {}
                Err(error) => {
                    trouble.note::<(), _>(Err(error));
                }
            }
        }
        trouble.or(())
    }

    /// Reads one deployment and writes what changed. Weights, alarms and metrics are what may be missing: how the
    /// deployment stands is written even when they cannot be read, and their failure is reported afterwards.
    pub(super) async fn follow_one(
        &self,
        cloud: &dyn Cloud,
        record: &DeploymentRecord,
        reading: Option<&DeploymentReading>,
    ) -> Result<(), StepError> {
        let mut after = record.clone();
        let Some(service) = self.inner.store.service_fetch(&record.service_id).await? else {
            return Ok(());
        };
        // Read before AWS is: a gate that opens while AWS answers is the next look's.
        let gates = self.inner.store.gate_list_by_deployment(&record.id).await?;
        let mut trouble = Trouble::default();
        let mut lines: Vec<Line> = Vec::new();
        match reading {
            _ if is_service_deployment(&record.aws_id) => {
                self.read_ecs(cloud, &service, reading, &mut after).await?;
                trouble.note(self.read_alarms(cloud, &service, &mut after).await);
            }
            None => after.reading.status = AwsStatus::Unknown,
            Some(reading) => {
                let lifecycle: LifecycleReading =
                    readable(cloud.lifecycle(&record.aws_id).await)?.unwrap_or_default();
                let stages = if lifecycle.stages.is_empty() {
                    record.reading.stages.clone()
                } else {
                    lifecycle.stages
                };
                after.reading = Reading {
                    stages,
                    ..reading.reading.clone()
                };
                after.ended_at = reading.completed_at;
                trouble.note(self.read_traffic(cloud, &service, &mut after).await);
                trouble.note(self.read_alarms(cloud, &service, &mut after).await);
            }
        }
        if after.rolled_back_by.is_none()
            && let Some(aws_id) = &after.reading.rolled_back_by
        {
            let id = DeploymentId::derive(&record.account, &record.region, aws_id);
            if self.inner.store.deployment_fetch(&id).await?.is_some() {
                after.rolled_back_by = Some(id);
            }
        }
        let rollback = match &after.rolled_back_by {
            Some(id) if after.reading.rolled_back_by.is_some() => self
                .inner
                .store
                .deployment_fetch(id)
                .await?
                .map(|record| record.standing.outcome),
            _ => None,
        };
        let known = Known {
            gate_open: gates
                .iter()
                .any(|gate| gate.state == GateState::Open && still_waits(gate, &after)),
            gate_rejected: gates
                .iter()
                .any(|gate| gate.verdict == Some(Verdict::Reject)),
            rollback,
            rollback_awaited: self
                .rollback_awaited(cloud, &service, &after, &gates)
                .await?,
            stop_asked: match after.reading.ecs.as_ref().is_some_and(|ecs| ecs.rolls_back) {
                true => self.stop_asked(&after).await?,
                false => false,
            },
        };
        match deployment::advance(record.standing, deployment::standing(&after.reading, known)) {
            Ok(standing) => after.standing = standing,
            Err(contradiction) => {
                tracing::warn!(deployment.id = %record.id, %contradiction, "AWS contradicts the record")
            }
        }
        if after.standing.outcome == Outcome::InProgress {
            after.ended_at = None;
        } else if after.ended_at.is_none() && after.standing.outcome.is_final() {
            after.ended_at = Some(cloud.now());
        }
        after.outcome_detail = outcome_detail(&after);
        lines.extend(differences(record, &after, cloud.now()));
        let points = match reading {
            Some(_) => trouble
                .note(self.read_metrics(cloud, &service, &mut after).await)
                .unwrap_or_default(),
            None => Vec::new(),
        };
        let ended = !record.standing.outcome.is_final() && after.standing.outcome.is_final();
        match after.standing.outcome {
            // AWS says so only once all traffic is on the target, or back where it was.
            Outcome::Succeeded => after.share_new_permille = Some(1000),
            Outcome::RolledBack => after.share_new_permille = Some(0),
            Outcome::InProgress
            | Outcome::Failed
            | Outcome::Stopped
            | Outcome::RollbackFailed
            | Outcome::Superseded
            | Outcome::Unknown => {}
        }
        let observed_at = cloud.now();
        let changed = DeploymentRecord {
            observed_at: record.observed_at,
            ..after.clone()
        } != *record;
        let closing = self.gate_changes(cloud, &service, &after, &gates);
        if !changed && points.is_empty() && closing.is_empty() {
            return trouble.or(());
        }
        after.observed_at = observed_at;
        if ended {
            // Before the end is told: whoever hears of it may plan a rollback at once, and the plan
            // begins with what serves.
            trouble.note(self.refresh_service(cloud, &service).await);
        }
        let mut tx = self.begin().await?;
        tx.deployment_update(&after).await?;
        for line in &lines {
            append(
                &mut tx,
                &after.id,
                line.at,
                line.kind,
                line.text.clone(),
                line.by,
                line.data.clone(),
            )
            .await?;
        }
        if !points.is_empty() {
            tx.metric_upsert(&after.id, &points).await?;
            tx.change_append("metrics", after.id.as_str(), Some(&after.id), observed_at)
                .await?;
        }
        if !after.standing.outcome.is_final()
            && after.share_new_permille != record.share_new_permille
            && let Some(share) = after.share_new_permille
            && let (Some(old), Some(new)) = (&after.previous_revision, &after.target_revision)
            && old != new
            && after.reading.rolls_back.is_none()
        {
            tx.served_record(&after.service_id, new, observed_at, share)
                .await?;
            tx.served_record(&after.service_id, old, observed_at, 1000 - share)
                .await?;
        }
        self.save_gate_changes(&mut tx, &after, closing, observed_at)
            .await?;
        if ended {
            let at = after.ended_at.unwrap_or(observed_at);
            if after.standing.outcome == Outcome::Succeeded
                && let Some(new) = &after.target_revision
            {
                tx.served_record(&after.service_id, new, at, 1000).await?;
                let undone = match &after.rollback_of {
                    Some(original) => tx
                        .deployment_fetch(original)
                        .await?
                        .and_then(|original| original.target_revision),
                    None => after.previous_revision.clone(),
                };
                if let Some(old) = undone.filter(|old| old != new) {
                    tx.served_record(&after.service_id, &old, at, 0).await?;
                }
                // A redeployment undoes the one before it only once it has succeeded.
                if let (Some(original), None) = (&after.rollback_of, &after.reading.rolls_back)
                    && let Some(mut original) = tx.deployment_fetch(original).await?
                {
                    original.rolled_back_by = Some(after.id.clone());
                    tx.deployment_update(&original).await?;
                    tx.change_append("deployment", original.id.as_str(), Some(&original.id), at)
                        .await?;
                }
            }
            if after.standing.outcome == Outcome::RolledBack
                && let (Some(old), Some(new)) = (&after.previous_revision, &after.target_revision)
                && old != new
            {
                // What is back was recorded with the share it regained, or by the rollback's own record.
                tx.served_record(&after.service_id, new, at, 0).await?;
            }
            tx.audit_append(&observed(
                observed_at,
                AuditEvent::DeploymentEnded {
                    deployment: after.id.clone(),
                    outcome: after.standing.outcome.word().to_string(),
                    cause: after.standing.cause.map(|cause| cause.word().to_string()),
                },
            ))
            .await?;
        }
        if changed {
            tx.change_append(
                "deployment",
                after.id.as_str(),
                Some(&after.id),
                observed_at,
            )
            .await?;
        }
        tx.commit().await?;
        if ended {
            self.inner.wake_acts.notify_one();
        }
        Ok(())
    }

    /// Whether AWS will roll back a deployment that failed or was stopped a moment ago: by the group's own setting, or
    /// because we stopped it with rollback. AWS may attach the rollback a moment after it reports the stop.
    async fn rollback_awaited(
        &self,
        cloud: &dyn Cloud,
        service: &Service,
        record: &DeploymentRecord,
        gates: &[GateRecord],
    ) -> Result<bool, StepError> {
        let reading = &record.reading;
        let ended_at = record.ended_at.unwrap_or(record.observed_at);
        let grace = operation::ROLLBACK_GRACE_SECONDS * 1000;
        if reading.rolled_back_by.is_some()
            || reading.rolls_back.is_some()
            || record.previous_revision.is_none()
            || cloud.now().millis_since(ended_at) >= grace
        {
            return Ok(false);
        }
        let Some(group) = service.controller.group() else {
            return Ok(false);
        };
        match reading.status {
            AwsStatus::Failed if group.rolls_back_on_failure => return Ok(true),
            AwsStatus::Stopped if reading.error_code.as_deref() == Some("ALARM_ACTIVE") => {
                return Ok(group.rolls_back_on_alarm);
            }
            AwsStatus::Stopped => {}
            AwsStatus::Failed
            | AwsStatus::Running
            | AwsStatus::Ready
            | AwsStatus::Succeeded
            | AwsStatus::Unknown => return Ok(false),
        }
        let by_a_gate = gates.iter().any(|gate| {
            gate.kind == GateKind::CodedeployReadyWait && gate.verdict == Some(Verdict::Reject)
        });
        Ok(by_a_gate || self.stop_asked(record).await?)
    }

    /// Whether somebody asked Switchback to stop the deployment, and AWS was told.
    async fn stop_asked(&self, record: &DeploymentRecord) -> Result<bool, StepError> {
        let operations = self
            .inner
            .store
            .operation_list_by_deployment(&record.id)
            .await?;
        Ok(operations.iter().any(|operation| {
            operation.kind == OperationKind::StopInFlight
                && !matches!(
                    operation.state,
                    OperationState::Intended | OperationState::Failed
                )
        }))
    }

    /// Reads the listener's weights and finds out which target group is old and which is new.
    async fn read_traffic(
        &self,
        cloud: &dyn Cloud,
        service: &Service,
        record: &mut DeploymentRecord,
    ) -> Result<(), StepError> {
        if record.target_group_new.is_none()
            && record.reading.rolls_back.is_none()
            && let Some((task_sets, _, _)) = cloud.service(&service.cluster, &service.name).await?
        {
            let own = |set: &&TaskSetReading| {
                set.task_set.created_by_deployment.as_deref() == Some(record.aws_id.as_str())
            };
            let new = task_sets
                .iter()
                .find(own)
                .and_then(|set| set.target_group_arn.clone());
            // Once a deployment is over, the other task sets are of later ones and say nothing about it.
            if record.target_group_old.is_none() && record.reading.status == AwsStatus::Running {
                record.target_group_old = task_sets
                    .iter()
                    .find(|set| !own(set))
                    .and_then(|set| set.target_group_arn.clone());
            }
            if new.is_some() {
                record.target_group_new = new;
                // Until now only the old group was read; the new one is read from its beginning.
                record.metrics_until = None;
            }
        }
        let Some(group) = service.controller.group() else {
            return Ok(());
        };
        let (Some(listener), Some(new)) =
            (&group.routes.production_listener, &record.target_group_new)
        else {
            return Ok(());
        };
        let over = !matches!(record.reading.status, AwsStatus::Running | AwsStatus::Ready);
        if over && record.share_new_permille.is_none() {
            // It was over before anybody looked: today's weights belong to a later deployment.
            return Ok(());
        }
        let weights = cloud.listener_weights(listener).await?;
        let total: i64 = weights.iter().map(|(_, weight)| weight).sum();
        if total > 0 {
            let own: i64 = weights
                .iter()
                .filter(|(arn, _)| arn == new)
                .map(|(_, weight)| weight)
                .sum();
            record.share_new_permille = Some(own * 1000 / total);
        }
        Ok(())
    }

    async fn read_alarms(
        &self,
        cloud: &dyn Cloud,
        service: &Service,
        record: &mut DeploymentRecord,
    ) -> Result<(), StepError> {
        let names = service.controller.alarms();
        if names.is_empty() {
            return Ok(());
        }
        let alarms: Vec<AlarmReading> = cloud.alarms(names).await?;
        record.alarms = Value::Array(
            alarms
                .into_iter()
                .map(|alarm| json!({ "name": alarm.name, "state": alarm.state, "since": alarm.since, "threshold": alarm.threshold }))
                .collect(),
        );
        Ok(())
    }

    /// Reads the golden signals once a minute. Says which points are new or changed.
    async fn read_metrics(
        &self,
        cloud: &dyn Cloud,
        service: &Service,
        record: &mut DeploymentRecord,
    ) -> Result<Vec<MetricPoint>, StepError> {
        let minute = cloud.now().minute();
        if record.metrics_until.is_some_and(|until| until >= minute) {
            return Ok(Vec::new());
        }
        // A deployment that was over before anybody looked has no task sets to tell old from new.
        if record.target_group_new.is_none() && record.target_group_old.is_none() {
            return Ok(Vec::new());
        }
        let groups = self.target_groups(cloud, service).await?;
        if groups.is_empty() {
            // The target groups are gone: there is nothing to wait for in this minute.
            record.metrics_until = Some(minute);
            return Ok(Vec::new());
        }
        let begin = record
            .started_at
            .plus_seconds(-METRICS_BEFORE_SECONDS)
            .minute();
        let from = record.metrics_until.map_or(begin, |until| {
            until.plus_seconds(-METRICS_SETTLE_SECONDS).max(begin)
        });
        let readings = cloud
            .metrics(&groups, from, minute.plus_seconds(60))
            .await?;
        let side = |arn: &str| {
            if record.target_group_new.as_deref() == Some(arn) {
                Some(Side::New)
            } else if record.target_group_old.as_deref() == Some(arn) {
                Some(Side::Old)
            } else {
                None
            }
        };
        let one_group = record
            .reading
            .ecs
            .as_ref()
            .is_some_and(|ecs| ecs.configuration.strategy == EcsStrategy::Rolling);
        let points: Vec<MetricPoint> = readings
            .iter()
            .filter_map(|reading| {
                Some(MetricPoint {
                    minute: reading.minute,
                    series: reading.series,
                    side: side(&reading.target_group_arn)?,
                    value: reading.value,
                })
            })
            // What the new group carried before this deployment was another revision's.
            .filter(|point| {
                one_group || point.side == Side::Old || point.minute >= record.started_at.minute()
            })
            .collect();
        record.metrics_until = Some(minute);
        Ok(points)
    }

    async fn target_groups(
        &self,
        cloud: &dyn Cloud,
        service: &Service,
    ) -> Result<Vec<TargetGroupReading>, StepError> {
        let names = service.controller.target_groups();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        Ok(readable(cloud.target_groups(names).await)?.unwrap_or_default())
    }

    /// CloudWatch is behind: the last minutes of a deployment arrive after its end.
    pub(super) async fn finish_metrics(
        &self,
        cloud: &dyn Cloud,
        account: &str,
    ) -> Result<(), StepError> {
        let query = DeploymentQuery {
            account: Some(account.to_string()),
            limit: 20,
            ..DeploymentQuery::default()
        };
        for record in self.inner.store.deployment_list(&query).await? {
            let Some(ended_at) = record
                .ended_at
                .filter(|_| record.standing.outcome.is_final())
            else {
                continue;
            };
            let until = ended_at.plus_seconds(METRICS_AFTER_SECONDS);
            let behind = record
                .metrics_until
                .is_some_and(|read| read < until && read < cloud.now().minute());
            if record.region != cloud.region() || !behind {
                continue;
            }
            let Some(service) = self.inner.store.service_fetch(&record.service_id).await? else {
                continue;
            };
            let mut after = record.clone();
            let mut points = self.read_metrics(cloud, &service, &mut after).await?;
            points.retain(|point| point.minute <= ended_at);
            let mut tx = self.begin().await?;
            tx.deployment_update(&after).await?;
            tx.metric_upsert(&after.id, &points).await?;
            tx.change_append("metrics", after.id.as_str(), Some(&after.id), cloud.now())
                .await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// AWS's own words about why it did not succeed; for an alarm only the alarms' names.
pub(super) fn outcome_detail(record: &DeploymentRecord) -> Option<String> {
    if let Some(ecs) = &record.reading.ecs {
        if ecs.service_deleted {
            return Some("The service was deleted while it was under way".to_string());
        }
        if ecs.succeeded_early() {
            return Some(format!(
                "AWS called it successful early, with {} of {} new tasks running and {} old ones",
                ecs.target.running,
                ecs.target.requested,
                ecs.old_running()
            ));
        }
    }
    if record.standing.outcome == Outcome::Succeeded {
        return None;
    }
    let message = record
        .reading
        .error_message
        .as_deref()
        .filter(|text| !text.is_empty())?;
    Some(match message.split_once("Activated alarms:") {
        Some((_, alarms)) => alarms.trim().trim_end_matches('.').to_string(),
        None => message.to_string(),
    })
}
