//! What the binary writes to its log.

use std::process::Command;
use std::process::Stdio;

#[test]
fn a_log_that_is_not_a_terminal_has_no_colours() {
    let folder = tempfile::tempdir().unwrap();
    // Warned of in the log, whatever the check then finds.
    let output = Command::new(env!("CARGO_BIN_EXE_switchback"))
        .args(["serve", "--check"])
        .current_dir(folder.path())
        .env("SWITCHBACK_NOT_A_SETTING", "1")
        .env_remove("RUST_LOG")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(
        log.contains("WARN") && log.contains("SWITCHBACK_NOT_A_SETTING"),
        "{log}"
    );
    assert!(!log.contains('\u{1b}'), "{log:?}");
}
