//! The ECS operations on clusters, services, task sets and tasks.
//!
//! Refusals and their codes: \[M\]; the text for a task definition of a CODE_DEPLOY service is \[O\], the
//! others are \[K\]. Our choice: only the rolling strategy of the ECS controller; anything that would need
//! more (ECS's own blue/green, linear, canary, hooks, deployment alarms, daemons) is refused.

use sha2::{Digest, Sha256};

use super::task_definitions::{client, parameter};
use super::{Cluster, Controller, Service, ServiceStatus, Task, TaskState, Unit, UnitStatus};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::elb::Health;
use crate::world::read::{number_within, put, tags, tags_value, text, texts};
use crate::world::region::Region;
use crate::world::{Caller, ids};

/// Members of CreateService that are kept and answered as given.
const KEPT: [&str; 15] = [
    "serviceRegistries",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "placementConstraints",
    "placementStrategy",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds",
    "schedulingStrategy",
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
    "availabilityZoneRebalancing",
    "roleArn",
    "volumeConfigurations",
];

const CODE_DEPLOY_ONLY: &str = "on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment.";

fn bad(message: impl Into<String>) -> AwsError {
    parameter(message)
}

impl Region {
    /// One ECS operation.
    pub(crate) fn call_ecs(
        &mut self,
        caller: &Caller,
        operation: &str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        match operation {
            "CreateCluster" => self.create_cluster(input),
            "DescribeClusters" => Ok(self.describe_clusters(input)),
            "ListClusters" => self.list_clusters(input),
            "DeleteCluster" => self.delete_cluster(input),
            "RegisterTaskDefinition" => self.register_task_definition(caller, input),
            "DescribeTaskDefinition" => self.describe_task_definition(input),
            "DeregisterTaskDefinition" => self.deregister_task_definition(input),
            "ListTaskDefinitions" => self.list_task_definitions(input),
            "ListTaskDefinitionFamilies" => self.list_task_definition_families(input),
            "CreateService" => self.create_service(caller, input),
            "UpdateService" => self.update_service(input),
            "DeleteService" => self.delete_service(input),
            "DescribeServices" => self.describe_services(input),
            "ListServices" => self.list_services(input),
            "CreateTaskSet" => self.create_external_task_set(input),
            "UpdateTaskSet" => self.update_task_set(input),
            "DeleteTaskSet" => self.delete_external_task_set(input),
            "UpdateServicePrimaryTaskSet" => self.update_primary_task_set(input),
            "DescribeTaskSets" => self.describe_task_sets(input),
            "ListTasks" => self.list_tasks(input),
            "DescribeTasks" => self.describe_tasks(input),
            "TagResource" | "UntagResource" | "ListTagsForResource" => {
                self.ecs_tags(operation, input)
            }
            _ => Err(Region::unknown_operation("ecs", operation)),
        }
    }

    pub(super) fn ecs_page<T, K: Fn(&T) -> &str>(
        &self,
        items: Vec<T>,
        input: &Value,
        most: i64,
        key: K,
    ) -> Result<(Vec<T>, Option<String>), AwsError> {
        let default = if most == 10 { 10 } else { 100 };
        let size = number_within(
            input,
            "maxResults",
            1..=100,
            default,
            "InvalidParameterException",
        )?;
        let size = self.page_limit.min(usize::try_from(size).unwrap_or(100));
        ids::page(items, text(input, "nextToken"), size, key).ok_or_else(|| bad("Invalid token."))
    }

    // ---- clusters

    fn cluster_name(&self, input: &Value) -> Result<String, AwsError> {
        let given = text(input, "cluster").unwrap_or("default");
        let name = given.rsplit('/').next().unwrap_or(given);
        let ours =
            !given.starts_with("arn:") || given == self.arn("ecs", &format!("cluster/{name}"));
        match self.ecs.clusters.get(name) {
            Some(cluster) if cluster.active && ours => Ok(name.to_string()),
            _ => Err(AwsError::caller(
                "ClusterNotFoundException",
                "Cluster not found.",
            )),
        }
    }

    fn create_cluster(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = text(input, "clusterName").unwrap_or("default").to_string();
        let proper = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.len() > 255 || !name.chars().all(proper) {
            return Err(bad(
                "Identifier is invalid. Please use only letters, digits, - and _.",
            ));
        }
        let arn = self.arn("ecs", &format!("cluster/{name}"));
        let mut value = Value::map();
        let members = [
            "settings",
            "configuration",
            "capacityProviders",
            "defaultCapacityProviderStrategy",
            "serviceConnectDefaults",
        ];
        for key in members {
            if !input.get(key).is_null() {
                put(&mut value, key, input.get(key).clone());
            }
        }
        let existing = self
            .ecs
            .clusters
            .get(&name)
            .is_some_and(|cluster| cluster.active);
        if !existing {
            self.ecs.tags.insert(arn.clone(), tags(input.get("tags")));
            self.ecs.clusters.insert(
                name.clone(),
                Cluster {
                    arn,
                    active: true,
                    value,
                },
            );
        }
        Ok(structure! { "cluster": self.cluster_value(&name, true) })
    }

