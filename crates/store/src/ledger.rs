//! How far the ledger has what the store has.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::row::Columns;
use crate::row::Place;
use crate::tx::Tx;
use serde_json::Value;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::OperationId;
use switchback_domain::ids::ServiceId;

/// A service's head as it was last seen in the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerHeadRecord {
    /// The service.
    pub service_id: ServiceId,
    /// The version it had; 0 when the ledger had nothing.
    pub version: i64,
    /// The head, as JSON; null when the ledger had nothing.
    pub head: Value,
}

impl Store {
    /// The head of a service as it was last seen in the ledger; `None` when the two were not compared yet.
    pub async fn ledger_head_fetch(
        &self,
        service: &ServiceId,
    ) -> Result<Option<LedgerHeadRecord>, StoreError> {
        let row: Option<(String, i64, String)> = sqlx::query_as(
            "select service_id, version, head from ledger_heads where service_id = $1",
        )
        .bind(service.as_str())
        .fetch_optional(&self.reader)
        .await
        .doing("reading a service's head in the ledger")?;
        row.map(head_record).transpose()
    }

    /// The heads of all services that were compared with the ledger.
    pub async fn ledger_head_list(&self) -> Result<Vec<LedgerHeadRecord>, StoreError> {
        let rows: Vec<(String, i64, String)> = sqlx::query_as(
            "select service_id, version, head from ledger_heads order by service_id",
        )
        .fetch_all(&self.reader)
        .await
        .doing("reading the heads in the ledger")?;
        rows.into_iter().map(head_record).collect()
    }

    /// How many deployments and operations the ledger does not have as they stand.
    pub async fn ledger_count_due(&self) -> Result<i64, StoreError> {
        let (count,): (i64,) = sqlx::query_as(
            "select (select count(*) from deployments where ledger_outcome is null or ledger_outcome <> outcome) \
             + (select count(*) from operations where ledger_generation < generation)",
        )
        .fetch_one(&self.reader)
        .await
        .doing("counting what the ledger does not have")?;
        Ok(count)
    }

    /// How many deployments the ledger refused for good, and why the latest one.
    pub async fn ledger_refused(&self) -> Result<Option<(i64, String)>, StoreError> {
        let (count, why): (i64, Option<String>) = sqlx::query_as(
            "select count(*), max(ledger_trouble) from deployments where ledger_trouble is not null",
        )
        .fetch_one(&self.reader)
        .await
        .doing("counting what the ledger refused")?;
        Ok(why.map(|why| (count, why)))
    }

    /// The outcome that the ledger has of a deployment; `None` for nothing.
    pub async fn ledger_outcome_of(
        &self,
        deployment: &DeploymentId,
    ) -> Result<Option<String>, StoreError> {
        let row: Option<(Option<String>,)> =
            sqlx::query_as("select ledger_outcome from deployments where id = $1")
                .bind(deployment.as_str())
                .fetch_optional(&self.reader)
                .await
                .doing("reading what the ledger has of a deployment")?;
        Ok(row.and_then(|(outcome,)| outcome))
    }

    /// The generation of an operation that the ledger has; 0 for none.
    pub async fn ledger_generation_of(&self, operation: &OperationId) -> Result<i64, StoreError> {
        let row: Option<(i64,)> =
            sqlx::query_as("select ledger_generation from operations where id = $1")
                .bind(operation.as_str())
                .fetch_optional(&self.reader)
                .await
                .doing("reading what the ledger has of an operation")?;
        Ok(row.map_or(0, |(generation,)| generation))
    }
}

impl Tx {
    /// The ledger's head of a service was seen.
    pub async fn ledger_head_set(&mut self, head: &LedgerHeadRecord) -> Result<(), StoreError> {
        Columns::new()
            .with("service_id", head.service_id.as_str())
            .with("version", head.version)
            .with_json("head", &head.head)?
            .insert(
                self.connection(),
                "recording a service's head in the ledger",
                "insert into ledger_heads",
                "on conflict (service_id) do update set version = excluded.version, head = excluded.head \
                 where ledger_heads.version <= excluded.version",
            )
            .await?;
        Ok(())
    }

    /// The ledger has the deployment with this outcome, or refused it for good for that reason.
    pub async fn ledger_has_deployment(
        &mut self,
        deployment: &DeploymentId,
        outcome: &str,
        trouble: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update deployments set ledger_outcome = $2, ledger_trouble = $3 where id = $1",
        )
        .bind(deployment.as_str())
        .bind(outcome)
        .bind(trouble)
        .execute(self.connection())
        .await
        .doing("recording that the ledger has a deployment")?;
        Ok(())
    }

    /// The ledger has the operation as it stood at this generation.
    pub async fn ledger_has_operation(
        &mut self,
        operation: &OperationId,
        generation: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update operations set ledger_generation = $2 where id = $1 and ledger_generation < $2",
        )
        .bind(operation.as_str())
        .bind(generation)
        .execute(self.connection())
        .await
        .doing("recording that the ledger has an operation")?;
        Ok(())
    }

    /// Gives an operation that came back from the ledger the generation it has there.
    pub async fn ledger_restored_operation(
        &mut self,
        operation: &OperationId,
        generation: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update operations set generation = $2, ledger_generation = $2 where id = $1 and generation < $2",
        )
        .bind(operation.as_str())
        .bind(generation)
        .execute(self.connection())
        .await
        .doing("recording an operation's generation in the ledger")?;
        Ok(())
    }
}

fn head_record(
    (service_id, version, head): (String, i64, String),
) -> Result<LedgerHeadRecord, StoreError> {
    let place = Place {
        table: "ledger_heads",
        row: &service_id,
    };
    Ok(LedgerHeadRecord {
        head: place.json("head", &head)?,
        version,
        service_id: ServiceId::new(service_id),
    })
}
