with

source as (

    select * from {{ ref('base_kraken__ohlcvt') }}

),

renamed as (

    select
        -- ids
        'kraken' as exchange,
        'spot' as market,
        'last' as kline_type,
        pair as symbol,
        -- Kraken names the lengths in minutes; ours are the archive's
        case
            when interval_minutes % 1440 = 0 then cast(cast(interval_minutes / 1440 as integer) as string) || 'd'
            when interval_minutes % 60 = 0 then cast(cast(interval_minutes / 60 as integer) as string) || 'h'
            else cast(interval_minutes as string) || 'm'
        end as interval,

        -- numbers
        interval_minutes,
        open,
        high,
        low,
        close,
        volume,
        trades as trade_count,

        -- times
        timestamp as open_time,

        -- origin
        file_id
    from source

)

select * from renamed
