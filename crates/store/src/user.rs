//! Local users and API tokens.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::TokenRecord;
use crate::records::UserRecord;
use crate::row::Columns;
use crate::row::Place;
use crate::row::record;
use crate::tx::Tx;
use switchback_domain::actor::Role;
use switchback_domain::ids::UserId;

impl Store {
    /// The user who signs in with this name.
    pub async fn user_fetch_by_name(
        &self,
        username: &str,
    ) -> Result<Option<UserRecord>, StoreError> {
        let row: Option<UserRow> = sqlx::query_as(
            "select id, username, password_hash, roles from users where username = $1",
        )
        .bind(username)
        .fetch_optional(&self.reader)
        .await
        .doing("reading a user")?;
        record(row)
    }

    /// The user with this identifier.
    pub async fn user_fetch_by_id(&self, id: &UserId) -> Result<Option<UserRecord>, StoreError> {
        let row: Option<UserRow> =
            sqlx::query_as("select id, username, password_hash, roles from users where id = $1")
                .bind(id.as_str())
                .fetch_optional(&self.reader)
                .await
                .doing("reading a user")?;
        record(row)
    }

    /// How many local users there are.
    pub async fn user_count(&self) -> Result<i64, StoreError> {
        let (count,): (i64,) = sqlx::query_as(
            "select count(*) from users where id not in (select user_id from oidc_identities)",
        )
        .fetch_one(&self.reader)
        .await
        .doing("counting the users")?;
        Ok(count)
    }

    /// The token whose text has this SHA-256, in 64 hex digits.
    pub async fn token_fetch(&self, sha256: &str) -> Result<Option<TokenRecord>, StoreError> {
        let row: Option<TokenRow> =
            sqlx::query_as("select token_sha256, name, roles from tokens where token_sha256 = $1")
                .bind(sha256)
                .fetch_optional(&self.reader)
                .await
                .doing("reading a token")?;
        record(row)
    }

    /// How many tokens there are.
    pub async fn token_count(&self) -> Result<i64, StoreError> {
        let (count,): (i64,) = sqlx::query_as("select count(*) from tokens")
            .fetch_one(&self.reader)
            .await
            .doing("counting the tokens")?;
        Ok(count)
    }
}

impl Tx {
    /// Records a user. A name that is taken is a conflict.
    pub async fn user_insert(&mut self, user: &UserRecord) -> Result<(), StoreError> {
        Columns::new()
            .with("id", user.id.as_str())
            .with("username", user.username.as_str())
            .with("password_hash", user.password_hash.as_str())
            .with_json("roles", &user.roles)?
            .insert(
                self.connection(),
                "recording a user",
                "insert into users",
                "",
            )
            .await?;
        Ok(())
    }

    /// Records a token. A name or a text that is taken is a conflict.
    pub async fn token_insert(&mut self, token: &TokenRecord) -> Result<(), StoreError> {
        Columns::new()
            .with("token_sha256", token.token_sha256.as_str())
            .with("name", token.name.as_str())
            .with_json("roles", &token.roles)?
            .insert(
                self.connection(),
                "recording a token",
                "insert into tokens",
                "",
            )
            .await?;
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
struct UserRow {
    id: String,
    username: String,
    password_hash: String,
    roles: String,
}

impl TryFrom<UserRow> for UserRecord {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<UserRecord, StoreError> {
        let place = Place {
            table: "users",
            row: &row.id,
        };
        let roles: Vec<Role> = place.json("roles", &row.roles)?;
        Ok(UserRecord {
            id: UserId::new(row.id),
            username: row.username,
            password_hash: row.password_hash,
            roles,
        })
    }
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    token_sha256: String,
    name: String,
    roles: String,
}

impl TryFrom<TokenRow> for TokenRecord {
    type Error = StoreError;

    fn try_from(row: TokenRow) -> Result<TokenRecord, StoreError> {
        let place = Place {
            table: "tokens",
            row: &row.name,
        };
        let roles: Vec<Role> = place.json("roles", &row.roles)?;
        Ok(TokenRecord {
            name: row.name,
            token_sha256: row.token_sha256,
            roles,
        })
    }
}
