//! Checking exported entries of the audit log with nothing but what was exported: names the first entry that does not
//! fit, and what is wrong with it.
//!
//! Entries are read as JSON and not as our types, so that an older Switchback checks what a newer one has written.

use crate::audit::AuditContext;
use crate::audit::AuditEntry;
use crate::audit::chain_start;
use crate::checkpoint::Checkpoint;
use crate::digest::Digest;
use crate::moment::Moment;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;

/// An entry as it is exported: everything that is hashed, and the hash. A line of `entries-….jsonl`.
pub fn exported(sequence: i64, entry: &AuditEntry, hash: &Digest) -> Value {
    let mut line = json!({
        "sequence": sequence,
        "at": entry.at,
        "actor": entry.actor,
        "event": entry.event,
        "reason": entry.reason,
        "hash": hash,
    });
    if entry.context != AuditContext::default() {
        line["context"] = json!(entry.context);
    }
    line
}

/// What does not fit, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The number of the first entry that is not as it was written; `None` where it is not about one entry.
    pub sequence: Option<i64>,
    /// What is wrong, in a sentence.
    pub what: String,
}

impl Fault {
    /// About an entry.
    pub fn at(sequence: i64, what: impl Into<String>) -> Fault {
        Fault {
            sequence: Some(sequence),
            what: what.into(),
        }
    }

    /// About the whole.
    pub fn whole(what: impl Into<String>) -> Fault {
        Fault {
            sequence: None,
            what: what.into(),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.sequence {
            Some(sequence) => write!(formatter, "entry {sequence}: {}", self.what),
            None => formatter.write_str(&self.what),
        }
    }
}

/// Which entries a bundle holds and how they hang together with the rest of the log. The first member of a bundle's
/// manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRange {
    /// The number of the first entry.
    pub first: i64,
    /// The number of the last; less than `first` when there is none.
    pub last: i64,
    /// The hash of the entry before the first; that of the empty log where the first is number 1.
    pub before: Digest,
    /// The hash of the last entry.
    pub head: Digest,
}

/// The word of a bundle's form; another one is not read.
pub const BUNDLE_FORM: &str = "switchback audit bundle 1";

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleFile {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its bytes.
    pub sha256: Digest,
}

/// What a bundle is and holds; its canonical JSON is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleManifest {
    /// [`BUNDLE_FORM`]
    pub form: String,
    /// When it was made (the clock of Switchback's machine).
    pub made_at: Moment,
    /// Who asked for it.
    pub made_by: String,
    /// The time that was asked for: from this moment on.
    pub from: Option<Moment>,
    /// The time that was asked for: before this moment.
    pub to: Option<Moment>,
    /// The entries.
    pub range: AuditRange,
    /// How many decisions there are with their evidence.
    pub decisions: i64,
    /// How many gaps in the watching touch the time.
    pub gaps: i64,
    /// The number of the entry that the latest checkpoint covers; 0 when none was signed.
    pub sealed: i64,
    /// The key that signs, 64 hex digits.
    pub public_key: String,
    /// The other files, in their order.
    pub files: Vec<BundleFile>,
}

/// A walk along exported entries.
#[derive(Clone, Debug)]
pub struct ProofWalk {
    next: i64,
    head: Digest,
    sealed: BTreeMap<i64, (Digest, Moment)>,
}

impl ProofWalk {
    /// A walk that begins with an entry, after the hash of the one before it. Where a checkpoint covers an entry of the
    /// walk, the entry has to have the checkpoint's hash.
    pub fn begin(first: i64, before: Digest, checkpoints: &[Checkpoint]) -> Result<Self, Fault> {
        if first == 1 && before != chain_start() {
            return Err(Fault::at(1, "it does not begin where every log begins"));
        }
        let sealed: BTreeMap<_, _> = checkpoints
            .iter()
            .map(|one| (one.sequence, (one.hash.clone(), one.at)))
            .collect();
        if let Some((hash, at)) = sealed.get(&(first - 1))
            && *hash != before
        {
            let what = format!(
                "the entry before it is not the one of the checkpoint signed at {}: the log up to here is another",
                at.rfc3339()
            );
            return Err(Fault::at(first, what));
        }
        Ok(ProofWalk {
            next: first,
            head: before,
            sealed,
        })
    }

    /// The number of the last entry that was taken, and its hash.
    pub fn taken(&self) -> (i64, &Digest) {
        (self.next - 1, &self.head)
    }

    /// Takes the next entry, or says what is wrong with it.
    pub fn step(&mut self, entry: &Value) -> Result<(), Fault> {
        let expected = self.next;
        let Some(sequence) = entry["sequence"].as_i64() else {
            return Err(Fault::at(
                expected,
                "what stands in its place has no number",
            ));
        };
        if sequence > expected {
            let what = match sequence - expected {
                1 => format!("it is missing: entry {sequence} stands in its place"),
                many => format!(
                    "it and {} more are missing: entry {sequence} stands in its place",
                    many - 1
                ),
            };
            return Err(Fault::at(expected, what));
        }
        if sequence < expected {
            let what =
                format!("entry {sequence} stands in its place: it was inserted, repeated or moved");
            return Err(Fault::at(expected, what));
        }
        let hash = raw_hash(&self.head, entry);
        if entry["hash"].as_str() != Some(hash.as_str()) {
            let what = "its hash is not that of what it says after the entry before it: one of the two was altered";
            return Err(Fault::at(sequence, what));
        }
        if let Some((sealed, at)) = self.sealed.get(&sequence)
            && *sealed != hash
        {
            let what = format!(
                "it is not the entry of the checkpoint signed at {}: the log up to here was written anew",
                at.rfc3339()
            );
            return Err(Fault::at(sequence, what));
        }
        self.next += 1;
        self.head = hash;
        Ok(())
    }

