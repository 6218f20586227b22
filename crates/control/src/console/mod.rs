//! What one actor may see and ask. The only place where the actor's verbs are checked.

mod auditing;
mod bake;
mod coverage;
mod deciding;
mod exporting;
mod input;
mod now;
mod path;
mod rollback;
mod services;
mod status;

use crate::Control;
use crate::console::input::cursor;
use crate::console::input::invalid;
use crate::console::input::limit;
use crate::console::input::moment;
use crate::console::input::reason;
use crate::console::input::text;
use crate::console::input::word;
use crate::console::services::service_query;
use crate::error::store_refusal;
use crate::views;
use crate::views::RevisionFacts;
use async_trait::async_trait;
use switchback_contract::AccountHealth;
use switchback_contract::ApprovalsPage;
use switchback_contract::AuditExport;
use switchback_contract::AuditExportForm;
use switchback_contract::AuditFilter;
use switchback_contract::AuditPage;
use switchback_contract::Console;
use switchback_contract::DecisionCommand;
use switchback_contract::DeploymentFilter;
use switchback_contract::DeploymentPage;
use switchback_contract::DeploymentView;
use switchback_contract::DiffPage;
use switchback_contract::EndBakeCommand;
use switchback_contract::EndBakePage;
use switchback_contract::GateFilter;
use switchback_contract::GateView;
use switchback_contract::HistoryPage;
use switchback_contract::Me;
use switchback_contract::NowPage;
use switchback_contract::OperationView;
use switchback_contract::Page;
use switchback_contract::PlanView;
use switchback_contract::Proof;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_contract::RegionCoverage;
use switchback_contract::RevisionView;
use switchback_contract::RollbackCommand;
use switchback_contract::RollbackPage;
use switchback_contract::ServiceFilter;
use switchback_contract::ServicePage;
use switchback_contract::ServiceView;
use switchback_contract::ServicesPage;
use switchback_contract::StatusPage;
use switchback_domain::actor::Actor;
use switchback_domain::actor::Verb;
use switchback_domain::appspec;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::Phase;
use switchback_domain::diff;
use switchback_domain::diff::Difference;
use switchback_domain::ids::GateId;
use switchback_domain::ids::OperationId;
use switchback_domain::metrics::MetricPoint;
use switchback_domain::moment::Moment;
use switchback_domain::plan;
use switchback_domain::revision::RevisionArn;
use switchback_domain::service::Service;
use switchback_store::DeploymentQuery;
use switchback_store::GateQuery;
use switchback_store::GateStates;
use switchback_store::SHORTEST_SEARCH;
use switchback_store::SearchState;
use switchback_store::records::DeploymentRecord;

/// How many deployments of a service are looked at to judge its revisions.
const HISTORY_LOOKED_AT: i64 = 200;

/// The console of one actor.
pub(crate) struct Desk {
    control: Control,
    actor: Option<Actor>,
}

impl Desk {
    pub(crate) fn new(control: Control, actor: Option<Actor>) -> Desk {
        Desk { control, actor }
    }

    /// The actor, if they may do this. Every method of the console begins with this call.
    fn allow(&self, verb: Verb) -> Result<&Actor, Refusal> {
        let actor = self.actor.as_ref().ok_or_else(|| {
            Refusal::new(
                RefusalKind::SignInNeeded,
                "sign_in_needed",
                "Sign in first.",
            )
        })?;
        if actor.may(verb) {
            Ok(actor)
        } else {
            Err(Refusal::new(
                RefusalKind::Forbidden,
                "forbidden",
                format!(
                    "{} may not {}. Ask an administrator for a role that may.",
                    actor.name,
                    verb.words()
                ),
            ))
        }
    }

    fn may_not(&self, verb: Verb) -> Option<String> {
        self.allow(verb).err().map(|refusal| refusal.message)
    }

    fn store(&self) -> &switchback_store::Store {
        &self.control.inner.store
    }

    fn now(&self) -> Moment {
        self.control.clock()
    }

