//! Events that the webhook took: each once, oldest first, until they are heard or nobody hears them for an hour.

use crate::databases::on_every_database;
use crate::samples::*;

#[tokio::test]
async fn an_event_waits_until_it_is_heard() {
    on_every_database(async |database| {
        let store = &database.store;
        let mut tx = store.begin().await.unwrap();
        assert!(tx.event_hint_insert("e-2", "two", at(1)).await.unwrap());
        assert!(tx.event_hint_insert("e-1", "one", at(2)).await.unwrap());
        assert!(!tx.event_hint_insert("e-2", "again", at(3)).await.unwrap());
        tx.commit().await.unwrap();
        let waiting = |events: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = |(id, text): &(&str, &str)| (id.to_string(), text.to_string());
            events.iter().map(owned).collect()
        };
        assert_eq!(
            store.event_hint_list().await.unwrap(),
            waiting(&[("e-2", "two"), ("e-1", "one")])
        );
        let mut tx = store.begin().await.unwrap();
        tx.event_hint_delete("e-2").await.unwrap();
        tx.event_hint_delete("e-2").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(
            store.event_hint_list().await.unwrap(),
            waiting(&[("e-1", "one")])
        );
        let mut tx = store.begin().await.unwrap();
        let later = at(2).plus_seconds(3601);
        assert!(tx.event_hint_insert("e-3", "three", later).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(
            store.event_hint_list().await.unwrap(),
            waiting(&[("e-3", "three")])
        );
    })
    .await;
}
