//! What the process tells about itself: the log, traces for an OpenTelemetry collector, and the numbers that
//! are counted where things happen. Panics go to the log.
//!
//! Rejected: the exporter's usual HTTP clients, which bring a second HTTP stack and run no tokio on the
//! exporter's own thread. Ours is hyper with the rustls that the AWS SDK uses, on the server's runtime.

use crate::config::ConfigProblems;
use crate::config::LogForm;
use anyhow::Context as _;
use async_trait::async_trait;
use hyper_rustls::HttpsConnector;
use hyper_rustls::HttpsConnectorBuilder;
use metrics_exporter_prometheus::Matcher;
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_exporter_prometheus::PrometheusHandle;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::Bytes;
use opentelemetry_http::HttpClient;
use opentelemetry_http::HttpError;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_otlp::WithHttpConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What is logged when `RUST_LOG` says nothing. The simulated DynamoDB warns about every refusal.
const USUAL_LOG: &str = "warn,switchback=info,dynoxide=error";

/// How long sending spans may take when `OTEL_EXPORTER_OTLP_TIMEOUT` says nothing, as OpenTelemetry has it.
const USUAL_SENDING_LIMIT: Duration = Duration::from_secs(10);

/// How long the last spans may take to be sent at the end.
const LAST_SENDING_LIMIT: Duration = Duration::from_secs(3);

/// The upper bounds of durations' buckets, in seconds.
const BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// The log and the traces of this process. Held until its end.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Begins to log, and to trace when the variables name a collector. Once in a process.
    pub fn begin(form: LogForm, variables: &BTreeMap<String, String>) -> anyhow::Result<Telemetry> {
        let collector = collector(variables)?;
        let traces = collector
            .map(|timeout| traces(timeout, variables))
            .transpose()?;
        let filter =
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL_LOG));
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match form {
            LogForm::Text => lines
                .with_ansi(in_colour(
                    std::io::stderr().is_terminal(),
                    std::env::var_os("NO_COLOR").as_deref(),
                ))
                .boxed(),
            LogForm::Json => lines
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .boxed(),
        };
        let sent = traces.as_ref().map(|provider| {
            tracing_opentelemetry::layer().with_tracer(provider.tracer("switchback"))
        });
        // One filter for both: with a filter for each layer, spans and lines were lost now and then.
        tracing_subscriber::registry()
            .with(filter)
            .with(sent)
            .with(lines)
            .init();
        std::panic::set_hook(Box::new(|panic| {
            let at = panic.location().map(ToString::to_string);
            let words = switchback_control::supervise::panic_words(panic.payload());
            tracing::error!(panic = words, at, "a panic");
        }));
        Ok(Telemetry { traces })
    }

    /// Sends the last spans.
    pub async fn end(self) {
        let Some(traces) = self.traces else {
            return;
        };
        let sent =
            tokio::task::spawn_blocking(move || traces.shutdown_with_timeout(LAST_SENDING_LIMIT));
        if let Ok(Err(error)) = sent.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the last spans could not be sent"
            );
        }
    }
}

/// Whether the log is coloured: before people, unless they said otherwise (<https://no-color.org>).
fn in_colour(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

/// Whether spans are sent, and how long that may take; the rest of the variables the exporter reads itself.
fn collector(variables: &BTreeMap<String, String>) -> Result<Option<Duration>, ConfigProblems> {
    let value = |name: &str| {
        variables
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    };
    let either = |name: &str| {
        let own = format!("OTEL_EXPORTER_OTLP_TRACES_{name}");
        value(&own).or_else(|| value(&format!("OTEL_EXPORTER_OTLP_{name}")))
    };
    let disabled =
        value("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let Some(endpoint) = either("ENDPOINT") else {
        return Ok(None);
    };
    if disabled || value("OTEL_TRACES_EXPORTER") == Some("none") {
        return Ok(None);
    }
    let mut problems = Vec::new();
    let is_url = endpoint.parse::<http::Uri>().is_ok_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some()
    });
    if !is_url {
        problems.push(format!(
            "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL such as http://127.0.0.1:4318, not {endpoint:?}"
        ));
    }
    if let Some(protocol) = either("PROTOCOL").filter(|protocol| *protocol != "http/protobuf") {
        problems.push(format!(
            "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, not {protocol:?}"
        ));
    }
    if let Some(exporter) = value("OTEL_TRACES_EXPORTER").filter(|exporter| *exporter != "otlp") {
        problems.push(format!(
            "OTEL_TRACES_EXPORTER must be otlp or none, not {exporter:?}"
        ));
    }
    let timeout = either("TIMEOUT").map_or(Some(USUAL_SENDING_LIMIT), |millis| {
        millis.parse().ok().map(Duration::from_millis)
    });
    if timeout.is_none() {
        problems.push("OTEL_EXPORTER_OTLP_TIMEOUT must be a number of milliseconds".to_string());
    }
    if problems.is_empty() {
        Ok(timeout)
    } else {
        Err(ConfigProblems(problems))
    }
}

