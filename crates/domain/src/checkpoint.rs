//! Signed checkpoints over the audit log: who holds one can tell later whether the log up to it is still the same.
//!
//! A checkpoint names an entry by its number and hash, and the checkpoint before by its digest; an Ed25519 key signs it.
//! The chain of hashes shows that no entry was altered without all later ones; the signature, that the later ones were
//! not simply made anew by somebody who has the database and not the key.

use crate::digest::Digest;
use crate::digest::canonical_json;
use crate::moment::Moment;
use ed25519_dalek::Signature;
use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use ed25519_dalek::VerifyingKey;
use serde::Deserialize;
use serde::Serialize;

/// What is signed begins with this line, so that no signature can be taken for one over something else.
const CHECKPOINT_PURPOSE: &str = "switchback audit checkpoint\n";

/// The same for the manifest of a bundle.
pub const BUNDLE_PURPOSE: &str = "switchback audit bundle\n";

/// How many hex digits of the public key's SHA-256 name a key.
const KEY_ID_DIGITS: usize = 16;

/// A key that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// A signing key.
    #[error("a signing key is 64 hex digits: the 32 bytes of an Ed25519 seed")]
    Seed,
    /// A public key.
    #[error("a public key is 64 hex digits: the 32 bytes of an Ed25519 public key")]
    Public,
}

/// The key that signs. Shows itself to nobody, and is wiped from memory when it is dropped.
#[derive(Clone)]
pub struct SealingKey(SigningKey);

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SealingKey({}, ..)", self.public().key_id())
    }
}

impl SealingKey {
    /// The key of a seed of 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> SealingKey {
        SealingKey(SigningKey::from_bytes(seed))
    }

    /// The key of a seed as 64 hex digits.
    pub fn parse(text: &str) -> Result<SealingKey, KeyProblem> {
        let mut seed = [0; 32];
        hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| KeyProblem::Seed)?;
        Ok(SealingKey::from_seed(&seed))
    }

    /// What others check its signatures with.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The signature over a text with its purpose: 128 hex digits.
    pub fn sign(&self, purpose: &str, text: &str) -> String {
        let signed = [purpose.as_bytes(), text.as_bytes()].concat();
        hex::encode(self.0.sign(&signed).to_bytes())
    }
}

/// The key that signatures are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads 64 hex digits.
    pub fn parse(text: &str) -> Result<PublicKey, KeyProblem> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| KeyProblem::Public)?;
        VerifyingKey::from_bytes(&bytes)
            .map(PublicKey)
            .map_err(|_| KeyProblem::Public)
    }

    /// 64 hex digits.
    pub fn text(&self) -> String {
        hex::encode(self.0.as_bytes())
    }

    /// The key's name: the first 16 hex digits of the SHA-256 of its 32 bytes.
    pub fn key_id(&self) -> String {
        let digest = Digest::of_bytes(self.0.as_bytes());
        digest.as_str().chars().take(KEY_ID_DIGITS).collect()
    }

    /// Whether the signature is this key's, over this text and purpose.
    pub fn has_signed(&self, purpose: &str, text: &str, signature: &str) -> bool {
        let mut bytes = [0; 64];
        if hex::decode_to_slice(signature, &mut bytes).is_err() {
            return false;
        }
        let signed = [purpose.as_bytes(), text.as_bytes()].concat();
        self.0
            .verify_strict(&signed, &Signature::from_bytes(&bytes))
            .is_ok()
    }
}

/// A signed statement: the log's entry of this number had this hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The number of the last entry it covers.
    pub sequence: i64,
    /// That entry's hash.
    pub hash: Digest,
    /// When it was signed (the clock of Switchback's machine).
    pub at: Moment,
    /// The digest of the checkpoint before; [`checkpoints_start`] for the first.
    pub previous: Digest,
    /// The name of the key that signed.
    pub key_id: String,
    /// The signature over the other members: 128 hex digits.
    pub signature: String,
}

/// What the first checkpoint names as the one before.
pub fn checkpoints_start() -> Digest {
    Digest::of_bytes(b"switchback audit checkpoints")
}

impl Checkpoint {
    /// Signs that the entry has this hash.
    pub fn signed(
        key: &SealingKey,
        sequence: i64,
        hash: Digest,
        at: Moment,
        previous: Digest,
    ) -> Checkpoint {
        let mut checkpoint = Checkpoint {
            sequence,
            hash,
            at,
            previous,
            key_id: key.public().key_id(),
            signature: String::new(),
        };
        checkpoint.signature = key.sign(CHECKPOINT_PURPOSE, &checkpoint.statement());
        checkpoint
    }

    /// The canonical JSON that is signed: every member but the signature.
    fn statement(&self) -> String {
        canonical_json(&serde_json::json!({
            "sequence": self.sequence,
            "hash": self.hash,
            "at": self.at,
            "previous": self.previous,
            "key_id": self.key_id,
        }))
    }

