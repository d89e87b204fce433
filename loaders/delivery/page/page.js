/* Works the page: unpacks a symbol's numbers, adds up the levels that are chosen, fills the plots that Bokeh draws.
   Times are minutes since 1970 in the data and milliseconds in the plots, UTC in both. NaN is what is not known. */
"use strict";
(() => {
const $ = id => document.getElementById(id);
const MINUTE = 60_000, DAY = 1440;
const MOST_ROWS = 2000;         // of the heatmap
const SIDES = ["long", "short"];
const EVENTS = ["unknown", "flat or no change", "longs opened", "shorts opened", "longs closed", "shorts closed"];
const meta = JSON.parse($("page-meta").textContent);
const plots = JSON.parse($("page-plots").textContent);
const state = {symbol: null, range: "7", leverages: new Set(), sides: new Set(SIDES), cutoff: 0};
const loaded = new Map();
let models = {}, views = {}, shown = null, heat = null, calendar = null, NDArray = null;

// ---------------------------------------------------------------------------------------------------------------- data

const ARRAYS = {u1: Uint8Array, u2: Uint16Array, i4: Int32Array, f4: Float32Array, f8: Float64Array};

/* The other half of packing.py. */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text.trim()), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const columns = {};
  let at = 4 + length;
  for (const [name, kind, rows, delta] of JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))) {
    const size = ARRAYS[kind].BYTES_PER_ELEMENT, raw = new Uint8Array(rows * size);
    for (let plane = 0; plane < size; plane++) {
      for (let row = 0; row < rows; row++) raw[row * size + plane] = bytes[at + plane * rows + row];
    }
    const values = new ARRAYS[kind](raw.buffer);
    if (delta) for (let row = 1; row < rows; row++) values[row] += values[row - 1];
    columns[name] = values;
    at += rows * size;
  }
  return columns;
}

async function load(symbol) {
  if (!loaded.has(symbol)) {
    const columns = await unpack($("block-" + symbol).textContent);
    loaded.set(symbol, {facts: meta.symbols[symbol], ...columns});
  }
  return loaded.get(symbol);
}

/* First index whose value is not below. */
function firstFrom(values, wanted) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1; else high = middle;
  }
  return low;
}

// --------------------------------------------------------------------------------------------------------------- texts

