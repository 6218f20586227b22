//! The adapter against answers that are written down byte for byte: what is sent how often, what an
//! answer that gets lost means, and that a task definition survives unchanged.
//!
//! Whole stories are told against the simulated account, in the workspace's `tests`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use switchback_aws::AwsAccount;
use switchback_aws::AwsSettings;
use switchback_cloud::Cloud;
use switchback_cloud::CloudError;
use switchback_cloud::DeploymentWait;
use switchback_cloud::NewDeployment;
use switchback_cloud::ServiceUpdate;
use switchback_cloud::WhatToDo;
use switchback_domain::digest::Digest;
use switchback_domain::ecs::EcsStatus;
use switchback_domain::ecs::EcsStrategy;
use switchback_domain::gate::Verdict;
use switchback_domain::moment::Moment;
use switchback_domain::revision::RevisionArn;
use switchback_domain::revision::RevisionStatus;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

/// What the server does with one request after it has read it to its end.
enum Answer {
    /// Answers.
    Status(u16, String),
    /// Something between us and AWS answers 502, with its own `Date` and without AWS's request identifier.
    Proxy(&'static str),
    /// Closes the connection without a word: the answer is lost, the call was taken.
    Lost,
}

fn ok(body: &Value) -> Answer {
    Answer::Status(200, body.to_string())
}

fn error(status: u16, code: &str) -> Answer {
    Answer::Status(
        status,
        json!({"__type": code, "message": "in AWS's words"}).to_string(),
    )
}

/// What a request was.
#[derive(Clone, Debug)]
struct Seen {
    /// `CreateDeployment`
    operation: String,
    body: Value,
}

/// A server with a list of answers, given in order; it refuses to be asked more often.
struct Account {
    aws: AwsAccount,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Account {
    async fn answering(answers: Vec<Answer>) -> Account {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let record = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers.clone(), record.clone()));
            }
        });
        Account {
            aws: connect(&format!("http://{address}")).await,
            seen,
        }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn operations(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.operation).collect()
    }
}

async fn connect(endpoint_url: &str) -> AwsAccount {
    AwsAccount::connect(AwsSettings {
        region: Some("eu-central-1".to_string()),
        endpoint_url: Some(endpoint_url.to_string()),
        credentials: Some(("key".to_string(), "secret".to_string())),
        role: None,
        machine_clock: Arc::new(|| Moment::from_millis(0)),
    })
    .await
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    while let Some(request) = read_request(&mut stream).await {
        seen.lock().unwrap().push(request);
        let answer = answers.lock().unwrap().pop_front();
        let (status, date, request_id, body) = match answer {
            Some(Answer::Status(status, body)) => (
                status,
                "Sat, 21 Nov 2026 10:00:00 GMT",
                "x-amzn-requestid: request-1\r\n",
                body,
            ),
            Some(Answer::Proxy(date)) => (502, date, "", "<h1>Bad Gateway</h1>".to_string()),
            Some(Answer::Lost) | None => return,
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\ndate: {date}\r\n\
             content-type: application/x-amz-json-1.1\r\n{request_id}\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .await
            .unwrap();
    }
}

/// One request with its whole body; `None` once the client has closed the connection.
async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_string();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| {
                head.lines().skip(1).find_map(|line| {
                    let (key, value) = line.split_once(':')?;
                    key.eq_ignore_ascii_case(name)
                        .then(|| value.trim().to_string())
                })
            };
            let length: usize = header("content-length")?.parse().unwrap();
            if body.len() == length {
                let target = header("x-amz-target").unwrap_or_default();
                return Some(Seen {
                    operation: target.rsplit('.').next()?.to_string(),
                    body: serde_json::from_str(body).unwrap_or(Value::Null),
                });
            }
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
        }
    }
}

fn new_deployment() -> NewDeployment {
    NewDeployment {
        application: "web".to_string(),
        group: "production".to_string(),
        config_name: "CodeDeployDefault.ECSAllAtOnce".to_string(),
        description: "marker".to_string(),
        app_spec: "version: 0.0".to_string(),
    }
}

