//! What is recorded and what is not: the import's progress, where the record begins, and when nobody looked.

use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::words;
use leptos::prelude::*;
use switchback_contract::DeploymentView;
use switchback_contract::FirstSeen;
use switchback_contract::GapCause;
use switchback_contract::GapView;
use switchback_contract::ImportPart;
use switchback_contract::ImportState;
use switchback_contract::ImportView;
use switchback_contract::Moment;
use switchback_contract::PreviousUnknown;
use switchback_contract::RegionCoverage;
use switchback_contract::duration_words;

/// The imports that are under way, each with its progress; nothing when all are complete.
pub fn imports(regions: &[RegionCoverage]) -> AnyView {
    let of_several = regions
        .iter()
        .any(|region| region.account != regions[0].account);
    let under_way: Vec<AnyView> = regions
        .iter()
        .filter_map(|region| {
            let import = region.import.as_ref()?;
            let waits = !import.unlisted.is_empty() && import.trouble.is_some();
            (import.state != ImportState::Complete || waits)
                .then(|| progress(region, of_several, import))
        })
        .collect();
    if under_way.is_empty() {
        return ().into_any();
    }
    view! { <div class="imports">{under_way}</div> }.into_any()
}

fn progress(region: &RegionCoverage, of_several: bool, import: &ImportView) -> AnyView {
    let id = format!("import-{}-{}", region.account, region.region);
    let region = &place_words(&region.account, &region.region, of_several);
    let bar = match import.state {
        // How many there are is not known before the list ends.
        ImportState::Listing => view! { <progress id=id.clone()></progress> }.into_any(),
        ImportState::Complete => ().into_any(),
        ImportState::Reading => bar(&id, import.settled, import.listed),
        ImportState::ReadingDefinitions => {
            bar(&id, import.definitions_settled, import.definitions_listed)
        }
    };
    let trouble = import.trouble.clone().map(|trouble| {
        view! { <span class="state wait">{icon(Shape::Warning)} <span>{format!("Held up, goes on by itself: {trouble}")}</span></span> }
    });
    let what = progress_words(region, import);
    let what = match import.state {
        ImportState::Complete => view! { <span>{what}</span> }.into_any(),
        _ => view! { <label for=id>{what}</label> }.into_any(),
    };
    view! { <p class="import">{what}{bar}{trouble}</p> }.into_any()
}

/// `eu-central-1`, or where several accounts are watched `eu-central-1 of 123456789012`.
fn place_words(account: &str, region: &str, of_several: bool) -> String {
    match of_several {
        false => region.to_string(),
        true => format!("{region} of {account}"),
    }
}

fn bar(id: &str, value: i64, max: i64) -> AnyView {
    view! { <progress id=id.to_string() value=value.to_string() max=max.max(1).to_string()></progress> }
        .into_any()
}

/// `Taking in the history of eu-central-1: 120 of 338 deployments`
fn progress_words(region: &str, import: &ImportView) -> String {
    match import.state {
        ImportState::Listing => format!(
            "Listing the history of {region}: {} deployments so far",
            words::whole(import.listed)
        ),
        ImportState::Reading => format!(
            "Taking in the history of {region}: {} of {} deployments",
            words::whole(import.settled),
            words::whole(import.listed)
        ),
        ImportState::ReadingDefinitions => format!(
            "Taking in the task definitions of {region}: {} of {}",
            words::whole(import.definitions_settled),
            words::whole(import.definitions_listed)
        ),
        ImportState::Complete => {
            let left = import.unlisted.iter().map(|part| match part {
                ImportPart::Codedeploy => "CodeDeploy's past",
                ImportPart::Ecs => "the past of services that ECS deploys itself",
            });
            let left: Vec<&str> = left.collect();
            match left.is_empty() {
                true => format!("The history of {region} is taken in"),
                false => format!(
                    "The history of {region} is taken in, but for {}",
                    left.join(" and ")
                ),
            }
        }
    }
}

/// Whether anything is still being read.
pub fn is_importing(regions: &[RegionCoverage]) -> bool {
    regions.iter().any(|region| {
        region
            .import
            .as_ref()
            .is_some_and(|import| import.state != ImportState::Complete)
    })
}

/// `watching since 12 Nov 14:02, record begins 21 Oct 09:00`, over all regions: the watch that began last, the record
/// that begins first.
pub fn since_words(regions: &[RegionCoverage]) -> Option<String> {
    let watched = regions
        .iter()
        .filter_map(|region| region.watched_since)
        .max()?;
    let begins = regions
        .iter()
        .filter_map(|region| region.record_begins_at)
        .min();
    let minute = |at: Moment| format!("{} {}", short_date(at), at.clock_minute());
    Some(match begins.filter(|begins| *begins < watched) {
        Some(begins) => format!(
            "watching since {}, record begins {}",
            minute(watched),
            minute(begins)
        ),
        None => format!("watching since {}", minute(watched)),
    })
}

/// `12 Nov`
fn short_date(at: Moment) -> String {
    let text = at.date_and_time();
    match text.rsplit_once(' ') {
        Some((date, _)) => date.to_string(),
        None => text,
    }
}

