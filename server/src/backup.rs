//! `switchback backup` and `switchback restore`: what the store does with copies, in words.

use crate::config::Config;
use crate::config::ConfigProblems;
use anyhow::bail;
use secrecy::ExposeSecret as _;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use switchback_store::Copied;
use switchback_store::CopyError;
use switchback_store::Store;

/// `switchback backup`: what was copied, in a sentence or, with `json`, as an object.
pub async fn backup(
    config: Option<&Path>,
    variables: &BTreeMap<String, String>,
    to: &Path,
    json: bool,
) -> anyhow::Result<String> {
    let url = database_url(config, variables)?;
    let copied = match Store::backup(url.expose_secret(), to).await {
        Ok(copied) => copied,
        Err(CopyError::NotSqlite) => bail!(
            "the database is PostgreSQL, which is copied by its own tools. With the URL of SWITCHBACK_DATABASE_URL in \
             the environment:\n  pg_dump --format=custom --no-owner --file={} --dbname=\"$SWITCHBACK_DATABASE_URL\"",
            to.display()
        ),
        Err(error) => return Err(error.into()),
    };
    Ok(if json {
        format!("{:#}", document(&copied))
    } else {
        format!("Copied {}.", sentence(&copied))
    })
}

/// `switchback restore`: what was put back, in words or, with `json`, as an object.
pub async fn restore(
    config: Option<&Path>,
    variables: &BTreeMap<String, String>,
    from: &Path,
    replace: bool,
    json: bool,
) -> anyhow::Result<String> {
    let url = database_url(config, variables)?;
    let restored = match Store::restore(url.expose_secret(), from, replace).await {
        Ok(restored) => restored,
        Err(CopyError::NotSqlite) => bail!(
            "the database is PostgreSQL, which is restored by its own tools, into an empty database:\n  \
             pg_restore --exit-on-error --single-transaction --no-owner --dbname=\"$SWITCHBACK_DATABASE_URL\" {}",
            from.display()
        ),
        Err(error @ CopyError::Exists { .. }) if !replace => {
            return Err(anyhow::Error::new(error)
                .context("give --replace to move it aside and put the copy in its place"));
        }
        Err(error) => return Err(error.into()),
    };
    if json {
        let mut document = document(&restored.copy);
        document["kept"] = serde_json::json!(restored.kept);
        return Ok(format!("{document:#}"));
    }
    let mut text = format!("Restored {}.", sentence(&restored.copy));
    if let Some(kept) = &restored.kept {
        // Writing into a String does not fail.
        let _ = write!(
            text,
            " What stood there before is kept as {}.",
            kept.display()
        );
    }
    if !restored.copy.schema.behind.is_empty() {
        text.push_str(" It is of an older version; the next start brings its schema up to date.");
    }
    if !restored.copy.schema.ahead.is_empty() {
        text.push_str(" It is of a newer version, which has only added to what this one knows.");
    }
    Ok(text)
}

fn database_url(
    config: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> Result<SecretString, ConfigProblems> {
    Ok(Config::load(config, variables)?.database.url)
}

fn sentence(copied: &Copied) -> String {
    format!(
        "{}: {} deployments, {} audit entries with an unbroken chain, {} bytes",
        copied.path.display(),
        copied.deployments,
        copied.audit_entries,
        copied.bytes
    )
}

fn document(copied: &Copied) -> serde_json::Value {
    serde_json::json!({
        "path": copied.path,
        "bytes": copied.bytes,
        "deployments": copied.deployments,
        "audit_entries": copied.audit_entries,
        "schema": copied.schema.newest,
    })
}
