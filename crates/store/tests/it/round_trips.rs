//! Every record comes back as it went in, and the database itself refuses what is not in an enum.

use crate::databases::on_every_database;
use crate::samples::*;
use serde_json::json;
use switchback_domain::actor::Role;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::OutcomeCause;
use switchback_domain::deployment::Phase;
use switchback_domain::deployment::Standing;
use switchback_domain::ecs::EcsConfiguration;
use switchback_domain::ecs::EcsService;
use switchback_domain::ecs::EcsStrategy;
use switchback_domain::gate::Delivery;
use switchback_domain::gate::GateKind;
use switchback_domain::gate::GateState;
use switchback_domain::gate::Verdict;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::OperationId;
use switchback_domain::ids::ServiceId;
use switchback_domain::metrics::MetricPoint;
use switchback_domain::metrics::Series;
use switchback_domain::metrics::Side;
use switchback_domain::operation::OperationKind;
use switchback_domain::operation::OperationState;
use switchback_domain::previous::PreviousEvidence;
use switchback_domain::revision::RevisionStatus;
use switchback_domain::service::Controller;
use switchback_store::GateQuery;
use switchback_store::IdempotencyRecord;
use switchback_store::StoreError;
use switchback_store::records::HookRecord;
use switchback_store::records::TimelineRecord;
use switchback_store::records::TokenRecord;

