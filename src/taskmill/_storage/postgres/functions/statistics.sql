-- _tallies: rows with the columns of the table. Added in one order, so that no two wait for each other.
create or replace function taskmill.add_tallies(_tallies json, _oldest bigint) returns void language plpgsql as $$
begin
    insert into taskmill.tally as t (minute, task, event, bucket, number)
    select minute, task, event, bucket, sum(number) from json_to_recordset(_tallies) as s (
        minute bigint, task text, event text, bucket smallint, number bigint
    )
    group by minute, task, event, bucket order by minute, task, event, bucket
    on conflict (minute, task, event, bucket) do update set number = t.number + excluded.number;
    delete from taskmill.tally where minute < _oldest;
end $$;
