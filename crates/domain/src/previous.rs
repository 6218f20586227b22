//! The previous revision of a deployment: what was serving when it started. Never N-1.
//!
//! For a deployment that is being watched, the service's task sets show it. For one that began or even
//! ended while nobody watched, it is derived from what AWS still tells, and the record says from what.

use crate::deployment::words;
use crate::moment::Moment;
use crate::revision::RevisionArn;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// What the previous revision was read from, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreviousEvidence {
    /// The task set beside the deployment's own, while it was in progress.
    TaskSet,
    /// The target of the last deployment of the group that kept its traffic before this one began.
    EarlierDeployment,
    /// What Switchback itself saw serving before this deployment began.
    ObservedServing,
    /// The revision that a task of the replaced task set ran; AWS keeps stopped tasks about an hour.
    StoppedTask,
    /// AWS's own word: CodeDeploy's `previousRevision`, or the source service revision of a deployment of ECS.
    PreviousRevision,
}

impl PreviousEvidence {
    /// The word used in the store.
    pub const fn word(self) -> &'static str {
        match self {
            PreviousEvidence::TaskSet => "task_set",
            PreviousEvidence::EarlierDeployment => "earlier_deployment",
            PreviousEvidence::ObservedServing => "observed_serving",
            PreviousEvidence::StoppedTask => "stopped_task",
            PreviousEvidence::PreviousRevision => "previous_revision",
        }
    }

    /// The evidence with this word.
    pub fn parse(word: &str) -> Option<PreviousEvidence> {
        [
            PreviousEvidence::TaskSet,
            PreviousEvidence::EarlierDeployment,
            PreviousEvidence::ObservedServing,
            PreviousEvidence::StoppedTask,
            PreviousEvidence::PreviousRevision,
        ]
        .into_iter()
        .find(|evidence| evidence.word() == word)
    }
}

/// Why nothing says what served when a deployment started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreviousUnknown {
    /// AWS lists no earlier deployment of the group that kept its traffic, and CodeDeploy names none.
    NothingEarlier,
    /// AWS no longer tells to which revision the deployment before it moved the service.
    EarlierUnreadable,
    /// AWS listed a deployment between this one and the one before it, and then no longer knew it.
    EarlierForgotten,
    /// It undoes a deployment that AWS no longer knows.
    UndoneForgotten,
}

words!(PreviousUnknown {
    NothingEarlier => "nothing_earlier",
    EarlierUnreadable => "earlier_unreadable",
    EarlierForgotten => "earlier_forgotten",
    UndoneForgotten => "undone_forgotten",
});

/// A task set of the service as AWS shows it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSet {
    /// The task set's id, for example `ecs-svc/9223370493423413672`.
    pub id: String,
    /// What it runs.
    pub revision: RevisionArn,
    /// Whether AWS marks it PRIMARY.
    pub primary: bool,
    /// The CodeDeploy deployment that created it, if one did. [M: TaskSet.externalId]
    pub created_by_deployment: Option<String>,
    /// When it was created.
    pub created_at: Option<Moment>,
}

/// An earlier deployment of the same group as AWS lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierDeployment {
    /// When AWS created it.
    pub created_at: Moment,
    /// What it moved the service to; `None` when AWS no longer tells.
    pub target: Option<RevisionArn>,
    /// Whether its target was what served in the end.
    pub kept_its_traffic: bool,
}

/// Everything that may tell what served when a deployment started.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PreviousFacts {
    /// The service's task sets now.
    pub task_sets: Vec<TaskSet>,
    /// The id of the task set that AWS says the deployment replaces (label Blue), once it tells.
    pub replaced_task_set: Option<String>,
    /// Deployments of the same group, in any order.
    pub earlier: Vec<EarlierDeployment>,
    /// What Switchback saw serving, and when it last saw it.
    pub observed: Option<(RevisionArn, Moment)>,
    /// What a stopped task of the replaced task set ran.
    pub stopped_task: Option<RevisionArn>,
    /// What CodeDeploy calls the previous revision.
    pub previous_revision: Option<RevisionArn>,
    /// A deployment between this one and the last earlier one that kept its traffic is not known: it may have been of
    /// the same group and have kept its own.
    pub forgotten_between: bool,
}

