//! `switchback demo`, as a newcomer meets it, and the pictures of it.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::account::Account;
use crate::browser::pages;
use crate::browser::pages::Pictures;
use crate::browser::pages::Subjects;
use crate::machine;
use crate::machine::Process;
use crate::team::CANARY;
use crate::team::GATE;
use crate::team::Team;
use crate::wait::SOON;
use crate::wait::until;
use crate::window::Screen;
use crate::window::Window;
use crate::world::Api;
use crate::world::assert_no_errors;
use crate::world::read_ready;

/// The demo has lived through a month and is looked at after that; a loaded machine takes its time.
const A_WHILE: Duration = Duration::from_secs(60);

/// A demo that runs.
pub struct Demo {
    process: Process,
    /// Switchback, as the administrator's token sees it.
    pub api: Api,
    account: Account,
    users: Vec<Value>,
    _folder: TempDir,
}

impl Demo {
    /// Starts one with these arguments.
    pub async fn start(arguments: &[&str]) -> Demo {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ready = folder.path().join("ready.json");
        let mut command = machine::switchback();
        command
            .args([
                "demo",
                "--listen",
                "127.0.0.1:0",
                "--aws-listen",
                "127.0.0.1:0",
            ])
            .args(["--seed", "1"])
            .args(arguments)
            .arg("--data")
            .arg(folder.path().join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .env("SWITCHBACK_POLL_ACTIVE_MS", "200")
            .env("SWITCHBACK_POLL_IDLE_MS", "300");
        let process = Process::start("the demo", command, &folder.path().join("demo.log"));
        let (told, process) = read_ready(&ready, process).await;
        let text = |member: &str| {
            let value = told[member].as_str();
            value
                .unwrap_or_else(|| panic!("{member} is missing: {told}"))
                .to_string()
        };
        Demo {
            process,
            api: Api::with_token(&text("url"), &text("api_token")),
            account: Account::at(&text("aws_endpoint")),
            users: told["users"].as_array().cloned().unwrap_or_default(),
            _folder: folder,
        }
    }

    /// The name and password of the first user with exactly these roles.
    pub fn user(&self, roles: Value) -> (String, String) {
        let found = self.users.iter().find(|user| user["roles"] == roles);
        let found = found.unwrap_or_else(|| panic!("nobody is {roles}: {:?}", self.users));
        let text = |member: &str| found[member].as_str().unwrap_or_default().to_string();
        (text("username"), text("password"))
    }

    /// Waits until a gate is open.
    pub async fn open_gate(&self) -> Value {
        until("a gate is open", A_WHILE, async || {
            let open = self.api.items("/gates?state=open").await;
            open.first()
                .cloned()
                .ok_or_else(|| "no gate is open".to_string())
        })
        .await
    }

    /// Ends it; it must not have logged an error.
    pub fn finish(self) {
        assert_no_errors(&self.process.output());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_finds_a_canary_holding_and_a_shift_under_way() {
    let demo = Demo::start(&["--speed", "5"]).await;
    let gate = demo.open_gate().await;
    let moving = until("a shift is under way", A_WHILE, async || {
        let items = demo.api.items("/deployments?phase=shifting").await;
        let found = items.iter().find(|item| {
            item["strategy"]
                .as_str()
                .is_some_and(|s| s.contains("Linear"))
        });
        found.cloned().ok_or_else(|| format!("{items:?}"))
    })
    .await;
    let id = moving["id"].as_str().unwrap_or_default();
    let share = moving["share_new"].as_f64();
    until("the shift moves on", A_WHILE, async || {
        let now = demo.api.deployment(id).await;
        if now["share_new"].as_f64() > share {
            Ok(())
        } else {
            Err(now.to_string())
        }
    })
    .await;
    // From here on the fuse burns no faster than the pictures are taken.
    demo.account.tell("clock", json!({ "speed": 1 })).await;

    let window = Window::open(&demo.api.base).await;
    window.goes_to("/").await;
    window.is_at("/sign-in").await;
    let (username, password) = demo.user(json!(["approver", "operator"]));
    window.signs_in(&username, &password).await;
    window.sees("Review").await;
    window
        .sees(gate["deployment"]["service"].as_str().unwrap_or_default())
        .await;

    let ended = demo
        .api
        .items("/deployments?outcome=rolled_back&limit=1")
        .await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let subjects = Subjects {
        service: text(&gate["deployment"]["service_id"]),
        // Nothing moves there: the plan is a redeployment of what served before.
        rollback_of: "checkout-api".to_string(),
        live: id.to_string(),
        holding: text(&gate["deployment_id"]),
        ended: text(&ended[0]["id"]),
        gate: text(&gate["id"]),
    };
    pages::look_at(&window, &pages::all(&subjects), Pictures::Kept).await;
    window.finish(&[]).await;
    demo.finish();
}

/// What the guide shows as done, as the page has it.
async fn done(window: &Window) -> Vec<String> {
    let script = "return [...document.querySelectorAll('.try[data-done] strong')].map(one => one.textContent);";
    let done = window.run(script).await;
    done.as_array()
        .into_iter()
        .flatten()
        .filter_map(|words| words.as_str().map(str::to_string))
        .collect()
}

/// Waits until the page shows this as done, while simulated time is pushed on.
async fn is_done(demo: &Demo, window: &Window, words: &str, step_s: u32) {
    until(&format!("{words:?} is done"), A_WHILE, async || {
        let done = done(window).await;
        if done.iter().any(|one| one == words) {
            return Ok(());
        }
        demo.account.advance(step_s).await;
        Err(format!("{done:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_leads_from_an_approval_to_a_pulled_plug() {
    let demo = Demo::start(&["--speed", "1"]).await;
    demo.open_gate().await;
    let window = Window::open(&demo.api.base).await;
    let (username, password) = demo.user(json!(["approver", "operator"]));
    window.signs_in(&username, &password).await;
    window.sees("0 of 5 done").await;
    for (screen, theme, suffix) in [
        (Screen::Phone, "dark", "phone-dark"),
        (Screen::Desktop, "dark", "dark"),
        (Screen::Phone, "light", "phone"),
        (Screen::Desktop, "light", "light"),
    ] {
        window.looks_through(screen).await;
        window.wears(theme).await;
        window.goes_to("/").await;
        window.is_live().await;
        window.fits().await;
        window.keeps_picture(&format!("guide-{suffix}")).await;
        // Anywhere else it is folded into the top bar.
        window.goes_to("/approvals").await;
        window.presses("Try this").await;
        window.sees("Pull the plug").await;
        window.fits().await;
        window
            .keeps_picture(&format!("guide-in-bar-{suffix}"))
            .await;
    }

    window.goes_to("/").await;
    window.is_live().await;
    let chosen =
        "return document.querySelector('.segments [aria-pressed=true]')?.textContent ?? '';";
    for speed in ["20×", "1×"] {
        window.presses(speed).await;
        until(&format!("the speed is {speed}"), SOON, async || {
            let shown = window.run(chosen).await;
            if shown == speed {
                Ok(())
            } else {
                Err(shown.to_string())
            }
        })
        .await;
    }

    window.presses("Review payments").await;
    window.is_at("/gates/").await;
    window.is_live().await;
    window.presses("Approve").await;
    window.sees("Approved").await;
    window.goes_to("/").await;
    is_done(&demo, &window, "Approve the canary that waits.", 0).await;

    window.is_live().await;
    window.presses("Break ").await;
    window.sees("Half of what the new revision").await;
    window.is_live().await;
    is_done(&demo, &window, "Break the canary.", 20).await;

    let before = demo.api.items("/deployments?limit=200").await.len();
    window.is_live().await;
    window.presses("Pull the plug").await;
    window.sees("Not live since").await;
    window.keeps_picture("guide-unplugged").await;
    // By itself: nobody loads the page again.
    window.is_live().await;
    is_done(&demo, &window, "Pull the plug.", 0).await;
    let after = demo.api.items("/deployments?limit=200").await.len();
    assert!(after >= before, "{before} deployments became {after}");
    let done = done(&window).await;
    assert!(done.len() >= 3, "{done:?}");
    // The browser tells of a server that was not there.
    window
        .finish(&["net::ERR_", "Failed to load resource"])
        .await;
    let log = demo.process.output();
    for line in ["day 30 of 30", "The plug is pulled.", "Switchback is back."] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    demo.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_sees_all_but_secrets_and_changes_nothing() {
    let demo = Demo::start(&["--speed", "1", "--empty"]).await;
    let team = Team::build(&demo.account, "web").await;
    let revision = team.registers("2", &[("LICENCE", "opensesame")]).await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "release 2").await;
    let gate = until("the canary holds", A_WHILE, async || {
        let open = demo.api.items("/gates?state=open").await;
        if let Some(gate) = open.first() {
            return Ok(gate.clone());
        }
        demo.account.advance(2).await;
        Err("no gate is open".to_string())
    })
    .await;
    let (username, password) = demo.user(json!(["viewer"]));
    let viewer = Api::signed_in(&demo.api.base, &username, &password).await;
    let me = viewer.get("/me").await.is(200);
    assert_eq!(
        (&me["name"], &me["roles"]),
        (&json!(username), &json!(["viewer"]))
    );
    assert_eq!(
        viewer.deployment(&aws_id).await["target_revision"],
        revision
    );
    for verdict in ["approve", "reject"] {
        viewer
            .decides(&gate, verdict, Some("I would"))
            .await
            .refused(403, "forbidden");
    }
    let plan = viewer
        .post(
            "/services/web/rollbacks/plan",
            &json!({ "target": "previous" }),
        )
        .await;
    if plan.status == 200 {
        let command = json!({
            "target": "previous", "reason": "I would", "plan_digest": plan.json()["digest"],
        });
        viewer
            .post("/services/web/rollbacks", &command)
            .await
            .refused(403, "forbidden");
    } else {
        plan.refused(403, "forbidden");
    }
    // The forms of the pages are held to the same.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let digest = gate["evidence_digest"].as_str().unwrap_or_default();
    let path = format!(
        "/gates/{}/decisions",
        gate["id"].as_str().unwrap_or_default()
    );
    let body = format!("verdict=approve&evidence_digest={digest}");
    let answer = viewer.send(Method::POST, &path, &form, body).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert!(
        answer.header("location").contains("problem=forbidden"),
        "{}",
        answer.header("location")
    );

    let window = Window::open(&demo.api.base).await;
    window.signs_in(&username, &password).await;
    for path in [
        path.replace("/decisions", ""),
        format!("/deployments/{aws_id}"),
    ] {
        window.goes_to(&path).await;
        window.sees("may not approve or reject at a gate").await;
        window.sees("LICENCE").await;
        let html = window
            .run("return document.documentElement.outerHTML;")
            .await;
        assert!(
            !html.to_string().contains("opensesame"),
            "a value is in the page {path}"
        );
        window.does_not_see("Stop and roll back").await;
        let live = window
            .run("return [...document.querySelectorAll('button[name=verdict]')].length;")
            .await;
        assert_eq!(live, 0, "a viewer has buttons that decide");
    }
    window.goes_to("/services/web/diff?a=web:1&b=web:2").await;
    window.sees("LICENCE").await;
    let html = window
        .run("return document.documentElement.outerHTML;")
        .await;
    assert!(
        !html.to_string().contains("opensesame"),
        "a value is in the difference"
    );
    window.goes_to("/services/web/rollback?to=previous").await;
    window.sees("may not roll back").await;
    assert_eq!(
        demo.api.gate(gate["id"].as_str().unwrap_or_default()).await["state"],
        "open"
    );

    // Whoever may decide sees the value.
    let approver = Window::open(&demo.api.base).await;
    let (username, password) = demo.user(json!(["approver", "operator"]));
    approver.signs_in(&username, &password).await;
    approver.goes_to(&format!("/deployments/{aws_id}")).await;
    until("the value can be read", SOON, async || {
        approver.shows("opensesame").await
    })
    .await;
    approver.finish(&[]).await;
    window.finish(&[]).await;
    demo.finish();
}
