// Keep the recovery codes that are shown once: on paper or in a file.

document.body.classList.add("with-script");

document.getElementById("print-codes").addEventListener("click", () => window.print());
document.getElementById("save-codes").addEventListener("click", (event) => {
  const lines = [...document.querySelectorAll("#codes code")].map((code) => `${code.textContent}\n`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(lines, { type: "text/plain" }));
  link.download = event.currentTarget.dataset.file;
  link.click();
  URL.revokeObjectURL(link.href);
});
