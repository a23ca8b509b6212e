-- Never: what is asked of the past is found by going from node to node.
create function access_closure_is_fresh(p_system_id integer)
returns boolean
language sql immutable
begin atomic
    select false;
end;
