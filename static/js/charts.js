// Draws curves with uPlot for the pages of runs. A page's <figure data-chart> elements say which metrics go where; what
// lines there are (one run, or several laid over each other) and their steps come from curves.js or compare.js. Keeps
// the zoom, shows the values under the pointer, and follows the theme and the width.
(() => {
  "use strict";

  const SMOOTHING = 0.8;
  const HEIGHT = 150;

  // Opens the charts of `section`, which hold `lines`: [{ key, label, colour, rows }], colour being a place in the
  // palette and rows what one step learns from. A page with a choice of axes draws over steps, rows or minutes.
  function open(section, lines, tellState) {
    const said = section.querySelector("[data-role=said]");
    const reset = section.querySelector("[data-role=reset]");
    const smooth = section.querySelector("[data-role=smooth]");
    const axis = section.querySelector("[data-role=axis]");
    const sync = uPlot.sync("curves");
    const known = new Map(lines.map((line) => [line.key, { ...line, steps: [], times: [], at: [], values: new Map() }]));
    const isOne = lines.length === 1;
    const isOwn = "run" in section.dataset; // the page of one run, where a metric has a colour, not a run

    let places = []; // every place on the axis at which a line has a step
    let zoom = null;

    const charts = [...section.querySelectorAll("[data-chart]")].map((figure) => {
      const place = figure.querySelector("[data-role=plot]");
      const line = place.dataset.line;
      const metrics = [...figure.querySelectorAll("[data-series]")].map((one, index) => ({
        name: one.dataset.series,
        label: one.dataset.label,
        isSparse: "sparse" in one.dataset,
        latest: one,
        dash: isOwn || index === 0 ? undefined : [6, 4],
      }));
      // One run: a colour for each metric. Several runs: a colour for each run, and the second metric is dashed.
      const series = metrics.flatMap((metric, index) =>
        [...known.values()].map((run) => ({ ...metric, run, colour: isOwn ? index : run.colour })));
      return {
        title: figure.querySelector("h3").textContent,
        place,
        line: line === undefined ? null : { value: Number(line), label: place.dataset.lineLabel },
        series,
        plot: null,
        width: 0,
      };
    });

    // Numbers ----------------------------------------------------------------------------------------

    function written(value) {
      if (value === null || value === undefined) return "–";
      const size = Math.abs(value);
      if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace(/\.?0+e/, "e");
      return String(Number(value.toPrecision(4)));
    }

    // Exponential moving average, its start corrected as in Adam, gaps left open.
    function smoothed(row) {
      let mean = 0;
      let seen = 0;
      return row.map((value) => {
        if (value === null) return null;
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value;
        seen += 1;
        return mean / (1 - SMOOTHING ** seen);
      });
    }

    const over = () => axis?.value ?? "steps";

    // Returns where the steps of a line stand on the axis.
    function standing({ steps, times, rows }) {
      if (over() === "rows") return steps.map((step) => step * rows);
      if (over() === "minutes") return times.map((time) => (time - times[0]) / 60);
      return steps;
    }

    // Returns the values of a line at every place of any line; a line that has no step there leaves a gap.
    function column({ run, name }) {
      const values = run.values.get(name);
      if (!values) return places.map(() => null);
      if (isOne) return values;
      const found = new Map(run.at.map((place, index) => [place, values[index]]));
      return places.map((place) => found.get(place) ?? null);
    }

    function data(chart) {
      const rows = chart.series.map(column);
      return smooth.checked ? [places, ...rows, ...rows.map(smoothed)] : [places, ...rows];
    }

    // Drawing ----------------------------------------------------------------------------------------

    function colours() {
      const style = getComputedStyle(document.documentElement);
      const token = (name) => style.getPropertyValue(name).trim();
      return { series: Array.from({ length: 8 }, (_, place) => token(`--line-${place}`)), text: token("--c-muted"), grid: token("--c-border"), surface: token("--c-surface") };
    }

    // The range of the values; with the line they are held against where that is near enough to be of use.
    function range(chart, low, high) {
      if (low === null || high === null) return chart.line ? [chart.line.value - 1, chart.line.value + 1] : [0, 1];
      const span = high - low || Math.abs(high) || 1;
      if (chart.line && chart.line.value > low - 2 * span && chart.line.value < high + 2 * span) {
        low = Math.min(low, chart.line.value);
        high = Math.max(high, chart.line.value);
      }
      const room = (high - low || span) * 0.08;
      return [low - room, high + room];
    }

    function drawLine(plot, chart, { text: colour, surface }) {
      const { left, top, width, height } = plot.bbox;
      const y = plot.valToPos(chart.line.value, "y", true);
      if (y < top - 1 || y > top + height + 1) return;
      const context = plot.ctx;
      const ratio = uPlot.pxRatio;
      context.save();
      context.strokeStyle = colour;
      context.fillStyle = colour;
      context.lineWidth = ratio;
      context.setLineDash([4 * ratio, 4 * ratio]);
      context.beginPath();
      context.moveTo(left, y);
      context.lineTo(left + width, y);
      context.stroke();
      context.font = `${11 * ratio}px system-ui, sans-serif`;
      context.textAlign = "right";
      context.textBaseline = y - top < 16 * ratio ? "top" : "bottom";
      const place = [left + width - 2 * ratio, y + (y - top < 16 * ratio ? 3 : -2) * ratio];
      context.setLineDash([]);
      context.strokeStyle = surface;
      context.lineWidth = 4 * ratio;
      context.lineJoin = "round";
      context.strokeText(chart.line.label, ...place);
      context.fillText(chart.line.label, ...place);
      context.restore();
    }

    function options(chart) {
      const colour = colours();
      const drawn = { stroke: colour.text, grid: { stroke: colour.grid, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
      const faint = smooth.checked;
      const series = chart.series.map((one) => ({
        label: one.label,
        stroke: colour.series[one.colour % 8],
        dash: one.dash,
        spanGaps: !isOne || one.isSparse,
        ...(one.isSparse && { points: { show: true, size: 4, fill: colour.series[one.colour % 8] } }),
        width: faint ? 1 : 1.75,
        alpha: faint ? 0.3 : 1,
      }));
      const means = faint ? chart.series.map((one) => ({ stroke: colour.series[one.colour % 8], dash: one.dash, spanGaps: !isOne || one.isSparse, width: 2, points: { show: false } })) : [];
      return {
        width: chart.width,
        height: HEIGHT,
        legend: { show: false },
        scales: {
          x: { time: false, range: (plot, low, high) => zoom || (low === high ? [low - 0.5, high + 0.5] : [low, high]) },
          y: { range: (plot, low, high) => range(chart, low, high) },
        },
        axes: [
          { ...drawn, size: 24, space: 48, incrs: over() === "steps" ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 2e4, 5e4, 1e5, 1e6] : undefined },
          {
            ...drawn,
            space: 28,
            values: (plot, splits) => splits.map(written),
            size: (plot, labels) => 10 + 6.5 * Math.max(3, ...(labels || []).map((label) => label.length)),
          },
        ],
        series: [{}, ...series, ...means],
        cursor: {
          sync: { key: sync.key },
          drag: { x: true, y: false, setScale: false },
          points: { size: 7 },
          bind: { dblclick: () => () => (zoomTo(null), null) },
        },
        hooks: {
          draw: chart.line ? [(plot) => drawLine(plot, chart, colour)] : [],
          setCursor: [(plot) => showAt(chart, plot.cursor.idx)],
          setSelect: [
            (plot) => {
              if (plot.select.width < 8) return;
              const from = plot.posToVal(plot.select.left, "x");
              const to = plot.posToVal(plot.select.left + plot.select.width, "x");
              plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
              zoomTo([from, to]);
            },
          ],
        },
      };
    }

    // Shows the values at `index` of the steps, or the latest ones.
    function showAt(chart, index) {
      const hovered = index !== null && index !== undefined;
      for (const one of chart.series) {
        const row = hovered ? column(one) : one.run.values.get(one.name) || [];
        // Over minutes hardly two lines have a step at the same place: each shows its last one before.
        const value = hovered && over() === "steps" ? row[index] : row.slice(0, hovered ? index + 1 : row.length).findLast((one) => one !== null);
        const place = one.latest.querySelector(isOwn ? "[data-role=latest]" : `[data-run="${one.run.key}"]`);
        place.textContent = written(value);
      }
      if (hovered) tell(over() === "steps" ? `step ${places[index]}` : `${written(places[index])} ${over()}`);
      else tellState(tell);
    }

    function make(chart) {
      if (chart.plot) chart.plot.destroy();
      chart.plot = null;
      if (!places.length || chart.width < 40) return;
      chart.plot = new uPlot(options(chart), data(chart), chart.place);
      describe(chart);
    }

    function describe(chart) {
      const latest = chart.series.map((one) => {
        const last = (one.run.values.get(one.name) || []).findLast((value) => value !== null);
        return `${isOwn ? one.label : `${one.run.label} ${one.label}`} ${written(last)}`;
      });
      chart.place.setAttribute("role", "img");
      chart.place.setAttribute("aria-label", `${chart.title}: curve over ${count()} steps; latest ${latest.join(", ")}`);
    }

    function draw() {
      const all = [...known.values()];
      for (const line of all) line.at = standing(line);
      places = isOne ? all[0].at : [...new Set(all.flatMap((line) => line.at))].sort((one, other) => one - other);
      if (!places.length) return;
      section.removeAttribute("data-waiting");
      for (const chart of charts) {
        if (!chart.plot) make(chart);
        else {
          chart.plot.setData(data(chart));
          describe(chart);
        }
        if (chart.plot?.cursor.idx == null) showAt(chart, null);
      }
    }

    function makeAll() {
      for (const chart of charts) make(chart);
    }

    function zoomTo(wanted) {
      if (wanted && !places.some((place) => place >= wanted[0] && place <= wanted[1])) return;
      zoom = wanted;
      reset.hidden = zoom === null;
      for (const chart of charts) chart.plot?.setData(data(chart));
    }

    const count = () => Math.max(...[...known.values()].map((line) => line.steps.length));

    // Words ------------------------------------------------------------------------------------------

    function tell(text) {
      if (said.textContent !== text) said.textContent = text;
    }

    // Steps ----------------------------------------------------------------------------------------

    // Adds rows of {step, time, metric: value, ...} to a line; rows at or before its last step are there already.
    function take(key, rows) {
      const line = known.get(key);
      let added = 0;
      for (const { step, time, ...figures } of rows) {
        if (line.steps.length && step <= line.steps.at(-1)) continue;
        for (const [name, value] of Object.entries(figures)) {
          if (!line.values.has(name)) line.values.set(name, line.steps.map(() => null));
          line.values.get(name).push(value);
        }
        line.steps.push(step);
        line.times.push(time ?? 0);
        for (const row of line.values.values()) if (row.length < line.steps.length) row.push(null);
        added += 1;
      }
      return added;
    }

    function forget(key) {
      Object.assign(known.get(key), { steps: [], times: [], at: [], values: new Map() });
    }

    // Events -----------------------------------------------------------------------------------------

    const sizes = new ResizeObserver((entries) => {
      for (const entry of entries) {
        const chart = charts.find((one) => one.place === entry.target);
        const width = Math.floor(entry.contentRect.width);
        if (width === chart.width) continue;
        chart.width = width;
        if (!chart.plot) make(chart);
        else if (width >= 40) chart.plot.setSize({ width, height: HEIGHT });
      }
    });
    for (const chart of charts) sizes.observe(chart.place);

    document.addEventListener("concord:theme", makeAll);
    smooth.addEventListener("change", makeAll);
    reset.addEventListener("click", () => zoomTo(null));
    axis?.addEventListener("change", () => {
      zoomTo(null);
      draw();
      makeAll();
    });
    return { take, forget, draw, count, tell: () => tellState(tell), last: (key) => known.get(key).steps.at(-1) ?? 0 };
  }

  window.charts = { open };
})();
