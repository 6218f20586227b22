//! Who gives out consoles, and the console of one page: refusals become HTTP statuses here.

use crate::step_up::KeptForm;
use async_trait::async_trait;
use leptos_axum::ResponseOptions;
use std::sync::Arc;
use std::time::Duration;
use switchback_contract::*;
use switchback_control::Control;
use switchback_control::EventTaken;
use switchback_control::FunctionAnswer;
use switchback_control::FunctionRun;
use switchback_control::HookMessage;
use switchback_control::LedgerState;
use switchback_domain::actor::Actor;
use switchback_domain::event::EventHint;

/// How the watching of one account and region goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// What everybody may know the account by: its name in the settings, or else its place there, such as `#2`. `None`
    /// for the account of Switchback's own credentials.
    pub account: Option<String>,
    /// The region.
    pub region: String,
    /// When the last look that ended well ended (the account's clock); `None` before the first.
    pub at: Option<Moment>,
    /// How long ago that was, by a clock that only goes forward.
    pub age: Option<Duration>,
    /// What went wrong since: AWS's call and code.
    pub trouble: Option<String>,
    /// The account number, once it is known; not for everybody.
    pub number: Option<String>,
    /// Requests to AWS in an hour, at the pace of the last one; `None` in the first ten minutes.
    pub requests_an_hour: Option<f64>,
    /// Whether the queue of events in this region answers; `None` where none is read.
    pub queue_answers: Option<bool>,
}

/// What became of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookAnswer {
    /// `gate` when it opened one, `waiting` when its deployment has yet to be read from AWS.
    pub state: String,
    /// The gate's identifier.
    pub gate_id: Option<String>,
}

/// What HTTP needs of the work behind it. [`Control`] is it; tests put something smaller in its place.
#[async_trait]
pub trait Consoles: Send + Sync {
    /// The console of one actor; `None` is somebody who is not signed in.
    fn for_actor(&self, actor: Option<Actor>) -> ConsoleHandle;

    /// The account's clock.
    fn clock(&self) -> Moment;

    /// Whether AWS has answered at all, so that the clock is the account's and not this machine's.
    fn hears_aws(&self) -> bool;

    /// Reads something cheap from AWS, so that the clock is as fresh as its answer. That AWS does not
    /// answer is seen in [`Consoles::hears_aws`] and in the looks.
    async fn refresh_clock(&self);

    /// How the watching goes, one entry for each account and region that is watched.
    fn looks(&self) -> Vec<Look>;

    /// How it stands with the ledger; `None` when none is kept.
    fn ledger(&self) -> Option<LedgerState> {
        None
    }

    /// Takes a hook whose signature was checked. Each signature is taken once.
    async fn receive_hook(
        &self,
        deployment_aws_id: String,
        execution_id: String,
        signature: &str,
    ) -> Result<HookAnswer, Refusal>;

    /// Answers a run of the relay as the function of a Lambda hook of ECS. Each signature is taken once.
    async fn receive_function_run(
        &self,
        run: FunctionRun,
        signature: &str,
    ) -> Result<FunctionAnswer, Refusal>;

    /// Takes an event whose signature was checked. Each signature is taken once.
    async fn receive_event(&self, hint: &EventHint, signature: &str)
    -> Result<EventTaken, Refusal>;
}

#[async_trait]
impl Consoles for Control {
    fn for_actor(&self, actor: Option<Actor>) -> ConsoleHandle {
        Control::for_actor(self, actor)
    }

    fn clock(&self) -> Moment {
        Control::clock(self)
    }

    fn hears_aws(&self) -> bool {
        Control::hears_aws(self)
    }

    async fn refresh_clock(&self) {
        Control::refresh_clock(self).await;
    }

    fn looks(&self) -> Vec<Look> {
        let mut roles: Vec<String> = Vec::new();
        self.account_looks()
            .into_iter()
            .map(|look| {
                let account = look.role_arn.map(|role_arn| {
                    let known = roles.iter().position(|role| *role == role_arn);
                    let place = known.unwrap_or_else(|| {
                        roles.push(role_arn);
                        roles.len() - 1
                    });
                    look.name.unwrap_or_else(|| format!("#{}", place + 1))
                });
                Look {
                    account,
                    number: look.account,
                    region: look.region,
                    at: look.at,
                    age: look.age,
                    trouble: look.trouble,
                    requests_an_hour: look.requests_an_hour,
                    queue_answers: look.queue_answers,
                }
            })
            .collect()
    }

