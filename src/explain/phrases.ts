/** Turns of phrase that several explanations share. */

export function at(instant: number): string {
  return `at ${new Date(instant).toISOString()}`;
}

/** Words of somebody else as a sentence of their own: with one full stop, whether they brought one or not. */
export function sentence(words: string): string {
  const text = words.trim();
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

/** Words of somebody else inside a sentence of ours: in brackets, without their full stop. */
export function bracketed(words: string): string {
  return `(${words.trim().replace(/\.+$/, "")})`;
}

export function capital(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}

export function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
