//! `switchback doctor`: whether everything that Switchback needs is there. It changes nothing, but for the ledger's
//! table when it is asked to make it.

use crate::config::Config;
use crate::run;
use anyhow::Context;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use switchback_cloud::Cloud;
use switchback_cloud::CloudError;
use switchback_cloud::events::EventQueue;
use switchback_cloud::ledger::Ledger;
use switchback_domain::moment::Moment;
use switchback_domain::revision::RevisionArn;
use switchback_store::Examination;
use switchback_store::Store;

/// A name that nothing has: asking for it shows whether asking is allowed.
const NOBODY: &str = "switchback-doctor";

/// From this difference on, in milliseconds, times on the pages mislead.
const CLOCK_WARNING: i64 = 10_000;

/// From this difference on AWS refuses signatures, and so do we those of hooks.
const CLOCK_PROBLEM: i64 = 5 * 60_000;

/// What was asked for.
pub struct Asked {
    /// The file with the settings.
    pub config: Option<PathBuf>,
    /// Whether the findings are printed as JSON.
    pub json: bool,
    /// Whether the ledger's table is to be made.
    pub create_ledger_table: bool,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    /// As it should be.
    Ok,
    /// It works, but something is worth knowing.
    Warning,
    /// Something will not work.
    Problem,
    /// It could not be looked at, because of what another line says.
    NotChecked,
}

impl CheckResult {
    const fn words(self) -> &'static str {
        match self {
            CheckResult::Ok => "ok",
            CheckResult::Warning => "warning",
            CheckResult::Problem => "problem",
            CheckResult::NotChecked => "not checked",
        }
    }
}

/// One line of the findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, for example `ledger: table`.
    pub check: String,
    /// How it went.
    pub result: CheckResult,
    /// What was found.
    pub detail: String,
    /// What to do about it; `None` where there is nothing to do.
    pub what_to_do: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        check: impl Into<String>,
        result: CheckResult,
        detail: impl Into<String>,
        what_to_do: Option<&str>,
    ) {
        self.0.push(Finding {
            check: check.into(),
            result,
            detail: detail.into(),
            what_to_do: what_to_do.map(str::to_string),
        });
    }

    fn ok(&mut self, check: impl Into<String>, detail: impl Into<String>) {
        self.add(check, CheckResult::Ok, detail, None);
    }

    fn has_problem(&self) -> bool {
        self.0
            .iter()
            .any(|finding| finding.result == CheckResult::Problem)
    }
}

/// Checks everything and prints what it found; `false` when there is a problem.
pub async fn doctor(asked: &Asked, variables: &BTreeMap<String, String>) -> anyhow::Result<bool> {
    let mut findings = Findings::default();
    match Config::load(asked.config.as_deref(), variables) {
        Err(problems) => {
            for problem in problems.0 {
                findings.add(
                    "configuration",
                    CheckResult::Problem,
                    problem,
                    Some("Correct the setting."),
                );
            }
            let why = "The configuration cannot be used.";
            for check in ["database", "aws", "clocks", "ledger", "relay"] {
                findings.add(check, CheckResult::NotChecked, why, None);
            }
        }
        Ok(config) => {
            findings.ok("configuration", "Every setting can be used.");
            for name in crate::config::unknown_variables(variables) {
                findings.add(
                    "configuration",
                    CheckResult::Warning,
                    format!("The variable {name} is not a setting of Switchback and is not read."),
                    Some("Remove it, or correct its name."),
                );
            }
            examine(&config, asked, &mut findings).await;
        }
    }
    print(asked, &findings.0).context("could not print what was found")?;
    Ok(!findings.has_problem())
}