const two = number => String(number).padStart(2, "0");
function timeText(milliseconds) {
  const time = new Date(milliseconds);
  return `${time.getUTCFullYear()}-${two(time.getUTCMonth() + 1)}-${two(time.getUTCDate())} `
    + `${two(time.getUTCHours())}:${two(time.getUTCMinutes())}`;
}
/* Four digits, with the words people use: 4.116 M. */
function amountText(amount) {
  if (amount === null || amount === undefined || !isFinite(amount)) return "unknown";
  const size = Math.abs(amount);
  for (const [unit, word] of [[1e12, " T"], [1e9, " bn"], [1e6, " M"], [1e3, " k"]]) {
    if (size >= unit * 0.99995) return Number((amount / unit).toPrecision(4)) + word;
  }
  return String(Number(amount.toPrecision(4)));
}
const usdText = amount => isFinite(amount ?? NaN) ? amountText(amount) + " USD" : "unknown";
const priceText = (price, decimals) => price.toFixed(Math.min(decimals, 10));
const percentText = (share, digits = 1) => (share * 100).toFixed(digits) + " %";
function spanText(minutes) {
  if (minutes < 0) return "in the future";
  if (minutes < 120) return `${Math.floor(minutes)} min`;
  if (minutes < 2 * DAY) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / DAY)} days`;
}
const decimalsOf = width => Math.max(0, Math.ceil(-Math.log10(width) - 1e-9));

// -------------------------------------------------------------------------------------------------------------- candles

/* How candles are drawn where the view reaches from first to last minute: as many as there is room for, of five minutes
   or of the longer ones of the whole history, if the view shows a part that has no others. */
function drawnAs(data, first, last) {
  const room = Math.min(1200, Math.max(60, (views.price?.frame.bbox.width || 800) / 2.2));
  const least = STEPS.find(step => (last - first) / step <= room) ?? STEPS.at(-1);
  const older = data.history_minute?.[firstFrom(data.history_minute, first)] < data.candle_minute[0];
  return older ? {past: "history", step: Math.max(data.facts.history_step, least)} : {past: "candle", step: least};
}
/* Candles of one length from first to last minute, merged from shorter ones; of a step without any there is none. */
function candles(data, first, last, {past, step}) {
  const minutes = data[past + "_minute"], unit = 10 ** data.facts.decimals;
  const found = {step, minute: [], open: [], high: [], low: [], close: [], volume: []};
  let bucket = null, at = -1;
  for (let row = firstFrom(minutes, first - step); row < minutes.length && minutes[row] < last + step; row++) {
    const start = Math.floor(minutes[row] / step) * step;
    if (start !== bucket) {
      bucket = start; at += 1;
      found.minute.push(start);
      found.open.push(data[past + "_open"][row] / unit);
      found.high.push(-Infinity); found.low.push(Infinity); found.close.push(0); found.volume.push(0);
    }
    found.high[at] = Math.max(found.high[at], data[past + "_high"][row] / unit);
    found.low[at] = Math.min(found.low[at], data[past + "_low"][row] / unit);
    found.close[at] = data[past + "_close"][row] / unit;
    found.volume[at] += data[past + "_quote_volume"][row];
  }
  return found;
}
const STEPS = [5, 15, 30, 60, 120, 240, 480, 720, 1440, 4320, 10080];

function drawCandles(first, last, how) {
  const data = shown, found = candles(data, first, last, how), width = found.step * MINUTE;
  const parts = {rising: empty(), falling: empty()};
  function empty() { return {time: [], open: [], close: [], high: [], low: [], width: []}; }
  found.minute.forEach((minute, row) => {
    const part = parts[found.close[row] >= found.open[row] ? "rising" : "falling"];
    part.time.push(minute * MINUTE + width / 2);
    part.open.push(found.open[row]); part.close.push(found.close[row]);
    part.high.push(found.high[row]); part.low.push(found.low[row]);
    part.width.push(width * 0.72);
  });
  for (const name in parts) models[name].data = parts[name];
  data.drawn = found;
  drawChanges(first, last, found.step);
}

/* The change of open interest of the candles that are drawn. Of a longer candle it is known if it is of all in it. */
function drawChanges(first, last, step) {
  const data = shown, bars = {opened: {time: [], usd: [], width: []}, closed: {time: [], usd: [], width: []}};
  const minutes = data.change_minute ?? [], sums = new Map();
  for (let row = firstFrom(minutes, first - step); row < minutes.length && minutes[row] < last + step; row++) {
    const start = Math.floor(minutes[row] / step) * step;
    sums.set(start, (sums.get(start) ?? 0) + data.change_usd[row]);
  }
  let most = 0;
  for (const [start, usd] of sums) {
    if (!isFinite(usd)) continue;
    const part = bars[usd >= 0 ? "opened" : "closed"];
    part.time.push((start + step / 2) * MINUTE); part.usd.push(usd); part.width.push(step * MINUTE * 0.8);
    most = Math.max(most, Math.abs(usd));
  }
  for (const name in bars) models[name].data = bars[name];
  data.changes = {step, sums};
  models["change range"].setv({start: -(most || 1) * 1.1, end: (most || 1) * 1.1});
}

function drawInterest(first, last, past) {
  const data = shown, older = past == "history" && data.history_interest;
  const minutes = (older ? data.history_minute : data.interest_minute) ?? [], values = older ? data.history_interest : data.interest;
  const length = older ? data.facts.history_step : 5, time = [], interest = [];
  const begin = Math.max(0, firstFrom(minutes, first) - 1), end = Math.min(minutes.length, firstFrom(minutes, last) + 1);
  const every = Math.max(1, Math.floor((end - begin) / 3000));
  let low = Infinity, high = -Infinity;
  for (let row = begin; row < end; row += every) {
    // A line over missing snapshots would claim to know them.
    if (row > begin && minutes[row] - minutes[row - every] > length * every) {
      time.push((minutes[row] - 1) * MINUTE); interest.push(NaN);
    }
    const value = values[row];
    time.push(minutes[row] * MINUTE); interest.push(value);
    if (isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
  }
  models["interest values"].data = {time, interest};
  if (low > high) [low, high] = [0, 1];
  const margin = (high - low) * 0.08 || Math.abs(high) * 0.01 || 1;
  models["interest range"].setv({start: low - margin, end: high + margin});
}

function drawGaps() {
  const minutes = shown.candle_minute, left = [], right = [];
  for (let row = 1; row < minutes.length; row++) {
    if (minutes[row] - minutes[row - 1] > 5) {
      left.push((minutes[row - 1] + 5) * MINUTE); right.push(minutes[row] * MINUTE);
    }
  }
  models.gaps.data = {left, right};
}

// -------------------------------------------------------------------------------------------------------------- heatmap

const chosen = (side, leverage) => state.sides.has(SIDES[side]) && state.leverages.has(leverage);

/* Adds the chosen levels up. What stood in a cell is their sum × the share that was left at the cell's step; a row is a
   price of the grid, a bin wider than a row fills several. */
function drawHeat(fresh) {
  const data = shown;
  heat = null;
  let image = new Float32Array(1), shape = [1, 1], place = {x: 0, y: 0, dw: 1, dh: 1};
  if (data.level_bin && data.step_minute.length) {
    heat = addUp(data);
    image = heat.image; shape = [heat.rows, heat.columns];
    place = {x: heat.first * MINUTE, y: heat.bottom, dw: heat.columns * heat.step * MINUTE, dh: heat.rows * heat.unit};
  }
  NDArray ??= models.heat.data.image[0].constructor;
  // Colours are worked out when the image or the scale changes: with no image between them, once.
  models.heat.data = {image: [], x: [], y: [], dw: [], dh: []};
  if (fresh) setCutoff(heat ? Number(heat.usual.toPrecision(1)) : 0); else applyCutoff();
  models.heat.data = {
    image: [new NDArray(image.buffer, shape)],
    x: [place.x], y: [place.y], dw: [place.dw], dh: [place.dh],
  };
}

function addUp(data) {
  const unit0 = 10 ** data.facts.decimals;
  let low = Infinity, high = -Infinity;
  for (let row = 0; row < data.candle_minute.length; row++) {
    low = Math.min(low, data.candle_low[row]); high = Math.max(high, data.candle_high[row]);
  }
  low *= 0.75 / unit0; high *= 1.25 / unit0;
  let smallest = Infinity, bottom = Infinity, top = -Infinity;
  for (let bin = 0; bin < data.bin_price.length; bin++) {
    if (data.bin_price[bin] < low || data.bin_price[bin] > high) continue;
    smallest = Math.min(smallest, data.bin_width[bin]);
    bottom = Math.min(bottom, data.bin_price[bin]); top = Math.max(top, data.bin_price[bin] + data.bin_width[bin]);
  }
  // Widths are 1, 2 or 5 × 10^k: a grid of 10^k fits all of them.
  let unit = 10 ** Math.floor(Math.log10(smallest) + 1e-9), digit = 0;
  const finest = unit;
  while ((top - bottom) / unit > MOST_ROWS) { digit += 1; unit = finest * [1, 2, 5][digit % 3] * 10 ** Math.floor(digit / 3); }
  const first = data.step_minute[0], step = data.facts.step_minutes;
  const columns = Math.round((data.step_minute.at(-1) - first) / step) + 1;
  bottom = Math.floor(bottom / unit + 1e-6) * unit;
  const rows = Math.max(1, Math.ceil((top - bottom) / unit - 1e-6));
  const column = Int32Array.from(data.step_minute, minute => Math.round((minute - first) / step));
  // By bin first: rows that show the same bin are copies.
  const bins = new Map();
  for (let level = 0; level < data.level_bin.length; level++) {
    const side = data.level_side[level];
    if (!chosen(side, data.level_leverage[level])) continue;
    const bin = data.level_bin[level];
    if (data.bin_price[bin] < low || data.bin_price[bin] > high) continue;
    const key = bin * 2 + side;
    let one = bins.get(key);
    if (!one) bins.set(key, one = {change: new Float64Array(data.step_minute.length + 1), count: new Int32Array(data.step_minute.length + 1)});
    one.change[data.level_begin[level]] += data.level_amount[level]; one.count[data.level_begin[level]] += 1;
    one.change[data.level_end[level]] -= data.level_amount[level]; one.count[data.level_end[level]] -= 1;
  }
  const image = new Float32Array(rows * columns);
  for (const [key, one] of bins) {
    const side = key & 1, bin = key >> 1, share = data["step_share_" + SIDES[side]];
    const from = (data.bin_price[bin] - bottom) / unit, width = data.bin_width[bin] / unit;
    let begin = Math.max(0, Math.ceil(from - 0.5 - 1e-6)), end = Math.min(rows, Math.ceil(from + width - 0.5 - 1e-6));
    if (end <= begin) { begin = Math.min(rows - 1, Math.floor(from + 1e-6)); end = begin + 1; }
    let sum = 0, count = 0;
    for (let at = 0; at < data.step_minute.length; at++) {
      sum += one.change[at]; count += one.count[at];
      if (!count) { sum = 0; continue; }
      const usd = sum * share[at];
      for (let row = begin; row < end; row++) image[row * columns + column[at]] += usd;
    }
  }
  // What seven of ten cells stay below, of a sample.
  const some = [], every = Math.max(1, Math.floor(image.length / 30_000));
  let most = 0;
  for (let cell = 0; cell < image.length; cell++) {
    if (image[cell] > most) most = image[cell];
    if (cell % every == 0 && image[cell] > 0) some.push(image[cell]);
  }
  some.sort((one, other) => one - other);
  return {image, rows, columns, bottom, unit, first, step, most, usual: some[Math.floor(some.length * 0.7)] ?? 0};
}

/* The bins of one price at one time: side, edges, USD and since when. */
function levelsAt(minute, price) {
  const data = shown, found = [];
  if (!data.level_bin || !data.step_minute.length) return found;
  const at = firstFrom(data.step_minute, minute - data.facts.step_minutes + 1e-9);
  if (data.step_minute[at] === undefined || data.step_minute[at] > minute) return found;
  for (let bin = firstFrom(data.bin_price, price - data.bin_width.at(-1)); bin < data.bin_price.length; bin++) {
    if (data.bin_price[bin] > price) break;
    if (data.bin_price[bin] + data.bin_width[bin] <= price) continue;
    for (const side of [0, 1]) {
      let usd = 0, since = Infinity, levels = 0;
      for (let level = firstFrom(data.level_bin, bin); data.level_bin[level] === bin; level++) {
        if (data.level_side[level] !== side || !chosen(side, data.level_leverage[level])) continue;
        if (data.level_begin[level] > at || data.level_end[level] <= at) continue;
        usd += data.level_amount[level]; since = Math.min(since, data.level_since[level]); levels += 1;
      }
      if (!levels) continue;
      found.push({
        side: SIDES[side], from: data.bin_price[bin], to: data.bin_price[bin] + data.bin_width[bin], since,
        usd: usd * data["step_share_" + SIDES[side]][at], step: data.step_minute[at],
      });
    }
  }
  return found;
}

function applyCutoff() {
  const most = heat?.most || 10;
  const low = Math.max(state.cutoff, most / 1e6, 1e-9);
  models.colours.setv({low: Math.min(low, most * 0.999), high: most});
}

const cutoffOf = position => position <= 0 ? 0 : (heat?.most || 1) * 10 ** (-4 + 4 * position / 100);
const positionOf = usd => usd <= 0 || !heat ? 0 : Math.min(100, Math.max(0, Math.round((Math.log10(usd / heat.most) + 4) * 25)));
function setCutoff(usd, from) {
  state.cutoff = Math.max(0, usd || 0);
  if (from != "slider") $("cutoff").value = positionOf(state.cutoff);
  if (from != "number") $("cutoff-usd").value = state.cutoff ? Number(state.cutoff.toPrecision(2)) : 0;
  $("cutoff").setAttribute("aria-valuetext", usdText(state.cutoff));
  applyCutoff();
  drawMarks();
}

// ------------------------------------------------------------------------------------------------------------------ map

/* Bars by leverage, side by side in each bin; the curves add up from the last price outward. */
function drawMap() {
  const data = shown, count = data.map_price?.length ?? 0;
  const parts = Array.from({length: plots.leverages}, () => ({bottom: [], top: [], left: [], right: []}));
  const ends = new Map();
  let most = 0;
  const totals = {long: new Map(), short: new Map()};
  for (let row = 0; row < count; row++) {
    const side = data.map_side[row], price = data.map_price[row];
    if (!chosen(side, data.map_leverage[row])) continue;
    const usd = data.map_usd[row], width = widthOf(price), part = parts[colourOf(data.map_leverage[row])];
    const key = price * 2 + side, left = ends.get(price) ?? 0;
    part.bottom.push(price); part.top.push(price + width); part.left.push(left); part.right.push(left + usd);
    ends.set(price, left + usd);
    totals[SIDES[side]].set(price, (totals[SIDES[side]].get(price) ?? 0) + usd);
  }
  for (const [price, usd] of ends) if (inReach(price)) most = Math.max(most, usd);
  parts.forEach((part, number) => { models["bars " + number].data = part; });
  let farthest = 0;
  for (const side of SIDES) {
    const bins = [...totals[side]].sort((one, other) => side == "long" ? other[0] - one[0] : one[0] - other[0]);
    const usd = [], price = [];
    let sum = 0;
    for (const [bin, amount] of bins) {
      const [near, far] = side == "long" ? [bin + widthOf(bin), bin] : [bin, bin + widthOf(bin)];
      usd.push(sum); price.push(near);
      sum += amount;
      usd.push(sum); price.push(far);
      if (inReach(bin)) farthest = Math.max(farthest, sum);
    }
    models["cumulative " + side].data = {usd, price};
  }
  models["map usd"].setv({start: 0, end: (most || 1) * 1.05});
  models["map cumulative"].setv({start: 0, end: (farthest || 1) * 1.05});
  data.totals = totals;
  largestTable(totals);
}
const inReach = price => price >= models.prices.start && price <= models.prices.end;
const colourOf = leverage => Math.min(plots.leverages - 1, meta.symbols[state.symbol].leverages.indexOf(leverage));
function widthOf(price) {
  const at = firstFrom(shown.bin_price, price * (1 - 1e-12));
  return shown.bin_price[at] !== undefined && Math.abs(shown.bin_price[at] - price) < 1e-9 * Math.max(1, price)
    ? shown.bin_width[at] : price / 1000;
}

// ---------------------------------------------------------------------------------------------------------------- marks

/* Of those in view that are not hidden by the cutoff, the largest. */
function marks(name, clock, wanted) {
  const data = shown, found = [];
  const times = data[`${name}_${clock}`], scale = clock == "second" ? 1000 : MINUTE;
  if (!wanted || !times) return found;
  const [start, end] = [models.times.start, models.times.end];
  for (let row = firstFrom(times, start / scale); row < times.length && times[row] * scale <= end; row++) {
    const side = data[name + "_side"][row], usd = data[name + "_usd"][row];
    if (!state.sides.has(SIDES[side])) continue;
    if (data[name + "_leverage"] && !chosen(side, data[name + "_leverage"][row])) continue;
    if (name == "swept" && usd < state.cutoff) continue;
    found.push({time: times[row] * scale, price: data[name + "_price"][row], usd, row, side: SIDES[side]});
  }
  return found.sort((one, other) => other.usd - one.usd).slice(0, 150);
}
function drawMarks() {
  for (const [name, clock] of [["swept", "minute"], ["recorded", "second"]]) {
    const found = marks(name, clock, $("show-" + name).checked), most = found[0]?.usd || 1;
    models[name].data = {
      time: found.map(one => one.time), price: found.map(one => one.price),
      size: found.map(one => 5 + 8 * Math.sqrt(one.usd / most)),
    };
    shown[name + "_drawn"] = found;
  }
}

// --------------------------------------------------------------------------------------------------------------- ranges

function applyRange() {
  const data = shown, minutes = data.candle_minute, end = minutes.at(-1) + 5;
  let start = end - Number(state.range) * DAY;
  if (state.range == "all") start = (data.history_minute ?? minutes)[0];
  start = Math.max(start, state.range == "all" ? -Infinity : Math.min(minutes[0], end - DAY));
  const margin = (end - start) * 0.01;
  setTimes((start - margin) * MINUTE, (end + margin * 2) * MINUTE);
  fitPrices();
}
function setTimes(start, end) { models.times.setv({start, end}); }

/* The candles in view, and room for the levels around them. */
function fitPrices() {
  const first = models.times.start / MINUTE, last = models.times.end / MINUTE;
  const found = candles(shown, first, last, drawnAs(shown, first, last));
  let low = Math.min(...found.low), high = Math.max(...found.high);
  if (!isFinite(low)) { low = high = shown.facts.last_price; }
  const room = Math.max((high - low) * 0.3, high * 0.02);
  models.prices.setv({start: Math.max(low - room, low * 0.2), end: high + room});
}

let waiting = 0;
function rangeChanged() {
  if (waiting || !shown) return;
  waiting = requestAnimationFrame(() => {
    waiting = 0;
    const first = models.times.start / MINUTE, last = models.times.end / MINUTE;
    const drawn = shown.window, how = drawnAs(shown, first, last);
    // While the view moves within what is drawn, nothing has to be made anew.
    if (drawn && first >= drawn.first && last <= drawn.last && how.step == drawn.step && how.past == drawn.past) return;
    redrawTimes();
  });
}
function redrawTimes() {
  const first = models.times.start / MINUTE, last = models.times.end / MINUTE, room = (last - first) * 0.5;
  const how = drawnAs(shown, first, last);
  shown.window = {first: first - room, last: last + room, ...how};
  drawCandles(first - room, last + room, how);
  drawInterest(first - room, last + room, how.past);
  drawMarks();
}

function move(by) {
  const span = models.times.end - models.times.start;
  setTimes(models.times.start + by * span, models.times.end + by * span);
}
function zoom(by) {
  const middle = (models.times.start + models.times.end) / 2, half = (models.times.end - models.times.start) / 2 * by;
  if (half < 10 * MINUTE) return;
  setTimes(middle - half, middle + half);
}
function shift(by) {
  const span = models.prices.end - models.prices.start;
  models.prices.setv({start: models.prices.start + by * span, end: models.prices.end + by * span});
}

// ---------------------------------------------------------------------------------------------------------------- hover

function hoverText(name, time, price) {
  const data = shown, minute = time / MINUTE, lines = [], drawn = data.drawn;
  if (name == "map") {
    const found = mapAt(price);
    return found.length ? ["Standing now", ...found].join("\n") : "";
  }
  const candle = drawn.minute.indexOf(Math.floor(minute / drawn.step) * drawn.step), decimals = data.facts.decimals;
  lines.push(timeText(Math.floor(minute / drawn.step) * drawn.step * MINUTE) + " UTC"
    + (drawn.step == 5 ? "" : ` · ${drawn.step >= DAY ? drawn.step / DAY + " days" : drawn.step >= 60 ? drawn.step / 60 + " h" : drawn.step + " min"}`));
  if (name == "price") {
    const near = nearMark(time, price);
    if (near) lines.push(near);
    for (const one of levelsAt(minute, price)) {
      const digits = decimalsOf(one.to - one.from);
      lines.push(`${one.from.toFixed(digits)} to ${one.to.toFixed(digits)}: ${one.side}s, ${usdText(one.usd)}\n  stood at `
        + `${timeText(Math.min((one.step + data.facts.step_minutes), data.facts.as_of) * MINUTE).slice(5)}, since ${timeText(one.since * MINUTE).slice(5)}`);
    }
  }
  if (candle >= 0) {
    if (name == "price") {
      lines.push(["open", "high", "low", "close"].map(one => `${one[0].toUpperCase()} ${priceText(drawn[one][candle], decimals)}`).join("  "));
      lines.push(`volume ${usdText(drawn.volume[candle])}`);
    }
  } else lines.push("no candle here");
  if (name != "price") {
    const row = firstFrom(data.interest_minute ?? [], minute + 1e-9) - 1;
    if (row >= 0 && minute - data.interest_minute[row] < Math.max(5, drawn.step)) {
      lines.push(`open interest ${amountText(data.interest[row])} contracts at ${timeText(data.interest_minute[row] * MINUTE).slice(11)}`);
    } else lines.push("open interest unknown");
    const start = Math.floor(minute / data.changes.step) * data.changes.step;
    if (data.changes.sums.has(start)) lines.push(`change ${usdText(data.changes.sums.get(start))}`);
    if (data.changes.step == 5 && data.change_minute) {
      const at = firstFrom(data.change_minute, start);
      if (data.change_minute[at] === start) lines.push(EVENTS[data.change_event[at]]);
    }
  }
  return lines.join("\n");
}
function mapAt(price) {
  const data = shown, lines = [];
  for (const side of SIDES) {
    const sums = new Map();
    for (let row = 0; row < (data.map_price?.length ?? 0); row++) {
      const bin = data.map_price[row];
      if (SIDES[data.map_side[row]] != side || !chosen(data.map_side[row], data.map_leverage[row])) continue;
      if (bin <= price && price < bin + widthOf(bin)) sums.set(data.map_leverage[row], [bin, data.map_usd[row]]);
    }
    if (!sums.size) continue;
    const [bin] = sums.values().next().value, digits = decimalsOf(widthOf(bin));
    const total = [...sums.values()].reduce((sum, one) => sum + one[1], 0);
    lines.push(`${bin.toFixed(digits)} to ${(bin + widthOf(bin)).toFixed(digits)}: ${side}s, ${usdText(total)}`);
    for (const [leverage, [, usd]] of sums) lines.push(`  ${leverage}x  ${usdText(usd)}`);
  }
  return lines;
}
function nearMark(time, price) {
  const across = (models.times.end - models.times.start) / 150, up = (models.prices.end - models.prices.start) / 60;
  let best = null, least = 1;
  for (const name of ["recorded", "swept"]) {
    for (const one of shown[name + "_drawn"] ?? []) {
      const distance = Math.hypot((one.time - time) / across, (one.price - price) / up);
      if (distance < least) { least = distance; best = [name, one]; }
    }
  }
  if (!best) return "";
  const [name, one] = best, at = timeText(one.time).slice(5);
  return name == "swept"
    ? `× ${one.side}s crossed at ${at}: ${usdText(one.usd)}, ${shown.swept_leverage[one.row]}x, since ${timeText(shown.swept_since[one.row] * MINUTE).slice(5)}`
    : `◆ ${one.side} liquidated at ${at}: ${usdText(one.usd)} at ${priceText(one.price, shown.facts.decimals)}`;
}
function watch(name) {
  const view = views[name], box = $("hover");
  const say = event => {
    if (!shown) return;
    const place = view.el.getBoundingClientRect(), sx = event.clientX - place.left, sy = event.clientY - place.top;
    const frame = view.frame.bbox;
    if (sx < frame.left || sx > frame.right || sy < frame.top || sy > frame.bottom) { box.hidden = true; return; }
    const text = hoverText(name, view.frame.x_scale.invert(sx), view.frame.y_scale.invert(sy));
    box.textContent = text;
    box.hidden = !text;
    const whole = $("plots").getBoundingClientRect(), [x, y] = [event.clientX - whole.left, event.clientY - whole.top];
    box.style.left = Math.max(0, x + 18 + box.offsetWidth > whole.width ? x - 18 - box.offsetWidth : x + 18) + "px";
    box.style.top = Math.max(0, Math.min(y + 14, whole.height - box.offsetHeight)) + "px";
  };
  view.el.addEventListener("pointermove", say);
  view.el.addEventListener("pointerdown", say);
  view.el.addEventListener("pointerleave", () => { box.hidden = true; });
}

// --------------------------------------------------------------------------------------------------------------- facts

function tell() {
  const {facts} = shown, explained = facts.explained;
  $("fact-price").textContent = `${priceText(facts.last_price, facts.decimals)} USDT`;
  $("fact-as-of").textContent = timeText(facts.as_of * MINUTE);
  $("fact-age").textContent = spanText(Date.now() / MINUTE - facts.as_of);
  const shares = explained && explained.open_interest !== null
    ? SIDES.map(side => `${side}s ${percentText(explained[side + "_share"] ?? 0)}`).join(", ") : "no open interest landed";
  $("fact-explained").textContent = shares;
  $("fact-verdict").textContent = verdict(facts);
  for (const name of ["last price", "last price in map"]) models[name].location = facts.last_price;
  const notes = [];
  models["colour bar"].visible = Boolean(heat?.most);
  if (!shown.level_bin) notes.push("This publication has no levels.");
  else if (!shown.step_minute.length) notes.push("No level stands: nothing is known of open interest, or none was opened.");
  if (facts.step_minutes) notes.push(`Heatmap: steps of ${facts.step_minutes} minutes over the last 30 days; "All" shows older candles without it.`);
  if (shown.swept_minute) notes.push("Marked are the largest crossed levels in view.");
  if (shown.recorded_second?.length) notes.push(`Recorded liquidations stand at ${facts.recorded_price == "liquidation_price" ? "their liquidation price" : "the price of their order, which is the bankruptcy price"}.`);
  if (!shown.recorded_second?.length) notes.push("No recorded liquidations of these days.");
  $("note").textContent = notes.join(" ");
}

/* One sentence, of the middle horizon and tolerance, so that nobody picks the one that looks best. */
function verdict(facts) {
  const parts = [], crossings = facts.liquidation_crossings ?? [], backtest = facts.liquidation_backtest ?? [];
  for (const side of SIDES) {
    const rows = crossings.filter(one => one.side == side && one.provider == "net" && one.ratio !== null);
    const all = rows.find(one => one.stratum == "all moves"), alike = rows.find(one => one.stratum == "all moves and extremes");
    if (all) {
      parts.push(`${side}s: candles that cross levels saw ${digits(all.ratio)} × the liquidations of those of the same move that cross none`
        + between(all.ratio_low, all.ratio_high)
        + (alike ? `, ${digits(alike.ratio)} ×${between(alike.ratio_low, alike.ratio_high)} if they are alike in new highs and lows, too` : ""));
    }
  }
  if (!parts.length) {
    for (const side of SIDES) {
      const rows = backtest.filter(one => one.side == side), row = middle(rows);
      if (row) parts.push(`${side}s: ${percentText(row.hit_rate)} of ${row.events} liquidations near a large level`
        + (row.lift === null ? "" : `, ${digits(row.lift)} × what maps of other days hit${between(row.lift_low, row.lift_high)}`));
    }
  }
  return parts.length ? parts.join("; ") : "none: no recorded liquidations of this symbol were judged";
}
const digits = number => Number(Number(number).toPrecision(3));
const between = (low, high) => low === undefined || low === null || high === null || high === undefined ? "" : ` (${digits(low)} to ${digits(high)})`;
function middle(rows) {
  const pick = name => { const all = [...new Set(rows.map(one => one[name]))].sort((one, other) => one - other); return all[all.length >> 1]; };
  const [horizon, tolerance] = [pick("horizon"), pick("tolerance")];
  return rows.find(one => one.horizon === horizon && one.tolerance === tolerance);
}

// --------------------------------------------------------------------------------------------------------------- tables

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  return made;
}
function table(place, headings, rows, nothing) {
  place.replaceChildren();
  if (!rows.length) { place.append(element("p", nothing, {class: "note"})); return; }
  const made = element("table"), head = element("tr");
  headings.forEach(([text, kind]) => head.append(element("th", text, {scope: "col", class: kind ?? ""})));
  made.append(element("thead")); made.tHead.append(head);
  const body = element("tbody");
  for (const row of rows) {
    const line = element("tr");
    row.forEach((cell, at) => line.append(cell instanceof Node ? cell : element("td", cell, {class: headings[at][1] ?? ""})));
    body.append(line);
  }
  made.append(body);
  const holder = element("div", null, {class: "table", tabindex: "0", role: "region", "aria-label": place.previousElementSibling?.textContent ?? "table"});
  holder.append(made);
  place.append(holder);
}
function largestTable(totals) {
  const last = shown.facts.last_price, rows = [];
  for (const side of ["short", "long"]) {
    const largest = [...totals[side]].sort((one, other) => other[1] - one[1]).slice(0, 6);
    largest.sort((one, other) => other[0] - one[0]);
    for (const [price, usd] of largest) {
      const places = decimalsOf(widthOf(price)), away = (price + widthOf(price) / 2) / last - 1;
      rows.push([side, `${price.toFixed(places)} to ${(price + widthOf(price)).toFixed(places)}`, `${away > 0 ? "+" : "−"}${percentText(Math.abs(away), 2)}`, usdText(usd)]);
    }
  }
  table($("largest"), [["side"], ["price (USDT)"], ["away", "number"], ["standing", "number"]], rows, "No level stands with what is chosen.");
}
function backtestTable(facts) {
  const crossings = facts.liquidation_crossings ?? [], backtest = facts.liquidation_backtest ?? [];
  const [rows, said] = crossings.length ? [crossings, "No candles to compare."] : [backtest, "No recorded liquidations of this symbol were judged."];
  const names = rows.length ? Object.keys(rows[0]).filter(name => name != "symbol") : [];
  table($("backtest"), names.map(name => [name.replaceAll("_", " "), typeof rows[0][name] == "number" ? "number" : ""]),
    rows.map(row => names.map(name => typeof row[name] == "number" ? digits(row[name]) : row[name] ?? "unknown")), said);
}
const short = text => String(text).replace("T", " ").slice(0, 16);

function dataPage() {
  const {published, state: facts, missing, left_out} = meta;
  const list = $("published");
  const cells = [["Published (UTC)", short(published.published_at)], ["From job", published.job_id], ["Loaders", published.loaders_version], ["dbt", published.dbt_version], ["DuckDB", published.duckdb_version]];
  for (const [name, value] of cells) {
    if (value === undefined) continue;
    const cell = element("div");
    cell.append(element("dt", name), element("dd", value ?? "unknown"));
    list.append(cell);
  }
  const sentences = [...missing];
  if (left_out.length) sentences.push(`${left_out.length} symbols are left out, the page would be too large: \`loaders report --symbol ${left_out[0]}\` shows one.`);
  sentences.forEach(one => $("missing").append(element("p", one, {class: "note"})));
  const more = part => part && part.total > part.rows.length ? ` (the first ${part.rows.length} of ${part.total})` : "";
  const gaps = facts.gaps;
  heading("gaps", more(gaps));
  table($("gaps"), [["dataset"], ["market"], ["symbol"], ["interval"], ["from"], ["to"], ["missing", "number"], ["file that would fill it", "long"]],
    (gaps?.rows ?? []).map(row => [row.dataset, row.market, row.symbol, row.interval, short(row.gap_start), short(row.gap_end), row.missing, row.suggested_file]),
    gaps ? "No gaps." : "Not in the published file.");
  const checks = facts.checks, past = historyOf(facts.history);
  heading("checks", more(checks) + (checks ? counted(checks.rows) : ""));
  table($("checks"), [["status"], ["check"], ["dataset"], ["symbol"], ["value", "number"], ["threshold", "number"], ["since"], ["detail", "long"]],
    (checks?.rows ?? []).map(row => [element("td", row.status, {class: "status-" + row.status}), row.check_name, row.dataset ?? "", row.symbol ?? "",
      row.value === null ? "" : digits(row.value), row.threshold === null ? "" : digits(row.threshold), past(row), row.detail]),
    checks ? "No checks." : "Not in the published file.");
  generic("jobs", facts.jobs, ["job_id", "status", "started_at", "finished_at", "files_total", "files_loaded", "files_skipped", "files_failed", "rows_loaded"], "No jobs.");
  generic("failures", facts.failures, ["path", "error_message", "job_id", "finished_at"], "No file was refused.");
}
function heading(name, text) { $(name).previousElementSibling.textContent += text; }
function counted(rows) {
  const count = status => rows.filter(row => row.status == status).length;
  return `: ${count("fail")} fail, ${count("warn")} warn, ${count("pass")} pass`;
}
function generic(name, part, wanted, nothing) {
  const has = part?.rows.length ? wanted.filter(column => column in part.rows[0]) : [];
  table($(name), has.map(column => [column.replaceAll("_", " "), column.startsWith("files") || column.startsWith("rows") ? "number" : column.includes("message") || column == "path" ? "long" : ""]),
    (part?.rows ?? []).map(row => has.map(column => column.endsWith("_at") ? row[column] ? short(row[column]) : "not ended" : row[column] ?? "")),
    part ? nothing : "Not in the published file.");
}
/* Since when a check stands as it does, and how it stood before: the publications at which it changed, oldest first. */
function historyOf(part) {
  const stood = new Map(), rows = part?.rows ?? [];
  const key = row => [row.check_name, row.exchange ?? "", row.dataset ?? "", row.symbol ?? ""].join("|");
  for (const row of [...rows].sort((one, other) => String(one.published_at).localeCompare(String(other.published_at)))) {
    if (!stood.has(key(row))) stood.set(key(row), []);
    stood.get(key(row)).push(`${short(row.published_at).slice(0, 10)} ${row.status}`);
  }
  return row => {
    return (stood.get(key(row)) ?? []).slice(-5).join(", ");
  };
}

