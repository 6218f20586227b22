//! Task sets: those that a deployment controller creates, and the ECS operations of an EXTERNAL one.

use super::operations::bad;
use super::{Controller, Service, Unit, UnitStatus};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::read::{put, text, texts};
use crate::world::region::Region;

impl Region {
    pub(super) fn task_set_arn(&self, service: &Service, unit: &Unit) -> String {
        self.arn(
            "ecs",
            &format!("task-set/{}/{}/{}", service.cluster, service.name, unit.id),
        )
    }

    pub(super) fn task_set_value(&self, service: &Service, unit: &Unit) -> Value {
        let (running, pending) = service.counts(&unit.id);
        let mut value = Value::map();
        let members = [
            "networkConfiguration",
            "launchType",
            "platformVersion",
            "platformFamily",
            "capacityProviderStrategy",
            "serviceRegistries",
        ];
        for key in members {
            if !unit.given.get(key).is_null() {
                put(&mut value, key, unit.given.get(key).clone());
            }
        }
        value
            .with("id", unit.id.as_str())
            .with("taskSetArn", self.task_set_arn(service, unit))
            .with("serviceArn", service.arn.as_str())
            .with(
                "clusterArn",
                self.arn("ecs", &format!("cluster/{}", service.cluster)),
            )
            .with("startedBy", unit.started_by.clone())
            .with("externalId", unit.external_id.clone())
            .with("status", unit.status.name())
            .with("taskDefinition", unit.task_definition.as_str())
            .with("computedDesiredCount", service.wanted(unit))
            .with("pendingCount", pending)
            .with("runningCount", running)
            .with("createdAt", Value::Time(unit.created_at))
            .with("updatedAt", Value::Time(unit.updated_at))
            .with(
                "loadBalancers",
                Value::List(unit.load_balancers.as_list().to_vec()),
            )
            .with(
                "scale",
                structure! { "value": unit.scale, "unit": "PERCENT" },
            )
            .with(
                "stabilityStatus",
                if unit.steady {
                    "STEADY_STATE"
                } else {
                    "STABILIZING"
                },
            )
            .with("stabilityStatusAt", Value::Time(unit.steady_at))
            .with("tags", unit.tags.clone())
    }

    /// Creates a task set at full scale; its id. `given` overrides the service's network and platform.
    pub(crate) fn create_task_set(
        &mut self,
        key: &(String, String),
        task_definition: &str,
        load_balancers: Value,
        given: &Value,
        started_by: Option<&str>,
        external_id: Option<String>,
    ) -> Result<String, AwsError> {
        let arn = self.runnable_task_definition(task_definition)?.arn.clone();
        self.check_advanced(Controller::External, &Value::Null, &load_balancers)?;
        self.check_load_balancers(&arn, &load_balancers)?;
        let Some(mut service) = self.ecs.services.remove(key) else {
            return Err(AwsError::caller(
                "ServiceNotFoundException",
                "Service not found.",
            ));
        };
        let mut unit = self.new_unit(&service, &arn);
        unit.load_balancers = load_balancers;
        unit.started_by = started_by.map(str::to_string);
        unit.external_id = external_id;
        let members = [
            "networkConfiguration",
            "platformVersion",
            "capacityProviderStrategy",
            "launchType",
        ];
        for member in members {
            if !given.get(member).is_null() {
                put(&mut unit.given, member, given.get(member).clone());
            }
        }
        let id = unit.id.clone();
        let network = unit.given.get("networkConfiguration").clone();
        service.units.push(unit);
        self.ecs.services.insert(key.clone(), service);
        if let Err(error) = self.check_network(&arn, &network) {
            if let Some(service) = self.ecs.services.get_mut(key) {
                service.units.retain(|unit| unit.id != id);
            }
            return Err(error);
        }
        Ok(id)
    }

    /// Scales a task set to zero and lets it go once its tasks have stopped.
    pub(crate) fn drain_task_set(&mut self, key: &(String, String), id: &str) {
        let now = self.now;
        if let Some(unit) = self
            .ecs
            .services
            .get_mut(key)
            .and_then(|service| service.unit_mut(id))
        {
            unit.status = UnitStatus::Draining;
            unit.scale = 0.0;
            unit.updated_at = now;
        }
    }

    /// Makes a task set PRIMARY, and the service's own members those of it; the one before becomes ACTIVE.
    pub(crate) fn make_primary(&mut self, key: &(String, String), id: &str) {
        let now = self.now;
        let Some(service) = self.ecs.services.get_mut(key) else {
            return;
        };
        for unit in &mut service.units {
            if unit.id == id {
                unit.status = UnitStatus::Primary;
                unit.updated_at = now;
                service.task_definition = Some(unit.task_definition.clone());
                service.load_balancers = unit.load_balancers.clone();
            } else if unit.status == UnitStatus::Primary {
                unit.status = UnitStatus::Active;
                unit.updated_at = now;
            }
        }
    }

    fn external_service(&self, input: &Value) -> Result<(String, String), AwsError> {
        let key = self.active_service(input)?;
        let controller = self
            .ecs
            .services
            .get(&key)
            .map(|service| service.controller);
        if controller != Some(Controller::External) {
            return Err(bad(
                "Task sets can only be changed on services with an EXTERNAL deployment controller.",
            ));
        }
        Ok(key)
    }

