-- A deployment that was undone.
update deployments set rolled_back_by = 'dep-2' where id = 'dep-1';
