-- A hint that nobody had heard when the server was replaced.
insert into event_hints (event_id, hint, received_at) values ('0d07bc4c-7c58-4a3b-8a1f-000000000001', '{"id":"0d07bc4c-7c58-4a3b-8a1f-000000000001","account":"123456789012","region":"eu-central-1","detail_type":"ECS Service Action","subject":null}', 1795000000000);
