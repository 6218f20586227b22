//! What happened between two readings, as lines of the timeline.

use serde_json::Value;
use serde_json::json;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::StageStatus;
use switchback_domain::ecs::EcsSide;
use switchback_domain::ecs::EcsStrategy;
use switchback_domain::moment::Moment;
use switchback_domain::revision::RevisionArn;
use switchback_store::records::DeploymentRecord;

/// A line of the timeline before it is written.
pub(crate) struct Line {
    pub(crate) at: Moment,
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) by: Option<&'static str>,
    pub(crate) data: Value,
}

/// What happened between two readings, as lines of the timeline.
pub(crate) fn differences(
    before: &DeploymentRecord,
    after: &DeploymentRecord,
    now: Moment,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let controller = match after.reading.ecs {
        Some(_) => "ECS",
        None => "CodeDeploy",
    };
    lines.extend(ecs_lines(before, after, now));
    for stage in &after.reading.stages {
        let earlier = before
            .reading
            .stages
            .iter()
            .find(|other| other.name == stage.name)
            .map(|other| other.status);
        if earlier == Some(stage.status) {
            continue;
        }
        let (at, verb) = match stage.status {
            StageStatus::InProgress => (stage.started_at, "began"),
            StageStatus::Succeeded => (stage.ended_at, "succeeded"),
            StageStatus::Failed => (stage.ended_at, "failed"),
            StageStatus::Skipped | StageStatus::Pending | StageStatus::Unknown => continue,
        };
        let message = stage
            .message
            .as_deref()
            .filter(|text| !text.is_empty() && stage.status == StageStatus::Failed);
        let text = match message {
            Some(message) => format!("{} {verb}: {message}", stage.name),
            None => format!("{} {verb}.", stage.name),
        };
        lines.push(Line {
            at: at.unwrap_or(now),
            kind: "stage",
            text,
            by: Some(controller),
            data: json!({ "stage": stage.name, "status": stage.status }),
        });
    }
    if before.share_new_permille != after.share_new_permille
        && let Some(share) = after.share_new_permille
    {
        let revision = after
            .target_revision
            .as_ref()
            .map_or("the new revision", RevisionArn::short);
        lines.push(Line {
            at: now,
            kind: "weights",
            text: format!("{} % of production traffic on {revision}.", percent(share)),
            by: Some(controller),
            data: json!({ "share_new_permille": share }),
        });
    }
    for alarm in after.alarms.as_array().into_iter().flatten() {
        let (name, state) = (
            alarm["name"].as_str().unwrap_or("?"),
            alarm["state"].as_str().unwrap_or("?"),
        );
        let earlier = before
            .alarms
            .as_array()
            .into_iter()
            .flatten()
            .find(|other| other["name"] == alarm["name"]);
        if earlier.is_some_and(|other| other["state"] == alarm["state"]) {
            continue;
        }
        let since = alarm["since"]
            .as_str()
            .and_then(|text| Moment::parse(text).ok())
            .unwrap_or(now);
        lines.push(Line {
            at: since.max(after.started_at),
            kind: "alarm",
            text: format!("Alarm {name} is {state}."),
            by: Some("CloudWatch"),
            data: json!({ "name": name, "state": state }),
        });
    }
    if !before.standing.outcome.is_final() && after.standing.outcome.is_final() {
        let word = match after.standing.outcome {
            Outcome::Succeeded => "Succeeded",
            Outcome::Failed => "Failed",
            Outcome::Stopped => "Stopped",
            Outcome::RolledBack => "Rolled back",
            Outcome::RollbackFailed => "Rollback failed",
            Outcome::Superseded => "Superseded",
            Outcome::InProgress | Outcome::Unknown => "Unknown",
        };
        let text = match &after.outcome_detail {
            Some(detail) => format!("{word}: {detail}"),
            None => format!("{word}."),
        };
        lines.push(Line {
            at: after.ended_at.unwrap_or(now),
            kind: "ended",
            text,
            by: Some(controller),
            data: Value::Null,
        });
    }
    lines.sort_by_key(|line| line.at);
    lines
}

/// What only a deployment of ECS has: tasks that replace others, in quarters, the circuit breaker's counter, and waits
/// for people.
fn ecs_lines(before: &DeploymentRecord, after: &DeploymentRecord, now: Moment) -> Vec<Line> {
    let (Some(old), Some(new)) = (&before.reading.ecs, &after.reading.ecs) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let mut line = |kind, text, data| {
        let by = Some("ECS");
        lines.push(Line {
            at: now,
            kind,
            text,
            by,
            data,
        });
    };
    let quarter = |side: &EcsSide| side.running * 4 / side.requested.max(1);
    if new.configuration.strategy == EcsStrategy::Rolling
        && after.standing.phase.is_some()
        && quarter(&old.target) != quarter(&new.target)
    {
        let (running, wanted, others) =
            (new.target.running, new.target.requested, new.old_running());
        let text = format!("{running} of {wanted} new tasks run, and {others} old ones.");
        line(
            "weights",
            text,
            json!({ "new_running": running, "old_running": others }),
        );
    }
    if let (Some((failures, threshold)), true) = (new.breaker, new.breaker != old.breaker)
        && failures > 0
    {
        let text = format!("{failures} of {threshold} failed tasks that open the circuit breaker.");
        line(
            "stage",
            text,
            json!({ "failures": failures, "threshold": threshold }),
        );
    }
    lines
}

/// Thousandths as per cent, without a needless decimal.
pub(crate) fn percent(permille: i64) -> String {
    if permille % 10 == 0 {
        (permille / 10).to_string()
    } else {
        format!("{}.{}", permille / 10, permille % 10)
    }
}
