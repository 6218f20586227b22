//! What a visitor finds in an account that does not start empty, and that it goes on by itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use switchback_aws_sim::door::json::from_json;
use switchback_aws_sim::door::simulation::{ACCOUNT, Simulation};
use switchback_aws_sim::story;
use switchback_aws_sim::value::Value;
use switchback_aws_sim::world::{Caller, Effect};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// 21 November 2026, 10:00:07.400 UTC: not on a whole minute, as machines are.
const START_MS: i64 = 1_795_255_207_400;

const MINUTE_MS: i64 = 60_000;

/// Every service with its region and cluster.
const SERVICES: [(&str, &str, &str); 8] = [
    ("checkout-api", "eu-central-1", "prod-eu"),
    ("payments", "eu-central-1", "prod-eu"),
    ("catalog", "eu-central-1", "prod-eu"),
    ("search", "eu-central-1", "prod-eu"),
    ("customer-profile", "eu-central-1", "prod-eu"),
    ("storefront", "us-east-1", "prod-us"),
    ("recommendations", "us-east-1", "prod-us"),
    ("shipping-rates", "us-east-1", "prod-us"),
];

fn begin(seed: u64) -> (Simulation, UnboundedReceiver<Effect>) {
    let (effects, wanted) = unbounded_channel();
    let story = story::begin(seed, START_MS, effects, &mut |_| {});
    (story.expect("the story"), wanted)
}

fn place(service: &str) -> (&'static str, &'static str) {
    let found = SERVICES.iter().find(|(name, ..)| *name == service);
    let (_, region, cluster) = found.unwrap_or_else(|| panic!("{service}"));
    (region, cluster)
}

fn call(
    simulation: &mut Simulation,
    region: &str,
    service: &str,
    operation: &str,
    input: serde_json::Value,
) -> Value {
    let caller = Caller {
        account: ACCOUNT.to_string(),
        region: region.to_string(),
        principal: format!("arn:aws:iam::{ACCOUNT}:user/visitor"),
    };
    simulation
        .call_as(&caller, service, operation, &from_json(input))
        .unwrap_or_else(|error| panic!("{operation}: {error}"))
}

/// All deployments of a service, oldest first.
fn deployments(simulation: &mut Simulation, service: &str) -> Vec<Value> {
    let (region, cluster) = place(service);
    let mut group = json!({
        "applicationName": format!("AppECS-{cluster}-{service}"),
        "deploymentGroupName": format!("DgpECS-{cluster}-{service}"),
    });
    let mut deployments: Vec<Value> = Vec::new();
    loop {
        let listed = call(
            simulation,
            region,
            "codedeploy",
            "ListDeployments",
            group.clone(),
        );
        for id in listed.get("deployments").as_list() {
            let named = json!({ "deploymentId": id.as_str() });
            let answer = call(simulation, region, "codedeploy", "GetDeployment", named);
            deployments.push(answer.get("deploymentInfo").clone());
        }
        match listed.get("nextToken").as_str() {
            Some(next) => group["nextToken"] = json!(next),
            None => break,
        }
    }
    deployments.sort_by_key(|deployment| deployment.get("createTime").as_time_ms());
    deployments
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).as_str().unwrap_or("")
}

/// How a deployment stands or ended, in a word or two.
fn ending(deployment: &Value) -> String {
    let code = text(deployment.get("errorInformation"), "code");
    format!("{} {code}", text(deployment, "status"))
        .trim()
        .to_string()
}

fn newest(simulation: &mut Simulation, service: &str) -> Value {
    let mut all = deployments(simulation, service);
    all.pop()
        .unwrap_or_else(|| panic!("{service} was never deployed"))
}

/// Lifecycle events by name with their status.
fn events(
    simulation: &mut Simulation,
    service: &str,
    deployment: &Value,
) -> BTreeMap<String, String> {
    let (region, cluster) = place(service);
    let target = json!({
        "deploymentId": text(deployment, "deploymentId"),
        "targetId": format!("{cluster}:{service}"),
    });
    let answer = call(
        simulation,
        region,
        "codedeploy",
        "GetDeploymentTarget",
        target,
    );
    let events = answer
        .get("deploymentTarget")
        .get("ecsTarget")
        .get("lifecycleEvents");
    events
        .as_list()
        .iter()
        .map(|event| {
            (
                text(event, "lifecycleEventName").to_string(),
                text(event, "status").to_string(),
            )
        })
        .collect()
}

