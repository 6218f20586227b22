//! What a decision is about. Its digest binds a verdict to what the person was shown.
//!
//! Moving numbers (requests, error rates, times) are not part of it: they change every minute and
//! would make every page stale. They are frozen beside the decision instead.

use crate::digest::Digest;
use crate::gate::GatePolicy;
use crate::ids::DeploymentId;
use crate::revision::RevisionArn;
use serde::Deserialize;
use serde::Serialize;

/// Everything the digest covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceBasis {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The hook execution, or what names the wait.
    pub wait: String,
    /// What was serving.
    pub previous_revision: Option<RevisionArn>,
    /// What it moves to.
    pub target_revision: Option<RevisionArn>,
    /// SHA-256 of the AppSpec's text.
    pub app_spec: Option<Digest>,
    /// The gate's policy.
    pub policy: GatePolicy,
    /// Checks and their verdicts, by name.
    pub checks: Vec<(String, String)>,
    /// The alarms that fire, by name, in order.
    pub firing_alarms: Vec<String>,
    /// The share of production traffic on the new revision, in thousandths, when known.
    pub weight_new_permille: Option<i64>,
}

impl EvidenceBasis {
    /// The digest that a decision must name.
    pub fn digest(&self) -> Digest {
        Digest::of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_material_fact_changes_the_digest() {
        let basis = EvidenceBasis {
            deployment: DeploymentId::new("dep-1"),
            wait: "exec-1".to_string(),
            previous_revision: None,
            target_revision: None,
            app_spec: None,
            policy: GatePolicy::default(),
            checks: Vec::new(),
            firing_alarms: Vec::new(),
            weight_new_permille: Some(0),
        };
        let mut variants = vec![basis.clone()];
        variants.push(EvidenceBasis {
            wait: "exec-2".to_string(),
            ..basis.clone()
        });
        variants.push(EvidenceBasis {
            firing_alarms: vec!["5xx".to_string()],
            ..basis.clone()
        });
        variants.push(EvidenceBasis {
            weight_new_permille: Some(100),
            ..basis.clone()
        });
        variants.push(EvidenceBasis {
            weight_new_permille: None,
            ..basis.clone()
        });
        variants.push(EvidenceBasis {
            checks: vec![("smoke".to_string(), "failed".to_string())],
            ..basis.clone()
        });
        variants.push(EvidenceBasis {
            app_spec: Some(Digest::of_bytes(b"x")),
            ..basis.clone()
        });
        let digests: std::collections::HashSet<_> =
            variants.iter().map(|v| v.digest().to_string()).collect();
        assert_eq!(digests.len(), variants.len());
    }
}
