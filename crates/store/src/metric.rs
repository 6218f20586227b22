//! Golden signals, one point a minute.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::row::Columns;
use crate::row::Conditions;
use crate::row::Place;
use crate::row::records;
use crate::tx::Tx;
use std::collections::BTreeMap;
use switchback_domain::ids::DeploymentId;
use switchback_domain::metrics::MetricPoint;
use switchback_domain::metrics::Series;
use switchback_domain::metrics::Side;
use switchback_domain::moment::Moment;

impl Store {
    /// Every point of a deployment, by minute.
    pub async fn metric_list(
        &self,
        deployment: &DeploymentId,
    ) -> Result<Vec<MetricPoint>, StoreError> {
        let rows: Vec<MetricRow> = sqlx::query_as(
            "select deployment_id, minute, series, side, value from metric_points \
             where deployment_id = $1 order by minute, series, side",
        )
        .bind(deployment.as_str())
        .fetch_all(&self.reader)
        .await
        .doing("reading a deployment's metrics")?;
        records(rows)
    }

    /// Of each deployment the points of its last minute that has any, among those from `from` to `to`. At most a few
    /// hundred deployments can be asked for at once.
    pub async fn metric_latest(
        &self,
        deployments: &[DeploymentId],
        from: Moment,
        to: Moment,
    ) -> Result<BTreeMap<DeploymentId, Vec<MetricPoint>>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.add_one_of(
            "deployment_id",
            deployments.iter().map(DeploymentId::as_str),
        );
        conditions.add_pair("minute >= ?1 and minute <= ?2", from.minute(), to.minute());
        let sql = format!(
            "select points.deployment_id, points.minute, points.series, points.side, points.value \
             from (select deployment_id, max(minute) as last_minute from metric_points{} group by deployment_id) as latest \
             join metric_points as points on points.deployment_id = latest.deployment_id \
             and points.minute = latest.last_minute order by points.deployment_id, points.series, points.side",
            conditions.sql()
        );
        let rows: Vec<MetricRow> = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_all(&self.reader)
            .await
            .doing("reading the last minute's metrics")?;
        let mut latest: BTreeMap<DeploymentId, Vec<MetricPoint>> = BTreeMap::new();
        for row in rows {
            let deployment = DeploymentId::new(row.deployment_id.as_str());
            latest.entry(deployment).or_default().push(row.try_into()?);
        }
        Ok(latest)
    }
}

impl Tx {
    /// Records points of a deployment. A later value of the same minute replaces the earlier one: CloudWatch completes
    /// a minute after it has begun to answer for it.
    pub async fn metric_upsert(
        &mut self,
        deployment: &DeploymentId,
        points: &[MetricPoint],
    ) -> Result<(), StoreError> {
        for point in points {
            Columns::new()
                .with("deployment_id", deployment.as_str())
                .with("minute", point.minute.minute())
                .with("series", point.series.word())
                .with("side", point.side.word())
                .with("value", point.value)
                .insert(
                    self.connection(),
                    "recording metrics",
                    "insert into metric_points",
                    "on conflict (deployment_id, minute, series, side) do update set value = excluded.value",
                )
                .await?;
        }
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
struct MetricRow {
    deployment_id: String,
    minute: i64,
    series: String,
    side: String,
    value: f64,
}

impl TryFrom<MetricRow> for MetricPoint {
    type Error = StoreError;

    fn try_from(row: MetricRow) -> Result<MetricPoint, StoreError> {
        let key = format!(
            "{}/{}/{}/{}",
            row.deployment_id, row.minute, row.series, row.side
        );
        let place = Place {
            table: "metric_points",
            row: &key,
        };
        Ok(MetricPoint {
            minute: Moment::from_millis(row.minute),
            series: place.word("series", &row.series, Series::parse)?,
            side: place.word("side", &row.side, Side::parse)?,
            value: row.value,
        })
    }
}
