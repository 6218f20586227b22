//! Listeners and rules, and the forwards in them, which are what a deployment shifts.
//!
//! A forward to one target group carries both `TargetGroupArn` and `ForwardConfig`; to several, only
//! `ForwardConfig`: \[M\]\[O\]. Weights are 0..999: \[M\].

use std::collections::{BTreeMap, BTreeSet};

use super::{Elb, Listener, Rule, invalid, required};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ids;
use crate::world::read::{default, number_within, put, tags, text, texts};
use crate::world::region::Region;
use crate::world::sabotage::Sabotage;

/// Quotas of one load balancer \[D23\]; default rules do not count.
const MOST_LISTENERS: usize = 50;
const MOST_RULES: usize = 100;

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

pub(super) fn forward_action(pairs: &[(&str, i64)], stickiness: Value) -> Value {
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

pub(super) fn no_stickiness() -> Value {
    structure! { "Enabled": false }
}

impl Elb {
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

    /// What share of this listener's traffic for the pair goes to `of`, in percent; `None` if it forwards to neither.
    pub(crate) fn share(&self, listener: &str, pair: [&str; 2], of: &str) -> Option<f64> {
        for (_, actions) in self.routes().filter(|(at, _)| *at == listener) {
            let found = forwards(actions);
            if !found.iter().any(|(arn, _)| pair.contains(arn)) {
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
        for rule in [None]
            .into_iter()
            .chain(self.rules.of(listener).into_iter().map(Some))
        {
            let actions = match rule {
                None => self.listeners.get_mut(listener).map(|one| &mut one.actions),
                Some(rule) => self.rules.get_mut(&rule).map(|one| &mut one.actions),
            };
            for action in actions.into_iter().flatten() {
                let own = std::slice::from_ref(action);
                if !forwards(own).iter().any(|(arn, _)| pair.contains(arn)) {
                    continue;
                }
                found = true;
                let heaviest = forwards(own).into_iter().max_by_key(|(_, weight)| *weight);
                let stays = usize::from(heaviest.is_some_and(|(arn, _)| arn == pair[1]));
                let stuck = [(pair[stays], 100), (pair[1 - stays], 0)];
                let weights = match self.sabotage {
                    Some(Sabotage::WeightsNeverMove) => &stuck,
                    _ => weights,
                };
                let stickiness = action
                    .get("ForwardConfig")
                    .get("TargetGroupStickinessConfig")
                    .clone();
                let order = action.get("Order").clone();
                *action = forward_action(weights, stickiness).with("Order", order);
            }
        }
        if self.sabotage == Some(Sabotage::TargetsForgotten) {
            for (arn, _) in weights.iter().filter(|(_, weight)| *weight > 0) {
                if let Some(group) = self.target_groups.get_mut(arn) {
                    group.targets.clear();
                }
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
    pub(super) fn create_listener(&mut self, input: &Value) -> Result<Value, AwsError> {
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
        let own = self.elb.listeners.values();
        if own.filter(|one| one.load_balancer == balancer).count() >= MOST_LISTENERS {
            let message = format!(
                "The maximum number of listeners for load balancer '{balancer}' has been reached"
            );
            return Err(AwsError::caller("TooManyListeners", message));
        }
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

    pub(super) fn modify_listener(&mut self, input: &Value) -> Result<Value, AwsError> {
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

    pub(super) fn describe_listeners(&self, input: &Value) -> Result<Value, AwsError> {
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

    pub(super) fn delete_listener(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "ListenerArn")?;
        self.elb.listener(arn)?;
        self.elb.listeners.remove(arn);
        self.elb.rules.remove_of(arn);
        Ok(Value::map())
    }

    pub(super) fn create_rule(&mut self, input: &Value) -> Result<Value, AwsError> {
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
        let listeners = &self.elb.listeners;
        let of = |rule: &&Rule| {
            let owner = listeners.get(&rule.listener);
            owner.is_some_and(|listener| listener.load_balancer == balancer)
        };
        if self.elb.rules.values().filter(of).count() >= MOST_RULES {
            let message = format!(
                "The maximum number of rules on load balancer '{balancer}' has been reached"
            );
            return Err(AwsError::caller("TooManyRules", message));
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

    pub(super) fn modify_rule(&mut self, input: &Value) -> Result<Value, AwsError> {
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

    pub(super) fn describe_rules(&self, input: &Value) -> Result<Value, AwsError> {
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

    pub(super) fn delete_rule(&mut self, input: &Value) -> Result<Value, AwsError> {
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

    pub(super) fn set_rule_priorities(&mut self, input: &Value) -> Result<Value, AwsError> {
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
