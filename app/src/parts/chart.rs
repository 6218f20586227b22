//! The strip chart: old against new on one time axis, one row a measure.
//!
//! It is a table, so that its values can be read without seeing: name, plot, old, new, difference.
//! The plots need no measuring and no inline style: lines and texts stand at per cents, curves are
//! stretched in a nested box. Nothing is joined over a gap and the last two minutes are hatched.

use crate::parts::chart_model::ChartModel;
use crate::parts::chart_model::Lane;
use crate::parts::chart_model::line_path;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::small::revision;
use crate::words;
use leptos::prelude::*;
use std::sync::Arc;
use switchback_contract::AlarmView;
use switchback_contract::DeploymentPage;
use switchback_contract::GateState;
use switchback_contract::Moment;
use switchback_contract::Side;
use switchback_contract::duration_words;
use wasm_bindgen::JsCast;

/// The minute under the cursor; `None` means the last complete one.
pub type Cursor = RwSignal<Option<Moment>>;

/// Most minutes in the table of values.
const TABLE_MINUTES: usize = 60;

/// The chart of a deployment.
pub fn chart(page: &DeploymentPage, cursor: Cursor) -> AnyView {
    let model = Arc::new(ChartModel::of(page));
    // Tasks replace tasks behind one target group, so that there is one line for all of them.
    let is_rolling = page.ecs.as_ref().is_some_and(|ecs| ecs.is_rolling);
    if is_rolling && page.points.is_empty() {
        return view! { <p class="empty">"No numbers: nothing has come from CloudWatch, as of a service that is behind no target group, or of a deployment that was over before anybody looked."</p> }.into_any();
    }
    let shown = {
        let last = model.last_complete;
        Signal::derive(move || cursor.get().or(last))
    };
    let said = {
        let last = model.last_complete;
        move || match (cursor.get(), last) {
            (Some(at), _) => format!(
                " per minute, values at {}, under the cursor",
                at.clock_minute()
            ),
            (None, Some(at)) => format!(
                " per minute, values at {}, last complete minute",
                at.clock_minute()
            ),
            (None, None) => " per minute, no complete minute yet".to_string(),
        }
    };
    let keys = {
        let model = Arc::clone(&model);
        let gates: Vec<Moment> = page
            .gates
            .iter()
            .map(|gate| gate.opened_at.minute())
            .collect();
        move |event: leptos::ev::KeyboardEvent| move_cursor(&model, &gates, cursor, &event)
    };
    let points = {
        let model = Arc::clone(&model);
        move |event: leptos::ev::PointerEvent| point_cursor(&model, cursor, &event)
    };
    let marks = Marks::of(page, &model);
    let rows = Lane::ALL
        .into_iter()
        .map(|lane| lane_row(lane, &model, &marks, shown, cursor))
        .collect_view();
    let alarms = page
        .alarms
        .iter()
        .enumerate()
        .map(|(index, alarm)| alarm_row(index == 0, alarm, &model, &marks, cursor))
        .collect_view();
    view! {
        <section class="chart-section" aria-labelledby="chart-title">
            <svg class="definitions" width="0" height="0" aria-hidden="true" focusable="false">
                <defs>
                    <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
                        <line class="hatch" x1="0" y1="0" x2="0" y2="6"></line>
                    </pattern>
                </defs>
            </svg>
            <div class="chart-head">
                <h2 id="chart-title">{if is_rolling { "All tasks" } else { "Old against new" }}</h2>
                <p class="quiet" id="chart-said">{said}</p>
                <p class="chart-key quiet" aria-hidden="true">
                    <svg class="hatch-sample"><rect width="100%" height="100%" fill="url(#hatch)"></rect></svg>
                    "still arriving"<span>"gap = no data sent"</span>
                </p>
            </div>
            <div class=if is_rolling { "chart one-group" } else { "chart" } tabindex="0" role="group" aria-labelledby="chart-title" aria-describedby="chart-said"
                on:keydown=keys on:pointermove=points on:pointerleave=move |_| cursor.set(None)>
                <table class="chart-table">
                    <caption class="visually-hidden">{if is_rolling { "All tasks in the chosen minute" } else { "Old against new in the chosen minute" }}</caption>
                    <thead>
                        <tr>
                            <th scope="col"><span class="visually-hidden">"Measure"</span></th>
                            <td class="plot-cell">{marks.labels()}</td>
                            {heads(page, is_rolling)}
                        </tr>
                    </thead>
                    <tbody>
                        {(!is_rolling).then(|| share_row(page, &model, &marks, shown, cursor))}
                        {rows}
                        {alarms}
                    </tbody>
                    <tfoot aria-hidden="true"><tr><th></th><td class="plot-cell">{axis(&model, page.deployment.ended_at.is_none(), cursor)}</td><td colspan="3"></td></tr></tfoot>
                </table>
            </div>
            <p class="phone-only quiet">"Hatched: still arriving. Tap a minute for values."</p>
            {value_table(&model)}
        </section>
    }
    .into_any()
}

