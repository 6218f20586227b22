//! The audit log: chained, gapless, append-only, and a forgery is found.

use crate::databases::Database;
use crate::databases::Kind;
use crate::databases::on_every_database;
use crate::samples::*;
use switchback_domain::audit::AuditEvent;
use switchback_domain::audit::chain_hash;
use switchback_domain::audit::chain_start;
use switchback_domain::ids::OperationId;
use switchback_store::AuditQuery;
use switchback_store::Store;

async fn append(store: &Store, actor: &str, seconds: i64) -> i64 {
    let mut tx = store.begin().await.unwrap();
    let sequence = tx.audit_append(&entry(actor, seconds)).await.unwrap();
    tx.commit().await.unwrap();
    sequence
}

#[tokio::test]
async fn entries_are_chained_and_listed() {
    on_every_database(async |database| {
        let store = &database.store;
        assert_eq!(store.audit_verify().await.unwrap(), (0, None));
        let mut tx = store.begin().await.unwrap();
        let mut signed_in = entry("mira", 1);
        signed_in.event = AuditEvent::SignedIn;
        signed_in.reason = None;
        assert_eq!(tx.audit_append(&entry("dana", 0)).await.unwrap(), 1);
        assert_eq!(tx.audit_append(&signed_in).await.unwrap(), 2);
        tx.commit().await.unwrap();
        assert_eq!(append(store, "dana", 2).await, 3);
        assert_eq!(store.audit_verify().await.unwrap(), (3, None));

        let all = store.audit_list(&AuditQuery::default()).await.unwrap();
        let sequences = |query: AuditQuery| async move {
            let listed = store.audit_list(&query).await.unwrap();
            listed
                .iter()
                .map(|record| record.sequence)
                .collect::<Vec<i64>>()
        };
        assert_eq!(all[1].entry, signed_in);
        let mut hash = chain_start();
        for record in all.iter().rev() {
            hash = chain_hash(&hash, record.sequence, &record.entry);
            assert_eq!(record.hash, hash);
        }
        let base = AuditQuery::default();
        let subject = OperationId::from_random([1; 8]).to_string();
        assert_eq!(sequences(base.clone()).await, [3, 2, 1]);
        assert_eq!(
            sequences(AuditQuery {
                limit: 2,
                ..base.clone()
            })
            .await,
            [3, 2]
        );
        assert_eq!(
            sequences(AuditQuery {
                before: Some((at(9), 2)),
                ..base.clone()
            })
            .await,
            [1]
        );
        assert_eq!(
            sequences(AuditQuery {
                actor: Some("dana".to_string()),
                ..base.clone()
            })
            .await,
            [3, 1]
        );
        assert_eq!(
            sequences(AuditQuery {
                actor: Some("dan".to_string()),
                ..base.clone()
            })
            .await,
            [0_i64; 0]
        );
        assert_eq!(
            sequences(AuditQuery {
                subject: Some(subject),
                ..base.clone()
            })
            .await,
            [3, 1]
        );
        assert_eq!(
            sequences(AuditQuery {
                from: Some(at(1)),
                to: Some(at(2)),
                ..base.clone()
            })
            .await,
            [2]
        );
        let by_time = |before| AuditQuery {
            from: Some(at(0)),
            before,
            limit: 1,
            ..base.clone()
        };
        assert_eq!(sequences(by_time(None)).await, [3]);
        assert_eq!(sequences(by_time(Some((at(2), 3)))).await, [2]);
        assert_eq!(sequences(by_time(Some((at(0), 1)))).await, [0_i64; 0]);
        let both = ["signed_in", "operation_moved", "signed_in"].map(str::to_string);
        for (limit, expected) in [(2, vec![3, 2]), (9, vec![3, 2, 1])] {
            let query = AuditQuery {
                events: both.to_vec(),
                limit,
                ..base.clone()
            };
            assert_eq!(sequences(query).await, expected);
        }
        for (reason, expected) in [("inc-1", vec![3, 1]), ("INC_1", vec![])] {
            let query = AuditQuery {
                reason: Some(reason.to_string()),
                ..base.clone()
            };
            assert_eq!(sequences(query).await, expected);
        }
    })
    .await;
}

/// Two processes with several tasks each append at once: every number once, and the chain holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn entries_appended_at_once_keep_a_gapless_chain() {
    on_every_database(async |database| {
        let other = Store::open(&database.url).await.unwrap();
        let mut tasks = Vec::new();
        for task in 0..6 {
            let store = if task % 2 == 0 {
                database.store.clone()
            } else {
                other.clone()
            };
            tasks.push(tokio::spawn(async move {
                let mut sequences = Vec::new();
                for round in 0..10 {
                    sequences.push(append(&store, &format!("task-{task}"), round).await);
                }
                sequences
            }));
        }
        let mut sequences = Vec::new();
        for task in tasks {
            sequences.extend(task.await.unwrap());
        }
        sequences.sort_unstable();
        assert_eq!(sequences, (1..=60).collect::<Vec<i64>>());
        assert_eq!(database.store.audit_verify().await.unwrap(), (60, None));
        other.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_database_refuses_to_change_or_remove_entries() {
    on_every_database(async |database| {
        append(&database.store, "dana", 0).await;
        // Opening again makes the guard again, and changes nothing.
        Store::open(&database.url).await.unwrap().close().await;
        let raw = database.raw().await;
        let mut statements = vec![
            "update audit_log set actor = 'mira'",
            "delete from audit_log",
        ];
        if database.kind == Kind::Postgres {
            statements.push("truncate audit_log");
        }
        for statement in statements {
            let error = sqlx::query(statement).execute(&raw).await.unwrap_err();
            assert!(
                error.to_string().contains("audit_log is append-only"),
                "{statement}: {error}"
            );
        }
        raw.close().await;
        assert_eq!(database.store.audit_verify().await.unwrap(), (1, None));
    })
    .await;
}

/// Somebody with the database's password takes the guard away and alters one entry in each of the ways there are.
#[tokio::test]
async fn a_forgery_is_found_where_it_was_done() {
    for forgery in [
        "update audit_log set actor = 'mira' where sequence = 3",
        "update audit_log set at = at + 1 where sequence = 3",
        "update audit_log set reason = null where sequence = 3",
        "update audit_log set body = replace(body, 'submitted', 'done') where sequence = 3",
        "update audit_log set body = '{}' where sequence = 3",
        "update audit_log set event = 'signed_in' where sequence = 3",
        "update audit_log set subject = null where sequence = 3",
        "update audit_log set hash = 'aa' where sequence = 3",
        "delete from audit_log where sequence = 3",
        "update audit_log set sequence = 9 where sequence = 3",
    ] {
        on_every_database(async |database| {
            for number in 0..5 {
                append(&database.store, "dana", number).await;
            }
            without_guard(database, forgery).await;
            assert_eq!(
                database.store.audit_verify().await.unwrap(),
                (2, Some(3)),
                "{forgery} on {:?}",
                database.kind
            );
        })
        .await;
    }
}

async fn without_guard(database: &Database, statement: &str) {
    let raw = database.raw().await;
    let take_away = match database.kind {
        Kind::Sqlite => {
            "drop trigger audit_log_is_never_updated; drop trigger audit_log_is_only_shortened"
        }
        Kind::Postgres => "alter table audit_log disable trigger all",
    };
    sqlx::raw_sql(take_away).execute(&raw).await.unwrap();
    let changed = sqlx::query(statement).execute(&raw).await.unwrap();
    assert_eq!(changed.rows_affected(), 1, "{statement}");
    raw.close().await;
}
