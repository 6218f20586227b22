//! Figures, and the tables that show them.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use serde_json::json;

/// What one bench found.
pub struct Report {
    /// The bench's name.
    pub bench: &'static str,
    /// What it was measured with, in a few sentences.
    pub setting: Vec<String>,
    /// The tables.
    pub tables: Vec<Table>,
}

/// A table: words and numbers as they are read.
#[derive(Serialize)]
pub struct Table {
    /// What it is about.
    pub title: String,
    /// The heads of the columns.
    pub columns: Vec<String>,
    /// The rows, each as long as the heads.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Without rows.
    pub fn new(title: &str, columns: &[&str]) -> Table {
        Table {
            title: title.to_string(),
            columns: columns.iter().map(|column| (*column).to_string()).collect(),
            rows: Vec::new(),
        }
    }

    /// One more row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let under: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, _)| if index == 0 { "---" } else { "--:" }.to_string())
            .collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!(
            "**{}**\n\n{}{}{rows}",
            self.title,
            line(&self.columns),
            line(&under)
        )
    }

    fn text(&self) -> String {
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .map(|cell| cell.chars().count())
            .collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: &[String]| {
            let mut line = String::new();
            for (index, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                let space = " ".repeat(width - cell.chars().count());
                if index == 0 {
                    line.push_str(&format!("  {cell}{space}"));
                } else {
                    line.push_str(&format!("  {space}{cell}"));
                }
            }
            format!("{}\n", line.trim_end())
        };
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}\n{}{rows}", self.title, line(&self.columns))
    }
}

impl Report {
    /// For a terminal.
    pub fn text(&self, machine: &[(String, String)], load_after: &str) -> String {
        let mut text = format!("\nbench {}\n", self.bench);
        for (name, value) in machine {
            text.push_str(&format!("  {name}: {value}\n"));
        }
        text.push_str(&format!("  load afterwards: {load_after}\n"));
        for sentence in &self.setting {
            text.push_str(&format!("  {sentence}\n"));
        }
        for table in &self.tables {
            text.push_str(&format!("\n{}", table.text()));
        }
        text
    }

    /// For programs; `markdown` is what the documentation shows.
    pub fn json(&self, machine: &[(String, String)], load_after: &str) -> Value {
        let described: Vec<String> = machine
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let mut markdown = format!("{}; load afterwards: {load_after}.\n", described.join("; "));
        for sentence in &self.setting {
            markdown.push_str(&format!("{sentence}\n"));
        }
        for table in &self.tables {
            markdown.push_str(&format!("\n{}", table.markdown()));
        }
        json!({
            "bench": self.bench,
            "machine": machine.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "load_afterwards": load_after,
            "setting": self.setting,
            "tables": self.tables,
            "markdown": markdown,
        })
    }
}

/// How long each of many took.
#[derive(Clone, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// One more.
    pub fn add(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// All of another's.
    pub fn extend(&mut self, other: &Samples) {
        self.0.extend(&other.0);
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest sample that at least this share of all does not exceed; `None` of nothing.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }

    /// In milliseconds, for a table.
    pub fn shown(&self, share: f64) -> String {
        self.percentile(share).map_or("-".to_string(), millis)
    }

    /// How many times as long as the other's, for a table.
    pub fn ratio(&self, floor: &Samples, share: f64) -> String {
        match (self.percentile(share), floor.percentile(share)) {
            (Some(own), Some(floor)) if !floor.is_zero() => {
                format!("{:.1}", own.as_secs_f64() / floor.as_secs_f64())
            }
            _ => "-".to_string(),
        }
    }
}

/// Milliseconds with one digit behind the point, two below one.
pub fn millis(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    if millis < 1.0 {
        format!("{millis:.2}")
    } else {
        format!("{millis:.1}")
    }
}

/// A number in groups of three digits.
pub fn grouped(number: impl Into<i128>) -> String {
    let digits = number.into().to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_samples() {
        let mut samples = Samples::default();
        assert_eq!(samples.percentile(0.5), None);
        for number in (1..=200).rev() {
            samples.add(Duration::from_millis(number));
        }
        assert_eq!(samples.percentile(0.5), Some(Duration::from_millis(100)));
        assert_eq!(samples.percentile(0.99), Some(Duration::from_millis(198)));
        assert_eq!(samples.percentile(1.0), Some(Duration::from_millis(200)));
        assert_eq!(samples.shown(0.99), "198.0");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