/// The heads of the columns with the values.
fn heads(page: &DeploymentPage, is_rolling: bool) -> AnyView {
    if is_rolling {
        return view! {
            <td class="side-old"></td>
            <th scope="col" class="side-new">"all"</th>
            <td class="side-difference"></td>
        }
        .into_any();
    }
    view! {
        <th scope="col" class="side-old">{revision(page.deployment.previous_revision.as_deref(), false, false)}</th>
        <th scope="col" class="side-new">{revision(page.deployment.target_revision.as_deref(), true, false)}</th>
        <th scope="col" class="side-difference">"new vs old"</th>
    }
    .into_any()
}

fn move_cursor(
    model: &ChartModel,
    gates: &[Moment],
    cursor: Cursor,
    event: &leptos::ev::KeyboardEvent,
) {
    let here = cursor.get_untracked();
    let step = if event.shift_key() { 10 } else { 1 };
    let next = match event.key().as_str() {
        "ArrowLeft" => model.moved(here, -step),
        "ArrowRight" => model.moved(here, step),
        "Home" => model.moved(here, i64::MIN / 120_000),
        "End" => model.moved(here, i64::MAX / 120_000),
        "Escape" => None,
        "]" => {
            let after = here.unwrap_or(model.from);
            let Some(gate) = gates.iter().find(|gate| **gate > after).or(gates.first()) else {
                return;
            };
            model.minute_at(model.x(*gate) / 100.0)
        }
        _ => return,
    };
    event.prevent_default();
    cursor.set(next);
}

/// Follows the pointer within the plots; outside of them the last complete minute is shown.
fn point_cursor(model: &ChartModel, cursor: Cursor, event: &leptos::ev::PointerEvent) {
    let plot = event
        .target()
        .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
        .and_then(|element| element.closest(".plot-cell").ok().flatten());
    let next = plot.and_then(|plot| {
        let place = plot.get_bounding_client_rect();
        model.minute_at((f64::from(event.client_x()) - place.left()) / place.width().max(1.0))
    });
    if next != cursor.get_untracked() {
        cursor.set(next);
    }
}

/// What crosses all rows: gates, now, the hatching.
#[derive(Clone)]
struct Marks {
    gates: Vec<(f64, bool, String, Shape)>,
    now: f64,
    hatch: Option<(f64, f64)>,
}

/// The attribute that hides what stands at the cursor while there is none.
fn shown_only_with(cursor: Cursor) -> impl Fn() -> &'static str + Send + Clone + 'static {
    move || {
        if cursor.get().is_some() {
            "visible"
        } else {
            "hidden"
        }
    }
}

fn at(per_cent: f64) -> String {
    format!("{per_cent:.2}%")
}

impl Marks {
    fn of(page: &DeploymentPage, model: &ChartModel) -> Marks {
        let gates = page.gates.iter().map(|gate| {
            let opened = gate.opened_at.clock_minute();
            let (is_open, label, shape) = match gate.state {
                GateState::Open => (true, format!("gate open since {opened}"), Shape::Hold),
                GateState::Approved => (false, "approved".to_string(), Shape::Tick),
                GateState::Rejected => (false, "rejected".to_string(), Shape::BentArrow),
                GateState::Expired => (false, "expired".to_string(), Shape::Clock),
                GateState::Superseded => (false, "superseded".to_string(), Shape::Chevrons),
            };
            (model.x(gate.opened_at), is_open, label, shape)
        });
        Marks {
            gates: gates.collect(),
            now: model.x(model.until),
            hatch: model
                .incomplete_from
                .map(|from| (model.x(from), model.x(model.until) - model.x(from))),
        }
    }

