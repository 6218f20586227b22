//! `bench audit`: what auditors ask, over ten million entries, beside a bare handler that runs the same SQL.
//!
//! The entries are chained by the domain's own hash and written past the store in bulk. What is kept in the target
//! directory is used again: its name carries the generator's version.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::audit::chain_hash;
use switchback_domain::audit::chain_start;
use switchback_domain::digest::Digest;
use switchback_domain::digest::canonical_json;
use switchback_domain::gate::GateState;
use switchback_domain::gate::Verdict;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::GateId;
use switchback_domain::ids::ServiceId;
use switchback_domain::moment::Moment;
use switchback_store::Store;

use crate::Options;
use crate::floor;
use crate::floor::Statements;
use crate::history::rows::Batches;
use crate::machine;
use crate::machine::Folder;
use crate::pages::measured;
use crate::report::Report;
use crate::report::Table;
use crate::report::grouped;
use crate::wire::Http;

/// Raised when other rows are made.
const GENERATOR: u32 = 1;

/// What the product promises its numbers for.
const FULL: i64 = 10_000_000;

/// Enough to see that everything still runs.
const SMOKE: i64 = 5_000;

/// Entries that are written in one transaction.
const CHUNK: i64 = 10_000;

/// Milliseconds between two entries: ten million in a year.
const STEP_MILLIS: i64 = 3_154;

/// When the first was written: 2026-01-01.
const BEGAN_MILLIS: i64 = 1_767_225_600_000;

/// How long walking and sealing may take.
const PROOF_LIMIT: Duration = Duration::from_secs(3600);

const COLUMNS: &str = "sequence, at, actor, event, subject, service, reason, body, context, hash";

/// Measures.
pub async fn run(options: &Options) -> Result<Report> {
    let (entries, samples) = match options.smoke {
        true => (SMOKE, 4),
        false => (FULL, 200),
    };
    let file = prepare(&options.data, entries).await?;
    let folder = Folder::new(options, "audit")?;
    let (account, aws) = machine::account(options, &folder.0, None).await?;
    let settings = [("SWITCHBACK_AUDIT_CHECKPOINT_ENTRIES", "100000")];
    let server = machine::server(options, &folder.0, &file, &aws, &settings).await?;
    let proven = until_proven(&server.api).await?;
    let cases = cases(entries);
    let paths: BTreeMap<String, Vec<String>> = cases
        .iter()
        .enumerate()
        .map(|(index, (_, _, statements))| (index.to_string(), statements.clone()))
        .collect();
    let statements = Statements {
        database: file.display().to_string(),
        paths,
    };
    std::fs::write(
        floor::statements_file(options),
        serde_json::to_vec(&statements)?,
    )?;
    let (floor, floor_url) = floor::start(options, "floor-pages", &folder.0).await?;
    let bare = Http::new(&floor_url);
    let mut table = Table::new(
        "Questions to the audit log",
        &[
            "asked for",
            "p50 ms",
            "p99 ms",
            "floor p50 ms",
            "floor p99 ms",
            "p99 ratio",
        ],
    );
    for (index, (name, query, _)) in cases.iter().enumerate() {
        let path = format!("/api/v1/audit?{query}");
        let (own, _) = measured(&server.api, &path, samples)
            .await
            .with_context(|| name.to_string())?;
        let (least, _) = measured(&bare, &format!("/{index}"), samples)
            .await
            .with_context(|| format!("the floor of {name}"))?;
        eprintln!("  {name}: p99 {} ms", own.shown(0.99));
        table.row([
            name.to_string(),
            own.shown(0.5),
            own.shown(0.99),
            least.shown(0.5),
            least.shown(0.99),
            own.ratio(&least, 0.99),
        ]);
    }
    floor.end().await?;
    server.process.end().await?;
    account.end().await?;
    let bytes = std::fs::metadata(&file)?.len();
    Ok(Report {
        bench: "audit",
        setting: vec![format!(
            "{} entries, {} MiB of SQLite; {samples} requests of each kind. The server had walked the whole chain and sealed it {:.0} s after its start, before anything was asked.",
            grouped(i128::from(entries)),
            bytes / 1024 / 1024,
            proven.as_secs_f64()
        )],
        tables: vec![table],
    })
}