#[test]
fn a_visitor_finds_gates_shifts_a_bake_and_a_quiet_service_whatever_the_seed() {
    for seed in [1, 3, 8] {
        let (mut simulation, mut wanted) = begin(seed);
        let under_way = |simulation: &mut Simulation, service: &str, event: &str| {
            let newest = newest(simulation, service);
            let events = events(simulation, service, &newest);
            assert_eq!(
                events[event], "InProgress",
                "{service}, seed {seed}: {events:?}"
            );
            newest
        };
        let gate = under_way(&mut simulation, "payments", "BeforeAllowTraffic");
        let Ok(Effect::InvokeHook {
            function,
            deployment_id,
            ..
        }) = wanted.try_recv()
        else {
            panic!("no hook is invoked at the start with seed {seed}");
        };
        assert_eq!(function, "switchback-relay");
        assert_eq!(deployment_id, text(&gate, "deploymentId"));
        assert!(
            wanted.try_recv().is_err(),
            "only one hook waits, seed {seed}"
        );
        under_way(&mut simulation, "catalog", "AllowTraffic");
        under_way(&mut simulation, "search", "AllowTraffic");
        assert_eq!(ending(&newest(&mut simulation, "shipping-rates")), "Ready");
        let baking = newest(&mut simulation, "recommendations");
        assert_eq!(ending(&baking), "InProgress");
        let baking = events(&mut simulation, "recommendations", &baking);
        assert_eq!(baking["AfterAllowTraffic"], "Succeeded", "{baking:?}");
        for service in ["checkout-api", "storefront"] {
            let quiet = newest(&mut simulation, service);
            assert_eq!(ending(&quiet), "Succeeded", "{service}, seed {seed}");
        }
        // The bad canary is caught by the alarm, not by the story.
        let canary = newest(&mut simulation, "search");
        simulation.advance_to(START_MS + 6 * MINUTE_MS);
        let search = deployments(&mut simulation, "search");
        let id = text(&canary, "deploymentId");
        let mut since = search
            .iter()
            .skip_while(|one| text(one, "deploymentId") != id);
        let ended = since.next().map(ending);
        assert_eq!(
            ended.as_deref(),
            Some("Stopped ALARM_ACTIVE"),
            "seed {seed}"
        );
        let rollback = since.next().map(|one| text(one, "creator"));
        assert_eq!(rollback, Some("codeDeployRollback"), "seed {seed}");
    }
}

#[test]
fn the_month_has_every_kind_of_ending_and_nothing_is_left_hanging() {
    for seed in [1, 2] {
        let (mut simulation, _wanted) = begin(seed);
        let mut endings: BTreeMap<String, usize> = BTreeMap::new();
        let mut by_hand = 0;
        let mut ids = BTreeSet::new();
        let mut all = 0;
        for (service, ..) in SERVICES {
            let found = deployments(&mut simulation, service);
            all += found.len();
            let mut ended_ms = 0;
            for (index, deployment) in found.iter().enumerate() {
                let at = format!("{service} {deployment:?}, seed {seed}");
                *endings.entry(ending(deployment)).or_default() += 1;
                assert!(
                    ids.insert(text(deployment, "deploymentId").to_string()),
                    "{at}"
                );
                let begun_ms = deployment.get("createTime").as_time_ms().expect("a time");
                assert!(begun_ms >= ended_ms, "two at once: {at}");
                assert!(
                    begun_ms > START_MS - 30 * 24 * 60 * MINUTE_MS - MINUTE_MS,
                    "{at}"
                );
                match deployment.get("completeTime").as_time_ms() {
                    Some(completed_ms) => {
                        assert!((begun_ms..=START_MS).contains(&completed_ms), "{at}");
                        ended_ms = completed_ms;
                    }
                    None => assert_eq!(index, found.len() - 1, "{at}"),
                }
                if text(deployment, "creator") == "codeDeployRollback" {
                    let of = deployment.get("rollbackInfo");
                    let of = text(of, "rollbackTriggeringDeploymentId");
                    assert_eq!(of, text(&found[index - 1], "deploymentId"), "{at}");
                }
            }
        }
        assert!(
            (100..220).contains(&all),
            "{all} deployments with seed {seed}"
        );
        for (kind, least) in [
            ("Succeeded", 90),
            ("Stopped ALARM_ACTIVE", 4),
            ("Stopped MANUAL_STOP", 2),
            ("Stopped TIMEOUT", 1),
            ("Failed TIMEOUT", 1),
            ("Failed HOOK_EXECUTION_FAILURE", 1),
        ] {
            let found: usize = endings
                .iter()
                .filter(|(ending, _)| ending.starts_with(kind))
                .map(|(_, count)| count)
                .sum();
            assert!(found >= least, "{kind}: {endings:?} with seed {seed}");
        }
        for entry in simulation.journal() {
            assert_eq!(entry.error, None, "{entry:?}");
            by_hand += usize::from(
                entry.operation == "CreateDeployment" && entry.caller.contains("on-call"),
            );
        }
        assert_eq!(by_hand, 1, "one deployment of an old revision by a person");
        let profile = deployments(&mut simulation, "customer-profile").len();
        assert!(profile <= 6, "a service that rarely changes: {profile}");
    }
}

