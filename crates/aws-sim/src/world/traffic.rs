//! Where requests go: from what services, listeners and targets are at a moment to a plan of traffic.
//!
//! * Our choice: a service receives `SIM_RPS` of its PRIMARY revision on its production listener; any other
//!   listener or rule that forwards to one of its target groups (a test listener) receives a tenth of that.
//!   Its target groups are those of its load balancers and task sets, and the pair of its CodeDeploy group.
//!   The production listener is the one its CodeDeploy group names; without a group, the
//!   one with port 443 or 80, or else with the lowest port.
//! * Requests are not made one by one: a plan holds until something changes, and the metrics of a minute
//!   are drawn from the plans that held in it ([`super::cloudwatch::observed`]).
//! * The plan of a service is worked out anew only when the service changed, or a target group that its listeners
//!   and rules forward to, or its CodeDeploy group: [`Traffic`] knows who depends on what.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::cloudwatch::observed::{Answers, Flow, Hosts, Place};
use super::ecs::{Service, ServiceKey, ServiceStatus, TaskState};
use super::elb::{Health, Route, RouteKey, dimension};
use super::region::Region;

const TEST_SHARE: f64 = 0.1;

/// The plan that holds now, by who it comes from.
#[derive(Default)]
pub(crate) struct Traffic {
    /// Of every service that has a deployment group: the production listener, and the names of its pair.
    managed: BTreeMap<ServiceKey, (String, Vec<String>)>,
    /// The ARNs, and names in a pair, of the target groups that a service's plan follows from.
    depends: HashMap<ServiceKey, BTreeSet<String>>,
    /// The same the other way round.
    dependents: HashMap<String, BTreeSet<ServiceKey>>,
    /// Where the requests of a service go.
    places: HashMap<ServiceKey, BTreeSet<Place>>,
    flows: HashMap<Place, BTreeMap<ServiceKey, Vec<Flow>>>,
    /// The load balancers that counted the targets of a target group, by its ARN.
    counted: HashMap<String, BTreeSet<String>>,
}

impl Traffic {
    fn depend(&mut self, key: &ServiceKey, on: BTreeSet<String>) {
        let before = self.depends.remove(key).unwrap_or_default();
        for gone in before.difference(&on) {
            if let Some(services) = self.dependents.get_mut(gone) {
                services.remove(key);
                if services.is_empty() {
                    self.dependents.remove(gone);
                }
            }
        }
        for new in on.difference(&before) {
            let services = self.dependents.entry(new.clone()).or_default();
            services.insert(key.clone());
        }
        if !on.is_empty() {
            self.depends.insert(key.clone(), on);
        }
    }

    /// The requests of a service go so from now on. Answers where something is different.
    fn send(&mut self, key: &ServiceKey, flows: Vec<Flow>) -> BTreeSet<Place> {
        let mut now: BTreeMap<Place, Vec<Flow>> = BTreeMap::new();
        for flow in flows {
            let place = (flow.load_balancer.clone(), flow.target_group.clone());
            now.entry(place).or_default().push(flow);
        }
        let before = self.places.remove(key).unwrap_or_default();
        let mut changed = BTreeSet::new();
        for gone in before.iter().filter(|place| !now.contains_key(*place)) {
            if let Some(services) = self.flows.get_mut(gone) {
                services.remove(key);
                if services.is_empty() {
                    self.flows.remove(gone);
                }
            }
            changed.insert(gone.clone());
        }
        if !now.is_empty() {
            self.places
                .insert(key.clone(), now.keys().cloned().collect());
        }
        for (place, flows) in now {
            let services = self.flows.entry(place.clone()).or_default();
            if services.get(key) != Some(&flows) {
                services.insert(key.clone(), flows);
                changed.insert(place);
            }
        }
        changed
    }
}

impl Region {
    /// CodeDeploy's groups may be others than before: the services whose routes they choose.
    fn learn_managed_routes(&mut self) -> BTreeSet<ServiceKey> {
        let now = self.codedeploy.managed_routes();
        let before = std::mem::take(&mut self.traffic.managed);
        let keys = now.keys().chain(before.keys());
        let changed = keys
            .filter(|key| now.get(*key) != before.get(*key))
            .cloned()
            .collect();
        self.traffic.managed = now;
        changed
    }

    /// Works out where all requests go from now on.
    pub(crate) fn plan_all_traffic(&mut self) {
        let services = self.ecs.services.iter().map(|(key, _)| key.clone());
        let services = services.collect();
        self.plan_traffic(services);
    }

    /// Works out where requests go from now on, given all services that may have changed.
    pub(crate) fn plan_traffic(&mut self, mut services: BTreeSet<ServiceKey>) {
        if self.codedeploy.take_groups_changed() {
            services.extend(self.learn_managed_routes());
        }
        let groups = self.elb.take_changed();
        for arn in &groups {
            // A pair names its target groups by name, which is the middle of the tail of the ARN.
            let name = arn.rsplit('/').nth(1).unwrap_or_default();
            for known in [arn.as_str(), name] {
                let dependents = self.traffic.dependents.get(known);
                services.extend(dependents.into_iter().flatten().cloned());
            }
        }
        let mut places = BTreeSet::new();
        for key in &services {
            self.work.plans += 1;
            let service = self.ecs.services.get(key);
            let active = service.filter(|service| service.status == ServiceStatus::Active);
            let (depends, flows) =
                active.map_or_else(Default::default, |service| self.service_flows(key, service));
            self.traffic.depend(key, depends);
            places.extend(self.traffic.send(key, flows));
        }
        let flows = places
            .into_iter()
            .map(|place| {
                let services = self.traffic.flows.get(&place);
                let flows = services.into_iter().flat_map(BTreeMap::values).flatten();
                let flows = flows.cloned().collect();
                (place, flows)
            })
            .collect();
        let hosts = groups.iter().flat_map(|arn| self.hosts(arn)).collect();
        self.cloudwatch.plan_traffic(self.now, flows, hosts);
    }

