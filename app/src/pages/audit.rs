//! The audit log: who did what, why, from where; whether the chain holds, and how far it is sealed; the questions that
//! auditors ask.

use crate::asks;
use crate::pages::Shown;
use crate::pages::page;
use crate::parts::coverage::gap_words;
use crate::parts::frame::Section;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::small::copy_button;
use crate::parts::small::empty;
use crate::parts::small::identifier;
use crate::parts::small::time;
use crate::words;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use switchback_contract::AuditFilter;
use switchback_contract::AuditPage;
use switchback_contract::AuditProof;
use switchback_contract::AuditView;
use switchback_contract::GapView;
use switchback_contract::Moment;

/// `/audit?actor=&subject=&event=&service=&reason=&from=&to=&cursor=`
#[component]
pub fn Audit() -> impl IntoView {
    let query = use_query_map().get_untracked();
    let get = |name: &str| {
        query
            .get(name)
            .map(|value| value.trim().to_string())
            .filter(|value| !value.is_empty())
    };
    let filter = AuditFilter {
        from: get("from"),
        to: get("to"),
        actor: get("actor"),
        subject: get("subject"),
        event: get("event"),
        service: get("service"),
        reason: get("reason"),
        cursor: get("cursor"),
        limit: get("limit").and_then(|limit| limit.parse().ok()),
        verify: get("verify"),
    };
    let asked = filter.clone();
    page(Section::Audit, asks::audit(filter), move |answer, _| {
        Shown {
            title: "Audit".to_string(),
            now: None,
            content: content(&asked, &answer),
        }
    })
}

