//! How deployments of ECS stand: every status at every stage, and every trap of aws.md §2.2.

use super::*;
use crate::deployment::AwsStatus;

fn side(requested: i64, running: i64, share: Option<i64>) -> EcsSide {
    EcsSide {
        requested,
        running,
        production_permille: share,
        ..EcsSide::default()
    }
}

fn ecs(status: EcsStatus, stage: Option<&str>) -> EcsReading {
    EcsReading {
        status,
        stage: stage.map(str::to_string),
        configuration: EcsConfiguration::default(),
        sources: vec![side(0, 2, None)],
        target: side(4, 2, None),
        rolls_back: false,
        breaker: Some((0, 3)),
        breaker_open: false,
        fired_alarms: Vec::new(),
        hooks: Vec::new(),
        superseded: false,
        service_deleted: false,
    }
}

fn stands(ecs: &EcsReading, reason: &str) -> (Option<Phase>, Outcome, Option<OutcomeCause>) {
    let reading = Reading {
        status: AwsStatus::Running,
        error_code: None,
        error_message: (!reason.is_empty()).then(|| reason.to_string()),
        rolled_back_by: None,
        rolls_back: None,
        stages: Vec::new(),
        ecs: Some(ecs.clone()),
    };
    let standing = crate::deployment::standing(&reading, Known::default());
    (standing.phase, standing.outcome, standing.cause)
}

fn hook(kind: EcsHookKind, status: EcsHookStatus) -> EcsHook {
    EcsHook {
        id: "ecs-pause-1".to_string(),
        kind,
        status,
        expires_at: None,
        at_expiry: None,
        function: None,
    }
}

/// Every status at every stage: what is over is over at any stage, and success is one status and no other.
#[test]
fn the_table_of_statuses_and_stages() {
    let stages = [None, Some("RECONCILE_SERVICE"), Some("A_NEW_STAGE")]
        .into_iter()
        .chain(STAGES.map(Some));
    let under_way = |stage: Option<&str>| match stage {
        None => "shifting",
        Some(
            "RECONCILE_SERVICE" | "PRE_SCALE_UP" | "SCALE_UP" | "POST_SCALE_UP" | "A_NEW_STAGE",
        ) => "preparing",
        Some("TEST_TRAFFIC_SHIFT" | "POST_TEST_TRAFFIC_SHIFT" | "PRE_PRODUCTION_TRAFFIC_SHIFT") => {
            "testing"
        }
        Some("PRODUCTION_TRAFFIC_SHIFT") => "shifting",
        Some("POST_PRODUCTION_TRAFFIC_SHIFT" | "BAKE_TIME") => "baking",
        Some(_) => "cleaning_up",
    };
    let mut rows = 0;
    for stage in stages {
        for status in EcsStatus::ALL {
            let expected = match status {
                EcsStatus::Pending | EcsStatus::InProgress => {
                    (Some(under_way(stage)), "in_progress", None)
                }
                EcsStatus::StopRequested | EcsStatus::RollbackRequested => {
                    (Some("cleaning_up"), "in_progress", None)
                }
                EcsStatus::RollbackInProgress => {
                    (Some("cleaning_up"), "in_progress", Some("error"))
                }
                EcsStatus::Successful => (None, "succeeded", None),
                EcsStatus::Stopped => (None, "stopped", Some("operator")),
                EcsStatus::RollbackSuccessful => (None, "rolled_back", Some("error")),
                EcsStatus::RollbackFailed => (None, "rollback_failed", Some("error")),
                EcsStatus::Unknown => (None, "unknown", None),
            };
            let (phase, outcome, cause) = stands(&ecs(*status, stage), "");
            let got = (
                phase.map(Phase::word),
                outcome.word(),
                cause.map(OutcomeCause::word),
            );
            assert_eq!(got, expected, "{status:?} at {stage:?}");
            rows += 1;
        }
    }
    assert_eq!(rows, 13 * 10);
}

#[test]
fn a_stable_service_is_not_a_success() {
    // After a rollback everything runs and nothing is pending; the service is stable, the deployment was rolled back.
    let mut stable = ecs(EcsStatus::RollbackSuccessful, None);
    (stable.target, stable.sources) = (side(2, 2, None), vec![side(2, 2, None)]);
    assert_eq!(stands(&stable, "").1, Outcome::RolledBack);
    // All new tasks run and no old one: it bakes until AWS says SUCCESSFUL.
    let mut full = ecs(EcsStatus::InProgress, None);
    (full.target, full.sources) = (side(2, 2, None), vec![side(0, 0, None)]);
    assert_eq!(
        stands(&full, ""),
        (Some(Phase::Baking), Outcome::InProgress, None)
    );
    full.target = side(2, 0, None);
    assert_eq!(stands(&full, "").0, Some(Phase::Preparing));
}

