//! Metrics as they are kept: one weighted distribution for each minute of each metric.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use super::observed::Observed;

/// One minute, in milliseconds.
pub(super) const MINUTE_MS: i64 = 60_000;
/// How long minutes are kept: CloudWatch keeps data of 60 seconds for 15 days.
pub(super) const RETENTION_MS: i64 = 15 * 24 * 60 * MINUTE_MS;
/// How many distinct values one minute holds. More are merged with their nearest neighbour, so that
/// weeks of history stay small; the smallest, the largest, the sum and the count stay exact.
pub(super) const DISTINCT_VALUES_PER_MINUTE: usize = 32;

/// Weighted values, ascending by value. Most minutes of most metrics hold a single value, which
/// then needs no memory of its own: this is what makes weeks of history cheap.
#[derive(Clone, Debug, PartialEq)]
enum Pairs {
    One((f64, f64)),
    Many(Vec<(f64, f64)>),
}

/// What was seen of one metric in one minute.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Distribution {
    pairs: Pairs,
    /// Whether it came (in part) as a statistic set, from which no percentile can be read.
    from_statistic_set: bool,
}

impl Default for Distribution {
    fn default() -> Distribution {
        Distribution {
            pairs: Pairs::Many(Vec::new()),
            from_statistic_set: false,
        }
    }
}

impl Distribution {
    fn pairs(&self) -> &[(f64, f64)] {
        match &self.pairs {
            Pairs::One(pair) => std::slice::from_ref(pair),
            Pairs::Many(pairs) => pairs,
        }
    }

    /// Adds `value` as seen `count` times. What is not a finite number, or not seen, adds nothing.
    pub(super) fn add(&mut self, value: f64, count: f64) {
        self.add_all(&[(value, count)]);
    }

    /// Adds pairs of a value and how often it was seen.
    pub(super) fn add_all(&mut self, added: &[(f64, f64)]) {
        // Adding zero turns the negative zero into the ordinary one, so that the two are one value.
        let added = added
            .iter()
            .filter(|(value, count)| value.is_finite() && count.is_finite() && *count > 0.0)
            .map(|(value, count)| (value + 0.0, *count));
        let mut pairs = match std::mem::replace(&mut self.pairs, Pairs::Many(Vec::new())) {
            Pairs::One(pair) => vec![pair],
            Pairs::Many(pairs) => pairs,
        };
        for (value, count) in added {
            match pairs.binary_search_by(|(held, _)| held.total_cmp(&value)) {
                Ok(index) => pairs[index].1 += count,
                Err(index) => {
                    pairs.insert(index, (value, count));
                    if pairs.len() > DISTINCT_VALUES_PER_MINUTE {
                        merge_the_closest(&mut pairs);
                    }
                }
            }
        }
        self.pairs = match pairs[..] {
            [pair] => Pairs::One(pair),
            _ => {
                pairs.shrink_to_fit();
                Pairs::Many(pairs)
            }
        };
    }

    /// Adds a statistic set. Sum, count, minimum and maximum can be read back, percentiles cannot
    /// unless all values are alike.
    pub(super) fn add_statistic_set(&mut self, count: f64, sum: f64, minimum: f64, maximum: f64) {
        if minimum == maximum || count <= 1.0 {
            self.add(sum / count, count);
            return;
        }
        self.from_statistic_set = true;
        self.add(minimum, 1.0);
        self.add(maximum, 1.0);
        if count > 2.0 {
            self.add((sum - minimum - maximum) / (count - 2.0), count - 2.0);
        }
    }

    /// Whether nothing was seen.
    pub(super) fn is_empty(&self) -> bool {
        self.pairs().is_empty()
    }

    /// How many distinct values are held.
    #[cfg(test)]
    pub(super) fn distinct(&self) -> usize {
        self.pairs().len()
    }
}

/// Merges the two inner values that are relatively closest; the extremes are never touched.
fn merge_the_closest(pairs: &mut Vec<(f64, f64)>) {
    let mut best = (f64::INFINITY, 1);
    for index in 1..pairs.len() - 2 {
        let (low, high) = (pairs[index].0, pairs[index + 1].0);
        let distance = (high - low) / low.abs().max(high.abs()).max(f64::MIN_POSITIVE);
        if distance < best.0 {
            best = (distance, index);
        }
    }
    let index = best.1;
    let (low, low_count) = pairs[index];
    let (high, high_count) = pairs.remove(index + 1);
    let count = low_count + high_count;
    let mean = low + (high - low) * (high_count / count);
    pairs[index] = (mean.clamp(low, high), count);
}

