//! How an alarm decides its state from the data points it sees, and how CloudWatch words it.

use super::AlarmState;

/// CloudWatch looks at this many periods more than EvaluationPeriods, so that late or missing data
/// points can be replaced by older ones. The tables of its documentation show 5 for 3; a published
/// alarm history shows 3 for 1.
pub(super) const EXTRA_PERIODS: usize = 2;

/// What an alarm does with periods without data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum MissingData {
    Missing,
    Ignore,
    Breaching,
    NotBreaching,
}

impl MissingData {
    pub(super) fn parse(text: &str) -> Option<MissingData> {
        Some(match text {
            "missing" => MissingData::Missing,
            "ignore" => MissingData::Ignore,
            "breaching" => MissingData::Breaching,
            "notBreaching" => MissingData::NotBreaching,
            _ => return None,
        })
    }
}

/// How a data point is compared with the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    GreaterOrEqual,
    Greater,
    Less,
    LessOrEqual,
}

impl Comparison {
    pub(super) fn parse(text: &str) -> Option<Comparison> {
        Some(match text {
            "GreaterThanOrEqualToThreshold" => Comparison::GreaterOrEqual,
            "GreaterThanThreshold" => Comparison::Greater,
            "LessThanThreshold" => Comparison::Less,
            "LessThanOrEqualToThreshold" => Comparison::LessOrEqual,
            _ => return None,
        })
    }

    pub(super) fn is_breached(self, value: f64, threshold: f64) -> bool {
        match self {
            Comparison::GreaterOrEqual => value >= threshold,
            Comparison::Greater => value > threshold,
            Comparison::Less => value < threshold,
            Comparison::LessOrEqual => value <= threshold,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Comparison::GreaterOrEqual => "greater than or equal to",
            Comparison::Greater => "greater than",
            Comparison::Less => "less than",
            Comparison::LessOrEqual => "less than or equal to",
        }
    }
}

/// One data point that was evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// The beginning of its period, in milliseconds since 1970 UTC.
    pub(super) at_ms: i64,
    pub(super) value: f64,
}

/// The numbers of an alarm that decide its state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Criteria {
    pub(super) evaluation_periods: usize,
    /// At least 1, at most `evaluation_periods`.
    pub(super) datapoints_to_alarm: usize,
    pub(super) threshold: f64,
    pub(super) comparison: Comparison,
    pub(super) missing: MissingData,
}

/// What one evaluation found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    /// The state to take; `None` keeps the present one.
    pub(super) state: Option<AlarmState>,
    /// The data points that were used, newest first.
    pub(super) used: Vec<Point>,
    /// How many periods were filled in because too few data points exist.
    pub(super) filled: usize,
}

impl Criteria {
    /// Decides from the periods of the evaluation range, newest first, `None` for a missing one.
    ///
    /// The rules are those of the CloudWatch user guide, "Configuring how CloudWatch alarms treat
    /// missing data" and "Avoiding premature transitions to alarm state".
    pub(super) fn decide(&self, range: &[Option<Point>]) -> Verdict {
        let (needed, periods) = (self.datapoints_to_alarm, self.evaluation_periods);
        let used: Vec<Point> = range.iter().flatten().take(periods).copied().collect();
        let filled = periods - used.len();
        let breaching = used.iter().filter(|point| self.is_breached(point)).count();
        let alarm_if = |holds: bool| {
            Some(if holds {
                AlarmState::Alarm
            } else {
                AlarmState::Ok
            })
        };
        let state = if filled == 0 {
            alarm_if(breaching >= needed)
        } else {
            match self.missing {
                MissingData::Breaching => alarm_if(breaching + filled >= needed),
                MissingData::NotBreaching => alarm_if(breaching >= needed),
                MissingData::Missing if used.is_empty() => Some(AlarmState::InsufficientData),
                MissingData::Ignore if used.is_empty() => None,
                _ if breaching >= needed => Some(AlarmState::Alarm),
                _ if breaching < used.len() => Some(AlarmState::Ok),
                MissingData::Ignore => None,
                MissingData::Missing => {
                    // Everything there is breaches, but it is too little. It is an alarm once the
                    // oldest of it is so old that no premature judgement is made.
                    let age = range
                        .iter()
                        .rposition(Option::is_some)
                        .map_or(0, |at| at + 1);
                    (age >= needed).then_some(AlarmState::Alarm)
                }
            }
        };
        Verdict {
            state,
            used,
            filled,
        }
    }

