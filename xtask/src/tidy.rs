//! Rules that neither the compiler nor clippy knows, each with its reason beside it.
//!
//! They look at text, not at meaning, and are written so that a false alarm is easier to have than
//! a miss. This file spells the forbidden words out and is therefore the only one not looked at.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, files_below, relative};

/// More lines than this are not read in one go by anybody: a file that needs more has two subjects.
const MOST_LINES: usize = 1000;

/// Folders at the root of the workspace that hold our text.
const OURS: [&str; 10] = [
    ".ci",
    "app",
    "bench",
    "crates",
    "frontend",
    "migrations",
    "server",
    "style",
    "tests",
    "xtask",
];
/// Extensions of the files that are looked at.
const TEXT: [&str; 7] = ["css", "py", "rs", "sh", "sql", "toml", ""];
/// The one file that has to name what it forbids.
const THIS_FILE: &str = "xtask/src/tidy.rs";

/// One file.
struct Source {
    /// From the root of the workspace, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// The part before the tests in the same file.
    fn without_tests(&self) -> &str {
        self.text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default()
    }
}

/// A rule: what it is called, and what it finds wrong.
type Rule = (&'static str, fn(&[Source]) -> Vec<String>);

const RULES: [Rule; 8] = [
    (
        "the pages are the same text for the server and for WASM",
        pages_without_conditions,
    ),
    ("the rules of the domain never wait", domain_without_async),
    (
        "a silenced lint is an #[expect] with its reason",
        expect_not_allow,
    ),
    (
        "no inline styles: the content security policy refuses them",
        no_inline_styles,
    ),
    ("no file is too long to read", short_files),
    ("nothing is left for later in a comment", nothing_for_later),
    (
        "every file begins by saying what it is for",
        module_documentation,
    ),
    (
        "the audit log is written in one place",
        one_writer_of_the_audit_log,
    ),
];

/// Fails when a rule is broken, with every place.
pub fn check(workspace: &Workspace) -> Result<()> {
    let sources = read(workspace)?;
    let mut broken = Vec::new();
    for (name, rule) in RULES {
        let found = rule(&sources);
        if !found.is_empty() {
            broken.push(format!("{name}:\n    {}", found.join("\n    ")));
        }
    }
    if !broken.is_empty() {
        bail!("not tidy:\n  {}", broken.join("\n  "));
    }
    eprintln!("  {} rules hold in {} files", RULES.len(), sources.len());
    Ok(())
}

fn read(workspace: &Workspace) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for folder in OURS {
        for file in files_below(&workspace.root.join(folder))? {
            let path = relative(&workspace.root, &file).replace('\\', "/");
            let extension = file
                .extension()
                .unwrap_or_default()
                .to_string_lossy()
                .to_string();
            // A target directory may lie in the tree of a crate that was built on its own.
            if path == THIS_FILE || path.contains("/target/") || !TEXT.contains(&extension.as_str())
            {
                continue;
            }
            let text = fs::read_to_string(&file)
                .with_context(|| format!("could not read {} as text", file.display()))?;
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}

/// The same text is compiled for the server and for WASM, so that what is tested on one is true of
/// the other. Tests inside the crate are no part of that text.
fn pages_without_conditions(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources
        .iter()
        .filter(|source| source.path.starts_with("app/"))
    {
        for (number, line) in source.lines() {
            let line = line.trim();
            let conditional = source.is_rust()
                && line != "#[cfg(test)]"
                && ["cfg(", "cfg!(", "cfg_attr", "cfg_if"]
                    .iter()
                    .any(|word| line.contains(word));
            let optional = source.path == "app/Cargo.toml"
                && (line.starts_with("[features]") || line.contains("optional"));
            if conditional || optional {
                found.push(place(source, number, line));
            }
        }
    }
    found
}

/// A rule that waits depends on when it is asked.
fn domain_without_async(sources: &[Source]) -> Vec<String> {
    lines_where(
        sources,
        |source| source.path.starts_with("crates/domain/src/"),
        |line| code(line).contains("async fn") || code(line).contains(".await"),
    )
}

/// An `#[expect]` complains when its reason is gone, an `#[allow]` stays for ever.
fn expect_not_allow(sources: &[Source]) -> Vec<String> {
    lines_where(sources, Source::is_rust, |line| {
        code(line).contains("#[allow(") || code(line).contains("#![allow(")
    })
}

/// `style=".."` and Leptos' `style:name=..` both write the attribute.
fn no_inline_styles(sources: &[Source]) -> Vec<String> {
    lines_where(
        sources,
        |source| {
            source.is_rust()
                && (source.path.starts_with("app/src/") || source.path.starts_with("server/src/"))
        },
        |line| writes_inline_style(code(line)),
    )
}

fn writes_inline_style(line: &str) -> bool {
    line.match_indices("style").any(|(at, word)| {
        let begins_a_name = line[..at].chars().next_back().is_none_or(|before| {
            !before.is_alphanumeric() && !['_', '-', '.', ':'].contains(&before)
        });
        let rest = &line[at + word.len()..];
        let is_attribute = rest.starts_with('=') && !rest.starts_with("==");
        let is_directive = rest.strip_prefix(':').is_some_and(|rest| {
            let name_ends = rest
                .find(|character: char| !character.is_ascii_alphanumeric() && character != '-')
                .unwrap_or(rest.len());
            name_ends > 0 && rest[name_ends..].starts_with('=')
        });
        begins_a_name && (is_attribute || is_directive)
    })
}

fn short_files(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| is_product_source(source))
        .map(|source| (source, source.text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(source, lines)| format!("{}: {lines} lines, at most {MOST_LINES}", source.path))
        .collect()
}

/// What is worth doing is an issue, where somebody sees it.
fn nothing_for_later(sources: &[Source]) -> Vec<String> {
    lines_where(
        sources,
        |_| true,
        |line| {
            ["TODO", "FIXME", "XXX"].iter().any(|word| {
                line.match_indices(word).any(|(at, word)| {
                    let before = line[..at].chars().next_back();
                    let after = line[at + word.len()..].chars().next();
                    [before, after]
                        .into_iter()
                        .flatten()
                        .all(|character| !character.is_alphanumeric() && character != '_')
                })
            })
        },
    )
}

fn module_documentation(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| source.is_rust())
        .filter(|source| {
            let first = source.text.trim_start();
            !first.starts_with("//! ") && !first.starts_with("#![doc = include_str!(")
        })
        .map(|source| format!("{}: does not begin with `//! ..`", source.path))
        .collect()
}

/// Every entry is chained to the one before it, which only one statement can do right.
fn one_writer_of_the_audit_log(sources: &[Source]) -> Vec<String> {
    const STATEMENT: &str = "insert into audit_log";
    let mut places = Vec::new();
    for source in sources.iter().filter(|source| {
        source.is_rust()
            && source.path.starts_with("crates/")
            && source.path.contains("/src/")
            && !source.path.ends_with("/tests.rs")
    }) {
        let text = source.without_tests().to_lowercase();
        // SQL is broken into lines as Rust likes it, sometimes with a backslash.
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || c == '\\')
            .collect();
        let text = words
            .iter()
            .filter(|word| !word.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        for (at, statement) in text.match_indices(STATEMENT) {
            let after = text[at + statement.len()..].chars().next();
            if after.is_none_or(|character| !character.is_alphanumeric() && character != '_') {
                places.push(source.path.clone());
            }
        }
    }
    match places.as_slice() {
        [one] if one.starts_with("crates/store/src/") => Vec::new(),
        [] => vec!["crates/store/src has no statement that inserts into audit_log".to_owned()],
        places => places
            .iter()
            .map(|place| format!("{place}: inserts into audit_log"))
            .collect(),
    }
}

fn is_product_source(source: &Source) -> bool {
    let mut parts = source.path.split('/');
    source.is_rust()
        && match parts.next() {
            Some("crates") => parts.nth(1) == Some("src"),
            Some("app" | "server") => parts.next() == Some("src"),
            _ => false,
        }
}

/// Every line, in the files that the first asks for, that the second finds wrong.
fn lines_where(
    sources: &[Source],
    looks_at: impl Fn(&Source) -> bool,
    is_wrong: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| looks_at(source)) {
        for (number, line) in source.lines().filter(|(_, line)| is_wrong(line)) {
            found.push(place(source, number, line.trim()));
        }
    }
    found
}

