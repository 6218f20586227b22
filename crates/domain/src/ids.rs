//! Every identifier of Switchback, in alphabetical order.
//!
//! Identifiers of things that AWS owns (services, deployments, gates) are derived from AWS's own
//! identifiers, so that two observers that never spoke to each other name the same thing alike and
//! recording something twice is impossible. Rejected: random identifiers with a unique index, which
//! make the second observer wait for the first.

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as the identifier. It is looked up, never trusted.
            pub fn new(text: impl Into<String>) -> $name {
                $name(text.into())
            }

            /// The identifier's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

id!(
    /// One deployment as Switchback records it: `dep-` and 16 hex digits derived from account, region and AWS id.
    DeploymentId
);
id!(
    /// One gate: `gate-` and 16 hex digits derived from its deployment and hook execution.
    GateId
);
id!(
    /// One operation (an intent to change something in AWS): `op-` and 16 hex digits, random.
    OperationId
);
id!(
    /// One service: `svc-` and 16 hex digits derived from its ARN.
    ServiceId
);
id!(
    /// One session of a browser: `ses-` and 16 hex digits, random. Names the session; what proves it is another number.
    SessionId
);
id!(
    /// One user: `usr-` and 16 hex digits, random.
    UserId
);

fn derived(prefix: &str, parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    format!("{prefix}-{}", &hex::encode(hasher.finalize())[..16])
}

impl DeploymentId {
    /// The identifier of the deployment that AWS calls `aws_id` in that account and region.
    pub fn derive(account: &str, region: &str, aws_id: &str) -> DeploymentId {
        DeploymentId(derived("dep", &[account, region, aws_id]))
    }
}

impl GateId {
    /// The identifier of the gate at which `deployment` waits for the hook execution (or other wait) `wait`.
    pub fn derive(deployment: &DeploymentId, wait: &str) -> GateId {
        GateId(derived("gate", &[deployment.as_str(), wait]))
    }
}

impl OperationId {
    /// An operation's identifier from eight random bytes.
    pub fn from_random(bytes: [u8; 8]) -> OperationId {
        OperationId(format!("op-{}", hex::encode(bytes)))
    }
}

impl ServiceId {
    /// The identifier of the ECS service with this ARN.
    pub fn derive(service_arn: &str) -> ServiceId {
        ServiceId(derived("svc", &[service_arn]))
    }
}

impl SessionId {
    /// A session's identifier from eight random bytes.
    pub fn from_random(bytes: [u8; 8]) -> SessionId {
        SessionId(format!("ses-{}", hex::encode(bytes)))
    }
}

impl UserId {
    /// A user's identifier from eight random bytes.
    pub fn from_random(bytes: [u8; 8]) -> UserId {
        UserId(format!("usr-{}", hex::encode(bytes)))
    }
}