    /// Whether only large values breach.
    pub(super) fn rises(&self) -> bool {
        matches!(
            self.comparison,
            Comparison::Greater | Comparison::GreaterOrEqual
        )
    }

    fn is_breached(&self, point: &Point) -> bool {
        self.comparison.is_breached(point.value, self.threshold)
    }

    /// The StateReason for a verdict that changes the state to `state`.
    pub(super) fn reason(&self, verdict: &Verdict, state: AlarmState) -> String {
        let periods = self.evaluation_periods;
        if state == AlarmState::InsufficientData {
            return format!("Insufficient Data: {} unknown.", were(periods, "datapoint"));
        }
        let alarm = state == AlarmState::Alarm;
        let crossing: Vec<&Point> = verdict
            .used
            .iter()
            .filter(|point| self.is_breached(point) == alarm)
            .collect();
        let minimum = if alarm {
            self.datapoints_to_alarm
        } else {
            periods - self.datapoints_to_alarm + 1
        };
        let treated = match self.missing {
            MissingData::Breaching => Some("Breaching"),
            MissingData::NotBreaching => Some("NonBreaching"),
            MissingData::Missing | MissingData::Ignore => None,
        };
        if let Some(treated) = treated.filter(|_| verdict.filled > 0 && crossing.len() < minimum) {
            let received = match verdict.used.len() {
                0 => "no datapoints were".to_string(),
                count => were(count, "datapoint"),
            };
            return format!(
                "Threshold Crossed: {received} received for {} and {} treated as [{treated}].",
                plural(periods, "period"),
                were(verdict.filled, "missing datapoint"),
            );
        }
        let listed: Vec<String> = crossing
            .iter()
            .map(|point| format!("{} ({})", number(point.value), short_date(point.at_ms)))
            .collect();
        format!(
            "Threshold Crossed: {} out of the last {periods} datapoints [{}] {} {}{} the threshold ({}) \
             (minimum {} for {} transition).",
            crossing.len(),
            listed.join(", "),
            if crossing.len() == 1 { "was" } else { "were" },
            if alarm { "" } else { "not " },
            self.comparison.words(),
            number(self.threshold),
            plural(minimum, "datapoint"),
            if alarm { "OK -> ALARM" } else { "ALARM -> OK" },
        )
    }
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn were(count: usize, noun: &str) -> String {
    format!(
        "{} {}",
        plural(count, noun),
        if count == 1 { "was" } else { "were" }
    )
}

/// A number as Java prints a double, which is how CloudWatch writes it: `7.0`, `1.0E7`.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text.replace('e', "E"),
    }
}

