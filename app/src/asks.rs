//! What pages ask: one question, one call of the console.
//!
//! Every function is a read, so it is a GET; acts are plain forms that the server takes. The console
//! in context is already bound to the reader, which is why nothing here checks a permission.
//! Paths in bodies are written out in full: for WASM the bodies do not exist, and an import that only
//! they use would be unused there.
#![expect(
    missing_docs,
    reason = "the server macro makes a struct of the arguments that it does not document"
)]

use crate::error::AppError;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use switchback_contract::ApiReference;
use switchback_contract::ApprovalsPage;
use switchback_contract::AuditFilter;
use switchback_contract::AuditPage;
use switchback_contract::DeploymentFilter;
use switchback_contract::DeploymentPage;
use switchback_contract::DiffPage;
use switchback_contract::EndBakePage;
use switchback_contract::GateFilter;
use switchback_contract::GateView;
use switchback_contract::GuideView;
use switchback_contract::HistoryPage;
use switchback_contract::Me;
use switchback_contract::NowPage;
use switchback_contract::RollbackPage;
use switchback_contract::ServiceFilter;
use switchback_contract::ServicePage;
use switchback_contract::ServicesPage;
use switchback_contract::SessionsPage;
use switchback_contract::SignInAgain;
use switchback_contract::SignInView;
use switchback_contract::StatusPage;
use switchback_contract::WaysIn;

/// Who is signed in.
#[server(name = AskMe, prefix = "/ask", endpoint = "me", input = GetUrl)]
pub async fn me() -> Result<Me, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .me()
        .await?)
}

/// How many gates are open.
#[server(name = AskOpenGateCount, prefix = "/ask", endpoint = "open-gate-count", input = GetUrl)]
pub async fn open_gate_count() -> Result<i64, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .open_gate_count()
        .await?)
}

/// What stands beside the pages to be tried out, where there is a demo.
#[server(name = AskGuide, prefix = "/ask", endpoint = "guide", input = GetUrl)]
pub async fn guide() -> Result<Option<GuideView>, AppError> {
    Ok(expect_context::<switchback_contract::GuideHandle>()
        .guide()
        .await?)
}

/// How the reader is signed in.
#[server(name = AskSignIn, prefix = "/ask", endpoint = "sign-in", input = GetUrl)]
pub async fn sign_in() -> Result<SignInView, AppError> {
    Ok(expect_context::<switchback_contract::SignInHandle>()
        .sign_in()
        .await?)
}

/// The ways in. The sign-in page asks it on the server, where nobody need be signed in.
#[server(name = AskWaysIn, prefix = "/ask", endpoint = "ways-in", input = GetUrl)]
pub async fn ways_in() -> Result<WaysIn, AppError> {
    Ok(expect_context::<switchback_contract::SignInHandle>()
        .ways_in()
        .await?)
}

/// How the reader proves again who they are.
#[server(name = AskSignInAgain, prefix = "/ask", endpoint = "sign-in-again", input = GetUrl)]
pub async fn sign_in_again() -> Result<SignInAgain, AppError> {
    Ok(expect_context::<switchback_contract::SignInHandle>()
        .sign_in_again()
        .await?)
}

/// The page of one's own sessions.
#[server(name = AskSessions, prefix = "/ask", endpoint = "sessions", input = GetUrl)]
pub async fn sessions() -> Result<SessionsPage, AppError> {
    Ok(expect_context::<switchback_contract::SignInHandle>()
        .sessions()
        .await?)
}

/// The page Now.
#[server(name = AskNowPage, prefix = "/ask", endpoint = "now-page", input = GetUrl)]
pub async fn now_page() -> Result<NowPage, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .now_page()
        .await?)
}

/// The page Services.
#[server(name = AskServicesPage, prefix = "/ask", endpoint = "services-page", input = GetUrl)]
pub async fn services_page(filter: ServiceFilter) -> Result<ServicesPage, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .services_page(filter)
        .await?)
}

/// The page of one service.
#[server(name = AskServicePage, prefix = "/ask", endpoint = "service-page", input = GetUrl)]
pub async fn service_page(service: String) -> Result<ServicePage, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .service_page(service)
        .await?)
}

/// The page on which CodeDeploy's bake is ended early.
#[server(name = AskEndBakePage, prefix = "/ask", endpoint = "end-bake-page", input = GetUrl)]
pub async fn end_bake_page(deployment: String) -> Result<EndBakePage, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .end_bake_page(deployment)
        .await?)
}

/// The page on which a rollback is chosen, read and asked for.
#[server(name = AskRollbackPage, prefix = "/ask", endpoint = "rollback-page", input = GetUrl)]
pub async fn rollback_page(
    service: String,
    target: Option<String>,
) -> Result<RollbackPage, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .rollback_page(service, target)
        .await?)
}

/// The page that compares two recorded revisions of a service.
#[server(name = AskDiffPage, prefix = "/ask", endpoint = "diff-page", input = GetUrl)]
pub async fn diff_page(
    service: String,
    old: Option<String>,
    new: Option<String>,
) -> Result<DiffPage, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .diff_page(service, old, new)
        .await?)
}

/// The page of one deployment.
#[server(name = AskDeploymentPage, prefix = "/ask", endpoint = "deployment-page", input = GetUrl)]
pub async fn deployment_page(id: String) -> Result<DeploymentPage, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .deployment_page(id)
        .await?)
}

/// One gate.
#[server(name = AskGate, prefix = "/ask", endpoint = "gate", input = GetUrl)]
pub async fn gate(id: String) -> Result<GateView, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .gate(id)
        .await?)
}

/// The page Approvals.
#[server(name = AskApprovalsPage, prefix = "/ask", endpoint = "approvals-page", input = GetUrl)]
pub async fn approvals_page(filter: GateFilter) -> Result<ApprovalsPage, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .approvals_page(filter)
        .await?)
}

/// The page History.
#[server(name = AskHistoryPage, prefix = "/ask", endpoint = "history-page", input = GetUrl)]
pub async fn history_page(filter: DeploymentFilter) -> Result<HistoryPage, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .history_page(filter)
        .await?)
}

/// The page Status.
#[server(name = AskStatusPage, prefix = "/ask", endpoint = "status-page", input = GetUrl)]
pub async fn status_page() -> Result<StatusPage, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .status_page()
        .await?)
}

/// The reference of the HTTP API.
#[server(name = AskApiReference, prefix = "/ask", endpoint = "api-reference", input = GetUrl)]
pub async fn api_reference() -> Result<ApiReference, AppError> {
    Ok(ApiReference::clone(&expect_context::<
        switchback_contract::ReferenceHandle,
    >()))
}

/// The audit log, newest first.
#[server(name = AskAudit, prefix = "/ask", endpoint = "audit", input = GetUrl)]
pub async fn audit(filter: AuditFilter) -> Result<AuditPage, AppError> {
    Ok(expect_context::<switchback_contract::ConsoleHandle>()
        .audit(filter)
        .await?)
}
