/** Everything of a list, page after page; the next page is asked for when the one before is used up. */
export async function* everyPage<T>(
  page: (cursor: string | undefined) => Promise<{ readonly data: readonly T[]; readonly next: string | null }>,
): AsyncGenerator<T, void, void> {
  for (let cursor: string | undefined; ;) {
    const { data, next } = await page(cursor);
    yield* data;
    if (next === null) return;
    cursor = next;
  }
}

/** A cursor that is a number on the wire. */
export function numberOf(cursor: string | undefined): number | undefined {
  return cursor === undefined ? undefined : Number(cursor);
}
