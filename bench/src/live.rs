//! `bench live`: from an event in AWS to every one of many open streams, beside a bare stream of the same bytes.
//!
//! The event is a hook of CodeDeploy: the simulated account posts it to a proxy of ours, which notes the time and
//! hands it on to the server. It is visible in a stream when the change of kind `gate` has been read from it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::Options;
use crate::account::Account;
use crate::account::Team;
use crate::floor;
use crate::machine;
use crate::machine::Folder;
use crate::proxy::Proxy;
use crate::report::Report;
use crate::report::Samples;
use crate::report::Table;
use crate::report::grouped;
use crate::wire::Http;

/// Where the simulated account posts hooks.
pub const HOOK_PATH: &str = "/api/v1/hooks/codedeploy";

/// How long something that happens at once may take before the bench gives up.
const LIMIT: Duration = Duration::from_secs(60);

/// What a stream saw: its number, the subject of the change, and when.
type Seen = (usize, String, Instant);

/// Measures.
pub async fn run(options: &Options) -> Result<Report> {
    let streams = if options.smoke { 20 } else { 1_000 };
    let events = if options.smoke { 2 } else { 40 };
    let folder = Folder::new(options, "live")?;
    let hooks = Proxy::start().await?;
    let relay = format!("{}{HOOK_PATH}", hooks.base);
    let (account_process, aws) = machine::account(options, &folder.0, Some(&relay)).await?;
    let account = Account::new(&aws);
    let server = machine::server(
        options,
        &folder.0,
        &folder.0.join("live.db"),
        &aws,
        &[
            // Sooner than the product's default of 30 s, so that the new services are found; the event itself comes by hook.
            ("SWITCHBACK_POLL_IDLE_MS", "1000"),
        ],
    )
    .await?;
    hooks.lead_to(&server.api.base);
    let alone = server.process.memory()?.0;

    let (seen, mut arrivals) = mpsc::unbounded_channel();
    let opened = open(
        &server.api,
        "/api/v1/events",
        streams,
        "\"kind\":\"gate\"",
        "\"subject\":\"",
        seen,
    )
    .await?;
    let with_streams = server.process.memory()?.0;

    // Every approval lets the deployment go on to its next hook.
    let team = account.team("live-api").await?;
    let mut own = Samples::default();
    let mut last = Samples::default();
    // A gate changes more than once; only its first change is its opening.
    let mut known = HashSet::new();
    let mut measured = 0;
    let mut begun = Instant::now();
    while measured < events {
        let posted = next_hook(&hooks, &account, &team, begun).await?;
        let Some((gate, taken)) = gathered(&mut arrivals, streams, &known, posted).await? else {
            bail!("a hook was posted and no gate was seen in the streams");
        };
        own.extend(&taken);
        last.add(taken.percentile(1.0).unwrap_or_default());
        measured += 1;
        begun = Instant::now();
        approve(&server.api, &gate).await?;
        known.insert(gate);
    }
    let most = server.process.memory()?.1;
    drop(opened);

    let (floor, floor_url) = floor::start(options, "floor-stream", &folder.0).await?;
    let bare = Http::new(&floor_url);
    let (seen, mut arrivals) = mpsc::unbounded_channel();
    let opened = open(
        &bare,
        "/",
        streams,
        "\"kind\":\"gate\"",
        "\"subject\":\"",
        seen,
    )
    .await?;
    let mut least = Samples::default();
    let mut least_last = Samples::default();
    for number in 0..events {
        let text = format!(
            "event: change\nid: {number}\ndata: {{\"sequence\":{number},\"kind\":\"gate\",\"subject\":\"gate-{number:016}\",\
             \"deployment_id\":\"dep-0123456789abcdef\",\"at\":\"2026-11-21T10:00:00Z\"}}\n\n"
        );
        let posted = Instant::now();
        bare.send(hyper::Method::POST, "/", &[], text)
            .await?
            .is(200, "the floor")?;
        let (gate, taken) = gathered(&mut arrivals, streams, &known, posted)
            .await?
            .context("the floor sent nothing")?;
        known.insert(gate);
        least.extend(&taken);
        least_last.add(taken.percentile(1.0).unwrap_or_default());
    }
    let floor_memory = floor.memory()?.1;
    drop(opened);
    floor.end().await?;
    server.process.end().await?;
    account_process.end().await?;

    let mut table = Table::new(
        "From the hook's post to the streams",
        &[
            "figure",
            "p50 ms",
            "p99 ms",
            "floor p50 ms",
            "floor p99 ms",
            "p99 ratio",
        ],
    );
    for (name, own, least) in [
        ("visible in a stream", &own, &least),
        ("visible in the last of all", &last, &least_last),
    ] {
        table.row([
            name.to_string(),
            own.shown(0.5),
            own.shown(0.99),
            least.shown(0.5),
            least.shown(0.99),
            own.ratio(least, 0.99),
        ]);
    }
    let mut memory = Table::new("Resident memory", &["figure", "MiB"]);
    let mebibytes = |kibibytes: u64| format!("{:.0}", kibibytes as f64 / 1024.0);
    memory.row(["the server, ready".to_string(), mebibytes(alone)]);
    memory.row([
        format!("the server with {} streams", grouped(streams as i64)),
        mebibytes(with_streams),
    ]);
    memory.row(["the most it was".to_string(), mebibytes(most)]);
    memory.row([
        "the floor, the most it was".to_string(),
        mebibytes(floor_memory),
    ]);
    Ok(Report {
        bench: "live",
        setting: vec![format!(
            "{} streams, {events} events, {} samples; the target is a p99 under 1,000 ms.",
            grouped(streams as i64),
            grouped(own.count() as i64)
        )],
        tables: vec![table, memory],
    })
}