async fn examine(config: &Config, asked: &Asked, findings: &mut Findings) {
    eprintln!("Looking at the database.");
    let database_clock = database(config, findings).await;
    let usual = run::usual_settings();
    let clouds = run::clouds(&config.aws, &usual).await;
    let mut own: Vec<(String, String)> = Vec::new();
    for cloud in &clouds {
        let region = match cloud.region() {
            "" => "no region",
            region => region,
        };
        let place = match cloud.assumed() {
            None => region.to_string(),
            Some(assumed) => {
                let name = assumed.name.as_deref().unwrap_or(&assumed.account);
                format!("{name} {region}")
            }
        };
        eprintln!("Asking AWS ({place}).");
        let account = aws(&**cloud, &place, findings).await;
        match (cloud.assumed(), account) {
            (None, Some(account)) => own.push((account, region.to_string())),
            (Some(assumed), Some(account))
                if own.contains(&(account.clone(), region.to_string())) =>
            {
                findings.add(
                    format!("aws {place}: watched twice"),
                    CheckResult::Problem,
                    format!(
                        "Switchback's own credentials are of account {account} and watch {region} already; {} is not used.",
                        assumed.role_arn
                    ),
                    Some("Take the region, or the whole entry, out of SWITCHBACK_ACCOUNTS."),
                );
            }
            (Some(_), _) | (None, None) => {}
        }
    }
    let machine = run::machine_clock()();
    match database_clock {
        Some(clock) => clocks(
            "clocks: database",
            "The database's clock",
            clock,
            machine,
            findings,
        ),
        None => findings.add(
            "clocks: database",
            CheckResult::NotChecked,
            "It has no clock of its own, or did not answer.",
            None,
        ),
    }
    ledger(config, asked, &usual, findings).await;
    for queue in run::queues(&config.events, &config.aws, &usual).await {
        eprintln!("Asking the queue of events ({}).", queue.name());
        events(&*queue, findings).await;
    }
    if config.relay.is_configured() {
        findings.ok("relay: secret", "A secret is set.");
    } else {
        findings.add(
            "relay: secret",
            CheckResult::Warning,
            "No secret is set: hooks are refused, and no gate opens at a hook.",
            Some("Set SWITCHBACK_RELAY_SECRET to what the relay function signs with."),
        );
    }
}

/// Whether the queue of events is there and what becomes of what cannot be read. Nothing is received from it.
async fn events(queue: &dyn EventQueue, findings: &mut Findings) {
    let check = format!("events: queue {}", queue.name());
    match queue.attributes().await {
        Err(error) => refused(&check, &error, findings),
        Ok(attributes) => match &attributes.dead_letter_queue {
            Some(dead_letters) => {
                let receives = attributes
                    .receives
                    .map_or("some".to_string(), |count| count.to_string());
                findings.ok(
                    check,
                    format!(
                        "About {} messages wait. What cannot be read goes to {dead_letters} after {receives} receivings.",
                        attributes.waiting
                    ),
                );
            }
            None => findings.add(
                check,
                CheckResult::Warning,
                "It has no dead-letter queue: a message that cannot be read comes again until it expires.",
                Some("Give it a RedrivePolicy, as docs/operations.md has it."),
            ),
        },
    }
}

/// Gives the database's own clock.
async fn database(config: &Config, findings: &mut Findings) -> Option<Moment> {
    let found: Option<Examination> = match Store::examine(config.database.url.expose_secret()).await
    {
        Err(error) => {
            // The causes may name the URL, and in it a password.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the database was not reached"
            );
            findings.add(
                "database",
                CheckResult::Problem,
                "It cannot be reached, or is none of Switchback's.",
                Some("Check SWITCHBACK_DATABASE_URL, and that the server runs and lets this user in; RUST_LOG=debug tells more."),
            );
            return None;
        }
        Ok(found) => found,
    };
    let Some(found) = found else {
        findings.add(
            "database",
            CheckResult::Warning,
            "There is no database yet; the first start makes it.",
            None,
        );
        return None;
    };
    findings.ok("database", format!("{} answers.", found.kind));
    if !found.unknown_migrations.is_empty() {
        findings.add(
            "database: migrations",
            CheckResult::Warning,
            format!(
                "A newer Switchback has used it: {} migrations are not known to this one.",
                found.unknown_migrations.len()
            ),
            Some(
                "Use that newer version; switchback serve --check says whether this one still can.",
            ),
        );
    } else if found.missing_migrations.is_empty() {
        findings.ok("database: migrations", "Its tables are up to date.");
    } else {
        findings.add(
            "database: migrations",
            CheckResult::Warning,
            format!(
                "{} migrations are yet to be applied; the next start applies them.",
                found.missing_migrations.len()
            ),
            None,
        );
    }
    match &found.writable {
        Ok(()) => findings.ok("database: writing", "It can be written."),
        Err(why) => findings.add(
            "database: writing",
            CheckResult::Problem,
            format!("It cannot be written: {why}"),
            Some("Give the user the right to write, or point at the primary."),
        ),
    }
    found.clock
}

