//! Starting and ending the server: the only place where everything meets, and the only one that
//! reads the machine's clock and randomness.

use crate::Deps;
use crate::MomentSource;
use crate::Wiring;
use crate::config::Config;
use crate::config::SignIn;
use crate::desk::ConsolesHandle;
use crate::guide::Offers;
use crate::health;
use crate::oidc::Provider;
use crate::people;
use crate::people::NewToken;
use crate::people::NewUser;
use crate::router;
use crate::site::Site;
use crate::telemetry;
use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use axum::serve::ListenerExt;
use rand::TryRngCore;
use rand::rngs::OsRng;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use std::future::Future;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;
use switchback_aws::AwsAccount;
use switchback_aws::AwsEventQueue;
use switchback_aws::AwsLedger;
use switchback_aws::AwsSettings;
use switchback_cloud::Cloud;
use switchback_cloud::events::EventQueue;
use switchback_cloud::ledger::Ledger;
use switchback_control::Control;
use switchback_control::ControlSettings;
use switchback_control::SealingSettings;
use switchback_control::supervise::keep_running;
use switchback_domain::actor::Role;
use switchback_domain::moment::Moment;
use switchback_store::Store;
use switchback_store::StoreError;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long requests may take to end once the server was told to.
const ENDING_LIMIT: Duration = Duration::from_secs(10);

/// How long calls to AWS that are in the air may take to be answered and recorded: longer than the longest call
/// (10 s), and with the rest shorter than the 30 s after which orchestrators kill.
const WORK_LIMIT: Duration = Duration::from_secs(20);

/// A look that is older is a sign that its watcher stands still: at least so old, and three idle intervals.
const SHORTEST_LOOK_LIMIT: Duration = Duration::from_secs(5 * 60);

/// How often what was counted is folded into its buckets when nobody reads /metrics.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How often it is asked whether everything answers.
const READY_INTERVAL: Duration = Duration::from_millis(20);

/// How often ended sessions are deleted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// The machine's clock.
pub fn machine_clock() -> MomentSource {
    Arc::new(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the wiring hands the machine's time to everybody else"
        )]
        let now = SystemTime::now();
        let millis = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis());
        Moment::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    })
}

/// Fills with the system's randomness.
#[expect(
    clippy::expect_used,
    reason = "without the system's randomness no password, token or session is safe"
)]
pub fn fill_random(bytes: &mut [u8]) {
    OsRng
        .try_fill_bytes(bytes)
        .expect("the system gives random bytes");
}

/// What a server is started with.
pub struct Start {
    /// Where it listens, already bound.
    pub listener: TcpListener,
    /// The URL that people use, when it is not the listening address.
    pub public_url: Option<http::Uri>,
    /// The pages' files.
    pub site: Site,
    /// The store.
    pub store: Store,
    /// The accounts and regions.
    pub clouds: Vec<Arc<dyn Cloud>>,
    /// Where what a rollback needs is kept a second time.
    pub ledger: Option<Arc<dyn Ledger>>,
    /// Where their events are read.
    pub queues: Vec<Arc<dyn EventQueue>>,
    /// How often they are read.
    pub polling: ControlSettings,
    /// How the audit log is sealed and kept.
    pub sealing: SealingSettings,
    /// The secret of hooks.
    pub relay_secret: Option<SecretString>,
    /// How people sign in.
    pub sign_in: SignIn,
    /// What a demo offers to try.
    pub guide: Option<Arc<dyn Offers>>,
}

/// A server that runs.
pub struct Running {
    /// Where it answers, for people: `http://127.0.0.1:3000`.
    pub url: String,
    deps: Deps,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    http: JoinHandle<std::io::Result<()>>,
}

