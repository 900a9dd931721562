// Submitting: what is missing is said before anything is sent; then the outbox takes the submission over, or htmx sends
// it and puts the next task in place.
(() => {
  "use strict";

  const { find, judge, word, cookie } = bench;

  function refusesToSend(form) {
    if (!form.elements.shown || find("#task")?.hasAttribute("data-lost")) return false;
    const why = form.elements.rationale;
    let problem = bench.kind()?.problem?.(form) ?? null;
    if (!problem && why?.required && !why.value.trim()) problem = { text: word("reason"), focus: why };
    if (!problem) return false;
    if (problem.confirm) bench.now.confirmed = problem.confirm;
    bench.complain(problem.text, problem.focus);
    return true;
  }

  document.addEventListener(
    "submit",
    (event) => {
      const form = event.target;
      if (!form.closest("#task")) return;
      const token = form.elements.csrfmiddlewaretoken;
      if (token && cookie("csrftoken")) token.value = cookie("csrftoken"); // a login in another tab has changed it
      const now = bench.now;
      if (!now) return;
      if (form.closest("#skip")) form.elements.active_seconds.value = now.seconds.toFixed(1);
      if (form.id !== "judge") return;
      if (now.sending || refusesToSend(form)) {
        event.preventDefault();
        event.stopImmediatePropagation();
        return;
      }
      form.elements.active_seconds.value = now.seconds.toFixed(1);
      clearTimeout(now.draftTimer);
      clearTimeout(now.retryTimer);
      if (!bench.outbox.takeOver(form)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    },
    true
  );

  // Not what a talk asks for by itself while it waits: that is no doing of the person's.
  const ofTask = (event) =>
    event.target instanceof Element && !event.target.matches("[data-live]") && event.target.closest("#task");

  document.addEventListener("htmx:before:request", (event) => {
    if (!ofTask(event)) return;
    if (bench.now) bench.now.sending = true;
    find("#task").setAttribute("aria-busy", "true");
  });

  document.addEventListener("htmx:finally:request", (event) => {
    if (event.target instanceof Element && event.target.matches("[data-live]")) return;
    if (bench.now) bench.now.sending = false;
    find("#task")?.removeAttribute("aria-busy");
  });

  function sendLater(text) {
    bench.trouble("send", text);
    const now = bench.now;
    if (!now) return;
    now.failed = true;
    const form = judge();
    clearTimeout(now.retryTimer);
    now.retryTimer = setTimeout(
      () => form?.isConnected && form.requestSubmit(),
      bench.RETRY_MS[Math.min(now.attempts++, bench.RETRY_MS.length - 1)]
    );
  }

  document.addEventListener("htmx:error", (event) => {
    if (!ofTask(event)) return;
    if (event.target === judge()) sendLater(word("notSent"));
    else bench.trouble("send", word("unreachable"));
  });

  document.addEventListener("htmx:response:error", (event) => {
    if (!ofTask(event)) return;
    const status = event.detail.ctx.response.status;
    const isJudgment = event.target === judge();
    if (status === 401) {
      bench.loggedOut();
      if (bench.now) bench.now.waiting = isJudgment;
    } else if (status >= 500) {
      if (isJudgment) sendLater(word("siteProblem"));
      else bench.trouble("send", word("trouble"));
    } else if (status === 403 || status === 404) {
      bench.notAccepted();
      if (bench.now) bench.now.waiting = isJudgment; // a login in that tab may have been what was missing
    }
  });

  document.addEventListener("htmx:after:swap", (event) => {
    const status = event.detail.ctx?.response?.status;
    if (status === undefined || [401, 403, 404].includes(status) || status >= 500) return;
    if (!event.detail.ctx.text?.includes('id="task"')) return;
    if (status === 200 && bench.now) bench.drafts.forget(bench.now.key);
    bench.settle("send", "draft", "login", "lease", "refused");
    bench.ahead = null; // the server has shown it, or knows of a better one
    bench.begin({ swapped: true });
    bench.next.fetchAhead();
    const problem = find("#problem");
    if (problem?.textContent.trim()) bench.announce(problem.textContent);
  });

  function again() {
    const now = bench.now;
    if (!now) return;
    if (now.waiting) {
      now.waiting = false;
      bench.settle("login", "refused");
      judge()?.requestSubmit();
    } else bench.drafts.save();
  }

  window.addEventListener("online", () => (bench.now?.failed ? judge()?.requestSubmit() : again()));
  window.addEventListener("focus", again);
})();
