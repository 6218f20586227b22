-- Rows as the version of this migration wrote them.
insert into users (id, username, password_hash, roles) values ('usr-2', 'mira', '', '[]');

insert into oidc_identities (issuer, subject, user_id) values ('https://id.example.com', '248289761001', 'usr-2');

insert into sign_in_flows (state_sha256, browser_sha256, nonce, pkce_verifier, return_to, session_id, begun_at, ends_at)
values ('efefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef', 'aa', 'n', 'v', '/gates/gate-1', null,
    1795000000000, 1795000600000);
