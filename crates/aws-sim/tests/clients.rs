//! The AWS CLI and boto3 against the simulation: `cargo test -p switchback-aws-sim --features clients`.
//!
//! `SWITCHBACK_CLIENTS_PYTHON` names a Python that has `tests/clients/requirements.txt` installed.
//! Without it the test fails: any other Python may lack the clients, or have other versions of them.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use switchback_aws_sim::door::{Options, Running, serve, serve_sabotaged};
use switchback_aws_sim::world::sabotage::Sabotage;

/// The whole suite waits for simulated time at 60 to 300 times its speed, which takes a few minutes.
const LONGEST: Duration = Duration::from_secs(600);

fn options() -> Options {
    #[expect(
        clippy::disallowed_methods,
        reason = "clients sign with the machine's time"
    )]
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970");
    Options {
        listen: "127.0.0.1:0".parse().expect("an address"),
        speed: 60.0,
        seed: 7,
        empty: true,
        relay_url: None,
        relay_secret: None,
        start_ms: i64::try_from(now.as_millis()).expect("milliseconds"),
        progress: |_| {},
    }
}

/// What the account of `a_verified_signature_is_that_of_real_clients` knows its callers by.
const KEY: (&str, &str) = ("AKIDVERIFIED", "a/secret+with=signs");

/// Runs unittest with these arguments against a simulation, and gives its exit code and what it said.
async fn unittest(
    running: &Running,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> (bool, String) {
    let python = std::env::var("SWITCHBACK_CLIENTS_PYTHON").expect(
        "SWITCHBACK_CLIENTS_PYTHON names a Python that has tests/clients/requirements.txt installed",
    );
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients");
    let run = tokio::process::Command::new(&python)
        .args(["-m", "unittest"])
        .args(arguments)
        .arg("-v")
        .current_dir(suite)
        .env("AWS_ENDPOINT_URL", running.endpoint())
        .envs(variables.iter().copied())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LONGEST, run)
        .await
        .expect("the suite ends in time")
        .unwrap_or_else(|error| panic!("{python} does not start: {error}"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_clients_work_unmodified() {
    // A port that is free now; the suite listens on it as the function of a hook does.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let relay = format!("http://{}/", free.local_addr().expect("an address"));
    drop(free);
    let options = Options {
        relay_url: Some(relay.clone()),
        ..options()
    };
    let running = serve(options).await.expect("a simulation");
    let variables = [("SWITCHBACK_RELAY_URL", &*relay)];
    let (succeeded, told) = unittest(&running, &["discover"], &variables).await;
    assert!(succeeded && !told.contains("skipped"), "{told}");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verified_signature_is_that_of_real_clients() {
    let running = serve(options()).await.expect("a simulation");
    running.verify_signatures([(KEY.0.to_string(), KEY.1.to_string())].into());
    let variables = [
        ("AWS_ACCESS_KEY_ID", KEY.0),
        ("AWS_SECRET_ACCESS_KEY", KEY.1),
    ];
    let (succeeded, told) = unittest(&running, &["signatures"], &variables).await;
    assert!(succeeded, "{told}");
    running.shutdown().await;
}

/// A suite that cannot fail shows nothing: each of these accounts is wrong in one way, and the test that
/// is named here must be the one that says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutant_fails_the_suite() {
    let moves = "Deployments.test_a_deployment_moves_the_traffic";
    let stops = "Deployments.test_a_hook_is_reported_and_a_stop_gives_the_traffic_back";
    let (pages, ecs) = (
        "Deployments.test_paging_loses_nothing",
        "Containers.test_ecs",
    );
    let mut unnoticed = Vec::new();
    for (name, mutant) in Sabotage::ALL {
        let (test, says) = match mutant {
            Sabotage::WeightsNeverMove => (moves, "the traffic moved"),
            Sabotage::TargetsForgotten => (moves, "the new tasks are targets"),
            Sabotage::WeightsLeftAfterStop => (stops, "the weights are back"),
            Sabotage::RollbackByUser => (stops, "codeDeployRollback"),
            Sabotage::CompletionForgotten => (moves, "completeTime"),
            Sabotage::StatusInCapitals => (moves, "NotAsModelled"),
            Sabotage::MemberInvented => (ecs, "trafficShare, which Service does not"),
            Sabotage::TimeInMilliseconds => (ecs, "no seconds since 1970"),
            Sabotage::ErrorUntyped => (moves, "ResourceMissingException is neither common"),
            Sabotage::PageSkipsOne => (pages, "Lists differ"),
        };
        let running = serve_sabotaged(options(), mutant)
            .await
            .expect("a simulation");
        let (succeeded, told) = unittest(
            &running,
            &["-f", &format!("test_every_operation.{test}")],
            &[],
        )
        .await;
        if succeeded || !told.contains(says) {
            unnoticed.push(format!(
                "{name}, for which {test} should say {says:?}:\n{told}"
            ));
        }
        running.shutdown().await;
    }
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}
