//! Several accounts: each by a role of its own, with its own services of the same names, and one that cannot be reached
//! harms no other.

use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::account::ACCOUNT;
use crate::account::Account;
use crate::account::REGION;
use crate::events::is_seen_at_once;
use crate::events::of_codedeploy;
use crate::events::tells;
use crate::team::AT_ONCE;
use crate::team::CANARY;
use crate::team::GATE;
use crate::team::NO_HOOK;
use crate::team::Team;
use crate::wait::SOON;
use crate::wait::until;
use crate::window::Screen;
use crate::world::PASSWORD;
use crate::world::USER;
use crate::world::World;
use crate::world::finding;

/// The second account.
const STAGING: &str = "210987654321";

/// The principal as which the product works there.
const IN_STAGING: &str = "arn:aws:sts::210987654321:assumed-role/switchback/switchback";

/// How much sooner one account must be served than another answers.
const SLOW_MS: u64 = 4000;

/// The setting that names it.
fn accounts() -> (String, String) {
    let accounts = json!([{
        "role_arn": format!("arn:aws:iam::{STAGING}:role/switchback"),
        "external_id": "journeys",
        "regions": [REGION],
        "name": "staging",
    }]);
    ("SWITCHBACK_ACCOUNTS".to_string(), accounts.to_string())
}

/// A world in which both accounts are watched from the next start on.
async fn two_accounts() -> (World, Account) {
    let mut world = World::start_without_server().await;
    world.variables.push(accounts());
    let staging = world.account.other(STAGING).await;
    (world, staging)
}

/// The service of this name in an account, once it is discovered.
async fn service_in(world: &World, account: &str, name: &str) -> Value {
    until(
        &format!("{name} of {account} is discovered"),
        SOON,
        async || {
            let found = world
                .api
                .items(&format!("/services?account={account}"))
                .await;
            let service = found.iter().find(|service| service["name"] == name);
            service.cloned().ok_or_else(|| format!("{found:?}"))
        },
    )
    .await
}

/// How an account stands, as the API tells it.
async fn health_of(world: &World, account: &str) -> Value {
    let found = world.api.items("/accounts").await;
    let health = found.iter().find(|health| health["account"] == account);
    health
        .cloned()
        .unwrap_or_else(|| panic!("no {account} in {found:?}"))
}

async fn stands(world: &World, account: &str, state: &str) -> Value {
    until(&format!("{account} is {state}"), SOON, async || {
        let health = health_of(world, account).await;
        if health["state"] == state {
            Ok(health)
        } else {
            Err(health.to_string())
        }
    })
    .await
}

fn operations(journal: &[Value]) -> Vec<&str> {
    journal
        .iter()
        .filter_map(|call| call["operation"].as_str())
        .collect()
}

