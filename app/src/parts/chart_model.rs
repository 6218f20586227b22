//! What the strip chart draws: lanes on one time axis. Pure numbers, no markup.

use std::collections::BTreeMap;
use switchback_contract::DeploymentPage;
use switchback_contract::Moment;
use switchback_contract::Series;
use switchback_contract::Side;

const MINUTE: i64 = 60_000;

/// Minutes shown before the start of the deployment.
const BEFORE: i64 = 15 * MINUTE;

/// Minutes shown after now while it runs, and after its end.
const AHEAD: i64 = 13 * MINUTE;
const AFTER_END: i64 = 5 * MINUTE;

/// CloudWatch may still add to the last two minutes, so they are hatched and stand in no comparison.
const INCOMPLETE: i64 = 2 * MINUTE;

/// Below this many requests in a minute a percentage says too little, so counts are shown.
const FEW_REQUESTS: f64 = 100.0;

/// A row of the chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Requests per second.
    Requests,
    /// 5xx in per cent of requests.
    Errors,
    /// p99 in milliseconds.
    P99,
    /// p95 in milliseconds.
    P95,
    /// p50 in milliseconds.
    P50,
    /// Healthy targets.
    Healthy,
}

impl Lane {
    /// Every lane, from the top.
    pub const ALL: [Lane; 6] = [
        Lane::Requests,
        Lane::Errors,
        Lane::P99,
        Lane::P95,
        Lane::P50,
        Lane::Healthy,
    ];

    /// Name and unit.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Lane::Requests => ("Requests", "per second"),
            Lane::Errors => ("5xx", "% of requests"),
            Lane::P99 => ("p99", "ms"),
            Lane::P95 => ("p95", "ms"),
            Lane::P50 => ("p50", "ms"),
            Lane::Healthy => ("Healthy", "targets"),
        }
    }

    /// The class of its height.
    pub const fn class(self) -> &'static str {
        match self {
            Lane::Requests | Lane::Errors | Lane::P99 => "plot plot-tall",
            Lane::P95 | Lane::P50 => "plot plot-low",
            Lane::Healthy => "plot plot-least",
        }
    }

    /// The smallest top of the scale.
    const fn least_top(self) -> f64 {
        match self {
            Lane::Requests => 1.0,
            Lane::Errors => 1.0,
            Lane::P99 | Lane::P95 | Lane::P50 => 10.0,
            Lane::Healthy => 1.0,
        }
    }
}

/// Values by the start of their minute in milliseconds.
pub type Values = BTreeMap<i64, f64>;

/// The chart's data and its time axis.
#[derive(Clone, Debug, PartialEq)]
pub struct ChartModel {
    raw: BTreeMap<(Series, Side), Values>,
    /// The left end.
    pub from: Moment,
    /// The right end.
    pub to: Moment,
    /// Where data ends: now, or when the deployment ended.
    pub until: Moment,
    /// Where the hatching begins; `None` when every minute is complete.
    pub incomplete_from: Option<Moment>,
    /// The last complete minute that has any value.
    pub last_complete: Option<Moment>,
    /// The first minute of the data and the last.
    minutes: Option<(i64, i64)>,
}

/// How many minutes back the fullest one is looked for.
const LOOK_BACK: i64 = 4 * MINUTE;

/// The minute of the last few for which most series have a value; the latest of them. Series arrive one by one, and
/// a minute of which only one has arrived would show dashes for all others.
fn fullest(minutes: impl Iterator<Item = i64>) -> Option<Moment> {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for minute in minutes {
        *counts.entry(minute).or_default() += 1;
    }
    let latest = *counts.keys().next_back()?;
    counts
        .range(latest - LOOK_BACK..)
        .max_by_key(|(minute, count)| (**count, **minute))
        .map(|(minute, _)| Moment::from_millis(*minute))
}

impl ChartModel {
    /// The model of a page.
    pub fn of(page: &DeploymentPage) -> ChartModel {
        let mut raw: BTreeMap<(Series, Side), Values> = BTreeMap::new();
        for point in &page.points {
            raw.entry((point.series, point.side))
                .or_default()
                .insert(point.minute.millis(), point.value);
        }
        let from = page.deployment.started_at.minute().plus_millis(-BEFORE);
        let (until, to) = match page.deployment.ended_at {
            Some(ended) => {
                let last = page
                    .points
                    .iter()
                    .map(|point| point.minute.plus_millis(MINUTE))
                    .max()
                    .unwrap_or(ended)
                    .max(ended);
                (last, last.minute().plus_millis(AFTER_END))
            }
            None => (page.now, page.now.minute().plus_millis(AHEAD)),
        };
        let hatch = page.now.minute().plus_millis(-INCOMPLETE + MINUTE);
        let incomplete_from = (hatch < until).then_some(hatch);
        let first_incomplete = page.now.minute().plus_millis(-INCOMPLETE + MINUTE).millis();
        let within = |minute: &i64| *minute >= from.millis() && *minute < first_incomplete;
        let all = || {
            raw.values()
                .flat_map(|values| values.keys().copied())
                .filter(within)
        };
        ChartModel {
            from,
            to,
            until,
            incomplete_from,
            last_complete: fullest(all()),
            minutes: all().min().zip(all().max()),
            raw,
        }
    }