    fn cluster_value(&self, name: &str, wants_tags: bool) -> Value {
        let Some(cluster) = self.ecs.clusters.get(name) else {
            return Value::Null;
        };
        let services = self
            .ecs
            .services
            .values()
            .filter(|service| service.cluster == name);
        let mut counts = (0_i64, 0_i64, 0_i64);
        for service in services {
            counts.2 += i64::from(service.status == ServiceStatus::Active);
            for task in &service.tasks {
                match task.state {
                    TaskState::Running => counts.0 += 1,
                    TaskState::Provisioning | TaskState::Pending => counts.1 += 1,
                    _ => {}
                }
            }
        }
        let own_tags = self.ecs.tags.get(&cluster.arn).cloned().unwrap_or_default();
        let mut value = cluster.value.clone();
        for key in [
            "settings",
            "capacityProviders",
            "defaultCapacityProviderStrategy",
        ] {
            crate::world::read::default(&mut value, key, Vec::<Value>::new());
        }
        value
            .with("clusterArn", cluster.arn.as_str())
            .with("clusterName", name)
            .with("status", if cluster.active { "ACTIVE" } else { "INACTIVE" })
            .with("registeredContainerInstancesCount", 0_i64)
            .with("runningTasksCount", counts.0)
            .with("pendingTasksCount", counts.1)
            .with("activeServicesCount", counts.2)
            .with("statistics", Vec::<Value>::new())
            .with(
                "tags",
                wants_tags.then(|| tags_value(&own_tags, "key", "value")),
            )
    }

    fn describe_clusters(&self, input: &Value) -> Value {
        let mut asked = texts(input, "clusters");
        if asked.is_empty() {
            asked.push("default".to_string());
        }
        let wants_tags = includes(input, "TAGS");
        let (mut clusters, mut failures) = (Vec::new(), Vec::new());
        for given in asked {
            let name = given.rsplit('/').next().unwrap_or(&given);
            if self.ecs.clusters.contains_key(name) {
                clusters.push(self.cluster_value(name, wants_tags));
            } else {
                let arn = self.arn("ecs", &format!("cluster/{name}"));
                failures.push(structure! { "arn": arn, "reason": "MISSING" });
            }
        }
        structure! { "clusters": clusters, "failures": failures }
    }

    fn list_clusters(&self, input: &Value) -> Result<Value, AwsError> {
        let arns: Vec<String> = self
            .ecs
            .clusters
            .values()
            .filter(|cluster| cluster.active)
            .map(|cluster| cluster.arn.clone())
            .collect();
        let (page, next) = self.ecs_page(arns, input, 100, String::as_str)?;
        let page = page.into_iter().map(Value::Text).collect::<Vec<_>>();
        Ok(structure! { "clusterArns": page, "nextToken": next })
    }

    fn delete_cluster(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = self.cluster_name(input)?;
        let busy = self
            .ecs
            .services
            .values()
            .any(|service| service.cluster == name && service.status == ServiceStatus::Active);
        if busy {
            return Err(AwsError::caller(
                "ClusterContainsServicesException",
                "The Cluster cannot be deleted while Services are active.",
            ));
        }
        if let Some(cluster) = self.ecs.clusters.get_mut(&name) {
            cluster.active = false;
        }
        Ok(structure! { "cluster": self.cluster_value(&name, false) })
    }

    // ---- services

    fn service_key(&self, cluster: &str, given: &str) -> Option<(String, String)> {
        let name = given.rsplit('/').next().unwrap_or(given);
        let key = (cluster.to_string(), name.to_string());
        let service = self.ecs.services.get(&key)?;
        (!given.starts_with("arn:") || given == service.arn).then_some(key)
    }

    /// The key of the service of a request, if it is there and not INACTIVE.
    fn active_service(&self, input: &Value) -> Result<(String, String), AwsError> {
        let cluster = self.cluster_name(input)?;
        let given = text(input, "service").ok_or_else(|| bad("Service cannot be empty."))?;
        let key = self
            .service_key(&cluster, given)
            .ok_or_else(|| AwsError::caller("ServiceNotFoundException", "Service not found."))?;
        match self.ecs.services.get(&key).map(|service| service.status) {
            Some(ServiceStatus::Active) => Ok(key),
            _ => Err(AwsError::caller(
                "ServiceNotActiveException",
                "Service was not ACTIVE.",
            )),
        }
    }

