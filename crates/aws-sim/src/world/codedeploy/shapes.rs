//! The members of every operation's input, so that one that AWS does not have is refused.
//!
//! Members and types: \[M\] (botocore 1.44.5, codedeploy/2014-10-06). AWS itself ignores members that
//! it does not know; that we refuse them is our choice, because nobody means to send them. Values of
//! enumerations are checked where they are used, for their exceptions differ.
//!
//! A shape is written as text: `s` text, `b` boolean, `i` whole number, `t` moment, `[x]` list, `<x>` map
//! of texts to x, `{name:x …}` structure, `@Name` a shape of [`SHARED`].

use crate::error::AwsError;
use crate::value::Value;

/// Shapes that several operations have in common.
const SHARED: [(&str, &str); 8] = [
    (
        "Alarms",
        "{enabled:b ignorePollAlarmFailure:b alarms:[{name:s}]}",
    ),
    (
        "BlueGreen",
        "{terminateBlueInstancesOnDeploymentSuccess:{action:s terminationWaitTimeInMinutes:i} \
         deploymentReadyOption:{actionOnTimeout:s waitTimeInMinutes:i} \
         greenFleetProvisioningOption:{action:s}}",
    ),
    (
        "GroupSettings",
        "ec2TagFilters:[@TagFilter] onPremisesInstanceTagFilters:[@TagFilter] autoScalingGroups:[s] \
         serviceRoleArn:s \
         triggerConfigurations:[{triggerName:s triggerTargetArn:s triggerEvents:[s]}] \
         alarmConfiguration:@Alarms autoRollbackConfiguration:@Rollback outdatedInstancesStrategy:s \
         deploymentStyle:{deploymentType:s deploymentOption:s} \
         blueGreenDeploymentConfiguration:@BlueGreen loadBalancerInfo:{elbInfoList:[{name:s}] \
         targetGroupInfoList:[{name:s}] targetGroupPairInfoList:[{targetGroups:[{name:s}] \
         prodTrafficRoute:{listenerArns:[s]} testTrafficRoute:{listenerArns:[s]}}]} \
         ec2TagSet:{ec2TagSetList:[[@TagFilter]]} ecsServices:[{serviceName:s clusterName:s}] \
         onPremisesTagSet:{onPremisesTagSetList:[[@TagFilter]]} \
         ec2DeploymentOptions:{autoScalingGroupProcessesToSuspend:[s]} terminationHookEnabled:b \
         deploymentConfigName:s",
    ),
    (
        "Revision",
        "{revisionType:s s3Location:{bucket:s key:s bundleType:s version:s eTag:s} \
         gitHubLocation:{repository:s commitId:s} string:{content:s sha256:s} \
         appSpecContent:{content:s sha256:s}}",
    ),
    ("Rollback", "{enabled:b events:[s]}"),
    ("Tag", "{Key:s Value:s}"),
    ("TagFilter", "{Key:s Value:s Type:s}"),
    ("HealthyHosts", "{type:s value:i}"),
];

