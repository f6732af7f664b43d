// The stage and its ladder: every step shown is a new grant, nothing loads by itself, and hiding removes the picture.

import { fill } from "./members.js";

const FULL = 4;

/** Asks the server for one step of one member; resolves to {url} or {error}, never rejects. */
async function askReveal(address, token, member, step, words) {
  let answer;
  try {
    answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token },
      body: JSON.stringify({ member, step }),
    });
  } catch {
    return { error: words.unreachable };
  }
  if (answer.redirected) return { error: words.signed_out };
  const isJson = (answer.headers.get("Content-Type") ?? "").startsWith("application/json");
  return isJson ? answer.json() : { error: words.failed };
}

export class Ladder {
  #address;
  #token;
  #words;
  #screen = document.getElementById("screen");
  #curtain = document.getElementById("curtain");
  #curtainText = document.getElementById("curtain-text");
  #stepUp = document.getElementById("step-up");
  #stepAgain = document.getElementById("step-again");
  #spoken = document.getElementById("spoken");
  #buttons = [...document.querySelectorAll(".ladder [data-step]")];
  #member = 0;
  #reachable = 0;
  #ticket = 0;
  #opening = false;
  #onSeen;
  step = 0;

  constructor({ address, token, words, onSeen }) {
    this.#address = address;
    this.#token = token;
    this.#words = words;
    this.#onSeen = onSeen;
    for (const button of this.#buttons) {
      button.addEventListener("click", () => this.go(Number(button.dataset.step)));
    }
    this.#stepUp.addEventListener("click", () => this.go(1));
    this.#stepAgain.addEventListener("click", () => this.again());
    // Not a lock, a courtesy: nobody saves or drags a rendition by mistake.
    for (const kind of ["contextmenu", "dragstart"]) {
      this.#screen.addEventListener(kind, (event) => event.preventDefault());
    }
  }

  /** Put another member on the stage, with nothing shown. `reachable` is the step that may be opened directly. */
  select(member, reachable, words) {
    this.#member = member;
    this.#reachable = reachable;
    this.hide(words);
  }

  up() {
    if (this.step < FULL) this.go(this.step + 1);
  }

  down() {
    if (this.step > 0) this.go(this.step - 1);
  }

  /** Straight to the step that was already chosen. */
  again() {
    if (this.#reachable > 0 && this.step !== this.#reachable) this.go(this.#reachable);
  }

  /** Say something where the picture would be, as long as none is shown. */
  say(words) {
    if (this.step === 0) this.#curtainText.textContent = words;
  }

  hide(words) {
    this.#ticket += 1;
    this.#opening = false;
    this.step = 0;
    this.#screen.querySelector("img")?.remove();
    this.#curtainText.textContent = words ?? this.#words.hidden;
    this.#stepAgain.hidden = this.#reachable < 2;
    this.#stepAgain.querySelector("span").textContent = fill(this.#words.straight, { step: this.#reachable });
    this.#curtain.hidden = false;
    this.#mark();
  }

  async go(step) {
    if (step === 0) return this.hide(this.#words.hidden);
    if (this.#opening || step > this.#limit()) return undefined;
    const ticket = ++this.#ticket;
    this.#opening = true;
    const member = this.#member;
    if (this.step === 0) this.#curtainText.textContent = this.#words.opening;
    const answer = await askReveal(this.#address, this.#token, member, step, this.#words);
    if (ticket !== this.#ticket) return undefined;
    if (answer.error) return this.hide(answer.error);
    const picture = new Image();
    picture.alt = this.#words.picture;
    picture.draggable = false;
    picture.className = `rendition step-${step}`;
    picture.src = answer.url;
    try {
      await picture.decode();
    } catch {
      return ticket === this.#ticket ? this.hide(this.#words.failed) : undefined;
    }
    this.#onSeen(member, step);
    if (ticket !== this.#ticket) return undefined;
    this.#opening = false;
    this.#show(picture, step);
    return undefined;
  }

  #show(picture, step) {
    this.#screen.querySelector("img")?.remove();
    this.#curtain.hidden = true;
    this.#screen.append(picture);
    this.step = step;
    this.#reachable = Math.max(this.#reachable, step);
    this.#mark();
  }

  #limit() {
    return Math.min(FULL, Math.max(this.step + 1, this.#reachable));
  }

  #mark() {
    for (const button of this.#buttons) {
      const step = Number(button.dataset.step);
      button.setAttribute("aria-pressed", String(step === this.step));
      button.disabled = step > this.#limit();
    }
    this.#spoken.textContent = this.#words[`step${this.step}`];
  }
}
