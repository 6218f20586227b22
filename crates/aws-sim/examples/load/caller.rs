//! Somebody who calls the account over HTTP, in AWS's protocols.

use std::error::Error;

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value as Json;

/// Whatever ends the measuring early.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A client with its connections.
#[derive(Clone)]
pub struct Caller {
    endpoint: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Caller {
    pub fn new(endpoint: String) -> Caller {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Caller {
            endpoint,
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }

    async fn send(&self, headers: &[(&str, &str)], body: String) -> Result<Bytes, Failure> {
        const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIDLOAD/20261121/eu-central-1/ecs/aws4_request, \
                              SignedHeaders=host, Signature=00";
        let mut request = Request::post(&self.endpoint).header("authorization", SIGNED);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let response = self.client.request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status.is_success() {
            Ok(body)
        } else {
            Err(String::from_utf8_lossy(&body).into_owned().into())
        }
    }

    async fn json(&self, version: &str, target: &str, input: &Json) -> Result<Json, Failure> {
        let headers = [("content-type", version), ("x-amz-target", target)];
        let answer = self.send(&headers, input.to_string()).await;
        let answer = answer.map_err(|error| format!("{target}: {error}"))?;
        if answer.is_empty() {
            return Ok(Json::Null);
        }
        Ok(serde_json::from_slice(&answer)?)
    }

    /// One call of an operation of `ecs`, `codedeploy`, `monitoring`, `events` or `sqs`.
    pub async fn call(
        &self,
        service: &str,
        operation: &str,
        input: &Json,
    ) -> Result<Json, Failure> {
        let prefix = match service {
            "ecs" => "AmazonEC2ContainerServiceV20141113",
            "codedeploy" => "CodeDeploy_20141006",
            "monitoring" => "GraniteServiceVersion20100801",
            "events" => "AWSEvents",
            _ => "AmazonSQS",
        };
        let version = match service {
            "sqs" | "monitoring" => "application/x-amz-json-1.0",
            _ => "application/x-amz-json-1.1",
        };
        self.json(version, &format!("{prefix}.{operation}"), input)
            .await
    }

    /// One call of Elastic Load Balancing; its answer is XML.
    pub async fn elb(&self, action: &str, fields: &[(&str, &str)]) -> Result<String, Failure> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", "2015-12-01")
            .extend_pairs(fields)
            .finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.send(&headers, body).await;
        let answer = answer.map_err(|error| format!("{action}: {error}"))?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// One call of Elastic Load Balancing that makes something, and the ARN of what it made.
    pub async fn make(
        &self,
        action: &str,
        arn: &str,
        fields: &[(&str, &str)],
    ) -> Result<String, Failure> {
        let answer = self.elb(action, fields).await?;
        let (open, close) = (format!("<{arn}>"), format!("</{arn}>"));
        let found = answer
            .split_once(&open)
            .and_then(|(_, rest)| rest.split_once(&close));
        let (found, _) = found.ok_or_else(|| format!("{action} answered no {arn}"))?;
        Ok(found.to_string())
    }
}
