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
    /// The connection broke while a commit was under way: it is not known whether what was to be written stands.
    /// Read it again before doing anything a second time.
    #[error("The database did not answer the commit: it is not known whether it was made.")]
    CommitUnknown {
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

/// What a failed commit means: an answer of the database is a refusal, and no answer leaves it open.
pub(crate) fn commit_failed(source: sqlx::Error) -> StoreError {
    match source {
        sqlx::Error::Database(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
            classified("committing", source)
        }
        source => StoreError::CommitUnknown { source },
    }
}

/// What SQLite may do better later: busy, out of memory, read or write of its files failed, full, not to be opened.
/// Its extended codes (`SQLITE_IOERR_WRITE` is 778) carry the primary one in their lowest byte.
fn is_passing_on_sqlite(code: &str) -> bool {
    // A code of PostgreSQL has five characters, one of SQLite at most four.
    code.len() < 5
        && code
            .parse::<u32>()
            .is_ok_and(|code| matches!(code & 0xff, 5 | 7 | 10 | 13 | 14))
}

/// What PostgreSQL may do better later: no disk, memory or connection left (class 53), shutting down or starting.
fn is_passing_on_postgres(code: &str) -> bool {
    code.len() == 5
        && (code.starts_with("53") || matches!(code, "57P01" | "57P02" | "57P03" | "58030"))
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
            Some(code) if is_passing_on_sqlite(code) || is_passing_on_postgres(code) => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_better_later() {
        // SQLite: busy, busy in recovery and snapshot, I/O in writing and syncing, full, cannot open.
        for code in ["5", "261", "517", "10", "778", "1034", "13", "14"] {
            assert!(is_passing_on_sqlite(code), "{code}");
            assert!(!is_passing_on_postgres(code), "{code}");
        }
        // PostgreSQL: disk full, out of memory, too many connections, shutting down, I/O.
        for code in ["53100", "53200", "53300", "57P01", "57P03", "58030"] {
            assert!(is_passing_on_postgres(code), "{code}");
            assert!(!is_passing_on_sqlite(code), "{code}");
        }
        // Constraints, a trigger's refusal, a mistake in the statement.
        for code in ["19", "275", "1", "1811", "23514", "P0001", "42601"] {
            assert!(
                !is_passing_on_sqlite(code) && !is_passing_on_postgres(code),
                "{code}"
            );
        }
    }

    #[test]
    fn a_commit_without_an_answer_is_open() {
        let cut = sqlx::Error::Io(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(matches!(
            commit_failed(cut),
            StoreError::CommitUnknown { .. }
        ));
    }
}
