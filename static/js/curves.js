// Draws a run's live curves with uPlot. The page's <figure data-chart> elements say which metrics go where; this file
// fetches new steps, draws them, keeps the zoom, and stops when the run is over or the tab is hidden.
(() => {
  "use strict";

  const POLL = 2000;
  const LONGEST_WAIT = 30000;
  const SMOOTHING = 0.8;
  const HEIGHT = 150;

  const section = document.querySelector(".curves");
  if (!section || !window.uPlot) return;
  const said = section.querySelector("[data-role=said]");
  const reset = section.querySelector("[data-role=reset]");
  const smooth = section.querySelector("[data-role=smooth]");
  const sync = uPlot.sync("run");

  let steps = [];
  let values = new Map();
  let attempt = null;
  let finished = false;
  let zoom = null;
  let timer = null;
  let wait = POLL;
  let busy = false;

  const charts = [...section.querySelectorAll("[data-chart]")].map((figure) => {
    const place = figure.querySelector("[data-role=plot]");
    const line = place.dataset.line;
    return {
      title: figure.querySelector("h3").textContent,
      place,
      line: line === undefined ? null : { value: Number(line), label: place.dataset.lineLabel },
      series: [...figure.querySelectorAll("[data-series]")].map((one) => ({
        name: one.dataset.series,
        label: one.dataset.label,
        latest: one.querySelector("[data-role=latest]"),
      })),
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

  function column(name) {
    return values.get(name) || steps.map(() => null);
  }

  function data(chart) {
    const rows = chart.series.map((one) => column(one.name));
    return smooth.checked ? [steps, ...rows, ...rows.map(smoothed)] : [steps, ...rows];
  }

  // Drawing ----------------------------------------------------------------------------------------

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const token = (name) => style.getPropertyValue(name).trim();
    return { series: [token("--c-a"), token("--c-b")], text: token("--c-muted"), grid: token("--c-border"), surface: token("--c-surface") };
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
    const axis = { stroke: colour.text, grid: { stroke: colour.grid, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const faint = smooth.checked;
    const series = chart.series.map((one, index) => ({
      label: one.label,
      stroke: colour.series[index],
      width: faint ? 1 : 1.75,
      alpha: faint ? 0.3 : 1,
    }));
    const means = faint ? chart.series.map((one, index) => ({ stroke: colour.series[index], width: 2, points: { show: false } })) : [];
    return {
      width: chart.width,
      height: HEIGHT,
      legend: { show: false },
      scales: {
        x: { time: false, range: (plot, low, high) => zoom || (low === high ? [low - 0.5, high + 0.5] : [low, high]) },
        y: { range: (plot, low, high) => range(chart, low, high) },
      },
      axes: [
        { ...axis, size: 24, space: 48, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 2e4, 5e4, 1e5, 1e6] },
        {
          ...axis,
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
      const row = column(one.name);
      one.latest.textContent = written(hovered ? row[index] : row.findLast((value) => value !== null));
    }
    if (hovered) tell(`step ${steps[index]}`);
    else tellState();
  }

  function make(chart) {
    if (chart.plot) chart.plot.destroy();
    chart.plot = null;
    if (!steps.length || chart.width < 40) return;
    chart.plot = new uPlot(options(chart), data(chart), chart.place);
    describe(chart);
  }

  function describe(chart) {
    const latest = chart.series.map((one) => `${one.label} ${written(column(one.name).findLast((value) => value !== null))}`);
    chart.place.setAttribute("role", "img");
    chart.place.setAttribute("aria-label", `${chart.title}: curve over ${steps.length} steps; latest ${latest.join(", ")}`);
  }

  function draw() {
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
    if (wanted && !steps.some((step) => step >= wanted[0] && step <= wanted[1])) return;
    zoom = wanted;
    reset.hidden = zoom === null;
    for (const chart of charts) chart.plot?.setData(data(chart));
  }

  // Words ------------------------------------------------------------------------------------------

  function tell(text) {
    if (said.textContent !== text) said.textContent = text;
  }

  function tellState() {
    if (wait > POLL) tell("No connection; trying again");
    else if (!steps.length) tell(finished ? "It took no step" : "The first step is awaited");
    else tell(finished ? `${steps.length} steps` : `${steps.length} steps, live`);
  }

  // Fetching ---------------------------------------------------------------------------------------

  function forget() {
    steps = [];
    values = new Map();
  }

  function take(rows) {
    for (const { step, time, ...figures } of rows) {
      for (const [name, value] of Object.entries(figures)) {
        if (!values.has(name)) values.set(name, steps.map(() => null));
        values.get(name).push(value);
      }
      steps.push(step);
      for (const row of values.values()) if (row.length < steps.length) row.push(null);
    }
  }

  async function ask() {
    const response = await fetch(`${section.dataset.url}?after=${steps.at(-1) ?? 0}`, { headers: { Accept: "application/json" } });
    if (response.redirected || [401, 403, 404].includes(response.status)) {
      finished = true;
      throw new Error("Reload the page to see more");
    }
    if (!response.ok) throw new Error("No connection; trying again");
    return response.json();
  }

  async function poll() {
    clearTimeout(timer);
    if (busy || finished) return;
    busy = true;
    let again = false;
    try {
      const answer = await ask();
      wait = POLL;
      if (attempt !== null && answer.attempt !== attempt && steps.length) {
        forget(); // resumed: the steps after its last checkpoint are taken a second time
        again = true;
      } else {
        take(answer.rows);
        finished = answer.finished;
        again = answer.more;
        if (answer.rows.length) draw();
      }
      attempt = answer.attempt;
      tellState();
    } catch (error) {
      wait = Math.min(2 * wait, LONGEST_WAIT);
      tell(finished ? error.message : "No connection; trying again");
    }
    busy = false;
    if (!finished && !document.hidden) timer = setTimeout(poll, again ? 0 : wait);
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

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else poll();
  });
  document.addEventListener("concord:theme", makeAll);
  smooth.addEventListener("change", makeAll);
  reset.addEventListener("click", () => zoomTo(null));
  poll();
})();
