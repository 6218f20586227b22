//! The codes of problem documents. They are stable: one is added, none is renamed, and none changes its status.
//!
//! A test reads the sources: a code that is not in this table, or is here and nowhere else, fails it.

/// One code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The word.
    pub code: &'static str,
    /// The HTTP status that it comes with.
    pub status: u16,
    /// What it means and what to do.
    pub meaning: &'static str,
}

const fn code(code: &'static str, status: u16, meaning: &'static str) -> Code {
    Code {
        code,
        status,
        meaning,
    }
}

/// Every code, by status and word.
pub const CODES: &[Code] = &[
    code(
        "bad_request",
        400,
        "The request could not be understood. Nothing was done.",
    ),
    code(
        "body_unreadable",
        400,
        "The body did not arrive whole. Nothing was done; send it again.",
    ),
    code(
        "malformed_json",
        400,
        "The body is not JSON. Nothing was done.",
    ),
    code(
        "malformed_path",
        400,
        "The path holds an identifier that is not UTF-8.",
    ),
    code(
        "sign_in_needed",
        401,
        "Neither a session nor a token came with the request.",
    ),
    code(
        "signature_malformed",
        401,
        "The header Switchback-Signature is missing or not t=UNIX_SECONDS,v1=HEX.",
    ),
    code(
        "signature_too_old",
        401,
        "The signature's time is more than five minutes away from the account's clock.",
    ),
    code(
        "signature_wrong",
        401,
        "The signature does not fit the body and the relay secret.",
    ),
    code(
        "token_unknown",
        401,
        "The Authorization header is not Bearer with a token that is valid now.",
    ),
    code(
        "cross_origin",
        403,
        "A browser sent the request for another site. Nothing was done.",
    ),
    code(
        "forbidden",
        403,
        "The caller may not do this. Nothing was done.",
    ),
    code(
        "fresh_sign_in_needed",
        403,
        "It needs a sign-in within the last minutes, as the server is set up. Sign in again, then repeat it.",
    ),
    code(
        "own_deployment",
        403,
        "Nobody approves a deployment that they began themselves.",
    ),
    code(
        "sign_in_refused",
        403,
        "The password is wrong. Only the page on which one signs in again answers this.",
    ),
    code(
        "token_cannot_sign_in_again",
        403,
        "It needs a sign-in within the last minutes, which a token cannot give.",
    ),
    code(
        "deployment_unknown",
        404,
        "AWS does not know the deployment that the hook names.",
    ),
    code(
        "no_entries",
        404,
        "The audit log has no entry in the time that a bundle was asked for.",
    ),
    code(
        "no_provider",
        404,
        "No OpenID Connect provider is configured. Only the way in answers this.",
    ),
    code(
        "not_found",
        404,
        "There is no such thing, or nothing at this path.",
    ),
    code(
        "session_gone",
        404,
        "The session that was to be ended is gone already. Only the page of sessions answers this.",
    ),
    code(
        "method_not_allowed",
        405,
        "The path does not have this method; the header Allow says which it has.",
    ),
    code(
        "already_serving",
        409,
        "The revision serves already, so there is nothing to put back.",
    ),
    code(
        "changed_meanwhile",
        409,
        "Somebody changed the same thing at the same moment. Nothing was changed; read it again.",
    ),
    code(
        "decided_already",
        409,
        "The caller has decided at this gate already.",
    ),
    code(
        "demo_busy",
        409,
        "The demo's guide is still at what was asked before. Only the demo answers this.",
    ),
    code(
        "demo_nothing_moves",
        409,
        "Nothing moves that could be broken. Only the demo answers this.",
    ),
    code(
        "evidence_changed",
        409,
        "What the decision is about has changed since it was read. Read the gate again.",
    ),
    code("gate_closed", 409, "The gate is no longer open."),
    code(
        "no_app_spec",
        409,
        "No AppSpec is recorded with which the revision could be deployed.",
    ),
    code(
        "not_baking",
        409,
        "The deployment does not wait in its bake, or no longer.",
    ),
    code(
        "operation_in_progress",
        409,
        "The service has an operation that AWS has not answered yet.",
    ),
    code(
        "plan_blocked",
        409,
        "A check of the plan is blocking; the plan says which and why.",
    ),
    code(
        "plan_changed",
        409,
        "The plan is another one than the one that was read. Make and read it again.",
    ),
    code(
        "service_ambiguous",
        409,
        "Several services have this name. Use an identifier or an ARN.",
    ),
    code(
        "signature_repeated",
        409,
        "This signature was used before; each counts once.",
    ),
    code(
        "body_too_large",
        413,
        "The body is larger than this path takes. Nothing was done.",
    ),
    code(
        "unsupported_media_type",
        415,
        "The body must be JSON, with Content-Type: application/json.",
    ),
    code(
        "bundle_filtered",
        422,
        "A bundle holds every entry of its time; only from and to may be given with it.",
    ),
    code("demo_refused", 422, "Only the demo answers this."),
    code(
        "event_unreadable",
        422,
        "The event is not one that EventBridge sends.",
    ),
    code(
        "filter_invalid",
        422,
        "A filter or a cursor has a value that cannot be understood.",
    ),
    code(
        "idempotency_key_malformed",
        422,
        "The Idempotency-Key must be 1 to 200 visible ASCII characters.",
    ),
    code(
        "idempotency_key_reused",
        422,
        "The Idempotency-Key was used for another request. Nothing was done.",
    ),
    code(
        "invalid_body",
        422,
        "The body is JSON, but not what this path takes.",
    ),
    code(
        "invalid_parameter",
        422,
        "A query parameter has a value that cannot be understood, or was given twice.",
    ),
    code(
        "previous_unknown",
        422,
        "It is not recorded what served before; name a revision.",
    ),
    code("reason_missing", 422, "A reason is needed."),
    code(
        "reason_too_long",
        422,
        "A reason has at most 2000 characters.",
    ),
    code(
        "target_unknown",
        422,
        "The target is no recorded revision of the service.",
    ),
    code(
        "unknown_parameter",
        422,
        "The path takes no query parameter of this name; the detail says which it takes.",
    ),
    code(
        "too_many_attempts",
        429,
        "Too many failed attempts to sign in on the page; wait as Retry-After says.",
    ),
    code(
        "internal",
        500,
        "Switchback failed inside; its log says more, by the trace_id.",
    ),
    code(
        "audit_key_missing",
        503,
        "There is no key yet that could sign a bundle of the audit log. Send it again in a minute.",
    ),
    code(
        "aws_not_heard",
        503,
        "AWS does not answer, so the age of a signature cannot be checked. Send it again.",
    ),
    code(
        "aws_unavailable",
        503,
        "AWS does not answer now. Nothing was changed; try again.",
    ),
    code(
        "commit_unknown",
        503,
        "It is not known whether this was recorded. Repeat it with the same Idempotency-Key: then it counts once.",
    ),
    code(
        "database_unavailable",
        503,
        "The database does not answer now. Nothing was changed; try again.",
    ),
    code(
        "decided_unread",
        503,
        "The decision is recorded, but the gate could not be read again. Read it.",
    ),
    code(
        "relay_secret_missing",
        503,
        "No relay secret is configured, so no hook can be checked.",
    ),
    code(
        "request_in_progress",
        503,
        "The same Idempotency-Key is being worked on. Repeat the request in a moment.",
    ),
];

/// The code, if it is in the table.
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|known| known.code == code)
}
