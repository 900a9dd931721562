// Ranking: the numbers pressed from best to worst, then moved, tied or set aside; by keys, buttons or dragging.
// The form's own fields (a rank and a box for each response) hold the truth; this file keeps them in step.
(() => {
  "use strict";

  const { find, all, word } = bench;
  let groups = []; // positions by rank, the best first; two in one group share the rank
  let aside = new Set();
  let selected = null;

  const rail = () => find("#rail");
  const count = () => Number(rail().dataset.count);
  const rankField = (position) => find(`[name="rank-${position}"]`);
  const asideField = (position) => find(`[name="not_rankable-${position}"]`);
  const rankOf = (position) => groups.findIndex((group) => group.includes(position)) + 1;
  const positions = () => [...Array(count()).keys()];

  function read() {
    const ranks = positions().map((position) => Number(rankField(position).value) || 0);
    aside = new Set(positions().filter((position) => asideField(position)?.checked));
    groups = [...new Set(ranks.filter(Boolean))].sort((a, b) => a - b).map((rank) => positions().filter((position) => ranks[position] === rank && !aside.has(position))).filter((group) => group.length);
  }

  function write({ quiet = false } = {}) {
    for (const position of positions()) {
      rankField(position).value = rankOf(position) || "";
      const box = asideField(position);
      if (box) box.checked = aside.has(position);
    }
    draw();
    if (!quiet) rankField(0).dispatchEvent(new Event("input", { bubbles: true }));
  }

  function state(position) {
    const values = { n: position + 1, rank: rankOf(position) };
    return word(aside.has(position) ? "aside" : values.rank ? "ranked" : "unranked", values);
  }

  function chip(position) {
    const made = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "chip";
    button.dataset.chip = position;
    button.setAttribute("aria-pressed", String(position === selected));
    button.setAttribute("aria-label", state(position));
    const rank = document.createElement("span");
    rank.className = "chip-rank num";
    rank.textContent = aside.has(position) ? "✕" : rankOf(position) || "–";
    const name = document.createElement("span");
    name.textContent = word("response", { n: position + 1 });
    name.className = "chip-name";
    const short = document.createElement("span");
    short.className = "chip-short num";
    short.textContent = position + 1;
    button.append(rank, name, short);
    made.className = aside.has(position) ? "chip-aside" : rankOf(position) ? "chip-ranked" : "chip-loose";
    const group = groups.find((each) => each.includes(position));
    if (group && group.indexOf(position) > 0) made.classList.add("chip-tied");
    made.append(button);
    return made;
  }

  function draw() {
    const had = document.activeElement?.dataset?.chip;
    const loose = positions().filter((position) => !rankOf(position) && !aside.has(position));
    find("ol", rail()).replaceChildren(...[...groups.flat(), ...loose, ...aside].map(chip));
    for (const card of all(".card-response")) {
      const position = Number(card.dataset.position);
      card.classList.toggle("selected", position === selected);
      card.classList.toggle("is-ranked", Boolean(rankOf(position)));
      card.classList.toggle("is-aside", aside.has(position));
    }
    if (had !== undefined) find(`[data-chip="${had}"]`)?.focus({ preventScroll: true });
    for (const button of all("[data-rank]", rail())) button.disabled = selected === null;
  }

  function take(position) {
    groups = groups.map((group) => group.filter((each) => each !== position)).filter((group) => group.length);
    aside.delete(position);
  }

  function select(position) {
    selected = position;
    draw();
    bench.announce(state(position));
    const card = find(`.card-response[data-position="${position}"]`);
    card?.scrollIntoView({ block: "nearest" });
  }

  function press(position) {
    if (!(position in positions())) return false;
    selected = position;
    if (!rankOf(position) && !aside.has(position)) groups.push([position]);
    write();
    select(position);
    return true;
  }

  function move(by) {
    const at = rankOf(selected) - 1;
    if (at < 0) return void press(selected);
    const group = groups[at];
    if (group.length > 1) {
      take(selected);
      groups.splice(by < 0 ? at : at + 1, 0, [selected]);
    } else {
      const to = at + by;
      if (to < 0 || to >= groups.length) return;
      [groups[at], groups[to]] = [groups[to], groups[at]];
    }
    write();
  }

  function tie() {
    const at = rankOf(selected) - 1;
    if (at < 0 || !("tie" in rail().dataset)) return;
    if (groups[at].length > 1) return void move(1);
    if (at === 0) return;
    take(selected);
    groups[at - 1].push(selected);
    write();
  }

  function setAside() {
    if (!("aside" in rail().dataset)) return;
    const was = aside.has(selected);
    take(selected);
    if (!was) aside.add(selected);
    write();
  }

  function clear() {
    take(selected);
    write();
  }

  const ACTIONS = { up: () => move(-1), down: () => move(1), tie, aside: setAside, clear };

  function act(name) {
    if (selected === null) return;
    ACTIONS[name]();
    bench.announce(state(selected));
  }

  // Dragging a chip: it goes before or after the ranked chip that is nearest to where it is let go.
  let drag = null;

  function target(x, y) {
    let best = null;
    for (const each of all(".chip-ranked .chip", rail())) {
      const position = Number(each.dataset.chip);
      if (position === drag.position) continue;
      const box = each.getBoundingClientRect();
      const away = Math.hypot(x - (box.left + box.width / 2), 3 * (y - (box.top + box.height / 2)));
      if (!best || away < best.away) best = { away, position, after: x > box.left + box.width / 2 };
    }
    return best;
  }

  function showTarget(x, y) {
    for (const each of all(".drop-before, .drop-after", rail())) each.classList.remove("drop-before", "drop-after");
    const found = target(x, y);
    if (found) find(`[data-chip="${found.position}"]`).parentElement.classList.add(found.after ? "drop-after" : "drop-before");
    return found;
  }

  document.addEventListener("pointerdown", (event) => {
    const held = event.target.closest?.("[data-chip]");
    if (!held || event.button) return;
    drag = { position: Number(held.dataset.chip), x: event.clientX, y: event.clientY, moving: false, held };
    held.setPointerCapture?.(event.pointerId);
  });

  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (!drag.moving && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < 6) return;
    drag.moving = true;
    drag.held.classList.add("dragged");
    drag.held.style.translate = `${event.clientX - drag.x}px ${event.clientY - drag.y}px`;
    showTarget(event.clientX, event.clientY);
  });

  function drop(event, given) {
    if (!drag) return;
    const { position, moving } = drag;
    const found = moving && given ? target(event.clientX, event.clientY) : null;
    drag.held.classList.remove("dragged");
    drag.held.style.translate = "";
    drag = null;
    if (!moving) return;
    suppressed = true;
    setTimeout(() => (suppressed = false));
    if (!given) return void draw();
    take(position);
    const at = found ? rankOf(found.position) - 1 + (found.after ? 1 : 0) : groups.length;
    groups.splice(at, 0, [position]);
    selected = position;
    write();
    bench.announce(state(position));
  }

  let suppressed = false; // the click that ends a drag is none
  document.addEventListener("pointerup", (event) => drop(event, true));
  document.addEventListener("pointercancel", (event) => drop(event, false));

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-rank]");
    if (button) return act(button.dataset.rank);
    const held = event.target.closest("[data-chip]");
    if (held && !suppressed) press(Number(held.dataset.chip));
  });

  document.addEventListener("change", (event) => {
    const name = event.target.name ?? "";
    if (!event.target.closest?.(".rank-fields")) return;
    const position = Number(event.target.closest("[data-position]").dataset.position);
    if (name.startsWith("not_rankable") && event.target.checked) rankField(position).value = "";
    if (name.startsWith("rank-") && event.target.value && asideField(position)) asideField(position).checked = false;
    read();
    selected = position;
    draw();
  });

  bench.kinds.ranking = {
    begin() {
      selected = null;
      read();
      draw();
    },
    problem() {
      const ranks = positions().map((position) => rankOf(position));
      const missing = positions().find((position) => !ranks[position] && !aside.has(position));
      if (missing !== undefined) return { text: word("rankMissing"), focus: find(`[data-chip="${missing}"]`) };
      if (ranks.filter(Boolean).length < 2) return { text: word("rankTwo") };
      if (!("tie" in rail().dataset) && groups.some((group) => group.length > 1)) return { text: word("rankTie") };
      const asShown = ranks.every((rank, position) => rank === position + 1);
      if (asShown && bench.now.confirmed !== "as shown") return { text: word("rankAsShown"), confirm: "as shown" };
      return null;
    },
    key(event, digit) {
      if (event.target.closest("#flags, .guidelines, select")) return false;
      if (digit) return press(digit - 1);
      const key = event.key.toLowerCase();
      const name = { arrowup: "up", k: "up", arrowdown: "down", j: "down", t: "tie", x: "aside", 0: "clear", backspace: "clear" }[key];
      if (!name || selected === null) return false;
      if (event.target.closest(".response-body") && key.startsWith("arrow")) return false;
      act(name);
      return true;
    },
  };
})();
