//! One run: a scene is set, the act is done while the fault strikes, everything is healed, and then the
//! account's journal, the database, the API and the page must tell one and the same story.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::account::seconds;
use crate::campaign::crew::Crew;
use crate::campaign::database::Lock;
use crate::campaign::database::Standing;
use crate::campaign::database::Step;
use crate::campaign::proxy::Holding;
use crate::campaign::proxy::Rule;
use crate::campaign::proxy::held;
use crate::campaign::site::PATIENCE;
use crate::campaign::site::Site;
use crate::campaign::table::Act;
use crate::campaign::table::Fault;
use crate::campaign::table::Run;
use crate::refusals::post_hook;
use crate::refusals::signature;
use crate::team::GATE;
use crate::team::NO_HOOK;
use crate::wait::until;
use crate::wire;
use crate::wire::Answer;
use crate::world::RELAY_SECRET;
use crate::world::TOKEN;

/// The reason of every act.
const REASON: &str = "INC-7: it burns";

/// How long a request or an answer is given to run into a lock. Too short a time makes a run less sharp, never wrong:
/// which boundary it hit is read from the database afterwards.
const INTO_THE_LOCK: Duration = Duration::from_millis(150);

/// Where a process died, by what was committed and what AWS had done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    NothingCommitted,
    IntentOnly,
    CallingWithoutEffect,
    EffectUnrecorded,
    AnswerRecorded,
    Ended,
}

impl Boundary {
    pub const ALL: [Boundary; 6] = [
        Boundary::NothingCommitted,
        Boundary::IntentOnly,
        Boundary::CallingWithoutEffect,
        Boundary::EffectUnrecorded,
        Boundary::AnswerRecorded,
        Boundary::Ended,
    ];
}

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    pub number: u64,
    pub act: Act,
    pub fault: Fault,
    /// Where the process died, first and second; empty when it did not.
    pub died_at: Vec<Boundary>,
    /// How many calls took effect.
    pub effects: usize,
    /// How many calls were made.
    pub calls: usize,
    /// Whether the record said *unknown*, or a call without a known answer, when the fault was over.
    pub was_unknown: bool,
    /// How the operation or the delivery ended.
    pub ended_as: String,
    /// Milliseconds from the end of the fault, and of the restart if there was one, until the record knew what had become
    /// of the act. The account's clock runs about fifty times faster meanwhile.
    pub known_after_ms: u64,
}

/// What the act is about.
struct Scene {
    crew: Arc<Crew>,
    /// The deployment that is decided about, stopped or undone.
    aws_id: String,
    old: String,
    new: String,
    /// The gate as it was shown, if there is one.
    gate: Option<Value>,
    /// What is asked; nothing when a fuse burns out.
    ask: Option<Ask>,
}

/// A request that can be sent again.
#[derive(Clone)]
struct Ask {
    url: String,
    body: String,
    key: String,
}

impl Ask {
    async fn send(&self) -> Result<Answer, String> {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", self.key.as_str()),
        ];
        wire::send(Method::POST, &self.url, &headers, self.body.clone()).await
    }
}

type Sent = JoinHandle<Result<Answer, String>>;