    fn create_service(&mut self, caller: &Caller, input: &Value) -> Result<Value, AwsError> {
        let cluster = self.cluster_name(input)?;
        let name =
            text(input, "serviceName").ok_or_else(|| bad("serviceName must be specified."))?;
        let proper = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.len() > 255 || !name.chars().all(proper) {
            return Err(bad("Invalid service name."));
        }
        let key = (cluster.clone(), name.to_string());
        let taken = self.ecs.services.get(&key);
        if taken.is_some_and(|service| service.status != ServiceStatus::Inactive) {
            return Err(bad("Creation of service was not idempotent."));
        }
        let controller = match text(input.get("deploymentController"), "type") {
            None | Some("ECS") => Controller::Ecs,
            Some("CODE_DEPLOY") => Controller::CodeDeploy,
            Some("EXTERNAL") => Controller::External,
            Some(other) => return Err(bad(format!("Invalid deployment controller type: {other}"))),
        };
        if text(input, "schedulingStrategy").is_some_and(|strategy| strategy != "REPLICA") {
            return Err(bad("Only the REPLICA scheduling strategy is simulated."));
        }
        if input.get("desiredCount").is_null() {
            return Err(bad(
                "desiredCount must be specified for the REPLICA scheduling strategy.",
            ));
        }
        let desired = number_within(
            input,
            "desiredCount",
            0..=5000,
            0,
            "InvalidParameterException",
        )?;
        let deployment_configuration = deployment_configuration(
            controller,
            &Value::map(),
            input.get("deploymentConfiguration"),
        )?;
        check_unsupported(input)?;
        let load_balancers = input.get("loadBalancers").clone();
        let task_definition = match (controller, text(input, "taskDefinition")) {
            (Controller::External, None) => None,
            (Controller::External, Some(_)) => {
                return Err(bad(
                    "TaskDefinition cannot be specified for a service with an EXTERNAL deployment controller.",
                ));
            }
            (_, None) => return Err(bad("TaskDefinition can not be blank.")),
            (_, Some(given)) => Some(self.runnable_task_definition(given)?.arn.clone()),
        };
        if controller == Controller::CodeDeploy && load_balancers.as_list().len() != 1 {
            return Err(bad(
                "A service with a CODE_DEPLOY deployment controller must have exactly one load balancer.",
            ));
        }
        if let Some(arn) = &task_definition {
            self.check_load_balancers(arn, &load_balancers)?;
            self.check_network(arn, input.get("networkConfiguration"))?;
        }
        let mut given = Value::map();
        for key in KEPT {
            if !input.get(key).is_null() {
                put(&mut given, key, input.get(key).clone());
            }
        }
        if input.get("capacityProviderStrategy").as_list().is_empty() {
            crate::world::read::default(&mut given, "launchType", "EC2");
        }
        if given.get("launchType").as_str() == Some("FARGATE") {
            crate::world::read::default(&mut given, "platformVersion", "LATEST");
            put(&mut given, "platformFamily", "Linux");
        }
        crate::world::read::default(&mut given, "schedulingStrategy", "REPLICA");
        crate::world::read::default(&mut given, "propagateTags", "NONE");
        for key in ["enableECSManagedTags", "enableExecuteCommand"] {
            crate::world::read::default(&mut given, key, false);
        }
        for key in [
            "placementConstraints",
            "placementStrategy",
            "serviceRegistries",
        ] {
            crate::world::read::default(&mut given, key, Vec::<Value>::new());
        }
        let arn = self.arn("ecs", &format!("service/{cluster}/{name}"));
        let grace = given
            .get("healthCheckGracePeriodSeconds")
            .as_i64()
            .unwrap_or_default();
        let mut service = Service {
            arn: arn.clone(),
            name: name.to_string(),
            cluster,
            status: ServiceStatus::Active,
            controller,
            task_definition: task_definition.clone(),
            desired,
            load_balancers,
            given,
            deployment_configuration,
            grace_ms: grace * 1000,
            created_at: self.now,
            created_by: caller.principal.clone(),
            units: Vec::new(),
            tasks: Vec::new(),
            events: std::collections::VecDeque::new(),
            steady: false,
        };
        match (controller, task_definition) {
            (Controller::Ecs, Some(target)) => self.start_rolling(&mut service, &target),
            (Controller::CodeDeploy, Some(target)) => {
                let mut unit = self.new_unit(&service, &target);
                unit.status = UnitStatus::Primary;
                service.units.push(unit);
            }
            _ => {}
        }
        self.ecs.tags.insert(arn, tags(input.get("tags")));
        self.ecs.services.insert(key.clone(), service);
        self.settle();
        Ok(structure! { "service": self.service_value(&key, false) })
    }

