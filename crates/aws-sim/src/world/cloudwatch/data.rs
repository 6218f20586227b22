//! PutMetricData, ListMetrics, GetMetricData and GetMetricStatistics.

use super::CloudWatch;
use super::math::{Outcome, Points};
use super::queries::{Queries, Source, Window};
use super::store::{Distribution, MINUTE_MS, MetricKey, Reading, Statistic, Store, stable_hash};
use super::wire::{
    dimensions_of, dimensions_value, invalid, invalid_combination, invalid_value,
    missing_parameter, optional_double, optional_number, optional_time, text_of, texts_of, token,
    token_content,
};
use crate::error::AwsError;
use crate::value::Value;

/// How many data points GetMetricData answers at most, and when nothing is said.
const MOST_DATAPOINTS: i64 = 100_800;
/// How many metrics one page of ListMetrics has.
const METRICS_PER_PAGE: usize = 500;
/// How many periods GetMetricStatistics answers at most.
const MOST_STATISTICS: i64 = 1_440;

const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

/// One datum of PutMetricData that was understood.
struct Datum {
    key: MetricKey,
    at_ms: i64,
    unit: String,
    distribution: Distribution,
}

impl CloudWatch {
    pub(super) fn put_metric_data(
        &mut self,
        input: &Value,
        now_ms: i64,
    ) -> Result<Value, AwsError> {
        let namespace =
            text_of(input, "Namespace").ok_or_else(|| missing_parameter("Namespace"))?;
        if namespace.starts_with("AWS/") || namespace.starts_with(':') || namespace.len() > 255 {
            return Err(invalid_value(format!(
                "The value {namespace} for parameter Namespace is invalid."
            )));
        }
        let mut lists = vec![("MetricData".to_string(), input.get("MetricData").as_list())];
        for (index, entity) in input.get("EntityMetricData").as_list().iter().enumerate() {
            let name = format!("EntityMetricData.member.{}.MetricData", index + 1);
            lists.push((name, entity.get("MetricData").as_list()));
        }
        let count: usize = lists.iter().map(|(_, list)| list.len()).sum();
        if count == 0 {
            return Err(missing_parameter("MetricData"));
        }
        if count > 1000 {
            return Err(invalid_value(
                "The collection MetricData must not have a size greater than 1000.",
            ));
        }
        let mut data = Vec::new();
        for (name, list) in &lists {
            for (index, datum) in list.iter().enumerate() {
                let at = format!("{name}.member.{}", index + 1);
                data.push(parse_datum(&namespace, datum, &at, now_ms)?);
            }
        }
        // All or nothing: only when every datum was understood is the first one kept.
        for Datum {
            key,
            at_ms,
            unit,
            distribution,
        } in data
        {
            self.store.put(&key, at_ms, now_ms, &unit, &distribution);
        }
        Ok(Value::map())
    }

