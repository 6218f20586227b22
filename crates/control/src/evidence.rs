//! What a decision at a gate is about, and what is frozen beside it.

use serde_json::Value;
use serde_json::json;
use switchback_domain::digest::Digest;
use switchback_domain::evidence::EvidenceBasis;
use switchback_domain::gate::GatePolicy;
use switchback_domain::metrics::MetricPoint;
use switchback_store::records::DeploymentRecord;

/// The basis of a decision, from what is recorded.
pub(crate) fn basis(record: &DeploymentRecord, wait: &str, policy: &GatePolicy) -> EvidenceBasis {
    EvidenceBasis {
        deployment: record.id.clone(),
        wait: wait.to_string(),
        previous_revision: record.previous_revision.clone(),
        target_revision: record.target_revision.clone(),
        app_spec: record
            .app_spec
            .as_ref()
            .map(|text| Digest::of_bytes(text.as_bytes())),
        policy: *policy,
        checks: Vec::new(),
        firing_alarms: firing(&record.alarms),
        weight_new_permille: record.share_new_permille,
    }
}

/// The names of the alarms that fire, in order.
pub(crate) fn firing(alarms: &Value) -> Vec<String> {
    let mut names: Vec<String> = alarms
        .as_array()
        .into_iter()
        .flatten()
        .filter(|alarm| alarm["state"] == "ALARM")
        .filter_map(|alarm| alarm["name"].as_str().map(str::to_string))
        .collect();
    names.sort();
    names
}

/// Everything that was on screen at a decision, numbers included.
pub(crate) fn frozen(
    record: &DeploymentRecord,
    basis: &EvidenceBasis,
    latest: &[MetricPoint],
) -> Value {
    json!({
        "basis": basis,
        "alarms": record.alarms,
        "stages": record.reading.stages,
        "metrics": latest,
        "observed_at": record.observed_at,
    })
}
