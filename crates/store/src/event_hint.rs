//! Events that the webhook took, until the process that watches has heard them.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::row::Columns;
use crate::tx::Tx;
use switchback_domain::moment::Moment;

/// How many hints are read at once.
const AT_ONCE: i64 = 500;

/// How long a hint is kept that nobody hears, in milliseconds: whoever begins to watch later looks at everything.
const KEPT_MILLIS: i64 = 60 * 60 * 1000;

impl Store {
    /// The hints that wait, oldest first, at most 500: the event's id, and the text that the hint is read from.
    pub async fn event_hint_list(&self) -> Result<Vec<(String, String)>, StoreError> {
        sqlx::query_as(
            "select event_id, hint from event_hints order by received_at, event_id limit $1",
        )
        .bind(AT_ONCE)
        .fetch_all(&self.reader)
        .await
        .doing("reading the events that wait")
    }
}

impl Tx {
    /// Keeps a hint until it is heard. False when the same event waits already. Those that nobody heard for an hour are
    /// forgotten.
    pub async fn event_hint_insert(
        &mut self,
        event_id: &str,
        hint: &str,
        at: Moment,
    ) -> Result<bool, StoreError> {
        sqlx::query("delete from event_hints where received_at < $1")
            .bind(at.plus_millis(-KEPT_MILLIS).millis())
            .execute(self.connection())
            .await
            .doing("forgetting old events")?;
        let inserted = Columns::new()
            .with("event_id", event_id)
            .with("hint", hint)
            .with("received_at", at)
            .insert(
                self.connection(),
                "keeping an event",
                "insert into event_hints",
                "on conflict (event_id) do nothing",
            )
            .await?;
        Ok(inserted == 1)
    }

    /// Forgets a hint that was heard.
    pub async fn event_hint_delete(&mut self, event_id: &str) -> Result<(), StoreError> {
        sqlx::query("delete from event_hints where event_id = $1")
            .bind(event_id)
            .execute(self.connection())
            .await
            .doing("forgetting an event that was heard")?;
        Ok(())
    }
}