// ------------------------------------------------------------------------------------------------------------- calendar

async function drawCalendar() {
  calendar ??= await unpack($("page-calendar").textContent);
  const place = $("calendar"), picked = $("calendar-symbol").value, series = meta.state.series;
  const days = calendar.day;
  place.replaceChildren();
  if (!days?.length) { place.append(element("p", "Not in the published file, or nothing landed.", {class: "note"})); return; }
  // Of all symbols together a square is the sum of its series.
  const lines = new Map();
  let first = Infinity, last = -Infinity;
  for (let row = 0; row < days.length; row++) {
    const [exchange, dataset, market, symbol, interval] = series[calendar.series[row]];
    if (picked && symbol != picked) continue;
    const name = [exchange, dataset, market, interval].filter(Boolean).join(" ");
    if (!lines.has(name)) lines.set(name, new Map());
    const line = lines.get(name), one = line.get(days[row]) ?? {expected: 0, present: 0, known: true};
    if (calendar.expected[row] < 0) one.known = false; else one.expected += calendar.expected[row];
    one.present += calendar.present[row];
    line.set(days[row], one);
    first = Math.min(first, days[row]); last = Math.max(last, days[row]);
  }
  const size = 12, width = (last - first + 1) * size + 70, height = lines.size * (size + 6) + 26;
  const made = (name, attributes, text) => {
    const one = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) one.setAttribute(key, attributes[key]);
    if (text) one.textContent = text;
    return one;
  };
  const picture = made("svg", {width, height, role: "img", "aria-label": "Completeness by dataset and day"});
  const names = made("svg", {width: 215, height, role: "presentation", class: "names"});
  for (let day = first; day <= last; day++) {
    const time = new Date(day * DAY * MINUTE);
    if (time.getUTCDate() == 1 || day == first && time.getUTCDate() < 24) {
      picture.append(made("text", {x: (day - first) * size, y: 11}, timeText(day * DAY * MINUTE).slice(0, 10)));
    }
  }
  let y = 18;
  for (const [name, line] of [...lines].sort((one, other) => one[0].localeCompare(other[0]))) {
    names.append(made("text", {x: 0, y: y + 10}, name));
    for (const [day, one] of line) {
      const kind = !one.known ? "unknown" : one.expected == 0 || one.present >= one.expected ? "full" : one.present == 0 ? "none" : "part";
      const square = made("rect", {x: (day - first) * size, y, width: size - 2, height: size - 2, rx: 2, class: kind});
      square.append(made("title", {}, `${name}, ${timeText(day * DAY * MINUTE).slice(0, 10)}: ${one.present} of ${one.known ? one.expected : "an unknown number of"} rows`));
      picture.append(square);
    }
    y += size + 6;
  }
  const scroll = element("div", null, {class: "scroll", tabindex: "0", role: "region", "aria-label": "Days"});
  scroll.append(picture);
  place.append(names, scroll);
  scroll.scrollLeft = scroll.scrollWidth;
}

