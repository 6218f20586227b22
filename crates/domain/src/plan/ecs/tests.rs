//! The plan of a service of ECS, case by case.

use super::*;
use crate::ecs::EcsContainerPort;
use crate::moment::Moment;
use crate::service::Controller;

fn arn(number: u64) -> RevisionArn {
    RevisionArn::parse(&format!("arn:aws:ecs:r:1:task-definition/web:{number}")).unwrap()
}

fn configuration(strategy: EcsStrategy) -> EcsConfiguration {
    EcsConfiguration {
        strategy,
        minimum_healthy_percent: Some(50),
        maximum_percent: Some(150),
        bake_minutes: Some(5),
        step_permille: Some(300),
        step_minutes: Some(10),
        ..EcsConfiguration::default()
    }
}

/// `:2` serves, `:1` is to come back.
fn facts(configuration: EcsConfiguration) -> PlanFacts {
    PlanFacts {
        service: Service {
            id: ServiceId::new("svc-1"),
            name: "web".to_string(),
            arn: "arn:aws:ecs:r:1:service/prod/web".to_string(),
            cluster: "prod".to_string(),
            account: "1".to_string(),
            region: "eu-central-1".to_string(),
            controller: Controller::Ecs(EcsService {
                configuration,
                container_ports: vec![EcsContainerPort {
                    container: "app".to_string(),
                    port: 80,
                }],
                task_definition: Some(arn(2)),
                primary: Some("ecs-svc/2".to_string()),
                recorded_primary: Some("ecs-svc/2".to_string()),
                current: Some("deployment-2".to_string()),
                ..EcsService::default()
            }),
            serving_revision: Some(arn(2)),
            serving_since: None,
            desired_count: 5,
            running_count: 5,
            observed_at: Moment::from_millis(0),
            generation: 1,
        },
        sight: ServiceSight::Read,
        active: None,
        target: Some(Revision {
            arn: arn(1),
            status: RevisionStatus::Active,
            registered_at: None,
            registered_by: None,
            task_definition: json!({"containerDefinitions": [{"name": "app", "portMappings": [{"containerPort": 80}]}]}),
        }),
        target_arn: arn(1),
        app_spec: None,
        app_spec_is_its_own: false,
        was_rolled_back: false,
        past_seconds: vec![300],
        firing_alarms: Some(Vec::new()),
    }
}

fn ecs(facts: &mut PlanFacts) -> &mut EcsService {
    match &mut facts.service.controller {
        Controller::Ecs(ecs) => ecs,
        Controller::Codedeploy(_) => panic!("a service of ECS"),
    }
}

/// A deployment from `:1` to `:2` that is under way.
fn active(status: EcsStatus) -> ActiveDeployment {
    ActiveDeployment {
        id: DeploymentId::new("dep-1"),
        aws_id: "arn:aws:ecs:r:1:service-deployment/prod/web/abc".to_string(),
        previous: Some(arn(1)),
        target: Some(arn(2)),
        open_gate: None,
        is_rollback: false,
        ecs_status: Some(status),
        is_cleaning_up: false,
    }
}

fn results(plan: &Plan, wanted: PreflightResult) -> Vec<&str> {
    let checks = plan.preflight.iter();
    checks
        .filter(|check| check.result == wanted)
        .map(|check| check.check.as_str())
        .collect()
}

const STRATEGIES: [EcsStrategy; 4] = [
    EcsStrategy::Rolling,
    EcsStrategy::BlueGreen,
    EcsStrategy::Linear,
    EcsStrategy::Canary,
];

