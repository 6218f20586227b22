//! The settings: a TOML file, and over it the variables. All are checked at start, all problems named
//! at once, with the variable and the form its value must have; a secret's value never.
//!
//! [`SETTINGS`] is the list of them; `docs/configuration.md` is held to it by a test.

mod audit;

mod oidc;
mod sign_in;
#[cfg(test)]
mod tests;

pub use self::oidc::Oidc;
pub use self::oidc::is_safe_url;
pub use self::sign_in::SignIn;
use crate::accounts;
use crate::accounts::AccountSetting;
pub use crate::config::audit::Audit;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use switchback_store::Store;

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
    /// Where what a rollback needs is kept a second time.
    pub ledger: Ledger,
    /// Where AWS's events are read.
    pub events: Events,
    /// The secret shared with the hook function.
    pub relay: Relay,
    /// How the audit log is sealed and kept.
    pub audit: Audit,
    /// The first administrator.
    pub bootstrap: Bootstrap,
    /// How people sign in.
    pub sign_in: SignIn,
    /// How the log is written.
    pub log: LogForm,
}

/// How the log is written. `SWITCHBACK_LOG`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogForm {
    /// For people: a line each, coloured on a terminal.
    #[default]
    Text,
    /// For programs: a JSON object each.
    Json,
}

impl LogForm {
    /// By its word.
    pub fn from_word(word: &str) -> Option<LogForm> {
        match word {
            "text" => Some(LogForm::Text),
            "json" => Some(LogForm::Json),
            _ => None,
        }
    }
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
    /// Whether the account of Switchback's own credentials is watched: not with the word `none` for its regions.
    pub watches_own_account: bool,
    /// Further accounts. `SWITCHBACK_ACCOUNTS`
    pub accounts: Vec<AccountSetting>,
}

/// How often AWS is read.
#[derive(Clone, Debug)]
pub struct Polling {
    /// While a deployment is under way. `SWITCHBACK_POLL_ACTIVE_MS`
    pub active: Duration,
    /// While nothing moves. `SWITCHBACK_POLL_IDLE_MS`
    pub idle: Duration,
    /// While nothing moves and events arrive. `SWITCHBACK_POLL_EVENTS_MS`
    pub events: Duration,
}

/// Where AWS's events are read.
#[derive(Clone, Debug)]
pub struct Events {
    /// The URLs of SQS queues that EventBridge's rules put events into. `SWITCHBACK_EVENTS_QUEUE_URL`
    pub queue_urls: Vec<String>,
}

/// Where what a rollback needs is kept a second time, outside of the database.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The DynamoDB table, in the first region that is watched; without it no ledger is kept.
    /// `SWITCHBACK_LEDGER_TABLE`
    pub table: Option<String>,
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

/// The word in place of regions that leaves the account of Switchback's own credentials alone.
const NO_REGIONS: &str = "none";

/// The file that is read when none is named and it is there.
pub const USUAL_FILE: &str = "switchback.toml";

/// Whether a value may be repeated in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It may.
    Plain,
    /// It may not. A secret may also stand in the first line of a file: the variable and the file's key
    /// with `_FILE` and `_file` after them name it.
    Secret,
}

/// One setting: where it may come from.
#[derive(Debug)]
pub struct Setting {
    /// The variable.
    pub variable: &'static str,
    /// The table and key of the file.
    pub in_file: &'static str,
    /// Whether its value may be repeated.
    pub kind: Kind,
}

const fn plain(variable: &'static str, in_file: &'static str) -> Setting {
    Setting {
        variable,
        in_file,
        kind: Kind::Plain,
    }
}

const fn secret(variable: &'static str, in_file: &'static str) -> Setting {
    Setting {
        variable,
        in_file,
        kind: Kind::Secret,
    }
}

