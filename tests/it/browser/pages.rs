//! All pages, in one list: what is looked at in both themes and at both widths, and kept as a picture.

use crate::window::Screen;
use crate::window::Window;

/// One page.
pub struct Page {
    /// Its name, and the beginning of its pictures' names.
    pub name: &'static str,
    /// Its path.
    pub path: String,
    /// What can be read on it once it is there.
    pub text: &'static str,
    /// Whether it hears of changes.
    pub is_live: bool,
}

/// What the pages are about.
pub struct Subjects {
    /// A service with more than one revision.
    pub service: String,
    /// A service with a known-good revision to go back to and nothing in the way.
    pub rollback_of: String,
    /// A deployment that moves.
    pub live: String,
    /// A deployment that holds at the open gate.
    pub holding: String,
    /// A deployment that has ended.
    pub ended: String,
    /// The open gate.
    pub gate: String,
}

fn live(name: &'static str, path: String, text: &'static str) -> Page {
    Page {
        name,
        path,
        text,
        is_live: true,
    }
}

/// Every page of somebody who is signed in.
pub fn all(subjects: &Subjects) -> Vec<Page> {
    let Subjects {
        service,
        rollback_of,
        live: moving,
        holding,
        ended,
        gate,
    } = subjects;
    vec![
        live("now", "/".to_string(), "Needs you"),
        live("services", "/services".to_string(), "problems first"),
        live(
            "service",
            format!("/services/{service}"),
            "what served when",
        ),
        live("diff", format!("/services/{service}/diff"), "What differs"),
        live(
            "rollback-choose",
            format!("/services/{rollback_of}/rollback"),
            "nothing is preselected",
        ),
        live(
            "rollback",
            format!("/services/{rollback_of}/rollback?to=previous"),
            "Exact call",
        ),
        live(
            "deployment",
            format!("/deployments/{moving}"),
            "What happened",
        ),
        live(
            "end-bake",
            format!("/deployments/{ended}/end-bake"),
            "does not wait in a bake",
        ),
        live(
            "deployment-holding",
            format!("/deployments/{holding}"),
            "Holding at a gate",
        ),
        live("deployment-ended", format!("/deployments/{ended}"), "Ended"),
        live("gate", format!("/gates/{gate}"), "Your decision"),
        live("approvals", "/approvals".to_string(), "soonest fuse first"),
        live(
            "approvals-decided",
            "/approvals?show=decided".to_string(),
            "newest first, times in UTC",
        ),
        live(
            "history",
            "/history".to_string(),
            "newest first, times in UTC",
        ),
        live("audit", "/audit".to_string(), "Chain verified"),
        live("status", "/status".to_string(), "Calls to AWS"),
        live("api", "/api".to_string(), "Codes of problems"),
        live(
            "sessions",
            "/sessions".to_string(),
            "This session, in use now",
        ),
    ]
}

/// What somebody meets who goes astray.
pub fn astray() -> Vec<Page> {
    vec![
        Page {
            name: "not-found",
            path: "/nowhere".to_string(),
            text: "There is no page /nowhere.",
            is_live: true,
        },
        live(
            "no-such-deployment",
            "/deployments/nothing".to_string(),
            "There is no deployment nothing.",
        ),
        live(
            "history-without-match",
            "/history?q=nothing+like+it".to_string(),
            "No deployment matches",
        ),
    ]
}

/// The lists of an account in which nothing has happened yet.
pub fn empty() -> Vec<Page> {
    vec![
        live("empty-now", "/".to_string(), "No gate is open."),
        live(
            "empty-services",
            "/services".to_string(),
            "No service is watched yet.",
        ),
        live(
            "empty-approvals",
            "/approvals".to_string(),
            "No gate is open.",
        ),
        live(
            "empty-approvals-decided",
            "/approvals?show=decided".to_string(),
            "No gate was decided yet.",
        ),
        live(
            "empty-history",
            "/history".to_string(),
            "No deployment is recorded yet.",
        ),
    ]
}

/// Whether pictures are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pictures {
    Kept,
    NotKept,
}

/// Looks at the pages in both themes and at both widths: each is there, awake, no wider than the
/// screen, and hinders nobody. On the narrowest screen nothing is cut off either.
pub async fn look_at(window: &Window, pages: &[Page], pictures: Pictures) {
    for (screen, width) in [(Screen::Desktop, "desktop"), (Screen::Phone, "phone")] {
        window.looks_through(screen).await;
        for theme in ["light", "dark"] {
            window.wears(theme).await;
            for page in pages {
                window.goes_to(&page.path).await;
                window.sees(page.text).await;
                if page.is_live {
                    window.is_live().await;
                }
                window.fits().await;
                window.hinders_nobody().await;
                if pictures == Pictures::Kept {
                    let name = format!("{}-{theme}-{width}", page.name);
                    window.keeps_picture(&name).await;
                }
            }
        }
    }
    window.looks_through(Screen::Narrow).await;
    for page in pages {
        window.goes_to(&page.path).await;
        window.sees(page.text).await;
        window.fits().await;
    }
    window.looks_through(Screen::Desktop).await;
}
