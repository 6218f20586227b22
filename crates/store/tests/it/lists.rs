//! The pages of services and of gates: everything once, in order, under every filter.

use crate::databases::on_every_database;
use crate::samples::*;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::Standing;
use switchback_domain::gate::GateState;
use switchback_domain::gate::Verdict;
use switchback_domain::ids::DeploymentId;
use switchback_domain::service::Controller;
use switchback_domain::service::Service;
use switchback_store::GateQuery;
use switchback_store::GateStates;
use switchback_store::ServiceQuery;
use switchback_store::Store;
use switchback_store::records::GateRecord;

async fn services_of(store: &Store, query: &ServiceQuery) -> Vec<String> {
    let mut query = query.clone();
    let mut visited: Vec<String> = Vec::new();
    loop {
        let page = store.service_page(&query).await.unwrap();
        assert!(i64::try_from(page.len()).unwrap() <= query.limit);
        let Some(last) = page.last() else {
            return visited;
        };
        query.after = Some((last.name.clone(), last.id.clone()));
        visited.extend(page.iter().map(|service| service.id.to_string()));
        assert!(visited.len() < 100, "a page came twice");
    }
}

#[tokio::test]
async fn pages_of_services_visit_each_once() {
    on_every_database(async |database| {
        let store = &database.store;
        // Two of a name, in two clusters; and one that contains what LIKE would take for a wildcard.
        let mut other = service("web");
        other.cluster = "staging".to_string();
        other.arn = other.arn.replace("/main/", "/staging/");
        other.id = switchback_domain::ids::ServiceId::derive(&other.arn);
        if let Controller::Codedeploy(group) = &mut other.controller {
            group.group = "staging".to_string();
        }
        let mut services = vec![service("api_one"), service("pixone"), service("web"), other];
        services.push(service("worker"));
        let mut tx = store.begin().await.unwrap();
        for service in &services {
            tx.service_upsert(service).await.unwrap();
        }
        let ended = Standing {
            phase: None,
            outcome: Outcome::Succeeded,
            cause: None,
        };
        for (index, (name, seconds, standing)) in [
            ("web", 1, ended),
            ("web", 2, ended),
            ("web", 3, Standing::started()),
            ("web", 4, Standing::started()),
            ("worker", 9, ended),
        ]
        .into_iter()
        .enumerate()
        {
            let service = service(name);
            let mut record = bare_deployment(&service, &format!("d-{index}"), at(seconds));
            record.standing = standing;
            assert!(tx.deployment_insert(&record).await.unwrap());
        }
        tx.commit().await.unwrap();
        services.sort_by_key(|service| (service.name.clone(), service.id.clone()));
        let base = ServiceQuery::default();
        let text = |text: &str| ServiceQuery {
            q: Some(text.to_string()),
            ..base.clone()
        };
        let moving = ServiceQuery {
            moving: true,
            ..base.clone()
        };
        type Fits = fn(&Service) -> bool;
        let cases: Vec<(ServiceQuery, Fits)> = vec![
            (base.clone(), |_| true),
            (text("WEB"), |service| service.name == "web"),
            (text("i_o"), |service| service.name == "api_one"),
            (text("staging"), |service| service.cluster == "staging"),
            (text("service/main/web"), |service| {
                service.name == "web" && service.cluster == "main"
            }),
            (text("%"), |_| false),
            (moving.clone(), |service| {
                service.name == "web" && service.cluster == "main"
            }),
            (
                ServiceQuery {
                    q: Some("worker".to_string()),
                    ..moving
                },
                |_| false,
            ),
        ];
        for (query, fits) in cases {
            let expected: Vec<String> = services
                .iter()
                .filter(|service| fits(service))
                .map(|service| service.id.to_string())
                .collect();
            for limit in [1, 2, 50] {
                let query = ServiceQuery {
                    limit,
                    ..query.clone()
                };
                assert_eq!(services_of(store, &query).await, expected, "{query:?}");
                let count = store.service_count(&query).await.unwrap();
                assert_eq!(count, i64::try_from(expected.len()).unwrap(), "{query:?}");
            }
        }
        assert_eq!(store.service_account_count().await.unwrap(), 1);

        // What a page shows beside each, of the services of the page alone.
        let ids = [service("web").id, service("api_one").id];
        let aws_ids = |records: Vec<switchback_store::records::DeploymentRecord>| {
            records
                .into_iter()
                .map(|record| record.aws_id)
                .collect::<Vec<_>>()
        };
        let moving = store.deployment_list_in_progress(&ids).await.unwrap();
        assert_eq!(aws_ids(moving), ["d-3"]);
        let last = store.deployment_list_last_ended(&ids).await.unwrap();
        assert_eq!(aws_ids(last), ["d-1"]);
        assert_eq!(store.deployment_list_in_progress(&[]).await.unwrap(), []);
        assert_eq!(store.deployment_list_last_ended(&[]).await.unwrap(), []);
        let (newest, count) = store.deployment_list_newest_active(1).await.unwrap();
        assert_eq!((aws_ids(newest), count), (vec!["d-3".to_string()], 2));
    })
    .await;
}

