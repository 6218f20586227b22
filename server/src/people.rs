//! Users and tokens that the server itself makes, and passwords.

use crate::front::token_sha256;
use argon2::Argon2;
use argon2::PasswordHash;
use argon2::PasswordHasher;
use argon2::PasswordVerifier;
use argon2::password_hash::SaltString;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use switchback_domain::actor::Actor;
use switchback_domain::actor::Role;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::ids::UserId;
use switchback_domain::moment::Moment;
use switchback_store::Store;
use switchback_store::StoreError;
use switchback_store::Tx;
use switchback_store::records::TokenRecord;
use switchback_store::records::UserRecord;
use tokio::sync::Semaphore;

/// A hash that no password has, with the cost of a real one.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// How many passwords are hashed at once. Each takes 19 MiB while it lasts.
pub fn hashing_permits() -> Semaphore {
    Semaphore::new(2)
}

/// A password that could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct HashFailed(argon2::password_hash::Error);

/// Why the first users or tokens could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// Hashing.
    #[error(transparent)]
    Hash(#[from] HashFailed),
    /// The store.
    #[error("the users could not be written")]
    Store(#[from] StoreError),
}

/// Argon2id in PHC form. `salt` is 16 random bytes.
pub fn hash(password: &SecretString, salt: [u8; 16]) -> Result<String, HashFailed> {
    let salt = SaltString::encode_b64(&salt).map_err(HashFailed)?;
    let hash = Argon2::default()
        .hash_password(password.expose_secret().as_bytes(), &salt)
        .map_err(HashFailed)?;
    Ok(hash.to_string())
}

/// Whether the password fits the hash; without one, the same work is done and the answer is no.
pub async fn verify(permits: &Semaphore, password: SecretString, hash: Option<String>) -> bool {
    // The semaphore is never closed; an error would mean that nobody can sign in, which is what false says.
    let Ok(_permit) = permits.acquire().await else {
        return false;
    };
    let work = tokio::task::spawn_blocking(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.to_string());
        let fits = PasswordHash::new(&hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.expose_secret().as_bytes(), &hash)
                .is_ok()
        });
        fits && known
    });
    work.await.unwrap_or(false)
}

/// A user to be made.
pub struct NewUser {
    /// The name they sign in with.
    pub username: String,
    /// Their password.
    pub password: SecretString,
    /// Their roles.
    pub roles: Vec<Role>,
}

/// A token to be made.
pub struct NewToken {
    /// Its name, for the audit log.
    pub name: String,
    /// What is sent as `Authorization: Bearer`.
    pub text: SecretString,
    /// Its roles.
    pub roles: Vec<Role>,
}

/// Makes the users if there are none and the tokens if there are none, in one transaction with their
/// audit entries. Gives how many of each were made.
pub async fn create_first(
    store: &Store,
    users: &[NewUser],
    tokens: &[NewToken],
    now: Moment,
    fill: &(dyn Fn(&mut [u8]) + Send + Sync),
) -> Result<(usize, usize), PeopleError> {
    let users = if store.user_count().await? == 0 {
        users
    } else {
        &[]
    };
    let tokens = if store.token_count().await? == 0 {
        tokens
    } else {
        &[]
    };
    if users.is_empty() && tokens.is_empty() {
        return Ok((0, 0));
    }
    let mut records = Vec::new();
    for user in users {
        let (mut salt, mut id) = ([0; 16], [0; 8]);
        fill(&mut salt);
        fill(&mut id);
        records.push(UserRecord {
            id: UserId::from_random(id),
            username: user.username.clone(),
            password_hash: hash(&user.password, salt)?,
            roles: user.roles.clone(),
        });
    }
    let mut tx = store.begin().await?;
    for record in &records {
        tx.user_insert(record).await?;
        let event = AuditEvent::UserCreated {
            username: record.username.clone(),
            roles: words(&record.roles),
        };
        append(&mut tx, event, now).await?;
    }
    for token in tokens {
        let record = TokenRecord {
            name: token.name.clone(),
            token_sha256: token_sha256(token.text.expose_secret()),
            roles: token.roles.clone(),
        };
        tx.token_insert(&record).await?;
        let event = AuditEvent::TokenCreated {
            name: record.name,
            roles: words(&record.roles),
        };
        append(&mut tx, event, now).await?;
    }
    tx.commit().await?;
    Ok((users.len(), tokens.len()))
}

fn words(roles: &[Role]) -> Vec<String> {
    roles.iter().map(|role| role.word().to_string()).collect()
}

async fn append(tx: &mut Tx, event: AuditEvent, at: Moment) -> Result<(), StoreError> {
    let entry = AuditEntry::new(at, Actor::switchback().name, event);
    tx.audit_append(&entry).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let permits = hashing_permits();
        let password = || SecretString::from("correct horse");
        let hash = hash(&password(), [7; 16]).unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(verify(&permits, password(), Some(hash.clone())).await);
        assert!(!verify(&permits, SecretString::from("correct horse "), Some(hash)).await);
        assert!(!verify(&permits, password(), None).await);
        assert!(!verify(&permits, password(), Some("not a hash".to_string())).await);
    }

    #[test]
    fn nobodys_hash_costs_what_a_real_one_costs() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let text = hash(&SecretString::from("x"), [1; 16]).unwrap();
        let real = PasswordHash::new(&text).unwrap();
        assert_eq!(
            (nobody.algorithm, nobody.version, nobody.params),
            (real.algorithm, real.version, real.params)
        );
    }
}