// -------------------------------------------------------------------------------------------------------------- colours

// Told apart by people with colour blindness (Okabe and Ito), in the order of leverage.
const LEVERAGE_COLOURS = ["#56b4e9", "#0072b2", "#009e73", "#e0b400", "#e69f00", "#d55e00", "#cc79a7", "#8b5fbf"];
const THEMES = {
  light: {text: "#1b1f24", quiet: "#57606a", grid: "#8c959f", up: "#ffffff", upLine: "#14181d", down: "#14181d", downLine: "#14181d", line: "#0a5bc4",
    opened: "#0072b2", closed: "#d55e00", last: "#0a5bc4", swept: "#0072b2", recorded: "#00856a", recordedLine: "#ffffff", long: "#14181d", short: "#14181d"},
  dark: {text: "#e6e9ee", quiet: "#9aa4b1", grid: "#57606a", up: "#f2f5f8", upLine: "#f2f5f8", down: "#2f6fd0", downLine: "#8fc0ff", line: "#6cb0ff",
    opened: "#56b4e9", closed: "#e69f00", last: "#6cb0ff", swept: "#7fe0ff", recorded: "#3ddc97", recordedLine: "#06130d", long: "#e6e9ee", short: "#e6e9ee"},
};
let palette = null;
function applyTheme(name) {
  document.documentElement.dataset.theme = name;
  const colours = THEMES[name];
  palette ??= models.colours.palette;
  // Small amounts are near the background, whatever its colour.
  const all = palette.length, from = Math.floor(all * 0.12), to = Math.floor(all * 0.97);
  models.colours.palette = name == "dark" ? palette.slice(from, to) : palette.slice(from, to).reverse();
  for (const plot of ["price", "map", "interest", "change"].map(one => models[one])) {
    plot.setv({outline_line_color: colours.grid});
    plot.title.text_color = colours.text;
    for (const place of ["above", "below", "left", "right"]) {
      for (const one of plot[place]) {
        if ("axis_label_text_color" in one) {
          one.setv({axis_label_text_color: colours.quiet, major_label_text_color: colours.quiet, axis_line_color: colours.grid, major_tick_line_color: colours.grid});
        }
      }
    }
    for (const one of plot.center) if ("grid_line_color" in one) one.grid_line_color = colours.grid;
  }
  models["colour bar"].setv({major_label_text_color: colours.quiet, major_tick_line_color: colours.grid});
  const glyph = (name, values) => models[name].glyph.setv(values);
  glyph("gap strips", {fill_color: colours.quiet, hatch_color: colours.quiet});
  glyph("rising wicks", {line_color: colours.upLine}); glyph("rising bodies", {fill_color: colours.up, line_color: colours.upLine});
  glyph("falling wicks", {line_color: colours.downLine}); glyph("falling bodies", {fill_color: colours.down, line_color: colours.downLine});
  glyph("swept marks", {line_color: colours.swept}); glyph("recorded marks", {fill_color: colours.recorded, line_color: colours.recordedLine});
  glyph("interest line", {line_color: colours.line});
  glyph("opened bars", {fill_color: colours.opened}); glyph("closed bars", {fill_color: colours.closed});
  for (const side of SIDES) glyph("cumulative line " + side, {line_color: colours[side]});
  for (let number = 0; number < plots.leverages; number++) glyph("map bars " + number, {fill_color: LEVERAGE_COLOURS[number]});
  for (const one of ["last price", "last price in map"]) models[one].line_color = colours.last;
  for (const one of ["cursor time", "cursor price"]) models[one].setv({line_color: colours.quiet, line_width: 1});
  $("key-swept").style.color = colours.swept; $("key-recorded").style.color = colours.recorded;
}

