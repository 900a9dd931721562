// Conversation: write, wait, choose, go on. What is sent goes by htmx and brings the whole task back; the fragment that
// waits asks for itself. Words that are not sent are a draft like any other.
(() => {
  "use strict";

  const { find, judge, word, scale, cookie } = bench;
  const isTalk = () => find("#task")?.dataset.kind === "conversation";
  const state = () => find("#talk")?.dataset.state ?? "";
  const message = () => find("#message");
  const written = () => Boolean(message()?.value.trim());
  let writeNext = false; // the composer gets the focus when it comes: the person has just chosen
  let typingIn = ""; // the field in which somebody types while answers come
  let spent = {}; // seconds by task: the clock goes on when the same talk comes onto the page again

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

  // What is missing for a button of the talk; said instead of sent.
  function lacks(button) {
    if (button.id === "send" && !written()) return { text: word("saySomething"), focus: message() };
    if (button.id === "choose" && !scale().some((radio) => radio.checked)) {
      return { text: word("choose"), focus: scale()[Math.floor(scale().length / 2)] };
    }
    return null;
  }

  document.addEventListener(
    "click",
    (event) => {
      const button = isTalk() && event.target.closest?.("#send, #choose, #retry");
      if (!button || !bench.now) return;
      const problem = bench.now.sending ? {} : lacks(button);
      if (problem) {
        event.preventDefault();
        event.stopImmediatePropagation();
        if (problem.text) bench.complain(problem.text, problem.focus);
        return;
      }
      const form = judge();
      if (cookie("csrftoken")) form.elements.csrfmiddlewaretoken.value = cookie("csrftoken");
      form.elements.active_seconds.value = bench.now.seconds.toFixed(1);
      clearTimeout(bench.now.draftTimer); // it must not come after what is sent now
      writeNext = button.id === "choose";
    },
    true
  );

  // Answers that come while somebody types wait until the draft is on the server, then leave the person in the field.
  function isLive(event) {
    return event.target instanceof Element && event.target.matches("[data-live]");
  }

  const unsaved = () => Boolean(bench.now && judge() && bench.drafts.signature() !== bench.now.saved);

  for (const kind of ["htmx:before:request", "htmx:before:swap"]) {
    document.addEventListener(
      kind,
      (event) => {
        if (!isLive(event)) return;
        if (unsaved()) event.preventDefault();
        else typingIn = document.activeElement?.matches("#rationale, #skip-note") ? document.activeElement.id : "";
      },
      true
    );
  }

  document.addEventListener("keydown", (event) => {
    if (!isTalk() || event.defaultPrevented || event.isComposing || find("dialog[open]")) return;
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const button = written() || event.target.id === "message" ? find("#send") : find("#choose");
    if (!button) return;
    event.preventDefault();
    button.click();
  });

  document.addEventListener("htmx:before:swap", () => {
    if (isTalk() && bench.now) spent = { [bench.now.key]: bench.now.seconds };
  });

  function settle() {
    const before = find("#talk-so-far");
    if (before) before.scrollTop = before.scrollHeight;
    if (!bench.now) return;
    const field = typingIn ? find(`#${typingIn}`) : writeNext ? message() : null;
    typingIn = "";
    writeNext = false;
    field?.focus({ preventScroll: true });
    if (!bench.narrow() || !find("#talk-so-far .turn-user + *, #talk-so-far .turn-assistant")) return;
    if (state() === "choosing") find("#talk-now").scrollIntoView({ block: "start" });
    else before.lastElementChild.scrollIntoView({ block: "center" });
  }

  function enter() {
    if (state() === "waiting") return true;
    const button = find("#choose") || find("#retry");
    if (button) {
      button.click();
      return true;
    }
    if (state() !== "writing") return false;
    const talk = find("#talk");
    if (Number(talk.dataset.lacking)) {
      bench.complain(word("tooFewTurns", { n: talk.dataset.lacking }), message());
      return true;
    }
    if (written() || "full" in talk.dataset || bench.now.confirmed === "end") return false;
    bench.complain(word("endTalk"));
    bench.now.confirmed = "end";
    return true;
  }

  bench.kinds.conversation = {
    begin() {
      bench.now.seconds = Math.max(bench.now.seconds, spent[bench.now.key] ?? 0);
      setTimeout(settle);
    },
    problem() {
      if (written()) return { text: word("notSentYet"), focus: message() };
      if (state() === "waiting" && bench.now.confirmed !== "waiting") return { text: word("endWaiting"), confirm: "waiting" };
      return null;
    },
    key(event, digit) {
      const target = event.target;
      const key = event.key.toLowerCase();
      if (event.key === "Enter") return !event.repeat && !target.closest("a, summary, button") && enter();
      if (key === "e" && message()) {
        message().focus();
        message().setSelectionRange(message().value.length, message().value.length);
        return true;
      }
      if (key === "c" && find("#again-choice")) {
        find("#again-choice").click();
        return true;
      }
      if (!scale().length) return false;
      if (digit !== null) {
        const middle = scale().find((radio) => radio.value === "0");
        const radio = digit ? scale().find((each) => each.dataset.key === String(digit)) : middle;
        if (radio) choose(radio);
        return Boolean(radio);
      }
      const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const vertical = target.matches?.("#scale input") ? { ArrowUp: -1, ArrowDown: 1 }[event.key] : undefined;
      if (!(sideways || vertical) || target.closest(".response-body, .talk-so-far, pre, details, .guidelines")) return false;
      move(sideways || vertical);
      return true;
    },
  };
})();
