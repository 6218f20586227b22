//! The change feed: heard after the commit and never before, in order, without gaps.

use crate::databases::on_every_database;
use crate::samples::*;
use std::time::Duration;
use switchback_domain::ids::DeploymentId;
use switchback_store::Store;
use switchback_store::records::ChangeRecord;

/// More than any database here needs, and less than anybody's patience.
const BOUND: Duration = Duration::from_secs(20);

#[tokio::test]
async fn subscribers_hear_after_the_commit_and_not_before() {
    on_every_database(async |database| {
        let store = &database.store;
        let mut receiver = store.subscribe();
        assert_eq!(*receiver.borrow_and_update(), 0);
        let deployment = DeploymentId::new("dep-1");
        let mut tx = store.begin().await.unwrap();
        assert_eq!(
            tx.change_append("deployment", "dep-1", Some(&deployment), at(0))
                .await
                .unwrap(),
            1
        );
        assert_eq!(
            tx.change_append("service", "svc-1", None, at(0))
                .await
                .unwrap(),
            2
        );
        assert!(!receiver.has_changed().unwrap(), "heard before the commit");
        assert_eq!(store.change_latest().await.unwrap(), 0);
        tx.commit().await.unwrap();
        assert!(
            receiver.has_changed().unwrap(),
            "not heard after the commit"
        );
        assert_eq!(*receiver.borrow_and_update(), 2);

        let mut undone = store.begin().await.unwrap();
        assert_eq!(
            undone
                .change_append("service", "svc-2", None, at(1))
                .await
                .unwrap(),
            3
        );
        drop(undone);
        let mut silent = store.begin().await.unwrap();
        silent.service_upsert(&service("web")).await.unwrap();
        silent.commit().await.unwrap();
        assert!(
            !receiver.has_changed().unwrap(),
            "heard of what was undone, or of nothing"
        );

        assert_eq!(
            store.change_list(0, 10).await.unwrap(),
            [
                ChangeRecord {
                    sequence: 1,
                    kind: "deployment".to_string(),
                    subject: "dep-1".to_string(),
                    deployment_id: Some("dep-1".to_string()),
                    at: at(0),
                },
                ChangeRecord {
                    sequence: 2,
                    kind: "service".to_string(),
                    subject: "svc-1".to_string(),
                    deployment_id: None,
                    at: at(0),
                },
            ]
        );
        assert_eq!(store.change_list(1, 10).await.unwrap().len(), 1);
        assert_eq!(store.change_list(0, 1).await.unwrap().len(), 1);
        let again = Store::open(&database.url).await.unwrap();
        assert_eq!(
            *again.subscribe().borrow(),
            2,
            "a new process begins where the last one ended"
        );
        again.close().await;
    })
    .await;
}

/// A reader who wakes for a number finds that change and all before it, while several tasks write.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_never_misses_a_change() {
    on_every_database(async |database| {
        const WRITERS: i64 = 4;
        const EACH: i64 = 15;
        let mut receiver = database.store.subscribe();
        let mut tasks = Vec::new();
        for writer in 0..WRITERS {
            let store = database.store.clone();
            tasks.push(tokio::spawn(async move {
                for _ in 0..EACH {
                    let mut tx = store.begin().await.unwrap();
                    tx.change_append("metrics", &format!("writer-{writer}"), None, at(0))
                        .await
                        .unwrap();
                    tx.commit().await.unwrap();
                }
            }));
        }
        let mut seen = 0;
        tokio::time::timeout(BOUND, async {
            while seen < WRITERS * EACH {
                receiver.changed().await.unwrap();
                let told = *receiver.borrow_and_update();
                for change in database.store.change_list(seen, 1000).await.unwrap() {
                    assert_eq!(change.sequence, seen + 1, "a gap became visible");
                    seen = change.sequence;
                }
                assert!(seen >= told, "told of a change that cannot be read");
            }
        })
        .await
        .unwrap();
        for task in tasks {
            task.await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn only_the_last_hundred_thousand_are_kept() {
    on_every_database(async |database| {
        let store = &database.store;
        assert_eq!(store.change_oldest().await.unwrap(), None);
        let raw = database.raw().await;
        for sequence in [1_i64, 2, 3, 100_001] {
            sqlx::query(
                "insert into changes (sequence, kind, subject, at) values ($1, 'gate', 'x', 0)",
            )
            .bind(sequence)
            .execute(&raw)
            .await
            .unwrap();
        }
        raw.close().await;
        let mut tx = store.begin().await.unwrap();
        assert_eq!(
            tx.change_append("coverage", "x", None, at(0))
                .await
                .unwrap(),
            100_002
        );
        tx.commit().await.unwrap();
        assert_eq!(store.change_oldest().await.unwrap(), Some(3));
        assert_eq!(store.change_latest().await.unwrap(), 100_002);
    })
    .await;
}
