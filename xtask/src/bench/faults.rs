//! `cargo xtask bench faults`: the campaign of `tests/it/campaign` with as many runs as are asked for.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::{
    build::{self, Profile},
    check::hermetic,
    site,
    workspace::{Workspace, run},
};

/// What it measures.
pub const ABOUT: &str = "everything that acts on AWS, killed, cut and refused at every boundary";

/// How long a campaign is, and which.
#[derive(Args)]
pub struct Campaign {
    /// How many runs.
    #[arg(long, default_value_t = 1000)]
    runs: u64,
    /// Where all choices come from. The same seed makes the same runs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of the first run: with `--runs 1` it is carried out again alone.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many servers, each with an account of its own, work side by side.
    #[arg(long, default_value_t = 6)]
    sites: u64,
    /// Writes the table and a line for every run to this file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Builds the product and carries the campaign out against it.
pub fn run_campaign(workspace: &Workspace, campaign: &Campaign) -> Result<()> {
    let built = build::build(
        workspace,
        Profile::Dev,
        site::Wasm::Quick,
        site::Compression::Quick,
    )?;
    let mut cargo = hermetic(workspace.cargo());
    cargo
        .env("SWITCHBACK_BIN", built.binary)
        .env("FAULTS_RUNS", campaign.runs.to_string())
        .env("FAULTS_SEED", campaign.seed.to_string())
        .env("FAULTS_FIRST", campaign.first.to_string())
        .env("FAULTS_SITES", campaign.sites.to_string());
    if let Some(report) = &campaign.report {
        // The tests run in a folder of their own.
        cargo.env("FAULTS_REPORT", std::path::absolute(report)?);
    }
    run(cargo.args([
        "test",
        "--package",
        "switchback-tests",
        "--test",
        "it",
        "--",
        "--nocapture",
        "--exact",
        "campaign::every_intent_has_one_effect_under_every_fault",
    ]))
}
