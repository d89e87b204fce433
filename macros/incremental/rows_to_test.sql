{#-
    What the data tests of a nightly build look at: the rows that the build made, not the history below them, so that a
    night's tests cost what changed.

    A model says in `meta.time_column` by which time its rows are told from the older ones. Of an incremental model, the
    rows of its rebuild plan are tested; of a view, those of the plans of the incremental models below it, and of the
    files below it that were landed or forgotten since the last build. A first or full build plans everything.

    All rows are tested by `dbt test`, by `--full-refresh`, with the var `test_everything`, and wherever the run of dbt
    before this one was anything but a whole build without a failure: what it left untested, or failed, is in no plan.
-#}
{% macro rows_to_test(relation) %}
    {%- set condition = rows_to_test_condition() -%}
    {%- if not condition -%}
        {%- do return(relation) -%}
    {%- endif -%}
    {%- set meta = graph.nodes[model.attached_node].config.meta -%}
    {%- if meta.get('rebuild_also') and '(' not in relation | string -%}
        {#- Rows of a table lie here and there among those that stayed: the columns of the condition alone are read to find them. -#}
        {%- set condition = 'rowid in (select rowid from ' ~ relation ~ ' where ' ~ condition ~ ')' -%}
    {%- endif -%}
    {%- do return('(select * from ' ~ relation ~ ' where ' ~ condition ~ ') as rows_to_test') -%}
{% endmacro %}


{#- A condition on the rows of the model under test, or on those of a grid by `time_column`; none if all are to be tested. -#}
{% macro rows_to_test_condition(time_column=none) %}
    {%- set node = graph.nodes.get(model.attached_node) if execute -%}
    {%- set meta = node.config.get('meta', {}) if node else {} -%}
    {%- set build_before = last_whole_build() if meta.get('time_column') and may_test_less() -%}
    {%- if not build_before -%}
        {%- do return(none) -%}
    {%- endif -%}
    {%- set planned = run_query(changed_below(node, build_before)).rows -%}
    {%- if not planned -%}
        {%- do return('false') -%}
    {%- endif -%}
    {%- set rebuild_from = "timestamp '" ~ (planned | map(attribute=1) | min) ~ "'" -%}
    {%- set symbols = planned | map(attribute=0) | map('replace', "'", "''") | join("', '") -%}
    {%- set since = (time_column or meta.time_column) ~ ' >= ' ~ rebuild_from -%}
    {%- if meta.get('rebuild_also') and not time_column -%}
        {%- set also = modules.re.sub('\\brebuild_from\\b', rebuild_from, meta.rebuild_also) -%}
        {%- set since = '(' ~ since ~ ' or ' ~ also ~ ')' -%}
    {%- endif -%}
    {%- do return("symbol in ('" ~ symbols ~ "') and " ~ since) -%}
{% endmacro %}


{#- A query: symbols whose rows changed in this model since a build, and from when on. -#}
{% macro changed_below(node, build_before) %}
    {%- set is_rebuilt = node.config.incremental_strategy == 'rebuild' -%}
    {%- set plans = [node.name] if is_rebuilt else rebuild_parents(node) -%}
    {%- set datasets = [] if is_rebuilt else rebuild_datasets(node, stop_at_rebuild=true) %}
    select
        symbol,
        min(changed_from) as changed_from
    from (
        select
            symbol,
            rebuild_from as changed_from
        from state.rebuild_plan
        where model in ('{{ plans | join("', '") }}')
        {% if datasets -%}
        union all
        -- a day before: rows belong to steps, and steps to the candles before them
        select
            symbol,
            range_start - interval '1 day'
        from ops.ingestion_changes
        where
            change_id > (select change_id from state.builds where build_id = '{{ build_before }}')
            and (exchange, dataset) in (
                {%- for exchange, dataset in datasets %}
                ('{{ exchange }}', '{{ dataset }}'){{ ',' if not loop.last }}
                {%- endfor %}
            )
        {%- endif %}
    )
    group by symbol
{% endmacro %}


{#- Whether this command may leave rows untested that were tested before. Only a warehouse remembers its builds. -#}
{% macro may_test_less() %}
    {%- do return(
        target.type == 'duckdb' and flags.WHICH == 'build' and not flags.FULL_REFRESH and not var('test_everything')
    ) -%}
{% endmacro %}


{#- Id of the run of dbt before this one if it built and tested everything without a failure, else ''. -#}
{% macro last_whole_build() %}
    {%- set found = run_query(
        "select build_id from state.builds where build_id <> '" ~ invocation_id ~ "' "
        ~ "qualify row_number() over (order by started_at desc) = 1 and command = 'build' and finished_at is not null "
        ~ "and change_id is not null and nodes_failed = 0 and nodes_left_out = 0"
    ) -%}
    {%- do return(found.rows[0][0] if found.rows else '') -%}
{% endmacro %}
