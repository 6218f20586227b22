//! Targets: registration, health checks, draining.
//!
//! * A target is healthy after `interval * healthy threshold`, unhealthy after `interval * unhealthy
//!   threshold`; draining lasts `deregistration_delay.timeout_seconds`; a target group that no listener
//!   uses has `unused` targets: \[D\].
//! * Our choice: a target that no running task backs does not answer its health check.

use super::{Elb, Health, Target, invalid, required};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::read::{number_within, text};
use crate::world::region::Region;

impl Elb {
    /// When a target changes by itself.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.index.next_due_ms()
    }

    /// Adds a target, or takes a draining one back.
    pub(crate) fn register(
        &mut self,
        target_group: &str,
        id: &str,
        port: i64,
        zone: Option<String>,
    ) {
        if let Some(group) = self.target_groups.get_mut(target_group) {
            match group
                .targets
                .iter_mut()
                .find(|target| target.id == id && target.port == port)
            {
                Some(target) if target.health == Health::Draining => {
                    target.health = Health::Initial;
                    target.due = None;
                }
                Some(_) => {}
                None => {
                    group.targets.push(Target {
                        id: id.to_string(),
                        port,
                        zone,
                        health: Health::Initial,
                        due: None,
                    });
                    self.index.learn_target(id, target_group);
                }
            }
        }
    }

    /// Lets a target drain for the target group's delay.
    pub(crate) fn deregister(&mut self, target_group: &str, id: &str, port: i64, now: i64) {
        if let Some(group) = self.target_groups.get_mut(target_group) {
            let due = now + group.deregistration_delay_ms();
            for target in &mut group.targets {
                let matches = target.id == id && target.port == port;
                if matches && target.health != Health::Draining {
                    target.health = Health::Draining;
                    target.due = Some((due, false));
                }
            }
        }
    }

    pub(crate) fn health(&self, target_group: &str, id: &str, port: i64) -> Option<Health> {
        self.target_groups
            .get(target_group)?
            .targets
            .iter()
            .find(|target| target.id == id && target.port == port)
            .map(|target| target.health)
    }
}

impl Region {
    /// Health checks, draining and use of the target groups where something happened.
    pub(crate) fn step_targets(&mut self) -> bool {
        // Whether a target answers changes with its task alone, and then the service is touched.
        let services = &self.ecs.services;
        let touched = services.touched();
        let addresses = touched
            .iter()
            .filter_map(|key| services.get(key))
            .flat_map(|service| service.tasks.iter().map(|task| task.address.as_str()));
        let groups = self.elb.take_groups_to_look_at(self.now, addresses);
        let mut moved = false;
        for arn in groups {
            let in_use = self.elb.is_used(&arn);
            let Some(group) = self.elb.target_groups.get_to_step(&arn) else {
                self.elb.index.plan(&arn, None);
                continue;
            };
            self.work.target_groups += 1;
            let interval = group.seconds("HealthCheckIntervalSeconds") * 1000;
            let healthy_ms = interval * group.seconds("HealthyThresholdCount");
            let unhealthy_ms = interval * group.seconds("UnhealthyThresholdCount");
            let ended = |target: &Target| {
                target.health == Health::Draining
                    && target.due.is_some_and(|(at, _)| at <= self.now)
            };
            let gone: Vec<Target> = group
                .targets
                .extract_if(.., |target| ended(target))
                .collect();
            moved |= !gone.is_empty();
            for target in gone {
                // It may be registered with another port still.
                if group.targets.iter().all(|other| other.id != target.id) {
                    self.elb.index.forget_target(&target.id, &arn);
                }
            }
            for target in &mut group.targets {
                if target.health == Health::Draining {
                    continue;
                }
                if !in_use {
                    if target.health != Health::Initial || target.due.is_some() {
                        moved = true;
                        self.ecs.services.touch_address(&target.id);
                    }
                    target.health = Health::Initial;
                    target.due = None;
                    continue;
                }
                let answers = self.ecs.answers(&target.id);
                let settled = (target.health == Health::Healthy && answers)
                    || (target.health == Health::Unhealthy && !answers);
                if settled {
                    target.due = None;
                    continue;
                }
                match target.due {
                    Some((at, to)) if to == answers => {
                        if at <= self.now {
                            target.health = if answers {
                                Health::Healthy
                            } else {
                                Health::Unhealthy
                            };
                            target.due = None;
                            moved = true;
                            self.ecs.services.touch_address(&target.id);
                        }
                    }
                    _ => {
                        let wait = if answers { healthy_ms } else { unhealthy_ms };
                        target.due = Some((self.now + wait, answers));
                        moved = true;
                    }
                }
            }
            let dues = group.targets.iter().filter_map(|target| target.due);
            self.elb.index.plan(&arn, dues.map(|(at, _)| at).min());
        }
        moved
    }

