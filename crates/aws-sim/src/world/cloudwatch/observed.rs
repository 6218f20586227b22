//! What the load balancers saw: the plan of traffic as it changed, from which the metrics of any minute
//! are drawn when somebody asks.
//!
//! * Namespace, names and exact dimension sets: \[D\] load-balancer-cloudwatch-metrics. Error counts are
//!   published only when not zero: \[O\].
//! * Nothing is drawn in advance. A draw is a function of the seed, the flow and the minute alone, so a
//!   minute that is read twice, or for the first time weeks later, shows the same numbers, and a month in
//!   which nobody looks costs nothing.
//! * Draws are bounded ([`most`]), as no stretch of real traffic is endless. What cannot be reached by any
//!   draw need not be looked at: this is how an alarm over quiet traffic is known to stay quiet.
//! * How long data points are kept, by their period: \[D\], 15 days below five minutes, 63 days below an
//!   hour, 455 days above.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, RngCore};

use super::store::{Distribution, MINUTE_MS, MetricKey, mix, stable_hash};

/// The namespace of the load balancers' metrics.
const NAMESPACE: &str = "AWS/ApplicationELB";
/// The metric whose sum an alarm over server errors watches.
const ERRORS: &str = "HTTPCode_Target_5XX_Count";
/// What counts the answers that a load balancer gives itself: it has no healthy target, so they are all 503.
const OWN_ERRORS: [&str; 2] = ["HTTPCode_ELB_5XX_Count", "HTTPCode_ELB_503_Count"];
/// The one metric that is also published by target group alone.
const PER_TARGET: &str = "RequestCountPerTarget";

const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// The longest that anything is kept.
const LONGEST_MS: i64 = 455 * DAY_MS;

/// How the tasks of one revision answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answers {
    /// Share of requests answered with a 5xx, 0 to 1.
    pub(crate) error_rate: f64,
    /// Median response time in milliseconds.
    pub(crate) p50_ms: f64,
    /// 99th percentile of the response time in milliseconds.
    pub(crate) p99_ms: f64,
}

/// Where requests go while nothing changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flow {
    /// As a dimension names it.
    pub(crate) load_balancer: String,
    /// As a dimension names it. Empty where the load balancer itself answers 503, because nothing
    /// healthy is behind it.
    pub(crate) target_group: String,
    /// `None` where the load balancer itself answers.
    pub(crate) answers: Option<Answers>,
    /// Requests.
    pub(crate) per_second: f64,
}

impl Flow {
    /// The same for the same requests to the same tasks, however many they are.
    fn identity(&self) -> u64 {
        let mut hash = stable_hash([self.load_balancer.as_str(), self.target_group.as_str()]);
        if let Some(answers) = self.answers {
            for number in [answers.error_rate, answers.p50_ms, answers.p99_ms] {
                hash = mix(hash ^ number.to_bits());
            }
        }
        hash
    }
}

/// A load balancer and a target group behind it, as dimensions name them; the group is empty where the load
/// balancer itself answers.
pub(crate) type Place = (String, String);

/// How many targets of a group are well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hosts {
    /// Targets that pass their health checks.
    pub(crate) healthy: f64,
    /// Targets that fail them.
    pub(crate) unhealthy: f64,
}

/// Requests of one kind at one place: [`Flow`] without the place.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stream {
    identity: u64,
    answers: Option<Answers>,
    per_second: f64,
}

impl Stream {
    fn most_errors(&self, seconds: f64) -> f64 {
        let requests = most(self.per_second * seconds);
        self.answers.map_or(0.0, |answers| {
            most(requests * answers.error_rate).min(requests)
        })
    }
}

/// What held at one place from a moment on, until the next plan there.
#[derive(Clone, Debug)]
struct Plan {
    from_ms: i64,
    /// Ascending by identity, each once.
    streams: Box<[Stream]>,
    hosts: Option<Hosts>,
}

/// Every plan of traffic that one account and region had.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    seed: u64,
    /// When the first plan was made.
    begun_ms: Option<i64>,
    /// By place, ascending by beginning: most changes are at one place, and the others are as they were.
    places: BTreeMap<Place, Vec<Plan>>,
    /// Load balancers, and target groups behind them, that ever were in a plan; the group is empty for
    /// the load balancer itself.
    known: BTreeSet<Place>,
    /// The load balancers that a target group was behind, for the metric that names the group alone.
    behind: BTreeMap<String, BTreeSet<String>>,
    quantiles: Vec<(f64, f64)>,
}

