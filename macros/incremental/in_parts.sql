{#-
    What a model of the strategy `rebuild` gives, some symbols at a time where they have many rows: an engine that keeps
    its memory limit by spilling cannot do so in forty joins at once, so what a build needs must not grow with the number
    of symbols. The model's SQL stays as it is: for each part, the plan holds that part's symbols alone. All parts are
    one transaction, and in the order of symbols.
-#}
{% macro duckdb__create_table_as(temporary, relation, compiled_code, language='sql', partitioned_by=none, sorted_by=none) -%}
    {%- set parts = rebuild_parts() if language == 'sql' and is_rebuild_model() else 1 -%}
    {%- if parts == 1 -%}
        {{ dbt.duckdb__create_table_as(
            temporary, relation, compiled_code, language, partitioned_by=partitioned_by, sorted_by=sorted_by
        ) }}
    {%- else -%}
        {%- set table = relation.include(database=(not temporary), schema=(not temporary)) -%}
        {%- call statement('empty') -%}
            {{ dbt.duckdb__create_table_as(
                temporary, relation, 'select * from (' ~ compiled_code ~ ') as no_rows limit 0', language,
                partitioned_by=partitioned_by, sorted_by=sorted_by
            ) }}
        {%- endcall -%}
        {%- for part in range(1, parts + 1) -%}
            {%- call statement('part_' ~ part) -%}
                {{ plan_part('part = ' ~ part) }}

                insert into {{ table }} by name
                {{ compiled_code }}
            {%- endcall -%}
        {%- endfor -%}
        {{ plan_part('true') }}

        drop table temp.rebuild_parts
    {%- endif -%}
{%- endmacro %}


{#- How many parts the plan of this model is cut into, by the rows that were landed. Where there are several, the table
    temp.rebuild_parts says which symbols are in which. A symbol is never cut. -#}
{% macro rebuild_parts() %}
    {%- set parts = run_query('select coalesce(max(part), 1) from (' ~ cut_plan() ~ ') as parts').rows[0][0] | int -%}
    {%- if parts > 1 -%}
        {%- do run_query('create or replace temporary table rebuild_parts as ' ~ cut_plan()) -%}
    {%- endif -%}
    {%- do return(parts) -%}
{% endmacro %}


{#- A query: the plan of this model, and the part of each symbol. -#}
{% macro cut_plan() -%}
    with

    plan as (

        select * from state.rebuild_plan
        where model = '{{ this.name }}'

    ),

    landed as (

        select
            plan.exchange,
            plan.symbol,
            sum(files.rows_loaded) as landed_rows
        from plan
        inner join ops.ingestion_files as files
            on
                plan.exchange = files.exchange
                and plan.symbol = files.symbol
                and plan.rebuild_from <= files.last_time
        where
            files.status = 'loaded'
            and (files.exchange, files.dataset) in (
                {%- for exchange, dataset in rebuild_datasets() %}
                ('{{ exchange }}', '{{ dataset }}'){{ ',' if not loop.last }}
                {%- endfor %}
            )
        group by plan.exchange, plan.symbol

    ),

    weighed as (

        select
            plan.*,
            -- A symbol of which little landed costs something, too.
            coalesce(landed.landed_rows, 0) + {{ model.config.meta.get('rows_beside', 1000) }} as row_count
        from plan
        left join landed
            on
                plan.exchange = landed.exchange
                and plan.symbol = landed.symbol

    ),

    counted as (

        select
            *,
            sum(row_count) over (order by symbol, exchange) as rows_so_far
        from weighed

    )

    select
        model,
        exchange,
        symbol,
        rebuild_from,
        -- A large symbol that crosses a multiple is a part of its own.
        dense_rank() over (
            order by
                (rows_so_far - row_count) // {{ var('rebuild_rows_at_once') }},
                case
                    when row_count * 10 > {{ var('rebuild_rows_at_once') }}
                        then rows_so_far // {{ var('rebuild_rows_at_once') }}
                    else (rows_so_far - row_count) // {{ var('rebuild_rows_at_once') }}
                end
        ) as part
    from counted
{%- endmacro %}


{#- Makes the plan of this model what temp.rebuild_parts has under a condition. -#}
{% macro plan_part(condition) -%}
    delete from state.rebuild_plan where model = '{{ this.name }}';

    insert into state.rebuild_plan (model, exchange, symbol, rebuild_from)
    select
        model,
        exchange,
        symbol,
        rebuild_from
    from temp.rebuild_parts
    where {{ condition }};

    {{ set_rebuild_bounds() }}
{%- endmacro %}
