//! Services.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::row::Columns;
use crate::row::Conditions;
use crate::row::Place;
use crate::row::contains;
use crate::row::escaped;
use crate::row::record;
use crate::row::records;
use crate::tx::Tx;

use switchback_domain::ids::ServiceId;
use switchback_domain::moment::Moment;
use switchback_domain::revision::RevisionArn;
use switchback_domain::service::Controller;
use switchback_domain::service::Service;

const COLUMNS: &str = "id, name, arn, cluster, account, region, deployment_group, ecs_service, serving_revision, \
     serving_since, desired_count, running_count, observed_at, generation";

/// How many services a page of them holds when nobody says.
const DEFAULT_LIMIT: i64 = 50;

/// Which services, and from where on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceQuery {
    /// Whose name, cluster or ARN contains this, whatever the case.
    pub q: Option<String>,
    /// Of this account.
    pub account: Option<String>,
    /// Only those with a deployment in progress.
    pub moving: bool,
    /// After the service with this name and identifier on the page before.
    pub after: Option<(String, ServiceId)>,
    /// At most so many.
    pub limit: i64,
}

impl Default for ServiceQuery {
    fn default() -> ServiceQuery {
        ServiceQuery {
            q: None,
            account: None,
            moving: false,
            after: None,
            limit: DEFAULT_LIMIT,
        }
    }
}

impl ServiceQuery {
    fn filters(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(text) = &self.q {
            let columns = ["name", "cluster", "arn"].map(contains);
            conditions.add(&format!("({})", columns.join(" or ")), escaped(text));
        }
        if let Some(account) = &self.account {
            conditions.add("account = ?", account.as_str());
        }
        if self.moving {
            conditions.add(
                "id in (select service_id from deployments where outcome = ?)",
                "in_progress",
            );
        }
        conditions
    }
}

impl Store {
    /// A page of the services, by name.
    pub async fn service_page(&self, query: &ServiceQuery) -> Result<Vec<Service>, StoreError> {
        let mut conditions = query.filters();
        if let Some((name, id)) = &query.after {
            conditions.add_pair("(name, id) > (?1, ?2)", name.as_str(), id.as_str());
        }
        let limit = conditions.place(query.limit);
        let sql = format!(
            "select {COLUMNS} from services{} order by name, id limit {limit}",
            conditions.sql()
        );
        let rows: Vec<ServiceRow> = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_all(&self.reader)
            .await
            .doing("reading the services")?;
        records(rows)
    }

    /// How many services fit the query, on whichever page.
    pub async fn service_count(&self, query: &ServiceQuery) -> Result<i64, StoreError> {
        let conditions = query.filters();
        let sql = format!("select count(*) from services{}", conditions.sql());
        let (count,): (i64,) = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_one(&self.reader)
            .await
            .doing("counting the services")?;
        Ok(count)
    }

    /// In how many accounts the services are.
    pub async fn service_account_count(&self) -> Result<i64, StoreError> {
        let (count,): (i64,) = sqlx::query_as("select count(distinct account) from services")
            .fetch_one(&self.reader)
            .await
            .doing("counting the accounts")?;
        Ok(count)
    }

    /// How many services there are in each account and region.
    pub async fn service_counts(&self) -> Result<Vec<(String, String, i64)>, StoreError> {
        sqlx::query_as(
            "select account, region, count(*) from services group by account, region order by account, region",
        )
        .fetch_all(&self.reader)
        .await
        .doing("counting the services")
    }

    /// Every service, by name.
    pub async fn service_list(&self) -> Result<Vec<Service>, StoreError> {
        let sql = format!("select {COLUMNS} from services order by name, id");
        let rows: Vec<ServiceRow> = sqlx::query_as(&sql)
            .fetch_all(&self.reader)
            .await
            .doing("reading the services")?;
        records(rows)
    }

    /// One service.
    pub async fn service_fetch(&self, id: &ServiceId) -> Result<Option<Service>, StoreError> {
        let sql = format!("select {COLUMNS} from services where id = $1");
        let row: Option<ServiceRow> = sqlx::query_as(&sql)
            .bind(id.as_str())
            .fetch_optional(&self.reader)
            .await
            .doing("reading a service")?;
        record(row)
    }