#[test]
fn causes_are_facts_first_and_reasons_second() {
    use OutcomeCause::*;
    let plain = ecs(EcsStatus::RollbackSuccessful, None);
    let breaker = EcsReading {
        breaker_open: true,
        ..plain.clone()
    };
    let alarm = EcsReading {
        fired_alarms: vec!["web-5xx".to_string()],
        ..plain.clone()
    };
    let with = |kind, status| EcsReading {
        hooks: vec![hook(kind, status)],
        ..plain.clone()
    };
    for (reading, reason, expected) in [
        (&breaker, "", CircuitBreaker),
        (&alarm, "", Alarm),
        (&with(EcsHookKind::Pause, EcsHookStatus::Failed), "", Gate),
        (&with(EcsHookKind::Lambda, EcsHookStatus::Failed), "", Hook),
        (
            &with(EcsHookKind::Pause, EcsHookStatus::TimedOut),
            "",
            Timeout,
        ),
        (
            &with(EcsHookKind::Pause, EcsHookStatus::Succeeded),
            "",
            Error,
        ),
        (
            &plain,
            "Service deployment rolled back because the circuit breaker threshold was exceeded.",
            CircuitBreaker,
        ),
        (
            &plain,
            "Service deployment rolled back because 1 lifecycle hook(s) failed. Lifecycle hook target x returned FAILED status.",
            Hook,
        ),
        (
            &plain,
            "ECS was unable to parse the response from x due to HookStatus must not be null",
            Hook,
        ),
        (
            &plain,
            "Service deployment rolled back because of invalid networking configuration.",
            Error,
        ),
        (
            &plain,
            "Service deployment rolled back because a rollback was requested.",
            Operator,
        ),
        (&plain, "", Error),
    ] {
        assert_eq!(
            stands(reading, reason).2,
            Some(expected),
            "{reason} {reading:?}"
        );
        let failed = EcsReading {
            status: EcsStatus::RollbackFailed,
            ..reading.clone()
        };
        assert_eq!(
            (stands(&failed, reason).1, stands(&failed, reason).2),
            (Outcome::RollbackFailed, Some(expected))
        );
    }
    // Without rollback AWS stops what failed.
    let stopped = EcsReading {
        status: EcsStatus::Stopped,
        ..breaker
    };
    assert_eq!(
        (stands(&stopped, "").1, stands(&stopped, "").2),
        (Outcome::Failed, Some(CircuitBreaker))
    );
}

#[test]
fn superseded_deleted_and_stopped_are_told_apart() {
    let stopped = ecs(EcsStatus::Stopped, None);
    let superseded = EcsReading {
        superseded: true,
        ..stopped.clone()
    };
    assert_eq!(
        (stands(&superseded, "").1, stands(&superseded, "").2),
        (Outcome::Superseded, None)
    );
    let failed = EcsReading {
        breaker_open: true,
        ..superseded
    };
    assert_eq!(stands(&failed, "").1, Outcome::Failed);
    assert_eq!(stands(&stopped, "").1, Outcome::Stopped);
    let deleted = EcsReading {
        service_deleted: true,
        ..ecs(EcsStatus::InProgress, None)
    };
    assert_eq!(
        (stands(&deleted, "").1, stands(&deleted, "").2),
        (Outcome::Stopped, Some(OutcomeCause::Operator))
    );
    // What had ended before had ended.
    let after = EcsReading {
        service_deleted: true,
        ..ecs(EcsStatus::Successful, None)
    };
    assert_eq!(stands(&after, "").1, Outcome::Succeeded);
}

#[test]
fn an_early_success_is_told_apart_and_a_wait_for_people_is_holding() {
    let mut early = ecs(EcsStatus::Successful, None);
    assert!(!early.succeeded_early(), "the criteria are off");
    early.configuration.early_success_percent = Some(50);
    assert!(early.succeeded_early());
    (early.target, early.sources) = (side(4, 4, None), vec![side(0, 0, None)]);
    assert!(!early.succeeded_early());
    let mut holding = ecs(EcsStatus::InProgress, Some("POST_TEST_TRAFFIC_SHIFT"));
    holding.hooks = vec![hook(EcsHookKind::Pause, EcsHookStatus::AwaitingAction)];
    assert_eq!(stands(&holding, "").0, Some(Phase::Holding));
    // Before the second step of canary, ECS is at the stage before the shift again.
    let mut step = ecs(EcsStatus::InProgress, Some("PRE_PRODUCTION_TRAFFIC_SHIFT"));
    step.target.production_permille = Some(100);
    assert_eq!(stands(&step, "").0, Some(Phase::Shifting));
}

