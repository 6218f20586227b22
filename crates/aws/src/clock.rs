//! The account's clock: AWS's own `Date`, carried forward by the time that passed since.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::config_bag::Storable;
use aws_smithy_types::config_bag::StoreReplace;
use aws_smithy_types::date_time::Format;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;
use switchback_domain::moment::Moment;

/// A `Date` header tells whole seconds.
const RESOLUTION_MILLIS: i64 = 1000;

/// What time it was in the account at one instant of this machine.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    moment: Moment,
    at: Instant,
}

impl Anchor {
    fn carried_to(self, at: Instant) -> Moment {
        let elapsed = at.saturating_duration_since(self.at).as_millis();
        self.moment
            .plus_millis(i64::try_from(elapsed).unwrap_or(i64::MAX))
    }
}

/// The state: where the clock is anchored and the latest moment it gave out.
#[derive(Clone, Copy, Debug, Default)]
struct Hands {
    anchor: Option<Anchor>,
    latest: Option<Moment>,
}

impl Hands {
    /// Takes a `Date` into account that was answered at some instant between `sent` and `received`.
    ///
    /// When the answer was received, the account's time was at least `date` and less than `date` plus
    /// the header's resolution plus the time the call took. A clock within these bounds is left
    /// alone: setting it to every `Date` would throw it back by up to a second each time.
    fn observe(&mut self, date: Moment, sent: Instant, received: Instant) {
        let call = received.saturating_duration_since(sent).as_millis();
        let earliest = date;
        let latest = date
            .plus_millis(RESOLUTION_MILLIS)
            .plus_millis(i64::try_from(call).unwrap_or(i64::MAX));
        let expected = self.anchor.map(|anchor| anchor.carried_to(received));
        let moment = match expected {
            Some(expected) if expected < earliest => earliest,
            Some(expected) if expected > latest => latest,
            Some(_) => return,
            None => earliest,
        };
        self.anchor = Some(Anchor {
            moment,
            at: received,
        });
    }

    /// The account's time at an instant; `None` before AWS answered for the first time.
    ///
    /// It never goes back: where the account's clock was set back or stands still, this one waits.
    fn read(&mut self, at: Instant) -> Option<Moment> {
        let carried = self.anchor?.carried_to(at);
        let moment = self.latest.map_or(carried, |latest| latest.max(carried));
        self.latest = Some(moment);
        Some(moment)
    }
}

/// The clock of one account, which sees every answer of every client of the account.
#[derive(Clone)]
pub(crate) struct AccountClock {
    hands: Arc<Mutex<Hands>>,
    machine: Arc<dyn Fn() -> Moment + Send + Sync>,
}

impl AccountClock {
    /// A clock that tells the machine's time until AWS answers.
    pub(crate) fn new(machine: Arc<dyn Fn() -> Moment + Send + Sync>) -> AccountClock {
        AccountClock {
            hands: Arc::default(),
            machine,
        }
    }

    /// The account's time now.
    pub(crate) fn now(&self) -> Moment {
        let read = self
            .hands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .read(Instant::now());
        read.unwrap_or_else(|| (self.machine)())
    }
}

impl std::fmt::Debug for AccountClock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AccountClock")
            .field("hands", &self.hands)
            .finish_non_exhaustive()
    }
}

/// When the attempt that is under way was sent.
#[derive(Debug)]
struct SentAt(Instant);

impl Storable for SentAt {
    type Storer = StoreReplace<SentAt>;
}

impl Intercept for AccountClock {
    fn name(&self) -> &'static str {
        "AccountClock"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        bag.interceptor_state().store_put(SentAt(Instant::now()));
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let received = Instant::now();
        let date = context
            .response()
            .headers()
            .get("date")
            .and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        // An answer without a usable Date says nothing about the time; the clock runs on.
        if let (Some(date), Some(SentAt(sent))) = (date, bag.load::<SentAt>()) {
            self.hands
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .observe(
                    Moment::from_millis(date.secs().saturating_mul(1000)),
                    *sent,
                    received,
                );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A clock and a machine whose instants the test chooses, both in milliseconds.
    struct Bench {
        hands: Hands,
        start: Instant,
    }

    impl Bench {
        fn new() -> Bench {
            Bench {
                hands: Hands::default(),
                start: Instant::now(),
            }
        }

        fn instant(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn observe(&mut self, date_seconds: i64, sent: u64, received: u64) {
            let (sent, received) = (self.instant(sent), self.instant(received));
            self.hands
                .observe(Moment::from_millis(date_seconds * 1000), sent, received);
        }

        fn read(&mut self, at: u64) -> Option<i64> {
            let at = self.instant(at);
            self.hands.read(at).map(Moment::millis)
        }
    }

    #[test]
    fn before_the_first_answer_it_does_not_know_the_time() {
        assert_eq!(Bench::new().read(0), None);
        let machine: Arc<dyn Fn() -> Moment + Send + Sync> = Arc::new(|| Moment::from_millis(77));
        assert_eq!(AccountClock::new(machine).now(), Moment::from_millis(77));
    }

    #[test]
    fn a_date_is_carried_forward_by_the_time_that_passes() {
        let mut bench = Bench::new();
        bench.observe(100, 0, 10);
        assert_eq!(bench.read(10), Some(100_000));
        assert_eq!(bench.read(1510), Some(101_500));
    }

    #[test]
    fn the_same_second_seen_again_does_not_throw_the_clock_back() {
        let mut bench = Bench::new();
        bench.observe(100, 0, 0);
        bench.observe(100, 890, 900);
        assert_eq!(bench.read(900), Some(100_900));
        bench.observe(101, 1090, 1100);
        assert_eq!(bench.read(1100), Some(101_100));
    }

    #[test]
    fn a_jump_forward_is_followed_at_once() {
        let mut bench = Bench::new();
        bench.observe(100, 0, 0);
        bench.observe(4000, 10, 20);
        assert_eq!(bench.read(20), Some(4_000_000));
    }

    #[test]
    fn an_answer_that_took_long_does_not_throw_the_clock_back() {
        let mut bench = Bench::new();
        bench.observe(100, 0, 0);
        // Answered at second 100, received three seconds later.
        bench.observe(100, 0, 3000);
        assert_eq!(bench.read(3000), Some(103_000));
    }

    #[test]
    fn where_the_accounts_clock_stands_still_this_one_waits_and_then_goes_on() {
        let mut bench = Bench::new();
        bench.observe(100, 0, 0);
        assert_eq!(bench.read(5000), Some(105_000));
        bench.observe(100, 5000, 5000);
        assert_eq!(bench.read(5000), Some(105_000));
        assert_eq!(bench.read(6000), Some(105_000));
        // Never further from the account than the header's resolution once it has caught up.
        assert_eq!(bench.read(10_000), Some(106_000));
    }
}