/// A metric of a load balancer, or of a target group behind it.
struct Subject<'a> {
    metric: &'a str,
    /// `None` where a target group stands alone: it has one load balancer only.
    load_balancer: Option<&'a str>,
    target_group: Option<&'a str>,
}

impl<'a> Subject<'a> {
    fn of(key: &'a MetricKey) -> Option<Subject<'a>> {
        let (load_balancer, target_group) = match key.dimensions.as_slice() {
            [(name, balancer)] if name == "LoadBalancer" => (Some(balancer.as_str()), None),
            [(name, group)] if name == "TargetGroup" && key.name == PER_TARGET => {
                (None, Some(group.as_str()))
            }
            [(name, balancer), (other, group)]
                if name == "LoadBalancer" && other == "TargetGroup" =>
            {
                (Some(balancer.as_str()), Some(group.as_str()))
            }
            _ => return None,
        };
        (key.namespace == NAMESPACE).then_some(Subject {
            metric: key.name.as_str(),
            load_balancer,
            target_group,
        })
    }
}

/// The plans of one place that held between two moments, each with how many milliseconds of it.
fn within(plans: &[Plan], from_ms: i64, to_ms: i64) -> impl Iterator<Item = (&Plan, i64)> {
    let first = plans
        .partition_point(|plan| plan.from_ms <= from_ms)
        .saturating_sub(1);
    let rest = &plans[first.min(plans.len())..];
    rest.iter()
        .enumerate()
        .take_while(move |(_, plan)| plan.from_ms < to_ms)
        .map(move |(index, plan)| {
            let next = rest.get(index + 1).map_or(to_ms, |next| next.from_ms);
            (plan, next.min(to_ms) - plan.from_ms.max(from_ms))
        })
        .filter(|(_, ms)| *ms > 0)
}

impl Observed {
    pub(super) fn new(seed: u64) -> Observed {
        Observed {
            seed,
            begun_ms: None,
            places: BTreeMap::new(),
            known: BTreeSet::new(),
            behind: BTreeMap::new(),
            quantiles: quantiles(),
        }
    }

    /// From `now_ms` on, requests go so and targets are so, at these places; elsewhere as before.
    pub(super) fn plan(
        &mut self,
        now_ms: i64,
        flows: Vec<(Place, Vec<Flow>)>,
        hosts: Vec<(Place, Option<Hosts>)>,
    ) {
        self.begun_ms.get_or_insert(now_ms);
        for (place, flows) in flows {
            let mut streams: BTreeMap<u64, Stream> = BTreeMap::new();
            for flow in flows {
                let identity = flow.identity();
                let stream = streams.entry(identity).or_insert(Stream {
                    identity,
                    answers: flow.answers,
                    per_second: 0.0,
                });
                stream.per_second += flow.per_second;
            }
            if !streams.is_empty() {
                self.know(&(place.0.clone(), String::new()));
                self.know(&place);
            }
            self.change(now_ms, place, |plan| {
                plan.streams = streams.into_values().collect()
            });
        }
        for (place, hosts) in hosts {
            if hosts.is_some() {
                self.know(&place);
            }
            self.change(now_ms, place, |plan| plan.hosts = hosts);
        }
    }

    fn change(&mut self, now_ms: i64, place: Place, change: impl FnOnce(&mut Plan)) {
        let plans = self.places.entry(place).or_default();
        let mut plan = plans.last().cloned().unwrap_or_else(|| Plan {
            from_ms: now_ms,
            streams: Box::default(),
            hosts: None,
        });
        change(&mut plan);
        plan.from_ms = now_ms;
        if plans.last().is_some_and(|last| last.from_ms == now_ms) {
            plans.pop();
        }
        let same = |last: &Plan| last.streams == plan.streams && last.hosts == plan.hosts;
        if plans.last().is_some_and(same) {
            return;
        }
        plans.push(plan);
        // A plan is still needed while the one after it began within what is kept.
        let ended = plans.partition_point(|plan| plan.from_ms < now_ms - LONGEST_MS);
        plans.drain(..ended.saturating_sub(1));
    }

    /// The plans of every place that a metric is about.
    fn about(&self, subject: &Subject<'_>) -> Vec<&[Plan]> {
        let plans = |balancer: &str, group: &str| {
            let place = (balancer.to_string(), group.to_string());
            self.places.get(&place).map(Vec::as_slice)
        };
        match (subject.load_balancer, subject.target_group) {
            (Some(balancer), Some(group)) => plans(balancer, group).into_iter().collect(),
            (Some(balancer), None) => self
                .places
                .range((balancer.to_string(), String::new())..)
                .take_while(|((owner, _), _)| owner == balancer)
                .map(|(_, plans)| plans.as_slice())
                .collect(),
            (None, group) => {
                let group = group.unwrap_or_default();
                let balancers = self.behind.get(group).into_iter().flatten();
                balancers
                    .filter_map(|balancer| plans(balancer, group))
                    .collect()
            }
        }
    }

