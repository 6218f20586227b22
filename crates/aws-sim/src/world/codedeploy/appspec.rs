//! The AppSpec of an ECS deployment, in YAML or JSON.
//!
//! Structure: \[D\]. Keys are matched without regard to case, because AWS's own GitHub action relies on it \[O\].
//! The texts of refusals are our own.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::error::AwsError;
use crate::value::Value;

/// The events that may name a function.
pub(super) const HOOKS: [&str; 5] = [
    "BeforeInstall",
    "AfterInstall",
    "AfterAllowTestTraffic",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
];

/// What an AppSpec asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AppSpec {
    pub(super) task_definition: String,
    pub(super) container: String,
    pub(super) port: i64,
    /// `platformVersion`, `networkConfiguration`, `capacityProviderStrategy` in ECS's spelling.
    pub(super) overrides: Value,
    /// Event and function, in the AppSpec's order.
    pub(super) hooks: Vec<(&'static str, String)>,
}

/// Lower-case hexadecimal SHA-256 of the content's bytes \[O\].
pub(super) fn sha256(content: &str) -> String {
    hex::encode(Sha256::digest(content.as_bytes()))
}

fn refuse(message: impl std::fmt::Display) -> AwsError {
    AwsError::caller(
        "InvalidRevisionException",
        format!("The AppSpec file is not valid: {message}"),
    )
}

/// A member by name without regard to case.
fn member<'a>(json: &'a Json, name: &str) -> Option<&'a Json> {
    let map = json.as_object()?;
    map.iter()
        .find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null())
        .map(|(_, value)| value)
}

fn text_member(json: &Json, name: &str) -> Option<String> {
    member(json, name)?
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_string)
}

fn only_known(json: &Json, place: &str, known: &[&str]) -> Result<(), AwsError> {
    let Some(map) = json.as_object() else {
        return Err(refuse(format!("{place} must be a structure")));
    };
    let mut seen = BTreeSet::new();
    for key in map.keys() {
        if !known.iter().any(|name| name.eq_ignore_ascii_case(key)) {
            return Err(refuse(format!("{place} has an unknown member '{key}'")));
        }
        if !seen.insert(key.to_ascii_lowercase()) {
            return Err(refuse(format!("{place} has the member '{key}' twice")));
        }
    }
    Ok(())
}

/// A text that may be left out; anything else in its place is a mistake.
fn optional_text(json: &Json, name: &str) -> Result<Option<String>, AwsError> {
    match member(json, name) {
        None => Ok(None),
        Some(Json::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(refuse(format!("{name} must be a text"))),
    }
}

/// A whole number from 0 to `most` that may be left out.
fn optional_number(json: &Json, name: &str, most: i64) -> Result<Option<i64>, AwsError> {
    match member(json, name) {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(number) if (0..=most).contains(&number) => Ok(Some(number)),
            _ => Err(refuse(format!("{name} must be a number from 0 to {most}"))),
        },
    }
}

