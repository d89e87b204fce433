-- No two rows have the same ${key}.
select
    ${key},
    count(*) as row_count
from ${rows_of_keys}
group by ${key}
having count(*) > 1
