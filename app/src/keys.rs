//! The keys: what they are, and what they do. None approves, rejects or rolls back.
//!
//! They are off in fields, with Ctrl, Alt or Meta, and wherever the reader has switched them off. Every
//! key has a visible twin: it follows a link or focuses something that is on the page.

use crate::live::Live;
use leptos::prelude::*;
use std::cell::Cell;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;
use web_sys::KeyboardEvent;

/// The identifier of the list of keys, a popover.
pub const LIST_ID: &str = "keys";

/// The name under which the browser keeps that the keys are off.
const SETTING: &str = "switchback-keys";

/// The second key of a pair must come within so many ms.
const PAIR_MILLIS: f64 = 1500.0;

/// Keys and what they do, as listed.
const KEYS: [(&str, &str); 15] = [
    ("/", "Find"),
    ("g n", "Go to Now"),
    ("g s", "Go to Services"),
    ("g a", "Go to Approvals"),
    ("g h", "Go to History"),
    ("g u", "Go to Audit"),
    ("j k", "Next row, row before"),
    ("Enter", "Open the row"),
    ("f", "Filter the list"),
    ("x", "Mark a row; two of one service are compared"),
    ("d", "The full difference"),
    ("t", "The chart as a table"),
    ("r", "Write the reason"),
    ("?", "This list"),
    ("Esc", "Close, or leave a field"),
];

/// Listens for keys as long as the page lives.
pub fn listen(live: Live) {
    let pair_at = Cell::new(f64::NEG_INFINITY);
    let _listening = window_event_listener(leptos::ev::keydown, move |event| {
        if event.default_prevented() || event.ctrl_key() || event.alt_key() || event.meta_key() {
            return;
        }
        let target = event
            .target()
            .and_then(|target| target.dyn_into::<HtmlElement>().ok());
        if let Some(field) = target.filter(is_field) {
            if event.key() == "Escape" {
                let _left = field.blur();
            }
            return;
        }
        if event.key() == "Escape" {
            close_menu();
            return;
        }
        if are_off() {
            return;
        }
        let is_pair = js_sys::Date::now() - pair_at.replace(f64::NEG_INFINITY) < PAIR_MILLIS;
        let key = event.key();
        let was_used = match (is_pair, key.as_str()) {
            (true, "n") => goes_to("/"),
            (true, "s") => goes_to("/services"),
            (true, "a") => goes_to("/approvals"),
            (true, "h") => goes_to("/history"),
            (true, "u") => goes_to("/audit"),
            (_, "g") => {
                pair_at.set(js_sys::Date::now());
                true
            }
            (_, key) => act(key, &event, live),
        };
        if was_used {
            event.prevent_default();
        }
    });
}

/// What a single key does; whether it did anything.
fn act(key: &str, event: &KeyboardEvent, live: Live) -> bool {
    match key {
        "/" => focus("#find") || goes_to("/history"),
        "j" => moves_row(1),
        "k" => moves_row(-1),
        "f" => focus(".filters input, .filters select"),
        "x" => marks(event, live),
        "d" => follows("[data-key='d']"),
        "t" => toggles("details[data-key='t']"),
        "r" => focus("textarea[name='reason']"),
        "?" => find(&format!("#{LIST_ID}")).is_some_and(|list| list.toggle_popover().is_ok()),
        _ => false,
    }
}

fn find(selector: &str) -> Option<HtmlElement> {
    document()
        .query_selector(selector)
        .ok()
        .flatten()?
        .dyn_into::<HtmlElement>()
        .ok()
}

fn is_field(element: &HtmlElement) -> bool {
    matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT")
        || element.is_content_editable()
}

/// What is not shown at this width cannot take the focus.
fn focus(selector: &str) -> bool {
    find(selector)
        .filter(|element| element.offset_height() > 0)
        .is_some_and(|element| {
            element.scroll_into_view_with_bool(false);
            element.focus().is_ok()
        })
}

fn goes_to(path: &str) -> bool {
    window().location().set_href(path).is_ok()
}

fn follows(selector: &str) -> bool {
    find(selector).is_some_and(|link| {
        link.click();
        true
    })
}

