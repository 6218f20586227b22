//! `bench pages`: every page over a long history, beside a bare handler that runs the same SQL.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use crate::Options;
use crate::floor;
use crate::floor::Statements;
use crate::history;
use crate::history::Facts;
use crate::history::Size;
use crate::machine;
use crate::machine::Folder;
use crate::report::Report;
use crate::report::Samples;
use crate::report::Table;
use crate::report::grouped;
use crate::report::millis;
use crate::wire::Http;

/// What the store reads of a deployment.
const DEPLOYMENT: &str = "id, started_at, outcome, phase, outcome_cause, service_id, service_name, initiator, aws_id, \
     target_revision, reason, cluster, account, region, controller, strategy, previous_revision, previous_evidence, \
     outcome_detail, description, ended_at, rollback_of, rolled_back_by, operation_id, share_new_permille, \
     target_group_old, target_group_new, metrics_until, observed_at, generation, alarms, reading, app_spec";

/// How many requests are under way at once.
const AT_ONCE: usize = 2;

/// How long the text index of a million deployments may take.
const INDEX_LIMIT: Duration = Duration::from_secs(3600);

/// Something that is asked for.
struct Case {
    name: String,
    /// Under `/api/v1`, or a page.
    path: String,
    /// What the bare handler runs.
    statements: Vec<String>,
}

/// Measures.
pub async fn run(options: &Options) -> Result<Report> {
    let size = if options.smoke {
        Size::SMOKE
    } else {
        Size::FULL
    };
    let samples = if options.smoke { 4 } else { 200 };
    let history = history::prepare(&options.data, size, machine::now()).await?;
    let facts = &history.facts;
    let folder = Folder::new(options, "pages")?;
    let (account, aws) = machine::account(options, &folder.0, None).await?;

    let mut starts = Vec::new();
    let mut server = machine::server(options, &folder.0, &history.file, &aws, &[]).await?;
    let index_took = until_indexed(&server.api).await?;
    let idle = server.process.memory()?.0;
    for _ in 0..if options.smoke { 1 } else { 5 } {
        server.process.end().await?;
        server = machine::server(options, &folder.0, &history.file, &aws, &[]).await?;
        starts.push(server.start);
    }
    starts.sort_unstable();
    let page = machine::signed_in(&server.api.base).await?;

    let cases = cases(facts);
    let paths: BTreeMap<String, Vec<String>> = cases
        .iter()
        .enumerate()
        .map(|(index, case)| (index.to_string(), case.statements.clone()))
        .collect();
    let statements = Statements {
        database: history.file.display().to_string(),
        paths,
    };
    std::fs::write(
        floor::statements_file(options),
        serde_json::to_vec(&statements)?,
    )?;
    let (floor, floor_url) = floor::start(options, "floor-pages", &folder.0).await?;
    let bare = Http::new(&floor_url);

    let mut table = Table::new(
        "Pages and lists",
        &[
            "asked for",
            "p50 ms",
            "p99 ms",
            "floor p50 ms",
            "floor p99 ms",
            "p99 ratio",
            "bytes",
        ],
    );
    for (index, case) in cases.iter().enumerate() {
        let http = if case.path.starts_with("/api/") {
            &server.api
        } else {
            &page
        };
        let (own, bytes) = measured(http, &case.path, samples)
            .await
            .with_context(|| case.name.clone())?;
        let (least, _) = measured(&bare, &format!("/{index}"), samples)
            .await
            .with_context(|| format!("the floor of {}", case.name))?;
        eprintln!(
            "  {}: p99 {} ms, floor {} ms",
            case.name,
            own.shown(0.99),
            least.shown(0.99)
        );
        table.row([
            case.name.clone(),
            own.shown(0.5),
            own.shown(0.99),
            least.shown(0.5),
            least.shown(0.99),
            own.ratio(&least, 0.99),
            grouped(i128::try_from(bytes)?),
        ]);
    }
    let (after, most) = server.process.memory()?;
    let mut rest = Table::new("The process", &["figure", "measured", "target"]);
    let mebibytes = |kibibytes: u64| format!("{:.0} MiB", kibibytes as f64 / 1024.0);
    let median = starts.get(starts.len() / 2).copied().unwrap_or_default();
    rest.row([
        "start to ready".to_string(),
        format!("{} ms", millis(median)),
        "under 1,000 ms".to_string(),
    ]);
    rest.row([
        "resident memory, ready".to_string(),
        mebibytes(idle),
        "under 150 MiB".to_string(),
    ]);
    rest.row([
        "resident memory after the table above".to_string(),
        mebibytes(after),
        "under 150 MiB".to_string(),
    ]);
    rest.row([
        "the most it was".to_string(),
        mebibytes(most),
        "-".to_string(),
    ]);
    let code = browser_code(options)?;
    rest.row([
        "WASM and JavaScript, Brotli".to_string(),
        format!("{} bytes", grouped(i128::from(code))),
        "under 300,000 bytes".to_string(),
    ]);
    floor.end().await?;
    server.process.end().await?;
    account.end().await?;

    let index = match index_took {
        Some(took) => format!(
            "The text index was built in the background in {:.0} s.",
            took.as_secs_f64()
        ),
        None => "The text index was there.".to_string(),
    };
    Ok(Report {
        bench: "pages",
        setting: vec![
            format!(
                "{} deployments, {} services, {} audit entries, {} MiB of SQLite; {samples} requests of each kind, {AT_ONCE} at a time. {index}",
                grouped(facts.deployments),
                grouped(facts.services),
                grouped(facts.audit_entries),
                facts.bytes / 1024 / 1024
            ),
            format!(
                "The busiest service has {} deployments; the actor, {}, began {}.",
                grouped(facts.busiest.1),
                facts.actor.0,
                grouped(facts.actor.1)
            ),
        ],
        tables: vec![table, rest],
    })
}

