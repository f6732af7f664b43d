// Two pictures of a dispute, compared by the desk: lines of text and a coarse map of squares, no pixel of either.

async function ask(address, token, member, words) {
  let answer;
  try {
    answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token },
      body: JSON.stringify({ member }),
    });
  } catch {
    return { error: words.not_compared };
  }
  if (answer.redirected) return { error: words.signed_out };
  const isJson = (answer.headers.get("Content-Type") ?? "").startsWith("application/json");
  return isJson ? answer.json() : { error: words.not_compared };
}

function line(text) {
  const paragraph = document.createElement("p");
  paragraph.className = "small";
  paragraph.textContent = text;
  return paragraph;
}

function map(rows, words) {
  const grid = document.createElement("div");
  grid.className = "likeness";
  grid.setAttribute("role", "img");
  grid.setAttribute("aria-label", words.likeness);
  for (const letter of rows.join("")) {
    const cell = document.createElement("span");
    cell.className = `cell-${letter}`;
    grid.append(cell);
  }
  return grid;
}

export function bindComparing({ token, words }) {
  const panel = document.querySelector("[data-compare]");
  if (panel === null) return;
  const told = panel.querySelector("#compared");
  const buttons = [...panel.querySelectorAll("button[data-member]")];
  for (const button of buttons) {
    button.addEventListener("click", async () => {
      for (const each of buttons) each.disabled = true;
      told.replaceChildren(line(words.comparing));
      const answer = await ask(panel.dataset.compare, token, Number(button.dataset.member), words);
      for (const each of buttons) each.disabled = false;
      if (answer.error) return told.replaceChildren(line(answer.error));
      told.replaceChildren(...answer.lines.map(line));
      if (answer.cells.length > 0) told.append(map(answer.cells, words), line(words.likeness));
      return undefined;
    });
  }
}