    pub(super) fn list_metrics(&self, input: &Value, now_ms: i64) -> Result<Value, AwsError> {
        let namespace = text_of(input, "Namespace");
        let name = text_of(input, "MetricName");
        let filters = input.get("Dimensions").as_list();
        if filters.len() > 10 {
            return Err(invalid_value(
                "The collection Dimensions must not have a size greater than 10.",
            ));
        }
        let mut wanted: Vec<(String, Option<String>)> = Vec::new();
        for (index, filter) in filters.iter().enumerate() {
            let name = text_of(filter, "Name").ok_or_else(|| {
                missing_parameter(&format!("Dimensions.member.{}.Name", index + 1))
            })?;
            wanted.push((name, text_of(filter, "Value")));
        }
        let recent = match text_of(input, "RecentlyActive").as_deref() {
            None => i64::MIN,
            Some("PT3H") => now_ms - 3 * 60 * MINUTE_MS,
            Some(other) => {
                return Err(invalid_value(format!(
                    "The value {other} for parameter RecentlyActive is invalid. Valid values are: PT3H"
                )));
            }
        };
        let refused =
            || AwsError::caller("InvalidNextToken", "The next token specified is invalid.");
        let after = match token_content("ListMetrics", input)? {
            None => None,
            Some(content) => Some(key_at(&content).ok_or_else(refused)?),
        };
        let matches = |key: &MetricKey| {
            after.as_ref().is_none_or(|after| key > after)
                && namespace
                    .as_ref()
                    .is_none_or(|wanted| *wanted == key.namespace)
                && name.as_ref().is_none_or(|wanted| *wanted == key.name)
                && wanted.iter().all(|(name, value)| {
                    key.dimensions.iter().any(|(has, held)| {
                        has == name && value.as_ref().is_none_or(|value| value == held)
                    })
                })
                && self
                    .store
                    .newest_visible(key, now_ms)
                    .is_some_and(|newest| newest >= recent)
        };
        let keys = self.store.keys();
        let mut found = keys.iter().filter(|key| matches(key));
        let page: Vec<&MetricKey> = found.by_ref().take(METRICS_PER_PAGE).collect();
        let more = found.next().is_some();
        let last = page.last().filter(|_| more);
        let next = last.map(|key| token("ListMetrics", &place_of(key)));
        let metrics = page.into_iter().map(|key| {
            Value::map()
                .with("Namespace", key.namespace.as_str())
                .with("MetricName", key.name.as_str())
                .with("Dimensions", dimensions_value(&key.dimensions))
        });
        Ok(Value::map()
            .with("Metrics", Value::List(metrics.collect()))
            .with("NextToken", next))
    }

    pub(super) fn get_metric_data(
        &self,
        account: &str,
        input: &Value,
        now_ms: i64,
    ) -> Result<Value, AwsError> {
        let queries = Queries::parse(
            input.get("MetricDataQueries").as_list(),
            "MetricDataQueries",
            500,
            account,
        )?;
        let time = |name: &str| {
            optional_time(input, name, name)?
                .ok_or_else(|| invalid(format!("The parameter {name} is required.")))
        };
        let (start_ms, end_ms) = (time("StartTime")?, time("EndTime")?);
        if start_ms >= end_ms {
            return Err(invalid(
                "The parameter StartTime must be less than the parameter EndTime.",
            ));
        }
        let descending = match text_of(input, "ScanBy").as_deref() {
            None | Some("TimestampDescending") => true,
            Some("TimestampAscending") => false,
            Some(other) => {
                return Err(invalid(format!(
                    "The value {other} for parameter ScanBy is invalid. Valid values are: TimestampDescending, \
                     TimestampAscending"
                )));
            }
        };
        let most =
            optional_number(input, "MaxDatapoints", "MaxDatapoints")?.unwrap_or(MOST_DATAPOINTS);
        if !(1..=MOST_DATAPOINTS).contains(&most) {
            return Err(invalid(format!(
                "The parameter MaxDatapoints must be between 1 and {MOST_DATAPOINTS}."
            )));
        }
        // A marker holds for this request only, and later pages see what the first one saw.
        let digest = stable_hash([
            format!("{:?}", input.get("MetricDataQueries")).as_str(),
            &format!("{start_ms} {end_ms} {descending}"),
        ]);
        let refused =
            || AwsError::caller("InvalidNextToken", "The next token specified is invalid.");
        let place = match token_content("GetMetricData", input)? {
            None => Place {
                as_of_ms: now_ms,
                entry: 0,
                after_ms: None,
            },
            Some(text) => Place::read(&text, digest).ok_or_else(refused)?,
        };
        let window = Window {
            start_ms,
            end_ms,
            from_start: false,
            as_of_ms: place.as_of_ms,
        };
        let entries = entries_of(&queries, queries.work_out(&self.store, window)?);

        let mut room = usize::try_from(most).unwrap_or(usize::MAX);
        let mut results = Vec::new();
        let mut next = None;
        for (index, entry) in entries.iter().enumerate().skip(place.entry) {
            let after = place.after_ms.filter(|_| index == place.entry);
            let is_left = |at: &i64| match after {
                None => true,
                Some(after) if descending => *at < after,
                Some(after) => *at > after,
            };
            let mut left: Vec<(i64, f64)> = entry
                .points
                .iter()
                .map(|(at, value)| (*at, *value))
                .filter(|(at, _)| is_left(at))
                .collect();
            if descending {
                left.reverse();
            }
            if room == 0 && !left.is_empty() {
                next = Some(Place {
                    entry: index,
                    after_ms: after,
                    ..place
                });
                break;
            }
            let partial = left.len() > room;
            left.truncate(room);
            room -= left.len();
            results.push(entry.result(&left, partial));
            if partial {
                let last = left.last().map(|(at, _)| *at);
                next = Some(Place {
                    entry: index,
                    after_ms: last,
                    ..place
                });
                break;
            }
        }
        Ok(Value::map()
            .with("MetricDataResults", Value::List(results))
            .with("Messages", Value::List(Vec::new()))
            .with(
                "NextToken",
                next.map(|place| token("GetMetricData", &place.write(digest))),
            ))
    }

