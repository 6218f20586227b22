//! From an HTTP request to the operation it means, and from an outcome back to the bytes of its protocol.
//!
//! The protocol is found by looking at the request, never by the service: CloudWatch alone is spoken
//! as RPC v2 CBOR, JSON 1.0 and Query by clients that are in use today, and CodeDeploy's model lists
//! CBOR beside JSON.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header};

use crate::door::{cbor, json, query, queues};
use crate::error::AwsError;
use crate::value::Value;

/// How a request is written, and therefore its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// AWS JSON 1.0.
    Json10,
    /// AWS JSON 1.1.
    Json11,
    /// Smithy RPC v2 CBOR.
    Cbor,
    /// Form parameters in, XML out.
    Query,
}

/// What is known about one service on the wire.
#[derive(Debug)]
pub struct Service {
    /// The name that the world knows it by, which is also its name in a credential scope.
    pub name: &'static str,
    /// What stands before the dot in `X-Amz-Target`, and after `/service/` in an RPC v2 path.
    pub target: &'static str,
    /// The `Version` of its Query protocol.
    version: Option<&'static str>,
    /// The XML name space of its Query answers.
    namespace: &'static str,
    /// The Smithy name space of its error shapes.
    shapes: &'static str,
}

/// The services of the simulated account.
pub static SERVICES: [Service; 7] = [
    Service {
        name: "codedeploy",
        target: "CodeDeploy_20141006",
        version: None,
        namespace: "http://codedeploy.amazonaws.com/doc/2014-10-06/",
        shapes: "com.amazonaws.codedeploy",
    },
    Service {
        name: "ecs",
        target: "AmazonEC2ContainerServiceV20141113",
        version: None,
        namespace: "http://ecs.amazonaws.com/doc/2014-11-13/",
        shapes: "com.amazonaws.ecs",
    },
    Service {
        name: "elasticloadbalancing",
        target: "ElasticLoadBalancing_v10",
        version: Some("2015-12-01"),
        namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
        shapes: "com.amazonaws.elasticloadbalancingv2",
    },
    Service {
        name: "events",
        target: "AWSEvents",
        version: None,
        namespace: "http://events.amazonaws.com/doc/2015-10-07/",
        shapes: "com.amazonaws.eventbridge",
    },
    Service {
        name: "sqs",
        target: "AmazonSQS",
        version: Some("2012-11-05"),
        namespace: "http://queue.amazonaws.com/doc/2012-11-05/",
        shapes: "com.amazonaws.sqs",
    },
    Service {
        name: "monitoring",
        target: "GraniteServiceVersion20100801",
        version: Some("2010-08-01"),
        namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/",
        shapes: "com.amazonaws.cloudwatch",
    },
    Service {
        name: "sts",
        target: "AWSSecurityTokenServiceV20110615",
        version: Some("2011-06-15"),
        namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
        shapes: "com.amazonaws.sts",
    },
];

/// CloudWatch's error shapes whose Query code differs from their name, with the status where it is
/// not 400 (botocore 1.44.5, cloudwatch/2010-08-01). Shape, code, status.
const CLOUDWATCH_ERRORS: [(&str, &str, u16); 10] = [
    ("InternalServiceFault", "InternalServiceError", 500),
    ("InvalidFormatFault", "InvalidFormat", 400),
    (
        "InvalidParameterCombinationException",
        "InvalidParameterCombination",
        400,
    ),
    (
        "InvalidParameterValueException",
        "InvalidParameterValue",
        400,
    ),
    ("LimitExceededFault", "LimitExceeded", 400),
    ("MissingRequiredParameterException", "MissingParameter", 400),
    ("ResourceNotFound", "ResourceNotFound", 404),
    (
        "ResourceNotFoundException",
        "ResourceNotFoundException",
        404,
    ),
    ("DashboardInvalidInputError", "InvalidParameterInput", 400),
    ("ValidationException", "ValidationError", 400),
];

