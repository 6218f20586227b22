//! Hooks that were received, and the signatures that were used.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::HookRecord;
use crate::row::Columns;
use crate::tx::Tx;
use switchback_domain::moment::Moment;

/// How long a used signature is remembered, in milliseconds. Longer than the five minutes for which one is good in
/// either direction.
const SIGNATURES_KEPT_MILLIS: i64 = 60 * 60 * 1000;

/// How long a hook that no longer waits is kept, in milliseconds: what became of it is in the gate or in nobody's interest.
const HOOKS_KEPT_MILLIS: i64 = 30 * 24 * 60 * 60 * 1000;

impl Store {
    /// The hooks that wait to become gates, oldest first.
    pub async fn hook_list_waiting(&self) -> Result<Vec<HookRecord>, StoreError> {
        let rows: Vec<HookRow> = sqlx::query_as(
            "select deployment_aws_id, execution_id, received_at, state, detail from hooks \
             where state = 'waiting' order by received_at, deployment_aws_id, execution_id",
        )
        .fetch_all(&self.reader)
        .await
        .doing("reading the hooks that wait")?;
        Ok(rows.into_iter().map(HookRecord::from).collect())
    }
}

impl Tx {
    /// Records a hook. False when it was received before; one that was refused then waits again, since AWS may show now
    /// what it did not show at the first time. Hooks that ended long ago are forgotten.
    pub async fn hook_insert(&mut self, hook: &HookRecord) -> Result<bool, StoreError> {
        sqlx::query("delete from hooks where state <> 'waiting' and received_at < $1")
            .bind(hook.received_at.plus_millis(-HOOKS_KEPT_MILLIS).millis())
            .execute(self.connection())
            .await
            .doing("forgetting old hooks")?;
        let inserted = Columns::new()
            .with("deployment_aws_id", hook.deployment_aws_id.as_str())
            .with("execution_id", hook.execution_id.as_str())
            .with("received_at", hook.received_at)
            .with("state", hook.state.as_str())
            .with("detail", hook.detail.as_deref())
            .insert(
                self.connection(),
                "recording a hook",
                "insert into hooks",
                "on conflict (deployment_aws_id, execution_id) do update set state = 'waiting', \
                 received_at = excluded.received_at, detail = null where hooks.state = 'refused'",
            )
            .await?;
        Ok(inserted == 1)
    }

    /// Says what became of a hook that waits: `gate`, or `refused` with the detail. A hook that no longer waits is a
    /// conflict: its state is its generation.
    pub async fn hook_update(
        &mut self,
        deployment_aws_id: &str,
        execution_id: &str,
        state: &str,
        detail: Option<&str>,
    ) -> Result<(), StoreError> {
        let updated = sqlx::query(
            "update hooks set state = $3, detail = $4 \
             where deployment_aws_id = $1 and execution_id = $2 and state = 'waiting'",
        )
        .bind(deployment_aws_id)
        .bind(execution_id)
        .bind(state)
        .bind(detail)
        .execute(self.connection())
        .await
        .doing("changing a hook")?;
        if updated.rows_affected() == 1 {
            Ok(())
        } else {
            Err(StoreError::Conflict {
                what: format!("hook {deployment_aws_id}/{execution_id} no longer waits"),
            })
        }
    }

    /// Uses a signature up at a moment of the signer's clock. False when it was used before. Signatures older than an
    /// hour are forgotten: they are too old to be accepted anyway.
    pub async fn signature_use(&mut self, signature: &str, at: Moment) -> Result<bool, StoreError> {
        sqlx::query("delete from used_signatures where used_at < $1")
            .bind(at.plus_millis(-SIGNATURES_KEPT_MILLIS).millis())
            .execute(self.connection())
            .await
            .doing("forgetting old signatures")?;
        let inserted = Columns::new()
            .with("signature", signature)
            .with("used_at", at)
            .insert(
                self.connection(),
                "using a signature up",
                "insert into used_signatures",
                "on conflict (signature) do nothing",
            )
            .await?;
        Ok(inserted == 1)
    }
}

#[derive(sqlx::FromRow)]
struct HookRow {
    deployment_aws_id: String,
    execution_id: String,
    received_at: i64,
    state: String,
    detail: Option<String>,
}

impl From<HookRow> for HookRecord {
    fn from(row: HookRow) -> HookRecord {
        HookRecord {
            deployment_aws_id: row.deployment_aws_id,
            execution_id: row.execution_id,
            received_at: Moment::from_millis(row.received_at),
            state: row.state,
            detail: row.detail,
        }
    }
}
