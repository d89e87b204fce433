with

files as (

    select * from {{ source('ops', 'ingestion_files') }}
    where
        status = 'loaded'
        and dataset = 'liquidations'
        and market = 'um'
        and rows_loaded > 0

),

-- A file of the archive holds its whole day; of a recording nobody knows more than when its first and last orders came.
-- Whole candles only.
file_spans as (

    select
        file_id,
        case
            when origin = 'archive' then period_start
            else {{ candle_start("first_time + interval '5 minutes' - interval '1 microsecond'") }}
        end as span_start,
        case
            when origin = 'archive' then period_end
            else {{ candle_start('last_time') }}
        end as span_end
    from files

),

-- What a recorder listened to is known by the symbols it wrote down.
symbol_spans as (

    select distinct
        liquidations.symbol,
        file_spans.span_start,
        file_spans.span_end
    from file_spans
    inner join {{ source('raw_binance', 'binance_liquidations') }} as liquidations
        on file_spans.file_id = liquidations.file_id
    where file_spans.span_start < file_spans.span_end

),

marked as (

    select
        *,
        case
            when
                span_start <= max(span_end) over (
                    partition by symbol
                    order by span_start, span_end
                    rows between unbounded preceding and 1 preceding
                )
                then 0
            else 1
        end as begins
    from symbol_spans

),

numbered as (

    select
        *,
        sum(begins) over (
            partition by symbol order by span_start, span_end rows between unbounded preceding and current row
        ) as span_number
    from marked

),

spans as (

    select
        symbol,
        min(span_start) as span_start,
        max(span_end) as span_end
    from numbered
    group by symbol, span_number

)

select * from spans
