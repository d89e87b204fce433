with

overlapping_files as (

    select * from {{ ref('base_ops__overlapping_files') }}
    where dataset = 'aggTrades'

),

superseded as (

    select distinct file_id from {{ ref('base_ops__superseded_ids') }}
    where is_whole_file

),

-- Ids that are not known (a ledger of an older version) may be any. The best file of all stands uncontested.
contested as (

    select distinct
        worse.file_id,
        worse.precedence
    from overlapping_files as worse
    inner join overlapping_files as better
        on
            worse.exchange = better.exchange
            and worse.market = better.market
            and worse.symbol = better.symbol
            and worse.precedence > better.precedence
            and coalesce(worse.first_id <= better.last_id, true)
            and coalesce(worse.last_id >= better.first_id, true)

),

judged as (

    select
        contested.file_id,
        contested.precedence,
        superseded.file_id is not null as is_superseded
    from contested
    left join superseded
        on contested.file_id = superseded.file_id

)

select * from judged