    /// Whether these containers can be put behind these target groups.
    pub(crate) fn check_load_balancers(
        &self,
        task_definition: &str,
        load_balancers: &Value,
    ) -> Result<(), AwsError> {
        let Some(definition) = self.ecs.task_definition(task_definition) else {
            return Err(client("TaskDefinition not found."));
        };
        let awsvpc = definition.value.get("networkMode").as_str() == Some("awsvpc");
        for entry in load_balancers.as_list() {
            if !entry.get("advancedConfiguration").is_null() {
                return Err(bad(
                    "loadBalancers.advancedConfiguration belongs to deployment strategies that are not simulated.",
                ));
            }
            let name = text(entry, "containerName")
                .ok_or_else(|| bad("Container name should not be null or empty."))?;
            let port = entry
                .get("containerPort")
                .as_i64()
                .ok_or_else(|| bad("Container port should not be null."))?;
            let group = text(entry, "targetGroupArn").ok_or_else(|| {
                bad("targetGroupArn must be specified (Classic Load Balancers are not simulated).")
            })?;
            let container = definition
                .containers()
                .iter()
                .find(|container| container.get("name").as_str() == Some(name))
                .ok_or_else(|| bad("The container does not exist in the task definition."))?;
            let mapped = container
                .get("portMappings")
                .as_list()
                .iter()
                .any(|mapping| mapping.get("containerPort").as_i64() == Some(port));
            if !mapped {
                return Err(bad(format!(
                    "The container {name} did not have a container port {port} defined."
                )));
            }
            let Some(target_group) = self.elb.target_groups.get(group) else {
                return Err(bad(format!(
                    "The specified target group does not exist. (targetGroupArn {group})"
                )));
            };
            if awsvpc && target_group.target_type() != "ip" {
                return Err(bad(format!(
                    "The provided target group {group} has target type {}, which is incompatible with \
                     the awsvpc network mode specified in the task definition.",
                    target_group.target_type()
                )));
            }
            if self.elb.load_balancers_of(group).is_empty() {
                return Err(bad(format!(
                    "The target group with targetGroupArn {group} does not have an associated load balancer."
                )));
            }
        }
        Ok(())
    }

    fn check_network(&self, task_definition: &str, network: &Value) -> Result<(), AwsError> {
        let awsvpc = self
            .ecs
            .task_definition(task_definition)
            .is_some_and(|definition| {
                definition.value.get("networkMode").as_str() == Some("awsvpc")
            });
        let subnets = network.get("awsvpcConfiguration").get("subnets").as_list();
        match (awsvpc, subnets.is_empty()) {
            (true, true) => Err(bad(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            )),
            (false, false) => Err(bad(
                "Network Configuration is not valid for the given networkMode of this task definition.",
            )),
            _ => Ok(()),
        }
    }

    fn update_service(&mut self, input: &Value) -> Result<Value, AwsError> {
        let key = self.active_service(input)?;
        let Some(service) = self.ecs.services.get(&key) else {
            return Err(AwsError::caller(
                "ServiceNotFoundException",
                "Service not found.",
            ));
        };
        let controller = service.controller;
        check_unsupported(input)?;
        if !input.get("deploymentController").is_null() {
            let wanted = text(input.get("deploymentController"), "type");
            if wanted != Some(controller.name()) {
                return Err(bad(
                    "Changing the deployment controller of a service is not simulated.",
                ));
            }
        }
        let target = match text(input, "taskDefinition") {
            None => None,
            Some(_) if controller == Controller::CodeDeploy => {
                return Err(bad(format!(
                    "Unable to update task definition {CODE_DEPLOY_ONLY}"
                )));
            }
            Some(_) if controller == Controller::External => {
                return Err(bad(
                    "Unable to update task definition on services with an EXTERNAL deployment controller.",
                ));
            }
            Some(given) => Some(self.runnable_task_definition(given)?.arn.clone()),
        };
        let moves = [
            ("networkConfiguration", "network parameters"),
            ("platformVersion", "platform version"),
            ("loadBalancers", "load balancers"),
            ("capacityProviderStrategy", "capacity provider strategy"),
        ];
        if controller != Controller::Ecs {
            for (member, words) in moves {
                if !input.get(member).is_null() {
                    let name = controller.name();
                    return Err(bad(match controller {
                        Controller::CodeDeploy => {
                            format!("Unable to update {words} {CODE_DEPLOY_ONLY}")
                        }
                        _ => format!(
                            "Unable to update {words} on services with an {name} deployment controller."
                        ),
                    }));
                }
            }
            if input.get("forceNewDeployment").as_bool() == Some(true) {
                return Err(bad(match controller {
                    Controller::CodeDeploy => {
                        format!("Cannot force a new deployment {CODE_DEPLOY_ONLY}")
                    }
                    _ => "Cannot force a new deployment on services with an EXTERNAL deployment controller."
                        .to_string(),
                }));
            }
        }
        let configuration = deployment_configuration(
            controller,
            &service.deployment_configuration,
            input.get("deploymentConfiguration"),
        )?;
        let desired = number_within(
            input,
            "desiredCount",
            0..=5000,
            service.desired,
            "InvalidParameterException",
        )?;
        let balancers = match input.get("loadBalancers") {
            Value::Null => service.load_balancers.clone(),
            given => given.clone(),
        };
        let network = match input.get("networkConfiguration") {
            Value::Null => service.given.get("networkConfiguration").clone(),
            given => given.clone(),
        };
        let next = target.clone().or_else(|| service.task_definition.clone());
        if let (Controller::Ecs, Some(next)) = (controller, &next) {
            self.check_load_balancers(next, &balancers)?;
            self.check_network(next, &network)?;
        }
        let changes = moves.iter().any(|(member, _)| {
            let current = if *member == "loadBalancers" {
                &service.load_balancers
            } else {
                service.given.get(member)
            };
            !input.get(member).is_null() && input.get(member) != current
        });
        let deploys = target
            .as_ref()
            .is_some_and(|arn| Some(arn) != service.task_definition.as_ref())
            || input.get("forceNewDeployment").as_bool() == Some(true)
            || changes;
        if let Some(mut service) = self.ecs.services.remove(&key) {
            service.deployment_configuration = configuration;
            service.load_balancers = balancers;
            if desired != service.desired {
                let text = format!(
                    "(service {}) was updated to desired count {desired}.",
                    service.name
                );
                self.note(&mut service, text);
                service.desired = desired;
            }
            for member in KEPT {
                if !input.get(member).is_null() {
                    put(&mut service.given, member, input.get(member).clone());
                }
            }
            let grace = service.given.get("healthCheckGracePeriodSeconds").as_i64();
            service.grace_ms = grace.unwrap_or_default() * 1000;
            if let (true, Some(next)) = (deploys, next) {
                self.start_rolling(&mut service, &next);
            }
            self.ecs.services.insert(key.clone(), service);
        }
        self.settle();
        Ok(structure! { "service": self.service_value(&key, false) })
    }