    /// What was seen of a metric in the minute that begins at `minute_ms`; `None` where nothing was.
    pub(super) fn minute(&self, key: &MetricKey, minute_ms: i64) -> Option<Distribution> {
        let subject = Subject::of(key)?;
        let mut seen = Distribution::default();
        match subject.metric {
            "HealthyHostCount" | "UnHealthyHostCount" => {
                let hosts = self.hosts_at(&subject, minute_ms + MINUTE_MS)?;
                let count = if subject.metric == "HealthyHostCount" {
                    hosts.healthy
                } else {
                    hosts.unhealthy
                };
                seen.add(count, 1.0);
                return Some(seen);
            }
            _ => {}
        }
        let mut flows: BTreeMap<u64, (Option<Answers>, f64)> = BTreeMap::new();
        for plans in self.about(&subject) {
            for (plan, ms) in within(plans, minute_ms, minute_ms + MINUTE_MS) {
                for stream in &plan.streams {
                    let expected = stream.per_second * ms as f64 / 1000.0;
                    let seen = flows.entry(stream.identity);
                    seen.or_insert((stream.answers, 0.0)).1 += expected;
                }
            }
        }
        let mut count = 0.0;
        for (identity, (answers, expected)) in flows {
            let mut draws = Draws(mix(self.seed ^ identity ^ mix(minute_ms.cast_unsigned())));
            let requests = poisson(&mut draws, expected);
            let Some(answers) = answers else {
                let refused = subject.target_group.is_none()
                    && (subject.metric == "RequestCount" || OWN_ERRORS.contains(&subject.metric));
                count += if refused { requests } else { 0.0 };
                continue;
            };
            let errors = if answers.error_rate >= 1.0 {
                requests
            } else {
                poisson(&mut draws, requests * answers.error_rate).min(requests)
            };
            match subject.metric {
                "RequestCount" => count += requests,
                PER_TARGET if subject.target_group.is_some() => count += requests,
                "HTTPCode_Target_2XX_Count" => count += requests - errors,
                ERRORS => count += errors,
                "TargetResponseTime" if requests > 0.0 => {
                    let wobble = (normal(&mut draws) * 0.03).exp();
                    seen.add_all(&response_times(&self.quantiles, &answers, wobble, requests));
                }
                _ => {}
            }
        }
        match subject.metric {
            "TargetResponseTime" => (!seen.is_empty()).then_some(seen),
            PER_TARGET => {
                let healthy = self
                    .hosts_at(&subject, minute_ms + MINUTE_MS)
                    .map_or(1.0, |hosts| hosts.healthy.max(1.0));
                seen.add(count / healthy, 1.0);
                (count > 0.0).then_some(seen)
            }
            _ => {
                seen.add(1.0, count);
                (count > 0.0).then_some(seen)
            }
        }
    }

    fn hosts_at(&self, subject: &Subject<'_>, at_ms: i64) -> Option<Hosts> {
        subject.target_group?;
        // The count at the minute's end is the one before whatever changes at that very moment.
        self.about(subject).into_iter().find_map(|plans| {
            let (plan, _) = within(plans, at_ms - 1, at_ms).last()?;
            plan.hosts
        })
    }

    /// The most that the sum of a metric can be in any minute between two moments, if that is known.
    pub(super) fn most_in_a_minute(
        &self,
        key: &MetricKey,
        from_ms: i64,
        to_ms: i64,
    ) -> Option<f64> {
        let subject = Subject::of(key).filter(|subject| subject.metric == ERRORS)?;
        let mut flows: BTreeMap<u64, f64> = BTreeMap::new();
        for plans in self.about(&subject) {
            for (plan, _) in within(plans, from_ms, to_ms) {
                for stream in &plan.streams {
                    let errors = stream.most_errors(60.0);
                    let held = flows.entry(stream.identity).or_default();
                    *held = held.max(errors);
                }
            }
        }
        Some(flows.values().sum())
    }

