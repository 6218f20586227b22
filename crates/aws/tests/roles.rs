//! A further account, against answers that are written down: what is said when its role is not given, and when the
//! credentials turn out to be of another account.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use switchback_aws::AwsAccount;
use switchback_aws::AwsRole;
use switchback_aws::AwsSettings;
use switchback_cloud::ANOTHER_ACCOUNT;
use switchback_cloud::ASSUME_ROLE;
use switchback_cloud::AssumedAccount;
use switchback_cloud::Cloud;
use switchback_cloud::WhatToDo;
use switchback_domain::gate::Verdict;
use switchback_domain::moment::Moment;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

const DENIED: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
    <Code>AccessDenied</Code><Message>User: arn:aws:iam::123456789012:user/x is not authorized to perform: \
    sts:AssumeRole on resource: arn:aws:iam::210987654321:role/switchback</Message></Error>\
    <RequestId>request-1</RequestId></ErrorResponse>";

const GIVEN: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
    <Credentials><AccessKeyId>ASIATEST</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
    <SessionToken>token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
    </AssumeRoleResult></AssumeRoleResponse>";

const SOMEBODY_ELSE: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
    <GetCallerIdentityResult><Arn>arn:aws:sts::345678901234:assumed-role/x/y</Arn><UserId>x</UserId>\
    <Account>345678901234</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";

/// An endpoint that answers AssumeRole like this, and everything else with an account that nobody named.
async fn account(assume_role: (u16, &'static str)) -> AwsAccount {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, assume_role));
        }
    });
    AwsAccount::connect(AwsSettings {
        region: Some("eu-central-1".to_string()),
        endpoint_url: Some(format!("http://{address}")),
        credentials: Some(("key".to_string(), "secret".to_string())),
        role: Some(AwsRole {
            account: AssumedAccount {
                account: "210987654321".to_string(),
                role_arn: "arn:aws:iam::210987654321:role/switchback".to_string(),
                name: None,
            },
            external_id: Some("ticket-7".to_string()),
            session_name: "switchback".to_string(),
        }),
        machine_clock: Arc::new(|| Moment::from_millis(0)),
    })
    .await
}

async fn serve(mut stream: TcpStream, assume_role: (u16, &'static str)) {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    loop {
        let Ok(read @ 1..) = stream.read(&mut buffer).await else {
            return;
        };
        request.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let Some((head, body)) = request.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        });
        if body.len() < length.unwrap_or(0) {
            continue;
        }
        let (status, answer) = if body.contains("Action=AssumeRole") {
            assert!(body.contains("ExternalId=ticket-7"), "{body}");
            assert!(body.contains("RoleSessionName=switchback"), "{body}");
            assert!(body.contains("DurationSeconds=3600"), "{body}");
            assume_role
        } else {
            assert!(head.contains("ASIATEST"), "signed by the role: {head}");
            (200, SOMEBODY_ELSE)
        };
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: text/xml\r\nx-amzn-requestid: request-1\r\n\
             date: Sat, 21 Nov 2026 10:00:00 GMT\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        request.clear();
    }
}

#[tokio::test]
async fn a_role_that_is_not_given_is_told_in_awss_words_and_nothing_was_sent() {
    let account = account((403, DENIED)).await;
    let error = account.account().await.unwrap_err();
    assert_eq!(
        (error.operation.as_str(), error.code.as_str(), error.kind),
        (ASSUME_ROLE, "AccessDenied", WhatToDo::Retry)
    );
    assert!(
        error.message.contains("is not authorized to perform"),
        "{error}"
    );
    assert!(error.is_about_the_account());
    let change = account
        .answer_hook("d-1", "execution", Verdict::Approve)
        .await
        .unwrap_err();
    assert_eq!(
        (change.operation.as_str(), change.kind),
        (ASSUME_ROLE, WhatToDo::Retry),
        "{change}"
    );
}

#[tokio::test]
async fn credentials_of_another_account_than_the_roles_are_refused() {
    let account = account((200, GIVEN)).await;
    let error = account.account().await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.kind),
        (ANOTHER_ACCOUNT, WhatToDo::Never)
    );
    assert!(error.message.contains("345678901234"), "{error}");
    assert!(error.message.contains("210987654321"), "{error}");
}

#[tokio::test]
async fn an_sts_that_fails_leaves_a_change_unsent() {
    let account = account((500, "<html>oh no</html>")).await;
    let error = account
        .answer_hook("d-1", "execution", Verdict::Approve)
        .await
        .unwrap_err();
    assert_eq!(
        (error.operation.as_str(), error.kind),
        (ASSUME_ROLE, WhatToDo::Retry),
        "{error}"
    );
}
