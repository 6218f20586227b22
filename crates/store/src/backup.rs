//! Copies of a SQLite database: made while a server writes to it, checked before anybody relies on them, put back.
//!
//! Design notes. `VACUUM INTO` reads one snapshot and disturbs neither readers nor the writer. Rejected: SQLite's backup
//! interface, which starts again whenever another process writes, and which the driver does not offer; copying the
//! file, which misses what stands in the write-ahead log. A copy appears under its name only when it is whole, on the
//! disk and checked. Whether a server holds the database is asked of SQLite's own locks, so no lock file can be left
//! behind. PostgreSQL has `pg_dump`.

use crate::connect::Dialect;
use crate::connect::Store;
use crate::connect::parsed;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::schema::SchemaState;
use sqlx::AnyConnection;
use sqlx::Connection as _;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

/// Why there is no copy, or why it was not put back. Nothing that stood there before was changed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The database is PostgreSQL, which has its own tools.
    #[error("The database is PostgreSQL.")]
    NotSqlite,
    /// There is nothing to copy.
    #[error("There is no file {}.", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Something stands where the copy would go.
    #[error("{} exists already. Nothing was changed.", path.display())]
    Exists {
        /// What stands there.
        path: PathBuf,
    },
    /// A process has the database open.
    #[error("A process has {} open. Stop it first. Nothing was changed.", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The copy is not sound.
    #[error("{} cannot be relied on: {problem}.", path.display())]
    Damaged {
        /// The copy.
        path: PathBuf,
        /// What was found.
        problem: String,
    },
    /// The file system refused.
    #[error("Could not {doing} {}.", path.display())]
    File {
        /// As in "Could not write".
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database refused or did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a copy holds, as it was read from the copy itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Recorded deployments.
    pub deployments: i64,
    /// Entries of the audit log; the chain over them was verified.
    pub audit_entries: i64,
    /// How its schema stands to this version.
    pub schema: SchemaState,
}

/// What was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What stands there now.
    pub copy: Copied,
    /// Where the database that stood there before was moved.
    pub kept: Option<PathBuf>,
}

impl Store {
    /// The file that opening this URL would make: a SQLite file that does not exist yet.
    pub fn new_file(url: &str) -> Option<PathBuf> {
        sqlite_file(url).ok().filter(|path| !path.exists())
    }

    /// Copies the database at `url` to the file `to`, which must not exist, and checks the copy. A server may go on
    /// writing meanwhile; the copy is one moment of it.
    pub async fn backup(url: &str, to: &Path) -> Result<Copied, CopyError> {
        let database = sqlite_file(url)?;
        if !database.exists() {
            return Err(CopyError::Missing { path: database });
        }
        let unfinished = Unfinished::beside(to)?;
        vacuum_into(&database, &unfinished.path).await?;
        File::open(&unfinished.path)
            .and_then(|file| file.sync_all())
            .map_err(file_error("write", to))?;
        let mut copied = check(&unfinished.path).await?;
        unfinished.finish(to)?;
        copied.path = to.to_path_buf();
        Ok(copied)
    }

    /// Checks the copy `from` and puts it where `url` says. A database that stands there is refused, or, with
    /// `replace`, moved aside; one that a process has open is refused in any case.
    pub async fn restore(url: &str, from: &Path, replace: bool) -> Result<Restored, CopyError> {
        let database = sqlite_file(url)?;
        let log = beside(from, "-wal");
        if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            let problem = format!(
                "it is a database in use, with changes in {}; make a backup of it first",
                log.display()
            );
            return Err(CopyError::Damaged {
                path: from.to_path_buf(),
                problem,
            });
        }
        if !from.exists() {
            return Err(CopyError::Missing {
                path: from.to_path_buf(),
            });
        }
        let old: Vec<PathBuf> = ["", "-wal", "-shm"]
            .iter()
            .map(|ending| beside(&database, ending))
            .filter(|path| path.exists())
            .collect();
        if let Some(first) = old.first().filter(|_| !replace) {
            return Err(CopyError::Exists {
                path: first.clone(),
            });
        }
        let unfinished = Unfinished::new(&database)?;
        std::fs::copy(from, &unfinished.path)
            .and_then(|_| File::open(&unfinished.path)?.sync_all())
            .map_err(file_error("copy", from))?;
        let mut copy = check(&unfinished.path).await.map_err(|error| match error {
            CopyError::Damaged { problem, .. } => CopyError::Damaged {
                path: from.to_path_buf(),
                problem,
            },
            other => other,
        })?;
        let kept = if old.is_empty() {
            None
        } else {
            Some(moved_aside(&database).await?)
        };
        if let Err(error) = unfinished.finish(&database) {
            if let Some(kept) = &kept {
                std::fs::rename(kept, &database).map_err(file_error("move back", kept))?;
            }
            return Err(error);
        }
        copy.path = database;
        Ok(Restored { copy, kept })
    }
}

/// The file of a SQLite URL, as sqlx understands it.
fn sqlite_file(url: &str) -> Result<PathBuf, CopyError> {
    let (dialect, _) = parsed(url)?;
    if dialect == Dialect::Postgres {
        return Err(CopyError::NotSqlite);
    }
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    let path = path.split('?').next().unwrap_or_default();
    let path = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| StoreError::Url { source: None })?;
    Ok(PathBuf::from(path.as_ref()))
}

