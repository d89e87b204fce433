with

overlapping_files as (

    select * from {{ ref('base_ops__overlapping_files') }}
    where dataset = 'aggTrades'

),

-- Where a better file has all numbers between its first and its last, no row has to be read to know it.
better_ranges as (

    select
        worse.file_id,
        worse.first_id as file_first_id,
        worse.last_id as file_last_id,
        better.first_id,
        better.last_id
    from overlapping_files as worse
    inner join overlapping_files as better
        on
            worse.exchange = better.exchange
            and worse.market = better.market
            and worse.symbol = better.symbol
            and worse.precedence > better.precedence
            and worse.first_id <= better.last_id
            and worse.last_id >= better.first_id
    where better.has_all_ids

),

begun as (

    select
        *,
        first_id > 1 + max(last_id) over (
            partition by file_id
            order by first_id, last_id
            rows between unbounded preceding and 1 preceding
        ) as begins_range
    from better_ranges

),

numbered as (

    select
        *,
        count_if(coalesce(begins_range, true)) over (
            partition by file_id
            order by first_id, last_id
            rows between unbounded preceding and current row
        ) as range_number
    from begun

),

united as (

    select
        file_id,
        min(first_id) as first_id,
        max(last_id) as last_id,
        min(first_id) <= min(file_first_id) and max(last_id) >= max(file_last_id) as is_whole_file
    from numbered
    group by file_id, range_number

)

select * from united
