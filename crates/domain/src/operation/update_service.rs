//! Whether an UpdateService whose answer is not known had its effect.
//!
//! UpdateService has no idempotency token and nothing that could carry a marker, neither in the request nor in the
//! deployment that it begins (aws.md §0.1, §2.3). What there is instead:
//!
//! * **It sets, it does not add.** Without `forceNewDeployment` a call that names the task definition which the service
//!   has already begins nothing (aws.md §2.2). So where the first call arrives after all, behind a second one, there is
//!   still one deployment.
//! * **Every deployment is another PRIMARY.** The intent names the PRIMARY deployment up to which everything was
//!   recorded, and the service deployments that were known then. What is neither is what began since.
//! * **A request grows old.** AWS refuses a request whose signature is older than five minutes, so one without an
//!   effect by then will never have one.
//!
//! A deployment to the planned revision that began since is what was asked for, and no call is sent any more; but
//! somebody else may have asked for the same in that moment, and AWS does not tell whose call began it. The record
//! says so ([`WHOSE_IT_IS`]). CloudTrail would tell, some minutes later.

use crate::operation::LISTING_GRACE_SECONDS;
use crate::revision::RevisionArn;
use serde::Deserialize;
use serde::Serialize;

/// How long after it was signed AWS takes a request, in seconds. [D: Signature Version 4, *time stamps in requests*]
pub const SIGNATURE_LIFETIME_SECONDS: i64 = 300;

/// What the record says of a deployment that was found instead of an answer.
pub const WHOSE_IT_IS: &str =
    "The answer to the call was lost, and AWS does not tell whose call began a deployment.";

/// An intended UpdateService, fixed when the intent is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateIntent {
    /// The cluster's name.
    pub cluster: String,
    /// The service's name.
    pub service: String,
    /// Where it goes.
    pub task_definition: RevisionArn,
    /// Whether a deployment begins although the service names that task definition already.
    pub force_new_deployment: bool,
    /// The service's PRIMARY deployment (`ecs-svc/…`) when the plan was made: everything up to it was recorded.
    pub primary: Option<String>,
    /// The ARNs of the service deployments of the last minutes that were recorded when the intent was.
    pub known: Vec<String>,
}

/// A service deployment that AWS shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its ARN.
    pub aws_id: String,
    /// When AWS created it, in milliseconds since 1970.
    pub created_at: i64,
    /// Where it goes.
    pub target: Option<RevisionArn>,
}

/// What AWS shows about the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateShown {
    /// This deployment to the planned revision began since, the first of so many.
    Begun(String, usize),
    /// No deployment began, and the call may be made again: either the first can have no effect any more, or a second
    /// one would not add to it.
    Absent,
    /// Something else moved the service since, and the call, which had no effect by then, can have none any more.
    Overtaken,
    /// Too early to tell.
    TooEarly,
}

impl UpdateIntent {
    /// Whether the service still is where the plan found it.
    /// `primary` is its PRIMARY deployment now.
    pub fn still_holds(&self, primary: Option<&str>) -> bool {
        primary.is_some() && self.primary.as_deref() == primary
    }

    /// What the service's PRIMARY deployment and its deployments show, `waited` seconds after the call was begun last.
    pub fn shown(&self, primary: Option<&str>, listed: &[Listed], waited: i64) -> UpdateShown {
        let mut begun: Vec<&Listed> = listed
            .iter()
            .filter(|one| {
                one.target.as_ref() == Some(&self.task_definition)
                    && !self.known.contains(&one.aws_id)
            })
            .collect();
        begun.sort_by_key(|one| (one.created_at, &one.aws_id));
        if let Some(first) = begun.first() {
            return UpdateShown::Begun(first.aws_id.clone(), begun.len());
        }
        let too_old = waited >= SIGNATURE_LIFETIME_SECONDS + LISTING_GRACE_SECONDS;
        if self.still_holds(primary) {
            let may_repeat = match self.force_new_deployment {
                // A second one would begin a second deployment, should the first arrive after all.
                true => too_old,
                false => waited >= LISTING_GRACE_SECONDS,
            };
            return match may_repeat {
                true => UpdateShown::Absent,
                false => UpdateShown::TooEarly,
            };
        }
        // By then the list would show ours.
        match too_old {
            true => UpdateShown::Overtaken,
            false => UpdateShown::TooEarly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(number: u64) -> RevisionArn {
        RevisionArn::parse(&format!("arn:aws:ecs:r:1:task-definition/web:{number}")).unwrap()
    }

    fn intent(force_new_deployment: bool) -> UpdateIntent {
        UpdateIntent {
            cluster: "prod".to_string(),
            service: "web".to_string(),
            task_definition: revision(1),
            force_new_deployment,
            primary: Some("ecs-svc/2".to_string()),
            known: vec!["known".to_string()],
        }
    }

    fn listed(aws_id: &str, created_at: i64, number: u64) -> Listed {
        Listed {
            aws_id: aws_id.to_string(),
            created_at,
            target: Some(revision(number)),
        }
    }

    #[test]
    fn what_aws_shows_decides() {
        let (same, other) = (Some("ecs-svc/2"), Some("ecs-svc/3"));
        let known = [listed("known", 5, 1), listed("foreign", 6, 3)];
        let new = [listed("b", 9, 1), listed("a", 8, 1)];
        let begun = |aws_id: &str, count| UpdateShown::Begun(aws_id.to_string(), count);
        // Forced; the PRIMARY now; its deployments; seconds since the call; what that shows.
        let table = [
            (false, same, &known[..1], 9, UpdateShown::TooEarly),
            (false, same, &known[..1], 10, UpdateShown::Absent),
            // Forced, a first call that arrives late would add a second deployment.
            (true, same, &known[..1], 10, UpdateShown::TooEarly),
            (true, same, &known[..1], 309, UpdateShown::TooEarly),
            (true, same, &known[..1], 310, UpdateShown::Absent),
            (false, other, &new[..1], 0, begun("b", 1)),
            (true, other, &new[..], 0, begun("a", 2)),
            // Rolled back since: it began all the same.
            (false, same, &new[..1], 600, begun("b", 1)),
            // Moved elsewhere, or the list is late: ours may still be on its way, until its signature is too old.
            (false, other, &known[..], 10, UpdateShown::TooEarly),
            (false, other, &known[..], 310, UpdateShown::Overtaken),
            (true, other, &known[..], 310, UpdateShown::Overtaken),
            (false, None, &known[..], 60, UpdateShown::TooEarly),
        ];
        for (force, primary, listed, waited, expected) in table {
            let shown = intent(force).shown(primary, listed, waited);
            assert_eq!(shown, expected, "{force} {primary:?} {listed:?} {waited}");
        }
    }

    #[test]
    fn without_a_primary_nothing_holds() {
        let nowhere = UpdateIntent {
            primary: None,
            ..intent(false)
        };
        assert!(!nowhere.still_holds(None));
        assert!(intent(false).still_holds(Some("ecs-svc/2")));
        assert!(!intent(false).still_holds(Some("ecs-svc/3")));
    }
}