#[test]
fn the_kind_follows_from_what_is_under_way_whatever_the_strategy() {
    for strategy in STRATEGIES {
        let mut facts = facts(configuration(strategy));
        let redeploy = crate::plan::plan(&facts).unwrap();
        assert_eq!(redeploy.kind, OperationKind::Redeploy);
        assert!(redeploy.may_run(), "{:?}", redeploy.preflight);
        let call = &redeploy.calls[0];
        assert_eq!(call.operation, "UpdateService");
        assert_eq!(
            call.parameters,
            json!({"cluster": "prod", "service": "web", "taskDefinition": arn(1)})
        );
        assert!(!call.cli.contains("force"), "{}", call.cli);

        facts.active = Some(active(EcsStatus::InProgress));
        let stop = crate::plan::plan(&facts).unwrap();
        assert_eq!(stop.kind, OperationKind::StopInFlight);
        assert_eq!(stop.deployment, Some(DeploymentId::new("dep-1")));
        assert_eq!(stop.calls[0].operation, "StopServiceDeployment");
        assert_eq!(stop.calls[0].parameters["stopType"], "ROLLBACK");
        assert!(stop.may_run(), "{:?}", stop.preflight);

        if let Some(active) = &mut facts.active {
            active.open_gate = Some((GateId::new("gate-1"), "ecs-pause-1".to_string()));
        }
        let reject = crate::plan::plan(&facts).unwrap();
        assert_eq!(reject.kind, OperationKind::RejectAtGate);
        assert_eq!(reject.gate, Some(GateId::new("gate-1")));
        assert_eq!(reject.calls[0].operation, "ContinueServiceDeployment");
        assert_eq!(reject.calls[0].parameters["action"], "ROLLBACK");
        assert_eq!(reject.calls[0].parameters["hookId"], "ecs-pause-1");
    }
}

#[test]
fn the_consequences_are_those_of_the_strategy() {
    let words = |strategy| {
        let plan = crate::plan::plan(&facts(configuration(strategy))).unwrap();
        plan.consequences.join("\n")
    };
    let table = [
        (
            EcsStrategy::Rolling,
            "5\u{a0}new tasks of web:1 take the place of those that run: at least 3 healthy and at most 7 running at a time.",
        ),
        (
            EcsStrategy::Rolling,
            "Its bake is waited for again: 5\u{a0}min at least",
        ),
        (
            EcsStrategy::BlueGreen,
            "All production traffic moves at once.",
        ),
        (
            EcsStrategy::BlueGreen,
            "Its steps and its bake are waited for again: 5\u{a0}min at least",
        ),
        // 30, 60, 90 and 100 per cent: three waits between four steps, and the bake.
        (EcsStrategy::Linear, "Traffic moves in 4\u{a0}steps"),
        (EcsStrategy::Linear, "35\u{a0}min at least"),
        (EcsStrategy::Canary, "Traffic moves in 2\u{a0}steps"),
        (EcsStrategy::Canary, "15\u{a0}min at least"),
        (EcsStrategy::Canary, "The circuit breaker is off"),
        (EcsStrategy::Canary, "The service has no lifecycle hook."),
    ];
    for (strategy, expected) in table {
        let words = words(strategy);
        assert!(
            words.contains(expected),
            "{strategy:?}: {expected}\n{words}"
        );
    }
    let with = EcsConfiguration {
        circuit_breaker: true,
        pause_hooks: 1,
        lambda_hooks: 2,
        ..configuration(EcsStrategy::BlueGreen)
    };
    let words = crate::plan::plan(&facts(with.clone()))
        .unwrap()
        .consequences;
    let says = |text: &str| words.iter().any(|word| word.contains(text));
    assert!(says(
        "1\u{a0}PAUSE hook waits for somebody, 2\u{a0}Lambda hooks run again"
    ));
    assert!(says("leaves the service as it is then"), "{words:?}");
    let rolls_back = EcsConfiguration {
        rolls_back_on_circuit_breaker: true,
        ..with
    };
    let words = crate::plan::plan(&facts(rolls_back)).unwrap().consequences;
    assert!(
        words
            .iter()
            .any(|word| word.contains("the last deployment that completed"))
    );
}

