//! The audit log as one actor asks for it, and what asking for something else writes into it.

use crate::console::Desk;
use crate::console::coverage::gap_view;
use crate::console::exporting::Export;
use crate::console::input::invalid;
use crate::console::input::limit;
use crate::console::input::moment;
use crate::console::input::place;
use crate::console::input::text;
use crate::error::store_refusal;
use crate::views;
use switchback_contract::AuditExport;
use switchback_contract::AuditExportForm;
use switchback_contract::AuditFilter;
use switchback_contract::AuditPage;
use switchback_contract::AuditProof;
use switchback_contract::CheckpointView;
use switchback_contract::Page;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::diff::Difference;
use switchback_domain::diff::FieldGroup;
use switchback_domain::moment::Moment;
use switchback_domain::revision::Revision;
use switchback_store::AuditQuery;
use switchback_store::StoreError;

/// How long one entry stands for further reads of the same by the same, in milliseconds: an hour.
const READ_AGAIN_MILLIS: i64 = 60 * 60 * 1000;

/// How many kinds of events can be asked for at once: each is a question of its own to the database.
const MOST_EVENTS: usize = 30;

/// How many gaps are told beside a page of the log.
const GAPS_TOLD: i64 = 100;

impl Desk {
    /// What the filter asks of the store.
    async fn audit_query(&self, filter: &AuditFilter) -> Result<AuditQuery, Refusal> {
        let service = match text(&filter.service) {
            None => None,
            Some(service) => Some(self.find_service(&service).await?.id.to_string()),
        };
        let words = text(&filter.event).unwrap_or_default();
        let words: Vec<String> = words
            .split(',')
            .map(|word| word.trim().to_string())
            .filter(|word| !word.is_empty())
            .collect();
        if words.len() > MOST_EVENTS {
            return Err(invalid(
                "event",
                &words.join(","),
                "at most 30 words of events",
            ));
        }
        Ok(AuditQuery {
            from: moment("from", text(&filter.from))?,
            to: moment("to", text(&filter.to))?,
            actor: text(&filter.actor),
            subject: text(&filter.subject),
            events: words,
            service,
            reason: text(&filter.reason),
            before: None,
            limit: 0,
        })
    }

    pub(super) async fn audit_page(&self, filter: AuditFilter) -> Result<AuditPage, Refusal> {
        let limit = limit(filter.limit)?;
        let before = match place(text(&filter.cursor))? {
            None => None,
            Some((at, sequence)) => {
                let number = sequence.parse::<i64>();
                Some((
                    at,
                    number.map_err(|_| invalid("cursor", &sequence, "what next_cursor gave"))?,
                ))
            }
        };
        let query = AuditQuery {
            before,
            limit: limit + 1,
            ..self.audit_query(&filter).await?
        };
        let store = self.store();
        let mut found = store.audit_list(&query).await.map_err(store_refusal)?;
        let more = found.len() as i64 > limit;
        found.truncate(limit as usize);
        let next_cursor = found
            .last()
            .filter(|_| more)
            .map(|last| format!("{}.{}", last.entry.at.millis(), last.sequence));
        let again = match text(&filter.verify).as_deref() {
            None => false,
            Some("again") => true,
            Some(other) => return Err(invalid("verify", other, "again")),
        };
        let chain = self
            .control
            .verified_chain(again)
            .await
            .map_err(store_refusal)?;
        let length = store.audit_latest().await.map_err(store_refusal)?;
        let gaps = store
            .gap_list(query.from, None, GAPS_TOLD)
            .await
            .map_err(store_refusal)?;
        Ok(AuditPage {
            page: Page {
                items: found.into_iter().map(views::audit).collect(),
                next_cursor,
                notice: None,
            },
            length,
            verified_to: chain.verified_to,
            verified_at: chain.at,
            broken_at: chain.broken_at,
            fault: chain.fault,
            proof: self.proof().await.map_err(store_refusal)?,
            gaps: gaps
                .into_iter()
                .map(gap_view)
                .filter(|gap| query.to.is_none_or(|to| gap.from < to))
                .collect(),
        })
    }

    async fn proof(&self) -> Result<AuditProof, StoreError> {
        let store = self.store();
        let checkpoint = store.checkpoint_latest().await?;
        let keys = store.audit_key_list().await?;
        let key = checkpoint
            .as_ref()
            .and_then(|checkpoint| keys.iter().find(|key| key.key_id() == checkpoint.key_id));
        Ok(AuditProof {
            first: store.audit_first().await?,
            key_id: checkpoint.as_ref().map(|one| one.key_id.clone()),
            public_key: key.map(|key| key.text()),
            checkpoint: checkpoint.map(|one| CheckpointView {
                sequence: one.sequence,
                at: one.at,
                digest: one.digest().to_string(),
            }),
            trouble: self.control.sealing_trouble(),
        })
    }

    pub(super) async fn begin_export(
        &self,
        filter: AuditFilter,
        form: AuditExportForm,
    ) -> Result<Box<dyn AuditExport>, Refusal> {
        let query = self.audit_query(&filter).await?;
        let is_filtered = [
            &filter.actor,
            &filter.subject,
            &filter.event,
            &filter.service,
            &filter.reason,
        ]
        .into_iter()
        .any(|value| text(value).is_some());
        if form == AuditExportForm::Bundle && is_filtered {
            return Err(Refusal::new(
                RefusalKind::Invalid,
                "bundle_filtered",
                "A bundle holds every entry of its time: with some left out, nobody could check that only those were. Ask with from and to only, or for CSV or JSON Lines.",
            ));
        }
        let export = Export::begin(&self.control, self.actor.as_ref(), query, form).await?;
        Ok(Box::new(export))
    }

    /// Writes that the reader is shown environment values of these revisions, before they are shown: one entry for each
    /// person, revision and hour of the clock. Without it nothing is shown.
    pub(super) async fn values_were_read(
        &self,
        difference: &Difference,
        old: &Revision,
        new: &Revision,
    ) -> Result<(), Refusal> {
        let Some(actor) = &self.actor else {
            return Ok(());
        };
        let now = self.now();
        let shown = |is_shown: fn(&switchback_domain::diff::FieldChange) -> bool| {
            difference
                .changes
                .iter()
                .any(|change| change.group == FieldGroup::Environment && is_shown(change))
        };
        let sides = [
            (old, shown(|change| change.old.is_some())),
            (new, shown(|change| change.new.is_some())),
        ];
        for (revision, _) in sides.into_iter().filter(|(_, is_shown)| *is_shown) {
            let event = AuditEvent::EnvironmentRead {
                revision: revision.arn.clone(),
            };
            self.read_entry(AuditEntry::of(now, actor, event))
                .await
                .map_err(store_refusal)?;
        }
        Ok(())
    }

    async fn read_entry(&self, entry: AuditEntry) -> Result<(), StoreError> {
        let hour = entry.at.millis().div_euclid(READ_AGAIN_MILLIS) * READ_AGAIN_MILLIS;
        let since = Moment::from_millis(hour);
        // Most reads are not the first of their hour and write nothing.
        if self.store().audit_has(&entry, since).await? {
            return Ok(());
        }
        let mut tx = self.store().begin().await?;
        if !tx.audit_is_written(&entry, since).await? {
            tx.audit_append(&entry).await?;
        }
        tx.commit().await
    }
}
