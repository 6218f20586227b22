//! How the watching goes: each account and region, what it costs in calls to AWS, and whether events arrive.

use crate::asks;
use crate::pages::Shown;
use crate::pages::page;
use crate::parts::accounts::account_troubles;
use crate::parts::frame::Section;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::small::empty;
use crate::parts::small::time;
use crate::words;
use leptos::prelude::*;
use switchback_contract::AccountHealth;
use switchback_contract::CallsView;
use switchback_contract::EventsState;
use switchback_contract::EventsView;
use switchback_contract::Moment;
use switchback_contract::QueueView;
use switchback_contract::RegionStatus;
use switchback_contract::StatusPage;
use switchback_contract::duration_words;

/// `/status`
#[component]
pub fn Status() -> impl IntoView {
    page(Section::Elsewhere, asks::status_page(), |answer, _| Shown {
        title: title(&answer),
        now: Some(answer.now),
        content: content(&answer),
    })
}

fn title(page: &StatusPage) -> String {
    let troubled = page.regions.iter().filter(|region| is_troubled(region));
    match troubled.count() {
        0 => "Status".to_string(),
        count => format!("{} · Status", words::counted(count, "trouble", "troubles")),
    }
}

fn is_troubled(region: &RegionStatus) -> bool {
    region.trouble.is_some() || region.events.state == EventsState::Failing
}

fn content(page: &StatusPage) -> AnyView {
    let regions = if page.regions.is_empty() {
        empty(
            "No account is watched. Set a region and credentials as for every AWS SDK, and start the server again.",
        )
    } else {
        page.regions
            .iter()
            .zip(&page.accounts)
            .enumerate()
            .map(|(index, (region, health))| region_part(index, region, health, page.now))
            .collect_view()
            .into_any()
    };
    view! {
        <div class="page">
            <div class="title-row"><h1>"Status"</h1>
                <p class="quiet">"at "{time(page.now, format!("{} UTC", page.now.clock_time()))}", by the account's clock"</p>
                <p class="title-act aside"><a class="button" href="/status">"Read again"</a></p></div>
            {regions}
        </div>
    }
    .into_any()
}

/// `12 s ago`
fn ago(now: Moment, at: Option<Moment>, never: &str) -> AnyView {
    match at {
        Some(at) => {
            let words = format!("{} ago", duration_words(now.millis_since(at).max(0)));
            time(at, words).into_any()
        }
        None => never.to_string().into_any(),
    }
}

/// `0.4 s`, `30 s`, `5 m 00 s`
fn seconds_words(seconds: f64) -> String {
    if seconds < 10.0 {
        format!("{} s", words::decimal(seconds, 1))
    } else {
        duration_words((seconds * 1000.0) as i64)
    }
}

fn region_part(
    index: usize,
    region: &RegionStatus,
    health: &AccountHealth,
    now: Moment,
) -> AnyView {
    let id = format!("region-{index}");
    let account = match (&health.name, &region.account) {
        (Some(name), Some(account)) => format!("{name} ({account})"),
        (None, Some(account)) => account.clone(),
        (_, None) => "account not known yet".to_string(),
    };
    let state = match (&region.trouble, region.last_look_at) {
        (Some(_), _) => account_troubles(std::slice::from_ref(health)),
        (None, None) => view! { <p class="state">{icon(Shape::Ring)} <span>"The first look is under way."</span></p> }.into_any(),
        (None, Some(_)) => ().into_any(),
    };
    let behind = region.seconds_behind.map(|seconds| view! { <div><dt>"Newest deployment seen"</dt><dd>{format!("{} after it began", seconds_words(seconds.max(0.0)))}</dd></div> });
    let count = |count: i64| usize::try_from(count).unwrap_or(0);
    view! {
        <section class="status-region" aria-labelledby=id.clone()>
            <h2 id=id.clone()>{region.region.clone()}" "<span class="quiet">{account}</span></h2>
            {state}
            <dl class="meta">
                <div><dt>"Last look"</dt><dd>{ago(now, region.last_look_at, "none yet")}</dd></div>
                <div><dt>"Next after"</dt><dd>{if region.look_interval_seconds > 0.0 { seconds_words(region.look_interval_seconds) } else { words::NONE.to_string() }}</dd></div>
                <div><dt>"Watches"</dt><dd>{words::counted(count(region.services), "service", "services")}</dd></div>
                <div><dt>"Moving"</dt><dd>{words::counted(count(region.moving), "deployment", "deployments")}</dd></div>
                {behind}
            </dl>
            <div class="status-parts">
                {events_part(index, &region.events, now)}
                {calls_part(index, &region.calls)}
            </div>
        </section>
    }
    .into_any()
}

fn events_state(events: &EventsView) -> AnyView {
    let (shape, class, words) = match events.state {
        EventsState::On => (
            Shape::Check,
            "state good",
            "On: they arrive, so idle services are looked at seldom.",
        ),
        EventsState::Unproven if events.missed > 0 => (
            Shape::Warning,
            "state wait",
            "Not relied on: a look found a deployment that no event told of. Looks keep their usual pace until the \
             next event. Check the rule's pattern and the queue's policy.",
        ),
        EventsState::Unproven => (
            Shape::Ring,
            "state",
            "Listening: no event of this region has come through a queue yet, so looks keep their usual pace.",
        ),
        EventsState::Failing => (
            Shape::Warning,
            "state wait",
            "The queue cannot be read. Looks keep their usual pace, so nothing is missed.",
        ),
        EventsState::Off => (
            Shape::Ring,
            "state",
            "Off: AWS is only polled. SWITCHBACK_EVENTS_QUEUE_URL names a queue of events.",
        ),
    };
    view! { <p class=class>{icon(shape)} <span>{words}</span></p> }.into_any()
}

