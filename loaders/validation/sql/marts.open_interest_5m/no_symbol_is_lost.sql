-- Every perpetual whose snapshots were landed is here.
select distinct symbol
from ${ingestion_files}
where status = 'loaded' and dataset = 'metrics' and market = 'um' and rows_loaded > 0 and strpos(symbol, '_') = 0

except

-- distinct: else the engine holds a row of each snapshot
select distinct symbol from marts.open_interest_5m
