-- What jobs say of themselves.

-- _writings: rows of ref, job_id, fence, sheets (number and text) and torn (numbers). session and fence are the guard: who
-- lost the job writes nothing.
create or replace function taskmill.write_journals(_session bigint, _writings json, _kept integer) returns boolean
language plpgsql as $$
declare
    writing record;
    held record;
    has_changed boolean := false;
begin
    perform taskmill.alone_with(_session);
    for writing in
        select * from json_to_recordset(_writings) as w (ref bigint, fence bigint, sheets json, torn json)
    loop
        select attempt into held from taskmill.job
        where id = writing.ref and session = _session and fence = writing.fence and state = 'running';
        continue when not found;
        has_changed := true;
        insert into taskmill.sheet (job, fence, number, attempt, text)
        select writing.ref, writing.fence, (s->>0)::integer, held.attempt, s->>1 from json_array_elements(writing.sheets) s
        on conflict (job, fence, number) do update set text = excluded.text;
        delete from taskmill.sheet
        where job = writing.ref and fence = writing.fence
        and number in (select t::text::integer from json_array_elements(writing.torn) t);
        delete from taskmill.sheet where job = writing.ref and fence <= writing.fence - _kept;
    end loop;
    return has_changed;
end $$;
