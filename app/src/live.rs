//! What makes pages live: one event stream a page, owned by one outer island, and the account's clock.
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
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use switchback_contract::Moment;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::EventSource;
use web_sys::MessageEvent;

/// Where the events come from.
const EVENTS: &str = "/api/v1/events";

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
    /// Since when, by the account's clock, and in how many seconds it is tried again.
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
struct ClockEvent {
    now: Moment,
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
    /// What screen readers are told.
    pub said: RwSignal<String>,
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
                    live.said.set(text.clone());
                }
            }
            text
        });
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
struct ClockReading {
    account: Moment,
    browser_millis: f64,
    rate: f64,
}

impl ClockReading {
    fn at(self, browser_millis: f64) -> Moment {
        self.account
            .plus_millis(((browser_millis - self.browser_millis) * self.rate) as i64)
    }

    /// The next reading. Its pace is measured only over half a second or more, where jitter says little.
    fn next(before: Option<ClockReading>, account: Moment, browser_millis: f64) -> ClockReading {
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

struct Stream {
    live: Live,
    clock: RefCell<Option<ClockReading>>,
    attempts: Cell<u32>,
}

impl Stream {
    fn open(self: Rc<Self>) {
        let Ok(source) = EventSource::new(EVENTS) else {
            return;
        };
        self.clone().listen(&source, "open", |stream, _, _| {
            stream.attempts.set(0);
            let was_lost = matches!(stream.live.connection.get_untracked(), Connection::Lost(..));
            stream.live.connection.set(Connection::Open);
            if was_lost {
                stream.live.change.set(Some(Change {
                    anything: true,
                    ..Change::default()
                }));
            }
        });
        self.clone().listen(&source, "clock", |stream, data, _| {
            if let Ok(event) = serde_json::from_str::<ClockEvent>(&data) {
                let reading =
                    ClockReading::next(*stream.clock.borrow(), event.now, js_sys::Date::now());
                *stream.clock.borrow_mut() = Some(reading);
                stream.live.now.set(Some(event.now));
            }
        });
        self.clone().listen(&source, "change", |stream, data, _| {
            if let Ok(change) = serde_json::from_str::<Change>(&data) {
                stream.live.change.set(Some(change));
            }
        });
        self.listen(&source, "error", |stream, _, source| stream.lost(source));
    }

    /// The browser tries again by itself unless the server refused; then we do, ever less often.
    fn lost(self: Rc<Self>, source: &EventSource) {
        let since = match self.live.connection.get_untracked() {
            Connection::Lost(since, _) => since,
            Connection::NotYet | Connection::Open => self.live.now.get_untracked(),
        };
        let attempts = self.attempts.get();
        self.attempts.set(attempts.saturating_add(1));
        let wait = 2u32.saturating_pow(attempts.min(5)).min(30);
        self.live.connection.set(Connection::Lost(since, wait));
        if source.ready_state() == EventSource::CLOSED {
            set_timeout(move || self.open(), Duration::from_secs(u64::from(wait)));
        }
    }

    fn listen(
        self: Rc<Self>,
        source: &EventSource,
        name: &str,
        heard: impl Fn(Rc<Stream>, String, &EventSource) + 'static,
    ) {
        let stream = source.clone();
        let heard = Closure::<dyn Fn(web_sys::Event)>::new(move |event: web_sys::Event| {
            let data = event
                .dyn_ref::<MessageEvent>()
                .and_then(|message| message.data().as_string())
                .unwrap_or_default();
            heard(Rc::clone(&self), data, &stream);
        });
        // The stream lives as long as the page, and so do its listeners.
        let heard = heard.into_js_value();
        let _listening = source.add_event_listener_with_callback(name, heard.unchecked_ref());
    }

    fn tick(&self) {
        if let Some(reading) = *self.clock.borrow() {
            self.live.now.set(Some(reading.at(js_sys::Date::now())));
        }
    }
}

/// The outer island of every page: the event stream, the clock, the live region, and what single
/// buttons do anywhere on the page (copying, filling in a reason, sending a form only once).
#[island]
pub fn LiveDesk(
    /// The account's clock when the page was made.
    now: Option<Moment>,
    children: Children,
) -> impl IntoView {
    let live = Live {
        connection: RwSignal::new(Connection::NotYet),
        change: RwSignal::new(None),
        now: RwSignal::new(None),
        said: RwSignal::new(String::new()),
    };
    provide_context(live);
    let awake = RwSignal::new(false);
    Effect::new(move |_| {
        awake.set(true);
        let first = now.map(|now| ClockReading::next(None, now, js_sys::Date::now()));
        let stream = Rc::new(Stream {
            live,
            clock: RefCell::new(first),
            attempts: Cell::new(0),
        });
        let ticking = Rc::clone(&stream);
        set_interval(move || ticking.tick(), Duration::from_secs(1));
        stream.open();
        // A page that the browser kept and shows again must be able to send again.
        let _listening = window_event_listener_untyped("pageshow", |_| unlock());
    });
    view! {
        <div class="desk" data-awake=move || awake.get().then_some("") on:submit=send_once on:click=move |event| pressed(&event, live)>
            {children()}
            <p class="visually-hidden" role="status" aria-live="polite">{move || live.said.get()}</p>
        </div>
    }
}

/// The first press sends, every further one is held back until the page is left.
fn send_once(event: leptos::ev::SubmitEvent) {
    let Some(form) = event
        .target()
        .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
    else {
        return;
    };
    if !form.has_attribute("data-act") {
        return;
    }
    if form.has_attribute("data-sending") {
        event.prevent_default();
        return;
    }
    let _marked = form.set_attribute("data-sending", "");
    if let Some(button) = event.submitter() {
        let _marked = button.set_attribute("data-pressed", "");
    }
}

fn unlock() {
    for name in ["data-sending", "data-pressed"] {
        while let Ok(Some(element)) = document().query_selector(&format!("[{name}]")) {
            let _unmarked = element.remove_attribute(name);
        }
    }
}

fn pressed(event: &leptos::ev::MouseEvent, live: Live) {
    let Some(target) = event
        .target()
        .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
    else {
        return;
    };
    if let Some((button, text)) = with_attribute(&target, "data-copy") {
        let _copying = window().navigator().clipboard().write_text(&text);
        let _marked = button.set_attribute("data-copied", "");
        live.said.set("Copied".to_string());
        set_timeout(
            move || {
                let _unmarked = button.remove_attribute("data-copied");
            },
            Duration::from_secs(2),
        );
    }
    if let Some((button, text)) = with_attribute(&target, "data-fill") {
        let field = button
            .get_attribute("data-into")
            .and_then(|id| document().get_element_by_id(&id))
            .and_then(|field| field.dyn_into::<web_sys::HtmlTextAreaElement>().ok());
        if let Some(field) = field {
            field.set_value(&text);
            let _focused = field.focus();
        }
    }
}

fn with_attribute(target: &web_sys::Element, name: &str) -> Option<(web_sys::Element, String)> {
    let element = target.closest(&format!("[{name}]")).ok().flatten()?;
    let value = element.get_attribute(name)?;
    Some((element, value))
}

/// "Live" in the top bar, or since when not.
#[island]
pub fn ConnectionState() -> impl IntoView {
    let connection = use_context::<Live>().map(|live| live.connection);
    let get = move || connection.map_or(Connection::NotYet, |connection| connection.get());
    view! {
        <p class="connection" role="status" data-connection=move || match get() {
            Connection::NotYet => "not-yet",
            Connection::Open => "open",
            Connection::Lost(..) => "lost",
        }>
            <span class="connection-dot" aria-hidden="true"></span>
            <span>{move || match get() {
                Connection::NotYet => "Not live yet".to_string(),
                Connection::Open => "Live".to_string(),
                Connection::Lost(Some(since), wait) => format!("Not live since {}, trying again in {wait} s", since.clock_time()),
                Connection::Lost(None, wait) => format!("Not live, trying again in {wait} s"),
            }}</span>
        </p>
    }
}

/// The number of open gates beside "Approvals".
#[island]
pub fn ApprovalsCount(
    /// The number when the page was made.
    initial: usize,
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
