//! Requests that the services receive, and the metrics they leave behind.
//!
//! * Namespace, names and exact dimension sets: \[D\] load-balancer-cloudwatch-metrics. Values appear once a
//!   minute, for the minute that has ended. Error counts are published only when not zero: \[O\].
//! * Our choice: a service receives `SIM_RPS` of its PRIMARY revision on its production listener; any other
//!   listener or rule that forwards to one of its target groups (a test listener) receives a tenth of that.
//!   Its target groups are those of its load balancers and task sets, and the pair of its CodeDeploy group.
//!   The production listener is the one its CodeDeploy group names; without a group, the
//!   one with port 443 or 80, or else with the lowest port.
//! * Requests are not made one by one. Expected numbers add up as time passes, and each minute one number
//!   is drawn around the expected one: Poisson for requests and for errors, and response times from a
//!   log-normal distribution through the revision's p50 and p99.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ecs::{Behaviour, ServiceStatus, TaskState};
use super::elb::{Health, dimension, forwards};
use super::region::Region;

const NAMESPACE: &str = "AWS/ApplicationELB";
const TEST_SHARE: f64 = 0.1;

/// Where requests go while nothing changes.
#[derive(Clone, PartialEq)]
struct Flow {
    load_balancer: String,
    /// Empty where the load balancer itself answers 503, because nothing healthy is behind it.
    target_group: String,
    behaviour: Option<Behaviour>,
    per_second: f64,
}

/// Traffic planned and not yet published.
pub(crate) struct Traffic {
    flows: Vec<Flow>,
    /// Expected requests of the current minute per flow.
    expected: Vec<f64>,
    /// Expected requests of the current minute of flows that are gone.
    earlier: Vec<(Flow, f64)>,
    accrued_to: i64,
    rng: ChaCha8Rng,
    quantiles: Vec<(f64, f64)>,
}

impl Traffic {
    pub(crate) fn new(now: i64, seed: u64) -> Traffic {
        Traffic {
            flows: Vec::new(),
            expected: Vec::new(),
            earlier: Vec::new(),
            accrued_to: now,
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x7261_6666_6963),
            quantiles: quantiles(),
        }
    }

    /// Adds the requests up to `now` under the plan that held since the last time.
    pub(crate) fn accrue(&mut self, now: i64) {
        let seconds = (now - self.accrued_to) as f64 / 1000.0;
        self.accrued_to = now;
        for (flow, expected) in self.flows.iter().zip(&mut self.expected) {
            *expected += flow.per_second * seconds;
        }
    }

    fn replan(&mut self, flows: Vec<Flow>) {
        if flows == self.flows {
            return;
        }
        let old = std::mem::replace(&mut self.flows, flows);
        let counts = std::mem::replace(&mut self.expected, vec![0.0; self.flows.len()]);
        self.earlier.extend(
            old.into_iter()
                .zip(counts)
                .filter(|(_, count)| *count > 0.0),
        );
    }

    fn take_minute(&mut self) -> Vec<(Flow, f64)> {
        let mut all = std::mem::take(&mut self.earlier);
        for (flow, expected) in self.flows.iter().zip(&mut self.expected) {
            if *expected > 0.0 {
                all.push((flow.clone(), std::mem::take(expected)));
            }
        }
        all
    }
}

/// What one target group or load balancer saw in a minute.
#[derive(Default)]
struct Seen {
    requests: f64,
    ok: f64,
    errors: f64,
    refused: f64,
    times: Vec<(f64, f64)>,
}

