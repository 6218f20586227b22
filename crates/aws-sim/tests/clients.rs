//! The AWS CLI and boto3 against the simulation: `cargo test -p switchback-aws-sim --features clients`.
//!
//! `SWITCHBACK_CLIENTS_PYTHON` names a Python that has `tests/clients/requirements.txt` installed.
//! Without it the test fails: any other Python may lack the clients, or have other versions of them.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use switchback_aws_sim::door::{Options, serve};

/// The whole suite waits for simulated time at 60 times its speed, which takes about two minutes.
const LONGEST: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_clients_work_unmodified() {
    let python = std::env::var("SWITCHBACK_CLIENTS_PYTHON").expect(
        "SWITCHBACK_CLIENTS_PYTHON names a Python that has tests/clients/requirements.txt installed",
    );
    #[expect(
        clippy::disallowed_methods,
        reason = "clients sign with the machine's time"
    )]
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970");
    let running = serve(Options {
        listen: "127.0.0.1:0".parse().expect("an address"),
        speed: 60.0,
        seed: 7,
        empty: true,
        relay_url: None,
        relay_secret: None,
        start_ms: i64::try_from(now.as_millis()).expect("milliseconds"),
        progress: |_| {},
    })
    .await
    .expect("a simulation");

    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients");
    let run = tokio::process::Command::new(&python)
        .args(["-m", "unittest", "discover", "-v", "-s"])
        .arg(suite)
        .env("AWS_ENDPOINT_URL", running.endpoint())
        .kill_on_drop(true)
        .status();
    let status = tokio::time::timeout(LONGEST, run)
        .await
        .expect("the suite ends in time");
    let status = status.unwrap_or_else(|error| panic!("{python} does not start: {error}"));
    assert!(status.success(), "{python}: {status}");
    running.shutdown().await;
}
