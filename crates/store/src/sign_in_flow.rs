//! Sign-ins by OpenID Connect that were begun, and the users who come that way.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::SignInFlowRecord;
use crate::row::Columns;
use crate::tx::Tx;
use switchback_domain::ids::SessionId;
use switchback_domain::ids::UserId;
use switchback_domain::moment::Moment;

impl Store {
    /// The identifier of the user whom this provider calls so.
    pub async fn user_id_by_oidc(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<UserId>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as(
            "select user_id from oidc_identities where issuer = $1 and subject = $2",
        )
        .bind(issuer)
        .bind(subject)
        .fetch_optional(&self.reader)
        .await
        .doing("reading a user of the provider")?;
        Ok(row.map(|(id,)| UserId::new(id)))
    }

    /// Whether any user has this name, in whatever case its letters are.
    pub async fn user_name_is_taken(&self, username: &str) -> Result<bool, StoreError> {
        let (count,): (i64,) =
            sqlx::query_as("select count(*) from users where lower(username) = lower($1)")
                .bind(username)
                .fetch_one(&self.reader)
                .await
                .doing("looking for a user's name")?;
        Ok(count > 0)
    }
}

impl Tx {
    /// Records a user who comes by the provider: without a password and, by themselves, without roles. A name or a
    /// subject that is taken is a conflict.
    pub async fn user_insert_of_oidc(
        &mut self,
        id: &UserId,
        username: &str,
        issuer: &str,
        subject: &str,
    ) -> Result<(), StoreError> {
        Columns::new()
            .with("id", id.as_str())
            .with("username", username)
            // No text that a password could hash to.
            .with("password_hash", "")
            .with("roles", "[]")
            .insert(
                self.connection(),
                "recording a user of the provider",
                "insert into users",
                "",
            )
            .await?;
        Columns::new()
            .with("issuer", issuer)
            .with("subject", subject)
            .with("user_id", id.as_str())
            .insert(
                self.connection(),
                "recording who a user is at the provider",
                "insert into oidc_identities",
                "",
            )
            .await?;
        Ok(())
    }

    /// Records that a sign-in was begun, and forgets those whose time is over.
    pub async fn sign_in_flow_insert(&mut self, flow: &SignInFlowRecord) -> Result<(), StoreError> {
        sqlx::query("delete from sign_in_flows where ends_at <= $1")
            .bind(flow.begun_at.millis())
            .execute(self.connection())
            .await
            .doing("forgetting old sign-ins")?;
        Columns::new()
            .with("state_sha256", flow.state_sha256.as_str())
            .with("browser_sha256", flow.browser_sha256.as_str())
            .with("nonce", flow.nonce.as_str())
            .with("pkce_verifier", flow.pkce_verifier.as_str())
            .with("return_to", flow.return_to.as_str())
            .with("session_id", flow.session.as_ref().map(SessionId::as_str))
            .with("begun_at", flow.begun_at)
            .with("ends_at", flow.ends_at)
            .insert(
                self.connection(),
                "recording that a sign-in began",
                "insert into sign_in_flows",
                "",
            )
            .await?;
        Ok(())
    }

    /// Takes a sign-in that was begun in this browser and whose time is not over: each can be taken once.
    pub async fn sign_in_flow_take(
        &mut self,
        state_sha256: &str,
        browser_sha256: &str,
        now: Moment,
    ) -> Result<Option<SignInFlowRecord>, StoreError> {
        let row: Option<FlowRow> = sqlx::query_as(
            "select state_sha256, browser_sha256, nonce, pkce_verifier, return_to, session_id, begun_at, ends_at \
             from sign_in_flows where state_sha256 = $1 and browser_sha256 = $2 and ends_at > $3",
        )
        .bind(state_sha256)
        .bind(browser_sha256)
        .bind(now.millis())
        .fetch_optional(self.connection())
        .await
        .doing("reading a sign-in")?;
        let taken = sqlx::query(
            "delete from sign_in_flows where state_sha256 = $1 and browser_sha256 = $2",
        )
        .bind(state_sha256)
        .bind(browser_sha256)
        .execute(self.connection())
        .await
        .doing("taking a sign-in")?;
        Ok(row
            .filter(|_| taken.rows_affected() == 1)
            .map(SignInFlowRecord::from))
    }
}

#[derive(sqlx::FromRow)]
struct FlowRow {
    state_sha256: String,
    browser_sha256: String,
    nonce: String,
    pkce_verifier: String,
    return_to: String,
    session_id: Option<String>,
    begun_at: i64,
    ends_at: i64,
}

impl From<FlowRow> for SignInFlowRecord {
    fn from(row: FlowRow) -> SignInFlowRecord {
        SignInFlowRecord {
            state_sha256: row.state_sha256,
            browser_sha256: row.browser_sha256,
            nonce: row.nonce,
            pkce_verifier: row.pkce_verifier,
            return_to: row.return_to,
            session: row.session_id.map(SessionId::new),
            begun_at: Moment::from_millis(row.begun_at),
            ends_at: Moment::from_millis(row.ends_at),
        }
    }
}
