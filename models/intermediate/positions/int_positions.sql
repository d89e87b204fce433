with

positions as (

    select * from {{ ref('int_positions_' ~ var('position_model')) }}

)

select * from positions
