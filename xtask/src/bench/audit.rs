//! `cargo xtask bench audit`: what auditors ask, over ten million entries.

use anyhow::Result;

use crate::{bench, bench::Options, workspace::Workspace};

/// What it measures.
pub const ABOUT: &str = "what auditors ask, over ten million entries";

/// Measures.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    bench::measure(workspace, "audit", options)
}
