// The bar after a submission: counts down, takes back with u, and has it recorded when its seconds are over.

const bar = document.getElementById("undo");
const left = bar.querySelector("progress");
const over = Date.parse(bar.dataset.until) + Number(bar.dataset.seconds) * 1000;
let sent = false;

document.body.classList.add("with-script");
const go = (form) => {
  if (sent) return;
  sent = true;
  form.requestSubmit();
};
const tick = () => {
  left.value = Math.max(0, (over - Date.now()) / 1000);
  if (Date.now() >= over) go(document.getElementById("record"));
};
window.setInterval(tick, 250);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.key.toLowerCase() !== "u") return;
  event.preventDefault();
  go(document.getElementById("take-back").form);
});
for (const form of document.forms) form.addEventListener("submit", () => (sent = true));
