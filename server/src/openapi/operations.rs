//! The operations of the API: one for each line of the table of routes that programs ask.
//!
//! What follows from the route itself (who may ask, an identifier in the path, that something is posted) is not
//! repeated here: [`super::document`] adds its parameters, statuses and codes. A test holds the two tables to each
//! other, and every answer that a test gets is held to what is said here.

use super::answers::AliveAnswer;
use super::answers::AuditAnswer;
use super::answers::EcsFunctionAnswer;
use super::answers::EventAnswer;
use super::answers::HookAnswer;
use super::answers::ReadyAnswer;
use crate::api::PlanCommand;
use crate::hooks::RelayMessage;
use http::Method;
use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use switchback_contract::AccountHealth;
use switchback_contract::AuditFilter;
use switchback_contract::DecisionCommand;
use switchback_contract::DeploymentFilter;
use switchback_contract::DeploymentView;
use switchback_contract::EndBakeCommand;
use switchback_contract::EndBakePage;
use switchback_contract::GateFilter;
use switchback_contract::GateView;
use switchback_contract::Me;
use switchback_contract::MetricPoint;
use switchback_contract::OperationView;
use switchback_contract::Page;
use switchback_contract::PlanView;
use switchback_contract::RegionCoverage;
use switchback_contract::RevisionView;
use switchback_contract::RollbackCommand;
use switchback_contract::ServiceFilter;
use switchback_contract::ServiceView;
use switchback_contract::StatusPage;

/// Makes the schema of a type, or names it.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Operations that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Services and their revisions.
    Services,
    /// Deployments.
    Deployments,
    /// Gates and decisions.
    Gates,
    /// Rollbacks.
    Rollbacks,
    /// The audit log.
    Audit,
    /// What is watched and how that goes.
    Watching,
    /// Changes as they happen.
    Events,
    /// Signed messages from outside.
    Hooks,
    /// For whoever operates the server.
    Operating,
}

impl Group {
    /// Every group, in the order of the reference.
    pub const ALL: [Group; 9] = [
        Group::Services,
        Group::Deployments,
        Group::Gates,
        Group::Rollbacks,
        Group::Audit,
        Group::Watching,
        Group::Events,
        Group::Hooks,
        Group::Operating,
    ];

    /// Its name and what it is about.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Group::Services => (
                "Services",
                "The ECS services that are watched, and the revisions recorded of them.",
            ),
            Group::Deployments => (
                "Deployments",
                "Every attempt to move a service to a revision, whoever began it and wherever.",
            ),
            Group::Gates => (
                "Gates",
                "Points where a deployment waits for people, and their decisions.",
            ),
            Group::Rollbacks => (
                "Rollbacks",
                "A recorded revision is put back: the plan first, then the same plan by its digest.",
            ),
            Group::Audit => ("Audit", "Who changed what, when and why."),
            Group::Watching => (
                "Watching",
                "Who asks, what is watched, since when, and how that goes.",
            ),
            Group::Events => ("Events", "What changes, as it changes."),
            Group::Hooks => (
                "Hooks",
                "Messages from AWS, signed with the relay secret instead of a token.",
            ),
            Group::Operating => (
                "Operating",
                "Whether the server lives and can work, and its numbers. Open to anybody, and without names.",
            ),
        }
    }
}

/// What is answered when it is done.
#[derive(Clone, Copy)]
pub enum Content {
    /// JSON.
    Json(SchemaOf),
    /// JSON, and the same as CSV with `format=csv`.
    JsonOrCsv(SchemaOf),
    /// Text, or a file, of one of these media types.
    Text(&'static [&'static str]),
}

