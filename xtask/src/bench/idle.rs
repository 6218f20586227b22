//! `cargo xtask bench idle`: the calls of AWS while nothing happens.

use anyhow::Result;

use crate::{bench, bench::Options, workspace::Workspace};

/// What it measures.
pub const ABOUT: &str = "the calls of AWS while nothing happens";

/// Measures.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    bench::measure(workspace, "idle", options)
}
