//! What makes pages live: what the outer island, [`crate::desk::LiveDesk`], gives to those inside.
//!
//! Islands inside find [`Live`] in context. They are told that something changed, never what: they ask
//! their own question again, so a page that was asleep or offline is right after one answer.
//! Nothing here is needed for correctness: without WASM pages show what was true when they were made,
//! and their forms work.
#![expect(
    missing_docs,
    reason = "the island macro makes a struct that it does not document"
)]

use crate::asks;
use crate::error::AppError;
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::Deserialize;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use switchback_contract::Moment;

/// A burst of changes is answered by one question.
const GATHER: Duration = Duration::from_millis(250);

/// After a question that was not answered.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Screen readers are told at most this often.
const ANNOUNCE_EVERY_MILLIS: f64 = 5_000.0;

/// Whether the page hears of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Not awake, or the first connection is under way.
    NotYet,
    /// Changes arrive.
    Open,
    /// Since when, by the account's clock, and in how many seconds it is tried again; 0 means now.
    Lost(Option<Moment>, u32),
}

/// Something changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Change {
    /// What kind of thing.
    pub kind: String,
    /// Its identifier.
    pub subject: Option<String>,
    /// The deployment it belongs to.
    pub deployment_id: Option<String>,
    /// The stream was interrupted: anything may have changed.
    #[serde(skip)]
    pub anything: bool,
}

impl Change {
    /// Whether it may concern a deployment.
    pub fn concerns(&self, deployment: &str) -> bool {
        self.anything
            || self.deployment_id.as_deref() == Some(deployment)
            || self.subject.as_deref() == Some(deployment)
    }
}

#[derive(Deserialize)]
pub(crate) struct ClockEvent {
    pub(crate) now: Moment,
}

/// What the outer island gives to those inside.
#[derive(Clone, Copy)]
pub struct Live {
    /// Whether the page hears of changes.
    pub connection: RwSignal<Connection>,
    /// The last change.
    pub change: RwSignal<Option<Change>>,
    /// The account's clock, once a second; `None` before the first event or tick.
    pub now: RwSignal<Option<Moment>>,
    /// What screen readers are told when they are idle.
    pub said: RwSignal<String>,
    /// What screen readers are told at once.
    pub urgent: RwSignal<String>,
    /// Counted up to try the connection again without waiting.
    pub retry: RwSignal<u32>,
}

impl Live {
    /// A signal of the account's clock that begins with what the page was made with, so that the
    /// server and the browser draw the same.
    pub fn clock(made_at: Moment) -> Signal<Moment> {
        let now = RwSignal::new(made_at);
        if let Some(live) = use_context::<Live>() {
            Effect::new(move |_| {
                if let Some(at) = live.now.get() {
                    now.set(at);
                }
            });
        }
        now.into()
    }

    /// Asks again whenever a change may concern what is shown, one question at a time, and puts the
    /// answer into `shown`. A question without an answer keeps what is shown and says so in `trouble`.
    pub fn follow<T, F>(
        shown: RwSignal<T>,
        trouble: RwSignal<Option<String>>,
        concerns: impl Fn(&Change) -> bool + 'static,
        ask: impl Fn() -> F + 'static,
    ) where
        T: PartialEq + Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, AppError>> + 'static,
    {
        let Some(live) = use_context::<Live>() else {
            return;
        };
        let follower = Rc::new(Follower {
            wanted: Cell::new(false),
            under_way: Cell::new(false),
            ask: Box::new(move || Box::pin(ask())),
            shown,
            trouble,
        });
        Effect::new(move |_| {
            if live.change.get().is_some_and(|change| concerns(&change)) {
                follower.want();
            }
        });
    }

    /// Tells screen readers; the same words a second time are told a second time.
    pub fn say(self, what: &str) {
        self.said.set(again(&self.said.get_untracked(), what));
    }

    /// Tells screen readers when an open gate has 30, 10 and 2 minutes left; the last one at once.
    pub fn announce_fuse(now: Signal<Moment>, expires: impl Fn() -> Option<Moment> + 'static) {
        let Some(live) = use_context::<Live>() else {
            return;
        };
        Effect::new(move |before: Option<Option<i64>>| {
            let left = expires().map(|expires| expires.millis_since(now.get()));
            let passed = before
                .flatten()
                .zip(left)
                .and_then(|(before, left)| minutes_passed(before, left));
            match passed {
                Some(2) => live
                    .urgent
                    .set("2 minutes left to decide at this gate.".to_string()),
                Some(minutes) => live.say(&format!("{minutes} minutes left to decide.")),
                None => {}
            }
            left
        });
    }

    /// Tells screen readers, at most one message in five seconds.
    pub fn announce(what: impl Fn() -> String + 'static) {
        let Some(live) = use_context::<Live>() else {
            return;
        };
        let last_at = Cell::new(0.0);
        Effect::new(move |before: Option<String>| {
            let text = what();
            if before.is_some_and(|before| before != text) {
                document().set_title(&format!("{text} · Switchback"));
                let at = js_sys::Date::now();
                if at - last_at.get() >= ANNOUNCE_EVERY_MILLIS {
                    last_at.set(at);
                    live.say(&text);
                }
            }
            text
        });
    }
}

/// The mark of 30, 10 or 2 minutes that a fuse passed between two readings of what is left, in ms.
fn minutes_passed(before: i64, left: i64) -> Option<i64> {
    [2, 10, 30]
        .into_iter()
        .find(|minutes| before > minutes * 60_000 && left <= minutes * 60_000 && left > 0)
}