#[test]
fn going_back_within_a_deployment_is_told_by_strategy() {
    let words = |strategy, lambda_hooks| {
        let mut facts = facts(EcsConfiguration {
            lambda_hooks,
            ..configuration(strategy)
        });
        facts.active = Some(active(EcsStatus::InProgress));
        crate::plan::plan(&facts).unwrap().consequences.join("\n")
    };
    let rolling = words(EcsStrategy::Rolling, 1);
    assert!(
        rolling.contains("start again") && rolling.contains("at most 7"),
        "{rolling}"
    );
    let canary = words(EcsStrategy::Canary, 0);
    assert!(
        canary.contains("goes back to web:1") && !canary.contains("Lambda"),
        "{canary}"
    );
    assert!(words(EcsStrategy::Canary, 1).contains("run again on the way back"));
}

#[test]
fn what_ecs_would_refuse_to_stop_is_said_before() {
    use PreflightResult::Blocking;
    use PreflightResult::Ok;
    use PreflightResult::Unchecked;
    let table = [
        (EcsStatus::Pending, Ok),
        (EcsStatus::InProgress, Ok),
        (EcsStatus::StopRequested, Blocking),
        (EcsStatus::Stopped, Blocking),
        (EcsStatus::Successful, Blocking),
        (EcsStatus::RollbackRequested, Blocking),
        (EcsStatus::RollbackInProgress, Blocking),
        (EcsStatus::RollbackSuccessful, Blocking),
        (EcsStatus::RollbackFailed, Blocking),
        (EcsStatus::Unknown, Unchecked),
    ];
    assert_eq!(table.len(), EcsStatus::ALL.len());
    for (status, expected) in table {
        let mut facts = facts(configuration(EcsStrategy::Canary));
        facts.active = Some(active(status));
        let plan = crate::plan::plan(&facts).unwrap();
        assert!(
            results(&plan, expected).contains(&"Can be stopped"),
            "{status:?}"
        );
        assert_eq!(plan.may_run(), expected != Blocking, "{status:?}");
    }
    let mut late = facts(configuration(EcsStrategy::Canary));
    late.active = Some(ActiveDeployment {
        is_cleaning_up: true,
        ..active(EcsStatus::InProgress)
    });
    let plan = crate::plan::plan(&late).unwrap();
    assert_eq!(
        results(&plan, PreflightResult::Warning),
        ["Can be stopped"],
        "it may end SUCCESSFUL all the same"
    );
}

#[test]
fn another_deployment_is_superseded_which_is_said() {
    // Where it goes and how it stands; the check.
    let table = [
        (3, EcsStatus::InProgress, PreflightResult::Warning),
        (3, EcsStatus::RollbackInProgress, PreflightResult::Warning),
        (1, EcsStatus::InProgress, PreflightResult::Blocking),
    ];
    for (target, status, expected) in table {
        let mut facts = facts(configuration(EcsStrategy::Rolling));
        facts.active = Some(ActiveDeployment {
            previous: Some(arn(2)),
            target: Some(arn(target)),
            ..active(status)
        });
        let plan = crate::plan::plan(&facts).unwrap();
        assert_eq!(plan.kind, OperationKind::Redeploy);
        assert_eq!(
            results(&plan, expected),
            ["No other deployment"],
            "{target} {status:?}"
        );
    }
}

#[test]
fn what_ecs_would_refuse_or_nobody_knows_blocks() {
    use PreflightResult::Blocking;
    let mut inactive = facts(configuration(EcsStrategy::Rolling));
    inactive.target.as_mut().unwrap().status = RevisionStatus::Inactive;
    let made = crate::plan::plan(&inactive).unwrap();
    assert_eq!(results(&made, Blocking), ["Revision ACTIVE"]);
    assert!(
        made.preflight[0]
            .detail
            .contains("TaskDefinition is inactive")
    );

    let mut other_port = facts(configuration(EcsStrategy::Rolling));
    ecs(&mut other_port).container_ports[0].port = 81;
    let made = crate::plan::plan(&other_port).unwrap();
    assert_eq!(results(&made, Blocking), ["Container and port"]);

    let mut headless = facts(configuration(EcsStrategy::BlueGreen));
    ecs(&mut headless).container_ports.clear();
    assert!(crate::plan::plan(&headless).unwrap().may_run());

    let mut behind = facts(configuration(EcsStrategy::Rolling));
    ecs(&mut behind).primary = Some("ecs-svc/3".to_string());
    let made = crate::plan::plan(&behind).unwrap();
    assert_eq!(results(&made, Blocking), ["Record complete"]);
    // A stop names its deployment.
    behind.active = Some(active(EcsStatus::InProgress));
    let made = crate::plan::plan(&behind).unwrap();
    assert_eq!(
        results(&made, PreflightResult::Warning),
        ["Record complete"]
    );

    let mut gone = facts(configuration(EcsStrategy::Rolling));
    gone.sight = ServiceSight::Gone;
    let made = crate::plan::plan(&gone).unwrap();
    assert_eq!(results(&made, Blocking), ["Record complete"]);
}

