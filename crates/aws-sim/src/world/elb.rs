//! Elastic Load Balancing v2: load balancers, target groups, listeners, rules, target health.
//!
//! * Shapes, limits and error codes (which drop the `Exception` suffix on the wire): \[M\].
//! * A forward to one target group carries both `TargetGroupArn` and `ForwardConfig`; to several, only
//!   `ForwardConfig`: \[M\]\[O\]. Weights are 0..999: \[M\].
//! * A target is healthy after `interval * healthy threshold`, unhealthy after `interval * unhealthy
//!   threshold`; draining lasts `deregistration_delay.timeout_seconds`; a target group that no listener
//!   uses has `unused` targets: \[D\].
//! * Our choice: a load balancer is `active` at once, and a target that no running task backs does not answer
//!   its health check.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{default, number_within, put, tags, tags_value, text, texts};
use super::region::Region;
use super::{ids, read};
use crate::error::AwsError;
use crate::value::Value;

/// The state of Elastic Load Balancing. Every map is keyed by ARN.
#[derive(Default)]
pub(crate) struct Elb {
    pub(crate) load_balancers: BTreeMap<String, LoadBalancer>,
    pub(crate) target_groups: BTreeMap<String, TargetGroup>,
    pub(crate) listeners: BTreeMap<String, Listener>,
    pub(crate) rules: BTreeMap<String, Rule>,
    tags: BTreeMap<String, BTreeMap<String, String>>,
}

pub(crate) struct LoadBalancer {
    pub(crate) name: String,
    /// The answer's members, which do not change.
    value: Value,
    attributes: BTreeMap<String, String>,
}

pub(crate) struct TargetGroup {
    pub(crate) name: String,
    /// The answer's members except `LoadBalancerArns`.
    value: Value,
    attributes: BTreeMap<String, String>,
    pub(crate) targets: Vec<Target>,
}

impl TargetGroup {
    fn seconds(&self, key: &str) -> i64 {
        self.value.get(key).as_i64().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> i64 {
        self.seconds("Port")
    }

    pub(crate) fn target_type(&self) -> &str {
        self.value.get("TargetType").as_str().unwrap_or("instance")
    }

    pub(crate) fn deregistration_delay_ms(&self) -> i64 {
        self.attributes
            .get("deregistration_delay.timeout_seconds")
            .and_then(|text| text.parse::<i64>().ok())
            .unwrap_or(300)
            * 1000
    }
}

/// What DescribeTargetHealth says of a target while its target group is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Initial,
    Healthy,
    Unhealthy,
    Draining,
}

pub(crate) struct Target {
    /// The IP address or instance.
    pub(crate) id: String,
    pub(crate) port: i64,
    zone: Option<String>,
    pub(crate) health: Health,
    /// When the state changes by itself, and for health checks whether to healthy.
    due: Option<(i64, bool)>,
}

pub(crate) struct Listener {
    pub(crate) load_balancer: String,
    pub(crate) port: i64,
    default_rule: String,
    pub(crate) actions: Vec<Value>,
    /// Protocol, certificates and the like.
    value: Value,
}

pub(crate) struct Rule {
    pub(crate) listener: String,
    priority: i64,
    pub(crate) actions: Vec<Value>,
    conditions: Value,
    transforms: Value,
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::caller("ValidationError", message)
}

/// The target groups and weights that these actions forward to.
pub(crate) fn forwards(actions: &[Value]) -> Vec<(&str, i64)> {
    actions
        .iter()
        .flat_map(|action| action.get("ForwardConfig").get("TargetGroups").as_list())
        .filter_map(|tuple| {
            Some((
                tuple.get("TargetGroupArn").as_str()?,
                tuple.get("Weight").as_i64().unwrap_or(1),
            ))
        })
        .collect()
}

fn forward_action(pairs: &[(&str, i64)], stickiness: Value) -> Value {
    let groups = pairs
        .iter()
        .map(|(arn, weight)| structure! { "TargetGroupArn": *arn, "Weight": *weight })
        .collect::<Vec<_>>();
    let mut action = structure! {
        "Type": "forward",
        "ForwardConfig": structure! {
            "TargetGroups": groups,
            "TargetGroupStickinessConfig": stickiness,
        },
    };
    if let [(only, _)] = pairs {
        put(&mut action, "TargetGroupArn", *only);
    }
    action
}

fn no_stickiness() -> Value {
    structure! { "Enabled": false }
}

/// The tail of an ARN that CloudWatch uses as dimension value, for example `targetgroup/web-blue/0123`.
pub(crate) fn dimension(arn: &str) -> String {
    let tail = arn.splitn(6, ':').last().unwrap_or(arn);
    tail.strip_prefix("loadbalancer/")
        .unwrap_or(tail)
        .to_string()
}

