//! Whether a queue's policy lets EventBridge send to it: the only policy that the simulation looks at,
//! because a queue without it stays empty on AWS, and nothing says why.
//!
//! \[D\] eb-use-resource-based: `Allow`, the principal `events.amazonaws.com`, the action `sqs:SendMessage`, the
//! queue as the resource, and mostly `aws:SourceArn` as the condition. A condition on anything but
//! `aws:SourceArn` and `aws:SourceAccount`, or with an operator not named here, is not met (our choice).

use serde_json::Value as Json;

/// Whether `rule_arn` of `account` may send to `queue_arn`.
pub(super) fn lets_events_send(
    policy: &str,
    queue_arn: &str,
    rule_arn: &str,
    account: &str,
) -> bool {
    let Ok(policy) = serde_json::from_str::<Json>(policy) else {
        return false;
    };
    let statements = one_or_many(policy.get("Statement"));
    let applies = |statement: &Json| {
        let action = one_or_many(statement.get("Action")).into_iter().any(|one| {
            one.as_str()
                .is_some_and(|action| like(&action.to_lowercase(), "sqs:sendmessage"))
        });
        let resource = one_or_many(statement.get("Resource"))
            .into_iter()
            .any(|one| {
                one.as_str()
                    .is_some_and(|resource| like(resource, queue_arn))
            });
        let principal = statement.get("Principal");
        let everybody = principal.and_then(Json::as_str) == Some("*");
        let named = principal.and_then(|one| one.get("AWS").or_else(|| one.get("Service")));
        let service = principal.and_then(|one| one.get("Service"));
        let principal = everybody
            || one_or_many(named)
                .iter()
                .any(|one| one.as_str() == Some("*"))
            || one_or_many(service)
                .iter()
                .any(|one| one.as_str() == Some("events.amazonaws.com"));
        action && resource && principal && conditions_hold(statement, rule_arn, account)
    };
    let effect = |statement: &Json, wanted: &str| {
        statement.get("Effect").and_then(Json::as_str) == Some(wanted)
    };
    statements
        .iter()
        .any(|one| effect(one, "Allow") && applies(one))
        && !statements
            .iter()
            .any(|one| effect(one, "Deny") && applies(one))
}

fn conditions_hold(statement: &Json, rule_arn: &str, account: &str) -> bool {
    let Some(conditions) = statement.get("Condition").and_then(Json::as_object) else {
        return statement.get("Condition").is_none();
    };
    conditions.iter().all(|(operator, keys)| {
        keys.as_object().is_some_and(|keys| {
            keys.iter().all(|(key, wanted)| {
                let found = match key.to_lowercase().as_str() {
                    "aws:sourcearn" => rule_arn,
                    "aws:sourceaccount" => account,
                    _ => return false,
                };
                one_or_many(Some(wanted)).iter().any(|one| {
                    let wanted = one.as_str().unwrap_or_default();
                    match operator.as_str() {
                        "StringEquals" => wanted == found,
                        "ArnEquals" | "ArnLike" | "StringLike" => like(wanted, found),
                        _ => false,
                    }
                })
            })
        })
    })
}

fn one_or_many(value: Option<&Json>) -> Vec<&Json> {
    match value {
        None => Vec::new(),
        Some(Json::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    }
}

/// Whether `text` has the form of `pattern`, in which `*` stands for anything and `?` for one character.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut in_text) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, in_text));
            at += 1;
        } else if pattern
            .get(at)
            .is_some_and(|one| *one == '?' || *one == text[in_text])
        {
            at += 1;
            in_text += 1;
        } else if let Some((after, from)) = star {
            // The asterisk takes one character more.
            star = Some((after, from + 1));
            at = after + 1;
            in_text = from + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|one| *one == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:q";
    const RULE: &str = "arn:aws:events:eu-central-1:123456789012:rule/r";

    fn lets(statement: &str) -> bool {
        let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
        lets_events_send(&policy, QUEUE, RULE, "123456789012")
    }

    #[test]
    fn only_a_policy_for_events_lets_them_send() {
        let with = |rest: &str| {
            format!(
                r#"{{"Effect":"Allow","Principal":{{"Service":"events.amazonaws.com"}},"Action":"sqs:SendMessage","Resource":"{QUEUE}"{rest}}}"#
            )
        };
        assert!(lets(&with("")));
        let condition = |operator: &str, value: &str| {
            with(&format!(
                r#","Condition":{{"{operator}":{{"aws:SourceArn":"{value}"}}}}"#
            ))
        };
        assert!(lets(&condition("ArnEquals", RULE)));
        assert!(lets(&condition(
            "ArnLike",
            "arn:aws:events:*:123456789012:rule/*"
        )));
        assert!(!lets(&condition(
            "ArnEquals",
            "arn:aws:events:eu-central-1:123456789012:rule/s"
        )));
        assert!(!lets(&condition("StringEquals", "arn:*")));
        assert!(!lets(&condition("Bool", RULE)));
        assert!(!lets(&with(
            r#","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#
        )));
        let refused = with("").replace("\"Allow\"", "\"Deny\"");
        assert!(!lets(&format!("{},{refused}", with(""))));
        for (from, to) in [
            ("events.amazonaws.com", "sns.amazonaws.com"),
            ("sqs:SendMessage", "sqs:ReceiveMessage"),
            (QUEUE, "arn:aws:sqs:eu-central-1:123456789012:other"),
        ] {
            assert!(!lets(&with("").replace(from, to)), "{to}");
        }
        assert!(lets(&with("").replace("sqs:SendMessage", "SQS:*")));
        assert!(!lets_events_send("", QUEUE, RULE, "123456789012"));
    }
}
