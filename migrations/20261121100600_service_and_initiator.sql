-- One service's deployments by one person, newest first.
-- Reason: no index served both filters; of a service with an eighth of a million deployments all were read (863 ms).
-- Older code neither needs nor minds it.

create index deployments_by_service_and_initiator on deployments (service_id, initiator, started_at, id);
