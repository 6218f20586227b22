-- Rows as the first version wrote them.
insert into hooks (deployment_aws_id, execution_id, received_at, state, detail)
values ('d-2', 'exec-9', 1795000000000, 'waiting', null), ('d-1', 'exec-1', 1795000000000, 'gate', null);

insert into gates (id, deployment_id, deployment_aws_id, kind, stage, wait, state, policy, opened_at, expires_at,
    wall_at, closed_at, evidence_digest, verdict, delivery, delivery_detail, delivery_attempts, generation)
values ('gate-1', 'dep-1', 'd-1', 'codedeploy_hook', 'BeforeAllowTraffic', 'exec-1', 'rejected',
    '{"required_approvals":1,"fuse_seconds":900,"at_expiry":"reject"}', 1795000000000, 1795000900000, 1795003600000,
    1795000060000, 'aa', 'reject', 'confirmed', 'req-1', 1, 4),
    ('gate-2', 'dep-1', 'd-1', 'codedeploy_ready_wait', 'BeforeAllowTraffic', 'ready', 'open',
    '{"required_approvals":2,"fuse_seconds":900,"at_expiry":"approve"}', 1795000000000, 1795000900000, 1795003600000,
    null, 'bb', null, null, null, 0, 1);

insert into decisions (gate_id, actor, verdict, reason, evidence_digest, evidence, at)
values ('gate-1', 'dana', 'reject', '5xx', 'aa', '{"metrics":[]}', 1795000060000);

insert into operations (id, kind, service_id, deployment_id, target_revision, actor, reason, plan, call, state, detail,
    aws_id, created_at, called_at, attempts, generation)
values ('op-0707070707070707', 'redeploy', 'svc-1', 'dep-2',
    'arn:aws:ecs:eu-central-1:123456789012:task-definition/web:1', 'dana', 'INC-1', '{"digest":"cc"}', '{}',
    'submitted', null, 'd-2', 1795000000000, 1795000000000, 1, 3);