/// Words that a live region takes for new although they were its last.
fn again(before: &str, what: &str) -> String {
    if before == what {
        format!("{what}\u{a0}")
    } else {
        what.to_string()
    }
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, AppError>>>>;

struct Follower<T: Send + Sync + 'static> {
    wanted: Cell<bool>,
    under_way: Cell<bool>,
    ask: Box<dyn Fn() -> Answer<T>>,
    shown: RwSignal<T>,
    trouble: RwSignal<Option<String>>,
}

impl<T: PartialEq + Clone + Send + Sync + 'static> Follower<T> {
    fn want(self: &Rc<Self>) {
        self.wanted.set(true);
        if !self.under_way.replace(true) {
            Rc::clone(self).ask_after(GATHER);
        }
    }

    fn ask_after(self: Rc<Self>, wait: Duration) {
        set_timeout(move || spawn_local(self.ask_now()), wait);
    }

    async fn ask_now(self: Rc<Self>) {
        self.wanted.set(false);
        let next = match (self.ask)().await {
            Ok(answer) => {
                self.trouble.set(None);
                if self.shown.with_untracked(|shown| *shown != answer) {
                    self.shown.set(answer);
                }
                self.wanted.get().then_some(GATHER)
            }
            Err(error) => {
                let is_final = error.is_sign_in_needed() || error.is_not_found();
                self.trouble.set(Some(error.to_string()));
                (!is_final).then_some(ASK_AGAIN)
            }
        };
        match next {
            Some(wait) => self.ask_after(wait),
            None => self.under_way.set(false),
        }
    }
}

/// The account's clock between two events: it runs as fast as it ran between the last two.
#[derive(Clone, Copy)]
pub(crate) struct ClockReading {
    account: Moment,
    browser_millis: f64,
    rate: f64,
}

impl ClockReading {
    pub(crate) fn at(self, browser_millis: f64) -> Moment {
        self.account
            .plus_millis(((browser_millis - self.browser_millis) * self.rate) as i64)
    }

    /// The next reading. Its pace is measured only over half a second or more, where jitter says little.
    pub(crate) fn next(
        before: Option<ClockReading>,
        account: Moment,
        browser_millis: f64,
    ) -> ClockReading {
        let rate = match before {
            Some(before) if browser_millis - before.browser_millis >= 500.0 => {
                let measured = account.millis_since(before.account) as f64
                    / (browser_millis - before.browser_millis);
                measured.clamp(0.0, 10_000.0)
            }
            Some(before) => before.rate,
            None => 1.0,
        };
        ClockReading {
            account,
            browser_millis,
            rate,
        }
    }
}

/// The number of open gates beside "Approvals".
#[island]
pub fn ApprovalsCount(
    /// The number when the page was made.
    initial: i64,
) -> impl IntoView {
    let count = RwSignal::new(initial);
    let trouble = RwSignal::new(None);
    Live::follow(
        count,
        trouble,
        |change| change.anything || change.kind != "metrics",
        asks::open_gate_count,
    );
    view! {
        <span class="count" hidden=move || count.get() == 0>
            <span class="visually-hidden">" ("</span>{move || count.get()}<span class="visually-hidden">" open)"</span>
        </span>
    }
}

/// What stands above a live page when its last question was not answered; what is shown stays.
pub fn trouble_line(trouble: RwSignal<Option<String>>) -> impl IntoView {
    move || {
        trouble.get().map(|message| {
            view! {
                <div class="notice notice-wait" role="status">
                    <p><strong>"What you see may be old. "</strong>{message}" "<a href="">"Load the page again"</a></p>
                </div>
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_on_at_the_pace_it_was_seen_at() {
        let start = Moment::from_millis(1_000_000);
        let first = ClockReading::next(None, start, 0.0);
        assert_eq!(first.at(2_000.0), start.plus_millis(2_000));
        let second = ClockReading::next(Some(first), start.plus_millis(5_000), 1_000.0);
        assert_eq!(second.at(2_000.0), start.plus_millis(10_000));
        let jittery = ClockReading::next(Some(second), start.plus_millis(5_100), 1_010.0);
        assert_eq!(jittery.at(2_010.0), start.plus_millis(10_100));
    }

    #[test]
    fn a_fuse_is_announced_when_it_passes_30_10_and_2_minutes() {
        let minute = 60_000;
        for (before, left, expected) in [
            (31 * minute, 30 * minute, Some(30)),
            (30 * minute, 30 * minute - 1, None),
            (10 * minute + 1, 9 * minute, Some(10)),
            (40 * minute, minute, Some(2)),
            (minute, -1, None),
            (3 * minute, 0, None),
        ] {
            assert_eq!(minutes_passed(before, left), expected, "{before} to {left}");
        }
        assert_ne!(again("Copied", "Copied"), "Copied");
        assert_eq!(again("", "Copied"), "Copied");
    }

    #[test]
    fn a_change_concerns_its_deployment_and_an_interruption_everything() {
        let change: Change =
            serde_json::from_str(r#"{"kind":"deployment","subject":null,"deployment_id":"a"}"#)
                .unwrap();
        assert!(change.concerns("a") && !change.concerns("b"));
        assert!(
            Change {
                anything: true,
                ..Change::default()
            }
            .concerns("b")
        );
    }
}
