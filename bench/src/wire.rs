//! HTTP as it is, over connections that stay open.

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// One server, and what is sent along with each request.
#[derive(Clone)]
pub struct Http {
    /// The address without a path.
    pub base: String,
    client: Client<HttpConnector, Full<Bytes>>,
    headers: Vec<(String, String)>,
}

/// What came back, read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Http {
    /// Without any proof of who asks.
    pub fn new(base: &str) -> Http {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Http {
            base: base.trim_end_matches('/').to_string(),
            client: Client::builder(TokioExecutor::new()).build(connector),
            headers: Vec::new(),
        }
    }

    /// With one more header in each request.
    pub fn with(mut self, name: &str, value: &str) -> Http {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// Sends a request and gives the head of the answer.
    pub async fn begin(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<hyper::Response<Incoming>> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method).uri(&url);
        let own = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.into()))?;
        self.client.request(request).await.with_context(|| url)
    }

    /// Sends a request and reads the answer to its end.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let (parts, body) = self.begin(method, path, headers, body).await?.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// Reads; anything but 200 is an error.
    pub async fn get(&self, path: &str) -> Result<Bytes> {
        let answer = self.send(Method::GET, path, &[], "").await?;
        answer.is(200, path)
    }

    /// Reads JSON.
    pub async fn json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&self.get(path).await?)?)
    }

    /// Posts JSON; anything but success is an error.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let headers = [("content-type", "application/json")];
        let answer = self
            .send(Method::POST, path, &headers, body.to_string())
            .await?;
        let body = answer.success_of(path)?;
        Ok(if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body)?
        })
    }
}

impl Answer {
    /// The body, if the status is this one.
    pub fn is(self, status: u16, what: &str) -> Result<Bytes> {
        if self.status == status {
            return Ok(self.body);
        }
        bail!(
            "{what} answered {}: {}",
            self.status,
            String::from_utf8_lossy(&self.body)
        )
    }

    /// The body, if the status is a success.
    pub fn success_of(self, what: &str) -> Result<Bytes> {
        let status = self.status;
        self.is(
            if (200..300).contains(&status) {
                status
            } else {
                200
            },
            what,
        )
    }
}
