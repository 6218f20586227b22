//! Deployments, and the history's keyset pages.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::DeploymentRecord;
use crate::records::Sight;
use crate::row::Columns;
use crate::row::Conditions;
use crate::row::Place;
use crate::row::contains;
use crate::row::escaped;
use crate::row::record;
use crate::row::records;
use crate::search::page_of_search;
use crate::tx::Tx;
use sqlx::Any;
use sqlx::Executor;
use switchback_domain::coverage::FirstSeen;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::OutcomeCause;
use switchback_domain::deployment::Phase;
use switchback_domain::deployment::Standing;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::OperationId;
use switchback_domain::ids::ServiceId;
use switchback_domain::moment::Moment;
use switchback_domain::previous::PreviousEvidence;
use switchback_domain::previous::PreviousUnknown;
use switchback_domain::revision::RevisionArn;

const COLUMNS: &str = "id, started_at, outcome, phase, outcome_cause, service_id, service_name, initiator, aws_id, \
     target_revision, reason, cluster, account, region, controller, strategy, previous_revision, previous_evidence, \
     outcome_detail, description, ended_at, rollback_of, rolled_back_by, operation_id, share_new_permille, \
     target_group_old, target_group_new, metrics_until, observed_at, generation, alarms, reading, app_spec, \
     first_seen, previous_unknown";

/// How many deployments a page of the history holds when nobody says.
const DEFAULT_LIMIT: i64 = 50;

/// How many initiators are looked through for the ones that contain a text. Beyond that the history itself is walked.
const LOOKED_THROUGH_INITIATORS: i64 = 2000;

/// Up to how many initiators are walked each along its own index.
const FEW_INITIATORS: i64 = 20;

/// Which deployments, and from where on. What is `None` does not filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentQuery {
    /// Of this service.
    pub service: Option<ServiceId>,
    /// Of this account.
    pub account: Option<String>,
    /// That ended, or stand, like this.
    pub outcome: Option<Outcome>,
    /// That are in this phase.
    pub phase: Option<Phase>,
    /// Whose initiator contains this, whatever the case.
    pub actor: Option<String>,
    /// Whose reason, AWS id, service name or target revision contains this, whatever the case.
    pub q: Option<String>,
    /// That started at this moment or later.
    pub from: Option<Moment>,
    /// That started before this moment.
    pub to: Option<Moment>,
    /// After the deployment with this key on the page before, which started then or earlier.
    pub before: Option<(Moment, DeploymentId)>,
    /// At most so many.
    pub limit: i64,
}

impl Default for DeploymentQuery {
    fn default() -> DeploymentQuery {
        DeploymentQuery {
            service: None,
            account: None,
            outcome: None,
            phase: None,
            actor: None,
            q: None,
            from: None,
            to: None,
            before: None,
            limit: DEFAULT_LIMIT,
        }
    }
}

impl Store {
    /// One deployment.
    pub async fn deployment_fetch(
        &self,
        id: &DeploymentId,
    ) -> Result<Option<DeploymentRecord>, StoreError> {
        fetch(&self.reader, id.as_str()).await
    }

    /// The deployment with this identifier, ours or AWS's. Where two accounts use the same one, the newest.
    pub async fn deployment_find(
        &self,
        text: &str,
    ) -> Result<Option<DeploymentRecord>, StoreError> {
        if let Some(deployment) = fetch(&self.reader, text).await? {
            return Ok(Some(deployment));
        }
        let sql = format!(
            "select {COLUMNS} from deployments where aws_id = $1 order by started_at desc, id desc limit 1"
        );
        let row: Option<DeploymentRow> = sqlx::query_as(&sql)
            .bind(text)
            .fetch_optional(&self.reader)
            .await
            .doing("looking for a deployment")?;
        record(row)
    }

