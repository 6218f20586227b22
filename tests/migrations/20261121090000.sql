-- Rows as the first version wrote them.
insert into services (id, name, arn, cluster, account, region, controller, application, group_name, deployment_group,
    serving_revision, serving_since, desired_count, running_count, observed_at, generation)
values ('svc-1', 'web', 'arn:aws:ecs:eu-central-1:123456789012:service/main/web', 'main', '123456789012',
    'eu-central-1', 'codedeploy', 'shop', 'web-group',
    '{"application":"shop","group":"web-group","config_name":"CodeDeployDefault.ECSAllAtOnce","routes":{"production_listener":null,"test_listener":null,"target_groups":[]},"alarms":[],"rolls_back_on_failure":true,"rolls_back_on_alarm":true,"ready_wait_minutes":0,"termination_wait_minutes":5}',
    'arn:aws:ecs:eu-central-1:123456789012:task-definition/web:1', 1795000000000, 2, 2, 1795000000000, 1);

insert into revisions (arn, family, number, status, registered_at, registered_by, task_definition)
values ('arn:aws:ecs:eu-central-1:123456789012:task-definition/web:1', 'web', 1, 'active', 1795000000000, 'ci', '{}'),
    ('arn:aws:ecs:eu-central-1:123456789012:task-definition/web:2', 'web', 2, 'inactive', null, null, '{"a":[1]}');

insert into service_revisions (service_id, arn)
values ('svc-1', 'arn:aws:ecs:eu-central-1:123456789012:task-definition/web:1'),
    ('svc-1', 'arn:aws:ecs:eu-central-1:123456789012:task-definition/web:2');

insert into served_periods (service_id, revision, from_at, to_at, share_permille)
values ('svc-1', 'arn:aws:ecs:eu-central-1:123456789012:task-definition/web:1', 1795000000000, 1795000001000, 1000),
    ('svc-1', 'arn:aws:ecs:eu-central-1:123456789012:task-definition/web:2', 1795000001000, null, 100);

insert into deployments (id, started_at, outcome, phase, outcome_cause, service_id, service_name, initiator, aws_id,
    target_revision, reason, cluster, account, region, controller, strategy, previous_revision, previous_evidence,
    observed_at, generation, alarms, reading)
values ('dep-1', 1795000000000, 'rolled_back', null, 'alarm', 'svc-1', 'web', 'dana', 'd-1',
    'arn:aws:ecs:eu-central-1:123456789012:task-definition/web:2', 'CHG-1', 'main', '123456789012', 'eu-central-1',
    'codedeploy', 'CodeDeployDefault.ECSAllAtOnce', 'arn:aws:ecs:eu-central-1:123456789012:task-definition/web:1',
    'task_set', 1795000000000, 3, '[]',
    '{"status":"stopped","error_code":"ALARM_ACTIVE","error_message":null,"rolled_back_by":"d-2","rolls_back":null,"stages":[]}'),
    ('dep-2', 1795000000000, 'in_progress', 'cleaning_up', null, 'svc-1', 'web', 'codeDeployRollback', 'd-2',
    null, null, 'main', '123456789012', 'eu-central-1', 'codedeploy', 'CodeDeployDefault.ECSAllAtOnce', null, null,
    1795000000000, 1, '[{"name":"web-5xx","state":"OK","since":null,"threshold":1}]',
    '{"status":"running","error_code":null,"error_message":null,"rolled_back_by":null,"rolls_back":"d-1","stages":[{"name":"AllowTraffic","status":"in_progress","started_at":"2026-11-21T10:00:00.000Z","ended_at":null,"message":null}]}');

insert into timeline (deployment_id, position, at, kind, line, made_by, data)
values ('dep-1', 1, 1795000000000, 'started', 'The deployment began.', null, '{}');

insert into metric_points (deployment_id, minute, series, side, value)
values ('dep-1', 1794999960000, 'p99', 'new', 412.5);

insert into changes (sequence, kind, subject, deployment_id, at)
values (1, 'deployment', 'dep-1', 'dep-1', 1795000000000);

insert into watch_marks (account, region, listed_until) values ('123456789012', 'eu-central-1', 1795000000000);
