//! Roll back: choose, read the plan, say why.

use crate::asks;
use crate::pages::Shown;
use crate::pages::crumbs;
use crate::pages::page;
use crate::pages::rollback_link;
use crate::pages::service::images_words;
use crate::pages::service::proof_state;
use crate::pages::service::served_words;
use crate::parts::calls::call;
use crate::parts::difference::difference_table;
use crate::parts::frame::Section;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::small::Notice;
use crate::parts::small::PROBLEM_ID;
use crate::parts::small::notice_box;
use crate::parts::small::revision;
use crate::parts::small::time;
use crate::parts::state::preflight_state;
use crate::parts::state::state_in_full;
use crate::parts::timeline::kind_words;
use crate::words;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use leptos_router::hooks::use_query_map;
use switchback_contract::OperationKind;
use switchback_contract::PlanView;
use switchback_contract::PreflightCheck;
use switchback_contract::PreflightResult;
use switchback_contract::Proof;
use switchback_contract::RevisionView;
use switchback_contract::RollbackPage;
use switchback_contract::duration_words;

/// `/services/:id/rollback?to=`
#[component]
pub fn Rollback() -> impl IntoView {
    let id = use_params_map()
        .get_untracked()
        .get("id")
        .unwrap_or_default();
    let target = use_query_map()
        .get_untracked()
        .get("to")
        .filter(|target| !target.is_empty());
    page(
        Section::Services,
        asks::rollback_page(id, target),
        |answer, notice| Shown {
            title: format!("Roll back {}", answer.service.name),
            now: Some(answer.now),
            content: content(&answer, &notice),
        },
    )
}

fn content(page: &RollbackPage, notice: &Notice) -> AnyView {
    let service = &page.service;
    let serving = service.serving_since.map(|since| {
        view! { " for "{duration_words(page.now.millis_since(since))}", since "{time(since, words::time_beside(page.now, since))} }
    });
    let plan = match (&page.plan, &page.plan_refused) {
        (Some(plan), _) => plan_panel(page, plan),
        (None, Some(refused)) => view! {
            <div class="notice notice-bad" role="alert">{icon(Shape::Cross)} <p><strong>"There is no plan. "</strong>{refused.message.clone()}</p></div>
        }
        .into_any(),
        (None, None) => view! { <p class="empty">"Choose a revision. The plan, its checks and the exact calls appear here; nothing is changed by looking."</p> }.into_any(),
    };
    view! {
        <div class="page has-dock">
            {crumbs(vec![
                ("Services".to_string(), Some("/services".to_string())),
                (service.name.clone(), Some(format!("/services/{}", service.id))),
                ("Roll back".to_string(), None),
            ])}
            {notice_box(notice)}
            <div class="title-row">
                <h1>{format!("Roll back {}", service.name)}</h1>
                <p class="quiet">{format!("{} · {} · {}", crate::parts::accounts::place(&service.cluster, service.account_name.as_deref()), service.region, crate::pages::now::controller_words(&service.controller))}</p>
            </div>
            <p class="lead">
                "Serving now: "<strong>{revision(service.serving_revision.as_deref(), false, true)}</strong>{serving}". "
                {service.active_deployment.as_ref().map(|active| view! {
                    "A deployment is under way: "<a href=format!("/deployments/{}", active.id)>{state_in_full(active)}</a>
                })}
            </p>
            <div class="rollback">
                <section class="choose" aria-labelledby="choose">
                    <h2 id="choose">"1 · Choose the revision "<span class="quiet">"nothing is preselected"</span></h2>
                    {choices(page)}
                </section>
                <section class="read" aria-labelledby="read">
                    <h2 id="read">"2 · Read the plan "{page.plan.as_ref().map(|plan| view! {
                        <span class="quiet">"made "{time(plan.made_at, plan.made_at.clock_time())}", digest "<code title=plan.digest.clone()>{words::digest_words(&plan.digest)}</code>", valid while nothing changes"</span>
                    })}</h2>
                    {plan}
                    {match &page.plan {
                        Some(plan) => say_why(page, plan, notice),
                        None => not_yet(page),
                    }}
                </section>
            </div>
        </div>
    }
    .into_any()
}

