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

/// A `Date` that is further than this from the clock, before or after it, is taken only once a second
/// one agrees with it: a single wrong one, hours ahead, would otherwise burn every fuse.
const LARGEST_UNCONFIRMED_JUMP_MILLIS: i64 = 60 * 1000;

/// How much later than the first the second `Date` of a jump may be, whatever time passed between them.
const LARGEST_GAP_OF_AGREEING_DATES_MILLIS: i64 = 10 * 60 * 1000;

/// How many seconds of the account may pass in one of this machine's: a simulated account runs fast.
const FASTEST_ACCOUNT: i64 = 3600;

/// The headers in which AWS's services give the identifier of a request. What stands between us and
/// AWS answers without one, and its `Date` is its own.
const REQUEST_ID_HEADERS: [&str; 2] = ["x-amzn-requestid", "x-amz-request-id"];

/// What time it was in the account at one instant of this machine.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    moment: Moment,
    at: Instant,
}

impl Anchor {
    fn carried_to(self, at: Instant) -> Moment {
        self.moment.plus_millis(millis_between(self.at, at))
    }
}

/// A `Date` far from the clock that nothing has confirmed yet.
#[derive(Clone, Copy, Debug)]
struct Doubted {
    date: Moment,
    received: Instant,
}

impl Doubted {
    /// Whether a second `Date`, just as far from the clock, tells the same time as this one.
    fn agrees_with(self, date: Moment, received: Instant) -> bool {
        let may_have_passed = millis_between(self.received, received)
            .saturating_mul(FASTEST_ACCOUNT)
            .saturating_add(LARGEST_GAP_OF_AGREEING_DATES_MILLIS);
        date >= self.date && date <= self.date.plus_millis(may_have_passed)
    }
}

/// How long it is from one instant to a later one, in milliseconds; 0 when it is not later.
fn millis_between(earlier: Instant, later: Instant) -> i64 {
    let elapsed = later.saturating_duration_since(earlier).as_millis();
    i64::try_from(elapsed).unwrap_or(i64::MAX)
}

/// The state: where the clock is anchored, the latest moment it gave out, and a jump that waits to be confirmed.
#[derive(Clone, Copy, Debug, Default)]
struct Hands {
    anchor: Option<Anchor>,
    latest: Option<Moment>,
    doubted: Option<Doubted>,
}

impl Hands {
    /// Takes a `Date` into account that was answered at some instant between `sent` and `received`.
    ///
    /// When the answer was received, the account's time was at least `date` and less than `date` plus
    /// the header's resolution plus the time the call took. A clock within these bounds is left
    /// alone: setting it to every `Date` would throw it back by up to a second each time.
    ///
    /// The first `Date` is taken as it is: there is nothing better to hold against it.
    fn observe(&mut self, date: Moment, sent: Instant, received: Instant) {
        let earliest = date;
        let latest = date
            .plus_millis(RESOLUTION_MILLIS)
            .plus_millis(millis_between(sent, received));
        let Some(expected) = self.anchor.map(|anchor| anchor.carried_to(received)) else {
            return self.set(earliest, received);
        };
        let moment = expected.clamp(earliest, latest);
        let jump = moment.millis_since(expected).saturating_abs();
        if jump <= LARGEST_UNCONFIRMED_JUMP_MILLIS {
            // What was doubted is refuted by an answer that the clock is about right.
            self.doubted = None;
            if moment != expected {
                self.set(moment, received);
            }
        } else if self
            .doubted
            .is_some_and(|doubted| doubted.agrees_with(date, received))
        {
            self.set(moment, received);
            // The clock was wrong, so what it gave out before is nothing to hold on to.
            self.latest = None;
        } else {
            self.doubted = Some(Doubted { date, received });
        }
    }

    fn set(&mut self, moment: Moment, at: Instant) {
        self.anchor = Some(Anchor { moment, at });
        self.doubted = None;
    }

    /// The account's time at an instant; `None` before AWS answered for the first time.
    ///
    /// It goes back only where a large jump back was confirmed. Where the account's clock stands still
    /// or is behind by less, this one waits.
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
        let headers = context.response().headers();
        let is_of_aws = REQUEST_ID_HEADERS
            .iter()
            .any(|name| headers.get(name).is_some());
        let date = headers
            .get("date")
            .filter(|_| is_of_aws)
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
    fn a_small_jump_is_followed_at_once() {
        let mut bench = Bench::new();
        bench.observe(100, 0, 0);
        bench.observe(160, 10, 20);
        assert_eq!(bench.read(20), Some(160_000));
    }

    /// The clock shows second 10 000 at instant 0. Each row: the dates that come then, in seconds, with the
    /// instants at which they come, in milliseconds; and what the clock shows at the last of them, in seconds.
    #[test]
    fn a_large_jump_is_followed_once_a_second_answer_agrees() {
        const HOUR: i64 = 3600;
        for (name, dates, shown) in [
            ("at the limit ahead", vec![(10_060, 0)], 10_060),
            ("one wrong answer ahead", vec![(10_061, 0)], 10_000),
            ("far ahead", vec![(10_000 + 5 * HOUR, 0)], 10_000),
            ("far behind", vec![(1_000, 0)], 10_000),
            ("confirmed ahead", vec![(30_000, 0), (30_000, 0)], 30_000),
            ("confirmed behind", vec![(1_000, 0), (1_000, 0)], 1_001),
            (
                "an older date confirms nothing",
                vec![(30_000, 0), (29_999, 0)],
                10_000,
            ),
            (
                "ten minutes apart at once",
                vec![(30_000, 0), (30_600, 0)],
                30_600,
            ),
            (
                "more than ten minutes apart at once",
                vec![(30_000, 0), (30_601, 0)],
                10_000,
            ),
            (
                "a fast account: an hour a second",
                vec![(30_000, 0), (34_200, 1000)],
                34_200,
            ),
            (
                "faster than any account",
                vec![(30_000, 0), (34_201, 1000)],
                10_001,
            ),
            (
                "a right answer between refutes the first",
                vec![(30_000, 0), (10_000, 0), (30_000, 0)],
                10_000,
            ),
            (
                "the one that disagrees is what is confirmed next",
                vec![(30_000, 0), (1_000, 0), (1_000, 0)],
                1_001,
            ),
            (
                "a jump that was followed confirms no other",
                vec![(30_000, 0), (30_000, 0), (30_100, 0)],
                30_000,
            ),
            (
                "there and back",
                vec![(30_000, 0), (30_000, 0), (10_000, 0), (10_000, 0)],
                10_001,
            ),
        ] {
            let mut bench = Bench::new();
            bench.observe(10_000, 0, 0);
            assert_eq!(bench.read(0), Some(10_000_000), "{name}");
            let mut last = 0;
            for (date, at) in dates {
                bench.observe(date, at, at);
                last = at;
                bench.read(at);
            }
            assert_eq!(bench.read(last), Some(shown * 1000), "{name}");
        }
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
