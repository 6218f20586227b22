//! The audit log: a closed set of typed events, each chained to the one before by its hash.

use crate::actor::Actor;
use crate::coverage::GapCause;
use crate::digest::Digest;
use crate::gate::GateState;
use crate::gate::Verdict;
use crate::ids::DeploymentId;
use crate::ids::GateId;
use crate::ids::OperationId;
use crate::ids::ServiceId;
use crate::ids::SessionId;
use crate::moment::Moment;
use crate::operation::OperationKind;
use crate::operation::OperationState;
use crate::revision::RevisionArn;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// What happened. Adding a kind of event is adding a variant; none is ever removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AuditEvent {
    /// Somebody signed in.
    SignedIn,
    /// Somebody tried to sign in and was refused.
    SignInRefused,
    /// Somebody signed out.
    SignedOut,
    /// Somebody signed in by the OpenID Connect provider.
    SignedInByOidc {
        /// The provider's issuer.
        issuer: String,
        /// The provider's name for the person.
        subject: String,
        /// The groups that it named.
        groups: Vec<String>,
    },
    /// Somebody came back from the OpenID Connect provider and was refused.
    SignInByOidcRefused {
        /// The code of the refusal.
        code: String,
    },
    /// A local administrator signed in while local sign-in is for emergencies only.
    BreakGlassSignedIn,
    /// A request that changes something was made in a session of that kind; written before it is carried out.
    BreakGlassUsed {
        /// Method and path.
        request: String,
    },
    /// Somebody who was signed in proved again who they are.
    SignedInAgain,
    /// A session was ended from another one, or by an administrator.
    SessionRevoked {
        /// The session.
        session: SessionId,
        /// Whose it was.
        username: String,
    },
    /// All sessions of a user were ended, or all but the one in which that was asked for.
    SessionsRevoked {
        /// Whose they were.
        username: String,
        /// How many.
        count: i64,
    },
    /// A user was made, at first start or by an administrator.
    UserCreated {
        /// The user's name.
        username: String,
        /// Role words.
        roles: Vec<String>,
    },
    /// An API token was made.
    TokenCreated {
        /// The token's name; never its text.
        name: String,
        /// Role words.
        roles: Vec<String>,
    },
    /// A service was seen for the first time.
    ServiceDiscovered {
        /// The service.
        service: ServiceId,
        /// Its ARN.
        arn: String,
    },
    /// A deployment was seen for the first time.
    DeploymentRecorded {
        /// The deployment.
        deployment: DeploymentId,
        /// AWS's id.
        aws_id: String,
        /// What was serving.
        previous_revision: Option<RevisionArn>,
        /// What it moves to.
        target_revision: Option<RevisionArn>,
    },
    /// A deployment came to its end.
    DeploymentEnded {
        /// The deployment.
        deployment: DeploymentId,
        /// The outcome's word.
        outcome: String,
        /// The cause's word.
        cause: Option<String>,
    },
    /// A gate began to wait.
    GateOpened {
        /// The gate.
        gate: GateId,
        /// The deployment.
        deployment: DeploymentId,
        /// The lifecycle event.
        stage: String,
        /// When the fuse burns out.
        expires_at: Moment,
    },
    /// Somebody decided at a gate.
    GateDecided {
        /// The gate.
        gate: GateId,
        /// The verdict.
        verdict: Verdict,
        /// Where the gate stands after it.
        state: GateState,
        /// The digest of what was shown.
        evidence: Digest,
    },
    /// A gate closed without a person: its fuse burned out, or AWS no longer waits.
    GateClosed {
        /// The gate.
        gate: GateId,
        /// Where it stands.
        state: GateState,
    },
    /// AWS was told the verdict, shows it, or refused it.
    GateDelivery {
        /// The gate.
        gate: GateId,
        /// The delivery's word.
        delivery: String,
        /// AWS's request id, or its error.
        detail: Option<String>,
    },
    /// Somebody asked for a rollback or a deployment: the intent, before any call.
    OperationIntended {
        /// The operation.
        operation: OperationId,
        /// What it does.
        kind: OperationKind,
        /// The service.
        service: ServiceId,
        /// Where it goes back to.
        target_revision: Option<RevisionArn>,
        /// The digest of the plan that was read.
        plan: Digest,
    },
    /// An operation moved.
    OperationMoved {
        /// The operation.
        operation: OperationId,
        /// Where it stands.
        state: OperationState,
        /// AWS's id, request id, or error.
        detail: Option<String>,
    },
    /// The intent could not be written to the ledger in time, and the call was made without it.
    LedgerMissed {
        /// The operation.
        operation: OperationId,
        /// What went wrong.
        detail: String,
    },
    /// What the ledger had missed stands in it now.
    LedgerCaughtUp {
        /// The operation.
        operation: OperationId,
    },
    /// The ledger has something else than the database. Neither was overwritten unless `kept` says so.
    LedgerDiffered {
        /// The service.
        service: ServiceId,
        /// `head`, a deployment's AWS id, or an operation.
        entry: String,
        /// The members that differ, with what stands in the ledger and in the database.
        members: Vec<String>,
        /// Which of the two stands in the ledger now: `ledger` or `database`.
        kept: String,
    },
    /// What the database did not have came back from the ledger.
    LedgerRestored {
        /// The service.
        service: ServiceId,
        /// How many revisions.
        revisions: i64,
        /// How many deployments.
        deployments: i64,
        /// How many operations.
        operations: i64,
    },
    /// An account and region began to be watched, and what AWS still had of its past to be taken in.
    ImportBegan {
        /// The account number.
        account: String,
        /// The region.
        region: String,
    },
    /// Everything that AWS still had is recorded.
    ImportCompleted {
        /// The account number.
        account: String,
        /// The region.
        region: String,
        /// How many deployments AWS listed.
        listed: i64,
        /// How many of them AWS no longer knew when they were read.
        forgotten: i64,
        /// How many of them were of no watched service.
        not_watched: i64,
        /// When the first deployment of the record began.
        begins_at: Option<Moment>,
    },
    /// Nobody looked at an account for some time.
    WatchGap {
        /// The account number.
        account: String,
        /// The region.
        region: String,
        /// The last good look before.
        from: Moment,
        /// The first good look after.
        to: Moment,
        /// Why.
        cause: GapCause,
        /// AWS's call and code.
        detail: Option<String>,
    },
    /// Somebody who may see them was shown the values of a revision's environment variables. At most one entry for
    /// each person, revision and hour.
    EnvironmentRead {
        /// The revision.
        revision: RevisionArn,
    },
    /// Old entries were removed because of their age. What is left begins behind them, and goes on from their hash.
    SegmentRemoved {
        /// The number of the first entry that was removed.
        first: i64,
        /// The number of the last.
        last: i64,
        /// The hash of the last.
        last_hash: Digest,
        /// The digest of the signed checkpoint over the last.
        checkpoint: Digest,
    },
}