    async fn find_service(&self, text: &str) -> Result<Service, Refusal> {
        self.find_service_in(text, None).await
    }

    /// The same among the services of one account.
    async fn find_service_in(&self, text: &str, account: Option<&str>) -> Result<Service, Refusal> {
        let mut found = self
            .store()
            .service_find(text)
            .await
            .map_err(store_refusal)?;
        found.retain(|service| account.is_none_or(|account| service.account == account));
        match found.len() {
            0 => Err(Refusal::not_found("service", text)),
            1 => Ok(found.remove(0)),
            many => Err(Refusal::new(
                RefusalKind::Conflict,
                "service_ambiguous",
                format!("{many} services are called {text}. Use the ARN or the identifier."),
            )),
        }
    }

    async fn find_deployment(&self, id: &str) -> Result<DeploymentRecord, Refusal> {
        self.store()
            .deployment_find(id)
            .await
            .map_err(store_refusal)?
            .ok_or_else(|| Refusal::not_found("deployment", id))
    }

    async fn history(&self, service: &Service) -> Result<Vec<DeploymentRecord>, Refusal> {
        let query = DeploymentQuery {
            service: Some(service.id.clone()),
            limit: HISTORY_LOOKED_AT,
            ..DeploymentQuery::default()
        };
        self.store()
            .deployment_list(&query)
            .await
            .map_err(store_refusal)
    }

    async fn revision_views(
        &self,
        service: &Service,
        history: &[DeploymentRecord],
    ) -> Result<Vec<RevisionView>, Refusal> {
        let served = self
            .store()
            .served_list(&service.id)
            .await
            .map_err(store_refusal)?;
        let facts = RevisionFacts {
            service,
            served: &served,
            deployments: history,
        };
        let revisions = self
            .store()
            .revision_list(&service.id)
            .await
            .map_err(store_refusal)?;
        Ok(revisions
            .iter()
            .map(|revision| views::revision(revision, &facts))
            .collect())
    }

    async fn service_view(&self, service: &Service) -> Result<ServiceView, Refusal> {
        let history = self.history(service).await?;
        let revisions = self.revision_views(service, &history).await?;
        Ok(self.named_service(service_view(service, &history, &revisions)))
    }

    /// What changes between two recorded revisions, masked if the reader may not see environment values.
    async fn difference(
        &self,
        old: Option<&RevisionArn>,
        new: Option<&RevisionArn>,
    ) -> Result<Option<Difference>, Refusal> {
        let (Some(old), Some(new)) = (old, new) else {
            return Ok(None);
        };
        let fetch = async |arn: &RevisionArn| {
            self.store()
                .revision_fetch(arn)
                .await
                .map_err(store_refusal)
        };
        let (Some(old), Some(new)) = (fetch(old).await?, fetch(new).await?) else {
            return Ok(None);
        };
        let difference = diff::difference(&old.task_definition, &new.task_definition);
        let masked = difference.clone().masked();
        if masked == difference || self.may_not(Verb::ViewEnvironment).is_some() {
            return Ok(Some(masked));
        }
        self.values_were_read(&difference, &old, &new).await?;
        Ok(Some(difference))
    }
}

#[async_trait]
impl Console for Desk {
    async fn me(&self) -> Result<Me, Refusal> {
        let actor = self.allow(Verb::View)?;
        Ok(Me {
            name: actor.name.clone(),
            roles: actor.roles.clone(),
            verbs: Verb::ALL
                .into_iter()
                .filter(|verb| actor.may(*verb))
                .collect(),
        })
    }

    async fn now_page(&self) -> Result<NowPage, Refusal> {
        self.allow(Verb::View)?;
        self.page_now().await
    }

    async fn services(&self, filter: ServiceFilter) -> Result<Page<ServiceView>, Refusal> {
        self.allow(Verb::View)?;
        self.page_of_services(&service_query(&filter)?).await
    }

    async fn service(&self, service: String) -> Result<ServiceView, Refusal> {
        self.allow(Verb::View)?;
        let service = self.find_service(&service).await?;
        self.service_view(&service).await
    }

