//! Idempotency keys: what was answered to a request, so that the same request again gets the same answer.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::row::Columns;
use crate::row::Place;
use crate::row::record;
use crate::tx::Tx;
use switchback_domain::moment::Moment;

/// What was answered to the request with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The route of the request. The same key on another route is a mistake of the caller.
    pub route: String,
    /// SHA-256 of the request's body, 64 hex digits. The same key with another body is one too.
    pub body_sha256: String,
    /// The HTTP status that was answered.
    pub status: u16,
    /// The body that was answered.
    pub body: String,
}

/// How long an answer is kept for a repeated key, in milliseconds: a week.
const KEYS_KEPT_MILLIS: i64 = 7 * 24 * 60 * 60 * 1000;

impl IdempotencyRecord {
    /// The status of a request whose effect is committed and whose answer has yet to be kept: the process ended in
    /// between. The body is then the identifier of what was made or decided.
    pub const UNANSWERED: u16 = 102;

    /// What the request made or decided, when its answer was never kept.
    pub fn unanswered(&self) -> Option<&str> {
        (self.status == IdempotencyRecord::UNANSWERED).then_some(self.body.as_str())
    }
}

impl Store {
    /// What was answered to this actor's request with this key.
    pub async fn idempotency_fetch(
        &self,
        actor: &str,
        key: &str,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        let row: Option<IdempotencyRow> = sqlx::query_as(
            "select actor, idempotency_key, route, body_sha256, status, body from idempotency_keys \
             where actor = $1 and idempotency_key = $2",
        )
        .bind(actor)
        .bind(key)
        .fetch_optional(&self.reader)
        .await
        .doing("reading an idempotency key")?;
        record(row)
    }
}

impl Tx {
    /// Records what is answered to a request with a key. False when the key is taken: read what was answered then.
    #[expect(
        clippy::too_many_arguments,
        reason = "one row's columns; the answer's fields have one caller"
    )]
    pub async fn idempotency_insert(
        &mut self,
        actor: &str,
        key: &str,
        route: &str,
        body_sha256: &str,
        status: u16,
        body: &str,
        at: Moment,
    ) -> Result<bool, StoreError> {
        sqlx::query("delete from idempotency_keys where at < $1")
            .bind(at.plus_millis(-KEYS_KEPT_MILLIS).millis())
            .execute(self.connection())
            .await
            .doing("forgetting old idempotency keys")?;
        let inserted = Columns::new()
            .with("actor", actor)
            .with("idempotency_key", key)
            .with("route", route)
            .with("body_sha256", body_sha256)
            .with("status", i64::from(status))
            .with("body", body)
            .with("at", at)
            .insert(
                self.connection(),
                "recording an idempotency key",
                "insert into idempotency_keys",
                "on conflict (actor, idempotency_key) do nothing",
            )
            .await?;
        Ok(inserted == 1)
    }

    /// Keeps the answer to a request whose effect was committed with its key. False when no such request waits for its
    /// answer.
    pub async fn idempotency_answer(
        &mut self,
        actor: &str,
        key: &str,
        status: u16,
        body: &str,
    ) -> Result<bool, StoreError> {
        let updated = sqlx::query(
            "update idempotency_keys set status = $3, body = $4 \
             where actor = $1 and idempotency_key = $2 and status = $5",
        )
        .bind(actor)
        .bind(key)
        .bind(i64::from(status))
        .bind(body)
        .bind(i64::from(IdempotencyRecord::UNANSWERED))
        .execute(self.connection())
        .await
        .doing("keeping an answer for its idempotency key")?;
        Ok(updated.rows_affected() == 1)
    }
}

#[derive(sqlx::FromRow)]
struct IdempotencyRow {
    actor: String,
    idempotency_key: String,
    route: String,
    body_sha256: String,
    status: i64,
    body: String,
}

impl TryFrom<IdempotencyRow> for IdempotencyRecord {
    type Error = StoreError;

    fn try_from(row: IdempotencyRow) -> Result<IdempotencyRecord, StoreError> {
        let key = format!("{}/{}", row.actor, row.idempotency_key);
        let place = Place {
            table: "idempotency_keys",
            row: &key,
        };
        Ok(IdempotencyRecord {
            status: u16::try_from(row.status)
                .map_err(|_| place.wrong("status", format!("{} is no HTTP status", row.status)))?,
            route: row.route,
            body_sha256: row.body_sha256,
            body: row.body,
        })
    }
}
