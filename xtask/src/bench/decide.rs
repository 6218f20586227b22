//! `cargo xtask bench decide`: from a decision to the call at AWS.

use anyhow::Result;

use crate::{bench, bench::Options, workspace::Workspace};

/// What it measures.
pub const ABOUT: &str = "from a decision to the call at AWS";

/// Measures.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    bench::measure(workspace, "decide", options)
}
