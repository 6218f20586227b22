-- Which revisions were deployed and undone, by an index of only those.
-- Reason: the list of services counts the known-good revisions of each, and looked through the whole history for it.

create index deployments_undone on deployments (service_id, target_revision)
    where outcome = 'rolled_back' or rolled_back_by is not null;