    pub(super) fn change_targets(
        &mut self,
        register: bool,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let arn = required(input, "TargetGroupArn")?;
        let group = self.elb.target_group(arn)?;
        let (own_port, by_address) = (group.port(), group.target_type() == "ip");
        let mut targets = Vec::new();
        for target in input.get("Targets").as_list() {
            let id = required(target, "Id")?;
            if by_address && id.parse::<std::net::IpAddr>().is_err() {
                return Err(invalid(format!(
                    "The IP address '{id}' is not a valid IPv4 address"
                )));
            }
            let port = number_within(target, "Port", 1..=65_535, own_port, "ValidationError")?;
            targets.push((
                id,
                port,
                text(target, "AvailabilityZone").map(str::to_string),
            ));
        }
        if targets.is_empty() {
            return Err(invalid("At least one target must be specified"));
        }
        for (id, port, zone) in targets {
            if register {
                self.elb.register(arn, id, port, zone);
            } else {
                self.elb.deregister(arn, id, port, self.now);
            }
        }
        Ok(Value::map())
    }

    pub(super) fn describe_target_health(&self, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "TargetGroupArn")?;
        let group = self.elb.target_group(arn)?;
        let in_use = !self.elb.load_balancers_of(arn).is_empty();
        let asked = input.get("Targets").as_list();
        let describe = |target: &Target| {
            let (state, reason, description) = match target.health {
                Health::Draining => (
                    "draining",
                    Some("Target.DeregistrationInProgress"),
                    Some("Target deregistration is in progress"),
                ),
                _ if !in_use => (
                    "unused",
                    Some("Target.NotInUse"),
                    Some(
                        "Target group is not configured to receive traffic from the load balancer",
                    ),
                ),
                Health::Healthy => ("healthy", None, None),
                Health::Unhealthy => (
                    "unhealthy",
                    Some("Target.FailedHealthChecks"),
                    Some("Health checks failed"),
                ),
                Health::Initial => (
                    "initial",
                    Some("Elb.InitialHealthChecking"),
                    Some("Initial health checks in progress"),
                ),
            };
            structure! {
                "Target": structure! {
                    "Id": target.id.as_str(),
                    "Port": target.port,
                    "AvailabilityZone": target.zone.clone(),
                },
                "HealthCheckPort": target.port.to_string(),
                "TargetHealth": structure! {
                    "State": state,
                    "Reason": reason,
                    "Description": description,
                },
            }
        };
        let mut found = Vec::new();
        for target in &group.targets {
            let wanted = asked.iter().any(|one| {
                one.get("Id").as_str() == Some(&target.id)
                    && one
                        .get("Port")
                        .as_i64()
                        .is_none_or(|port| port == target.port)
            });
            if asked.is_empty() || wanted {
                found.push(describe(target));
            }
        }
        for one in asked {
            let known = group
                .targets
                .iter()
                .any(|t| one.get("Id").as_str() == Some(&t.id));
            if !known {
                found.push(structure! {
                    "Target": one.clone(),
                    "TargetHealth": structure! {
                        "State": "unused",
                        "Reason": "Target.NotRegistered",
                        "Description": "Target is not registered to the target group",
                    },
                });
            }
        }
        Ok(structure! { "TargetHealthDescriptions": found })
    }
}
