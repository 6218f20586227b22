//! The watched accounts and regions: which client set a record belongs to, how each one's looks go, and which account
//! gives the lease its name.
//!
//! An account is either that of the process's own credentials, whose number only AWS tells, or one in which a role is
//! assumed, whose number the role's ARN tells. Everything that is kept by account and region in memory is kept by
//! [`key`], and whoever acts on a record asks [`Control::cloud_of`]: nothing of one account ever gets to another's clients.

use crate::Control;
use crate::PACE_AFTER_SECONDS;
use crate::error::StepError;
use crate::lock;
use crate::watch::Looked;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::sync::Arc;
use std::time::Duration;
use switchback_cloud::ANOTHER_ACCOUNT;
use switchback_cloud::Cloud;
use switchback_cloud::CloudError;
use switchback_cloud::WhatToDo;
use switchback_contract::AccountHealth;
use switchback_contract::AccountState;
use switchback_domain::moment::Moment;
use tokio_util::sync::CancellationToken;

/// How long the account of the process's own credentials may take to tell its number before the others go on without.
const OWN_ACCOUNT_PATIENCE: Duration = Duration::from_secs(5);

/// The code of an account and region that two settings name.
const WATCHED_TWICE: &str = "WatchedTwice";

/// How the watching of one account and region goes.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountLook {
    /// The account number; `None` until AWS told that of the process's own credentials.
    pub account: Option<String>,
    /// The ARN of the role that is assumed; `None` for the account of the process's own credentials.
    pub role_arn: Option<String>,
    /// What the settings call the account.
    pub name: Option<String>,
    /// The region.
    pub region: String,
    /// When the last look that ended well ended (the account's clock).
    pub at: Option<Moment>,
    /// How long ago that was, by a clock that only goes forward.
    pub age: Option<Duration>,
    /// What went wrong since: AWS's call, code and text.
    pub trouble: Option<String>,
    /// When that began (the account's clock).
    pub trouble_since: Option<Moment>,
    /// Requests in an hour, at the pace of the last one; `None` in the first ten minutes.
    pub requests_an_hour: Option<f64>,
    /// Whether the queue of events that is told of here answers; `None` where none is read.
    pub queue_answers: Option<bool>,
}

fn requests_an_hour(look: &Looked) -> Option<f64> {
    let calls = &look.calls;
    let requests: u64 = calls.operations.iter().map(|one| one.requests).sum();
    (calls.seconds >= PACE_AFTER_SECONDS).then(|| requests as f64 * 3600.0 / calls.seconds as f64)
}

fn queue_answers(look: &Looked) -> Option<bool> {
    let queue = look.events.queue.as_ref()?;
    Some(queue.trouble.is_none() && queue.answered_at.is_some())
}

/// What the looks at an account and region are kept by: the region, and before it the account where a role is assumed.
pub(crate) fn key(cloud: &dyn Cloud) -> String {
    match cloud.assumed() {
        None => cloud.region().to_string(),
        Some(assumed) => format!("{}/{}", assumed.account, cloud.region()),
    }
}

impl Control {
    /// How the watching goes, for each account and region in the order of the settings.
    pub fn account_looks(&self) -> Vec<AccountLook> {
        let looked = lock(&self.inner.looked);
        self.inner
            .clouds
            .iter()
            .map(|cloud| {
                let look = looked.get(&key(&**cloud));
                let assumed = cloud.assumed();
                AccountLook {
                    account: assumed
                        .map(|assumed| assumed.account.clone())
                        .or_else(|| look?.account.clone()),
                    role_arn: assumed.map(|assumed| assumed.role_arn.clone()),
                    name: assumed.and_then(|assumed| assumed.name.clone()),
                    region: cloud.region().to_string(),
                    at: look.and_then(|look| look.at),
                    age: look.and_then(|look| Some(look.ended?.elapsed())),
                    trouble: look.and_then(|look| look.trouble.clone()),
                    trouble_since: look.and_then(|look| look.trouble_since),
                    requests_an_hour: look.and_then(requests_an_hour),
                    queue_answers: look.and_then(queue_answers),
                }
            })
            .collect()
    }

    /// The same, as pages and the API show it.
    pub(crate) fn account_health(&self) -> Vec<AccountHealth> {
        self.account_looks().into_iter().map(health).collect()
    }

