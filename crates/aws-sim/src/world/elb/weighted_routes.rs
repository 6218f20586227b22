//! Rules and listeners as ECS moves traffic with them: named by ARN, read and set as weights.
//!
//! An Application Load Balancer is steered by its rules (a listener's default rule is one), a Network Load
//! Balancer by its listeners: \[D\] troubleshooting-blue-green.

use super::listeners_and_rules::{forward_action, forwards, no_stickiness};
use super::{Elb, dimension};
use crate::value::Value;

impl Elb {
    /// The listener that this ARN of a listener, of a rule or of a default rule belongs to.
    fn listener_of(&self, arn: &str) -> Option<&str> {
        if let Some((own, _)) = self.listeners.get_key_value(arn) {
            return Some(own);
        }
        if let Some(rule) = self.rules.get(arn) {
            return Some(&rule.listener);
        }
        let mut listeners = self.listeners.iter();
        listeners
            .find(|(_, listener)| listener.default_rule == arn)
            .map(|(own, _)| own.as_str())
    }

    /// `network` or `application`, if the ARN names a rule or listener that exists.
    pub(crate) fn balancer_kind(&self, arn: &str) -> Option<&'static str> {
        let listener = self.listeners.get(self.listener_of(arn)?)?;
        let network = dimension(&listener.load_balancer).starts_with("net/");
        Some(if network { "network" } else { "application" })
    }

    /// Target groups and weights of a rule or listener; `None` if there is none with this ARN.
    pub(crate) fn route(&self, arn: &str) -> Option<Vec<(String, i64)>> {
        let actions = match self.rules.get(arn) {
            Some(rule) => &rule.actions,
            None => &self.listeners.get(self.listener_of(arn)?)?.actions,
        };
        let pairs = forwards(actions).into_iter();
        Some(
            pairs
                .map(|(group, weight)| (group.to_string(), weight))
                .collect(),
        )
    }

    /// Makes a rule or listener forward so; false if there is none with this ARN.
    pub(crate) fn set_route(&mut self, arn: &str, weights: &[(&str, i64)]) -> bool {
        let listener = self.listener_of(arn).map(str::to_string);
        let rule = self.rules.get_mut(arn).map(|rule| &mut rule.actions);
        let actions = match (rule, listener) {
            (Some(actions), _) => actions,
            (None, Some(listener)) => match self.listeners.get_mut(&listener) {
                Some(listener) => &mut listener.actions,
                None => return false,
            },
            (None, None) => return false,
        };
        let is_forward = |action: &Value| action.get("Type").as_str() == Some("forward");
        let stickiness = actions
            .iter()
            .find(|action| is_forward(action))
            .map(|action| {
                action
                    .get("ForwardConfig")
                    .get("TargetGroupStickinessConfig")
            })
            .filter(|stickiness| !stickiness.is_null())
            .cloned()
            .unwrap_or_else(no_stickiness);
        actions.retain(|action| {
            let kind = action.get("Type").as_str().unwrap_or_default();
            kind.starts_with("authenticate") || kind == "jwt-validation"
        });
        actions.push(forward_action(weights, stickiness));
        true
    }
}
