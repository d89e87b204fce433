-- A gap ends after it begins, and something is missing in it.
select * from marts.data_gaps
where gap_end < gap_start or missing <= 0
