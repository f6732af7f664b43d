// Tells whoever may take an escalation over that one waits, on whichever page they are.

const LOOK_EVERY = 20_000;
const alarm = document.getElementById("alarm");

const look = async () => {
  try {
    const answer = await fetch(alarm.dataset.ask, { headers: { Accept: "application/json" } });
    if (answer.ok) alarm.hidden = (await answer.json()).waiting === 0;
  } catch {
    // The desk may be restarting; what is shown stays, and the next look tries again.
  }
};
window.setInterval(look, LOOK_EVERY);
