//! The exact calls to AWS, as they will be made and as AWS CLI commands to copy.

use crate::parts::small::copy_button;
use leptos::prelude::*;
use switchback_contract::PlannedCall;

/// One call, open.
pub fn call(call: &PlannedCall) -> AnyView {
    view! {
        <div class="call">
            <p class="call-name"><code>{format!("{} {}", call.service, call.operation)}</code>{copy_button(&call.cli, "Copy the command")}</p>
            <pre tabindex="0"><code>{call.cli.clone()}</code></pre>
        </div>
    }
    .into_any()
}

/// One call behind its name.
pub fn folded_call(title: &'static str, planned: Option<&PlannedCall>) -> AnyView {
    match planned {
        Some(planned) => {
            view! { <details class="folded"><summary>{title}</summary>{call(planned)}</details> }
                .into_any()
        }
        None => ().into_any(),
    }
}
