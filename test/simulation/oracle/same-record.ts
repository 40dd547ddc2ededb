/** Equality of what is stored as JSON: plain objects, arrays, texts, numbers. Nothing else occurs in a record, and Node's own comparison pays for all of it. */
export function sameRecord(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const names = Object.keys(one);
  if (names.length !== Object.keys(other).length) return false;
  return names.every(
    (name) =>
      Object.hasOwn(other, name) &&
      sameRecord((one as Record<string, unknown>)[name], (other as Record<string, unknown>)[name]),
  );
}