/// Starts. Requests are answered from the moment this returns; AWS is looked at in the background.
pub fn start(start: Start) -> anyhow::Result<Running> {
    let address = start
        .listener
        .local_addr()
        .context("could not read the listening address")?;
    let url = match &start.public_url {
        Some(url) => url.to_string().trim_end_matches('/').to_string(),
        None => format!("http://{}", reachable(address)),
    };
    // From here on everything is counted.
    telemetry::numbers();
    let stop = CancellationToken::new();
    let random = Arc::new(|| {
        let mut bytes = [0; 8];
        fill_random(&mut bytes);
        bytes
    });
    let watches = !start.clouds.is_empty();
    let control = Control::new(
        start.store.clone(),
        start.clouds,
        start.polling,
        machine_clock(),
        random,
    );
    if let Some(ledger) = start.ledger {
        control.keep_ledger(ledger);
    }
    control.read_events(start.queues);
    control.seal_as(start.sealing);
    let consoles: ConsolesHandle = Arc::new(control.clone());
    let provider = start
        .sign_in
        .oidc
        .clone()
        .map(|oidc| Provider::new(oidc, machine_clock()).map(Arc::new))
        .transpose()?;
    let deps = Deps::new(Wiring {
        consoles: consoles.clone(),
        store: start.store.clone(),
        site: start.site,
        relay_secret: start.relay_secret,
        public_url: start.public_url,
        sign_in: start.sign_in,
        provider,
        watches,
        look_limit: SHORTEST_LOOK_LIMIT.max(start.polling.longest() * 3),
        guide: start.guide,
        clock: machine_clock(),
        stop: stop.clone(),
    });
    let application = router(deps.clone()).into_make_service_with_connect_info::<SocketAddr>();
    // Events are small and must not wait for more to send.
    let listener = start.listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let stopped = stop.clone();
    let http = tokio::spawn(async move {
        axum::serve(listener, application)
            .with_graceful_shutdown(async move { stopped.cancelled().await })
            .await
    });
    let tasks = vec![
        kept_running("change feed", &stop, {
            let (deps, consoles, stop) = (deps.clone(), consoles, stop.clone());
            move || {
                let (deps, consoles, stop) = (deps.clone(), consoles.clone(), stop.clone());
                async move {
                    let now = || deps.now();
                    deps.feed.run(deps.store.clone(), consoles, now, stop).await;
                }
            }
        }),
        kept_running("sweeping", &stop, {
            let (deps, stop) = (deps.clone(), stop.clone());
            move || sweep(deps.clone(), stop.clone())
        }),
        kept_running("hearing other processes", &stop, {
            let (deps, stop) = (deps.clone(), stop.clone());
            move || {
                let (store, stop) = (deps.store.clone(), stop.clone());
                async move {
                    stop.run_until_cancelled(store.hear_other_processes()).await;
                }
            }
        }),
        tokio::spawn(upkeep(stop.clone())),
        tokio::spawn({
            let stop = stop.clone();
            async move { control.run(stop).await }
        }),
    ];
    Ok(Running {
        url,
        deps,
        stop,
        tasks,
        http,
    })
}

impl Running {
    /// Waits until the database answers and AWS was looked at, or it is known why not.
    pub async fn until_ready(&self) {
        while !health::readiness(&self.deps).await.ready {
            tokio::time::sleep(READY_INTERVAL).await;
        }
    }

    /// Ends everything: no new requests, event streams closed with a hint when to come back, and calls to AWS that
    /// are in the air awaited and their answers recorded. What takes longer than its limit is cut; an operation
    /// that is cut is looked up at AWS by the next start.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.stop.cancel();
        let mut http = self.http;
        let work = async {
            for task in self.tasks {
                if let Err(error) = task.await {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a background task ended early"
                    );
                }
            }
        };
        let (worked, ended) = tokio::join!(
            tokio::time::timeout(WORK_LIMIT, work),
            tokio::time::timeout(ENDING_LIMIT, &mut http),
        );
        if worked.is_err() {
            tracing::warn!(
                "background work was still running after {} s and was cut; the next start asks AWS what became of it",
                WORK_LIMIT.as_secs()
            );
        }
        self.deps.store.close().await;
        match ended {
            Ok(result) => result
                .context("the server ended early")?
                .context("the server could not go on listening"),
            Err(_) => {
                tracing::warn!(
                    "requests were still running after {} s and were cut",
                    ENDING_LIMIT.as_secs()
                );
                http.abort();
                Ok(())
            }
        }
    }
}

fn kept_running<F: Future<Output = ()> + Send + 'static>(
    task: &'static str,
    stop: &CancellationToken,
    begin: impl Fn() -> F + Send + Sync + 'static,
) -> JoinHandle<()> {
    let stop = stop.clone();
    tokio::spawn(async move { keep_running(task, stop, begin).await })
}

async fn upkeep(stop: CancellationToken) {
    while tokio::time::timeout(UPKEEP_INTERVAL, stop.cancelled())
        .await
        .is_err()
    {
        telemetry::numbers().run_upkeep();
    }
}

async fn sweep(deps: Deps, stop: CancellationToken) {
    let mut sweeps = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = sweeps.tick() => {}
        }
        let forgotten = async {
            let mut tx = deps.store.begin().await?;
            tx.session_forget(deps.now()).await?;
            tx.commit().await
        };
        if let Err(error) = forgotten.await {
            let error: StoreError = error;
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "ended sessions could not be deleted"
            );
        }
    }
}

