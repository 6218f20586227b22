#![doc = include_str!("../README.md")]

mod accounts;
pub mod console;
mod error;
mod events;
mod evidence;
mod gates;
mod leading;
mod ledger;
mod operations;
mod remembered;
mod sealing;
pub mod supervise;
mod views;
mod watch;

use crate::events::Events;
use crate::leading::Acting;
use crate::remembered::Remembered;
use crate::watch::Look;
use crate::watch::Looked;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::Duration;
use switchback_cloud::Cloud;
use switchback_cloud::ledger::Ledger;
use switchback_contract::ConsoleHandle;
use switchback_contract::Refusal;
use switchback_domain::actor::Actor;
use switchback_domain::gate::GatePolicy;
use switchback_domain::import::pause_millis;
use switchback_domain::moment::Moment;
use switchback_store::Store;
use switchback_store::StoreError;
use switchback_store::Tx;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use tracing::Span;

pub use crate::accounts::AccountLook;
pub use crate::events::EventTaken;
pub use crate::gates::FunctionAnswer;
pub use crate::gates::FunctionRun;
pub use crate::gates::HookMessage;
pub use crate::gates::HookReceived;
pub use crate::ledger::LedgerState;
pub use crate::sealing::SealingSettings;

/// How often AWS is looked at.
#[derive(Clone, Copy, Debug)]
pub struct ControlSettings {
    /// While a deployment is under way.
    pub poll_active: Duration,
    /// While nothing moves.
    pub poll_idle: Duration,
    /// While nothing moves and events arrive; not less than `poll_idle`.
    pub poll_events: Duration,
}

impl ControlSettings {
    /// The longest time between two looks that go well.
    pub fn longest(&self) -> Duration {
        self.poll_idle.max(self.poll_events)
    }
}

/// Requests are counted for at least this many seconds before their pace is told: the first looks and the import of the
/// past are not what watching costs.
pub(crate) const PACE_AFTER_SECONDS: u64 = 600;

/// How many times the idle interval passes between two full looks at all services and groups.
const IDLE_INTERVALS_PER_FULL_LOOK: u32 = 10;

/// How long two full looks are apart at most, where events make the looks between them rare: how many tasks run is told
/// by no event.
const LONGEST_BETWEEN_FULL_LOOKS: Duration = Duration::from_secs(15 * 60);

/// The longest pause after looks that AWS throttled.
const LONGEST_THROTTLED_PAUSE: Duration = Duration::from_secs(30);

/// How often fuses and unfinished work are looked at when nobody gives notice.
const ACT_INTERVAL: Duration = Duration::from_millis(250);

/// A source of moments.
pub type MomentSource = Arc<dyn Fn() -> Moment + Send + Sync>;
/// A source of eight random bytes.
pub type RandomSource = Arc<dyn Fn() -> [u8; 8] + Send + Sync>;

/// The work of Switchback. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
    /// The lease under which this clone watches and acts. The clones that only serve pages have none.
    acting: Option<Acting>,
}

pub(crate) struct Inner {
    store: Store,
    clouds: Vec<Arc<dyn Cloud>>,
    settings: ControlSettings,
    machine_clock: MomentSource,
    random: RandomSource,
    policy: GatePolicy,
    wake_watch: Notify,
    wake_acts: Notify,
    /// What is being done for gates, hooks and operations. Awaited at the end: a call that is in the air has its answer recorded.
    work: TaskTracker,
    /// Cancelled when the server ends: nothing new is begun.
    stopping: CancellationToken,
    /// Gates and operations whose call is being made by this process right now.
    in_flight: Mutex<HashSet<String>>,
    /// Groups that deploy no watched ECS service, as the account and region's [`accounts::key`], application and group;
    /// forgotten at every full look there.
    unwatched: Mutex<HashSet<(String, String, String)>>,
    /// By [`accounts::key`]: the account number and how the last look went.
    looked: Mutex<BTreeMap<String, Looked>>,
    /// Set before the work begins, or never.
    ledger: OnceLock<Arc<dyn Ledger>>,
    ledger_state: Mutex<LedgerState>,
    events: Events,
    remembered: Remembered,
    /// Set before the work begins, or never.
    sealing: OnceLock<SealingSettings>,
}

