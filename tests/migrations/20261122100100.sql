-- A checkpoint, the key that signed it, and a removal.
insert into audit_checkpoints (sequence, hash, at, previous, key_id, signature)
values (1, 'dd', 1795000002000, 'aa', '0123456789abcdef', 'ff');

insert into audit_keys (key_id, public_key, seed, made_at) values ('0123456789abcdef', 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', null, 1795000002000);

insert into audit_removals (last_sequence, tombstone) values (0, 1);
