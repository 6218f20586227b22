//! What the page of the API shows, read from the document, so that the two cannot differ.

use crate::openapi::DESCRIPTION;
use crate::openapi::codes::CODES;
use crate::openapi::document;
use crate::openapi::operations::Group;
use crate::openapi::operations::OPERATIONS;
use serde_json::Map;
use serde_json::Value;
use std::sync::Arc;
use std::sync::LazyLock;
use switchback_contract::ApiAnswer;
use switchback_contract::ApiBody;
use switchback_contract::ApiCode;
use switchback_contract::ApiField;
use switchback_contract::ApiGroup;
use switchback_contract::ApiKind;
use switchback_contract::ApiOperation;
use switchback_contract::ApiReference;
use switchback_contract::ApiSchema;
use switchback_contract::ReferenceHandle;

const SCHEMAS: &str = "#/components/schemas/";

/// The reference of this version.
pub fn reference() -> ReferenceHandle {
    static REFERENCE: LazyLock<ReferenceHandle> = LazyLock::new(|| Arc::new(read(document())));
    REFERENCE.clone()
}

fn read(document: &Value) -> ApiReference {
    let operations = operations(document);
    let groups = Group::ALL
        .iter()
        .map(|group| group.words())
        .map(|(name, description)| ApiGroup {
            name: name.to_string(),
            description: description.to_string(),
            operations: operations
                .iter()
                .filter(|(group, _)| group == name)
                .map(|(_, operation)| operation.clone())
                .collect(),
        })
        .collect();
    let schemas = members(&document["components"]["schemas"])
        .map(|(name, schema)| ApiSchema {
            name: name.clone(),
            description: text(&schema["description"]),
            fields: fields(schema),
            words: words(schema),
        })
        .collect();
    ApiReference {
        version: text(&document["info"]["version"]),
        description: DESCRIPTION.map(str::to_string).to_vec(),
        groups,
        schemas,
        codes: CODES
            .iter()
            .map(|known| ApiCode {
                code: known.code.to_string(),
                status: known.status,
                meaning: known.meaning.to_string(),
            })
            .collect(),
    }
}

/// Every operation with its group, in the order of the table.
fn operations(document: &Value) -> Vec<(String, ApiOperation)> {
    let mut all: Vec<(String, ApiOperation)> = Vec::new();
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            let method = method.to_ascii_uppercase();
            let body = operation.get("requestBody").map(|body| {
                let json = &body["content"]["application/json"];
                ApiBody {
                    kind: kind(&json["schema"]),
                    example: format!("{:#}", json["example"]),
                }
            });
            let described = ApiOperation {
                id: text(&operation["operationId"]),
                summary: text(&operation["summary"]),
                description: text(&operation["description"]),
                security: security(&operation["security"]).to_string(),
                parameters: items(&operation["parameters"]).map(parameter).collect(),
                answers: members(&operation["responses"])
                    .map(|(status, response)| answer(status, response))
                    .collect(),
                example: example(&method, path, operation),
                method,
                path: path.clone(),
                body,
            };
            all.push((text(&operation["tags"][0]), described));
        }
    }
    all.sort_by_key(|(_, operation)| OPERATIONS.iter().position(|known| known.id == operation.id));
    all
}

fn security(security: &Value) -> &'static str {
    let is = |scheme: &str| items(security).any(|one| one.get(scheme).is_some());
    if is("token") {
        "An API token, or the session of a browser"
    } else if is("relay") {
        "A signature by the relay secret"
    } else {
        "Anybody"
    }
}

fn parameter(parameter: &Value) -> ApiField {
    ApiField {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        kind: kind(&parameter["schema"]),
        required: parameter["required"] == true,
        description: text(&parameter["description"]),
    }
}

fn answer(status: &str, response: &Value) -> ApiAnswer {
    let problem = &response["content"]["application/problem+json"]["schema"];
    let codes: Vec<String> = items(&problem["properties"]["code"]["enum"])
        .map(text)
        .collect();
    ApiAnswer {
        status: status.to_string(),
        // What a code means stands once, in the list of all codes.
        description: if codes.is_empty() {
            text(&response["description"])
        } else {
            String::new()
        },
        content: members(&response["content"])
            .map(|(media_type, content)| (media_type.clone(), kind(&content["schema"])))
            .collect(),
        codes,
    }
}