    /// When the first whole minute begins whose data points are kept at `now_ms` for this period.
    pub(super) fn kept_from(&self, period_ms: i64, now_ms: i64) -> i64 {
        let kept = match period_ms {
            ..300_000 => 15 * DAY_MS,
            300_000..3_600_000 => 63 * DAY_MS,
            _ => LONGEST_MS,
        };
        let begun = self.begun_ms.unwrap_or(i64::MAX);
        begun
            .div_euclid(MINUTE_MS)
            .max((now_ms - kept).div_euclid(MINUTE_MS))
            * MINUTE_MS
    }

    fn know(&mut self, place: &Place) {
        if !self.known.contains(place) {
            let (balancer, group) = place;
            if !group.is_empty() {
                let balancers = self.behind.entry(group.clone()).or_default();
                balancers.insert(balancer.clone());
            }
            self.known.insert(place.clone());
        }
    }

    /// Whether a metric of this name and these dimensions can be here.
    pub(super) fn knows(&self, key: &MetricKey) -> bool {
        Subject::of(key).is_some_and(|subject| {
            let group = subject.target_group.unwrap_or_default();
            subject.load_balancer.map_or_else(
                || self.behind.contains_key(group),
                |balancer| {
                    let place = (balancer.to_string(), group.to_string());
                    self.known.contains(&place)
                },
            )
        })
    }

    /// The beginning of the newest minute before `before_ms` in which anything was seen of a metric.
    pub(super) fn newest(&self, key: &MetricKey, before_ms: i64, now_ms: i64) -> Option<i64> {
        let subject = Subject::of(key)?;
        let oldest = self.kept_from(MINUTE_MS, now_ms);
        let mut newest = None;
        for plans in self.about(&subject) {
            let mut end_ms = before_ms;
            for plan in plans.iter().rev() {
                // Plans that have nothing of the metric are passed over as a whole.
                let possible = !plan.streams.is_empty() || plan.hosts.is_some();
                let start_ms = plan.from_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
                let mut minute_ms = (end_ms - 1).div_euclid(MINUTE_MS) * MINUTE_MS;
                // What another place has a newer minute of need not be looked for here.
                let from_ms = start_ms.max(oldest);
                while possible
                    && minute_ms >= from_ms
                    && minute_ms + MINUTE_MS <= before_ms
                    && newest.is_none_or(|newest| minute_ms > newest)
                {
                    if self.minute(key, minute_ms).is_some() {
                        newest = Some(minute_ms);
                    } else {
                        minute_ms -= MINUTE_MS;
                    }
                }
                end_ms = end_ms.min(start_ms + MINUTE_MS);
                if end_ms <= oldest || newest.is_some_and(|newest| end_ms <= newest + MINUTE_MS) {
                    break;
                }
            }
        }
        newest
    }

