{#- The five-minute step of which a snapshot taken at `time` is the snapshot: the nearest one, if it lies within
    `snapshot_tolerance_seconds`, else the time itself, off the grid. -#}
{% macro snapshot_step(time) -%}
    {%- set step = candle_start('(' ~ time ~ ") + interval '150 seconds'") -%}
    case
        when
            {{ time }} >= {{ step }} - interval '{{ var("snapshot_tolerance_seconds") }} seconds'
            and {{ time }} <= {{ step }} + interval '{{ var("snapshot_tolerance_seconds") }} seconds'
            then {{ step }}
        else {{ time }}
    end
{%- endmacro %}
