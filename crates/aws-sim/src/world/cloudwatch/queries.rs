//! MetricDataQueries: read from a request, checked, put in order and worked out.

use std::collections::{BTreeMap, BTreeSet};

use super::math::{Expression, Outcome, Points, Surroundings};
use super::store::{MINUTE_MS, MetricKey, Reading, Statistic, Store};
use super::wire::{
    dimensions_of, invalid, longest, optional_bool, optional_number, required, text_of,
};
use crate::error::AwsError;
use crate::value::Value;

/// What one query asks for.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A statistic of one metric.
    Metric {
        key: MetricKey,
        statistic: Statistic,
        unit: Option<String>,
        /// Another account than the caller's: answered with `Forbidden`.
        foreign: bool,
    },
    /// An expression over other queries.
    Math(Expression),
}

/// One query.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) id: String,
    pub(super) source: Source,
    pub(super) label: Option<String>,
    pub(super) return_data: bool,
    /// In seconds, a multiple of 60. For an expression the longest period it builds on.
    pub(super) period_s: i64,
}

/// Queries that are known to refer to one another without a circle.
#[derive(Clone, Debug)]
pub(super) struct Queries {
    pub(super) list: Vec<Query>,
    /// Indices into `list`, so that each comes after those it builds on.
    order: Vec<usize>,
}

/// The stretch of time that queries are worked out for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    /// Whether periods begin at `start_ms` (alarms) or at whole multiples of the period (GetMetricData).
    pub(super) from_start: bool,
    pub(super) as_of_ms: i64,
}

impl Window {
    fn reading(&self, period_s: i64) -> Reading {
        let period_ms = period_s * 1000;
        let start_ms = if self.from_start {
            self.start_ms
        } else {
            self.start_ms.div_euclid(period_ms) * period_ms
        };
        Reading {
            start_ms,
            end_ms: self.end_ms,
            period_ms,
            as_of_ms: self.as_of_ms,
        }
    }
}

/// A period in seconds, or why it cannot be one. Periods below a minute read data of a minute.
pub(super) fn checked_period(period_s: i64, name: &str) -> Result<i64, AwsError> {
    match period_s {
        1 | 5 | 10 | 30 => Ok(60),
        whole if (60..=86_400).contains(&whole) && whole % 60 == 0 => Ok(whole),
        other => Err(invalid(format!(
            "The parameter {name} must be 1, 5, 10, 30 or a multiple of 60, at most 86400; it is {other}."
        ))),
    }
}

