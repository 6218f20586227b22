//! `GET /api/v1/audit/export`: the audit log as CSV, as JSON Lines, or as the bundle that proves it offline.
//!
//! Parts are made while they are sent, so that no file is ever whole in memory. A part that cannot be made breaks the
//! transfer off, which a browser shows as a failed download; a bundle that was broken off lacks its manifest, and is
//! refused when it is verified.

use crate::Deps;
use crate::api;
use crate::csv_list;
use crate::front::Caller;
use crate::problem::Problem;
use axum::Extension;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::Uri;
use http::header;
use switchback_contract::AuditExport;
use switchback_contract::AuditExportForm;
use switchback_contract::AuditPart;
use switchback_contract::AuditView;
use switchback_contract::Moment;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// How many written parts wait for a slow connection.
const UNSENT: usize = 4;

/// How a part becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    Jsonl,
    Bundle,
}

impl Format {
    fn from_word(word: &str) -> Option<Format> {
        match word {
            "csv" => Some(Format::Csv),
            "jsonl" => Some(Format::Jsonl),
            "bundle" => Some(Format::Bundle),
            _ => None,
        }
    }

    const fn ending(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
            Format::Bundle => "tar",
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Jsonl => "application/jsonl; charset=utf-8",
            Format::Bundle => "application/x-tar",
        }
    }

    /// What stands before the first part.
    fn head(self) -> Result<Vec<u8>, Problem> {
        match self {
            Format::Csv => csv_list::header_row::<AuditView>(),
            Format::Jsonl | Format::Bundle => Ok(Vec::new()),
        }
    }

    /// What stands behind the last.
    fn tail(self) -> Vec<u8> {
        match self {
            // Two blocks of zeros end a tar file (POSIX pax, "End of archive").
            Format::Bundle => vec![0; 1024],
            Format::Csv | Format::Jsonl => Vec::new(),
        }
    }

    fn bytes(self, part: AuditPart) -> Result<Vec<u8>, Problem> {
        match (self, part) {
            (Format::Csv, AuditPart::Entries(entries)) => csv_list::rows(&entries),
            (_, AuditPart::Entries(entries)) => {
                let mut lines = Vec::new();
                for entry in &entries {
                    serde_json::to_writer(&mut lines, entry).map_err(|error| failed(&error))?;
                    lines.push(b'\n');
                }
                Ok(lines)
            }
            (_, AuditPart::File { name, bytes }) => {
                in_tar(&name, &bytes).map_err(|error| failed(&error))
            }
        }
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error, "a part of the audit log could not be written");
    Problem::internal()
}

/// A file as it stands in a tar file, without the archive's end.
pub fn in_tar(name: &str, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    let mut block = header.as_bytes().to_vec();
    block.extend(bytes);
    block.resize(block.len().next_multiple_of(512), 0);
    Ok(block)
}

/// GET /audit/export
pub async fn export(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut given = api::parameters(
        &uri,
        &[
            "format", "from", "to", "actor", "subject", "event", "service", "reason",
        ],
    )?;
    let word = given
        .remove("format")
        .unwrap_or_else(|| "jsonl".to_string());
    let Some(format) = Format::from_word(&word) else {
        return Err(Problem::parameter(
            "format",
            &format!("csv, jsonl or bundle, not {word:?}"),
        ));
    };
    let form = match format {
        Format::Bundle => AuditExportForm::Bundle,
        Format::Csv | Format::Jsonl => AuditExportForm::Entries,
    };
    let filter = api::audit_filter(&mut given)?;
    let console = deps.consoles.for_actor(caller.actor.clone());
    let mut parts = console.audit_export(filter, form).await?;
    // The first part is made before the answer begins: what is refused is refused with a status.
    let mut first = format.head()?;
    if let Some(part) = parts.next().await? {
        first.extend(format.bytes(part)?);
    }
    let (sender, receiver) = mpsc::channel(UNSENT);
    tokio::spawn(async move {
        if let Err(error) = send(&sender, first, &mut *parts, format).await {
            tracing::warn!(
                error,
                "an export of the audit log could not be sent to its end"
            );
            // Whoever is gone needs no word of it.
            let _ = sender.send(Err(std::io::Error::other(error))).await;
        }
    });
    let body = Body::from_stream(ReceiverStream::new(receiver));
    Ok(response(format, deps.consoles.clock(), body))
}

async fn send(
    sender: &mpsc::Sender<Result<Bytes, std::io::Error>>,
    first: Vec<u8>,
    parts: &mut dyn AuditExport,
    format: Format,
) -> Result<(), String> {
    let mut bytes = first;
    loop {
        if sender.send(Ok(Bytes::from(bytes))).await.is_err() {
            return Ok(());
        }
        let Some(part) = parts.next().await.map_err(|refusal| refusal.message)? else {
            break;
        };
        bytes = format.bytes(part).map_err(|problem| problem.detail)?;
    }
    let tail = format.tail();
    if !tail.is_empty() {
        // Whoever is gone needs no end.
        let _ = sender.send(Ok(Bytes::from(tail))).await;
    }
    Ok(())
}

fn response(format: Format, at: Moment, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    let name = csv_list::file_name("audit", at, format.ending());
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}