/// SQS's error shapes whose Query code has a prefix \[K\], and the status where it is not 400.
const SQS_ERRORS: [(&str, &str, u16); 13] = [
    (
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        400,
    ),
    ("QueueNameExists", "QueueAlreadyExists", 400),
    (
        "QueueDeletedRecently",
        "AWS.SimpleQueueService.QueueDeletedRecently",
        400,
    ),
    (
        "PurgeQueueInProgress",
        "AWS.SimpleQueueService.PurgeQueueInProgress",
        403,
    ),
    (
        "EmptyBatchRequest",
        "AWS.SimpleQueueService.EmptyBatchRequest",
        400,
    ),
    (
        "TooManyEntriesInBatchRequest",
        "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        400,
    ),
    (
        "BatchEntryIdsNotDistinct",
        "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        400,
    ),
    (
        "InvalidBatchEntryId",
        "AWS.SimpleQueueService.InvalidBatchEntryId",
        400,
    ),
    (
        "BatchRequestTooLong",
        "AWS.SimpleQueueService.BatchRequestTooLong",
        400,
    ),
    (
        "MessageNotInflight",
        "AWS.SimpleQueueService.MessageNotInflight",
        400,
    ),
    (
        "UnsupportedOperation",
        "AWS.SimpleQueueService.UnsupportedOperation",
        400,
    ),
    ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404),
    ("OverLimit", "OverLimit", 403),
];

/// One request, understood.
#[derive(Debug)]
pub struct Request {
    /// How it is written.
    pub protocol: Protocol,
    /// Whose operation it is.
    pub service: &'static Service,
    /// The operation as AWS names it.
    pub operation: String,
    /// Its parameters.
    pub input: Value,
}

/// Why a request was not understood, and how to say so.
#[derive(Debug)]
pub struct Refusal {
    /// The protocol of the answer; `None` when the request resembles no AWS protocol.
    pub protocol: Option<Protocol>,
    /// The service, as far as it was recognised.
    pub service: Option<&'static Service>,
    /// The operation, as far as it was recognised.
    pub operation: String,
    /// What to answer.
    pub error: AwsError,
}

/// Finds out what a request means: by RPC v2's header or path, by `X-Amz-Target`, by `Action` and `Version`.
pub fn understand(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Request, Refusal> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let rpc_path = rpc_path(uri.path());
    if header("smithy-protocol") == Some("rpc-v2-cbor") || rpc_path.is_some() {
        let (target, operation) = rpc_path.unwrap_or(("", uri.path()));
        return named(Protocol::Cbor, target, operation, || cbor::decode(body));
    }
    if let Some(target) = header("x-amz-target") {
        let (target, operation) = target.split_once('.').unwrap_or((target, ""));
        let protocol = match header("content-type") {
            Some(kind) if kind.starts_with("application/x-amz-json-1.0") => Protocol::Json10,
            _ => Protocol::Json11,
        };
        return named(protocol, target, operation, || json::decode(body));
    }
    let form = if method == Method::GET {
        uri.query().unwrap_or("").as_bytes()
    } else {
        body
    };
    query_request(form, headers, uri)
}

/// `/any/prefix/service/{Service}/operation/{Operation}`.
fn rpc_path(path: &str) -> Option<(&str, &str)> {
    let mut parts = path.trim_end_matches('/').rsplit('/');
    let operation = parts.next()?;
    let is_operation = parts.next()? == "operation";
    let service = parts.next()?;
    let is_service = parts.next()? == "service";
    (is_operation && is_service).then_some((service, operation))
}

fn named(
    protocol: Protocol,
    target: &str,
    operation: &str,
    decode: impl FnOnce() -> Result<Value, String>,
) -> Result<Request, Refusal> {
    let service = SERVICES.iter().find(|service| service.target == target);
    let operation = operation.to_string();
    let refuse = |code: &str, message: String, operation: String| Refusal {
        protocol: Some(protocol),
        service,
        operation,
        error: AwsError::caller(code, message),
    };
    let Some(service) = service else {
        let message = format!("The simulated account has no service {target}.");
        return Err(refuse("UnknownOperationException", message, operation));
    };
    match decode() {
        Ok(input) => Ok(Request {
            protocol,
            service,
            operation,
            input,
        }),
        Err(message) => Err(refuse("SerializationException", message, operation)),
    }
}