    /// The labels above the plots. A label that would run into the one before it is left out; the
    /// gate's shape stays.
    fn labels(&self) -> AnyView {
        let mut free_from = 0.0;
        let labels: Vec<_> = self
            .gates
            .iter()
            .map(|(x, is_open, label, shape)| {
                let is_at_the_end = *x > 72.0;
                let fits = *x >= free_from;
                free_from = x + label.len() as f64 * 1.25 + 4.0;
                let class = if *is_open { "mark-label open" } else { "mark-label" };
                let (anchor, dx) = if is_at_the_end { ("end", "-9") } else { ("start", "9") };
                view! {
                    <svg class="mark-place" x=at(*x) y="0" aria-hidden="true">
                        <svg x="-6" y="1" width="12" height="12">{icon(*shape)}</svg>
                        {fits.then(|| view! { <text class=class x=dx y="11" text-anchor=anchor>{label.clone()}</text> })}
                    </svg>
                }
            })
            .collect();
        view! { <svg class="plot plot-marks" aria-hidden="true" focusable="false">{labels}</svg> }
            .into_any()
    }

    fn lines(&self, cursor: Cursor, model: &Arc<ChartModel>) -> AnyView {
        let gates: Vec<_> = self
            .gates
            .iter()
            .map(|(x, is_open, _, _)| {
                view! { <line class=if *is_open { "gate-line open" } else { "gate-line" } x1=at(*x) x2=at(*x) y1="0" y2="100%"></line> }
            })
            .collect();
        let model = Arc::clone(model);
        let place = move || {
            cursor
                .get()
                .map_or_else(|| "0".to_string(), |minute| at(model.x(minute)))
        };
        let place_too = place.clone();
        view! {
            {gates}
            <line class="now-line" x1=at(self.now) x2=at(self.now) y1="0" y2="100%"></line>
            <line class="cursor-line" visibility=shown_only_with(cursor) x1=place x2=place_too y1="0" y2="100%"></line>
        }
        .into_any()
    }

    fn hatching(&self) -> Option<AnyView> {
        self.hatch.map(|(x, width)| {
            view! { <rect x=at(x) width=at(width) y="0" height="100%" fill="url(#hatch)"></rect> }.into_any()
        })
    }
}

/// The new revision's share at the end of a minute, so that a step within the minute shows. Before the deployment it
/// had none; from its start until the first look it is not known.
fn share_in(steps: &[(Moment, f64)], started_at: Moment, minute: Moment) -> Option<f64> {
    let end = minute.plus_seconds(60);
    let seen = steps.iter().rev().find(|(at, _)| *at < end);
    match seen {
        Some((_, share)) => Some(*share),
        None => (!steps.is_empty() && end <= started_at).then_some(0.0),
    }
}

