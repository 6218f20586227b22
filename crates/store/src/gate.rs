//! Gates, their decisions and the delivery of their verdicts.

use crate::connect::Store;
use crate::error::Doing as _;
use crate::error::StoreError;
use crate::records::DecisionRecord;
use crate::records::GateRecord;
use crate::row::Columns;
use crate::row::Conditions;
use crate::row::Place;
use crate::row::record;
use crate::row::records;
use crate::tx::Tx;
use sqlx::Any;
use sqlx::Executor;
use switchback_domain::digest::Digest;
use switchback_domain::gate::Delivery;
use switchback_domain::gate::GateKind;
use switchback_domain::gate::GateState;
use switchback_domain::gate::Verdict;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::GateId;
use switchback_domain::moment::Moment;

const COLUMNS: &str = "id, deployment_id, deployment_aws_id, kind, stage, wait, state, policy, opened_at, expires_at, \
     wall_at, closed_at, evidence_digest, verdict, delivery, delivery_detail, delivery_attempts, delivery_called_at, \
     generation";

/// How many gates a page of them holds when nobody says.
const DEFAULT_LIMIT: i64 = 50;

/// In which states gates are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateStates {
    /// Those that wait; the one whose fuse burns out first in front.
    Open,
    /// Those that wait no more; the one that opened last in front.
    Closed,
}

/// Which gates, and from where on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateQuery {
    /// In these states; `None` for all, the one that opened last in front.
    pub state: Option<GateStates>,
    /// Without the open ones at which this actor has decided, or whose deployment this actor began.
    pub undecided_by: Option<String>,
    /// After the gate with this identifier on the page before, and when it expires, of open ones, or opened.
    pub after: Option<(Moment, GateId)>,
    /// At most so many.
    pub limit: i64,
}

impl Default for GateQuery {
    fn default() -> GateQuery {
        GateQuery {
            state: None,
            undecided_by: None,
            after: None,
            limit: DEFAULT_LIMIT,
        }
    }
}

impl GateQuery {
    fn filters(&self) -> Conditions {
        let mut conditions = Conditions::default();
        match self.state {
            Some(GateStates::Open) => conditions.add("state = ?", GateState::Open.word()),
            Some(GateStates::Closed) => conditions.add("state <> ?", GateState::Open.word()),
            None => {}
        }
        if let Some(actor) = &self.undecided_by {
            conditions.add(
                "(state <> 'open' or (\
                 not exists (select 1 from decisions where gate_id = gates.id and actor = ?) and \
                 not exists (select 1 from deployments where deployments.id = gates.deployment_id and initiator = ?)))",
                actor.as_str(),
            );
        }
        conditions
    }
}

impl Store {
    /// One gate.
    pub async fn gate_fetch(&self, id: &GateId) -> Result<Option<GateRecord>, StoreError> {
        fetch(&self.reader, id).await
    }

    /// The gates that wait, the one whose fuse burns out first in front.
    pub async fn gate_list_open(&self) -> Result<Vec<GateRecord>, StoreError> {
        let sql =
            format!("select {COLUMNS} from gates where state = 'open' order by expires_at, id");
        let rows: Vec<GateRow> = sqlx::query_as(&sql)
            .fetch_all(&self.reader)
            .await
            .doing("reading the open gates")?;
        records(rows)
    }

    /// The gates of a deployment, oldest first.
    pub async fn gate_list_by_deployment(
        &self,
        deployment: &DeploymentId,
    ) -> Result<Vec<GateRecord>, StoreError> {
        let sql =
            format!("select {COLUMNS} from gates where deployment_id = $1 order by opened_at, id");
        let rows: Vec<GateRow> = sqlx::query_as(&sql)
            .bind(deployment.as_str())
            .fetch_all(&self.reader)
            .await
            .doing("reading a deployment's gates")?;
        records(rows)
    }

