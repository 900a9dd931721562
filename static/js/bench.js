// What the files of the annotator's page share, on one object: small tools, words, and what is at hand.
//   bench.now    the task on the page: {key, seconds, draft, renew, ...}; null when there is none to judge
//   bench.kinds  by task kind: {begin(task), problem(form), key(event)}; each in a file of its own
window.bench = (() => {
  "use strict";

  const PATIENCE_MS = 30_000;
  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const judge = () => find("#judge");

  function cookie(name) {
    const found = document.cookie.split("; ").find((part) => part.startsWith(`${name}=`));
    return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
  }

  // Words come from the server, in the reader's language: <div id="words" data-...>.
  function word(name, values = {}) {
    let text = find("#words")?.dataset[name] ?? "";
    for (const [key, value] of Object.entries(values)) text = text.replaceAll(`{${key}}`, String(value));
    return text;
  }

  function announce(text) {
    const region = find("#announce");
    if (region && text) region.textContent = text;
  }

  // base.html's banner, which shell.js fills for any fragment that could not be had. Here the words are nearer to the
  // work, so they are put in after shell.js has spoken.
  function trouble(kind, text, link) {
    const box = find("#trouble");
    if (!box) return;
    box.dataset.kind = kind;
    box.replaceChildren(document.createTextNode(text));
    if (link) {
      const anchor = document.createElement("a");
      anchor.href = link.href;
      anchor.textContent = link.text;
      anchor.target = "_blank";
      anchor.rel = "noopener";
      box.append(" ", anchor);
    }
    box.hidden = false;
  }

  function settle(...kinds) {
    const box = find("#trouble");
    if (!box || !kinds.includes(box.dataset.kind)) return;
    delete box.dataset.kind;
    box.replaceChildren();
    box.hidden = true;
  }

  function loggedOut() {
    trouble("login", word("loggedOut"), { href: find("#trouble")?.dataset.login || location.pathname, text: word("logIn") });
  }

  function notAccepted() {
    trouble("refused", word("notAccepted"), { href: location.pathname, text: word("newTab") });
  }

  function complain(text, focusOn) {
    const place = find("#problem");
    if (place) place.textContent = text;
    focusOn?.focus({ preventScroll: true });
  }

  function newId() {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  function post(url, body, options = {}) {
    return fetch(url, {
      method: "POST",
      body,
      credentials: "same-origin",
      redirect: "manual",
      signal: AbortSignal.timeout(PATIENCE_MS), // a network that is gone without a word
      ...options,
      headers: { Accept: "application/json", "X-CSRFToken": cookie("csrftoken"), ...options.headers },
    });
  }

  function fragment(url, options = {}) {
    return fetch(url, {
      credentials: "same-origin",
      redirect: "manual",
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...options,
      headers: { "HX-Request": "true", ...options.headers },
    });
  }

  const kept = {
    get(key) {
      try {
        return JSON.parse(localStorage.getItem(key));
      } catch {
        return null;
      }
    },
    // False when it could not be kept: full or forbidden.
    set(key, value) {
      try {
        localStorage.setItem(key, JSON.stringify(value));
        return true;
      } catch {
        return false;
      }
    },
    drop(key) {
      try {
        localStorage.removeItem(key);
      } catch {
        // Nothing was stored then.
      }
    },
    keys(prefix) {
      try {
        return Object.keys(localStorage).filter((key) => key.startsWith(prefix));
      } catch {
        return [];
      }
    },
  };

  const session = {
    get(key) {
      try {
        return sessionStorage.getItem(key) || "";
      } catch {
        return "";
      }
    },
    set(key, value) {
      try {
        sessionStorage.setItem(key, value);
      } catch {
        // It is asked anew on the next page.
      }
    },
  };

  return {
    now: null,
    kinds: {},
    RETRY_MS: [2_000, 4_000, 8_000, 15_000, 30_000],
    find,
    all,
    judge,
    kind: () => bench.kinds[find("#task")?.dataset.kind],
    cookie,
    word,
    announce,
    trouble,
    settle,
    loggedOut,
    notAccepted,
    complain,
    newId,
    post,
    fragment,
    kept,
    session,
    number: (value) => Number(value).toLocaleString(document.documentElement.lang),
    scale: () => all("#scale input"),
    narrow: () => matchMedia("(max-width: 61.99rem)").matches,
  };
})();
