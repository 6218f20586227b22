//! The routes of a demo's guide: there only with it, closed to strangers, viewers and other sites.

use super::*;
use crate::guide::Act;
use switchback_contract::GuideView;
use switchback_contract::TryView;
use switchback_contract::TryWay;

/// Notes what it is asked to do, and refuses to break anything.
#[derive(Default)]
struct Noting {
    acts: Mutex<Vec<Act>>,
}

#[async_trait]
impl Offers for Noting {
    async fn view(&self, console: &ConsoleHandle) -> Result<GuideView, Refusal> {
        let me = console.me().await?;
        Ok(GuideView {
            tries: vec![TryView {
                words: "Pull the plug.".to_string(),
                detail: "It comes back.".to_string(),
                done: false,
                way: Some(TryWay::Button {
                    path: "/demo/plug".to_string(),
                    label: "Pull".to_string(),
                }),
            }],
            speed: 5.0,
            speeds: vec![1.0, 5.0],
            may_act: crate::guide::may_act(&me.verbs),
            hidden: false,
        })
    }

    async fn act(&self, _console: &ConsoleHandle, act: Act) -> Result<(), Refusal> {
        if act == Act::Break {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "demo_nothing_moves",
                "Nothing moves.",
            ));
        }
        self.acts.lock().unwrap().push(act);
        Ok(())
    }
}

/// A guide that does nothing.
pub(super) fn guide() -> Arc<dyn Offers> {
    Arc::new(Noting::default())
}

const PATHS: [(&str, &str); 5] = [
    ("/demo/speed", "speed=20"),
    ("/demo/break", ""),
    ("/demo/canary", ""),
    ("/demo/plug", ""),
    ("/demo/guide", "shown=no"),
];

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn without_a_demo_there_is_no_such_route_and_no_panel() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    for (path, body) in PATHS {
        let headers = [
            ("cookie", &*cookie),
            ("sec-fetch-site", "same-origin"),
            FORM,
        ];
        let answer = world.send("POST", path, &headers, body).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
    }
    let page = world.get("/approvals", &cookie).await;
    assert!(!page.body.contains("Try this"), "{}", page.body);
    assert_eq!(world.get("/ask/guide", &cookie).await.body, "null");
}

#[tokio::test]
async fn only_who_decides_at_gates_acts_and_never_from_another_site() {
    let noting = Arc::new(Noting::default());
    let world = world_of(None, None, Some(noting.clone())).await;
    let (dana, vera) = (world.sign_in("dana").await, world.sign_in("vera").await);
    for (path, body) in PATHS {
        let foreign = [("cookie", &*dana), ("sec-fetch-site", "cross-site"), FORM];
        let answer = world.send("POST", path, &foreign, body).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.body);
        assert!(answer.body.contains("another site"), "{}", answer.body);
        let stranger = world.send("POST", path, &[FORM], body).await;
        assert_eq!(
            (stranger.status, stranger.location()),
            (303, "/sign-in?to=%2F")
        );
        if path == "/demo/guide" {
            continue;
        }
        let viewer = [("cookie", &*vera), ("sec-fetch-site", "same-origin"), FORM];
        let answer = world.send("POST", path, &viewer, body).await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(
            answer.location().contains("problem=forbidden"),
            "{}",
            answer.location()
        );
    }
    assert!(noting.acts.lock().unwrap().is_empty());

    let own = [("cookie", &*dana), ("sec-fetch-site", "same-origin"), FORM];
    for (path, body, location) in [
        ("/demo/speed", "speed=20&to=%2Fhistory", "/history"),
        ("/demo/canary", "", "/"),
        ("/demo/plug", "to=https%3A%2F%2Felsewhere.example", "/"),
    ] {
        let answer = world.send("POST", path, &own, body).await;
        assert_eq!(
            (answer.status, answer.location()),
            (303, location),
            "{path}"
        );
    }
    let acts = [Act::SetSpeed(20.0), Act::StartCanary, Act::PullThePlug];
    assert_eq!(*noting.acts.lock().unwrap(), acts);
    let refused = world.send("POST", "/demo/break", &own, "").await;
    assert!(refused.location().contains("problem=demo_nothing_moves"));
    let nonsense = world.send("POST", "/demo/speed", &own, "speed=fast").await;
    assert_eq!(nonsense.status, 422, "{}", nonsense.body);
}

#[tokio::test]
async fn the_panel_is_open_on_now_until_it_is_put_away() {
    let world = world_of(None, None, Some(guide())).await;
    let dana = world.sign_in("dana").await;
    let open = |body: &str| body.contains("guide-open");
    let page = world.get("/", &dana).await;
    assert!(
        open(&page.body) && page.body.contains("action=\"/demo/plug\""),
        "{}",
        page.body
    );
    let elsewhere = world.get("/history", &dana).await;
    assert!(!open(&elsewhere.body) && elsewhere.body.contains("Try this"));

    let own = [("cookie", &*dana), ("sec-fetch-site", "same-origin"), FORM];
    let put_away = world.send("POST", "/demo/guide", &own, "shown=no").await;
    let kept = put_away.header(header::SET_COOKIE);
    assert!(kept.contains("guide=hidden"), "{kept}");
    let both = format!("{dana}; guide=hidden");
    let page = world.get("/", &both).await;
    assert!(!open(&page.body) && page.body.contains("Keep open on Now"));

    let vera = world.sign_in("vera").await;
    let page = world.get("/", &vera).await;
    let button = page
        .body
        .find("action=\"/demo/plug\"")
        .map(|at| &page.body[at..at + 200]);
    assert!(
        button.is_some_and(|button| button.contains("disabled")),
        "{button:?}"
    );
}
