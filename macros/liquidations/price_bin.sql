{#-
    Lower edge of the price bin in which a liquidation price lies; NULL for a price that is never reached (0 or less).

    The bin's width is the largest of 1, 2, 5 × 10^k that is at most a thousandth of the price, and at least 0.00000001,
    the smallest step of a price; `width` (a column, NULL = the rule) overrides it. Everything in decimals:
    `floor(price / width) * width` puts a third of all prices in the wrong bin at a width of 0.1.
-#}
{% macro price_bin(price, width) -%}
    case
        when {{ price }} > 0
            then cast({{ price }} - {{ price }} % coalesce({{ width }}, {{ price_bin_width(price) }}) as decimal(18, 8))
    end
{%- endmacro %}


{% macro price_bin_width(price) -%}
    case
        {%- for exponent in range(6, -9, -1) %}
        {%- for digit in (5, 2, 1) %}
        {%- set width = ('%d' ~ '0' * exponent) % digit if exponent >= 0 else '0.' ~ '0' * (-exponent - 1) ~ digit %}
        {%- set thousandfold = ('%d' ~ '0' * (exponent + 3)) % digit if exponent >= -3 else '0.' ~ '0' * (-exponent - 4) ~ digit %}
        when {{ price }} >= {{ thousandfold }} then cast({{ width }} as decimal(18, 8))
        {%- endfor %}
        {%- endfor %}
        else cast(0.00000001 as decimal(18, 8))
    end
{%- endmacro %}
