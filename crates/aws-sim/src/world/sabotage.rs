//! Ways to make the account wrong on purpose, so that a test can show that the suites see it.
//!
//! Nothing of the product and no option of its command line gets here; only a caller in Rust can
//! ([`crate::door::serve_sabotaged`]), and the example binary's `--mutant`.
//! The wrongs about traffic are done in the world itself, where AWS's own mistake would be; the wrongs
//! of form are done to finished answers, after everything that is right about them.

use crate::error::AwsError;
use crate::value::Value;
use crate::world::read::put;

/// One way of being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Deployments go through all their events and succeed; the listeners stay as they were.
    WeightsNeverMove,
    /// A target group that gets traffic forgets its targets.
    TargetsForgotten,
    /// A rollback succeeds and leaves the weights of the deployment that it rolls back.
    WeightsLeftAfterStop,
    /// A rollback looks as if a person had started it.
    RollbackByUser,
    /// Deployments end without saying when.
    CompletionForgotten,
    /// A deployment's status is spelled in capitals.
    StatusInCapitals,
    /// A service's answer has a member that no model has.
    MemberInvented,
    /// Creation times are milliseconds where AWS has seconds.
    TimeInMilliseconds,
    /// A refusal has a code that the operation does not have.
    ErrorUntyped,
    /// Listings lose the item that begins their second page.
    PageSkipsOne,
}

impl Sabotage {
    /// Every way with the name that it has on a command line.
    pub const ALL: [(&'static str, Sabotage); 10] = [
        ("weights-never-move", Sabotage::WeightsNeverMove),
        ("targets-forgotten", Sabotage::TargetsForgotten),
        ("weights-left-after-stop", Sabotage::WeightsLeftAfterStop),
        ("rollback-by-user", Sabotage::RollbackByUser),
        ("completion-forgotten", Sabotage::CompletionForgotten),
        ("status-in-capitals", Sabotage::StatusInCapitals),
        ("member-invented", Sabotage::MemberInvented),
        ("time-in-milliseconds", Sabotage::TimeInMilliseconds),
        ("error-untyped", Sabotage::ErrorUntyped),
        ("page-skips-one", Sabotage::PageSkipsOne),
    ];

    /// The way with this name.
    pub fn parse(name: &str) -> Option<Sabotage> {
        let found = Sabotage::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, sabotage)| *sabotage)
    }

    /// Does its wrong to what an operation answers.
    pub(crate) fn spoil(
        self,
        service: &str,
        operation: &str,
        input: &Value,
        outcome: Result<Value, AwsError>,
    ) -> Result<Value, AwsError> {
        let mut answer = match outcome {
            Ok(answer) => answer,
            Err(error) if self == Sabotage::ErrorUntyped && service == "codedeploy" => {
                return Err(AwsError::caller("ResourceMissingException", error.message));
            }
            Err(error) => return Err(error),
        };
        match (self, service, operation) {
            (Sabotage::RollbackByUser, "codedeploy", "GetDeployment") => {
                change(&mut answer, "deploymentInfo", |info| {
                    put(info, "creator", "user");
                });
            }
            (Sabotage::CompletionForgotten, "codedeploy", "GetDeployment") => {
                change(&mut answer, "deploymentInfo", |info| {
                    put(info, "completeTime", Value::Null);
                });
            }
            (Sabotage::StatusInCapitals, "codedeploy", "GetDeployment") => {
                change(&mut answer, "deploymentInfo", |info| {
                    let status = info
                        .get("status")
                        .as_str()
                        .unwrap_or_default()
                        .to_uppercase();
                    put(info, "status", status);
                });
            }
            (Sabotage::MemberInvented, "ecs", "DescribeServices") => {
                change_each(&mut answer, "services", |one| {
                    put(one, "trafficShare", 100_i64);
                });
            }
            (Sabotage::TimeInMilliseconds, "ecs", "DescribeServices") => {
                change_each(&mut answer, "services", |one| {
                    if let Some(ms) = one.get("createdAt").as_time_ms() {
                        put(one, "createdAt", ms);
                    }
                });
            }
            (Sabotage::PageSkipsOne, "codedeploy", "ListApplications")
                if !input.get("nextToken").is_null() =>
            {
                change(&mut answer, "applications", |list| {
                    if let Value::List(items) = list
                        && !items.is_empty()
                    {
                        items.remove(0);
                    }
                });
            }
            _ => {}
        }
        Ok(answer)
    }
}

fn change(answer: &mut Value, member: &str, how: impl FnOnce(&mut Value)) {
    if let Value::Map(members) = answer
        && let Some(found) = members.get_mut(member)
    {
        how(found);
    }
}

fn change_each(answer: &mut Value, member: &str, how: impl Fn(&mut Value)) {
    change(answer, member, |list| {
        if let Value::List(items) = list {
            items.iter_mut().for_each(how);
        }
    });
}
