//! A revision: one task definition ARN with what AWS had registered under it.

use crate::moment::Moment;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde_json::Value;

/// A task definition ARN: `arn:aws:ecs:REGION:ACCOUNT:task-definition/FAMILY:NUMBER`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RevisionArn(String);

/// The text is not a full task definition ARN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a task definition ARN such as arn:aws:ecs:eu-central-1:123456789012:task-definition/web:7"
)]
pub struct NotARevision {
    /// What was given.
    pub text: String,
}

impl RevisionArn {
    /// Checks that the text is a full task definition ARN with a revision number.
    pub fn parse(text: &str) -> Result<RevisionArn, NotARevision> {
        let wrong = || NotARevision {
            text: text.to_string(),
        };
        let (head, name) = text.split_once(":task-definition/").ok_or_else(wrong)?;
        let (family, number) = name.rsplit_once(':').ok_or_else(wrong)?;
        let head: Vec<&str> = head.split(':').collect();
        let sound = head.len() == 5
            && head[0] == "arn"
            && head[2] == "ecs"
            && !family.is_empty()
            && family
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && number.parse::<u64>().is_ok_and(|number| number > 0);
        if sound {
            Ok(RevisionArn(text.to_string()))
        } else {
            Err(wrong())
        }
    }

    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `FAMILY:NUMBER`
    pub fn short(&self) -> &str {
        self.0
            .rsplit_once('/')
            .map_or(self.0.as_str(), |(_, short)| short)
    }

    /// The family.
    pub fn family(&self) -> &str {
        self.short()
            .rsplit_once(':')
            .map_or("", |(family, _)| family)
    }

    /// The revision number within the family.
    pub fn number(&self) -> u64 {
        self.short()
            .rsplit_once(':')
            .and_then(|(_, number)| number.parse().ok())
            .unwrap_or(0)
    }
}

impl std::fmt::Display for RevisionArn {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RevisionArn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RevisionArn, D::Error> {
        let text = String::deserialize(deserializer)?;
        RevisionArn::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Whether AWS would still run a revision. [M: TaskDefinitionStatus]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevisionStatus {
    /// May be deployed.
    Active,
    /// Deregistered: running tasks go on, nothing new may use it.
    Inactive,
    /// Being deleted.
    DeleteInProgress,
    /// A status this version does not know, or AWS could not be asked.
    Unknown,
}

impl RevisionStatus {
    /// The word used in the store and the API.
    pub const fn word(self) -> &'static str {
        match self {
            RevisionStatus::Active => "active",
            RevisionStatus::Inactive => "inactive",
            RevisionStatus::DeleteInProgress => "delete_in_progress",
            RevisionStatus::Unknown => "unknown",
        }
    }

    /// The status with this word; anything else is unknown.
    pub fn parse(word: &str) -> RevisionStatus {
        match word {
            "active" => RevisionStatus::Active,
            "inactive" => RevisionStatus::Inactive,
            "delete_in_progress" => RevisionStatus::DeleteInProgress,
            _ => RevisionStatus::Unknown,
        }
    }
}

/// One container's image as a revision names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerImage {
    /// The container's name.
    pub container: String,
    /// The image as registered, usually with a tag.
    pub image: String,
    /// `sha256:…` where the image is named by digest.
    pub digest: Option<String>,
}

/// A revision as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The task definition ARN.
    pub arn: RevisionArn,
    /// Whether AWS would still run it, when last asked.
    pub status: RevisionStatus,
    /// When AWS registered it.
    pub registered_at: Option<Moment>,
    /// Who registered it (a principal ARN).
    pub registered_by: Option<String>,
    /// The full task definition as DescribeTaskDefinition gave it, re-registrable (aws.md §2.4).
    pub task_definition: Value,
}

impl Revision {
    /// The images of all containers, in the order they are registered in.
    pub fn images(&self) -> Vec<ContainerImage> {
        containers(&self.task_definition)
            .map(|container| {
                let image = text(container, "image");
                let digest = image.split_once('@').map(|(_, digest)| digest.to_string());
                ContainerImage {
                    container: text(container, "name"),
                    image,
                    digest,
                }
            })
            .collect()
    }

    /// Whether a container of this name listens on this port.
    pub fn has_container_port(&self, name: &str, port: u16) -> bool {
        containers(&self.task_definition)
            .filter(|container| text(container, "name") == name)
            .any(|container| {
                container["portMappings"]
                    .as_array()
                    .is_some_and(|mappings| {
                        mappings.iter().any(|mapping| {
                            mapping["containerPort"].as_u64() == Some(u64::from(port))
                        })
                    })
            })
    }
}

/// The container definitions of a task definition's JSON.
pub fn containers(task_definition: &Value) -> impl Iterator<Item = &Value> {
    task_definition["containerDefinitions"]
        .as_array()
        .into_iter()
        .flatten()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_knows_its_family_and_number() {
        let arn =
            RevisionArn::parse("arn:aws:ecs:eu-central-1:123456789012:task-definition/web-api:17")
                .unwrap();
        assert_eq!(
            (arn.short(), arn.family(), arn.number()),
            ("web-api:17", "web-api", 17)
        );
        for wrong in [
            "",
            "web:1",
            "arn:aws:ecs:r:1:task-definition/web",
            "arn:aws:ecs:r:1:task-definition/web:0",
            "arn:aws:ecs:r:1:service/web:1",
            "arn:aws:ecs:r:1:task-definition/a/b:1",
        ] {
            assert!(RevisionArn::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn images_and_ports_come_from_the_registered_json() {
        let revision = Revision {
            arn: RevisionArn::parse("arn:aws:ecs:r:1:task-definition/web:1").unwrap(),
            status: RevisionStatus::Active,
            registered_at: None,
            registered_by: None,
            task_definition: serde_json::json!({"containerDefinitions": [
                {"name": "web", "image": "repo/web@sha256:ab", "portMappings": [{"containerPort": 80}]},
                {"name": "log", "image": "repo/log:1"}]}),
        };
        let images = revision.images();
        assert_eq!(images[0].digest.as_deref(), Some("sha256:ab"));
        assert_eq!(images[1].digest, None);
        assert!(revision.has_container_port("web", 80));
        assert!(!revision.has_container_port("web", 81));
        assert!(!revision.has_container_port("log", 80));
    }
}
