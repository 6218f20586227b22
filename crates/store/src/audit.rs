//! The audit log: the one place that appends to it, reading, and the check of the chain.
//!
//! What the chain proves: no entry was altered, and none is missing between the first and the last. That the last
//! ones were not cut off shows only against a hash that was written down elsewhere, such as an export.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::AuditRecord;
use crate::row::Columns;
use crate::row::Conditions;
use crate::row::Place;
use crate::row::records;
use crate::tx::Tx;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::audit::chain_hash;
use switchback_domain::audit::chain_start;
use switchback_domain::digest::Digest;
use switchback_domain::digest::canonical_json;
use switchback_domain::moment::Moment;

const COLUMNS: &str = "sequence, at, actor, event, subject, reason, body, hash";

/// How many entries a page of the log holds when nobody says.
const DEFAULT_LIMIT: i64 = 50;

/// How many entries the check holds in memory at a time.
const VERIFY_PAGE: i64 = 1000;

/// Which entries, and from where on. What is `None` does not filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditQuery {
    /// At this moment or later.
    pub from: Option<Moment>,
    /// Before this moment.
    pub to: Option<Moment>,
    /// By exactly this actor.
    pub actor: Option<String>,
    /// About exactly this identifier or name.
    pub subject: Option<String>,
    /// With a smaller number than this.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

impl Default for AuditQuery {
    fn default() -> AuditQuery {
        AuditQuery {
            from: None,
            to: None,
            actor: None,
            subject: None,
            before: None,
            limit: DEFAULT_LIMIT,
        }
    }
}

impl Store {
    /// Entries of the audit log, newest first.
    pub async fn audit_list(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        let mut conditions = Conditions::default();
        if let Some(from) = query.from {
            conditions.add("at >= ?", from);
        }
        if let Some(to) = query.to {
            conditions.add("at < ?", to);
        }
        if let Some(actor) = &query.actor {
            conditions.add("actor = ?", actor.as_str());
        }
        if let Some(subject) = &query.subject {
            conditions.add("subject = ?", subject.as_str());
        }
        if let Some(before) = query.before {
            conditions.add("sequence < ?", before);
        }
        let limit = conditions.place(query.limit);
        let sql = format!(
            "select {COLUMNS} from audit_log{} order by sequence desc limit {limit}",
            conditions.sql()
        );
        let rows: Vec<AuditRow> = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_all(&self.reader)
            .await
            .doing("reading the audit log")?;
        records(rows)
    }

    /// Walks the whole chain. Gives how many entries are good, counted from the first, and the number of the first
    /// that is not: it was altered, or it is missing.
    pub async fn audit_verify(&self) -> Result<(i64, Option<i64>), StoreError> {
        let mut walk = ChainWalk::default();
        while !self.audit_verify_on(&mut walk).await? {}
        Ok((walk.verified, walk.broken_at))
    }

    /// Walks on from where the walk has come to, at most a thousand entries. True at the end of the log, and where
    /// the chain is broken: then there is nothing behind that could be verified.
    pub async fn audit_verify_on(&self, walk: &mut ChainWalk) -> Result<bool, StoreError> {
        if walk.broken_at.is_some() {
            return Ok(true);
        }
        if walk.verified == 0 {
            let (before_first,): (i64,) =
                sqlx::query_as("select count(*) from audit_log where sequence < 1")
                    .fetch_one(&self.reader)
                    .await
                    .doing("checking the audit log")?;
            if before_first > 0 {
                walk.broken_at = Some(1);
                return Ok(true);
            }
        }
        let sql = format!(
            "select {COLUMNS} from audit_log where sequence > $1 order by sequence limit {VERIFY_PAGE}"
        );
        let rows: Vec<AuditRow> = sqlx::query_as(&sql)
            .bind(walk.verified)
            .fetch_all(&self.reader)
            .await
            .doing("checking the audit log")?;
        let at_the_end = i64::try_from(rows.len()).unwrap_or(i64::MAX) < VERIFY_PAGE;
        for row in rows {
            let sequence = walk.verified + 1;
            match row.hash_after(&walk.head, sequence) {
                Some(hash) => walk.head = hash,
                None => {
                    walk.broken_at = Some(sequence);
                    return Ok(true);
                }
            }
            walk.verified = sequence;
        }
        Ok(at_the_end)
    }

