//! The reference of the HTTP API as its page shows it. It is read from the API's own document.

use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::json_schema;
use serde::Deserialize;
use serde::Serialize;
use std::sync::Arc;

/// Everything the page of the API shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiReference {
    /// The version of the program.
    pub version: String,
    /// What holds for every request, one paragraph each.
    pub description: Vec<String>,
    /// The operations, in groups.
    pub groups: Vec<ApiGroup>,
    /// The schemas that answers and bodies name.
    pub schemas: Vec<ApiSchema>,
    /// Every code of a problem.
    pub codes: Vec<ApiCode>,
}

/// Operations that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiGroup {
    /// Its name.
    pub name: String,
    /// What it is about, one sentence.
    pub description: String,
    /// Its operations.
    pub operations: Vec<ApiOperation>,
}

/// One operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiOperation {
    /// Its stable name, also its anchor on the page.
    pub id: String,
    /// The HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// One sentence.
    pub summary: String,
    /// What else is to be known.
    pub description: String,
    /// Who may ask.
    pub security: String,
    /// What may be given with it.
    pub parameters: Vec<ApiField>,
    /// What is sent.
    pub body: Option<ApiBody>,
    /// What may be answered.
    pub answers: Vec<ApiAnswer>,
    /// A command line that asks it.
    pub example: String,
}

/// A body that is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiBody {
    /// Its type.
    pub kind: ApiKind,
    /// An example.
    pub example: String,
}

/// One status that may be answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiAnswer {
    /// The HTTP status.
    pub status: String,
    /// When.
    pub description: String,
    /// The types of what is answered, with their media types.
    pub content: Vec<(String, ApiKind)>,
    /// The codes of the problems with this status.
    pub codes: Vec<String>,
}

/// A parameter, or a member of a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiField {
    /// Its name.
    pub name: String,
    /// `query`, `path` or `header`; empty for a member of a schema.
    pub place: String,
    /// Its type.
    pub kind: ApiKind,
    /// Whether it is always there.
    pub required: bool,
    /// What it says.
    pub description: String,
}

/// A type in words, with the schema that it names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKind {
    /// `text`, `number`, `list of DeploymentView`, …
    pub words: String,
    /// The schema on the same page.
    pub schema: Option<String>,
}

/// A schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiSchema {
    /// Its name, also its anchor on the page.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Its members; empty for a closed list of words.
    pub fields: Vec<ApiField>,
    /// The words of a closed list, each with what it means.
    pub words: Vec<(String, String)>,
}

/// A code of a problem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiCode {
    /// The code.
    pub code: String,
    /// The HTTP status that it comes with.
    pub status: u16,
    /// What it means and what to do.
    pub meaning: String,
}

/// How pages hold the reference.
pub type ReferenceHandle = Arc<ApiReference>;

/// How a filter writes a time.
pub fn time_or_date(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "anyOf": [{ "format": "date-time" }, { "format": "date" }, { "maxLength": 0 }],
    })
}
