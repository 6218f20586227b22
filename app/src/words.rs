//! How things are written on pages: identifiers, numbers, shares, times. Pure functions of their arguments.

use switchback_contract::DeploymentView;
use switchback_contract::Moment;
use switchback_contract::Outcome;
use switchback_contract::OutcomeCause;
use switchback_contract::Phase;

/// What is shown where there is no value.
pub const NONE: &str = "—";

/// A space that is narrow and never breaks: between the thousands of a number.
const THIN_SPACE: char = '\u{202f}';

/// `checkout-api:128` of a task definition ARN.
pub fn revision_name(arn: &str) -> String {
    arn.rsplit('/').next().unwrap_or(arn).to_string()
}

/// `:128` of a task definition ARN; a revision's number is never cut.
pub fn revision_number(arn: &str) -> String {
    match revision_name(arn).rsplit_once(':') {
        Some((_, number)) => format!(":{number}"),
        None => revision_name(arn),
    }
}

/// `…/prod-eu/checkout-api/mK3v…Qp8` of a long ARN; a short id as it is.
pub fn short_identifier(text: &str) -> String {
    if !text.starts_with("arn:") {
        return ends(text, 24, 8, 4);
    }
    let mut parts: Vec<String> = text.split('/').skip(1).map(str::to_string).collect();
    if let Some(last) = parts.last_mut() {
        *last = ends(last, 12, 4, 3);
    }
    format!("…/{}", parts.join("/"))
}

/// `sha256:4be1…77b0`
pub fn short_digest(text: &str) -> String {
    match text.split_once(':') {
        Some((algorithm, digits)) => format!("{algorithm}:{}", ends(digits, 12, 4, 4)),
        None => ends(text, 12, 4, 4),
    }
}

/// `7f3a·c21e`: how people compare two evidence or plan digests.
pub fn digest_words(digest: &str) -> String {
    match (digest.get(..4), digest.get(4..8)) {
        (Some(head), Some(tail)) => format!("{head}·{tail}"),
        _ => digest.to_string(),
    }
}

/// Head and tail of a text longer than `longest` characters.
fn ends(text: &str, longest: usize, head: usize, tail: usize) -> String {
    let count = text.chars().count();
    if count <= longest {
        return text.to_string();
    }
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(count - tail).collect();
    format!("{start}…{end}")
}

/// A whole number with narrow spaces between the thousands: `1 004 312`.
pub fn whole(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    if number < 0 {
        text.push('−');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(THIN_SPACE);
        }
        text.push(digit);
    }
    text
}

/// A number with `decimals` places and narrow spaces between the thousands.
pub fn decimal(number: f64, decimals: usize) -> String {
    let text = format!("{:.*}", decimals, number.abs());
    let (before, after) = text.split_once('.').unwrap_or((&text, ""));
    let sign = if number < 0.0 && text.chars().any(|c| c.is_ascii_digit() && c != '0') {
        "−"
    } else {
        ""
    };
    let before = before
        .parse::<i64>()
        .map_or_else(|_| before.to_string(), whole);
    if after.is_empty() {
        format!("{sign}{before}")
    } else {
        format!("{sign}{before}.{after}")
    }
}

/// A number that may be missing.
pub fn decimal_or_none(number: Option<f64>, decimals: usize) -> String {
    number.map_or_else(|| NONE.to_string(), |number| decimal(number, decimals))
}

/// A share from 0 to 1 in per cent: `40 %`.
pub fn percent(share: f64) -> String {
    format!("{}\u{a0}%", decimal(share * 100.0, 0))
}

/// `1 deployment`, `3 deployments`
pub fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{} {many}", whole(i64::try_from(count).unwrap_or(i64::MAX)))
    }
}

/// How long ago or for how long, rounded down to one unit: `38 s`, `33 min`, `5 h`, `3 d`.
pub fn rough_duration(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// What a fuse shows: `8:12`, `1:05:20`, `3 d 04 h`.
pub fn countdown(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600, seconds / 60);
    if days > 0 {
        format!("{days} d {:02} h", hours % 24)
    } else if hours > 0 {
        format!("{hours}:{:02}:{:02}", minutes % 60, seconds % 60)
    } else {
        format!("{minutes}:{:02}", seconds % 60)
    }
}

/// `14:31:40` today, `18 Nov 14:31:40` on another day; UTC is said by the context.
pub fn time_beside(now: Moment, at: Moment) -> String {
    if at.calendar_date() == now.calendar_date() {
        at.clock_time()
    } else {
        at.date_and_time()
    }
}

/// What a time tells when it is asked: UTC, how long ago, and `here`, the same in the reader's zone.
pub fn time_in_full(at: Moment, now: Option<Moment>, here: &str) -> String {
    let utc = format!("{}, {} UTC", at.calendar_date(), at.clock_time());
    let ago = now.map(|now| match now.millis_since(at) {
        ahead if ahead < 0 => format!("in {}", rough_duration(-ahead)),
        past => format!("{} ago", rough_duration(past)),
    });
    match ago {
        Some(ago) => format!("{utc}\n{ago}\nhere: {here}"),
        None => format!("{utc}\nhere: {here}"),
    }
}

/// A word of the contract in a sentence: `rolled_back` becomes `rolled back`.
pub fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

