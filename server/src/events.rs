//! `GET /api/v1/events`: what changed, as server-sent events, resumable.
//!
//! Changes are read from the store once for all listeners and handed on; a listener reads by itself
//! only what it missed, before it joined or when it fell behind. The store wakes the reader after each
//! commit of this process; commits of other processes are found within a second.
//!
//! ```text
//! event: change   id: 481   data: {"sequence":481,"kind":"gate","subject":"gate-…","deployment_id":"dep-…","at":"…"}
//! event: clock    data: {"now":"…"}      once a second: the account's clock, and the sign of life
//! event: reset    id: 500   data: {}     what was missed is no longer known: load everything again
//! ```

use crate::Deps;
use crate::desk::ConsolesHandle;
use crate::front::Caller;
use crate::front::Proof;
use crate::problem::Problem;
use crate::run::fill_random;
use crate::session;
use axum::Extension;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::Uri;
use http::header;
use serde_json::json;
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use switchback_domain::actor::Verb;
use switchback_domain::moment::Moment;
use switchback_store::Store;
use switchback_store::StoreError;
use switchback_store::records::ChangeRecord;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// How often the clock is told.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is checked that a listener is still signed in: sessions also end by their age, tokens are taken away.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// How long ago a session may have been ended to be told with the next clock, in seconds: the clocks of several servers
/// differ. Whoever is told twice is gone already.
const ENDED_SECONDS: i64 = 10;

/// How many items a listener may be behind before it reads from the store itself.
const BACKLOG: usize = 1024;

/// How many changes are read at once.
const BATCH: i64 = 500;

/// How many written events wait for a slow connection.
const UNSENT: usize = 64;

/// What all listeners hear.
#[derive(Clone, Debug)]
enum Item {
    Change {
        sequence: i64,
        text: Bytes,
    },
    Clock(Bytes),
    /// The cookies, by their SHA-256, of sessions that were ended just now.
    Ended(Arc<HashSet<String>>),
}

/// The one reader of the change feed.
#[derive(Clone, Debug)]
pub struct Feed {
    items: broadcast::Sender<Item>,
}

impl Default for Feed {
    fn default() -> Feed {
        Feed {
            items: broadcast::Sender::new(BACKLOG),
        }
    }
}

impl Feed {
    /// Reads changes and tells the clock until `stop` is cancelled; `now` is the machine's clock.
    pub async fn run(
        &self,
        store: Store,
        consoles: ConsolesHandle,
        now: impl Fn() -> Moment,
        stop: CancellationToken,
    ) {
        let mut committed = store.subscribe();
        let mut clock = tokio::time::interval(CLOCK_INTERVAL);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut after = None;
        loop {
            if let Err(error) = self.read(&store, &mut after).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the changes could not be read"
                );
            }
            tokio::select! {
                () = stop.cancelled() => return,
                // An error means that the store is gone, which `stop` will follow; the clock goes on.
                Ok(()) = committed.changed() => {}
                _ = clock.tick() => {
                    // Nobody listening is not an error.
                    let _ = self.items.send(Item::Clock(clock_event(&consoles)));
                    if let Err(error) = self.tell_ended(&store, now()).await {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "which sessions ended could not be read"
                        );
                    }
                }
            }
        }
    }

    async fn tell_ended(&self, store: &Store, now: Moment) -> Result<(), StoreError> {
        let since = now.plus_seconds(-ENDED_SECONDS);
        let ended = store.session_list_ended(since).await?;
        if !ended.is_empty() {
            let ended = Arc::new(ended.into_iter().collect());
            let _ = self.items.send(Item::Ended(ended));
        }
        Ok(())
    }

    async fn read(&self, store: &Store, after: &mut Option<i64>) -> Result<(), StoreError> {
        let mut last = match *after {
            Some(last) => last,
            None => store.change_latest().await?,
        };
        loop {
            let changes = store.change_list(last, BATCH).await?;
            let more = changes.len() as i64 == BATCH;
            for change in changes {
                last = change.sequence;
                let _ = self.items.send(Item::Change {
                    sequence: last,
                    text: change_event(&change),
                });
            }
            *after = Some(last);
            if !more {
                return Ok(());
            }
        }
    }
}

