//! What single presses do anywhere on a page: copying, filling in a reason, sending a form only once;
//! and what a time tells when it is pointed at.

use crate::live::Live;
use crate::words;
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::time::Duration;
use switchback_contract::Moment;
use wasm_bindgen::JsCast;
use wasm_bindgen::JsValue;

/// How long a button says that it copied.
const COPIED_FOR: Duration = Duration::from_secs(2);

/// The first press sends, every further one is held back until the page is left.
pub fn send_once(event: leptos::ev::SubmitEvent) {
    let Some(form) = element(event.target()) else {
        return;
    };
    if !form.has_attribute("data-act") {
        return;
    }
    if form.has_attribute("data-sending") {
        event.prevent_default();
        return;
    }
    let _marked = form.set_attribute("data-sending", "");
    if let Some(button) = event.submitter() {
        let _marked = button.set_attribute("data-pressed", "");
    }
}

/// Lets forms send again.
pub fn unlock() {
    for name in ["data-sending", "data-pressed"] {
        while let Ok(Some(element)) = document().query_selector(&format!("[{name}]")) {
            let _unmarked = element.remove_attribute(name);
        }
    }
}

/// A press of something that copies or fills in.
pub fn pressed(event: &leptos::ev::MouseEvent, live: Live) {
    let Some(target) = element(event.target()) else {
        return;
    };
    if let Some((button, text)) = with_attribute(&target, "data-copy") {
        copy(button, text, live);
    }
    if let Some((button, text)) = with_attribute(&target, "data-fill") {
        let field = button
            .get_attribute("data-into")
            .and_then(|id| document().get_element_by_id(&id))
            .and_then(|field| field.dyn_into::<web_sys::HtmlTextAreaElement>().ok());
        if let Some(field) = field {
            field.set_value(&text);
            let _focused = field.focus();
        }
    }
}

/// Copies, and says whether it did. A browser gives no clipboard to a page that came over plain HTTP
/// from another machine.
fn copy(button: web_sys::Element, text: String, live: Live) {
    let navigator = window().navigator();
    let has_clipboard = js_sys::Reflect::get(&navigator, &JsValue::from_str("clipboard"))
        .is_ok_and(|clipboard| !clipboard.is_undefined());
    spawn_local(async move {
        let copied = has_clipboard
            && js_sys::futures::JsFuture::from(navigator.clipboard().write_text(&text))
                .await
                .is_ok();
        let (mark, words) = if copied {
            ("data-copied", "Copied")
        } else {
            (
                "data-not-copied",
                "Not copied: the browser does not let this page use the clipboard.",
            )
        };
        live.say(words);
        let _marked = button.set_attribute(mark, "");
        set_timeout(
            move || {
                let _unmarked = button.remove_attribute(mark);
            },
            COPIED_FOR,
        );
    });
}

/// Completes the titles of the times that are pointed at, or that stand in what has the focus: UTC,
/// how long ago, and the time here.
pub fn tell_times(target: Option<web_sys::EventTarget>, live: Live) {
    let Some(target) = element(target) else {
        return;
    };
    let Some(place) = target
        .closest("time, tr, li, dd, p")
        .ok()
        .flatten()
        .filter(|place| !place.has_attribute("hidden"))
    else {
        return;
    };
    if place.tag_name() == "TIME" {
        tell_time(&place, live);
        return;
    }
    let Ok(times) = place.query_selector_all("time") else {
        return;
    };
    for index in 0..times.length() {
        if let Some(time) = times
            .item(index)
            .and_then(|node| node.dyn_into::<web_sys::Element>().ok())
        {
            tell_time(&time, live);
        }
    }
}

fn tell_time(time: &web_sys::Element, live: Live) {
    let Some(written) = time.get_attribute("datetime") else {
        return;
    };
    let Ok(at) = Moment::parse(&written) else {
        return;
    };
    let here = js_sys::Date::new(&JsValue::from_str(&written)).to_string();
    let words = words::time_in_full(at, live.now.get_untracked(), &String::from(here));
    let _told = time.set_attribute("title", &words);
}

fn with_attribute(target: &web_sys::Element, name: &str) -> Option<(web_sys::Element, String)> {
    let element = target.closest(&format!("[{name}]")).ok().flatten()?;
    let value = element.get_attribute(name)?;
    Some((element, value))
}

fn element(target: Option<web_sys::EventTarget>) -> Option<web_sys::Element> {
    target?.dyn_into::<web_sys::Element>().ok()
}
