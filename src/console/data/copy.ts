/** Copying from a page replaces relative times by UTC instants: "3 min ago" loses its meaning where it is pasted. */
export function copyTimesAsUtc(): void {
  document.addEventListener("copy", (event) => {
    const selection = getSelection();
    const { target, clipboardData } = event;
    // A field's own text, and what the terminal puts there itself, stay as they are.
    const isField = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
    if (event.defaultPrevented || isField || clipboardData === null || !selection?.rangeCount) return;
    const copied = selection.getRangeAt(0).cloneContents();
    const times = copied.querySelectorAll("time");
    if (times.length === 0) return;
    for (const time of times) time.textContent = time.title;
    // Only what is laid out has its text in lines and columns, as the browser would copy it.
    const box = document.createElement("div");
    box.className = "unseen";
    box.append(copied);
    document.body.append(box);
    clipboardData.setData("text/plain", box.innerText);
    box.remove();
    event.preventDefault();
  });
}
