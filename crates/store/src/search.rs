//! The text index of the history: which deployments contain a text in reason, AWS id, service name or target revision.
//!
//! Design notes. The two databases have no common language for it, so it is made here at every start, like the guard
//! of the audit log, and not by a migration.
//!
//! On SQLite it is an FTS5 table of trigrams without content, kept by triggers. Its row numbers are positions that
//! grow with the start of the deployment, so that a page of the newest is read from its end and ends when it is full,
//! however many deployments contain the text. Rejected: the rows' own numbers, which say nothing about time and may
//! change when the file is compacted.
//!
//! On PostgreSQL it is a GIN index of the extension `pg_trgm`. Who may not create the extension has no index; the
//! history is walked then, which takes seconds for a million deployments, and every answer says so.
//!
//! A database that holds deployments already is indexed in the background ([`Store::search_build`]).

use crate::connect::Dialect;
use crate::connect::Store;
use crate::deployment::DeploymentQuery;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::row::Conditions;
use sqlx::AnyConnection;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// Positions in one millisecond: 2^20, a million deployments that start at the same moment.
const POSITIONS: i64 = 1 << 20;

/// How many deployments are indexed in one transaction. Others wait to write meanwhile, a few hundredths of a second.
const AT_ONCE: i64 = 250;

/// Fewer characters have no trigram.
pub const SHORTEST_SEARCH: usize = 3;

/// Up to how many deployments that fit the other filters are looked through one by one instead. Of a million, measured:
/// a row that is looked at costs about 15 µs, and one that the text index finds and a filter drops about 22 µs; of n that
/// fit, a page needs some 51 million / n of the latter. Both come to the same at about 8,600.
const FEW: i64 = 8_000;

/// How often it is looked whether another process has made PostgreSQL's index.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How the text index stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchState {
    /// Every deployment is in it.
    Built,
    /// It is being made; a search walks the history until then.
    Building {
        /// How much of the history is in it, in per cent; `None` when the database does not tell.
        percent: Option<i64>,
    },
    /// This database has none, for this reason; every search walks the history.
    Impossible {
        /// What the database said.
        reason: String,
    },
}

/// What is known of the index, shared by the clones of a store.
#[derive(Debug)]
pub(crate) struct Search(Mutex<SearchState>);

impl Search {
    pub(crate) fn new(state: SearchState) -> Search {
        Search(Mutex::new(state))
    }

