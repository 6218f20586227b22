//! Checkpoints of the audit log, the keys that sign them, and the removal of whole old segments.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::row::Columns;
use crate::row::Place;
use crate::row::records;
use crate::tx::Tx;
use switchback_domain::audit::AuditEvent;
use switchback_domain::checkpoint::Checkpoint;
use switchback_domain::checkpoint::PublicKey;
use switchback_domain::checkpoint::SealingKey;
use switchback_domain::digest::Digest;
use switchback_domain::moment::Moment;

const COLUMNS: &str = "sequence, hash, at, previous, key_id, signature";

impl Store {
    /// The checkpoints over entries after this number, oldest first.
    pub async fn checkpoint_list(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Checkpoint>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from audit_checkpoints where sequence > $1 order by sequence limit $2"
        );
        let rows: Vec<CheckpointRow> = sqlx::query_as(&sql)
            .bind(after)
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .doing("reading the audit log's checkpoints")?;
        Ok(rows.into_iter().map(Checkpoint::from).collect())
    }

    /// The latest checkpoint.
    pub async fn checkpoint_latest(&self) -> Result<Option<Checkpoint>, StoreError> {
        let sql = format!("select {COLUMNS} from audit_checkpoints order by sequence desc limit 1");
        let row: Option<CheckpointRow> = sqlx::query_as(&sql)
            .fetch_optional(&self.reader)
            .await
            .doing("reading the audit log's latest checkpoint")?;
        Ok(row.map(Checkpoint::from))
    }

    /// Up to which checkpoint entries may go: the latest one from `first` on that was signed before a moment and covers
    /// nothing after `until`; where already the first of them does, that one. Never the latest of all.
    pub async fn checkpoint_to_remove(
        &self,
        before: Moment,
        first: i64,
        until: i64,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let old = "at < $1 and sequence >= $2 and sequence < (select max(sequence) from audit_checkpoints)";
        let largest = format!(
            "select {COLUMNS} from audit_checkpoints where {old} and sequence <= $3 order by sequence desc limit 1"
        );
        let row: Option<CheckpointRow> = sqlx::query_as(&largest)
            .bind(before.millis())
            .bind(first)
            .bind(until)
            .fetch_optional(&self.reader)
            .await
            .doing("reading an old checkpoint of the audit log")?;
        if let Some(row) = row {
            return Ok(Some(Checkpoint::from(row)));
        }
        let smallest = format!(
            "select {COLUMNS} from audit_checkpoints where {old} order by sequence limit 1"
        );
        let row: Option<CheckpointRow> = sqlx::query_as(&smallest)
            .bind(before.millis())
            .bind(first)
            .fetch_optional(&self.reader)
            .await
            .doing("reading an old checkpoint of the audit log")?;
        Ok(row.map(Checkpoint::from))
    }

    /// Every key that has signed or may sign.
    pub async fn audit_key_list(&self) -> Result<Vec<PublicKey>, StoreError> {
        let rows: Vec<KeyRow> = sqlx::query_as(
            "select key_id, public_key, seed from audit_keys order by made_at, key_id",
        )
        .fetch_all(&self.reader)
        .await
        .doing("reading the audit log's keys")?;
        records(rows)
    }

    /// The signing key that the database keeps; the latest where there are several.
    pub async fn audit_sealing_key(&self) -> Result<Option<SealingKey>, StoreError> {
        let row: Option<KeyRow> = sqlx::query_as(
            "select key_id, public_key, seed from audit_keys where seed is not null \
             order by made_at desc, key_id desc limit 1",
        )
        .fetch_optional(&self.reader)
        .await
        .doing("reading the audit log's signing key")?;
        let Some(KeyRow {
            key_id,
            seed: Some(seed),
            ..
        }) = row
        else {
            return Ok(None);
        };
        let place = Place {
            table: "audit_keys",
            row: &key_id,
        };
        // What the seed is must not get into an error.
        let key =
            SealingKey::parse(&seed).map_err(|problem| place.wrong("seed", problem.to_string()))?;
        Ok(Some(key))
    }

    /// The number of the first entry that the log still holds; 1 while nothing was removed, and in an empty log.
    pub async fn audit_first(&self) -> Result<i64, StoreError> {
        let (first,): (Option<i64>,) = sqlx::query_as("select min(sequence) from audit_log")
            .fetch_one(&self.reader)
            .await
            .doing("reading the beginning of the audit log")?;
        Ok(first.unwrap_or(1))
    }
}

