//! The reference of the HTTP API: every operation, what it takes and answers, every schema and every code.

use crate::asks;
use crate::pages::Shown;
use crate::pages::page;
use crate::parts::frame::Section;
use leptos::prelude::*;
use switchback_contract::ApiAnswer;
use switchback_contract::ApiField;
use switchback_contract::ApiGroup;
use switchback_contract::ApiKind;
use switchback_contract::ApiOperation;
use switchback_contract::ApiReference;
use switchback_contract::ApiSchema;

/// `/api`
#[component]
pub fn Api() -> impl IntoView {
    page(Section::Elsewhere, asks::api_reference(), |answer, _| {
        Shown {
            title: "HTTP API".to_string(),
            now: None,
            content: content(answer),
        }
    })
}

fn content(reference: ApiReference) -> AnyView {
    let contents = reference
        .groups
        .iter()
        .map(|group| {
            let links = group.operations.iter().map(|operation| {
                view! { <li><a href=format!("#{}", operation.id)><code>{operation.method.clone()}" "{short(&operation.path)}</code></a></li> }
            });
            view! { <li><a href=format!("#{}", anchor(&group.name))>{group.name.clone()}</a><ul>{links.collect_view()}</ul></li> }
        })
        .collect_view();
    let paragraphs = reference
        .description
        .iter()
        .map(|paragraph| view! { <p>{paragraph.clone()}</p> })
        .collect_view();
    view! {
        <div class="page api">
            <div class="title-row"><h1>"HTTP API"</h1>
                <p class="quiet">"of version "{reference.version.clone()}</p>
                <p class="title-act aside"><a class="button" href="/api/openapi.json">"OpenAPI document"</a></p></div>
            <div class="api-columns">
                <nav class="api-contents" aria-label="Contents"><ul>{contents}
                    <li><a href="#schemas">"Schemas"</a></li>
                    <li><a href="#codes">"Codes of problems"</a></li></ul></nav>
                <div class="api-text">
                    <section class="api-lead" aria-label="What holds for every request">{paragraphs}</section>
                    {reference.groups.iter().map(group_part).collect_view()}
                    <section aria-labelledby="schemas"><h2 id="schemas">"Schemas"</h2>
                        {reference.schemas.iter().map(schema_part).collect_view()}</section>
                    {codes_part(&reference)}
                </div>
            </div>
        </div>
    }
    .into_any()
}

/// The path without what most of them begin with.
fn short(path: &str) -> String {
    path.strip_prefix("/api/v1").unwrap_or(path).to_string()
}

fn anchor(name: &str) -> String {
    format!("group-{}", name.to_lowercase())
}

fn group_part(group: &ApiGroup) -> AnyView {
    view! {
        <section aria-labelledby=anchor(&group.name)>
            <h2 id=anchor(&group.name)>{group.name.clone()}</h2>
            <p class="quiet">{group.description.clone()}</p>
            {group.operations.iter().map(operation_part).collect_view()}
        </section>
    }
    .into_any()
}

fn operation_part(operation: &ApiOperation) -> AnyView {
    let description = (!operation.description.is_empty())
        .then(|| view! { <p>{operation.description.clone()}</p> });
    let parameters = (!operation.parameters.is_empty()).then(|| {
        view! {
            <h4>"Parameters"</h4>
            {fields_table(format!("Parameters of {}", operation.id), &operation.parameters)}
        }
    });
    let body = operation.body.as_ref().map(|body| {
        view! {
            <h4>"Body"</h4>
            <p>"JSON: "{kind(&body.kind)}</p>
        }
    });
    view! {
        <article class="panel api-operation" id=operation.id.clone() aria-labelledby=format!("{}-title", operation.id)>
            <h3 id=format!("{}-title", operation.id)><span class="api-method">{operation.method.clone()}</span>" "<code>{operation.path.clone()}</code></h3>
            <p>{operation.summary.clone()}</p>
            {description}
            <p class="quiet small">"Who may ask: "{operation.security.clone()}"."</p>
            {parameters}
            {body}
            <h4>"Answers"</h4>
            <dl class="api-answers">{operation.answers.iter().map(answer_part).collect_view()}</dl>
            <h4>"Example"</h4>
            <pre class="api-example" tabindex="0" role="region" aria-label=format!("Example of {}", operation.id)><code>{operation.example.clone()}</code></pre>
        </article>
    }
    .into_any()
}