/// A statistic as GetMetricData and alarms name it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Statistic {
    SampleCount,
    Sum,
    Average,
    Minimum,
    Maximum,
    /// 0 to 100.
    Percentile(f64),
}

impl Statistic {
    /// Reads `Sum`, `Average`, `Minimum`, `Maximum`, `SampleCount` or a percentile such as `p99.9`.
    pub(super) fn parse(text: &str) -> Option<Statistic> {
        Some(match text {
            "SampleCount" => Statistic::SampleCount,
            "Sum" => Statistic::Sum,
            "Average" => Statistic::Average,
            "Minimum" => Statistic::Minimum,
            "Maximum" => Statistic::Maximum,
            _ => {
                let digits = text.strip_prefix('p')?;
                let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
                let plain = |part: &str, longest: usize| {
                    !part.is_empty()
                        && part.len() <= longest
                        && part.bytes().all(|byte| byte.is_ascii_digit())
                };
                if !plain(whole, 3) || !plain(fraction, 10) {
                    return None;
                }
                let share: f64 = digits.parse().ok()?;
                if !(0.0..=100.0).contains(&share) {
                    return None;
                }
                Statistic::Percentile(share)
            }
        })
    }

    /// The statistic over several minutes together; `None` where nothing was recorded.
    fn over(self, minutes: &[Cow<'_, Distribution>]) -> Option<f64> {
        let pairs = || minutes.iter().flat_map(|minute| minute.pairs().iter());
        let count: f64 = pairs().map(|(_, count)| count).sum();
        if count <= 0.0 {
            return None;
        }
        let sum = || pairs().map(|(value, count)| value * count).sum::<f64>();
        match self {
            Statistic::SampleCount => Some(count),
            Statistic::Sum => Some(sum()),
            Statistic::Average => Some(sum() / count),
            Statistic::Minimum => pairs().map(|(value, _)| *value).reduce(f64::min),
            Statistic::Maximum => pairs().map(|(value, _)| *value).reduce(f64::max),
            Statistic::Percentile(share) => {
                if minutes.iter().any(|minute| minute.from_statistic_set) {
                    return None;
                }
                let mut sorted: Vec<(f64, f64)> = pairs().copied().collect();
                sorted.sort_by(|left, right| left.0.total_cmp(&right.0));
                // The nearest rank: the smallest value that at least this share does not exceed.
                // The tolerance keeps 0.99 * 100 from needing the hundredth value.
                let wanted = share / 100.0 * count - count * 1e-12;
                let mut seen = 0.0;
                for (value, weight) in &sorted {
                    seen += weight;
                    if seen >= wanted {
                        return Some(*value);
                    }
                }
                sorted.last().map(|(value, _)| *value)
            }
        }
    }
}

/// What a metric is identified by. CloudWatch finds only the exact set of dimensions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MetricKey {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Sorted by name.
    pub(super) dimensions: Vec<(String, String)>,
}

impl MetricKey {
    pub(super) fn new(namespace: &str, name: &str, dimensions: &[(String, String)]) -> MetricKey {
        let mut dimensions = dimensions.to_vec();
        dimensions.sort();
        MetricKey {
            namespace: namespace.to_string(),
            name: name.to_string(),
            dimensions,
        }
    }

    fn hash(&self) -> u64 {
        let mut parts = vec![self.namespace.as_str(), self.name.as_str()];
        for (name, value) in &self.dimensions {
            parts.push(name);
            parts.push(value);
        }
        stable_hash(parts)
    }

    /// The unit the service that owns the namespace publishes the metric in.
    fn unit_of_service(&self) -> &'static str {
        match (self.namespace.as_str(), self.name.as_str()) {
            ("AWS/ApplicationELB", "TargetResponseTime") => "Seconds",
            ("AWS/ApplicationELB", "ProcessedBytes") => "Bytes",
            ("AWS/ApplicationELB", _) => "Count",
            ("AWS/ECS", "CPUUtilization" | "MemoryUtilization") => "Percent",
            _ => "None",
        }
    }
}