    fn find_task_set(&self, key: &(String, String), given: &str) -> Option<String> {
        let service = self.ecs.services.get(key)?;
        service
            .units
            .iter()
            .find(|unit| unit.id == given || self.task_set_arn(service, unit) == given)
            .map(|unit| unit.id.clone())
    }

    fn named_task_set(
        &self,
        key: &(String, String),
        input: &Value,
        member: &str,
    ) -> Result<String, AwsError> {
        let given =
            text(input, member).ok_or_else(|| bad(format!("{member} must be specified.")))?;
        self.find_task_set(key, given)
            .ok_or_else(|| AwsError::caller("TaskSetNotFoundException", "Task set not found."))
    }

    fn one_task_set(&self, key: &(String, String), id: &str) -> Value {
        let service = self.ecs.services.get(key);
        let value = service
            .and_then(|service| Some(self.task_set_value(service, service.unit(id)?)))
            .unwrap_or(Value::Null);
        structure! { "taskSet": value }
    }

    pub(super) fn create_external_task_set(&mut self, input: &Value) -> Result<Value, AwsError> {
        let key = self.external_service(input)?;
        let definition = text(input, "taskDefinition")
            .ok_or_else(|| bad("TaskDefinition can not be blank."))?
            .to_string();
        let live = self
            .ecs
            .services
            .get(&key)
            .map_or(0, |service| service.units.len());
        if live >= 5 {
            return Err(AwsError::caller(
                "LimitExceededException",
                "A service can have at most 5 task sets.",
            ));
        }
        let scale = scale(input, 0.0)?;
        let id = self.create_task_set(
            &key,
            &definition,
            input.get("loadBalancers").clone(),
            input,
            None,
            text(input, "externalId").map(str::to_string),
        )?;
        if let Some(unit) = self
            .ecs
            .services
            .get_mut(&key)
            .and_then(|service| service.unit_mut(&id))
        {
            unit.scale = scale;
            unit.tags = input.get("tags").clone();
        }
        self.settle();
        Ok(self.one_task_set(&key, &id))
    }

    pub(super) fn update_task_set(&mut self, input: &Value) -> Result<Value, AwsError> {
        let key = self.external_service(input)?;
        let id = self.named_task_set(&key, input, "taskSet")?;
        if input.get("scale").is_null() {
            return Err(bad("scale must be specified."));
        }
        let scale = scale(input, 0.0)?;
        let now = self.now;
        if let Some(unit) = self
            .ecs
            .services
            .get_mut(&key)
            .and_then(|service| service.unit_mut(&id))
        {
            unit.scale = scale;
            unit.updated_at = now;
        }
        self.settle();
        Ok(self.one_task_set(&key, &id))
    }

    pub(super) fn update_primary_task_set(&mut self, input: &Value) -> Result<Value, AwsError> {
        let key = self.external_service(input)?;
        let id = self.named_task_set(&key, input, "primaryTaskSet")?;
        self.make_primary(&key, &id);
        Ok(self.one_task_set(&key, &id))
    }

    pub(super) fn delete_external_task_set(&mut self, input: &Value) -> Result<Value, AwsError> {
        let key = self.external_service(input)?;
        let id = self.named_task_set(&key, input, "taskSet")?;
        let force = input.get("force").as_bool() == Some(true);
        let unit = self
            .ecs
            .services
            .get(&key)
            .and_then(|service| service.unit(&id));
        if unit.is_some_and(|unit| unit.status == UnitStatus::Primary) {
            return Err(bad("The PRIMARY task set cannot be deleted."));
        }
        if unit.is_some_and(|unit| unit.scale > 0.0) && !force {
            return Err(bad(
                "The task set cannot be deleted while it is scaled above 0.",
            ));
        }
        self.drain_task_set(&key, &id);
        Ok(self.one_task_set(&key, &id))
    }

    pub(super) fn describe_task_sets(&self, input: &Value) -> Result<Value, AwsError> {
        let key = self.active_service(input)?;
        let Some(service) = self.ecs.services.get(&key) else {
            return Ok(Value::map());
        };
        if service.controller == Controller::Ecs {
            return Err(bad(
                "Task sets exist only on services with a CODE_DEPLOY or EXTERNAL deployment controller.",
            ));
        }
        let asked = texts(input, "taskSets");
        let mut failures = Vec::new();
        let mut wanted = Vec::new();
        for given in &asked {
            match self.find_task_set(&key, given) {
                Some(id) => wanted.push(id),
                None => failures.push(structure! { "arn": given.as_str(), "reason": "MISSING" }),
            }
        }
        let found = service
            .units
            .iter()
            .rev()
            .filter(|unit| asked.is_empty() || wanted.contains(&unit.id))
            .map(|unit| self.task_set_value(service, unit))
            .collect::<Vec<_>>();
        Ok(structure! { "taskSets": found, "failures": failures })
    }
}

fn scale(input: &Value, absent: f64) -> Result<f64, AwsError> {
    let value = input.get("scale").get("value");
    if value.is_null() {
        return Ok(absent);
    }
    value
        .as_f64()
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| bad("Scale value must be between 0 and 100."))
}
