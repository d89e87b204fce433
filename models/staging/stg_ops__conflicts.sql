with

snapshots as (

    select
        *,
        min(taken_at) over same_step as first_taken_at,
        max(taken_at) over same_step as last_taken_at
    from {{ ref('base_binance__snapshots') }}
    window same_step as (partition by market, symbol, snapshot_at)

),

-- Two snapshots of one step, taken some seconds apart.
two_for_one_step as (

    select * from snapshots
    where first_taken_at < last_taken_at

),

conflicts as (

    {%- for source_name, table_name in landed_tables() %}

    {{ conflicting_rows(source_name, table_name) }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

    union all

    select
        'binance' as exchange,
        'metrics' as dataset,
        market,
        {{ series_name(landed_table('raw_binance', 'binance_metrics'), 'kline_type') }} as kline_type,
        symbol,
        {{ series_name(landed_table('raw_binance', 'binance_metrics'), 'interval') }} as interval,
        snapshot_at as row_time,
        concat_ws('|', market, symbol, snapshot_at) as row_key,
        file_id,
        path,
        precedence,
        concat_ws('|', market, symbol, create_time, sum_open_interest, sum_open_interest_value) as content
    from two_for_one_step

)

select * from conflicts
