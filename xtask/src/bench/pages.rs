//! `cargo xtask bench pages`: every page and list over a long history.

use anyhow::Result;

use crate::{bench, bench::Options, workspace::Workspace};

/// What it measures.
pub const ABOUT: &str = "every page and list over a long history";

/// Measures.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    bench::measure(workspace, "pages", options)
}
