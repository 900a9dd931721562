// A task comes onto the page: at load, by htmx, or from ahead.
(() => {
  "use strict";

  const { find, judge } = bench;
  document.documentElement.classList.add("scripted");

  bench.begin = ({ swapped }) => {
    const task = find("#task");
    clearTimeout(bench.now?.draftTimer);
    clearTimeout(bench.now?.retryTimer);
    bench.now = null;
    if (!task) return;
    bench.guidelines.begin();
    const form = judge();
    if (form && task.dataset.kind) {
      form.noValidate = true;
      bench.now = {
        key: `${task.dataset.person}:${task.dataset.task}`,
        assignment: form.elements.assignment?.value ?? "",
        token: form.elements.lease_token?.value ?? "",
        draft: task.dataset.draft || "",
        renew: task.dataset.renew || "",
        seconds: Number(form.elements.active_seconds.value) || 0,
        saved: "",
        confirmed: "",
        retries: 0,
        attempts: 0,
      };
      if (task.dataset.secondsLeft) bench.clock.held(bench.now, Number(task.dataset.secondsLeft));
      bench.clock.start();
      bench.kind()?.begin?.(task);
      bench.now.saved = bench.drafts.signature();
      bench.drafts.restore();
      bench.reading.begin();
    }
    if (!swapped) return;
    find("#task-title")?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
    bench.announce(task.dataset.announce || "");
  };

  window.addEventListener("pageshow", (event) => event.persisted && location.reload());

  bench.begin({ swapped: false });
  bench.outbox.start();
})();
