//! The audit log: the one place that appends to it, reading, and the check of the chain.
//!
//! What the chain proves: no entry was altered, and none is missing between the first and the last. The signed
//! checkpoints prove that it was not written anew as a whole, and that the last entries were not cut off behind one.
//! What was written since the last checkpoint, and then cut off, shows only against a hash that was written down
//! elsewhere.

use crate::checkpoint::tells_of_removal;
use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::AuditRecord;
use crate::row::Columns;
use crate::row::Conditions;
use crate::row::Place;
use crate::row::contains;
use crate::row::escaped;
use crate::row::records;
use crate::tx::Tx;
use std::collections::BTreeMap;
use switchback_domain::audit::AuditContext;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::audit::AuditSubject;
use switchback_domain::audit::chain_hash;
use switchback_domain::audit::chain_start;
use switchback_domain::audit_proof::Fault;
use switchback_domain::checkpoint::CheckpointWalk;
use switchback_domain::digest::Digest;
use switchback_domain::digest::canonical_json;
use switchback_domain::ids::ServiceId;
use switchback_domain::moment::Moment;

const COLUMNS: &str = "sequence, at, actor, event, subject, service, reason, body, context, hash";

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
    /// Of one of these kinds, by the words of events; all when empty.
    pub events: Vec<String>,
    /// Of exactly this service, by its identifier. Entries from before services were written with them are not found.
    pub service: Option<String>,
    /// With this text in its reason, whatever the case.
    pub reason: Option<String>,
    /// Behind this place of the list: the moment and number of the last entry that was seen.
    pub before: Option<(Moment, i64)>,
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
            events: Vec::new(),
            service: None,
            reason: None,
            before: None,
            limit: DEFAULT_LIMIT,
        }
    }
}

impl AuditQuery {
    /// Whether entries are listed by their times and not by their numbers: where a time is asked for, so that an index
    /// finds it. The two orders differ only by how far the clocks of two servers, or of the account, are apart.
    fn is_by_time(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(from) = self.from {
            conditions.add("at >= ?", from);
        }
        if let Some(to) = self.to {
            conditions.add("at < ?", to);
        }
        // Entries about one thing or service are few: their index is the one to walk, and no planner knows it without
        // statistics. What is added to nothing has no index.
        let is_about_little = self.subject.is_some() || self.service.is_some();
        let column = |name: &str| match is_about_little {
            true => format!("{name} || ''"),
            false => name.to_string(),
        };
        if let Some(actor) = &self.actor {
            conditions.add(&format!("{} = ?", column("actor")), actor.as_str());
        }
        if let Some(subject) = &self.subject {
            conditions.add("subject = ?", subject.as_str());
        }
        if !self.events.is_empty() {
            conditions.add_one_of(&column("event"), self.events.iter().map(String::as_str));
        }
        if let Some(service) = &self.service {
            conditions.add("service = ?", service.as_str());
        }
        if let Some(reason) = &self.reason {
            // Only entries with a reason: most have none, and the index over the others is small.
            conditions.add(
                &format!("reason is not null and {}", contains("reason")),
                escaped(reason),
            );
        }
        if let Some((at, sequence)) = self.before {
            if self.is_by_time() {
                // So that the index finds the place: no later, and of the same moment only what stands before.
                conditions.add("at <= ?", at);
                conditions.add_pair("(at < ?1 or sequence < ?2)", at, sequence);
            } else {
                conditions.add("sequence < ?", sequence);
            }
        }
        conditions
    }
}

