//! The history's pages: every deployment once, in order, under every filter, over equal moments.

use crate::databases::on_every_database;
use crate::samples::*;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::Phase;
use switchback_domain::deployment::Standing;
use switchback_store::DeploymentQuery;
use switchback_store::SearchState;
use switchback_store::Store;
use switchback_store::records::DeploymentRecord;

const COUNT: i64 = 90;

async fn recorded_history(store: &Store) -> Vec<DeploymentRecord> {
    let services = [service("web"), service("Web_Two"), service("worker%")];
    let mut tx = store.begin().await.unwrap();
    for service in &services {
        tx.service_upsert(service).await.unwrap();
    }
    let mut history = Vec::new();
    for number in 0..COUNT {
        let service = &services[usize::try_from(number % 3).unwrap()];
        // Ten deployments share each moment.
        let mut record = bare_deployment(service, &format!("d-{number}"), at(number / 10));
        record.initiator = match number / 3 % 3 {
            0 => "dana".to_string(),
            1 => "token:CI".to_string(),
            // More names than are walked one by one.
            _ => format!("mira-{number}"),
        };
        record.target_revision = Some(arn(u64::try_from(number).unwrap() + 1));
        record.reason = (number % 4 == 0).then(|| format!("CHG-{number}: 50% of_all!"));
        record.standing = match number % 4 {
            0 => Standing::started(),
            1 => Standing {
                phase: Some(Phase::Baking),
                ..Standing::started()
            },
            2 => Standing {
                phase: None,
                outcome: Outcome::Succeeded,
                cause: None,
            },
            _ => Standing {
                phase: None,
                outcome: Outcome::Unknown,
                cause: None,
            },
        };
        assert!(tx.deployment_insert(&record).await.unwrap());
        history.push(record);
    }
    tx.commit().await.unwrap();
    history.sort_by_key(|record| std::cmp::Reverse((record.started_at, record.id.clone())));
    history
}

/// What is recorded, changed and changed back is found by its words as they are now, on both databases.
#[tokio::test]
async fn a_search_finds_the_words_as_they_are_now() {
    on_every_database(async |database| {
        let store = &database.store;
        assert_ne!(
            store.search_state(),
            SearchState::Building { percent: Some(0) },
            "an empty database has nothing to build"
        );
        recorded_history(store).await;
        let search = async |text: &str| {
            let query = DeploymentQuery {
                q: Some(text.to_string()),
                ..DeploymentQuery::default()
            };
            store.deployment_list(&query).await.unwrap()
        };
        let mut found = search("D-7").await;
        let mut record = found.pop().unwrap();
        assert_eq!(record.aws_id, "d-7");
        record.reason = Some("say \"hello\" to the 100% plan".to_string());
        let mut tx = store.begin().await.unwrap();
        record.generation = tx.deployment_update(&record).await.unwrap();
        tx.commit().await.unwrap();
        for text in ["say \"HELLO\"", "100% PLAN", "hello\" to"] {
            assert_eq!(search(text).await, [record.clone()], "{text}");
        }
        record.reason = None;
        let mut tx = store.begin().await.unwrap();
        tx.deployment_update(&record).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(search("say \"hello\"").await, []);
    })
    .await;
}

type Fits = fn(&DeploymentRecord) -> bool;

