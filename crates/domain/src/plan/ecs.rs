//! The plan for a service of the deployment controller ECS: which calls put the revision back, for the AWS CLI.
//! Switchback does not make these calls itself yet, so every such plan is blocked and says so.

use super::*;

/// The plan; `undoes` is the deployment in progress when going back is what undoes it.
pub(super) fn plan(
    facts: &PlanFacts,
    undoes: Option<&ActiveDeployment>,
) -> Result<Plan, PlanRefused> {
    let short = facts.target_arn.short();
    let serving = facts.service.serving_revision.as_ref() == Some(&facts.target_arn);
    let mut plan = match undoes {
        Some(active) => stop(facts, active),
        None if serving && facts.active.is_none() => {
            return Err(PlanRefused::AlreadyServing(short.to_string()));
        }
        None => update(facts),
    };
    plan.preflight.insert(
        0,
        check(
            "Deployment controller",
            PreflightResult::Blocking,
            "ECS itself deploys this service, and Switchback cannot roll back such a service from here yet. The AWS CLI commands below do it; Switchback then follows what they start.".to_string(),
        ),
    );
    Ok(plan)
}

fn stop(facts: &PlanFacts, active: &ActiveDeployment) -> Plan {
    let short = facts.target_arn.short();
    let mut plan = base(facts, OperationKind::StopInFlight);
    plan.deployment = Some(active.id.clone());
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
    plan.consequences = vec![
        format!(
            "ECS stops the deployment and puts {short} back, also where no rollback is configured."
        ),
        "Hooks of the traffic-shift stages run again on the way back.".to_string(),
    ];
    plan
}

fn update(facts: &PlanFacts) -> Plan {
    let service = &facts.service;
    let short = facts.target_arn.short();
    let mut plan = base(facts, OperationKind::Redeploy);
    if let Some(status) = facts.target.as_ref().map(|target| target.status)
        && matches!(
            status,
            RevisionStatus::Inactive | RevisionStatus::DeleteInProgress
        )
    {
        plan.preflight.push(check(
            "Revision ACTIVE",
            PreflightResult::Blocking,
            format!("{short} was deregistered. ECS would refuse it: TaskDefinition is inactive. Choose another revision, or register it again from its recorded JSON."),
        ));
    }
    if let Some(active) = &facts.active {
        plan.preflight.push(check(
            "No other deployment",
            PreflightResult::Warning,
            format!(
                "{} is under way. ECS stops it and begins the new one in its place.",
                active.aws_id
            ),
        ));
    }
    plan.preflight.push(match &facts.firing_alarms {
        Some(firing) if firing.is_empty() => {
            check("Alarms", PreflightResult::Ok, "No alarm of the service fires.".to_string())
        }
        Some(firing) => check(
            "Alarms",
            PreflightResult::Warning,
            format!(
                "{} in ALARM. ECS ignores alarms that already fire when a deployment begins, so none will stop this one.",
                firing.join(", ")
            ),
        ),
        None => check("Alarms", PreflightResult::Unchecked, "CloudWatch could not be asked.".to_string()),
    });
    plan.calls = vec![PlannedCall {
        service: "ecs".to_string(),
        operation: "UpdateService".to_string(),
        parameters: json!({
            "cluster": service.cluster,
            "service": service.name,
            "taskDefinition": facts.target_arn,
        }),
        cli: aws_command(
            "ecs",
            &service.region,
            "update-service",
            &[
                ("cluster", service.cluster.clone()),
                ("service", service.name.clone()),
                ("task-definition", facts.target_arn.to_string()),
            ],
        ),
    }];
    let how = service
        .controller
        .ecs()
        .map(|ecs| ecs.configuration.words());
    plan.consequences = vec![
        format!("New tasks of {short} start in a new deployment."),
        format!(
            "It runs as every other: {}; its hooks and its bake again.",
            how.unwrap_or_default()
        ),
        "Data that was written, messages that were sent and flags that were set stay as they are."
            .to_string(),
    ];
    plan.expected_seconds = median(&facts.past_seconds);
    plan
}
