//! The plan of a rollback: a pure function of facts, immutable, with a digest.
//!
//! What the plan says is what is carried out: executing it leaves no choices. If the facts behind it
//! have changed, its digest has changed, and the execution is refused.

mod bake;
mod ecs;
mod pause;

pub use self::ecs::forces_new_deployment;
pub use bake::BakeFacts;
pub use bake::end_bake;
pub use pause::answer_pause;
pub use pause::pause_rejection_consequences;

use crate::appspec;
use crate::digest::Digest;
use crate::ecs::EcsStatus;
use crate::ecs::EcsStrategy;
use crate::gate::Verdict;
use crate::ids::DeploymentId;
use crate::ids::GateId;
use crate::ids::ServiceId;
use crate::moment::duration_words;
use crate::operation::OperationKind;
use crate::revision::Revision;
use crate::revision::RevisionArn;
use crate::revision::RevisionStatus;
use crate::service::DeploymentGroup;
use crate::service::Service;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

/// The placeholder in a planned description for what is known only when it is carried out.
pub const DESCRIPTION_PLACEHOLDER: &str = "[switchback <operation>] <your reason>";

/// How one preflight check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreflightResult {
    /// As it should be.
    Ok,
    /// Worth knowing; does not stop the rollback.
    Warning,
    /// The rollback is not offered.
    Blocking,
    /// Could not be checked; says why.
    Unchecked,
}

/// One preflight check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreflightCheck {
    /// What is checked.
    pub check: String,
    /// How it came out.
    pub result: PreflightResult,
    /// What was found.
    pub detail: String,
}

/// One call to AWS, and the same as a command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedCall {
    /// `codedeploy` or `ecs`
    pub service: String,
    /// `CreateDeployment`
    pub operation: String,
    /// The request's members.
    pub parameters: Value,
    /// The AWS CLI command that does the same.
    pub cli: String,
}

/// What will be done, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Covers everything below.
    pub digest: Digest,
    /// The service.
    pub service: ServiceId,
    /// Which of the three kinds, or the end of a bake.
    pub kind: OperationKind,
    /// Where it goes back to; what stays where a bake is ended.
    pub target: RevisionArn,
    /// The deployment that is rejected or stopped, for those kinds.
    pub deployment: Option<DeploymentId>,
    /// The gate, for a rejection.
    pub gate: Option<GateId>,
    /// What was checked.
    pub preflight: Vec<PreflightCheck>,
    /// The exact calls, in order.
    pub calls: Vec<PlannedCall>,
    /// What it means, one sentence each.
    pub consequences: Vec<String>,
    /// How long until all traffic is back, from this service's own past, in seconds.
    pub expected_seconds: Option<i64>,
}

impl Plan {
    /// Whether nothing blocks it.
    pub fn may_run(&self) -> bool {
        self.preflight
            .iter()
            .all(|check| check.result != PreflightResult::Blocking)
    }
}

/// A deployment that is under way. Its share of traffic is left out on purpose: it moves every minute,
/// and a plan that was read must not go stale by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveDeployment {
    /// Ours.
    pub id: DeploymentId,
    /// AWS's.
    pub aws_id: String,
    /// What was serving when it started.
    pub previous: Option<RevisionArn>,
    /// What it moves to.
    pub target: Option<RevisionArn>,
    /// The gate it waits at: ours, and the hook execution to answer.
    pub open_gate: Option<(GateId, String)>,
    /// Whether it is itself undoing another.
    pub is_rollback: bool,
    /// AWS's status, where ECS itself deploys.
    pub ecs_status: Option<EcsStatus>,
    /// Whether ECS removes the old tasks already (CLEAN_UP).
    pub is_cleaning_up: bool,
}

/// Where what a plan knows of a service of ECS is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceSight {
    /// From the record: AWS did not answer in time, or is not asked (CodeDeploy).
    Recorded,
    /// AWS was asked just now.
    Read,
    /// AWS was asked just now, and ECS no longer deploys such a service.
    Gone,
}

/// Everything a plan is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFacts {
    /// The service and its group; one of ECS as AWS shows it just now.
    pub service: Service,
    /// Whether it is as AWS shows it just now.
    pub sight: ServiceSight,
    /// The deployment in progress, if any.
    pub active: Option<ActiveDeployment>,
    /// The revision to go back to, as recorded, with its status as AWS gave it just now.
    pub target: Option<Revision>,
    /// The arn asked for.
    pub target_arn: RevisionArn,
    /// The AppSpec to use: the text of that revision's last successful deployment.
    pub app_spec: Option<String>,
    /// Whether the AppSpec is that revision's own; else it is another deployment's with the revision put in.
    pub app_spec_is_its_own: bool,
    /// Whether a deployment of this revision was itself rolled back.
    pub was_rolled_back: bool,
    /// Seconds from start to full traffic of this service's past successful deployments.
    pub past_seconds: Vec<i64>,
    /// Alarms of the group that fire now; `None` when AWS could not be asked.
    pub firing_alarms: Option<Vec<String>>,
}

