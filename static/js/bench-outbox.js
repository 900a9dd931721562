// A submission is sent behind the person's back: from the key press to the next task on the screen nothing waits for the
// network. It lies in the outbox, in localStorage, until the server has acknowledged it; one that is refused comes back
// with all that was typed, and the last one can be taken back.
(() => {
  "use strict";

  const PREFIX = "concord:outbox:";
  const { find, judge, word, kept } = bench;
  const { fetchAhead, aheadIsLive, showAhead, swapIn, place, count } = bench.next;
  const unkept = new Map(); // what localStorage did not take
  const judged = new Map(); // by entry: the task that was on the page, for as long as its submission can be taken back
  let sending = ""; // the entry that is on its way
  let flushing = null;
  let attempts = 0;
  let timer = 0;

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
    judged.delete(entry.id);
    kept.drop(keyOf(entry));
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
    judged.set(entry.id, { task: find("#task"), until: now.until });
    if (aheadIsLive()) showAhead();
    else waitForNext();
    if (find("#back")) find("#back").hidden = false;
    flush();
    return true;
  }

  // Take the last submission out of the outbox again and put its task back, with all that was said of it.
  // False when it is not there: it has been sent, or is being sent.
  function recall() {
    const entry = pending().at(-1);
    const before = entry && judged.get(entry.id);
    if (!before || sending === entry.id) return false;
    const current = find("#task");
    drop(entry);
    if (current === before.task) {
      bench.now.sending = false;
      current.removeAttribute("aria-busy");
    } else {
      bench.drafts.save();
      if (bench.now?.assignment) bench.ahead = { ...bench.now, task: current, guidelines: null };
      swapIn(before.task, "");
      bench.now.until = before.until;
      count(-1);
    }
    judge().elements.submission_id.value = bench.newId(); // the other one may have arrived, and this may say another thing
    bench.drafts.remember();
    bench.settle("send");
    bench.announce(word("recalled"));
    return true;
  }

  // Back to the last judgment, in place: out of the outbox if it is still there, else as a revision of what is stored.
  async function undo() {
    if (recall() || (!(await flush()) && recall())) return;
    const link = find("#back");
    if (!link?.href || link.hidden) return;
    await bench.drafts.save();
    try {
      await place(await bench.fragment(link.href));
    } catch {
      bench.trouble("send", word("unreachable"));
    }
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

  async function showNext() {
    try {
      await place(await bench.fragment(find("#task").dataset.next));
    } catch {
      later("notSent");
    }
  }

  const waitsForNext = () => bench.now?.sending && find("#task")?.getAttribute("aria-busy") === "true";

  // False when the entry stays in the outbox and has to be sent again.
  async function send(entry) {
    let response;
    sending = entry.id;
    try {
      response = await bench.post(entry.url, new URLSearchParams(entry.body), { keepalive: entry.body.length < 60_000 });
    } catch {
      return later("notSent");
    } finally {
      sending = "";
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

  bench.outbox = { takeOver, flush, start, pending, undo };
})();