async fn gates_of(store: &Store, query: &GateQuery) -> Vec<String> {
    let mut query = query.clone();
    let mut visited: Vec<String> = Vec::new();
    loop {
        let page = store.gate_page(&query).await.unwrap();
        assert!(i64::try_from(page.len()).unwrap() <= query.limit);
        let Some(last) = page.last() else {
            return visited;
        };
        let at = match query.state {
            Some(GateStates::Open) => last.expires_at,
            Some(GateStates::Closed) | None => last.opened_at,
        };
        query.after = Some((at, last.id.clone()));
        visited.extend(page.iter().map(|gate| gate.id.to_string()));
        assert!(visited.len() < 100, "a page came twice");
    }
}

#[tokio::test]
async fn pages_of_gates_visit_each_once() {
    on_every_database(async |database| {
        let store = &database.store;
        let service = service("web");
        let mut own = bare_deployment(&service, "d-1", at(1));
        own.initiator = "dana".to_string();
        let mut others = bare_deployment(&service, "d-2", at(2));
        others.initiator = "token:ci".to_string();
        let mut tx = store.begin().await.unwrap();
        tx.service_upsert(&service).await.unwrap();
        let mut gates: Vec<GateRecord> = Vec::new();
        for deployment in [&own, &others] {
            assert!(tx.deployment_insert(deployment).await.unwrap());
            for number in 0..6 {
                // Several open and expire at the same moment.
                let mut gate = gate(deployment, &format!("{}-{number}", deployment.aws_id));
                gate.opened_at = at(number / 2);
                gate.expires_at = at(100 - number / 3);
                gate.state = if number % 3 == 2 {
                    GateState::Expired
                } else {
                    GateState::Open
                };
                assert!(tx.gate_insert(&gate).await.unwrap());
                gates.push(gate);
            }
        }
        let decided = gates
            .iter()
            .find(|gate| gate.deployment_id == others.id && gate.state == GateState::Open)
            .unwrap();
        let mut verdict = decision(decided, "dana");
        verdict.verdict = Verdict::Approve;
        tx.decision_insert(&verdict).await.unwrap();
        tx.commit().await.unwrap();
        let is_open = |gate: &GateRecord| gate.state == GateState::Open;
        let danas = |gate: &GateRecord, own: &DeploymentId| {
            !is_open(gate) || (&gate.deployment_id != own && gate.id != decided.id)
        };
        for state in [None, Some(GateStates::Open), Some(GateStates::Closed)] {
            for actor in [None, Some("dana"), Some("mira")] {
                let mut expected: Vec<&GateRecord> = gates
                    .iter()
                    .filter(|gate| match state {
                        None => true,
                        Some(GateStates::Open) => is_open(gate),
                        Some(GateStates::Closed) => !is_open(gate),
                    })
                    .filter(|gate| actor != Some("dana") || danas(gate, &own.id))
                    .collect();
                if state == Some(GateStates::Open) {
                    expected.sort_by_key(|gate| (gate.expires_at, gate.id.clone()));
                } else {
                    expected
                        .sort_by_key(|gate| std::cmp::Reverse((gate.opened_at, gate.id.clone())));
                }
                let expected: Vec<String> =
                    expected.iter().map(|gate| gate.id.to_string()).collect();
                for limit in [1, 5, 50] {
                    let query = GateQuery {
                        state,
                        undecided_by: actor.map(str::to_string),
                        limit,
                        ..GateQuery::default()
                    };
                    assert_eq!(gates_of(store, &query).await, expected, "{query:?}");
                    let count = store.gate_count(&query).await.unwrap();
                    assert_eq!(count, i64::try_from(expected.len()).unwrap(), "{query:?}");
                }
            }
        }
    })
    .await;
}