/// The share of production traffic: old above, new below, in steps.
fn share_row(
    page: &DeploymentPage,
    model: &Arc<ChartModel>,
    marks: &Marks,
    shown: Signal<Option<Moment>>,
    cursor: Cursor,
) -> AnyView {
    let steps: Vec<(Moment, f64)> = page
        .weights
        .iter()
        .map(|step| (step.at, step.share_new))
        .collect();
    let started_at = page.deployment.started_at;
    let share_at = {
        let steps = steps.clone();
        let now = page.deployment.share_new;
        Arc::new(move |minute: Option<Moment>| match minute {
            Some(minute) => share_in(&steps, started_at, minute),
            None => now,
        })
    };
    let right = marks.now * 10.0;
    // 4 to 96 of the height, as in the other rows: 100 % at the top.
    let y = |share: f64| 96.0 - 92.0 * share;
    let mut path = String::new();
    let mut labels = Vec::new();
    let mut share_before = 0.0;
    let mut begins = 0.0;
    for (index, (moment, share)) in steps.iter().enumerate() {
        let x = model.x(*moment) * 10.0;
        let until = steps
            .get(index + 1)
            .map_or(right, |(next, _)| model.x(*next) * 10.0);
        if path.is_empty() && *share <= 0.0 {
            // Nothing of the new revision yet: nothing to draw.
            continue;
        }
        if path.is_empty() {
            // A share that was there at the first sight did not rise then.
            let from = if index == 0 { *share } else { 0.0 };
            path.push_str(&format!("M{x:.1} {:.1}", y(from)));
            begins = x;
        } else {
            path.push_str(&format!("L{x:.1} {:.1}", y(share_before)));
        }
        path.push_str(&format!(
            "L{x:.1} {:.1}L{until:.1} {:.1}",
            y(*share),
            y(*share)
        ));
        if *share > 0.0 && until - x > 55.0 {
            let is_last = index + 1 == steps.len();
            let text = match (
                &page.deployment.target_revision,
                is_last && until - x > 170.0,
            ) {
                (Some(target), true) => format!(
                    "{} on {}",
                    words::percent(*share),
                    words::revision_number(target)
                ),
                _ => words::percent(*share),
            };
            let label_y = if *share > 0.8 {
                y(*share) + 16.0
            } else {
                y(*share) - 4.0
            };
            labels.push(view! { <text class="share-label new" x=at(x / 10.0 + 0.8) y=at(label_y)>{text}</text> });
        }
        share_before = *share;
    }
    let area = if path.is_empty() {
        String::new()
    } else {
        format!("{path}L{right:.1} {0:.1}L{begins:.1} {0:.1}Z", y(0.0))
    };
    let old_label = page
        .deployment
        .previous_revision
        .as_ref()
        .map(|arn| view! { <text class="share-label old" x="1%" y="18">{format!("{} on {}", words::percent(1.0), words::revision_number(arn))}</text> });
    let known = !steps.is_empty();
    let planned = planned_path(page, model, right, share_before);
    // Before the deployment all traffic was on the old revision; between its start and the first look nobody saw.
    let until_start = (model.x(started_at) * 10.0).min(right);
    let seen_from = steps
        .first()
        .map_or(right, |(first, _)| model.x(*first) * 10.0)
        .max(until_start);
    let (for_old, for_new) = (Arc::clone(&share_at), share_at);
    let old_value = move || {
        for_old(shown.get()).map_or_else(
            || words::NONE.to_string(),
            |share| words::percent(1.0 - share),
        )
    };
    let new_value =
        move || for_new(shown.get()).map_or_else(|| words::NONE.to_string(), words::percent);
    view! {
        <tr class="share-row">
            <th scope="row"><span class="lane-name">"Traffic"</span><span class="lane-unit">"production weight"</span></th>
            <td class="plot-cell">
                <svg class="plot plot-share" aria-hidden="true" focusable="false">
                    {known.then(|| view! {
                        <svg viewBox="0 0 1000 100" preserveAspectRatio="none" width="100%" height="100%">
                            <rect class="area-old" x="0" y="4" width=format!("{until_start:.1}") height="92"></rect>
                            <rect class="area-old" x=format!("{seen_from:.1}") y="4" width=format!("{:.1}", (right - seen_from).max(0.0)) height="92"></rect>
                            <path class="area-ground" d=area.clone()></path>
                            <path class="area-new" d=area></path>
                            <path class="line-new" d=path></path>
                            <path class="line-planned" d=planned></path>
                        </svg>
                    })}
                    <line class="grid" x1="0" x2="100%" y1="4%" y2="4%"></line>
                    <line class="grid" x1="0" x2="100%" y1="50%" y2="50%"></line>
                    <line class="grid base" x1="0" x2="100%" y1="96%" y2="96%"></line>
                    {marks.lines(cursor, model)}
                    {known.then_some(old_label)}
                    {labels}
                    {(!known).then(|| view! { <text class="axis-text" x="1%" y="50%">"The listener's weights are not known."</text> })}
                </svg>
                <span class="scale scale-top" aria-hidden="true">"100\u{a0}%"</span>
                <span class="scale scale-middle" aria-hidden="true">"50\u{a0}%"</span>
                <span class="scale scale-base" aria-hidden="true">"0\u{a0}%"</span>
            </td>
            <td class="side-old">{old_value}</td>
            <td class="side-new">{new_value}</td>
            <td class="side-difference"></td>
        </tr>
    }
    .into_any()
}