async fn strike(world: &World, fault: Value) {
    world.account.tell("faults", fault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_of_one_account_and_a_rollback_of_the_other_each_go_where_they_belong() {
    let (mut world, staging) = two_accounts().await;
    world.start_server().await;
    let here = Team::build(&world.account, "web").await;
    let there = Team::build(&staging, "web").await;
    let service_here = service_in(&world, ACCOUNT, "web").await;
    let service_there = service_in(&world, STAGING, "web").await;
    assert_ne!(service_here["id"], service_there["id"]);
    assert_eq!(service_there["account_name"], "staging");
    assert_eq!(service_here["account_name"], ACCOUNT);
    // The name alone says too little; that is said.
    let ambiguous = world.api.get("/services/web").await;
    assert_eq!(ambiguous.status, 409, "{}", ambiguous.body);

    // Here a release is made and taken back; there one waits for a person.
    let release = here.registers("2", &[]).await;
    let made = here.deploys(&release, AT_ONCE, NO_HOOK, "release 2").await;
    assert_eq!(world.ends(&made).await["outcome"], "succeeded");
    let next = there.registers("2", &[]).await;
    assert!(next.contains(STAGING), "{next}");
    let waiting = there.deploys(&next, CANARY, GATE, "release 2").await;
    let gate = world.holds(&waiting).await;
    assert_eq!(gate["deployment"]["account"], STAGING);
    assert_eq!(gate["deployment"]["account_name"], "staging");

    let id = service_here["id"].as_str().expect("an id").to_string();
    let ask = json!({ "target": here.first_revision });
    let path = format!("/services/{id}/rollbacks/plan");
    let plan = world.api.post(&path, &ask).await.is(200);
    let command = json!({
        "target": here.first_revision, "reason": "it was better before", "plan_digest": plan["digest"],
    });
    let path = format!("/services/{id}/rollbacks");
    let operation = world.api.post(&path, &command).await.is(202);
    let decided = world
        .api
        .decides(&gate, "approve", Some("looks well"))
        .await;
    assert_eq!(decided.status, 200, "{}", decided.body);
    world.confirmed(&gate).await;
    let operation = operation["id"].as_str().expect("an id").to_string();
    assert_eq!(world.operation_ends(&operation).await["state"], "done");
    assert_eq!(world.ends(&waiting).await["outcome"], "succeeded");
    assert_eq!(here.serving().await, here.first_revision);
    assert_eq!(there.serving().await, next);

    // Each account's journal has exactly its own.
    let journal = world.account.journal_of(IN_STAGING).await;
    assert_eq!(
        operations(&journal),
        ["PutLifecycleEventHookExecutionStatus"],
        "{journal:?}"
    );
    let of_staging = world
        .api
        .items(&format!("/deployments?account={STAGING}"))
        .await;
    assert_eq!(of_staging.len(), 1, "{of_staging:?}");
    assert_eq!(of_staging[0]["aws_id"], waiting.as_str());
    let of_here = world
        .api
        .items(&format!("/deployments?account={ACCOUNT}"))
        .await;
    assert_eq!(of_here.len(), 2, "{of_here:?}");
    // With its account the name is enough.
    let named = world.api.get("/deployments?service=web").await;
    assert_eq!(named.status, 409, "{}", named.body);
    let path = format!("/deployments?service=web&account={STAGING}");
    assert_eq!(world.api.items(&path).await.len(), 1);
    for account in [ACCOUNT, STAGING] {
        let health = stands(&world, account, "watched").await;
        assert!(health["last_look_at"].is_string(), "{health}");
        assert_eq!(health["trouble"], Value::Null, "{health}");
    }
    world.finish(&["CreateDeployment"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_does_not_give_its_role_keeps_no_other_from_being_watched() {
    let (mut world, staging) = two_accounts().await;
    let there = Team::build(&staging, "web").await;
    let denied = json!({
        "service": "sts", "operation": "AssumeRole", "account": STAGING, "fault": "access_denied",
    });
    strike(&world, denied).await;
    world.start_server().await;
    world.team("web").await;
    let health = stands(&world, STAGING, "unreachable").await;
    let trouble = health["trouble"].as_str().unwrap_or_default();
    assert!(
        trouble.starts_with("sts:AssumeRole: AccessDenied: "),
        "{trouble}"
    );
    let advice = health["what_to_do"].as_str().unwrap_or_default();
    assert!(advice.contains("role/switchback"), "{advice}");
    assert!(advice.contains("trust policy"), "{advice}");
    assert!(health["trouble_since"].is_string(), "{health}");
    assert_eq!(health["last_look_at"], Value::Null, "{health}");
    stands(&world, ACCOUNT, "watched").await;
    // The process is ready, and says in public no more than the account's name.
    let ready = world.api.of_root("/readyz").await;
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert!(!ready.body.contains(STAGING), "{}", ready.body);
    assert!(ready.body.contains("account staging in"), "{}", ready.body);
    let numbers = world.api.of_root("/metrics").await.body;
    let troubled = format!("switchback_aws_trouble{{account=\"staging\",region=\"{REGION}\"}} 1");
    assert!(numbers.contains(&troubled), "{numbers}");
    assert!(numbers.contains(&format!("switchback_aws_trouble{{region=\"{REGION}\"}} 0")));
    // The doctor says the same.
    let (code, found) = world.doctor(&[]);
    assert_eq!(code, Some(1), "{found}");
    let line = finding(
        &found,
        &format!("aws staging {REGION}: sts:GetCallerIdentity"),
    );
    assert_eq!(line["result"], "problem", "{line}");
    assert!(
        line["detail"].to_string().contains("AccessDenied"),
        "{line}"
    );
    let own = finding(&found, &format!("aws {REGION}: sts:GetCallerIdentity"));
    assert_eq!(own["result"], "ok", "{own}");

    // Its role is given: it is watched from then on, with nothing to be done here.
    world.account.heal().await;
    let health = stands(&world, STAGING, "watched").await;
    assert_eq!(health["trouble_since"], Value::Null, "{health}");
    let service = service_in(&world, STAGING, "web").await;
    assert_eq!(service["serving_revision"], there.first_revision.as_str());
    let (_, found) = world.doctor(&[]);
    let line = finding(
        &found,
        &format!("aws staging {REGION}: sts:GetCallerIdentity"),
    );
    assert_eq!(line["result"], "ok", "{line}");
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_slow_or_throttled_slows_no_other() {
    let (mut world, staging) = two_accounts().await;
    world.start_server().await;
    let here = world.team("web").await;
    let there = Team::build(&staging, "api").await;
    service_in(&world, STAGING, "api").await;
    // One release there, seen to be under way, so that it is followed while nothing of it can be read quickly.
    let next = there.registers("2", &[]).await;
    let other = there.deploys(&next, CANARY, NO_HOOK, "release 2").await;
    world.recorded(&other).await;
    let slow = json!({ "account": STAGING, "fault": "slow", "delay_ms": SLOW_MS });
    strike(&world, slow).await;

    for (tag, verdict) in [("2", "approve"), ("3", "reject")] {
        let revision = here.registers(tag, &[]).await;
        let begun = Instant::now();
        let aws_id = here.deploys(&revision, CANARY, GATE, "release").await;
        world.recorded(&aws_id).await;
        let recorded = begun.elapsed();
        assert!(
            recorded < Duration::from_millis(SLOW_MS),
            "recorded after {recorded:?}"
        );
        let gate = world.holds(&aws_id).await;
        let begun = Instant::now();
        let decided = world.api.decides(&gate, verdict, Some("as planned")).await;
        assert_eq!(decided.status, 200, "{}", decided.body);
        let id = gate["id"].as_str().expect("an id").to_string();
        until("the verdict is sent", SOON, async || {
            let gate = world.api.gate(&id).await;
            match gate["delivery"].as_str() {
                Some("sent" | "confirmed") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        let sent = begun.elapsed();
        eprintln!(
            "recorded after {recorded:?}, sent to AWS after {sent:?}, beside an account that takes {SLOW_MS} ms"
        );
        assert!(sent < Duration::from_millis(SLOW_MS), "sent after {sent:?}");
        world.ends(&aws_id).await;
    }
    world.account.heal().await;

    // Throttled there, and no effect here.
    let throttled = json!({ "account": STAGING, "fault": "throttle" });
    strike(&world, throttled).await;
    let health = stands(&world, STAGING, "partly_read").await;
    assert!(
        health["trouble"].to_string().contains("Throttling"),
        "{health}"
    );
    let revision = here.registers("4", &[]).await;
    let aws_id = here.deploys(&revision, AT_ONCE, NO_HOOK, "release 4").await;
    assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
    assert_eq!(health_of(&world, ACCOUNT).await["state"], "watched");
    world.account.heal().await;
    stands(&world, STAGING, "watched").await;
    assert_eq!(world.ends(&other).await["outcome"], "succeeded");
    // The times in which nobody could look there are told of that account alone.
    for coverage in world.api.items("/coverage").await {
        if coverage["account"] == ACCOUNT {
            assert_eq!(coverage["gaps"], json!([]), "{coverage}");
        }
    }
    world
        .finish(&[
            "PutLifecycleEventHookExecutionStatus",
            "PutLifecycleEventHookExecutionStatus",
        ])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_two_settings_name_is_watched_once() {
    let mut world = World::start_without_server().await;
    // Which account Switchback's own credentials are of, only AWS tells.
    let accounts = json!([{ "role_arn": format!("arn:aws:iam::{ACCOUNT}:role/switchback") }]);
    let setting = ("SWITCHBACK_ACCOUNTS".to_string(), accounts.to_string());
    world.variables.push(setting);
    world.start_server().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, AT_ONCE, NO_HOOK, "release 2").await;
    assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");
    assert_eq!(world.api.items("/deployments").await.len(), 1);
    until("the second one is said to give way", SOON, async || {
        let found = world.api.items("/accounts").await;
        let role = found.iter().find(|health| health["role_arn"].is_string());
        let trouble = role.map(|role| role["trouble"].to_string());
        if trouble
            .as_deref()
            .is_some_and(|trouble| trouble.contains("WatchedTwice"))
        {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
    let (code, found) = world.doctor(&[]);
    assert_eq!(code, Some(1), "{found}");
    let check = format!("aws {ACCOUNT} {REGION}: watched twice");
    assert_eq!(finding(&found, &check)["result"], "problem");
    // Two entries for one account and region are refused before anything starts.
    let twice = json!([
        { "role_arn": format!("arn:aws:iam::{STAGING}:role/one"), "regions": [REGION] },
        { "role_arn": format!("arn:aws:iam::{STAGING}:role/two"), "regions": ["us-east-1", REGION] },
    ]);
    let output = world
        .command(&["serve", "--check"])
        .env("SWITCHBACK_ACCOUNTS", twice.to_string())
        .output()
        .expect("the check runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains(
            "entry 2: account 210987654321 in eu-central-1 is watched because of entry 1 already"
        ),
        "{said}"
    );
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_tell_accounts_apart_where_there_are_several() {
    let (mut world, staging) = two_accounts().await;
    world.start_server().await;
    let here = Team::build(&world.account, "web").await;
    let there = Team::build(&staging, "web").await;
    service_in(&world, ACCOUNT, "web").await;
    service_in(&world, STAGING, "web").await;
    let revision = here.registers("2", &[]).await;
    let made = here
        .deploys(&revision, AT_ONCE, NO_HOOK, "release here")
        .await;
    assert_eq!(world.ends(&made).await["outcome"], "succeeded");
    let next = there.registers("2", &[]).await;
    let waiting = there.deploys(&next, CANARY, GATE, "release there").await;
    let gate = world.holds(&waiting).await;
    let denied = json!({ "service": "codedeploy", "account": STAGING, "fault": "access_denied" });
    strike(&world, denied).await;
    stands(&world, STAGING, "partly_read").await;

    let window = world.window().await;
    window.signs_in(USER, PASSWORD).await;
    window.sees("prod · staging").await;
    window
        .sees("staging (210987654321) eu-central-1 does not tell everything")
        .await;
    window.sees("AccessDeniedException").await;
    window.sees("Allow codedeploy:").await;
    let shown = [
        (Screen::Desktop, "light", "accounts-desktop-light"),
        (Screen::Desktop, "dark", "accounts-desktop-dark"),
        (Screen::Phone, "light", "accounts-phone-light"),
        (Screen::Phone, "dark", "accounts-phone-dark"),
    ];
    for (screen, theme, name) in shown {
        window.looks_through(screen).await;
        window.wears(theme).await;
        window.sees("does not tell everything").await;
        window.fits().await;
        window.hinders_nobody().await;
        window.keeps_picture(name).await;
    }
    window.looks_through(Screen::Desktop).await;
    window
        .goes_to(&format!("/services?account={STAGING}"))
        .await;
    window.sees("1 service").await;
    window.sees("prod · staging").await;
    window.keeps_picture("accounts-services").await;
    window.goes_to("/history").await;
    window.sees("release here").await;
    window.sees("release there").await;
    window.goes_to(&format!("/history?account={STAGING}")).await;
    window.sees("release there").await;
    window.does_not_see("release here").await;
    window.fits().await;
    window.keeps_picture("accounts-history").await;
    window.goes_to("/status").await;
    window.sees("staging (210987654321)").await;
    window.sees("does not tell everything").await;
    window.sees("Allow codedeploy:").await;
    window.fits().await;
    window.hinders_nobody().await;
    window.keeps_picture("accounts-status").await;
    window.finish(&[]).await;

    world.account.heal().await;
    let decided = world.api.decides(&gate, "reject", Some("not now")).await;
    assert_eq!(decided.status, 200, "{}", decided.body);
    world.confirmed(&gate).await;
    world.ends(&waiting).await;
    let journal = world.account.journal_of(IN_STAGING).await;
    assert_eq!(
        operations(&journal),
        ["PutLifecycleEventHookExecutionStatus"],
        "{journal:?}"
    );
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_makes_the_account_be_looked_at_that_it_is_of() {
    let (mut world, staging) = two_accounts().await;
    // What is seen is seen because of an event.
    let never = "3600000".to_string();
    world
        .variables
        .push(("SWITCHBACK_POLL_IDLE_MS".to_string(), never));
    let here = Team::build(&world.account, "web").await;
    let there = Team::build(&staging, "web").await;
    world.start_server().await;
    service_in(&world, ACCOUNT, "web").await;
    service_in(&world, STAGING, "web").await;
    for account in [ACCOUNT, STAGING] {
        stands(&world, account, "watched").await;
    }
    let next = there.registers("2", &[]).await;
    let made = there.deploys(&next, AT_ONCE, NO_HOOK, "told there").await;
    // An account of neither, and the right number with a region that is not watched there, lead nowhere.
    let told = |id: &str, account: &str, region: &str| {
        let mut event = of_codedeploy(id, &made);
        event["account"] = json!(account);
        event["region"] = json!(region);
        event
    };
    for (id, account, region) in [
        ("a-1", "999999999999", REGION),
        ("a-2", STAGING, "ap-south-2"),
    ] {
        let answer = tells(&world, &world.api, &told(id, account, region)).await;
        assert_eq!(answer.is(202), json!({ "state": "not_watched" }));
    }
    let answer = tells(&world, &world.api, &told("a-3", STAGING, REGION)).await;
    assert_eq!(answer.is(202), json!({ "state": "taken" }));
    let seen = is_seen_at_once(&world.api, &made).await;
    assert_eq!(seen["account"], STAGING, "{seen}");
    let counted = until("the event is counted where it belongs", SOON, async || {
        let status = world.api.get("/status").await.is(200);
        let regions = status["regions"].as_array().expect("regions").clone();
        let by_webhook = |account: &str| {
            let of = regions.iter().find(|region| region["account"] == account);
            of.map(|region| region["events"]["by_webhook"].clone())
        };
        match (by_webhook(STAGING), by_webhook(ACCOUNT)) {
            (Some(there), Some(here)) if there == 1 && here == 0 => Ok(status),
            _ => Err(status.to_string()),
        }
    })
    .await;
    assert_eq!(counted["accounts"][1]["name"], "staging", "{counted}");
    let not_watched = &counted["regions"][0]["events"]["queue"]["not_watched"];
    assert_eq!(
        not_watched.as_array().map(Vec::len),
        Some(2),
        "{not_watched}"
    );
    assert_eq!(world.ends(&made).await["outcome"], "succeeded");
    assert_eq!(here.serving().await, here.first_revision);
    world.finish(&[]).await;
}
