//! Service deployments and service revisions: reading, paging, keeping.

use serde_json::json;

use super::{Account, MINUTE, SECOND, text};

const DAY: i64 = 24 * 60 * MINUTE;

#[test]
fn a_service_deployment_names_its_revisions_and_they_their_images() {
    let mut account = Account::ecs(1, json!({}));
    account.register("shop/web:v2", json!([]));
    let service = account.update(json!({"taskDefinition": "web:2"}));
    let arn = text(&service["currentServiceDeployment"]);
    assert!(arn.starts_with("arn:aws:ecs:eu-central-1:123456789012:service-deployment/prod/web/"));
    assert_eq!(arn.rsplit('/').next().map(str::len), Some(21));
    let one = account.service_deployment(&arn);
    assert_eq!(one["status"], "PENDING");
    assert!(!one["startedAt"].is_i64());
    assert_eq!(
        one["serviceArn"],
        "arn:aws:ecs:eu-central-1:123456789012:service/prod/web"
    );
    let target = text(&one["targetServiceRevision"]["arn"]);
    let source = text(&one["sourceServiceRevisions"][0]["arn"]);
    account.pass(5 * SECOND);
    let asked = json!({"serviceRevisionArns": [target, source, "arn:aws:ecs:eu-central-1:123456789012:service-revision/prod/web/1"]});
    let answer = account.ok("ecs", "DescribeServiceRevisions", asked.clone());
    let revision = &answer["serviceRevisions"][0];
    assert!(text(&revision["taskDefinition"]).ends_with("web:2"));
    assert_eq!(revision["containerImages"][0]["image"], "shop/web:v2");
    assert_eq!(
        revision["containerImages"][0]["imageDigest"],
        serde_json::Value::Null
    );
    assert_eq!(revision["launchType"], "FARGATE");
    assert_eq!(
        revision["resolvedConfiguration"]["loadBalancers"][0]["targetGroupArn"],
        account.blue
    );
    assert!(text(&answer["serviceRevisions"][1]["taskDefinition"]).ends_with("web:1"));
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
    account.until_over();
    let answer = account.ok("ecs", "DescribeServiceRevisions", asked);
    let digest = text(&answer["serviceRevisions"][0]["containerImages"][0]["imageDigest"]);
    assert!(digest.starts_with("sha256:") && digest.len() == 71);
    let one = account.service_deployment(&arn);
    assert_eq!(one["status"], "SUCCESSFUL");
    assert_eq!(one["targetServiceRevision"]["runningTaskCount"], 1);
    assert_eq!(one["sourceServiceRevisions"][0]["runningTaskCount"], 0);
    let current = account.service()["currentServiceRevisions"].clone();
    assert_eq!(
        current,
        json!([{"arn": target, "requestedTaskCount": 1, "runningTaskCount": 1, "pendingTaskCount": 0}])
    );
}

#[test]
fn the_list_is_filtered_and_paged() {
    let mut account = Account::ecs(0, json!({}));
    for _ in 0..24 {
        account.update(json!({"forceNewDeployment": true}));
        account.until_over();
        account.pass(MINUTE);
    }
    let service = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";
    let mut seen = Vec::new();
    let mut token = serde_json::Value::Null;
    let mut sizes = Vec::new();
    loop {
        let input = json!({"service": service, "nextToken": token});
        let answer = account.ok("ecs", "ListServiceDeployments", input);
        let page = answer["serviceDeployments"]
            .as_array()
            .cloned()
            .expect("a page");
        sizes.push(page.len());
        seen.extend(page);
        token = answer["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(sizes, [20, 5]);
    let created: Vec<i64> = seen
        .iter()
        .map(|one| one["createdAt"].as_i64().expect("a time"))
        .collect();
    assert!(created.windows(2).all(|pair| pair[0] > pair[1]));
    let mut list = |members: serde_json::Value| {
        let input = Account::update_input(members);
        let answer = account.ok("ecs", "ListServiceDeployments", input);
        answer["serviceDeployments"].as_array().map(Vec::len)
    };
    assert_eq!(list(json!({"maxResults": 3})), Some(3));
    assert_eq!(list(json!({"status": ["STOPPED"]})), Some(0));
    assert_eq!(
        list(json!({"status": ["STOPPED", "SUCCESSFUL"], "maxResults": 100})),
        Some(25)
    );
    let middle = created[12] / 1000;
    assert_eq!(
        list(json!({"createdAt": {"after": middle + 1}, "maxResults": 100})),
        Some(12)
    );
    for members in [
        json!({"maxResults": 101}),
        json!({"status": ["DONE"]}),
        json!({"nextToken": "x"}),
    ] {
        let input = Account::update_input(members);
        let error = account.refused("ecs", "ListServiceDeployments", input);
        assert_eq!(error.code, "InvalidParameterException");
    }
    let many: Vec<String> = (0..21).map(|n| format!("{service}/{n}")).collect();
    for (operation, member) in [
        ("DescribeServiceDeployments", "serviceDeploymentArns"),
        ("DescribeServiceRevisions", "serviceRevisionArns"),
    ] {
        let error = account.refused("ecs", operation, json!({member: many}));
        assert_eq!(error.code, "InvalidParameterException");
    }
    let missing =
        "arn:aws:ecs:eu-central-1:123456789012:service-deployment/prod/web/AAAAAAAAAAAAAAAAAAAAA";
    let error = account.refused(
        "ecs",
        "StopServiceDeployment",
        json!({"serviceDeploymentArn": missing}),
    );
    assert_eq!(error.code, "ServiceDeploymentNotFoundException");
    assert_eq!(
        account
            .refused(
                "ecs",
                "StopServiceDeployment",
                json!({"serviceDeploymentArn": missing, "stopType": "ABORT"}),
            )
            .code,
        "InvalidParameterException"
    );
}

#[test]
fn history_is_kept_for_ninety_days_and_the_running_revision_for_ever() {
    let mut account = Account::ecs(0, json!({}));
    account.update(json!({"forceNewDeployment": true}));
    account.until_over();
    let first = account.history();
    assert_eq!(first.len(), 2);
    account.pass(89 * DAY);
    assert_eq!(account.history().len(), 2);
    account.pass(2 * DAY);
    assert_eq!(account.history().len(), 0);
    let old = text(&first[0]["serviceDeploymentArn"]);
    let answer = account.ok(
        "ecs",
        "DescribeServiceDeployments",
        json!({"serviceDeploymentArns": [old]}),
    );
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
    account.update(json!({"forceNewDeployment": true}));
    account.until_over();
    assert_eq!(account.history().len(), 1);
    let running = first[0]["targetServiceRevisionArn"].clone();
    let asked = json!({"serviceRevisionArns": [running, first[1]["targetServiceRevisionArn"]]});
    let answer = account.ok("ecs", "DescribeServiceRevisions", asked);
    assert_eq!(answer["failures"].as_array().map(Vec::len), Some(1));
}
