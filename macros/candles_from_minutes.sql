{#-
    Candles of five minutes, each made of its five one-minute candles: the first open, the highest high, the lowest low,
    the last close, and sums of everything else. Fewer than five give no candle, because nobody knows what is missing.
    Gives a select.

    `minutes`: a CTE of one-minute candles, with open_time. `by`: columns of a series. `figures`: columns of the candle.
    `others`: more columns, as name and aggregate.
-#}
{% macro candles_from_minutes(minutes, by, figures, others={}) -%}
    {%- set aggregates = {
        'open': 'min_by(open, open_time)',
        'high': 'max(high)',
        'low': 'min(low)',
        'close': 'max_by(close, open_time)',
    } -%}
    select
        {%- for column in by %}
        {{ column }},
        {%- endfor %}
        {{ candle_start('open_time') }} as open_time,
        {%- for column in figures %}
        {{ aggregates.get(column, 'sum(' ~ column ~ ')') }} as {{ column }}{{ ',' if not loop.last or others }}
        {%- endfor %}
        {%- for name, aggregate in others.items() %}
        {{ aggregate }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ minutes }}
    group by {{ by | join(', ') }}, {{ candle_start('open_time') }}
    having count(*) = 5
{%- endmacro %}
