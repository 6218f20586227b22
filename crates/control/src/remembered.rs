//! What a process remembers of the database, so that a page need not read everything again: how far the audit chain was
//! verified, and how many known-good revisions each service has.

use crate::Control;
use crate::lock;
use std::collections::BTreeMap;
use switchback_domain::ids::ServiceId;
use switchback_domain::moment::Moment;
use switchback_store::ChainWalk;
use switchback_store::ServiceQuery;
use switchback_store::StoreError;
use tokio_util::sync::CancellationToken;

/// Of how many services the known-good revisions are counted at once when the process starts.
const SERVICES_AT_ONCE: i64 = 20;

/// How far the audit chain was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VerifiedChain {
    /// The number of the last entry that was found good.
    pub(crate) verified_to: i64,
    /// The first that was not.
    pub(crate) broken_at: Option<i64>,
    /// What is wrong with it.
    pub(crate) fault: Option<String>,
    /// When the walk last went on (the account's clock).
    pub(crate) at: Option<Moment>,
}

/// The known-good revisions of services, as they stood when the change feed was at this number.
#[derive(Debug, Default)]
pub(crate) struct KnownGood {
    sequence: i64,
    counts: BTreeMap<ServiceId, i64>,
}

/// Everything that is remembered.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// Whoever walks on holds it.
    walk: tokio::sync::Mutex<ChainWalk>,
    verified: std::sync::Mutex<VerifiedChain>,
    known_good: tokio::sync::Mutex<KnownGood>,
    /// Told when there is more to verify than a page waits for.
    pub(crate) verify_on: tokio::sync::Notify,
    /// What keeps this process from sealing the audit log.
    pub(crate) sealing_trouble: std::sync::Mutex<Option<String>>,
}

impl Control {
    /// Verifies the entries that were written since the last time, a thousand at most, and says how far the chain was
    /// verified by this process. `again` begins before the first entry; the walk then goes on in the background.
    pub(crate) async fn verified_chain(&self, again: bool) -> Result<VerifiedChain, StoreError> {
        let remembered = &self.inner.remembered;
        // While the background walks, a page tells how far it has come instead of waiting.
        if let Ok(mut walk) = remembered.walk.try_lock() {
            if again {
                *walk = ChainWalk::default();
            }
            if !self.verify_a_part(&mut walk).await? {
                remembered.verify_on.notify_one();
            }
        } else if again {
            *remembered.walk.lock().await = ChainWalk::default();
            remembered.verify_on.notify_one();
        }
        Ok(lock(&remembered.verified).clone())
    }

    async fn verify_a_part(&self, walk: &mut ChainWalk) -> Result<bool, StoreError> {
        let at_the_end = self.inner.store.audit_verify_on(walk).await?;
        *lock(&self.inner.remembered.verified) = VerifiedChain {
            verified_to: walk.verified,
            broken_at: walk.broken_at(),
            fault: walk.fault.as_ref().map(|fault| fault.what.clone()),
            at: Some(self.clock()),
        };
        Ok(at_the_end)
    }

    /// Verifies the whole chain once at start, and again whenever somebody asks for it, until `stop` is cancelled.
    pub(crate) async fn verify_until(&self, stop: CancellationToken) {
        loop {
            loop {
                let part = async {
                    let mut walk = self.inner.remembered.walk.lock().await;
                    self.verify_a_part(&mut walk).await
                };
                let verified = tokio::select! {
                    () = stop.cancelled() => return,
                    verified = part => verified,
                };
                match verified {
                    Ok(false) => {}
                    Ok(true) => break,
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "the audit log could not be verified"
                        );
                        break;
                    }
                }
                // Pages may go first.
                tokio::task::yield_now().await;
            }
            if let Some(at) = lock(&self.inner.remembered.verified).broken_at {
                tracing::error!(entry = at, "the audit log's chain is broken");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.inner.remembered.verify_on.notified() => {}
            }
        }
    }

    /// How many known-good revisions each of these services has; one without any may be missing. Only services about
    /// which the change feed told something since they were counted are counted again.
    pub(crate) async fn known_good(
        &self,
        services: &[ServiceId],
    ) -> Result<BTreeMap<ServiceId, i64>, StoreError> {
        let store = &self.inner.store;
        let mut remembered = self.inner.remembered.known_good.lock().await;
        // Read first: what changes while it is counted is counted again the next time.
        let sequence = store.change_latest().await?;
        if !remembered.counts.is_empty() {
            match self.changed_services(remembered.sequence).await? {
                Some(changed) => {
                    for service in &changed {
                        remembered.counts.remove(service);
                    }
                }
                None => remembered.counts.clear(),
            }
        }
        remembered.sequence = sequence;
        let mut counts: BTreeMap<ServiceId, i64> = services
            .iter()
            .filter_map(|service| Some((service.clone(), *remembered.counts.get(service)?)))
            .collect();
        let missing: Vec<ServiceId> = services
            .iter()
            .filter(|service| !counts.contains_key(*service))
            .cloned()
            .collect();
        if missing.is_empty() {
            return Ok(counts);
        }
        // Of a service with very many revisions it takes a while, and others need not wait for it.
        drop(remembered);
        let counted = store.known_good_count(&missing).await?;
        let mut remembered = self.inner.remembered.known_good.lock().await;
        let changed = self.changed_services(sequence).await?;
        for service in missing {
            let count = counted.get(&service).copied().unwrap_or_default();
            counts.insert(service.clone(), count);
            if changed
                .as_ref()
                .is_some_and(|changed| !changed.contains(&service))
            {
                remembered.counts.insert(service, count);
            }
        }
        Ok(counts)
    }

    /// The services of which the change feed told something after this number; `None` when it no longer knows.
    async fn changed_services(&self, after: i64) -> Result<Option<Vec<ServiceId>>, StoreError> {
        let store = &self.inner.store;
        match store.change_latest().await? {
            latest if latest == after => Ok(Some(Vec::new())),
            latest if latest > after => store.service_list_changed_since(after).await,
            // Another database has taken the place of the one that was counted.
            _ => Ok(None),
        }
    }

    /// Counts the known-good revisions of every service, a few at a time: pages may go in between.
    async fn known_good_of_all(&self) -> Result<(), StoreError> {
        let mut query = ServiceQuery {
            limit: SERVICES_AT_ONCE,
            ..ServiceQuery::default()
        };
        loop {
            let services = self.inner.store.service_page(&query).await?;
            let Some(last) = services.last() else {
                return Ok(());
            };
            query.after = Some((last.name.clone(), last.id.clone()));
            let ids: Vec<ServiceId> = services.into_iter().map(|service| service.id).collect();
            self.known_good(&ids).await?;
        }
    }

    /// Puts what was recorded before there was a text index into it, and counts what the list of services shows, so
    /// that nobody waits for either.
    pub(crate) async fn catch_up_until(&self, stop: CancellationToken) {
        let work = async {
            if let Err(error) = self.known_good_of_all().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "known-good revisions could not be counted"
                );
            }
            if let Err(error) = self.inner.store.search_build().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the index for text could not be built; it is tried again at the next start"
                );
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }
}
