{#- End of a candle of a given interval (`5m`, `1h`, `1mo`, ...), exclusive: the start of the next one. -#}
{% macro candle_end(open_time, interval) -%}
    case
        when {{ interval }} = '1mo' then {{ open_time }} + interval '1 month'
        else {{ open_time }} + ({{ interval_seconds(interval) }}) * interval '1 second'
    end
{%- endmacro %}


{#- Length of an interval in seconds; a month counts 30 days here, so ask `candle_end` for its end. Any number of
    seconds, minutes, hours, days or weeks will do, so that an interval nobody thought of needs no code. -#}
{% macro interval_seconds(interval) -%}
    case {{ interval }}
        {%- for name, seconds in {
            '1m': 60, '5m': 300, '15m': 900, '30m': 1800, '1h': 3600, '4h': 14400, '1d': 86400, '1mo': 2592000,
        }.items() %}
        when '{{ name }}' then {{ seconds }}
        {%- endfor %}
        else
            cast(regexp_extract({{ interval }}, '^([0-9]+)', 1) as integer)
            * case regexp_extract({{ interval }}, '([a-z]+)$', 1)
                when 's' then 1
                when 'm' then 60
                when 'h' then 3600
                when 'd' then 86400
                when 'w' then 604800
            end
    end
{%- endmacro %}


{#- Number of the step of `seconds` in which a time lies, counted from 1970. -#}
{% macro step_number(time, seconds) %}{{ return(adapter.dispatch('step_number')(time, seconds)) }}{% endmacro %}

{% macro duckdb__step_number(time, seconds) -%}
    (epoch_ms({{ time }}) // (1000 * {{ seconds }}))
{%- endmacro %}


{#- Whole seconds from one time to another. -#}
{% macro seconds_between(start, stop) -%}
    {{ whole_division(microseconds_between(start, stop), 1000000) }}
{%- endmacro %}


{#- Microseconds from one time to another. -#}
{% macro microseconds_between(start, stop) %}{{ return(adapter.dispatch('microseconds_between')(start, stop)) }}{% endmacro %}

{% macro duckdb__microseconds_between(start, stop) -%}
    (epoch_us({{ stop }}) - epoch_us({{ start }}))
{%- endmacro %}


{#- Start of the step of `seconds` in which a time lies, counted from 1970. -#}
{% macro step_start(time, seconds) %}{{ return(adapter.dispatch('step_start')(time, seconds)) }}{% endmacro %}

{% macro duckdb__step_start(time, seconds) -%}
    make_timestamp({{ step_number(time, seconds) }} * 1000000 * {{ seconds }})
{%- endmacro %}


{#- Quotient of whole numbers, without a fraction. -#}
{% macro whole_division(numerator, denominator) %}{{ return(adapter.dispatch('whole_division')(numerator, denominator)) }}{% endmacro %}

{% macro duckdb__whole_division(numerator, denominator) -%}
    ({{ numerator }} // {{ denominator }})
{%- endmacro %}
