//! Elastic Load Balancing: weights, target groups, target health (aws.md §3.1).

use crate::AwsAccount;
use crate::calls;
use crate::error::failed;
use crate::error::malformed;
use aws_sdk_elasticloadbalancingv2::types::Action;
use aws_sdk_elasticloadbalancingv2::types::ActionTypeEnum;
use aws_sdk_elasticloadbalancingv2::types::TargetHealthStateEnum;
use switchback_cloud::CloudError;
use switchback_cloud::TargetGroupReading;
use switchback_cloud::TargetHealth;

/// Target groups in one DescribeTargetGroups; a CodeDeploy group has two. [K]
const TARGET_GROUPS_AT_ONCE: usize = 20;
/// What the only target group of an action is worth when AWS names no weight.
const WEIGHT_OF_THE_ONLY_ONE: i64 = 1;

impl AwsAccount {
    pub(crate) async fn describe_listener(
        &self,
        listener_arn: &str,
    ) -> Result<Vec<(String, i64)>, CloudError> {
        let answer = self
            .elb
            .describe_listeners()
            .listener_arns(listener_arn)
            .send()
            .await
            .map_err(failed(calls::DESCRIBE_LISTENERS))?;
        let listener = answer.listeners().first().ok_or_else(|| {
            malformed(
                calls::DESCRIBE_LISTENERS,
                format!("The answer lacks {listener_arn}."),
            )
        })?;
        let forward = listener
            .default_actions()
            .iter()
            .find(|action| action.r#type() == Some(&ActionTypeEnum::Forward));
        Ok(forward.map(weights).unwrap_or_default())
    }

    pub(crate) async fn describe_target_groups(
        &self,
        names: &[String],
    ) -> Result<Vec<TargetGroupReading>, CloudError> {
        let mut readings = Vec::new();
        for names in names.chunks(TARGET_GROUPS_AT_ONCE) {
            match self.describe_some_target_groups(names).await {
                Ok(found) => readings.extend(found),
                // One name that is gone spoils the answer for all: ask for each alone.
                Err(error) if error.is_missing() => {
                    for name in names {
                        match self
                            .describe_some_target_groups(std::slice::from_ref(name))
                            .await
                        {
                            Ok(found) => readings.extend(found),
                            Err(error) if error.is_missing() => {}
                            Err(error) => return Err(error),
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(readings)
    }

    async fn describe_some_target_groups(
        &self,
        names: &[String],
    ) -> Result<Vec<TargetGroupReading>, CloudError> {
        let answer = self
            .elb
            .describe_target_groups()
            .set_names(Some(names.to_vec()))
            .send()
            .await
            .map_err(failed(calls::DESCRIBE_TARGET_GROUPS))?;
        let groups = answer.target_groups.unwrap_or_default();
        groups
            .into_iter()
            .map(
                |group| match (group.target_group_name, group.target_group_arn) {
                    (Some(name), Some(arn)) => Ok(TargetGroupReading {
                        name,
                        arn,
                        load_balancer_arns: group.load_balancer_arns.unwrap_or_default(),
                    }),
                    _ => Err(malformed(
                        calls::DESCRIBE_TARGET_GROUPS,
                        "A target group has no name or no ARN.",
                    )),
                },
            )
            .collect()
    }

    pub(crate) async fn describe_target_health(
        &self,
        target_group_arn: &str,
    ) -> Result<TargetHealth, CloudError> {
        let answer = self
            .elb
            .describe_target_health()
            .target_group_arn(target_group_arn)
            .send()
            .await
            .map_err(failed(calls::DESCRIBE_TARGET_HEALTH))?;
        let states: Vec<&TargetHealthStateEnum> = answer
            .target_health_descriptions()
            .iter()
            .filter_map(|description| description.target_health()?.state())
            .collect();
        Ok(target_health(&states))
    }
}

fn weights(forward: &Action) -> Vec<(String, i64)> {
    let weighted: Vec<(String, i64)> = forward
        .forward_config()
        .map(|config| config.target_groups())
        .unwrap_or_default()
        .iter()
        .filter_map(|group| {
            let weight = group.weight().map_or(WEIGHT_OF_THE_ONLY_ONE, i64::from);
            Some((group.target_group_arn()?.to_string(), weight))
        })
        .collect();
    if weighted.is_empty() {
        let only = forward.target_group_arn().map(str::to_string);
        return only
            .into_iter()
            .map(|arn| (arn, WEIGHT_OF_THE_ONLY_ONE))
            .collect();
    }
    weighted
}

fn target_health(states: &[&TargetHealthStateEnum]) -> TargetHealth {
    let count = |counts: &dyn Fn(&TargetHealthStateEnum) -> bool| {
        let number = states.iter().filter(|state| counts(state)).count();
        i64::try_from(number).unwrap_or(i64::MAX)
    };
    TargetHealth {
        healthy: count(&|state| *state == TargetHealthStateEnum::Healthy),
        registered: count(&|state| {
            !matches!(
                state,
                TargetHealthStateEnum::Draining | TargetHealthStateEnum::UnhealthyDraining
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_elasticloadbalancingv2::types::ForwardActionConfig;
    use aws_sdk_elasticloadbalancingv2::types::TargetGroupTuple;

    fn group(arn: &str, weight: Option<i32>) -> TargetGroupTuple {
        TargetGroupTuple::builder()
            .target_group_arn(arn)
            .set_weight(weight)
            .build()
    }

    fn forward(groups: Vec<TargetGroupTuple>, only: Option<&str>) -> Action {
        let config = ForwardActionConfig::builder()
            .set_target_groups(Some(groups))
            .build();
        Action::builder()
            .r#type(ActionTypeEnum::Forward)
            .forward_config(config)
            .set_target_group_arn(only.map(str::to_string))
            .build()
    }

    #[test]
    fn weights_are_given_as_they_are() {
        let both = forward(
            vec![group("blue", Some(90)), group("green", Some(10))],
            None,
        );
        assert_eq!(
            weights(&both),
            [("blue".to_string(), 90), ("green".to_string(), 10)]
        );
        let none = forward(
            vec![group("blue", Some(0)), group("green", Some(100))],
            None,
        );
        assert_eq!(
            weights(&none),
            [("blue".to_string(), 0), ("green".to_string(), 100)]
        );
        let single = forward(vec![group("blue", None)], Some("blue"));
        assert_eq!(weights(&single), [("blue".to_string(), 1)]);
        assert_eq!(
            weights(&forward(Vec::new(), Some("blue"))),
            [("blue".to_string(), 1)]
        );
    }

    #[test]
    fn draining_targets_do_not_count_as_registered() {
        let health = target_health(&[
            &TargetHealthStateEnum::Healthy,
            &TargetHealthStateEnum::Unhealthy,
            &TargetHealthStateEnum::Initial,
            &TargetHealthStateEnum::Draining,
            &TargetHealthStateEnum::UnhealthyDraining,
        ]);
        assert_eq!(
            health,
            TargetHealth {
                healthy: 1,
                registered: 3
            }
        );
    }
}
