-- No two rows have the same ${key}.
with

-- Grouping hashes takes less memory than grouping keys, and few are those of several keys.
doubled as (

    select hash(${key}) as key_hash
    from ${rows_of_keys}
    group by hash(${key})
    having count(*) > 1

)

select
    ${key},
    count(*) as row_count
from ${rows_of_keys}
where hash(${key}) in (select doubled.key_hash from doubled)
group by ${key}
having count(*) > 1
