//! The services as one actor sees them, a page at a time.

use crate::console::Desk;
use crate::console::input::invalid;
use crate::console::input::limit;
use crate::console::input::text;
use crate::error::store_refusal;
use crate::views;
use std::collections::BTreeMap;
use switchback_contract::Page;
use switchback_contract::Refusal;
use switchback_contract::ServiceFilter;
use switchback_contract::ServiceView;
use switchback_domain::ids::ServiceId;
use switchback_domain::service::Service;
use switchback_store::ServiceQuery;
use switchback_store::records::DeploymentRecord;

/// What the filter asks of the store; a page holds one service fewer.
pub(super) fn service_query(filter: &ServiceFilter) -> Result<ServiceQuery, Refusal> {
    Ok(ServiceQuery {
        q: text(&filter.q),
        account: text(&filter.account),
        moving: filter.moving,
        after: text(&filter.cursor).map(place).transpose()?,
        limit: limit(filter.limit)? + 1,
    })
}

/// `IDENTIFIER.NAME`; neither holds a dot.
fn place(cursor: String) -> Result<(String, ServiceId), Refusal> {
    match cursor.split_once('.') {
        Some((id, name)) if id.starts_with("svc-") && !name.is_empty() => {
            Ok((name.to_string(), ServiceId::new(id)))
        }
        _ => Err(invalid("cursor", &cursor, "what next_cursor gave")),
    }
}

impl Desk {
    pub(super) async fn page_of_services(
        &self,
        query: &ServiceQuery,
    ) -> Result<Page<ServiceView>, Refusal> {
        let mut found = self
            .store()
            .service_page(query)
            .await
            .map_err(store_refusal)?;
        let more = found.len() as i64 >= query.limit;
        found.truncate((query.limit - 1) as usize);
        let next_cursor = found
            .last()
            .filter(|_| more)
            .map(|last| format!("{}.{}", last.id, last.name));
        Ok(Page {
            items: self.service_views(&found).await?,
            next_cursor,
            notice: None,
        })
    }

    async fn service_views(&self, services: &[Service]) -> Result<Vec<ServiceView>, Refusal> {
        let ids: Vec<ServiceId> = services.iter().map(|service| service.id.clone()).collect();
        let by_service = |records: Vec<DeploymentRecord>| -> BTreeMap<_, _> {
            records
                .into_iter()
                .map(|record| (record.service_id.clone(), record))
                .collect()
        };
        let store = self.store();
        let active = by_service(
            store
                .deployment_list_in_progress(&ids)
                .await
                .map_err(store_refusal)?,
        );
        let last = by_service(
            store
                .deployment_list_last_ended(&ids)
                .await
                .map_err(store_refusal)?,
        );
        let known_good = self.control.known_good(&ids).await.map_err(store_refusal)?;
        Ok(services
            .iter()
            .map(|service| {
                let id = &service.id;
                let known_good = known_good.get(id).copied().unwrap_or_default();
                let (active, last) = (active.get(id), last.get(id));
                self.named_service(views::service(service, active, last, known_good))
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_service_and_its_name() {
        assert_eq!(
            place("svc-1.web-api".to_string()).unwrap(),
            ("web-api".to_string(), ServiceId::new("svc-1"))
        );
        for cursor in ["", ".", "svc-1", "svc-1.", "web.svc-1", "12.dep-1"] {
            let refusal = place(cursor.to_string()).unwrap_err();
            assert_eq!(refusal.code, "filter_invalid", "{cursor}");
        }
    }
}
