//! What is answered when something is not done: a problem document for programs, a page for people.
//!
//! A handler says what is wrong once, as a [`Problem`]. Whether it becomes RFC 9457 JSON or a page is
//! decided at the outermost layer ([`crate::front::finish`]) by the path, so that no handler can get
//! it wrong and the refusals of axum itself look like ours.

use crate::openapi::answers::ProblemDocument;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use switchback_app::error::AppError;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_store::StoreError;

/// Something that is not done, on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: String,
    /// What happened, to what, and what to do.
    pub detail: String,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem with this status, code and text.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            code: code.to_string(),
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// 404: there is nothing at this path.
    pub fn no_such_path(path: &str) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("There is nothing at {path}."),
        )
    }

    /// 401: neither a session nor a token came with the request.
    pub fn sign_in_needed() -> Problem {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "sign_in_needed",
            "Nobody is signed in. Sign in, or send an API token as Authorization: Bearer TOKEN.",
        )
    }

    /// 422: a query parameter that is unknown or has a value that cannot be understood.
    pub fn parameter(name: &str, expected: &str) -> Problem {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_parameter",
            format!("The query parameter {name} must be {expected}."),
        )
    }

    /// 500, with nothing of the inside.
    pub fn internal() -> Problem {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Switchback failed inside; its log says more.",
        )
    }

    /// The database did not do what was asked. The inside is logged here and shown to nobody.
    pub fn of_store(error: &StoreError, tried: &str) -> Problem {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "the store failed to {tried}"
        );
        match error {
            StoreError::Unavailable { .. } => Problem::database_unavailable(),
            _ => Problem::internal(),
        }
    }

    /// 503: the database does not answer.
    pub fn database_unavailable() -> Problem {
        Problem {
            retry_after: Some(2),
            ..Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "database_unavailable",
                "The database does not answer now. Try again in a moment.",
            )
        }
    }

    /// As an RFC 9457 document. `instance` is the path that was asked.
    pub fn document(&self, instance: Option<&str>) -> serde_json::Value {
        self.written(instance, None)
    }

    fn written(&self, instance: Option<&str>, trace_id: Option<&str>) -> serde_json::Value {
        serde_json::json!(ProblemDocument {
            r#type: format!("urn:switchback:problem:{}", self.code),
            title: self
                .status
                .canonical_reason()
                .unwrap_or("Refused")
                .to_string(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.clone(),
            instance: instance.map(str::to_string),
            trace_id: trace_id.map(str::to_string),
        })
    }

    /// The response with the document as its body. `instance` is the path that was asked.
    pub fn as_document(&self, instance: &str, trace_id: &str) -> Response {
        let document = self.written(Some(instance), Some(trace_id));
        self.response("application/problem+json", document.to_string())
    }

    /// The response with a page for people as its body. It needs no session, script or data. Where Switchback
    /// itself failed, it says by which number the log tells more.
    pub fn as_page(&self, trace_id: &str) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Refused");
        let trace_id = Some(trace_id).filter(|_| self.status.is_server_error());
        self.response(
            "text/html; charset=utf-8",
            plain_page(title, &self.detail, trace_id),
        )
    }

    /// The response as a server function's caller understands it: the pages' own form of error.
    pub fn as_app_error(&self) -> Response {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => RefusalKind::SignInNeeded,
            StatusCode::FORBIDDEN => RefusalKind::Forbidden,
            StatusCode::NOT_FOUND => RefusalKind::NotFound,
            StatusCode::CONFLICT => RefusalKind::Conflict,
            StatusCode::SERVICE_UNAVAILABLE => RefusalKind::Unavailable,
            status if status.is_server_error() => RefusalKind::Internal,
            _ => RefusalKind::Invalid,
        };
        let error = AppError::Refused(Refusal::new(kind, &self.code, &self.detail));
        // An enum of texts is always JSON.
        let body = serde_json::to_string(&error).unwrap_or_default();
        self.response("application/json", body)
    }

    fn response(&self, content_type: &'static str, body: String) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let status = StatusCode::from_u16(refusal.kind.status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = (refusal.kind == RefusalKind::Unavailable).then_some(2);
        Problem {
            status,
            code: refusal.code,
            detail: refusal.message,
            retry_after,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response("application/problem+json", self.document(None).to_string())
    }
}

/// A page that says one thing. Used where the real pages cannot be: before sign-in, or when they failed.
fn plain_page(title: &str, text: &str, trace_id: Option<&str>) -> String {
    let trace = trace_id
        .map(|id| format!("<p>Trace <code>{}</code></p>", escaped(id)))
        .unwrap_or_default();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} · Switchback</title>\
         <link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">\
         <link rel=\"stylesheet\" href=\"/pkg/switchback.css\"></head>\
         <body><main class=\"plain\"><p class=\"brand\"><span>Switchback</span></p>\
         <h1>{title}</h1><p>{text}</p>{trace}\
         <p><a class=\"button\" href=\"/\">Go to Now</a></p></main></body></html>\n",
        title = escaped(title),
        text = escaped(text),
    )
}

/// Text for HTML, in elements and in quoted attributes.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_the_members_of_rfc_9457() {
        let problem = Problem::from(Refusal::new(
            RefusalKind::Conflict,
            "evidence_changed",
            "Evidence changed at 14:33. Review again.",
        ));
        assert_eq!(
            problem.document(Some("/api/v1/gates/gate-1/decisions")),
            serde_json::json!({
                "type": "urn:switchback:problem:evidence_changed",
                "title": "Conflict",
                "status": 409,
                "detail": "Evidence changed at 14:33. Review again.",
                "code": "evidence_changed",
                "instance": "/api/v1/gates/gate-1/decisions",
            })
        );
    }

    #[test]
    fn a_page_cannot_be_written_into() {
        let page = plain_page("Not Found", "<script>alert('1')</script>&\"", None);
        assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;"));
        assert!(!page.contains("<script"));
    }
}