    /// The services with these identifiers, in no order. At most a few hundred can be asked for at once.
    pub async fn service_list_of(&self, ids: &[ServiceId]) -> Result<Vec<Service>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.add_one_of("id", ids.iter().map(ServiceId::as_str));
        let sql = format!("select {COLUMNS} from services{}", conditions.sql());
        let rows: Vec<ServiceRow> = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_all(&self.reader)
            .await
            .doing("reading services")?;
        records(rows)
    }

    /// The services that the changes after this number are about; `None` when not all of them are kept any more.
    pub async fn service_list_changed_since(
        &self,
        sequence: i64,
    ) -> Result<Option<Vec<ServiceId>>, StoreError> {
        if self
            .change_oldest()
            .await?
            .is_some_and(|oldest| oldest > sequence + 1)
        {
            return Ok(None);
        }
        let ids: Vec<(String,)> = sqlx::query_as(
            "select distinct services.id from changes \
             left join deployments on deployments.id = changes.deployment_id \
             join services on services.id = coalesce(deployments.service_id, changes.subject) \
             where changes.sequence > $1",
        )
        .bind(sequence)
        .fetch_all(&self.reader)
        .await
        .doing("reading which services changed")?;
        Ok(Some(
            ids.into_iter().map(|(id,)| ServiceId::new(id)).collect(),
        ))
    }

    /// The services with this identifier, ARN or name. A name may fit several: in other clusters, accounts, regions.
    pub async fn service_find(&self, text: &str) -> Result<Vec<Service>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from services where id = $1 or arn = $1 or name = $1 order by name, id"
        );
        let rows: Vec<ServiceRow> = sqlx::query_as(&sql)
            .bind(text)
            .fetch_all(&self.reader)
            .await
            .doing("looking for a service")?;
        records(rows)
    }

    /// The service that a CodeDeploy deployment group deploys.
    pub async fn service_fetch_by_group(
        &self,
        account: &str,
        region: &str,
        application: &str,
        group: &str,
    ) -> Result<Option<Service>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from services where account = $1 and region = $2 and application = $3 \
             and group_name = $4 order by observed_at desc, id limit 1"
        );
        let row: Option<ServiceRow> = sqlx::query_as(&sql)
            .bind(account)
            .bind(region)
            .bind(application)
            .bind(group)
            .fetch_optional(&self.reader)
            .await
            .doing("reading the service of a deployment group")?;
        record(row)
    }
}

impl Tx {
    /// Records a service that is new (at generation 1, whatever the record says; the answer is true), or changes the
    /// one that stands at the record's generation (the answer is false). A lost race is a conflict.
    pub async fn service_upsert(&mut self, service: &Service) -> Result<bool, StoreError> {
        let inserted = columns(service)?
            .with("id", service.id.as_str())
            .with("generation", 1)
            .insert(
                self.connection(),
                "recording a service",
                "insert into services",
                "on conflict (id) do nothing",
            )
            .await?;
        if inserted == 1 {
            return Ok(true);
        }
        columns(service)?
            .update(
                self.connection(),
                "changing a service",
                "services",
                service.id.as_str(),
                service.generation,
            )
            .await?;
        Ok(false)
    }

    /// Takes over since when what serves has served, from its open period, where that is earlier than what is known or
    /// nothing is known. For evidence from the past, after [`Tx::served_all_at`]. Whoever has read the service meanwhile
    /// finds another generation and reads it again.
    pub async fn service_serving_since_its_period(
        &mut self,
        service: &ServiceId,
        serving: &RevisionArn,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update services set generation = generation + 1, serving_since = \
             (select min(from_at) from served_periods where service_id = $1 and revision = $2 and to_at is null) \
             where id = $1 and serving_revision = $2 and exists \
             (select 1 from served_periods where service_id = $1 and revision = $2 and to_at is null \
             and (services.serving_since is null or services.serving_since > from_at))",
        )
        .bind(service.as_str())
        .bind(serving.as_str())
        .execute(self.connection())
        .await
        .doing("recording since when a revision has served")?;
        Ok(())
    }
}

fn columns(service: &Service) -> Result<Columns, StoreError> {
    let group = service.controller.group().cloned().unwrap_or_default();
    let columns = Columns::new()
        .with("name", service.name.as_str())
        .with("arn", service.arn.as_str())
        .with("cluster", service.cluster.as_str())
        .with("account", service.account.as_str())
        .with("region", service.region.as_str())
        // Older versions know no other word; `ecs_service` is what tells.
        .with("controller", "codedeploy")
        .with("application", group.application.as_str())
        .with("group_name", group.group.as_str())
        .with_json("deployment_group", &group)?
        .with(
            "serving_revision",
            service.serving_revision.as_ref().map(|arn| arn.as_str()),
        )
        .with("serving_since", service.serving_since)
        .with("desired_count", service.desired_count)
        .with("running_count", service.running_count)
        .with("observed_at", service.observed_at);
    match service.controller.ecs() {
        Some(ecs) => columns.with_json("ecs_service", ecs),
        None => Ok(columns.with("ecs_service", None::<String>)),
    }
}

#[derive(sqlx::FromRow)]
struct ServiceRow {
    id: String,
    name: String,
    arn: String,
    cluster: String,
    account: String,
    region: String,
    deployment_group: String,
    ecs_service: Option<String>,
    serving_revision: Option<String>,
    serving_since: Option<i64>,
    desired_count: i64,
    running_count: i64,
    observed_at: i64,
    generation: i64,
}

impl TryFrom<ServiceRow> for Service {
    type Error = StoreError;

    fn try_from(row: ServiceRow) -> Result<Service, StoreError> {
        let place = Place {
            table: "services",
            row: &row.id,
        };
        Ok(Service {
            controller: match &row.ecs_service {
                Some(ecs) => Controller::Ecs(place.json("ecs_service", ecs)?),
                None => {
                    Controller::Codedeploy(place.json("deployment_group", &row.deployment_group)?)
                }
            },
            serving_revision: place
                .revision_or_none("serving_revision", row.serving_revision.as_deref())?,
            id: ServiceId::new(row.id),
            name: row.name,
            arn: row.arn,
            cluster: row.cluster,
            account: row.account,
            region: row.region,
            serving_since: row.serving_since.map(Moment::from_millis),
            desired_count: row.desired_count,
            running_count: row.running_count,
            observed_at: Moment::from_millis(row.observed_at),
            generation: row.generation,
        })
    }
}
