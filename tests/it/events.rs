//! Events: through a queue or by the webhook they make Switchback look at once, and whatever happens to them changes
//! nothing of the record.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use serde_json::json;

use crate::account::ACCOUNT;
use crate::account::Account;
use crate::account::Json;
use crate::account::REGION;
use crate::ecs_services::EcsTeam;
use crate::ecs_services::encoded;
use crate::ecs_services::rolling;
use crate::importing::import_is;
use crate::importing::is_complete;
use crate::refusals::signature;
use crate::team::AT_ONCE;
use crate::team::NO_HOOK;
use crate::team::Team;
use crate::wait::SOON;
use crate::wait::until;
use crate::wire::Answer;
use crate::world::Api;
use crate::world::RELAY_SECRET;
use crate::world::World;

const WEBHOOK: &str = "/api/v1/hooks/eventbridge";

/// Longer than any journey: what is seen with this is seen because of an event.
const NEVER_MS: &str = "3600000";

/// A queue of events with a rule that fills it, as docs/operations.md has it set up.
struct Events {
    account: Account,
    url: String,
    dead_letters: String,
}

impl Events {
    async fn set_up(account: &Account) -> Events {
        let arn = |name: &str| format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}");
        let rule = format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/switchback-events");
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow", "Principal": { "Service": "events.amazonaws.com" },
                "Action": "sqs:SendMessage", "Resource": arn("switchback-events"),
                "Condition": { "ArnEquals": { "aws:SourceArn": rule } },
            }],
        });
        let redrive = json!({
            "deadLetterTargetArn": arn("switchback-events-dead"), "maxReceiveCount": 2,
        });
        let dead = json!({ "QueueName": "switchback-events-dead" });
        let dead = account.call(Json::Sqs, "CreateQueue", dead).await;
        let queue = json!({
            "QueueName": "switchback-events",
            "Attributes": {
                "Policy": policy.to_string(), "RedrivePolicy": redrive.to_string(), "VisibilityTimeout": "30",
            },
        });
        let queue = account.call(Json::Sqs, "CreateQueue", queue).await;
        let pattern = json!({
            "source": ["aws.codedeploy", "aws.ecs"],
            "detail-type": [
                "CodeDeploy Deployment State-change Notification", "ECS Deployment State Change",
                "ECS Service Action", "ECS Hook State Change",
            ],
        });
        let rule = json!({ "Name": "switchback-events", "EventPattern": pattern.to_string() });
        account.call(Json::Events, "PutRule", rule).await;
        let targets = json!({
            "Rule": "switchback-events", "Targets": [{ "Id": "queue", "Arn": arn("switchback-events") }],
        });
        account.call(Json::Events, "PutTargets", targets).await;
        let url = |made: &Value| made["QueueUrl"].as_str().expect("a URL").to_string();
        Events {
            account: account.clone(),
            url: url(&queue),
            dead_letters: url(&dead),
        }
    }

    async fn sends(&self, body: &str) {
        let message = json!({ "QueueUrl": self.url, "MessageBody": body });
        self.account.call(Json::Sqs, "SendMessage", message).await;
    }

    /// About how many messages are in the queue at this URL, visible or not.
    async fn count(&self, url: &str) -> i64 {
        let names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ];
        let asked = json!({ "QueueUrl": url, "AttributeNames": names });
        let answer = self
            .account
            .call(Json::Sqs, "GetQueueAttributes", asked)
            .await;
        let count = |name: &&str| -> i64 {
            let text = answer["Attributes"][*name].as_str().unwrap_or_default();
            text.parse().unwrap_or_else(|_| panic!("{answer}"))
        };
        names.iter().map(count).sum()
    }

    async fn is_empty(&self, url: &str) {
        until("the queue is empty", SOON, async || {
            match self.count(url).await {
                0 => Ok(()),
                count => Err(format!("{count} messages")),
            }
        })
        .await;
    }
}

/// How the watching of the one region goes.
async fn status(api: &Api) -> Value {
    let status = api.get("/status").await.is(200);
    assert_eq!(
        status["regions"].as_array().map(Vec::len),
        Some(1),
        "{status}"
    );
    status["regions"][0].clone()
}

