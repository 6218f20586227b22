//! What CodeDeploy and CloudWatch tell, in AWS's shapes. What ECS tells is in `world/ecs/told.rs`.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Told;
use crate::value::Value;
use crate::world::codedeploy::{Deployment, Status};
use crate::world::region::Region;

/// What of each service of ECS was last told, by cluster and name.
pub(crate) type ToldServices = BTreeMap<(String, String), ToldTasks>;

/// What of a service was last told: task ARNs with their state, the service's ARN and task sets with their
/// steadiness, rolling deployments with their state.
#[derive(Default)]
pub(crate) struct ToldTasks {
    pub(crate) tasks: BTreeMap<String, (&'static str, i64)>,
    pub(crate) steady: BTreeMap<String, bool>,
    pub(crate) rollouts: BTreeMap<String, String>,
}

/// `2026-11-21T10:00:00Z`.
pub(crate) fn whole_seconds(at_ms: i64) -> String {
    OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1000))
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// `2026-11-21T10:00:00.007Z`.
pub(crate) fn milliseconds(at_ms: i64) -> String {
    let seconds = whole_seconds(at_ms);
    let seconds = seconds.strip_suffix('Z').unwrap_or(&seconds);
    format!("{seconds}.{:03}Z", at_ms.rem_euclid(1000))
}

/// A value as it stands in an event's detail: moments are ISO 8601 with milliseconds.
pub(crate) fn as_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::Double(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Time(ms) => milliseconds(*ms).into(),
        Value::List(list) => list.iter().map(as_json).collect(),
        Value::Map(map) => map
            .iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(name, member)| (name.clone(), as_json(member)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

impl Region {
    /// A deployment has another status than before. \[D\] CodeDeploy's `monitoring-cloudwatch-events`, and
    /// AWS's own typed fixtures: the states are START, SUCCESS, FAILURE, STOP and READY, and nothing
    /// says who created it or what it rolls back. That READY deployments that go on tell nothing again
    /// is our choice.
    pub(crate) fn tell_deployment(&mut self, before: Status, deployment: &Deployment) {
        let state = match (before, deployment.status) {
            (before, now) if before == now => return,
            (Status::Created, Status::InProgress) => "START",
            (_, Status::Succeeded) => "SUCCESS",
            (_, Status::Failed) => "FAILURE",
            (_, Status::Stopped) => "STOP",
            (_, Status::Ready) => "READY",
            _ => return,
        };
        if !self.events.is_listened_to() {
            return;
        }
        let (application, group) = (&deployment.application, &deployment.group);
        let resources = vec![
            self.arn("codedeploy", &format!("application:{application}")),
            self.arn(
                "codedeploy",
                &format!("deploymentgroup:{application}/{group}"),
            ),
        ];
        let detail = json!({
            "instanceGroupId": self.codedeploy.group_id(application, group),
            "region": self.region,
            "application": application,
            "deploymentId": deployment.id,
            "state": state,
            "deploymentGroup": group,
        });
        let detail_type = "CodeDeploy Deployment State-change Notification";
        self.emit("aws.codedeploy", detail_type, resources, detail);
    }

    /// Alarms have changed their states. \[D\] `cloudwatch-and-eventbridge`.
    pub(crate) fn tell_alarms(&mut self) {
        let changes = self.cloudwatch.take_transitions();
        if !self.events.is_listened_to() {
            return;
        }
        for change in changes {
            self.tell(&Told {
                source: "aws.cloudwatch",
                detail_type: "CloudWatch Alarm State Change",
                resources: vec![change.arn],
                at_ms: change.at_ms,
                detail: change.detail,
            });
        }
    }
}
