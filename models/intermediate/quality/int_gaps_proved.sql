with

grid_gaps as (

    select * from {{ ref('int_gaps_on_grid') }}

),

proofs as (

    select * from {{ ref('int_ohlcvt_proofs') }}
    where proves = 'absence'

),

proved as (

    select distinct
        {{ series_columns('grid_gaps') }},
        greatest(grid_gaps.gap_start, proofs.window_start) as gap_start,
        least(grid_gaps.gap_end, proofs.window_end) as gap_end
    from grid_gaps
    inner join proofs
        on
            grid_gaps.exchange = proofs.exchange
            and grid_gaps.symbol = proofs.symbol
            and grid_gaps.interval = proofs.interval
            and grid_gaps.gap_start < proofs.window_end
            and grid_gaps.gap_end > proofs.window_start
    where grid_gaps.dataset = 'ohlcvt'

),

-- What two files prove can overlap: it is one gap.
reached as (

    select
        *,
        max(gap_end) over (
            partition by {{ series_columns() }}
            order by gap_start, gap_end
            rows between unbounded preceding and 1 preceding
        ) as reached_before
    from proved

),

pieces as (

    select
        *,
        count_if(reached_before is null or reached_before < gap_start) over (
            partition by {{ series_columns() }}
            order by gap_start, gap_end
            rows between unbounded preceding and current row
        ) as piece
    from reached

),

merged as (

    select
        {{ series_columns() }},
        min(gap_start) as gap_start,
        max(gap_end) as gap_end
    from pieces
    group by {{ series_columns() }}, piece

)

select * from merged
