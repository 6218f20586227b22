//! Looking at a database without changing it: whether it can be reached, is up to date and can be written.

use crate::connect::Dialect;
use crate::connect::Store;
use crate::connect::parsed;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::schema::MIGRATIONS;
use sqlx::AnyConnection;
use sqlx::Connection as _;
use std::collections::BTreeSet;
use std::path::Path;
use switchback_domain::moment::Moment;

/// What a look at a database found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// `SQLite` or `PostgreSQL`.
    pub kind: &'static str,
    /// Migrations of this version that are yet to be applied; a start applies them.
    pub missing_migrations: Vec<i64>,
    /// Migrations that this version does not know: a newer one has used the database.
    pub unknown_migrations: Vec<i64>,
    /// Whether it can be written, or what it says.
    pub writable: Result<(), String>,
    /// Its clock; `None` where it is the machine's.
    pub clock: Option<Moment>,
}

impl Store {
    /// Looks at the database at `url` and changes nothing, not even the version of its tables. `None` when it is a
    /// SQLite file that is not there yet.
    pub async fn examine(url: &str) -> Result<Option<Examination>, StoreError> {
        sqlx::any::install_default_drivers();
        let existing = match url.strip_prefix("sqlite:") {
            Some(rest) => {
                let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
                if !path.is_empty() && !Path::new(path).exists() {
                    return Ok(None);
                }
                match parameters {
                    "" => format!("{url}?mode=rw"),
                    given if given.contains("mode=") => url.to_string(),
                    _ => format!("{url}&mode=rw"),
                }
            }
            None => url.to_string(),
        };
        let (dialect, options) = parsed(&existing)?;
        let mut connection = AnyConnection::connect_with(&options)
            .await
            .doing("reaching the database")?;
        let applied = applied(&mut connection, dialect).await?;
        let known: BTreeSet<i64> = MIGRATIONS
            .iter()
            .map(|migration| migration.version)
            .collect();
        // Nothing is changed: no row fits, but the database decides whether it might be.
        let written = match applied.is_empty() {
            true => Ok(()),
            false => sqlx::query(
                "update _sqlx_migrations set description = description where version = 0",
            )
            .execute(&mut connection)
            .await
            .map(|_| ())
            .map_err(|error| error.to_string()),
        };
        let clock = match dialect {
            Dialect::Sqlite => None,
            Dialect::Postgres => {
                let (millis,): (i64,) = sqlx::query_as(
                    "select cast(extract(epoch from clock_timestamp()) * 1000 as bigint)",
                )
                .fetch_one(&mut connection)
                .await
                .doing("asking for its clock")?;
                Some(Moment::from_millis(millis))
            }
        };
        connection.close().await.doing("leaving the database")?;
        Ok(Some(Examination {
            kind: match dialect {
                Dialect::Sqlite => "SQLite",
                Dialect::Postgres => "PostgreSQL",
            },
            missing_migrations: known.difference(&applied).copied().collect(),
            unknown_migrations: applied.difference(&known).copied().collect(),
            writable: written,
            clock,
        }))
    }
}

async fn applied(
    connection: &mut AnyConnection,
    dialect: Dialect,
) -> Result<BTreeSet<i64>, StoreError> {
    let there = match dialect {
        Dialect::Sqlite => {
            "select count(*) from sqlite_master where type = 'table' and name = '_sqlx_migrations'"
        }
        Dialect::Postgres => {
            "select case when to_regclass('_sqlx_migrations') is null then cast(0 as bigint) else cast(1 as bigint) end"
        }
    };
    let (tables,): (i64,) = sqlx::query_as(there)
        .fetch_one(&mut *connection)
        .await
        .doing("looking for its migrations")?;
    if tables == 0 {
        return Ok(BTreeSet::new());
    }
    let rows: Vec<(i64,)> = sqlx::query_as("select version from _sqlx_migrations")
        .fetch_all(&mut *connection)
        .await
        .doing("reading its migrations")?;
    Ok(rows.into_iter().map(|(version,)| version).collect())
}