/// One operation.
pub struct Operation {
    /// The method.
    pub method: Method,
    /// The path, as in the table of routes.
    pub path: &'static str,
    /// Its stable name.
    pub id: &'static str,
    /// Where it belongs.
    pub group: Group,
    /// One sentence.
    pub summary: &'static str,
    /// What else is to be known; may be empty.
    pub description: &'static str,
    /// What the identifier in the path is, and an example of one.
    pub identifier: Option<(&'static str, &'static str)>,
    /// The query's parameters: the members of this schema.
    pub query: Option<SchemaOf>,
    /// What is sent, with an example as JSON.
    pub body: Option<(SchemaOf, &'static str)>,
    /// The status when it is done, and when that is.
    pub done: (u16, &'static str),
    /// What is answered then.
    pub content: Content,
    /// What else may be answered as JSON: a status, when, and what.
    pub also: Option<(u16, &'static str, SchemaOf)>,
    /// The codes of its own problems.
    pub codes: &'static [&'static str],
    /// Whether an Idempotency-Key has an effect.
    pub counts_once: bool,
}

/// What most operations have.
const READ: Operation = Operation {
    method: Method::GET,
    path: "",
    id: "",
    group: Group::Watching,
    summary: "",
    description: "",
    identifier: None,
    query: None,
    body: None,
    done: (200, "What was asked for."),
    content: Content::Text(&[]),
    also: None,
    codes: &[],
    counts_once: false,
};

const SERVICE: Option<(&str, &str)> = Some((
    "The service's identifier or ARN, or its name where that is unambiguous.",
    "checkout",
));
const DEPLOYMENT: Option<(&str, &str)> = Some((
    "Switchback's identifier of the deployment, or AWS's.",
    "d-A1B2C3D4E",
));
const GATE: Option<(&str, &str)> = Some(("The gate's identifier.", "gate-5f0c1e2a9b7d4c38"));

/// A reference to the schema of a type.
fn of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Schema {
    schemas.subschema_for::<T>()
}

/// The schema of a type itself.
fn members<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Schema {
    T::json_schema(schemas)
}

/// An object with whatever members EventBridge sends.
fn event(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "object",
        "description": "An event as EventBridge delivers it.",
        "required": ["id", "detail-type", "source", "account", "time", "region", "detail"],
        "properties": {
            "id": { "type": "string" },
            "detail-type": { "type": "string" },
            "source": { "type": "string" },
            "account": { "type": "string" },
            "time": { "type": "string", "format": "date-time" },
            "region": { "type": "string" },
            "resources": { "type": "array", "items": { "type": "string" } },
            "detail": { "type": "object" },
        },
    })
}

/// The members of the query of the event stream.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
struct EventsQuery {
    /// The id of the last event that was seen, for clients that cannot set the header Last-Event-ID, which wins.
    #[schemars(range(min = 0))]
    last_event_id: Option<i64>,
}

/// The members of the query of an export.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
struct ExportQuery {
    /// `csv`, `jsonl`, or `bundle`: a tar file with everything that proves the entries offline.
    #[schemars(extend("enum" = ["csv", "jsonl", "bundle"]))]
    format: Option<String>,
    /// RFC 3339 time or date: at or after.
    #[schemars(schema_with = "switchback_contract::time_or_date")]
    from: Option<String>,
    /// RFC 3339 time or date: before.
    #[schemars(schema_with = "switchback_contract::time_or_date")]
    to: Option<String>,
    /// Exactly this actor.
    actor: Option<String>,
    /// Exactly this subject.
    subject: Option<String>,
    /// Words of events, with commas between: one of them.
    event: Option<String>,
    /// The service's name, ARN or identifier.
    service: Option<String>,
    /// Part of the reason.
    reason: Option<String>,
}

/// The members of a query without any but the form of the answer.
#[derive(JsonSchema)]
struct NoFilter {}

