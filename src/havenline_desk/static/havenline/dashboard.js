// Looks at the figures of the moment again, without a reload; where the keyboard is, it stays.

const LOOK_EVERY = 10_000;
const shown = document.getElementById("dashboard");

const look = async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch(shown.dataset.ask, { headers: { Accept: "text/html" }, redirect: "error" });
    if (!answer.ok) return;
    const links = () => [...shown.querySelectorAll("a")];
    const held = links().indexOf(document.activeElement);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    shown.replaceChildren(...fresh.body.childNodes);
    if (held >= 0) links()[held]?.focus({ preventScroll: true });
  } catch {
    // The desk may be restarting; what is shown stays, with its moment, and the next look tries again.
  }
};
window.setInterval(look, LOOK_EVERY);
