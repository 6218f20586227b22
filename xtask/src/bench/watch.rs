//! `cargo xtask bench watch`: what watching 2,000 services costs, at rest and deploying, without events and with them.

use anyhow::Result;

use crate::{bench, bench::Options, workspace::Workspace};

/// What it measures.
pub const ABOUT: &str =
    "what watching 2,000 services costs, and how far behind AWS it is, with and without events";

/// Measures.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    bench::measure(workspace, "watch", options)
}
