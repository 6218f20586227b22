//! The import of an account's past: how far it is, and what has yet to be taken in.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::ImportItem;
use crate::records::ImportItemKind;
use crate::records::ImportRecord;
use crate::row::Columns;
use crate::row::Place;
use crate::row::record;
use crate::row::records;
use crate::tx::Tx;
use switchback_domain::digest::Digest;
use switchback_domain::import::ImportPart;
use switchback_domain::import::ImportState;
use switchback_domain::moment::Moment;

const COLUMNS: &str = "id, account, region, state, created_until, next_token, unlisted, listed, settled, forgotten, not_watched, \
     definitions_listed, definitions_settled, trouble, began_at, completed_at, generation";

const ITEM_COLUMNS: &str = "subject, position, created_at, reading";

impl Store {
    /// The import of an account and region; `None` before it has begun.
    pub async fn import_fetch(
        &self,
        account: &str,
        region: &str,
    ) -> Result<Option<ImportRecord>, StoreError> {
        let sql = format!("select {COLUMNS} from imports where id = $1");
        let row: Option<ImportRow> = sqlx::query_as(&sql)
            .bind(import_id(account, region))
            .fetch_optional(&self.reader)
            .await
            .doing("reading how far an import is")?;
        record(row)
    }

    /// Every import, by account and region.
    pub async fn import_list(&self) -> Result<Vec<ImportRecord>, StoreError> {
        let sql = format!("select {COLUMNS} from imports order by account, region");
        let rows: Vec<ImportRow> = sqlx::query_as(&sql)
            .fetch_all(&self.reader)
            .await
            .doing("reading how far the imports are")?;
        records(rows)
    }

    /// What is listed and not read, in the order of the list.
    pub async fn import_item_list_listed(
        &self,
        import: &ImportRecord,
        kind: ImportItemKind,
        limit: i64,
    ) -> Result<Vec<ImportItem>, StoreError> {
        let sql = format!(
            "select {ITEM_COLUMNS} from import_items where import_id = $1 and kind = $2 and state = 'listed' \
             order by attempts, position limit $3"
        );
        self.items(&sql, import, kind, limit).await
    }

    /// The deployments that are read and not settled, those that were tried least first, then the newest.
    pub async fn import_item_list_read(
        &self,
        import: &ImportRecord,
        limit: i64,
    ) -> Result<Vec<ImportItem>, StoreError> {
        let sql = format!(
            "select {ITEM_COLUMNS} from import_items where import_id = $1 and kind = $2 and state = 'read' \
             order by attempts, created_at desc, position limit $3"
        );
        self.items(&sql, import, ImportItemKind::Deployment, limit)
            .await
    }

    async fn items(
        &self,
        sql: &str,
        import: &ImportRecord,
        kind: ImportItemKind,
        limit: i64,
    ) -> Result<Vec<ImportItem>, StoreError> {
        let rows: Vec<ItemRow> = sqlx::query_as(sql)
            .bind(import.id())
            .bind(kind.word())
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .doing("reading what has yet to be imported")?;
        Ok(rows.into_iter().map(ImportItem::from).collect())
    }

    /// What was read of one deployment, settled or not.
    pub async fn import_item_fetch(
        &self,
        import: &ImportRecord,
        aws_id: &str,
    ) -> Result<Option<ImportItem>, StoreError> {
        let sql = format!(
            "select {ITEM_COLUMNS} from import_items where import_id = $1 and kind = 'deployment' and subject = $2"
        );
        let row: Option<ItemRow> = sqlx::query_as(&sql)
            .bind(import.id())
            .bind(aws_id)
            .fetch_optional(&self.reader)
            .await
            .doing("reading what is known of a deployment")?;
        Ok(row.map(ImportItem::from))
    }

    /// What was read of a group's deployments that were created before a moment, the newest first.
    pub async fn import_item_list_before(
        &self,
        import: &ImportRecord,
        application: &str,
        group: &str,
        before: Moment,
        limit: i64,
    ) -> Result<Vec<ImportItem>, StoreError> {
        let sql = format!(
            "select {ITEM_COLUMNS} from import_items where import_id = $1 and application = $2 and group_name = $3 \
             and created_at < $4 order by created_at desc, position limit $5"
        );
        let rows: Vec<ItemRow> = sqlx::query_as(&sql)
            .bind(import.id())
            .bind(application)
            .bind(group)
            .bind(before.millis())
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .doing("reading a group's earlier deployments")?;
        Ok(rows.into_iter().map(ImportItem::from).collect())
    }