/// FNV-1a: a hash that is the same in every run, for choices that look random but may not change.
pub(super) fn stable_hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}

/// Spreads close numbers over the whole range (the last step of MurmurHash3).
pub(super) fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    number = (number ^ (number >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

#[derive(Clone, Debug)]
struct Minute {
    start_ms: i64,
    distribution: Distribution,
    /// When PutMetricData brought it; `None` when a service published it.
    put_at_ms: Option<i64>,
}

/// One metric with its minutes.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) unit: String,
    /// Ascending by beginning.
    minutes: VecDeque<Minute>,
}

/// A metric whose minutes from `from_ms` (inclusive) to `to_ms` (exclusive) never arrive.
#[derive(Clone, Debug)]
pub(super) struct Withheld {
    pub(super) metric: String,
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

/// What to read: which stretch of time, cut into periods of which length, as seen when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// The first period begins here; a whole minute.
    pub(super) start_ms: i64,
    /// Minutes that begin before this moment count.
    pub(super) end_ms: i64,
    /// A multiple of a minute.
    pub(super) period_ms: i64,
    /// What was not yet published at this moment is not seen.
    pub(super) as_of_ms: i64,
}

/// All metrics of one account and region.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) series: BTreeMap<MetricKey, Series>,
    /// What the load balancers publish is drawn from here when it is read.
    pub(super) observed: Observed,
    pub(super) withheld: Vec<Withheld>,
    /// A minute of a service appears this long after it ended, at the earliest.
    pub(super) publication_delay_ms: i64,
    /// And at most this much later than that; how much is fixed by the metric and the minute.
    pub(super) publication_spread_ms: i64,
}

impl Store {
    pub(super) fn new(seed: u64) -> Store {
        // A load balancer publishes a minute 60 to 90 seconds after it ended: together with the
        // evaluation once a minute this gives the two to three minutes seen on AWS between the
        // first error and the alarm.
        Store {
            series: BTreeMap::new(),
            observed: Observed::new(seed),
            withheld: Vec::new(),
            publication_delay_ms: 60_000,
            publication_spread_ms: 30_000,
        }
    }

    fn series_mut(&mut self, key: &MetricKey) -> &mut Series {
        if !self.series.contains_key(key) {
            let series = Series {
                unit: key.unit_of_service().to_string(),
                minutes: VecDeque::new(),
            };
            self.series.insert(key.clone(), series);
        }
        self.series
            .get_mut(key)
            .expect("the series was inserted above")
    }

    /// Accumulates what a service saw in the minute that contains `at_ms`.
    pub(super) fn record(&mut self, key: &MetricKey, at_ms: i64, values: &[(f64, f64)]) {
        let usable =
            |(value, count): &(f64, f64)| value.is_finite() && count.is_finite() && *count > 0.0;
        if !values.iter().any(usable) {
            // A minute without a value is no data point: missing stays missing.
            return;
        }
        self.minute_mut(key, at_ms, None)
            .distribution
            .add_all(values);
    }

    /// Accumulates what PutMetricData brought at `now_ms` for the minute that contains `at_ms`.
    /// It is visible at once: only services publish with a delay.
    pub(super) fn put(
        &mut self,
        key: &MetricKey,
        at_ms: i64,
        now_ms: i64,
        unit: &str,
        put: &Distribution,
    ) {
        let minute = self.minute_mut(key, at_ms, Some(now_ms));
        minute.distribution.add_all(put.pairs());
        minute.distribution.from_statistic_set |= put.from_statistic_set;
        self.series_mut(key).unit = unit.to_string();
    }

    fn minute_mut(&mut self, key: &MetricKey, at_ms: i64, put_at_ms: Option<i64>) -> &mut Minute {
        let start_ms = at_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        let minutes = &mut self.series_mut(key).minutes;
        let index = minutes.partition_point(|minute| minute.start_ms < start_ms);
        if minutes
            .get(index)
            .is_none_or(|minute| minute.start_ms != start_ms)
        {
            let distribution = Distribution::default();
            minutes.insert(
                index,
                Minute {
                    start_ms,
                    distribution,
                    put_at_ms,
                },
            );
        }
        &mut minutes[index]
    }