fn answer_part(answer: &ApiAnswer) -> AnyView {
    let contents = answer
        .content
        .iter()
        .filter(|(media_type, _)| media_type != "application/problem+json")
        .map(|(media_type, of)| {
            view! { <span class="api-content">{kind(of)}" "<span class="quiet small">{media_type.clone()}</span></span> }
        })
        .collect_view();
    let codes = answer
        .codes
        .iter()
        .map(|code| view! { <a href=format!("#code-{code}")><code>{code.clone()}</code></a>" " })
        .collect_view();
    view! {
        <dt><code>{answer.status.clone()}</code></dt>
        <dd>{answer.description.clone()}" "{contents}{codes}</dd>
    }
    .into_any()
}

fn kind(kind: &ApiKind) -> AnyView {
    match &kind.schema {
        Some(schema) => {
            view! { <a href=format!("#schema-{schema}")>{kind.words.clone()}</a> }.into_any()
        }
        None => view! { <span>{kind.words.clone()}</span> }.into_any(),
    }
}

/// Text in which backticks stand around names, as in the comments that it comes from.
fn prose(text: &str) -> AnyView {
    text.split('`')
        .enumerate()
        .map(|(index, part)| {
            let part = part.to_string();
            if index % 2 == 1 {
                view! { <code>{part}</code> }.into_any()
            } else {
                part.into_any()
            }
        })
        .collect_view()
        .into_any()
}

fn fields_table(label: String, fields: &[ApiField]) -> AnyView {
    let rows = fields
        .iter()
        .map(|field| {
            let place = (!field.place.is_empty())
                .then(|| view! { <br/><span class="quiet small">{field.place.clone()}</span> });
            let optional = (!field.required)
                .then(|| view! { <br/><span class="quiet small">"may be left out"</span> });
            view! {
                <tr>
                    <th scope="row"><code>{field.name.clone()}</code>{place}</th>
                    <td>{kind(&field.kind)}{optional}</td>
                    <td>{prose(&field.description)}</td>
                </tr>
            }
        })
        .collect_view();
    let caption = label.clone();
    view! {
        <div class="api-scroll" tabindex="0" role="region" aria-label=label>
            <table class="api-fields"><caption class="visually-hidden">{caption}</caption>
                <thead><tr><th scope="col">"Name"</th><th scope="col">"Type"</th><th scope="col">"What it says"</th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn schema_part(schema: &ApiSchema) -> AnyView {
    let words = (!schema.words.is_empty()).then(|| {
        let words = schema.words.iter().map(|(word, meaning)| {
            view! { <dt><code>{word.clone()}</code></dt><dd>{prose(meaning)}</dd> }
        });
        view! { <dl class="api-answers">{words.collect_view()}</dl> }
    });
    let fields = (!schema.fields.is_empty())
        .then(|| fields_table(format!("Members of {}", schema.name), &schema.fields));
    view! {
        <article class="panel api-operation" id=format!("schema-{}", schema.name) aria-labelledby=format!("schema-{}-title", schema.name)>
            <h3 id=format!("schema-{}-title", schema.name)><code>{schema.name.clone()}</code></h3>
            <p>{prose(&schema.description)}</p>
            {words}
            {fields}
        </article>
    }
    .into_any()
}

fn codes_part(reference: &ApiReference) -> AnyView {
    let rows = reference
        .codes
        .iter()
        .map(|known| {
            view! {
                <tr id=format!("code-{}", known.code)>
                    <th scope="row"><code>{known.code.clone()}</code></th>
                    <td>{known.status}</td>
                    <td>{known.meaning.clone()}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section aria-labelledby="codes">
            <h2 id="codes">"Codes of problems"</h2>
            <div class="api-scroll" tabindex="0" role="region" aria-label="Codes of problems">
                <table class="api-fields"><caption class="visually-hidden">"Codes of problems"</caption>
                    <thead><tr><th scope="col">"Code"</th><th scope="col">"Status"</th><th scope="col">"What it means"</th></tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}
