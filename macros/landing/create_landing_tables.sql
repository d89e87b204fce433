{#-
    Makes the tables of `raw`, `ops` and `state` that are missing, and their missing columns, from the columns and types
    in the sources YAML; a column that is added to an older table is filled by its `meta.backfill`. Runs at the start of
    every dbt run, so that a build ends cleanly where nothing, or only some datasets, was landed, or where an older version
    did it. The loaders make the same tables from the same YAML. Tables that have no comment yet get their descriptions as
    comments, as dbt does for models. Statements that change anything go to the engine together: a new warehouse needs
    two hundred, and asking for each through dbt takes longer than running it.
-#}
{% macro create_landing_tables() %}{{ return(adapter.dispatch('create_landing_tables')()) }}{% endmacro %}

{% macro duckdb__create_landing_tables() %}
    {%- if execute -%}
        {%- if target.database | lower in [
            'raw', 'ops', 'state', 'seeds', 'staging', 'intermediate', 'marts', 'main', 'temp', 'system', 'memory',
            'information_schema', 'pg_catalog'
        ] -%}
            {%- do exceptions.raise_compiler_error(
                'A warehouse cannot be called ' ~ target.database ~ ': DuckDB names a database after its file, and that '
                ~ 'name means something else here. Set LOADERS_WAREHOUSE to another one, such as warehouse.duckdb.'
            ) -%}
        {%- endif -%}
        {%- set landing = [] -%}
        {%- set statements = [] -%}
        {%- set present = {} -%}
        {#- A table that was updated cannot be altered in the same transaction, so all columns come first. -#}
        {%- set fills = [] -%}
        {%- for row in run_query(
            "select schema_name || '.' || table_name, list(column_name) from duckdb_columns() "
            ~ "where database_name = current_database() and not internal group by all"
        ).rows -%}
            {%- do present.update({row[0]: row[1]}) -%}
        {%- endfor -%}
        {%- set commented = [] -%}
        {%- for row in run_query(
            "select schema_name || '.' || table_name from duckdb_tables() "
            ~ "where database_name = current_database() and comment is not null"
        ).rows -%}
            {%- do commented.append(row[0]) -%}
        {%- endfor -%}
        {%- for source in graph.sources.values() | sort(attribute='unique_id') -%}
            {%- if source.schema not in landing -%}
                {%- do landing.append(source.schema) -%}
                {%- do statements.append('create schema if not exists ' ~ source.schema) -%}
            {%- endif -%}
            {%- set table = source.schema ~ '.' ~ source.identifier -%}
            {%- set columns = [] -%}
            {%- for column in source.columns.values() -%}
                {%- set described = adapter.quote(column.name) ~ ' ' ~ column.data_type -%}
                {%- do columns.append(described) -%}
                {%- if table in present and column.name not in present[table] -%}
                    {%- do statements.append('alter table ' ~ table ~ ' add column ' ~ described) -%}
                    {%- set backfill = column.get('config', {}).get('meta', {}).get('backfill') -%}
                    {%- if backfill -%}
                        {%- do fills.append(
                            'update ' ~ table ~ ' set ' ~ adapter.quote(column.name) ~ ' = ' ~ backfill
                        ) -%}
                    {%- endif -%}
                {%- endif -%}
            {%- endfor -%}
            {%- if table not in present -%}
                {%- do statements.append('create table if not exists ' ~ table ~ ' (' ~ columns | join(', ') ~ ')') -%}
            {%- endif -%}
            {%- if table not in commented -%}
                {%- do statements.append(
                    "comment on table " ~ table ~ " is '" ~ source.description | trim | replace("'", "''") ~ "'"
                ) -%}
                {%- for column in source.columns.values() if column.description -%}
                    {%- do statements.append(
                        "comment on column " ~ table ~ "." ~ adapter.quote(column.name) ~ " is '"
                        ~ column.description | trim | replace("'", "''") ~ "'"
                    ) -%}
                {%- endfor -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do run_query((statements + fills) | join(';\n')) -%}
    {%- endif -%}
{% endmacro %}
