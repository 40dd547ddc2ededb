/** Copying from a page replaces relative times by UTC instants: "3 min ago" has no meaning where it is pasted. */
export function copyTimesAsUtc(): void {
  document.addEventListener("copy", (event) => {
    const selection = getSelection();
    const { target, clipboardData } = event;
    // Leave alone what is copied from a form field, and what the terminal copies itself.
    const isField = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
    if (event.defaultPrevented || isField || clipboardData === null || !selection?.rangeCount) return;
    const copied = selection.getRangeAt(0).cloneContents();
    const times = copied.querySelectorAll("time");
    if (times.length === 0) return;
    for (const time of times) time.textContent = time.title;
    // Only an element in the page's layout has `innerText` with the line and column breaks that the browser would copy.
    const box = document.createElement("div");
    box.className = "unseen";
    box.append(copied);
    document.body.append(box);
    clipboardData.setData("text/plain", box.innerText);
    box.remove();
    event.preventDefault();
  });
}
