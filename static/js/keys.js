// Keys of the curator's pages. Whatever has `data-key` answers to that key: a link or button is clicked, a field gets the
// cursor, a fold opens. A button with `data-needs` (the id of a field) puts the cursor there first while the field is
// empty; Enter in that field then presses the button. Everything works without this file.
(() => {
  "use strict";

  let pending = null;

  const typing = (element) => element.matches("textarea, select, [contenteditable], input:not([type=radio]):not([type=checkbox])");

  function visible(element) {
    return element.checkVisibility ? element.checkVisibility() : element.offsetParent !== null;
  }

  function withKey(key) {
    const wanted = key.length === 1 ? key.toLowerCase() : key;
    return [...document.querySelectorAll("[data-key]")].find(
      (one) => one.dataset.key.toLowerCase() === wanted.toLowerCase() && !one.disabled && (visible(one) || one.type === "radio"),
    );
  }

  function press(element) {
    const needed = element.dataset.needs && document.getElementById(element.dataset.needs);
    if (needed && !needed.value.trim()) {
      pending = element;
      needed.focus();
      return;
    }
    if (element.matches("textarea, select, input:not([type=radio]):not([type=checkbox])")) element.focus();
    else if (element.type === "radio") {
      element.checked = true;
      element.dispatchEvent(new Event("change", { bubbles: true }));
    } else element.click();
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.repeat) return;
    const at = document.activeElement || document.body;
    if (typing(at)) {
      if (event.key === "Escape") {
        pending = null;
        at.blur();
        event.preventDefault();
      } else if (event.key === "Enter" && at.matches("textarea") && at.form) {
        const submits = event.ctrlKey || event.metaKey || (pending && pending.form === at.form && !event.shiftKey);
        if (!submits) return;
        event.preventDefault();
        at.form.requestSubmit(pending && pending.form === at.form ? pending : undefined);
      }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && at.matches("a, button, summary")) return;
    const element = withKey(event.key);
    if (!element) return;
    event.preventDefault();
    press(element);
  });

  document.addEventListener("focusout", (event) => {
    if (pending && event.target.id === pending.dataset.needs && !event.target.value.trim()) pending = null;
  });
})();
