//! The API's document against the table of routes, the handlers, the codes in the sources, and every answer that any
//! test gets.

use super::*;
use crate::openapi::codes::CODES;
use crate::openapi::codes::find;
use crate::openapi::document;
use crate::openapi::operations::OPERATIONS;
use crate::openapi::operations::Operation;
use crate::openapi::problems;
use std::path::Path;

/// Codes that only forms and the demo answer.
const NOT_OF_THE_API: [&str; 10] = [
    "bad_request",
    "demo_busy",
    "demo_nothing_moves",
    "demo_refused",
    "malformed_form",
    "method_not_allowed",
    "no_provider",
    "session_gone",
    "sign_in_refused",
    "too_many_attempts",
];

fn is_for_the_document(path: &str) -> bool {
    path.starts_with("/api/v1/") || ["/healthz", "/readyz", "/metrics"].contains(&path)
}

fn operation_at(method: &str, path: &str) -> Option<&'static Operation> {
    let method = if method == "HEAD" { "GET" } else { method };
    let fits = |pattern: &str| {
        let (mut asked, mut known) = (path.split('/'), pattern.split('/'));
        loop {
            match (asked.next(), known.next()) {
                (None, None) => return true,
                (Some(asked), Some(known)) if asked == known || known == "{id}" => {}
                _ => return false,
            }
        }
    };
    OPERATIONS
        .iter()
        .find(|operation| operation.method.as_str() == method && fits(operation.path))
}

/// Holds an answer to what the document says of its operation: the status, the media type, the schema, the code.
pub(super) fn hold(method: &str, path: &str, answer: &Answer) {
    let path = path.split('?').next().unwrap_or_default();
    let Some(operation) = operation_at(method, path) else {
        return;
    };
    let line = format!("{method} {path}: {} {}", answer.status, answer.body);
    let method = operation.method.as_str().to_ascii_lowercase();
    let response =
        &document()["paths"][operation.path][method]["responses"][answer.status.to_string()];
    assert!(response.is_object(), "an undocumented status: {line}");
    for name in answer.headers.keys() {
        if let Some(header) = ["etag", "retry-after", "idempotency-replayed"]
            .iter()
            .find(|known| name == **known)
        {
            let named = response["headers"].as_object().unwrap();
            let is_named = named.keys().any(|known| known.eq_ignore_ascii_case(header));
            assert!(is_named, "an undocumented header {header}: {line}");
        }
    }
    if answer.body.is_empty() {
        return;
    }
    let media_type = answer.header(header::CONTENT_TYPE);
    let content = &response["content"][media_type];
    assert!(
        content.is_object(),
        "an undocumented {media_type:?}: {line}"
    );
    // That members are as their schemas say is held by the journey that lets a foreign program ask everything.
    if media_type == "application/problem+json" {
        let codes = content["schema"]["properties"]["code"]["enum"]
            .as_array()
            .unwrap();
        assert!(
            codes.contains(&answer.json()["code"]),
            "an undocumented code: {line}"
        );
    }
}

#[test]
fn the_document_has_every_route_that_programs_ask_and_no_other() {
    let routes: BTreeSet<(String, String)> = ROUTES
        .iter()
        .filter(|route| is_for_the_document(route.path))
        .map(|route| (route.method.to_string(), route.path.to_string()))
        .collect();
    let mut documented = BTreeSet::new();
    for (path, methods) in document()["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            documented.insert((method.to_ascii_uppercase(), path.clone()));
            let wants: BTreeSet<&str> = operation["security"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|scheme| scheme.as_object().unwrap().keys().map(String::as_str))
                .collect();
            let method: Method = method.to_ascii_uppercase().parse().unwrap();
            let expected: &[&str] = match routes::who(&method, path) {
                Who::Public => &[],
                Who::SignedIn => &["session", "token"],
                Who::Hook => &["relay"],
            };
            assert_eq!(wants, expected.iter().copied().collect(), "{method} {path}");
            assert_eq!(
                path.contains("{id}"),
                operation["parameters"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|parameter| parameter["in"] == "path"),
                "{path}"
            );
        }
    }
    assert_eq!(routes, documented);
    assert_eq!(documented.len(), OPERATIONS.len());
    let names: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.id).collect();
    assert_eq!(names.len(), OPERATIONS.len());
}