function legend() {
  const place = $("legend"), list = element("ul");
  place.replaceChildren();
  if (!shown.facts.leverages?.length) return;
  place.append(element("p", "Bars by leverage:"));
  shown.facts.leverages?.forEach(leverage => {
    const line = element("li", `${leverage}x`), swatch = element("span", "", {class: "swatch"});
    swatch.style.background = LEVERAGE_COLOURS[colourOf(leverage)];
    line.prepend(swatch);
    list.append(line);
  });
  place.append(list);
  place.append(element("p", "Lines: summed up from the last price, longs below it (solid), shorts above it (dashed)."));
}

// ---------------------------------------------------------------------------------------------------------------- start

function leverageBoxes(facts) {
  const place = $("leverages"), all = facts.leverages ?? [];
  state.leverages = new Set(all);
  place.querySelectorAll("label").forEach(one => one.remove());
  for (const leverage of all) {
    const label = element("label", `${leverage}x`), box = element("input", null, {type: "checkbox", name: "leverage", value: leverage});
    box.checked = true;
    label.prepend(box);
    place.append(label);
  }
  place.hidden = !all.length;
}
function redrawLevels() { drawHeat(false); drawMap(); drawMarks(); }

async function show(symbol) {
  state.symbol = symbol;
  shown = null;
  const data = await load(symbol);
  shown = data;
  data.window = null;
  leverageBoxes(data.facts);
  applyRange();
  fitTexts();
  redrawTimes();
  drawGaps();
  drawHeat(true);
  drawMap();
  legend();
  tell();
  backtestTable(data.facts);
  remember();
}
/* Titles and ticks that a narrow screen has room for. */
function fitTexts() {
  const wide = $("plot-price").clientWidth > 480;
  models.price.title.text = wide ? `${state.symbol}: price (USDT); colour: USD standing in a price bin` : `${state.symbol}; colour: USD in a bin`;
  models.map.title.text = $("plot-map").clientWidth > 150 ? "Standing now, USD by bin" : "Now (USD)";
  for (const name of ["price", "interest", "change"]) {
    for (const axis of models[name].below) axis.ticker.desired_num_ticks = Math.max(3, Math.min(8, Math.floor($("plot-" + name).clientWidth / 130)));
  }
  const few = $("plot-map").clientWidth > 150 ? 3 : 1;
  for (const axis of [...models.map.below, ...models.map.above]) if (axis.ticker) axis.ticker.desired_num_ticks = few;
  models["colour bar"].ticker.desired_num_ticks = wide ? 6 : 3;
}
function remember() { history.replaceState(null, "", "#" + new URLSearchParams({symbol: state.symbol, range: state.range})); }

