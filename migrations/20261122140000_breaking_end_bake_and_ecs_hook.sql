-- A bake of CodeDeploy can be ended early (an operation), and a Lambda hook of ECS can be a gate: two new kinds.
-- Reason: what kinds there are is held by a check, and SQLite cannot change one, so the tables are made anew. Older versions
-- cannot read the new words.

create table gates_rebuilt (
    id                  text not null primary key,
    deployment_id       text not null references deployments (id),
    deployment_aws_id   text not null,
    kind                text not null check (kind in
        ('codedeploy_hook', 'codedeploy_ready_wait', 'ecs_pause', 'ecs_hook')),
    stage               text not null,
    wait                text not null,
    state               text not null check (state in ('open', 'approved', 'rejected', 'expired', 'superseded')),
    policy              text not null,
    opened_at           bigint not null,
    expires_at          bigint not null,
    wall_at             bigint not null,
    closed_at           bigint,
    evidence_digest     text not null,
    verdict             text check (verdict in ('approve', 'reject')),
    delivery            text check (delivery in ('recorded', 'sent', 'confirmed', 'failed')),
    delivery_detail     text,
    delivery_attempts   bigint not null,
    generation          bigint not null,
    delivery_called_at  bigint,
    -- There is a verdict to deliver, or there is nothing to deliver.
    check ((verdict is null) = (delivery is null))
);

insert into gates_rebuilt (id, deployment_id, deployment_aws_id, kind, stage, wait, state, policy, opened_at, expires_at,
    wall_at, closed_at, evidence_digest, verdict, delivery, delivery_detail, delivery_attempts, generation,
    delivery_called_at)
select id, deployment_id, deployment_aws_id, kind, stage, wait, state, policy, opened_at, expires_at, wall_at, closed_at,
    evidence_digest, verdict, delivery, delivery_detail, delivery_attempts, generation, delivery_called_at
from gates;

create table decisions_rebuilt (
    gate_id          text not null references gates_rebuilt (id),
    actor            text not null,
    verdict          text not null check (verdict in ('approve', 'reject')),
    reason           text,
    evidence_digest  text not null,
    evidence         text not null,
    at               bigint not null,
    -- One person, one decision: approving twice is not two approvals.
    primary key (gate_id, actor)
);

insert into decisions_rebuilt (gate_id, actor, verdict, reason, evidence_digest, evidence, at)
select gate_id, actor, verdict, reason, evidence_digest, evidence, at from decisions;

drop table decisions;

drop table gates;

alter table gates_rebuilt rename to gates;

alter table decisions_rebuilt rename to decisions;

create index gates_by_state on gates (state, expires_at);

create index gates_by_deployment on gates (deployment_id, opened_at);

create index gates_by_delivery on gates (delivery, opened_at);

create index gates_by_opening on gates (opened_at, id);

create table operations_rebuilt (
    id                 text not null primary key,
    kind               text not null check (kind in ('reject_at_gate', 'stop_in_flight', 'redeploy', 'end_bake')),
    service_id         text not null references services (id),
    deployment_id      text,
    target_revision    text,
    actor              text not null,
    reason             text not null,
    plan               text not null,
    call               text not null,
    state              text not null check (state in ('intended', 'calling', 'submitted', 'done', 'failed', 'unknown')),
    detail             text,
    aws_id             text,
    created_at         bigint not null,
    called_at          bigint,
    attempts           bigint not null,
    generation         bigint not null,
    ledger_generation  bigint not null default 0
);

insert into operations_rebuilt (id, kind, service_id, deployment_id, target_revision, actor, reason, plan, call, state,
    detail, aws_id, created_at, called_at, attempts, generation, ledger_generation)
select id, kind, service_id, deployment_id, target_revision, actor, reason, plan, call, state, detail, aws_id, created_at,
    called_at, attempts, generation, ledger_generation
from operations;

drop table operations;

alter table operations_rebuilt rename to operations;

create index operations_by_state on operations (state, created_at);

create index operations_by_deployment on operations (deployment_id, created_at);

create index operations_by_service on operations (service_id, created_at);

-- Two tabs, two people, two processes: a service has at most one operation that AWS has not answered.
create unique index operations_one_unanswered on operations (service_id)
    where state in ('intended', 'calling', 'unknown');

create index operations_not_in_ledger on operations (created_at, id) where ledger_generation < generation;
