//! The only way to wait: for a condition, with a bound, and with the last thing seen when it fails.

use std::time::Duration;
use std::time::Instant;

/// How long a look that found nothing rests before the next.
const PAUSE: Duration = Duration::from_millis(40);

/// The usual bound for something that the product does at once, generous for a loaded machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Looks until `look` gives something, at most `bound` of wall time. `look` says what it saw instead.
pub async fn until<T>(
    what: &str,
    bound: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let begun = Instant::now();
    let mut seen = "nothing yet".to_string();
    loop {
        let left = bound.saturating_sub(begun.elapsed());
        match tokio::time::timeout(left.max(Duration::from_secs(1)), look()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(instead)) => seen = instead,
            Err(_) => seen = format!("no answer in time; before that: {seen}"),
        }
        assert!(
            begun.elapsed() < bound,
            "waited {:.1} s for: {what}\nlast seen: {seen}",
            bound.as_secs_f64()
        );
        tokio::time::sleep(PAUSE).await;
    }
}
