//! The journal tells every call that changes something or tried to, in order, and nothing else.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use switchback_aws_sim::door::json::from_json;
use switchback_aws_sim::door::simulation::{Simulation, is_read_only};
use switchback_aws_sim::world::Caller;

const START_MS: i64 = 1_795_255_200_000;

/// Calls that succeed, fail or only read, depending on those before them.
fn call(which: usize, name: usize) -> (&'static str, &'static str, Json) {
    let app = format!("app{name}");
    let arn = format!("arn:aws:codedeploy:eu-central-1:123456789012:application:{app}");
    match which {
        0 => (
            "codedeploy",
            "CreateApplication",
            json!({"applicationName": app, "computePlatform": "ECS"}),
        ),
        1 => (
            "codedeploy",
            "DeleteApplication",
            json!({"applicationName": app}),
        ),
        2 => (
            "codedeploy",
            "UpdateApplication",
            json!({"applicationName": app, "newApplicationName": format!("app{}", name + 1)}),
        ),
        3 => (
            "codedeploy",
            "TagResource",
            json!({"ResourceArn": arn, "Tags": [{"Key": "k", "Value": "v"}]}),
        ),
        4 => (
            "codedeploy",
            "RegisterApplicationRevision",
            json!({"applicationName": app, "revision": {"revisionType": "S3", "s3Location":
                {"bucket": "b", "key": "k", "bundleType": "YAML"}}}),
        ),
        5 => (
            "codedeploy",
            "CreateDeployment",
            json!({"applicationName": app, "deploymentGroupName": "none"}),
        ),
        6 => (
            "codedeploy",
            "StopDeployment",
            json!({"deploymentId": "d-AAAAAAAAA"}),
        ),
        7 => (
            "codedeploy",
            "GetApplication",
            json!({"applicationName": app}),
        ),
        8 => ("codedeploy", "ListApplications", json!({})),
        9 => (
            "codedeploy",
            "BatchGetApplications",
            json!({"applicationNames": [app]}),
        ),
        10 => ("codedeploy", "Unheard", json!({})),
        _ => ("ecs", "CreateCluster", json!({"clusterName": app})),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn the_journal_is_complete(
        calls in prop::collection::vec((0..12_usize, 0..3_usize, 0..90_i64), 1..60),
    ) {
        let (effects, _wanted) = tokio::sync::mpsc::unbounded_channel();
        let mut simulation = Simulation::new(1, START_MS, effects);
        let caller = Caller {
            account: "123456789012".to_string(),
            region: "eu-central-1".to_string(),
            principal: "arn:aws:iam::123456789012:user/tester".to_string(),
        };
        let mut expected = Vec::new();
        let mut now_ms = START_MS;
        for (which, name, seconds) in calls {
            let (service, operation, input) = call(which, name);
            now_ms += seconds * 1000;
            simulation.advance_to(now_ms);
            let outcome = simulation.call_as(&caller, service, operation, &from_json(input.clone()));
            if !is_read_only(service, operation) {
                expected.push((service, operation, input, outcome.err().map(|error| error.code)));
            }
        }
        let journal = simulation.journal();
        prop_assert_eq!(journal.len(), expected.len());
        for (entry, (service, operation, input, error)) in journal.iter().zip(&expected) {
            prop_assert_eq!(&entry.service, service);
            prop_assert_eq!(&entry.operation, operation);
            prop_assert_eq!(&entry.parameters, input);
            prop_assert_eq!(&entry.error, error);
            prop_assert_eq!(&entry.caller, &caller.principal);
        }
        let times: Vec<&String> = journal.iter().map(|entry| &entry.at).collect();
        prop_assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
        let mut ids: Vec<&String> = journal.iter().map(|entry| &entry.request_id).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), journal.len());
    }
}
