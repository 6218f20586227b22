//! The OpenID Connect provider: found by discovery, asked by the code flow with PKCE, its tokens checked.
//!
//! The checks are those of the crate `openidconnect`; what is ours is the HTTP client (no redirect is followed, nothing
//! goes to an unencrypted address but within this machine, answers are small and quick), when keys are read again, the
//! bounds of clocks, and in [`claims`] what a person's claims mean here.

pub mod claims;
pub mod flow;

use crate::MomentSource;
use crate::config::Oidc;
use crate::config::is_safe_url;
use axum::body::Bytes;
use chrono::DateTime;
use chrono::Utc;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper_rustls::HttpsConnector;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use openidconnect::AccessToken;
use openidconnect::AdditionalClaims;
use openidconnect::AsyncHttpClient;
use openidconnect::AuthType;
use openidconnect::AuthenticationFlow;
use openidconnect::AuthorizationCode;
use openidconnect::Client;
use openidconnect::ClientId;
use openidconnect::ClientSecret;
use openidconnect::CsrfToken;
use openidconnect::EmptyExtraTokenFields;
use openidconnect::EndpointMaybeSet;
use openidconnect::EndpointNotSet;
use openidconnect::EndpointSet;
use openidconnect::HttpRequest;
use openidconnect::HttpResponse;
use openidconnect::IdToken;
use openidconnect::IdTokenFields;
use openidconnect::IssuerUrl;
use openidconnect::Nonce;
use openidconnect::OAuth2TokenResponse;
use openidconnect::PkceCodeChallenge;
use openidconnect::PkceCodeVerifier;
use openidconnect::ProviderMetadataWithLogout;
use openidconnect::RedirectUrl;
use openidconnect::Scope;
use openidconnect::StandardErrorResponse;
use openidconnect::StandardTokenResponse;
use openidconnect::TokenResponse;
use openidconnect::core::CoreAuthDisplay;
use openidconnect::core::CoreAuthPrompt;
use openidconnect::core::CoreClientAuthMethod;
use openidconnect::core::CoreErrorResponseType;
use openidconnect::core::CoreGenderClaim;
use openidconnect::core::CoreJsonWebKey;
use openidconnect::core::CoreJweContentEncryptionAlgorithm;
use openidconnect::core::CoreJwsSigningAlgorithm;
use openidconnect::core::CoreResponseType;
use openidconnect::core::CoreRevocableToken;
use openidconnect::core::CoreRevocationErrorResponse;
use openidconnect::core::CoreTokenIntrospectionResponse;
use openidconnect::core::CoreTokenType;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use switchback_domain::moment::Moment;

#[cfg(test)]
mod tests;

/// How long one request to the provider may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// The largest answer of a provider, in bytes.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// How long what discovery told is used, in seconds.
const DISCOVERED_SECONDS: i64 = 3600;

/// How often keys are read again at most because a token's key was not among them, in seconds.
const KEYS_AGAIN_SECONDS: i64 = 30;

/// How far the provider's clock may be from ours, in seconds.
const SKEW_SECONDS: i64 = 60;

/// How old a token may be that was issued for an answer just now, in seconds.
const OLDEST_TOKEN_SECONDS: i64 = 600;

/// The path to which the provider sends people back.
pub const CALLBACK_PATH: &str = "/sign-in/oidc/callback";

/// The signatures that are taken, where the provider offers them: those for which it has a key that nobody else has.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Why somebody who came from the provider is not let in. Each has one sentence, which anybody may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub enum Refused {
    /// The provider does not answer, or not as it should.
    Unavailable,
    /// No such sign-in was begun in this browser, or too long ago.
    FlowUnknown,
    /// The provider says so.
    ByProvider,
    /// The token could not be verified.
    Token,
    /// No usable name among the claims.
    NameMissing,
    /// Another user has the name.
    NameTaken,
    /// There are groups, but not in the token.
    GroupsOverage,
    /// The groups are of no form that is known.
    Groups,
    /// The address is of another domain or not verified.
    Domain,
    /// The provider did not say that the sign-in happened just now.
    NotFresh,
    /// A session was to be confirmed, and somebody else came.
    AnotherPerson,
}