/// Carries a run out to its end.
pub async fn carry_out(site: &mut Site, run: &Run) -> Record {
    let scene = set(site, run).await;
    let mut died_at = Vec::new();
    let sent = strike(site, run, &scene, &mut died_at).await;

    // Everything is healed.
    site.account.heal().await;
    site.door.heal();
    if !site.is_running() {
        site.start_server().await;
    }
    let healed_at = tokio::time::Instant::now();
    if let Some(after) = run.second_death_ms {
        tokio::time::sleep(Duration::from_millis(after)).await;
        let standing = site.eye().await.standing(run.act, &run.service()).await;
        site.kill_server();
        died_at.push(boundary(site, run, &scene, &standing).await);
        site.start_server().await;
    }
    let mut answer = asked_again(site, &scene, sent).await;
    let mut eye = site.eye().await;
    let standing = eye.standing(run.act, &run.service()).await;
    let was_unknown = standing.step == Step::Calling;
    // In small steps until it is known what became of the act: the time that this takes is measured.
    site.passing(&format!("{}: known", run.name()), 2, PATIENCE, async || {
        let standing = eye.standing(run.act, &run.service()).await;
        if standing.step >= Step::Answered {
            Ok(())
        } else {
            Err(format!("{standing:?}"))
        }
    })
    .await;
    let known_after_ms = u64::try_from(healed_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    ended(site, run, &scene).await;
    if run.fault == Fault::KillAfterTheEnd {
        let standing = eye.standing(run.act, &run.service()).await;
        site.kill_server();
        died_at.push(boundary(site, run, &scene, &standing).await);
        site.start_server().await;
    }
    if let Some(first) = &answer {
        // Whoever was answered and asks again hears the same, and nothing happens.
        let again = scene
            .ask
            .as_ref()
            .expect("an answer was asked for")
            .send()
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", run.name()));
        assert_eq!(
            (again.status, again.header("idempotency-replayed")),
            (first.status, "true"),
            "{}: {}",
            run.name(),
            again.body
        );
        assert_eq!(again.json()["id"], first.json()["id"], "{}", run.name());
        answer = Some(again);
    }
    if run.fault == Fault::HookAgain {
        hook_again(site, run, &scene).await;
    }
    drop(answer);
    let standing = eye.standing(run.act, &run.service()).await;
    let (effects, calls) = check(site, run, &scene).await;
    Record {
        number: run.number,
        act: run.act,
        fault: run.fault,
        died_at,
        effects,
        calls,
        was_unknown,
        ended_as: standing.state,
        known_after_ms,
    }
}

// ---- the scene -----------------------------------------------------------------------------------------

async fn set(site: &Site, run: &Run) -> Scene {
    let crew = site.crew(run);
    let service = run.service();
    if run.act.redeploys() {
        let history = site
            .api
            .items(&format!("/deployments?service={service}"))
            .await;
        let before = history.first().expect("the release before is recorded");
        let text = |member: &str| before[member].as_str().unwrap_or_default().to_string();
        let new = text("target_revision");
        let old = crew.first_revision(&new);
        return Scene {
            aws_id: text("id"),
            ask: Some(rollback(site, run, &old).await),
            gate: None,
            new,
            old,
            crew,
        };
    }
    let new = crew.registers("2").await;
    let hook = if run.act.has_hook() { GATE } else { NO_HOOK };
    let aws_id = crew.deploys(&new, true, hook, "the release").await;
    let mut scene = Scene {
        old: crew.first_revision(&new),
        new,
        gate: None,
        ask: None,
        aws_id: aws_id.clone(),
        crew,
    };
    if run.act.is_sent_as_such() {
        site.passing("the canary takes traffic", 5, PATIENCE, async || {
            let answer = site.api.get(&format!("/deployments/{aws_id}")).await;
            if answer.status == 200 && answer.json()["phase"] == "shifting" {
                return Ok(());
            }
            Err(answer.body)
        })
        .await;
        scene.ask = Some(rollback(site, run, &scene.old).await);
        return scene;
    }
    let gate = site
        .passing("a gate opens", 5, PATIENCE, async || {
            let open = site.api.items("/gates?state=open").await;
            let own = open
                .iter()
                .find(|gate| gate["deployment"]["aws_id"] == aws_id.as_str());
            own.cloned().ok_or_else(|| format!("{open:?}"))
        })
        .await;
    scene.ask = match run.act {
        Act::FuseBurnsOut => None,
        Act::RejectAsRollback => Some(rollback(site, run, &scene.old).await),
        _ => Some(decision(site, run, &gate)),
    };
    scene.gate = Some(gate);
    scene
}

fn decision(site: &Site, run: &Run, gate: &Value) -> Ask {
    let verdict = if run.act.goes_on() {
        "approve"
    } else {
        "reject"
    };
    let id = gate["id"].as_str().unwrap_or_default();
    let body = json!({
        "verdict": verdict, "reason": REASON, "evidence_digest": gate["evidence_digest"],
    });
    Ask {
        url: format!("{}/api/v1/gates/{id}/decisions", site.api.base),
        body: body.to_string(),
        key: format!("decision-{}", run.number),
    }
}

async fn rollback(site: &Site, run: &Run, target: &str) -> Ask {
    let path = format!("/services/{}/rollbacks", run.service());
    let plan = site
        .api
        .post(&format!("{path}/plan"), &json!({ "target": target }))
        .await
        .is(200);
    let kind = match run.act {
        act if act.redeploys() => "redeploy",
        act if act.is_sent_as_such() => "stop_in_flight",
        _ => "reject_at_gate",
    };
    assert_eq!(plan["kind"], kind, "{}: {plan}", run.name());
    let body = json!({ "target": target, "reason": REASON, "plan_digest": plan["digest"] });
    Ask {
        url: format!("{}/api/v1{path}", site.api.base),
        body: body.to_string(),
        key: format!("rollback-{}", run.number),
    }
}

// ---- the act and the fault -----------------------------------------------------------------------------

/// Begins the act. For a fuse that is letting time pass.
async fn begin(site: &Site, scene: &Scene) -> Option<Sent> {
    if let Some(ask) = scene.ask.clone() {
        return Some(tokio::spawn(async move { ask.send().await }));
    }
    let gate = scene.gate.as_ref().expect("a fuse belongs to a gate");
    let expires_at = seconds(gate["expires_at"].as_str().unwrap_or_default());
    let left = expires_at - site.account.now().await + 2;
    site.account
        .advance(u32::try_from(left).unwrap_or_default())
        .await;
    None
}

/// Begins the act, which runs into a lock; gives the lock when exactly the intent is committed.
async fn up_to_the_intent(site: &Site, run: &Run, scene: &Scene) -> (Option<Sent>, Lock) {
    let lock = site.database.lock().await;
    let sent = begin(site, scene).await;
    tokio::time::sleep(INTO_THE_LOCK).await;
    let mut eye = site.eye().await;
    lock.release().await;
    let waited = tokio::time::Instant::now();
    while eye.standing(run.act, &run.service()).await.step < Step::Intent {
        assert!(waited.elapsed() < PATIENCE, "{}: no intent", run.name());
        tokio::task::yield_now().await;
    }
    (sent, site.database.lock().await)
}

/// Does the act while the fault strikes.
async fn strike(
    site: &mut Site,
    run: &Run,
    scene: &Scene,
    died_at: &mut Vec<Boundary>,
) -> Option<Sent> {
    let before = site.log().len();
    let act = run.act;
    match run.fault {
        Fault::KillBeforeTheIntent => {
            let lock = site.database.lock().await;
            let sent = begin(site, scene).await;
            tokio::time::sleep(INTO_THE_LOCK).await;
            die(site, run, scene, died_at).await;
            lock.release().await;
            sent
        }
        Fault::KillAfterTheIntent => {
            let (sent, lock) = up_to_the_intent(site, run, scene).await;
            die(site, run, scene, died_at).await;
            lock.release().await;
            sent
        }
        Fault::KillAndTheRequestIsLost
        | Fault::KillAndTheRequestArrives
        | Fault::KillAndTheRequestArrivesLate => {
            let (rule, holding) = held();
            site.door.expects(Rule::HoldRequest(rule));
            let sent = begin(site, scene).await;
            let holding = reached(run, holding).await;
            die(site, run, scene, died_at).await;
            if run.fault == Fault::KillAndTheRequestArrivesLate {
                site.start_server().await;
                let looks = site.door.reads() + 2;
                until("it has looked at AWS again", PATIENCE, async || {
                    let reads = site.door.reads();
                    (reads >= looks).then_some(()).ok_or(reads.to_string())
                })
                .await;
            }
            if run.fault != Fault::KillAndTheRequestIsLost {
                goes_on(holding).await;
            }
            sent
        }
        Fault::KillAfterTheEffect => {
            let (rule, holding) = held();
            site.door.expects(Rule::HoldAnswer(rule));
            let sent = begin(site, scene).await;
            let _holding = reached(run, holding).await;
            die(site, run, scene, died_at).await;
            sent
        }
        Fault::KillTwiceAfterTheEffect => {
            let (rule, holding) = held();
            site.door.expects(Rule::HoldAnswer(rule));
            let sent = begin(site, scene).await;
            let _holding = reached(run, holding).await;
            die(site, run, scene, died_at).await;
            let looks = site.door.reads() + 1;
            site.start_server().await;
            until("it looks at AWS", PATIENCE, async || {
                let reads = site.door.reads();
                (reads >= looks).then_some(()).ok_or(reads.to_string())
            })
            .await;
            die(site, run, scene, died_at).await;
            sent
        }
        Fault::KillBeforeTheAnswerIsRecorded => {
            let (rule, holding) = held();
            site.door.expects(Rule::HoldAnswer(rule));
            let sent = begin(site, scene).await;
            let holding = reached(run, holding).await;
            let lock = site.database.lock().await;
            goes_on(holding).await;
            tokio::time::sleep(INTO_THE_LOCK).await;
            die(site, run, scene, died_at).await;
            lock.release().await;
            sent
        }
        Fault::KillAfterTheAnswerIsRecorded => {
            let sent = begin(site, scene).await;
            let mut eye = site.eye().await;
            let waited = tokio::time::Instant::now();
            while eye.standing(run.act, &run.service()).await.step < Step::Answered {
                assert!(waited.elapsed() < PATIENCE, "{}: no answer", run.name());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            die(site, run, scene, died_at).await;
            sent
        }
        Fault::KillAfterTheEnd => begin(site, scene).await,
        Fault::Throttled => {
            fault(
                site,
                act,
                json!({ "fault": "throttle", "times": run.times }),
            )
            .await;
            struck(site, run, scene, run.times).await
        }
        Fault::ThrottledTooLong => {
            fault(site, act, json!({ "fault": "throttle" })).await;
            let sent = struck(site, run, scene, 1).await;
            let mut eye = site.eye().await;
            site.passing("the intent is given up", 60, PATIENCE, async || {
                let standing = eye.standing(run.act, &run.service()).await;
                (standing.step == Step::Ended)
                    .then_some(())
                    .ok_or_else(|| format!("{standing:?}"))
            })
            .await;
            sent
        }
        Fault::ErrorBefore => {
            fault(site, act, json!({ "fault": "error_before", "times": 1 })).await;
            struck(site, run, scene, 1).await
        }
        Fault::ErrorAfter => {
            fault(site, act, json!({ "fault": "error_after", "times": 1 })).await;
            struck(site, run, scene, 1).await
        }
        Fault::ResponseLost => {
            fault(site, act, json!({ "fault": "response_lost", "times": 1 })).await;
            struck(site, run, scene, 1).await
        }
        Fault::ConnectionCut => {
            fault(site, act, json!({ "fault": "connection_cut", "times": 1 })).await;
            struck(site, run, scene, 1).await
        }
        Fault::AnswerAfterTheEnd => {
            let (rule, holding) = held();
            site.door.expects(Rule::HoldAnswer(rule));
            let sent = begin(site, scene).await;
            let holding = reached(run, holding).await;
            // The client gives up after ten seconds; what is recorded by then is recorded.
            site.passing("it ends", 20, Duration::from_secs(8), async || {
                let open = site.unfinished(&scene.crew).await;
                if open.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{open:?}"))
                }
            })
            .await;
            goes_on(holding).await;
            sent
        }
        Fault::Forbidden => {
            site.door.expects(Rule::Forbid(run.times));
            let sent = begin(site, scene).await;
            // A verdict is told again, which the log tells; an operation has failed.
            let mut eye = site.eye().await;
            until("AWS has refused", PATIENCE, async || {
                let standing = eye.standing(run.act, &run.service()).await;
                let log = site.log();
                let told = log
                    .get(before..)
                    .unwrap_or_default()
                    .contains("AccessDenied");
                (told || standing.step == Step::Ended)
                    .then_some(())
                    .ok_or_else(|| format!("{standing:?}"))
            })
            .await;
            sent
        }
        Fault::ListedLate => {
            let known: BTreeSet<String> = site.listed(&scene.crew).await.into_iter().collect();
            site.door.lists_only(Some(known));
            fault(site, act, json!({ "fault": "response_lost", "times": 1 })).await;
            let sent = struck(site, run, scene, 1).await;
            pass(site, 4, 10).await;
            sent
        }
        Fault::RollbackNamedLate => {
            site.door.names_no_rollbacks(true);
            let sent = begin(site, scene).await;
            let mut eye = site.eye().await;
            site.passing("AWS has answered", 1, PATIENCE, async || {
                let standing = eye.standing(run.act, &run.service()).await;
                (standing.step >= Step::Answered)
                    .then_some(())
                    .ok_or_else(|| format!("{standing:?}"))
            })
            .await;
            pass(site, 5, 6).await;
            sent
        }
        Fault::HookAgain => {
            let (rule, holding) = held();
            site.door.expects(Rule::HoldRequest(rule));
            let sent = begin(site, scene).await;
            let holding = reached(run, holding).await;
            hook_again(site, run, scene).await;
            goes_on(holding).await;
            sent
        }
        Fault::BusyAtTheIntent | Fault::FullAtTheIntent => {
            let lock = harm(site, run).await;
            let sent = begin(site, scene).await;
            match sent {
                Some(sent) => {
                    let answer = sent.await.expect("the request's task ends");
                    let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", run.name()));
                    answer.refused(503, "database_unavailable");
                }
                None => site.says("a fuse could not be looked at", before).await,
            }
            recover(site, lock).await;
            None
        }
        Fault::BusyAtTheCall | Fault::FullAtTheCall => {
            let (sent, lock) = up_to_the_intent(site, run, scene).await;
            // On a loaded machine the product may have been faster than the lock, and has nothing more to write.
            let standing = site.eye().await.standing(run.act, &run.service()).await;
            let lock = if run.fault == Fault::FullAtTheCall {
                site.server().may_write(false);
                lock.release().await;
                None
            } else {
                Some(lock)
            };
            if standing.step < Step::Answered {
                site.says(unfinished_words(run.act), before).await;
            }
            recover(site, lock).await;
            sent
        }
        Fault::BusyAtTheAnswer | Fault::FullAtTheAnswer => {
            let (rule, holding) = held();
            site.door.expects(Rule::HoldAnswer(rule));
            let sent = begin(site, scene).await;
            let holding = reached(run, holding).await;
            let lock = harm(site, run).await;
            goes_on(holding).await;
            site.says(unfinished_words(run.act), before).await;
            recover(site, lock).await;
            sent
        }
    }
}

/// What the server says when an act could not be carried on.
const fn unfinished_words(act: Act) -> &'static str {
    match act.is_sent_as_such() {
        true => "an operation is not carried out yet",
        false => "a verdict is not delivered yet",
    }
}

