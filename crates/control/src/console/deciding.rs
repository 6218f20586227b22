//! Gates as one actor sees them, and their verdict.

use crate::console::Desk;
use crate::console::input::limit;
use crate::console::input::place;
use crate::console::input::reason;
use crate::console::input::text;
use crate::console::input::word;
use crate::error::StepError;
use crate::error::step_refusal;
use crate::error::store_refusal;
use crate::gates;
use crate::views;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use switchback_contract::DecisionCommand;
use switchback_contract::GateFilter;
use switchback_contract::GateView;
use switchback_contract::Page;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_contract::RequestMark;
use switchback_domain::actor::Actor;
use switchback_domain::actor::Verb;
use switchback_domain::gate::GateState;
use switchback_domain::gate::Verdict;
use switchback_domain::ids::GateId;
use switchback_domain::moment::Moment;
use switchback_store::GateQuery;
use switchback_store::GateStates;
use switchback_store::IdempotencyRecord;
use switchback_store::StoreError;
use switchback_store::Tx;
use switchback_store::records::DecisionRecord;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::GateRecord;

/// Nobody approves their own change.
const OWN_DEPLOYMENT: &str =
    "You started this deployment, so you cannot approve it. To undo it, stop it and roll back.";

impl Desk {
    /// What the filter asks of the store; a page holds one gate fewer.
    pub(super) fn gate_query(&self, filter: &GateFilter) -> Result<GateQuery, Refusal> {
        let state = word("state", text(&filter.state), |state| match state {
            "open" => Some(Some(GateStates::Open)),
            "closed" => Some(Some(GateStates::Closed)),
            "all" => Some(None),
            _ => None,
        })?;
        let reader = self.actor.as_ref().filter(|_| filter.may_decide);
        Ok(GateQuery {
            state: state.flatten(),
            undecided_by: reader.map(|actor| actor.name.clone()),
            after: place(text(&filter.cursor))?.map(|(at, id)| (at, GateId::new(id))),
            limit: limit(filter.limit)? + 1,
        })
    }

    /// Whether the reader may decide at none of what is asked for.
    fn may_decide_nothing(&self, query: &GateQuery) -> bool {
        query.undecided_by.is_some() && self.may_not(Verb::Approve).is_some()
    }

    pub(super) async fn page_of_gates(&self, query: &GateQuery) -> Result<Page<GateView>, Refusal> {
        let mut found = if self.may_decide_nothing(query) {
            Vec::new()
        } else {
            self.store().gate_page(query).await.map_err(store_refusal)?
        };
        let more = found.len() as i64 >= query.limit;
        found.truncate((query.limit - 1) as usize);
        let next_cursor = found.last().filter(|_| more).map(|last| {
            let at = match query.state {
                Some(GateStates::Open) => last.expires_at,
                Some(GateStates::Closed) | None => last.opened_at,
            };
            format!("{}.{}", at.millis(), last.id)
        });
        Ok(Page {
            items: self.gate_views(found).await?,
            next_cursor,
            notice: None,
        })
    }

    pub(super) async fn count_of_gates(&self, query: &GateQuery) -> Result<i64, Refusal> {
        if self.may_decide_nothing(query) {
            return Ok(0);
        }
        self.store().gate_count(query).await.map_err(store_refusal)
    }

    pub(super) async fn gate_views(
        &self,
        gates: Vec<GateRecord>,
    ) -> Result<Vec<GateView>, Refusal> {
        if gates.is_empty() {
            return Ok(Vec::new());
        }
        let deployments: BTreeSet<_> = gates.iter().map(|gate| &gate.deployment_id).collect();
        let deployments: Vec<_> = deployments.into_iter().cloned().collect();
        let deployments = self
            .store()
            .deployment_list_of(&deployments)
            .await
            .map_err(store_refusal)?;
        let services: BTreeSet<_> = deployments
            .iter()
            .map(|record| &record.service_id)
            .collect();
        let services: Vec<_> = services.into_iter().cloned().collect();
        let services = self
            .store()
            .service_list_of(&services)
            .await
            .map_err(store_refusal)?;
        let ids: Vec<GateId> = gates.iter().map(|gate| gate.id.clone()).collect();
        let mut decisions: BTreeMap<GateId, Vec<DecisionRecord>> = BTreeMap::new();
        for decision in self
            .store()
            .decision_list_of(&ids)
            .await
            .map_err(store_refusal)?
        {
            decisions
                .entry(decision.gate_id.clone())
                .or_default()
                .push(decision);
        }
        let deployments: BTreeMap<_, _> = deployments
            .iter()
            .map(|record| (&record.id, record))
            .collect();
        let services: BTreeMap<_, _> = services
            .iter()
            .map(|service| (&service.id, service))
            .collect();
        gates
            .iter()
            .map(|gate| {
                let record = deployments
                    .get(&gate.deployment_id)
                    .ok_or_else(|| Refusal::not_found("deployment", gate.deployment_id.as_str()))?;
                let service = services
                    .get(&record.service_id)
                    .ok_or_else(|| Refusal::not_found("service", record.service_id.as_str()))?;
                let decisions = decisions.get(&gate.id).map_or(&[][..], Vec::as_slice);
                let may_not = self.may_not_decide(gate, record, decisions);
                let mut view = views::gate(gate, record, service, decisions, may_not);
                view.deployment = self.deployment_view(record);
                Ok(view)
            })
            .collect()
    }

