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
    {%- do return('(select * from ' ~ relation ~ ' where ' ~ condition ~ ') as rows_to_test') -%}
{% endmacro %}


{#- A condition on the rows of the model under test, or on those of a grid by `time_column`; none if all are to be tested. -#}
{% macro rows_to_test_condition(time_column=none) %}
    {%- set node = graph.nodes.get(model.attached_node) if execute -%}
    {%- set meta = node.config.get('meta', {}) if node else {} -%}
    {%- if not meta.get('time_column') or tests_everything() -%}
        {%- do return(none) -%}
    {%- endif -%}
    {%- set planned = run_query(changed_below(node)).rows -%}
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


{#- A query: symbols whose rows changed in this model, and since when. -#}
{% macro changed_below(node) %}
    {%- set plans = [] -%}
    {%- set datasets = [] -%}
    {%- if node.config.incremental_strategy == 'rebuild' -%}
        {%- do plans.append(node.name) -%}
    {%- else -%}
        {%- for id in rebuild_ancestors(node, stop_at_rebuild=true) -%}
            {%- if id in graph.sources -%}
                {%- set landed = graph.sources[id].config.meta -%}
                {%- if landed.get('dataset') -%}
                    {%- do datasets.append("('" ~ landed.exchange ~ "', '" ~ landed.dataset ~ "')") -%}
                {%- endif -%}
            {%- elif graph.nodes[id].config.get('incremental_strategy') == 'rebuild' -%}
                {%- do plans.append(graph.nodes[id].name) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif %}
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
            change_id > (select coalesce(max(change_id), 0) from state.builds where build_id = '{{ build_before() }}')
            and (exchange, dataset) in ({{ datasets | unique | join(', ') }})
        {%- endif %}
    )
    group by symbol
{% endmacro %}


{#- Id of the run of dbt before this one if it built and tested everything without a failure, else ''. -#}
{% macro build_before() %}
    {%- set found = run_query(
        "select build_id from state.builds where build_id <> '" ~ invocation_id ~ "' "
        ~ "qualify row_number() over (order by started_at desc) = 1 and command = 'build' and finished_at is not null "
        ~ "and change_id is not null and nodes_failed = 0 and nodes_left_out = 0"
    ) -%}
    {%- do return(found.rows[0][0] if found.rows else '') -%}
{% endmacro %}


{% macro tests_everything() %}
    {%- do return(
        flags.WHICH != 'build' or flags.FULL_REFRESH or var('test_everything') or build_before() == ''
    ) -%}
{% endmacro %}
