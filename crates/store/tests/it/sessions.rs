//! Sessions of browsers.

use crate::databases::on_every_database;
use crate::samples::at;
use switchback_domain::ids::SessionId;
use switchback_domain::ids::UserId;
use switchback_domain::sign_in::SessionTimes;
use switchback_domain::sign_in::SignInMethod;
use switchback_store::records::SessionRecord;

fn session(number: u8, user: &str) -> SessionRecord {
    SessionRecord {
        id: SessionId::from_random([number; 8]),
        token_sha256: format!("{number:02x}").repeat(32),
        user_id: UserId::new(user),
        method: SignInMethod::Oidc,
        groups: vec!["release".to_string()],
        created_at: at(0),
        times: SessionTimes {
            last_used_at: at(0),
            ends_at: at(100),
            fresh_at: at(0),
        },
        ended_at: None,
        client_address: "192.0.2.1".to_string(),
        user_agent: "Firefox on Linux".to_string(),
        id_token: Some("token".to_string()),
        kept_form: None,
    }
}

#[tokio::test]
async fn a_session_is_used_renewed_and_ended() {
    on_every_database(async |database| {
        let store = &database.store;
        let (one, two, other) = (
            session(1, "usr-1"),
            session(2, "usr-1"),
            session(3, "usr-2"),
        );
        let mut tx = store.begin().await.unwrap();
        for session in [&one, &two, &other] {
            tx.session_insert(session).await.unwrap();
        }
        tx.session_touch(&two.id, at(5)).await.unwrap();
        tx.session_touch(&two.id, at(4)).await.unwrap();
        tx.session_keep_form(&one.id, Some("{}")).await.unwrap();
        tx.session_set_groups(&one.user_id, &[]).await.unwrap();
        tx.commit().await.unwrap();

        let found = store
            .session_fetch(&one.token_sha256)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            found,
            SessionRecord {
                kept_form: Some("{}".to_string()),
                groups: vec![],
                ..one.clone()
            }
        );
        let listed = store.session_list(&one.user_id).await.unwrap();
        let ids: Vec<&SessionId> = listed.iter().map(|session| &session.id).collect();
        assert_eq!(
            ids,
            [&two.id, &one.id],
            "the last used first, nobody else's"
        );
        assert_eq!(listed[0].times.last_used_at, at(5), "use never goes back");
        let others = store
            .session_fetch(&other.token_sha256)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(others.groups, ["release"], "of another user");

        let mut tx = store.begin().await.unwrap();
        let new = "ee".repeat(32);
        assert!(tx.session_rotate(&one, &new, at(6)).await.unwrap());
        assert!(
            !tx.session_rotate(&one, &"ff".repeat(32), at(7))
                .await
                .unwrap(),
            "only once"
        );
        assert!(
            !tx.session_end(&other.user_id, &one.id, at(8))
                .await
                .unwrap(),
            "not by another user"
        );
        assert!(tx.session_end(&one.user_id, &two.id, at(8)).await.unwrap());
        assert!(
            !tx.session_end(&one.user_id, &two.id, at(9)).await.unwrap(),
            "only once"
        );
        tx.session_touch(&two.id, at(9)).await.unwrap();
        tx.commit().await.unwrap();

        assert_eq!(store.session_fetch(&one.token_sha256).await.unwrap(), None);
        assert_eq!(store.session_fetch(&two.token_sha256).await.unwrap(), None);
        let renewed = store.session_fetch(&new).await.unwrap().unwrap();
        assert_eq!(
            (renewed.id, renewed.times.fresh_at),
            (one.id.clone(), at(6))
        );
        assert_eq!(
            store.session_list_ended(at(8)).await.unwrap(),
            std::slice::from_ref(&two.token_sha256)
        );
        assert!(store.session_list_ended(at(9)).await.unwrap().is_empty());

        // All but one, and then all.
        let mut tx = store.begin().await.unwrap();
        assert_eq!(
            tx.session_end_all(&one.user_id, Some(&one.id), at(10))
                .await
                .unwrap(),
            0
        );
        assert_eq!(
            tx.session_end_all(&one.user_id, None, at(10))
                .await
                .unwrap(),
            1
        );
        assert_eq!(tx.session_forget(at(99)).await.unwrap(), 0);
        assert_eq!(tx.session_forget(at(100)).await.unwrap(), 3);
        tx.commit().await.unwrap();
        assert_eq!(
            store.session_fetch(&other.token_sha256).await.unwrap(),
            None
        );
    })
    .await;
}
