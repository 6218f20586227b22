//! What the account costs with many services: `cargo run --release -p switchback-aws-sim --example load --
//! [--services N] [--deploying N] [--speed N] [--seconds N] [--stepped yes]`.
//!
//! It makes the services ([`fleet`]) through the door: CodeDeploy's blue/green and each strategy of ECS, every one
//! with its load balancer's listener, target groups, traffic and alarm, some with hooks. As many as are asked for
//! deploy at any time: whoever is done makes room for the next. Every nineteenth deployment is of a bad image,
//! which an alarm stops. Meanwhile somebody asks over HTTP as a control plane does ([`desk`]): every deployment
//! under way once a second, every service each half minute, and events from a queue.
//!
//! On stdout is a table: whether simulated time kept up with the wall, and how much processor and memory that took.
//! The account and the desk have threads of their own, so that what each costs is told apart. With `--stepped yes`
//! time is pushed by as much as passes between two looks, instead of running: what the same span costs in processor
//! time can then be read on a machine that is busy with something else. Linux only: it reads `/proc/self`.

mod caller;
mod desk;
mod figures;
mod fleet;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use switchback_aws_sim::door::{Options, Running, serve};
use tokio::runtime::{Builder, Runtime};

use crate::caller::{Caller, Failure};
use crate::desk::Desk;
use crate::figures::{Table, Usage, quantile};
use crate::fleet::Fleet;

/// How often the desk asks a part of what it asks each second, on the wall clock.
const SLICE: Duration = Duration::from_millis(20);
/// How many slices a second has.
const SLICES: usize = 50;
/// How often the account is asked what time it is.
const PROBE: Duration = Duration::from_millis(50);
/// How often progress is told on stderr, and how much memory there was is kept.
const TELL_EVERY: usize = 10;

/// What to measure.
pub struct Wanted {
    services: usize,
    deploying: usize,
    speed: f64,
    seconds: usize,
    stepped: bool,
}

impl Wanted {
    fn read() -> Result<Wanted, Failure> {
        let mut wanted = Wanted {
            services: 2_000,
            deploying: 200,
            speed: 60.0,
            seconds: 60,
            stepped: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or(format!("{name} needs a value"))?;
            match name.as_str() {
                "--services" => wanted.services = value.parse()?,
                "--deploying" => wanted.deploying = value.parse()?,
                "--speed" => wanted.speed = value.parse()?,
                "--stepped" => wanted.stepped = value == "yes",
                "--seconds" => wanted.seconds = value.parse()?,
                _ => return Err(format!("there is no option {name}").into()),
            }
        }
        if wanted.deploying > wanted.services / 2 {
            return Err("at most half of the services can deploy at once".into());
        }
        Ok(wanted)
    }
}

/// Threads with a name of their own, by which [`Usage`] tells them apart.
fn runtime(name: &str, threads: usize) -> Result<Runtime, Failure> {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(threads)
        .thread_name(name)
        .enable_all();
    Ok(builder.build()?)
}

/// What asks the account for its time until told to stop.
struct Probe {
    stop: Arc<AtomicBool>,
    /// What it was answered last.
    now_ms: Arc<AtomicI64>,
    /// How long each answer took, which is how late it was.
    late: JoinHandle<Vec<Duration>>,
}

impl Probe {
    /// Whatever the account does for the answers counts as its own, by the name of the thread.
    fn begin(running: Arc<Running>) -> Result<Probe, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let now_ms = Arc::new(AtomicI64::new(running.now_ms()));
        let (stopped, last) = (stop.clone(), now_ms.clone());
        let asking = std::thread::Builder::new().name("probe".to_string());
        let late = asking.spawn(move || {
            let mut late = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(PROBE);
                let begun = Instant::now();
                last.store(running.now_ms(), Ordering::Relaxed);
                late.push(begun.elapsed());
            }
            late
        })?;
        Ok(Probe { stop, now_ms, late })
    }
}

fn main() -> Result<(), Failure> {
    let wanted = Wanted::read()?;
    let account = runtime(figures::ACCOUNT, 2)?;
    let asking = runtime(figures::DESK, 1)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the wiring hands the machine's time to the simulation"
    )]
    let now = SystemTime::now();
    let options = Options {
        listen: "127.0.0.1:0".parse()?,
        speed: 0.0,
        seed: 1,
        empty: true,
        relay_url: None,
        relay_secret: None,
        start_ms: i64::try_from(now.duration_since(UNIX_EPOCH)?.as_millis())?,
        progress: |_| {},
    };
    let running = Arc::new(account.block_on(serve(options))?);
    let measured = asking.block_on(measure(&wanted, running.clone(), &account));
    account.block_on(async {
        if let Some(running) = Arc::into_inner(running) {
            running.shutdown().await;
        }
    });
    let mut out = std::io::stdout().lock();
    for (what, value) in measured?.rows() {
        writeln!(out, "| {what} | {value} |")?;
    }
    Ok(())
}

