//! One span for each request, and the trace id by which its log lines, its answer and its trace are found.
//!
//! A caller's `traceparent` (W3C) is gone on with. Whatever the caller, the id gives nobody any right; it is
//! passed on to nothing outside but the OpenTelemetry collector.

use crate::run::fill_random;
use axum::extract::MatchedPath;
use axum::extract::Request;
use http::HeaderName;
use http::Method;
use http::StatusCode;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::time::Duration;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header of every answer that carries the trace id, 32 hex digits.
pub const HEADER: HeaderName = HeaderName::from_static("trace-id");

/// What a request that no route takes is counted under.
const NO_ROUTE: &str = "none";

/// One request on its way.
#[derive(Debug)]
pub struct Trace {
    /// 32 hex digits.
    pub id: String,
    /// Everything that the request causes happens in it.
    pub span: Span,
    method: &'static str,
    route: String,
}

impl Trace {
    /// Begins. Only the path is told, never the query: notices and search words stand there.
    pub fn begin(request: &Request) -> Trace {
        let method = known(request.method());
        let matched = request.extensions().get::<MatchedPath>();
        let route = matched.map_or(NO_ROUTE, MatchedPath::as_str).to_string();
        let span = tracing::info_span!(
            "request",
            trace_id = tracing::field::Empty,
            otel.name = format!("{method} {route}"),
            otel.kind = "server",
            otel.status_code = tracing::field::Empty,
            http.request.method = method,
            http.route = route,
            url.path = request.uri().path(),
            http.response.status_code = tracing::field::Empty,
        );
        let caller = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &HeaderExtractor(request.headers()));
        let of_caller = caller.span().span_context().trace_id();
        let is_called = caller.span().span_context().is_valid();
        if is_called {
            // Fails when nothing is sent to a collector; the id is kept all the same.
            let _ = span.set_parent(caller);
        }
        let sent = span.context().span().span_context().clone();
        let id = if sent.is_valid() {
            sent.trace_id().to_string()
        } else if is_called {
            of_caller.to_string()
        } else {
            let mut bytes = [0; 16];
            fill_random(&mut bytes);
            hex::encode(bytes)
        };
        span.record("trace_id", &id);
        Trace {
            id,
            span,
            method,
            route,
        }
    }

    /// Ends with the head of the answer: counts it and writes a line about it.
    pub fn end(self, status: StatusCode, took: Duration) {
        metrics::histogram!(
            "switchback_http_request_duration_seconds",
            "method" => self.method,
            "route" => self.route,
            "status" => status.as_str().to_string(),
        )
        .record(took);
        self.span
            .record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            self.span.record("otel.status_code", "ERROR");
        }
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let status = status.as_u16();
        self.span.in_scope(|| {
            if self.method == "GET" || self.method == "HEAD" {
                tracing::debug!(status, millis, "answered");
            } else {
                tracing::info!(status, millis, "answered");
            }
        });
    }
}

/// Methods are anybody's words; only known ones become labels.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