/// GET /events
pub async fn events(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    if !caller.signed_in()?.may(Verb::View) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "Your roles do not let you view anything.",
        ));
    }
    let mut given = crate::api::parameters(&uri, &["last_event_id"])?;
    let asked = match headers.get("last-event-id") {
        Some(header) => Some(header.to_str().unwrap_or("unreadable").to_string()),
        None => given.remove("last_event_id"),
    };
    let asked = match asked.as_deref() {
        None | Some("") => None,
        Some(text) => match text.parse::<i64>() {
            Ok(id @ 0..) => Some(id),
            _ => {
                return Err(Problem::parameter(
                    "last_event_id",
                    "the id of an event of this stream",
                ));
            }
        },
    };
    // Joined before the store is read, so that nothing falls between.
    let items = deps.feed.items.subscribe();
    let failed = |error| Problem::of_store(&error, "read the changes");
    let latest = deps.store.change_latest().await.map_err(failed)?;
    let oldest = deps.store.change_oldest().await.map_err(failed)?;
    let mut first = "retry: 2000\n\n".to_string();
    let after = match asked {
        Some(id) if id > latest || oldest.is_some_and(|oldest| id < oldest - 1) => {
            first.push_str(&format!("event: reset\nid: {latest}\ndata: {{}}\n\n"));
            latest
        }
        Some(id) => id,
        None => latest,
    };
    // With an id at once, so that a stream that breaks before the first change can be resumed.
    first.push_str(&format!("id: {after}\n"));
    let first = [first.as_bytes(), &clock_event(&deps.consoles)].concat();

    let (sender, receiver) = mpsc::channel(UNSENT);
    let listener = Listener {
        deps,
        proof: caller.proof,
        after,
        sender,
    };
    tokio::spawn(async move { listener.run(Bytes::from(first), items).await });
    let stream = ReceiverStream::new(receiver).map(Ok::<Bytes, Infallible>);
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    // Proxies that buffer would turn "live" into "later".
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// One open stream.
struct Listener {
    deps: Deps,
    proof: Proof,
    after: i64,
    sender: mpsc::Sender<Bytes>,
}

/// The stream has ended: the browser is gone.
struct Gone;

impl Listener {
    async fn run(mut self, first: Bytes, mut items: broadcast::Receiver<Item>) {
        let streams = &self.deps.clone().metrics.streams;
        streams.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let stop = self.deps.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {
                // A browser that reads so slowly that there is no room comes back by the first hint.
                let _ = self.sender.try_send(farewell());
            }
            _ = self.listen(first, &mut items) => {}
        }
        streams.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }

    async fn listen(
        &mut self,
        first: Bytes,
        items: &mut broadcast::Receiver<Item>,
    ) -> Result<(), Gone> {
        self.send(first).await?;
        self.catch_up().await?;
        let mut check_at = Instant::now() + CHECK_INTERVAL;
        loop {
            // A closed browser is noticed by the next item, at the latest the clock's.
            match items.recv().await {
                Ok(Item::Change { sequence, text }) if sequence > self.after => {
                    self.after = sequence;
                    self.send(text).await?;
                }
                Ok(Item::Change { .. }) => {}
                Ok(Item::Clock(text)) => self.send(text).await?,
                Ok(Item::Ended(sessions)) => {
                    if let Proof::Session(session) = &self.proof
                        && sessions.contains(&session.record.token_sha256)
                    {
                        return Ok(());
                    }
                }
                Err(RecvError::Lagged(_)) => self.catch_up().await?,
                Err(RecvError::Closed) => return Ok(()),
            }
            if Instant::now() >= check_at {
                check_at = Instant::now() + CHECK_INTERVAL;
                // A database that does not answer says nothing about who is signed in.
                if matches!(
                    session::still_holds(&self.deps, &self.proof).await,
                    Ok(false)
                ) {
                    return Ok(());
                }
            }
        }
    }

    async fn catch_up(&mut self) -> Result<(), Gone> {
        loop {
            let changes = match self.deps.store.change_list(self.after, BATCH).await {
                Ok(changes) => changes,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "missed changes could not be read"
                    );
                    // The browser comes back with the last id it saw.
                    return Err(Gone);
                }
            };
            let more = changes.len() as i64 == BATCH;
            for change in changes {
                self.after = change.sequence;
                self.send(change_event(&change)).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    async fn send(&self, text: Bytes) -> Result<(), Gone> {
        self.sender.send(text).await.map_err(|_| Gone)
    }
}

/// The last words of a server that ends: when to come back. Spread out, so that not all browsers come at once to
/// the server that takes its place.
fn farewell() -> Bytes {
    let mut random = [0; 2];
    fill_random(&mut random);
    let millis = 500 + u32::from(u16::from_le_bytes(random)) % 2500;
    Bytes::from(format!(": the server ends\nretry: {millis}\n\n"))
}

fn change_event(change: &ChangeRecord) -> Bytes {
    let data = json!({
        "sequence": change.sequence,
        "kind": change.kind,
        "subject": change.subject,
        "deployment_id": change.deployment_id,
        "at": change.at,
    });
    Bytes::from(format!(
        "event: change\nid: {}\ndata: {data}\n\n",
        change.sequence
    ))
}

fn clock_event(consoles: &ConsolesHandle) -> Bytes {
    Bytes::from(format!(
        "event: clock\ndata: {}\n\n",
        json!({ "now": consoles.clock() })
    ))
}