/// Lets simulated time pass on the account's own threads, for what it costs to be counted there: how much processor
/// time it took.
async fn pass(
    account: &Runtime,
    running: &Arc<Running>,
    seconds: f64,
) -> Result<Duration, Failure> {
    let running = running.clone();
    let took = account.spawn(async move {
        let before = figures::of_this_thread()?;
        running.advance(seconds)?;
        Ok::<_, Failure>(figures::of_this_thread()?.saturating_sub(before))
    });
    took.await?
}

async fn measure(
    wanted: &Wanted,
    running: Arc<Running>,
    account: &Runtime,
) -> Result<Table, Failure> {
    let caller = Caller::new(running.endpoint());
    let begun = Instant::now();
    let fleet = Fleet::build(&caller, wanted.services).await?;
    let building = begun.elapsed();
    eprintln!(
        "{} services after {building:.1?}, {:.0} MiB",
        wanted.services,
        Usage::now()?.memory
    );
    // Every task is up and well before anything is measured.
    let starting = pass(account, &running, 900.0).await?;
    eprintln!(
        "a quarter of an hour in which all of them start took {starting:.1?} of processor time, {:.0} MiB",
        Usage::now()?.memory
    );
    let mut desk = Desk::new(caller, fleet);
    desk.begin(wanted.deploying).await?;
    // The deployments are as far apart as they will stay, and what they leave behind is what it will be.
    for _ in 0..20 {
        pass(account, &running, 60.0).await?;
        desk.look_at_deployments().await?;
    }
    eprintln!("{} deployments ended before the measuring", desk.ended());
    desk.forget_figures();

    let probe = Probe::begin(running.clone())?;
    let (before, simulated, wall) = (Usage::now()?, running.now_ms(), Instant::now());
    if !wanted.stepped {
        running.set_speed(wanted.speed)?;
    }
    let mut steps = Vec::new();
    let mut memory = Vec::new();
    let mut next = wall;
    for second in 0..wanted.seconds {
        let mut questions = desk.questions(second, probe.now_ms.load(Ordering::Relaxed));
        for slice in 0..SLICES {
            if wanted.stepped {
                steps.push(pass(account, &running, SLICE.as_secs_f64() * wanted.speed).await?);
            } else {
                next += SLICE;
                tokio::time::sleep_until(next.into()).await;
            }
            let share = questions.len().div_ceil(SLICES - slice);
            desk.ask(questions.drain(..share.min(questions.len())).collect())
                .await?;
            if slice % 5 == 0 {
                desk.receive().await?;
            }
        }
        desk.go_on().await?;
        if second % TELL_EVERY == 0 {
            let used = Usage::now()?;
            eprintln!(
                "{second} s: {:.0} MiB, {} deployments ended, the account took {:.0} % of a core",
                used.memory,
                desk.ended(),
                (used.account - before.account) / wall.elapsed().as_secs_f64() * 100.0,
            );
            memory.push(used.memory);
        }
    }
    let elapsed = wall.elapsed().as_secs_f64();
    let passed = (running.now_ms() - simulated) as f64 / 1000.0;
    let after = Usage::now()?;
    probe.stop.store(true, Ordering::Relaxed);
    let mut late = probe.late.join().map_err(|_| "the probe ended early")?;

    let mut table = Table::default();
    table.row("services", wanted.services);
    table.row("deploying at once", wanted.deploying);
    table.row(
        "time",
        format!(
            "{passed:.0} simulated s in {elapsed:.1} s, asked for speed {}",
            wanted.speed
        ),
    );
    // At this speed, a stepped run stands for this many seconds.
    let real = passed / wanted.speed;
    for (whose, seconds) in [
        ("the account", after.account - before.account),
        ("the desk, in the same process", after.desk - before.desk),
    ] {
        table.row(
            format!("processor of {whose}"),
            format!(
                "{seconds:.1} s for {real:.1} s at this speed: {:.0} % of a core",
                seconds / real * 100.0
            ),
        );
    }
    steps.sort_unstable();
    if !steps.is_empty() {
        table.row(
            format!(
                "processor time of a step of {:.1} simulated s",
                SLICE.as_secs_f64() * wanted.speed
            ),
            quantiles(&steps),
        );
    }
    late.sort_unstable();
    table.row("how late the account's present is", quantiles(&late));
    let asked = desk.asked_for();
    table.row(
        "answers over HTTP",
        format!(
            "{:.0} a second, {}",
            asked.len() as f64 / real,
            quantiles(&asked)
        ),
    );
    table.row(
        "resident memory with the desk",
        format!(
            "{:.0} MiB, at most {:.0} MiB",
            after.memory, after.most_memory
        ),
    );
    if let [first, .., last] = memory[..] {
        let deployments = desk.ended().max(1) as f64;
        table.row(
            "memory's growth",
            format!(
                "{:.1} KiB each deployment",
                (last - first) * 1024.0 / deployments
            ),
        );
    }
    table.row("deployments that ended", desk.outcomes());
    table.row("events that arrived", desk.events());
    table.row("making the services", format!("{building:.1?}"));
    table.row(
        "a quarter of an hour in which all start",
        format!("{starting:.1?} of processor time"),
    );
    Ok(table)
}

fn quantiles(sorted: &[Duration]) -> String {
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        quantile(sorted, 0.5),
        quantile(sorted, 0.99),
        quantile(sorted, 1.0)
    )
}
