-- What people decide and what Switchback does for them: hooks, gates, decisions, operations.
-- Reason: an intent is committed before AWS is called, so that a call whose answer was lost is never made blindly again.

create table hooks (
    deployment_aws_id  text not null,
    execution_id       text not null,
    received_at        bigint not null,
    state              text not null check (state in ('waiting', 'gate', 'refused')),
    detail             text,
    primary key (deployment_aws_id, execution_id)
);

create index hooks_by_state on hooks (state, received_at);

create table gates (
    id                 text not null primary key,
    deployment_id      text not null references deployments (id),
    deployment_aws_id  text not null,
    kind               text not null check (kind in ('codedeploy_hook', 'codedeploy_ready_wait', 'ecs_pause')),
    stage              text not null,
    wait               text not null,
    state              text not null check (state in ('open', 'approved', 'rejected', 'expired', 'superseded')),
    policy             text not null,
    opened_at          bigint not null,
    expires_at         bigint not null,
    wall_at            bigint not null,
    closed_at          bigint,
    evidence_digest    text not null,
    verdict            text check (verdict in ('approve', 'reject')),
    delivery           text check (delivery in ('recorded', 'sent', 'confirmed', 'failed')),
    delivery_detail    text,
    delivery_attempts  bigint not null,
    generation         bigint not null,
    -- There is a verdict to deliver, or there is nothing to deliver.
    check ((verdict is null) = (delivery is null))
);

create index gates_by_state on gates (state, expires_at);

create index gates_by_deployment on gates (deployment_id, opened_at);

create index gates_by_delivery on gates (delivery, opened_at);

create index gates_by_opening on gates (opened_at, id);

create table decisions (
    gate_id          text not null references gates (id),
    actor            text not null,
    verdict          text not null check (verdict in ('approve', 'reject')),
    reason           text,
    evidence_digest  text not null,
    evidence         text not null,
    at               bigint not null,
    -- One person, one decision: approving twice is not two approvals.
    primary key (gate_id, actor)
);

-- The deployment is not a foreign key: an operation knows the deployment that it began before that one is observed.
create table operations (
    id               text not null primary key,
    kind             text not null check (kind in ('reject_at_gate', 'stop_in_flight', 'redeploy')),
    service_id       text not null references services (id),
    deployment_id    text,
    target_revision  text,
    actor            text not null,
    reason           text not null,
    plan             text not null,
    call             text not null,
    state            text not null check (state in ('intended', 'calling', 'submitted', 'done', 'failed', 'unknown')),
    detail           text,
    aws_id           text,
    created_at       bigint not null,
    called_at        bigint,
    attempts         bigint not null,
    generation       bigint not null
);

create index operations_by_state on operations (state, created_at);

create index operations_by_deployment on operations (deployment_id, created_at);

create index operations_by_service on operations (service_id, created_at);

-- Two tabs, two people, two processes: a service has at most one operation that AWS has not answered.
create unique index operations_one_unanswered on operations (service_id)
    where state in ('intended', 'calling', 'unknown');
