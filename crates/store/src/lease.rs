//! Leases: which of several processes watches an account and acts on it.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::LeaseRecord;
use crate::row::Place;
use crate::tx::Tx;
use serde_json::Value;
use switchback_domain::lease::Lease;

impl Store {
    /// The lease of this name as it stands; `None` before anybody has held it.
    pub async fn lease_fetch(&self, name: &str) -> Result<Option<LeaseRecord>, StoreError> {
        let row: Option<LeaseRow> =
            sqlx::query_as("select holder, fence, beats, looks from leases where name = $1")
                .bind(name)
                .fetch_optional(&self.reader)
                .await
                .doing("reading a lease")?;
        row.map(|row| {
            let place = Place {
                table: "leases",
                row: name,
            };
            Ok(LeaseRecord {
                looks: place.json("looks", &row.looks)?,
                lease: Lease {
                    holder: row.holder,
                    fence: row.fence,
                    beats: row.beats,
                },
            })
        })
        .transpose()
    }

    /// The names of all leases that anybody has held.
    pub async fn lease_names(&self) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("select name from leases order by name")
            .fetch_all(&self.reader)
            .await
            .doing("reading the leases")?;
        Ok(rows.into_iter().map(|(name,)| name).collect())
    }

    /// Takes the lease if it still stands as it was seen. The new fence, or `None` when somebody else was first.
    pub async fn lease_take(
        &self,
        name: &str,
        holder: &str,
        seen: Option<&Lease>,
    ) -> Result<Option<i64>, StoreError> {
        let mut tx = self.begin().await?;
        let taken: Option<(i64,)> = match seen {
            None => {
                sqlx::query_as(
                    "insert into leases (name, holder, fence, beats, looks) values ($1, $2, 1, 0, '[]') \
                     on conflict (name) do nothing returning fence",
                )
                .bind(name)
                .bind(holder)
                .fetch_optional(tx.connection())
                .await
            }
            Some(seen) => {
                sqlx::query_as(
                    "update leases set holder = $1, fence = fence + 1, beats = 0 \
                     where name = $2 and fence = $3 and beats = $4 returning fence",
                )
                .bind(holder)
                .bind(name)
                .bind(seen.fence)
                .bind(seen.beats)
                .fetch_optional(tx.connection())
                .await
            }
        }
        .doing("taking a lease")?;
        tx.commit().await?;
        Ok(taken.map(|(fence,)| fence))
    }

    /// One beat of the holder, with how its looks went. `false` when somebody else holds the lease by now.
    pub async fn lease_beat(
        &self,
        name: &str,
        fence: i64,
        looks: &Value,
    ) -> Result<bool, StoreError> {
        self.lease_change(
            "update leases set beats = beats + 1, looks = $1 where name = $2 and fence = $3",
            looks.to_string(),
            name,
            fence,
        )
        .await
    }

    /// Gives the lease back, so that another one need not wait. Nothing happens when somebody else holds it by now.
    pub async fn lease_give_back(&self, name: &str, fence: i64) -> Result<(), StoreError> {
        self.lease_change(
            "update leases set holder = null, looks = $1 where name = $2 and fence = $3",
            "[]".to_string(),
            name,
            fence,
        )
        .await?;
        Ok(())
    }

    async fn lease_change(
        &self,
        statement: &'static str,
        looks: String,
        name: &str,
        fence: i64,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(statement)
            .bind(looks)
            .bind(name)
            .bind(fence)
            .execute(tx.connection())
            .await
            .doing("writing a lease")?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }
}

impl Tx {
    /// Holds that the lease is still this holder's until the transaction has ended: nobody takes it in between. Must be
    /// the transaction's first statement.
    pub async fn lease_hold(&mut self, name: &str, fence: i64) -> Result<(), StoreError> {
        // SQLite has one writer at a time, and this transaction is it.
        let lock = if self.is_postgres() { " for share" } else { "" };
        let statement = format!("select fence from leases where name = $1{lock}");
        let stands: Option<(i64,)> = sqlx::query_as(&statement)
            .bind(name)
            .fetch_optional(self.connection())
            .await
            .doing("checking a lease")?;
        if stands == Some((fence,)) {
            Ok(())
        } else {
            Err(StoreError::LeaseLost {
                name: name.to_string(),
            })
        }
    }
}

#[derive(sqlx::FromRow)]
struct LeaseRow {
    holder: Option<String>,
    fence: i64,
    beats: i64,
    looks: String,
}
