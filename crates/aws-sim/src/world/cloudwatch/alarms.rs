//! Alarms as they are held, and their evaluation as time passes.

use std::collections::BTreeMap;

use super::evaluation::{
    Criteria, EXTRA_PERIODS, MissingData, Point, Verdict, long_date, spoken_date,
};
use super::math::{Outcome, Points};
use super::queries::{Queries, Query, Source, Window};
use super::rule::Rule;
use super::store::{MINUTE_MS, MetricKey, Reading, Statistic, stable_hash};
use super::wire::{as_json, texts_value};
use super::{AlarmState, CloudWatch};
use crate::value::Value;

/// How long the history of alarms is kept: 30 days.
const HISTORY_MS: i64 = 30 * 24 * 60 * MINUTE_MS;
/// A composite alarm is first evaluated this long after it was put.
const COMPOSITE_DELAY_MS: i64 = 5_000;
/// What an alarm says before its first evaluation.
const UNCHECKED: &str = "Unchecked: Initial alarm creation";

/// The state of an alarm and why it has it.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) value: AlarmState,
    pub(super) reason: String,
    /// JSON.
    pub(super) reason_data: Option<String>,
    pub(super) updated_ms: i64,
    pub(super) transitioned_ms: i64,
}

/// What metric alarms and composite alarms have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) description: Option<String>,
    pub(super) actions_enabled: bool,
    pub(super) ok_actions: Vec<String>,
    pub(super) alarm_actions: Vec<String>,
    pub(super) insufficient_data_actions: Vec<String>,
    pub(super) configured_ms: i64,
    pub(super) state: State,
    pub(super) tags: BTreeMap<String, String>,
}

/// What an alarm decides its state from.
#[derive(Clone, Debug)]
pub(super) enum Watch {
    /// A metric or a metric math expression.
    Metrics {
        queries: Queries,
        /// The query that returns data.
        watched: usize,
        criteria: Criteria,
    },
    /// The states of other alarms.
    Alarms(Rule),
}

/// One alarm of either kind.
#[derive(Clone, Debug)]
pub(super) struct Alarm {
    pub(super) common: Common,
    /// The members of DescribeAlarms that belong to the kind, as they were put.
    pub(super) configuration: Value,
    pub(super) watch: Watch,
    /// The rule was changed and has not been evaluated since.
    pub(super) updated: bool,
}

impl Alarm {
    pub(super) fn is_composite(&self) -> bool {
        matches!(self.watch, Watch::Alarms(_))
    }

    /// `MetricAlarm` or `CompositeAlarm`.
    pub(super) fn kind(&self) -> &'static str {
        if self.is_composite() {
            "CompositeAlarm"
        } else {
            "MetricAlarm"
        }
    }

    /// The alarm as DescribeAlarms answers it.
    pub(super) fn describe(&self) -> Value {
        let Common { state, .. } = &self.common;
        let mut value = self.configuration.clone();
        for (name, part) in [
            ("StateValue", Value::from(state.value.as_aws())),
            ("StateReason", state.reason.as_str().into()),
            ("StateReasonData", state.reason_data.clone().into()),
            ("StateUpdatedTimestamp", Value::Time(state.updated_ms)),
            (
                "StateTransitionedTimestamp",
                Value::Time(state.transitioned_ms),
            ),
            ("AlarmName", self.common.name.as_str().into()),
            ("AlarmArn", self.common.arn.as_str().into()),
            ("AlarmDescription", self.common.description.clone().into()),
            (
                "AlarmConfigurationUpdatedTimestamp",
                Value::Time(self.common.configured_ms),
            ),
            ("ActionsEnabled", self.common.actions_enabled.into()),
            ("OKActions", texts_value(&self.common.ok_actions)),
            ("AlarmActions", texts_value(&self.common.alarm_actions)),
            (
                "InsufficientDataActions",
                texts_value(&self.common.insufficient_data_actions),
            ),
        ] {
            value = value.with(name, part);
        }
        value
    }

    /// The moment within each minute, in milliseconds, at which this alarm is evaluated. It is the
    /// same for the alarm's whole life, as published alarm histories of AWS show it to be.
    fn phase_ms(&self) -> i64 {
        (stable_hash([self.common.name.as_str()]) % MINUTE_MS.unsigned_abs()).cast_signed()
    }

    fn next_evaluation(&self, after_ms: i64) -> i64 {
        let next = after_ms.div_euclid(MINUTE_MS) * MINUTE_MS + self.phase_ms();
        if next > after_ms {
            next
        } else {
            next + MINUTE_MS
        }
    }
}

