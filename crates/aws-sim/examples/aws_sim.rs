//! Starts the simulation by itself, for tests that need no other part of the product:
//! `aws_sim [--listen ADDR] [--speed N] [--seed N] [--empty] [--verify-signatures] [--relay-url URL] [--ready-file FILE]`.
//! With `--mutant NAME` it is wrong in one of the ways of [`Sabotage`], for a test of a test.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use switchback_aws_sim::door::{Options, serve, serve_sabotaged};
use switchback_aws_sim::world::sabotage::Sabotage;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the wiring hands the machine's time to the simulation"
    )]
    let now = SystemTime::now();
    let mut options = Options {
        listen: "127.0.0.1:4566".parse()?,
        speed: 1.0,
        seed: 1,
        empty: false,
        relay_url: None,
        relay_secret: std::env::var("SWITCHBACK_RELAY_SECRET").ok(),
        start_ms: i64::try_from(now.duration_since(UNIX_EPOCH)?.as_millis())?,
        progress: |progress| eprintln!("day {} of {}", progress.day, progress.days),
    };
    let mut ready_file = None;
    let mut verifies = false;
    let mut mutant = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--empty" {
            options.empty = true;
            continue;
        }
        if name == "--verify-signatures" {
            verifies = true;
            continue;
        }
        let value = arguments
            .next()
            .ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--listen" => options.listen = value.parse()?,
            "--speed" => options.speed = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            "--relay-url" => options.relay_url = Some(value),
            "--mutant" => {
                let known = Sabotage::parse(&value);
                mutant = Some(known.ok_or_else(|| format!("there is no mutant {value}"))?);
            }
            "--ready-file" => ready_file = Some(value),
            _ => return Err(format!("there is no option {name}").into()),
        }
    }
    let running = match mutant {
        Some(mutant) => serve_sabotaged(options, mutant).await?,
        None => serve(options).await?,
    };
    if verifies {
        let key = std::env::var("AWS_ACCESS_KEY_ID")?;
        let secret = std::env::var("AWS_SECRET_ACCESS_KEY")?;
        running.verify_signatures([(key, secret)].into());
    }
    eprintln!("AWS_ENDPOINT_URL={}", running.endpoint());
    if let Some(file) = ready_file {
        let ready =
            serde_json::json!({ "aws_endpoint": running.endpoint(), "region": running.region });
        std::fs::write(file, ready.to_string())?;
    }
    tokio::signal::ctrl_c().await?;
    running.shutdown().await;
    Ok(())
}
