//! The plan, case by case.

use super::*;
use crate::moment::Moment;
use crate::service::Controller;
use crate::service::DeploymentGroup;

const SPEC: &str = r#"{"version":0.0,"Resources":[{"TargetService":{"Type":"AWS::ECS::Service","Properties":{"TaskDefinition":"arn:aws:ecs:r:1:task-definition/web:1","LoadBalancerInfo":{"ContainerName":"web","ContainerPort":80}}}}],"Hooks":[{"BeforeAllowTraffic":"switchback-relay"}]}"#;

fn arn(number: u64) -> RevisionArn {
    RevisionArn::parse(&format!("arn:aws:ecs:r:1:task-definition/web:{number}")).unwrap()
}

pub(super) fn facts() -> PlanFacts {
    PlanFacts {
        service: Service {
            id: ServiceId::new("svc-1"),
            name: "web".to_string(),
            arn: "arn:aws:ecs:r:1:service/prod/web".to_string(),
            cluster: "prod".to_string(),
            account: "1".to_string(),
            region: "eu-central-1".to_string(),
            controller: Controller::Codedeploy(DeploymentGroup {
                application: "AppECS-web".to_string(),
                group: "DgpECS-web".to_string(),
                config_name: "CodeDeployDefault.ECSAllAtOnce".to_string(),
                rolls_back_on_failure: true,
                ..DeploymentGroup::default()
            }),
            serving_revision: Some(arn(2)),
            serving_since: None,
            desired_count: 2,
            running_count: 2,
            observed_at: Moment::from_millis(0),
            generation: 1,
        },
        sight: ServiceSight::Recorded,
        active: None,
        target: Some(Revision {
            arn: arn(1),
            status: RevisionStatus::Active,
            registered_at: None,
            registered_by: None,
            task_definition: json!({"containerDefinitions": [{"name": "web", "image": "web:1", "portMappings": [{"containerPort": 80}]}]}),
        }),
        target_arn: arn(1),
        app_spec: Some(SPEC.to_string()),
        app_spec_is_its_own: true,
        was_rolled_back: false,
        past_seconds: vec![300, 100, 200],
        firing_alarms: Some(Vec::new()),
    }
}

pub(super) fn active(gate: bool) -> ActiveDeployment {
    ActiveDeployment {
        id: DeploymentId::new("dep-1"),
        aws_id: "d-ABCDEFGHI".to_string(),
        previous: Some(arn(1)),
        target: Some(arn(2)),
        open_gate: gate.then(|| (GateId::new("gate-1"), "exec-1".to_string())),
        is_rollback: false,
        ecs_status: None,
        is_cleaning_up: false,
    }
}

fn blocking(plan: &Plan) -> Vec<&str> {
    plan.preflight
        .iter()
        .filter(|check| check.result == PreflightResult::Blocking)
        .map(|check| check.check.as_str())
        .collect()
}

#[test]
fn the_kind_follows_from_what_is_under_way() {
    let mut facts = facts();
    let redeploy = plan(&facts).unwrap();
    assert_eq!(redeploy.kind, OperationKind::Redeploy);
    assert!(redeploy.may_run());
    assert_eq!(redeploy.expected_seconds, Some(200));
    assert_eq!(redeploy.calls[0].operation, "CreateDeployment");
    assert!(
        redeploy
            .consequences
            .iter()
            .any(|text| text.contains("BeforeAllowTraffic: switchback-relay"))
    );
    facts.active = Some(active(false));
    let stop = plan(&facts).unwrap();
    assert_eq!(stop.kind, OperationKind::StopInFlight);
    assert!(stop.consequences[0].contains("goes back to web:1 at once"));
    assert!(stop.calls[0].cli.ends_with("--auto-rollback-enabled"));
    facts.active = Some(active(true));
    let reject = plan(&facts).unwrap();
    assert_eq!(reject.kind, OperationKind::RejectAtGate);
    assert_eq!(reject.calls[0].parameters["status"], "Failed");
    assert_eq!(reject.gate, Some(GateId::new("gate-1")));
}

#[test]
fn what_would_fail_at_aws_blocks() {
    let mut inactive = facts();
    inactive.target.as_mut().unwrap().status = RevisionStatus::Inactive;
    assert_eq!(blocking(&plan(&inactive).unwrap()), ["Revision ACTIVE"]);
    let mut other_port = facts();
    other_port.app_spec = Some(SPEC.replace("80}", "81}"));
    assert_eq!(
        blocking(&plan(&other_port).unwrap()),
        ["Container and port"]
    );
    let mut in_the_way = facts();
    in_the_way.active = Some(ActiveDeployment {
        previous: Some(arn(7)),
        ..active(true)
    });
    assert_eq!(
        blocking(&plan(&in_the_way).unwrap()),
        ["No other deployment"]
    );
}

#[test]
fn nothing_to_do_is_said() {
    let mut serving = facts();
    serving.service.serving_revision = Some(arn(1));
    assert_eq!(
        plan(&serving),
        Err(PlanRefused::AlreadyServing("web:1".to_string()))
    );
    let mut unknown = facts();
    unknown.target = None;
    assert_eq!(
        plan(&unknown),
        Err(PlanRefused::UnknownRevision("web:1".to_string()))
    );
    let mut never = facts();
    never.app_spec = None;
    assert_eq!(plan(&never), Err(PlanRefused::NoAppSpec));
}

#[test]
fn the_digest_changes_with_the_facts() {
    let base = plan(&facts()).unwrap();
    assert_eq!(base.digest, plan(&facts()).unwrap().digest);
    let mut alarm = facts();
    alarm.firing_alarms = Some(vec!["5xx".to_string()]);
    assert_ne!(base.digest, plan(&alarm).unwrap().digest);
    // AWS being slow, or another deployment having ended, changes nothing that was read.
    let mut slow = facts();
    slow.firing_alarms = None;
    slow.target.as_mut().unwrap().status = RevisionStatus::Unknown;
    slow.past_seconds.push(1);
    assert_eq!(base.digest, plan(&slow).unwrap().digest);
}

#[test]
fn words_for_the_shell_are_quoted() {
    assert_eq!(quoted("web-1"), "web-1");
    assert_eq!(quoted("it's; rm -rf"), r"'it'\''s; rm -rf'");
    assert_eq!(quoted(""), "''");
}
