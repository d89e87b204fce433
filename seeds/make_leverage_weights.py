"""Estimates `leverage_weights.csv` from recorded liquidations, and says how good it is on days it has not seen.

    python seeds/make_leverage_weights.py WAREHOUSE [--model net] [--symbol BTCUSDT ...] [--train DAY ...] [--to FILE]

What a candle crosses of each leverage (intermediate.int_verdict_crossed, as if all had been opened with that one)
times the leverage's weight is what should have been liquidated in it: non-negative least squares over all candles and
both sides give the weights, scaled to sum to 1; the factor between map and recording is told beside them. `--train`
names the recordings (their first days) to estimate from, without it every other day of each is used; all other
candles judge. Both the estimate and the weights now in the seed are judged by volume (correlation of what is crossed
with what was liquidated) and by count (correlation of their ranks): a crash decides the first, ordinary candles the
second.

Writes nothing without `--to`. The file has the columns of the seed and `origin`, which says where the weights came
from.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import click
import duckdb
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import spearmanr

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Candles:
    """Candles × leverages: USD crossed, were all opened with that one; recorded USD; recording, day, side of each."""

    leverages: list[int]
    crossed: Vector
    liquidated: Vector
    recording: NDArray[np.str_]
    day: NDArray[np.str_]
    side: NDArray[np.str_]

    def where(self, chosen: NDArray[np.bool_]) -> Candles:
        """Some of them."""
        return Candles(
            self.leverages,
            self.crossed[chosen],
            self.liquidated[chosen],
            self.recording[chosen],
            self.day[chosen],
            self.side[chosen],
        )


def read(warehouse: Path, model: str, symbols: tuple[str, ...]) -> Candles:
    """Candles of all recordings. Raises click.ClickException where there are none."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        rows = connection.execute(
            """
            select
                candles.symbol,
                candles.side,
                cast(candles.step_at as varchar),
                cast(cast(candles.span_start as date) as varchar),
                cast(cast(candles.step_at - interval '5 minutes' as date) as varchar),
                cast(candles.liquidated_usd as double),
                crossed.leverage,
                coalesce(cast(crossed.crossed_usd as double), 0)
            from intermediate.int_verdict_candles as candles
            left join intermediate.int_verdict_crossed as crossed
                on
                    candles.symbol = crossed.symbol
                    and candles.side = crossed.side
                    and candles.step_at = crossed.step_at
                    and crossed.provider = $1
            where len($2) = 0 or candles.symbol in (select unnest($2))
            order by all
            """,
            [model, list(symbols)],
        ).fetchall()
    if not rows:
        raise click.ClickException("no recorded liquidations: land recordings, then `dbt build`")
    leverages = sorted({row[6] for row in rows if row[6] is not None})
    if not leverages:
        raise click.ClickException(f"the model {model} crosses nothing there: is it one of the var position_models?")
    candles = {row[:3]: row[3:6] for row in rows}
    places = {key: place for place, key in enumerate(candles)}
    crossed = np.zeros((len(candles), len(leverages)))
    for row in rows:
        if row[6] is not None:
            crossed[places[row[:3]], leverages.index(row[6])] = row[7]
    return Candles(
        leverages,
        crossed,
        np.array([liquidated for _, _, liquidated in candles.values()]),
        np.array([recording for recording, _, _ in candles.values()]),
        np.array([day for _, day, _ in candles.values()]),
        np.array([side for _, side, _ in candles]),
    )


def estimate(candles: Candles, least: int) -> tuple[Vector, float]:
    """Weights that sum to 1, and recorded USD ÷ USD crossed under them.

    A leverage that fewer than `least` candles cross cannot be told and gets 0: one candle would decide its weight.
    """
    enough = (candles.crossed > 0).sum(axis=0) >= least
    coefficients = np.zeros(len(candles.leverages))
    if enough.any():
        coefficients[enough], _ = nnls(candles.crossed[:, enough], candles.liquidated)
    total = float(coefficients.sum())
    if total == 0:
        raise click.ClickException("no leverage explains anything there: recordings and levels do not meet")
    return coefficients / total, total


