-- Jobs that only look at a source (what could be read, which attributes there are, what the identity filter does), and what
-- they found out. json, not jsonb: a tenant's texts may hold a NUL.
alter table jobs add column result json;
create index jobs_with_results on jobs (finished_at) where result is not null;

-- They open no loads, so they run beside a crawl of their crawler; crawls of one crawler still run one after the other.
drop index jobs_one_at_a_time;
create unique index jobs_one_at_a_time on jobs (crawler_id) where state in ('leased', 'running') and kind = 'crawl';
