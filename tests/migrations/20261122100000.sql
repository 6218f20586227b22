-- An entry that says more.
insert into audit_log (sequence, at, actor, event, subject, reason, body, hash, context, service)
values (2, 1795000001000, 'dana', 'signed_in', null, null, '{"event":"signed_in"}', 'ee', '{"address":"192.0.2.7"}', null);