def judge(candles: Candles, weights: Vector) -> tuple[float, float]:
    """Correlation by volume and by count of what is crossed under these weights with what was liquidated."""
    crossed = candles.crossed @ weights
    if not crossed.any() or not candles.liquidated.any():
        return float("nan"), float("nan")
    return float(np.corrcoef(crossed, candles.liquidated)[0, 1]), float(spearmanr(crossed, candles.liquidated)[0])


def in_seed(path: Path, leverages: list[int]) -> Vector:
    """The weights that a seed has for these leverages, scaled to sum to 1."""
    with path.open(newline="", encoding="utf-8") as file:
        weights = {int(row["leverage"]): float(row["weight"]) for row in csv.DictReader(file)}
    chosen = np.array([weights.get(leverage, 0.0) for leverage in leverages])
    return np.asarray(chosen / chosen.sum(), dtype=np.float64)


def write(path: Path, leverages: list[int], weights: Vector, origin: str) -> None:
    """Weights to six decimals, the largest takes what rounding leaves."""
    millionths = [int(weight * 1_000_000) for weight in weights]
    millionths[int(np.argmax(weights))] += 1_000_000 - sum(millionths)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["leverage", "weight", "origin"])
        writer.writerows(
            [each, f"{share / 1_000_000:.6f}", origin] for each, share in zip(leverages, millionths, strict=True)
        )


@click.command()
@click.argument("warehouse", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="net", show_default=True, help="Model of openings.")
@click.option("--symbol", "symbols", multiple=True, help="Only these symbols; all recorded ones unless told.")
@click.option("--train", multiple=True, help="First day of a recording to estimate from; every other day unless told.")
@click.option(
    "--least", default=20, show_default=True, help="Candles that must cross a leverage to estimate its weight."
)
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the weights.")
def main(
    warehouse: Path, model: str, symbols: tuple[str, ...], train: tuple[str, ...], least: int, to: Path | None
) -> None:
    """Estimates leverage weights and judges them on candles that were not used."""
    candles = read(warehouse, model, symbols)
    if train:
        trained = np.isin(candles.recording, train)
        where = f"the recordings of {', '.join(train)}"
    else:
        days = sorted(set(candles.day))
        trained = np.isin(candles.day, days[::2])
        where = f"every other day from {days[0]} to {days[-1]}"
    if not trained.any() or trained.all():
        recordings = ", ".join(sorted(set(candles.recording)))
        raise click.ClickException(f"nothing is left to train on or to judge by; the recordings are {recordings}")
    weights, scale = estimate(candles.where(trained), least)
    guess = in_seed(Path(__file__).with_name("leverage_weights.csv"), candles.leverages)
    click.echo(f"{model}, {where}: {trained.sum()} candles and sides; recorded ÷ crossed {scale:.3f}")
    for leverage, weight, guessed in zip(candles.leverages, weights, guess, strict=True):
        crossing = int((candles.where(trained).crossed[:, candles.leverages.index(leverage)] > 0).sum())
        click.echo(f"  {leverage:4}x  {weight:.3f}  (seed {guessed:.3f}), crossed by {crossing} candles")
    for name, chosen in (("seen", trained), ("not seen", ~trained)):
        for side in ("long", "short"):
            part = candles.where(chosen & (candles.side == side))
            ours, theirs = judge(part, weights), judge(part, guess)
            click.echo(
                f"  {name:8} {side:5} by volume {ours[0]:.2f} (seed {theirs[0]:.2f}), "
                f"by count {ours[1]:.2f} (seed {theirs[1]:.2f}), {len(part.liquidated)} candles"
            )
    if to is not None:
        write(to, candles.leverages, weights, f"least squares, {model}, {where}")
        click.echo(f"written to {to}")


if __name__ == "__main__":
    main()