async fn harm(site: &Site, run: &Run) -> Option<Lock> {
    if matches!(
        run.fault,
        Fault::FullAtTheIntent | Fault::FullAtTheCall | Fault::FullAtTheAnswer
    ) {
        site.server().may_write(false);
        return None;
    }
    Some(site.database.lock().await)
}

async fn recover(site: &Site, lock: Option<Lock>) {
    match lock {
        Some(lock) => lock.release().await,
        None => site.server().may_write(true),
    }
}

async fn fault(site: &Site, act: Act, mut fault: Value) {
    fault["service"] = json!(act.service());
    fault["operation"] = json!(act.call());
    site.account.tell("faults", fault).await;
}

/// Begins the act and waits until the account's fault has struck so many of its calls.
async fn struck(site: &Site, run: &Run, scene: &Scene, times: u64) -> Option<Sent> {
    let sent = begin(site, scene).await;
    until(
        &format!("{}: the fault strikes", run.name()),
        PATIENCE,
        async || {
            let faults = site.account.read("faults").await;
            let fired: u64 = faults
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|fault| fault["fired"].as_u64())
                .sum();
            if fired >= times {
                Ok(())
            } else {
                Err(faults.to_string())
            }
        },
    )
    .await;
    sent
}

async fn reached(run: &Run, mut holding: Holding) -> Holding {
    tokio::time::timeout(PATIENCE, &mut holding.reached)
        .await
        .unwrap_or_else(|_| panic!("{}: the call never came", run.name()))
        .unwrap_or_else(|_| panic!("{}: the door was healed too early", run.name()));
    holding
}

