//! What is recorded of each account and region, and when nobody looked.

use crate::console::Desk;
use crate::console::input::cursor;
use crate::error::store_refusal;
use crate::views;
use std::collections::BTreeMap;
use switchback_contract::AccountNames;
use switchback_contract::DeploymentFilter;
use switchback_contract::DeploymentView;
use switchback_contract::GapView;
use switchback_contract::ImportView;
use switchback_contract::Page;
use switchback_contract::Refusal;
use switchback_contract::RegionCoverage;
use switchback_contract::ServiceView;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::GapRecord;
use switchback_store::records::ImportRecord;

/// How many gaps are told of each account and region, and on a page.
const GAPS_TOLD: i64 = 100;

impl Desk {
    /// The accounts that are watched, by number and name.
    pub(super) fn account_names(&self) -> AccountNames {
        AccountNames::of(&self.control.account_health())
    }

    /// A deployment with the name of its account, where several are watched.
    pub(super) fn deployment_view(&self, record: &DeploymentRecord) -> DeploymentView {
        self.named_deployment(views::deployment(record))
    }

    fn named_deployment(&self, mut view: DeploymentView) -> DeploymentView {
        view.account_name = self
            .account_names()
            .shown(&view.account)
            .map(str::to_string);
        view
    }

    /// A service, and the deployments in it, with the name of its account, where several are watched.
    pub(super) fn named_service(&self, mut view: ServiceView) -> ServiceView {
        view.account_name = self
            .account_names()
            .shown(&view.account)
            .map(str::to_string);
        view.active_deployment = view
            .active_deployment
            .map(|view| self.named_deployment(view));
        view.last_deployment = view.last_deployment.map(|view| self.named_deployment(view));
        view
    }

    pub(super) async fn region_coverage(&self) -> Result<Vec<RegionCoverage>, Refusal> {
        let store = self.store();
        let watches = store.watch_list().await.map_err(store_refusal)?;
        let imports = store.import_list().await.map_err(store_refusal)?;
        let mut gaps: BTreeMap<(String, String), Vec<GapView>> = BTreeMap::new();
        let limit = GAPS_TOLD * i64::try_from(watches.len()).unwrap_or(1);
        let told = store
            .gap_list(None, None, limit)
            .await
            .map_err(store_refusal)?;
        for gap in told.into_iter().map(gap_view) {
            let of_region = gaps
                .entry((gap.account.clone(), gap.region.clone()))
                .or_default();
            if (of_region.len() as i64) < GAPS_TOLD {
                of_region.push(gap);
            }
        }
        let mut regions = Vec::new();
        for watch in watches {
            let first = store
                .deployment_first(&watch.account, &watch.region)
                .await
                .map_err(store_refusal)?;
            let import = imports
                .iter()
                .find(|import| import.account == watch.account && import.region == watch.region);
            let (begins_with, begins_at) = first.unzip();
            regions.push(RegionCoverage {
                record_begins_at: begins_at,
                record_begins_with: begins_with.map(|id| id.to_string()),
                watched_since: watch.watched_since,
                good_look_at: watch.good_look_at,
                import: import.map(import_view),
                gaps: gaps
                    .remove(&(watch.account.clone(), watch.region.clone()))
                    .unwrap_or_default(),
                account: watch.account,
                region: watch.region,
            });
        }
        Ok(regions)
    }

    /// The gaps that belong among the deployments of a page. Where the history is filtered by more than time, account
    /// or service, a gap is no row of it.
    pub(super) async fn gaps_among(
        &self,
        filter: &DeploymentFilter,
        page: &Page<DeploymentView>,
    ) -> Result<Vec<GapView>, Refusal> {
        let given = |value: &Option<String>| value.as_deref().is_some_and(|text| !text.is_empty());
        if [&filter.outcome, &filter.phase, &filter.actor, &filter.q]
            .into_iter()
            .any(given)
        {
            return Ok(Vec::new());
        }
        let time = |name, value: &Option<String>| {
            super::moment(name, value.clone().filter(|text| !text.is_empty()))
        };
        let before = cursor(filter.cursor.clone().filter(|text| !text.is_empty()))?;
        let until = match (time("to", &filter.to)?, before.map(|(at, _)| at)) {
            (Some(to), Some(before)) => Some(to.min(before)),
            (to, before) => to.or(before),
        };
        let after = match (&page.next_cursor, page.items.last()) {
            (Some(_), Some(last)) => Some(last.started_at),
            _ => time("from", &filter.from)?,
        };
        let mut gaps: Vec<GapView> = self
            .store()
            .gap_list(after, until, GAPS_TOLD)
            .await
            .map_err(store_refusal)?
            .into_iter()
            .map(gap_view)
            .collect();
        if let Some(account) = filter.account.as_deref().filter(|text| !text.is_empty()) {
            gaps.retain(|gap| gap.account == account);
        }
        if let Some(service) = filter.service.as_deref().filter(|text| !text.is_empty()) {
            let account = filter.account.as_deref().filter(|text| !text.is_empty());
            match self.find_service_in(service, account).await {
                Ok(service) => gaps
                    .retain(|gap| gap.account == service.account && gap.region == service.region),
                Err(_) => gaps.clear(),
            }
        }
        Ok(gaps)
    }
}

pub(super) fn gap_view((gap, seen_late): (GapRecord, i64)) -> GapView {
    GapView {
        account: gap.account,
        region: gap.region,
        from: gap.from,
        to: gap.to,
        cause: gap.cause,
        detail: gap.detail,
        seen_late,
    }
}

fn import_view(import: &ImportRecord) -> ImportView {
    ImportView {
        state: import.state,
        unlisted: import.unlisted.clone(),
        listed: import.listed,
        settled: import.settled,
        forgotten: import.forgotten,
        not_watched: import.not_watched,
        definitions_listed: import.definitions_listed,
        definitions_settled: import.definitions_settled,
        trouble: import.trouble.clone(),
        began_at: import.began_at,
        completed_at: import.completed_at,
    }
}
