// Comparison: one step of the scale, and on request the better response improved.
(() => {
  "use strict";

  const { find, word, scale } = bench;

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

  const preference = () => Number(find("#scale input:checked")?.value ?? 0);

  function winnersText() {
    const chosen = preference();
    if (!chosen) return "";
    return find(`.response[data-position="${chosen < 0 ? 0 : 1}"] .raw`)?.content.textContent ?? "";
  }

  let filled = ""; // what the page itself put into the edit: a text that is still this says nothing

  function fill() {
    const box = find("#edit");
    const text = find("#edited");
    if (!box?.open || (text.value.trim() && text.value !== filled)) return;
    filled = text.value = winnersText();
  }

  document.addEventListener("toggle", (event) => event.target.id === "edit" && fill(), true);
  document.addEventListener("change", (event) => event.target.name === "preference" && fill());

  bench.kinds.comparison = {
    begin() {
      filled = "";
    },
    problem(form) {
      if (!scale().some((radio) => radio.checked)) {
        const radios = scale();
        return { text: word("choose"), focus: radios[Math.floor(radios.length / 2)] };
      }
      const text = form.elements.edited;
      if (!text) return null;
      if (text.value === filled || text.value === winnersText()) text.value = filled = "";
      return text.value.trim() && !preference() ? { text: word("tieEdited"), focus: text } : null;
    },
    key(event, digit) {
      const target = event.target;
      if (digit !== null) {
        const radios = scale();
        const middle = radios.find((radio) => radio.value === "0");
        const radio = digit ? radios.find((each) => each.dataset.key === String(digit)) : middle;
        if (radio) choose(radio);
        return Boolean(radio);
      }
      if (event.key.toLowerCase() === "e" && find("#edit")) {
        find("#edit").open = true;
        fill();
        find("#edited").focus();
        return true;
      }
      const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const vertical = target.matches?.("#scale input") ? { ArrowUp: -1, ArrowDown: 1 }[event.key] : undefined;
      if (!(sideways || vertical) || target.closest(".response-body, .asked, pre, details, .guidelines")) return false;
      move(sideways || vertical);
      return true;
    },
  };
})();