async fn goes_on(holding: Holding) {
    // Whoever waited for the answer may have given up.
    let _ = holding.go_on.send(());
    let _ = holding.done.await;
}

async fn pass(site: &Site, step_seconds: u32, steps: u32) {
    for _ in 0..steps {
        site.account.advance(step_seconds).await;
        let looks = site.door.reads() + 2;
        until("it looks at AWS", PATIENCE, async || {
            let reads = site.door.reads();
            (reads >= looks).then_some(()).ok_or(reads.to_string())
        })
        .await;
    }
}

async fn die(site: &mut Site, run: &Run, scene: &Scene, died_at: &mut Vec<Boundary>) {
    site.kill_server();
    let standing = site.eye().await.standing(run.act, &run.service()).await;
    died_at.push(boundary(site, run, scene, &standing).await);
}

async fn boundary(site: &Site, run: &Run, scene: &Scene, standing: &Standing) -> Boundary {
    let calls = site.calls(&scene.crew).await;
    let effects = site.effects(&scene.crew, run.act, &calls).await;
    match standing.step {
        Step::Nothing => Boundary::NothingCommitted,
        Step::Intent => Boundary::IntentOnly,
        Step::Calling if effects == 0 => Boundary::CallingWithoutEffect,
        Step::Calling => Boundary::EffectUnrecorded,
        Step::Answered => Boundary::AnswerRecorded,
        Step::Ended => Boundary::Ended,
    }
}

