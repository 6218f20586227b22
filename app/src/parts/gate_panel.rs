//! The gate: fuse, what happens, who decided, reason, buttons, exact calls, delivery.
//!
//! The decision is a plain form, so it works before the page is awake. The button names verb and
//! object. A button that may not be pressed stays focusable and says why beside it.

use crate::parts::calls::folded_call;
use crate::parts::fuse::at_zero;
use crate::parts::fuse::fuse_in_panel;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::small::Notice;
use crate::parts::small::PROBLEM_ID;
use crate::parts::small::time;
use crate::parts::state::delivery;
use crate::parts::state::gate_state;
use crate::words;
use leptos::prelude::*;
use switchback_contract::GateState;
use switchback_contract::GateView;
use switchback_contract::Moment;
use switchback_contract::Verdict;

/// What the gate asks.
pub fn question(gate: &GateView) -> String {
    let revision = gate
        .deployment
        .target_revision
        .as_deref()
        .map_or_else(|| gate.deployment.service.clone(), words::revision_name);
    match gate.stage.as_str() {
        "BeforeInstall" => format!("Start tasks of {revision}?"),
        "AfterInstall" => format!("Let test traffic reach {revision}?"),
        "PRE_SCALE_UP" => format!("Start tasks of {revision}?"),
        "POST_SCALE_UP" => format!("Let test traffic reach {revision}?"),
        "POST_PRODUCTION_TRAFFIC_SHIFT" => format!("Keep production traffic on {revision}?"),
        "PRE_PRODUCTION_TRAFFIC_SHIFT" if gate.deployment.share_new.unwrap_or(0.0) > 0.0 => {
            format!("Let more production traffic reach {revision}?")
        }
        "AfterAllowTestTraffic"
        | "BeforeAllowTraffic"
        | "POST_TEST_TRAFFIC_SHIFT"
        | "PRE_PRODUCTION_TRAFFIC_SHIFT" => {
            format!("Let production traffic reach {revision}?")
        }
        "AfterAllowTraffic" => format!("Keep production traffic on {revision}?"),
        stage => format!("Let {revision} go on after {stage}?"),
    }
}

fn approvals(gate: &GateView) -> usize {
    gate.decisions
        .iter()
        .filter(|decision| decision.verdict == Verdict::Approve)
        .count()
}

fn ordinal(number: usize) -> String {
    match number {
        1 => "first".to_string(),
        2 => "second".to_string(),
        3 => "third".to_string(),
        number => format!("{number}th"),
    }
}

/// The panel. `to` is the path to which the server returns after the decision.
pub fn gate_panel(
    gate: &GateView,
    heading: String,
    now: Signal<Moment>,
    to: String,
    notice: &Notice,
    read: Read,
) -> AnyView {
    let is_open = gate.state == GateState::Open;
    let title_id = format!("gate-title-{}", gate.id);
    let labelled_by = title_id.clone();
    view! {
        <section class="panel gate" aria-labelledby=labelled_by>
            <header class="panel-head">
                {if is_open { icon(Shape::Hold).into_any() } else { gate_state(gate) }}
                <h2 id=title_id>{heading}</h2>
                <span class="tag">{gate.stage.clone()}</span>
            </header>
            {is_open.then(|| view! { <div class="panel-part">{fuse_in_panel(gate, now)}</div> })}
            {is_open.then(|| what_happens(gate))}
            {who_decided(gate)}
            {gate.delivery.map(|reached| view! { <div class="panel-part"><h3>"Delivery"</h3>{delivery(reached, gate.delivery_detail.as_deref())}</div> })}
            {is_open.then(|| decision_form(gate, to, notice, read))}
        </section>
    }
    .into_any()
}

fn what_happens(gate: &GateView) -> AnyView {
    let sentences = |sentences: &[String]| sentences.join(" ");
    view! {
        <div class="panel-part">
            <h3>"What happens"</h3>
            <dl class="outcomes">
                <div><dt>{icon(Shape::Tick)} " Approve"</dt><dd>{sentences(&gate.on_approve)}</dd></div>
                <div><dt>{icon(Shape::BentArrow)} " Reject"</dt><dd>{sentences(&gate.on_reject)}</dd></div>
                <div><dt>{icon(Shape::Hold)} " Do nothing"</dt><dd>{at_zero(gate)}</dd></div>
            </dl>
            {folded_call("Exact call after approval", gate.approve_call.as_ref())}
            {folded_call("Exact call after rejection", gate.reject_call.as_ref())}
        </div>
    }
    .into_any()
}

