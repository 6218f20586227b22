//! Sealing the audit log: signed checkpoints over it, and the removal of segments that are older than they are kept.
//!
//! The leading process signs, when enough entries were written or enough time has passed. It walks what it is about to
//! sign first: nothing that is broken is ever signed. A checkpoint covers at most so many entries, so that the segments
//! between two of them can be removed one by one.

use crate::Control;
use crate::error::StepError;
use crate::lock;
use std::time::Duration;
use switchback_domain::actor::Actor;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::checkpoint::Checkpoint;
use switchback_domain::checkpoint::SealingKey;
use switchback_domain::checkpoint::checkpoints_start;
use switchback_store::ChainWalk;
use switchback_store::StoreError;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether something is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// How many entries are removed in one transaction, so that nobody waits long behind it; whole segments, so at least one
/// even where a segment is larger.
const REMOVED_AT_ONCE: i64 = 10_000;

/// How the audit log is sealed and kept.
#[derive(Clone, Debug)]
pub struct SealingSettings {
    /// A checkpoint covers at most so many entries, and is due when so many were written.
    pub every_entries: i64,
    /// It is due after this time too, if anything was written.
    pub every: Duration,
    /// The key that signs; without one the database keeps one that is made at the first start.
    pub key: Option<SealingKey>,
    /// How long entries are kept; for ever when `None`.
    pub keep: Option<Duration>,
}

impl Default for SealingSettings {
    fn default() -> SealingSettings {
        SealingSettings {
            every_entries: 1000,
            every: Duration::from_secs(60 * 60),
            key: None,
            keep: None,
        }
    }
}

impl Control {
    /// Says how the audit log is sealed and kept. Before [`Control::run`], or never.
    pub fn seal_as(&self, settings: SealingSettings) {
        // Set once by the wiring; a second call would be a mistake there, and changes nothing.
        let _ = self.inner.sealing.set(settings);
    }

    fn sealing(&self) -> SealingSettings {
        self.inner.sealing.get().cloned().unwrap_or_default()
    }

    /// The key that signs, as far as there is one yet.
    pub(crate) async fn sealing_key(&self) -> Result<Option<SealingKey>, StoreError> {
        match self.sealing().key {
            Some(key) => Ok(Some(key)),
            None => self.inner.store.audit_sealing_key().await,
        }
    }

    /// What keeps the log from being sealed or shortened; `None` when nothing does.
    pub(crate) fn sealing_trouble(&self) -> Option<String> {
        lock(&self.inner.remembered.sealing_trouble).clone()
    }

    /// Seals and shortens whatever is due, until `stop` is cancelled.
    pub(crate) async fn seal_until(&self, stop: CancellationToken) {
        loop {
            let trouble = match self.seal_and_shorten().await {
                Ok(trouble) => trouble,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the audit log could not be sealed"
                    );
                    Some(error.words())
                }
            };
            self.tell_sealing(trouble);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    fn tell_sealing(&self, trouble: Option<String>) {
        let mut told = lock(&self.inner.remembered.sealing_trouble);
        if *told != trouble {
            if let Some(trouble) = &trouble {
                tracing::error!(trouble, "the audit log is not sealed");
            }
            *told = trouble;
        }
    }

    async fn seal_and_shorten(&self) -> Result<Option<String>, StepError> {
        match self.seal().await? {
            None => self.shorten().await,
            trouble => Ok(trouble),
        }
    }

