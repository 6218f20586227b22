-- When AWS was told a verdict by a call whose answer is not known.
-- Reason: AWS takes up to a minute to show a stop. Whoever finds such a call waits that long before it is made again, so
-- that one verdict is one effect. Null as long as no call is open; older code neither reads nor writes it.

alter table gates add column delivery_called_at bigint;