fn traces(
    timeout: Duration,
    variables: &BTreeMap<String, String>,
) -> anyhow::Result<SdkTracerProvider> {
    let connector = HttpsConnectorBuilder::new()
        .with_native_roots()
        .context("could not read the system's certificates")?
        .https_or_http()
        .enable_http1()
        .build();
    let client = OnRuntime {
        runtime: tokio::runtime::Handle::current(),
        client: HyperClient::new(connector, timeout, None),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .build()
        .context("could not use the collector (OTEL_EXPORTER_OTLP_ENDPOINT)")?;
    let given = |name: &str, part: &str| {
        variables
            .get(name)
            .is_some_and(|value| value.contains(part))
    };
    let mut resource = Resource::builder();
    if !given("OTEL_SERVICE_NAME", "") && !given("OTEL_RESOURCE_ATTRIBUTES", "service.name=") {
        resource = resource.with_service_name("switchback");
    }
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build())
}

/// Sends on the server's runtime what the exporter hands over on its own thread.
#[derive(Debug)]
struct OnRuntime {
    runtime: tokio::runtime::Handle,
    client: HyperClient<HttpsConnector<hyper_util::client::legacy::connect::HttpConnector>>,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime
            .spawn(async move { client.send_bytes(request).await })
            .await?
    }
}

/// The numbers of this process, counted from the first call on.
pub fn numbers() -> &'static PrometheusHandle {
    static NUMBERS: OnceLock<PrometheusHandle> = OnceLock::new();
    NUMBERS.get_or_init(|| {
        let seconds = Matcher::Suffix("_duration_seconds".to_string());
        // Refused only for an empty list of buckets.
        let builder = PrometheusBuilder::new();
        let builder = builder
            .set_buckets_for_metric(seconds, &BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("somebody else counts in this process already; /metrics lacks counters");
        }
        for (name, help) in [
            (
                "switchback_http_request_duration_seconds",
                "Time until the head of the answer was ready, by route and status.",
            ),
            (
                "switchback_aws_call_duration_seconds",
                "Time that calls to AWS took with all their attempts, by operation and outcome.",
            ),
            (
                "switchback_look_duration_seconds",
                "Time that looks at AWS took, by region and outcome.",
            ),
        ] {
            metrics::describe_histogram!(name, help);
        }
        metrics::describe_counter!(
            "switchback_panics_total",
            "Panics, by what panicked: a request or a background task."
        );
        metrics::describe_counter!(
            "switchback_aws_throttled_total",
            "Requests that AWS throttled, each attempt counted, by operation."
        );
        metrics::describe_counter!(
            "switchback_events_total",
            "Events that the process which leads was told, by region, source (queue, webhook) and what became of them."
        );
        metrics::describe_counter!(
            "switchback_webhook_events_total",
            "Signed events that came to this process by the webhook, by what became of them."
        );
        for task in ["request", "watching", "acting"] {
            metrics::counter!("switchback_panics_total", "task" => task).absolute(0);
        }
        handle
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_people_who_want_them_see_colours() {
        for (is_terminal, no_color, expected) in [
            (true, None, true),
            (true, Some(""), true),
            (true, Some("1"), false),
            (true, Some("0"), false),
            (false, None, false),
            (false, Some(""), false),
            (false, Some("1"), false),
        ] {
            assert_eq!(
                in_colour(is_terminal, no_color.map(OsStr::new)),
                expected,
                "{is_terminal} {no_color:?}"
            );
        }
    }

    #[test]
    fn spans_are_sent_only_where_the_standard_variables_say() {
        let read = |pairs: &[(&str, &str)]| {
            let variables = pairs
                .iter()
                .map(|(name, value)| (format!("OTEL_{name}"), value.to_string()))
                .collect();
            collector(&variables)
        };
        let endpoint = ("EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[endpoint]).unwrap(), Some(USUAL_SENDING_LIMIT));
        assert_eq!(
            read(&[
                (
                    "EXPORTER_OTLP_TRACES_ENDPOINT",
                    "https://collector/v1/traces"
                ),
                ("EXPORTER_OTLP_TIMEOUT", "250"),
                ("EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
                ("TRACES_EXPORTER", "otlp"),
            ])
            .unwrap(),
            Some(Duration::from_millis(250))
        );
        for off in [("SDK_DISABLED", "true"), ("TRACES_EXPORTER", "none")] {
            assert_eq!(read(&[endpoint, off]).unwrap(), None, "{off:?}");
        }
        let problems = read(&[
            ("EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("EXPORTER_OTLP_TIMEOUT", "soon"),
            ("TRACES_EXPORTER", "zipkin"),
        ])
        .unwrap_err();
        assert_eq!(problems.0.len(), 4, "{problems}");
    }
}