#[tokio::test]
async fn services() {
    on_every_database(async |database| {
        let store = &database.store;
        store.ready().await.unwrap();
        let mut web = service("web");
        let mut worker = service("worker");
        worker.serving_revision = None;
        worker.serving_since = None;
        let mut tx = store.begin().await.unwrap();
        assert!(tx.service_upsert(&worker).await.unwrap());
        assert!(tx.service_upsert(&web).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(
            store.service_list().await.unwrap(),
            [web.clone(), worker.clone()]
        );
        for text in [web.id.as_str(), &web.arn, &web.name] {
            assert_eq!(
                store.service_find(text).await.unwrap(),
                [web.clone()],
                "{text}"
            );
        }
        assert_eq!(store.service_find("we").await.unwrap(), []);
        let by_group = async |group| {
            store
                .service_fetch_by_group(ACCOUNT, REGION, "shop", group)
                .await
                .unwrap()
        };
        assert_eq!(by_group("worker-group").await, Some(worker));
        assert_eq!(by_group("other").await, None);

        web.running_count = 4;
        // In place, as AWS allows it: from CodeDeploy to ECS itself.
        web.controller = Controller::Ecs(EcsService {
            configuration: EcsConfiguration {
                strategy: EcsStrategy::Canary,
                step_permille: Some(55),
                alarms: vec!["web-5xx".to_string()],
                ..EcsConfiguration::default()
            },
            target_groups: vec!["blue".to_string()],
            primary: Some("ecs-svc/1".to_string()),
            current: None,
            recorded_primary: None,
            ..EcsService::default()
        });
        let mut tx = store.begin().await.unwrap();
        assert!(!tx.service_upsert(&web).await.unwrap());
        tx.commit().await.unwrap();
        web.generation = 2;
        assert_eq!(store.service_fetch(&web.id).await.unwrap(), Some(web));
        assert_eq!(
            store.service_fetch(&ServiceId::new("svc-0")).await.unwrap(),
            None
        );
    })
    .await;
}

#[tokio::test]
async fn deployments() {
    on_every_database(async |database| {
        let store = &database.store;
        let (web, full) = recorded(store).await;
        let mut bare = bare_deployment(&web, "d-2", at(5));
        let mut tx = store.begin().await.unwrap();
        assert!(tx.deployment_insert(&bare).await.unwrap());
        assert!(
            !tx.deployment_insert(&full).await.unwrap(),
            "recorded twice"
        );
        assert_eq!(
            tx.deployment_fetch(&bare.id).await.unwrap(),
            Some(bare.clone())
        );
        tx.commit().await.unwrap();
        assert_eq!(
            store.deployment_fetch(&full.id).await.unwrap(),
            Some(full.clone())
        );
        assert_eq!(
            store.deployment_find("d-2").await.unwrap(),
            Some(bare.clone())
        );
        assert_eq!(
            store.deployment_find(full.id.as_str()).await.unwrap(),
            Some(full)
        );
        assert_eq!(store.deployment_find("d-3").await.unwrap(), None);
        assert_eq!(
            store.deployment_list_active().await.unwrap(),
            [bare.clone()]
        );

        for evidence in [
            PreviousEvidence::TaskSet,
            PreviousEvidence::EarlierDeployment,
            PreviousEvidence::ObservedServing,
            PreviousEvidence::StoppedTask,
            PreviousEvidence::PreviousRevision,
        ] {
            bare.previous_evidence = Some(evidence);
            bare.generation = updated(database, &bare).await;
        }
        for phase in Phase::ALL {
            bare.standing.phase = Some(*phase);
            bare.generation = updated(database, &bare).await;
        }
        for outcome in Outcome::ALL
            .iter()
            .filter(|outcome| **outcome != Outcome::InProgress)
        {
            for cause in OutcomeCause::ALL {
                bare.standing = Standing {
                    phase: None,
                    outcome: *outcome,
                    cause: Some(*cause),
                };
                bare.generation = updated(database, &bare).await;
            }
        }
    })
    .await;
}

async fn updated(
    database: &crate::databases::Database,
    deployment: &switchback_store::records::DeploymentRecord,
) -> i64 {
    let mut tx = database.store.begin().await.unwrap();
    let generation = tx.deployment_update(deployment).await.unwrap();
    tx.commit().await.unwrap();
    let mut expected = deployment.clone();
    expected.generation = generation;
    assert_eq!(generation, deployment.generation + 1);
    assert_eq!(
        database
            .store
            .deployment_fetch(&deployment.id)
            .await
            .unwrap(),
        Some(expected)
    );
    generation
}

#[tokio::test]
async fn gates_and_decisions() {
    on_every_database(async |database| {
        let store = &database.store;
        let (_, deployment) = recorded(store).await;
        let mut closed = gate(&deployment, "exec-1");
        let late = open_gate(&deployment, "exec-2", at(600));
        let soon = open_gate(&deployment, "exec-3", at(60));
        let mut tx = store.begin().await.unwrap();
        for gate in [&closed, &late, &soon] {
            assert!(tx.gate_insert(gate).await.unwrap());
            assert!(!tx.gate_insert(gate).await.unwrap(), "recorded twice");
        }
        assert_eq!(tx.gate_fetch(&soon.id).await.unwrap(), Some(soon.clone()));
        let one = decision(&closed, "mira");
        let two = switchback_store::records::DecisionRecord {
            reason: None,
            at: at(16),
            ..decision(&closed, "dana")
        };
        tx.decision_insert(&one).await.unwrap();
        tx.decision_insert(&two).await.unwrap();
        assert_eq!(
            tx.decision_list(&closed.id).await.unwrap(),
            [one.clone(), two.clone()]
        );
        tx.commit().await.unwrap();
        assert_eq!(
            store.decision_list(&closed.id).await.unwrap(),
            [one.clone(), two]
        );
        assert_eq!(
            store.gate_fetch(&closed.id).await.unwrap(),
            Some(closed.clone())
        );
        assert_eq!(store.gate_list_open().await.unwrap(), [soon.clone(), late]);
        assert_eq!(
            store.gate_list_undelivered().await.unwrap(),
            [closed.clone()]
        );
        let all = store.gate_list_by_deployment(&deployment.id).await.unwrap();
        assert_eq!(all.len(), 3);
        let newest = GateQuery {
            limit: 2,
            ..GateQuery::default()
        };
        assert_eq!(store.gate_page(&newest).await.unwrap().len(), 2);

        let mut tx = store.begin().await.unwrap();
        let again = tx.decision_insert(&one).await;
        assert!(
            matches!(again, Err(StoreError::Conflict { .. })),
            "{again:?}"
        );
        drop(tx);

        for kind in GateKind::ALL {
            for state in GateState::ALL {
                for (verdict, delivery) in Verdict::ALL.iter().zip(Delivery::ALL.chunks(2)) {
                    for delivery in delivery {
                        closed.kind = *kind;
                        closed.state = *state;
                        closed.verdict = Some(*verdict);
                        closed.delivery = Some(*delivery);
                        let mut tx = store.begin().await.unwrap();
                        closed.generation = tx.gate_update(&closed).await.unwrap();
                        assert_eq!(
                            tx.gate_fetch(&closed.id).await.unwrap(),
                            Some(closed.clone())
                        );
                        tx.commit().await.unwrap();
                    }
                }
            }
        }
        assert_eq!(store.gate_list_undelivered().await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn operations() {
    on_every_database(async |database| {
        let store = &database.store;
        let (web, deployment) = recorded(store).await;
        let mut full = operation(&web, 1);
        let mut bare = operation(&web, 2);
        bare.deployment_id = Some(deployment.id.clone());
        bare.target_revision = None;
        bare.detail = None;
        bare.aws_id = None;
        bare.called_at = None;
        bare.state = OperationState::Submitted;
        let mut tx = store.begin().await.unwrap();
        tx.operation_insert(&full).await.unwrap();
        tx.operation_insert(&bare).await.unwrap();
        assert_eq!(
            tx.operation_fetch(&bare.id).await.unwrap(),
            Some(bare.clone())
        );
        tx.commit().await.unwrap();
        assert_eq!(
            store.operation_fetch(&full.id).await.unwrap(),
            Some(full.clone())
        );
        assert_eq!(
            store
                .operation_fetch(&OperationId::new("op-0"))
                .await
                .unwrap(),
            None
        );
        let both = [full.clone(), bare.clone()];
        assert_eq!(store.operation_list_unfinished().await.unwrap(), both);
        assert_eq!(
            store
                .operation_list_by_deployment(&deployment.id)
                .await
                .unwrap(),
            [bare.clone()]
        );
        assert_eq!(
            store.operation_list_by_service(&web.id, 1).await.unwrap(),
            [bare.clone()]
        );

        let mut tx = store.begin().await.unwrap();
        let again = tx.operation_insert(&full).await;
        assert!(
            matches!(again, Err(StoreError::Conflict { .. })),
            "{again:?}"
        );
        drop(tx);
        for kind in OperationKind::ALL {
            for state in OperationState::ALL {
                full.kind = *kind;
                full.state = *state;
                let mut tx = store.begin().await.unwrap();
                full.generation = tx.operation_update(&full).await.unwrap();
                tx.commit().await.unwrap();
                assert_eq!(
                    store.operation_fetch(&full.id).await.unwrap(),
                    Some(full.clone())
                );
                let unfinished = store
                    .operation_list_unfinished()
                    .await
                    .unwrap()
                    .contains(&full);
                let ended = matches!(state, OperationState::Done | OperationState::Failed);
                assert_eq!(unfinished, !ended, "{state:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn revisions_keep_what_was_recorded_first() {
    on_every_database(async |database| {
        let store = &database.store;
        let (web, _) = recorded(store).await;
        let mut tx = store.begin().await.unwrap();
        for number in [1, 10, 9] {
            tx.revision_upsert(Some(&web.id), &revision(number))
                .await
                .unwrap();
        }
        // Linked by the deployment that moved to it, not by the one who recorded it.
        tx.revision_upsert(None, &revision(2)).await.unwrap();
        tx.revision_upsert(None, &revision(50)).await.unwrap();
        tx.commit().await.unwrap();
        let numbers: Vec<u64> = store
            .revision_list(&web.id)
            .await
            .unwrap()
            .iter()
            .map(|revision| revision.arn.number())
            .collect();
        assert_eq!(numbers, [10, 9, 2, 1]);
        assert_eq!(
            store.revision_fetch(&arn(9)).await.unwrap(),
            Some(revision(9))
        );
        assert_eq!(store.revision_fetch(&arn(8)).await.unwrap(), None);

        for (given, stands) in [
            (RevisionStatus::Inactive, RevisionStatus::Inactive),
            (RevisionStatus::Unknown, RevisionStatus::Inactive),
            (
                RevisionStatus::DeleteInProgress,
                RevisionStatus::DeleteInProgress,
            ),
            (RevisionStatus::Active, RevisionStatus::Active),
        ] {
            let mut changed = revision(9);
            changed.status = given;
            changed.registered_at = None;
            changed.task_definition = json!({"family": "forged"});
            let mut tx = store.begin().await.unwrap();
            tx.revision_upsert(Some(&web.id), &changed).await.unwrap();
            tx.commit().await.unwrap();
            let mut expected = revision(9);
            expected.status = stands;
            assert_eq!(store.revision_fetch(&arn(9)).await.unwrap(), Some(expected));
        }
    })
    .await;
}

#[tokio::test]
async fn served_periods_open_extend_and_close() {
    on_every_database(async |database| {
        let store = &database.store;
        let (web, _) = recorded(store).await;
        let mut tx = store.begin().await.unwrap();
        for (number, seconds, share) in [
            (1, 0, 1000),
            (1, 10, 900),
            (3, 10, 100),
            (3, 20, 1000),
            (1, 20, 0),
            (1, 21, 0),
            (1, 30, 500),
            (1, 29, 0),
        ] {
            tx.served_record(&web.id, &arn(number), at(seconds), share)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        let periods: Vec<_> = store
            .served_list(&web.id)
            .await
            .unwrap()
            .into_iter()
            .map(|period| {
                (
                    period.revision.number(),
                    period.from,
                    period.to,
                    period.share_permille,
                )
            })
            .collect();
        assert_eq!(
            periods,
            [
                (1, at(0), Some(at(20)), 1000),
                (3, at(10), None, 1000),
                (1, at(30), Some(at(30)), 500),
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn timeline_and_metrics() {
    on_every_database(async |database| {
        let store = &database.store;
        let (_, deployment) = recorded(store).await;
        let line = |seconds, kind: &str, text: &str| TimelineRecord {
            deployment_id: deployment.id.clone(),
            at: at(seconds),
            kind: kind.to_string(),
            text: text.to_string(),
            by: (kind == "decision").then(|| "dana".to_string()),
            data: json!({"share_new_permille": 100}),
        };
        let lines: Vec<TimelineRecord> = [
            "started",
            "stage",
            "weights",
            "alarm",
            "gate",
            "decision",
            "delivery",
            "operation",
            "ended",
        ]
        .iter()
        .map(|kind| line(1, kind, &format!("{kind} happened")))
        .collect();
        let mut tx = store.begin().await.unwrap();
        for line in &lines {
            tx.timeline_append(line).await.unwrap();
        }
        tx.timeline_append(&line(0, "stage", "learnt late"))
            .await
            .unwrap();
        let point = |minute: i64, series, side, value| MetricPoint {
            minute: at(minute * 60).minute(),
            series,
            side,
            value,
        };
        let mut points = Vec::new();
        for series in Series::ALL {
            for side in [Side::Old, Side::New] {
                points.push(point(1, series, side, 1.0));
                points.push(point(0, series, side, 0.125));
            }
        }
        tx.metric_upsert(&deployment.id, &points).await.unwrap();
        tx.metric_upsert(&deployment.id, &[point(1, Series::P99, Side::New, 412.5)])
            .await
            .unwrap();
        tx.commit().await.unwrap();

        let mut expected = vec![line(0, "stage", "learnt late")];
        expected.extend(lines);
        assert_eq!(store.timeline_list(&deployment.id).await.unwrap(), expected);
        let read = store.metric_list(&deployment.id).await.unwrap();
        assert_eq!(read.len(), points.len());
        assert!(read.is_sorted_by_key(|point| point.minute));
        assert!(read.contains(&point(1, Series::P99, Side::New, 412.5)));
        assert!(!read.contains(&point(1, Series::P99, Side::New, 1.0)));
        assert!(read.contains(&point(0, Series::Errors, Side::Old, 0.125)));
        let asked = [deployment.id.clone(), DeploymentId::new("dep-0")];
        let latest = async |from, to| store.metric_latest(&asked, from, to).await.unwrap();
        let found = latest(at(0), at(60)).await;
        assert_eq!(found.len(), 1, "a deployment without points is left out");
        let points = &found[&deployment.id];
        assert_eq!(points.len(), 12);
        assert!(points.iter().all(|point| point.minute == at(60).minute()));
        assert_eq!(latest(at(60), at(60)).await, found);
        let before = latest(at(0), at(60).plus_seconds(-60)).await;
        assert!(
            before[&deployment.id]
                .iter()
                .all(|point| point.minute == at(0).minute())
        );
        assert!(latest(at(60_000), at(120_000)).await.is_empty());
        assert_eq!(
            store
                .metric_list(&DeploymentId::new("dep-0"))
                .await
                .unwrap(),
            []
        );
    })
    .await;
}

#[tokio::test]
async fn hooks_and_signatures() {
    on_every_database(async |database| {
        let store = &database.store;
        let hook = |number: i64| HookRecord {
            deployment_aws_id: "d-1".to_string(),
            execution_id: format!("exec-{number}"),
            received_at: at(number),
            state: "waiting".to_string(),
            detail: None,
        };
        let mut tx = store.begin().await.unwrap();
        for number in [2, 1, 3] {
            assert!(tx.hook_insert(&hook(number)).await.unwrap());
            assert!(
                !tx.hook_insert(&hook(number)).await.unwrap(),
                "received twice"
            );
        }
        tx.hook_update("d-1", "exec-3", "refused", Some("unknown deployment"))
            .await
            .unwrap();
        let again = tx.hook_update("d-1", "exec-3", "gate", None).await;
        assert!(
            matches!(again, Err(StoreError::Conflict { .. })),
            "{again:?}"
        );
        tx.commit().await.unwrap();
        assert_eq!(store.hook_list_waiting().await.unwrap(), [hook(1), hook(2)]);

        let mut tx = store.begin().await.unwrap();
        assert!(tx.signature_use("t=1,v1=aa", at(0)).await.unwrap());
        assert!(
            !tx.signature_use("t=1,v1=aa", at(3600)).await.unwrap(),
            "used twice"
        );
        assert!(tx.signature_use("t=1,v1=bb", at(3600)).await.unwrap());
        // Forgotten after an hour, long after it has stopped being good.
        assert!(tx.signature_use("t=1,v1=aa", at(3601)).await.unwrap());
        tx.commit().await.unwrap();
        let mut tx = store.begin().await.unwrap();
        assert!(
            !tx.signature_use("t=1,v1=bb", at(3602)).await.unwrap(),
            "used twice"
        );
    })
    .await;
}

#[tokio::test]
async fn users_tokens_and_idempotency_keys() {
    on_every_database(async |database| {
        let store = &database.store;
        let dana = user("dana", 1);
        let token = TokenRecord {
            name: "ci".to_string(),
            token_sha256: "ab".repeat(32),
            roles: Role::ALL.to_vec(),
        };
        let mut tx = store.begin().await.unwrap();
        tx.user_insert(&dana).await.unwrap();
        tx.token_insert(&token).await.unwrap();
        assert!(
            tx.idempotency_insert("dana", "k", "/r", "aa", 201, "{\"a\":1}", at(0))
                .await
                .unwrap()
        );
        assert!(
            !tx.idempotency_insert("dana", "k", "/r", "bb", 200, "", at(0))
                .await
                .unwrap()
        );
        assert!(
            tx.idempotency_insert("mira", "k", "/r", "bb", 409, "", at(0))
                .await
                .unwrap()
        );
        tx.commit().await.unwrap();
        assert_eq!(store.user_fetch_by_name("dana").await.unwrap(), Some(dana));
        assert_eq!(store.user_fetch_by_name("Dana").await.unwrap(), None);
        assert_eq!(
            store.token_fetch(&"ab".repeat(32)).await.unwrap(),
            Some(token)
        );
        assert_eq!(store.token_fetch("ab").await.unwrap(), None);
        assert_eq!(store.user_count().await.unwrap(), 1);
        assert_eq!(store.token_count().await.unwrap(), 1);
        assert_eq!(
            store.idempotency_fetch("dana", "k").await.unwrap(),
            Some(IdempotencyRecord {
                route: "/r".to_string(),
                body_sha256: "aa".to_string(),
                status: 201,
                body: "{\"a\":1}".to_string(),
            })
        );
        assert_eq!(store.idempotency_fetch("noor", "k").await.unwrap(), None);

        // An effect that was committed with its key waits for its answer, which is kept once.
        let mut tx = store.begin().await.unwrap();
        let unanswered = IdempotencyRecord::UNANSWERED;
        tx.idempotency_insert("dana", "k2", "/r", "aa", unanswered, "op-1", at(0))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let waiting = store.idempotency_fetch("dana", "k2").await.unwrap();
        assert_eq!(
            waiting.as_ref().and_then(IdempotencyRecord::unanswered),
            Some("op-1")
        );
        let mut tx = store.begin().await.unwrap();
        for (key, kept) in [("k2", true), ("k2", false), ("k", false), ("k3", false)] {
            let answered = tx.idempotency_answer("dana", key, 202, "{}").await;
            assert_eq!(answered.unwrap(), kept, "{key}");
        }
        tx.commit().await.unwrap();
        let answered = store.idempotency_fetch("dana", "k2").await.unwrap();
        let answered = answered.unwrap();
        assert_eq!((answered.unanswered(), answered.status), (None, 202));
        let mut tx = store.begin().await.unwrap();
        let taken = tx.user_insert(&user("dana", 2)).await;
        assert!(
            matches!(taken, Err(StoreError::Conflict { .. })),
            "{taken:?}"
        );
    })
    .await;
}

/// What the code would refuse to read, the database refuses to keep.
#[tokio::test]
async fn the_database_refuses_what_is_in_no_enum() {
    on_every_database(async |database| {
        let store = &database.store;
        let (web, deployment) = recorded(store).await;
        let mut tx = store.begin().await.unwrap();
        tx.gate_insert(&gate(&deployment, "exec-1")).await.unwrap();
        tx.operation_insert(&operation(&web, 1)).await.unwrap();
        tx.revision_upsert(None, &revision(1)).await.unwrap();
        tx.decision_insert(&decision(&gate(&deployment, "exec-1"), "dana"))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let raw = database.raw().await;
        for (table, column) in [
            ("services", "controller"),
            ("revisions", "status"),
            ("deployments", "outcome"),
            ("deployments", "phase"),
            ("deployments", "outcome_cause"),
            ("deployments", "previous_evidence"),
            ("gates", "kind"),
            ("gates", "state"),
            ("gates", "verdict"),
            ("gates", "delivery"),
            ("decisions", "verdict"),
            ("operations", "kind"),
            ("operations", "state"),
        ] {
            let error = sqlx::query(&format!("update {table} set {column} = 'nonsense'"))
                .execute(&raw)
                .await
                .unwrap_err();
            let refused = error.as_database_error().unwrap();
            assert!(refused.is_check_violation(), "{table}.{column}: {error}");
        }
        raw.close().await;
        let mut tx = store.begin().await.unwrap();
        let refused = tx.change_append("nonsense", "x", None, at(0)).await;
        assert!(
            matches!(refused, Err(StoreError::Refused { .. })),
            "{refused:?}"
        );
        drop(tx);
        let mut tx = store.begin().await.unwrap();
        let orphan = deployment_of_nobody();
        let refused = tx.deployment_insert(&orphan).await;
        assert!(
            matches!(refused, Err(StoreError::Refused { .. })),
            "{refused:?}"
        );
    })
    .await;
}

fn deployment_of_nobody() -> switchback_store::records::DeploymentRecord {
    deployment(&service("nobody"), "d-77", at(0))
}

/// A row that makes no record is named: table, column and row.
#[tokio::test]
async fn a_row_that_makes_no_record_is_named() {
    on_every_database(async |database| {
        let (_, deployment) = recorded(&database.store).await;
        let raw = database.raw().await;
        sqlx::query("update deployments set reading = '{', target_revision = 'web:7'")
            .execute(&raw)
            .await
            .unwrap();
        raw.close().await;
        let error = database
            .store
            .deployment_fetch(&deployment.id)
            .await
            .unwrap_err();
        let StoreError::Inconsistent {
            table, column, row, ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(
            (table, column, row.as_str()),
            ("deployments", "target_revision", deployment.id.as_str())
        );
    })
    .await;
}

#[tokio::test]
async fn watch_marks_only_go_forward() {
    on_every_database(async |database| {
        let store = &database.store;
        assert_eq!(store.watch_fetch(ACCOUNT, REGION).await.unwrap(), None);
        for (until, expected) in [(at(5), at(5)), (at(3), at(5)), (at(9), at(9))] {
            let mut tx = store.begin().await.unwrap();
            tx.watch_mark_set(ACCOUNT, REGION, until).await.unwrap();
            tx.commit().await.unwrap();
            let found = store.watch_fetch(ACCOUNT, REGION).await.unwrap();
            assert_eq!(found.map(|watch| watch.listed_until), Some(expected));
        }
        let elsewhere = store.watch_fetch(ACCOUNT, "us-east-1").await.unwrap();
        assert_eq!(elsewhere, None);
    })
    .await;
}
