{%- set families = ['files', 'completeness', 'rows', 'movements', 'agreement', 'open_interest'] -%}
with

measured as (

    {%- for family in families %}
    select * from {{ ref('int_checks_' ~ family) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

thresholds as (

    select * from {{ ref('quality_thresholds') }}

),

-- A dataset's own thresholds take precedence over the general ones.
thresholds_by_dataset as (

    select
        measured.*,
        case when own.check_name is not null then own.warn_above else general.warn_above end as warn_above,
        case when own.check_name is not null then own.fail_above else general.fail_above end as fail_above
    from measured
    left join thresholds as own
        on
            measured.check_name = own.check_name
            and measured.dataset = own.dataset
    left join thresholds as general
        on
            measured.check_name = general.check_name
            and general.dataset is null

),

judged as (

    select
        *,
        case
            when value > fail_above then 'fail'
            when value > warn_above then 'warn'
            else 'pass'
        end as status
    from thresholds_by_dataset

),

checks as (

    select
        check_name,
        exchange,
        dataset,
        symbol,
        value,
        case when status = 'fail' then fail_above else coalesce(warn_above, fail_above) end as threshold,
        status,
        coalesce(finding, 'nothing found') as detail
    from judged

)

select * from checks
