//! The shapes. Status is always a shape and a word, so each of these stands before its word and is
//! hidden from screen readers.

use leptos::prelude::*;

/// The shapes of `design.md` §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Succeeded, ok.
    Check,
    /// Failed, blocking.
    Cross,
    /// Rolled back.
    BentArrow,
    /// The rollback itself failed.
    FailedArrow,
    /// Stopped.
    Square,
    /// Superseded.
    Chevrons,
    /// Unknown, unchecked.
    Question,
    /// Under way.
    Half,
    /// Holding at a gate.
    Hold,
    /// Baking.
    Clock,
    /// An alarm fires.
    Alarm,
    /// A warning.
    Warning,
    /// Not begun, still missing.
    Ring,
    /// Done, approved.
    Tick,
    /// Left out.
    Skipped,
    /// Copy to the clipboard.
    Copy,
}

/// Filled with the colour; cut out in the ground's colour; drawn as a line; drawn as a dashed line.
struct Drawing {
    colour: &'static str,
    fill: &'static str,
    cut: &'static str,
    line: &'static str,
    dashes: &'static str,
}

const CIRCLE: &str = "M6 0a6 6 0 1 0 0 12A6 6 0 0 0 6 0Z";
const RING: &str = "M6 1a5 5 0 1 0 0 10A5 5 0 0 0 6 1Z";
const OCTAGON: &str = "M3.5 0h5L12 3.5v5L8.5 12h-5L0 8.5v-5Z";
const TRIANGLE: &str = "M6 .6 11.8 11.2H.2Z";
const EXCLAMATION: &str = "M6 4.6v2.9M6 9.2v.2";

fn drawing(shape: Shape) -> Drawing {
    let none = Drawing {
        colour: "ink",
        fill: "",
        cut: "",
        line: "",
        dashes: "",
    };
    match shape {
        Shape::Check => Drawing {
            colour: "good",
            fill: CIRCLE,
            cut: "M3.2 6.3 5.2 8.2 8.8 4.1",
            ..none
        },
        Shape::Cross => Drawing {
            colour: "bad",
            fill: OCTAGON,
            cut: "M4 4l4 4M8 4 4 8",
            ..none
        },
        Shape::BentArrow => Drawing {
            colour: "bad",
            line: "M4.4 1 1.5 3.9l2.9 2.9M1.8 3.9h5.4a3.2 3.2 0 0 1 0 6.4H4.2",
            ..none
        },
        Shape::FailedArrow => Drawing {
            colour: "bad",
            fill: OCTAGON,
            cut: "M5 2.6 3.2 4.4 5 6.2M3.4 4.4h3.4a2 2 0 0 1 0 4H5",
            ..none
        },
        Shape::Square => Drawing {
            colour: "quiet",
            fill: "M2.2 1.2h7.6a1 1 0 0 1 1 1v7.6a1 1 0 0 1-1 1H2.2a1 1 0 0 1-1-1V2.2a1 1 0 0 1 1-1Z",
            ..none
        },
        Shape::Chevrons => Drawing {
            colour: "quiet",
            line: "M2 2.5 5.5 6 2 9.5M6.5 2.5 10 6 6.5 9.5",
            ..none
        },
        Shape::Question => Drawing {
            colour: "quiet",
            dashes: RING,
            line: "M4.6 4.7a1.4 1.4 0 1 1 2.1 1.2c-.5.3-.7.5-.7 1M6 8.7v.1",
            ..none
        },
        Shape::Half => Drawing {
            line: RING,
            fill: "M6 1a5 5 0 0 1 0 10Z",
            ..none
        },
        Shape::Hold => Drawing {
            colour: "wait",
            fill: "M6 0l6 6-6 6-6-6Z",
            cut: "M4.8 4.2v3.6M7.2 4.2v3.6",
            ..none
        },
        Shape::Clock => Drawing {
            line: "M6 1a5 5 0 1 0 0 10A5 5 0 0 0 6 1ZM6 3.2V6l2 1.3",
            ..none
        },
        Shape::Alarm => Drawing {
            colour: "bad",
            fill: TRIANGLE,
            cut: EXCLAMATION,
            ..none
        },
        Shape::Warning => Drawing {
            colour: "wait",
            fill: TRIANGLE,
            cut: EXCLAMATION,
            ..none
        },
        Shape::Ring => Drawing {
            colour: "faint",
            line: RING,
            ..none
        },
        Shape::Tick => Drawing {
            colour: "good",
            line: "M1.8 6.4 4.7 9.3 10.2 3",
            ..none
        },
        Shape::Skipped => Drawing {
            colour: "faint",
            line: "M2 6h8",
            ..none
        },
        Shape::Copy => Drawing {
            colour: "quiet",
            line: "M4 4h7v7H4ZM1.2 8V1.2H8",
            ..none
        },
    }
}

/// The shape, 12 px, in its colour.
pub fn icon(shape: Shape) -> impl IntoView {
    let Drawing {
        colour,
        fill,
        cut,
        line,
        dashes,
    } = drawing(shape);
    view! {
        <svg class=format!("icon icon-{colour}") viewBox="0 0 12 12" aria-hidden="true" focusable="false">
            <path class="icon-fill" d=fill></path>
            <path class="icon-cut" d=cut></path>
            <path class="icon-line" d=line></path>
            <path class="icon-dashes" d=dashes></path>
        </svg>
    }
}

/// The line sample that stands before a revision's name: dashed for old, solid and thicker for new.
pub fn line_sample(is_new: bool) -> impl IntoView {
    view! {
        <svg class=if is_new { "sample sample-new" } else { "sample sample-old" } viewBox="0 0 15 4" aria-hidden="true" focusable="false">
            <line x1="0" y1="2" x2="15" y2="2"></line>
        </svg>
    }
}

/// The product's mark: a line that reverses.
pub fn mark() -> impl IntoView {
    view! {
        <svg class="mark" viewBox="0 0 18 16" aria-hidden="true" focusable="false">
            <path d="M1 3.5h14M12 .8l3.2 2.7L12 6.2M15 8H4.4a2.2 2.2 0 0 0 0 4.6H16"></path>
            <path d="M5 8H3.6"></path>
        </svg>
    }
}