    /// Every metric that was ever seen.
    pub(super) fn keys(&self) -> BTreeSet<MetricKey> {
        let mut of_balancers = BTreeSet::new();
        let mut of_groups = BTreeSet::new();
        let mut alone = BTreeSet::new();
        for ((balancer, group), plans) in &self.places {
            for stream in plans.iter().flat_map(|plan| &plan.streams) {
                let Some(answers) = stream.answers else {
                    of_balancers.insert(("RequestCount", balancer));
                    for name in OWN_ERRORS {
                        of_balancers.insert((name, balancer));
                    }
                    continue;
                };
                let errors = (answers.error_rate > 0.0).then_some(ERRORS);
                let served = (answers.error_rate < 1.0).then_some("HTTPCode_Target_2XX_Count");
                let names = ["RequestCount", "TargetResponseTime"];
                for name in names.into_iter().chain(errors).chain(served) {
                    of_balancers.insert((name, balancer));
                    of_groups.insert((name, balancer, group));
                }
                of_groups.insert((PER_TARGET, balancer, group));
                alone.insert(group);
            }
            if plans.iter().any(|plan| plan.hosts.is_some()) {
                for name in ["HealthyHostCount", "UnHealthyHostCount"] {
                    of_groups.insert((name, balancer, group));
                }
            }
        }
        let balancer = |value: &str| ("LoadBalancer".to_string(), value.to_string());
        let of_balancers = of_balancers
            .into_iter()
            .map(|(name, owner)| MetricKey::new(NAMESPACE, name, &[balancer(owner)]));
        let of_groups = of_groups.into_iter().map(|(name, owner, group)| {
            let group = ("TargetGroup".to_string(), group.clone());
            MetricKey::new(NAMESPACE, name, &[balancer(owner), group])
        });
        let alone = alone.into_iter().map(|group| {
            let group = ("TargetGroup".to_string(), group.clone());
            MetricKey::new(NAMESPACE, PER_TARGET, &[group])
        });
        of_balancers.chain(of_groups).chain(alone).collect()
    }
}

/// Points of the standard normal distribution with their shares: fine where p99 is read, coarse elsewhere.
fn quantiles() -> Vec<(f64, f64)> {
    let coarse = (0..18).map(|step| (f64::from(step) * 0.05, 0.05));
    let middle = (0..4).map(|step| (0.9 + f64::from(step) * 0.02, 0.02));
    let fine = [
        (0.98, 0.005),
        (0.985, 0.003),
        (0.988, 0.004),
        (0.992, 0.003),
        (0.995, 0.004),
        (0.999, 0.001),
    ];
    coarse
        .chain(middle)
        .chain(fine)
        .map(|(from, share)| (inverse_normal(from + share / 2.0), share))
        .collect()
}

/// Seconds and how many requests took them.
fn response_times(
    quantiles: &[(f64, f64)],
    answers: &Answers,
    wobble: f64,
    requests: f64,
) -> Vec<(f64, f64)> {
    // ln t = mu + sigma z, through p50 at z = 0 and p99 at z = 2.3263.
    let sigma = (answers.p99_ms / answers.p50_ms).ln() / 2.326_347_874;
    quantiles
        .iter()
        .map(|(z, share)| {
            let seconds = answers.p50_ms / 1000.0 * wobble * (sigma * z).exp();
            (seconds, share * requests)
        })
        .collect()
}

/// A standard normal draw (Box and Muller).
fn normal(rng: &mut impl Rng) -> f64 {
    let u: f64 = rng.random_range(f64::EPSILON..1.0);
    let v: f64 = rng.random_range(0.0..std::f64::consts::TAU);
    (-2.0 * u.ln()).sqrt() * v.cos()
}

/// A Poisson draw, never above [`most`]: by inversion for small means, by its normal limit for large ones.
fn poisson(rng: &mut impl Rng, mean: f64) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    let largest = most(mean);
    if mean > 40.0 {
        let drawn = (mean + mean.sqrt() * normal(rng)).round();
        return drawn.clamp(0.0, largest);
    }
    let drawn: f64 = rng.random_range(0.0..1.0);
    let mut share = (-mean).exp();
    let mut below = share;
    let mut count = 0.0;
    while below <= drawn && count < largest {
        count += 1.0;
        share *= mean / count;
        below += share;
    }
    count
}

/// The largest number that [`poisson`] draws: a larger one has a probability below 1e-15.
fn most(mean: f64) -> f64 {
    if mean <= 0.0 {
        0.0
    } else {
        (mean + 8.5 * mean.sqrt() + 12.0).ceil()
    }
}

/// Random numbers that cost next to nothing to begin (SplitMix64): every flow begins anew each minute.
struct Draws(u64);

impl RngCore for Draws {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        rand::rand_core::impls::fill_bytes_via_next(self, bytes);
    }
}

/// The quantile function of the standard normal distribution (Acklam's rational approximation, error below 1.2e-9).
fn inverse_normal(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
    ];
    let polynomial = |coefficients: &[f64], x: f64| {
        coefficients
            .iter()
            .fold(0.0, |sum, coefficient| sum * x + coefficient)
    };
    let tail = |q: f64| polynomial(&C, q) / (polynomial(&D, q) * q + 1.0);
    if p < 0.02425 {
        tail((-2.0 * p.ln()).sqrt())
    } else if p > 1.0 - 0.02425 {
        -tail((-2.0 * (1.0 - p).ln()).sqrt())
    } else {
        let q = p - 0.5;
        let r = q * q;
        polynomial(&A, r) * q / (polynomial(&B, r) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_cover_everything_and_meet_the_median_and_p99() {
        let points = quantiles();
        let total: f64 = points.iter().map(|(_, share)| share).sum();
        assert!((total - 1.0).abs() < 1e-9);
        assert!((inverse_normal(0.5)).abs() < 1e-9);
        assert!((inverse_normal(0.99) - 2.326_347_874).abs() < 1e-6);
        assert!((inverse_normal(0.01) + 2.326_347_874).abs() < 1e-6);
    }

    #[test]
    fn draws_have_the_mean_they_are_asked_for() {
        let mut rng = Draws(3);
        for mean in [0.5, 12.0, 1200.0] {
            let draws = 2000;
            let sum: f64 = (0..draws).map(|_| poisson(&mut rng, mean)).sum();
            let error = (sum / f64::from(draws) - mean).abs();
            assert!(
                error < 4.0 * (mean / f64::from(draws)).sqrt(),
                "{mean}: off by {error}"
            );
        }
    }
}
