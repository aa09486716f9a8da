-- Moving from store to store; see postgres/transfer.py. The caller is alone.

-- Delete jobs that were seized, or stand in no line, and let others have their places at the locks.
create or replace function taskmill.take_out(_refs bigint[]) returns void language plpgsql as $$
declare
    awaited text;
    news taskmill.news := taskmill.no_news();
    locks text[] := array(
        select distinct lock from taskmill.job where id = any(_refs) and state = 'queued' and lock is not null
    );
begin
    news.ended := array(select job_id from taskmill.job where id = any(_refs));
    perform taskmill.delete_jobs(_refs);
    foreach awaited in array locks loop
        news := taskmill.wake_waiter(news, awaited);
    end loop;
    perform taskmill.tell(news);
end $$;

-- What follows for jobs that came in: their places in the line, and in the lists of what expires or has ended.
create or replace function taskmill.settle_in(_refs bigint[]) returns void language plpgsql as $$
begin
    perform taskmill.line_up(_refs);
    insert into taskmill.expiry (expires_at, job)
    select expires_at, id from taskmill.job where id = any(_refs) and expires_at is not null and ended_at is null;
    insert into taskmill.ended (kept_for, ended_at, jobs)
    select kept_for, ended_at, array_agg(id) from taskmill.job
    where id = any(_refs) and ended_at is not null group by kept_for, ended_at;
    perform taskmill.ring();
end $$;
