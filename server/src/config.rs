//! The settings: a TOML file, and over it the variables. All are checked at start, all problems named
//! at once, with the variable and the form its value must have; a secret's value never.

use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of `switchback serve`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where people and programs connect.
    pub server: Server,
    /// Where everything is kept.
    pub database: Database,
    /// What of AWS is watched.
    pub aws: Aws,
    /// How often AWS is read.
    pub polling: Polling,
    /// The secret shared with the hook function.
    pub relay: Relay,
    /// The first administrator.
    pub bootstrap: Bootstrap,
}

/// Where people and programs connect.
#[derive(Clone, Debug)]
pub struct Server {
    /// The address to listen on. `SWITCHBACK_LISTEN`
    pub listen: SocketAddr,
    /// The URL people use, when a proxy stands before the address. `SWITCHBACK_PUBLIC_URL`
    pub public_url: Option<http::Uri>,
    /// The folder of the pages' files; `site` beside the binary when not given. `SWITCHBACK_SITE`
    pub site: Option<PathBuf>,
}

/// Where everything is kept.
#[derive(Clone, Debug)]
pub struct Database {
    /// `sqlite:PATH` or `postgres://…`; it may hold a password. `SWITCHBACK_DATABASE_URL`
    pub url: SecretString,
}

/// What of AWS is watched. Everything else (credentials, endpoint, profile) is set as for every AWS SDK.
#[derive(Clone, Debug)]
pub struct Aws {
    /// The regions that are watched; the SDK's own (`AWS_REGION` and so on) when there are none here.
    /// `SWITCHBACK_REGIONS`
    pub regions: Vec<String>,
}

/// How often AWS is read.
#[derive(Clone, Debug)]
pub struct Polling {
    /// While a deployment is under way. `SWITCHBACK_POLL_ACTIVE_MS`
    pub active: Duration,
    /// While nothing moves. `SWITCHBACK_POLL_IDLE_MS`
    pub idle: Duration,
}

/// The secret shared with the hook function.
#[derive(Clone, Debug)]
pub struct Relay {
    /// `SWITCHBACK_RELAY_SECRET`, or the first line of the file `SWITCHBACK_RELAY_SECRET_FILE`.
    pub secret: Option<SecretString>,
}

/// The first administrator and an administrator's token, taken only while none exists.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// The name and password. `SWITCHBACK_BOOTSTRAP_USER` and `SWITCHBACK_BOOTSTRAP_PASSWORD`
    pub user: Option<(String, SecretString)>,
    /// The token. `SWITCHBACK_BOOTSTRAP_TOKEN`
    pub token: Option<SecretString>,
}

/// The file that is read when none is named and it is there.
pub const USUAL_FILE: &str = "switchback.toml";

/// Every problem of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblems(pub Vec<String>);

