//! The operations on alarms.

use std::collections::BTreeMap;

use super::alarms::{Alarm, Common, HistoryItem, Watch};
use super::evaluation::{Comparison, Criteria, MissingData};
use super::math::Outcome;
use super::queries::{Queries, Source, Window};
use super::rule::Rule;
use super::store::{MetricKey, Statistic, Store};
use super::wire::{
    dimensions_of, dimensions_value, invalid, longest, not_found, optional_bool, optional_double,
    optional_number, optional_time, page_size, required, text_of, texts_of, texts_value, token,
    token_content,
};
use super::{AlarmState, CloudWatch};
use crate::error::AwsError;
use crate::value::Value;

/// How many alarms an account has in a region.
const MOST_ALARMS: usize = 5_000;
/// How many names one request may give.
const MOST_NAMES: usize = 100;

impl CloudWatch {
    pub(super) fn put_metric_alarm(
        &mut self,
        account: &str,
        input: &Value,
        now_ms: i64,
    ) -> Result<Value, AwsError> {
        for unsupported in [
            "ThresholdMetricId",
            "EvaluationCriteria",
            "EvaluationInterval",
        ] {
            if !input.get(unsupported).is_null() {
                return Err(invalid(format!(
                    "{unsupported} is not supported: anomaly detection, PromQL and alarms below a minute are not \
                     simulated."
                )));
            }
        }
        let common = self.common(input, now_ms)?;
        self.check_kind(&common.name, false)?;
        let operator = required(input, "ComparisonOperator", "ComparisonOperator")?;
        let comparison = Comparison::parse(&operator).ok_or_else(|| {
            invalid(format!(
                "1 validation error detected: Value '{operator}' at 'comparisonOperator' failed to satisfy \
                 constraint: Member must satisfy enum value set: [GreaterThanOrEqualToThreshold, \
                 GreaterThanThreshold, LessThanThreshold, LessThanOrEqualToThreshold]"
            ))
        })?;
        let threshold = optional_double(input, "Threshold", "Threshold")
            .map_err(|error| invalid(error.message))?
            .ok_or_else(|| invalid("Threshold must not be null"))?;
        let periods = count_of(input, "EvaluationPeriods")?
            .ok_or_else(|| required_number("evaluationPeriods"))?;
        let needed = count_of(input, "DatapointsToAlarm")?;
        if needed.is_some_and(|needed| needed > periods) {
            return Err(invalid(
                "DatapointsToAlarm must be less than or equal to EvaluationPeriods",
            ));
        }
        let treat = text_of(input, "TreatMissingData");
        let missing = match &treat {
            None => MissingData::Missing,
            Some(text) => MissingData::parse(text).ok_or_else(|| {
                invalid(format!(
                    "TreatMissingData was set to {text}, the options are [breaching, notBreaching, ignore, missing]."
                ))
            })?,
        };
        let low_samples = text_of(input, "EvaluateLowSampleCountPercentile");
        if low_samples
            .as_ref()
            .is_some_and(|text| text != "evaluate" && text != "ignore")
        {
            return Err(invalid(
                "EvaluateLowSampleCountPercentile must be one of [evaluate, ignore].",
            ));
        }

        let (queries, mut configuration) = if input.get("Metrics").is_null() {
            single_metric(input)?
        } else {
            several_metrics(input, account)?
        };
        let returning: Vec<usize> = (0..queries.list.len())
            .filter(|index| queries.list[*index].return_data)
            .collect();
        let [watched] = returning[..] else {
            return Err(invalid(
                "Exactly one element of the metrics list should return data.",
            ));
        };
        // The span first: it bounds the period, which the next check multiplies.
        check_span(queries.list[watched].period_s, periods)?;
        check_series(&queries, watched)?;

        for (name, value) in [
            ("EvaluationPeriods", Value::Int(periods as i64)),
            (
                "DatapointsToAlarm",
                needed.map(|needed| needed as i64).into(),
            ),
            ("Threshold", threshold.into()),
            ("ComparisonOperator", operator.into()),
            ("TreatMissingData", treat.into()),
            ("EvaluateLowSampleCountPercentile", low_samples.into()),
        ] {
            configuration = configuration.with(name, value);
        }
        let criteria = Criteria {
            evaluation_periods: periods,
            datapoints_to_alarm: needed.unwrap_or(periods),
            threshold,
            comparison,
            missing,
        };
        let watch = Watch::Metrics {
            queries,
            watched,
            criteria,
        };
        self.put_alarm(
            Alarm {
                common,
                configuration,
                watch,
                updated: false,
            },
            now_ms,
        );
        Ok(Value::map())
    }

