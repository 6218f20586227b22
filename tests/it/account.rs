//! The simulated AWS account from outside: AWS's own requests, written by hand, and its `/_sim`.
//!
//! Design notes. The product speaks through the AWS SDK; the journeys must not use the same adapter to
//! make the facts that it then reads. So requests are put together here, in the two oldest protocols.

use http::Method;
use serde_json::Value;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::wire;

/// The region of all journeys.
pub const REGION: &str = "eu-central-1";
/// The account number.
pub const ACCOUNT: &str = "123456789012";
/// The access key with which teams outside Switchback work.
pub const TEAM_KEY: &str = "AKIDTEAM";
/// The access key that the product is given: the journal tells its calls by it.
pub const PRODUCT_KEY: &str = "AKIDSWITCHBACK";

/// A refusal of AWS.
#[derive(Debug)]
pub struct AwsRefusal {
    pub code: String,
    pub message: String,
}

/// The account.
#[derive(Clone)]
pub struct Account {
    pub endpoint: String,
    /// The access key of whoever asks.
    key: String,
}

/// A service of AWS that speaks JSON.
#[derive(Clone, Copy)]
pub enum Json {
    CodeDeploy,
    Ecs,
    CloudWatch,
    DynamoDb,
    Events,
    Sqs,
}

impl Json {
    fn name_and_target(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Json::CodeDeploy => (
                "codedeploy",
                "CodeDeploy_20141006",
                "application/x-amz-json-1.1",
            ),
            Json::Ecs => (
                "ecs",
                "AmazonEC2ContainerServiceV20141113",
                "application/x-amz-json-1.1",
            ),
            Json::CloudWatch => (
                "monitoring",
                "GraniteServiceVersion20100801",
                "application/x-amz-json-1.0",
            ),
            Json::DynamoDb => (
                "dynamodb",
                "DynamoDB_20120810",
                "application/x-amz-json-1.0",
            ),
            Json::Events => ("events", "AWSEvents", "application/x-amz-json-1.1"),
            Json::Sqs => ("sqs", "AmazonSQS", "application/x-amz-json-1.0"),
        }
    }
}

impl Account {
    /// The account as a team of its own sees it.
    pub fn at(endpoint: &str) -> Account {
        Account {
            endpoint: endpoint.trim_end_matches('/').to_string(),
            key: TEAM_KEY.to_string(),
        }
    }

    /// Another account at the same endpoint, as a team sees it that assumed a role there.
    pub async fn other(&self, account: &str) -> Account {
        let role = format!("arn:aws:iam::{account}:role/team");
        let members = [("RoleArn", role.as_str()), ("RoleSessionName", "team")];
        let answer = self
            .form_call("sts", "2011-06-15", "AssumeRole", &members)
            .await;
        Account {
            endpoint: self.endpoint.clone(),
            key: tag(&answer, "AccessKeyId"),
        }
    }

    /// One call that may be refused.
    pub async fn ask(
        &self,
        service: Json,
        operation: &str,
        input: Value,
    ) -> Result<Value, AwsRefusal> {
        let (name, target, form) = service.name_and_target();
        let target = format!("{target}.{operation}");
        let authorization = self.authorization(name);
        let headers = [
            ("content-type", form),
            ("x-amz-target", target.as_str()),
            ("authorization", authorization.as_str()),
            ("x-amz-date", "20260101T000000Z"),
        ];
        let answer = wire::send(Method::POST, &self.endpoint, &headers, input.to_string())
            .await
            .unwrap_or_else(|error| panic!("{operation}: {error}"));
        if answer.status == 200 {
            return Ok(if answer.body.is_empty() {
                Value::Null
            } else {
                answer.json()
            });
        }
        let refusal = answer.json();
        let code = refusal["__type"].as_str().unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default().to_string();
        let message = refusal["message"].as_str().or(refusal["Message"].as_str());
        Err(AwsRefusal {
            code,
            message: message.unwrap_or_default().to_string(),
        })
    }

    /// One call that must not be refused.
    pub async fn call(&self, service: Json, operation: &str, input: Value) -> Value {
        self.ask(service, operation, input.clone())
            .await
            .unwrap_or_else(|refusal| panic!("{operation} {input}: {refusal:?}"))
    }