pub(super) fn parse(content: &str) -> Result<AppSpec, AwsError> {
    if content.trim().is_empty() {
        return Err(refuse("it is empty"));
    }
    // YAML contains JSON, but reports its mistakes worse and reads some escapes differently.
    let root: Json = if content.trim_start().starts_with('{') {
        serde_json::from_str(content).map_err(|error| refuse(format!("it is not JSON: {error}")))?
    } else {
        serde_yaml_ng::from_str(content)
            .map_err(|error| refuse(format!("it is not YAML: {error}")))?
    };
    only_known(&root, "the document", &["version", "Resources", "Hooks"])?;
    let version = match member(&root, "version") {
        Some(Json::Number(number)) => number.as_f64() == Some(0.0),
        Some(Json::String(text)) => text == "0.0",
        _ => false,
    };
    if !version {
        return Err(refuse("version must be 0.0"));
    }
    let resource = match member(&root, "Resources")
        .and_then(Json::as_array)
        .map(Vec::as_slice)
    {
        Some([Json::Object(entry)]) if entry.len() == 1 => entry.values().next(),
        _ => None,
    };
    let resource =
        resource.ok_or_else(|| refuse("Resources must be a list of exactly one resource"))?;
    only_known(resource, "the resource", &["Type", "Properties"])?;
    if text_member(resource, "Type").as_deref() != Some("AWS::ECS::Service") {
        return Err(refuse("the resource's Type must be AWS::ECS::Service"));
    }
    let properties =
        member(resource, "Properties").ok_or_else(|| refuse("Properties are missing"))?;
    only_known(
        properties,
        "Properties",
        &[
            "TaskDefinition",
            "LoadBalancerInfo",
            "PlatformVersion",
            "NetworkConfiguration",
            "CapacityProviderStrategy",
        ],
    )?;
    let task_definition = text_member(properties, "TaskDefinition")
        .ok_or_else(|| refuse("TaskDefinition is missing"))?;
    let info = member(properties, "LoadBalancerInfo")
        .ok_or_else(|| refuse("LoadBalancerInfo is missing"))?;
    only_known(
        info,
        "LoadBalancerInfo",
        &["ContainerName", "ContainerPort"],
    )?;
    let container =
        text_member(info, "ContainerName").ok_or_else(|| refuse("ContainerName is missing"))?;
    let port = member(info, "ContainerPort")
        .and_then(Json::as_i64)
        .filter(|port| (1..=65_535).contains(port))
        .ok_or_else(|| refuse("ContainerPort must be a number from 1 to 65535"))?;
    Ok(AppSpec {
        task_definition,
        container,
        port,
        overrides: overrides(properties)?,
        hooks: hooks(&root)?,
    })
}

fn overrides(properties: &Json) -> Result<Value, AwsError> {
    let mut value = Value::map();
    if let Some(version) = optional_text(properties, "PlatformVersion")? {
        value = value.with("platformVersion", version);
    }
    if let Some(network) = member(properties, "NetworkConfiguration") {
        only_known(network, "NetworkConfiguration", &["AwsvpcConfiguration"])?;
        let vpc = member(network, "AwsvpcConfiguration")
            .ok_or_else(|| refuse("NetworkConfiguration must have AwsvpcConfiguration"))?;
        only_known(
            vpc,
            "AwsvpcConfiguration",
            &["Subnets", "SecurityGroups", "AssignPublicIp"],
        )?;
        let list = |name: &str| {
            let items = member(vpc, name).and_then(Json::as_array)?;
            items
                .iter()
                .map(|item| item.as_str().map(Value::from))
                .collect::<Option<Vec<_>>>()
        };
        let (subnets, groups) = (list("Subnets"), list("SecurityGroups"));
        let assign = text_member(vpc, "AssignPublicIp");
        let assign_known = assign
            .as_deref()
            .is_some_and(|text| ["ENABLED", "DISABLED"].contains(&text));
        let (Some(subnets), Some(groups), true) = (subnets, groups, assign_known) else {
            return Err(refuse(
                "AwsvpcConfiguration needs Subnets and SecurityGroups, and AssignPublicIp ENABLED or DISABLED",
            ));
        };
        value = value.with(
            "networkConfiguration",
            structure! {
                "awsvpcConfiguration": structure! {
                    "subnets": subnets,
                    "securityGroups": groups,
                    "assignPublicIp": assign,
                },
            },
        );
    }
    if let Some(strategy) = member(properties, "CapacityProviderStrategy") {
        let items = strategy
            .as_array()
            .ok_or_else(|| refuse("CapacityProviderStrategy must be a list"))?;
        let mut list = Vec::new();
        for item in items {
            only_known(
                item,
                "CapacityProviderStrategy",
                &["Base", "CapacityProvider", "Weight"],
            )?;
            let provider = text_member(item, "CapacityProvider")
                .ok_or_else(|| refuse("CapacityProviderStrategy needs CapacityProvider"))?;
            list.push(structure! {
                "capacityProvider": provider,
                "base": optional_number(item, "Base", 100_000)?,
                "weight": optional_number(item, "Weight", 1000)?,
            });
        }
        value = value.with("capacityProviderStrategy", list);
    }
    Ok(value)
}

