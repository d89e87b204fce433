-- What goes in comes out: two ways to the same picture, compared both ways.
with

newest as (

    select
        symbol,
        max(bucket_at) as bucket_at
    from {{ ref('liquidation_heatmap') }}
    group by symbol

),

heatmap as (

    select
        heatmap.symbol,
        heatmap.side,
        heatmap.price_bin,
        heatmap.volume_usd
    from {{ ref('liquidation_heatmap') }} as heatmap
    inner join newest
        on
            heatmap.symbol = newest.symbol
            and heatmap.bucket_at = newest.bucket_at

),

map_bins as (

    select
        symbol,
        side,
        price_bin,
        sum(volume_usd) as volume_usd
    from {{ ref('liquidation_map') }}
    group by symbol, side, price_bin

),

only_in_heatmap as (

    select * from heatmap
    except
    select * from map_bins

),

only_in_map as (

    select * from map_bins
    except
    select * from heatmap

),

failures as (

    select
        *,
        'only in the heatmap' as failure_type
    from only_in_heatmap

    union all

    select
        *,
        'only in the map' as failure_type
    from only_in_map

)

select * from failures
