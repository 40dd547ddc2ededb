/** The name that somebody meant who wrote another: for "did you mean" in refusals. */

/** Below this a name has too little in common with anything. */
const minShared = 3;

/** null: none is near enough. A known name that begins with the given one, or the other way round, is nearer than any misspelling. */
export function nearestName(given: string, known: readonly string[]): string | null {
  const plain = (name: string) => name.toLowerCase().replaceAll(/[-_\s.]/g, "");
  const wanted = plain(given);
  if (wanted.length < 2 || wanted.length > 64) return null;
  const same = known.find((name) => plain(name) === wanted);
  if (same !== undefined) return same;
  const begun = known.filter((name) => {
    const [short = "", long = ""] = [plain(name), wanted].sort((one, other) => one.length - other.length);
    return short.length >= minShared && long.startsWith(short);
  });
  if (begun.length > 0) return begun.reduce((best, name) => (name.length < best.length ? name : best));
  let best: { readonly name: string; readonly edits: number } | null = null;
  for (const name of known) {
    const edits = editsBetween(wanted, plain(name));
    // A third of the letters may be wrong; more would suggest any short name for any other.
    if (edits <= Math.floor(Math.max(wanted.length, name.length) / 3) && (best === null || edits < best.edits))
      best = { name, edits };
  }
  return best?.name ?? null;
}

/** Levenshtein: letters to insert, remove or replace. */
export function editsBetween(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
