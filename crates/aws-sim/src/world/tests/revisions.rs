//! Revisions in buckets, inside requests and in the old form: what is refused, what fails, what is deployed.

use super::*;
use crate::world::s3::{Body, Operation, Request, Upload, Wanted};

const ALL_AT_ONCE: &str = "CodeDeployDefault.ECSAllAtOnce";

impl Account {
    fn s3(&mut self, bucket: &str, key: &str, operation: Operation) -> Json {
        let request = Request {
            bucket: bucket.to_string(),
            key: key.to_string(),
            operation,
        };
        match self.world.call_s3(&self.caller, &request) {
            Ok(answer) => {
                let mut headers: serde_json::Map<String, Json> = answer
                    .headers
                    .into_iter()
                    .map(|(name, value)| (name, json!(value)))
                    .collect();
                headers.insert("status".to_string(), json!(answer.status));
                if let Body::Content(content) = answer.body {
                    headers.insert(
                        "content".to_string(),
                        json!(String::from_utf8_lossy(&content)),
                    );
                }
                Json::Object(headers)
            }
            Err(refusal) => json!({"refused": refusal.error.code, "region": refusal.region}),
        }
    }

    fn put(&mut self, bucket: &str, key: &str, content: &str) -> Json {
        let upload = Upload {
            content: content.as_bytes().to_vec(),
            ..Upload::default()
        };
        self.s3(bucket, key, Operation::PutObject(upload))
    }

    fn bucket(&mut self, name: &str) -> Json {
        let region = self.caller.region.clone();
        self.s3(name, "", Operation::CreateBucket(Some(region)))
    }

    fn deploy_from_s3(&mut self, location: Json) -> String {
        let input = json!({
            "applicationName": "app", "deploymentGroupName": "group", "deploymentConfigName": ALL_AT_ONCE,
            "revision": {"revisionType": "S3", "s3Location": location},
        });
        text(&self.ok("codedeploy", "CreateDeployment", input)["deploymentId"])
    }

    /// The code and the text that a deployment failed with.
    fn failure(&mut self, id: &str) -> (String, String) {
        self.until_status(id, "Failed");
        let error = self.deployment(id)["errorInformation"].clone();
        (text(&error["code"]), text(&error["message"]))
    }
}

const NOT_FOUND: &str = "The AppSpec file cannot be located in the specified S3 bucket. Verify your AppSpec file is \
                         present and that the name and key value pair specified for your S3 bucket are correct. \
                         The S3 bucket must be in your current region";

#[test]
fn an_app_spec_in_a_bucket_is_deployed_as_one_in_the_request() {
    let mut account = Account::new(Setup::default());
    let definition = account.register("shop/web:v2", json!([]));
    assert_eq!(account.bucket("specs")["status"], 200);
    let content = Account::appspec(&definition, &[("AfterInstall", "sim-succeed-after-40")]);
    account.put("specs", "web/appspec.json", &content);
    // The AWS CLI's own examples write the type in lower case.
    let location = json!({"bucket": "specs", "key": "web/appspec.json", "bundleType": "json"});
    let id = account.deploy_from_s3(location.clone());
    let shown = account.deployment(&id)["revision"].clone();
    assert_eq!(shown["s3Location"]["bundleType"], "JSON");
    assert_eq!(shown["revisionType"], "S3");
    account.until_status(&id, "Succeeded");
    let event = account.event(&id, "AfterInstall");
    let took =
        event["endTime"].as_i64().expect("end") - event["startTime"].as_i64().expect("start");
    assert_eq!(took, 40 * SECOND);
    assert_eq!(
        account.task_sets()[0],
        ("PRIMARY".to_string(), "2".to_string())
    );
    let named = json!({"applicationName": "app", "deploymentGroupName": "group"});
    let group =
        account.ok("codedeploy", "GetDeploymentGroup", named)["deploymentGroupInfo"].clone();
    assert_eq!(group["targetRevision"], shown);
    let asked = json!({"applicationName": "app", "revision": shown});
    let found = account.ok("codedeploy", "GetApplicationRevision", asked);
    assert_eq!(found["revisionInfo"]["deploymentGroups"], json!(["group"]));

    // Another object under the same key is another AppSpec: it is read when the deployment starts.
    account.put("specs", "web/appspec.json", "version: 0.0");
    let (code, message) = {
        let id = account.deploy_from_s3(location);
        account.failure(&id)
    };
    assert_eq!(code, "INVALID_REVISION");
    assert!(
        message.starts_with(
            "The deployment failed because the AppSpec file that specifies the deployment configuration is \
             missing or has an invalid configuration."
        ),
        "{message}"
    );
}

