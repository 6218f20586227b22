//! Whether the process lives, whether it can work and why not, and its numbers.
//!
//! All of it is public: numbers and states, no names of services, accounts or people.

use crate::Deps;
use crate::desk::Look;
use crate::openapi::answers::AliveAnswer;
use crate::openapi::answers::ReadyAnswer;
use crate::telemetry;
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use http::StatusCode;
use http::header;
use serde_json::json;
use std::fmt::Write;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use switchback_domain::operation::OperationState;
use switchback_store::StoreError;

/// Numbers that are counted where things happen and go down again.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Open event streams.
    pub streams: AtomicI64,
}

/// GET /healthz: the process answers.
pub async fn healthz() -> Response {
    Json(AliveAnswer { alive: true }).into_response()
}

/// GET /readyz: 200 when requests can be served, 503 with the reasons when not.
pub async fn readyz(State(deps): State<Deps>) -> Response {
    let readiness = readiness(&deps).await;
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness.document)).into_response()
}

/// Whether everything answers, and what was found.
pub struct Readiness {
    /// Whether requests can be served.
    pub ready: bool,
    /// The details.
    pub document: ReadyAnswer,
}

/// Looks. Trouble with AWS does not make the desk unready: history and recorded revisions are wanted most then, and
/// another process would have the same trouble. A watcher that stands still does: this process cannot do its work.
pub async fn readiness(deps: &Deps) -> Readiness {
    let mut reasons: Vec<String> = Vec::new();
    let mut warnings: Vec<String> = Vec::new();
    if deps.stop.is_cancelled() {
        reasons.push("The server is ending.".to_string());
    }
    let (database, schema) = match deps.store.schema().await {
        Ok(schema) if schema.breaking.is_some() => {
            reasons.push(
                "A newer version has changed the database in a way that this version cannot work with."
                    .to_string(),
            );
            ("answers", "too new")
        }
        Ok(schema) if !schema.behind.is_empty() => {
            reasons.push(
                "The database lacks migrations of this version. Start the server again to apply them."
                    .to_string(),
            );
            ("answers", "behind")
        }
        Ok(schema) if !schema.ahead.is_empty() => {
            warnings.push("A newer version has added to the database's schema.".to_string());
            ("answers", "ahead")
        }
        Ok(_) => ("answers", "current"),
        Err(error) => {
            log_database(&error);
            reasons.push("The database does not answer.".to_string());
            ("does not answer", "unknown")
        }
    };
    let looks = deps.consoles.looks();
    let heard = |look: &Look| look.at.is_some() || look.trouble.is_some();
    if deps.watches && !looks.iter().any(heard) {
        reasons.push("AWS was not heard yet.".to_string());
    }
    // Anybody may ask, and AWS's own words name accounts and principals. They are in the log, where
    // each look that fails is written down, and on the pages.
    let mut regions: Vec<serde_json::Value> = Vec::new();
    let is_fresh = |look: &Look| look.age.is_some_and(|age| age <= deps.look_limit);
    for look in &looks {
        let region = &look.region;
        let place = match &look.account {
            None => region.clone(),
            Some(account) => format!("account {account} in {region}"),
        };
        let last_look = match (&look.trouble, look.at) {
            (Some(_), _) => {
                warnings.push(format!("The last look at {place} failed."));
                "failed"
            }
            (None, Some(_)) => "ended well",
            (None, None) => {
                warnings.push(format!("{place} was not heard yet."));
                "not yet"
            }
        };
        if look.trouble.is_none() && look.age.is_some_and(|age| age > deps.look_limit) {
            let words = format!(
                "The last look at {place} is older than {} s, and nothing is known to be wrong: the watcher stands still.",
                deps.look_limit.as_secs()
            );
            // An account that answers slowly is no reason to end what watches the others.
            let others = looks
                .iter()
                .any(|other| other.account != look.account && is_fresh(other));
            if others {
                warnings.push(words);
            } else {
                reasons.push(words);
            }
        }
        let code = look.trouble.as_deref().and_then(code_of);
        let mut told = json!({ "region": region, "last_look_at": look.at, "last_look": last_look, "code": code });
        if let Some(account) = &look.account {
            told["account"] = json!(account);
        }
        regions.push(told);
    }
    let ready = reasons.is_empty();
    let ledger = match deps.consoles.ledger() {
        None => json!({ "state": "none" }),
        Some(ledger) => json!({
            "state": if ledger.is_complete() { "complete" } else { "incomplete" },
            "complete_at": ledger.complete_at,
            "due": ledger.due,
            "code": ledger.trouble.as_deref().and_then(code_of),
        }),
    };
    Readiness {
        ready,
        document: ReadyAnswer {
            ready,
            reasons,
            warnings,
            database,
            schema,
            aws: regions,
            ledger,
        },
    }
}

