// The stage of a look at a sampled decision: the ladder of the workspace beside a form that is plain HTML.

import { watchActivity } from "./activity.js";
import { bindKeys } from "./keys.js";
import { Ladder } from "./ladder.js";
import { tellLeft } from "./left.js";

const words = JSON.parse(document.getElementById("look-words").textContent);
const desk = document.querySelector(".desk");
const form = document.getElementById("finding");
const nothing = () => {};

document.body.classList.add("with-script");

const ladder = new Ladder({
  address: desk.dataset.reveal,
  token: form.elements.csrfmiddlewaretoken.value,
  words,
  onSeen: () => tellLeft(desk.dataset.left),
});
ladder.select(Number(desk.dataset.member), Number(desk.dataset.seen), words.nothing_loaded);

const hideIfShown = (text) => {
  if (ladder.step > 0) ladder.hide(text);
};
watchActivity({
  startingAt: 0,
  onIdle: () => hideIfShown(words.hidden_idle),
  onLeave: () => hideIfShown(words.hidden_focus),
});
form.addEventListener("submit", () => ladder.hide(words.step0));
document.getElementById("blank").addEventListener("click", () => ladder.hide(words.hidden));
bindKeys({
  dialog: document.getElementById("keys"),
  actions: {
    up: () => ladder.up(),
    down: () => ladder.down(),
    again: () => ladder.again(),
    blank: () => ladder.hide(words.hidden),
    digit: nothing,
    next: nothing,
    previous: nothing,
    nextPicture: nothing,
    previousPicture: nothing,
    same: nothing,
    different: nothing,
    help: nothing,
    skip: nothing,
    escalate: () => {
      const menu = document.getElementById("escalate-menu");
      menu.open = !menu.open;
      if (menu.open) menu.querySelector("button").focus();
    },
    submit: () => form.requestSubmit(document.getElementById("submit")),
  },
});
document.getElementById("refused")?.focus({ preventScroll: true });
