//! The operations of EventBridge: rules, targets, PutEvents. Shapes and errors \[M\], texts \[K\].

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::pattern::Pattern;
use super::{Rule, Target, Told};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ids;
use crate::world::read::{number_within, tags, tags_value, text, texts};
use crate::world::region::Region;

/// Quotas \[D\] eb-quota.
const MOST_RULES: usize = 300;
const MOST_TARGETS: usize = 5;
/// The heaviest request of PutEvents, in bytes \[D\].
const HEAVIEST: usize = 1_048_576;

/// The members of each operation \[M\]; a member that is not here is refused.
const MEMBERS: [(&str, &[&str]); 19] = [
    (
        "PutRule",
        &[
            "Name",
            "EventPattern",
            "State",
            "Description",
            "RoleArn",
            "Tags",
            "EventBusName",
        ],
    ),
    ("DeleteRule", &["Name", "EventBusName", "Force"]),
    ("DescribeRule", &["Name", "EventBusName"]),
    ("EnableRule", &["Name", "EventBusName"]),
    ("DisableRule", &["Name", "EventBusName"]),
    (
        "ListRules",
        &["NamePrefix", "EventBusName", "NextToken", "Limit"],
    ),
    (
        "ListRuleNamesByTarget",
        &["TargetArn", "EventBusName", "NextToken", "Limit"],
    ),
    ("PutTargets", &["Rule", "EventBusName", "Targets"]),
    ("RemoveTargets", &["Rule", "EventBusName", "Ids", "Force"]),
    (
        "ListTargetsByRule",
        &["Rule", "EventBusName", "NextToken", "Limit"],
    ),
    ("PutEvents", &["Entries"]),
    ("TestEventPattern", &["EventPattern", "Event"]),
    ("DescribeEventBus", &["Name"]),
    ("ListEventBuses", &["NamePrefix", "NextToken", "Limit"]),
    ("TagResource", &["ResourceARN", "Tags"]),
    ("UntagResource", &["ResourceARN", "TagKeys"]),
    ("ListTagsForResource", &["ResourceARN"]),
    (
        "Target",
        &[
            "Id",
            "Arn",
            "RoleArn",
            "Input",
            "InputPath",
            "DeadLetterConfig",
            "RetryPolicy",
        ],
    ),
    (
        "Entry",
        &[
            "Time",
            "Source",
            "Resources",
            "DetailType",
            "Detail",
            "EventBusName",
            "TraceHeader",
        ],
    ),
];

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::caller("ValidationException", message)
}

fn required<'a>(input: &'a Value, name: &str) -> Result<&'a str, AwsError> {
    text(input, name).ok_or_else(|| {
        validation(format!(
            "1 validation error detected: Value null at '{name}' failed to satisfy constraint: \
             Member must not be null"
        ))
    })
}

fn check_members(of: &str, input: &Value) -> Result<(), AwsError> {
    let known = MEMBERS.iter().find(|(name, _)| *name == of);
    let (Some((_, known)), Some(given)) = (known, input.as_map()) else {
        return Ok(());
    };
    match given.keys().find(|name| !known.contains(&name.as_str())) {
        Some(other) => Err(validation(format!(
            "The parameter {other} of {of} is not simulated."
        ))),
        None => Ok(()),
    }
}

fn no_such_rule(name: &str) -> AwsError {
    AwsError::caller(
        "ResourceNotFoundException",
        format!("Rule {name} does not exist on EventBus default."),
    )
}

impl Region {
    pub(crate) fn call_events(
        &mut self,
        caller: &crate::world::Caller,
        operation: &str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        check_members(operation, input)?;
        self.check_bus(input.get("EventBusName"))?;
        match operation {
            "PutRule" => self.put_rule(input),
            "DeleteRule" => self.delete_rule_of_events(input),
            "DescribeRule" => self.describe_rule(input, &caller.account),
            "EnableRule" | "DisableRule" => self.switch_rule(input, operation == "EnableRule"),
            "ListRules" => self.list_rules(input),
            "ListRuleNamesByTarget" => self.list_rule_names(input),
            "PutTargets" => self.put_targets(input),
            "RemoveTargets" => self.remove_targets(input),
            "ListTargetsByRule" => self.list_targets(input),
            "PutEvents" => self.put_events(input),
            "TestEventPattern" => test_event_pattern(input),
            "DescribeEventBus" => self.describe_bus(input),
            "ListEventBuses" => Ok(structure! { "EventBuses": vec![self.bus()] }),
            "TagResource" | "UntagResource" | "ListTagsForResource" => {
                self.rule_tags(operation, input)
            }
            _ => Err(Region::unknown_operation("EventBridge", operation)),
        }
    }

    fn bus(&self) -> Value {
        structure! { "Name": "default", "Arn": self.arn("events", "event-bus/default") }
    }