    /// The clients of this account and region; `None` when it is not watched, or AWS has yet to tell which account its
    /// credentials are of. Its clock is the account's then.
    pub(crate) fn cloud_of(&self, account: &str, region: &str) -> Option<Arc<dyn Cloud>> {
        let looked = lock(&self.inner.looked);
        let is_it = |cloud: &&Arc<dyn Cloud>| {
            let heard = looked.get(&key(&***cloud));
            cloud.region() == region
                && heard.and_then(|heard| heard.account.as_deref()) == Some(account)
        };
        self.inner.clouds.iter().find(is_it).cloned()
    }

    /// The number of the account that these clients are of; `None` until AWS told that of the process's own credentials.
    pub(crate) fn number_of(&self, cloud: &dyn Cloud) -> Option<String> {
        match cloud.assumed() {
            Some(assumed) => Some(assumed.account.clone()),
            None => lock(&self.inner.looked).get(&key(cloud))?.account.clone(),
        }
    }

    /// Whether AWS has answered from this account and region.
    pub(crate) fn hears(&self, cloud: &dyn Cloud) -> bool {
        lock(&self.inner.looked)
            .get(&key(cloud))
            .is_some_and(|looked| looked.account.is_some())
    }

    /// The account's number. AWS is asked once, and tells by that that the account can be reached.
    pub(crate) async fn account_of(&self, cloud: &dyn Cloud) -> Result<String, StepError> {
        let known = lock(&self.inner.looked)
            .get(&key(cloud))
            .and_then(|looked| looked.account.clone());
        let account = match known {
            Some(account) => account,
            None => {
                let account = cloud.account().await?;
                lock(&self.inner.looked)
                    .entry(key(cloud))
                    .or_default()
                    .account = Some(account.clone());
                account
            }
        };
        match self.watched_twice(cloud, &account) {
            Some(error) => Err(error.into()),
            None => Ok(account),
        }
    }

    /// That the process's own credentials are of the account in which a role is assumed is known only once AWS has
    /// told; the role gives way then.
    fn watched_twice(&self, cloud: &dyn Cloud, account: &str) -> Option<CloudError> {
        let assumed = cloud.assumed()?;
        let looked = lock(&self.inner.looked);
        let own = looked.get(cloud.region())?;
        let watched = self
            .inner
            .clouds
            .iter()
            .any(|other| other.assumed().is_none() && other.region() == cloud.region());
        (watched && own.account.as_deref() == Some(account)).then(|| CloudError {
            operation: "accounts".to_string(),
            kind: WhatToDo::Never,
            code: WATCHED_TWICE.to_string(),
            message: format!(
                "Switchback's own credentials are of account {account} and watch {} already; {} is not used.",
                cloud.region(),
                assumed.role_arn
            ),
            request_id: None,
        })
    }

    /// Writes down what went wrong with an account, and since when.
    pub(crate) fn note_trouble(&self, cloud: &dyn Cloud, words: String) {
        let now = self.clock();
        let mut looked = lock(&self.inner.looked);
        let looked = looked.entry(key(cloud)).or_default();
        looked.trouble = Some(words);
        looked.trouble_since.get_or_insert(now);
    }

    /// Asks AWS for something cheap, so that the clock that pages and fuses go by is fresh. Failing changes nothing.
    /// Only until one account has answered: no account waits for another's.
    pub async fn refresh_clock(&self) {
        let heard = self.inner.clouds.iter().find(|cloud| self.hears(&***cloud));
        let asked: Vec<&Arc<dyn Cloud>> = match heard {
            Some(cloud) => vec![cloud],
            None => self.inner.clouds.iter().collect(),
        };
        let mut answers: FuturesUnordered<_> = asked
            .into_iter()
            .map(|cloud| self.refresh(&**cloud))
            .collect();
        while let Some(answered) = answers.next().await {
            if answered {
                return;
            }
        }
    }

    /// Asks every account that has not told its number, at once; a process that only waits hears AWS by nothing else.
    pub(crate) async fn hear_accounts(&self) {
        let clouds = self.inner.clouds.iter();
        let asked: FuturesUnordered<_> = clouds.map(|cloud| self.refresh(&**cloud)).collect();
        asked.collect::<Vec<bool>>().await;
    }

