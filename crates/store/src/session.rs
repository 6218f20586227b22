//! Sessions of browsers.
//!
//! Design notes. What a browser sends is never kept, only its SHA-256: who reads the database cannot use a session. A
//! session that is ended keeps its row for a while, so that every server finds it among those that ended just now and
//! closes its event streams. Whether a session still stands is `domain::sign_in`'s to say.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::SessionRecord;
use crate::row::Columns;
use crate::row::Place;
use crate::row::record;
use crate::row::records;
use crate::tx::Tx;
use switchback_domain::ids::SessionId;
use switchback_domain::ids::UserId;
use switchback_domain::moment::Moment;
use switchback_domain::sign_in::SessionTimes;
use switchback_domain::sign_in::SignInMethod;

/// How long the row of an ended session is kept, in seconds.
const ENDED_KEPT_SECONDS: i64 = 3600;

/// How many sessions of one user are listed.
const LISTED: i64 = 200;

const COLUMNS: &str = "select id, token_sha256, user_id, method, user_groups, created_at, last_used_at, fresh_at, ends_at, \
     ended_at, client_address, user_agent, id_token, kept_form from browser_sessions";

impl Store {
    /// The session whose cookie has this SHA-256 (64 hex digits), unless it was ended.
    pub async fn session_fetch(
        &self,
        token_sha256: &str,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let row: Option<SessionRow> = sqlx::query_as(&format!(
            "{COLUMNS} where token_sha256 = $1 and ended_at is null"
        ))
        .bind(token_sha256)
        .fetch_optional(&self.reader)
        .await
        .doing("reading a session")?;
        record(row)
    }

    /// The sessions of a user that were not ended, the last used first.
    pub async fn session_list(&self, user: &UserId) -> Result<Vec<SessionRecord>, StoreError> {
        let rows: Vec<SessionRow> = sqlx::query_as(&format!(
            "{COLUMNS} where user_id = $1 and ended_at is null order by last_used_at desc, id limit $2"
        ))
        .bind(user.as_str())
        .bind(LISTED)
        .fetch_all(&self.reader)
        .await
        .doing("reading the sessions of a user")?;
        records(rows)
    }

    /// The SHA-256 of the cookies of the sessions that were ended since.
    pub async fn session_list_ended(&self, since: Moment) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> =
            sqlx::query_as("select token_sha256 from browser_sessions where ended_at >= $1")
                .bind(since.millis())
                .fetch_all(&self.reader)
                .await
                .doing("reading which sessions ended")?;
        Ok(rows.into_iter().map(|(sha256,)| sha256).collect())
    }
}

impl Tx {
    /// Begins a session. A token that is taken is a conflict.
    pub async fn session_insert(&mut self, session: &SessionRecord) -> Result<(), StoreError> {
        Columns::new()
            .with("id", session.id.as_str())
            .with("token_sha256", session.token_sha256.as_str())
            .with("user_id", session.user_id.as_str())
            .with("method", session.method.word())
            .with_json("user_groups", &session.groups)?
            .with("created_at", session.created_at)
            .with("last_used_at", session.times.last_used_at)
            .with("fresh_at", session.times.fresh_at)
            .with("ends_at", session.times.ends_at)
            .with("ended_at", session.ended_at)
            .with("client_address", session.client_address.as_str())
            .with("user_agent", session.user_agent.as_str())
            .with("id_token", session.id_token.as_deref())
            .with("kept_form", session.kept_form.as_deref())
            .insert(
                self.connection(),
                "beginning a session",
                "insert into browser_sessions",
                "",
            )
            .await?;
        Ok(())
    }