#[test]
fn version_and_etag_are_compared() {
    let mut account = Account::new(Setup::default());
    let definition = account.register("shop/web:v2", json!([]));
    account.bucket("specs");
    let unversioned = account.put("specs", "a.yaml", "version: 0.0");
    assert_eq!(unversioned["x-amz-version-id"], Json::Null);
    account.s3(
        "specs",
        "",
        Operation::PutBucketVersioning("Enabled".to_string()),
    );
    let good = account.put("specs", "a.yaml", &Account::appspec(&definition, &[]));
    let (version, etag) = (text(&good["x-amz-version-id"]), text(&good["etag"]));
    let bad = account.put("specs", "a.yaml", "version: 0.0");
    let location = |more: Json| {
        let mut location = json!({"bucket": "specs", "key": "a.yaml", "bundleType": "YAML"});
        location
            .as_object_mut()
            .expect("a structure")
            .extend(more.as_object().expect("a structure").clone());
        location
    };
    let missing = [
        location(json!({"version": version, "eTag": bad["etag"]})),
        location(json!({"version": "nothing"})),
        location(json!({"key": "b.yaml"})),
        location(json!({"bucket": "other"})),
    ];
    for location in missing {
        let id = account.deploy_from_s3(location.clone());
        let found = account.failure(&id);
        assert_eq!(
            found,
            ("INVALID_REVISION".to_string(), NOT_FOUND.to_string()),
            "{location}"
        );
        let events = account.events(&id);
        assert!(
            events.iter().all(|(_, status)| status == "Skipped"),
            "{events:?}"
        );
    }
    // `null` is the version from before versions were kept.
    for (version, code) in [("null", "Failed"), (version.as_str(), "Succeeded")] {
        let mut one = location(json!({"version": version}));
        if code == "Succeeded" {
            one["eTag"] = json!(etag);
        }
        let id = account.deploy_from_s3(one);
        account.until_status(&id, code);
    }
    account.s3("specs", "a.yaml", Operation::DeleteObject { version: None });
    let id = account.deploy_from_s3(location(json!({})));
    assert_eq!(account.failure(&id).1, NOT_FOUND);
    let listed = json!({"applicationName": "app", "s3Bucket": "specs", "s3KeyPrefix": "a."});
    let listed = account.ok("codedeploy", "ListApplicationRevisions", listed)["revisions"].clone();
    assert_eq!(listed.as_array().map(Vec::len), Some(5));
    let error = account.refused(
        "codedeploy",
        "ListApplicationRevisions",
        json!({"applicationName": "app", "s3KeyPrefix": "a."}),
    );
    assert_eq!(error.code, "BucketNameFilterRequiredException");
}

#[test]
fn what_is_no_app_spec_by_its_form_is_refused_at_once() {
    let mut account = Account::new(Setup::default());
    let cases = [
        (
            json!({"revisionType": "S3", "s3Location": {"bucket": "b", "key": "k", "bundleType": "zip"}}),
            "BundleType must be either YAML or JSON",
        ),
        (
            json!({"revisionType": "S3", "s3Location": {"bucket": "b", "bundleType": "YAML"}}),
            "key",
        ),
        (json!({"revisionType": "S3"}), "bundleType"),
        (
            json!({"revisionType": "S3", "appSpecContent": {"content": "x"}}),
            "appSpecContent",
        ),
        (
            json!({"revisionType": "GitHub", "gitHubLocation": {"repository": "a/b"}}),
            "GitHub",
        ),
        (json!({"appSpecContent": {"content": "x"}}), "revisionType"),
    ];
    for (revision, part) in cases {
        let mut input = Account::deployment_input("web:1", ALL_AT_ONCE, &[]);
        input["revision"] = revision;
        let error = account.refused("codedeploy", "CreateDeployment", input);
        assert_eq!(error.code, "InvalidRevisionException");
        assert!(error.message.contains(part), "{error}");
    }
    let mut input = Account::deployment_input("web:1", ALL_AT_ONCE, &[]);
    input["revision"].take();
    let error = account.refused("codedeploy", "CreateDeployment", input);
    assert_eq!(error.message, "RevisionLocation must be specified");
}