    fn describe_bus(&self, input: &Value) -> Result<Value, AwsError> {
        self.check_bus(input.get("Name"))?;
        Ok(self.bus())
    }

    /// Only the default bus exists.
    fn check_bus(&self, given: &Value) -> Result<(), AwsError> {
        match given.as_str() {
            None | Some("default") => Ok(()),
            Some(arn) if arn == self.arn("events", "event-bus/default") => Ok(()),
            Some(other) => Err(AwsError::caller(
                "ResourceNotFoundException",
                format!("Event bus {other} does not exist."),
            )),
        }
    }

    fn rule(&self, name: &str) -> Result<&Rule, AwsError> {
        self.events
            .rules
            .get(name)
            .ok_or_else(|| no_such_rule(name))
    }

    fn rule_mut(&mut self, name: &str) -> Result<&mut Rule, AwsError> {
        let found = self.events.rules.get_mut(name);
        found.ok_or_else(|| no_such_rule(name))
    }

    fn put_rule(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = required(input, "Name")?;
        let lawful = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if name.len() > 64 || !name.chars().all(lawful) {
            return Err(validation(format!(
                "1 validation error detected: Value '{name}' at 'name' failed to satisfy constraint: \
                 Member must satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+"
            )));
        }
        let Some(text_of_pattern) = text(input, "EventPattern") else {
            return Err(validation(
                "Parameter(s) EventPattern or ScheduleExpression must be specified.",
            ));
        };
        let pattern = Pattern::parse(text_of_pattern).map_err(|reason| {
            AwsError::caller(
                "InvalidEventPatternException",
                format!("Event pattern is not valid. Reason: {reason}"),
            )
        })?;
        let enabled = match text(input, "State") {
            None | Some("ENABLED") => true,
            Some("DISABLED") => false,
            Some(other) => {
                return Err(validation(format!(
                    "The rule state {other} is not simulated."
                )));
            }
        };
        if self.events.rules.len() >= MOST_RULES && !self.events.rules.contains_key(name) {
            let message = "The requested resource exceeds the maximum number allowed.";
            return Err(AwsError::caller("LimitExceededException", message));
        }
        let arn = self.arn("events", &format!("rule/{name}"));
        let before = self.events.rules.remove(name);
        // Tags of a rule that exists are only changed by TagResource \[M\].
        let (targets, tags_of_rule) = match before {
            Some(before) => (before.targets, before.tags),
            None => (BTreeMap::new(), tags(input.get("Tags"))),
        };
        let rule = Rule {
            arn: arn.clone(),
            text: text_of_pattern.to_string(),
            pattern,
            enabled,
            description: text(input, "Description").map(str::to_string),
            role: text(input, "RoleArn").map(str::to_string),
            tags: tags_of_rule,
            targets,
            delivered: 0,
            failed: 0,
            last_failure: None,
        };
        self.events.rules.insert(name.to_string(), rule);
        Ok(structure! { "RuleArn": arn })
    }

    fn delete_rule_of_events(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = required(input, "Name")?;
        let targets = self.events.rules.get(name).map(|rule| rule.targets.len());
        if targets.is_some_and(|targets| targets > 0) {
            return Err(validation("Rule can't be deleted since it has targets."));
        }
        // A rule that is not there counts as deleted.
        self.events.rules.remove(name);
        Ok(Value::map())
    }

    fn rule_value(&self, name: &str, rule: &Rule) -> Value {
        structure! {
            "Name": name,
            "Arn": rule.arn.as_str(),
            "EventPattern": rule.text.as_str(),
            "State": if rule.enabled { "ENABLED" } else { "DISABLED" },
            "Description": rule.description.clone(),
            "RoleArn": rule.role.clone(),
            "EventBusName": "default",
        }
    }

    fn describe_rule(&self, input: &Value, account: &str) -> Result<Value, AwsError> {
        let name = required(input, "Name")?;
        let value = self.rule_value(name, self.rule(name)?);
        Ok(value.with("CreatedBy", account))
    }

    fn switch_rule(&mut self, input: &Value, on: bool) -> Result<Value, AwsError> {
        self.rule_mut(required(input, "Name")?)?.enabled = on;
        Ok(Value::map())
    }

    fn events_page<T, K: Fn(&T) -> &str>(
        &self,
        items: Vec<T>,
        input: &Value,
        key: K,
    ) -> Result<(Vec<T>, Option<String>), AwsError> {
        let size = number_within(input, "Limit", 1..=100, 100, "ValidationException")?;
        let size = usize::try_from(size).unwrap_or(100).min(self.page_limit);
        ids::page(items, text(input, "NextToken"), size, key)
            .ok_or_else(|| validation("The next token is not valid."))
    }

