// Joins the parts of the assessment page. Without it the facts can still be answered and sent.

import { watchActivity } from "./activity.js";
import { bindComparing } from "./compare.js";
import { bindKeys } from "./keys.js";
import { Ladder } from "./ladder.js";
import { watchLease } from "./lease.js";
import { tellLeft } from "./left.js";
import { fill, Members } from "./members.js";
import { Questions } from "./questions.js";

const { form: description, words } = JSON.parse(document.getElementById("workspace-form").textContent);
const desk = document.querySelector(".desk");
const form = document.getElementById("assessment");
const dialog = document.getElementById("keys");
const left = document.getElementById("left");
const subject = document.getElementById("subject");
const submitButton = document.getElementById("submit");
const token = form.elements.csrfmiddlewaretoken.value;
let questions = null;
let members = null;
let sent = false;

document.body.classList.add("with-script");

const say = (text) => {
  left.textContent = text;
  left.classList.add("attention");
  ladder.say(text);
};

function tellWhatIsLeft() {
  if (questions === null || members === null) return;
  const missing = [];
  if (members.judged.seen === 0) missing.push(words.look_first);
  if (questions.open > 0) missing.push(fill(words.questions_left, { count: questions.open }));
  if (members.open > 0) missing.push(fill(words.near_left, { count: members.open }));
  left.textContent = missing.length === 0 ? words.ready : missing.join(" · ");
  left.classList.remove("attention");
  submitButton.classList.toggle("waiting", missing.length > 0);
}

const ladder = new Ladder({
  address: desk.dataset.reveal,
  token,
  words,
  onSeen: (member, step) => {
    members.seen(member, step);
    tellLeft(desk.dataset.left);
  },
});
members = new Members({
  words,
  say,
  onChange: tellWhatIsLeft,
  onSelect: (tile, reachable, label) => {
    subject.textContent = label;
    ladder.select(tile.member, reachable, words.nothing_loaded);
  },
});
questions = new Questions({ form: description, onChange: tellWhatIsLeft });
ladder.select(members.judged.member, members.judged.seen, words.nothing_loaded);
tellWhatIsLeft();

const hideIfShown = (text) => {
  if (ladder.step > 0) ladder.hide(text);
};
const activity = watchActivity({
  startingAt: Number(form.elements.active_seconds.value) || 0,
  onIdle: () => hideIfShown(words.hidden_idle),
  onLeave: () => hideIfShown(words.hidden_focus),
});

form.addEventListener("submit", (event) => {
  const looked = members.judged.seen > 0;
  if (sent || !looked || questions.open > 0 || members.open > 0) {
    event.preventDefault();
    if (sent) return;
    if (questions.open > 0) questions.openFirstUnanswered();
    else if (looked) members.openFirstUndecided();
    tellWhatIsLeft();
    left.classList.add("attention");
    return;
  }
  sent = true;
  ladder.hide(words.step0);
  form.elements.active_seconds.value = activity.seconds();
});
// A page that comes back from the browser's memory must not believe that it was sent.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});

// Opens the choice and nothing more: passing on and escalating need a second, deliberate key.
const openMenu = (id) => {
  const menu = document.getElementById(id);
  menu.open = !menu.open;
  if (menu.open) menu.querySelector("input[type=radio], button").focus();
};
const help = () => (dialog.open ? dialog.close() : dialog.showModal());
document.getElementById("show-keys").addEventListener("click", help);
document.getElementById("blank").addEventListener("click", () => ladder.hide(words.hidden));
bindKeys({
  dialog,
  actions: {
    up: () => ladder.up(),
    down: () => ladder.down(),
    again: () => ladder.again(),
    blank: () => ladder.hide(words.hidden),
    digit: (digit) => questions.choose(digit),
    next: () => questions.move(1),
    previous: () => questions.move(-1),
    nextPicture: () => members.move(1),
    previousPicture: () => members.move(-1),
    same: () => members.decide("same"),
    different: () => members.decide("different"),
    help,
    skip: () => openMenu("skip-menu"),
    escalate: () => openMenu("escalate-menu"),
    submit: () => form.requestSubmit(submitButton),
  },
});
watchLease({
  element: document.getElementById("lease"),
  address: desk.dataset.renew,
  token,
  assignment: form.elements.assignment.value,
  words,
  present: activity.present,
});
bindComparing({ token, words });
document.getElementById("refused")?.focus({ preventScroll: true });