    /// The number of the last entry, 0 before the first.
    pub async fn audit_latest(&self) -> Result<i64, StoreError> {
        let (latest,): (Option<i64>,) = sqlx::query_as("select max(sequence) from audit_log")
            .fetch_one(&self.reader)
            .await
            .doing("reading the end of the audit log")?;
        Ok(latest.unwrap_or(0))
    }
}

/// How far a walk along the chain has come. It begins before the first entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainWalk {
    /// The number of the last entry that was found good.
    pub verified: i64,
    /// The number of the first entry that does not fit, once it was met.
    pub broken_at: Option<i64>,
    /// The hash of the last good entry.
    head: Digest,
}

impl Default for ChainWalk {
    fn default() -> ChainWalk {
        ChainWalk {
            verified: 0,
            broken_at: None,
            head: chain_start(),
        }
    }
}

impl Tx {
    /// Appends an entry to the audit log, chained to the one before it, and gives its number.
    pub async fn audit_append(&mut self, entry: &AuditEntry) -> Result<i64, StoreError> {
        self.appending().await?;
        let last: Option<(i64, String)> =
            sqlx::query_as("select sequence, hash from audit_log order by sequence desc limit 1")
                .fetch_optional(self.connection())
                .await
                .doing("reading the end of the audit log")?;
        let (sequence, before) = match last {
            Some((sequence, hash)) => (sequence + 1, Digest::new(hash)),
            None => (1, chain_start()),
        };
        Columns::new()
            .with("sequence", sequence)
            .with("at", entry.at)
            .with("actor", entry.actor.as_str())
            .with("event", entry.event.word())
            .with("subject", entry.event.subject())
            .with("reason", entry.reason.as_deref())
            .with("body", canonical_json(&entry.event))
            .with("hash", chain_hash(&before, sequence, entry).as_str())
            .insert(
                self.connection(),
                "appending to the audit log",
                "insert into audit_log",
                "",
            )
            .await?;
        Ok(sequence)
    }
}

#[derive(sqlx::FromRow)]
struct AuditRow {
    sequence: i64,
    at: i64,
    actor: String,
    event: String,
    subject: Option<String>,
    reason: Option<String>,
    body: String,
    hash: String,
}

impl AuditRow {
    /// The row's hash, if the row is the entry that belongs at `sequence` after `before`. The columns that only serve
    /// search are not hashed themselves, so they must say what the body says.
    fn hash_after(self, before: &Digest, sequence: i64) -> Option<Digest> {
        if self.sequence != sequence {
            return None;
        }
        let (event, subject, body) = (self.event.clone(), self.subject.clone(), self.body.clone());
        let record = AuditRecord::try_from(self).ok()?;
        let sound = record.entry.event.word() == event
            && record.entry.event.subject() == subject
            && canonical_json(&record.entry.event) == body
            && chain_hash(before, sequence, &record.entry) == record.hash;
        sound.then_some(record.hash)
    }
}

impl TryFrom<AuditRow> for AuditRecord {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<AuditRecord, StoreError> {
        let key = row.sequence.to_string();
        let place = Place {
            table: "audit_log",
            row: &key,
        };
        let event: AuditEvent = place.json("body", &row.body)?;
        Ok(AuditRecord {
            sequence: row.sequence,
            entry: AuditEntry {
                at: Moment::from_millis(row.at),
                actor: row.actor,
                event,
                reason: row.reason,
            },
            hash: Digest::new(row.hash),
        })
    }
}