    fn visible_at(&self, hash: u64, start_ms: i64, put_at_ms: Option<i64>) -> i64 {
        put_at_ms.unwrap_or_else(|| {
            let spread = u64::try_from(self.publication_spread_ms).unwrap_or(0) + 1;
            let later = mix(hash ^ start_ms.cast_unsigned()) % spread;
            start_ms + MINUTE_MS + self.publication_delay_ms + later.cast_signed()
        })
    }

    fn is_withheld(&self, key: &MetricKey, start_ms: i64) -> bool {
        self.withheld.iter().any(|withheld| {
            withheld.metric == key.name && (withheld.from_ms..withheld.to_ms).contains(&start_ms)
        })
    }

    /// The unit of a metric; `None` if there is no such metric.
    pub(super) fn unit(&self, key: &MetricKey) -> Option<&str> {
        match self.series.get(key) {
            Some(series) => Some(series.unit.as_str()),
            None => self.observed.knows(key).then(|| key.unit_of_service()),
        }
    }

    /// Every metric there is, ascending.
    pub(super) fn keys(&self) -> Vec<MetricKey> {
        let mut keys = self.observed.keys();
        keys.extend(self.series.keys().cloned());
        keys.into_iter().collect()
    }

    /// The visible minutes of a metric that begin from `start_ms` (inclusive) to `end_ms` (exclusive).
    fn visible<'a>(
        &'a self,
        key: &'a MetricKey,
        start_ms: i64,
        end_ms: i64,
        as_of_ms: i64,
    ) -> BTreeMap<i64, Cow<'a, Distribution>> {
        let mut visible = BTreeMap::new();
        let hash = key.hash();
        let mut add = |start_ms: i64, put_at_ms, distribution| {
            if !self.is_withheld(key, start_ms)
                && self.visible_at(hash, start_ms, put_at_ms) <= as_of_ms
            {
                visible.insert(start_ms, distribution);
            }
        };
        if self.observed.knows(key) {
            let mut minute_ms = start_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
            // Nothing of a minute that has not ended is visible.
            while minute_ms < end_ms.min(as_of_ms - MINUTE_MS + 1) {
                if minute_ms >= start_ms
                    && let Some(distribution) = self.observed.minute(key, minute_ms)
                {
                    add(minute_ms, None, Cow::Owned(distribution));
                }
                minute_ms += MINUTE_MS;
            }
        }
        if let Some(series) = self.series.get(key) {
            let held = &series.minutes;
            let first = held.partition_point(|minute| minute.start_ms < start_ms);
            for minute in held
                .iter()
                .skip(first)
                .take_while(|minute| minute.start_ms < end_ms)
            {
                let distribution = Cow::Borrowed(&minute.distribution);
                add(minute.start_ms, minute.put_at_ms, distribution);
            }
        }
        visible
    }

    /// One statistic for each period that has data, by the beginning of the period.
    /// A period without data is not in the answer.
    pub(super) fn read(
        &self,
        key: &MetricKey,
        statistic: Statistic,
        unit: Option<&str>,
        reading: Reading,
    ) -> BTreeMap<i64, f64> {
        let mut answer = BTreeMap::new();
        let Some(held_unit) = self.unit(key) else {
            return answer;
        };
        if unit.is_some_and(|unit| unit != held_unit) || reading.start_ms >= reading.end_ms {
            return answer;
        }
        let kept_from = self.observed.kept_from(reading.period_ms, reading.as_of_ms);
        let from_ms = if self.series.contains_key(key) {
            reading.start_ms
        } else {
            reading.start_ms.max(kept_from)
        };
        let mut period = i64::MIN;
        let mut minutes: Vec<Cow<'_, Distribution>> = Vec::new();
        let mut close = |period: i64, minutes: &mut Vec<Cow<'_, Distribution>>| {
            if let Some(value) = statistic.over(minutes).filter(|value| value.is_finite()) {
                answer.insert(period, value);
            }
            minutes.clear();
        };
        for (minute_ms, seen) in self.visible(key, from_ms, reading.end_ms, reading.as_of_ms) {
            let passed = (minute_ms - reading.start_ms).div_euclid(reading.period_ms);
            let of_this = reading.start_ms + passed * reading.period_ms;
            if of_this != period {
                close(period, &mut minutes);
                period = of_this;
            }
            minutes.push(seen);
        }
        close(period, &mut minutes);
        answer
    }

    /// The beginning of the newest visible minute of a metric.
    pub(super) fn newest_visible(&self, key: &MetricKey, as_of_ms: i64) -> Option<i64> {
        let hash = key.hash();
        let visible = |start_ms: i64, put_at_ms| {
            !self.is_withheld(key, start_ms)
                && self.visible_at(hash, start_ms, put_at_ms) <= as_of_ms
        };
        let held = self.series.get(key).and_then(|series| {
            let mut minutes = series.minutes.iter().rev();
            minutes
                .find(|minute| visible(minute.start_ms, minute.put_at_ms))
                .map(|minute| minute.start_ms)
        });
        let mut before_ms = as_of_ms;
        let observed = loop {
            match self.observed.newest(key, before_ms, as_of_ms) {
                Some(minute_ms) if !visible(minute_ms, None) => before_ms = minute_ms,
                found => break found,
            }
        };
        held.max(observed)
    }

    /// Forgets minutes older than [`RETENTION_MS`], and metrics that have none left.
    pub(super) fn prune(&mut self, now_ms: i64) {
        let oldest = now_ms - RETENTION_MS;
        self.series.retain(|_, series| {
            let forgotten = series
                .minutes
                .partition_point(|minute| minute.start_ms < oldest);
            series.minutes.drain(..forgotten);
            !series.minutes.is_empty()
        });
    }

    /// How many minutes a metric holds, and the newest of them.
    #[cfg(test)]
    pub(super) fn extent(series: &Series) -> (usize, Option<i64>) {
        (
            series.minutes.len(),
            series.minutes.back().map(|minute| minute.start_ms),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: i64 = 1_795_255_200_000;

    fn key() -> MetricKey {
        MetricKey::new("AWS/ApplicationELB", "TargetResponseTime", &[])
    }

    fn reading(minutes: i64, period: i64, as_of_ms: i64) -> Reading {
        Reading {
            start_ms: START,
            end_ms: START + minutes * MINUTE_MS,
            period_ms: period * MINUTE_MS,
            as_of_ms,
        }
    }

    #[test]
    fn a_statistic_is_read_only_as_aws_writes_it() {
        assert_eq!(Statistic::parse("p99"), Some(Statistic::Percentile(99.0)));
        assert_eq!(
            Statistic::parse("p99.95"),
            Some(Statistic::Percentile(99.95))
        );
        assert_eq!(Statistic::parse("p100"), Some(Statistic::Percentile(100.0)));
        for wrong in [
            "p", "p101", "p-1", "p1e1", "P99", "tm99", "sum", "", "p.5", "p5.", "pNaN",
        ] {
            assert_eq!(Statistic::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_minute_of_a_service_appears_sixty_to_ninety_seconds_after_its_end() {
        let mut store = Store::new(1);
        store.record(&key(), START, &[(0.2, 10.0)]);
        let seen = |as_of| {
            !store
                .read(&key(), Statistic::Sum, None, reading(1, 1, as_of))
                .is_empty()
        };
        assert!(!seen(START + 119_999));
        assert!(seen(START + 150_000));
        let first = (START + 120_000..=START + 150_000).find(|at| seen(*at));
        let again = (START + 120_000..=START + 150_000).find(|at| seen(*at));
        assert_eq!(first, again);
    }

    #[test]
    fn withheld_minutes_are_a_gap_and_nothing_else_is() {
        let mut store = Store::new(1);
        for minute in 0..5 {
            store.record(&key(), START + minute * MINUTE_MS, &[(1.0, 1.0)]);
        }
        store.withheld.push(Withheld {
            metric: "TargetResponseTime".into(),
            from_ms: START + 2 * MINUTE_MS,
            to_ms: START + 4 * MINUTE_MS,
        });
        let seen = store.read(&key(), Statistic::Sum, None, reading(5, 1, i64::MAX));
        let minutes: Vec<i64> = seen.keys().map(|at| (at - START) / MINUTE_MS).collect();
        assert_eq!(minutes, [0, 1, 4]);
    }

    #[test]
    fn a_minute_without_values_is_no_data_point() {
        let mut store = Store::new(1);
        store.record(&key(), START, &[(f64::NAN, 1.0), (1.0, 0.0)]);
        store.record(&key(), START, &[]);
        assert!(store.series.is_empty());
    }

    #[test]
    fn minutes_are_forgotten_after_fifteen_days() {
        let mut store = Store::new(1);
        store.record(&key(), START, &[(1.0, 1.0)]);
        store.record(&key(), START + MINUTE_MS, &[(1.0, 1.0)]);
        store.prune(START + RETENTION_MS + 1);
        assert_eq!(
            Store::extent(&store.series[&key()]),
            (1, Some(START + MINUTE_MS))
        );
        store.prune(START + RETENTION_MS + 2 * MINUTE_MS);
        assert!(store.series.is_empty());
    }

    #[test]
    fn a_statistic_set_has_every_statistic_but_percentiles() {
        let mut put = Distribution::default();
        put.add_statistic_set(10.0, 55.0, 1.0, 10.0);
        let mut store = Store::new(1);
        store.put(&key(), START, START, "Count", &put);
        let read = |name: &str| {
            let statistic = Statistic::parse(name).expect("a statistic");
            store
                .read(&key(), statistic, None, reading(1, 1, START))
                .get(&START)
                .copied()
        };
        assert_eq!(read("SampleCount"), Some(10.0));
        assert_eq!(read("Sum"), Some(55.0));
        assert_eq!(read("Minimum"), Some(1.0));
        assert_eq!(read("Maximum"), Some(10.0));
        assert_eq!(read("Average"), Some(5.5));
        assert_eq!(read("p50"), None);
    }

    proptest! {
        #[test]
        fn percentiles_agree_with_writing_every_value_out(
            values in prop::collection::vec((0u32..40, 1u32..50), 1..25),
            tenths in 0u32..=1000,
            minutes in 1i64..4,
        ) {
            let mut store = Store::new(1);
            let mut written_out: Vec<f64> = Vec::new();
            for (index, (value, count)) in values.iter().enumerate() {
                let value = f64::from(*value) / 8.0;
                let at = START + (index as i64 % minutes) * MINUTE_MS;
                store.record(&key(), at, &[(value, f64::from(*count))]);
                written_out.extend(std::iter::repeat_n(value, *count as usize));
            }
            written_out.sort_by(f64::total_cmp);
            let share = f64::from(tenths) / 10.0;
            let rank = (tenths as usize * written_out.len()).div_ceil(1000).max(1);
            let got = store.read(
                &key(), Statistic::Percentile(share), None, reading(minutes, minutes, i64::MAX),
            );
            prop_assert_eq!(got.get(&START).copied(), Some(written_out[rank - 1]));
        }

        #[test]
        fn merging_keeps_extremes_sum_and_count(
            values in prop::collection::vec((0.0f64..1e4, 1u32..50), 1..300),
        ) {
            let mut store = Store::new(1);
            let pairs: Vec<(f64, f64)> =
                values.iter().map(|(value, count)| (*value, f64::from(*count))).collect();
            store.record(&key(), START, &pairs);
            let minute = &store.series[&key()].minutes[0].distribution;
            prop_assert!(minute.distinct() <= DISTINCT_VALUES_PER_MINUTE);
            prop_assert!(minute.pairs().windows(2).all(|pair| pair[0].0 <= pair[1].0));
            let read = |statistic| store
                .read(&key(), statistic, None, reading(1, 1, i64::MAX))[&START];
            let count: f64 = pairs.iter().map(|(_, count)| count).sum();
            let sum: f64 = pairs.iter().map(|(value, count)| value * count).sum();
            prop_assert_eq!(read(Statistic::SampleCount), count);
            prop_assert!((read(Statistic::Sum) - sum).abs() <= sum.abs() * 1e-9 + 1e-9);
            let values = || pairs.iter().map(|(value, _)| *value);
            prop_assert_eq!(Some(read(Statistic::Minimum)), values().reduce(f64::min));
            prop_assert_eq!(Some(read(Statistic::Maximum)), values().reduce(f64::max));
        }
    }
}
