//! How the watching of each account and region goes.

use crate::Moment;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// How it stands with one account and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// No look has ended yet.
    NotYetHeard,
    /// The last look ended well.
    Watched,
    /// The account answers, but not everything that was asked at the last look.
    PartlyRead,
    /// The account does not answer at all.
    Unreachable,
}

impl AccountState {
    /// The word in the API.
    pub const fn word(self) -> &'static str {
        match self {
            AccountState::NotYetHeard => "not_yet_heard",
            AccountState::Watched => "watched",
            AccountState::PartlyRead => "partly_read",
            AccountState::Unreachable => "unreachable",
        }
    }
}

/// One account and region that the settings name, as in the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountHealth {
    /// The account number; `None` until AWS has told that of Switchback's own credentials.
    pub account: Option<String>,
    /// What the settings call it.
    pub name: Option<String>,
    /// The ARN of the role that is assumed; `None` for the account of Switchback's own credentials.
    pub role_arn: Option<String>,
    /// The region.
    pub region: String,
    /// How it stands.
    pub state: AccountState,
    /// When the last look that ended well ended (the account's clock); `None` before the first.
    pub last_look_at: Option<Moment>,
    /// What went wrong since: AWS's call, code and text.
    pub trouble: Option<String>,
    /// When that began (the account's clock).
    pub trouble_since: Option<Moment>,
    /// What to do about it, in a sentence.
    pub what_to_do: Option<String>,
}

impl AccountHealth {
    /// What people call the account: its name, else its number; `None` before AWS has told it.
    pub fn called(&self) -> Option<&str> {
        self.name.as_deref().or(self.account.as_deref())
    }
}

/// The names of accounts, when more than one is watched; with one, no page speaks of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountNames(pub Vec<(String, Option<String>)>);

impl AccountNames {
    /// Of the accounts that these are of; each once, in their order.
    pub fn of(accounts: &[AccountHealth]) -> AccountNames {
        let mut names: Vec<(String, Option<String>)> = Vec::new();
        for health in accounts {
            if let Some(account) = &health.account
                && !names.iter().any(|(known, _)| known == account)
            {
                names.push((account.clone(), health.name.clone()));
            }
        }
        AccountNames(names)
    }

    /// Whether there is anything to tell apart.
    pub fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    /// What this account is called on a page; `None` where only one is watched.
    pub fn shown<'a>(&'a self, account: &'a str) -> Option<&'a str> {
        if !self.are_several() {
            return None;
        }
        let known = self.0.iter().find(|(known, _)| known == account);
        Some(
            known
                .and_then(|(_, name)| name.as_deref())
                .unwrap_or(account),
        )
    }
}
