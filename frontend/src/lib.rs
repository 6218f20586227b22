//! Wakes the islands in the browser. Nothing else: every component lives in `switchback-app`.
//!
//! Each island of the pages is an exported function of the compiled module, which the page's own
//! script looks up by name. Nothing here calls them, so the crate is named for the linker alone.
use switchback_app as _;
use wasm_bindgen::prelude::wasm_bindgen;

/// Called once by the page's script as soon as the module is loaded, before it wakes the islands.
///
/// A panic is printed to the browser's console with its message and place.
#[wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_islands();
}