/// `Switchback did not look at eu-central-1 from … to …: 2 deployments were seen afterwards.`
pub fn gap_words(gap: &GapView, of_several: bool) -> String {
    let why = match gap.cause {
        GapCause::NotRunning => "no server ran".to_string(),
        GapCause::LookFailed => match &gap.detail {
            Some(detail) => format!("looks failed ({detail})"),
            None => "looks failed".to_string(),
        },
    };
    let seen = match gap.seen_late {
        0 => "no deployment was found afterwards that began in it".to_string(),
        1 => "1 deployment was seen afterwards".to_string(),
        count => format!("{} deployments were seen afterwards", words::whole(count)),
    };
    format!(
        "Switchback did not look at {} from {} to {} ({}): {why}; {seen}.",
        place_words(&gap.account, &gap.region, of_several),
        gap.from.date_and_time(),
        gap.to.date_and_time(),
        duration_words(gap.to.millis_since(gap.from)),
    )
}

/// `The record of eu-central-1 begins here: …`
pub fn beginning_words(region: &RegionCoverage, of_several: bool) -> String {
    let place = place_words(&region.account, &region.region, of_several);
    let still = match &region.import {
        Some(import) if import.state != ImportState::Complete => " It is still being read.",
        Some(import) if !import.unlisted.is_empty() => {
            " A part of it could not be read from AWS yet."
        }
        Some(_) | None => "",
    };
    match region.watched_since {
        Some(since) => format!(
            "The record of {place} begins here. This is the first deployment that AWS still listed; before {} nobody watched, and what served before each deployment is derived.{still}",
            since.date_and_time()
        ),
        None => format!("The record of {place} begins here.{still}"),
    }
}

/// How a deployment came into the record, in a word; nothing for what was seen as it happened.
pub fn sight_word(deployment: &DeploymentView) -> Option<&'static str> {
    match deployment.first_seen? {
        FirstSeen::AsItHappened => None,
        FirstSeen::SeenLate => Some("seen late"),
        FirstSeen::Imported => Some("imported"),
    }
}

/// The same in a sentence.
pub fn sight_words(deployment: &DeploymentView) -> Option<&'static str> {
    match deployment.first_seen? {
        FirstSeen::AsItHappened => None,
        FirstSeen::SeenLate => Some("Seen late: it began while Switchback did not look."),
        FirstSeen::Imported => Some("Imported: it began before Switchback watched."),
    }
}

/// What the previous revision was read from, or why it is not known.
pub fn previous_words(deployment: &DeploymentView) -> Option<String> {
    if let Some(why) = deployment.previous_unknown_because {
        let why = match why {
            PreviousUnknown::NothingEarlier => {
                "AWS lists no earlier deployment that kept its traffic"
            }
            PreviousUnknown::EarlierUnreadable => {
                "AWS no longer tells what the deployment before it brought"
            }
            PreviousUnknown::EarlierForgotten => {
                "AWS forgot a deployment between this one and the one before it"
            }
            PreviousUnknown::UndoneForgotten => "AWS no longer knows the deployment that it undoes",
        };
        return Some(format!("unknown: {why}"));
    }
    let from = match deployment.previous_revision_from.as_deref()? {
        "task_set" => "seen as task set",
        "earlier_deployment" => "target of the deployment before",
        "observed_serving" => "seen serving",
        "stopped_task" => "from a stopped task",
        "previous_revision" if deployment.controller == "ecs" => "as ECS says",
        "previous_revision" => "as CodeDeploy says",
        other => other,
    };
    Some(match sight_word(deployment) {
        Some(_) => format!("derived: {from}"),
        None => from.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(state: ImportState) -> ImportView {
        ImportView {
            state,
            listed: 338,
            settled: 120,
            forgotten: 0,
            not_watched: 0,
            definitions_listed: 9,
            definitions_settled: 4,
            unlisted: Vec::new(),
            trouble: None,
            began_at: Moment::from_millis(0),
            completed_at: None,
        }
    }

    #[test]
    fn progress_is_said_in_words() {
        for (state, words) in [
            (
                ImportState::Listing,
                "Listing the history of eu-central-1: 338 deployments so far",
            ),
            (
                ImportState::Reading,
                "Taking in the history of eu-central-1: 120 of 338 deployments",
            ),
            (
                ImportState::ReadingDefinitions,
                "Taking in the task definitions of eu-central-1: 4 of 9",
            ),
        ] {
            assert_eq!(progress_words("eu-central-1", &import(state)), words);
        }
        let left = ImportView {
            unlisted: vec![ImportPart::Ecs],
            ..import(ImportState::Complete)
        };
        assert_eq!(
            progress_words("eu-central-1", &left),
            "The history of eu-central-1 is taken in, but for the past of services that ECS deploys itself"
        );
    }

    #[test]
    fn a_gap_says_from_when_to_when_and_why() {
        let gap = GapView {
            account: "123456789012".to_string(),
            region: "eu-central-1".to_string(),
            from: Moment::from_millis(0),
            to: Moment::from_millis(600_000),
            cause: GapCause::NotRunning,
            detail: None,
            seen_late: 2,
        };
        assert_eq!(
            gap_words(&gap, false),
            "Switchback did not look at eu-central-1 from 1 Jan 00:00:00 to 1 Jan 00:10:00 (10 m 00 s): \
             no server ran; 2 deployments were seen afterwards."
        );
    }
}