/// The input of every operation that is done.
const INPUTS: [(&str, &str); 37] = [
    (
        "BatchGetApplicationRevisions",
        "{applicationName:s revisions:[@Revision]}",
    ),
    ("BatchGetApplications", "{applicationNames:[s]}"),
    (
        "BatchGetDeploymentGroups",
        "{applicationName:s deploymentGroupNames:[s]}",
    ),
    (
        "BatchGetDeploymentInstances",
        "{deploymentId:s instanceIds:[s]}",
    ),
    (
        "BatchGetDeploymentTargets",
        "{deploymentId:s targetIds:[s]}",
    ),
    ("BatchGetDeployments", "{deploymentIds:[s]}"),
    (
        "ContinueDeployment",
        "{deploymentId:s deploymentWaitType:s}",
    ),
    (
        "CreateApplication",
        "{applicationName:s computePlatform:s tags:[@Tag]}",
    ),
    (
        "CreateDeployment",
        "{applicationName:s deploymentGroupName:s revision:@Revision deploymentConfigName:s description:s \
         ignoreApplicationStopFailures:b targetInstances:{tagFilters:[@TagFilter] autoScalingGroups:[s] \
         ec2TagSet:{ec2TagSetList:[[@TagFilter]]}} autoRollbackConfiguration:@Rollback \
         updateOutdatedInstancesOnly:b fileExistsBehavior:s deploymentMode:s \
         overrideAlarmConfiguration:@Alarms ec2DeploymentOptions:{autoScalingGroupProcessesToSuspend:[s]}}",
    ),
    (
        "CreateDeploymentConfig",
        "{deploymentConfigName:s minimumHealthyHosts:@HealthyHosts trafficRoutingConfig:{type:s \
         timeBasedCanary:{canaryPercentage:i canaryInterval:i} \
         timeBasedLinear:{linearPercentage:i linearInterval:i}} computePlatform:s \
         zonalConfig:{firstZoneMonitorDurationInSeconds:i monitorDurationInSeconds:i \
         minimumHealthyHostsPerZone:@HealthyHosts}}",
    ),
    (
        "CreateDeploymentGroup",
        "{applicationName:s deploymentGroupName:s tags:[@Tag] @GroupSettings}",
    ),
    ("DeleteApplication", "{applicationName:s}"),
    ("DeleteDeploymentConfig", "{deploymentConfigName:s}"),
    (
        "DeleteDeploymentGroup",
        "{applicationName:s deploymentGroupName:s}",
    ),
    ("GetApplication", "{applicationName:s}"),
    (
        "GetApplicationRevision",
        "{applicationName:s revision:@Revision}",
    ),
    ("GetDeployment", "{deploymentId:s}"),
    ("GetDeploymentConfig", "{deploymentConfigName:s}"),
    (
        "GetDeploymentGroup",
        "{applicationName:s deploymentGroupName:s}",
    ),
    ("GetDeploymentInstance", "{deploymentId:s instanceId:s}"),
    ("GetDeploymentTarget", "{deploymentId:s targetId:s}"),
    (
        "ListApplicationRevisions",
        "{applicationName:s sortBy:s sortOrder:s s3Bucket:s s3KeyPrefix:s deployed:s nextToken:s}",
    ),
    ("ListApplications", "{nextToken:s}"),
    ("ListDeploymentConfigs", "{nextToken:s}"),
    ("ListDeploymentGroups", "{applicationName:s nextToken:s}"),
    (
        "ListDeploymentInstances",
        "{deploymentId:s nextToken:s instanceStatusFilter:[s] instanceTypeFilter:[s]}",
    ),
    (
        "ListDeploymentTargets",
        "{deploymentId:s nextToken:s targetFilters:<[s]>}",
    ),
    (
        "ListDeployments",
        "{applicationName:s deploymentGroupName:s externalId:s includeOnlyStatuses:[s] \
         createTimeRange:{start:t end:t} nextToken:s}",
    ),
    ("ListTagsForResource", "{ResourceArn:s NextToken:s}"),
    (
        "PutLifecycleEventHookExecutionStatus",
        "{deploymentId:s lifecycleEventHookExecutionId:s status:s}",
    ),
    (
        "RegisterApplicationRevision",
        "{applicationName:s description:s revision:@Revision}",
    ),
    ("SkipWaitTimeForInstanceTermination", "{deploymentId:s}"),
    ("StopDeployment", "{deploymentId:s autoRollbackEnabled:b}"),
    ("TagResource", "{ResourceArn:s Tags:[@Tag]}"),
    ("UntagResource", "{ResourceArn:s TagKeys:[s]}"),
    (
        "UpdateApplication",
        "{applicationName:s newApplicationName:s}",
    ),
    (
        "UpdateDeploymentGroup",
        "{applicationName:s currentDeploymentGroupName:s newDeploymentGroupName:s @GroupSettings}",
    ),
];

/// Refuses an input with a member that the operation does not have, or with a value of another type.
/// An operation that is not in the list is refused elsewhere.
pub(super) fn check(operation: &str, input: &Value) -> Result<(), AwsError> {
    match INPUTS.iter().find(|(name, _)| *name == operation) {
        Some((_, shape)) => matches(shape, input, "")
            .map_err(|message| AwsError::caller("SerializationException", message)),
        None => Ok(()),
    }
}

fn shared(name: &str) -> &'static str {
    SHARED
        .iter()
        .find(|(known, _)| *known == name)
        .map_or("", |(_, shape)| shape)
}

