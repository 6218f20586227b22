//! `bench watch`: what watching many services costs and how far behind AWS it is, at rest and with some deploying,
//! without events and with them.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use crate::Options;
use crate::account::Account;
use crate::machine;
use crate::machine::Folder;
use crate::machine::Server;
use crate::proxy::Proxy;
use crate::report::Report;
use crate::report::Samples;
use crate::report::Table;
use crate::report::grouped;

/// How long it may take until every service and its past is known: ECS is asked for each at its own pace.
const FOUND_LIMIT: Duration = Duration::from_secs(1800);

/// The account counts as known once it was asked for no service's deployments for so long.
const QUIET: Duration = Duration::from_secs(45);

/// How long a deployment may take to be seen before the bench gives up.
const SEEN_LIMIT: Duration = Duration::from_secs(900);

/// How often the server is asked what it has seen.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How much is measured.
struct Sizes {
    services: usize,
    deploying: usize,
    at_rest: Duration,
    moving: Duration,
}

/// What one run found.
struct Found {
    at_start: usize,
    at_rest: BTreeMap<String, usize>,
    moving: BTreeMap<String, usize>,
    behind: Samples,
    memory_at_rest: u64,
    memory_most: u64,
}

/// Measures.
pub async fn run(options: &Options) -> Result<Report> {
    let sizes = if options.smoke {
        Sizes {
            services: 12,
            deploying: 2,
            at_rest: Duration::from_secs(1),
            moving: Duration::from_secs(1),
        }
    } else {
        Sizes {
            services: 2_000,
            deploying: 50,
            at_rest: Duration::from_secs(630),
            moving: Duration::from_secs(60),
        }
    };
    let mut tables = Vec::new();
    let mut calls = Table::new(
        "Requests to AWS a minute",
        &[
            "operation",
            "at rest",
            "at rest, events",
            "deploying",
            "deploying, events",
        ],
    );
    let mut rest = Table::new("The rest", &["", "without events", "with events"]);
    let without = measure(options, &sizes, false).await?;
    let with = measure(options, &sizes, true).await?;
    let minute = |counts: &BTreeMap<String, usize>, name: &str, span: Duration| {
        let count = match name {
            "all" => counts.values().sum(),
            name => counts.get(name).copied().unwrap_or(0),
        };
        count as f64 * 60.0 / span.as_secs_f64()
    };
    let mut names: Vec<&String> = [&without, &with]
        .iter()
        .flat_map(|found| found.at_rest.keys().chain(found.moving.keys()))
        .collect();
    names.sort();
    names.dedup();
    let all = "all".to_string();
    for name in names.into_iter().chain([&all]) {
        let shown = |counts, span| format!("{:.1}", minute(counts, name, span));
        calls.row([
            name.clone(),
            shown(&without.at_rest, sizes.at_rest),
            shown(&with.at_rest, sizes.at_rest),
            shown(&without.moving, sizes.moving),
            shown(&with.moving, sizes.moving),
        ]);
    }
    let mut both = |name: &str, of: &dyn Fn(&Found) -> String| {
        rest.row([name.to_string(), of(&without), of(&with)]);
    };
    both("requests for each service in an hour, at rest", &|found| {
        let hourly = minute(&found.at_rest, "all", sizes.at_rest) * 60.0;
        format!("{:.2}", hourly / sizes.services as f64)
    });
    both("requests before, at the first looks", &|found| {
        grouped(found.at_start as i128)
    });
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        both(&format!("seconds behind AWS, {name}"), &|found| {
            found
                .behind
                .percentile(share)
                .map_or("-".to_string(), |behind| {
                    format!("{:.2}", behind.as_secs_f64())
                })
        });
    }
    both("memory at rest, MB", &|found| {
        format!("{:.0}", found.memory_at_rest as f64 / 1024.0)
    });
    both("memory, the most, MB", &|found| {
        format!("{:.0}", found.memory_most as f64 / 1024.0)
    });
    tables.push(calls);
    tables.push(rest);
    Ok(Report {
        bench: "watch",
        setting: vec![format!(
            "{} services that ECS itself deploys (rolling, no balancer) in one account, default intervals, clock speed \
             1; {} s at rest, then {} of them begin to deploy within a minute and {} s are counted. \"Behind\" is from \
             UpdateService's answer until the API lists the deployment, asked for every {} ms. \"events\" are in a \
             queue that EventBridge's rule fills.",
            grouped(sizes.services as i128),
            sizes.at_rest.as_secs(),
            sizes.deploying,
            sizes.moving.as_secs(),
            ASK_EVERY.as_millis(),
        )],
        tables,
    })
}