    /// The gates whose verdict AWS does not show yet (recorded or sent), oldest first.
    pub async fn gate_list_undelivered(&self) -> Result<Vec<GateRecord>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from gates where delivery in ('recorded', 'sent') order by opened_at, id"
        );
        let rows: Vec<GateRow> = sqlx::query_as(&sql)
            .fetch_all(&self.reader)
            .await
            .doing("reading the verdicts to deliver")?;
        records(rows)
    }

    /// A page of gates.
    pub async fn gate_page(&self, query: &GateQuery) -> Result<Vec<GateRecord>, StoreError> {
        let mut conditions = query.filters();
        let by_fuse = query.state == Some(GateStates::Open);
        if let Some((at, id)) = &query.after {
            let clause = if by_fuse {
                "(expires_at, id) > (?1, ?2)"
            } else {
                "(opened_at, id) < (?1, ?2)"
            };
            conditions.add_pair(clause, *at, id.as_str());
        }
        let order = if by_fuse {
            "expires_at, id"
        } else {
            "opened_at desc, id desc"
        };
        let limit = conditions.place(query.limit);
        let sql = format!(
            "select {COLUMNS} from gates{} order by {order} limit {limit}",
            conditions.sql()
        );
        let rows: Vec<GateRow> = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_all(&self.reader)
            .await
            .doing("reading gates")?;
        records(rows)
    }

    /// How many gates fit the query, on whichever page.
    pub async fn gate_count(&self, query: &GateQuery) -> Result<i64, StoreError> {
        let conditions = query.filters();
        let sql = format!("select count(*) from gates{}", conditions.sql());
        let (count,): (i64,) = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_one(&self.reader)
            .await
            .doing("counting gates")?;
        Ok(count)
    }

    /// The decisions at a gate, oldest first.
    pub async fn decision_list(&self, gate: &GateId) -> Result<Vec<DecisionRecord>, StoreError> {
        decisions(&self.reader, gate).await
    }

    /// The decisions at these gates, those of each oldest first. At most a few hundred can be asked for at once.
    pub async fn decision_list_of(
        &self,
        gates: &[GateId],
    ) -> Result<Vec<DecisionRecord>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.add_one_of("gate_id", gates.iter().map(GateId::as_str));
        let sql = format!(
            "select gate_id, actor, verdict, reason, evidence_digest, evidence, at from decisions{} \
             order by at, actor",
            conditions.sql()
        );
        let rows: Vec<DecisionRow> = conditions
            .bind_as(sqlx::query_as(&sql))
            .fetch_all(&self.reader)
            .await
            .doing("reading the decisions at gates")?;
        records(rows)
    }
}

impl Tx {
    /// One gate, as this transaction sees it.
    pub async fn gate_fetch(&mut self, id: &GateId) -> Result<Option<GateRecord>, StoreError> {
        fetch(self.connection(), id).await
    }

    /// The decisions at a gate, as this transaction sees them, oldest first.
    pub async fn decision_list(
        &mut self,
        gate: &GateId,
    ) -> Result<Vec<DecisionRecord>, StoreError> {
        decisions(self.connection(), gate).await
    }

    /// Records a gate at generation 1, whatever the record says. False when it is recorded already.
    pub async fn gate_insert(&mut self, gate: &GateRecord) -> Result<bool, StoreError> {
        let inserted = columns(gate)?
            .with("id", gate.id.as_str())
            .with("generation", 1)
            .insert(
                self.connection(),
                "recording a gate",
                "insert into gates",
                "on conflict do nothing",
            )
            .await?;
        Ok(inserted == 1)
    }

    /// Changes the gate that stands at the record's generation, and gives the new generation.
    pub async fn gate_update(&mut self, gate: &GateRecord) -> Result<i64, StoreError> {
        columns(gate)?
            .update(
                self.connection(),
                "changing a gate",
                "gates",
                gate.id.as_str(),
                gate.generation,
            )
            .await
    }

    /// Records a decision. A second one of the same person at the same gate is a conflict.
    pub async fn decision_insert(&mut self, decision: &DecisionRecord) -> Result<(), StoreError> {
        Columns::new()
            .with("gate_id", decision.gate_id.as_str())
            .with("actor", decision.actor.as_str())
            .with("verdict", decision.verdict.word())
            .with("reason", decision.reason.as_deref())
            .with("evidence_digest", decision.evidence_digest.as_str())
            .with_json("evidence", &decision.evidence)?
            .with("at", decision.at)
            .insert(
                self.connection(),
                "recording a decision",
                "insert into decisions",
                "",
            )
            .await?;
        Ok(())
    }
}

async fn fetch<'e>(
    executor: impl Executor<'e, Database = Any>,
    id: &GateId,
) -> Result<Option<GateRecord>, StoreError> {
    let sql = format!("select {COLUMNS} from gates where id = $1");
    let row: Option<GateRow> = sqlx::query_as(&sql)
        .bind(id.as_str())
        .fetch_optional(executor)
        .await
        .doing("reading a gate")?;
    record(row)
}

