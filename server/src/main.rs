//! The command line of `switchback`.

use anyhow::Context;
use clap::Args;
use clap::Parser;
use clap::Subcommand;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use switchback_aws_sim::door::ServeError;
use switchback_aws_sim::door::clock::FASTEST;
use switchback_server::audit_command;
use switchback_server::audit_command::Audit;
use switchback_server::backup;
use switchback_server::config;
use switchback_server::config::Config;
use switchback_server::config::ConfigProblems;
use switchback_server::config::LogForm;
use switchback_server::demo;
use switchback_server::demo::AwsSimOptions;
use switchback_server::demo::DemoOptions;
use switchback_server::doctor;
use switchback_server::run;
use switchback_server::telemetry::Telemetry;

/// The command was refused or failed.
const FAILED: u8 = 1;

/// The command was not understood, or a setting is wrong.
const BAD_USAGE: u8 = 2;

/// The release desk for Amazon ECS.
#[derive(Parser)]
#[command(name = "switchback", version, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the desk before a simulated AWS account, to look around
    Demo(Demo),
    /// Run the desk before the AWS account that the environment names
    Serve(Serve),
    /// Copy the SQLite database to a file, also while a server writes to it, and check the copy
    Backup(Backup),
    /// Check a copy of the SQLite database and put it back
    Restore(Restore),
    /// Export the audit log, or check what was exported
    #[command(subcommand)]
    Audit(Audit),
    /// Run only the simulated AWS account
    AwsSim(AwsSim),
    /// Check configuration, database, AWS permissions, clocks and the ledger
    Doctor(Doctor),
}

#[derive(Args)]
struct Demo {
    /// Where the desk listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Where the simulated account listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4566")]
    aws_listen: SocketAddr,
    /// Keep everything in this folder instead of a fresh temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Simulated seconds that pass each second
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = speed)]
    speed: f64,
    #[command(flatten)]
    world: World,
}

#[derive(Args)]
struct Serve {
    /// The file with the settings; every setting is also a SWITCHBACK_* variable [default: switchback.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the settings, the pages' folder, the address and the database, change nothing, and end
    #[arg(long)]
    check: bool,
}

