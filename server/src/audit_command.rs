//! `switchback audit export` and `switchback audit verify`.

use crate::audit_bundle;
use crate::audit_bundle::Kept;
use crate::config::ConfigProblems;
use anyhow::Context as _;
use anyhow::bail;
use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use http::Uri;
use http::header;
use http_body_util::BodyExt as _;
use http_body_util::Empty;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::collections::BTreeMap;
use std::io::BufReader;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use switchback_domain::checkpoint::Checkpoint;
use switchback_domain::checkpoint::PublicKey;

/// How much of a refusal is read and shown, in bytes.
const LONGEST_REFUSAL: usize = 4096;

/// The variable with the API token.
const TOKEN: &str = "SWITCHBACK_TOKEN";

/// What is done with the audit log.
#[derive(Subcommand, Debug)]
pub enum Audit {
    /// Fetch the audit log from a server, as CSV, JSON Lines or a bundle that proves it offline
    Export(Export),
    /// Check a bundle without any server: names the first bad entry and what is wrong with it
    Verify(Verify),
}

/// The form of an export.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ExportFormat {
    /// For spreadsheets
    Csv,
    /// A JSON object each line
    Jsonl,
    /// Every entry of a time with what proves it: one tar file
    Bundle,
}

/// `switchback audit export`
#[derive(Args, Debug)]
pub struct Export {
    /// The server; its API token is in SWITCHBACK_TOKEN
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    server: String,
    /// The file to make; it must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// What it is
    #[arg(long, value_enum, default_value = "bundle")]
    format: ExportFormat,
    /// From this time or date on, in UTC: 2026-07-01
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time or date, in UTC: 2026-10-01
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// Only what exactly this actor did; not in a bundle
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only what is about exactly this; not in a bundle
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// `switchback audit verify`
#[derive(Args, Debug)]
pub struct Verify {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The key that has to have signed it: a file with 64 hex digits, as the page Audit shows them
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// An older checkpoint that was kept elsewhere: a file with its JSON, a line of a bundle's checkpoints
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Does it. The text is the result; `false` with it says no.
pub async fn audit(
    command: Audit,
    variables: &BTreeMap<String, String>,
) -> anyhow::Result<(String, bool)> {
    match command {
        Audit::Verify(asked) => verify(&asked),
        Audit::Export(asked) => export(&asked, variables).await.map(|text| (text, true)),
    }
}

fn verify(asked: &Verify) -> anyhow::Result<(String, bool)> {
    let text_of = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))
    };
    let public_key = asked
        .public_key
        .as_deref()
        .map(|path| PublicKey::parse(&text_of(path)?).with_context(|| path.display().to_string()));
    let checkpoint = asked.checkpoint.as_deref().map(|path| {
        serde_json::from_str::<Checkpoint>(&text_of(path)?)
            .with_context(|| format!("{} holds no checkpoint", path.display()))
    });
    let kept = Kept {
        public_key: public_key.transpose()?,
        checkpoint: checkpoint.transpose()?,
    };
    let bundle = std::fs::File::open(&asked.bundle)
        .with_context(|| format!("could not open {}", asked.bundle.display()))?;
    let found = audit_bundle::verify(BufReader::new(bundle), &kept)
        .with_context(|| format!("could not read {}", asked.bundle.display()))?;
    let text = if asked.json {
        serde_json::to_string_pretty(&found).context("could not write the result")?
    } else {
        found.words()
    };
    Ok((text, found.good))
}

async fn export(asked: &Export, variables: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let Some(token) = variables.get(TOKEN).filter(|token| !token.is_empty()) else {
        return Err(ConfigProblems(vec![format!(
            "{TOKEN} must hold an API token of the server"
        )])
        .into());
    };
    let format = match asked.format {
        ExportFormat::Csv => "csv",
        ExportFormat::Jsonl => "jsonl",
        ExportFormat::Bundle => "bundle",
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("format", format);
    for (name, value) in [
        ("from", &asked.from),
        ("to", &asked.before),
        ("actor", &asked.actor),
        ("subject", &asked.subject),
    ] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let base = asked.server.trim_end_matches('/');
    let address = format!("{base}/api/v1/audit/export?{}", query.finish());
    let uri: Uri = address
        .parse()
        .ok()
        .filter(|uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")))
        .ok_or_else(|| {
            ConfigProblems(vec![format!(
                "--server must be a URL such as https://switchback.example.com, not {:?}",
                asked.server
            )])
        })?;
    let connector = HttpsConnectorBuilder::new()
        .with_native_roots()
        .context("the system's certificates could not be read")?
        .https_or_http()
        .enable_http1()
        .build();
    let client =
        Client::builder(TokioExecutor::new()).build::<_, Empty<axum::body::Bytes>>(connector);
    let request = http::Request::get(uri)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Empty::new())
        .context("the token cannot be sent in a header")?;
    let answer = client
        .request(request)
        .await
        .with_context(|| format!("{base} does not answer"))?;
    let (parts, mut body) = answer.into_parts();
    if !parts.status.is_success() {
        let mut told = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the answer broke off")?;
            told.extend(frame.into_data().unwrap_or_default());
            if told.len() > LONGEST_REFUSAL {
                break;
            }
        }
        let problem: serde_json::Value = serde_json::from_slice(&told).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("it does not say why");
        bail!("{base} refused ({}): {detail}", parts.status);
    }
    let mut file = NewFile::begin(&asked.to)?;
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.context("the answer broke off; nothing was kept")?;
        if let Ok(data) = frame.into_data() {
            bytes += data.len() as u64;
            file.write(&data)?;
        }
    }
    file.end()?;
    let to = asked.to.display();
    Ok(if asked.json {
        serde_json::json!({ "file": asked.to, "format": format, "bytes": bytes }).to_string()
    } else {
        format!("Wrote {to}, {bytes} bytes.")
    })
}

/// A file that is there whole or not at all.
struct NewFile {
    path: PathBuf,
    part: PathBuf,
    file: std::fs::File,
    is_whole: bool,
}

impl NewFile {
    fn begin(path: &Path) -> anyhow::Result<NewFile> {
        if path.exists() {
            bail!("{} is there already; nothing was changed", path.display());
        }
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".part");
        let part = path.with_file_name(name);
        let file = std::fs::File::create(&part)
            .with_context(|| format!("could not make {}", part.display()))?;
        Ok(NewFile {
            path: path.to_path_buf(),
            part,
            file,
            is_whole: false,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.file
            .write_all(bytes)
            .with_context(|| format!("could not write {}", self.part.display()))
    }

    fn end(mut self) -> anyhow::Result<()> {
        let written = self.file.sync_all();
        written.with_context(|| format!("could not write {}", self.part.display()))?;
        std::fs::rename(&self.part, &self.path)
            .with_context(|| format!("could not make {}", self.path.display()))?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_whole {
            // What is left is called .part, which says enough.
            let _ = std::fs::remove_file(&self.part);
        }
    }
}