/// The same hook, as the relay posts it when it has heard no answer: signed anew.
async fn hook_again(site: &Site, run: &Run, scene: &Scene) {
    let gate = scene.gate.as_ref().expect("a hook opened a gate");
    let id = gate["id"].as_str().unwrap_or_default();
    let execution = site.eye().await.hook_execution(id).await;
    let body = json!({ "DeploymentId": scene.aws_id, "LifecycleEventHookExecutionId": execution });
    let body = body.to_string();
    // A second later than any signature before it.
    site.account.advance(1).await;
    let signature = signature(RELAY_SECRET, site.account.now().await, &body);
    let answer = post_hook(&site.api, &signature, &body).await.is(202);
    assert_eq!(answer["gate_id"], id, "{}: {answer}", run.name());
}

/// What whoever asked hears in the end: who got no answer asks again with the same key until there is one.
async fn asked_again(site: &Site, scene: &Scene, sent: Option<Sent>) -> Option<Answer> {
    let ask = scene.ask.as_ref()?;
    if let Some(sent) = sent
        && let Ok(answer) = sent.await.expect("the request's task ends")
        && answer.status < 300
    {
        return Some(answer);
    }
    let answer = until("the request is answered", PATIENCE, async || {
        let answer = ask.send().await?;
        // Anything but "try again" is an answer.
        if answer.status == 503 {
            Err(answer.body)
        } else {
            Ok(answer)
        }
    })
    .await;
    assert!(
        answer.status < 300,
        "whoever repeats a request after a crash at {} is told {}: {}",
        site.api.base,
        answer.status,
        answer.body
    );
    Some(answer)
}

