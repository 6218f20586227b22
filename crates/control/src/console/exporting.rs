//! The audit log as files: entries as they were written, and the bundle that proves them offline.
//!
//! What an export holds is fixed when it begins: the number of its last entry. Everything is read page by page while it
//! is sent, so that no export is ever whole in memory.

use crate::Control;
use crate::error::store_refusal;
use crate::views;
use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;
use switchback_contract::AuditExport;
use switchback_contract::AuditExportForm;
use switchback_contract::AuditPart;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_domain::actor::Actor;
use switchback_domain::audit::AuditEvent;
use switchback_domain::audit::chain_start;
use switchback_domain::audit_proof::AuditRange;
use switchback_domain::audit_proof::BUNDLE_FORM;
use switchback_domain::audit_proof::BundleFile;
use switchback_domain::audit_proof::BundleManifest;
use switchback_domain::audit_proof::exported;
use switchback_domain::checkpoint::BUNDLE_PURPOSE;
use switchback_domain::checkpoint::SealingKey;
use switchback_domain::digest::Digest;
use switchback_domain::digest::canonical_json;
use switchback_domain::ids::GateId;
use switchback_store::AuditQuery;
use switchback_store::Store;
use switchback_store::StoreError;
use switchback_store::records::AuditRecord;

/// How many entries are read and sent at once, and stand in one file of a bundle.
const ENTRIES_AT_ONCE: i64 = 1000;

/// How many gaps a bundle tells at most; more would be more than anybody reads, and its manifest counts what it has.
const MOST_GAPS: i64 = 10_000;

/// An export that is under way.
pub(super) struct Export {
    store: Store,
    query: AuditQuery,
    after: i64,
    until: i64,
    bundle: Option<Bundle>,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Range,
    Keys,
    Checkpoints,
    Entries,
    Evidence,
    Gaps,
    Manifest,
    Signature,
    End,
}

/// A bundle that is under way.
struct Bundle {
    key: SealingKey,
    manifest: BundleManifest,
    stage: Stage,
    part: usize,
    sealed: i64,
    decided: Vec<GateId>,
}

impl Export {
    /// Fixes what the export holds.
    pub(super) async fn begin(
        control: &Control,
        actor: Option<&Actor>,
        query: AuditQuery,
        form: AuditExportForm,
    ) -> Result<Export, Refusal> {
        let store = control.inner.store.clone();
        let latest = store.audit_latest().await.map_err(store_refusal)?;
        let mut export = Export {
            query: AuditQuery {
                limit: ENTRIES_AT_ONCE,
                ..query
            },
            after: 0,
            until: latest,
            bundle: None,
            store,
        };
        if form == AuditExportForm::Bundle {
            export.begin_bundle(control, actor).await?;
        }
        Ok(export)
    }

    async fn begin_bundle(
        &mut self,
        control: &Control,
        actor: Option<&Actor>,
    ) -> Result<(), Refusal> {
        let key = control.sealing_key().await.map_err(store_refusal)?;
        let key = key.ok_or_else(|| {
            Refusal::new(
                RefusalKind::Unavailable,
                "audit_key_missing",
                "No key signs the audit log yet. It is made with the first checkpoint, some seconds after a server watches an account. Ask again then, or set SWITCHBACK_AUDIT_KEY.",
            )
        })?;
        let (from, to) = (self.query.from, self.query.to);
        let bounds = self.store.audit_bounds(from, to, self.until).await;
        let Some((first, last)) = bounds.map_err(store_refusal)? else {
            return Err(Refusal::new(
                RefusalKind::NotFound,
                "no_entries",
                "The audit log has no entry of this time.",
            ));
        };
        let range = self.range(first, last).await.map_err(store_refusal)?;
        let made_at = (control.inner.machine_clock)();
        // Every entry between the two, whatever its time: the clocks of two servers are not quite alike.
        self.query = AuditQuery {
            limit: ENTRIES_AT_ONCE,
            ..AuditQuery::default()
        };
        (self.after, self.until) = (first - 1, last);
        self.bundle = Some(Bundle {
            manifest: BundleManifest {
                form: BUNDLE_FORM.to_string(),
                made_at,
                made_by: actor.map_or_else(String::new, |actor| actor.name.clone()),
                from,
                to,
                range,
                decisions: 0,
                gaps: 0,
                sealed: 0,
                public_key: key.public().text(),
                files: Vec::new(),
            },
            key,
            stage: Stage::Range,
            part: 0,
            sealed: 0,
            decided: Vec::new(),
        });
        Ok(())
    }

