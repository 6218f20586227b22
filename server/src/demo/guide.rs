//! What the demo offers to try, and how it is done: by the simulated account's own means, and by cutting
//! this very server off. Whether something was done is read from Switchback's record.

use crate::demo::plug::Plug;
use crate::guide::Act;
use crate::guide::Offers;
use crate::guide::may_act;
use crate::local;
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use switchback_aws_sim::door;
use switchback_contract::ConsoleHandle;
use switchback_contract::DeploymentFilter;
use switchback_contract::DeploymentView;
use switchback_contract::GateFilter;
use switchback_contract::GateState;
use switchback_contract::GateView;
use switchback_contract::GuideView;
use switchback_contract::Moment;
use switchback_contract::Outcome;
use switchback_contract::OutcomeCause;
use switchback_contract::Phase;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_contract::ServiceFilter;
use switchback_contract::ServiceView;
use switchback_contract::TryView;
use switchback_contract::TryWay;
use switchback_contract::Verdict;

/// The speeds that can be chosen.
const SPEEDS: [f64; 4] = [1.0, 5.0, 20.0, 60.0];

/// The share of requests that a broken revision fails.
const BROKEN: f64 = 0.5;

/// How many of the newest deployments are read to see what was done.
const NEWEST: u32 = 200;

/// The guide of one demo.
pub struct DemoGuide {
    account: Arc<door::Running>,
    plug: Arc<Plug>,
    /// Whether pretend teams are at work.
    has_teams: bool,
    /// Who can have asked for a rollback.
    users: Vec<String>,
    /// When the demo was started, by the account's clock.
    since: Moment,
    /// Revisions that were made to fail.
    broken: Mutex<Vec<String>>,
}

impl DemoGuide {
    /// A guide to this account.
    pub fn new(
        account: Arc<door::Running>,
        plug: Arc<Plug>,
        has_teams: bool,
        users: Vec<String>,
    ) -> DemoGuide {
        let since = Moment::from_millis(account.now_ms());
        DemoGuide {
            account,
            plug,
            has_teams,
            users,
            since,
            broken: Mutex::new(Vec::new()),
        }
    }

    fn broken(&self) -> Vec<String> {
        self.broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn deployments(&self, console: &ConsoleHandle) -> Result<Vec<DeploymentView>, Refusal> {
        let filter = DeploymentFilter {
            limit: Some(NEWEST),
            ..DeploymentFilter::default()
        };
        Ok(console.deployments(filter).await?.items)
    }

    /// The deployment whose new revision is broken next: one that has traffic, or will have some.
    fn breakable<'a>(&self, deployments: &'a [DeploymentView]) -> Option<&'a DeploymentView> {
        let broken = self.broken();
        let rank = |deployment: &DeploymentView| match deployment.phase {
            Some(Phase::Shifting) => Some(0),
            Some(Phase::Baking) => Some(1),
            // Errors need traffic: one that holds with a share of it fails at once, another only once it goes on.
            Some(Phase::Holding) if deployment.share_new.unwrap_or(0.0) > 0.0 => Some(2),
            Some(Phase::Holding) => Some(3),
            Some(Phase::Testing) => Some(4),
            _ => None,
        };
        deployments
            .iter()
            .filter(|deployment| deployment.outcome == Outcome::InProgress)
            // A rollback has no new revision of its own.
            .filter(|deployment| deployment.rollback_of.is_none())
            .filter(|deployment| {
                let target = deployment.target_revision.as_ref();
                target.is_some_and(|target| !broken.contains(target))
            })
            .filter_map(|deployment| Some((rank(deployment)?, deployment)))
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, deployment)| deployment)
    }

    fn gate_tries(&self, gates: &[GateView]) -> [TryView; 2] {
        let open: Vec<&GateView> = gates
            .iter()
            .filter(|gate| gate.state == GateState::Open)
            .collect();
        let decided = |state: GateState, verdict: Verdict| {
            gates.iter().any(|gate| {
                gate.state == state && gate.decisions.iter().any(|one| one.verdict == verdict)
            })
        };
        let soonest = open.iter().min_by_key(|gate| gate.expires_at).copied();
        let latest = open.iter().max_by_key(|gate| gate.expires_at).copied();
        let line = |words: &str, gate: Option<&GateView>, done: bool, detail: &str| {
            let (detail, way) = match gate {
                Some(gate) => (
                    detail.to_string(),
                    Some(TryWay::Link {
                        path: format!("/gates/{}", local::segment(&gate.id)),
                        label: format!("Review {}", gate.deployment.service),
                    }),
                ),
                None => self.no_gate(),
            };
            TryView {
                words: words.to_string(),
                detail,
                done,
                way,
            }
        };
        [
            line(
                "Approve the canary that waits.",
                soonest,
                decided(GateState::Approved, Verdict::Approve),
                "Compare old and new, then let it take the traffic.",
            ),
            line(
                "Reject one.",
                latest,
                decided(GateState::Rejected, Verdict::Reject),
                "Say why; the old revision goes on serving.",
            ),
        ]
    }

    /// What is said where nothing waits at a gate.
    fn no_gate(&self) -> (String, Option<TryWay>) {
        match self.account.next_canary() {
            Some(left) => (
                format!(
                    "Nothing waits at a gate. The next canary starts in {}, or now if you like.",
                    roughly(left)
                ),
                Some(TryWay::Button {
                    path: "/demo/canary".to_string(),
                    label: "Start a canary now".to_string(),
                }),
            ),
            None => (
                "Nothing waits at a gate yet; canaries with a gate are on their way. Faster time brings them sooner."
                    .to_string(),
                None,
            ),
        }
    }

    fn break_try(&self, deployments: &[DeploymentView]) -> TryView {
        let broken = self.broken();
        let of_ours = |deployment: &&DeploymentView| {
            let target = deployment.target_revision.as_ref();
            target.is_some_and(|target| broken.contains(target))
        };
        let done = deployments
            .iter()
            .filter(of_ours)
            .any(|deployment| deployment.outcome_cause == Some(OutcomeCause::Alarm));
        let failing = deployments
            .iter()
            .filter(of_ours)
            .find(|deployment| deployment.outcome == Outcome::InProgress);
        let (detail, way) = match (failing, self.breakable(deployments)) {
            (Some(failing), _) => (
                format!(
                    "Half of what the new revision of {} answers is an error now. Watch its alarm stop it.",
                    failing.service
                ),
                Some(TryWay::Link {
                    path: format!("/deployments/{}", local::segment(&failing.id)),
                    label: format!("Watch {}", failing.service),
                }),
            ),
            (None, Some(next)) => (
                "Its new revision begins to answer with errors, and its alarm stops it."
                    .to_string(),
                Some(TryWay::Button {
                    path: "/demo/break".to_string(),
                    label: format!("Break {}", next.service),
                }),
            ),
            (None, None) => ("Nothing moves that could be broken.".to_string(), None),
        };
        TryView {
            words: "Break the canary.".to_string(),
            detail,
            done,
            way,
        }
    }

    fn rollback_try(&self, deployments: &[DeploymentView], services: &[ServiceView]) -> TryView {
        let done = deployments.iter().any(|deployment| {
            deployment.started_at >= self.since && self.users.contains(&deployment.initiator)
        });
        // One that is at rest: what is under way is stopped, which is another kind of rollback.
        let target = services
            .iter()
            .filter(|service| service.active_deployment.is_none())
            .max_by_key(|service| service.known_good_count.min(3))
            .filter(|service| service.known_good_count > 1);
        TryView {
            words: "Roll back a service.".to_string(),
            detail: match target {
                Some(_) => "To a revision that really served; read the plan first.".to_string(),
                None => "No service is at rest with a revision to go back to.".to_string(),
            },
            done,
            way: target.map(|service| TryWay::Link {
                path: format!(
                    "/services/{}/rollback?to=previous",
                    local::segment(&service.id)
                ),
                label: format!("Plan for {}", service.name),
            }),
        }
    }

    fn plug_try(&self) -> TryView {
        TryView {
            words: "Pull the plug.".to_string(),
            detail: "This server is cut off in the middle of its work and comes back after five seconds; AWS goes on meanwhile."
                .to_string(),
            done: self.plug.times_back() > 0,
            way: Some(TryWay::Button {
                path: "/demo/plug".to_string(),
                label: "Pull the plug".to_string(),
            }),
        }
    }
}