/// An address that a browser on this machine can use, also when every address is listened on.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// `site` beside the binary, unless another folder is given.
pub fn site_folder(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(folder) = given {
        return Ok(folder);
    }
    let binary = std::env::current_exe().context("could not find out where the binary is")?;
    Ok(binary.parent().unwrap_or(Path::new(".")).join("site"))
}

/// `switchback serve --check`: everything that `serve` needs before AWS, found out without changing anything.
/// All problems at once.
pub async fn check(config: &Config) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    let mut note = |problem: Option<anyhow::Error>| {
        problems.extend(problem.map(|problem| format!("{problem:#}")));
    };
    note(
        site_folder(config.server.site.clone())
            .and_then(|folder| Ok(Site::load(&folder)?))
            .err(),
    );
    note(bound(config.server.listen).await.err());
    note(database_problem(config.database.url.expose_secret()).await);
    if problems.is_empty() {
        Ok(())
    } else {
        bail!(
            "switchback serve cannot start:\n  {}",
            problems.join("\n  ")
        )
    }
}

/// Why the database could not be used; `None` when it can, or when it is a SQLite file that will be made.
async fn database_problem(url: &str) -> Option<anyhow::Error> {
    if let Some(path) = Store::new_file(url) {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        return folder
            .filter(|folder| !folder.is_dir())
            .map(|folder| anyhow!("there is no folder {} for the database", folder.display()));
    }
    let found = async {
        let store = Store::open_to_read(url).await?;
        let schema = store.schema().await;
        store.close().await;
        schema?.usable()
    };
    found
        .await
        .err()
        .map(|error| anyhow::Error::new(error).context(OPENING_DATABASE))
}

const OPENING_DATABASE: &str = "could not open the database (SWITCHBACK_DATABASE_URL)";

async fn bound(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "another program listens on {listen} already; end it or choose another address with SWITCHBACK_LISTEN"
            ),
            std::io::ErrorKind::AddrNotAvailable => format!(
                "{listen} is no address of this machine; choose another with SWITCHBACK_LISTEN"
            ),
            std::io::ErrorKind::PermissionDenied => format!(
                "this user may not listen on {listen}; choose a port from 1024 on with SWITCHBACK_LISTEN"
            ),
            _ => format!("could not listen on {listen} (SWITCHBACK_LISTEN)"),
        };
        anyhow::Error::new(error).context(why)
    })
}

/// `switchback serve`: runs until it is told to end.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let site = Site::load(&site_folder(config.server.site)?)?;
    let listener = bound(config.server.listen).await?;
    let store = Store::open(config.database.url.expose_secret())
        .await
        .context(OPENING_DATABASE)?;
    let schema = store.schema().await?;
    if !schema.ahead.is_empty() {
        tracing::warn!(
            migrations = ?schema.ahead,
            "a newer version of Switchback has added to the database's schema; this version works with it"
        );
    }
    bootstrap(&store, config.bootstrap).await?;
    let usual = usual_settings();
    let clouds = clouds(&config.aws, &usual).await;
    let ledger = ledger(&config.ledger, &config.aws, &usual).await;
    if ledger.is_none() {
        tracing::warn!(
            "no ledger is kept (SWITCHBACK_LEDGER_TABLE): a rollback needs this database"
        );
    }
    if !config.relay.is_configured() {
        tracing::warn!("no relay secret is set (SWITCHBACK_RELAY_SECRET): hooks are refused");
    }
    let queues = queues(&config.events, &config.aws, &usual).await;
    let running = start(Start {
        listener,
        public_url: config.server.public_url,
        site,
        store,
        clouds,
        ledger: ledger.map(|ledger| Arc::new(ledger) as Arc<dyn Ledger>),
        polling: ControlSettings {
            poll_active: config.polling.active,
            poll_idle: config.polling.idle,
            poll_events: config.polling.events,
        },
        queues,
        sealing: config.audit.sealing,
        relay_secret: config.relay.secret,
        sign_in: config.sign_in,
        guide: None,
    })?;
    eprintln!("Switchback answers at {}", running.url);
    until_told().await?;
    eprintln!("Ending. A second signal ends at once.");
    at_once_when_told_again();
    running.shutdown().await
}

/// Everything as the AWS SDK finds it.
pub fn usual_settings() -> AwsSettings {
    AwsSettings {
        region: None,
        endpoint_url: None,
        credentials: None,
        role: None,
        machine_clock: machine_clock(),
    }
}

