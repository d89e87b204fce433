{#-
    What Spark says otherwise than DuckDB, in one place; a model calls the macro without the prefix. Everything else in
    the models is SQL that both engines take. Settings of the session (profiles.yml) do the rest: times are UTC,
    products of decimals keep their digits.

    On Spark the models read the zone that `loaders export` wrote and are built whole: the ledger, the jobs and the gate
    stay with the loaders, and so do the models that are about them (dbt_project.yml says which).
-#}

{#- `//` is `div`; a `/` of whole numbers has a fraction on both. -#}
{% macro spark__whole_division(numerator, denominator) -%}
    ({{ numerator }} div {{ denominator }})
{%- endmacro %}


{#- Arithmetic of times: Spark counts in microseconds since 1970, and has no `time_bucket`. -#}
{% macro spark__candle_start(time, minutes) -%}
    timestamp_micros(unix_micros({{ time }}) - pmod(unix_micros({{ time }}), {{ minutes * 60 }}000000))
{%- endmacro %}

{% macro spark__step_number(time, seconds) -%}
    (unix_millis({{ time }}) div (1000 * {{ seconds }}))
{%- endmacro %}

{% macro spark__step_start(time, seconds) -%}
    timestamp_micros({{ step_number(time, seconds) }} * 1000000 * {{ seconds }})
{%- endmacro %}

{% macro spark__microseconds_between(start, stop) -%}
    (unix_micros({{ stop }}) - unix_micros({{ start }}))
{%- endmacro %}


{% macro spark__as_double(value) -%}
    cast({{ value }} as double)
{%- endmacro %}


{#- Where NULLs are passed over is said behind the parenthesis. -#}
{% macro spark__last_known(value) -%}
    last_value({{ value }}) ignore nulls
{%- endmacro %}

{% macro spark__first_known(value) -%}
    first_value({{ value }}) ignore nulls
{%- endmacro %}


{% macro spark__row_hash(columns) -%}
    xxhash64({{ columns | join(', ') }})
{%- endmacro %}


{#- A sequence holds its end, and must not be empty. -#}
{% macro spark__explode_steps(start, stop, minutes) -%}
    explode(
        case
            when {{ start }} < {{ stop }}
                then sequence({{ start }}, {{ stop }} - interval '1 microsecond', interval '{{ minutes }} minutes')
            else cast(array() as array<timestamp>)
        end
    )
{%- endmacro %}


{#- Both round half away from zero; but DuckDB rounds the double times a power of ten, Spark its shortest decimal text.
    Here the same double is rounded as DuckDB rounds it, where its digits fit into a whole number. -#}
{% macro spark__double_as_decimal(value, data_type) -%}
    {%- set scale = modules.re.findall('[0-9]+', data_type)[1] | int -%}
    case
        when abs({{ value }}) < 9e{{ 18 - scale }}
            then cast(
                cast(round(({{ value }}) * 1e{{ scale }}, 0) as bigint)
                * cast('1e-{{ scale }}' as decimal({{ scale + 1 }}, {{ scale }})) as {{ data_type }}
            )
        else cast({{ value }} as {{ data_type }})
    end
{%- endmacro %}


{#- A zone has one row for each key: the choice among files was made by the warehouse that exported it. -#}
{% macro spark__one_row_per_key(source_name, table_name, key) -%}
    select * from {{ source(source_name, table_name) }}
{%- endmacro %}

{% macro spark__one_trade_per_id(source_relation) -%}
    select * from {{ source_relation }}
{%- endmacro %}


{#- Views of the zone's raw rows and of its ledger, under the names that the sources have in a warehouse. -#}
{% macro spark__create_landing_tables() %}
    {#- Tests look at what a build made. -#}
    {%- if execute and flags.WHICH in ['build', 'run', 'seed'] -%}
        {%- set zone = env_var('LOADERS_ZONE', '') -%}
        {%- if not zone -%}
            {%- do exceptions.raise_compiler_error(
                'Set LOADERS_ZONE to the folder or address that `loaders export --to` wrote: Spark builds from there'
            ) -%}
        {%- endif -%}
        {%- do run_query(
            "create or replace temporary view zone_manifest using json options (path '" ~ zone ~ "/manifest.json', "
            ~ "multiLine 'true')"
        ) -%}
        {%- set present = run_query(
            "select distinct substring_index(part.path, '/', 2) from (select explode(partitions) as part from zone_manifest)"
        ).columns[0].values() | list -%}
        {%- for source in graph.sources.values() | sort(attribute='unique_id') -%}
            {%- do run_query('create schema if not exists ' ~ source.schema) -%}
            {%- set table = source.schema ~ '/' ~ source.identifier -%}
            {%- set columns = [] -%}
            {%- for column in source.columns.values() -%}
                {%- set data_type = 'string' if column.data_type == 'VARCHAR' else column.data_type -%}
                {%- do columns.append(
                    'cast(' ~ (adapter.quote(column.name) if table in present else 'null') ~ ' as ' ~ data_type ~ ') as '
                    ~ adapter.quote(column.name)
                ) -%}
            {%- endfor -%}
            {%- do run_query(
                'create or replace view ' ~ source.schema ~ '.' ~ source.identifier ~ ' as select ' ~ columns | join(', ')
                ~ (' from parquet.`' ~ zone ~ '/' ~ table ~ '`' if table in present else ' where false')
            ) -%}
        {%- endfor -%}
        {%- do run_query('create or replace view state.rebuild_plan as ' ~ whole_rebuild_plan()) -%}
    {%- endif -%}
{% endmacro %}


{#- Every symbol from 1970 on, for each model that follows changes: what the plan of a full build is. -#}
{% macro whole_rebuild_plan() %}
    {%- set parts = ["select '' as model, '' as exchange, '' as symbol, timestamp '1970-01-01' as rebuild_from where false"] -%}
    {%- for node in graph.nodes.values() if node.config.get('incremental_strategy') == 'rebuild' -%}
        {%- set exchanges = rebuild_datasets(node) | map('first') | unique | list -%}
        {%- do parts.append(
            "select distinct '" ~ node.name ~ "', exchange, symbol, timestamp '1970-01-01' from ops.ingestion_files "
            ~ "where exchange in ('" ~ exchanges | join("', '") ~ "')"
        ) -%}
    {%- endfor -%}
    {%- do return(parts | join(' union all ')) -%}
{% endmacro %}


{#- Models that follow changes are built whole: Spark has no transaction over a statement and its bookkeeping. -#}
{% materialization incremental, adapter='spark' %}
    {{ return(materialization_table_spark()) }}
{% endmaterialization %}