/// The shares ahead as far as their time is known, from now on, dotted; nothing when none is.
fn planned_path(page: &DeploymentPage, model: &ChartModel, from: f64, share: f64) -> String {
    let y = |share: f64| 96.0 - 92.0 * share;
    let mut path = String::new();
    for step in &page.planned_weights {
        let x = (model.x(step.at) * 10.0).max(from);
        if path.is_empty() {
            path = format!("M{from:.1} {:.1}", y(share));
        }
        path.push_str(&format!("H{x:.1}V{:.1}", y(step.share_new)));
    }
    if !path.is_empty() {
        path.push_str("H1000");
    }
    path
}

fn lane_row(
    lane: Lane,
    model: &Arc<ChartModel>,
    marks: &Marks,
    shown: Signal<Option<Moment>>,
    cursor: Cursor,
) -> AnyView {
    let (name, unit) = lane.words();
    let top = model.top(lane);
    let (old_path, old_dots) = line_path(model, &model.values(lane, Side::Old), top);
    let (new_path, new_dots) = line_path(model, &model.values(lane, Side::New), top);
    let dots = |dots: Vec<(f64, f64)>, class: &'static str| {
        dots.into_iter()
            .map(|(x, y)| view! { <circle class=class cx=at(x) cy=at(y) r="2.5"></circle> })
            .collect_view()
    };
    let cell = |side: Side| {
        let model = Arc::clone(model);
        move || {
            shown.get().map_or_else(
                || words::NONE.to_string(),
                |minute| value_words(&model, lane, side, minute),
            )
        }
    };
    let difference = {
        let model = Arc::clone(model);
        move || {
            shown
                .get()
                .map_or_else(String::new, |minute| difference_words(&model, lane, minute))
        }
    };
    view! {
        <tr>
            <th scope="row"><span class="lane-name">{name}</span><span class="lane-unit">{unit}</span></th>
            <td class="plot-cell">
                <svg class=lane.class() aria-hidden="true" focusable="false">
                    {marks.hatching()}
                    <line class="grid top" x1="0" x2="100%" y1="8%" y2="8%"></line>
                    <line class="grid base" x1="0" x2="100%" y1="96%" y2="96%"></line>
                    <svg viewBox="0 0 1000 100" preserveAspectRatio="none" width="100%" height="100%">
                        <path class="line-old" d=old_path></path>
                        <path class="line-new" d=new_path></path>
                    </svg>
                    {dots(old_dots, "dot-old")}
                    {dots(new_dots, "dot-new")}
                    {marks.lines(cursor, model)}
                </svg>
                <span class="scale scale-top" aria-hidden="true">{scale_words(top)}</span>
                <span class="scale scale-base" aria-hidden="true">"0"</span>
            </td>
            <td class="side-old">{cell(Side::Old)}</td>
            <td class="side-new">{cell(Side::New)}</td>
            <td class="side-difference">{difference}</td>
        </tr>
    }
    .into_any()
}

fn scale_words(top: f64) -> String {
    if top >= 10.0 || top.fract() == 0.0 {
        words::decimal(top, 0)
    } else {
        words::decimal(top, 2)
    }
}

/// A value of a lane as the gutter and the table write it.
pub fn value_words(model: &ChartModel, lane: Lane, side: Side, minute: Moment) -> String {
    if lane == Lane::Errors
        && let Some((errors, requests)) = model.few(side, minute)
    {
        return format!(
            "{} of {}",
            words::decimal(errors, 0),
            words::decimal(requests, 0)
        );
    }
    let Some(value) = model.value(lane, side, minute) else {
        return words::NONE.to_string();
    };
    match lane {
        Lane::Errors => format!("{}\u{a0}%", words::decimal(value, 2)),
        Lane::Requests if value < 10.0 => words::decimal(value, 1),
        Lane::Requests | Lane::P99 | Lane::P95 | Lane::P50 | Lane::Healthy => {
            words::decimal(value, 0)
        }
    }
}