/// Opens the streams; each tells what follows `word` in a line that holds `marker`. Returns when all are open.
async fn open(
    http: &Http,
    path: &str,
    streams: usize,
    marker: &'static str,
    word: &'static str,
    seen: mpsc::UnboundedSender<Seen>,
) -> Result<tokio::task::JoinSet<()>> {
    let mut tasks = tokio::task::JoinSet::new();
    let open = Arc::new(AtomicUsize::new(0));
    for stream in 0..streams {
        // Each with a connection of its own, as browsers have.
        let response = http.begin(hyper::Method::GET, path, &[], "").await?;
        if response.status() != 200 {
            bail!("{path} answered {}", response.status());
        }
        let (mut body, seen, open) = (response.into_body(), seen.clone(), open.clone());
        tasks.spawn(async move {
            let mut first = true;
            let mut text = String::new();
            while let Some(Ok(frame)) = body.frame().await {
                let now = Instant::now();
                if first {
                    first = false;
                    open.fetch_add(1, Ordering::Relaxed);
                }
                text.push_str(&String::from_utf8_lossy(
                    frame.data_ref().map_or(&[][..], |data| data),
                ));
                while let Some(end) = text.find("\n\n") {
                    let event: String = text.drain(..end + 2).collect();
                    if event.contains(marker) {
                        let after = event.split_once(word).map_or("", |(_, after)| after);
                        let found = after.split('"').next().unwrap_or_default();
                        if seen.send((stream, found.to_string(), now)).is_err() {
                            return;
                        }
                    }
                }
            }
        });
    }
    let begun = Instant::now();
    while open.load(Ordering::Relaxed) < streams {
        if begun.elapsed() > LIMIT {
            bail!(
                "{} of {streams} streams opened",
                open.load(Ordering::Relaxed)
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(tasks)
}

/// Takes the first arrival of the next subject that is not known yet, at each stream.
async fn gathered(
    arrivals: &mut mpsc::UnboundedReceiver<Seen>,
    streams: usize,
    known: &HashSet<String>,
    posted: Instant,
) -> Result<Option<(String, Samples)>> {
    let mut taken = Samples::default();
    let mut subject: Option<String> = None;
    let mut reached = HashSet::new();
    while reached.len() < streams {
        let arrived = tokio::time::timeout(LIMIT, arrivals.recv())
            .await
            .with_context(|| {
                format!("only {} of {streams} streams saw the event", reached.len())
            })?;
        let Some((stream, gate, at)) = arrived else {
            return Ok(None);
        };
        if known.contains(&gate) || subject.as_ref().is_some_and(|subject| *subject != gate) {
            continue;
        }
        subject = Some(gate);
        if reached.insert(stream) {
            taken.add(at.saturating_duration_since(posted));
        }
    }
    Ok(subject.map(|gate| (gate, taken)))
}

/// Lets simulated time pass until the next hook is posted; gives when.
async fn next_hook(
    hooks: &Proxy,
    account: &Account,
    team: &Team,
    after: Instant,
) -> Result<Instant> {
    let begun = Instant::now();
    loop {
        if let Some(posted) = hooks.first_after(HOOK_PATH, after) {
            return Ok(posted);
        }
        if begun.elapsed() > LIMIT {
            bail!("CodeDeploy posts no hook");
        }
        team.keeps_deploying().await?;
        account.advance(5).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Approves a gate as it is shown now.
async fn approve(api: &Http, gate: &str) -> Result<()> {
    let shown = api.json(&format!("/api/v1/gates/{gate}")).await?;
    let body =
        serde_json::json!({ "verdict": "approve", "evidence_digest": shown["evidence_digest"] });
    api.post(&format!("/api/v1/gates/{gate}/decisions"), &body)
        .await
        .map(drop)
}