// ---- the end ---------------------------------------------------------------------------------------------

/// Lets time pass until everything that the act began has ended, at AWS and in the record.
async fn ended(site: &Site, run: &Run, scene: &Scene) {
    let mut eye = site.eye().await;
    site.passing(
        &format!("{}: ended", run.name()),
        20,
        PATIENCE,
        async || {
            let standing = eye.standing(run.act, &run.service()).await;
            if standing.step < Step::Ended {
                return Err(format!("{standing:?}"));
            }
            let open = site.unfinished(&scene.crew).await;
            if !open.is_empty() {
                return Err(format!("AWS has not ended {open:?}"));
            }
            let path = format!("/deployments?service={}", run.service());
            let recorded = site.api.items(&path).await;
            let all = site.listed(&scene.crew).await;
            if recorded.len() != all.len() {
                return Err(format!("{} of {} are recorded", recorded.len(), all.len()));
            }
            match recorded
                .iter()
                .find(|deployment| deployment["outcome"] == "in_progress")
            {
                Some(open) => Err(open.to_string()),
                None => Ok(()),
            }
        },
    )
    .await;
    if run.act == Act::RejectAsRollback {
        until(
            "the operation ends with its deployment",
            PATIENCE,
            async || {
                let operation = eye.operation(&run.service()).await;
                (operation.step == Step::Ended)
                    .then_some(())
                    .ok_or_else(|| format!("{operation:?}"))
            },
        )
        .await;
    }
}