/// The text with its first letter in upper case.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// `checkout-api · :129` and the like are built by callers; this is the phase or outcome as words.
pub fn state_words(deployment: &DeploymentView) -> String {
    let cause = cause_words(deployment);
    let because = |word: &str| match &cause {
        Some(cause) => format!("{word}: {cause}"),
        None => word.to_string(),
    };
    match deployment.outcome {
        Outcome::InProgress => running_words(deployment, cause.is_some()),
        Outcome::Succeeded if deployment.rolled_back_by.is_some() => {
            "Succeeded, later rolled back".to_string()
        }
        Outcome::Succeeded if deployment.rollback_of.is_some() => "Succeeded, rollback".to_string(),
        Outcome::Succeeded => "Succeeded".to_string(),
        Outcome::Failed => because("Failed"),
        Outcome::Stopped => because("Stopped"),
        Outcome::RolledBack => because("Rolled back"),
        Outcome::RollbackFailed => because("Rollback failed"),
        Outcome::Superseded => "Superseded".to_string(),
        Outcome::Unknown => match &deployment.outcome_detail {
            Some(detail) => format!("Unknown: {detail}"),
            None => "Unknown: AWS no longer tells".to_string(),
        },
    }
}

fn running_words(deployment: &DeploymentView, is_being_undone: bool) -> String {
    match deployment.phase {
        Some(Phase::Preparing) => "Preparing".to_string(),
        Some(Phase::Testing) => "Testing".to_string(),
        Some(Phase::Holding) => "Holding".to_string(),
        Some(Phase::Shifting) => match deployment.share_new {
            Some(share) => format!("Shifting {}", percent(share)),
            None => "Shifting".to_string(),
        },
        Some(Phase::Baking) => "Baking".to_string(),
        Some(Phase::CleaningUp) if is_being_undone || deployment.rollback_of.is_some() => {
            "Rolling back".to_string()
        }
        Some(Phase::CleaningUp) => "Cleaning up".to_string(),
        None => "In progress".to_string(),
    }
}

/// The cause in words, with the alarm's name when AWS gave one.
fn cause_words(deployment: &DeploymentView) -> Option<String> {
    let cause = deployment.outcome_cause?;
    let name = deployment.outcome_detail.as_deref().filter(|detail| {
        cause == OutcomeCause::Alarm && !detail.contains(' ') && detail.len() <= 60
    });
    Some(match name {
        Some(name) => format!("alarm {name}"),
        None => spaced(cause.word()),
    })
}

/// Text for the query of a link, percent-encoded.
pub fn escaped(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// `path?a=1&b=2` of the pairs that have a value.
pub fn link(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let query: Vec<String> = pairs
        .iter()
        .filter_map(|(name, value)| {
            value
                .filter(|value| !value.is_empty())
                .map(|value| (name, value))
        })
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    if query.is_empty() {
        path.to_string()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_keep_head_and_tail() {
        let arn = "arn:aws:ecs:eu-central-1:123456789012:task-definition/checkout-api:128";
        assert_eq!(revision_name(arn), "checkout-api:128");
        assert_eq!(revision_number(arn), ":128");
        assert_eq!(short_identifier("d-8HK2V9QXF"), "d-8HK2V9QXF");
        assert_eq!(
            short_identifier(
                "arn:aws:ecs:eu-central-1:123456789012:service-deployment/prod-eu/checkout-api/mK3vAAAAAAAAAQp8"
            ),
            "…/prod-eu/checkout-api/mK3v…Qp8"
        );
        assert_eq!(
            short_digest("sha256:4be1aaaaaaaaaaaa77b0"),
            "sha256:4be1…77b0"
        );
        assert_eq!(digest_words("7f3ac21e99"), "7f3a·c21e");
    }

    #[test]
    fn numbers_have_thin_thousands_and_a_true_minus() {
        assert_eq!(whole(1_004_312), "1\u{202f}004\u{202f}312");
        assert_eq!(whole(-1200), "−1\u{202f}200");
        assert_eq!(whole(999), "999");
        assert_eq!(decimal(-0.004, 2), "0.00");
        assert_eq!(decimal(-0.04, 2), "−0.04");
        assert_eq!(decimal(1920.4, 0), "1\u{202f}920");
        assert_eq!(percent(0.4), "40\u{a0}%");
        assert_eq!(decimal_or_none(None, 1), NONE);
    }

    #[test]
    fn a_countdown_changes_its_form_with_its_length() {
        for (seconds, words) in [
            (492, "8:12"),
            (2620, "43:40"),
            (3920, "1:05:20"),
            (273_600, "3 d 04 h"),
            (-4, "0:00"),
        ] {
            assert_eq!(countdown(seconds * 1000), words);
        }
    }

    #[test]
    fn a_time_tells_utc_first_and_how_long_ago_after() {
        let at = Moment::from_millis(1_795_000_000_000);
        let utc = format!("{}, {} UTC", at.calendar_date(), at.clock_time());
        let here = "14:00 GMT+0100";
        assert_eq!(
            time_in_full(at, Some(at.plus_seconds(180)), here),
            format!("{utc}\n3 min ago\nhere: {here}")
        );
        assert_eq!(
            time_in_full(at, Some(at.plus_seconds(-7200)), here),
            format!("{utc}\nin 2 h\nhere: {here}")
        );
        assert_eq!(time_in_full(at, None, here), format!("{utc}\nhere: {here}"));
    }

    #[test]
    fn links_escape_their_values_and_leave_out_what_is_empty() {
        assert_eq!(
            link(
                "/history",
                &[("q", Some("a b&c")), ("service", None), ("actor", Some(""))]
            ),
            "/history?q=a%20b%26c"
        );
        assert_eq!(link("/history", &[("q", None)]), "/history");
    }
}
