-- Rows as this version writes them: an end of a bake, and a gate at a Lambda hook of ECS.
insert into operations (id, kind, service_id, deployment_id, target_revision, actor, reason, plan, call, state, detail,
    aws_id, created_at, called_at, attempts, generation)
values ('op-0707070707070799', 'end_bake', 'svc-1', 'dep-1', null, 'dana', 'quiet for an hour', '{"digest":"ee"}', '{}',
    'done', null, 'd-1', 1795000000000, 1795000000000, 1, 4);

insert into gates (id, deployment_id, deployment_aws_id, kind, stage, wait, state, policy, opened_at, expires_at,
    wall_at, closed_at, evidence_digest, verdict, delivery, delivery_detail, delivery_attempts, generation)
values ('gate-99', 'dep-1', 'd-1', 'ecs_hook', 'POST_SCALE_UP', 'ecs-lambda-1', 'open',
    '{"required_approvals":1,"fuse_seconds":900,"at_expiry":"reject"}', 1795000000000, 1795000900000, 1795000900000,
    null, 'dd', null, null, null, 0, 1);
