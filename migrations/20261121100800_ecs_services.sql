-- What ECS says of a service that it deploys itself: rolling, blue-green, linear, canary.
-- Reason: until now every service was CodeDeploy's, and the check of services.controller has no other word, which cannot be
-- taken away without keeping older versions out. So this column tells: null, and CodeDeploy deploys the service.

alter table services add column ecs_service text;