/// The line without a comment that fills it; a comment behind code stays.
fn code(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with("//") { "" } else { line }
}

fn place(source: &Source, number: usize, line: &str) -> String {
    let shown: String = line.chars().take(100).collect();
    format!("{}:{number}: {shown}", source.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Vec<Source> {
        vec![Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }]
    }

    #[test]
    fn the_workspace_is_tidy() -> Result<()> {
        check(&Workspace::find()?)
    }

    #[test]
    fn conditions_in_the_pages_are_found() {
        let check = |path, text| pages_without_conditions(&source(path, text)).len();
        assert_eq!(check("app/src/lib.rs", "#[cfg(feature = \"ssr\")]"), 1);
        assert_eq!(check("app/src/lib.rs", "if cfg!(debug_assertions) {"), 1);
        assert_eq!(
            check("app/src/lib.rs", "#[cfg_attr(test, derive(Debug))]"),
            1
        );
        assert_eq!(check("app/src/lib.rs", "    #[cfg(test)]\nmod tests {"), 0);
        assert_eq!(check("server/src/lib.rs", "#[cfg(unix)]"), 0);
        assert_eq!(check("app/Cargo.toml", "[features]\nssr = []\n"), 1);
        assert_eq!(
            check(
                "app/Cargo.toml",
                "sqlx = { workspace = true, optional = true }"
            ),
            1
        );
    }

    #[test]
    fn waiting_in_the_domain_is_found() {
        let check = |text| domain_without_async(&source("crates/domain/src/gate.rs", text)).len();
        assert_eq!(check("pub async fn decide() {}"), 1);
        assert_eq!(check("// an async fn would depend on when it is asked"), 0);
    }

    #[test]
    fn silenced_lints_are_found() {
        let check = |text| expect_not_allow(&source("server/src/lib.rs", text)).len();
        assert_eq!(check("#[allow(dead_code)]"), 1);
        assert_eq!(check("#![allow(warnings)]"), 1);
        assert_eq!(
            check("#[expect(dead_code, reason = \"shown in the README\")]"),
            0
        );
    }

    #[test]
    fn inline_styles_are_found() {
        for line in [
            "<div style=\"color: red\">",
            "<div class=\"a\" style=move || width()>",
            "<div style:width=format!(\"{x}%\")>",
            "format!(\"<p style='x'>\")",
        ] {
            assert!(writes_inline_style(line), "{line}");
        }
        for line in [
            "let style = sheet();",
            "style: Style,",
            "<link rel=\"stylesheet\" href=\"/pkg/switchback.css\"/>",
            "if style==Style::Dark {",
            "\"default-src 'self'; style-src 'self'\"",
            "<a data-style=\"x\">",
        ] {
            assert!(!writes_inline_style(line), "{line}");
        }
    }

    #[test]
    fn long_files_are_found() {
        let check = |path, lines| short_files(&source(path, &"//! x\n".repeat(lines))).len();
        assert_eq!(check("crates/store/src/gate.rs", MOST_LINES), 0);
        assert_eq!(check("crates/store/src/gate.rs", MOST_LINES + 1), 1);
        assert_eq!(check("app/src/pages/now.rs", MOST_LINES + 1), 1);
        assert_eq!(check("crates/store/tests/all.rs", MOST_LINES + 1), 0);
    }

    #[test]
    fn what_is_left_for_later_is_found() {
        let check = |text| nothing_for_later(&source("style/10-page.css", text)).len();
        assert_eq!(check("/* TODO: dark */"), 1);
        assert_eq!(check("// FIXME"), 1);
        assert_eq!(check("let XXXL = 1; // TODOS"), 0);
    }

    #[test]
    fn a_file_without_a_beginning_is_found() {
        let check = |text| module_documentation(&source("server/src/a.rs", text)).len();
        assert_eq!(check("use std::fs;\n"), 1);
        assert_eq!(check("//! What this is for.\n"), 0);
        assert_eq!(check("#![doc = include_str!(\"../README.md\")]\n"), 0);
    }

    #[test]
    fn a_second_writer_of_the_audit_log_is_found() {
        let one = "sqlx::query(\"INSERT INTO\n    audit_log (id) values ($1)\")";
        let check = |path, text: &str| one_writer_of_the_audit_log(&source(path, text)).len();
        assert_eq!(check("crates/store/src/audit.rs", one), 0);
        assert_eq!(
            check("crates/store/src/audit.rs", "insert into audit_log_heads"),
            1
        );
        assert_eq!(check("crates/store/src/audit.rs", &one.repeat(2)), 2);
        assert_eq!(check("crates/control/src/desk.rs", one), 1);
        let tested = format!("{one}\n#[cfg(test)]\nmod tests {{ {one} }}");
        assert_eq!(check("crates/store/src/audit.rs", &tested), 0);
    }
}
