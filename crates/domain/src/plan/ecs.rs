//! The plan for a service of the deployment controller ECS (aws.md §2.2 to §2.4): ContinueServiceDeployment at a gate,
//! StopServiceDeployment while a deployment is under way, UpdateService with a recorded revision.

use super::*;
use crate::ecs::EcsConfiguration;
use crate::ecs::EcsService;

/// The plan; `undoes` is the deployment in progress when going back is what undoes it.
pub(super) fn plan(
    facts: &PlanFacts,
    ecs: &EcsService,
    target: &Revision,
    undoes: Option<&ActiveDeployment>,
) -> Result<Plan, PlanRefused> {
    let serving = facts.service.serving_revision.as_ref() == Some(&facts.target_arn);
    let controller = &facts.service.controller;
    let left_elsewhere = controller.is_left_elsewhere(&facts.target_arn);
    Ok(match undoes {
        Some(active) => match &active.open_gate {
            Some((gate, hook)) => reject(facts, ecs, active, gate, hook),
            None => stop(facts, ecs, active),
        },
        None if serving && !left_elsewhere && facts.active.is_none() => {
            let short = facts.target_arn.short();
            return Err(PlanRefused::AlreadyServing(short.to_string()));
        }
        None => update(facts, ecs, target),
    })
}

fn reject(
    facts: &PlanFacts,
    ecs: &EcsService,
    active: &ActiveDeployment,
    gate: &GateId,
    hook: &str,
) -> Plan {
    let mut plan = base(facts, OperationKind::RejectAtGate);
    plan.deployment = Some(active.id.clone());
    plan.gate = Some(gate.clone());
    plan.preflight = vec![record_is_complete(facts, ecs, false), old_tasks(facts, ecs)];
    plan.calls = vec![answer_pause(
        &facts.service.region,
        &active.aws_id,
        hook,
        Verdict::Reject,
    )];
    plan.consequences = pause_rejection_consequences(
        Some(&ecs.configuration),
        facts.target_arn.short(),
        what_comes(active),
    );
    plan
}

/// What a deployment moves the service to.
fn what_comes(active: &ActiveDeployment) -> &str {
    active
        .target
        .as_ref()
        .map_or("the new revision", |arn| arn.short())
}

fn stop(facts: &PlanFacts, ecs: &EcsService, active: &ActiveDeployment) -> Plan {
    let mut plan = base(facts, OperationKind::StopInFlight);
    plan.deployment = Some(active.id.clone());
    plan.preflight = vec![
        can_be_stopped(active),
        record_is_complete(facts, ecs, false),
        old_tasks(facts, ecs),
    ];
    plan.calls = vec![PlannedCall {
        service: "ecs".to_string(),
        operation: "StopServiceDeployment".to_string(),
        parameters: json!({ "serviceDeploymentArn": active.aws_id, "stopType": "ROLLBACK" }),
        cli: aws_command(
            "ecs",
            &facts.service.region,
            "stop-service-deployment",
            &[
                ("service-deployment-arn", active.aws_id.clone()),
                ("stop-type", "ROLLBACK".to_string()),
            ],
        ),
    }];
    plan.consequences = way_back(
        ecs,
        facts.service.desired_count,
        facts.target_arn.short(),
        what_comes(active),
    );
    plan
}

/// PENDING and IN_PROGRESS can be stopped. (aws.md §2.3)
fn can_be_stopped(active: &ActiveDeployment) -> PreflightCheck {
    let (result, detail) = match active.ecs_status {
        Some(EcsStatus::Pending | EcsStatus::InProgress) if active.is_cleaning_up => (
            PreflightResult::Warning,
            "ECS removes the old tasks already (CLEAN_UP). A stop may come too late: then the deployment ends SUCCESSFUL, and only a redeployment goes back.",
        ),
        Some(EcsStatus::Pending | EcsStatus::InProgress) => (
            PreflightResult::Ok,
            "ECS stops a deployment that is PENDING or IN_PROGRESS.",
        ),
        Some(EcsStatus::RollbackRequested | EcsStatus::RollbackInProgress) => (
            PreflightResult::Blocking,
            "ECS is putting it back already, and refuses another stop.",
        ),
        Some(EcsStatus::StopRequested) => (
            PreflightResult::Blocking,
            "ECS is stopping it already, because a newer deployment takes its place.",
        ),
        Some(
            EcsStatus::Stopped
            | EcsStatus::Successful
            | EcsStatus::RollbackSuccessful
            | EcsStatus::RollbackFailed,
        ) => (
            PreflightResult::Blocking,
            "It has ended, and ECS refuses to stop it.",
        ),
        Some(EcsStatus::Unknown) | None => (
            PreflightResult::Unchecked,
            "Its status is not known; ECS refuses to stop what has ended or is being put back.",
        ),
    };
    check("Can be stopped", result, detail.to_string())
}

