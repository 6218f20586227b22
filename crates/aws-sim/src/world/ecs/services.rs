//! The ECS operations on services.
//!
//! * The text for a task definition of a CODE_DEPLOY service is \[O\], the others are \[K\].
//! * What makes UpdateService begin a deployment, and what does not: \[M\] UpdateServiceRequest.
//! * Our choice: a member that is given as it was begins none; `currentServiceDeployment` is the latest, ended
//!   or not; what needs parts of ECS that are not simulated (daemons, VPC Lattice, gateways) is refused.

use super::operations::{bad, includes};
use super::rolling::deployment_value;
use super::service_deployments::ServiceDeployment;
use super::task_definitions::client;
use super::{
    Controller, Service, ServiceStatus, TaskState, UnitStatus, deployment_configuration, migration,
};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::Caller;
use crate::world::read::{number_within, put, tags, tags_value, text, texts};
use crate::world::region::Region;

/// Members of CreateService that are kept and answered as given.
const KEPT: [&str; 16] = [
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
    "serviceConnectConfiguration",
];

const CODE_DEPLOY_ONLY: &str = "on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment.";

impl Region {
    pub(super) fn service_key(&self, cluster: &str, given: &str) -> Option<(String, String)> {
        let name = given.rsplit('/').next().unwrap_or(given);
        let key = (cluster.to_string(), name.to_string());
        let service = self.ecs.services.get(&key)?;
        (!given.starts_with("arn:") || given == service.arn).then_some(key)
    }

    /// The key of the service of a request, if it is there and not INACTIVE.
    pub(super) fn active_service(&self, input: &Value) -> Result<(String, String), AwsError> {
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

    pub(super) fn create_service(
        &mut self,
        caller: &Caller,
        input: &Value,
    ) -> Result<Value, AwsError> {
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
        let deployment_configuration = deployment_configuration::merge(
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
        self.check_advanced(controller, &deployment_configuration, &load_balancers)?;
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
            revisions: Vec::new(),
            service_deployments: Vec::new(),
        };
        match (controller, task_definition) {
            (Controller::Ecs, Some(target)) => self.begin_deployment(&mut service, &target),
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
    pub(super) fn check_load_balancers(
        &self,
        task_definition: &str,
        load_balancers: &Value,
    ) -> Result<(), AwsError> {
        let Some(definition) = self.ecs.task_definition(task_definition) else {
            return Err(client("TaskDefinition not found."));
        };
        let awsvpc = definition.value.get("networkMode").as_str() == Some("awsvpc");
        for entry in load_balancers.as_list() {
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

    pub(super) fn check_network(
        &self,
        task_definition: &str,
        network: &Value,
    ) -> Result<(), AwsError> {
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

    pub(super) fn update_service(&mut self, input: &Value) -> Result<Value, AwsError> {
        let key = self.active_service(input)?;
        let Some(service) = self.ecs.services.get(&key) else {
            return Err(AwsError::caller(
                "ServiceNotFoundException",
                "Service not found.",
            ));
        };
        let controller = migration::next_controller(service, input)?;
        let migrates = controller != service.controller;
        check_unsupported(input)?;
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
            ("serviceRegistries", "service registries"),
            (
                "serviceConnectConfiguration",
                "Service Connect configuration",
            ),
            ("volumeConfigurations", "volume configurations"),
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
        let configuration = deployment_configuration::merge(
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
            self.check_advanced(controller, &configuration, &balancers)?;
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
            || changes
            || migrates;
        if deploys && controller == Controller::Ecs {
            Region::check_room_for_deployment(service)?;
        }
        if let Some(mut service) = self.ecs.services.remove(&key) {
            if migrates {
                self.take_over(&mut service);
            }
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
                self.begin_deployment(&mut service, &next);
            }
            self.ecs.services.insert(key.clone(), service);
        }
        self.settle();
        Ok(structure! { "service": self.service_value(&key, false) })
    }

    pub(super) fn delete_service(&mut self, input: &Value) -> Result<Value, AwsError> {
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

    pub(super) fn describe_services(&self, input: &Value) -> Result<Value, AwsError> {
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

    pub(super) fn list_services(&self, input: &Value) -> Result<Value, AwsError> {
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

    fn service_value(&self, key: &(String, String), wants_tags: bool) -> Value {
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
        let current: Vec<Value> = service
            .units
            .iter()
            .filter_map(|unit| {
                let (running, pending) = service.counts(&unit.id);
                Some(structure! {
                    "arn": unit.revision.as_deref()?,
                    "requestedTaskCount": service.wanted(unit),
                    "runningTaskCount": running,
                    "pendingTaskCount": pending,
                })
            })
            .collect();
        let mut value = service.given.clone();
        crate::world::read::default(&mut value, "healthCheckGracePeriodSeconds", 0_i64);
        // A deployment's own member, not a service's.
        for member in ["serviceConnectConfiguration", "volumeConfigurations"] {
            if let Value::Map(map) = &mut value {
                map.remove(member);
            }
        }
        value
            .with(
                "currentServiceDeployment",
                service
                    .service_deployments
                    .last()
                    .map(ServiceDeployment::arn),
            )
            .with(
                "currentServiceRevisions",
                (service.controller == Controller::Ecs).then_some(current),
            )
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
}

/// Members that need parts of ECS which are not simulated.
fn check_unsupported(input: &Value) -> Result<(), AwsError> {
    for member in [
        "vpcLatticeConfigurations",
        "gatewayConnectors",
        "monitoring",
    ] {
        let value = input.get(member);
        let off = matches!(value, Value::List(list) if list.is_empty());
        if !value.is_null() && !off {
            return Err(bad(format!("{member} is not simulated.")));
        }
    }
    Ok(())
}