/// Waits until the whole chain is verified and sealed; gives how long that took.
async fn until_proven(api: &Http) -> Result<Duration> {
    let begun = Instant::now();
    loop {
        let told = api.json("/api/v1/audit?limit=1").await?;
        let length = told["length"].as_i64().unwrap_or(i64::MAX);
        let sealed = told["proof"]["checkpoint"]["sequence"].as_i64();
        // What the server has written since it started waits for its turn.
        if told["verified_to"].as_i64() == Some(length)
            && sealed.is_some_and(|at| at + 1000 > length)
        {
            return Ok(begun.elapsed());
        }
        if !told["broken_at"].is_null() || begun.elapsed() > PROOF_LIMIT {
            bail!("the chain is not proven: {told}");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What is asked: its name, the query, and the same as SQL.
fn cases(entries: i64) -> Vec<(&'static str, String, Vec<String>)> {
    let at = |sequence: i64| BEGAN_MILLIS + sequence * STEP_MILLIS;
    let (from, to) = (at(entries / 4), at(entries / 2));
    let time = format!(
        "from={}&to={}",
        Moment::from_millis(from),
        Moment::from_millis(to)
    );
    let in_time = format!("at >= {from} and at < {to}");
    let newest = |conditions: &str| {
        format!("select {COLUMNS} from audit_log {conditions} order by sequence desc limit 51")
    };
    let latest = |conditions: &str| {
        format!(
            "select {COLUMNS} from audit_log where {conditions} order by at desc, sequence desc limit 51"
        )
    };
    let changes = ["gate_decided", "gate_closed", "deployment_ended"];
    let of_changes = |event: &&str| latest(&format!("event = '{event}' and {in_time}"));
    let gate = format!("gate-{}", entries / 2 / 8);
    vec![
        ("no filter", String::new(), vec![newest("")]),
        (
            "a quarter of the time",
            time.clone(),
            vec![latest(&in_time)],
        ),
        (
            "a person",
            "actor=person-7".to_string(),
            vec![newest("where actor = 'person-7'")],
        ),
        (
            "a person, a quarter of the time",
            format!("actor=person-7&{time}"),
            vec![latest(&format!("actor = 'person-7' and {in_time}"))],
        ),
        (
            "decisions, a quarter of the time",
            format!("event=gate_decided&{time}"),
            vec![latest(&format!("event = 'gate_decided' and {in_time}"))],
        ),
        (
            "three kinds of events, a quarter of the time",
            format!("event={}&{time}", changes.join(",")),
            changes.iter().map(of_changes).collect(),
        ),
        (
            "one gate",
            format!("subject={gate}"),
            vec![newest(&format!("where subject = '{gate}'"))],
        ),
        (
            "text in the reason that is often there",
            "reason=looks+fine".to_string(),
            vec![newest(
                "where reason is not null and lower(reason) like '%looks fine%'",
            )],
        ),
        (
            "text in the reason that is nowhere",
            "reason=nowhere".to_string(),
            vec![newest(
                "where reason is not null and lower(reason) like '%nowhere%'",
            )],
        ),
    ]
}

/// Makes the database, or takes the one that is there.
async fn prepare(folder: &Path, entries: i64) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not make {}", folder.display()))?;
    let file = folder.join(format!("audit-{GENERATOR}-{entries}.db"));
    let finished = file.with_extension("complete");
    if finished.is_file() {
        return Ok(file);
    }
    for old in [
        &file,
        &file.with_extension("db-wal"),
        &file.with_extension("db-shm"),
    ] {
        match std::fs::remove_file(old) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("could not remove {}", old.display()));
            }
        }
    }
    let store = Store::open(&format!("sqlite:{}", file.display())).await?;
    store.close().await;
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(
            SqliteConnectOptions::new()
                .filename(&file)
                .pragma("journal_mode", "wal")
                .pragma("synchronous", "off")
                .pragma("cache_size", "-400000"),
        )
        .await?;
    fill(&pool, entries).await?;
    pool.close().await;
    std::fs::write(&finished, "")?;
    Ok(file)
}

async fn fill(pool: &SqlitePool, entries: i64) -> Result<()> {
    let mut batches = Batches::default();
    let mut hash = chain_start();
    for sequence in 1..=entries {
        let entry = entry(sequence);
        hash = chain_hash(&hash, sequence, &entry);
        batches.audit.push(json!([
            sequence,
            entry.at.millis(),
            entry.actor,
            entry.event.word(),
            entry.event.subject(),
            entry.reason,
            canonical_json(&entry.event),
            hash,
            canonical_json(&entry.context),
            entry.context.service,
        ]));
        if sequence % CHUNK == 0 {
            batches.write(pool).await?;
        }
        if sequence % 1_000_000 == 0 {
            eprintln!("  {} entries", grouped(i128::from(sequence)));
        }
    }
    batches.write(pool).await
}

/// Of eight entries one is a person's decision with its reason; the others are what Switchback saw.
fn entry(sequence: i64) -> AuditEntry {
    let at = Moment::from_millis(BEGAN_MILLIS + sequence * STEP_MILLIS);
    let round = sequence / 8;
    let gate = GateId::new(format!("gate-{round}"));
    let deployment = DeploymentId::new(format!("dep-{round}"));
    let mut entry = match sequence % 8 {
        0 => {
            let event = AuditEvent::GateDecided {
                gate,
                verdict: Verdict::Approve,
                state: GateState::Approved,
                evidence: Digest::of_bytes(&round.to_be_bytes()),
            };
            let mut entry = AuditEntry::new(at, format!("person-{}", round % 300), event);
            entry.reason = Some(format!("INC-{round}: the canary looks fine"));
            entry.context.address = Some("192.0.2.7".to_string());
            entry
        }
        1 => {
            let outcome = "succeeded".to_string();
            let event = AuditEvent::DeploymentEnded {
                deployment,
                outcome,
                cause: None,
            };
            AuditEntry::new(at, "switchback", event)
        }
        2 => {
            let state = GateState::Expired;
            AuditEntry::new(at, "switchback", AuditEvent::GateClosed { gate, state })
        }
        part => {
            let event = AuditEvent::GateDelivery {
                gate,
                delivery: "sent".to_string(),
                detail: Some(format!("AWS request {part}")),
            };
            AuditEntry::new(at, "switchback", event)
        }
    };
    entry.context.service = Some(ServiceId::new(format!("svc-{}", round % 2000)));
    entry
}