/// What an entry is about, as far as Switchback keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditSubject<'a> {
    /// A service.
    Service(&'a ServiceId),
    /// A deployment.
    Deployment(&'a DeploymentId),
    /// A gate.
    Gate(&'a GateId),
    /// An operation.
    Operation(&'a OperationId),
    /// Something else, or nothing.
    Other,
}

impl AuditEvent {
    /// The event's word, as in its JSON.
    pub const fn word(&self) -> &'static str {
        match self {
            AuditEvent::SignedIn => "signed_in",
            AuditEvent::SignInRefused => "sign_in_refused",
            AuditEvent::SignedOut => "signed_out",
            AuditEvent::SignedInByOidc { .. } => "signed_in_by_oidc",
            AuditEvent::SignInByOidcRefused { .. } => "sign_in_by_oidc_refused",
            AuditEvent::BreakGlassSignedIn => "break_glass_signed_in",
            AuditEvent::BreakGlassUsed { .. } => "break_glass_used",
            AuditEvent::SignedInAgain => "signed_in_again",
            AuditEvent::SessionRevoked { .. } => "session_revoked",
            AuditEvent::SessionsRevoked { .. } => "sessions_revoked",
            AuditEvent::UserCreated { .. } => "user_created",
            AuditEvent::TokenCreated { .. } => "token_created",
            AuditEvent::ServiceDiscovered { .. } => "service_discovered",
            AuditEvent::DeploymentRecorded { .. } => "deployment_recorded",
            AuditEvent::DeploymentEnded { .. } => "deployment_ended",
            AuditEvent::GateOpened { .. } => "gate_opened",
            AuditEvent::GateDecided { .. } => "gate_decided",
            AuditEvent::GateClosed { .. } => "gate_closed",
            AuditEvent::GateDelivery { .. } => "gate_delivery",
            AuditEvent::OperationIntended { .. } => "operation_intended",
            AuditEvent::OperationMoved { .. } => "operation_moved",
            AuditEvent::LedgerMissed { .. } => "ledger_missed",
            AuditEvent::LedgerCaughtUp { .. } => "ledger_caught_up",
            AuditEvent::LedgerDiffered { .. } => "ledger_differed",
            AuditEvent::LedgerRestored { .. } => "ledger_restored",
            AuditEvent::ImportBegan { .. } => "import_began",
            AuditEvent::ImportCompleted { .. } => "import_completed",
            AuditEvent::WatchGap { .. } => "watch_gap",
            AuditEvent::EnvironmentRead { .. } => "environment_read",
            AuditEvent::SegmentRemoved { .. } => "segment_removed",
        }
    }

    /// What of Switchback's record the entry is about.
    pub fn about(&self) -> AuditSubject<'_> {
        match self {
            AuditEvent::ServiceDiscovered { service, .. }
            | AuditEvent::LedgerDiffered { service, .. }
            | AuditEvent::LedgerRestored { service, .. }
            | AuditEvent::OperationIntended { service, .. } => AuditSubject::Service(service),
            AuditEvent::DeploymentRecorded { deployment, .. }
            | AuditEvent::DeploymentEnded { deployment, .. }
            | AuditEvent::GateOpened { deployment, .. } => AuditSubject::Deployment(deployment),
            AuditEvent::GateDecided { gate, .. }
            | AuditEvent::GateClosed { gate, .. }
            | AuditEvent::GateDelivery { gate, .. } => AuditSubject::Gate(gate),
            AuditEvent::OperationMoved { operation, .. }
            | AuditEvent::LedgerMissed { operation, .. }
            | AuditEvent::LedgerCaughtUp { operation } => AuditSubject::Operation(operation),
            _ => AuditSubject::Other,
        }
    }

    /// What the entry is about, for search: an identifier or a name.
    pub fn subject(&self) -> Option<String> {
        match self {
            AuditEvent::SignedIn
            | AuditEvent::SignInRefused
            | AuditEvent::SignedOut
            | AuditEvent::SegmentRemoved { .. }
            | AuditEvent::SignInByOidcRefused { .. }
            | AuditEvent::BreakGlassSignedIn
            | AuditEvent::SignedInAgain => None,
            AuditEvent::EnvironmentRead { revision } => Some(revision.to_string()),
            AuditEvent::SignedInByOidc { subject, .. } => Some(subject.clone()),
            AuditEvent::BreakGlassUsed { request } => Some(request.clone()),
            AuditEvent::SessionRevoked { username, .. }
            | AuditEvent::SessionsRevoked { username, .. } => Some(username.clone()),
            AuditEvent::UserCreated { username, .. } => Some(username.clone()),
            AuditEvent::TokenCreated { name, .. } => Some(name.clone()),
            AuditEvent::ServiceDiscovered { service, .. } => Some(service.to_string()),
            AuditEvent::DeploymentRecorded { deployment, .. }
            | AuditEvent::DeploymentEnded { deployment, .. } => Some(deployment.to_string()),
            AuditEvent::GateOpened { gate, .. }
            | AuditEvent::GateDecided { gate, .. }
            | AuditEvent::GateClosed { gate, .. }
            | AuditEvent::GateDelivery { gate, .. } => Some(gate.to_string()),
            AuditEvent::OperationIntended { operation, .. }
            | AuditEvent::OperationMoved { operation, .. }
            | AuditEvent::LedgerMissed { operation, .. }
            | AuditEvent::LedgerCaughtUp { operation } => Some(operation.to_string()),
            AuditEvent::LedgerDiffered { service, .. }
            | AuditEvent::LedgerRestored { service, .. } => Some(service.to_string()),
            AuditEvent::ImportBegan {
                account, region, ..
            }
            | AuditEvent::ImportCompleted {
                account, region, ..
            }
            | AuditEvent::WatchGap {
                account, region, ..
            } => Some(format!("{account}/{region}")),
        }
    }
}

/// A changing call to AWS, with what finds it in CloudTrail. CloudTrail's own event id is not known when AWS answers, and
/// its record arrives some minutes later: look there for the request id among the events of this name, source and
/// region around this time (CloudTrail user guide, "CloudTrail record contents": `eventSource`, `eventName`,
/// `awsRegion`, `requestID`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AwsCall {
    /// `codedeploy.amazonaws.com`, `ecs.amazonaws.com`
    pub event_source: String,
    /// The operation: `CreateDeployment`.
    pub event_name: String,
    /// The account that was called.
    pub account: String,
    /// The region that was called.
    pub region: String,
    /// AWS's request id; `None` where its answer was lost or had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When the call was begun (the account's clock).
    pub at: Moment,
}