    /// What the plan of a service follows from, and where its requests go.
    fn service_flows(&self, key: &ServiceKey, service: &Service) -> (BTreeSet<String>, Vec<Flow>) {
        let managed = self.traffic.managed.get(key);
        let pair = managed.map_or(&[][..], |(_, pair)| pair);
        let mut depends: BTreeSet<String> = pair.iter().cloned().collect();
        let named = pair
            .iter()
            .filter_map(|name| self.elb.target_group_by_name(name));
        let groups: BTreeSet<&str> = service
            .units
            .iter()
            .map(|unit| &unit.load_balancers)
            .chain([&service.load_balancers])
            .flat_map(|balancers| balancers.as_list())
            .filter_map(|entry| entry.get("targetGroupArn").as_str())
            .chain(named)
            .collect();
        depends.extend(groups.iter().map(|group| (*group).to_string()));
        let own: BTreeMap<&RouteKey, &Route> = groups
            .into_iter()
            .flat_map(|group| self.elb.routes_to(group))
            .collect();
        for route in own.values() {
            depends.extend(route.pairs.iter().map(|(group, _)| group.clone()));
        }
        let revision = service
            .primary()
            .map(|unit| unit.task_definition.as_str())
            .or(service.task_definition.as_deref())
            .and_then(|arn| self.ecs.task_definition(arn));
        let Some(revision) = revision else {
            return (depends, Vec::new());
        };
        let demand = revision.behaviour.rps;
        let chosen = managed.map(|(listener, _)| listener.as_str()).or_else(|| {
            own.values()
                .map(|route| route.listener.as_str())
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
        let mut flows = Vec::new();
        for route in own.values() {
            let rate = if Some(route.listener.as_str()) == chosen {
                demand
            } else {
                demand * TEST_SHARE
            };
            if let Some(listener) = self.elb.listeners.get(&route.listener) {
                self.split(&mut flows, &listener.load_balancer, &route.pairs, rate);
            }
        }
        flows.retain(|flow| flow.per_second > 0.0);
        (depends, flows)
    }

    /// How many targets of a group are well, for each load balancer that it is behind, or was.
    fn hosts(&mut self, arn: &str) -> Vec<(Place, Option<Hosts>)> {
        let group = self.elb.target_groups.get(arn);
        let group = group.filter(|group| !group.targets.is_empty());
        let hosts = group.map(|group| {
            let count = |health: Health| {
                let targets = group.targets.iter();
                targets.filter(|target| target.health == health).count() as f64
            };
            Hosts {
                healthy: count(Health::Healthy),
                unhealthy: count(Health::Unhealthy),
            }
        });
        let owners = if hosts.is_some() {
            self.elb.load_balancers_of(arn)
        } else {
            BTreeSet::new()
        };
        let counted = &mut self.traffic.counted;
        let before = counted.remove(arn).unwrap_or_default();
        let place = |owner: &String| (dimension(owner), dimension(arn));
        let gone = before.difference(&owners).map(|owner| (place(owner), None));
        let there = owners.iter().map(|owner| (place(owner), hosts));
        let answer = gone.chain(there).collect();
        if !owners.is_empty() {
            counted.insert(arn.to_string(), owners);
        }
        answer
    }

    /// How the running task with this address answers.
    fn answers_of(&self, address: &str) -> Option<Answers> {
        let service = self.ecs.services.at_address(address)?;
        let task = service
            .tasks
            .iter()
            .find(|task| task.address == address && task.state == TaskState::Running)?;
        let disturbed = self.disturbed.get(&task.task_definition).copied();
        Some(Answers {
            error_rate: disturbed.unwrap_or(task.behaviour.error_rate),
            p50_ms: task.behaviour.p50_ms,
            p99_ms: task.behaviour.p99_ms,
        })
    }

    fn split(&self, flows: &mut Vec<Flow>, balancer: &str, pairs: &[(String, i64)], rate: f64) {
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
                .get(group)
                .map(|found| {
                    found
                        .targets
                        .iter()
                        .filter(|target| target.health == Health::Healthy)
                        .filter_map(|target| self.answers_of(&target.id))
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

    /// What stands otherwise than if everything were looked at anew: plans of services, uses of target groups.
    #[cfg(test)]
    pub(crate) fn overlooked(&self) -> Vec<String> {
        let services = self.ecs.services.iter().filter(|(key, service)| {
            let active = service.status == ServiceStatus::Active;
            let flows = active.then(|| self.service_flows(key, service).1);
            let mut now: BTreeMap<Place, Vec<Flow>> = BTreeMap::new();
            for flow in flows.unwrap_or_default() {
                let place = (flow.load_balancer.clone(), flow.target_group.clone());
                now.entry(place).or_default().push(flow);
            }
            let planned = self.traffic.flows.iter();
            let planned: BTreeMap<Place, Vec<Flow>> = planned
                .filter_map(|(place, services)| Some((place.clone(), services.get(*key)?.clone())))
                .collect();
            planned != now
        });
        let services = services.map(|(key, _)| format!("the plan of {key:?}"));
        let groups = self.elb.target_groups.keys().filter(|arn| {
            let used = self
                .elb
                .routes()
                .flat_map(|(_, actions)| super::elb::forwards(actions))
                .any(|(group, _)| group == arn.as_str());
            used != (self.elb.routes_to(arn).next().is_some())
        });
        services
            .chain(groups.map(|arn| format!("the use of {arn}")))
            .collect()
    }
}
