// The annotator's page: keys, the clock of active time, drafts that survive anything, the lease.
// htmx sends the judgment and puts the next comparison in place; everything here works on what #task holds then.
// What is typed goes to localStorage at once and to the server soon after; it leaves localStorage only when the
// server has it.
(() => {
  "use strict";

  const IDLE_MS = 60_000;
  const DRAFT_DELAY_MS = 800;
  const RETRY_MS = [2_000, 4_000, 8_000, 15_000, 30_000];
  const KEEP_MS = 14 * 24 * 3600 * 1000;
  const PREFIX = "concord:draft:";

  const find = (selector, root = document) => root.querySelector(selector);
  const judge = () => find("#judge");
  const scale = () => [...document.querySelectorAll("#scale input")];

  let current = null; // the comparison on the page: {key, order, seconds, saved, ...}
  let lastActive = performance.now();
  let lastTick = performance.now();

  document.documentElement.classList.add("scripted");

  // Small things ---------------------------------------------------------------------------------------

  function cookie(name) {
    const found = document.cookie.split("; ").find((part) => part.startsWith(`${name}=`));
    return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
  }

  function announce(text) {
    const region = find("#announce");
    if (region && text) region.textContent = text;
  }

  // base.html's banner, which shell.js fills for any fragment that could not be had. Here the words are nearer to the
  // work, so they are put in after shell.js has spoken.
  function trouble(kind, text, link) {
    const box = find("#trouble");
    if (!box) return;
    box.dataset.kind = kind;
    box.replaceChildren(document.createTextNode(text));
    if (link) {
      const anchor = document.createElement("a");
      anchor.href = link.href;
      anchor.textContent = link.text;
      anchor.target = "_blank";
      anchor.rel = "noopener";
      box.append(" ", anchor);
    }
    box.hidden = false;
  }

  function settle(...kinds) {
    const box = find("#trouble");
    if (!box || !kinds.includes(box.dataset.kind)) return;
    delete box.dataset.kind;
    box.replaceChildren();
    box.hidden = true;
  }

  const NOT_SAVED = "Not saved yet: the site cannot be reached. Your text is kept here; this page will retry.";

  function loggedOut() {
    trouble("login", "You have been logged out. Your text is kept in this browser.", {
      href: find("#trouble")?.dataset.login || location.pathname,
      text: "Log in again in a new tab, then come back here",
    });
  }

  function complain(text, focusOn) {
    const place = find("#problem");
    if (place) place.textContent = text;
    focusOn?.focus({ preventScroll: true });
  }

  // What is typed --------------------------------------------------------------------------------------

  function entered() {
    const form = judge();
    return {
      preference: find("#scale input:checked")?.value ?? "",
      rationale: form.elements.rationale.value,
      flags: [...form.querySelectorAll("[name=flags]:checked")].map((box) => box.value),
    };
  }

  const signature = () => JSON.stringify(entered());

  function enter(values) {
    const form = judge();
    for (const radio of scale()) radio.checked = radio.value === String(values.preference);
    form.elements.rationale.value = values.rationale;
    for (const box of form.querySelectorAll("[name=flags]")) box.checked = values.flags.includes(box.value);
  }

  const store = {
    get(key) {
      try {
        return JSON.parse(localStorage.getItem(PREFIX + key));
      } catch {
        return null;
      }
    },
    set(key, value) {
      try {
        localStorage.setItem(PREFIX + key, JSON.stringify(value));
      } catch {
        // Full or forbidden: the server's draft remains.
      }
    },
    drop(key) {
      try {
        localStorage.removeItem(PREFIX + key);
      } catch {
        // Nothing was stored then.
      }
    },
    sweep() {
      try {
        for (const key of Object.keys(localStorage)) {
          if (!key.startsWith(PREFIX)) continue;
          if (Date.now() - (JSON.parse(localStorage.getItem(key))?.at ?? 0) > KEEP_MS) localStorage.removeItem(key);
        }
      } catch {
        // Nothing to sweep.
      }
    },
  };

  function remember() {
    store.set(current.key, { ...entered(), order: current.order, seconds: current.seconds, at: Date.now() });
  }

  function restore() {
    const kept = store.get(current.key);
    if (!kept) return;
    const turned = kept.order !== current.order && kept.preference !== "";
    const values = { ...kept, preference: turned ? String(-Number(kept.preference)) : kept.preference };
    current.seconds = Math.max(current.seconds, kept.seconds || 0);
    if (JSON.stringify({ preference: values.preference, rationale: values.rationale, flags: values.flags }) === signature()) {
      store.drop(current.key);
      return;
    }
    enter(values);
    announce("What you had typed and not yet saved is back.");
    changed();
  }

  function changed() {
    complain("");
    if (current.failed) {
      // The last attempt may have arrived; what differs from it must not pass for the same submission.
      judge().elements.submission_id.value = newId();
      current.failed = false;
    }
    remember();
    if (!current.draft) return;
    clearTimeout(current.draftTimer);
    current.draftTimer = setTimeout(() => saveDraft(), DRAFT_DELAY_MS);
    const place = find("#saved");
    if (place) place.textContent = "";
  }

  function newId() {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  // Talking to the server ------------------------------------------------------------------------------

  function post(url, body, options = {}) {
    return fetch(url, {
      method: "POST",
      body,
      credentials: "same-origin",
      redirect: "manual",
      headers: { Accept: "application/json", "X-CSRFToken": cookie("csrftoken") },
      ...options,
    });
  }

  function body() {
    const form = judge();
    form.elements.active_seconds.value = current.seconds.toFixed(1);
    const values = new URLSearchParams(new FormData(form));
    values.delete("csrfmiddlewaretoken");
    return values;
  }

  async function saveDraft({ leaving = false } = {}) {
    const now = current;
    if (!now?.draft || !judge() || now.sending) return;
    clearTimeout(now.draftTimer);
    const what = signature();
    if (what === now.saved) return;
    if (now.saving && !leaving) {
      now.draftTimer = setTimeout(() => saveDraft(), DRAFT_DELAY_MS);
      return;
    }
    now.saving = true;
    try {
      const response = await post(now.draft, body(), { keepalive: leaving });
      now.saving = false;
      if (now !== current) return;
      if (response.status === 401) return void loggedOut();
      if (response.status >= 500) throw new Error(`status ${response.status}`);
      now.retries = 0;
      settle("draft", "login");
      if (!response.ok) return; // refused for what it is; submitting will say why
      now.saved = what;
      if (signature() === what) store.drop(now.key);
      const place = find("#saved");
      if (place) place.textContent = "draft saved";
    } catch {
      now.saving = false;
      if (now !== current) return;
      trouble("draft", NOT_SAVED);
      now.draftTimer = setTimeout(() => saveDraft(), RETRY_MS[Math.min(now.retries++, RETRY_MS.length - 1)]);
    }
  }

  async function renew() {
    const now = current;
    if (!now?.renew || now.renewing || now.sending) return;
    now.renewing = true;
    const form = judge();
    const values = new URLSearchParams({
      assignment: form.elements.assignment.value,
      lease_token: form.elements.lease_token.value,
    });
    try {
      const response = await post(now.renew, values);
      if (now !== current) return;
      if (response.status === 401) return void loggedOut();
      if (response.status === 409) {
        now.renew = "";
        const answer = await response.json();
        trouble(
          "lease",
          answer.slot_free
            ? "Your time for this comparison ran out. Nothing is lost: submit, and you can take it again."
            : "Your time for this comparison ran out, and somebody else may have it. Your text is kept."
        );
        return;
      }
      if (response.ok) held(now, (await response.json()).seconds_left);
    } catch {
      // The next tick tries again; drafts tell the person that the site is away.
    } finally {
      now.renewing = false;
    }
  }

  function held(now, secondsLeft) {
    now.until = Date.now() + secondsLeft * 1000;
    now.lease = Math.max(now.lease || 0, secondsLeft * 1000);
    const place = find("#until");
    if (!place) return;
    const time = new Date(now.until);
    place.textContent = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    place.dateTime = time.toISOString();
  }

  // The clock ------------------------------------------------------------------------------------------

  function tick() {
    const now = performance.now();
    const passed = Math.min(now - lastTick, 2_000);
    lastTick = now;
    const working = document.visibilityState === "visible" && now - lastActive < IDLE_MS;
    if (!current || !working) return;
    current.seconds += passed / 1000;
    const place = find("#timer");
    if (place) {
      const whole = Math.floor(current.seconds);
      const text = `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
      if (place.textContent !== text) place.textContent = text;
    }
    if (current.renew && current.until && current.until - Date.now() < current.lease * (2 / 3)) {
      if (Date.now() - (current.renewedAt || 0) > 15_000) {
        current.renewedAt = Date.now();
        renew();
      }
    }
  }

  // A new comparison on the page -----------------------------------------------------------------------

  function begin({ swapped }) {
    const task = find("#task");
    clearTimeout(current?.draftTimer);
    clearTimeout(current?.retryTimer);
    current = null;
    if (!task) return;
    openGuidelines();
    const form = judge();
    if (form && task.dataset.order) {
      form.noValidate = true;
      current = {
        key: `${task.dataset.person}:${task.dataset.comparison}`,
        order: task.dataset.order,
        draft: task.dataset.draft || "",
        renew: task.dataset.renew || "",
        seconds: Number(form.elements.active_seconds.value) || 0,
        saved: "",
        retries: 0,
        attempts: 0,
      };
      current.saved = signature();
      if (task.dataset.secondsLeft) held(current, Number(task.dataset.secondsLeft));
      lastActive = lastTick = performance.now();
      restore();
      const asked = find(".asked");
      if (asked) asked.scrollTop = asked.scrollHeight;
    }
    if (swapped) {
      find("#task-title")?.focus({ preventScroll: true });
      window.scrollTo(0, 0);
      announce(task.dataset.announce || "");
    }
  }

  function guidelinesState() {
    try {
      return sessionStorage.getItem("concord:guidelines") || "";
    } catch {
      return "";
    }
  }

  function showGuidelines(open) {
    const panel = find("#guidelines");
    if (!panel) return;
    panel.hidden = !open || !panel.firstElementChild;
    find("#bench").classList.toggle("with-guidelines", !panel.hidden);
    for (const button of document.querySelectorAll("[data-guidelines]")) button.setAttribute("aria-expanded", String(open));
    try {
      sessionStorage.setItem("concord:guidelines", `${open ? "open" : "closed"}:${panel.dataset.number}`);
    } catch {
      // The panel then opens anew with the next page.
    }
  }

  function openGuidelines() {
    const panel = find("#guidelines");
    if (!panel) return;
    const state = guidelinesState();
    const unread = "new" in panel.dataset && state !== `closed:${panel.dataset.number}`;
    showGuidelines(unread ? find("#bench").clientWidth > 1100 || !state : state.startsWith("open"));
  }

  function toggleGuidelines() {
    const open = find("#guidelines")?.hidden;
    showGuidelines(open);
    (open ? find("#guidelines-title") : find("#task-title"))?.focus({ preventScroll: !open });
  }

  // Sending --------------------------------------------------------------------------------------------

  function refusesToSend(form) {
    const radios = scale();
    if (!radios.length) return false;
    if (!radios.some((radio) => radio.checked)) {
      complain("Choose a step of the scale first: press 1 to 7, or click.", radios[Math.floor(radios.length / 2)]);
      return true;
    }
    const why = form.elements.rationale;
    if (why.required && !why.value.trim()) {
      complain("This queue asks for a reason with every judgment.", why);
      return true;
    }
    return false;
  }

  document.addEventListener(
    "submit",
    (event) => {
      const form = event.target;
      if (!form.closest("#task")) return;
      const token = form.elements.csrfmiddlewaretoken;
      if (token && cookie("csrftoken")) token.value = cookie("csrftoken"); // a login in another tab has changed it
      if (form.id !== "judge" || !current) return;
      if (current.sending || refusesToSend(form)) {
        event.preventDefault();
        event.stopImmediatePropagation();
        return;
      }
      form.elements.active_seconds.value = current.seconds.toFixed(1);
      clearTimeout(current.draftTimer);
      clearTimeout(current.retryTimer);
    },
    true
  );

  const ofTask = (event) => event.target instanceof Element && event.target.closest("#task");

  document.addEventListener("htmx:before:request", (event) => {
    if (!ofTask(event)) return;
    if (current) current.sending = true;
    find("#task").setAttribute("aria-busy", "true");
  });

  document.addEventListener("htmx:finally:request", () => {
    if (current) current.sending = false;
    find("#task")?.removeAttribute("aria-busy");
  });

  function sendLater(text) {
    trouble("send", text);
    if (!current) return;
    current.failed = true;
    const form = judge();
    clearTimeout(current.retryTimer);
    current.retryTimer = setTimeout(
      () => form?.isConnected && form.requestSubmit(),
      RETRY_MS[Math.min(current.attempts++, RETRY_MS.length - 1)]
    );
  }

  document.addEventListener("htmx:error", (event) => {
    if (!ofTask(event)) return;
    if (event.target === judge()) sendLater("Not sent yet: the site cannot be reached. Your judgment is kept here; this page will retry.");
    else trouble("send", "The site cannot be reached. Try again in a moment.");
  });

  document.addEventListener("htmx:response:error", (event) => {
    if (!ofTask(event)) return;
    const status = event.detail.ctx.response.status;
    if (status === 401) {
      loggedOut();
      if (current) current.waiting = event.target === judge();
    } else if (status >= 500) {
      if (event.target === judge()) sendLater("Not sent yet: the site has a problem. Your judgment is kept here; this page will retry.");
      else trouble("send", "The site has a problem. Try again in a moment.");
    } else if (status === 403 || status === 404) {
      trouble("refused", "The site did not accept this. Your text is kept in this browser;", {
        href: location.pathname,
        text: "open this page in a new tab",
      });
      if (current) current.waiting = event.target === judge(); // a login in that tab may have been what was missing
    }
  });

  document.addEventListener("htmx:after:swap", (event) => {
    const status = event.detail.ctx?.response?.status;
    if (status === undefined || [401, 403, 404].includes(status) || status >= 500) return;
    if (!event.detail.ctx.text?.includes('id="task"')) return;
    if (status === 200 && current) store.drop(current.key);
    settle("send", "draft", "login", "lease", "refused");
    begin({ swapped: true });
    const problem = find("#problem");
    if (problem?.textContent.trim()) announce(problem.textContent);
  });

  // Keys -----------------------------------------------------------------------------------------------

  function choose(radio) {
    if (!radio) return;
    radio.checked = true;
    radio.focus({ preventScroll: true });
    radio.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function move(step) {
    const radios = scale();
    const at = radios.findIndex((radio) => radio.checked);
    if (at >= 0) return choose(radios[Math.min(radios.length - 1, Math.max(0, at + step))]);
    const left = radios.filter((radio) => Number(radio.value) < 0).length;
    return choose(step < 0 ? radios[left - 1] : radios[radios.length - left]);
  }

  function digit(event) {
    if (/^[0-9]$/.test(event.key)) return Number(event.key);
    const place = !event.shiftKey && /^(?:Digit|Numpad)([0-9])$/.exec(event.code);
    return place ? Number(place[1]) : null;
  }

  const skipping = () => find("#skip")?.matches(":popover-open");

  function toggleSkip() {
    const panel = find("#skip");
    if (!panel) return;
    panel.togglePopover();
    if (skipping()) find(".skip-reasons button", panel).focus({ preventScroll: true });
    else find("#task-title").focus({ preventScroll: true });
  }

  function scrollBoth(by) {
    const bodies = [...document.querySelectorAll(".response-body")];
    if (bodies.some((element) => element.scrollHeight > element.clientHeight + 1)) {
      for (const element of bodies) element.scrollBy({ top: by });
    } else window.scrollBy({ top: by });
  }

  function submitByKey() {
    const button = find("#submit");
    if (button && !button.disabled) judge().requestSubmit(button);
    else find("#again")?.click();
  }

  function writeOn(text) {
    if (!text) return;
    text.focus();
    text.setSelectionRange(text.value.length, text.value.length);
  }

  const KEYS = {
    s: () => toggleSkip(),
    n: () => writeOn(find("#rationale")),
    f: () => find("#flags input")?.focus(),
    g: () => toggleGuidelines(),
    b: () => find("#back")?.click(),
    u: () => find("#back")?.click(),
    j: () => scrollBoth(120),
    k: () => scrollBoth(-120),
    "?": () => find("#keys")?.showModal(),
    "/": () => find("#keys")?.showModal(),
  };

  function keyInText(event) {
    if (event.key === "Escape") {
      event.preventDefault();
      if (event.target.closest("#skip")) toggleSkip();
      else find("#task-title").focus({ preventScroll: true });
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      submitByKey();
    }
  }

  function keyInSkip(event) {
    const number = digit(event);
    if (event.key === "Escape" || event.key.toLowerCase() === "s") toggleSkip();
    else if (number) find(`#skip button[data-key="${number}"]`)?.click();
    else return;
    event.preventDefault();
  }

  document.addEventListener("keydown", (event) => {
    lastActive = performance.now();
    if (event.defaultPrevented || event.isComposing || find("dialog[open]") || !find("#task")) return;
    const target = event.target;
    if (target.matches?.("textarea, input:not([type=radio]):not([type=checkbox]), select")) return keyInText(event);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      return submitByKey();
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (skipping()) return keyInSkip(event);
    const number = digit(event);
    if (number !== null) {
      const radio = find(`#scale input[data-key="${number || 4}"]`);
      if (radio) event.preventDefault();
      return choose(radio);
    }
    if (event.key === "Enter") {
      if (event.repeat || target.closest("a, button, summary")) return;
      event.preventDefault();
      return submitByKey();
    }
    const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const vertical = target.matches?.("#scale input") ? { ArrowUp: -1, ArrowDown: 1 }[event.key] : undefined;
    if (sideways || vertical) {
      if (target.closest(".response-body, .asked, pre, details, .guidelines") || !scale().length) return;
      event.preventDefault();
      return move(sideways || vertical);
    }
    const action = KEYS[event.key.toLowerCase()];
    if (!action || event.repeat && !"jk".includes(event.key.toLowerCase())) return;
    event.preventDefault();
    action();
  });

  // The rest -------------------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-keys]")) find("#keys").showModal();
    if (event.target.closest("[data-guidelines]") && find("#guidelines")?.firstElementChild) {
      event.preventDefault();
      toggleGuidelines();
    }
  });

  for (const kind of ["input", "change"]) {
    document.addEventListener(kind, (event) => {
      if (current && event.target.closest("#judge")) changed();
    });
  }

  for (const kind of ["pointerdown", "pointermove", "wheel", "touchstart", "scroll"]) {
    document.addEventListener(kind, () => (lastActive = performance.now()), { passive: true, capture: true });
  }

  function again() {
    if (!current) return;
    if (current.waiting) {
      current.waiting = false;
      settle("login", "refused");
      judge()?.requestSubmit();
    } else saveDraft();
  }

  window.addEventListener("online", () => (current?.failed ? judge()?.requestSubmit() : again()));
  window.addEventListener("focus", again);
  window.addEventListener("pagehide", () => saveDraft({ leaving: true }));
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") saveDraft({ leaving: true });
    else lastTick = performance.now();
  });
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());

  store.sweep();
  begin({ swapped: false });
  setInterval(tick, 500);
})();
