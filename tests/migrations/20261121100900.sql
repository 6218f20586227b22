-- An import whose part of ECS could not be listed.
update imports set unlisted = 'ecs', trouble = 'ecs:ListClusters: AccessDeniedException: no' where state = 'reading';
