//! The campaign: everything that acts on AWS, under every fault, at every boundary of
//! *intent → call → confirm*. docs/faults.md draws the boundaries and tells what is injected.
//!
//! Nothing in the product takes part. Faults come from the simulated account, from a door between it and
//! the product, from a lock on the database and a limit on its files, and from kill −9. Which boundary a
//! death hit is read from the database and the account's journal afterwards, and a campaign in which one
//! was never hit has failed.
//!
//! | variable | what | unless told |
//! |---|---|---|
//! | `FAULTS_RUNS` | how many runs | 50 |
//! | `FAULTS_SEED` | where all choices come from | 1 |
//! | `FAULTS_FIRST` | the number of the first run | 0 |
//! | `FAULTS_SITES` | sites side by side | 4 |
//! | `FAULTS_REPORT` | a file for the table and every run | none |

mod crew;
mod database;
mod proxy;
mod report;
mod run;
mod site;
mod table;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use tokio::runtime::Runtime;

use crate::campaign::report::Report;
use crate::campaign::run::Record;
use crate::campaign::site::Site;
use crate::campaign::table::Run;

/// How many runs share a site. More make its account larger, fewer make more starts.
const RUNS_OF_A_SITE: usize = 7;

/// From so many runs on every boundary must have been hit.
const RUNS_THAT_SHOW_ALL: u64 = 50;

fn setting(name: &str, unless_told: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")),
        Err(_) => unless_told,
    }
}

#[derive(Default)]
struct Results {
    records: Vec<Record>,
    failed: Vec<Run>,
}

#[test]
fn every_intent_has_one_effect_under_every_fault() {
    let seed = setting("FAULTS_SEED", 1);
    let first = setting("FAULTS_FIRST", 0);
    let count = setting("FAULTS_RUNS", RUNS_THAT_SHOW_ALL);
    let begun = Instant::now();
    let runs: Vec<Run> = (first..first + count)
        .map(|number| Run::of(seed, number))
        .collect();
    let waiting: Vec<Vec<Run>> = runs.chunks(RUNS_OF_A_SITE).map(<[Run]>::to_vec).collect();
    let waiting = Arc::new(Mutex::new(waiting));
    let results = Arc::new(Mutex::new(Results::default()));
    let mut sites = Vec::new();
    for _ in 0..setting("FAULTS_SITES", 4) {
        let (waiting, results) = (waiting.clone(), results.clone());
        // A thread and a runtime for each: a run that fails unwinds its own site and no other.
        sites.push(std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            loop {
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some(runs) = next else { return };
                at_one_site(&runtime, runs, &results);
            }
        }));
    }
    for site in sites {
        site.join().expect("a site's thread tells its failures");
    }
    let results = Arc::into_inner(results)
        .expect("all sites have ended")
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let report = Report::of(seed, results.records);
    let text = report.text(begun.elapsed());
    eprintln!("{text}");
    if let Some(path) = std::env::var_os("FAULTS_REPORT") {
        report.write(path.as_ref(), &text);
    }
    let failed: Vec<String> = results
        .failed
        .iter()
        .map(|run| {
            format!(
                "{}\n    again: cargo xtask bench faults --seed {} --first {} --runs 1",
                run.name(),
                run.seed,
                run.number
            )
        })
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {count} runs failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    if count >= RUNS_THAT_SHOW_ALL {
        assert_eq!(report.never_hit(), [""; 0], "never hit in {count} runs");
    }
}

/// Carries the runs out one after the other at one site; after a failure the rest get a new one.
fn at_one_site(runtime: &Runtime, mut runs: Vec<Run>, results: &Mutex<Results>) {
    while !runs.is_empty() {
        let built = caught(|| runtime.block_on(Site::build(&runs)));
        let Some(mut site) = built else {
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.failed.append(&mut runs);
            return;
        };
        while !runs.is_empty() {
            let run = runs.remove(0);
            // The site goes along, so that it is dropped, and tells its log, while a failure unwinds.
            let done = caught(move || {
                let record = runtime.block_on(run::carry_out(&mut site, &run));
                (site, record)
            });
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((back, record)) = done else {
                eprintln!("FAILED: {}", run.name());
                results.failed.push(run);
                break;
            };
            site = back;
            results.records.push(record);
        }
    }
}

/// What the work gives; `None` when it panicked, which has told why.
fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).ok()
}