    /// Where a moment is on the axis, in per cent of the width.
    pub fn x(&self, at: Moment) -> f64 {
        let whole = self.to.millis_since(self.from).max(1) as f64;
        (at.millis_since(self.from) as f64 * 100.0 / whole).clamp(0.0, 100.0)
    }

    /// The complete minute nearest to a place on the axis (0 to 1), within the data.
    pub fn minute_at(&self, share: f64) -> Option<Moment> {
        let (first, last) = self.minutes?;
        let at = self.from.millis() + (self.to.millis_since(self.from) as f64 * share) as i64;
        let nearest = (at + MINUTE / 2).div_euclid(MINUTE) * MINUTE;
        Some(Moment::from_millis(nearest.clamp(first, last)))
    }

    /// A minute moved by some minutes, within the complete data.
    pub fn moved(&self, from: Option<Moment>, minutes: i64) -> Option<Moment> {
        let (first, last) = self.minutes?;
        let at = from.or(self.last_complete)?.millis();
        Some(Moment::from_millis(
            at.saturating_add(minutes.saturating_mul(MINUTE))
                .clamp(first, last),
        ))
    }

    /// The complete minutes, newest first, at most `most`.
    pub fn newest_minutes(&self, most: usize) -> Vec<Moment> {
        let Some((first, last)) = self.minutes else {
            return Vec::new();
        };
        (0..)
            .map(|back| last - back * MINUTE)
            .take_while(|minute| *minute >= first)
            .take(most)
            .map(Moment::from_millis)
            .collect()
    }

    fn raw_at(&self, series: Series, side: Side, minute: i64) -> Option<f64> {
        self.raw.get(&(series, side))?.get(&minute).copied()
    }

    /// The value of a lane in a minute; `None` is a gap.
    ///
    /// CloudWatch publishes HTTPCode_Target_5XX_Count only when it is not zero, so a minute that has
    /// requests and no error count had no errors. A minute without requests has no percentage.
    pub fn value(&self, lane: Lane, side: Side, minute: Moment) -> Option<f64> {
        let minute = minute.millis();
        match lane {
            Lane::Requests => self
                .raw_at(Series::Requests, side, minute)
                .map(|count| count / 60.0),
            Lane::Errors => {
                let requests = self
                    .raw_at(Series::Requests, side, minute)
                    .filter(|count| *count > 0.0)?;
                Some(self.raw_at(Series::Errors, side, minute).unwrap_or(0.0) * 100.0 / requests)
            }
            Lane::P99 => self.raw_at(Series::P99, side, minute),
            Lane::P95 => self.raw_at(Series::P95, side, minute),
            Lane::P50 => self.raw_at(Series::P50, side, minute),
            Lane::Healthy => self.raw_at(Series::Healthy, side, minute),
        }
    }

    /// Errors and requests of a minute when a percentage would say too little.
    pub fn few(&self, side: Side, minute: Moment) -> Option<(f64, f64)> {
        let requests = self.raw_at(Series::Requests, side, minute.millis())?;
        (requests > 0.0 && requests < FEW_REQUESTS).then(|| {
            (
                self.raw_at(Series::Errors, side, minute.millis())
                    .unwrap_or(0.0),
                requests,
            )
        })
    }

    /// All values of a lane on one side within the axis, oldest first.
    pub fn values(&self, lane: Lane, side: Side) -> Vec<(Moment, f64)> {
        let source = match lane {
            Lane::Requests | Lane::Errors => Series::Requests,
            Lane::P99 => Series::P99,
            Lane::P95 => Series::P95,
            Lane::P50 => Series::P50,
            Lane::Healthy => Series::Healthy,
        };
        let Some(values) = self.raw.get(&(source, side)) else {
            return Vec::new();
        };
        values
            .range(self.from.millis()..=self.to.millis())
            .filter_map(|(minute, _)| {
                let minute = Moment::from_millis(*minute);
                self.value(lane, side, minute).map(|value| (minute, value))
            })
            .collect()
    }

    /// The top of a lane's scale: round, from zero.
    pub fn top(&self, lane: Lane) -> f64 {
        let most = [Side::Old, Side::New]
            .into_iter()
            .flat_map(|side| self.values(lane, side))
            .map(|(_, value)| value)
            .fold(lane.least_top(), f64::max);
        round_up(most)
    }

    /// The sum of a series over the complete minutes of one side.
    pub fn sum(&self, series: Series, side: Side) -> Option<f64> {
        let (first, last) = self.minutes?;
        let values = self.raw.get(&(series, side))?;
        values
            .range(first..=last)
            .map(|(_, value)| *value)
            .reduce(|sum, value| sum + value)
    }

    /// The first and last complete minute of one side.
    pub fn span(&self, side: Side) -> Option<(Moment, Moment)> {
        let (first, last) = self.minutes?;
        let values = self.raw.get(&(Series::Requests, side))?;
        let mut minutes = values
            .range(first..=last)
            .map(|(minute, _)| Moment::from_millis(*minute));
        let start = minutes.next()?;
        Some((start, minutes.next_back().unwrap_or(start)))
    }

