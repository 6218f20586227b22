//! A service that CodeDeploy deployed becomes one that ECS deploys, in place.
//!
//! * UpdateService may change the controller from CODE_DEPLOY to ECS while no deployment goes on: \[D\]
//!   migrate-codedeploy-to-ecs-bluegreen.
//! * Our choice: the change always begins a service deployment, whose source is the revision that the PRIMARY
//!   task set runs; every other change of controller is refused; a deployment goes on as long as there is a
//!   second task set. The texts.

use super::operations::bad;
use super::{Controller, Service, UnitStatus};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::read::text;
use crate::world::region::Region;

/// The controller that a service has after this UpdateService.
pub(super) fn next_controller(service: &Service, input: &Value) -> Result<Controller, AwsError> {
    let given = input.get("deploymentController");
    match text(given, "type") {
        None => Ok(service.controller),
        Some(same) if same == service.controller.name() => Ok(service.controller),
        Some("ECS") if service.controller == Controller::CodeDeploy => {
            let sets = service.units.iter();
            let live = sets.filter(|unit| unit.status != UnitStatus::Draining);
            if live.count() > 1 {
                return Err(bad(
                    "The deployment controller cannot be changed while a deployment is in progress.",
                ));
            }
            Ok(Controller::Ecs)
        }
        Some(wanted) => Err(bad(format!(
            "The deployment controller cannot be changed from {} to {wanted}.",
            service.controller.name()
        ))),
    }
}

impl Region {
    /// The PRIMARY task set becomes the completed deployment of a service that ECS deploys.
    pub(super) fn take_over(&mut self, service: &mut Service) {
        service.controller = Controller::Ecs;
        let Some(definition) = service.primary().map(|unit| unit.task_definition.clone()) else {
            return;
        };
        let revision = self.new_service_revision(service, &definition);
        if let Some(own) = service.revisions.last_mut() {
            own.images_known = true;
        }
        let desired = service.desired;
        for unit in &mut service.units {
            if unit.status == UnitStatus::Primary {
                unit.revision = Some(revision.clone());
                unit.rolling_wanted = desired;
                unit.rollout = Some((
                    "COMPLETED",
                    format!("ECS deployment {} completed.", unit.id),
                ));
            }
        }
    }
}