    async fn service_page(&self, service: String) -> Result<ServicePage, Refusal> {
        self.allow(Verb::View)?;
        let service = self.find_service(&service).await?;
        let history = self.history(&service).await?;
        let revisions = self.revision_views(&service, &history).await?;
        Ok(ServicePage {
            now: self.now(),
            service: self.named_service(service_view(&service, &history, &revisions)),
            deployments: history
                .iter()
                .take(20)
                .map(|record| self.deployment_view(record))
                .collect(),
            revisions,
            may_roll_back: self.may_not(Verb::RollBack).is_none(),
        })
    }

    async fn revisions(&self, service: String) -> Result<Vec<RevisionView>, Refusal> {
        self.allow(Verb::View)?;
        let service = self.find_service(&service).await?;
        let history = self.history(&service).await?;
        self.revision_views(&service, &history).await
    }

    async fn deployments(&self, filter: DeploymentFilter) -> Result<Page<DeploymentView>, Refusal> {
        self.allow(Verb::View)?;
        let limit = limit(filter.limit)?;
        let searched = text(&filter.q);
        if let Some(searched) = &searched
            && searched.chars().count() < SHORTEST_SEARCH
        {
            return Err(invalid(
                "q",
                searched,
                &format!("at least {SHORTEST_SEARCH} characters of what is searched for"),
            ));
        }
        let notice = searched.and_then(|_| search_notice(&self.store().search_state()));
        let service = match text(&filter.service) {
            None => None,
            Some(service) => match self
                .find_service_in(&service, text(&filter.account).as_deref())
                .await
            {
                Ok(service) => Some(service.id),
                Err(refusal) if refusal.kind == RefusalKind::NotFound => {
                    return Ok(Page {
                        items: Vec::new(),
                        next_cursor: None,
                        notice: None,
                    });
                }
                Err(refusal) => return Err(refusal),
            },
        };
        let query = DeploymentQuery {
            service,
            account: text(&filter.account),
            outcome: word("outcome", text(&filter.outcome), Outcome::parse)?,
            phase: word("phase", text(&filter.phase), Phase::parse)?,
            actor: text(&filter.actor),
            q: text(&filter.q),
            from: moment("from", text(&filter.from))?,
            to: moment("to", text(&filter.to))?,
            before: cursor(text(&filter.cursor))?,
            limit: limit + 1,
        };
        let mut found = self
            .store()
            .deployment_list(&query)
            .await
            .map_err(store_refusal)?;
        let more = found.len() as i64 > limit;
        found.truncate(limit as usize);
        let next_cursor = found
            .last()
            .filter(|_| more)
            .map(|last| format!("{}.{}", last.started_at.millis(), last.id));
        Ok(Page {
            items: found
                .iter()
                .map(|record| self.deployment_view(record))
                .collect(),
            next_cursor,
            notice,
        })
    }

    async fn history_page(&self, filter: DeploymentFilter) -> Result<HistoryPage, Refusal> {
        self.allow(Verb::View)?;
        let page = self.deployments(filter.clone()).await?;
        Ok(HistoryPage {
            gaps: self.gaps_among(&filter, &page).await?,
            regions: self.region_coverage().await?,
            accounts: self.account_names(),
            page,
        })
    }

    async fn coverage(&self) -> Result<Vec<RegionCoverage>, Refusal> {
        self.allow(Verb::View)?;
        self.region_coverage().await
    }

    async fn status_page(&self) -> Result<StatusPage, Refusal> {
        self.allow(Verb::View)?;
        self.status().await
    }

    async fn accounts(&self) -> Result<Vec<AccountHealth>, Refusal> {
        self.allow(Verb::View)?;
        Ok(self.control.account_health())
    }

    async fn services_page(&self, filter: ServiceFilter) -> Result<ServicesPage, Refusal> {
        self.allow(Verb::View)?;
        let query = service_query(&filter)?;
        Ok(ServicesPage {
            page: self.page_of_services(&query).await?,
            total: self
                .store()
                .service_count(&query)
                .await
                .map_err(store_refusal)?,
            regions: self.region_coverage().await?,
            accounts: self.account_names(),
        })
    }