    fn delete_service(&mut self, input: &Value) -> Result<Value, AwsError> {
        let key = self.active_service(input)?;
        let force = input.get("force").as_bool() == Some(true);
        if let Some(service) = self.ecs.services.get_mut(&key) {
            if service.desired > 0 && !force {
                return Err(bad(
                    "The service cannot be stopped while it is scaled above 0.",
                ));
            }
            service.status = ServiceStatus::Draining;
            service.desired = 0;
        }
        self.settle();
        Ok(structure! { "service": self.service_value(&key, false) })
    }

    fn describe_services(&self, input: &Value) -> Result<Value, AwsError> {
        let cluster = self.cluster_name(input)?;
        let asked = texts(input, "services");
        if asked.is_empty() {
            return Err(bad("Services cannot be empty."));
        }
        if asked.len() > 10 {
            return Err(bad(
                "Too many services: at most 10 can be described at once.",
            ));
        }
        let wants_tags = includes(input, "TAGS");
        let (mut services, mut failures) = (Vec::new(), Vec::new());
        for given in asked {
            match self.service_key(&cluster, &given) {
                Some(key) => services.push(self.service_value(&key, wants_tags)),
                None => {
                    let arn = if given.starts_with("arn:") {
                        given
                    } else {
                        self.arn("ecs", &format!("service/{cluster}/{given}"))
                    };
                    failures.push(structure! { "arn": arn, "reason": "MISSING" });
                }
            }
        }
        Ok(structure! { "services": services, "failures": failures })
    }

    fn list_services(&self, input: &Value) -> Result<Value, AwsError> {
        let cluster = self.cluster_name(input)?;
        let launch_type = text(input, "launchType");
        let arns: Vec<String> = self
            .ecs
            .services
            .values()
            .filter(|service| {
                service.cluster == cluster && service.status != ServiceStatus::Inactive
            })
            .filter(|service| {
                launch_type
                    .is_none_or(|wanted| service.given.get("launchType").as_str() == Some(wanted))
            })
            .map(|service| service.arn.clone())
            .collect();
        let (page, next) = self.ecs_page(arns, input, 10, String::as_str)?;
        let page = page.into_iter().map(Value::Text).collect::<Vec<_>>();
        Ok(structure! { "serviceArns": page, "nextToken": next })
    }