    pub(super) async fn gate_view(&self, gate: &GateRecord) -> Result<GateView, Refusal> {
        self.gate_views(vec![gate.clone()])
            .await?
            .pop()
            .ok_or_else(|| Refusal::not_found("gate", gate.id.as_str()))
    }

    /// Why the reader may not decide at the gate; `None` when they may, or when nobody can any more.
    fn may_not_decide(
        &self,
        gate: &GateRecord,
        record: &DeploymentRecord,
        decisions: &[DecisionRecord],
    ) -> Option<String> {
        self.may_not(Verb::Approve).or_else(|| {
            let name = &self.actor.as_ref()?.name;
            if gate.state != GateState::Open {
                None
            } else if decisions.iter().any(|decision| &decision.actor == name) {
                Some("You have decided at this gate already.".to_string())
            } else if &record.initiator == name {
                Some(OWN_DEPLOYMENT.to_string())
            } else {
                None
            }
        })
    }

    /// One person's verdict on one gate, committed before AWS hears of it.
    pub(super) async fn decide_at(
        &self,
        gate: String,
        command: DecisionCommand,
    ) -> Result<GateView, Refusal> {
        let actor = self.allow(Verb::Approve)?.clone();
        let reason = reason(command.reason)?;
        if command.verdict == Verdict::Reject && reason.is_none() {
            return Err(Refusal::new(
                RefusalKind::Invalid,
                "reason_missing",
                "A rejection needs its reason. Nothing was decided.",
            ));
        }
        let id = GateId::new(&gate);
        let mut tx = self.store().begin().await.map_err(store_refusal)?;
        let mut record = tx
            .gate_fetch(&id)
            .await
            .map_err(store_refusal)?
            .ok_or_else(|| Refusal::not_found("gate", &gate))?;
        if record.state != GateState::Open {
            return Err(gate_closed());
        }
        let deployment = tx
            .deployment_fetch(&record.deployment_id)
            .await
            .map_err(store_refusal)?
            .ok_or_else(|| Refusal::not_found("deployment", record.deployment_id.as_str()))?;
        if command.verdict == Verdict::Approve && deployment.initiator == actor.name {
            return Err(Refusal::new(
                RefusalKind::Forbidden,
                "own_deployment",
                OWN_DEPLOYMENT,
            ));
        }
        let now = self.now();
        let heard = self
            .control
            .cloud_of(&deployment.account, &deployment.region);
        if heard.is_some() && now >= record.expires_at {
            return Err(gate_closed());
        }
        let decision = self
            .decision(&actor, &record, &deployment, command.verdict, reason, now)
            .await?;
        if decision.evidence_digest.as_str() != command.evidence_digest {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "evidence_changed",
                "What this decision is about has changed since the page was shown (weights, alarms or revisions). Nothing was decided. Review again.",
            ));
        }
        let decisions = self
            .store()
            .decision_list(&id)
            .await
            .map_err(store_refusal)?;
        if decisions.iter().any(|earlier| earlier.actor == actor.name) {
            return Err(decided_already());
        }
        let approvals = decisions
            .iter()
            .filter(|earlier| earlier.verdict == Verdict::Approve)
            .count() as u32;
        mark_request(&mut tx, &actor, command.request.as_ref(), id.as_str(), now).await?;
        gates::record_decision(
            &mut tx,
            &actor,
            &mut record,
            &deployment,
            decision,
            approvals,
        )
        .await
        .map_err(|error| match error {
            StepError::Store(StoreError::Conflict { .. }) => decided_already(),
            other => step_refusal(other),
        })?;
        tx.commit().await.map_err(store_refusal)?;
        self.control.inner.wake_acts.notify_one();
        self.gate_view(&record).await.map_err(|refusal| {
            Refusal::new(
                RefusalKind::Unavailable,
                "decided_unread",
                format!(
                    "The decision is recorded, but it could not be read again ({}). Do not repeat it; load the page again.",
                    refusal.code
                ),
            )
        })
    }
}

pub(super) fn gate_closed() -> Refusal {
    Refusal::new(
        RefusalKind::Conflict,
        "gate_closed",
        "This gate is no longer open. Nothing was decided.",
    )
}

/// Commits the request's Idempotency-Key with its effect: `subject` is what the answer is made from if it is never kept.
pub(super) async fn mark_request(
    tx: &mut Tx,
    actor: &Actor,
    request: Option<&RequestMark>,
    subject: &str,
    now: Moment,
) -> Result<(), Refusal> {
    let Some(request) = request else {
        return Ok(());
    };
    let fresh = tx
        .idempotency_insert(
            &actor.name,
            &request.key,
            &request.route,
            &request.body_sha256,
            IdempotencyRecord::UNANSWERED,
            subject,
            now,
        )
        .await
        .map_err(store_refusal)?;
    if fresh {
        return Ok(());
    }
    // Another process answers the same request at this moment.
    Err(Refusal::new(
        RefusalKind::Unavailable,
        "request_in_progress",
        "A request with this Idempotency-Key is being answered. Nothing was done a second time. Send it again for its answer.",
    ))
}

fn decided_already() -> Refusal {
    Refusal::new(
        RefusalKind::Conflict,
        "decided_already",
        "You have decided at this gate already. Nothing was changed.",
    )
}
