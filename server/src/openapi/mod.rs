//! The document of the API, OpenAPI 3.1, made from the code: the operations from [`operations`], who may ask from the
//! table of routes, schemas and their words from the types that are serialised, problems from [`codes`].

pub mod answers;
pub mod codes;
pub mod operations;
pub mod reference;

use crate::front::LARGEST_BODY;
use crate::openapi::answers::ProblemDocument;
use crate::openapi::operations::Content;
use crate::openapi::operations::Group;
use crate::openapi::operations::OPERATIONS;
use crate::openapi::operations::Operation;
use crate::routes;
use crate::routes::Who;
use crate::session;
use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::Method;
use http::header;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::generate::Contract;
use schemars::generate::SchemaSettings;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The path of the document.
pub const PATH: &str = "/api/openapi.json";

/// What holds for every request, one paragraph each.
const DESCRIPTION: [&str; 4] = [
    "Send an API token as Authorization: Bearer TOKEN. A browser that is signed in may ask with its session instead.",
    "Lists answer {\"items\": [...], \"next_cursor\": ...}. A cursor is opaque: give it back as it came, with the same \
     filters. Times are RFC 3339 in UTC. Members may be added to answers; those that are there keep their names.",
    "What is not done is answered with a problem document (RFC 9457) whose member code is stable. An unknown query \
     parameter is a problem, never ignored. Every answer has the header Trace-Id.",
    "A POST with an Idempotency-Key has one effect however often it is sent; the answer is then the first one, with the \
     header Idempotency-Replayed.",
];

/// The document.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(made);
    &DOCUMENT
}

/// GET /api/openapi.json
pub async fn answer() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    let mut response = Response::new(Body::from(TEXT.as_str()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The codes of the problems that an operation may answer, by their status.
pub fn problems(operation: &Operation) -> BTreeMap<u16, BTreeSet<&'static str>> {
    let who = routes::who(&operation.method, operation.path);
    let is_posted = operation.method == Method::POST;
    let mut words: Vec<&str> = vec!["body_too_large", "internal"];
    words.extend(operation.codes);
    match who {
        Who::SignedIn => words.extend([
            "sign_in_needed",
            "token_unknown",
            "forbidden",
            "database_unavailable",
            "unknown_parameter",
            "invalid_parameter",
        ]),
        Who::Hook => words.extend([
            "signature_malformed",
            "signature_too_old",
            "signature_wrong",
            "signature_repeated",
            "relay_secret_missing",
            "aws_not_heard",
            "database_unavailable",
        ]),
        Who::Public => {}
    }
    if is_posted {
        words.extend([
            "body_unreadable",
            "malformed_json",
            "unsupported_media_type",
            "invalid_body",
            "changed_meanwhile",
            "commit_unknown",
        ]);
        if who == Who::SignedIn {
            words.extend([
                "cross_origin",
                "fresh_sign_in_needed",
                "idempotency_key_malformed",
            ]);
        }
    }
    if operation.counts_once {
        words.extend(["idempotency_key_reused", "request_in_progress"]);
    }
    if operation.identifier.is_some() {
        words.extend(["malformed_path", "not_found"]);
    }
    let mut problems: BTreeMap<u16, BTreeSet<&'static str>> = BTreeMap::new();
    for known in words.into_iter().filter_map(codes::find) {
        problems.entry(known.status).or_default().insert(known.code);
    }
    problems
}

fn generator(contract: Contract) -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.contract = contract;
        })
        .into_generator()
}