fn is_id(text: &str) -> bool {
    text.len() <= 255
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Queries {
    /// Reads the list `name` of a request. `most` is how many it may have.
    pub(super) fn parse(
        input: &[Value],
        name: &str,
        most: usize,
        account: &str,
    ) -> Result<Queries, AwsError> {
        if input.is_empty() {
            return Err(invalid(format!("The parameter {name} is required.")));
        }
        if input.len() > most {
            return Err(invalid(format!(
                "The collection {name} must not have a size greater than {most}."
            )));
        }
        let mut list = Vec::new();
        for (index, value) in input.iter().enumerate() {
            list.push(parse_query(
                value,
                &format!("{name}.member.{}", index + 1),
                account,
            )?);
        }
        let mut by_id: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, query) in list.iter().enumerate() {
            if by_id.insert(&query.id, index).is_some() {
                return Err(invalid(format!(
                    "The values for parameter id in {name} are not unique: {}",
                    query.id
                )));
            }
        }
        let order = in_order(&list, &by_id)?;
        let periods = periods_in_order(&list, &order, &by_id);
        for (query, period_s) in list.iter_mut().zip(periods) {
            query.period_s = period_s;
        }
        let queries = Queries { list, order };
        // Working the queries out over nothing shows every mistake that does not depend on data.
        let nothing = Window {
            start_ms: 0,
            end_ms: 0,
            from_start: true,
            as_of_ms: 0,
        };
        queries.work_out(&Store::new(0), nothing)?;
        Ok(queries)
    }

    /// A single metric, as an alarm without `Metrics` has it.
    pub(super) fn of_metric(
        key: MetricKey,
        statistic: Statistic,
        unit: Option<String>,
        period_s: i64,
    ) -> Queries {
        let source = Source::Metric {
            key,
            statistic,
            unit,
            foreign: false,
        };
        let query = Query {
            id: "m1".to_string(),
            source,
            label: None,
            return_data: true,
            period_s,
        };
        Queries {
            list: vec![query],
            order: vec![0],
        }
    }

    /// What each query comes out as, in the order of the list.
    pub(super) fn work_out(&self, store: &Store, window: Window) -> Result<Vec<Outcome>, AwsError> {
        let mut outcomes = BTreeMap::new();
        for index in &self.order {
            let query = &self.list[*index];
            let reading = window.reading(query.period_s);
            let outcome = match &query.source {
                Source::Metric { foreign: true, .. } => Outcome::Series(Points::new()),
                Source::Metric {
                    key,
                    statistic,
                    unit,
                    ..
                } => Outcome::Series(store.read(key, *statistic, unit.as_deref(), reading)),
                Source::Math(expression) => {
                    let around = Around {
                        queries: &self.list,
                        outcomes: &outcomes,
                        reading,
                    };
                    let fail = |reason: String| {
                        invalid(format!("Error in expression '{}': {reason}", query.id))
                    };
                    let outcome = expression.work_out(&around).map_err(fail)?;
                    if query.return_data && matches!(outcome, Outcome::Scalar(_)) {
                        return Err(fail(
                            "The result must be a time series or an array of time series, it is a scalar"
                                .to_string(),
                        ));
                    }
                    outcome
                }
            };
            outcomes.insert(query.id.clone(), outcome);
        }
        let take = |query: &Query| outcomes.remove(&query.id);
        Ok(self.list.iter().filter_map(take).collect())
    }
}

fn parse_query(value: &Value, name: &str, account: &str) -> Result<Query, AwsError> {
    let id = required(value, "Id", &format!("{name}.Id"))?;
    if !is_id(&id) {
        return Err(invalid(format!(
            "The value {id} for parameter {name}.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$."
        )));
    }
    let period = optional_number(value, "Period", &format!("{name}.Period"))?;
    let label = text_of(value, "Label");
    let return_data = optional_bool(value, "ReturnData", name)?.unwrap_or(true);
    let expression = text_of(value, "Expression");
    let stat = value.get("MetricStat");
    let (source, period_s) = match (expression, stat.is_null()) {
        (Some(text), true) => {
            longest(&text, 2048, &format!("{name}.Expression"))?;
            let fail = |reason| invalid(format!("Error in expression '{id}': {reason}"));
            let expression = Expression::parse(&text).map_err(fail)?;
            let period_s = match period {
                Some(period) => checked_period(period, &format!("{name}.Period"))?,
                None => 60,
            };
            (Source::Math(expression), period_s)
        }
        (None, false) => {
            let metric = stat.get("Metric");
            let at = format!("{name}.MetricStat");
            let namespace = required(metric, "Namespace", &format!("{at}.Metric.Namespace"))?;
            let metric_name = required(metric, "MetricName", &format!("{at}.Metric.MetricName"))?;
            let dimensions =
                dimensions_of(metric.get("Dimensions"), &format!("{at}.Metric.Dimensions"))?;
            let text = required(stat, "Stat", &format!("{at}.Stat"))?;
            let statistic = Statistic::parse(&text).ok_or_else(|| {
                invalid(format!(
                    "The value {text} for parameter {at}.Stat is not supported."
                ))
            })?;
            let period = optional_number(stat, "Period", &format!("{at}.Period"))?
                .ok_or_else(|| invalid(format!("The parameter {at}.Period is required.")))?;
            let foreign = text_of(value, "AccountId").is_some_and(|other| other != account);
            let key = MetricKey::new(&namespace, &metric_name, &dimensions);
            let source = Source::Metric {
                key,
                statistic,
                unit: text_of(stat, "Unit"),
                foreign,
            };
            (source, checked_period(period, &format!("{at}.Period"))?)
        }
        _ => {
            return Err(invalid(format!(
                "Exactly one of the parameters {name}.MetricStat and {name}.Expression must be specified."
            )));
        }
    };
    Ok(Query {
        id,
        source,
        label,
        return_data,
        period_s,
    })
}