    /// Whether AWS listed a deployment between two positions of its list that it then no longer knew.
    pub async fn import_has_forgotten_between(
        &self,
        import: &ImportRecord,
        newer: i64,
        older: i64,
    ) -> Result<bool, StoreError> {
        let (count,): (i64,) = sqlx::query_as(
            "select count(*) from import_items where import_id = $1 and kind = 'deployment' \
             and state = 'forgotten' and position > $2 and position < $3",
        )
        .bind(import.id())
        .bind(newer)
        .bind(older)
        .fetch_one(&self.reader)
        .await
        .doing("reading what AWS has forgotten")?;
        Ok(count > 0)
    }

    /// The text of an AppSpec that was read before.
    pub async fn app_spec_fetch(
        &self,
        account: &str,
        region: &str,
        application: &str,
        digest: &Digest,
    ) -> Result<Option<String>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as(
            "select content from app_specs where account = $1 and region = $2 and application = $3 and digest = $4",
        )
        .bind(account)
        .bind(region)
        .bind(application)
        .bind(digest.as_str())
        .fetch_optional(&self.reader)
        .await
        .doing("reading an AppSpec")?;
        Ok(row.map(|(content,)| content))
    }
}

impl Tx {
    /// Begins the import of an account and region, whose deployments after `at` are the watcher's. False when it has
    /// begun already.
    pub async fn import_begin(
        &mut self,
        account: &str,
        region: &str,
        at: Moment,
    ) -> Result<bool, StoreError> {
        let import = ImportRecord::begun(account, region, at);
        let inserted = columns(&import)
            .with("id", import.id())
            .with("account", account)
            .with("region", region)
            .with("created_until", at)
            .with("began_at", at)
            .with("generation", 1)
            .insert(
                self.connection(),
                "beginning an import",
                "insert into imports",
                "on conflict do nothing",
            )
            .await?;
        Ok(inserted == 1)
    }

    /// Changes the import that stands at the record's generation, and gives the new generation.
    pub async fn import_update(&mut self, import: &ImportRecord) -> Result<i64, StoreError> {
        columns(import)
            .update(
                self.connection(),
                "changing an import",
                "imports",
                &import.id(),
                import.generation,
            )
            .await
    }

    /// Adds what is to be taken in, in the list's order from a position on; gives how many were not there already.
    pub async fn import_item_add(
        &mut self,
        import: &ImportRecord,
        kind: ImportItemKind,
        subjects: &[String],
        first_position: i64,
    ) -> Result<i64, StoreError> {
        let mut added = 0;
        for (subject, position) in subjects.iter().zip(first_position..) {
            let inserted = Columns::new()
                .with("import_id", import.id())
                .with("kind", kind.word())
                .with("subject", subject.as_str())
                .with("state", "listed")
                .with("position", position)
                .with("attempts", 0)
                .insert(
                    self.connection(),
                    "listing what is to be imported",
                    "insert into import_items",
                    "on conflict do nothing",
                )
                .await?;
            added += i64::from(inserted == 1);
        }
        Ok(added)
    }

