-- Rows as the version with the ledger writes them; of dep-2 the ledger has nothing yet.
update deployments set ledger_outcome = 'rolled_back', ledger_trouble = 'The entry is too large.' where id = 'dep-1';

update operations set ledger_generation = 2 where id = 'op-0707070707070707';

insert into ledger_heads (service_id, version, head) values ('svc-1', 4, '{"ver":4,"seq":1}');
