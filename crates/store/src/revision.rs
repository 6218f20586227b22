//! Revisions, which service they belong to, and when they took traffic.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::ServedRecord;
use crate::row::Columns;
use crate::row::Place;
use crate::row::record;
use crate::row::records;
use crate::tx::Tx;
use switchback_domain::ids::ServiceId;
use switchback_domain::moment::Moment;
use switchback_domain::revision::Revision;
use switchback_domain::revision::RevisionArn;
use switchback_domain::revision::RevisionStatus;

const COLUMNS: &str = "revisions.arn, status, registered_at, registered_by, task_definition";

impl Store {
    /// One revision.
    pub async fn revision_fetch(&self, arn: &RevisionArn) -> Result<Option<Revision>, StoreError> {
        let sql = format!("select {COLUMNS} from revisions where arn = $1");
        let row: Option<RevisionRow> = sqlx::query_as(&sql)
            .bind(arn.as_str())
            .fetch_optional(&self.reader)
            .await
            .doing("reading a revision")?;
        record(row)
    }

    /// Every recorded revision that a deployment of the service moved from or to, or that was seen serving it; the
    /// newest number first.
    pub async fn revision_list(&self, service: &ServiceId) -> Result<Vec<Revision>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from service_revisions join revisions on revisions.arn = service_revisions.arn \
             where service_id = $1 order by number desc, revisions.arn desc"
        );
        let rows: Vec<RevisionRow> = sqlx::query_as(&sql)
            .bind(service.as_str())
            .fetch_all(&self.reader)
            .await
            .doing("reading a service's revisions")?;
        records(rows)
    }

    /// The times in which revisions took traffic of a service, oldest first.
    pub async fn served_list(&self, service: &ServiceId) -> Result<Vec<ServedRecord>, StoreError> {
        let rows: Vec<ServedRow> = sqlx::query_as(
            "select service_id, revision, from_at, to_at, share_permille from served_periods \
             where service_id = $1 order by from_at, revision",
        )
        .bind(service.as_str())
        .fetch_all(&self.reader)
        .await
        .doing("reading what served")?;
        records(rows)
    }
}

impl Tx {
    /// Records a revision and links it to a service. A revision is immutable in AWS: the task definition that was
    /// recorded first is kept, and so is what is known of its registration; only the status changes, but never back
    /// to unknown.
    pub async fn revision_upsert(
        &mut self,
        service: Option<&ServiceId>,
        revision: &Revision,
    ) -> Result<(), StoreError> {
        let number = i64::try_from(revision.arn.number()).unwrap_or(i64::MAX);
        Columns::new()
            .with("arn", revision.arn.as_str())
            .with("family", revision.arn.family())
            .with("number", number)
            .with("status", revision.status.word())
            .with("registered_at", revision.registered_at)
            .with("registered_by", revision.registered_by.as_deref())
            .with_json("task_definition", &revision.task_definition)?
            .insert(
                self.connection(),
                "recording a revision",
                "insert into revisions",
                "on conflict (arn) do update set \
                 status = case excluded.status when 'unknown' then revisions.status else excluded.status end, \
                 registered_at = coalesce(revisions.registered_at, excluded.registered_at), \
                 registered_by = coalesce(revisions.registered_by, excluded.registered_by)",
            )
            .await?;
        match service {
            Some(service) => self.link_revision(service, &revision.arn).await,
            None => Ok(()),
        }
    }

    /// Records that a revision takes a share of a service's traffic, in thousandths. Opens a period, or extends the
    /// open one, which keeps the largest share; a share of 0 closes it.
    pub async fn served_record(
        &mut self,
        service: &ServiceId,
        revision: &RevisionArn,
        at: Moment,
        share_permille: i64,
    ) -> Result<(), StoreError> {
        if share_permille <= 0 {
            sqlx::query(
                "update served_periods set to_at = case when from_at > $3 then from_at else $3 end \
                 where service_id = $1 and revision = $2 and to_at is null",
            )
            .bind(service.as_str())
            .bind(revision.as_str())
            .bind(at.millis())
            .execute(self.connection())
            .await
            .doing("recording that a revision no longer serves")?;
            return Ok(());
        }
        Columns::new()
            .with("service_id", service.as_str())
            .with("revision", revision.as_str())
            .with("from_at", at)
            .with("share_permille", share_permille)
            .insert(
                self.connection(),
                "recording what serves",
                "insert into served_periods",
                "on conflict (service_id, revision) where to_at is null do update set \
                 from_at = case when excluded.from_at < served_periods.from_at \
                     then excluded.from_at else served_periods.from_at end, \
                 share_permille = case when excluded.share_permille > served_periods.share_permille \
                     then excluded.share_permille else served_periods.share_permille end",
            )
            .await?;
        self.link_revision(service, revision).await
    }

    pub(crate) async fn link_revision(
        &mut self,
        service: &ServiceId,
        arn: &RevisionArn,
    ) -> Result<(), StoreError> {
        Columns::new()
            .with("service_id", service.as_str())
            .with("arn", arn.as_str())
            .insert(
                self.connection(),
                "linking a revision to its service",
                "insert into service_revisions",
                "on conflict do nothing",
            )
            .await?;
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
struct RevisionRow {
    arn: String,
    status: String,
    registered_at: Option<i64>,
    registered_by: Option<String>,
    task_definition: String,
}

impl TryFrom<RevisionRow> for Revision {
    type Error = StoreError;

    fn try_from(row: RevisionRow) -> Result<Revision, StoreError> {
        let place = Place {
            table: "revisions",
            row: &row.arn,
        };
        Ok(Revision {
            arn: place.revision("arn", &row.arn)?,
            status: RevisionStatus::parse(&row.status),
            registered_at: row.registered_at.map(Moment::from_millis),
            registered_by: row.registered_by,
            task_definition: place.json("task_definition", &row.task_definition)?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct ServedRow {
    service_id: String,
    revision: String,
    from_at: i64,
    to_at: Option<i64>,
    share_permille: i64,
}

impl TryFrom<ServedRow> for ServedRecord {
    type Error = StoreError;

    fn try_from(row: ServedRow) -> Result<ServedRecord, StoreError> {
        let key = format!("{}/{}/{}", row.service_id, row.revision, row.from_at);
        let place = Place {
            table: "served_periods",
            row: &key,
        };
        Ok(ServedRecord {
            revision: place.revision("revision", &row.revision)?,
            service_id: ServiceId::new(row.service_id),
            from: Moment::from_millis(row.from_at),
            to: row.to_at.map(Moment::from_millis),
            share_permille: row.share_permille,
        })
    }
}
