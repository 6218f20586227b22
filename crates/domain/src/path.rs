//! How the production traffic of a deployment moves, step by step, as it is set up: shares, waits, points where people
//! are asked, and the bake. A deployment in progress has a place on it.

use crate::deployment::Phase;
use crate::ecs::EcsConfiguration;
use crate::ecs::EcsStrategy;
use crate::moment::Moment;
use crate::strategy::Strategy;
use crate::strategy::strategy;
use serde::Deserialize;
use serde::Serialize;

/// The whole of the traffic, in thousandths.
const ALL: i64 = 1000;

/// One thing on the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathStep {
    /// People or checks are asked.
    Gate,
    /// A share of production traffic for the new revision, in thousandths, and for how many minutes it is kept before
    /// the next; none after the last.
    Share {
        /// In thousandths.
        permille: i64,
        /// In minutes.
        minutes: i64,
    },
    /// Old tasks are kept for so many minutes.
    Bake {
        /// In minutes.
        minutes: i64,
    },
}

/// Where a deployment stands with a step of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathPlace {
    /// It is behind it.
    Done,
    /// It is there.
    Present,
    /// It has yet to come.
    Ahead,
}

/// The path that CodeDeploy takes; `None` where the configuration's name does not tell. `hooks` are the lifecycle events
/// at which a function is asked, `waits_when_ready` says whether it waits for somebody before any traffic moves.
pub fn of_codedeploy(
    config_name: &str,
    hooks: &[&str],
    waits_when_ready: bool,
    bake_minutes: Option<i64>,
) -> Option<Vec<PathStep>> {
    let shares = match strategy(config_name) {
        Strategy::AllAtOnce => vec![(ALL, 0)],
        Strategy::Canary { percent, minutes } => {
            vec![(i64::from(percent) * 10, i64::from(minutes)), (ALL, 0)]
        }
        Strategy::Linear { percent, minutes } => {
            equal_steps(i64::from(percent) * 10, i64::from(minutes))
        }
        Strategy::Custom => return None,
    };
    let asked_before = [
        "BeforeInstall",
        "AfterInstall",
        "AfterAllowTestTraffic",
        "BeforeAllowTraffic",
    ];
    let first = waits_when_ready || hooks.iter().any(|hook| asked_before.contains(hook));
    let after = hooks.contains(&"AfterAllowTraffic");
    Some(path(&shares, first, false, after, bake_minutes))
}

/// The path that ECS takes; `None` where tasks replace tasks, and of a strategy that this version does not know.
pub fn of_ecs(configuration: &EcsConfiguration) -> Option<Vec<PathStep>> {
    let minutes = configuration.step_minutes.unwrap_or(0);
    let shares = match configuration.strategy {
        EcsStrategy::BlueGreen => vec![(ALL, 0)],
        EcsStrategy::Canary => vec![(configuration.step_permille?, minutes), (ALL, 0)],
        EcsStrategy::Linear => equal_steps(configuration.step_permille?, minutes),
        EcsStrategy::Rolling | EcsStrategy::Unknown => return None,
    };
    let pauses = |stages: &[&str]| {
        configuration
            .pause_stages
            .iter()
            .any(|stage| stages.contains(&stage.as_str()))
    };
    let first = pauses(&[
        "RECONCILE_SERVICE",
        "PRE_SCALE_UP",
        "POST_SCALE_UP",
        "POST_TEST_TRAFFIC_SHIFT",
    ]);
    // ECS runs these hooks at every step. (aws.md §2.3 [D])
    let each = pauses(&["PRE_PRODUCTION_TRAFFIC_SHIFT"]);
    let after = pauses(&["POST_PRODUCTION_TRAFFIC_SHIFT"]);
    Some(path(
        &shares,
        first,
        each,
        after,
        configuration.bake_minutes,
    ))
}

fn equal_steps(step: i64, minutes: i64) -> Vec<(i64, i64)> {
    let step = step.clamp(1, ALL);
    let mut shares: Vec<(i64, i64)> = (1..)
        .map(|number| step * number)
        .take_while(|share| *share < ALL)
        .map(|share| (share, minutes))
        .collect();
    shares.push((ALL, 0));
    shares
}

fn path(
    shares: &[(i64, i64)],
    asked_first: bool,
    asked_at_each: bool,
    asked_after: bool,
    bake_minutes: Option<i64>,
) -> Vec<PathStep> {
    let mut steps = Vec::new();
    for (index, (permille, minutes)) in shares.iter().copied().enumerate() {
        if asked_at_each || (asked_first && index == 0) {
            steps.push(PathStep::Gate);
        }
        steps.push(PathStep::Share { permille, minutes });
    }
    if asked_after {
        steps.push(PathStep::Gate);
    }
    if let Some(minutes) = bake_minutes.filter(|minutes| *minutes > 0) {
        steps.push(PathStep::Bake { minutes });
    }
    steps
}

/// Each step with where a deployment in progress stands: at a gate while it holds, else at the share it has.
pub fn places(steps: &[PathStep], phase: Phase, share: i64) -> Vec<(PathStep, PathPlace)> {
    let last_reached = steps
        .iter()
        .rposition(|step| matches!(step, PathStep::Share { permille, .. } if *permille <= share));
    let present = match phase {
        Phase::Holding => {
            let from = last_reached.map_or(0, |index| index + 1);
            let gate = steps[from..]
                .iter()
                .position(|step| *step == PathStep::Gate);
            gate.map(|index| from + index).or(last_reached)
        }
        Phase::Baking => steps
            .iter()
            .position(|step| matches!(step, PathStep::Bake { .. }))
            .or(last_reached),
        Phase::CleaningUp => Some(steps.len()),
        Phase::Preparing | Phase::Testing | Phase::Shifting => last_reached,
    };
    let place = |index: usize| match present {
        Some(present) if index < present => PathPlace::Done,
        Some(present) if index == present => PathPlace::Present,
        Some(_) | None => PathPlace::Ahead,
    };
    steps
        .iter()
        .enumerate()
        .map(|(index, step)| (*step, place(index)))
        .collect()
}