    /// A page of the history, newest first. Deployments that start while somebody turns pages never move a page.
    pub async fn deployment_list(
        &self,
        query: &DeploymentQuery,
    ) -> Result<Vec<DeploymentRecord>, StoreError> {
        let initiators = match &query.actor {
            Some(actor) => self.initiators_like(actor).await?,
            None => Initiators::Many,
        };
        let names = match &initiators {
            Initiators::None => return Ok(Vec::new()),
            Initiators::Few(names) => Some(names.as_slice()),
            Initiators::Many => None,
        };
        let by_text_index = self
            .searches_by_index(query, || narrow(query, names))
            .await?;
        let (sql, conditions) = statement(query, names, by_text_index);
        let rows: Vec<DeploymentRow> = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_all(&self.reader)
            .await
            .doing("reading the history")?;
        records(rows)
    }

    /// The initiators that contain the text, found by jumping from name to name in the index. The names that do not
    /// stay in the database: handing over each would take longer than finding them.
    async fn initiators_like(&self, actor: &str) -> Result<Initiators, StoreError> {
        let contains = contains("name").replace('?', "$1");
        let sql = format!(
            "with recursive names(name) as (select min(initiator) from deployments union all \
             select (select min(initiator) from deployments where initiator > names.name) \
             from names where names.name is not null), \
             first_names(name) as materialized (select name from names where name is not null limit $2) \
             select '' as name, count(*) as seen from first_names union all \
             select name, cast(-1 as bigint) from \
             (select name from first_names where {contains} limit $3) as fitting"
        );
        let rows: Vec<(String, i64)> = sqlx::query_as(&sql)
            .bind(escaped(actor))
            .bind(LOOKED_THROUGH_INITIATORS)
            .bind(FEW_INITIATORS + 1)
            .fetch_all(&self.reader)
            .await
            .doing("reading who began deployments")?;
        let (counts, fitting): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|(_, seen)| *seen >= 0);
        let is_cut = counts
            .iter()
            .any(|(_, seen)| *seen >= LOOKED_THROUGH_INITIATORS);
        let fitting: Vec<String> = fitting.into_iter().map(|(name, _)| name).collect();
        Ok(match fitting.len() as i64 {
            _ if is_cut => Initiators::Many,
            0 => Initiators::None,
            1..=FEW_INITIATORS => Initiators::Few(fitting),
            _ => Initiators::Many,
        })
    }

    /// The deployments with these identifiers, in no order. At most a few hundred can be asked for at once.
    pub async fn deployment_list_of(
        &self,
        ids: &[DeploymentId],
    ) -> Result<Vec<DeploymentRecord>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.add_one_of("id", ids.iter().map(DeploymentId::as_str));
        let sql = format!("select {COLUMNS} from deployments{}", conditions.sql());
        let rows: Vec<DeploymentRow> = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_all(&self.reader)
            .await
            .doing("reading deployments")?;
        records(rows)
    }

    /// For each of these services its deployment in progress that began last, if there is one. At most a few hundred
    /// can be asked for at once.
    pub async fn deployment_list_in_progress(
        &self,
        services: &[ServiceId],
    ) -> Result<Vec<DeploymentRecord>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.add_one_of("service_id", services.iter().map(ServiceId::as_str));
        conditions.add("outcome = ?", Outcome::InProgress.word());
        let sql = format!(
            "select {COLUMNS} from deployments{} order by started_at desc, id desc",
            conditions.sql()
        );
        let rows: Vec<DeploymentRow> = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_all(&self.reader)
            .await
            .doing("reading the deployments in progress")?;
        let mut services = std::collections::BTreeSet::new();
        let newest = rows
            .into_iter()
            .filter(|row| services.insert(row.service_id.clone()))
            .collect();
        records(newest)
    }

    /// For each of these services its deployment that began last among those that have ended. At most a few hundred can
    /// be asked for at once.
    pub async fn deployment_list_last_ended(
        &self,
        services: &[ServiceId],
    ) -> Result<Vec<DeploymentRecord>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.add_one_of("services.id", services.iter().map(ServiceId::as_str));
        let sql = format!(
            "select {COLUMNS} from deployments where id in (select (select newest.id from deployments as newest \
             where newest.service_id = services.id and newest.outcome not in ('in_progress', 'unknown') \
             order by newest.started_at desc, newest.id desc limit 1) from services{})",
            conditions.sql()
        );
        let rows: Vec<DeploymentRow> = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_all(&self.reader)
            .await
            .doing("reading the last deployment of each service")?;
        records(rows)
    }

    /// The deployments that are in progress or unknown, newest first.
    pub async fn deployment_list_active(&self) -> Result<Vec<DeploymentRecord>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from deployments where outcome in ('in_progress', 'unknown') \
             order by started_at desc, id desc"
        );
        let rows: Vec<DeploymentRow> = sqlx::query_as(&sql)
            .fetch_all(&self.reader)
            .await
            .doing("reading the deployments in progress")?;
        records(rows)
    }

    /// The deployments that are in progress or unknown, the newest `limit` of them, and how many there are in all.
    pub async fn deployment_list_newest_active(
        &self,
        limit: i64,
    ) -> Result<(Vec<DeploymentRecord>, i64), StoreError> {
        // Two walks that bring keys: one over both outcomes would sort all of them.
        let walk = |outcome: &str| {
            format!(
                "select * from (select started_at, id from deployments where outcome = '{outcome}' \
                 order by started_at desc, id desc limit $1) as walk_{outcome}"
            )
        };
        let sql = format!(
            "select {COLUMNS} from deployments where id in (select id from ({} union all {}) as walks \
             order by started_at desc, id desc limit $1) order by started_at desc, id desc",
            walk("in_progress"),
            walk("unknown")
        );
        let rows: Vec<DeploymentRow> = sqlx::query_as(&sql)
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .doing("reading the newest deployments in progress")?;
        let (count,): (i64,) = sqlx::query_as(
            "select count(*) from deployments where outcome in ('in_progress', 'unknown')",
        )
        .fetch_one(&self.reader)
        .await
        .doing("counting the deployments in progress")?;
        Ok((records(rows)?, count))
    }

    /// The deployments that the ledger does not have as they stand: those in progress, then the others oldest first.
    pub async fn deployment_list_not_in_ledger(
        &self,
        limit: i64,
    ) -> Result<Vec<DeploymentRecord>, StoreError> {
        // Two walks: one order over both would sort a whole history that is yet to be written.
        let active = format!(
            "select {COLUMNS} from deployments where outcome = 'in_progress' \
             and (ledger_outcome is null or ledger_outcome <> outcome) order by started_at, id limit $1"
        );
        let all = format!(
            "select {COLUMNS} from deployments where (ledger_outcome is null or ledger_outcome <> outcome) \
             order by started_at, id limit $1"
        );
        for sql in [active, all] {
            let rows: Vec<DeploymentRow> = sqlx::query_as(&sql)
                .bind(limit)
                .fetch_all(&self.reader)
                .await
                .doing("reading the deployments that the ledger does not have")?;
            if !rows.is_empty() {
                return records(rows);
            }
        }
        Ok(Vec::new())
    }
}