    fn list_rules(&self, input: &Value) -> Result<Value, AwsError> {
        let prefix = text(input, "NamePrefix").unwrap_or_default();
        let rules = self.events.rules.iter();
        let found = rules.filter(|(name, _)| name.starts_with(prefix)).collect();
        let (page, next) = self.events_page(found, input, |(name, _)| name.as_str())?;
        let page = page
            .into_iter()
            .map(|(name, rule)| self.rule_value(name, rule))
            .collect::<Vec<_>>();
        Ok(structure! { "Rules": page, "NextToken": next })
    }

    fn list_rule_names(&self, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "TargetArn")?;
        let names = self
            .events
            .rules
            .iter()
            .filter(|(_, rule)| rule.targets.values().any(|target| target.arn == arn))
            .map(|(name, _)| name.as_str())
            .collect();
        let (page, next) = self.events_page(names, input, |name| *name)?;
        let page = page.into_iter().map(Value::from).collect::<Vec<_>>();
        Ok(structure! { "RuleNames": page, "NextToken": next })
    }

    fn put_targets(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = required(input, "Rule")?;
        self.rule(name)?;
        let given = input.get("Targets").as_list();
        if given.is_empty() {
            return Err(validation("At least one target must be specified."));
        }
        let mut targets = Vec::new();
        for target in given {
            targets.push((required(target, "Id")?.to_string(), target_of(target)?));
        }
        let rule = self.rule_mut(name)?;
        let new = targets
            .iter()
            .filter(|(id, _)| !rule.targets.contains_key(id));
        if rule.targets.len() + new.count() > MOST_TARGETS {
            let message = "The requested resource exceeds the maximum number allowed.";
            return Err(AwsError::caller("LimitExceededException", message));
        }
        rule.targets.extend(targets);
        Ok(structure! { "FailedEntryCount": 0_i64, "FailedEntries": Vec::<Value>::new() })
    }

    fn remove_targets(&mut self, input: &Value) -> Result<Value, AwsError> {
        let rule = self.rule_mut(required(input, "Rule")?)?;
        let mut failed = Vec::new();
        for id in texts(input, "Ids") {
            if rule.targets.remove(&id).is_none() {
                failed.push(structure! {
                    "TargetId": id.as_str(),
                    "ErrorCode": "ResourceNotFoundException",
                    "ErrorMessage": format!("Target {id} does not exist on rule."),
                });
            }
        }
        Ok(structure! { "FailedEntryCount": failed.len() as i64, "FailedEntries": failed })
    }

    fn list_targets(&self, input: &Value) -> Result<Value, AwsError> {
        let rule = self.rule(required(input, "Rule")?)?;
        let (page, next) =
            self.events_page(rule.targets.iter().collect(), input, |(id, _)| id.as_str())?;
        let describe = |(id, target): (&String, &Target)| {
            let dead_letter = target.dead_letter.as_deref();
            structure! {
                "Id": id.as_str(),
                "Arn": target.arn.as_str(),
                "RoleArn": target.role.clone(),
                "Input": target.input.clone(),
                "InputPath": target.input_path.clone(),
                "DeadLetterConfig": dead_letter.map(|arn| structure! { "Arn": arn }),
                "RetryPolicy": target.retry.clone(),
            }
        };
        let page = page.into_iter().map(describe).collect::<Vec<_>>();
        Ok(structure! { "Targets": page, "NextToken": next })
    }

    /// Events of the caller's own, which meet the same rules. Each entry succeeds or fails for itself.
    fn put_events(&mut self, input: &Value) -> Result<Value, AwsError> {
        let entries = input.get("Entries").as_list();
        if entries.is_empty() || entries.len() > 10 {
            return Err(validation(
                "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member \
                 must have length between 1 and 10",
            ));
        }
        let weight: usize = entries
            .iter()
            .flat_map(|entry| ["Source", "DetailType", "Detail"].map(|key| entry.get(key)))
            .map(|member| member.as_str().map_or(0, str::len))
            .sum();
        if weight > HEAVIEST {
            return Err(validation(
                "Total size of the entries in the request is over the limit.",
            ));
        }
        for entry in entries {
            check_members("Entry", entry)?;
        }
        let mut failed = 0;
        let mut results = Vec::new();
        for entry in entries {
            match self.put_event(entry) {
                Ok(id) => results.push(structure! { "EventId": id }),
                Err((code, message)) => {
                    failed += 1;
                    results.push(structure! { "ErrorCode": code, "ErrorMessage": message });
                }
            }
        }
        Ok(structure! { "FailedEntryCount": failed as i64, "Entries": results })
    }

    fn put_event(&mut self, entry: &Value) -> Result<String, (&'static str, String)> {
        let member = |name: &str| {
            text(entry, name).ok_or_else(|| {
                let message = format!(
                    "Parameter {name} is not valid. Reason: {name} is a required argument."
                );
                ("InvalidArgument", message)
            })
        };
        let (source, detail_type) = (member("Source")?, member("DetailType")?);
        let detail = match serde_json::from_str(member("Detail")?) {
            Ok(detail @ Json::Object(_)) => detail,
            _ => return Err(("MalformedDetail", "Detail is malformed.".to_string())),
        };
        if source.starts_with("aws.") {
            let message = "Not authorized for the source.".to_string();
            return Err(("NotAuthorizedForSource", message));
        }
        if let Err(error) = self.check_bus(entry.get("EventBusName")) {
            return Err(("InvalidArgument", error.message));
        }
        let at_ms = entry.get("Time").as_time_ms().unwrap_or(self.now);
        Ok(self.tell(&Told {
            source,
            detail_type,
            resources: texts(entry, "Resources"),
            at_ms,
            detail,
        }))
    }

    fn rule_tags(&mut self, operation: &str, input: &Value) -> Result<Value, AwsError> {
        let arn = required(input, "ResourceARN")?;
        let found = self.events.rules.values_mut().find(|rule| rule.arn == arn);
        let rule = found.ok_or_else(|| {
            let message = format!("Resource {arn} does not exist.");
            AwsError::caller("ResourceNotFoundException", message)
        })?;
        match operation {
            "TagResource" => rule.tags.extend(tags(input.get("Tags"))),
            "UntagResource" => {
                for key in texts(input, "TagKeys") {
                    rule.tags.remove(&key);
                }
            }
            _ => return Ok(structure! { "Tags": tags_value(&rule.tags, "Key", "Value") }),
        }
        Ok(Value::map())
    }

    /// The rules for the control page, with what became of their events: our own form.
    pub(crate) fn report_rules(&self) -> Value {
        let rules = self.events.rules.iter().map(|(name, rule)| {
            structure! {
                "name": name.as_str(),
                "enabled": rule.enabled,
                "targets": rule.targets.len() as i64,
                "delivered": rule.delivered,
                "failed": rule.failed,
                "lastFailure": rule.last_failure.clone(),
            }
        });
        Value::List(rules.collect())
    }
}