fn who_decided(gate: &GateView) -> AnyView {
    let given = approvals(gate);
    let required = gate.required_approvals as usize;
    let decisions = gate.decisions.iter().map(|decision| {
        let shape = match decision.verdict {
            Verdict::Approve => Shape::Tick,
            Verdict::Reject => Shape::BentArrow,
        };
        let word = match decision.verdict {
            Verdict::Approve => "approved",
            Verdict::Reject => "rejected",
        };
        view! {
            <li>
                {icon(shape)}
                <div>
                    <p><strong>{decision.actor.clone()}</strong>" "<span class="quiet">{word} ", "{time(decision.at, decision.at.clock_time())}</span></p>
                    {decision.reason.clone().map(|reason| view! { <p class="quiet">{format!("“{reason}”")}</p> })}
                </div>
            </li>
        }
    });
    let missing = (gate.state == GateState::Open && given < required).then(|| {
        let text = words::counted(required - given, "approval is missing", "approvals are missing");
        let yours = match (&gate.may_not_decide, required - given) {
            (Some(_), _) => None,
            (None, 1) => Some("Yours completes it."),
            (None, _) => Some("You can give one."),
        };
        view! { <li>{icon(Shape::Ring)}<div><p><strong>{text}</strong></p>{yours.map(|text| view! { <p class="quiet">{text}</p> })}</div></li> }
    });
    view! {
        <div class="panel-part">
            <h3>"Approvals "<span class="quiet">{format!("{given} of {required}")}</span></h3>
            <ul class="people">{decisions.collect_view()}{missing}</ul>
        </div>
    }
    .into_any()
}

/// The gate and the digest of the evidence that the reader has read. A live page replaces what is
/// shown; without this, the form would silently name evidence that nobody looked at.
pub type Read = RwSignal<Option<(String, String)>>;

/// Remembers what an open gate showed first. Later changes of its evidence lock the form until the
/// reader says that the new evidence is read.
pub fn remember_read(open: impl Fn() -> Option<(String, String)> + 'static) -> Read {
    let read = RwSignal::new(untrack(&open));
    Effect::new(move |_| {
        let Some((gate, digest)) = open() else { return };
        let is_known =
            read.with_untracked(|read| read.as_ref().is_some_and(|(known, _)| *known == gate));
        if !is_known {
            read.set(Some((gate, digest)));
        }
    });
    read
}

fn decision_form(gate: &GateView, to: String, notice: &Notice, read: Read) -> AnyView {
    let has_changed = read.with(|read| {
        read.as_ref()
            .is_some_and(|(known, digest)| *known == gate.id && *digest != gate.evidence_digest)
    });
    let required = gate.required_approvals as usize;
    let number = gate
        .deployment
        .target_revision
        .as_deref()
        .map(words::revision_number)
        .unwrap_or_default();
    let approve = if required > 1 {
        format!(
            "Approve {number}, {} of {required}",
            ordinal(approvals(gate) + 1)
        )
    } else {
        format!("Approve {number}")
    };
    let reject = format!("Reject {number}");
    let described = if notice.is_problem() {
        format!("{PROBLEM_ID} decision-note")
    } else {
        "decision-note".to_string()
    };
    let why_not = if has_changed {
        Some("The evidence changed while you read. Review it, then decide.".to_string())
    } else {
        gate.may_not_decide.clone()
    };
    let (buttons, note) = match why_not {
        Some(why) => (
            view! {
                <button type="button" class="danger" aria-disabled="true" aria-describedby="decision-note">{reject}</button>
                <button type="button" class="primary" aria-disabled="true" aria-describedby="decision-note">{approve}</button>
            }
            .into_any(),
            why,
        ),
        None => (
            view! {
                <button class="danger" name="verdict" value="reject"><span class="idle">{reject}</span><span class="busy">"Sending…"</span></button>
                <button class="primary" name="verdict" value="approve"><span class="idle">{approve}</span><span class="busy">"Sending…"</span></button>
            }
            .into_any(),
            match required.saturating_sub(approvals(gate) + 1) {
                0 => "Either answer acts at once.".to_string(),
                1 => "A rejection acts at once. Your approval alone calls nothing: one more is needed.".to_string(),
                more => format!("A rejection acts at once. Your approval alone calls nothing: {more} more are needed."),
            },
        ),
    };
    view! {
        <form class="panel-part act" method="post" action=format!("/gates/{}/decisions", gate.id) data-act="decision">
            <input type="hidden" name="evidence_digest" value=gate.evidence_digest.clone()/>
            <input type="hidden" name="to" value=to/>
            <label for="decision-reason">"Reason "<span class="quiet">"required to reject, kept in the audit log"</span></label>
            <textarea id="decision-reason" name="reason" rows="2" maxlength="2000" autocomplete="off" aria-describedby=described></textarea>
            <div class="dock">
                <div class="buttons">{buttons}</div>
                <p class="quiet" id="decision-note">{note}</p>
                {has_changed.then(|| {
                    let now_read = (gate.id.clone(), gate.evidence_digest.clone());
                    view! { <p><button type="button" on:click=move |_| read.set(Some(now_read.clone()))>"I have reviewed the new evidence"</button></p> }
                })}
            </div>
            <p class="quiet small">
                "You decide on evidence "<code title=gate.evidence_digest.clone()>{words::digest_words(&gate.evidence_digest)}</code>
                ". If it changes, you are asked again."
            </p>
        </form>
    }
    .into_any()
}