#[derive(Args)]
struct Backup {
    /// The file to make; it must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The file with the settings, as for serve
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Restore {
    /// The copy to put back
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The file with the settings, as for serve
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Move a database that stands there aside; refused while a server has it open
    #[arg(long)]
    replace: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Doctor {
    /// The file with the settings; every setting is also a SWITCHBACK_* variable [default: switchback.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    /// Make the ledger's table (SWITCHBACK_LEDGER_TABLE) if it does not exist
    #[arg(long)]
    create_ledger_table: bool,
}

#[derive(Args)]
struct AwsSim {
    /// Where the account listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
    /// Simulated seconds that pass each second
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// The complete URL that hooks are posted to, signed with SWITCHBACK_RELAY_SECRET
    #[arg(long, value_name = "URL")]
    relay_url: Option<String>,
    /// Refuse requests that are not signed with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of this environment
    #[arg(long)]
    verify_signatures: bool,
    #[command(flatten)]
    world: World,
}

#[derive(Args)]
struct World {
    /// Every random choice of the simulated account comes from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Start with nothing in the account, and no history
    #[arg(long)]
    empty: bool,
    /// Written, as JSON, once everything answers
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.0..=FASTEST).contains(&speed) => Ok(speed),
        _ => Err(format!("it must be a number from 0 to {FASTEST}")),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    // A name or value that is not UTF-8 cannot be one of ours.
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    match run(command_line.command, &variables).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            eprintln!("switchback: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

async fn run(command: Command, variables: &BTreeMap<String, String>) -> anyhow::Result<bool> {
    // Its own settings are checked before anything else; of the others' only how to log.
    let serve = match &command {
        Command::Serve(options) => Some(Config::load(options.config.as_deref(), variables)?),
        _ => None,
    };
    let form = match (&serve, variables.get("SWITCHBACK_LOG")) {
        (Some(config), _) => config.log,
        (None, Some(word)) if !word.is_empty() => LogForm::from_word(word).ok_or_else(|| {
            ConfigProblems(vec![format!(
                "SWITCHBACK_LOG must be json or text, not {word:?}"
            )])
        })?,
        (None, _) => LogForm::default(),
    };
    let telemetry = Telemetry::begin(form, variables)?;
    let result = carry_out(command, serve, variables).await;
    telemetry.end().await;
    result
}

/// Does what was asked. `false` is a result, printed, that says no.
async fn carry_out(
    command: Command,
    serve: Option<Config>,
    variables: &BTreeMap<String, String>,
) -> anyhow::Result<bool> {
    match command {
        Command::Demo(options) => {
            let options = DemoOptions {
                listen: options.listen,
                aws_listen: options.aws_listen,
                data: options.data,
                speed: options.speed,
                seed: options.world.seed,
                empty: options.world.empty,
                ready_file: options.world.ready_file,
            };
            demo::demo(options, variables).await.map(|()| true)
        }
        Command::Serve(options) => {
            for name in config::unknown_variables(variables) {
                tracing::warn!(
                    "the variable {name} is not a setting of Switchback and is not read"
                );
            }
            let config = match serve {
                Some(config) => config,
                None => Config::load(options.config.as_deref(), variables)?,
            };
            if options.check {
                run::check(&config).await?;
                eprintln!("The settings, the pages, the address and the database are fine.");
                return Ok(true);
            }
            run::serve(config).await.map(|()| true)
        }
        Command::Backup(options) => {
            let config = options.config.as_deref();
            result(&backup::backup(config, variables, &options.to, options.json).await?)
                .map(|()| true)
        }
        Command::Restore(options) => {
            let Restore {
                from,
                config,
                replace,
                json,
            } = options;
            let config = config.as_deref();
            result(&backup::restore(config, variables, &from, replace, json).await?).map(|()| true)
        }
        Command::Audit(command) => {
            let (text, good) = audit_command::audit(command, variables).await?;
            result(&text).map(|()| good)
        }
        Command::AwsSim(options) => {
            let of_environment = |name: &str| {
                let value = variables.get(name).cloned();
                value
                    .ok_or_else(|| anyhow::anyhow!("--verify-signatures needs the variable {name}"))
            };
            let signed_with = if options.verify_signatures {
                Some((
                    of_environment("AWS_ACCESS_KEY_ID")?,
                    of_environment("AWS_SECRET_ACCESS_KEY")?,
                ))
            } else {
                None
            };
            let options = AwsSimOptions {
                listen: options.listen,
                speed: options.speed,
                seed: options.world.seed,
                empty: options.world.empty,
                relay_url: options.relay_url,
                relay_secret: variables.get("SWITCHBACK_RELAY_SECRET").cloned(),
                signed_with,
                ready_file: options.world.ready_file,
            };
            demo::aws_sim(options).await.map(|()| true)
        }
        Command::Doctor(options) => {
            let asked = doctor::Asked {
                config: options.config,
                json: options.json,
                create_ledger_table: options.create_ledger_table,
            };
            doctor::doctor(&asked, variables).await
        }
    }
}

/// Results go to standard output, everything else to standard error.
fn result(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{text}").context("could not write the result")
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let is_bad_usage = error.is::<ConfigProblems>()
        || matches!(
            error.downcast_ref::<ServeError>(),
            Some(ServeError::Speed(_) | ServeError::RelayUrl(_))
        );
    if is_bad_usage { BAD_USAGE } else { FAILED }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn what_the_contract_says_is_understood() {
        for line in [
            "switchback demo",
            "switchback demo --listen 127.0.0.1:0 --aws-listen 127.0.0.1:0 --data d --speed 60 --seed 7 --empty --ready-file f",
            "switchback serve --config switchback.toml",
            "switchback serve --check",
            "switchback backup --to copy.db --config switchback.toml --json",
            "switchback restore --from copy.db --replace",
            "switchback doctor --config switchback.toml --json --create-ledger-table",
            "switchback audit export --to q3.tar --from 2026-07-01 --before 2026-10-01 --server http://127.0.0.1:1 --json",
            "switchback audit verify q3.tar --public-key key --checkpoint old.json --json",
            "switchback aws-sim --listen 127.0.0.1:0 --speed 0.5 --seed 7 --empty --relay-url http://127.0.0.1:1/x --verify-signatures --ready-file f",
        ] {
            assert!(
                CommandLine::try_parse_from(line.split(' ')).is_ok(),
                "{line}"
            );
        }
        for line in [
            "switchback",
            "switchback demo --speed fast",
            "switchback demo --speed -1",
            "switchback demo --speed nan",
            "switchback serve --listen x",
            "switchback backup",
            "switchback restore",
            "switchback audit",
            "switchback audit verify",
            "switchback audit export --to f --format pdf",
        ] {
            let error = CommandLine::try_parse_from(line.split(' ')).err().unwrap();
            assert_eq!(error.exit_code(), i32::from(BAD_USAGE), "{line}");
        }
    }
}
