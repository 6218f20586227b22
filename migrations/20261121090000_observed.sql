-- What is observed in AWS: services, the revisions they ran, every deployment and what happened in it.
-- Reason: a rollback needs the revision that served before, and AWS forgets; so it is written down at first sight.
--
-- Rules of every table (the same text runs on SQLite and PostgreSQL): identifiers and JSON are TEXT, moments are
-- BIGINT milliseconds since 1970, truth values are BIGINT 0 or 1, the words of an enum are held by a CHECK, and a
-- row that several writers change carries a generation.

create table services (
    id                text not null primary key,
    name              text not null,
    arn               text not null unique,
    cluster           text not null,
    account           text not null,
    region            text not null,
    controller        text not null check (controller in ('codedeploy')),
    application       text not null,
    group_name        text not null,
    deployment_group  text not null,
    serving_revision  text,
    serving_since     bigint,
    desired_count     bigint not null,
    running_count     bigint not null,
    observed_at       bigint not null,
    generation        bigint not null
);

create index services_by_name on services (name, id);

create index services_by_group on services (account, region, application, group_name);

create table revisions (
    arn              text not null primary key,
    family           text not null,
    number           bigint not null,
    status           text not null check (status in ('active', 'inactive', 'delete_in_progress', 'unknown')),
    registered_at    bigint,
    registered_by    text,
    task_definition  text not null
);

-- Which revisions a service had to do with. Not a foreign key to revisions: a revision is often named by a
-- deployment before AWS was asked for its task definition.
create table service_revisions (
    service_id  text not null references services (id),
    arn         text not null,
    primary key (service_id, arn)
);

create table served_periods (
    service_id      text not null references services (id),
    revision        text not null,
    from_at         bigint not null,
    to_at           bigint,
    share_permille  bigint not null check (share_permille between 1 and 1000),
    check (to_at is null or to_at >= from_at)
);

create index served_periods_by_service on served_periods (service_id, from_at);

-- A revision serves a service in at most one period at a time.
create unique index served_periods_open on served_periods (service_id, revision) where to_at is null;

-- The narrow columns that the history filters by come first, so that a scan need not read the long ones.
create table deployments (
    id                  text not null primary key,
    started_at          bigint not null,
    outcome             text not null check (outcome in ('in_progress', 'succeeded', 'failed', 'stopped',
                            'rolled_back', 'rollback_failed', 'superseded', 'unknown')),
    phase               text check (phase in ('preparing', 'testing', 'holding', 'shifting', 'baking', 'cleaning_up')),
    outcome_cause       text check (outcome_cause in ('alarm', 'gate', 'hook', 'circuit_breaker', 'operator',
                            'timeout', 'error')),
    service_id          text not null references services (id),
    service_name        text not null,
    initiator           text not null,
    aws_id              text not null,
    target_revision     text,
    reason              text,
    cluster             text not null,
    account             text not null,
    region              text not null,
    controller          text not null,
    strategy            text not null,
    previous_revision   text,
    previous_evidence   text check (previous_evidence in ('task_set', 'earlier_deployment', 'observed_serving',
                            'stopped_task', 'previous_revision')),
    outcome_detail      text,
    description         text,
    ended_at            bigint,
    rollback_of         text,
    rolled_back_by      text,
    operation_id        text,
    share_new_permille  bigint check (share_new_permille between 0 and 1000),
    target_group_old    text,
    target_group_new    text,
    metrics_until       bigint,
    observed_at         bigint not null,
    generation          bigint not null,
    alarms              text not null,
    reading             text not null,
    app_spec            text,
    -- A deployment that runs is somewhere, one that has ended is nowhere; of an unknown one nothing is known.
    check (outcome = 'unknown' or (outcome = 'in_progress') = (phase is not null))
);

create unique index deployments_by_aws_id on deployments (aws_id, region, account);

-- One index for each filter of the history, each ending in the key of its pages.
create index deployments_by_start on deployments (started_at, id);

create index deployments_by_service on deployments (service_id, started_at, id);

create index deployments_by_outcome on deployments (outcome, started_at, id);

create index deployments_by_phase on deployments (phase, started_at, id);

create index deployments_by_initiator on deployments (initiator, started_at, id);

-- Two filters at once: without these the planner walks one filter's rows and throws most of them away.
create index deployments_by_service_and_outcome on deployments (service_id, outcome, started_at, id);

create index deployments_by_initiator_and_outcome on deployments (initiator, outcome, started_at, id);

create index deployments_by_region on deployments (account, region, started_at);

create table timeline (
    deployment_id  text not null references deployments (id),
    position       bigint not null,
    at             bigint not null,
    kind           text not null check (kind in ('started', 'stage', 'weights', 'alarm', 'gate', 'decision', 'delivery',
                       'operation', 'ended')),
    line           text not null,
    made_by        text,
    data           text not null,
    primary key (deployment_id, position)
);

create table metric_points (
    deployment_id  text not null references deployments (id),
    minute         bigint not null,
    series         text not null check (series in ('requests', 'errors', 'p50', 'p95', 'p99', 'healthy')),
    side           text not null check (side in ('old', 'new')),
    value          double precision not null,
    primary key (deployment_id, minute, series, side)
);

create table changes (
    sequence       bigint not null primary key,
    kind           text not null check (kind in ('deployment', 'gate', 'service', 'operation', 'metrics', 'coverage')),
    subject        text not null,
    deployment_id  text,
    at             bigint not null
);

-- Until when AWS was listed for new deployments. The start of the latest one recorded would not do: a hook may record
-- a deployment before the watcher has listed those that came before it.
create table watch_marks (
    account       text not null,
    region        text not null,
    listed_until  bigint not null,
    primary key (account, region)
);
