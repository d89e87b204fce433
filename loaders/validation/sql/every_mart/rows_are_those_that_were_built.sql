-- The mart has as many rows as its last build left in it.
with

present as (

    select count(*) as row_count from ${table}

)

select
    present.row_count,
    built.row_count as row_count_when_built
from present
left join state.mart_rows as built
    on built.model = '${name}'
where present.row_count is distinct from built.row_count
