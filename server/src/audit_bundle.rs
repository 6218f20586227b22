//! `switchback audit verify`: a bundle of the audit log is checked with nothing but itself, and with a key and an older
//! checkpoint where somebody has kept them elsewhere.

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::Read;
use switchback_domain::audit_proof::AuditRange;
use switchback_domain::audit_proof::BUNDLE_FORM;
use switchback_domain::audit_proof::BundleFile;
use switchback_domain::audit_proof::BundleManifest;
use switchback_domain::audit_proof::Fault;
use switchback_domain::audit_proof::ProofWalk;
use switchback_domain::checkpoint::BUNDLE_PURPOSE;
use switchback_domain::checkpoint::Checkpoint;
use switchback_domain::checkpoint::CheckpointWalk;
use switchback_domain::checkpoint::PublicKey;
use switchback_domain::digest::Digest;
use switchback_domain::digest::canonical_json;

/// The largest file of a bundle that is read, in bytes: a thousand entries are far below.
const LARGEST_FILE: u64 = 256 * 1024 * 1024;

/// What somebody has kept elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The key that has to have signed.
    pub public_key: Option<PublicKey>,
    /// A checkpoint that has to be among those of the bundle.
    pub checkpoint: Option<Checkpoint>,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// Whether everything fits.
    pub good: bool,
    /// What does not, first of all.
    pub fault: Option<Fault>,
    /// How many entries were found good, from the first on.
    pub entries: i64,
    /// The number of the first entry.
    pub first: i64,
    /// The number of the last good entry.
    pub last: i64,
    /// The number of the entry up to which signed checkpoints cover the log.
    pub sealed: i64,
    /// How many decisions were found with the evidence they name.
    pub decisions: i64,
    /// How many gaps in the watching it tells.
    pub gaps: i64,
    /// The name of the key that signed the bundle.
    pub key_id: Option<String>,
    /// Whether that is the key that was given.
    pub key_was_given: bool,
}

impl Verified {
    fn empty() -> Verified {
        Verified {
            good: false,
            fault: None,
            entries: 0,
            first: 0,
            last: 0,
            sealed: 0,
            decisions: 0,
            gaps: 0,
            key_id: None,
            key_was_given: false,
        }
    }

    /// For people.
    pub fn words(&self) -> String {
        if let Some(fault) = &self.fault {
            let place = match fault.sequence {
                Some(sequence) => format!("The first bad entry is {sequence}: "),
                None => String::new(),
            };
            let good = match self.entries {
                0 => String::new(),
                entries => format!(
                    "\n{entries} entries before it, {} to {}, fit each other.",
                    self.first, self.last
                ),
            };
            return format!("NOT VERIFIED. {place}{}.{good}", fault.what);
        }
        let key = self.key_id.as_deref().unwrap_or("none");
        let trust = if self.key_was_given {
            format!("Signed by the key that was given, {key}.")
        } else {
            format!(
                "Signed by the key {key}. Whose key that is, the bundle cannot tell: give --public-key with the one that you know."
            )
        };
        let sealed = if self.sealed >= self.last {
            "Signed checkpoints cover all of them.".to_string()
        } else {
            format!(
                "Signed checkpoints cover the log up to entry {}; the rest is covered by the bundle's own signature.",
                self.sealed
            )
        };
        format!(
            "Verified: {} entries, {} to {}; {} decisions with their evidence; {} gaps in the watching are told. {sealed}\n{trust}",
            self.entries, self.first, self.last, self.decisions, self.gaps
        )
    }
}

/// Checks a bundle. The error is that it could not be read at all.
pub fn verify(source: impl Read, kept: &Kept) -> std::io::Result<Verified> {
    let mut check = Check::new(kept);
    let mut archive = tar::Archive::new(source);
    for file in archive.entries()? {
        // What is cut off or broken inside ends here; what was read before is told.
        let read = file.and_then(|mut file| {
            let name = file.path()?.to_string_lossy().into_owned();
            if file.size() > LARGEST_FILE {
                return Err(std::io::Error::other(format!("{name} is too large")));
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok((name, bytes))
        });
        let taken = match read {
            Ok((name, bytes)) => check.file(&name, &bytes),
            Err(error) => Err(Fault::whole(format!(
                "the bundle is cut off or is no tar file ({error})"
            ))),
        };
        if let Err(fault) = taken {
            return Ok(check.failed(fault));
        }
    }
    Ok(match check.end() {
        Ok(()) => {
            check.found.good = true;
            check.found
        }
        Err(fault) => check.failed(fault),
    })
}

/// What has been read so far.
struct Check<'a> {
    kept: &'a Kept,
    found: Verified,
    files: Vec<BundleFile>,
    range: Option<AuditRange>,
    keys: Vec<PublicKey>,
    checkpoints: Vec<Checkpoint>,
    sealing: CheckpointWalk,
    walk: Option<ProofWalk>,
    /// The decisions of the entries whose evidence is yet to come, by gate and actor: entry and digest.
    decided: BTreeMap<(String, String), (i64, String)>,
    proven: BTreeSet<(String, String)>,
    manifest: Option<(BundleManifest, Vec<u8>)>,
    is_signed: bool,
}

