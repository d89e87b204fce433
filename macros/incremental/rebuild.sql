{#-
    The incremental strategy `rebuild`
    ==================================

    A watermark on event time misses late files, a load number on rows misses rows that went away, and delete+insert by
    key leaves rows whose key is no longer produced. So a model of this strategy follows the ledger's changes:

    1. `plan_rebuild` (pre-hook) writes into `state.rebuild_plan`, for each exchange and symbol, the earliest time that a change
       the model has not worked in yet touches or reaches back to, less one step: the open interest of 00:00 belongs to the
       candle of 23:55.
       On a first or full build it holds every symbol that was ever landed, from 1970 on.
    2. The model joins `source('state', 'rebuild_plan')` and gives every row of these symbols from there on, and earlier
       ones that change with them. Its text is
       the same on a first, a full and an incremental build. The plan holds the exchanges below the model only; a model
       of several has a column `exchange` and joins on it, too, for two exchanges can have a symbol of the same name.
    3. `get_incremental_rebuild_sql` deletes these symbols' rows from there on, and earlier ones that are given anew, and
       inserts what the model gave.
    4. `record_rebuild` (post-hook) writes down the number of the last change worked in, and the fingerprint, and adds the
       plan to the log `state.rebuilds`, so that validation and publication know what was rebuilt since they last looked.

    All four happen in the model's own transaction: a killed run has done all of it or nothing.

    The fingerprint is a hash of the model's compiled SQL (vars and macros are in it), of the views and seeds below it,
    and of the fingerprints of incremental models below it: all as they stand in the database, since that is what the
    model reads. A seed's file says nothing about its table until it is seeded. Where it differs from the one written down, the model is
    built anew: see `should_full_refresh`.

    A model that carries in rows reads its own table as the last run left it. That table can be older than the SQL: where
    its columns are not the ones that the YAML describes (names and, where given, types), the model is built anew, too,
    and `is_incremental()` is false from the start, so that nothing is asked of a column that is not there yet. What
    stands between `/* carried in */` and `/* end carried in */` is in no fingerprint, since it differs between a full and
    an incremental run: carried-in rows are chosen there, and what is computed from them stands outside.

    A model of this strategy treats each symbol by itself: where much is rebuilt, it is run for some symbols at a time
    (`in_parts.sql`), and what it reads may be restricted to them, and to the time since the earliest `rebuild_from`
    (`rebuild_floor`, `is_rebuilt_symbol`), by views below it, too (`base_binance__snapshot_steps`).

    A model below which stand other models of this strategy works in only what all of these have worked in, so building
    one of them alone loses nothing.

    What a model says in its config:

        incremental_strategy: rebuild
        meta.time_column      the column compared with rebuild_from
        meta.rebuild_also     optional: which rows before rebuild_from the model gives anew too, as conditions on its
                              columns and rebuild_from, such as "ended_at >= rebuild_from"; an earlier rebuild_from
                              must not exclude a row. Rows meet at least one, before or after: a row that the model
                              gives takes the place of the one of its key (meta.key, no column of which is NULL). Where
                              a row no longer meets any, what looks at the plan and the log would not find it: they say
                              then that the rows since its time were rebuilt
        meta.rows_beside      optional: about how many older rows of each symbol the model holds, and does not only
                              read, beside those that landed, 1,000 unless told: for what is built at once (in_parts.sql)
        meta.changes_where    optional: a condition on `ops.ingestion_changes`, such as "market = 'um'"; exchanges
                              and datasets follow from the sources below the model

    A change can reach back of itself, as where it turns the label of earlier snapshots. A view with `meta.rebuild_reach`
    (exchange, symbol, reaches_back_to, up_to) says so: for the models above it, a change within the range counts from its start.
-#}

{% macro is_rebuild_model() %}
    {% do return(
        target.type == 'duckdb'
        and model.resource_type == 'model'
        and model.config.materialized == 'incremental'
        and model.config.incremental_strategy == 'rebuild'
    ) %}
{% endmacro %}


{#- Ids of everything below a node, in the order of first sight. Does not look below other models of this strategy if
    `stop_at_rebuild`, but names them. -#}
{% macro rebuild_ancestors(node, stop_at_rebuild, seen=none) %}
    {%- set seen = [] if seen is none else seen -%}
    {%- for id in node.depends_on.nodes -%}
        {%- if id not in seen -%}
            {%- do seen.append(id) -%}
            {%- set parent = graph.nodes.get(id) -%}
            {%- if parent and parent.resource_type == 'model'
                and not (stop_at_rebuild and parent.config.incremental_strategy == 'rebuild') -%}
                {%- do rebuild_ancestors(parent, stop_at_rebuild, seen) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do return(seen) -%}
{% endmacro %}


{#- Datasets whose changes concern a model, this one unless told, as pairs of exchange and dataset; with `stop_at_rebuild`
    only those that reach it by no other model of this strategy. -#}
{% macro rebuild_datasets(node=none, stop_at_rebuild=false) %}
    {%- set datasets = [] -%}
    {%- for id in rebuild_ancestors(node or model, stop_at_rebuild) if id in graph.sources -%}
        {%- set landed = graph.sources[id].config.meta -%}
        {%- if landed.get('dataset') and (landed.exchange, landed.dataset) not in datasets -%}
            {%- do datasets.append((landed.exchange, landed.dataset)) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do return(datasets | sort) -%}
{% endmacro %}


{#- Whether this model's rows say of which exchange they are. One without that column must stand on a single exchange. -#}
{% macro has_exchange() %}
    {%- set exchanges = rebuild_datasets() | map('first') | unique | list -%}
    {%- if 'exchange' not in model.columns and exchanges | length > 1 -%}
        {%- do exceptions.raise_compiler_error(
            model.name ~ ' rebuilds by changes of ' ~ exchanges | join(' and ')
            ~ ', so its rows need a column exchange: a symbol can have the same name on both'
        ) -%}
    {%- endif -%}
    {%- do return('exchange' in model.columns) -%}
{% endmacro %}


{#- Names of the nearest models of this strategy below a model, this one unless told. -#}
{% macro rebuild_parents(node=none) %}
    {%- set parents = [] -%}
    {%- for id in rebuild_ancestors(node or model, stop_at_rebuild=true) -%}
        {%- set parent = graph.nodes.get(id) -%}
        {%- if parent and parent.config.get('incremental_strategy') == 'rebuild' -%}
            {%- do parents.append(parent.name) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do return(parents | sort) -%}
{% endmacro %}


{#- Relations below this model that say how far back of itself a change can reach (meta.rebuild_reach), those below others
    first: what one reaches, the next may reach back from. -#}
{% macro rebuild_reaches() %}
    {%- set ids = [] -%}
    {%- for id in rebuild_ancestors(model, stop_at_rebuild=false) if id in graph.nodes -%}
        {%- if graph.nodes[id].config.get('meta', {}).get('rebuild_reach') -%}
            {%- do ids.append(id) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set ranked = [] -%}
    {%- for id in ids -%}
        {%- set below = rebuild_ancestors(graph.nodes[id], stop_at_rebuild=false) | select('in', ids) | list -%}
        {%- do ranked.append((below | length, graph.nodes[id].relation_name)) -%}
    {%- endfor -%}
    {%- do return(ranked | sort | map(attribute=1) | list) -%}
{% endmacro %}


{#- Hash of all that decides what this model computes, apart from the landed rows. Nothing below a model changes while it
    runs, so it is worked out once and kept beside the model's other properties. -#}
{% macro rebuild_fingerprint() %}
    {%- if 'rebuild_fingerprint' not in model -%}
        {%- do model.update({'rebuild_fingerprint': compute_rebuild_fingerprint()}) -%}
    {%- endif -%}
    {%- do return(model.rebuild_fingerprint) -%}
{% endmacro %}


{% macro compute_rebuild_fingerprint() %}
    {%- set parts = [modules.re.sub('(?s)/\\* carried in \\*/.*?/\\* end carried in \\*/', '', compiled_code)] -%}
    {%- set views = view_definitions() -%}
    {%- set states = rebuild_states() -%}
    {%- for id in rebuild_ancestors(model, stop_at_rebuild=true) | sort -%}
        {%- set parent = graph.nodes.get(id) -%}
        {%- if not parent -%}
            {#- a source: its rows are followed by their changes -#}
        {%- elif parent.resource_type == 'seed' -%}
            {%- do parts.append(id ~ seed_content(parent)) -%}
        {%- elif parent.config.materialized == 'view' -%}
            {%- do parts.append(id ~ views.get((parent.schema, parent.alias), '')) -%}
        {%- elif parent.config.incremental_strategy == 'rebuild' -%}
            {%- do parts.append(id ~ states.get(parent.name, {}).get('fingerprint', '')) -%}
        {%- elif parent.config.materialized != 'ephemeral' -%}
            {%- do exceptions.raise_compiler_error(
                model.name ~ ' rebuilds by changes, but ' ~ parent.name ~ ' below it is a plain '
                ~ parent.config.materialized ~ ', whose changes nobody follows: make it a view or incremental too'
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do return(local_md5(parts | join('\n'))) -%}
{% endmacro %}


{#- A hash of a seed's rows as they stand in its table, names of its columns included; '' where there is no table yet. -#}
{% macro seed_content(node) -%}
    {%- if adapter.get_relation(database=node.database, schema=node.schema, identifier=node.alias) is none -%}
        {%- do return('') -%}
    {%- endif -%}
    {%- set found = run_query(
        "select md5(string_agg(cast(seed_row as string), chr(10) order by cast(seed_row as string))) from "
        ~ node.relation_name ~ " as seed_row"
    ) -%}
    {%- do return(found.rows[0][0] or '') -%}
{%- endmacro %}


{#- The SQL of every view as the database holds it, by schema and name. -#}
{% macro view_definitions() %}
    {%- set definitions = {} -%}
    {%- set found = run_query(
        "select schema_name, view_name, sql from duckdb_views() where database_name = current_database()"
    ) -%}
    {%- for row in found.rows -%}
        {%- do definitions.update({(row[0], row[1]): row[2]}) -%}
    {%- endfor -%}
    {%- do return(definitions) -%}
{% endmacro %}


{#- What is written down of each model: its last change and its fingerprint. -#}
{% macro rebuild_states() %}
    {%- set states = {} -%}
    {%- for row in run_query("select model, change_id, fingerprint from state.incremental_models").rows -%}
        {%- do states.update({row[0]: {'change_id': row[1] | int, 'fingerprint': row[2]}}) -%}
    {%- endfor -%}
    {%- do return(states) -%}
{% endmacro %}


{#- What is written down of one model: 0 and '' where nothing is. -#}
{% macro rebuild_state(name) %}
    {%- do return(rebuild_states().get(name, {'change_id': 0, 'fingerprint': ''})) -%}
{% endmacro %}


{#- Number of the last change that this run of the model can work in. -#}
{% macro rebuild_up_to() %}
    {%- set parents = rebuild_parents() -%}
    {%- set query -%}
        {%- if parents -%}
            select
                case when count(*) = {{ parents | length }} then min(change_id) else 0 end
            from state.incremental_models
            where model in ('{{ parents | join("', '") }}')
        {%- else -%}
            select coalesce(max(change_id), 0) from ops.ingestion_changes
        {%- endif -%}
    {%- endset -%}
    {%- do return(run_query(query).rows[0][0] | int) -%}
{% endmacro %}


{% macro plan_rebuild() %}
    {%- if execute and is_rebuild_model() -%}
        {%- set whole = load_cached_relation(this) is none or should_full_refresh() -%}
        {%- set since = -1 if whole else rebuild_state(this.name).change_id -%}
        delete from state.rebuild_plan where model = '{{ this.name }}';

        insert into state.rebuild_plan (model, exchange, symbol, rebuild_from)
        select
            '{{ this.name }}' as model,
            exchange,
            symbol,
            {% if whole -%}
                timestamp '1970-01-01'
            {%- else -%}
                {{ candle_start('min(range_start)') }}
            {%- endif %} as rebuild_from
        from ops.ingestion_changes
        where
            change_id > {{ since }}
            and change_id <= {{ rebuild_up_to() }}
            and (exchange, dataset) in (
                {%- for exchange, dataset in rebuild_datasets() %}
                ('{{ exchange }}', '{{ dataset }}'){{ ',' if not loop.last }}
                {%- endfor %}
            )
            and ({{ model.config.meta.get('changes_where', 'true') }})
        group by exchange, symbol;

        {% set reaches = rebuild_reaches() -%}
        {% if reaches -%}
            {{ set_rebuild_bounds() }}
        {%- endif %}

        {% for reach in reaches -%}
            update state.rebuild_plan
            set rebuild_from = farthest.reaches_back_to
            from (
                select
                    plan.exchange,
                    plan.symbol,
                    min(reach.reaches_back_to) as reaches_back_to
                from state.rebuild_plan as plan
                inner join {{ reach }} as reach
                    on
                        plan.exchange = reach.exchange
                        and plan.symbol = reach.symbol
                        and plan.rebuild_from > reach.reaches_back_to
                        and plan.rebuild_from <= reach.up_to
                where plan.model = '{{ this.name }}'
                group by plan.exchange, plan.symbol
            ) as farthest
            where
                rebuild_plan.model = '{{ this.name }}'
                and rebuild_plan.exchange = farthest.exchange
                and rebuild_plan.symbol = farthest.symbol;
        {%- endfor %}

        {% if not whole -%}
            -- Only now: a change at the start of a day need not be one within the day before it.
            update state.rebuild_plan
            set rebuild_from = rebuild_from - interval '5 minutes'
            where model = '{{ this.name }}';
        {%- endif %}

        {{ set_rebuild_bounds() }}
    {%- endif -%}
{% endmacro %}


{#- The earliest time any symbol is rebuilt from, as a constant: a join with the plan alone would not let the engine
    skip the blocks of years that nobody asked for. -#}
{% macro rebuild_floor() %}{{ return(adapter.dispatch('rebuild_floor')()) }}{% endmacro %}

{% macro duckdb__rebuild_floor() -%}
    coalesce(getvariable('rebuild_floor'), timestamp '1970-01-01')
{%- endmacro %}

{% macro spark__rebuild_floor() -%}
    timestamp '1970-01-01'
{%- endmacro %}


{#- Whether a symbol lies between the first and the last one that are rebuilt, which are constants, too. -#}
{% macro is_rebuilt_symbol(column) %}{{ return(adapter.dispatch('is_rebuilt_symbol')(column)) }}{% endmacro %}

{% macro duckdb__is_rebuilt_symbol(column) -%}
    (
            {{ column }} >= coalesce(getvariable('rebuild_first_symbol'), '')
            and {{ column }} <= coalesce(getvariable('rebuild_last_symbol'), chr(1114111))
        )
{%- endmacro %}

{% macro spark__is_rebuilt_symbol(column) -%}
    true
{%- endmacro %}


{#- Takes these constants from the plan as it stands now. -#}
{% macro set_rebuild_bounds() -%}
    {%- for name, value in {
        'floor': "coalesce(min(rebuild_from), timestamp 'infinity')",
        'first_symbol': 'min(symbol)',
        'last_symbol': 'max(symbol)',
    }.items() %}
    set variable rebuild_{{ name }} = (
        select {{ value }} from state.rebuild_plan
        where model = '{{ this.name }}'
    );
    {%- endfor %}
{%- endmacro %}


{#- Conditions on the rows that a model, this one unless told, gives anew, by its columns and rebuild_from. -#}
{% macro rebuilt_rows(node=none) %}
    {%- set meta = (node or model).config.meta -%}
    {%- do return([meta.time_column ~ ' >= rebuild_from'] + meta.get('rebuild_also', [])) -%}
{% endmacro %}


{% macro get_incremental_rebuild_sql(arg_dict) %}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {#- One statement for each condition: the engine cannot skip blocks by an `or` of several columns. #}
    {%- for condition in rebuilt_rows() %}
    delete from {{ target }}
    using state.rebuild_plan
    where
        rebuild_plan.model = '{{ this.name }}'
        {%- if has_exchange() %}
        and {{ target }}.exchange = rebuild_plan.exchange
        {%- endif %}
        and {{ target }}.symbol = rebuild_plan.symbol
        and ({{ condition }});
    {% endfor %}
    {% if rebuilt_rows() | length > 1 -%}
    create or replace temporary table earlier_rows as
    select
        given.*,
        rebuild_plan.rebuild_from
    from {{ arg_dict['temp_relation'] }} as given
    inner join state.rebuild_plan
        on
            rebuild_plan.model = '{{ this.name }}'
            {%- if has_exchange() %}
            and given.exchange = rebuild_plan.exchange
            {%- endif %}
            and given.symbol = rebuild_plan.symbol
            and given.{{ model.config.meta['time_column'] }} < rebuild_plan.rebuild_from;

    delete from {{ target }}
    using earlier_rows
    where
        {%- for column in model.config.meta['key'] %}
        {{ 'and ' if not loop.first }}{{ target }}.{{ adapter.quote(column) }} = earlier_rows.{{ adapter.quote(column) }}
        {%- endfor %};

    update state.rebuild_plan
    set rebuild_from = no_longer.first_time
    from (
        select
            {{ 'exchange,' if has_exchange() }}
            symbol,
            min({{ model.config.meta['time_column'] }}) as first_time
        from earlier_rows
        where ({{ rebuilt_rows()[1:] | join(' or ') }}) is not true
        group by {{ 'exchange,' if has_exchange() }} symbol
    ) as no_longer
    where
        rebuild_plan.model = '{{ this.name }}'
        {%- if has_exchange() %}
        and rebuild_plan.exchange = no_longer.exchange
        {%- endif %}
        and rebuild_plan.symbol = no_longer.symbol;

    drop table earlier_rows;
    {%- endif %}

    insert into {{ target }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }};

    {#- dbt leaves it to the end of the build, and what it holds is missing from the memory of all that follows. #}
    drop table {{ arg_dict['temp_relation'] }};
{% endmacro %}


{% macro record_rebuild() %}
    {%- if execute and is_rebuild_model() -%}
        delete from state.incremental_models where model = '{{ this.name }}';

        insert into state.incremental_models (model, change_id, fingerprint)
        values ('{{ this.name }}', {{ rebuild_up_to() }}, '{{ rebuild_fingerprint() }}');

        insert into state.rebuilds (rebuild_id, build_id, model, exchange, symbol, rebuild_from)
        select
            (select coalesce(max(rebuilds.rebuild_id), 0) + 1 from state.rebuilds) as rebuild_id,
            '{{ invocation_id }}' as build_id,
            model,
            exchange,
            symbol,
            rebuild_from
        from state.rebuild_plan
        where model = '{{ this.name }}';

        {% for name in ('floor', 'first_symbol', 'last_symbol') -%}
            reset variable rebuild_{{ name }};
        {% endfor %}
    {%- endif -%}
{% endmacro %}


{#- Whether the model's table, if there is one, has the columns that the YAML describes, and of the types it gives. Looked up
    once, before the model changes its table. -#}
{% macro has_described_columns() %}
    {%- if 'has_described_columns' not in model -%}
        {%- do model.update({'has_described_columns': compare_described_columns()}) -%}
    {%- endif -%}
    {%- do return(model.has_described_columns) -%}
{% endmacro %}


{% macro compare_described_columns() %}
    {%- set relation = load_cached_relation(this) -%}
    {%- if relation is not none -%}
        {%- set found = {} -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}
            {%- do found.update({column.name: column.dtype | lower | replace(' ', '')}) -%}
        {%- endfor -%}
        {%- if found.keys() | sort != model.columns.keys() | sort -%}
            {%- do return(false) -%}
        {%- endif -%}
        {%- for column in model.columns.values() if column.data_type -%}
            {%- if column.data_type | lower | replace(' ', '') != found[column.name] -%}
                {%- do return(false) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- do return(true) -%}
{% endmacro %}


{#- dbt's own macro, widened: a model of this strategy whose columns or fingerprint have changed is built anew, as by
    `--full-refresh`, so that new columns, vars and seeds reach its old rows. While the model is compiled there is no
    fingerprint yet, but the columns can be told: `is_incremental()` asks here. -#}
{% macro should_full_refresh() %}
    {%- if target.type != 'duckdb' -%}
        {%- do return(true) -%}
    {%- endif -%}
    {%- set asked = config.get('full_refresh') -%}
    {%- set asked = flags.FULL_REFRESH if asked is none else asked -%}
    {%- if execute and not asked and is_rebuild_model() -%}
        {%- if not has_described_columns() -%}
            {%- do return(true) -%}
        {%- elif compiled_code -%}
            {%- do return(rebuild_state(this.name).fingerprint != rebuild_fingerprint()) -%}
        {%- endif -%}
    {%- endif -%}
    {%- do return(asked) -%}
{% endmacro %}