    /// Signs every checkpoint that is due; says what is wrong where the chain does not hold.
    async fn seal(&self) -> Result<Option<String>, StepError> {
        let settings = self.sealing();
        let store = &self.inner.store;
        loop {
            let now = (self.inner.machine_clock)();
            let last = store.checkpoint_latest().await?;
            let covered = last.as_ref().map_or(0, |last| last.sequence);
            let written = store.audit_latest().await? - covered;
            if written < 0 {
                return Ok(Some(format!(
                    "The log ends before entry {covered}, which its latest checkpoint covers: entries were cut off."
                )));
            }
            let is_old = last.as_ref().is_none_or(|last| {
                u128::try_from(now.millis_since(last.at)).unwrap_or(0) >= settings.every.as_millis()
            });
            if written == 0 || (written < settings.every_entries && !is_old) {
                return Ok(None);
            }
            let until = covered + written.min(settings.every_entries);
            let mut walk = match &last {
                Some(last) => ChainWalk::behind(last.sequence, last.hash.clone()),
                None => ChainWalk::default(),
            };
            store.audit_walk_to(&mut walk, until).await?;
            if let Some(fault) = &walk.fault {
                return Ok(Some(format!(
                    "The chain does not hold, and nothing is signed that is broken: {fault}."
                )));
            }
            let key = self.key_made().await?;
            let previous = last.map_or_else(checkpoints_start, |last| last.digest());
            let checkpoint = Checkpoint::signed(&key, until, walk.head().clone(), now, previous);
            let mut tx = self.begin().await?;
            tx.checkpoint_insert(&checkpoint).await?;
            tx.commit().await?;
        }
    }

    /// The key that signs, made and kept if there is none, and in any case kept as one that may sign.
    async fn key_made(&self) -> Result<SealingKey, StepError> {
        let now = (self.inner.machine_clock)();
        if let Some(key) = self.sealing().key {
            let known = self.inner.store.audit_key_list().await?;
            if !known.contains(&key.public()) {
                let mut tx = self.begin().await?;
                tx.audit_key_insert(&key.public(), None, now).await?;
                tx.commit().await?;
            }
            return Ok(key);
        }
        if let Some(key) = self.inner.store.audit_sealing_key().await? {
            return Ok(key);
        }
        let mut seed = [0; 32];
        for part in seed.chunks_mut(8) {
            part.copy_from_slice(&(self.inner.random)());
        }
        let key = SealingKey::from_seed(&seed);
        let digits: Vec<String> = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut tx = self.begin().await?;
        tx.audit_key_insert(&key.public(), Some(&digits.concat()), now)
            .await?;
        tx.commit().await?;
        tracing::info!(
            key.id = key.public().key_id(),
            "a key was made that signs the audit log; SWITCHBACK_AUDIT_KEY keeps one outside of the database"
        );
        Ok(key)
    }

    /// Removes whole segments that are older than they are kept, and writes what was removed into the log itself.
    async fn shorten(&self) -> Result<Option<String>, StepError> {
        let Some(keep) = self.sealing().keep else {
            return Ok(None);
        };
        let store = &self.inner.store;
        let kept_from = (self.inner.machine_clock)()
            .plus_seconds(-i64::try_from(keep.as_secs()).unwrap_or(i64::MAX));
        loop {
            let first = store.audit_first().await?;
            let Some(checkpoint) = store
                .checkpoint_to_remove(kept_from, first, first + REMOVED_AT_ONCE)
                .await?
            else {
                return Ok(None);
            };
            let last = checkpoint.sequence;
            let mut walk = match store.checkpoint_list(first - 2, 1).await?.pop() {
                Some(before) if before.sequence == first - 1 => {
                    ChainWalk::behind(before.sequence, before.hash)
                }
                _ => ChainWalk::default(),
            };
            store.audit_walk_to(&mut walk, last).await?;
            let is_sealed = walk.verified == last && *walk.head() == checkpoint.hash;
            if walk.fault.is_some() || !is_sealed {
                return Ok(Some(format!(
                    "The chain does not hold between entry {first} and entry {last}, so nothing is removed."
                )));
            }
            let entry = AuditEntry::new(
                self.clock(),
                Actor::switchback().name,
                AuditEvent::SegmentRemoved {
                    first,
                    last,
                    last_hash: checkpoint.hash.clone(),
                    checkpoint: checkpoint.digest(),
                },
            );
            let mut tx = self.begin().await?;
            let tombstone = tx.audit_append(&entry).await?;
            let removed = tx.audit_remove(last, tombstone).await?;
            tx.commit().await?;
            tracing::info!(
                first,
                last,
                removed,
                "old entries of the audit log were removed"
            );
        }
    }
}