/// What stopping a deployment means: ECS goes back within the same deployment.
fn way_back(ecs: &EcsService, desired_count: i64, previous: &str, new: &str) -> Vec<String> {
    let configuration = &ecs.configuration;
    let mut words = vec![format!(
        "ECS stops the deployment and puts {previous} back, also where no rollback is configured. No other deployment begins: this one ends as ROLLBACK_SUCCESSFUL."
    )];
    if configuration.strategy == EcsStrategy::Rolling {
        words.push(format!(
            "Tasks of {previous} that were removed start again, and those of {new} are removed: {}.",
            band(configuration, desired_count)
        ));
    } else {
        words.push(format!(
            "All production traffic that {new} has goes back to {previous}, and the tasks of {new} are removed."
        ));
        if configuration.lambda_hooks > 0 {
            words.push("Lambda hooks of the stages TEST_TRAFFIC_SHIFT and PRODUCTION_TRAFFIC_SHIFT run again on the way back.".to_string());
        }
    }
    words
}

fn old_tasks(facts: &PlanFacts, ecs: &EcsService) -> PreflightCheck {
    let short = facts.target_arn.short();
    let detail = match ecs.configuration.strategy {
        EcsStrategy::Rolling => {
            format!(
                "A rolling deployment removes them as it goes: what is left of {short} still runs."
            )
        }
        _ => format!("{short} still runs beside the new one, so nothing has to start."),
    };
    check("Old tasks", PreflightResult::Ok, detail)
}

fn update(facts: &PlanFacts, ecs: &EcsService, target: &Revision) -> Plan {
    let service = &facts.service;
    let short = facts.target_arn.short();
    let mut plan = base(facts, OperationKind::Redeploy);
    plan.preflight.push(match target.status {
        RevisionStatus::Active => check(
            "Revision ACTIVE",
            PreflightResult::Ok,
            format!("{short} may be deployed."),
        ),
        RevisionStatus::Inactive | RevisionStatus::DeleteInProgress => check(
            "Revision ACTIVE",
            PreflightResult::Blocking,
            format!("{short} was deregistered. ECS would refuse it: TaskDefinition is inactive. Choose another revision, or register it again from its recorded JSON."),
        ),
        RevisionStatus::Unknown => check(
            "Revision ACTIVE",
            PreflightResult::Unchecked,
            format!("AWS could not be asked about {short}."),
        ),
    });
    plan.preflight.push(record_is_complete(facts, ecs, true));
    plan.preflight.push(other_deployment(facts));
    plan.preflight.push(container_and_port(ecs, target));
    if facts.was_rolled_back {
        plan.preflight.push(check(
            "History",
            PreflightResult::Warning,
            format!("A deployment of {short} was itself rolled back."),
        ));
    }
    plan.preflight.push(alarms(facts, &ecs.configuration));
    let force = forces_new_deployment(facts, ecs);
    let mut parameters = json!({
        "cluster": service.cluster,
        "service": service.name,
        "taskDefinition": facts.target_arn,
    });
    let mut cli = aws_command(
        "ecs",
        &service.region,
        "update-service",
        &[
            ("cluster", service.cluster.clone()),
            ("service", service.name.clone()),
            ("task-definition", facts.target_arn.to_string()),
        ],
    );
    if force {
        parameters["forceNewDeployment"] = Value::Bool(true);
        cli.push_str(" \\\n  --force-new-deployment");
    }
    plan.calls = vec![PlannedCall {
        service: "ecs".to_string(),
        operation: "UpdateService".to_string(),
        parameters,
        cli,
    }];
    plan.consequences = redeploy_words(facts, &ecs.configuration);
    if force {
        plan.consequences.push(format!(
            "The service names {short} already, although it does not serve, so the call forces a new deployment; without that ECS would do nothing."
        ));
    }
    plan.consequences.push(
        "Data that was written, messages that were sent and flags that were set stay as they are."
            .to_string(),
    );
    plan.expected_seconds = median(&facts.past_seconds);
    plan
}