    /// Its own digest, signature included: what the next one names.
    pub fn digest(&self) -> Digest {
        Digest::of(self)
    }

    /// Whether this key signed it.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.key_id == key.key_id()
            && key.has_signed(CHECKPOINT_PURPOSE, &self.statement(), &self.signature)
    }
}

/// A walk along the checkpoints, from the first. A log's checkpoints are good when the walk takes every one of them.
#[derive(Clone, Debug)]
pub struct CheckpointWalk {
    /// The number of the last good one's entry; 0 before the first.
    pub sequence: i64,
    previous: Digest,
}

impl Default for CheckpointWalk {
    fn default() -> CheckpointWalk {
        CheckpointWalk {
            sequence: 0,
            previous: checkpoints_start(),
        }
    }
}

impl CheckpointWalk {
    /// Takes the next one, or says what is wrong with it. `keys` are those that may sign.
    pub fn step(&mut self, checkpoint: &Checkpoint, keys: &[PublicKey]) -> Result<(), String> {
        if checkpoint.sequence <= self.sequence || checkpoint.previous != self.previous {
            return Err(format!(
                "the checkpoint over entry {} does not follow the one over entry {}: one was removed, inserted or put back",
                checkpoint.sequence, self.sequence
            ));
        }
        let Some(key) = keys.iter().find(|key| key.key_id() == checkpoint.key_id) else {
            return Err(format!(
                "the checkpoint over entry {} is signed by the key {}, which is not known here",
                checkpoint.sequence, checkpoint.key_id
            ));
        };
        if !checkpoint.is_signed_by(key) {
            return Err(format!(
                "the signature of the checkpoint over entry {} does not fit it",
                checkpoint.sequence
            ));
        }
        self.sequence = checkpoint.sequence;
        self.previous = checkpoint.digest();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> SealingKey {
        SealingKey::from_seed(&[number; 32])
    }

    fn chain(key: &SealingKey) -> Vec<Checkpoint> {
        let mut previous = checkpoints_start();
        [3, 7, 9]
            .into_iter()
            .map(|sequence| {
                let hash = Digest::of_bytes(&[sequence as u8]);
                let at = Moment::from_millis(sequence);
                let next = Checkpoint::signed(key, sequence, hash, at, previous.clone());
                previous = next.digest();
                next
            })
            .collect()
    }

    fn walked(chain: &[Checkpoint], keys: &[PublicKey]) -> Result<i64, String> {
        let mut walk = CheckpointWalk::default();
        for checkpoint in chain {
            walk.step(checkpoint, keys)?;
        }
        Ok(walk.sequence)
    }

    /// RFC 8032, section 7.1, test 1: the seed's public key.
    #[test]
    fn the_key_is_that_of_rfc_8032() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let key = SealingKey::parse(&format!("{seed}\n")).unwrap();
        assert_eq!(key.public().text(), public);
        assert_eq!(PublicKey::parse(public).unwrap(), key.public());
        assert!(!format!("{key:?}").contains(&seed[..8]));
        assert_eq!(SealingKey::parse("9d").unwrap_err(), KeyProblem::Seed);
        assert_eq!(PublicKey::parse("x").unwrap_err(), KeyProblem::Public);
    }

    #[test]
    fn a_chain_is_taken_whole_and_a_change_is_found() {
        let signer = key(1);
        let keys = [signer.public()];
        let chain = chain(&signer);
        assert_eq!(walked(&chain, &keys), Ok(9));

        // Removed, put back, in another order.
        assert!(walked(&[chain[0].clone(), chain[2].clone()], &keys).is_err());
        let again = [chain.clone(), vec![chain[0].clone()]].concat();
        assert!(walked(&again, &keys).unwrap_err().contains("put back"));
        assert!(walked(&[chain[1].clone(), chain[0].clone()], &keys).is_err());

        // Altered, or signed by somebody else.
        let mut altered = chain.clone();
        altered[2].hash = Digest::of_bytes(b"x");
        assert!(walked(&altered, &keys).unwrap_err().contains("signature"));
        let forged = self::chain(&key(2));
        assert!(walked(&forged, &keys).unwrap_err().contains("not known"));
        let mut renamed = forged.clone();
        for checkpoint in &mut renamed {
            checkpoint.key_id = keys[0].key_id();
        }
        assert!(walked(&renamed, &keys).unwrap_err().contains("signature"));
    }

    #[test]
    fn a_signature_counts_for_its_purpose_only() {
        let signer = key(1);
        let signature = signer.sign(BUNDLE_PURPOSE, "x");
        let public = signer.public();
        assert!(public.has_signed(BUNDLE_PURPOSE, "x", &signature));
        assert!(!public.has_signed(CHECKPOINT_PURPOSE, "x", &signature));
        assert!(!public.has_signed(BUNDLE_PURPOSE, "y", &signature));
        assert!(!public.has_signed(BUNDLE_PURPOSE, "x", "zz"));
    }
}