    async fn deployment(&self, id: String) -> Result<DeploymentView, Refusal> {
        self.allow(Verb::View)?;
        Ok(self.deployment_view(&self.find_deployment(&id).await?))
    }

    async fn deployment_page(&self, id: String) -> Result<DeploymentPage, Refusal> {
        self.allow(Verb::View)?;
        let record = self.find_deployment(&id).await?;
        let lines = self
            .store()
            .timeline_list(&record.id)
            .await
            .map_err(store_refusal)?;
        let gates = self
            .store()
            .gate_list_by_deployment(&record.id)
            .await
            .map_err(store_refusal)?;
        let operations = self
            .store()
            .operation_list_by_deployment(&record.id)
            .await
            .map_err(store_refusal)?;
        let looked = self
            .control
            .account_looks()
            .into_iter()
            .find(|look| {
                look.account.as_ref() == Some(&record.account) && look.region == record.region
            })
            .and_then(|look| look.at);
        let spec = record
            .app_spec
            .as_deref()
            .and_then(|text| appspec::parse(text).ok());
        let mut timeline: Vec<_> = lines.iter().cloned().map(views::timeline).collect();
        timeline.reverse();
        let weights = views::weights(&record, &lines);
        let hooks = spec.map(|spec| spec.hooks).unwrap_or_default();
        let service = self
            .store()
            .service_fetch(&record.service_id)
            .await
            .map_err(store_refusal)?;
        let (path, planned_weights) = service
            .map(|service| path::path_of(&record, &service, &hooks, &weights))
            .unwrap_or_default();
        Ok(DeploymentPage {
            deployment: self.deployment_view(&record),
            now: self.now(),
            stages: record.reading.stages.clone(),
            weights,
            planned_weights,
            path,
            points: self
                .store()
                .metric_list(&record.id)
                .await
                .map_err(store_refusal)?,
            alarms: views::alarms(&record, &lines),
            gates: self.gate_views(gates).await?,
            difference: self
                .difference(
                    record.previous_revision.as_ref(),
                    record.target_revision.as_ref(),
                )
                .await?,
            timeline,
            operations: operations.iter().map(views::operation).collect(),
            ecs: views::ecs(&record),
            app_spec: record.app_spec.clone(),
            hooks,
            may_roll_back: self.may_not(Verb::RollBack).is_none(),
            may_end_bake: bake::bakes(&record) && self.may_not(Verb::Approve).is_none(),
            observed_at: looked.map_or(record.observed_at, |at| at.max(record.observed_at)),
        })
    }

    async fn deployment_metrics(&self, id: String) -> Result<Vec<MetricPoint>, Refusal> {
        self.allow(Verb::View)?;
        let record = self.find_deployment(&id).await?;
        self.store()
            .metric_list(&record.id)
            .await
            .map_err(store_refusal)
    }

    async fn gates(&self, filter: GateFilter) -> Result<Page<GateView>, Refusal> {
        self.allow(Verb::View)?;
        self.page_of_gates(&self.gate_query(&filter)?).await
    }

    async fn approvals_page(&self, filter: GateFilter) -> Result<ApprovalsPage, Refusal> {
        self.allow(Verb::View)?;
        let query = self.gate_query(&filter)?;
        let is_counted = query.state == Some(GateStates::Open);
        Ok(ApprovalsPage {
            now: self.now(),
            page: self.page_of_gates(&query).await?,
            total: if is_counted {
                Some(self.count_of_gates(&query).await?)
            } else {
                None
            },
        })
    }

    async fn open_gate_count(&self) -> Result<i64, Refusal> {
        self.allow(Verb::View)?;
        let query = GateQuery {
            state: Some(GateStates::Open),
            ..GateQuery::default()
        };
        self.count_of_gates(&query).await
    }