#[test]
fn the_teams_go_on_for_hours_whether_or_not_the_gate_is_answered() {
    let (mut simulation, mut wanted) = begin(1);
    let quiet = deployments(&mut simulation, "checkout-api").len();
    let mut answered = 0;
    for minute in 1..=180 {
        simulation.advance_to(START_MS + minute * MINUTE_MS);
        while let Ok(Effect::InvokeHook {
            region,
            deployment_id,
            execution_id,
            ..
        }) = wanted.try_recv()
        {
            answered += 1;
            // The second gate is left to its fuse.
            if answered != 2 {
                let verdict = json!({
                    "deploymentId": deployment_id,
                    "lifecycleEventHookExecutionId": execution_id,
                    "status": "Succeeded",
                });
                let operation = "PutLifecycleEventHookExecutionStatus";
                call(&mut simulation, &region, "codedeploy", operation, verdict);
            }
        }
    }
    assert!(answered >= 8, "{answered} gates in three hours");
    for (service, least) in [
        ("payments", 4),
        ("catalog", 6),
        ("search", 6),
        ("storefront", 4),
        ("recommendations", 1),
        ("shipping-rates", 2),
    ] {
        let ended = deployments(&mut simulation, service)
            .iter()
            .filter_map(|deployment| deployment.get("completeTime").as_time_ms())
            .filter(|completed_ms| *completed_ms > START_MS)
            .count();
        assert!(ended >= least, "{service}: {ended} ended in three hours");
    }
    let search = deployments(&mut simulation, "search");
    let since = |deployment: &&Value| deployment.get("createTime").as_time_ms() > Some(START_MS);
    let by_alarm = search
        .iter()
        .filter(since)
        .filter(|deployment| ending(deployment) == "Stopped ALARM_ACTIVE");
    assert!(by_alarm.count() >= 2);
    let good = search.iter().filter(since).filter(|deployment| {
        text(deployment, "creator") == "user" && ending(deployment) == "Succeeded"
    });
    assert!(good.count() >= 3);
    assert_eq!(deployments(&mut simulation, "checkout-api").len(), quiet);
    let refused = simulation
        .journal()
        .into_iter()
        .find(|entry| entry.error.is_some());
    assert_eq!(refused, None);
}

#[test]
fn a_seed_decides_the_whole_story_however_time_is_cut() {
    let (mut one, _) = begin(5);
    let (mut other, _) = begin(5);
    one.advance_to(START_MS + 40 * MINUTE_MS);
    for second in 0..=40 * 60 {
        other.advance_to(START_MS + second * 1000);
    }
    assert_eq!(one.journal(), other.journal());
    assert_eq!(one.state(), other.state());
    let (different, _) = begin(6);
    assert_ne!(
        one.journal().first().map(|entry| &entry.request_id),
        different.journal().first().map(|entry| &entry.request_id)
    );
    assert_ne!(one.state()["regions"], different.state()["regions"]);
}