/// A target: only a standard queue, of any region and account in its ARN, is one here.
fn target_of(target: &Value) -> Result<Target, AwsError> {
    check_members("Target", target)?;
    let arn = required(target, "Arn")?;
    let is_queue = matches!(
        arn.split(':').collect::<Vec<_>>()[..],
        ["arn", _, "sqs", _, _, name] if !name.is_empty() && !name.ends_with(".fifo")
    );
    if !is_queue {
        return Err(validation(format!(
            "Only standard SQS queues are simulated as targets, not {arn}."
        )));
    }
    let (input, path) = (text(target, "Input"), text(target, "InputPath"));
    if input.is_some() && path.is_some() {
        return Err(validation(
            "Only one of Input, InputPath, or InputTransformer must be provided for target.",
        ));
    }
    if input.is_some_and(|input| serde_json::from_str::<Json>(input).is_err()) {
        return Err(validation("JSON syntax error in input for target."));
    }
    let plain = |path: &str| {
        let lawful = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        path.strip_prefix('$').is_some_and(|rest| {
            rest.is_empty() || (rest.starts_with('.') && rest.chars().all(lawful))
        })
    };
    if let Some(path) = path.filter(|path| !plain(path)) {
        return Err(validation(format!(
            "Only paths of names, like $.detail.state, are simulated as InputPath, not {path}."
        )));
    }
    let own = |text: Option<&str>| text.map(str::to_string);
    Ok(Target {
        arn: arn.to_string(),
        role: own(text(target, "RoleArn")),
        input: own(input),
        input_path: own(path),
        dead_letter: own(text(target.get("DeadLetterConfig"), "Arn")),
        retry: target.get("RetryPolicy").clone(),
    })
}

fn test_event_pattern(input: &Value) -> Result<Value, AwsError> {
    let pattern = Pattern::parse(required(input, "EventPattern")?).map_err(|reason| {
        AwsError::caller(
            "InvalidEventPatternException",
            format!("Event pattern is not valid. Reason: {reason}"),
        )
    })?;
    let event: Json = serde_json::from_str(required(input, "Event")?)
        .map_err(|_| validation("Parameter Event is not valid."))?;
    // What every event has \[M TestEventPattern\].
    for name in [
        "id",
        "account",
        "source",
        "time",
        "region",
        "resources",
        "detail-type",
    ] {
        if event.get(name).is_none() {
            return Err(validation(format!(
                "Parameter Event is not valid. Reason: {name} is missing."
            )));
        }
    }
    Ok(structure! { "Result": pattern.matches(&event) })
}