fn made() -> Value {
    let mut answers = generator(Contract::Serialize);
    let mut requests = generator(Contract::Deserialize);
    let problem = answers.subschema_for::<ProblemDocument>();
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let described = described(operation, &mut answers, &mut requests, &problem);
        let path = paths
            .entry(operation.path)
            .or_insert_with(|| Value::Object(Map::new()));
        path[operation.method.as_str().to_ascii_lowercase()] = described;
    }
    let mut schemas = requests.take_definitions(true);
    schemas.extend(answers.take_definitions(true));
    let tags: Vec<Value> = Group::ALL
        .iter()
        .map(|group| group.words())
        .map(|(name, description)| json!({ "name": name, "description": description }))
        .collect();
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Switchback",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION.join("\n\n"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": headers(),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "An API token." },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": session::COOKIE,
                    "description": "The session of a browser that is signed in.",
                },
                "relay": {
                    "type": "apiKey", "in": "header", "name": "Switchback-Signature",
                    "description": "t=UNIX_SECONDS,v1=HEX with HMAC-SHA256 over t.BODY by the relay secret; at most five \
                                    minutes old, and each signature counts once.",
                },
            },
        },
    })
}

fn headers() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "Trace-Id": {
            "description": "The number by which the server's log tells more of the request.",
            "required": true,
            "schema": { "type": "string", "pattern": "^[0-9a-f]{32}$" },
        },
        "ETag": {
            "description": "Names this answer. Sent back as If-None-Match, an answer that is still the same is 304.",
            "schema": text,
        },
        "Idempotency-Replayed": {
            "description": "true when the answer was given before to the same Idempotency-Key.",
            "schema": { "type": "string", "enum": ["true"] },
        },
        "Retry-After": {
            "description": "Seconds after which trying again makes sense.",
            "schema": { "type": "integer", "minimum": 0 },
        },
    })
}

fn header(names: &[&str]) -> Value {
    let named: Map<String, Value> = names
        .iter()
        .map(|name| {
            let reference = json!({ "$ref": format!("#/components/headers/{name}") });
            ((*name).to_string(), reference)
        })
        .collect();
    Value::Object(named)
}

fn described(
    operation: &Operation,
    answers: &mut SchemaGenerator,
    requests: &mut SchemaGenerator,
    problem: &Schema,
) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    if let Some((what, example)) = operation.identifier {
        parameters.push(json!({
            "name": "id", "in": "path", "required": true, "description": what, "example": example,
            "schema": { "type": "string", "minLength": 1 },
        }));
    }
    if let Some(query) = operation.query {
        parameters.extend(query_parameters(&query(requests)));
    }
    let mut done_headers = vec!["Trace-Id"];
    let mut content = Map::new();
    match operation.content {
        Content::Json(schema) | Content::JsonOrCsv(schema) => {
            let schema = schema(answers);
            content.insert("application/json".to_string(), json!({ "schema": schema }));
        }
        Content::Text(media_types) => {
            for media_type in media_types {
                content.insert(
                    media_type.to_string(),
                    json!({ "schema": { "type": "string" } }),
                );
            }
        }
    }
    if let Content::JsonOrCsv(_) = operation.content {
        parameters.push(json!({
            "name": "format", "in": "query",
            "description": "csv answers the whole list from the cursor on as a file, not one page of it.",
            "schema": { "type": "string", "enum": ["json", "csv"] },
        }));
        content.insert(
            "text/csv; charset=utf-8; header=present".to_string(),
            json!({ "schema": { "type": "string" } }),
        );
    }
    if operation.id == "stream_events" {
        parameters.push(json!({
            "name": "Last-Event-ID", "in": "header",
            "description": "The id of the last event that was seen.",
            "schema": { "type": "integer", "format": "int64", "minimum": 0 },
        }));
    }
    let has_tag = is_tagged(&operation.method, operation.path);
    if has_tag {
        done_headers.push("ETag");
        parameters.push(json!({
            "name": "If-None-Match", "in": "header",
            "description": "ETags of answers that are known; when it is still one of them, the answer is 304.",
            "schema": { "type": "string" },
        }));
    }
    if operation.method == Method::POST
        && routes::who(&operation.method, operation.path) == Who::SignedIn
    {
        if operation.counts_once {
            done_headers.push("Idempotency-Replayed");
        }
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "1 to 200 visible ASCII characters. The request has one effect however often it is sent.",
            "schema": { "type": "string", "pattern": "^[!-~]{1,200}$" },
        }));
    }

    let mut responses = Map::new();
    let (status, when) = operation.done;
    responses.insert(
        status.to_string(),
        json!({ "description": when, "headers": header(&done_headers), "content": content }),
    );
    if has_tag {
        responses.insert(
            "304".to_string(),
            json!({
                "description": "The answer is still the one that If-None-Match names.",
                "headers": header(&done_headers),
            }),
        );
    }
    for (status, codes) in problems(operation) {
        let meanings: Vec<String> = codes
            .iter()
            .filter_map(|code| codes::find(code))
            .map(|known| format!("{}: {}", known.code, known.meaning))
            .collect();
        let codes: Vec<&str> = codes.into_iter().collect();
        let mut names = vec!["Trace-Id"];
        if matches!(status, 429 | 503) {
            names.push("Retry-After");
        }
        if operation.counts_once && status < 500 {
            names.push("Idempotency-Replayed");
        }
        responses.insert(
            status.to_string(),
            json!({
                "description": meanings.join("\n\n"),
                "headers": header(&names),
                "content": { "application/problem+json": { "schema": {
                    "allOf": [problem],
                    "properties": { "status": { "const": status }, "code": { "enum": codes } },
                } } },
            }),
        );
    }
    if let Some((status, when, schema)) = operation.also {
        let schema = schema(answers);
        let content = json!({ "application/json": { "schema": schema } });
        responses.insert(
            status.to_string(),
            json!({ "description": when, "headers": header(&["Trace-Id"]), "content": content }),
        );
    }

    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.group.words().0],
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
        "security": security(operation),
    });
    if !operation.description.is_empty() {
        described["description"] = operation.description.into();
    }
    if let Some((schema, example)) = operation.body {
        // The example is a constant of this crate, which a test reads.
        let example: Value = serde_json::from_str(example).unwrap_or_default();
        described["requestBody"] = json!({
            "required": true,
            "description": format!("At most {LARGEST_BODY} bytes."),
            "content": { "application/json": { "schema": schema(requests), "example": example } },
        });
    }
    described
}

