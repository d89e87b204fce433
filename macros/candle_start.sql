{#- Start of the candle of `minutes` in which a time lies; candles of up to a day are aligned to midnight UTC. -#}
{% macro candle_start(time, minutes=5) %}{{ return(adapter.dispatch('candle_start')(time, minutes)) }}{% endmacro %}

{% macro duckdb__candle_start(time, minutes) -%}
    time_bucket(interval '{{ minutes }} minutes', {{ time }}, timestamp '2000-01-01')
{%- endmacro %}