#[derive(Deserialize)]
struct KeyLine {
    public_key: String,
}

impl<'a> Check<'a> {
    fn new(kept: &'a Kept) -> Check<'a> {
        Check {
            kept,
            found: Verified::empty(),
            files: Vec::new(),
            range: None,
            keys: Vec::new(),
            checkpoints: Vec::new(),
            sealing: CheckpointWalk::default(),
            walk: None,
            decided: BTreeMap::new(),
            proven: BTreeSet::new(),
            manifest: None,
            is_signed: false,
        }
    }

    fn failed(mut self, fault: Fault) -> Verified {
        self.found.fault = Some(fault);
        self.found
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        if self.is_signed {
            return Err(Fault::whole(format!("{name} stands behind the signature")));
        }
        match name {
            "manifest.json" => {
                self.manifest = Some((whole(name, bytes)?, bytes.to_vec()));
                return Ok(());
            }
            "manifest.sig" => return self.signature(bytes),
            _ => {}
        }
        if self.manifest.is_some() {
            return Err(Fault::whole(format!("{name} stands behind the manifest")));
        }
        let kind = name.split(['-', '.']).next().unwrap_or_default();
        match kind {
            "range" => {
                let range: AuditRange = whole(name, bytes)?;
                self.found.first = range.first;
                self.range = Some(range);
            }
            "keys" => {
                for key in lines::<KeyLine>(name, bytes)? {
                    let key = PublicKey::parse(&key.public_key)
                        .map_err(|problem| Fault::whole(format!("{name}: {problem}")))?;
                    self.keys.push(key);
                }
            }
            "checkpoints" => self.checkpoints_of(name, bytes)?,
            "entries" => self.entries_of(name, bytes)?,
            "evidence" => self.evidence_of(name, bytes)?,
            "gaps" => self.found.gaps = lines::<Value>(name, bytes)?.len() as i64,
            _ => {
                return Err(Fault::whole(format!("{name} is no file of a bundle")));
            }
        }
        self.files.push(BundleFile {
            name: name.to_string(),
            bytes: bytes.len() as u64,
            sha256: Digest::of_bytes(bytes),
        });
        Ok(())
    }

    fn checkpoints_of(&mut self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        for checkpoint in lines::<Checkpoint>(name, bytes)? {
            let sequence = checkpoint.sequence;
            self.sealing
                .step(&checkpoint, &self.keys)
                .map_err(|what| Fault::at(sequence, what))?;
            self.found.sealed = sequence;
            self.checkpoints.push(checkpoint);
        }
        Ok(())
    }

    fn entries_of(&mut self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        if self.walk.is_none() {
            let Some(range) = &self.range else {
                return Err(Fault::whole("range.json is missing before the entries"));
            };
            self.kept_checkpoint_is_there()?;
            let walk = ProofWalk::begin(range.first, range.before.clone(), &self.checkpoints)?;
            self.walk = Some(walk);
        }
        let Some(walk) = &mut self.walk else {
            return Ok(());
        };
        let lines = bytes.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            let (taken, _) = walk.taken();
            let entry: Value = serde_json::from_slice(line).map_err(|error| {
                Fault::at(taken + 1, format!("its line in {name} is no JSON: {error}"))
            })?;
            walk.step(&entry)?;
            let (taken, _) = walk.taken();
            self.found.entries += 1;
            self.found.last = taken;
            if entry["event"]["event"] == "gate_decided" {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
                self.decided.insert(
                    (text(&entry["event"]["gate"]), text(&entry["actor"])),
                    (taken, text(&entry["event"]["evidence"])),
                );
            }
        }
        Ok(())
    }