impl Elb {
    /// When a target changes by itself.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.target_groups
            .values()
            .flat_map(|group| group.targets.iter())
            .filter_map(|target| target.due.map(|(at, _)| at))
            .min()
    }

    /// Every listener's default action and every rule: listener, actions.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&str, &[Value])> {
        let defaults = self
            .listeners
            .iter()
            .map(|(arn, listener)| (arn.as_str(), listener.actions.as_slice()));
        let rules = self
            .rules
            .values()
            .map(|rule| (rule.listener.as_str(), rule.actions.as_slice()));
        defaults.chain(rules)
    }

    /// The load balancers whose listeners forward to this target group.
    pub(crate) fn load_balancers_of(&self, target_group: &str) -> BTreeSet<String> {
        self.routes()
            .filter(|(_, actions)| {
                forwards(actions)
                    .iter()
                    .any(|(arn, _)| *arn == target_group)
            })
            .filter_map(|(listener, _)| self.listeners.get(listener))
            .map(|listener| listener.load_balancer.clone())
            .collect()
    }

    pub(crate) fn target_group_by_name(&self, name: &str) -> Option<&str> {
        self.target_groups
            .iter()
            .find(|(_, group)| group.name == name)
            .map(|(arn, _)| arn.as_str())
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
                None => group.targets.push(Target {
                    id: id.to_string(),
                    port,
                    zone,
                    health: Health::Initial,
                    due: None,
                }),
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

    /// What share of this listener's traffic for the pair goes to `of`, in percent; `None` if it forwards to neither.
    pub(crate) fn share(&self, listener: &str, pair: [&str; 2], of: &str) -> Option<f64> {
        for (at, actions) in self.routes() {
            let found = forwards(actions);
            if at != listener || !found.iter().any(|(arn, _)| pair.contains(arn)) {
                continue;
            }
            let total: i64 = found.iter().map(|(_, weight)| weight).sum();
            let own: i64 = found
                .iter()
                .filter(|(arn, _)| *arn == of)
                .map(|(_, weight)| weight)
                .sum();
            return Some(if total == 0 {
                0.0
            } else {
                own as f64 * 100.0 / total as f64
            });
        }
        None
    }

    /// Rewrites every forward of this listener (default action and rules) that goes to one of the pair.
    /// False when there is none.
    pub(crate) fn rewrite(
        &mut self,
        listener: &str,
        pair: [&str; 2],
        weights: &[(&str, i64)],
    ) -> bool {
        let mut found = false;
        let defaults = self
            .listeners
            .iter_mut()
            .filter(|(arn, _)| arn.as_str() == listener)
            .map(|(_, listener)| &mut listener.actions);
        let rules = self
            .rules
            .values_mut()
            .filter(|rule| rule.listener == listener)
            .map(|rule| &mut rule.actions);
        for actions in defaults.chain(rules) {
            for action in actions.iter_mut() {
                let own = std::slice::from_ref(action);
                if !forwards(own).iter().any(|(arn, _)| pair.contains(arn)) {
                    continue;
                }
                found = true;
                let stickiness = action
                    .get("ForwardConfig")
                    .get("TargetGroupStickinessConfig")
                    .clone();
                let order = action.get("Order").clone();
                *action = forward_action(weights, stickiness).with("Order", order);
            }
        }
        found
    }

    /// Makes a listener's default action a forward to one target group.
    pub(crate) fn point(&mut self, listener: &str, target_group: &str) -> bool {
        match self.listeners.get_mut(listener) {
            Some(listener) => {
                listener
                    .actions
                    .retain(|action| action.get("Type").as_str() != Some("forward"));
                listener.actions.retain(|action| {
                    action
                        .get("Type")
                        .as_str()
                        .is_some_and(|kind| kind.starts_with("authenticate"))
                });
                listener
                    .actions
                    .push(forward_action(&[(target_group, 1)], no_stickiness()));
                true
            }
            None => false,
        }
    }

    /// The pair's first weights as set on a listener, for reports.
    pub(crate) fn weights(&self, listener: &str) -> Vec<(String, i64)> {
        self.listeners
            .get(listener)
            .map_or_else(Vec::new, |listener| {
                forwards(&listener.actions)
                    .into_iter()
                    .map(|(arn, weight)| (arn.to_string(), weight))
                    .collect()
            })
    }

    fn listener_value(&self, arn: &str, listener: &Listener) -> Value {
        listener
            .value
            .clone()
            .with("ListenerArn", arn)
            .with("LoadBalancerArn", listener.load_balancer.as_str())
            .with("Port", listener.port)
            .with("DefaultActions", listener.actions.clone())
    }

    fn rule_value(arn: &str, rule: &Rule) -> Value {
        structure! {
            "RuleArn": arn,
            "Priority": rule.priority.to_string(),
            "Conditions": rule.conditions.clone(),
            "Actions": rule.actions.clone(),
            "IsDefault": false,
            "Transforms": rule.transforms.clone(),
        }
    }

    fn target_group_value(&self, arn: &str, group: &TargetGroup) -> Value {
        let balancers = self
            .load_balancers_of(arn)
            .into_iter()
            .map(Value::Text)
            .collect();
        group
            .value
            .clone()
            .with("LoadBalancerArns", Value::List(balancers))
    }

    fn load_balancer(&self, arn: &str) -> Result<&LoadBalancer, AwsError> {
        self.load_balancers.get(arn).ok_or_else(|| {
            AwsError::caller(
                "LoadBalancerNotFound",
                format!("Load balancer '{arn}' not found"),
            )
        })
    }

    fn target_group(&self, arn: &str) -> Result<&TargetGroup, AwsError> {
        self.target_groups.get(arn).ok_or_else(|| {
            AwsError::caller(
                "TargetGroupNotFound",
                format!("Target groups '{arn}' not found"),
            )
        })
    }

    fn listener(&self, arn: &str) -> Result<&Listener, AwsError> {
        self.listeners
            .get(arn)
            .ok_or_else(|| AwsError::caller("ListenerNotFound", "One or more listeners not found"))
    }

    fn rule(&self, arn: &str) -> Result<&Rule, AwsError> {
        self.rules
            .get(arn)
            .ok_or_else(|| AwsError::caller("RuleNotFound", "One or more rules not found"))
    }

    /// Checks actions and puts them into the form they are answered in.
    fn actions(&self, load_balancer: &str, given: &Value) -> Result<Vec<Value>, AwsError> {
        let given = given.as_list();
        if given.is_empty() {
            return Err(invalid("A listener or rule must have at least one action"));
        }
        let mut actions = Vec::new();
        for action in given {
            match text(action, "Type") {
                Some("forward") => actions.push(self.forward(load_balancer, action)?),
                Some(
                    "redirect"
                    | "fixed-response"
                    | "authenticate-oidc"
                    | "authenticate-cognito"
                    | "jwt-validation",
                ) => actions.push(action.clone()),
                Some(other) => {
                    return Err(invalid(format!(
                        "1 validation error detected: Value '{other}' at 'actions.1.member.type' \
                         failed to satisfy constraint: Member must satisfy enum value set"
                    )));
                }
                None => return Err(invalid("An action type must be specified")),
            }
        }
        let ends = actions
            .iter()
            .filter(|action| {
                matches!(
                    action.get("Type").as_str(),
                    Some("forward" | "redirect" | "fixed-response")
                )
            })
            .count();
        if ends > 1 {
            return Err(AwsError::caller(
                "TooManyActions",
                "You can specify only one forward, redirect or fixed-response action",
            ));
        }
        if ends == 0 {
            return Err(AwsError::caller(
                "InvalidLoadBalancerAction",
                "The last action must be forward, redirect or fixed-response",
            ));
        }
        Ok(actions)
    }

    fn forward(&self, load_balancer: &str, action: &Value) -> Result<Value, AwsError> {
        let config = action.get("ForwardConfig");
        let single = text(action, "TargetGroupArn");
        let mut pairs: Vec<(&str, i64)> = Vec::new();
        for tuple in config.get("TargetGroups").as_list() {
            let arn = text(tuple, "TargetGroupArn")
                .ok_or_else(|| invalid("A target group ARN must be specified"))?;
            if pairs.iter().any(|(other, _)| *other == arn) {
                return Err(invalid(
                    "A target group can be listed only once in an action",
                ));
            }
            let weight = number_within(tuple, "Weight", 0..=999, 1, "ValidationError")?;
            pairs.push((arn, weight));
        }
        match (single, pairs.as_slice()) {
            (Some(arn), []) => pairs.push((arn, 1)),
            (None, []) => {
                return Err(invalid("A target group ARN must be specified"));
            }
            (Some(arn), [(only, _)]) if arn == *only => {}
            (Some(_), _) => {
                return Err(invalid(
                    "You cannot specify both a target group ARN and a forward action \
                     configuration that does not name the same single target group",
                ));
            }
            (None, _) => {}
        }
        if pairs.len() > 5 {
            return Err(AwsError::caller(
                "TooManyTargetGroups",
                "You can specify at most 5 target groups per action",
            ));
        }
        for (arn, _) in &pairs {
            self.target_group(arn)?;
            if self
                .load_balancers_of(arn)
                .iter()
                .any(|other| other != load_balancer)
            {
                return Err(AwsError::caller(
                    "TargetGroupAssociationLimit",
                    format!(
                        "The following target groups cannot be associated with more than one \
                         load balancer: {arn}"
                    ),
                ));
            }
        }
        let given = config.get("TargetGroupStickinessConfig");
        let stickiness = if given.get("Enabled").as_bool() == Some(true) {
            let seconds = number_within(
                given,
                "DurationSeconds",
                1..=604_800,
                3600,
                "ValidationError",
            )?;
            structure! { "Enabled": true, "DurationSeconds": seconds }
        } else {
            no_stickiness()
        };
        let order = match action.get("Order") {
            Value::Null => Value::Null,
            order => Value::Int(order.as_i64().unwrap_or(1)),
        };
        Ok(forward_action(&pairs, stickiness).with("Order", order))
    }
}

