//! `switchback demo` and `switchback aws-sim`: a simulated account, with or without the desk before it.
//!
//! Every start has an account of its own, with a month that is lived through before anybody looks; users and
//! token of a data folder stay the same.
//!
//! The demo writes to the database only what an administrator would: users and a token. Everything
//! else on its pages was observed in the simulated account, as it would be in a real one.

mod guide;
mod plug;
mod progress;

use crate::config::Config;
use crate::config::SignIn;
use crate::demo::guide::DemoGuide;
use crate::demo::plug::Plug;
use crate::demo::plug::Separate;
use crate::guide::Offers;
use crate::people;
use crate::people::NewToken;
use crate::people::NewUser;
use crate::run;
use crate::run::Start;
use crate::run::fill_random;
use crate::run::machine_clock;
use crate::run::write_ready_file;
use crate::site::Site;
use anyhow::Context;
use anyhow::bail;
use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use switchback_aws::AwsLedger;
use switchback_aws::AwsSettings;
use switchback_aws_sim::door;
use switchback_aws_sim::story;
use switchback_cloud::ledger::Ledger;
use switchback_control::ControlSettings;
use switchback_control::SealingSettings;
use switchback_domain::actor::Role;
use switchback_store::Store;
use tokio::net::TcpListener;

/// How often the demo's account is read while nothing moves, unless `SWITCHBACK_POLL_IDLE_MS` says otherwise.
const POLL_IDLE: Duration = Duration::from_secs(1);

/// The ledger's table in the demo's account.
const LEDGER: &str = "switchback-ledger";

/// The path at which hooks arrive.
const HOOKS: &str = "/api/v1/hooks/codedeploy";

/// The database's name in the data folder.
const DATABASE: &str = "switchback.db";

/// The list of the demo's users in the data folder.
const PEOPLE: &str = "demo.json";

/// How a demo is to run.
pub struct DemoOptions {
    /// Where the desk listens.
    pub listen: SocketAddr,
    /// Where the account listens.
    pub aws_listen: SocketAddr,
    /// Where everything is kept; a fresh temporary folder when not given.
    pub data: Option<PathBuf>,
    /// Simulated seconds each second.
    pub speed: f64,
    /// Every random choice of the account comes from it.
    pub seed: u64,
    /// Whether the account starts with nothing in it.
    pub empty: bool,
    /// Written once everything answers.
    pub ready_file: Option<PathBuf>,
}

/// How a simulated account is to run by itself.
pub struct AwsSimOptions {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Simulated seconds each second.
    pub speed: f64,
    /// Every random choice comes from it.
    pub seed: u64,
    /// Whether it starts with nothing in it.
    pub empty: bool,
    /// The complete URL that hooks are posted to.
    pub relay_url: Option<String>,
    /// The secret they are signed with.
    pub relay_secret: Option<String>,
    /// The access key and the secret that requests must be signed with; without it any signature will do.
    pub signed_with: Option<(String, String)>,
    /// Written once it answers.
    pub ready_file: Option<PathBuf>,
}

/// Who the demo's users are. Kept in the data folder, so that a second start can show them again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct People {
    users: Vec<Person>,
    api_token: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Person {
    username: String,
    password: String,
    roles: Vec<Role>,
}

