-- Take the lock: its token, or who holds it. _request is the client's own number of this request; who repeats it because
-- the reply was lost finds the lock taken by it. _gone: a session whose process is known to be gone; _word as in `turn`.
create or replace function taskmill.acquire(
    _name text, _session bigint, _word text, _request text, _gone bigint, _wall bigint, _monotonic bigint,
    out token bigint, out holder bigint
) language plpgsql as $$
declare
    known record;
    tick bigint := taskmill.clock(_monotonic);
begin
    select l.token, l.session, l.request, s.leased_until into known
    from taskmill.lock l left join taskmill.session s on s.id = l.session where name = _name;
    if known.request = _request then
        token := known.token;
        return;
    end if;
    -- Looked at first: whoever waits for a lock asks often.
    if known.leased_until >= tick and known.session is distinct from _gone then
        holder := known.session;
        return;
    end if;
    perform taskmill.alone();
    if not exists (
        select 1 from taskmill.session where id = _session and _word in ('', slots) and leased_until >= tick
    ) then
        return;
    end if;
    delete from taskmill.lock l
    where l.name = _name and (l.session = _gone or not exists (
        select 1 from taskmill.session s where s.id = l.session and s.leased_until >= tick
    ));
    insert into taskmill.lock (name, session, since, request)
    values (_name, _session, taskmill.clock(_wall), _request) on conflict do nothing
    returning lock.token into token;
end $$;

create or replace function taskmill.release(_name text, _session bigint, _token bigint) returns boolean
language plpgsql as $$
declare
    news taskmill.news := taskmill.no_news();
begin
    perform taskmill.alone();
    -- Only its owner frees a lock.
    delete from taskmill.lock where name = _name and session = _session and token = _token and job is null;
    if not found then
        return false;
    end if;
    news := taskmill.wake_waiter(news, _name);
    perform taskmill.tell(news);
    return true;
end $$;