const LISTEN: Setting = plain("SWITCHBACK_LISTEN", "server.listen");
const PUBLIC_URL: Setting = plain("SWITCHBACK_PUBLIC_URL", "server.public_url");
const SITE: Setting = plain("SWITCHBACK_SITE", "server.site");
const DATABASE_URL: Setting = secret("SWITCHBACK_DATABASE_URL", "database.url");
const REGIONS: Setting = plain("SWITCHBACK_REGIONS", "aws.regions");
const ACCOUNTS: Setting = plain("SWITCHBACK_ACCOUNTS", "accounts");
const POLL_ACTIVE: Setting = plain("SWITCHBACK_POLL_ACTIVE_MS", "polling.active_ms");
const POLL_IDLE: Setting = plain("SWITCHBACK_POLL_IDLE_MS", "polling.idle_ms");
const POLL_EVENTS: Setting = plain("SWITCHBACK_POLL_EVENTS_MS", "polling.events_ms");
const EVENTS_QUEUE_URL: Setting = plain("SWITCHBACK_EVENTS_QUEUE_URL", "events.queue_url");
const LEDGER_TABLE: Setting = plain("SWITCHBACK_LEDGER_TABLE", "ledger.table");
const RELAY_SECRET: Setting = secret("SWITCHBACK_RELAY_SECRET", "relay.secret");
const BOOTSTRAP_USER: Setting = plain("SWITCHBACK_BOOTSTRAP_USER", "bootstrap.user");
const BOOTSTRAP_PASSWORD: Setting = secret("SWITCHBACK_BOOTSTRAP_PASSWORD", "bootstrap.password");
const BOOTSTRAP_TOKEN: Setting = secret("SWITCHBACK_BOOTSTRAP_TOKEN", "bootstrap.token");
const LOG: Setting = plain("SWITCHBACK_LOG", "log.form");

/// All of them.
pub const SETTINGS: &[Setting] = &[
    LISTEN,
    PUBLIC_URL,
    SITE,
    DATABASE_URL,
    REGIONS,
    ACCOUNTS,
    POLL_ACTIVE,
    POLL_IDLE,
    POLL_EVENTS,
    EVENTS_QUEUE_URL,
    LEDGER_TABLE,
    RELAY_SECRET,
    audit::KEY,
    audit::CHECKPOINT_ENTRIES,
    audit::CHECKPOINT_MINUTES,
    audit::KEEP_DAYS,
    BOOTSTRAP_USER,
    BOOTSTRAP_PASSWORD,
    BOOTSTRAP_TOKEN,
    sign_in::LOCAL,
    sign_in::SESSION_IDLE,
    sign_in::SESSION_ABSOLUTE,
    sign_in::STEP_UP,
    sign_in::STEP_UP_TOKENS,
    oidc::ISSUER,
    oidc::CLIENT_ID,
    oidc::CLIENT_SECRET,
    oidc::SCOPES,
    oidc::NAME_CLAIM,
    oidc::GROUPS_CLAIM,
    oidc::ROLES,
    oidc::EMAIL_DOMAINS,
    oidc::LABEL,
    LOG,
];

impl Setting {
    /// The variable that names a file with the secret.
    pub fn file_variable(&self) -> String {
        format!("{}_FILE", self.variable)
    }

    fn is_variable(&self, name: &str) -> bool {
        name == self.variable || self.kind == Kind::Secret && name == self.file_variable()
    }

    fn is_key(&self, key: &str) -> bool {
        let file = key.strip_suffix("_file");
        key == self.in_file || self.kind == Kind::Secret && file == Some(self.in_file)
    }
}

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