impl Tx {
    /// One deployment, as this transaction sees it.
    pub async fn deployment_fetch(
        &mut self,
        id: &DeploymentId,
    ) -> Result<Option<DeploymentRecord>, StoreError> {
        fetch(self.connection(), id.as_str()).await
    }

    /// Records a deployment at generation 1, whatever the record says, and links its revisions to its service. False
    /// when it is recorded already: two observers that see the same deployment record it once.
    pub async fn deployment_insert(
        &mut self,
        deployment: &DeploymentRecord,
    ) -> Result<bool, StoreError> {
        let inserted = columns(deployment)?
            .with("id", deployment.id.as_str())
            .with("generation", 1)
            .insert(
                self.connection(),
                "recording a deployment",
                "insert into deployments",
                "on conflict do nothing",
            )
            .await?;
        if inserted == 1 {
            self.link_revisions(deployment).await?;
        }
        Ok(inserted == 1)
    }

    /// Changes the deployment that stands at the record's generation, and gives the new generation.
    pub async fn deployment_update(
        &mut self,
        deployment: &DeploymentRecord,
    ) -> Result<i64, StoreError> {
        let generation = columns(deployment)?
            .update(
                self.connection(),
                "changing a deployment",
                "deployments",
                deployment.id.as_str(),
                deployment.generation,
            )
            .await?;
        self.link_revisions(deployment).await?;
        Ok(generation)
    }

