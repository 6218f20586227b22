//! The outer island of every page: the event stream, the account's clock, and what single presses do
//! anywhere on the page.
//!
//! The stream is ours to reconnect: the browser's own retries say neither when they come nor notice a
//! connection that is open and silent. Where it goes on is the number of the last event heard.
#![expect(
    missing_docs,
    reason = "the island macro makes a struct that it does not document"
)]

use crate::keys;
use crate::live::Change;
use crate::live::ClockEvent;
use crate::live::ClockReading;
use crate::live::Connection;
use crate::live::Live;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::presses;
use leptos::prelude::*;
use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use switchback_contract::Moment;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::EventSource;
use web_sys::MessageEvent;

/// Where the events come from.
const EVENTS: &str = "/api/v1/events";

/// The server gives a sign of life every second; a stream that is silent for so long is broken.
const SILENCE_MILLIS: f64 = 10_000.0;

/// The longest wait before the connection is tried again, in seconds.
const LONGEST_WAIT: u32 = 30;

struct Stream {
    live: Live,
    clock: RefCell<Option<ClockReading>>,
    source: RefCell<Option<EventSource>>,
    last_id: RefCell<String>,
    heard_at: Cell<f64>,
    attempts: Cell<u32>,
    retry_at: Cell<Option<f64>>,
}

impl Stream {
    /// A stream that is open or about to be is left alone.
    fn open(self: &Rc<Self>) {
        self.retry_at.set(None);
        if self.source.borrow().is_some() {
            return;
        }
        let address = match self.last_id.borrow().as_str() {
            "" => EVENTS.to_string(),
            id => format!("{EVENTS}?last_event_id={id}"),
        };
        let Ok(source) = EventSource::new(&address) else {
            return;
        };
        self.heard();
        *self.source.borrow_mut() = Some(source.clone());
        self.listen(&source, "open", |stream, _| {
            stream.attempts.set(0);
            let was_lost = matches!(stream.live.connection.get_untracked(), Connection::Lost(..));
            stream.live.connection.set(Connection::Open);
            if was_lost {
                stream.everything_may_have_changed();
                stream.live.say("Live again.");
            }
        });
        self.listen(&source, "clock", |stream, data| {
            if let Ok(event) = serde_json::from_str::<ClockEvent>(&data) {
                let reading =
                    ClockReading::next(*stream.clock.borrow(), event.now, js_sys::Date::now());
                *stream.clock.borrow_mut() = Some(reading);
                stream.live.now.set(Some(event.now));
            }
        });
        self.listen(&source, "change", |stream, data| {
            if let Ok(change) = serde_json::from_str::<Change>(&data) {
                stream.live.change.set(Some(change));
            }
        });
        self.listen(&source, "reset", |stream, _| {
            stream.everything_may_have_changed()
        });
        self.listen(&source, "error", |stream, _| stream.lost());
    }

    fn everything_may_have_changed(&self) {
        self.live.change.set(Some(Change {
            anything: true,
            ..Change::default()
        }));
    }

    fn heard(&self) {
        self.heard_at.set(js_sys::Date::now());
    }

    fn is_silent(&self) -> bool {
        self.source.borrow().is_some() && js_sys::Date::now() - self.heard_at.get() > SILENCE_MILLIS
    }

    /// Closes the stream and waits, ever longer and never as long as the next page, before it is
    /// opened again.
    fn lost(&self) {
        if let Some(source) = self.source.borrow_mut().take() {
            source.close();
        }
        let since = match self.live.connection.get_untracked() {
            Connection::Lost(since, _) => since,
            Connection::NotYet | Connection::Open => {
                let since = self
                    .clock
                    .borrow()
                    .map(|reading| reading.at(self.heard_at.get()));
                self.live.say(&lost_words(since));
                since
            }
        };
        let attempts = self.attempts.get();
        self.attempts.set(attempts.saturating_add(1));
        let shortest = 2u32.saturating_pow(attempts.min(5));
        let more = (js_sys::Math::random() * f64::from(shortest)) as u32;
        let wait = (shortest + more).min(LONGEST_WAIT);
        self.retry_at
            .set(Some(js_sys::Date::now() + f64::from(wait) * 1000.0));
        self.live.connection.set(Connection::Lost(since, wait));
    }

    fn listen(
        self: &Rc<Self>,
        source: &EventSource,
        name: &str,
        act: impl Fn(&Rc<Stream>, String) + 'static,
    ) {
        let stream = Rc::clone(self);
        let heard = Closure::<dyn Fn(web_sys::Event)>::new(move |event: web_sys::Event| {
            let message = event.dyn_ref::<MessageEvent>();
            if let Some(message) = message {
                stream.heard();
                *stream.last_id.borrow_mut() = message.last_event_id();
            }
            let data = message
                .and_then(|message| message.data().as_string())
                .unwrap_or_default();
            act(&stream, data);
        });
        // A stream lives until it is lost, and a page loses few.
        let heard = heard.into_js_value();
        let _listening = source.add_event_listener_with_callback(name, heard.unchecked_ref());
    }