/// Waits until a search says nothing about an index that is being built; gives how long that took, if it did.
async fn until_indexed(api: &Http) -> Result<Option<Duration>> {
    let begun = Instant::now();
    let mut looks = 0;
    loop {
        // Nothing fits the service, so that nothing is looked through.
        let answer = api
            .json("/api/v1/deployments?q=zzz&phase=baking&limit=1")
            .await?;
        if answer["notice"].is_null() {
            return Ok((looks > 0).then(|| begun.elapsed()));
        }
        looks += 1;
        if looks % 60 == 1 {
            eprintln!("  {}", answer["notice"]);
        }
        if begun.elapsed() > INDEX_LIMIT {
            bail!("the text index is not built: {}", answer["notice"]);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Asks so many times, after a few that do not count; gives how long each took and how many bytes came.
pub async fn measured(http: &Http, path: &str, samples: usize) -> Result<(Samples, usize)> {
    let mut bytes = 0;
    for _ in 0..3 {
        bytes = http.get(path).await?.len();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (http, path) = (http.clone(), path.to_string());
        tasks.spawn(async move {
            let mut taken = Samples::default();
            for _ in 0..samples / AT_ONCE {
                let begun = Instant::now();
                http.get(&path).await?;
                taken.add(begun.elapsed());
            }
            anyhow::Ok(taken)
        });
    }
    let mut all = Samples::default();
    while let Some(taken) = tasks.join_next().await {
        all.extend(&taken??);
    }
    Ok((all, bytes))
}

/// The bytes that a browser loads before the first island wakes.
fn browser_code(options: &Options) -> Result<u64> {
    let folder = options
        .binary
        .parent()
        .unwrap_or(Path::new("."))
        .join("site/pkg");
    let mut sum = 0;
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_string();
        if name.ends_with(".wasm.br") || name.ends_with(".js.br") {
            sum += entry.metadata()?.len();
        }
    }
    Ok(sum)
}

fn rfc3339(millis: i64) -> String {
    switchback_domain::moment::Moment::from_millis(millis).to_string()
}

/// One walk through the history, as the store makes it.
fn walk(conditions: &str) -> String {
    let conditions = match conditions {
        "" => String::new(),
        some => format!(" where {some}"),
    };
    format!(
        "select {DEPLOYMENT} from deployments{conditions} order by started_at desc, id desc limit 51"
    )
}

/// What is looked for in each row where few fit the other filters.
fn contains(text: &str) -> String {
    let columns = ["reason", "aws_id", "service_name", "target_revision"]
        .map(|column| format!("lower({column}) like '%{text}%'"));
    format!("({})", columns.join(" or "))
}

/// A search by the text index, as the store makes it.
fn search(text: &str, conditions: &str) -> String {
    let found = format!(
        "from deployment_search cross join deployment_search_rows on position = deployment_search.rowid \
         cross join deployments on deployments.id = deployment_id where {conditions} deployment_search match '\"{text}\"'"
    );
    format!(
        "with last_found(position) as materialized (select min(position) from (select deployment_search.rowid as position \
         {found} order by deployment_search.rowid desc limit 51)), \
         found(found_id) as materialized (select deployments.id {found} and deployment_search.rowid >= \
         (select position / 1048576 * 1048576 from last_found) order by started_at desc, deployments.id desc limit 51) \
         select {DEPLOYMENT} from found cross join deployments on deployments.id = found_id order by started_at desc, id desc"
    )
}

fn cases(facts: &Facts) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name: &str, path: String, statements: Vec<String>| {
        cases.push(Case {
            name: name.to_string(),
            path,
            statements,
        });
    };
    let (busy, middling) = (&facts.busiest.0, &facts.middling);
    let actor = &facts.actor.0;
    let (middle_at, middle_id) = &facts.middle;
    let (oldest_at, oldest_id) = &facts.oldest;
    let month = 30 * 86_400_000;
    let history: Vec<(&str, String, String)> = vec![
        ("no filter", String::new(), walk("")),
        (
            "page in the middle",
            format!("cursor={middle_at}.{middle_id}"),
            walk(&format!("(started_at, id) < ({middle_at}, '{middle_id}')")),
        ),
        (
            "last page",
            format!("cursor={oldest_at}.{oldest_id}"),
            walk(&format!("(started_at, id) < ({oldest_at}, '{oldest_id}')")),
        ),
        (
            "service, the busiest",
            format!("service={busy}"),
            walk(&format!("service_id = '{busy}'")),
        ),
        (
            "service, a middling one",
            format!("service={middling}"),
            walk(&format!("service_id = '{middling}'")),
        ),
        (
            "outcome failed",
            "outcome=failed".to_string(),
            walk("outcome = 'failed'"),
        ),
        (
            "outcome superseded",
            "outcome=superseded".to_string(),
            walk("outcome = 'superseded'"),
        ),
        (
            "phase holding",
            "phase=holding".to_string(),
            walk("phase = 'holding'"),
        ),
        (
            "actor, many",
            "actor=dana".to_string(),
            walk("lower(initiator) like '%dana%'"),
        ),
        (
            "actor, one",
            format!("actor={actor}"),
            walk(&format!("initiator = '{actor}'")),
        ),
        (
            "actor, nobody",
            "actor=nobody+at+all".to_string(),
            walk("initiator = 'nobody at all'"),
        ),
        (
            "a month",
            format!(
                "from={}&to={}",
                rfc3339(*middle_at),
                rfc3339(middle_at + month)
            ),
            walk(&format!(
                "started_at >= {middle_at} and started_at < {}",
                middle_at + month
            )),
        ),
        (
            "busiest service, rolled back",
            format!("service={busy}&outcome=rolled_back"),
            walk(&format!(
                "service_id = '{busy}' and outcome = 'rolled_back'"
            )),
        ),
        (
            "busiest service, one actor",
            format!("service={busy}&actor={actor}"),
            walk(&format!("service_id = '{busy}' and initiator = '{actor}'")),
        ),
        (
            "busiest service, nobody",
            format!("service={busy}&actor=nobody+at+all"),
            walk(&format!(
                "service_id = '{busy}' and initiator = 'nobody at all'"
            )),
        ),
        (
            "one actor, failed",
            format!("actor={actor}&outcome=failed"),
            walk(&format!("initiator = '{actor}' and outcome = 'failed'")),
        ),
        (
            "failed, a month",
            format!("outcome=failed&from={}", rfc3339(*middle_at)),
            walk(&format!("outcome = 'failed' and started_at >= {middle_at}")),
        ),
        (
            "text, common",
            "q=payments".to_string(),
            search("payments", ""),
        ),
        (
            "text, in every row",
            "q=task-definition".to_string(),
            search("task-definition", ""),
        ),
        (
            "text, an AWS id",
            format!("q={}", facts.aws_id),
            search(&facts.aws_id, ""),
        ),
        (
            "text, nowhere",
            "q=zebra+crossing".to_string(),
            search("zebra crossing", ""),
        ),
        (
            "text in the middle",
            format!("q=hotfix&cursor={middle_at}.{middle_id}"),
            search(
                "hotfix",
                &format!(
                    "deployment_search.rowid < {} and (started_at, deployments.id) < ({middle_at}, '{middle_id}') and",
                    (middle_at + 1) << 20
                ),
            ),
        ),
        (
            "text, failed",
            "q=hotfix&outcome=failed".to_string(),
            search("hotfix", "outcome = 'failed' and"),
        ),
        (
            "text, busiest service",
            format!("q=hotfix&service={busy}"),
            search("hotfix", &format!("service_id = '{busy}' and")),
        ),
        (
            "text, one actor",
            format!("q=hotfix&actor={actor}"),
            walk(&format!("initiator = '{actor}' and {}", contains("hotfix"))),
        ),
        (
            "text, nobody",
            "q=hotfix&actor=nobody+at+all".to_string(),
            walk("initiator = 'nobody at all'"),
        ),
    ];
    for (name, query, statement) in &history {
        case(
            &format!("history as JSON: {name}"),
            format!("/api/v1/deployments?{query}"),
            vec![statement.clone()],
        );
    }
    let on_pages = [
        "no filter",
        "last page",
        "service, the busiest",
        "outcome failed",
        "text, common",
        "text, nowhere",
    ];
    for (name, query, statement) in history
        .iter()
        .filter(|(name, _, _)| on_pages.contains(name))
    {
        case(
            &format!("page History: {name}"),
            format!("/history?{query}"),
            vec![statement.clone()],
        );
    }
    let deployment = &facts.deployment;
    let of_services = |conditions: &str, limit: i64| {
        let ids = format!(
            "select id from (select id, name from services{conditions} order by name, id limit {limit})"
        );
        vec![
            format!("select * from services{conditions} order by name, id limit {limit}"),
            format!(
                "select {DEPLOYMENT} from deployments where outcome = 'in_progress' and service_id in ({ids})"
            ),
            format!(
                "select {DEPLOYMENT} from deployments where id in (select (select newest.id from deployments as newest \
                 where newest.service_id = services.id and newest.outcome not in ('in_progress', 'unknown') \
                 order by newest.started_at desc, newest.id desc limit 1) from services where id in ({ids}))"
            ),
        ]
    };
    let payments = " where lower(name) like '%payments%' or lower(cluster) like '%payments%' or lower(arn) like '%payments%'";
    let moving = " where id in (select service_id from deployments where outcome = 'in_progress')";
    let of_service = |service: &str| {
        vec![
            format!("select * from services where id = '{service}'"),
            format!(
                "select {DEPLOYMENT} from deployments where service_id = '{service}' order by started_at desc, id desc limit 200"
            ),
            format!(
                "select * from served_periods where service_id = '{service}' order by from_at desc limit 1000"
            ),
            format!(
                "select * from revisions where arn in (select target_revision from (select target_revision from deployments \
                 where service_id = '{service}' order by started_at desc, id desc limit 200))"
            ),
        ]
    };
    let of_deployment = vec![
        format!("select {DEPLOYMENT} from deployments where id = '{deployment}'"),
        format!("select * from timeline where deployment_id = '{deployment}' order by position"),
        format!("select * from gates where deployment_id = '{deployment}'"),
        format!(
            "select * from metric_points where deployment_id = '{deployment}' order by minute, series, side"
        ),
        format!("select * from operations where deployment_id = '{deployment}'"),
    ];
    let gates = |order: &str, limit: i64| {
        vec![
            format!("select * from gates {order} limit {limit}"),
            format!(
                "select {DEPLOYMENT} from deployments where id in (select deployment_id from (select deployment_id from gates \
                 {order} limit {limit}))"
            ),
        ]
    };
    let open = "where state = 'open' order by expires_at, id";
    let closed = "where state <> 'open' order by opened_at desc, id desc";
    let audit = vec!["select * from audit_log order by sequence desc limit 51".to_string()];
    for (name, query, conditions) in [
        ("no filter", "", ""),
        ("text", "q=payments", payments),
        ("moving", "moving=1", moving),
    ] {
        case(
            &format!("services as JSON: {name}"),
            format!("/api/v1/services?{query}"),
            of_services(conditions, 51),
        );
        case(
            &format!("page Services: {name}"),
            format!("/services?{query}"),
            of_services(conditions, 101),
        );
    }
    case(
        "busiest service as JSON",
        format!("/api/v1/services/{busy}"),
        of_service(busy),
    );
    case(
        "page of the busiest service",
        format!("/services/{busy}"),
        of_service(busy),
    );
    case(
        "page of a middling service",
        format!("/services/{middling}"),
        of_service(middling),
    );
    case(
        "deployment as JSON",
        format!("/api/v1/deployments/{deployment}"),
        vec![of_deployment[0].clone()],
    );
    case(
        "page of a deployment",
        format!("/deployments/{deployment}"),
        of_deployment,
    );
    case(
        "gates as JSON",
        "/api/v1/gates".to_string(),
        gates("order by opened_at desc, id desc", 51),
    );
    case("page Approvals", "/approvals".to_string(), gates(open, 101));
    case(
        "page Approvals: decided",
        "/approvals?show=decided".to_string(),
        gates(closed, 101),
    );
    let mut now = gates(open, 20);
    now.extend([
        format!(
            "select {DEPLOYMENT} from deployments where id in (select id from deployments \
             where outcome in ('in_progress', 'unknown') order by started_at desc, id desc limit 50)"
        ),
        format!("{} limit 40", walk("").trim_end_matches(" limit 51")),
        "select count(*), count(distinct account) from services".to_string(),
    ]);
    case("page Now", "/".to_string(), now);
    case(
        "audit log as JSON",
        "/api/v1/audit".to_string(),
        audit.clone(),
    );
    case("page Audit", "/audit".to_string(), audit);
    cases
}