/// The difference of new against old in a minute; empty when one of them is missing.
pub fn difference_words(model: &ChartModel, lane: Lane, minute: Moment) -> String {
    let (Some(old), Some(new)) = (
        model.value(lane, Side::Old, minute),
        model.value(lane, Side::New, minute),
    ) else {
        return String::new();
    };
    match lane {
        Lane::Requests if old + new > 0.0 => format!(
            "{}\u{a0}% of all",
            words::decimal(new * 100.0 / (old + new), 1)
        ),
        Lane::Requests => String::new(),
        Lane::Errors if model.few(Side::New, minute).is_some() => "too few to tell".to_string(),
        Lane::Errors => format!(
            "{}{} pp",
            if new >= old { "+" } else { "" },
            words::decimal(new - old, 2)
        ),
        Lane::P99 | Lane::P95 | Lane::P50 if old > 0.0 => {
            format!("×\u{a0}{}", words::decimal(new / old, 2))
        }
        Lane::P99 | Lane::P95 | Lane::P50 => String::new(),
        Lane::Healthy if (new - old).abs() < 0.5 => "equal".to_string(),
        Lane::Healthy => format!(
            "{}{}",
            if new > old { "+" } else { "" },
            words::decimal(new - old, 0)
        ),
    }
}

fn alarm_row(
    is_first: bool,
    alarm: &AlarmView,
    model: &Arc<ChartModel>,
    marks: &Marks,
    cursor: Cursor,
) -> AnyView {
    let mut states = alarm.history.clone();
    if states.is_empty() {
        states.push((alarm.since.unwrap_or(model.from), alarm.state.clone()));
    }
    let bands: Vec<_> = states
        .iter()
        .enumerate()
        .map(|(index, (from, state))| {
            let until = states.get(index + 1).map_or(model.until, |(next, _)| *next);
            let (x, end) = (model.x(*from), model.x(until).min(marks.now));
            let width = (end - x).max(0.0);
            match state.as_str() {
                "ALARM" => {
                    let words = (width > 9.0).then(|| {
                        let text = format!("ALARM {}", words::rough_duration(until.millis_since(*from)));
                        view! { <text class="alarm-words" x=at(x + 0.6) y="12">{text}</text> }
                    });
                    view! { <rect class="alarm-band" x=at(x) width=at(width.max(0.4)) y="2" height="14"></rect>{words} }.into_any()
                }
                "OK" => view! { <line class="alarm-ok" x1=at(x) x2=at(end) y1="9" y2="9"></line> }.into_any(),
                _ => view! { <line class="alarm-unknown" x1=at(x) x2=at(end) y1="9" y2="9"></line> }.into_any(),
            }
        })
        .collect();
    let word = match alarm.state.as_str() {
        "OK" => view! { <span class="good">"OK"</span> }.into_any(),
        "ALARM" => {
            view! { <span class="state bad">{icon(Shape::Alarm)} <span>"ALARM"</span></span> }
                .into_any()
        }
        "INSUFFICIENT_DATA" => view! { <span class="quiet">"no data"</span> }.into_any(),
        other => view! { <span class="quiet">{other.to_string()}</span> }.into_any(),
    };
    let title = match (alarm.threshold, alarm.since) {
        (Some(threshold), Some(since)) => format!(
            "{}: threshold {threshold}, since {}",
            alarm.name,
            since.rfc3339()
        ),
        (Some(threshold), None) => format!("{}: threshold {threshold}", alarm.name),
        (None, Some(since)) => format!("{}: since {}", alarm.name, since.rfc3339()),
        (None, None) => alarm.name.clone(),
    };
    view! {
        <tr class="alarm-row">
            <th scope="row"><span class=if is_first { "lane-name" } else { "visually-hidden" }>{if is_first { "Alarms" } else { "Alarm" }}</span></th>
            <td class="plot-cell"><svg class="plot plot-alarm" aria-hidden="true" focusable="false">{bands}{marks.lines(cursor, model)}</svg></td>
            <td class="alarm-name" colspan="2" title=title>{alarm.name.clone()}</td>
            <td class="side-difference">{word}</td>
        </tr>
    }
    .into_any()
}

