//! Since when an account is watched, and when nobody looked.

use crate::Control;
use crate::accounts::key;
use crate::error::StepError;
use crate::lock;
use crate::watch::observed;
use switchback_cloud::Cloud;
use switchback_domain::audit::AuditEvent;
use switchback_domain::coverage;
use switchback_domain::coverage::FirstSeen;
use switchback_domain::coverage::GapCause;
use switchback_domain::moment::Moment;
use switchback_store::records::GapRecord;
use switchback_store::records::WatchRecord;

impl Control {
    /// The watch over an account and region, begun if it has not been: with it begins the import of its past.
    pub(super) async fn watch(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        now: Moment,
    ) -> Result<WatchRecord, StepError> {
        let region = cloud.region();
        let store = &self.inner.store;
        if let Some(watch) = store.watch_fetch(account, region).await?
            && watch.watched_since.is_some()
        {
            return Ok(watch);
        }
        let mut tx = self.begin().await?;
        tx.watch_begin(account, region, now).await?;
        if tx.import_begin(account, region, now).await? {
            tx.audit_append(&observed(
                now,
                AuditEvent::ImportBegan {
                    account: account.to_string(),
                    region: region.to_string(),
                },
            ))
            .await?;
        }
        tx.change_append("coverage", region, None, now).await?;
        tx.commit().await?;
        let begun = WatchRecord {
            account: account.to_string(),
            region: region.to_string(),
            listed_until: now,
            watched_since: Some(now),
            good_look_at: Some(now),
        };
        Ok(store.watch_fetch(account, region).await?.unwrap_or(begun))
    }

    /// The gap that a good look at `now` would end.
    fn gap_until(&self, cloud: &dyn Cloud, watch: &WatchRecord, now: Moment) -> Option<GapRecord> {
        let poll_idle =
            i64::try_from(self.inner.settings.poll_idle.as_millis()).unwrap_or(i64::MAX);
        let looked = lock(&self.inner.looked)
            .get(&key(cloud))
            .cloned()
            .unwrap_or_default();
        let written = watch.good_look_at?;
        // Another process may have looked since this one did; then only what is written counts.
        let own = looked.good.filter(|(at, _)| *at >= written);
        let by_the_machine = own.map(|(_, instant)| instant.elapsed().as_millis());
        let limit = u128::try_from(coverage::gap_limit_millis(poll_idle)).unwrap_or(u128::MAX);
        let unbroken =
            looked.failed.is_none() && by_the_machine.is_some_and(|elapsed| elapsed <= limit);
        let last = own.map_or(written, |(at, _)| at);
        let (from, to) = coverage::gap(last, unbroken, now, poll_idle)?;
        Some(GapRecord {
            account: watch.account.clone(),
            region: watch.region.clone(),
            from,
            to,
            cause: match looked.good {
                Some(_) => GapCause::LookFailed,
                None => GapCause::NotRunning,
            },
            detail: looked.failed,
        })
    }

    /// AWS was looked at well at `now`: ends the gap before it, if there is one, and writes the look down now and then.
    pub(crate) async fn looked_well(
        &self,
        cloud: &dyn Cloud,
        watch: &WatchRecord,
        now: Moment,
    ) -> Result<(), StepError> {
        let (account, region) = (watch.account.as_str(), watch.region.as_str());
        let gap = self.gap_until(cloud, watch, now);
        let due = watch.good_look_at.is_none_or(|written| {
            let not_yet = 0..coverage::GOOD_LOOK_INTERVAL_SECONDS * 1000;
            !not_yet.contains(&now.millis_since(written))
        });
        if due || gap.is_some() {
            let mut tx = self.begin().await?;
            tx.good_look_set(account, region, now).await?;
            if let Some(gap) = gap
                && tx.gap_insert(&gap).await?
            {
                tx.audit_append(&observed(
                    now,
                    AuditEvent::WatchGap {
                        account: gap.account,
                        region: gap.region,
                        from: gap.from,
                        to: gap.to,
                        cause: gap.cause,
                        detail: gap.detail,
                    },
                ))
                .await?;
                tx.change_append("coverage", region, None, now).await?;
            }
            tx.commit().await?;
        }
        let mut looked = lock(&self.inner.looked);
        let looked = looked.entry(key(cloud)).or_default();
        looked.good = Some((now, tokio::time::Instant::now()));
        looked.failed = None;
        Ok(())
    }

    /// A look failed. At the first failure the last good look is written down to the moment.
    pub(super) async fn looked_badly(&self, cloud: &dyn Cloud, words: &str) {
        let (account, last) = {
            let mut looked = lock(&self.inner.looked);
            let looked = looked.entry(key(cloud)).or_default();
            let first = looked.failed.is_none();
            looked.failed.get_or_insert_with(|| words.to_string());
            let last = looked.good.filter(|_| first).map(|(at, _)| at);
            (looked.account.clone(), last)
        };
        let (Some(account), Some(last)) = (account, last) else {
            return;
        };
        let written = async {
            let mut tx = self.begin().await?;
            tx.good_look_set(&account, cloud.region(), last).await?;
            tx.commit().await
        };
        if let Err(error) = written.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                aws.region = cloud.region(),
                "the last good look could not be written down; a gap may begin up to half a minute too early"
            );
        }
    }

    /// How a deployment that began at a moment comes into the record.
    pub(super) async fn first_seen(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        started_at: Moment,
    ) -> Result<FirstSeen, StepError> {
        let store = &self.inner.store;
        let Some(watch) = store.watch_fetch(account, cloud.region()).await? else {
            return Ok(FirstSeen::Imported);
        };
        let mut gaps = store
            .gap_list_at(account, cloud.region(), started_at)
            .await?;
        // A hook may come before the first look.
        gaps.extend(
            self.gap_until(cloud, &watch, cloud.now())
                .map(|gap| (gap.from, gap.to)),
        );
        let since = watch.watched_since;
        Ok(coverage::first_seen(started_at, since, &gaps))
    }
}