impl Region {
    /// Works out where requests go from now on.
    pub(crate) fn plan_traffic(&mut self) {
        // Which routes forward to a target group: (listener, forwards of the whole action list).
        let routes: Vec<(&str, Vec<(&str, i64)>)> = self
            .elb
            .routes()
            .map(|(listener, actions)| (listener, forwards(actions)))
            .filter(|(_, pairs)| !pairs.is_empty())
            .collect();
        let mut by_group: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, (_, pairs)) in routes.iter().enumerate() {
            for (group, _) in pairs {
                by_group.entry(group).or_default().push(index);
            }
        }
        let tasks: BTreeMap<&str, Behaviour> = self
            .ecs
            .services
            .values()
            .flat_map(|service| service.tasks.iter())
            .filter(|task| task.state == TaskState::Running)
            .map(|task| (task.address.as_str(), task.behaviour))
            .collect();
        let names: BTreeMap<&str, &str> = self
            .elb
            .target_groups
            .iter()
            .map(|(arn, group)| (group.name.as_str(), arn.as_str()))
            .collect();
        let managed = self.codedeploy.managed_routes();
        let mut flows: Vec<Flow> = Vec::new();
        for (key, service) in &self.ecs.services {
            if service.status != ServiceStatus::Active {
                continue;
            }
            let revision = service
                .primary()
                .map(|unit| unit.task_definition.as_str())
                .or(service.task_definition.as_deref())
                .and_then(|arn| self.ecs.task_definition(arn));
            let Some(revision) = revision else { continue };
            let demand = revision.behaviour.rps;
            let managed = managed.get(key);
            let pair = managed
                .map_or(&[][..], |(_, pair)| pair)
                .iter()
                .filter_map(|name| names.get(name.as_str()).copied());
            let groups = service
                .units
                .iter()
                .map(|unit| &unit.load_balancers)
                .chain([&service.load_balancers])
                .flat_map(|balancers| balancers.as_list())
                .filter_map(|entry| entry.get("targetGroupArn").as_str())
                .chain(pair);
            let mut own: Vec<usize> = groups
                .filter_map(|group| by_group.get(group))
                .flatten()
                .copied()
                .collect();
            own.sort_unstable();
            own.dedup();
            let chosen = managed.map(|(listener, _)| listener.as_str()).or_else(|| {
                own.iter()
                    .map(|index| routes[*index].0)
                    .min_by_key(|listener| {
                        let port = self
                            .elb
                            .listeners
                            .get(*listener)
                            .map_or(0, |found| found.port);
                        match port {
                            443 => (0, 0),
                            80 => (1, 0),
                            other => (2, other),
                        }
                    })
            });
            let mut own_flows = Vec::new();
            for index in own {
                let (listener, pairs) = &routes[index];
                let rate = if Some(*listener) == chosen {
                    demand
                } else {
                    demand * TEST_SHARE
                };
                let balancer = self
                    .elb
                    .listeners
                    .get(*listener)
                    .map(|one| &one.load_balancer);
                let Some(balancer) = balancer else { continue };
                self.split(&mut own_flows, balancer, pairs, rate, &tasks);
            }
            flows.extend(own_flows);
        }
        flows.retain(|flow| flow.per_second > 0.0);
        self.traffic.replan(flows);
    }

    fn split(
        &self,
        flows: &mut Vec<Flow>,
        balancer: &str,
        pairs: &[(&str, i64)],
        rate: f64,
        tasks: &BTreeMap<&str, Behaviour>,
    ) {
        let mut add = |target_group: &str, behaviour: Option<Behaviour>, per_second: f64| {
            let same = flows.iter_mut().find(|flow| {
                flow.load_balancer == balancer
                    && flow.target_group == target_group
                    && flow.behaviour == behaviour
            });
            match same {
                Some(flow) => flow.per_second += per_second,
                None => flows.push(Flow {
                    load_balancer: balancer.to_string(),
                    target_group: target_group.to_string(),
                    behaviour,
                    per_second,
                }),
            }
        };
        let total: i64 = pairs.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            add("", None, rate);
            return;
        }
        for (group, weight) in pairs {
            let share = rate * *weight as f64 / total as f64;
            let healthy: Vec<Behaviour> = self
                .elb
                .target_groups
                .get(*group)
                .map(|found| {
                    found
                        .targets
                        .iter()
                        .filter(|target| target.health == Health::Healthy)
                        .filter_map(|target| tasks.get(target.id.as_str()).copied())
                        .collect()
                })
                .unwrap_or_default();
            if healthy.is_empty() {
                add("", None, share);
                continue;
            }
            let each = share / healthy.len() as f64;
            for behaviour in healthy {
                add(group, Some(behaviour), each);
            }
        }
    }

    /// Publishes the minute that began at `minute`.
    pub(crate) fn publish_metrics(&mut self, minute: i64) {
        let mut groups: BTreeMap<(String, String), Seen> = BTreeMap::new();
        let mut balancers: BTreeMap<String, Seen> = BTreeMap::new();
        for (flow, expected) in self.traffic.take_minute() {
            let traffic = &mut self.traffic;
            let requests = poisson(&mut traffic.rng, expected);
            let total = balancers.entry(flow.load_balancer.clone()).or_default();
            let Some(behaviour) = flow.behaviour else {
                total.requests += requests;
                total.refused += requests;
                continue;
            };
            let errors = if behaviour.error_rate >= 1.0 {
                requests
            } else {
                poisson(&mut traffic.rng, requests * behaviour.error_rate).min(requests)
            };
            let wobble = (normal(&mut traffic.rng) * 0.03).exp();
            let key = (flow.load_balancer, flow.target_group);
            for seen in [groups.entry(key).or_default(), total] {
                seen.requests += requests;
                seen.errors += errors;
                seen.ok += requests - errors;
                if requests > 0.0 {
                    let times = response_times(&traffic.quantiles, &behaviour, wobble, requests);
                    seen.times.extend(times);
                }
            }
        }
        for (balancer, seen) in balancers {
            let dimensions = [("LoadBalancer".to_string(), dimension(&balancer))];
            self.record(minute, &dimensions, &seen);
            if seen.refused > 0.0 {
                self.cloudwatch.record(
                    minute,
                    NAMESPACE,
                    "HTTPCode_ELB_5XX_Count",
                    &dimensions,
                    &[(1.0, seen.refused)],
                );
            }
        }
        let hosts: Vec<(String, String, f64, f64)> = self
            .elb
            .target_groups
            .iter()
            .filter(|(_, group)| !group.targets.is_empty())
            .flat_map(|(arn, group)| {
                let count = |health: Health| {
                    group
                        .targets
                        .iter()
                        .filter(|target| target.health == health)
                        .count() as f64
                };
                let (healthy, unhealthy) = (count(Health::Healthy), count(Health::Unhealthy));
                let owners = self.elb.load_balancers_of(arn);
                owners
                    .into_iter()
                    .map(move |owner| (owner, arn.clone(), healthy, unhealthy))
            })
            .collect();
        for ((balancer, group), seen) in groups {
            let healthy = self.healthy_targets(&group).max(1) as f64;
            let dimensions = group_dimensions(&balancer, &group);
            self.record(minute, &dimensions, &seen);
            self.cloudwatch.record(
                minute,
                NAMESPACE,
                "RequestCountPerTarget",
                &dimensions,
                &[(seen.requests / healthy, 1.0)],
            );
        }
        for (balancer, group, healthy, unhealthy) in hosts {
            let dimensions = group_dimensions(&balancer, &group);
            let counts = [
                ("HealthyHostCount", healthy),
                ("UnHealthyHostCount", unhealthy),
            ];
            for (name, count) in counts {
                self.cloudwatch
                    .record(minute, NAMESPACE, name, &dimensions, &[(count, 1.0)]);
            }
        }
    }

    fn record(&mut self, minute: i64, dimensions: &[(String, String)], seen: &Seen) {
        let counts = [
            ("RequestCount", seen.requests),
            ("HTTPCode_Target_2XX_Count", seen.ok),
            ("HTTPCode_Target_5XX_Count", seen.errors),
        ];
        for (name, count) in counts {
            if count > 0.0 {
                self.cloudwatch
                    .record(minute, NAMESPACE, name, dimensions, &[(1.0, count)]);
            }
        }
        if !seen.times.is_empty() {
            let name = "TargetResponseTime";
            self.cloudwatch
                .record(minute, NAMESPACE, name, dimensions, &seen.times);
        }
    }
}