fn sqlite_url(path: &Path, parameters: &str) -> String {
    let path = path.to_string_lossy();
    let path = path.replace('%', "%25").replace('?', "%3F");
    format!("sqlite:{path}?{parameters}")
}

async fn connect(path: &Path, parameters: &str) -> Result<AnyConnection, StoreError> {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(&sqlite_url(path, parameters))
        .await
        .doing("opening the database")
}

async fn vacuum_into(database: &Path, copy: &Path) -> Result<(), CopyError> {
    let mut connection = connect(database, "mode=rw").await?;
    let copy = copy.to_string_lossy().replace('\'', "''");
    sqlx::raw_sql(&format!("pragma busy_timeout = 5000; vacuum into '{copy}'"))
        .execute(&mut connection)
        .await
        .doing("copying the database")?;
    connection.close().await.doing("copying the database")?;
    Ok(())
}

/// Reads all of a copy: SQLite's own check, the audit chain, and what it holds. Writes nothing, not even a log beside it.
async fn check(path: &Path) -> Result<Copied, CopyError> {
    let damaged = |problem: String| CopyError::Damaged {
        path: path.to_path_buf(),
        problem,
    };
    let url = sqlite_url(path, "mode=ro&immutable=true");
    let unreadable = |error: StoreError| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        damaged(cause.unwrap_or_else(|| error.to_string()))
    };
    let store = Store::open_to_read(&url).await.map_err(unreadable)?;
    let (sound,): (String,) = sqlx::query_as("pragma integrity_check(1)")
        .fetch_one(&store.reader)
        .await
        .doing("checking the copy")
        .map_err(unreadable)?;
    if sound != "ok" {
        return Err(damaged(sound));
    }
    let schema = store.schema().await.map_err(unreadable)?.usable()?;
    if schema.newest.is_none() {
        return Err(damaged("it is not a database of Switchback".to_string()));
    }
    let (audit_entries, broken_at) = store.audit_verify().await.map_err(unreadable)?;
    if let Some(sequence) = broken_at {
        return Err(damaged(format!(
            "the audit chain is broken at entry {sequence}"
        )));
    }
    let deployments = store.deployment_count().await.map_err(unreadable)?;
    store.close().await;
    let bytes = std::fs::metadata(path)
        .map_err(file_error("read", path))?
        .len();
    Ok(Copied {
        path: path.to_path_buf(),
        bytes,
        deployments,
        audit_entries,
        schema,
    })
}

/// Moves a database that nobody has open to a free name beside it.
async fn moved_aside(database: &Path) -> Result<PathBuf, CopyError> {
    let in_use = || CopyError::InUse {
        path: database.to_path_buf(),
    };
    if database.exists() {
        let mut connection = connect(database, "mode=rw").await?;
        // Whoever has it open holds a shared lock, and then this one is refused at once. With it, what stands in the
        // write-ahead log goes into the file, and closing removes the log.
        let alone = sqlx::raw_sql(
            "pragma busy_timeout = 0; pragma locking_mode = exclusive; begin exclusive; commit; \
             pragma wal_checkpoint(truncate)",
        )
        .execute(&mut connection)
        .await;
        let closed = connection.close().await;
        if alone.is_err() || closed.is_err() {
            return Err(in_use());
        }
        if std::fs::metadata(beside(database, "-wal")).is_ok_and(|log| log.len() > 0) {
            return Err(in_use());
        }
    }
    let free = (1_u32..)
        .map(|number| beside(database, &format!(".replaced-{number}")))
        .find(|path| !path.exists())
        .unwrap_or_default();
    for ending in ["", "-wal", "-shm"] {
        let old = beside(database, ending);
        if old.exists() {
            std::fs::rename(&old, beside(&free, ending)).map_err(file_error("move", &old))?;
        }
    }
    Ok(free)
}

/// The file that has `ending` after its whole name.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(ending);
    PathBuf::from(name)
}

fn file_error<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl Fn(std::io::Error) -> CopyError + 'a {
    move |source| CopyError::File {
        doing,
        path: path.to_path_buf(),
        source,
    }
}

/// A file that is being made, beside the one that it will be. Removed when it is not finished.
struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    fn beside(to: &Path) -> Result<Unfinished, CopyError> {
        if to.symlink_metadata().is_ok() {
            return Err(CopyError::Exists {
                path: to.to_path_buf(),
            });
        }
        Unfinished::new(to)
    }

    /// Empty, and readable by its owner only: sessions and names are in it.
    fn new(to: &Path) -> Result<Unfinished, CopyError> {
        let path = beside(to, &format!(".{}.new", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path).map_err(file_error("write", to))?;
        Ok(Unfinished { path })
    }

    /// Gives it its name, unless somebody else has taken that meanwhile, and makes the name durable.
    fn finish(self, to: &Path) -> Result<(), CopyError> {
        std::fs::hard_link(&self.path, to).map_err(|source| {
            if source.kind() == std::io::ErrorKind::AlreadyExists {
                CopyError::Exists {
                    path: to.to_path_buf(),
                }
            } else {
                file_error("write", to)(source)
            }
        })?;
        drop(self);
        let folder = match to.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(file_error("write", to))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is only a second name once it is finished; if it cannot be removed, it is in nobody's way.
        let _ = std::fs::remove_file(&self.path);
    }
}
