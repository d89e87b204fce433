{#- The five-minute step of which a snapshot taken at `time` is the snapshot: the nearest one, if it lies within
    `snapshot_tolerance_seconds`, else the time itself, off the grid. Nearly all stand on the grid, and are recognised
    first: the rest costs five times as much. -#}
{% macro snapshot_step(time) -%}
    {%- set step = candle_start('(' ~ time ~ ") + interval '150 seconds'") -%}
    case
        when {{ is_on_grid(time) }} then {{ time }}
        when
            {{ time }} >= {{ step }} - interval '{{ var("snapshot_tolerance_seconds") }} seconds'
            and {{ time }} <= {{ step }} + interval '{{ var("snapshot_tolerance_seconds") }} seconds'
            then {{ step }}
        else {{ time }}
    end
{%- endmacro %}
