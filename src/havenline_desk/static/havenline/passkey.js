// Forms that a passkey answers: ask the desk for a question, the browser for the answer, and send the form with it.

document.body.classList.add("with-script");

const bytesOf = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
const textOf = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const named = (keys) => keys?.map((key) => ({ ...key, id: bytesOf(key.id) }));

async function create(question) {
  const made = await navigator.credentials.create({
    publicKey: {
      ...question,
      challenge: bytesOf(question.challenge),
      user: { ...question.user, id: bytesOf(question.user.id) },
      excludeCredentials: named(question.excludeCredentials),
    },
  });
  return answerOf(made, {
    attestationObject: textOf(made.response.attestationObject),
  });
}

async function get(question) {
  const shown = await navigator.credentials.get({
    publicKey: {
      ...question,
      challenge: bytesOf(question.challenge),
      allowCredentials: named(question.allowCredentials),
    },
  });
  return answerOf(shown, {
    authenticatorData: textOf(shown.response.authenticatorData),
    signature: textOf(shown.response.signature),
    userHandle: shown.response.userHandle ? textOf(shown.response.userHandle) : null,
  });
}

function answerOf(credential, response) {
  return {
    id: credential.id,
    rawId: textOf(credential.rawId),
    type: credential.type,
    clientExtensionResults: {},
    response: { clientDataJSON: textOf(credential.response.clientDataJSON), ...response },
  };
}

const PROBLEMS = { NotAllowedError: "cancelled", AbortError: "cancelled", InvalidStateError: "known", TypeError: "offline" };

async function fill(form) {
  if (!window.PublicKeyCredential) return word(form, "unsupported");
  const asked = await fetch(form.dataset.options, { method: "POST", body: new FormData(form), redirect: "error" });
  const question = await asked.json();
  if (question.error) return question.error;
  const answer = await { create, get }[form.dataset.passkey](question.publicKey);
  form.elements.answer.value = JSON.stringify(answer);
  return null;
}

const word = (form, name) => form.querySelector(`template[data-word="${name}"]`).content.textContent;

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const problem = form.querySelector("[data-problem]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    let said;
    try {
      said = await fill(form);
    } catch (error) {
      said = word(form, PROBLEMS[error.name] ?? "unsupported");
    }
    button.disabled = false;
    problem.textContent = said ?? "";
    problem.hidden = !said;
    if (!said) form.submit();
  });
}
