//! Whose service a run is about: a team that deploys with CodeDeploy, or one whose service ECS itself deploys.

use serde_json::Value;
use serde_json::json;

use crate::account::Account;
use crate::account::Json;
use crate::account::PRODUCT_KEY;
use crate::campaign::site::Site;
use crate::campaign::table::Act;
use crate::campaign::table::Run;
use crate::ecs_services::CLUSTER;
use crate::ecs_services::EcsTeam;
use crate::ecs_services::balancers;
use crate::ecs_services::encoded;
use crate::ecs_services::rolling;
use crate::team::AT_ONCE;
use crate::team::CANARY;
use crate::team::Team;

/// The team of a run.
pub enum Crew {
    CodeDeploy(Team),
    Ecs { team: EcsTeam, service: String },
}

impl Crew {
    /// Builds the run's service with its first revision.
    pub async fn build(account: &Account, run: &Run) -> Crew {
        let service = run.service();
        let team = match run.act {
            Act::MoveService => EcsTeam::build(account, &service, rolling(), json!([])).await,
            Act::StopServiceDeployment => {
                let balancers = balancers(account, &service).await;
                let canary = json!({
                    "strategy": "CANARY", "bakeTimeInMinutes": 1,
                    "canaryConfiguration": { "canaryPercent": 10.0, "canaryBakeTimeInMinutes": 8 },
                });
                EcsTeam::build(account, &service, canary, balancers).await
            }
            _ => return Crew::CodeDeploy(Team::build(account, &service).await),
        };
        Crew::Ecs { team, service }
    }

    /// Registers the next revision; gives its ARN.
    pub async fn registers(&self, tag: &str) -> String {
        match self {
            Crew::CodeDeploy(team) => team.registers(tag, &[]).await,
            Crew::Ecs { team, .. } => team.registers(tag, &[]).await,
        }
    }

    /// The revision that the service was made with, by another one of its family.
    pub fn first_revision(&self, of: &str) -> String {
        match self {
            Crew::CodeDeploy(team) => team.first_revision.clone(),
            Crew::Ecs { .. } => of
                .rsplit_once(':')
                .map(|(family, _)| format!("{family}:1"))
                .unwrap_or_default(),
        }
    }

    /// Begins a deployment, all at once or in steps; gives what finds it under `/deployments`.
    pub async fn deploys(
        &self,
        revision: &str,
        in_steps: bool,
        hook: Option<(&str, &str)>,
        description: &str,
    ) -> String {
        match self {
            Crew::CodeDeploy(team) => {
                let strategy = if in_steps { CANARY } else { AT_ONCE };
                team.deploys(revision, strategy, hook, description).await
            }
            Crew::Ecs { team, .. } => encoded(&team.updates(revision).await),
        }
    }

    /// What serves, by AWS.
    pub async fn serving(&self, account: &Account) -> String {
        let service = match self {
            Crew::CodeDeploy(team) => return team.serving().await,
            Crew::Ecs { service, .. } => service,
        };
        let input = json!({ "cluster": CLUSTER, "services": [service] });
        let answer = account.call(Json::Ecs, "DescribeServices", input).await;
        let deployments = answer["services"][0]["deployments"].as_array();
        let completed = deployments
            .into_iter()
            .flatten()
            .find(|one| one["status"] == "PRIMARY" && one["rolloutState"] == "COMPLETED");
        let completed = completed.unwrap_or_else(|| panic!("nothing serves alone: {answer}"));
        completed["taskDefinition"]
            .as_str()
            .unwrap_or_default()
            .to_string()
    }
}

impl Site {
    /// A look into the database.
    pub async fn eye(&self) -> crate::campaign::database::Eye {
        self.database.eye().await
    }

    /// The service's deployments, as AWS lists them.
    pub async fn listed(&self, crew: &Crew) -> Vec<String> {
        self.listed_with(crew, false).await
    }

    /// Those that have not ended.
    pub async fn unfinished(&self, crew: &Crew) -> Vec<String> {
        self.listed_with(crew, true).await
    }

    async fn listed_with(&self, crew: &Crew, unfinished: bool) -> Vec<String> {
        let (service, operation, mut input) = match crew {
            Crew::CodeDeploy(team) => (
                Json::CodeDeploy,
                "ListDeployments",
                json!({ "applicationName": team.application, "deploymentGroupName": team.group }),
            ),
            Crew::Ecs { service, .. } => (
                Json::Ecs,
                "ListServiceDeployments",
                json!({ "cluster": CLUSTER, "service": service }),
            ),
        };
        match crew {
            Crew::CodeDeploy(_) if unfinished => {
                input["includeOnlyStatuses"] =
                    json!(["Created", "Queued", "InProgress", "Ready", "Baking"]);
            }
            Crew::Ecs { .. } if unfinished => {
                input["status"] = json!([
                    "PENDING",
                    "IN_PROGRESS",
                    "STOP_REQUESTED",
                    "ROLLBACK_REQUESTED",
                    "ROLLBACK_IN_PROGRESS"
                ]);
            }
            _ => {}
        }
        let answer = self.account.call(service, operation, input).await;
        let texts = |list: &Value, member: Option<&str>| {
            let list = list.as_array().into_iter().flatten();
            list.filter_map(|one| {
                let id = member.map_or(one, |member| &one[member]);
                id.as_str().map(str::to_string)
            })
            .collect()
        };
        match crew {
            Crew::CodeDeploy(_) => texts(&answer["deployments"], None),
            Crew::Ecs { .. } => texts(&answer["serviceDeployments"], Some("serviceDeploymentArn")),
        }
    }

    /// Every call of the product that concerns the service.
    pub async fn calls(&self, crew: &Crew) -> Vec<Value> {
        let own = self.listed(crew).await;
        let is_own = |value: &Value| {
            let id = value.as_str();
            id.is_some_and(|id| own.iter().any(|own| own == id))
        };
        let mut calls = self.account.journal(PRODUCT_KEY).await;
        calls.retain(|call| {
            let parameters = &call["parameters"];
            match crew {
                Crew::CodeDeploy(team) => {
                    parameters["applicationName"] == team.application.as_str()
                        || is_own(&parameters["deploymentId"])
                }
                Crew::Ecs { service, .. } => {
                    parameters["service"] == service.as_str()
                        || is_own(&parameters["serviceDeploymentArn"])
                }
            }
        });
        calls
    }

    /// How many of the calls took effect. An UpdateService that AWS accepts may begin nothing, so there it is the
    /// deployments that count: all but the two with which the service came to its second revision.
    pub async fn effects(&self, crew: &Crew, act: Act, calls: &[Value]) -> usize {
        if act == Act::MoveService {
            return self.listed(crew).await.len().saturating_sub(2);
        }
        calls.iter().filter(|call| call["error"].is_null()).count()
    }
}
