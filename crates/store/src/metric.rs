//! Golden signals, one point a minute.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::row::Columns;
use crate::row::Place;
use crate::row::records;
use crate::tx::Tx;
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

    /// The points of the minute that holds `minute`.
    pub async fn metric_latest(
        &self,
        deployment: &DeploymentId,
        minute: Moment,
    ) -> Result<Vec<MetricPoint>, StoreError> {
        let rows: Vec<MetricRow> = sqlx::query_as(
            "select deployment_id, minute, series, side, value from metric_points \
             where deployment_id = $1 and minute = $2 order by series, side",
        )
        .bind(deployment.as_str())
        .bind(minute.minute().millis())
        .fetch_all(&self.reader)
        .await
        .doing("reading a minute's metrics")?;
        records(rows)
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
