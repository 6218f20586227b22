//! `cargo xtask test`: everything that CI runs, in one order, with what each step took.
//!
//! Design notes. A failed step does not end the run: whoever reads it wants all that is wrong at
//! once. Only steps that need what a failed one makes are left out, and are counted as failed.
//! There is no retry anywhere. Nothing here looks at `CI`.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    arrows, bench,
    build::{self, Profile},
    setup::{self, Need, Tools},
    site, tidy,
    workspace::{Workspace, run, succeeds},
};

/// What a browser may have to load before the first island wakes: WASM and JavaScript, compressed.
const MOST_BROWSER_CODE_BYTES: usize = 300_000;

/// Turns on the tests that need more than cargo, which a plain `cargo test` leaves out: the
/// simulator's, with foreign AWS clients.
const FEATURES_OF_TESTS: &str = "switchback-aws-sim/clients";

/// Which steps to run.
#[derive(Args)]
pub struct Selection {
    /// Runs only the steps whose name contains this; may be given several times.
    #[arg(long, value_name = "PART OF A NAME")]
    only: Vec<String>,
    /// Lists the steps and ends.
    #[arg(long)]
    list: bool,
    /// Leaves out the journeys in a browser (module `browser`) and does not install one.
    #[arg(long)]
    no_browser: bool,
    /// After `--`: passed to the journeys, such as a part of a test's name.
    #[arg(last = true, value_name = "FOR THE JOURNEYS")]
    journeys: Vec<String>,
}

/// One thing to check.
struct Step {
    name: &'static str,
    needs: &'static [Need],
    /// The steps without whose success this one means nothing.
    after: &'static [&'static str],
    check: fn(&Context) -> Result<Outcome>,
}

/// What a step came to.
enum Outcome {
    Passed,
    /// Not run, or not in full, and why that is no failure.
    Skipped(String),
    /// Why.
    Failed(String),
}

/// What the steps share.
struct Context<'a> {
    workspace: &'a Workspace,
    selection: &'a Selection,
    tools: Tools,
    /// Known once the product is built.
    browser_code: RefCell<Option<site::BrowserCode>>,
}

const STEPS: [Step; 13] = [
    Step {
        name: "format",
        needs: &[Need::Components],
        after: &[],
        check: format,
    },
    Step {
        name: "arrows",
        needs: &[],
        after: &[],
        check: check_arrows,
    },
    Step {
        name: "tidy",
        needs: &[],
        after: &[],
        check: check_tidy,
    },
    Step {
        name: "dependency audit",
        needs: &[Need::Deny],
        after: &[],
        check: dependency_audit,
    },
    Step {
        name: "clippy",
        needs: &[Need::Components],
        after: &[],
        check: clippy,
    },
    Step {
        name: "clippy for WASM",
        needs: &[Need::Components, Need::WasmTarget],
        after: &[],
        check: clippy_for_wasm,
    },
    Step {
        name: "build",
        needs: &[Need::WasmTarget],
        after: &[],
        check: build_product,
    },
    Step {
        name: "size of the browser code",
        needs: &[Need::WasmTarget],
        after: &["build"],
        check: size_of_browser_code,
    },
    Step {
        name: "tests of the commands",
        needs: &[],
        after: &[],
        check: xtask_tests,
    },
    Step {
        name: "tests of the crates",
        needs: &[Need::Postgres, Need::Clients],
        after: &[],
        check: crate_tests,
    },
    Step {
        name: "journeys",
        needs: &[
            Need::WasmTarget,
            Need::Browser,
            Need::Postgres,
            Need::Clients,
            Need::Axe,
            Need::Oidc,
        ],
        after: &["build"],
        check: journeys,
    },
    Step {
        name: "journeys on PostgreSQL",
        needs: &[Need::WasmTarget, Need::Postgres],
        after: &["build"],
        check: journeys_on_postgres,
    },
    Step {
        name: "benches in their smallest size",
        needs: &[Need::WasmTarget],
        after: &["build"],
        check: benches,
    },
];

