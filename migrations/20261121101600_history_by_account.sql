-- The deployments of one of several accounts, newest first.
-- Reason: no index ended in the key of the history's pages for them; of an account with few deployments a page would be
-- looked for among those of all. Older code neither needs nor minds it.

create index deployments_by_account on deployments (account, started_at, id);
