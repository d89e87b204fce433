with

conflicts as (

    {%- for source_name, table_name in landed_tables() %}

    {{ conflicting_rows(source_name, table_name) }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

)

select * from conflicts
