//! S3 on the same port: plain HTTP with XML, unlike the other services.
//!
//! A request is S3's when it is signed for it. It is understood ([`request`]), done under the lock,
//! and answered; faults and the journal are those of every other service.

mod chunked;
mod request;
mod xml;

use std::time::Instant;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::Bytes;

use crate::door::clock::http_date;
use crate::door::faults::{FaultKind, Harm};
use crate::door::simulation::Call;
use crate::door::wire::Credential;
use crate::door::{Shared, Unsent};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::s3;
use request::Incoming;

/// The name that faults, the journal and credential scopes know the service by.
pub const SERVICE: &str = "s3";

/// Whether a request that is signed so is S3's.
pub fn is_meant(credential: &Credential) -> bool {
    credential.service == SERVICE
}

/// Answers one request, with the harm that a fault wants done to it. One whose signature is wrong is refused.
pub async fn answer(
    shared: &Shared,
    credential: &Credential,
    parts: &Parts,
    body: Bytes,
    unsigned: Option<AwsError>,
) -> Response<Body> {
    let (response, harm) = done(shared, credential, parts, &body, unsigned);
    match harm {
        Some(Harm {
            kind: FaultKind::Slow,
            delay,
            ..
        }) => tokio::time::sleep(delay).await,
        Some(Harm {
            kind: FaultKind::ResponseLost | FaultKind::ConnectionCut,
            ..
        }) => {
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(Unsent);
            return response;
        }
        _ => {}
    }
    response
}

fn internal() -> AwsError {
    s3::refuse(
        500,
        "InternalError",
        "We encountered an internal error. Please try again.",
    )
}

fn done(
    shared: &Shared,
    credential: &Credential,
    parts: &Parts,
    body: &[u8],
    unsigned: Option<AwsError>,
) -> (Response<Body>, Option<Harm>) {
    let mut simulation = shared.lock();
    simulation.catch_up(Instant::now());
    // S3's request ids are sixteen digits \[O\].
    let request_id = simulation.next_request_id().replace('-', "")[..16].to_uppercase();
    let caller = simulation.caller(credential);
    let incoming = Incoming {
        method: &parts.method,
        uri: &parts.uri,
        headers: &parts.headers,
        body,
        account: &caller.account,
    };
    let resource = parts.uri.path().to_string();
    let refused = |refusal: &s3::Refusal| refusal_response(refusal, parts, &resource, &request_id);
    if let Some(error) = unsigned {
        return (refused(&as_s3_says(error).into()), None);
    }
    let request = match incoming.understand() {
        Ok(request) => request,
        Err(error) => return (refused(&error.into()), None),
    };
    let operation = request.operation.name();
    // Never stale: what a bucket answers is not remembered.
    let harm = simulation
        .faults
        .strike(&caller.account, SERVICE, operation, false);
    let input = journaled(&request);
    let call = Call {
        caller: &caller,
        service: SERVICE,
        operation,
        input: &input,
        request_id: &request_id,
        fault: harm.map(|harm| harm.kind),
    };
    let kept_away = match call.fault {
        Some(FaultKind::Throttle) => Some(s3::refuse(
            503,
            "SlowDown",
            "Please reduce your request rate.",
        )),
        Some(FaultKind::AccessDenied) => Some(s3::refuse(403, "AccessDenied", "Access Denied")),
        Some(FaultKind::ErrorBefore) => Some(internal()),
        Some(FaultKind::ConnectionCut) => Some(AwsError::service(
            "ConnectionCut",
            "The connection was cut before the effect.",
        )),
        _ => None,
    };
    if let Some(error) = kept_away {
        simulation.write_down(&call, Some(&error));
        return (refused(&error.into()), harm);
    }
    let outcome = simulation.world.call_s3(&caller, &request);
    simulation.write_down(&call, outcome.as_ref().err().map(|refusal| &refusal.error));
    let response = match outcome {
        Ok(_) if call.fault == Some(FaultKind::ErrorAfter) => refused(&internal().into()),
        Ok(answer) => answer_response(answer, &request_id),
        Err(refusal) => refused(&refusal),
    };
    (response, harm)
}

