-- No two rows have the same ${key}.
select
    ${key},
    count(*) as row_count
from ${table}
group by ${key}
having count(*) > 1