    fn get(&self) -> SearchState {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, state: SearchState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Makes what the index consists of, and says how it stands. An empty database is done at once.
pub(crate) async fn prepare(
    connection: &mut AnyConnection,
    dialect: Dialect,
) -> Result<SearchState, StoreError> {
    match dialect {
        Dialect::Sqlite => prepare_sqlite(connection).await,
        Dialect::Postgres => prepare_postgres(connection).await,
    }
}

async fn prepare_sqlite(connection: &mut AnyConnection) -> Result<SearchState, StoreError> {
    sqlx::raw_sql(SQLITE_INDEX)
        .execute(&mut *connection)
        .await
        .doing("making the text index")?;
    let (complete,): (i64,) = sqlx::query_as("select complete from deployment_search_state")
        .fetch_one(connection)
        .await
        .doing("reading how the text index stands")?;
    Ok(if complete == 1 {
        SearchState::Built
    } else {
        SearchState::Building { percent: Some(0) }
    })
}

async fn prepare_postgres(connection: &mut AnyConnection) -> Result<SearchState, StoreError> {
    if let Err(error) = sqlx::raw_sql(POSTGRES_EXTENSION)
        .execute(&mut *connection)
        .await
    {
        let reason = match &error {
            sqlx::Error::Database(refusal) => refusal.message().to_string(),
            _ => return Err(error).doing("making the text index"),
        };
        return Ok(SearchState::Impossible { reason });
    }
    let (deployments,): (i64,) =
        sqlx::query_as("select count(*) from (select 1 from deployments limit 1) as first_one")
            .fetch_one(&mut *connection)
            .await
            .doing("looking whether there are deployments")?;
    if deployments == 0 {
        sqlx::raw_sql(&format!(
            "select cast(pg_advisory_xact_lock(815001) as text); create index if not exists {POSTGRES_INDEX}"
        ))
        .execute(&mut *connection)
        .await
        .doing("making the text index")?;
    }
    Ok(match postgres_index_is_valid(connection).await? {
        Some(true) => SearchState::Built,
        Some(false) | None => SearchState::Building { percent: None },
    })
}

/// Whether the index can be used; `None` when it is not there.
async fn postgres_index_is_valid(
    connection: &mut AnyConnection,
) -> Result<Option<bool>, StoreError> {
    let found: Option<(i64,)> = sqlx::query_as(
        "select case when indisvalid then cast(1 as bigint) else cast(0 as bigint) end from pg_index \
         where indexrelid = to_regclass('deployments_by_text')",
    )
    .fetch_optional(connection)
    .await
    .doing("reading how the text index stands")?;
    Ok(found.map(|(valid,)| valid == 1))
}

impl Store {
    /// How the text index stands.
    pub fn search_state(&self) -> SearchState {
        self.search.get()
    }

    /// Puts the deployments that were recorded before there was an index into it, the newest first; returns when all
    /// are. Dropped and begun again it goes on where it was. On PostgreSQL the database builds it by itself, without
    /// keeping others from writing, and only the end is waited for.
    pub async fn search_build(&self) -> Result<(), StoreError> {
        match (self.search_state(), self.dialect()) {
            (SearchState::Building { .. }, Dialect::Sqlite) => self.build_sqlite().await,
            (SearchState::Building { .. }, Dialect::Postgres) => self.build_postgres().await,
            (SearchState::Built | SearchState::Impossible { .. }, _) => Ok(()),
        }
    }

    async fn build_sqlite(&self) -> Result<(), StoreError> {
        let (total,): (i64,) = sqlx::query_as("select count(*) from deployments")
            .fetch_one(&self.reader)
            .await
            .doing("counting the deployments")?;
        let mut seen = 0;
        let mut before: Option<(i64, String)> = None;
        loop {
            let after = match before {
                Some(_) => "where (started_at, id) < ($1, $2)",
                None => "where $1 = $1 and $2 = $2",
            };
            let (at, id) = before.clone().unwrap_or_default();
            let sql = format!(
                "select started_at, id from deployments {after} order by started_at desc, id desc limit {AT_ONCE}"
            );
            let part: Vec<(i64, String)> = sqlx::query_as(&sql)
                .bind(at)
                .bind(id)
                .fetch_all(&self.reader)
                .await
                .doing("reading what the text index lacks")?;
            let mut tx = self.begin().await?;
            let Some((first, last)) = part.first().cloned().zip(part.last().cloned()) else {
                sqlx::query("update deployment_search_state set complete = 1")
                    .execute(tx.connection())
                    .await
                    .doing("finishing the text index")?;
                tx.commit().await?;
                self.search.set(SearchState::Built);
                return Ok(());
            };
            // What a trigger has put in meanwhile stays. Several that begin at once are numbered by their order.
            sqlx::query(
                "insert into deployment_search_rows (position, deployment_id) \
                 select coalesce((select max(position) + 1 from deployment_search_rows \
                         where position >= started_at * 1048576 and position < (started_at + 1) * 1048576), \
                     started_at * 1048576) \
                     + row_number() over (partition by started_at order by id) - 1, id \
                 from deployments where (started_at, id) <= ($1, $2) and (started_at, id) >= ($3, $4) \
                 and not exists (select 1 from deployment_search_rows where deployment_id = deployments.id)",
            )
            .bind(first.0)
            .bind(&first.1)
            .bind(last.0)
            .bind(&last.1)
            .execute(tx.connection())
            .await
            .doing("numbering deployments for the text index")?;
            sqlx::query(
                "insert into deployment_search (rowid, reason, aws_id, service_name, target_revision) \
                 select position, reason, aws_id, service_name, target_revision \
                 from deployments join deployment_search_rows on deployment_id = deployments.id \
                 where (started_at, id) <= ($1, $2) and (started_at, id) >= ($3, $4) \
                 and not exists (select 1 from deployment_search where rowid = position)",
            )
            .bind(first.0)
            .bind(&first.1)
            .bind(last.0)
            .bind(&last.1)
            .execute(tx.connection())
            .await
            .doing("putting deployments into the text index")?;
            tx.commit().await?;
            seen += i64::try_from(part.len()).unwrap_or(i64::MAX);
            // Deployments that began since the count make it no more than all.
            let percent = (seen * 100 / total.max(1)).min(99);
            self.search.set(SearchState::Building {
                percent: Some(percent),
            });
            before = Some(last);
        }
    }

    async fn build_postgres(&self) -> Result<(), StoreError> {
        loop {
            // Another process may be making it, and a crash may have left it half made: both are there and not valid.
            let standing: Option<(i64, i64)> = sqlx::query_as(
                "select case when indisvalid then cast(1 as bigint) else cast(0 as bigint) end, \
                 (select count(*) from pg_stat_progress_create_index as progress \
                 where progress.index_relid = pg_index.indexrelid) \
                 from pg_index where indexrelid = to_regclass('deployments_by_text')",
            )
            .fetch_optional(&self.reader)
            .await
            .doing("reading how the text index stands")?;
            let statement = match standing {
                Some((1, _)) => {
                    self.search.set(SearchState::Built);
                    return Ok(());
                }
                Some((_, 0)) => "drop index concurrently if exists deployments_by_text".to_string(),
                Some(_) => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    continue;
                }
                None => format!("create index concurrently if not exists {POSTGRES_INDEX}"),
            };
            sqlx::query(&statement)
                .execute(&self.reader)
                .await
                .doing("making the text index")?;
        }
    }

    /// Whether so few deployments fit the query's other filters that looking through them is quicker than the index.
    async fn few_fit(&self, conditions: Conditions) -> Result<bool, StoreError> {
        let sql = format!(
            "select count(*) from (select 1 from deployments{} limit {}) as fitting",
            conditions.sql(),
            FEW + 1
        );
        let (fitting,): (i64,) = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_one(&self.reader)
            .await
            .doing("counting what fits the filters")?;
        Ok(fitting <= FEW)
    }

    /// Whether a search goes through SQLite's text index: it must be there, the text long enough, and the other
    /// filters must leave many. PostgreSQL chooses by itself.
    pub(crate) async fn searches_by_index(
        &self,
        query: &DeploymentQuery,
        narrow: impl FnOnce() -> Option<Conditions>,
    ) -> Result<bool, StoreError> {
        let long_enough = query
            .q
            .as_ref()
            .is_some_and(|text| text.chars().count() >= SHORTEST_SEARCH);
        if !long_enough
            || self.dialect() != Dialect::Sqlite
            || self.search_state() != SearchState::Built
        {
            return Ok(false);
        }
        match narrow() {
            Some(conditions) => Ok(!self.few_fit(conditions).await?),
            None => Ok(true),
        }
    }
}

/// One page of a search on SQLite. The first walk finds the moment at which the page ends; the second takes all from
/// there on, since those of one millisecond stand in the index in the order of their recording and not of the page.
pub(crate) fn page_of_search(
    query: &DeploymentQuery,
    mut conditions: Conditions,
    columns: &str,
) -> (String, Conditions) {
    if let Some(text) = &query.q {
        conditions.add(
            "deployment_search match ?",
            format!("\"{}\"", text.replace('"', "\"\"")),
        );
    }
    let position = |at: switchback_domain::moment::Moment| at.millis().saturating_mul(POSITIONS);
    if let Some(from) = query.from {
        conditions.add("deployment_search.rowid >= ?", position(from));
    }
    if let Some(to) = query.to {
        conditions.add("deployment_search.rowid < ?", position(to));
    }
    if let Some((before, _)) = &query.before {
        let next = switchback_domain::moment::Moment::from_millis(before.millis() + 1);
        conditions.add("deployment_search.rowid < ?", position(next));
    }
    let limit = conditions.place(query.limit);
    let found = format!(
        "from deployment_search \
         cross join deployment_search_rows on position = deployment_search.rowid \
         cross join deployments on deployments.id = deployment_id{}",
        conditions.sql()
    );
    let sql = format!(
        "with last_found(position) as materialized (select min(position) from (select deployment_search.rowid as position {found} \
             order by deployment_search.rowid desc limit {limit})), \
         found(found_id) as materialized (select deployments.id {found} \
             and deployment_search.rowid >= (select position / {POSITIONS} * {POSITIONS} from last_found) \
             order by started_at desc, deployments.id desc limit {limit}) \
         select {columns} from found cross join deployments on deployments.id = found_id \
         order by started_at desc, id desc"
    );
    (sql, conditions)
}

/// Contentless, so that the words are not kept twice. The numbers of the rows are given out here: those of one
/// millisecond one after the other, in the order of their recording.
const SQLITE_INDEX: &str = "
    create table if not exists deployment_search_rows (
        position integer not null primary key,
        deployment_id text not null unique
    );
    create virtual table if not exists deployment_search using fts5 (
        reason, aws_id, service_name, target_revision, content = '', contentless_delete = 1, tokenize = 'trigram'
    );
    create table if not exists deployment_search_state (complete bigint not null check (complete in (0, 1)));
    insert into deployment_search_state
        select case when exists (select 1 from deployments) then 0 else 1 end
        where not exists (select 1 from deployment_search_state);
    create trigger if not exists deployment_search_takes_in after insert on deployments
    begin
        insert into deployment_search_rows (position, deployment_id)
            select coalesce(max(position) + 1, new.started_at * 1048576), new.id from deployment_search_rows
            where position >= new.started_at * 1048576 and position < (new.started_at + 1) * 1048576;
        insert into deployment_search (rowid, reason, aws_id, service_name, target_revision)
            select position, new.reason, new.aws_id, new.service_name, new.target_revision
            from deployment_search_rows where deployment_id = new.id;
    end;
    create trigger if not exists deployment_search_changes
    after update of started_at, reason, aws_id, service_name, target_revision on deployments
    when old.started_at is not new.started_at or old.reason is not new.reason or old.aws_id is not new.aws_id
        or old.service_name is not new.service_name or old.target_revision is not new.target_revision
    begin
        delete from deployment_search
            where rowid = (select position from deployment_search_rows where deployment_id = old.id);
        delete from deployment_search_rows where deployment_id = old.id;
        insert into deployment_search_rows (position, deployment_id)
            select coalesce(max(position) + 1, new.started_at * 1048576), new.id from deployment_search_rows
            where position >= new.started_at * 1048576 and position < (new.started_at + 1) * 1048576;
        insert into deployment_search (rowid, reason, aws_id, service_name, target_revision)
            select position, new.reason, new.aws_id, new.service_name, new.target_revision
            from deployment_search_rows where deployment_id = new.id;
    end;
    create trigger if not exists deployment_search_forgets after delete on deployments
    begin
        delete from deployment_search
            where rowid = (select position from deployment_search_rows where deployment_id = old.id);
        delete from deployment_search_rows where deployment_id = old.id;
    end;
";

/// The lock keeps two processes that start at once from making the same extension at the same time.
const POSTGRES_EXTENSION: &str = "
    select cast(pg_advisory_xact_lock(815001) as text);
    create extension if not exists pg_trgm;
";

/// What `contains` in `row.rs` compares, so that the planner sees that it serves.
const POSTGRES_INDEX: &str = "deployments_by_text on deployments using gin (lower(reason) gin_trgm_ops, \
     lower(aws_id) gin_trgm_ops, lower(service_name) gin_trgm_ops, lower(target_revision) gin_trgm_ops)";