fn group_dimensions(balancer: &str, group: &str) -> [(String, String); 2] {
    [
        ("LoadBalancer".to_string(), dimension(balancer)),
        ("TargetGroup".to_string(), dimension(group)),
    ]
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
    behaviour: &Behaviour,
    wobble: f64,
    requests: f64,
) -> Vec<(f64, f64)> {
    // ln t = mu + sigma z, through p50 at z = 0 and p99 at z = 2.3263.
    let sigma = (behaviour.p99_ms / behaviour.p50_ms).ln() / 2.326_347_874;
    quantiles
        .iter()
        .map(|(z, share)| {
            let seconds = behaviour.p50_ms / 1000.0 * wobble * (sigma * z).exp();
            (seconds, share * requests)
        })
        .collect()
}

/// A standard normal draw (Box and Muller).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let u: f64 = rng.random_range(f64::EPSILON..1.0);
    let v: f64 = rng.random_range(0.0..std::f64::consts::TAU);
    (-2.0 * u.ln()).sqrt() * v.cos()
}

/// A Poisson draw: exact for small means, by its normal limit for large ones.
fn poisson(rng: &mut ChaCha8Rng, mean: f64) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    if mean > 40.0 {
        return (mean + mean.sqrt() * normal(rng)).round().max(0.0);
    }
    let limit = (-mean).exp();
    let mut product: f64 = rng.random_range(0.0..1.0);
    let mut count = 0.0;
    while product > limit {
        product *= rng.random_range(0.0..1.0);
        count += 1.0;
    }
    count
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
        let mut rng = ChaCha8Rng::seed_from_u64(3);
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
