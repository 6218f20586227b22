//! Browser sessions, as tower-sessions asks for them.
//!
//! Design notes. A session that has expired is not loaded, even before it is deleted: a stolen cookie must not outlive
//! its time because a sweep is late. Hence the clock. Rejected: tower-sessions' own SQL stores, which take a pool of
//! one database each and not the portable one.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::row::Columns;
use async_trait::async_trait;
use std::sync::Arc;
use switchback_domain::moment::Moment;
use time::OffsetDateTime;
use tower_sessions_core::session::Id;
use tower_sessions_core::session::Record;
use tower_sessions_core::session_store;

/// How many identifiers are tried for a new session. A second one is already a wonder: they have 128 random bits.
const CREATE_ATTEMPTS: usize = 8;

/// Sessions in the table `sessions`.
#[derive(Clone)]
pub struct SessionStore {
    store: Store,
    now: Arc<dyn Fn() -> Moment + Send + Sync>,
}

impl std::fmt::Debug for SessionStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SessionStore")
            .finish_non_exhaustive()
    }
}

impl SessionStore {
    /// Sessions in this store, by this clock (the machine's: cookies expire by it).
    pub fn new(store: Store, now: impl Fn() -> Moment + Send + Sync + 'static) -> SessionStore {
        SessionStore {
            store,
            now: Arc::new(now),
        }
    }

    /// Deletes the sessions that have expired and gives their number.
    pub async fn delete_expired(&self, now: Moment) -> Result<u64, StoreError> {
        let mut tx = self.store.begin().await?;
        let deleted = sqlx::query("delete from sessions where expires_at <= $1")
            .bind(now.millis())
            .execute(tx.connection())
            .await
            .doing("deleting expired sessions")?
            .rows_affected();
        tx.commit().await?;
        Ok(deleted)
    }

    async fn insert(&self, record: &Record) -> session_store::Result<bool> {
        let data = serde_json::to_string(&record.data)
            .map_err(|error| session_store::Error::Encode(error.to_string()))?;
        let columns = Columns::new()
            .with("id", record.id.to_string())
            .with("data", data)
            .with("expires_at", moment(record.expiry_date));
        let written = async {
            let mut tx = self.store.begin().await?;
            let written = columns
                .insert(
                    tx.connection(),
                    "saving a session",
                    "insert into sessions",
                    "on conflict (id) do nothing",
                )
                .await?;
            tx.commit().await?;
            Ok(written == 1)
        };
        written.await.map_err(backend)
    }

    async fn read(&self, id: &Id) -> Result<Option<(String, i64)>, StoreError> {
        sqlx::query_as("select data, expires_at from sessions where id = $1 and expires_at > $2")
            .bind(id.to_string())
            .bind((self.now)().millis())
            .fetch_optional(&self.store.reader)
            .await
            .doing("loading a session")
    }

    async fn remove(&self, id: &Id) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        sqlx::query("delete from sessions where id = $1")
            .bind(id.to_string())
            .execute(tx.connection())
            .await
            .doing("deleting a session")?;
        tx.commit().await
    }
}

#[async_trait]
impl tower_sessions_core::SessionStore for SessionStore {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        for _ in 0..CREATE_ATTEMPTS {
            if self.insert(record).await? {
                return Ok(());
            }
            record.id = Id::default();
        }
        Err(session_store::Error::Backend(
            "No free session identifier was found.".to_string(),
        ))
    }

    /// Only an existing session is saved: one that was deleted meanwhile (a sign-out) stays deleted.
    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let data = serde_json::to_string(&record.data)
            .map_err(|error| session_store::Error::Encode(error.to_string()))?;
        let saved = async {
            let mut tx = self.store.begin().await?;
            sqlx::query("update sessions set data = $2, expires_at = $3 where id = $1")
                .bind(record.id.to_string())
                .bind(data)
                .bind(moment(record.expiry_date).millis())
                .execute(tx.connection())
                .await
                .doing("saving a session")?;
            tx.commit().await
        };
        saved.await.map_err(backend)
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let Some((data, expires_at)) = self.read(id).await.map_err(backend)? else {
            return Ok(None);
        };
        let decode = |error: String| session_store::Error::Decode(error);
        Ok(Some(Record {
            id: *id,
            data: serde_json::from_str(&data).map_err(|error| decode(error.to_string()))?,
            expiry_date: OffsetDateTime::from_unix_timestamp_nanos(
                i128::from(expires_at) * 1_000_000,
            )
            .map_err(|error| decode(error.to_string()))?,
        }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.remove(id).await.map_err(backend)
    }
}

fn moment(at: OffsetDateTime) -> Moment {
    let millis = at.unix_timestamp_nanos() / 1_000_000;
    // A date_time reaches to the year 9999, whose milliseconds fit with room to spare.
    Moment::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// tower-sessions carries text only, so the chain of causes goes into it.
fn backend(error: StoreError) -> session_store::Error {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    session_store::Error::Backend(text)
}
