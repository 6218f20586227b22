//! What can go wrong in the store, by who reacts differently.

use sqlx::error::ErrorKind;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, or had no connection to give in time. Trying again later may help.
    #[error("The database did not answer while {doing}.")]
    Unavailable {
        /// What was tried, as in "while reading the services".
        doing: &'static str,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// Somebody else was first: a generation has moved on, or a row that must be unique exists already.
    /// Load again and decide again.
    #[error("Somebody else was first: {what}.")]
    Conflict {
        /// What was tried, and on which row when that is known.
        what: String,
    },
    /// What was to be written belongs to who holds the lease, and that is another process by now.
    #[error("Another process holds the lease {name:?} by now.")]
    LeaseLost {
        /// The lease's name.
        name: String,
    },
    /// A row does not make a record: it was written by another version, or by hand.
    #[error("Table {table}, row {row}, column {column}: {problem}.")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key.
        row: String,
        /// What is wrong with what stands there.
        problem: String,
    },
    /// The database's tables could not be brought up to date.
    #[error("The database's tables could not be brought up to date.")]
    Migrate {
        /// The driver's error.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// A newer version has changed the tables in a way that this version cannot work with. Nothing was changed.
    #[error(
        "A newer version of Switchback has changed this database in a way that this version cannot work with \
         (migration {migration}). Nothing was changed. Start the newer version."
    )]
    SchemaTooNew {
        /// The migration's number and description.
        migration: String,
    },
    /// The database URL cannot be used. It is not repeated here, because it may hold a password.
    #[error("The database URL cannot be used: it must be sqlite:PATH or postgres://….")]
    Url {
        /// The driver's error, when the form was right.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// The database refused a statement: a constraint other than uniqueness, a trigger, or a mistake of ours.
    #[error("The database refused while {doing}.")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// A record cannot be written as JSON.
    #[error("Column {column} cannot be written as JSON.")]
    Unwritable {
        /// The column.
        column: &'static str,
        /// The serializer's error.
        #[source]
        source: serde_json::Error,
    },
}

/// Says what was tried when a statement fails.
pub(crate) trait Doing<T> {
    /// `doing` continues "The database did not answer while …".
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| classified(doing, source))
    }
}

fn classified(doing: &'static str, source: sqlx::Error) -> StoreError {
    match &source {
        sqlx::Error::Database(error) if error.kind() == ErrorKind::UniqueViolation => {
            StoreError::Conflict {
                what: doing.to_string(),
            }
        }
        sqlx::Error::Database(error) => match error.code().as_deref() {
            // PostgreSQL: serialization failure, deadlock. One of the two was stopped so that the other could go on.
            Some("40001" | "40P01") => StoreError::Conflict {
                what: doing.to_string(),
            },
            // SQLite: busy (also its extended forms), disk I/O error, disk full. PostgreSQL: shutting down, starting.
            Some("5" | "261" | "517" | "10" | "13" | "57P01" | "57P02" | "57P03" | "53300") => {
                StoreError::Unavailable { doing, source }
            }
            _ => StoreError::Refused { doing, source },
        },
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreError::Unavailable { doing, source },
        _ => StoreError::Refused { doing, source },
    }
}
