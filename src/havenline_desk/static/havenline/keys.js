// The keyboard map of the workspace. No single key does anything that cannot be taken back.

const DOUBLE = 450;
const TEXT_FIELDS = "input:not([type=radio]):not([type=checkbox]):not([type=button]):not([type=submit]), textarea, select, [contenteditable]";

/** `actions` maps a name of `nameOf` to what it does; digits arrive as `digit` with the number. */
export function bindKeys({ actions, dialog }) {
  let lastSpace = -Infinity;
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.repeat) return;
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key === "Enter") {
      event.preventDefault();
      if (!dialog.open) actions.submit();
      return;
    }
    const held = event.ctrlKey || event.metaKey || event.altKey;
    if (held || (event.target instanceof Element && event.target.closest(TEXT_FIELDS))) return;
    if (event.key === " ") {
      const again = event.timeStamp - lastSpace < DOUBLE;
      lastSpace = again ? -Infinity : event.timeStamp;
      const onControl = event.target instanceof Element && event.target.closest("button, summary, a, input");
      if (again || !onControl) event.preventDefault();
      if (again) actions.blank();
      return;
    }
    const name = nameOf(event);
    if (name === null || (dialog.open && name !== "help")) return;
    event.preventDefault();
    if (typeof name === "number") actions.digit(name);
    else actions[name]();
  });
}

const BY_KEY = { ".": "up", ",": "down", "?": "help", "؟": "help" };
const BY_LETTER = { j: "next", k: "previous", n: "nextPicture", p: "previousPicture", y: "same", x: "different", g: "again", s: "skip", e: "escalate" };
const BY_PLACE = { Period: "up", Comma: "down" };

/** By the sign that the key writes; by its place on the board where the layout writes another script. */
function nameOf(event) {
  if (event.key in BY_KEY) return BY_KEY[event.key];
  const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code);
  if (/^[0-9]$/.test(event.key)) return Number(event.key);
  if (digit !== null && !event.shiftKey) return Number(digit[1]);
  const latin = /^[a-z]$/i.test(event.key);
  if (latin) return BY_LETTER[event.key.toLowerCase()] ?? null;
  if (event.key.length !== 1 || event.key.charCodeAt(0) < 0x250) return null;
  const letter = /^Key([A-Z])$/.exec(event.code);
  return (letter !== null ? BY_LETTER[letter[1].toLowerCase()] : BY_PLACE[event.code]) ?? null;
}
