//! Revisions, which service they belong to, and when they took traffic.

use crate::connect::Dialect;
use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::ServedRecord;
use crate::row::Columns;
use crate::row::Conditions;
use crate::row::Place;
use crate::row::record;
use crate::row::records;
use crate::tx::Tx;
use std::collections::BTreeMap;
use switchback_domain::ids::ServiceId;
use switchback_domain::moment::Moment;
use switchback_domain::revision::Revision;
use switchback_domain::revision::RevisionArn;
use switchback_domain::revision::RevisionStatus;

/// Up to how many revisions of a service are all listed.
const MANY_REVISIONS: i64 = 400;

/// Of how many deployments they are listed when there are more.
const LAST_DEPLOYMENTS: i64 = 200;

/// How many periods of serving are listed.
const LAST_PERIODS: i64 = 1000;

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

    /// The recorded revisions that deployments of the service moved from or to, or that were seen serving it; the
    /// newest number first. Of a service with more than a few hundred, those of its last deployments.
    pub async fn revision_list(&self, service: &ServiceId) -> Result<Vec<Revision>, StoreError> {
        let (linked,): (i64,) = sqlx::query_as(
            "select count(*) from (select 1 from service_revisions where service_id = $1 limit $2) as linked",
        )
        .bind(service.as_str())
        .bind(MANY_REVISIONS + 1)
        .fetch_one(&self.reader)
        .await
        .doing("counting a service's revisions")?;
        let which = if linked <= MANY_REVISIONS {
            "select arn from service_revisions where service_id = $1"
        } else {
            "select target_revision from last_deployments union select previous_revision from last_deployments \
             union select serving_revision from services where id = $1"
        };
        let sql = format!(
            "with last_deployments as (select target_revision, previous_revision from deployments \
             where service_id = $1 order by started_at desc, id desc limit $2) \
             select {COLUMNS} from revisions where arn in ({which}) order by number desc, revisions.arn desc"
        );
        let rows: Vec<RevisionRow> = sqlx::query_as(&sql)
            .bind(service.as_str())
            .bind(LAST_DEPLOYMENTS)
            .fetch_all(&self.reader)
            .await
            .doing("reading a service's revisions")?;
        records(rows)
    }

    /// The times in which revisions took traffic of a service, oldest first; the last few hundred of them.
    pub async fn served_list(&self, service: &ServiceId) -> Result<Vec<ServedRecord>, StoreError> {
        let rows: Vec<ServedRow> = sqlx::query_as(
            "select service_id, revision, from_at, to_at, share_permille from \
             (select service_id, revision, from_at, to_at, share_permille from served_periods \
             where service_id = $1 order by from_at desc, revision desc limit $2) as last_periods \
             order by from_at, revision",
        )
        .bind(service.as_str())
        .bind(LAST_PERIODS)
        .fetch_all(&self.reader)
        .await
        .doing("reading what served")?;
        records(rows)
    }

    /// How many revisions of each of these services served all of its traffic and were not undone. A service without any
    /// is not in the answer. At most a few hundred can be asked for at once.
    pub async fn known_good_count(
        &self,
        services: &[ServiceId],
    ) -> Result<BTreeMap<ServiceId, i64>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.add_one_of("service_id", services.iter().map(ServiceId::as_str));
        // The deployment with which CodeDeploy undoes another says nothing about the revision that it brings back.
        let undoes = match self.dialect() {
            Dialect::Sqlite => "json_extract(undone.reading, '$.rolls_back')",
            Dialect::Postgres => "(cast(undone.reading as jsonb) ->> 'rolls_back')",
        };
        let sql = format!(
            "select service_id, count(distinct revision) from served_periods{} and share_permille >= 1000 \
             and not exists (select 1 from deployments as undone where undone.service_id = served_periods.service_id \
             and undone.target_revision = served_periods.revision \
             and (undone.outcome = 'rolled_back' or undone.rolled_back_by is not null) and {undoes} is null) \
             group by service_id",
            conditions.sql()
        );
        let counts: Vec<(String, i64)> = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_all(&self.reader)
            .await
            .doing("counting known-good revisions")?;
        Ok(counts
            .into_iter()
            .map(|(id, count)| (ServiceId::new(id), count))
            .collect())
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

    /// Records that a revision took all traffic of a service at a moment that may lie before what is recorded already:
    /// what others served then ends there, and what it served lasts until another one is known to have taken over.
    /// A past may be told backwards, deployment by deployment.
    pub async fn served_all_at(
        &mut self,
        service: &ServiceId,
        revision: &RevisionArn,
        at: Moment,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update served_periods set to_at = $3 where service_id = $1 and revision <> $2 and from_at < $3 \
             and (to_at is null or to_at > $3)",
        )
        .bind(service.as_str())
        .bind(revision.as_str())
        .bind(at.millis())
        .execute(self.connection())
        .await
        .doing("recording that others no longer served")?;
        let (covering, own_next, other_next): (i64, Option<i64>, Option<i64>) = sqlx::query_as(
            "select \
             (select count(*) from served_periods where service_id = $1 and revision = $2 and from_at <= $3 \
                 and (to_at is null or to_at >= $3) and share_permille >= 1000), \
             (select min(from_at) from served_periods where service_id = $1 and revision = $2 and from_at > $3), \
             (select min(from_at) from served_periods where service_id = $1 and revision <> $2 and from_at > $3 \
                 and share_permille >= 1000)",
        )
        .bind(service.as_str())
        .bind(revision.as_str())
        .bind(at.millis())
        .fetch_one(self.connection())
        .await
        .doing("reading what served around a moment")?;
        if covering > 0 {
            return Ok(());
        }
        match own_next {
            Some(own) if other_next.is_none_or(|other| own <= other) => {
                sqlx::query(
                    "update served_periods set from_at = $3, share_permille = 1000 \
                     where service_id = $1 and revision = $2 and from_at = $4",
                )
                .bind(service.as_str())
                .bind(revision.as_str())
                .bind(at.millis())
                .bind(own)
                .execute(self.connection())
                .await
                .doing("recording since when a revision served")?;
            }
            Some(_) | None => {
                Columns::new()
                    .with("service_id", service.as_str())
                    .with("revision", revision.as_str())
                    .with("from_at", at)
                    .with("to_at", other_next)
                    .with("share_permille", 1000)
                    .insert(
                        self.connection(),
                        "recording what served",
                        "insert into served_periods",
                        "on conflict do nothing",
                    )
                    .await?;
            }
        }
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