/// There is nothing to plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanRefused {
    /// The revision is not in the record.
    #[error(
        "Revision {0} is not recorded for this service. Choose one from the list of its revisions."
    )]
    UnknownRevision(String),
    /// It serves already.
    #[error(
        "Revision {0} is already serving and nothing is under way, so there is nothing to roll back."
    )]
    AlreadyServing(String),
    /// No AppSpec was ever recorded for the service.
    #[error(
        "No AppSpec is recorded for this service, so a deployment cannot be written. Deploy once with CodeDeploy first."
    )]
    NoAppSpec,
}

/// Makes the plan.
pub fn plan(facts: &PlanFacts) -> Result<Plan, PlanRefused> {
    let short = facts.target_arn.short().to_string();
    let target = facts
        .target
        .as_ref()
        .ok_or(PlanRefused::UnknownRevision(short.clone()))?;
    let undoes_active = facts.active.as_ref().filter(|active| {
        !active.is_rollback && active.previous.as_ref() == Some(&facts.target_arn)
    });
    let mut plan = match (facts.service.controller.ecs(), undoes_active) {
        (Some(ecs), _) => ecs::plan(facts, ecs, target, undoes_active)?,
        (None, Some(active)) => match &active.open_gate {
            Some((gate, execution)) => reject_at_gate(facts, active, gate, execution),
            None => stop_in_flight(facts, active),
        },
        (None, None) => {
            let serving = facts.service.serving_revision.as_ref() == Some(&facts.target_arn);
            if serving && facts.active.is_none() {
                return Err(PlanRefused::AlreadyServing(short));
            }
            redeploy(facts, target)?
        }
    };
    plan.digest = digest(&plan, facts);
    Ok(plan)
}

/// What the digest covers: everything that is done and what speaks against it. A check that came out well
/// and one that could not be made are left out, and so is the estimate: a slow answer of AWS must not make
/// the plan stale in the middle of an incident.
fn digest(plan: &Plan, facts: &PlanFacts) -> Digest {
    let against: Vec<&PreflightCheck> = plan
        .preflight
        .iter()
        .filter(|check| {
            matches!(
                check.result,
                PreflightResult::Warning | PreflightResult::Blocking
            )
        })
        .collect();
    let mut covered = json!({
        "service": plan.service,
        "kind": plan.kind,
        "target": plan.target,
        "deployment": plan.deployment,
        "gate": plan.gate,
        "against": against,
        "calls": plan.calls,
        "consequences": plan.consequences,
        "app_spec": facts.app_spec,
    });
    if let Some(ecs) = facts.service.controller.ecs() {
        // The words count tasks, and scaling must not make the plan stale; what they are made from does.
        covered["consequences"] = json!(ecs.configuration);
        // A service that moved since is another plan, even where the call reads the same.
        covered["standing"] = json!({
            "primary": ecs.primary,
            "current": ecs.current,
            "task_definition": ecs.task_definition,
            "serving": facts.service.serving_revision,
        });
    }
    Digest::of(&covered)
}

fn base(facts: &PlanFacts, kind: OperationKind) -> Plan {
    Plan {
        digest: Digest::new(""),
        service: facts.service.id.clone(),
        kind,
        target: facts.target_arn.clone(),
        deployment: None,
        gate: None,
        preflight: Vec::new(),
        calls: Vec::new(),
        consequences: Vec::new(),
        expected_seconds: None,
    }
}

fn reject_at_gate(
    facts: &PlanFacts,
    active: &ActiveDeployment,
    gate: &GateId,
    execution: &str,
) -> Plan {
    let short = facts.target_arn.short();
    let mut plan = base(facts, OperationKind::RejectAtGate);
    plan.deployment = Some(active.id.clone());
    plan.gate = Some(gate.clone());
    plan.preflight = vec![check(
        "Old tasks",
        PreflightResult::Ok,
        format!("{short} still runs and takes the traffic."),
    )];
    plan.calls = vec![hook_answer(
        &facts.service,
        &active.aws_id,
        execution,
        Verdict::Reject,
    )];
    plan.consequences = rejection_consequences(&facts.service, facts.target_arn.short(), active);
    plan.expected_seconds = Some(60);
    plan
}