/// The operations, in the order of the reference.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/api/v1/services",
        id: "list_services",
        group: Group::Services,
        summary: "The watched services, by name.",
        query: Some(members::<ServiceFilter>),
        content: Content::JsonOrCsv(of::<Page<ServiceView>>),
        codes: &["filter_invalid"],
        ..READ
    },
    Operation {
        path: "/api/v1/services/{id}",
        id: "get_service",
        group: Group::Services,
        summary: "One service.",
        identifier: SERVICE,
        content: Content::Json(of::<ServiceView>),
        codes: &["service_ambiguous"],
        ..READ
    },
    Operation {
        path: "/api/v1/services/{id}/revisions",
        id: "list_revisions",
        group: Group::Services,
        summary: "The recorded revisions of a service, newest first.",
        description: "All of them: there is one page, and next_cursor is null.",
        identifier: SERVICE,
        query: Some(members::<NoFilter>),
        content: Content::JsonOrCsv(of::<Page<RevisionView>>),
        codes: &["service_ambiguous"],
        ..READ
    },
    Operation {
        path: "/api/v1/deployments",
        id: "list_deployments",
        group: Group::Deployments,
        summary: "The history, newest first.",
        query: Some(members::<DeploymentFilter>),
        content: Content::JsonOrCsv(of::<Page<DeploymentView>>),
        codes: &["filter_invalid", "service_ambiguous", "not_found"],
        ..READ
    },
    Operation {
        path: "/api/v1/deployments/{id}",
        id: "get_deployment",
        group: Group::Deployments,
        summary: "One deployment.",
        identifier: DEPLOYMENT,
        content: Content::Json(of::<DeploymentView>),
        ..READ
    },
    Operation {
        path: "/api/v1/deployments/{id}/metrics",
        id: "list_deployment_metrics",
        group: Group::Deployments,
        summary: "The measured minutes of a deployment, oldest first.",
        description: "A minute without a value has no point: missing is a gap, never a zero.",
        identifier: DEPLOYMENT,
        content: Content::Json(of::<Page<MetricPoint>>),
        ..READ
    },
    Operation {
        path: "/api/v1/deployments/{id}/end-bake",
        id: "plan_end_bake",
        group: Group::Deployments,
        summary: "The plan of ending CodeDeploy's bake early, if the deployment bakes.",
        identifier: DEPLOYMENT,
        content: Content::Json(of::<EndBakePage>),
        codes: &["aws_unavailable"],
        ..READ
    },
    Operation {
        method: Method::POST,
        path: "/api/v1/deployments/{id}/end-bake",
        id: "end_bake",
        group: Group::Deployments,
        summary: "Ends CodeDeploy's bake early by the plan that was read.",
        description: "The intent is committed when this answers; the call to AWS follows, and the operation tells how far \
                      it got.",
        identifier: DEPLOYMENT,
        body: Some((
            of::<EndBakeCommand>,
            r#"{"reason":"nothing is left to watch","plan_digest":"sha256:9f86d081884c7d65"}"#,
        )),
        done: (
            202,
            "The intent is recorded: the operation as it stands now.",
        ),
        content: Content::Json(of::<OperationView>),
        codes: &[
            "aws_unavailable",
            "not_baking",
            "operation_in_progress",
            "plan_blocked",
            "plan_changed",
            "reason_missing",
            "reason_too_long",
        ],
        counts_once: true,
        ..READ
    },
    Operation {
        path: "/api/v1/gates",
        id: "list_gates",
        group: Group::Gates,
        summary: "Gates: the open ones by fuse with state=open, all of them newest first without it.",
        query: Some(members::<GateFilter>),
        content: Content::JsonOrCsv(of::<Page<GateView>>),
        codes: &["filter_invalid"],
        ..READ
    },
    Operation {
        path: "/api/v1/gates/{id}",
        id: "get_gate",
        group: Group::Gates,
        summary: "One gate, with what a decision is about and what it does.",
        identifier: GATE,
        content: Content::Json(of::<GateView>),
        ..READ
    },
    Operation {
        method: Method::POST,
        path: "/api/v1/gates/{id}/decisions",
        id: "decide",
        group: Group::Gates,
        summary: "Approves or rejects at a gate.",
        description: "The decision is committed when this answers; its delivery to AWS follows, and the gate's member \
                      delivery tells how far it got. A rejection needs its reason.",
        identifier: GATE,
        body: Some((
            of::<DecisionCommand>,
            r#"{"verdict":"approve","reason":"p99 is flat after ten minutes","evidence_digest":"sha256:9f86d081884c7d65"}"#,
        )),
        done: (200, "The decision is recorded: the gate as it stands now."),
        content: Content::Json(of::<GateView>),
        codes: &[
            "decided_already",
            "decided_unread",
            "evidence_changed",
            "gate_closed",
            "own_deployment",
            "reason_missing",
            "reason_too_long",
        ],
        counts_once: true,
        ..READ
    },
    Operation {
        method: Method::POST,
        path: "/api/v1/services/{id}/rollbacks/plan",
        id: "plan_rollback",
        group: Group::Rollbacks,
        summary: "The plan that puts a revision back: its kind, checks, exact calls and consequences.",
        description: "Nothing is changed, and the plan is not kept: asked again it is made again, with an \
                      Idempotency-Key too.",
        identifier: SERVICE,
        body: Some((of::<PlanCommand>, r#"{"target":"previous"}"#)),
        done: (200, "The plan."),
        content: Content::Json(of::<PlanView>),
        codes: &[
            "already_serving",
            "aws_unavailable",
            "no_app_spec",
            "previous_unknown",
            "service_ambiguous",
            "target_unknown",
        ],
        ..READ
    },
    Operation {
        method: Method::POST,
        path: "/api/v1/services/{id}/rollbacks",
        id: "roll_back",
        group: Group::Rollbacks,
        summary: "Puts a revision back by the plan that was read.",
        description: "The intent is committed when this answers; the call to AWS follows, and the operation tells how far \
                      it got. The plan is made again first: when its digest is another one, nothing is done.",
        identifier: SERVICE,
        body: Some((
            of::<RollbackCommand>,
            r#"{"target":"previous","reason":"5xx since 14:02","plan_digest":"sha256:9f86d081884c7d65"}"#,
        )),
        done: (
            202,
            "The intent is recorded: the operation as it stands now.",
        ),
        content: Content::Json(of::<OperationView>),
        codes: &[
            "already_serving",
            "aws_unavailable",
            "no_app_spec",
            "operation_in_progress",
            "plan_blocked",
            "plan_changed",
            "previous_unknown",
            "reason_missing",
            "reason_too_long",
            "service_ambiguous",
            "target_unknown",
            "token_cannot_sign_in_again",
        ],
        counts_once: true,
        ..READ
    },
    Operation {
        path: "/api/v1/operations/{id}",
        id: "get_operation",
        group: Group::Rollbacks,
        summary: "One operation.",
        identifier: Some(("The operation's identifier.", "op-5f0c1e2a9b7d4c38")),
        content: Content::Json(of::<OperationView>),
        ..READ
    },
    Operation {
        path: "/api/v1/audit",
        id: "list_audit",
        group: Group::Audit,
        summary: "The audit log, newest first, and how far its chain was verified.",
        query: Some(members::<AuditFilter>),
        content: Content::JsonOrCsv(of::<AuditAnswer>),
        codes: &["filter_invalid"],
        ..READ
    },
    Operation {
        path: "/api/v1/audit/export",
        id: "export_audit",
        group: Group::Audit,
        summary: "The audit log as a file: oldest first, and not longer than it was when the export began.",
        query: Some(members::<ExportQuery>),
        content: Content::Text(&[
            "application/jsonl; charset=utf-8",
            "text/csv; charset=utf-8; header=present",
            "application/x-tar",
        ]),
        codes: &[
            "audit_key_missing",
            "bundle_filtered",
            "filter_invalid",
            "no_entries",
        ],
        ..READ
    },
    Operation {
        path: "/api/v1/me",
        id: "get_me",
        summary: "Who asks, and what they may do.",
        content: Content::Json(of::<Me>),
        ..READ
    },
    Operation {
        path: "/api/v1/accounts",
        id: "list_accounts",
        summary: "How the watching of each account and region goes.",
        description: "All of them: there is one page, and next_cursor is null.",
        content: Content::Json(of::<Page<AccountHealth>>),
        ..READ
    },
    Operation {
        path: "/api/v1/coverage",
        id: "list_coverage",
        summary: "What is recorded of each account and region, since when, and when nobody looked.",
        description: "All of them: there is one page, and next_cursor is null.",
        content: Content::Json(of::<Page<RegionCoverage>>),
        ..READ
    },
    Operation {
        path: "/api/v1/status",
        id: "get_status",
        summary: "How the watching goes, and what it costs in calls to AWS.",
        content: Content::Json(of::<StatusPage>),
        ..READ
    },
    Operation {
        path: "/api/v1/events",
        id: "stream_events",
        group: Group::Events,
        summary: "Server-sent events: what changed, as it changes.",
        description: "event: change with the id of the change and {\"sequence\", \"kind\", \"subject\", \
                      \"deployment_id\", \"at\"}; event: clock once a second with {\"now\"}, the account's clock; \
                      event: reset when what was missed is no longer known, so that everything has to be read again. \
                      A stream is resumed with the header Last-Event-ID.",
        query: Some(members::<EventsQuery>),
        done: (200, "The stream. It does not end by itself."),
        content: Content::Text(&["text/event-stream"]),
        ..READ
    },
    Operation {
        method: Method::POST,
        path: "/api/v1/hooks/codedeploy",
        id: "receive_codedeploy_hook",
        group: Group::Hooks,
        summary: "A hook of CodeDeploy or of ECS, as the relay function passes it on.",
        body: Some((
            of::<RelayMessage>,
            r#"{"DeploymentId":"d-A1B2C3D4E","LifecycleEventHookExecutionId":"eyJlbmNyeXB0ZWREYXRhIjoi"}"#,
        )),
        done: (202, "The hook of CodeDeploy is stored."),
        also: Some((
            200,
            "What the function returns to ECS.",
            of::<EcsFunctionAnswer>,
        )),
        content: Content::Json(of::<HookAnswer>),
        codes: &["aws_unavailable", "deployment_unknown"],
        ..READ
    },
    Operation {
        method: Method::POST,
        path: "/api/v1/hooks/eventbridge",
        id: "receive_event",
        group: Group::Hooks,
        summary: "An event of EventBridge: a hint where to look, of which nothing is recorded.",
        body: Some((
            event,
            r#"{"id":"6a7e8feb-b491-4cf7-a9f1-bf3703467718","detail-type":"CodeDeploy Deployment State-change Notification","source":"aws.codedeploy","account":"123456789012","time":"2026-11-21T10:00:00Z","region":"eu-central-1","resources":[],"detail":{"deploymentId":"d-A1B2C3D4E"}}"#,
        )),
        done: (202, "The event was taken."),
        content: Content::Json(of::<EventAnswer>),
        codes: &["event_unreadable"],
        ..READ
    },
    Operation {
        path: "/healthz",
        id: "healthz",
        group: Group::Operating,
        summary: "The process answers.",
        content: Content::Json(of::<AliveAnswer>),
        ..READ
    },
    Operation {
        path: "/readyz",
        id: "readyz",
        group: Group::Operating,
        summary: "Whether requests can be served, and why not.",
        content: Content::Json(of::<ReadyAnswer>),
        also: Some((
            503,
            "Requests cannot be served; reasons says why.",
            of::<ReadyAnswer>,
        )),
        ..READ
    },
    Operation {
        path: "/metrics",
        id: "metrics",
        group: Group::Operating,
        summary: "The numbers, in Prometheus's text format.",
        content: Content::Text(&["text/plain; version=0.0.4; charset=utf-8"]),
        ..READ
    },
];
