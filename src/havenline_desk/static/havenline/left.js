// What is left of one's budget and when a pause is due, asked anew after each view. Where that fails, the page stays as it is.

const PARTS = ["budget-chip", "warnings"];

/** Put what the server says now in the place of what the page was loaded with. */
export async function tellLeft(address) {
  let answer;
  try {
    answer = await fetch(address);
  } catch {
    return;
  }
  if (!answer.ok || answer.redirected) return;
  const told = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of PARTS) {
    const part = told.getElementById(id);
    if (part !== null) document.getElementById(id).replaceChildren(...part.childNodes);
  }
}
