-- Signing in by OpenID Connect: who a user is at the provider (issuer and subject, never a name or an address), and the
-- sign-ins that were begun and not yet ended.
-- Reason: the answer of a provider may come to another server than the one that asked, must fit a question of the same
-- browser, and must lead to the same user each time.
create table oidc_identities (
    issuer   text not null,
    subject  text not null,
    user_id  text not null unique,
    primary key (issuer, subject)
);

create table sign_in_flows (
    state_sha256    text not null primary key,
    browser_sha256  text not null,
    nonce           text not null,
    pkce_verifier   text not null,
    return_to       text not null,
    session_id      text,
    begun_at        bigint not null,
    ends_at         bigint not null
);

create index sign_in_flows_by_end on sign_in_flows (ends_at);
