-- _deed: a row with the columns of the table. Ids have gaps, so the oldest are found by counting; whoever else deletes them
-- just now is not waited for.
create or replace function taskmill.append_deed(_deed json, _most integer, _wall bigint) returns void language plpgsql as $$
begin
    insert into taskmill.deed (at, deed_id, who, origin, what, subject, number)
    select taskmill.clock(_wall), deed_id, who, origin, what, subject, number from json_to_record(_deed) as d (
        deed_id text, who text, origin text, what text, subject text, number bigint
    )
    on conflict do nothing;
    delete from taskmill.deed where id in (
        select id from taskmill.deed order by id desc offset _most for update skip locked
    );
end $$;
