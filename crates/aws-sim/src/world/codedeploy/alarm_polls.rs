//! The most frequent thing that happens in an account: the alarms of a deployment are looked at, and none is up.
//!
//! Nothing follows from that, so it is done without everything else that a moment can bring. A look that
//! finds something is left to the engine, which does it in the same moment.

use super::engine::ALARM_POLL_MS;
use crate::world::region::Region;

impl Region {
    /// Does the looks that are due and find no reason to stop.
    pub(crate) fn poll_quiet_alarms(&mut self) {
        let now = self.now;
        let quiet: Vec<usize> = self
            .codedeploy
            .active
            .iter()
            .copied()
            .filter(|index| {
                self.codedeploy.deployments.get(*index).is_some_and(|one| {
                    one.alarm_check_due.is_some_and(|at| at <= now)
                        && one.stop_due.is_none_or(|(at, _)| at > now)
                        && self.alarm_verdict(&one.alarms).is_none()
                })
            })
            .collect();
        for index in quiet {
            if let Some(deployment) = self.codedeploy.deployments.get_mut(index) {
                deployment.alarm_check_due = Some(now + ALARM_POLL_MS);
                deployment.updated_at = now;
            }
        }
    }
}