fn events_part(index: usize, events: &EventsView, now: Moment) -> AnyView {
    let id = format!("events-{index}");
    let is_off = events.state == EventsState::Off;
    let told = (!is_off).then(|| {
        let last = match &events.last_type {
            Some(kind) => view! { {ago(now, events.last_at, "")}", "{kind.clone()} }.into_any(),
            None => "none yet".into_any(),
        };
        let webhook = (events.by_webhook > 0)
            .then(|| format!(", {} by the webhook", words::whole(events.by_webhook)));
        let missed = (events.missed > 0)
            .then(|| view! { <div><dt>"Missed"</dt><dd>{words::whole(events.missed)}</dd></div> });
        view! {
            <dl class="meta">
                <div><dt>"Last event"</dt><dd>{last}</dd></div>
                <div><dt>"Taken"</dt><dd>{words::whole(events.taken)}{webhook}</dd></div>
                <div><dt>"Repeated"</dt><dd>{words::whole(events.repeated)}</dd></div>
                <div><dt>"Of other kinds"</dt><dd>{words::whole(events.ignored)}</dd></div>
                {missed}
            </dl>
        }
    });
    view! {
        <div class="status-part">
            <h3 id=id.clone()>"Events"</h3>
            {events_state(events)}
            {told}
            {events.queue.as_ref().map(|queue| queue_part(queue, now))}
        </div>
    }
    .into_any()
}

fn queue_part(queue: &QueueView, now: Moment) -> AnyView {
    let warn = |words: String| view! { <p class="state wait">{icon(Shape::Warning)} <span>{words}</span></p> };
    let trouble = queue.trouble.clone().map(warn);
    let dead_letters = match (&queue.dead_letter_queue, queue.waiting) {
        (Some(name), _) => name.clone(),
        (None, Some(_)) => "none: what cannot be read comes again until it expires".to_string(),
        (None, None) => "not known yet".to_string(),
    };
    let unreadable = queue.unreadable_because.clone().map(|why| {
        let messages = words::counted(
            usize::try_from(queue.unreadable).unwrap_or(0),
            "message",
            "messages",
        );
        warn(format!(
            "{messages} could not be read and stayed for the dead-letter queue. The last: {why}"
        ))
    });
    let elsewhere = queue.not_watched.iter().map(|one| {
        warn(format!(
            "{} of account {} in {}, which Switchback does not watch.",
            words::counted(usize::try_from(one.count).unwrap_or(0), "event", "events"),
            one.account,
            one.region
        ))
    });
    let facts = (!queue.name.is_empty()).then(|| view! {
        <dl class="meta">
            <div><dt>"Queue"</dt><dd>{queue.name.clone()}</dd></div>
            <div><dt>"Answered"</dt><dd>{ago(now, queue.answered_at, "not yet")}</dd></div>
            <div><dt>"Waiting"</dt><dd>{queue.waiting.map_or_else(|| words::NONE.to_string(), words::whole)}</dd></div>
            <div><dt>"Dead letters"</dt><dd>{dead_letters}</dd></div>
        </dl>
    });
    view! { {facts}{trouble}{unreadable}{elsewhere.collect_view()} }.into_any()
}

/// For how long requests are counted before their pace is told.
const TOLD_AFTER_SECONDS: i64 = 600;

fn calls_part(index: usize, calls: &CallsView) -> AnyView {
    let id = format!("calls-{index}");
    let over = match calls.seconds {
        3600.. => "in the last hour".to_string(),
        seconds => format!("in the last {}", duration_words(seconds * 1000)),
    };
    let pace = match calls.per_service_hour {
        Some(pace) => format!("{} for each service in an hour", words::decimal(pace, 1)),
        None if calls.seconds < TOLD_AFTER_SECONDS => {
            "too early to say how many for each service".to_string()
        }
        None => "and no service is watched".to_string(),
    };
    let throttled = (calls.throttled > 0).then(|| view! { <p class="state wait">{icon(Shape::Warning)} <span>{format!("AWS throttled {} of them. Switchback slows down by itself.", words::whole(calls.throttled))}</span></p> });
    let rows = calls.operations.iter().map(|one| {
        let (service, operation) = match one.operation.split_once(':') {
            Some((service, operation)) => (format!("{service}:"), operation.to_string()),
            None => (String::new(), one.operation.clone()),
        };
        view! {
            <tr><th scope="row">{service}<wbr/>{operation}</th><td class="number">{words::whole(one.requests)}</td>
                <td class="number">{words::whole(one.throttled)}</td><td class="number">{words::whole(one.failed)}</td></tr>
        }
    });
    view! {
        <div class="status-part">
            <h3 id=id>"Calls to AWS "<span class="quiet">{over}</span></h3>
            <p>{words::whole(calls.requests)}" requests, "{pace}"."</p>
            {throttled}
            {if calls.operations.is_empty() {
                empty("No request has been made yet.")
            } else {
                view! {
                    <table class="status-calls">
                        <caption class="visually-hidden">"Calls to AWS by operation"</caption>
                        <thead><tr><th scope="col">"Operation"</th><th scope="col" class="number">"Requests"</th><th scope="col" class="number">"Throttled"</th><th scope="col" class="number">"Failed"</th></tr></thead>
                        <tbody>{rows.collect_view()}</tbody>
                    </table>
                }.into_any()
            }}
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_times_have_a_tenth() {
        for (seconds, words) in [(0.42, "0.4 s"), (9.96, "10.0 s"), (30.0, "30 s")] {
            assert_eq!(seconds_words(seconds), words);
        }
    }
}
