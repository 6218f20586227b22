//! How far the account has come with its past, told on stderr while one waits for it: one line that is
//! rewritten on a terminal, a line every ten days elsewhere.

use std::io::IsTerminal;
use std::io::Write;
use switchback_aws_sim::story::Progress;

/// Shows one day.
pub fn show(progress: Progress) {
    let mut stderr = std::io::stderr();
    let text = line(progress, stderr.is_terminal());
    // There is nowhere to say that nothing can be said.
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

fn line(progress: Progress, is_terminal: bool) -> String {
    let Progress {
        day,
        days,
        deployments,
    } = progress;
    let text = format!(
        "The account lives through its past: day {day} of {days}, {deployments} deployments"
    );
    let is_last = day >= days;
    match is_terminal {
        true if is_last => format!("\r{text}\n"),
        true => format!("\r{text}"),
        false if is_last || day % 10 == 0 => format!("{text}\n"),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_has_one_line_and_a_file_a_few() {
        let at = |day, is_terminal| {
            let progress = Progress {
                day,
                days: 30,
                deployments: 87,
            };
            line(progress, is_terminal)
        };
        assert!(at(12, true).starts_with('\r') && !at(12, true).ends_with('\n'));
        assert!(at(12, true).contains("day 12 of 30, 87 deployments"));
        assert!(at(30, true).ends_with('\n'));
        assert_eq!(at(12, false), "");
        assert!(at(20, false).ends_with('\n') && !at(20, false).contains('\r'));
    }
}
