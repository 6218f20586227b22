//! `bench idle`: the calls of AWS while nothing happens, at the intervals that are the default.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

use crate::Options;
use crate::account::Account;
use crate::machine;
use crate::machine::Folder;
use crate::proxy::Proxy;
use crate::report::Report;
use crate::report::Table;

/// Two rounds of the default intervals, each of ten short looks and one at everything, and a little more: what is done
/// once after the start, and what a slow machine does late, is in it too.
const WATCHED: Duration = Duration::from_secs(610);

/// Measures.
pub async fn run(options: &Options) -> Result<Report> {
    let (services, watched) = if options.smoke {
        (1, Duration::from_secs(1))
    } else {
        (10, WATCHED)
    };
    let folder = Folder::new(options, "idle")?;
    let (account_process, aws) = machine::account(options, &folder.0, None).await?;
    let account = Account::new(&aws);
    for number in 0..services {
        account.team(&format!("idle-{number}")).await?;
    }
    let calls = Proxy::start().await?;
    calls.lead_to(&aws);
    let database = folder.0.join("idle.db");
    let server = machine::server(options, &folder.0, &database, &calls.base, &[]).await?;
    let found = server.api.json("/api/v1/services?limit=200").await?;
    let found = found["items"].as_array().map_or(0, Vec::len);
    let at_start = calls.passed().len();
    eprintln!(
        "  {found} services found; nothing happens for {} s",
        watched.as_secs()
    );
    tokio::time::sleep(watched).await;
    let mut by_operation: BTreeMap<String, usize> = BTreeMap::new();
    for passed in &calls.passed()[at_start..] {
        *by_operation.entry(passed.what.clone()).or_default() += 1;
    }
    server.process.end().await?;
    account_process.end().await?;

    let hours = watched.as_secs_f64() / 3600.0;
    let found = u32::try_from(found).context("too many services")?.max(1);
    let mut table = Table::new(
        "Calls while nothing happens",
        &["operation", "counted", "an hour", "an hour and service"],
    );
    let mut all = 0;
    let mut row = |name: &str, count: usize| {
        let hourly = count as f64 / hours;
        table.row([
            name.to_string(),
            count.to_string(),
            format!("{hourly:.0}"),
            format!("{:.1}", hourly / f64::from(found)),
        ]);
    };
    for (operation, count) in &by_operation {
        row(operation, *count);
        all += count;
    }
    row("all", all);
    Ok(Report {
        bench: "idle",
        setting: vec![format!(
            "{found} services, {} s at the default intervals (a look every 30 s, one at everything every 300 s), clock speed 1; {at_start} calls before, at the first look. \"An hour\" is what was counted, times {:.0}.",
            watched.as_secs(),
            1.0 / hours
        )],
        tables: vec![table],
    })
}