/// A wrong signature in S3's words, which are not those of the other services \[D\].
fn as_s3_says(error: AwsError) -> AwsError {
    let (status, code, message) = match error.code.as_str() {
        "UnrecognizedClientException" => (
            403,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        "InvalidSignatureException" if error.message.starts_with("Signature ") => (
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
        "InvalidSignatureException" => (
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and signing \
             method.",
        ),
        "MissingAuthenticationTokenException" => (403, "AccessDenied", "Access Denied"),
        _ => (400, "AuthorizationHeaderMalformed", error.message.as_str()),
    };
    s3::refuse(status, code, message)
}

/// The parameters of a call as the journal tells them: without the content.
fn journaled(request: &s3::Request) -> Value {
    let mut input = Value::map();
    for (name, value) in [("Bucket", &request.bucket), ("Key", &request.key)] {
        if !value.is_empty() {
            input = input.with(name, value.as_str());
        }
    }
    match &request.operation {
        s3::Operation::CreateBucket(location) => input.with("LocationConstraint", location.clone()),
        s3::Operation::PutBucketVersioning(status) => input.with("Status", status.as_str()),
        s3::Operation::PutObject(upload) => {
            input.with("ContentLength", upload.content.len() as i64)
        }
        s3::Operation::DeleteObject { version } => input.with("VersionId", version.clone()),
        s3::Operation::DeleteObjects { objects, .. } => {
            let keys = objects
                .iter()
                .map(|(key, _)| Value::from(key.as_str()))
                .collect::<Vec<_>>();
            input.with("Keys", keys)
        }
        _ => input,
    }
}

fn insert(response: &mut Response<Body>, name: &str, value: &str) {
    // A value that is no header value is left out rather than sent broken.
    if let (Ok(name), Ok(value)) = (
        HeaderName::from_bytes(name.as_bytes()),
        HeaderValue::from_str(value),
    ) {
        response.headers_mut().insert(name, value);
    }
}

fn identified(response: &mut Response<Body>, request_id: &str) {
    insert(response, "x-amz-request-id", request_id);
    insert(response, "x-amz-id-2", request_id);
    insert(response, "server", "AmazonS3");
}

fn answer_response(answer: s3::Answer, request_id: &str) -> Response<Body> {
    let (body, length, is_document) = match answer.body {
        s3::Body::Empty => (Body::empty(), None, false),
        s3::Body::Content(content) => (Body::from(content), None, false),
        s3::Body::Length(length) => (Body::empty(), Some(length), false),
        s3::Body::Document(root, value) => (Body::from(xml::document(root, &value)), None, true),
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if is_document {
        insert(&mut response, "content-type", "application/xml");
    }
    if let Some(length) = length {
        insert(
            &mut response,
            header::CONTENT_LENGTH.as_str(),
            &length.to_string(),
        );
    }
    for (name, value) in answer.headers {
        match (name.as_str(), value.parse()) {
            ("last-modified", Ok(ms)) => insert(&mut response, &name, &http_date(ms)),
            _ => insert(&mut response, &name, &value),
        }
    }
    identified(&mut response, request_id);
    response
}

fn refusal_response(
    refusal: &s3::Refusal,
    parts: &Parts,
    resource: &str,
    request_id: &str,
) -> Response<Body> {
    let error = &refusal.error;
    // The answer to a HEAD and one that says "unchanged" have no body to put a code in.
    let bare = parts.method == http::Method::HEAD || error.status == 304;
    let body = if bare {
        Body::empty()
    } else {
        Body::from(xml::error(error, resource, request_id))
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if !bare {
        insert(&mut response, "content-type", "application/xml");
    }
    if let Some(region) = &refusal.region {
        insert(&mut response, "x-amz-bucket-region", region);
    }
    identified(&mut response, request_id);
    response
}