    async fn link_revisions(&mut self, deployment: &DeploymentRecord) -> Result<(), StoreError> {
        for arn in [&deployment.previous_revision, &deployment.target_revision]
            .into_iter()
            .flatten()
        {
            self.link_revision(&deployment.service_id, arn).await?;
        }
        Ok(())
    }
}

/// Whose deployments are asked for.
enum Initiators {
    /// Nobody's: no initiator contains the text.
    None,
    /// Those of a few, by exact name.
    Few(Vec<String>),
    /// Those of so many that walking the history finds a page soon; or the actor is not asked for.
    Many,
}

/// The conditions of a query but for actor and text.
fn conditions_but_words(query: &DeploymentQuery) -> Conditions {
    let mut conditions = Conditions::default();
    if let Some(service) = &query.service {
        conditions.add("service_id = ?", service.as_str());
    }
    if let Some(account) = &query.account {
        conditions.add("account = ?", account.as_str());
    }
    if let Some(outcome) = query.outcome {
        conditions.add("outcome = ?", outcome.word());
    }
    if let Some(phase) = query.phase {
        conditions.add("phase = ?", phase.word());
    }
    if let Some(from) = query.from {
        conditions.add("started_at >= ?", from);
    }
    if let Some(to) = query.to {
        conditions.add("started_at < ?", to);
    }
    if let Some((started_at, id)) = &query.before {
        conditions.add_pair(
            "(started_at, deployments.id) < (?1, ?2)",
            *started_at,
            id.as_str(),
        );
    }
    conditions
}

/// The conditions of a query but for the actor.
fn conditions(query: &DeploymentQuery) -> Conditions {
    let mut conditions = conditions_but_words(query);
    if let Some(text) = &query.q {
        let columns = ["reason", "aws_id", "service_name", "target_revision"].map(contains);
        conditions.add(&format!("({})", columns.join(" or ")), escaped(text));
    }
    conditions
}

/// Adds that the initiator is one of these names or, where they are too many to name, contains the query's text.
fn add_actor(conditions: &mut Conditions, query: &DeploymentQuery, names: Option<&[String]>) {
    match (names, &query.actor) {
        (Some(names), _) => conditions.add_one_of("initiator", names.iter().map(String::as_str)),
        (None, Some(actor)) => conditions.add(&contains("initiator"), escaped(actor)),
        (None, None) => {}
    }
}

/// The conditions that an index answers, if there is one among them that may leave few.
fn narrow(query: &DeploymentQuery, names: Option<&[String]>) -> Option<Conditions> {
    let is_narrow = query.service.is_some()
        || query.account.is_some()
        || query.outcome.is_some()
        || query.phase.is_some()
        || query.from.is_some()
        || names.is_some();
    is_narrow.then(|| {
        let mut conditions = conditions_but_words(query);
        if names.is_some() {
            add_actor(&mut conditions, query, names);
        }
        conditions
    })
}

/// The statement of a page: by the text index, as a walk for each of a few initiators, or as one walk through the
/// history. Few deployments are in a phase, whoever began them: those are one walk.
pub(crate) fn statement(
    query: &DeploymentQuery,
    names: Option<&[String]>,
    by_text_index: bool,
) -> (String, Conditions) {
    match names {
        _ if by_text_index => {
            let mut conditions = conditions_but_words(query);
            add_actor(&mut conditions, query, names);
            page_of_search(query, conditions, COLUMNS)
        }
        Some(names) if query.phase.is_none() => page_of_few(query, names),
        Some(_) | None => page(query, names),
    }
}

