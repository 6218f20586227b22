//! `?format=csv`: any list of the API as one file for a spreadsheet (RFC 4180, UTF-8, with a header).
//!
//! The columns are the JSON's fields by their names; times are RFC 3339, a list inside a cell is
//! separated by "; ". Long lists are read page by page while they are sent, so that no file is ever
//! whole in memory. Rows end at [`MOST_ROWS`]; a file that ends there says so in its last row, because
//! a file that is silently short would be taken for everything. A page that cannot be read breaks the
//! transfer off, which a browser shows as a failed download.
//!
//! Cells are text that people and AWS wrote. One that begins like a formula gets an apostrophe before
//! it, which spreadsheets take for "this is text".

use crate::problem::Problem;
use axum::body::Body;
use axum::body::Bytes;
use axum::response::Response;
use http::HeaderValue;
use http::header;
use std::collections::BTreeMap;
use std::future::Future;
use switchback_contract::AuditView;
use switchback_contract::DeploymentView;
use switchback_contract::GateView;
use switchback_contract::Moment;
use switchback_contract::Page;
use switchback_contract::Refusal;
use switchback_contract::RevisionView;
use switchback_contract::ServiceView;
use switchback_contract::Verdict;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Most rows of one file.
pub const MOST_ROWS: usize = 100_000;

/// How many entries are asked for at once.
pub const ROWS_AT_ONCE: u32 = 200;

/// How many written pages wait for a slow connection.
const UNSENT: usize = 4;

/// Takes the parameter `format` out; whether CSV is wanted.
pub fn is_wanted(given: &mut BTreeMap<String, String>) -> Result<bool, Problem> {
    match given.remove("format").as_deref() {
        None | Some("json") => Ok(false),
        Some("csv") => Ok(true),
        Some(other) => Err(Problem::parameter(
            "format",
            &format!("json or csv, not {other:?}"),
        )),
    }
}

/// An item that can be a row.
pub trait Row {
    /// The names of the columns.
    const COLUMNS: &'static [&'static str];

    /// The cells, in the order of the columns.
    fn cells(&self) -> Vec<String>;
}

/// A list that is there as a whole. `name` and `at` (the account's clock) make the file's name.
pub fn whole<T: Row>(name: &str, at: Moment, items: &[T]) -> Result<Response, Problem> {
    let text = [header_row::<T>()?, rows(items)?].concat();
    Ok(response(name, at, Body::from(text)))
}

/// A list that is read page by page, beginning with `first`; `next` asks for the page at a cursor.
pub fn streamed<T, F>(
    name: &str,
    at: Moment,
    first: Page<T>,
    next: impl Fn(String) -> F + Send + 'static,
) -> Result<Response, Problem>
where
    T: Row + Send + Sync + 'static,
    F: Future<Output = Result<Page<T>, Refusal>> + Send,
{
    let begun = header_row::<T>()?;
    let (sender, receiver) = mpsc::channel(UNSENT);
    tokio::spawn(async move {
        if let Err(error) = send_pages(&sender, begun, first, next, MOST_ROWS).await {
            tracing::warn!(error, "a CSV file could not be sent to its end");
            // Whoever is gone needs no word of it.
            let _ = sender.send(Err(std::io::Error::other(error))).await;
        }
    });
    let body = Body::from_stream(ReceiverStream::new(receiver));
    Ok(response(name, at, body))
}

async fn send_pages<T, F>(
    sender: &mpsc::Sender<Result<Bytes, std::io::Error>>,
    begun: Vec<u8>,
    first: Page<T>,
    next: impl Fn(String) -> F,
    most: usize,
) -> Result<(), String>
where
    T: Row,
    F: Future<Output = Result<Page<T>, Refusal>>,
{
    let written = |error: Problem| error.detail;
    let (mut page, mut sent, mut text) = (first, 0, begun);
    loop {
        let left = most - sent;
        let items = page.items.get(..left).unwrap_or(&page.items);
        sent += items.len();
        text.extend(rows(items).map_err(written)?);
        let is_cut = sent == most && (page.items.len() > left || page.next_cursor.is_some());
        if is_cut {
            text.extend(record(&[cut_words(most)]).map_err(written)?);
        }
        if sender.send(Ok(Bytes::from(text))).await.is_err() {
            return Ok(());
        }
        let Some(cursor) = page.next_cursor.filter(|_| !is_cut) else {
            return Ok(());
        };
        page = next(cursor).await.map_err(|refusal| refusal.message)?;
        text = Vec::new();
    }
}