    async fn range(&self, first: i64, last: i64) -> Result<AuditRange, StoreError> {
        let before = match first {
            1 => Some(chain_start()),
            _ => match self.store.audit_hash(first - 1).await? {
                Some(hash) => Some(hash),
                // It was removed: the checkpoint over it tells its hash.
                None => {
                    let over = self.store.checkpoint_list(first - 2, 1).await?;
                    let over = over.into_iter().find(|one| one.sequence == first - 1);
                    over.map(|one| one.hash)
                }
            },
        };
        let missing = |sequence: i64| StoreError::Conflict {
            what: format!("entry {sequence} of the audit log is not there any more"),
        };
        Ok(AuditRange {
            first,
            last,
            before: before.ok_or_else(|| missing(first - 1))?,
            head: self
                .store
                .audit_hash(last)
                .await?
                .ok_or_else(|| missing(last))?,
        })
    }

    async fn entries(&mut self) -> Result<Vec<AuditRecord>, StoreError> {
        let page = self
            .store
            .audit_ascending(&self.query, self.after, self.until)
            .await?;
        self.after = page.last().map_or(self.until, |last| last.sequence);
        Ok(page)
    }

    async fn next_file(&mut self) -> Result<Option<AuditPart>, StoreError> {
        loop {
            let Some(stage) = self.bundle.as_ref().map(|bundle| bundle.stage) else {
                return Ok(None);
            };
            let file = match stage {
                Stage::Range => self.range_file(),
                Stage::Keys => self.keys_file().await?,
                Stage::Checkpoints => self.checkpoints_file().await?,
                Stage::Entries => self.entries_file().await?,
                Stage::Evidence => self.evidence_file().await?,
                Stage::Gaps => self.gaps_file().await?,
                Stage::Manifest => self.signed(Stage::Signature, |bundle| {
                    ("manifest.json", canonical_json(&bundle.manifest))
                }),
                Stage::Signature => self.signed(Stage::End, |bundle| {
                    let text = canonical_json(&bundle.manifest);
                    ("manifest.sig", bundle.key.sign(BUNDLE_PURPOSE, &text))
                }),
                Stage::End => return Ok(None),
            };
            if let Some((name, text)) = file {
                let bytes = text.into_bytes();
                return Ok(Some(AuditPart::File { name, bytes }));
            }
        }
    }

