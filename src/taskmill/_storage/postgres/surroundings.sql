-- name: server
select current_setting('server_version_num')::integer, current_setting('server_version'), current_setting('fsync'),
    current_setting('synchronous_commit'), current_setting('autovacuum'), pg_is_in_recovery();

-- name: oldest_transaction
select pid, extract(epoch from clock_timestamp() - xact_start)::bigint, state, left(query, 60) from pg_stat_activity
where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()
and backend_type = 'client backend' order by xact_start limit 1;

-- name: tables
select (select n_dead_tup from pg_stat_user_tables where schemaname = 'taskmill' and relname = 'job'),
    (
        select sum(pg_total_relation_size(oid)) from pg_class
        where relnamespace = 'taskmill'::regnamespace and relkind = 'r'
    )::bigint;
