//! Switchback at an AWS that others wrote: moto's server. It knows services and task definitions, and much of what
//! Switchback asks for it does not know.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use serde_json::json;

use crate::account::Account;
use crate::account::Json;
use crate::account::REGION;
use crate::machine;
use crate::machine::Process;
use crate::wait::SOON;
use crate::wait::until;
use crate::window::Window;
use crate::wire;
use crate::world::Api;
use crate::world::PASSWORD;
use crate::world::TOKEN;
use crate::world::USER;
use crate::world::assert_no_errors;

/// Python takes its time on a machine that is busy.
const STARTED: Duration = Duration::from_secs(60);

/// How many tasks moto says that every service runs.
const RUNNING: &str = "1";

async fn moto(folder: &tempfile::TempDir) -> (Account, Process) {
    let python = machine::program("CLIENTS_PYTHON");
    let port = machine::free_port();
    let mut command = std::process::Command::new(python);
    machine::hermetic(&mut command);
    command
        .args([
            "-c",
            "from moto.server import main; main()",
            "-H",
            "127.0.0.1",
            "-p",
        ])
        .arg(port.to_string())
        .env("MOTO_ECS_SERVICE_RUNNING", RUNNING)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut process = Process::start("moto", command, &folder.path().join("moto.log"));
    let endpoint = format!("http://127.0.0.1:{port}");
    until("moto answers", STARTED, async || {
        assert!(process.is_running(), "moto ended at its start");
        let url = format!("{endpoint}/moto-api/data.json");
        match wire::send(Method::GET, &url, &[], "").await {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(answer.status.to_string()),
            Err(error) => Err(error),
        }
    })
    .await;
    (Account::at(&endpoint), process)
}

async fn serve(account: &Account, folder: &tempfile::TempDir) -> (Api, Process) {
    let port = machine::free_port();
    let base = format!("http://127.0.0.1:{port}");
    let mut command = machine::switchback();
    command
        .arg("serve")
        .env("SWITCHBACK_LISTEN", format!("127.0.0.1:{port}"))
        .env(
            "SWITCHBACK_DATABASE_URL",
            format!("sqlite:{}", folder.path().join("moto.db").display()),
        )
        .env("SWITCHBACK_POLL_ACTIVE_MS", "200")
        .env("SWITCHBACK_POLL_IDLE_MS", "300")
        .env("SWITCHBACK_BOOTSTRAP_USER", USER)
        .env("SWITCHBACK_BOOTSTRAP_PASSWORD", PASSWORD)
        .env("SWITCHBACK_BOOTSTRAP_TOKEN", TOKEN)
        .env("AWS_ENDPOINT_URL", &account.endpoint)
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "any")
        .env("AWS_SECRET_ACCESS_KEY", "any");
    let mut process = Process::start("the server", command, &folder.path().join("server.log"));
    let url = format!("{base}/readyz");
    until("the server is ready", STARTED, async || {
        assert!(process.is_running(), "the server ended at its start");
        match wire::send(Method::GET, &url, &[], "").await {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(answer.body),
            Err(error) => Err(error),
        }
    })
    .await;
    (Api::with_token(&base, TOKEN), process)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_and_task_definitions_are_found_and_what_is_missing_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (account, _moto) = moto(&folder).await;
    let cluster = json!({ "clusterName": "prod" });
    account.call(Json::Ecs, "CreateCluster", cluster).await;
    let mut newest = String::new();
    for tag in ["1", "2"] {
        let definition = json!({
            "family": "web",
            "containerDefinitions": [{ "name": "app", "image": format!("web:{tag}"), "memory": 128 }],
        });
        let made = account
            .call(Json::Ecs, "RegisterTaskDefinition", definition)
            .await;
        newest = made["taskDefinition"]["taskDefinitionArn"]
            .as_str()
            .expect("an ARN")
            .to_string();
    }
    for name in ["web", "worker"] {
        let service = json!({
            "cluster": "prod", "serviceName": name, "taskDefinition": "web:2", "desiredCount": 1,
        });
        account.call(Json::Ecs, "CreateService", service).await;
    }

    let (api, server) = serve(&account, &folder).await;
    for name in ["web", "worker"] {
        until(&format!("{name} is found"), SOON, async || {
            let found = api.get(&format!("/services/{name}")).await;
            let is_it = found.status == 200 && found.json()["serving_revision"] == newest.as_str();
            if is_it { Ok(()) } else { Err(found.body) }
        })
        .await;
    }
    // Its past cannot be listed; the task definitions are taken in all the same.
    let coverage = until("the task definitions are taken in", SOON, async || {
        let coverage = api.items("/coverage").await;
        let import = coverage.first().map(|region| region["import"].clone());
        match import {
            Some(import) if import["state"] == "complete" => Ok(import),
            import => Err(format!("{import:?}")),
        }
    })
    .await;
    assert_eq!(coverage["definitions_settled"], 1, "{coverage}");
    let web = api.get("/services/web").await.json();
    let id = web["id"].as_str().expect("an id");
    let revisions = api.items(&format!("/services/{id}/revisions")).await;
    let served: Vec<&Value> = revisions.iter().map(|revision| &revision["arn"]).collect();
    assert_eq!(served, [&json!(newest)], "{revisions:?}");

    // What that account does not offer is said, with the call, and what to make of it.
    let health = until("what is missing is said", SOON, async || {
        let found = api.items("/accounts").await;
        match found.first() {
            Some(health) if health["state"] == "partly_read" => Ok(health.clone()),
            _ => Err(format!("{found:?}")),
        }
    })
    .await;
    let trouble = health["trouble"].as_str().unwrap_or_default();
    assert!(
        trouble.starts_with("ecs:ListServiceDeployments: NotOffered: HTTP 500"),
        "{trouble}"
    );
    let advice = health["what_to_do"].as_str().unwrap_or_default();
    assert!(
        advice.contains("does not offer ecs:ListServiceDeployments"),
        "{advice}"
    );
    let window = Window::open(&api.base).await;
    window.signs_in(USER, PASSWORD).await;
    window
        .sees("does not offer ecs:ListServiceDeployments")
        .await;
    window.keeps_picture("independent-emulator").await;
    window.finish(&[]).await;
    assert_no_errors(&server.output());
}
