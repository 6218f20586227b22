//! What a run costs, read from `/proc/self`, and the table that it is told in.

use std::fmt::Display;
use std::time::Duration;

use crate::caller::Failure;

/// The name of the account's threads.
pub const ACCOUNT: &str = "account";
/// The name of the desk's threads.
pub const DESK: &str = "desk";

/// Processor time of this process so far, in seconds, and its memory, in MiB.
pub struct Usage {
    pub account: f64,
    pub desk: f64,
    pub memory: f64,
    pub most_memory: f64,
}

impl Usage {
    pub fn now() -> Result<Usage, Failure> {
        let (mut account, mut desk) = (0.0, 0.0);
        for thread in std::fs::read_dir("/proc/self/task")? {
            // A thread may end while the others are read.
            let Ok(stat) = std::fs::read_to_string(thread?.path().join("stat")) else {
                continue;
            };
            // The name stands in parentheses; fields 14 and 15 are user and system time in ticks of 10 ms.
            let Some((head, rest)) = stat.rsplit_once(')') else {
                continue;
            };
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
            let seconds = (ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default()) / 100.0;
            match head.split_once('(').map(|(_, name)| name) {
                // The main thread works for the desk.
                Some(DESK | "load") => desk += seconds,
                _ => account += seconds,
            }
        }
        let status = std::fs::read_to_string("/proc/self/status")?;
        let memory = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            let kib = number.and_then(|text| text.parse::<f64>().ok());
            kib.unwrap_or_default() / 1024.0
        };
        Ok(Usage {
            account,
            desk,
            memory: memory("VmRSS:"),
            most_memory: memory("VmHWM:"),
        })
    }
}

/// The processor time of the thread that asks, which does not grow while others have the processor.
pub fn of_this_thread() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let on_processor = stat.split_whitespace().next().unwrap_or_default();
    Ok(Duration::from_nanos(on_processor.parse()?))
}

/// The value that this share of the sorted values does not exceed, in milliseconds.
pub fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).map_or(0.0, Duration::as_secs_f64) * 1000.0
}

/// What was measured, in the order in which it is told.
#[derive(Default)]
pub struct Table(Vec<(String, String)>);

impl Table {
    pub fn row(&mut self, what: impl Display, value: impl Display) {
        self.0.push((what.to_string(), value.to_string()));
    }

    pub fn rows(&self) -> &[(String, String)] {
        &self.0
    }
}
