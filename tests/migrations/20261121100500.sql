-- A verdict whose call was never answered.
insert into gates (id, deployment_id, deployment_aws_id, kind, stage, wait, state, policy, opened_at, expires_at,
    wall_at, closed_at, evidence_digest, verdict, delivery, delivery_detail, delivery_attempts, generation,
    delivery_called_at)
values ('gate-3', 'dep-2', 'd-2', 'codedeploy_ready_wait', 'Ready', 'ready-wait', 'rejected',
    '{"required_approvals":1,"fuse_seconds":900,"at_expiry":"reject"}', 1795000000000, 1795000900000, 1795003600000,
    1795000060000, 'cc', 'reject', 'recorded', null, 1, 3, 1795000061000);
