//! The AWS CLI and boto3 at the simulated account, with Switchback watching.
//!
//! The whole suite of `tests/clients` is run by the simulation's own tests. Here its workshop, a
//! public one that people type with the AWS CLI, is played beside a running Switchback.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::account::REGION;
use crate::machine;
use crate::machine::Process;
use crate::wait::until;
use crate::world::World;

/// The workshop waits for simulated time at sixty times its speed.
const LONGEST: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workshop_typed_with_the_aws_cli_is_recorded_as_it_happens() {
    let world = World::start().await;
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(machine::program("CLIENTS_PYTHON"));
    machine::hermetic(&mut command);
    command
        .args([
            "-m",
            "unittest",
            "discover",
            "-v",
            "-p",
            "test_workshop.py",
            "-s",
        ])
        .arg(&suite)
        .env("AWS_ENDPOINT_URL", &world.account.endpoint)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "AKIDWORKSHOP")
        .env("AWS_SECRET_ACCESS_KEY", "any")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut workshop = Process::start("the workshop", command, &folder.path().join("workshop.log"));
    until("the workshop ends", LONGEST, async || {
        if workshop.is_running() {
            Err(workshop.output())
        } else {
            Ok(())
        }
    })
    .await;
    let output = workshop.output();
    assert!(
        output.trim_end().ends_with("OK"),
        "the workshop failed:\n{output}"
    );

    let items = world
        .passing("all deployments have ended", 600, async || {
            let items = world.api.items("/deployments").await;
            let ended = items.iter().all(|item| item["outcome"] != "in_progress");
            if ended && items.len() == 5 {
                Ok(items)
            } else {
                Err(format!("{items:?}"))
            }
        })
        .await;
    let number = |arn: &Value| -> u32 {
        let last = arn.as_str().and_then(|arn| arn.rsplit(':').next());
        last.and_then(|number| number.parse().ok())
            .unwrap_or_default()
    };
    let told: Vec<(u32, u32, &str, &str)> = items
        .iter()
        .rev()
        .map(|item| {
            (
                number(&item["previous_revision"]),
                number(&item["target_revision"]),
                item["outcome"].as_str().unwrap_or_default(),
                item["outcome_cause"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    // Forward, back, a canary that fails, AWS's own rollback of it, and `aws ecs deploy`.
    let expected = [
        (1, 2, "succeeded", ""),
        (2, 1, "succeeded", ""),
        (1, 3, "rolled_back", "alarm"),
        (3, 1, "succeeded", ""),
        (1, 5, "succeeded", ""),
    ];
    assert_eq!(told, expected);
    world.finish(&[]).await;
}
