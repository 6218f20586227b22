//! Who comes second is told so, and nothing of theirs is written.

use crate::databases::Kind;
use crate::databases::on_every_database;
use crate::samples::*;
use switchback_domain::operation::OperationState;
use switchback_store::Store;
use switchback_store::StoreError;

fn is_conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict { .. }))
}

#[tokio::test]
async fn the_second_update_of_a_generation_is_a_conflict() {
    on_every_database(async |database| {
        let store = &database.store;
        let (web, deployment) = recorded(store).await;
        let gate = gate(&deployment, "exec-1");
        let operation = operation(&web, 1);
        let mut tx = store.begin().await.unwrap();
        tx.gate_insert(&gate).await.unwrap();
        tx.operation_insert(&operation).await.unwrap();
        tx.commit().await.unwrap();

        let mut first = store.begin().await.unwrap();
        assert!(!first.service_upsert(&web).await.unwrap());
        assert_eq!(first.deployment_update(&deployment).await.unwrap(), 2);
        assert_eq!(first.gate_update(&gate).await.unwrap(), 2);
        assert_eq!(first.operation_update(&operation).await.unwrap(), 2);
        first.commit().await.unwrap();

        let mut second = store.begin().await.unwrap();
        let mut late = web.clone();
        late.name = "late".to_string();
        assert!(is_conflict(second.service_upsert(&late).await));
        assert!(is_conflict(second.deployment_update(&deployment).await));
        assert!(is_conflict(second.gate_update(&gate).await));
        assert!(is_conflict(second.operation_update(&operation).await));
        second.commit().await.unwrap();
        let stands = store.service_fetch(&web.id).await.unwrap().unwrap();
        assert_eq!((stands.name.as_str(), stands.generation), ("web", 2));
    })
    .await;
}

/// Two tabs, two people, two processes: until AWS has answered the first operation of a service there is no second.
#[tokio::test]
async fn a_service_has_one_operation_that_aws_has_not_answered() {
    on_every_database(async |database| {
        let store = &database.store;
        let (web, _) = recorded(store).await;
        let other = service("other");
        let mut first = operation(&web, 1);
        let mut tx = store.begin().await.unwrap();
        tx.service_upsert(&other).await.unwrap();
        tx.operation_insert(&first).await.unwrap();
        tx.commit().await.unwrap();
        for state in [
            OperationState::Intended,
            OperationState::Calling,
            OperationState::Unknown,
        ] {
            let mut tx = store.begin().await.unwrap();
            first.state = state;
            first.generation = tx.operation_update(&first).await.unwrap();
            tx.commit().await.unwrap();
            let mut tx = store.begin().await.unwrap();
            assert!(
                is_conflict(tx.operation_insert(&operation(&web, 2)).await),
                "{state:?}"
            );
        }
        let mut tx = store.begin().await.unwrap();
        tx.operation_insert(&operation(&other, 3)).await.unwrap();
        first.state = OperationState::Submitted;
        tx.operation_update(&first).await.unwrap();
        tx.operation_insert(&operation(&web, 2)).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
}

/// Many tasks increment one counter by load, decide, store; each lost race loads again. No increment is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_update_is_lost_between_two_processes() {
    on_every_database(async |database| {
        let (web, _) = recorded(&database.store).await;
        let mut tasks = Vec::new();
        for _ in 0..4 {
            // A store of its own is what another process has.
            let store = Store::open(&database.url).await.unwrap();
            let id = web.id.clone();
            tasks.push(tokio::spawn(async move {
                let mut stored = 0;
                while stored < 10 {
                    let mut service = store.service_fetch(&id).await.unwrap().unwrap();
                    service.desired_count += 1;
                    let mut tx = store.begin().await.unwrap();
                    match tx.service_upsert(&service).await {
                        Ok(_) => {
                            tx.commit().await.unwrap();
                            stored += 1;
                        }
                        Err(StoreError::Conflict { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
                store.close().await;
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let stands = database
            .store
            .service_fetch(&web.id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (stands.desired_count, stands.generation),
            (web.desired_count + 40, 41)
        );
    })
    .await;
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing() {
    on_every_database(async |database| {
        let store = &database.store;
        let mut tx = store.begin().await.unwrap();
        tx.service_upsert(&service("web")).await.unwrap();
        tx.audit_append(&entry("dana", 0)).await.unwrap();
        drop(tx);
        assert_eq!(store.service_list().await.unwrap(), []);
        assert_eq!(store.audit_verify().await.unwrap(), (0, None));
        // The connection is usable again.
        recorded(store).await;
    })
    .await;
}

/// Readers are not kept waiting by the writer, and do not see what is not committed.
#[tokio::test]
async fn readers_go_on_beside_a_writer() {
    on_every_database(async |database| {
        let store = &database.store;
        let mut tx = store.begin().await.unwrap();
        tx.service_upsert(&service("web")).await.unwrap();
        assert_eq!(store.service_list().await.unwrap(), []);
        tx.commit().await.unwrap();
        assert_eq!(store.service_list().await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_refused_without_repeating_it() {
    for url in [
        "",
        "mysql://root:secret@localhost/x",
        "sqlite:",
        "sqlite::memory:",
        "secret",
    ] {
        let error = Store::open(url).await.unwrap_err();
        assert!(matches!(error, StoreError::Url { .. }), "{url}: {error:?}");
        assert!(!error.to_string().contains("secret"));
    }
    let error = Store::open("sqlite:/nowhere/at/all.db").await.unwrap_err();
    assert!(!error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test]
async fn the_pragmas_are_in_force() {
    on_every_database(async |database| {
        if database.kind == Kind::Sqlite {
            let raw = database.raw().await;
            let (mode,): (String,) = sqlx::query_as("pragma journal_mode")
                .fetch_one(&raw)
                .await
                .unwrap();
            assert_eq!(mode, "wal");
            raw.close().await;
        }
    })
    .await;
}

/// SQLite has one server, so there is nobody who could wait for it.
#[tokio::test]
async fn a_transaction_that_stands_still_is_ended_and_others_go_on() {
    on_every_database(async |database| {
        let store = &database.store;
        if !store.is_shared() {
            return;
        }
        let web = service("web");
        let mut standing = store.begin().await.unwrap();
        assert!(standing.service_upsert(&web).await.unwrap());
        // Waits for the first one until the database has ended it, and then finds the place free.
        let mut other = store.begin().await.unwrap();
        assert!(other.service_upsert(&web).await.unwrap());
        other.commit().await.unwrap();
        standing.commit().await.unwrap_err();
        assert_eq!(store.service_list().await.unwrap(), [web]);
    })
    .await;
}