/// What was serving when the deployment `aws_id`, created at `created_at`, started; or why nothing tells.
pub fn previous(
    aws_id: &str,
    created_at: Moment,
    in_progress: bool,
    facts: &PreviousFacts,
) -> Result<(RevisionArn, PreviousEvidence), PreviousUnknown> {
    if in_progress {
        // The deployment's own task set may already be PRIMARY; the other one is what it replaces.
        let beside = |set: &&TaskSet| set.created_by_deployment.as_deref() != Some(aws_id);
        let other = facts
            .task_sets
            .iter()
            .filter(beside)
            .find(|set| set.primary)
            .or_else(|| {
                facts
                    .task_sets
                    .iter()
                    .filter(beside)
                    .max_by_key(|set| set.created_at)
            });
        if let Some(set) = other {
            return Ok((set.revision.clone(), PreviousEvidence::TaskSet));
        }
    }
    let replaced = facts
        .task_sets
        .iter()
        .find(|set| facts.replaced_task_set.as_ref() == Some(&set.id));
    if let Some(set) = replaced {
        return Ok((set.revision.clone(), PreviousEvidence::TaskSet));
    }
    if let Some(revision) = &facts.stopped_task {
        return Ok((revision.clone(), PreviousEvidence::StoppedTask));
    }
    let earlier = facts
        .earlier
        .iter()
        .filter(|earlier| earlier.created_at < created_at && earlier.kept_its_traffic)
        .max_by_key(|earlier| earlier.created_at);
    let observed = facts.observed.as_ref().filter(|(_, at)| *at < created_at);
    let observed = match (earlier, observed) {
        // Both tell: the later one knows better.
        (Some(earlier), Some((_, at))) if *at <= earlier.created_at => None,
        (_, observed) => observed,
    };
    if let Some((revision, _)) = observed {
        return Ok((revision.clone(), PreviousEvidence::ObservedServing));
    }
    let by_codedeploy = || {
        let revision = facts.previous_revision.clone();
        revision.map(|revision| (revision, PreviousEvidence::PreviousRevision))
    };
    match earlier {
        None => by_codedeploy().ok_or(PreviousUnknown::NothingEarlier),
        Some(_) if facts.forgotten_between => {
            by_codedeploy().ok_or(PreviousUnknown::EarlierForgotten)
        }
        Some(EarlierDeployment {
            target: Some(target),
            ..
        }) => Ok((target.clone(), PreviousEvidence::EarlierDeployment)),
        // An even earlier one would be a guess: this one kept its traffic.
        Some(EarlierDeployment { target: None, .. }) => {
            by_codedeploy().ok_or(PreviousUnknown::EarlierUnreadable)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(number: u64) -> RevisionArn {
        RevisionArn::parse(&format!("arn:aws:ecs:r:1:task-definition/web:{number}")).unwrap()
    }

    fn set(number: u64, primary: bool, by: Option<&str>) -> TaskSet {
        TaskSet {
            id: format!("ecs-svc/{number}"),
            revision: arn(number),
            primary,
            created_by_deployment: by.map(str::to_string),
            created_at: None,
        }
    }

    fn at(seconds: i64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    #[test]
    fn while_in_progress_the_other_task_set_is_what_served() {
        // Before and after the deployment's own task set was made PRIMARY; and a jump from 7 to 3.
        for (own_primary, old_primary) in [(false, true), (true, false)] {
            let facts = PreviousFacts {
                task_sets: vec![
                    set(3, own_primary, Some("d-1")),
                    set(7, old_primary, Some("d-0")),
                ],
                ..PreviousFacts::default()
            };
            assert_eq!(
                previous("d-1", at(9), true, &facts),
                Ok((arn(7), PreviousEvidence::TaskSet))
            );
        }
        // Before the deployment has a task set of its own.
        let facts = PreviousFacts {
            task_sets: vec![set(1, true, None)],
            ..PreviousFacts::default()
        };
        assert_eq!(
            previous("d-1", at(9), true, &facts),
            Ok((arn(1), PreviousEvidence::TaskSet))
        );
    }

    #[test]
    fn a_replaced_task_set_that_still_runs_tells_afterwards_too() {
        // The first deployment of a service was rolled back before anybody looked: what it replaced runs on.
        let facts = PreviousFacts {
            task_sets: vec![set(1, true, None)],
            replaced_task_set: Some("ecs-svc/1".to_string()),
            ..PreviousFacts::default()
        };
        assert_eq!(
            previous("d-1", at(9), false, &facts),
            Ok((arn(1), PreviousEvidence::TaskSet))
        );
    }

    #[test]
    fn afterwards_the_last_deployment_that_kept_its_traffic_tells() {
        let earlier = |seconds, number, kept| EarlierDeployment {
            created_at: at(seconds),
            target: Some(arn(number)),
            kept_its_traffic: kept,
        };
        let facts = PreviousFacts {
            earlier: vec![
                earlier(30, 4, true),
                earlier(10, 2, true),
                earlier(20, 3, false),
            ],
            observed: Some((arn(1), at(5))),
            ..PreviousFacts::default()
        };
        assert_eq!(
            previous("d-4", at(30), false, &facts),
            Ok((arn(2), PreviousEvidence::EarlierDeployment))
        );
        assert_eq!(
            previous("d-2", at(10), false, &facts),
            Ok((arn(1), PreviousEvidence::ObservedServing))
        );
        assert_eq!(
            previous("d-0", at(1), false, &facts),
            Err(PreviousUnknown::NothingEarlier)
        );
    }

    #[test]
    fn what_is_forgotten_is_not_guessed_around() {
        let earlier = |target| EarlierDeployment {
            created_at: at(20),
            target,
            kept_its_traffic: true,
        };
        let older = EarlierDeployment {
            created_at: at(10),
            ..earlier(Some(arn(1)))
        };
        // The earlier ones, whether one between is not known, CodeDeploy's own word, and what follows.
        for (last, forgotten_between, by_codedeploy, expected) in [
            (
                earlier(None),
                false,
                None,
                Err(PreviousUnknown::EarlierUnreadable),
            ),
            (
                earlier(None),
                false,
                Some(arn(5)),
                Ok((arn(5), PreviousEvidence::PreviousRevision)),
            ),
            (
                earlier(Some(arn(2))),
                true,
                None,
                Err(PreviousUnknown::EarlierForgotten),
            ),
            (
                earlier(Some(arn(2))),
                true,
                Some(arn(5)),
                Ok((arn(5), PreviousEvidence::PreviousRevision)),
            ),
            (
                earlier(Some(arn(2))),
                false,
                Some(arn(5)),
                Ok((arn(2), PreviousEvidence::EarlierDeployment)),
            ),
        ] {
            let facts = PreviousFacts {
                earlier: vec![older.clone(), last],
                previous_revision: by_codedeploy,
                forgotten_between,
                ..PreviousFacts::default()
            };
            assert_eq!(previous("d-9", at(30), false, &facts), expected);
        }
    }
}
