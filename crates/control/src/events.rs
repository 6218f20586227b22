//! Events: hints that make the watcher look now. Nothing is recorded from them.
//!
//! The process that leads reads the queues. What the webhook takes, at whichever process, waits in the database until
//! the one that leads has heard it. Every hint ends in the mailbox of its account and region,
//! where equal ones are one; [`crate::watch`] empties it. So events that are lost, repeated, late or out of order change
//! when AWS is looked at, and nothing else.
//!
//! A region's idle services are looked at seldom only while a queue that has brought an event of that region answers.
//! An empty answer is a sign of life too. When the queue cannot be read, or a look finds a deployment that no event told
//! of, looks are back at their usual pace.

use crate::Control;
use crate::accounts::key;
use crate::error::store_refusal;
use crate::gates::use_signature;
use crate::lock;
use crate::supervise;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::time::Duration;
use switchback_cloud::Cloud;
use switchback_cloud::events::EventQueue;
use switchback_cloud::events::QueueAttributes;
use switchback_cloud::events::QueuedMessage;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_domain::event::EventHint;
use switchback_domain::event::EventSubject;
use switchback_domain::event::read_event;
use switchback_domain::moment::Moment;
use switchback_store::StoreError;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long after its last answer a queue still counts as read: longer than the longest wait for a message (20 s).
const ANSWERS_COUNT: Duration = Duration::from_secs(60);

/// How many events are remembered, to know those that come again.
const REMEMBERED: usize = 10_000;

/// How many accounts and regions that are not watched are named.
const NAMED: usize = 20;

/// The pause after a queue could not be read; it doubles up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often it is asked whether another process took an event.
const POSTED_INTERVAL: Duration = Duration::from_millis(250);

/// How often it is asked how a queue is set up and how much waits in it.
const ATTRIBUTES_INTERVAL: Duration = Duration::from_secs(300);

/// How often the answers of a queue are written down as a sign of life.
const SIGN_OF_LIFE_INTERVAL: Duration = Duration::from_secs(10);

/// A deployment that a look finds this long after it began, in milliseconds, should have been told by an event.
const MISSED_MILLIS: i64 = 30_000;

/// What events told of an account and region. Every process knows it: the one that leads tells the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EventsHeard {
    /// The queue in this region, if it is read.
    pub(crate) queue: Option<QueueHeard>,
    /// The queue that has brought an event of this region, unless one was missed since.
    pub(crate) through: Option<String>,
    /// Whether that queue answers.
    pub(crate) on: bool,
    /// When the last event came (the account's clock).
    pub(crate) last_at: Option<Moment>,
    /// Its detail-type.
    pub(crate) last_type: Option<String>,
    /// Events that made us look.
    pub(crate) taken: i64,
    /// Of these, by the webhook.
    pub(crate) by_webhook: i64,
    /// Events that came again.
    pub(crate) repeated: i64,
    /// Events of other kinds.
    pub(crate) ignored: i64,
    /// Deployments that no event had told of.
    pub(crate) missed: i64,
}

/// How it goes with a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct QueueHeard {
    /// Its name.
    pub(crate) name: String,
    /// When it last answered (the account's clock).
    pub(crate) answered_at: Option<Moment>,
    /// What went wrong since.
    pub(crate) trouble: Option<String>,
    /// How it is set up.
    pub(crate) attributes: Option<QueueAttributes>,
    /// Messages that could not be read.
    pub(crate) unreadable: i64,
    /// Why the last of them could not.
    pub(crate) unreadable_because: Option<String>,
    /// Accounts and regions that are not watched, with a space between, and how many events came of each.
    pub(crate) not_watched: BTreeMap<String, i64>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTaken {
    /// AWS is looked at.
    Taken,
    /// It came before.
    Repeated,
    /// It is of a kind that says nothing about what is watched.
    Ignored,
    /// Its account or region is not watched.
    NotWatched,
}

impl EventTaken {
    /// As the API and the numbers call it.
    pub const fn word(self) -> &'static str {
        match self {
            EventTaken::Taken => "taken",
            EventTaken::Repeated => "repeated",
            EventTaken::Ignored => "ignored",
            EventTaken::NotWatched => "not_watched",
        }
    }
}

/// How an event came.
#[derive(Clone, Copy, Debug)]
enum Via<'a> {
    Queue(&'a str),
    Webhook,
}