/// Runs the selected steps and prints what came of each.
pub fn run_selected(workspace: &Workspace, selection: &Selection) -> Result<()> {
    let steps = selected(&selection.only)?;
    if selection.list {
        for step in steps {
            eprintln!("{}", step.name);
        }
        return Ok(());
    }
    let mut results = Vec::new();

    let begun = Instant::now();
    eprintln!("== set-up");
    let needs: BTreeSet<Need> = steps
        .iter()
        .flat_map(|step| step.needs)
        .copied()
        .filter(|need| {
            !matches!(need, Need::Browser | Need::Axe | Need::Oidc) || !selection.no_browser
        })
        .collect();
    let tools = setup::prepare(workspace, &needs)?;
    results.push(("set-up", Outcome::Passed, begun.elapsed()));

    let context = Context {
        workspace,
        selection,
        tools,
        browser_code: RefCell::new(None),
    };
    for step in steps {
        let begun = Instant::now();
        eprintln!("\n== {}", step.name);
        let missing = step.after.iter().find(|name| {
            results
                .iter()
                .any(|(done, outcome, _)| done == *name && matches!(outcome, Outcome::Failed(_)))
        });
        let outcome = match missing {
            Some(name) => Outcome::Failed(format!("not run, because this failed: {name}")),
            None => {
                (step.check)(&context).unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")))
            }
        };
        let taken = begun.elapsed();
        match &outcome {
            Outcome::Passed => eprintln!("== {}: passed in {}", step.name, seconds(taken)),
            Outcome::Skipped(reason) => eprintln!("== {}: {reason}", step.name),
            Outcome::Failed(reason) => {
                eprintln!("== {}: FAILED in {}\n{reason}", step.name, seconds(taken));
            }
        }
        results.push((step.name, outcome, taken));
    }
    summarise(&results)
}

/// The steps asked for. One that needs the product brings the build along.
fn selected(only: &[String]) -> Result<Vec<&'static Step>> {
    let is_named =
        |step: &Step| only.is_empty() || only.iter().any(|part| step.name.contains(part));
    for part in only {
        if !STEPS.iter().any(|step| step.name.contains(part)) {
            let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            bail!(
                "no step is called {part:?}; there are: {}",
                names.join(", ")
            );
        }
    }
    let required: Vec<&str> = STEPS
        .iter()
        .filter(|step| is_named(step))
        .flat_map(|step| step.after)
        .copied()
        .collect();
    Ok(STEPS
        .iter()
        .filter(|step| is_named(step) || required.contains(&step.name))
        .collect())
}

fn summarise(results: &[(&str, Outcome, Duration)]) -> Result<()> {
    eprintln!("\n== summary");
    let mut failed = Vec::new();
    let mut total = Duration::ZERO;
    for (name, outcome, taken) in results {
        total += *taken;
        let word = match outcome {
            Outcome::Passed => "passed",
            Outcome::Skipped(reason) => reason,
            Outcome::Failed(_) => {
                failed.push(*name);
                "FAILED"
            }
        };
        eprintln!("  {:>9}  {name}: {word}", seconds(*taken));
    }
    eprintln!("  {:>9}  in all", seconds(total));
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn format(context: &Context) -> Result<Outcome> {
    passed(run(context
        .workspace
        .cargo()
        .args(["fmt", "--all", "--", "--check"])))
}

fn check_arrows(context: &Context) -> Result<Outcome> {
    passed(arrows::check(context.workspace))
}

fn check_tidy(context: &Context) -> Result<Outcome> {
    passed(tidy::check(context.workspace))
}

/// Licences, bans and sources need nothing from outside and are always judged. The advisories are a repository that is
/// fetched; where it cannot be, the step says so and the rest counts.
fn dependency_audit(context: &Context) -> Result<Outcome> {
    let Some(deny) = &context.tools.deny else {
        bail!("cargo-deny was neither found nor installed");
    };
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(deny);
        command.current_dir(&context.workspace.root);
        command.arg("--workspace").args(arguments);
        command
    };
    run(&mut deny(&["check", "licenses", "bans", "sources"]))?;
    if !succeeds(&mut deny(&["fetch", "db"])) {
        return Ok(Outcome::Skipped(
            "licences, bans and sources hold; the list of advisories cannot be fetched here, so advisories were NOT judged"
                .to_owned(),
        ));
    }
    passed(run(&mut deny(&["check", "advisories"])))
}

fn clippy(context: &Context) -> Result<Outcome> {
    passed(run(context.workspace.cargo().args([
        "clippy",
        "--workspace",
        "--exclude",
        "switchback-frontend",
        "--all-targets",
        "--features",
        FEATURES_OF_TESTS,
        "--",
        "-D",
        "warnings",
    ])))
}

fn clippy_for_wasm(context: &Context) -> Result<Outcome> {
    passed(run(context.workspace.cargo().args([
        "clippy",
        "--package",
        "switchback-frontend",
        "--target",
        "wasm32-unknown-unknown",
        "--",
        "-D",
        "warnings",
    ])))
}

/// Compressed as for shipping, because its size is checked.
fn build_product(context: &Context) -> Result<Outcome> {
    let built = build::build(
        context.workspace,
        Profile::Dev,
        site::Wasm::Small,
        site::Compression::Full,
    )?;
    context.browser_code.replace(Some(built.browser_code));
    Ok(Outcome::Passed)
}

