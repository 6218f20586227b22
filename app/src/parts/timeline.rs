//! What happened, newest first; and the operations.

use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::icon::line_sample;
use crate::parts::small::time;
use crate::parts::state::operation_state;
use crate::words;
use leptos::prelude::*;
use switchback_contract::Moment;
use switchback_contract::OperationKind;
use switchback_contract::OperationView;
use switchback_contract::TimelineEntry;

fn entry_shape(entry: &TimelineEntry) -> AnyView {
    match entry.kind.as_str() {
        "weights" => line_sample(true).into_any(),
        "alarm" => icon(Shape::Alarm).into_any(),
        "gate" => icon(Shape::Hold).into_any(),
        "decision" | "delivery" => icon(Shape::Tick).into_any(),
        "operation" => icon(Shape::BentArrow).into_any(),
        "ended" => icon(Shape::Square).into_any(),
        "started" => icon(Shape::Half).into_any(),
        _ => icon(Shape::Ring).into_any(),
    }
}

/// What happened.
pub fn timeline(now: Moment, entries: &[TimelineEntry]) -> AnyView {
    if entries.is_empty() {
        return view! { <section><h2>"What happened"</h2><p class="empty">"Nothing is recorded yet. Stages, weights, alarms and decisions appear here."</p></section> }.into_any();
    }
    let rows = entries.iter().map(|entry| {
        view! {
            <li>
                <span class="entry-time">{time(entry.at, words::time_beside(now, entry.at))}</span>
                <span class="entry-shape">{entry_shape(entry)}</span>
                <span class="entry-text">{entry.text.clone()}</span>
                <span class="entry-by">{entry.by.clone().unwrap_or_default()}</span>
            </li>
        }
    });
    view! {
        <section class="timeline" aria-labelledby="timeline-title">
            <h2 id="timeline-title">"What happened "<span class="quiet">"newest first, times in UTC"</span></h2>
            <ol>{rows.collect_view()}</ol>
        </section>
    }
    .into_any()
}

/// The kind of an operation in words.
pub fn kind_words(kind: OperationKind) -> (&'static str, &'static str) {
    match kind {
        OperationKind::RejectAtGate => ("Reject at the gate", "The deployment goes no further."),
        OperationKind::StopInFlight => ("Stop in flight", "The old tasks are still warm."),
        OperationKind::EndBake => ("End the bake, keep", "The old tasks are removed now."),
        OperationKind::Redeploy => (
            "Redeploy a recorded revision",
            "New tasks start; hooks and bake run again.",
        ),
    }
}

/// Rollbacks and ends of bakes that were asked for, newest first.
pub fn operations(now: Moment, operations: &[OperationView]) -> AnyView {
    if operations.is_empty() {
        return ().into_any();
    }
    let rows = operations.iter().map(|operation| {
        let target = operation.target.as_deref().map(words::revision_number).unwrap_or_default();
        view! {
            <li>
                <p><strong>{kind_words(operation.kind).0} " "{target}</strong>" "{operation_state(operation.state)}</p>
                <p class="quiet">
                    {operation.actor.clone()} ", "{time(operation.created_at, words::time_beside(now, operation.created_at))}
                    ": “"{operation.reason.clone()}"”"
                    {operation.detail.clone().map(|detail| format!(" AWS: {detail}"))}
                </p>
            </li>
        }
    });
    view! {
        <section class="panel operations" aria-labelledby="operations-title">
            <h2 id="operations-title">"Asked for here"</h2>
            <ul>{rows.collect_view()}</ul>
        </section>
    }
    .into_any()
}
