//! Fresh databases for tests: a SQLite file, and a database in a PostgreSQL cluster that lives as long as this process.

use sqlx::AnyPool;
use switchback_store::Store;
use switchback_tests_postgres::Cluster;

/// A database of its own, opened.
pub struct Database {
    pub store: Store,
    pub url: String,
    pub kind: Kind,
    _folder: Option<tempfile::TempDir>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Database {
    /// A connection that goes past the store, for what the store rightly cannot do.
    pub async fn raw(&self) -> AnyPool {
        raw(&self.url).await
    }
}

pub async fn raw(url: &str) -> AnyPool {
    sqlx::any::install_default_drivers();
    AnyPool::connect(url).await.unwrap()
}

/// Runs the test on every kind of database that is there.
pub async fn on_every_database(test: impl AsyncFn(&Database)) {
    for (kind, url, folder) in empty_databases().await {
        let store = Store::open(&url).await.unwrap();
        let database = Database {
            store,
            url,
            kind,
            _folder: folder,
        };
        test(&database).await;
        database.store.close().await;
    }
}

/// An empty database of every kind: its kind, its URL, and what it lives in.
pub async fn empty_databases() -> Vec<(Kind, String, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("switchback.db").display());
    let mut databases = vec![(Kind::Sqlite, url, Some(folder))];
    if let Some(cluster) = Cluster::of_this_process() {
        databases.push((Kind::Postgres, cluster.new_database(), None));
    }
    databases
}