    /// Times for the labels of the axis, at round minutes.
    pub fn ticks(&self) -> Vec<Moment> {
        let span = self.to.millis_since(self.from) / MINUTE;
        let step = [5, 10, 15, 30, 60, 120, 240, 720, 1440]
            .into_iter()
            .find(|step| span / step <= 12)
            .unwrap_or(2880)
            * MINUTE;
        let first = (self.from.millis() + step - 1).div_euclid(step) * step;
        (0..)
            .map(|index| first + index * step)
            .take_while(|at| *at <= self.to.millis())
            .map(Moment::from_millis)
            .collect()
    }
}

/// The next of 1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-9).log10().floor());
    [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0]
        .into_iter()
        .map(|step| step * power)
        .find(|round| *round >= value * 0.999_999)
        .unwrap_or(10.0 * power)
}

/// The path of a line in a box 1000 wide and 100 high, and the lone points in per cent. A missing
/// minute breaks the line: it is neither joined nor drawn as zero.
pub fn line_path(
    model: &ChartModel,
    values: &[(Moment, f64)],
    top: f64,
) -> (String, Vec<(f64, f64)>) {
    let mut path = String::new();
    let mut lone = Vec::new();
    let neighbours = |a: Option<&(Moment, f64)>, b: &(Moment, f64)| {
        a.is_some_and(|a| a.0.millis_since(b.0).abs() <= MINUTE)
    };
    for (index, value) in values.iter().enumerate() {
        let (x, y) = (model.x(value.0), y_of(value.1, top));
        let before = index.checked_sub(1).and_then(|index| values.get(index));
        let joins_before = neighbours(before, value);
        let joins_after = neighbours(values.get(index + 1), value);
        if joins_before {
            path.push_str(&format!("L{:.1} {y:.1}", x * 10.0));
        } else if joins_after {
            path.push_str(&format!("M{:.1} {y:.1}", x * 10.0));
        } else {
            lone.push((x, y));
        }
    }
    (path, lone)
}

/// Where a value is in a lane, in per cent from the top. The top of the scale is at 8, zero at 96.
pub fn y_of(value: f64, top: f64) -> f64 {
    96.0 - 88.0 * (value / top).clamp(0.0, 1.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(values: &[(i64, f64)]) -> ChartModel {
        let raw = BTreeMap::from([(
            (Series::Requests, Side::Old),
            values
                .iter()
                .map(|(minute, value)| (minute * MINUTE, *value))
                .collect(),
        )]);
        ChartModel {
            raw,
            from: Moment::from_millis(0),
            to: Moment::from_millis(10 * MINUTE),
            until: Moment::from_millis(9 * MINUTE),
            incomplete_from: None,
            last_complete: Some(Moment::from_millis(8 * MINUTE)),
            minutes: Some((0, 8 * MINUTE)),
        }
    }

    #[test]
    fn scales_end_at_round_numbers() {
        for (value, top) in [
            (1390.0, 1500.0),
            (1.0, 1.0),
            (0.12, 0.125),
            (64.0, 80.0),
            (9.9, 10.0),
            (409.0, 500.0),
        ] {
            assert!(
                (round_up(value) - top).abs() < 1e-9,
                "{value} ends at {}",
                round_up(value)
            );
        }
    }

    #[test]
    fn a_missing_minute_breaks_the_line_and_a_lone_one_is_a_dot() {
        let model = model(&[(0, 60.0), (1, 60.0), (3, 60.0), (5, 60.0), (6, 60.0)]);
        let (path, lone) = line_path(&model, &model.values(Lane::Requests, Side::Old), 1.0);
        assert_eq!(path, "M0.0 8.0L100.0 8.0M500.0 8.0L600.0 8.0");
        assert_eq!(lone, [(30.0, 8.0)]);
    }

    #[test]
    fn requests_without_an_error_count_had_no_errors_and_no_requests_have_no_percentage() {
        let model = model(&[(0, 60.0), (1, 0.0)]);
        assert_eq!(
            model.value(Lane::Errors, Side::Old, Moment::from_millis(0)),
            Some(0.0)
        );
        assert_eq!(
            model.value(Lane::Errors, Side::Old, Moment::from_millis(MINUTE)),
            None
        );
        assert_eq!(
            model.value(Lane::Errors, Side::Old, Moment::from_millis(2 * MINUTE)),
            None
        );
        assert_eq!(
            model.few(Side::Old, Moment::from_millis(0)),
            Some((0.0, 60.0))
        );
    }

    #[test]
    fn the_cursor_stays_within_the_complete_minutes() {
        let model = model(&[(0, 60.0), (8, 60.0)]);
        assert_eq!(model.moved(None, 5), Some(Moment::from_millis(8 * MINUTE)));
        assert_eq!(
            model.moved(Some(Moment::from_millis(MINUTE)), -10),
            Some(Moment::from_millis(0))
        );
        assert_eq!(model.minute_at(0.31), Some(Moment::from_millis(3 * MINUTE)));
    }
}
