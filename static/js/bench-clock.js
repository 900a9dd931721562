// The clock of active time, which stands still while the page is hidden, paused or left alone; and the leases, which are
// renewed while the person is at work.
(() => {
  "use strict";

  const IDLE_MS = 60_000;
  const ASK_MS = 15_000;
  const { find, judge, word } = bench;
  let lastActive = performance.now();
  let lastTick = performance.now();

  const active = () => (lastActive = performance.now());
  const paused = () => Boolean(find("#pause")?.open);

  function start() {
    lastActive = lastTick = performance.now();
  }

  function tick() {
    const instant = performance.now();
    const passed = Math.min(instant - lastTick, 2_000);
    lastTick = instant;
    const now = bench.now;
    if (!now || paused() || document.visibilityState !== "visible" || instant - lastActive >= IDLE_MS) return;
    now.seconds += passed / 1000;
    const place = find("#timer");
    if (place) {
      const whole = Math.floor(now.seconds);
      const text = `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
      if (place.textContent !== text) place.textContent = text;
    }
    for (const lease of [now, bench.ahead]) {
      if (!lease?.renew || !lease.until || lease.until - Date.now() >= lease.lease * (2 / 3)) continue;
      if (Date.now() - (lease.renewedAt || 0) <= ASK_MS) continue;
      lease.renewedAt = Date.now();
      renew(lease);
    }
  }

  // `lease` is the task on the page or the one that was fetched ahead.
  async function renew(lease) {
    if (lease.renewing || lease.sending) return;
    lease.renewing = true;
    try {
      const response = await bench.post(lease.renew, new URLSearchParams({ assignment: lease.assignment, lease_token: lease.token }));
      if (lease !== bench.now) {
        if (lease !== bench.ahead) return;
        if (response.ok) held(lease, (await response.json()).seconds_left);
        else if (response.status === 409) bench.next.dropAhead();
        return;
      }
      if (response.status === 401) return void bench.loggedOut();
      if (response.status === 409) {
        lease.renew = "";
        bench.trouble("lease", word((await response.json()).slot_free ? "leaseFree" : "leaseGone"));
      } else if (response.ok) held(lease, (await response.json()).seconds_left);
    } catch {
      // The next tick tries again; drafts tell the person that the site is away.
    } finally {
      lease.renewing = false;
    }
  }

  function held(lease, secondsLeft) {
    lease.until = Date.now() + secondsLeft * 1000;
    lease.lease = Math.max(lease.lease || 0, secondsLeft * 1000);
    const place = lease === bench.now && find("#until");
    if (!place) return;
    const time = new Date(lease.until);
    place.textContent = time.toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    place.dateTime = time.toISOString();
  }

  function pause() {
    const box = find("#pause");
    if (!box || !judge() || !bench.now) return;
    bench.drafts.save();
    box.showModal();
    bench.announce(word("paused"));
  }

  find("#pause")?.addEventListener("close", () => {
    start();
    find("#task-title")?.focus({ preventScroll: true });
  });

  for (const kind of ["pointerdown", "pointermove", "wheel", "touchstart", "scroll", "keydown"]) {
    document.addEventListener(kind, active, { passive: true, capture: true });
  }
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && (lastTick = performance.now()));
  setInterval(tick, 500);

  bench.clock = { start, held, pause };
})();
