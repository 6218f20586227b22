//! The arrows between our crates are a table, compared with what the manifests say.
//!
//! Why each arrow is there is told in `docs/architecture.md`. Dependencies of tests are free, since
//! a test may well start the simulator; the one exception is the simulator itself, which shares
//! nothing with the product in any way, so that the two cannot agree by accident.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, Package};

use crate::workspace::{Workspace, output};

/// What one crate may use of ours.
enum Allowed {
    /// These and no others.
    Only(&'static [&'static str]),
    /// Everything except these.
    AllBut(&'static [&'static str]),
}

/// The table. A crate that is not in it is an error: it has to be given its place first.
const ARROWS: [(&str, Allowed); 14] = [
    ("switchback-domain", Allowed::Only(&[])),
    ("switchback-contract", Allowed::Only(&["switchback-domain"])),
    ("switchback-store", Allowed::Only(&["switchback-domain"])),
    ("switchback-cloud", Allowed::Only(&["switchback-domain"])),
    (
        "switchback-aws",
        Allowed::Only(&["switchback-cloud", "switchback-domain"]),
    ),
    (
        "switchback-control",
        Allowed::Only(&[
            "switchback-cloud",
            "switchback-contract",
            "switchback-domain",
            "switchback-store",
        ]),
    ),
    (
        "switchback-app",
        Allowed::Only(&["switchback-contract", "switchback-domain"]),
    ),
    ("switchback-frontend", Allowed::Only(&["switchback-app"])),
    ("switchback-aws-sim", Allowed::Only(&[])),
    (
        "switchback-server",
        Allowed::AllBut(&[
            "switchback-bench",
            "switchback-frontend",
            "switchback-tests",
            "xtask",
        ]),
    ),
    ("switchback-tests", Allowed::AllBut(&["xtask"])),
    ("switchback-tests-postgres", Allowed::Only(&[])),
    // Drives the built binary from outside; of ours it only makes a database with.
    (
        "switchback-bench",
        Allowed::Only(&["switchback-domain", "switchback-store"]),
    ),
    ("xtask", Allowed::Only(&[])),
];

/// Runs in a browser or on a server, but never both: what must not reach the WASM. A name stands
/// for itself and for every crate whose name goes on after a hyphen.
const NOT_IN_A_BROWSER: [&str; 6] = ["aws", "axum", "hyper", "sqlx", "tokio", "tower"];

/// Fails when an edge exists that the table does not allow; says which allowed ones do not exist.
pub fn check(workspace: &Workspace) -> Result<()> {
    let (mut wrong, unused) = compare(&workspace.packages);
    for edge in unused {
        eprintln!("  note: allowed and not used: {edge}");
    }
    let tree = output(workspace.cargo().args([
        "tree",
        "--package",
        "switchback-frontend",
        "--target",
        "wasm32-unknown-unknown",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    wrong.extend(not_in_a_browser(&tree));
    if !wrong.is_empty() {
        bail!("the arrows are broken:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

/// The edges that are not allowed, and the allowed ones that are not there.
fn compare(packages: &[Package]) -> (Vec<String>, Vec<String>) {
    let ours: BTreeSet<&str> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut wrong = Vec::new();
    let mut unused = Vec::new();
    for (name, _) in &ARROWS {
        if !ours.contains(name) {
            wrong.push(format!(
                "the table names {name}, which is not in the workspace"
            ));
        }
    }
    for package in packages {
        let name = package.name.as_str();
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            wrong.push(format!("{name} is not in the table of xtask/src/arrows.rs"));
            continue;
        };
        let used: BTreeSet<&str> = package
            .dependencies
            .iter()
            .filter(|dependency| {
                dependency.kind != DependencyKind::Development || name == "switchback-aws-sim"
            })
            .map(|dependency| dependency.name.as_str())
            .filter(|dependency| ours.contains(dependency))
            .collect();
        for dependency in &used {
            let is_allowed = match allowed {
                Allowed::Only(list) => list.contains(dependency),
                Allowed::AllBut(list) => !list.contains(dependency),
            };
            if !is_allowed {
                wrong.push(format!("{name} -> {dependency} is not allowed"));
            }
        }
        if let Allowed::Only(list) = allowed {
            for dependency in list
                .iter()
                .filter(|dependency| !used.contains(**dependency))
            {
                unused.push(format!("{name} -> {dependency}"));
            }
        }
    }
    (wrong, unused)
}

/// The crates of a `cargo tree` that belong on a server.
fn not_in_a_browser(tree: &str) -> Vec<String> {
    let names: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    names
        .into_iter()
        .filter(|name| {
            NOT_IN_A_BROWSER.iter().any(|banned| {
                name.strip_prefix(banned)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            })
        })
        .map(|name| format!("{name} is in the WASM (cargo tree --package switchback-frontend)"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_keeps_its_arrows() -> Result<()> {
        check(&Workspace::find()?)
    }

    #[test]
    fn an_edge_outside_the_table_is_found() -> Result<()> {
        let mut packages = Workspace::find()?.packages;
        let borrowed = packages
            .iter()
            .find(|package| package.name.as_str() == "switchback-frontend")
            .map(|package| package.dependencies.clone())
            .unwrap_or_default();
        for package in &mut packages {
            if package.name.as_str() == "switchback-domain" {
                package.dependencies.extend(borrowed.clone());
            }
        }
        let (wrong, _) = compare(&packages);
        assert_eq!(
            wrong,
            ["switchback-domain -> switchback-app is not allowed"]
        );
        Ok(())
    }

    #[test]
    fn a_server_crate_in_the_wasm_is_found_by_name_and_by_family() {
        let tree = "leptos v0.8.23\naws-config v1.13.0\ntokio v1.0.0\ntowering v1.0.0\n";
        let found = not_in_a_browser(tree);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("aws-config ") && found[1].starts_with("tokio "));
    }
}
