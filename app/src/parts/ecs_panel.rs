//! What only a deployment of the controller ECS has: tasks that replace tasks within their band, the circuit breaker,
//! images by digest.

use crate::words;
use leptos::prelude::*;
use switchback_contract::DeploymentPage;
use switchback_contract::EcsView;
use switchback_contract::TaskCounts;

/// The panel; nothing where CodeDeploy deploys.
pub fn ecs_panel(page: &DeploymentPage) -> AnyView {
    let Some(ecs) = &page.ecs else {
        return ().into_any();
    };
    let under_way = page.deployment.phase.is_some();
    view! {
        <section class="panel ecs" aria-labelledby="ecs-title">
            <header class="panel-head"><h2 id="ecs-title">"Tasks "<span class="quiet">{if under_way { "now" } else { "at its end" }}</span></h2></header>
            <div class="panel-part">
                {page.deployment.tasks.map(|tasks| task_band(tasks, ecs.is_rolling))}
                <p class="quiet">{words::sentence(&format!("{}.", ecs.strategy))}</p>
                {breaker(ecs)}
                {images(ecs)}
            </div>
        </section>
    }
    .into_any()
}

/// Old and new tasks as a bar, with how few and how many there may be; the same in words.
fn task_band(tasks: TaskCounts, is_rolling: bool) -> AnyView {
    let words = format!(
        "{} of {} new running, {} old running",
        words::whole(tasks.new_running),
        words::whole(tasks.new_wanted),
        words::whole(tasks.old_running)
    );
    let all = tasks.new_running + tasks.old_running;
    let widest = all
        .max(tasks.most.unwrap_or(0))
        .max(tasks.new_wanted)
        .max(1);
    let at = |count: i64| count as f64 * 400.0 / widest as f64;
    let tick = |count: Option<i64>| {
        count.map(|count| view! { <line class="band-tick" x1=at(count).to_string() x2=at(count).to_string() y1="0" y2="24"/> })
    };
    let band = match (tasks.least, tasks.most) {
        (Some(least), Some(most)) if is_rolling => Some(format!(
            "At least {} healthy, at most {} at once.",
            words::whole(least),
            words::whole(most)
        )),
        _ => None,
    };
    view! {
        <p><strong>{words}</strong></p>
        <svg class="task-band" viewBox="0 0 400 24" preserveAspectRatio="none" aria-hidden="true">
            <rect class="band-old" x="0" y="6" width=at(tasks.old_running).to_string() height="12"/>
            <rect class="band-new" x=at(tasks.old_running).to_string() y="6" width=at(tasks.new_running).to_string() height="12"/>
            {tick(tasks.least)}{tick(tasks.most)}
        </svg>
        {band.map(|band| view! { <p class="quiet">{band}</p> })}
    }
    .into_any()
}

fn breaker(ecs: &EcsView) -> AnyView {
    let Some((failures, threshold)) = ecs.breaker else {
        return view! { <p class="quiet">"The circuit breaker is off."</p> }.into_any();
    };
    let text = if ecs.breaker_is_open {
        format!("The circuit breaker opened at {failures} of {threshold} failed tasks.")
    } else {
        format!("Circuit breaker: {failures} of {threshold} failed tasks.")
    };
    let share = failures.clamp(0, threshold.max(1)) as f64 / threshold.max(1) as f64;
    let width = format!("{:.1}%", share * 100.0);
    view! {
        <p>{text}</p>
        <svg class="breaker-bar" aria-hidden="true" focusable="false">
            <rect class="breaker-whole" width="100%" height="100%" rx="2"></rect>
            <rect class="breaker-failed" width=width height="100%" rx="2"></rect>
        </svg>
    }
    .into_any()
}

fn images(ecs: &EcsView) -> AnyView {
    if ecs.images.is_empty() {
        return ().into_any();
    }
    let items = ecs.images.iter().map(|image| {
        let digest = image.digest.as_deref();
        let digest = digest.map_or_else(|| "digest not told yet".to_string(), words::short_digest);
        view! { <li title=image.digest.clone()><code>{image.image.clone()}</code>" "<span class="quiet">{digest}</span></li> }
    });
    view! { <ul class="hooks">{items.collect_view()}</ul> }.into_any()
}
