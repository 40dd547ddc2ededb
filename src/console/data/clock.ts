/** The time as the page shows it: it moves once a second, and stands still while the page is hidden. */
import { effect, signal } from "@preact/signals";

export const visible = signal(document.visibilityState !== "hidden");
/** Epoch ms. */
export const now = signal(Date.now());

document.addEventListener("visibilitychange", () => {
  visible.value = document.visibilityState !== "hidden";
});

effect(() => {
  if (!visible.value) return undefined;
  now.value = Date.now();
  const timer = setInterval(() => {
    now.value = Date.now();
  }, 1_000);
  return () => clearInterval(timer);
});
