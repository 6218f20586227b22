//! Checkpoints over the audit log, and the removal of old segments: what the database refuses, and what verification finds
//! when somebody with the database's password goes past that.

use crate::databases::Database;
use crate::databases::Kind;
use crate::databases::on_every_database;
use crate::samples::*;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::audit::chain_hash;
use switchback_domain::audit::chain_start;
use switchback_domain::checkpoint::Checkpoint;
use switchback_domain::checkpoint::SealingKey;
use switchback_domain::checkpoint::checkpoints_start;
use switchback_store::ChainWalk;
use switchback_store::Store;

fn key() -> SealingKey {
    SealingKey::from_seed(&[7; 32])
}

async fn append(store: &Store, count: i64) {
    let mut tx = store.begin().await.unwrap();
    for number in 0..count {
        tx.audit_append(&entry("dana", number)).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn seal(store: &Store, until: i64) -> Checkpoint {
    let last = store.checkpoint_latest().await.unwrap();
    let mut walk = match &last {
        Some(last) => ChainWalk::behind(last.sequence, last.hash.clone()),
        None => ChainWalk::default(),
    };
    store.audit_walk_to(&mut walk, until).await.unwrap();
    assert_eq!((walk.verified, &walk.fault), (until, &None));
    let previous = last.map_or_else(checkpoints_start, |last| last.digest());
    let sealed = Checkpoint::signed(&key(), until, walk.head().clone(), at(until), previous);
    let mut tx = store.begin().await.unwrap();
    tx.audit_key_insert(&key().public(), None, at(0))
        .await
        .unwrap();
    tx.checkpoint_insert(&sealed).await.unwrap();
    tx.commit().await.unwrap();
    sealed
}

/// Ten entries, sealed to 4 and to 8.
async fn sealed_log(store: &Store) -> [Checkpoint; 2] {
    append(store, 10).await;
    [seal(store, 4).await, seal(store, 8).await]
}

async fn fault(store: &Store) -> Option<(i64, String)> {
    let mut walk = ChainWalk::default();
    while !store.audit_verify_on(&mut walk).await.unwrap() {}
    walk.fault
        .map(|fault| (fault.sequence.unwrap(), fault.what))
}

async fn without_guard(database: &Database, statements: &str) {
    let raw = database.raw().await;
    let take_away = match database.kind {
        Kind::Sqlite => {
            "drop trigger audit_log_is_never_updated; drop trigger audit_log_is_only_shortened;
             drop trigger audit_checkpoints_are_never_updated; drop trigger audit_checkpoints_are_never_deleted;"
        }
        Kind::Postgres => {
            "alter table audit_log disable trigger all; alter table audit_checkpoints disable trigger all;"
        }
    };
    sqlx::raw_sql(take_away).execute(&raw).await.unwrap();
    sqlx::raw_sql(statements).execute(&raw).await.unwrap();
    raw.close().await;
}

#[tokio::test]
async fn a_sealed_log_is_good_and_its_seals_are_never_changed() {
    on_every_database(async |database| {
        let store = &database.store;
        let sealed = sealed_log(store).await;
        assert_eq!(fault(store).await, None);
        assert_eq!(store.checkpoint_list(0, 10).await.unwrap(), sealed);
        assert_eq!(store.checkpoint_list(4, 10).await.unwrap(), sealed[1..]);
        // A second one over the same entry.
        let mut tx = store.begin().await.unwrap();
        assert!(tx.checkpoint_insert(&sealed[1]).await.is_err());
        drop(tx);
        // A walk that goes on later holds the checkpoints that were signed since against what it saw before.
        let mut walk = ChainWalk::default();
        assert!(store.audit_verify_on(&mut walk).await.unwrap());
        assert_eq!(walk.sealed(), 8);
        seal(store, 10).await;
        assert!(store.audit_verify_on(&mut walk).await.unwrap());
        assert_eq!((walk.sealed(), &walk.fault), (10, &None));

        let raw = database.raw().await;
        for statement in [
            "update audit_checkpoints set at = at + 1",
            "delete from audit_checkpoints",
            "update audit_keys set public_key = 'x'",
            "delete from audit_keys",
            "delete from audit_log where sequence <= 4",
        ] {
            let error = sqlx::query(statement).execute(&raw).await.unwrap_err();
            assert!(
                error.to_string().contains("append-only"),
                "{statement}: {error}"
            );
        }
        raw.close().await;
    })
    .await;
}

/// The whole rest of the log written anew from an entry on, every hash as it has to be.
fn fork(from: i64, to: i64) -> String {
    let mut before = chain_start();
    let mut statements = String::new();
    for sequence in 1..=to {
        let mut entry = entry("dana", sequence - 1);
        if sequence == from {
            entry.actor = "mira".to_string();
        }
        before = chain_hash(&before, sequence, &entry);
        if sequence >= from {
            let actor = &entry.actor;
            statements.push_str(&format!(
                "update audit_log set actor = '{actor}', hash = '{before}' where sequence = {sequence};"
            ));
        }
    }
    statements
}

#[tokio::test]
async fn every_way_to_tamper_is_found_and_the_place_named() {
    let cases: Vec<(&str, String, i64, &str)> = vec![
        (
            "edit",
            "update audit_log set actor = 'mira' where sequence = 3".to_string(),
            3,
            "altered",
        ),
        (
            "delete",
            "delete from audit_log where sequence = 3".to_string(),
            3,
            "missing",
        ),
        (
            "reorder",
            "update audit_log set sequence = 99 where sequence = 5; update audit_log set sequence = 5 where sequence = 6;
             update audit_log set sequence = 6 where sequence = 99"
                .to_string(),
            5,
            "altered",
        ),
        (
            "insert",
            "update audit_log set sequence = sequence + 100 where sequence > 6; update audit_log set sequence = sequence - 99 where sequence > 100;
             insert into audit_log (sequence, at, actor, event, body, hash) values (7, 1, 'mira', 'signed_in', '{\"event\":\"signed_in\"}', 'aa')"
                .to_string(),
            7,
            "altered",
        ),
        (
            "truncate",
            "delete from audit_log where sequence > 6".to_string(),
            7,
            "missing, and everything up to entry 8",
        ),
        ("fork", fork(6, 10), 8, "written anew"),
        ("fork before the first seal", fork(2, 10), 4, "written anew"),
        (
            "cut off at the front",
            "delete from audit_log where sequence <= 4".to_string(),
            1,
            "nothing tells",
        ),
        (
            "a seal taken away",
            "delete from audit_checkpoints where sequence = 4".to_string(),
            8,
            "does not follow",
        ),
        (
            "an old seal put in the place of a newer one",
            "delete from audit_checkpoints where sequence = 8;
             insert into audit_checkpoints (sequence, hash, at, previous, key_id, signature)
             select 8, hash, at, previous, key_id, signature from audit_checkpoints where sequence = 4"
                .to_string(),
            8,
            "does not follow",
        ),
        (
            "a seal altered",
            "update audit_checkpoints set at = at + 1 where sequence = 8".to_string(),
            8,
            "signature",
        ),
    ];
    for (name, statements, place, words) in cases {
        on_every_database(async |database| {
            sealed_log(&database.store).await;
            without_guard(database, &statements).await;
            let (found, what) = fault(&database.store).await.unwrap();
            assert_eq!(found, place, "{name} on {:?}: {what}", database.kind);
            assert!(
                what.contains(words),
                "{name} on {:?}: {what}",
                database.kind
            );
        })
        .await;
    }
}

/// What a server verified before is cut off while it runs, and something else is written in its place.
#[tokio::test]
async fn what_is_cut_off_behind_a_walk_is_found_when_it_goes_on() {
    on_every_database(async |database| {
        let store = &database.store;
        append(store, 5).await;
        let mut walk = ChainWalk::default();
        assert!(store.audit_verify_on(&mut walk).await.unwrap());
        assert_eq!((walk.verified, &walk.fault), (5, &None));
        without_guard(database, "delete from audit_log where sequence > 3").await;
        append(store, 3).await;
        assert!(store.audit_verify_on(&mut walk).await.unwrap());
        assert_eq!(walk.broken_at(), Some(5));
    })
    .await;
}

fn tombstone(first: i64, sealed: &Checkpoint) -> AuditEntry {
    let event = AuditEvent::SegmentRemoved {
        first,
        last: sealed.sequence,
        last_hash: sealed.hash.clone(),
        checkpoint: sealed.digest(),
    };
    AuditEntry::new(at(50), "switchback", event)
}

#[tokio::test]
async fn whole_old_segments_are_removed_and_nothing_else() {
    on_every_database(async |database| {
        let store = &database.store;
        let [first, second] = sealed_log(store).await;
        seal(store, 10).await;
        let old = store.checkpoint_to_remove(at(9), 1, 100).await.unwrap();
        assert_eq!(old.as_ref(), Some(&second));
        // At most so many at once; where one segment is more, that one.
        for until in [5, 2] {
            let old = store.checkpoint_to_remove(at(9), 1, until).await.unwrap();
            assert_eq!(old.as_ref(), Some(&first));
        }
        assert_eq!(
            store.checkpoint_to_remove(at(4), 1, 100).await.unwrap(),
            None
        );

        // A tombstone that was not written in the log allows nothing.
        let mut tx = store.begin().await.unwrap();
        assert!(tx.audit_remove(4, 3).await.is_err());
        drop(tx);
        // Nor does one over an entry that no checkpoint covers.
        let mut tx = store.begin().await.unwrap();
        let told = tx.audit_append(&tombstone(1, &first)).await.unwrap();
        assert!(tx.audit_remove(5, told).await.is_err());
        drop(tx);

        for (from, sealed) in [(1, &first), (5, &second)] {
            let mut tx = store.begin().await.unwrap();
            let told = tx.audit_append(&tombstone(from, sealed)).await.unwrap();
            assert_eq!(tx.audit_remove(sealed.sequence, told).await.unwrap(), 4);
            tx.commit().await.unwrap();
            assert_eq!(store.audit_first().await.unwrap(), sealed.sequence + 1);
            assert_eq!(fault(store).await, None);
        }
        append(store, 1).await;
        assert_eq!(fault(store).await, None);
        assert_eq!(store.audit_verify().await.unwrap(), (13, None));
        // What is left is as guarded as before.
        let raw = database.raw().await;
        let refused = sqlx::query("delete from audit_log where sequence = 9")
            .execute(&raw)
            .await;
        assert!(refused.unwrap_err().to_string().contains("append-only"));
        raw.close().await;
        // One entry more than was told of.
        without_guard(database, "delete from audit_log where sequence = 9").await;
        assert_eq!(fault(store).await.unwrap().0, 1);
    })
    .await;
}