fn query_request(form: &[u8], headers: &HeaderMap, uri: &Uri) -> Result<Request, Refusal> {
    let scope = Credential::of(headers, uri).map(|credential| credential.service);
    let in_scope = SERVICES
        .iter()
        .find(|service| service.version.is_some() && scope.as_deref() == Some(service.name));
    let looks_like_query = in_scope.is_some()
        || form
            .split(|byte| *byte == b'&')
            .any(|part| part.starts_with(b"Action="));
    let refuse = |code: &str, message: String| Refusal {
        protocol: looks_like_query.then_some(Protocol::Query),
        service: in_scope,
        operation: String::new(),
        error: AwsError::caller(code, message),
    };
    let decoded = match query::decode(form) {
        Ok(Value::Map(parameters)) if looks_like_query => Ok(parameters),
        Ok(_) => Err("no AWS protocol is recognised in this request".to_string()),
        Err(message) => Err(message),
    };
    let mut parameters = decoded.map_err(|message| refuse("SerializationException", message))?;
    let action = parameters.remove("Action");
    let version = parameters.remove("Version");
    let version = version.as_ref().and_then(Value::as_str);
    let service = SERVICES
        .iter()
        .find(|service| service.version.is_some() && service.version == version)
        .or(in_scope.filter(|_| version.is_none()));
    let Some(operation) = action.as_ref().and_then(Value::as_str) else {
        let message = "The request must contain the parameter Action.".to_string();
        return Err(refuse("MissingAction", message));
    };
    let Some(service) = service else {
        let version = version.unwrap_or("");
        let message = format!("Could not find operation {operation} for version {version}");
        return Err(refuse("UnknownOperationException", message));
    };
    // Presigned requests carry their signature among the parameters.
    parameters.retain(|name, _| !name.starts_with("X-Amz-"));
    let mut input = Value::Map(parameters);
    if service.name == "sqs" {
        input = queues::from_query(operation, input);
        // Old clients post to the address of the queue.
        if input.get("QueueUrl").is_null() && uri.path().len() > 1 {
            input = input.with("QueueUrl", uri.path());
        }
    }
    Ok(Request {
        protocol: Protocol::Query,
        service,
        operation: operation.to_string(),
        input,
    })
}

/// The credential scope of a signed request. The signature itself is not checked: any is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The access key id.
    pub access_key: String,
    /// The region it was signed for.
    pub region: String,
    /// The service it was signed for.
    pub service: String,
}

impl Credential {
    /// Reads `Credential=KEY/DATE/REGION/SERVICE/aws4_request` from the `Authorization` header or,
    /// for a presigned request, from the query.
    pub fn of(headers: &HeaderMap, uri: &Uri) -> Option<Credential> {
        let from_header = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once("Credential="))
            .map(|(_, rest)| rest.split([',', ' ']).next().unwrap_or(rest).to_string());
        let from_query = || {
            form_urlencoded::parse(uri.query().unwrap_or("").as_bytes())
                .find(|(name, _)| name == "X-Amz-Credential")
                .map(|(_, value)| value.into_owned())
        };
        let scope = from_header.or_else(from_query)?;
        let mut parts = scope.rsplitn(5, '/');
        let terminator = parts.next()?;
        let service = parts.next()?;
        let region = parts.next()?;
        let _date = parts.next()?;
        let access_key = parts.next()?;
        let lawful = terminator == "aws4_request"
            && !access_key.is_empty()
            && !region.is_empty()
            && !service.is_empty();
        lawful.then(|| Credential {
            access_key: access_key.to_string(),
            region: region.to_string(),
            service: service.to_string(),
        })
    }
}

/// The answer of an operation that was done.
pub fn answer(request: &Request, output: &Value, request_id: &str) -> Response<Vec<u8>> {
    let body = match request.protocol {
        Protocol::Json10 | Protocol::Json11 => json::encode(output),
        Protocol::Cbor => cbor::encode(output),
        Protocol::Query if request.service.name == "sqs" => queues::to_query(
            request.service.namespace,
            &request.operation,
            output,
            request_id,
        ),
        Protocol::Query => query::encode(
            request.service.namespace,
            &request.operation,
            output,
            request_id,
        ),
    };
    respond(request.protocol, 200, body, request_id)
}

/// The answer of an operation that was refused, in the words and the form by which the clients of
/// that protocol find their typed exceptions.
pub fn refuse(
    protocol: Protocol,
    service: Option<&Service>,
    error: &AwsError,
    request_id: &str,
) -> Response<Vec<u8>> {
    let (shape, code, status) = names(protocol, service, error);
    let sender = status < 500;
    let namespaced = || match service {
        Some(service) => format!("{}#{shape}", service.shapes),
        None => shape.clone(),
    };
    let document = |kind: String| {
        Value::map()
            .with("__type", kind)
            .with("message", error.message.clone())
    };
    let body = match protocol {
        Protocol::Json11 => json::encode(&document(shape.clone())),
        Protocol::Json10 => json::encode(&document(namespaced())),
        Protocol::Cbor => cbor::encode(&document(namespaced())),
        Protocol::Query => {
            let namespace = service.map_or("", |service| service.namespace);
            query::encode_error(namespace, &code, &error.message, sender, request_id)
        }
    };
    let mut response = respond(protocol, status, body, request_id);
    // CloudWatch and SQS moved from Query to JSON and CBOR: their clients still find exceptions by the Query code.
    let query_compatible =
        service.is_some_and(|service| ["monitoring", "sqs"].contains(&service.name));
    if query_compatible && protocol != Protocol::Query {
        let fault = if sender { "Sender" } else { "Receiver" };
        insert(
            &mut response,
            "x-amzn-query-error",
            &format!("{code};{fault}"),
        );
    }
    response
}