impl Via<'_> {
    const fn word(self) -> &'static str {
        match self {
            Via::Queue(_) => "queue",
            Via::Webhook => "webhook",
        }
    }
}

/// Where the hints of one account and region wait.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<BTreeSet<EventSubject>>,
    /// Something waits.
    pub(crate) arrived: Notify,
    /// The pace of looks has changed: something moves, or the queue cannot be read.
    pub(crate) pace: Notify,
}

impl Mailbox {
    fn put(&self, subject: EventSubject) {
        lock(&self.waiting).insert(subject);
        self.arrived.notify_one();
    }

    /// Everything that waits.
    pub(crate) fn take(&self) -> BTreeSet<EventSubject> {
        std::mem::take(&mut *lock(&self.waiting))
    }
}

/// The latest of what was seen, to know it again.
#[derive(Debug, Default)]
struct Seen {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    /// False when it was seen before.
    fn insert(&mut self, id: &str) -> bool {
        if !self.known.insert(id.to_string()) {
            return false;
        }
        self.order.push_back(id.to_string());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// The state of events in this process.
#[derive(Default)]
pub(crate) struct Events {
    /// Set before the work begins, or never.
    queues: OnceLock<Vec<Arc<dyn EventQueue>>>,
    /// One for each of the clouds.
    mailboxes: Vec<Mailbox>,
    /// By queue, when it last answered.
    answered: Mutex<BTreeMap<String, Instant>>,
    events: Mutex<Seen>,
    unreadable: Mutex<Seen>,
    /// The webhook of this process took an event.
    posted: Notify,
}

impl Events {
    pub(crate) fn new(clouds: usize) -> Events {
        Events {
            mailboxes: (0..clouds).map(|_| Mailbox::default()).collect(),
            ..Events::default()
        }
    }

    pub(crate) fn mailbox(&self, index: usize) -> Option<&Mailbox> {
        self.mailboxes.get(index)
    }
}

impl Control {
    /// Reads these queues whenever this process leads. A second list is not taken.
    pub fn read_events(&self, queues: Vec<Arc<dyn EventQueue>>) {
        for queue in &queues {
            self.heard(&self.home_of(&**queue), |heard| {
                heard.queue.get_or_insert_default().name = queue.name().to_string();
            });
        }
        if self.inner.events.queues.set(queues).is_err() {
            tracing::error!("a second list of queues was given; the first one is kept");
        }
    }

    /// An event of the webhook whose signature was good. Holds that each signature is used once; whoever leads hears of
    /// it through the database.
    pub async fn receive_event(
        &self,
        hint: &EventHint,
        signature: &str,
    ) -> Result<EventTaken, Refusal> {
        let now = self.clock();
        let text = serde_json::to_string(hint).map_err(|_| {
            Refusal::new(
                RefusalKind::Internal,
                "internal",
                "The event could not be passed on. Nothing was done.",
            )
        })?;
        let mut tx = self.begin().await.map_err(store_refusal)?;
        use_signature(&mut tx, signature, now).await?;
        tx.event_hint_insert(&hint.id, &text, now)
            .await
            .map_err(store_refusal)?;
        tx.commit().await.map_err(store_refusal)?;
        self.inner.events.posted.notify_one();
        Ok(match self.watched_by(hint) {
            None => EventTaken::NotWatched,
            Some(_) if hint.subject.is_none() => EventTaken::Ignored,
            Some(_) => EventTaken::Taken,
        })
    }

    /// The index of the cloud whose account and region an event is of. An account that AWS has not told yet may be it,
    /// unless another one is.
    fn watched_by(&self, hint: &EventHint) -> Option<usize> {
        let position = |account: Option<&str>| {
            self.inner.clouds.iter().position(|cloud| {
                cloud.region() == hint.region && self.number_of(&**cloud).as_deref() == account
            })
        };
        position(Some(&hint.account)).or_else(|| position(None))
    }

    /// Reads the queues and hears the webhook's events until `stop` is cancelled.
    pub(crate) fn spawn_events(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        for queue in self.inner.events.queues.get().into_iter().flatten() {
            let (control, queue, stop) = (self.clone(), queue.clone(), stop.clone());
            tasks.spawn(async move {
                supervise::keep_running("reading events", stop.clone(), || {
                    control.read_queue_until(queue.clone(), stop.clone())
                })
                .await;
            });
        }
        let (control, stop) = (self.clone(), stop.clone());
        tasks.spawn(async move {
            supervise::keep_running("hearing events", stop.clone(), || {
                control.hear_webhook_until(stop.clone())
            })
            .await;
        });
    }

    // ---- the queue ------------------------------------------------------------------------------

    async fn read_queue_until(&self, queue: Arc<dyn EventQueue>, stop: CancellationToken) {
        let mut pause = SHORTEST_PAUSE;
        let mut attributes_due = Instant::now();
        loop {
            if attributes_due <= Instant::now() {
                attributes_due = Instant::now() + ATTRIBUTES_INTERVAL;
                self.read_attributes(&*queue).await;
            }
            let received = tokio::select! {
                () = stop.cancelled() => return,
                received = queue.receive() => received,
            };
            let wait = match received {
                Ok(messages) => {
                    self.queue_answered(&*queue).await;
                    pause = SHORTEST_PAUSE;
                    match self.take_messages(&*queue, messages).await {
                        true => Duration::ZERO,
                        false => SHORTEST_PAUSE,
                    }
                }
                Err(error) => {
                    self.queue_failed(&*queue, &error.to_string());
                    attributes_due = Instant::now();
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    wait
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// The account and region under which a queue is told of: the first in its region, else the first.
    fn home_cloud(&self, queue: &dyn EventQueue) -> Option<&Arc<dyn Cloud>> {
        let clouds = &self.inner.clouds;
        let own = clouds.iter().find(|cloud| cloud.region() == queue.region());
        own.or(clouds.first())
    }

    /// Its [`key`].
    fn home_of(&self, queue: &dyn EventQueue) -> String {
        let home = self.home_cloud(queue);
        home.map(|cloud| key(&**cloud)).unwrap_or_default()
    }

    fn heard<T>(&self, place: &str, change: impl FnOnce(&mut EventsHeard) -> T) -> T {
        let mut looked = lock(&self.inner.looked);
        change(&mut looked.entry(place.to_string()).or_default().events)
    }

    fn of_queue(&self, queue: &dyn EventQueue, change: impl FnOnce(&mut QueueHeard)) {
        self.heard(&self.home_of(queue), |heard| {
            change(heard.queue.get_or_insert_default());
        });
    }

    async fn read_attributes(&self, queue: &dyn EventQueue) {
        match queue.attributes().await {
            Ok(attributes) => {
                let none_before = lock(&self.inner.looked)
                    .get(&self.home_of(queue))
                    .and_then(|looked| looked.events.queue.as_ref()?.attributes.as_ref())
                    .is_none();
                if none_before && attributes.dead_letter_queue.is_none() {
                    tracing::warn!(
                        queue = queue.name(),
                        "the queue of events has no dead-letter queue: a message that cannot be read comes again until it expires"
                    );
                }
                self.of_queue(queue, |heard| heard.attributes = Some(attributes));
            }
            // Receiving says more clearly what is wrong with the queue itself.
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                queue = queue.name(),
                "how the queue of events is set up is not known"
            ),
        }
    }

    async fn queue_answered(&self, queue: &dyn EventQueue) {
        lock(&self.inner.events.answered).insert(queue.name().to_string(), Instant::now());
        let now = match self.home_cloud(queue) {
            Some(cloud) => cloud.now(),
            None => self.clock(),
        };
        let mut was_in_trouble = false;
        self.of_queue(queue, |heard| {
            heard.answered_at = Some(now);
            was_in_trouble = heard.trouble.take().is_some();
        });
        if was_in_trouble {
            tracing::info!(queue = queue.name(), "the queue of events answers again");
        }
        for cloud in &self.inner.clouds {
            if self.events_through(&**cloud).as_deref() == Some(queue.name()) {
                self.sign_of_life(&**cloud).await;
            }
        }
    }

    /// While events arrive, that the queue answers counts as much as a look: nothing that happens in between goes
    /// unnoticed longer than a look takes to come.
    async fn sign_of_life(&self, cloud: &dyn Cloud) {
        let account = {
            let looked = lock(&self.inner.looked);
            let Some(looked) = looked.get(&key(cloud)) else {
                return;
            };
            let due = looked
                .good
                .is_some_and(|(_, at)| at.elapsed() >= SIGN_OF_LIFE_INTERVAL);
            match &looked.account {
                Some(account) if due && looked.failed.is_none() => account.clone(),
                _ => return,
            }
        };
        let written = match self.inner.store.watch_fetch(&account, cloud.region()).await {
            Ok(Some(watch)) => self.looked_well(cloud, &watch, cloud.now()).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = written {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                aws.region = cloud.region(),
                "that events are heard could not be written down"
            );
        }
    }

    fn queue_failed(&self, queue: &dyn EventQueue, words: &str) {
        lock(&self.inner.events.answered).remove(queue.name());
        let mut is_new = false;
        self.of_queue(queue, |heard| {
            is_new = heard.trouble.as_deref() != Some(words);
            heard.trouble = Some(words.to_string());
        });
        if is_new {
            tracing::warn!(
                queue = queue.name(),
                error = words,
                "the queue of events cannot be read; AWS is looked at as often as without it"
            );
            for mailbox in &self.inner.events.mailboxes {
                mailbox.pace.notify_one();
            }
        }
    }

    /// Takes the messages, and deletes those that were: what cannot be read stays for the dead-letter queue, and what
    /// could not be judged now comes again. False when something went wrong.
    async fn take_messages(&self, queue: &dyn EventQueue, messages: Vec<QueuedMessage>) -> bool {
        let mut done = Vec::new();
        let mut all_well = true;
        for message in messages {
            match read_event(message.body.as_bytes()) {
                Err(error) => self.unreadable(queue, &message, &error.to_string()),
                Ok(hint) => match self.take_event(hint, Via::Queue(queue.name())).await {
                    Some(_) => done.push(message.receipt),
                    None => all_well = false,
                },
            }
        }
        if !done.is_empty()
            && let Err(error) = queue.delete(&done).await
        {
            // They come again, and are known then.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                queue = queue.name(),
                "events that were taken could not be deleted from the queue"
            );
            all_well = false;
        }
        all_well
    }

    /// Counted once, however often it is received.
    fn unreadable(&self, queue: &dyn EventQueue, message: &QueuedMessage, why: &str) {
        if !lock(&self.inner.events.unreadable).insert(&message.id) {
            return;
        }
        tracing::warn!(
            queue = queue.name(),
            message.id,
            why,
            "a message in the queue of events cannot be read; it is left for the dead-letter queue"
        );
        count("elsewhere", "queue", "unreadable");
        self.of_queue(queue, |heard| {
            heard.unreadable += 1;
            heard.unreadable_because = Some(why.to_string());
        });
    }

    // ---- the webhook ----------------------------------------------------------------------------

    /// Takes the events that the webhook of any process took.
    async fn hear_webhook_until(&self, stop: CancellationToken) {
        loop {
            let wait = match self.hear_webhook().await {
                Ok(()) => POSTED_INTERVAL,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the events of the webhook could not be read"
                    );
                    SHORTEST_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.inner.events.posted.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn hear_webhook(&self) -> Result<(), StoreError> {
        for (event_id, text) in self.inner.store.event_hint_list().await? {
            match serde_json::from_str::<EventHint>(&text) {
                Ok(hint) => {
                    if self.take_event(hint, Via::Webhook).await.is_none() {
                        // AWS does not tell which account this is; the event waits, and no other one for it.
                        continue;
                    }
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an event that another process took cannot be read"
                ),
            }
            let mut tx = self.begin().await?;
            tx.event_hint_delete(&event_id).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    // ---- both -----------------------------------------------------------------------------------

    /// Puts an event where it is looked after. `None` when it is not known whether its account is watched.
    async fn take_event(&self, hint: EventHint, via: Via<'_>) -> Option<EventTaken> {
        if let Some(cloud) = self
            .watched_by(&hint)
            .and_then(|index| self.inner.clouds.get(index))
            && self.number_of(&**cloud).is_none()
            && self.account_of(&**cloud).await.is_err()
        {
            return None;
        }
        let watched = self.watched_by(&hint);
        let is_new = lock(&self.inner.events.events).insert(&hint.id);
        let taken = match (watched, is_new, &hint.subject) {
            (_, false, _) => EventTaken::Repeated,
            (None, _, _) => EventTaken::NotWatched,
            (Some(_), _, None) => EventTaken::Ignored,
            (Some(_), _, Some(_)) => EventTaken::Taken,
        };
        let region = watched.map_or("elsewhere", |_| hint.region.as_str());
        count(region, via.word(), taken.word());
        let Some(index) = watched else {
            if is_new {
                self.name_not_watched(&hint, via);
            }
            return Some(taken);
        };
        let Some(cloud) = self.inner.clouds.get(index) else {
            return Some(taken);
        };
        let now = cloud.now();
        self.heard(&key(&**cloud), |heard| {
            heard.last_at = Some(now);
            heard.last_type = Some(hint.detail_type.clone());
            match taken {
                EventTaken::Taken => heard.taken += 1,
                EventTaken::Repeated => heard.repeated += 1,
                EventTaken::Ignored | EventTaken::NotWatched => heard.ignored += 1,
            }
            match via {
                Via::Webhook => heard.by_webhook += i64::from(taken == EventTaken::Taken),
                Via::Queue(name) => heard.through = Some(name.to_string()),
            }
        });
        if let (EventTaken::Taken, Some(subject), Some(mailbox)) =
            (taken, hint.subject, self.inner.events.mailbox(index))
        {
            mailbox.put(subject);
        }
        Some(taken)
    }

    /// An event of an account or region that nobody watches: a rule or a queue is set up for more than Switchback is.
    fn name_not_watched(&self, hint: &EventHint, via: Via<'_>) {
        let name = format!("{} {}", hint.account, hint.region);
        let places: Vec<String> = self
            .inner
            .clouds
            .iter()
            .map(|cloud| key(&**cloud))
            .collect();
        let home = match via {
            Via::Queue(queue) => places.iter().find(|place| {
                self.heard(place, |heard| {
                    heard
                        .queue
                        .as_ref()
                        .is_some_and(|heard| heard.name == queue)
                })
            }),
            Via::Webhook => None,
        };
        let Some(home) = home.or(places.first()) else {
            return;
        };
        let is_first = self.heard(home, |heard| {
            let not_watched = &mut heard.queue.get_or_insert_default().not_watched;
            let is_known = not_watched.contains_key(&name);
            if is_known || not_watched.len() < NAMED {
                *not_watched.entry(name).or_default() += 1;
            }
            !is_known
        });
        if is_first {
            tracing::warn!(
                account = hint.account,
                aws.region = hint.region,
                "events come of an account and region that are not watched"
            );
        }
    }

    /// The queue that events of an account and region are known to come through.
    fn events_through(&self, cloud: &dyn Cloud) -> Option<String> {
        let looked = lock(&self.inner.looked);
        looked.get(&key(cloud))?.events.through.clone()
    }

    /// Whether events of an account and region arrive, so that its idle services need not be looked at often.
    pub(crate) fn events_are_on(&self, cloud: &dyn Cloud) -> bool {
        let Some(queue) = self.events_through(cloud) else {
            return false;
        };
        lock(&self.inner.events.answered)
            .get(&queue)
            .is_some_and(|at| at.elapsed() < ANSWERS_COUNT)
    }

    /// A look has found a deployment. When it began some time ago and no event told of it, events are not relied on
    /// until the next one comes.
    pub(crate) fn found_by_a_look(&self, cloud: &dyn Cloud, millis_ago: i64) {
        if millis_ago < MISSED_MILLIS {
            return;
        }
        self.heard(&key(cloud), |heard| {
            if heard.queue.is_some() || heard.through.is_some() || heard.by_webhook > 0 {
                heard.missed += 1;
                heard.through = None;
            }
        });
    }
}

/// Counts an event. Only watched regions are labels.
fn count(region: &str, source: &'static str, outcome: &'static str) {
    metrics::counter!(
        "switchback_events_total",
        "region" => region.to_string(),
        "source" => source,
        "outcome" => outcome,
    )
    .increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_known_again_until_it_is_long_ago() {
        let mut seen = Seen::default();
        assert!(seen.insert("first"));
        assert!(!seen.insert("first"));
        for number in 0..REMEMBERED {
            assert!(seen.insert(&number.to_string()));
        }
        assert_eq!(seen.known.len(), REMEMBERED);
        assert!(seen.insert("first"), "the oldest is forgotten");
    }

    #[test]
    fn equal_hints_are_one() {
        let mailbox = Mailbox::default();
        for id in ["d-1", "d-2", "d-1"] {
            mailbox.put(EventSubject::Deployment(id.to_string()));
        }
        assert_eq!(mailbox.take().len(), 2);
        assert!(mailbox.take().is_empty());
    }
}
