"""How much of log(1 + liquidated USD) of a candle is told by move and volume, by new extremes, and by each map on top.

Least squares over all candles of a recording. Sums of squares and products are taken block by block
(`verdict_block_hours`), so that leaving a block out for the intervals is a subtraction.
"""

import numpy as np

COLUMNS = {
    "provider": "str",
    "symbol": "str",
    "side": "str",
    "predictors": "str",
    "baseline": "str",
    "fitted_on": "str",
    "asked_of": "str",
    "candles": "int64",
    "blocks": "int64",
    "r2_baseline": "float64",
    "r2_with": "float64",
    "r2_added": "float64",
    "half_width": "float64",
}
# The same types in the engine.
SQL = {"str": "varchar", "int64": "bigint", "float64": "double"}


def model(dbt, session):
    """One row per provider, symbol, side, kind of predictors, baseline, and what was fitted and asked."""
    dbt.config(materialized="table")
    if dbt.ref("int_verdict_candles").limit(1).fetchone() is None:
        nothing = (f"cast(null as {SQL[kind]}) as {name}" for name, kind in COLUMNS.items())
        return session.sql(f"select {', '.join(nothing)} limit 0")
    # Most warehouses hold no recording, and loading this library takes longer than the rest of a small build's model.
    import pandas as pd

    order = "order by all"
    candles = dbt.ref("int_verdict_candles").query("candles", f"select * from candles {order}").df()
    crossed = dbt.ref("int_verdict_crossed").query("crossed", f"select * from crossed {order}").df()
    weighted = dbt.ref("int_verdict_map_crossed").query("weighted", f"select * from weighted {order}").df()
    rows = []
    for (symbol, side), part in candles.groupby(["symbol", "side"], sort=True):
        own = crossed[(crossed.symbol == symbol) & (crossed.side == side)]
        own_weighted = weighted[(weighted.symbol == symbol) & (weighted.side == side)]
        rows += [{"symbol": symbol, "side": side, **row} for row in fits(part, own, own_weighted)]
    found = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return session.from_df(found)


def fits(candles, crossed, weighted):
    """Rows for one symbol and side."""
    candles = candles.sort_values("step_at").reset_index(drop=True)
    hours = sorted({float(value) for value in candles.extreme_hours} - {0.0})
    longest = candles.extreme_hours.astype(float).to_numpy()
    extremes = np.column_stack([np.ones(len(candles)), *(longest >= each for each in hours)])
    move = candles.adverse_move.astype(float).to_numpy() * 100
    volume = np.log1p(candles.traded_usd.astype(float).to_numpy())
    plain = np.column_stack([np.ones(len(candles)), move, volume - volume.mean()])
    baselines = {
        "move and volume": plain,
        "move, volume and new extremes": np.column_stack([plain, extremes[:, 1:]]),
    }
    outcome = np.log1p(candles.liquidated_usd.astype(float).to_numpy())
    maps = dict(_maps(candles.step_at, crossed, weighted))
    recordings = candles.span_start.dt.strftime("%Y-%m-%d").to_numpy()
    blocks = candles.block.to_numpy()
    for name, baseline in baselines.items():
        if name == "move and volume" and hours:
            maps_here = {("new_extremes", "extremes"): extremes[:, 1:], **maps}
        else:
            maps_here = maps
        for (provider, kind), added in maps_here.items():
            for row in _judge(outcome, baseline, added, recordings, blocks):
                yield {"provider": provider, "predictors": kind, "baseline": name, **row}


def _maps(steps, crossed, weighted):
    """(provider, predictors) → columns of log(1 + crossed USD), by leverage where a provider has several."""
    for provider, rows in weighted.groupby("provider", sort=True):
        by_step = rows.set_index("step_at").crossed_usd.astype(float)
        yield (provider, "map"), np.log1p(by_step.reindex(steps).fillna(0).to_numpy())[:, None]
    for provider, rows in crossed[crossed.leverage > 0].groupby("provider", sort=True):
        table = rows.assign(usd=rows.crossed_usd.astype(float)).pivot_table(
            index="step_at", columns="leverage", values="usd", aggfunc="sum"
        )
        yield (provider, "by leverage"), np.log1p(table.reindex(steps).fillna(0).to_numpy())


def _judge(outcome, baseline, added, recordings, blocks):
    """R² with and without `added`: in all recordings, in each, and of each fitted on the others."""
    whole = np.column_stack([baseline, added, outcome])
    width = baseline.shape[1]
    products = {}
    for recording in sorted(set(recordings)):
        inside = recordings == recording
        for block in np.unique(blocks[inside]):
            rows = whole[inside & (blocks == block)]
            products[recording, block] = rows.T @ rows, len(rows), rows[:, -1].sum()
    names = sorted(set(recordings))
    questions = [("itself", "all", list(products), list(products))]
    for name in names if len(names) > 1 else []:
        inside = [key for key in products if key[0] == name]
        outside = [key for key in products if key[0] != name]
        questions += [("itself", name, inside, inside), ("the others", name, outside, inside)]
    for fitted_on, asked_of, fit_keys, ask_keys in questions:
        fit, ask = _sum(products, fit_keys), _sum(products, ask_keys)
        base, full = _r2(fit, ask, width), _r2(fit, ask, whole.shape[1] - 1)
        left_out = []
        for key in ask_keys if len(ask_keys) > 1 else []:
            asked = _minus(ask, products[key])
            fitted = asked if fitted_on == "itself" else fit
            left_out.append(_r2(fitted, asked, whole.shape[1] - 1) - _r2(fitted, asked, width))
        count = len(left_out)
        spread = np.sqrt((count - 1) / count * np.square(left_out - np.mean(left_out)).sum()) if count > 1 else np.nan
        yield {
            "fitted_on": fitted_on,
            "asked_of": asked_of,
            "candles": ask[1],
            "blocks": len(ask_keys),
            "r2_baseline": round(base, 6),
            "r2_with": round(full, 6),
            "r2_added": round(full - base, 6),
            "half_width": round(1.96 * spread, 6),
        }


def _sum(products, keys):
    return tuple(sum(parts) for parts in zip(*(products[key] for key in keys), strict=True))


def _minus(total, part):
    return tuple(whole - one for whole, one in zip(total, part, strict=True))


def _r2(fit, ask, width):
    """Share of the variance of what is asked that the first `width` columns tell, with the coefficients of `fit`."""
    squares, _, _ = fit
    scale = np.sqrt(np.maximum(np.diag(squares)[:width], 1e-12))
    normal = squares[:width, :width] / np.outer(scale, scale)
    coefficients = np.linalg.lstsq(normal, squares[:width, -1] / scale, rcond=1e-10)[0] / scale
    asked, count, total = ask
    spread = asked[-1, -1] - total**2 / count
    if spread <= 0:
        return float("nan")
    error = asked[-1, -1] - 2 * coefficients @ asked[:width, -1] + coefficients @ asked[:width, :width] @ coefficients
    return float(1 - error / spread)
