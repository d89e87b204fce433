{#-
    Makes the tables of `raw`, `ops` and `state` that are missing, from the columns and types in the sources YAML.
    Runs at the start of every dbt run, so that a build ends cleanly where nothing, or only some datasets, was landed.
    The loaders make the same tables from the same YAML.
-#}
{% macro create_landing_tables() %}
    {%- if execute -%}
        {%- set landing = [] -%}
        {%- for source in graph.sources.values() | sort(attribute='unique_id') -%}
            {%- if source.schema not in landing -%}
                {%- do landing.append(source.schema) -%}
                {%- do run_query('create schema if not exists ' ~ source.schema) -%}
            {%- endif -%}
            {%- set columns = [] -%}
            {%- for column in source.columns.values() -%}
                {%- do columns.append(adapter.quote(column.name) ~ ' ' ~ column.data_type) -%}
            {%- endfor -%}
            {%- do run_query(
                'create table if not exists ' ~ source.schema ~ '.' ~ source.identifier
                ~ ' (' ~ columns | join(', ') ~ ')'
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}
