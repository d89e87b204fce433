-- What is present and what is missing of a day is what was expected.
select * from marts.data_completeness
where present + missing != expected or least(present, missing, expected) < 0
