-- How far back a change of labels reaches concerns every model above: depends_on: {{ ref('int_metrics_label_reach') }}
with

source as (

    select * from {{ source('raw_binance', 'binance_metrics') }}

),

files as (

    select * from {{ source('ops', 'ingestion_files') }}

),

labels as (

    select * from {{ ref('int_metrics_snapshot_labels') }}

),

renamed as (

    select
        -- ids
        'binance' as exchange,
        source.market,
        source.symbol,

        -- numbers; an open interest of zero is a failed measurement of the exchange's, not a fact
        nullif(source.sum_open_interest, 0) as open_interest,
        nullif(source.sum_open_interest_value, 0) as open_interest_usd,
        source.count_toptrader_long_short_ratio as top_trader_account_long_short_ratio,
        source.sum_toptrader_long_short_ratio as top_trader_position_long_short_ratio,
        source.count_long_short_ratio as account_long_short_ratio,
        source.sum_taker_long_short_vol_ratio as taker_buy_sell_volume_ratio,

        -- times
        case labels.label
            when 'start' then source.create_time + interval '5 minutes'
            else source.create_time
        end as snapshot_at,

        -- origin
        source.file_id
    from source
    left join labels
        on source.file_id = labels.file_id

),

-- Not `one_row_per_key`: where files with both kinds of labels meet, rows with different labels can be one snapshot,
-- and rows with the same label different ones.
chosen as (

    select renamed.*
    from renamed
    inner join files
        on renamed.file_id = files.file_id
    qualify
        row_number() over (
            partition by renamed.market, renamed.symbol, renamed.snapshot_at
            order by
                {{ file_precedence('files') }}
        ) = 1

)

select * from chosen
