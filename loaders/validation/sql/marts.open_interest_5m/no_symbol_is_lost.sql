-- Every perpetual whose snapshots were landed is here.
select distinct symbol
from ${ingestion_files}
where status = 'loaded' and dataset = 'metrics' and market = 'um' and rows_loaded > 0 and strpos(symbol, '_') = 0

except

select symbol from marts.open_interest_5m