/// The error's shape, its Query code and its HTTP status.
fn names(protocol: Protocol, service: Option<&Service>, error: &AwsError) -> (String, String, u16) {
    let given = error.code.as_str();
    if service.is_some_and(|service| service.name == "monitoring")
        && let Some((shape, code, status)) = CLOUDWATCH_ERRORS
            .iter()
            .find(|(shape, _, _)| *shape == given)
            .or_else(|| CLOUDWATCH_ERRORS.iter().find(|(_, code, _)| *code == given))
    {
        return ((*shape).to_string(), (*code).to_string(), *status);
    }
    if service.is_some_and(|service| service.name == "sqs")
        && let Some((shape, code, status)) = SQS_ERRORS.iter().find(|(shape, _, _)| *shape == given)
    {
        let status = if protocol == Protocol::Query {
            *status
        } else {
            400
        };
        return ((*shape).to_string(), (*code).to_string(), status);
    }
    let (code, status) = match given {
        "UnrecognizedClientException" => ("InvalidClientTokenId", 403),
        "InvalidSignatureException" => ("SignatureDoesNotMatch", 403),
        "ThrottlingException" => ("Throttling", error.status),
        "AccessDeniedException" => ("AccessDenied", 403),
        "UnknownOperationException" => ("InvalidAction", error.status),
        "SerializationException" => ("MalformedQueryString", error.status),
        "IncompleteSignatureException" => ("IncompleteSignature", error.status),
        "MissingAuthenticationTokenException" => ("MissingAuthenticationToken", 403),
        // ELBv2's codes are its shapes' names without the suffix; STS keeps it on some of its own.
        _ if service.is_some_and(|service| service.name == "elasticloadbalancing") => (
            given.strip_suffix("Exception").unwrap_or(given),
            error.status,
        ),
        _ => (given, error.status),
    };
    let status = if protocol == Protocol::Query {
        status
    } else {
        error.status
    };
    (given.to_string(), code.to_string(), status)
}

fn respond(protocol: Protocol, status: u16, body: Vec<u8>, request_id: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = match protocol {
        Protocol::Json10 => "application/x-amz-json-1.0",
        Protocol::Json11 => "application/x-amz-json-1.1",
        Protocol::Cbor => "application/cbor",
        Protocol::Query => "text/xml",
    };
    insert(&mut response, "content-type", kind);
    insert(&mut response, "x-amzn-requestid", request_id);
    if protocol == Protocol::Cbor {
        insert(&mut response, "smithy-protocol", "rpc-v2-cbor");
    }
    response
}

