//! An event of EventBridge, read as a hint: where to look now. It is never a fact.
//!
//! EventBridge promises neither that an event arrives, nor once, nor in order, nor soon (aws.md §5). So nothing of it
//! but what names a thing is used, and what is recorded of that thing is read from AWS. Only events whose source is
//! AWS's own are hints: `aws.*` is reserved, anybody may put an event with another source.

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

/// The longest text that is taken for a name in an event, in bytes. ARNs of ECS have at most about 500.
const LONGEST_NAME: usize = 1024;

/// What events are told by where they are read: EventBridge's detail-types. (aws.md §5)
pub const DETAIL_TYPES: [&str; 5] = [
    CODEDEPLOY_DEPLOYMENT,
    ECS_DEPLOYMENT,
    ECS_SERVICE_ACTION,
    ECS_HOOK,
    ALARM,
];

const CODEDEPLOY_DEPLOYMENT: &str = "CodeDeploy Deployment State-change Notification";
const ECS_DEPLOYMENT: &str = "ECS Deployment State Change";
const ECS_SERVICE_ACTION: &str = "ECS Service Action";
const ECS_HOOK: &str = "ECS Hook State Change";
const ALARM: &str = "CloudWatch Alarm State Change";

/// An event as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventHint {
    /// EventBridge's id of it: the same when it is delivered twice.
    pub id: String,
    /// The account that it happened in.
    pub account: String,
    /// The region that it happened in.
    pub region: String,
    /// EventBridge's detail-type.
    pub detail_type: String,
    /// Where to look; `None` for an event of a kind that says nothing about what is watched.
    pub subject: Option<EventSubject>,
}

/// Where an event makes us look.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSubject {
    /// A deployment of CodeDeploy, by its id `d-XXXXXXXXX`.
    Deployment(String),
    /// A service.
    Service(EventService),
    /// An alarm has changed its state: whatever is under way is looked at.
    Alarm,
}

/// The service that an event names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventService {
    /// Its ARN, with the cluster in it.
    pub arn: String,
    /// The cluster's name.
    pub cluster: String,
    /// Its name.
    pub name: String,
    /// The deployment `ecs-svc/…` that began, where the event says so: AWS may show it a moment later.
    pub began: Option<String>,
}

/// Why a text is no event. Says which member is wrong and repeats nothing of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventUnreadable {
    /// It is not a JSON object.
    #[error(
        "The message is not a JSON object. The rule's target must send the whole matched event, without an input \
         transformer and without SNS in between."
    )]
    NotAnObject,
    /// A member is missing or is not what EventBridge sends.
    #[error("The event's member {member} must be {expected}.")]
    Member {
        /// Which one, as a path.
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

/// Reads the JSON text of an event as EventBridge sends it.
pub fn read_event(text: &[u8]) -> Result<EventHint, EventUnreadable> {
    let event: Value = serde_json::from_slice(text).map_err(|_| EventUnreadable::NotAnObject)?;
    if !event.is_object() {
        return Err(EventUnreadable::NotAnObject);
    }
    let account = member(&event, &["account"], "account")?;
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong("account", "an account number of 12 digits"));
    }
    let region = member(&event, &["region"], "region")?;
    let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !region.bytes().all(is_region) {
        return Err(wrong("region", "a region such as eu-central-1"));
    }
    let source = member(&event, &["source"], "source")?;
    let detail_type = member(&event, &["detail-type"], "detail-type")?;
    if !event.get("detail").is_some_and(Value::is_object) {
        return Err(wrong("detail", "an object"));
    }
    Ok(EventHint {
        id: member(&event, &["id"], "id")?.to_string(),
        subject: subject(&event, source, detail_type)?,
        account: account.to_string(),
        region: region.to_string(),
        detail_type: detail_type.to_string(),
    })
}

fn subject(
    event: &Value,
    source: &str,
    detail_type: &str,
) -> Result<Option<EventSubject>, EventUnreadable> {
    Ok(Some(match (source, detail_type) {
        ("aws.codedeploy", CODEDEPLOY_DEPLOYMENT) => {
            let id = member(event, &["detail", "deploymentId"], "detail.deploymentId")?;
            let is_id = id.starts_with("d-") && id.bytes().all(is_of_id);
            if !is_id {
                return Err(wrong(
                    "detail.deploymentId",
                    "an id of a deployment such as d-ABCDEFGHI",
                ));
            }
            EventSubject::Deployment(id.to_string())
        }
        ("aws.ecs", ECS_DEPLOYMENT) => {
            let service = first_resource(event)?;
            let began = event["detail"]["eventName"].as_str() == Some(ECS_BEGAN);
            let deployment = event["detail"]["deploymentId"].as_str();
            let deployment = deployment.filter(|id| began && id.len() <= LONGEST_NAME);
            EventSubject::Service(service_of(event, service, "resources[0]", deployment)?)
        }
        ("aws.ecs", ECS_SERVICE_ACTION) => {
            let service = first_resource(event)?;
            EventSubject::Service(service_of(event, service, "resources[0]", None)?)
        }
        ("aws.ecs", ECS_HOOK) => {
            let service = member(event, &["detail", "serviceArn"], "detail.serviceArn")?;
            EventSubject::Service(service_of(event, service, "detail.serviceArn", None)?)
        }
        ("aws.cloudwatch", ALARM) => EventSubject::Alarm,
        _ => return Ok(None),
    }))
}