/// The filters as pairs of an address, without the cursor.
fn pairs(filter: &AuditFilter) -> [(&'static str, Option<&str>); 7] {
    [
        ("from", filter.from.as_deref()),
        ("to", filter.to.as_deref()),
        ("actor", filter.actor.as_deref()),
        ("event", filter.event.as_deref()),
        ("subject", filter.subject.as_deref()),
        ("service", filter.service.as_deref()),
        ("reason", filter.reason.as_deref()),
    ]
}

fn address(path: &str, filter: &AuditFilter, cursor: Option<&str>) -> String {
    let limit = filter.limit.map(|limit| limit.to_string());
    let mut all = pairs(filter).to_vec();
    all.push(("cursor", cursor));
    all.push(("limit", limit.as_deref()));
    words::link(path, &all)
}

/// The same entries, all of them, as a file.
fn export_address(filter: &AuditFilter, format: &str) -> String {
    let mut all = pairs(filter).to_vec();
    if format == "bundle" {
        // A bundle holds every entry of its time.
        all.truncate(2);
    }
    all.push(("format", Some(format)));
    words::link("/api/v1/audit/export", &all)
}

/// What auditors ask again and again: the words, and the filter that answers.
fn questions(now: Option<Moment>) -> Vec<(String, AuditFilter)> {
    let asked = |event: &str| AuditFilter {
        event: Some(event.to_string()),
        ..AuditFilter::default()
    };
    let mut questions = Vec::new();
    for (name, from, to) in now.map(quarters).into_iter().flatten() {
        questions.push((
            format!("Changes of {name} and their approvals"),
            AuditFilter {
                from: Some(from),
                to: Some(to),
                ..asked(CHANGES)
            },
        ));
    }
    for (question, events) in [
        ("Gates that closed without enough decisions", "gate_closed"),
        ("Rollbacks that people asked for", "operation_intended"),
        ("Reads of environment values", "environment_read"),
        (
            "Users and tokens that were made",
            "user_created,token_created",
        ),
        ("Refused sign-ins", "sign_in_refused"),
        ("Times when nobody looked", "watch_gap"),
    ] {
        questions.push((question.to_string(), asked(events)));
    }
    questions
}

/// Whatever moves a service, and what people decided about it.
const CHANGES: &str = "deployment_recorded,deployment_ended,gate_decided,gate_closed,operation_intended,operation_moved";

/// The quarter of a moment and the one before: name, first day, first day after.
fn quarters(now: Moment) -> [(String, String, String); 2] {
    let text = now.rfc3339();
    let number = |range: std::ops::Range<usize>| {
        text.get(range)
            .and_then(|digits| digits.parse::<i64>().ok())
            .unwrap_or(1)
    };
    let this = number(0..4) * 4 + (number(5..7) - 1) / 3;
    [this, this - 1].map(|quarter| {
        let first = |quarter: i64| {
            format!(
                "{:04}-{:02}-01",
                quarter.div_euclid(4),
                quarter.rem_euclid(4) * 3 + 1
            )
        };
        let name = format!("Q{} {}", quarter.rem_euclid(4) + 1, quarter.div_euclid(4));
        (name, first(quarter), first(quarter + 1))
    })
}

fn content(filter: &AuditFilter, audit: &AuditPage) -> AnyView {
    let verified = format!("Chain verified to #{}", words::whole(audit.verified_to));
    let when = audit
        .verified_at
        .map(|at| view! { " at " {time(at, at.date_and_time())} });
    let chain = match audit.broken_at {
        None if audit.verified_to < audit.length => view! { <span class="state"><span>{verified}{format!(" of {}; the rest is being verified", words::whole(audit.length))}</span></span> }.into_any(),
        None => view! { <span class="state">{icon(Shape::Check)} <span>{verified}{when}</span></span> }.into_any(),
        Some(at) => view! { <span class="state bad">{icon(Shape::Cross)} <span>{format!("Chain broken at #{}", words::whole(at))}</span></span> }.into_any(),
    };
    let fault = audit.fault.as_ref().zip(audit.broken_at).map(
        |(fault, at)| view! { <p class="bad" role="alert">{format!("Entry {at}: {fault}.")}</p> },
    );
    let older = audit.page.next_cursor.as_deref().map(|cursor| view! { <a class="button" rel="next" href=address("/audit", filter, Some(cursor))>"Older"</a> });
    let newest = filter
        .cursor
        .as_ref()
        .map(|_| view! { <a class="button" href=address("/audit", filter, None)>"Newest"</a> });
    view! {
        <div class="page">
            <div class="title-row">
                <h1>"Audit"</h1>
                {chain}
                <p class="title-act aside">
                    <a class="button" href="/audit?verify=again" title="Every entry from the first one, not only those written since the last time">"Verify again"</a>" "
                    <a class="button" href=export_address(filter, "csv") download="">"Download CSV"</a>" "
                    <a class="button" href=export_address(filter, "jsonl") download="">"JSON Lines"</a>" "
                    <a class="button" href=export_address(filter, "bundle") download="" title="Every entry of the time, with checkpoints, evidence and gaps, signed: switchback audit verify checks it offline">"Signed bundle"</a>
                </p>
            </div>
            {fault}
            {proof(&audit.proof)}
            {questions_list(audit.verified_at)}
            {filter_form(filter)}
            {gaps(&audit.gaps)}
            {table(&audit.page.items)}
            <nav class="pager" aria-label="Pages of the audit log">{newest}{older}<span class="quiet">{words::counted(audit.page.items.len(), "entry", "entries")}</span></nav>
        </div>
    }
    .into_any()
}

/// How far the log is sealed, and by which key.
fn proof(proof: &AuditProof) -> AnyView {
    let sealed = proof.checkpoint.as_ref().map_or_else(
        || view! { <span>"No checkpoint is signed yet."</span> }.into_any(),
        |checkpoint| {
            view! {
                <span>
                    {format!("Sealed to #{} ", words::whole(checkpoint.sequence))}"at "{time(checkpoint.at, checkpoint.at.date_and_time())}
                    ", checkpoint "<code title=checkpoint.digest.clone()>{words::digest_words(&checkpoint.digest)}</code>{copy_button(&checkpoint.digest, "Copy the checkpoint's digest")}
                </span>
            }
            .into_any()
        },
    );
    let key = proof.public_key.as_ref().zip(proof.key_id.as_ref()).map(|(key, id)| {
        view! { <span>" · Signed by key "<code title=key.clone()>{id.clone()}</code>{copy_button(key, "Copy the public key")}</span> }
    });
    let removed = (proof.first > 1).then(|| {
        format!(
            " · Kept from #{} on; older segments were removed by their age",
            words::whole(proof.first)
        )
    });
    let trouble = proof
        .trouble
        .clone()
        .map(|trouble| view! { <p class="bad" role="alert">{trouble}</p> });
    view! {
        <p class="quiet" aria-label="Proof">{sealed}{key}{removed}</p>
        {trouble}
    }
    .into_any()
}

fn questions_list(now: Option<Moment>) -> AnyView {
    let links = questions(now)
        .into_iter()
        .map(|(question, filter)| {
            view! { <li><a class="filter-chip" href=address("/audit", &filter, None)>{question}</a></li> }
        })
        .collect_view();
    view! {
        <nav aria-label="Questions that auditors ask">
            <details class="folded"><summary>"Questions"</summary><ul class="filter-chips">{links}</ul></details>
        </nav>
    }
    .into_any()
}

fn filter_form(filter: &AuditFilter) -> AnyView {
    // On a phone they fold away unless one of them is set.
    let has_filter = pairs(filter)
        .iter()
        .any(|(name, value)| *name != "reason" && value.is_some());
    let value = |value: &Option<String>| value.clone().unwrap_or_default();
    view! {
        <form class="filters" method="get" action="/audit" aria-label="Filter the audit log">
            <label class="grow"><span>"Text in the reason"</span><input type="search" name="reason" value=value(&filter.reason)/></label>
            <details class="fold-narrow" open=has_filter><summary>"More filters"</summary>
                <label><span>"Actor"</span><input name="actor" value=value(&filter.actor)/></label>
                <label><span>"Act"</span><input name="event" placeholder="gate_decided" value=value(&filter.event)/></label>
                <label><span>"Service"</span><input name="service" value=value(&filter.service)/></label>
                <label><span>"Subject"</span><input name="subject" value=value(&filter.subject)/></label>
                <label><span>"Since"</span><input name="from" placeholder="2026-11-17" value=value(&filter.from)/></label>
                <label><span>"Before"</span><input name="to" placeholder="2026-11-20" value=value(&filter.to)/></label>
            </details>
            <button>"Filter"</button>
        </form>
    }
    .into_any()
}

/// What the answer cannot know.
fn gaps(gaps: &[GapView]) -> AnyView {
    if gaps.is_empty() {
        return ().into_any();
    }
    let lines = gaps
        .iter()
        .map(|gap| view! { <li>{gap_words(gap, true)}</li> })
        .collect_view();
    let summary = format!(
        "{} in the watching within this time",
        words::counted(gaps.len(), "gap", "gaps")
    );
    view! { <details class="folded"><summary>{summary}</summary><ul>{lines}</ul></details> }
        .into_any()
}

/// Where a request came from, what was in force, and what finds the call in CloudTrail.
fn context_words(entry: &AuditView) -> String {
    let mut words = Vec::new();
    if let Some(address) = &entry.address {
        words.push(format!("From {address}"));
    }
    if let Some(policy) = &entry.policy_digest {
        words.push(format!("policy {}", words::digest_words(policy)));
    }
    if let Some(evidence) = &entry.evidence_digest {
        words.push(format!("evidence {}", words::digest_words(evidence)));
    }
    if let Some(aws) = &entry.aws {
        words.push(format!(
            "CloudTrail: {} {} in {} at {}, request {}",
            aws.event_source,
            aws.event_name,
            aws.region,
            aws.at.rfc3339(),
            aws.request_id.as_deref().unwrap_or("without an answer")
        ));
    }
    words.join(" · ")
}

fn table(entries: &[AuditView]) -> AnyView {
    if entries.is_empty() {
        return empty(
            "No entry matches. Every change, decision and sign-in is written here in the transaction that makes it.",
        );
    }
    let rows = entries.iter().map(|entry| {
        let detail = serde_json::to_string_pretty(&entry.detail).unwrap_or_else(|error| error.to_string());
        view! {
            <tr>
                <td class="c-number number">{format!("#{}", words::whole(entry.sequence))}</td>
                <td class="c-time">{time(entry.at, entry.at.date_and_time())}</td>
                <td class="c-by">{entry.actor.clone()}</td>
                <td class="c-state">{words::sentence(&words::spaced(&entry.event))}</td>
                <td class="c-service">{entry.subject.as_deref().map(identifier)}</td>
                <td class="c-reason">{entry.reason.clone()}</td>
                <td class="c-detail">
                    <details class="folded"><summary>"Record "<code title=entry.hash.clone()>{words::digest_words(&entry.hash)}</code></summary>{copy_button(&entry.hash, "Copy the hash")}<p class="quiet">{context_words(entry)}</p><pre tabindex="0"><code>{detail}</code></pre></details>
                </td>
            </tr>
        }
    });
    view! {
        <table class="rows audit">
            <caption class="visually-hidden">"Entries of the audit log, newest first"</caption>
            <thead><tr>
                <th scope="col" class="c-number number">"No."</th><th scope="col" class="c-time">"Time, UTC"</th><th scope="col" class="c-by">"Actor"</th><th scope="col" class="c-state">"Act"</th>
                <th scope="col" class="c-service">"Subject"</th><th scope="col" class="c-reason">"Reason"</th><th scope="col" class="c-detail">"Record and hash"</th>
            </tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_and_the_one_before() {
        let of = |text: &str| {
            quarters(Moment::parse(text).unwrap())
                .map(|(name, from, to)| format!("{name}: {from} {to}"))
        };
        assert_eq!(
            of("2026-11-21T10:00:00Z"),
            [
                "Q4 2026: 2026-10-01 2027-01-01",
                "Q3 2026: 2026-07-01 2026-10-01"
            ]
        );
        assert_eq!(
            of("2026-01-01T00:00:00Z"),
            [
                "Q1 2026: 2026-01-01 2026-04-01",
                "Q4 2025: 2025-10-01 2026-01-01"
            ]
        );
    }
}
