// Words in which two texts differ: the longest common subsequence of their words.
(() => {
  "use strict";

  const CELLS = 12_000_000; // of the table; what is longer counts as changed altogether

  const words = (text) => text.match(/[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]|\s+/gu) ?? [];

  // Return [{text, side}]: side 0 = in both, -1 = only in `before`, 1 = only in `after`; `before` and `after` are words.
  function compare(before, after) {
    let start = 0;
    while (start < before.length && start < after.length && before[start] === after[start]) start++;
    let end = 0;
    while (end < before.length - start && end < after.length - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
    const a = before.slice(start, before.length - end);
    const b = after.slice(start, after.length - end);
    const both = (list) => list.map((text) => ({ text, side: 0 }));
    return [...both(before.slice(0, start)), ...middle(a, b), ...both(before.slice(before.length - end))];
  }

  function middle(a, b) {
    const only = (list, side) => list.map((text) => ({ text, side }));
    if (!a.length || !b.length) return [...only(a, -1), ...only(b, 1)];
    if ((a.length + 1) * (b.length + 1) > CELLS) return [...only(a, -1), ...only(b, 1)];
    const wide = b.length + 1;
    const table = new Uint16Array((a.length + 1) * wide);
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        const here = i * wide + j;
        table[here] = a[i] === b[j] ? table[here + wide + 1] + 1 : Math.max(table[here + wide], table[here + 1]);
      }
    }
    const found = [];
    let i = 0;
    let j = 0;
    while (i < a.length && j < b.length) {
      if (a[i] === b[j]) {
        found.push({ text: a[i], side: 0 });
        i++;
        j++;
      } else if (table[(i + 1) * wide + j] >= table[i * wide + j + 1]) found.push({ text: a[i++], side: -1 });
      else found.push({ text: b[j++], side: 1 });
    }
    return [...found, ...only(a.slice(i), -1), ...only(b.slice(j), 1)];
  }

  bench.diff = { words, compare };
})();