fn moment(ms: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

/// `21/11/26 10:05:00`: day, month, year.
fn short_date(ms: i64) -> String {
    let at = moment(ms);
    format!(
        "{:02}/{:02}/{:02} {:02}:{:02}:{:02}",
        at.day(),
        u8::from(at.month()),
        at.year().rem_euclid(100),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// `2026-11-21T10:05:00.000+0000`.
pub(super) fn long_date(ms: i64) -> String {
    let at = moment(ms);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}+0000",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

/// `Saturday 21 November, 2026 10:05:00 UTC`.
pub(super) fn spoken_date(ms: i64) -> String {
    let at = moment(ms);
    format!(
        "{} {:02} {}, {} {:02}:{:02}:{:02} UTC",
        at.weekday(),
        at.day(),
        at.month(),
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MISSING: [MissingData; 4] = [
        MissingData::Missing,
        MissingData::Ignore,
        MissingData::Breaching,
        MissingData::NotBreaching,
    ];

    /// Periods as the user guide writes them: oldest first, `X` breaching, `0` not, `-` missing.
    fn range(text: &str) -> Vec<Option<Point>> {
        text.split(' ')
            .rev()
            .enumerate()
            .map(|(index, sign)| {
                let at_ms = 1_795_255_500_000 - index as i64 * 60_000;
                match sign {
                    "X" => Some(Point { at_ms, value: 7.0 }),
                    "0" => Some(Point { at_ms, value: 0.0 }),
                    _ => None,
                }
            })
            .collect()
    }

    fn criteria(needed: usize, periods: usize, missing: MissingData) -> Criteria {
        Criteria {
            evaluation_periods: periods,
            datapoints_to_alarm: needed,
            threshold: 5.0,
            comparison: Comparison::Greater,
            missing,
        }
    }

    /// One letter for each way of treating missing data: A(larm), O(k), I(nsufficient), = (kept).
    fn table(needed: usize, periods: usize, text: &str) -> String {
        MISSING
            .iter()
            .map(|missing| {
                let verdict = criteria(needed, periods, *missing).decide(&range(text));
                match verdict.state {
                    Some(AlarmState::Alarm) => 'A',
                    Some(AlarmState::Ok) => 'O',
                    Some(AlarmState::InsufficientData) => 'I',
                    None => '=',
                }
            })
            .collect()
    }

    #[test]
    fn three_of_three_as_in_the_user_guide() {
        // Columns: missing, ignore, breaching, notBreaching.
        for (data, expected) in [
            ("0 - X - X", "OOOO"),
            ("0 - - - -", "OOOO"),
            ("- - - - -", "I=AO"),
            ("0 X X - X", "AAAA"),
            ("- - X - -", "A=AO"),
            ("- - - - X", "==AO"),
            ("- - - X -", "==AO"),
            ("0 0 X X X", "AAAA"),
            ("X X X 0 -", "OOOO"),
        ] {
            assert_eq!(table(3, 3, data), expected, "{data}");
        }
    }

    #[test]
    fn two_of_three_as_in_the_user_guide() {
        for (data, expected) in [
            ("0 - X - X", "AAAA"),
            ("0 0 X 0 X", "AAAA"),
            ("0 - X - -", "OOAO"),
            ("- - - - 0", "OOAO"),
            ("- - - X -", "A=AO"),
            ("- - - - X", "==AO"),
        ] {
            assert_eq!(table(2, 3, data), expected, "{data}");
        }
    }

    #[test]
    fn one_of_one_keeps_looking_at_the_last_data_point_for_three_periods() {
        assert_eq!(table(1, 1, "- - X"), "AAAA");
        assert_eq!(table(1, 1, "X - -"), "AAAA");
        assert_eq!(table(1, 1, "X - 0"), "OOOO");
        assert_eq!(table(1, 1, "- - -"), "I=AO");
    }

    proptest! {
        /// Without missing data the treatment does not matter and the last N decide by counting.
        #[test]
        fn complete_data_is_decided_by_counting(
            signs in prop::collection::vec(any::<bool>(), 3..9),
            needed in 1usize..7,
        ) {
            let periods = signs.len() - EXTRA_PERIODS;
            let needed = needed.min(periods);
            let words: Vec<&str> =
                signs.iter().map(|breaching| if *breaching { "X" } else { "0" }).collect();
            let breaching =
                signs.iter().rev().take(periods).filter(|breaching| **breaching).count();
            let expected = if breaching >= needed { "AAAA" } else { "OOOO" };
            prop_assert_eq!(table(needed, periods, &words.join(" ")), expected);
        }

        /// Whatever is missing: more breaching data never turns an alarm off, a reason can always be
        /// written, and only `missing` ever answers that there is too little data.
        #[test]
        fn states_are_monotone_and_always_explained(
            signs in prop::collection::vec(0u8..3, 3..9),
            needed in 1usize..7,
            treatment in 0usize..4,
            worse in 0usize..9,
        ) {
            let periods = signs.len() - EXTRA_PERIODS;
            let criteria = criteria(needed.min(periods), periods, MISSING[treatment]);
            let write = |signs: &[u8]| -> String {
                let words: Vec<&str> =
                    signs.iter().map(|sign| ["X", "0", "-"][usize::from(*sign)]).collect();
                words.join(" ")
            };
            let verdict = criteria.decide(&range(&write(&signs)));
            if let Some(state) = verdict.state {
                prop_assert!(!criteria.reason(&verdict, state).is_empty());
                if state == AlarmState::InsufficientData {
                    prop_assert_eq!(criteria.missing, MissingData::Missing);
                    prop_assert!(signs.iter().all(|sign| *sign == 2));
                }
            }
            let index = worse % signs.len();
            if verdict.state == Some(AlarmState::Alarm) && signs[index] == 1 {
                let mut changed = signs.clone();
                changed[index] = 0;
                let changed = criteria.decide(&range(&write(&changed)));
                prop_assert_eq!(changed.state, Some(AlarmState::Alarm));
            }
        }
    }

    fn reason(needed: usize, periods: usize, missing: MissingData, data: &str) -> String {
        let criteria = criteria(needed, periods, missing);
        let verdict = criteria.decide(&range(data));
        criteria.reason(&verdict, verdict.state.expect("a state"))
    }

    #[test]
    fn reasons_are_worded_as_aws_words_them() {
        assert_eq!(
            reason(1, 1, MissingData::Missing, "- - X"),
            "Threshold Crossed: 1 out of the last 1 datapoints [7.0 (21/11/26 10:05:00)] was greater than the \
             threshold (5.0) (minimum 1 datapoint for OK -> ALARM transition)."
        );
        assert_eq!(
            reason(2, 2, MissingData::Missing, "0 0 X X"),
            "Threshold Crossed: 2 out of the last 2 datapoints [7.0 (21/11/26 10:05:00), 7.0 (21/11/26 10:04:00)] \
             were greater than the threshold (5.0) (minimum 2 datapoints for OK -> ALARM transition)."
        );
        assert_eq!(
            reason(2, 2, MissingData::Missing, "X X X 0"),
            "Threshold Crossed: 1 out of the last 2 datapoints [0.0 (21/11/26 10:05:00)] was not greater than the \
             threshold (5.0) (minimum 1 datapoint for ALARM -> OK transition)."
        );
        assert_eq!(
            reason(3, 3, MissingData::Breaching, "- - - - -"),
            "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as \
             [Breaching]."
        );
        assert_eq!(
            reason(2, 3, MissingData::Breaching, "- - 0 - -"),
            "Threshold Crossed: 1 datapoint was received for 3 periods and 2 missing datapoints were treated as \
             [Breaching]."
        );
        assert_eq!(
            reason(1, 1, MissingData::NotBreaching, "- - -"),
            "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as \
             [NonBreaching]."
        );
        assert_eq!(
            reason(1, 1, MissingData::Missing, "- - -"),
            "Insufficient Data: 1 datapoint was unknown."
        );
        assert_eq!(
            reason(3, 3, MissingData::Missing, "- - - - -"),
            "Insufficient Data: 3 datapoints were unknown."
        );
    }

    #[test]
    fn numbers_and_dates_are_written_as_java_writes_them() {
        assert_eq!(number(5.0), "5.0");
        assert_eq!(number(0.015), "0.015");
        assert_eq!(number(1e7), "1.0E7");
        assert_eq!(number(1.25e-5), "1.25E-5");
        assert_eq!(long_date(1_795_255_500_123), "2026-11-21T10:05:00.123+0000");
        assert_eq!(
            spoken_date(1_795_255_500_000),
            "Saturday 21 November, 2026 10:05:00 UTC"
        );
    }

    #[test]
    fn comparisons_differ_at_the_threshold() {
        let at = |name: &str, value| {
            Comparison::parse(name)
                .expect("an operator")
                .is_breached(value, 5.0)
        };
        assert!(at("GreaterThanOrEqualToThreshold", 5.0) && !at("GreaterThanThreshold", 5.0));
        assert!(at("LessThanOrEqualToThreshold", 5.0) && !at("LessThanThreshold", 5.0));
        assert!(at("GreaterThanThreshold", 5.1) && at("LessThanThreshold", 4.9));
    }
}
