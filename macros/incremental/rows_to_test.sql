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
    {%- set changed = changed_to_test() -%}
    {%- if not changed -%}
        {%- do return(relation) -%}
    {%- endif -%}
    {#- Each row by the first condition that it meets: the engine cannot skip blocks by an `or` of several columns. -#}
    {%- set parts = [] -%}
    {%- for condition in changed.conditions -%}
        {%- set earlier = changed.conditions[:loop.index0] -%}
        {%- do parts.append(
            'select * from ' ~ relation ~ ' where ' ~ changed.symbols ~ ' and (' ~ condition ~ ')'
            ~ (' and (' ~ earlier | join(' or ') ~ ') is not true' if earlier else '')
        ) -%}
    {%- endfor -%}
    {%- do return('(' ~ parts | join(' union all ') ~ ') as rows_to_test') -%}
{% endmacro %}


{#- A condition on the rows of a grid by `time_column`, beside the model under test; none if all are to be tested. -#}
{% macro rows_to_test_condition(time_column) %}
    {%- set changed = changed_to_test(time_column) -%}
    {%- do return(changed.symbols ~ ' and ' ~ changed.conditions[0] if changed else none) -%}
{% endmacro %}


{#- Conditions on the rows to test of the model under test, or of a grid by `time_column`: one on their symbols, and some
    on the rows, at least one of which is met. None if all are to be tested. -#}
{% macro changed_to_test(time_column=none) %}
    {%- set node = graph.nodes.get(model.attached_node) if execute -%}
    {%- set meta = node.config.get('meta', {}) if node else {} -%}
    {%- set build_before = last_whole_build() if meta.get('time_column') and may_test_less() -%}
    {%- if not build_before -%}
        {%- do return(none) -%}
    {%- endif -%}
    {%- set planned = run_query(changed_below(node, build_before)).rows -%}
    {%- if not planned -%}
        {%- do return({'symbols': 'false', 'conditions': ['false']}) -%}
    {%- endif -%}
    {%- set rebuild_from = "timestamp '" ~ (planned | map(attribute=1) | min) ~ "'" -%}
    {%- set symbols = planned | map(attribute=0) | map('replace', "'", "''") | join("', '") -%}
    {%- set conditions = [time_column ~ ' >= rebuild_from'] if time_column else rebuilt_rows(node) -%}
    {%- set since = [] -%}
    {%- for condition in conditions -%}
        {%- do since.append(modules.re.sub('\\brebuild_from\\b', rebuild_from, condition)) -%}
    {%- endfor -%}
    {%- do return({'symbols': "symbol in ('" ~ symbols ~ "')", 'conditions': since}) -%}
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