    pub(super) fn put_composite_alarm(
        &mut self,
        input: &Value,
        now_ms: i64,
    ) -> Result<Value, AwsError> {
        if !input.get("ActionsSuppressor").is_null() {
            return Err(invalid(
                "ActionsSuppressor is not supported: actions are not simulated.",
            ));
        }
        let common = self.common(input, now_ms)?;
        self.check_kind(&common.name, true)?;
        let text = required(input, "AlarmRule", "AlarmRule")?;
        longest(&text, 10_240, "AlarmRule")?;
        if text.trim() != text {
            return Err(invalid(
                "AlarmRule must not contain leading or trailing whitespace or be null",
            ));
        }
        let rule = Rule::parse(&text)
            .map_err(|reason| invalid(format!("AlarmRule could not be parsed: {reason}.")))?;
        let unknown: Vec<&str> = rule
            .alarms()
            .into_iter()
            .filter(|name| !self.alarms.contains_key(*name))
            .collect();
        if !unknown.is_empty() {
            return Err(invalid(format!(
                "Could not save the composite alarm as alarms [{}] in the alarm rule do not exist",
                unknown.join(", ")
            )));
        }
        let configuration = Value::map().with("AlarmRule", text);
        let watch = Watch::Alarms(rule);
        self.put_alarm(
            Alarm {
                common,
                configuration,
                watch,
                updated: false,
            },
            now_ms,
        );
        Ok(Value::map())
    }

    /// What both kinds of alarm have, in the state of a new alarm.
    fn common(&self, input: &Value, now_ms: i64) -> Result<Common, AwsError> {
        let name = required(input, "AlarmName", "AlarmName")?;
        longest(&name, 255, "AlarmName")?;
        let description = input.get("AlarmDescription").as_str().map(str::to_string);
        longest(
            description.as_deref().unwrap_or(""),
            1024,
            "AlarmDescription",
        )?;
        let actions = |key: &str| {
            let actions = texts_of(input.get(key));
            if actions.len() > 5 {
                return Err(invalid(format!(
                    "The collection {key} must not have a size greater than 5."
                )));
            }
            match actions.iter().find(|arn| !arn.starts_with("arn:")) {
                Some(wrong) => Err(invalid(format!("Invalid arn syntax: {wrong}"))),
                None => Ok(actions),
            }
        };
        if !self.alarms.contains_key(&name) && self.alarms.len() >= MOST_ALARMS {
            return Err(AwsError::caller(
                "LimitExceeded",
                format!("The maximum limit of {MOST_ALARMS} alarms has been reached."),
            ));
        }
        Ok(Common {
            arn: format!(
                "arn:aws:cloudwatch:{}:{}:alarm:{name}",
                self.region, self.account
            ),
            name,
            description,
            actions_enabled: optional_bool(input, "ActionsEnabled", "PutAlarm")?.unwrap_or(true),
            ok_actions: actions("OKActions")?,
            alarm_actions: actions("AlarmActions")?,
            insufficient_data_actions: actions("InsufficientDataActions")?,
            configured_ms: now_ms,
            state: CloudWatch::new_state(now_ms),
            tags: tags_of(input.get("Tags"))?,
        })
    }

