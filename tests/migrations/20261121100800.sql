-- A service that ECS itself deploys. The words of controller, application and group are what the columns ask for.
insert into services (id, name, arn, cluster, account, region, controller, application, group_name, deployment_group,
    serving_revision, serving_since, desired_count, running_count, observed_at, generation, ecs_service)
values ('svc-ecs', 'orders', 'arn:aws:ecs:eu-central-1:123456789012:service/main/orders', 'main', '123456789012',
    'eu-central-1', 'codedeploy', '', '', '{"application":"","group":"","config_name":"","routes":{"production_listener":null,"test_listener":null,"target_groups":[]},"alarms":[],"rolls_back_on_failure":false,"rolls_back_on_alarm":false,"ready_wait_minutes":0,"termination_wait_minutes":null}',
    null, null, 4, 4, 1763719200000, 1,
    '{"configuration":{"strategy":"rolling","minimum_healthy_percent":50,"maximum_percent":150},"target_groups":[],"primary":"ecs-svc/1"}');