/* What is painted keeps its size when the page is laid out for paper, so the plots are made smaller as a whole. */
const PAPER_WIDTH = 690;        // of A4 and of Letter within the browsers' margins, in pixels
const PLACES = ["gridTemplateColumns", "gridTemplateRows", "gridRow", "gridColumn"];
function fitToPaper() {
  const area = $("plots"), width = area.offsetWidth;
  // All is read before any of it is written: the one changes the other.
  const placed = [area, ...area.children].map(one => [one, Object.fromEntries(PLACES.map(place => [place, getComputedStyle(one)[place]]))]);
  for (const [one, places] of placed) Object.assign(one.style, places);
  Object.assign(area.style, {width: `${width}px`, zoom: Math.min(1, PAPER_WIDTH / width)});
}
function backToScreen() {
  for (const one of [$("plots"), ...$("plots").children]) for (const name of [...PLACES, "width", "zoom"]) one.style[name] = "";
}

function connect() {
  $("symbol").addEventListener("change", event => show(event.target.value));
  document.querySelectorAll("[name=range]").forEach(one => one.addEventListener("change", () => { state.range = one.value; reset(); remember(); }));
  document.querySelectorAll("[name=side]").forEach(one => one.addEventListener("change", () => {
    state.sides[one.checked ? "add" : "delete"](one.value); redrawLevels();
  }));
  $("leverages").addEventListener("change", event => {
    state.leverages[event.target.checked ? "add" : "delete"](Number(event.target.value)); redrawLevels();
  });
  $("cutoff").addEventListener("input", event => setCutoff(cutoffOf(Number(event.target.value)), "slider"));
  $("cutoff-usd").addEventListener("input", event => setCutoff(Number(event.target.value), "number"));
  for (const name of ["swept", "recorded"]) $("show-" + name).addEventListener("change", drawMarks);
  const reset = () => { applyRange(); redrawTimes(); drawMap(); };
  const buttons = {"zoom-in": () => zoom(0.6), "zoom-out": () => zoom(1 / 0.6), earlier: () => move(-0.25), later: () => move(0.25), reset};
  for (const name in buttons) $(name).addEventListener("click", buttons[name]);
  const keys = {ArrowLeft: () => move(-0.1), ArrowRight: () => move(0.1), ArrowUp: () => shift(0.1), ArrowDown: () => shift(-0.1),
    "+": () => zoom(0.8), "=": () => zoom(0.8), "-": () => zoom(1.25), 0: reset};
  $("plots").addEventListener("keydown", event => {
    if (event.key in keys && !event.ctrlKey && !event.metaKey) { keys[event.key](); event.preventDefault(); }
  });
  $("controls").addEventListener("submit", event => event.preventDefault());
  $("theme").addEventListener("click", () => applyTheme(document.documentElement.dataset.theme == "dark" ? "light" : "dark"));
  const tabs = ["levels", "data"];
  function open(name) {
    for (const one of tabs) {
      $("tab-" + one).setAttribute("aria-selected", one == name);
      $("tab-" + one).tabIndex = one == name ? 0 : -1;
      $("page-" + one).hidden = one != name;
    }
    if (name == "data") drawCalendar();
  }
  tabs.forEach((name, at) => {
    $("tab-" + name).addEventListener("click", () => open(name));
    $("tab-" + name).addEventListener("keydown", event => {
      if (event.key == "ArrowRight" || event.key == "ArrowLeft") { open(tabs[1 - at]); $("tab-" + tabs[1 - at]).focus(); }
    });
  });
  $("calendar-symbol").addEventListener("change", drawCalendar);
  addEventListener("beforeprint", fitToPaper);
  addEventListener("afterprint", backToScreen);
  addEventListener("resize", () => { if (shown) { fitTexts(); rangeChanged(); } });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", event => applyTheme(event.matches ? "dark" : "light"));
  for (const range of ["times", "prices"]) {
    for (const end of ["start", "end"]) models[range].properties[end].change.connect(rangeChanged);
  }
  setInterval(() => { if (shown) $("fact-age").textContent = spanText(Date.now() / MINUTE - shown.facts.as_of); }, MINUTE);
  return open;
}