    /// A file that the manifest does not name: it itself, and its signature.
    fn signed(
        &mut self,
        next: Stage,
        text: impl FnOnce(&Bundle) -> (&'static str, String),
    ) -> Option<(String, String)> {
        let bundle = self.bundle.as_mut()?;
        bundle.stage = next;
        let (name, text) = text(bundle);
        Some((name.to_string(), text))
    }

    /// A file, named in the manifest.
    fn named(&mut self, name: String, text: String) -> Option<(String, String)> {
        let bundle = self.bundle.as_mut()?;
        bundle.manifest.files.push(BundleFile {
            name: name.clone(),
            bytes: text.len() as u64,
            sha256: Digest::of_bytes(text.as_bytes()),
        });
        Some((name, text))
    }

    fn move_on(&mut self, stage: Stage) {
        if let Some(bundle) = &mut self.bundle {
            bundle.stage = stage;
        }
    }

    fn range_file(&mut self) -> Option<(String, String)> {
        self.move_on(Stage::Keys);
        let range = canonical_json(&self.bundle.as_ref()?.manifest.range);
        self.named("range.json".to_string(), range)
    }

    async fn keys_file(&mut self) -> Result<Option<(String, String)>, StoreError> {
        self.move_on(Stage::Checkpoints);
        let keys: Vec<_> = self.store.audit_key_list().await?;
        let lines = keys
            .iter()
            .map(|key| json!({ "key_id": key.key_id(), "public_key": key.text() }));
        Ok(self.named("keys.jsonl".to_string(), lines_of(lines)))
    }

    async fn checkpoints_file(&mut self) -> Result<Option<(String, String)>, StoreError> {
        let after = self.bundle.as_ref().map_or(0, |bundle| bundle.sealed);
        let page = self.store.checkpoint_list(after, ENTRIES_AT_ONCE).await?;
        let Some(bundle) = &mut self.bundle else {
            return Ok(None);
        };
        let Some(last) = page.last() else {
            bundle.manifest.sealed = bundle.sealed;
            (bundle.stage, bundle.part) = (Stage::Entries, 0);
            return Ok(None);
        };
        bundle.sealed = last.sequence;
        bundle.part += 1;
        let name = format!("checkpoints-{:06}.jsonl", bundle.part);
        Ok(self.named(name, lines_of(page)))
    }

    async fn entries_file(&mut self) -> Result<Option<(String, String)>, StoreError> {
        if self.after >= self.until {
            self.move_on(Stage::Gaps);
            return Ok(None);
        }
        let page = self.entries().await?;
        let Some(bundle) = &mut self.bundle else {
            return Ok(None);
        };
        bundle.part += 1;
        bundle.stage = Stage::Evidence;
        bundle.decided = page
            .iter()
            .filter_map(|record| match &record.entry.event {
                AuditEvent::GateDecided { gate, .. } => Some(gate.clone()),
                _ => None,
            })
            .collect();
        bundle.decided.sort();
        bundle.decided.dedup();
        let name = format!("entries-{:06}.jsonl", bundle.part);
        let lines = page
            .iter()
            .map(|record| exported(record.sequence, &record.entry, &record.hash));
        Ok(self.named(name, lines_of(lines)))
    }

    /// What those saw who decided in the entries of the last file.
    async fn evidence_file(&mut self) -> Result<Option<(String, String)>, StoreError> {
        let Some(bundle) = &mut self.bundle else {
            return Ok(None);
        };
        bundle.stage = Stage::Entries;
        let decided = std::mem::take(&mut bundle.decided);
        if decided.is_empty() {
            return Ok(None);
        }
        let decisions = self.store.decision_list_of(&decided).await?;
        bundle.manifest.decisions += i64::try_from(decisions.len()).unwrap_or(i64::MAX);
        let name = format!("evidence-{:06}.jsonl", bundle.part);
        let lines = decisions.iter().map(|decision| {
            json!({
                "gate": decision.gate_id,
                "actor": decision.actor,
                "verdict": decision.verdict,
                "reason": decision.reason,
                "at": decision.at,
                "evidence_digest": decision.evidence_digest,
                "evidence": decision.evidence,
            })
        });
        Ok(self.named(name, lines_of(lines)))
    }

    async fn gaps_file(&mut self) -> Result<Option<(String, String)>, StoreError> {
        self.move_on(Stage::Manifest);
        let Some(bundle) = &mut self.bundle else {
            return Ok(None);
        };
        let (from, to) = (bundle.manifest.from, bundle.manifest.to);
        let mut gaps = self.store.gap_list(from, None, MOST_GAPS).await?;
        gaps.retain(|(gap, _)| to.is_none_or(|to| gap.from < to));
        bundle.manifest.gaps = i64::try_from(gaps.len()).unwrap_or(i64::MAX);
        let lines: Vec<_> = gaps.into_iter().map(super::coverage::gap_view).collect();
        Ok(self.named("gaps.jsonl".to_string(), lines_of(lines)))
    }
}

#[async_trait]
impl AuditExport for Export {
    async fn next(&mut self) -> Result<Option<AuditPart>, Refusal> {
        if self.bundle.is_some() {
            return self.next_file().await.map_err(store_refusal);
        }
        if self.after >= self.until {
            return Ok(None);
        }
        let page = self.entries().await.map_err(store_refusal)?;
        let views = page.into_iter().map(views::audit).collect();
        Ok(Some(AuditPart::Entries(views)))
    }
}

fn lines_of<T: Serialize>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| canonical_json(&item) + "\n")
        .collect()
}