    async fn gate(&self, id: String) -> Result<GateView, Refusal> {
        self.allow(Verb::View)?;
        let gate = self
            .store()
            .gate_fetch(&GateId::new(&id))
            .await
            .map_err(store_refusal)?
            .ok_or_else(|| Refusal::not_found("gate", &id))?;
        self.gate_view(&gate).await
    }

    async fn decide(&self, gate: String, command: DecisionCommand) -> Result<GateView, Refusal> {
        self.decide_at(gate, command).await
    }

    async fn plan_rollback(&self, service: String, target: String) -> Result<PlanView, Refusal> {
        self.allow(Verb::View)?;
        let service = self.find_service(&service).await?;
        let history = self.history(&service).await?;
        let target = self.target(&service, &history, &target).await?;
        let (plan, facts) = self.make_plan(&service, &history, &target).await?;
        self.plan_view(&plan, &facts).await
    }

    async fn diff_page(
        &self,
        service: String,
        old: Option<String>,
        new: Option<String>,
    ) -> Result<DiffPage, Refusal> {
        self.allow(Verb::View)?;
        let service = self.find_service(&service).await?;
        let history = self.history(&service).await?;
        let revisions = self.revision_views(&service, &history).await?;
        let side = async |text: Option<String>| match text.filter(|text| !text.is_empty()) {
            Some(text) => self.target(&service, &history, &text).await.map(Some),
            None => Ok(None),
        };
        let new = side(new)
            .await?
            .or_else(|| service.serving_revision.clone());
        let old = match side(old).await? {
            Some(old) => Some(old),
            // That nothing is recorded before is no refusal: there is one side less to show.
            None => self.target(&service, &history, "previous").await.ok(),
        };
        let of_this_service = |arn: &RevisionArn| {
            revisions
                .iter()
                .any(|revision| revision.arn == arn.to_string())
        };
        for arn in old.iter().chain(&new) {
            if !of_this_service(arn) {
                return Err(Refusal::new(
                    RefusalKind::Invalid,
                    "target_unknown",
                    format!(
                        "{} is not a recorded revision of {}. Choose two of those listed on its page.",
                        arn.short(),
                        service.name
                    ),
                ));
            }
        }
        Ok(DiffPage {
            now: self.now(),
            service: self.named_service(service_view(&service, &history, &revisions)),
            difference: self.difference(old.as_ref(), new.as_ref()).await?,
            revisions,
            old: old.map(|arn| arn.to_string()),
            new: new.map(|arn| arn.to_string()),
        })
    }

    async fn rollback_page(
        &self,
        service: String,
        target: Option<String>,
    ) -> Result<RollbackPage, Refusal> {
        self.allow(Verb::View)?;
        let service = self.find_service(&service).await?;
        let history = self.history(&service).await?;
        let revisions = self.revision_views(&service, &history).await?;
        let (mut plan, mut plan_refused) = (None, None);
        if let Some(target) = target.filter(|target| !target.is_empty()) {
            let made = async {
                let target = self.target(&service, &history, &target).await?;
                let (made, facts) = self.make_plan(&service, &history, &target).await?;
                self.plan_view(&made, &facts).await
            };
            match made.await {
                Ok(made) => plan = Some(made),
                Err(refusal) => plan_refused = Some(refusal),
            }
        }
        Ok(RollbackPage {
            now: self.now(),
            service: self.named_service(service_view(&service, &history, &revisions)),
            revisions,
            plan,
            plan_refused,
            may_not: self.may_not(Verb::RollBack),
            kept_reason: None,
        })
    }

