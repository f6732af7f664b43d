// How long the item stays with this person, renewed quietly while they work.

import { fill } from "./members.js";

const RENEW_BELOW = 10 * 60_000;
const LOOK_EVERY = 30_000;

export function watchLease({ element, address, token, assignment, words, present }) {
  let until = Date.parse(element.dataset.until);

  const show = () => {
    const minutes = Math.max(0, Math.round((until - Date.now()) / 60_000));
    element.textContent = until <= Date.now() ? words.lease_over : fill(words.lease_left, { minutes });
  };

  const renew = async () => {
    try {
      const answer = await fetch(address, { method: "POST", headers: { "X-CSRFToken": token } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const same = page.querySelector("#assessment [name=assignment]")?.value === assignment;
      if (same) until = Date.parse(page.getElementById("lease").dataset.until);
    } catch {
      // The desk may be restarting; the next look tries again, and the text tells the time that is left.
    }
    show();
  };

  const look = () => {
    const left = until - Date.now();
    // After the end the item may be somebody else's: only the person decides to take it again.
    if (left > 0 && left < RENEW_BELOW && present()) renew();
    show();
  };
  show();
  window.setInterval(look, LOOK_EVERY);
}