/// One line of DescribeAlarmHistory.
#[derive(Clone, Debug)]
pub(super) struct HistoryItem {
    /// Counts up; pages continue after it.
    pub(super) number: u64,
    pub(super) at_ms: i64,
    pub(super) alarm: String,
    pub(super) kind: &'static str,
    pub(super) item_type: &'static str,
    pub(super) summary: String,
    /// JSON.
    pub(super) data: String,
}

impl CloudWatch {
    /// Brings every alarm to the state it has at `now_ms`, in the order in which the evaluations fall due.
    pub(super) fn evaluate_until(&mut self, now_ms: i64) {
        while let Some((due_ms, _)) = self.due.first() {
            if *due_ms > now_ms {
                break;
            }
            let Some((due_ms, name)) = self.due.pop_first() else {
                break;
            };
            let Some(alarm) = self.alarms.get(&name) else {
                continue;
            };
            if alarm.is_composite() {
                if self.evaluate_composite(&name, due_ms, None) {
                    self.let_follow(name, due_ms);
                }
            } else if due_ms + MINUTE_MS <= now_ms && self.stays_ok(alarm, due_ms, now_ms) {
                self.due.insert((alarm.next_evaluation(now_ms), name));
            } else {
                self.due
                    .insert((alarm.next_evaluation(due_ms), name.clone()));
                self.evaluate_metric_alarm(&name, due_ms);
            }
        }
        if now_ms >= self.prune_at_ms {
            self.prune_at_ms = now_ms + 60 * MINUTE_MS;
            self.store.prune(now_ms);
            while self
                .history
                .front()
                .is_some_and(|item| item.at_ms < now_ms - HISTORY_MS)
            {
                self.history.pop_front();
            }
        }
    }

    /// Plans the first or, after a change, the next evaluation of an alarm.
    fn schedule(&mut self, name: &str, now_ms: i64) {
        self.due.retain(|(_, planned)| planned != name);
        if let Some(alarm) = self.alarms.get(name) {
            let due_ms = if alarm.is_composite() {
                now_ms + COMPOSITE_DELAY_MS
            } else {
                alarm.next_evaluation(now_ms)
            };
            self.due.insert((due_ms, name.to_string()));
        }
    }

    fn evaluate_metric_alarm(&mut self, name: &str, now_ms: i64) {
        let Some(alarm) = self.alarms.get(name) else {
            return;
        };
        let Watch::Metrics {
            queries,
            watched,
            criteria,
        } = &alarm.watch
        else {
            return;
        };
        let query = &queries.list[*watched];
        let range = self.range(queries, *watched, criteria, now_ms);
        let Some(points) = self.points(queries, *watched, range, now_ms) else {
            return;
        };
        let period_ms = query.period_s * 1000;
        let mut periods = Vec::new();
        let mut at_ms = range.1 - period_ms;
        while at_ms >= range.0 {
            periods.push(points.get(&at_ms).map(|value| Point {
                at_ms,
                value: *value,
            }));
            at_ms -= period_ms;
        }
        let verdict = criteria.decide(&periods);
        let Some(state) = verdict
            .state
            .filter(|state| *state != alarm.common.state.value)
        else {
            return;
        };
        let reason = criteria.reason(&verdict, state);
        let data = self.reason_data(alarm, &verdict, range, now_ms);
        self.take_state(name, state, reason, data, now_ms);
    }

