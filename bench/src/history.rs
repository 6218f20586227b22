//! A history to measure with: services, deployments and what hangs on them, from a seed.
//!
//! The tables are those of the store's own migrations; the rows are written past it in bulk, since recording a
//! million deployments one by one would take hours. What is kept in the target directory is used again: its name
//! carries the generator's version. Deployments are added until now at each use, so that "the last day" holds some.
//!
//! Distributions: services are chosen by Zipf's law (the busiest has an eighth of all deployments), initiators by a
//! flatter one; 88 in 100 deployments succeed, 4 are rolled back and followed by the deployment that undoes them.
//! Everything that grows with deployments is there in full but the timelines (1 in 50), gates (1 in 50), golden
//! signals (1 in 2000) and audit entries (1 in 5).

pub mod rows;
mod world;

use std::path::Path;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use sqlx::Row;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use switchback_store::Store;

use crate::history::rows::Batches;
use crate::history::world::World;

/// Raised when the same seed gives other rows.
const GENERATOR: u32 = 1;

/// Every choice comes from it.
const SEED: u64 = 20_261_121;

/// Milliseconds between two deployments, on average: a million in two years.
const STEP_MILLIS: i64 = 63_072;

/// How many at a time.
const CHUNK: u64 = 5_000;

/// How large a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How many services.
    pub services: usize,
    /// How many deployments at least.
    pub deployments: u64,
}

impl Size {
    /// What the product promises its numbers for.
    pub const FULL: Size = Size {
        services: 2_000,
        deployments: 1_000_000,
    };
    /// Enough to see that everything still runs.
    pub const SMOKE: Size = Size {
        services: 20,
        deployments: 2_000,
    };
}

/// A database that is ready.
pub struct History {
    /// The SQLite file.
    pub file: PathBuf,
    /// What is in it, for the report and for questions about it.
    pub facts: Facts,
}

/// What a history holds.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Deployments.
    pub deployments: i64,
    /// Services.
    pub services: i64,
    /// Audit entries.
    pub audit_entries: i64,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The service with most deployments, and how many it has.
    pub busiest: (String, i64),
    /// A service in the middle.
    pub middling: String,
    /// A person in the middle of those who began deployments, and how many they began.
    pub actor: (String, i64),
    /// The identifier of a deployment with timeline, gate and golden signals.
    pub deployment: String,
    /// A moment in the middle, in milliseconds, with the identifier of a deployment then.
    pub middle: (i64, String),
    /// The last moment but a page, with its deployment.
    pub oldest: (i64, String),
    /// AWS's identifier of a deployment long ago.
    pub aws_id: String,
}

/// Makes the database, or takes the one that is there, and adds what happened since.
pub async fn prepare(folder: &Path, size: Size, now: i64) -> Result<History> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not make {}", folder.display()))?;
    let file = folder.join(format!(
        "history-{GENERATOR}-{}-{}.db",
        size.services, size.deployments
    ));
    let finished = file.with_extension("complete");
    if !finished.is_file() {
        for old in [
            &file,
            &file.with_extension("db-wal"),
            &file.with_extension("db-shm"),
        ] {
            match std::fs::remove_file(old) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("could not remove {}", old.display()));
                }
            }
        }
    }
    // The tables by the product's own migrations, also in a database that an older version made.
    let store = Store::open(&format!("sqlite:{}", file.display())).await?;
    store.close().await;
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(
            SqliteConnectOptions::new()
                .filename(&file)
                .pragma("journal_mode", "wal")
                .pragma("synchronous", "off")
                .pragma("cache_size", "-400000")
                .foreign_keys(false),
        )
        .await?;
    if !finished.is_file() {
        let started = Instant::now();
        fill(&pool, size, now).await?;
        eprintln!(
            "  {} deployments written in {:.0} s",
            size.deployments,
            started.elapsed().as_secs_f64()
        );
        std::fs::write(&finished, "")?;
    }
    extend(&pool, size, now).await?;
    sqlx::raw_sql("pragma wal_checkpoint(truncate)")
        .execute(&pool)
        .await?;
    let facts = facts(&pool, &file).await?;
    pool.close().await;
    Ok(History { file, facts })
}

