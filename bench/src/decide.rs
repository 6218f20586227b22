//! `bench decide`: from a decision to AWS's call, beside a bare call of the SDK.
//!
//! Between server and simulated account stands a proxy that notes when PutLifecycleEventHookExecutionStatus is there.

use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use aws_sdk_codedeploy::config::BehaviorVersion;
use aws_sdk_codedeploy::config::Credentials;
use aws_sdk_codedeploy::config::Region;
use serde_json::Value;
use serde_json::json;

use crate::Options;
use crate::account::Account;
use crate::account::Team;
use crate::live::HOOK_PATH;
use crate::machine;
use crate::machine::Folder;
use crate::machine::REGION;
use crate::proxy::Proxy;
use crate::report::Report;
use crate::report::Samples;
use crate::report::Table;
use crate::wire::Http;

/// The call that tells CodeDeploy a verdict.
const CALL: &str = "PutLifecycleEventHookExecutionStatus";

/// How long something that happens at once may take before the bench gives up.
const LIMIT: Duration = Duration::from_secs(60);

/// Measures.
pub async fn run(options: &Options) -> Result<Report> {
    let samples = if options.smoke { 1 } else { 50 };
    let folder = Folder::new(options, "decide")?;
    let hooks = Proxy::start().await?;
    let relay = format!("{}{HOOK_PATH}", hooks.base);
    let (account_process, aws) = machine::account(options, &folder.0, Some(&relay)).await?;
    let account = Account::new(&aws);
    let calls = Proxy::start().await?;
    calls.lead_to(&aws);
    let server = machine::server(
        options,
        &folder.0,
        &folder.0.join("decide.db"),
        &calls.base,
        &[("SWITCHBACK_POLL_IDLE_MS", "1000")],
    )
    .await?;
    hooks.lead_to(&server.api.base);
    let page = machine::signed_in(&server.api.base).await?;

    let team = account.team("decide-api").await?;
    let mut by_api = Samples::default();
    let mut by_form = Samples::default();
    while by_api.count() < samples || by_form.count() < samples {
        let gate = match open_gate(&server.api).await? {
            Some(gate) => gate,
            None => waited(&server.api, &account, &team).await?,
        };
        let id = gate["id"].as_str().context("a gate without identifier")?;
        let digest = gate["evidence_digest"]
            .as_str()
            .context("a gate without digest")?;
        let uses_form = by_form.count() < by_api.count();
        let begun = Instant::now();
        if uses_form {
            let form = format!(
                "verdict=approve&reason=&evidence_digest={}",
                digest.replace(':', "%3A")
            );
            let headers = [("content-type", "application/x-www-form-urlencoded")];
            let path = format!("/gates/{id}/decisions");
            page.send(hyper::Method::POST, &path, &headers, form)
                .await?
                .is(303, &path)?;
        } else {
            let body = json!({ "verdict": "approve", "evidence_digest": digest });
            server
                .api
                .post(&format!("/api/v1/gates/{id}/decisions"), &body)
                .await?;
        }
        let arrived = arrival(&calls, begun).await?;
        let taken = arrived.saturating_duration_since(begun);
        if uses_form {
            by_form.add(taken)
        } else {
            by_api.add(taken)
        }
    }

    let sdk = aws_sdk_codedeploy::Client::from_conf(
        aws_sdk_codedeploy::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(&calls.base)
            .credentials_provider(Credentials::new("AKIDFLOOR", "any", None, None, "bench"))
            .build(),
    );
    let mut least = Samples::default();
    for number in 0..=samples * 2 {
        let begun = Instant::now();
        // The account knows no such hook and says so; what is measured has happened before it does.
        let answer = sdk
            .put_lifecycle_event_hook_execution_status()
            .deployment_id("d-000000000")
            .lifecycle_event_hook_execution_id("none")
            .status(aws_sdk_codedeploy::types::LifecycleEventStatus::Succeeded)
            .send()
            .await;
        if answer.is_ok() {
            bail!("the account knows a hook that there is not");
        }
        let taken = arrival(&calls, begun)
            .await?
            .saturating_duration_since(begun);
        // The first call opens the connection.
        if number > 0 {
            least.add(taken);
        }
    }
    server.process.end().await?;
    account_process.end().await?;

    let mut table = Table::new(
        "From the decision's post to the call at AWS",
        &[
            "path",
            "samples",
            "p50 ms",
            "p99 ms",
            "SDK p50 ms",
            "SDK p99 ms",
            "p99 ratio",
        ],
    );
    for (name, own) in [
        ("POST /api/v1/gates/{id}/decisions", &by_api),
        ("the page's form", &by_form),
    ] {
        table.row([
            name.to_string(),
            own.count().to_string(),
            own.shown(0.5),
            own.shown(0.99),
            least.shown(0.5),
            least.shown(0.99),
            own.ratio(&least, 0.99),
        ]);
    }
    Ok(Report {
        bench: "decide",
        setting: vec![
            "Decision and intent are committed to SQLite, synchronously, before the call. The target is a p99 under 250 ms.".to_string(),
        ],
        tables: vec![table],
    })
}

async fn open_gate(api: &Http) -> Result<Option<Value>> {
    let open = api.json("/api/v1/gates?state=open").await?;
    Ok(open["items"]
        .as_array()
        .and_then(|items| items.first())
        .cloned())
}

/// Lets simulated time pass until a gate is open.
async fn waited(api: &Http, account: &Account, team: &Team) -> Result<Value> {
    let begun = Instant::now();
    loop {
        if let Some(gate) = open_gate(api).await? {
            // What it was opened with is read and written within this time; a decision is not made sooner by anybody.
            tokio::time::sleep(Duration::from_millis(300)).await;
            return Ok(open_gate(api).await?.unwrap_or(gate));
        }
        if begun.elapsed() > LIMIT {
            let seen = api.json("/api/v1/deployments?limit=3").await?;
            bail!("no gate opens; the newest deployments are {seen}");
        }
        team.keeps_deploying().await?;
        account.advance(5).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// When the call was there.
async fn arrival(calls: &Proxy, after: Instant) -> Result<Instant> {
    loop {
        if let Some(at) = calls.first_after(CALL, after) {
            return Ok(at);
        }
        if after.elapsed() > LIMIT {
            bail!("{CALL} does not arrive");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