async fn measure(options: &Options, sizes: &Sizes, events: bool) -> Result<Found> {
    let name = if events { "watch-events" } else { "watch" };
    let folder = Folder::new(options, name)?;
    let (account_process, aws) = machine::account(options, &folder.0, None).await?;
    let account = Account::new(&aws);
    let mut variables = Vec::new();
    if events {
        variables.push(("SWITCHBACK_EVENTS_QUEUE_URL", account.events().await?));
    }
    let mut services = Vec::new();
    for number in 0..sizes.services {
        services.push(
            account
                .rolling_service(
                    &format!("fleet-{}", number / 100),
                    &format!("service-{number}"),
                )
                .await?,
        );
    }
    // Their first deployments are over before anybody looks.
    account.advance(900).await?;
    let calls = Proxy::start().await?;
    calls.lead_to(&aws);
    let database = folder.0.join("watch.db");
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let server = machine::server(options, &folder.0, &database, &calls.base, &variables).await?;
    all_known(&server, &calls, sizes.services, options.smoke).await?;
    if events {
        // One event proves that they arrive.
        services[0].moves("2").await?;
        seen(&server, 1).await?;
        account.advance(900).await?;
        at_rest(&server).await?;
    }
    let at_start = calls.passed().len();
    eprintln!(
        "  {} services, {}: at rest for {} s",
        sizes.services,
        if events { "events" } else { "no events" },
        sizes.at_rest.as_secs()
    );
    tokio::time::sleep(sizes.at_rest).await;
    let rested = calls.passed().len();
    let memory_at_rest = server.process.memory()?.0;

    eprintln!("  {} of them deploy", sizes.deploying);
    let before = usize::from(events);
    let pause = Duration::from_secs(if options.smoke { 1 } else { 60 })
        / u32::try_from(sizes.deploying).context("too many")?;
    let mut behind = Samples::default();
    let begun_at = Instant::now();
    let mut begun: Vec<(String, Instant)> = Vec::new();
    let mut next = services
        .iter()
        .skip(1)
        .step_by((sizes.services / sizes.deploying).max(1));
    loop {
        let due = begun_at + pause * u32::try_from(begun.len()).context("too many")?;
        if begun.len() < sizes.deploying && Instant::now() >= due {
            let service = next.next().context("there are too few services")?;
            service.moves("2").await?;
            begun.push((service.name().to_string(), Instant::now()));
        }
        let listed = listed(&server).await?;
        let mut waiting = 0;
        for (name, at) in &mut begun {
            if listed.contains(name) {
                behind.add(at.elapsed());
                name.clear();
            } else if !name.is_empty() {
                waiting += 1;
            }
        }
        if begun.len() == sizes.deploying && waiting == 0 {
            break;
        }
        if begun_at.elapsed() > SEEN_LIMIT {
            bail!("{waiting} deployments were not seen");
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    if behind.count() + before < sizes.deploying {
        bail!("only {} deployments were measured", behind.count());
    }
    let moving_from = calls.passed().len();
    tokio::time::sleep(sizes.moving).await;
    let passed = calls.passed();
    let memory_most = server.process.memory()?.1;
    server.process.end().await?;
    account_process.end().await?;
    let count = |from: usize, to: usize| {
        let mut by_operation: BTreeMap<String, usize> = BTreeMap::new();
        for passed in &passed[from..to] {
            *by_operation.entry(passed.what.clone()).or_default() += 1;
        }
        by_operation
    };
    Ok(Found {
        at_start,
        at_rest: count(at_start, rested),
        moving: count(moving_from, passed.len()),
        behind,
        memory_at_rest,
        memory_most,
    })
}

/// Waits until every service is known and nothing of the past is asked for any more.
async fn all_known(server: &Server, calls: &Proxy, services: usize, smoke: bool) -> Result<()> {
    let quiet = if smoke { Duration::from_secs(1) } else { QUIET };
    let begun = Instant::now();
    loop {
        let status = server.api.json("/api/v1/status").await?;
        let known = status["regions"][0]["services"].as_u64().unwrap_or(0);
        let coverage = server.api.json("/api/v1/coverage").await?;
        let imported = coverage["items"][0]["import"]["state"] == "complete";
        let asked = calls
            .passed()
            .iter()
            .rev()
            .find(|passed| passed.what == "ListServiceDeployments")
            .map_or(begun.elapsed(), |passed| passed.at.elapsed());
        if known == services as u64 && imported && asked >= quiet {
            return Ok(());
        }
        if begun.elapsed() > FOUND_LIMIT {
            bail!("{known} of {services} services are known: {coverage}");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The names of the services with a deployment in progress.
async fn listed(server: &Server) -> Result<Vec<String>> {
    let list = server
        .api
        .json("/api/v1/deployments?outcome=in_progress&limit=200")
        .await?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let names = items.iter().filter_map(|item| item["service"].as_str());
    Ok(names.map(str::to_string).collect())
}

async fn seen(server: &Server, count: usize) -> Result<()> {
    let begun = Instant::now();
    while listed(server).await?.len() < count {
        if begun.elapsed() > SEEN_LIMIT {
            bail!("a deployment was not seen");
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(())
}

/// Waits until nothing moves any more.
async fn at_rest(server: &Server) -> Result<()> {
    let begun = Instant::now();
    while !listed(server).await?.is_empty() {
        if begun.elapsed() > SEEN_LIMIT {
            bail!("a deployment does not end");
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(())
}
