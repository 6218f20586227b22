//! The parameters that Elastic Load Balancing, CloudWatch and STS take here.
//!
//! The top-level members of each operation in botocore 1.44.5 \[M\], without those that are not simulated. AWS
//! ignores a parameter that it does not know; here it is refused, because a test whose parameter does
//! nothing proves nothing. EventBridge and SQS have such lists of their own.

use crate::error::AwsError;
use crate::value::Value;

/// Service, operation, members.
const MEMBERS: [(&str, &str, &str); 44] = [
    (
        "elasticloadbalancing",
        "CreateLoadBalancer",
        "Name Subnets SubnetMappings SecurityGroups Scheme Tags Type IpAddressType",
    ),
    (
        "elasticloadbalancing",
        "DescribeLoadBalancers",
        "LoadBalancerArns Names Marker PageSize",
    ),
    (
        "elasticloadbalancing",
        "DeleteLoadBalancer",
        "LoadBalancerArn",
    ),
    (
        "elasticloadbalancing",
        "DescribeLoadBalancerAttributes",
        "LoadBalancerArn",
    ),
    (
        "elasticloadbalancing",
        "ModifyLoadBalancerAttributes",
        "LoadBalancerArn Attributes",
    ),
    (
        "elasticloadbalancing",
        "CreateTargetGroup",
        "Name Protocol ProtocolVersion Port VpcId HealthCheckProtocol HealthCheckPort HealthCheckEnabled HealthCheckPath HealthCheckIntervalSeconds HealthCheckTimeoutSeconds HealthyThresholdCount UnhealthyThresholdCount Matcher TargetType Tags IpAddressType",
    ),
    (
        "elasticloadbalancing",
        "DescribeTargetGroups",
        "LoadBalancerArn TargetGroupArns Names Marker PageSize",
    ),
    (
        "elasticloadbalancing",
        "ModifyTargetGroup",
        "TargetGroupArn HealthCheckProtocol HealthCheckPort HealthCheckPath HealthCheckEnabled HealthCheckIntervalSeconds HealthCheckTimeoutSeconds HealthyThresholdCount UnhealthyThresholdCount Matcher",
    ),
    (
        "elasticloadbalancing",
        "DeleteTargetGroup",
        "TargetGroupArn",
    ),
    (
        "elasticloadbalancing",
        "DescribeTargetGroupAttributes",
        "TargetGroupArn",
    ),
    (
        "elasticloadbalancing",
        "ModifyTargetGroupAttributes",
        "TargetGroupArn Attributes",
    ),
    (
        "elasticloadbalancing",
        "RegisterTargets",
        "TargetGroupArn Targets",
    ),
    (
        "elasticloadbalancing",
        "DeregisterTargets",
        "TargetGroupArn Targets",
    ),
    (
        "elasticloadbalancing",
        "DescribeTargetHealth",
        "TargetGroupArn Targets",
    ),
    (
        "elasticloadbalancing",
        "CreateListener",
        "LoadBalancerArn Protocol Port SslPolicy Certificates DefaultActions Tags",
    ),
    (
        "elasticloadbalancing",
        "ModifyListener",
        "ListenerArn Port Protocol SslPolicy Certificates DefaultActions",
    ),
    (
        "elasticloadbalancing",
        "DescribeListeners",
        "LoadBalancerArn ListenerArns Marker PageSize",
    ),
    ("elasticloadbalancing", "DeleteListener", "ListenerArn"),
    (
        "elasticloadbalancing",
        "CreateRule",
        "ListenerArn Conditions Priority Actions Tags Transforms",
    ),
    (
        "elasticloadbalancing",
        "ModifyRule",
        "RuleArn Conditions Actions Transforms ResetTransforms",
    ),
    (
        "elasticloadbalancing",
        "DescribeRules",
        "ListenerArn RuleArns Marker PageSize",
    ),
    ("elasticloadbalancing", "DeleteRule", "RuleArn"),
    (
        "elasticloadbalancing",
        "SetRulePriorities",
        "RulePriorities",
    ),
    ("elasticloadbalancing", "AddTags", "ResourceArns Tags"),
    ("elasticloadbalancing", "RemoveTags", "ResourceArns TagKeys"),
    ("elasticloadbalancing", "DescribeTags", "ResourceArns"),
    (
        "monitoring",
        "PutMetricData",
        "Namespace MetricData EntityMetricData",
    ),
    (
        "monitoring",
        "ListMetrics",
        "Namespace MetricName Dimensions NextToken RecentlyActive",
    ),
    (
        "monitoring",
        "GetMetricData",
        "MetricDataQueries StartTime EndTime NextToken ScanBy MaxDatapoints",
    ),
    (
        "monitoring",
        "GetMetricStatistics",
        "Namespace MetricName Dimensions StartTime EndTime Period Statistics ExtendedStatistics Unit",
    ),
    (
        "monitoring",
        "PutMetricAlarm",
        "AlarmName AlarmDescription ActionsEnabled OKActions AlarmActions InsufficientDataActions MetricName Namespace Statistic ExtendedStatistic Dimensions Period Unit EvaluationPeriods DatapointsToAlarm Threshold ComparisonOperator TreatMissingData EvaluateLowSampleCountPercentile Metrics Tags ThresholdMetricId EvaluationCriteria EvaluationInterval",
    ),
    (
        "monitoring",
        "PutCompositeAlarm",
        "ActionsEnabled AlarmActions AlarmDescription AlarmName AlarmRule InsufficientDataActions OKActions Tags ActionsSuppressor",
    ),
    (
        "monitoring",
        "DescribeAlarms",
        "AlarmNames AlarmNamePrefix AlarmTypes ChildrenOfAlarmName ParentsOfAlarmName StateValue ActionPrefix MaxRecords NextToken",
    ),
    (
        "monitoring",
        "DescribeAlarmsForMetric",
        "MetricName Namespace Statistic ExtendedStatistic Dimensions Period Unit",
    ),
    (
        "monitoring",
        "DescribeAlarmHistory",
        "AlarmName AlarmTypes HistoryItemType StartDate EndDate MaxRecords NextToken ScanBy",
    ),
    ("monitoring", "DeleteAlarms", "AlarmNames"),
    (
        "monitoring",
        "SetAlarmState",
        "AlarmName StateValue StateReason StateReasonData",
    ),
    ("monitoring", "EnableAlarmActions", "AlarmNames"),
    ("monitoring", "DisableAlarmActions", "AlarmNames"),
    ("monitoring", "TagResource", "ResourceARN Tags"),
    ("monitoring", "UntagResource", "ResourceARN TagKeys"),
    ("monitoring", "ListTagsForResource", "ResourceARN"),
    (
        "sts",
        "AssumeRole",
        "RoleArn RoleSessionName PolicyArns Policy DurationSeconds Tags TransitiveTagKeys ExternalId SourceIdentity",
    ),
    ("sts", "GetCallerIdentity", ""),
];