/// Whether an answer has an ETag: what is read as JSON by somebody who is known.
pub fn is_tagged(method: &Method, path: &str) -> bool {
    let by_table = OPERATIONS
        .iter()
        .find(|operation| operation.method == *method && operation.path == path)
        .is_some_and(|operation| !matches!(operation.content, Content::Text(_)));
    let is_document = path == PATH && *method == Method::GET;
    let is_read = *method == Method::GET && path.starts_with("/api/v1/");
    is_document || (is_read && by_table)
}

fn security(operation: &Operation) -> Value {
    match routes::who(&operation.method, operation.path) {
        Who::SignedIn => json!([{ "token": [] }, { "session": [] }]),
        Who::Hook => json!([{ "relay": [] }]),
        Who::Public => json!([]),
    }
}

/// The members of a filter as parameters. What may be absent need not be null.
fn query_parameters(filter: &Schema) -> Vec<Value> {
    let required: BTreeSet<&str> = filter
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let members = filter.get("properties").and_then(Value::as_object);
    members
        .into_iter()
        .flatten()
        .map(|(name, member)| {
            let mut schema = member.clone();
            let description = schema
                .as_object_mut()
                .and_then(|schema| {
                    schema.remove("default");
                    schema.remove("description")
                })
                .unwrap_or_default();
            json!({
                "name": name, "in": "query", "required": required.contains(name.as_str()),
                "description": description, "schema": without_null(schema),
            })
        })
        .collect()
}

fn without_null(mut schema: Value) -> Value {
    let is_null = |value: &Value| value == "null" || value["type"] == "null";
    for member in ["type", "anyOf"] {
        if let Some(choices) = schema.get(member).and_then(Value::as_array) {
            let kept: Vec<Value> = choices.iter().filter(|c| !is_null(c)).cloned().collect();
            if let [only] = kept.as_slice() {
                if member == "anyOf" {
                    return only.clone();
                }
                schema[member] = only.clone();
            }
        }
    }
    schema
}
