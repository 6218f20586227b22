-- What else an entry of the audit log says: the actor's address, the service, digests of policy and evidence, the call
-- to AWS; and what the auditor's searches need.
-- Reason: who changed what from where, under which policy, and where CloudTrail has it, must be in the chain itself.
--
-- The context is hashed with its entry. The service stands in a column as well, for search. Entries from before have
-- neither, and keep their hashes.

alter table audit_log add column context text;

alter table audit_log add column service text;

-- Without a time, entries are listed in the order of the chain; with one, in the order of their times.

create index audit_log_by_service on audit_log (service, sequence);

create index audit_log_by_service_and_time on audit_log (service, at, sequence);

create index audit_log_by_event on audit_log (event, sequence);

create index audit_log_by_event_and_time on audit_log (event, at, sequence);

create index audit_log_by_actor_and_time on audit_log (actor, at, sequence);

create index audit_log_with_reason on audit_log (sequence) where reason is not null;