impl AwsCall {
    /// CloudTrail's `eventSource` of CodeDeploy.
    pub const CODEDEPLOY: &str = "codedeploy.amazonaws.com";
    /// CloudTrail's `eventSource` of ECS.
    pub const ECS: &str = "ecs.amazonaws.com";
}

/// What else is known of an entry. A member that is `None` is no part of the entry's hash, so that entries from before
/// the member existed keep theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditContext {
    /// The address that the actor's request came from: of the connection, which behind a proxy is the proxy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The service that the entry belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// The digest of the gate's policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Digest>,
    /// The digest of the evidence that was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Digest>,
    /// The call to AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsCall>,
}

/// One entry to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, by Switchback's own clock.
    pub at: Moment,
    /// Who.
    pub actor: String,
    /// What.
    pub event: AuditEvent,
    /// The reason that was given.
    pub reason: Option<String>,
    /// What else is known.
    pub context: AuditContext,
}

impl AuditEntry {
    /// An entry of which nothing else is known.
    pub fn new(at: Moment, actor: impl Into<String>, event: AuditEvent) -> AuditEntry {
        AuditEntry {
            at,
            actor: actor.into(),
            event,
            reason: None,
            context: AuditContext::default(),
        }
    }

    /// An entry about what somebody did, with where their request came from.
    pub fn of(at: Moment, actor: &Actor, event: AuditEvent) -> AuditEntry {
        let mut entry = AuditEntry::new(at, actor.name.as_str(), event);
        entry.context.address = actor.address.clone();
        entry
    }
}

