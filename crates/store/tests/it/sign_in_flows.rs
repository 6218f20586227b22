//! Sign-ins by OpenID Connect, and the users who come that way.

use crate::databases::on_every_database;
use crate::samples::at;
use switchback_domain::ids::SessionId;
use switchback_domain::ids::UserId;
use switchback_store::StoreError;
use switchback_store::records::SignInFlowRecord;

#[tokio::test]
async fn a_sign_in_is_taken_once_in_its_browser_and_in_its_time() {
    on_every_database(async |database| {
        let store = &database.store;
        let flow = |state: &str, ends: i64| SignInFlowRecord {
            state_sha256: state.to_string(),
            browser_sha256: "browser".to_string(),
            nonce: "nonce".to_string(),
            pkce_verifier: "verifier".to_string(),
            return_to: "/gates/gate-1".to_string(),
            session: Some(SessionId::from_random([1; 8])),
            begun_at: at(0),
            ends_at: at(ends),
        };
        let (one, late) = (flow("one", 10), flow("late", 2));
        let mut tx = store.begin().await.unwrap();
        tx.sign_in_flow_insert(&one).await.unwrap();
        tx.sign_in_flow_insert(&late).await.unwrap();
        for (state, browser) in [
            ("one", "another"),
            ("other", "browser"),
            ("late", "browser"),
        ] {
            assert_eq!(
                tx.sign_in_flow_take(state, browser, at(2)).await.unwrap(),
                None,
                "{state} {browser}"
            );
        }
        assert_eq!(
            tx.sign_in_flow_take("one", "browser", at(9)).await.unwrap(),
            Some(one)
        );
        assert_eq!(
            tx.sign_in_flow_take("one", "browser", at(9)).await.unwrap(),
            None,
            "only once"
        );
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_user_of_the_provider_is_found_by_issuer_and_subject_only() {
    on_every_database(async |database| {
        let store = &database.store;
        let id = UserId::from_random([7; 8]);
        let mut tx = store.begin().await.unwrap();
        tx.user_insert_of_oidc(&id, "mira", "https://id.example", "s-1")
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(
            store
                .user_id_by_oidc("https://id.example", "s-1")
                .await
                .unwrap(),
            Some(id.clone())
        );
        assert_eq!(
            store
                .user_id_by_oidc("https://other.example", "s-1")
                .await
                .unwrap(),
            None
        );
        assert_eq!(
            store
                .user_id_by_oidc("https://id.example", "mira")
                .await
                .unwrap(),
            None
        );
        assert!(store.user_name_is_taken("Mira").await.unwrap());
        assert!(!store.user_name_is_taken("mir").await.unwrap());
        assert_eq!(
            store.user_fetch_by_id(&id).await.unwrap().unwrap().roles,
            []
        );
        // It is no local user: the first administrator can still be made.
        assert_eq!(store.user_count().await.unwrap(), 0);
        let other = UserId::from_random([8; 8]);
        for (name, subject) in [("mira", "s-2"), ("else", "s-1")] {
            let mut tx = store.begin().await.unwrap();
            let refused = tx
                .user_insert_of_oidc(&other, name, "https://id.example", subject)
                .await;
            assert!(
                matches!(refused, Err(StoreError::Conflict { .. })),
                "{name} {subject}: {refused:?}"
            );
        }
    })
    .await;
}
