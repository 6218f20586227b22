//! From the SDK's errors to ours: the one place that decides what an error means.

use crate::calls::ASSUME_ROLE;
use crate::calls::Call;
use crate::calls::Nature;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;
use std::error::Error;
use switchback_cloud::CloudError;
use switchback_cloud::NOT_OFFERED;
use switchback_cloud::WhatToDo;

/// The codes by which AWS says "not now": nothing happened (aws.md §6.2).
const THROTTLED: [&str; 14] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "RequestThrottled",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
];

/// The codes by which AWS refuses the signature of a moment: nothing happened, and the next call is
/// signed anew with fresh credentials.
const SIGNATURE_TOO_OLD: [&str; 4] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "RequestTimeTooSkewed",
];

/// Whether an answer says "not now", by its status and the code somewhere in its body: the protocols put it in
/// different places, and for a number it is not worth telling them apart.
pub(crate) fn is_throttled(status: u16, body: &[u8]) -> bool {
    let has_code = |code: &&str| {
        body.windows(code.len()).enumerate().any(|(at, window)| {
            window == code.as_bytes() && (at == 0 || !body[at - 1].is_ascii_alphanumeric())
        })
    };
    status == 429 || (status >= 400 && THROTTLED.iter().any(has_code))
}

/// How far a call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Got<'a> {
    /// The request could not be built.
    NotBuilt,
    /// It was built, but certainly not put on the wire: no credentials, no connection.
    NotSent,
    /// It may have been sent; there is no answer.
    NoAnswer,
    /// There is an answer that cannot be read to its end.
    Unreadable,
    /// AWS, or something between, answered with an error.
    Refused { status: u16, code: Option<&'a str> },
}

fn what_to_do(nature: Nature, got: Got<'_>) -> WhatToDo {
    let unless_it_had_an_effect = match nature {
        Nature::Read => WhatToDo::Retry,
        Nature::Change => WhatToDo::Unknown,
    };
    match got {
        Got::NotBuilt => WhatToDo::Never,
        Got::NotSent => WhatToDo::Retry,
        Got::NoAnswer | Got::Unreadable => unless_it_had_an_effect,
        Got::Refused {
            code: Some(code), ..
        } if THROTTLED.contains(&code) || SIGNATURE_TOO_OLD.contains(&code) => WhatToDo::Retry,
        Got::Refused { status: 429, .. } => WhatToDo::Retry,
        Got::Refused {
            status: 408 | 500..,
            ..
        } => unless_it_had_an_effect,
        Got::Refused {
            status: 400..=499,
            code: Some(_),
        } => WhatToDo::Never,
        // An error without a code of AWS's is somebody else's on the way. What became of a change is
        // not known; a read would meet the same again.
        Got::Refused { .. } => match nature {
            Nature::Read => WhatToDo::Never,
            Nature::Change => WhatToDo::Unknown,
        },
    }
}

/// Ours for an error of a reading call.
pub(crate) fn failed<E>(call: Call) -> impl Fn(SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    move |error| from_sdk(call, true, &error)
}

/// Ours for an error of any call; `sent` is whether the SDK began to send it, as far as is known.
pub(crate) fn from_sdk<E>(call: Call, sent: bool, error: &SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(refused) = role_not_given(error) {
        // Nothing of the call itself was sent: it is made again once the role is given.
        return CloudError {
            kind: WhatToDo::Retry,
            ..from_sdk(ASSUME_ROLE, true, refused)
        };
    }
    let (got, code, message) = match error {
        SdkError::ConstructionFailure(_) => (Got::NotBuilt, "Malformed", chain(error)),
        SdkError::ServiceError(service) => {
            let code = service.err().code();
            let status = service.raw().status().as_u16();
            let not_of_aws = match code {
                None => not_of_aws(status, error.request_id()),
                Some(_) => None,
            };
            let unnamed = match not_of_aws {
                Some(_) => NOT_OFFERED,
                None => "Malformed",
            };
            let message = match service.err().message() {
                Some(message) => message.to_string(),
                None => not_of_aws.unwrap_or_else(|| format!("HTTP {status} without a text")),
            };
            (
                Got::Refused { status, code },
                code.unwrap_or(unnamed),
                message,
            )
        }
        SdkError::ResponseError(response) => {
            let status = response.raw().status().as_u16();
            match not_of_aws(status, error.request_id()) {
                Some(message) => (Got::Unreadable, NOT_OFFERED, message),
                None => (Got::Unreadable, "Malformed", chain(error)),
            }
        }
        SdkError::DispatchFailure(failure)
            if !sent
                || failure
                    .as_connector_error()
                    .is_some_and(|error| never_connected(error)) =>
        {
            (Got::NotSent, "NoConnection", chain(error))
        }
        _ if !sent => (Got::NotSent, "NoConnection", chain(error)),
        _ => (Got::NoAnswer, "NoAnswer", chain(error)),
    };
    CloudError {
        operation: call.name.to_string(),
        kind: what_to_do(call.nature, got),
        code: code.to_string(),
        message,
        request_id: error.request_id().map(str::to_string),
    }
}