#[tokio::test]
async fn pages_visit_everything_once_under_every_filter() {
    on_every_database(async |database| {
        let store = &database.store;
        let history = recorded_history(store).await;
        let base = DeploymentQuery::default();
        let text = |text: &str| Some(text.to_string());
        let cases: Vec<(DeploymentQuery, Fits)> = vec![
            (base.clone(), |_| true),
            (
                DeploymentQuery {
                    service: Some(service("web").id),
                    ..base.clone()
                },
                |record| record.service_name == "web",
            ),
            (
                DeploymentQuery {
                    outcome: Some(Outcome::InProgress),
                    ..base.clone()
                },
                |record| record.standing.outcome == Outcome::InProgress,
            ),
            (
                DeploymentQuery {
                    phase: Some(Phase::Baking),
                    ..base.clone()
                },
                |record| record.standing.phase == Some(Phase::Baking),
            ),
            (
                DeploymentQuery {
                    actor: text("DAN"),
                    ..base.clone()
                },
                |record| record.initiator == "dana",
            ),
            (
                DeploymentQuery {
                    actor: text("ci"),
                    ..base.clone()
                },
                |record| record.initiator == "token:CI",
            ),
            (
                DeploymentQuery {
                    actor: text("MIRA-"),
                    ..base.clone()
                },
                |record| record.initiator.starts_with("mira-"),
            ),
            (
                DeploymentQuery {
                    actor: text("mira_"),
                    ..base.clone()
                },
                |_| false,
            ),
            (
                DeploymentQuery {
                    actor: text("%"),
                    ..base.clone()
                },
                |_| false,
            ),
            (
                DeploymentQuery {
                    actor: text("mira-1"),
                    outcome: Some(Outcome::InProgress),
                    q: text("web"),
                    from: Some(at(0)),
                    to: Some(at(3)),
                    ..base.clone()
                },
                |record| {
                    record.initiator.starts_with("mira-1")
                        && record.standing.outcome == Outcome::InProgress
                        && record.started_at < at(3)
                },
            ),
            (
                DeploymentQuery {
                    service: Some(service("web").id),
                    actor: text("dana"),
                    ..base.clone()
                },
                |record| record.service_name == "web" && record.initiator == "dana",
            ),
            (
                DeploymentQuery {
                    service: Some(service("web").id),
                    actor: text("nobody"),
                    ..base.clone()
                },
                |_| false,
            ),
            (
                DeploymentQuery {
                    service: Some(service("web").id),
                    actor: text("mira"),
                    outcome: Some(Outcome::Unknown),
                    ..base.clone()
                },
                |record| {
                    record.service_name == "web"
                        && record.initiator.starts_with("mira-")
                        && record.standing.outcome == Outcome::Unknown
                },
            ),
            (
                DeploymentQuery {
                    phase: Some(Phase::Baking),
                    actor: text("dana"),
                    ..base.clone()
                },
                |record| record.standing.phase == Some(Phase::Baking) && record.initiator == "dana",
            ),
            (
                DeploymentQuery {
                    actor: text("dana"),
                    q: text("chg-"),
                    ..base.clone()
                },
                |record| record.initiator == "dana" && record.reason.is_some(),
            ),
            (
                DeploymentQuery {
                    actor: text("mira"),
                    q: text("chg-"),
                    ..base.clone()
                },
                |record| record.initiator.starts_with("mira-") && record.reason.is_some(),
            ),
            (
                DeploymentQuery {
                    actor: text("nobody"),
                    q: text("chg-"),
                    ..base.clone()
                },
                |_| false,
            ),
            (
                DeploymentQuery {
                    q: text("chg-"),
                    ..base.clone()
                },
                |record| record.reason.is_some(),
            ),
            (
                DeploymentQuery {
                    q: text("50% OF_ALL!"),
                    ..base.clone()
                },
                |record| record.reason.is_some(),
            ),
            (
                DeploymentQuery {
                    q: text("50%% of"),
                    ..base.clone()
                },
                |_| false,
            ),
            (
                DeploymentQuery {
                    q: text("b_t"),
                    ..base.clone()
                },
                |record| record.service_name == "Web_Two",
            ),
            (
                DeploymentQuery {
                    q: text("worker%"),
                    ..base.clone()
                },
                |record| record.service_name == "worker%",
            ),
            (
                DeploymentQuery {
                    q: text("D-1"),
                    ..base.clone()
                },
                |record| record.aws_id.starts_with("d-1"),
            ),
            (
                DeploymentQuery {
                    q: text("definition/web:77"),
                    ..base.clone()
                },
                |record| record.aws_id == "d-76",
            ),
            (
                DeploymentQuery {
                    from: Some(at(3)),
                    to: Some(at(5)),
                    ..base.clone()
                },
                |record| record.started_at == at(3) || record.started_at == at(4),
            ),
            (
                DeploymentQuery {
                    service: Some(service("Web_Two").id),
                    outcome: Some(Outcome::InProgress),
                    phase: Some(Phase::Preparing),
                    actor: text("a"),
                    q: text("chg"),
                    from: Some(at(0)),
                    to: Some(at(100)),
                    ..base.clone()
                },
                |record| {
                    record.service_name == "Web_Two"
                        && record.standing == Standing::started()
                        && record.initiator.contains('a')
                },
            ),
        ];
        for (query, fits) in cases {
            let expected: Vec<&DeploymentRecord> =
                history.iter().filter(|record| fits(record)).collect();
            for limit in [1, 7, COUNT] {
                let visited = every_page(store, &query, limit).await;
                assert_eq!(
                    visited.iter().collect::<Vec<_>>(),
                    expected,
                    "{query:?} in pages of {limit}"
                );
            }
        }
    })
    .await;
}

/// A deployment that starts while pages are turned does not move them.
#[tokio::test]
async fn new_deployments_do_not_move_pages() {
    on_every_database(async |database| {
        let store = &database.store;
        let history = recorded_history(store).await;
        let first = DeploymentQuery {
            limit: 20,
            ..DeploymentQuery::default()
        };
        let page = store.deployment_list(&first).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        tx.deployment_insert(&bare_deployment(&service("web"), "d-new", at(1000)))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let last = page.last().unwrap();
        let next = DeploymentQuery {
            before: Some((last.started_at, last.id.clone())),
            ..first
        };
        assert_eq!(store.deployment_list(&next).await.unwrap(), history[20..40]);
    })
    .await;
}

async fn every_page(store: &Store, query: &DeploymentQuery, limit: i64) -> Vec<DeploymentRecord> {
    let mut query = DeploymentQuery {
        limit,
        ..query.clone()
    };
    let mut visited: Vec<DeploymentRecord> = Vec::new();
    loop {
        let page = store.deployment_list(&query).await.unwrap();
        assert!(i64::try_from(page.len()).unwrap() <= limit);
        let Some(last) = page.last() else {
            return visited;
        };
        query.before = Some((last.started_at, last.id.clone()));
        visited.extend(page);
        assert!(
            visited.len() <= usize::try_from(COUNT).unwrap(),
            "a page came twice"
        );
    }
}