fn example(method: &str, path: &str, operation: &Value) -> String {
    let identifier = items(&operation["parameters"])
        .find(|parameter| parameter["in"] == "path")
        .map(|parameter| text(&parameter["example"]))
        .unwrap_or_default();
    let path = path.replace("{id}", &identifier);
    let mut lines = vec![format!("curl -sS \"$SWITCHBACK_URL{path}\"")];
    match security(&operation["security"]) {
        words if words.starts_with("An API token") => {
            lines.push("-H \"Authorization: Bearer $SWITCHBACK_TOKEN\"".to_string());
        }
        words if words.starts_with("A signature") => {
            lines.push("-H \"Switchback-Signature: $SIGNATURE\"".to_string());
        }
        _ => {}
    }
    if method == "POST" {
        let body = &operation["requestBody"]["content"]["application/json"]["example"];
        if operation["responses"]["403"].is_object() {
            lines.push("-H \"Idempotency-Key: $(uuidgen)\"".to_string());
        }
        lines.push("-H \"Content-Type: application/json\"".to_string());
        lines.push(format!("-d '{body}'"));
    }
    if operation["responses"]["200"]["content"]["text/event-stream"].is_object() {
        lines.push("--no-buffer".to_string());
    }
    lines.join(" \\\n  ")
}

fn fields(schema: &Value) -> Vec<ApiField> {
    let required: Vec<String> = items(&schema["required"]).map(text).collect();
    members(&schema["properties"])
        .map(|(name, member)| ApiField {
            name: name.clone(),
            place: String::new(),
            kind: kind(member),
            required: required.contains(name),
            description: text(&member["description"]),
        })
        .collect()
}

/// The words of a closed list with what each means.
fn words(schema: &Value) -> Vec<(String, String)> {
    let described = items(&schema["oneOf"]).flat_map(|one| {
        let alone = one.get("const").map(text);
        let several = items(&one["enum"]).map(text);
        let description = text(&one["description"]);
        alone
            .into_iter()
            .chain(several)
            .map(move |word| (word, description.clone()))
            .collect::<Vec<_>>()
    });
    let bare = items(&schema["enum"]).map(|word| (text(word), String::new()));
    described.chain(bare).collect()
}

/// A schema as a type in words.
fn kind(schema: &Value) -> ApiKind {
    let plain = |words: String| ApiKind {
        words,
        schema: None,
    };
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|name| name.strip_prefix(SCHEMAS))
    {
        return ApiKind {
            words: name.to_string(),
            schema: Some(name.to_string()),
        };
    }
    if let Some(only) = items(&schema["allOf"]).next() {
        return kind(only);
    }
    if let Some(words) = schema.get("enum") {
        let words = items(words).map(text).filter(|word| !word.is_empty());
        return plain(words.collect::<Vec<_>>().join(" | "));
    }
    let choices: Vec<&Value> = items(&schema["anyOf"]).collect();
    let some: Vec<&Value> = choices
        .iter()
        .copied()
        .filter(|choice| choice["type"] != "null")
        .collect();
    if let ([only], true) = (some.as_slice(), choices.len() > some.len()) {
        let ApiKind { words, schema } = kind(only);
        return ApiKind {
            words: format!("{words} or null"),
            schema,
        };
    }
    let types: Vec<String> = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect(),
        one => vec![text(one)],
    };
    let or_null = if types.len() > 1 && types.iter().any(|one| one == "null") {
        " or null"
    } else {
        ""
    };
    let first = types.iter().find(|one| *one != "null");
    let (words, named) = match first.map(String::as_str) {
        Some("string") if schema["format"] == "date-time" => ("time".to_string(), None),
        Some("string") if !choices.is_empty() => ("time or date".to_string(), None),
        Some("string") => ("text".to_string(), None),
        Some("integer") => ("whole number".to_string(), None),
        Some("number") => ("number".to_string(), None),
        Some("boolean") => ("true or false".to_string(), None),
        Some("array") => {
            let of = kind(&schema["items"]);
            (format!("list of {}", of.words), of.schema)
        }
        Some("object") => ("object".to_string(), None),
        _ => ("anything".to_string(), None),
    };
    ApiKind {
        words: format!("{words}{or_null}"),
        schema: named,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
