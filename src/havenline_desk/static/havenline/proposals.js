// Keys of the list of proposals. None of them does anything: they move the focus, and Enter presses a button.

const cards = () => [...document.querySelectorAll("section.proposal")];

document.addEventListener("keydown", (event) => {
  const held = event.ctrlKey || event.metaKey || event.altKey;
  if (held || event.defaultPrevented || event.isComposing || event.target.closest("input, textarea, select")) return;
  const all = cards();
  const here = all.indexOf(document.activeElement.closest("section.proposal"));
  const button = (within) => all[Math.max(here, 0)]?.querySelector(`${within} button`);
  const wanted = {
    j: () => all[Math.min(here + 1, all.length - 1)],
    k: () => all[Math.max(here - 1, 0)],
    a: () => button(".agree"),
    c: () => button(".end"),
  }[event.key]?.();
  if (!wanted) return;
  event.preventDefault();
  wanted.focus();
});