fn choices(page: &RollbackPage) -> AnyView {
    let chosen = page.plan.as_ref().map(|plan| plan.target.as_str());
    let group = |title: &'static str, note: &'static str, revisions: Vec<&RevisionView>| {
        if revisions.is_empty() {
            return ().into_any();
        }
        let items = revisions
            .into_iter()
            .map(|revision| choice(page, revision, chosen));
        view! { <div class="choices"><h3>{title}" "<span class="quiet">{note}</span></h3><ul>{items.collect_view()}</ul></div> }.into_any()
    };
    let (impossible, choosable): (Vec<&RevisionView>, Vec<&RevisionView>) = page
        .revisions
        .iter()
        .partition(|revision| revision.cannot_be_chosen.is_some());
    let (good, unproven): (Vec<&RevisionView>, Vec<&RevisionView>) = choosable
        .into_iter()
        .partition(|revision| revision.proof == Proof::KnownGood);
    let Some(chosen) = chosen else {
        return view! {
            {group("Known good", "", good)}
            {group("Not proven", "", unproven)}
            {group("Cannot be chosen", "and why", impossible)}
        }
        .into_any();
    };
    // Once one is chosen, a phone shows it and the newest good one; the others fold away there.
    let newest = good
        .iter()
        .find(|revision| revision.arn != chosen)
        .map(|revision| revision.arn.clone());
    let stays =
        |revision: &&RevisionView| revision.arn == chosen || Some(&revision.arn) == newest.as_ref();
    let (good, more_good): (Vec<_>, Vec<_>) = good.into_iter().partition(stays);
    let (unproven, more_unproven): (Vec<_>, Vec<_>) = unproven.into_iter().partition(stays);
    let folded = |summary: String, inside: AnyView| {
        view! { <details class="fold-narrow"><summary>{summary}</summary>{inside}</details> }
    };
    let more = more_good.len() + more_unproven.len();
    let impossible_count = impossible.len();
    view! {
        {group("Known good", "", good)}
        {group("Not proven", "", unproven)}
        {(more > 0).then(|| folded(
            format!("{more} more that can be chosen"),
            view! { {group("More known good", "", more_good)} {group("More not proven", "", more_unproven)} }.into_any(),
        ))}
        {(impossible_count > 0).then(|| folded(
            format!("{impossible_count} that cannot be chosen, and why"),
            group("Cannot be chosen", "and why", impossible),
        ))}
    }
    .into_any()
}

fn choice(page: &RollbackPage, revision: &RevisionView, chosen: Option<&str>) -> AnyView {
    let is_chosen = chosen == Some(revision.arn.as_str());
    let name = format!("{}:{}", revision.family, revision.number);
    let second = match &revision.cannot_be_chosen {
        Some(why) => why.clone(),
        None => {
            let mut parts = Vec::new();
            if revision.status != "active" {
                parts.push(revision.status.to_uppercase().replace('_', " "));
            }
            let images = images_words(revision);
            if !images.is_empty() {
                parts.push(format!("image {images}"));
            }
            parts.join(" · ")
        }
    };
    let name_cell = match &revision.cannot_be_chosen {
        Some(_) => view! { <span class="choice-name"><code title=revision.arn.clone()>{name}</code></span> }.into_any(),
        None => view! {
            <a class="choice-name row-link" href=rollback_link(&page.service.id, Some(&revision.arn)) aria-current=is_chosen.then_some("true") title=revision.arn.clone()>
                <span class="radio" aria-hidden="true"></span><code>{name}</code>
            </a>
        }
        .into_any(),
    };
    let class = match (is_chosen, &revision.cannot_be_chosen) {
        (true, _) => "choice chosen",
        (false, Some(_)) => "choice impossible",
        (false, None) => "choice",
    };
    view! {
        <li class=class>
            {name_cell}
            <span class="choice-words"><span>{served_words(revision, page.now)}</span><span class="second">{second}</span></span>
            {if revision.serving { view! { <span class="state">{icon(Shape::Half)} <span>"Serving now"</span></span> }.into_any() } else { proof_state(revision) }}
        </li>
    }
    .into_any()
}