#[async_trait]
impl Offers for DemoGuide {
    async fn view(&self, console: &ConsoleHandle) -> Result<GuideView, Refusal> {
        let me = console.me().await?;
        let (_, speed) = self.account.clock();
        let mut tries = Vec::new();
        if self.has_teams {
            let gates = GateFilter {
                limit: Some(NEWEST),
                ..GateFilter::default()
            };
            let gates = console.gates(gates).await?.items;
            let deployments = self.deployments(console).await?;
            // The demo's account has fewer.
            let services = ServiceFilter {
                limit: Some(NEWEST),
                ..ServiceFilter::default()
            };
            let services = console.services(services).await?.items;
            tries.extend(self.gate_tries(&gates));
            tries.push(self.break_try(&deployments));
            tries.push(self.rollback_try(&deployments, &services));
            tries.push(self.plug_try());
        }
        Ok(GuideView {
            tries,
            speed,
            speeds: SPEEDS.to_vec(),
            may_act: may_act(&me.verbs),
            hidden: false,
        })
    }

    async fn act(&self, console: &ConsoleHandle, act: Act) -> Result<(), Refusal> {
        let invalid = |message: String| Refusal::new(RefusalKind::Invalid, "demo_refused", message);
        match act {
            Act::SetSpeed(speed) => self.account.set_speed(speed).map_err(invalid),
            Act::StartCanary => {
                let started = self.account.start_canary();
                started.map(|_| ()).map_err(|message| {
                    Refusal::new(
                        RefusalKind::Conflict,
                        "demo_busy",
                        format!("No canary was started: {message}."),
                    )
                })
            }
            Act::Break => {
                let deployments = self.deployments(console).await?;
                let revision = self
                    .breakable(&deployments)
                    .and_then(|deployment| deployment.target_revision.clone())
                    .ok_or_else(|| {
                        Refusal::new(
                            RefusalKind::Conflict,
                            "demo_nothing_moves",
                            "Nothing moves that could be broken. Start a canary, or wait for the next deployment.",
                        )
                    })?;
                self.account
                    .disturb(&revision, Some(BROKEN))
                    .map_err(invalid)?;
                self.broken
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(revision);
                Ok(())
            }
            Act::PullThePlug => {
                self.plug.pull();
                Ok(())
            }
        }
    }
}

/// Simulated time in words: `about 3 minutes`.
fn roughly(left: Duration) -> String {
    match left.as_secs().div_ceil(60) {
        0 | 1 => "a minute of its time".to_string(),
        minutes => format!("about {minutes} minutes of its time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_to_minutes() {
        assert_eq!(roughly(Duration::from_secs(20)), "a minute of its time");
        assert_eq!(
            roughly(Duration::from_secs(61)),
            "about 2 minutes of its time"
        );
    }
}
