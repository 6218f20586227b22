//! The plan of ending CodeDeploy's bake early: ContinueDeployment with TERMINATION_WAIT. (aws.md §1.7 [M])
//!
//! It puts nothing back, but is planned, read and carried out like a rollback: it takes away the fastest way back.

use super::ActiveDeployment;
use super::Plan;
use super::PlannedCall;
use super::PreflightCheck;
use super::PreflightResult;
use super::check;
use super::command;
use crate::digest::Digest;
use crate::operation::OperationKind;
use crate::service::Service;
use serde_json::json;

/// What ContinueDeployment's `deploymentWaitType` is called for the wait before the old tasks are removed. [M]
pub const TERMINATION_WAIT: &str = "TERMINATION_WAIT";

/// What the plan is made from. Whether the deployment bakes is the caller's to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BakeFacts {
    /// The service and its group, as recorded.
    pub service: Service,
    /// The deployment that bakes.
    pub active: ActiveDeployment,
    /// The alarms of the deployment that fire, as last read.
    pub firing_alarms: Vec<String>,
}

/// Makes the plan; `None` where CodeDeploy has no such wait or it is not known which revision stays.
pub fn end_bake(facts: &BakeFacts) -> Option<Plan> {
    let BakeFacts {
        service, active, ..
    } = facts;
    let minutes = service.controller.group()?.termination_wait_minutes?;
    let target = active.target.clone()?;
    if active.is_rollback {
        return None;
    }
    let new = target.short();
    let old = active
        .previous
        .as_ref()
        .map_or("the old revision", |arn| arn.short());
    let alarms = if facts.firing_alarms.is_empty() {
        check(
            "Alarms",
            PreflightResult::Ok,
            "No alarm of the deployment fires.".to_string(),
        )
    } else {
        check(
            "Alarms",
            PreflightResult::Warning,
            format!(
                "Firing: {}. CodeDeploy may roll back by itself while it bakes, and cannot once the bake has ended.",
                facts.firing_alarms.join(", ")
            ),
        )
    };
    let mut plan = Plan {
        digest: Digest::new(""),
        service: service.id.clone(),
        kind: OperationKind::EndBake,
        target: target.clone(),
        deployment: Some(active.id.clone()),
        gate: None,
        preflight: vec![alarms],
        calls: vec![PlannedCall {
            service: "codedeploy".to_string(),
            operation: "ContinueDeployment".to_string(),
            parameters: json!({
                "deploymentId": active.aws_id,
                "deploymentWaitType": TERMINATION_WAIT,
            }),
            cli: command(
                service,
                "continue-deployment",
                &[
                    ("deployment-id", active.aws_id.clone()),
                    ("deployment-wait-type", TERMINATION_WAIT.to_string()),
                ],
            ),
        }],
        consequences: vec![
            format!(
                "CodeDeploy removes the tasks of {old} now instead of {minutes} minutes after the last shift, and the deployment succeeds."
            ),
            format!("Traffic stays where it is, on {new}."),
            format!(
                "Putting {old} back is then a new deployment: new tasks, hooks and bake again. While it bakes it takes seconds."
            ),
        ],
        expected_seconds: None,
    };
    plan.digest = digest(&plan);
    Some(plan)
}

fn digest(plan: &Plan) -> Digest {
    let against: Vec<&PreflightCheck> = plan
        .preflight
        .iter()
        .filter(|check| check.result != PreflightResult::Ok)
        .collect();
    Digest::of(&json!({
        "service": plan.service,
        "kind": plan.kind,
        "target": plan.target,
        "deployment": plan.deployment,
        "against": against,
        "calls": plan.calls,
        "consequences": plan.consequences,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::active;
    use crate::plan::tests::facts as plan_facts;
    use crate::service::Controller;

    fn facts() -> BakeFacts {
        let mut service = plan_facts().service;
        if let Controller::Codedeploy(group) = &mut service.controller {
            group.termination_wait_minutes = Some(60);
        }
        BakeFacts {
            service,
            active: active(false),
            firing_alarms: Vec::new(),
        }
    }

    #[test]
    fn it_is_one_call_and_the_same_for_the_aws_cli() {
        let plan = end_bake(&facts()).unwrap();
        assert_eq!(plan.kind, OperationKind::EndBake);
        assert_eq!(
            plan.calls[0].parameters["deploymentWaitType"],
            TERMINATION_WAIT
        );
        assert!(plan.calls[0].cli.contains("aws deploy continue-deployment"));
        assert!(
            plan.calls[0]
                .cli
                .contains("--deployment-wait-type TERMINATION_WAIT")
        );
        assert!(plan.may_run());
    }

    #[test]
    fn an_alarm_that_begins_to_fire_makes_it_another_plan() {
        let calm = end_bake(&facts()).unwrap();
        let firing = end_bake(&BakeFacts {
            firing_alarms: vec!["web-5xx".to_string()],
            ..facts()
        })
        .unwrap();
        assert_ne!(calm.digest, firing.digest);
        assert_eq!(firing.preflight[0].result, PreflightResult::Warning);
        assert_eq!(calm, end_bake(&facts()).unwrap());
    }

    #[test]
    fn what_has_no_such_wait_has_no_such_plan() {
        let mut kept = facts();
        if let Controller::Codedeploy(group) = &mut kept.service.controller {
            group.termination_wait_minutes = None;
        }
        assert_eq!(end_bake(&kept), None);
        let mut rollback = facts();
        rollback.active.is_rollback = true;
        assert_eq!(end_bake(&rollback), None);
    }
}
