//! The ledger against the simulated account's DynamoDB, with what goes wrong on the way: throttling, conflicts of
//! transactions, answers that are lost before and after the effect, and two writers at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::json;
use std::sync::Arc;
use switchback_aws::AwsLedger;
use switchback_aws::AwsSettings;
use switchback_aws_sim::door;
use switchback_aws_sim::door::faults::Fault;
use switchback_aws_sim::door::faults::FaultKind;
use switchback_cloud::WhatToDo;
use switchback_cloud::ledger::ENTRY_TOO_LARGE;
use switchback_cloud::ledger::Ledger;
use switchback_cloud::ledger::LedgerHead;
use switchback_cloud::ledger::LedgerIntent;
use switchback_cloud::ledger::LedgerOutcome;
use switchback_cloud::ledger::LedgerRevision;
use switchback_cloud::ledger::LedgerService;
use switchback_cloud::ledger::LedgerTable;
use switchback_cloud::ledger::LedgerWrite;
use switchback_cloud::ledger::LedgerWritten;
use switchback_domain::deployment::Outcome;
use switchback_domain::ids::OperationId;
use switchback_domain::moment::Moment;
use switchback_domain::operation::OperationKind;
use switchback_domain::operation::OperationState;
use switchback_domain::revision::RevisionArn;

struct Account {
    running: door::Running,
    ledger: AwsLedger,
}

impl Account {
    async fn start() -> Account {
        let running = door::serve(door::Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            speed: 1.0,
            seed: 7,
            empty: true,
            relay_url: None,
            relay_secret: None,
            start_ms: 1_795_000_000_000,
            progress: |_| {},
        })
        .await
        .unwrap();
        let settings = AwsSettings {
            region: Some("eu-central-1".to_string()),
            endpoint_url: Some(running.endpoint()),
            credentials: Some(("key".to_string(), "secret".to_string())),
            role: None,
            machine_clock: Arc::new(|| Moment::from_millis(0)),
        };
        let ledger = AwsLedger::connect(settings, "switchback-ledger".to_string()).await;
        Account { running, ledger }
    }

    async fn with_table() -> Account {
        let account = Account::start().await;
        account.ledger.create().await.unwrap();
        account
    }

    fn fault(&self, operation: &str, fault: FaultKind, times: u64) {
        self.running
            .add_fault(Fault {
                account: None,
                service: Some("dynamodb".to_string()),
                operation: Some(operation.to_string()),
                fault,
                every: None,
                times: Some(times),
                delay_ms: None,
                stale_s: None,
            })
            .unwrap();
    }

    /// How often the faults in force fired.
    fn fired(&self) -> u64 {
        self.running.faults().iter().map(|fault| fault.fired).sum()
    }

    async fn version(&self) -> i64 {
        let head = self.ledger.head(&web()).await.unwrap();
        head.map_or(0, |head| head.version)
    }
}

fn web() -> LedgerService {
    LedgerService {
        account: "123456789012".to_string(),
        region: "eu-central-1".to_string(),
        cluster: "main".to_string(),
        service: "web".to_string(),
    }
}

fn arn(number: u32) -> RevisionArn {
    RevisionArn::parse(&format!(
        "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:{number}"
    ))
    .unwrap()
}

fn head(version: i64, write_id: &str) -> LedgerHead {
    LedgerHead {
        version,
        sequence: version,
        serving_revision: Some(arn(2)),
        previous_revision: Some(arn(1)),
        active_operation: None,
        as_of: Moment::from_millis(1_795_000_000_000),
        write_id: write_id.to_string(),
    }
}

