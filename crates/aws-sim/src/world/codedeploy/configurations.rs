//! Deployment configurations: how the traffic is shifted.

use super::operations::{name, no_config, refuse};
use super::{Config, Routing, Shift};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ids;
use crate::world::read::text;
use crate::world::region::Region;

impl Region {
    /// How a configuration shifts the traffic of an ECS deployment. That one of another platform is
    /// refused by its name is our choice.
    pub(super) fn routing_of(&self, name: &str) -> Result<Routing, AwsError> {
        match self.codedeploy.configs.get(name).map(|config| config.shift) {
            Some(Shift::Ecs(routing)) => Ok(routing),
            Some(Shift::Lambda(_) | Shift::Server(..)) => Err(refuse(
                "InvalidDeploymentConfigName",
                format!("The deployment configuration {name} is not for the ECS compute platform"),
            )),
            None => Err(no_config(name)),
        }
    }

    pub(super) fn create_deployment_config(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = name(
            input,
            "deploymentConfigName",
            "DeploymentConfigNameRequired",
            "InvalidDeploymentConfigName",
        )?
        .to_string();
        if name.starts_with("CodeDeployDefault.") {
            return Err(refuse(
                "InvalidDeploymentConfigName",
                "A deployment configuration name cannot start with 'CodeDeployDefault.'",
            ));
        }
        if self.codedeploy.configs.contains_key(&name) {
            return Err(refuse(
                "DeploymentConfigAlreadyExists",
                format!("A Deployment Configuration with name '{name}' already exists"),
            ));
        }
        if text(input, "computePlatform") != Some("ECS") {
            return Err(refuse(
                "InvalidComputePlatform",
                "Only the compute platform ECS is simulated",
            ));
        }
        if !input.get("minimumHealthyHosts").is_null() {
            return Err(refuse(
                "InvalidMinimumHealthyHostValue",
                "minimumHealthyHosts cannot be specified for the ECS compute platform",
            ));
        }
        if !input.get("zonalConfig").is_null() {
            return Err(refuse(
                "InvalidZonalDeploymentConfiguration",
                "zonalConfig cannot be specified for the ECS compute platform",
            ));
        }
        let routing = routing(input.get("trafficRoutingConfig"))?;
        let custom = self
            .codedeploy
            .configs
            .values()
            .filter(|config| config.id.is_some())
            .count();
        if custom >= 200 {
            return Err(refuse(
                "DeploymentConfigLimitExceeded",
                "The deployment configurations limit was exceeded",
            ));
        }
        let id = ids::uuid(&mut self.rng);
        let config = Config {
            id: Some(id.clone()),
            created_at: self.now,
            shift: Shift::Ecs(routing),
        };
        self.codedeploy.configs.insert(name, config);
        Ok(structure! { "deploymentConfigId": id })
    }

    pub(super) fn get_deployment_config(&self, input: &Value) -> Result<Value, AwsError> {
        let name = name(
            input,
            "deploymentConfigName",
            "DeploymentConfigNameRequired",
            "InvalidDeploymentConfigName",
        )?;
        let config = self
            .codedeploy
            .configs
            .get(name)
            .ok_or_else(|| no_config(name))?;
        let info = structure! {
            "deploymentConfigId": config.id.clone(),
            "deploymentConfigName": name,
            "createTime": Value::Time(config.created_at),
        };
        let info = match config.shift {
            Shift::Ecs(routing) => info
                .with("computePlatform", "ECS")
                .with("trafficRoutingConfig", routing_value(routing)),
            Shift::Lambda(routing) => info
                .with("computePlatform", "Lambda")
                .with("trafficRoutingConfig", routing_value(routing)),
            Shift::Server(kind, value) => info.with("computePlatform", "Server").with(
                "minimumHealthyHosts",
                structure! { "type": kind, "value": value },
            ),
        };
        Ok(structure! { "deploymentConfigInfo": info })
    }

    pub(super) fn delete_deployment_config(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = name(
            input,
            "deploymentConfigName",
            "DeploymentConfigNameRequired",
            "InvalidDeploymentConfigName",
        )?;
        if name.starts_with("CodeDeployDefault.") {
            return Err(refuse(
                "InvalidOperation",
                "A predefined deployment configuration cannot be deleted",
            ));
        }
        let used = self
            .codedeploy
            .applications
            .values()
            .flat_map(|application| application.groups.values())
            .any(|group| group.config == name);
        if used {
            return Err(refuse(
                "DeploymentConfigInUse",
                format!("The deployment configuration {name} is still in use"),
            ));
        }
        self.codedeploy.configs.remove(name);
        Ok(Value::map())
    }
}

fn routing_value(routing: Routing) -> Value {
    match routing {
        Routing::AllAtOnce => structure! { "type": "AllAtOnce" },
        Routing::Canary(percent, minutes) => structure! {
            "type": "TimeBasedCanary",
            "timeBasedCanary": structure! {
                "canaryPercentage": percent,
                "canaryInterval": minutes,
            },
        },
        Routing::Linear(percent, minutes) => structure! {
            "type": "TimeBasedLinear",
            "timeBasedLinear": structure! {
                "linearPercentage": percent,
                "linearInterval": minutes,
            },
        },
    }
}

fn routing(config: &Value) -> Result<Routing, AwsError> {
    let refuse = |message: &str| refuse("InvalidTrafficRoutingConfiguration", message);
    let number = |member: &str, key: &str| config.get(member).get(key).as_i64();
    for (kind, member) in [
        ("TimeBasedCanary", "timeBasedCanary"),
        ("TimeBasedLinear", "timeBasedLinear"),
    ] {
        if !config.get(member).is_null() && text(config, "type") != Some(kind) {
            return Err(refuse(&format!("{member} belongs to the type {kind}")));
        }
    }
    let (first, routing) = match text(config, "type") {
        Some("AllAtOnce") => return Ok(Routing::AllAtOnce),
        Some("TimeBasedCanary") => {
            let percent = number("timeBasedCanary", "canaryPercentage");
            let minutes = number("timeBasedCanary", "canaryInterval");
            match (percent, minutes) {
                (Some(percent), Some(minutes)) => (percent, Routing::Canary(percent, minutes)),
                _ => return Err(refuse("timeBasedCanary needs a percentage and an interval")),
            }
        }
        Some("TimeBasedLinear") => {
            let percent = number("timeBasedLinear", "linearPercentage");
            let minutes = number("timeBasedLinear", "linearInterval");
            match (percent, minutes) {
                (Some(percent), Some(minutes)) => (percent, Routing::Linear(percent, minutes)),
                _ => return Err(refuse("timeBasedLinear needs a percentage and an interval")),
            }
        }
        _ => {
            return Err(refuse(
                "The traffic routing type must be AllAtOnce, TimeBasedCanary or TimeBasedLinear",
            ));
        }
    };
    if !(1..=99).contains(&first) {
        return Err(refuse("The percentage must be between 1 and 99"));
    }
    let steps = (0..100)
        .find(|step| routing.percent_after(*step) == 100)
        .unwrap_or(100);
    let minutes = routing.interval_ms() / 60_000;
    if minutes < 1 || minutes * steps > 2880 {
        return Err(refuse(
            "The interval must be at least 1 minute, and all traffic must shift within 2880 minutes",
        ));
    }
    Ok(routing)
}