/// What a rejection at a hook means, from the group's real settings.
pub fn rejection_consequences(
    service: &Service,
    previous: &str,
    active: &ActiveDeployment,
) -> Vec<String> {
    let new = active
        .target
        .as_ref()
        .map_or("the new revision", |arn| arn.short());
    let rolls_back = |group: &DeploymentGroup| group.rolls_back_on_failure;
    if service.controller.group().is_some_and(rolls_back) {
        vec![
            "CodeDeploy fails the deployment and rolls it back by itself.".to_string(),
            format!(
                "Production traffic is put back on {previous}; the tasks of {new} are removed."
            ),
            "No hook runs again.".to_string(),
        ]
    } else {
        vec![
            "CodeDeploy fails the deployment and leaves listener weights and both task sets as they are, because this group does not roll back on failure.".to_string(),
            format!("Tasks of {new} stay until the next deployment."),
        ]
    }
}

/// The call that answers a validation hook.
pub fn hook_answer(
    service: &Service,
    deployment: &str,
    execution: &str,
    verdict: Verdict,
) -> PlannedCall {
    let status = match verdict {
        Verdict::Approve => "Succeeded",
        Verdict::Reject => "Failed",
    };
    PlannedCall {
        service: "codedeploy".to_string(),
        operation: "PutLifecycleEventHookExecutionStatus".to_string(),
        parameters: json!({
            "deploymentId": deployment,
            "lifecycleEventHookExecutionId": execution,
            "status": status,
        }),
        cli: command(
            service,
            "put-lifecycle-event-hook-execution-status",
            &[
                ("deployment-id", deployment.to_string()),
                ("lifecycle-event-hook-execution-id", execution.to_string()),
                ("status", status.to_string()),
            ],
        ),
    }
}

fn stop_in_flight(facts: &PlanFacts, active: &ActiveDeployment) -> Plan {
    let short = facts.target_arn.short();
    let new = active
        .target
        .as_ref()
        .map_or("the new revision", |arn| arn.short());
    let mut plan = base(facts, OperationKind::StopInFlight);
    plan.deployment = Some(active.id.clone());
    plan.preflight = vec![check(
        "Old tasks",
        PreflightResult::Ok,
        format!("{short} is still running, so nothing has to start."),
    )];
    plan.calls = vec![PlannedCall {
        service: "codedeploy".to_string(),
        operation: "StopDeployment".to_string(),
        parameters: json!({ "deploymentId": active.aws_id, "autoRollbackEnabled": true }),
        cli: format!(
            "{} \\\n  --auto-rollback-enabled",
            command(
                &facts.service,
                "stop-deployment",
                &[("deployment-id", active.aws_id.clone())]
            )
        ),
    }];
    plan.consequences = vec![
        format!("All production traffic that {new} has goes back to {short} at once."),
        format!("The tasks of {new} are drained and removed."),
        "CodeDeploy records the stop and a second deployment that puts the weights back. No hook runs again.".to_string(),
    ];
    plan.expected_seconds = Some(60);
    plan
}