/// Whether the value has the shape; if not, why.
fn matches(shape: &str, value: &Value, place: &str) -> Result<(), String> {
    if value.is_null() {
        return Ok(());
    }
    let wrong = |wanted: &str| Err(format!("The value of {place} must be {wanted}"));
    let Some(kind) = shape.chars().next() else {
        return Ok(());
    };
    let inner = || shape.get(1..shape.len() - 1).unwrap_or_default();
    match (kind, value) {
        ('@', _) => matches(shared(&shape[1..]), value, place),
        ('s', Value::Text(_)) | ('b', Value::Bool(_)) => Ok(()),
        ('i', Value::Int(_) | Value::Double(_)) if value.as_i64().is_some() => Ok(()),
        ('t', _) if value.as_time_ms().is_some() => Ok(()),
        ('s', _) => wrong("text"),
        ('b', _) => wrong("true or false"),
        ('i', _) => wrong("a whole number"),
        ('t', _) => wrong("a moment"),
        ('[', Value::List(items)) => items
            .iter()
            .try_for_each(|item| matches(inner(), item, place)),
        ('[', _) => wrong("a list"),
        ('<', Value::Map(entries)) => entries
            .values()
            .try_for_each(|entry| matches(inner(), entry, place)),
        (_, Value::Map(members)) => members.iter().try_for_each(|(name, value)| {
            let place = if place.is_empty() {
                name.clone()
            } else {
                format!("{place}.{name}")
            };
            match member(inner(), name) {
                Some(shape) => matches(shape, value, &place),
                None => Err(format!("Unknown parameter in input: \"{place}\"")),
            }
        }),
        _ => wrong("a structure"),
    }
}

/// The shape of one member, `members` being written as `name:shape name:shape @Shared`.
fn member<'a>(members: &'a str, wanted: &str) -> Option<&'a str> {
    let mut depth = 0_i32;
    let mut start = 0;
    // A space behind the end closes the last member.
    for (at, c) in members.char_indices().chain([(members.len(), ' ')]) {
        match c {
            '{' | '[' | '<' => depth += 1,
            '}' | ']' | '>' => depth -= 1,
            ' ' if depth == 0 => {
                let one = &members[start..at];
                start = at + 1;
                if let Some(name) = one.strip_prefix('@') {
                    if let Some(found) = member(shared(name), wanted) {
                        return Some(found);
                    }
                } else if let Some((name, shape)) = one.split_once(':')
                    && name == wanted
                {
                    return Some(shape);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::json::from_json;
    use serde_json::json;

    #[test]
    fn every_shape_is_well_formed_and_every_name_resolves() {
        for (name, shape) in INPUTS.iter().chain(&SHARED) {
            for (open, close) in [('{', '}'), ('[', ']'), ('<', '>')] {
                let count = |c: char| shape.chars().filter(|one| *one == c).count();
                assert_eq!(count(open), count(close), "{name}");
            }
            for part in shape.split(|c: char| !c.is_alphanumeric() && c != '@') {
                if let Some(reference) = part.strip_prefix('@') {
                    assert!(!shared(reference).is_empty(), "{name}: {part}");
                }
            }
        }
    }

    #[test]
    fn what_is_unknown_or_of_another_type_is_refused() {
        let cases = [
            ("GetDeployment", json!({"deploymentId": "d-1"}), None),
            (
                "GetDeployment",
                json!({"deploymentID": "d-1"}),
                Some("deploymentID"),
            ),
            (
                "GetDeployment",
                json!({"deploymentId": 1}),
                Some("deploymentId"),
            ),
            (
                "StopDeployment",
                json!({"autoRollbackEnabled": "true"}),
                Some("true or false"),
            ),
            (
                "CreateDeployment",
                json!({"revision": {"s3Location": {"bucket": "b", "etag": "x"}}}),
                Some("revision.s3Location.etag"),
            ),
            (
                "CreateDeploymentGroup",
                json!({"alarmConfiguration": {"alarms": [{"name": "a"}, {"nam": "b"}]}}),
                Some("alarmConfiguration.alarms.nam"),
            ),
            (
                "UpdateDeploymentGroup",
                json!({"ecsServices": {"serviceName": "a"}}),
                Some("a list"),
            ),
            (
                "UpdateDeploymentGroup",
                json!({"loadBalancerInfo": null}),
                None,
            ),
            (
                "ListDeploymentTargets",
                json!({"targetFilters": {"TargetStatus": ["Ready"]}}),
                None,
            ),
            (
                "ListDeployments",
                json!({"createTimeRange": {"start": 1.5, "finish": 2}}),
                Some("createTimeRange.finish"),
            ),
        ];
        for (operation, input, refused) in cases {
            let found = check(operation, &from_json(input.clone())).err();
            match (&found, refused) {
                (None, None) => {}
                (Some(error), Some(part)) => {
                    assert_eq!(error.code, "SerializationException");
                    assert!(error.message.contains(part), "{input}: {error}");
                }
                _ => panic!("{operation} {input}: {found:?}"),
            }
        }
    }
}
