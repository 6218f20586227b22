//! Where ECS sends the traffic of a service: which target group is whose, what must be right about rules and
//! target groups, and the weights.
//!
//! * What is refused at once and what rolls a deployment back later, with the texts: \[D\] troubleshooting-blue-green.
//! * Our choice: weights are on a scale of 100, or of 1000 where a percentage has a tenth; both target groups stay in
//!   the rules; the test rule goes on pointing to what serves when the deployment is over.

use crate::error::AwsError;
use crate::value::Value;
use crate::world::ecs::deployment_configuration::Strategy;
use crate::world::ecs::operations::bad;
use crate::world::ecs::{Controller, Service};
use crate::world::read::{put, text};
use crate::world::region::Region;

/// One load balancer of a service: two target groups behind one production rule.
pub(super) struct Route {
    pub(super) blue: String,
    pub(super) green: String,
    production: String,
    test: Option<String>,
}

/// The weights that give `percent` of the traffic to the second of two.
fn weights(percent: f64) -> (i64, i64) {
    if percent.fract() == 0.0 {
        return (100 - percent as i64, percent as i64);
    }
    let tenths = (percent * 10.0).round() as i64;
    (1000 - tenths, tenths)
}

impl Region {
    /// Refuses load balancers that do not fit the strategy.
    pub(in crate::world::ecs) fn check_advanced(
        &self,
        controller: Controller,
        configuration: &Value,
        load_balancers: &Value,
    ) -> Result<(), AwsError> {
        let entries = load_balancers.as_list();
        let advanced = entries
            .iter()
            .filter(|entry| !entry.get("advancedConfiguration").is_null())
            .count();
        if advanced > 0 && controller != Controller::Ecs {
            return Err(bad(
                "advancedConfiguration field is only allowed with the ECS deployment controller",
            ));
        }
        if advanced > 0 && advanced < entries.len() {
            return Err(bad(
                "Either all or none of the provided loadBalancers must have advancedConfiguration defined",
            ));
        }
        let native = controller == Controller::Ecs && Strategy::of(configuration).is_native();
        if native && advanced < entries.len() {
            return Err(bad(
                "advancedConfiguration field is required for all loadBalancers when using a non-ROLLING deployment strategy",
            ));
        }
        if advanced == 0 {
            return Ok(());
        }
        let mut groups: Vec<&str> = Vec::new();
        for entry in entries {
            let own = entry.get("advancedConfiguration");
            let missing =
                |member: &str| bad(format!("advancedConfiguration.{member} must be specified."));
            let alternate = text(own, "alternateTargetGroupArn")
                .ok_or_else(|| missing("alternateTargetGroupArn"))?;
            let production = text(own, "productionListenerRule")
                .ok_or_else(|| missing("productionListenerRule"))?;
            text(own, "roleArn").ok_or_else(|| missing("roleArn"))?;
            let group = text(entry, "targetGroupArn").unwrap_or_default();
            for arn in [group, alternate] {
                if groups.contains(&arn) {
                    return Err(bad(format!("Duplicate targetGroupArn found: {arn}")));
                }
                groups.push(arn);
            }
            if !self.elb.target_groups.contains_key(alternate) {
                return Err(bad(format!(
                    "The specified target group does not exist. (targetGroupArn {alternate})"
                )));
            }
            let test = text(own, "testListenerRule");
            if test == Some(production) {
                return Err(bad(format!(
                    "The following rules cannot be used as both production and test listener rules: {production}"
                )));
            }
            self.check_rule("productionListenerRule", production)?;
            if let Some(test) = test {
                self.check_rule("testListenerRule", test)?;
            }
            let served = self.elb.route(production).unwrap_or_default();
            let both = [group, alternate]
                .iter()
                .all(|arn| served.iter().any(|(own, _)| own == arn));
            if test.is_none() && !both && self.elb.balancer_kind(production) == Some("application")
            {
                return Err(bad(
                    "For Application LoadBalancer, testListenerRule is required when productionListenerRule is not \
                     associated with both targetGroup and alternateTargetGroup",
                ));
            }
        }
        Ok(())
    }

    fn check_rule(&self, member: &str, arn: &str) -> Result<(), AwsError> {
        let is_rule = arn.contains(":listener-rule/");
        let is_listener = arn.contains(":listener/");
        let network = arn.contains("/net/");
        if !(is_rule && !network || is_listener && network) {
            return Err(bad(format!(
                "{member} has an invalid ARN format. Must be RuleArn for ALB or ListenerArn for NLB. Got: {arn}"
            )));
        }
        if self.elb.route(arn).is_none() {
            return Err(bad(format!("One or more rules not found ({member} {arn})")));
        }
        Ok(())
    }

