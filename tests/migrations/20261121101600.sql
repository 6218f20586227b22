-- An index, and no rows of its own: the deployments above stand in it. What asks for one account finds them still.
update deployments set reason = 'of the one account' where id = 'dep-2';