impl Tx {
    /// Keeps a key: its seed too, where the database is to keep it. Keeping it twice changes nothing.
    pub async fn audit_key_insert(
        &mut self,
        key: &PublicKey,
        seed: Option<&str>,
        at: Moment,
    ) -> Result<(), StoreError> {
        Columns::new()
            .with("key_id", key.key_id())
            .with("public_key", key.text())
            .with("seed", seed)
            .with("made_at", at)
            .insert(
                self.connection(),
                "keeping a key of the audit log",
                "insert into audit_keys",
                "on conflict do nothing",
            )
            .await?;
        Ok(())
    }

    /// Appends a checkpoint. Another one over the same entry is a conflict.
    pub async fn checkpoint_insert(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let written = Columns::new()
            .with("sequence", checkpoint.sequence)
            .with("hash", checkpoint.hash.as_str())
            .with("at", checkpoint.at)
            .with("previous", checkpoint.previous.as_str())
            .with("key_id", checkpoint.key_id.as_str())
            .with("signature", checkpoint.signature.as_str())
            .insert(
                self.connection(),
                "appending a checkpoint of the audit log",
                "insert into audit_checkpoints",
                "on conflict do nothing",
            )
            .await?;
        match written {
            1 => Ok(()),
            _ => Err(StoreError::Conflict {
                what: format!("entry {} has a checkpoint already", checkpoint.sequence),
            }),
        }
    }

    /// Deletes every entry up to one that a checkpoint covers. `tombstone` is the number of the entry that tells of it,
    /// which has to be written before, in this transaction. Gives how many entries went.
    pub async fn audit_remove(
        &mut self,
        last_sequence: i64,
        tombstone: i64,
    ) -> Result<u64, StoreError> {
        Columns::new()
            .with("last_sequence", last_sequence)
            .with("tombstone", tombstone)
            .insert(
                self.connection(),
                "writing down what the audit log loses",
                "insert into audit_removals",
                "",
            )
            .await?;
        let removed = sqlx::query("delete from audit_log where sequence <= $1")
            .bind(last_sequence)
            .execute(self.connection())
            .await
            .doing("removing old entries of the audit log")?;
        Ok(removed.rows_affected())
    }
}

/// The entry that tells why the log begins where it does.
pub(crate) fn tells_of_removal(event: &AuditEvent, first: i64, checkpoint: &Checkpoint) -> bool {
    matches!(
        event,
        AuditEvent::SegmentRemoved { last, last_hash, checkpoint: digest, .. }
            if *last == first - 1 && *last_hash == checkpoint.hash && *digest == checkpoint.digest()
    )
}

#[derive(sqlx::FromRow)]
struct CheckpointRow {
    sequence: i64,
    hash: String,
    at: i64,
    previous: String,
    key_id: String,
    signature: String,
}

impl From<CheckpointRow> for Checkpoint {
    fn from(row: CheckpointRow) -> Checkpoint {
        Checkpoint {
            sequence: row.sequence,
            hash: Digest::new(row.hash),
            at: Moment::from_millis(row.at),
            previous: Digest::new(row.previous),
            key_id: row.key_id,
            signature: row.signature,
        }
    }
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    key_id: String,
    public_key: String,
    seed: Option<String>,
}

impl TryFrom<KeyRow> for PublicKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<PublicKey, StoreError> {
        let place = Place {
            table: "audit_keys",
            row: &row.key_id,
        };
        PublicKey::parse(&row.public_key)
            .map_err(|problem| place.wrong("public_key", problem.to_string()))
    }
}
