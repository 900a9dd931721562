// What is typed goes to localStorage at once and to the server soon after; it leaves localStorage only when the server
// has it.
(() => {
  "use strict";

  const DELAY_MS = 800; // after the last key
  const LONGEST_MS = 4_000; // while keys keep coming
  const KEEP_MS = 14 * 24 * 3600 * 1000;
  const PREFIX = "concord:draft:";
  const TECHNICAL = new Set([
    "csrfmiddlewaretoken", "assignment", "lease_token", "task", "shown", "submission_id", "guideline", "active_seconds", "back", "turn",
  ]);
  const { find, judge, word, kept } = bench;

  // The person's answer as the form's fields: [name, value], in the form's order.
  function entered() {
    return [...new FormData(judge())].filter(([name]) => !TECHNICAL.has(name)).map(([name, value]) => [name, String(value)]);
  }

  function enter(values) {
    for (const field of judge().elements) {
      if (!field.name || TECHNICAL.has(field.name)) continue;
      const mine = values.filter(([name]) => name === field.name).map(([, value]) => value);
      if (field.type === "radio" || field.type === "checkbox") field.checked = mine.includes(field.value);
      else if (field.tagName !== "BUTTON") field.value = mine[0] ?? "";
    }
  }

  const signature = () => JSON.stringify(entered());

  function remember() {
    kept.set(PREFIX + bench.now.key, { values: entered(), seconds: bench.now.seconds, at: Date.now() });
  }

  function restore() {
    const before = kept.get(PREFIX + bench.now.key);
    if (!before?.values) return;
    bench.now.seconds = Math.max(bench.now.seconds, before.seconds || 0);
    if (JSON.stringify(before.values) === signature()) return forget(bench.now.key);
    enter(before.values);
    bench.kind()?.begin?.(find("#task"));
    bench.announce(word("restored"));
    changed();
  }

  function forget(key) {
    kept.drop(PREFIX + key);
  }

  function changed() {
    bench.complain("");
    const now = bench.now;
    now.confirmed = "";
    if (now.failed) {
      // The last attempt may have arrived; what differs from it must not pass for the same submission.
      judge().elements.submission_id.value = bench.newId();
      now.failed = false;
    }
    remember();
    if (!now.draft) return;
    clearTimeout(now.draftTimer);
    now.unsaved ??= Date.now();
    now.draftTimer = setTimeout(() => save(), Math.min(DELAY_MS, Math.max(0, now.unsaved + LONGEST_MS - Date.now())));
    const place = find("#saved");
    if (place) place.textContent = "";
  }

  function body() {
    const form = judge();
    form.elements.active_seconds.value = bench.now.seconds.toFixed(1);
    const values = new URLSearchParams(new FormData(form));
    values.delete("csrfmiddlewaretoken");
    return values;
  }

  async function save({ leaving = false } = {}) {
    const now = bench.now;
    if (!now?.draft || !judge() || now.sending) return;
    clearTimeout(now.draftTimer);
    const what = signature();
    if (what === now.saved) return;
    if (now.saving && !leaving) {
      now.draftTimer = setTimeout(() => save(), DELAY_MS);
      return;
    }
    now.saving = true;
    now.unsaved = undefined;
    try {
      const said = body();
      const response = await bench.post(now.draft, said, { keepalive: leaving && said.toString().length < 60_000 });
      now.saving = false;
      if (now !== bench.now) return;
      if (response.status === 401) return void bench.loggedOut();
      if (response.status >= 500) throw new Error(`status ${response.status}`);
      now.retries = 0;
      bench.settle("draft", "login");
      if (!response.ok) return; // refused for what it is; submitting will say why
      now.saved = what;
      if (signature() === what) forget(now.key);
      const place = find("#saved");
      if (place) place.textContent = word("draftSaved");
    } catch {
      now.saving = false;
      if (now !== bench.now) return;
      bench.trouble("draft", word("notSaved"));
      now.draftTimer = setTimeout(() => save(), bench.RETRY_MS[Math.min(now.retries++, bench.RETRY_MS.length - 1)]);
    }
  }

  for (const key of kept.keys(PREFIX)) if (Date.now() - (kept.get(key)?.at ?? 0) > KEEP_MS) kept.drop(key);

  for (const kind of ["input", "change"]) {
    document.addEventListener(kind, (event) => {
      if (bench.now && event.target.form?.id === "judge") changed();
    });
  }

  window.addEventListener("pagehide", () => save({ leaving: true }));
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && save({ leaving: true }));

  bench.drafts = { signature, restore, forget, changed, body, save, remember };
})();
