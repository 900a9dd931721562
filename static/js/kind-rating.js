// Rating: a digit rates the marked attribute and goes on to the next; arrows and Tab go between attributes.
(() => {
  "use strict";

  const { find, all, word } = bench;
  const attributes = () => all("[data-attribute]");
  const rated = (attribute) => Boolean(find("input:checked", attribute));

  function marked() {
    return find("[data-attribute].marked") ?? attributes()[0];
  }

  function go(attribute, { focus = true } = {}) {
    if (!attribute) return;
    for (const other of attributes()) other.classList.toggle("marked", other === attribute);
    if (!focus) return;
    (find("input:checked", attribute) ?? find("input", attribute)).focus({ preventScroll: true });
    attribute.scrollIntoView({ block: "nearest" });
  }

  function step(by) {
    const list = attributes();
    go(list[Math.min(list.length - 1, Math.max(0, list.indexOf(marked()) + by))]);
  }

  function rate(radio) {
    if (!radio) return false;
    radio.checked = true;
    radio.dispatchEvent(new Event("change", { bubbles: true }));
    const list = attributes();
    const at = list.indexOf(radio.closest("[data-attribute]"));
    const next = list.slice(at + 1).find((attribute) => !rated(attribute)) ?? list[at + 1];
    go(next ?? list[at]);
    return true;
  }

  document.addEventListener("focusin", (event) => {
    const attribute = event.target.closest?.("[data-attribute]");
    if (attribute) go(attribute, { focus: false });
  });

  bench.kinds.rating = {
    begin() {
      go(attributes().find((attribute) => !rated(attribute)) ?? attributes()[0], { focus: false });
    },
    problem() {
      const missing = all("[data-attribute][data-required]").find((attribute) => !rated(attribute));
      if (!missing) return null;
      go(missing);
      return { text: word("rateMissing"), focus: find("input", missing) };
    },
    key(event, digit) {
      if (event.target.closest("#flags, .guidelines, .asked")) return false;
      if (digit !== null) return rate(find(`input[data-key="${digit}"]`, marked()));
      if (event.key === "+" || event.key === "-" || event.key === "−") {
        const wanted = event.key === "+" ? "1" : "-1";
        return rate(find(`input[value="${wanted}"]`, marked()?.matches(".attribute-thumbs") ? marked() : find(".attribute-thumbs")));
      }
      if (event.target.closest(".response-body")) return false;
      const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!by) return false;
      step(by);
      return true;
    },
  };
})();
