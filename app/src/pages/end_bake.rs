//! End CodeDeploy's bake early: read the plan, say why.

use crate::asks;
use crate::pages::Shown;
use crate::pages::crumbs;
use crate::pages::page;
use crate::parts::calls::call;
use crate::parts::frame::Section;
use crate::parts::small::Notice;
use crate::parts::small::PROBLEM_ID;
use crate::parts::small::change;
use crate::parts::small::notice_box;
use crate::parts::state::preflight_state;
use crate::parts::state::state_in_full;
use crate::words;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use switchback_contract::EndBakePage;
use switchback_contract::PlanView;

/// `/deployments/:id/end-bake`
#[component]
pub fn EndBake() -> impl IntoView {
    let id = use_params_map()
        .get_untracked()
        .get("id")
        .unwrap_or_default();
    page(Section::Now, asks::end_bake_page(id), |answer, notice| {
        Shown {
            title: format!("End the bake of {}", answer.deployment.service),
            now: Some(answer.now),
            content: content(&answer, &notice),
        }
    })
}

fn content(page: &EndBakePage, notice: &Notice) -> AnyView {
    let deployment = &page.deployment;
    let here = format!("/deployments/{}", deployment.id);
    let body = match &page.plan {
        Some(plan) => view! {
            <section class="read" aria-labelledby="read">
                <h2 id="read">"1 · Read the plan "<span class="quiet">"digest "<code title=plan.digest.clone()>{words::digest_words(&plan.digest)}</code>", valid while nothing changes"</span></h2>
                {plan_panel(plan)}
                {say_why(page, plan, &here, notice)}
            </section>
        }
        .into_any(),
        None => view! {
            <p class="empty">"This deployment does not wait in a bake that could be ended. "<a href=here.clone()>"Back to the deployment"</a></p>
        }
        .into_any(),
    };
    view! {
        <div class="page has-dock">
            {crumbs(vec![
                ("Services".to_string(), Some("/services".to_string())),
                (deployment.service.clone(), Some(format!("/services/{}", deployment.service_id))),
                ("Deployment".to_string(), Some(here)),
                ("End the bake".to_string(), None),
            ])}
            {notice_box(notice)}
            <div class="title-row">
                <h1>{format!("End the bake of {}", deployment.service)}</h1>
                {change(deployment, true)}
                {state_in_full(deployment)}
            </div>
            {body}
        </div>
    }
    .into_any()
}

fn plan_panel(plan: &PlanView) -> AnyView {
    let checks = plan.preflight.iter().map(|check| {
        view! {
            <tr><td>{preflight_state(check.result)}</td><th scope="row">{check.check.clone()}</th><td class="quiet">{check.detail.clone()}</td></tr>
        }
    });
    view! {
        <div class="panel plan">
            <div class="panel-part">
                <h3>"What it means"</h3>
                <ul class="consequences">{plan.consequences.iter().map(|sentence| view! { <li>{sentence.clone()}</li> }).collect_view()}</ul>
            </div>
            <div class="panel-part">
                <h3>"Preflight"</h3>
                <table class="preflight"><caption class="visually-hidden">"Preflight checks"</caption><tbody>{checks.collect_view()}</tbody></table>
            </div>
            <div class="panel-part">
                <h3>"Exact call"</h3>
                {plan.calls.iter().map(call).collect_view()}
            </div>
        </div>
    }
    .into_any()
}

fn say_why(page: &EndBakePage, plan: &PlanView, here: &str, notice: &Notice) -> AnyView {
    let (act, note) = match &page.may_not {
        Some(why) => (
            view! { <button type="button" class="primary" aria-disabled="true" aria-describedby="bake-note">"End the bake now"</button> }.into_any(),
            why.clone(),
        ),
        None => (
            view! { <button class="primary" aria-describedby="bake-note"><span class="idle">"End the bake now"</span><span class="busy">"Sending…"</span></button> }.into_any(),
            "One AWS call. A second press cannot send it twice.".to_string(),
        ),
    };
    let described = if notice.is_problem() {
        format!("{PROBLEM_ID} bake-kept")
    } else {
        "bake-kept".to_string()
    };
    view! {
        <form class="act say-why" method="post" action=format!("{here}/end-bake") data-act="end-bake">
            <h2>"2 · Say why"</h2>
            <input type="hidden" name="plan_digest" value=plan.digest.clone()/>
            <input type="hidden" name="idempotency_key" value=format!("{}-{}", plan.digest, page.now.millis())/>
            <label for="bake-reason">"Reason "<span class="quiet">"required"</span></label>
            <textarea id="bake-reason" name="reason" rows="2" maxlength="2000" required autocomplete="off" aria-describedby=described></textarea>
            <p class="quiet small" id="bake-kept">"Kept in the audit log with this plan."</p>
            <div class="dock">
                <div class="buttons">{act}</div>
                <p class="quiet" id="bake-note">{note}</p>
            </div>
        </form>
    }
    .into_any()
}