    pub(super) fn get_metric_statistics(
        &self,
        input: &Value,
        now_ms: i64,
    ) -> Result<Value, AwsError> {
        let text = |name: &str| text_of(input, name).ok_or_else(|| missing_parameter(name));
        let (namespace, name) = (text("Namespace")?, text("MetricName")?);
        let dimensions = dimensions_of(input.get("Dimensions"), "Dimensions")?;
        let time = |name: &str| {
            optional_time(input, name, name)
                .map_err(|error| invalid_value(error.message))?
                .ok_or_else(|| missing_parameter(name))
        };
        let (start_ms, end_ms) = (time("StartTime")?, time("EndTime")?);
        if start_ms >= end_ms {
            return Err(invalid_combination(
                "The parameter StartTime must be less than the parameter EndTime.",
            ));
        }
        let period_s = optional_number(input, "Period", "Period")
            .map_err(|error| invalid_value(error.message))?
            .ok_or_else(|| missing_parameter("Period"))?;
        let period_s = super::queries::checked_period(period_s, "Period")
            .map_err(|error| invalid_value(error.message))?;
        let (plain, extended) = (
            texts_of(input.get("Statistics")),
            texts_of(input.get("ExtendedStatistics")),
        );
        if plain.is_empty() && extended.is_empty() {
            return Err(invalid_combination(
                "Must specify either Statistics or ExtendedStatistics",
            ));
        }
        let mut statistics = Vec::new();
        for (texts, percentile, name) in [
            (&plain, false, "Statistics"),
            (&extended, true, "ExtendedStatistics"),
        ] {
            for text in texts {
                let statistic = Statistic::parse(text)
                    .filter(|found| matches!(found, Statistic::Percentile(_)) == percentile);
                let statistic = statistic.ok_or_else(|| {
                    invalid_value(format!("The value {text} for parameter {name} is invalid."))
                })?;
                statistics.push((text, statistic, percentile));
            }
        }
        let unit = text_of(input, "Unit");
        let period_ms = period_s * 1000;
        let asked = (end_ms - start_ms).div_euclid(period_ms);
        if asked > MOST_STATISTICS {
            return Err(invalid_combination(format!(
                "You have requested up to {asked} datapoints, which exceeds the limit of {MOST_STATISTICS}. You may \
                 reduce the datapoints requested by increasing Period, or decreasing the time range."
            )));
        }
        let key = MetricKey::new(&namespace, &name, &dimensions);
        let reading = Reading {
            start_ms: start_ms.div_euclid(period_ms) * period_ms,
            end_ms,
            period_ms,
            as_of_ms: now_ms,
        };
        let held_unit = self.store.unit(&key).unwrap_or("None");
        let read = |statistic| self.store.read(&key, statistic, unit.as_deref(), reading);
        let values: Vec<(&String, Points, bool)> = statistics
            .iter()
            .map(|(text, statistic, percentile)| (*text, read(*statistic), *percentile))
            .collect();
        let mut datapoints = Vec::new();
        for at in read(Statistic::SampleCount).into_keys() {
            let mut datapoint = Value::map()
                .with("Timestamp", Value::Time(at))
                .with("Unit", held_unit);
            let mut percentiles = Value::map();
            for (text, points, percentile) in &values {
                let value = points.get(&at).copied();
                if *percentile {
                    percentiles = percentiles.with(text, value);
                } else {
                    datapoint = datapoint.with(text, value);
                }
            }
            if !extended.is_empty() {
                datapoint = datapoint.with("ExtendedStatistics", percentiles);
            }
            datapoints.push(datapoint);
        }
        Ok(Value::map()
            .with("Label", name)
            .with("Datapoints", Value::List(datapoints)))
    }
}

