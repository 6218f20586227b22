//! Bundles of the audit log: made by the real console, checked by the real command, and tampered with in between.

use crate::audit_bundle::Kept;
use crate::audit_bundle::Verified;
use crate::audit_bundle::verify;
use crate::audit_export::in_tar;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use switchback_contract::AuditExportForm;
use switchback_contract::AuditFilter;
use switchback_contract::AuditPart;
use switchback_control::Control;
use switchback_control::ControlSettings;
use switchback_domain::actor::Actor;
use switchback_domain::actor::Role;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::checkpoint::Checkpoint;
use switchback_domain::checkpoint::SealingKey;
use switchback_domain::checkpoint::checkpoints_start;
use switchback_domain::moment::Moment;
use switchback_store::ChainWalk;
use switchback_store::Store;

/// How many entries the log has: more than one file of a bundle holds.
const ENTRIES: i64 = 1500;

type Files = Vec<(String, Vec<u8>)>;

struct Log {
    store: Store,
    control: Control,
    _folder: tempfile::TempDir,
}

fn at(second: i64) -> Moment {
    Moment::from_millis(1_795_000_000_000 + second * 1000)
}

fn key(number: u8) -> SealingKey {
    SealingKey::from_seed(&[number; 32])
}

impl Log {
    /// A log of its own, with its last entries by this actor.
    async fn new(last_actor: &str) -> Log {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("s.db").display());
        let store = Store::open(&url).await.unwrap();
        let second = Duration::from_secs(1);
        let settings = ControlSettings {
            poll_active: second,
            poll_idle: second,
            poll_events: second,
        };
        let control = Control::new(
            store.clone(),
            Vec::new(),
            settings,
            Arc::new(|| at(5000)),
            Arc::new(|| [0; 8]),
        );
        let mut tx = store.begin().await.unwrap();
        for second in 0..ENTRIES {
            let actor = if second < 1300 { "dana" } else { last_actor };
            let mut entry = AuditEntry::new(at(second), actor, AuditEvent::SignedIn);
            entry.context.address = Some("192.0.2.7".to_string());
            tx.audit_append(&entry).await.unwrap();
        }
        tx.commit().await.unwrap();
        let log = Log {
            store,
            control,
            _folder: folder,
        };
        for sequence in [400, 1400] {
            log.seal(sequence).await;
        }
        log
    }

    async fn seal(&self, sequence: i64) {
        let mut walk = ChainWalk::default();
        self.store.audit_walk_to(&mut walk, sequence).await.unwrap();
        let last = self.store.checkpoint_latest().await.unwrap();
        let previous = last.map_or_else(checkpoints_start, |last| last.digest());
        let head = walk.head().clone();
        let sealed = Checkpoint::signed(&key(1), sequence, head, at(sequence), previous);
        let seed = "01".repeat(32);
        let mut tx = self.store.begin().await.unwrap();
        tx.audit_key_insert(&key(1).public(), Some(&seed), at(0))
            .await
            .unwrap();
        tx.checkpoint_insert(&sealed).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn export(&self, from: Option<Moment>, to: Option<Moment>) -> Files {
        let filter = AuditFilter {
            from: from.map(Moment::rfc3339),
            to: to.map(Moment::rfc3339),
            ..AuditFilter::default()
        };
        let actor = Actor {
            groups: Vec::new(),
            name: "vera".to_string(),
            roles: vec![Role::Viewer],
            address: None,
        };
        let console = self.control.for_actor(Some(actor));
        let form = AuditExportForm::Bundle;
        let mut export = console.audit_export(filter, form).await.unwrap();
        let mut files = Vec::new();
        while let Some(part) = export.next().await.unwrap() {
            let AuditPart::File { name, bytes } = part else {
                panic!("a bundle is made of files");
            };
            files.push((name, bytes));
        }
        files
    }
}

