//! The benchmarks of Switchback: each measures the built binary from outside, beside a floor in the same run.
//!
//! `cargo xtask bench NAME` builds what they need and runs them. To add one: a module with `run`, a word in
//! [`Bench`], and a module under `xtask/src/bench`.

mod account;
mod audit;
mod decide;
mod floor;
mod history;
mod idle;
mod live;
mod machine;
mod pages;
mod proxy;
mod report;
mod watch;
mod wire;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use anyhow::Result;
use clap::Parser;
use clap::ValueEnum;

/// The command line.
#[derive(Parser)]
struct CommandLine {
    /// What to measure.
    bench: Bench,
    #[command(flatten)]
    options: Options,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// Every page over a long history.
    Pages,
    /// From an event in AWS to every open stream.
    Live,
    /// From a decision to the call of AWS.
    Decide,
    /// The calls of AWS while nothing happens.
    Idle,
    /// What watching many services costs.
    Watch,
    /// What auditors ask, over ten million entries.
    Audit,
    /// Not a bench: the bare server beside which `pages` measures, in a process of its own.
    FloorPages,
    /// Not a bench: the bare stream beside which `live` measures.
    FloorStream,
}

/// How it is to be measured.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// The built `switchback`; its pages lie in `site` beside it.
    #[arg(long)]
    binary: PathBuf,
    /// Where generated databases are kept.
    #[arg(long)]
    data: PathBuf,
    /// Sizes that take seconds: to see that everything still runs.
    #[arg(long)]
    smoke: bool,
    /// How the binary was built.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Where the report is written as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let line = CommandLine::parse();
    match run(line.bench, &line.options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(bench: Bench, options: &Options) -> Result<()> {
    let machine = machine::describe(options);
    let report = match bench {
        Bench::Pages => pages::run(options).await?,
        Bench::Live => live::run(options).await?,
        Bench::Decide => decide::run(options).await?,
        Bench::Idle => idle::run(options).await?,
        Bench::Watch => watch::run(options).await?,
        Bench::Audit => audit::run(options).await?,
        Bench::FloorPages => return floor::serve_pages(options).await,
        Bench::FloorStream => return floor::serve_stream().await,
    };
    let load_after = machine::load();
    let text = report.text(&machine, &load_after);
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    if let Some(file) = &options.json {
        let json = serde_json::to_string_pretty(&report.json(&machine, &load_after))?;
        std::fs::write(file, json)
            .with_context(|| format!("could not write {}", file.display()))?;
    }
    Ok(())
}