impl Refused {
    /// All of them.
    pub const ALL: [Refused; 11] = [
        Refused::Unavailable,
        Refused::FlowUnknown,
        Refused::ByProvider,
        Refused::Token,
        Refused::NameMissing,
        Refused::NameTaken,
        Refused::GroupsOverage,
        Refused::Groups,
        Refused::Domain,
        Refused::NotFresh,
        Refused::AnotherPerson,
    ];

    /// Stable, for the audit log and for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Refused::Unavailable => "oidc_unavailable",
            Refused::FlowUnknown => "oidc_flow_unknown",
            Refused::ByProvider => "oidc_refused_by_provider",
            Refused::Token => "oidc_token_refused",
            Refused::NameMissing => "oidc_name_missing",
            Refused::NameTaken => "oidc_name_taken",
            Refused::GroupsOverage => "oidc_groups_overage",
            Refused::Groups => "oidc_groups_unreadable",
            Refused::Domain => "oidc_domain_refused",
            Refused::NotFresh => "oidc_not_fresh",
            Refused::AnotherPerson => "oidc_another_person",
        }
    }

    /// What happened and what to do, for people.
    pub const fn message(self) -> &'static str {
        match self {
            Refused::Unavailable => {
                "The sign-in service does not answer as it should. Nobody was signed in. Try again in a moment."
            }
            Refused::FlowUnknown => {
                "This sign-in was not begun in this browser, was used already, or took longer than ten minutes. Begin again."
            }
            Refused::ByProvider => {
                "The sign-in service did not sign you in. Try again, or ask whoever runs it."
            }
            Refused::Token => {
                "What the sign-in service sent could not be verified. Nobody was signed in. Try again; if it stays so, Switchback's log says why."
            }
            Refused::NameMissing => {
                "The sign-in service did not tell a name that can be used here. An administrator has to check SWITCHBACK_OIDC_NAME_CLAIM."
            }
            Refused::NameTaken => {
                "Another user of Switchback has your name. Nobody was signed in. An administrator has to rename or remove that user."
            }
            Refused::GroupsOverage => {
                "You are in more groups than the sign-in service sends. An administrator has to let it send only those of this application."
            }
            Refused::Groups => {
                "The sign-in service sent your groups in a form that is not known. An administrator has to check SWITCHBACK_OIDC_GROUPS_CLAIM."
            }
            Refused::Domain => {
                "Your address is not of a domain that may sign in here, or the sign-in service did not verify it."
            }
            Refused::NotFresh => {
                "The sign-in service did not say that you signed in just now. Nothing was done. Try again; if it stays so, an administrator has to let it send auth_time."
            }
            Refused::AnotherPerson => {
                "Somebody else signed in at the sign-in service. Nothing was done. Sign in there as yourself, or sign out here first."
            }
        }
    }
}

/// Every claim that OpenID Connect does not know.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Others(BTreeMap<String, Value>);

impl AdditionalClaims for Others {}

type Token =
    IdToken<Others, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

type Fields = IdTokenFields<
    Others,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

type Asking = Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What discovery told, and when.
struct Known {
    metadata: ProviderMetadataWithLogout,
    at: Moment,
}

/// The provider.
pub struct Provider {
    settings: Oidc,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    sender: Sender,
    known: Mutex<Option<Arc<Known>>>,
    clock: MomentSource,
}

/// A request to the provider that came to nothing. Says neither what was sent nor what was answered.
#[derive(Debug, thiserror::Error)]
pub enum RequestFailed {
    /// It would have gone over an unencrypted connection.
    #[error("the provider names an address that is not https: {0}")]
    Unsafe(String),
    /// Nobody was reached.
    #[error("the provider could not be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// The answer broke off or was too large.
    #[error("the provider's answer could not be read: {0}")]
    Unreadable(String),
    /// It took too long.
    #[error("the provider did not answer within {} s", REQUEST_LIMIT.as_secs())]
    TimedOut,
    /// The request could not be made.
    #[error("the request to the provider could not be made")]
    Request(#[source] http::Error),
}

/// What carries requests to the provider.
#[derive(Clone)]
struct Sender {
    client: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Sender {
    async fn send(self, request: HttpRequest) -> Result<HttpResponse, RequestFailed> {
        if !is_safe_url(request.uri()) {
            return Err(RequestFailed::Unsafe(
                request.uri().host().unwrap_or_default().to_string(),
            ));
        }
        let request = request.map(|body| Full::new(body.into()));
        let answered = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(RequestFailed::Unreachable)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LARGEST_ANSWER)
                .collect()
                .await
                .map_err(|error| RequestFailed::Unreadable(error.to_string()))?;
            let mut response = http::Response::builder().status(head.status);
            if let Some(headers) = response.headers_mut() {
                *headers = head.headers;
            }
            response
                .body(body.to_bytes().to_vec())
                .map_err(RequestFailed::Request)
        };
        tokio::time::timeout(REQUEST_LIMIT, answered)
            .await
            .map_err(|_| RequestFailed::TimedOut)?
    }
}

