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
use switchback_store::SearchState;
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
        what_was_there_before_is_searched(&store).await;
        store.close().await;
    }
}

/// The rows are older than the text index: they are found before it is built, and by it afterwards.
async fn what_was_there_before_is_searched(store: &Store) {
    let all = store
        .deployment_list(&DeploymentQuery::default())
        .await
        .unwrap();
    let newest = all.first().unwrap();
    let query = DeploymentQuery {
        q: Some(newest.aws_id.clone()),
        ..DeploymentQuery::default()
    };
    assert!(matches!(store.search_state(), SearchState::Building { .. }));
    let walked = store.deployment_list(&query).await.unwrap();
    assert!(walked.contains(newest));
    store.search_build().await.unwrap();
    assert_eq!(store.search_state(), SearchState::Built);
    assert_eq!(store.deployment_list(&query).await.unwrap(), walked);
}

async fn everything_can_be_read(store: &Store) {
    let service = ServiceId::new("svc-1");
    let deployment = DeploymentId::new("dep-1");
    let services = store.service_list().await.unwrap();
    let mut controllers: Vec<_> = services.iter().map(|one| one.controller.word()).collect();
    controllers.sort_unstable();
    assert_eq!(controllers, ["codedeploy", "ecs"]);
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
    let imports = store.import_list().await.unwrap();
    assert_eq!(imports.len(), 1);
    assert_eq!(
        store
            .import_item_list_read(&imports[0], 10)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(store.watch_list().await.unwrap().len(), 1);
    assert_eq!(store.gap_list(None, None, 10).await.unwrap().len(), 1);
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
        3
    );
    let unanswered = store.gate_fetch(&GateId::new("gate-3")).await.unwrap();
    assert!(unanswered.unwrap().delivery_called_at.is_some());
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
        2
    );
    assert_eq!(
        store
            .audit_list(&AuditQuery::default())
            .await
            .unwrap()
            .len(),
        2
    );
    assert_eq!(store.checkpoint_list(0, 10).await.unwrap().len(), 1);
    assert_eq!(store.audit_key_list().await.unwrap().len(), 1);
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
        if !migration.description.starts_with("breaking ") {
            assert_eq!(not_additive(&migration.sql), [""; 0], "{name}");
        }
    }
}

/// Statements that an older version, running beside or started again, could not live with. Known good forms are
/// listed rather than known bad ones: what nobody has thought of is looked at by a person.
fn not_additive(sql: &str) -> Vec<String> {
    let code: Vec<&str> = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or(""))
        .collect();
    let statements: Vec<String> = code
        .join("\n")
        .to_lowercase()
        .split(';')
        .map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|statement| !statement.is_empty())
        .collect();
    let name_after = |statement: &str, words: &str| -> Option<String> {
        let rest = statement.strip_prefix(words)?;
        let rest = rest.strip_prefix("if not exists ").unwrap_or(rest);
        Some(
            rest.chars()
                .take_while(|character| character.is_alphanumeric() || *character == '_')
                .collect(),
        )
    };
    let made_here: Vec<String> = statements
        .iter()
        .filter_map(|statement| name_after(statement, "create table "))
        .collect();
    let is_of_made_here = |statement: &str| {
        statement
            .split_once(" on ")
            .and_then(|(_, rest)| name_after(rest, ""))
            .is_some_and(|table| made_here.contains(&table))
    };
    statements
        .into_iter()
        .filter(|statement| {
            let added = statement.strip_prefix("alter table ").is_some_and(|rest| {
                let adds = rest.split_once(" add column ").or(rest.split_once(" add "));
                adds.is_some_and(|(table, column)| {
                    !table.contains(' ')
                        && !["constraint ", "check ", "unique ", "primary ", "foreign "]
                            .iter()
                            .any(|word| column.starts_with(word))
                        && !column.contains(',')
                        && !column.contains(" unique")
                        && (!column.contains(" not null") || column.contains(" default "))
                })
            });
            let fine = statement.starts_with("create table ")
                || statement.starts_with("create index ")
                // What is unique from now on would refuse rows that older code writes.
                || statement.starts_with("create unique index ") && is_of_made_here(statement)
                || statement.starts_with("drop index ")
                || statement.starts_with("insert into ")
                || statement.starts_with("update ")
                || added;
            !fine
        })
        .collect()
}