fn size_of_browser_code(context: &Context) -> Result<Outcome> {
    let Some(code) = *context.browser_code.borrow() else {
        bail!("the product was not built in this run");
    };
    eprintln!(
        "  {} bytes compressed, at most {MOST_BROWSER_CODE_BYTES}",
        code.compressed
    );
    if code.compressed > MOST_BROWSER_CODE_BYTES {
        bail!(
            "{} bytes are more than {MOST_BROWSER_CODE_BYTES}",
            code.compressed
        );
    }
    Ok(Outcome::Passed)
}

/// Apart from the other crates: with their features, the libraries that process WASM would be built
/// a second time.
fn xtask_tests(context: &Context) -> Result<Outcome> {
    passed(run(hermetic(context.workspace.cargo()).args([
        "test",
        "--package",
        "xtask",
    ])))
}

fn crate_tests(context: &Context) -> Result<Outcome> {
    let mut cargo = hermetic(context.workspace.cargo());
    cargo.envs(context.tools.variables());
    if let Some(python) = &context.tools.clients_python {
        cargo.env("SWITCHBACK_CLIENTS_PYTHON", python);
    }
    passed(run(cargo.args([
        "test",
        "--no-fail-fast",
        "--workspace",
        "--exclude",
        "switchback-frontend",
        "--exclude",
        "switchback-tests",
        "--exclude",
        "xtask",
        "--features",
        FEATURES_OF_TESTS,
    ])))
}

/// On SQLite, but for those that only PostgreSQL can do.
fn journeys(context: &Context) -> Result<Outcome> {
    let mut cargo = journey_tests(context);
    if context.selection.no_browser {
        cargo.args(["--skip", "browser::"]);
    }
    passed(run(cargo.args(&context.selection.journeys)))
}

/// The browser cannot tell the databases apart; the demo has its own, and the campaign does things to a SQLite file.
fn journeys_on_postgres(context: &Context) -> Result<Outcome> {
    let mut cargo = journey_tests(context);
    cargo.env("SWITCHBACK_JOURNEYS_DATABASE", "postgres");
    cargo.args(["--skip", "browser::", "--skip", "replicas::"]);
    cargo.args(["--skip", "foreign_clients::", "--skip", "campaign::"]);
    cargo.args(["--skip", "api_document::"]);
    passed(run(cargo.args(&context.selection.journeys)))
}

/// The journeys drive the built binary from outside, so they are told where everything is.
fn journey_tests(context: &Context) -> Command {
    let binary: PathBuf = build::binary(context.workspace, Profile::Dev);
    let mut cargo = hermetic(context.workspace.cargo());
    cargo
        .env("SWITCHBACK_BIN", binary)
        .envs(context.tools.variables());
    cargo.args(["test", "--package", "switchback-tests", "--"]);
    cargo
}

/// That they still run; what they measure here means nothing.
fn benches(context: &Context) -> Result<Outcome> {
    passed(bench::smoke(context.workspace))
}

/// Takes from a test everything by which it could reach a real AWS account, or be another test on
/// one desk than on the next.
pub fn hermetic(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("AWS_") || name.starts_with("SWITCHBACK_") {
            command.env_remove(&*name);
        }
    }
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

fn passed(result: Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str]) -> Result<Vec<&'static str>> {
        let only: Vec<String> = only.iter().map(|part| (*part).to_owned()).collect();
        Ok(selected(&only)?.iter().map(|step| step.name).collect())
    }

    #[test]
    fn all_steps_are_selected_when_none_is_named() -> Result<()> {
        assert_eq!(names(&[])?.len(), STEPS.len());
        Ok(())
    }

    #[test]
    fn a_step_brings_what_it_needs_along() -> Result<()> {
        assert_eq!(
            names(&["journeys on"])?,
            ["build", "journeys on PostgreSQL"]
        );
        assert_eq!(names(&["arrows", "tidy"])?, ["arrows", "tidy"]);
        Ok(())
    }

    #[test]
    fn an_unknown_step_is_refused() {
        assert!(names(&["no such step"]).is_err());
    }

    #[test]
    fn every_step_comes_after_those_it_needs() {
        for (index, step) in STEPS.iter().enumerate() {
            for needed in step.after {
                assert!(STEPS[..index].iter().any(|earlier| earlier.name == *needed));
            }
        }
    }

    #[test]
    fn one_failure_fails_the_run_and_a_skip_does_not() {
        let took = Duration::from_secs(1);
        let skipped = ("audit", Outcome::Skipped("not installed".to_owned()), took);
        assert!(summarise(&[("format", Outcome::Passed, took), skipped]).is_ok());
        let failed = ("clippy", Outcome::Failed("1 warning".to_owned()), took);
        assert!(summarise(&[("format", Outcome::Passed, took), failed]).is_err());
    }
}
