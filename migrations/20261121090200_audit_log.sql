-- The audit log: one hash-chained entry for every change, written in the transaction of the change.
-- Reason: an auditor must be able to show that nothing was altered or left out.
--
-- That rows are never updated or deleted is held by triggers. Their language differs between the two databases, so
-- they are made at every start by crates/store/src/connect.rs, after the migrations.

create table audit_log (
    sequence  bigint not null primary key,
    at        bigint not null,
    actor     text not null,
    event     text not null,
    subject   text,
    reason    text,
    body      text not null,
    hash      text not null
);

create index audit_log_by_time on audit_log (at, sequence);

create index audit_log_by_actor on audit_log (actor, sequence);

create index audit_log_by_subject on audit_log (subject, sequence);