/// The values of a file by table and key, as a variable would give them; with every key that is not a
/// setting, and every value of a wrong kind, told with its line.
fn values_of(text: &str, problems: &mut Vec<String>) -> BTreeMap<String, String> {
    let line_of = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let mut values = BTreeMap::new();
    let tables = match toml::de::DeTable::parse(text) {
        Ok(tables) => tables.into_inner(),
        Err(error) => {
            // Not the whole error: it repeats the line, which may hold a secret.
            let line = error
                .span()
                .map(|span| format!(" (line {})", line_of(span.start)))
                .unwrap_or_default();
            let message = error.message();
            problems.push(format!("the file is not as it must be{line}: {message}"));
            return values;
        }
    };
    for (name, table) in tables {
        let at = line_of(name.span().start);
        let name = name.into_inner();
        if name == ACCOUNTS.in_file {
            match accounts::json_of(table.into_inner()) {
                Some(list) => {
                    values.insert(name.into_owned(), list);
                }
                None => problems.push(format!(
                    "line {at} of the file: accounts must be tables, each under [[accounts]], of texts and lists of texts"
                )),
            }
            continue;
        }
        let toml::de::DeValue::Table(table) = table.into_inner() else {
            problems.push(format!(
                "line {at} of the file: {name} stands outside the tables; there is no such setting"
            ));
            continue;
        };
        for (key, value) in table {
            let at = line_of(key.span().start);
            let key = format!("{name}.{}", key.into_inner());
            if !SETTINGS.iter().any(|setting| setting.is_key(&key)) {
                problems.push(format!(
                    "line {at} of the file: {key} is not a setting{}",
                    nearest(&key)
                ));
                continue;
            }
            match plain_value(value.into_inner()) {
                Some(value) => {
                    values.insert(key, value);
                }
                None => problems.push(format!(
                    "line {at} of the file: {key} must be a text, a whole number or a list of texts"
                )),
            }
        }
    }
    values
}

/// A value as a variable would give it.
fn plain_value(value: toml::de::DeValue<'_>) -> Option<String> {
    use toml::de::DeValue;
    match value {
        DeValue::String(text) => Some(text.into_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<String>> = items
                .into_iter()
                .map(|item| match item.into_inner() {
                    DeValue::String(text) => Some(text.into_owned()),
                    _ => None,
                })
                .collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

/// The setting that was probably meant.
fn nearest(key: &str) -> String {
    let key_alone = |key: &str| key.split_once('.').map(|(_, key)| key.to_string());
    let alike = |setting: &&Setting| {
        let shared = setting
            .in_file
            .chars()
            .zip(key.chars())
            .take_while(|(one, other)| one == other)
            .count();
        key_alone(setting.in_file) == key_alone(key) || shared + 3 >= setting.in_file.len()
    };
    SETTINGS
        .iter()
        .find(alike)
        .map(|setting| format!("; is {} meant?", setting.in_file))
        .unwrap_or_default()
}

struct Reader<'a> {
    variables: &'a BTreeMap<String, String>,
    in_file: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    /// The value; the variable goes before the file, and an empty one counts as not given.
    fn value(&self, setting: &Setting) -> Option<String> {
        let given = |value: &&String| !value.is_empty();
        self.variables
            .get(setting.variable)
            .filter(given)
            .or_else(|| self.in_file.get(setting.in_file).filter(given))
            .cloned()
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
        let value = match setting.kind {
            Kind::Plain => self.value(setting),
            Kind::Secret => self.secret(setting),
        }?;
        let parsed = parse(&value);
        if parsed.is_none() {
            self.problem(setting, expected, &value);
        }
        parsed
    }

    /// The secret itself, or the first line of the file that is named for it.
    fn secret(&mut self, setting: &Setting) -> Option<String> {
        let (file_variable, file_key) =
            (setting.file_variable(), format!("{}_file", setting.in_file));
        let direct = self.value(setting);
        let given = |value: &&String| !value.is_empty();
        let path = self
            .variables
            .get(&file_variable)
            .filter(given)
            .or_else(|| self.in_file.get(&file_key).filter(given))
            .cloned();
        let Some(path) = path else {
            return direct;
        };
        if direct.is_some() {
            self.problems.push(format!(
                "{} and {file_variable} are both given; give one",
                setting.variable
            ));
        }
        let why = match std::fs::read_to_string(&path) {
            Ok(text) => match text.lines().next().filter(|line| !line.is_empty()) {
                Some(line) => return Some(line.to_string()),
                None => "its first line is empty".to_string(),
            },
            Err(error) => error.to_string(),
        };
        self.problems.push(format!(
            "{file_variable} ({file_key} in the file) must be a readable file whose first line is the secret, \
             not {path:?}: {why}"
        ));
        None
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
        let in_file = values_of(text, &mut problems);
        let mut reader = Reader {
            variables,
            in_file,
            problems,
        };
        let config = Config {
            server: server(&mut reader),
            database: database(&mut reader),
            aws: aws(&mut reader),
            polling: polling(&mut reader),
            events: events(&mut reader),
            ledger: ledger(&mut reader),
            relay: relay(&mut reader),
            audit: audit::read(&mut reader),
            bootstrap: bootstrap(&mut reader),
            sign_in: sign_in::read(&mut reader),
            log: log(&mut reader),
        };
        if reader.problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigProblems(reader.problems))
        }
    }
}