/// Waits until the status is as it should be; gives it.
async fn status_is(api: &Api, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    until(what, SOON, async || {
        let status = status(api).await;
        if is(&status) {
            Ok(status)
        } else {
            Err(status.to_string())
        }
    })
    .await
}

/// A CodeDeploy team and an ECS team that exist before anybody watches.
async fn teams(account: &Account) -> (Team, EcsTeam) {
    let team = Team::build(account, "web").await;
    let ecs = EcsTeam::build(account, "orders", rolling(), json!([])).await;
    (team, ecs)
}

/// Waits until both services are known, so that the first look is over.
async fn both_are_known(api: &Api) {
    until("both services are known", SOON, async || {
        let services = api.items("/services").await;
        match services.len() {
            2 => Ok(()),
            _ => Err(format!("{services:?}")),
        }
    })
    .await;
    status_is(api, "the first look has ended", |status| {
        status["last_look_at"].is_string() && status["look_interval_seconds"].as_f64() > Some(0.0)
    })
    .await;
    import_is(api, "is complete", is_complete).await;
}

/// Waits, for as long as an event may take and not a look, until a deployment is recorded.
pub async fn is_seen_at_once(api: &Api, aws_id: &str) -> Value {
    let what = format!("{aws_id} is seen at once");
    until(&what, Duration::from_secs(8), async || {
        let answer = api.get(&format!("/deployments/{aws_id}")).await;
        match answer.status {
            200 => Ok(answer.json()),
            _ => Err(answer.body),
        }
    })
    .await
}

