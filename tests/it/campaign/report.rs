//! What came of a campaign, as the table of docs/faults.md.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::campaign::run::Boundary;
use crate::campaign::run::Record;
use crate::campaign::table::Fault;

/// All records of a campaign.
pub struct Report {
    seed: u64,
    records: Vec<Record>,
}

impl Report {
    pub fn of(seed: u64, mut records: Vec<Record>) -> Report {
        records.sort_by_key(|record| record.number);
        Report { seed, records }
    }

    /// The boundaries at which no process died.
    pub fn never_hit(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for boundary in Boundary::ALL {
            if !self
                .records
                .iter()
                .any(|record| record.died_at.contains(&boundary))
            {
                missing.push(format!("a death at {}", word(&boundary)));
            }
        }
        missing
    }

    /// The tables, in Markdown.
    pub fn text(&self, took: Duration) -> String {
        let mut text = format!(
            "{} runs of seed {} in {:.0} s: {} calls, {} effects.\n\n",
            self.records.len(),
            self.seed,
            took.as_secs_f64(),
            self.records
                .iter()
                .map(|record| record.calls)
                .sum::<usize>(),
            self.records
                .iter()
                .map(|record| record.effects)
                .sum::<usize>(),
        );
        text.push_str("| died at | deaths | effects before, or because of what was found after |\n|---|---|---|\n");
        for boundary in Boundary::ALL {
            let of: Vec<&Record> = self
                .records
                .iter()
                .filter(|record| record.died_at.contains(&boundary))
                .collect();
            let effects: usize = of.iter().map(|record| record.effects).sum();
            let _ = writeln!(text, "| {} | {} | {effects} |", word(&boundary), of.len());
        }
        text.push_str(
            "\n| fault | runs | calls | effects | unknown when it was over | known after, seconds: p50, max |\n\
             |---|---|---|---|---|---|\n",
        );
        let mut faults = Fault::ALL.to_vec();
        faults.sort();
        for fault in faults {
            let of: Vec<&Record> = self
                .records
                .iter()
                .filter(|record| record.fault == fault)
                .collect();
            if of.is_empty() {
                continue;
            }
            let mut known: Vec<u64> = of.iter().map(|record| record.known_after_ms).collect();
            known.sort_unstable();
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {:.1}, {:.1} |",
                word(&fault),
                of.len(),
                of.iter().map(|record| record.calls).sum::<usize>(),
                of.iter().map(|record| record.effects).sum::<usize>(),
                of.iter().filter(|record| record.was_unknown).count(),
                known[(known.len() - 1) / 2] as f64 / 1000.0,
                known[known.len() - 1] as f64 / 1000.0,
            );
        }
        text
    }

    /// Writes the tables and every record, for whoever wants to count otherwise.
    pub fn write(&self, path: &Path, text: &str) {
        let records: Vec<String> = self
            .records
            .iter()
            .map(|record| json!(record).to_string())
            .collect();
        let whole = format!("{text}\n```json\n{}\n```\n", records.join("\n"));
        std::fs::write(path, whole).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// The serialized word with spaces.
fn word<T: serde::Serialize>(value: &T) -> String {
    json!(value).as_str().unwrap_or_default().replace('_', " ")
}
