//! What load balancing needs to look only where something happened.
//!
//! A thing is *touched* when anybody could have changed it; a target group is *due* when one of its targets
//! changes by itself. Health checks and the plan of traffic look at those alone: thousands of target groups
//! and listeners at rest cost nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;

use super::{Elb, Listener, Rule, TargetGroup, forwards};
use crate::value::Value;

/// Things by their ARN, and which of them may have changed. They are read as the map that they are in.
pub(crate) struct Tracked<V> {
    map: BTreeMap<String, V>,
    touched: BTreeSet<String>,
}

impl<V> Default for Tracked<V> {
    fn default() -> Tracked<V> {
        Tracked {
            map: BTreeMap::new(),
            touched: BTreeSet::new(),
        }
    }
}

impl<V> Deref for Tracked<V> {
    type Target = BTreeMap<String, V>;

    fn deref(&self) -> &BTreeMap<String, V> {
        &self.map
    }
}

impl<'a, V> IntoIterator for &'a Tracked<V> {
    type Item = (&'a String, &'a V);
    type IntoIter = std::collections::btree_map::Iter<'a, String, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.map.iter()
    }
}

impl<V> Tracked<V> {
    /// The thing, to change.
    pub(crate) fn get_mut(&mut self, arn: &str) -> Option<&mut V> {
        let found = self.map.get_mut(arn)?;
        if !self.touched.contains(arn) {
            self.touched.insert(arn.to_string());
        }
        Some(found)
    }

    /// The thing, for the step that looks at what was touched.
    pub(super) fn get_to_step(&mut self, arn: &str) -> Option<&mut V> {
        self.map.get_mut(arn)
    }

    /// Adds a thing.
    pub(super) fn insert(&mut self, arn: String, thing: V) {
        self.touched.insert(arn.clone());
        self.map.insert(arn, thing);
    }

    /// Takes a thing out.
    pub(super) fn remove(&mut self, arn: &str) -> Option<V> {
        self.touch(arn);
        self.map.remove(arn)
    }

    fn touch(&mut self, arn: &str) {
        self.touched.insert(arn.to_string());
    }
}

impl Tracked<Rule> {
    /// Takes out the rules of a listener.
    pub(super) fn remove_of(&mut self, listener: &str) {
        for arn in self.of(listener) {
            self.remove(&arn);
        }
    }

    /// The ARNs of a listener's rules, ascending.
    pub(super) fn of(&self, listener: &str) -> Vec<String> {
        let own = self
            .map
            .iter()
            .filter(|(_, rule)| rule.listener == listener);
        own.map(|(arn, _)| arn.clone()).collect()
    }
}

/// Whether the actions are a rule's, and the ARN of the listener or rule: defaults come before rules.
pub(crate) type RouteKey = (bool, String);

/// Where one listener or rule forwards.
#[derive(Debug, PartialEq)]
pub(crate) struct Route {
    /// The listener's ARN.
    pub(crate) listener: String,
    /// The ARNs of target groups and their weights.
    pub(crate) pairs: Vec<(String, i64)>,
}

/// What was last known of the touched things.
#[derive(Default)]
pub(crate) struct Index {
    routes: BTreeMap<RouteKey, Route>,
    by_group: HashMap<String, BTreeSet<RouteKey>>,
    by_name: HashMap<String, String>,
    /// The target groups in which an address was registered.
    by_target: HashMap<String, BTreeSet<String>>,
    agenda: BTreeSet<(i64, String)>,
    due: HashMap<String, i64>,
    /// Target groups that the plan of traffic must look at, with those that are gone.
    changed: BTreeSet<String>,
}

impl Index {
    /// An address was registered in a target group.
    pub(super) fn learn_target(&mut self, address: &str, group: &str) {
        let known = self.by_target.entry(address.to_string()).or_default();
        known.insert(group.to_string());
    }

    /// An address is in a target group no more.
    pub(super) fn forget_target(&mut self, address: &str, group: &str) {
        if let Some(groups) = self.by_target.get_mut(address) {
            groups.remove(group);
            if groups.is_empty() {
                self.by_target.remove(address);
            }
        }
    }

    /// The target group with this name.
    pub(super) fn group_named(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(String::as_str)
    }

    /// When a target group changes by itself.
    pub(super) fn plan(&mut self, group: &str, due: Option<i64>) {
        if let Some(before) = self.due.remove(group) {
            self.agenda.remove(&(before, group.to_string()));
        }
        if let Some(at) = due {
            self.due.insert(group.to_string(), at);
            self.agenda.insert((at, group.to_string()));
        }
    }

    /// When the first target group changes by itself.
    pub(super) fn next_due_ms(&self) -> Option<i64> {
        self.agenda.first().map(|(at, _)| *at)
    }