    pub(crate) fn service_value(&self, key: &(String, String), wants_tags: bool) -> Value {
        let Some(service) = self.ecs.services.get(key) else {
            return Value::Null;
        };
        let cluster_arn = self.arn("ecs", &format!("cluster/{}", service.cluster));
        let (mut running, mut pending) = (0, 0);
        for task in &service.tasks {
            match task.state {
                TaskState::Running => running += 1,
                TaskState::Provisioning | TaskState::Pending => pending += 1,
                _ => {}
            }
        }
        let events = service
            .events
            .iter()
            .map(|(id, at, message)| {
                structure! {
                    "id": id.as_str(),
                    "createdAt": Value::Time(*at),
                    "message": message.as_str(),
                }
            })
            .collect::<Vec<_>>();
        let status = match service.status {
            ServiceStatus::Active => "ACTIVE",
            ServiceStatus::Draining => "DRAINING",
            ServiceStatus::Inactive => "INACTIVE",
        };
        let tags = self.ecs.tags.get(&service.arn).cloned().unwrap_or_default();
        // Newest first, as AWS answers them.
        let units: Vec<Value> = service
            .units
            .iter()
            .rev()
            .map(|unit| match service.controller {
                Controller::Ecs => deployment_value(service, unit),
                _ => self.task_set_value(service, unit),
            })
            .collect();
        let (deployments, task_sets) = match service.controller {
            Controller::Ecs => (units, Value::Null),
            _ => (Vec::new(), Value::List(units)),
        };
        let mut value = service.given.clone();
        crate::world::read::default(&mut value, "healthCheckGracePeriodSeconds", 0_i64);
        value
            .with("serviceArn", service.arn.as_str())
            .with("serviceName", service.name.as_str())
            .with("clusterArn", cluster_arn)
            .with("status", status)
            .with("desiredCount", service.desired)
            .with("runningCount", running as i64)
            .with("pendingCount", pending as i64)
            .with("taskDefinition", service.task_definition.clone())
            .with(
                "loadBalancers",
                Value::List(service.load_balancers.as_list().to_vec()),
            )
            .with(
                "deploymentConfiguration",
                service.deployment_configuration.clone(),
            )
            .with(
                "deploymentController",
                structure! { "type": service.controller.name() },
            )
            .with("deployments", deployments)
            .with("taskSets", task_sets)
            .with("events", events)
            .with("createdAt", Value::Time(service.created_at))
            .with("createdBy", service.created_by.as_str())
            .with("roleArn", self.service_role())
            .with(
                "tags",
                wants_tags.then(|| tags_value(&tags, "key", "value")),
            )
    }

    fn service_role(&self) -> String {
        format!(
            "arn:aws:iam::{}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
            self.account
        )
    }

    // ---- task sets

    pub(crate) fn task_set_arn(&self, service: &Service, unit: &Unit) -> String {
        self.arn(
            "ecs",
            &format!("task-set/{}/{}/{}", service.cluster, service.name, unit.id),
        )
    }