#[test]
fn what_older_code_could_not_live_with_is_found() {
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
        ("alter table gates add column role text unique;", 1),
        ("alter table gates add constraint one unique (stage);", 1),
        ("alter table gates add column a text, drop column stage;", 1),
        ("alter table gates drop column stage;", 1),
        ("alter table gates rename column stage to step;", 1),
        ("alter table gates rename to doors;", 1),
        ("alter table gates alter column stage type bigint;", 1),
        ("drop table gates; truncate hooks; delete from hooks;", 3),
        (
            "create table roles (id text not null); create unique index a on roles (id);",
            0,
        ),
        ("create unique index a on gates (stage);", 1),
        (
            "create index a on gates (stage); -- Reason: drop table\n",
            0,
        ),
        (
            "create trigger a before insert on gates begin select 1; end;",
            2,
        ),
    ] {
        assert_eq!(not_additive(sql).len(), found, "{sql}");
    }
}

/// What an older version writes, it can write to the newest schema: its rows, as `tests/migrations` holds them.
#[tokio::test]
async fn rows_of_every_older_version_can_still_be_written() {
    for (_kind, url, _folder) in empty_databases().await {
        let store = Store::open(&url).await.unwrap();
        let pool = raw(&url).await;
        for migration in migrations().await {
            let samples = folder("tests/migrations").join(format!("{}.sql", migration.version));
            let samples = std::fs::read_to_string(&samples).unwrap();
            sqlx::raw_sql(&samples)
                .execute(&pool)
                .await
                .unwrap_or_else(|error| panic!("rows of {}: {error}", migration.version));
        }
        pool.close().await;
        everything_can_be_read(&store).await;
        store.close().await;
    }
}

/// A rolling update: the newer version has migrated; the older one goes on, and starts again if it has to.
#[tokio::test]
async fn an_older_version_works_on_a_newer_schema_unless_that_breaks_with_it() {
    for (_kind, url, _folder) in empty_databases().await {
        let old = Store::open(&url).await.unwrap();
        let pool = raw(&url).await;
        sqlx::raw_sql("alter table services add column colour text")
            .execute(&pool)
            .await
            .unwrap();
        applied_by_a_newer_version(&pool, 20_991_231_000_000, "colour of services").await;
        old.ready().await.unwrap();
        assert_eq!(old.schema().await.unwrap().ahead, [20_991_231_000_000]);
        let again = Store::open(&url).await.unwrap();
        assert!(again.service_list().await.unwrap().is_empty());
        again.close().await;

        applied_by_a_newer_version(&pool, 20_991_231_000_001, "breaking services move").await;
        let refused = Store::open(&url).await.unwrap_err().to_string();
        assert!(
            refused.contains("(migration 20991231000001 breaking services move)"),
            "{refused}"
        );
        pool.close().await;
        old.close().await;
    }
}

async fn applied_by_a_newer_version(pool: &sqlx::AnyPool, version: i64, description: &str) {
    sqlx::query(
        "insert into _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
         select cast($1 as bigint), $2, installed_on, success, checksum, execution_time from _sqlx_migrations limit 1",
    )
    .bind(version)
    .bind(description)
    .execute(pool)
    .await
    .unwrap();
}

/// Several processes that start at once on an empty PostgreSQL take turns; each finds the schema whole.
#[tokio::test]
async fn processes_that_start_at_once_take_turns() {
    for (kind, url, _folder) in empty_databases().await {
        if kind == crate::databases::Kind::Sqlite {
            // One server holds a SQLite file.
            continue;
        }
        let (first, second, third) =
            tokio::join!(Store::open(&url), Store::open(&url), Store::open(&url));
        for store in [first, second, third] {
            let store = store.unwrap();
            let schema = store.schema().await.unwrap();
            assert!(
                schema.behind.is_empty() && schema.ahead.is_empty(),
                "{schema:?}"
            );
            store.close().await;
        }
    }
}
