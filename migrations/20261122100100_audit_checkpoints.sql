-- Signed checkpoints over the audit log, the keys that sign them, and what retention has removed.
-- Reason: whoever has the database could write the whole chain anew; a signature over its hash shows that they did, and
-- old entries may go only as whole segments, with what proves that nothing else went.
--
-- Rows of all three are never updated or deleted: triggers, as for the log itself (crates/store/src/guards.rs).

create table audit_checkpoints (
    sequence   bigint not null primary key,
    hash       text not null,
    at         bigint not null,
    previous   text not null,
    key_id     text not null,
    signature  text not null
);

-- The seed stands here only where no key is given by a setting.
create table audit_keys (
    key_id      text not null primary key,
    public_key  text not null,
    seed        text,
    made_at     bigint not null
);

-- Entries up to `last_sequence` may be deleted: the log's entry `tombstone` tells so, and a checkpoint covers the last.
create table audit_removals (
    last_sequence  bigint not null primary key,
    tombstone      bigint not null
);