/// When the shares ahead come, for one that has had `share` since `since`: until somebody is asked, of which nobody
/// knows when it ends.
pub fn ahead(steps: &[PathStep], share: i64, since: Moment) -> Vec<(Moment, i64)> {
    let present = steps
        .iter()
        .rposition(|step| matches!(step, PathStep::Share { permille, .. } if *permille == share));
    let Some(present) = present else {
        return Vec::new();
    };
    let mut at = since;
    let mut planned = Vec::new();
    for pair in steps[present..].windows(2) {
        let (PathStep::Share { minutes, .. }, PathStep::Share { permille, .. }) =
            (pair[0], pair[1])
        else {
            break;
        };
        at = at.plus_seconds(minutes * 60);
        planned.push((at, permille));
    }
    planned
}

#[cfg(test)]
mod tests {
    use super::*;
    use PathStep::Bake;
    use PathStep::Gate;
    use PathStep::Share;

    fn share(permille: i64, minutes: i64) -> PathStep {
        Share { permille, minutes }
    }

    #[test]
    fn the_paths_of_codedeploy() {
        let path = |name: &str| of_codedeploy(name, &["AfterAllowTestTraffic"], false, Some(5));
        assert_eq!(
            path("CodeDeployDefault.ECSCanary10Percent5Minutes"),
            Some(vec![
                Gate,
                share(100, 5),
                share(1000, 0),
                Bake { minutes: 5 }
            ])
        );
        let linear = path("CodeDeployDefault.ECSLinear10PercentEvery1Minutes").unwrap();
        assert_eq!(linear.len(), 12);
        assert_eq!(linear[9], share(900, 1));
        assert_eq!(path("ours"), None);
        assert_eq!(
            of_codedeploy(
                "CodeDeployDefault.ECSAllAtOnce",
                &["AfterAllowTraffic"],
                true,
                None
            ),
            Some(vec![Gate, share(1000, 0), Gate])
        );
    }

    #[test]
    fn the_paths_of_ecs() {
        let with = |strategy, step_permille, stages: &[&str]| EcsConfiguration {
            strategy,
            step_permille,
            step_minutes: Some(6),
            bake_minutes: Some(0),
            pause_stages: stages.iter().map(ToString::to_string).collect(),
            ..EcsConfiguration::default()
        };
        for (configuration, expected) in [
            (with(EcsStrategy::Rolling, None, &[]), None),
            (with(EcsStrategy::Canary, None, &[]), None),
            (
                with(EcsStrategy::BlueGreen, None, &["POST_SCALE_UP"]),
                Some(vec![Gate, share(1000, 0)]),
            ),
            (
                with(
                    EcsStrategy::Linear,
                    Some(400),
                    &["PRE_PRODUCTION_TRAFFIC_SHIFT"],
                ),
                Some(vec![
                    Gate,
                    share(400, 6),
                    Gate,
                    share(800, 6),
                    Gate,
                    share(1000, 0),
                ]),
            ),
            (
                with(
                    EcsStrategy::Canary,
                    Some(50),
                    &["POST_PRODUCTION_TRAFFIC_SHIFT"],
                ),
                Some(vec![share(50, 6), share(1000, 0), Gate]),
            ),
        ] {
            assert_eq!(of_ecs(&configuration), expected, "{configuration:?}");
        }
    }

    #[test]
    fn a_deployment_has_one_place_on_its_path() {
        let steps = [
            Gate,
            share(500, 5),
            Gate,
            share(1000, 0),
            Bake { minutes: 5 },
        ];
        for (phase, now, present) in [
            (Phase::Preparing, 0, None),
            (Phase::Testing, 0, None),
            (Phase::Holding, 0, Some(0)),
            (Phase::Shifting, 500, Some(1)),
            (Phase::Holding, 500, Some(2)),
            (Phase::Shifting, 1000, Some(3)),
            (Phase::Baking, 1000, Some(4)),
            (Phase::CleaningUp, 1000, Some(5)),
        ] {
            let found: Vec<PathPlace> = places(&steps, phase, now)
                .into_iter()
                .map(|(_, place)| place)
                .collect();
            for (index, place) in found.iter().enumerate() {
                let expected = match present {
                    Some(present) if index < present => PathPlace::Done,
                    Some(present) if index == present => PathPlace::Present,
                    _ => PathPlace::Ahead,
                };
                assert_eq!(*place, expected, "{phase:?} {now} {index}");
            }
        }
    }

    #[test]
    fn what_is_ahead_is_known_until_somebody_is_asked() {
        let at = Moment::from_millis;
        let free = [share(250, 2), share(500, 2), share(1000, 0)];
        assert_eq!(
            ahead(&free, 250, at(0)),
            [(at(120_000), 500), (at(240_000), 1000)]
        );
        assert_eq!(ahead(&free, 0, at(0)), []);
        let asked = [share(250, 2), share(500, 2), Gate, share(1000, 0)];
        assert_eq!(ahead(&asked, 250, at(0)), [(at(120_000), 500)]);
    }
}
