//! Amazon CloudWatch: alarms and the golden signals of target groups (aws.md §3.2, §3.3).

use crate::AwsAccount;
use crate::calls;
use crate::date_time;
use crate::error::failed;
use crate::error::malformed;
use crate::moment;
use aws_sdk_cloudwatch::types::AlarmType;
use aws_sdk_cloudwatch::types::CompositeAlarm;
use aws_sdk_cloudwatch::types::Dimension;
use aws_sdk_cloudwatch::types::Metric;
use aws_sdk_cloudwatch::types::MetricAlarm;
use aws_sdk_cloudwatch::types::MetricDataQuery;
use aws_sdk_cloudwatch::types::MetricDataResult;
use aws_sdk_cloudwatch::types::MetricStat;
use aws_sdk_cloudwatch::types::ScanBy;
use aws_sdk_cloudwatch::types::StatusCode;
use switchback_cloud::AlarmReading;
use switchback_cloud::CloudError;
use switchback_cloud::MetricReading;
use switchback_cloud::TargetGroupReading;
use switchback_cloud::WhatToDo;
use switchback_domain::metrics::Series;
use switchback_domain::moment::Moment;

/// Alarms in one DescribeAlarms. [M]
const ALARMS_AT_ONCE: usize = 100;
/// Queries in one GetMetricData. [M]
const QUERIES_AT_ONCE: usize = 500;
/// Load balancers publish once a minute.
const PERIOD_SECONDS: i32 = 60;

/// How a series is asked for: the metric, the statistic, and what the value is multiplied with.
const fn measured(series: Series) -> (&'static str, &'static str, f64) {
    match series {
        Series::Requests => ("RequestCount", "Sum", 1.0),
        Series::Errors => ("HTTPCode_Target_5XX_Count", "Sum", 1.0),
        // CloudWatch tells seconds.
        Series::P50 => ("TargetResponseTime", "p50", 1000.0),
        Series::P95 => ("TargetResponseTime", "p95", 1000.0),
        Series::P99 => ("TargetResponseTime", "p99", 1000.0),
        Series::Healthy => ("HealthyHostCount", "Minimum", 1.0),
    }
}

/// One series of one target group behind one load balancer.
struct Question<'a> {
    target_group: &'a TargetGroupReading,
    load_balancer: &'a str,
    series: Series,
}

impl AwsAccount {
    pub(crate) async fn describe_alarms(
        &self,
        names: &[String],
    ) -> Result<Vec<AlarmReading>, CloudError> {
        let mut readings = Vec::new();
        // No names at all would mean every alarm of the account.
        for names in names.chunks(ALARMS_AT_ONCE) {
            let mut next_token = None;
            loop {
                let page = self
                    .cloudwatch
                    .describe_alarms()
                    .set_alarm_names(Some(names.to_vec()))
                    .alarm_types(AlarmType::MetricAlarm)
                    .alarm_types(AlarmType::CompositeAlarm)
                    .set_next_token(next_token)
                    .send()
                    .await
                    .map_err(failed(calls::DESCRIBE_ALARMS))?;
                readings.extend(page.metric_alarms().iter().filter_map(metric_alarm));
                readings.extend(page.composite_alarms().iter().filter_map(composite_alarm));
                next_token = page.next_token.filter(|token| !token.is_empty());
                if next_token.is_none() {
                    break;
                }
            }
        }
        Ok(readings)
    }

    pub(crate) async fn get_metric_data(
        &self,
        target_groups: &[TargetGroupReading],
        from: Moment,
        to: Moment,
    ) -> Result<Vec<MetricReading>, CloudError> {
        let questions: Vec<Question<'_>> = target_groups.iter().flat_map(questions).collect();
        let mut readings = Vec::new();
        for questions in questions.chunks(QUERIES_AT_ONCE) {
            let queries: Vec<MetricDataQuery> = questions.iter().enumerate().map(query).collect();
            let mut next_token = None;
            loop {
                let page = self
                    .cloudwatch
                    .get_metric_data()
                    .set_metric_data_queries(Some(queries.clone()))
                    .start_time(date_time(from))
                    .end_time(date_time(to))
                    .scan_by(ScanBy::TimestampAscending)
                    .set_next_token(next_token)
                    .send()
                    .await
                    .map_err(failed(calls::GET_METRIC_DATA))?;
                for result in page.metric_data_results() {
                    let found = points(questions, result)?;
                    // CloudWatch rounds the window to whole minutes.
                    readings.extend(
                        found
                            .into_iter()
                            .filter(|point| from <= point.minute && point.minute < to),
                    );
                }
                next_token = page.next_token.filter(|token| !token.is_empty());
                if next_token.is_none() {
                    break;
                }
            }
        }
        Ok(readings)
    }
}

/// What is asked about a target group: nothing while no application load balancer forwards to it,
/// since only those publish these metrics.
fn questions(target_group: &TargetGroupReading) -> Vec<Question<'_>> {
    // A target group belongs to one load balancer at most (aws.md §3.1).
    let load_balancer = target_group
        .load_balancer_arns
        .iter()
        .filter_map(|arn| arn.split_once(":loadbalancer/"))
        .map(|(_, name)| name)
        .find(|name| name.starts_with("app/"));
    let ask = |load_balancer| {
        Series::ALL
            .map(|series| Question {
                target_group,
                load_balancer,
                series,
            })
            .into()
    };
    load_balancer.map(ask).unwrap_or_default()
}