#[test]
fn a_revision_of_the_old_type_is_read_when_the_deployment_starts() {
    let mut account = Account::new(Setup {
        rollback: vec!["DEPLOYMENT_FAILURE"],
        ..Setup::default()
    });
    let definition = account.register("shop/web:v2", json!([]));
    let mut input = Account::deployment_input(&definition, ALL_AT_ONCE, &[]);
    let content = input["revision"]["appSpecContent"]["content"].clone();
    for (content, end) in [
        (json!("version: 0.0 Resources: -"), "Failed"),
        (content, "Succeeded"),
    ] {
        input["revision"] = json!({"revisionType": "String", "string": {"content": content}});
        let id = text(&account.ok("codedeploy", "CreateDeployment", input.clone())["deploymentId"]);
        account.until_status(&id, end);
        let found = account.deployment(&id);
        assert_eq!(found["revision"]["string"]["content"], Json::Null);
        if end == "Failed" {
            assert_eq!(found["errorInformation"]["code"], "INVALID_REVISION");
            // Nothing had changed yet.
            assert_eq!(found["rollbackInfo"], Json::Null);
        }
    }
}

#[test]
fn a_bucket_belongs_to_one_account_and_region() {
    let mut account = Account::empty(3);
    assert_eq!(account.bucket("Bad_Name")["refused"], "InvalidBucketName");
    assert_eq!(account.bucket("10.0.0.1")["refused"], "InvalidBucketName");
    let wrong = account.s3("specs", "", Operation::CreateBucket(None));
    assert_eq!(wrong["refused"], "IllegalLocationConstraintException");
    assert_eq!(account.bucket("specs")["status"], 200);
    assert_eq!(
        account.bucket("specs")["refused"],
        "BucketAlreadyOwnedByYou"
    );
    account.put("specs", "k", "x");
    account.caller.region = "us-east-1".to_string();
    let moved = account.s3("specs", "k", Operation::GetObject(Wanted::default()));
    assert_eq!(moved["refused"], "PermanentRedirect");
    assert_eq!(moved["region"], "eu-central-1");
    let own = account.s3("east", "", Operation::CreateBucket(None));
    assert_eq!(own["status"], 200);
    account.caller.account = "210987654321".to_string();
    let foreign = account.s3("specs", "k", Operation::GetObject(Wanted::default()));
    assert_eq!(foreign["refused"], "AccessDenied");
    let taken = account.s3("specs", "", Operation::CreateBucket(None));
    assert_eq!(taken["refused"], "BucketAlreadyExists");
    let none = account.s3("nothing", "k", Operation::GetObject(Wanted::default()));
    assert_eq!(none["refused"], "NoSuchBucket");
}

#[test]
fn objects_have_versions_marks_and_ranges() {
    let mut account = Account::empty(4);
    account.bucket("specs");
    account.put("specs", "k", "first");
    account.s3(
        "specs",
        "",
        Operation::PutBucketVersioning("Enabled".to_string()),
    );
    let second = account.put("specs", "k", "second");
    let id = text(&second["x-amz-version-id"]);
    assert_eq!(second["etag"], "\"a9f0e61a137d86aa9db53465e0801612\"");
    let get = |version: Option<&str>, range| {
        Operation::GetObject(Wanted {
            version: version.map(str::to_string),
            range,
            ..Wanted::default()
        })
    };
    let first = account.s3("specs", "k", get(Some("null"), None));
    assert_eq!(first["content"], "first");
    let part = account.s3("specs", "k", get(None, Some((Some(1), Some(3)))));
    assert_eq!(
        (&part["content"], &part["status"]),
        (&json!("eco"), &json!(206))
    );
    assert_eq!(part["content-range"], "bytes 1-3/6");
    let tail = account.s3("specs", "k", get(None, Some((None, Some(2)))));
    assert_eq!(tail["content"], "nd");
    let beyond = account.s3("specs", "k", get(None, Some((Some(6), None))));
    assert_eq!(beyond["refused"], "InvalidRange");
    let mark = account.s3("specs", "k", Operation::DeleteObject { version: None });
    assert_eq!(mark["x-amz-delete-marker"], "true");
    assert_eq!(
        account.s3("specs", "k", get(None, None))["refused"],
        "NoSuchKey"
    );
    assert_eq!(
        account.s3("specs", "k", get(Some(&id), None))["content"],
        "second"
    );
    let version = mark["x-amz-version-id"].as_str().map(str::to_string);
    let full = account.s3("specs", "", Operation::DeleteBucket);
    assert_eq!(full["refused"], "BucketNotEmpty");
    account.s3("specs", "k", Operation::DeleteObject { version });
    assert_eq!(
        account.s3("specs", "k", get(None, None))["content"],
        "second"
    );
}
