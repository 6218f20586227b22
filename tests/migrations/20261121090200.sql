-- Rows as the first version wrote them.
insert into audit_log (sequence, at, actor, event, subject, reason, body, hash)
values (1, 1795000000000, 'dana', 'signed_in', null, null, '{"event":"signed_in"}', 'dd');