fn preflight_words(preflight: &[PreflightCheck]) -> String {
    let count = |result: PreflightResult| {
        preflight
            .iter()
            .filter(|check| check.result == result)
            .count()
    };
    let blocking = match count(PreflightResult::Blocking) {
        0 => "none blocking".to_string(),
        blocking => format!("{blocking} blocking"),
    };
    format!(
        "{} ok, {}, {} unchecked, {blocking}",
        count(PreflightResult::Ok),
        words::counted(count(PreflightResult::Warning), "warning", "warnings"),
        count(PreflightResult::Unchecked),
    )
}

const fn severity(result: PreflightResult) -> u8 {
    match result {
        PreflightResult::Blocking => 0,
        PreflightResult::Warning => 1,
        PreflightResult::Unchecked => 2,
        PreflightResult::Ok => 3,
    }
}

fn plan_panel(page: &RollbackPage, plan: &PlanView) -> AnyView {
    let (kind, kind_note) = kind_words(plan.kind);
    let rolling = page.service.strategy == "rolling";
    let kind_note = match plan.kind {
        OperationKind::StopInFlight if rolling => "Old tasks that were removed start again.",
        _ => kind_note,
    };
    let mut preflight = plan.preflight.clone();
    preflight.sort_by_key(|check| severity(check.result));
    let checks = preflight.iter().map(|check| {
        view! {
            <tr><td>{preflight_state(check.result)}</td><th scope="row">{check.check.clone()}</th><td class="quiet">{check.detail.clone()}</td></tr>
        }
    });
    let until_then = page
        .service
        .serving_revision
        .as_deref()
        .map_or_else(|| "what serves now".to_string(), words::revision_name);
    let (until_then, until_note) = match rolling {
        true => (
            "Old and new tasks serve".to_string(),
            "Users see what either answers.",
        ),
        false => (
            format!("{until_then} keeps serving"),
            "Users see what it answers.",
        ),
    };
    let changes = match plan.calls.len() {
        1 => "1 change in AWS, the rest only reads".to_string(),
        count => format!("{count} changes in AWS, the rest only reads"),
    };
    view! {
        <div class="panel plan">
            <dl class="plan-facts panel-part">
                <div><dt>"Kind"</dt><dd><strong>{kind}</strong><span class="second">{kind_note}</span></dd></div>
                <div><dt>"Expected"</dt><dd><strong>{plan.expected_seconds.map_or_else(|| "not known".to_string(), |seconds| duration_words(seconds * 1000))}</strong>" to full traffic"<span class="second">{plan.expected_basis.clone()}</span></dd></div>
                <div><dt>"Until then"</dt><dd><strong>{until_then}</strong><span class="second">{until_note}</span></dd></div>
            </dl>
            <div class="panel-part">
                <h3>"Preflight "<span class="quiet">{preflight_words(&plan.preflight)}</span></h3>
                <table class="preflight"><caption class="visually-hidden">"Preflight checks, the worst first"</caption><tbody>{checks.collect_view()}</tbody></table>
            </div>
            <div class="panel-part">
                <h3>"What it means"</h3>
                <ul class="consequences">{plan.consequences.iter().map(|sentence| view! { <li>{sentence.clone()}</li> }).collect_view()}</ul>
            </div>
            {plan.difference.as_ref().map(|difference| view! {
                <div class="panel-part">
                    <h3>"What comes back"</h3>
                    {difference_table(difference, plan.replaces.as_deref(), Some(&plan.target))}
                </div>
            })}
            <div class="panel-part">
                <h3>"Exact call "<span class="quiet">{changes}</span></h3>
                {plan.calls.iter().map(call).collect_view()}
                {page.service.account_name.as_ref().map(|_| view! {
                    <p class="quiet">"A copied command needs credentials of account "<strong>{page.service.account.clone()}</strong>"; a service of this name may be in another one too."</p>
                })}
            </div>
        </div>
    }
    .into_any()
}