fn parse_datum(namespace: &str, datum: &Value, at: &str, now_ms: i64) -> Result<Datum, AwsError> {
    let metric = text_of(datum, "MetricName")
        .ok_or_else(|| missing_parameter(&format!("{at}.MetricName")))?;
    let dimensions = dimensions_of(datum.get("Dimensions"), &format!("{at}.Dimensions"))?;
    let at_ms = optional_time(datum, "Timestamp", &format!("{at}.Timestamp"))
        .map_err(|error| invalid_value(error.message))?
        .unwrap_or(now_ms);
    if at_ms < now_ms - 14 * 24 * 60 * MINUTE_MS || at_ms > now_ms + 120 * MINUTE_MS {
        return Err(invalid_value(format!(
            "The parameter {at}.Timestamp must specify a time no more than two weeks in the past and two hours in the \
             future."
        )));
    }
    let unit = text_of(datum, "Unit").unwrap_or_else(|| "None".to_string());
    if !UNITS.contains(&unit.as_str()) {
        return Err(invalid_value(format!(
            "The value {unit} for parameter {at}.Unit is invalid."
        )));
    }
    let value = optional_double(datum, "Value", &format!("{at}.Value"))?;
    let set = datum.get("StatisticValues");
    let values = datum.get("Values").as_list();
    let given = [value.is_some(), !set.is_null(), !values.is_empty()];
    match given.iter().filter(|given| **given).count() {
        1 => {}
        0 => return Err(missing_parameter(&format!("{at}.Value"))),
        _ => {
            return Err(invalid_combination(format!(
                "The parameters {at}.Value, {at}.StatisticValues and {at}.Values are mutually exclusive and you have \
                 specified more than one."
            )));
        }
    }
    let mut distribution = Distribution::default();
    if let Some(value) = value {
        distribution.add(value, 1.0);
    } else if values.is_empty() {
        let part = |key: &str| {
            let name = format!("{at}.StatisticValues.{key}");
            optional_double(set, key, &name)?.ok_or_else(|| missing_parameter(&name))
        };
        let (count, sum) = (part("SampleCount")?, part("Sum")?);
        let (minimum, maximum) = (part("Minimum")?, part("Maximum")?);
        if count <= 0.0 || minimum > maximum {
            return Err(invalid_value(format!(
                "The parameter {at}.StatisticValues must have a positive SampleCount and a Minimum that is not above \
                 its Maximum."
            )));
        }
        distribution.add_statistic_set(count, sum, minimum, maximum);
    } else {
        let counts = datum.get("Counts").as_list();
        if values.len() > 150 || (!counts.is_empty() && counts.len() != values.len()) {
            return Err(invalid_value(format!(
                "The parameters {at}.Values and {at}.Counts must have the same size, at most 150."
            )));
        }
        for (index, value) in values.iter().enumerate() {
            let count = counts.get(index).map_or(Some(1.0), Value::as_f64);
            let value = value.as_f64().filter(|value| value.is_finite());
            let count = count.filter(|count| count.is_finite() && *count >= 0.0);
            let (Some(value), Some(count)) = (value, count) else {
                return Err(invalid_value(format!(
                    "The parameter {at}.Values must contain numbers, each with a count that is not negative."
                )));
            };
            distribution.add(value, count);
        }
    }
    Ok(Datum {
        key: MetricKey::new(namespace, &metric, &dimensions),
        at_ms,
        unit,
        distribution,
    })
}

