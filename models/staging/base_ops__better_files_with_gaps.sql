with

overlapping_files as (

    select * from {{ ref('base_ops__overlapping_files') }}
    where dataset = 'aggTrades'

),

contested_files as (

    select * from {{ ref('base_ops__contested_files') }}
    where not is_superseded

),

-- Ids that are not known (a ledger of an older version) may be any.
pairs as (

    select
        worse.file_id,
        better.file_id as better_file_id
    from overlapping_files as worse
    inner join contested_files
        on worse.file_id = contested_files.file_id
    inner join overlapping_files as better
        on
            worse.market = better.market
            and worse.symbol = better.symbol
            and worse.precedence > better.precedence
            and coalesce(worse.first_id <= better.last_id, true)
            and coalesce(worse.last_id >= better.first_id, true)
    where not better.has_all_ids

)

select * from pairs
