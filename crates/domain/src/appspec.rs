//! CodeDeploy's AppSpec for ECS: YAML or JSON, keys in any case (aws.md §1.3).

use crate::revision::NotARevision;
use crate::revision::RevisionArn;
use serde_json::Value;

/// What an AppSpec says, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSpec {
    /// The task definition it moves the service to.
    pub task_definition: RevisionArn,
    /// The container that receives the load balancer's traffic.
    pub container_name: String,
    /// Its port.
    pub container_port: u16,
    /// Lifecycle event and function, in order.
    pub hooks: Vec<(String, String)>,
}

/// Why a text is not an AppSpec that Switchback can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppSpecRefused {
    /// Neither YAML nor JSON.
    #[error("The AppSpec is neither YAML nor JSON.")]
    Unreadable,
    /// A member is missing or of the wrong kind.
    #[error("The AppSpec has no usable {0}.")]
    Missing(&'static str),
    /// The task definition is not a full ARN.
    #[error("The AppSpec's TaskDefinition must be a full ARN.")]
    TaskDefinition(#[source] NotARevision),
}

/// Reads an AppSpec.
pub fn parse(text: &str) -> Result<AppSpec, AppSpecRefused> {
    let tree = read(text)?;
    let properties = properties(&tree).ok_or(AppSpecRefused::Missing("Resources[0].Properties"))?;
    let task_definition = member(properties, "TaskDefinition")
        .and_then(Value::as_str)
        .ok_or(AppSpecRefused::Missing("TaskDefinition"))?;
    let balancer = member(properties, "LoadBalancerInfo")
        .ok_or(AppSpecRefused::Missing("LoadBalancerInfo"))?;
    let container_name = member(balancer, "ContainerName")
        .and_then(Value::as_str)
        .ok_or(AppSpecRefused::Missing("ContainerName"))?;
    let container_port = member(balancer, "ContainerPort")
        .and_then(|port| port.as_u64().or_else(|| port.as_str()?.parse().ok()))
        .and_then(|port| u16::try_from(port).ok())
        .ok_or(AppSpecRefused::Missing("ContainerPort"))?;
    let hooks = member(&tree, "Hooks")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .flatten()
        .filter_map(|(event, function)| Some((event.clone(), function.as_str()?.to_string())))
        .collect();
    Ok(AppSpec {
        task_definition: RevisionArn::parse(task_definition)
            .map_err(AppSpecRefused::TaskDefinition)?,
        container_name: container_name.to_string(),
        container_port,
        hooks,
    })
}

/// The same AppSpec for another task definition, as JSON; everything else is kept as it was.
pub fn with_task_definition(text: &str, arn: &RevisionArn) -> Result<String, AppSpecRefused> {
    let mut tree = read(text)?;
    let properties = member_mut(&mut tree, "Resources")
        .and_then(|resources| resources.get_mut(0))
        .and_then(Value::as_object_mut)
        .and_then(|resource| resource.values_mut().next())
        .and_then(|resource| member_mut(resource, "Properties"))
        .ok_or(AppSpecRefused::Missing("Resources[0].Properties"))?;
    let place = member_mut(properties, "TaskDefinition")
        .ok_or(AppSpecRefused::Missing("TaskDefinition"))?;
    *place = Value::String(arn.as_str().to_string());
    Ok(tree.to_string())
}

fn read(text: &str) -> Result<Value, AppSpecRefused> {
    // YAML contains JSON; a mapping with keys that are not text is not an AppSpec.
    let tree: Value = serde_yaml_ng::from_str(text).map_err(|_| AppSpecRefused::Unreadable)?;
    if tree.is_object() {
        Ok(tree)
    } else {
        Err(AppSpecRefused::Unreadable)
    }
}

fn properties(tree: &Value) -> Option<&Value> {
    let resource = member(tree, "Resources")?
        .get(0)?
        .as_object()?
        .values()
        .next()?;
    member(resource, "Properties")
}

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value
        .as_object()?
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn member_mut<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    value
        .as_object_mut()?
        .iter_mut()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = r#"
version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      properties:
        TaskDefinition: "arn:aws:ecs:r:1:task-definition/web:2"
        LoadBalancerInfo:
          ContainerName: "web"
          ContainerPort: 80
Hooks:
  - BeforeAllowTraffic: "switchback-relay"
  - AfterAllowTraffic: "arn:aws:lambda:r:1:function:after"
"#;

    #[test]
    fn yaml_and_json_read_alike_and_keys_in_any_case() {
        let spec = parse(YAML).unwrap();
        assert_eq!(spec.task_definition.short(), "web:2");
        assert_eq!(
            (spec.container_name.as_str(), spec.container_port),
            ("web", 80)
        );
        assert_eq!(
            spec.hooks[0],
            (
                "BeforeAllowTraffic".to_string(),
                "switchback-relay".to_string()
            )
        );
        let other = RevisionArn::parse("arn:aws:ecs:r:1:task-definition/web:1").unwrap();
        let json = with_task_definition(YAML, &other).unwrap();
        let changed = parse(&json).unwrap();
        assert_eq!(changed.task_definition, other);
        assert_eq!(changed.hooks, spec.hooks);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parse("["), Err(AppSpecRefused::Unreadable));
        assert_eq!(parse("just text"), Err(AppSpecRefused::Unreadable));
        assert_eq!(
            parse("version: 0.0"),
            Err(AppSpecRefused::Missing("Resources[0].Properties"))
        );
        let unnumbered = YAML.replace("web:2", "web");
        assert!(matches!(
            parse(&unnumbered),
            Err(AppSpecRefused::TaskDefinition(_))
        ));
        assert_eq!(
            parse(&YAML.replace("80", "99999")),
            Err(AppSpecRefused::Missing("ContainerPort"))
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = parse(&text);
        }
    }
}
