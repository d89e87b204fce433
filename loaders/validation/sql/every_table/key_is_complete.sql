-- No row lacks a part of its key (${key}).
select * from ${table}
where ${key_has_null}
