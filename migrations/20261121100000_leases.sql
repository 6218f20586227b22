-- Which process watches an account and acts on it, when several run on one database.
-- Reason: two that watch would ask AWS twice and might act twice; one that died must be replaced within seconds.
--
-- The fence grows with every new holder; what the holder writes is checked against it. The looks are the holder's own,
-- as JSON, so that a process that only serves pages can tell how the watching goes.

create table leases (
    name    text not null primary key,
    holder  text,
    fence   bigint not null,
    beats   bigint not null,
    looks   text not null
);
