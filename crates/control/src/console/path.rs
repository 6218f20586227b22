//! The path that a deployment's traffic takes, and where it is on it.

use switchback_contract::PathPlace;
use switchback_contract::PathStep;
use switchback_contract::WeightStep;
use switchback_domain::path;
use switchback_domain::service::Service;
use switchback_store::records::DeploymentRecord;

/// The steps with the present place, and the shares whose time is known beforehand; nothing once it has ended, and of a
/// deployment that only puts back.
pub(super) fn path_of(
    record: &DeploymentRecord,
    service: &Service,
    hooks: &[(String, String)],
    weights: &[WeightStep],
) -> (Vec<(PathStep, PathPlace)>, Vec<WeightStep>) {
    let nothing = (Vec::new(), Vec::new());
    let Some(phase) = record.standing.phase else {
        return nothing;
    };
    if record.reading.rolls_back.is_some() {
        return nothing;
    }
    let steps = match &record.reading.ecs {
        Some(ecs) if ecs.rolls_back => None,
        Some(ecs) => path::of_ecs(&ecs.configuration),
        None => {
            let hooks: Vec<&str> = hooks.iter().map(|(event, _)| event.as_str()).collect();
            let group = service.controller.group();
            path::of_codedeploy(
                &record.strategy,
                &hooks,
                group.is_some_and(|group| group.ready_wait_minutes > 0),
                group.and_then(|group| group.termination_wait_minutes),
            )
        }
    };
    let Some(steps) = steps else {
        return nothing;
    };
    let share = record.share_new_permille.unwrap_or(0);
    let ahead = match weights.last() {
        Some(last) if share > 0 => path::ahead(&steps, share, last.at),
        Some(_) | None => Vec::new(),
    };
    let ahead = ahead.into_iter().map(|(at, permille)| WeightStep {
        at,
        share_new: permille as f64 / 1000.0,
    });
    (path::places(&steps, phase, share), ahead.collect())
}
