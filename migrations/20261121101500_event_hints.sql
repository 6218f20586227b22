-- Events that the signed webhook took and that the process which watches has not heard yet.
-- Reason: any of several processes may take one, and only one of them watches. It is a hint where to look, never a fact;
-- the row goes once it was heard. Older code neither needs nor minds it.

create table event_hints (
    event_id     text not null primary key,
    hint         text not null,
    received_at  bigint not null
);