fn cut_words(most: usize) -> String {
    format!(
        "There are more rows. A file ends after {most}: ask for fewer with the list's filters, such as from and to."
    )
}

/// The line with the names of the columns.
pub fn header_row<T: Row>() -> Result<Vec<u8>, Problem> {
    let names: Vec<String> = T::COLUMNS.iter().map(|name| (*name).to_string()).collect();
    record(&names)
}

/// A line for each item.
pub fn rows<T: Row>(items: &[T]) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::new();
    for item in items {
        text.extend(record(&item.cells())?);
    }
    Ok(text)
}

/// One line, its cells made safe and quoted.
fn record(cells: &[String]) -> Result<Vec<u8>, Problem> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .flexible(true)
        .from_writer(Vec::new());
    let failed = |error: String| {
        tracing::error!(error, "a row could not be written as CSV");
        Problem::internal()
    };
    writer
        .write_record(cells.iter().map(|cell| harmless(cell)))
        .map_err(|error| failed(error.to_string()))?;
    writer
        .into_inner()
        .map_err(|error| failed(error.to_string()))
}

/// The cell as no spreadsheet takes it for a formula.
fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell.to_string()
    }
}

fn response(name: &str, at: Moment, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
    );
    let name = file_name(name, at, "csv");
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

/// `switchback-NAME-TIME.ENDING`
pub fn file_name(name: &str, at: Moment, ending: &str) -> String {
    // Colons are no part of a file's name everywhere.
    let stamp: String = at
        .rfc3339()
        .chars()
        .take(19)
        .filter(|character| *character != ':')
        .collect();
    format!("switchback-{name}-{stamp}Z.{ending}")
}

fn text(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

fn time(value: Option<Moment>) -> String {
    value.map(Moment::rfc3339).unwrap_or_default()
}

fn number<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn list(values: impl IntoIterator<Item = String>) -> String {
    values.into_iter().collect::<Vec<_>>().join("; ")
}

impl Row for DeploymentView {
    const COLUMNS: &'static [&'static str] = &[
        "started_at",
        "ended_at",
        "service",
        "cluster",
        "account",
        "region",
        "previous_revision",
        "target_revision",
        "phase",
        "outcome",
        "outcome_cause",
        "outcome_detail",
        "strategy",
        "initiator",
        "reason",
        "rollback_of",
        "rolled_back_by",
        "aws_id",
        "id",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.started_at.rfc3339(),
            time(self.ended_at),
            self.service.clone(),
            self.cluster.clone(),
            self.account.clone(),
            self.region.clone(),
            text(&self.previous_revision),
            text(&self.target_revision),
            self.phase
                .map(|phase| phase.word().to_string())
                .unwrap_or_default(),
            self.outcome.word().to_string(),
            self.outcome_cause
                .map(|cause| cause.word().to_string())
                .unwrap_or_default(),
            text(&self.outcome_detail),
            self.strategy.clone(),
            self.initiator.clone(),
            text(&self.reason),
            text(&self.rollback_of),
            text(&self.rolled_back_by),
            self.aws_id.clone(),
            self.id.clone(),
        ]
    }
}

