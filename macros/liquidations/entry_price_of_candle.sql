{#- What the positions of a candle are taken to have been opened at: the var `liquidation_entry_price`. -#}
{% macro entry_price_of_candle(candles) -%}
    {%- if var('liquidation_entry_price') == 'close' -%}
        {{ candles }}.close
    {%- elif var('liquidation_entry_price') == 'vwap' -%}
        cast(
            case
                when {{ candles }}.volume > 0 and {{ candles }}.quote_volume > 0
                    -- a mean price lies within the candle, whatever the volumes say
                    then least(
                        cast({{ candles }}.high as double),
                        greatest(
                            cast({{ candles }}.low as double),
                            {{ as_double(candles ~ '.quote_volume') }} / {{ as_double(candles ~ '.volume') }}
                        )
                    )
                else cast({{ candles }}.close as double)
            end as decimal(18, 8)
        )
    {%- else -%}
        {%- do exceptions.raise_compiler_error(
            "The var liquidation_entry_price is '" ~ var('liquidation_entry_price') ~ "'; it can be close or vwap"
        ) -%}
    {%- endif -%}
{%- endmacro %}