    /// Once a second: the clock runs on, a silent stream is given up, a lost one is tried again.
    fn tick(self: &Rc<Self>) {
        if self.is_silent() {
            self.lost();
        }
        if let Some(reading) = *self.clock.borrow() {
            self.live.now.set(Some(reading.at(js_sys::Date::now())));
        }
        if let (Some(at), Connection::Lost(since, _)) =
            (self.retry_at.get(), self.live.connection.get_untracked())
        {
            let left = ((at - js_sys::Date::now()) / 1000.0).ceil().max(0.0) as u32;
            self.live.connection.set(Connection::Lost(since, left));
            if left == 0 {
                self.open();
            }
        }
    }
}

fn lost_words(since: Option<Moment>) -> String {
    match since {
        Some(since) => format!("Not live since {}", since.clock_time()),
        None => "Not live".to_string(),
    }
}

/// The outer island of every page.
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
        urgent: RwSignal::new(String::new()),
        retry: RwSignal::new(0),
    };
    provide_context(live);
    let awake = RwSignal::new(false);
    Effect::new(move |_| {
        awake.set(true);
        let first = now.map(|now| ClockReading::next(None, now, js_sys::Date::now()));
        let stream = Rc::new(Stream {
            live,
            clock: RefCell::new(first),
            source: RefCell::new(None),
            last_id: RefCell::new(String::new()),
            heard_at: Cell::new(js_sys::Date::now()),
            attempts: Cell::new(0),
            retry_at: Cell::new(None),
        });
        let ticking = Rc::clone(&stream);
        set_interval(move || ticking.tick(), Duration::from_secs(1));
        stream.open();
        let trying = Rc::clone(&stream);
        Effect::new(move |before: Option<u32>| {
            let asked = live.retry.get();
            if before.is_some_and(|before| before != asked) {
                trying.open();
            }
            asked
        });
        // The machine is on a network again: no need to wait.
        let _listening = window_event_listener_untyped("online", move |_| stream.open());
        // A page that the browser kept and shows again must be able to send again.
        let _listening = window_event_listener_untyped("pageshow", |_| presses::unlock());
        keys::listen(live);
    });
    view! {
        <div class="desk" data-awake=move || awake.get().then_some("") on:submit=presses::send_once
            on:click=move |event| presses::pressed(&event, live)
            on:pointerover=move |event| presses::tell_times(event.target(), live)
            on:focusin=move |event| presses::tell_times(event.target(), live)>
            {children()}
            <p class="visually-hidden" role="status" aria-live="polite">{move || live.said.get()}</p>
            <p class="visually-hidden" role="alert">{move || live.urgent.get()}</p>
        </div>
    }
}

/// "Live" in the top bar, or not.
#[island]
pub fn ConnectionState() -> impl IntoView {
    let connection = use_context::<Live>().map(|live| live.connection);
    let get = move || connection.map_or(Connection::NotYet, |connection| connection.get());
    view! {
        <p class="connection" data-connection=move || match get() {
            Connection::NotYet => "not-yet",
            Connection::Open => "open",
            Connection::Lost(..) => "lost",
        }>
            <span class="connection-dot" aria-hidden="true"></span>
            <span>{move || match get() {
                Connection::NotYet => "Not live yet",
                Connection::Open => "Live",
                Connection::Lost(..) => "Not live",
            }}</span>
        </p>
    }
}

/// The bar under the top bar while the page does not hear of changes: since when, and what that means.
#[island]
pub fn ConnectionBar() -> impl IntoView {
    let live = use_context::<Live>();
    let get = move || live.map_or(Connection::NotYet, |live| live.connection.get());
    let words = move || match get() {
        Connection::Lost(since, 0) => format!("{}, trying now.", lost_words(since)),
        Connection::Lost(since, wait) => {
            format!("{}, trying again in {wait} s.", lost_words(since))
        }
        Connection::NotYet | Connection::Open => String::new(),
    };
    let try_now = move |_| {
        if let Some(live) = live {
            live.retry.update(|asked| *asked += 1);
        }
    };
    view! {
        <div class="offline" hidden=move || !matches!(get(), Connection::Lost(..))>
            {icon(Shape::Warning)}
            <p><strong>{words}</strong>
                " What you see is from then. Fuses keep counting, and acts stay possible: the server checks each."</p>
            <button type="button" on:click=try_now>"Try now"</button>
        </div>
    }
}