impl Region {
    /// Health checks, draining and use of every target group.
    pub(crate) fn step_targets(&mut self) -> bool {
        let answering = self.ecs.answering_addresses();
        let used: BTreeSet<String> = self
            .elb
            .routes()
            .flat_map(|(_, actions)| forwards(actions))
            .map(|(arn, _)| arn.to_string())
            .collect();
        let mut moved = false;
        for (arn, group) in &mut self.elb.target_groups {
            let interval = group.seconds("HealthCheckIntervalSeconds") * 1000;
            let healthy_ms = interval * group.seconds("HealthyThresholdCount");
            let unhealthy_ms = interval * group.seconds("UnhealthyThresholdCount");
            let in_use = used.contains(arn);
            let before = group.targets.len();
            group.targets.retain(|target| {
                !(target.health == Health::Draining
                    && target.due.is_some_and(|(at, _)| at <= self.now))
            });
            moved |= group.targets.len() != before;
            for target in &mut group.targets {
                if target.health == Health::Draining {
                    continue;
                }
                if !in_use {
                    moved |= target.health != Health::Initial || target.due.is_some();
                    target.health = Health::Initial;
                    target.due = None;
                    continue;
                }
                let answers = answering.contains(target.id.as_str());
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
                        }
                    }
                    _ => {
                        let wait = if answers { healthy_ms } else { unhealthy_ms };
                        target.due = Some((self.now + wait, answers));
                        moved = true;
                    }
                }
            }
        }
        moved
    }

    /// One ELBv2 operation.
    pub(crate) fn call_elb(&mut self, operation: &str, input: &Value) -> Result<Value, AwsError> {
        match operation {
            "CreateLoadBalancer" => self.create_load_balancer(input),
            "DescribeLoadBalancers" => self.describe_load_balancers(input),
            "DeleteLoadBalancer" => self.delete_load_balancer(input),
            "DescribeLoadBalancerAttributes" => {
                let arn = required(input, "LoadBalancerArn")?;
                Ok(attributes_value(&self.elb.load_balancer(arn)?.attributes))
            }
            "ModifyLoadBalancerAttributes" => {
                let arn = required(input, "LoadBalancerArn")?;
                self.elb.load_balancer(arn)?;
                let balancer = self.elb.load_balancers.get_mut(arn);
                let attributes = balancer.map(|balancer| &mut balancer.attributes);
                Ok(modify_attributes(attributes, input))
            }
            "CreateTargetGroup" => self.create_target_group(input),
            "DescribeTargetGroups" => self.describe_target_groups(input),
            "ModifyTargetGroup" => self.modify_target_group(input),
            "DeleteTargetGroup" => self.delete_target_group(input),
            "DescribeTargetGroupAttributes" => {
                let arn = required(input, "TargetGroupArn")?;
                Ok(attributes_value(&self.elb.target_group(arn)?.attributes))
            }
            "ModifyTargetGroupAttributes" => self.modify_target_group_attributes(input),
            "RegisterTargets" | "DeregisterTargets" => {
                self.change_targets(operation == "RegisterTargets", input)
            }
            "DescribeTargetHealth" => self.describe_target_health(input),
            "CreateListener" => self.create_listener(input),
            "ModifyListener" => self.modify_listener(input),
            "DescribeListeners" => self.describe_listeners(input),
            "DeleteListener" => self.delete_listener(input),
            "CreateRule" => self.create_rule(input),
            "ModifyRule" => self.modify_rule(input),
            "DescribeRules" => self.describe_rules(input),
            "DeleteRule" => self.delete_rule(input),
            "SetRulePriorities" => self.set_rule_priorities(input),
            "AddTags" | "RemoveTags" | "DescribeTags" => self.elb_tags(operation, input),
            _ => Err(AwsError::caller(
                "InvalidAction",
                format!("Could not find operation {operation} for version 2015-12-01"),
            )),
        }
    }

    fn elb_page<T, K: Fn(&T) -> &str>(
        &self,
        items: Vec<T>,
        input: &Value,
        key: K,
    ) -> Result<(Vec<T>, Option<String>), AwsError> {
        let size = number_within(input, "PageSize", 1..=400, 400, "ValidationError")?;
        let size = self.page_limit.min(usize::try_from(size).unwrap_or(400));
        ids::page(items, text(input, "Marker"), size, key)
            .ok_or_else(|| invalid("The marker is not valid"))
    }

    fn create_load_balancer(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = required(input, "Name")?;
        check_name(name, "Load balancer")?;
        if self
            .elb
            .load_balancers
            .values()
            .any(|balancer| balancer.name == name)
        {
            return Err(AwsError::caller(
                "DuplicateLoadBalancerName",
                format!(
                    "A load balancer with the same name '{name}' exists, but with different settings"
                ),
            ));
        }
        let kind = text(input, "Type").unwrap_or("application");
        if kind != "application" {
            return Err(AwsError::caller(
                "InvalidConfigurationRequest",
                format!("Only application load balancers are simulated, not '{kind}'"),
            ));
        }
        let scheme = text(input, "Scheme").unwrap_or("internet-facing");
        if !["internet-facing", "internal"].contains(&scheme) {
            return Err(AwsError::caller("InvalidScheme", "The scheme is not valid"));
        }
        let mut subnets = texts(input, "Subnets");
        subnets.extend(
            input
                .get("SubnetMappings")
                .as_list()
                .iter()
                .filter_map(|mapping| text(mapping, "SubnetId").map(str::to_string)),
        );
        if subnets.len() < 2 {
            return Err(invalid(
                "At least two subnets in two different Availability Zones must be specified",
            ));
        }
        let zones = subnets
            .iter()
            .enumerate()
            .map(|(index, subnet)| {
                structure! {
                    "ZoneName": self.zone(index),
                    "SubnetId": subnet.as_str(),
                    "LoadBalancerAddresses": Vec::<Value>::new(),
                }
            })
            .collect::<Vec<_>>();
        let resource = format!("loadbalancer/app/{name}/{}", ids::hex(&mut self.rng, 16));
        let arn = self.arn("elasticloadbalancing", &resource);
        let internal = if scheme == "internal" {
            "internal-"
        } else {
            ""
        };
        let value = structure! {
            "LoadBalancerArn": arn.as_str(),
            "DNSName": format!("{internal}{name}-{}.{}.elb.amazonaws.com", ids::digits(&mut self.rng, 10), self.region),
            "CanonicalHostedZoneId": "Z215JYRZR1TBD5",
            "CreatedTime": Value::Time(self.now),
            "LoadBalancerName": name,
            "Scheme": scheme,
            "VpcId": "vpc-0a1b2c3d4e5f60718",
            "State": structure! { "Code": "active" },
            "Type": kind,
            "AvailabilityZones": zones,
            "SecurityGroups": input.get("SecurityGroups").clone(),
            "IpAddressType": text(input, "IpAddressType").unwrap_or("ipv4"),
        };
        let attributes = [
            ("access_logs.s3.enabled", "false"),
            ("deletion_protection.enabled", "false"),
            ("idle_timeout.timeout_seconds", "60"),
            ("routing.http2.enabled", "true"),
        ];
        let answer = structure! { "LoadBalancers": vec![value.clone()] };
        self.elb.tags.insert(arn.clone(), tags(input.get("Tags")));
        self.elb.load_balancers.insert(
            arn,
            LoadBalancer {
                name: name.to_string(),
                value,
                attributes: attribute_map(&attributes),
            },
        );
        Ok(answer)
    }

    /// The zone that the subnet or task with this index lies in.
    pub(crate) fn zone(&self, index: usize) -> String {
        let letter = char::from(b'a' + u8::try_from(index % 3).unwrap_or_default());
        format!("{}{letter}", self.region)
    }

    fn describe_load_balancers(&self, input: &Value) -> Result<Value, AwsError> {
        let (arns, names) = (texts(input, "LoadBalancerArns"), texts(input, "Names"));
        for arn in &arns {
            self.elb.load_balancer(arn)?;
        }
        for name in &names {
            if !self
                .elb
                .load_balancers
                .values()
                .any(|balancer| balancer.name == *name)
            {
                return Err(AwsError::caller(
                    "LoadBalancerNotFound",
                    format!("Load balancers '[{name}]' not found"),
                ));
            }
        }
        let found = self
            .elb
            .load_balancers
            .iter()
            .filter(|(arn, _)| arns.is_empty() || arns.contains(arn))
            .filter(|(_, balancer)| names.is_empty() || names.contains(&balancer.name))
            .collect();
        let (page, next) = self.elb_page(found, input, |(arn, _)| arn.as_str())?;
        let page = page
            .into_iter()
            .map(|(_, balancer)| balancer.value.clone())
            .collect::<Vec<_>>();
        Ok(structure! { "LoadBalancers": page, "NextMarker": next })
    }

    fn delete_load_balancer(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "LoadBalancerArn")?;
        if let Some(balancer) = self.elb.load_balancers.get(arn) {
            let protection = balancer.attributes.get("deletion_protection.enabled");
            if protection.is_some_and(|flag| flag == "true") {
                return Err(AwsError::caller(
                    "OperationNotPermitted",
                    format!(
                        "Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
                    ),
                ));
            }
        }
        self.elb.load_balancers.remove(arn);
        let gone: Vec<String> = self
            .elb
            .listeners
            .iter()
            .filter(|(_, listener)| listener.load_balancer == arn)
            .map(|(listener, _)| listener.clone())
            .collect();
        for listener in gone {
            self.elb.listeners.remove(&listener);
            self.elb.rules.retain(|_, rule| rule.listener != listener);
        }
        Ok(Value::map())
    }

    fn create_target_group(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = required(input, "Name")?;
        check_name(name, "Target group")?;
        if self.elb.target_group_by_name(name).is_some() {
            return Err(AwsError::caller(
                "DuplicateTargetGroupName",
                format!(
                    "A target group with the same name '{name}' exists, but with different settings"
                ),
            ));
        }
        let target_type = text(input, "TargetType").unwrap_or("instance");
        if !["instance", "ip"].contains(&target_type) {
            return Err(AwsError::caller(
                "InvalidConfigurationRequest",
                format!("Target groups of type '{target_type}' are not simulated"),
            ));
        }
        let protocol =
            text(input, "Protocol").ok_or_else(|| invalid("A protocol must be specified"))?;
        if !["HTTP", "HTTPS"].contains(&protocol) {
            return Err(AwsError::caller(
                "InvalidConfigurationRequest",
                format!("Target groups with protocol '{protocol}' are not simulated"),
            ));
        }
        if input.get("Port").is_null() {
            return Err(invalid("A port must be specified"));
        }
        let port = number_within(input, "Port", 1..=65_535, 80, "ValidationError")?;
        if text(input, "VpcId").is_none() {
            return Err(invalid("A VPC ID must be specified"));
        }
        let resource = format!("targetgroup/{name}/{}", ids::hex(&mut self.rng, 16));
        let arn = self.arn("elasticloadbalancing", &resource);
        let mut value = structure! {
            "TargetGroupArn": arn.as_str(),
            "TargetGroupName": name,
            "Protocol": protocol,
            "Port": port,
            "VpcId": input.get("VpcId").clone(),
            "HealthCheckProtocol": "HTTP",
            "HealthCheckPort": "traffic-port",
            "HealthCheckEnabled": true,
            "HealthCheckPath": "/",
            "HealthCheckIntervalSeconds": 30_i64,
            "HealthCheckTimeoutSeconds": 5_i64,
            "HealthyThresholdCount": 5_i64,
            "UnhealthyThresholdCount": 2_i64,
            "Matcher": structure! { "HttpCode": "200" },
            "TargetType": target_type,
            "ProtocolVersion": text(input, "ProtocolVersion").unwrap_or("HTTP1"),
            "IpAddressType": text(input, "IpAddressType").unwrap_or("ipv4"),
        };
        set_health_check(&mut value, input)?;
        let attributes = [
            ("deregistration_delay.timeout_seconds", "300"),
            ("load_balancing.algorithm.type", "round_robin"),
            ("slow_start.duration_seconds", "0"),
            ("stickiness.enabled", "false"),
            ("stickiness.type", "lb_cookie"),
            ("stickiness.lb_cookie.duration_seconds", "86400"),
        ];
        let group = TargetGroup {
            name: name.to_string(),
            value,
            attributes: attribute_map(&attributes),
            targets: Vec::new(),
        };
        let answer = structure! { "TargetGroups": vec![self.elb.target_group_value(&arn, &group)] };
        self.elb.tags.insert(arn.clone(), tags(input.get("Tags")));
        self.elb.target_groups.insert(arn, group);
        Ok(answer)
    }

    fn describe_target_groups(&self, input: &Value) -> Result<Value, AwsError> {
        let (arns, names) = (texts(input, "TargetGroupArns"), texts(input, "Names"));
        let balancer = text(input, "LoadBalancerArn");
        for arn in &arns {
            if !self.elb.target_groups.contains_key(arn) {
                return Err(AwsError::caller(
                    "TargetGroupNotFound",
                    "One or more target groups not found",
                ));
            }
        }
        for name in &names {
            if self.elb.target_group_by_name(name).is_none() {
                return Err(AwsError::caller(
                    "TargetGroupNotFound",
                    "One or more target groups not found",
                ));
            }
        }
        if let Some(arn) = balancer {
            self.elb.load_balancer(arn)?;
        }
        let found = self
            .elb
            .target_groups
            .iter()
            .filter(|(arn, _)| arns.is_empty() || arns.contains(arn))
            .filter(|(_, group)| names.is_empty() || names.contains(&group.name))
            .filter(|(arn, _)| {
                balancer.is_none_or(|wanted| self.elb.load_balancers_of(arn).contains(wanted))
            })
            .collect();
        let (page, next) = self.elb_page(found, input, |(arn, _)| arn.as_str())?;
        let page = page
            .into_iter()
            .map(|(arn, group)| self.elb.target_group_value(arn, group))
            .collect::<Vec<_>>();
        Ok(structure! { "TargetGroups": page, "NextMarker": next })
    }

    fn modify_target_group(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "TargetGroupArn")?;
        let mut value = self.elb.target_group(arn)?.value.clone();
        set_health_check(&mut value, input)?;
        if let Some(group) = self.elb.target_groups.get_mut(arn) {
            group.value = value;
        }
        let group = self.elb.target_group(arn)?;
        Ok(structure! { "TargetGroups": vec![self.elb.target_group_value(arn, group)] })
    }

    fn delete_target_group(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "TargetGroupArn")?;
        if !self.elb.load_balancers_of(arn).is_empty() {
            return Err(AwsError::caller(
                "ResourceInUse",
                format!("Target group '{arn}' is currently in use by a listener or a rule"),
            ));
        }
        self.elb.target_groups.remove(arn);
        Ok(Value::map())
    }

    fn modify_target_group_attributes(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "TargetGroupArn")?;
        self.elb.target_group(arn)?;
        for attribute in input.get("Attributes").as_list() {
            if attribute.get("Key").as_str() == Some("deregistration_delay.timeout_seconds") {
                let seconds = attribute.get("Value").as_i64();
                if !seconds.is_some_and(|seconds| (0..=3600).contains(&seconds)) {
                    return Err(invalid(
                        "The deregistration delay must be between 0 and 3600 seconds",
                    ));
                }
            }
        }
        let group = self.elb.target_groups.get_mut(arn);
        Ok(modify_attributes(
            group.map(|group| &mut group.attributes),
            input,
        ))
    }

    fn change_targets(&mut self, register: bool, input: &Value) -> Result<Value, AwsError> {
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

    fn describe_target_health(&self, input: &Value) -> Result<Value, AwsError> {
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

    fn create_listener(&mut self, input: &Value) -> Result<Value, AwsError> {
        let balancer = required(input, "LoadBalancerArn")?;
        self.elb.load_balancer(balancer)?;
        if input.get("Port").is_null() {
            return Err(invalid("A listener port must be specified"));
        }
        let port = number_within(input, "Port", 1..=65_535, 80, "ValidationError")?;
        let value = listener_protocol(&Value::map(), input)?;
        if value.get("Protocol").is_null() {
            return Err(invalid("A listener protocol must be specified"));
        }
        self.check_port_free(balancer, port, None)?;
        let actions = self.elb.actions(balancer, input.get("DefaultActions"))?;
        let base = balancer.replace(":loadbalancer/", ":listener/");
        let arn = format!("{base}/{}", ids::hex(&mut self.rng, 16));
        let rule = arn.replace(":listener/", ":listener-rule/");
        let default_rule = format!("{rule}/{}", ids::hex(&mut self.rng, 16));
        let listener = Listener {
            load_balancer: balancer.to_string(),
            port,
            default_rule,
            actions,
            value,
        };
        let answer = self.elb.listener_value(&arn, &listener);
        self.elb.tags.insert(arn.clone(), tags(input.get("Tags")));
        self.elb.listeners.insert(arn, listener);
        Ok(structure! { "Listeners": vec![answer] })
    }

    fn check_port_free(
        &self,
        balancer: &str,
        port: i64,
        except: Option<&str>,
    ) -> Result<(), AwsError> {
        let taken = self.elb.listeners.iter().any(|(arn, listener)| {
            listener.load_balancer == balancer
                && listener.port == port
                && Some(arn.as_str()) != except
        });
        if taken {
            return Err(AwsError::caller(
                "DuplicateListener",
                format!(
                    "A listener already exists on this port for this load balancer '{balancer}'"
                ),
            ));
        }
        Ok(())
    }

    fn modify_listener(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "ListenerArn")?;
        let listener = self.elb.listener(arn)?;
        let balancer = listener.load_balancer.clone();
        let port = number_within(input, "Port", 1..=65_535, listener.port, "ValidationError")?;
        let value = listener_protocol(&listener.value, input)?;
        self.check_port_free(&balancer, port, Some(arn))?;
        let actions = match input.get("DefaultActions") {
            Value::Null => listener.actions.clone(),
            given => self.elb.actions(&balancer, given)?,
        };
        if let Some(listener) = self.elb.listeners.get_mut(arn) {
            listener.port = port;
            listener.value = value;
            listener.actions = actions;
        }
        let listener = self.elb.listener(arn)?;
        Ok(structure! { "Listeners": vec![self.elb.listener_value(arn, listener)] })
    }

    fn describe_listeners(&self, input: &Value) -> Result<Value, AwsError> {
        let arns = texts(input, "ListenerArns");
        let balancer = text(input, "LoadBalancerArn");
        if let Some(arn) = balancer {
            self.elb.load_balancer(arn)?;
        }
        if balancer.is_none() && arns.is_empty() {
            return Err(invalid(
                "You must specify either listener ARNs or a load balancer ARN",
            ));
        }
        for arn in &arns {
            self.elb.listener(arn)?;
        }
        let found = self
            .elb
            .listeners
            .iter()
            .filter(|(arn, _)| arns.is_empty() || arns.contains(arn))
            .filter(|(_, listener)| balancer.is_none_or(|arn| listener.load_balancer == arn))
            .collect();
        let (page, next) = self.elb_page(found, input, |(arn, _)| arn.as_str())?;
        let page = page
            .into_iter()
            .map(|(arn, listener)| self.elb.listener_value(arn, listener))
            .collect::<Vec<_>>();
        Ok(structure! { "Listeners": page, "NextMarker": next })
    }

    fn delete_listener(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "ListenerArn")?;
        self.elb.listener(arn)?;
        self.elb.listeners.remove(arn);
        self.elb.rules.retain(|_, rule| rule.listener != arn);
        Ok(Value::map())
    }

    fn create_rule(&mut self, input: &Value) -> Result<Value, AwsError> {
        let listener_arn = required(input, "ListenerArn")?;
        let balancer = self.elb.listener(listener_arn)?.load_balancer.clone();
        if input.get("Priority").is_null() {
            return Err(invalid("A priority must be specified"));
        }
        let priority = number_within(input, "Priority", 1..=50_000, 1, "ValidationError")?;
        self.check_priority_free(listener_arn, priority)?;
        if input.get("Conditions").as_list().is_empty() {
            return Err(invalid("A condition must be specified"));
        }
        let actions = self.elb.actions(&balancer, input.get("Actions"))?;
        let base = listener_arn.replace(":listener/", ":listener-rule/");
        let arn = format!("{base}/{}", ids::hex(&mut self.rng, 16));
        let rule = Rule {
            listener: listener_arn.to_string(),
            priority,
            actions,
            conditions: input.get("Conditions").clone(),
            transforms: input.get("Transforms").clone(),
        };
        let answer = Elb::rule_value(&arn, &rule);
        self.elb.tags.insert(arn.clone(), tags(input.get("Tags")));
        self.elb.rules.insert(arn, rule);
        Ok(structure! { "Rules": vec![answer] })
    }

    fn check_priority_free(&self, listener: &str, priority: i64) -> Result<(), AwsError> {
        let taken = self
            .elb
            .rules
            .values()
            .any(|rule| rule.listener == listener && rule.priority == priority);
        if taken {
            return Err(AwsError::caller(
                "PriorityInUse",
                format!("Priority '{priority}' is currently in use"),
            ));
        }
        Ok(())
    }

    fn modify_rule(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "RuleArn")?;
        if self
            .elb
            .listeners
            .values()
            .any(|listener| listener.default_rule == arn)
        {
            return Err(AwsError::caller(
                "OperationNotPermitted",
                format!("Default rule '{arn}' cannot be modified"),
            ));
        }
        let listener = self.elb.rule(arn)?.listener.clone();
        let balancer = self.elb.listener(&listener)?.load_balancer.clone();
        let actions = match input.get("Actions") {
            Value::Null => None,
            given => Some(self.elb.actions(&balancer, given)?),
        };
        if let Some(rule) = self.elb.rules.get_mut(arn) {
            if let Some(actions) = actions {
                rule.actions = actions;
            }
            if !input.get("Conditions").is_null() {
                rule.conditions = input.get("Conditions").clone();
            }
            if input.get("ResetTransforms").as_bool() == Some(true) {
                rule.transforms = Value::Null;
            } else if !input.get("Transforms").is_null() {
                rule.transforms = input.get("Transforms").clone();
            }
        }
        Ok(structure! { "Rules": vec![Elb::rule_value(arn, self.elb.rule(arn)?)] })
    }

    fn describe_rules(&self, input: &Value) -> Result<Value, AwsError> {
        let arns = texts(input, "RuleArns");
        let listener = text(input, "ListenerArn");
        if listener.is_none() && arns.is_empty() {
            return Err(invalid(
                "You must specify either a listener ARN or rule ARNs",
            ));
        }
        if let Some(arn) = listener {
            self.elb.listener(arn)?;
        }
        let mut all: Vec<(String, i64, Value)> = Vec::new();
        for (arn, rule) in &self.elb.rules {
            if listener.is_none_or(|wanted| rule.listener == wanted) {
                all.push((arn.clone(), rule.priority, Elb::rule_value(arn, rule)));
            }
        }
        for (arn, owner) in &self.elb.listeners {
            if listener.is_none_or(|wanted| arn == wanted) {
                let value = structure! {
                    "RuleArn": owner.default_rule.as_str(),
                    "Priority": "default",
                    "Conditions": Vec::<Value>::new(),
                    "Actions": owner.actions.clone(),
                    "IsDefault": true,
                };
                all.push((owner.default_rule.clone(), i64::MAX, value));
            }
        }
        for arn in &arns {
            if !all.iter().any(|(known, _, _)| known == arn) {
                return Err(AwsError::caller(
                    "RuleNotFound",
                    "One or more rules not found",
                ));
            }
        }
        all.retain(|(arn, _, _)| arns.is_empty() || arns.contains(arn));
        all.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        let (page, next) = self.elb_page(all, input, |(arn, _, _)| arn.as_str())?;
        let page = page
            .into_iter()
            .map(|(_, _, value)| value)
            .collect::<Vec<_>>();
        Ok(structure! { "Rules": page, "NextMarker": next })
    }

    fn delete_rule(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "RuleArn")?;
        if self
            .elb
            .listeners
            .values()
            .any(|listener| listener.default_rule == arn)
        {
            return Err(AwsError::caller(
                "OperationNotPermitted",
                format!("Default rule '{arn}' cannot be deleted"),
            ));
        }
        self.elb.rule(arn)?;
        self.elb.rules.remove(arn);
        Ok(Value::map())
    }

    fn set_rule_priorities(&mut self, input: &Value) -> Result<Value, AwsError> {
        let mut wanted = BTreeMap::new();
        for pair in input.get("RulePriorities").as_list() {
            let arn = required(pair, "RuleArn")?;
            self.elb.rule(arn)?;
            let priority = number_within(pair, "Priority", 1..=50_000, 1, "ValidationError")?;
            wanted.insert(arn.to_string(), priority);
        }
        let mut seen = BTreeSet::new();
        for (arn, rule) in &self.elb.rules {
            let priority = wanted.get(arn).copied().unwrap_or(rule.priority);
            if !seen.insert((rule.listener.clone(), priority)) {
                return Err(AwsError::caller(
                    "PriorityInUse",
                    format!("Priority '{priority}' is currently in use"),
                ));
            }
        }
        let mut changed = Vec::new();
        for (arn, priority) in wanted {
            if let Some(rule) = self.elb.rules.get_mut(&arn) {
                rule.priority = priority;
                changed.push(Elb::rule_value(&arn, rule));
            }
        }
        Ok(structure! { "Rules": changed })
    }

    fn elb_tags(&mut self, operation: &str, input: &Value) -> Result<Value, AwsError> {
        let arns = texts(input, "ResourceArns");
        for arn in &arns {
            let (kind, known) = if arn.contains(":loadbalancer/") {
                (
                    "LoadBalancerNotFound",
                    self.elb.load_balancers.contains_key(arn),
                )
            } else if arn.contains(":targetgroup/") {
                (
                    "TargetGroupNotFound",
                    self.elb.target_groups.contains_key(arn),
                )
            } else if arn.contains(":listener-rule/") {
                ("RuleNotFound", self.elb.rules.contains_key(arn))
            } else {
                ("ListenerNotFound", self.elb.listeners.contains_key(arn))
            };
            if !known {
                return Err(AwsError::caller(kind, format!("'{arn}' not found")));
            }
        }
        let mut described = Vec::new();
        for arn in arns {
            let own = self.elb.tags.entry(arn.clone()).or_default();
            match operation {
                "AddTags" => own.extend(tags(input.get("Tags"))),
                "RemoveTags" => {
                    for key in texts(input, "TagKeys") {
                        own.remove(&key);
                    }
                }
                _ => described.push(structure! {
                    "ResourceArn": arn.as_str(),
                    "Tags": tags_value(own, "Key", "Value"),
                }),
            }
        }
        if operation == "DescribeTags" {
            return Ok(structure! { "TagDescriptions": described });
        }
        Ok(Value::map())
    }
}