fn toggles(selector: &str) -> bool {
    let Some(details) = find(selector) else {
        return false;
    };
    let _toggled = details.toggle_attribute("open");
    details.scroll_into_view_with_bool(false);
    true
}

fn close_menu() {
    if let Some(menu) = find("details.menu[open]") {
        let _closed = menu.remove_attribute("open");
    }
}

fn rows() -> Vec<HtmlElement> {
    let Ok(found) = document().query_selector_all("main .row-link") else {
        return Vec::new();
    };
    (0..found.length())
        .filter_map(|index| found.item(index)?.dyn_into::<HtmlElement>().ok())
        .filter(|link| link.offset_height() > 0)
        .collect()
}

fn moves_row(step: isize) -> bool {
    let rows = rows();
    let focused = document().active_element();
    let here = rows.iter().position(|row| {
        focused
            .as_ref()
            .is_some_and(|focused| row.is_same_node(Some(focused)))
    });
    let Some(last) = rows.len().checked_sub(1) else {
        return false;
    };
    let next = match here {
        None if step < 0 => last,
        None => 0,
        Some(here) => here.saturating_add_signed(step).min(last),
    };
    rows.get(next).is_some_and(|row| row.focus().is_ok())
}

/// Marks the row that has the focus, or takes its mark away. Two marked rows of one service lead to
/// the difference of their revisions.
fn marks(event: &KeyboardEvent, live: Live) -> bool {
    let row = event
        .target()
        .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
        .and_then(|element| element.closest("tr[data-revision]").ok().flatten());
    let Some(row) = row else {
        return false;
    };
    let is_marked = row.toggle_attribute("data-marked").unwrap_or_default();
    let Ok(marked) = document().query_selector_all("tr[data-marked]") else {
        return true;
    };
    let marked: Vec<web_sys::Element> = (0..marked.length())
        .filter_map(|index| marked.item(index)?.dyn_into().ok())
        .collect();
    let [first, second] = marked.as_slice() else {
        live.say(if is_marked {
            "Marked. Mark a second row of the same service to compare."
        } else {
            "No longer marked."
        });
        return true;
    };
    // The older stands below, and is the old side.
    let told = |row: &web_sys::Element, name: &str| row.get_attribute(name).unwrap_or_default();
    let service = told(first, "data-service");
    if service != told(second, "data-service") {
        let _unmarked = row.remove_attribute("data-marked");
        live.say("Only rows of one service can be compared.");
        return true;
    }
    goes_to(&crate::pages::diff::address(
        &service,
        Some(&told(second, "data-revision")),
        Some(&told(first, "data-revision")),
    ))
}

/// Where the browser keeps settings, when it lets us.
fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

fn are_off() -> bool {
    storage().is_some_and(|storage| storage.get_item(SETTING).ok().flatten().is_some())
}

/// The list of keys, and the switch. It opens by `?` and by the button of the top bar.
#[island]
pub fn KeyList() -> impl IntoView {
    let off = RwSignal::new(false);
    Effect::new(move |_| off.set(are_off()));
    let switch = move |_| {
        if let Some(storage) = storage() {
            let _kept = if are_off() {
                storage.remove_item(SETTING)
            } else {
                storage.set_item(SETTING, "off")
            };
        }
        off.set(are_off());
    };
    let rows = KEYS.into_iter().map(|(keys, words)| {
        let keys = keys
            .split(' ')
            .map(|key| view! { <kbd>{key}</kbd>" " })
            .collect_view();
        view! { <div><dt>{keys}</dt><dd>{words}</dd></div> }
    });
    view! {
        <div class="keys" id=LIST_ID popover="auto" role="dialog" aria-labelledby="keys-title">
            <header>
                <h2 id="keys-title">"Keys"</h2>
                <button type="button" popovertarget=LIST_ID popovertargetaction="hide" autofocus>"Close"</button>
            </header>
            <p class="quiet">"No key approves, rejects or rolls back. In fields only Esc works."</p>
            <dl>{rows.collect_view()}</dl>
            <p><button type="button" on:click=switch>{move || if off.get() { "Switch the keys on" } else { "Switch the keys off" }}</button>
                " "<span class="quiet">{move || if off.get() { "They are off in this browser." } else { "They are on in this browser." }}</span></p>
        </div>
    }
}