/// The hash before the first entry.
pub fn chain_start() -> Digest {
    Digest::of_bytes(b"switchback audit log")
}

/// The hash of an entry: over the hash before it, its number and everything it says. The context is part of it where
/// it says anything.
pub fn chain_hash(before: &Digest, sequence: i64, entry: &AuditEntry) -> Digest {
    let mut hashed = serde_json::json!({
        "before": before,
        "sequence": sequence,
        "at": entry.at,
        "actor": entry.actor,
        "event": entry.event,
        "reason": entry.reason,
    });
    if entry.context != AuditContext::default() {
        hashed["context"] = serde_json::json!(entry.context);
    }
    Digest::of(&hashed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_entry_is_in_its_hash() {
        let entry = AuditEntry {
            at: Moment::from_millis(1),
            actor: "dana".to_string(),
            event: AuditEvent::SignedIn,
            reason: None,
            context: AuditContext::default(),
        };
        let base = chain_hash(&chain_start(), 1, &entry);
        let others = [
            chain_hash(&base, 1, &entry),
            chain_hash(&chain_start(), 2, &entry),
            chain_hash(
                &chain_start(),
                1,
                &AuditEntry {
                    at: Moment::from_millis(2),
                    ..entry.clone()
                },
            ),
            chain_hash(
                &chain_start(),
                1,
                &AuditEntry {
                    actor: "mira".to_string(),
                    ..entry.clone()
                },
            ),
            chain_hash(
                &chain_start(),
                1,
                &AuditEntry {
                    event: AuditEvent::SignedOut,
                    ..entry.clone()
                },
            ),
            chain_hash(
                &chain_start(),
                1,
                &AuditEntry {
                    reason: Some("x".to_string()),
                    ..entry.clone()
                },
            ),
            chain_hash(
                &chain_start(),
                1,
                &AuditEntry {
                    context: AuditContext {
                        address: Some("192.0.2.7".to_string()),
                        ..AuditContext::default()
                    },
                    ..entry.clone()
                },
            ),
        ];
        assert!(others.iter().all(|other| *other != base));
    }

    /// The first release wrote entries without a context: what it hashed is what is hashed now.
    #[test]
    fn an_entry_without_context_hashes_as_it_always_did() {
        let entry = AuditEntry::new(Moment::from_millis(1), "dana", AuditEvent::SignedIn);
        let as_then = serde_json::json!({
            "before": chain_start(), "sequence": 1, "at": "1970-01-01T00:00:00.001Z", "actor": "dana",
            "event": {"event": "signed_in"}, "reason": null,
        });
        assert_eq!(chain_hash(&chain_start(), 1, &entry), Digest::of(&as_then));
    }

    #[test]
    fn the_word_is_the_tag() {
        let json = serde_json::to_value(AuditEvent::SignInRefused).unwrap();
        assert_eq!(json["event"], AuditEvent::SignInRefused.word());
    }
}