impl AsyncHttpClient<'_> for Sender {
    type Error = RequestFailed;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, RequestFailed>> + Send>>;

    fn call(&self, request: HttpRequest) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

/// A question to the provider, and what has to be kept until its answer.
pub struct Question {
    /// Where the browser goes.
    pub url: String,
    /// What the answer has to bring.
    pub state: String,
    /// What the token has to repeat.
    pub nonce: String,
    /// What proves that we asked.
    pub pkce_verifier: String,
}

/// An answer that was checked.
pub struct Answered {
    /// The claims of the token, and of userinfo where the token lacked something.
    pub claims: Value,
    /// The token as it came, for signing out there.
    pub id_token: String,
}

impl Provider {
    /// Nothing is asked of it yet.
    pub fn new(settings: Oidc, clock: MomentSource) -> anyhow::Result<Provider> {
        use anyhow::Context;
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .context("could not read the system's certificates")?
            .https_or_http()
            .enable_http1()
            .build();
        let redirect = format!("{}{CALLBACK_PATH}", settings.public_url);
        Ok(Provider {
            issuer: IssuerUrl::new(settings.issuer.clone())
                .context("could not use SWITCHBACK_OIDC_ISSUER")?,
            redirect: RedirectUrl::new(redirect).context("could not use SWITCHBACK_PUBLIC_URL")?,
            sender: Sender {
                client: HyperClient::builder(TokioExecutor::new()).build(connector),
            },
            known: Mutex::new(None),
            settings,
            clock,
        })
    }

    /// Its settings.
    pub fn settings(&self) -> &Oidc {
        &self.settings
    }

    /// What discovery told within the last `seconds`, asked for again when it is older.
    async fn known(&self, seconds: i64) -> Result<Arc<Known>, Refused> {
        let now = (self.clock)();
        let kept = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(kept) = kept
            && now < kept.at.plus_seconds(seconds)
        {
            return Ok(kept);
        }
        let metadata =
            ProviderMetadataWithLogout::discover_async(self.issuer.clone(), &self.sender)
                .await
                .map_err(|error| {
                    unavailable(&error);
                    Refused::Unavailable
                })?;
        let known = Arc::new(Known { metadata, at: now });
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(known)
    }

    fn client(&self, known: &Known) -> Asking {
        let secret = self
            .settings
            .client_secret
            .as_ref()
            .map(|secret| ClientSecret::new(secret.expose_secret().to_string()));
        let client = Asking::from_provider_metadata(
            known.metadata.clone(),
            ClientId::new(self.settings.client_id.clone()),
            secret,
        )
        .set_redirect_uri(self.redirect.clone());
        // The secret goes into a header, which no log of a body shows, unless the provider takes it in the body only.
        let methods = known.metadata.token_endpoint_auth_methods_supported();
        let in_body = methods.is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        match in_body {
            true => client.set_auth_type(AuthType::RequestBody),
            false => client,
        }
    }

