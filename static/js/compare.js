// The curves of several runs on the same charts. While one of them goes on, one request every two seconds asks for the
// new steps of all of them.
(() => {
  "use strict";

  const POLL = 2000;
  const LONGEST_WAIT = 30000;
  const section = document.querySelector(".curves");
  if (!section || !window.uPlot || !window.charts) return;

  const lines = [...section.querySelectorAll("[data-line][data-label]")].map((one, place) => ({
    key: one.dataset.line,
    label: one.dataset.label,
    colour: place,
    rows: Number(one.dataset.rows),
  }));
  const attempts = new Map();
  let finished = false;
  let wait = POLL;
  let timer = null;
  let busy = false;
  const drawn = charts.open(section, lines, (tell) => {
    if (wait > POLL) tell("No connection; trying again");
    else tell(finished ? `${drawn.count()} steps` : `${drawn.count()} steps, live`);
  });

  async function ask() {
    const query = new URLSearchParams(lines.map(({ key }) => ["run", `${key}:${drawn.last(key)}`]));
    const response = await fetch(`${section.dataset.url}?${query}`, { headers: { Accept: "application/json" } });
    if (!response.ok || response.redirected) throw new Error(response.statusText);
    return (await response.json()).runs;
  }

  // Takes what is new of one run; true where more has to be asked for at once.
  function take({ id, rows, attempt, more }) {
    const before = attempts.get(id);
    attempts.set(id, attempt);
    if (before !== undefined && before !== attempt && drawn.last(id)) {
      drawn.forget(id); // resumed: the steps after its last checkpoint are taken a second time
      return true;
    }
    drawn.take(id, rows);
    return more;
  }

  async function poll() {
    clearTimeout(timer);
    if (busy || finished) return;
    busy = true;
    let again = false;
    try {
      const runs = await ask();
      again = runs.map(take).some(Boolean);
      finished = !again && runs.every((run) => run.finished);
      wait = POLL;
      if (runs.some((run) => run.rows.length)) drawn.draw();
    } catch {
      wait = Math.min(2 * wait, LONGEST_WAIT);
    }
    busy = false;
    drawn.tell();
    if (!finished && !document.hidden) timer = setTimeout(poll, again ? 0 : wait);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else poll();
  });
  poll();
})();