/// The statuses with which a server that is none of AWS's says that it has no such thing. An emulator that lacks a call
/// ends it with 500 or 501.
const NO_SUCH_THING: [u16; 4] = [404, 405, 500, 501];

/// What an error says that has neither AWS's form nor AWS's request id; `None` for what AWS may have answered, or what
/// stands between us and AWS.
fn not_of_aws(status: u16, request_id: Option<&str>) -> Option<String> {
    (request_id.is_none() && NO_SUCH_THING.contains(&status))
        .then(|| format!("HTTP {status}, in none of AWS's forms"))
}

/// Why the SDK could not assume the account's role, if that is what ended a call.
fn role_not_given<'a>(
    error: &'a (dyn Error + 'static),
) -> Option<&'a SdkError<AssumeRoleError, HttpResponse>> {
    causes(error).skip(1).find_map(|cause| cause.downcast_ref())
}

/// An answer that lacks what AWS documents to be always there.
pub(crate) fn malformed(call: Call, message: impl Into<String>) -> CloudError {
    CloudError {
        operation: call.name.to_string(),
        kind: match call.nature {
            Nature::Read => WhatToDo::Never,
            // The call was accepted; only what it did is not known.
            Nature::Change => WhatToDo::Unknown,
        },
        code: "Malformed".to_string(),
        message: message.into(),
        request_id: None,
    }
}

/// Whether the HTTP client failed while it was still connecting, so that no byte of the request left.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
    })
}

fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> + 'a {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The error and its causes in one line. The SDK's own texts hold no credentials.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in causes(error) {
        let text = cause.to_string();
        // Some errors print their cause themselves.
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_means() {
        let refused = |status, code| Got::Refused { status, code };
        // How far the call got; what that means for a read; for a change.
        let table = [
            (Got::NotBuilt, WhatToDo::Never, WhatToDo::Never),
            (Got::NotSent, WhatToDo::Retry, WhatToDo::Retry),
            (Got::NoAnswer, WhatToDo::Retry, WhatToDo::Unknown),
            (Got::Unreadable, WhatToDo::Retry, WhatToDo::Unknown),
            (
                refused(400, Some("ThrottlingException")),
                WhatToDo::Retry,
                WhatToDo::Retry,
            ),
            (
                refused(503, Some("SlowDown")),
                WhatToDo::Retry,
                WhatToDo::Retry,
            ),
            (refused(429, None), WhatToDo::Retry, WhatToDo::Retry),
            (
                refused(400, Some("ExpiredTokenException")),
                WhatToDo::Retry,
                WhatToDo::Retry,
            ),
            (
                refused(403, Some("RequestTimeTooSkewed")),
                WhatToDo::Retry,
                WhatToDo::Retry,
            ),
            (
                refused(500, Some("InternalFailure")),
                WhatToDo::Retry,
                WhatToDo::Unknown,
            ),
            (refused(502, None), WhatToDo::Retry, WhatToDo::Unknown),
            (
                refused(503, Some("ServiceUnavailable")),
                WhatToDo::Retry,
                WhatToDo::Unknown,
            ),
            (refused(408, None), WhatToDo::Retry, WhatToDo::Unknown),
            (
                refused(400, Some("DeploymentLimitExceededException")),
                WhatToDo::Never,
                WhatToDo::Never,
            ),
            (
                refused(403, Some("AccessDeniedException")),
                WhatToDo::Never,
                WhatToDo::Never,
            ),
            (refused(403, None), WhatToDo::Never, WhatToDo::Unknown),
            (refused(302, None), WhatToDo::Never, WhatToDo::Unknown),
        ];
        for (got, read, change) in table {
            assert_eq!(what_to_do(Nature::Read, got), read, "read: {got:?}");
            assert_eq!(what_to_do(Nature::Change, got), change, "change: {got:?}");
        }
    }

    #[test]
    fn only_what_has_none_of_awss_marks_is_not_offered() {
        for (status, request_id, not_offered) in [
            (500, None, true),
            (501, None, true),
            (404, None, true),
            (500, Some("request-1"), false),
            // Something on the way, for the moment.
            (502, None, false),
            (503, None, false),
            (200, None, false),
        ] {
            assert_eq!(
                not_of_aws(status, request_id).is_some(),
                not_offered,
                "{status}"
            );
        }
    }

    #[test]
    fn every_throttling_code_means_that_nothing_happened() {
        for code in THROTTLED {
            let got = Got::Refused {
                status: 400,
                code: Some(code),
            };
            assert_eq!(what_to_do(Nature::Change, got), WhatToDo::Retry, "{code}");
        }
    }

    #[test]
    fn an_answer_without_what_must_be_there_leaves_a_change_unknown() {
        assert_eq!(
            malformed(crate::calls::LIST_TASKS, "x").kind,
            WhatToDo::Never
        );
        assert_eq!(
            malformed(crate::calls::CREATE_DEPLOYMENT, "x").kind,
            WhatToDo::Unknown
        );
    }
}