    /// Keeps what was read of a deployment.
    pub async fn import_item_read(
        &mut self,
        import: &ImportRecord,
        aws_id: &str,
        application: &str,
        group: &str,
        created_at: Moment,
        reading: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update import_items set state = 'read', application = $3, group_name = $4, created_at = $5, \
             reading = $6, attempts = 0 where import_id = $1 and kind = 'deployment' and subject = $2",
        )
        .bind(import.id())
        .bind(aws_id)
        .bind(application)
        .bind(group)
        .bind(created_at.millis())
        .bind(reading)
        .execute(self.connection())
        .await
        .doing("keeping what was read of a deployment")?;
        Ok(())
    }

    /// Says that nothing is left to do about something.
    pub async fn import_item_settle(
        &mut self,
        import: &ImportRecord,
        kind: ImportItemKind,
        subject: &str,
    ) -> Result<(), StoreError> {
        self.item_update("state = 'settled'", import, kind, subject)
            .await
    }

    /// Says that AWS no longer knows what it listed.
    pub async fn import_item_forget(
        &mut self,
        import: &ImportRecord,
        kind: ImportItemKind,
        subject: &str,
    ) -> Result<(), StoreError> {
        self.item_update("state = 'forgotten'", import, kind, subject)
            .await
    }

    /// Says that something could not be read now: others come first.
    pub async fn import_item_postpone(
        &mut self,
        import: &ImportRecord,
        kind: ImportItemKind,
        subject: &str,
    ) -> Result<(), StoreError> {
        self.item_update("attempts = attempts + 1", import, kind, subject)
            .await
    }

    async fn item_update(
        &mut self,
        set: &'static str,
        import: &ImportRecord,
        kind: ImportItemKind,
        subject: &str,
    ) -> Result<(), StoreError> {
        let sql = format!(
            "update import_items set {set} where import_id = $1 and kind = $2 and subject = $3"
        );
        sqlx::query(&sql)
            .bind(import.id())
            .bind(kind.word())
            .bind(subject)
            .execute(self.connection())
            .await
            .doing("settling what was imported")?;
        Ok(())
    }

    /// Forgets everything but how far the import is.
    pub async fn import_item_clear(&mut self, import: &ImportRecord) -> Result<(), StoreError> {
        sqlx::query("delete from import_items where import_id = $1")
            .bind(import.id())
            .execute(self.connection())
            .await
            .doing("tidying up after an import")?;
        Ok(())
    }

    /// Keeps the text of an AppSpec.
    pub async fn app_spec_insert(
        &mut self,
        account: &str,
        region: &str,
        application: &str,
        digest: &Digest,
        content: &str,
    ) -> Result<(), StoreError> {
        Columns::new()
            .with("account", account)
            .with("region", region)
            .with("application", application)
            .with("digest", digest.as_str())
            .with("content", content)
            .insert(
                self.connection(),
                "keeping an AppSpec",
                "insert into app_specs",
                "on conflict do nothing",
            )
            .await?;
        Ok(())
    }
}

fn import_id(account: &str, region: &str) -> String {
    format!("{account}/{region}")
}

/// The columns that change.
fn columns(import: &ImportRecord) -> Columns {
    let unlisted: Vec<&str> = import.unlisted.iter().map(|part| part.word()).collect();
    Columns::new()
        .with("state", import.state.word())
        .with("next_token", import.next_token.as_deref())
        .with("unlisted", unlisted.join(" "))
        .with("listed", import.listed)
        .with("settled", import.settled)
        .with("forgotten", import.forgotten)
        .with("not_watched", import.not_watched)
        .with("definitions_listed", import.definitions_listed)
        .with("definitions_settled", import.definitions_settled)
        .with("trouble", import.trouble.as_deref())
        .with("completed_at", import.completed_at)
}

#[derive(sqlx::FromRow)]
struct ImportRow {
    id: String,
    account: String,
    region: String,
    state: String,
    created_until: i64,
    next_token: Option<String>,
    unlisted: String,
    listed: i64,
    settled: i64,
    forgotten: i64,
    not_watched: i64,
    definitions_listed: i64,
    definitions_settled: i64,
    trouble: Option<String>,
    began_at: i64,
    completed_at: Option<i64>,
    generation: i64,
}

impl TryFrom<ImportRow> for ImportRecord {
    type Error = StoreError;

    fn try_from(row: ImportRow) -> Result<ImportRecord, StoreError> {
        let place = Place {
            table: "imports",
            row: &row.id,
        };
        Ok(ImportRecord {
            state: place.word("state", &row.state, ImportState::parse)?,
            account: row.account,
            region: row.region,
            created_until: Moment::from_millis(row.created_until),
            next_token: row.next_token,
            unlisted: row
                .unlisted
                .split_whitespace()
                .map(|part| place.word("unlisted", part, ImportPart::parse))
                .collect::<Result<_, _>>()?,
            listed: row.listed,
            settled: row.settled,
            forgotten: row.forgotten,
            not_watched: row.not_watched,
            definitions_listed: row.definitions_listed,
            definitions_settled: row.definitions_settled,
            trouble: row.trouble,
            began_at: Moment::from_millis(row.began_at),
            completed_at: row.completed_at.map(Moment::from_millis),
            generation: row.generation,
        })
    }
}

#[derive(sqlx::FromRow)]
struct ItemRow {
    subject: String,
    position: i64,
    created_at: Option<i64>,
    reading: Option<String>,
}

impl From<ItemRow> for ImportItem {
    fn from(row: ItemRow) -> ImportItem {
        ImportItem {
            subject: row.subject,
            position: row.position,
            created_at: row.created_at.map(Moment::from_millis),
            reading: row.reading,
        }
    }
}