fn server(reader: &mut Reader<'_>) -> Server {
    Server {
        listen: reader
            .parsed(
                &LISTEN,
                "an address and port such as 127.0.0.1:3000",
                |text| text.parse().ok(),
            )
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 3000))),
        public_url: reader.parsed(
            &PUBLIC_URL,
            "a URL such as https://switchback.example.com",
            |text| {
                let url: http::Uri = text.parse().ok()?;
                let fine = matches!(url.scheme_str(), Some("http" | "https"))
                    && url.authority().is_some()
                    && matches!(url.path(), "" | "/");
                fine.then_some(url)
            },
        ),
        site: reader.value(&SITE).map(PathBuf::from),
    }
}

fn database(reader: &mut Reader<'_>) -> Database {
    let url = reader.secret(&DATABASE_URL);
    if let Some(url) = &url
        && let Err(error) = Store::check_url(url)
    {
        let Setting {
            variable, in_file, ..
        } = DATABASE_URL;
        // The driver's words name the part that is wrong and repeat no password.
        let why = std::error::Error::source(&error)
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        reader.problems.push(format!(
            "{variable} ({in_file} in the file) must be sqlite:PATH or a postgres:// URL{why}"
        ));
    }
    Database {
        url: SecretString::from(url.unwrap_or_else(|| "sqlite:switchback.db".to_string())),
    }
}

fn aws(reader: &mut Reader<'_>) -> Aws {
    let expected =
        "AWS regions with commas between, each once, such as eu-central-1,us-east-1, or none";
    let regions = reader.parsed(&REGIONS, expected, |text| match text {
        NO_REGIONS => Some(Vec::new()),
        _ => accounts::regions_of(text.split(',')),
    });
    let watches_own_account = reader.value(&REGIONS).as_deref() != Some(NO_REGIONS);
    let regions = regions.unwrap_or_default();
    let accounts = match reader.value(&ACCOUNTS) {
        None => Vec::new(),
        Some(list) => accounts::read(&list, &regions).unwrap_or_else(|problems| {
            let Setting {
                variable, in_file, ..
            } = ACCOUNTS;
            reader.problems.extend(
                problems
                    .into_iter()
                    .map(|problem| format!("{variable} ({in_file} in the file), {problem}")),
            );
            Vec::new()
        }),
    };
    if !watches_own_account && accounts.is_empty() && reader.value(&ACCOUNTS).is_none() {
        reader.problems.push(
            "SWITCHBACK_REGIONS (aws.regions in the file) is none, and SWITCHBACK_ACCOUNTS (accounts in the file) names \
             no account: nothing would be watched"
                .to_string(),
        );
    }
    Aws {
        regions,
        watches_own_account,
        accounts,
    }
}

