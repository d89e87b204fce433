with

overlapping_files as (

    select * from {{ ref('base_ops__overlapping_files') }}
    where dataset = 'aggTrades'

),

superseded as (

    select distinct file_id from {{ ref('base_ops__superseded_ids') }}
    where is_whole_file

),

-- Numbers that are not known (a ledger of an older version) may be any. The best file of all stands uncontested.
contested as (

    select
        worse.file_id,
        worse.precedence,
        worse.file_id in (select superseded.file_id from superseded) as is_superseded
    from overlapping_files as worse
    where
        exists (
            select 1
            from overlapping_files as better
            where
                worse.market = better.market
                and worse.symbol = better.symbol
                and worse.precedence > better.precedence
                and coalesce(worse.first_id <= better.last_id, true)
                and coalesce(worse.last_id >= better.first_id, true)
        )

)

select * from contested