    /// Whether no evaluation from `from_ms` to `to_ms` can change the alarm's state, whatever is drawn:
    /// it is OK, and the errors it sums up cannot become so many. Where that cannot be told at once,
    /// the alarm is simply evaluated.
    fn stays_ok(&self, alarm: &Alarm, from_ms: i64, to_ms: i64) -> bool {
        let Watch::Metrics {
            queries,
            watched,
            criteria,
        } = &alarm.watch
        else {
            return false;
        };
        let summed: Vec<&Query> = match &queries.list[*watched].source {
            Source::Metric { .. } => vec![&queries.list[*watched]],
            Source::Math(expression) if expression.is_sum_of_all_metrics() => {
                let metrics = queries.list.iter();
                metrics
                    .filter(|query| matches!(query.source, Source::Metric { .. }))
                    .collect()
            }
            Source::Math(_) => return false,
        };
        let range_ms = self.range(queries, *watched, criteria, from_ms).0;
        let mut most = 0.0;
        for query in summed {
            let Source::Metric {
                key,
                statistic: Statistic::Sum,
                foreign: false,
                ..
            } = &query.source
            else {
                return false;
            };
            if self.store.series.contains_key(key) {
                return false;
            }
            let observed = &self.store.observed;
            let Some(in_a_minute) = observed.most_in_a_minute(key, range_ms, to_ms) else {
                return false;
            };
            most += in_a_minute * (query.period_s / 60) as f64;
        }
        alarm.common.state.value == AlarmState::Ok
            && criteria.missing == MissingData::NotBreaching
            && criteria.rises()
            && !criteria.comparison.is_breached(most, criteria.threshold)
    }

    /// The beginning and the end of what an alarm looks at. It ends with the last whole minute.
    fn range(
        &self,
        queries: &Queries,
        watched: usize,
        criteria: &Criteria,
        now_ms: i64,
    ) -> (i64, i64) {
        let period_ms = queries.list[watched].period_s * 1000;
        // A period longer than a minute is not judged while its last minutes are still to be
        // published: half of a sum would look like a drop. Only services publish late.
        let published_late = queries.list.iter().any(|query| match &query.source {
            Source::Metric { key, .. } => key.namespace.starts_with("AWS/"),
            Source::Math(_) => false,
        });
        let late_ms = if published_late && period_ms > MINUTE_MS {
            self.store.publication_delay_ms + self.store.publication_spread_ms
        } else {
            0
        };
        let end_ms = (now_ms - late_ms).div_euclid(MINUTE_MS) * MINUTE_MS;
        let periods = (criteria.evaluation_periods + EXTRA_PERIODS) as i64;
        (end_ms - periods * period_ms, end_ms)
    }

    fn points(
        &self,
        queries: &Queries,
        watched: usize,
        (start_ms, end_ms): (i64, i64),
        as_of_ms: i64,
    ) -> Option<Points> {
        let query = queries.list.get(watched)?;
        if let Source::Metric {
            key,
            statistic,
            unit,
            foreign: false,
        } = &query.source
        {
            // What nearly every alarm watches needs nothing worked out.
            let reading = Reading {
                start_ms,
                end_ms,
                period_ms: query.period_s * 1000,
                as_of_ms,
            };
            return Some(self.store.read(key, *statistic, unit.as_deref(), reading));
        }
        let window = Window {
            start_ms,
            end_ms,
            from_start: true,
            as_of_ms,
        };
        // The expressions were worked out once when the alarm was put, so only a series is possible.
        match queries
            .work_out(&self.store, window)
            .ok()?
            .into_iter()
            .nth(watched)?
        {
            Outcome::Series(points) => Some(points),
            Outcome::Scalar(_) | Outcome::Many(_) => None,
        }
    }

    fn reason_data(
        &self,
        alarm: &Alarm,
        verdict: &Verdict,
        range: (i64, i64),
        now_ms: i64,
    ) -> Option<String> {
        let Watch::Metrics {
            queries,
            watched,
            criteria,
        } = &alarm.watch
        else {
            return None;
        };
        let query = &queries.list[*watched];
        let configured = |name: &str| alarm.configuration.get(name).as_str().map(str::to_string);
        let mut data = serde_json::Map::new();
        data.insert("version".into(), "1.0".into());
        data.insert("queryDate".into(), long_date(now_ms).into());
        if let Some(oldest) = verdict.used.last() {
            data.insert("startDate".into(), long_date(oldest.at_ms).into());
        }
        if let Some(unit) = configured("Unit") {
            data.insert("unit".into(), unit.into());
        }
        if let Some(statistic) = configured("Statistic").or_else(|| configured("ExtendedStatistic"))
        {
            data.insert("statistic".into(), statistic.into());
        }
        data.insert("period".into(), query.period_s.into());
        let values = verdict.used.iter().rev().map(|point| point.value);
        data.insert(
            "recentDatapoints".into(),
            values.collect::<Vec<f64>>().into(),
        );
        data.insert("threshold".into(), criteria.threshold.into());
        if !verdict.used.is_empty() {
            let counts = self.sample_counts(queries, *watched, range, now_ms);
            let evaluated = verdict.used.iter().map(|point| {
                let mut one = serde_json::Map::new();
                one.insert("timestamp".into(), long_date(point.at_ms).into());
                if let Some(count) = counts.get(&point.at_ms) {
                    one.insert("sampleCount".into(), (*count).into());
                }
                one.insert("value".into(), point.value.into());
                serde_json::Value::Object(one)
            });
            data.insert("evaluatedDatapoints".into(), evaluated.collect());
        }
        Some(serde_json::Value::Object(data).to_string())
    }