/// Asks one account and region; gives the account's number.
async fn aws(cloud: &dyn Cloud, place: &str, findings: &mut Findings) -> Option<String> {
    let account = cloud.account().await;
    let here = run::machine_clock()();
    let check = format!("aws {place}: sts:GetCallerIdentity");
    let account = match account {
        Ok(account) => {
            findings.ok(check, format!("This is account {account}."));
            account
        }
        Err(error) => {
            refused(&check, &error, findings);
            let why = "AWS did not say who we are.";
            findings.add(
                format!("aws {place}: permissions"),
                CheckResult::NotChecked,
                why,
                None,
            );
            findings.add(
                format!("clocks: aws {place}"),
                CheckResult::NotChecked,
                why,
                None,
            );
            return None;
        }
    };
    clocks(
        &format!("clocks: aws {place}"),
        "AWS's clock",
        cloud.now(),
        here,
        findings,
    );
    let names = [NOBODY.to_string()];
    let nobody = format!(
        "arn:aws:ecs:{}:{account}:task-definition/{NOBODY}:1",
        cloud.region()
    );
    let deployments = cloud
        .deployment_ids(None, Some(cloud.now()))
        .await
        .map(|_| ());
    let groups = cloud.target_groups(&names).await.map(|_| ());
    let alarms = cloud.alarms(&names).await.map(|_| ());
    let mut asked = vec![
        ("codedeploy:ListDeployments", deployments),
        ("elasticloadbalancing:DescribeTargetGroups", groups),
        ("cloudwatch:DescribeAlarms", alarms),
    ];
    if let Ok(arn) = RevisionArn::parse(&nobody) {
        let revision = cloud.revision(&arn).await.map(|_| ());
        asked.push(("ecs:DescribeTaskDefinition", revision));
    }
    for (action, answer) in asked {
        let check = format!("aws {place}: {action}");
        match answer {
            Ok(()) => findings.ok(check, "Allowed."),
            // Nobody has that name, and AWS may say so.
            Err(error) if error.is_missing() => findings.ok(check, "Allowed."),
            Err(error) => refused(&check, &error, findings),
        }
    }
    Some(account)
}

fn refused(check: &str, error: &CloudError, findings: &mut Findings) {
    let what_to_do = if error.operation == switchback_cloud::ASSUME_ROLE {
        "Let Switchback's own role assume this one (docs/iam/assume-role.json), and let this one's trust policy name it and the external id of the settings (docs/iam/assume-role-trust.json)."
    } else if error.is_about_permission() {
        "Allow it, as in docs/iam/, or use other credentials."
    } else {
        "Check region, credentials and the way to AWS (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL)."
    };
    findings.add(
        check,
        CheckResult::Problem,
        error.to_string(),
        Some(what_to_do),
    );
}

fn clocks(check: &str, whose: &str, clock: Moment, machine: Moment, findings: &mut Findings) {
    let difference = clock.millis_since(machine);
    let seconds = difference.unsigned_abs().div_ceil(1000);
    let detail = match difference {
        0.. => format!("{whose} is {seconds} s ahead of this machine's."),
        _ => format!("{whose} is {seconds} s behind this machine's."),
    };
    let result = match difference.abs() {
        CLOCK_PROBLEM.. => CheckResult::Problem,
        CLOCK_WARNING.. => CheckResult::Warning,
        // AWS tells whole seconds.
        _ => CheckResult::Ok,
    };
    let what_to_do =
        (result != CheckResult::Ok).then_some("Let this machine's clock follow a time server.");
    findings.add(check, result, detail, what_to_do);
}