/// What stands in the phone's dock before a revision is chosen: what is missing, by name.
fn not_yet(page: &RollbackPage) -> AnyView {
    let missing = match &page.may_not {
        Some(why) => why.clone(),
        None if page
            .revisions
            .iter()
            .all(|revision| revision.cannot_be_chosen.is_some()) =>
        {
            "There is no revision that can be chosen.".to_string()
        }
        None => "Missing: the revision, and why.".to_string(),
    };
    view! {
        <div class="dock dock-only act">
            <div class="buttons"><button type="button" class="destroy" aria-disabled="true" aria-describedby="dock-note">{format!("Roll back {}", page.service.name)}</button></div>
            <p class="quiet" id="dock-note">{missing}</p>
        </div>
    }
    .into_any()
}

fn say_why(page: &RollbackPage, plan: &PlanView, notice: &Notice) -> AnyView {
    let service = &page.service;
    let object = format!(
        "{} to {}",
        service.name,
        words::revision_number(&plan.target)
    );
    let button = match plan.kind {
        OperationKind::RejectAtGate => format!("Reject and roll back {object}"),
        OperationKind::StopInFlight => format!("Stop and roll back {object}"),
        OperationKind::Redeploy | OperationKind::EndBake => format!("Roll back {object}"),
    };
    let blocking: Vec<&str> = plan
        .preflight
        .iter()
        .filter(|check| check.result == PreflightResult::Blocking)
        .map(|check| check.detail.as_str())
        .collect();
    let why_not = match (&page.may_not, plan.may_run) {
        (Some(why), _) => Some(why.clone()),
        (None, false) if blocking.is_empty() => Some("The preflight blocks it.".to_string()),
        (None, false) => Some(format!("The preflight blocks it: {}", blocking.join(" "))),
        (None, true) => None,
    };
    let to = match (&service.active_deployment, plan.kind) {
        (Some(active), OperationKind::RejectAtGate | OperationKind::StopInFlight) => {
            format!("/deployments/{}", active.id)
        }
        _ => format!("/services/{}", service.id),
    };
    let chips = service.alarms.iter().map(|alarm| {
        view! { <button type="button" class="chip" data-fill=format!("Alarm {alarm}") data-into="rollback-reason">{format!("Alarm {alarm}")}</button> }
    });
    let once = format!(
        "{}. A second press cannot send it twice.",
        words::sentence(&words::counted(plan.calls.len(), "AWS call", "AWS calls"))
    );
    let (act, note) = match why_not {
        Some(why) => (view! { <button type="button" class="destroy" aria-disabled="true" aria-describedby="rollback-note">{button}</button> }.into_any(), why.into_any()),
        None => (
            view! { <button class="destroy" aria-describedby="rollback-note"><span class="idle">{button}</span><span class="busy">"Sending…"</span></button> }.into_any(),
            view! { <span class="when-missing">"Missing: why. Write the reason or press one above."</span><span class="when-complete">{once}</span> }.into_any(),
        ),
    };
    let described = if notice.is_problem() {
        format!("{PROBLEM_ID} rollback-kept")
    } else {
        "rollback-kept".to_string()
    };
    view! {
        <form class="act say-why" method="post" action=format!("/services/{}/rollbacks", service.id) data-act="rollback">
            <h2>"3 · Say why"</h2>
            <input type="hidden" name="target" value=plan.target.clone()/>
            <input type="hidden" name="plan_digest" value=plan.digest.clone()/>
            <input type="hidden" name="idempotency_key" value=format!("{}-{}", plan.digest, page.now.millis())/>
            <input type="hidden" name="to" value=to/>
            <label for="rollback-reason">"Reason "<span class="quiet">"required"</span></label>
            <textarea id="rollback-reason" name="reason" rows="2" maxlength="2000" required autocomplete="off" aria-describedby=described>{page.kept_reason.clone()}</textarea>
            <div class="chips">{chips.collect_view()}</div>
            <p class="quiet small" id="rollback-kept">"Kept in the audit log with this plan and what you see here."</p>
            <div class="dock">
                <div class="buttons">{act}</div>
                <p class="quiet" id="rollback-note">{note}</p>
            </div>
        </form>
    }
    .into_any()
}