#[test]
fn a_pause_at_the_only_stage_for_it_is_shown_at_that_stage() {
    let mut holding = ecs(EcsStatus::InProgress, Some("POST_TEST_TRAFFIC_SHIFT"));
    holding.configuration.pause_stages = vec!["PRE_PRODUCTION_TRAFFIC_SHIFT".to_string()];
    assert_eq!(holding.present_stage(), Some("POST_TEST_TRAFFIC_SHIFT"));
    holding.hooks = vec![hook(EcsHookKind::Pause, EcsHookStatus::AwaitingAction)];
    assert_eq!(
        holding.present_stage(),
        Some("PRE_PRODUCTION_TRAFFIC_SHIFT")
    );
    holding
        .configuration
        .pause_stages
        .push("POST_SCALE_UP".to_string());
    assert_eq!(holding.present_stage(), Some("POST_TEST_TRAFFIC_SHIFT"));
}

#[test]
fn the_next_shift_follows_from_strategy_and_share() {
    for (strategy, step, share, next) in [
        (EcsStrategy::BlueGreen, None, None, Some(1000)),
        (EcsStrategy::BlueGreen, None, Some(1000), None),
        (EcsStrategy::Canary, Some(50), Some(0), Some(50)),
        (EcsStrategy::Canary, Some(50), Some(50), Some(1000)),
        (EcsStrategy::Linear, Some(300), Some(0), Some(300)),
        (EcsStrategy::Linear, Some(300), Some(900), Some(1000)),
        (EcsStrategy::Linear, None, Some(0), None),
        (EcsStrategy::Rolling, None, None, None),
    ] {
        let mut one = ecs(EcsStatus::InProgress, None);
        (one.configuration.strategy, one.configuration.step_permille) = (strategy, step);
        one.target.production_permille = share;
        assert_eq!(one.next_share_permille(), next, "{strategy:?} {share:?}");
    }
}

#[test]
fn stages_are_what_was_seen() {
    let at = Moment::from_millis;
    let up = stages(&[], &ecs(EcsStatus::InProgress, Some("SCALE_UP")), at(1));
    let shift = stages(
        &up,
        &ecs(EcsStatus::InProgress, Some("PRODUCTION_TRAFFIC_SHIFT")),
        at(2),
    );
    let words = |stages: &[Stage]| -> Vec<(StageStatus, Option<i64>, Option<i64>)> {
        let millis = |at: Option<Moment>| at.map(|at| at.millis());
        stages
            .iter()
            .map(|stage| {
                (
                    stage.status,
                    millis(stage.started_at),
                    millis(stage.ended_at),
                )
            })
            .collect()
    };
    assert_eq!(words(&up)[1], (StageStatus::InProgress, Some(1), None));
    assert_eq!(words(&shift)[1], (StageStatus::Succeeded, Some(1), Some(2)));
    assert_eq!(
        words(&shift)[3],
        (StageStatus::Succeeded, None, None),
        "nobody saw when"
    );
    assert_eq!(words(&shift)[6], (StageStatus::InProgress, Some(2), None));
    let back = stages(
        &shift,
        &ecs(EcsStatus::RollbackInProgress, Some("TEST_TRAFFIC_SHIFT")),
        at(3),
    );
    assert_eq!(words(&back)[6], (StageStatus::Failed, Some(2), Some(3)));
    assert_eq!(words(&back)[9], (StageStatus::Skipped, None, None));
    let done = stages(&shift, &ecs(EcsStatus::Successful, None), at(3));
    assert!(
        done.iter()
            .all(|stage| stage.status == StageStatus::Succeeded)
    );
    assert_eq!(
        stages(&[], &ecs(EcsStatus::Successful, None), at(3)),
        [],
        "nobody looked"
    );
    assert_eq!(
        stages(&[], &ecs(EcsStatus::InProgress, None), at(3)),
        [],
        "rolling has none"
    );
}

#[test]
fn the_strategy_is_told_as_it_will_run() {
    let configuration = EcsConfiguration {
        strategy: EcsStrategy::Canary,
        step_permille: Some(55),
        step_minutes: Some(10),
        bake_minutes: Some(5),
        ..EcsConfiguration::default()
    };
    assert_eq!(
        configuration.words(),
        "5.5\u{a0}% for 10\u{a0}min, then all; bake 5\u{a0}min"
    );
    assert!(
        EcsConfiguration::default()
            .words()
            .contains("at least not told healthy")
    );
}

#[test]
fn a_stop_that_was_asked_for_is_the_operators_in_whatever_words() {
    let stands = |ecs: &EcsReading| {
        let reading = Reading {
            status: AwsStatus::Running,
            error_code: None,
            error_message: Some("words of next year".to_string()),
            rolled_back_by: None,
            rolls_back: None,
            stages: Vec::new(),
            ecs: Some(ecs.clone()),
        };
        let known = Known {
            stop_asked: true,
            ..Known::default()
        };
        crate::deployment::standing(&reading, known).cause
    };
    let mut one = ecs(EcsStatus::RollbackSuccessful, Some("CLEAN_UP"));
    assert_eq!(stands(&one), Some(OutcomeCause::Operator));
    // What AWS shows as a fact goes before.
    one.breaker_open = true;
    assert_eq!(stands(&one), Some(OutcomeCause::CircuitBreaker));
}