/// One walk through the history.
fn page(query: &DeploymentQuery, names: Option<&[String]>) -> (String, Conditions) {
    let mut conditions = conditions(query);
    add_actor(&mut conditions, query, names);
    let limit = conditions.place(query.limit);
    let sql = format!(
        "select {COLUMNS} from deployments{} order by started_at desc, id desc limit {limit}",
        conditions.sql()
    );
    (sql, conditions)
}

/// One walk for each initiator, along that one's own index, and the first page of all. The walks bring keys alone, so
/// that only the page's own rows are read.
fn page_of_few(query: &DeploymentQuery, names: &[String]) -> (String, Conditions) {
    let mut conditions = conditions(query);
    let limit = conditions.place(query.limit);
    let others = match conditions.sql() {
        none if none.is_empty() => " where".to_string(),
        some => format!("{some} and"),
    };
    let walks: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let name = conditions.place(name.as_str());
            format!(
                "select * from (select started_at, id from deployments{others} initiator = {name} \
                 order by started_at desc, id desc limit {limit}) as walk_{index}"
            )
        })
        .collect();
    let sql = format!(
        "select {COLUMNS} from deployments where id in (select id from ({}) as walks \
         order by started_at desc, id desc limit {limit}) order by started_at desc, id desc",
        walks.join(" union all ")
    );
    (sql, conditions)
}

async fn fetch<'e>(
    executor: impl Executor<'e, Database = Any>,
    id: &str,
) -> Result<Option<DeploymentRecord>, StoreError> {
    let sql = format!("select {COLUMNS} from deployments where id = $1");
    let row: Option<DeploymentRow> = sqlx::query_as(&sql)
        .bind(id)
        .fetch_optional(executor)
        .await
        .doing("reading a deployment")?;
    record(row)
}

fn columns(deployment: &DeploymentRecord) -> Result<Columns, StoreError> {
    let arn = |revision: &Option<RevisionArn>| revision.as_ref().map(|arn| arn.to_string());
    let other = |id: &Option<DeploymentId>| id.as_ref().map(|id| id.to_string());
    Columns::new()
        .with("started_at", deployment.started_at)
        .with("outcome", deployment.standing.outcome.word())
        .with("phase", deployment.standing.phase.map(Phase::word))
        .with(
            "outcome_cause",
            deployment.standing.cause.map(OutcomeCause::word),
        )
        .with("service_id", deployment.service_id.as_str())
        .with("service_name", deployment.service_name.as_str())
        .with("initiator", deployment.initiator.as_str())
        .with("aws_id", deployment.aws_id.as_str())
        .with("target_revision", arn(&deployment.target_revision))
        .with("reason", deployment.reason.as_deref())
        .with("cluster", deployment.cluster.as_str())
        .with("account", deployment.account.as_str())
        .with("region", deployment.region.as_str())
        .with("controller", deployment.controller.as_str())
        .with("strategy", deployment.strategy.as_str())
        .with("previous_revision", arn(&deployment.previous_revision))
        .with(
            "previous_evidence",
            deployment.previous_evidence.map(PreviousEvidence::word),
        )
        .with(
            "first_seen",
            deployment.sight.first_seen.map(FirstSeen::word),
        )
        .with(
            "previous_unknown",
            deployment.sight.previous_unknown.map(PreviousUnknown::word),
        )
        .with("outcome_detail", deployment.outcome_detail.as_deref())
        .with("description", deployment.description.as_deref())
        .with("ended_at", deployment.ended_at)
        .with("rollback_of", other(&deployment.rollback_of))
        .with("rolled_back_by", other(&deployment.rolled_back_by))
        .with(
            "operation_id",
            deployment.operation_id.as_ref().map(|id| id.as_str()),
        )
        .with("share_new_permille", deployment.share_new_permille)
        .with("target_group_old", deployment.target_group_old.as_deref())
        .with("target_group_new", deployment.target_group_new.as_deref())
        .with("metrics_until", deployment.metrics_until)
        .with("observed_at", deployment.observed_at)
        .with("app_spec", deployment.app_spec.as_deref())
        .with_json("alarms", &deployment.alarms)?
        .with_json("reading", &deployment.reading)
}