    /// Where to send the browser. `fresh` asks for a sign-in that happens now, as old as `fresh` at most.
    pub async fn question(
        &self,
        random: impl Fn() -> String,
        fresh: Option<Duration>,
    ) -> Result<Question, Refused> {
        // Asked anew each time: that the provider is down is said here, and not by the browser at an address of it.
        let known = self.known(0).await?;
        let client = self.client(&known);
        let (state, nonce, pkce_verifier) = (random(), random(), random());
        let csrf = CsrfToken::new(state.clone());
        let repeated = Nonce::new(nonce.clone());
        let verifier = PkceCodeVerifier::new(pkce_verifier.clone());
        let mut request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || csrf,
                move || repeated,
            )
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        if let Some(fresh) = fresh {
            request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(fresh);
        }
        let (url, _, _) = request.url();
        Ok(Question {
            url: url.to_string(),
            state,
            nonce,
            pkce_verifier,
        })
    }

    /// Exchanges the code and checks the token. `fresh_since` is the moment after which the person must have signed in
    /// there.
    pub async fn answer(
        &self,
        code: String,
        pkce_verifier: String,
        nonce: String,
        fresh_since: Option<Moment>,
    ) -> Result<Answered, Refused> {
        let known = self.known(DISCOVERED_SECONDS).await?;
        let client = self.client(&known);
        let exchange = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| refused_token(&error))?
            .set_pkce_verifier(PkceCodeVerifier::new(pkce_verifier));
        let answer = exchange
            .request_async(&self.sender)
            .await
            .map_err(|error| match error {
                openidconnect::RequestTokenError::ServerResponse(ref answer) => {
                    // The error's word is the provider's; its description may hold anything.
                    tracing::warn!(error = %answer.error(), "the provider refused the code of a sign-in");
                    Refused::ByProvider
                }
                openidconnect::RequestTokenError::Request(ref error) => {
                    unavailable(error);
                    Refused::Unavailable
                }
                // Nothing of an answer that holds tokens is logged.
                _ => {
                    tracing::warn!("the provider's answer with the tokens could not be read");
                    Refused::Token
                }
            })?;
        let token = answer.id_token().ok_or_else(|| {
            tracing::warn!("the provider sent no ID token");
            Refused::Token
        })?;
        let nonce = Nonce::new(nonce);
        let claims = match self.verified(&known, token, &nonce, fresh_since) {
            Err(NotVerified::Signature) => {
                // The provider may have changed its keys since they were read.
                let known = self.known(KEYS_AGAIN_SECONDS).await?;
                self.verified(&known, token, &nonce, fresh_since)
            }
            other => other,
        };
        let mut claims = claims.map_err(|why| match why {
            NotVerified::NotFresh => Refused::NotFresh,
            NotVerified::Signature | NotVerified::Claims => Refused::Token,
        })?;
        if claims::lacks_something(&self.settings, &claims)
            && let Some(more) = self.userinfo(&known, answer.access_token()).await?
        {
            // OpenID Connect Core 5.3.2: an answer about somebody else must not be used.
            if more.get("sub") != claims.get("sub") {
                tracing::warn!("the provider's userinfo is about somebody else than its token");
                return Err(Refused::Token);
            }
            claims = claims::merged(claims, more);
        }
        Ok(Answered {
            claims,
            id_token: token.to_string(),
        })
    }

    /// The claims of a token whose signature, issuer, audience, times and nonce are as they must be.
    fn verified(
        &self,
        known: &Known,
        token: &Token,
        nonce: &Nonce,
        fresh_since: Option<Moment>,
    ) -> Result<Value, NotVerified> {
        let now = (self.clock)();
        verified(
            &self.settings,
            &known.metadata,
            token,
            nonce,
            Times { now, fresh_since },
        )
    }

    async fn userinfo(
        &self,
        known: &Known,
        access_token: &AccessToken,
    ) -> Result<Option<Value>, Refused> {
        let Some(endpoint) = known.metadata.userinfo_endpoint() else {
            return Ok(None);
        };
        let request = http::Request::builder()
            .uri(endpoint.as_str())
            .header(http::header::ACCEPT, "application/json")
            .header(
                http::header::AUTHORIZATION,
                format!("Bearer {}", access_token.secret()),
            )
            .body(Vec::new())
            .map_err(|error| refused_token(&error))?;
        let answer = self.sender.clone().send(request).await.map_err(|error| {
            unavailable(&error);
            Refused::Unavailable
        })?;
        if !answer.status().is_success() {
            tracing::warn!(
                status = answer.status().as_u16(),
                "the provider refused to tell about a person"
            );
            return Err(Refused::Unavailable);
        }
        serde_json::from_slice(answer.body())
            .map(Some)
            .map_err(|_| {
                tracing::warn!("what the provider tells about a person is not JSON");
                Refused::Token
            })
    }

    /// Where to send a browser to sign out at the provider too; `None` where it does not offer that or does not answer.
    pub async fn sign_out_url(&self, id_token: Option<&str>) -> Option<String> {
        let known = self.known(0).await.ok()?;
        let endpoint = known
            .metadata
            .additional_metadata()
            .end_session_endpoint
            .as_ref()?;
        let mut url = endpoint.url().clone();
        url.query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair(
                "post_logout_redirect_uri",
                &format!("{}/sign-in", self.settings.public_url),
            );
        if let Some(id_token) = id_token {
            url.query_pairs_mut().append_pair("id_token_hint", id_token);
        }
        Some(url.to_string())
    }
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotVerified {
    /// No key fits, or the signature is wrong.
    Signature,
    /// It was not issued for us, by this provider, now, or for this question.
    Claims,
    /// The person did not sign in just now.
    NotFresh,
}

