//! The ECS operation that stops one task, as a person or a program does that wants it gone.
//!
//! * Shape, members and errors: \[M\]. `stopCode` is `UserInitiated`: \[M\].
//! * A task of a service is replaced by the service scheduler: \[D\].
//! * `stoppedReason` is the reason that the caller gave, and without one the text below: \[K\].
//! * A task that is stopping already is answered as it is: our choice.

use super::operations::bad;
use crate::error::AwsError;
use crate::value::Value;
use crate::world::read::text;
use crate::world::region::Region;

const NO_REASON: &str = "Task stopped by user";

impl Region {
    pub(super) fn stop_one_task(&mut self, input: &Value) -> Result<Value, AwsError> {
        let cluster = self.cluster_name(input)?;
        let given = text(input, "task").ok_or_else(|| bad("task must be specified."))?;
        let id = given.rsplit('/').next().unwrap_or(given);
        let key = self
            .ecs
            .services
            .iter()
            .filter(|(key, _)| key.0 == cluster)
            .find(|(_, service)| {
                let mut tasks = service.tasks.iter();
                tasks.any(|task| task.arn.rsplit('/').next() == Some(id))
            })
            .map(|(key, _)| key.clone());
        let missing = || bad("The referenced task was not found.");
        // Taken out while it is worked on, because the rest of the region is needed beside it.
        let mut service = key
            .as_ref()
            .and_then(|key| self.ecs.services.remove(key))
            .ok_or_else(missing)?;
        let at = service
            .tasks
            .iter()
            .position(|task| task.arn.rsplit('/').next() == Some(id));
        let answer = at.and_then(|at| service.tasks.get_mut(at)).map(|task| {
            if !task.stopping() {
                let reason = text(input, "reason").unwrap_or(NO_REASON).to_string();
                self.stop_task(task, reason);
                task.stop = task
                    .stop
                    .take()
                    .map(|(_, reason)| ("UserInitiated", reason));
            }
        });
        let answer = answer
            .and(at)
            .and_then(|at| service.tasks.get(at))
            .map(|task| structure! { "task": self.task_value(&service, task) });
        if let Some(key) = key {
            self.ecs.services.insert(key, service);
        }
        answer.ok_or_else(missing)
    }
}
