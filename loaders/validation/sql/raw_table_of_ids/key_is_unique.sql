-- No two rows have the same ${key}. Each block of 4,096 ids of a file must hold as many different ids as rows.
-- One bit for each id: billions of keys are neither sorted nor hashed.
select
    ${other_keys},
    min(${sequence}) as first_of_block,
    count(*) as row_count
from ${rows}
where ${sequence} is not null
group by ${other_keys}, ${sequence} // 4096
having count(*) > bit_count(bitstring_agg(${sequence} % 4096, 0, 4095))