fn bundle(files: &Files) -> Vec<u8> {
    let mut bytes: Vec<u8> = files
        .iter()
        .flat_map(|(name, bytes)| in_tar(name, bytes).unwrap())
        .collect();
    bytes.extend([0; 1024]);
    bytes
}

fn checked(files: &Files, kept: &Kept) -> Verified {
    verify(&*bundle(files), kept).unwrap()
}

/// Where and what is wrong.
fn fault(files: &Files, kept: &Kept) -> (Option<i64>, String) {
    let found = checked(files, kept);
    assert!(!found.good);
    let fault = found.fault.unwrap();
    (fault.sequence, fault.what)
}

/// The bundle with the lines of one file changed.
fn with_lines(files: &Files, name: &str, change: impl Fn(&mut Vec<String>)) -> Files {
    let mut files = files.clone();
    let (_, bytes) = files.iter_mut().find(|(found, _)| found == name).unwrap();
    let mut lines: Vec<String> = std::str::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(str::to_string)
        .collect();
    change(&mut lines);
    *bytes = (lines.join("\n") + "\n").into_bytes();
    files
}

fn kept_checkpoint(files: &Files, index: usize) -> Checkpoint {
    let (_, bytes) = files
        .iter()
        .find(|(name, _)| name == "checkpoints-000001.jsonl")
        .unwrap();
    let line = std::str::from_utf8(bytes).unwrap().lines().nth(index);
    serde_json::from_str(line.unwrap()).unwrap()
}

const SECOND: &str = "entries-000002.jsonl";

#[tokio::test]
async fn a_bundle_proves_itself_and_a_range_never_changes() {
    let log = Log::new("dana").await;
    let files = log.export(None, None).await;
    let kept = Kept {
        public_key: Some(key(1).public()),
        checkpoint: Some(kept_checkpoint(&files, 0)),
    };
    let found = checked(&files, &kept);
    assert!(found.good, "{:?}", found.fault);
    assert_eq!(
        (found.entries, found.first, found.last, found.sealed),
        (ENTRIES, 1, ENTRIES, 1400)
    );
    assert!(
        found.key_was_given
            && found
                .words()
                .starts_with("Verified: 1500 entries, 1 to 1500")
    );

    // A part of the log, from the middle on.
    let (from, to) = (Some(at(1000)), Some(at(1300)));
    let part = log.export(from, to).await;
    let found = checked(&part, &Kept::default());
    assert_eq!((found.first, found.last, found.good), (1001, 1300, true));
    // Asked again after more was written, it holds the same entries.
    let mut tx = log.store.begin().await.unwrap();
    let late = AuditEntry::new(at(9000), "mira", AuditEvent::SignedOut);
    tx.audit_append(&late).await.unwrap();
    tx.commit().await.unwrap();
    log.seal(1450).await;
    let again = log.export(from, to).await;
    let entries = |files: &Files| -> Files {
        let is_entries = |(name, _): &&(String, Vec<u8>)| name.starts_with("entries");
        files.iter().filter(is_entries).cloned().collect()
    };
    assert_eq!(entries(&again), entries(&part));
    assert!(checked(&again, &kept).good);
}

