-- What a psql session says and sees: types, errors, transactions, cursors, COPY, notices, notifications.
\set VERBOSITY verbose
\set SHOW_CONTEXT always
select 1 as int, 'text' as text, null as nothing, '{1,2}'::int[] as list, '\xdeadbeef'::bytea as bytes, 1.50::numeric;
select repeat('x', 100000) as long \g /dev/null
select length(repeat('ä', 300000));
select no_such_column;
select 1/0;
create temp table notes (n int primary key, note text);
insert into notes select i, 'note ' || i from generate_series(1, 500) i;
insert into notes values (1, 'again');
begin;
declare some cursor for select * from notes order by n;
fetch 3 from some;
move 490 in some;
fetch all from some;
savepoint one;
select * from nowhere;
rollback to one;
select count(*) from notes;
commit;
prepare one (int) as select note from notes where n = $1;
execute one (7);
deallocate one;
execute one (7);
\copy notes to pstdout
copy notes from stdin;
1001	one
1002	two\nlines
\.
copy notes from stdin;
not a number	x
\.
copy (select n from notes where n > 1000) to stdout;
copy (select n from notes where n > 1000) to stdout with (format binary) \g /dev/null
do $$ begin raise notice 'a notice'; raise warning 'a warning'; end $$;
listen here;
notify here, 'a word';
set client_encoding to 'latin1';
select 'ä' as latin, length('ä');
set client_encoding to 'utf8';
select 1 \; select 2 \; select 3/0 \; select 4;
\set FETCH_COUNT 50
select * from notes order by n limit 120;
\unset FETCH_COUNT
select n, note from notes where n < 4 \gdesc
select $1::int + $2::int \bind 1 2 \g
\c -
select count(*) from pg_stat_activity where pid = pg_backend_pid();
\conninfo
