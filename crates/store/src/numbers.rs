//! Numbers about what is stored, for whoever watches the process.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use switchback_domain::moment::Moment;

/// What is stored, counted. Each is read from an index or the end of a table, so that asking often costs little.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Gates that wait for a decision.
    pub open_gates: i64,
    /// When the first of their fuses burns out (the account's clock).
    pub earliest_expiry: Option<Moment>,
    /// Verdicts that were recorded and have yet to be told to AWS.
    pub undelivered_verdicts: i64,
    /// Deployments in progress or with an unknown end.
    pub active_deployments: i64,
    /// Operations by their state's word, those states that occur.
    pub operations: Vec<(String, i64)>,
    /// Entries of the audit log.
    pub audit_entries: i64,
}

/// How many connections one of the two pools has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// `read` or `write`.
    pub pool: &'static str,
    /// Open ones.
    pub open: usize,
    /// Open ones that nobody uses now.
    pub idle: usize,
}

impl Store {
    /// Counts.
    pub async fn numbers(&self) -> Result<Numbers, StoreError> {
        let doing = "counting";
        let (open_gates, earliest): (i64, Option<i64>) =
            sqlx::query_as("select count(*), min(expires_at) from gates where state = 'open'")
                .fetch_one(&self.reader)
                .await
                .doing(doing)?;
        let (undelivered_verdicts,): (i64,) =
            sqlx::query_as("select count(*) from gates where delivery = 'recorded'")
                .fetch_one(&self.reader)
                .await
                .doing(doing)?;
        let (active_deployments,): (i64,) = sqlx::query_as(
            "select count(*) from deployments where outcome in ('in_progress', 'unknown')",
        )
        .fetch_one(&self.reader)
        .await
        .doing(doing)?;
        let operations =
            sqlx::query_as("select state, count(*) from operations group by state order by state")
                .fetch_all(&self.reader)
                .await
                .doing(doing)?;
        let (audit_entries,): (Option<i64>,) =
            sqlx::query_as("select max(sequence) from audit_log")
                .fetch_one(&self.reader)
                .await
                .doing(doing)?;
        Ok(Numbers {
            open_gates,
            earliest_expiry: earliest.map(Moment::from_millis),
            undelivered_verdicts,
            active_deployments,
            operations,
            audit_entries: audit_entries.unwrap_or(0),
        })
    }

    /// How many deployments are recorded. Reads the whole index.
    pub async fn deployment_count(&self) -> Result<i64, StoreError> {
        let (count,): (i64,) = sqlx::query_as("select count(*) from deployments")
            .fetch_one(&self.reader)
            .await
            .doing("counting the deployments")?;
        Ok(count)
    }

    /// The two pools' connections.
    pub fn pools(&self) -> [PoolUse; 2] {
        [("read", &self.reader), ("write", &self.writer)].map(|(name, pool)| PoolUse {
            pool: name,
            open: pool.size() as usize,
            idle: pool.num_idle(),
        })
    }
}
