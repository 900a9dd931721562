// What every page shares: menus close when one clicks elsewhere or presses Escape, copy buttons copy,
// filters submit when a choice changes, wide tables can be reached by keyboard, and a fragment that could not be had
// says so without losing the page.
(() => {
  "use strict";

  function closeMenus(except) {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu !== except) menu.open = false;
    }
  }

  // On a narrow screen the tabs scroll; the one of this page is to be seen.
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const open = document.querySelector("details.menu[open]");
    if (!open) return;
    const inside = open.contains(document.activeElement);
    closeMenus();
    if (inside) open.querySelector("summary").focus();
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = button.dataset.copyFrom && document.querySelector(button.dataset.copyFrom);
    const label = button.textContent;
    const words = document.getElementById("trouble").dataset;
    try {
      await navigator.clipboard.writeText(source ? source.textContent : button.dataset.copy);
      button.textContent = words.copied;
    } catch {
      button.textContent = words.copyByKey;
    }
    setTimeout(() => (button.textContent = label), 1500);
  });

  // Fragments with these statuses are not swapped in (htmx-config in base.html); what is on the page stays.
  function sayTrouble(status) {
    const box = document.getElementById("trouble");
    if (!box) return;
    box.textContent = box.dataset[status] || box.dataset.broken;
    if (status === 401) {
      const link = document.createElement("a");
      link.href = box.dataset.login;
      link.target = "_blank";
      link.rel = "noopener";
      link.textContent = box.dataset.logIn;
      box.append(" ", link);
    }
    box.hidden = false;
  }

  document.addEventListener("htmx:after:request", (event) => {
    const status = event.detail.ctx.response.status;
    if (status < 400 || status === 409 || status === 422) {
      const box = document.getElementById("trouble");
      if (box) box.hidden = true;
    } else {
      sayTrouble(status);
    }
  });
  document.addEventListener("htmx:error", (event) => event.detail.ctx && sayTrouble(0));

  // What scrolls sideways can be reached, and so scrolled, by keyboard.
  function reachScrollers() {
    for (const box of document.querySelectorAll(".table-responsive, .previews")) {
      const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
      if (scrolls) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }

  reachScrollers();
  window.addEventListener("resize", reachScrollers);
  document.addEventListener("htmx:after:swap", reachScrollers);

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-submit-on-change]");
    if (form) form.requestSubmit();
  });
})();
