//! The migrations: applied one by one over rows that stood there before, and careful by themselves.

use crate::databases::empty_databases;
use crate::databases::raw;
use sqlx::migrate::Migrator;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::GateId;
use switchback_domain::ids::ServiceId;
use switchback_store::AuditQuery;
use switchback_store::DeploymentQuery;
use switchback_store::Store;

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

async fn migrations() -> Vec<sqlx::migrate::Migration> {
    Migrator::new(folder("migrations"))
        .await
        .unwrap()
        .migrations
        .into_owned()
}

/// Every migration is applied to a database that holds the rows of its time, and what comes out is read by this version.
#[tokio::test]
async fn one_by_one_over_sample_rows() {
    let migrations = migrations().await;
    for (kind, url, _folder) in empty_databases().await {
        let made = match kind {
            crate::databases::Kind::Sqlite => format!("{url}?mode=rwc"),
            crate::databases::Kind::Postgres => url.clone(),
        };
        let pool = raw(&made).await;
        for (index, migration) in migrations.iter().enumerate() {
            let until_here = Migrator {
                migrations: Cow::Owned(migrations[..=index].to_vec()),
                ..Migrator::DEFAULT
            };
            until_here.run(&pool).await.unwrap();
            let samples = folder("tests/migrations").join(format!("{}.sql", migration.version));
            let samples = std::fs::read_to_string(&samples)
                .unwrap_or_else(|error| panic!("{}: {error}", samples.display()));
            sqlx::raw_sql(&samples).execute(&pool).await.unwrap();
        }
        pool.close().await;
        let store = Store::open(&url).await.unwrap();
        everything_can_be_read(&store).await;
        store.close().await;
    }
}

async fn everything_can_be_read(store: &Store) {
    let service = ServiceId::new("svc-1");
    let deployment = DeploymentId::new("dep-1");
    assert_eq!(store.service_list().await.unwrap().len(), 1);
    assert_eq!(store.revision_list(&service).await.unwrap().len(), 2);
    assert_eq!(store.served_list(&service).await.unwrap().len(), 2);
    assert_eq!(
        store
            .deployment_list(&DeploymentQuery::default())
            .await
            .unwrap()
            .len(),
        2
    );
    assert_eq!(store.timeline_list(&deployment).await.unwrap().len(), 1);
    assert_eq!(store.metric_list(&deployment).await.unwrap().len(), 1);
    assert_eq!(store.change_list(0, 10).await.unwrap().len(), 1);
    assert_eq!(store.hook_list_waiting().await.unwrap().len(), 1);
    assert_eq!(
        store
            .gate_list_by_deployment(&deployment)
            .await
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        store
            .decision_list(&GateId::new("gate-1"))
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        store
            .operation_list_by_service(&service, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        store
            .audit_list(&AuditQuery::default())
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(store.user_fetch_by_name("dana").await.unwrap().is_some());
    assert!(store.token_fetch(&"ab".repeat(32)).await.unwrap().is_some());
    assert!(
        store
            .idempotency_fetch("dana", "key-1")
            .await
            .unwrap()
            .is_some()
    );
}

/// Sample rows without a migration would never be looked at.
#[tokio::test]
async fn sample_rows_and_migrations_belong_together() {
    let versions: BTreeSet<String> = migrations()
        .await
        .iter()
        .map(|migration| format!("{}.sql", migration.version))
        .collect();
    let samples: BTreeSet<String> = std::fs::read_dir(folder("tests/migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(samples, versions);
}

#[tokio::test]
async fn every_migration_has_its_reason_and_spares_old_rows() {
    for migration in migrations().await {
        let name = format!("{} {}", migration.version, migration.description);
        assert_eq!(
            migration.version.to_string().len(),
            14,
            "{name}: not a time stamp"
        );
        assert!(
            migration.sql.starts_with("-- "),
            "{name}: begins without saying what it is for"
        );
        assert!(
            migration.sql.contains("\n-- Reason: "),
            "{name}: without its reason"
        );
        assert_eq!(
            added_columns_without_default(&migration.sql),
            [""; 0],
            "{name}"
        );
    }
}

/// Columns added to a table that may hold rows, NOT NULL and without a DEFAULT.
fn added_columns_without_default(sql: &str) -> Vec<String> {
    let code: Vec<&str> = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or(""))
        .collect();
    code.join("\n")
        .to_lowercase()
        .split(';')
        .map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|statement| {
            statement.starts_with("alter table ")
                && statement.contains(" add ")
                && statement.contains(" not null")
                && !statement.contains(" default ")
        })
        .collect()
}

#[test]
fn a_careless_column_is_found() {
    for (sql, found) in [
        ("alter table gates add column role text not null;", 1),
        (
            "ALTER TABLE gates\n ADD role TEXT\n NOT NULL -- default ''\n;",
            1,
        ),
        (
            "alter table gates add column role text not null default '';",
            0,
        ),
        ("alter table gates add column role text;", 0),
        ("create table roles (id text not null);", 0),
    ] {
        assert_eq!(added_columns_without_default(sql).len(), found, "{sql}");
    }
}