async fn decisions<'e>(
    executor: impl Executor<'e, Database = Any>,
    gate: &GateId,
) -> Result<Vec<DecisionRecord>, StoreError> {
    let rows: Vec<DecisionRow> = sqlx::query_as(
        "select gate_id, actor, verdict, reason, evidence_digest, evidence, at from decisions \
         where gate_id = $1 order by at, actor",
    )
    .bind(gate.as_str())
    .fetch_all(executor)
    .await
    .doing("reading a gate's decisions")?;
    records(rows)
}

fn columns(gate: &GateRecord) -> Result<Columns, StoreError> {
    Ok(Columns::new()
        .with("deployment_id", gate.deployment_id.as_str())
        .with("deployment_aws_id", gate.deployment_aws_id.as_str())
        .with("kind", gate.kind.word())
        .with("stage", gate.stage.as_str())
        .with("wait", gate.wait.as_str())
        .with("state", gate.state.word())
        .with_json("policy", &gate.policy)?
        .with("opened_at", gate.opened_at)
        .with("expires_at", gate.expires_at)
        .with("wall_at", gate.wall_at)
        .with("closed_at", gate.closed_at)
        .with("evidence_digest", gate.evidence_digest.as_str())
        .with("verdict", gate.verdict.map(Verdict::word))
        .with("delivery", gate.delivery.map(Delivery::word))
        .with("delivery_detail", gate.delivery_detail.as_deref())
        .with("delivery_attempts", gate.delivery_attempts)
        .with("delivery_called_at", gate.delivery_called_at))
}

#[derive(sqlx::FromRow)]
struct GateRow {
    id: String,
    deployment_id: String,
    deployment_aws_id: String,
    kind: String,
    stage: String,
    wait: String,
    state: String,
    policy: String,
    opened_at: i64,
    expires_at: i64,
    wall_at: i64,
    closed_at: Option<i64>,
    evidence_digest: String,
    verdict: Option<String>,
    delivery: Option<String>,
    delivery_detail: Option<String>,
    delivery_attempts: i64,
    delivery_called_at: Option<i64>,
    generation: i64,
}

impl TryFrom<GateRow> for GateRecord {
    type Error = StoreError;

    fn try_from(row: GateRow) -> Result<GateRecord, StoreError> {
        let place = Place {
            table: "gates",
            row: &row.id,
        };
        Ok(GateRecord {
            kind: place.word("kind", &row.kind, GateKind::parse)?,
            state: place.word("state", &row.state, GateState::parse)?,
            policy: place.json("policy", &row.policy)?,
            verdict: place.word_or_none("verdict", row.verdict.as_deref(), Verdict::parse)?,
            delivery: place.word_or_none("delivery", row.delivery.as_deref(), Delivery::parse)?,
            id: GateId::new(row.id),
            deployment_id: DeploymentId::new(row.deployment_id),
            deployment_aws_id: row.deployment_aws_id,
            stage: row.stage,
            wait: row.wait,
            opened_at: Moment::from_millis(row.opened_at),
            expires_at: Moment::from_millis(row.expires_at),
            wall_at: Moment::from_millis(row.wall_at),
            closed_at: row.closed_at.map(Moment::from_millis),
            evidence_digest: Digest::new(row.evidence_digest),
            delivery_detail: row.delivery_detail,
            delivery_attempts: row.delivery_attempts,
            delivery_called_at: row.delivery_called_at.map(Moment::from_millis),
            generation: row.generation,
        })
    }
}

#[derive(sqlx::FromRow)]
struct DecisionRow {
    gate_id: String,
    actor: String,
    verdict: String,
    reason: Option<String>,
    evidence_digest: String,
    evidence: String,
    at: i64,
}

impl TryFrom<DecisionRow> for DecisionRecord {
    type Error = StoreError;

    fn try_from(row: DecisionRow) -> Result<DecisionRecord, StoreError> {
        let key = format!("{}/{}", row.gate_id, row.actor);
        let place = Place {
            table: "decisions",
            row: &key,
        };
        Ok(DecisionRecord {
            verdict: place.word("verdict", &row.verdict, Verdict::parse)?,
            evidence: place.json("evidence", &row.evidence)?,
            gate_id: GateId::new(row.gate_id),
            actor: row.actor,
            reason: row.reason,
            evidence_digest: Digest::new(row.evidence_digest),
            at: Moment::from_millis(row.at),
        })
    }
}
