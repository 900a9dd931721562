// Keys for everything, never while somebody types. A kind's own keys come first.
(() => {
  "use strict";

  const { find, all, judge } = bench;

  function digitOf(event) {
    if (/^[0-9]$/.test(event.key)) return Number(event.key);
    const place = !event.shiftKey && /^(?:Digit|Numpad)([0-9])$/.exec(event.code);
    return place ? Number(place[1]) : null;
  }

  const skipping = () => find("#skip")?.matches(":popover-open");
  const title = () => find("#task-title")?.focus({ preventScroll: true });

  function toggleSkip() {
    const panel = find("#skip");
    if (!panel) return;
    panel.togglePopover();
    if (skipping()) find(".skip-reasons button", panel).focus({ preventScroll: true });
    else title();
  }

  function submitByKey() {
    const button = find("#submit");
    if (button && !button.disabled) judge().requestSubmit(button);
    else find("#again")?.click();
  }

  function write(text) {
    if (!text) return;
    text.focus();
    text.setSelectionRange(text.value.length, text.value.length);
  }

  const KEYS = {
    s: toggleSkip,
    n: () => write(find("#rationale")),
    f: () => find("#flags input")?.focus(),
    g: () => bench.guidelines.toggle(),
    b: () => bench.outbox.undo(),
    u: () => bench.outbox.undo(),
    z: () => (find("#unskip") ? find("#unskip").click() : bench.outbox.undo()),
    p: () => bench.clock.pause(),
    d: () => bench.reading.toggleDifferences(),
    y: () => bench.reading.toggleTogether(),
    j: () => bench.reading.scrollAll(120),
    k: () => bench.reading.scrollAll(-120),
    "?": () => find("#keys")?.showModal(),
    "/": () => find("#keys")?.showModal(),
  };

  function keyInText(event) {
    if (event.key === "Escape") {
      event.preventDefault();
      if (event.target.closest("#skip")) toggleSkip();
      else title();
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      submitByKey();
    }
  }

  function keyInSkip(event) {
    const digit = digitOf(event);
    const key = event.key.toLowerCase();
    const kind = find(`#skip input[data-letter="${CSS.escape(key)}"]`);
    if (event.key === "Escape" || key === "s") toggleSkip();
    else if (kind) kind.checked = true;
    else if (digit) find(`#skip button[data-key="${digit}"]`)?.click();
    else return;
    event.preventDefault();
  }

  // Who speaks to the computer, or whose hand trembles, turns single keys off; Ctrl and Enter always submits.
  const OFF = "concord:keys-off";
  const singleKeys = () => !bench.kept.get(OFF);
  const choice = find("#single-keys");
  if (choice) {
    choice.checked = singleKeys();
    choice.addEventListener("change", () => (choice.checked ? bench.kept.drop(OFF) : bench.kept.set(OFF, true)));
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || find("dialog[open]") || !find("#task")) return;
    const target = event.target;
    if (target.matches?.("textarea, input:not([type=radio]):not([type=checkbox]), select")) return keyInText(event);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      return submitByKey();
    }
    if (event.ctrlKey || event.metaKey || event.altKey || (!singleKeys() && event.key !== "Escape")) return;
    if (skipping()) return keyInSkip(event);
    if (bench.now && !bench.now.sending && bench.kind()?.key?.(event, digitOf(event))) return event.preventDefault();
    if (event.key === "Enter") {
      if (event.repeat || target.closest("a, summary, button:not([data-chip])")) return;
      event.preventDefault();
      return submitByKey();
    }
    const action = KEYS[event.key.toLowerCase()];
    if (!action || (event.repeat && !"jk".includes(event.key.toLowerCase()))) return;
    event.preventDefault();
    action();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-keys]")) find("#keys").showModal();
    if (event.target.closest("[data-pause]")) bench.clock.pause();
    if (event.target.closest("#back") && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
      event.preventDefault();
      bench.outbox.undo();
    }
    if (event.target.closest("[data-guidelines]") && find("#guidelines")?.firstElementChild) {
      event.preventDefault();
      bench.guidelines.toggle();
    }
  });

  // Guidelines: a panel beside the task, open by itself when they are new to the person.
  const OPEN = "concord:guidelines";

  function show(open) {
    const panel = find("#guidelines");
    if (!panel) return;
    panel.hidden = !open || !panel.firstElementChild;
    find("#bench").classList.toggle("with-guidelines", !panel.hidden);
    for (const button of all("[data-guidelines]")) button.setAttribute("aria-expanded", String(open));
    bench.session.set(OPEN, `${open ? "open" : "closed"}:${panel.dataset.number}`);
    if (!panel.hidden && "new" in panel.dataset) read(panel);
  }

  async function read(panel) {
    delete panel.dataset.new;
    try {
      const response = await bench.post(panel.dataset.read, new URLSearchParams());
      if (!response.ok) return;
    } catch {
      return; // they count as unread until they are shown again
    }
    for (const mark of all("[data-changed]")) mark.hidden = true;
  }

  bench.guidelines = {
    begin() {
      const panel = find("#guidelines");
      if (!panel) return;
      const state = bench.session.get(OPEN);
      const unread = "new" in panel.dataset && state !== `closed:${panel.dataset.number}`;
      show(unread ? find("#bench").clientWidth > 1100 || !state : state.startsWith("open"));
    },
    toggle() {
      const open = find("#guidelines")?.hidden;
      show(open);
      (open ? find("#guidelines-title") : find("#task-title"))?.focus({ preventScroll: !open });
    },
  };
})();
