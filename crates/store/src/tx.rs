//! A transaction that may write. What it appends to the change feed is told to subscribers after the commit.

use crate::connect::Dialect;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::error::commit_failed;
use sqlx::Any;
use sqlx::AnyConnection;
use sqlx::Transaction;
use tokio::sync::watch;

/// A transaction. Dropping it undoes everything.
///
/// On PostgreSQL the first `audit_append`, `change_append` or `timeline_append` waits for every other transaction that
/// has appended and not yet ended. Change rows first and append last: that keeps the wait short, and two transactions
/// from waiting for each other.
#[derive(Debug)]
pub struct Tx {
    inner: Transaction<'static, Any>,
    dialect: Dialect,
    appending: bool,
    latest_change: watch::Sender<i64>,
    appended_change: Option<i64>,
}

/// The PostgreSQL advisory lock under which numbers of the audit log, the change feed and timelines are given out.
/// One lock for all, so that no order of taking them can be wrong.
const APPEND_LOCK: i64 = 815_002;

/// The PostgreSQL channel on which the number of every appended change is told.
pub(crate) const CHANGES_CHANNEL: &str = "switchback_changes";

impl Tx {
    pub(crate) fn new(
        inner: Transaction<'static, Any>,
        dialect: Dialect,
        latest_change: watch::Sender<i64>,
    ) -> Tx {
        Tx {
            inner,
            dialect,
            appending: false,
            latest_change,
            appended_change: None,
        }
    }

    /// Makes everything durable, then wakes the subscribers of the change feed: those of this process, and on PostgreSQL
    /// those of every other process (see [`crate::Store::hear_other_processes`]).
    pub async fn commit(self) -> Result<(), StoreError> {
        let Tx {
            mut inner,
            dialect,
            latest_change,
            appended_change,
            ..
        } = self;
        if let (Dialect::Postgres, Some(sequence)) = (dialect, appended_change) {
            // Heard when, and only if, the transaction is committed.
            sqlx::query("select cast(pg_notify($1, $2) as text)")
                .bind(CHANGES_CHANNEL)
                .bind(sequence.to_string())
                .execute(&mut *inner)
                .await
                .doing("telling other processes of a change")?;
        }
        inner.commit().await.map_err(commit_failed)?;
        if let Some(sequence) = appended_change {
            latest_change.send_if_modified(|latest| {
                let newer = sequence > *latest;
                if newer {
                    *latest = sequence;
                }
                newer
            });
        }
        Ok(())
    }

    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    /// Makes this transaction the only one that gives out numbers, until it ends. On SQLite it already is: there is
    /// one writer at a time.
    pub(crate) async fn appending(&mut self) -> Result<(), StoreError> {
        if self.dialect == Dialect::Postgres && !self.appending {
            // The function answers void, which the portable driver cannot read; as text it is empty.
            sqlx::query("select cast(pg_advisory_xact_lock($1) as text)")
                .bind(APPEND_LOCK)
                .execute(self.connection())
                .await
                .doing("waiting to append")?;
        }
        self.appending = true;
        Ok(())
    }

    pub(crate) fn change_appended(&mut self, sequence: i64) {
        self.appended_change = Some(sequence);
    }
}