/// Where the service names the task definition already, ECS begins no deployment unless it is forced. (aws.md §2.2)
pub fn forces_new_deployment(facts: &PlanFacts, ecs: &EcsService) -> bool {
    ecs.task_definition.as_ref() == Some(&facts.target_arn)
}

/// Whether every deployment up to the service's PRIMARY one is recorded: a redeployment would replace one that nobody
/// saw, while a stop names the one that it is about.
fn record_is_complete(facts: &PlanFacts, ecs: &EcsService, replaces: bool) -> PreflightCheck {
    let complete = ecs.primary.is_some() && ecs.primary == ecs.recorded_primary;
    let (result, detail) = match facts.sight {
        ServiceSight::Gone => (
            PreflightResult::Blocking,
            "ECS no longer deploys such a service: it was deleted, or another controller took it over.",
        ),
        _ if !complete => (
            match replaces {
                true => PreflightResult::Blocking,
                false => PreflightResult::Warning,
            },
            "AWS shows a deployment of this service that is not recorded yet. Read the plan again in a moment.",
        ),
        ServiceSight::Read => (
            PreflightResult::Ok,
            "Every deployment that AWS shows of the service is recorded.",
        ),
        ServiceSight::Recorded => (
            PreflightResult::Unchecked,
            "AWS could not be asked about the service. It is, before the call is made.",
        ),
    };
    check("Record complete", result, detail.to_string())
}

fn other_deployment(facts: &PlanFacts) -> PreflightCheck {
    let (result, detail) = match &facts.active {
        None => (
            PreflightResult::Ok,
            "Nothing else is under way.".to_string(),
        ),
        Some(active) if active.target.as_ref() == Some(&facts.target_arn) => (
            PreflightResult::Blocking,
            format!(
                "{} moves the service there already. Wait for it, or stop it.",
                active.aws_id
            ),
        ),
        Some(active)
            if matches!(
                active.ecs_status,
                Some(EcsStatus::RollbackRequested | EcsStatus::RollbackInProgress)
            ) =>
        {
            (
                PreflightResult::Warning,
                format!(
                    "{} is being rolled back. ECS stops that and begins the new one in its place; if that one fails too, there may be nothing to roll back to.",
                    active.aws_id
                ),
            )
        }
        Some(active) => (
            PreflightResult::Warning,
            format!(
                "{} is under way. ECS stops it, and it ends as superseded; the new one begins in its place.",
                active.aws_id
            ),
        ),
    };
    check("No other deployment", result, detail)
}

fn container_and_port(ecs: &EcsService, target: &Revision) -> PreflightCheck {
    let short = target.arn.short();
    let ports = &ecs.container_ports;
    let missing = ports
        .iter()
        .find(|reached| !target.has_container_port(&reached.container, reached.port));
    let (result, detail) = match missing {
        Some(reached) => (
            PreflightResult::Blocking,
            format!(
                "The load balancer reaches {} on port {}, which {short} does not have.",
                reached.container, reached.port
            ),
        ),
        None if ports.is_empty() => (
            PreflightResult::Ok,
            "The service has no load balancer.".to_string(),
        ),
        None => {
            let names: Vec<String> = ports
                .iter()
                .map(|reached| format!("{}:{}", reached.container, reached.port))
                .collect();
            (
                PreflightResult::Ok,
                format!("{} is in {short}.", names.join(", ")),
            )
        }
    };
    check("Container and port", result, detail)
}

fn alarms(facts: &PlanFacts, configuration: &EcsConfiguration) -> PreflightCheck {
    let (result, detail) = match &facts.firing_alarms {
        _ if configuration.alarms.is_empty() => (
            PreflightResult::Ok,
            "No alarm watches the service's deployments.".to_string(),
        ),
        Some(firing) if firing.is_empty() => (
            PreflightResult::Ok,
            "No alarm of the service fires.".to_string(),
        ),
        Some(firing) => (
            PreflightResult::Warning,
            format!(
                "{} in ALARM. ECS watches no alarm of a deployment at whose start one fires, so none will stop this one.",
                firing.join(", ")
            ),
        ),
        None => (
            PreflightResult::Unchecked,
            "CloudWatch could not be asked.".to_string(),
        ),
    };
    check("Alarms", result, detail)
}

