//! The floors: what the same machine does at least, by an axum handler that does nothing else.
//!
//! Each is a process of its own, as the server is, with tokio's usual threads.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use anyhow::Result;
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use hyper::StatusCode;
use serde_json::Map;
use serde_json::Value;
use sqlx::Column;
use sqlx::Row;
use sqlx::TypeInfo;
use sqlx::ValueRef;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::sqlite::SqliteRow;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::broadcast;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;

use crate::Options;
use crate::machine::Process;
use crate::machine::command;
use crate::machine::ready_file;

/// What the floor of the pages is told: the database, and the statements of each path.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Statements {
    /// The SQLite file.
    pub database: String,
    /// For `/NAME`: the statements, run one after the other.
    pub paths: BTreeMap<String, Vec<String>>,
}

/// The file in the data folder in which [`Statements`] are handed over.
pub fn statements_file(options: &Options) -> std::path::PathBuf {
    options.data.join("floor-statements.json")
}

/// The file in which a floor says where it answers.
fn told_file(options: &Options) -> std::path::PathBuf {
    options
        .data
        .join(format!("floor-{}.json", std::process::id()))
}

/// Starts this program again as a floor; gives it and its address.
pub async fn start(options: &Options, word: &str, folder: &Path) -> Result<(Process, String)> {
    let own = std::env::current_exe().context("this program does not know where it is")?;
    let mut command: Command = command(&own);
    command
        .arg(word)
        .arg("--binary")
        .arg(&options.binary)
        .arg("--data")
        .arg(&options.data)
        .env("BENCH_FLOOR_TELLS", told_file(options));
    let mut process = Process::start("the floor", command, &folder.join("floor.log"))?;
    let told = ready_file(&told_file(options), &mut process).await?;
    std::fs::remove_file(told_file(options))?;
    let url = told["url"].as_str().context("the floor tells no address")?;
    Ok((process, url.to_string()))
}

/// Answers until it is killed.
async fn answer(router: Router) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let file = std::env::var_os("BENCH_FLOOR_TELLS").context("BENCH_FLOOR_TELLS is not set")?;
    let new = format!("{}.new", file.to_string_lossy());
    std::fs::File::create(&new)?
        .write_all(serde_json::json!({ "url": url }).to_string().as_bytes())?;
    std::fs::rename(&new, &file)?;
    axum::serve(listener, router).await?;
    Ok(())
}

/// The bare handler of the pages: runs the statements of its path and writes their rows as JSON.
pub async fn serve_pages(options: &Options) -> Result<()> {
    let statements: Statements = serde_json::from_slice(&std::fs::read(statements_file(options))?)?;
    // As many connections and the same settings as the store's.
    let pool = SqlitePoolOptions::new()
        .max_connections(8)
        .test_before_acquire(false)
        .connect_with(
            SqliteConnectOptions::new()
                .filename(&statements.database)
                .pragma("journal_mode", "wal")
                .pragma("query_only", "on"),
        )
        .await?;
    let mut router = Router::new();
    for (path, statements) in statements.paths {
        let statements: Arc<[String]> = statements.into();
        router = router.route(
            &format!("/{path}"),
            get(move |State(pool): State<SqlitePool>| {
                let statements = statements.clone();
                async move {
                    rows(&pool, &statements)
                        .await
                        .map(Json)
                        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")))
                }
            }),
        );
    }
    answer(router.with_state(pool)).await
}

async fn rows(pool: &SqlitePool, statements: &[String]) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for statement in statements {
        for row in sqlx::query(statement).fetch_all(pool).await? {
            all.push(object(&row)?);
        }
    }
    Ok(all)
}

fn object(row: &SqliteRow) -> Result<Value> {
    let mut object = Map::new();
    for (index, column) in row.columns().iter().enumerate() {
        let raw = row.try_get_raw(index)?;
        let value = match raw.type_info().name() {
            _ if raw.is_null() => Value::Null,
            "INTEGER" => Value::from(row.try_get::<i64, _>(index)?),
            "REAL" => Value::from(row.try_get::<f64, _>(index)?),
            _ => Value::from(row.try_get::<String, _>(index)?),
        };
        object.insert(column.name().to_string(), value);
    }
    Ok(Value::Object(object))
}

/// The bare stream: what is posted to `/` is sent to everybody who listens at `/`.
pub async fn serve_stream() -> Result<()> {
    let sender: broadcast::Sender<Bytes> = broadcast::Sender::new(1024);
    let router = Router::new()
        .route("/", get(listen))
        .route(
            "/",
            post(
                async |State(sender): State<broadcast::Sender<Bytes>>, body: Bytes| {
                    // Nobody listening is not an error.
                    let _ = sender.send(body);
                },
            ),
        )
        .with_state(sender);
    answer(router).await
}

async fn listen(State(sender): State<broadcast::Sender<Bytes>>) -> Response {
    let events = BroadcastStream::new(sender.subscribe()).filter_map(Result::ok);
    let first = tokio_stream::once(Bytes::from_static(b": open\n\n"));
    let mut response = Response::new(Body::from_stream(
        first.chain(events).map(Ok::<_, Infallible>),
    ));
    response.headers_mut().insert(
        hyper::header::CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("text/event-stream"),
    );
    response
}
