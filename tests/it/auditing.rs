//! The audit log from outside: what its entries say, its checkpoints, its exports, and the command that checks them.

use serde_json::Value;
use serde_json::json;
use std::path::Path;

use crate::account::PRODUCT_KEY;
use crate::team::CANARY;
use crate::team::GATE;
use crate::wait::SOON;
use crate::wait::until;
use crate::world::TOKEN;
use crate::world::World;

/// A command about the audit log: its exit code and its result.
fn audit(world: &World, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let mut command = world.command(&["audit"]);
    let output = command
        .args(arguments)
        .env("SWITCHBACK_TOKEN", TOKEN)
        .output()
        .expect("the command runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let result = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), result, told)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

/// The latest entry of one kind.
async fn entry(world: &World, filter: &str) -> Value {
    let found = world.api.items(&format!("/audit?{filter}&limit=1")).await;
    found
        .first()
        .cloned()
        .unwrap_or_else(|| panic!("no entry: {filter}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_says_where_from_is_sealed_and_proves_itself_offline() {
    let mut world = World::start_without_server().await;
    let settings = [
        ("SWITCHBACK_AUDIT_CHECKPOINT_ENTRIES", "5"),
        // RFC 8032, section 7.1, test 1.
        (
            "SWITCHBACK_AUDIT_KEY",
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        ),
    ];
    for (name, value) in settings {
        world.variables.push((name.to_string(), value.to_string()));
    }
    world.start_server().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[("MODE", "loud")]).await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "release 2").await;
    let gate = world.holds(&aws_id).await;
    let reason = "=cmd looks good";
    world
        .api
        .decides(&gate, "approve", Some(reason))
        .await
        .is(200);
    world.confirmed(&gate).await;
    assert_eq!(world.ends(&aws_id).await["outcome"], "succeeded");

    // What an entry says.
    let decided = entry(&world, "event=gate_decided&service=web&reason=LOOKS").await;
    assert_eq!(decided["address"], "127.0.0.1", "{decided}");
    assert_eq!(decided["evidence_digest"], gate["evidence_digest"]);
    for member in ["policy_digest", "service_id"] {
        assert!(decided[member].is_string(), "{member}: {decided}");
    }
    let told = world
        .api
        .items("/audit?event=gate_delivery&limit=50")
        .await
        .into_iter()
        .find(|entry| entry["aws"].is_object())
        .expect("an entry of the call");
    let journal = world.account.journal(PRODUCT_KEY).await;
    assert_eq!(told["aws"]["request_id"], journal[0]["request_id"]);
    assert_eq!(
        (&told["aws"]["event_source"], &told["aws"]["event_name"]),
        (
            &json!("codedeploy.amazonaws.com"),
            &json!("PutLifecycleEventHookExecutionStatus")
        )
    );

    // Values that are shown are written down, once an hour for each revision.
    for _ in 0..2 {
        let plan = json!({ "target": "previous" });
        let plan = world.api.post("/services/web/rollbacks/plan", &plan).await;
        assert!(plan.is(200).to_string().contains("loud"));
    }
    let reads = world.api.items("/audit?event=environment_read").await;
    assert_eq!(reads.len(), 1, "{reads:?}");
    assert_eq!(reads[0]["subject"], json!(revision));

    // The seals follow.
    let proof = until("the log is sealed", SOON, async || {
        let audit = world.api.get("/audit?limit=1").await.is(200);
        let sealed = audit["proof"]["checkpoint"]["sequence"].as_i64();
        match (sealed, audit["length"].as_i64()) {
            (Some(sealed), Some(length)) if sealed + 5 > length => Ok(audit["proof"].clone()),
            _ => Err(audit["proof"].to_string()),
        }
    })
    .await;
    let public_key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(proof["public_key"], public_key, "{proof}");

    // The bundle, checked without the server.
    let (bundle, key) = (world.file("bundle.tar"), world.file("key"));
    std::fs::write(&key, public_key).expect("the key is written");
    let server = world.api.base.clone();
    let export = [
        "export",
        "--server",
        &server,
        "--json",
        "--to",
        path(&bundle),
    ];
    let (code, result, told) = audit(&world, &export);
    assert_eq!(
        (code, &result["format"]),
        (Some(0), &json!("bundle")),
        "{told}"
    );
    let (code, _, told) = audit(&world, &export);
    assert!(
        code == Some(1) && told.contains("is there already"),
        "{told}"
    );
    let check = [
        "verify",
        path(&bundle),
        "--json",
        "--public-key",
        path(&key),
    ];
    let (code, found, told) = audit(&world, &check);
    assert_eq!(
        (code, &found["good"]),
        (Some(0), &json!(true)),
        "{found} {told}"
    );
    assert_eq!(found["decisions"], 1, "{found}");
    assert!(found["entries"].as_i64() > Some(10), "{found}");

    // One name in it, of the same length, so that the file stays one.
    let sequence = decided["sequence"].clone();
    let bytes = std::fs::read(&bundle).expect("the bundle is read");
    let at = bytes
        .windows(reason.len())
        .position(|window| window == reason.as_bytes())
        .expect("the reason is in the bundle");
    let mut forged = bytes.clone();
    forged[at + 1] = b'C';
    let altered = world.file("altered.tar");
    std::fs::write(&altered, forged).expect("the forgery is written");
    let (code, found, _) = audit(&world, &["verify", path(&altered), "--json"]);
    assert_eq!(
        (code, &found["fault"]["sequence"]),
        (Some(1), &sequence),
        "{found}"
    );
    let (code, _, told) = audit(&world, &["verify", path(&world.file("nothing"))]);
    assert!(code == Some(1) && told.contains("could not open"), "{told}");

    // The other forms, and what is refused.
    let csv = world.api.get("/audit/export?format=csv&actor=nobody").await;
    assert!(csv.body.starts_with("sequence,at,actor,event,") && csv.body.lines().count() == 1);
    let csv = world
        .api
        .get("/audit/export?format=csv&event=gate_decided")
        .await;
    assert!(csv.body.contains(",'=cmd looks good,"), "{}", csv.body);
    let length = world.api.audit_length().await;
    let lines = world.api.get("/audit/export?format=jsonl").await.body;
    assert!(lines.lines().count() as i64 >= length);
    let first: Value =
        serde_json::from_str(lines.lines().next().unwrap_or_default()).expect("a line is JSON");
    assert_eq!(first["sequence"], 1);
    let bundles = "/audit/export?format=bundle";
    world
        .api
        .get(&format!("{bundles}&actor=dana"))
        .await
        .refused(422, "bundle_filtered");
    world
        .api
        .get(&format!("{bundles}&from=2001-01-01&to=2001-02-01"))
        .await
        .refused(404, "no_entries");
    world
        .api
        .get("/audit/export?format=pdf")
        .await
        .refused(422, "invalid_parameter");
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}
