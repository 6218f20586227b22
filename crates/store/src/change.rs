//! The change feed that open browsers listen to.
//!
//! Numbers are given out one transaction after the other, so that they become visible in their order and a reader who
//! has seen a number has seen every smaller one.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::ChangeRecord;
use crate::row::Columns;
use crate::tx::CHANGES_CHANNEL;
use crate::tx::Tx;
use sqlx::postgres::PgListener;
use std::time::Duration;
use switchback_domain::ids::DeploymentId;
use switchback_domain::moment::Moment;

/// How many changes are kept. A browser that was away for longer loads its page again.
const KEPT: i64 = 100_000;

/// Between two attempts to listen to other processes.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

impl Store {
    /// The changes after a number, oldest first.
    pub async fn change_list(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<ChangeRecord>, StoreError> {
        let rows: Vec<ChangeRow> = sqlx::query_as(
            "select sequence, kind, subject, deployment_id, at from changes where sequence > $1 \
             order by sequence limit $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&self.reader)
        .await
        .doing("reading the changes")?;
        Ok(rows.into_iter().map(ChangeRecord::from).collect())
    }

    /// The number of the latest change, 0 before the first.
    pub async fn change_latest(&self) -> Result<i64, StoreError> {
        let (latest,): (Option<i64>,) = sqlx::query_as("select max(sequence) from changes")
            .fetch_one(&self.reader)
            .await
            .doing("reading the latest change")?;
        Ok(latest.unwrap_or(0))
    }

    /// The number of the oldest change that is kept.
    pub async fn change_oldest(&self) -> Result<Option<i64>, StoreError> {
        let (oldest,): (Option<i64>,) = sqlx::query_as("select min(sequence) from changes")
            .fetch_one(&self.reader)
            .await
            .doing("reading the oldest change")?;
        Ok(oldest)
    }
}

impl Store {
    /// Listens to what other processes append to the change feed and wakes the subscribers of this one. Never ends on
    /// PostgreSQL, where a lost connection is made again; on SQLite there is nobody to hear and it ends at once.
    pub async fn hear_other_processes(&self) {
        let Some(url) = self.postgres_url() else {
            return;
        };
        loop {
            if let Err(error) = self.hear(url).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "changes of other processes are not heard; they are still looked for every second"
                );
            }
            tokio::time::sleep(LISTEN_PAUSE).await;
        }
    }

    async fn hear(&self, url: &str) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect(url).await?;
        listener.listen(CHANGES_CHANNEL).await?;
        loop {
            // `None` is a connection that was lost and made again: what was missed is asked for.
            let sequence = match listener.try_recv().await? {
                Some(told) => told.payload().parse().ok(),
                None => None,
            };
            let sequence = match sequence {
                Some(sequence) => sequence,
                None => match self.change_latest().await {
                    Ok(latest) => latest,
                    Err(_) => continue,
                },
            };
            self.latest_change.send_if_modified(|latest| {
                let newer = sequence > *latest;
                if newer {
                    *latest = sequence;
                }
                newer
            });
        }
    }
}

impl Tx {
    /// Appends a change and gives its number. Subscribers hear of it after the commit. Changes beyond the last 100,000
    /// are forgotten.
    pub async fn change_append(
        &mut self,
        kind: &str,
        subject: &str,
        deployment: Option<&DeploymentId>,
        at: Moment,
    ) -> Result<i64, StoreError> {
        self.appending().await?;
        let (last,): (Option<i64>,) = sqlx::query_as("select max(sequence) from changes")
            .fetch_one(self.connection())
            .await
            .doing("reading the latest change")?;
        let sequence = last.unwrap_or(0) + 1;
        Columns::new()
            .with("sequence", sequence)
            .with("kind", kind)
            .with("subject", subject)
            .with("deployment_id", deployment.map(|id| id.as_str()))
            .with("at", at)
            .insert(
                self.connection(),
                "appending a change",
                "insert into changes",
                "",
            )
            .await?;
        sqlx::query("delete from changes where sequence <= $1")
            .bind(sequence - KEPT)
            .execute(self.connection())
            .await
            .doing("forgetting old changes")?;
        self.change_appended(sequence);
        Ok(sequence)
    }
}

#[derive(sqlx::FromRow)]
struct ChangeRow {
    sequence: i64,
    kind: String,
    subject: String,
    deployment_id: Option<String>,
    at: i64,
}

impl From<ChangeRow> for ChangeRecord {
    fn from(row: ChangeRow) -> ChangeRecord {
        ChangeRecord {
            sequence: row.sequence,
            kind: row.kind,
            subject: row.subject,
            deployment_id: row.deployment_id,
            at: Moment::from_millis(row.at),
        }
    }
}
