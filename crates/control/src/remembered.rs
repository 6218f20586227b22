//! What a process remembers of the database, so that a page need not read everything again: how far the audit chain was
//! verified, and how many known-good revisions each service has.

use crate::Control;
use crate::lock;
use std::collections::BTreeMap;
use switchback_domain::ids::ServiceId;
use switchback_domain::moment::Moment;
use switchback_store::ChainWalk;
use switchback_store::StoreError;
use tokio_util::sync::CancellationToken;

/// How many services' counts are made anew one by one; of more, all are.
const FEW_SERVICES: usize = 100;

/// How far the audit chain was verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VerifiedChain {
    /// The number of the last entry that was found good.
    pub(crate) verified_to: i64,
    /// The first that was not.
    pub(crate) broken_at: Option<i64>,
    /// When the walk last went on (the account's clock).
    pub(crate) at: Option<Moment>,
}

/// The known-good revisions of each service, counted when the change feed stood at this number.
#[derive(Clone, Debug)]
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
    known_good: tokio::sync::Mutex<Option<KnownGood>>,
    /// Told when there is more to verify than a page waits for.
    pub(crate) verify_on: tokio::sync::Notify,
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
        Ok(*lock(&remembered.verified))
    }

    async fn verify_a_part(&self, walk: &mut ChainWalk) -> Result<bool, StoreError> {
        let at_the_end = self.inner.store.audit_verify_on(walk).await?;
        *lock(&self.inner.remembered.verified) = VerifiedChain {
            verified_to: walk.verified,
            broken_at: walk.broken_at,
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

    /// How many known-good revisions each service has. Only services about which the change feed told something since
    /// the last time are counted again.
    pub(crate) async fn known_good(&self) -> Result<BTreeMap<ServiceId, i64>, StoreError> {
        let store = &self.inner.store;
        let mut remembered = self.inner.remembered.known_good.lock().await;
        // Read first: what changes while it is counted is counted again the next time.
        let sequence = store.change_latest().await?;
        let changed = match &*remembered {
            Some(known) if known.sequence == sequence => Some(Vec::new()),
            Some(known) if known.sequence < sequence => {
                store.service_list_changed_since(known.sequence).await?
            }
            Some(_) | None => None,
        };
        let counts = match (remembered.take(), changed) {
            (Some(known), Some(changed)) if changed.len() <= FEW_SERVICES => {
                let mut counts = known.counts;
                if !changed.is_empty() {
                    let new = store.known_good_count(Some(&changed)).await?;
                    for service in changed {
                        let count = new.get(&service).copied().unwrap_or_default();
                        counts.insert(service, count);
                    }
                }
                counts
            }
            _ => store.known_good_count(None).await?,
        };
        *remembered = Some(KnownGood {
            sequence,
            counts: counts.clone(),
        });
        Ok(counts)
    }

    /// Puts what was recorded before there was a text index into it, and counts what the list of services shows, so
    /// that nobody waits for either.
    pub(crate) async fn catch_up_until(&self, stop: CancellationToken) {
        let work = async {
            if let Err(error) = self.known_good().await {
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
