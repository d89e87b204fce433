{#-
    Every five-minute step of every landed file's period is there, by symbol. The grid comes from the ledger, not from
    the rows: a series that stopped, or is empty, fails too.

    `time_column`: the rows' time. `dataset`: whose files make the grid.
-#}
{% test no_gaps_on_grid(model, time_column, dataset) %}

    with

    periods as (

        select
            symbol,
            period_start,
            period_end
        from {{ source('ops', 'ingestion_files') }}
        where
            status = 'loaded'
            and dataset = '{{ dataset }}'
            and coalesce(kline_type, 'last') = 'last'
            and coalesce(interval, '5m') in ('1m', '5m')
            and {{ is_perpetual() }}
            and {{ rows_to_test_condition('period_end') or 'true' }}

    ),

    steps as (

        select distinct
            symbol,
            {{ explode_steps('period_start', 'period_end') }} as slot
        from periods

    ),

    grid as (

        select * from steps
        where {{ rows_to_test_condition('slot') or 'true' }}

    ),

    failures as (

        select
            grid.symbol,
            cast(grid.slot as date) as day,
            min(grid.slot) as first_missing,
            count(*) as missing,
            'no row for a step of a landed file' as failure_type
        from grid
        left join {{ model }} as present
            on
                grid.symbol = present.symbol
                and grid.slot = present.{{ time_column }}
        where present.symbol is null
        group by grid.symbol, cast(grid.slot as date)

    )

    select * from failures

{% endtest %}