async function start() {
  const wanted = new URLSearchParams(location.hash.slice(1)), names = Object.keys(meta.symbols);
  if (matchMedia("(max-width: 760px)").matches) $("choose").open = false;
  if (wanted.has("picture")) document.body.classList.add("picture");
  for (const name of names) $("symbol").append(element("option", name, {value: name}));
  $("calendar-symbol").append(element("option", "all symbols", {value: ""}));
  for (const name of [...new Set(meta.state.series.map(one => one[3]))].sort()) $("calendar-symbol").append(element("option", name || "(none)", {value: name}));
  const roots = plots.roots, all = await Bokeh.embed.embed_items({page: plots.json}, [{docid: "page", roots, root_ids: Object.keys(roots)}]);
  const holder = Bokeh.documents.at(-1);
  for (const model of holder._all_models.values()) if (model.name) models[model.name] = model;
  for (const view of Object.values(all[0].roots ?? all)) views[view.model.name] = view;
  // K, M and bn as in the texts; the library's own would write a million as it writes a thousandth.
  for (const model of holder._all_models.values()) if (model.type == "NumeralTickFormatter") model.doFormat = ticks => ticks.map(amountText);
  models.price.right[0].formatter.doFormat = ticks => {
    const places = ticks.length > 1 ? decimalsOf(Math.abs(ticks[1] - ticks[0])) : 8;
    return ticks.map(tick => tick.toFixed(Math.min(places, 10)));
  };
  const open = connect();
  const dark = wanted.get("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  applyTheme(dark == "dark" ? "dark" : "light");
  if (["1", "7", "30", "all"].includes(wanted.get("range"))) state.range = wanted.get("range");
  document.querySelector(`[name=range][value="${state.range}"]`).checked = true;
  dataPage();
  $("footer").textContent = `Published ${short(meta.published.published_at)} UTC from job ${meta.published.job_id}. All amounts are USD of position notional.`;
  const symbol = names.includes(wanted.get("symbol")) ? wanted.get("symbol") : meta.first;
  if (names.length) {
    $("symbol").value = symbol;
    await show(symbol);
    for (const name in views) watch(name);
  } else {
    $("nothing").textContent = "No symbol has five-minute candles of a USD-M perpetual yet: land some, build, publish.";
    $("nothing").hidden = false;
    $("levels").hidden = true;
    $("symbol").closest("label").hidden = true;
    applyTheme(document.documentElement.dataset.theme);
  }
  if (wanted.get("page") == "data") open("data");
}

window.page = {state, loaded, models: () => models, views: () => views, shown: () => shown, heat: () => heat, levelsAt, hoverText, texts: {amountText, usdText, timeText}, ready: false};
window.plotToMeasure = () => views.price;
addEventListener("load", () => start().then(
  () => requestAnimationFrame(() => setTimeout(() => { window.page.ready = true; document.body.dataset.ready = "yes"; performance.mark("ready"); })),
  error => { $("broken").textContent = `This page could not be drawn: ${error.message}. A browser of 2023 or later is needed.`; $("broken").hidden = false; document.body.dataset.ready = "failed"; console.error(error); },
));
})();
