//! What changes between two revisions.

use crate::parts::icon::line_sample;
use crate::parts::small::revision;
use crate::words;
use leptos::prelude::*;
use switchback_contract::Difference;
use switchback_contract::FieldChange;
use switchback_contract::FieldGroup;

fn group_word(group: FieldGroup) -> &'static str {
    match group {
        FieldGroup::Image => "image",
        FieldGroup::Environment => "env",
        FieldGroup::Secret => "secret",
        FieldGroup::Resources => "resources",
        FieldGroup::Network => "network",
        FieldGroup::Roles => "role",
        FieldGroup::Other => "other",
    }
}

/// The value as shown: an image by what distinguishes it, a long one by head and tail.
fn value_words(change: &FieldChange, value: Option<&str>) -> String {
    let Some(value) = value else {
        return "not set".to_string();
    };
    match (change.group, value.rsplit_once('@')) {
        (FieldGroup::Image, Some((_, digest))) => digest
            .split_once(':')
            .map_or(digest, |(_, digits)| digits)
            .chars()
            .take(7)
            .collect(),
        (FieldGroup::Image, None) => value.rsplit('/').next().unwrap_or(value).to_string(),
        _ if value.starts_with("arn:") => words::short_identifier(value),
        _ => value.to_string(),
    }
}

fn value_cell(change: &FieldChange, is_new: bool) -> AnyView {
    let value = if is_new { &change.new } else { &change.old };
    let text = value_words(change, value.as_deref());
    let class = match (value, is_new) {
        (None, _) => "value quiet",
        (Some(_), true) => "value new",
        (Some(_), false) => "value old",
    };
    view! { <span class=class title=value.clone()>{line_sample(is_new)}<code>{text}</code></span> }
        .into_any()
}

/// How many fields differ, in words.
pub fn changed_words(difference: &Difference) -> String {
    words::counted(difference.changes.len(), "field", "fields")
}

/// The differences as a table: field, old, new.
pub fn difference_table(difference: &Difference, old: Option<&str>, new: Option<&str>) -> AnyView {
    if difference.changes.is_empty() {
        let equal = words::counted(difference.equal, "field is", "fields are");
        return view! { <p class="quiet">{format!("Nothing differs: all {equal} equal.")}</p> }
            .into_any();
    }
    let rows = difference.changes.iter().map(|change| {
        view! {
            <tr>
                <th scope="row">{group_word(change.group)} " "<code>{change.field.clone()}</code></th>
                <td>{value_cell(change, false)}</td>
                <td>{value_cell(change, true)}</td>
            </tr>
        }
    });
    let equal = words::counted(
        difference.equal,
        "other field is equal.",
        "other fields are equal.",
    );
    view! {
        <table class="difference">
            <caption class="visually-hidden">"Fields that differ"</caption>
            <thead>
                <tr>
                    <th scope="col">"Field"</th>
                    <th scope="col">{revision(old, false, false)}</th>
                    <th scope="col">{revision(new, true, false)}</th>
                </tr>
            </thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
        <p class="quiet after-table">{equal}</p>
    }
    .into_any()
}