fn insert(response: &mut Response<Vec<u8>>, name: &'static str, value: &str) {
    // Codes come from the world's own words; one that is no header value is left out rather than sent broken.
    if let Ok(value) = HeaderValue::from_str(value) {
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn check(path: &str, pairs: &[(&'static str, &str)], body: &[u8], expected: &str) {
        let found = match understand(&Method::POST, &path.parse().unwrap(), &headers(pairs), body) {
            Ok(request) => format!(
                "{:?} {} {}",
                request.protocol, request.service.name, request.operation
            ),
            Err(refusal) => format!("{:?} {}", refusal.protocol, refusal.error.code),
        };
        assert_eq!(found, expected, "{path} {pairs:?}");
    }

    #[test]
    fn the_request_decides_the_protocol() {
        let cbor = ("smithy-protocol", "rpc-v2-cbor");
        let granite = "/service/GraniteServiceVersion20100801/operation/DescribeAlarms";
        check(
            granite,
            &[cbor],
            b"\xbf\xff",
            "Cbor monitoring DescribeAlarms",
        );
        check(granite, &[], b"", "Cbor monitoring DescribeAlarms");
        check(
            &format!("/base{granite}"),
            &[cbor],
            b"",
            "Cbor monitoring DescribeAlarms",
        );
        check(
            "/service/CodeDeploy_20141006/operation/GetDeployment",
            &[cbor],
            b"",
            "Cbor codedeploy GetDeployment",
        );
        check("/", &[cbor], b"", "Some(Cbor) UnknownOperationException");
        let target = |target| ("x-amz-target", target);
        let json11 = ("content-type", "application/x-amz-json-1.1");
        check(
            "/",
            &[target("CodeDeploy_20141006.CreateDeployment"), json11],
            b"{}",
            "Json11 codedeploy CreateDeployment",
        );
        check(
            "/",
            &[
                target("GraniteServiceVersion20100801.DescribeAlarms"),
                ("content-type", "application/x-amz-json-1.0"),
            ],
            b"{}",
            "Json10 monitoring DescribeAlarms",
        );
        check(
            "/",
            &[target("DynamoDB_20120810.GetItem")],
            b"{}",
            "Some(Json11) UnknownOperationException",
        );
        check(
            "/",
            &[target("CodeDeploy_20141006.GetDeployment")],
            b"{",
            "Some(Json11) SerializationException",
        );
        check(
            "/",
            &[],
            b"Action=DescribeRules&Version=2015-12-01",
            "Query elasticloadbalancing DescribeRules",
        );
        check(
            "/",
            &[],
            b"Action=GetCallerIdentity&Version=2011-06-15",
            "Query sts GetCallerIdentity",
        );
        check(
            "/",
            &[],
            b"Action=X&Version=1999-01-01",
            "Some(Query) UnknownOperationException",
        );
        check("/", &[], b"hello", "None SerializationException");
    }

    #[test]
    fn the_caller_is_read_from_the_credential_scope() {
        let scope = "AWS4-HMAC-SHA256 Credential=AKID/20261121/eu-central-1/codedeploy/aws4_request, \
                     SignedHeaders=host, Signature=00";
        let found = Credential::of(
            &headers(&[("authorization", scope)]),
            &Uri::from_static("/"),
        );
        let expected = Credential {
            access_key: "AKID".to_string(),
            region: "eu-central-1".to_string(),
            service: "codedeploy".to_string(),
        };
        assert_eq!(found, Some(expected.clone()));
        let presigned =
            "/?X-Amz-Credential=AKID%2F20261121%2Feu-central-1%2Fcodedeploy%2Faws4_request";
        assert_eq!(
            Credential::of(&HeaderMap::new(), &presigned.parse().unwrap()),
            Some(expected)
        );
        assert_eq!(
            Credential::of(&HeaderMap::new(), &Uri::from_static("/")),
            None
        );
        let broken = headers(&[("authorization", "AWS4-HMAC-SHA256 Credential=AKID/2026")]);
        assert_eq!(Credential::of(&broken, &Uri::from_static("/")), None);
    }

    #[test]
    fn refusals_are_named_as_each_protocol_names_them() {
        let service = |name: &str| SERVICES.iter().find(|service| service.name == name);
        let text =
            |response: &Response<Vec<u8>>| String::from_utf8_lossy(response.body()).into_owned();
        let error = AwsError::caller("DeploymentDoesNotExistException", "no");
        let response = refuse(Protocol::Json11, service("codedeploy"), &error, "id");
        assert_eq!(
            text(&response),
            r#"{"__type":"DeploymentDoesNotExistException","message":"no"}"#
        );
        assert_eq!(response.headers()["x-amzn-requestid"], "id");

        let error = AwsError::caller("InvalidParameterValueException", "no");
        let response = refuse(Protocol::Cbor, service("monitoring"), &error, "id");
        assert_eq!(
            response.headers()["x-amzn-query-error"],
            "InvalidParameterValue;Sender"
        );
        assert_eq!(response.headers()["smithy-protocol"], "rpc-v2-cbor");
        assert!(
            text(&response).contains("com.amazonaws.cloudwatch#InvalidParameterValueException")
        );
        let response = refuse(Protocol::Query, service("monitoring"), &error, "id");
        assert!(text(&response).contains("<Code>InvalidParameterValue</Code>"));

        let error = AwsError::caller("TargetGroupNotFoundException", "a<b");
        let response = refuse(
            Protocol::Query,
            service("elasticloadbalancing"),
            &error,
            "id",
        );
        assert!(text(&response).contains(
            "<Type>Sender</Type><Code>TargetGroupNotFound</Code><Message>a&lt;b</Message>"
        ));
        let error = AwsError::caller("ThrottlingException", "Rate exceeded.");
        let response = refuse(
            Protocol::Query,
            service("elasticloadbalancing"),
            &error,
            "id",
        );
        assert!(text(&response).contains("<Code>Throttling</Code>"));
        assert_eq!(response.status(), 400);
    }
}
