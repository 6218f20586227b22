-- The parts of the list of an account's past that are not read to their end, apart by blanks.
-- Reason: one deployment controller may be refused by AWS while the other is not, and then its part is left for later.
-- What was complete before this has never listed ECS's past. Older code neither needs nor minds it.

alter table imports add column unlisted text not null default 'codedeploy ecs';
update imports set unlisted = 'ecs' where state <> 'listing';
