//! Ending CodeDeploy's bake early: what the page shows and what is asked.

use crate::DeploymentView;
use crate::PlanView;
use crate::RequestMark;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use switchback_domain::moment::Moment;

/// Everything the page shows on which a bake is ended early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndBakePage {
    /// The deployment.
    pub deployment: DeploymentView,
    /// The account's clock when this was read.
    pub now: Moment,
    /// The plan; `None` when there is nothing to end.
    pub plan: Option<PlanView>,
    /// Why the reader may not; `None` when they may.
    pub may_not: Option<String>,
}

/// The end of a bake as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndBakeCommand {
    /// Why. Needed.
    pub reason: String,
    /// The digest of the plan that was read.
    pub plan_digest: String,
    /// The request that it came with, when that has an Idempotency-Key. Set by the server, never sent.
    #[serde(skip)]
    pub request: Option<RequestMark>,
}
