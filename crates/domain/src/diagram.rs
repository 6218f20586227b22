//! Holds the drawings in `docs/machines` against the machines: tests of a state machine only.

/// Asserts that a drawing (Mermaid's `from --> to: event`) has exactly these edges, in any order.
///
/// An edge is the word of the state before, the word of the state after, and the event's word.
#[track_caller]
pub(crate) fn assert_drawn(
    drawing: &str,
    edges: impl IntoIterator<Item = (String, String, String)>,
) {
    let mut drawn: Vec<String> = drawing
        .lines()
        .map(str::trim)
        .filter(|line| line.contains(" --> "))
        .map(str::to_string)
        .collect();
    let mut edges: Vec<String> = edges
        .into_iter()
        .map(|(from, to, event)| format!("{from} --> {to}: {event}"))
        .collect();
    drawn.sort();
    edges.sort();
    assert_eq!(drawn, edges);
}