/// Runs the demo until it is told to end.
pub async fn demo(
    options: DemoOptions,
    variables: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let config = demo_config(variables)?;
    let site = Site::load(&run::site_folder(config.server.site.clone())?)?;
    let data = DataFolder::prepare(options.data.as_deref())?;

    // Listened on from here, so that the address is known and nobody takes it while the account is filled.
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("could not listen on {} (--listen)", options.listen))?;
    let address = listener
        .local_addr()
        .context("could not read the listening address")?;
    let listener = listener
        .into_std()
        .context("could not hand the listening address on")?;
    let relay_secret = hex::encode(random::<32>());
    let account = door::serve(door::Options {
        listen: options.aws_listen,
        speed: options.speed,
        seed: options.seed,
        empty: options.empty,
        relay_url: Some(format!("http://{}{HOOKS}", run::reachable(address))),
        relay_secret: Some(relay_secret.clone()),
        start_ms: machine_clock()().millis(),
        progress: progress::show,
    })
    .await
    .context("could not start the simulated account (--aws-listen)")?;
    let aws_endpoint = format!("http://{}", run::reachable(account.address));
    let region = account.region;
    let regions = if options.empty {
        vec![region.to_string()]
    } else {
        story::regions()
    };

    ledger(&aws_endpoint, region)
        .await
        .create()
        .await
        .context("could not make the ledger's table in the simulated account")?;
    let aside = data.set_aside().with_context(|| {
        format!(
            "could not put the database in {} aside",
            data.folder.display()
        )
    })?;
    if let Some(aside) = aside {
        eprintln!(
            "This start has an account of its own; what the one before recorded is kept in {}.",
            aside.display()
        );
    }
    let database = format!("sqlite:{}", data.folder.join(DATABASE).display());
    let people = {
        let store = Store::open(&database)
            .await
            .context("could not open the demo's database")?;
        let people = people(&store, &data.folder).await?;
        store.close().await;
        people
    };
    let account = Arc::new(account);
    let plug = Arc::new(Plug::default());
    let guide: Arc<dyn Offers> = Arc::new(DemoGuide::new(
        account.clone(),
        plug.clone(),
        !options.empty,
        people
            .users
            .iter()
            .map(|user| user.username.clone())
            .collect(),
    ));
    let desk = Desk {
        database,
        site,
        endpoint: aws_endpoint.clone(),
        region,
        regions: regions.clone(),
        polling: ControlSettings {
            poll_active: config.polling.active,
            poll_idle: config.polling.idle,
            poll_events: config.polling.events,
        },
        relay_secret,
        guide,
    };

    let mut server = {
        let desk = desk.clone();
        Separate::start(move || desk.start(Listen::On(listener))).await?
    };
    let ended = tokio::select! {
        () = server.until_ready() => {
            let url = server.url();
            if let Some(file) = &options.ready_file {
                write_ready_file(file, &json!({
                    "url": url,
                    "aws_endpoint": aws_endpoint,
                    "region": region,
                    "regions": regions,
                    "users": people.users,
                    "api_token": people.api_token,
                }))?;
            }
            eprint!("{}", welcome(&url, &aws_endpoint, &regions, options.speed, &data, &people));
            loop {
                tokio::select! {
                    told = run::until_told() => break told,
                    () = plug.pulled() => {
                        eprintln!("The plug is pulled.");
                        server.cut();
                        tokio::time::sleep(plug::AWAY).await;
                        let desk = desk.clone();
                        server = Separate::start(move || desk.start(Listen::At(address))).await?;
                        plug.is_back();
                        eprintln!("Switchback is back.");
                    }
                }
            }
        }
        told = run::until_told() => told,
    };
    eprintln!("Ending.");
    run::at_once_when_told_again();
    let shut = server.shutdown().await;
    drop(desk);
    if let Ok(account) = Arc::try_unwrap(account) {
        account.shutdown().await;
    }
    data.clear();
    ended.and(shut)
}

/// Where the desk listens: the first time on what is held already, later at the same address again.
enum Listen {
    On(std::net::TcpListener),
    At(SocketAddr),
}

/// What the desk of a demo is started from, as often as the plug is pulled.
#[derive(Clone)]
struct Desk {
    database: String,
    site: Site,
    endpoint: String,
    /// Where the ledger's table is.
    region: &'static str,
    regions: Vec<String>,
    polling: ControlSettings,
    relay_secret: String,
    guide: Arc<dyn Offers>,
}

impl Desk {
    async fn start(self, listen: Listen) -> anyhow::Result<Start> {
        let listener = match listen {
            Listen::On(listener) => TcpListener::from_std(listener),
            Listen::At(address) => TcpListener::bind(address).await,
        };
        let listener = listener.context("could not listen for people (--listen)")?;
        let store = Store::open(&self.database)
            .await
            .context("could not open the demo's database")?;
        let aws = crate::config::Aws {
            regions: self.regions.clone(),
            watches_own_account: true,
            accounts: Vec::new(),
        };
        let clouds = run::clouds(&aws, &settings(&self.endpoint, None)).await;
        let ledger = ledger(&self.endpoint, self.region).await;
        Ok(Start {
            listener,
            public_url: None,
            site: self.site,
            store,
            clouds,
            ledger: Some(Arc::new(ledger)),
            queues: Vec::new(),
            polling: self.polling,
            sealing: SealingSettings::default(),
            relay_secret: Some(SecretString::from(self.relay_secret)),
            sign_in: SignIn::default(),
            guide: Some(self.guide),
        })
    }
}

/// How the demo's account is reached; its keys are no secret.
fn settings(endpoint: &str, region: Option<&str>) -> AwsSettings {
    AwsSettings {
        region: region.map(str::to_string),
        endpoint_url: Some(endpoint.to_string()),
        credentials: Some(("demo".to_string(), "demo".to_string())),
        role: None,
        machine_clock: machine_clock(),
    }
}

async fn ledger(endpoint: &str, region: &str) -> AwsLedger {
    AwsLedger::connect(settings(endpoint, Some(region)), LEDGER.to_string()).await
}

