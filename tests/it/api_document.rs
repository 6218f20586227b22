//! The API's document, as a program of others reads it: Schemathesis makes requests from it, sound and broken ones, and
//! holds every answer to it (its status, media type, headers and schema), of the living demo.
//!
//! It draws nothing by chance: a run asks what the run before asked.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use http::Method;
use serde_json::Value;
use serde_json::json;

use crate::browser::demo::Demo;
use crate::machine;
use crate::machine::Process;
use crate::wait::until;
use crate::world::Api;

/// Both runs take less than half a minute where nothing else runs.
const LONGEST: Duration = Duration::from_secs(300);

/// Requests made for each operation in each phase, at most.
const EXAMPLES: &str = "20";

/// Not checked: what fits the schema may still be refused, since it names what is not there or was decided already; and
/// an empty parameter is none, whatever its schema says.
const NOT_CHECKED: &str = "positive_data_acceptance,negative_data_rejection";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_one_that_the_document_tells_of() {
    let demo = Demo::start(&["--speed", "1"]).await;
    demo.open_gate().await;
    let (status, document) = {
        let answer = demo.api.of_root("/api/openapi.json").await;
        (answer.status, answer.body)
    };
    assert_eq!(status, 200, "{document}");
    Api::of_nobody(&demo.api.base)
        .of_root("/api/openapi.json")
        .await
        .refused(401, "sign_in_needed");
    let known = identifiers(&demo.api).await;

    // What they may do differs, and so do the answers; a viewer asks with a session, as a browser does.
    let (username, password) = demo.user(json!(["viewer"]));
    let viewer = Api::signed_in(&demo.api.base, &username, &password).await;
    let all = "examples,coverage,fuzzing";
    asks_everything("an administrator", &demo.api, all, &document, &known).await;
    let some = "examples,fuzzing";
    asks_everything("a viewer", &viewer, some, &document, &known).await;
    demo.finish();
}

/// Some identifiers that exist, by the paths that take them.
async fn identifiers(api: &Api) -> Value {
    let some = async |path: &str| -> Vec<Value> {
        let items = api.items(path).await;
        assert!(!items.is_empty(), "{path} is empty");
        items.iter().map(|item| item["id"].clone()).collect()
    };
    let services = some("/services").await;
    let deployments = some("/deployments?limit=20").await;
    let gates = some("/gates?limit=20").await;
    json!({
        "/api/v1/services/{id}": services,
        "/api/v1/services/{id}/revisions": services,
        "/api/v1/services/{id}/rollbacks/plan": services,
        "/api/v1/services/{id}/rollbacks": services,
        "/api/v1/deployments/{id}": deployments,
        "/api/v1/deployments/{id}/metrics": deployments,
        "/api/v1/deployments/{id}/end-bake": deployments,
        "/api/v1/gates/{id}": gates,
        "/api/v1/gates/{id}/decisions": gates,
    })
}

async fn asks_everything(who: &str, api: &Api, phases: &str, document: &str, known: &Value) {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, document).expect("the document is written");
    let (name, proof) = api.proof().expect("they have a proof");
    // That a proof is needed is checked by leaving it out, which Schemathesis cannot do with a cookie in a header.
    // It knows the header of a token only as the standard writes it.
    let (name, not_checked) = match name.as_str() {
        "cookie" => ("Cookie", format!("{NOT_CHECKED},ignored_auth")),
        _ => ("Authorization", NOT_CHECKED.to_string()),
    };
    let mut command = Command::new(machine::program("CLIENTS_PYTHON"));
    machine::hermetic(&mut command);
    command
        .args(["-m", "schemathesis.cli", "run"])
        .arg(&file)
        .args(["--url", &api.base])
        .args(["--header", &format!("{name}: {proof}")])
        .args(["--phases", phases, "--max-examples", EXAMPLES])
        .arg("--generation-deterministic")
        .args(["--checks", "all"])
        .args(["--exclude-checks", &not_checked])
        // A stream does not end; the journeys of the browser read it.
        .args(["--exclude-operation-id", "stream_events"])
        .args(["--suppress-health-check", "all", "--warnings", "off"])
        .args(["--no-shrink", "--no-color"])
        .current_dir(folder.path())
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("SWITCHBACK_IDENTIFIERS", known.to_string())
        .env("PYTHONPATH", &clients)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let log = folder.path().join("schemathesis.log");
    let mut asks = Process::start("Schemathesis", command, &log);
    until("Schemathesis ends", LONGEST, async || {
        if asks.is_running() {
            Err(asks.output())
        } else {
            Ok(())
        }
    })
    .await;
    let code = asks.exit_code();
    let output = asks.output();
    assert_eq!(code, Some(0), "asked by {who}:\n{output}");
    assert!(
        output.contains("No issues found"),
        "asked by {who}:\n{output}"
    );
    // They were asked with a proof that holds: what everybody is refused would prove nothing.
    api.send(Method::GET, "/api/v1/me", &[], "").await.is(200);
}