fn polling(reader: &mut Reader<'_>) -> Polling {
    let mut interval = |setting: &Setting, usual| {
        let expected = "a number of milliseconds from 50 to 3600000";
        let millis = reader.parsed(setting, expected, |text| {
            text.parse::<u64>()
                .ok()
                .filter(|millis| (50..=3_600_000).contains(millis))
        });
        Duration::from_millis(millis.unwrap_or(usual))
    };
    Polling {
        active: interval(&POLL_ACTIVE, 1000),
        idle: interval(&POLL_IDLE, 30_000),
        events: interval(&POLL_EVENTS, 300_000),
    }
}

fn events(reader: &mut Reader<'_>) -> Events {
    let expected = "URLs of SQS queues with commas between, each once, such as \
                    https://sqs.eu-central-1.amazonaws.com/123456789012/switchback-events";
    let urls = reader.parsed(&EVENTS_QUEUE_URL, expected, |text| {
        let urls: Vec<String> = text.split(',').map(|url| url.trim().to_string()).collect();
        let sound = |url: &String| {
            url.parse::<http::Uri>().is_ok_and(|url| {
                let names = url.path().split('/').filter(|name| !name.is_empty());
                matches!(url.scheme_str(), Some("http" | "https"))
                    && names.count() >= 2
                    && url.query().is_none()
                    // FIFO queues are no targets of what EventBridge itself tells.
                    && !url.path().ends_with(".fifo")
            })
        };
        let each_once = urls
            .iter()
            .enumerate()
            .all(|(index, url)| !urls[..index].contains(url));
        (urls.iter().all(sound) && each_once).then_some(urls)
    });
    Events {
        queue_urls: urls.unwrap_or_default(),
    }
}

fn ledger(reader: &mut Reader<'_>) -> Ledger {
    let expected =
        "the name of a DynamoDB table: 3 to 255 letters, digits, dots, hyphens and underscores";
    Ledger {
        table: reader.parsed(&LEDGER_TABLE, expected, |text| {
            let sound = (3..=255).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            sound.then(|| text.to_string())
        }),
    }
}

fn relay(reader: &mut Reader<'_>) -> Relay {
    Relay {
        secret: reader.secret(&RELAY_SECRET).map(SecretString::from),
    }
}

fn log(reader: &mut Reader<'_>) -> LogForm {
    reader
        .parsed(&LOG, "json or text", LogForm::from_word)
        .unwrap_or_default()
}

fn bootstrap(reader: &mut Reader<'_>) -> Bootstrap {
    let name = reader.parsed(
        &BOOTSTRAP_USER,
        "a name of 1 to 100 visible characters without a colon",
        |text| {
            let fine = text.chars().count() <= 100
                && text.chars().all(|character| {
                    !character.is_whitespace() && !character.is_control() && character != ':'
                });
            fine.then(|| text.to_string())
        },
    );
    let password = reader.secret(&BOOTSTRAP_PASSWORD).map(SecretString::from);
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
        (None, Some(_)) if reader.value(&BOOTSTRAP_USER).is_none() => {
            reader.problems.push(
                "SWITCHBACK_BOOTSTRAP_PASSWORD is given without SWITCHBACK_BOOTSTRAP_USER"
                    .to_string(),
            );
            None
        }
        (None, Some(_)) => None,
    };
    let token = reader.parsed(
        &BOOTSTRAP_TOKEN,
        "visible ASCII characters without spaces",
        |text| {
            let fine = text.bytes().all(|byte| byte.is_ascii_graphic());
            fine.then(|| SecretString::from(text.to_string()))
        },
    );
    Bootstrap { user, token }
}

/// Variables that look like ours and are not, in a sentence; orchestrators add some by themselves, so
/// they are told and not refused.
pub fn unknown_variables(variables: &BTreeMap<String, String>) -> Vec<&str> {
    variables
        .keys()
        .map(String::as_str)
        .filter(|name| {
            name.starts_with("SWITCHBACK_")
                && !SETTINGS.iter().any(|setting| setting.is_variable(name))
        })
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