/// What ECS calls the beginning of a deployment, and of a rollback.
const ECS_BEGAN: &str = "SERVICE_DEPLOYMENT_IN_PROGRESS";

const fn is_of_id(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn wrong(member: &'static str, expected: &'static str) -> EventUnreadable {
    EventUnreadable::Member { member, expected }
}

fn member<'a>(
    event: &'a Value,
    path: &[&str],
    name: &'static str,
) -> Result<&'a str, EventUnreadable> {
    let found = path
        .iter()
        .try_fold(event, |value, member| value.get(member))
        .and_then(Value::as_str);
    found
        .filter(|text| !text.is_empty() && text.len() <= LONGEST_NAME)
        .ok_or(wrong(name, "a text that is not empty"))
}

fn first_resource(event: &Value) -> Result<&str, EventUnreadable> {
    event["resources"][0]
        .as_str()
        .filter(|arn| arn.len() <= LONGEST_NAME)
        .ok_or(wrong("resources[0]", "the ARN of an ECS service"))
}

/// The service by its ARN, `arn:aws:ecs:REGION:ACCOUNT:service/CLUSTER/NAME`; an ARN of the old form has no cluster,
/// which `detail.clusterArn` then names.
fn service_of(
    event: &Value,
    arn: &str,
    member: &'static str,
    began: Option<&str>,
) -> Result<EventService, EventUnreadable> {
    let refused = wrong(member, "the ARN of an ECS service");
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, "ecs", _, _, resource] = parts[..] else {
        return Err(refused);
    };
    let names: Vec<&str> = resource.split('/').collect();
    let (cluster, name) = match names[..] {
        ["service", cluster, name] => (cluster, name),
        ["service", name] => {
            let cluster = event["detail"]["clusterArn"].as_str();
            let cluster = cluster.and_then(|arn| arn.rsplit('/').next());
            (cluster.unwrap_or_default(), name)
        }
        _ => return Err(refused),
    };
    if cluster.is_empty() || name.is_empty() {
        return Err(refused);
    }
    Ok(EventService {
        arn: arn.to_string(),
        cluster: cluster.to_string(),
        name: name.to_string(),
        began: began.map(str::to_string),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const SERVICE: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/checkout";

    fn event(source: &str, detail_type: &str, resources: Value, detail: Value) -> Value {
        json!({
            "version": "0", "id": "e-1", "account": "123456789012", "region": "eu-central-1",
            "time": "2026-11-21T10:00:00Z", "source": source, "detail-type": detail_type,
            "resources": resources, "detail": detail,
        })
    }

    fn read(event: &Value) -> Result<EventHint, EventUnreadable> {
        read_event(event.to_string().as_bytes())
    }

    fn service(began: Option<&str>) -> Option<EventSubject> {
        Some(EventSubject::Service(EventService {
            arn: SERVICE.to_string(),
            cluster: "prod".to_string(),
            name: "checkout".to_string(),
            began: began.map(str::to_string),
        }))
    }

    #[test]
    fn where_each_kind_makes_us_look() {
        let group = "arn:aws:codedeploy:eu-central-1:123456789012:deploymentgroup:shop/checkout";
        let old_arn = "arn:aws:ecs:eu-central-1:123456789012:service/checkout";
        let cluster = "arn:aws:ecs:eu-central-1:123456789012:cluster/prod";
        let hook = json!({
            "eventName": "HOOK_AWAITING_ACTION", "hookType": "PAUSE", "serviceArn": SERVICE,
            "serviceDeploymentArn": "arn:aws:ecs:eu-central-1:123456789012:service-deployment/prod/checkout/x",
        });
        let deployment =
            json!({ "eventName": "SERVICE_DEPLOYMENT_IN_PROGRESS", "deploymentId": "ecs-svc/1" });
        let completed =
            json!({ "eventName": "SERVICE_DEPLOYMENT_COMPLETED", "deploymentId": "ecs-svc/1" });
        let of_codedeploy = json!({ "deploymentId": "d-ABCDEFGHI", "state": "START" });
        for (source, detail_type, resource, detail, subject) in [
            (
                "aws.codedeploy",
                CODEDEPLOY_DEPLOYMENT,
                group,
                of_codedeploy.clone(),
                Some(EventSubject::Deployment("d-ABCDEFGHI".to_string())),
            ),
            (
                "aws.ecs",
                ECS_DEPLOYMENT,
                SERVICE,
                deployment,
                service(Some("ecs-svc/1")),
            ),
            ("aws.ecs", ECS_DEPLOYMENT, SERVICE, completed, service(None)),
            (
                "aws.ecs",
                ECS_SERVICE_ACTION,
                SERVICE,
                json!({}),
                service(None),
            ),
            ("aws.ecs", ECS_HOOK, "arn:…", hook, service(None)),
            (
                "aws.cloudwatch",
                ALARM,
                "arn:…",
                json!({}),
                Some(EventSubject::Alarm),
            ),
            // Not of AWS's, although it is called so; and kinds that say nothing about what is watched.
            (
                "my.deploys",
                CODEDEPLOY_DEPLOYMENT,
                group,
                of_codedeploy,
                None,
            ),
            ("aws.ecs", "ECS Task State Change", "arn:…", json!({}), None),
            ("aws.ecs", "ECS Something New", "arn:…", json!({}), None),
        ] {
            let hint = read(&event(source, detail_type, json!([resource]), detail)).unwrap();
            assert_eq!(hint.subject, subject, "{source} {detail_type}");
            assert_eq!(
                (hint.id.as_str(), hint.region.as_str()),
                ("e-1", "eu-central-1")
            );
        }
        let of_old = event(
            "aws.ecs",
            ECS_SERVICE_ACTION,
            json!([old_arn]),
            json!({ "clusterArn": cluster }),
        );
        let Some(EventSubject::Service(found)) = read(&of_old).unwrap().subject else {
            panic!("a service");
        };
        assert_eq!(
            (found.cluster.as_str(), found.name.as_str()),
            ("prod", "checkout")
        );
    }

    #[test]
    fn what_is_no_event_is_refused_with_the_member_that_is_wrong() {
        for text in ["", "hello", "[]", "null", "3", "{"] {
            assert_eq!(
                read_event(text.as_bytes()),
                Err(EventUnreadable::NotAnObject),
                "{text}"
            );
        }
        let good = event("aws.ecs", ECS_SERVICE_ACTION, json!([SERVICE]), json!({}));
        for member in ["id", "account", "region", "source", "detail-type", "detail"] {
            for wrong in [Value::Null, json!(7), json!("")] {
                let mut event = good.clone();
                event[member] = wrong;
                let Err(EventUnreadable::Member { member: told, .. }) = read(&event) else {
                    panic!("{member} was taken: {event}");
                };
                assert_eq!(told, member);
            }
        }
        for (member, value) in [
            ("account", "12345"),
            ("account", "12345678901x"),
            ("region", "Frankfurt am Main"),
        ] {
            let mut event = good.clone();
            event[member] = json!(value);
            assert!(read(&event).is_err(), "{member} {value}");
        }
        for resources in [
            json!([]),
            json!(["checkout"]),
            json!([7]),
            json!(["arn:aws:ecs:eu-central-1:123456789012:task/prod/1"]),
            json!(["arn:aws:ecs:eu-central-1:123456789012:service/prod/"]),
            // Of the old form, and nothing says which cluster.
            json!(["arn:aws:ecs:eu-central-1:123456789012:service/checkout"]),
        ] {
            let told = read(&event(
                "aws.ecs",
                ECS_DEPLOYMENT,
                resources.clone(),
                json!({}),
            ));
            let told = told.unwrap_err().to_string();
            assert_eq!(
                told, "The event's member resources[0] must be the ARN of an ECS service.",
                "{resources}"
            );
        }
        for id in [json!(null), json!("x"), json!("d-1 2"), json!("d-<script>")] {
            let detail = json!({ "deploymentId": id });
            let of_codedeploy = event("aws.codedeploy", CODEDEPLOY_DEPLOYMENT, json!([]), detail);
            let told = read(&of_codedeploy).unwrap_err().to_string();
            assert!(told.contains("detail.deploymentId"), "{told}");
        }
    }

    proptest! {
        /// Whatever arrives, it is read or refused, and what is refused is not repeated.
        #[test]
        fn nothing_breaks_the_reading(text in "\\PC{0,200}") {
            if let Err(error) = read_event(text.as_bytes()) {
                prop_assert!(error.to_string().is_ascii());
            }
        }

        /// Any member may be replaced by anything.
        #[test]
        fn nothing_in_a_member_breaks_the_reading(
            member in prop::sample::select(vec!["id", "account", "region", "resources", "detail", "source"]),
            value in prop_oneof![
                Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from),
                "\\PC{0,40}".prop_map(Value::from), prop::collection::vec("\\PC{0,20}", 0..3).prop_map(Value::from),
            ],
        ) {
            let mut event = event("aws.ecs", ECS_DEPLOYMENT, json!([SERVICE]), json!({}));
            event[member] = value;
            if let Ok(hint) = read(&event) {
                prop_assert_eq!(hint.account.len(), 12);
                prop_assert!(!hint.id.is_empty());
            }
        }
    }
}
