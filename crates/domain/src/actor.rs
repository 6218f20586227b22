//! Who asks, and what that actor may do. The one decision function of Switchback.

use serde::Deserialize;
use serde::Serialize;

/// A role bundles verbs. Roles are given to people and tokens by an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees everything but the values of environment variables.
    Viewer,
    /// Also decides at gates.
    Approver,
    /// Also rolls back and starts deployments.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role, weakest first.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Approver, Role::Operator, Role::Admin];

    /// The word used in the store, the API and on pages.
    pub const fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Approver => "approver",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// The role with this word.
    pub fn parse(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// What may be asked of Switchback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// See services, deployments, gates, metrics and the audit log.
    View,
    /// See the values of environment variables in task definitions.
    ViewEnvironment,
    /// Decide at a gate.
    Approve,
    /// Plan and carry out a rollback.
    RollBack,
    /// Start a deployment.
    Deploy,
    /// Manage users, tokens and settings.
    Administer,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Verb; 6] = [
        Verb::View,
        Verb::ViewEnvironment,
        Verb::Approve,
        Verb::RollBack,
        Verb::Deploy,
        Verb::Administer,
    ];

    /// The verb in a sentence: "may *approve or reject at a gate*".
    pub const fn words(self) -> &'static str {
        match self {
            Verb::View => "view",
            Verb::ViewEnvironment => "see environment values",
            Verb::Approve => "approve or reject at a gate",
            Verb::RollBack => "roll back",
            Verb::Deploy => "start a deployment",
            Verb::Administer => "administer",
        }
    }
}

/// Somebody who has proven who they are, with the roles they had at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The user name, or `token:NAME` for an API token. Written to the audit log.
    pub name: String,
    /// The roles.
    pub roles: Vec<Role>,
    /// The address that the request came from, for the audit log: of the connection, which behind a proxy is the
    /// proxy's. `None` for Switchback itself.
    #[serde(default)]
    pub address: Option<String>,
    /// The groups that the OpenID Connect provider named at the last sign-in; none for local users and tokens.
    #[serde(default)]
    pub groups: Vec<String>,
}

impl Actor {
    /// Switchback itself, for what its reconcilers do by policy (a fuse that burned out).
    pub fn switchback() -> Actor {
        Actor {
            name: "switchback".to_string(),
            roles: Vec::new(),
            address: None,
            groups: Vec::new(),
        }
    }

    /// Whether the actor may do `verb`. Every other check in Switchback calls this one.
    pub fn may(&self, verb: Verb) -> bool {
        self.roles.iter().any(|role| role_may(*role, verb))
    }
}

/// The table of roles and verbs.
pub const fn role_may(role: Role, verb: Verb) -> bool {
    match verb {
        Verb::View => true,
        Verb::ViewEnvironment | Verb::Approve => !matches!(role, Role::Viewer),
        Verb::RollBack | Verb::Deploy => matches!(role, Role::Operator | Role::Admin),
        Verb::Administer => matches!(role, Role::Admin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_roles_and_verbs() {
        let table: Vec<String> = Role::ALL
            .iter()
            .map(|role| {
                Verb::ALL
                    .iter()
                    .map(|verb| if role_may(*role, *verb) { 'x' } else { '-' })
                    .collect()
            })
            .collect();
        assert_eq!(table, ["x-----", "xxx---", "xxxxx-", "xxxxxx"]);
    }

    #[test]
    fn without_roles_nothing_is_allowed() {
        assert!(Verb::ALL.iter().all(|verb| !Actor::switchback().may(*verb)));
    }
}
