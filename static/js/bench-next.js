// The next task is fetched ahead, and put in place of the one that was judged without waiting for the network.
//   bench.ahead   {task, guidelines, assignment, token, renew, until, lease}; null when none is there
(() => {
  "use strict";

  const { find, judge, word } = bench;
  let fetching = null;

  // Fetch the task after the one on the page, once nothing is left to be sent: two leases are the most.
  async function fetchAhead() {
    const now = bench.now;
    const next = find("#task")?.dataset.next;
    if (!now?.assignment || !next || bench.ahead || fetching || bench.outbox.pending().length) return;
    const guideline = judge().elements.guideline?.value ?? "";
    fetching = (async () => {
      try {
        const response = await bench.fragment(`${next}?ahead=1&beside=${now.assignment}&guideline=${guideline}`);
        if (response.status !== 200 || response.redirected) return;
        const text = await response.text();
        if (now !== bench.now) return;
        bench.ahead = parsed(text);
      } catch {
        // Without it, the next task is fetched when it is needed.
      } finally {
        fetching = null;
      }
    })();
    await fetching;
    if (now !== bench.now) fetchAhead();
  }

  function parsed(text) {
    const holder = document.createElement("template");
    holder.innerHTML = text;
    const task = holder.content.querySelector("#task");
    const form = holder.content.querySelector("#judge");
    if (!task || !form?.elements.assignment) return null;
    const ahead = {
      task,
      guidelines: holder.content.querySelector("#guidelines"),
      assignment: form.elements.assignment.value,
      token: form.elements.lease_token.value,
      renew: task.dataset.renew,
    };
    bench.clock.held(ahead, Number(task.dataset.secondsLeft));
    return ahead;
  }

  function dropAhead() {
    bench.ahead = null;
    fetchAhead();
  }

  const aheadIsLive = () => Boolean(bench.ahead && bench.ahead.until - Date.now() > 5_000);

  // Put another task in place of the one on the page; the strip keeps what it knows.
  function swapIn(fresh, said) {
    for (const id of ["progress", "strip-actions"]) {
      const [old, made] = [find(`#${id}`), find(`#${id}`, fresh)];
      if (!old || !made) continue;
      const mark = document.createComment(id);
      old.replaceWith(mark);
      made.replaceWith(old);
      mark.replaceWith(made);
    }
    find("#task").replaceWith(fresh);
    fresh.dataset.announce = said;
    window.htmx?.process(fresh);
    bench.begin({ swapped: true });
  }

  function putPanel(panel) {
    if (!panel) return;
    panel.removeAttribute("hx-swap-oob");
    find("#guidelines")?.replaceWith(panel);
    const changed = find("[data-changed]");
    if (changed) changed.hidden = !("changedSince" in panel.dataset);
  }

  function showAhead() {
    const { task, guidelines } = bench.ahead;
    bench.ahead = null;
    putPanel(guidelines && document.importNode(guidelines, true));
    swapIn(document.importNode(task, true), word("savedNext"));
    count(1);
  }

  function count(by) {
    const place = find("#progress");
    if (!place?.dataset.done) return;
    place.dataset.done = Number(place.dataset.done) + by;
    const done = find("[data-done-count]", place);
    if (done) done.textContent = place.dataset.done;
    const bar = find("progress", place);
    if (bar) bar.value = Number(place.dataset.done);
    const left = find("[data-left-count]", place);
    if (!left) return;
    place.dataset.left = Math.max(0, Number(place.dataset.left) - by);
    left.textContent = place.dataset.left;
  }

  // Put the task of a server's answer in place.
  async function place(response) {
    if (response.status === 401) return void bench.loggedOut();
    if (![200, 409, 422].includes(response.status)) throw new Error(`status ${response.status}`);
    const holder = document.createElement("template");
    holder.innerHTML = await response.text();
    const task = holder.content.querySelector("#task");
    const panel = holder.content.querySelector("#guidelines");
    if (!task) throw new Error("no task in the answer");
    bench.ahead = null; // the server gives the same one again
    find("#task").replaceWith(task);
    putPanel(panel);
    window.htmx?.process(task);
    bench.begin({ swapped: true });
    const problem = find("#problem");
    if (problem?.textContent.trim()) bench.announce(problem.textContent);
  }

  bench.next = { fetchAhead, dropAhead, aheadIsLive, showAhead, swapIn, place, count };
})();
