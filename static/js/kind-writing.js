// Demonstration and correction: a text with its length, and what a correction changed.
(() => {
  "use strict";

  const { find, word } = bench;
  let timer = 0;

  const original = () => find(".writing .raw")?.content.textContent ?? null;

  function count() {
    const place = find("#count");
    const length = find("#text").value.length;
    place.textContent = word("characters", { n: `${bench.number(length)} / ${bench.number(place.dataset.max)}` });
  }

  function showChanges() {
    const place = find("#changes");
    if (!place) return;
    const found = bench.diff.compare(bench.diff.words(original()), bench.diff.words(find("#text").value));
    const pieces = [];
    let added = 0;
    let removed = 0;
    for (const { text, side } of found) {
      const last = pieces.at(-1);
      if (text.trim()) {
        added += side > 0;
        removed += side < 0;
      }
      if (last && last.side === side) last.text += text;
      else pieces.push({ text, side });
    }
    place.replaceChildren(
      ...pieces.map(({ text, side }) => {
        if (!side) return document.createTextNode(text);
        const marked = document.createElement(side > 0 ? "ins" : "del");
        marked.textContent = text;
        return marked;
      })
    );
    find("#change-count").textContent = word("changes", { added, removed });
  }

  document.addEventListener("input", (event) => {
    if (event.target.id !== "text") return;
    count();
    clearTimeout(timer);
    timer = setTimeout(showChanges, 120);
  });

  const kind = {
    begin() {
      clearTimeout(timer);
      count();
      showChanges();
    },
    problem(form) {
      const text = form.elements.text;
      const least = Number(find("#count").dataset.min) || 1;
      if (!text.value.trim()) return { text: word("write"), focus: text };
      if (text.value.trim().length < least) return { text: word("tooShort", { n: least }), focus: text };
      const before = original();
      if (before !== null && text.value === before && bench.now.confirmed !== "unchanged") {
        return { text: word("unchanged"), confirm: "unchanged" };
      }
      return null;
    },
    key(event) {
      if (event.key.toLowerCase() !== "e") return false;
      const text = find("#text");
      text.focus();
      text.setSelectionRange(text.value.length, text.value.length);
      return true;
    },
  };
  bench.kinds.demonstration = bench.kinds.correction = kind;
})();
