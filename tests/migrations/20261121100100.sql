-- An import under way with a gap behind it, and a deployment that was imported.
insert into imports (id, account, region, state, created_until, next_token, listed, settled, forgotten, not_watched,
    definitions_listed, definitions_settled, trouble, began_at, completed_at, generation)
values ('123456789012/eu-central-1', '123456789012', 'eu-central-1', 'reading', 1795000000000, null, 2, 1, 1, 0, 0, 0,
    'codedeploy:BatchGetDeployments: ThrottlingException: Rate exceeded', 1795000000000, null, 3);

insert into import_items (import_id, kind, subject, state, position, attempts, application, group_name, created_at,
    reading)
values ('123456789012/eu-central-1', 'deployment', 'd-3', 'read', 1, 2, 'shop', 'web-group', 1794999000000,
    '{"aws_id":"d-3","application":"shop","group":"web-group","config_name":"CodeDeployDefault.ECSAllAtOnce","creator":"user","description":null,"created_at":"2026-11-21T10:00:00.000Z","completed_at":null,"app_spec_digest":null,"previous_app_spec_digest":null,"reading":{"status":"succeeded","error_code":null,"error_message":null,"rolled_back_by":null,"rolls_back":null,"stages":[]}}');

insert into app_specs (account, region, application, digest, content)
values ('123456789012', 'eu-central-1', 'shop', 'ab12', 'version: 0.0');

update watch_marks set watched_since = 1795000000000, good_look_at = 1795000000000;

insert into watch_gaps (account, region, from_at, to_at, cause, detail)
values ('123456789012', 'eu-central-1', 1794990000000, 1794999000000, 'not_running', null);

update deployments set first_seen = 'imported', previous_unknown = 'nothing_earlier' where id = 'dep-2';