async fn ledger(
    config: &Config,
    asked: &Asked,
    usual: &switchback_aws::AwsSettings,
    findings: &mut Findings,
) {
    const CHECK: &str = "ledger: table";
    let Some(ledger) = run::ledger(&config.ledger, &config.aws, usual).await else {
        let result = if asked.create_ledger_table {
            CheckResult::Problem
        } else {
            CheckResult::Warning
        };
        findings.add(
            CHECK,
            result,
            "No ledger is kept: a rollback needs the database.",
            Some("Set SWITCHBACK_LEDGER_TABLE and run switchback doctor --create-ledger-table."),
        );
        return;
    };
    let ledger: Arc<dyn Ledger> = Arc::new(ledger);
    eprintln!("Looking at the ledger {}.", ledger.table());
    let mut found = ledger.inspect().await;
    let mut made = "";
    if matches!(found, Ok(None)) && asked.create_ledger_table {
        eprintln!("Making the table {}.", ledger.table());
        match ledger.create().await {
            Ok(()) => {
                made = " It was made now.";
                found = ledger.inspect().await;
            }
            Err(error) => {
                refused(CHECK, &error, findings);
                return;
            }
        }
    }
    let table = match found {
        Err(error) => {
            refused(CHECK, &error, findings);
            return;
        }
        Ok(None) => {
            findings.add(
                CHECK,
                CheckResult::Problem,
                format!("There is no table {}.", ledger.table()),
                Some("Run switchback doctor --create-ledger-table, with docs/iam/ledger-create.json."),
            );
            return;
        }
        Ok(Some(table)) => table,
    };
    if table.keys_fit {
        findings.ok(
            CHECK,
            format!("{} is {}.{made}", ledger.table(), table.status),
        );
    } else {
        findings.add(
            CHECK,
            CheckResult::Problem,
            format!(
                "The keys of {} are not the strings PK and SK.",
                ledger.table()
            ),
            Some("Name a table of Switchback's own, or one that does not exist yet."),
        );
        return;
    }
    match ledger.services().await {
        Ok(services) => findings.ok(
            "ledger: reading",
            format!("It knows {} services.", services.len()),
        ),
        Err(error) => refused("ledger: reading", &error, findings),
    }
    if table.deletion_protection {
        findings.ok("ledger: deletion protection", "On.");
    } else {
        findings.add(
            "ledger: deletion protection",
            CheckResult::Warning,
            "Off: one call removes the record that a rollback needs.",
            Some("aws dynamodb update-table --deletion-protection-enabled"),
        );
    }
    match table.point_in_time_recovery {
        Some(true) => findings.ok("ledger: point-in-time recovery", "On."),
        Some(false) => findings.add(
            "ledger: point-in-time recovery",
            CheckResult::Warning,
            "Off: what is overwritten or deleted by mistake cannot be brought back.",
            Some("aws dynamodb update-continuous-backups --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"),
        ),
        None => findings.add(
            "ledger: point-in-time recovery",
            CheckResult::NotChecked,
            "AWS does not let us see it (dynamodb:DescribeContinuousBackups).",
            None,
        ),
    }
}

fn print(asked: &Asked, findings: &[Finding]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if asked.json {
        let document = json!({ "checks": findings });
        return writeln!(out, "{document:#}");
    }
    let width = findings
        .iter()
        .map(|finding| finding.check.len())
        .max()
        .unwrap_or_default();
    for finding in findings {
        let Finding {
            check,
            result,
            detail,
            what_to_do,
        } = finding;
        writeln!(out, "{:<11}  {check:<width$}  {detail}", result.words())?;
        if let Some(what) = what_to_do {
            writeln!(out, "{:<11}  {:<width$}  -> {what}", "", "")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_are_told_with_their_direction() {
        let at = Moment::from_millis;
        let found = |clock, machine| {
            let mut findings = Findings::default();
            clocks("c", "AWS's clock", at(clock), at(machine), &mut findings);
            (findings.0[0].result, findings.0[0].detail.clone())
        };
        assert_eq!(
            found(0, 900),
            (
                CheckResult::Ok,
                "AWS's clock is 1 s behind this machine's.".to_string()
            )
        );
        assert_eq!(found(20_000, 0).0, CheckResult::Warning);
        assert_eq!(
            found(0, 400_000),
            (
                CheckResult::Problem,
                "AWS's clock is 400 s behind this machine's.".to_string()
            )
        );
    }

    #[tokio::test]
    async fn every_problem_of_the_settings_is_a_line_and_the_rest_is_not_checked() {
        let asked = Asked {
            config: None,
            json: true,
            create_ledger_table: false,
        };
        let variables = [
            ("SWITCHBACK_LISTEN", "x"),
            ("SWITCHBACK_LEDGER_TABLE", "a b"),
        ];
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        assert!(!doctor(&asked, &variables).await.unwrap());
    }
}
