// A box that ticks all boxes of one name in its form.
for (const all of document.querySelectorAll("[data-tick-all]")) {
  all.addEventListener("change", () => {
    for (const box of all.form.elements) {
      if (box.type === "checkbox" && box.name === all.dataset.tickAll) box.checked = all.checked;
    }
  });
}
