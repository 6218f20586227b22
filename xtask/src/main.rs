//! The project's own commands: `cargo xtask build`, `demo`, `test`, `bench`, `arrows`, `tidy`.
//!
//! They need nothing but cargo and rustup. Whatever else a step wants (a browser, a database, a
//! Python for the foreign clients) is installed by the step itself, or named exactly when it cannot.

mod arrows;
mod bench;
mod build;
mod check;
mod setup;
mod site;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The command line.
#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, shows and checks Switchback.")]
struct CommandLine {
    #[command(subcommand)]
    task: Task,
}

/// One command each.
#[derive(Subcommand)]
enum Task {
    /// Builds the pages and the binary `switchback`.
    Build {
        /// Builds the binary optimised, and compresses the pages as far as they go.
        #[arg(long)]
        release: bool,
        /// Builds the WASM unoptimised: faster to build, several times larger.
        #[arg(long)]
        dev_wasm: bool,
    },
    /// Builds, then runs `switchback demo` with the arguments given here.
    Demo {
        /// Passed on as they are.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs everything that CI runs, in the same order.
    Test(check::Selection),
    /// Measures a release build, beside a floor in the same run.
    Bench {
        #[command(subcommand)]
        bench: bench::Bench,
    },
    /// Compares the edges between our crates with the table of allowed ones.
    Arrows,
    /// Checks the rules that neither the compiler nor clippy knows.
    Tidy,
}

fn main() -> ExitCode {
    match carry_out(CommandLine::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        // What went wrong is a matter of the machine or the code checked, never of a place in here:
        // the chain of causes is enough, and a backtrace would bury it.
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(task: Task) -> Result<()> {
    let workspace = Workspace::find()?;
    match task {
        Task::Build { release, dev_wasm } => {
            let profile = if release {
                build::Profile::Release
            } else {
                build::Profile::Dev
            };
            let wasm = if dev_wasm {
                site::Wasm::Quick
            } else {
                site::Wasm::Small
            };
            build::build(&workspace, profile, wasm, profile.compression()).map(drop)
        }
        Task::Demo { arguments } => build::demo(&workspace, &arguments),
        Task::Test(selection) => check::run_selected(&workspace, &selection),
        Task::Bench { bench } => bench::carry_out(&workspace, &bench),
        Task::Arrows => arrows::check(&workspace),
        Task::Tidy => tidy::check(&workspace),
    }
}
