insert into leases (name, holder, fence, beats, looks) values ('account 123456789012', 'desk-1', 3, 17, '[]');