impl std::fmt::Display for ConfigProblems {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the settings cannot be used:")?;
        for problem in &self.0 {
            write!(formatter, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblems {}

/// The file as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    server: ServerTable,
    database: DatabaseTable,
    aws: AwsTable,
    polling: PollingTable,
    relay: RelayTable,
    bootstrap: BootstrapTable,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ServerTable {
    listen: Option<String>,
    public_url: Option<String>,
    site: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DatabaseTable {
    url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AwsTable {
    regions: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PollingTable {
    active_ms: Option<u64>,
    idle_ms: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RelayTable {
    secret: Option<String>,
    secret_file: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BootstrapTable {
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

/// Whether a value may be repeated in a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Secret,
}

/// One setting: where it may come from.
struct Setting {
    variable: &'static str,
    in_file: &'static str,
    kind: Kind,
    /// The file's value.
    given: Option<String>,
}

impl Setting {
    const fn new(
        variable: &'static str,
        in_file: &'static str,
        kind: Kind,
        given: Option<String>,
    ) -> Setting {
        Setting {
            variable,
            in_file,
            kind,
            given,
        }
    }
}

struct Reader<'a> {
    variables: &'a BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    /// The value; the variable goes before the file, and an empty one counts as not given.
    fn value(&self, setting: &Setting) -> Option<String> {
        self.variables
            .get(setting.variable)
            .cloned()
            .or_else(|| setting.given.clone())
            .filter(|value| !value.is_empty())
    }

    fn problem(&mut self, setting: &Setting, expected: &str, value: &str) {
        let Setting {
            variable, in_file, ..
        } = setting;
        let mut text = format!("{variable} ({in_file} in the file) must be {expected}");
        if setting.kind == Kind::Plain {
            // Writing into a String does not fail.
            let _ = write!(text, ", not {value:?}");
        }
        self.problems.push(text);
    }

    fn parsed<T>(
        &mut self,
        setting: &Setting,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(setting)?;
        let parsed = parse(&value);
        if parsed.is_none() {
            self.problem(setting, expected, &value);
        }
        parsed
    }
}

impl Config {
    /// Reads the file (the named one, or [`USUAL_FILE`] if it is there) and the variables.
    pub fn load(
        file: Option<&Path>,
        variables: &BTreeMap<String, String>,
    ) -> Result<Config, ConfigProblems> {
        let path = match file {
            Some(path) => Some(path),
            None => Some(Path::new(USUAL_FILE)).filter(|path| path.exists()),
        };
        let text = match path.map(|path| (path, std::fs::read_to_string(path))) {
            None => String::new(),
            Some((_, Ok(text))) => text,
            Some((path, Err(error))) => {
                return Err(ConfigProblems(vec![format!(
                    "could not read {}: {error}",
                    path.display()
                )]));
            }
        };
        Config::read(&text, variables)
    }

    /// Reads the text of a file and the variables.
    pub fn read(
        text: &str,
        variables: &BTreeMap<String, String>,
    ) -> Result<Config, ConfigProblems> {
        let mut problems = Vec::new();
        let file = toml::from_str::<File>(text).unwrap_or_else(|error| {
            // Not the whole error: it repeats the line, which may hold a secret.
            let line = error
                .span()
                .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let line = line
                .map(|line| format!(" (line {line})"))
                .unwrap_or_default();
            problems.push(format!(
                "the file is not as it must be{line}: {}",
                error.message()
            ));
            File::default()
        });
        let mut reader = Reader {
            variables,
            problems,
        };
        let server = server(&mut reader, file.server);
        let database = database(&mut reader, file.database);
        let aws = aws(&mut reader, &file.aws);
        let polling = polling(&mut reader, &file.polling);
        let relay = relay(&mut reader, file.relay);
        let bootstrap = bootstrap(&mut reader, file.bootstrap);
        if reader.problems.is_empty() {
            Ok(Config {
                server,
                database,
                aws,
                polling,
                relay,
                bootstrap,
            })
        } else {
            Err(ConfigProblems(reader.problems))
        }
    }
}

fn server(reader: &mut Reader<'_>, file: ServerTable) -> Server {
    let listen = Setting::new(
        "SWITCHBACK_LISTEN",
        "server.listen",
        Kind::Plain,
        file.listen,
    );
    let public_url = Setting::new(
        "SWITCHBACK_PUBLIC_URL",
        "server.public_url",
        Kind::Plain,
        file.public_url,
    );
    let site = Setting::new("SWITCHBACK_SITE", "server.site", Kind::Plain, file.site);
    Server {
        listen: reader
            .parsed(
                &listen,
                "an address and port such as 127.0.0.1:3000",
                |text| text.parse().ok(),
            )
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 3000))),
        public_url: reader.parsed(
            &public_url,
            "a URL such as https://switchback.example.com",
            |text| {
                let url: http::Uri = text.parse().ok()?;
                let fine = matches!(url.scheme_str(), Some("http" | "https"))
                    && url.authority().is_some()
                    && matches!(url.path(), "" | "/");
                fine.then_some(url)
            },
        ),
        site: reader.value(&site).map(PathBuf::from),
    }
}

fn database(reader: &mut Reader<'_>, file: DatabaseTable) -> Database {
    let url = Setting::new(
        "SWITCHBACK_DATABASE_URL",
        "database.url",
        Kind::Secret,
        file.url,
    );
    let expected = "sqlite:PATH or a postgres:// URL";
    let url = reader.parsed(&url, expected, |text| {
        let known = ["sqlite:", "postgres:", "postgresql:"];
        known
            .iter()
            .any(|scheme| {
                text.strip_prefix(scheme)
                    .is_some_and(|rest| !rest.is_empty())
            })
            .then(|| SecretString::from(text.to_string()))
    });
    Database {
        url: url.unwrap_or_else(|| SecretString::from("sqlite:switchback.db")),
    }
}

fn aws(reader: &mut Reader<'_>, file: &AwsTable) -> Aws {
    let regions = Setting::new(
        "SWITCHBACK_REGIONS",
        "aws.regions",
        Kind::Plain,
        Some(file.regions.join(",")),
    );
    let expected = "AWS regions with commas between, each once, such as eu-central-1,us-east-1";
    let regions = reader.parsed(&regions, expected, |text| {
        let regions: Vec<String> = text
            .split(',')
            .map(|name| name.trim().to_string())
            .collect();
        let sound = |name: &String| {
            name.contains('-')
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        let each_once = regions
            .iter()
            .enumerate()
            .all(|(index, name)| !regions[..index].contains(name));
        (regions.iter().all(sound) && each_once).then_some(regions)
    });
    Aws {
        regions: regions.unwrap_or_default(),
    }
}

fn polling(reader: &mut Reader<'_>, file: &PollingTable) -> Polling {
    let mut interval = |variable, in_file, given: Option<u64>, usual| {
        let setting = Setting::new(
            variable,
            in_file,
            Kind::Plain,
            given.map(|given| given.to_string()),
        );
        let expected = "a number of milliseconds from 50 to 3600000";
        let millis = reader.parsed(&setting, expected, |text| {
            text.parse::<u64>()
                .ok()
                .filter(|millis| (50..=3_600_000).contains(millis))
        });
        Duration::from_millis(millis.unwrap_or(usual))
    };
    Polling {
        active: interval(
            "SWITCHBACK_POLL_ACTIVE_MS",
            "polling.active_ms",
            file.active_ms,
            1000,
        ),
        idle: interval(
            "SWITCHBACK_POLL_IDLE_MS",
            "polling.idle_ms",
            file.idle_ms,
            30_000,
        ),
    }
}

fn relay(reader: &mut Reader<'_>, file: RelayTable) -> Relay {
    let secret = Setting::new(
        "SWITCHBACK_RELAY_SECRET",
        "relay.secret",
        Kind::Secret,
        file.secret,
    );
    let secret_file = Setting::new(
        "SWITCHBACK_RELAY_SECRET_FILE",
        "relay.secret_file",
        Kind::Plain,
        file.secret_file,
    );
    let direct = reader.value(&secret);
    let Some(path) = reader.value(&secret_file) else {
        return Relay {
            secret: direct.map(SecretString::from),
        };
    };
    if direct.is_some() {
        reader.problems.push(
            "SWITCHBACK_RELAY_SECRET and SWITCHBACK_RELAY_SECRET_FILE are both given; give one"
                .to_string(),
        );
    }
    let read = std::fs::read_to_string(&path).ok();
    let line = read
        .and_then(|text| text.lines().next().map(str::to_string))
        .filter(|line| !line.is_empty());
    if line.is_none() {
        reader.problem(
            &secret_file,
            "a readable file whose first line is the secret",
            &path,
        );
    }
    Relay {
        secret: line.map(SecretString::from),
    }
}

fn bootstrap(reader: &mut Reader<'_>, file: BootstrapTable) -> Bootstrap {
    let user = Setting::new(
        "SWITCHBACK_BOOTSTRAP_USER",
        "bootstrap.user",
        Kind::Plain,
        file.user,
    );
    let password = Setting::new(
        "SWITCHBACK_BOOTSTRAP_PASSWORD",
        "bootstrap.password",
        Kind::Secret,
        file.password,
    );
    let token = Setting::new(
        "SWITCHBACK_BOOTSTRAP_TOKEN",
        "bootstrap.token",
        Kind::Secret,
        file.token,
    );
    let name = reader.parsed(
        &user,
        "a name of 1 to 100 visible characters without a colon",
        |text| {
            let fine = text.chars().count() <= 100
                && text.chars().all(|character| {
                    !character.is_whitespace() && !character.is_control() && character != ':'
                });
            fine.then(|| text.to_string())
        },
    );
    let password = reader.value(&password).map(SecretString::from);
    let user = match (name, password) {
        (Some(name), Some(password)) => Some((name, password)),
        (None, None) => None,
        (Some(_), None) => {
            reader.problems.push(
                "SWITCHBACK_BOOTSTRAP_USER is given without SWITCHBACK_BOOTSTRAP_PASSWORD"
                    .to_string(),
            );
            None
        }
        (None, Some(_)) if reader.value(&user).is_none() => {
            reader.problems.push(
                "SWITCHBACK_BOOTSTRAP_PASSWORD is given without SWITCHBACK_BOOTSTRAP_USER"
                    .to_string(),
            );
            None
        }
        (None, Some(_)) => None,
    };
    let token = reader.parsed(&token, "visible ASCII characters without spaces", |text| {
        let fine = text.bytes().all(|byte| byte.is_ascii_graphic());
        fine.then(|| SecretString::from(text.to_string()))
    });
    Bootstrap { user, token }
}

/// Variables that look like ours and are not, in a sentence; orchestrators add some by themselves, so
/// they are told and not refused.
pub fn unknown_variables(variables: &BTreeMap<String, String>) -> Vec<&str> {
    const KNOWN: [&str; 12] = [
        "SWITCHBACK_LISTEN",
        "SWITCHBACK_PUBLIC_URL",
        "SWITCHBACK_SITE",
        "SWITCHBACK_DATABASE_URL",
        "SWITCHBACK_REGIONS",
        "SWITCHBACK_POLL_ACTIVE_MS",
        "SWITCHBACK_POLL_IDLE_MS",
        "SWITCHBACK_RELAY_SECRET",
        "SWITCHBACK_RELAY_SECRET_FILE",
        "SWITCHBACK_BOOTSTRAP_USER",
        "SWITCHBACK_BOOTSTRAP_PASSWORD",
        "SWITCHBACK_BOOTSTRAP_TOKEN",
    ];
    variables
        .keys()
        .map(String::as_str)
        .filter(|name| name.starts_with("SWITCHBACK_") && !KNOWN.contains(name))
        .collect()
}

/// The secret's bytes are compared and signed with, never shown.
impl Relay {
    /// Whether hooks can be checked.
    pub fn is_configured(&self) -> bool {
        self.secret
            .as_ref()
            .is_some_and(|secret| !secret.expose_secret().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    #[test]
    fn nothing_given_is_a_desk_on_this_machine() {
        let config = Config::read("", &BTreeMap::new()).unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(config.database.url.expose_secret(), "sqlite:switchback.db");
        assert_eq!(
            (
                config.polling.active.as_millis(),
                config.polling.idle.as_millis()
            ),
            (1000, 30_000)
        );
        assert!(!config.relay.is_configured());
        assert!(config.bootstrap.user.is_none() && config.bootstrap.token.is_none());
    }

    #[test]
    fn variables_go_before_the_file() {
        let text = "[server]\nlisten = '0.0.0.0:80'\n[polling]\nidle_ms = 100\nactive_ms = 200\n[relay]\nsecret = 'file'\n";
        let given = variables(&[
            ("SWITCHBACK_POLL_IDLE_MS", "300"),
            ("SWITCHBACK_RELAY_SECRET", "variable"),
        ]);
        let config = Config::read(text, &given).unwrap();
        assert_eq!(config.server.listen.to_string(), "0.0.0.0:80");
        assert_eq!(
            (
                config.polling.active.as_millis(),
                config.polling.idle.as_millis()
            ),
            (200, 300)
        );
        assert_eq!(config.relay.secret.unwrap().expose_secret(), "variable");
    }

    #[test]
    fn regions_are_named_once_each() {
        let regions = |text: &str, pairs: &[(&str, &str)]| {
            Config::read(text, &variables(pairs)).map(|config| config.aws.regions)
        };
        assert_eq!(regions("", &[]).unwrap(), Vec::<String>::new());
        let file = "[aws]\nregions = ['eu-central-1', 'us-east-1']\n";
        assert_eq!(regions(file, &[]).unwrap(), ["eu-central-1", "us-east-1"]);
        let given = [("SWITCHBACK_REGIONS", "us-west-2, eu-west-1")];
        assert_eq!(regions(file, &given).unwrap(), ["us-west-2", "eu-west-1"]);
        for wrong in [
            "eu-west-1,",
            "eu-west-1,eu-west-1",
            "Frankfurt",
            "eu west 1",
        ] {
            let problems = regions("", &[("SWITCHBACK_REGIONS", wrong)]).unwrap_err();
            let expected = format!(
                "SWITCHBACK_REGIONS (aws.regions in the file) must be AWS regions with commas between, \
                 each once, such as eu-central-1,us-east-1, not {wrong:?}"
            );
            assert_eq!(problems.0, [expected]);
        }
    }

    #[test]
    fn all_problems_at_once_and_no_secret_among_them() {
        let given = variables(&[
            ("SWITCHBACK_LISTEN", "3000"),
            ("SWITCHBACK_PUBLIC_URL", "switchback.example.com"),
            ("SWITCHBACK_DATABASE_URL", "mysql://root:hunter2@db"),
            ("SWITCHBACK_POLL_ACTIVE_MS", "soon"),
            ("SWITCHBACK_POLL_IDLE_MS", "0"),
            ("SWITCHBACK_RELAY_SECRET", "hunter2"),
            ("SWITCHBACK_RELAY_SECRET_FILE", "/nonexistent/secret"),
            ("SWITCHBACK_BOOTSTRAP_PASSWORD", "hunter2"),
            ("SWITCHBACK_BOOTSTRAP_TOKEN", "hunter2 hunter2"),
        ]);
        let text = "[server]\nlisten = '0.0.0.0:80'\n[relay]\nsekret = 'hunter2'\n";
        let problems = Config::read(text, &given).unwrap_err();
        let expected = [
            "the file is not as it must be (line 4)",
            "SWITCHBACK_LISTEN (server.listen in the file) must be an address and port such as 127.0.0.1:3000, not \"3000\"",
            "SWITCHBACK_PUBLIC_URL (server.public_url in the file) must be a URL such as https://switchback.example.com, not \"switchback.example.com\"",
            "SWITCHBACK_DATABASE_URL (database.url in the file) must be sqlite:PATH or a postgres:// URL",
            "SWITCHBACK_POLL_ACTIVE_MS (polling.active_ms in the file) must be a number of milliseconds from 50 to 3600000, not \"soon\"",
            "SWITCHBACK_POLL_IDLE_MS (polling.idle_ms in the file) must be a number of milliseconds from 50 to 3600000, not \"0\"",
            "SWITCHBACK_RELAY_SECRET and SWITCHBACK_RELAY_SECRET_FILE are both given; give one",
            "SWITCHBACK_RELAY_SECRET_FILE (relay.secret_file in the file) must be a readable file whose first line is the secret, not \"/nonexistent/secret\"",
            "SWITCHBACK_BOOTSTRAP_PASSWORD is given without SWITCHBACK_BOOTSTRAP_USER",
            "SWITCHBACK_BOOTSTRAP_TOKEN (bootstrap.token in the file) must be visible ASCII characters without spaces",
        ];
        assert_eq!(problems.0.len(), expected.len(), "{problems}");
        for (problem, expected) in problems.0.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}");
        }
        assert!(
            problems.0[0].contains("unknown field `sekret`"),
            "{problems}"
        );
        let shown = format!(
            "{problems} {:?}",
            Config::read("", &variables(&[("SWITCHBACK_RELAY_SECRET", "hunter2")]))
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_secret_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "s3cret\n").unwrap();
        let given = variables(&[("SWITCHBACK_RELAY_SECRET_FILE", path.to_str().unwrap())]);
        let config = Config::read("", &given).unwrap();
        assert_eq!(config.relay.secret.unwrap().expose_secret(), "s3cret");
    }

    #[test]
    fn a_variable_that_is_not_ours_is_told() {
        let given = variables(&[
            ("SWITCHBACK_POL_IDLE_MS", "1"),
            ("SWITCHBACK_LISTEN", "x"),
            ("HOME", "/"),
        ]);
        assert_eq!(unknown_variables(&given), ["SWITCHBACK_POL_IDLE_MS"]);
    }
}
