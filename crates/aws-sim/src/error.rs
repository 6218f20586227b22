//! What an AWS operation answers when it refuses.

/// A refusal in AWS's words.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct AwsError {
    /// The shape name or code as the client's typed exception is found by, for example
    /// `DeploymentLimitExceededException` (CodeDeploy, ECS) or `TargetGroupNotFound` (ELBv2).
    pub code: String,
    /// The text for people.
    pub message: String,
    /// The HTTP status: 400 for the caller's fault, 500 for the service's.
    pub status: u16,
}

impl AwsError {
    /// A refusal that is the caller's fault (HTTP 400).
    pub fn caller(code: &str, message: impl Into<String>) -> AwsError {
        AwsError {
            code: code.to_string(),
            message: message.into(),
            status: 400,
        }
    }

    /// A failure of the service itself (HTTP 500).
    pub fn service(code: &str, message: impl Into<String>) -> AwsError {
        AwsError {
            code: code.to_string(),
            message: message.into(),
            status: 500,
        }
    }
}