    async fn roll_back(
        &self,
        service: String,
        command: RollbackCommand,
    ) -> Result<OperationView, Refusal> {
        let actor = self.allow(Verb::RollBack)?.clone();
        let Some(reason) = reason(Some(command.reason))? else {
            return Err(Refusal::new(
                RefusalKind::Invalid,
                "reason_missing",
                "A rollback needs its reason. Nothing was changed.",
            ));
        };
        let service = self.find_service(&service).await?;
        let history = self.history(&service).await?;
        let target = self.target(&service, &history, &command.target).await?;
        let (plan, facts) = self.make_plan(&service, &history, &target).await?;
        if plan.digest.as_str() != command.plan_digest {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "plan_changed",
                "The facts behind the plan have changed since it was read. Nothing was changed. Read the plan again.",
            ));
        }
        if let Some(blocking) = plan
            .preflight
            .iter()
            .find(|check| check.result == plan::PreflightResult::Blocking)
        {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "plan_blocked",
                format!(
                    "{}: {} Nothing was changed.",
                    blocking.check, blocking.detail
                ),
            ));
        }
        let record = self
            .commit_rollback(
                &actor,
                &service,
                &plan,
                &facts,
                &reason,
                command.request.as_ref(),
            )
            .await?;
        Ok(views::operation(&record))
    }

    async fn end_bake_page(&self, deployment: String) -> Result<EndBakePage, Refusal> {
        self.allow(Verb::View)?;
        let record = self.find_deployment(&deployment).await?;
        let service = self.service_of(&record).await?;
        let plan = bake::bake_plan(&record, &service);
        Ok(EndBakePage {
            deployment: self.deployment_view(&record),
            now: self.now(),
            plan: plan.map(|plan| self.bake_plan_view(&plan)),
            may_not: self.may_not(Verb::Approve),
        })
    }

    async fn end_bake(
        &self,
        deployment: String,
        command: EndBakeCommand,
    ) -> Result<OperationView, Refusal> {
        let actor = self.allow(Verb::Approve)?.clone();
        let Some(reason) = reason(Some(command.reason.clone()))? else {
            return Err(Refusal::new(
                RefusalKind::Invalid,
                "reason_missing",
                "The end of a bake needs its reason. Nothing was changed.",
            ));
        };
        let record = self.find_deployment(&deployment).await?;
        let operation = self
            .commit_end_of_bake(&actor, &record, command, reason)
            .await?;
        Ok(views::operation(&operation))
    }

    async fn operation(&self, id: String) -> Result<OperationView, Refusal> {
        self.allow(Verb::View)?;
        let record = self
            .store()
            .operation_fetch(&OperationId::new(&id))
            .await
            .map_err(store_refusal)?;
        record
            .as_ref()
            .map(views::operation)
            .ok_or_else(|| Refusal::not_found("operation", &id))
    }

    async fn audit(&self, filter: AuditFilter) -> Result<AuditPage, Refusal> {
        self.allow(Verb::View)?;
        self.audit_page(filter).await
    }

    async fn audit_export(
        &self,
        filter: AuditFilter,
        form: AuditExportForm,
    ) -> Result<Box<dyn AuditExport>, Refusal> {
        self.allow(Verb::View)?;
        self.begin_export(filter, form).await
    }
}

fn service_view(
    service: &Service,
    history: &[DeploymentRecord],
    revisions: &[RevisionView],
) -> ServiceView {
    let active = history
        .iter()
        .find(|record| record.standing.outcome == Outcome::InProgress);
    let last = history
        .iter()
        .find(|record| record.standing.outcome.is_final());
    let known_good = revisions
        .iter()
        .filter(|revision| revision.proof == Proof::KnownGood)
        .count() as i64;
    views::service(service, active, last, known_good)
}

/// What is said beside the answer of a search that had no text index.
fn search_notice(state: &SearchState) -> Option<String> {
    match state {
        SearchState::Built => None,
        SearchState::Building { percent } => {
            let how_far = percent.map_or(String::new(), |percent| format!(" ({percent} %)"));
            Some(format!(
                "The index for text is being built{how_far}. Until it is, every deployment is looked through, which takes longer."
            ))
        }
        SearchState::Impossible { reason } => Some(format!(
            "The database has no index for text, so every deployment was looked through. It said: {reason}. Create the extension pg_trgm and start Switchback again."
        )),
    }
}

fn operation_in_progress() -> Refusal {
    Refusal::new(
        RefusalKind::Conflict,
        "operation_in_progress",
        "A rollback of this service was asked for already and AWS has not answered. Watch it instead of repeating it.",
    )
}
