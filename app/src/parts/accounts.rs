//! Several accounts: what each is called, how the watching of each goes, and choosing one of them.

use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::small::time;
use leptos::prelude::*;
use switchback_contract::AccountHealth;
use switchback_contract::AccountNames;
use switchback_contract::AccountState;

/// `prod`, or where several accounts are watched `prod · staging`.
pub fn place(cluster: &str, account_name: Option<&str>) -> String {
    match account_name {
        None => cluster.to_string(),
        Some(account) => format!("{cluster} · {account}"),
    }
}

/// `staging (210987654321) eu-central-1`; of the only account its region alone.
fn called(health: &AccountHealth, of_several: bool) -> String {
    let account = match (&health.name, &health.account) {
        _ if !of_several => return health.region.clone(),
        (Some(name), Some(account)) => format!("{name} ({account})"),
        (Some(name), None) => name.clone(),
        (None, Some(account)) => account.clone(),
        (None, None) => "Switchback's own account".to_string(),
    };
    format!("{account} {}", health.region)
}

const fn state_words(state: AccountState) -> &'static str {
    match state {
        AccountState::NotYetHeard => "has yet to answer",
        AccountState::Watched => "is watched",
        AccountState::PartlyRead => "does not tell everything",
        AccountState::Unreachable => "cannot be reached",
    }
}

/// Whether there is more than one account to tell apart, heard of or not.
fn are_several(health: &[AccountHealth]) -> bool {
    health.iter().any(|health| health.role_arn.is_some()) && health.len() > 1
}

/// Every account and region that does not answer as it should: since when, in AWS's own words, and what to do. Nothing
/// when all do.
pub fn account_troubles(health: &[AccountHealth]) -> AnyView {
    let of_several = are_several(health);
    let troubles: Vec<AnyView> = health
        .iter()
        .filter_map(|health| Some((health, health.trouble.clone()?)))
        .map(|(health, trouble)| {
            let who = called(health, of_several);
            let since = health.trouble_since.map(|since| {
                view! { " since "{time(since, format!("{} UTC", since.date_and_time()))} }
            });
            let last = match health.last_look_at {
                Some(at) => format!(" Everything was last read {} UTC.", at.date_and_time()),
                None => " Not everything has been read yet.".to_string(),
            };
            view! {
                <li>
                    <span class="state wait">{icon(Shape::Warning)} <strong>{who}" "{state_words(health.state)}</strong></span>
                    {since}": "<span class="aws-words">{trouble}</span>
                    <span class="second">{health.what_to_do.clone()}{last}</span>
                </li>
            }
            .into_any()
        })
        .collect();
    if troubles.is_empty() {
        return ().into_any();
    }
    view! { <ul class="account-troubles" aria-label="Accounts that need attention">{troubles}</ul> }
        .into_any()
}

/// The choice of one account, in a form of filters; nothing where only one is watched.
pub fn account_select(accounts: &AccountNames, chosen: Option<&str>) -> AnyView {
    // A link may name an account that is no longer watched: its record is still there.
    let is_unknown =
        chosen.is_some_and(|chosen| !accounts.0.iter().any(|(account, _)| account == chosen));
    if !accounts.are_several() && !is_unknown {
        return match chosen {
            Some(chosen) => {
                view! { <input type="hidden" name="account" value=chosen.to_string()/> }.into_any()
            }
            None => ().into_any(),
        };
    }
    let other = chosen
        .filter(|_| is_unknown)
        .map(|chosen| (chosen.to_string(), None));
    let options = accounts
        .0
        .iter()
        .cloned()
        .chain(other)
        .map(|(account, name)| {
            let words = name.unwrap_or_else(|| account.clone());
            let selected = chosen == Some(account.as_str());
            view! { <option value=account selected=selected>{words}</option> }
        })
        .collect_view();
    view! { <label><span>"Account"</span><select name="account"><option value="">"Any"</option>{options}</select></label> }
        .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_called_by_its_name_where_there_are_several() {
        let mut health = AccountHealth {
            account: Some("210987654321".to_string()),
            name: Some("staging".to_string()),
            role_arn: Some("arn:aws:iam::210987654321:role/x".to_string()),
            region: "eu-central-1".to_string(),
            state: AccountState::Watched,
            last_look_at: None,
            trouble: None,
            trouble_since: None,
            what_to_do: None,
        };
        assert_eq!(called(&health, false), "eu-central-1");
        assert_eq!(called(&health, true), "staging (210987654321) eu-central-1");
        health.name = None;
        assert_eq!(called(&health, true), "210987654321 eu-central-1");
        health.account = None;
        assert_eq!(
            called(&health, true),
            "Switchback's own account eu-central-1"
        );
        assert!(!are_several(&[health.clone()]));
        assert!(are_several(&[health.clone(), health]));
    }

    #[test]
    fn the_account_stands_beside_the_cluster_where_there_are_several() {
        assert_eq!(place("prod", None), "prod");
        assert_eq!(place("prod", Some("staging")), "prod · staging");
    }
}
