-- How far the ledger (a DynamoDB table outside of this database) has what stands here.
-- Reason: a rollback must be possible when this database is gone, so what is missing in the ledger has to be known and
-- made up for, also after the ledger was out of reach.

-- The outcome that the ledger has; null while it has nothing of the deployment.
alter table deployments add column ledger_outcome text;

-- Why the ledger does not have it, where it never will: an entry that is too large.
alter table deployments add column ledger_trouble text;

-- The generation that the ledger has; 0 while it has nothing of the operation.
alter table operations add column ledger_generation bigint not null default 0;

create index deployments_not_in_ledger on deployments (started_at, id)
    where ledger_outcome is null or ledger_outcome <> outcome;

create index operations_not_in_ledger on operations (created_at, id) where ledger_generation < generation;

-- The head of each service as it was last seen in the ledger. A service without a row was not compared with it yet.
create table ledger_heads (
    service_id  text not null primary key references services (id),
    version     bigint not null,
    head        text not null
);
