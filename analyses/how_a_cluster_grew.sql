-- How did today's largest cluster of each symbol and side grow? Its volume at the end of each step of the heatmap.
with

heatmap as (

    select * from marts.liquidation_heatmap

),

newest as (

    select
        symbol,
        max(bucket_at) as bucket_at
    from heatmap
    group by symbol

),

largest as (

    select
        heatmap.symbol,
        heatmap.side,
        max_by(heatmap.price_bin, heatmap.volume_usd) as price_bin
    from heatmap
    inner join newest
        on
            heatmap.symbol = newest.symbol
            and heatmap.bucket_at = newest.bucket_at
    group by heatmap.symbol, heatmap.side

)

select
    heatmap.symbol,
    heatmap.side,
    heatmap.price_bin,
    heatmap.bucket_at,
    round(heatmap.volume_usd) as volume_usd
from heatmap
inner join largest
    on
        heatmap.symbol = largest.symbol
        and heatmap.side = largest.side
        and heatmap.price_bin = largest.price_bin
order by heatmap.symbol, heatmap.side, heatmap.bucket_at
