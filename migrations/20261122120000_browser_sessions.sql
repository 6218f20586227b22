-- Sessions with columns of their own: whose, how begun, from where, last used, until when at most, when last freshly
-- proven. A new table, because older versions keep theirs in `sessions`, by the identifier in clear; here only the SHA-256
-- of the cookie's text is kept. An ended session stays for a while, so that every server hears of it.
-- Reason: people must see and end their own sessions, administrators those of a user, and a session must end by idleness
-- and by age.
create table browser_sessions (
    id              text not null primary key,
    token_sha256    text not null unique,
    user_id         text not null,
    method          text not null check (method in ('password', 'break_glass', 'oidc')),
    user_groups     text not null,
    created_at      bigint not null,
    last_used_at    bigint not null,
    fresh_at        bigint not null,
    ends_at         bigint not null,
    ended_at        bigint,
    client_address  text not null,
    user_agent      text not null,
    id_token        text,
    kept_form       text
);

create index browser_sessions_by_user on browser_sessions (user_id);

create index browser_sessions_by_end on browser_sessions (ended_at);
