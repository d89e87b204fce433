{#-
    Pre-hook of liquidation_heatmap, after `plan_rebuild`: of each planned symbol,

    - the step that was the newest is built again, since what it shows stood at the last candle and not at its end;
    - steps that have left the window go;
    - where the last candle has gone, the window moves back over steps that are not there, and where no step was built,
      none is known: the whole window is built, and nothing older;
    - where there is no level either, as without open interest, nothing can be built: the plan stays as it is, since tests
      and publication look at all that was planned.
-#}
{% macro move_heatmap_window() %}
    {%- if execute and load_cached_relation(this) is not none and not should_full_refresh() -%}
        {%- set step_minutes = var('liquidation_heatmap_step_minutes') -%}
        -- Most symbols have their newest step within a day of what is rebuilt; those of the others are looked up below.
        create or replace temporary table heatmap_windows as
        select
            rebuild_plan.symbol,
            {{ candle_start('max(candles.open_time)', step_minutes) }} as newest_bucket_at,
            max(built.newest_bucket_at) as built_bucket_at
        from state.rebuild_plan
        left join {{ ref('candles_with_side') }} as candles
            on rebuild_plan.symbol = candles.symbol
        left join (
            select
                symbol,
                max(bucket_at) as newest_bucket_at
            from {{ this }}
            where bucket_at >= {{ rebuild_floor() }} - interval '1 day'
            group by symbol
        ) as built
            on rebuild_plan.symbol = built.symbol
        where rebuild_plan.model = '{{ this.name }}'
        group by rebuild_plan.symbol;

        -- of the few whose newest step is older: by a join, so that nothing is read where there are none
        update heatmap_windows
        set built_bucket_at = older.newest_bucket_at
        from (
            select
                built.symbol,
                max(built.bucket_at) as newest_bucket_at
            from {{ this }} as built
            inner join heatmap_windows as without_steps
                on built.symbol = without_steps.symbol
            where without_steps.built_bucket_at is null
            group by built.symbol
        ) as older
        where heatmap_windows.symbol = older.symbol;

        -- by a join, so that no level is read where every symbol has steps, as on most nights
        delete from heatmap_windows
        where
            built_bucket_at is null
            and symbol not in (
                select levels.symbol
                from {{ ref('liquidation_levels') }} as levels
                inner join heatmap_windows as without_steps
                    on levels.symbol = without_steps.symbol
                where without_steps.built_bucket_at is null
            );

        update state.rebuild_plan
        set rebuild_from = case
            when coalesce(windows.newest_bucket_at >= windows.built_bucket_at, false)
                then least(
                    {{ candle_start('rebuild_plan.rebuild_from', step_minutes) }}, windows.built_bucket_at
                )
            when windows.newest_bucket_at is not null
                then least(
                    {{ candle_start('rebuild_plan.rebuild_from', step_minutes) }},
                    windows.newest_bucket_at - interval '{{ var("liquidation_heatmap_days") }} days'
                )
            else timestamp '1970-01-01'
        end
        from heatmap_windows as windows
        where
            rebuild_plan.model = '{{ this.name }}'
            and rebuild_plan.symbol = windows.symbol;

        delete from {{ this }}
        using heatmap_windows as windows
        where
            {{ this }}.symbol = windows.symbol
            and {{ this }}.bucket_at
            <= windows.newest_bucket_at - interval '{{ var("liquidation_heatmap_days") }} days';

        drop table heatmap_windows;

        {{ set_rebuild_bounds() }}
    {%- endif -%}
{% endmacro %}
