//! The schema: bringing it up to date, and how it stands to this version.
//!
//! Design notes. During a rolling update an old process and a new one stand before one database, and after a rollback
//! of Switchback itself an old one stands before a schema that a newer one has changed. Every migration only adds
//! (a test reads them), so the old process goes on, and starts. A migration that takes something away is called
//! `…_breaking_….sql`; its description is in the database, and a version that does not know it refuses to start.
//! Rejected: refusing every unknown migration, as sqlx does by itself: the old tasks of a rolling update could not be
//! restarted, and Switchback could not be rolled back. Rejected: a table with the oldest version that still works,
//! because it would be one more thing to keep true.

use crate::connect::Dialect;
use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use sqlx::AnyPool;
use sqlx::migrate::Migrator;
use std::borrow::Cow;

/// The migrations, embedded.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// How the description of a migration begins that older versions cannot work with.
const BREAKING: &str = "breaking ";

/// How the database's schema stands to this version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaState {
    /// The newest migration that the database holds; `None` while it holds none.
    pub newest: Option<i64>,
    /// Migrations of this version that the database lacks.
    pub behind: Vec<i64>,
    /// Migrations that a newer version has applied. This version works with them.
    pub ahead: Vec<i64>,
    /// A migration of a newer version that this version cannot work with: its number and description.
    pub breaking: Option<String>,
}

impl SchemaState {
    fn of(applied: &[(i64, String)]) -> SchemaState {
        let is_applied = |version: i64| applied.iter().any(|(known, _)| *known == version);
        let unknown = || {
            applied
                .iter()
                .filter(|(version, _)| !MIGRATIONS.version_exists(*version))
        };
        SchemaState {
            newest: applied.iter().map(|(version, _)| *version).max(),
            behind: MIGRATIONS
                .iter()
                .map(|migration| migration.version)
                .filter(|version| !is_applied(*version))
                .collect(),
            ahead: unknown().map(|(version, _)| *version).collect(),
            breaking: unknown()
                .find(|(_, description)| description.starts_with(BREAKING))
                .map(|(version, description)| format!("{version} {description}")),
        }
    }

    /// This state, unless it holds a migration that this version cannot work with.
    pub fn usable(self) -> Result<SchemaState, StoreError> {
        match self.breaking {
            Some(migration) => Err(StoreError::SchemaTooNew { migration }),
            None => Ok(self),
        }
    }
}

impl Store {
    /// How the database's schema stands to this version, as it is now.
    pub async fn schema(&self) -> Result<SchemaState, StoreError> {
        read(&self.reader, self.dialect).await
    }
}

/// Applies what is missing. On PostgreSQL processes that start at once take turns (sqlx holds an advisory lock).
pub(crate) async fn migrate(pool: &AnyPool, dialect: Dialect) -> Result<(), StoreError> {
    // Before anything is changed.
    read(pool, dialect).await?.usable()?;
    let migrator = Migrator {
        migrations: Cow::Borrowed(&MIGRATIONS.migrations),
        ignore_missing: true,
        ..Migrator::DEFAULT
    };
    migrator
        .run(pool)
        .await
        .map_err(|source| StoreError::Migrate { source })?;
    // A newer process may have been first.
    read(pool, dialect).await?.usable()?;
    Ok(())
}

pub(crate) async fn read(pool: &AnyPool, dialect: Dialect) -> Result<SchemaState, StoreError> {
    let exists = match dialect {
        Dialect::Sqlite => "select count(*) from sqlite_master where name = '_sqlx_migrations'",
        Dialect::Postgres => {
            "select count(*) from information_schema.tables
             where table_name = '_sqlx_migrations' and table_schema = current_schema()"
        }
    };
    let (tables,): (i64,) = sqlx::query_as(exists)
        .fetch_one(pool)
        .await
        .doing("reading the schema's version")?;
    if tables == 0 {
        return Ok(SchemaState::of(&[]));
    }
    let applied: Vec<(i64, String)> =
        sqlx::query_as("select version, description from _sqlx_migrations order by version")
            .fetch_all(pool)
            .await
            .doing("reading the schema's version")?;
    Ok(SchemaState::of(&applied))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_behind_ahead_or_beyond_this_version() {
        let ours: Vec<(i64, String)> = MIGRATIONS
            .iter()
            .map(|migration| (migration.version, migration.description.to_string()))
            .collect();
        let all = SchemaState::of(&ours);
        assert_eq!(all.newest, ours.last().map(|(version, _)| *version));
        assert!(all.behind.is_empty() && all.ahead.is_empty() && all.breaking.is_none());
        assert_eq!(SchemaState::of(&[]).behind.len(), ours.len());
        assert_eq!(SchemaState::of(&ours[1..]).behind, [ours[0].0]);

        let mut newer = ours.clone();
        newer.push((20_991_231_000_000, "colour of gates".to_string()));
        let state = SchemaState::of(&newer).usable().unwrap();
        assert_eq!(state.ahead, [20_991_231_000_000]);
        newer.push((20_991_231_000_001, "breaking gates move".to_string()));
        let refused = SchemaState::of(&newer).usable().unwrap_err().to_string();
        assert!(
            refused.contains("20991231000001 breaking gates move"),
            "{refused}"
        );
    }
}