/// Runs a simulated account until it is told to end.
pub async fn aws_sim(options: AwsSimOptions) -> anyhow::Result<()> {
    let account = door::serve(door::Options {
        listen: options.listen,
        speed: options.speed,
        seed: options.seed,
        empty: options.empty,
        relay_url: options.relay_url,
        relay_secret: options.relay_secret,
        start_ms: machine_clock()().millis(),
        progress: progress::show,
    })
    .await?;
    let key = options
        .signed_with
        .as_ref()
        .map_or("demo", |(key, _)| key.as_str())
        .to_string();
    let secret = if options.signed_with.is_some() {
        "…"
    } else {
        "demo"
    };
    if let Some(signed_with) = options.signed_with {
        account.verify_signatures([signed_with].into());
    }
    let endpoint = format!("http://{}", run::reachable(account.address));
    if let Some(file) = &options.ready_file {
        let ready = json!({ "url": endpoint, "aws_endpoint": endpoint, "region": account.region });
        write_ready_file(file, &ready)?;
    }
    eprintln!("The simulated account answers. To use it:");
    eprintln!(
        "  export AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION={0} AWS_REGION={0}",
        account.region
    );
    eprintln!("  export AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY={secret}");
    run::until_told().await?;
    run::at_once_when_told_again();
    eprintln!("Ending.");
    account.shutdown().await;
    Ok(())
}

/// The variables that mean something to the demo: how often to read, and where the pages are.
fn demo_config(variables: &BTreeMap<String, String>) -> anyhow::Result<Config> {
    let names = [
        "SWITCHBACK_POLL_ACTIVE_MS",
        "SWITCHBACK_POLL_IDLE_MS",
        "SWITCHBACK_SITE",
    ];
    let given: BTreeMap<String, String> = names
        .iter()
        .filter_map(|name| Some((name.to_string(), variables.get(*name)?.clone())))
        .collect();
    let mut config = Config::read("", &given)?;
    if given
        .get("SWITCHBACK_POLL_IDLE_MS")
        .is_none_or(String::is_empty)
    {
        config.polling.idle = POLL_IDLE;
    }
    Ok(config)
}

/// Where the demo keeps its database.
struct DataFolder {
    folder: PathBuf,
    is_ours: bool,
}

impl DataFolder {
    fn prepare(given: Option<&Path>) -> anyhow::Result<DataFolder> {
        let (folder, is_ours) = match given {
            Some(folder) => (folder.to_path_buf(), false),
            None => {
                let name = format!("switchback-demo-{}", hex::encode(random::<6>()));
                (std::env::temp_dir().join(name), true)
            }
        };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(&folder)
            .with_context(|| format!("could not make {}", folder.display()))?;
        Ok(DataFolder { folder, is_ours })
    }

    /// Puts the database of an earlier start aside, with what SQLite keeps beside it, and says where it is now.
    ///
    /// Every start lives through a month of its own, so what an earlier start recorded is about an account
    /// that is gone: read on, it would be deployments that AWS does not know and ids that mean another one.
    fn set_aside(&self) -> std::io::Result<Option<PathBuf>> {
        let database = self.folder.join(DATABASE);
        // Without a list of the demo's users it is somebody else's, and is refused later.
        if !database.exists() || !self.folder.join(PEOPLE).exists() {
            return Ok(None);
        }
        let numbered = |number: u32| self.folder.join(format!("switchback.{number}.db"));
        let aside = (1..)
            .map(numbered)
            .find(|path| !path.exists())
            .unwrap_or_else(|| numbered(0));
        for beside in ["-wal", "-shm", ""] {
            let named = |path: &Path| {
                let mut name = path.as_os_str().to_os_string();
                name.push(beside);
                PathBuf::from(name)
            };
            let from = named(&database);
            if from.exists() {
                std::fs::rename(&from, named(&aside))?;
            }
        }
        Ok(Some(aside))
    }

    /// Removes a temporary folder; one that was named stays.
    fn clear(&self) {
        if self.is_ours
            && let Err(error) = std::fs::remove_dir_all(&self.folder)
        {
            eprintln!("could not remove {}: {error}", self.folder.display());
        }
    }
}

async fn people(store: &Store, folder: &Path) -> anyhow::Result<People> {
    let file = folder.join(PEOPLE);
    let people = match std::fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is not a demo's list of users", file.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if store.user_count().await? > 0 {
                bail!(
                    "{} has users of somebody else; give the demo a folder of its own (--data)",
                    folder.display()
                );
            }
            let people = new_people();
            let text = format!("{:#}\n", json!(people));
            run::write_private(&file, text.as_bytes())
                .with_context(|| format!("could not write {}", file.display()))?;
            people
        }
        Err(error) => {
            return Err(error).with_context(|| format!("could not read {}", file.display()));
        }
    };
    let users: Vec<NewUser> = people
        .users
        .iter()
        .map(|person: &Person| NewUser {
            username: person.username.clone(),
            password: SecretString::from(person.password.clone()),
            roles: person.roles.clone(),
        })
        .collect();
    let token = NewToken {
        name: "demo".to_string(),
        text: SecretString::from(people.api_token.clone()),
        roles: vec![Role::Admin],
    };
    people::create_first(store, &users, &[token], machine_clock()(), &fill_random)
        .await
        .context("could not make the demo's users")?;
    Ok(people)
}

