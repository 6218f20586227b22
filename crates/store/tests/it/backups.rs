//! Copies of a SQLite database: whole while it is written to, checked, put back, and nothing overwritten.

use crate::samples::*;
use std::path::Path;
use std::path::PathBuf;
use switchback_store::CopyError;
use switchback_store::Store;

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

async fn append(store: &Store, seconds: i64) {
    let mut tx = store.begin().await.unwrap();
    tx.audit_append(&entry("dana", seconds)).await.unwrap();
    tx.commit().await.unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_taken_while_a_server_writes_is_one_moment_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("a database's %41.db");
    let source = format!(
        "sqlite:{}",
        database.display().to_string().replace('%', "%25")
    );
    let store = Store::open(&source).await.unwrap();
    append(&store, 0).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            let (mut stopped, mut written) = (stopped, 1);
            while stopped.try_recv().is_err() {
                append(&store, written).await;
                written += 1;
            }
            written
        }
    });
    let mut held = 0;
    for number in 0..5 {
        let copy = folder.path().join(format!("copy-{number}.db"));
        let before = store.numbers().await.unwrap().audit_entries;
        let copied = Store::backup(&source, &copy).await.unwrap();
        let after = store.numbers().await.unwrap().audit_entries;
        assert!(
            (before..=after).contains(&copied.audit_entries),
            "{copied:?}"
        );
        assert!(copied.schema.behind.is_empty() && copied.schema.ahead.is_empty());
        assert_eq!(copied.bytes, std::fs::metadata(&copy).unwrap().len());
        held = copied.audit_entries;
    }
    stop.send(()).unwrap();
    let written = writer.await.unwrap();
    assert!(written > held && held > 1, "{written} {held}");
    store.close().await;

    // The copy is a database to work with, and nothing is left of its making.
    let opened = Store::open(&url(&folder.path().join("copy-4.db")))
        .await
        .unwrap();
    assert_eq!(opened.audit_verify().await.unwrap(), (held, None));
    append(&opened, 99).await;
    opened.close().await;
    assert!(
        !names(folder.path())
            .iter()
            .any(|name| name.ends_with(".new"))
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join("copy-0.db"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_needs_something_to_copy() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("switchback.db");
    let there = folder.path().join("there.db");
    let missing = Store::backup(&url(&database), &there).await.unwrap_err();
    assert!(matches!(missing, CopyError::Missing { .. }), "{missing}");
    Store::open(&url(&database)).await.unwrap().close().await;
    std::fs::write(&there, "mine").unwrap();
    let exists = Store::backup(&url(&database), &there).await.unwrap_err();
    assert!(matches!(exists, CopyError::Exists { .. }), "{exists}");
    assert_eq!(std::fs::read(&there).unwrap(), b"mine");
    let postgres = Store::backup("postgres://db/x", &there).await.unwrap_err();
    assert!(matches!(postgres, CopyError::NotSqlite), "{postgres}");
    assert_eq!(names(folder.path()), ["switchback.db", "there.db"]);
}

/// A folder with a copy that holds three entries.
async fn copy_of_three(folder: &Path) -> PathBuf {
    let database = folder.join("first.db");
    let store = Store::open(&url(&database)).await.unwrap();
    for seconds in 0..3 {
        append(&store, seconds).await;
    }
    let copy = folder.join("copy.db");
    Store::backup(&url(&database), &copy).await.unwrap();
    store.close().await;
    copy
}

#[tokio::test]
async fn a_copy_is_put_back_and_what_stood_there_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let copy = copy_of_three(folder.path()).await;
    let target = folder.path().join("switchback.db");
    let restored = Store::restore(&url(&target), &copy, false).await.unwrap();
    assert_eq!((restored.copy.audit_entries, restored.kept), (3, None));

    let served = Store::open(&url(&target)).await.unwrap();
    append(&served, 3).await;
    let refused = Store::restore(&url(&target), &copy, false)
        .await
        .unwrap_err();
    assert!(matches!(refused, CopyError::Exists { .. }), "{refused}");
    // Also to whoever insists, while somebody has it open.
    let refused = Store::restore(&url(&target), &copy, true)
        .await
        .unwrap_err();
    assert!(matches!(refused, CopyError::InUse { .. }), "{refused}");
    append(&served, 4).await;
    served.close().await;

    let restored = Store::restore(&url(&target), &copy, true).await.unwrap();
    let kept = restored.kept.unwrap();
    let old = Store::open(&url(&kept)).await.unwrap();
    assert_eq!(old.audit_verify().await.unwrap(), (5, None));
    old.close().await;
    let new = Store::open(&url(&target)).await.unwrap();
    assert_eq!(new.audit_verify().await.unwrap(), (3, None));
    new.close().await;
}

#[tokio::test]
async fn a_copy_that_cannot_be_relied_on_is_not_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let copy = copy_of_three(folder.path()).await;
    let target = url(&folder.path().join("switchback.db"));
    let refused = async |from: &Path| {
        let error = Store::restore(&target, from, false).await.unwrap_err();
        error.to_string()
    };

    // An entry was altered by somebody who took the triggers away first.
    let altered = folder.path().join("altered.db");
    std::fs::copy(&copy, &altered).unwrap();
    let raw = crate::databases::raw(&url(&altered)).await;
    sqlx::raw_sql(
        "drop trigger audit_log_is_never_updated; update audit_log set actor = 'mira' where sequence = 2",
    )
    .execute(&raw)
    .await
    .unwrap();
    raw.close().await;
    let told = refused(&altered).await;
    assert!(
        told.contains("the audit chain is broken at entry 2"),
        "{told}"
    );

    let newer = folder.path().join("newer.db");
    std::fs::copy(&copy, &newer).unwrap();
    let raw = crate::databases::raw(&url(&newer)).await;
    sqlx::raw_sql(
        "insert into _sqlx_migrations select 20991231000000, 'breaking x', installed_on, success, checksum,
         execution_time from _sqlx_migrations limit 1",
    )
    .execute(&raw)
    .await
    .unwrap();
    raw.close().await;
    let told = refused(&newer).await;
    assert!(told.contains("A newer version of Switchback"), "{told}");

    let torn = folder.path().join("torn.db");
    let bytes = std::fs::read(&copy).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    let told = refused(&torn).await;
    assert!(told.contains("torn.db cannot be relied on"), "{told}");
    std::fs::write(&torn, "not a database at all").unwrap();
    assert!(refused(&torn).await.contains("torn.db cannot be relied on"));
    assert!(
        refused(&folder.path().join("none.db"))
            .await
            .contains("There is no file")
    );
    assert!(
        !names(folder.path())
            .iter()
            .any(|name| name.starts_with("switchback.db"))
    );
}
