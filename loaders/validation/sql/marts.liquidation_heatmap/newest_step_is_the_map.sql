-- The newest step of a symbol holds what marts.liquidation_map holds, bin by bin.
with

found as (

    select
        symbol,
        side,
        price_bin,
        volume_usd
    from marts.liquidation_heatmap
    qualify bucket_at = max(bucket_at) over (partition by symbol)

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