    async fn refresh(&self, cloud: &dyn Cloud) -> bool {
        match cloud.account().await {
            Ok(account) => {
                lock(&self.inner.looked)
                    .entry(key(cloud))
                    .or_default()
                    .account = Some(account);
                true
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    aws.account = cloud.assumed().map(|assumed| assumed.account.as_str()),
                    aws.region = cloud.region(),
                    "AWS did not answer when its clock was asked for"
                );
                false
            }
        }
    }

    /// The account that the lease is named after: that of the process's own credentials where it is watched, since it
    /// stays when roles come and go. While it does not answer, the others must not wait for it: then it is the account of
    /// the database's only lease, and on a database that has one server in any case that of the first role. `None` when
    /// told to stop before.
    pub(crate) async fn learn_account(&self, stop: &CancellationToken) -> Option<String> {
        let first_role = self
            .inner
            .clouds
            .iter()
            .find_map(|cloud| cloud.assumed())
            .map(|assumed| assumed.account.clone());
        while !stop.is_cancelled() {
            let own = tokio::select! {
                () = stop.cancelled() => return None,
                own = tokio::time::timeout(OWN_ACCOUNT_PATIENCE, self.own_account()) => own,
            };
            if let Ok(Some(account)) = own {
                return Some(account);
            }
            if let Some(role) = &first_role {
                let has_own = self
                    .inner
                    .clouds
                    .iter()
                    .any(|cloud| cloud.assumed().is_none());
                if !has_own || !self.inner.store.is_shared() {
                    return Some(role.clone());
                }
                match self.inner.store.lease_names().await.as_deref() {
                    Ok([only]) => {
                        if let Some(account) = only.strip_prefix(crate::leading::LEASE_PREFIX) {
                            return Some(account.to_string());
                        }
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(
                        error = error as &dyn std::error::Error,
                        "the leases could not be read"
                    ),
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.inner.settings.poll_active) => {}
            }
        }
        None
    }

    /// The account of the process's own credentials, from whichever region tells first.
    async fn own_account(&self) -> Option<String> {
        let own = self.inner.clouds.iter();
        let own = own.filter(|cloud| cloud.assumed().is_none());
        let mut answers: FuturesUnordered<_> = own
            .map(|cloud| async move { (cloud, self.account_of(&**cloud).await) })
            .collect();
        while let Some((cloud, answer)) = answers.next().await {
            match answer {
                Ok(account) => return Some(account),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        aws.region = cloud.region(),
                        "AWS does not tell which account this is"
                    );
                    self.note_trouble(&**cloud, error.words());
                }
            }
        }
        None
    }
}

pub(crate) fn health(look: AccountLook) -> AccountHealth {
    let state = match (&look.trouble, look.at) {
        (None, None) => AccountState::NotYetHeard,
        (None, Some(_)) => AccountState::Watched,
        (Some(trouble), _) if is_unreached(trouble) => AccountState::Unreachable,
        (Some(_), _) => AccountState::PartlyRead,
    };
    AccountHealth {
        what_to_do: look
            .trouble
            .as_deref()
            .map(|trouble| advice(trouble, look.role_arn.as_deref())),
        account: look.account,
        name: look.name,
        role_arn: look.role_arn,
        region: look.region,
        state,
        last_look_at: look.at,
        trouble: look.trouble,
        trouble_since: look.trouble_since,
    }
}

/// The operation and the code in `sts:AssumeRole: AccessDenied: …`.
fn operation_and_code(trouble: &str) -> (&str, &str) {
    let mut parts = trouble.split(": ");
    (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    )
}

fn is_unreached(trouble: &str) -> bool {
    let (operation, code) = operation_and_code(trouble);
    let error = CloudError {
        operation: operation.to_string(),
        kind: WhatToDo::Retry,
        code: code.to_string(),
        message: String::new(),
        request_id: None,
    };
    error.is_about_the_account() || code == WATCHED_TWICE
}

