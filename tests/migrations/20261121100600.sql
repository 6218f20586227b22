-- An index, and no rows of its own: the deployments above stand in it. What asks for one service and one person finds
-- one of them still.
update deployments set initiator = 'mira' where id = 'dep-2';
