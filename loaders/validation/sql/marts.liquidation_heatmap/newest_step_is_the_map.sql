-- The newest step of a symbol holds what marts.liquidation_map holds, bin by bin.
with

newest as (

    select
        symbol,
        max(bucket_at) as bucket_at
    from marts.liquidation_heatmap
    group by symbol

),

found as (

    select
        heatmap.symbol,
        heatmap.side,
        heatmap.price_bin,
        heatmap.volume_usd
    from marts.liquidation_heatmap as heatmap
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
    from marts.liquidation_map
    group by symbol, side, price_bin

)

(
    select
        *,
        'is not in the map' as fault
    from found
    except all
    select
        *,
        'is not in the map' as fault
    from map_bins
)
union all
(
    select
        *,
        'is in the map alone' as fault
    from map_bins
    except all
    select
        *,
        'is in the map alone' as fault
    from found
)
