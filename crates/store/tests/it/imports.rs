//! The import of a past, the watch and its gaps, and what served when it is told in any order.

use crate::databases::on_every_database;
use crate::samples::*;
use switchback_domain::coverage::FirstSeen;
use switchback_domain::coverage::GapCause;
use switchback_domain::digest::Digest;
use switchback_domain::import::ImportState;
use switchback_store::StoreError;
use switchback_store::records::GapRecord;
use switchback_store::records::ImportItemKind;
use switchback_store::records::ImportRecord;
use switchback_store::records::Sight;

#[tokio::test]
async fn an_import_goes_on_from_its_row() {
    on_every_database(async |database| {
        let store = &database.store;
        let kind = ImportItemKind::Deployment;
        let begin = async || {
            let mut tx = store.begin().await.unwrap();
            let begun = tx.import_begin(ACCOUNT, REGION, at(0)).await.unwrap();
            tx.commit().await.unwrap();
            begun
        };
        assert_eq!(store.import_fetch(ACCOUNT, REGION).await.unwrap(), None);
        assert!(begin().await);
        assert!(!begin().await, "an import begins once");
        let mut import = store.import_fetch(ACCOUNT, REGION).await.unwrap().unwrap();
        assert_eq!(import, ImportRecord::begun(ACCOUNT, REGION, at(0)));

        // The same page listed again adds nothing.
        let ids: Vec<String> = ["d-3", "d-2", "d-1"].map(str::to_string).to_vec();
        let mut tx = store.begin().await.unwrap();
        assert_eq!(
            tx.import_item_add(&import, kind, &ids[..2], 0)
                .await
                .unwrap(),
            2
        );
        assert_eq!(tx.import_item_add(&import, kind, &ids, 0).await.unwrap(), 1);
        import.state = ImportState::Reading;
        import.next_token = Some("token".to_string());
        import.listed = 3;
        import.settled = 2;
        import.forgotten = 1;
        import.not_watched = 1;
        import.definitions_listed = 5;
        import.definitions_settled = 4;
        import.trouble = Some("throttled".to_string());
        import.completed_at = Some(at(9));
        import.generation = tx.import_update(&import).await.unwrap();
        tx.commit().await.unwrap();
        let stored = store.import_fetch(ACCOUNT, REGION).await.unwrap().unwrap();
        assert_eq!(stored, import);
        assert_eq!(store.import_list().await.unwrap(), [stored]);
        let stale = ImportRecord {
            generation: 1,
            ..import.clone()
        };
        let mut tx = store.begin().await.unwrap();
        let lost = tx.import_update(&stale).await;
        assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
        drop(tx);

        let listed = async || {
            let items = store.import_item_list_listed(&import, kind, 10).await;
            let items = items.unwrap();
            items
                .into_iter()
                .map(|item| item.subject)
                .collect::<Vec<_>>()
        };
        assert_eq!(listed().await, ids);
        // One is read, one forgotten, one cannot be read now.
        let mut tx = store.begin().await.unwrap();
        tx.import_item_read(&import, "d-3", "shop", "web-group", at(30), "{}")
            .await
            .unwrap();
        tx.import_item_forget(&import, kind, "d-2").await.unwrap();
        tx.import_item_postpone(&import, kind, "d-1").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(listed().await, ["d-1"]);
        let read = store.import_item_list_read(&import, 10).await.unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].subject, "d-3");
        assert_eq!(read[0].created_at, Some(at(30)));
        assert_eq!(read[0].reading.as_deref(), Some("{}"));
        let before = async |moment| {
            let found = store
                .import_item_list_before(&import, "shop", "web-group", moment, 10)
                .await;
            found.unwrap().len()
        };
        assert_eq!((before(at(30)).await, before(at(31)).await), (0, 1));
        let between = async |newer, older| {
            let found = store.import_has_forgotten_between(&import, newer, older);
            found.await.unwrap()
        };
        assert!(between(0, 2).await);
        assert!(!between(0, 1).await);
        // What is settled is known still, until everything is.
        let mut tx = store.begin().await.unwrap();
        tx.import_item_settle(&import, kind, "d-3").await.unwrap();
        tx.commit().await.unwrap();
        assert!(
            store
                .import_item_list_read(&import, 10)
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(before(at(31)).await, 1);
        let mut tx = store.begin().await.unwrap();
        tx.import_item_clear(&import).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(store.import_item_fetch(&import, "d-3").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_app_spec_is_kept_once() {
    on_every_database(async |database| {
        let store = &database.store;
        let digest = Digest::of_bytes(b"version: 0.0");
        let mut tx = store.begin().await.unwrap();
        for content in ["version: 0.0", "another"] {
            tx.app_spec_insert(ACCOUNT, REGION, "shop", &digest, content)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        let fetch = async |application| {
            let found = store.app_spec_fetch(ACCOUNT, REGION, application, &digest);
            found.await.unwrap()
        };
        assert_eq!(fetch("shop").await.as_deref(), Some("version: 0.0"));
        assert_eq!(fetch("other").await, None);
    })
    .await;
}

#[tokio::test]
async fn a_gap_tells_what_was_seen_afterwards() {
    on_every_database(async |database| {
        let store = &database.store;
        let (web, _) = recorded(store).await;
        let gap = GapRecord {
            account: ACCOUNT.to_string(),
            region: REGION.to_string(),
            from: at(100),
            to: at(200),
            cause: GapCause::LookFailed,
            detail: Some("codedeploy:ListDeployments: ThrottlingException".to_string()),
        };
        let mut tx = store.begin().await.unwrap();
        assert!(tx.gap_insert(&gap).await.unwrap());
        assert!(!tx.gap_insert(&gap).await.unwrap(), "told twice");
        for (aws_id, seconds, first_seen) in [
            ("d-10", 100, FirstSeen::SeenLate),
            ("d-11", 199, FirstSeen::SeenLate),
            ("d-12", 150, FirstSeen::AsItHappened),
            ("d-13", 200, FirstSeen::SeenLate),
        ] {
            let mut one = bare_deployment(&web, aws_id, at(seconds));
            one.sight = Sight {
                first_seen: Some(first_seen),
                previous_unknown: None,
            };
            assert!(tx.deployment_insert(&one).await.unwrap());
        }
        tx.commit().await.unwrap();
        for (after, until, found) in [
            (None, None, 1),
            (Some(at(199)), Some(at(200)), 1),
            (Some(at(200)), None, 0),
            (None, Some(at(199)), 0),
        ] {
            let gaps = store.gap_list(after, until, 10).await.unwrap();
            assert_eq!(gaps.len(), found, "{after:?} {until:?}");
            assert!(gaps.iter().all(|one| *one == (gap.clone(), 2)), "{gaps:?}");
        }
        for (seconds, found) in [(99, 0), (100, 1), (199, 1), (200, 0)] {
            let gaps = store
                .gap_list_at(ACCOUNT, REGION, at(seconds))
                .await
                .unwrap();
            assert_eq!(gaps.len(), found, "{seconds}");
        }
        let first = store.deployment_first(ACCOUNT, REGION).await.unwrap();
        assert_eq!(first.map(|(_, began)| began), Some(at(0)));
    })
    .await;
}

/// A watch that an earlier version began counts from that version's mark.
#[tokio::test]
async fn a_watch_begins_once() {
    on_every_database(async |database| {
        let store = &database.store;
        let mut tx = store.begin().await.unwrap();
        tx.watch_mark_set(ACCOUNT, REGION, at(5)).await.unwrap();
        tx.commit().await.unwrap();
        let old = store.watch_fetch(ACCOUNT, REGION).await.unwrap().unwrap();
        assert_eq!((old.watched_since, old.good_look_at), (None, None));
        for seconds in [50, 60] {
            let mut tx = store.begin().await.unwrap();
            for region in [REGION, "us-east-1"] {
                tx.watch_begin(ACCOUNT, region, at(seconds)).await.unwrap();
            }
            tx.commit().await.unwrap();
        }
        let mut tx = store.begin().await.unwrap();
        tx.good_look_set(ACCOUNT, "us-east-1", at(70))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let watches = store.watch_list().await.unwrap();
        let facts: Vec<_> = watches
            .iter()
            .map(|watch| (watch.listed_until, watch.watched_since, watch.good_look_at))
            .collect();
        assert_eq!(
            facts,
            [
                (at(5), Some(at(5)), Some(at(5))),
                (at(50), Some(at(50)), Some(at(70))),
            ]
        );
    })
    .await;
}

/// Whether the past is read forwards or backwards, or one deployment later than its neighbours: what served when comes
/// out the same.
#[tokio::test]
async fn what_served_may_be_told_backwards() {
    on_every_database(async |database| {
        let store = &database.store;
        // Three deployments, from 1 to 2 to 1 to 3; each tells of its start and of its end.
        let facts = [(1, 10), (2, 20), (2, 30), (1, 40), (1, 50), (3, 60)];
        let orders = [
            [0, 1, 2, 3, 4, 5],
            [4, 5, 2, 3, 0, 1],
            [4, 5, 0, 1, 2, 3],
            [2, 3, 4, 5, 0, 1],
            [0, 1, 4, 5, 2, 3],
        ];
        for (number, order) in orders.into_iter().enumerate() {
            let service = service(&format!("web-{number}"));
            let mut tx = store.begin().await.unwrap();
            assert!(tx.service_upsert(&service).await.unwrap());
            // The watcher saw what serves now.
            tx.served_record(&service.id, &arn(3), at(70), 1000)
                .await
                .unwrap();
            for index in order {
                let (revision, seconds) = facts[index];
                tx.served_all_at(&service.id, &arn(revision), at(seconds))
                    .await
                    .unwrap();
            }
            tx.commit().await.unwrap();
            let served = store.served_list(&service.id).await.unwrap();
            let periods: Vec<_> = served
                .iter()
                .map(|one| (one.revision.number(), one.from, one.to))
                .collect();
            assert_eq!(
                periods,
                [
                    (1, at(10), Some(at(20))),
                    (2, at(20), Some(at(40))),
                    (1, at(40), Some(at(60))),
                    (3, at(60), None),
                ],
                "{order:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn since_when_a_revision_serves_follows_from_its_past() {
    on_every_database(async |database| {
        let store = &database.store;
        let mut web = service("web");
        let serving = web.serving_revision.clone().unwrap();
        web.serving_since = None;
        let mut tx = store.begin().await.unwrap();
        tx.service_upsert(&web).await.unwrap();
        // The watch sees that it serves; since when, nobody knows, so the service says nothing.
        tx.served_record(&web.id, &serving, at(100), 1000)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let since = async || {
            let stored = store.service_fetch(&web.id).await.unwrap().unwrap();
            (stored.serving_since, stored.generation)
        };
        assert_eq!(since().await, (None, 1));

        // Newest first: each older end of a deployment of the same revision moves it back, one of another does not.
        let other = arn(2);
        for (target, ended, expected) in [
            (&serving, 50, (Some(at(50)), 2)),
            (&serving, 40, (Some(at(40)), 3)),
            (&other, 30, (Some(at(40)), 3)),
            (&serving, 20, (Some(at(40)), 3)),
        ] {
            let mut tx = store.begin().await.unwrap();
            tx.served_all_at(&web.id, target, at(ended)).await.unwrap();
            tx.service_serving_since_its_period(&web.id, target)
                .await
                .unwrap();
            tx.commit().await.unwrap();
            assert_eq!(since().await, expected, "{target} at {ended}");
        }
        // Whoever read the service before has lost.
        let mut tx = store.begin().await.unwrap();
        let lost = tx.service_upsert(&web).await;
        assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
    })
    .await;
}
