with

cells as (

    select * from {{ ref('int_verdict_cells') }}

),

whole_cells as (

    select
        provider,
        symbol,
        side,
        stratum,
        cell,
        sum(crossing_candles) as crossing_candles,
        sum(other_candles) as other_candles,
        sum(crossing_usd) as crossing_usd,
        sum(other_usd) as other_usd,
        sum(crossing_with_many) as crossing_with_many,
        sum(other_with_many) as other_with_many,
        sum(crossed_usd) as crossed_usd
    from cells
    group by provider, symbol, side, stratum, cell

),

strata as (

    select
        provider,
        symbol,
        side,
        stratum,
        cast(sum(crossing_candles) as bigint) as crossing_candles,
        cast(sum(other_candles) as bigint) as other_candles,
        cast(sum(crossing_usd) as decimal(38, 8)) as crossing_usd,
        cast(sum(other_usd) as decimal(38, 8)) as other_usd,
        sum(crossing_with_many) as crossing_with_many,
        sum(other_with_many) as other_with_many,
        cast(sum(crossed_usd) as decimal(38, 8)) as crossed_usd
    from whole_cells
    group by provider, symbol, side, stratum

),

blocks as (

    select distinct
        provider,
        symbol,
        side,
        stratum,
        block
    from cells

),

-- A block of NULL stands for leaving out none.
leaving_out as (

    select
        provider,
        symbol,
        side,
        stratum,
        cast(null as bigint) as block
    from strata

    union all

    select * from blocks

),

parts as (

    select
        leaving_out.provider,
        leaving_out.symbol,
        leaving_out.side,
        leaving_out.stratum,
        leaving_out.block,
        whole_cells.crossing_candles - coalesce(cells.crossing_candles, 0) as crossing_candles,
        whole_cells.other_candles - coalesce(cells.other_candles, 0) as other_candles,
        whole_cells.crossing_usd - coalesce(cells.crossing_usd, 0) as crossing_usd,
        whole_cells.other_usd - coalesce(cells.other_usd, 0) as other_usd
    from leaving_out
    inner join whole_cells
        on
            leaving_out.provider = whole_cells.provider
            and leaving_out.symbol = whole_cells.symbol
            and leaving_out.side = whole_cells.side
            and leaving_out.stratum = whole_cells.stratum
    left join cells
        on
            whole_cells.provider = cells.provider
            and whole_cells.symbol = cells.symbol
            and whole_cells.side = cells.side
            and whole_cells.stratum = cells.stratum
            and whole_cells.cell = cells.cell
            and leaving_out.block = cells.block

),

-- What crossing candles saw, against what as many others of the same cells would have seen. A cell that lacks either
-- kind compares nothing.
compared as (

    select
        provider,
        symbol,
        side,
        stratum,
        block,
        sum(crossing_usd) as crossing_usd,
        sum(
            cast(
                cast(crossing_candles as double) * cast(other_usd as double) / cast(other_candles as double)
                as decimal(38, 8)
            )
        ) as expected_usd
    from parts
    where
        crossing_candles > 0
        and other_candles > 0
    group by provider, symbol, side, stratum, block

),

estimates as (

    select
        leaving_out.provider,
        leaving_out.symbol,
        leaving_out.side,
        leaving_out.stratum,
        leaving_out.block,
        {{ log_ratio('compared.crossing_usd', 'compared.expected_usd') }} as log_ratio
    from leaving_out
    left join compared
        on
            leaving_out.provider = compared.provider
            and leaving_out.symbol = compared.symbol
            and leaving_out.side = compared.side
            and leaving_out.stratum = compared.stratum
            and leaving_out.block is not distinct from compared.block

),

whole_estimates as (

    select * from estimates
    where block is null

),

half_widths as (

    select
        provider,
        symbol,
        side,
        stratum,
        count(*) as blocks,
        {{ jackknife_half_width('log_ratio') }} as half_width
    from estimates
    where block is not null
    group by provider, symbol, side, stratum

),

crossings as (

    select
        strata.provider,
        strata.symbol,
        strata.side,
        strata.stratum,
        half_widths.blocks,
        strata.crossing_candles,
        strata.other_candles,
        strata.crossing_usd,
        strata.other_usd,
        cast(exp(whole_estimates.log_ratio) as decimal(18, 6)) as ratio,
        cast(exp(whole_estimates.log_ratio - half_widths.half_width) as decimal(18, 6)) as ratio_low,
        cast(
            case
                -- beyond that, nothing is known
                when whole_estimates.log_ratio + half_widths.half_width < 25
                    then exp(whole_estimates.log_ratio + half_widths.half_width)
            end as decimal(18, 6)
        ) as ratio_high,
        cast(
            cast(strata.crossing_with_many as double) / nullif(strata.crossing_candles, 0) as decimal(18, 6)
        ) as precision_share,
        cast(
            cast(strata.crossing_with_many + strata.other_with_many as double)
            / (strata.crossing_candles + strata.other_candles) as decimal(18, 6)
        ) as base_rate,
        case when strata.provider != 'new_extremes' then strata.crossed_usd end as crossed_usd
    from strata
    inner join whole_estimates
        on
            strata.provider = whole_estimates.provider
            and strata.symbol = whole_estimates.symbol
            and strata.side = whole_estimates.side
            and strata.stratum = whole_estimates.stratum
    inner join half_widths
        on
            strata.provider = half_widths.provider
            and strata.symbol = half_widths.symbol
            and strata.side = half_widths.side
            and strata.stratum = half_widths.stratum

)

select * from crossings