fn query((index, question): (usize, &Question<'_>)) -> MetricDataQuery {
    let (metric, statistic, _) = measured(question.series);
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    // The ARN's last part, `targetgroup/NAME/HEX`, is the dimension's value.
    let target_group = question
        .target_group
        .arn
        .rsplit(':')
        .next()
        .unwrap_or_default();
    let metric = Metric::builder()
        .namespace("AWS/ApplicationELB")
        .metric_name(metric)
        .dimensions(dimension("TargetGroup", target_group))
        .dimensions(dimension("LoadBalancer", question.load_balancer))
        .build();
    let statistic = MetricStat::builder()
        .metric(metric)
        .period(PERIOD_SECONDS)
        .stat(statistic)
        .build();
    MetricDataQuery::builder()
        .id(format!("q{index}"))
        .metric_stat(statistic)
        .build()
}

fn points(
    questions: &[Question<'_>],
    result: &MetricDataResult,
) -> Result<Vec<MetricReading>, CloudError> {
    let refused = |kind, code: &str| {
        let texts: Vec<&str> = result
            .messages()
            .iter()
            .filter_map(|message| message.value())
            .collect();
        CloudError {
            kind,
            code: code.to_string(),
            ..malformed(calls::GET_METRIC_DATA, texts.join(" "))
        }
    };
    match result.status_code() {
        Some(StatusCode::InternalError) => return Err(refused(WhatToDo::Retry, "InternalError")),
        Some(StatusCode::Forbidden) => return Err(refused(WhatToDo::Never, "Forbidden")),
        _ => {}
    }
    let question = result
        .id()
        .and_then(|id| id.strip_prefix('q')?.parse::<usize>().ok())
        .and_then(|index| questions.get(index))
        .ok_or_else(|| malformed(calls::GET_METRIC_DATA, "A result answers no query."))?;
    let (_, _, factor) = measured(question.series);
    let point = |(at, value): (&aws_smithy_types::DateTime, &f64)| MetricReading {
        target_group_arn: question.target_group.arn.clone(),
        series: question.series,
        minute: moment(at),
        value: value * factor,
    };
    Ok(result
        .timestamps()
        .iter()
        .zip(result.values())
        .map(point)
        .collect())
}

fn metric_alarm(alarm: &MetricAlarm) -> Option<AlarmReading> {
    let since = alarm
        .state_transitioned_timestamp()
        .or(alarm.state_updated_timestamp());
    Some(AlarmReading {
        name: alarm.alarm_name()?.to_string(),
        state: alarm.state_value()?.as_str().to_string(),
        since: since.map(moment),
        reason: alarm.state_reason().map(str::to_string),
        threshold: alarm.threshold(),
    })
}

fn composite_alarm(alarm: &CompositeAlarm) -> Option<AlarmReading> {
    let since = alarm
        .state_transitioned_timestamp()
        .or(alarm.state_updated_timestamp());
    Some(AlarmReading {
        name: alarm.alarm_name()?.to_string(),
        state: alarm.state_value()?.as_str().to_string(),
        since: since.map(moment),
        reason: alarm.state_reason().map(str::to_string),
        threshold: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_types::DateTime;

    fn target_group(load_balancer: Option<&str>) -> TargetGroupReading {
        TargetGroupReading {
            name: "web-blue".to_string(),
            arn: "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/web-blue/1a"
                .to_string(),
            load_balancer_arns: load_balancer
                .map(|name| {
                    format!(
                        "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/{name}"
                    )
                })
                .into_iter()
                .collect(),
        }
    }

    #[test]
    fn every_series_is_asked_for_with_the_exact_dimensions() {
        let group = target_group(Some("app/web/2b"));
        let questions = questions(&group);
        assert_eq!(questions.len(), Series::ALL.len());
        for asked in questions.iter().enumerate() {
            let query = query(asked);
            let metric = query.metric_stat().unwrap().metric().unwrap();
            let dimensions: Vec<(&str, &str)> = metric
                .dimensions()
                .iter()
                .map(|dimension| (dimension.name().unwrap(), dimension.value().unwrap()))
                .collect();
            assert_eq!(
                dimensions,
                [
                    ("TargetGroup", "targetgroup/web-blue/1a"),
                    ("LoadBalancer", "app/web/2b")
                ]
            );
        }
    }

    #[test]
    fn without_an_application_load_balancer_there_is_nothing_to_ask() {
        assert!(questions(&target_group(None)).is_empty());
        assert!(questions(&target_group(Some("net/web/2b"))).is_empty());
    }

    #[test]
    fn response_times_become_milliseconds_and_a_refused_query_is_an_error() {
        let group = target_group(Some("app/web/2b"));
        let questions = questions(&group);
        let p99 = questions
            .iter()
            .position(|question| question.series == Series::P99)
            .unwrap();
        let result = MetricDataResult::builder()
            .id(format!("q{p99}"))
            .timestamps(DateTime::from_secs(60))
            .values(0.25)
            .status_code(StatusCode::Complete);
        let found = points(&questions, &result.clone().build()).unwrap();
        assert_eq!(found[0].value, 250.0);
        assert_eq!(found[0].minute, Moment::from_millis(60_000));
        let forbidden = result.clone().status_code(StatusCode::Forbidden).build();
        assert_eq!(
            points(&questions, &forbidden).unwrap_err().kind,
            WhatToDo::Never
        );
        let broken = result.status_code(StatusCode::InternalError).build();
        assert_eq!(
            points(&questions, &broken).unwrap_err().kind,
            WhatToDo::Retry
        );
    }
}