impl Row for ServiceView {
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "cluster",
        "account",
        "region",
        "controller",
        "strategy",
        "serving_revision",
        "serving_since",
        "running_count",
        "desired_count",
        "known_good_count",
        "active_deployment",
        "last_deployment",
        "last_outcome",
        "alarms",
        "observed_at",
        "arn",
        "id",
    ];

    fn cells(&self) -> Vec<String> {
        let id = |deployment: &Option<DeploymentView>| {
            deployment
                .as_ref()
                .map(|deployment| deployment.id.clone())
                .unwrap_or_default()
        };
        let outcome = self
            .last_deployment
            .as_ref()
            .map(|last| last.outcome.word().to_string());
        vec![
            self.name.clone(),
            self.cluster.clone(),
            self.account.clone(),
            self.region.clone(),
            self.controller.clone(),
            self.strategy.clone(),
            text(&self.serving_revision),
            time(self.serving_since),
            self.running_count.to_string(),
            self.desired_count.to_string(),
            self.known_good_count.to_string(),
            id(&self.active_deployment),
            id(&self.last_deployment),
            outcome.unwrap_or_default(),
            list(self.alarms.iter().cloned()),
            self.observed_at.rfc3339(),
            self.arn.clone(),
            self.id.clone(),
        ]
    }
}

impl Row for RevisionView {
    const COLUMNS: &'static [&'static str] = &[
        "family",
        "number",
        "status",
        "serving",
        "served",
        "verdicts",
        "cannot_be_chosen",
        "images",
        "registered_at",
        "registered_by",
        "arn",
    ];

    fn cells(&self) -> Vec<String> {
        let served = self.served.iter().map(|served| {
            format!(
                "{} to {} at {}",
                served.from.rfc3339(),
                time(served.to),
                served.share
            )
        });
        let images = self.images.iter().map(|image| match &image.digest {
            Some(digest) => format!("{} {}@{digest}", image.container, image.image),
            None => format!("{} {}", image.container, image.image),
        });
        vec![
            self.family.clone(),
            self.number.to_string(),
            self.status.clone(),
            self.serving.to_string(),
            list(served),
            list(self.verdicts.iter().cloned()),
            text(&self.cannot_be_chosen),
            list(images),
            time(self.registered_at),
            text(&self.registered_by),
            self.arn.clone(),
        ]
    }
}

impl Row for GateView {
    const COLUMNS: &'static [&'static str] = &[
        "opened_at",
        "expires_at",
        "service",
        "stage",
        "state",
        "delivery",
        "decisions",
        "required_approvals",
        "may_not_decide",
        "previous_revision",
        "target_revision",
        "evidence_digest",
        "deployment_id",
        "id",
    ];

    fn cells(&self) -> Vec<String> {
        let decisions = self.decisions.iter().map(|decision| {
            let word = match decision.verdict {
                Verdict::Approve => "approve",
                Verdict::Reject => "reject",
            };
            let said = format!("{} {word} {}", decision.at.rfc3339(), decision.actor);
            match &decision.reason {
                Some(reason) => format!("{said}: {reason}"),
                None => said,
            }
        });
        vec![
            self.opened_at.rfc3339(),
            self.expires_at.rfc3339(),
            self.deployment.service.clone(),
            self.stage.clone(),
            self.state.word().to_string(),
            number(self.delivery.map(|delivery| delivery.word())),
            list(decisions),
            self.required_approvals.to_string(),
            text(&self.may_not_decide),
            text(&self.deployment.previous_revision),
            text(&self.deployment.target_revision),
            self.evidence_digest.clone(),
            self.deployment_id.clone(),
            self.id.clone(),
        ]
    }
}