/// How a new deployment will run.
fn redeploy_words(facts: &PlanFacts, configuration: &EcsConfiguration) -> Vec<String> {
    let short = facts.target_arn.short();
    let desired = facts.service.desired_count;
    let tasks = counted(desired, "new task", "new tasks");
    let mut words = Vec::new();
    let step = configuration.step_permille.filter(|permille| *permille > 0);
    let step_minutes = configuration.step_minutes.unwrap_or(0);
    let bake = configuration.bake_minutes.unwrap_or(0);
    let steps = match (configuration.strategy, step) {
        (EcsStrategy::Linear, Some(permille)) => (1000 + permille - 1) / permille,
        (EcsStrategy::Canary, Some(_)) => 2,
        _ => 1,
    };
    let beside = format!(
        "{tasks} of {short} start beside those that serve; until traffic moves, users stay where they are."
    );
    match configuration.strategy {
        EcsStrategy::Rolling => words.push(format!(
            "{tasks} of {short} take the place of those that run: {}. Old and new answer side by side meanwhile.",
            band(configuration, desired)
        )),
        EcsStrategy::BlueGreen => {
            words.push(beside);
            words.push("All production traffic moves at once.".to_string());
        }
        EcsStrategy::Linear | EcsStrategy::Canary => {
            words.push(beside);
            words.push(format!(
                "Traffic moves in {} ({}).",
                counted(steps, "step", "steps"),
                configuration.words()
            ));
        }
        EcsStrategy::Unknown => words.push(format!(
            "{tasks} of {short} start, by a strategy that this version of Switchback does not know."
        )),
    }
    let least = (steps - 1) * step_minutes + bake;
    if least > 0 {
        let what = match configuration.strategy {
            EcsStrategy::Rolling => "Its bake is waited for again",
            _ => "Its steps and its bake are waited for again",
        };
        words.push(format!(
            "{what}: {least}\u{a0}min at least, beside what tasks need to start."
        ));
    }
    let mut hooks = Vec::new();
    if configuration.pause_hooks > 0 {
        hooks.push(format!(
            "{} for somebody",
            counted(
                configuration.pause_hooks,
                "PAUSE hook waits",
                "PAUSE hooks wait"
            )
        ));
    }
    if configuration.lambda_hooks > 0 {
        hooks.push(format!(
            "{} again",
            counted(
                configuration.lambda_hooks,
                "Lambda hook runs",
                "Lambda hooks run"
            )
        ));
    }
    words.push(match hooks.is_empty() {
        true => "The service has no lifecycle hook.".to_string(),
        false => format!("{}, as in every deployment.", hooks.join(", ")),
    });
    words.push(
        match (
            configuration.circuit_breaker,
            configuration.rolls_back_on_circuit_breaker,
        ) {
            (true, true) => "The circuit breaker is on: if tasks do not start, ECS goes back to the last deployment that completed.",
            (true, false) => "The circuit breaker is on without a rollback: if tasks do not start, ECS stops the deployment and leaves the service as it is then.",
            (false, _) => "The circuit breaker is off: if tasks do not start, ECS goes on trying.",
        }
        .to_string(),
    );
    words
}

/// How many tasks run meanwhile. ECS rounds the least up and the most down. [M: DeploymentConfiguration]
fn band(configuration: &EcsConfiguration, desired: i64) -> String {
    let least = configuration
        .minimum_healthy_percent
        .map(|percent| (desired * percent + 99) / 100);
    let most = configuration
        .maximum_percent
        .map(|percent| desired * percent / 100);
    match (least, most) {
        (Some(least), Some(most)) => {
            format!("at least {least} healthy and at most {most} running at a time")
        }
        (Some(least), None) => format!("at least {least} healthy at a time"),
        (None, Some(most)) => format!("at most {most} running at a time"),
        (None, None) => "AWS does not tell how many at a time".to_string(),
    }
}

fn counted(count: i64, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{count}\u{a0}{noun}")
}

#[cfg(test)]
mod tests;
