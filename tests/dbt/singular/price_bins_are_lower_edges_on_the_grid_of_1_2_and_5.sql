-- Prices on and beside the edges, with the bins worked out by hand. A float would put 0.3 into 0.2999.
with

prices as (

    {% for price, width, bin in [
        ('0.3', 'null', '0.3'),
        ('0.7', 'null', '0.7'),
        ('1.1', 'null', '1.1'),
        ('100.1', 'null', '100.1'),
        ('100.1', '0.3', '99.9'),
        ('60542.1687', 'null', '60500'),
        ('99999.99999999', 'null', '99950'),
        ('100000', 'null', '100000'),
        ('199.99999999', 'null', '199.9'),
        ('200', 'null', '200'),
        ('0.00001234', 'null', '0.00001234'),
        ('0.0000001', 'null', '0.0000001'),
        ('9999999999.99999999', 'null', '9995000000'),
        ('0', 'null', 'null'),
        ('-1', 'null', 'null'),
    ] %}
    {% if not loop.first %}union all{% endif %}
    select
        cast({{ price }} as decimal(18, 8)) as price,
        cast({{ width }} as decimal(18, 8)) as width,
        cast({{ bin }} as decimal(18, 8)) as expected_bin
    {% endfor %}

),

binned as (

    select
        *,
        {{ price_bin('price', 'width') }} as price_bin
    from prices

),

failures as (

    select * from binned
    where price_bin is distinct from expected_bin

)

select * from failures
