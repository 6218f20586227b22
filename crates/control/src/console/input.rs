//! What comes from outside: filters, cursors, reasons. Each with a clear refusal.

use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_domain::ids::DeploymentId;
use switchback_domain::moment::Moment;

/// The longest reason that is kept, in characters.
const REASON_LIMIT: usize = 2000;

pub(super) fn invalid(name: &str, value: &str, expected: &str) -> Refusal {
    Refusal::new(
        RefusalKind::Invalid,
        "filter_invalid",
        format!("{name}={value:?} is not {expected}."),
    )
}

pub(super) fn limit(limit: Option<u32>) -> Result<i64, Refusal> {
    match limit.unwrap_or(50) {
        limit @ 1..=200 => Ok(i64::from(limit)),
        other => Err(invalid(
            "limit",
            &other.to_string(),
            "a number from 1 to 200",
        )),
    }
}

pub(super) fn word<T>(
    name: &str,
    value: Option<String>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Refusal> {
    value
        .map(|value| {
            parse(&value).ok_or_else(|| {
                invalid(
                    name,
                    &value,
                    "one of its words (see the API's documentation)",
                )
            })
        })
        .transpose()
}

/// An RFC 3339 time, or a date that means its first moment in UTC.
pub(super) fn moment(name: &str, value: Option<String>) -> Result<Option<Moment>, Refusal> {
    value
        .map(|value| {
            Moment::parse(&value)
                .or_else(|_| Moment::parse(&format!("{value}T00:00:00Z")))
                .map_err(|_| {
                    invalid(
                        name,
                        &value,
                        "a time such as 2026-11-21T10:00:00Z or a date such as 2026-11-21",
                    )
                })
        })
        .transpose()
}

/// A text that filters: an empty one does not.
pub(super) fn text(value: &Option<String>) -> Option<String> {
    value.clone().filter(|value| !value.is_empty())
}

pub(super) fn cursor(value: Option<String>) -> Result<Option<(Moment, DeploymentId)>, Refusal> {
    let place = place(value)?;
    Ok(place.map(|(at, id)| (at, DeploymentId::new(id))))
}

/// A place in a list that is in the order of moments: `MILLISECONDS.IDENTIFIER`.
pub(super) fn place(value: Option<String>) -> Result<Option<(Moment, String)>, Refusal> {
    value
        .map(|value| {
            let parts = value
                .split_once('.')
                .and_then(|(millis, id)| Some((millis.parse::<i64>().ok()?, id)));
            let (millis, id) =
                parts.ok_or_else(|| invalid("cursor", &value, "what next_cursor gave"))?;
            Ok((Moment::from_millis(millis), id.to_string()))
        })
        .transpose()
}

pub(super) fn reason(reason: Option<String>) -> Result<Option<String>, Refusal> {
    let Some(reason) = reason
        .map(|text| text.trim().to_string())
        .filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    if reason.chars().count() > REASON_LIMIT {
        return Err(Refusal::new(
            RefusalKind::Invalid,
            "reason_too_long",
            format!("A reason may have {REASON_LIMIT} characters. Nothing was changed."),
        ));
    }
    Ok(Some(reason))
}
