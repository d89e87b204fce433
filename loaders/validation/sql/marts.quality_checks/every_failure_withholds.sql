-- A check that fails withholds its symbol; one that concerns the warehouse has failed the build, and nothing is asked.
select checks.*
from marts.quality_checks as checks
left join marts.symbol_status as status
    on
        checks.exchange = status.exchange
        and checks.symbol = status.symbol
        and not status.is_published
where
    checks.status not in ('pass', 'warn')
    and status.symbol is null
