//! What stops a reconciler's step, and how an inner failure becomes a refusal.

use switchback_cloud::CloudError;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_store::StoreError;

/// A step could not be finished. The next activation tries again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// AWS.
    #[error("AWS did not do what was asked")]
    Cloud(#[from] CloudError),
    /// The database.
    #[error("the database did not do what was asked")]
    Store(#[from] StoreError),
}

impl StepError {
    /// For people: AWS's call and code, or that the database does not answer.
    pub(crate) fn words(&self) -> String {
        match self {
            StepError::Cloud(error) => error.to_string(),
            StepError::Store(StoreError::LeaseLost { .. }) => {
                "Another process watches this account now.".to_string()
            }
            StepError::Store(_) => "The database did not answer.".to_string(),
        }
    }
}

/// A failure of the store as a refusal. The inside is logged, never shown.
pub(crate) fn store_refusal(error: StoreError) -> Refusal {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "a request failed in the store"
    );
    match error {
        StoreError::Unavailable { .. } => Refusal::new(
            RefusalKind::Unavailable,
            "database_unavailable",
            "The database does not answer now. Nothing was changed. Try again in a moment.",
        ),
        StoreError::CommitUnknown { .. } => Refusal::new(
            RefusalKind::Unavailable,
            "commit_unknown",
            "The database did not answer. It is not known whether this was recorded. Look at the page again before \
             you repeat it, or repeat it with the same Idempotency-Key: then it counts once.",
        ),
        StoreError::Conflict { .. } => Refusal::new(
            RefusalKind::Conflict,
            "changed_meanwhile",
            "Somebody changed this at the same moment. Nothing was changed. Load the page again.",
        ),
        _ => Refusal::new(
            RefusalKind::Internal,
            "internal",
            "Switchback failed inside; the log says more. Nothing was changed.",
        ),
    }
}

/// A failure of AWS as a refusal.
pub(crate) fn cloud_refusal(error: &CloudError) -> Refusal {
    Refusal::new(
        RefusalKind::Unavailable,
        "aws_unavailable",
        format!("AWS did not answer ({error}). Nothing was changed. Try again in a moment."),
    )
}

/// A step's failure as a refusal.
pub(crate) fn step_refusal(error: StepError) -> Refusal {
    match error {
        StepError::Cloud(error) => cloud_refusal(&error),
        StepError::Store(error) => store_refusal(error),
    }
}