/// The indices that the query at `index` builds on.
fn builds_on(
    list: &[Query],
    index: usize,
    by_id: &BTreeMap<&str, usize>,
) -> Result<BTreeSet<usize>, AwsError> {
    let Source::Math(expression) = &list[index].source else {
        return Ok(BTreeSet::new());
    };
    let mut found = BTreeSet::new();
    for id in expression.mentioned() {
        match by_id.get(id.as_str()) {
            Some(other) => found.insert(*other),
            None => {
                return Err(invalid(format!(
                    "Error in expression '{}': Undefined variable '{id}'",
                    list[index].id
                )));
            }
        };
    }
    if expression.mentions_all_metrics() {
        let metrics = list.iter().enumerate();
        let metrics = metrics.filter(|(_, query)| matches!(query.source, Source::Metric { .. }));
        found.extend(metrics.map(|(index, _)| index));
    }
    Ok(found)
}

fn in_order(list: &[Query], by_id: &BTreeMap<&str, usize>) -> Result<Vec<usize>, AwsError> {
    let mut waiting = Vec::new();
    for index in 0..list.len() {
        waiting.push((index, builds_on(list, index, by_id)?));
    }
    let mut order: Vec<usize> = Vec::new();
    let mut done: BTreeSet<usize> = BTreeSet::new();
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|(index, needs)| {
            let ready = needs.is_subset(&done);
            if ready {
                done.insert(*index);
                order.push(*index);
            }
            !ready
        });
        if waiting.len() == before {
            let ids: Vec<&str> = waiting
                .iter()
                .map(|(index, _)| list[*index].id.as_str())
                .collect();
            return Err(invalid(format!(
                "Error in expression '{}': Circular reference between {}",
                ids[0],
                ids.join(", ")
            )));
        }
    }
    Ok(order)
}

fn periods_in_order(list: &[Query], order: &[usize], by_id: &BTreeMap<&str, usize>) -> Vec<i64> {
    let mut periods: Vec<i64> = list.iter().map(|query| query.period_s).collect();
    for index in order {
        // Every reference was resolved when the order was found.
        let needs = builds_on(list, *index, by_id).unwrap_or_default();
        if let Some(longest) = needs.iter().map(|other| periods[*other]).max() {
            periods[*index] = longest;
        }
    }
    periods
}

struct Around<'a> {
    queries: &'a [Query],
    outcomes: &'a BTreeMap<String, Outcome>,
    reading: Reading,
}

impl Surroundings for Around<'_> {
    fn outcome_of(&self, id: &str) -> Option<&Outcome> {
        self.outcomes.get(id)
    }

    fn period_of(&self, id: &str) -> Option<i64> {
        self.queries
            .iter()
            .find(|query| query.id == id)
            .map(|query| query.period_s)
    }

    fn metric_ids(&self) -> Vec<String> {
        let metrics = self
            .queries
            .iter()
            .filter(|query| matches!(query.source, Source::Metric { .. }));
        metrics.map(|query| query.id.clone()).collect()
    }

    fn all_periods(&self) -> Vec<i64> {
        // Nothing is kept longer than the retention and nothing is known of the future, so a
        // request over decades must not make FILL write a data point for every minute of them.
        let Reading {
            start_ms,
            end_ms,
            period_ms,
            as_of_ms,
        } = self.reading;
        let oldest = as_of_ms.saturating_sub(super::store::RETENTION_MS);
        let skipped = oldest.saturating_sub(start_ms).max(0).div_euclid(period_ms);
        let newest = end_ms.min(as_of_ms.saturating_add(MINUTE_MS));
        let mut periods = Vec::new();
        let mut at = start_ms + skipped * period_ms;
        while at < newest {
            periods.push(at);
            at += period_ms;
        }
        periods
    }
}
