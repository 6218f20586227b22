//! The fuse: how long a gate still waits, when that is over, and what happens then.

use crate::parts::small::time;
use crate::words;
use leptos::prelude::*;
use switchback_contract::GateKind;
use switchback_contract::GateState;
use switchback_contract::GateView;
use switchback_contract::Moment;
use switchback_contract::Verdict;

/// How near the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    Calm,
    Soon,
    Expires,
    Expired,
}

fn urgency(left_millis: i64, whole_millis: i64) -> Urgency {
    let soon = (10 * 60_000).min(whole_millis.max(1));
    if left_millis <= 0 {
        Urgency::Expired
    } else if left_millis < 2 * 60_000 {
        Urgency::Expires
    } else if left_millis < soon || left_millis * 100 < whole_millis * 15 {
        Urgency::Soon
    } else {
        Urgency::Calm
    }
}

impl Urgency {
    const fn class(self) -> &'static str {
        match self {
            Urgency::Calm => "fuse fuse-calm",
            Urgency::Soon => "fuse fuse-soon",
            Urgency::Expires | Urgency::Expired => "fuse fuse-expires",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Urgency::Calm => "left to decide",
            Urgency::Soon => "left to decide. Soon",
            Urgency::Expires => "left. Expires",
            Urgency::Expired => "Expired, waiting for AWS",
        }
    }
}

/// What happens by itself when nobody decides. The fuse of a PAUSE hook is ECS's own.
pub fn at_zero(gate: &GateView) -> AnyView {
    let at = |moment: Moment| {
        time(
            moment,
            format!("{} UTC", words::time_beside(gate.opened_at, moment)),
        )
    };
    let expires = view! { "At "<strong>{at(gate.expires_at)}</strong> };
    let does = match (gate.kind, gate.at_expiry) {
        (GateKind::EcsPause | GateKind::EcsHook, Verdict::Approve) => "lets the deployment go on",
        (GateKind::EcsPause | GateKind::EcsHook, Verdict::Reject) => "rolls the deployment back",
        (GateKind::CodedeployHook | GateKind::CodedeployReadyWait, Verdict::Approve) => "approves",
        (GateKind::CodedeployHook | GateKind::CodedeployReadyWait, Verdict::Reject) => "rejects",
    };
    match gate.kind {
        GateKind::EcsPause | GateKind::EcsHook => view! {
            {expires}" ECS itself "<strong>{does}</strong>", as the hook is set up, with or without Switchback."
        }
        .into_any(),
        GateKind::CodedeployHook | GateKind::CodedeployReadyWait => view! {
            {expires}" Switchback "<strong>{does}</strong>" by policy. Without Switchback, AWS ends the wait at "
            {at(gate.wall_at)}"."
        }
        .into_any(),
    }
}

/// The time left, for a row of a table.
pub fn fuse_in_row(gate: &GateView, now: Signal<Moment>) -> AnyView {
    let (expires, whole) = (
        gate.expires_at,
        gate.expires_at.millis_since(gate.opened_at),
    );
    view! {
        <span class=move || urgency(expires.millis_since(now.get()), whole).class()>
            <span class="fuse-left" role="timer">{move || words::countdown(expires.millis_since(now.get()))}</span>
        </span>
    }
    .into_any()
}

/// The time left, the bar that empties, and what happens at zero.
pub fn fuse_in_panel(gate: &GateView, now: Signal<Moment>) -> AnyView {
    if gate.state != GateState::Open {
        return ().into_any();
    }
    let (expires, whole) = (
        gate.expires_at,
        gate.expires_at.millis_since(gate.opened_at),
    );
    let left = move || expires.millis_since(now.get());
    let share = move || {
        let share = left().clamp(0, whole.max(1)) as f64 * 100.0 / whole.max(1) as f64;
        format!("{share:.1}%")
    };
    view! {
        <div class=move || urgency(left(), whole).class()>
            <p class="fuse-line">
                <span class="fuse-left" role="timer">{move || words::countdown(left())}</span>
                <span class="quiet">{move || urgency(left(), whole).words()}</span>
            </p>
            <svg class="fuse-bar" aria-hidden="true" focusable="false">
                <rect class="fuse-bar-whole" width="100%" height="100%" rx="2"></rect>
                <rect class="fuse-bar-left" width=share height="100%" rx="2"></rect>
            </svg>
            <p>{at_zero(gate)}</p>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgency_follows_the_time_left_and_the_length_of_the_wait() {
        let minute = 60_000;
        for (left, whole, expected) in [
            (43 * minute, 60 * minute, Urgency::Calm),
            (9 * minute, 60 * minute, Urgency::Soon),
            (30 * minute, 600 * minute, Urgency::Soon),
            (4 * minute, 5 * minute, Urgency::Soon),
            (119_000, 60 * minute, Urgency::Expires),
            (0, 60 * minute, Urgency::Expired),
        ] {
            assert_eq!(urgency(left, whole), expected, "{left} of {whole}");
        }
    }
}