fn new_people() -> People {
    let person = |username: &str, roles: &[Role]| Person {
        username: username.to_string(),
        password: readable_password(random::<12>()),
        roles: roles.to_vec(),
    };
    People {
        users: vec![
            person("dana", &[Role::Approver, Role::Operator]),
            person("otto", &[Role::Operator]),
            person("vera", &[Role::Viewer]),
            person("adam", &[Role::Admin]),
        ],
        api_token: format!("sb_{}", hex::encode(random::<24>())),
    }
}

/// `kaduri-bonefu-…`: twelve syllables of 75, about 74 bits, easy to type.
fn readable_password(bytes: [u8; 12]) -> String {
    const CONSONANTS: [char; 15] = [
        'b', 'd', 'f', 'g', 'h', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'z',
    ];
    const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];
    let mut password = String::new();
    for (index, byte) in bytes.into_iter().enumerate() {
        if index > 0 && index % 3 == 0 {
            password.push('-');
        }
        let byte = usize::from(byte);
        password.extend([CONSONANTS[byte % 15], VOWELS[byte / 15 % 5]]);
    }
    password
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

fn welcome(
    url: &str,
    aws: &str,
    regions: &[String],
    speed: f64,
    data: &DataFolder,
    people: &People,
) -> String {
    let mut text = String::new();
    let kept = if data.is_ours {
        "removed at the end"
    } else {
        "kept"
    };
    // Writing into a String does not fail.
    let _ = writeln!(text, "\n  Switchback       {url}");
    let _ = writeln!(
        text,
        "  Simulated AWS    {aws}  ({}, {speed} simulated seconds each second)",
        regions.join(" and ")
    );
    let _ = writeln!(
        text,
        "  Data             {}  ({kept})\n",
        data.folder.display()
    );
    let _ = writeln!(text, "  {:<8}  {:<27}  roles", "user", "password");
    for person in &people.users {
        let roles: Vec<&str> = person.roles.iter().map(|role| role.word()).collect();
        let _ = writeln!(
            text,
            "  {:<8}  {:<27}  {}",
            person.username,
            person.password,
            roles.join(", ")
        );
    }
    let _ = writeln!(text, "\n  API token        {}  (admin)", people.api_token);
    let _ = writeln!(text, "  Ctrl-C ends it.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_can_be_read_out() {
        assert_eq!(
            readable_password([0, 1, 2, 15, 16, 17, 74, 75, 76, 254, 255, 14]),
            "badafa-bedefe-zubada-zebiza"
        );
    }

    #[test]
    fn the_demo_reads_often_unless_told_otherwise() {
        let idle = |pairs: &[(&str, &str)]| {
            let variables = pairs
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            demo_config(&variables)
                .map(|config| config.polling.idle.as_millis())
                .ok()
        };
        assert_eq!(idle(&[("SWITCHBACK_LISTEN", "not read")]), Some(1000));
        assert_eq!(idle(&[("SWITCHBACK_POLL_IDLE_MS", "250")]), Some(250));
        assert_eq!(idle(&[("SWITCHBACK_POLL_IDLE_MS", "often")]), None);
    }

    #[tokio::test]
    async fn a_second_start_in_the_same_folder_knows_its_users() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::prepare(Some(folder.path())).unwrap();
        let url = format!("sqlite:{}", folder.path().join("switchback.db").display());
        let store = Store::open(&url).await.unwrap();
        let first = people(&store, &data.folder).await.unwrap();
        let second = people(&store, &data.folder).await.unwrap();
        assert_eq!(first, second);
        assert_eq!(
            (
                store.user_count().await.unwrap(),
                store.token_count().await.unwrap()
            ),
            (4, 1)
        );
        data.clear();
        assert!(folder.path().exists(), "a folder that was named stays");
        store.close().await;

        // The account of an earlier start is gone, and what was recorded of it does not meet the new one.
        let aside = data.set_aside().unwrap();
        assert_eq!(aside, Some(folder.path().join("switchback.1.db")));
        assert_eq!(data.set_aside().unwrap(), None);
        let anew = Store::open(&url).await.unwrap();
        assert_eq!(anew.user_count().await.unwrap(), 0);
        assert_eq!(people(&anew, &data.folder).await.unwrap(), first);
        anew.close().await;
        let aside = data.set_aside().unwrap();
        assert_eq!(aside, Some(folder.path().join("switchback.2.db")));
    }
}
