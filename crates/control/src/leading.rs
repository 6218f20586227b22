//! Leading: of all processes on one database, the one that holds the lease watches the account and acts on it.
//!
//! The others serve pages and decisions; they tell how the watching goes from what the holder writes with
//! every beat. What the holder itself writes is checked against its fence in the same transaction
//! ([`Control::begin`]), so that one that was taken for dead and comes back changes nothing. A call to AWS
//! that it had already begun may still arrive: the next holder finds the operation *calling* and asks AWS
//! before it does anything.

use crate::Control;
use crate::accounts::key;
use crate::lock;
use crate::supervise;
use crate::watch::Looked;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use switchback_domain::lease::Lease;
use switchback_domain::lease::LeaseEvent;
use switchback_domain::lease::LeaseState;
use switchback_domain::lease::LeaseTerms;
use switchback_domain::lease::Sight;
use switchback_domain::lease::lease_after;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What the lease's name begins with; the account number follows.
pub(crate) const LEASE_PREFIX: &str = "account ";

/// The lease under which work is done.
#[derive(Clone, Debug)]
pub(crate) struct Acting {
    /// The lease's name.
    pub(crate) name: String,
    /// The fence it was won with.
    pub(crate) fence: i64,
}

impl Control {
    /// Watches, delivers and carries out whenever this process holds the account's lease, until `stop` is cancelled,
    /// and then until every call that is in the air has its answer recorded. A look that is still running then is cut:
    /// it only reads, and writes whole.
    pub async fn run(&self, stop: CancellationToken) {
        let told_to_stop = async {
            stop.cancelled().await;
            self.inner.stopping.cancel();
        };
        let verify = supervise::keep_running("verifying the audit log", stop.clone(), || {
            self.verify_until(stop.clone())
        });
        let catch_up = supervise::keep_running("catching up", stop.clone(), || {
            self.catch_up_until(stop.clone())
        });
        tokio::join!(
            told_to_stop,
            self.lead_or_wait(stop.clone()),
            verify,
            catch_up
        );
        self.work_has_ended().await;
    }

    async fn work_has_ended(&self) {
        self.inner.work.close();
        self.inner.work.wait().await;
    }

    /// Leads while the lease can be had, waits for it otherwise.
    async fn lead_or_wait(&self, stop: CancellationToken) {
        let Some(account) = self.learn_account(&stop).await else {
            return;
        };
        let name = format!("{LEASE_PREFIX}{account}");
        let me = self.process_name();
        let terms = if self.inner.store.is_shared() {
            LeaseTerms::SHARED
        } else {
            LeaseTerms::ALONE
        };
        let began = Instant::now();
        let mut sight = Sight::default();
        // A SQLite file has one server, and whoever starts is it: the one that wrote the last beat is gone.
        let mut waits = self.inner.store.is_shared();
        let mut clock_due = Instant::now();
        while !stop.is_cancelled() {
            let seen = self.look_at_lease(&name).await;
            let event = match &seen {
                Err(()) => LeaseEvent::Silent,
                Ok(None) => LeaseEvent::Free,
                Ok(Some(lease)) if !waits || lease.holder.as_ref() == Some(&me) => {
                    LeaseEvent::Stale
                }
                Ok(Some(lease)) => sight.look(Some(lease), began.elapsed(), terms),
            };
            if lease_after(LeaseState::Standby, event) == Some(LeaseState::Claiming)
                && let Ok(seen) = seen
                && let Some(fence) = self.claim_lease(&name, &me, seen.as_ref()).await
            {
                waits = true;
                let acting = Acting {
                    name: name.clone(),
                    fence,
                };
                self.lead(acting, terms, &stop).await;
                sight = Sight::default();
                continue;
            }
            if clock_due <= Instant::now() {
                // Nobody else keeps this process's clock of the account fresh. Beside the lease: an account that is slow
                // to answer must not keep this process from taking over.
                if let Some(claim) = self.claim("hearing the accounts") {
                    let control = self.clone();
                    let hear = async move { control.hear_accounts().await };
                    self.spawn_work(claim, tracing::Span::current(), hear);
                }
                clock_due = Instant::now() + self.inner.settings.poll_idle;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(terms.beat) => {}
            }
        }
    }

    /// A name for this process, new with every start.
    fn process_name(&self) -> String {
        let digits: Vec<String> = (self.inner.random)()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("desk-{}", digits.concat())
    }

