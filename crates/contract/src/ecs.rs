//! What only deployments of the controller `ecs` have.

use crate::ImageView;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// The tasks of a deployment of the controller `ecs`, as last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskCounts {
    /// Running tasks of the new revision.
    pub new_running: i64,
    /// Wanted tasks of the new revision.
    pub new_wanted: i64,
    /// Running tasks of what is replaced.
    pub old_running: i64,
    /// Tasks that have to stay healthy, where AWS tells.
    pub least: Option<i64>,
    /// Tasks that may run or start at once, where AWS tells.
    pub most: Option<i64>,
}

/// What only a deployment of the controller `ecs` has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EcsView {
    /// The strategy as it runs, in words.
    pub strategy: String,
    /// Whether tasks replace tasks, so that there are no weights.
    pub is_rolling: bool,
    /// The stage by AWS's name, where the strategy has stages.
    pub stage: Option<String>,
    /// Failed tasks so far, and how many open the circuit breaker; `None` while it is off.
    pub breaker: Option<(i64, i64)>,
    /// Whether the circuit breaker opened.
    pub breaker_is_open: bool,
    /// The new revision's images with the digests that ECS resolved.
    pub images: Vec<ImageView>,
}