/// When a token is looked at.
#[derive(Clone, Copy)]
struct Times {
    now: Moment,
    fresh_since: Option<Moment>,
}

fn verified(
    settings: &Oidc,
    metadata: &ProviderMetadataWithLogout,
    token: &Token,
    nonce: &Nonce,
    Times { now, fresh_since }: Times,
) -> Result<Value, NotVerified> {
    let skewed = now.plus_seconds(-SKEW_SECONDS);
    let offered = metadata.id_token_signing_alg_values_supported();
    let algorithms = ALGORITHMS
        .into_iter()
        .filter(|algorithm| offered.contains(algorithm));
    let verifier = openidconnect::IdTokenVerifier::new_public_client(
        ClientId::new(settings.client_id.clone()),
        metadata.issuer().clone(),
        metadata.jwks().clone(),
    )
    .set_allowed_algs(algorithms)
    .set_time_fn(move || chrono_of(skewed))
    .set_issue_time_verifier_fn(move |issued| {
        let age = (now.millis() - issued.timestamp_millis()) / 1000;
        if (-SKEW_SECONDS..=OLDEST_TOKEN_SECONDS).contains(&age) {
            Ok(())
        } else {
            Err(format!("it was issued {age} s ago"))
        }
    });
    let claims = token.claims(&verifier, nonce).map_err(|error| {
        // Its words name issuers, audiences and algorithms; nothing of the person and nothing of the token.
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "an ID token was refused"
        );
        match error {
            openidconnect::ClaimsVerificationError::SignatureVerification(_) => {
                NotVerified::Signature
            }
            _ => NotVerified::Claims,
        }
    })?;
    let claims = serde_json::to_value(claims).map_err(|_| NotVerified::Claims)?;
    let seconds = |name: &str| claims.get(name).and_then(Value::as_f64);
    if let Some(party) = claims.get("azp")
        && party.as_str() != Some(&settings.client_id)
    {
        tracing::warn!("an ID token was issued to another client");
        return Err(NotVerified::Claims);
    }
    let now_seconds = now.millis().div_euclid(1000) as f64;
    if seconds("nbf").is_some_and(|from| from > now_seconds + SKEW_SECONDS as f64) {
        tracing::warn!("an ID token is not valid yet");
        return Err(NotVerified::Claims);
    }
    if let Some(since) = fresh_since {
        let since = since.millis().div_euclid(1000) as f64 - SKEW_SECONDS as f64;
        let is_fresh = seconds("auth_time")
            .is_some_and(|at| at >= since && at <= now_seconds + SKEW_SECONDS as f64);
        if !is_fresh {
            tracing::warn!(
                "an ID token does not say that the sign-in happened just now (auth_time)"
            );
            return Err(NotVerified::NotFresh);
        }
    }
    Ok(claims)
}

fn chrono_of(moment: Moment) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(moment.millis()).unwrap_or_default()
}

fn unavailable(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(
        error,
        "the OpenID Connect provider does not answer as it should"
    );
}

fn refused_token(error: &(dyn std::error::Error + 'static)) -> Refused {
    tracing::warn!(error, "the OpenID Connect provider could not be asked");
    Refused::Unavailable
}