fn required<'a>(input: &'a Value, key: &str) -> Result<&'a str, AwsError> {
    read::text(input, key).ok_or_else(|| {
        invalid(format!(
            "1 validation error detected: Value null at '{key}' failed to satisfy constraint: \
             Member must not be null"
        ))
    })
}

fn check_name(name: &str, what: &str) -> Result<(), AwsError> {
    let proper = name.len() <= 32
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if proper {
        return Ok(());
    }
    Err(invalid(format!(
        "{what} name '{name}' must be at most 32 letters, digits and hyphens, and must not begin \
         or end with a hyphen"
    )))
}

fn attribute_map(attributes: &[(&str, &str)]) -> BTreeMap<String, String> {
    attributes
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

fn attributes_value(attributes: &BTreeMap<String, String>) -> Value {
    structure! { "Attributes": tags_value(attributes, "Key", "Value") }
}

fn modify_attributes(attributes: Option<&mut BTreeMap<String, String>>, input: &Value) -> Value {
    let given = tags(input.get("Attributes"));
    if let Some(attributes) = attributes {
        attributes.extend(given.clone());
    }
    structure! { "Attributes": tags_value(&given, "Key", "Value") }
}

fn set_health_check(value: &mut Value, input: &Value) -> Result<(), AwsError> {
    let numbers = [
        ("HealthCheckIntervalSeconds", 5..=300),
        ("HealthCheckTimeoutSeconds", 2..=120),
        ("HealthyThresholdCount", 2..=10),
        ("UnhealthyThresholdCount", 2..=10),
    ];
    for (key, range) in numbers {
        let current = value.get(key).as_i64().unwrap_or_default();
        let number = number_within(input, key, range, current, "ValidationError")?;
        put(value, key, number);
    }
    let interval = value.get("HealthCheckIntervalSeconds").as_i64();
    if value.get("HealthCheckTimeoutSeconds").as_i64() >= interval {
        return Err(invalid(
            "Health check interval must be greater than the timeout.",
        ));
    }
    for key in ["HealthCheckProtocol", "HealthCheckPort", "HealthCheckPath"] {
        if let Some(text) = text(input, key) {
            put(value, key, text);
        }
    }
    if let Some(enabled) = input.get("HealthCheckEnabled").as_bool() {
        put(value, "HealthCheckEnabled", enabled);
    }
    if input.get("Matcher").as_map().is_some() {
        put(value, "Matcher", input.get("Matcher").clone());
    }
    Ok(())
}

fn listener_protocol(current: &Value, input: &Value) -> Result<Value, AwsError> {
    let mut value = current.clone();
    match text(input, "Protocol") {
        Some(protocol @ ("HTTP" | "HTTPS")) => put(&mut value, "Protocol", protocol),
        Some(other) => {
            return Err(AwsError::caller(
                "UnsupportedProtocol",
                format!("The protocol '{other}' is not supported by an application load balancer"),
            ));
        }
        None => {}
    }
    if !input.get("Certificates").is_null() {
        put(
            &mut value,
            "Certificates",
            input.get("Certificates").clone(),
        );
    }
    if value.get("Protocol").as_str() == Some("HTTPS") {
        if value.get("Certificates").as_list().is_empty() {
            return Err(invalid(
                "A certificate must be specified for HTTPS listeners",
            ));
        }
        default(&mut value, "SslPolicy", "ELBSecurityPolicy-2016-08");
    }
    if let Some(policy) = text(input, "SslPolicy") {
        put(&mut value, "SslPolicy", policy);
    }
    Ok(value)
}
