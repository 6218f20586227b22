-- Rows as the version of this migration wrote them.
insert into browser_sessions (id, token_sha256, user_id, method, user_groups, created_at, last_used_at, fresh_at, ends_at,
    ended_at, client_address, user_agent, id_token, kept_form)
values ('ses-0123456789abcdef', 'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd', 'usr-1', 'password', '[]',
    1795000000000, 1795000060000, 1795000000000, 1795086400000, null, '127.0.0.1', 'Firefox on Linux', null, null);