fn set(world: &mut World, variable: &str, value: &str) {
    world
        .variables
        .push((variable.to_string(), value.to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_in_the_queue_makes_it_look_at_once() {
    let mut world = World::start_without_server().await;
    let (team, ecs) = teams(&world.account).await;
    let events = Events::set_up(&world.account).await;
    set(&mut world, "SWITCHBACK_POLL_IDLE_MS", NEVER_MS);
    set(&mut world, "SWITCHBACK_EVENTS_QUEUE_URL", &events.url);
    world.start_server().await;
    both_are_known(&world.api).await;

    let revision = team.registers("2", &[]).await;
    let aws_id = team
        .deploys(&revision, AT_ONCE, NO_HOOK, "told by an event")
        .await;
    let seen = is_seen_at_once(&world.api, &aws_id).await;
    assert_eq!(seen["first_seen"], "as_it_happened", "{seen}");
    let on = status_is(&world.api, "events are on", |status| {
        status["events"]["state"] == "on"
    })
    .await;
    assert!(on["events"]["taken"].as_i64() > Some(0), "{on}");
    assert_eq!(on["events"]["queue"]["name"], "switchback-events", "{on}");
    assert_eq!(
        on["events"]["queue"]["dead_letter_queue"], "switchback-events-dead",
        "{on}"
    );
    assert!(on["seconds_behind"].as_f64() < Some(8.0), "{on}");
    let ended = world.ends(&aws_id).await;
    assert_eq!(ended["outcome"], "succeeded", "{ended}");

    let revision = ecs.registers("2", &[]).await;
    let aws_id = encoded(&ecs.updates(&revision).await);
    let seen = is_seen_at_once(&world.api, &aws_id).await;
    assert_eq!(seen["target_revision"], revision, "{seen}");
    let ended = world.ends(&aws_id).await;
    assert_eq!(ended["outcome"], "succeeded", "{ended}");

    // A service that nobody has seen before.
    let new = EcsTeam::build(&world.account, "carts", rolling(), json!([])).await;
    new.is_found(&world).await;

    // What was taken is gone from the queue, and nothing became a dead letter.
    events.is_empty(&events.url).await;
    events.is_empty(&events.dead_letters).await;
    let metrics = world.api.of_root("/metrics").await.body;
    for line in [
        "switchback_events_total{region=\"eu-central-1\",source=\"queue\",outcome=\"taken\"} ",
        "switchback_events_queue_up{region=\"eu-central-1\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    world.finish(&[]).await;
}

/// An event as EventBridge sends it.
fn event(id: &str, source: &str, detail_type: &str, resource: &str, detail: Value) -> Value {
    json!({
        "version": "0", "id": id, "detail-type": detail_type, "source": source, "account": ACCOUNT,
        "time": "2026-11-21T10:00:00Z", "region": REGION, "resources": [resource], "detail": detail,
    })
}

pub fn of_codedeploy(id: &str, aws_id: &str) -> Value {
    let group =
        format!("arn:aws:codedeploy:{REGION}:{ACCOUNT}:deploymentgroup:web-application/web-group");
    event(
        id,
        "aws.codedeploy",
        "CodeDeploy Deployment State-change Notification",
        &group,
        json!({ "deploymentId": aws_id, "state": "START", "region": REGION }),
    )
}

async fn post(api: &Api, signature: &str, body: &str) -> Answer {
    let headers = [
        ("content-type", "application/json"),
        ("switchback-signature", signature),
    ];
    Api::of_nobody(&api.base)
        .send(Method::POST, WEBHOOK, &headers, body.to_string())
        .await
}

/// Posts an event with a good signature of its own. A signature is of one second, so the same event is signed anew in
/// the next.
pub async fn tells(world: &World, api: &Api, event: &Value) -> Answer {
    let body = event.to_string();
    until("the event has a signature of its own", SOON, async || {
        let signed = signature(RELAY_SECRET, world.account.now().await, &body);
        let answer = post(api, &signed, &body).await;
        match answer.status {
            409 => Err(answer.body),
            _ => Ok(answer),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_event_makes_it_look_at_once() {
    let mut world = World::start_without_server().await;
    let (team, ecs) = teams(&world.account).await;
    set(&mut world, "SWITCHBACK_POLL_IDLE_MS", NEVER_MS);
    world.start_server().await;
    both_are_known(&world.api).await;
    let off = status(&world.api).await;
    assert_eq!(off["events"]["state"], "off", "{off}");

    let revision = team.registers("2", &[]).await;
    let aws_id = team
        .deploys(&revision, AT_ONCE, NO_HOOK, "told by the webhook")
        .await;
    let told = of_codedeploy("e-1", &aws_id);
    let body = told.to_string();
    let now = world.account.now().await;
    let good = signature(RELAY_SECRET, now, &body);

    // Nothing that cannot be trusted makes it look.
    let before = world.api.audit_length().await;
    post(&world.api, "", &body)
        .await
        .refused(401, "signature_malformed");
    post(&world.api, &signature("another secret", now, &body), &body)
        .await
        .refused(401, "signature_wrong");
    post(
        &world.api,
        &good,
        &of_codedeploy("e-2", &aws_id).to_string(),
    )
    .await
    .refused(401, "signature_wrong");
    for distance in [-361, 361] {
        let old = signature(RELAY_SECRET, now + distance, &body);
        post(&world.api, &old, &body)
            .await
            .refused(401, "signature_too_old");
    }
    for (wrong, status, code) in [
        ("[]", 422, "event_unreadable"),
        ("{}", 422, "event_unreadable"),
        ("hello", 400, "malformed_json"),
    ] {
        let signed = signature(RELAY_SECRET, world.account.now().await, wrong);
        post(&world.api, &signed, wrong).await.refused(status, code);
    }
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(256 * 1024));
    let signed = signature(RELAY_SECRET, world.account.now().await, &large);
    assert_eq!(post(&world.api, &signed, &large).await.status, 413);
    let answer = world.api.get(&format!("/deployments/{aws_id}")).await;
    assert_eq!(answer.status, 404, "{}", answer.body);
    assert_eq!(world.api.audit_length().await, before);

    let taken = post(&world.api, &good, &body).await.is(202);
    assert_eq!(taken, json!({ "state": "taken" }));
    let seen = is_seen_at_once(&world.api, &aws_id).await;
    assert_eq!(seen["reason"], "told by the webhook", "{seen}");
    post(&world.api, &good, &body)
        .await
        .refused(409, "signature_repeated");

    // Of another kind, of somewhere else, of a deployment that is none, and the same again.
    let ignored = event(
        "e-3",
        "aws.ecs",
        "ECS Task State Change",
        "arn:x",
        json!({}),
    );
    assert_eq!(
        tells(&world, &world.api, &ignored).await.is(202),
        json!({ "state": "ignored" })
    );
    let mut elsewhere = of_codedeploy("e-4", &aws_id);
    elsewhere["account"] = json!("999999999999");
    assert_eq!(
        tells(&world, &world.api, &elsewhere).await.is(202),
        json!({ "state": "not_watched" })
    );
    tells(&world, &world.api, &of_codedeploy("e-5", "d-NOSUCHONE"))
        .await
        .is(202);
    tells(&world, &world.api, &told).await.is(202);
    let counted = status_is(&world.api, "all are counted", |status| {
        let events = &status["events"];
        events["by_webhook"] == 2 && events["ignored"] == 1 && events["repeated"] == 1
    })
    .await;
    assert_eq!(
        counted["events"]["queue"]["not_watched"],
        json!([{ "account": "999999999999", "region": REGION, "count": 1 }]),
        "{counted}"
    );
    // Only a queue shows by its silence that nothing happens.
    assert_eq!(counted["events"]["state"], "unproven", "{counted}");
    world.ends(&aws_id).await;

    let revision = ecs.registers("2", &[]).await;
    let aws_id = ecs.updates(&revision).await;
    let service = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service/native/orders");
    let detail =
        json!({ "eventName": "SERVICE_DEPLOYMENT_IN_PROGRESS", "deploymentId": "ecs-svc/1" });
    let told = event(
        "e-6",
        "aws.ecs",
        "ECS Deployment State Change",
        &service,
        detail,
    );
    tells(&world, &world.api, &told).await.is(202);
    is_seen_at_once(&world.api, &encoded(&aws_id)).await;
    world.ends(&encoded(&aws_id)).await;
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_only_waits_passes_events_on_to_the_one_that_watches() {
    let mut world = World::start_without_postgres_server().await;
    let (team, _) = teams(&world.account).await;
    set(&mut world, "SWITCHBACK_POLL_IDLE_MS", NEVER_MS);
    world.start_server().await;
    both_are_known(&world.api).await;
    let replica = world.start_replica().await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, AT_ONCE, NO_HOOK, "release 2").await;
    let told = of_codedeploy("e-1", &aws_id);
    tells(&world, &replica.api, &told).await.is(202);
    is_seen_at_once(&world.api, &aws_id).await;
    // Both tell of it.
    for api in [&world.api, &replica.api] {
        status_is(api, "the event is counted", |status| {
            status["events"]["by_webhook"] == 1
        })
        .await;
    }
    world.ends(&aws_id).await;
    drop(replica);
    world.finish(&[]).await;
}

/// What the record says, without what is of one world only: moments and AWS's random ids.
async fn record_of(world: &World) -> Vec<Value> {
    let mut deployments = world.api.items("/deployments").await;
    deployments.sort_by_key(|one| one["started_at"].to_string());
    let mut told = Vec::new();
    for deployment in deployments {
        let kept = [
            "service",
            "cluster",
            "controller",
            "strategy",
            "previous_revision",
            "target_revision",
            "phase",
            "outcome",
            "outcome_cause",
            "initiator",
            "reason",
            "first_seen",
        ];
        let members = kept.map(|name| (name.to_string(), deployment[name].clone()));
        told.push(Value::Object(members.into_iter().collect()));
    }
    told
}

/// One story, with these faults of events; gives the record at its end and how it stood with the events.
async fn story(faults: Value) -> (Vec<Value>, Value) {
    let mut world = World::start_without_server().await;
    let (team, ecs) = teams(&world.account).await;
    // From here on events are told.
    let events = Events::set_up(&world.account).await;
    set(&mut world, "SWITCHBACK_POLL_IDLE_MS", "1000");
    set(&mut world, "SWITCHBACK_POLL_EVENTS_MS", "2000");
    set(&mut world, "SWITCHBACK_EVENTS_QUEUE_URL", &events.url);
    world.start_server().await;
    both_are_known(&world.api).await;
    if faults != json!([]) {
        world.account.tell("faults", faults).await;
    }
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, AT_ONCE, NO_HOOK, "release 2").await;
    world.ends(&aws_id).await;
    let revision = ecs.registers("2", &[]).await;
    let aws_id = encoded(&ecs.updates(&revision).await);
    world.ends(&aws_id).await;
    // One that AWS rolls back by itself.
    let crashing = ecs.registers("3", &[("SIM_CRASH_ON_START", "1")]).await;
    let aws_id = encoded(&ecs.updates(&crashing).await);
    let ended = world.ends(&aws_id).await;
    assert_eq!(ended["outcome"], "rolled_back", "{ended}");
    // Whatever is still on its way arrives.
    world.account.advance(900).await;
    events.is_empty(&events.url).await;
    let status = status(&world.api).await;
    let record = record_of(&world).await;
    world.finish(&[]).await;
    (record, status["events"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_events_the_record_is_the_same() {
    let (clean, events) = story(json!([])).await;
    assert!(clean.len() >= 3, "{clean:?}");
    assert!(events["taken"].as_i64() > Some(3), "{events}");
    for (faults, shows) in [
        (json!([{ "fault": "event_lost" }]), "taken"),
        (json!([{ "fault": "event_duplicated" }]), "repeated"),
        (json!([{ "fault": "event_late", "delay_ms": 400_000 }]), ""),
        (
            json!([
                { "fault": "event_out_of_order", "every": 2 }, { "fault": "event_lost", "every": 3 },
                { "fault": "event_duplicated" },
            ]),
            "repeated",
        ),
    ] {
        let (record, events) = story(faults.clone()).await;
        assert_eq!(record, clean, "with {faults}");
        match shows {
            "taken" => assert_eq!(events["taken"], 0, "{faults}: {events}"),
            "repeated" => assert!(events["repeated"].as_i64() > Some(0), "{faults}: {events}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_with_the_queue_is_told_and_polling_goes_on() {
    let mut world = World::start_without_server().await;
    let (team, _) = teams(&world.account).await;
    let events = Events::set_up(&world.account).await;
    set(&mut world, "SWITCHBACK_POLL_EVENTS_MS", NEVER_MS);
    set(&mut world, "SWITCHBACK_EVENTS_QUEUE_URL", &events.url);
    world.start_server().await;
    both_are_known(&world.api).await;
    let unproven = status(&world.api).await;
    assert_eq!(unproven["events"]["state"], "unproven", "{unproven}");
    assert_eq!(unproven["look_interval_seconds"], 0.3, "{unproven}");

    // What cannot be read is counted once, and AWS moves it to the dead letters.
    events.sends("hello").await;
    let told = status_is(&world.api, "the message is counted", |status| {
        status["events"]["queue"]["unreadable"] == 1
    })
    .await;
    let because = told["events"]["queue"]["unreadable_because"].as_str();
    assert!(
        because.is_some_and(|because| because.contains("not a JSON object")),
        "{told}"
    );
    world
        .passing("it is a dead letter", 600, async || {
            match events.count(&events.dead_letters).await {
                1 => Ok(()),
                count => Err(format!("{count} dead letters")),
            }
        })
        .await;
    let told = status(&world.api).await;
    assert_eq!(told["events"]["queue"]["unreadable"], 1, "{told}");
    let log = world.log();
    assert_eq!(
        log.matches("cannot be read; it is left").count(),
        1,
        "{log}"
    );

    // An event that is read proves that they arrive: now idle services are looked at seldom.
    events
        .sends(&of_codedeploy("e-1", "d-NOSUCHONE").to_string())
        .await;
    status_is(&world.api, "looks become rare", |status| {
        status["events"]["state"] == "on" && status["look_interval_seconds"] == 3600.0
    })
    .await;

    // The queue is gone: that is shown, and looks are at their usual pace.
    let gone = json!({ "QueueUrl": events.url });
    world.account.call(Json::Sqs, "DeleteQueue", gone).await;
    // Whoever waits at the queue may hear of it only when the wait is over.
    let told = until(
        "that the queue is gone is told",
        Duration::from_secs(60),
        async || {
            let status = status(&world.api).await;
            match status["events"]["state"] == "failing" && status["look_interval_seconds"] == 0.3 {
                true => Ok(status),
                false => Err(status.to_string()),
            }
        },
    )
    .await;
    let trouble = told["events"]["queue"]["trouble"].as_str();
    assert!(
        trouble.is_some_and(|trouble| trouble.starts_with("sqs:ReceiveMessage: ")),
        "{told}"
    );
    let metrics = world.api.of_root("/metrics").await.body;
    let line = "switchback_events_queue_up{region=\"eu-central-1\"} 0";
    assert!(metrics.contains(line), "{metrics}");
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, AT_ONCE, NO_HOOK, "polled").await;
    is_seen_at_once(&world.api, &aws_id).await;
    world.ends(&aws_id).await;
    world.finish(&[]).await;
}
