-- No row lacks a part of its key (${key}).
select * from ${rows_with_keys}
where ${key_has_null}