    /// The lease as it stands; hears what its holder tells. The error is logged.
    async fn look_at_lease(&self, name: &str) -> Result<Option<Lease>, ()> {
        match self.inner.store.lease_fetch(name).await {
            Ok(record) => Ok(record.map(|record| {
                self.hear_looks(record.looks);
                record.lease
            })),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the lease could not be read"
                );
                Err(())
            }
        }
    }

    async fn claim_lease(&self, name: &str, me: &str, seen: Option<&Lease>) -> Option<i64> {
        match self.inner.store.lease_take(name, me, seen).await {
            Ok(fence) => fence,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the lease could not be taken"
                );
                None
            }
        }
    }

    /// Does the work until the lease is lost or this process ends.
    async fn lead(&self, acting: Acting, terms: LeaseTerms, stop: &CancellationToken) {
        tracing::info!(
            lease = acting.name,
            fence = acting.fence,
            "this process watches the account and acts on it"
        );
        let control = Control {
            inner: self.inner.clone(),
            acting: Some(acting.clone()),
        };
        let ending = stop.child_token();
        let mut watchers = JoinSet::new();
        for index in 0..self.inner.clouds.len() {
            let (control, ending) = (control.clone(), ending.clone());
            watchers.spawn(async move {
                supervise::keep_running("watching", ending.clone(), || {
                    control.watch_until(index, ending.clone())
                })
                .await;
            });
        }
        for index in 0..self.inner.clouds.len() {
            let (control, ending) = (control.clone(), ending.clone());
            watchers.spawn(async move {
                supervise::keep_running("following events", ending.clone(), || {
                    control.follow_hints_until(index, ending.clone())
                })
                .await;
            });
        }
        control.spawn_events(&mut watchers, &ending);
        for cloud in &self.inner.clouds {
            let (control, cloud, ending) = (control.clone(), cloud.clone(), ending.clone());
            watchers.spawn(async move {
                supervise::keep_running("importing", ending.clone(), || {
                    control.import_until(cloud.clone(), ending.clone())
                })
                .await;
            });
        }
        watchers.spawn({
            let (control, ending) = (control.clone(), ending.clone());
            async move {
                supervise::keep_running("keeping the ledger", ending.clone(), || {
                    control.mirror_until(ending.clone())
                })
                .await;
            }
        });
        watchers.spawn({
            let (control, ending) = (control.clone(), ending.clone());
            async move {
                supervise::keep_running("sealing the audit log", ending.clone(), || {
                    control.seal_until(ending.clone())
                })
                .await;
            }
        });
        let act = supervise::keep_running("acting", ending.clone(), || {
            control.act_until(ending.clone())
        });
        let beat = async {
            let event = self.beat(&acting, terms, stop).await;
            ending.cancel();
            event
        };
        let ((), event) = tokio::join!(act, beat);
        drop(watchers);
        match event {
            LeaseEvent::Stop => {
                self.work_has_ended().await;
                let store = &self.inner.store;
                if let Err(error) = store.lease_give_back(&acting.name, acting.fence).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the lease could not be given back; the next process waits a little"
                    );
                }
            }
            _ => tracing::warn!(
                lease = acting.name,
                fence = acting.fence,
                ?event,
                "this process no longer watches the account"
            ),
        }
    }

    /// Beats until something ends the holding; says what.
    async fn beat(
        &self,
        acting: &Acting,
        terms: LeaseTerms,
        stop: &CancellationToken,
    ) -> LeaseEvent {
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return LeaseEvent::Stop,
                () = tokio::time::sleep(terms.beat) => {}
            }
            let store = &self.inner.store;
            let looks = self.told_looks();
            let beat = store.lease_beat(&acting.name, acting.fence, &looks);
            match tokio::time::timeout(terms.silence, beat).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return LeaseEvent::Overtaken,
                Ok(Err(error)) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a beat of the lease could not be written"
                ),
                Err(_) => tracing::warn!("a beat of the lease took too long"),
            }
            if renewed.elapsed() >= terms.silence {
                return LeaseEvent::Silent;
            }
        }
    }

    /// How the looks of this process go, for the others.
    fn told_looks(&self) -> Value {
        for cloud in &self.inner.clouds {
            let on = self.events_are_on(&**cloud);
            let calls = cloud.calls();
            let mut looked = lock(&self.inner.looked);
            let looked = looked.entry(key(&**cloud)).or_default();
            looked.events.on = on;
            looked.calls = calls;
        }
        json!(*lock(&self.inner.looked))
    }

    /// What the holder tells of its looks is what this process tells too. Which account it is, each has heard itself:
    /// it stands for having heard AWS.
    fn hear_looks(&self, told: Value) {
        let Ok(told) = serde_json::from_value::<BTreeMap<String, Looked>>(told) else {
            // Nobody has held the lease since it was given back.
            return;
        };
        let mut looked = lock(&self.inner.looked);
        for (place, theirs) in told {
            let ours = looked.entry(place).or_default();
            if ours.at != theirs.at {
                ours.ended = Some(Instant::now());
            }
            ours.at = theirs.at;
            ours.trouble = theirs.trouble;
            ours.trouble_since = theirs.trouble_since;
            ours.events = theirs.events;
            ours.calls = theirs.calls;
            ours.pace_millis = theirs.pace_millis;
            ours.behind_millis = theirs.behind_millis;
        }
    }
}
