//! How often AWS was called: what a status page and an alert are made of.

use serde::Deserialize;
use serde::Serialize;

/// The requests to one account and region in the last hour, retries counted one by one, as AWS counts them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallsMade {
    /// Over how many seconds they were counted: an hour, or less when the process is younger.
    pub seconds: u64,
    /// By operation, in the order of their names.
    pub operations: Vec<OperationCalls>,
}

/// The requests of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationCalls {
    /// The IAM action, for example `ecs:DescribeServices`.
    pub operation: String,
    /// All of them.
    pub requests: u64,
    /// Those that AWS answered with "not now".
    pub throttled: u64,
    /// Those that failed in another way: refused, no answer, AWS's own error.
    pub failed: u64,
}
