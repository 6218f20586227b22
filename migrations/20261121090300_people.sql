-- Who may come in: users, API tokens, browser sessions; and what makes a request count once: idempotency keys and
-- used signatures.
-- Reason: identity and replay protection must survive a restart.

create table users (
    id             text not null primary key,
    username       text not null unique,
    password_hash  text not null,
    roles          text not null
);

create table tokens (
    token_sha256  text not null primary key,
    name          text not null unique,
    roles         text not null
);

create table sessions (
    id          text not null primary key,
    data        text not null,
    expires_at  bigint not null
);

create index sessions_by_expiry on sessions (expires_at);

create table idempotency_keys (
    actor            text not null,
    idempotency_key  text not null,
    route            text not null,
    body_sha256      text not null,
    status           bigint not null check (status between 100 and 599),
    body             text not null,
    at               bigint not null,
    primary key (actor, idempotency_key)
);

create table used_signatures (
    signature  text not null primary key,
    used_at    bigint not null
);

create index used_signatures_by_time on used_signatures (used_at);