/// What to do about the trouble, by AWS's call and code.
fn advice(trouble: &str, role_arn: Option<&str>) -> String {
    let (operation, code) = operation_and_code(trouble);
    let role = role_arn.unwrap_or("the role");
    match code {
        WATCHED_TWICE => "Remove this region from the entry in the accounts of the settings, or the whole entry.".to_string(),
        ANOTHER_ACCOUNT => "Something between Switchback and AWS gives out credentials of another account. Correct role_arn, or the endpoint and profile of the environment.".to_string(),
        _ if operation == switchback_cloud::ASSUME_ROLE && code.starts_with("AccessDenied") => format!(
            "Let Switchback's own role call sts:AssumeRole on {role} (docs/iam/assume-role.json), and let that role's trust policy name it and the external id of the settings (docs/iam/assume-role-trust.json)."
        ),
        _ if operation == switchback_cloud::ASSUME_ROLE && code == "RegionDisabledException" => {
            "AWS STS is not active in this region for Switchback's own account: activate it there, or take the region out of the settings.".to_string()
        }
        "ExpiredToken" | "ExpiredTokenException" | "InvalidClientTokenId"
        | "UnrecognizedClientException" | "InvalidSignatureException" | "SignatureDoesNotMatch" => {
            "Renew the credentials that Switchback was started with; it takes them as every AWS SDK does.".to_string()
        }
        "NoConnection" | "NoAnswer" => {
            "Check the network between Switchback and AWS in this region (endpoints, proxies, security groups) and that there are credentials at all; switchback doctor asks every account. It goes on by itself.".to_string()
        }
        _ if code.contains("Throttl") || code == "RequestLimitExceeded" || code == "TooManyRequestsException" => {
            "Nothing: AWS has had enough calls for the moment, and Switchback asks again more slowly.".to_string()
        }
        switchback_cloud::NOT_OFFERED | "NotImplemented" | "UnknownOperationException" | "InvalidAction" => format!(
            "What answers in this account's place does not offer {operation}: an emulator, or a region that does not have it yet. What needs it is missing here; everything else goes on."
        ),
        _ if code.contains("AccessDenied") || code == "UnauthorizedOperation" => format!(
            "Allow {operation} to the role that Switchback has in this account (docs/iam/read-only.json)."
        ),
        _ => format!(
            "Everything that does not need {operation} goes on; it is asked again by itself."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(trouble: Option<&str>, at: Option<i64>) -> AccountHealth {
        health(AccountLook {
            account: Some("210987654321".to_string()),
            role_arn: Some("arn:aws:iam::210987654321:role/switchback".to_string()),
            name: None,
            region: "eu-central-1".to_string(),
            at: at.map(Moment::from_millis),
            age: None,
            trouble: trouble.map(str::to_string),
            trouble_since: trouble.map(|_| Moment::from_millis(0)),
            requests_an_hour: None,
            queue_answers: None,
        })
    }

    #[test]
    fn how_an_account_is_and_what_to_do() {
        let table = [
            (None, None, AccountState::NotYetHeard, None),
            (None, Some(1), AccountState::Watched, None),
            (
                Some("sts:AssumeRole: AccessDenied: User: x is not authorized"),
                Some(1),
                AccountState::Unreachable,
                Some("docs/iam/assume-role-trust.json"),
            ),
            (
                Some("ecs:ListClusters: AccessDeniedException: no"),
                Some(1),
                AccountState::PartlyRead,
                Some("Allow ecs:ListClusters"),
            ),
            (
                Some("codedeploy:ListDeployments: ThrottlingException: Rate exceeded"),
                None,
                AccountState::PartlyRead,
                Some("more slowly"),
            ),
            (
                Some("sts:GetCallerIdentity: ExpiredToken: expired"),
                None,
                AccountState::Unreachable,
                Some("Renew the credentials"),
            ),
            (
                Some("sts:AssumeRole: NoConnection: dispatch failure"),
                None,
                AccountState::Unreachable,
                Some("Check the network"),
            ),
            (
                Some("ecs:ListServiceDeployments: NotOffered: HTTP 500, in none of AWS's forms."),
                None,
                AccountState::PartlyRead,
                Some("does not offer ecs:ListServiceDeployments"),
            ),
            (
                Some("accounts: WatchedTwice: x"),
                None,
                AccountState::Unreachable,
                Some("Remove this region"),
            ),
        ];
        for (trouble, at, state, part) in table {
            let health = look(trouble, at);
            assert_eq!(health.state, state, "{trouble:?}");
            assert_eq!(health.what_to_do.is_some(), part.is_some(), "{trouble:?}");
            if let (Some(said), Some(part)) = (health.what_to_do, part) {
                assert!(said.contains(part), "{trouble:?}: {said}");
            }
        }
    }
}
