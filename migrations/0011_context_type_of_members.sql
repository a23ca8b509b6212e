-- What kind of context a row of membership is about, as assignments know what kind of resource they are about: units and
-- departments are loaded each on its own, and a full load of one must not touch the members of the other.
alter table context_members add column context_type text collate "C";
alter table history_context_members add column context_type text collate "C";
call define_history_readers();