fn revision(aws_id: &str) -> LedgerRevision {
    LedgerRevision {
        sequence: 1,
        deployment: Some(aws_id.to_string()),
        at: Moment::from_millis(1_795_000_000_000),
        revision: Some(arn(2)),
        task_definition: Some(json!({
            "family": "web", "cpu": "256", "volumes": [], "placement": null,
            "containerDefinitions": [{"name": "web", "image": "web:2", "cpu": 0.5, "environment": [{"name": "A", "value": ""}]}],
        })),
        images: Vec::new(),
        previous_revision: Some(arn(1)),
        previous_evidence: None,
        app_spec: Some("version: 0.0".to_string()),
        strategy: Some("CodeDeployDefault.ECSAllAtOnce".to_string()),
        deployment_group: Some(("shop".to_string(), "web-group".to_string())),
        alarms: vec!["web-5xx".to_string()],
        actor: Some("dana".to_string()),
        reason: None,
        description: Some("release 2".to_string()),
        operation: None,
        rollback_of: None,
    }
}

fn outcome(millis: i64, outcome: Outcome) -> LedgerOutcome {
    LedgerOutcome {
        seen_at: Moment::from_millis(millis),
        outcome,
        cause: None,
        detail: None,
        ended_at: Some(Moment::from_millis(millis)),
    }
}

fn intent(generation: i64, state: OperationState) -> LedgerIntent {
    LedgerIntent {
        operation: OperationId::from_random([7; 8]),
        generation,
        kind: OperationKind::Redeploy,
        state,
        target_revision: Some(arn(1)),
        actor: "dana".to_string(),
        reason: "INC-1".to_string(),
        plan: json!({"digest": "cc", "calls": []}),
        call: json!({"region": "eu-central-1"}),
        aws_id: None,
        detail: None,
        created_at: Moment::from_millis(1_795_000_000_000),
        called_at: None,
        attempts: 0,
    }
}

fn only(head: LedgerHead) -> LedgerWrite {
    LedgerWrite {
        head,
        revisions: Vec::new(),
        outcome: None,
        intent: None,
    }
}

#[tokio::test]
async fn the_table_is_made_protected_and_told_apart_from_one_that_does_not_fit() {
    let account = Account::start().await;
    assert_eq!(account.ledger.inspect().await.unwrap(), None);
    account.ledger.create().await.unwrap();
    let expected = LedgerTable {
        status: "ACTIVE".to_string(),
        keys_fit: true,
        deletion_protection: true,
        point_in_time_recovery: Some(true),
    };
    assert_eq!(
        account.ledger.inspect().await.unwrap(),
        Some(expected.clone())
    );
    // A second time is no mistake and changes nothing.
    account.ledger.create().await.unwrap();
    assert_eq!(account.ledger.inspect().await.unwrap(), Some(expected));
    assert_eq!(
        account.running.journal(),
        [],
        "DynamoDB is not in the journal"
    );
    account.running.shutdown().await;
}

#[tokio::test]
async fn everything_comes_back_as_it_was_written() {
    let account = Account::with_table().await;
    assert_eq!(account.ledger.services().await.unwrap(), []);
    let write = LedgerWrite {
        revisions: vec![revision("d-1")],
        intent: Some(intent(1, OperationState::Intended)),
        ..only(head(1, "one"))
    };
    assert_eq!(
        account.ledger.write(&web(), &write).await.unwrap(),
        LedgerWritten::Done
    );
    let ended = outcome(1_795_000_060_000, Outcome::Succeeded);
    let write = LedgerWrite {
        outcome: Some((revision("d-1"), ended.clone())),
        intent: Some(intent(2, OperationState::Submitted)),
        ..only(head(2, "two"))
    };
    assert_eq!(
        account.ledger.write(&web(), &write).await.unwrap(),
        LedgerWritten::Done
    );
    assert_eq!(account.ledger.services().await.unwrap(), [web()]);
    let partition = account.ledger.partition(&web()).await.unwrap();
    assert_eq!(partition.head, Some(head(2, "two")));
    assert_eq!(partition.revisions, [(revision("d-1"), Some(ended))]);
    assert_eq!(partition.intents, [intent(2, OperationState::Submitted)]);
    account.running.shutdown().await;
}

