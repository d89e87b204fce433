{#-
    Path, in the exchange's archive, of the file that holds a series (`series_columns`) at a time. An exchange that names
    its files by the series alone says how in `meta.file` of the sources YAML. Binance has a day's file, or a month's
    where no days are published (funding, candles longer than a day).
-#}
{% macro archive_file(time) -%}
    {%- set by_month = "dataset = 'fundingRate' or (dataset = 'klines' and " ~ interval_seconds('interval') ~ ' > 86400)' -%}
    case
        {%- for source_name, table_name in landed_tables() %}
        {%- set landed = landed_table(source_name, table_name) %}
        {%- if landed.file %}
        when exchange = '{{ landed.exchange }}' and dataset = '{{ landed.dataset }}'
            then {{ landed.file.replace('seconds', interval_seconds('interval')) }}
        {%- endif %}
        {%- endfor %}
        else
            'data/' || case market when 'spot' then 'spot' else 'futures/' || market end
            || case when {{ by_month }} then '/monthly/' else '/daily/' end
            || dataset || '/' || symbol || '/'
            || case dataset when 'klines' then interval || '/' else '' end
            || symbol || '-' || case dataset when 'klines' then interval else dataset end || '-'
            || substr(cast(cast({{ time }} as date) as string), 1, case when {{ by_month }} then 7 else 10 end)
            || '.zip'
    end
{%- endmacro %}