/// Writes everything. Indexes are made afterwards: a sort is quicker than a million insertions.
async fn fill(pool: &SqlitePool, size: Size, now: i64) -> Result<()> {
    let first = now - i64::try_from(size.deployments)? * STEP_MILLIS;
    sqlx::raw_sql("create table bench_origin (first_at bigint not null)")
        .execute(pool)
        .await?;
    sqlx::query("insert into bench_origin values (?)")
        .bind(first)
        .execute(pool)
        .await?;
    let mut set_aside = Vec::new();
    for row in sqlx::query(
        "select type, name, sql from sqlite_master where sql is not null and type in ('index', 'trigger') \
         and tbl_name in ('deployments', 'served_periods', 'revisions', 'service_revisions', 'timeline')",
    )
    .fetch_all(pool)
    .await?
    {
        let (kind, name, sql): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        sqlx::raw_sql(&format!("drop {kind} {name}")).execute(pool).await?;
        set_aside.push((name, sql));
    }
    let mut world = World::new(SEED, size.services, first, STEP_MILLIS);
    let mut batches = Batches::default();
    world.services(&mut batches);
    let mut written = 0;
    while written < size.deployments {
        let count = CHUNK.min(size.deployments - written);
        world.deployments(count, &mut batches);
        batches.write(pool).await?;
        written += count;
        if written % 100_000 == 0 {
            eprintln!("  {written} deployments");
        }
    }
    world.open_ends(&mut batches);
    batches.write(pool).await?;
    for (name, sql) in set_aside {
        // What the store makes at each start by itself is made there.
        if !sql.starts_with("CREATE TRIGGER") {
            sqlx::raw_sql(&sql)
                .execute(pool)
                .await
                .with_context(|| format!("making {name} again"))?;
        }
    }
    // The rows went past the triggers: the server builds the text index in the background, as for any older database.
    sqlx::raw_sql("update deployment_search_state set complete = 0")
        .execute(pool)
        .await?;
    Ok(())
}

/// Adds what happened since the last deployment that is there, a chunk's worth at least of what fits.
async fn extend(pool: &SqlitePool, size: Size, now: i64) -> Result<()> {
    let (latest,): (i64,) =
        sqlx::query_as("select max(started_at) from deployments where ended_at is not null")
            .fetch_one(pool)
            .await?;
    let missing = u64::try_from((now - latest) / STEP_MILLIS).unwrap_or(0);
    if missing < 2 {
        return Ok(());
    }
    let (first,): (i64,) = sqlx::query_as("select first_at from bench_origin")
        .fetch_one(pool)
        .await?;
    let mut world = World::new(
        SEED ^ u64::try_from(latest)?,
        size.services,
        first,
        STEP_MILLIS,
    );
    world.go_on_from(latest);
    let mut batches = Batches::default();
    // At most a month: more says nothing that a month does not.
    world.deployments(missing.min(40_000), &mut batches);
    batches.audit.clear();
    batches.write(pool).await
}

async fn facts(pool: &SqlitePool, file: &Path) -> Result<Facts> {
    let number = async |sql: &str| -> Result<i64> {
        let (number,): (i64,) = sqlx::query_as(sql).fetch_one(pool).await?;
        Ok(number)
    };
    let of_services: Vec<(String, i64)> = sqlx::query_as(
        "select services.id, count(*) from services join deployments on service_id = services.id \
         group by services.id order by count(*) desc, services.id",
    )
    .fetch_all(pool)
    .await?;
    let busiest = of_services
        .first()
        .cloned()
        .context("there is no service")?;
    let middling = of_services[of_services.len() / 2].0.clone();
    let people: Vec<(String, i64)> = sqlx::query_as(
        "select initiator, count(*) from deployments where initiator like '%.__' \
         group by initiator order by count(*) desc, initiator",
    )
    .fetch_all(pool)
    .await?;
    let actor = people
        .get(people.len() / 2)
        .cloned()
        .context("nobody began a deployment")?;
    let (deployment,): (String,) = sqlx::query_as(
        "select deployment_id from metric_points where exists \
         (select 1 from gates where gates.deployment_id = metric_points.deployment_id) limit 1",
    )
    .fetch_one(pool)
    .await
    .context("no deployment has both a gate and golden signals")?;
    let deployments = number("select count(*) from deployments").await?;
    let middle: (i64, String) = sqlx::query_as(
        "select started_at, id from deployments order by started_at desc, id desc limit 1 offset ?",
    )
    .bind(deployments / 2)
    .fetch_one(pool)
    .await?;
    let oldest: (i64, String) = sqlx::query_as(
        "select started_at, id from deployments order by started_at, id limit 1 offset 50",
    )
    .fetch_one(pool)
    .await?;
    let (aws_id,): (String,) = sqlx::query_as("select aws_id from deployments where id = ?")
        .bind(&middle.1)
        .fetch_one(pool)
        .await?;
    Ok(Facts {
        deployments,
        services: number("select count(*) from services").await?,
        audit_entries: number("select count(*) from audit_log").await?,
        bytes: std::fs::metadata(file)?.len(),
        busiest,
        middling,
        actor,
        deployment,
        middle,
        oldest,
        aws_id,
    })
}
