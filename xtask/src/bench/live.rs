//! `cargo xtask bench live`: from an event in AWS to every open stream.

use anyhow::Result;

use crate::{bench, bench::Options, workspace::Workspace};

/// What it measures.
pub const ABOUT: &str = "from an event in AWS to every open stream";

/// Measures.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    bench::measure(workspace, "live", options)
}