    /// How many samples each data point was made of; nothing for an expression.
    fn sample_counts(
        &self,
        queries: &Queries,
        watched: usize,
        range: (i64, i64),
        as_of_ms: i64,
    ) -> Points {
        let query = &queries.list[watched];
        match &query.source {
            Source::Metric { key, unit, .. } => {
                let counted = Queries::of_metric(
                    key.clone(),
                    Statistic::SampleCount,
                    unit.clone(),
                    query.period_s,
                );
                self.points(&counted, 0, range, as_of_ms)
                    .unwrap_or_default()
            }
            Source::Math(_) => Points::new(),
        }
    }

    /// Evaluates a composite alarm; `cause` is the alarm whose change led to it.
    fn evaluate_composite(&mut self, name: &str, now_ms: i64, cause: Option<&str>) -> bool {
        let Some(alarm) = self.alarms.get_mut(name) else {
            return false;
        };
        let updated = std::mem::take(&mut alarm.updated);
        let Some(alarm) = self.alarms.get(name) else {
            return false;
        };
        let Watch::Alarms(rule) = &alarm.watch else {
            return false;
        };
        let holds = rule.holds(&|child| self.alarm_state(child));
        let state = if holds {
            AlarmState::Alarm
        } else {
            AlarmState::Ok
        };
        if state == alarm.common.state.value {
            return false;
        }
        let cause = cause.and_then(|cause| self.alarms.get(cause));
        let reason = match cause {
            Some(cause) => format!(
                "{} transitioned to {} at {}",
                cause.common.arn,
                cause.common.state.value.as_aws(),
                spoken_date(cause.common.state.transitioned_ms)
            ),
            None => format!(
                "{} was {} evaluates to {}",
                alarm.common.arn,
                if updated {
                    "updated and its new alarm rule"
                } else {
                    "created and its alarm rule"
                },
                state.as_aws()
            ),
        };
        let triggering: Vec<&Alarm> = match cause {
            Some(cause) => vec![cause],
            None => rule
                .alarms()
                .into_iter()
                .filter_map(|child| self.alarms.get(child))
                .collect(),
        };
        let triggering = triggering.into_iter().map(|child| {
            serde_json::json!({
                "arn": child.common.arn,
                "state": {
                    "value": child.common.state.value.as_aws(),
                    "timestamp": long_date(child.common.state.transitioned_ms),
                },
            })
        });
        let data = serde_json::json!({ "triggeringAlarms": triggering.collect::<Vec<_>>() });
        self.set_state(name, state, reason, Some(data.to_string()), now_ms)
    }

    /// Gives an alarm a state and lets the composite alarms that name it follow.
    pub(super) fn take_state(
        &mut self,
        name: &str,
        state: AlarmState,
        reason: String,
        reason_data: Option<String>,
        now_ms: i64,
    ) {
        if self.set_state(name, state, reason, reason_data, now_ms) {
            self.let_follow(name.to_string(), now_ms);
        }
    }

    /// Evaluates the composite alarms that name `changed`, then those that name these, and so on.
    fn let_follow(&mut self, changed: String, now_ms: i64) {
        let mut changed = vec![changed];
        // Composite alarms may name one another in a circle, so the chain of followers has an end.
        for _ in 0..=self.alarms.len() {
            let mut follow = Vec::new();
            for cause in &changed {
                let names_it = |alarm: &Alarm| match &alarm.watch {
                    Watch::Alarms(rule) => rule.alarms().contains(&cause.as_str()),
                    Watch::Metrics { .. } => false,
                };
                let followers = self.alarms.iter().filter(|(_, alarm)| names_it(alarm));
                let followers: Vec<String> = followers.map(|(name, _)| name.clone()).collect();
                for follower in followers {
                    if self.evaluate_composite(&follower, now_ms, Some(cause)) {
                        follow.push(follower);
                    }
                }
            }
            if follow.is_empty() {
                break;
            }
            changed = follow;
        }
    }

