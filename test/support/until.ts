/**
 * Waits for a condition instead of a time. Looks every 20 ms. The bound only ends a test that has failed, and says what it waited for: on a
 * machine whose cores twenty others want too, what takes a second takes half a minute.
 */
export async function until<T>(what: string, look: () => T | Promise<T>, withinMs = 90_000): Promise<NonNullable<T>> {
  const end = performance.now() + withinMs;
  for (;;) {
    const seen = await look();
    if (seen !== null && seen !== undefined && seen !== false) return seen;
    if (performance.now() > end) throw new Error(`Waited ${withinMs} ms in vain: ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
