//! `cargo xtask bench NAME`: builds the binary and the program that measures it, runs it, and can put its tables into
//! the documentation. One module here for each bench.
//!
//! The program that measures is the crate `bench`: it needs tokio, sqlx and the AWS SDK, and these commands are built
//! first of all and stay light.

mod audit;
mod decide;
mod faults;
mod idle;
mod live;
mod pages;
mod watch;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    build::{self, Profile},
    site,
    workspace::{Workspace, run, timed},
};

/// Where the tables are shown.
const PAGE: &str = "docs/performance.md";

/// What can be measured.
#[derive(Subcommand)]
pub enum Bench {
    /// Every page and list over 1,000,000 deployments, beside a bare handler that runs the same SQL.
    Pages(Options),
    /// From an event in AWS to 1,000 open streams, beside a bare stream of the same bytes.
    Live(Options),
    /// From a decision to AWS's call, beside a bare call of the SDK.
    Decide(Options),
    /// The calls of AWS while nothing happens.
    Idle(Options),
    /// What watching 2,000 services costs, with and without events.
    Watch(Options),
    /// What auditors ask of 10,000,000 audit entries, beside a bare handler that runs the same SQL.
    Audit(Options),
    /// Everything that acts on AWS under every fault, with the table of docs/faults.md.
    Faults(faults::Campaign),
    /// Lists the benches.
    List,
}

/// How a bench is run.
#[derive(Args, Clone, Default)]
pub struct Options {
    /// Measures a development build: for work on the bench itself, never for figures.
    #[arg(long, value_name = "PROFILE", default_value = "release", value_parser = ["release", "dev"])]
    profile: String,
    /// The smallest sizes: to see that it runs.
    #[arg(long)]
    smoke: bool,
    /// Writes the report to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Replaces the tables in docs/performance.md.
    #[arg(long)]
    write_docs: bool,
}

/// The name of each bench and what it measures.
const LIST: [(&str, &str); 6] = [
    ("pages", pages::ABOUT),
    ("live", live::ABOUT),
    ("decide", decide::ABOUT),
    ("idle", idle::ABOUT),
    ("watch", watch::ABOUT),
    ("audit", audit::ABOUT),
];

/// Runs one.
pub fn carry_out(workspace: &Workspace, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Pages(options) => pages::run(workspace, options),
        Bench::Live(options) => live::run(workspace, options),
        Bench::Decide(options) => decide::run(workspace, options),
        Bench::Idle(options) => idle::run(workspace, options),
        Bench::Watch(options) => watch::run(workspace, options),
        Bench::Audit(options) => audit::run(workspace, options),
        Bench::Faults(campaign) => faults::run_campaign(workspace, campaign),
        Bench::List => {
            for (name, about) in LIST {
                eprintln!("  {name:<8}  {about}");
            }
            eprintln!("  {:<8}  {}", "faults", faults::ABOUT);
            Ok(())
        }
    }
}

/// Each bench in its smallest size on the development build, which must be there: none of them may rot.
pub fn smoke(workspace: &Workspace) -> Result<()> {
    let options = Options {
        profile: "dev".to_owned(),
        smoke: true,
        ..Options::default()
    };
    build_program(workspace, Profile::Dev)?;
    for (name, _) in LIST {
        timed(name, || {
            execute(workspace, name, Profile::Dev, &options).map(drop)
        })?;
    }
    Ok(())
}

/// Builds, runs and shows one bench.
fn measure(workspace: &Workspace, name: &str, options: &Options) -> Result<()> {
    let profile = match options.profile.as_str() {
        "dev" => Profile::Dev,
        _ => Profile::Release,
    };
    if options.write_docs && (profile == Profile::Dev || options.smoke) {
        bail!(
            "figures of a development build or of the smallest sizes are not for the documentation"
        );
    }
    build::build(workspace, profile, site::Wasm::Small, profile.compression())?;
    build_program(workspace, profile)?;
    let report = execute(workspace, name, profile, options)?;
    if options.write_docs {
        let page = workspace.root.join(PAGE);
        let text = fs::read_to_string(&page).with_context(|| format!("could not read {PAGE}"))?;
        let tables = report["markdown"]
            .as_str()
            .context("the report holds no tables")?;
        fs::write(&page, replaced(&text, name, tables)?)
            .with_context(|| format!("could not write {PAGE}"))?;
        eprintln!("wrote the tables of {name} to {PAGE}");
    }
    Ok(())
}

/// Together with the server, so that both use libraries of the same features and none is built twice.
fn build_program(workspace: &Workspace, profile: Profile) -> Result<()> {
    timed("the program that measures", || {
        let mut cargo = workspace.cargo();
        cargo.args([
            "build",
            "--package",
            "switchback-bench",
            "--package",
            "switchback-server",
        ]);
        if profile == Profile::Release {
            cargo.arg("--release");
        }
        run(&mut cargo)
    })
}

/// Runs the program; gives its report.
fn execute(
    workspace: &Workspace,
    name: &str,
    profile: Profile,
    options: &Options,
) -> Result<Value> {
    let binary = build::binary(workspace, profile);
    let program =
        binary.with_file_name(format!("switchback-bench{}", std::env::consts::EXE_SUFFIX));
    let data = workspace.target.join("bench");
    fs::create_dir_all(&data).with_context(|| format!("could not make {}", data.display()))?;
    let file = match &options.json {
        Some(file) => file.clone(),
        None => data.join(format!("{name}.json")),
    };
    let mut command = std::process::Command::new(&program);
    command
        .current_dir(&workspace.root)
        .arg(name)
        .arg("--binary")
        .arg(&binary)
        .arg("--data")
        .arg(&data)
        .args(["--profile", profile.folder()])
        .arg("--json")
        .arg(&file);
    if options.smoke {
        command.arg("--smoke");
    }
    run(&mut command)?;
    let text = fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// The text with what stands between the bench's two markers replaced.
fn replaced(text: &str, name: &str, tables: &str) -> Result<String> {
    let (begin, end) = (
        format!("<!-- bench {name} -->"),
        format!("<!-- end of bench {name} -->"),
    );
    let missing = || format!("{PAGE} does not hold {begin} and, after it, {end}");
    let (before, rest) = text.split_once(&begin).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    Ok(format!(
        "{before}{begin}\n{}\n{end}{after}",
        tables.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_is_replaced() -> Result<()> {
        let text = "a\n<!-- bench live -->\nold\n<!-- end of bench live -->\nb\n<!-- bench pages -->\nkept\n<!-- end of bench pages -->\n";
        let new = replaced(text, "live", "new\n")?;
        assert_eq!(new, text.replace("old", "new"));
        assert_eq!(replaced(&new, "live", "new")?, new);
        assert!(replaced(text, "decide", "new").is_err());
        Ok(())
    }

    #[test]
    fn the_page_has_a_place_for_every_bench() -> Result<()> {
        let text = fs::read_to_string(Workspace::find()?.root.join(PAGE))?;
        for (name, _) in LIST {
            replaced(&text, name, "")?;
        }
        Ok(())
    }
}
