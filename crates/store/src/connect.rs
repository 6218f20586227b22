//! Opening the database: pools, pragmas, migrations, guards.
//!
//! Design notes. SQLite has one writer at a time. Its writers stand in line for the single connection of a pool of
//! their own, first come first served, and begin with BEGIN IMMEDIATE, so that a transaction which reads before it
//! writes cannot be told "busy" half-way. Rejected: one pool for all with SQLite's busy handler, which waits by
//! polling and lets late comers pass. PostgreSQL has a pool for writers too, so that transactions that read through
//! the other pool cannot wait for each other's connections.

use crate::error::Doing as _;
use crate::error::StoreError;
use crate::guards;
use crate::schema;
use crate::search;
use crate::search::Search;
use crate::search::SearchState;
use crate::tx::Tx;
use sqlx::AnyPool;
use sqlx::Connection as _;
use sqlx::Executor as _;
use sqlx::any::AnyConnectOptions;
use sqlx::any::AnyPoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a caller waits for a connection, or for another process's SQLite transaction, in milliseconds.
const WAIT_MILLIS: u64 = 5000;

/// Connections for reading. On SQLite each is a thread; reading is quick and more than a few only compete.
const READERS: u32 = 8;

/// Connections for writing on PostgreSQL.
const POSTGRES_WRITERS: u32 = 4;

/// Which of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// The store. Cheap to clone; every clone shares the connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) reader: AnyPool,
    pub(crate) writer: AnyPool,
    pub(crate) dialect: Dialect,
    url: DatabaseUrl,
    pub(crate) latest_change: watch::Sender<i64>,
    pub(crate) search: Arc<Search>,
}

/// A URL that may hold a password, and therefore shows itself to nobody.
#[derive(Clone)]
pub(crate) struct DatabaseUrl(pub(crate) String);

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("DatabaseUrl(..)")
    }
}

impl Store {
    /// Opens the database at `sqlite:PATH` (made if it does not exist) or `postgres://…` (must exist) and brings its
    /// tables up to date.
    pub async fn open(url: &str) -> Result<Store, StoreError> {
        sqlx::any::install_default_drivers();
        let (dialect, options) = parsed(url)?;
        let writers = match dialect {
            Dialect::Sqlite => 1,
            Dialect::Postgres => POSTGRES_WRITERS,
        };
        let writer = pool(writers, dialect, Access::Write)
            .connect_with(options.clone())
            .await
            .doing("opening the database")?;
        schema::migrate(&writer, dialect).await?;
        let mut connection = writer.acquire().await.doing("guarding the audit log")?;
        guards::make(&mut connection, dialect).await?;
        let searching = search::prepare(&mut connection, dialect).await?;
        drop(connection);
        let reader = pool(READERS, dialect, Access::Read)
            .connect_with(options)
            .await
            .doing("opening the database for reading")?;
        let store = Store {
            reader,
            writer,
            dialect,
            url: DatabaseUrl(url.to_string()),
            latest_change: watch::Sender::new(0),
            search: Arc::new(Search::new(searching)),
        };
        let latest = store.change_latest().await?;
        store.latest_change.send_replace(latest);
        Ok(store)
    }