    /// Whether everything up to this entry was taken.
    pub fn end(&self, range: &AuditRange) -> Result<(), Fault> {
        let (taken, head) = self.taken();
        if taken < range.last {
            let what = format!("it is missing, and everything up to entry {}", range.last);
            return Err(Fault::at(taken + 1, what));
        }
        if taken > range.last || *head != range.head {
            let what = "it is not the last entry that the manifest names";
            return Err(Fault::at(taken, what));
        }
        Ok(())
    }
}

/// The hash of an exported entry: every member but `hash`, with the hash before it, as canonical JSON.
fn raw_hash(before: &Digest, entry: &Value) -> Digest {
    let mut hashed = entry.clone();
    if let Some(members) = hashed.as_object_mut() {
        members.remove("hash");
        members.insert("before".to_string(), json!(before));
    }
    Digest::of(&hashed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AuditEvent;
    use crate::audit::chain_hash;
    use crate::checkpoint::SealingKey;
    use crate::checkpoint::checkpoints_start;

    fn log(actors: &[&str]) -> Vec<Value> {
        let mut before = chain_start();
        let mut lines = Vec::new();
        for (index, actor) in actors.iter().enumerate() {
            let sequence = index as i64 + 1;
            let mut entry =
                AuditEntry::new(Moment::from_millis(sequence), *actor, AuditEvent::SignedIn);
            if index % 2 == 0 {
                entry.context.address = Some("192.0.2.7".to_string());
                entry.reason = Some("ü \" \u{1}".to_string());
            }
            before = chain_hash(&before, sequence, &entry);
            lines.push(exported(sequence, &entry, &before));
        }
        lines
    }

    fn range(lines: &[Value]) -> AuditRange {
        AuditRange {
            first: 1,
            last: lines.len() as i64,
            before: chain_start(),
            head: Digest::new(lines.last().unwrap()["hash"].as_str().unwrap()),
        }
    }

    fn checked(lines: &[Value], range: &AuditRange, sealed: &[Checkpoint]) -> Result<(), Fault> {
        let mut walk = ProofWalk::begin(range.first, range.before.clone(), sealed)?;
        for line in lines {
            walk.step(line)?;
        }
        walk.end(range)
    }

    fn checkpoint(lines: &[Value], sequence: usize) -> Checkpoint {
        let hash = Digest::new(lines[sequence - 1]["hash"].as_str().unwrap());
        let key = SealingKey::from_seed(&[1; 32]);
        Checkpoint::signed(
            &key,
            sequence as i64,
            hash,
            Moment::from_millis(9),
            checkpoints_start(),
        )
    }

    #[test]
    fn what_was_exported_is_taken() {
        let lines = log(&["a", "b", "c", "d", "e"]);
        let sealed = [checkpoint(&lines, 3)];
        assert_eq!(checked(&lines, &range(&lines), &sealed), Ok(()));
        // From the middle on, after the checkpoint.
        let tail = AuditRange {
            first: 4,
            before: Digest::new(lines[2]["hash"].as_str().unwrap()),
            ..range(&lines)
        };
        assert_eq!(checked(&lines[3..], &tail, &sealed), Ok(()));
    }

    /// Every way to tamper, with the entry that has to be named.
    #[test]
    fn every_way_to_tamper_is_found_where_it_was_done() {
        let lines = log(&["a", "b", "c", "d", "e"]);
        let range = range(&lines);
        let sealed = [checkpoint(&lines, 4)];
        let found = |lines: &[Value], words: &str| {
            let fault = checked(lines, &range, &sealed).unwrap_err();
            assert!(fault.what.contains(words), "{fault}");
            fault.sequence.unwrap()
        };
        for (member, value) in [
            ("actor", json!("x")),
            ("at", json!("2026-01-01T00:00:00.000Z")),
            ("reason", json!("x")),
            ("event", json!({"event": "signed_out"})),
            ("context", json!({"address": "192.0.2.8"})),
            ("hash", json!("aa")),
            ("more", json!(1)),
        ] {
            let mut edited = lines.clone();
            edited[2][member] = value;
            assert_eq!(found(&edited, "altered"), 3, "{member}");
        }
        let mut deleted = lines.clone();
        deleted.remove(1);
        assert_eq!(found(&deleted, "missing"), 2);
        let mut swapped = lines.clone();
        swapped.swap(1, 2);
        assert_eq!(found(&swapped, "missing"), 2);
        let mut inserted = lines.clone();
        inserted.insert(2, lines[1].clone());
        assert_eq!(found(&inserted, "inserted"), 3);
        assert_eq!(found(&lines[..4], "missing"), 5);
        // Written anew from the second entry on, every hash as it has to be.
        let forked = log(&["a", "x", "c", "d", "e"]);
        assert_eq!(found(&forked, "written anew"), 4);
        // The same without the checkpoint: the manifest's own hash is left.
        let fault = checked(&forked, &range, &[]).unwrap_err();
        assert_eq!(fault.sequence, Some(5));
        // Another log before the first entry that is there.
        let tail = AuditRange {
            first: 5,
            before: Digest::of_bytes(b"x"),
            ..range.clone()
        };
        let fault = checked(&lines[4..], &tail, &sealed).unwrap_err();
        assert_eq!(fault.sequence, Some(5));
    }
}
