with

snapshots as (

    select * from {{ ref('base_binance__snapshot_steps') }}

),

files as (

    select * from {{ source('ops', 'ingestion_files') }}

),

-- Of two snapshots of one step, taken some seconds apart, one at least was not taken at the step itself. There are few;
-- to compare all snapshots would be a sort of all history.
beside_their_step as (

    select distinct
        market,
        symbol,
        snapshot_at
    from {{ ref('base_binance__snapshot_steps') }}
    where taken_at != snapshot_at

),

of_these_steps as (

    select
        snapshots.*,
        files.path,
        {{ snapshot_precedence('snapshots', 'files') }} as precedence,
        min(snapshots.taken_at) over same_step as first_taken_at,
        max(snapshots.taken_at) over same_step as last_taken_at
    from snapshots
    inner join beside_their_step
        on
            snapshots.market = beside_their_step.market
            and snapshots.symbol = beside_their_step.symbol
            and snapshots.snapshot_at = beside_their_step.snapshot_at
    inner join files
        on snapshots.file_id = files.file_id
    window same_step as (partition by snapshots.market, snapshots.symbol, snapshots.snapshot_at)

),

two_for_one_step as (

    select * from of_these_steps
    where first_taken_at < last_taken_at

),

conflicts as (

    {%- for source_name, table_name in landed_tables()[:var('datasets_to_lint', none)] %}

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
