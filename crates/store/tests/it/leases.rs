//! Who holds a lease, and what becomes of what another one writes.

use crate::databases::on_every_database;
use crate::samples::*;
use serde_json::json;
use std::time::Duration;
use switchback_domain::lease::Lease;
use switchback_store::Store;
use switchback_store::StoreError;

const NAME: &str = "account 123456789012";

async fn seen(store: &Store) -> Option<Lease> {
    let record = store.lease_fetch(NAME).await.unwrap();
    record.map(|record| record.lease)
}

#[tokio::test]
async fn it_is_taken_once_as_it_was_seen() {
    on_every_database(async |database| {
        let store = &database.store;
        assert_eq!(seen(store).await, None);
        assert_eq!(store.lease_take(NAME, "a", None).await.unwrap(), Some(1));
        // Who saw nothing, comes late.
        assert_eq!(store.lease_take(NAME, "b", None).await.unwrap(), None);
        let looks = json!({"eu-central-1": {"trouble": "none"}});
        assert!(store.lease_beat(NAME, 1, &looks).await.unwrap());
        let record = store.lease_fetch(NAME).await.unwrap().unwrap();
        assert_eq!(record.looks, looks);
        let before = Lease {
            beats: 0,
            ..record.lease.clone()
        };
        // It has beaten since it was seen.
        let late = store.lease_take(NAME, "b", Some(&before)).await.unwrap();
        assert_eq!(late, None);
        let taken = store.lease_take(NAME, "b", Some(&record.lease)).await;
        assert_eq!(taken.unwrap(), Some(2));
        assert!(!store.lease_beat(NAME, 1, &looks).await.unwrap());
        // The one who was overtaken gives back nothing.
        store.lease_give_back(NAME, 1).await.unwrap();
        assert_eq!(seen(store).await.unwrap().holder.as_deref(), Some("b"));
        store.lease_give_back(NAME, 2).await.unwrap();
        assert_eq!(seen(store).await.unwrap().holder, None);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_saw_the_same_one_wins() {
    on_every_database(async |database| {
        let store = &database.store;
        store.lease_take(NAME, "dead", None).await.unwrap();
        let seen = seen(store).await;
        let tries = (0..8).map(|number| {
            let (store, seen) = (store.clone(), seen.clone());
            tokio::spawn(async move {
                let me = format!("desk-{number}");
                store.lease_take(NAME, &me, seen.as_ref()).await.unwrap()
            })
        });
        let mut fences = Vec::new();
        for attempt in tries.collect::<Vec<_>>() {
            fences.extend(attempt.await.unwrap());
        }
        assert_eq!(fences, [2]);
    })
    .await;
}

#[tokio::test]
async fn who_lost_it_writes_nothing() {
    on_every_database(async |database| {
        let store = &database.store;
        store.lease_take(NAME, "a", None).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        tx.lease_hold(NAME, 1).await.unwrap();
        tx.service_upsert(&service("web")).await.unwrap();
        tx.commit().await.unwrap();

        let now = seen(store).await;
        store.lease_take(NAME, "b", now.as_ref()).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let refused = tx.lease_hold(NAME, 1).await;
        assert!(matches!(refused, Err(StoreError::LeaseLost { .. })));
    })
    .await;
}

/// While a transaction of the holder is open, the lease cannot change hands: what it writes is written before.
#[tokio::test]
async fn nobody_takes_it_in_the_middle_of_a_transaction() {
    on_every_database(async |database| {
        let store = &database.store;
        store.lease_take(NAME, "a", None).await.unwrap();
        let now = seen(store).await;
        let mut tx = store.begin().await.unwrap();
        tx.lease_hold(NAME, 1).await.unwrap();
        let other = store.clone();
        let taking =
            tokio::spawn(async move { other.lease_take(NAME, "b", now.as_ref()).await.unwrap() });
        // Not a wait for something to happen: time in which the wrong thing could.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!taking.is_finished());
        tx.service_upsert(&service("web")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(taking.await.unwrap(), Some(2));
    })
    .await;
}

/// Two stores on one database are two processes as far as PostgreSQL can tell.
#[tokio::test]
async fn changes_of_another_process_are_heard() {
    on_every_database(async |database| {
        let here = &database.store;
        if !here.is_shared() {
            return;
        }
        let mut heard = here.subscribe();
        let listening = {
            let store = here.clone();
            tokio::spawn(async move { store.hear_other_processes().await })
        };
        let there = Store::open(&database.url).await.unwrap();
        let told = async {
            loop {
                // The listener may not be connected yet, so it is told until it hears.
                let mut tx = there.begin().await.unwrap();
                let sequence = tx.change_append("service", "svc-1", None, at(0)).await;
                tx.commit().await.unwrap();
                let wait = tokio::time::timeout(Duration::from_millis(200), heard.changed());
                if wait.await.is_ok() {
                    assert!(*heard.borrow() <= sequence.unwrap());
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), told)
            .await
            .expect("the other process's change is heard");
        listening.abort();
        there.close().await;
    })
    .await;
}
