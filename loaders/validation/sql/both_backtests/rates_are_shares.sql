-- There are events, hit rates and coverage lie between 0 and 1, and lift is hit_rate / null_hit_rate.
select * from ${table}
where
    events <= 0
    or hit_rate not between 0 and 1
    or null_hit_rate not between 0 and 1
    or coverage_share not between 0 and 1
    or abs(lift * null_hit_rate - hit_rate) > 0.000001
