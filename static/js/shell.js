// What every page shares: menus close when one clicks elsewhere or presses Escape, copy buttons copy,
// filters submit when a choice changes, and a fragment that could not be had says so without losing the page.
(() => {
  "use strict";

  function closeMenus(except) {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu !== except) menu.open = false;
    }
  }

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
    try {
      await navigator.clipboard.writeText(source ? source.textContent : button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => (button.textContent = label), 1500);
  });

  // Fragments with these statuses are not swapped in (htmx-config in base.html); what is on the page stays.
  function sayTrouble(status) {
    const box = document.getElementById("trouble");
    if (!box) return;
    const words = {
      0: "The server cannot be reached. Nothing on this page is lost; it goes on when the connection is back.",
      401: "You are logged out. Nothing on this page is lost: log in again in another tab, then repeat. ",
      403: "That was refused: your role has changed, or you logged in or out in another tab. Copy what you typed and reload.",
      404: "This is gone, or you are no longer a member of the project.",
      413: "That was too large.",
      429: "Too many requests. Wait a moment, then repeat.",
    };
    box.textContent = words[status] || "Something broke on the server. Nothing on this page is lost; repeat in a moment.";
    if (status === 401) {
      const link = document.createElement("a");
      link.href = box.dataset.login;
      link.target = "_blank";
      link.rel = "noopener";
      link.textContent = "Log in";
      box.append(link);
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

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-submit-on-change]");
    if (form) form.requestSubmit();
  });
})();