fn hooks(root: &Json) -> Result<Vec<(&'static str, String)>, AwsError> {
    let Some(section) = member(root, "Hooks") else {
        return Ok(Vec::new());
    };
    let entries = section
        .as_array()
        .ok_or_else(|| refuse("Hooks must be a list"))?;
    let mut hooks: Vec<(&'static str, String)> = Vec::new();
    for entry in entries {
        let map = entry
            .as_object()
            .ok_or_else(|| refuse("a hook must be an event and a function"))?;
        for (event, function) in map {
            let event = HOOKS
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(event))
                .ok_or_else(|| refuse(format!("'{event}' is not an event that can have a hook")))?;
            let function = function
                .as_str()
                .filter(|name| !name.is_empty())
                .ok_or_else(|| refuse(format!("the hook {event} must name a function")))?;
            if hooks.iter().any(|(known, _)| *known == event) {
                return Err(refuse(format!("the hook {event} is given twice")));
            }
            hooks.push((event, function.to_string()));
        }
    }
    Ok(hooks)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = r#"
version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:2"
        LoadBalancerInfo:
          ContainerName: "web"
          ContainerPort: 80
        PlatformVersion: "LATEST"
        NetworkConfiguration:
          AwsvpcConfiguration:
            Subnets: ["subnet-1", "subnet-2"]
            SecurityGroups: ["sg-1"]
            AssignPublicIp: "DISABLED"
        CapacityProviderStrategy:
          - Base: 1
            CapacityProvider: "FARGATE_SPOT"
            Weight: 2
Hooks:
  - AfterInstall: "sim-succeed"
  - BeforeAllowTraffic: "arn:aws:lambda:eu-central-1:123456789012:function:check"
"#;

    #[test]
    fn yaml_and_json_in_any_case_mean_the_same() {
        let yaml = parse(YAML).expect("yaml");
        let json = r#"{"VERSION": "0.0", "resources": [{"x": {"type": "AWS::ECS::Service", "properties": {
            "taskDefinition": "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:2",
            "loadBalancerInfo": {"containerName": "web", "containerPort": 80},
            "platformVersion": "LATEST",
            "networkConfiguration": {"AWSVPCConfiguration": {"subnets": ["subnet-1", "subnet-2"],
                "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"}},
            "capacityProviderStrategy": [{"base": 1, "capacityProvider": "FARGATE_SPOT", "weight": 2}]}}}],
            "hooks": [{"afterInstall": "sim-succeed"},
                      {"beforeAllowTraffic": "arn:aws:lambda:eu-central-1:123456789012:function:check"}]}"#;
        assert_eq!(parse(json).expect("json"), yaml);
        assert_eq!(yaml.hooks.len(), 2);
        assert_eq!(yaml.port, 80);
    }

    #[test]
    fn mistakes_are_refused() {
        let wrong = [
            ("version: 0.0", "version: 1.0"),
            ("AWS::ECS::Service", "AWS::Lambda::Function"),
            ("ContainerPort: 80", "ContainerPort: eighty"),
            ("ContainerPort: 80", "ContainerPort: 0"),
            ("ContainerName: \"web\"", "ContainerTitle: \"web\""),
            ("AfterInstall", "Install"),
            ("BeforeAllowTraffic", "AfterInstall"),
            ("TaskDefinition:", "Task:"),
            ("Resources:", "Resource:"),
            ("version: 0.0", "version: [0.0"),
            ("version: 0.0", "version: 0.0\nVersion: 0.0"),
            ("PlatformVersion: \"LATEST\"", "PlatformVersion: 1.4"),
            ("AssignPublicIp: \"DISABLED\"", "AssignPublicIp: \"no\""),
            ("            AssignPublicIp: \"DISABLED\"\n", ""),
            ("Subnets: [", "Subnet: ["),
            ("Weight: 2", "Weight: heavy"),
            ("Base: 1", "Base: -1"),
            ("FARGATE_SPOT\"", "FARGATE_SPOT\"\n            Share: 1"),
            ("Hooks:\n  - ", "Hooks:\n    "),
        ];
        for (good, bad) in wrong {
            let content = YAML.replacen(good, bad, 1);
            assert_ne!(content, YAML);
            let error = parse(&content).expect_err(bad);
            assert_eq!(error.code, "InvalidRevisionException", "{bad}");
        }
        assert!(parse("").is_err());
    }
}