    /// One call of the load balancer's service, which speaks forms and XML.
    pub async fn balancer_call(&self, action: &str, members: &[(&str, &str)]) -> String {
        self.form_call("elasticloadbalancing", "2015-12-01", action, members)
            .await
    }

    async fn form_call(
        &self,
        service: &str,
        version: &str,
        action: &str,
        members: &[(&str, &str)],
    ) -> String {
        let pairs = [("Action", action), ("Version", version)];
        let body: Vec<String> = pairs
            .iter()
            .chain(members)
            .map(|(name, value)| format!("{name}={}", form_encoded(value)))
            .collect();
        let authorization = self.authorization(service);
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", authorization.as_str()),
        ];
        let answer = wire::send(Method::POST, &self.endpoint, &headers, body.join("&"))
            .await
            .unwrap_or_else(|error| panic!("{action}: {error}"));
        assert_eq!(answer.status, 200, "{action}: {}", answer.body);
        answer.body
    }

    /// What AWS says of a deployment.
    pub async fn deployment_info(&self, aws_id: &str) -> Value {
        let answer = self
            .call(
                Json::CodeDeploy,
                "GetDeployment",
                json!({ "deploymentId": aws_id }),
            )
            .await;
        answer["deploymentInfo"].clone()
    }

    /// What a signed request carries. The simulation reads who calls and never checks the signature.
    fn authorization(&self, service: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={}/20260101/{REGION}/{service}/aws4_request, \
             SignedHeaders=host, Signature=00",
            self.key
        )
    }

    // ---- beside the AWS endpoint -------------------------------------------------------------------

    /// Reads under `/_sim`.
    pub async fn read(&self, path: &str) -> Value {
        let url = format!("{}/_sim/{path}", self.endpoint);
        let answer = wire::send(Method::GET, &url, &[], "").await;
        answer.unwrap_or_else(|error| panic!("{error}")).is(200)
    }

    /// Posts under `/_sim`.
    pub async fn tell(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/_sim/{path}", self.endpoint);
        let answer = wire::send(Method::POST, &url, &[], body.to_string()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}"));
        assert!(answer.status < 300, "{}: {}", answer.asked, answer.body);
        answer.json()
    }

    /// Takes all faults away.
    pub async fn heal(&self) {
        let url = format!("{}/_sim/faults", self.endpoint);
        let answer = wire::send(Method::DELETE, &url, &[], "").await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}"));
        assert!(answer.status < 300, "{}: {}", answer.asked, answer.body);
    }

    /// Lets simulated time pass at once.
    pub async fn advance(&self, seconds: u32) {
        self.tell("clock", json!({ "advance_s": seconds })).await;
    }

    /// The account's clock, in seconds since 1970.
    pub async fn now(&self) -> i64 {
        let clock = self.read("clock").await;
        seconds(clock["now"].as_str().unwrap_or_default())
    }

    /// Every call that changed something or tried to, made with this access key.
    pub async fn journal(&self, access_key: &str) -> Vec<Value> {
        self.journal_of(&format!("arn:aws:iam::{ACCOUNT}:user/{access_key}"))
            .await
    }

    /// Every call that changed something or tried to, made by this principal.
    pub async fn journal_of(&self, caller: &str) -> Vec<Value> {
        let journal = self.read("journal").await;
        let calls = journal.as_array().expect("the journal is an array").iter();
        calls
            .filter(|call| call["caller"] == caller)
            .cloned()
            .collect()
    }
}

/// Seconds since 1970 of an RFC 3339 time.
pub fn seconds(text: &str) -> i64 {
    OffsetDateTime::parse(text, &Rfc3339)
        .unwrap_or_else(|error| panic!("{text} is no time: {error}"))
        .unix_timestamp()
}

fn form_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The text between the first such tags.
pub fn tag(xml: &str, name: &str) -> String {
    let inner = xml
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
    inner
        .unwrap_or_else(|| panic!("there is no <{name}> in {xml}"))
        .0
        .to_string()
}
