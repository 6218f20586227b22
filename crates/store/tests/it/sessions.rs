//! Browser sessions as tower-sessions uses them.

use crate::databases::on_every_database;
use crate::samples::at;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use switchback_domain::moment::Moment;
use switchback_store::SessionStore;
use time::OffsetDateTime;
use tower_sessions_core::SessionStore as _;
use tower_sessions_core::session::Id;
use tower_sessions_core::session::Record;

fn session(id: i128, seconds: i64) -> Record {
    Record {
        id: Id(id),
        data: HashMap::from([("user".to_string(), serde_json::json!({"name": "dana"}))]),
        expiry_date: OffsetDateTime::from_unix_timestamp_nanos(
            i128::from(at(seconds).millis()) * 1_000_000,
        )
        .unwrap(),
    }
}

#[tokio::test]
async fn sessions_live_until_they_expire() {
    on_every_database(async |database| {
        let now = Arc::new(AtomicI64::new(at(0).millis()));
        let clock = Arc::clone(&now);
        let sessions = SessionStore::new(database.store.clone(), move || {
            Moment::from_millis(clock.load(Ordering::Relaxed))
        });
        let mut one = session(-1, 10);
        let mut two = session(i128::MAX, 20);
        sessions.create(&mut one).await.unwrap();
        sessions.create(&mut two).await.unwrap();
        assert_eq!(sessions.load(&one.id).await.unwrap(), Some(one.clone()));
        one.data.insert("csrf".to_string(), serde_json::json!("x"));
        sessions.save(&one).await.unwrap();
        assert_eq!(sessions.load(&one.id).await.unwrap(), Some(one.clone()));

        // An identifier that is taken is not taken over.
        let mut thief = session(-1, 50);
        thief.data.clear();
        sessions.create(&mut thief).await.unwrap();
        assert_ne!(thief.id, one.id);
        assert_eq!(sessions.load(&one.id).await.unwrap(), Some(one.clone()));
        sessions.delete(&thief.id).await.unwrap();
        assert_eq!(sessions.load(&thief.id).await.unwrap(), None);

        // A request that renews a session while somebody signs out of it does not bring it back.
        sessions.save(&thief).await.unwrap();
        assert_eq!(sessions.load(&thief.id).await.unwrap(), None);

        now.store(at(10).millis(), Ordering::Relaxed);
        assert_eq!(
            sessions.load(&one.id).await.unwrap(),
            None,
            "loaded although it has expired"
        );
        assert_eq!(sessions.load(&two.id).await.unwrap(), Some(two.clone()));
        assert_eq!(sessions.delete_expired(at(10)).await.unwrap(), 1);
        assert_eq!(sessions.delete_expired(at(20)).await.unwrap(), 1);
        assert_eq!(sessions.load(&two.id).await.unwrap(), None);
    })
    .await;
}
