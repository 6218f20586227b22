-- Rows as the first version wrote them.
insert into users (id, username, password_hash, roles)
values ('usr-1', 'dana', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA', '["viewer","admin"]');

insert into tokens (token_sha256, name, roles)
values ('abababababababababababababababababababababababababababababababab', 'ci', '["operator"]');

insert into sessions (id, data, expires_at) values ('AAAA', '{}', 1795000000000);

insert into idempotency_keys (actor, idempotency_key, route, body_sha256, status, body, at)
values ('dana', 'key-1', '/api/v1/gates', 'ee', 201, '{}', 1795000000000);

insert into used_signatures (signature, used_at) values ('t=1,v1=ff', 1795000000000);