impl Store {
    /// Entries of the audit log, newest first.
    pub async fn audit_list(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        if query.events.len() < 2 {
            return self.audit_list_of(query).await;
        }
        // One index each finds the newest of every kind; of all kinds together, none would.
        let mut found = Vec::new();
        for event in &query.events {
            let of_one = AuditQuery {
                events: vec![event.clone()],
                ..query.clone()
            };
            found.extend(self.audit_list_of(&of_one).await?);
        }
        found.sort_by_key(|record| {
            let at = query.is_by_time().then_some(record.entry.at);
            std::cmp::Reverse((at, record.sequence))
        });
        found.dedup_by_key(|record| record.sequence);
        found.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    async fn audit_list_of(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        let mut conditions = query.conditions();
        let limit = conditions.place(query.limit);
        let order = match query.is_by_time() {
            true => "at desc, sequence desc",
            false => "sequence desc",
        };
        let sql = format!(
            "select {COLUMNS} from audit_log{} order by {order} limit {limit}",
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
        Ok((walk.verified, walk.broken_at()))
    }

    /// Walks on from where the walk has come to, at most a thousand entries. True at the end of the log, and where
    /// the chain is broken: then there is nothing behind that could be verified.
    pub async fn audit_verify_on(&self, walk: &mut ChainWalk) -> Result<bool, StoreError> {
        if walk.fault.is_some() {
            return Ok(true);
        }
        let begins = match walk.verified {
            0 => self.walk_begins(walk).await?,
            _ => self.walk_goes_on(walk).await?,
        };
        if !begins {
            return Ok(true);
        }
        let page = self
            .audit_page(walk.verified, i64::MAX, VERIFY_PAGE)
            .await?;
        let at_the_end = i64::try_from(page.len()).unwrap_or(i64::MAX) < VERIFY_PAGE;
        let hashes = walk.take(page);
        // What a checkpoint says about entries before a fault is the earlier news.
        if let Some(fault) = self.checkpoints_hold(walk, &hashes, at_the_end).await? {
            walk.fault = Some(fault);
        }
        Ok(at_the_end || walk.fault.is_some())
    }

    /// Walks on up to an entry, holding nothing but the entries themselves against each other.
    pub async fn audit_walk_to(&self, walk: &mut ChainWalk, until: i64) -> Result<(), StoreError> {
        while walk.fault.is_none() && walk.verified < until {
            let page = self.audit_page(walk.verified, until, VERIFY_PAGE).await?;
            if page.is_empty() {
                let what = format!("it is missing, and everything up to entry {until}");
                walk.fault = Some(Fault::at(walk.verified + 1, what));
            }
            walk.take(page);
        }
        Ok(())
    }

    /// Whether the log begins with its first entry, or behind a removal that is told of and covered by a checkpoint.
    async fn walk_begins(&self, walk: &mut ChainWalk) -> Result<bool, StoreError> {
        let first = self.audit_first().await?;
        if first == 1 {
            return Ok(true);
        }
        let missing = || {
            Fault::at(
                1,
                "it is missing, and nothing tells that it was removed by its age",
            )
        };
        if first < 1 {
            walk.fault = Some(Fault::at(
                1,
                format!("entry {first} stands before the first"),
            ));
            return Ok(false);
        }
        let Some(checkpoint) = self
            .checkpoint_list(first - 2, 1)
            .await?
            .pop()
            .filter(|checkpoint| checkpoint.sequence == first - 1)
        else {
            walk.fault = Some(missing());
            return Ok(false);
        };
        let query = AuditQuery {
            events: vec!["segment_removed".to_string()],
            limit: 1,
            ..AuditQuery::default()
        };
        let told = self.audit_list(&query).await?.pop();
        let keys = self.audit_key_list().await?;
        let is_signed = keys.iter().any(|key| checkpoint.is_signed_by(key));
        let is_told =
            told.is_some_and(|record| tells_of_removal(&record.entry.event, first, &checkpoint));
        if !is_told || !is_signed {
            walk.fault = Some(missing());
            return Ok(false);
        }
        walk.verified = checkpoint.sequence;
        walk.head = checkpoint.hash;
        Ok(true)
    }

    /// Whether the entry that the walk came to is still there as it was: what is written behind one that was cut off
    /// takes its number.
    async fn walk_goes_on(&self, walk: &mut ChainWalk) -> Result<bool, StoreError> {
        let hash = self.audit_hash(walk.verified).await?;
        let is_removed = hash.is_none() && self.audit_first().await? > walk.verified;
        if hash.as_ref() == Some(&walk.head) || is_removed {
            return Ok(true);
        }
        let what = "it is not there any more as it was when it was verified";
        walk.fault = Some(Fault::at(walk.verified, what));
        Ok(false)
    }

    /// Holds the checkpoints over what was walked, and those over what was removed, against the chain. At the end of
    /// the log there is none over an entry that does not exist.
    async fn checkpoints_hold(
        &self,
        walk: &mut ChainWalk,
        hashes: &BTreeMap<i64, Digest>,
        at_the_end: bool,
    ) -> Result<Option<Fault>, StoreError> {
        loop {
            let page = self
                .checkpoint_list(walk.checkpoints.sequence, VERIFY_PAGE)
                .await?;
            let is_last = i64::try_from(page.len()).unwrap_or(i64::MAX) < VERIFY_PAGE;
            // Read after the checkpoints: a key is there before the first that it signs, which may be a moment old.
            let keys = self.audit_key_list().await?;
            for checkpoint in page {
                let sequence = checkpoint.sequence;
                if sequence > walk.verified {
                    // An entry may have been sealed since the last page of entries was read.
                    let is_beyond =
                        at_the_end && walk.fault.is_none() && self.audit_latest().await? < sequence;
                    return Ok(is_beyond.then(|| {
                        let what = format!(
                            "it is missing, and everything up to entry {sequence}, which a checkpoint covers"
                        );
                        Fault::at(walk.verified + 1, what)
                    }));
                }
                if let Err(what) = walk.checkpoints.step(&checkpoint, &keys) {
                    return Ok(Some(Fault::at(sequence, what)));
                }
                let hash = match hashes.get(&sequence) {
                    Some(hash) => Some(hash.clone()),
                    None => self.audit_hash(sequence).await?,
                };
                if hash.is_some_and(|hash| hash != checkpoint.hash) {
                    let what = format!(
                        "it is not the entry of the checkpoint signed at {}: the log up to here was written anew",
                        checkpoint.at.rfc3339()
                    );
                    return Ok(Some(Fault::at(sequence, what)));
                }
            }
            if is_last {
                return Ok(None);
            }
        }
    }

    /// The hash of an entry; `None` where there is none.
    pub async fn audit_hash(&self, sequence: i64) -> Result<Option<Digest>, StoreError> {
        let row: Option<(String,)> =
            sqlx::query_as("select hash from audit_log where sequence = $1")
                .bind(sequence)
                .fetch_optional(&self.reader)
                .await
                .doing("reading an entry's hash")?;
        Ok(row.map(|(hash,)| Digest::new(hash)))
    }

    /// Entries in the order of the chain: after one number, up to another, those that the query lets through.
    pub async fn audit_ascending(
        &self,
        query: &AuditQuery,
        after: i64,
        until: i64,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let mut conditions = query.conditions();
        conditions.add("sequence > ?", after);
        conditions.add("sequence <= ?", until);
        let limit = conditions.place(query.limit);
        let sql = format!(
            "select {COLUMNS} from audit_log{} order by sequence limit {limit}",
            conditions.sql()
        );
        let rows: Vec<AuditRow> = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_all(&self.reader)
            .await
            .doing("reading the audit log in its order")?;
        records(rows)
    }

    /// The numbers of the first and the last entry of this time, as they stand in the chain; `None` when it has none.
    pub async fn audit_bounds(
        &self,
        from: Option<Moment>,
        to: Option<Moment>,
        until: i64,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as(
            "select min(sequence), max(sequence) from audit_log where at >= $1 and at < $2 and sequence <= $3",
        )
        .bind(from.map_or(i64::MIN, Moment::millis))
        .bind(to.map_or(i64::MAX, Moment::millis))
        .bind(until)
        .fetch_one(&self.reader)
        .await
        .doing("looking for the entries of a time")?;
        Ok(first.zip(last))
    }

    async fn audit_page(
        &self,
        after: i64,
        until: i64,
        limit: i64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from audit_log where sequence > $1 and sequence <= $2 order by sequence limit $3"
        );
        sqlx::query_as(&sql)
            .bind(after)
            .bind(until)
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .doing("reading the audit log in its order")
    }

    /// Whether an entry by the same actor, of the same event and subject, was written at this moment or later.
    pub async fn audit_has(&self, entry: &AuditEntry, since: Moment) -> Result<bool, StoreError> {
        let (written,): (i64,) = sqlx::query_as(WRITTEN_SINCE)
            .bind(entry.event.subject())
            .bind(entry.actor.as_str())
            .bind(entry.event.word())
            .bind(since.millis())
            .fetch_one(&self.reader)
            .await
            .doing("looking for an entry of the audit log")?;
        Ok(written > 0)
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
#[derive(Clone, Debug)]
pub struct ChainWalk {
    /// The number of the last entry that was found good.
    pub verified: i64,
    /// The first entry that does not fit, and why, once it was met.
    pub fault: Option<Fault>,
    /// The hash of the last good entry.
    head: Digest,
    checkpoints: CheckpointWalk,
}

impl ChainWalk {
    /// A walk that begins behind an entry whose hash is known to be good.
    pub fn behind(sequence: i64, hash: Digest) -> ChainWalk {
        ChainWalk {
            verified: sequence,
            head: hash,
            ..ChainWalk::default()
        }
    }

    /// The number of the first entry that does not fit, once it was met.
    pub fn broken_at(&self) -> Option<i64> {
        self.fault.as_ref().and_then(|fault| fault.sequence)
    }

    /// The number of the last entry that a good checkpoint covers.
    pub fn sealed(&self) -> i64 {
        self.checkpoints.sequence
    }

    /// The hash of the last good entry.
    pub fn head(&self) -> &Digest {
        &self.head
    }

    /// Takes the rows that follow, up to the first that does not fit; gives the hashes of those that do.
    fn take(&mut self, page: Vec<AuditRow>) -> BTreeMap<i64, Digest> {
        let mut hashes = BTreeMap::new();
        for row in page {
            let sequence = self.verified + 1;
            let found = row.sequence;
            match row.hash_after(&self.head, sequence) {
                Ok(hash) => self.head = hash,
                Err(_) if found != sequence => {
                    let what = format!("it is missing: entry {found} stands in its place");
                    self.fault = Some(Fault::at(sequence, what));
                    break;
                }
                Err(what) => {
                    self.fault = Some(Fault::at(sequence, what));
                    break;
                }
            }
            self.verified = sequence;
            hashes.insert(sequence, self.head.clone());
        }
        hashes
    }
}

impl Default for ChainWalk {
    fn default() -> ChainWalk {
        ChainWalk {
            verified: 0,
            fault: None,
            head: chain_start(),
            checkpoints: CheckpointWalk::default(),
        }
    }
}

impl Tx {
    /// Appends an entry to the audit log, chained to the one before it, and gives its number. The service that the
    /// entry belongs to is looked up where the entry does not name it.
    pub async fn audit_append(&mut self, entry: &AuditEntry) -> Result<i64, StoreError> {
        let mut entry = entry.clone();
        if entry.context.service.is_none() {
            entry.context.service = self.service_of(entry.event.about()).await?;
        }
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
            .with(
                "service",
                entry.context.service.as_ref().map(ServiceId::as_str),
            )
            .with("reason", entry.reason.as_deref())
            .with("body", canonical_json(&entry.event))
            .with("context", context_text(&entry.context))
            .with("hash", chain_hash(&before, sequence, &entry).as_str())
            .insert(
                self.connection(),
                "appending to the audit log",
                "insert into audit_log",
                "",
            )
            .await?;
        Ok(sequence)
    }

    /// Whether somebody's request of the kind that is written once an hour is written already: the same actor, event
    /// and subject at this moment or later. Asked under the lock of those who append, so that two at once are one.
    pub async fn audit_is_written(
        &mut self,
        entry: &AuditEntry,
        since: Moment,
    ) -> Result<bool, StoreError> {
        self.appending().await?;
        let (written,): (i64,) = sqlx::query_as(WRITTEN_SINCE)
            .bind(entry.event.subject())
            .bind(entry.actor.as_str())
            .bind(entry.event.word())
            .bind(since.millis())
            .fetch_one(self.connection())
            .await
            .doing("looking for an entry of the audit log")?;
        Ok(written > 0)
    }

    async fn service_of(
        &mut self,
        about: AuditSubject<'_>,
    ) -> Result<Option<ServiceId>, StoreError> {
        let (sql, id) = match about {
            AuditSubject::Service(service) => return Ok(Some(service.clone())),
            AuditSubject::Other => return Ok(None),
            AuditSubject::Deployment(deployment) => (
                "select service_id from deployments where id = $1",
                deployment.as_str(),
            ),
            AuditSubject::Gate(gate) => (
                "select d.service_id from gates g join deployments d on d.id = g.deployment_id where g.id = $1",
                gate.as_str(),
            ),
            AuditSubject::Operation(operation) => (
                "select service_id from operations where id = $1",
                operation.as_str(),
            ),
        };
        let found: Option<(String,)> = sqlx::query_as(sql)
            .bind(id)
            .fetch_optional(self.connection())
            .await
            .doing("looking up an entry's service")?;
        Ok(found.map(|(service,)| ServiceId::new(service)))
    }
}

/// By subject: an hour's entries about one thing are few.
const WRITTEN_SINCE: &str =
    "select count(*) from audit_log where subject = $1 and actor = $2 and event = $3 and at >= $4";

/// The column of a context; nothing where it says nothing.
fn context_text(context: &AuditContext) -> Option<String> {
    (*context != AuditContext::default()).then(|| canonical_json(context))
}

#[derive(sqlx::FromRow)]
struct AuditRow {
    sequence: i64,
    at: i64,
    actor: String,
    event: String,
    subject: Option<String>,
    service: Option<String>,
    reason: Option<String>,
    body: String,
    context: Option<String>,
    hash: String,
}

impl AuditRow {
    /// The row's hash, if the row is the entry that belongs at `sequence` after `before`; else what is wrong with it.
    /// The columns that only serve search are not hashed themselves, so they must say what the body says.
    fn hash_after(self, before: &Digest, sequence: i64) -> Result<Digest, String> {
        if self.sequence != sequence {
            return Err(format!("entry {} stands in its place", self.sequence));
        }
        let (event, subject, body) = (self.event.clone(), self.subject.clone(), self.body.clone());
        let (service, context) = (self.service.clone(), self.context.clone());
        let record =
            AuditRecord::try_from(self).map_err(|error| format!("it cannot be read: {error}"))?;
        let said = record.entry.event.word() == event
            && record.entry.event.subject() == subject
            && canonical_json(&record.entry.event) == body
            && record.entry.context.service.as_ref().map(ServiceId::as_str) == service.as_deref()
            && context_text(&record.entry.context) == context;
        if !said {
            return Err("its columns do not say what it says: one was altered".to_string());
        }
        if chain_hash(before, sequence, &record.entry) != record.hash {
            return Err(
                "its hash is not that of what it says after the entry before it: one of the two was altered"
                    .to_string(),
            );
        }
        Ok(record.hash)
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
        let context = match &row.context {
            Some(text) => place.json("context", text)?,
            None => AuditContext::default(),
        };
        Ok(AuditRecord {
            sequence: row.sequence,
            entry: AuditEntry {
                at: Moment::from_millis(row.at),
                actor: row.actor,
                event,
                reason: row.reason,
                context,
            },
            hash: Digest::new(row.hash),
        })
    }
}
