{#-
    Half the width of a 95 % interval around an estimate, from the estimates with one block left out each: an aggregate over
    them. NULL where there are fewer than two blocks, or where without some block there is no estimate.

    Blocks are hours long, so that a burst of liquidations, which is one event and not many, lies within one of them. The
    sums are of decimals, the same in any order.
-#}
{% macro jackknife_half_width(left_out) -%}
    case
        when count(*) > 1 and count({{ left_out }}) = count(*)
            then 1.96e0 * sqrt(
                greatest(
                    0e0,
                    (count(*) - 1e0) / count(*) * (
                        cast(
                            sum(
                                cast({{ left_out }} as decimal(18, 9)) * cast({{ left_out }} as decimal(18, 9))
                            ) as double
                        )
                        - cast(sum(cast({{ left_out }} as decimal(18, 9))) as double)
                        * cast(sum(cast({{ left_out }} as decimal(18, 9))) as double) / count(*)
                    )
                )
            )
    end
{%- endmacro %}


{#- Natural logarithm of a ratio, NULL where either side is 0 or unknown. -#}
{% macro log_ratio(numerator, denominator) -%}
    case
        when {{ numerator }} > 0 and {{ denominator }} > 0
            then ln(cast({{ numerator }} as double) / cast({{ denominator }} as double))
    end
{%- endmacro %}
