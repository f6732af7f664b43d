// The questions of the framework: which are asked follows from the answers, by the same conditions as on the server.

/** One open question at a time; answered ones fold to a line, those that do not arise are disabled and not sent. */
export class Questions {
  #asked;
  #rows;
  #current = null;
  #onChange;

  constructor({ form, onChange }) {
    this.#onChange = onChange;
    this.#rows = form.questions.map((question) => this.#row(question));
    this.#refresh();
    const invalid = this.#asked.find((row) => row.fieldset.querySelector(".problem") && !chosen(row));
    this.#open(invalid ?? this.#asked.find((row) => !chosen(row)) ?? null, { scroll: invalid !== undefined });
  }

  get open() {
    return this.#asked.filter((row) => !chosen(row)).length;
  }

  /** Choose the answer with this digit; 0 is the last, "cannot determine". */
  choose(digit) {
    const row = this.#current;
    if (row === null) return;
    const options = row.inputs;
    const last = options.length - 1;
    const input = digit === 0 ? options[last] : digit <= last ? options[digit - 1] : undefined;
    if (input === undefined) return;
    input.checked = true;
    this.#answered(row, { focus: true });
  }

  move(by) {
    const here = this.#asked.indexOf(this.#current);
    const there = here === -1 ? (by > 0 ? 0 : this.#asked.length - 1) : here + by;
    const row = this.#asked[there];
    if (row !== undefined) this.#open(row, { focus: true });
  }

  openFirstUnanswered() {
    const row = this.#asked.find((one) => !chosen(one));
    if (row !== undefined) this.#open(row, { focus: true });
  }

  #row(question) {
    const fieldset = document.querySelector(`[data-question="${CSS.escape(question.id)}"]`);
    const legend = fieldset.querySelector("legend");
    const head = document.createElement("button");
    head.type = "button";
    head.className = "head";
    head.append(...legend.childNodes);
    legend.append(head);
    const inputs = [...fieldset.querySelectorAll("input[type=radio]")];
    const row = { question, fieldset, head, inputs, answer: head.querySelector(".answer") };
    head.addEventListener("click", () => this.#open(row));
    fieldset.addEventListener("change", () => this.#refresh());
    fieldset.addEventListener("click", (event) => {
      // The arrow keys also click, with detail 0; they must not throw the question shut.
      const pointed = event.detail > 0 && event.target instanceof Element && event.target.closest(".option");
      if (pointed && chosen(row)) this.#answered(row, { focus: false });
    });
    return row;
  }

  #answered(row, { focus }) {
    this.#refresh();
    const later = this.#asked.slice(this.#asked.indexOf(row) + 1).find((one) => !chosen(one));
    const next = later ?? this.#asked.find((one) => !chosen(one)) ?? null;
    this.#open(next, { focus });
    if (next === null && focus) row.head.blur();
  }

  #open(row, { focus = false, scroll = true } = {}) {
    this.#current = row;
    this.#paint();
    if (row === null) return;
    if (scroll) row.fieldset.scrollIntoView({ block: "nearest" });
    if (focus) row.head.focus({ preventScroll: true });
  }

  #refresh() {
    const answers = new Map();
    this.#asked = [];
    for (const row of this.#rows) {
      const asked = Object.entries(row.question.asked_when).every(([id, codes]) => codes.includes(answers.get(id)));
      row.fieldset.hidden = !asked;
      row.fieldset.disabled = !asked;
      if (!asked) continue;
      this.#asked.push(row);
      answers.set(row.question.id, chosen(row)?.value);
    }
    if (this.#current !== null && !this.#asked.includes(this.#current)) this.#current = null;
    this.#paint();
    this.#onChange();
  }

  #paint() {
    for (const row of this.#rows) {
      const answer = chosen(row);
      const current = row === this.#current;
      row.fieldset.classList.toggle("current", current);
      row.fieldset.classList.toggle("answered", answer !== undefined);
      row.head.setAttribute("aria-expanded", String(current));
      row.answer.textContent = answer === undefined ? "" : answer.closest(".option").querySelector("span").textContent;
      const problem = row.fieldset.querySelector(".problem");
      if (problem !== null && answer !== undefined) problem.remove();
    }
  }
}

function chosen(row) {
  return row.inputs.find((input) => input.checked);
}
