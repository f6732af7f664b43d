// Keeps the part of the page about running imports as it is now. What is typed in the form below is not touched.

const LOOK_EVERY = 2_000;
const place = document.getElementById("jobs");
const said = document.getElementById("jobs-said");

const states = () => [...place.querySelectorAll(".job")].map((job) => [job.dataset.name, job.dataset.state].join(": "));
const open = () => place.querySelector('.job:is([data-state="waiting"], [data-state="running"], [data-state="stopping"], [data-state="silent"])');
let last = place.innerHTML.trim();

const show = (text) => {
  if (text === last) return;
  last = text;
  const before = new Set(states());
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  const unfolded = [...place.querySelectorAll("details[open] > summary")].map((each) => each.textContent);
  place.innerHTML = text;
  for (const summary of place.querySelectorAll("summary")) {
    if (unfolded.includes(summary.textContent)) summary.parentElement.open = true;
  }
  if (focused) (document.getElementById(focused) ?? place.querySelector("button"))?.focus();
  const fresh = states().filter((state) => !before.has(state));
  if (fresh.length) said.textContent = fresh.join(". ");
};

const look = async () => {
  if (!open()) return;
  try {
    const answer = await fetch(place.dataset.ask);
    // Signed out meanwhile: the answer is another page, which says so when the person goes on.
    if (answer.ok && !answer.redirected) show((await answer.text()).trim());
  } catch {
    // The desk may be restarting; what is shown stays, and the next look tries again.
  }
};
window.setInterval(look, LOOK_EVERY);
