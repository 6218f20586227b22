//! The page Now: what waits, what moves, what ended, and how the watching goes.

use crate::console::Desk;
use crate::error::store_refusal;
use crate::views;
use std::collections::BTreeMap;
use switchback_contract::Coverage;
use switchback_contract::MovingView;
use switchback_contract::NowPage;
use switchback_contract::Refusal;
use switchback_domain::ids::DeploymentId;
use switchback_domain::metrics::MetricPoint;
use switchback_domain::metrics::Series;
use switchback_domain::metrics::Side;
use switchback_domain::moment::Moment;
use switchback_store::DeploymentQuery;
use switchback_store::GateQuery;
use switchback_store::GateStates;
use switchback_store::ServiceQuery;
use switchback_store::records::DeploymentRecord;

/// How many open gates are shown: more than anybody decides in one sitting. The others are on the page Approvals.
const GATES_SHOWN: i64 = 20;

/// How many deployments in progress are shown. The others are in the History.
const MOVING_SHOWN: i64 = 50;

impl Desk {
    pub(super) async fn page_now(&self) -> Result<NowPage, Refusal> {
        let now = self.now();
        let store = self.store();
        let open = GateQuery {
            state: Some(GateStates::Open),
            limit: GATES_SHOWN,
            ..GateQuery::default()
        };
        let gates = store.gate_page(&open).await.map_err(store_refusal)?;
        let needs_you_count = match gates.len() as i64 {
            few if few < GATES_SHOWN => few,
            _ => store.gate_count(&open).await.map_err(store_refusal)?,
        };
        let (active, moving_count) = store
            .deployment_list_newest_active(MOVING_SHOWN)
            .await
            .map_err(store_refusal)?;
        let latest = self.latest_minutes(&active).await?;
        let query = DeploymentQuery {
            from: Some(now.plus_seconds(-86_400)),
            limit: 40,
            ..DeploymentQuery::default()
        };
        let ended = store.deployment_list(&query).await.map_err(store_refusal)?;
        Ok(NowPage {
            now,
            needs_you: self.gate_views(gates).await?,
            needs_you_count,
            moving: active
                .iter()
                .map(|record| {
                    moving(
                        self,
                        record,
                        latest.get(&record.id).map_or(&[][..], Vec::as_slice),
                    )
                })
                .collect(),
            moving_count,
            ended: ended
                .iter()
                .filter(|record| record.standing.outcome.is_final())
                .take(20)
                .map(|record| self.deployment_view(record))
                .collect(),
            coverage: self.watching().await?,
        })
    }

    /// Of each deployment its last complete minute.
    pub(super) async fn latest_minutes(
        &self,
        records: &[DeploymentRecord],
    ) -> Result<BTreeMap<DeploymentId, Vec<MetricPoint>>, Refusal> {
        if records.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ids: Vec<DeploymentId> = records.iter().map(|record| record.id.clone()).collect();
        // The last two minutes are still arriving (aws.md §3.2); the one before them is complete.
        let complete: Moment = self.now().minute().plus_seconds(-180);
        self.store()
            .metric_latest(&ids, complete.plus_seconds(-240), complete)
            .await
            .map_err(store_refusal)
    }

    async fn watching(&self) -> Result<Coverage, Refusal> {
        let health = self.control.account_health();
        let ledger = self.control.ledger_state();
        let store = self.store();
        Ok(Coverage {
            ledger: views::ledger_words(ledger.as_ref()),
            ledger_complete: ledger.is_some_and(|ledger| ledger.is_complete()),
            services: store
                .service_count(&ServiceQuery::default())
                .await
                .map_err(store_refusal)?,
            accounts: store.service_account_count().await.map_err(store_refusal)?,
            // Those that do not answer are told apart.
            last_look_at: health
                .iter()
                .filter(|health| health.trouble.is_none())
                .filter_map(|health| health.last_look_at)
                .min(),
            trouble: health.iter().find_map(|health| {
                let trouble = health.trouble.as_ref()?;
                Some(format!("{}: {trouble}", health.region))
            }),
            regions: self.region_coverage().await?,
            health,
        })
    }
}

fn moving(desk: &Desk, record: &DeploymentRecord, latest: &[MetricPoint]) -> MovingView {
    let value = |series, side| {
        latest
            .iter()
            .find(|point| point.series == series && point.side == side)
            .map(|point| point.value)
    };
    MovingView {
        deployment: desk.deployment_view(record),
        error_percent: (
            error_percent(&value, Side::Old),
            error_percent(&value, Side::New),
        ),
        p99_ms: (value(Series::P99, Side::Old), value(Series::P99, Side::New)),
    }
}

fn error_percent(value: &impl Fn(Series, Side) -> Option<f64>, side: Side) -> Option<f64> {
    let requests = value(Series::Requests, side).filter(|requests| *requests > 0.0)?;
    // CloudWatch publishes no 5xx count for a minute without one, while requests were counted (aws.md §3.2).
    Some(value(Series::Errors, side).unwrap_or(0.0) * 100.0 / requests)
}