    /// The routes of a service, green being the target groups that `blue` does not use.
    pub(super) fn routes_of(&self, service: &Service, blue: Option<&str>) -> Vec<Route> {
        let blue = blue.and_then(|id| service.unit(id));
        let mut routes = Vec::new();
        for (index, entry) in service.load_balancers.as_list().iter().enumerate() {
            let own = entry.get("advancedConfiguration");
            let (Some(first), Some(second), Some(production)) = (
                text(entry, "targetGroupArn"),
                text(own, "alternateTargetGroupArn"),
                text(own, "productionListenerRule"),
            ) else {
                continue;
            };
            let used = blue
                .and_then(|unit| unit.load_balancers.as_list().get(index))
                .and_then(|entry| entry.get("targetGroupArn").as_str());
            // The first deployment of a service takes the target group that was configured.
            let (blue, green) = match used {
                Some(used) if used == first => (first, second),
                _ => (second, first),
            };
            routes.push(Route {
                blue: blue.to_string(),
                green: green.to_string(),
                production: production.to_string(),
                test: text(own, "testListenerRule").map(str::to_string),
            });
        }
        routes
    }

    /// What is wrong with rules and target groups when a deployment needs them, if something is.
    pub(super) fn network_fault(&self, routes: &[Route]) -> Option<String> {
        let reason = "Service deployment rolled back because of invalid networking configuration";
        for route in routes {
            let Some(production) = self.elb.route(&route.production) else {
                return Some(format!("{reason}. One or more rules not found"));
            };
            let test = match &route.test {
                None => Vec::new(),
                Some(test) => match self.elb.route(test) {
                    Some(found) => found,
                    None => return Some(format!("{reason}. One or more rules not found")),
                },
            };
            let serving: Vec<&String> = production
                .iter()
                .filter(|(_, weight)| *weight > 0 || production.len() == 1)
                .map(|(group, _)| group)
                .collect();
            if serving.len() != 1 {
                return Some(format!(
                    "{reason}. productionListenerRule {} should have exactly one target group serving traffic \
                     but found {} target groups which are serving traffic",
                    route.production,
                    serving.len()
                ));
            }
            let own = [&route.blue, &route.green];
            if let Some(other) = serving.iter().find(|group| !own.contains(group)) {
                return Some(format!(
                    "{reason}. Production listener rule is forwarding traffic to unexpected target group {other}. \
                     Expected traffic to be forwarded to either targetGroupArn: {} or alternateTargetGroupArn: {}",
                    route.blue, route.green
                ));
            }
            for group in own {
                if !production.iter().chain(&test).any(|(arn, _)| arn == group) {
                    return Some(format!(
                        "{reason}: Target group {group} is not associated with either productionListenerRule or \
                         testListenerRule."
                    ));
                }
            }
        }
        None
    }

    /// Gives green this share of the production traffic; `false` if a rule is gone.
    pub(super) fn shift_production(&mut self, routes: &[Route], percent: f64) -> bool {
        let (blue, green) = weights(percent);
        routes.iter().all(|route| {
            let pairs = [(route.blue.as_str(), blue), (route.green.as_str(), green)];
            self.elb.set_route(&route.production, &pairs)
        })
    }

    /// Gives green all test traffic, or none.
    pub(super) fn shift_test(&mut self, routes: &[Route], to_green: bool) -> bool {
        routes.iter().all(|route| {
            let (blue, green) = if to_green { (0, 100) } else { (100, 0) };
            let pairs = [(route.blue.as_str(), blue), (route.green.as_str(), green)];
            let test = route.test.as_ref();
            test.is_none_or(|test| self.elb.set_route(test, &pairs))
        })
    }
}

impl Route {
    /// Whether test traffic has a way of its own.
    pub(super) fn has_test(&self) -> bool {
        self.test.is_some()
    }

    /// What a revision behind green really uses.
    pub(super) fn resolved(&self) -> (String, Option<String>) {
        (self.green.clone(), Some(self.production.clone()))
    }
}

/// The load balancers of a service with green's target groups in them.
pub(super) fn behind_green(load_balancers: &Value, routes: &[Route]) -> Value {
    let entries = load_balancers.as_list().iter().zip(routes);
    Value::List(
        entries
            .map(|(entry, route)| {
                let mut own = entry.clone();
                if let Value::Map(map) = &mut own {
                    map.remove("advancedConfiguration");
                }
                put(&mut own, "targetGroupArn", route.green.as_str());
                own
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_hold_a_tenth_of_a_percent() {
        for (percent, expected) in [
            (0.0, (100, 0)),
            (10.0, (90, 10)),
            (100.0, (0, 100)),
            (0.1, (999, 1)),
            (33.3, (667, 333)),
            (99.9, (1, 999)),
        ] {
            assert_eq!(weights(percent), expected, "{percent}");
        }
    }
}