#[tokio::test]
async fn every_way_to_tamper_with_a_bundle_is_found() {
    let log = Log::new("dana").await;
    let files = log.export(None, None).await;
    let nothing = Kept::default();
    let lines = |change: fn(&mut Vec<String>)| fault(&with_lines(&files, SECOND, change), &nothing);

    let (place, what) = lines(|lines| lines[4] = lines[4].replace("dana", "mira"));
    assert!(place == Some(1005) && what.contains("altered"), "{what}");
    let (place, what) = lines(|lines| drop(lines.remove(4)));
    assert!(place == Some(1005) && what.contains("missing"), "{what}");
    let (place, what) = lines(|lines| lines.swap(4, 5));
    assert!(place == Some(1005) && what.contains("missing"), "{what}");
    let (place, what) = lines(|lines| lines.insert(5, lines[4].clone()));
    assert!(place == Some(1006) && what.contains("inserted"), "{what}");
    let (place, what) = lines(|lines| lines.truncate(450));
    assert!(place == Some(1451) && what.contains("missing"), "{what}");
    let (place, what) = lines(|lines| lines[4] = "{".to_string());
    assert!(place == Some(1005) && what.contains("no JSON"), "{what}");

    // A whole file is left out, or everything behind some place is.
    let without = |name: &str| -> Files {
        let mut files = files.clone();
        files.retain(|(found, _)| found != name);
        files
    };
    assert_eq!(fault(&without(SECOND), &nothing).0, Some(1001));
    assert_eq!(fault(&without("entries-000001.jsonl"), &nothing).0, Some(1));
    for name in [
        "manifest.json",
        "manifest.sig",
        "keys.jsonl",
        "gaps.jsonl",
        "range.json",
    ] {
        assert!(!checked(&without(name), &nothing).good, "{name}");
    }
    assert_eq!(
        fault(&without("checkpoints-000001.jsonl"), &nothing).1,
        "its checkpoints end at entry 0, and the manifest names one over entry 1400"
    );
    let whole = bundle(&files);
    for cut in [600, whole.len() / 2, whole.len() - 2000] {
        assert!(!verify(&whole[..cut], &nothing).unwrap().good, "{cut}");
    }

    // The manifest is altered, or signed by another key.
    let mut altered = files.clone();
    for (name, bytes) in &mut altered {
        if name == "manifest.json" {
            let text = String::from_utf8(bytes.clone()).unwrap();
            *bytes = text.replace("vera", "dana").into_bytes();
        }
    }
    assert!(fault(&altered, &nothing).1.contains("signature"));
    let other = Kept {
        public_key: Some(key(2).public()),
        ..Kept::default()
    };
    assert!(fault(&files, &other).1.contains("the one that was given"));
}

/// Somebody with the database and its key makes another log of the same length, all of it sound in itself.
#[tokio::test]
async fn a_fork_and_an_old_state_are_found_by_a_checkpoint_that_was_kept() {
    let log = Log::new("dana").await;
    let files = log.export(None, None).await;
    let kept = Kept {
        checkpoint: Some(kept_checkpoint(&files, 1)),
        ..Kept::default()
    };
    let forked = Log::new("mira").await.export(None, None).await;
    assert!(checked(&forked, &Kept::default()).good);
    let (place, what) = fault(&forked, &kept);
    assert!(
        place == Some(1400) && what.contains("written anew"),
        "{what}"
    );

    // The entries of one with the checkpoints of the other.
    let mut mixed = forked.clone();
    for (name, bytes) in &mut mixed {
        if name.starts_with("checkpoints") {
            let (_, of_the_other) = files.iter().find(|(found, _)| found == name).unwrap();
            *bytes = of_the_other.clone();
        }
    }
    let (place, what) = fault(&mixed, &Kept::default());
    assert!(
        place == Some(1400) && what.contains("written anew"),
        "{what}"
    );

    // An old checkpoint is put behind the newer ones, or in their place.
    let replayed = |change: fn(&mut Vec<String>)| {
        fault(
            &with_lines(&files, "checkpoints-000001.jsonl", change),
            &kept,
        )
    };
    let (place, what) = replayed(|lines| lines.push(lines[0].clone()));
    assert!(place == Some(400) && what.contains("put back"), "{what}");
    let (place, what) = replayed(|lines| lines.truncate(1));
    assert!(
        place == Some(1400) && what.contains("older state"),
        "{what}"
    );
    let (place, what) = replayed(|lines| {
        let mut forged: Value = serde_json::from_str(&lines[1]).unwrap();
        forged["sequence"] = 1401.into();
        lines[1] = forged.to_string();
    });
    assert!(place == Some(1401) && what.contains("signature"), "{what}");
}