#[test]
fn a_canary_starts_at_once_when_it_is_asked_for_and_a_disturbance_stops_it() {
    let (mut simulation, _wanted) = begin(1);
    let started = simulation.start_canary().expect("a canary");
    // Payments has one at its gate already.
    assert_eq!(
        (started.service.as_str(), started.region.as_str()),
        ("storefront", "us-east-1")
    );
    assert!(simulation.next_canary().is_none());
    let refused = simulation.start_canary().expect_err("all are busy");
    assert!(refused.contains("payments, storefront"), "{refused}");

    // The linear shift of the catalog is good until something breaks under its new revision.
    let shift = newest(&mut simulation, "catalog");
    let revision = newest_revision(&mut simulation, "catalog");
    assert!(!simulation.world.disturb(&format!("{revision}9"), Some(0.4)));
    assert!(simulation.world.disturb(&revision, Some(0.4)));
    simulation.advance_to(START_MS + 6 * MINUTE_MS);
    let all = deployments(&mut simulation, "catalog");
    let id = text(&shift, "deploymentId");
    let stopped = all
        .iter()
        .find(|deployment| text(deployment, "deploymentId") == id);
    assert_eq!(stopped.map(ending).as_deref(), Some("Stopped ALARM_ACTIVE"));
}

/// The newest task definition of a service's family.
fn newest_revision(simulation: &mut Simulation, service: &str) -> String {
    let (region, _) = place(service);
    let family = json!({ "taskDefinition": service });
    let answer = call(simulation, region, "ecs", "DescribeTaskDefinition", family);
    text(answer.get("taskDefinition"), "taskDefinitionArn").to_string()
}

/// The statuses and the stages of a service's deployments by ECS, the newest first.
fn service_deployments(
    simulation: &mut Simulation,
    region: &str,
    cluster: &str,
    service: &str,
) -> Vec<Value> {
    let listed = call(
        simulation,
        region,
        "ecs",
        "ListServiceDeployments",
        json!({ "cluster": cluster, "service": service, "maxResults": 100 }),
    );
    let arns: Vec<&str> = listed
        .get("serviceDeployments")
        .as_list()
        .iter()
        .map(|one| text(one, "serviceDeploymentArn"))
        .collect();
    let mut described = Vec::new();
    for arns in arns.chunks(20) {
        let answer = call(
            simulation,
            region,
            "ecs",
            "DescribeServiceDeployments",
            json!({ "serviceDeploymentArns": arns }),
        );
        described.extend(answer.get("serviceDeployments").as_list().to_vec());
    }
    described
}

#[test]
fn services_of_ecs_have_a_past_a_wait_for_people_and_a_future_whatever_the_seed() {
    for seed in [1, 7, 4711] {
        let (mut simulation, _wanted) = begin(seed);
        for (service, region, cluster, reason) in [
            ("invoices", "eu-central-1", "prod-eu", "circuit breaker"),
            ("reviews", "eu-central-1", "prod-eu", "circuit breaker"),
            ("wishlist", "us-east-1", "prod-us", "alarm"),
        ] {
            let past = service_deployments(&mut simulation, region, cluster, service);
            assert!(past.len() >= 6, "{seed} {service}: {}", past.len());
            let back: Vec<&str> = past
                .iter()
                .filter(|one| text(one, "status") == "ROLLBACK_SUCCESSFUL")
                .map(|one| text(one, "statusReason"))
                .collect();
            assert!(
                matches!(back.as_slice(), [only] if only.to_lowercase().contains(reason)),
                "{seed} {service}: {back:?}"
            );
        }
        let newest = |simulation: &mut Simulation, service: &str| {
            service_deployments(simulation, "eu-central-1", "prod-eu", service)[0].clone()
        };
        assert_eq!(
            text(&newest(&mut simulation, "invoices"), "status"),
            "IN_PROGRESS"
        );
        let waiting = newest(&mut simulation, "reviews");
        let hooks = waiting.get("lifecycleHookDetails").as_list();
        assert!(
            hooks
                .iter()
                .any(|hook| text(hook, "status") == "AWAITING_ACTION"),
            "{seed}: {hooks:?}"
        );
        // Nobody decides: it is put back after two hours, and the team goes on.
        simulation.advance_to(START_MS + 4 * 60 * MINUTE_MS);
        let later = service_deployments(&mut simulation, "eu-central-1", "prod-eu", "reviews");
        assert_eq!(text(&later[1], "status"), "ROLLBACK_SUCCESSFUL", "{seed}");
        assert_eq!(text(&later[0], "status"), "IN_PROGRESS", "{seed}");
    }
}
