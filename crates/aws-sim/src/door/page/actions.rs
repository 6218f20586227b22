//! What the buttons of the control page do. Whatever AWS has an operation for is a call like anybody's
//! and stands in the journal with its caller; the rest goes the way that `/_sim` goes.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::door::Shared;
use crate::door::faults::Fault;
use crate::door::page::view::counted;
use crate::door::simulation::Simulation;
use crate::value::Value;
use crate::world::{Caller, structure};

/// The fields of a form or a query. An empty one counts as absent.
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`; of two fields of one name, the last counts.
    pub(super) fn read(form: &[u8]) -> Fields {
        Fields(
            form_urlencoded::parse(form)
                .map(|(name, value)| (name.into_owned(), value.trim().to_string()))
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn need(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| format!("{name} is missing"))
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        self.get(name)
            .map(|text| {
                text.parse()
                    .map_err(|_| format!("{name} is no number: {text}"))
            })
            .transpose()
    }
}

/// Somebody at the control page, calling in one account and region.
struct Person<'a> {
    simulation: &'a mut Simulation,
    caller: Caller,
}

impl Person<'_> {
    fn call(&mut self, service: &str, operation: &str, input: &Value) -> Result<Value, String> {
        self.simulation
            .call_as(&self.caller, service, operation, input)
            .map_err(|error| format!("{}: {}", error.code, error.message))
    }

    /// Every item of a list operation, page after page.
    fn all(&mut self, operation: &str, input: &Value, member: &str) -> Result<Vec<String>, String> {
        let (mut found, mut input) = (Vec::new(), input.clone());
        loop {
            let answer = self.call("codedeploy", operation, &input)?;
            let items = answer.get(member).as_list().iter();
            found.extend(items.filter_map(|item| item.as_str().map(str::to_string)));
            match answer.get("nextToken") {
                Value::Null => return Ok(found),
                token => input = input.with("nextToken", token.clone()),
            }
        }
    }
}

/// Does what a form asks, and says what was done, or what was refused and why.
pub(super) fn perform(shared: &Shared, fields: &Fields) -> Result<String, String> {
    match fields.need("act")? {
        "speed" => {
            let speed = fields.number("speed")?.ok_or("speed is missing")?;
            shared.set_speed(speed)?;
            return Ok(format!("{speed} simulated seconds pass each second."));
        }
        "advance" => {
            let seconds = fields.number("seconds")?.ok_or("seconds is missing")?;
            shared.advance(seconds)?;
            return Ok(format!("Time was pushed forward by {seconds} s."));
        }
        "errors" => {
            let revision = fields.need("task_definition")?;
            let rate = fields.number::<f64>("error_rate")?;
            shared.disturb(revision, rate)?;
            let name = short(revision);
            return Ok(match rate {
                Some(rate) => format!("{name} now fails {} % of its requests.", rate * 100.0),
                None => format!("{name} behaves as it was made to again."),
            });
        }
        _ => {}
    }
    let mut simulation = shared.lock();
    simulation.catch_up(Instant::now());
    let (session, role) = match fields.need("act")? {
        "apply" => ("terraform", "platform-terraform"),
        _ => ("person", "control-page"),
    };
    let account = fields.need("account")?.to_string();
    let principal = format!("arn:aws:sts::{account}:assumed-role/{role}/{session}");
    let region = fields.need("region")?.to_string();
    let known = simulation.world.places();
    if !known.contains(&(account.clone(), region.clone())) {
        return Err(format!("nobody has used account {account} in {region}"));
    }
    let mut person = Person {
        simulation: &mut simulation,
        caller: Caller {
            account,
            region,
            principal,
        },
    };
    match fields.need("act")? {
        "kill" => kill(&mut person, fields),
        "alarm" => alarm(&mut person, fields),
        "hook" => hook(&mut person, fields),
        "reroute" => {
            let id = fields.need("deployment")?;
            let input = structure! { "deploymentId": id, "deploymentWaitType": "READY_WAIT" };
            person.call("codedeploy", "ContinueDeployment", &input)?;
            Ok(format!("{id} reroutes its traffic."))
        }
        "stop" => {
            let id = fields.need("deployment")?;
            let input = structure! {
                "deploymentId": id,
                "autoRollbackEnabled": fields.get("rollback").is_some(),
            };
            person.call("codedeploy", "StopDeployment", &input)?;
            Ok(format!("{id} was told to stop."))
        }
        "pause" => {
            let (arn, action) = (fields.need("arn")?, fields.need("action")?);
            let input = structure! {
                "serviceDeploymentArn": arn,
                "hookId": fields.need("hook")?,
                "action": action,
            };
            person.call("ecs", "ContinueServiceDeployment", &input)?;
            Ok(format!("{} was told to {action}.", short(arn)))
        }
        "stop-service-deployment" => {
            let arn = fields.need("arn")?;
            let input = structure! { "serviceDeploymentArn": arn, "stopType": "ROLLBACK" };
            person.call("ecs", "StopServiceDeployment", &input)?;
            Ok(format!("{} was told to stop and roll back.", short(arn)))
        }
        "apply" => apply(&mut person, fields),
        "fault" => fault(&mut simulation, fields),
        "unfault" => {
            let removed = simulation.faults.remove(fields.number("id")?);
            Ok(format!(
                "{} removed.",
                counted(i64::try_from(removed).unwrap_or(i64::MAX), "fault")
            ))
        }
        "behaviour" => {
            let (function, behaves) = (fields.need("function")?, fields.need("behaves")?);
            if simulation.world.set_hook_behaviour(function, behaves) {
                Ok(format!(
                    "Hooks of {function} that begin from now on: {behaves}."
                ))
            } else {
                Err(format!("there is no behaviour {behaves}"))
            }
        }
        other => Err(format!("there is no action {other}")),
    }
}

/// `family:revision` of a task definition's ARN.
fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Stops one running task of a service, or all of them.
fn kill(person: &mut Person<'_>, fields: &Fields) -> Result<String, String> {
    let (cluster, service) = (fields.need("cluster")?, fields.need("service")?);
    let input = structure! { "cluster": cluster, "serviceName": service };
    let listed = person.call("ecs", "ListTasks", &input)?;
    let mut tasks: Vec<&str> = listed
        .get("taskArns")
        .as_list()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if fields.get("all").is_none() {
        tasks.truncate(1);
    }
    for task in &tasks {
        let input = structure! { "cluster": cluster, "task": *task, "reason": "Killed at the control page" };
        person.call("ecs", "StopTask", &input)?;
    }
    let stopped = counted(i64::try_from(tasks.len()).unwrap_or(i64::MAX), "task");
    Ok(format!("Stopped {stopped} of {service}."))
}

fn alarm(person: &mut Person<'_>, fields: &Fields) -> Result<String, String> {
    let (name, state) = (fields.need("alarm")?, fields.need("state")?);
    let input = structure! {
        "AlarmName": name,
        "StateValue": state,
        "StateReason": "Set at the control page",
    };
    person.call("monitoring", "SetAlarmState", &input)?;
    Ok(format!(
        "{name} is {state} until its next evaluation says otherwise."
    ))
}

fn hook(person: &mut Person<'_>, fields: &Fields) -> Result<String, String> {
    let (id, status) = (fields.need("deployment")?, fields.need("status")?);
    let input = structure! {
        "deploymentId": id,
        "lifecycleEventHookExecutionId": fields.need("execution")?,
        "status": status,
    };
    person.call("codedeploy", "PutLifecycleEventHookExecutionStatus", &input)?;
    Ok(format!("The hook of {id} was reported as {status}."))
}

/// Somebody else's tool moves a service to a revision: an existing one, or a new one with another image tag.
fn apply(person: &mut Person<'_>, fields: &Fields) -> Result<String, String> {
    let (cluster, name) = (fields.need("cluster")?, fields.need("service")?);
    let asked = structure! { "cluster": cluster, "services": vec![Value::from(name)] };
    let found = person.call("ecs", "DescribeServices", &asked)?;
    let service = found
        .get("services")
        .as_list()
        .first()
        .cloned()
        .ok_or("there is no such service")?;
    let revision = match (fields.get("revision"), fields.get("tag")) {
        (Some(number), None) => {
            let family = fields.need("family")?;
            let asked = structure! { "taskDefinition": format!("{family}:{number}") };
            person.call("ecs", "DescribeTaskDefinition", &asked)?
        }
        (None, Some(tag)) => {
            let current = structure! { "taskDefinition": fields.need("current")? };
            let current = person.call("ecs", "DescribeTaskDefinition", &current)?;
            let next = with_tag(current.get("taskDefinition"), tag);
            person.call("ecs", "RegisterTaskDefinition", &next)?
        }
        _ => return Err("give a revision's number or a new image tag".to_string()),
    };
    let definition = revision.get("taskDefinition").clone();
    let arn = definition
        .get("taskDefinitionArn")
        .as_str()
        .ok_or("the task definition has no ARN")?;
    match service.get("deploymentController").get("type").as_str() {
        Some("CODE_DEPLOY") => {
            let content = app_spec(&definition, &service, arn)?;
            let (application, group) = owner(person, cluster, name)?;
            let input = structure! {
                "applicationName": application,
                "deploymentGroupName": group,
                "description": "terraform apply",
                "revision": structure! {
                    "revisionType": "AppSpecContent",
                    "appSpecContent": structure! { "content": content },
                },
            };
            let made = person.call("codedeploy", "CreateDeployment", &input)?;
            let id = made.get("deploymentId").as_str().unwrap_or_default();
            Ok(format!(
                "Terraform takes {name} to {} with {id}.",
                short(arn)
            ))
        }
        Some("EXTERNAL") => Err(format!(
            "{name} is deployed by task sets, which Terraform does not make"
        )),
        _ => {
            let input = structure! { "cluster": cluster, "service": name, "taskDefinition": arn };
            person.call("ecs", "UpdateService", &input)?;
            Ok(format!("Terraform takes {name} to {}.", short(arn)))
        }
    }
}

/// A task definition as it would be registered again, with this tag on its first container's image.
fn with_tag(definition: &Value, tag: &str) -> Value {
    const ANSWERED_ONLY: [&str; 9] = [
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
        "deregisteredAt",
        "deleteRequestedAt",
    ];
    let mut next = definition.clone();
    let Value::Map(members) = &mut next else {
        return next;
    };
    members.retain(|name, _| !ANSWERED_ONLY.contains(&name.as_str()));
    if let Some(Value::List(containers)) = members.get_mut("containerDefinitions")
        && let Some(Value::Map(container)) = containers.first_mut()
        && let Some(image) = container.get("image").and_then(Value::as_str)
    {
        let bare = image.split('@').next().unwrap_or(image);
        let bare = match bare.rsplit_once(':') {
            // A colon before the last slash is a registry's port.
            Some((name, tag)) if !tag.contains('/') => name,
            _ => bare,
        };
        let image = format!("{bare}:{tag}");
        container.insert("image".to_string(), Value::Text(image));
    }
    next
}

/// The AppSpec of a deployment, for the container and the port that the service's load balancer names.
fn app_spec(definition: &Value, service: &Value, arn: &str) -> Result<String, String> {
    let sets = service.get("taskSets").as_list();
    let balancers = sets
        .iter()
        .map(|set| set.get("loadBalancers"))
        .chain([service.get("loadBalancers")])
        .find_map(|list| list.as_list().first());
    let balancer = balancers.ok_or("the service has no load balancer")?;
    let containers = definition.get("containerDefinitions").as_list();
    let container = balancer
        .get("containerName")
        .as_str()
        .or_else(|| containers.first()?.get("name").as_str())
        .ok_or("the revision has no container")?;
    let port = balancer.get("containerPort").as_i64().unwrap_or(80);
    let spec = serde_json::json!({
        "version": 0.0,
        "Resources": [{ "TargetService": {
            "Type": "AWS::ECS::Service",
            "Properties": {
                "TaskDefinition": arn,
                "LoadBalancerInfo": { "ContainerName": container, "ContainerPort": port },
            },
        }}],
    });
    Ok(spec.to_string())
}

/// The application and group that deploy a service.
fn owner(
    person: &mut Person<'_>,
    cluster: &str,
    service: &str,
) -> Result<(String, String), String> {
    for application in person.all("ListApplications", &Value::map(), "applications")? {
        let named = structure! { "applicationName": application.as_str() };
        for group in person.all("ListDeploymentGroups", &named, "deploymentGroups")? {
            let asked = named.clone().with("deploymentGroupName", group.as_str());
            let found = person.call("codedeploy", "GetDeploymentGroup", &asked)?;
            let services = found.get("deploymentGroupInfo").get("ecsServices");
            let owned = services.as_list().iter().any(|one| {
                one.get("clusterName").as_str() == Some(cluster)
                    && one.get("serviceName").as_str() == Some(service)
            });
            if owned {
                return Ok((application, group));
            }
        }
    }
    Err(format!("no deployment group deploys {service}"))
}

fn fault(simulation: &mut Simulation, fields: &Fields) -> Result<String, String> {
    let kind = fields.need("fault")?;
    let fault: Fault = serde_json::from_value(serde_json::json!({
        "fault": kind,
        "service": fields.get("service"),
        "operation": fields.get("operation"),
        "every": fields.number::<u64>("every")?,
        "times": fields.number::<u64>("times")?,
    }))
    .map_err(|error| error.to_string())?;
    let active = simulation.faults.add(fault)?;
    Ok(format!("Fault {} ({kind}) is in force.", active.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_tag_replaces_tag_and_digest_but_no_port() {
        for (image, expected) in [
            ("web", "web:v2"),
            ("web:v1", "web:v2"),
            ("registry:5000/web", "registry:5000/web:v2"),
            ("registry:5000/web:v1", "registry:5000/web:v2"),
            ("registry/web:v1@sha256:00", "registry/web:v2"),
            ("registry/web@sha256:00", "registry/web:v2"),
        ] {
            let container = structure! { "name": "web", "image": image };
            let definition = structure! {
                "family": "web",
                "revision": 3_i64,
                "status": "ACTIVE",
                "containerDefinitions": vec![container],
            };
            let next = with_tag(&definition, "v2");
            let expected = structure! { "name": "web", "image": expected };
            let expected = structure! { "family": "web", "containerDefinitions": vec![expected] };
            assert_eq!(next, expected, "{image}");
        }
    }
}
