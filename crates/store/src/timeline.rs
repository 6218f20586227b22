//! What happened in a deployment, line by line.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::TimelineRecord;
use crate::row::Columns;
use crate::row::Place;
use crate::row::records;
use crate::tx::Tx;
use switchback_domain::ids::DeploymentId;
use switchback_domain::moment::Moment;

impl Store {
    /// The timeline of a deployment, oldest first; at one moment, in the order of recording.
    pub async fn timeline_list(
        &self,
        deployment: &DeploymentId,
    ) -> Result<Vec<TimelineRecord>, StoreError> {
        let rows: Vec<TimelineRow> = sqlx::query_as(
            "select deployment_id, position, at, kind, line, made_by, data from timeline \
             where deployment_id = $1 order by at, position",
        )
        .bind(deployment.as_str())
        .fetch_all(&self.reader)
        .await
        .doing("reading a timeline")?;
        records(rows)
    }
}

impl Tx {
    /// Appends a line to a deployment's timeline.
    pub async fn timeline_append(&mut self, line: &TimelineRecord) -> Result<(), StoreError> {
        self.appending().await?;
        let (last,): (Option<i64>,) =
            sqlx::query_as("select max(position) from timeline where deployment_id = $1")
                .bind(line.deployment_id.as_str())
                .fetch_one(self.connection())
                .await
                .doing("reading the end of a timeline")?;
        Columns::new()
            .with("deployment_id", line.deployment_id.as_str())
            .with("position", last.unwrap_or(0) + 1)
            .with("at", line.at)
            .with("kind", line.kind.as_str())
            .with("line", line.text.as_str())
            .with("made_by", line.by.as_deref())
            .with_json("data", &line.data)?
            .insert(
                self.connection(),
                "appending to a timeline",
                "insert into timeline",
                "",
            )
            .await?;
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
struct TimelineRow {
    deployment_id: String,
    position: i64,
    at: i64,
    kind: String,
    line: String,
    made_by: Option<String>,
    data: String,
}

impl TryFrom<TimelineRow> for TimelineRecord {
    type Error = StoreError;

    fn try_from(row: TimelineRow) -> Result<TimelineRecord, StoreError> {
        let key = format!("{}/{}", row.deployment_id, row.position);
        let place = Place {
            table: "timeline",
            row: &key,
        };
        Ok(TimelineRecord {
            data: place.json("data", &row.data)?,
            deployment_id: DeploymentId::new(row.deployment_id),
            at: Moment::from_millis(row.at),
            kind: row.kind,
            text: row.line,
            by: row.made_by,
        })
    }
}
