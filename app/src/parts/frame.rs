//! What stands round every page: skip link, top bar, main, and on the phone the bar of five words.

use crate::desk::ConnectionBar;
use crate::desk::ConnectionState;
use crate::desk::LiveDesk;
use crate::keys::KeyList;
use crate::keys::LIST_ID;
use crate::live::ApprovalsCount;
use crate::parts::guide::GuideLive;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::icon::mark;
use leptos::prelude::*;
use switchback_contract::GuideView;
use switchback_contract::Me;
use switchback_contract::Moment;

/// The entry of the top bar that a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// `/`
    Now,
    /// `/services`
    Services,
    /// `/approvals`
    Approvals,
    /// `/history`
    History,
    /// `/audit`
    Audit,
    /// None of them.
    Elsewhere,
}

const ENTRIES: [(Section, &str, &str); 5] = [
    (Section::Now, "/", "Now"),
    (Section::Services, "/services", "Services"),
    (Section::Approvals, "/approvals", "Approvals"),
    (Section::History, "/history", "History"),
    (Section::Audit, "/audit", "Audit"),
];

/// What is known of the reader and of the world around a page.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Who is signed in.
    pub me: Me,
    /// How many gates are open.
    pub open_gates: i64,
    /// What there is to try out, in a demo.
    pub guide: Option<GuideView>,
    /// Whether the session is an emergency's.
    pub is_break_glass: bool,
}

/// A whole page.
///
/// `path` is where a change of theme returns to; `now` is the account's clock when the page was made.
pub fn frame(
    section: Section,
    path: String,
    now: Option<Moment>,
    surroundings: Surroundings,
    content: AnyView,
) -> AnyView {
    let Surroundings {
        me,
        open_gates,
        guide,
        is_break_glass,
    } = surroundings;
    // It lies open on Now unless it was put away, and is folded into the top bar everywhere else.
    let is_open = path == "/" && guide.as_ref().is_some_and(|guide| !guide.hidden);
    let (on_page, in_bar) = if is_open {
        (guide, None)
    } else {
        (None, guide)
    };
    let guide_path = path.clone();
    let bar_path = path.clone();
    let initials: String = me
        .name
        .split(['.', ' ', '-', '_', ':'])
        .filter_map(|part| part.chars().next())
        .take(2)
        .collect();
    let roles = me
        .roles
        .iter()
        .map(|role| role.word())
        .collect::<Vec<_>>()
        .join(", ");
    view! {
        <LiveDesk now=now>
            <a class="skip" href="#main">"Skip to the content"</a>
            <header class="topbar">
                <a class="brand" href="/">{mark()} <span>"Switchback"</span></a>
                <nav class="sections" aria-label="Sections">{entries(section, open_gates)}</nav>
                <form class="find" role="search" method="get" action="/history">
                    <label class="visually-hidden" for="find">"Find in the history"</label>
                    <input id="find" name="q" type="search" placeholder="Service, revision, deployment…" autocomplete="off"/>
                    <kbd aria-hidden="true">"/"</kbd>
                </form>
                {in_bar.map(|guide| view! {
                    <details class="menu guide-menu">
                        <summary>"Try this"</summary>
                        <aside class="menu-panel guide" aria-label="Try this"><GuideLive initial=guide path=bar_path/></aside>
                    </details>
                })}
                <ConnectionState/>
                <button type="button" class="keys-button" popovertarget=LIST_ID aria-label="Keys" title="Keys (?)"><kbd aria-hidden="true">"?"</kbd></button>
                <details class="menu">
                    <summary aria-label=format!("Account of {}", me.name)><span class="initials">{initials.to_uppercase()}</span></summary>
                    <div class="menu-panel">
                        <p><strong>{me.name.clone()}</strong><br/><span class="quiet">{if roles.is_empty() { "no role".to_string() } else { roles }}</span></p>
                        <p><a href="/status">"Status of the watching"</a></p>
                        <p><a href="/api">"HTTP API"</a></p>
                        <p><a href="/sessions">"Your sessions"</a></p>
                        <form method="post" action="/theme" class="theme">
                            <input type="hidden" name="to" value=path/>
                            <fieldset>
                                <legend>"Theme"</legend>
                                <button name="theme" value="system">"System"</button>
                                <button name="theme" value="light">"Light"</button>
                                <button name="theme" value="dark">"Dark"</button>
                            </fieldset>
                        </form>
                        <form method="post" action="/sign-out"><button class="plain">"Sign out"</button></form>
                    </div>
                </details>
            </header>
            {is_break_glass.then(|| view! {
                <p class="break-glass" role="status">{icon(Shape::Warning)} <span><strong>"Break-glass session."</strong>" You are signed in as an emergency administrator; everything you do is recorded as that. Sign out when it is over."</span></p>
            })}
            <ConnectionBar/>
            <KeyList/>
            {on_page.map(|guide| view! {
                <aside class="guide guide-open" aria-label="Try this"><GuideLive initial=guide path=guide_path/></aside>
            })}
            <main id="main" tabindex="-1">{content}</main>
            <nav class="bottombar" aria-label="Sections, at the bottom">{entries(section, open_gates)}</nav>
        </LiveDesk>
    }
    .into_any()
}

fn entries(section: Section, open_gates: i64) -> AnyView {
    ENTRIES
        .into_iter()
        .map(|(entry, path, word)| {
            let current = (entry == section).then_some("page");
            let count = (entry == Section::Approvals)
                .then(|| view! { <ApprovalsCount initial=open_gates/> });
            view! { <a href=path aria-current=current>{word}{count}</a> }
        })
        .collect_view()
        .into_any()
}
