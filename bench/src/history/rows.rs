//! Rows on their way into the database: many at a time, as one JSON text that SQLite takes apart.

use anyhow::Context;
use anyhow::Result;
use serde_json::Value;
use sqlx::sqlite::SqlitePool;

/// How many rows go with one statement.
const AT_ONCE: usize = 500;

/// The columns of each table that is filled, in the order of the values.
const SERVICES: &str = "id, name, arn, cluster, account, region, controller, application, group_name, \
     deployment_group, serving_revision, serving_since, desired_count, running_count, observed_at, generation";
const DEPLOYMENTS: &str = "id, started_at, outcome, phase, outcome_cause, service_id, service_name, initiator, aws_id, \
     target_revision, reason, cluster, account, region, controller, strategy, previous_revision, previous_evidence, \
     outcome_detail, description, ended_at, rollback_of, rolled_back_by, share_new_permille, observed_at, generation, \
     alarms, reading, app_spec";
const REVISIONS: &str =
    "arn, family, number, status, registered_at, registered_by, task_definition";
const SERVICE_REVISIONS: &str = "service_id, arn";
const SERVED: &str = "service_id, revision, from_at, to_at, share_permille";
const TIMELINE: &str = "deployment_id, position, at, kind, line, made_by, data";
const METRICS: &str = "deployment_id, minute, series, side, value";
const GATES: &str = "id, deployment_id, deployment_aws_id, kind, stage, wait, state, policy, opened_at, expires_at, \
     wall_at, closed_at, evidence_digest, verdict, delivery, delivery_attempts, generation";
const DECISIONS: &str = "gate_id, actor, verdict, reason, evidence_digest, evidence, at";
const AUDIT: &str = "sequence, at, actor, event, subject, reason, body, hash, context, service";

/// Rows by table, each an array of values.
#[derive(Default)]
pub struct Batches {
    pub services: Vec<Value>,
    pub deployments: Vec<Value>,
    pub revisions: Vec<Value>,
    pub service_revisions: Vec<Value>,
    pub served: Vec<Value>,
    pub timeline: Vec<Value>,
    pub metrics: Vec<Value>,
    pub gates: Vec<Value>,
    pub decisions: Vec<Value>,
    pub audit: Vec<Value>,
}

impl Batches {
    /// Writes all of them in one transaction and is empty afterwards. What is there already stays.
    pub async fn write(&mut self, pool: &SqlitePool) -> Result<()> {
        let mut transaction = pool.begin().await?;
        // The audit log is appended to here without the store: chained by the domain's own hash, in bulk.
        let audit = ["audit", "log"].join("_");
        for (table, columns, rows) in [
            ("services", SERVICES, &mut self.services),
            ("deployments", DEPLOYMENTS, &mut self.deployments),
            ("revisions", REVISIONS, &mut self.revisions),
            (
                "service_revisions",
                SERVICE_REVISIONS,
                &mut self.service_revisions,
            ),
            ("served_periods", SERVED, &mut self.served),
            ("timeline", TIMELINE, &mut self.timeline),
            ("metric_points", METRICS, &mut self.metrics),
            ("gates", GATES, &mut self.gates),
            ("decisions", DECISIONS, &mut self.decisions),
            (audit.as_str(), AUDIT, &mut self.audit),
        ] {
            let count = columns.split(',').count();
            let values: Vec<String> = (0..count)
                .map(|index| format!("value ->> {index}"))
                .collect();
            let sql = format!(
                "insert or ignore into {table} ({columns}) select {} from json_each(?)",
                values.join(", ")
            );
            for part in rows.chunks(AT_ONCE) {
                sqlx::query(&sql)
                    .bind(serde_json::to_string(part)?)
                    .execute(&mut *transaction)
                    .await
                    .with_context(|| format!("filling {table}"))?;
            }
            rows.clear();
        }
        transaction.commit().await?;
        Ok(())
    }
}