/// Where the next page of GetMetricData begins.
#[derive(Clone, Copy)]
struct Place {
    as_of_ms: i64,
    entry: usize,
    /// The last data point of `entry` that was answered.
    after_ms: Option<i64>,
}

impl Place {
    fn write(self, digest: u64) -> String {
        let after = self
            .after_ms
            .map_or_else(|| "-".to_string(), |at| at.to_string());
        format!("{digest:x} {} {} {after}", self.as_of_ms, self.entry)
    }

    fn read(text: &str, digest: u64) -> Option<Place> {
        let mut parts = text.split(' ');
        if u64::from_str_radix(parts.next()?, 16).ok()? != digest {
            return None;
        }
        let as_of_ms = parts.next()?.parse().ok()?;
        let entry = parts.next()?.parse().ok()?;
        let after_ms = match parts.next()? {
            "-" => None,
            at => Some(at.parse().ok()?),
        };
        Some(Place {
            as_of_ms,
            entry,
            after_ms,
        })
    }
}

/// One series of the answer. A query that comes out as several series has several entries.
struct Entry {
    id: String,
    label: String,
    points: Points,
    foreign: bool,
}

impl Entry {
    fn result(&self, points: &[(i64, f64)], partial: bool) -> Value {
        let status = match (self.foreign, partial) {
            (true, _) => "Forbidden",
            (_, true) => "PartialData",
            _ => "Complete",
        };
        Value::map()
            .with("Id", self.id.as_str())
            .with("Label", self.label.as_str())
            .with(
                "Timestamps",
                points
                    .iter()
                    .map(|(at, _)| Value::Time(*at))
                    .collect::<Vec<_>>(),
            )
            .with(
                "Values",
                points
                    .iter()
                    .map(|(_, value)| Value::Double(*value))
                    .collect::<Vec<_>>(),
            )
            .with("StatusCode", status)
    }
}

fn entries_of(queries: &Queries, outcomes: Vec<Outcome>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (query, outcome) in queries.list.iter().zip(outcomes) {
        if !query.return_data {
            continue;
        }
        let (name, foreign) = match &query.source {
            Source::Metric { key, foreign, .. } => (key.name.clone(), *foreign),
            Source::Math(_) => (query.id.clone(), false),
        };
        let label = query.label.clone().unwrap_or(name);
        let id = query.id.clone();
        match outcome {
            Outcome::Series(points) => entries.push(Entry {
                id,
                label,
                points,
                foreign,
            }),
            Outcome::Many(series) => entries.extend(series.into_iter().map(|(of, points)| Entry {
                id: id.clone(),
                label: format!("{label} {of}"),
                points,
                foreign,
            })),
            // Queries whose result is returned and a number were refused when they were worked out.
            Outcome::Scalar(_) => {}
        }
    }
    entries
}

/// A metric as a page marker carries it.
fn place_of(key: &MetricKey) -> String {
    let dimensions = key
        .dimensions
        .iter()
        .flat_map(|(name, value)| [name.as_str(), value]);
    let parts = [key.namespace.as_str(), &key.name]
        .into_iter()
        .chain(dimensions);
    serde_json::Value::from_iter(parts).to_string()
}

fn key_at(place: &str) -> Option<MetricKey> {
    let parts: Vec<String> = serde_json::from_str(place).ok()?;
    let [namespace, name, dimensions @ ..] = parts.as_slice() else {
        return None;
    };
    let pairs = dimensions.chunks_exact(2);
    let dimensions: Vec<(String, String)> = pairs
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect();
    Some(MetricKey::new(namespace, name, &dimensions))
}

/// All metrics for the control page.
pub(super) fn metric_state(store: &Store) -> Value {
    let one = |key: MetricKey| {
        Value::map()
            .with("Namespace", key.namespace.as_str())
            .with("MetricName", key.name.as_str())
            .with("Dimensions", dimensions_value(&key.dimensions))
    };
    Value::List(store.keys().into_iter().map(one).collect())
}
