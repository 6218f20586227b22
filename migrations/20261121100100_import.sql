-- The first reading of an account's past, where the record begins, and where Switchback did not look.
-- Reason: a past of thousands of deployments takes minutes to read, and a server that is killed meanwhile must go on
-- where it stopped, or another one in its place; and a record that does not say what nobody watched claims too much.

-- One row for each account and region. The id is ACCOUNT/REGION.
create table imports (
    id                   text not null primary key,
    account              text not null,
    region               text not null,
    state                text not null check (state in ('listing', 'reading', 'reading_definitions', 'complete')),
    -- Deployments created after this moment are the watcher's.
    created_until        bigint not null,
    -- Where AWS's list goes on, while it is read.
    next_token           text,
    listed               bigint not null,
    settled              bigint not null,
    -- Of the settled ones: those that AWS listed and then no longer knew, and those of no watched service.
    forgotten            bigint not null,
    not_watched          bigint not null,
    definitions_listed   bigint not null,
    definitions_settled  bigint not null,
    trouble              text,
    began_at             bigint not null,
    completed_at         bigint,
    generation           bigint not null
);

-- What has yet to be taken in. Emptied when the import is complete.
create table import_items (
    import_id    text not null references imports (id),
    kind         text not null check (kind in ('deployment', 'task_definition')),
    subject      text not null,
    state        text not null check (state in ('listed', 'read', 'settled', 'forgotten')),
    -- In the order of AWS's list.
    position     bigint not null,
    attempts     bigint not null,
    application  text,
    group_name   text,
    created_at   bigint,
    reading      text,
    primary key (import_id, kind, subject)
);

create index import_items_by_state on import_items (import_id, kind, state, attempts, created_at);

create index import_items_by_group on import_items (import_id, application, group_name, created_at);

-- The texts of AppSpecs, each asked for once.
create table app_specs (
    account      text not null,
    region       text not null,
    application  text not null,
    digest       text not null,
    content      text not null,
    primary key (account, region, application, digest)
);

-- Since when the account's deployments are seen as they happen, and when AWS was last looked at well. Null in rows that
-- an earlier version wrote.
alter table watch_marks add column watched_since bigint;

alter table watch_marks add column good_look_at bigint;

-- When nobody looked: what happened in between was seen only afterwards.
create table watch_gaps (
    account  text not null,
    region   text not null,
    from_at  bigint not null,
    to_at    bigint not null,
    cause    text not null check (cause in ('not_running', 'look_failed')),
    detail   text,
    primary key (account, region, from_at),
    check (to_at > from_at)
);

create index watch_gaps_by_end on watch_gaps (to_at);

-- How a deployment came into the record, and why nothing says what served before it. Null in rows that an earlier
-- version wrote.
alter table deployments add column first_seen text;

alter table deployments add column previous_unknown text;