#[test]
fn alarms_that_fire_are_warned_about_because_ecs_ignores_them() {
    let mut facts = facts(EcsConfiguration {
        alarms: vec!["5xx".to_string()],
        ..configuration(EcsStrategy::Rolling)
    });
    facts.firing_alarms = Some(vec!["5xx".to_string()]);
    let made = crate::plan::plan(&facts).unwrap();
    assert_eq!(results(&made, PreflightResult::Warning), ["Alarms"]);
    assert!(made.may_run());
    facts.firing_alarms = None;
    let made = crate::plan::plan(&facts).unwrap();
    assert_eq!(results(&made, PreflightResult::Unchecked), ["Alarms"]);
}

#[test]
fn a_new_deployment_is_forced_only_where_ecs_would_do_nothing() {
    // What serves, what the service names, where it goes back to; whether there is a plan, and whether it is forced.
    let table = [
        (2, 2, 1, Some(false)),
        // :3 failed without a rollback; the service still names it.
        (2, 3, 2, Some(false)),
        (2, 3, 1, Some(false)),
        (2, 3, 3, Some(true)),
        (2, 2, 2, None),
    ];
    for (serving, named, target, expected) in table {
        let mut facts = facts(configuration(EcsStrategy::Rolling));
        facts.service.serving_revision = Some(arn(serving));
        ecs(&mut facts).task_definition = Some(arn(named));
        facts.target_arn = arn(target);
        facts.target.as_mut().unwrap().arn = arn(target);
        let made = crate::plan::plan(&facts).map(|plan| {
            let forced = plan.calls[0].parameters["forceNewDeployment"] == true;
            assert_eq!(
                plan.calls[0].cli.ends_with("--force-new-deployment"),
                forced
            );
            forced
        });
        assert_eq!(made.ok(), expected, "{serving} {named} {target}");
    }
}

#[test]
fn a_service_that_moved_is_another_plan() {
    let digest = |change: &dyn Fn(&mut PlanFacts)| {
        let mut facts = facts(configuration(EcsStrategy::Rolling));
        change(&mut facts);
        crate::plan::plan(&facts).unwrap().digest
    };
    let base = digest(&|_| ());
    let moves: [&dyn Fn(&mut PlanFacts); 5] = [
        &|facts| {
            ecs(facts).primary = Some("ecs-svc/3".to_string());
            ecs(facts).recorded_primary = Some("ecs-svc/3".to_string());
        },
        &|facts| ecs(facts).current = Some("deployment-3".to_string()),
        &|facts| facts.service.serving_revision = Some(arn(3)),
        &|facts| ecs(facts).task_definition = Some(arn(3)),
        &|facts| ecs(facts).configuration.bake_minutes = Some(60),
    ];
    for (index, change) in moves.iter().enumerate() {
        assert_ne!(base, digest(change), "{index}");
    }
    // Scaling, AWS being slow, and a deployment that ended change nothing that was read.
    let same: [&dyn Fn(&mut PlanFacts); 3] = [
        &|facts| facts.service.desired_count = 50,
        &|facts| {
            facts.sight = ServiceSight::Recorded;
            facts.firing_alarms = None;
            facts.target.as_mut().unwrap().status = RevisionStatus::Unknown;
        },
        &|facts| facts.past_seconds.push(1),
    ];
    for (index, change) in same.iter().enumerate() {
        assert_eq!(base, digest(change), "{index}");
    }
}