    /// Whether the state's value changed.
    fn set_state(
        &mut self,
        name: &str,
        value: AlarmState,
        reason: String,
        reason_data: Option<String>,
        now_ms: i64,
    ) -> bool {
        let Some(alarm) = self.alarms.get_mut(name) else {
            return false;
        };
        let kind = alarm.kind();
        let old = alarm.common.state.clone();
        let changed = old.value != value;
        let transitioned_ms = if changed { now_ms } else { old.transitioned_ms };
        let new = State {
            value,
            reason,
            reason_data,
            updated_ms: now_ms,
            transitioned_ms,
        };
        alarm.common.state = new.clone();
        if changed {
            let summary = format!(
                "Alarm updated from {} to {}",
                old.value.as_aws(),
                value.as_aws()
            );
            let data = serde_json::json!({
                "version": "1.0",
                "oldState": state_json(&old),
                "newState": state_json(&new),
            });
            self.write_history(name, kind, "StateUpdate", summary, data.to_string(), now_ms);
            self.note_transition(name, &old, now_ms);
        }
        changed
    }

    pub(super) fn write_history(
        &mut self,
        alarm: &str,
        kind: &'static str,
        item_type: &'static str,
        summary: String,
        data: String,
        at_ms: i64,
    ) {
        self.history_count += 1;
        let number = self.history_count;
        let alarm = alarm.to_string();
        self.history.push_back(HistoryItem {
            number,
            at_ms,
            alarm,
            kind,
            item_type,
            summary,
            data,
        });
    }

    /// Creates an alarm or replaces its configuration; the state of one that exists stays.
    pub(super) fn put_alarm(&mut self, mut alarm: Alarm, now_ms: i64) {
        let name = alarm.common.name.clone();
        let before = self.alarms.remove(&name);
        let (verb, kind) = if before.is_some() {
            ("Update", "updated")
        } else {
            ("Create", "created")
        };
        if let Some(before) = &before {
            alarm.common.state = before.common.state.clone();
            alarm.common.tags = before.common.tags.clone();
            alarm.updated = true;
        }
        let mut data = serde_json::Map::new();
        data.insert("version".into(), "1.0".into());
        data.insert("type".into(), verb.into());
        data.insert(format!("{kind}Alarm"), as_json(&alarm.describe()));
        let data = serde_json::Value::Object(data).to_string();
        let summary = format!("Alarm \"{name}\" {kind}");
        self.write_history(
            &name,
            alarm.kind(),
            "ConfigurationUpdate",
            summary,
            data,
            now_ms,
        );
        self.alarms.insert(name.clone(), alarm);
        self.schedule(&name, now_ms);
    }

    pub(super) fn new_state(now_ms: i64) -> State {
        State {
            value: AlarmState::InsufficientData,
            reason: UNCHECKED.to_string(),
            reason_data: None,
            updated_ms: now_ms,
            transitioned_ms: now_ms,
        }
    }

    /// The metric alarms on exactly this metric, not those that use it in an expression.
    pub(super) fn alarms_on<'a>(
        &'a self,
        wanted: &'a MetricKey,
    ) -> impl Iterator<Item = &'a Alarm> {
        self.alarms
            .values()
            .filter(move |alarm| match &alarm.watch {
                Watch::Metrics { queries, .. } => match queries.list.as_slice() {
                    [query] => matches!(&query.source, Source::Metric { key, .. } if key == wanted),
                    _ => false,
                },
                Watch::Alarms(_) => false,
            })
    }
}

fn state_json(state: &State) -> serde_json::Value {
    let mut json = serde_json::Map::new();
    json.insert("stateValue".into(), state.value.as_aws().into());
    json.insert("stateReason".into(), state.reason.as_str().into());
    if let Some(data) = &state.reason_data {
        let data = serde_json::from_str(data).unwrap_or_else(|_| data.as_str().into());
        json.insert("stateReasonData".into(), data);
    }
    serde_json::Value::Object(json)
}
