//! Where requests go: from what services, listeners and targets are at a moment to a plan of traffic.
//!
//! * Our choice: a service receives `SIM_RPS` of its PRIMARY revision on its production listener; any other
//!   listener or rule that forwards to one of its target groups (a test listener) receives a tenth of that.
//!   Its target groups are those of its load balancers and task sets, and the pair of its CodeDeploy group.
//!   The production listener is the one its CodeDeploy group names; without a group, the
//!   one with port 443 or 80, or else with the lowest port.
//! * Requests are not made one by one: a plan holds until something changes, and the metrics of a minute
//!   are drawn from the plans that held in it ([`super::cloudwatch::observed`]).

use std::collections::BTreeMap;

use super::cloudwatch::observed::{Answers, Flow, Hosts};
use super::ecs::{ServiceStatus, TaskState};
use super::elb::{Health, dimension, forwards};
use super::region::Region;

const TEST_SHARE: f64 = 0.1;

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
        let tasks: BTreeMap<&str, Answers> = self
            .ecs
            .services
            .values()
            .flat_map(|service| service.tasks.iter())
            .filter(|task| task.state == TaskState::Running)
            .map(|task| {
                let disturbed = self.disturbed.get(&task.task_definition).copied();
                let answers = Answers {
                    error_rate: disturbed.unwrap_or(task.behaviour.error_rate),
                    p50_ms: task.behaviour.p50_ms,
                    p99_ms: task.behaviour.p99_ms,
                };
                (task.address.as_str(), answers)
            })
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
        let hosts = self.hosts();
        self.cloudwatch.plan_traffic(self.now, flows, hosts);
    }

    /// How many targets of each group behind a load balancer are well.
    fn hosts(&self) -> Vec<Hosts> {
        self.elb
            .target_groups
            .iter()
            .filter(|(_, group)| !group.targets.is_empty())
            .flat_map(|(arn, group)| {
                let count = |health: Health| {
                    let targets = group.targets.iter();
                    targets.filter(|target| target.health == health).count() as f64
                };
                let (healthy, unhealthy) = (count(Health::Healthy), count(Health::Unhealthy));
                let owners = self.elb.load_balancers_of(arn);
                owners.into_iter().map(move |owner| Hosts {
                    load_balancer: dimension(&owner),
                    target_group: dimension(arn),
                    healthy,
                    unhealthy,
                })
            })
            .collect()
    }

    fn split(
        &self,
        flows: &mut Vec<Flow>,
        balancer: &str,
        pairs: &[(&str, i64)],
        rate: f64,
        tasks: &BTreeMap<&str, Answers>,
    ) {
        let load_balancer = dimension(balancer);
        let mut add = |target_group: &str, answers: Option<Answers>, per_second: f64| {
            let target_group = dimension(target_group);
            let same = flows.iter_mut().find(|flow| {
                flow.load_balancer == load_balancer
                    && flow.target_group == target_group
                    && flow.answers == answers
            });
            match same {
                Some(flow) => flow.per_second += per_second,
                None => flows.push(Flow {
                    load_balancer: load_balancer.clone(),
                    target_group,
                    answers,
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
            let healthy: Vec<Answers> = self
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
            for answers in healthy {
                add(group, Some(answers), each);
            }
        }
    }
}