#[derive(sqlx::FromRow)]
struct DeploymentRow {
    id: String,
    started_at: i64,
    outcome: String,
    phase: Option<String>,
    outcome_cause: Option<String>,
    service_id: String,
    service_name: String,
    initiator: String,
    aws_id: String,
    target_revision: Option<String>,
    reason: Option<String>,
    cluster: String,
    account: String,
    region: String,
    controller: String,
    strategy: String,
    previous_revision: Option<String>,
    previous_evidence: Option<String>,
    outcome_detail: Option<String>,
    description: Option<String>,
    ended_at: Option<i64>,
    rollback_of: Option<String>,
    rolled_back_by: Option<String>,
    operation_id: Option<String>,
    share_new_permille: Option<i64>,
    target_group_old: Option<String>,
    target_group_new: Option<String>,
    metrics_until: Option<i64>,
    observed_at: i64,
    generation: i64,
    alarms: String,
    reading: String,
    app_spec: Option<String>,
    first_seen: Option<String>,
    previous_unknown: Option<String>,
}

impl TryFrom<DeploymentRow> for DeploymentRecord {
    type Error = StoreError;

    fn try_from(row: DeploymentRow) -> Result<DeploymentRecord, StoreError> {
        let place = Place {
            table: "deployments",
            row: &row.id,
        };
        Ok(DeploymentRecord {
            standing: Standing {
                phase: place.word_or_none("phase", row.phase.as_deref(), Phase::parse)?,
                outcome: place.word("outcome", &row.outcome, Outcome::parse)?,
                cause: place.word_or_none(
                    "outcome_cause",
                    row.outcome_cause.as_deref(),
                    OutcomeCause::parse,
                )?,
            },
            previous_revision: place
                .revision_or_none("previous_revision", row.previous_revision.as_deref())?,
            previous_evidence: place.word_or_none(
                "previous_evidence",
                row.previous_evidence.as_deref(),
                PreviousEvidence::parse,
            )?,
            sight: Sight {
                first_seen: place.word_or_none(
                    "first_seen",
                    row.first_seen.as_deref(),
                    FirstSeen::parse,
                )?,
                previous_unknown: place.word_or_none(
                    "previous_unknown",
                    row.previous_unknown.as_deref(),
                    PreviousUnknown::parse,
                )?,
            },
            target_revision: place
                .revision_or_none("target_revision", row.target_revision.as_deref())?,
            reading: place.json("reading", &row.reading)?,
            alarms: place.json("alarms", &row.alarms)?,
            id: DeploymentId::new(row.id),
            aws_id: row.aws_id,
            service_id: ServiceId::new(row.service_id),
            service_name: row.service_name,
            cluster: row.cluster,
            account: row.account,
            region: row.region,
            controller: row.controller,
            strategy: row.strategy,
            app_spec: row.app_spec,
            outcome_detail: row.outcome_detail,
            initiator: row.initiator,
            reason: row.reason,
            description: row.description,
            started_at: Moment::from_millis(row.started_at),
            ended_at: row.ended_at.map(Moment::from_millis),
            rollback_of: row.rollback_of.map(DeploymentId::new),
            rolled_back_by: row.rolled_back_by.map(DeploymentId::new),
            operation_id: row.operation_id.map(OperationId::new),
            share_new_permille: row.share_new_permille,
            target_group_old: row.target_group_old,
            target_group_new: row.target_group_new,
            metrics_until: row.metrics_until.map(Moment::from_millis),
            observed_at: Moment::from_millis(row.observed_at),
            generation: row.generation,
        })
    }
}