impl Control {
    /// Wires the work together. Nothing happens before [`Control::run`].
    pub fn new(
        store: Store,
        clouds: Vec<Arc<dyn Cloud>>,
        settings: ControlSettings,
        machine_clock: MomentSource,
        random: RandomSource,
    ) -> Control {
        Control {
            acting: None,
            inner: Arc::new(Inner {
                events: Events::new(clouds.len()),
                store,
                clouds,
                settings,
                machine_clock,
                random,
                policy: GatePolicy::default(),
                wake_watch: Notify::new(),
                wake_acts: Notify::new(),
                work: TaskTracker::new(),
                stopping: CancellationToken::new(),
                in_flight: Mutex::new(HashSet::new()),
                unwatched: Mutex::new(HashSet::new()),
                looked: Mutex::new(BTreeMap::new()),
                ledger: OnceLock::new(),
                ledger_state: Mutex::new(LedgerState::default()),
                remembered: Remembered::default(),
                sealing: OnceLock::new(),
            }),
        }
    }

    /// What one actor may see and ask. `None` is somebody who is not signed in.
    pub fn for_actor(&self, actor: Option<Actor>) -> ConsoleHandle {
        Arc::new(console::Desk::new(self.clone(), actor))
    }

    /// Wakes the reconcilers now.
    pub fn nudge(&self) {
        self.inner.wake_watch.notify_waiters();
        self.inner.wake_acts.notify_one();
    }

    /// The account's clock. With several accounts and regions, that of the first one that AWS has answered from.
    pub fn clock(&self) -> Moment {
        let clouds = &self.inner.clouds;
        let heard = clouds.iter().find(|cloud| self.hears(&***cloud));
        match heard.or(clouds.first()) {
            Some(cloud) => cloud.now(),
            None => (self.inner.machine_clock)(),
        }
    }

    /// A hook whose signature was good. Holds that each signature is used once, and opens the gate.
    pub async fn receive_hook(
        &self,
        hook: HookMessage,
        signature: &str,
    ) -> Result<HookReceived, Refusal> {
        self.take_hook(hook, signature).await
    }

    /// A run of the relay as the function of a Lambda hook of ECS, whose signature was good: what it returns to ECS.
    pub async fn receive_function_run(
        &self,
        run: FunctionRun,
        signature: &str,
    ) -> Result<FunctionAnswer, Refusal> {
        self.take_function_run(run, signature).await
    }

    /// Whether AWS of any region has answered, so that [`Control::clock`] is the account's and not the machine's.
    pub fn hears_aws(&self) -> bool {
        lock(&self.inner.looked)
            .values()
            .any(|looked| looked.account.is_some())
    }

    /// Marks something as being worked on by this process; `None` when it already is.
    pub(crate) fn claim(&self, what: &str) -> Option<Claim> {
        lock(&self.inner.in_flight)
            .insert(what.to_string())
            .then(|| Claim {
                inner: self.inner.clone(),
                what: what.to_string(),
            })
    }

