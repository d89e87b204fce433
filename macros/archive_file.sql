{#-
    Path, in the exchange's archive, of the file that holds a series at a time: a day's file, or a month's where no days
    are published (funding, candles longer than a day). Kraken publishes one file for each pair and length.
-#}
{% macro archive_file(dataset, market, symbol, interval, time) -%}
    case
        when {{ dataset }} = 'ohlcvt'
            then {{ symbol }} || '_' || cast({{ interval_seconds(interval) }} // 60 as varchar) || '.csv'
        else
            'data/' || case {{ market }} when 'spot' then 'spot' else 'futures/' || {{ market }} end
            || case
                when {{ dataset }} = 'fundingRate' or ({{ dataset }} = 'klines' and {{ interval_seconds(interval) }} > 86400)
                    then '/monthly/'
                else '/daily/'
            end
            || {{ dataset }} || '/' || {{ symbol }} || '/'
            || case {{ dataset }} when 'klines' then {{ interval }} || '/' else '' end
            || {{ symbol }} || '-' || case {{ dataset }} when 'klines' then {{ interval }} else {{ dataset }} end || '-'
            || substr(
                cast(cast({{ time }} as date) as varchar),
                1,
                case
                    when {{ dataset }} = 'fundingRate' or ({{ dataset }} = 'klines' and {{ interval_seconds(interval) }} > 86400)
                        then 7
                    else 10
                end
            )
            || '.zip'
    end
{%- endmacro %}