    fn ledger(&self) -> Option<LedgerState> {
        self.ledger_state()
    }

    async fn receive_hook(
        &self,
        deployment_aws_id: String,
        execution_id: String,
        signature: &str,
    ) -> Result<HookAnswer, Refusal> {
        let hook = HookMessage {
            deployment_aws_id,
            execution_id,
        };
        let received = Control::receive_hook(self, hook, signature).await?;
        Ok(HookAnswer {
            state: received.state.to_string(),
            gate_id: received.gate,
        })
    }

    async fn receive_function_run(
        &self,
        run: FunctionRun,
        signature: &str,
    ) -> Result<FunctionAnswer, Refusal> {
        Control::receive_function_run(self, run, signature).await
    }

    async fn receive_event(
        &self,
        hint: &EventHint,
        signature: &str,
    ) -> Result<EventTaken, Refusal> {
        Control::receive_event(self, hint, signature).await
    }
}

/// The console of one page or server function. A refusal also sets the status of the response.
pub struct Desk {
    /// Bound to the reader.
    pub console: ConsoleHandle,
    /// The response that is being made.
    pub response: ResponseOptions,
    /// What the reader typed before they had to sign in again.
    pub kept: Option<KeptForm>,
}

impl Desk {
    /// The page with what was typed there.
    fn with_kept(&self, service: &str, mut page: RollbackPage) -> RollbackPage {
        let kept = self.kept.as_ref();
        page.kept_reason = kept
            .filter(|kept| kept.service == service || kept.service == page.service.id)
            .map(|kept| kept.reason.clone());
        page
    }

    fn noted<T>(&self, result: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(refusal) = &result {
            // The sign-in page asks who is signed in and must not fail because nobody is. Every other
            // page and function was guarded before it came here.
            if refusal.kind != RefusalKind::SignInNeeded
                && let Ok(status) = http::StatusCode::from_u16(refusal.kind.status())
            {
                self.response.set_status(status);
            }
        }
        result
    }
}

macro_rules! pass_on {
    ($($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        #[async_trait]
        impl Console for Desk {
            $(async fn $method(&self, $($argument: $type),*) -> Result<$answer, Refusal> {
                self.noted(self.console.$method($($argument),*).await)
            })+

            async fn rollback_page(&self, service: String, target: Option<String>) -> Result<RollbackPage, Refusal> {
                let page = self.noted(self.console.rollback_page(service.clone(), target).await)?;
                Ok(self.with_kept(&service, page))
            }
        }
    };
}

pass_on! {
    me() -> Me;
    now_page() -> NowPage;
    services(filter: ServiceFilter) -> Page<ServiceView>;
    service(service: String) -> ServiceView;
    service_page(service: String) -> ServicePage;
    revisions(service: String) -> Vec<RevisionView>;
    deployments(filter: DeploymentFilter) -> Page<DeploymentView>;
    history_page(filter: DeploymentFilter) -> HistoryPage;
    coverage() -> Vec<RegionCoverage>;
    status_page() -> StatusPage;
    accounts() -> Vec<AccountHealth>;
    services_page(filter: ServiceFilter) -> ServicesPage;
    deployment(id: String) -> DeploymentView;
    deployment_page(id: String) -> DeploymentPage;
    deployment_metrics(id: String) -> Vec<MetricPoint>;
    gates(filter: GateFilter) -> Page<GateView>;
    approvals_page(filter: GateFilter) -> ApprovalsPage;
    open_gate_count() -> i64;
    gate(id: String) -> GateView;
    decide(gate: String, command: DecisionCommand) -> GateView;
    plan_rollback(service: String, target: String) -> PlanView;
    diff_page(service: String, old: Option<String>, new: Option<String>) -> DiffPage;
    roll_back(service: String, command: RollbackCommand) -> OperationView;
    end_bake_page(deployment: String) -> EndBakePage;
    end_bake(deployment: String, command: EndBakeCommand) -> OperationView;
    operation(id: String) -> OperationView;
    audit(filter: AuditFilter) -> AuditPage;
    audit_export(filter: AuditFilter, form: AuditExportForm) -> Box<dyn AuditExport>;
}

/// How the wiring holds the consoles.
pub type ConsolesHandle = Arc<dyn Consoles>;
