//! The watch over an account and region: up to when AWS was listed, since when it is watched, and when nobody looked.
//!
//! Not the start of the latest deployment recorded: a hook may record one before the watcher has listed those before it.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::GapRecord;
use crate::records::WatchRecord;
use crate::row::Columns;
use crate::row::Place;
use crate::row::records;
use crate::tx::Tx;
use switchback_domain::coverage::GapCause;
use switchback_domain::ids::DeploymentId;
use switchback_domain::moment::Moment;

impl Store {
    /// The watch over an account and region; `None` before it has begun.
    pub async fn watch_fetch(
        &self,
        account: &str,
        region: &str,
    ) -> Result<Option<WatchRecord>, StoreError> {
        let row: Option<WatchRow> = sqlx::query_as(
            "select account, region, listed_until, watched_since, good_look_at from watch_marks \
             where account = $1 and region = $2",
        )
        .bind(account)
        .bind(region)
        .fetch_optional(&self.reader)
        .await
        .doing("reading until when AWS was listed")?;
        Ok(row.map(WatchRecord::from))
    }

    /// Every watch, by account and region.
    pub async fn watch_list(&self) -> Result<Vec<WatchRecord>, StoreError> {
        let rows: Vec<WatchRow> = sqlx::query_as(
            "select account, region, listed_until, watched_since, good_look_at from watch_marks \
             order by account, region",
        )
        .fetch_all(&self.reader)
        .await
        .doing("reading what is watched")?;
        Ok(rows.into_iter().map(WatchRecord::from).collect())
    }

    /// The gaps that ended after one moment and at or before another, the latest first, at most `limit`. With each how
    /// many deployments that began in it were recorded afterwards.
    pub async fn gap_list(
        &self,
        ended_after: Option<Moment>,
        ended_until: Option<Moment>,
        limit: i64,
    ) -> Result<Vec<(GapRecord, i64)>, StoreError> {
        let rows: Vec<GapRow> = sqlx::query_as(
            "select account, region, from_at, to_at, cause, detail, \
             (select count(*) from deployments where deployments.account = watch_gaps.account \
                 and deployments.region = watch_gaps.region and started_at >= from_at and started_at < to_at \
                 and first_seen = 'seen_late') as seen_late \
             from watch_gaps where to_at > $1 and to_at <= $2 order by to_at desc, account, region limit $3",
        )
        .bind(ended_after.map_or(i64::MIN, Moment::millis))
        .bind(ended_until.map_or(i64::MAX, Moment::millis))
        .bind(limit)
        .fetch_all(&self.reader)
        .await
        .doing("reading when nobody looked")?;
        records(rows)
    }

    /// The gaps of an account and region that hold a moment: from when to when.
    pub async fn gap_list_at(
        &self,
        account: &str,
        region: &str,
        at: Moment,
    ) -> Result<Vec<(Moment, Moment)>, StoreError> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "select from_at, to_at from watch_gaps where account = $1 and region = $2 and from_at <= $3 \
             and to_at > $3",
        )
        .bind(account)
        .bind(region)
        .bind(at.millis())
        .fetch_all(&self.reader)
        .await
        .doing("reading whether nobody looked")?;
        let moments = |(from, to)| (Moment::from_millis(from), Moment::from_millis(to));
        Ok(rows.into_iter().map(moments).collect())
    }

    /// The first deployment in the record of an account and region.
    pub async fn deployment_first(
        &self,
        account: &str,
        region: &str,
    ) -> Result<Option<(DeploymentId, Moment)>, StoreError> {
        let row: Option<(String, i64)> = sqlx::query_as(
            "select id, started_at from deployments where account = $1 and region = $2 order by started_at limit 1",
        )
        .bind(account)
        .bind(region)
        .fetch_optional(&self.reader)
        .await
        .doing("reading where the record begins")?;
        Ok(row.map(|(id, at)| (DeploymentId::new(id), Moment::from_millis(at))))
    }
}

impl Tx {
    /// Begins the watch over an account and region. Where an earlier version began it, that version's mark is kept, and
    /// it counts as watched since then.
    pub async fn watch_begin(
        &mut self,
        account: &str,
        region: &str,
        at: Moment,
    ) -> Result<(), StoreError> {
        Columns::new()
            .with("account", account)
            .with("region", region)
            .with("listed_until", at)
            .with("watched_since", at)
            .with("good_look_at", at)
            .insert(
                self.connection(),
                "beginning to watch",
                "insert into watch_marks",
                "on conflict (account, region) do update set \
                 watched_since = coalesce(watch_marks.watched_since, watch_marks.listed_until), \
                 good_look_at = coalesce(watch_marks.good_look_at, watch_marks.listed_until)",
            )
            .await?;
        Ok(())
    }

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

    /// Says when AWS was last looked at well. It may go back: the account's clock was wrong before.
    pub async fn good_look_set(
        &mut self,
        account: &str,
        region: &str,
        at: Moment,
    ) -> Result<(), StoreError> {
        sqlx::query("update watch_marks set good_look_at = $3 where account = $1 and region = $2")
            .bind(account)
            .bind(region)
            .bind(at.millis())
            .execute(self.connection())
            .await
            .doing("recording that a look went well")?;
        Ok(())
    }

    /// Records that nobody looked. False when it is recorded already.
    pub async fn gap_insert(&mut self, gap: &GapRecord) -> Result<bool, StoreError> {
        let inserted = Columns::new()
            .with("account", gap.account.as_str())
            .with("region", gap.region.as_str())
            .with("from_at", gap.from)
            .with("to_at", gap.to)
            .with("cause", gap.cause.word())
            .with("detail", gap.detail.as_deref())
            .insert(
                self.connection(),
                "recording that nobody looked",
                "insert into watch_gaps",
                "on conflict do nothing",
            )
            .await?;
        Ok(inserted == 1)
    }
}

#[derive(sqlx::FromRow)]
struct WatchRow {
    account: String,
    region: String,
    listed_until: i64,
    watched_since: Option<i64>,
    good_look_at: Option<i64>,
}

impl From<WatchRow> for WatchRecord {
    fn from(row: WatchRow) -> WatchRecord {
        WatchRecord {
            account: row.account,
            region: row.region,
            listed_until: Moment::from_millis(row.listed_until),
            watched_since: row.watched_since.map(Moment::from_millis),
            good_look_at: row.good_look_at.map(Moment::from_millis),
        }
    }
}

#[derive(sqlx::FromRow)]
struct GapRow {
    account: String,
    region: String,
    from_at: i64,
    to_at: i64,
    cause: String,
    detail: Option<String>,
    seen_late: i64,
}

impl TryFrom<GapRow> for (GapRecord, i64) {
    type Error = StoreError;

    fn try_from(row: GapRow) -> Result<(GapRecord, i64), StoreError> {
        let key = format!("{}/{}/{}", row.account, row.region, row.from_at);
        let place = Place {
            table: "watch_gaps",
            row: &key,
        };
        let gap = GapRecord {
            cause: place.word("cause", &row.cause, GapCause::parse)?,
            account: row.account,
            region: row.region,
            from: Moment::from_millis(row.from_at),
            to: Moment::from_millis(row.to_at),
            detail: row.detail,
        };
        Ok((gap, row.seen_late))
    }
}
