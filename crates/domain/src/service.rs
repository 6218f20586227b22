//! A service: one ECS service with the controller that deploys it.

use crate::ecs::EcsService;
use crate::ids::ServiceId;
use crate::moment::Moment;
use crate::revision::RevisionArn;
use serde::Deserialize;
use serde::Serialize;

/// Who deploys the service, and how. The closed enum of AWS's deployment controllers: whatever only one of them has is
/// inside its variant, and a new controller is a new variant here (docs/recipes.md, *Adding a controller*).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Controller {
    /// AWS CodeDeploy moves a service of controller type CODE_DEPLOY (aws.md §1).
    Codedeploy(DeploymentGroup),
    /// ECS itself moves it: rolling, blue-green, linear or canary (aws.md §2).
    Ecs(EcsService),
}

impl Controller {
    /// The words of all controllers.
    pub const WORDS: [&'static str; 2] = ["codedeploy", "ecs"];

    /// The word used in the store and the API.
    pub const fn word(&self) -> &'static str {
        match self {
            Controller::Codedeploy(_) => "codedeploy",
            Controller::Ecs(_) => "ecs",
        }
    }

    /// CodeDeploy's group, where CodeDeploy deploys it.
    pub const fn group(&self) -> Option<&DeploymentGroup> {
        match self {
            Controller::Codedeploy(group) => Some(group),
            Controller::Ecs(_) => None,
        }
    }

    /// What ECS says, where ECS itself deploys it.
    pub const fn ecs(&self) -> Option<&EcsService> {
        match self {
            Controller::Codedeploy(_) => None,
            Controller::Ecs(ecs) => Some(ecs),
        }
    }

    /// Whether ECS was left naming another revision than this one: what a deployment that failed without a rollback
    /// leaves behind.
    pub fn is_left_elsewhere(&self, serving: &RevisionArn) -> bool {
        self.ecs()
            .and_then(|ecs| ecs.task_definition.as_ref())
            .is_some_and(|named| named != serving)
    }

    /// CodeDeploy's configuration by its name, or the word of ECS's strategy.
    pub fn strategy(&self) -> &str {
        match self {
            Controller::Codedeploy(group) => &group.config_name,
            Controller::Ecs(ecs) => ecs.configuration.strategy.word(),
        }
    }

    /// The names of the alarms that end a deployment; empty when alarms are off.
    pub fn alarms(&self) -> &[String] {
        match self {
            Controller::Codedeploy(group) => &group.alarms,
            Controller::Ecs(ecs) => &ecs.configuration.alarms,
        }
    }

    /// The names of the target groups that traffic moves between.
    pub fn target_groups(&self) -> &[String] {
        match self {
            Controller::Codedeploy(group) => &group.routes.target_groups,
            Controller::Ecs(ecs) => &ecs.target_groups,
        }
    }
}

/// One listener route of a CodeDeploy group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct TrafficRoutes {
    /// The production listener's ARN.
    pub production_listener: Option<String>,
    /// The test listener's ARN, when the group has one.
    pub test_listener: Option<String>,
    /// The names of the two target groups.
    pub target_groups: Vec<String>,
}

/// What a CodeDeploy deployment group says about its service, when last read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct DeploymentGroup {
    /// The CodeDeploy application's name.
    pub application: String,
    /// The deployment group's name.
    pub group: String,
    /// The deployment configuration new deployments use by default.
    pub config_name: String,
    /// Where traffic is moved.
    pub routes: TrafficRoutes,
    /// The names of the alarms that stop a deployment; empty when alarms are off.
    pub alarms: Vec<String>,
    /// Whether CodeDeploy rolls back by itself when a deployment fails.
    pub rolls_back_on_failure: bool,
    /// Whether CodeDeploy rolls back by itself when an alarm stops a deployment.
    pub rolls_back_on_alarm: bool,
    /// How long a deployment waits for a person before shifting traffic, in minutes; 0 when it does not.
    pub ready_wait_minutes: i64,
    /// How long the old tasks are kept after the shift, in minutes; `None` when they are kept alive.
    pub termination_wait_minutes: Option<i64>,
}

/// A service as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Switchback's identifier.
    pub id: ServiceId,
    /// The ECS service's name.
    pub name: String,
    /// The ECS service's ARN.
    pub arn: String,
    /// The cluster's name.
    pub cluster: String,
    /// The account number.
    pub account: String,
    /// The region.
    pub region: String,
    /// Who deploys it, and how.
    pub controller: Controller,
    /// What serves production now, when last read: the PRIMARY task set's revision, or that of ECS's last completed
    /// deployment.
    pub serving_revision: Option<RevisionArn>,
    /// Since when, as far as Switchback saw.
    pub serving_since: Option<Moment>,
    /// Tasks wanted.
    pub desired_count: i64,
    /// Tasks running.
    pub running_count: i64,
    /// When AWS was last read for this service.
    pub observed_at: Moment,
    /// Grows with every change of the row.
    pub generation: i64,
}