    fn task_set_value(&self, service: &Service, unit: &Unit) -> Value {
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

    fn create_external_task_set(&mut self, input: &Value) -> Result<Value, AwsError> {
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

    fn update_task_set(&mut self, input: &Value) -> Result<Value, AwsError> {
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

    fn update_primary_task_set(&mut self, input: &Value) -> Result<Value, AwsError> {
        let key = self.external_service(input)?;
        let id = self.named_task_set(&key, input, "primaryTaskSet")?;
        self.make_primary(&key, &id);
        Ok(self.one_task_set(&key, &id))
    }

    fn delete_external_task_set(&mut self, input: &Value) -> Result<Value, AwsError> {
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

    fn describe_task_sets(&self, input: &Value) -> Result<Value, AwsError> {
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

    // ---- tasks

    fn list_tasks(&self, input: &Value) -> Result<Value, AwsError> {
        let cluster = self.cluster_name(input)?;
        let service = match text(input, "serviceName") {
            None => None,
            Some(given) => Some(self.service_key(&cluster, given).ok_or_else(|| {
                AwsError::caller("ServiceNotFoundException", "Service not found.")
            })?),
        };
        let stopped = match text(input, "desiredStatus") {
            None | Some("RUNNING") => false,
            Some("STOPPED") => true,
            Some("PENDING") => return Ok(structure! { "taskArns": Vec::<Value>::new() }),
            Some(other) => return Err(bad(format!("Invalid desiredStatus: {other}"))),
        };
        let family = text(input, "family");
        let started_by = text(input, "startedBy");
        let arns: Vec<String> = self
            .ecs
            .services
            .iter()
            .filter(|(key, _)| key.0 == cluster && service.as_ref().is_none_or(|one| one == *key))
            .flat_map(|(_, service)| service.tasks.iter())
            .filter(|task| task.stopping() == stopped)
            .filter(|task| started_by.is_none_or(|wanted| task.unit == wanted))
            .filter(|task| {
                let name = task.task_definition.rsplit('/').next().unwrap_or_default();
                family.is_none_or(|wanted| {
                    name.rsplit_once(':').is_some_and(|(own, _)| own == wanted)
                })
            })
            .map(|task| task.arn.clone())
            .collect();
        let (page, next) = self.ecs_page(arns, input, 100, String::as_str)?;
        let page = page.into_iter().map(Value::Text).collect::<Vec<_>>();
        Ok(structure! { "taskArns": page, "nextToken": next })
    }

    fn describe_tasks(&self, input: &Value) -> Result<Value, AwsError> {
        let cluster = self.cluster_name(input)?;
        let asked = texts(input, "tasks");
        if asked.is_empty() {
            return Err(bad("Tasks cannot be empty."));
        }
        if asked.len() > 100 {
            return Err(bad("Too many tasks: at most 100 can be described at once."));
        }
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for given in asked {
            let id = given.rsplit('/').next().unwrap_or(&given);
            let found = self
                .ecs
                .services
                .values()
                .filter(|service| service.cluster == cluster)
                .flat_map(|service| service.tasks.iter().map(move |task| (service, task)))
                .find(|(_, task)| task.arn.rsplit('/').next() == Some(id));
            match found {
                Some((service, task)) => tasks.push(self.task_value(service, task)),
                None => {
                    let arn = self.arn("ecs", &format!("task/{cluster}/{id}"));
                    failures.push(structure! { "arn": arn, "reason": "MISSING" });
                }
            }
        }
        Ok(structure! { "tasks": tasks, "failures": failures })
    }

    fn task_value(&self, service: &Service, task: &Task) -> Value {
        let definition = self.ecs.task_definition(&task.task_definition);
        let containers = definition.map_or(&[][..], |definition| definition.containers());
        let id = task.arn.rsplit('/').next().unwrap_or_default();
        let container_state = match task.state {
            TaskState::Running | TaskState::Deactivating | TaskState::Stopping => "RUNNING",
            TaskState::Stopped => "STOPPED",
            _ => "PENDING",
        };
        let containers = containers
            .iter()
            .enumerate()
            .map(|(index, container)| {
                let image = container.get("image").as_str().unwrap_or_default();
                structure! {
                    "containerArn": self.arn("ecs", &format!("container/{}/{id}/{index}", service.cluster)),
                    "taskArn": task.arn.as_str(),
                    "name": container.get("name").clone(),
                    "image": image,
                    "imageDigest": task.started_at.map(|_| image_digest(image)),
                    "lastStatus": container_state,
                    "exitCode": task.exit_code,
                    "networkBindings": Vec::<Value>::new(),
                    "networkInterfaces": vec![structure! {
                        "attachmentId": format!("{}-eni", &id[..8.min(id.len())]),
                        "privateIpv4Address": task.address.as_str(),
                    }],
                    "healthStatus": "UNKNOWN",
                    "cpu": container.get("cpu").as_i64().map(|cpu| cpu.to_string()),
                }
            })
            .collect::<Vec<_>>();
        let unit_given = service
            .unit(&task.unit)
            .map_or(&service.given, |unit| &unit.given);
        let member = |key: &str| definition.map_or(Value::Null, |d| d.value.get(key).clone());
        let (stop_code, stopped_reason) = match &task.stop {
            Some((code, reason)) => (Some(*code), Some(reason.as_str())),
            None => (None, None),
        };
        structure! {
            "taskArn": task.arn.as_str(),
            "clusterArn": self.arn("ecs", &format!("cluster/{}", service.cluster)),
            "taskDefinitionArn": task.task_definition.as_str(),
            "containers": containers,
            "lastStatus": task.state.name(),
            "desiredStatus": if task.stopping() { "STOPPED" } else { "RUNNING" },
            "startedBy": task.unit.as_str(),
            "group": format!("service:{}", service.name),
            "availabilityZone": task.zone.as_str(),
            "connectivity": task.started_at.map(|_| "CONNECTED"),
            "createdAt": Value::Time(task.created_at),
            "startedAt": task.started_at.map(Value::Time),
            "stoppingAt": task.stopping_at.map(Value::Time),
            "stoppedAt": task.stopped_at.map(Value::Time),
            "stopCode": stop_code,
            "stoppedReason": stopped_reason,
            "launchType": unit_given.get("launchType").clone(),
            "platformVersion": unit_given.get("platformVersion").clone(),
            "cpu": member("cpu"),
            "memory": member("memory"),
            "healthStatus": "UNKNOWN",
            "overrides": structure! { "containerOverrides": Vec::<Value>::new() },
            "version": 1_i64,
            "attachments": vec![structure! {
                "id": format!("{}-eni", &id[..8.min(id.len())]),
                "type": "ElasticNetworkInterface",
                "status": if task.state == TaskState::Stopped { "DELETED" } else { "ATTACHED" },
                "details": vec![structure! {
                    "name": "privateIPv4Address",
                    "value": task.address.as_str(),
                }],
            }],
        }
    }

    // ---- tags

    fn ecs_tags(&mut self, operation: &str, input: &Value) -> Result<Value, AwsError> {
        let arn =
            text(input, "resourceArn").ok_or_else(|| bad("resourceArn must be specified."))?;
        let known = self.ecs.tags.contains_key(arn);
        let own = if arn.contains(":task-definition/") {
            self.task_definition_tags(arn)
        } else if known {
            self.ecs.tags.get_mut(arn)
        } else {
            None
        };
        let Some(own) = own else {
            return Err(if operation == "ListTagsForResource" {
                bad("The specified resource ARN is not valid or does not exist.")
            } else {
                AwsError::caller(
                    "ResourceNotFoundException",
                    "The specified resource does not exist.",
                )
            });
        };
        match operation {
            "TagResource" => {
                own.extend(tags(input.get("tags")));
                if own.len() > 50 {
                    return Err(bad("The maximum number of tags per resource is 50."));
                }
            }
            "UntagResource" => {
                for key in texts(input, "tagKeys") {
                    own.remove(&key);
                }
            }
            _ => return Ok(structure! { "tags": tags_value(own, "key", "value") }),
        }
        Ok(Value::map())
    }

    /// How many targets of a target group are healthy.
    pub(crate) fn healthy_targets(&self, target_group: &str) -> usize {
        self.elb.target_groups.get(target_group).map_or(0, |group| {
            group
                .targets
                .iter()
                .filter(|target| target.health == Health::Healthy)
                .count()
        })
    }
}

/// The digest that a registry would have given the image: from the reference itself, or made of its text.
pub(crate) fn image_digest(image: &str) -> String {
    match image.split_once('@') {
        Some((_, digest)) => digest.to_string(),
        None => format!("sha256:{}", hex::encode(Sha256::digest(image.as_bytes()))),
    }
}

fn includes(input: &Value, wanted: &str) -> bool {
    input
        .get("include")
        .as_list()
        .iter()
        .any(|item| item.as_str() == Some(wanted))
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

/// Members that need parts of ECS which are not simulated.
fn check_unsupported(input: &Value) -> Result<(), AwsError> {
    for member in ["serviceConnectConfiguration", "vpcLatticeConfigurations"] {
        let value = input.get(member);
        let off = value.get("enabled").as_bool() == Some(false)
            || matches!(value, Value::List(list) if list.is_empty());
        if !value.is_null() && !off {
            return Err(bad(format!("{member} is not simulated.")));
        }
    }
    Ok(())
}

fn deployment_configuration(
    controller: Controller,
    current: &Value,
    given: &Value,
) -> Result<Value, AwsError> {
    let mut value = current.clone();
    for (key, default, most) in [
        ("maximumPercent", 200, 1000),
        ("minimumHealthyPercent", 100, 100),
    ] {
        let before = current.get(key).as_i64().unwrap_or(default);
        let number = number_within(given, key, 0..=most, before, "InvalidParameterException")?;
        put(&mut value, key, number);
    }
    if value.get("maximumPercent").as_i64() <= value.get("minimumHealthyPercent").as_i64() {
        return Err(bad(
            "maximumPercent must be greater than minimumHealthyPercent.",
        ));
    }
    let strategy = text(given, "strategy").unwrap_or("ROLLING");
    if strategy != "ROLLING" {
        return Err(bad(format!(
            "The deployment strategy {strategy} of the ECS deployment controller is not simulated."
        )));
    }
    let unsupported = [
        "lifecycleHooks",
        "canaryConfiguration",
        "linearConfiguration",
        "earlySuccessCriteria",
        "monitoring",
    ];
    for key in unsupported {
        let member = given.get(key);
        if !member.is_null() && !matches!(member, Value::List(list) if list.is_empty()) {
            return Err(bad(format!(
                "deploymentConfiguration.{key} is not simulated."
            )));
        }
    }
    if given.get("alarms").get("enable").as_bool() == Some(true) {
        return Err(bad(
            "Deployment alarms of the ECS deployment controller are not simulated.",
        ));
    }
    if given
        .get("bakeTimeInMinutes")
        .as_i64()
        .is_some_and(|minutes| minutes != 0)
    {
        return Err(bad("A bake time of the rolling strategy is not simulated."));
    }
    if controller == Controller::Ecs {
        let breaker = given.get("deploymentCircuitBreaker");
        if breaker.get("enable").as_bool() == Some(true) {
            let settings = ["thresholdConfiguration", "resetOnHealthyTask"];
            if settings.iter().any(|key| !breaker.get(key).is_null()) {
                return Err(bad(
                    "Settings of the circuit breaker other than its default are not simulated.",
                ));
            }
        }
        if !breaker.is_null() {
            put(&mut value, "deploymentCircuitBreaker", breaker.clone());
        }
        crate::world::read::default(
            &mut value,
            "deploymentCircuitBreaker",
            structure! { "enable": false, "rollback": false },
        );
        put(&mut value, "strategy", "ROLLING");
        put(&mut value, "bakeTimeInMinutes", 0_i64);
    }
    Ok(value)
}

fn deployment_value(service: &Service, unit: &Unit) -> Value {
    let (running, pending) = service.counts(&unit.id);
    let (state, reason) = match &unit.rollout {
        Some((state, reason)) => (Some(*state), Some(reason.as_str())),
        None => (None, None),
    };
    structure! {
        "id": unit.id.as_str(),
        "status": unit.status.name(),
        "taskDefinition": unit.task_definition.as_str(),
        "desiredCount": unit.rolling_wanted,
        "pendingCount": pending,
        "runningCount": running,
        "failedTasks": unit.failed_tasks,
        "createdAt": Value::Time(unit.created_at),
        "updatedAt": Value::Time(unit.updated_at),
        "launchType": unit.given.get("launchType").clone(),
        "platformVersion": unit.given.get("platformVersion").clone(),
        "platformFamily": unit.given.get("platformFamily").clone(),
        "networkConfiguration": unit.given.get("networkConfiguration").clone(),
        "rolloutState": state,
        "rolloutStateReason": reason,
    }
}