    /// A transaction of the work. While this process watches and acts, it holds that nobody else does by now.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        let mut tx = self.inner.store.begin().await?;
        if let Some(acting) = &self.acting {
            tx.lease_hold(&acting.name, acting.fence).await?;
        }
        Ok(tx)
    }

    /// Does something in the background under a claim, unless the server ends. A panic keeps the claim for a while,
    /// so that what panics is not tried four times a second.
    pub(crate) fn spawn_work(
        &self,
        claim: Claim,
        span: Span,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let control = self.clone();
        let work = async move {
            let _claim = claim;
            if control.inner.stopping.is_cancelled() {
                return;
            }
            if supervise::caught("acting on one thing", work)
                .await
                .is_none()
            {
                control.pause(i64::MAX).await;
            }
        };
        self.inner.work.spawn(work.instrument(span));
    }

    async fn watch_until(&self, index: usize, stop: CancellationToken) {
        let Some(cloud) = self.inner.clouds.get(index).cloned() else {
            return;
        };
        let Some(mailbox) = self.inner.events.mailbox(index) else {
            return;
        };
        let mut full_look_at: Option<tokio::time::Instant> = None;
        let mut unreached = 0;
        loop {
            let notice = self.inner.wake_watch.notified();
            tokio::pin!(notice);
            // From here on a notice is not missed, even while the look is still running.
            notice.as_mut().enable();
            let began = tokio::time::Instant::now();
            let usual = self.inner.settings.poll_idle * IDLE_INTERVALS_PER_FULL_LOOK;
            let seldom = self.idle_pace(&*cloud) * IDLE_INTERVALS_PER_FULL_LOOK;
            let between_full_looks = seldom.min(LONGEST_BETWEEN_FULL_LOOKS).max(usual);
            let full = full_look_at.is_none_or(|at| began - at >= between_full_looks);
            let span = tracing::info_span!(
                "look",
                aws.account = cloud.assumed().map(|assumed| assumed.account.as_str()),
                aws.region = cloud.region(),
                full
            );
            let look = self.look(&*cloud, full).instrument(span).await;
            if full && look != Look::Unreached {
                full_look_at = Some(began);
            }
            unreached = match look {
                Look::Unreached => unreached + 1,
                Look::Moving | Look::Idle => 0,
            };
            let wait = self.pace(&*cloud, look, unreached);
            tokio::select! {
                () = stop.cancelled() => return,
                () = notice => {}
                () = mailbox.pace.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// How long an account and region is not looked at while nothing moves in it.
    pub(crate) fn idle_pace(&self, cloud: &dyn Cloud) -> Duration {
        if self.events_are_on(cloud) {
            self.inner.settings.longest()
        } else {
            self.inner.settings.poll_idle
        }
    }

    /// How long it is until the next look, which is written down. After looks that AWS throttled it doubles.
    /// `unreached` is how many looks in a row did not reach the account.
    fn pace(&self, cloud: &dyn Cloud, look: Look, unreached: u32) -> Duration {
        let settings = &self.inner.settings;
        let usual = match look {
            Look::Moving => settings.poll_active,
            Look::Idle => self.idle_pace(cloud),
            // More and more seldom, and in the end as often as when nothing moves.
            Look::Unreached => Duration::from_millis(pause_millis(unreached))
                .min(settings.poll_idle)
                .max(settings.poll_active),
        };
        let mut looked = lock(&self.inner.looked);
        let looked = looked.entry(accounts::key(cloud)).or_default();
        let slowed = match looked.throttled {
            0 => usual,
            times => usual
                .saturating_mul(2_u32.saturating_pow(times))
                .min(LONGEST_THROTTLED_PAUSE)
                .max(usual),
        };
        looked.pace_millis = u64::try_from(slowed.as_millis()).unwrap_or(u64::MAX);
        slowed
    }

    async fn act_until(&self, stop: CancellationToken) {
        // Decisions and intents of other processes arrive as changes.
        let mut changes = self.inner.store.subscribe();
        loop {
            self.expire_gates().await;
            self.open_waiting_gates().await;
            self.deliver_verdicts().await;
            self.carry_out_operations().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.inner.wake_acts.notified() => {}
                // An error means that the store is gone, which `stop` will follow.
                Ok(()) = changes.changed() => {}
                () = tokio::time::sleep(ACT_INTERVAL) => {}
            }
        }
    }
}

/// Something this process works on; given back when dropped.
pub(crate) struct Claim {
    inner: Arc<Inner>,
    what: String,
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.inner.in_flight).remove(&self.what);
    }
}

/// A mutex is poisoned only if a holder panicked; what these guard is valid at every step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
