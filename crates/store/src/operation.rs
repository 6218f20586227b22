//! Operations: intents to change something in AWS, committed before the call.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::OperationRecord;
use crate::row::Columns;
use crate::row::Place;
use crate::row::record;
use crate::row::records;
use crate::tx::Tx;
use sqlx::Any;
use sqlx::Executor;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::OperationId;
use switchback_domain::ids::ServiceId;
use switchback_domain::moment::Moment;
use switchback_domain::operation::OperationKind;
use switchback_domain::operation::OperationState;

const COLUMNS: &str = "id, kind, service_id, deployment_id, target_revision, actor, reason, plan, call, state, detail, \
     aws_id, created_at, called_at, attempts, generation";

impl Store {
    /// One operation.
    pub async fn operation_fetch(
        &self,
        id: &OperationId,
    ) -> Result<Option<OperationRecord>, StoreError> {
        fetch(&self.reader, id).await
    }

    /// The operations that are intended, calling, submitted or unknown, oldest first.
    pub async fn operation_list_unfinished(&self) -> Result<Vec<OperationRecord>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from operations where state in ('intended', 'calling', 'submitted', 'unknown') \
             order by created_at, id"
        );
        let rows: Vec<OperationRow> = sqlx::query_as(&sql)
            .fetch_all(&self.reader)
            .await
            .doing("reading the unfinished operations")?;
        records(rows)
    }

    /// The operations that the ledger does not have as they stand, oldest first.
    pub async fn operation_list_not_in_ledger(
        &self,
        limit: i64,
    ) -> Result<Vec<OperationRecord>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from operations where ledger_generation < generation \
             order by created_at, id limit $1"
        );
        let rows: Vec<OperationRow> = sqlx::query_as(&sql)
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .doing("reading the operations that the ledger does not have")?;
        records(rows)
    }

    /// The operations on or behind a deployment, newest first.
    pub async fn operation_list_by_deployment(
        &self,
        deployment: &DeploymentId,
    ) -> Result<Vec<OperationRecord>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from operations where deployment_id = $1 order by created_at desc, id desc"
        );
        let rows: Vec<OperationRow> = sqlx::query_as(&sql)
            .bind(deployment.as_str())
            .fetch_all(&self.reader)
            .await
            .doing("reading a deployment's operations")?;
        records(rows)
    }

    /// The latest operations of a service, newest first.
    pub async fn operation_list_by_service(
        &self,
        service: &ServiceId,
        limit: i64,
    ) -> Result<Vec<OperationRecord>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from operations where service_id = $1 order by created_at desc, id desc limit $2"
        );
        let rows: Vec<OperationRow> = sqlx::query_as(&sql)
            .bind(service.as_str())
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .doing("reading a service's operations")?;
        records(rows)
    }
}

impl Tx {
    /// One operation, as this transaction sees it.
    pub async fn operation_fetch(
        &mut self,
        id: &OperationId,
    ) -> Result<Option<OperationRecord>, StoreError> {
        fetch(self.connection(), id).await
    }

    /// Records an operation at generation 1, whatever the record says. It is a conflict when the identifier is taken,
    /// and when the service has another operation that AWS has not answered (intended, calling or unknown).
    pub async fn operation_insert(
        &mut self,
        operation: &OperationRecord,
    ) -> Result<(), StoreError> {
        columns(operation)?
            .with("id", operation.id.as_str())
            .with("generation", 1)
            .insert(
                self.connection(),
                "recording an operation",
                "insert into operations",
                "",
            )
            .await?;
        Ok(())
    }

    /// Changes the operation that stands at the record's generation, and gives the new generation.
    pub async fn operation_update(
        &mut self,
        operation: &OperationRecord,
    ) -> Result<i64, StoreError> {
        columns(operation)?
            .update(
                self.connection(),
                "changing an operation",
                "operations",
                operation.id.as_str(),
                operation.generation,
            )
            .await
    }
}

async fn fetch<'e>(
    executor: impl Executor<'e, Database = Any>,
    id: &OperationId,
) -> Result<Option<OperationRecord>, StoreError> {
    let sql = format!("select {COLUMNS} from operations where id = $1");
    let row: Option<OperationRow> = sqlx::query_as(&sql)
        .bind(id.as_str())
        .fetch_optional(executor)
        .await
        .doing("reading an operation")?;
    record(row)
}

fn columns(operation: &OperationRecord) -> Result<Columns, StoreError> {
    Ok(Columns::new()
        .with("kind", operation.kind.word())
        .with("service_id", operation.service_id.as_str())
        .with(
            "deployment_id",
            operation.deployment_id.as_ref().map(|id| id.as_str()),
        )
        .with(
            "target_revision",
            operation.target_revision.as_ref().map(|arn| arn.as_str()),
        )
        .with("actor", operation.actor.as_str())
        .with("reason", operation.reason.as_str())
        .with_json("plan", &operation.plan)?
        .with_json("call", &operation.call)?
        .with("state", operation.state.word())
        .with("detail", operation.detail.as_deref())
        .with("aws_id", operation.aws_id.as_deref())
        .with("created_at", operation.created_at)
        .with("called_at", operation.called_at)
        .with("attempts", operation.attempts))
}

#[derive(sqlx::FromRow)]
struct OperationRow {
    id: String,
    kind: String,
    service_id: String,
    deployment_id: Option<String>,
    target_revision: Option<String>,
    actor: String,
    reason: String,
    plan: String,
    call: String,
    state: String,
    detail: Option<String>,
    aws_id: Option<String>,
    created_at: i64,
    called_at: Option<i64>,
    attempts: i64,
    generation: i64,
}

impl TryFrom<OperationRow> for OperationRecord {
    type Error = StoreError;

    fn try_from(row: OperationRow) -> Result<OperationRecord, StoreError> {
        let place = Place {
            table: "operations",
            row: &row.id,
        };
        Ok(OperationRecord {
            kind: place.word("kind", &row.kind, OperationKind::parse)?,
            target_revision: place
                .revision_or_none("target_revision", row.target_revision.as_deref())?,
            plan: place.json("plan", &row.plan)?,
            call: place.json("call", &row.call)?,
            state: place.word("state", &row.state, OperationState::parse)?,
            id: OperationId::new(row.id),
            service_id: ServiceId::new(row.service_id),
            deployment_id: row.deployment_id.map(DeploymentId::new),
            actor: row.actor,
            reason: row.reason,
            detail: row.detail,
            aws_id: row.aws_id,
            created_at: Moment::from_millis(row.created_at),
            called_at: row.called_at.map(Moment::from_millis),
            attempts: row.attempts,
            generation: row.generation,
        })
    }
}
