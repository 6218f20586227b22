//! The services of a region with what the scheduler needs to look only where something happened.
//!
//! A service is *touched* when anybody could have changed it, and *due* when it changes by itself. The
//! scheduler looks at those alone: two thousand services at rest cost nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Service;

/// Cluster and name of a service.
pub(crate) type ServiceKey = (String, String);

/// All services of one account in one region.
#[derive(Default)]
pub(crate) struct Services {
    map: BTreeMap<ServiceKey, Service>,
    touched: BTreeSet<ServiceKey>,
    /// Touched since what follows from a moment was last worked out.
    changed: BTreeSet<ServiceKey>,
    agenda: BTreeSet<(i64, ServiceKey)>,
    due: HashMap<ServiceKey, i64>,
    by_address: HashMap<String, ServiceKey>,
}

impl Services {
    /// The service, to read.
    pub(crate) fn get(&self, key: &ServiceKey) -> Option<&Service> {
        self.map.get(key)
    }

    /// The service, to change: the scheduler will look at it.
    pub(crate) fn get_mut(&mut self, key: &ServiceKey) -> Option<&mut Service> {
        let found = self.map.get_mut(key)?;
        if !self.touched.contains(key) {
            self.touched.insert(key.clone());
        }
        Some(found)
    }

    /// Every service, to read.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Service> {
        self.map.values()
    }

    /// Every service with its key, to read.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ServiceKey, &Service)> {
        self.map.iter()
    }

    /// Adds a service, or puts one back that was taken out to be changed.
    pub(crate) fn insert(&mut self, key: ServiceKey, service: Service) {
        self.touched.insert(key.clone());
        self.map.insert(key, service);
    }

    /// Takes a service out, to change it with the rest of the region at hand.
    pub(crate) fn remove(&mut self, key: &ServiceKey) -> Option<Service> {
        self.map.remove(key)
    }

    /// Puts a service back that the scheduler looked at; `moved` when it must look once more.
    pub(super) fn put_back(&mut self, key: ServiceKey, service: Service, moved: bool) {
        if moved {
            self.touched.insert(key.clone());
        } else {
            self.touched.remove(&key);
        }
        self.changed.insert(key.clone());
        self.map.insert(key, service);
    }

    /// The scheduler shall look at the service that has a task with this address, if one has.
    pub(crate) fn touch_address(&mut self, address: &str) {
        if let Some(key) = self.by_address.get(address) {
            self.touched.insert(key.clone());
        }
    }

    /// A task of the service got this address.
    pub(super) fn learn_address(&mut self, address: &str, key: ServiceKey) {
        self.by_address.insert(address.to_string(), key);
    }

    /// No task has this address any more.
    pub(super) fn forget_address(&mut self, address: &str) {
        self.by_address.remove(address);
    }

    /// The service with this task's address.
    pub(crate) fn at_address(&self, address: &str) -> Option<&Service> {
        self.map.get(self.by_address.get(address)?)
    }

    /// What the scheduler must look at, without what is due later.
    pub(crate) fn touched(&self) -> Vec<ServiceKey> {
        self.touched.iter().cloned().collect()
    }

    /// Every service that may have changed since this was last asked, in order.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<ServiceKey> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.extend(self.touched.iter().cloned());
        changed
    }

    /// Touches every service that is due.
    pub(super) fn touch_due(&mut self, now: i64) {
        while let Some((at, _)) = self.agenda.first() {
            if *at > now {
                break;
            }
            if let Some((_, key)) = self.agenda.pop_first() {
                self.due.remove(&key);
                self.touched.insert(key);
            }
        }
    }

    /// When the service changes by itself.
    pub(super) fn plan(&mut self, key: &ServiceKey, due: Option<i64>) {
        if let Some(before) = self.due.remove(key) {
            self.agenda.remove(&(before, key.clone()));
        }
        if let Some(at) = due {
            self.due.insert(key.clone(), at);
            self.agenda.insert((at, key.clone()));
        }
    }

    /// When the first service changes by itself.
    pub(super) fn next_due_ms(&self) -> Option<i64> {
        self.agenda.first().map(|(at, _)| *at)
    }
}

impl<'a> IntoIterator for &'a Services {
    type Item = (&'a ServiceKey, &'a Service);
    type IntoIter = std::collections::btree_map::Iter<'a, ServiceKey, Service>;

    fn into_iter(self) -> Self::IntoIter {
        self.map.iter()
    }
}
