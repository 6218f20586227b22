//! Load balancers.
//!
//! Our choice: only application load balancers, and one is `active` at once.

use super::{Elb, LoadBalancer, attribute_map, check_name, invalid, required};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ids;
use crate::world::read::{tags, text, texts};
use crate::world::region::Region;

impl Elb {
    pub(super) fn load_balancer(&self, arn: &str) -> Result<&LoadBalancer, AwsError> {
        self.load_balancers.get(arn).ok_or_else(|| {
            AwsError::caller(
                "LoadBalancerNotFound",
                format!("Load balancer '{arn}' not found"),
            )
        })
    }
}

impl Region {
    pub(super) fn create_load_balancer(&mut self, input: &Value) -> Result<Value, AwsError> {
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
            ("access_logs.s3.bucket", ""),
            ("access_logs.s3.prefix", ""),
            ("connection_logs.s3.enabled", "false"),
            ("connection_logs.s3.bucket", ""),
            ("connection_logs.s3.prefix", ""),
            ("client_keep_alive.seconds", "3600"),
            ("load_balancing.cross_zone.enabled", "true"),
            ("routing.http.desync_mitigation_mode", "defensive"),
            ("routing.http.drop_invalid_header_fields.enabled", "false"),
            ("routing.http.preserve_host_header.enabled", "false"),
            (
                "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
                "false",
            ),
            ("routing.http.xff_client_port.enabled", "false"),
            ("routing.http.xff_header_processing.mode", "append"),
            ("waf.fail_open.enabled", "false"),
            ("zonal_shift.config.enabled", "false"),
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

    pub(super) fn describe_load_balancers(&self, input: &Value) -> Result<Value, AwsError> {
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

    pub(super) fn delete_load_balancer(&mut self, input: &Value) -> Result<Value, AwsError> {
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
            self.elb.rules.remove_of(&listener);
        }
        Ok(Value::map())
    }
}