    fn check_kind(&self, name: &str, composite: bool) -> Result<(), AwsError> {
        match self.alarms.get(name) {
            Some(alarm) if alarm.is_composite() != composite => Err(invalid(format!(
                "An alarm named {name} of another type already exists: {}.",
                alarm.kind()
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn describe_alarms(&self, input: &Value) -> Result<Value, AwsError> {
        let names = names_of(input)?;
        let prefix = text_of(input, "AlarmNamePrefix");
        if !names.is_empty() && prefix.is_some() {
            return Err(invalid(
                "AlarmNames and AlarmNamePrefix cannot both be specified.",
            ));
        }
        let state = match text_of(input, "StateValue") {
            None => None,
            Some(text) => Some(state_of(&text)?),
        };
        let action_prefix = text_of(input, "ActionPrefix");
        let kinds = kinds_of(input)?;
        let page = page_size(input)?;
        let after = token_content("DescribeAlarms", input)?;

        let family = |key: &str| -> Result<Option<String>, AwsError> {
            let Some(name) = text_of(input, key) else {
                return Ok(None);
            };
            let others = names.len() + usize::from(prefix.is_some()) + usize::from(state.is_some());
            if others > 0 || action_prefix.is_some() {
                return Err(invalid(format!(
                    "{key} cannot be specified together with other filters."
                )));
            }
            if !self.alarms.contains_key(&name) {
                return Err(not_found(
                    "ResourceNotFound",
                    format!("Alarm {name} does not exist"),
                ));
            }
            Ok(Some(name))
        };
        let children_of = family("ChildrenOfAlarmName")?;
        let parents_of = family("ParentsOfAlarmName")?;
        let is_child =
            |parent: &str, child: &str| match self.alarms.get(parent).map(|alarm| &alarm.watch) {
                Some(Watch::Alarms(rule)) => rule.alarms().contains(&child),
                _ => false,
            };
        let whole_family = children_of.is_some() || parents_of.is_some();

        let matches = |alarm: &Alarm| {
            let Common {
                name, state: is, ..
            } = &alarm.common;
            let actions = [
                &alarm.common.ok_actions,
                &alarm.common.alarm_actions,
                &alarm.common.insufficient_data_actions,
            ];
            (whole_family || kinds.iter().any(|kind| kind == alarm.kind()))
                && (names.is_empty() || names.contains(name))
                && prefix
                    .as_ref()
                    .is_none_or(|prefix| name.starts_with(prefix))
                && state.is_none_or(|state| state == is.value)
                && action_prefix.as_ref().is_none_or(|prefix| {
                    actions
                        .into_iter()
                        .flatten()
                        .any(|action| action.starts_with(prefix))
                })
                && children_of
                    .as_ref()
                    .is_none_or(|parent| is_child(parent, name))
                && parents_of
                    .as_ref()
                    .is_none_or(|child| is_child(name, child))
                && after.as_ref().is_none_or(|after| name > after)
        };
        let mut found = self.alarms.values().filter(|alarm| matches(alarm));
        let listed: Vec<&Alarm> = found.by_ref().take(page).collect();
        let more = found.next().is_some();
        let next = listed.last().filter(|_| more);
        let next = next.map(|alarm| token("DescribeAlarms", &alarm.common.name));
        let of_kind = |composite: bool| -> Value {
            let alarms = listed
                .iter()
                .filter(|alarm| alarm.is_composite() == composite);
            let describe = |alarm: &&Alarm| {
                if !whole_family {
                    return alarm.describe();
                }
                // A question for relatives is answered with names and states only.
                let Common {
                    name, arn, state, ..
                } = &alarm.common;
                Value::map()
                    .with("AlarmName", name.as_str())
                    .with("AlarmArn", arn.as_str())
                    .with("StateValue", state.value.as_aws())
                    .with("StateUpdatedTimestamp", Value::Time(state.updated_ms))
            };
            Value::List(alarms.map(describe).collect())
        };
        Ok(Value::map()
            .with("MetricAlarms", of_kind(false))
            .with("CompositeAlarms", of_kind(true))
            .with("NextToken", next))
    }

    pub(super) fn describe_alarms_for_metric(&self, input: &Value) -> Result<Value, AwsError> {
        let namespace = required(input, "Namespace", "Namespace")?;
        let name = required(input, "MetricName", "MetricName")?;
        let dimensions = dimensions_of(input.get("Dimensions"), "Dimensions")?;
        let key = MetricKey::new(&namespace, &name, &dimensions);
        let period = optional_number(input, "Period", "Period")?;
        let same = |alarm: &&Alarm| {
            ["Statistic", "ExtendedStatistic", "Unit"]
                .iter()
                .all(|member| {
                    text_of(input, member).is_none_or(|wanted| {
                        alarm.configuration.get(member).as_str() == Some(&wanted)
                    })
                })
                && period
                    .is_none_or(|period| alarm.configuration.get("Period").as_i64() == Some(period))
        };
        let alarms = self.alarms_on(&key).filter(same).map(Alarm::describe);
        Ok(Value::map().with("MetricAlarms", Value::List(alarms.collect())))
    }

    pub(super) fn delete_alarms(&mut self, input: &Value, now_ms: i64) -> Result<Value, AwsError> {
        let names = names_of(input)?;
        if names.is_empty() {
            return Err(invalid(
                "1 validation error detected: Value null at 'alarmNames' failed to satisfy constraint: Member must \
                 not be null",
            ));
        }
        let composite = names
            .iter()
            .filter(|name| self.alarms.get(*name).is_some_and(Alarm::is_composite));
        if composite.count() > 1 {
            return Err(invalid(
                "You can delete at most one composite alarm in one request.",
            ));
        }
        // A composite alarm that goes in the same request does not hold its children back.
        let needed = |name: &String| {
            self.alarms.values().any(|alarm| match &alarm.watch {
                Watch::Alarms(rule) => {
                    !names.contains(&alarm.common.name) && rule.alarms().contains(&name.as_str())
                }
                Watch::Metrics { .. } => false,
            })
        };
        let blocked: Vec<&str> = names
            .iter()
            .filter(|name| needed(name))
            .map(String::as_str)
            .collect();
        if !blocked.is_empty() {
            return Err(invalid(format!(
                "Cannot delete {} as there are composite alarm(s) depending on {}.",
                blocked.join(","),
                if blocked.len() == 1 { "it" } else { "them" }
            )));
        }
        let mut unknown = Vec::new();
        for name in &names {
            let Some(alarm) = self.alarms.remove(name) else {
                unknown.push(name.as_str());
                continue;
            };
            self.due.retain(|(_, planned)| planned != name);
            let data = serde_json::json!({
                "version": "1.0",
                "type": "Delete",
                "deletedAlarm": super::wire::as_json(&alarm.describe()),
            });
            let summary = format!("Alarm \"{name}\" deleted");
            let kind = alarm.kind();
            self.write_history(
                name,
                kind,
                "ConfigurationUpdate",
                summary,
                data.to_string(),
                now_ms,
            );
        }
        // The alarms that do exist are deleted all the same.
        if unknown.is_empty() {
            Ok(Value::map())
        } else {
            Err(not_found(
                "ResourceNotFound",
                format!("Alarms [{}] do not exist", unknown.join(", ")),
            ))
        }
    }

    pub(super) fn set_alarm_state(
        &mut self,
        input: &Value,
        now_ms: i64,
    ) -> Result<Value, AwsError> {
        let name = required(input, "AlarmName", "AlarmName")?;
        let state = state_of(&required(input, "StateValue", "StateValue")?)?;
        let Some(reason) = input.get("StateReason").as_str().map(str::to_string) else {
            return Err(invalid(
                "1 validation error detected: Value null at 'stateReason' failed to satisfy constraint: Member must \
                 not be null",
            ));
        };
        longest(&reason, 1023, "StateReason")?;
        let data = text_of(input, "StateReasonData");
        longest(data.as_deref().unwrap_or(""), 4000, "StateReasonData")?;
        if let Some(data) = &data
            && serde_json::from_str::<serde_json::Value>(data).is_err()
        {
            return Err(AwsError::caller(
                "InvalidFormat",
                "StateReasonData is not valid JSON.",
            ));
        }
        if !self.alarms.contains_key(&name) {
            return Err(not_found(
                "ResourceNotFound",
                format!("Alarm {name} does not exist"),
            ));
        }
        self.take_state(&name, state, reason, data, now_ms);
        Ok(Value::map())
    }

    pub(super) fn switch_actions(
        &mut self,
        input: &Value,
        enabled: bool,
        now_ms: i64,
    ) -> Result<Value, AwsError> {
        for name in names_of(input)? {
            if let Some(alarm) = self.alarms.get_mut(&name) {
                alarm.common.actions_enabled = enabled;
                alarm.common.configured_ms = now_ms;
            }
        }
        Ok(Value::map())
    }

    pub(super) fn describe_alarm_history(&self, input: &Value) -> Result<Value, AwsError> {
        let name = text_of(input, "AlarmName");
        let item_type = text_of(input, "HistoryItemType");
        let kinds = kinds_of(input)?;
        let from = optional_time(input, "StartDate", "StartDate")?.unwrap_or(i64::MIN);
        let to = optional_time(input, "EndDate", "EndDate")?.unwrap_or(i64::MAX);
        let ascending = match text_of(input, "ScanBy").as_deref() {
            None | Some("TimestampDescending") => false,
            Some("TimestampAscending") => true,
            Some(other) => {
                return Err(invalid(format!(
                    "The value {other} for parameter ScanBy is invalid."
                )));
            }
        };
        let page = page_size(input)?;
        let refused =
            || AwsError::caller("InvalidNextToken", "The next token specified is invalid.");
        let after: Option<u64> = match token_content("DescribeAlarmHistory", input)? {
            None => None,
            Some(number) => Some(number.parse().map_err(|_| refused())?),
        };
        let matches = |item: &&HistoryItem| {
            name.as_ref().is_none_or(|name| *name == item.alarm)
                && item_type
                    .as_ref()
                    .is_none_or(|wanted| wanted == item.item_type)
                && kinds.iter().any(|kind| kind == item.kind)
                && (from..=to).contains(&item.at_ms)
                && after.is_none_or(|after| {
                    if ascending {
                        item.number > after
                    } else {
                        item.number < after
                    }
                })
        };
        let mut found: Vec<&HistoryItem> = self.history.iter().filter(matches).collect();
        if !ascending {
            found.reverse();
        }
        let more = found.len() > page;
        found.truncate(page);
        let next = found.last().filter(|_| more);
        let next = next.map(|item| token("DescribeAlarmHistory", &item.number.to_string()));
        let items = found.into_iter().map(|item| {
            Value::map()
                .with("AlarmName", item.alarm.as_str())
                .with("AlarmType", item.kind)
                .with("Timestamp", Value::Time(item.at_ms))
                .with("HistoryItemType", item.item_type)
                .with("HistorySummary", item.summary.as_str())
                .with("HistoryData", item.data.as_str())
        });
        Ok(Value::map()
            .with("AlarmHistoryItems", Value::List(items.collect()))
            .with("NextToken", next))
    }

    fn tagged(&mut self, input: &Value) -> Result<&mut Alarm, AwsError> {
        let arn = required(input, "ResourceARN", "ResourceARN")?;
        let alarm = self
            .alarms
            .values_mut()
            .find(|alarm| alarm.common.arn == arn);
        alarm.ok_or_else(|| {
            not_found(
                "ResourceNotFoundException",
                format!("Unknown resource identifier {arn}"),
            )
        })
    }

    pub(super) fn tag_resource(&mut self, input: &Value) -> Result<Value, AwsError> {
        let tags = tags_of(input.get("Tags"))?;
        self.tagged(input)?.common.tags.extend(tags);
        Ok(Value::map())
    }

    pub(super) fn untag_resource(&mut self, input: &Value) -> Result<Value, AwsError> {
        let keys = texts_of(input.get("TagKeys"));
        self.tagged(input)?
            .common
            .tags
            .retain(|key, _| !keys.contains(key));
        Ok(Value::map())
    }

    pub(super) fn list_tags_for_resource(&mut self, input: &Value) -> Result<Value, AwsError> {
        let tags = self.tagged(input)?.common.tags.iter();
        let tags = tags.map(|(key, value)| {
            Value::map()
                .with("Key", key.as_str())
                .with("Value", value.as_str())
        });
        Ok(Value::map().with("Tags", Value::List(tags.collect())))
    }
}

/// The metric of an alarm without `Metrics`, and the members that DescribeAlarms repeats.
fn single_metric(input: &Value) -> Result<(Queries, Value), AwsError> {
    let must = |name: &str| {
        text_of(input, name).ok_or_else(|| invalid(format!("{name} must not be null")))
    };
    let (name, namespace) = (must("MetricName")?, must("Namespace")?);
    let dimensions = dimensions_of(input.get("Dimensions"), "Dimensions")
        .map_err(|error| invalid(error.message))?;
    let period_s = optional_number(input, "Period", "Period")?
        .ok_or_else(|| invalid("Period must not be null"))?;
    if !matches!(period_s, 10 | 30) && (period_s < 60 || period_s % 60 != 0) {
        return Err(invalid("Period must be 10, 30 or a multiple of 60"));
    }
    let (plain, extended) = (
        text_of(input, "Statistic"),
        text_of(input, "ExtendedStatistic"),
    );
    let statistic = match (&plain, &extended) {
        (Some(_), Some(_)) => {
            return Err(invalid(
                "The parameters Statistic and ExtendedStatistic are mutually exclusive.",
            ));
        }
        (None, None) => {
            return Err(invalid("Statistic or ExtendedStatistic must be specified."));
        }
        (Some(text), None) => Statistic::parse(text)
            .filter(|found| !matches!(found, Statistic::Percentile(_)))
            .ok_or_else(|| {
                invalid(format!(
                    "1 validation error detected: Value '{text}' at 'statistic' failed to satisfy constraint: Member \
                     must satisfy enum value set: [Maximum, SampleCount, Minimum, Average, Sum]"
                ))
            })?,
        (None, Some(text)) => Statistic::parse(text)
            .filter(|found| matches!(found, Statistic::Percentile(_)))
            .ok_or_else(|| {
                invalid(format!("The value {text} for parameter ExtendedStatistic is not supported."))
            })?,
    };
    let unit = text_of(input, "Unit");
    let key = MetricKey::new(&namespace, &name, &dimensions);
    // Data below a minute is not kept, so such a period is evaluated over whole minutes.
    let queries = Queries::of_metric(key, statistic, unit.clone(), period_s.max(60));
    let configuration = Value::map()
        .with("MetricName", name)
        .with("Namespace", namespace)
        .with("Statistic", plain)
        .with("ExtendedStatistic", extended)
        .with("Dimensions", dimensions_value(&dimensions))
        .with("Period", period_s)
        .with("Unit", unit);
    Ok((queries, configuration))
}

fn several_metrics(input: &Value, account: &str) -> Result<(Queries, Value), AwsError> {
    for single in [
        "MetricName",
        "Namespace",
        "Statistic",
        "ExtendedStatistic",
        "Dimensions",
        "Period",
        "Unit",
    ] {
        let given = input.get(single);
        if !given.is_null() && *given != Value::List(Vec::new()) {
            return Err(invalid(format!(
                "{single} must not be specified when Metrics is specified."
            )));
        }
    }
    let queries = Queries::parse(input.get("Metrics").as_list(), "Metrics", 20, account)?;
    let mut periods = queries.list.iter().map(|query| query.period_s);
    let first = periods.next();
    if periods.any(|period| Some(period) != first) {
        return Err(invalid(
            "All metrics of an alarm must have the same period.",
        ));
    }
    let metrics = input.get("Metrics").as_list().iter().zip(&queries.list);
    let metrics = metrics.map(|(given, query)| {
        let stat = given.get("MetricStat");
        let stat = match &query.source {
            Source::Metric { key, unit, .. } => Value::map()
                .with(
                    "Metric",
                    Value::map()
                        .with("Namespace", key.namespace.as_str())
                        .with("MetricName", key.name.as_str())
                        .with("Dimensions", dimensions_value(&key.dimensions)),
                )
                .with("Period", stat.get("Period").as_i64())
                .with("Stat", text_of(stat, "Stat"))
                .with("Unit", unit.clone()),
            Source::Math(_) => Value::Null,
        };
        Value::map()
            .with("Id", query.id.as_str())
            .with("MetricStat", stat)
            .with("Expression", text_of(given, "Expression"))
            .with("Label", query.label.clone())
            .with("ReturnData", query.return_data)
            .with("Period", given.get("Period").as_i64())
            .with("AccountId", text_of(given, "AccountId"))
    });
    let metrics = Value::List(metrics.collect());
    Ok((
        queries,
        Value::map()
            .with("Metrics", metrics)
            .with("Dimensions", texts_value(&[])),
    ))
}

/// An alarm needs one series; an array of series cannot be compared with one threshold.
fn check_series(queries: &Queries, watched: usize) -> Result<(), AwsError> {
    let nothing = Window {
        start_ms: 0,
        end_ms: 0,
        from_start: true,
        as_of_ms: 0,
    };
    match queries.work_out(&Store::new(0), nothing)?.get(watched) {
        Some(Outcome::Series(_)) => Ok(()),
        _ => Err(invalid(
            "Metrics expression that return multi time series are only allowed for MetricsInsights expression with \
             an ORDER BY clause",
        )),
    }
}

fn check_span(period_s: i64, periods: usize) -> Result<(), AwsError> {
    let span = i64::try_from(periods)
        .unwrap_or(i64::MAX)
        .saturating_mul(period_s);
    if period_s < 3600 && span > 86_400 {
        return Err(invalid(
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400) for \
             alarms using period < 3600",
        ));
    }
    if span > 604_800 {
        return Err(invalid(
            "Metrics cannot be checked across more than a week (EvaluationPeriods * Period must be <= 604800) for \
             alarms using period >= 3600",
        ));
    }
    Ok(())
}

fn required_number(name: &str) -> AwsError {
    invalid(format!(
        "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
    ))
}

/// A number of data points: at least 1.
fn count_of(input: &Value, name: &str) -> Result<Option<usize>, AwsError> {
    match optional_number(input, name, name)? {
        None => Ok(None),
        Some(number) => match usize::try_from(number) {
            Ok(count) if count >= 1 => Ok(Some(count)),
            _ => Err(invalid(format!(
                "1 validation error detected: Value '{number}' at '{}' failed to satisfy constraint: Member must have \
                 value greater than or equal to 1",
                super::wire::lower_first(name)
            ))),
        },
    }
}

fn names_of(input: &Value) -> Result<Vec<String>, AwsError> {
    let names = texts_of(input.get("AlarmNames"));
    if names.len() > MOST_NAMES {
        return Err(invalid(format!(
            "1 validation error detected: Value at 'alarmNames' failed to satisfy constraint: Member must have length \
             less than or equal to {MOST_NAMES}"
        )));
    }
    Ok(names)
}

/// Which kinds of alarm are asked for: metric alarms when nothing is said.
fn kinds_of(input: &Value) -> Result<Vec<String>, AwsError> {
    let kinds = texts_of(input.get("AlarmTypes"));
    for kind in &kinds {
        if !matches!(kind.as_str(), "MetricAlarm" | "CompositeAlarm" | "LogAlarm") {
            return Err(invalid(format!(
                "1 validation error detected: Value '[{kind}]' at 'alarmTypes' failed to satisfy constraint: Member \
                 must satisfy enum value set: [CompositeAlarm, MetricAlarm, LogAlarm]"
            )));
        }
    }
    Ok(if kinds.is_empty() {
        vec!["MetricAlarm".to_string()]
    } else {
        kinds
    })
}

fn state_of(text: &str) -> Result<AlarmState, AwsError> {
    AlarmState::parse(text).ok_or_else(|| {
        invalid(format!(
            "1 validation error detected: Value '{text}' at 'stateValue' failed to satisfy constraint: Member must \
             satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]"
        ))
    })
}

fn tags_of(value: &Value) -> Result<BTreeMap<String, String>, AwsError> {
    let mut tags = BTreeMap::new();
    for tag in value.as_list() {
        let key = required(tag, "Key", "Tags.member.Key")?;
        let value = tag.get("Value").as_str().unwrap_or("").to_string();
        tags.insert(key, value);
    }
    Ok(tags)
}