    /// Notes that a session was used. One that was ended meanwhile stays ended.
    pub async fn session_touch(
        &mut self,
        session: &SessionId,
        at: Moment,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update browser_sessions set last_used_at = $2 where id = $1 and last_used_at < $2 and ended_at is null",
        )
        .bind(session.as_str())
        .bind(at.millis())
        .execute(self.connection())
        .await
        .doing("noting that a session was used")?;
        Ok(())
    }

    /// Gives a session another token because its holder proved again who they are. False when it was ended or got
    /// another token meanwhile.
    pub async fn session_rotate(
        &mut self,
        session: &SessionRecord,
        token_sha256: &str,
        fresh_at: Moment,
    ) -> Result<bool, StoreError> {
        let rotated = sqlx::query(
            "update browser_sessions set token_sha256 = $3, fresh_at = $4, last_used_at = $4 \
             where id = $1 and token_sha256 = $2 and ended_at is null",
        )
        .bind(session.id.as_str())
        .bind(session.token_sha256.as_str())
        .bind(token_sha256)
        .bind(fresh_at.millis())
        .execute(self.connection())
        .await
        .doing("renewing a session")?;
        Ok(rotated.rows_affected() == 1)
    }

    /// Ends a session of this user. False when there is no such session, or it was ended before.
    pub async fn session_end(
        &mut self,
        user: &UserId,
        session: &SessionId,
        at: Moment,
    ) -> Result<bool, StoreError> {
        let ended = sqlx::query(
            "update browser_sessions set ended_at = $3, id_token = null, kept_form = null \
             where id = $1 and user_id = $2 and ended_at is null",
        )
        .bind(session.as_str())
        .bind(user.as_str())
        .bind(at.millis())
        .execute(self.connection())
        .await
        .doing("ending a session")?;
        Ok(ended.rows_affected() == 1)
    }

    /// Ends all sessions of this user but the one that is named, and gives their number. Call it in the transaction of
    /// whatever takes rights from the user.
    pub async fn session_end_all(
        &mut self,
        user: &UserId,
        except: Option<&SessionId>,
        at: Moment,
    ) -> Result<i64, StoreError> {
        let ended = sqlx::query(
            "update browser_sessions set ended_at = $3, id_token = null, kept_form = null \
             where user_id = $1 and id <> $2 and ended_at is null",
        )
        .bind(user.as_str())
        .bind(except.map_or("", SessionId::as_str))
        .bind(at.millis())
        .execute(self.connection())
        .await
        .doing("ending the sessions of a user")?;
        // More sessions than an i64 counts would not fit any database.
        Ok(i64::try_from(ended.rows_affected()).unwrap_or(i64::MAX))
    }

    /// Keeps what was typed into a form, or forgets it.
    pub async fn session_keep_form(
        &mut self,
        session: &SessionId,
        form: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update browser_sessions set kept_form = $2 where id = $1 and ended_at is null",
        )
        .bind(session.as_str())
        .bind(form)
        .execute(self.connection())
        .await
        .doing("keeping what was typed")?;
        Ok(())
    }

    /// Gives all sessions of a user the groups that the provider named last.
    pub async fn session_set_groups(
        &mut self,
        user: &UserId,
        groups: &[String],
    ) -> Result<(), StoreError> {
        let groups = serde_json::to_string(groups).map_err(|source| StoreError::Unwritable {
            column: "user_groups",
            source,
        })?;
        sqlx::query(
            "update browser_sessions set user_groups = $2 where user_id = $1 and ended_at is null",
        )
        .bind(user.as_str())
        .bind(groups)
        .execute(self.connection())
        .await
        .doing("noting the groups of a user")?;
        Ok(())
    }

    /// Forgets sessions that are too old to be used or were ended an hour ago, and gives their number. Those of older
    /// versions are forgotten when they expire.
    pub async fn session_forget(&mut self, now: Moment) -> Result<u64, StoreError> {
        let forgotten =
            sqlx::query("delete from browser_sessions where ends_at <= $1 or ended_at < $2")
                .bind(now.millis())
                .bind(now.plus_seconds(-ENDED_KEPT_SECONDS).millis())
                .execute(self.connection())
                .await
                .doing("forgetting ended sessions")?
                .rows_affected();
        sqlx::query("delete from sessions where expires_at <= $1")
            .bind(now.millis())
            .execute(self.connection())
            .await
            .doing("forgetting the sessions of older versions")?;
        Ok(forgotten)
    }
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    id: String,
    token_sha256: String,
    user_id: String,
    method: String,
    user_groups: String,
    created_at: i64,
    last_used_at: i64,
    fresh_at: i64,
    ends_at: i64,
    ended_at: Option<i64>,
    client_address: String,
    user_agent: String,
    id_token: Option<String>,
    kept_form: Option<String>,
}

impl TryFrom<SessionRow> for SessionRecord {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<SessionRecord, StoreError> {
        let place = Place {
            table: "browser_sessions",
            row: &row.id,
        };
        let method = place.word("method", &row.method, SignInMethod::parse)?;
        let groups = place.json("user_groups", &row.user_groups)?;
        Ok(SessionRecord {
            id: SessionId::new(row.id),
            token_sha256: row.token_sha256,
            user_id: UserId::new(row.user_id),
            method,
            groups,
            created_at: Moment::from_millis(row.created_at),
            times: SessionTimes {
                last_used_at: Moment::from_millis(row.last_used_at),
                ends_at: Moment::from_millis(row.ends_at),
                fresh_at: Moment::from_millis(row.fresh_at),
            },
            ended_at: row.ended_at.map(Moment::from_millis),
            client_address: row.client_address,
            user_agent: row.user_agent,
            id_token: row.id_token,
            kept_form: row.kept_form,
        })
    }
}
