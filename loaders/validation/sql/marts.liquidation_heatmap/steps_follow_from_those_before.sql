-- What stands at a step is what stood at the step before, without the levels that ended since, shrunk as the timeline
-- says, and the levels that opened since: by symbol and side, to a millionth.
with

asked as (

    select distinct
        symbol,
        bucket_at
    from ${rows}

),

-- The step before may have stood; it is found unless two days lie between.
since as (

    select min(bucket_at) - interval '2 days' as bucket_at
    from asked

),

totals as (

    select
        heatmap.symbol,
        heatmap.bucket_at,
        sum(heatmap.volume_usd) filter (where heatmap.side = 'long') as long_usd,
        sum(heatmap.volume_usd) filter (where heatmap.side = 'short') as short_usd
    from marts.liquidation_heatmap as heatmap
    where heatmap.bucket_at >= (select since.bucket_at from since)
    group by heatmap.symbol, heatmap.bucket_at

),

neighbours as (

    select
        *,
        lag(bucket_at) over (partition by symbol order by bucket_at) as bucket_before
    from totals

),

distances as (

    select
        bucket_at - bucket_before as step_length,
        count(*) as occurrences
    from neighbours
    where bucket_before is not null
    group by all

),

-- The settings of the project are not known here: where candles are too sparse to tell, nothing is asked.
step_length as (

    select step_length
    from distances
    where
        occurrences >= 24
        and step_length = (select min(every.step_length) from distances as every)

),

last_candles as (

    select
        symbol,
        max(open_time) + interval '5 minutes' as as_of
    from marts.candles_with_side
    where open_time >= (select since.bucket_at from since)
    group by symbol

),

ends as (

    select
        neighbours.symbol,
        neighbours.bucket_at,
        least(neighbours.bucket_at + step_length.step_length, last_candles.as_of) as as_of,
        coalesce(cast(neighbours.long_usd as double), 0) as long_usd,
        coalesce(cast(neighbours.short_usd as double), 0) as short_usd
    from neighbours
    inner join last_candles
        on neighbours.symbol = last_candles.symbol
    cross join step_length

),

-- The sum of logarithms never rises, so the lowest value of a step is the one at its end.
states as (

    select
        ends.symbol,
        ends.bucket_at,
        ends.as_of,
        ends.long_usd,
        ends.short_usd,
        cast(min(timeline.log_share_total) as double) as log_share_total
    from ends
    inner join intermediate.int_liquidation_timeline as timeline
        on
            ends.symbol = timeline.symbol
            and ends.bucket_at < timeline.step_at
            and ends.as_of >= timeline.step_at
    where timeline.step_at >= (select since.bucket_at from since)
    group by all

),

states_of_sides as (

    select
        states.symbol,
        states.bucket_at,
        sides.side,
        states.as_of,
        states.log_share_total,
        case sides.side when 'long' then states.long_usd else states.short_usd end as volume_usd
    from states
    cross join (values ('long'), ('short')) as sides (side)

),

steps as (

    select
        *,
        lag(as_of) over by_side as as_of_before,
        lag(log_share_total) over by_side as log_share_before,
        lag(volume_usd) over by_side as usd_before
    from states_of_sides
    window by_side as (partition by symbol, side order by bucket_at)

),

-- What opens and ends within one step is taken away as it was added. Each in a query of its own, so that the engine
-- reads no more of each than moved.
moves as (

    select
        symbol,
        side,
        opened_at as moved_at,
        1 as direction,
        volume_usd,
        log_share_at_open
    from marts.liquidation_levels
    where price_bin is not null and opened_at > (select since.bucket_at from since)
    union all
    select
        symbol,
        side,
        liquidated_at as moved_at,
        -1 as direction,
        volume_usd,
        log_share_at_open
    from marts.liquidation_levels
    where price_bin is not null and liquidated_at > (select since.bucket_at from since)
    union all
    select
        symbol,
        side,
        closed_at as moved_at,
        -1 as direction,
        volume_usd,
        log_share_at_open
    from marts.liquidation_levels
    where price_bin is not null and liquidated_at is null and closed_at > (select since.bucket_at from since)

),

moved as (

    select
        steps.symbol,
        steps.side,
        steps.bucket_at,
        sum(
            moves.direction * cast(moves.volume_usd as double)
            * exp(steps.log_share_total - cast(moves.log_share_at_open as double))
        ) as volume_usd
    from steps
    inner join moves
        on
            steps.symbol = moves.symbol
            and steps.side = moves.side
            and steps.as_of_before < moves.moved_at
            and steps.as_of >= moves.moved_at
    group by all

),

expected as (

    select
        steps.*,
        steps.usd_before * exp(steps.log_share_total - steps.log_share_before)
        + coalesce(moved.volume_usd, 0) as expected_usd
    from steps
    inner join asked
        on steps.symbol = asked.symbol and steps.bucket_at = asked.bucket_at
    left join moved
        on steps.symbol = moved.symbol and steps.side = moved.side and steps.bucket_at = moved.bucket_at
    where steps.as_of_before is not null

)

select * from expected
where abs(volume_usd - expected_usd) > greatest(volume_usd, usd_before, 10000) / 1000000