    /// Opens the database as it is: nothing is made, migrated or written, and whatever would write fails.
    pub async fn open_to_read(url: &str) -> Result<Store, StoreError> {
        sqlx::any::install_default_drivers();
        let (dialect, options) = parsed(url)?;
        let reader = AnyPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(Duration::from_millis(WAIT_MILLIS))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    let only_reading = match dialect {
                        Dialect::Sqlite => "pragma busy_timeout = 5000; pragma query_only = on;",
                        Dialect::Postgres => "set default_transaction_read_only = on",
                    };
                    connection.execute(only_reading).await?;
                    Ok(())
                })
            })
            .connect_with(options)
            .await
            .doing("opening the database for reading")?;
        Ok(Store {
            writer: reader.clone(),
            reader,
            dialect,
            url: DatabaseUrl(url.to_string()),
            latest_change: watch::Sender::new(0),
            // Whether it is there was not looked at: searches walk the history.
            search: Arc::new(Search::new(SearchState::Building { percent: None })),
        })
    }

    /// Whether a database URL can be used, with every parameter it has; nothing is opened.
    pub fn check_url(url: &str) -> Result<(), StoreError> {
        // The portable driver reads the parameters only when it connects.
        let read = match parsed(url)?.0 {
            Dialect::Sqlite => SqliteConnectOptions::from_str(url).map(|_| ()),
            Dialect::Postgres => PgConnectOptions::from_str(url).map(|_| ()),
        };
        read.map_err(|source| StoreError::Url {
            source: Some(source),
        })
    }

    /// Begins a transaction that may write. On SQLite there is one at a time: the caller waits in line, at most five
    /// seconds, and must not begin a second one while it holds the first.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let begun = match self.dialect {
            Dialect::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await,
            Dialect::Postgres => self.writer.begin().await,
        };
        Ok(Tx::new(
            begun.doing("beginning a transaction")?,
            self.dialect,
            self.latest_change.clone(),
        ))
    }

    /// Whether several processes may work on this database at once: true of PostgreSQL. A SQLite file has one server.
    pub fn is_shared(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    /// For what only PostgreSQL can do: its URL.
    pub(crate) fn postgres_url(&self) -> Option<&str> {
        (self.dialect == Dialect::Postgres).then_some(self.url.0.as_str())
    }

    /// The number of the latest change that was committed: by this process or, while [`Store::hear_other_processes`]
    /// runs, by any. The receiver is woken after the commit, never before.
    pub fn subscribe(&self) -> watch::Receiver<i64> {
        self.latest_change.subscribe()
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> Result<(), StoreError> {
        sqlx::query("select 1")
            .execute(&self.reader)
            .await
            .doing("asking whether it is ready")?;
        Ok(())
    }

    /// Closes every connection and waits until they are closed. The store and its clones are useless afterwards.
    pub async fn close(&self) {
        // The last connection to a SQLite file puts its log away. One that only reads cannot.
        closed(&self.reader).await;
        closed(&self.writer).await;
    }
}

/// Closes a pool. Closing once leaves a connection open that is just being given back when it is the last that the
/// pool waits for (sqlx 0.8: `PoolInner::close` looks for idle connections before each wait, and not after the last).
async fn closed(pool: &AnyPool) {
    pool.close().await;
    while pool.size() > 0 {
        pool.close().await;
        tokio::task::yield_now().await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

pub(crate) fn parsed(url: &str) -> Result<(Dialect, AnyConnectOptions), StoreError> {
    let (dialect, url) = if let Some(rest) = url.strip_prefix("sqlite:") {
        let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        if path.is_empty() || path.contains(":memory:") || parameters.contains("mode=memory") {
            // Readers and the writer are separate connections: in memory each would see a database of its own.
            return Err(StoreError::Url { source: None });
        }
        let url = match parameters {
            "" => format!("sqlite:{path}?mode=rwc"),
            given if given.contains("mode=") => format!("sqlite:{path}?{given}"),
            given => format!("sqlite:{path}?{given}&mode=rwc"),
        };
        (Dialect::Sqlite, url)
    } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        (Dialect::Postgres, url.to_string())
    } else {
        return Err(StoreError::Url { source: None });
    };
    let options = AnyConnectOptions::from_str(&url).map_err(|source| StoreError::Url {
        source: Some(source),
    })?;
    Ok((dialect, options))
}

fn pool(connections: u32, dialect: Dialect, access: Access) -> AnyPoolOptions {
    let options = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_millis(WAIT_MILLIS))
        // SQLite ends a transaction by itself when a file cannot be written or the disk is full. The driver still counts
        // it, and would refuse every later transaction on this connection, on the only one that writes: it is replaced.
        .before_acquire(|connection, _| {
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        });
    match dialect {
        // A process that is stopped in the middle of a transaction would keep its locks, that of the lease among them, and
        // nobody could take over. No transaction of ours rests for that long by itself.
        Dialect::Postgres => options.after_connect(|connection, _| {
            Box::pin(async move {
                connection
                    .execute("set idle_in_transaction_session_timeout = '3s'")
                    .await?;
                Ok(())
            })
        }),
        // A SQLite connection cannot break, so testing it before each use only costs a trip to its thread.
        Dialect::Sqlite => {
            options
                .test_before_acquire(false)
                .after_connect(move |connection, _| {
                    Box::pin(async move {
                        connection.execute(sqlite_pragmas(access).as_str()).await?;
                        Ok(())
                    })
                })
        }
    }
}

/// WAL lets readers read while the writer writes. Synchronous FULL, not NORMAL: with NORMAL a power cut may lose the last
/// commits, and an intent that is lost after AWS was called is the one thing that must not happen.
fn sqlite_pragmas(access: Access) -> String {
    let mut pragmas = format!(
        "pragma busy_timeout = {WAIT_MILLIS}; pragma journal_mode = wal; pragma synchronous = full; \
         pragma foreign_keys = on;"
    );
    if access == Access::Read {
        pragmas.push_str(" pragma query_only = on;");
    }
    pragmas
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SQLite does by itself when it cannot write, done here by hand.
    #[tokio::test]
    async fn writing_goes_on_after_the_database_ended_a_transaction_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switchback.db");
        let store = Store::open(&format!("sqlite:{}", path.display()))
            .await
            .unwrap();
        let mut tx = store.begin().await.unwrap();
        sqlx::raw_sql("rollback")
            .execute(tx.connection())
            .await
            .unwrap();
        drop(tx);
        for _ in 0..2 {
            store.begin().await.unwrap().commit().await.unwrap();
        }
        store.close().await;
    }
}