/// Holds that there is one story. Gives how many calls took effect, and how many were made.
async fn check(site: &Site, run: &Run, scene: &Scene) -> (usize, usize) {
    let name = run.name();
    let calls = site.calls(&scene.crew).await;
    let effects = site.effects(&scene.crew, run.act, &calls).await;
    // A refused operation is over; a refused verdict is told again as long as AWS waits.
    let was_refused = matches!(run.fault, Fault::Forbidden | Fault::ThrottledTooLong)
        && run.act.is_sent_as_such();
    let expected = usize::from(!was_refused);
    assert_eq!(
        effects, expected,
        "{name}: one intent, one effect: {calls:#?}"
    );
    for call in &calls {
        assert_eq!(call["operation"], run.act.call(), "{name}: {call}");
    }
    let others: Vec<Value> = site
        .account
        .journal(crate::account::PRODUCT_KEY)
        .await
        .into_iter()
        .filter(|call| {
            !matches!(
                call["operation"].as_str(),
                Some(
                    "PutLifecycleEventHookExecutionStatus"
                        | "ContinueDeployment"
                        | "StopDeployment"
                        | "CreateDeployment"
                        | "UpdateService"
                        | "StopServiceDeployment"
                )
            )
        })
        .collect();
    assert!(others.is_empty(), "{name}: {others:?}");

    // What AWS serves is what was asked for.
    let stays = run.act.goes_on() || was_refused;
    let serving = if stays { &scene.new } else { &scene.old };
    let serves = scene.crew.serving(&site.account).await;
    assert_eq!(&serves, serving, "{name}: what serves");

    // The record says so.
    let mut eye = site.eye().await;
    let deployment = site
        .api
        .get(&format!("/deployments/{}", scene.aws_id))
        .await
        .is(200);
    let outcome = match run.act {
        act if act.redeploys() => "succeeded",
        _ if stays => "succeeded",
        _ => "rolled_back",
    };
    assert_eq!(deployment["outcome"], outcome, "{name}: {deployment}");
    assert_eq!(deployment["target_revision"], scene.new.as_str(), "{name}");
    assert_eq!(
        deployment["previous_revision"],
        scene.old.as_str(),
        "{name}"
    );
    let decisions = i64::from(run.act.has_hook() || run.act.has_ready_wait())
        - i64::from(run.act == Act::FuseBurnsOut);
    let gates = i64::from(run.act.has_hook() || run.act.has_ready_wait());
    let operations = i64::from(run.act.is_operation());
    assert_eq!(
        eye.counts(&run.service()).await,
        [gates, decisions, operations],
        "{name}: gates, decisions, operations"
    );
    if let Some(gate) = &scene.gate {
        let id = gate["id"].as_str().unwrap_or_default();
        let gate = site.api.gate(id).await;
        assert_eq!(gate["delivery"], "confirmed", "{name}: {gate}");
        let state = match run.act {
            Act::FuseBurnsOut => "expired",
            act if act.goes_on() => "approved",
            _ => "rejected",
        };
        assert_eq!(gate["state"], state, "{name}: {gate}");
        let events = audit(site, id).await;
        let ends = events
            .iter()
            .filter(|event| {
                event["event"] == "gate_delivery"
                    && matches!(
                        event["detail"]["delivery"].as_str(),
                        Some("confirmed" | "failed")
                    )
            })
            .count();
        assert_eq!(ends, 1, "{name}: one end of the delivery: {events:?}");
        for word in ["gate_opened", "gate_delivery"] {
            let of = events.iter().any(|event| event["event"] == word);
            assert!(of, "{name}: no {word} in {events:?}");
        }
    }
    if run.act.is_operation() {
        let id = eye.operation(&run.service()).await.id;
        let operation = site.api.get(&format!("/operations/{id}")).await.is(200);
        let state = if was_refused { "failed" } else { "done" };
        assert_eq!(operation["state"], state, "{name}: {operation}");
        if was_refused {
            let words = operation["detail"].as_str().unwrap_or_default();
            let why = match run.fault {
                Fault::Forbidden => "AWS refused",
                _ => "could not be sent within 15 minutes",
            };
            assert!(
                words.contains(why) && words.contains("Nothing was changed"),
                "{name}: {operation}"
            );
        }
        let events = audit(site, &id).await;
        let count = |word: &str| events.iter().filter(|event| event["event"] == word).count();
        assert_eq!(count("operation_intended"), 1, "{name}: {events:?}");
        let ends = events
            .iter()
            .filter(|event| matches!(event["detail"]["state"].as_str(), Some("done" | "failed")))
            .count();
        assert_eq!(ends, 1, "{name}: one end of the operation: {events:?}");
        if run.act.redeploys() && !was_refused {
            let id = operation["deployment_id"].as_str().unwrap_or_default();
            let begun = site.api.deployment(id).await;
            assert_eq!(begun["outcome"], "succeeded", "{name}: {begun}");
            assert_eq!(begun["target_revision"], scene.old.as_str(), "{name}");
            assert_eq!(begun["previous_revision"], scene.new.as_str(), "{name}");
            assert_eq!(begun["reason"], REASON, "{name}: {begun}");
        }
    }
    assert!(site.api.audit_length().await > 0);

    // The page says it too.
    let session = site.session.as_ref().expect("somebody is signed in");
    let id = deployment["id"].as_str().unwrap_or_default();
    let page = session
        .send(Method::GET, &format!("/deployments/{id}"), &[], "")
        .await;
    assert_eq!(page.status, 200, "{name}: {}", page.body);
    let words = if outcome == "succeeded" {
        "Succeeded"
    } else {
        "Rolled back"
    };
    assert!(
        page.body.contains(words),
        "{name}: the page does not say {words}"
    );

    let log = site.log();
    assert!(!log.contains("panicked at"), "{name}: {log}");
    (effects, calls.len())
}

async fn audit(site: &Site, subject: &str) -> Vec<Value> {
    site.api
        .items(&format!("/audit?subject={subject}&limit=100"))
        .await
}
