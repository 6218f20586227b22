//! How the traffic of a deployment moves, step by step, with its present place: shares with their waits, gates, the bake.

use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::words;
use leptos::prelude::*;
use switchback_contract::DeploymentPage;
use switchback_contract::PathPlace;
use switchback_contract::PathStep;

/// As many steps are shown one by one.
const SHOWN: usize = 14;

/// As many before and after the present one are shown of a longer path.
const AROUND: usize = 4;

/// The panel; nothing where the path is not known or the deployment has ended.
pub fn path_panel(page: &DeploymentPage) -> AnyView {
    if page.path.is_empty() {
        return ().into_any();
    }
    let present = page
        .path
        .iter()
        .position(|(_, place)| *place == PathPlace::Present);
    let items = shown(page.path.len(), present)
        .into_iter()
        .map(|part| match part {
            Part::Step(index) => step(page.path[index].0, page.path[index].1),
            Part::Left(count) => {
                view! { <li class="path-left quiet">{words::counted(count, "more step", "more steps")}</li> }
                    .into_any()
            }
        });
    view! {
        <section class="panel" aria-labelledby="path-title">
            <header class="panel-head"><h2 id="path-title">"How traffic moves"</h2></header>
            <div class="panel-part"><ol class="path">{items.collect_view()}</ol></div>
        </section>
    }
    .into_any()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Step(usize),
    Left(usize),
}

/// Which steps are shown: all of a short path; of a long one the first, those around the present one, and the last.
fn shown(count: usize, present: Option<usize>) -> Vec<Part> {
    if count <= SHOWN {
        return (0..count).map(Part::Step).collect();
    }
    let present = present.unwrap_or(0);
    let is_shown =
        |index: usize| index == 0 || index + 1 == count || index.abs_diff(present) <= AROUND;
    let mut parts = Vec::new();
    let mut left = 0;
    for index in 0..count {
        if !is_shown(index) {
            left += 1;
            continue;
        }
        if left > 0 {
            parts.push(Part::Left(left));
            left = 0;
        }
        parts.push(Part::Step(index));
    }
    parts
}

fn step(step: PathStep, place: PathPlace) -> AnyView {
    let (class, said) = match place {
        PathPlace::Done => ("path-step done", "done"),
        PathPlace::Present => ("path-step present", "now"),
        PathPlace::Ahead => ("path-step ahead", "ahead"),
    };
    let minutes = |minutes: i64| {
        (minutes > 0)
            .then(|| view! { <span class="path-wait">{format!("{minutes}\u{a0}min")}</span> })
    };
    let content = match step {
        PathStep::Gate => view! { {icon(Shape::Hold)}<span>"gate"</span> }.into_any(),
        PathStep::Share {
            permille,
            minutes: wait,
        } => {
            let share = permille as f64 / 1000.0;
            let height = format!("{:.1}", share * 16.0);
            let y = format!("{:.1}", 16.0 - share * 16.0);
            view! {
                <svg class="path-bar" viewBox="0 0 6 16" width="6" height="16" aria-hidden="true" focusable="false">
                    <rect class="path-bar-whole" width="6" height="16"></rect>
                    <rect class="path-bar-share" y=y width="6" height=height></rect>
                </svg>
                <span>{words::percent(share)}</span>
                {minutes(wait)}
            }
            .into_any()
        }
        PathStep::Bake { minutes: wait } => {
            view! { {icon(Shape::Ring)}<span>"bake"</span>{minutes(wait)} }.into_any()
        }
    };
    view! {
        <li class=class aria-current=(place == PathPlace::Present).then_some("step")>
            {content}<span class="visually-hidden">{format!(", {said}")}</span>
        </li>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_shown_around_its_present_step() {
        let step = Part::Step;
        assert_eq!(shown(3, None), [step(0), step(1), step(2)]);
        let parts = shown(34, Some(10));
        assert_eq!(parts.first(), Some(&step(0)));
        assert_eq!(parts[1], Part::Left(5));
        assert_eq!(parts[2..11], (6..=14).map(step).collect::<Vec<_>>());
        assert_eq!(parts[11..], [Part::Left(18), step(33)]);
    }
}
