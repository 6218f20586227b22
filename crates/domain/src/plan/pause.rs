//! The call that answers a PAUSE hook of ECS, and what rolling back there comes to.

use super::PlannedCall;
use super::aws_command;
use crate::ecs::EcsConfiguration;
use crate::ecs::EcsStrategy;
use crate::gate::Verdict;
use serde_json::json;

/// ContinueServiceDeployment at a PAUSE hook: CONTINUE for approve, ROLLBACK for reject. (aws.md §2.3 [M])
pub fn answer_pause(region: &str, deployment: &str, hook: &str, verdict: Verdict) -> PlannedCall {
    let action = match verdict {
        Verdict::Approve => "CONTINUE",
        Verdict::Reject => "ROLLBACK",
    };
    let options = [
        ("service-deployment-arn", deployment.to_string()),
        ("hook-id", hook.to_string()),
        ("action", action.to_string()),
    ];
    PlannedCall {
        service: "ecs".to_string(),
        operation: "ContinueServiceDeployment".to_string(),
        parameters: json!({
            "serviceDeploymentArn": deployment,
            "hookId": hook,
            "action": action,
        }),
        cli: aws_command("ecs", region, "continue-service-deployment", &options),
    }
}

/// What a rejection at a PAUSE hook comes to; `old` is what served before. (aws.md §2.3 [D])
pub fn pause_rejection_consequences(
    configuration: Option<&EcsConfiguration>,
    old: &str,
    new: &str,
) -> Vec<String> {
    let strategy = configuration.map_or(EcsStrategy::Unknown, |given| given.strategy);
    let mut consequences = vec!["ECS rolls the deployment back.".to_string()];
    consequences.push(match strategy {
        EcsStrategy::Rolling => {
            format!("Tasks of {old} take the place of those of {new}, within the service's band.")
        }
        EcsStrategy::BlueGreen
        | EcsStrategy::Linear
        | EcsStrategy::Canary
        | EcsStrategy::Unknown => {
            format!("Production traffic is put back on {old}; the tasks of {new} are removed.")
        }
    });
    if configuration.is_some_and(|given| given.lambda_hooks > 0) {
        consequences.push(
            "Lambda hooks of the traffic-shift stages run again on the way back.".to_string(),
        );
    }
    consequences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_one_call_and_the_same_for_the_aws_cli() {
        for (verdict, action) in [
            (Verdict::Approve, "CONTINUE"),
            (Verdict::Reject, "ROLLBACK"),
        ] {
            let call = answer_pause("eu-central-1", "arn:x", "ecs-pause-1", verdict);
            assert_eq!(call.parameters["action"], action);
            assert_eq!(
                call.cli,
                format!(
                    "aws ecs continue-service-deployment \\\n  --region eu-central-1 \\\n  \
                     --service-deployment-arn arn:x \\\n  --hook-id ecs-pause-1 \\\n  --action {action}"
                )
            );
        }
    }

    #[test]
    fn what_a_rejection_comes_to_depends_on_the_strategy_and_its_hooks() {
        let with = |strategy, lambda_hooks| EcsConfiguration {
            strategy,
            lambda_hooks,
            ..EcsConfiguration::default()
        };
        let text = |configuration: &EcsConfiguration| {
            pause_rejection_consequences(Some(configuration), "web:1", "web:2").join(" ")
        };
        assert_eq!(
            text(&with(EcsStrategy::Canary, 1)),
            "ECS rolls the deployment back. Production traffic is put back on web:1; the tasks of web:2 are removed. \
             Lambda hooks of the traffic-shift stages run again on the way back."
        );
        assert_eq!(
            text(&with(EcsStrategy::Rolling, 0)),
            "ECS rolls the deployment back. Tasks of web:1 take the place of those of web:2, within the service's band."
        );
    }
}