#[tokio::test]
async fn nothing_that_stands_there_is_overwritten_by_something_older() {
    let account = Account::with_table().await;
    let ledger = &account.ledger;
    let first = LedgerWrite {
        revisions: vec![revision("d-1")],
        outcome: None,
        intent: Some(intent(3, OperationState::Done)),
        head: head(1, "one"),
    };
    assert_eq!(
        ledger.write(&web(), &first).await.unwrap(),
        LedgerWritten::Done
    );
    // The head was made once; the next must name the one it replaces.
    for (version, expected) in [(1, LedgerWritten::HeadMoved), (3, LedgerWritten::HeadMoved)] {
        let write = only(head(version, "other"));
        assert_eq!(
            ledger.write(&web(), &write).await.unwrap(),
            expected,
            "{version}"
        );
    }
    let mut other = revision("d-1");
    other.previous_revision = None;
    let again = LedgerWrite {
        revisions: vec![other],
        ..only(head(2, "again"))
    };
    assert_eq!(
        ledger.write(&web(), &again).await.unwrap(),
        LedgerWritten::RecordedAlready
    );
    let older = LedgerWrite {
        intent: Some(intent(2, OperationState::Calling)),
        ..only(head(2, "older"))
    };
    assert_eq!(
        ledger.write(&web(), &older).await.unwrap(),
        LedgerWritten::RecordedAlready
    );
    let ends = |millis, how| LedgerWrite {
        outcome: Some((revision("d-1"), outcome(millis, how))),
        ..only(head(2, "ends"))
    };
    let failed = ends(1_795_000_060_000, Outcome::Failed);
    assert_eq!(
        ledger.write(&web(), &failed).await.unwrap(),
        LedgerWritten::Done
    );
    let mut stale = ends(1_795_000_030_000, Outcome::Succeeded);
    stale.head = head(3, "stale");
    assert_eq!(
        ledger.write(&web(), &stale).await.unwrap(),
        LedgerWritten::RecordedAlready
    );
    let mut rolled_back = ends(1_795_000_090_000, Outcome::RolledBack);
    rolled_back.head = head(3, "rolled back");
    assert_eq!(
        ledger.write(&web(), &rolled_back).await.unwrap(),
        LedgerWritten::Done
    );

    let partition = ledger.partition(&web()).await.unwrap();
    assert_eq!(partition.head.map(|head| head.version), Some(3));
    assert_eq!(partition.revisions[0].0, revision("d-1"));
    assert_eq!(
        partition.revisions[0].1.as_ref().map(|ended| ended.outcome),
        Some(Outcome::RolledBack)
    );
    assert_eq!(partition.intents, [intent(3, OperationState::Done)]);
    account.running.shutdown().await;
}

#[tokio::test]
async fn a_write_is_sent_once_and_a_lost_answer_is_looked_for() {
    let account = Account::with_table().await;
    let ledger = &account.ledger;
    let writes = "TransactWriteItems";
    // What goes wrong once; what the caller hears; whether it stands there.
    let nothing = Err(WhatToDo::Retry);
    let table = [
        (FaultKind::Throttle, nothing.clone(), 0),
        (FaultKind::Conflict, nothing.clone(), 0),
        (FaultKind::ErrorBefore, nothing.clone(), 0),
        (FaultKind::ConnectionCut, nothing, 0),
        (FaultKind::ErrorAfter, Ok(LedgerWritten::Done), 1),
        (FaultKind::ResponseLost, Ok(LedgerWritten::Done), 1),
    ];
    let mut version = 0;
    for (kind, expected, grows) in table {
        account.running.remove_faults(None);
        account.fault(writes, kind, 5);
        let write = only(head(version + 1, &format!("{kind:?}")));
        let heard = ledger.write(&web(), &write).await;
        assert_eq!(heard.map_err(|error| error.kind), expected, "{kind:?}");
        assert_eq!(account.fired(), 1, "{kind:?} was sent more than once");
        version += grows;
        assert_eq!(account.version().await, version, "{kind:?}");
    }
    // Neither the answer nor the table: then it is said that nobody knows.
    account.running.remove_faults(None);
    account.fault(writes, FaultKind::ResponseLost, 1);
    account.fault("GetItem", FaultKind::ErrorBefore, 5);
    let write = only(head(version + 1, "dark"));
    let error = ledger.write(&web(), &write).await.unwrap_err();
    assert_eq!(error.kind, WhatToDo::Unknown, "{error}");
    account.running.remove_faults(None);
    assert_eq!(account.version().await, version + 1);
    account.running.shutdown().await;
}