fn redeploy(facts: &PlanFacts, target: &Revision) -> Result<Plan, PlanRefused> {
    let text = facts.app_spec.as_deref().ok_or(PlanRefused::NoAppSpec)?;
    let short = facts.target_arn.short();
    let Some(group) = facts.service.controller.group() else {
        return Err(PlanRefused::NoAppSpec);
    };
    let mut plan = base(facts, OperationKind::Redeploy);
    let spec = appspec::parse(text);
    plan.preflight.push(match target.status {
        RevisionStatus::Active => check("Revision ACTIVE", PreflightResult::Ok, format!("{short} may be deployed.")),
        RevisionStatus::Inactive | RevisionStatus::DeleteInProgress => check(
            "Revision ACTIVE",
            PreflightResult::Blocking,
            format!("{short} was deregistered. CodeDeploy would refuse it. Choose another revision, or register it again from its recorded JSON."),
        ),
        RevisionStatus::Unknown => check(
            "Revision ACTIVE",
            PreflightResult::Unchecked,
            format!("AWS could not be asked about {short}."),
        ),
    });
    plan.preflight.push(match &facts.active {
        None => check(
            "No other deployment",
            PreflightResult::Ok,
            "Nothing else is under way.".to_string(),
        ),
        Some(active) => check(
            "No other deployment",
            PreflightResult::Blocking,
            format!(
                "{} is under way, and CodeDeploy allows one at a time. Stop it first, or wait.",
                active.aws_id
            ),
        ),
    });
    plan.preflight.push(match &spec {
        Ok(spec) if target.has_container_port(&spec.container_name, spec.container_port) => check(
            "Container and port",
            PreflightResult::Ok,
            format!(
                "{}:{} is in {short}.",
                spec.container_name, spec.container_port
            ),
        ),
        Ok(spec) => check(
            "Container and port",
            PreflightResult::Blocking,
            format!(
                "{short} has no container {} on port {}.",
                spec.container_name, spec.container_port
            ),
        ),
        Err(refused) => check(
            "Container and port",
            PreflightResult::Blocking,
            refused.to_string(),
        ),
    });
    if facts.was_rolled_back {
        plan.preflight.push(check(
            "History",
            PreflightResult::Warning,
            format!("A deployment of {short} was itself rolled back."),
        ));
    }
    plan.preflight.push(match &facts.firing_alarms {
        Some(firing) if firing.is_empty() => check(
            "Alarms",
            PreflightResult::Ok,
            "No alarm of the deployment group fires.".to_string(),
        ),
        Some(firing) => check(
            "Alarms",
            PreflightResult::Warning,
            format!(
                "{} in ALARM. CodeDeploy stops a deployment whose alarm already fires, so this one may be stopped at its start.",
                firing.join(", ")
            ),
        ),
        None => check(
            "Alarms",
            PreflightResult::Unchecked,
            "CloudWatch could not be asked.".to_string(),
        ),
    });
    let revision =
        json!({ "revisionType": "AppSpecContent", "appSpecContent": { "content": text } });
    plan.calls = vec![PlannedCall {
        service: "codedeploy".to_string(),
        operation: "CreateDeployment".to_string(),
        parameters: json!({
            "applicationName": group.application,
            "deploymentGroupName": group.group,
            "deploymentConfigName": group.config_name,
            "description": DESCRIPTION_PLACEHOLDER,
            "revision": revision,
        }),
        cli: command(
            &facts.service,
            "create-deployment",
            &[
                ("application-name", group.application.clone()),
                ("deployment-group-name", group.group.clone()),
                ("deployment-config-name", group.config_name.clone()),
                ("description", DESCRIPTION_PLACEHOLDER.to_string()),
                ("revision", revision.to_string()),
            ],
        ),
    }];
    let serving = facts
        .service
        .serving_revision
        .as_ref()
        .map_or("what serves now".to_string(), |arn| arn.short().to_string());
    plan.consequences = vec![
        format!(
            "New tasks of {short} start; until they take the traffic, users stay on {serving}."
        ),
        format!(
            "Traffic moves as {} says; the termination wait follows.",
            group.config_name
        ),
    ];
    match &spec {
        Ok(spec) if spec.hooks.is_empty() => {
            plan.consequences
                .push("No hook is in its AppSpec.".to_string());
        }
        Ok(spec) => {
            let hooks: Vec<String> = spec
                .hooks
                .iter()
                .map(|(event, function)| format!("{event}: {function}"))
                .collect();
            plan.consequences
                .push(format!("Its hooks run again: {}.", hooks.join(", ")));
        }
        Err(_) => {}
    }
    if !facts.app_spec_is_its_own {
        plan.consequences.push(format!(
            "No successful deployment of {short} is recorded, so the AppSpec is the latest one of this service with {short} put in."
        ));
    }
    plan.consequences.push(
        "Data that was written, messages that were sent and flags that were set stay as they are."
            .to_string(),
    );
    plan.expected_seconds = median(&facts.past_seconds);
    Ok(plan)
}

/// The basis of the expected time, in words.
pub fn expectation_basis(plan: &Plan, facts: &PlanFacts) -> String {
    match (plan.kind, facts.service.controller.ecs()) {
        (OperationKind::Redeploy, _) => expectation_words(&facts.past_seconds),
        (_, None) => {
            "The old tasks still run; AWS was seen to put weights back within half a minute."
                .to_string()
        }
        (_, Some(ecs)) if ecs.configuration.strategy == EcsStrategy::Rolling => {
            "As long as the tasks that were removed need to start again.".to_string()
        }
        (_, Some(_)) => {
            "The old tasks still run, so only traffic moves; AWS tells no time for it.".to_string()
        }
    }
}

fn expectation_words(past_seconds: &[i64]) -> String {
    match (
        past_seconds.iter().min(),
        past_seconds.iter().max(),
        median(past_seconds),
    ) {
        (Some(least), Some(most), Some(middle)) => format!(
            "Median {} of {} deployments, {} to {}.",
            duration_words(middle * 1000),
            past_seconds.len(),
            duration_words(least * 1000),
            duration_words(most * 1000)
        ),
        _ => "No finished deployment of this service is recorded yet.".to_string(),
    }
}

fn median(values: &[i64]) -> Option<i64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

fn check(name: &str, result: PreflightResult, detail: String) -> PreflightCheck {
    PreflightCheck {
        check: name.to_string(),
        result,
        detail,
    }
}

fn command(service: &Service, verb: &str, options: &[(&str, String)]) -> String {
    aws_command("deploy", &service.region, verb, options)
}

fn aws_command(namespace: &str, region: &str, verb: &str, options: &[(&str, String)]) -> String {
    let mut text = format!("aws {namespace} {verb} \\\n  --region {}", quoted(region));
    for (name, value) in options {
        text.push_str(&format!(" \\\n  --{name} {}", quoted(value)));
    }
    text
}

/// A shell word: quoted with single quotes unless it is plainly harmless.
fn quoted(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(harmless) {
        text.to_string()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests;