fn log_database(error: &StoreError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the database does not answer"
    );
}

/// AWS's code in `codedeploy:ListDeployments: AccessDeniedException: …`; `None` in any other sentence.
fn code_of(trouble: &str) -> Option<&str> {
    let (_, rest) = trouble.split_once(": ")?;
    let (code, _) = rest.split_once(": ")?;
    let is_code = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then_some(code)
}

/// GET /metrics, in Prometheus's text format. Answers also when the database does not: that is when it is read.
pub async fn metrics(State(deps): State<Deps>) -> Response {
    let mut text = telemetry::numbers().render();
    let text_to = &mut text;
    family(
        text_to,
        "switchback_build_info",
        "gauge",
        "1, with the version of the program.",
    );
    line(
        text_to,
        &format!(
            "switchback_build_info{{version=\"{}\"}}",
            env!("CARGO_PKG_VERSION")
        ),
        1,
    );
    gauge(
        text_to,
        "switchback_ready",
        "1 while /readyz says that requests can be served.",
        u8::from(readiness(&deps).await.ready),
    );
    gauge(
        text_to,
        "switchback_event_streams",
        "Open event streams.",
        deps.metrics.streams.load(Ordering::Relaxed),
    );
    stored(&deps, text_to).await;
    connections(&deps, text_to);
    let all = deps.consoles.looks();
    looks(&all, text_to);
    watching(&deps, &all, text_to).await;
    process(text_to);
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

async fn stored(deps: &Deps, text: &mut String) {
    let numbers = deps.store.numbers().await;
    gauge(
        text,
        "switchback_database_up",
        "1 when the database answered just now.",
        u8::from(numbers.is_ok()),
    );
    let numbers = match numbers {
        Ok(numbers) => numbers,
        Err(error) => return log_database(&error),
    };
    for (name, help, value) in [
        (
            "switchback_open_gates",
            "Gates that wait for a decision.",
            numbers.open_gates,
        ),
        (
            "switchback_undelivered_verdicts",
            "Verdicts that are recorded and have yet to be told to AWS.",
            numbers.undelivered_verdicts,
        ),
        (
            "switchback_active_deployments",
            "Deployments in progress or with an unknown end.",
            numbers.active_deployments,
        ),
        (
            "switchback_audit_entries",
            "Entries of the audit log.",
            numbers.audit_entries,
        ),
    ] {
        gauge(text, name, help, value);
    }
    if let Some(expiry) = numbers.earliest_expiry {
        let left = expiry.millis_since(deps.consoles.clock()) as f64 / 1000.0;
        gauge(
            text,
            "switchback_gate_fuse_seconds_left",
            "Seconds until the first fuse of an open gate burns out, by the account's clock. Absent without an open gate.",
            left,
        );
    }
    let name = "switchback_operations";
    family(text, name, "gauge", "Operations by their state.");
    for state in OperationState::ALL {
        let count = numbers
            .operations
            .iter()
            .find(|(word, _)| word == state.word())
            .map_or(0, |(_, count)| *count);
        line(
            text,
            &format!("{name}{{state=\"{}\"}}", state.word()),
            count,
        );
    }
}

fn connections(deps: &Deps, text: &mut String) {
    let name = "switchback_database_connections";
    family(
        text,
        name,
        "gauge",
        "Open connections to the database, by pool and whether they are in use.",
    );
    for pool in deps.store.pools() {
        let used = pool.open.saturating_sub(pool.idle);
        for (state, count) in [("used", used), ("idle", pool.idle)] {
            line(
                text,
                &format!("{name}{{pool=\"{}\",state=\"{state}\"}}", pool.pool),
                count,
            );
        }
    }
}

fn looks(looks: &[Look], text: &mut String) {
    let name = "switchback_aws_trouble";
    family(
        text,
        name,
        "gauge",
        "1 while the last look at AWS went wrong.",
    );
    for look in looks {
        line(
            text,
            &format!("{name}{{{}}}", labels(look)),
            u8::from(look.trouble.is_some()),
        );
    }
    let name = "switchback_aws_last_look_age_seconds";
    family(
        text,
        name,
        "gauge",
        "Seconds since a look at AWS ended well. Absent before the first.",
    );
    for look in looks {
        if let Some(age) = look.age {
            line(
                text,
                &format!("{name}{{{}}}", labels(look)),
                age.as_secs_f64(),
            );
        }
    }
}

/// What watching costs, and whether events are heard.
async fn watching(deps: &Deps, looks: &[Look], text: &mut String) {
    let name = "switchback_aws_requests_per_service_hour";
    let help = "Requests to AWS for each watched service in an hour, at the pace of the last hour. Absent in the first \
                ten minutes.";
    family(text, name, "gauge", help);
    match deps.store.service_counts().await {
        Ok(counts) => {
            for look in looks {
                let is_here = |account: &str, region: &str| {
                    region == look.region
                        && match &look.number {
                            Some(own) => own == account,
                            None => !looks
                                .iter()
                                .any(|other| other.number.as_deref() == Some(account)),
                        }
                };
                let services: i64 = counts
                    .iter()
                    .filter(|(account, region, _)| is_here(account, region))
                    .map(|(_, _, count)| count)
                    .sum();
                if let Some(requests) = look.requests_an_hour.filter(|_| services > 0) {
                    let label = format!("{name}{{{}}}", labels(look));
                    line(text, &label, requests / services as f64);
                }
            }
        }
        Err(error) => log_database(&error),
    }
    let name = "switchback_events_queue_up";
    let help = "1 while the queue of events in a region answers. Absent where none is read.";
    family(text, name, "gauge", help);
    for look in looks {
        if let Some(answers) = look.queue_answers {
            let label = format!("{name}{{{}}}", labels(look));
            line(text, &label, u8::from(answers));
        }
    }
}

/// The labels of one account and region; an account of a role has one more.
fn labels(look: &Look) -> String {
    match &look.account {
        None => format!("region=\"{}\"", look.region),
        Some(account) => format!("account=\"{account}\",region=\"{}\"", look.region),
    }
}

/// What the system knows of this process, under the names that all Prometheus clients use. Where there is no
/// `/proc`, nothing.
fn process(text: &mut String) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes = |label: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(label))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The fields after the program's name, which may hold anything.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, fields)| fields.split_whitespace().collect())
        .unwrap_or_default();
    let ticks = |index: usize| -> Option<u64> { fields.get(index)?.parse().ok() };
    let cpu = ticks(11).zip(ticks(12)).map(|(user, system)| {
        (user + system) as f64 / rustix::param::clock_ticks_per_second() as f64
    });
    let open = std::fs::read_dir("/proc/self/fd")
        .ok()
        .map(|entries| entries.count() as f64);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    for (name, kind, help, value) in [
        (
            "process_cpu_seconds_total",
            "counter",
            "Processor time, user and system.",
            cpu,
        ),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory.",
            kibibytes("VmRSS:").map(|kibibytes| (kibibytes * 1024) as f64),
        ),
        (
            "process_virtual_memory_bytes",
            "gauge",
            "Virtual memory.",
            kibibytes("VmSize:").map(|kibibytes| (kibibytes * 1024) as f64),
        ),
        (
            "process_threads",
            "gauge",
            "Threads.",
            kibibytes("Threads:").map(|threads| threads as f64),
        ),
        ("process_open_fds", "gauge", "Open file descriptors.", open),
        (
            "process_max_fds",
            "gauge",
            "How many file descriptors may be open.",
            limit.map(|limit| limit as f64),
        ),
    ] {
        if let Some(value) = value {
            family(text, name, kind, help);
            line(text, name, value);
        }
    }
}

fn gauge(text: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    family(text, name, "gauge", help);
    line(text, name, value);
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing into a String does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{name} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_code_is_told() {
        for (trouble, code) in [
            (
                "codedeploy:ListDeployments: AccessDeniedException: User: arn:aws:iam::123456789012:user/x is not",
                Some("AccessDeniedException"),
            ),
            (
                "sts:GetCallerIdentity: NoAnswer: it took too long",
                Some("NoAnswer"),
            ),
            ("The database did not answer.", None),
            ("User: arn:aws:iam::123456789012:user/x: is not", None),
            ("a: : b", None),
            ("", None),
        ] {
            assert_eq!(code_of(trouble), code, "{trouble}");
        }
    }
}
