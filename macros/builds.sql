{#-
    Books of dbt's own runs, one row each in `state.builds`, so that a publication can tell a warehouse that was built and
    tested as a whole from one that was not. A run that was killed leaves its row without an end.
-#}

{#- Ids of nodes that are left out since nothing below them changed after the last whole build, which `loaders run` finds. -#}
{% macro unchanged_nodes() %}
    {%- do return(env_var('LOADERS_UNCHANGED_NODES', '').split()) -%}
{% endmacro %}


{#- on-run-start: the run begins, and so many changes were landed. `loaders run` says by which project and of which files;
    a dbt that was started by hand, perhaps with other vars, leaves both unknown. -#}
{% macro record_build_start() %}
    {%- if execute and target.type == 'duckdb' and flags.WHICH in ['build', 'run', 'seed', 'snapshot', 'test'] -%}
        {%- do run_query(
            "insert into state.builds (build_id, command, started_at, project_hash, files_hash, change_id) "
            ~ "select '" ~ invocation_id ~ "', '" ~ flags.WHICH ~ "', "
            ~ "cast('" ~ run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f') ~ "' as timestamp), "
            ~ "nullif('" ~ env_var('LOADERS_PROJECT_HASH', '') ~ "', ''), "
            ~ "nullif('" ~ env_var('LOADERS_FILES_HASH', '') ~ "', ''), "
            ~ "coalesce((select max(change_id) from ops.ingestion_changes), 0)"
        ) -%}
        {{ pass_over_unchanged() }}
    {%- endif -%}
{% endmacro %}


{#- Incremental models that are left out have worked in all changes there are, since none concerns them, and rebuild
    nothing: so models above them can go on, and tests of views above them look at no old plan. -#}
{% macro pass_over_unchanged() %}
    {%- set names = [] -%}
    {%- for id in unchanged_nodes() if graph.nodes[id].config.get('incremental_strategy') == 'rebuild' -%}
        {%- do names.append(graph.nodes[id].name) -%}
    {%- endfor -%}
    {%- if names -%}
        {%- set among = "where model in ('" ~ names | join("', '") ~ "')" -%}
        {%- do run_query("delete from state.rebuild_plan " ~ among) -%}
        {%- do run_query(
            "update state.incremental_models set change_id = (select max(change_id) from ops.ingestion_changes) " ~ among
        ) -%}
    {%- endif -%}
{% endmacro %}


{#- on-run-end: what was built, what of the project was left out, what failed. Changes landed meanwhile leave the row
    without a state, since nobody can say which models saw them. -#}
{% macro record_build_end(results) %}
    {%- if execute and target.type == 'duckdb' and flags.WHICH in ['build', 'run', 'seed', 'snapshot', 'test'] -%}
        {%- set counts = namespace(built=0, failed=0) -%}
        {%- set seen = [] -%}
        {%- for result in results -%}
            {%- do seen.append(result.node.unique_id) -%}
            {#- An exposure is told of, and nothing is done with it. -#}
            {%- if result.node.resource_type != 'exposure' and result.status not in ['success', 'pass', 'warn'] -%}
                {%- set counts.failed = counts.failed + 1 -%}
            {%- endif -%}
            {%- if result.node.resource_type in ['model', 'seed', 'snapshot'] -%}
                {%- set counts.built = counts.built + 1 -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set left_out = [] -%}
        {%- set unchanged = unchanged_nodes() -%}
        {%- for node in graph.nodes.values() -%}
            {%- if node.resource_type in ['model', 'seed', 'snapshot', 'test'] and node.unique_id not in seen
                and node.unique_id not in unchanged and node.config.get('enabled', true)
                and node.config.get('materialized') != 'ephemeral' -%}
                {%- do left_out.append(node.unique_id) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do run_query(
            "update state.builds set finished_at = cast('"
            ~ modules.datetime.datetime.now(modules.pytz.utc).strftime('%Y-%m-%d %H:%M:%S.%f') ~ "' as timestamp), "
            ~ "change_id = case when change_id = coalesce((select max(change_id) from ops.ingestion_changes), 0) "
            ~ "then change_id end, "
            ~ "nodes_built = " ~ counts.built ~ ", nodes_failed = " ~ counts.failed
            ~ ", nodes_left_out = " ~ left_out | length
            ~ ", dbt_version = '" ~ dbt_version ~ "' where build_id = '" ~ invocation_id ~ "'"
        ) -%}
    {%- endif -%}
{% endmacro %}


{#- post-hook of marts: how many rows the build left, in the model's own transaction. -#}
{% macro record_mart_rows() %}
    {%- if execute and target.type == 'duckdb' and model.resource_type == 'model' and model.config.materialized != 'view' -%}
        delete from state.mart_rows where model = '{{ this.name }}';

        insert into state.mart_rows (model, row_count)
        select '{{ this.name }}' as model, count(*) as row_count from {{ this }};
    {%- endif -%}
{% endmacro %}
