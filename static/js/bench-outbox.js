// The next task is fetched ahead, and a submission is sent behind the person's back: from the key press to the next task
// on the screen nothing waits for the network. A submission lies in the outbox, in localStorage, until the server has
// acknowledged it; one that is refused comes back with all that was typed.
(() => {
  "use strict";

  const PREFIX = "concord:outbox:";
  const { find, judge, word, kept } = bench;
  const unkept = new Map(); // what localStorage did not take
  let flushing = null;
  let attempts = 0;
  let timer = 0;
  let fetching = null;

  const person = () => find("#task")?.dataset.person || bench.person || "";
  const keyOf = (entry) => `${PREFIX}${entry.person}:${entry.id}`;

  function entries() {
    const stored = kept.keys(`${PREFIX}${person()}:`).map(kept.get).filter(Boolean);
    return [...stored, ...unkept.values()].filter((entry) => entry.person === person()).sort((a, b) => a.at - b.at);
  }

  const pending = () => entries().filter((entry) => !entry.refused);

  function put(entry) {
    if (kept.set(keyOf(entry), entry)) unkept.delete(entry.id);
    else unkept.set(entry.id, entry);
  }

  function drop(entry) {
    unkept.delete(entry.id);
    kept.drop(keyOf(entry));
  }

  // The next task ahead ------------------------------------------------------------------------------

  // Fetch the task after the one on the page, once nothing is left to be sent: two leases are the most.
  async function fetchAhead() {
    const now = bench.now;
    const next = find("#task")?.dataset.next;
    if (!now?.assignment || !next || bench.ahead || fetching || pending().length) return;
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

  // Put the task that was fetched ahead in place of the one that was judged; the strip keeps what it knows.
  function showAhead() {
    const { task, guidelines } = bench.ahead;
    bench.ahead = null;
    const fresh = document.importNode(task, true);
    for (const id of ["progress", "strip-actions"]) {
      const [old, made] = [find(`#${id}`), find(`#${id}`, fresh)];
      if (old && made) made.replaceWith(old);
    }
    find("#task").replaceWith(fresh);
    if (guidelines) {
      const panel = document.importNode(guidelines, true);
      panel.removeAttribute("hx-swap-oob");
      find("#guidelines")?.replaceWith(panel);
      const changed = find("[data-changed]");
      if (changed) changed.hidden = !("changedSince" in panel.dataset);
    }
    countOne();
    fresh.dataset.announce = word("savedNext");
    window.htmx?.process(fresh);
    bench.begin({ swapped: true });
  }

  function countOne() {
    const place = find("#progress");
    if (!place?.dataset.done) return;
    place.dataset.done = Number(place.dataset.done) + 1;
    const done = find("[data-done-count]", place);
    if (done) done.textContent = place.dataset.done;
    const bar = find("progress", place);
    if (bar) bar.value = Number(place.dataset.done);
    const left = find("[data-left-count]", place);
    if (!left) return;
    place.dataset.left = Math.max(0, Number(place.dataset.left) - 1);
    left.textContent = place.dataset.left;
  }

  // Sending behind -------------------------------------------------------------------------------------

  // True when the submission of the form was taken over; false leaves it to htmx.
  function takeOver(form) {
    const now = bench.now;
    if (!now?.assignment || form.elements.submission_id === undefined || now.failed) return false;
    if (!aheadIsLive() && !pending().length) return false;
    const entry = {
      id: form.elements.submission_id.value,
      person: person(),
      url: form.action,
      body: bench.drafts.body().toString(),
      draft: now.key,
      task: find("#task").dataset.task,
      at: Date.now(),
    };
    put(entry);
    if (aheadIsLive()) showAhead();
    else waitForNext();
    flush();
    return true;
  }

  // Keep the judged task on the page until the outbox is empty; `flush` then puts the next one in its place.
  function waitForNext() {
    bench.now.sending = true;
    bench.ahead = null;
    find("#task").setAttribute("aria-busy", "true");
    bench.announce(word("sending"));
  }

  async function flush() {
    clearTimeout(timer);
    if (flushing) return flushing;
    flushing = (async () => {
      for (let entry = pending()[0]; entry; entry = pending()[0]) {
        if (!(await send(entry))) return false;
      }
      return true;
    })();
    const drained = await flushing;
    flushing = null;
    if (!drained) return false;
    if (pending().length) return flush();
    if (waitsForNext()) await showNext();
    fetchAhead();
    return true;
  }

  const waitsForNext = () => bench.now?.sending && find("#task")?.getAttribute("aria-busy") === "true";

  // False when the entry stays in the outbox and has to be sent again.
  async function send(entry) {
    let response;
    try {
      response = await bench.post(entry.url, new URLSearchParams(entry.body), { keepalive: entry.body.length < 60_000 });
    } catch {
      return later("notSent");
    }
    if (response.status === 401) {
      bench.loggedOut();
      return false;
    }
    if (response.status === 409 || response.status === 422) {
      let why = "";
      let lease = false;
      try {
        const refusal = await response.json();
        lease = refusal.code === "lease_lost";
        why = refusal.code === "lease_lost" ? word("returnedLease") : refusal.detail;
      } catch {
        // It comes back without a reason.
      }
      put({ ...entry, lease, refused: why || "?" });
      showReturned();
      return true;
    }
    if (response.status === 201) {
      attempts = 0;
      drop(entry);
      for (const each of entries()) if (each.lease && each.task === entry.task) drop(each); // taken again, and judged
      showReturned();
      bench.drafts.forget(entry.draft);
      bench.settle("send", "login", "refused", "draft");
      const back = find("#back");
      if (back) {
        back.href = (await response.json()).revise;
        back.hidden = false;
      }
      return true;
    }
    if (response.status === 403 || response.status === 404) {
      bench.notAccepted();
      return false;
    }
    return later("siteProblem");
  }

  function later(words) {
    bench.trouble("send", word(words));
    clearTimeout(timer);
    timer = setTimeout(flush, bench.RETRY_MS[Math.min(attempts++, bench.RETRY_MS.length - 1)]);
    return false;
  }

  // Fetch and show what comes next, when nothing was there ahead.
  async function showNext() {
    try {
      await place(await bench.fragment(find("#task").dataset.next));
    } catch {
      later("notSent");
    }
  }

  async function place(response) {
    if (response.status === 401) return void bench.loggedOut();
    if (![200, 409, 422].includes(response.status)) throw new Error(`status ${response.status}`);
    const holder = document.createElement("template");
    holder.innerHTML = await response.text();
    const task = holder.content.querySelector("#task");
    const panel = holder.content.querySelector("#guidelines");
    if (!task) throw new Error("no task in the answer");
    bench.ahead = null;
    find("#task").replaceWith(task);
    if (panel) {
      panel.removeAttribute("hx-swap-oob");
      find("#guidelines")?.replaceWith(panel);
    }
    window.htmx?.process(task);
    bench.begin({ swapped: true });
    const problem = find("#problem");
    if (problem?.textContent.trim()) bench.announce(problem.textContent);
  }

  // What was refused -----------------------------------------------------------------------------------

  function showReturned() {
    const box = find("#returned");
    const first = entries().find((entry) => entry.refused);
    if (!box) return;
    box.hidden = !first;
    box.replaceChildren();
    if (!first) return;
    const text = document.createElement("span");
    text.textContent = word("returned", { why: first.refused });
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-primary btn-sm";
    button.textContent = word("openReturned");
    button.addEventListener("click", () => openReturned(first));
    box.append(text, " ", button);
  }

  // Send it once more as a page would: the answer is that very page, with all that was typed and what is wrong.
  async function openReturned(entry) {
    await bench.drafts.save();
    try {
      const response = await bench.post(entry.url, new URLSearchParams(entry.body), { headers: { Accept: "text/html", "HX-Request": "true" } });
      await place(response);
      drop(entry);
      if (bench.now) bench.drafts.remember();
      showReturned();
      fetchAhead();
    } catch {
      bench.trouble("send", word("unreachable"));
    }
  }

  // On a page that was just loaded, what an earlier one could not send goes first.
  async function start() {
    bench.person = person();
    showReturned();
    const sent = pending().map((entry) => entry.task);
    if (!sent.length) return fetchAhead();
    if (bench.now && sent.includes(find("#task").dataset.task)) waitForNext(); // it is judged, on its way to the server
    await flush();
  }

  window.addEventListener("online", flush);
  window.addEventListener("focus", () => pending().length && flush());

  bench.outbox = { takeOver, flush, fetchAhead, dropAhead, start, pending };
})();