#[test]
fn everything_that_the_document_names_is_in_it_and_says_something() {
    fn look(value: &Value, at: &str) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    if name == "$ref" {
                        let pointer = member.as_str().unwrap().trim_start_matches('#');
                        assert!(document().pointer(pointer).is_some(), "{at}: {pointer}");
                    }
                    look(member, &format!("{at}/{name}"));
                }
            }
            Value::Array(items) => items.iter().for_each(|item| look(item, at)),
            _ => {}
        }
    }
    look(document(), "");
    for (name, schema) in document()["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name}");
        for (member, field) in schema["properties"].as_object().into_iter().flatten() {
            let is_described = field["description"].is_string() || field["$ref"].is_string();
            assert!(is_described, "{name}.{member}: {field}");
        }
    }
}

#[tokio::test]
async fn the_parameters_of_the_document_are_those_that_the_handlers_take() {
    let world = world().await;
    for operation in OPERATIONS {
        if routes::who(&operation.method, operation.path) != Who::SignedIn {
            continue;
        }
        let path = operation.path.replace("{id}", "gate-1");
        let body = operation.body.map_or("", |(_, example)| example);
        let answer = world
            .api(
                operation.method.as_str(),
                &format!("{path}?nonsense=1"),
                body.to_string(),
            )
            .await;
        assert_eq!(
            answer.problem(),
            (422, "unknown_parameter".to_string()),
            "{path}: {}",
            answer.body
        );
        let detail = answer.json()["detail"].as_str().unwrap().to_string();
        let taken: BTreeSet<String> = detail
            .split("This path takes ")
            .nth(1)
            .unwrap()
            .trim_end_matches('.')
            .split(", ")
            .filter(|name| *name != "none")
            .map(str::to_string)
            .collect();
        let method = operation.method.as_str().to_ascii_lowercase();
        let documented: BTreeSet<String> =
            document()["paths"][operation.path][method]["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| parameter["name"].as_str().unwrap().to_string())
                .collect();
        assert_eq!(taken, documented, "{path}");
    }
}

#[tokio::test]
async fn examples_are_bodies_that_are_taken() {
    let world = world().await;
    for operation in OPERATIONS {
        let Some((_, example)) = operation.body else {
            continue;
        };
        let path = operation.path.replace("{id}", "gate-1");
        let answer = match routes::who(&operation.method, operation.path) {
            Who::SignedIn => world.api("POST", &path, example).await,
            _ => {
                let signature = signature::sign(RELAY_SECRET.as_bytes(), NOW, example.as_bytes());
                let headers = [
                    ("content-type", "application/json"),
                    ("switchback-signature", &*signature),
                ];
                world.send("POST", &path, &headers, example).await
            }
        };
        let was_read = answer.status < 300
            || !["invalid_body", "event_unreadable"].contains(&answer.problem().1.as_str());
        assert!(was_read, "{}: {}", operation.id, answer.body);
    }
}

#[test]
fn every_code_is_in_the_table_with_its_status_and_in_the_document() {
    // `StatusCode::CONFLICT, "plan_changed"` and `RefusalKind::Conflict, "plan_changed"` are how codes are written.
    let kinds = [
        ("SignInNeeded", 401),
        ("Forbidden", 403),
        ("NotFound", 404),
        ("Conflict", 409),
        ("Invalid", 422),
        ("Internal", 500),
        ("Unavailable", 503),
        ("BAD_REQUEST", 400),
        ("UNAUTHORIZED", 401),
        ("FORBIDDEN", 403),
        ("NOT_FOUND", 404),
        ("METHOD_NOT_ALLOWED", 405),
        ("CONFLICT", 409),
        ("PAYLOAD_TOO_LARGE", 413),
        ("UNSUPPORTED_MEDIA_TYPE", 415),
        ("UNPROCESSABLE_ENTITY", 422),
        ("TOO_MANY_REQUESTS", 429),
        ("INTERNAL_SERVER_ERROR", 500),
        ("SERVICE_UNAVAILABLE", 503),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    for folder in ["src", "../crates/control/src", "../crates/contract/src"] {
        read_sources(&root.join(folder), &mut sources);
    }
    let mut found = BTreeSet::new();
    for part in ["RefusalKind::", "StatusCode::"] {
        for place in sources.split(part).skip(1) {
            let Some((kind, rest)) = place.split_once(',') else {
                continue;
            };
            let Some(rest) = rest.trim_start().strip_prefix('"') else {
                continue;
            };
            let Some((_, status)) = kinds.iter().find(|(word, _)| *word == kind) else {
                continue;
            };
            let code = rest.split('"').next().unwrap_or_default();
            let known = find(code).unwrap_or_else(|| panic!("{code} is not in the table of codes"));
            assert_eq!(known.status, *status, "{code}");
            found.insert(code.to_string());
        }
    }
    assert!(found.len() > 30, "{found:?}");
    let of_operations: BTreeSet<&str> = OPERATIONS
        .iter()
        .flat_map(|operation| problems(operation).into_values().flatten())
        .collect();
    let words: BTreeSet<&str> = CODES.iter().map(|known| known.code).collect();
    assert_eq!(words.len(), CODES.len());
    for known in CODES {
        assert!(
            sources.contains(&format!("\"{}\"", known.code)),
            "{} is answered nowhere",
            known.code
        );
        assert_ne!(
            of_operations.contains(known.code),
            NOT_OF_THE_API.contains(&known.code),
            "{}",
            known.code
        );
    }
    for operation in OPERATIONS {
        for code in operation.codes {
            assert!(words.contains(code), "{}: {code}", operation.id);
        }
    }
}

/// The sources of the product, without its tests and without the table of codes itself.
fn read_sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_left_out = path.ends_with("src/tests") || path.ends_with("openapi/codes.rs");
        if path.is_dir() && !is_left_out {
            read_sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_left_out {
            let source = std::fs::read_to_string(&path).unwrap();
            text.push_str(
                source
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap_or_default(),
            );
        }
    }
}

#[test]
fn the_guide_lists_every_code() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let listed: Vec<&str> = guide
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let expected: Vec<String> = CODES
        .iter()
        .map(|known| {
            format!(
                "| `{}` | {} | {} |",
                known.code, known.status, known.meaning
            )
        })
        .collect();
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn an_answer_that_the_caller_has_is_not_sent_again() {
    let world = world().await;
    let bearer = format!("Bearer {TOKEN}");
    let ask = async |method: &str, path: &str, known: &str| {
        let headers = [("authorization", &*bearer), ("if-none-match", known)];
        world.send(method, path, &headers, "").await
    };
    for path in [
        "/api/v1/gates",
        "/api/v1/gates/gate-1",
        "/api/v1/deployments",
        "/api/openapi.json",
    ] {
        let first = ask("GET", path, "\"other\"").await;
        assert_eq!(first.status, 200, "{path}: {}", first.body);
        let tag = first.header(header::ETAG).to_string();
        assert!(tag.starts_with('"') && tag.len() == 34, "{path}: {tag}");
        assert_eq!(first.header(header::CACHE_CONTROL), "private, no-cache");
        assert_eq!(first.header(header::VARY), "Authorization, Cookie");
        let again = ask("GET", path, &format!("\"other\", W/{tag}")).await;
        assert_eq!((again.status, &*again.body), (304, ""), "{path}");
        assert_eq!(again.header(header::ETAG), tag);
        let head = ask("HEAD", path, "").await;
        assert_eq!((head.status, &*head.body), (200, ""), "{path}");
        assert_eq!(head.header(header::ETAG), tag, "{path}");
    }
    // What somebody else may see is something else.
    let vera = world.sign_in("vera").await;
    let tag = ask("GET", "/api/v1/me", "")
        .await
        .header(header::ETAG)
        .to_string();
    let headers = [("cookie", &*vera), ("if-none-match", &*tag)];
    let other = world.send("GET", "/api/v1/me", &headers, "").await;
    assert_eq!(other.status, 200);
    assert_ne!(other.header(header::ETAG), tag);
    // A refusal, a file and what is posted have none.
    for path in ["/api/v1/gates/nothing", "/api/v1/services?format=csv"] {
        let answer = ask("GET", path, "*").await;
        assert_ne!(answer.status, 304, "{path}");
        assert_eq!(answer.header(header::ETAG), "", "{path}");
        assert_eq!(answer.header(header::CACHE_CONTROL), "no-store", "{path}");
    }
}

#[tokio::test]
async fn the_reference_is_a_page_for_whoever_is_signed_in() {
    let world = world().await;
    let nobody = world.send("GET", "/api", &[], "").await;
    assert_eq!(
        (nobody.status, nobody.location()),
        (303, "/sign-in?to=%2Fapi")
    );
    let dana = world.sign_in("dana").await;
    let page = world.get("/api", &dana).await;
    assert_eq!(page.status, 200);
    for operation in OPERATIONS {
        assert!(
            page.body.contains(&format!("id=\"{}\"", operation.id)),
            "{}",
            operation.id
        );
    }
    for known in CODES {
        assert!(
            page.body.contains(&format!("id=\"code-{}\"", known.code)),
            "{}",
            known.code
        );
    }
    for name in document()["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(
            page.body.contains(&format!("id=\"schema-{name}\"")),
            "{name}"
        );
    }
}
