// Help with reading: differences between two responses marked (D), responses scrolled together (Y, J, K).
// The marks are CSS highlights over ranges of the text: the page's HTML is not touched, so nothing in it can break.
(() => {
  "use strict";

  const { find, all, word, session } = bench;
  const SHOWN = "concord:differences";
  const TOGETHER = "concord:together";
  const bodies = () => all(".responses .response-body");

  // The words of an element's text with the place of each: [{text, node, at}].
  function placed(root) {
    const found = [];
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      let at = 0;
      for (const text of bench.diff.words(node.data)) {
        if (text.trim()) found.push({ text, node, at });
        at += text.length;
      }
    }
    return found;
  }

  function range(place) {
    const marked = document.createRange();
    marked.setStart(place.node, place.at);
    marked.setEnd(place.node, place.at + place.text.length);
    return marked;
  }

  function mark(on) {
    if (!window.CSS?.highlights) return;
    CSS.highlights.delete("differences");
    const texts = all(".responses .prose");
    if (!on || texts.length !== 2) return;
    const [left, right] = texts.map(placed);
    const ranges = [];
    let i = 0;
    let j = 0;
    const text = (place) => place.text;
    for (const { side } of bench.diff.compare(left.map(text), right.map(text))) {
      if (side === -1) ranges.push(range(left[i]));
      if (side === 1) ranges.push(range(right[j]));
      if (side <= 0) i++;
      if (side >= 0) j++;
    }
    CSS.highlights.set("differences", new Highlight(...ranges));
    bench.announce(word(ranges.length ? "differences" : "noDifferences"));
  }

  function press(name, on) {
    for (const button of all(`[data-${name}]`)) button.setAttribute("aria-pressed", String(on));
  }

  function toggleDifferences() {
    const on = session.get(SHOWN) !== "on";
    session.set(SHOWN, on ? "on" : "off");
    press("differences", on);
    mark(on);
  }

  function toggleTogether() {
    const on = session.get(TOGETHER) !== "on";
    session.set(TOGETHER, on ? "on" : "off");
    press("together", on);
  }

  let led = null; // the element that was scrolled by the page and not by the person
  document.addEventListener(
    "scroll",
    (event) => {
      const from = event.target;
      if (session.get(TOGETHER) !== "on" || !from.classList?.contains("response-body")) return;
      if (led === from) return void (led = null);
      const share = from.scrollTop / Math.max(1, from.scrollHeight - from.clientHeight);
      for (const other of bodies()) {
        if (other === from) continue;
        const top = Math.round(share * (other.scrollHeight - other.clientHeight));
        if (Math.abs(other.scrollTop - top) < 1) continue;
        led = other;
        other.scrollTop = top;
      }
    },
    { capture: true, passive: true }
  );

  function scrollAll(by) {
    const inside = bodies().filter((element) => element.scrollHeight > element.clientHeight + 1);
    if (!inside.length || bench.narrow()) return window.scrollBy({ top: by });
    if (session.get(TOGETHER) === "on") inside[0].scrollBy({ top: by });
    else for (const element of inside) element.scrollBy({ top: by });
  }

  function begin() {
    press("differences", session.get(SHOWN) === "on");
    press("together", session.get(TOGETHER) === "on");
    if (window.CSS?.highlights) CSS.highlights.delete("differences");
    if (session.get(SHOWN) === "on") setTimeout(() => mark(true));
    const asked = find(".asked");
    if (asked) asked.scrollTop = asked.scrollHeight;
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-differences]")) toggleDifferences();
    if (event.target.closest("[data-together]")) toggleTogether();
  });

  bench.reading = { begin, toggleDifferences, toggleTogether, scrollAll };
})();
