//! Up to when AWS was listed for new deployments.
//!
//! Not the start of the latest deployment recorded: a hook may record one before the watcher has listed those before it.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::tx::Tx;
use switchback_domain::moment::Moment;

impl Store {
    /// Until when the deployments of an account and region are all recorded; `None` before the first listing.
    pub async fn watch_mark_fetch(
        &self,
        account: &str,
        region: &str,
    ) -> Result<Option<Moment>, StoreError> {
        let row: Option<(i64,)> = sqlx::query_as(
            "select listed_until from watch_marks where account = $1 and region = $2",
        )
        .bind(account)
        .bind(region)
        .fetch_optional(&self.reader)
        .await
        .doing("reading until when AWS was listed")?;
        Ok(row.map(|(millis,)| Moment::from_millis(millis)))
    }
}

impl Tx {
    /// Says until when all deployments are recorded. Never goes back.
    pub async fn watch_mark_set(
        &mut self,
        account: &str,
        region: &str,
        until: Moment,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into watch_marks (account, region, listed_until) values ($1, $2, $3) \
             on conflict (account, region) do update set listed_until = excluded.listed_until \
             where watch_marks.listed_until < excluded.listed_until",
        )
        .bind(account)
        .bind(region)
        .bind(until.millis())
        .execute(self.connection())
        .await
        .doing("recording until when AWS was listed")?;
        Ok(())
    }
}
