//! That the history's questions are answered by an index, by what SQLite says of its plan.

use crate::connect::Store;
use crate::deployment::DeploymentQuery;
use crate::deployment::statement;
use sqlx::Row as _;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::Phase;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::ServiceId;
use switchback_domain::moment::Moment;

/// The steps of the plan of this query's statement.
async fn plan(store: &Store, query: &DeploymentQuery, by_index: bool) -> Vec<String> {
    plan_of(store, query, None, by_index).await
}

/// The same where the initiators were found.
async fn plan_of(
    store: &Store,
    query: &DeploymentQuery,
    names: Option<&[String]>,
    by_index: bool,
) -> Vec<String> {
    let (sql, conditions) = statement(query, names, by_index);
    let explained = format!("explain query plan {sql}");
    let rows = conditions
        .bind(sqlx::query(&explained))
        .fetch_all(&store.reader)
        .await
        .unwrap();
    rows.iter().map(|row| row.get::<String, _>(3)).collect()
}

async fn store(folder: &tempfile::TempDir) -> Store {
    let url = format!("sqlite:{}", folder.path().join("plans.db").display());
    Store::open(&url).await.unwrap()
}

#[tokio::test]
async fn every_filter_walks_an_index_in_the_order_of_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let service = Some(ServiceId::new("svc-1"));
    let outcome = Some(Outcome::Failed);
    let phase = Some(Phase::Holding);
    let from = Some(Moment::from_millis(1));
    let base = DeploymentQuery::default();
    let filters = [
        base.clone(),
        DeploymentQuery {
            service: service.clone(),
            ..base.clone()
        },
        DeploymentQuery {
            outcome,
            ..base.clone()
        },
        DeploymentQuery {
            phase,
            ..base.clone()
        },
        DeploymentQuery {
            from,
            ..base.clone()
        },
        DeploymentQuery {
            account: Some("210987654321".to_string()),
            ..base.clone()
        },
        DeploymentQuery {
            service: service.clone(),
            outcome,
            ..base.clone()
        },
        DeploymentQuery {
            service,
            from,
            ..base.clone()
        },
        DeploymentQuery {
            outcome,
            from,
            ..base.clone()
        },
    ];
    let before = Some((Moment::from_millis(5), DeploymentId::new("dep-1")));
    for filter in filters {
        for query in [
            filter.clone(),
            DeploymentQuery {
                before: before.clone(),
                ..filter
            },
        ] {
            let plan = plan(&store, &query, false).await;
            let [step] = &plan[..] else {
                panic!("{query:?}: {plan:?}");
            };
            assert!(
                step.contains("deployments USING INDEX deployments_by_"),
                "{query:?}: {step}"
            );
        }
    }
    store.close().await;
}

#[tokio::test]
async fn a_search_walks_the_text_index_from_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let query = DeploymentQuery {
        q: Some("hotfix".to_string()),
        outcome: Some(Outcome::Failed),
        ..DeploymentQuery::default()
    };
    let plan = plan(&store, &query, true).await;
    assert!(
        plan.iter()
            .any(|step| step.starts_with("SCAN deployment_search VIRTUAL TABLE INDEX")),
        "{plan:?}"
    );
    assert!(
        !plan.iter().any(|step| step.starts_with("SCAN deployments")),
        "{plan:?}"
    );
    // The page itself is sorted twice, and the walk that finds its end is not: it would be over every match.
    let sorts = plan
        .iter()
        .filter(|step| step.contains("TEMP B-TREE"))
        .count();
    assert_eq!(sorts, 2, "{plan:?}");
    store.close().await;
}

#[tokio::test]
async fn a_few_initiators_are_walked_each_along_its_own_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let names = ["dana.00".to_string(), "dana.01".to_string()];
    let base = DeploymentQuery {
        actor: Some("dana".to_string()),
        ..DeploymentQuery::default()
    };
    let of_service = DeploymentQuery {
        service: Some(ServiceId::new("svc-1")),
        ..base.clone()
    };
    for (query, index) in [
        (base.clone(), "deployments_by_initiator (initiator=?"),
        (
            of_service,
            "deployments_by_service_and_initiator (service_id=? AND initiator=?",
        ),
    ] {
        let plan = plan_of(&store, &query, Some(&names), false).await;
        let walks = plan
            .iter()
            .filter(|step| step.contains("SEARCH deployments USING COVERING INDEX"))
            .collect::<Vec<_>>();
        assert_eq!(walks.len(), 2, "{plan:?}");
        assert!(walks.iter().all(|step| step.contains(index)), "{plan:?}");
        // The keys of the walks, and the rows of the page.
        let sorts = plan
            .iter()
            .filter(|step| step.contains("TEMP B-TREE"))
            .count();
        assert_eq!(sorts, 2, "{plan:?}");
    }
    let search = DeploymentQuery {
        q: Some("hotfix".to_string()),
        ..base
    };
    let plan = plan_of(&store, &search, Some(&names), true).await;
    assert!(
        plan.iter()
            .any(|step| step.starts_with("SCAN deployment_search VIRTUAL TABLE INDEX")),
        "{plan:?}"
    );
    store.close().await;
}