#[tokio::test]
async fn reads_outlive_a_throttle() {
    let account = Account::with_table().await;
    let write = only(head(1, "one"));
    account.ledger.write(&web(), &write).await.unwrap();
    account.fault("GetItem", FaultKind::Throttle, 2);
    assert_eq!(account.version().await, 1);
    account.fault("Query", FaultKind::ConnectionCut, 1);
    let partition = account.ledger.partition(&web()).await.unwrap();
    assert_eq!(partition.head, Some(head(1, "one")));
    account.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writers_at_once_none_loses_what_the_other_wrote() {
    const WRITERS: i64 = 4;
    const EACH: i64 = 15;
    let account = Arc::new(Account::with_table().await);
    // Every seventh write meets somebody else's transaction, every eleventh loses its answer.
    for (kind, every) in [(FaultKind::Conflict, 7), (FaultKind::ResponseLost, 11)] {
        account
            .running
            .add_fault(Fault {
                account: None,
                service: Some("dynamodb".to_string()),
                operation: Some("TransactWriteItems".to_string()),
                fault: kind,
                every: Some(every),
                times: None,
                delay_ms: None,
                stale_s: None,
            })
            .unwrap();
    }
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let account = account.clone();
        writers.push(tokio::spawn(async move {
            let mut tries = 0;
            for number in 0..EACH {
                let mut entry = revision(&format!("d-{writer}-{number}"));
                loop {
                    tries += 1;
                    let before = account.ledger.head(&web()).await.unwrap();
                    let before = before.map_or(0, |head| head.version);
                    entry.sequence = before + 1;
                    let name = format!("{writer}-{number}-{tries}");
                    let write = LedgerWrite {
                        revisions: vec![entry.clone()],
                        ..only(head(before + 1, &name))
                    };
                    match account.ledger.write(&web(), &write).await {
                        Ok(LedgerWritten::Done | LedgerWritten::RecordedAlready) => break,
                        Ok(LedgerWritten::HeadMoved) => {}
                        Err(error) => assert_eq!(error.kind, WhatToDo::Retry, "{error}"),
                    }
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let partition = account.ledger.partition(&web()).await.unwrap();
    let mut sequences: Vec<i64> = partition
        .revisions
        .iter()
        .map(|(revision, _)| revision.sequence)
        .collect();
    sequences.sort_unstable();
    let expected: Vec<i64> = (1..=WRITERS * EACH).collect();
    assert_eq!(sequences, expected, "an update was lost or made twice");
    assert_eq!(
        partition.head.map(|head| head.version),
        Some(WRITERS * EACH)
    );
}

#[tokio::test]
async fn an_entry_that_is_too_large_is_refused_before_it_is_sent() {
    let account = Account::with_table().await;
    let mut entry = revision("d-1");
    entry.task_definition = Some(json!({"family": "x".repeat(400 * 1024)}));
    let write = LedgerWrite {
        revisions: vec![entry],
        ..only(head(1, "one"))
    };
    let error = account.ledger.write(&web(), &write).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_str()),
        (WhatToDo::Never, ENTRY_TOO_LARGE)
    );
    assert_eq!(account.version().await, 0);
    // One that just fits is taken by the table as well: our count is not below its own.
    let mut entry = revision("d-1");
    entry.task_definition = Some(json!({"family": "x".repeat(408_000)}));
    let write = LedgerWrite {
        revisions: vec![entry],
        ..only(head(1, "one"))
    };
    assert_eq!(
        account.ledger.write(&web(), &write).await.unwrap(),
        LedgerWritten::Done
    );
    account.running.shutdown().await;
}
