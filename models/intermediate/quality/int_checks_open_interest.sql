with

perpetuals as (

    select * from {{ ref('open_interest_5m') }}

),

staged as (

    select * from {{ ref('stg_binance__metrics') }}

),

-- Of perpetuals the mart has every snapshot; to stage them once more would be a sort of all history.
snapshots as (

    select
        symbol,
        snapshot_at,
        open_interest
    from perpetuals
    union all
    select
        symbol,
        snapshot_at,
        open_interest
    from staged
    where not ({{ is_perpetual() }})

),

labels as (

    select * from {{ ref('int_metrics_snapshot_labels') }}

),

sides as (

    select * from {{ ref('candles_with_side') }}

),

liquidation_map as (

    select * from {{ ref('liquidation_map') }}

),

timeline as (

    select * from {{ ref('int_liquidation_timeline') }}

),

-- Both in one pass over all history.
counted_snapshots as (

    select
        symbol,
        count(*) filter (where open_interest is null) as blank,
        min(snapshot_at) filter (where open_interest is null) as first_blank_at,
        count(*) filter (where not ({{ is_on_grid('snapshot_at') }})) as off_grid,
        min(snapshot_at) filter (where not ({{ is_on_grid('snapshot_at') }})) as first_off_grid_at
    from snapshots
    group by symbol

),

open_interest_blank as (

    select
        'open_interest_blank' as check_name,
        symbol,
        blank as value,
        'snapshots of zero or nothing, the first at ' || cast(first_blank_at as string) as finding
    from counted_snapshots

),

snapshots_off_grid as (

    select
        'snapshots_off_grid' as check_name,
        symbol,
        off_grid as value,
        'snapshots that are of no five-minute step, the first at ' || cast(first_off_grid_at as string) as finding
    from counted_snapshots

),

label_votes as (

    select
        *,
        prices_far_off > 0
        or (
            votes_instant + votes_start >= {{ var('snapshot_label_least_votes') }}
            and votes_neither > (1 - {{ var('snapshot_label_least_share') }}) * (votes_instant + votes_start)
        ) as fits_no_candle,
        origin != 'rest'
        and measured_label is null
        and votes_instant + votes_start >= {{ var('snapshot_label_least_votes') }} as is_divided
    from labels

),

snapshot_labels as (

    select
        'snapshot_labels' as check_name,
        symbol,
        count(*) filter (where is_divided) as value,
        'files whose rows disagree; ' || cast(count(*) as string) || ' files, measured or documented '
        || cast(count(*) filter (where decided_by in ('measured', 'documented')) as string)
        || ', assumed ' || cast(count(*) filter (where decided_by = 'assumed') as string)
        || coalesce('; the first begins at ' || cast(min(first_time) filter (where is_divided) as string), '')
            as finding
    from label_votes
    group by symbol

),

snapshot_prices as (

    select
        'snapshot_prices' as check_name,
        symbol,
        count(*) filter (where fits_no_candle) as value,
        'files whose snapshots fit no candle, the first begins at '
        || cast(min(first_time) filter (where fits_no_candle) as string) as finding
    from label_votes
    group by symbol

),

flat_candle_share as (

    select
        'flat_candle_share' as check_name,
        symbol,
        round(
            cast(count(*) filter (where position_event = 'none') as double) / count(position_event), 6
        ) as value,
        'share of the candles whose change is known: ' || cast(count(position_event) as string) as finding
    from sides
    group by symbol
    having count(position_event) > 0

),

standing as (

    select
        symbol,
        greatest(
            coalesce(sum(quantity) filter (where side = 'long'), 0),
            coalesce(sum(quantity) filter (where side = 'short'), 0)
        ) as quantity
    from liquidation_map
    group by symbol

),

last_open_interest as (

    select
        symbol,
        max_by(last_open_interest, step_at) as open_interest
    from timeline
    where last_open_interest > 0
    group by symbol

),

share_explained as (

    select
        'share_explained' as check_name,
        last_open_interest.symbol,
        round(
            coalesce(cast(standing.quantity as double), 0) / cast(last_open_interest.open_interest as double), 6
        ) as value,
        'share of the last open interest, in contracts, that the standing levels of the larger side explain' as finding
    from last_open_interest
    left join standing
        on last_open_interest.symbol = standing.symbol

),

{{ union_of_checks(
    [
        'open_interest_blank', 'snapshots_off_grid', 'snapshot_labels', 'snapshot_prices', 'flat_candle_share',
        'share_explained',
    ],
    "'binance'",
    "'metrics'"
) }}

select * from checks