fn axis(model: &Arc<ChartModel>, is_running: bool, cursor: Cursor) -> AnyView {
    let now = model.x(model.until);
    let ticks: Vec<_> = model
        .ticks()
        .into_iter()
        .enumerate()
        .filter(|(_, tick)| !is_running || (model.x(*tick) - now).abs() > 6.5)
        .map(|(index, tick)| {
            let x = model.x(tick);
            let anchor = if x < 2.0 { "start" } else if x > 98.0 { "end" } else { "middle" };
            view! { <text class=if index % 3 == 0 { "axis-text" } else { "axis-text wide-only" } x=at(x) y="14" text-anchor=anchor>{tick.clock_minute()}</text> }
        })
        .collect();
    let now_box = is_running.then(|| {
        view! {
            <svg class="mark-place" x=at(now) y="0">
                <rect class="now-box" x="-19" y="1" width="38" height="18" rx="3"></rect>
                <text class="now-box-text" x="0" y="14" text-anchor="middle">{model.until.clock_minute()}</text>
            </svg>
        }
    });
    let place = {
        let model = Arc::clone(model);
        // Without a cursor the box stands where nobody looks, also when the axis shows what overflows.
        move || {
            cursor
                .get()
                .map_or_else(|| "-500%".to_string(), |minute| at(model.x(minute)))
        }
    };
    view! {
        <svg class="plot plot-axis" aria-hidden="true" focusable="false">
            {ticks}
            {now_box}
            <svg class="mark-place" visibility=shown_only_with(cursor) x=place y="0">
                <rect class="cursor-box" x="-19" y="1" width="38" height="18" rx="3"></rect>
                <text class="cursor-box-text" x="0" y="14" text-anchor="middle">{move || cursor.get().map_or_else(String::new, |minute| minute.clock_minute())}</text>
            </svg>
        </svg>
    }
    .into_any()
}

/// The same values as a table, minute by minute.
fn value_table(model: &Arc<ChartModel>) -> AnyView {
    let minutes = model.newest_minutes(TABLE_MINUTES);
    if minutes.is_empty() {
        return ().into_any();
    }
    let span = minutes
        .first()
        .zip(minutes.last())
        .map_or(0, |(last, first)| last.millis_since(*first));
    let heads = Lane::ALL.into_iter().map(|lane| {
        let (name, unit) = lane.words();
        view! { <th scope="colgroup" colspan="2">{format!("{name}, {unit}")}</th> }
    });
    let sides = Lane::ALL
        .into_iter()
        .map(|_| view! { <th scope="col">"old"</th><th scope="col">"new"</th> });
    let rows = minutes.into_iter().map(|minute| {
        let values = Lane::ALL.into_iter().flat_map(|lane| {
            [Side::Old, Side::New]
                .into_iter()
                .map(move |side| (lane, side))
        });
        let values = values
            .map(|(lane, side)| view! { <td>{value_words(model, lane, side, minute)}</td> })
            .collect_view();
        view! { <tr><th scope="row">{minute.clock_minute()}</th>{values}</tr> }
    });
    view! {
        <details class="value-table" data-key="t">
            <summary>"Table "<kbd aria-hidden="true">"t"</kbd></summary>
            <div class="scrolls" tabindex="0" role="group" aria-label="Values minute by minute">
                <table>
                    <caption>{format!("The last {} by the minute, newest first, times in UTC", duration_words(span + 60_000))}</caption>
                    <thead><tr><th scope="col" rowspan="2">"Minute"</th>{heads.collect_view()}</tr><tr>{sides.collect_view()}</tr></thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
        </details>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_saw_of_the_weights_is_not_known() {
        let at = |minute: i64| Moment::from_millis(minute * 60_000);
        let seen_late = [(at(8), 0.5), (at(9), 0.6)];
        for (minute, share) in [
            (1, Some(0.0)),
            (2, None),
            (6, None),
            (8, Some(0.5)),
            (9, Some(0.6)),
        ] {
            assert_eq!(share_in(&seen_late, at(2), at(minute)), share, "{minute}");
        }
        assert_eq!(share_in(&[], at(2), at(1)), None);
    }
}
