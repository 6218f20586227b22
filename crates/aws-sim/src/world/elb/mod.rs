//! Elastic Load Balancing v2: load balancers, target groups, listeners, rules, target health.
//!
//! * Shapes, limits and error codes (which drop the `Exception` suffix on the wire): \[M\].
//! * Every kind of thing has its file, which names the grades of what is particular to it; here are the
//!   state that they share, the dispatch, and the tags.

mod health;
mod index;
mod listeners_and_rules;
mod load_balancers;
mod target_groups;
mod weighted_routes;

use std::collections::BTreeMap;

use self::index::{Index, Tracked};
pub(crate) use self::index::{Route, RouteKey};
#[cfg(test)]
pub(crate) use self::listeners_and_rules::forwards;
#[cfg(not(test))]
use self::listeners_and_rules::forwards;
use super::read::{number_within, tags, tags_value, text, texts};
use super::region::Region;
use super::sabotage::Sabotage;
use super::{ids, read};
use crate::error::AwsError;
use crate::value::Value;

/// The state of Elastic Load Balancing. Every map is keyed by ARN.
#[derive(Default)]
pub(crate) struct Elb {
    pub(crate) load_balancers: BTreeMap<String, LoadBalancer>,
    pub(crate) target_groups: Tracked<TargetGroup>,
    pub(crate) listeners: Tracked<Listener>,
    pub(crate) rules: Tracked<Rule>,
    index: Index,
    tags: BTreeMap<String, BTreeMap<String, String>>,
    /// How it is wrong on purpose.
    pub(crate) sabotage: Option<Sabotage>,
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

/// The tail of an ARN that CloudWatch uses as dimension value, for example `targetgroup/web-blue/0123`.
pub(crate) fn dimension(arn: &str) -> String {
    let tail = arn.splitn(6, ':').last().unwrap_or(arn);
    tail.strip_prefix("loadbalancer/")
        .unwrap_or(tail)
        .to_string()
}

impl Region {
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
                modify_attributes(attributes, input)
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

/// Changes attributes. Every kind of thing has its attributes from the start, so what it does not have is none.
fn modify_attributes(
    attributes: Option<&mut BTreeMap<String, String>>,
    input: &Value,
) -> Result<Value, AwsError> {
    let given = tags(input.get("Attributes"));
    if let Some(attributes) = attributes {
        if let Some(other) = given.keys().find(|key| !attributes.contains_key(*key)) {
            return Err(invalid(format!(
                "Attribute key '{other}' is not recognized"
            )));
        }
        attributes.extend(given.clone());
    }
    Ok(structure! { "Attributes": tags_value(&given, "Key", "Value") })
}