    /// A checkpoint that somebody has kept is one of the log's own: otherwise this is another log, or an old state of it.
    fn kept_checkpoint_is_there(&self) -> Result<(), Fault> {
        let Some(kept) = &self.kept.checkpoint else {
            return Ok(());
        };
        if self.checkpoints.contains(kept) {
            return Ok(());
        }
        let what = if self.found.sealed < kept.sequence {
            format!(
                "the checkpoint that was kept covers the log up to entry {}, and this bundle's end at entry {}: the log was cut off, or this is an older state of it",
                kept.sequence, self.found.sealed
            )
        } else {
            "the checkpoint that was kept is not among those of this bundle: the log up to here was written anew".to_string()
        };
        Err(Fault::at(kept.sequence, what))
    }

    fn evidence_of(&mut self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        for line in lines::<Value>(name, bytes)? {
            let text = |member: &str| line[member].as_str().unwrap_or_default().to_string();
            let key = (text("gate"), text("actor"));
            let Some((entry, digest)) = self.decided.get(&key) else {
                // A decision at the same gate that is outside of the range.
                continue;
            };
            let basis = Digest::of(&line["evidence"]["basis"]);
            if basis.as_str() != digest || text("evidence_digest") != *digest {
                let what = format!("what {} saw at the decision was altered", key.1);
                return Err(Fault::at(*entry, what));
            }
            self.proven.insert(key);
        }
        Ok(())
    }

    fn signature(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Some((manifest, text)) = &self.manifest else {
            return Err(Fault::whole(
                "manifest.json is missing before its signature",
            ));
        };
        if manifest.form != BUNDLE_FORM {
            return Err(Fault::whole(format!(
                "it is a {:?}, and this version reads {BUNDLE_FORM:?}",
                manifest.form
            )));
        }
        let key = PublicKey::parse(&manifest.public_key)
            .map_err(|problem| Fault::whole(format!("manifest.json: {problem}")))?;
        if let Some(kept) = &self.kept.public_key {
            if *kept != key {
                return Err(Fault::whole(format!(
                    "it is signed by the key {}, and the one that was given is {}",
                    key.key_id(),
                    kept.key_id()
                )));
            }
            self.found.key_was_given = true;
        }
        self.found.key_id = Some(key.key_id());
        let (text, signature) = (
            String::from_utf8_lossy(text),
            String::from_utf8_lossy(bytes),
        );
        if text != canonical_json(manifest)
            || !key.has_signed(BUNDLE_PURPOSE, &text, signature.trim())
        {
            return Err(Fault::whole("the manifest's signature does not fit it"));
        }
        self.is_signed = true;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some((manifest, _)) = &self.manifest else {
            return Err(Fault::whole(
                "manifest.json is missing: the bundle is cut off",
            ));
        };
        if let Some(walk) = &self.walk {
            walk.end(&manifest.range)?;
        }
        if self.range.as_ref() != Some(&manifest.range) || self.walk.is_none() {
            return Err(Fault::whole(
                "its entries are missing, or are not those that the manifest names",
            ));
        }
        if let Some((_, (entry, _))) = self
            .decided
            .iter()
            .filter(|(key, _)| !self.proven.contains(*key))
            .min_by_key(|(_, (entry, _))| *entry)
        {
            return Err(Fault::at(
                *entry,
                "the evidence of this decision is missing",
            ));
        }
        self.found.decisions = self.proven.len() as i64;
        if self.found.sealed != manifest.sealed {
            return Err(Fault::whole(format!(
                "its checkpoints end at entry {}, and the manifest names one over entry {}",
                self.found.sealed, manifest.sealed
            )));
        }
        for pair in manifest.files.iter().zip(&self.files) {
            if pair.0 != pair.1 {
                return Err(Fault::whole(format!(
                    "{} is not the file that the manifest names",
                    pair.1.name
                )));
            }
        }
        if manifest.files.len() != self.files.len() {
            return Err(Fault::whole(
                "it does not hold the files that the manifest names",
            ));
        }
        if !self.is_signed {
            return Err(Fault::whole("manifest.sig is missing"));
        }
        Ok(())
    }
}

fn whole<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes)
        .map_err(|error| Fault::whole(format!("{name} cannot be read: {error}")))
}

fn lines<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<Vec<T>, Fault> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| whole(name, line))
        .collect()
}
