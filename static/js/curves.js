// The live curves of one run. All steps that there are come once; from then on the page's only request, which brings
// its state every two seconds, brings the new ones along in #run-steps.
(() => {
  "use strict";

  const RETRY = 5000;
  const section = document.querySelector(".curves");
  if (!section || !window.uPlot || !window.charts) return;

  const run = section.dataset.run;
  let attempt = null;
  let finished = false;
  let busy = false;
  let lost = false;
  const drawn = charts.open(section, [{ key: run, label: section.dataset.label, colour: 0 }], (tell) => {
    const count = drawn.count();
    if (lost) tell("No connection; trying again");
    else if (!count) tell(finished ? "It took no step" : "The first step is awaited");
    else tell(`${count} step${count === 1 ? "" : "s"}${finished ? "" : ", live"}`);
  });

  async function ask() {
    const response = await fetch(`${section.dataset.url}?after=${drawn.last(run)}`, { headers: { Accept: "application/json" } });
    if (!response.ok || response.redirected) throw new Error(response.statusText);
    return response.json();
  }

  // Fetches every step after the last one; from the first on where the run was taken up again.
  async function catchUp() {
    if (busy) return;
    busy = true;
    try {
      for (let more = true; more;) {
        const answer = await ask();
        if (attempt !== null && answer.attempt !== attempt && drawn.last(run)) {
          drawn.forget(run); // resumed: the steps after its last checkpoint are taken a second time
        } else {
          drawn.take(run, answer.rows);
          more = answer.more;
        }
        attempt = answer.attempt;
        finished = answer.finished;
      }
      lost = false;
      drawn.draw();
    } catch {
      lost = true;
      setTimeout(catchUp, RETRY);
    }
    busy = false;
    drawn.tell();
  }

  // Returns columns of numbers as rows of {step, metric: value, ...}.
  function rows({ steps, values }) {
    return steps.map((step, place) => ({
      step,
      ...Object.fromEntries(Object.entries(values).map(([name, column]) => [name, column[place]])),
    }));
  }

  function hear() {
    const news = document.getElementById("run-steps");
    if (!news || busy) return;
    finished = "finished" in news.dataset;
    const isOther = attempt !== null && Number(news.dataset.attempt) !== attempt;
    if ("behind" in news.dataset || isOther) {
      catchUp();
      return;
    }
    if (drawn.take(run, rows(JSON.parse(news.dataset.rows)))) drawn.draw();
    if (drawn.last(run) < Number(news.dataset.after)) catchUp();
    drawn.tell();
  }

  document.addEventListener("htmx:after:swap", hear);
  catchUp();
})();
