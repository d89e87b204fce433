{#-
    Order in which files go first where several have the same key, as a list for `order by`: the archive before REST,
    the shorter period (a day) before the longer (a month), then the hash of the content. It knows nothing of the time of
    loading, so that any order of loading gives the same tables. Files with the same hash have the same content; the file
    id decides between them only to make the order total.

    `files`: the CTE or table with origin, period_start, period_end, sha256 and file_id of the ledger; empty where there is
    only one.
-#}
{% macro file_precedence(files='') -%}
    {%- set of = files ~ '.' if files else '' -%}
    case {{ of }}origin when 'archive' then 0 else 1 end,
                {{ of }}period_end - {{ of }}period_start nulls last,
                {{ of }}sha256,
                {{ of }}file_id
{%- endmacro %}
