/** Turns of phrase that several explanations share. */

export function at(instant: number): string {
  return `at ${new Date(instant).toISOString()}`;
}

export function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
