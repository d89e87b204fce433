with

snapshots as (

    select * from {{ ref('base_binance__snapshot_steps') }}

),

files as (

    select * from {{ source('ops', 'ingestion_files') }}

),

ranked as (

    select
        snapshots.*,
        files.path,
        {{ snapshot_precedence('snapshots', 'files') }} as precedence
    from snapshots
    inner join files
        on snapshots.file_id = files.file_id

)

select * from ranked
