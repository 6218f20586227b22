//! HTTP as it is: one request, one answer, nothing hidden. Redirects are answers.

use http::HeaderMap;
use http::Method;
use http::Request;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// What came back.
pub struct Answer {
    /// What was asked, for messages.
    pub asked: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

/// Sends one request over a connection of its own.
pub async fn send(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, String> {
    let asked = format!("{method} {url}");
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(body.into()))
        .map_err(|error| format!("{asked}: {error}"))?;
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build_http();
    let response = client
        .request(request)
        .await
        .map_err(|error| format!("{asked}: {}", chain(&error)))?;
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| format!("{asked}: {}", chain(&error)))?;
    Ok(Answer {
        asked,
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body.to_bytes()).to_string(),
    })
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    words
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.asked, self.body))
    }

    /// The body as JSON, if the status is this one.
    pub fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.body);
        self.json()
    }

    /// A header's text; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Holds that this is the documented problem.
    pub fn refused(self, status: u16, code: &str) -> Value {
        let form = self.header(header::CONTENT_TYPE.as_str()).to_string();
        assert_eq!(
            (self.status, form.as_str()),
            (status, "application/problem+json"),
            "{}: {}",
            self.asked,
            self.body
        );
        let problem = self.json();
        assert_eq!(problem["code"], code, "{}: {}", self.asked, self.body);
        assert_eq!(problem["status"], status, "{}: {}", self.asked, self.body);
        for member in ["type", "title", "detail"] {
            assert!(
                problem[member].is_string(),
                "{member} is missing: {}",
                self.body
            );
        }
        problem
    }

    /// The cookie with this name that the answer sets.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let set = self.headers.get_all(header::SET_COOKIE).iter();
        set.filter_map(|value| value.to_str().ok())
            .filter_map(|cookie| cookie.split(';').next())
            .find(|pair| pair.starts_with(&format!("{name}=")))
            .map(str::to_string)
    }
}