/// Refuses a parameter that the operation does not have here. An operation that is not listed passes: it is
/// refused as such, or its service checks for itself.
pub(crate) fn check(service: &str, operation: &str, input: &Value) -> Result<(), AwsError> {
    let listed = MEMBERS
        .iter()
        .find(|(of, name, _)| *of == service && *name == operation);
    let (Some((_, _, known)), Some(given)) = (listed, input.as_map()) else {
        return Ok(());
    };
    let other = given
        .iter()
        .find(|(name, value)| !value.is_null() && !known.split(' ').any(|one| one == *name));
    match other {
        Some((name, _)) => Err(AwsError::caller(
            if service == "monitoring" {
                "ValidationException"
            } else {
                "ValidationError"
            },
            format!("The parameter {name} of {operation} is not known or not simulated."),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_or_not_simulated_is_refused() {
        for (service, operation, name, code) in [
            (
                "monitoring",
                "GetMetricData",
                "LabelOptions",
                Some("ValidationException"),
            ),
            ("monitoring", "GetMetricData", "MaxDatapoints", None),
            (
                "elasticloadbalancing",
                "CreateListener",
                "MutualAuthentication",
                Some("ValidationError"),
            ),
            (
                "elasticloadbalancing",
                "ModifyRule",
                "Wieght",
                Some("ValidationError"),
            ),
            ("elasticloadbalancing", "ModifyRule", "Actions", None),
            ("sts", "AssumeRole", "TokenCode", Some("ValidationError")),
            ("sts", "AssumeRole", "ExternalId", None),
        ] {
            let refused = check(service, operation, &Value::map().with(name, "x")).err();
            assert_eq!(
                refused.map(|error| error.code).as_deref(),
                code,
                "{operation} {name}"
            );
        }
    }
}