impl Row for AuditView {
    const COLUMNS: &'static [&'static str] = &[
        "sequence",
        "at",
        "actor",
        "event",
        "subject",
        "reason",
        "detail",
        "hash",
        "address",
        "service_id",
        "policy_digest",
        "evidence_digest",
        "aws_event_source",
        "aws_event_name",
        "aws_region",
        "aws_request_id",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.sequence.to_string(),
            self.at.rfc3339(),
            self.actor.clone(),
            self.event.clone(),
            text(&self.subject),
            text(&self.reason),
            self.detail.to_string(),
            self.hash.clone(),
            text(&self.address),
            text(&self.service_id),
            text(&self.policy_digest),
            text(&self.evidence_digest),
            number(self.aws.as_ref().map(|aws| aws.event_source.as_str())),
            number(self.aws.as_ref().map(|aws| aws.event_name.as_str())),
            number(self.aws.as_ref().map(|aws| aws.region.as_str())),
            number(self.aws.as_ref().and_then(|aws| aws.request_id.as_deref())),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    struct Line(&'static str);

    impl Row for Line {
        const COLUMNS: &'static [&'static str] = &["id", "reason"];
        fn cells(&self) -> Vec<String> {
            vec!["1".to_string(), self.0.to_string()]
        }
    }

    fn page(lines: &[&'static str], next_cursor: Option<&str>) -> Page<Line> {
        Page {
            items: lines.iter().map(|line| Line(line)).collect(),
            next_cursor: next_cursor.map(str::to_string),
            notice: None,
        }
    }

    fn written(line: &'static str) -> String {
        String::from_utf8(rows(&[Line(line)]).unwrap()).unwrap()
    }

    #[test]
    fn cells_are_quoted_as_rfc_4180_says_and_never_formulas() {
        for (reason, expected) in [
            ("plain", "1,plain\r\n"),
            ("a \"b\", c", "1,\"a \"\"b\"\", c\"\r\n"),
            ("two\nlines", "1,\"two\nlines\"\r\n"),
            ("Mira Kovač", "1,Mira Kovač\r\n"),
            ("=1+1", "1,'=1+1\r\n"),
            ("+49", "1,'+49\r\n"),
            ("-1", "1,'-1\r\n"),
            ("@SUM(A1)", "1,'@SUM(A1)\r\n"),
            ("\t=1", "1,'\t=1\r\n"),
            ("a=1", "1,a=1\r\n"),
            ("", "1,\r\n"),
        ] {
            assert_eq!(written(reason), expected);
        }
    }

    async fn all(
        first: Page<Line>,
        most: usize,
        asked: &AtomicUsize,
    ) -> (String, Result<(), String>) {
        let (sender, mut receiver) = mpsc::channel(16);
        let next = |cursor: String| {
            asked.fetch_add(1, Ordering::SeqCst);
            async move {
                match cursor.as_str() {
                    "two" => Ok(page(&["c", "d"], None)),
                    _ => Err(Refusal::not_found("page", &cursor)),
                }
            }
        };
        let done = send_pages(&sender, header_row::<Line>().unwrap(), first, next, most).await;
        drop(sender);
        let mut text = String::new();
        while let Some(bytes) = receiver.recv().await {
            text.push_str(std::str::from_utf8(&bytes.unwrap()).unwrap());
        }
        (text, done)
    }

    #[tokio::test]
    async fn pages_follow_each_other_until_the_list_ends() {
        let asked = AtomicUsize::new(0);
        let (text, done) = all(page(&["a", "b"], Some("two")), 100, &asked).await;
        assert_eq!(text, "id,reason\r\n1,a\r\n1,b\r\n1,c\r\n1,d\r\n");
        assert_eq!((done, asked.load(Ordering::SeqCst)), (Ok(()), 1));
    }

    #[tokio::test]
    async fn a_file_that_is_cut_says_so_and_one_that_just_fits_does_not() {
        let asked = AtomicUsize::new(0);
        let (text, _) = all(page(&["a", "b"], Some("two")), 3, &asked).await;
        let last = format!("\"{}\"", cut_words(3));
        assert!(
            text.starts_with("id,reason\r\n1,a\r\n1,b\r\n1,c\r\n"),
            "{text}"
        );
        assert!(text.contains("There are more rows."), "{text} {last}");
        let (text, _) = all(page(&["a", "b"], Some("two")), 4, &asked).await;
        assert!(text.ends_with("1,d\r\n"), "{text}");
        let (text, _) = all(page(&["a", "b"], Some("two")), 2, &asked).await;
        assert!(text.contains("There are more rows."), "{text}");
    }

    #[tokio::test]
    async fn a_page_that_is_refused_breaks_the_file_off() {
        let asked = AtomicUsize::new(0);
        let (text, done) = all(page(&["a"], Some("three")), 100, &asked).await;
        assert_eq!(text, "id,reason\r\n1,a\r\n");
        assert_eq!(done, Err("There is no page three.".to_string()));
    }

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        let gate: GateView = crate::tests::gate_view("gate-1");
        assert_eq!(gate.cells().len(), GateView::COLUMNS.len());
        assert_eq!(gate.deployment.cells().len(), DeploymentView::COLUMNS.len());
    }
}