    fn set_route(&mut self, key: RouteKey, route: Option<Route>, groups: &mut BTreeSet<String>) {
        if let Some(before) = self.routes.remove(&key) {
            for (group, _) in before.pairs {
                if let Some(own) = self.by_group.get_mut(&group) {
                    own.remove(&key);
                }
                groups.insert(group);
            }
        }
        if let Some(route) = route {
            for (group, _) in &route.pairs {
                let own = self.by_group.entry(group.clone()).or_default();
                own.insert(key.clone());
                groups.insert(group.clone());
            }
            self.routes.insert(key, route);
        }
    }
}

fn route(listener: &str, actions: &[crate::value::Value]) -> Option<Route> {
    let pairs: Vec<(String, i64)> = forwards(actions)
        .into_iter()
        .map(|(group, weight)| (group.to_string(), weight))
        .collect();
    (!pairs.is_empty()).then(|| Route {
        listener: listener.to_string(),
        pairs,
    })
}

impl Elb {
    /// Adds a target group, which has its name from then on.
    pub(super) fn add_target_group(&mut self, arn: String, group: TargetGroup) {
        self.index.by_name.insert(group.name.clone(), arn.clone());
        self.target_groups.insert(arn, group);
    }

    /// Takes a target group out, and its name with it.
    pub(super) fn remove_target_group(&mut self, arn: &str) {
        if let Some(group) = self.target_groups.remove(arn) {
            self.index.by_name.remove(&group.name);
            for target in &group.targets {
                self.index.forget_target(&target.id, arn);
            }
        }
    }

    /// Where health checks must look at `now`: target groups that were touched, whose use may have changed,
    /// that are due, or that have one of these addresses.
    pub(super) fn take_groups_to_look_at<'a>(
        &mut self,
        now: i64,
        addresses: impl Iterator<Item = &'a str>,
    ) -> BTreeSet<String> {
        let mut groups = std::mem::take(&mut self.target_groups.touched);
        for arn in std::mem::take(&mut self.listeners.touched) {
            let listener: Option<&Listener> = self.listeners.get(&arn);
            let now = listener.and_then(|listener| route(&arn, &listener.actions));
            self.index.set_route((false, arn), now, &mut groups);
        }
        for arn in std::mem::take(&mut self.rules.touched) {
            let rule = self.rules.get(&arn);
            let now = rule.and_then(|rule| route(&rule.listener, &rule.actions));
            self.index.set_route((true, arn), now, &mut groups);
        }
        for address in addresses {
            if let Some(own) = self.index.by_target.get(address) {
                groups.extend(own.iter().cloned());
            }
        }
        while let Some((at, _)) = self.index.agenda.first() {
            if *at > now {
                break;
            }
            if let Some((_, group)) = self.index.agenda.pop_first() {
                self.index.due.remove(&group);
                groups.insert(group);
            }
        }
        self.index.changed.extend(groups.iter().cloned());
        groups
    }

    /// The target groups that may have changed since this was last asked, in order.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.index.changed)
    }

    /// Whether a listener or rule forwarded to this target group when health checks last looked.
    pub(super) fn is_used(&self, target_group: &str) -> bool {
        let routes = self.index.by_group.get(target_group);
        routes.is_some_and(|routes| !routes.is_empty())
    }

    /// The listeners and rules that forwarded to this target group when health checks last looked.
    pub(crate) fn routes_to(
        &self,
        target_group: &str,
    ) -> impl Iterator<Item = (&RouteKey, &Route)> {
        let keys = self.index.by_group.get(target_group).into_iter().flatten();
        keys.filter_map(|key| Some((key, self.index.routes.get(key)?)))
    }

    /// The listeners that forward to this target group now, themselves or by a rule: what health checks last saw, and
    /// what was touched since.
    pub(super) fn listeners_to(&self, target_group: &str) -> BTreeSet<&str> {
        let forwards_here = |actions: &[Value]| {
            let pairs = forwards(actions);
            pairs.iter().any(|(arn, _)| *arn == target_group)
        };
        let (listeners, rules) = (&self.listeners, &self.rules);
        let untouched = |(is_rule, arn): &RouteKey| {
            let touched = if *is_rule {
                &rules.touched
            } else {
                &listeners.touched
            };
            !touched.contains(arn)
        };
        let known = self.routes_to(target_group);
        let known = known.filter(|(key, _)| untouched(key));
        let defaults = listeners
            .touched
            .iter()
            .filter_map(|arn| listeners.get_key_value(arn))
            .filter(|(_, listener)| forwards_here(&listener.actions));
        let by_rule = rules
            .touched
            .iter()
            .filter_map(|arn| rules.get(arn))
            .filter(|rule| forwards_here(&rule.actions));
        known
            .map(|(_, route)| route.listener.as_str())
            .chain(defaults.map(|(arn, _)| arn.as_str()))
            .chain(by_rule.map(|rule| rule.listener.as_str()))
            .collect()
    }
}
