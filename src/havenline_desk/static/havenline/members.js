// The strip: which picture of the stack is on the stage, and what was said of each near one after looking at it.

export function fill(words, values) {
  return words.replace(/%\((\w+)\)s/g, (_, name) => values[name]);
}

export class Members {
  #words;
  #tiles;
  #selected = 0;
  #onSelect;
  #onChange;
  #say;

  constructor({ words, onSelect, onChange, say }) {
    this.#words = words;
    this.#onSelect = onSelect;
    this.#onChange = onChange;
    this.#say = say;
    this.#tiles = [...document.querySelectorAll(".tile[data-member]")].map((element) => ({
      element,
      member: Number(element.dataset.member),
      number: Number(element.dataset.number),
      seen: Number(element.dataset.seen),
      inputs: [...element.querySelectorAll("input[type=radio]")],
      state: element.querySelector(".state"),
      pick: element.querySelector(".pick"),
    }));
    this.#tiles.forEach((tile, index) => {
      tile.pick.addEventListener("click", () => this.select(index));
      for (const input of tile.inputs) {
        input.addEventListener("click", (event) => {
          if (this.#lookedEnough(tile)) this.#paint();
          else event.preventDefault();
        });
      }
    });
    this.#paint();
  }

  get judged() {
    return this.#tiles[0];
  }

  /** Near pictures without an answer, or looked at less closely than the picture that is judged. */
  get open() {
    return this.#near().filter((tile) => !answer(tile) || tile.seen < this.judged.seen).length;
  }

  seen(member, step) {
    const tile = this.#tiles.find((one) => one.member === member);
    if (tile === undefined) return;
    tile.seen = Math.max(tile.seen, step);
    this.#paint();
  }

  move(by) {
    const there = this.#selected + by;
    if (there >= 0 && there < this.#tiles.length) this.select(there);
  }

  select(index) {
    this.#selected = index;
    const tile = this.#tiles[index];
    const words = index === 0 ? this.#words.this_picture : fill(this.#words.near_picture, { number: tile.number });
    this.#onSelect(tile, Math.max(tile.seen, index === 0 ? 0 : this.judged.seen), words);
    this.#paint();
    tile.element.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** Record "same" or "different" for the near picture on the stage and go on to the next open one. */
  decide(value) {
    const tile = this.#tiles[this.#selected];
    if (this.#selected === 0 || !this.#lookedEnough(tile)) return;
    tile.inputs.find((input) => input.value === value).checked = true;
    this.#paint();
    const open = (one) => one !== this.judged && !answer(one);
    const later = this.#tiles.findIndex((one, index) => index > this.#selected && open(one));
    const next = later === -1 ? this.#tiles.findIndex(open) : later;
    this.select(next === -1 ? 0 : next);
  }

  openFirstUndecided() {
    const index = this.#tiles.findIndex(
      (tile) => tile !== this.judged && (!answer(tile) || tile.seen < this.judged.seen),
    );
    if (index !== -1) this.select(index);
  }

  #near() {
    return this.#tiles.slice(1);
  }

  #lookedEnough(tile) {
    if (this.judged.seen === 0) {
      this.#say(this.#words.judge_first);
      return false;
    }
    if (tile.seen < this.judged.seen) {
      this.#say(fill(this.#words.look_closer, { number: tile.number, step: this.judged.seen }));
      return false;
    }
    return true;
  }

  #paint() {
    this.#tiles.forEach((tile, index) => {
      tile.pick.setAttribute("aria-pressed", String(index === this.#selected));
      tile.element.classList.toggle("selected", index === this.#selected);
      const value = answer(tile);
      tile.element.classList.toggle("decided", value !== undefined && tile.seen >= this.judged.seen);
      tile.state.textContent = this.#stateOf(tile, value);
    });
    this.#onChange();
  }

  #stateOf(tile, value) {
    const seen = tile.seen === 0 ? this.#words.not_seen : fill(this.#words.seen, { step: tile.seen });
    if (value === undefined || tile.seen < this.judged.seen) return `${tile.seen === 0 ? "○" : "◐"} ${seen}`;
    return value === "same" ? `✓ ${this.#words.same}` : `✗ ${this.#words.different}`;
  }
}

function answer(tile) {
  return tile.inputs.find((input) => input.checked)?.value;
}
