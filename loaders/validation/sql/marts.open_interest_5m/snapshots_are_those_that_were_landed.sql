-- Open interest is what was landed for that instant, zero taken for unknown, and no snapshot is lost.
with

found as (

    select
        symbol,
        snapshot_at,
        open_interest,
        open_interest_usd
    from ${rows}

),

landed as (

    select
        symbol,
        snapshot_at,
        open_interest,
        open_interest_usd
    from ${stg_binance__metrics}
    where market = 'um' and strpos(symbol, '_') = 0

)

(
    select
        *,
        'was not landed' as fault
    from found
    except all
    select
        *,
        'was not landed' as fault
    from landed
)
union all
(
    select
        *,
        'is lost' as fault
    from landed
    except all
    select
        *,
        'is lost' as fault
    from found
)