/// Every call that changes something, made against an account that gives one answer.
async fn change(call: &str, aws: &AwsAccount) -> Result<(), CloudError> {
    match call {
        "PutLifecycleEventHookExecutionStatus" => aws
            .answer_hook("d-1", "execution", Verdict::Approve)
            .await
            .map(drop),
        "ContinueDeployment" => aws
            .continue_deployment("d-1", DeploymentWait::Ready)
            .await
            .map(drop),
        "StopDeployment" => aws.stop_and_roll_back("d-1").await.map(drop),
        "CreateDeployment" => aws.create_deployment(&new_deployment()).await.map(drop),
        "StopServiceDeployment" => aws.stop_service_deployment("arn").await.map(drop),
        "UpdateService" => aws.update_service(&service_update(false)).await.map(drop),
        other => panic!("{other} changes nothing"),
    }
}

const CHANGES: [&str; 6] = [
    "PutLifecycleEventHookExecutionStatus",
    "ContinueDeployment",
    "StopDeployment",
    "CreateDeployment",
    "StopServiceDeployment",
    "UpdateService",
];

fn service_update(force_new_deployment: bool) -> ServiceUpdate {
    ServiceUpdate {
        cluster: "main".to_string(),
        service: "cart".to_string(),
        task_definition: RevisionArn::parse("arn:aws:ecs:r:1:task-definition/cart:7").unwrap(),
        force_new_deployment,
    }
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_sent_once_and_its_outcome_is_unknown() {
    for call in CHANGES {
        let account = Account::answering(vec![Answer::Lost]).await;
        let error = change(call, &account.aws).await.unwrap_err();
        assert_eq!(account.operations(), [call]);
        let (service, name) = error.operation.split_once(':').unwrap();
        assert_eq!(name, call);
        assert_eq!(service == "ecs", call.contains("Service"), "{error}");
        assert_eq!(
            (error.kind, error.code.as_str()),
            (WhatToDo::Unknown, "NoAnswer"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_change_that_is_lost_on_a_connection_used_before_is_also_sent_once() {
    let account = Account::answering(vec![ok(&json!({"deployments": []})), Answer::Lost]).await;
    account.aws.deployment_ids(None, None).await.unwrap();
    let error = account
        .aws
        .create_deployment(&new_deployment())
        .await
        .unwrap_err();
    assert_eq!(
        account.operations(),
        ["ListDeployments", "CreateDeployment"]
    );
    assert_eq!(error.kind, WhatToDo::Unknown);
}

#[tokio::test]
async fn a_change_is_sent_once_whatever_it_is_answered() {
    let answers = [
        (500, "InternalFailure", WhatToDo::Unknown),
        (503, "ServiceUnavailable", WhatToDo::Unknown),
        (400, "ThrottlingException", WhatToDo::Retry),
        (400, "DeploymentLimitExceededException", WhatToDo::Never),
        // The SDK repeats a read that is refused like this while the clocks differ, as they do here.
        (400, "AccessDeniedException", WhatToDo::Never),
    ];
    for call in CHANGES {
        for (status, code, kind) in answers {
            let account = Account::answering(vec![error(status, code)]).await;
            let error = change(call, &account.aws).await.unwrap_err();
            assert_eq!(account.operations(), [call]);
            assert_eq!((error.kind, error.code.as_str()), (kind, code));
            assert_eq!(error.message, "in AWS's words");
            assert_eq!(error.request_id.as_deref(), Some("request-1"));
        }
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_sent_may_be_made_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    // Nobody listens; and an address that fails before the HTTP client is even asked.
    for endpoint_url in [format!("http://{address}"), "nonsense".to_string()] {
        let aws = connect(&endpoint_url).await;
        for call in CHANGES {
            let error = change(call, &aws).await.unwrap_err();
            assert_eq!(
                (error.kind, error.code.as_str()),
                (WhatToDo::Retry, "NoConnection"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn an_accepted_change_without_the_id_it_must_have_is_unknown() {
    let account = Account::answering(vec![ok(&json!({}))]).await;
    let error = account
        .aws
        .create_deployment(&new_deployment())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_str()),
        (WhatToDo::Unknown, "Malformed")
    );
    assert_eq!(error.request_id.as_deref(), Some("request-1"));
}

#[tokio::test]
async fn an_accepted_change_gives_the_request_id() {
    let account = Account::answering(vec![ok(&json!({"deploymentId": "d-ABC"}))]).await;
    let (id, receipt) = account
        .aws
        .create_deployment(&new_deployment())
        .await
        .unwrap();
    assert_eq!(id, "d-ABC");
    assert_eq!(receipt.request_id.as_deref(), Some("request-1"));
    let body = &account.seen()[0].body;
    assert_eq!(
        body["revision"]["appSpecContent"]["content"],
        "version: 0.0"
    );
    assert_eq!(
        body["revision"]["appSpecContent"]["sha256"],
        Digest::of_bytes(b"version: 0.0").as_str()
    );
}

#[tokio::test]
async fn the_verdicts_and_the_way_back_are_sent_as_aws_names_them() {
    let accepted = || ok(&json!({}));
    let answers = (0..5).map(|_| accepted()).collect();
    let account = Account::answering(answers).await;
    account
        .aws
        .answer_hook("d-1", "execution", Verdict::Approve)
        .await
        .unwrap();
    account
        .aws
        .answer_hook("d-1", "execution", Verdict::Reject)
        .await
        .unwrap();
    account
        .aws
        .continue_deployment("d-1", DeploymentWait::Ready)
        .await
        .unwrap();
    account.aws.stop_and_roll_back("d-1").await.unwrap();
    account
        .aws
        .continue_deployment("d-1", DeploymentWait::Termination)
        .await
        .unwrap();
    let bodies: Vec<Value> = account.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies[0]["status"], "Succeeded");
    assert_eq!(bodies[1]["status"], "Failed");
    assert_eq!(bodies[2]["deploymentWaitType"], "READY_WAIT");
    assert_eq!(bodies[3]["autoRollbackEnabled"], true);
    assert_eq!(bodies[4]["deploymentWaitType"], "TERMINATION_WAIT");
}

#[tokio::test]
async fn a_service_of_ecs_is_moved_and_stopped_as_aws_names_it() {
    let service = json!({"service": {"currentServiceDeployment": "new",
        "deployments": [{"id": "ecs-svc/1", "status": "ACTIVE"}, {"id": "ecs-svc/2", "status": "PRIMARY"}]}});
    let accepted = [ok(&service), ok(&service), ok(&json!({})), ok(&json!({}))];
    let account = Account::answering(accepted.into()).await;
    let (updated, receipt) = account
        .aws
        .update_service(&service_update(false))
        .await
        .unwrap();
    assert_eq!(updated.primary.as_deref(), Some("ecs-svc/2"));
    assert_eq!(updated.current.as_deref(), Some("new"));
    assert_eq!(receipt.request_id.as_deref(), Some("request-1"));
    account
        .aws
        .update_service(&service_update(true))
        .await
        .unwrap();
    account.aws.stop_service_deployment("arn").await.unwrap();
    let unreadable = account.aws.update_service(&service_update(false)).await;
    assert_eq!(
        unreadable.unwrap_err().kind,
        WhatToDo::Unknown,
        "accepted, and only what it did is not known"
    );
    let bodies: Vec<Value> = account.seen().into_iter().map(|seen| seen.body).collect();
    let task_definition = "arn:aws:ecs:r:1:task-definition/cart:7";
    let moved = json!({"cluster": "main", "service": "cart", "taskDefinition": task_definition});
    assert_eq!(bodies[0], moved);
    assert_eq!(bodies[1]["forceNewDeployment"], true);
    let stopped = json!({"serviceDeploymentArn": "arn", "stopType": "ROLLBACK"});
    assert_eq!(bodies[2], stopped);
}

#[tokio::test]
async fn a_read_is_repeated_until_it_is_answered() {
    let account = Account::answering(vec![
        Answer::Lost,
        error(400, "ThrottlingException"),
        ok(&json!({"deployments": ["d-1"]})),
    ])
    .await;
    assert_eq!(
        account.aws.deployment_ids(None, None).await.unwrap(),
        ["d-1"]
    );
    assert_eq!(account.operations(), ["ListDeployments"; 3]);
}

#[tokio::test]
async fn a_read_gives_up_after_three_attempts() {
    let failing = || error(500, "InternalFailure");
    let account = Account::answering(vec![failing(), failing(), failing()]).await;
    let error = account.aws.deployment_ids(None, None).await.unwrap_err();
    assert_eq!(account.operations(), ["ListDeployments"; 3]);
    assert_eq!(error.kind, WhatToDo::Retry);
}

#[tokio::test]
async fn a_refused_read_is_not_repeated() {
    let account = Account::answering(vec![error(400, "InvalidNextTokenException")]).await;
    let error = account.aws.deployment_ids(None, None).await.unwrap_err();
    assert_eq!(account.operations(), ["ListDeployments"]);
    assert_eq!(error.kind, WhatToDo::Never);
}

#[tokio::test]
async fn the_clock_is_the_accounts_once_it_has_answered() {
    let account = Account::answering(vec![ok(&json!({"deployments": []}))]).await;
    assert_eq!(account.aws.now(), Moment::from_millis(0));
    account.aws.deployment_ids(None, None).await.unwrap();
    let date = Moment::parse("2026-11-21T10:00:00Z").unwrap();
    assert!((0..60_000).contains(&account.aws.now().millis_since(date)));
}

#[tokio::test]
async fn only_what_aws_itself_says_sets_the_clock() {
    let empty = ok(&json!({"deployments": []}));
    let wrong = "Sat, 21 Nov 2026 16:00:00 GMT";
    // The first try and the two after it.
    let account = Account::answering(vec![
        Answer::Proxy(wrong),
        Answer::Proxy(wrong),
        Answer::Proxy(wrong),
        empty,
        Answer::Proxy(wrong),
        Answer::Proxy(wrong),
        Answer::Proxy(wrong),
    ])
    .await;
    account.aws.deployment_ids(None, None).await.unwrap_err();
    assert_eq!(
        account.aws.now(),
        Moment::from_millis(0),
        "AWS has not answered yet"
    );
    account.aws.deployment_ids(None, None).await.unwrap();
    account.aws.deployment_ids(None, None).await.unwrap_err();
    assert_eq!(account.operations().len(), 7);
    let date = Moment::parse("2026-11-21T10:00:00Z").unwrap();
    assert!((0..60_000).contains(&account.aws.now().millis_since(date)));
}

#[tokio::test]
async fn a_task_definition_is_kept_member_for_member() {
    let arn = "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:7";
    let definition = json!({
        "taskDefinitionArn": arn, "family": "web", "revision": 7, "status": "INACTIVE",
        "registeredAt": 1763719200.123, "registeredBy": "arn:aws:iam::123456789012:user/ada",
        "containerDefinitions": [{"name": "web", "image": "web:1", "essential": true,
            "newerThanTheSdk": {"deep": [1, null, "x"]}, "environment": []}],
        "anotherNewOne": false,
    });
    let tags = json!([{"key": "team", "value": "checkout"}]);
    let answer = json!({"taskDefinition": definition, "tags": tags});
    let account = Account::answering(vec![ok(&answer)]).await;
    let arn = RevisionArn::parse(arn).unwrap();
    let revision = account.aws.revision(&arn).await.unwrap().unwrap();
    assert_eq!(account.seen()[0].body["include"], json!(["TAGS"]));
    let mut expected = definition;
    expected["tags"] = tags;
    assert_eq!(revision.task_definition, expected);
    assert_eq!(revision.status, RevisionStatus::Inactive);
    assert_eq!(
        revision.registered_at,
        Some(Moment::from_millis(1_763_719_200_123))
    );
    assert_eq!(
        revision.registered_by.as_deref(),
        Some("arn:aws:iam::123456789012:user/ada")
    );
}

#[tokio::test]
async fn a_task_definition_that_aws_does_not_know_is_none() {
    let body =
        json!({"__type": "ClientException", "message": "Unable to describe task definition."});
    let account = Account::answering(vec![Answer::Status(400, body.to_string())]).await;
    let arn = "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:7";
    let found = account
        .aws
        .revision(&RevisionArn::parse(arn).unwrap())
        .await
        .unwrap();
    assert_eq!(found, None);
}

#[tokio::test]
async fn a_deployment_that_has_not_begun_has_no_lifecycle() {
    let account = Account::answering(vec![error(400, "DeploymentNotStartedException")]).await;
    assert_eq!(
        account.aws.lifecycle("d-1").await.unwrap(),
        Default::default()
    );
}

#[tokio::test]
async fn unknown_deployments_are_left_out() {
    let known = json!({"deploymentsInfo": [{"deploymentId": "d-1", "createTime": 1763719200,
        "status": "SomethingNew"}]});
    let account = Account::answering(vec![
        error(400, "InvalidDeploymentIdException"),
        ok(&known),
        error(400, "InvalidDeploymentIdException"),
    ])
    .await;
    let ids = ["d-1".to_string(), "nonsense".to_string()];
    let found = account.aws.deployments(&ids).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].aws_id, "d-1");
    assert_eq!(
        found[0].reading.status,
        switchback_domain::deployment::AwsStatus::Unknown
    );
}

#[tokio::test]
async fn an_app_spec_is_also_found_in_its_older_form() {
    let account = Account::answering(vec![
        error(400, "RevisionDoesNotExistException"),
        ok(&json!({"revision": {"revisionType": "String", "string": {"content": "text"}}})),
    ])
    .await;
    let digest = Digest::of_bytes(b"text");
    assert_eq!(account.aws.app_spec("web", &digest).await.unwrap(), "text");
    let types: Vec<Value> = account
        .seen()
        .into_iter()
        .map(|seen| seen.body["revision"]["revisionType"].clone())
        .collect();
    assert_eq!(types, ["AppSpecContent", "String"]);
}

#[tokio::test]
async fn an_app_spec_in_neither_form_is_missing() {
    let account = Account::answering(vec![
        error(400, "RevisionDoesNotExistException"),
        error(400, "InvalidRevisionException"),
    ])
    .await;
    let error = account
        .aws
        .app_spec("web", &Digest::of_bytes(b"text"))
        .await
        .unwrap_err();
    assert!(error.is_missing(), "{error}");
}

#[tokio::test]
async fn services_are_found_through_their_groups_and_missing_ones_are_left_out() {
    let group = json!({
        "applicationName": "web", "deploymentGroupName": "production",
        "deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce", "computePlatform": "ECS",
        "ecsServices": [{"clusterName": "arn:aws:ecs:eu-central-1:123456789012:cluster/main",
            "serviceName": "web"}],
        "alarmConfiguration": {"enabled": true, "alarms": [{"name": "web-5xx"}]},
        "autoRollbackConfiguration": {"enabled": true, "events": ["DEPLOYMENT_FAILURE"]},
        "blueGreenDeploymentConfiguration": {
            "deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 60},
            "terminateBlueInstancesOnDeploymentSuccess": {"action": "KEEP_ALIVE"}},
        "loadBalancerInfo": {"targetGroupPairInfoList": [{
            "targetGroups": [{"name": "blue"}, {"name": "green"}],
            "prodTrafficRoute": {"listenerArns": ["listener-1"]}}]},
    });
    let mut gone = group.clone();
    gone["deploymentGroupName"] = json!("gone");
    gone["ecsServices"] = json!([{"clusterName": "main", "serviceName": "gone"}]);
    gone["alarmConfiguration"]["enabled"] = json!(false);
    let other = json!({"deploymentGroupName": "machines", "computePlatform": "Server"});
    let arn = "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:7";
    let service = json!({
        "serviceArn": "arn:aws:ecs:eu-central-1:123456789012:service/main/web",
        "clusterArn": "arn:aws:ecs:eu-central-1:123456789012:cluster/main",
        "serviceName": "web", "status": "ACTIVE", "desiredCount": 3, "runningCount": 2,
        "deploymentController": {"type": "CODE_DEPLOY"},
        "taskSets": [{"id": "ecs-svc/1", "taskDefinition": arn, "status": "PRIMARY",
            "externalId": "d-1", "createdAt": 1763719200, "computedDesiredCount": 3,
            "runningCount": 2, "loadBalancers": [{"targetGroupArn": "blue-arn"}]}],
    });
    let missing = json!([{"arn": "gone", "reason": "MISSING"}]);
    let account = Account::answering(vec![
        ok(&json!({"applications": ["web"]})),
        ok(&json!({"deploymentGroups": ["production", "gone", "machines"]})),
        ok(&json!({"deploymentGroupsInfo": [group, gone, other]})),
        ok(&json!({"services": [service], "failures": missing})),
    ])
    .await;
    let services = account.aws.services().await.unwrap();
    assert_eq!(
        account.operations(),
        [
            "ListApplications",
            "ListDeploymentGroups",
            "BatchGetDeploymentGroups",
            "DescribeServices"
        ]
    );
    assert_eq!(
        account.seen()[3].body,
        json!({"cluster": "main", "services": ["web", "gone"]})
    );
    assert_eq!(services.len(), 1);
    let found = &services[0];
    assert_eq!(
        (found.name.as_str(), found.cluster.as_str()),
        ("web", "main")
    );
    assert_eq!((found.desired_count, found.running_count), (3, 2));
    let group = found.controller.group().unwrap();
    assert_eq!(group.alarms, ["web-5xx"]);
    assert!(group.rolls_back_on_failure && !group.rolls_back_on_alarm);
    assert_eq!(
        (group.ready_wait_minutes, group.termination_wait_minutes),
        (60, None)
    );
    assert_eq!(
        group.routes.production_listener.as_deref(),
        Some("listener-1")
    );
    assert_eq!(group.routes.test_listener, None);
    assert_eq!(group.routes.target_groups, ["blue", "green"]);
    let task_set = &found.task_sets[0];
    assert!(task_set.task_set.primary);
    assert_eq!(
        task_set.task_set.created_by_deployment.as_deref(),
        Some("d-1")
    );
    assert_eq!(task_set.target_group_arn.as_deref(), Some("blue-arn"));
}

#[tokio::test]
async fn a_service_of_ecs_is_found_with_how_it_is_deployed() {
    let cluster = "arn:aws:ecs:eu-central-1:123456789012:cluster/main";
    let arn = |name: &str| format!("arn:aws:ecs:eu-central-1:123456789012:service/main/{name}");
    let definition = |number: u32| {
        format!("arn:aws:ecs:eu-central-1:123456789012:task-definition/cart:{number}")
    };
    let service = json!({
        "serviceArn": arn("cart"), "serviceName": "cart", "clusterArn": cluster, "status": "ACTIVE",
        "desiredCount": 3, "runningCount": 4, "taskDefinition": definition(8),
        "loadBalancers": [{"targetGroupArn": "arn:aws:elasticloadbalancing:r:1:targetgroup/cart-blue/1",
            "containerName": "app", "containerPort": 8080,
            "advancedConfiguration": {
                "alternateTargetGroupArn": "arn:aws:elasticloadbalancing:r:1:targetgroup/cart-green/2"}}],
        "deploymentConfiguration": {"strategy": "CANARY", "bakeTimeInMinutes": 5,
            "canaryConfiguration": {"canaryPercent": 5.5, "canaryBakeTimeInMinutes": 10},
            "alarms": {"enable": true, "rollback": true, "alarmNames": ["cart-5xx"]},
            "lifecycleHooks": [{"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}]},
        "deployments": [
            {"id": "ecs-svc/8", "status": "PRIMARY", "taskDefinition": definition(8), "rolloutState": "IN_PROGRESS", "createdAt": 20},
            {"id": "ecs-svc/7", "status": "ACTIVE", "taskDefinition": definition(7), "rolloutState": "COMPLETED", "createdAt": 10}],
    });
    let other = json!({"serviceArn": arn("web"), "serviceName": "web", "status": "ACTIVE",
        "deploymentController": {"type": "CODE_DEPLOY"}});
    let account = Account::answering(vec![
        ok(&json!({"clusterArns": [cluster]})),
        ok(&json!({"serviceArns": [arn("cart"), arn("web")]})),
        ok(&json!({"services": [service, other], "failures": []})),
    ])
    .await;
    let services = account.aws.ecs_services().await.unwrap();
    assert_eq!(
        account.operations(),
        ["ListClusters", "ListServices", "DescribeServices"]
    );
    assert_eq!(services.len(), 1, "CodeDeploy's is found by its group");
    let found = &services[0];
    assert_eq!(
        (found.name.as_str(), found.cluster.as_str()),
        ("cart", "main")
    );
    assert_eq!(
        found.serving.as_ref().map(|arn| arn.number()),
        Some(7),
        "what is in progress does not serve"
    );
    let ecs = found.controller.ecs().unwrap();
    assert_eq!(ecs.primary.as_deref(), Some("ecs-svc/8"));
    assert_eq!(ecs.target_groups, ["cart-blue", "cart-green"]);
    let named = ecs.task_definition.as_ref().map(|arn| arn.number());
    assert_eq!(named, Some(8), "what it names, whatever serves");
    let reached = &ecs.container_ports[0];
    assert_eq!((reached.container.as_str(), reached.port), ("app", 8080));
    let configuration = &ecs.configuration;
    assert_eq!(
        (configuration.strategy, configuration.step_permille),
        (EcsStrategy::Canary, Some(55))
    );
    assert_eq!(
        (configuration.pause_hooks, configuration.lambda_hooks),
        (1, 0)
    );
    assert_eq!(configuration.pause_stages, ["POST_SCALE_UP"]);
    assert_eq!(found.controller.alarms(), ["cart-5xx"]);
}

#[tokio::test]
async fn a_service_deployment_is_read_with_its_revisions_and_unknown_words_stay_unknown() {
    let id = "arn:aws:ecs:eu-central-1:123456789012:service-deployment/main/cart/abc";
    let revision = |number: u32| {
        format!("arn:aws:ecs:eu-central-1:123456789012:service-revision/main/cart/{number}")
    };
    let definition = |number: u32| {
        format!("arn:aws:ecs:eu-central-1:123456789012:task-definition/cart:{number}")
    };
    let deployment = |status: &str| {
        json!({
            "serviceDeploymentArn": id, "createdAt": 100, "status": status, "lifecycleStage": "A_STAGE_OF_NEXT_YEAR",
            "serviceArn": "arn:aws:ecs:eu-central-1:123456789012:service/main/cart",
            "clusterArn": "arn:aws:ecs:eu-central-1:123456789012:cluster/main",
            "sourceServiceRevisions": [{"arn": revision(1), "runningTaskCount": 3, "requestedProductionTrafficWeight": 94.5}],
            "targetServiceRevision": {"arn": revision(2), "requestedTaskCount": 3, "runningTaskCount": 2, "requestedProductionTrafficWeight": 5.5},
            "deploymentCircuitBreaker": {"status": "MONITORING", "failureCount": 1, "threshold": 3},
            "alarms": {"status": "TRIGGERED", "alarmNames": ["a", "b"], "triggeredAlarmNames": ["b"]},
            "lifecycleHookDetails": [{"hookId": "ecs-pause-1", "targetType": "PAUSE", "status": "AWAITING_ACTION",
                "expiresAt": 200, "timeoutAction": "ROLLBACK"}],
            "statusReason": "in AWS's words",
        })
    };
    let revisions = json!({"serviceRevisions": [
        {"serviceRevisionArn": revision(1), "taskDefinition": definition(7)},
        {"serviceRevisionArn": revision(2), "taskDefinition": definition(8),
            "containerImages": [{"containerName": "app", "image": "cart:8", "imageDigest": "sha256:ab"}],
            "resolvedConfiguration": {"loadBalancers": [{"targetGroupArn": "green"}]}}]});
    let answers = ["IN_PROGRESS", "A_STATUS_OF_NEXT_YEAR"];
    let account = Account::answering(
        answers
            .iter()
            .flat_map(|status| {
                [
                    ok(&json!({"serviceDeployments": [deployment(status)]})),
                    ok(&revisions),
                ]
            })
            .collect(),
    )
    .await;
    let read = account.aws.deployments(&[id.to_string()]).await.unwrap();
    assert_eq!(
        account.operations(),
        ["DescribeServiceDeployments", "DescribeServiceRevisions"]
    );
    let one = &read[0];
    assert_eq!(
        (one.aws_id.as_str(), one.config_name.as_str()),
        (id, "rolling")
    );
    assert_eq!(
        one.service.as_ref().map(|service| service.cluster.as_str()),
        Some("main")
    );
    assert_eq!(one.reading.error_message.as_deref(), Some("in AWS's words"));
    let ecs = one.reading.ecs.as_ref().unwrap();
    assert_eq!(ecs.status, EcsStatus::InProgress);
    assert_eq!(
        ecs.sources[0].revision.as_ref().map(|arn| arn.number()),
        Some(7)
    );
    assert_eq!(
        (
            ecs.target.production_permille,
            ecs.sources[0].production_permille
        ),
        (Some(55), Some(945))
    );
    assert_eq!(ecs.target.images[0].digest.as_deref(), Some("sha256:ab"));
    assert_eq!(ecs.target.target_group.as_deref(), Some("green"));
    assert_eq!(
        (ecs.breaker, ecs.fired_alarms.as_slice()),
        (Some((1, 3)), ["b".to_string()].as_slice())
    );
    assert_eq!(
        ecs.pauses().next().map(|hook| hook.id.as_str()),
        Some("ecs-pause-1")
    );
    let read = account.aws.deployments(&[id.to_string()]).await.unwrap();
    assert_eq!(
        read[0].reading.ecs.as_ref().map(|ecs| ecs.status),
        Some(EcsStatus::Unknown)
    );
}

#[tokio::test]
async fn the_list_of_service_deployments_is_read_to_its_end_and_refusals_keep_their_kind() {
    let page = |number: u32, next: Option<&str>| {
        ok(
            &json!({"serviceDeployments": [{"serviceDeploymentArn": format!("d{number}")}], "nextToken": next}),
        )
    };
    let account = Account::answering(vec![
        page(1, Some("more")),
        page(2, None),
        error(400, "ServiceNotFoundException"),
        // The SDK repeats a read that is refused like this while the clocks differ, as they do here.
        error(400, "AccessDeniedException"),
        error(400, "AccessDeniedException"),
        error(400, "AccessDeniedException"),
    ])
    .await;
    let list = async || {
        account
            .aws
            .service_deployment_ids("main", "cart", Some(Moment::from_millis(5000)))
            .await
    };
    assert_eq!(list().await.unwrap(), ["d1", "d2"]);
    assert_eq!(account.seen()[1].body["nextToken"], "more");
    assert_eq!(account.seen()[1].body["createdAt"]["after"], 5);
    assert_eq!(
        list().await.unwrap(),
        [""; 0],
        "they are deleted with their service"
    );
    let refused = list().await.unwrap_err();
    assert_eq!(
        (refused.kind, refused.is_about_permission()),
        (WhatToDo::Never, true)
    );
}
