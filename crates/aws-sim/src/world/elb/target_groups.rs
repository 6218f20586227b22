//! Target groups: their settings, their attributes, and which load balancers use them.

use std::collections::BTreeSet;

use super::{Elb, TargetGroup, attribute_map, check_name, invalid, modify_attributes, required};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ids;
use crate::world::read::{number_within, put, tags, text, texts};
use crate::world::region::Region;

impl TargetGroup {
    pub(super) fn seconds(&self, key: &str) -> i64 {
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

impl Elb {
    /// The load balancers whose listeners forward to this target group.
    pub(crate) fn load_balancers_of(&self, target_group: &str) -> BTreeSet<String> {
        let listeners = self.listeners_to(target_group).into_iter();
        listeners
            .filter_map(|listener| self.listeners.get(listener))
            .map(|listener| listener.load_balancer.clone())
            .collect()
    }

    pub(crate) fn target_group_by_name(&self, name: &str) -> Option<&str> {
        self.index.group_named(name)
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

    pub(super) fn target_group(&self, arn: &str) -> Result<&TargetGroup, AwsError> {
        self.target_groups.get(arn).ok_or_else(|| {
            AwsError::caller(
                "TargetGroupNotFound",
                format!("Target groups '{arn}' not found"),
            )
        })
    }
}

impl Region {
    pub(super) fn create_target_group(&mut self, input: &Value) -> Result<Value, AwsError> {
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
            ("stickiness.app_cookie.cookie_name", ""),
            ("stickiness.app_cookie.duration_seconds", "86400"),
            ("load_balancing.algorithm.anomaly_mitigation", "off"),
            (
                "load_balancing.cross_zone.enabled",
                "use_load_balancer_configuration",
            ),
            (
                "target_group_health.dns_failover.minimum_healthy_targets.count",
                "1",
            ),
            (
                "target_group_health.dns_failover.minimum_healthy_targets.percentage",
                "off",
            ),
            (
                "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
                "1",
            ),
            (
                "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
                "off",
            ),
        ];
        let group = TargetGroup {
            name: name.to_string(),
            value,
            attributes: attribute_map(&attributes),
            targets: Vec::new(),
        };
        let answer = structure! { "TargetGroups": vec![self.elb.target_group_value(&arn, &group)] };
        self.elb.tags.insert(arn.clone(), tags(input.get("Tags")));
        self.elb.add_target_group(arn, group);
        Ok(answer)
    }

    pub(super) fn describe_target_groups(&self, input: &Value) -> Result<Value, AwsError> {
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

    pub(super) fn modify_target_group(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "TargetGroupArn")?;
        let mut value = self.elb.target_group(arn)?.value.clone();
        set_health_check(&mut value, input)?;
        if let Some(group) = self.elb.target_groups.get_mut(arn) {
            group.value = value;
        }
        let group = self.elb.target_group(arn)?;
        Ok(structure! { "TargetGroups": vec![self.elb.target_group_value(arn, group)] })
    }

    pub(super) fn delete_target_group(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "TargetGroupArn")?;
        if !self.elb.load_balancers_of(arn).is_empty() {
            return Err(AwsError::caller(
                "ResourceInUse",
                format!("Target group '{arn}' is currently in use by a listener or a rule"),
            ));
        }
        self.elb.remove_target_group(arn);
        Ok(Value::map())
    }

    pub(super) fn modify_target_group_attributes(
        &mut self,
        input: &Value,
    ) -> Result<Value, AwsError> {
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
        modify_attributes(group.map(|group| &mut group.attributes), input)
    }
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