/// The ledger's table, in the first region that is watched, if one is named.
pub async fn ledger(
    ledger: &crate::config::Ledger,
    aws: &crate::config::Aws,
    usual: &AwsSettings,
) -> Option<AwsLedger> {
    let table = ledger.table.clone()?;
    let settings = AwsSettings {
        region: aws.regions.first().cloned().or(usual.region.clone()),
        ..usual.clone()
    };
    Some(AwsLedger::connect(settings, table).await)
}

/// The queues of events. One whose URL names no region lies in the first that is watched.
pub async fn queues(
    events: &crate::config::Events,
    aws: &crate::config::Aws,
    usual: &AwsSettings,
) -> Vec<Arc<dyn EventQueue>> {
    let settings = AwsSettings {
        region: aws.regions.first().cloned().or(usual.region.clone()),
        ..usual.clone()
    };
    let mut queues: Vec<Arc<dyn EventQueue>> = Vec::new();
    for url in &events.queue_urls {
        queues.push(Arc::new(
            AwsEventQueue::connect(settings.clone(), url.clone()).await,
        ));
    }
    queues
}

/// One adapter for each account and region: first those of the account of the credentials themselves, in the region of
/// `usual`, or the SDK's own, when none is named; then those of each further account. Nothing is asked of AWS yet.
pub async fn clouds(aws: &crate::config::Aws, usual: &AwsSettings) -> Vec<Arc<dyn Cloud>> {
    let mut clouds = Vec::new();
    if aws.watches_own_account {
        connect(&mut clouds, &aws.regions, usual).await;
    }
    for account in &aws.accounts {
        let settings = AwsSettings {
            role: Some(account.role.clone()),
            ..usual.clone()
        };
        let regions = match account.regions.is_empty() {
            true => &aws.regions,
            false => &account.regions,
        };
        connect(&mut clouds, regions, &settings).await;
    }
    clouds
}

async fn connect(clouds: &mut Vec<Arc<dyn Cloud>>, regions: &[String], usual: &AwsSettings) {
    if regions.is_empty() {
        clouds.push(Arc::new(AwsAccount::connect(usual.clone()).await));
    }
    for region in regions {
        let settings = AwsSettings {
            region: Some(region.clone()),
            ..usual.clone()
        };
        clouds.push(Arc::new(AwsAccount::connect(settings).await));
    }
}

async fn bootstrap(store: &Store, given: crate::config::Bootstrap) -> anyhow::Result<()> {
    let roles = vec![Role::Admin];
    let users: Vec<NewUser> = given
        .user
        .map(|(username, password)| NewUser {
            username,
            password,
            roles: roles.clone(),
        })
        .into_iter()
        .collect();
    let tokens: Vec<NewToken> = given
        .token
        .map(|text| NewToken {
            name: "bootstrap".to_string(),
            text,
            roles,
        })
        .into_iter()
        .collect();
    let now = machine_clock()();
    let (users, tokens) = people::create_first(store, &users, &tokens, now, &fill_random)
        .await
        .context("could not make the first administrator")?;
    if users > 0 {
        tracing::info!("the first administrator was made");
    }
    if tokens > 0 {
        tracing::info!("the first administrator's token was made");
    }
    if store.user_count().await? == 0 {
        tracing::warn!(
            "there is no user: set SWITCHBACK_BOOTSTRAP_USER and SWITCHBACK_BOOTSTRAP_PASSWORD"
        );
    }
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
pub async fn until_told() -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::SignalKind;
        use tokio::signal::unix::signal;
        let mut terminate =
            signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result.context("could not listen for Ctrl-C"),
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c()
        .await
        .context("could not listen for Ctrl-C")
}

/// From now on a signal ends the process as it is, with exit code 1. What was in the air is found again at the next
/// start, as after a power cut.
pub fn at_once_when_told_again() {
    tokio::spawn(async {
        if until_told().await.is_ok() {
            eprintln!("Ended at once.");
            std::process::exit(1);
        }
    });
}

/// Writes a ready file: whole or not at all, so that whoever waits for it never reads half of it.
pub fn write_ready_file(file: &Path, ready: &serde_json::Value) -> anyhow::Result<()> {
    let written = || {
        let mut name = file.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.new", std::process::id()));
        let new = file.with_file_name(name);
        write_private(&new, format!("{ready:#}\n").as_bytes())?;
        std::fs::rename(&new, file)
    };
    written().with_context(|| format!("could not write {}", file.display()))
}

/// Writes a file that only its owner can read: passwords are in it.
pub fn write_private(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(file)?;
    opened.write_all(bytes)?;
    opened.sync_all()
}
